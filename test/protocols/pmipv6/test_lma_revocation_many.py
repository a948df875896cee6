"""An anchor that revokes many sessions by one message, and what it tells gateways at handovers."""

from typing import Any

from appliance.protocols.mobility.messages import BR_G, BR_P
from appliance.protocols.mobility.options import MobileNodeIdentifier
from appliance.protocols.pmipv6 import lma_subjects
from appliance.protocols.pmipv6.events import ClearSessions, Reconfigure
from test.protocols.pmipv6.lma_fakes import (
    LL2,
    MAG1,
    MAG2,
    MN1,
    World,
    settings,
)
from test.protocols.pmipv6.revocation_case import ADMIN, DROPPED, SENT, STATUSES, TRIGGERS, RevocationTestCase
from test.protocols.pmipv6.revocation_fakes import named, revocations


class ManyTests(RevocationTestCase):
    """One message for many sessions."""

    def fill(self) -> World:
        world = self.make()
        for mn, source in (
            (b"a@one.org", MAG1),
            (b"b@one.org", MAG1),
            (b"c@two.org", MAG1),
            (b"d@one.org", MAG2),
        ):
            world.send(mn=mn, source=source)
        return world

    def names(self) -> list[bytes]:
        return sorted(entry.mn_id for entry in self.world.lma.sessions())

    def test_gateways(self) -> None:
        """All sessions: one message to each gateway, without options; they end as it answers."""
        world = self.fill()
        self.tell(ClearSessions(trigger=128))
        sent = dict(revocations(world.effects))
        self.assertEqual(
            {(m.trigger, m.flags, len(m.options)) for m in sent.values()}, {(128, BR_P | BR_G, 0)}
        )
        self.assertIsNone(world.send(mn=b"a@one.org", hi=5, sequence=2))
        self.assertEqual(self.count("binding-updates-discard-reasons/revocation-pending"), 1)
        self.reply(sent[MAG1])
        world.pass_time(0.1)
        self.assertEqual(self.names(), [b"d@one.org"])
        self.reply(sent[MAG2], 130, source=MAG2)
        world.pass_time(0.1)
        self.assertEqual((self.names(), self.count(ADMIN)), ([], 4))
        self.assertEqual(self.count(TRIGGERS + "per-peer-policy"), 2)

    def test_a_realm(self) -> None:
        """The sessions of a realm, not those of others."""
        world = self.fill()
        self.tell(ClearSessions(mn_id=b"@one.org", trigger=129))
        sent = dict(revocations(world.effects))
        self.assertEqual([named(m)[0] for m in sent.values()], [[b"@one.org"]] * 2)
        self.reply(sent[MAG1])
        self.wait(4)
        self.assertEqual((self.names(), self.count(ADMIN)), ([b"c@two.org"], 3))
        self.assertEqual(self.count(TRIGGERS + "revoking-node-local-policy"), 2)

    def test_a_realm_when_off(self) -> None:
        """Without the function the same sessions end."""
        world = self.fill()
        self.tell(Reconfigure(settings()))
        self.tell(ClearSessions(mn_id=b"@one.org", trigger=129))
        world.pass_time(0.1)
        self.assertEqual((self.names(), self.count(SENT)), ([b"c@two.org"], 0))

    def test_the_search_is_cut_into_slices(self) -> None:
        """Who has sessions of a realm is found out in slices, while others have their turn."""
        world = self.fill()
        self.patch(lma_subjects, "LOOKED_AT", 2)
        world.lma.receive(ClearSessions(mn_id=b"@nowhere", trigger=129), world.now)
        world.lma.receive(ClearSessions(mn_id=b"@one.org", trigger=129), world.now)
        self.assertEqual(world.lma.take(), [])
        world.send(mn=b"new@one.org", sequence=2)
        ticks, sent = 0, []
        while not sent and ticks < 9:
            self.assertLessEqual(world.lma.deadline or 0, world.mono)
            world.lma.tick(world.now)
            sent, ticks = revocations(world.lma.take()), ticks + 1
        self.assertEqual((ticks, [to for to, _ in sent]), (3, [MAG1, MAG2]))
        for to, message in sent:
            self.reply(message, source=to)
        world.pass_time(0.1)
        # What has come after the order stays.
        self.assertEqual(self.names(), [b"c@two.org", b"new@one.org"])

    def test_what_comes_later_stays(self) -> None:
        """A session that is made between indication and answer is none of those meant."""
        world = self.fill()
        self.tell(ClearSessions(trigger=128))
        sent = dict(revocations(world.effects))
        world.send(mn=b"new@one.org")
        self.reply(sent[MAG1])
        self.reply(sent[MAG2], source=MAG2)
        world.pass_time(0.1)
        self.assertEqual(self.names(), [b"new@one.org"])


class HandoverTests(RevocationTestCase):
    """What the former gateway is told."""

    def test_moved(self) -> None:
        """Trigger 2 on the same access, 3 on another, 7 when the new gateway speaks of a refresh."""
        for hi, att, trigger in ((3, 4, 2), (2, 3, 3), (1, 4, 2), (5, 4, 7)):
            world = self.make()
            world.send()
            prefix = [(world.lma.sessions().__next__().prefixes)[0]]
            world.effects = []
            asked = [("2001:db8:1::", 64)] if hi == 5 else [("::", 0)]
            world.mono += 1
            world.packet(*world.build(source=MAG2, hi=hi, att=att, sequence=9, prefixes=asked))
            message = self.sent()
            self.assertEqual((self.to, message.trigger, message.flags), (MAG1, trigger, BR_P))
            self.assertEqual(named(message)[:2], ([MN1], prefix))
            self.reply(message, 132 if hi == 1 else 0)
            (entry,) = world.lma.sessions()
            self.assertEqual(entry.care_of, MAG2)

    def test_de_registered_before(self) -> None:
        """A gateway that has let go of the session needs no message."""
        world = self.make()
        world.send()
        world.send(lifetime=0, hi=4, sequence=2)
        world.send(source=MAG2, hi=4, sequence=3)
        self.assertEqual(self.count(SENT), 0)

    def ask(self, **changes: Any) -> Any:
        """Let an update with HI 4 come from the other gateway, by another interface."""
        world = self.make(**changes)
        world.send()
        self.assertIsNone_sent(world)
        return self.sent()

    def assertIsNone_sent(self, world: World) -> None:
        world.mono += 1
        world.packet(*world.build(source=MAG2, hi=4, ll=LL2, sequence=5))

    def test_gone_there(self) -> None:
        """RFC 5846 section 8.1: acknowledged, the waiting update takes the session over."""
        for status in (0, 1, 128):
            message = self.ask()
            self.assertEqual((self.to, message.trigger), (MAG1, 4))
            self.reply(message, status)
            (answer,) = [self.world.answer()]
            assert answer is not None
            (entry,) = self.world.lma.sessions()
            self.assertEqual((answer.status, entry.care_of, entry.deleting), (0, MAG2, False))
            self.assertEqual(self.count(SENT), 1)

    def test_still_there(self) -> None:
        """132: the update gets a session of its own at once."""
        message = self.ask()
        self.reply(message, 132, [MobileNodeIdentifier(1, MN1)])
        self.assertEqual(self.world.lma.session_count, 2)
        self.assertEqual(self.count("binding-updates-received/pending"), 0)

    def test_silence(self) -> None:
        """Nobody answers: a session of its own once the retransmissions are used up."""
        self.ask()
        self.wait(2.9)
        self.assertEqual(self.world.lma.session_count, 1)
        self.wait(0.2)
        self.assertEqual(self.world.lma.session_count, 2)

    def test_cannot_be_asked(self) -> None:
        """Another refusal: what RFC 5213 says, the update waits for a de-registration."""
        message = self.ask()
        self.reply(message, 134)
        self.world.pass_time(1.4)
        self.assertEqual(self.world.lma.session_count, 1)
        self.world.pass_time(0.2)
        self.assertEqual(self.world.lma.session_count, 2)

    def test_de_registration_comes(self) -> None:
        """The former gateway de-registers before it answers."""
        message = self.ask()
        self.world.mono += 0.1
        self.world.packet(*self.world.build(lifetime=0, hi=4, sequence=7))
        (entry,) = self.world.lma.sessions()
        self.assertEqual((entry.care_of, entry.deleting), (MAG2, False))
        self.reply(message, 128)
        self.assertEqual(
            (self.world.lma.session_count, self.count(STATUSES + "binding-does-not-exist")), (1, 1)
        )

    def test_repeated_update(self) -> None:
        """The update comes again meanwhile: the gateway is asked once."""
        self.ask()
        self.assertIsNone_sent(self.world)
        self.assertEqual(revocations(self.world.effects), [])
        self.assertEqual(self.count("binding-updates-received/pending"), 1)
        self.wait(4)
        self.assertEqual(
            (self.world.lma.session_count, self.count("binding-updates-received/pending")), (2, 0)
        )

    def test_session_ends_meanwhile(self) -> None:
        """An operator clears the session that was asked about: the update gets its own then."""
        message = self.ask()
        self.tell(ClearSessions())
        second = self.sent()
        self.reply(second)
        (entry,) = self.world.lma.sessions()
        self.assertEqual(entry.care_of, MAG2)
        self.reply(message)
        self.assertEqual(self.count(DROPPED + "session-not-found"), 1)
        self.assertEqual(self.world.lma.session_count, 1)
