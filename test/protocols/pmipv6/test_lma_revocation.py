"""An anchor that revokes: what gateways are told, what their answers do, and what is counted."""

import gc
import weakref

from appliance.protocols.mobility import aaa
from appliance.protocols.mobility.codec import encode, seal
from appliance.protocols.mobility.messages import BR_G, BR_P, BR_V, BindingError
from appliance.protocols.mobility.options import MobileNodeGroupIdentifier, MobileNodeIdentifier
from appliance.protocols.pmipv6.events import ClearSessions, Depart, Install, Notify, Reconfigure, Remove
from appliance.protocols.pmipv6.settings import Peer
from test.protocols.pmipv6.lma_fakes import (
    LMA_ADDRESS,
    LMA_IPV4,
    MAG1,
    MAG2,
    MAG_IPV4,
    MN1,
    STRANGER,
    settings,
)
from test.protocols.pmipv6.revocation_case import ADMIN, DROPPED, SENT, STATUSES, TRIGGERS, RevocationTestCase
from test.protocols.pmipv6.revocation_fakes import acknowledgement, named, revocations


class ClearTests(RevocationTestCase):
    def test_ends_with_the_answer(self) -> None:
        """A cleared session ends when its gateway has acknowledged, and is counted once."""
        world = self.make()
        world.send()
        (entry,) = world.lma.sessions()
        self.tell(ClearSessions())
        message = self.sent()
        self.assertEqual((self.to, message.trigger, message.flags), (MAG1, 1, BR_P))
        self.assertEqual(named(message)[:2], ([MN1], list(entry.prefixes)))
        self.assertEqual((world.lma.session_count, self.count(ADMIN)), (1, 0))
        self.assertEqual(world.lma.details(entry), (("Revocation In Progress", "Administrative Reason (1)"),))
        self.tell(ClearSessions())
        self.assertEqual(world.effects, [])
        self.reply(message)
        self.assertEqual(len(world.of_kind(Remove)), 1)
        self.assertEqual((world.lma.session_count, self.count(ADMIN)), (0, 1))
        for key in (
            SENT,
            TRIGGERS + "administrative-reason",
            "binding-revocation/ack-rcvd",
            STATUSES + "success",
        ):
            self.assertEqual(self.count(key), 1, key)
        self.reply(message)
        self.assertEqual(self.count(DROPPED + "matching-request-not-found"), 1)

    def test_off(self) -> None:
        """Without the function a session ends at once, and nobody is told."""
        world = self.make(revocation=False)
        world.send()
        self.tell(ClearSessions())
        self.assertEqual((world.lma.session_count, self.count(ADMIN), revocations(world.effects)), (0, 1, []))

    def test_silence(self) -> None:
        """RFC 5846 section 6.3: again after 1 s, given up 2 s later, and the session ends all the same."""
        world = self.make()
        world.send()
        self.tell(ClearSessions())
        first = world.effects[-1]
        self.assertEqual(world.pass_time(0.9), [])
        self.assertEqual(world.pass_time(0.11), [first])
        self.assertEqual(world.pass_time(1.9), [])
        world.pass_time(0.2)
        self.assertEqual((len(world.of_kind(Remove)), world.lma.session_count, self.count(ADMIN)), (1, 0, 1))
        self.assertEqual(self.count("binding-revocation/retries-sent"), 1)
        self.assertEqual(self.count("binding-revocation/not-acknowledged"), 1)

    def test_retransmission_settings(self) -> None:
        """The time doubles up to 2 s and stays there; a longer one is kept."""
        for timeout, waits in ((1, (1, 2, 2, 2)), (5, (5, 5, 5, 5))):
            world = self.make(revocation_timeout=timeout, revocation_max_retransmissions=3)
            world.send()
            self.tell(ClearSessions())
            for wait in waits[:-1]:
                self.assertEqual(world.pass_time(wait - 0.1), [])
                self.assertEqual(len(revocations(world.pass_time(0.1))), 1)
            world.pass_time(waits[-1])
            self.assertEqual((world.lma.session_count, self.count("binding-revocation/retries-sent")), (0, 3))

    def test_every_trigger(self) -> None:
        """An operator can have any of them sent."""
        for trigger, row in (
            (0, "unspecified"),
            (1, "administrative-reason"),
            (2, "inter-mag-handoff-same-att"),
            (3, "inter-mag-handoff-diff-att"),
            (4, "inter-mag-unknown-handoff"),
            (5, "user-initiated-session-term"),
            (6, "access-network-session-term"),
            (7, "out-of-sync-bce-state"),
            (250, "unknown"),
        ):
            world = self.make()
            world.send()
            self.tell(ClearSessions(trigger=trigger))
            self.assertEqual((self.sent().trigger, self.count(TRIGGERS + row)), (trigger, 1))

    def test_every_status(self) -> None:
        """Each status is counted in its row; a refusal because the mobile is attached keeps the session."""
        for status, row in (
            (0, "success"),
            (1, "partial-success"),
            (128, "binding-does-not-exist"),
            (129, "no-ipv4-hoa-bind"),
            (130, "global-revoc-not-authorized"),
            (131, "revoc-mn-id-required"),
            (132, "revoc-failed-mn-attached"),
            (133, "trigger-not-supported"),
            (134, "revoc-func-not-supported"),
            (135, "proxy-bind-rev-not-supported"),
            (6, "unknown"),
        ):
            world = self.make()
            world.send()
            self.tell(ClearSessions(trigger=4))
            self.reply(self.sent(), status)
            self.assertEqual(self.count(STATUSES + row), 1)
            self.assertEqual(world.lma.session_count, 1 if status == 132 else 0, status)

    def test_aaa(self) -> None:
        """What AAA ends is told by the cause, and ends once, with that cause."""
        for cause, trigger in (
            (aaa.ADMINISTRATIVE, 5),
            (aaa.SESSION_TIMEOUT, 5),
            (aaa.LINK_BROKEN, 6),
            (aaa.BAD_ANSWER, 0),
        ):
            world = self.make()
            world.send()
            (entry,) = world.lma.sessions()
            self.tell(aaa.SessionEnds(call_id=entry.call_id, cause=cause))
            message = self.sent()
            self.assertEqual(message.trigger, trigger)
            self.reply(message)
            self.assertEqual((world.lma.session_count, self.count(ADMIN)), (0, 1))

    def test_over_udp(self) -> None:
        """RFC 5846 section 4: where the gateway's signalling comes from."""
        world = self.make()
        world.send(source=MAG_IPV4, port=40000)
        self.tell(ClearSessions())
        self.sent()
        (send,) = world.effects
        self.assertEqual((send.source, send.destination, send.port), (LMA_IPV4, MAG_IPV4, 40000))
        self.assertEqual(send.data[4:6], b"\0\0")

    def test_ipv4_only(self) -> None:
        """RFC 5846 section 8.1: V, the address, no prefix; the session goes on by its prefix."""
        world = self.make()
        world.send(ipv4=["0.0.0.0"])
        self.tell(ClearSessions(trigger=5, ipv4_only=True))
        message = self.sent()
        self.assertEqual((message.flags, named(message)[1]), (BR_P | BR_V, []))
        self.reply(message)
        (entry,) = world.lma.sessions()
        self.assertIsNone(entry.ipv4_address)
        (install,) = world.of_kind(Install)
        self.assertEqual((install.ipv4_address, install.prefixes), (None, entry.prefixes))

    def test_pool_removed(self) -> None:
        """Sessions that nothing gives their prefix any more are revoked."""
        world = self.make()
        world.send()
        self.tell(Reconfigure(settings(revocation=True, prefix_pools=())))
        message = self.sent()
        self.assertEqual(message.trigger, 1)
        self.reply(message)
        self.assertEqual((world.lma.session_count, self.count(ADMIN)), (0, 1))

    def test_switched_off_meanwhile(self) -> None:
        """Without the function nobody is waited for any more."""
        world = self.make()
        world.send()
        self.tell(ClearSessions())
        self.tell(Reconfigure(settings()))
        self.assertEqual((world.lma.session_count, self.count(ADMIN)), (0, 1))

    def test_many(self) -> None:
        """No more than a thousand wait for answers at one time; the others follow; nobody is forgotten."""
        world = self.make(revocation_max_retransmissions=0)
        number = 2500
        for one in range(number):
            world.send(mn=b"m%d@x" % one)
        self.tell(ClearSessions())
        total = len(revocations(world.effects))
        self.assertLessEqual(total, 1000)
        for _ in range(40):
            total += len(revocations(world.pass_time(0.5)))
        self.assertEqual((world.lma.session_count, total, self.count(ADMIN)), (0, number, number))
        self.assertEqual(self.count("binding-revocation/not-acknowledged"), number)

    def test_a_gateway_that_knows_none(self) -> None:
        """Binding Error status 2: sessions end at once, and this gateway gets no more indications."""
        world = self.make()
        world.send()
        world.send(mn=b"mn2@x", source=MAG2)
        self.tell(ClearSessions(mn_id=MN1))
        error = seal(encode(BindingError(2, bytes(16))), MAG1, LMA_ADDRESS)
        world.packet(error, MAG1)
        self.assertEqual(world.lma.session_count, 1)
        world.send()
        self.tell(ClearSessions(mn_id=MN1))
        self.assertEqual((revocations(world.effects), world.lma.session_count), ([], 1))
        self.tell(ClearSessions())
        self.assertEqual(len(revocations(world.effects)), 1)
        world.packet(seal(encode(BindingError(2, bytes(16))), STRANGER, LMA_ADDRESS), STRANGER)
        self.assertEqual(self.count("other-mobility-messages/ignored"), 1)


class SparedTests(RevocationTestCase):
    """Gateways that an operator wants to be spared, and a service that is shut down."""

    def test_no_revocation(self) -> None:
        """A gateway whose line says no-revocation gets none; its sessions end at once."""
        world = self.make(peers=(Peer(address=MAG1, prefix_length=128, revocation=False),))
        world.send()
        self.tell(ClearSessions())
        self.assertEqual((revocations(world.effects), world.lma.session_count), ([], 0))
        world.send()
        self.tell(ClearSessions(trigger=128))
        world.pass_time(0.1)
        self.assertEqual((self.count(SENT), world.lma.session_count), (0, 0))

    def test_shut_down(self) -> None:
        """An answer that nobody waits for meets a service that is shut down."""
        world = self.make()
        world.send()
        self.tell(ClearSessions())
        message = self.sent()
        self.tell(Reconfigure(settings(revocation=True, shutdown=True)))
        self.reply(message, sequence=message.sequence ^ 1)
        self.assertEqual(self.count(DROPPED + "hamgr-not-ready"), 1)
        self.reply(message)
        self.assertEqual(world.lma.session_count, 0)


class MemoryTests(RevocationTestCase):
    def test_nothing_stays(self) -> None:
        """An anchor that goes while it revokes is freed at once: full garbage collections are rare."""
        world = self.make()
        world.send()
        world.send(mn=b"b@x", source=MAG2)
        self.tell(ClearSessions(mn_id=MN1))
        self.tell(ClearSessions(trigger=128))
        watched = [weakref.ref(part) for part in (world.lma, world.lma._revocation, world.lma._bulk)]
        gc.collect()
        gc.disable()
        try:
            world.lma.close()
            del world.lma
            self.assertEqual([part() for part in watched], [None, None, None])
        finally:
            gc.enable()


class MeanwhileTests(RevocationTestCase):
    """What comes while a session is being revoked."""

    def test_updates_discarded(self) -> None:
        """By default an update of such a session is dropped and counted."""
        world = self.make()
        world.send()
        self.tell(ClearSessions())
        self.assertIsNone(world.send(hi=5, sequence=2))
        self.assertEqual(self.count("binding-updates-discard-reasons/revocation-pending"), 1)

    def test_updates_accepted(self) -> None:
        """Where the operator wants it an update ends the revocation; a late answer is about no session."""
        world = self.make(revocation_pending="accept")
        world.send()
        self.tell(ClearSessions())
        message = self.sent()
        answer = world.send(hi=5, sequence=2)
        assert answer is not None
        self.assertEqual((answer.status, world.lma.session_count), (0, 1))
        self.reply(message)
        self.assertEqual((world.lma.session_count, self.count(DROPPED + "session-not-found")), (1, 1))
        world.pass_time(10)
        self.assertEqual((world.lma.session_count, self.count("binding-revocation/not-acknowledged")), (1, 0))

    def test_de_registration(self) -> None:
        """A de-registration is accepted, and is the end of it."""
        world = self.make(min_delay_before_bce_delete=0)
        world.send()
        self.tell(ClearSessions())
        message = self.sent()
        answer = world.send(lifetime=0, hi=4, sequence=2)
        assert answer is not None
        self.assertEqual((answer.status, world.lma.session_count), (0, 0))
        self.assertEqual((self.count("total-disconnects/deregistrations"), self.count(ADMIN)), (1, 0))
        self.reply(message)
        self.assertEqual(self.count(DROPPED + "session-not-found"), 1)

    def test_discarded_answers(self) -> None:
        """Each reason for which an acknowledgement is dropped."""
        world = self.make()
        world.send()
        self.tell(ClearSessions())
        message = self.sent()
        good = acknowledgement(message, MAG1, LMA_ADDRESS)
        self.reply(message, options=[MobileNodeIdentifier(1, b"other@x")])
        self.assertEqual(self.count(DROPPED + "session-not-found"), 1)
        self.reply(message, flags=BR_P | BR_G)
        self.reply(message, options=[MobileNodeIdentifier(1, MN1), MobileNodeGroupIdentifier(1, 2)])
        self.assertEqual(self.count(DROPPED + "badly-formed-request"), 2)
        self.reply(message, sequence=message.sequence ^ 1)
        self.reply(message, source=MAG2)
        self.assertEqual(self.count(DROPPED + "matching-request-not-found"), 2)
        world.packet(good[:6] + b"\2\x55" + good[8:])
        self.assertEqual(self.count(DROPPED + "checksum-error"), 1)
        world.packet(good[:10])
        self.assertEqual(self.count(DROPPED + "invalid-buffer-length"), 1)
        zero = bytes(2)
        world.packet(seal(good[:4] + zero + good[6:12] + b"\x08\x20\0\0", MAG1, LMA_ADDRESS))
        self.assertEqual(self.count(DROPPED + "decode-error"), 1)
        world.packet(seal(good[:4] + zero + b"\3" + good[7:], MAG1, LMA_ADDRESS))
        self.assertEqual(self.count(DROPPED + "invalid-message-type"), 1)
        world.packet(acknowledgement(message, STRANGER, LMA_ADDRESS), STRANGER)
        self.assertEqual(self.count("binding-revocation/discarded"), 1)
        said = [effect.text for effect in world.effects if isinstance(effect, Notify)]
        self.assertEqual(len(said), 1)
        self.assertIn("which is no mag-peer, are dropped", said[0])
        self.assertEqual((self.count(DROPPED + "total"), world.lma.session_count), (9, 1))
        world.packet(good)
        self.assertEqual(world.lma.session_count, 0)

    def test_departing(self) -> None:
        """A service that stops tells each gateway once; then only the answers to that count."""
        world = self.make()
        world.send()
        world.send(mn=b"mn2@x")
        world.send(mn=b"mn3@x", source=MAG2)
        world.lma.dissolve()
        self.tell(Depart())
        sent = dict(revocations(world.effects))
        self.assertEqual(set(sent), {MAG1, MAG2})
        self.assertEqual(
            [(m.trigger, m.flags, m.options) for m in sent.values()], [(128, BR_P | BR_G, [])] * 2
        )
        self.reply(sent[MAG1], sequence=sent[MAG1].sequence ^ 0x100)
        self.assertEqual(self.count(DROPPED + "hamgr-not-ready"), 1)
        self.assertIsNone(world.send(mn=b"new@x"))
        self.assertEqual(self.count("binding-updates-discard-reasons/hamgr-not-ready"), 1)
        self.reply(sent[MAG1])
        self.assertFalse(world.lma.departed)
        self.reply(sent[MAG2], source=MAG2)
        self.assertTrue(world.lma.departed)
        self.assertEqual(self.count(ADMIN), 3)
        world.pass_time(5000)
        self.assertEqual(self.count(ADMIN), 3)
