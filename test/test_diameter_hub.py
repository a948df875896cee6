"""Nodes that come and go below those who use them."""

from collections.abc import Callable
from typing import Any

from attrs import define
from twisted.trial.unittest import SynchronousTestCase

from appliance.diameter_hub import Hub
from appliance.protocols.diameter.events import CANCELLED, NO_PEER, STOPPED, Answered, Submit


class Node:
    """A node that notes what it is told."""

    def __init__(self, identity: str) -> None:
        self.identity, self.realm = identity, "r"
        self.applications: list[Any] = []
        self.sent: dict[int, Callable[[Answered], None]] = {}
        self.told: list[Callable[[], None]] = []
        self.cancelled: list[int] = []

    def serve(self, application: Any) -> None:
        self.applications.append(application)

    def withdraw(self, application: Any) -> None:
        self.applications.remove(application)

    def send(self, submit: Submit, done: Callable[[Answered], None]) -> int:
        self.sent[len(self.sent) + 100] = done
        return len(self.sent) + 99

    def cancel(self, number: int) -> None:
        self.cancelled.append(number)
        self.sent.pop(number)(Answered(None, CANCELLED))

    def usable(self, realm: str, application: int, accounting: bool) -> bool:
        return realm == "r"

    def on_usable(self, told: Callable[[], None]) -> Callable[[], None]:
        self.told.append(told)
        return lambda: self.told.remove(told)


@define(eq=False)
class App:
    """An application that is only handed round."""

    advertised: tuple[Any, ...] = ()
    realms: frozenset[str] = frozenset()

    def request(self, incoming: Any) -> None:
        raise AssertionError("nobody asks")


SUBMIT = Submit(271, 3, b"", "r")


class HubTests(SynchronousTestCase):
    """One endpoint's node, seen by a client and an application."""

    def setUp(self) -> None:
        self.soon: list[Callable[[], None]] = []
        self.hub = Hub(self.soon.append)
        self.held = self.hub.node("c", "e")
        self.answers: list[str] = []

    def _note(self, answer: Answered) -> None:
        self.answers.append(answer.reason or "answer")

    def test_without_a_node(self) -> None:
        """A request ends in the next turn, not before ``send`` returns; it can be cancelled before that."""
        self.held.send(SUBMIT, self._note)
        self.held.cancel(self.held.send(SUBMIT, self._note))
        self.assertEqual(self.answers, [CANCELLED])
        for function in self.soon:
            function()
        self.assertEqual(self.answers, [CANCELLED, NO_PEER])
        self.assertFalse(self.held.usable("r", 3, True))
        self.assertIs(self.hub.node("c", "e"), self.held)
        self.assertEqual((self.held.identity, self.held.running), ("", False))

    def test_applications_follow(self) -> None:
        """Each node that attaches serves them, until they are withdrawn."""
        one, two, app, other = Node("one"), Node("two"), App(), App()
        self.held.serve(app)
        self.held.attach(one)
        self.held.serve(other)
        self.assertEqual(one.applications, [app, other])
        self.held.attach(two)
        self.assertEqual((one.applications, two.applications), ([], [app, other]))
        self.held.withdraw(app)
        self.held.withdraw(app)
        self.assertEqual((two.applications, self.held.identity), ([other], "two"))

    def test_requests_end_with_their_node(self) -> None:
        """Exactly one end each, whatever the old node says later."""
        node = Node("one")
        self.held.attach(node)
        self.held.send(SUBMIT, self._note)
        number = self.held.send(SUBMIT, self._note)
        self.held.cancel(number)
        self.assertEqual((node.cancelled, self.answers), ([101], [CANCELLED]))
        self.held.send(SUBMIT, self._note)
        node.sent[100](Answered(None, "timeout"))
        self.held.detach()
        self.assertEqual(self.answers, [CANCELLED, "timeout", STOPPED])
        for done in node.sent.values():
            done(Answered(None, "late"))
        self.assertEqual(len(self.answers), 3)

    def test_usable(self) -> None:
        """Who asked is told by every node, until he asks no more."""
        calls: list[int] = []
        end = self.held.on_usable(lambda: calls.append(1))
        one, two = Node("one"), Node("two")
        self.held.attach(one)
        one.told[0]()
        self.held.attach(two)
        self.assertEqual(one.told, [])
        two.told[0]()
        end()
        end()
        two.told[0]()
        self.assertEqual(calls, [1, 1])
        self.assertTrue(self.held.usable("r", 3, True))
