"""Nodes by the name of their endpoint, whether they run or not.

::

    AAA client of a service ──▶ HeldNode "client" ──▶ DiameterNode that runs now, or nobody
    AAA server              ──▶ HeldNode "server" ──▶ ...

Who uses a node keeps its :class:`HeldNode` for good. An endpoint that starts anew, or comes and goes with the
configuration, attaches its node here; applications go with it.
"""

from collections.abc import Callable
from itertools import count

from appliance.protocols.diameter.client.client_driver import Demands
from appliance.protocols.diameter.events import (
    CANCELLED,
    NO_PEER,
    STOPPED,
    Answered,
    Application,
    NodePort,
    Submit,
)

Done = Callable[[Answered], None]


class HeldNode:
    """The node of one endpoint, as its users see it: a :class:`NodePort` that outlives it."""

    def __init__(self, soon: Callable[[Callable[[], None]], object]) -> None:
        """``soon`` calls a function in the next turn of the reactor."""
        self._soon = soon
        self._node: NodePort | None = None
        self._applications: list[Application] = []
        self._told: list[Callable[[], None]] = []
        self._unsubscribe: Callable[[], None] | None = None
        self._numbers = count(1)
        #: What has been sent and not answered: node, its number for it, whom to tell.
        self._sent: dict[int, tuple[NodePort | None, int, Done]] = {}

    @property
    def identity(self) -> str:
        """Origin-Host; empty while no node runs."""
        return "" if self._node is None else self._node.identity

    @property
    def realm(self) -> str:
        """Origin-Realm; empty while no node runs."""
        return "" if self._node is None else self._node.realm

    @property
    def origin_state_id(self) -> int:
        """Origin-State-Id; 0 while no node runs."""
        return 0 if self._node is None else self._node.origin_state_id

    @property
    def running(self) -> bool:
        """Whether there is a node."""
        return self._node is not None

    def attach(self, node: NodePort) -> None:
        """This node runs now."""
        self.detach()
        self._node = node
        for application in self._applications:
            node.serve(application)
        self._unsubscribe = node.on_usable(self._tell)

    def detach(self) -> None:
        """The node is about to stop: what it was sent ends without an answer."""
        node, self._node = self._node, None
        if node is None:
            return
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        for application in self._applications:
            node.withdraw(application)
        for number in list(self._sent):
            self._end(number, Answered(None, STOPPED))

    def _tell(self) -> None:
        for told in list(self._told):
            told()

    def serve(self, application: Application) -> None:
        """Give requests to ``application``, on whichever node runs; said again, by what it says now."""
        if application not in self._applications:
            self._applications.append(application)
        if self._node is not None:
            self._node.serve(application)

    def withdraw(self, application: Application) -> None:
        """No more."""
        if application in self._applications:
            self._applications.remove(application)
            if self._node is not None:
                self._node.withdraw(application)

    def send(self, submit: Submit, done: Done) -> int:
        """Send a request; without a node ``done`` hears of it in the next turn."""
        number = next(self._numbers)
        node = self._node
        if node is None:
            self._sent[number] = (None, 0, done)
            self._soon(lambda: self._end(number, Answered(None, NO_PEER)))
        else:
            self._sent[number] = (node, node.send(submit, lambda answer: self._end(number, answer)), done)
        return number

    def _end(self, number: int, answer: Answered) -> None:
        sent = self._sent.pop(number, None)
        if sent is not None:
            sent[2](answer)

    def cancel(self, number: int) -> None:
        """Forget a request; whoever sent it is told that it is cancelled."""
        sent = self._sent.get(number)
        if sent is None:
            return
        node, inner, _ = sent
        if node is not None:
            node.cancel(inner)
        self._end(number, Answered(None, CANCELLED))

    def usable(self, realm: str, application: int, accounting: bool) -> bool:
        """Whether such a request could be sent right now."""
        return self._node is not None and self._node.usable(realm, application, accounting)

    def on_usable(self, told: Callable[[], None]) -> Callable[[], None]:
        """Call ``told`` whenever a peer becomes usable; returns what ends that."""
        self._told.append(told)

        def end() -> None:
            if told in self._told:
                self._told.remove(told)

        return end


class Hub:
    """The nodes of all endpoints."""

    def __init__(self, soon: Callable[[Callable[[], None]], object]) -> None:
        self._soon = soon
        self._nodes: dict[tuple[str, str], HeldNode] = {}
        self._demands: dict[tuple[str, str], Demands] = {}

    def node(self, context: str, endpoint: str) -> HeldNode:
        """The node of an endpoint that is there, that will be, or that was."""
        return self._nodes.setdefault((context, endpoint), HeldNode(self._soon))

    def demands(self, context: str, endpoint: str) -> Demands:
        """What servers want of the sessions of this endpoint's AAA clients: one application for all."""
        key = context, endpoint
        if key not in self._demands:
            self._demands[key] = Demands(self.node(context, endpoint))
        return self._demands[key]
