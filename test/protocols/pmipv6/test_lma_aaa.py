"""Registrations that AAA decides about: waiting, verdicts, grants, and what happens meanwhile."""

from typing import Any

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.mobility import aaa
from appliance.protocols.mobility.aaa import Account
from appliance.protocols.mobility.options import IPv4HomeAddressReply, ServiceSelection
from appliance.protocols.pmipv6 import lma_updates
from appliance.protocols.pmipv6.events import Install, Notify, Reach, Reconfigure, Remove, Send, Unreach
from appliance.protocols.pmipv6.settings import Profile
from test.protocols.pmipv6.aaa_fakes import AaaWorld, group
from test.protocols.pmipv6.lma_fakes import (
    LL1,
    LL2,
    LMA_ADDRESS,
    MAG1,
    MAG2,
    MN1,
    option,
    packed,
    prefixes_of,
)

ANY4 = ["0.0.0.0"]
PENDING = "binding-updates-received/pending"
ABSORBED = "binding-updates-discard-reasons/initial-auth-pending"
OUTSIDE = (packed("2001:db8:77:1::"), 64)
INSIDE = (packed("2001:db8:1:42::"), 64)


class TestWaiting(SynchronousTestCase):
    def test_accepted(self) -> None:
        """A new session is made when AAA says yes, and not before; nothing is sent until then."""
        world = AaaWorld()
        question = world.ask(extra=[ServiceSelection(b"net")], lifetime=150)
        self.assertEqual([type(each).__name__ for each in world.effects], ["Authorize"])
        subject = question.subject
        self.assertEqual((subject.mn_id, subject.local, subject.care_of), (MN1, LMA_ADDRESS, MAG1))
        self.assertEqual((subject.link_layer, subject.technology, subject.service), (LL1, 4, b"net"))
        self.assertEqual((subject.prefixes, subject.ipv4_address), ((), None))
        self.assertEqual((question.ipv6, question.ipv4, question.lifetime), (True, False, 600))
        self.assertEqual(question.patience, 60)
        self.assertEqual((world.lma.session_count, world.value(PENDING)), (0, 1))
        self.assertEqual(world.asked(), (1, 0, 0, 0))
        answer = world.reply(question)
        self.assertEqual(answer.status, 0)
        self.assertEqual([type(each) for each in world.effects], [Install, Account, Send])
        (entry,) = world.lma.sessions()
        self.assertEqual((entry.call_id, entry.grant.session_id), (question.subject.call_id, "s;1;1"))
        self.assertEqual((world.value(PENDING), world.asked()), (0, (1, 1, 0, 0)))
        self.assertEqual(world.value("initial-binding-update-requests/accepted"), 1)

    def test_known_session(self) -> None:
        """A refresh and a handover of an authorized session wait for nobody."""
        world = AaaWorld()
        entry = world.attach()
        self.assertEqual(world.send(hi=5).status, 0)
        self.assertEqual(world.send(source=MAG2, hi=3).status, 0)
        self.assertEqual((entry.handoffs, world.asked()), (1, (1, 1, 0, 0)))

    def test_others_go_on(self) -> None:
        """While AAA is silent about one mobile, another one is served, and asked about."""
        world = AaaWorld()
        world.attach(mn=b"old@x", ll=LL2)
        world.ask()
        self.assertEqual(world.send(mn=b"old@x", ll=LL2, hi=5).status, 0)
        other = world.ask(mn=b"new@x")
        self.assertEqual(world.reply(other).status, 0)
        self.assertEqual(world.value(PENDING), 1)

    def test_verdicts(self) -> None:
        """Each verdict has its status, its deny reason and its counter under MIP AAA Authentication."""
        resources = "update-denied-insufficient-resource-reasons/"
        unspecified = "update-denied-unspecified-reason/"
        reasons = "binding-update-deny-reasons/"
        for verdict, status, row, counted in (
            (aaa.REJECT, 152, reasons + "proxy-reg-not-enabled", (1, 0, 1, 0)),
            (aaa.BAD_CREDENTIALS, 146, reasons + "mn-auth-failure", (1, 0, 1, 0)),
            (aaa.UNKNOWN_USER, 153, reasons + "not-lma-for-mobile", (1, 0, 1, 0)),
            (aaa.ROAMING, 154, reasons + "not-authorized-for-proxy-reg", (1, 0, 1, 0)),
            (aaa.SERVICE, 151, reasons + "service-authorization-failed", (1, 0, 1, 0)),
            (aaa.RESOURCES, 130, resources + "other", (1, 0, 1, 0)),
            (aaa.NEWER, 128, unspecified + "newer-session-detected-by-aaa", (1, 0, 1, 0)),
            (aaa.NO_ANSWER, 128, unspecified + "other", (1, 0, 0, 1)),
        ):
            world = AaaWorld()
            question = world.ask(sequence=77)
            answer = world.reply(question, verdict)
            self.assertEqual((answer.status, answer.sequence), (status, 77), verdict)
            self.assertEqual((world.value(row), world.asked()), (1, counted), verdict)
            self.assertEqual((world.lma.session_count, world.value(PENDING)), (0, 0))
            self.assertEqual(world.abandoned(), [], "the server knows itself that it has said no")
            self.assertEqual(world.value("initial-binding-update-requests/denied"), 1)
            self.assertEqual(world.lma._sessions._reserved, set())
            totals = [world.value("mip-aaa-authentication/" + row) for row in ("total-failures", "failures")]
            self.assertEqual(totals, [1, 1])

    def test_no_answer_is_logged(self) -> None:
        """An operator reads that no server answers, not more often than every ten seconds."""
        world = AaaWorld()
        for number in range(3):
            world.reply(world.ask(mn=b"%d@x" % number), aaa.NO_ANSWER)
            self.assertEqual(len(world.of_kind(Notify)), number == 0)

    def test_repeated(self) -> None:
        """A retransmission takes the place of the update that waits; the answer has its sequence number."""
        world = AaaWorld()
        question = world.ask(sequence=1)
        for sequence in (2, 3):
            self.assertIsNone(world.send(sequence=sequence))
            self.assertEqual(world.effects, [])
            self.assertEqual(world.value(PENDING), 1)
        self.assertEqual(world.value(ABSORBED), 2)
        self.assertEqual(world.reply(question).sequence, 3)
        received = world.value("binding-updates-received/total-received")
        self.assertEqual((received, world.value("initial-binding-update-requests/received")), (3, 3))
        self.assertEqual(world.asked(), (1, 1, 0, 0))

    def test_repeated_without_timestamp(self) -> None:
        """The order of updates without a Timestamp option is that of their sequence numbers."""
        world = AaaWorld()
        question = world.ask(sequence=5, time=None)
        self.assertIsNone(world.send(sequence=4, time=None))
        self.assertIsNone(world.send(sequence=5, time=None))
        self.assertEqual(world.value(ABSORBED), 2)
        self.assertEqual(world.reply(question).sequence, 5)

    def test_late(self) -> None:
        """An update that is older than the one that waits changes nothing."""
        world = AaaWorld()
        question = world.ask(sequence=2)
        self.assertIsNone(world.send(sequence=1, time=world.now.wall - 0.1))
        self.assertEqual(world.value(ABSORBED), 1)
        self.assertEqual(world.reply(question).sequence, 2)

    def test_other_gateway(self) -> None:
        """A mobile that has moved on meanwhile gets its session at the gateway where it is now."""
        world = AaaWorld()
        question = world.ask()
        self.assertIsNone(world.send(source=MAG2))
        self.assertEqual(world.effects, [])
        self.assertEqual(world.reply(question).status, 0)
        (entry,) = world.lma.sessions()
        self.assertEqual(entry.care_of, MAG2)

    def test_other_wish(self) -> None:
        """An update that wants something else is asked about anew; the first answer is of no use."""
        world = AaaWorld()
        first = world.ask()
        second = world.ask(extra=[ServiceSelection(b"ims")])
        self.assertEqual(world.abandoned(), [(first.token, first.subject.call_id)])
        self.assertNotEqual(first.subject.call_id, second.subject.call_id)
        self.assertIsNone(world.reply(first))
        self.assertEqual(world.effects, [])
        self.assertEqual(world.reply(second).status, 0)
        self.assertEqual((world.value(ABSORBED), world.asked()), (1, (2, 1, 0, 1)))

    def test_left_again(self) -> None:
        """A de-registration by the gateway that waits calls the registration off."""
        world = AaaWorld()
        question = world.ask()
        self.assertIsNone(world.send(lifetime=0, hi=4, source=MAG2), "it does not serve the mobile")
        self.assertEqual(world.abandoned(), [])
        self.assertIsNone(world.send(lifetime=0, hi=4))
        self.assertEqual(world.abandoned(), [(question.token, question.subject.call_id)])
        self.assertIsNone(world.reply(question))
        self.assertEqual((world.lma.session_count, world.value(PENDING)), (0, 0))
        self.assertEqual((world.value(ABSORBED), world.asked()), (1, (1, 0, 0, 1)))
        self.assertEqual(world.value("binding-updates-discard-reasons/session-not-found"), 2)

    def test_setup_timeout(self) -> None:
        """After setup-timeout and a grace the update is refused, whatever AAA may still say."""
        world = AaaWorld(setup_timeout=5)
        question = world.ask(sequence=9)
        self.assertEqual(question.patience, 5)
        self.assertEqual(world.pass_time(5.9), [])
        world.pass_time(0.2)
        answer = world.answer()
        assert answer is not None
        self.assertEqual((answer.status, answer.sequence), (128, 9))
        self.assertEqual(world.abandoned(), [(question.token, question.subject.call_id)])
        self.assertEqual((world.asked(), world.value(PENDING)), ((1, 0, 0, 1), 0))
        self.assertIsNone(world.reply(question))
        self.assertIsNone(world.lma.deadline)

    def test_repeating_does_not_prolong(self) -> None:
        """The time of an update that waits is that of the first one of them."""
        world = AaaWorld(setup_timeout=5)
        world.ask()
        world.pass_time(4)
        self.assertIsNone(world.send(sequence=2))
        world.pass_time(2.1)
        answer = world.answer()
        assert answer is not None
        self.assertEqual(answer.status, 128)

    def test_waited_before(self) -> None:
        """Handoff Indicator 4: first the other gateway's word, then that of AAA."""
        world = AaaWorld(min_delay_before_bce_delete=0)
        entry = world.attach()
        self.assertIsNone(world.send(source=MAG2, ll=LL2, hi=4))
        self.assertEqual(world.asked()[0], 1)
        world.pass_time(1.6)
        question = world.question()
        self.assertNotEqual(question.subject.call_id, entry.call_id)
        self.assertEqual(world.reply(question).status, 0)
        self.assertEqual(world.lma.session_count, 2)

    def test_unauthorized_locally(self) -> None:
        """What is wrong with an update by itself is refused without a question."""
        world = AaaWorld()
        self.assertEqual(world.send(hi=None).status, 161)
        self.assertEqual(world.asked(), (0, 0, 0, 0))

    def test_profile_gone(self) -> None:
        """If the settings do not let the mobile in any more, a yes of AAA does not help; it is told."""
        world = AaaWorld()
        question = world.ask()
        world.tell(Reconfigure(evolve(world.settings, unknown_subscriber="reject")))
        self.assertEqual(world.reply(question).status, 153)
        self.assertEqual(world.abandoned(), [(question.token, question.subject.call_id)])
        self.assertEqual(world.lma._sessions._reserved, set())


class TestGrants(SynchronousTestCase):
    def grant(self, ask: dict[str, Any] | None = None, **grant: Any) -> tuple[AaaWorld, Any]:
        """A world whose mobile was granted something, and the answer to its gateway."""
        world = AaaWorld(default_profile=Profile(name="default"))
        return world, world.reply(world.ask(**(ask or {})), **grant)

    def test_prefix_of_pool(self) -> None:
        """A prefix that AAA assigns out of a pool is nobody else's until it is given back."""
        world, answer = self.grant(prefixes=(INSIDE,))
        self.assertEqual(prefixes_of(answer), [("2001:db8:1:42::", 64)])
        self.assertEqual(world.lma.pools.prefixes[0].in_use, 1)
        self.assertEqual(world.of_kind(Reach), [])
        world.reply(world.ask(mn=b"other@x"), prefixes=(INSIDE,))
        answer = world.answer()
        assert answer is not None
        self.assertEqual(answer.status, 155)
        self.assertEqual(len(world.abandoned()), 1)
        world.send(lifetime=0)
        world.pass_time(10)
        self.assertEqual(world.lma.pools.prefixes[0].in_use, 0)
        self.assertEqual(world.reply(world.ask(mn=b"other@x"), prefixes=(INSIDE,)).status, 0)

    def test_prefix_outside(self) -> None:
        """A prefix outside of all pools has a route of its own as long as its session lasts."""
        world, answer = self.grant(prefixes=(OUTSIDE, (packed("2001:db8:77:2::"), 64)))
        self.assertEqual(prefixes_of(answer), [("2001:db8:77:1::", 64), ("2001:db8:77:2::", 64)])
        reached = [(each.prefix, each.length) for each in world.of_kind(Reach)]
        self.assertEqual(reached, [OUTSIDE, (packed("2001:db8:77:2::"), 64)])
        self.assertEqual(world.send(hi=5).status, 0)
        self.assertEqual(world.of_kind(Reach), [])
        world.send(lifetime=0)
        world.pass_time(10)
        self.assertEqual([(each.prefix, each.length) for each in world.of_kind(Unreach)], reached)

    def test_prefix_that_cannot_be(self) -> None:
        """What lies round a pool, has not the length of its prefixes, or is another profile's, is refused."""
        for prefix, length in (("2001:db8::", 32), ("2001:db8:1:40::", 60), ("2001:db8:9::", 64)):
            world = AaaWorld(
                profiles=(Profile(name="s", mn_id=b"s@x", prefixes=((packed("2001:db8:9::"), 64),)),)
            )
            answer = world.reply(world.ask(), prefixes=((packed(prefix), length),))
            self.assertEqual(answer.status, 155, prefix)
            self.assertEqual(world.lma.pools.prefixes[0].in_use, 0)

    def test_prefix_of_profile(self) -> None:
        """AAA is told what the profile assigns, and may say the same."""
        own = (packed("2001:db8:9::"), 64)
        world = AaaWorld(profiles=(Profile(name="s", mn_id=MN1, prefixes=(own,)),))
        question = world.ask()
        self.assertEqual(question.subject.prefixes, (own,))
        self.assertEqual(prefixes_of(world.reply(question, prefixes=(own,))), [("2001:db8:9::", 64)])
        self.assertEqual(world.of_kind(Reach), [])

    def test_proposed_prefix(self) -> None:
        """A prefix that the gateway asks for has to be one that AAA grants, if it grants any."""
        ask = {"prefixes": [("2001:db8:1:42::", 64)]}
        world, answer = self.grant(ask, prefixes=(INSIDE, OUTSIDE))
        self.assertEqual((answer.status, prefixes_of(answer)), (0, [("2001:db8:1:42::", 64)]))
        world, answer = self.grant(ask, prefixes=(OUTSIDE,))
        self.assertEqual(answer.status, 155)
        world, answer = self.grant(ask)
        self.assertEqual(answer.status, 155, "the profile does not let it propose")

    def test_ipv4(self) -> None:
        """An IPv4 address that AAA assigns, in a pool and outside of all."""
        for address, reached in (("203.0.113.12", 0), ("192.0.2.99", 1)):
            world, answer = self.grant({"ipv4": ANY4}, ipv4_address=packed(address))
            self.assertEqual(
                (answer.status, option(answer, IPv4HomeAddressReply).address), (0, packed(address))
            )
            self.assertEqual(len(world.of_kind(Reach)), reached, address)
            self.assertEqual(world.lma.pools.addresses[0].in_use, 1 - reached)
            world.send(lifetime=0, ipv4=ANY4)
            world.pass_time(10)
            self.assertEqual(len(world.of_kind(Unreach)), reached)
            self.assertEqual(world.lma.pools.addresses[0].in_use, 0)

    def test_ipv4_that_cannot_be(self) -> None:
        """The router's address, one in use, and another one than was asked for."""
        world, answer = self.grant({"ipv4": ANY4}, ipv4_address=packed("203.0.113.1"))
        self.assertEqual(answer.status, 171)
        self.assertEqual(world.lma.pools.prefixes[0].in_use, 0)
        world, _ = self.grant({"ipv4": ANY4}, ipv4_address=packed("203.0.113.12"))
        answer = world.reply(world.ask(mn=b"b@x", ipv4=ANY4), ipv4_address=packed("203.0.113.12"))
        self.assertEqual(answer.status, 171)
        world, answer = self.grant({"ipv4": ["203.0.113.13"]}, ipv4_address=packed("203.0.113.12"))
        self.assertEqual(answer.status, 171)

    def test_families(self) -> None:
        """For a mobile without a profile AAA decides about both families, or the default profile does."""
        both = {"ipv4": ANY4}
        for grant, status in (({}, 170), ({"ipv4_allowed": True}, 0), ({"ipv6_allowed": False}, 172)):
            _, answer = self.grant(both, **grant)
            self.assertEqual(answer.status, status, grant)
        world = AaaWorld()
        self.assertEqual(world.reply(world.ask(ipv4=ANY4), ipv4_allowed=False).status, 170)
        world = AaaWorld(profiles=(Profile(name="s", mn_id=MN1),))
        self.assertEqual(world.send(ipv4=ANY4).status, 170, "a profile's no is enough")

    def test_family_added_later(self) -> None:
        """A family that is asked for later is given by the same grant, without another question."""
        world, _ = self.grant(ipv4_address=packed("192.0.2.99"))
        answer = world.send(ipv4=ANY4, hi=5)
        self.assertEqual(option(answer, IPv4HomeAddressReply).address, packed("192.0.2.99"))
        world, _ = self.grant(ipv4_allowed=False)
        self.assertEqual(world.send(ipv4=ANY4, hi=5).status, 170)
        self.assertEqual(world.asked(), (1, 1, 0, 0))

    def test_lifetime(self) -> None:
        """No longer than the authorization and the session last, and never a lifetime of zero."""
        for grant, units in (
            ({}, 150),
            ({"lifetime": 0}, 150),
            ({"lifetime": 100}, 25),
            ({"session_timeout": 99}, 24),
            ({"lifetime": 60, "session_timeout": 300}, 15),
            ({"session_timeout": 2}, 1),
        ):
            world, answer = self.grant({"lifetime": 150}, **grant)
            self.assertEqual(answer.lifetime, units, grant)
        world, _ = self.grant({"lifetime": 150}, session_timeout=400)
        world.pass_time(300)
        self.assertEqual(world.send(hi=5, lifetime=150).lifetime, 24)

    def test_service(self) -> None:
        """The default service of AAA; one that is not granted; another one later is asked about."""
        world, _ = self.grant(services=(b"net", b"ims"))
        (entry,) = world.lma.sessions()
        self.assertEqual(entry.service, b"net")
        self.assertEqual(world.send(hi=5, extra=[ServiceSelection(b"ims")]).status, 0)
        question = world.ask(hi=5, extra=[ServiceSelection(b"corp")])
        self.assertEqual((question.subject.service, question.subject.call_id), (b"corp", entry.call_id))
        self.assertEqual(world.reply(question, services=(b"corp",)).status, 0)
        _, answer = self.grant({"extra": [ServiceSelection(b"x")]}, services=(b"net",))
        self.assertEqual(answer.status, 151)

    def test_kept_for_views(self) -> None:
        """Bandwidth and features of the grant are kept in the session."""
        world, _ = self.grant(bandwidth_up=10, bandwidth_down=20, features=1 << 40, key=b"k" * 16)
        (entry,) = world.lma.sessions()
        grant = entry.grant
        self.assertEqual((grant.bandwidth_up, grant.bandwidth_down, grant.features), (10, 20, 1 << 40))

    def test_local(self) -> None:
        """When only the local profile has said yes, that is no success of AAA."""
        world, answer = self.grant(local=True)
        self.assertEqual((answer.status, world.asked()), (0, (1, 0, 0, 1)))

    def test_pool_empty(self) -> None:
        """If there is nothing to give after all, the server hears that there is no session."""
        world = AaaWorld(prefix_pools=())
        question = world.ask()
        self.assertEqual(world.reply(question).status, 130)
        self.assertEqual(world.abandoned(), [(question.token, question.subject.call_id)])
        self.assertEqual((world.asked(), world.told()), ((1, 1, 0, 0), []))


class TestLimits(SynchronousTestCase):
    def test_open_questions(self) -> None:
        """When too many updates wait, the next one is told that resources are missing."""
        world = AaaWorld(max_pending=1)
        first = world.ask()
        self.assertEqual(world.send(mn=b"b@x").status, 130)
        self.assertEqual(world.value("update-denied-insufficient-resource-reasons/input-q-exceeded"), 1)
        self.assertEqual(world.asked()[0], 1)
        entry = world.reply(first) and next(world.lma.sessions())
        world.ask(mn=b"c@x")
        self.assertEqual(world.again(entry.call_id), [])

    def test_sessions_to_come(self) -> None:
        """Sessions that are still to be made count for max-subscribers and for their mobile."""
        world = AaaWorld(max_subscribers=2)
        world.ask(mn=b"a@x")
        world.ask(mn=b"b@x")
        self.assertEqual(world.send(mn=b"c@x").status, 130)
        world = AaaWorld()
        for number in range(32):
            world.ask(ll=b"\2" + number.to_bytes(5, "big"))
        self.assertEqual(world.send(ll=LL1).status, 130)
        self.assertEqual(
            world.value("update-denied-insufficient-resource-reasons/simul-bindings-exceeded"), 1
        )

    def test_many_at_once(self) -> None:
        """What comes due at one time is done in several ticks."""
        self.patch(lma_updates, "PER_TICK", 4)
        world = AaaWorld(setup_timeout=5)
        for number in range(10):
            world.ask(mn=b"%d@x" % number, later=0)
        world.mono += 6
        counts = []
        while (deadline := world.lma.deadline) is not None and deadline <= world.mono:
            world.lma.tick(world.now)
            counts.append(len([each for each in world.lma.take() if isinstance(each, Send)]))
        self.assertEqual(counts, [4, 4, 2])


class TestSettings(SynchronousTestCase):
    def test_no_group(self) -> None:
        """Without a group, and with one that only accounts, nobody is asked."""
        for changes in (
            {"aaa": None},
            {"aaa": group(authentication=group().accounting.__class__())},
        ):
            world = AaaWorld(**changes)
            self.assertEqual(world.send().status, 0)
            self.assertEqual(world.asked(), (0, 0, 0, 0))
            self.assertEqual(bool(world.told()), changes["aaa"] is not None)

    def test_group_removed(self) -> None:
        """What waits goes on without AAA; sessions stay, and their lifetimes are ours again."""
        world = AaaWorld(setup_timeout=5)
        entry = world.attach(mn=b"a@x", grant={"session_timeout": 100, "prefixes": (OUTSIDE,)})
        question = world.ask()
        world.tell(Reconfigure(evolve(world.settings, aaa=None, aaa_group="")))
        self.assertEqual(world.lma.deadline, 0.0)
        world.pass_time(0)
        self.assertEqual(world.abandoned(), [(question.token, question.subject.call_id)])
        answer = world.answer()
        assert answer is not None
        self.assertEqual((answer.status, world.value(PENDING)), (0, 0))
        self.assertIsNone(world.reply(question))
        self.assertEqual(world.send(mn=b"a@x", hi=5, lifetime=600).lifetime, 600)
        self.assertEqual(entry.prefixes, (OUTSIDE,))
        self.assertEqual(world.told(), [])
        self.assertEqual(world.asked(), (2, 1, 0, 1))

    def test_group_changed(self) -> None:
        """Another authority is asked about what waits, and about each session at its next update."""
        world = AaaWorld()
        entry = world.attach(mn=b"a@x")
        first = world.ask()
        world.tell(Reconfigure(evolve(world.settings, aaa=group(name="h"))))
        world.pass_time(0)
        second = world.question()
        self.assertEqual(world.abandoned(), [(first.token, first.subject.call_id)])
        self.assertEqual(world.reply(second).status, 0)
        again = world.ask(mn=b"a@x", hi=5)
        self.assertEqual(again.subject.call_id, entry.call_id)
        self.assertEqual(world.reply(again).status, 0)
        self.assertEqual(world.send(mn=b"a@x", hi=5).status, 0)

    def test_group_retuned(self) -> None:
        """Other time-outs of the same group change nothing about what is open."""
        world = AaaWorld()
        question = world.ask()
        world.tell(Reconfigure(evolve(world.settings, aaa=group(queue_time=5), setup_timeout=3)))
        self.assertEqual(world.effects, [])
        self.assertEqual(world.reply(question).status, 0)

    def test_group_added(self) -> None:
        """Sessions that were there before are asked about at their next update; a no ends them."""
        world = AaaWorld(aaa=None)
        world.send()
        world.tell(Reconfigure(evolve(world.settings, aaa=group())))
        question = world.ask(hi=5)
        self.assertEqual(len(question.subject.prefixes), 1)
        self.assertEqual(world.reply(question, aaa.REJECT).status, 152)
        self.assertEqual((world.lma.session_count, world.told()), (0, [("stop", aaa.ADMINISTRATIVE)]))

    def test_pool_removed(self) -> None:
        """A session keeps what AAA has given it when the pool goes; without such a word it ends."""
        world = AaaWorld()
        kept = world.attach(mn=b"a@x", grant={"prefixes": (INSIDE,), "ipv4_address": packed("203.0.113.12")})
        world.attach(mn=b"b@x", ll=LL2)
        pools = {"prefix_pools": (), "address_pools": ()}
        world.tell(Reconfigure(evolve(world.settings, **pools)))
        self.assertEqual(list(world.lma.sessions()), [kept])
        self.assertEqual(world.told(), [("stop", aaa.ADMINISTRATIVE)])
        self.assertEqual(len(world.of_kind(Remove)), 1)
