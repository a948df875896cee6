"""Home agents and prefixes that hosts are told of (RFC 6275 sections 7, 10.5 and 10.6)."""

import random
from typing import Any

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers import inet6
from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.bits import DecodeError
from appliance.protocols.mipv6.agents import ROUTERS, HomeAgents
from appliance.protocols.mipv6.discovery import ALL_NODES
from appliance.protocols.mipv6.events import IcmpReceived, SendOnLink, SendRouted
from appliance.protocols.mobility import discovery_messages as icmp
from appliance.protocols.mobility.discovery_messages import Prefix, Router
from appliance.protocols.mobility.packet import routed
from appliance.protocols.pmipv6.agent_settings import AgentEntry
from appliance.protocols.pmipv6.events import ClearSessions, Reconfigure, Send, SendIcmp
from test.protocols.mipv6.fakes import ALICE, CARE1, CARE2, HOME, HOSTS, HostWorld
from test.protocols.pmipv6.lma_fakes import LMA_ADDRESS, packed

ANYCAST = packed("2001:db8:100:0:fdff:ffff:ffff:fffe")
LINK_LOCAL = packed("fe80::2")
A, B, C = (packed(f"2001:db8:100::a{number}") for number in range(1, 4))
_DISCOVERY, _PREFIXES = "home-agent-discovery/", "mobile-prefix-discovery/"


class AddressTests(SynchronousTestCase):
    """RFC 2526."""

    def test_anycast(self) -> None:
        """Identifiers of 64 bits have the universal bit clear; others are all ones; tiny ones have none."""
        prefix = packed("2001:db8:100::")
        self.assertEqual(icmp.anycast(prefix, 64), ANYCAST)
        self.assertEqual(icmp.anycast(prefix, 112), packed("2001:db8:100::fffe"))
        self.assertEqual(icmp.anycast(prefix, 48), packed("2001:db8:100:ffff:ffff:ffff:ffff:fffe"))
        self.assertIsNone(icmp.anycast(prefix, 121))

    def test_reserved(self) -> None:
        """The subnet's router, and the 128 highest identifiers."""
        for text in ("::", ":fdff:ffff:ffff:ff80", ":fdff:ffff:ffff:fffe", ":fdff:ffff:ffff:ffff"):
            self.assertTrue(icmp.reserved(packed(f"2001:db8:100:0{text}"), 64), text)
        for text in ("::1", ":fdff:ffff:ffff:ff7f", ":ffff:ffff:ffff:fffe"):
            self.assertFalse(icmp.reserved(packed(f"2001:db8:100:0{text}"), 64), text)


class MessageTests(SynchronousTestCase):
    """Scapy reads what we write, and we read what scapy writes."""

    def test_discovery(self) -> None:
        """ICMPv6 144 and 145."""
        asked = inet6.IPv6(raw(icmp.request(77, CARE1, ANYCAST), CARE1, ANYCAST))
        self.assertEqual((asked[inet6.ICMPv6HAADRequest].id, asked[inet6.ICMPv6HAADRequest].code), (77, 0))
        data = icmp.reply(77, [A, B], LMA_ADDRESS, CARE1)
        told = inet6.IPv6(raw(data, LMA_ADDRESS, CARE1))[inet6.ICMPv6HAADReply]
        self.assertEqual((told.id, told.addresses), (77, ["2001:db8:100::a1", "2001:db8:100::a2"]))
        self.assertEqual(icmp.read_reply(data), (77, [A, B]))
        self.assertLessEqual(len(icmp.reply(1, [A] * 200, LMA_ADDRESS, CARE1)) + 40, 1280)
        theirs = bytes(
            inet6.IPv6(src="2001:db8:c::99", dst="2001:db8:100::1") / inet6.ICMPv6HAADRequest(id=9)
        )
        self.assertEqual(icmp.identifier_of(theirs[40:], icmp.DISCOVERY_REQUEST), 9)
        self.assertTrue(icmp.intact(theirs[40:], CARE1, packed("2001:db8:100::1")))

    def test_prefixes(self) -> None:
        """ICMPv6 146 and 147; the checksum of the latter is over the home address."""
        data = icmp.solicitation(5, HOME, LMA_ADDRESS)
        asked = inet6.IPv6(raw(data, CARE1, LMA_ADDRESS))[inet6.ICMPv6MPSol]
        self.assertEqual(asked.id, 5)
        prefix = Prefix(HOSTS.prefix, 64, 1000, 500)
        data = icmp.advertisement(5, (prefix,), LMA_ADDRESS, HOME)
        packet = inet6.IPv6(routed(data, LMA_ADDRESS, CARE1, HOME, icmp.ICMPV6))
        told = packet[inet6.ICMPv6MPAdv]
        self.assertEqual((packet[inet6.IPv6ExtHdrRouting].type, told.id, told.flags), (2, 5, 0))
        option = packet[inet6.ICMPv6NDOptPrefixInfo]
        self.assertEqual((option.prefix, option.prefixlen, option.L, option.A), ("2001:db8:100::", 64, 1, 1))
        self.assertEqual((option.validlifetime, option.preferredlifetime), (1000, 500))
        self.assertEqual(icmp.read_prefixes(data), (5, (prefix,)))
        self.assertTrue(icmp.intact(data, LMA_ADDRESS, HOME))

    def test_router(self) -> None:
        """H flag, R flag, Advertisement Interval, Home Agent Information."""
        ours = icmp.router_advertisement((Prefix(A, 64, 9, 8, router=True),), 12, 600, 30_000)
        packet = inet6.IPv6(raw(icmp.sealed(ours, LINK_LOCAL, ALL_NODES), LINK_LOCAL, ALL_NODES))
        self.assertEqual((packet[inet6.ICMPv6ND_RA].H, packet[inet6.ICMPv6ND_RA].routerlifetime), (1, 0))
        self.assertEqual(packet[inet6.ICMPv6NDOptPrefixInfo].R, 1)
        self.assertEqual(packet[inet6.ICMPv6NDOptAdvInterval].advint, 30_000)
        agent = packet[inet6.ICMPv6NDOptHAInfo]
        self.assertEqual((agent.pref, agent.lifetime), (12, 600))
        theirs = inet6.ICMPv6ND_RA(H=1, routerlifetime=1800) / inet6.ICMPv6NDOptPrefixInfo(
            prefix="2001:db8:100::a1", prefixlen=64, R=1
        )
        found = icmp.read_router(bytes(inet6.IPv6(src="fe80::2", dst="ff02::1") / theirs)[40:])
        self.assertEqual((found.home_agent, found.preference, found.lifetime), (True, 0, 1800))
        self.assertEqual([(each.prefix, each.router) for each in found.prefixes], [(A, True)])

    @settings(max_examples=300, deadline=None)
    @given(st.binary(max_size=120), st.sampled_from([0, 134, 144, 145, 146, 147]))
    def test_anything(self, data: bytes, kind: int) -> None:
        """Octets that are no message raise DecodeError, nothing else."""
        for message in (data, bytes((kind, 0)) + data):
            for reader in (icmp.read_router, icmp.read_prefixes, icmp.read_reply):
                try:
                    reader(message)
                except DecodeError:
                    continue


def raw(message: bytes, source: bytes, destination: bytes) -> bytes:
    """A whole packet of an ICMPv6 message."""
    head = b"\x60\0\0\0" + len(message).to_bytes(2, "big") + b"\x3a\xff"
    return head + source + destination + message


class ListTests(SynchronousTestCase):
    """The Home Agents List (RFC 6275 section 10.5.1)."""

    def setUp(self) -> None:
        """One that knows itself and a configured one."""
        self.agents = HomeAgents(random.Random(5).getrandbits)
        fixed = (AgentEntry(address=B, preference=10),)
        self.agents.configure(AgentEntry(address=LMA_ADDRESS, preference=5), fixed)

    def router(self, preference: int, lifetime: int, *addresses: bytes, home_agent: bool = True) -> Router:
        """An advertisement."""
        prefixes = tuple(Prefix(address, 64, 9, 9, router=True) for address in addresses)
        return Router(home_agent, preference, lifetime, prefixes)

    def test_order(self) -> None:
        """Decreasing preference, equals in an order that changes, addresses of one router together."""
        self.agents.learn(self.router(5, 100, A, C), LINK_LOCAL, 0.0)
        seen = {tuple(self.agents.addresses(1.0)) for _ in range(200)}
        self.assertEqual(len(seen), 4)
        for each in seen:
            self.assertEqual(each[0], B)
            self.assertIn(LMA_ADDRESS, (each[1], each[3]))
        self.assertNotIn(LMA_ADDRESS, self.agents.addresses(1.0, own=False))

    def test_ends(self) -> None:
        """Lifetime over, lifetime 0, H flag clear: the entry goes; a new one takes its place."""
        for way in ("time", "zero", "flag"):
            self.agents.learn(self.router(1, 100, A), LINK_LOCAL, 0.0)
            self.assertIn(A, self.agents.addresses(1.0))
            if way == "zero":
                self.agents.learn(self.router(1, 0, A), LINK_LOCAL, 2.0)
            elif way == "flag":
                self.agents.learn(self.router(1, 100, A, home_agent=False), LINK_LOCAL, 2.0)
            self.assertNotIn(A, self.agents.addresses(100.0 if way == "time" else 3.0), way)

    def test_merged(self) -> None:
        """Addresses of an earlier advertisement stay, the preference is the last one's."""
        self.agents.learn(self.router(1, 100, A), LINK_LOCAL, 0.0)
        self.agents.learn(self.router(99, 100, C), LINK_LOCAL, 1.0)
        self.assertEqual(set(self.agents.addresses(2.0)[:2]), {A, C})

    def test_bounded(self) -> None:
        """Anyone on the link can make up routers."""
        for number in range(ROUTERS):
            link_local = b"\xfe\x80" + (number + 99).to_bytes(14, "big")
            self.assertTrue(self.agents.learn(self.router(1, 100, A), link_local, 0.0))
        self.assertFalse(self.agents.learn(self.router(1, 100, A), LINK_LOCAL, 0.0))
        many = [packed(f"2001:db8:100::b{number}") for number in range(100)]
        self.agents.clear()
        self.agents.learn(self.router(1, 100, *many), LINK_LOCAL, 0.0)
        self.assertEqual(len(self.agents.addresses(0.0)), 2 + 8)


class WorldCase(SynchronousTestCase):
    """A home agent that is found."""

    CHANGES: dict[str, Any] = {"mipv6_discovery": True}

    def setUp(self) -> None:
        """A fresh one."""
        self.world = HostWorld(**self.CHANGES)

    def bring(
        self, data: bytes, source: bytes = CARE1, destination: bytes = ANYCAST, hops: int = 255
    ) -> None:
        """Bring an ICMPv6 message in."""
        self.world._before = self.world.counters.snapshot()
        self.world.lma.receive(IcmpReceived(data, source, destination, hops), self.world.now)
        self.world.effects = self.world.lma.take()

    def change(self, **changes: Any) -> list[Any]:
        """Give it other settings."""
        self.world.settings = evolve(self.world.settings, **changes)
        self.world.lma.receive(Reconfigure(self.world.settings), self.world.now)
        return self.world.lma.take()

    def step(self, seconds: float, by: float = 0.5) -> list[Any]:
        """Let time go by in small steps; returns all effects."""
        found: list[Any] = []
        for _ in range(int(seconds / by)):
            found += self.world.pass_time(by)
        return found


class DiscoveryTests(WorldCase):
    """ICMPv6 144 and 145."""

    def test_answer(self) -> None:
        """To the source of the request, from our address, with the list."""
        self.change(mipv6_agents=(AgentEntry(address=B, preference=3),))
        for destination in (ANYCAST, LMA_ADDRESS):
            self.bring(icmp.request(7, CARE1, destination), destination=destination, hops=60)
            (answer,) = self.world.of_kind(SendIcmp)
            self.assertEqual((answer.source, answer.destination), (LMA_ADDRESS, CARE1))
            self.assertEqual(icmp.read_reply(answer.data), (7, [B, LMA_ADDRESS]))
            self.assertTrue(icmp.intact(answer.data, LMA_ADDRESS, CARE1))
            self.assertEqual(
                self.world.moved(), {_DISCOVERY + "requests-received": 1, _DISCOVERY + "replies-sent": 1}
            )

    def test_learnt(self) -> None:
        """A home agent of the link is in the list; from another link, or with another source, it is not."""
        data = icmp.router_advertisement((Prefix(A, 64, 9, 9, router=True),), 9, 600, 1000)
        self.bring(data, LINK_LOCAL, ALL_NODES, hops=254)
        self.bring(data, A, ALL_NODES)
        self.assertEqual(self.world.moved()[_DISCOVERY + "discarded"], 1)
        self.bring(data[:-3], LINK_LOCAL, ALL_NODES)
        self.assertEqual(self.world.moved()[_DISCOVERY + "discarded"], 1)
        self.bring(icmp.request(7, CARE1, ANYCAST))
        self.assertEqual(icmp.read_reply(self.world.of_kind(SendIcmp)[0].data)[1], [LMA_ADDRESS])
        self.bring(data, LINK_LOCAL, ALL_NODES)
        self.bring(icmp.request(7, CARE1, ANYCAST))
        self.assertEqual(icmp.read_reply(self.world.of_kind(SendIcmp)[0].data)[1], [A, LMA_ADDRESS])

    def test_unanswered(self) -> None:
        """Other subnets, sources that are none, short ones, too many of them, and when it is off."""
        for source, destination, data in (
            (CARE1, packed("2001:db8:200:0:fdff:ffff:ffff:fffe"), icmp.request(1, CARE1, ANYCAST)),
            (LINK_LOCAL, ANYCAST, icmp.request(1, CARE1, ANYCAST)),
            (CARE1, ANYCAST, b"\x90\0\0\0"),
            (CARE1, ANYCAST, b"\x90\1\0\0\0\0\0\0"),
        ):
            self.bring(data, source, destination)
            self.assertEqual(self.world.of_kind(SendIcmp), [])
            self.assertEqual(self.world.moved()[_DISCOVERY + "discarded"], 1)
        for _ in range(30):
            self.bring(icmp.request(1, CARE1, ANYCAST))
        self.assertEqual(self.world.value(_DISCOVERY + "replies-sent"), 20)
        self.world.mono += 60
        self.change(mipv6_discovery=False)
        self.bring(icmp.request(1, CARE1, ANYCAST))
        self.assertEqual(self.world.of_kind(SendIcmp), [])

    @settings(max_examples=200, deadline=None)
    @given(st.binary(max_size=80), st.sampled_from([133, 134, 144, 147]), st.sampled_from([64, 255]))
    def test_anything(self, data: bytes, kind: int, hops: int) -> None:
        """Nothing raises; requests are answered or discarded."""
        world = HostWorld(mipv6_discovery=True)
        for message in (data, bytes((kind, 0, 0, 0)) + data):
            world.lma.receive(IcmpReceived(message, CARE1, ANYCAST, hops), world.now)
        asked, answered = (world.value(_DISCOVERY + each) for each in ("requests-received", "replies-sent"))
        self.assertGreaterEqual(world.value(_DISCOVERY + "discarded") + answered, asked)


class AdvertiserTests(WorldCase):
    """Our own Router Advertisements."""

    CHANGES = {"mipv6_home_link": "home0", "mipv6_advertise": True, "mipv6_agent_preference": 4}

    def test_times(self) -> None:
        """Three soon, then between a third of the interval and the whole; never closer than 3 s."""
        sent = []
        for _ in range(12_000):
            sent += [self.world.mono] * len(
                [e for e in self.world.pass_time(0.1) if isinstance(e, SendOnLink)]
            )
        gaps = [after - before for before, after in zip(sent, sent[1:], strict=False)]
        self.assertLess(gaps[0], 16.2)
        self.assertLess(gaps[1], 16.2)
        self.assertTrue(all(197 < gap < 600.2 for gap in gaps[2:]), gaps)

    def test_content(self) -> None:
        """H flag, our preference, an address with the R flag; with a home prefix that is ours, in that."""
        (sent,) = [e for e in self.world.pass_time(0.1) if isinstance(e, SendOnLink)]
        found = icmp.read_router(sent.data)
        self.assertEqual((found.home_agent, found.preference, found.lifetime), (True, 4, 1800))
        self.assertEqual(sent.destination, ALL_NODES)
        home, own = found.prefixes
        self.assertEqual((home.prefix, home.router, home.on_link), (HOSTS.prefix, False, True))
        self.assertEqual(
            (own.prefix, own.router, own.on_link, own.autonomous), (LMA_ADDRESS, True, False, False)
        )

    def test_solicited(self) -> None:
        """Within half a second, but not closer than 3 s to the last one."""
        self.step(40)
        self.bring(b"\x85\0\0\0\0\0\0\0", LINK_LOCAL, ALL_NODES)
        self.assertEqual(len([e for e in self.step(1) if isinstance(e, SendOnLink)]), 1)
        self.bring(b"\x85\0\0\0\0\0\0\0", LINK_LOCAL, ALL_NODES)
        self.assertEqual([e for e in self.step(1.5) if isinstance(e, SendOnLink)], [])
        self.assertEqual(len([e for e in self.step(2.5) if isinstance(e, SendOnLink)]), 1)

    def test_over(self) -> None:
        """What is switched off says so once; other values are said at once."""
        self.step(1)
        self.change(mipv6_agent_preference=9)
        (sent,) = [e for e in self.step(1) if isinstance(e, SendOnLink)]
        self.assertEqual(icmp.read_router(sent.data).preference, 9)
        (sent,) = [e for e in self.change(mipv6_advertise=False) if isinstance(e, SendOnLink)]
        self.assertFalse(icmp.read_router(sent.data).home_agent)
        self.assertEqual([e for e in self.step(700, 5) if isinstance(e, SendOnLink)], [])


class PrefixTests(WorldCase):
    """ICMPv6 146 and 147, and status 1."""

    CHANGES: dict[str, Any] = {"reg_lifetime": 262_140}

    def solicit(self, identifier: int = 5, source: bytes = CARE1, **what: Any) -> list[SendRouted]:
        """Send a solicitation by Home Address option; returns the advertisements."""
        home = what.get("home", HOME)
        message = what.get("message", icmp.solicitation(identifier, home, LMA_ADDRESS))
        option = b"\x3a\2\1\2\0\0\xc9\x10" + home
        self.world.octets(option + message, source)
        return [each for each in self.world.of_kind(SendRouted) if each.protocol == icmp.ICMPV6]

    def unsolicited(self, effects: list[Any]) -> list[SendRouted]:
        """The advertisements among effects."""
        return [each for each in effects if isinstance(each, SendRouted) and each.protocol == icmp.ICMPV6]

    def test_solicited(self) -> None:
        """At once, with the identifier, to where it came from, with all served prefixes."""
        self.world.host()
        (sent,) = self.solicit(99)
        self.assertEqual((sent.source, sent.destination, sent.home), (LMA_ADDRESS, CARE1, HOME))
        identifier, prefixes = icmp.read_prefixes(sent.data)
        self.assertEqual((identifier, prefixes), (99, (Prefix(HOSTS.prefix, 64, 2_592_000, 604_800),)))
        self.assertTrue(icmp.intact(sent.data, LMA_ADDRESS, HOME))

    def test_refused(self) -> None:
        """Without a binding: Binding Error. Too soon, with a wrong checksum, cut off, off: nothing."""
        self.assertEqual(self.solicit(), [])
        self.assertEqual(self.world.of_kind(Send)[0].data[2], 7)
        self.world.host()
        self.assertEqual(self.solicit(source=CARE2), [])
        self.assertEqual(len(self.solicit()), 1)
        self.assertEqual(self.solicit(), [])
        self.world.mono += 1.1
        self.assertEqual(self.solicit(message=icmp.solicitation(5, CARE1, LMA_ADDRESS)), [])
        self.assertEqual(self.solicit(message=icmp.solicitation(5, HOME, LMA_ADDRESS)[:6]), [])
        self.assertEqual(self.world.value(_PREFIXES + "discarded"), 3)
        self.assertEqual(len(self.solicit()), 1)
        self.world.mono += 1.1
        self.change(mipv6_prefix_discovery="off")
        self.assertEqual(self.solicit(), [])

    def test_status_1(self) -> None:
        """RFC 6275 section 10.3.1: deprecated before the binding ends, or invalid at its end; in 4 s."""
        for valid, preferred, lifetime, status in (
            (8000, 4000, 1000, 0), (8000, 3999, 1000, 1), (8000, 0, 1, 1), (4000, 4000, 1000, 1),
            (4004, 4003, 1000, 0), (4004, 4004, 1001, 1),
        ):  # fmt: skip
            self.change(mipv6_prefix_valid=valid, mipv6_prefix_preferred=preferred)
            answer = self.world.host(lifetime=lifetime)
            assert answer is not None
            self.assertEqual(
                (answer.status, answer.lifetime), (status, lifetime), (valid, preferred, lifetime)
            )
        answer = self.world.host(lifetime=65_535)
        assert answer is not None
        self.assertEqual((answer.status, answer.lifetime), (1, 1001))

    def test_change(self) -> None:
        """Other lifetimes: one advertisement at a random time, repeated at 3, 6 and 12 s, then given up."""
        self.world.host(lifetime=65_535)
        self.change(mipv6_prefix_valid=1_000_000)
        self.assertEqual(self.unsolicited(self.step(590, 10)), [])
        times: list[float] = []
        for _ in range(90_000):
            times += [self.world.mono] * len(self.unsolicited(self.world.pass_time(1)))
            if len(times) == 4:
                break
        gaps = [after - before for before, after in zip(times, times[1:], strict=False)]
        self.assertEqual(gaps, [3, 6, 12])
        self.step(60, 1)
        self.assertEqual(self.world.value(_PREFIXES + "unsolicited-sent"), 1)
        self.assertEqual(self.world.value(_PREFIXES + "retries-sent"), 3)
        self.assertEqual(self.world.value(_PREFIXES + "not-acknowledged"), 1)
        # Section 10.6.2: its next update begins it anew.
        self.world.host(lifetime=65_535)
        self.assertEqual(len(self.unsolicited(self.step(2, 1))), 1)
        self.solicit()
        self.assertEqual(self.unsolicited(self.step(60, 1)), [])

    def test_ended(self) -> None:
        """A host without a binding, or at home, is sent nothing."""
        for end in ("leave", "cleared"):
            self.world.host(lifetime=65_535)
            self.change(mipv6_prefix_valid=1_000_000 + len(end))
            self.world.pass_time(1)
            (entry,) = self.world.lma.sessions()
            self.assertIn(("Prefix Advertisement", "Pending"), self.world.lma.details(entry))
            if end == "leave":
                self.world.host(lifetime=0)
            else:
                self.world.lma.receive(ClearSessions(mn_id=ALICE), self.world.now)
            self.assertEqual(self.unsolicited(self.step(90_000, 300)), [])

    def test_from_time_to_time(self) -> None:
        """One at a refresh after MaxMobPfxAdvInterval at most."""
        found = 0
        for _ in range(150):
            self.world.host(later=600)
            effects = self.world.pass_time(0.1)
            found += len(self.unsolicited(effects))
            if self.unsolicited(effects):
                self.solicit()
        self.assertIn(found, range(1, 20))

    @settings(max_examples=150, deadline=None)
    @given(st.binary(max_size=40))
    def test_anything(self, data: bytes) -> None:
        """Nothing raises; every solicitation is answered or discarded."""
        self.world.mono += 2
        self.world.host()
        self.solicit(message=b"\x92\0" + data)
        seen, sent, gone = (
            self.world.value(_PREFIXES + each)
            for each in ("solicitations-received", "solicited-sent", "discarded")
        )
        self.assertEqual(seen, sent + gone)
