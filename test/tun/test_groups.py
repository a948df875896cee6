"""Multicast of a home link for hosts that are away (RFC 6275 sections 10.4.2 and 10.4.3)."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.compat import raw
from scapy.layers.inet6 import (
    ICMPv6MLDMultAddrRec,
    ICMPv6MLDone,
    ICMPv6MLQuery2,
    ICMPv6MLReport,
    ICMPv6MLReport2,
    IPv6,
    IPv6ExtHdrHopByHop,
    RouterAlert,
    in6_chksum,
)
from twisted.trial.unittest import SynchronousTestCase

from appliance.counters import LMA, CounterSet
from appliance.tun import groups
from appliance.tun.forwarding import Forwarding
from appliance.tun.groups import Groups, has_global_scope, query, reported
from test.tun.test_forwarding import LMA_ADDRESS, session
from test.tun.test_forwarding import packed as octets

GROUP, OTHER = octets("ff1e::1234"), octets("ff0e::5")
CARE, CARE2, SHARED = octets("2001:db8:a::1"), octets("2001:db8:a::2"), octets("2001:db8:a::3")
HOMES = [octets(f"2001:db8:1:1::{number}") for number in (5, 6)]


Record = tuple[int, str, int]


def report(*records: Record, source: str = "fe80::5", hops: int = 1, alert: bool = True) -> bytes:
    """A version 2 report with (type, group, number of sources)."""
    found = [
        ICMPv6MLDMultAddrRec(rtype=kind, dst=group, sources=["2001:db8::9"] * sources)
        for kind, group, sources in records
    ]
    options = [RouterAlert(value=0)] if alert else []
    header = IPv6(src=source, dst="ff02::16", hlim=hops) / IPv6ExtHdrHopByHop(options=options)
    return raw(header / ICMPv6MLReport2(records=found, records_number=len(found)))


def old(kind: Any, group: str) -> bytes:
    """A version 1 message."""
    header = IPv6(src="fe80::5", dst="ff02::2", hlim=1) / IPv6ExtHdrHopByHop(options=[RouterAlert(value=0)])
    return raw(header / kind(mladdr=group))


class MessageTests(SynchronousTestCase):
    """What is read, and what is asked."""

    def test_records(self) -> None:
        """RFC 3810 section 5.2.12, as far as it tells whether anything of a group is wanted."""
        for kind, sources, wanted in ((1, 1, True), (1, 0, False), (2, 0, True), (3, 0, False), (3, 2, True)):
            self.assertEqual(reported(report((kind, "ff1e::1234", sources))), [(GROUP, wanted)])
        both = reported(report((4, "ff1e::1234", 0), (5, "ff0e::5", 1)))
        self.assertEqual(both, [(GROUP, True), (OTHER, True)])
        # Blocked sources say nothing about the others.
        self.assertEqual(reported(report((6, "ff1e::1234", 1))), [])

    def test_version_1(self) -> None:
        """RFC 2710."""
        self.assertEqual(reported(old(ICMPv6MLReport, "ff1e::1234")), [(GROUP, True)])
        self.assertEqual(reported(old(ICMPv6MLDone, "ff1e::1234")), [(GROUP, False)])

    def test_what_is_none(self) -> None:
        """RFC 3810 section 6.2: only from a link-local address, hop limit 1, with a Router Alert."""
        good = report((4, "ff1e::1234", 0))
        for bad in (
            report((4, "ff1e::1234", 0), source="2001:db8:1:1::5"),
            report((4, "ff1e::1234", 0), hops=64),
            report((4, "ff1e::1234", 0), alert=False),
            good[:-1] + b"\0",
            good[:60],
            query(octets("fe80::1")),
            b"",
        ):
            self.assertIsNone(reported(bad))

    def test_the_question(self) -> None:
        """RFC 3810 section 5.1, as Scapy reads it."""
        read = IPv6(query(octets("fe80::1")))
        self.assertEqual((read.src, read.dst, read.hlim), ("fe80::1", "ff02::1", 1))
        asked = read[ICMPv6MLQuery2]
        self.assertEqual((asked.mladdr, asked.mrd, asked.QRV, asked.QQIC), ("::", 10_000, 2, 125))
        self.assertTrue(read[IPv6ExtHdrHopByHop].options)
        self.assertEqual(in6_chksum(58, read, raw(asked)), 0)

    def test_scope(self) -> None:
        """RFC 6275 section 10.4.2: global scope only."""
        scopes = {f"ff{flags}{scope:x}::1": scope == 14 for flags in (0, 1, 3) for scope in range(16)}
        for text, wanted in {**scopes, "2001:db8::1": False, "0e::1": False}.items():
            self.assertEqual(has_global_scope(octets(text)), wanted, text)


class MembershipTests(SynchronousTestCase):
    """Who has which group."""

    def setUp(self) -> None:
        """Two hosts, each at its own care-of address."""
        self.table = Forwarding(CounterSet(LMA), "lma", LMA_ADDRESS)
        self.table.set_home(((octets("2001:db8:1:1::"), 64),))
        self.groups = Groups(self.table.sessions)
        self.bind(1, CARE)
        self.bind(2, CARE2)

    def bind(self, number: int, peer: bytes, **more: object) -> None:
        """A host is at a care-of address."""
        before = self.table.sessions.get(number)
        home = HOMES[number - 1]
        place = {"prefixes": ((home, 128),), "ipv4_address": None, "peer": peer, **more}
        made = self.table.install(session(number, **place))
        self.assertTrue(self.table.is_at_home(made))
        self.groups.came(made, None if before is None else before.peer)

    def hears(self, group: bytes = GROUP) -> list[int]:
        """Who gets a packet to a group."""
        return [each.call_id for each in self.groups.wanting(group)]

    def test_comes_and_goes(self) -> None:
        """The first member joins on the link, the last one leaves there."""
        self.assertEqual(self.groups.heard(CARE, report((4, "ff1e::1234", 0)), 0.0), ([GROUP], []))
        self.assertEqual(self.groups.heard(CARE2, report((2, "ff1e::1234", 0)), 0.0), ([], []))
        self.assertEqual(self.hears(), [1, 2])
        self.assertEqual(self.groups.heard(CARE, report((3, "ff1e::1234", 0)), 0.0), ([], []))
        self.assertEqual(self.hears(), [2])
        self.assertEqual(self.groups.heard(CARE2, old(ICMPv6MLDone, "ff1e::1234"), 0.0), ([], [GROUP]))
        self.assertEqual((self.hears(), len(self.groups)), ([], 0))

    def test_smaller_scopes(self) -> None:
        """Nobody gets them: link-local never, the others neither."""
        for text in ("ff02::1:3", "ff05::1", "ff08::1", "ff01::1"):
            self.assertEqual(self.groups.heard(CARE, report((4, text, 0)), 0.0), ([], []))
            self.assertEqual(self.hears(octets(text)), [])

    def test_whose_report_it_is(self) -> None:
        """RFC 6275 section 10.4.3: the tunnel tells; where two hosts share it, the interface identifier."""
        self.assertIsNone(self.groups.heard(SHARED, report((4, "ff1e::1234", 0)), 0.0))
        self.bind(1, SHARED)
        self.bind(2, SHARED)
        self.groups.heard(SHARED, report((4, "ff1e::1234", 0), source="fe80::6"), 0.0)
        self.assertEqual(self.hears(), [2])
        self.assertIsNone(self.groups.heard(SHARED, report((4, "ff1e::1234", 0), source="fe80::7"), 0.0))
        self.assertIsNone(self.groups.heard(CARE, report((4, "ff1e::1234", 0)), 0.0))

    def test_behind_a_nat(self) -> None:
        """The port tells: who sits behind the same NAT, or says so, chooses no groups for others."""
        nat = octets("192.0.2.200")
        for number, port in ((1, 40001), (2, 40002)):
            self.bind(number, nat, udp=True, host_port=port, gateway=bytes((number,)))
        join = report((4, "ff1e::1234", 0), source="fe80::6")
        for port in (0, 40003):
            self.assertIsNone(self.groups.heard(nat, join, 0.0, port))
        self.groups.heard(nat, join, 0.0, 40001)
        self.assertEqual(self.hears(), [1])

    def test_a_host_moves_and_ends(self) -> None:
        """Its groups go with it to the next care-of address, and end with its binding."""
        self.groups.heard(CARE, report((4, "ff1e::1234", 0)), 0.0)
        self.bind(1, SHARED)
        self.assertEqual(self.hears(), [1])
        ended = self.table.remove(1)
        assert ended is not None
        self.assertEqual(self.groups.went(ended), [GROUP])
        self.assertIsNone(self.groups.heard(SHARED, report((4, "ff1e::1234", 0)), 0.0))
        self.assertEqual(self.groups.went(ended), [])

    def test_time(self) -> None:
        """RFC 3810 section 9: asked at once and then every 125 s; forgotten after 260 s without an answer."""
        asked: dict[int, list[int]] = {}
        self.groups.heard(CARE, report((4, "ff1e::1234", 0)), 0.0)
        gone: dict[float, list[bytes]] = {}
        for second in range(400):
            sessions, over = self.groups.tick(float(second))
            for each in sessions:
                asked.setdefault(each.call_id, []).append(second)
            if over:
                gone[second] = over
        for times in asked.values():
            self.assertEqual(times[0], 0)
            self.assertEqual(len(times), 4)
            self.assertLessEqual(max(b - a for a, b in zip(times, times[1:], strict=False)), 125 + 63)
        self.assertEqual(gone, {260: [GROUP]})

    def test_one_turn_for_each(self) -> None:
        """A host that comes home and leaves again, time after time, is asked no more often than others."""
        self.groups.tick(0.0)
        for _ in range(5):
            ended = self.table.remove(1)
            assert ended is not None
            self.groups.went(ended)
            self.bind(1, CARE)
        asked = [each.call_id for second in range(1, 251) for each in self.groups.tick(float(second))[0]]
        self.assertLessEqual(asked.count(1), 3)

    def test_bounds(self) -> None:
        """Of one host, of all groups, and of all memberships."""
        many = report(*((4, f"ff1e::{number:x}", 0) for number in range(1, 40)))
        joined, _ = self.groups.heard(CARE, many, 0.0) or ([], [])
        self.assertEqual((len(joined), self.groups.refused), (groups.PER_HOST, 39 - groups.PER_HOST))
        self.patch(groups, "GROUPS", groups.PER_HOST)
        self.assertEqual(self.groups.heard(CARE2, report((4, "ff1e::77", 0)), 0.0), ([], []))
        self.assertEqual(self.groups.heard(CARE2, report((4, "ff1e::1", 0)), 0.0), ([], []))
        self.assertEqual(self.hears(octets("ff1e::1")), [1, 2])
        self.patch(groups, "MEMBERSHIPS", groups.PER_HOST + 1)
        self.groups.heard(CARE2, report((4, "ff1e::2", 0)), 0.0)
        self.assertEqual(self.hears(octets("ff1e::2")), [1])

    @settings(max_examples=150, deadline=None)
    @given(st.data())
    def test_any_octets(self, data: st.DataObject) -> None:
        """Nothing raises, and the counts of the hosts are those of the members."""
        packet = bytearray(report((4, "ff1e::1234", 0), (3, "ff0e::5", 1), (1, "ff1e::1234", 0)))
        for _ in range(data.draw(st.integers(0, 3))):
            packet[data.draw(st.integers(0, len(packet) - 1))] = data.draw(st.integers(0, 255))
        packet = packet[: data.draw(st.integers(0, len(packet)))]
        if data.draw(st.booleans()) and len(packet) > 60:
            packet[50:52] = b"\0\0"
            check = in6_chksum(58, IPv6(bytes(packet[:40])), bytes(packet[48:]))
            packet[50:52] = check.to_bytes(2, "big")
        self.groups.heard(CARE, bytes(packet), 0.0)
        self.groups.tick(1.0)
        counts = dict.fromkeys((1, 2), 0)
        for members in self.groups._members.values():
            for call_id in members:
                counts[call_id] += 1
        self.assertEqual({k: v for k, v in counts.items() if v}, self.groups._hosts)
