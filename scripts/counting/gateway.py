"""A scripted gateway: sockets in the namespace of a gateway, and nothing behind them.

It sends whatever it is told, right or wrong, and keeps every message that comes back.
"""

import ctypes
import os
import select
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from scripts.counting import wire
from scripts.labnet import NETNS_DIR, Lab, LabError

CLONE_NEWNET = 0x40000000
#: Absent from the socket module: IPV6_CHECKSUM of <linux/in6.h>; IPv6 raw packets with their header.
IPV6_CHECKSUM = 7
PATIENCE = 3.0
_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def inside(lab: Lab, role: str) -> Iterator[None]:
    """Be in the network namespace of a role; what is opened meanwhile stays there."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(NETNS_DIR / lab.name(role), os.O_RDONLY)
    try:
        if _libc.setns(there, CLONE_NEWNET):
            raise LabError(f"setns to {lab.name(role)}: {os.strerror(ctypes.get_errno())}")
        yield
    finally:
        _libc.setns(home, CLONE_NEWNET)
        os.close(home)
        os.close(there)


@dataclass
class Answer:
    """A Binding Acknowledgement as it was read."""

    status: int
    sequence: int
    seconds: int
    options: dict[int, bytes]
    data: bytes


@dataclass
class Mobile:
    """A mobile node, and what the anchor has given it."""

    nai: str
    number: int
    prefix: bytes = b""
    prefix_length: int = 64
    address: bytes = b""
    """IPv4 home address."""
    sequence: int = 0
    key: int | None = None
    """The anchor's GRE key: that of packets to it."""
    extra: list[wire.Option] = field(default_factory=list)

    @property
    def link_layer(self) -> bytes:
        """Of its only interface."""
        return b"\2\0\x5e\x20" + self.number.to_bytes(2, "big")

    @property
    def host(self) -> bytes:
        """Its own IPv6 address."""
        return self.prefix[:8] + bytes(7) + b"\1"


class Gateway:
    """One gateway. ``address`` and ``ipv4`` are texts; ``anchor`` and ``anchor4`` the other end's."""

    def __init__(self, lab: Lab, role: str, address: str, ipv4: str, anchor: str, anchor4: str) -> None:
        self.address, self.ipv4 = wire.packed(address), wire.packed(ipv4)
        self.anchor, self.anchor4 = wire.packed(anchor), wire.packed(anchor4)
        #: Messages that are meant to be malformed: no reader need like them.
        self.wrong: list[bytes] = []
        #: What it has read.
        self.heard: list[bytes] = []
        with inside(lab, role):
            self.mh = self.raw(address, wire.MH)
            self.mh.setsockopt(socket.IPPROTO_IPV6, IPV6_CHECKSUM, -1)
            self.udp = self._udp(ipv4, wire.SIGNALLING_PORT)
            self.data: dict[tuple[int, int], socket.socket] = {
                (6, protocol): self.raw(address, protocol) for protocol in (wire.IPV6, wire.IPIP, wire.GRE)
            }
            for protocol in (wire.IPV6, wire.IPIP, wire.GRE):
                self.data[4, protocol] = self.raw(ipv4, protocol)
            self.data[4, wire.UDP] = self._udp(ipv4, wire.DATA_PORT)
            self.icmp = self.raw(address, wire.ICMP6)
            # Only for sending: RFC 3542 section 3.2, block every type.
            self.icmp.setsockopt(wire.ICMP6, 1, b"\xff" * 32)
            #: Whole packets with any source.
            self.any6 = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)

    @staticmethod
    def raw(address: str, protocol: int) -> socket.socket:
        """A raw socket that is bound."""
        sock = socket.socket(wire.family_of(wire.packed(address)), socket.SOCK_RAW, protocol)
        sock.bind((address, 0))
        return sock

    @staticmethod
    def _udp(address: str, port: int) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((address, port))
        return sock

    def close(self) -> None:
        """Close all sockets."""
        for sock in (self.mh, self.udp, self.icmp, self.any6, *self.data.values()):
            sock.close()

    # ---- signalling

    def send(self, mh: bytes, *, udp: bool = False, wrong: bool = False) -> None:
        """Send a message as it is; ``wrong``: it is not meant to be readable."""
        if wrong:
            self.wrong.append(mh)
        if udp:
            self.udp.sendto(mh, (socket.inet_ntop(socket.AF_INET, self.anchor4), wire.SIGNALLING_PORT))
        else:
            self.mh.sendto(mh, (socket.inet_ntop(socket.AF_INET6, self.anchor), 0))

    def seal(self, mh: bytes) -> bytes:
        """The message with the checksum for the way from here to the anchor."""
        return wire.sealed(mh, self.address, self.anchor)

    def receive(self, kind: int, timeout: float = PATIENCE, *, udp: bool = False) -> bytes:
        """The next message of an MH type; others are thrown away. :class:`LabError` when none comes."""
        sock = self.udp if udp else self.mh
        until = time.monotonic() + timeout
        while (left := until - time.monotonic()) > 0:
            if not select.select([sock], [], [], left)[0]:
                break
            data = sock.recv(4096)
            if len(data) > 2 and data[2] == kind:
                self.heard.append(data)
                return data
        raise LabError(f"no message of MH type {kind} came within {timeout:g} s")

    def drain(self) -> None:
        """Throw away all that has come and was not read."""
        self.drain_signalling()
        for sock in self.data.values():
            while select.select([sock], [], [], 0)[0]:
                sock.recv(65_536)

    def drain_signalling(self) -> None:
        """The same, of signalling only."""
        for sock in (self.mh, self.udp):
            while select.select([sock], [], [], 0)[0]:
                sock.recv(65_536)

    def answer(self, *, udp: bool = False, timeout: float = PATIENCE) -> Answer:
        """The next Binding Acknowledgement."""
        return self.read_answer(self.receive(wire.ACKNOWLEDGEMENT, timeout, udp=udp))

    @staticmethod
    def read_answer(data: bytes) -> Answer:
        """What a Binding Acknowledgement says (RFC 6275 section 6.1.8)."""
        sequence, units = int.from_bytes(data[8:10], "big"), int.from_bytes(data[10:12], "big")
        return Answer(data[6], sequence, 4 * units, dict(wire.options_of(data, 12)), data)

    def options(
        self,
        mobile: Mobile,
        indicator: int = 1,
        technology: int = 4,
        *,
        ipv6: bool = True,
        ipv4: bool = False,
    ) -> list[wire.Option]:
        """The options of a Proxy Binding Update as RFC 5213 section 6.9.1 wants them."""
        found = [wire.nai(mobile.nai)]
        if ipv6:
            known = mobile.prefix and indicator != 1
            found.append(
                (wire.PREFIX, bytes((0, 64 if known else 0)) + (mobile.prefix if known else bytes(16)))
            )
        found += [
            (wire.INDICATOR, bytes((0, indicator))),
            (wire.TECHNOLOGY, bytes((0, technology))),
            (wire.LINK_LAYER, b"\0\0" + mobile.link_layer),
        ]
        if ipv4:
            found.append((wire.IPV4_REQUEST, b"\0\0" + (mobile.address or bytes(4))))
        return [*found, *mobile.extra, (wire.TIMESTAMP, wire.now_field())]

    def update(
        self,
        mobile: Mobile,
        indicator: int = 1,
        seconds: int = 600,
        *,
        flags: int = wire.A | wire.P,
        options: list[wire.Option] | None = None,
        technology: int = 4,
        ipv6: bool = True,
        ipv4: bool = False,
        udp: bool = False,
    ) -> bytes:
        """Send a Proxy Binding Update about a mobile, one sequence number further; returns the message."""
        mobile.sequence = (mobile.sequence + 1) & 0xFFFF
        if options is None:
            options = self.options(mobile, indicator, technology, ipv6=ipv6, ipv4=ipv4)
        mh = wire.update(mobile.sequence, flags, seconds, options)
        # RFC 5844 section 4.1.3.1: over UDP the checksum of the message stays zero.
        mh = mh if udp else self.seal(mh)
        self.send(mh, udp=udp)
        return mh

    def register(
        self,
        mobile: Mobile,
        indicator: int = 1,
        seconds: int = 600,
        *,
        flags: int = wire.A | wire.P,
        options: list[wire.Option] | None = None,
        technology: int = 4,
        ipv6: bool = True,
        ipv4: bool = False,
        udp: bool = False,
        status: int = 0,
    ) -> Answer:
        """As :meth:`update`; waits for the answer, which is to have ``status``, and keeps what it gives."""
        self.update(
            mobile, indicator, seconds, flags=flags, options=options, technology=technology, ipv6=ipv6,
            ipv4=ipv4, udp=udp,
        )  # fmt: skip
        answer = self.answer(udp=udp)
        if answer.status != status:
            raise LabError(f"{mobile.nai}: answered with status {answer.status}, not {status}")
        if status < 128:
            self.keep(mobile, answer)
        return answer

    @staticmethod
    def keep(mobile: Mobile, answer: Answer) -> None:
        """Take over what an acknowledgement gives to the mobile."""
        given = answer.options.get(wire.PREFIX)
        if given and any(given[2:]):
            mobile.prefix_length, mobile.prefix = given[1], given[2:]
        reply = answer.options.get(wire.IPV4_REPLY)
        if reply and reply[0] == 0:
            mobile.address = reply[2:]
        key = answer.options.get(wire.GRE_KEY)
        if key is not None and len(key) == 6:
            mobile.key = int.from_bytes(key[2:], "big")

    # ---- tunnels

    def tunnel(self, outer: int, protocol: int, payload: bytes) -> None:
        """Send what follows an outer header that the kernel writes."""
        if outer == 6:
            self.data[6, protocol].sendto(payload, (socket.inet_ntop(socket.AF_INET6, self.anchor), 0))
            return
        port = wire.DATA_PORT if protocol == wire.UDP else 0
        self.data[4, protocol].sendto(payload, (socket.inet_ntop(socket.AF_INET, self.anchor4), port))

    def tunnelled(self, outer: int, protocol: int, timeout: float = PATIENCE) -> bytes:
        """The next payload behind an outer header that comes out of a tunnel."""
        sock = self.data[outer, protocol]
        if not select.select([sock], [], [], timeout)[0]:
            raise LabError(f"no tunnel packet (outer IPv{outer}, protocol {protocol}) within {timeout:g} s")
        data = sock.recv(65_536)
        # An IPv4 raw socket gives the outer header too.
        return data[20:] if outer == 4 and protocol != wire.UDP else data
