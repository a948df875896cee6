"""Tunnels in UDP: ports that are learnt and followed, gateways behind one address, keep-alives, DF."""

from scapy.layers.inet6 import IPv6, defragment6
from twisted.trial.unittest import SynchronousTestCase

from appliance.counters import LMA, MAG, CounterSet
from appliance.protocols.pmipv6.events import Install
from appliance.tun import packet as ip
from appliance.tun.encap import ENCAPSULATIONS
from appliance.tun.forwarding import Forwarding
from appliance.tun.session import Path
from test.tun.test_forwarding import CN4, CN6, LMA_ADDRESS, MN4, MN6, PREFIX, packed, udp6

HERE, NAT = packed("198.51.100.1"), packed("192.0.2.9")
ONE, TWO = packed("10.0.0.2"), packed("10.0.0.3")
OTHER_PREFIX, OTHER_MN = packed("2001:db8:1:2::"), packed("2001:db8:1:2::5")
ROWS = {row.name: row for row in ENCAPSULATIONS}


def behind(call_id: int = 1, gateway: bytes = ONE, **changes: object) -> Install:
    """The session of a gateway behind the NAT."""
    fields: dict[str, object] = {
        "call_id": call_id,
        "prefixes": ((PREFIX if gateway == ONE else OTHER_PREFIX, 64),),
        "ipv4_address": MN4 if gateway == ONE else None,
        "local": HERE,
        "peer": NAT,
        "udp": True,
        "gateway": gateway,
        "nat": True,
    }
    return Install(**{**fields, **changes})  # type: ignore[arg-type]


class PortTests(SynchronousTestCase):
    """What an anchor learns about ports."""

    def setUp(self) -> None:
        """Build a table with two gateways behind one address."""
        self.counters = CounterSet(LMA)
        self.table = Forwarding(self.counters, "lma", LMA_ADDRESS, HERE)
        self.table.install(behind(1, ONE))
        self.table.install(behind(2, TWO))

    def path(self, call_id: int) -> Path:
        """The path of a session."""
        return self.table.sessions[call_id].path

    def udp(self, data: bytes, port: int, source: bytes = NAT) -> bool:
        """Whether a UDP tunnel packet passes."""
        return self.table.inbound(4, ip.UDP, source, data, 0, 0.0, port) is not None

    def test_learnt(self) -> None:
        """The port is that of the session's own packets; the other gateway's stays unknown."""
        self.assertEqual((self.path(1).port, self.path(2).port), (0, 0))
        self.assertTrue(self.udp(udp6(MN6, CN6), 5437))
        self.assertEqual((self.path(1).port, self.path(2).port), (5437, 0))
        self.assertTrue(self.udp(udp6(OTHER_MN, CN6), 40002))
        self.assertEqual((self.path(1).port, self.path(2).port), (5437, 40002))

    def test_followed(self) -> None:
        """A NAT that gives another port is followed at once; the engine makes a new socket address."""
        self.udp(udp6(MN6, CN6), 5437)
        self.path(1).destination = "old"
        self.udp(udp6(MN6, CN6), 50000)
        self.assertEqual((self.path(1).port, self.path(1).destination), (50000, None))

    def test_not_taught_by_strangers(self) -> None:
        """Neither a wrong source nor a wrong form teaches anything."""
        self.udp(udp6(MN6, CN6), 5437)
        self.assertFalse(self.udp(udp6(MN6, CN6), 666, packed("192.0.2.66")))
        self.assertFalse(self.udp(udp6(packed("2001:db8:9::1"), CN6), 666))
        self.assertFalse(self.udp(ROWS["IPv4 UDP TLV (IPv6)"].shim(100, None) + udp6(MN6, CN6), 666))
        self.assertEqual(self.path(1).port, 5437)
        self.assertEqual(self.counters.value("tunnel-data-received/errors/no-session-found"), 3)

    def test_kept(self) -> None:
        """A refresh that changes the session keeps the port; so does another tag of the same gateway."""
        self.udp(udp6(MN6, CN6), 50000)
        self.table.install(behind(1, ONE, send_key=5))
        self.assertEqual(self.path(1).port, 50000)
        self.table.install(behind(1, b"\x12\x34", prefixes=((PREFIX, 64),), nat=False))
        self.assertEqual(self.path(1).port, 50000)

    def test_forgotten(self) -> None:
        """Nothing of a path outlives its last session."""
        self.udp(udp6(MN6, CN6), 5437)
        self.table.remove(1)
        self.table.remove(2)
        self.assertEqual((self.table.paths, self.table._ports), ({}, {}))

    def test_without_nat(self) -> None:
        """RFC 5844 section 4.1.4.1: 5437 from the start where no NAT was found."""
        self.table.install(behind(1, b"", nat=False))
        self.assertEqual(self.path(1).port, 5437)

    def test_error_by_port(self) -> None:
        """An ICMP error about a UDP tunnel packet is of the path whose port it quotes."""
        self.udp(udp6(MN6, CN6), 5437)
        self.udp(udp6(OTHER_MN, CN6), 40002)
        inner = udp6(CN6, OTHER_MN, 1400)
        outer = ROWS["IPv4 UDP (IPv6)"].build(HERE, NAT, inner)
        quoted = outer[:22] + (40002).to_bytes(2, "big") + outer[24:]
        message = ip.icmp4_error(3, 4, 1340, quoted)
        self.table.tunnel_error(4, message, 1.0)
        self.assertEqual((self.path(1).mtu, self.path(2).mtu), (1500, 1340))
        (answer,) = self.table.take()
        self.assertEqual((answer.destination, answer.message[0]), (CN6, 2))
        self.assertEqual(int.from_bytes(answer.message[4:8], "big"), 1340 - 28)
        # RFC 792 wants no more than eight octets of what follows the IP header.
        self.table.tunnel_error(4, ip.icmp4_error(3, 4, 1300, quoted[:28]), 2.0)
        self.assertEqual((self.path(2).mtu, self.table.take()), (1300, []))
        self.assertEqual(self.counters.value("tunnel-icmpv6-packets/packet-too-big-rcvd"), 0)


class KeepAliveTests(SynchronousTestCase):
    """A gateway's reminders for its NAT."""

    def setUp(self) -> None:
        """Build the tables of both ends."""
        self.gateway = Forwarding(CounterSet(MAG), "mag", b"", ONE)
        self.anchor = Forwarding(CounterSet(LMA), "lma", LMA_ADDRESS, HERE)
        self.anchor.install(behind())

    def serve(self, call_id: int = 1, **changes: object) -> None:
        """Have a session at the gateway."""
        self.gateway.install(
            behind(
                call_id,
                **{"local": ONE, "peer": HERE, "nat": False, "keepalive": 20, "interface": "acc0", **changes},
            )
        )

    def test_rhythm(self) -> None:
        """At once, and then every 20 seconds, one for all sessions of an anchor; none when they are gone."""
        self.serve()
        self.serve(2)
        self.assertEqual(self.gateway.deadline, 0.0)
        for now, count in ((100.0, 1), (110.0, 0), (120.0, 1), (140.0, 1)):
            self.gateway.tick(now)
            self.assertEqual(len(self.gateway.keepalives()), count, str(now))
        self.assertEqual(self.gateway.deadline, 160.0)
        self.gateway.remove(1)
        self.gateway.tick(160.0)
        self.assertEqual([each[0].call_id for each in self.gateway.keepalives()], [2])
        self.gateway.remove(2)
        self.gateway.tick(180.0)
        self.assertEqual((self.gateway.keepalives(), self.gateway.deadline), ([], None))

    def test_teaches(self) -> None:
        """It teaches the anchor the port and goes no further; nothing is counted as traffic."""
        for changes in ({}, {"ipv4_address": None}):
            self.serve(**changes)
            self.gateway.tick(0.0)
            ((session, packet),) = self.gateway.keepalives()
            self.assertTrue(ip.length_fits(packet))
            self.assertIsNone(self.anchor.inbound(4, ip.UDP, NAT, packet, 0, 0.0, 41000))
            self.assertEqual(self.anchor.sessions[1].path.port, 41000)
            self.gateway.remove(1)
        self.assertEqual(self.anchor.drops, {"keep-alive": 2})
        self.assertEqual(sum(self.anchor._values), 0)

    def test_a_foreign_anchor_sends_it_back(self) -> None:
        """An anchor that does not know it routes it to the mobile node: it ends at the gateway."""
        self.serve()
        self.gateway.tick(0.0)
        ((_, packet),) = self.gateway.keepalives()
        self.assertIsNone(self.gateway.inbound(4, ip.UDP, HERE, packet, 0, 0.0, 5437))
        self.assertEqual(self.gateway.drops, {"keep-alive": 1})


class FragmentTests(SynchronousTestCase):
    """Which outer IPv4 packets routers may fragment."""

    def test_df(self) -> None:
        """RFC 2003 section 3.1 for IPv4 inside, RFC 4213 section 3.2.2 for IPv6."""
        table = Forwarding(CounterSet(LMA), "lma", LMA_ADDRESS, HERE)
        table.install(behind())
        session = table.sessions[1]
        for set_ in (False, True):
            packet = ip.ipv4_packet(CN4, MN4, 17, bytes(100), dont_fragment=set_)
            self.assertEqual(session.may_fragment(packet), not set_)
        self.assertFalse(session.may_fragment(udp6()))
        session.path.mtu = 1300
        self.assertTrue(session.may_fragment(udp6()))

    def test_without_an_ipv6_address(self) -> None:
        """Errors to mobiles come from the link-local address of RFC 6543 where the service has no IPv6."""
        table = Forwarding(CounterSet(MAG), "mag", b"", ONE)
        table.install(behind(local=ONE, peer=HERE, interface="acc0", gateway=ONE, nat=False))
        self.assertIsNone(table.from_mobile("acc0", b"", udp6(MN6, CN6, 1490), 1490, 0.0))
        (answer,) = table.take()
        self.assertEqual(answer.packet[8:24], packed("fe80::200:5eff:fe00:5213"))
        self.assertTrue(ip.checksum_good(answer.packet))

    def test_ipv6_fragments(self) -> None:
        """RFC 8200 section 4.5, read by an independent reader: the parts give the packet again."""
        inner = udp6(size=1280)
        for mtu in (1280, 1300, 1327):
            parts = [
                IPv6(ip.ipv6_packet(LMA_ADDRESS, CN6, ip.FRAGMENT, part))
                for part in ip.fragments(ip.IPV6, inner, mtu, 0xBEEF)
            ]
            self.assertTrue(all(len(part) <= mtu for part in parts))
            whole = defragment6(parts)
            self.assertEqual((whole.nh, bytes(whole.payload)), (ip.IPV6, inner))
