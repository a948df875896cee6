"""UDP between a home agent and its hosts: through tunnels, or by Home Address option and routing header.

::

    tunnel ─▶ TUN device ─▶ kernel ─▶ UDP socket on that device ──DatagramReceived──▶ core
    core ──SendDatagram──▶ raw socket for whole packets ─▶ network, or TUN device ─▶ tunnel

The socket hears the TUN device only: there the engine has looked at who may send with an address. What comes
by Home Address option is read by :class:`~appliance.protocols.mipv6.sockets.OptionsSocket`.
"""

import contextlib
import socket
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

from appliance.protocols.mipv6.events import DatagramReceived, ListenDatagrams, SendDatagram
from appliance.protocols.mobility.packet import build_udp
from appliance.protocols.pmipv6.events import Notify
from appliance.protocols.rawsock import BATCH
from appliance.protocols.socket_reader import SocketReader

WHOLE_PACKETS = 255
LARGEST = 8192


class _Socket(SocketReader):
    """One bound UDP socket; raises OSError."""

    def __init__(
        self, reactor: Any, address: bytes, port: int, device: str, feed: Callable[[DatagramReceived], None]
    ) -> None:
        self._address = address
        self._port = port
        self._feed = feed
        sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            sock.bind((str(ip_address(address)), port))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
        except OSError:
            sock.close()
            raise
        super().__init__(reactor, sock, f"UDP port {port} for mobile routers")
        self.start()

    def doRead(self) -> None:
        """Read at most ``BATCH`` datagrams."""
        for _ in range(BATCH):
            try:
                data, sender = self._socket.recvfrom(LARGEST)
            except OSError:
                return
            source = socket.inet_pton(socket.AF_INET6, sender[0].partition("%")[0])
            self.hand(self._feed, DatagramReceived(data, source, self._address, self._port))


class DatagramPort:
    """The datagrams of one service; ``device`` is its TUN device."""

    def __init__(self, reactor: Any, address: bytes, device: str, tell: Callable[[Notify], None]) -> None:
        self._reactor = reactor
        self._address = address
        self._device = device
        self._tell = tell
        self._sockets: list[_Socket] = []
        self._sender: socket.socket | None = None

    def listen(self, effect: ListenDatagrams, feed: Callable[[DatagramReceived], None]) -> None:
        """Hear these ports and no other ones; what cannot be had is told."""
        self.stop()
        for port in effect.ports:
            try:
                if self._sender is None:
                    self._sender = socket.socket(socket.AF_INET6, socket.SOCK_RAW, WHOLE_PACKETS)
                    self._sender.setblocking(False)
                self._sockets.append(_Socket(self._reactor, self._address, port, self._device, feed))
            except OSError as error:
                where = f"UDP port {port} on {ip_address(self._address)} ({self._device})"
                text = f"{where} cannot be had: {error.strerror or error}; mobile routers are not heard there"
                self._tell(Notify("warning", text))

    def send(self, effect: SendDatagram) -> None:
        """Send one; UDP may lose it."""
        if self._sender is None:
            return
        packet = build_udp(effect.data, effect.source, effect.home, effect.care_of)
        target = effect.care_of or effect.home
        with contextlib.suppress(OSError):
            self._sender.sendto(packet, (str(ip_address(target)), 0))

    def stop(self) -> None:
        """Close all sockets."""
        for each in self._sockets:
            each.stop()
        self._sockets.clear()
        if self._sender is not None:
            self._sender.close()
            self._sender = None
