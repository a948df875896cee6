"""What the AAA client hears of sessions, how it ends them, and authorization again."""

import random
from typing import Any

from attrs import evolve
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.diameter.settings import ServerGroup
from appliance.protocols.mobility import aaa
from appliance.protocols.mobility.aaa import Abandon, Account, Authorize, Authorized, Grant
from appliance.protocols.mobility.options import ServiceSelection
from appliance.protocols.pmipv6.events import (
    ClearSessions,
    Install,
    Reach,
    Reconfigure,
    Remove,
    Send,
    Unreach,
)
from appliance.protocols.pmipv6.settings import Profile
from test.protocols.pmipv6.aaa_fakes import AaaWorld, group
from test.protocols.pmipv6.lma_fakes import BAD_MAG, LL2, MAG1, MAG2, MN1, POOL, packed
from test.protocols.pmipv6.test_lma_random import CASES, KINDS, RECEIVED, random_update

ANY4 = ["0.0.0.0"]
HANDOFF = group(authorize_on_handoff=True)


class TestAgain(SynchronousTestCase):
    def test_lifetime_due(self) -> None:
        """A session is asked about as it is, and goes on meanwhile; the new grant counts from now on."""
        world = AaaWorld()
        entry = world.attach(ipv4=ANY4, lifetime=150, grant={"lifetime": 100})
        world.again(entry.call_id)
        question = world.question()
        subject = question.subject
        self.assertEqual((subject.call_id, subject.prefixes), (entry.call_id, entry.prefixes))
        self.assertEqual((subject.ipv4_address, question.ipv4), (entry.ipv4_address, True))
        self.assertEqual(subject.created, entry.created)
        self.assertEqual(world.value("binding-updates-received/pending"), 0)
        self.assertEqual(world.send(hi=5, ipv4=ANY4, lifetime=150).lifetime, 24)
        world.reply(question, lifetime=400)
        self.assertEqual(world.effects, [])
        self.assertEqual(world.send(hi=5, ipv4=ANY4, lifetime=150).lifetime, 99)
        self.assertEqual(world.asked(), (2, 2, 0, 0))

    def test_refused(self) -> None:
        """A session that AAA does not want any more ends; its silence leaves it to the AAA client."""
        world = AaaWorld()
        entry = world.attach()
        world.again(entry.call_id)
        world.reply(world.question(), aaa.NO_ANSWER)
        self.assertEqual((world.lma.session_count, world.effects), (1, []))
        world.again(entry.call_id)
        world.reply(world.question(), aaa.REJECT)
        self.assertEqual([type(each) for each in world.effects], [Account, Remove])
        self.assertEqual(world.told(), [("stop", aaa.ADMINISTRATIVE)])
        self.assertEqual(world.value("total-disconnects/admin-drops"), 1)
        self.assertEqual(world.asked(), (3, 1, 1, 1))

    def test_not_asked(self) -> None:
        """Nobody is asked about a session that is ending, gone, or asked about already."""
        world = AaaWorld()
        entry = world.attach()
        world.again(entry.call_id)
        question = world.question()
        self.assertEqual(world.again(entry.call_id), [])
        world.reply(question)
        world.send(lifetime=0)
        self.assertEqual(world.again(entry.call_id), [])
        world.pass_time(10)
        self.assertEqual(world.again(entry.call_id), [])
        self.assertEqual(world.again(0), [])

    def test_ended_meanwhile(self) -> None:
        """The answer about a session that has ended is nobody's."""
        for verdict in (aaa.ACCEPT, aaa.REJECT):
            world = AaaWorld()
            entry = world.attach()
            world.again(entry.call_id)
            question = world.question()
            world.tell(ClearSessions())
            self.assertIsNone(world.reply(question, verdict))
            self.assertEqual((world.effects, world.lma.session_count), ([], 0))


class TestHandoff(SynchronousTestCase):
    def world(self, **changes: Any) -> tuple[AaaWorld, Any, Authorize]:
        """A mobile that has just come to another gateway, where AAA has to say yes first."""
        world = AaaWorld(aaa=HANDOFF, **changes)
        entry = world.attach()
        return world, entry, world.ask(source=MAG2, hi=3)

    def test_accepted(self) -> None:
        """The session moves when AAA says yes; the gateway that serves it goes on until then."""
        world, entry, question = self.world()
        self.assertEqual((question.subject.call_id, question.subject.care_of), (entry.call_id, MAG2))
        self.assertEqual(question.subject.prefixes, entry.prefixes)
        self.assertEqual(entry.care_of, MAG1)
        self.assertEqual(world.reply(question).status, 0)
        self.assertEqual((entry.care_of, entry.handoffs), (MAG2, 1))
        self.assertEqual([type(each) for each in world.effects], [Install, Account, Send])

    def test_refused(self) -> None:
        """A no ends the session; no answer leaves it where it is."""
        for verdict, status, count in ((aaa.REJECT, 152, 0), (aaa.NO_ANSWER, 128, 1)):
            world, entry, question = self.world()
            self.assertEqual(world.reply(question, verdict).status, status)
            self.assertEqual(world.lma.session_count, count)
            self.assertEqual(entry.care_of, MAG1)
            self.assertEqual(world.value("handoff-requests/denied"), 1)

    def test_old_gateway_leaves(self) -> None:
        """The old gateway de-registers meanwhile: the session is kept, and then moves."""
        world, entry, question = self.world()
        self.assertEqual(world.send(lifetime=0, hi=4).status, 0)
        self.assertTrue(entry.deleting)
        self.assertEqual(world.abandoned(), [])
        self.assertIsNone(world.send(source=MAG2, hi=3))
        self.assertEqual(world.reply(question).status, 0)
        self.assertEqual((entry.care_of, entry.deleting), (MAG2, False))

    def test_session_gone(self) -> None:
        """Without a delay the session is gone by then: AAA is asked about a new one."""
        world, entry, question = self.world(min_delay_before_bce_delete=0)
        world.send(lifetime=0, hi=4)
        self.assertIsNone(world.reply(question))
        again = world.question()
        self.assertNotEqual(again.subject.call_id, entry.call_id)
        self.assertEqual(world.abandoned(), [])
        self.assertLess(again.patience, question.patience)
        self.assertEqual(world.reply(again).status, 0)

    def test_back_at_the_old_one(self) -> None:
        """The mobile is back before the answer comes: the older handover is out of order then."""
        world, entry, question = self.world()
        self.assertEqual(world.send(hi=5).status, 0)
        self.assertEqual(world.reply(question, lifetime=40).status, 157)
        self.assertEqual((entry.care_of, entry.grant.lifetime), (MAG1, 40))
        self.assertEqual(world.value("binding-updates-received/pending"), 0)

    def test_left_the_new_one(self) -> None:
        """A de-registration by the gateway that waits calls the handover off, not the session."""
        world, entry, question = self.world()
        self.assertIsNone(world.send(source=MAG2, lifetime=0, hi=4))
        self.assertEqual(world.abandoned(), [(question.token, 0)])
        self.assertEqual((world.lma.session_count, entry.deleting), (1, False))

    def test_joins(self) -> None:
        """A handover while the session is asked about already waits for that answer."""
        world = AaaWorld(aaa=HANDOFF)
        entry = world.attach()
        world.again(entry.call_id)
        question = world.question()
        self.assertIsNone(world.send(source=MAG2, hi=3))
        self.assertEqual(world.effects, [])
        self.assertEqual(world.reply(question).status, 0)
        self.assertEqual((entry.care_of, world.asked()), (MAG2, (2, 2, 0, 0)))

    def test_timeout(self) -> None:
        """A handover that AAA says nothing about is refused; the session is not called into question."""
        world, _, question = self.world(setup_timeout=5)
        world.pass_time(6.1)
        answer = world.answer()
        assert answer is not None
        self.assertEqual((answer.status, world.abandoned()), (128, [(question.token, 0)]))
        self.assertEqual(world.lma.session_count, 1)


class TestEnds(SynchronousTestCase):
    def ended(self, world: AaaWorld, cause: int, remove: bool = True) -> None:
        """Of the last effects one was the end of the session, told before its tunnel went."""
        self.assertEqual(world.told(), [("stop", cause)])
        kinds = [type(each) for each in world.effects if type(each) in (Account, Remove)]
        self.assertEqual(kinds, [Account, Remove] if remove else [Account])

    def test_deregistered(self) -> None:
        """The mobile leaves: a pause before the tunnel goes, the end when the delay is over."""
        world = AaaWorld()
        world.attach()
        world.send(lifetime=0)
        self.assertEqual([type(each) for each in world.effects], [Account, Remove, Send])
        self.assertEqual(world.told(), [("pause", 0)])
        world.pass_time(10)
        self.ended(world, aaa.LOGOUT, remove=False)

    def test_deregistered_at_once(self) -> None:
        """Without a delay both come together."""
        world = AaaWorld(min_delay_before_bce_delete=0)
        world.attach()
        world.send(lifetime=0)
        self.assertEqual(world.told(), [("pause", 0), ("stop", aaa.LOGOUT)])
        self.assertLess(
            [type(each) for each in world.effects].index(Account),
            [type(each) for each in world.effects].index(Remove),
        )

    def test_back_in_time(self) -> None:
        """After a pause the session goes on, at the same gateway or another one."""
        for source, what in ((MAG1, "refresh"), (MAG2, "handoff")):
            world = AaaWorld()
            world.attach()
            world.send(lifetime=0)
            self.assertEqual(world.send(source=source, hi=3).status, 0)
            self.assertEqual(world.told(), [(what, 0)])
            self.assertEqual(len(world.of_kind(Install)), 1)

    def test_cleared_while_ending(self) -> None:
        """What has left already has left by itself, whoever ends it."""
        world = AaaWorld()
        world.attach()
        world.send(lifetime=0)
        world.tell(ClearSessions())
        self.ended(world, aaa.LOGOUT, remove=False)

    def test_expired(self) -> None:
        """Nobody refreshed it: its link is broken."""
        world = AaaWorld()
        world.attach(lifetime=150)
        world.pass_time(601)
        self.ended(world, aaa.LINK_BROKEN)
        self.assertEqual(world.value("total-disconnects/lifetime-expiry"), 1)

    def test_operator(self) -> None:
        """Cleared, or its pool taken away."""
        world = AaaWorld()
        world.attach()
        world.tell(ClearSessions())
        self.ended(world, aaa.ADMINISTRATIVE)
        world = AaaWorld()
        world.attach()
        world.tell(Reconfigure(evolve(world.settings, prefix_pools=())))
        self.ended(world, aaa.ADMINISTRATIVE)

    def test_service_refused(self) -> None:
        """RFC 5149: a service that the profile does not allow ends the session."""
        world = AaaWorld(default_profile=Profile(name="d", services=(b"net",)))
        world.attach(extra=[ServiceSelection(b"net")])
        world.send(hi=5, extra=[ServiceSelection(b"x")])
        self.ended(world, aaa.ADMINISTRATIVE)

    def test_aaa(self) -> None:
        """The AAA client ends a session for a cause of its own; one that is not there changes nothing."""
        for cause in (aaa.ADMINISTRATIVE, aaa.AUTH_EXPIRED, aaa.SESSION_TIMEOUT, aaa.USER_MOVED):
            world = AaaWorld()
            entry = world.attach()
            world.attach(mn=b"b@x", ll=LL2)
            self.assertEqual(world.end(entry.call_id + 1, cause), [])
            self.assertEqual(world.end(0, cause), [])
            world.end(entry.call_id, cause)
            self.ended(world, cause)
            self.assertEqual(world.value("total-disconnects/admin-drops"), 1)
            self.assertEqual(world.lma.session_count, 1)

    def test_dissolved(self) -> None:
        """A core that is thrown away has accounted for its open questions."""
        world = AaaWorld()
        world.attach()
        world.ask(mn=b"c@x")
        self.assertEqual(world.lma.dissolve(), 1)
        self.assertEqual((world.asked(), world.value("binding-updates-received/pending")), ((2, 1, 0, 1), 0))


class TestAccounting(SynchronousTestCase):
    def test_start(self) -> None:
        """A start has the session as it is, with its grant; it comes when there is a tunnel."""
        world = AaaWorld()
        entry = world.attach(ipv4=ANY4, grant={"classes": (b"c",), "host": "aaa1"})
        self.assertEqual(world.told(), [("start", 0)])
        (account,) = world.of_kind(Account)
        subject = account.subject
        self.assertEqual((subject.call_id, subject.mn_id), (entry.call_id, MN1))
        self.assertEqual((subject.prefixes, subject.ipv4_address), (entry.prefixes, entry.ipv4_address))
        self.assertEqual((account.grant.classes, account.grant.host), ((b"c",), "aaa1"))
        kinds = [type(each) for each in world.effects]
        self.assertLess(kinds.index(Install), kinds.index(Account))

    def test_changes(self) -> None:
        """Refresh, handover, a family that goes; a repeated update tells nothing new."""
        world = AaaWorld()
        world.attach(ipv4=ANY4)
        world.send(hi=5, ipv4=ANY4)
        self.assertEqual(world.told(), [("refresh", 0)])
        world.send(hi=3, ipv4=ANY4, source=MAG2)
        self.assertEqual(world.told(), [("handoff", 0)])
        world.mono += 1
        packet = world.build(hi=3, prefixes=[], ipv4=ANY4, lifetime=0, source=MAG2)
        world.packet(*packet)
        self.assertEqual(world.told(), [("refresh", 0)])
        world.packet(*packet)
        self.assertEqual(world.told(), [])

    def test_who_listens(self) -> None:
        """An authorization client has to hear of ends; accounting can be switched off in the service."""
        only = {"authentication": ServerGroup()}
        for settings, told in (
            ({"aaa": group(**only)}, True),
            ({"aaa": group(**only), "aaa_accounting": False}, False),
            ({"aaa": group(accounting=ServerGroup()), "aaa_accounting": False}, True),
            ({"aaa": None}, False),
        ):
            world = AaaWorld(**settings)
            if world.send() is None:
                world.reply(world.question())
            self.assertEqual(bool(world.told()), told, settings)

    def test_denied(self) -> None:
        """An event for a registration that was refused, if the group wants it and the gateway is known."""
        wants = group(event_on_denial=True)
        world = AaaWorld(aaa=wants)
        world.reply(world.ask(), aaa.REJECT)
        self.assertEqual(world.told(), [("denied", 152)])
        (account,) = world.of_kind(Account)
        self.assertEqual((account.subject.mn_id, account.subject.care_of, account.grant), (MN1, MAG1, None))
        world.send(hi=None)
        self.assertEqual(world.told(), [("denied", 161)])
        world.send(mn=None)
        self.assertEqual(world.told(), [])
        world.send(source=BAD_MAG)
        self.assertEqual(world.told(), [])
        world.send(source=MAG2, lifetime=0)
        self.assertEqual(world.told(), [])
        for changes in ({"aaa": group()}, {"aaa": wants, "aaa_accounting": False}):
            world = AaaWorld(**changes)
            world.reply(world.ask(), aaa.REJECT)
            self.assertEqual(world.told(), [])


class TestInvariants(SynchronousTestCase):
    def check(self, world: AaaWorld, open_questions: dict[int, Authorize]) -> None:
        """Everything that must hold at any time."""
        questions = world.lma._updates.questions
        self.assertEqual(questions.open.keys(), open_questions.keys())
        waits = [each for each in questions.open.values() if each.request is not None]
        value = world.value
        self.assertEqual(value(RECEIVED + "pending"), len(world.lma._updates.waiting) + len(waits))
        parts = ("total-accepted", "total-denied", "total-discarded", "pending")
        self.assertEqual(value(RECEIVED + "total-received"), sum(value(RECEIVED + part) for part in parts))
        self.assertEqual(value(RECEIVED + "total-denied"), sum(value(f"{kind}/denied") for kind in KINDS))
        attempts, success, refused, failed = world.asked()
        self.assertEqual(attempts, success + refused + failed + len(questions.open))
        new = [each.call_id for each in questions.open.values() if each.new]
        self.assertEqual(world.lma._sessions._reserved, set(new))
        self.assertEqual(questions.new, len(new))
        self.assertEqual(sum(questions._mobiles.values()), len(new))
        self.assertEqual(len(questions._keys), len(questions.open))
        prefixes = {prefix for entry in world.lma.sessions() for prefix, _ in entry.prefixes}
        inside = [each for each in prefixes if each.startswith(POOL.prefix[:6])]
        self.assertEqual(world.lma.pools.prefixes[0].in_use, len(inside))

    @profile(deadline=None, max_examples=max(20, CASES // 4))
    @given(st.integers(0, 2**32), st.booleans())
    def test_any_sequence(self, seed: int, on_handoff: bool) -> None:
        """Random updates and answers in any order: each session starts once, stops once; no route stays."""
        chance = random.Random(seed)
        world = AaaWorld(aaa=group(authorize_on_handoff=on_handoff, event_on_denial=True), max_subscribers=6)
        asked: dict[int, Authorize] = {}
        sessions: dict[int, str] = {}
        reached: set[tuple[bytes, int]] = set()
        installed: set[int] = set()

        def note(effects: list[Any]) -> None:
            for effect in effects:
                if isinstance(effect, Authorize):
                    asked[effect.token] = effect
                elif isinstance(effect, Abandon):
                    asked.pop(effect.token, None)
                elif isinstance(effect, Account) and effect.what != "denied":
                    call_id, what = effect.subject.call_id, effect.what
                    before = sessions.get(call_id, "none")
                    self.assertEqual(what == "start", before == "none")
                    if what == "pause":
                        self.assertIn(call_id, installed)
                    if what == "stop":
                        self.assertEqual(before == "pause", call_id not in installed)
                        del sessions[call_id]
                    else:
                        sessions[call_id] = what
                elif isinstance(effect, Install):
                    installed.add(effect.call_id)
                elif isinstance(effect, Remove):
                    installed.remove(effect.call_id)
                elif isinstance(effect, Reach):
                    self.assertNotIn((effect.prefix, effect.length), reached)
                    reached.add((effect.prefix, effect.length))
                elif isinstance(effect, Unreach):
                    reached.remove((effect.prefix, effect.length))

        def answer() -> None:
            token = chance.choice([*asked, 99_999])
            asked.pop(token, None)
            verdict = chance.choice([aaa.ACCEPT] * 6 + [aaa.REJECT, aaa.NO_ANSWER, aaa.SERVICE])
            number = chance.randrange(4)
            grant = Grant(
                lifetime=chance.choice([None, 0, 40, 400]),
                prefixes=chance.choice([(), ((packed(f"2001:db8:77:{number}::"), 64),)]),
                ipv4_address=chance.choice([None, None, packed(f"192.0.2.{number}")]),
                ipv4_allowed=chance.choice([None, True, False]),
            )
            note(world.tell(Authorized(token=token, verdict=verdict, grant=grant)))

        for _ in range(80):
            what = chance.random()
            if what < 0.55:
                note(world.packet(*world.build(**random_update(chance, world))))
                world.mono += chance.choice([0.0, 0.1, 1.0])
            elif what < 0.8:
                answer()
            elif what < 0.93:
                note(world.pass_time(chance.choice([0.3, 1.5, 11, 62, 200])))
            elif what < 0.96:
                call_id = chance.choice([*sessions, 0])
                note(world.end(call_id, 6) if chance.random() < 0.5 else world.again(call_id))
            elif what < 0.98:
                note(world.tell(ClearSessions(mn_id=chance.choice([b"a@x", b""]))))
            else:
                name = chance.choice(["g", "h"])
                changed = evolve(world.settings, aaa=group(name=name, authorize_on_handoff=on_handoff))
                note(world.tell(Reconfigure(changed)))
                note(world.pass_time(0))
            self.check(world, asked)
        for seconds in (100, 4000, 4000, 20):
            note(world.pass_time(seconds))
        self.assertEqual((world.lma.session_count, sessions, reached, asked), (0, {}, set(), {}))
        self.assertIsNone(world.lma.deadline)
