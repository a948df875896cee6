"""The authorization client on the reactor: between a mobility core and a Diameter node.

::

    LMA driver ──Authorize, Abandon, Account──▶ AuthorizationDriver ──Submit──▶ node ──▶ servers
        ◀── Authorized, SessionEnds, Reauthorize ──   (next turn)   ◀─Answered──
    node ──ASR, RAR──▶ Demands, one for all clients of a node ──▶ the client that has the session

What the mobility core is told comes in a turn of its own: it may just be in the middle of carrying out what
made its client say so.
"""

from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any, Protocol

from twisted.internet.defer import Deferred

from appliance.protocols.diameter.client.auth_events import Ask, Got, Reconfigure, Reply, Requested, Usable
from appliance.protocols.diameter.client.auth_requests import APPLICATIONS, MIP6A, S6B, Origin
from appliance.protocols.diameter.client.auth_sessions import SessionIds
from appliance.protocols.diameter.client.authorization import ABORT_SESSION, RE_AUTH, AuthorizationClient
from appliance.protocols.diameter.events import Advertised, Answered, Incoming, NodePort
from appliance.protocols.diameter.message.codec import RESULT_CODE, SESSION_ID, Malformed, Message
from appliance.protocols.diameter.message.types import BadValue
from appliance.protocols.diameter.settings import GroupSettings
from appliance.protocols.driver import CoreDriver
from appliance.protocols.mobility.aaa import Abandon, Account, Authorize, Authorized, Reauthorize, SessionEnds
from appliance.protocols.pmipv6.events import Notify
from appliance.protocols.timers import Now

VENDOR_3GPP = 10_415
COMMAND_UNSUPPORTED, UNKNOWN_SESSION_ID, SUCCESS = 3001, 5002, 2001
#: Events for the mobility core in one turn; others have a turn before the rest.
TURN = 100
#: Seconds between two looks whether servers know of all ends.
LOOK = 0.02


class Client(Protocol):
    """Who may have a session that a server speaks of."""

    @property
    def advertised(self) -> tuple[Advertised, ...]:
        """The applications that it uses."""

    def has(self, session_id: str) -> bool:
        """Whether a session is its."""

    def demanded(self, incoming: Incoming) -> None:
        """Take an ASR or RAR."""


class Demands:
    """The application of a node for what servers want of its clients' sessions (``events.Application``)."""

    realms: frozenset[str] = frozenset()

    def __init__(self, node: NodePort) -> None:
        self._node = node
        self._clients: list[Client] = []

    @property
    def advertised(self) -> tuple[Advertised, ...]:
        """All that its clients use."""
        return tuple(dict.fromkeys(each for client in self._clients for each in client.advertised))

    def join(self, client: Client) -> None:
        """Serve a client too; said again, by what it uses now."""
        if client not in self._clients:
            self._clients.append(client)
        self._node.serve(self)

    def leave(self, client: Client) -> None:
        """Serve it no more."""
        if client in self._clients:
            self._clients.remove(client)
            if self._clients:
                self._node.serve(self)
            else:
                self._node.withdraw(self)

    def request(self, incoming: Incoming) -> None:
        """Give a request to the client whose session it is about."""
        message, node = incoming.message, self._node
        if message.code not in (ABORT_SESSION, RE_AUTH):
            incoming.reply(message.answer(COMMAND_UNSUPPORTED, node.identity, node.realm))
            return
        try:
            session_id = message.first(SESSION_ID) or ""
        except (Malformed, BadValue):
            session_id = ""
        for client in self._clients:
            if client.has(session_id):
                client.demanded(incoming)
                return
        incoming.reply(message.answer(UNKNOWN_SESSION_ID, node.identity, node.realm))


class Counter(Protocol):
    """What counts messages by server and command (``counted.CountedNode``)."""

    def exchange(self, server: str, code: int) -> Any:
        """Where they are counted."""


class AuthorizationDriver:
    """Runs the authorization client of one service.

    ``deliver`` takes events for the mobility core; ``tell`` takes a :class:`Notify`; ``ids`` makes the
    Session-Ids of all clients of the process. It begins without a group: :meth:`reconfigure` gives one.
    """

    def __init__(
        self,
        reactor: Any,
        clock: Callable[[], Now],
        ids: SessionIds,
        deliver: Callable[[Any], object],
        tell: Callable[[Notify], object],
    ) -> None:
        self._reactor = reactor
        self._clock = clock
        self._deliver = deliver
        self.core = AuthorizationClient(None, Origin(), ids)
        """For read-outs only."""
        self._driver = CoreDriver(
            reactor,
            clock,
            self.core,
            {
                Ask: self._ask,
                Reply: self._reply,
                Authorized: self.later,
                SessionEnds: self.later,
                Reauthorize: self.later,
                Notify: tell,
            },
        )
        self._group: GroupSettings | None = None
        self._node: NodePort | None = None
        self._counter: Counter | None = None
        self._demands: Demands | None = None
        self._unwatch: Callable[[], None] = lambda: None
        self._sent: dict[int, tuple[NodePort, int]] = {}
        """By the number of our :class:`Ask`."""
        self._incoming: dict[int, Incoming] = {}
        self._keys = count(1)
        self._events: deque[Any] = deque()
        self._turn: Any = None
        self._stopping: Deferred[None] | None = None

    # ---- the mobility core

    def authorize(self, question: Authorize) -> None:
        """Take a question."""
        self._look_at_node()
        self._driver.feed(question)

    def abandon(self, dropped: Abandon) -> None:
        """Take back a question."""
        self._driver.feed(dropped)

    def account(self, account: Account) -> None:
        """Hear what became of a session."""
        self._driver.feed(account)

    def later(self, event: Any) -> None:
        """Tell the mobility core something, in a turn of its own."""
        self._events.append(event)
        if self._turn is None:
            self._turn = self._reactor.callLater(0, self._take_turn)

    def _take_turn(self) -> None:
        self._turn = None
        for _ in range(min(TURN, len(self._events))):
            self._deliver(self._events.popleft())
        if self._events and self._turn is None:
            self._turn = self._reactor.callLater(0, self._take_turn)

    # ---- the node

    def reconfigure(
        self,
        group: GroupSettings | None,
        node: NodePort | None = None,
        demands: Demands | None = None,
        counter: Counter | None = None,
    ) -> None:
        """Ask by a group, over a node, from now on; ``None``: ask nobody.

        ``demands`` is the application of the node; ``counter`` counts what servers want.
        """
        self._group, self._counter = group, counter
        if node is not self._node or demands is not self._demands:
            self._unwatch()
            self._unwatch = lambda: None
            if self._demands is not None:
                self._demands.leave(self)
            self._node, self._demands = node, demands
            if node is not None:
                self._unwatch = node.on_usable(self._usable)
        if demands is not None:
            demands.join(self)
        self._driver.feed(Reconfigure(group, self._origin()))

    def _origin(self) -> Origin:
        node = self._node
        return Origin() if node is None else Origin(node.identity, node.realm, node.origin_state_id)

    def _look_at_node(self) -> None:
        """A node that has started, ended, or started anew since has other names."""
        node, origin = self._node, self.core.origin
        if node is not None and (node.identity != origin.host or node.origin_state_id != origin.state_id):
            self._driver.feed(Reconfigure(self._group, self._origin()))

    def _usable(self) -> None:
        self._look_at_node()
        self._driver.feed(Usable())

    def _ask(self, effect: Ask) -> None:
        node, number = self._node, effect.number
        if node is None:
            # Only a core that knows no name of ours has no node, and it sends nothing.
            raise AssertionError("there is no node to send by")
        self._sent[number] = node, node.send(effect.submit, partial(self._answered, number))

    def _answered(self, number: int, answered: Answered) -> None:
        if self._sent.pop(number, None) is not None:
            self._driver.feed(Got(number, answered))

    # ---- demands (``Client``)

    @property
    def advertised(self) -> tuple[Advertised, ...]:
        """The applications that the group uses."""
        if self._group is None:
            return ()
        found = APPLICATIONS[self._group.authentication.application]
        vendor = VENDOR_3GPP if found == S6B else 0
        return Advertised(found, auth=True, vendor=vendor), Advertised(MIP6A, auth=True)

    def has(self, session_id: str) -> bool:
        """Whether a session is this client's."""
        return session_id in self.core.sessions.ids

    def demanded(self, incoming: Incoming) -> None:
        """Take an ASR or RAR about one of its sessions."""
        key = next(self._keys)
        self._incoming[key] = incoming
        self._driver.feed(Requested(key, incoming.message))

    def _reply(self, effect: Reply) -> None:
        incoming = self._incoming.pop(effect.key)
        if self._counter is not None:
            exchange = self._counter.exchange(incoming.peer, incoming.message.code)
            exchange.requests += 1
            exchange.answers += 1
            exchange.rejected += Message(effect.answer).first(RESULT_CODE) != SUCCESS
        incoming.reply(effect.answer)

    # ---- the end

    def stop(self, seconds: float) -> "Deferred[None]":
        """End all sessions, and wait until servers know of it, ``seconds`` at most."""
        if self._stopping is None:
            self._stopping = Deferred()
            # Nobody listens any more; servers are told by the node that there is.
            self._deliver = lambda event: None
            self._driver.feed(Reconfigure(None, self._origin()))
            self._ending(self._clock().mono + seconds)
        return self._stopping

    def _ending(self, until: float) -> None:
        if self.core.busy and self._clock().mono < until:
            self._reactor.callLater(LOOK, self._ending, until)
        else:
            self._end()

    def _end(self) -> None:
        self._unwatch()
        self._unwatch = lambda: None
        self._driver.stop()
        if self._demands is not None:
            self._demands.leave(self)
        sent, self._sent = self._sent, {}
        for node, number in sent.values():
            node.cancel(number)
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        self._events.clear()
        self._node = self._demands = self._counter = None
        assert self._stopping is not None
        self._stopping.callback(None)
