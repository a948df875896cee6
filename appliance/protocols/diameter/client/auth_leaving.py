"""Telling servers that sessions have ended (RFC 6733 section 8.4): a few STRs at a time, however many end.

::

    session ends ─▶ queue of its realm ─▶ STR, at most WINDOW without an answer ─▶ STA: forgotten
                       ▲ nobody to send to: later, or when a peer comes │
                       └────────────────────────────────────────────────┘

A session that its server must have forgotten by itself (Session-Timeout, or Authorization-Lifetime with its
grace, is over) is not worth a second try.
"""

from collections import deque

from appliance.protocols.diameter.client.auth_answers import BUSY, result_of, verdict
from appliance.protocols.diameter.client.auth_events import AuthStatistics
from appliance.protocols.diameter.client.auth_requests import SESSION_TERMINATION, Origin, termination
from appliance.protocols.diameter.client.auth_sessions import (
    BIND_STR,
    DISCON,
    TRY_AGAIN,
    TRY_AGAIN_ALLOW_SERVICE,
    AuthSession,
    AuthSessions,
)
from appliance.protocols.diameter.events import TIMEOUT, Answered, Submit
from appliance.protocols.diameter.message.codec import Malformed
from appliance.protocols.diameter.message.types import BadValue
from appliance.protocols.timers import Now

#: STRs without an answer at one time, and sessions that wait for theirs.
WINDOW, LIMIT = 64, 100_000
#: Seconds after which a realm that nothing could be sent to is tried again, and how often that is done.
RETRY, MOST_TRIES = 30.0, 1_000


class Leaving:
    """The sessions of one client that are over and whose servers have still to hear of it."""

    def __init__(self, sessions: AuthSessions, statistics: AuthStatistics) -> None:
        self._sessions = sessions
        self._statistics = statistics
        self._queues: dict[str, deque[AuthSession]] = {}
        self._blocked: dict[str, float] = {}
        self._flying: dict[int, AuthSession] = {}
        self._waiting = 0

    def __len__(self) -> int:
        return self._waiting + len(self._flying)

    def put(self, session: AuthSession, cause: int) -> None:
        """A session is over; ``cause`` is the Termination-Cause."""
        session.cause, session.state = cause, DISCON
        queue = self._queues.setdefault(session.realm, deque())
        queue.append(session)
        self._waiting += 1
        if self._waiting > LIMIT:
            self._lose(queue.popleft())
            self._waiting -= 1

    def _lose(self, session: AuthSession) -> None:
        self._statistics.forgotten += 1
        self._sessions.forget(session)

    def usable(self) -> None:
        """A peer has come: try everywhere."""
        self._blocked.clear()

    @property
    def deadline(self) -> float | None:
        """When :meth:`next` may have something again that it had not before."""
        if not self._blocked or not self._waiting or len(self._flying) >= WINDOW:
            return None
        return min(self._blocked.values())

    def next(self, number: int, origin: Origin, timeout: float, now: Now) -> Submit | None:
        """An STR to be sent under ``number``, or ``None``: not now."""
        if not self._waiting or len(self._flying) >= WINDOW or not origin.host:
            return None
        for realm, queue in list(self._queues.items()):
            if self._blocked.get(realm, 0.0) > now.mono:
                continue
            self._blocked.pop(realm, None)
            while queue:
                session = queue.popleft()
                self._waiting -= 1
                if session.tries and min(session.expires, session.ends) <= now.mono:
                    self._lose(session)
                    continue
                return self._send(session, number, origin, timeout)
            del self._queues[realm]
        return None

    def _send(self, session: AuthSession, number: int, origin: Origin, timeout: float) -> Submit:
        self._flying[number] = session
        session.tries += 1
        host = "" if session.binding & BIND_STR else session.host
        avps = termination(session, origin, host)
        return Submit(SESSION_TERMINATION, session.application, avps, session.realm, host, timeout)

    def got(self, number: int, answered: Answered, retries: int, now: Now) -> bool:
        """The end of an STR; False: the number is of something else. ``retries`` after time-outs."""
        session = self._flying.pop(number, None)
        if session is None:
            return False
        if answered.message is not None and not _is_busy(answered):
            # Whatever else it says, the server has no session now.
            self._sessions.forget(session)
        else:
            self._again(session, answered, retries, now)
        return True

    def _again(self, session: AuthSession, answered: Answered, retries: int, now: Now) -> None:
        timed_out = answered.message is None and answered.reason == TIMEOUT
        if session.host and session.failover in (TRY_AGAIN, TRY_AGAIN_ALLOW_SERVICE):
            # RFC 6733 section 8.18: to any server of the realm.
            session.host = ""
        elif session.tries > (retries if timed_out else MOST_TRIES):
            self._lose(session)
            return
        elif not timed_out:
            self._blocked[session.realm] = now.mono + RETRY
        self._queues.setdefault(session.realm, deque()).appendleft(session)
        self._waiting += 1


def _is_busy(answered: Answered) -> bool:
    assert answered.message is not None
    try:
        return verdict(answered.message, *result_of(answered.message)) == BUSY
    except (Malformed, BadValue):
        return False
