"""The authorization client of a service (RFC 6733 section 8.1, client; RFC 5779, RFC 5778), without any I/O.

::

            Authorize                  success                           Account stop, ASR, times over
     Idle ─────────────▶ Pending ────────────────────▶ Open ────────────────────────────▶ Discon ──STA──▶ Idle
      ▲  AAR or MIR        │ refused                    │ ▲  Reauthorize ─▶ Authorize      STR
      └────────────────────┴──────── refused ───────────┘ └─ success

When no server can be asked, or none answers, the group's policy counts: ``deny``, ``local`` (a session
without a server, which is asked about again from time to time), or ``queue`` (the question waits for one).

The mobility core knows what a session is like; here is kept only what a server has said of it. So also a
session that is to be authorized again is asked for there (:class:`Reauthorize`).
"""

from collections import deque
from math import inf
from sys import intern
from typing import Any

from attrs import evolve

from appliance.protocols.diameter.client.auth_answers import FAILED, Read
from appliance.protocols.diameter.client.auth_asking import Asking, Exchange
from appliance.protocols.diameter.client.auth_events import (
    Ask,
    AuthStatistics,
    Got,
    Reconfigure,
    Reply,
    Requested,
    Usable,
)
from appliance.protocols.diameter.client.auth_leaving import Leaving
from appliance.protocols.diameter.client.auth_requests import APPLICATIONS, MIP6A, Origin, realm_of
from appliance.protocols.diameter.client.auth_sessions import (
    ALLOW_SERVICE,
    OPEN,
    PENDING,
    REFUSE_SERVICE,
    TRY_AGAIN,
    TRY_AGAIN_ALLOW_SERVICE,
    AuthSession,
    AuthSessions,
    SessionIds,
)
from appliance.protocols.diameter.message.codec import ORIGIN_REALM, SESSION_ID, Malformed, Message
from appliance.protocols.diameter.message.types import BadValue, fold
from appliance.protocols.diameter.settings import GroupSettings
from appliance.protocols.mobility import aaa
from appliance.protocols.mobility.aaa import (
    Abandon,
    Account,
    Authorize,
    Authorized,
    Grant,
    Reauthorize,
    SessionEnds,
)
from appliance.protocols.pmipv6.events import Notify
from appliance.protocols.timers import Now

ABORT_SESSION, RE_AUTH = 274, 258
SUCCESS, UNKNOWN_SESSION_ID, UNABLE_TO_COMPLY = 2001, 5002, 5012

#: Seconds until a session is asked about again whose server did not answer, or that has none.
AGAIN, LOCAL_AGAIN = 30.0, 60.0
#: No session is asked about more often than this, whatever lifetime its server gives, seconds.
LEAST = 1.0
#: Things done in one tick; the rest comes in the next one.
PER_TICK = 200
#: Characters of a server's Error-Message that are logged.
LONGEST_TEXT = 200
#: Seconds between two log lines of one kind.
QUIET = 10.0


class AuthorizationClient:
    """Core of the authorization client.

    ``settings``: the AAA group, ``None``: there is none; ``origin``: who we are; ``ids``: makes Session-Ids.
    """

    def __init__(self, settings: GroupSettings | None, origin: Origin, ids: SessionIds) -> None:
        self.settings = settings or GroupSettings(name="")
        self.origin = origin
        self.statistics = AuthStatistics()
        self.sessions = AuthSessions()
        self.leaving = Leaving(self.sessions, self.statistics)
        self._asking = Asking(self.sessions, ids)
        self._asking.configure(self.settings, origin)
        self._effects: list[Any] = []
        self._number = 0
        """Of the last :class:`Ask`."""
        self._dismissed: deque[AuthSession] = deque()
        """Sessions of an authority that is not asked any more."""
        self._silent: dict[str, float] = {}
        self._receivers: dict[type, Any] = {
            Authorize: AuthorizationClient._authorize,
            Abandon: AuthorizationClient._abandon,
            Account: AuthorizationClient._account,
            Got: AuthorizationClient._got,
            Requested: AuthorizationClient._requested,
            Usable: AuthorizationClient._usable,
            Reconfigure: AuthorizationClient._reconfigure,
        }

    # ---- the shape of a core

    def receive(self, event: Any, now: Now) -> None:
        """Take an event of :mod:`.mobility.aaa` or :mod:`.auth_events`; never raises for what servers say."""
        self._receivers[type(event)](self, event, now)
        self._pump(now)

    def tick(self, now: Now) -> None:
        """Do what has become due."""
        for session in self.sessions.pop_due(now.mono, PER_TICK):
            self._time_over(session, now)
        for exchange in self._asking.pop_due(now.mono, PER_TICK):
            self._begin(exchange, now)
        for _ in range(min(PER_TICK, len(self._dismissed))):
            self._part(self._dismissed.popleft(), aaa.ADMINISTRATIVE)
        self._pump(now)

    @property
    def deadline(self) -> float | None:
        """When :meth:`tick` is wanted next, in monotonic seconds."""
        if self._dismissed:
            return 0.0
        leaving = self.leaving.deadline if self.origin.host else None
        times = (self.sessions.deadline, self._asking.deadline, leaving)
        return min((each for each in times if each is not None), default=None)

    def take(self) -> list[Any]:
        """Give the effects since the last call."""
        effects, self._effects = self._effects, []
        return effects

    @property
    def busy(self) -> int:
        """How many sessions have ended of which a server has still to be told."""
        return len(self.leaving) + len(self._dismissed)

    # ---- questions

    def _authorize(self, question: Authorize, now: Now) -> None:
        subject = question.subject
        session = self.sessions.calls.get(subject.call_id)
        if session is None:
            side = self.settings.authentication
            realm = side.realm or realm_of(subject.mn_id) or self.origin.realm
            application = MIP6A if question.proof is not None else APPLICATIONS[side.application]
            session = AuthSession(subject.call_id, subject.mn_id, realm, application)
            session.started = now.wall
            self.sessions.add(session)
        exchange = Exchange(question, session, now.mono + question.patience)
        session.asking = question.token
        self._asking.open[question.token] = exchange
        if session.application == MIP6A and question.proof is None:
            # RFC 5778 section 4.2: only another binding update of the mobile node can authenticate it again.
            self._no_answer(exchange, now)
        else:
            self._begin(exchange, now)

    def _begin(self, exchange: Exchange, now: Now) -> None:
        self._number += 1
        if not self._asking.begin(exchange, self._number, self._effects, now):
            self._undelivered(exchange, now)

    # ---- answers

    def _got(self, event: Got, now: Now) -> None:
        retries = self.settings.authentication.max_retries
        if self.leaving.got(event.number, event.answered, retries, now):
            return
        self._number += 1
        ended = self._asking.got(event.number, event.answered, self._number, self._effects, now)
        if ended is None:
            return
        if ended.found is None:
            self._undelivered(ended.exchange, now)
        elif ended.found.verdict == FAILED:
            self._useless(ended.exchange, ended.found, now)
        elif ended.found.verdict == aaa.ACCEPT:
            self._accepted(ended.exchange, ended.found, now)
        else:
            self._refused(ended.exchange, ended.found.verdict)

    def _useless(self, exchange: Exchange, found: Read, now: Now) -> None:
        """An answer that says nothing about the user, or cannot be made use of (RFC 6733 section 8.1)."""
        self.statistics.useless += 1
        what = found.text[:LONGEST_TEXT] or f"result {found.result}"
        self._say("useless", f"answer of AAA server {found.host or '(unnamed)'} is of no use: {what}", now)
        session = exchange.session
        opened = session.state == OPEN
        if found.granted:
            session.host, session.state = found.host, OPEN
            session.stateful = True
        if found.granted or not opened:
            self._close(exchange, aaa.NO_ANSWER)
            self._leave(session, aaa.BAD_ANSWER)
            if opened:
                self._effects.append(SessionEnds(call_id=session.call_id, cause=aaa.BAD_ANSWER))
        else:
            self._no_answer(exchange, now)

    def _accepted(self, exchange: Exchange, found: Read, now: Now) -> None:
        session, grant, terms = exchange.session, found.grant, found.terms
        again = session.state == OPEN and bool(session.host)
        session.state, session.host, session.uncertain = OPEN, intern(terms.host), False
        session.server_realm = intern(found.realm)
        session.stateful, session.binding, session.failover = terms.stateful, terms.binding, terms.failover
        if grant.classes or not again:
            # RFC 6733 section 8.20: those of a later answer take the place of the first ones.
            session.classes = grant.classes
        grant.classes = session.classes
        session.grant = grant
        self._set_times(session, grant, terms.grace, now)
        if session.aborted:
            # The server has aborted it before it began.
            self._close(exchange, aaa.REJECT)
            self._leave(session, aaa.ADMINISTRATIVE)
            return
        self.statistics.accepted += 1
        self._close(exchange, aaa.ACCEPT, grant)

    def _set_times(self, session: AuthSession, grant: Grant, grace: int, now: Now) -> None:
        """When it is to be authorized again, and when it is over (RFC 6733 sections 8.9, 8.10, 8.13)."""
        mono, lifetime = now.mono, grant.lifetime
        if grant.session_timeout is not None:
            session.ends = mono + grant.session_timeout
        elif session.ends < inf:
            # What the first answer has said still holds.
            grant.session_timeout = max(1, int(session.ends - mono))
        if lifetime is None:
            session.again = session.expires = inf
        else:
            # In time for an answer before it is over.
            early = min(lifetime / 10, float(self.settings.authentication.request_timeout))
            session.again = mono + max(LEAST, lifetime - early)
            session.expires = max(session.again + AGAIN if not lifetime else 0.0, mono + lifetime + grace)
        self.sessions.set(session)

    def _refused(self, exchange: Exchange, verdict: str) -> None:
        """A failed answer makes the session Idle, in the server too: no STR (RFC 6733 section 8.1)."""
        self.statistics.refused += 1
        session = exchange.session
        session.host = ""
        self._close(exchange, verdict)
        if self.sessions.calls.get(session.call_id) is session and session.state == OPEN:
            # The mobility core ends it, if it still waits for this answer.
            self._effects.append(SessionEnds(call_id=session.call_id, cause=aaa.ADMINISTRATIVE))
        self.sessions.forget(session)

    def _close(self, exchange: Exchange, verdict: str, grant: Grant | None = None) -> None:
        """Answer the mobility core; a session that nobody wants any more is parted with."""
        session, token = exchange.session, exchange.question.token
        self._asking.open.pop(token, None)
        session.asking = 0
        self._effects.append(Authorized(token=token, verdict=verdict, grant=grant or Grant()))
        if self.sessions.calls.get(session.call_id) is not session:
            self._part(session, session.cause)

    # ---- no answer

    def _undelivered(self, exchange: Exchange, now: Now) -> None:
        """No server can be asked, or none answers: what the server of the session says about that, or we."""
        session = exchange.session
        if session.host:
            failover = session.failover
            if failover in (TRY_AGAIN, TRY_AGAIN_ALLOW_SERVICE):
                self._number += 1
                if self._asking.widen(exchange, self._number, self._effects, now):
                    return
            if failover in (ALLOW_SERVICE, TRY_AGAIN_ALLOW_SERVICE):
                self._allow(exchange, now)
                return
            if failover == REFUSE_SERVICE:
                self._close(exchange, aaa.NO_ANSWER)
                self._effects.append(SessionEnds(call_id=session.call_id, cause=aaa.AUTH_EXPIRED))
                return
        policy = self.settings.failure_policy
        if policy == "local":
            self._allow(exchange, now)
        elif policy != "queue" or not self._asking.hold(exchange, self.settings.queue_time, now):
            self._no_answer(exchange, now)

    def _allow(self, exchange: Exchange, now: Now) -> None:
        """The session may begin, or go on, without a server's word; it is asked for again later."""
        session = exchange.session
        remaining = max(1, int(session.ends - now.mono)) if session.ends < inf else None
        granted = session.grant or Grant(session_id=session.session_id)
        session.grant = evolve(granted, local=True, lifetime=None, session_timeout=remaining)
        session.state = OPEN
        session.again, session.expires = now.mono + LOCAL_AGAIN, inf
        self.sessions.set(session)
        self.statistics.local += 1
        self._say("local", "no AAA server answers, the local profile decides", now)
        self._close(exchange, aaa.ACCEPT, session.grant)

    def _no_answer(self, exchange: Exchange, now: Now) -> None:
        session = exchange.session
        self.statistics.denied += 1
        self._close(exchange, aaa.NO_ANSWER)
        if session.state == PENDING:
            self._leave(session, aaa.SERVICE_NOT_PROVIDED)
        elif self.sessions.calls.get(session.call_id) is session:
            # It may go on until its authorization is over (RFC 6733 section 8.9).
            session.again = now.mono + AGAIN
            self.sessions.set(session)

    def _usable(self, event: Usable, now: Now) -> None:
        self.leaving.usable()
        self._asking.hurry(now)

    # ---- ends

    def _abandon(self, event: Abandon, now: Now) -> None:
        exchange = self._asking.open.get(event.token)
        if event.call_id:
            session = self.sessions.calls.get(event.call_id)
            if session is not None:
                self._leave(session, aaa.SERVICE_NOT_PROVIDED)
        if exchange is not None and exchange.due is not None:
            exchange.due = None
            self._no_answer(exchange, now)

    def _account(self, event: Account, now: Now) -> None:
        if event.what == aaa.STOP:
            session = self.sessions.calls.get(event.subject.call_id)
            if session is not None:
                self._leave(session, event.cause)

    def _leave(self, session: AuthSession, cause: int) -> None:
        """The mobility core has no session any more."""
        session.cause = cause
        self.sessions.unwanted(session)
        if not session.asking:
            self._part(session, cause)

    def _part(self, session: AuthSession, cause: int) -> None:
        """Tell the server that has a session, if one has, or may have one (RFC 6733 section 8.4)."""
        if session.asking:
            return
        if session.uncertain or (session.state == OPEN and session.host and session.stateful):
            self.leaving.put(session, cause or aaa.ADMINISTRATIVE)
        else:
            self.sessions.forget(session)

    def _pump(self, now: Now) -> None:
        if not len(self.leaving):
            return
        timeout = float(self.settings.authentication.request_timeout)
        while (submit := self.leaving.next(self._number + 1, self.origin, timeout, now)) is not None:
            self._number += 1
            self._effects.append(Ask(self._number, submit))

    def _time_over(self, session: AuthSession, now: Now) -> None:
        """One of the times of a session has come."""
        mono = now.mono
        if min(session.ends, session.expires) <= mono:
            cause = aaa.SESSION_TIMEOUT if session.ends <= mono else aaa.AUTH_EXPIRED
            self.statistics.ended += 1
            # The mobility core says stop now; if it knows of no session, there is none to keep.
            self._effects.append(SessionEnds(call_id=session.call_id, cause=cause))
            session.again, session.ends, session.expires = inf, mono + AGAIN, inf
        elif session.again <= mono:
            session.again = mono + AGAIN
            if not session.asking:
                self._effects.append(Reauthorize(session.call_id))
        self.sessions.set(session)

    # ---- what servers want

    def _requested(self, event: Requested, now: Now) -> None:
        """An ASR or RAR (RFC 6733 sections 8.3 and 8.5)."""
        message = event.message
        result = self._obey(message, now)
        self._effects.append(Reply(event.key, message.answer(result, self.origin.host, self.origin.realm)))

    def _obey(self, message: Message, now: Now) -> int:
        try:
            session = self.sessions.ids.get(message.first(SESSION_ID) or "")
            realm = message.first(ORIGIN_REALM) or ""
        except (Malformed, BadValue):
            return UNABLE_TO_COMPLY
        if session is None:
            return UNKNOWN_SESSION_ID
        if fold(realm) not in (fold(session.realm), fold(session.server_realm)):
            self._say("foreign", f"{realm} may not end or change a session of realm {session.realm}", now)
            return UNABLE_TO_COMPLY
        wanted = self.sessions.calls.get(session.call_id) is session
        if message.code == ABORT_SESSION:
            if wanted and session.state == OPEN:
                self.statistics.ended += 1
                self._effects.append(SessionEnds(call_id=session.call_id, cause=aaa.ADMINISTRATIVE))
            elif wanted:
                session.aborted = True
            return SUCCESS
        if not wanted or session.state != OPEN:
            return UNABLE_TO_COMPLY
        if not session.asking:
            session.again = now.mono + AGAIN
            self.sessions.set(session)
            self._effects.append(Reauthorize(session.call_id))
        return SUCCESS

    # ---- settings

    def _reconfigure(self, event: Reconfigure, now: Now) -> None:
        old = self.settings
        self.settings, self.origin = event.settings or GroupSettings(name=""), event.origin
        self._asking.configure(self.settings, self.origin)
        if old.authority != self.settings.authority:
            # The mobility core asks anew, about every session and everything that waits.
            for session in self.sessions.calls.values():
                session.cause = aaa.ADMINISTRATIVE
            self._dismissed.extend(self.sessions.clear())
            for exchange in list(self._asking.open.values()):
                if exchange.due is not None:
                    exchange.due = None
                    self._no_answer(exchange, now)
        elif event.origin.host and event.origin != Origin():
            self._usable(Usable(), now)

    def _say(self, kind: str, text: str, now: Now) -> None:
        """A warning for the log, not more often than every ten seconds for one kind."""
        if self._silent.get(kind, 0.0) <= now.mono:
            self._silent[kind] = now.mono + QUIET
            self._effects.append(Notify("warning", text))
