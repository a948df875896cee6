"""Counts of the messages between AAA clients and servers, for ``show diameter aaa-statistics``.

::

    client of a service ──send──▶ CountedNode ──▶ node          AAR, ACR, STR ...: requests, answers, retries
             ▲                         │                        time-outs, and those that nobody answered
             └──request── (ASR, RAR) ──┘◀── node                requests, answers, rejected ones

A :class:`CountedNode` stands between a client and its node and counts what goes through, so the clients need
not know of it. The messages are counted for the server that a request is meant for.
"""

from collections.abc import Callable, Iterator
from functools import partial

from attrs import define

from appliance.protocols.diameter.events import (
    TIMEOUT,
    Advertised,
    Answered,
    Application,
    Incoming,
    NodePort,
    Submit,
)
from appliance.protocols.diameter.message.codec import RESULT_CODE, Message

#: Names of what is counted, by command code: without the R and A of request and answer.
NAMES = {
    258: "RA", 260: "AM", 262: "HA", 265: "AA", 268: "DE", 271: "AC", 274: "AS", 275: "ST", 325: "MI",
}  # fmt: skip

#: Servers and peers that are counted apart; further ones are counted together.
MOST_SERVERS, OTHERS = 256, "others"


@define(slots=True)
class Exchange:
    """What became of one type of message."""

    requests: int = 0
    answers: int = 0
    retries: int = 0
    timeouts: int = 0
    dropped: int = 0
    """Requests that ended without an answer in another way: no peer, too many waiting, cancelled."""
    rejected: int = 0
    """Requests of a server that got another answer than success."""


Side = tuple[str, str, bool]
"""Context and name of a group, and whether it is its accounting."""


class Exchanges:
    """The counts of all groups."""

    def __init__(self) -> None:
        self._sides: dict[Side, dict[str, dict[str, Exchange]]] = {}

    def of(self, side: Side) -> dict[str, dict[str, Exchange]]:
        """The counts of one side of a group: by server, by name."""
        return self._sides.setdefault(side, {})

    def all(self) -> Iterator[tuple[Side, str, dict[str, Exchange]]]:
        """Side, server and counts by name, of everything that was counted."""
        for side, servers in self._sides.items():
            for server, names in servers.items():
                yield side, server, names

    def clear(self) -> None:
        """Start again from zero."""
        for servers in self._sides.values():
            servers.clear()


class CountedNode:
    """A node that counts what goes through it (``events.NodePort``)."""

    def __init__(self, node: NodePort, exchanges: Exchanges, side: Side) -> None:
        self._node = node
        self._servers = exchanges.of(side)
        self._served: dict[int, tuple[Application, _CountedApplication]] = {}

    @property
    def identity(self) -> str:
        """Origin-Host."""
        return self._node.identity

    @property
    def realm(self) -> str:
        """Origin-Realm."""
        return self._node.realm

    @property
    def origin_state_id(self) -> int:
        """Origin-State-Id."""
        return self._node.origin_state_id

    def exchange(self, server: str, code: int) -> Exchange:
        """Where messages of a type with a server are counted."""
        names = self._servers.get(server)
        if names is None:
            if len(self._servers) >= MOST_SERVERS:
                server = OTHERS
            names = self._servers.setdefault(server, {})
        name = NAMES.get(code) or str(code)
        found = names.get(name)
        if found is None:
            found = names[name] = Exchange()
        return found

    def send(self, submit: Submit, done: Callable[[Answered], None]) -> int:
        """Send a request, and count what becomes of it."""
        server = submit.host or (submit.prefer[0][0] if submit.prefer else "")
        exchange = self.exchange(server, submit.code)
        exchange.requests += 1
        exchange.retries += submit.repeated
        return self._node.send(submit, partial(_answered, exchange, done))

    def cancel(self, number: int) -> None:
        """Forget a request."""
        self._node.cancel(number)

    def usable(self, realm: str, application: int, accounting: bool) -> bool:
        """Whether such a request could be sent right now."""
        return self._node.usable(realm, application, accounting)

    def on_usable(self, told: Callable[[], None]) -> Callable[[], None]:
        """Call ``told`` whenever a peer becomes usable; returns what ends that."""
        return self._node.on_usable(told)

    def serve(self, application: Application) -> None:
        """Give requests to ``application``; said again, by what it advertises now."""
        held = self._served.get(id(application))
        if held is None:
            held = application, _CountedApplication(application, self.exchange)
            self._served[id(application)] = held
        self._node.serve(held[1])

    def withdraw(self, application: Application) -> None:
        """No more."""
        held = self._served.pop(id(application), None)
        if held is not None:
            self._node.withdraw(held[1])


def _answered(exchange: Exchange, done: Callable[[Answered], None], answered: Answered) -> None:
    if answered.message is not None:
        exchange.answers += 1
    elif answered.reason == TIMEOUT:
        exchange.timeouts += 1
    else:
        exchange.dropped += 1
    done(answered)


class _CountedApplication:
    """An application whose requests and answers are counted."""

    def __init__(self, application: Application, exchange: Callable[[str, int], Exchange]) -> None:
        self._application = application
        self._exchange = exchange

    @property
    def advertised(self) -> tuple[Advertised, ...]:
        return self._application.advertised

    @property
    def realms(self) -> frozenset[str]:
        return self._application.realms

    def request(self, incoming: Incoming) -> None:
        exchange = self._exchange(incoming.peer, incoming.message.code)
        exchange.requests += 1
        reply = partial(_replied, exchange, incoming.reply)
        self._application.request(
            Incoming(incoming.message, incoming.peer, incoming.compat, incoming.secure, reply)
        )


def _replied(exchange: Exchange, reply: Callable[[bytes], None], answer: bytes) -> None:
    exchange.answers += 1
    result = Message(answer).first(RESULT_CODE)
    exchange.rejected += result is None or result // 1000 != 2
    reply(answer)
