"""A host with several tunnels (RFC 5648): which one a flow takes, and what moves when one comes or goes."""

from collections import Counter
from struct import pack

from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.protocols.pmipv6.events import Install
from appliance.tun import packet as ip
from appliance.tun.flows import flow_of
from test.tun.test_forwarding import (
    CASES,
    CN4,
    CN6,
    LMA_ADDRESS,
    MN4,
    MN6,
    OTHER,
    LmaCase,
    packed,
    session,
)

CARE = [packed(f"2001:db8:c:{number}::1") for number in (1, 2, 3)]


def tcp6(port: int, label: int = 0) -> bytes:
    """A TCP segment from a port of the correspondent to the mobile."""
    whole = ip.ipv6_packet(CN6, MN6, ip.TCP, pack(">HH", port, 80) + bytes(16))
    return whole[:1] + label.to_bytes(3, "big") + whole[4:]


def lanes(*care: bytes, spread: bool = True, **changes: object) -> Install:
    """The first is the tunnel of the session, the rest are more of them."""
    more = tuple(Install(1, (), None, LMA_ADDRESS, address) for address in care[1:])
    return session(peer=care[0], lanes=more, others=care[1:], spread=spread, **changes)


class FlowTests(LmaCase):
    def setUp(self) -> None:
        """Three tunnels."""
        super().setUp()
        self.table.install(lanes(*CARE))

    def peer(self, packet: bytes) -> bytes:
        """The tunnel end that a packet goes to."""
        found = self.table.outbound(packet, len(packet), 0.0)
        assert found is not None
        self.table.sent(found, found.row6, 1, len(packet))
        return found.peer

    def test_all_used_and_flows_stay(self) -> None:
        """Every tunnel has its share; all packets of a flow take the same one, whatever their flow label."""
        ways = {port: self.peer(tcp6(port)) for port in range(1, 601)}
        shares = Counter(ways.values())
        self.assertEqual(set(shares), set(CARE))
        # 200 each; nine standard deviations.
        self.assertGreater(min(shares.values()), 100)
        self.assertEqual({port: self.peer(tcp6(port, port)) for port in ways}, ways)

    def test_one_less_moves_its_flows_only(self) -> None:
        """RFC 5648: losing a care-of address leaves the flows of the others where they are."""
        before = {port: self.peer(tcp6(port)) for port in range(1, 301)}
        self.table.install(lanes(CARE[0], CARE[2]))
        after = {port: self.peer(tcp6(port)) for port in before}
        for port, peer in before.items():
            if peer != CARE[1]:
                self.assertEqual(after[port], peer)
        self.assertEqual(set(after.values()), {CARE[0], CARE[2]})
        self.table.install(lanes(CARE[2], CARE[0], CARE[1]))
        self.assertEqual({port: self.peer(tcp6(port)) for port in before}, before)

    def test_primary(self) -> None:
        """Without spreading all go by the first; packets may come by each of them."""
        self.table.install(lanes(*CARE, spread=False))
        self.assertEqual({self.peer(tcp6(port)) for port in range(1, 50)}, {CARE[0]})
        up = ip.ipv6_packet(MN6, CN6, ip.TCP, bytes(20))
        for address in CARE:
            self.assertEqual(self.inbound(up, address), up)
        self.assertIsNone(self.inbound(up, OTHER))

    def test_counts_and_paths(self) -> None:
        """What goes by any tunnel is the session's, and stays so; nothing is left of one that has gone."""
        for port in range(1, 101):
            self.peer(tcp6(port))
        self.assertEqual(self.table.sessions[1].usage(), (0, 0, 100, 6000))
        self.table.install(lanes(CARE[0]))
        self.assertEqual(self.table.sessions[1].usage(), (0, 0, 100, 6000))
        self.assertEqual([self.table.paths[each].users for each in CARE], [1, 0, 0])
        self.table.remove(1)
        self.assertEqual([self.table.paths[each].users for each in CARE], [0, 0, 0])

    def test_too_big_is_of_one_path(self) -> None:
        """RFC 2473 section 8.1: an error about one tunnel is passed on, and the others keep their MTU."""
        quoted = ip.ipv6_packet(LMA_ADDRESS, CARE[1], ip.IPV6, ip.ipv6_packet(CN6, MN6, 17, bytes(1400)))
        message = pack(">BBHI", 2, 0, 0, 1400) + quoted
        self.table.tunnel_error(6, message, 1.0)
        self.assertEqual([self.table.paths[each].mtu for each in CARE], [1500, 1400, 1500])
        (answer,) = self.table.take()
        self.assertEqual((answer.destination, answer.message[4:8]), (CN6, pack(">I", 1360)))

    def test_another_family(self) -> None:
        """A further tunnel may be one over IPv4 and UDP, with its own port behind a NAT."""
        self.table.local_ipv4 = CN4
        far = packed("198.51.100.7")
        other = Install(1, (), None, CN4, far, udp=True, nat=True, gateway=b"\0\1")
        self.table.install(session(peer=CARE[0], lanes=(other,), spread=True))
        up = ip.ipv6_packet(MN6, CN6, ip.TCP, bytes(20))
        self.assertIsNone(self.table.inbound(4, ip.UDP, OTHER[:4], up, 0, 0.0, 4000))
        self.assertIsNotNone(self.table.inbound(4, ip.UDP, far, up, 0, 0.0, 4000))
        (lane,) = self.table.sessions[1].lanes
        self.assertEqual((lane.path.port, self.table.sessions[1].path.port), (4000, 0))

    def test_fragments_and_ipv4(self) -> None:
        """Ports are looked at where they are: not in fragments, whose parts must stay together."""
        whole = ip.ipv4_packet(CN4, MN4, ip.UDP, pack(">HHHH", 1, 2, 8, 0))
        other = ip.ipv4_packet(CN4, MN4, ip.UDP, pack(">HHHH", 3, 2, 8, 0))
        self.assertNotEqual(flow_of(whole), flow_of(other))
        parts = [each[:6] + b"\x20\0" + each[8:] for each in (whole, other)]
        self.assertEqual(flow_of(parts[0]), flow_of(parts[1]))

    @settings(max_examples=CASES, deadline=None)
    @given(st.binary(min_size=20, max_size=80), st.sampled_from((4, 6)))
    def test_anything(self, octets: bytes, version: int) -> None:
        """Nothing in a packet makes the choice fail, or differ for the same packet."""
        if version == 6:
            octets = octets.ljust(40, b"\0")
        packet = bytes((version << 4 | octets[0] & 15,)) + octets[1:]
        self.assertEqual(flow_of(packet), flow_of(bytes(packet)))
