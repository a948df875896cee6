"""Messages between AAA clients and servers are counted, and pass unchanged."""

import gc
from collections.abc import Callable
from typing import Any

from attrs import define, field
from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.diameter.client.counted import CountedNode, Exchange, Exchanges
from appliance.protocols.diameter.events import (
    CANCELLED,
    NO_PEER,
    TIMEOUT,
    Advertised,
    Answered,
    Incoming,
    Submit,
)
from appliance.protocols.diameter.message.codec import Message, frame

REQUEST = Message(frame(274, 1, 0xC0, 1, 2, b""))


@define(eq=False)
class Node:
    """A node that notes what it is told."""

    identity: str = "lma1.visited.example"
    realm: str = "visited.example"
    origin_state_id: int = 7
    sent: list[tuple[Submit, Callable[[Answered], None]]] = field(factory=list)
    served: list[Any] = field(factory=list)
    cancelled: list[int] = field(factory=list)

    def send(self, submit: Submit, done: Callable[[Answered], None]) -> int:
        self.sent.append((submit, done))
        return len(self.sent)

    def cancel(self, number: int) -> None:
        self.cancelled.append(number)

    def serve(self, application: Any) -> None:
        self.served.append(application)

    def withdraw(self, application: Any) -> None:
        self.served.remove(application)

    def usable(self, realm: str, application: int, accounting: bool) -> bool:
        return realm == "r" and accounting

    def on_usable(self, told: Callable[[], None]) -> Callable[[], None]:
        return told


@define(eq=False)
class App:
    """An application that answers with what it is told."""

    result: int = 2001
    advertised: tuple[Advertised, ...] = (Advertised(1, auth=True),)
    realms: frozenset[str] = frozenset()
    got: list[Incoming] = field(factory=list)

    def request(self, incoming: Incoming) -> None:
        self.got.append(incoming)
        incoming.reply(incoming.message.answer(self.result, "h", "r"))


class CountedTests(SynchronousTestCase):
    """One side of a group."""

    def setUp(self) -> None:
        self.exchanges = Exchanges()
        self.inner = Node()
        self.node = CountedNode(self.inner, self.exchanges, ("anchor", "home", False))
        self.answers: list[Answered] = []

    def counts(self) -> dict[tuple[str, str], Exchange]:
        """Everything that was counted, by server and name."""
        return {(server, name): found for _, server, names in self.exchanges.all()
                for name, found in names.items()}  # fmt: skip

    def test_requests(self) -> None:
        """Requests and their ends, for the server that is meant."""
        for submit in (
            Submit(265, 1, b"", "r", "aaa1"), Submit(265, 1, b"", "r", "aaa1", repeated=True),
            Submit(271, 3, b"", "r", prefer=(("aaa2", 1), ("aaa1", 2))), Submit(275, 1, b"", "r"),
            Submit(999, 1, b"", "r"),
        ):  # fmt: skip
            self.assertEqual(self.node.send(submit, self.answers.append), len(self.inner.sent))
        answer = Answered(REQUEST)
        for (_, done), end in zip(
            self.inner.sent,
            (answer, Answered(None, TIMEOUT), answer, Answered(None, NO_PEER), Answered(None, CANCELLED)),
            strict=True,
        ):
            done(end)
        self.assertEqual(len(self.answers), 5)
        self.assertIs(self.answers[0], answer)
        self.assertEqual(self.counts(), {
            ("aaa1", "AA"): Exchange(requests=2, answers=1, retries=1, timeouts=1),
            ("aaa2", "AC"): Exchange(requests=1, answers=1), ("", "ST"): Exchange(requests=1, dropped=1),
            ("", "999"): Exchange(requests=1, dropped=1),
        })  # fmt: skip
        self.exchanges.clear()
        self.assertEqual(self.counts(), {})
        self.node.send(Submit(265, 1, b"", "r", "aaa1"), self.answers.append)
        self.assertEqual(self.counts(), {("aaa1", "AA"): Exchange(requests=1)})

    def test_requests_of_a_server(self) -> None:
        """ASR and RAR, answered well and not; the application sees them as they are."""
        app = App()
        self.node.serve(app)
        (counted,) = self.inner.served
        self.assertEqual((counted.advertised, counted.realms), (app.advertised, app.realms))
        replies: list[bytes] = []
        for result in (2001, 5002, 2002):
            app.result = result
            counted.request(Incoming(REQUEST, "aaa1", False, True, replies.append))
        self.assertEqual(self.counts(), {("aaa1", "AS"): Exchange(requests=3, answers=3, rejected=1)})
        self.assertEqual(replies[1], REQUEST.answer(5002, "h", "r"))
        self.assertEqual((app.got[0].message, app.got[0].secure), (REQUEST, True))

    def test_serve_again(self) -> None:
        """Said again it is the same application for the node; withdrawn once."""
        app = App()
        self.node.serve(app)
        self.node.serve(app)
        self.assertIs(self.inner.served[0], self.inner.served[1])
        self.inner.served.pop()
        self.node.withdraw(app)
        self.node.withdraw(app)
        self.assertEqual(self.inner.served, [])

    def test_the_rest(self) -> None:
        """Everything else is the node's."""
        self.assertEqual((self.node.identity, self.node.realm, self.node.origin_state_id),
                         ("lma1.visited.example", "visited.example", 7))  # fmt: skip
        self.node.cancel(4)
        self.assertEqual(self.inner.cancelled, [4])
        self.assertTrue(self.node.usable("r", 3, True))
        self.assertEqual(self.node.on_usable(self.setUp), self.setUp)

    def test_no_cycles(self) -> None:
        """A request leaves nothing for the garbage collector."""
        gc.collect()
        gc.disable()
        try:
            for _ in range(10):
                self.node.send(Submit(271, 3, b"", "r", "aaa1"), lambda answered: None)
                self.inner.sent.pop()[1](Answered(None, TIMEOUT))
            self.assertEqual(gc.collect(), 0)
        finally:
            gc.enable()
