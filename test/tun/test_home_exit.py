"""What leaves the tunnels for the nodes of a home link (RFC 6275 section 10.4)."""

import errno
import os
import socket
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.compat import raw
from scapy.layers.inet import TCP
from scapy.layers.inet6 import ICMPv6DestUnreach, ICMPv6PacketTooBig, IPv6
from twisted.trial.unittest import SynchronousTestCase

from appliance.counters import LMA, CounterSet
from appliance.errors import ResourceError
from appliance.tun import packet as ip
from appliance.tun.device import System, TunDevice
from appliance.tun.engine import Engine
from appliance.tun.offload import GSO_TCPV6, HEADER, NEEDS_CSUM, NO_OFFLOAD
from appliance.tun.tun_reader import tun_reader
from test.tun.test_access import FakeReactor
from test.tun.test_forwarding import LMA_ADDRESS, MAG_ADDRESS, session, udp6
from test.tun.test_forwarding import packed as octets

LINK, BOUND, FREE = octets("2001:db8:1:1::"), octets("2001:db8:1:1::5"), octets("2001:db8:1:1::80")


class FakeSocket:
    """A raw socket that keeps what goes out, or refuses it."""

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, str]] = []
        self.refuse = 0
        self.closed = False

    def sendto(self, packet: bytes, to: tuple[str, int]) -> None:
        """Kept, or refused."""
        if self.refuse:
            raise OSError(self.refuse, os.strerror(self.refuse))
        self.sent.append((packet, to[0]))

    def close(self) -> None:
        """Noted."""
        self.closed = True


class FakeTun(TunDevice):
    """A TUN device with packets that wait."""

    def __init__(self) -> None:
        self.waiting: list[bytes] = []

    def read(self) -> bytes:
        """The next one."""
        return self.waiting.pop(0) if self.waiting else b""


class FakeSystem(System):
    """A host with one home link."""

    def __init__(self) -> None:
        self.sockets: list[FakeSocket] = []
        self.there = True

    def open_whole(self, interface: str) -> Any:
        """Another socket each time."""
        if not self.there:
            raise ResourceError(f"home link {interface}: there is no such device")
        self.sockets.append(FakeSocket())
        return self.sockets[-1]

    @staticmethod
    def link_mtu(interface: str) -> int:
        """Less than the tunnels'."""
        return 1400

    def route_mtu(self, local: bytes, peer: bytes) -> int:
        """Nothing is known."""
        return 0


class HomeExitTests(SynchronousTestCase):
    """One engine, one host that is away, one home link."""

    def setUp(self) -> None:
        """Packets are put into the TUN device; what goes to tunnels is collected."""
        self.system, self.tun = FakeSystem(), FakeTun()
        nobody: Any = None
        counters = CounterSet(LMA)
        self.engine = Engine(
            FakeReactor(), self.system, counters, LMA_ADDRESS, None, 1500, None, None, "lma", nobody, nobody
        )
        self.tunnelled: list[bytes] = []
        self.patch(self.engine, "to_tunnel", lambda _session, segments: self.tunnelled.extend(segments))
        self.engine.install(session(prefixes=((BOUND, 128),), ipv4_address=None, peer=MAG_ADDRESS))
        self.answers: list[Any] = []
        self.patch(self.engine, "flush", lambda: self.answers.extend(self.engine.forwarding.take()))
        self.read = tun_reader(self.engine, self.tun)
        self.engine.serve_home("home0", ((LINK, 64),))

    def put(self, packet: bytes, header: bytes = NO_OFFLOAD) -> None:
        """A packet comes out of the device."""
        self.tun.waiting.append(header + packet)
        self.read()

    def sent(self) -> list[tuple[bytes, str]]:
        """All that has gone out on the link."""
        return [each for sock in self.system.sockets for each in sock.sent]

    def test_who_is_away_and_who_is_not(self) -> None:
        """The one through the tunnel, the other out on the link as it is."""
        away, there = udp6(destination=BOUND), udp6(destination=FREE)
        self.put(away)
        self.put(there)
        self.assertEqual((self.tunnelled, self.sent()), ([away], [(there, "2001:db8:1:1::80")]))
        self.assertEqual((self.engine.forwarding.drops, self.answers), ({}, []))

    def test_what_is_on_no_link(self) -> None:
        """Unreachable, as without a home link; and so is the link when there is none any more."""
        self.put(udp6(destination=octets("2001:db8:1:2::80")))
        self.engine.serve_home("", ())
        self.put(udp6(destination=FREE))
        self.assertEqual(self.sent(), [])
        self.assertEqual(self.engine.forwarding.drops, {"no-session": 2})
        self.assertEqual([answer.message[:2] for answer in self.answers], [b"\1\3", b"\1\3"])

    def test_what_is_refused(self) -> None:
        """Link scope and groups never go out; nor what is cut off, nor what a bound host may not have."""
        for packet in (
            udp6(source=octets("fe80::1"), destination=FREE),
            udp6(source=octets("::"), destination=FREE),
            udp6(destination=octets("ff0e::1")),
            udp6(destination=FREE)[:-1],
            udp6(source=MAG_ADDRESS, destination=BOUND),
            b"",
        ):
            self.put(packet)
        self.assertEqual((self.sent(), self.tunnelled), ([], []))

    def test_super_packets_are_split(self) -> None:
        """The kernel's 64 kilobytes go out as single packets with their checksums."""
        data = bytes(3000)
        whole = IPv6(src="2001:db8:eeee::80", dst="2001:db8:1:1::80") / TCP(flags="A") / data
        packet = raw(whole)
        self.put(packet, HEADER.pack(NEEDS_CSUM, GSO_TCPV6, 60, 1400, 40, 16))
        pieces = [piece for piece, _ in self.sent()]
        self.assertEqual([len(piece) - 60 for piece in pieces], [1400, 1400, 200])
        self.assertTrue(all(map(ip.checksum_good, pieces)))

    def test_the_link_is_narrow(self) -> None:
        """RFC 4443 section 3.2: the sender is told what fits."""
        self.put(udp6(destination=FREE))
        self.system.sockets[0].refuse = errno.EMSGSIZE
        self.put(udp6(destination=FREE, size=1450))
        (answer,) = self.answers
        self.assertEqual(self.message(answer)[ICMPv6PacketTooBig].mtu, 1400)

    def message(self, answer: Any) -> IPv6:
        """An answer as Scapy reads it."""
        return IPv6(ip.ipv6_packet(LMA_ADDRESS, answer.destination, 58, answer.message))

    def test_the_link_goes_and_comes(self) -> None:
        """Unreachable meanwhile; the device that comes by the same name is another one."""
        self.put(udp6(destination=FREE))
        self.system.sockets[0].refuse, self.system.there = errno.ENODEV, False
        self.put(udp6(destination=FREE))
        self.put(udp6(destination=FREE))
        self.assertTrue(self.system.sockets[0].closed)
        self.assertEqual([self.message(each)[ICMPv6DestUnreach].code for each in self.answers], [3, 3])
        self.system.there = True
        self.put(udp6(destination=FREE))
        self.assertEqual((len(self.sent()), len(self.system.sockets)), (2, 2))
        self.system.sockets[1].refuse = errno.EAGAIN
        self.put(udp6(destination=FREE))
        self.system.sockets[1].refuse = errno.EPERM
        self.put(udp6(destination=FREE))
        wanted = {"home link down": 2, "home link busy": 1, "home link EPERM": 1}
        self.assertEqual(self.engine.forwarding.drops, wanted)
        self.engine.stop()
        self.assertTrue(self.system.sockets[1].closed)

    @settings(max_examples=100, deadline=None)
    @given(st.binary(max_size=120), st.booleans())
    def test_any_octets(self, data: bytes, to_link: bool) -> None:
        """Whatever comes: nothing raises, and nothing goes out that is not for the link."""
        before = len(self.sent())
        self.put(data[:24] + FREE + data[24:] if to_link else data)
        for packet, to in self.sent()[before:]:
            self.assertTrue(ip.length_fits(packet))
            self.assertTrue(socket.inet_pton(socket.AF_INET6, to).startswith(LINK[:8]))
