"""The sessions that a Mobile AAA server has authorized.

::

    AMR, MIR, AAR, DER ──authorized──▶ Open ──STR──────────────────────▶ Idle (history)
                                        │ ASR sent   ┌─STR or ASA 5002──▶
                                        ├──────────▶ Disconnected ──time─▶
                                        └──Session-Timeout, or Authorization-Lifetime and grace over ─▶

A session has up to two ends, as RFC 4004 has it: the foreign agent's (a MAG is one) and the home agent's (an
LMA is one), each with its own Session-Id. It is found by either, by its user, and by the host of an end.
Times are kept twice: monotonic to act on, wall clock to show.
"""

from collections import deque
from collections.abc import Iterator

from attrs import define

from appliance.protocols.timers import Deadlines, Now

# Session-State.
PENDING, OPEN, DISCONNECTED, IDLE = "Pending", "Open", "Disconnected", "Idle"

# Who asked for a session: an LMA or home agent, a MAG or NAS, or a mobility agent of Mobile IPv4.
ANCHOR, ACCESS, MIP4 = "anchor", "access", "mobile-ip"

#: Ended sessions that can still be looked at.
HISTORY = 1_000
#: How long a client may take from its ASA to its STR, seconds.
DISCONNECT_SECONDS = 30.0
#: Sessions that end in one tick because their client has started anew.
PER_TICK = 1_000


@define(slots=True, eq=False)
class End:
    """One end of a session: the Diameter client there."""

    realm: str
    host: str
    session: str
    """Its Session-Id."""
    state_id: int = 0
    """Origin-State-Id that it said last."""


@define(slots=True, eq=False, kw_only=True)
class Session:
    """One authorized session. Times with ``at`` in their name are wall clock, seconds since 1970; 0: none."""

    user: str
    """User-Name, as it was sent."""
    kind: str
    application: int
    state: str = PENDING
    foreign: End | None = None
    """FA or MAG."""
    home: End | None = None
    """HA or LMA."""
    started_at: float = 0.0
    handoff_at: float = 0.0
    ended_at: float = 0.0
    session_timeout: int = 0
    """Seconds for the whole session; 0: no limit."""
    session_end: float | None = None
    """When the Session-Timeout is over, monotonic; ``None``: never."""
    session_end_at: float = 0.0
    authorized_until: float | None = None
    """When Authorization-Lifetime and grace period are over, monotonic; ``None``: never."""
    authorized_until_at: float = 0.0
    """When the Authorization-Lifetime is over, without the grace period."""
    key_until_at: float = 0.0
    disconnect_by: float | None = None
    features: int = 0
    """MIP-Feature-Vector or MIP6-Feature-Vector."""
    multi: str = ""
    """Acct-Multi-Session-Id."""
    service: str = ""
    home_agent: bytes = b""
    prefixes: tuple[tuple[bytes, int], ...] = ()
    ipv4_address: bytes | None = None
    cause: int = 0
    """Termination-Cause of an ended session."""

    @property
    def due(self) -> float | None:
        """When something has to be done about it, monotonic."""
        times = [
            time for time in (self.session_end, self.authorized_until, self.disconnect_by) if time is not None
        ]
        return min(times) if times and self.state != IDLE else None

    def begin(self, timeout: int, now: Now) -> None:
        """It is open from now on, for ``timeout`` seconds (0: without a limit)."""
        self.state = OPEN
        self.started_at = now.wall
        self.session_timeout = timeout
        if timeout:
            self.session_end = now.mono + timeout
            self.session_end_at = now.wall + timeout

    def authorize(self, lifetime: int, grace: int, now: Now) -> None:
        """It is authorized for ``lifetime`` seconds from now (0: for ever), and ``grace`` more."""
        self.authorized_until = now.mono + lifetime + grace if lifetime else None
        self.authorized_until_at = now.wall + lifetime if lifetime else 0.0

    @property
    def ends(self) -> list[End]:
        """The ends that there are; the home agent's first, whom an ASR goes to."""
        return [end for end in (self.home, self.foreign) if end is not None]

    def belongs(self, session_id: str, host: str) -> bool:
        """Whether the end with this Session-Id is at a host (folded)."""
        return any(end.session == session_id and end.host == host for end in self.ends)

    @property
    def id(self) -> str:
        """The Session-Id that it is shown by."""
        ends = self.ends
        return ends[0].session if ends else ""


class Sessions:
    """All sessions of one server."""

    def __init__(self) -> None:
        self._by_id: dict[str, Session] = {}
        self._by_user: dict[str, list[Session]] = {}
        self._by_host: dict[str, dict[str, None]] = {}
        """Session-Ids of each host."""
        self._states: dict[str, int] = {}
        """Newest Origin-State-Id of each host that has sessions."""
        self._stale: dict[str, None] = {}
        """Hosts that have started anew, with sessions from before."""
        self._deadlines = Deadlines(_due)
        self._count = 0
        self.history: deque[Session] = deque(maxlen=HISTORY)

    def __len__(self) -> int:
        return self._count

    def find(self, session_id: str) -> Session | None:
        """The live session that has this Session-Id at one of its ends."""
        return self._by_id.get(session_id)

    def of_user(self, user: str) -> list[Session]:
        """The live sessions of a user (folded NAI)."""
        return list(self._by_user.get(user, ()))

    def host_count(self, host: str) -> int:
        """How many sessions a host has."""
        return len(self._by_host.get(host, ()))

    def of_host(self, host: str) -> list[str]:
        """Session-Ids that a host has."""
        return list(self._by_host.get(host, ()))

    def __iter__(self) -> Iterator[Session]:
        """The live sessions; those that come and go meanwhile may be missed."""
        for users in list(self._by_user):
            yield from self.of_user(users)

    def add(self, session: Session, user: str) -> None:
        """Take a session in; ``user`` is the folded NAI. Its ends are added by :meth:`attach`."""
        self._by_user.setdefault(user, []).append(session)
        self._count += 1

    def attach(self, session: Session, end: End, home: bool) -> None:
        """Give a session an end, instead of the one that it has there."""
        old = session.home if home else session.foreign
        if old is not None:
            self._forget(old)
        if home:
            session.home = end
        else:
            session.foreign = end
        self._by_id[end.session] = session
        self._by_host.setdefault(end.host, {})[end.session] = None

    def detach(self, session: Session, home: bool) -> None:
        """Take an end away; the other one stays."""
        old = session.home if home else session.foreign
        if old is None:
            return
        self._forget(old)
        if home:
            session.home = None
        else:
            session.foreign = None

    def _forget(self, end: End) -> None:
        self._by_id.pop(end.session, None)
        ids = self._by_host.get(end.host)
        if ids is not None:
            ids.pop(end.session, None)
            if not ids:
                del self._by_host[end.host]
                self._states.pop(end.host, None)

    def arm(self, session: Session) -> None:
        """Note when something has to be done about it; to be called when one of its times has changed."""
        due = session.due
        if due is not None:
            self._deadlines.set(session, due)

    def end(self, session: Session, user: str, cause: int, now: Now) -> None:
        """End a session; it goes into the history with both its ends."""
        of_user = self._by_user.get(user)
        if of_user is None or session not in of_user:
            return
        of_user.remove(session)
        if not of_user:
            del self._by_user[user]
        for end in session.ends:
            self._forget(end)
        session.state = IDLE
        session.ended_at = now.wall
        session.cause = cause
        self._count -= 1
        self.history.append(session)

    def heard(self, host: str, state_id: int) -> None:
        """A host says its Origin-State-Id: a higher one ends its older sessions (RFC 6733 section 8.16)."""
        if not state_id or host not in self._by_host:
            return
        if state_id > self._states.get(host, 0):
            self._states[host] = state_id
            self._stale[host] = None

    def stale(self) -> list[Session]:
        """Some of the sessions whose client has started anew since."""
        found: list[Session] = []
        while self._stale and len(found) < PER_TICK:
            host = next(iter(self._stale))
            newest = self._states.get(host, 0)
            rest = False
            for session_id in self.of_host(host):
                session = self._by_id.get(session_id)
                if session is None:
                    continue
                end = next((each for each in session.ends if each.session == session_id), None)
                if end is not None and 0 < end.state_id < newest:
                    if len(found) >= PER_TICK:
                        rest = True
                        break
                    found.append(session)
            if rest:
                break
            del self._stale[host]
        return found

    @property
    def deadline(self) -> float | None:
        """When :meth:`due` is to be asked next, monotonic; 0: now."""
        return 0.0 if self._stale else self._deadlines.next

    def due(self, mono: float) -> list[Session]:
        """Sessions whose time has come."""
        return self._deadlines.pop_due(mono, PER_TICK)


def _due(session: Session) -> float | None:
    return session.due
