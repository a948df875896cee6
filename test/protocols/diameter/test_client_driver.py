"""The authorization client between a mobility core and a node: turns, names, demands of servers, the end."""

import gc
import weakref
from collections.abc import Callable
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.diameter.client import client_driver
from appliance.protocols.diameter.client.auth_sessions import SessionIds
from appliance.protocols.diameter.client.client_driver import AuthorizationDriver, Demands
from appliance.protocols.diameter.client.counted import CountedNode, Exchanges
from appliance.protocols.diameter.events import CANCELLED, NO_PEER, Advertised, Answered, Incoming, Submit
from appliance.protocols.diameter.message.codec import PROXIABLE, REQUEST, Message, frame
from appliance.protocols.mobility import aaa
from appliance.protocols.mobility.aaa import Abandon, Account, Authorize, Authorized, Reauthorize, SessionEnds
from appliance.protocols.timers import Now
from test.protocols.diameter.auth_fakes import HOST, REALM, SERVER, D, avp, group, lifetime, subject


class Node:
    """A node that notes what it is asked, and answers when the test wants."""

    def __init__(self, identity: str = HOST) -> None:
        self.identity, self.realm, self.origin_state_id = identity, REALM, 7
        self.sent: dict[int, tuple[Submit, Callable[[Answered], None]]] = {}
        self.applications: list[Any] = []
        self.served = 0
        self.told: list[Callable[[], None]] = []
        self.cancelled: list[int] = []

    def send(self, submit: Submit, done: Callable[[Answered], None]) -> int:
        number = 100 + len(self.sent) + len(self.cancelled)
        self.sent[number] = submit, done
        return number

    def cancel(self, number: int) -> None:
        self.cancelled.append(number)
        self.sent.pop(number)[1](Answered(None, CANCELLED))

    def serve(self, application: Any) -> None:
        self.served += 1
        if application not in self.applications:
            self.applications.append(application)

    def withdraw(self, application: Any) -> None:
        self.applications.remove(application)

    def usable(self, realm: str, application: int, accounting: bool) -> bool:
        return True

    def on_usable(self, told: Callable[[], None]) -> Callable[[], None]:
        self.told.append(told)
        return lambda: self.told.remove(told)

    def take(self) -> list[tuple[Submit, Callable[[Answered], None]]]:
        """What has been sent since the last call."""
        sent, self.sent = list(self.sent.values()), {}
        return sent

    def answer(self, result: int = 2001, *avps: bytes) -> Submit:
        """Answer the one request there is."""
        ((submit, done),) = self.take()
        request = Message(frame(submit.code, submit.application, REQUEST | PROXIABLE, 1, 1, submit.avps))
        more = [avp("Auth-Application-Id", submit.application), avp("Auth-Request-Type", 2)]
        body = [*more, *avps] if submit.code != 275 else []
        done(Answered(Message(request.answer(result, SERVER, REALM, *body)), "", "peer", 1))
        return submit


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = Clock()
        self.ids = SessionIds(1_700_000_000)
        self.events: list[Any] = []
        self.lines: list[str] = []
        self.node = Node()
        self.demands = Demands(self.node)
        self.exchanges = Exchanges()
        self.counted = CountedNode(self.node, self.exchanges, ("", "g", False))
        self.driver = self.make()
        self.driver.reconfigure(group(), self.counted, self.demands, self.counted)
        self.token = 0

    def make(self) -> AuthorizationDriver:
        """A driver that is not configured yet."""
        return AuthorizationDriver(
            self.reactor,
            lambda: Now(self.reactor.seconds(), 1_700_000_000 + self.reactor.seconds()),
            self.ids,
            self.events.append,
            lambda line: self.lines.append(line.text),
        )

    def ask(self, call_id: int = 1) -> None:
        """Ask about a session."""
        self.token += 1
        self.driver.authorize(Authorize(token=self.token, subject=subject(call_id), patience=60))

    def told(self) -> list[Any]:
        """What the mobility core hears in the next turns."""
        self.reactor.pump([0] * 5)
        events, self.events[:] = list(self.events), []
        return events

    def open(self, call_id: int = 1, *avps: bytes) -> str:
        """Have a session authorized; returns its Session-Id."""
        self.ask(call_id)
        self.node.answer(2001, *avps)
        (event,) = self.told()
        assert isinstance(event, Authorized) and event.verdict == aaa.ACCEPT
        return event.grant.session_id

    def demand(self, code: int, session_id: str, application: Any = None) -> int:
        """A server sends ASR (274), RAR (258) or something else; returns the Result-Code of the answer."""
        body = [avp("Session-Id", session_id), avp("Origin-Host", SERVER), avp("Origin-Realm", REALM)]
        message = Message(frame(code, 1, REQUEST | PROXIABLE, 1, 1, b"".join(body)))
        answers: list[bytes] = []
        (application or self.demands).request(Incoming(message, SERVER, False, False, answers.append))
        (answer,) = answers
        result: int = Message(answer).first(D["Result-Code"])
        return result


class TestDriver(Case):
    def test_question(self) -> None:
        """A question goes out at once; its answer reaches the mobility core in a turn of its own."""
        self.ask()
        self.node.answer()
        self.assertEqual(self.events, [])
        (event,) = self.told()
        self.assertEqual((event.token, event.verdict), (1, aaa.ACCEPT))

    def test_no_way(self) -> None:
        """Also a no that needs no server comes later: the mobility core is still busy with its effects."""
        self.ask()
        ((_, done),) = self.node.take()
        done(Answered(None, NO_PEER))
        self.assertEqual(self.events, [])
        (event,) = self.told()
        self.assertEqual(event.verdict, aaa.NO_ANSWER)

    def test_turns(self) -> None:
        """Many answers at once are given some at a time."""
        self.patch(client_driver, "TURN", 3)
        for call_id in range(1, 9):
            self.ask(call_id)
        for _, done in self.node.take():
            done(Answered(None, NO_PEER))
        counts = []
        while self.reactor.calls:
            # One turn after the other; ``advance`` would not stop between them.
            call = self.reactor.calls.pop(0)
            before = len(self.events)
            call.func(*call.args)
            counts.append(len(self.events) - before)
        self.assertEqual(counts, [3, 3, 2])

    def test_times(self) -> None:
        """The core's times run on the reactor."""
        self.open(1, lifetime(100))
        self.reactor.advance(91)
        self.assertEqual(self.told(), [Reauthorize(1)])
        self.reactor.advance(10)
        self.assertEqual(self.told(), [SessionEnds(call_id=1, cause=aaa.AUTH_EXPIRED)])

    def test_end(self) -> None:
        """A session that has ended: the server is told."""
        self.open()
        self.driver.account(Account(what=aaa.STOP, subject=subject(), cause=aaa.LOGOUT))
        submit = self.node.answer()
        self.assertEqual((submit.code, submit.host), (275, SERVER))
        self.ask(2)
        self.driver.abandon(Abandon(self.token, 2))
        self.node.answer()
        self.assertEqual(self.node.answer().code, 275)

    def test_other_names(self) -> None:
        """A node that starts anew under another name is asked under that name."""
        self.node.identity = ""
        self.ask()
        self.assertEqual((self.node.take(), self.told()[0].verdict), ([], aaa.NO_ANSWER))
        self.node.identity = "lma9.example"
        self.ask(2)
        session_id = self.node.answer() and self.told()[0].grant.session_id
        self.assertTrue(session_id.startswith("lma9.example;"))
        self.node.identity = "lma8.example"
        self.node.told[0]()
        self.assertEqual(self.driver.core.origin.host, "lma8.example")

    def test_log(self) -> None:
        """What operators should know goes to the log."""
        self.driver.reconfigure(group(failure_policy="local"), self.counted, self.demands, self.counted)
        self.ask()
        ((_, done),) = self.node.take()
        done(Answered(None, NO_PEER))
        self.assertEqual(self.lines, ["no AAA server answers, the local profile decides"])


class TestDemands(Case):
    def test_of_its_own(self) -> None:
        """An ASR and a RAR are obeyed, and counted."""
        name = self.open()
        self.assertEqual((self.demand(258, name), self.told()), (2001, [Reauthorize(1)]))
        self.assertEqual(self.demand(274, name), 2001)
        self.assertEqual(self.told(), [SessionEnds(call_id=1, cause=aaa.ADMINISTRATIVE)])
        counts = self.exchanges.of(("", "g", False))[SERVER]
        self.assertEqual((counts["AS"].requests, counts["AS"].answers, counts["AS"].rejected), (1, 1, 0))
        self.assertEqual(counts["RA"].requests, 1)

    def test_unknown(self) -> None:
        """A session of nobody; a command that clients do not serve."""
        self.assertEqual((self.demand(274, "x;1;1"), self.demand(265, "x;1;1")), (5002, 3001))

    def test_several_clients(self) -> None:
        """Each client of a node hears of its own sessions; the node has one application for all."""
        first = self.driver
        name = self.open(1)
        self.driver = self.make()
        self.driver.reconfigure(group(application="s6b"), self.counted, self.demands)
        other = self.open(2)
        self.assertEqual(self.node.applications, [self.demands])
        self.assertEqual(
            set(self.demands.advertised),
            {
                Advertised(1, auth=True),
                Advertised(8, auth=True),
                Advertised(16_777_272, auth=True, vendor=10_415),
            },
        )
        self.assertEqual((self.demand(274, other), self.told()[0].call_id), (2001, 2))
        self.assertEqual((self.demand(274, name), self.told()[0].call_id), (2001, 1))
        self.driver.reconfigure(None)
        self.assertEqual(self.demand(274, other), 5002)
        self.assertEqual(self.node.applications, [self.demands])
        first.reconfigure(None)
        self.assertEqual(self.node.applications, [])


class TestSettings(Case):
    def test_other_node(self) -> None:
        """Another endpoint: its node is asked, the former one is left in peace."""
        other = Node("lma2.home.example")
        demands = Demands(other)
        self.driver.reconfigure(group(realm="x.net"), other, demands)
        self.assertEqual((self.node.applications, self.node.told), ([], []))
        self.ask()
        self.assertEqual((self.node.take(), len(other.take())), ([], 1))
        self.assertEqual(other.applications, [demands])

    def test_no_group(self) -> None:
        """Without a group the servers hear by the old node that the sessions are over."""
        self.open()
        self.driver.reconfigure(None, self.counted, self.demands, self.counted)
        self.reactor.advance(0.01)
        self.assertEqual(self.node.answer().code, 275)
        self.assertEqual(self.demands.advertised, ())


class TestStop(Case):
    def test_ends_are_told(self) -> None:
        """All sessions end; it is over when the servers have answered."""
        self.open(1)
        self.open(2)
        done: list[Any] = []
        self.driver.stop(3.0).addCallback(done.append)
        self.reactor.advance(0.01)
        for submit, answer in self.node.take():
            self.assertEqual(submit.code, 275)
            request = Message(frame(275, 1, REQUEST | PROXIABLE, 1, 1, submit.avps))
            answer(Answered(Message(request.answer(2001, SERVER, REALM))))
        self.reactor.advance(0.02)
        self.assertEqual((done, self.reactor.getDelayedCalls()), ([None], []))
        self.assertEqual((self.node.applications, self.node.told), ([], []))

    def test_nobody_answers(self) -> None:
        """A server that is silent is not waited for longer than that."""
        self.open()
        self.ask(2)
        done: list[Any] = []
        self.driver.stop(3.0).addCallback(done.append)
        self.reactor.pump([0.1] * 29)
        self.assertEqual(done, [])
        self.reactor.pump([0.1] * 3)
        self.assertEqual((done, len(self.node.cancelled)), ([None], 2))
        self.assertEqual((self.reactor.getDelayedCalls(), self.events), ([], []))

    def test_nothing_stays(self) -> None:
        """A client that has stopped is not kept in memory by a cycle."""
        self.open()
        gone = weakref.ref(self.driver)
        session = weakref.ref(self.driver.core)
        gc.disable()
        try:
            self.driver.stop(0.0)
            self.reactor.advance(1)
            del self.driver
            self.node.take()
            self.assertIsNone(gone())
            self.assertIsNone(session())
        finally:
            gc.enable()
