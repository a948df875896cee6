"""Tunnels of hosts in IPv4 networks (RFC 5555): four forms, with and without UDP; whose port is believed."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from twisted.trial.unittest import SynchronousTestCase

from appliance.counters import LMA, CounterSet
from appliance.protocols.pmipv6.events import Install
from appliance.tun import packet as ip
from appliance.tun.encap import ENCAPSULATIONS
from appliance.tun.forwarding import KEEP_ALIVE, Forwarding
from appliance.tun.session import HOSTS
from test.tun.test_forwarding import CASES, CN4, CN6, LMA_ADDRESS, MAG_ADDRESS, MN4, packed, udp6

HERE, NAT, CARE4 = packed("198.51.100.1"), packed("192.0.2.200"), packed("192.0.2.7")
HOME, HOME2 = packed("2001:db8:100::5"), packed("2001:db8:100::6")
ROWS = {row.name: row for row in ENCAPSULATIONS}
NO_SESSION = "tunnel-data-received/errors/no-session-found"


def host(call_id: int = 1, home: bytes = HOME, port: int = 40001, **changes: object) -> Install:
    """The tunnel of a host behind a NAT."""
    fields: dict[str, object] = {
        "call_id": call_id,
        "prefixes": ((home, 128),),
        "ipv4_address": MN4 if home == HOME else None,
        "local": HERE,
        "peer": NAT,
        "udp": True,
        "gateway": home + port.to_bytes(2, "big"),
        "host_port": port,
    }
    return Install(**{**fields, **changes})  # type: ignore[arg-type]


def udp4(source: bytes, destination: bytes, size: int = 100, dont_fragment: bool = False) -> bytes:
    """A UDP packet over IPv4."""
    return ip.ipv4_packet(source, destination, 17, bytes(size - 20), 64, 0, dont_fragment)


class HostTunnelTests(SynchronousTestCase):
    """What a home agent takes and gives."""

    def setUp(self) -> None:
        """Build a table."""
        self.counters = CounterSet(LMA)
        self.table = Forwarding(self.counters, "lma", LMA_ADDRESS, HERE)

    def up(self, data: bytes, port: int = 40001, source: bytes = NAT) -> bool:
        """Whether a packet passes that came to port 4191."""
        return self.table.from_host(source, data, 0, 0.0, port) is not None

    def test_all_forms(self) -> None:
        """Each of the four combinations and both in UDP: the row, its counter, both ways."""
        plain = {"udp": False, "host_port": 0, "gateway": b""}
        for name, protocol, effect in (
            ("6in6", 41, host(local=LMA_ADDRESS, peer=MAG_ADDRESS, **plain)),
            ("4in6", 4, host(local=LMA_ADDRESS, peer=MAG_ADDRESS, **plain)),
            ("6in4", 41, host(udp=False)),
            ("4in4", 4, host(udp=False)),
            ("IPv4 UDP (IPv6)", 17, host()),
            ("IPv4 UDP (IPv4)", 17, host()),
        ):
            with self.subTest(name):
                row = ROWS[name]
                self.table.install(effect)
                up = udp6(HOME, CN6) if row.inner == 6 else udp4(MN4, CN4)
                down = udp6(CN6, HOME) if row.inner == 6 else udp4(CN4, MN4)
                peer = effect.peer
                if protocol == 17:
                    found = self.table.from_host(peer, up, 0, 0.0, 40001)
                else:
                    found = self.table.inbound(row.outer, protocol, peer, up, 0, 0.0)
                self.assertEqual(found and found[1], up)
                session = self.table.outbound(down, len(down), 0.0)
                assert session is not None
                used = session.row6 if row.inner == 6 else session.row4
                self.assertIs(used, row)
                self.table.sent(session, used, 1, len(down))
                for side in ("received", "sent"):
                    total = f"tunnel-data-{side}/total-packets/{row.counter}"
                    self.assertEqual(self.counters.value(total), 1, total)
                self.assertEqual(session.local, HOSTS if protocol == 17 else b"")

    def test_only_its_port(self) -> None:
        """Data from another port is not believed before an update has said so; the port stays as it is."""
        self.table.install(host())
        self.assertTrue(self.up(udp6(HOME, CN6)))
        self.assertFalse(self.up(udp6(HOME, CN6), port=666))
        self.assertFalse(self.up(udp6(HOME, CN6), source=packed("192.0.2.66")))
        self.assertEqual(self.table.sessions[1].path.port, 40001)
        self.assertEqual(self.counters.value(NO_SESSION), 2)
        self.table.install(host(port=666))
        self.assertTrue(self.up(udp6(HOME, CN6), port=666))
        self.assertFalse(self.up(udp6(HOME, CN6)))
        self.assertEqual([path.port for path in self.table.paths.values()], [666])

    def test_two_behind_one_address(self) -> None:
        """One cannot send what is the other's, though both come from one address."""
        self.table.install(host())
        self.table.install(host(2, HOME2, 40002))
        self.assertTrue(self.up(udp6(HOME2, CN6), port=40002))
        self.assertFalse(self.up(udp6(HOME2, CN6), port=40001))
        self.assertEqual([self.table.sessions[each].path.port for each in (1, 2)], [40001, 40002])
        self.table.remove(1)
        self.assertTrue(self.up(udp6(HOME2, CN6), port=40002))
        self.table.remove(2)
        self.assertEqual((self.table.paths, self.table._ports), ({}, {}))

    def test_the_ports_are_kept_apart(self) -> None:
        """A host's packet to 5437 and a gateway's to 4191 are nobody's; nothing is learnt from them."""
        self.table.install(host())
        gateway = {"host_port": 0, "gateway": b"gw", "nat": True}
        self.table.install(host(2, HOME2, **gateway))
        self.assertIsNone(self.table.inbound(4, 17, NAT, udp6(HOME, CN6), 0, 0.0, 40001))
        self.assertFalse(self.up(udp6(HOME2, CN6), port=5437))
        self.assertEqual(self.table.sessions[2].path.port, 0)
        self.assertEqual(self.counters.value(NO_SESSION), 2)

    def test_both_forms_without_a_nat(self) -> None:
        """Where none is agreed, packets are taken in UDP too (from its port), and given without."""
        self.table.install(host(peer=CARE4, udp=False, gateway=b""))
        self.assertIsNotNone(self.table.inbound(4, 41, CARE4, udp6(HOME, CN6), 0, 0.0))
        self.assertTrue(self.up(udp6(HOME, CN6), source=CARE4))
        self.assertTrue(self.up(udp4(MN4, CN4), source=CARE4))
        self.assertFalse(self.up(udp6(HOME, CN6), 40002, CARE4))
        self.assertEqual(self.table.sessions[1].path.port, 0)

    def test_udp_alone(self) -> None:
        """Where UDP is agreed, packets without it are nobody's; those with a TLV header neither."""
        self.table.install(host())
        self.assertIsNone(self.table.inbound(4, 41, NAT, udp6(HOME, CN6), 0, 0.0))
        inner = udp6(HOME, CN6)
        self.assertFalse(self.up(ROWS["IPv4 UDP TLV (IPv6)"].shim(len(inner), None) + inner))
        self.assertEqual(self.counters.value(NO_SESSION), 2)

    def test_keep_alives(self) -> None:
        """Nothing, or one octet, reminds a NAT and is no error."""
        self.table.install(host())
        self.assertFalse(self.up(b"") or self.up(b"\xff"))
        self.assertEqual(self.table.drops, {KEEP_ALIVE: 2})
        self.assertEqual(self.counters.value("tunnel-data-received/errors/invalid-pkt-length"), 0)

    def test_too_big(self) -> None:
        """28 octets go for the headers: IPv6 gets Packet Too Big, IPv4 with DF gets 3/4, others fragments."""
        self.table.install(host())
        self.assertIsNone(self.table.outbound(udp6(CN6, HOME, 1473), 1473, 0.0))
        (answer,) = self.table.take()
        self.assertEqual((answer.message[0], int.from_bytes(answer.message[4:8], "big")), (2, 1472))
        self.assertIsNone(self.table.outbound(udp4(CN4, MN4, 1473, True), 1473, 0.0))
        (answer,) = self.table.take()
        self.assertEqual((answer.message[:2], int.from_bytes(answer.message[6:8], "big")), (b"\3\4", 1472))
        for packet in (udp4(CN4, MN4, 1473), udp6(CN6, HOME, 1472)):
            session = self.table.outbound(packet, len(packet), 0.0)
            assert session is not None
        self.assertTrue(session.may_fragment(udp4(CN4, MN4)))
        self.assertFalse(session.may_fragment(udp6(CN6, HOME)))

    def test_error_on_the_way(self) -> None:
        """An ICMP error that quotes the host's port lowers its path alone, and the sender is told."""
        self.table.install(host())
        self.table.install(host(2, HOME2, 40002))
        inner = udp6(CN6, HOME2, 1400)
        quoted = bytes(IP(src="198.51.100.1", dst="192.0.2.200") / UDP(sport=4191, dport=40002) / inner)
        self.table.tunnel_error(4, ip.icmp4_error(3, 4, 1340, quoted), 1.0)
        self.assertEqual([self.table.sessions[each].path.mtu for each in (1, 2)], [1500, 1340])
        (answer,) = self.table.take()
        self.assertEqual(int.from_bytes(answer.message[4:8], "big"), 1312)

    def test_lanes(self) -> None:
        """Several care-of addresses (RFC 5648 section 8): one in IPv6, two behind one NAT."""
        bare = {"prefixes": (), "ipv4_address": None}
        lanes = (host(**bare), host(port=40002, **bare))
        first = host(local=LMA_ADDRESS, peer=MAG_ADDRESS, udp=False, host_port=0, gateway=b"", lanes=lanes)
        self.table.install(first)
        self.assertIsNotNone(self.table.inbound(6, 41, MAG_ADDRESS, udp6(HOME, CN6), 0, 0.0))
        self.assertTrue(self.up(udp6(HOME, CN6)) and self.up(udp6(HOME, CN6), port=40002))
        self.assertFalse(self.up(udp6(HOME, CN6), port=40003))
        self.table.remove(1)
        self.assertEqual(len(self.table._ports), 0)

    @settings(max_examples=CASES, deadline=None)
    @given(st.integers(0, 2**32))
    def test_never_raises(self, seed: int) -> None:
        """Random and mutated packets; whatever passes is the host's and came from its port."""
        chance = random.Random(seed)
        table = Forwarding(CounterSet(LMA), "lma", LMA_ADDRESS, HERE)
        table.install(host(udp=chance.random() < 0.5))
        noise = chance.randbytes(chance.randrange(99))
        data = bytearray(chance.choice((udp6(HOME, CN6), udp4(MN4, CN4), noise)))
        for _ in range(chance.randrange(4)):
            if data:
                data[chance.randrange(len(data))] = chance.randrange(256)
        port = chance.choice((40001, 40001, 7))
        found = table.from_host(chance.choice((NAT, CARE4)), bytes(data), chance.randrange(256), 0.0, port)
        if found is not None:
            source = IPv6(found[1]).src if found[1][0] >> 4 == 6 else IP(found[1]).src
            self.assertEqual(port, 40001)
            self.assertIn(packed(source), (HOME, MN4))
