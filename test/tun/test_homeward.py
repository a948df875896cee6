"""The rules of a mobile node's tunnel: what goes home, what comes out, what is refused."""

from ipaddress import ip_address

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.counters import MN, CounterSet
from appliance.protocols.mn.events import Optimize, Path, Tunnel
from appliance.protocols.mobility.packet import parse_ipv6
from appliance.tun import packet as ip
from appliance.tun.homeward import Homeward


def packed(text: str) -> bytes:
    """An address as octets."""
    return ip_address(text).packed


HOME, HOME4 = packed("2001:db8:1::5"), packed("203.0.113.5")
CARE_OF, CELL = packed("2001:db8:a::2"), packed("10.0.0.2")
AGENT, AGENT4 = packed("2001:db8:ffff::1"), packed("198.51.100.1")
PEER, PEER4 = packed("2001:db8:eeee::80"), packed("192.0.2.80")
NETWORK = (packed("2001:db8:77::"), 64)
SIX = Path("wlan0", CARE_OF, AGENT)
UDP = Path("cell0", CELL, AGENT4, True, 4191)


def outgoing(size: int = 60, source: bytes = HOME, destination: bytes = PEER) -> bytes:
    """A UDP packet of an application."""
    return ip.ipv6_packet(source, destination, ip.UDP, bytes(size - 40))


class HomewardTests(SynchronousTestCase):
    """One node with a tunnel over IPv6."""

    def setUp(self) -> None:
        """Its rules."""
        self.counters = CounterSet(MN)
        self.rules = Homeward(self.counters, 1500, None)
        self.rules.install(Tunnel(HOME, HOME4, (NETWORK,), (SIX,)))

    def value(self, key: str) -> int:
        """A counter."""
        return self.counters.value(key)

    def test_out(self) -> None:
        """From the home address and the networks behind us alone (RFC 6275 11.3.1, RFC 3963 5.5)."""
        way = self.rules.outbound(outgoing(), 60, 0.0)
        assert way is not None
        self.assertEqual((way.path, way.row6.name, way.row4.name), (SIX, "6in6", "4in6"))
        inside = outgoing(source=packed("2001:db8:77::9"))
        self.assertIsNotNone(self.rules.outbound(inside, 60, 0.0))
        self.assertIsNone(self.rules.outbound(outgoing(source=CARE_OF), 60, 0.0))
        self.assertEqual(self.value("home-address-data/source-not-ours"), 1)
        self.assertIsNone(self.rules.outbound(outgoing(destination=packed("ff02::1")), 60, 0.0))
        self.rules.remove()
        self.assertIsNone(self.rules.outbound(outgoing(), 60, 0.0))
        self.assertEqual(self.value("home-address-data/no-tunnel"), 1)

    def test_in(self) -> None:
        """Only from the home agent, only for us; UDP and plain IPv4 alike (RFC 6275 11.3.3, RFC 5555 5.1)."""
        packet = outgoing(source=PEER, destination=HOME)
        self.assertEqual(self.rules.inbound(6, ip.IPV6, AGENT, packet, 0), packet)
        self.assertIsNone(self.rules.inbound(6, ip.IPV6, PEER, packet, 0))
        self.assertIsNone(self.rules.inbound(6, ip.IPV6, AGENT, outgoing(destination=PEER), 0))
        self.assertEqual(self.value("tunnel-data-received/errors/no-session-found"), 2)
        self.rules.install(Tunnel(HOME, HOME4, (), (UDP,)))
        four = ip.ipv4_packet(PEER4, HOME4, ip.UDP, bytes(8))
        self.assertEqual(self.rules.inbound(4, ip.UDP, AGENT4, four, 0), four)
        # What was on its way when the node moved comes by the older path.
        self.assertEqual(self.rules.inbound(6, ip.IPV6, AGENT, packet, 0), packet)
        self.assertEqual(self.value("tunnel-data-received/total-packets/6in6"), 2)
        self.assertEqual(self.value("tunnel-data-received/total-bytes/ipv4-udp-ipv4"), len(four) + 28)

    def test_too_big(self) -> None:
        """RFC 2473 section 7: the sender is told, as far as it can make its packets smaller."""
        for size, answered in ((1460, False), (1461, True)):
            way = self.rules.outbound(outgoing(size), size, 0.0)
            self.assertEqual(way is None, answered)
        (answer,) = self.rules.answers()
        self.assertEqual((answer[40], answer[8:24], answer[24:40]), (2, PEER, HOME))
        self.assertEqual(int.from_bytes(answer[44:48], "big"), 1460)
        self.assertTrue(ip.checksum_good(answer))

    def test_a_narrow_path(self) -> None:
        """A Packet Too Big lowers the MTU of the way for a while, and is passed on (RFC 2473 section 8)."""
        about = ip.ipv6_packet(CARE_OF, AGENT, ip.IPV6, outgoing(1400))
        error = ip.icmp6_error(2, 0, 1400, about, AGENT, CARE_OF)
        self.rules.tunnel_error(6, error, 10.0)
        (answer,) = self.rules.answers()
        self.assertEqual(int.from_bytes(answer[44:48], "big"), 1360)
        self.assertIsNone(self.rules.outbound(outgoing(1400), 1400, 20.0))
        self.assertIsNotNone(self.rules.outbound(outgoing(1400), 1400, 700.0))
        names = ("rcvd", "relayed", "dropped")
        values = [self.value(f"tunnel-icmpv6-packets/packet-too-big-{name}") for name in names]
        self.assertEqual(values, [1, 1, 0])

    def test_route_optimization(self) -> None:
        """Home Address option out (11.3.1), type 2 routing header in (6.4), only with whom it was agreed."""
        packet = outgoing()
        self.assertIsNone(self.rules.optimized(packet))
        self.rules.optimize(Optimize(PEER, "wlan0", CARE_OF))
        self.assertIsNotNone(self.rules.optimized(packet))
        sent = self.rules.with_home_option(packet, CARE_OF)
        self.assertTrue(ip.length_fits(sent))
        # The codec of signalling reads the same option.
        mh = self.rules.with_home_option(ip.ipv6_packet(HOME, PEER, 135, bytes(16)), CARE_OF)
        self.assertEqual(parse_ipv6(mh).home_source, HOME)
        routing = bytes((ip.UDP, 2, 2, 1)) + bytes(4) + HOME + packet[40:]
        came = self.rules.direct(PEER, routing)
        self.assertEqual(came, outgoing(source=PEER, destination=HOME))
        self.assertIsNone(self.rules.direct(AGENT, routing))
        self.assertIsNone(self.rules.direct(PEER, routing[:8] + CARE_OF + routing[24:]))
        self.assertEqual(self.value("route-optimization-data/packets-refused"), 2)
        self.rules.end_optimize(PEER)
        self.assertIsNone(self.rules.optimized(packet))

    def test_correspondents_are_told_once_a_second(self) -> None:
        """Never the home agent."""
        came = outgoing(source=PEER, destination=HOME)
        found = [self.rules.correspondent(came, now) for now in (10.0, 10.5, 11.0)]
        self.assertEqual(found, [PEER, None, PEER])
        self.assertIsNone(self.rules.correspondent(outgoing(source=AGENT, destination=HOME), 10.0))

    @settings(max_examples=200, deadline=None)
    @given(st.binary(max_size=120), st.sampled_from([4, 6, 41, 17, 47]), st.integers(0, 3))
    def test_anything(self, data: bytes, protocol: int, tos: int) -> None:
        """Octets of strangers raise nothing, and each tunnel packet is counted once at most."""
        rows = [
            index
            for index, row in enumerate(MN.rows)
            if row.key.startswith(("tunnel-data-received/total-packets/", "tunnel-data-received/errors/"))
            and row.kind == "event"
        ]
        for head in (b"", outgoing()[:40], ip.icmp6_error(2, 0, 1300, data, AGENT, CARE_OF)[:8]):
            octets = head + data
            before = sum(self.counters.values[row] for row in rows), sum(self.rules.drops.values())
            self.rules.inbound(6, protocol, AGENT, octets, tos)
            after = sum(self.counters.values[row] for row in rows), sum(self.rules.drops.values())
            self.assertEqual(sum(after) - sum(before), 1)
            self.rules.direct(PEER, octets)
            self.rules.tunnel_error(6, octets, 1.0)
            if octets:
                self.rules.outbound(octets, len(octets), 1.0)
