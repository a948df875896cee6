"""The server as a whole: accounting answers, unknown things, ends of sessions, orders of operators."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.aaa.events import Abort, Full, Keep, Reauthorize, Reconfigure, Reply, Send, Stored, Told
from appliance.aaa.records import MOST, NO_SUB_SESSION
from appliance.aaa.sessions import PER_TICK
from appliance.protocols.diameter.events import NO_PEER, TIMEOUT
from appliance.protocols.diameter.message.codec import Message, frame
from appliance.protocols.diameter.message.faults import check
from test.aaa.fakes import HOME_AGENTS, D, World, avp, changed, request, result, with_user
from test.aaa.fakes import settings as server_settings
from test.aaa.test_pmip6 import aar, info
from test.aaa.vectors import message

DER = aar(avp("EAP-Payload", b"\2\1\0\x15\1mn1@home.example"), kind=3, application=5, code=268)


def acr(
    *more: bytes, session: str = "s;1;1", number: int = 0, kind: int = 2, application: int = 3
) -> Message:
    return request(
        271,
        application,
        avp("Session-Id", session),
        avp("Origin-Host", "lma1.home.example"),
        avp("Origin-Realm", "home.example"),
        avp("Destination-Realm", "home.example"),
        avp("Accounting-Record-Type", kind),
        avp("Accounting-Record-Number", number),
        *more,
    )


def answer_of(*more: bytes, code: int = 2001) -> tuple[bytes, ...]:
    """A client's answer, behind the Session-Id."""
    host = (avp("Origin-Host", "lma1.home.example"), avp("Origin-Realm", "home.example"))
    return (avp("Result-Code", code), *host, *more)


class AccountingTests(SynchronousTestCase):
    """ACR and ACA."""

    def test_nothing_is_answered_before_it_is_stored(self) -> None:
        """The answer comes with the outcome, and only one."""
        world = World()
        effects = world.give(acr())
        (keep,) = effects
        self.assertIsInstance(keep, Keep)
        self.assertEqual(len(world.feed(Stored([keep.token], "stored"))), 1)
        self.assertEqual(world.feed(Stored([keep.token], "stored")), [])
        self.assertEqual(world.feed(Full(keep.token)), [])

    def test_outcomes(self) -> None:
        """What a client hears when it is not stored, by the configured policy."""
        for policy, outcome, code in (
            ("out-of-space", "failed", 4002),
            ("too-busy", "failed", 3004),
            ("spool", "failed", 4002),
            ("out-of-space", "refused", 5012),
        ):
            answer = World(storage_failure=policy).account(acr(avp("User-Name", "x@y")), outcome)
            self.assertEqual(result(answer), code)
            self.assertEqual(bool(answer.flags & 0x20), code == 3004)
            self.assertEqual(answer.first(D["Accounting-Record-Type"]), 2)
            self.assertIsNotNone(answer.first(D["Error-Message"]))
            self.assertIsNone(answer.first(D["Accounting-Realtime-Required"]))

    def test_an_empty_session_id(self) -> None:
        """5004, with the AVP."""
        answer = World().ask(acr(session=""))
        self.assertEqual(result(answer), 5004)
        self.assertEqual(answer.first(D["Failed-AVP"]).raw(D["Session-Id"]), b"")

    def test_full(self) -> None:
        """No room to store it: try another server."""
        world = World()
        (keep,) = world.give(acr())
        answer = world.answer_in(world.feed(Full(keep.token)))
        self.assertEqual((result(answer), answer.flags & 0x20), (3004, 0x20))

    def test_policies(self) -> None:
        """Real-time policy and the user's interval, in answers to START."""
        world = World(with_user(interim_interval=77), realtime="grant-and-lose")
        start = world.account(acr(avp("User-Name", "mn1@home.example")))
        self.assertEqual(start.first(D["Acct-Interim-Interval"]), 77)
        self.assertEqual(start.first(D["Accounting-Realtime-Required"]), 3)
        for kind in (1, 3, 4):
            answer = world.account(acr(avp("User-Name", "mn1@home.example"), kind=kind))
            self.assertIsNone(answer.first(D["Accounting-Realtime-Required"]))
        stranger = world.account(acr(avp("User-Name", "x@elsewhere")))
        self.assertIsNone(stranger.first(D["Acct-Interim-Interval"]))
        self.assertEqual(result(stranger), 2001)

    def test_applications(self) -> None:
        """3, 1, 2, 7, 8; the draft's 4 only from peers that speak it."""
        world = World()
        for application in (1, 3, 7, 8):
            self.assertEqual(result(world.account(acr(application=application))), 2001)
        self.assertEqual(result(world.account(message("ACR_START"))), 2001)
        draft = Message(frame(271, 4, 0xC0, 1, 1, message("ACR_START").body))
        (reply,) = world.give(draft)
        self.assertEqual(result(Message(reply.answer)), 3007)
        (keep,) = world.give(draft, compat=True)
        (reply,) = world.feed(Stored([keep.token], "stored"))
        answer = Message(reply.answer)
        self.assertEqual((result(answer), answer.application), (2001, 4))
        self.assertEqual(result(world.ask(acr(application=5))), 3007)

    def test_repeated(self) -> None:
        """The same answer, whatever the store makes of it."""
        world = World()
        first, second = (world.account(message("ACR_STOP")) for _ in range(2))
        self.assertEqual(first.data, second.data)

    def test_odd_values(self) -> None:
        """Counters beyond the columns, an AVP twice, times of the next era, long texts."""
        world = World()
        odd = acr(
            avp("Accounting-Input-Octets", (1 << 64) - 1),
            avp("Accounting-Sub-Session-Id", (1 << 64) - 2),
            avp("Acct-Session-Time", 1),
            avp("Acct-Session-Time", 2),
            avp("Event-Timestamp", 2_100_000_000),
            avp("User-Name", "ü" * 5_000),
        )
        (keep,) = world.give(odd)
        record = keep.record
        self.assertEqual((record.octets_in, record.octets_out), (MOST, None))
        self.assertEqual((record.sub, record.duration), (-2, 1))
        self.assertEqual(record.event, 2_100_000_000)
        self.assertEqual(len(record.user), 512)
        self.assertEqual(record.raw, odd.body)
        (keep,) = world.give(acr())
        self.assertEqual((keep.record.sub, keep.record.user, keep.record.event), (NO_SUB_SESSION, "", None))

    @settings(max_examples=200, deadline=None)
    @given(st.sampled_from(["ACR_START", "AMR", "AAR", "STR", "MIR", "DER"]), st.data())
    def test_values(self, name: str, data: st.DataObject) -> None:
        """Any values in any AVPs, some left out: an answer, or a record to keep; never an exception."""
        base = DER if name == "DER" else message(name)
        parts = []
        for each in base.avps:
            if data.draw(st.integers(0, 9)) == 0:
                continue
            if data.draw(st.integers(0, 3)) == 0:
                size = len(each.data)
                each = each._replace(data=data.draw(st.binary(min_size=size, max_size=size)))
            parts.append(each.octets)
        changed = Message(frame(base.code, base.application, 0xC0, 1, 1, b"".join(parts)))
        if check(changed, D) is not None:
            return
        world = World(with_user(ipv4_address=bytes((198, 51, 100, 77))), home_agents=HOME_AGENTS)
        effects = world.give(changed, secure=True)
        self.assertEqual(len([each for each in effects if isinstance(each, (Keep, Reply, Send))]), 1)
        for each in effects:
            if isinstance(each, Reply):
                self.assertIsNone(check(Message(each.answer), D))


class RequestTests(SynchronousTestCase):
    """What is not for this server."""

    def test_commands(self) -> None:
        """3001 for a command that is not served, 3007 for an application."""
        world = World()
        har = Message(frame(262, 2, 0xC0, 1, 1, message("AMR").body))
        self.assertEqual(result(world.ask(har)), 3001)
        self.assertEqual(result(world.ask(Message(frame(265, 8, 0xC0, 1, 1, aar(info()).body)))), 3007)

    def test_values(self) -> None:
        """A value that a node would have refused gets 5004 all the same."""
        world = World()
        bad = changed(message("MIR"), D["Auth-Request-Type"].wrap(b"abc"), without=("Auth-Request-Type",))
        effects = world.give(bad)
        answer = Message(next(each.answer for each in effects if isinstance(each, Reply)))
        self.assertEqual(result(answer), 5004)

    def test_statistics(self) -> None:
        """Requests by command, answers by result."""
        world = World()
        world.ask(aar(info()))
        world.ask(aar(info(), user="x@home.example", session="s;2"))
        world.account(acr())
        numbers = world.server.statistics
        self.assertEqual(dict(numbers.requests), {"AAR": 2, "ACR": 1})
        self.assertEqual(dict(numbers.answers), {("AAR", 2001): 1, ("AAR", 5003): 1, ("ACR", 2001): 1})
        world.server.clear_statistics()
        self.assertEqual(dict(world.server.statistics.requests), {})

    def test_other_settings(self) -> None:
        """Users and policies are those of the new settings; sessions stay."""
        world = World()
        world.ask(aar(info()))
        world.feed(Reconfigure(server_settings(with_user(nai="mn2@home.example"), realtime="grant-and-lose")))
        self.assertEqual(result(world.ask(aar(info(), session="s;2"))), 5003)
        self.assertEqual(len(world.server.sessions), 1)
        self.assertEqual(world.account(acr()).first(D["Accounting-Realtime-Required"]), 3)

    def test_sessions_of_others(self) -> None:
        """A client can neither end nor take over what another one has, though it knows the Session-Id."""
        world = World()
        world.ask(aar(info()))
        (session,) = list(world.server.find())
        evil = avp("Origin-Host", "evil.home.example")
        stop = request(
            275,
            1,
            avp("Session-Id", session.id),
            evil,
            avp("Origin-Realm", "home.example"),
            avp("Destination-Realm", "home.example"),
            avp("Auth-Application-Id", 1),
            avp("Termination-Cause", 1),
        )
        self.assertEqual(result(world.ask(stop)), 5002)
        again = changed(aar(info()), evil, without=("Origin-Host",))
        self.assertEqual(result(world.ask(again)), 5012)
        self.assertEqual([each.host for each in session.ends], ["lma1.home.example"])
        self.assertEqual(len(world.server.sessions), 1)

    def test_loaded_users(self) -> None:
        """Those of a file count when it is loaded."""
        world = World()
        world.load(with_user(nai="mn7@home.example"))
        self.assertEqual(result(world.ask(aar(info(), user="mn7@home.example"))), 2001)


class OrderTests(SynchronousTestCase):
    """ASR and RAR."""

    def setUp(self) -> None:
        self.world = World()
        self.world.ask(aar(info()))

    def told(self) -> list[str]:
        return [each.text for each in self.world.effects if isinstance(each, Told)]

    def abort(self) -> Any:
        return self.world.sent(self.world.feed(Abort("lma1;1;1", 9)))

    def test_aborted(self) -> None:
        """ASA, then STR; the cause is the client's."""
        send = self.abort()
        self.assertEqual((send.submit.host, send.submit.realm), ("lma1.home.example", "home.example"))
        self.world.answered(send, *answer_of())
        self.assertIn("is ended by its client", self.told()[0])
        (session,) = list(self.world.server.find())
        self.assertEqual(session.state, "Disconnected")
        stop = request(
            275,
            1,
            avp("Session-Id", "lma1;1;1"),
            avp("Origin-Host", "lma1.home.example"),
            avp("Origin-Realm", "home.example"),
            avp("Destination-Realm", "home.example"),
            avp("Auth-Application-Id", 1),
            avp("Termination-Cause", 4),
        )
        self.assertEqual(result(self.world.ask(stop)), 2001)
        self.assertEqual(self.world.server.sessions.history[-1].cause, 4)

    def test_client_that_sends_no_str(self) -> None:
        """It is over half a minute after its ASA."""
        self.world.answered(self.abort(), *answer_of())
        self.world.pass_time(31)
        self.assertEqual(len(self.world.server.sessions), 0)

    def test_client_that_refuses(self) -> None:
        """The session stays open, and can be aborted again."""
        self.world.answered(self.abort(), *answer_of(code=5012))
        self.assertIn("stays", self.told()[0])
        self.abort()

    def test_client_that_does_not_know_it(self) -> None:
        """It is over."""
        self.world.answered(self.abort(), *answer_of(code=5002))
        self.assertEqual(len(self.world.server.sessions), 0)

    def test_client_that_does_not_answer(self) -> None:
        """Three tries; then the session ends without it."""
        send = self.abort()
        for _ in range(2):
            send = self.world.sent(self.world.answered(send, reason=TIMEOUT))
        self.assertEqual(self.told(), [])
        self.world.answered(send, reason=NO_PEER)
        self.assertIn("without its client: no peer", self.told()[0])
        self.assertEqual(len(self.world.server.sessions), 0)

    def test_twice_and_unknown(self) -> None:
        """Nothing is sent for a session that ends already or is not there."""
        self.abort()
        (told,) = self.world.feed(Abort("lma1;1;1", 3))
        self.assertIn("being ended already", told.text)
        (told,) = self.world.feed(Abort("x", 4))
        self.assertEqual((told.token, told.text), (4, "no session x"))

    def test_ended_meanwhile(self) -> None:
        """An ASA for a session that has ended by itself changes nothing."""
        send = self.abort()
        self.world.pass_time(10_000)
        self.assertEqual(len(self.world.server.sessions), 0)
        self.world.answered(send, *answer_of())
        self.assertIn("ended meanwhile", self.told()[0])

    def test_reauthorized(self) -> None:
        """RAR and what may come of it."""
        for code, text, left in ((2001, "will be", 1), (5012, "is not authorized", 1), (5002, "unknown", 0)):
            send = self.world.sent(self.world.feed(Reauthorize("lma1;1;1", 5)))
            self.assertEqual(send.submit.code, 258)
            self.world.answered(send, *answer_of(code=code))
            self.assertIn(text, self.told()[-1])
            self.assertEqual(len(self.world.server.sessions), left)


class ManyTests(SynchronousTestCase):
    """Sessions in great number."""

    def test_restarted_client_with_many(self) -> None:
        """They end in slices, and none is left in an index."""
        count = PER_TICK + 50
        world = World(with_user(nai="*@home.example", prefixes=()))
        for number in range(count):
            who = {"session": f"lma1;1;{number}", "user": f"mn{number}@home.example"}
            world.ask(aar(info(), avp("Origin-State-Id", 1), **who))
        self.assertEqual(len(world.server.sessions), count)
        world.ask(aar(info(), avp("Origin-State-Id", 2), session="lma1;2;1"))
        world.server.tick(world.now)
        self.assertEqual(len(world.server.sessions), count + 1 - PER_TICK)
        world.pass_time(0)
        self.assertEqual(len(world.server.sessions), 1)
        sessions = world.server.sessions
        self.assertEqual((len(sessions._by_id), len(sessions._by_user)), (1, 1))
        self.assertEqual(sessions.host_count("lma1.home.example"), 1)
        self.assertLessEqual(len(sessions.history), 1_000)
