"""How packets of hosts come in and go out, past a kernel that need not know Mobile IPv6.

::

    raw socket, Next Header 60 ──▶ on_packet(OptionsReceived)   a copy, before the kernel looks at the options
    send(SendRouted) ──▶ raw socket for whole packets            the kernel refuses to make a type 2 header

What answers a batch of packets goes out by one system call too.
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
from appliance.tun.native import Destination, SendBatch, attach_filter

DESTINATION_OPTIONS, WHOLE_PACKETS = 60, 255
#: Where the address is in ``struct sockaddr_in6``.
_ADDRESS = 8
#: Destinations remembered; strangers can fill it, so it is emptied when full.
REMEMBERED = 4096
# A Home Address option needs 24 octets, so a header of 8 or 16 is none, unless another one follows: tunnel
# packets with an encapsulation limit (RFC 2473 section 4.1.1) stay out.
# ldb [1]; jge 2; ldb [0]; jeq 60; jeq 43; ret.
_FILTER = [
    (0x30, 0, 0, 1), (0x35, 3, 0, 2), (0x30, 0, 0, 0), (0x15, 1, 0, 60), (0x15, 0, 1, 43),
    (0x06, 0, 0, 0x40000), (0x06, 0, 0, 0),
]  # fmt: skip


class OptionsSocket(SocketReader):
    """Reads packets to ``address`` (packed) that begin with Destination Options; raises ResourceError.

    ``on_batch`` is told before the first packet of a batch (True) and behind the last one (False).
    """

    def __init__(
        self,
        reactor: Any,
        address: bytes,
        on_packet: Callable[[OptionsReceived], None],
        on_batch: Callable[[bool], None],
    ) -> None:
        self._address = address
        self._on_packet = on_packet
        self._on_batch = on_batch
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
        try:
            heads, names, sizes = self._batch.receive(self._socket.fileno())
        except OSError:
            return
        self._on_batch(True)
        try:
            self._hand_over(heads, names, sizes)
        finally:
            self._on_batch(False)

    def _hand_over(self, heads: bytes, names: bytes, sizes: list[int]) -> None:
        batch, address = self._batch, self._address
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
        self._batch = SendBatch(self._socket.fileno(), 6)
        self._to: dict[bytes, Destination] = {}
        self._holding = False

    def send(self, effect: SendRouted) -> bool:
        """Send one; False when the host refuses."""
        packet = routed(effect.data, effect.source, effect.destination, effect.home, effect.protocol)
        return self.send_packet(packet, effect.destination)

    def send_packet(self, packet: bytes, destination: bytes) -> bool:
        """Send a whole packet; False when the host refuses. While packets are held none is refused."""
        to = self._to.get(destination)
        if to is None:
            if len(self._to) >= REMEMBERED:
                self._to.clear()
            to = self._to[destination] = Destination(destination)
        self._batch.add(packet, to, 0)
        return self._holding or not self.release()

    def hold(self) -> None:
        """Keep what is to be sent until :meth:`release`."""
        self._holding = True

    def release(self) -> int:
        """Send what was held; returns how many packets the host has refused."""
        self._holding = False
        batch = self._batch
        batch.flush()
        lost = sum(batch.failures.values())
        batch.failures.clear()
        return lost

    def stop(self) -> None:
        """Send what was held, and close the socket."""
        self.release()
        self._socket.close()
