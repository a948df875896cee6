"""Sessions through their life: look-up, extension, handover, waiting, leaving, expiry, replay."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.mobility.messages import BU_A, BU_P, BU_T
from appliance.protocols.mobility.options import (
    BindingRefreshAdvice,
    GreKey,
    IPv4DefaultRouterAddress,
    IPv4DhcpSupportMode,
    IPv4HomeAddressReply,
    LinkLocalAddress,
    MobileNodeIdentifier,
)
from appliance.protocols.pmipv6.events import ClearSessions, Install, Remove, Send
from appliance.protocols.pmipv6.settings import FIXED_LINK_LOCAL, Profile
from test.protocols.pmipv6.lma_fakes import (
    LL1,
    LL2,
    LMA_IPV4,
    MAG1,
    MAG2,
    MAG_IPV4,
    MN1,
    World,
    option,
    packed,
    prefixes_of,
)

ANY4 = ["0.0.0.0"]


class Base(SynchronousTestCase):
    """An attached mobile."""

    def attached(self, **what: Any) -> tuple[World, list[tuple[str, int]], Any]:
        """A world with one session, its prefixes and its entry."""
        world = World(**what.pop("settings", {}))
        answer = world.send(**what)
        assert answer is not None
        self.assertEqual(answer.status, 0)
        return world, prefixes_of(answer), next(world.lma.sessions())

    def meant(self, world: World, entry: Any, **what: Any) -> bool:
        """Whether an accepted update meant ``entry`` and no new session."""
        count = world.lma.session_count
        answer = world.send(**what)
        assert answer is not None
        self.assertEqual(answer.status, 0)
        same = world.lma.session_count == count
        self.assertEqual(same, entry.updated == world.now.wall)
        return same


class TestLookUp(Base):
    def test_with_prefix(self) -> None:
        """RFC 5213 section 5.4.1.1: each of the four ways makes it an update, anything else is refused."""
        same: list[dict[str, Any]] = [
            {"ll": LL1, "source": MAG2, "hi": 4},
            {"ll": LL2, "att": 5, "source": MAG2, "hi": 2},
            {"ll": LL2, "hi": 5},
        ]
        for what in same:
            world, prefixes, entry = self.attached()
            self.assertTrue(self.meant(world, entry, prefixes=prefixes, **what))
        world, prefixes, entry = self.attached(ll=None)
        self.assertTrue(self.meant(world, entry, prefixes=prefixes, ll=None, hi=3, source=MAG2))
        for what in ({"ll": LL2, "source": MAG2, "hi": 3}, {"att": 5, "hi": 1}):
            world, prefixes, _ = self.attached()
            self.assertEqual(world.send(prefixes=prefixes, **what).status, 155)

    def test_with_link_layer_id(self) -> None:
        """RFC 5213 section 5.4.1.2: MN-ID, technology and link-layer id; HI 2 moves a single session."""
        world, _, entry = self.attached()
        self.assertTrue(self.meant(world, entry, source=MAG2))
        self.assertTrue(self.meant(world, entry, ll=LL2, att=5, hi=2))
        self.assertEqual((entry.link_layer, entry.technology), (LL2, 5))
        self.assertFalse(self.meant(world, entry, ll=LL1, hi=1))
        self.assertFalse(self.meant(world, entry, ll=b"\2\0\0\0\0\7", hi=2))

    def test_without_link_layer_id(self) -> None:
        """RFC 5213 section 5.4.1.3: HI 2 or 3 means a single session, HI 1 a new one."""
        for hi, same in ((2, True), (3, True), (1, False), (5, False)):
            world, _, entry = self.attached()
            self.assertEqual(self.meant(world, entry, ll=None, hi=hi, source=MAG2), same)
        world, _, entry = self.attached()
        world.send(ll=LL2)
        self.assertFalse(self.meant(world, entry, ll=None, hi=3, source=MAG2))

    def test_by_ipv4_address(self) -> None:
        """RFC 5844 section 3.1.2.1: without a prefix the IPv4 home address is the key."""
        world, _, entry = self.attached(prefixes=[], ipv4=ANY4)
        held = ".".join(map(str, entry.ipv4_address))
        self.assertTrue(self.meant(world, entry, prefixes=[], ipv4=[held], source=MAG2, hi=3))
        self.assertEqual(entry.care_of, MAG2)
        self.assertEqual(world.send(prefixes=[], ipv4=[held], ll=LL2, source=MAG1, hi=1).status, 171)

    def test_several_interfaces(self) -> None:
        """Each interface is a session of its own, with its own prefix, whatever simul-bindings says."""
        world, first, _ = self.attached()
        second = prefixes_of(world.send(ll=LL2, att=3))
        self.assertNotEqual(first, second)
        self.assertEqual(len(list(world.lma.sessions(mn_id=MN1))), 2)
        self.assertEqual(len(list(world.lma.sessions(address=packed(second[0][0])[:8] + b"\1" * 8))), 1)

    def test_padded_identifier(self) -> None:
        """An NAI padded with zero octets is the same mobile, and is echoed as it came."""
        world, _, entry = self.attached()
        self.assertTrue(self.meant(world, entry, mn=MN1 + b"\0\0"))
        self.assertEqual(option(world.answer(), MobileNodeIdentifier).identifier, MN1 + b"\0\0")


class TestExtend(Base):
    def test_refresh_installs_nothing(self) -> None:
        """A refresh changes no forwarding; its lifetime counts from now and is cut to the limit."""
        world, prefixes, entry = self.attached(lifetime=50)
        world.pass_time(150)
        answer = world.send(lifetime=60000, hi=5)
        self.assertEqual((answer.status, answer.lifetime, prefixes_of(answer)), (0, 900, prefixes))
        self.assertEqual([type(effect) for effect in world.effects], [Send])
        world.pass_time(3599)
        self.assertEqual(world.lma.session_count, 1)
        world.pass_time(1.2)
        self.assertEqual(world.lma.session_count, 0)
        self.assertEqual(world.value("total-disconnects/lifetime-expiry"), 1)
        self.assertEqual(world.effects, [Remove(entry.call_id)])
        self.assertIsNone(world.lma._sessions.wheel.deadline)

    def test_handover(self) -> None:
        """A new gateway takes the session over with its prefix; forwarding is replaced."""
        world, prefixes, entry = self.attached()
        answer = world.send(source=MAG2, hi=3)
        self.assertEqual(prefixes_of(answer), prefixes)
        install = world.of_kind(Install)[0]
        self.assertEqual((install.call_id, install.peer), (entry.call_id, MAG2))
        self.assertEqual(entry.handoffs, 1)
        self.assertEqual(world.value("handoff-requests/accepted"), 1)

    def test_shorter_lifetime(self) -> None:
        """A refresh with a shorter lifetime ends the session earlier."""
        world, _, _ = self.attached(lifetime=900)
        world.send(lifetime=2, hi=5)
        world.pass_time(8.2)
        self.assertEqual(world.lma.session_count, 0)

    def test_link_local(self) -> None:
        """RFC 5213 section 5.3.6: zero asks for ours, another is taken and given to the next gateway."""
        world, _, _ = self.attached(link_local="::")
        self.assertEqual(option(world.answer(), LinkLocalAddress).address, FIXED_LINK_LOCAL)
        world.send(link_local="fe80::5")
        answer = world.send(link_local="::", source=MAG2)
        self.assertEqual(option(answer, LinkLocalAddress).address, packed("fe80::5"))

    def test_refresh_advice(self) -> None:
        """The refresh advice is a part of the granted lifetime, and only in registrations."""
        world, prefixes, _ = self.attached(settings={"refresh_advice_option": True}, lifetime=100)
        self.assertEqual(option(world.answer(), BindingRefreshAdvice).interval, 75)
        self.assertIsNone(option(world.send(lifetime=0, prefixes=prefixes), BindingRefreshAdvice))


class TestLeave(Base):
    def test_delay_and_end(self) -> None:
        """The session stays MinDelayBeforeBCEDelete without forwarding, then its prefix is free."""
        world, prefixes, entry = self.attached()
        answer = world.send(lifetime=0, prefixes=prefixes, hi=4)
        self.assertEqual((answer.status, answer.lifetime, prefixes_of(answer)), (0, 0, prefixes))
        self.assertEqual(world.of_kind(Remove), [Remove(entry.call_id)])
        self.assertEqual(entry.state, "deleting")
        self.assertEqual(world.pass_time(9.8), [])
        self.assertEqual(world.lma.session_count, 1)
        self.assertEqual(world.pass_time(0.4), [])
        self.assertEqual(world.lma.session_count, 0)
        self.assertEqual(world.value("total-disconnects/deregistrations"), 1)
        self.assertEqual(world.lma._sessions.pools.prefixes[0].in_use, 0)

    def test_no_delay(self) -> None:
        """With a delay of 0 the session is gone with the answer."""
        world, prefixes, _ = self.attached(settings={"min_delay_before_bce_delete": 0})
        self.assertEqual(world.send(lifetime=0, prefixes=prefixes).status, 0)
        self.assertEqual(world.lma.session_count, 0)

    def test_revival(self) -> None:
        """A registration within the delay revives the session with its prefix."""
        world, prefixes, entry = self.attached()
        world.send(lifetime=0, prefixes=prefixes, hi=4)
        answer = world.send(source=MAG2, hi=4, later=5)
        self.assertEqual((prefixes_of(answer), entry.state), (prefixes, "active"))
        self.assertEqual(len(world.of_kind(Install)), 1)
        world.pass_time(60)
        self.assertEqual(world.lma.session_count, 1)

    def test_clear(self) -> None:
        """An operator's clear ends what it names at once."""
        world, prefixes, entry = self.attached()
        world.send(ll=LL2)
        inside = packed(prefixes[0][0])[:8] + b"\0" * 7 + b"\5"
        world.lma.receive(ClearSessions(address=inside), world.now)
        self.assertEqual(world.lma.take(), [Remove(entry.call_id)])
        world.lma.receive(ClearSessions(mn_id=b"nobody@x"), world.now)
        self.assertEqual(world.lma.session_count, 1)
        world.lma.receive(ClearSessions(), world.now)
        self.assertEqual(world.value("total-disconnects/admin-drops"), 2)
        self.assertEqual(world.lma.session_count, 0)


class TestWait(Base):
    def waiting(self, **settings: Any) -> tuple[World, list[tuple[str, int]], Any]:
        """HI 4 from another gateway and another link-layer id, with one session there."""
        world, prefixes, entry = self.attached(settings=settings)
        self.assertIsNone(world.send(source=MAG2, ll=LL2, hi=4))
        return world, prefixes, entry

    def test_until_the_other_leaves(self) -> None:
        """The de-registration of the old gateway lets the waiting update take the session over."""
        world, prefixes, entry = self.waiting()
        self.assertEqual(world.value("binding-updates-received/pending"), 1)
        world.packet(*world.build(lifetime=0, prefixes=prefixes, sequence=2, time=world.now.wall + 0.1))
        answers = world.of_kind(Send)
        self.assertEqual([one.destination for one in answers], [MAG1, MAG2])
        self.assertEqual((entry.care_of, entry.state, world.lma.session_count), (MAG2, "active", 1))
        self.assertEqual(world.value("binding-updates-received/pending"), 0)
        self.assertEqual(world.value("handoff-requests/accepted"), 1)

    def test_until_the_time_is_over(self) -> None:
        """After MaxDelayBeforeNewBCEAssign it becomes a new session; a repeat does not prolong that."""
        world, _, _ = self.waiting()
        self.assertIsNone(world.send(source=MAG2, ll=LL2, hi=4, sequence=2, later=1.0))
        self.assertEqual(world.value("binding-updates-discard-reasons/other"), 1)
        world.pass_time(0.55)
        answer = world.answer()
        assert answer is not None
        self.assertEqual((answer.status, answer.sequence, world.lma.session_count), (0, 2, 2))
        self.assertEqual(world.value("binding-updates-received/pending"), 0)

    def test_the_other_ends_otherwise(self) -> None:
        """When the other session is cleared the waiting update goes on at once."""
        world, _, _ = self.waiting()
        world.lma.receive(ClearSessions(), world.now)
        self.assertEqual(world.lma.session_count, 1)

    def test_no_patience(self) -> None:
        """With a delay of 0 it is a new session at once."""
        world, _, entry = self.attached(settings={"max_delay_before_new_bce_assign": 0})
        self.assertFalse(self.meant(world, entry, source=MAG2, ll=LL2, hi=4))


class TestReplay(Base):
    def test_same_packet(self) -> None:
        """The very same packet gets the very same answer, also without HI or LL-ID that tell the session."""
        for what in ({}, {"time": None}, {"ll": None}, {"ll": None, "hi": 4}):
            world = World()
            packet = world.build(**what)
            first = [one for one in world.packet(*packet) if isinstance(one, Send)]
            world.mono += 1
            self.assertEqual(world.packet(*packet), first)
            self.assertEqual(world.lma.session_count, 1)

    def test_same_timestamp_new_sequence(self) -> None:
        """The stored answer carries the sequence number of the retransmission."""
        world, prefixes, entry = self.attached(sequence=7)
        stamp = world.now.wall
        answer = world.send(sequence=8, time=stamp, later=1)
        self.assertEqual((answer.status, answer.sequence, prefixes_of(answer)), (0, 8, prefixes))
        self.assertEqual(world.of_kind(Install), [])
        self.assertEqual(world.value("refresh-binding-update-requests/accepted"), 1)

    def test_same_sequence_other_content(self) -> None:
        """The same sequence number with another content is no retransmission."""
        world, _, _ = self.attached(time=None, sequence=3)
        self.assertEqual(world.send(time=None, sequence=3, hi=5).status, 135)

    def test_left_twice(self) -> None:
        """A repeated de-registration is answered again and ends nothing twice."""
        world, prefixes, _ = self.attached()
        packet = world.build(lifetime=0, prefixes=prefixes, sequence=2, time=world.now.wall + 0.1)
        first = world.packet(*packet)
        self.assertEqual(world.packet(*packet), [one for one in first if isinstance(one, Send)])
        world.pass_time(11)
        self.assertEqual(world.value("total-disconnects/deregistrations"), 1)


class TestDualStack(Base):
    def test_both_families(self) -> None:
        """One session holds both; router and DHCP mode come with the address."""
        world, prefixes, entry = self.attached(ipv4=ANY4)
        answer = world.answer()
        reply = option(answer, IPv4HomeAddressReply)
        self.assertEqual((reply.status, reply.prefix_length, reply.address), (0, 24, packed("203.0.113.10")))
        self.assertEqual(option(answer, IPv4DefaultRouterAddress).address, packed("203.0.113.1"))
        self.assertTrue(option(answer, IPv4DhcpSupportMode).server)
        install = world.of_kind(Install)[0]
        self.assertEqual((len(install.prefixes), install.ipv4_address), (1, packed("203.0.113.10")))

    def test_ipv4_only(self) -> None:
        """An IPv4-only request gets no prefix option at all."""
        world, prefixes, entry = self.attached(prefixes=[], ipv4=ANY4)
        self.assertEqual((prefixes, entry.prefixes), ([], ()))

    def test_adding_ipv4(self) -> None:
        """IPv4 can be added by a later update; forwarding is replaced."""
        world, prefixes, entry = self.attached()
        world.send(prefixes=prefixes, ipv4=ANY4, hi=5)
        self.assertEqual(world.of_kind(Install)[0].ipv4_address, packed("203.0.113.10"))
        self.assertEqual(world.send(prefixes=prefixes, ipv4=["203.0.113.11"], hi=5).status, 171)

    def test_adding_ipv6(self) -> None:
        """A prefix can be added to an IPv4-only session."""
        world, _, entry = self.attached(prefixes=[], ipv4=ANY4)
        self.assertEqual(len(prefixes_of(world.send(ipv4=ANY4, hi=5))), 1)
        self.assertEqual(len(entry.prefixes), 1)

    def test_handover_drops_a_family(self) -> None:
        """RFC 5844 section 3.1.2.4: only the family that the new gateway asks for is kept."""
        world, prefixes, entry = self.attached(ipv4=ANY4)
        world.send(source=MAG2, hi=3)
        self.assertEqual((entry.ipv4_address, len(entry.prefixes)), (None, 1))
        world, _, entry = self.attached(ipv4=ANY4)
        world.send(source=MAG2, hi=3, prefixes=[], ipv4=ANY4)
        self.assertEqual((entry.ipv4_address, entry.prefixes), (packed("203.0.113.10"), ()))

    def test_leaving_with_one_family(self) -> None:
        """RFC 5844 section 3.1.2.5: the other family stays."""
        world, prefixes, entry = self.attached(ipv4=ANY4)
        answer = world.send(lifetime=0, prefixes=[], ipv4=["203.0.113.10"])
        self.assertEqual((answer.status, answer.lifetime), (0, 0))
        self.assertEqual((entry.state, entry.ipv4_address, len(entry.prefixes)), ("active", None, 1))
        self.assertIsNone(world.of_kind(Install)[0].ipv4_address)
        world, prefixes, entry = self.attached(ipv4=ANY4)
        world.send(lifetime=0, prefixes=prefixes)
        self.assertEqual((entry.state, entry.prefixes), ("active", ()))
        world.send(lifetime=0, prefixes=[], ipv4=["203.0.113.10"])
        self.assertEqual(entry.state, "deleting")

    def test_static(self) -> None:
        """A profile's own prefix and address are given, and to nobody else."""
        mine = Profile(
            name="mn1",
            mn_id=MN1,
            ipv4=True,
            prefixes=((packed("2001:db8:1::"), 64),),
            ipv4_address=packed("203.0.113.10"),
        )
        world = World(profiles=(mine,))
        other = world.send(mn=b"x@y", ipv4=ANY4)
        self.assertEqual(option(other, IPv4HomeAddressReply).address, packed("203.0.113.11"))
        answer = world.send(ipv4=ANY4)
        self.assertEqual(prefixes_of(answer), [("2001:db8:1::", 64)])
        self.assertEqual(option(answer, IPv4HomeAddressReply).address, packed("203.0.113.10"))
        # Another interface of the same mobile cannot have them too.
        answer = world.send(ipv4=ANY4, ll=LL2)
        self.assertEqual(prefixes_of(answer), [("2001:db8:1:2::", 64)])

    def test_proposed_prefix(self) -> None:
        """Where the profile lets the gateway propose, a free prefix of the pool is taken."""
        world = World(default_profile=Profile(name="d", any_prefix=True))
        wanted = [("2001:db8:1:1::", 64)]
        self.assertEqual(prefixes_of(world.send(prefixes=wanted)), wanted)
        found = [prefixes_of(world.send(mn=b"%d@x" % n))[0][0] for n in range(3)]
        self.assertEqual(found, ["2001:db8:1::", "2001:db8:1:2::", "2001:db8:1:3::"])

    def test_several_prefixes(self) -> None:
        """A profile can give several prefixes to one session; the set is the key."""
        world = World(default_profile=Profile(name="d", prefix_count=3))
        prefixes = prefixes_of(world.send())
        self.assertEqual(len(set(prefixes)), 3)
        self.assertEqual(world.send(prefixes=prefixes[::-1], hi=5).status, 0)
        self.assertEqual(world.send(prefixes=prefixes[:2], hi=5).status, 159)


class TestEncapsulation(Base):
    def gre(self, key: int | None, **what: Any) -> Any:
        """Attach with a GRE Key option."""
        return self.attached(extra=[GreKey(key)], **what)

    def test_keys(self) -> None:
        """RFC 5845 section 3.3: our key stays; the gateway's may change and then replaces forwarding."""
        world, _, entry = self.gre(5)
        key = option(world.answer(), GreKey).key
        self.assertEqual((entry.send_key, entry.receive_key), (5, key))
        answer = world.send(source=MAG2, hi=3, extra=[GreKey(6)])
        self.assertEqual(option(answer, GreKey).key, key)
        self.assertEqual(world.of_kind(Install)[0].send_key, 6)
        world.send(source=MAG2, hi=5, extra=[GreKey(6)])
        self.assertEqual(world.of_kind(Install), [])
        answer = world.send(source=MAG2, hi=5)
        self.assertIsNone(option(answer, GreKey))
        self.assertFalse(world.of_kind(Install)[0].gre)

    def test_without_keys(self) -> None:
        """An option without key asks for GRE without keys, and is answered so."""
        world, _, _ = self.gre(None)
        self.assertIsNone(option(world.answer(), GreKey).key)
        install = world.of_kind(Install)[0]
        self.assertEqual((install.gre, install.send_key, install.receive_key), (True, None, None))

    def test_not_required(self) -> None:
        """Status 2 and no option when GRE is disabled."""
        world = World(gre="disabled")
        answer = world.send(extra=[GreKey(5)])
        self.assertEqual((answer.status, option(answer, GreKey)), (2, None))
        self.assertFalse(world.of_kind(Install)[0].gre)

    def test_no_tlv_header(self) -> None:
        """Status 3 and T cleared: the TLV header is not supported (RFC 5845 section 6.4)."""
        world = World()
        answer = world.send(extra=[GreKey(5)], flags=BU_A | BU_P | BU_T)
        self.assertEqual((answer.status, answer.flags), (3, 0x20))
        self.assertIsNotNone(option(answer, GreKey))

    def test_required_but_not_for_leaving(self) -> None:
        """A de-registration carries no key option even where one is required."""
        world, prefixes, _ = self.gre(5, settings={"gre": "required"})
        self.assertEqual(world.send(lifetime=0, prefixes=prefixes).status, 0)

    def test_ipv4_transport(self) -> None:
        """Over UDP and IPv4 the tunnel has IPv4 ends and the answer goes to the port it came from."""
        world, prefixes, entry = self.attached(source=MAG_IPV4, port=40000)
        sent = world.of_kind(Send)[0]
        self.assertEqual((sent.source, sent.destination, sent.port), (LMA_IPV4, MAG_IPV4, 40000))
        self.assertEqual(sent.data[4:6], b"\0\0")
        install = world.of_kind(Install)[0]
        self.assertEqual((install.local, install.peer, install.udp), (LMA_IPV4, MAG_IPV4, False))
        world.send(source=MAG1, hi=3)
        self.assertEqual(world.of_kind(Install)[0].peer, MAG1)
