"""The sockets of one care-of address: signalling and tunnel packets come and go here.

::

    IPv6  Mobility Header (135) ─┐                         ┌─ whole packets (255): Home Address option
          routing header (43)  ──┼─▶ Hears ... MnDriver ───┼─ Mobility Header
          ICMPv6               ──┘                         └─ tunnel: 41, 4
    IPv4  UDP port 4191, tunnel: 41, 4, ICMP

Every socket is bound to its address and device and has a mark, so that routing rules send what it sends by
the real interface and not into the tunnel. An address may be bound before it is there (freebind): on the
home link the node sends from an address that it has only just got.
"""

import contextlib
import socket
import struct
from collections.abc import Callable
from typing import Any, Protocol

from twisted.logger import Logger

from appliance.errors import ResourceError
from appliance.protocols.rawsock import BATCH, IPPROTO_MH, IPV6_CHECKSUM, enlarge_buffers, explain
from appliance.tun import packet as ip
from appliance.tun.device import Reader
from appliance.tun.native import attach_filter

_log = Logger()

#: RFC 5555 section 4.1.
DSMIPV6_PORT = 4191
#: Mark of all our sockets, for the routing rules; "mn" in ASCII.
MARK = 0x6D6E
WHOLE_PACKETS = 255
#: ICMPv6: Packet Too Big, Parameter Problem, and the answers of RFC 6275 sections 6.6 and 6.8.
ICMP_TYPES = (2, 4, 145, 147)
LARGEST = 65_536
#: Seconds between two log lines about packets that raised an exception.
SILENCE = 10.0
# <linux/in.h>, <linux/in6.h>, <asm-generic/socket.h>
IP_FREEBIND, IPV6_FREEBIND, SO_MARK, ICMP6_FILTER, SOL_RAW, ICMP_FILTER = 15, 78, 36, 1, 255, 1
IPV6_RECVTCLASS, IPV6_AUTOFLOWLABEL, IP_RECVTOS = 66, 70, 13
# Routing headers of type 2 only: ldb [2]; jeq 2; ret.
_TYPE_2 = [(0x30, 0, 0, 2), (0x15, 0, 1, 2), (0x06, 0, 0, 0x40000), (0x06, 0, 0, 0)]


class Hears(Protocol):
    """Who gets what comes."""

    def message(self, end: "End", data: bytes, source: bytes) -> None:
        """A Mobility Header."""

    def routed(self, end: "End", data: bytes, source: bytes) -> None:
        """A packet with a type 2 routing header, from that header on."""

    def icmp(self, end: "End", data: bytes, source: bytes) -> None:
        """An ICMP message, from its type octet on."""


def opened(
    family: int, protocol: int, address: bytes, interface: str, *, port: int = 0, peer: bytes = b""
) -> socket.socket:
    """A raw (protocol 17: UDP) socket as described above; raises ResourceError."""
    text = socket.inet_ntop(family, address)
    kind = socket.SOCK_DGRAM if protocol == socket.IPPROTO_UDP else socket.SOCK_RAW
    sock = None
    try:
        sock = socket.socket(family, kind | socket.SOCK_NONBLOCK, protocol)
        enlarge_buffers(sock)
        sock.setsockopt(socket.SOL_SOCKET, SO_MARK, MARK)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVTCLASS, 1)
            # RFC 2473 section 3.1: flow label 0 by default; the kernel would make one up.
            sock.setsockopt(socket.IPPROTO_IPV6, IPV6_AUTOFLOWLABEL, 0)
        else:
            sock.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
            sock.setsockopt(socket.IPPROTO_IP, IP_RECVTOS, 1)
        if protocol == IPPROTO_MH:
            # The kernel would check it over the addresses of the packet, and drop without a word.
            sock.setsockopt(socket.IPPROTO_IPV6, IPV6_CHECKSUM, -1)
        sock.bind((text, port))
        if peer:
            # Linux learns the path MTU for connected raw sockets only.
            sock.connect((socket.inet_ntop(family, peer), 0))
    except OSError as error:
        if sock is not None:
            sock.close()
        name = f"UDP port {port}" if port else f"raw socket for protocol {protocol}"
        raise ResourceError(explain(error, f"{name} on {text} ({interface})")) from error
    return sock


class End:
    """One care-of address with its signalling sockets; raises ResourceError."""

    def __init__(self, reactor: Any, interface: str, address: bytes, hears: Hears) -> None:
        self.interface = interface
        self.address = address
        self._reactor = reactor
        self._hears = hears
        self._sockets: list[socket.socket] = []
        self._readers: list[Reader] = []
        self._silent_until = 0.0
        self._mh: socket.socket | None = None
        self._whole: socket.socket | None = None
        self._icmp: socket.socket | None = None
        self.udp: socket.socket | None = None
        try:
            if len(address) == 16:
                self._open_ipv6()
            else:
                self._open_ipv4()
        except ResourceError:
            self.stop()
            raise

    def _open(self, protocol: int, port: int = 0) -> socket.socket:
        family = socket.AF_INET6 if len(self.address) == 16 else socket.AF_INET
        sock = opened(family, protocol, self.address, self.interface, port=port)
        self._sockets.append(sock)
        return sock

    def _open_ipv6(self) -> None:
        hears = self._hears
        self._mh = self._open(IPPROTO_MH)
        self._whole = self._open(WHOLE_PACKETS)
        routing = self._open(ip.ROUTING)
        attach_filter(routing.fileno(), _TYPE_2)
        self._icmp = self._open(socket.IPPROTO_ICMPV6)
        mask = bytearray(b"\xff" * 32)
        for kind in ICMP_TYPES:
            word = struct.unpack_from("=I", mask, kind // 32 * 4)[0] & ~(1 << kind % 32)
            struct.pack_into("=I", mask, kind // 32 * 4, word)
        self._icmp.setsockopt(socket.IPPROTO_ICMPV6, ICMP6_FILTER, bytes(mask))
        self._read(self._mh, hears.message)
        self._read(routing, hears.routed)
        self._read(self._icmp, hears.icmp)

    def _open_ipv4(self) -> None:
        self.udp = self._open(socket.IPPROTO_UDP, DSMIPV6_PORT)
        icmp = self._open(socket.IPPROTO_ICMP)
        icmp.setsockopt(SOL_RAW, ICMP_FILTER, struct.pack("=I", 0xFFFFFFFF & ~(1 << 3)))

        def inside(end: End, data: bytes, source: bytes) -> None:
            # An IPv4 raw socket gives the outer header too.
            self._hears.icmp(end, data[(data[0] & 15) * 4 :], source)

        self._read(icmp, inside)

    def _read(self, sock: socket.socket, hear: Callable[["End", bytes, bytes], None]) -> None:
        family = sock.family

        def read() -> None:
            for _ in range(BATCH):
                try:
                    data, sender = sock.recvfrom(LARGEST)
                except BlockingIOError:
                    return
                except OSError:
                    # A pending ICMP error of an earlier send: the time-out finds who does not answer.
                    continue
                try:
                    hear(self, data, socket.inet_pton(family, sender[0].partition("%")[0]))
                except Exception:  # noqa: BLE001 - one packet must not make the reactor close the socket
                    self._stumbled()

        reader = Reader(sock.fileno(), read)
        self._readers.append(reader)
        self._reactor.addReader(reader)

    def _stumbled(self) -> None:
        now = self._reactor.seconds()
        if now >= self._silent_until:
            self._silent_until = now + SILENCE
            _log.failure("a packet on {interface} could not be dealt with", interface=self.interface)

    # ---- sending: False, the host refuses

    def send_message(self, data: bytes, destination: bytes) -> bool:
        """Send a Mobility Header."""
        return self._to(self._mh, data, destination)

    def send_icmp(self, data: bytes, destination: bytes) -> bool:
        """Send an ICMPv6 message."""
        return self._to(self._icmp, data, destination)

    def send_whole(self, packet: bytes) -> bool:
        """Send a whole IPv6 packet."""
        return self._to(self._whole, packet, packet[24:40])

    def send_udp(self, data: bytes, destination: bytes, port: int) -> bool:
        """Send by UDP over IPv4."""
        return self._to(self.udp, data, destination, port)

    def _to(self, sock: socket.socket | None, data: bytes, destination: bytes, port: int = 0) -> bool:
        if sock is None or len(destination) != len(self.address):
            return False
        with contextlib.suppress(OSError):
            sock.sendto(data, (socket.inet_ntop(sock.family, destination), port))
            return True
        return False

    def stop(self) -> None:
        """Close all sockets."""
        for reader in self._readers:
            self._reactor.removeReader(reader)
        self._readers.clear()
        for sock in self._sockets:
            sock.close()
        self._sockets.clear()
