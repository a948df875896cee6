"""The authorization sessions of a client (RFC 6733 section 8.1), and their names.

A session is known by the call id of the mobility session that it authorizes, and by its Session-Id. There may
be a million of them: plain slots, shared strings, one wheel for all their times.
"""

from math import inf

from appliance.protocols.mobility.aaa import Grant
from appliance.protocols.wheel import Wheel

# States of RFC 6733 section 8.1; a session that is Idle is not kept.
PENDING, OPEN, DISCON = "Pending", "Open", "Discon"

# Bits of Session-Binding (RFC 6733 section 8.17): set, the message does not name the server.
BIND_RE_AUTH, BIND_STR, BIND_ACCOUNTING = 1, 2, 4
# Session-Server-Failover (section 8.18).
REFUSE_SERVICE, TRY_AGAIN, ALLOW_SERVICE, TRY_AGAIN_ALLOW_SERVICE = 0, 1, 2, 3

#: Seconds from 1900 to 1970, for the NTP time that a Session-Id begins with.
_EPOCH = 2_208_988_800


class SessionIds:
    """Makes Session-Ids that are unique for ever (RFC 6733 section 8.8); one for all clients of a process.

    ``wall`` is when the process started, in seconds since 1970.
    """

    __slots__ = ("_next",)

    def __init__(self, wall: float) -> None:
        self._next = (int(wall) + _EPOCH & 0xFFFFFFFF) << 32

    def make(self, identity: str) -> str:
        """A new one; ``identity`` is our DiameterIdentity."""
        self._next += 1
        return f"{identity};{self._next >> 32};{self._next & 0xFFFFFFFF}"


class AuthSession:
    """One session with an AAA server. Times are on the monotonic clock, in seconds, ``inf``: never."""

    __slots__ = (
        "aborted",
        "again",
        "application",
        "asking",
        "binding",
        "bucket",
        "call_id",
        "cause",
        "classes",
        "due",
        "ends",
        "expires",
        "failover",
        "grant",
        "host",
        "realm",
        "server_realm",
        "session_id",
        "started",
        "state",
        "stateful",
        "tries",
        "uncertain",
        "user",
    )

    def __init__(self, call_id: int, user: bytes, realm: str, application: int) -> None:
        self.call_id = call_id
        #: Empty until a server is asked.
        self.session_id = ""
        self.user = user
        #: Destination-Realm of all its requests.
        self.realm = realm
        #: The server that has authorized it; empty: none yet.
        self.host = ""
        #: Its realm.
        self.server_realm = ""
        self.application = application
        self.state = PENDING
        #: The server keeps the session and wants to hear of its end (Auth-Session-State).
        self.stateful = True
        self.binding = 0
        #: Session-Server-Failover; ``None``: not said.
        self.failover: int | None = None
        self.classes: tuple[bytes, ...] = ()
        self.grant: Grant | None = None
        #: When it was authorized first, wall clock.
        self.started = 0.0
        #: When it is to be authorized again, when its authorization is over (with the grace period), and when
        #: the session is (Session-Timeout).
        self.again = self.expires = self.ends = inf
        #: The earliest of them, for the wheel.
        self.due = inf
        self.bucket = -1
        #: A server wants it to end that has not answered yet.
        self.aborted = False
        #: A server may have it of which there was no answer.
        self.uncertain = False
        #: Token of the question about it that is open; 0: none is.
        self.asking = 0
        #: Termination-Cause of the STR to come.
        self.cause = 0
        #: STRs sent so far.
        self.tries = 0


class AuthSessions:
    """The sessions of one client, with their times."""

    __slots__ = ("calls", "ids", "_wheel")

    def __init__(self) -> None:
        self.calls: dict[int, AuthSession] = {}
        """Those that are wanted, by call id."""
        self.ids: dict[str, AuthSession] = {}
        """By Session-Id: those that are ending too."""
        self._wheel: Wheel[AuthSession] = Wheel()

    def add(self, session: AuthSession) -> None:
        """Keep a new session."""
        self.calls[session.call_id] = session

    def name(self, session: AuthSession, session_id: str) -> None:
        """Give a session its Session-Id."""
        session.session_id = session_id
        self.ids[session_id] = session

    def unwanted(self, session: AuthSession) -> None:
        """Nobody wants a session any more; its server may still have to be told."""
        if self.calls.get(session.call_id) is session:
            del self.calls[session.call_id]
        self._wheel.drop(session)

    def forget(self, session: AuthSession) -> None:
        """A session is Idle."""
        self.unwanted(session)
        self.ids.pop(session.session_id, None)

    def clear(self) -> list[AuthSession]:
        """Nobody wants any of them any more; returns them."""
        found = list(self.calls.values())
        self.calls, self._wheel = {}, Wheel()
        for session in found:
            session.bucket = -1
        return found

    def set(self, session: AuthSession) -> None:
        """Its times have changed; those of one that nobody wants any more do not matter."""
        session.due = min(session.again, session.expires, session.ends)
        if session.due < inf and self.calls.get(session.call_id) is session:
            self._wheel.put(session)
        else:
            self._wheel.drop(session)

    @property
    def deadline(self) -> float | None:
        """When :meth:`pop_due` is wanted next, in monotonic seconds."""
        return self._wheel.deadline

    def pop_due(self, mono: float, limit: int) -> list[AuthSession]:
        """Sessions for which one of their times has come; at most ``limit`` are looked at."""
        return self._wheel.pop_due(mono, limit)
