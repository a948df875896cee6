"""Which packets pass, which do not, and what is counted and answered."""

import os
from ipaddress import ip_address

from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import ICMPv6PacketTooBig, ICMPv6ParamProblem, ICMPv6TimeExceeded, IPv6, in6_chksum
from twisted.trial.unittest import SynchronousTestCase

from appliance.counters import LMA, MAG, CounterSet
from appliance.protocols.pmipv6.events import Install
from appliance.tun import packet as ip
from appliance.tun.forwarding import Forwarding
from appliance.tun.forwarding_table import IDLE_PATHS
from test.tun.vectors import INNER4_DOWN, INNER6_DOWN, INNER6_UP

CASES = int(os.environ.get("FUZZ", "200"))


def packed(text: str) -> bytes:
    """An address as octets."""
    return ip_address(text).packed


LMA_ADDRESS, MAG_ADDRESS, OTHER = packed("2001:db8:ffff::1"), packed("2001:db8:a::1"), packed("2001:db8:b::1")
PREFIX, MN6, MN4 = packed("2001:db8:1:1::"), packed("2001:db8:1:1::5"), packed("203.0.113.10")
CN6, CN4 = packed("2001:db8:eeee::80"), packed("192.0.2.80")
MAC = bytes.fromhex("02005e100001")


def session(call_id: int = 1, **changes: object) -> Install:
    """An Install with some fields changed."""
    fields: dict[str, object] = {
        "call_id": call_id,
        "prefixes": ((PREFIX, 64),),
        "ipv4_address": MN4,
        "local": LMA_ADDRESS,
        "peer": MAG_ADDRESS,
    }
    return Install(**{**fields, **changes})  # type: ignore[arg-type]


def udp6(
    source: bytes = CN6, destination: bytes = MN6, size: int = 100, hops: int = 64, tos: int = 0
) -> bytes:
    """A UDP packet over IPv6 of a given size."""
    return ip.ipv6_packet(source, destination, 17, bytes(size - 40), hops, tos)


class LmaCase(SynchronousTestCase):
    def setUp(self) -> None:
        """Build a table."""
        self.counters = CounterSet(LMA)
        self.table = Forwarding(self.counters, "lma", LMA_ADDRESS)
        self.table.install(session())

    def count(self, key: str) -> int:
        """The value of a counter."""
        return self.counters.value(key)

    def inbound(
        self, data: bytes, source: bytes = MAG_ADDRESS, protocol: int = 41, tos: int = 0
    ) -> bytes | None:
        """The inner packet that comes through, if it does."""
        found = self.table.inbound(6, protocol, source, data, tos, 0.0)
        return found[1] if found else None


class LmaInboundTests(LmaCase):
    def test_passes_and_counts(self) -> None:
        """RFC 5213 section 5.6.2: a packet from the registered gateway and prefix passes, unchanged."""
        self.assertEqual(self.inbound(INNER6_UP), INNER6_UP)
        self.assertEqual(self.count("tunnel-data-received/total-packets/6in6"), 1)
        self.assertEqual(self.count("tunnel-data-received/total-bytes/6in6"), 92)
        self.assertEqual(self.table.sessions[1].packets_up, 1)
        self.assertEqual(self.table.sessions[1].octets_up, 52)

    def test_foreign(self) -> None:
        """A gateway without the binding, a foreign inner source and a wrong encapsulation are counted."""
        keyed = b"\x20\0\x86\xdd\0\0\x20\x01" + INNER6_UP
        for data, source, protocol in (
            (INNER6_UP, OTHER, 41),
            (udp6(packed("2001:db8:1:2::5"), CN6), MAG_ADDRESS, 41),
            (udp6(packed("fe80::5"), CN6), MAG_ADDRESS, 41),
            (keyed, MAG_ADDRESS, 47),
            (b"\0\0\x86\xdd" + INNER6_UP, MAG_ADDRESS, 47),
        ):
            self.assertIsNone(self.inbound(data, source, protocol))
        self.assertEqual(self.count("tunnel-data-received/errors/no-session-found"), 5)
        self.assertEqual(self.count("tunnel-data-received/total-packets"), 0)

    def test_errors(self) -> None:
        """Lengths and inner protocols that are wrong have their own counters."""
        self.assertIsNone(self.inbound(INNER6_UP[:-1]))
        self.assertIsNone(self.inbound(b""))
        self.assertIsNone(self.inbound(INNER4_DOWN))
        self.assertEqual(self.count("tunnel-data-received/errors/invalid-pkt-length"), 2)
        self.assertEqual(self.count("tunnel-data-received/errors/protocol-type-error"), 1)

    def test_group(self) -> None:
        """Nothing to a multicast or link-local destination leaves the tunnel."""
        self.assertIsNone(self.inbound(udp6(MN6, packed("ff02::1"))))
        self.assertIsNone(self.inbound(udp6(MN6, packed("fe80::1"))))
        self.assertEqual(self.table.drops, {"link-scope": 2})

    def test_gre_key(self) -> None:
        """RFC 5845 section 3.1: the key must be the session's, from the session's gateway."""
        self.table.install(session(gre=True, send_key=0x1001, receive_key=0x2001))
        good = b"\x20\0\x86\xdd\0\0\x20\x01" + INNER6_UP
        self.assertEqual(self.inbound(good, protocol=47), INNER6_UP)
        for data, source in ((good[:7] + b"\2" + good[8:], MAG_ADDRESS), (good, OTHER)):
            self.assertIsNone(self.inbound(data, source, 47))
        self.assertIsNone(self.inbound(INNER6_UP))
        self.assertIsNone(self.inbound(b"\0\0\x86\xdd" + INNER6_UP, protocol=47))
        self.assertEqual(self.count("tunnel-data-received/errors/no-session-found"), 4)
        self.assertEqual(self.count("tunnel-data-received/total-bytes/ipv6-gre-ipv6"), 100)

    def test_congestion(self) -> None:
        """RFC 3168 section 9.1.1: outer CE marks an ECT packet and drops one that is not."""
        marked = self.inbound(udp6(MN6, CN6, tos=2), tos=3)
        self.assertEqual(marked, udp6(MN6, CN6, tos=3))
        self.assertIsNone(self.inbound(udp6(MN6, CN6, tos=0), tos=3))
        inner4 = bytes(IP(src="203.0.113.10", dst="192.0.2.80", tos=1) / UDP())
        read = IP(self.inbound(inner4, protocol=4, tos=3))
        self.assertEqual(read.tos, 3)
        self.assertTrue(ip.length_fits(bytes(read)))
        self.assertEqual(ip.ones_complement_sum(bytes(read)[:20]) % 0xFFFF, 0)

    def test_handover(self) -> None:
        """After a handover only the new gateway may send, and the octets go on counting."""
        self.inbound(INNER6_UP)
        self.table.install(session(peer=OTHER))
        self.assertIsNone(self.inbound(INNER6_UP))
        self.assertEqual(self.inbound(INNER6_UP, OTHER), INNER6_UP)
        self.assertEqual(self.table.sessions[1].packets_up, 2)
        users = {path.peer: path.users for path in self.table.paths.values()}
        self.assertEqual(users, {MAG_ADDRESS: 0, OTHER: 1})

    def test_to_and_fro(self) -> None:
        """What is known of the way to a gateway is not asked for again at each handover."""
        asked: list[bytes] = []

        def route_mtu(_local: bytes, peer: bytes) -> int:
            asked.append(peer)
            return 1400 + len(asked)

        table = Forwarding(self.counters, "lma", LMA_ADDRESS, route_mtu=route_mtu)
        for peer in (MAG_ADDRESS, OTHER, MAG_ADDRESS, OTHER):
            table.install(session(peer=peer))
        self.assertEqual(asked, [MAG_ADDRESS, OTHER])
        self.assertEqual(table.sessions[1].path.mtu, 1402)
        table.lower(table.sessions[1].path, 1300, 5.0)
        table.remove(1)
        table.install(session(peer=OTHER))
        self.assertEqual(table.sessions[1].path.mtu, 1300)
        table.remove(1)
        table.tick(606.0)
        table.install(session(peer=OTHER))
        self.assertEqual(table.sessions[1].path.mtu, 1402)

    def test_idle_paths_are_bounded(self) -> None:
        """Of paths without a session only the latest are remembered; one in use is never forgotten."""
        for number in range(IDLE_PATHS + 8):
            self.table.install(session(2, peer=number.to_bytes(16, "big")))
        self.assertEqual(len(self.table.paths), IDLE_PATHS + 2)
        self.assertIn(MAG_ADDRESS, self.table.paths)
        self.assertNotIn((6).to_bytes(16, "big"), self.table.paths)
        self.assertIn((7).to_bytes(16, "big"), self.table.paths)

    def test_remove(self) -> None:
        """A removed session neither sends nor gets; a prefix given on stays with its new session."""
        self.table.install(session(2, ipv4_address=None))
        self.table.remove(1)
        self.assertEqual(self.table.owner(MN6).call_id, 2)
        self.assertIsNone(self.table.owner(MN4))
        self.table.remove(2)
        self.assertIsNone(self.inbound(INNER6_UP))
        self.assertIsNone(self.table.outbound(INNER6_DOWN, len(INNER6_DOWN), 0.0))
        self.assertEqual([path.users for path in self.table.paths.values()], [0])
        self.assertEqual(self.table.drops, {"no-session": 1})

    def test_longest_prefix(self) -> None:
        """The longest prefix wins, also where it does not end at an octet."""
        self.table.install(session(3, prefixes=((packed("2001:db8:1::"), 47),), ipv4_address=None))
        self.table.install(session(4, prefixes=((packed("2001:db8:0:8000::"), 49),), ipv4_address=None))
        for address, call_id in (("2001:db8:1:1::9", 1), ("2001:db8:0:1::", 3), ("2001:db8:0:ffff::", 4)):
            self.assertEqual(self.table.owner(packed(address)).call_id, call_id)
        self.assertIsNone(self.table.owner(packed("2001:db8:2::")))

    @settings(deadline=None, max_examples=CASES)
    @given(
        st.sampled_from((4, 6)),
        st.sampled_from((4, 17, 41, 47)),
        st.binary(max_size=100),
        st.integers(0, 255),
    )
    def test_any_octets(self, outer: int, protocol: int, data: bytes, tos: int) -> None:
        """No octets from a tunnel make the table raise, and each packet is counted once."""
        self.setUp()
        for prefix in (b"", INNER6_UP[: len(data)], b"\x20\0\x86\xdd\0\0\x20\x01"):
            before = self.counters.value("tunnel-data-received/total-packets") + sum(
                self.table.drops.values()
            )
            errors = sum(
                self.count(f"tunnel-data-received/errors/{name}")
                for name in ("protocol-type-error", "invalid-pkt-length", "no-session-found")
            )
            self.table.inbound(outer, protocol, MAG_ADDRESS, prefix + data, tos, 0.0)
            after = self.counters.value("tunnel-data-received/total-packets") + sum(self.table.drops.values())
            errors_after = sum(
                self.count(f"tunnel-data-received/errors/{name}")
                for name in ("protocol-type-error", "invalid-pkt-length", "no-session-found")
            )
            self.assertEqual(after + errors_after, before + errors + 1)
            self.table.tunnel_error(outer, prefix + data, 0.0)
            self.table.outbound(prefix + data, len(data), 0.0)


class LmaOutboundTests(LmaCase):
    def out(self, packet: bytes) -> bool:
        """Whether a packet may enter the tunnel."""
        return self.table.outbound(packet, len(packet), 1.0) is not None

    def answer(self) -> IPv6 | IP:
        """The one ICMP error that waits, as Scapy reads it."""
        [answer] = self.table.take()
        if len(answer.destination) == 16:
            return IPv6(ip.ipv6_packet(LMA_ADDRESS, answer.destination, 58, answer.message))
        return IP(ip.ipv4_packet(packed("198.51.100.1"), answer.destination, 1, answer.message))

    def test_finds(self) -> None:
        """Packets to the prefix and to the IPv4 address find the session."""
        self.assertTrue(self.out(INNER6_DOWN))
        self.assertTrue(self.out(INNER4_DOWN))

    def test_never(self) -> None:
        """Link-local sources, groups and packets of the tunnel's exit are never encapsulated."""
        for source, destination in ((packed("fe80::1"), MN6), (CN6, packed("ff05::2")), (MAG_ADDRESS, MN6)):
            self.assertFalse(self.out(udp6(source, destination)))
        self.assertEqual(self.table.drops, {"link-scope": 2, "loop": 1})
        self.assertEqual(self.table.take(), [])

    def test_too_big_ipv6(self) -> None:
        """RFC 2473 section 7.1: over the tunnel MTU and over 1280: Packet Too Big with the tunnel MTU."""
        self.assertTrue(self.out(udp6(size=1460)))
        self.assertFalse(self.out(udp6(size=1461)))
        read = self.answer()
        self.assertEqual((read.dst, read[ICMPv6PacketTooBig].mtu), ("2001:db8:eeee::80", 1460))
        self.assertLessEqual(len(read), 1280)
        self.assertEqual(in6_chksum(58, read, bytes(read)[40:]), 0)

    def test_small_path(self) -> None:
        """RFC 2473 section 7.1 (b): 1280 octets and less go in whatever the path (fragmented outside)."""
        self.table.paths[MAG_ADDRESS].mtu = 1280
        self.assertTrue(self.out(udp6(size=1280)))
        self.assertFalse(self.out(udp6(size=1281)))
        self.assertEqual(self.answer()[ICMPv6PacketTooBig].mtu, 1280)

    def test_too_big_ipv4(self) -> None:
        """RFC 2473 section 7.2: DF gets fragmentation needed with the tunnel MTU, others pass."""
        big = IP(src="192.0.2.80", dst="203.0.113.10") / UDP() / bytes(1461 - 28)
        self.assertTrue(self.out(bytes(big)))
        big.flags = "DF"
        self.assertFalse(self.out(bytes(big)))
        read = self.answer()[ICMP]
        self.assertEqual((read.type, read.code, read.nexthopmtu), (3, 4, 1460))

    def test_no_binding(self) -> None:
        """A home address without a binding is answered as unreachable."""
        self.assertFalse(self.out(udp6(destination=packed("2001:db8:1:9::1"))))
        read = self.answer()
        self.assertEqual((read.payload.type, read.payload.code), (1, 3))

    def test_rate(self) -> None:
        """RFC 4443 section 2.4(f): a flood is answered at a limited rate."""
        for _ in range(500):
            self.table.outbound(udp6(size=1500), 1500, 1.0)
        self.assertEqual(len(self.table.take()), 50)
        self.table.outbound(udp6(size=1500), 1500, 2.0)
        self.assertEqual(len(self.table.take()), 1)

    def test_no_answer_to_errors(self) -> None:
        """RFC 4443 section 2.4(e): no error about an error."""
        error = ip.ipv6_packet(CN6, MN6, 58, b"\1" + bytes(1459))
        self.assertFalse(self.out(error))
        self.assertEqual(self.table.take(), [])

    def test_encapsulation_limit(self) -> None:
        """RFC 2473 section 4.1.1: a limit of 0 is answered with a pointer to it; more passes."""
        for limit, passes in ((0, False), (3, True)):
            packet = ip.ipv6_packet(CN6, MN6, 60, bytes((17, 0, 4, 1, limit, 1, 1, 0)) + bytes(20))
            self.assertEqual(self.out(packet), passes)
        self.assertEqual(self.answer()[ICMPv6ParamProblem].ptr, 44)

    def test_traffic_class(self) -> None:
        """RFC 3168 section 9.1.1: ECT is copied, CE goes out as ECT(0); the class is copied or set."""
        for inner, copied, fixed in ((0x00, 0x00, 0xB8), (0x29, 0x29, 0xB9), (0x03, 0x02, 0xBA)):
            self.assertEqual(self.table.outer_class(udp6(tos=inner)), copied)
            table = Forwarding(self.counters, "lma", LMA_ADDRESS, traffic_class=0xB8)
            self.assertEqual(table.outer_class(udp6(tos=inner)), fixed)


class TunnelErrorTests(LmaCase):
    def error(
        self, inner: bytes, mtu: int = 1400, peer: bytes = MAG_ADDRESS, local: bytes = LMA_ADDRESS
    ) -> None:
        """A Packet Too Big about a tunnel packet arrives."""
        outer = ip.ipv6_packet(local, peer, 41 if inner[0] >> 4 == 6 else 4, inner)
        self.table.tunnel_error(6, ip.icmp6_error(2, 0, mtu, outer, OTHER, LMA_ADDRESS), 5.0)

    def counts(self) -> tuple[int, ...]:
        """Received, relayed and dropped."""
        return tuple(
            self.count(f"tunnel-icmpv6-packets/packet-too-big-{name}")
            for name in ("rcvd", "relayed", "dropped")
        )

    def test_relayed(self) -> None:
        """RFC 2473 section 8: a large packet's source is told; the path is smaller for ten minutes."""
        self.error(udp6(size=1460))
        [answer] = self.table.take()
        self.assertEqual((answer.destination, answer.message[:2]), (CN6, b"\2\0"))
        self.assertEqual(int.from_bytes(answer.message[4:8], "big"), 1360)
        self.assertEqual(self.counts(), (1, 1, 0))
        self.assertEqual(self.table.paths[MAG_ADDRESS].mtu, 1400)
        self.assertEqual(self.table.deadline, 605.0)
        self.table.tick(604.0)
        self.assertEqual(self.table.paths[MAG_ADDRESS].mtu, 1400)
        self.table.tick(605.0)
        self.assertEqual((self.table.paths[MAG_ADDRESS].mtu, self.table.deadline), (1500, None))

    def test_small_inner(self) -> None:
        """Nobody is told about an inner packet of 1280 octets or less; the path is lowered all the same."""
        self.error(udp6(size=1280), 1300)
        self.assertEqual((self.counts(), self.table.take()), ((1, 0, 1), []))
        self.assertEqual(self.table.paths[MAG_ADDRESS].mtu, 1300)

    def test_ipv4_inner(self) -> None:
        """An inner IPv4 packet with DF is answered by fragmentation needed, one without is not."""
        inner = IP(src="192.0.2.80", dst="203.0.113.10", flags="DF") / UDP() / bytes(1400)
        self.error(bytes(inner), 1400)
        [answer] = self.table.take()
        self.assertEqual(
            (answer.destination, answer.message[:2], answer.message[6:8]), (CN4, b"\3\4", b"\x05\x50")
        )
        inner.flags = 0
        self.error(bytes(inner), 1400)
        self.assertEqual(self.counts(), (2, 1, 1))

    def test_forged(self) -> None:
        """An error that does not quote a packet of ours to a peer of ours changes nothing."""
        self.error(udp6(size=1460), peer=OTHER)
        self.error(udp6(size=1460), local=OTHER)
        self.error(udp6(destination=packed("2001:db8:9::1"), size=1460), 9000)
        self.assertEqual((self.counts(), self.table.take()), ((3, 0, 3), []))
        self.assertEqual(self.table.paths[MAG_ADDRESS].mtu, 1500)

    def test_floor(self) -> None:
        """RFC 8201 section 4: no path is smaller than 1280 octets."""
        self.error(udp6(size=1460), 600)
        self.assertEqual(self.table.paths[MAG_ADDRESS].mtu, 1280)

    def test_unreachable(self) -> None:
        """A tunnel that is unreachable makes the inner destination unreachable."""
        outer = ip.ipv6_packet(LMA_ADDRESS, MAG_ADDRESS, 41, udp6())
        self.table.tunnel_error(6, ip.icmp6_error(1, 0, 0, outer, OTHER, LMA_ADDRESS), 5.0)
        [answer] = self.table.take()
        self.assertEqual(answer.message[:2], b"\1\3")
        self.assertEqual(self.counts(), (0, 0, 0))


class MagTests(SynchronousTestCase):
    def setUp(self) -> None:
        """Build a table."""
        self.counters = CounterSet(MAG)
        self.table = Forwarding(self.counters, "mag", MAG_ADDRESS, local_routing=True)
        here = {"local": MAG_ADDRESS, "peer": LMA_ADDRESS, "interface": "acc0", "link_layer": MAC}
        self.table.install(session(ipv4_router=packed("203.0.113.1"), **here))
        other = ((packed("2001:db8:1:2::"), 64),)
        self.table.install(
            session(2, **{**here, "prefixes": other, "ipv4_address": None, "interface": "acc1"})
        )

    def send(self, packet: bytes, interface: str = "acc0", mac: bytes = MAC) -> object:
        """A packet arrives from an access link."""
        return self.table.from_mobile(interface, mac, packet, len(packet), 1.0)

    def test_up(self) -> None:
        """A mobile's packet goes into the tunnel with its hop limit one lower (RFC 2473 section 3.1)."""
        found = self.send(udp6(MN6, CN6))
        self.assertEqual((found[1], found[2]), (udp6(MN6, CN6, hops=63), None))
        read = IP(self.send(bytes(IP(src="203.0.113.10", dst="192.0.2.80", ttl=9) / UDP()))[1])
        check = read.chksum
        del read.chksum
        self.assertEqual((read.ttl, IP(bytes(read)).chksum), (8, check))

    def test_ingress(self) -> None:
        """RFC 5213 section 6.10.5: foreign source, link or link-layer address: dropped and counted."""
        self.assertIsNone(self.send(udp6(packed("2001:db8:9::1"), CN6)))
        self.assertIsNone(self.send(udp6(MN6, CN6), "acc1"))
        self.assertIsNone(self.send(udp6(MN6, CN6), mac=bytes(6)))
        self.assertEqual(self.counters.value("access-links/ingress-filtered"), 3)
        self.assertIsNone(self.send(udp6(packed("fe80::1"), CN6)))
        self.assertIsNone(self.send(udp6(MN6, packed("ff0e::1"))))
        self.assertEqual(self.table.drops, {"link-scope": 2})

    def test_hop_limit(self) -> None:
        """RFC 8200 section 3: the last hop is answered with time exceeded over the access link."""
        self.assertIsNone(self.send(udp6(MN6, CN6, hops=1)))
        [answer] = self.table.take()
        read = IPv6(answer.packet)
        self.assertIn(ICMPv6TimeExceeded, read)
        self.assertEqual((read.src, read.dst), ("2001:db8:a::1", "2001:db8:1:1::5"))
        self.assertTrue(ip.checksum_good(answer.packet))
        self.assertIsNone(self.send(bytes(IP(src="203.0.113.10", dst="192.0.2.80", ttl=1) / UDP())))
        [answer] = self.table.take()
        self.assertEqual((IP(answer.packet).src, IP(answer.packet)[ICMP].type), ("203.0.113.1", 11))
        self.assertTrue(ip.checksum_good(answer.packet))

    def test_too_big(self) -> None:
        """The mobile is told the tunnel MTU."""
        self.assertIsNone(self.send(udp6(MN6, CN6, size=1500)))
        [answer] = self.table.take()
        self.assertEqual(IPv6(answer.packet)[ICMPv6PacketTooBig].mtu, 1460)

    def test_local_routing(self) -> None:
        """RFC 5213 section 6.10.3: between two mobiles of this gateway, not through the anchor."""
        found = self.send(udp6(MN6, packed("2001:db8:1:2::7")))
        self.assertEqual(found[2].call_id, 2)

    def test_down(self) -> None:
        """A packet from the anchor goes on with its hop limit one lower; from others it is dropped."""
        found = self.table.inbound(6, 41, LMA_ADDRESS, udp6(), 0, 1.0)
        self.assertEqual((found[0].call_id, found[1]), (1, udp6(hops=63)))
        self.assertIsNone(self.table.inbound(6, 41, OTHER, udp6(), 0, 1.0))
        self.assertIsNone(self.table.inbound(6, 41, LMA_ADDRESS, udp6(hops=1), 0, 1.0))
        self.assertEqual(self.table.take()[0].destination, CN6)
        self.assertEqual(self.counters.value("tunnel-data-received/errors/no-session-found"), 1)

    def test_overlapping_addresses(self) -> None:
        """RFC 5845 section 3.1: two mobiles with one private address are told apart by their keys."""
        here = {"local": MAG_ADDRESS, "peer": LMA_ADDRESS, "interface": "acc0", "prefixes": (), "gre": True}
        self.table.install(session(7, receive_key=7, send_key=70, **here))
        self.table.install(session(8, receive_key=8, send_key=80, **here))
        for key in (7, 8):
            found = self.table.inbound(
                6, 47, LMA_ADDRESS, b"\x20\0\x08\0\0\0\0" + bytes((key,)) + INNER4_DOWN, 0, 1.0
            )
            self.assertEqual(found[0].call_id, key)
