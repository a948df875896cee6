"""How packets of hosts come in and go out, past a kernel that need not know Mobile IPv6.

::

    raw socket, Next Header 60 ──▶ on_packet(OptionsReceived)   a copy, before the kernel looks at the options
    send(SendRouted) ──▶ raw socket for whole packets            the kernel refuses to make a type 2 header
"""

import socket
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

from appliance.errors import ResourceError
from appliance.protocols.mipv6.events import OptionsReceived, SendRouted
from appliance.protocols.mobility.packet import routed
from appliance.protocols.rawsock import enlarge_buffers, explain
from appliance.protocols.smallbatch import HEAD, NAME, SmallBatch
from appliance.protocols.socket_reader import SocketReader
from appliance.tun.native import attach_filter

DESTINATION_OPTIONS, WHOLE_PACKETS = 60, 255
#: Where the address is in ``struct sockaddr_in6``.
_ADDRESS = 8
#: Text forms remembered for destinations; strangers can fill it, so it is emptied when full.
REMEMBERED = 4096
# A Home Address option needs 24 octets, so a header of 8 or 16 is none, unless another one follows: tunnel
# packets with an encapsulation limit (RFC 2473 section 4.1.1) stay out.
# ldb [1]; jge 2; ldb [0]; jeq 60; jeq 43; ret.
_FILTER = [
    (0x30, 0, 0, 1), (0x35, 3, 0, 2), (0x30, 0, 0, 0), (0x15, 1, 0, 60), (0x15, 0, 1, 43),
    (0x06, 0, 0, 0x40000), (0x06, 0, 0, 0),
]  # fmt: skip


class OptionsSocket(SocketReader):
    """Reads packets to ``address`` (packed) that begin with Destination Options; raises ResourceError."""

    def __init__(self, reactor: Any, address: bytes, on_packet: Callable[[OptionsReceived], None]) -> None:
        self._address = address
        self._on_packet = on_packet
        self._batch = SmallBatch()
        name = f"raw socket for destination options on {ip_address(address)}"
        sock = None
        try:
            sock = socket.socket(socket.AF_INET6, socket.SOCK_RAW, DESTINATION_OPTIONS)
            attach_filter(sock.fileno(), _FILTER)
            sock.setblocking(False)
            enlarge_buffers(sock)
            sock.bind((str(ip_address(address)), 0))
        except OSError as error:
            if sock is not None:
                sock.close()
            raise ResourceError(explain(error, name)) from error
        super().__init__(reactor, sock, name)

    def doRead(self) -> None:
        """Read one batch of packets and hand each over."""
        batch, address = self._batch, self._address
        try:
            heads, names, sizes = batch.receive(self._socket.fileno())
        except OSError:
            return
        for number, size in enumerate(sizes):
            data = heads[number * HEAD : number * HEAD + size] if size <= HEAD else batch.whole(number)
            at = number * NAME + _ADDRESS
            self.hand(self._on_packet, OptionsReceived(data, names[at : at + 16], address))


class RoutedSender:
    """Sends mobility messages with a type 2 routing header; raises ResourceError."""

    def __init__(self) -> None:
        try:
            self._socket = socket.socket(socket.AF_INET6, socket.SOCK_RAW, WHOLE_PACKETS)
        except OSError as error:
            raise ResourceError(explain(error, "raw socket for whole IPv6 packets")) from error
        self._socket.setblocking(False)
        enlarge_buffers(self._socket)
        self._names: dict[bytes, tuple[str, int]] = {}

    def send(self, effect: SendRouted) -> bool:
        """Send one; False when the host refuses."""
        packet = routed(effect.data, effect.source, effect.destination, effect.home, effect.protocol)
        return self.send_packet(packet, effect.destination)

    def send_packet(self, packet: bytes, destination: bytes) -> bool:
        """Send a whole packet; False when the host refuses."""
        name = self._names.get(destination)
        if name is None:
            if len(self._names) >= REMEMBERED:
                self._names.clear()
            name = self._names[destination] = socket.inet_ntop(socket.AF_INET6, destination), 0
        try:
            self._socket.sendto(packet, name)
        except OSError:
            return False
        return True

    def stop(self) -> None:
        """Close the socket."""
        self._socket.close()
