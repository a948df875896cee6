"""The sockets of home agent discovery (RFC 6275 section 10.5), and of advertisements on the home link.

::

    raw ICMPv6 socket, member of the Home-Agents anycast addresses ──144──────▶ core ──SendIcmp──▶
    raw ICMPv6 socket on the home link ──133, 134──▶ core ──SendOnLink──▶ the same

IPV6_JOIN_ANYCAST makes an anycast address one of the host's as long as the socket is open: the kernel takes
packets to it, answers Neighbor Solicitations for it on its device, and forgets it when the process ends,
however it ends. It needs neither a kernel with Mobile IPv6 nor an address on a device.
"""

import contextlib
import os
import socket
import struct
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

from appliance.errors import ResourceError
from appliance.protocols.mipv6.discovery import anycasts
from appliance.protocols.mipv6.events import IcmpReceived, SendOnLink
from appliance.protocols.mobility.discovery_messages import (
    DISCOVERY_REQUEST,
    ROUTER_ADVERTISEMENT,
    ROUTER_SOLICITATION,
)
from appliance.protocols.pmipv6.events import Notify
from appliance.protocols.pmipv6.settings import LmaSettings
from appliance.protocols.rawsock import explain
from appliance.protocols.socket_reader import SocketReader

# <linux/in6.h>, <linux/icmpv6.h>
ICMP_FILTER, JOIN_ANYCAST, LEAVE_ANYCAST = 1, 27, 28
RECEIVE_PACKET_INFO, PACKET_INFO, RECEIVE_HOP_LIMIT, HOP_LIMIT = 49, 50, 51, 52
MULTICAST_INTERFACE, MULTICAST_HOPS, MULTICAST_LOOP, JOIN_GROUP = 17, 18, 19, 20
_ALL_ROUTERS = bytes.fromhex("ff020000000000000000000000000002")
_V6 = socket.IPPROTO_IPV6
#: Messages read in one go, and the longest one.
BATCH, LARGEST = 32, 2048

Tell = Callable[[Notify], None]
Feed = Callable[[IcmpReceived], None]


class IcmpSocket(SocketReader):
    """Reads ICMPv6 messages of some types; ``device`` empty: from any. Raises OSError."""

    def __init__(self, reactor: Any, kinds: tuple[int, ...], device: str, feed: Feed) -> None:
        self._feed = feed
        blocked = bytearray(b"\xff" * 32)
        for kind in kinds:
            word = struct.unpack_from("=I", blocked, kind // 32 * 4)[0] & ~(1 << kind % 32)
            struct.pack_into("=I", blocked, kind // 32 * 4, word)
        sock = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        try:
            sock.setsockopt(socket.IPPROTO_ICMPV6, ICMP_FILTER, bytes(blocked))
            sock.setsockopt(_V6, RECEIVE_PACKET_INFO, 1)
            sock.setsockopt(_V6, RECEIVE_HOP_LIMIT, 1)
            sock.setblocking(False)
            if device:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
        except OSError:
            sock.close()
            raise
        super().__init__(reactor, sock, f"ICMPv6 types {', '.join(map(str, kinds))}")
        self.start()

    def doRead(self) -> None:
        """Read at most ``BATCH`` messages and hand each over."""
        for _ in range(BATCH):
            try:
                data, ancillary, _, sender = self.socket.recvmsg(LARGEST, 256)
            except OSError:
                return
            destination, hops = bytes(16), 0
            for level, kind, value in ancillary:
                if level == _V6 and kind == PACKET_INFO:
                    destination = value[:16]
                elif level == _V6 and kind == HOP_LIMIT:
                    hops = struct.unpack("=i", value[:4])[0]
            source = socket.inet_pton(socket.AF_INET6, sender[0].partition("%")[0])
            self.hand(self._feed, IcmpReceived(data, source, destination, hops))


class DiscoveryPort:
    """The sockets of one service; nothing is open that its settings do not want."""

    def __init__(self, reactor: Any, device: str, tell: Tell) -> None:
        self._reactor = reactor
        #: Where anycast addresses are when there is no real home link.
        self._device = device
        self._tell = tell
        self._requests: IcmpSocket | None = None
        self._link: IcmpSocket | None = None
        self._wanted: tuple[Any, ...] = ()

    def apply(self, settings: LmaSettings, feed: Feed) -> None:
        """Open and close sockets; raises ResourceError, then all are closed."""
        link = settings.mipv6_home_link if settings.mipv6 else ""
        asked = anycasts(settings) if settings.mipv6 and settings.mipv6_discovery else None
        hears = link if settings.mipv6_discovery or settings.mipv6_advertise else ""
        wanted = (asked, hears, link)
        if wanted == self._wanted:
            return
        self.stop()
        self._wanted = wanted
        try:
            if asked is not None:
                self._requests = IcmpSocket(self._reactor, (DISCOVERY_REQUEST,), "", feed)
                self._join(self._requests.socket, asked, link or self._device)
            if hears:
                kinds = (ROUTER_SOLICITATION, ROUTER_ADVERTISEMENT)
                self._link = IcmpSocket(self._reactor, kinds, hears, feed)
                self._prepare(self._link.socket, hears)
        except OSError as error:
            self.stop()
            raise ResourceError(explain(error, f"ICMPv6 raw socket for {settings.name}")) from error

    def _join(self, sock: socket.socket, addresses: tuple[bytes, ...], device: str) -> None:
        for address in addresses:
            try:
                sock.setsockopt(_V6, JOIN_ANYCAST, address + struct.pack("=i", socket.if_nametoindex(device)))
            except OSError as error:
                why = os.strerror(error.errno or 0)
                text = (
                    f"the anycast address {ip_address(address)} of home agents cannot be had on {device} "
                    f"({why}); is net.ipv6.conf.all.forwarding 1? Hosts that look for it get no answer"
                )
                self._tell(Notify("warning", text))

    def _prepare(self, sock: socket.socket, device: str) -> None:
        index = struct.pack("=i", socket.if_nametoindex(device))
        sock.setsockopt(_V6, MULTICAST_INTERFACE, index)
        sock.setsockopt(_V6, MULTICAST_HOPS, 255)
        sock.setsockopt(_V6, MULTICAST_LOOP, 0)
        sock.setsockopt(_V6, JOIN_GROUP, _ALL_ROUTERS + index)

    def send(self, effect: SendOnLink) -> None:
        """Send on the home link; what the host refuses is lost, the next one comes soon."""
        if self._link is not None:
            where = socket.inet_ntop(socket.AF_INET6, effect.destination), 0
            with contextlib.suppress(OSError):
                self._link.socket.sendto(effect.data, where)

    def stop(self) -> None:
        """Close all; the kernel forgets the anycast addresses."""
        for each in (self._requests, self._link):
            if each is not None:
                each.stop()
        self._requests = self._link = None
        self._wanted = ()
