"""Runs the core of a Mobile AAA server: as an application of a Diameter node, with a store beside it.

::

    node ──request(incoming)──▶ AaaServerDriver ──Request──▶ core ──Keep──▶ RecordWriter (its own thread)
         ◀─incoming.reply(octets)──────────────────◀─Reply──      ◀─Stored─
"""

from collections.abc import Callable
from itertools import count
from typing import Any

from appliance.aaa.events import (
    Abort,
    Answer,
    Full,
    Keep,
    Notify,
    Origin,
    Reauthorize,
    Reconfigure,
    Reply,
    Request,
    Send,
    Stored,
    Told,
)
from appliance.aaa.server import ADVERTISED, MobileAaaServer
from appliance.aaa.writer import RecordWriter
from appliance.protocols.diameter.events import Advertised, Answered, Incoming, NodePort
from appliance.protocols.diameter.message.types import fold
from appliance.protocols.driver import CoreDriver
from appliance.protocols.timers import Now

Outcome = Callable[[list[int], str], None]


class AaaServerDriver:
    """One server on a node."""

    advertised: tuple[Advertised, ...] = ADVERTISED

    def __init__(
        self,
        reactor: Any,
        clock: Callable[[], Now],
        core: MobileAaaServer,
        node: NodePort,
        make_writer: Callable[[Outcome], RecordWriter],
        notify: Callable[[Notify], None],
        record: Callable[[Any, Now], None] | None = None,
    ) -> None:
        """``make_writer`` is given what to tell of stored records; ``notify`` says something to operators."""
        self.writer = make_writer(self._stored)
        self._core = core
        self._node = node
        self._numbers = count(1)
        self._replies: dict[int, Callable[[bytes], None]] = {}
        self._sent: dict[int, int] = {}
        """Number of the node for each of our tokens."""
        self._waiting: dict[int, Callable[[str], None]] = {}
        self._origin = ("", "", -1)
        perform: dict[type, Callable[[Any], object]] = {
            Reply: self._reply,
            Keep: self._keep,
            Send: self._send,
            Told: self._tell,
            Notify: notify,
        }
        self._driver = CoreDriver(reactor, clock, core, perform, record)

    @property
    def realms(self) -> frozenset[str]:
        """Realms whose requests are this server's: those of its users, and the node's own."""
        realms = self._core.users.realms
        return realms | {fold(self._node.realm)} if realms else realms

    def start(self) -> None:
        """Open the store, and take requests from now on."""
        self.writer.start()
        self._node.serve(self)

    def stop(self) -> Callable[[float], None]:
        """Take no more requests; returns what waits, on another thread, until the rest is stored, or for so
        many seconds."""
        self._node.withdraw(self)
        for number in list(self._sent.values()):
            self._node.cancel(number)
        for told in list(self._waiting.values()):
            told("the server is stopped")
        self._waiting.clear()
        return self.writer.stop()

    def finish(self) -> None:
        """The store has ended: nothing comes of the core any more."""
        self._driver.stop()
        self._replies.clear()

    def reconfigure(self, event: Reconfigure) -> None:
        """Go on by other settings."""
        before = self.realms
        self._driver.feed(event)
        if self.realms != before:
            self._node.serve(self)

    def feed(self, event: Any) -> None:
        """Give the core an event."""
        self._driver.feed(event)

    # Node.

    def request(self, incoming: Incoming) -> None:
        """Take a request that has passed the grammar."""
        node = self._node
        origin = (node.identity, node.realm, node.origin_state_id)
        if origin != self._origin:
            self._origin = origin
            self._driver.feed(Origin(*origin))
        token = next(self._numbers)
        self._replies[token] = incoming.reply
        try:
            self._driver.feed(
                Request(token, incoming.message, incoming.peer, incoming.compat, incoming.secure)
            )
        except Exception:
            # The node answers it; nothing of it may stay here.
            self._replies.pop(token, None)
            raise

    def _reply(self, effect: Reply) -> None:
        reply = self._replies.pop(effect.token, None)
        if reply is not None:
            reply(effect.answer)

    def _send(self, effect: Send) -> None:
        token = effect.token

        def done(answered: Answered) -> None:
            self._sent.pop(token, None)
            self._driver.feed(Answer(token, answered))

        self._sent[token] = self._node.send(effect.submit, done)

    # Store.

    def _keep(self, effect: Keep) -> None:
        if not self.writer.put(effect.token, effect.record):
            self._driver.feed(Full(effect.token))

    def _stored(self, tokens: list[int], outcome: str) -> None:
        self._driver.feed(Stored(tokens, outcome))

    # Operator.

    def abort(self, session_id: str, told: Callable[[str], None]) -> None:
        """End a session; ``told`` hears what the client answered."""
        self._order(Abort, session_id, told)

    def reauthorize(self, session_id: str, told: Callable[[str], None]) -> None:
        """Have a session authorized again; ``told`` hears what the client answered."""
        self._order(Reauthorize, session_id, told)

    def _order(
        self, kind: type[Abort] | type[Reauthorize], session_id: str, told: Callable[[str], None]
    ) -> None:
        token = next(self._numbers)
        self._waiting[token] = told
        self._driver.feed(kind(session_id, token))

    def _tell(self, effect: Told) -> None:
        told = self._waiting.pop(effect.token, None)
        if told is not None:
            told(effect.text)
