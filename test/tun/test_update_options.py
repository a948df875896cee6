"""Delegated prefixes of both families and other tunnel ends in the forwarding table (RFC 7148, RFC 7389)."""

from ipaddress import ip_address

from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.counters import MAG, CounterSet
from appliance.tun import packet as ip
from appliance.tun.forwarding import Forwarding
from test.fuzz import CASES
from test.tun.test_forwarding import CN4, CN6, LMA_ADDRESS, MAC, PREFIX, LmaCase, packed, session, udp6

D6, D4 = (packed("2001:db8:d::"), 56), (packed("10.9.0.16"), 28)
INSIDE6, INSIDE4, BESIDE4 = packed("2001:db8:d:12::1"), packed("10.9.0.17"), packed("10.9.0.32")
PLANE = packed("2001:db8:ffff::99")


def udp4(source: bytes, destination: bytes) -> bytes:
    """A UDP packet over IPv4."""
    return ip.ipv4_packet(source, destination, 17, bytes(8))


class AnchorTests(LmaCase):
    """What goes into the tunnels of an anchor, and what comes out."""

    def test_delegated_prefixes(self) -> None:
        """Addresses of both prefixes are the session's, their neighbours nobody's; nothing stays behind."""
        table = self.table
        made = table.install(session(prefixes=((PREFIX, 64), D6, D4)))
        for address in (INSIDE6, INSIDE4):
            self.assertIs(table.owner(address), made)
            self.assertTrue(made.owns(address))
        for address in (BESIDE4, packed("2001:db8:d:100::1")):
            self.assertIsNone(table.owner(address))
            self.assertFalse(made.owns(address))
        self.assertIs(table.outbound(udp4(CN4, INSIDE4), 28, 1.0), made)
        self.assertIs(table.outbound(udp6(CN6, INSIDE6), 100, 1.0), made)
        found = table.inbound(6, ip.IPIP, made.peer, udp4(INSIDE4, CN4), 0, 1.0)
        assert found is not None
        self.assertIs(found[0], made)
        self.assertIsNone(table.inbound(6, ip.IPIP, made.peer, udp4(BESIDE4, CN4), 0, 1.0))
        table.remove(1)
        self.assertEqual([table.owner(each) for each in (INSIDE6, INSIDE4)], [None, None])

    def test_the_longest_prefix_wins(self) -> None:
        """A host's own IPv4 address, then the longest prefix round an address."""
        wide = self.table.install(session(2, prefixes=((packed("10.9.0.0"), 16),), ipv4_address=None))
        long = self.table.install(session(3, prefixes=(D4,), ipv4_address=None))
        host = self.table.install(session(4, prefixes=(), ipv4_address=packed("10.9.0.18")))
        owners = [self.table.owner(packed(f"10.9.{n}")) for n in ("0.17", "0.18", "1.1")]
        self.assertEqual(
            [each and each.call_id for each in owners], [long.call_id, host.call_id, wide.call_id]
        )

    def test_another_tunnel_end(self) -> None:
        """Only an end that is one of ours is kept with the session; errors about its packets are taken."""
        self.assertEqual(self.table.install(session(local=PLANE)).local, b"")
        table = Forwarding(self.counters, "lma", LMA_ADDRESS, others=(PLANE,))
        made = table.install(session(local=PLANE))
        self.assertEqual((made.local, table.install(session(2, prefixes=(D6,))).local), (PLANE, b""))
        inner = udp6(size=1400)
        for source, relayed in ((PLANE, 1), (packed("2001:db8::bad"), 1)):
            outer = ip.ipv6_packet(source, made.peer, ip.IPV6, inner)
            table.tunnel_error(6, b"\2\0\0\0" + (1300).to_bytes(4, "big") + outer, 1.0)
            self.assertEqual(self.count("tunnel-icmpv6-packets/packet-too-big-relayed"), relayed)

    @given(
        st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)), max_size=6),
        st.integers(0, 2**32 - 1),
    )
    @profile(max_examples=CASES, deadline=None)
    def test_against_a_model(self, networks: list[tuple[int, int]], number: int) -> None:
        """The owner of an IPv4 address is the session with the longest prefix round it."""
        table = Forwarding(self.counters, "lma", LMA_ADDRESS)
        known = {}
        for call_id, (bits, length) in enumerate(networks, 1):
            network = bits >> (32 - length) << (32 - length)
            known[network, length] = call_id
            pair = (network.to_bytes(4, "big"), length)
            table.install(session(call_id, prefixes=(pair,), ipv4_address=None))
        inside = [
            (length, each) for (net, length), each in known.items() if (net ^ number) >> (32 - length) == 0
        ]
        owner = table.owner(number.to_bytes(4, "big"))
        self.assertEqual(owner and owner.call_id, max(inside)[1] if inside else None)


class GatewayTests(SynchronousTestCase):
    """The ingress filter (RFC 7148 section 5.1.4)."""

    def test_only_what_is_delegated(self) -> None:
        """From the router and its link; anything else is counted."""
        counters = CounterSet(MAG)
        table = Forwarding(counters, "mag", packed("2001:db8:a::1"))
        table.install(
            session(
                prefixes=((PREFIX, 64), D6, D4), local=packed("2001:db8:a::1"), peer=LMA_ADDRESS,
                interface="acc0", link_layer=MAC,
            )
        )  # fmt: skip
        for source, link_layer, passes in (
            (INSIDE4, MAC, True),
            (INSIDE4, b"\2\0\0\0\0\7", False),
            (BESIDE4, MAC, False),
        ):
            found = table.from_mobile("acc0", link_layer, udp4(source, CN4), 28, 1.0)
            self.assertEqual(found is not None, passes, ip_address(source))
        self.assertIsNotNone(table.from_mobile("acc0", MAC, udp6(INSIDE6, CN6), 100, 1.0))
        self.assertEqual(counters.value("access-links/ingress-filtered"), 2)
