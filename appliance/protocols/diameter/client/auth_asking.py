"""Asking servers: which one, how often, and what to do when one does not answer.

::

    question ─▶ first server ─▶ Ask ──Got──▶ answered: Read                       the core decides about these
                     ▲  time-out: again, T flag │  nobody answers, or none is there: ``None``
                     └── busy, no way: next ◀───┘
"""

import heapq
from typing import Any

from attrs import define

from appliance.protocols.diameter.client.auth_answers import BUSY, Read, read
from appliance.protocols.diameter.client.auth_events import Ask
from appliance.protocols.diameter.client.auth_requests import Origin, command, request
from appliance.protocols.diameter.client.auth_sessions import (
    BIND_RE_AUTH,
    AuthSession,
    AuthSessions,
    SessionIds,
)
from appliance.protocols.diameter.events import MALFORMED, TIMEOUT, Answered, Submit
from appliance.protocols.diameter.message.codec import Message
from appliance.protocols.diameter.message.types import fold
from appliance.protocols.diameter.settings import GroupSettings
from appliance.protocols.mobility import aaa
from appliance.protocols.mobility.aaa import Authorize
from appliance.protocols.timers import Now

UNKNOWN_SESSION_ID = 5002
#: A question that waits for a server is asked again after so many seconds.
HOLD = 2.0
#: Verdicts by what the group calls the host that has seen a newer session.
DETECTORS = {"pcrf": aaa.NEWER_PCRF, "pcs": aaa.NEWER_PCS}


class Exchange:
    """One question of the mobility core that has no answer yet."""

    __slots__ = (
        "anyone", "deadline", "due", "end_to_end", "patience", "question", "server", "session", "tries"
    )  # fmt: skip

    def __init__(self, question: Authorize, session: AuthSession, deadline: float) -> None:
        self.question = question
        self.session = session
        #: When the answer is of no use any more.
        self.deadline = deadline
        #: Until when it may wait for a server by the policy ``queue``; 0: it has not waited yet.
        self.patience = 0.0
        #: When it is asked again; ``None``: it is under way.
        self.due: float | None = None
        #: Requests sent since it began, or began anew.
        self.tries = 0
        #: Which of the configured servers is asked.
        self.server = 0
        #: Any server of the realm may be asked about a session that one of them has.
        self.anyone = False
        #: Of the request that is repeated; 0: none is.
        self.end_to_end = 0


@define(slots=True)
class Ended:
    """The end of an exchange, as far as servers are concerned."""

    exchange: Exchange
    found: Read | None
    """``None``: no server could be asked, or none has answered."""


class Asking:
    """The exchanges of one client; what it wants sent goes to ``out``, the effects of the core."""

    def __init__(self, sessions: AuthSessions, ids: SessionIds) -> None:
        self.open: dict[int, Exchange] = {}
        """By the token of their question."""
        self._sessions = sessions
        self._ids = ids
        self._sent: dict[int, Exchange] = {}
        """By the number of their :class:`Ask`."""
        self._held: list[tuple[float, int]] = []
        """When, and the token of what, to ask again; entries that do not fit any more are passed over."""

    def configure(self, settings: GroupSettings, origin: Origin) -> None:
        """Ask by these from now on."""
        self._side = settings.authentication
        self._origin = origin
        self._detectors = {fold(host): DETECTORS[kind] for host, kind in settings.newer_sessions}
        self._hosts = [each.host for each in sorted(self._side.servers, key=lambda one: one.priority)]

    def begin(self, exchange: Exchange, number: int, out: list[Any], now: Now) -> bool:
        """Ask the first server, the request being ``number``; False: there is no time, or no node, for it."""
        exchange.server = exchange.tries = 0
        exchange.due = None
        return self._send(exchange, number, out, now)

    def _send(self, exchange: Exchange, number: int, out: list[Any], now: Now) -> bool:
        session = exchange.session
        timeout = min(float(self._side.request_timeout), exchange.deadline - now.mono)
        if timeout <= 0 or not self._origin.host:
            return False
        if not session.session_id:
            self._sessions.name(session, self._ids.make(self._origin.host))
        host = self.host(exchange)
        self._sent[number] = exchange
        exchange.tries += 1
        submit = Submit(
            command(session.application),
            session.application,
            request(session, exchange.question, self._origin, host),
            session.realm,
            host,
            timeout,
            exchange.end_to_end,
            exchange.end_to_end != 0,
        )
        out.append(Ask(number, submit))
        return True

    def host(self, exchange: Exchange) -> str:
        """Destination-Host: that of the session's server (RFC 6733 section 8.17), or a configured one."""
        session = exchange.session
        if session.host:
            return "" if exchange.anyone or session.binding & BIND_RE_AUTH else session.host
        return self._hosts[exchange.server] if self._hosts else ""

    def _next_server(self, exchange: Exchange) -> bool:
        """Whether there is another server to ask; then it is the next one that is asked."""
        if exchange.session.host or exchange.server + 1 >= len(self._hosts):
            return False
        exchange.server += 1
        return True

    def got(self, number: int, answered: Answered, again: int, out: list[Any], now: Now) -> Ended | None:
        """The end of a request; ``again`` is the number of the next one. ``None``: it is sent, or unknown."""
        exchange = self._sent.pop(number, None)
        if exchange is None:
            return None
        if answered.message is not None:
            return self._answer(exchange, answered.message, again, out, now)
        if answered.reason in (TIMEOUT, MALFORMED):
            # The server may have a session now.
            exchange.session.uncertain = True
        if answered.reason != TIMEOUT:
            if self._next_server(exchange) and self._send(exchange, again, out, now):
                return None
            return Ended(exchange, None)
        if exchange.tries > self._side.max_retries:
            return Ended(exchange, None)
        if not self._next_server(exchange):
            exchange.server = 0
        # RFC 6733 section 3: the same request, as far as its receiver is concerned.
        exchange.end_to_end = answered.end_to_end
        return None if self._send(exchange, again, out, now) else Ended(exchange, None)

    def _answer(
        self, exchange: Exchange, message: Message, again: int, out: list[Any], now: Now
    ) -> Ended | None:
        session = exchange.session
        found = read(message, session.session_id, session.application)
        if found.verdict == BUSY:
            # It has said so: a second request is another one, not a copy (RFC 6733 section 3, T flag).
            exchange.end_to_end = 0
            if self._next_server(exchange) and self._send(exchange, again, out, now):
                return None
            return Ended(exchange, None)
        if found.verdict == aaa.NEWER:
            found.verdict = self._detectors.get(fold(found.reporter or found.host), aaa.NEWER)
        if found.result == UNKNOWN_SESSION_ID and self.widen(exchange, again, out, now):
            # The server has lost its sessions: this one begins anew there.
            return None
        return Ended(exchange, found)

    def widen(self, exchange: Exchange, number: int, out: list[Any], now: Now) -> bool:
        """Ask any server of the realm about a session that one of them has; False: that was done."""
        if not self.host(exchange) or not exchange.session.host:
            return False
        exchange.anyone, exchange.tries, exchange.end_to_end = True, 0, 0
        return self._send(exchange, number, out, now)

    # ---- waiting for a server

    def hold(self, exchange: Exchange, queue_time: float, now: Now) -> bool:
        """Let a question wait, ``queue_time`` seconds in all; False: it has waited long enough."""
        if not exchange.patience:
            exchange.patience = min(now.mono + queue_time, exchange.deadline)
        if now.mono >= exchange.patience:
            return False
        self._hold(exchange, min(now.mono + HOLD, exchange.patience))
        return True

    def _hold(self, exchange: Exchange, due: float) -> None:
        exchange.due = due
        heapq.heappush(self._held, (due, exchange.question.token))

    def hurry(self, now: Now) -> None:
        """A server may be there: what waits is asked now."""
        for exchange in self.open.values():
            if exchange.due is not None and exchange.due > now.mono:
                self._hold(exchange, now.mono)

    @property
    def deadline(self) -> float | None:
        """When :meth:`pop_due` may have something, in monotonic seconds."""
        return self._held[0][0] if self._held else None

    def pop_due(self, mono: float, limit: int) -> list[Exchange]:
        """The questions that are to be asked again; at most ``limit`` are looked at."""
        found: list[Exchange] = []
        while self._held and self._held[0][0] <= mono and limit > 0:
            limit -= 1
            due, token = heapq.heappop(self._held)
            exchange = self.open.get(token)
            if exchange is not None and exchange.due == due:
                exchange.due = None
                found.append(exchange)
        return found
