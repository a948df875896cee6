"""The accounting client of a service: sessions, their records, and what a missing server means for them.

::

              START            START answered, or kept
     Idle ───────────▶ PendingS ───────────────▶ Open ──timer, handoff──▶ PendingI ──answered, kept──▶ Open
      ▲  disconnect: DELIVER_AND_GRANT and nobody to send to,              │
      └───────────── no room (but GRANT_AND_LOSE), refused ◀───────────────┘
                 user ends: STOP, whatever the state; delivery keeps the order

Every record is put on the disk first and sent then, so "store" in the table of RFC 6733 section 8.2 is
"leave it where it is". The records of a session whose user has gone are the business of :mod:`.delivery`
(PendingL, PendingE and PendingB of the table). A user that is disconnected still gets a STOP for what has
been used, unless the server has refused the START.

No session has a timer of its own: interim records come due in buckets of a second.
"""

from collections.abc import Callable
from itertools import islice
from typing import Any

from attrs import define

from appliance.protocols.diameter.client.accounting_events import (
    DELIVER_AND_GRANT,
    GRANT_AND_LOSE,
    NAS_REBOOT,
    REALTIME,
    SERVICE_UNAVAILABLE,
    Finish,
    LeftBehind,
    Outcome,
    Reconfigure,
    Release,
    Store,
    StoredAgain,
)
from appliance.protocols.diameter.client.accounting_records import (
    NOTHING,
    Facts,
    RecordBuilder,
    closing,
    text_of,
)
from appliance.protocols.diameter.client.delivery import ACKNOWLEDGED, KEPT, REFUSED
from appliance.protocols.diameter.client.interims import Interims
from appliance.protocols.diameter.client.spool_format import EVENT, HOLDS, INTERIM, START, STOP, Entry, route
from appliance.protocols.diameter.settings import GroupSettings
from appliance.protocols.mobility import aaa
from appliance.protocols.mobility.aaa import Account, Grant, SessionEnds, Subject, Usage
from appliance.protocols.timers import Now

# States of a session (RFC 6733 section 8.2).
PENDING_S, OPEN, PENDING_I, IDLE = "PendingS", "Open", "PendingI", "Idle"

#: Interim records that one tick makes; the rest waits for the next.
MOST_INTERIMS = 64
#: Seconds over which the sessions are spread that get an INTERIM when the disk takes records again.
SPREAD = 10.0
#: Sub-sessions of one accounting session; each has as many record numbers.
SUB_SESSIONS, NUMBERS = 4_095, 1 << 20


@define(slots=True, eq=False)
class Line:
    """What the bindings of one mobile node share."""

    multi_session_id: str
    session_id: str = ""
    """Of all bindings, where they are sub-sessions of one session."""
    subs: int = 0
    """Sub-sessions so far."""
    bindings: int = 0
    """Open now."""


@define(slots=True, eq=False)
class Session:
    """One binding that is accounted."""

    line: Line
    session_id: str
    subject: Subject
    grant: Grant
    started: float
    """Monotonic seconds."""
    sub: int = 0
    """Accounting-Sub-Session-Id; 0: none."""
    number: int = 0
    """Next Accounting-Record-Number."""
    interval: int = 0
    """Seconds between interim records; 0: none."""
    due: float = 0.0
    """Next interim record, monotonic seconds."""
    bucket: int = -1
    realtime: int = 2
    paused: float = 0.0
    """Since when it is de-registered but kept, monotonic seconds; 0: it is not."""
    state: str = PENDING_S
    ending: bool = False
    """The user is being disconnected."""
    unwanted: bool = False
    """The server has refused its START: there is no STOP."""
    held: int = 0
    """Serial of the entry that its STOP would be made of, if the process died."""
    loose: bool = False
    """Its latest record was sent from memory: the disk does not know of it."""
    interim: int = 0
    """Serial of an interim record that has no answer yet."""


def valid_realm(text: str) -> bool:
    """Whether a text can be a realm: a domain name in ASCII, at most 255 octets."""
    return 0 < len(text) < 256 and all(c.isascii() and (c.isalnum() or c in "-._") for c in text)


def _realtime(said: int | None, otherwise: int) -> int:
    """Accounting-Realtime-Required as a server says it; what is no value of it counts as not said."""
    return said if said is not None and said in REALTIME.values() else otherwise


class AccountingClient:
    """Core of the accounting client.

    ``settings``: the AAA group; ``builder``: makes the AVPs; ``usage(call_id)``: what the tunnel engine has
    counted, also before a pause; ``random_bits(n)``: chance; ``end_to_end()``: a new End-to-End Id;
    ``label``: goes into the Session-Ids that are made here, so that they differ from those that the
    authorization client of the same node makes.
    """

    def __init__(
        self,
        settings: GroupSettings,
        builder: RecordBuilder,
        usage: Callable[[int], Usage],
        random_bits: Callable[[int], int],
        end_to_end: Callable[[], int],
        label: str = "acct",
    ) -> None:
        self.settings = settings
        self._builder = builder
        self._usage = usage
        self._random_bits = random_bits
        self._end_to_end = end_to_end
        self._label = "".join(c for c in label if c.isascii() and (c.isalnum() or c in "-._")) or "acct"
        self.sessions: dict[int, Session] = {}
        """By call id."""
        self._lines: dict[bytes, Line] = {}
        self._interims: Interims[Session] = Interims()
        self._low = random_bits(32)
        self._effects: list[Any] = []
        self.ended_by_policy = 0
        self.left_behind = 0
        self.kinds = [0] * 5
        """Records made, by Accounting-Record-Type."""
        self._receivers: dict[type, Callable[[Any, Now], None]] = {
            Account: self._account,
            Outcome: self._outcome,
            LeftBehind: self._left,
            Reconfigure: self._reconfigure,
            Finish: self._finish,
            StoredAgain: self._stored_again,
        }

    # ---- the shape of a core

    def receive(self, event: Any, now: Now) -> None:
        """Take an :class:`Account`, or an event of :mod:`.accounting_events`."""
        self._receivers[type(event)](event, now)

    def take(self) -> list[Any]:
        """Give the effects since the last call."""
        effects, self._effects = self._effects, []
        return effects

    @property
    def deadline(self) -> float | None:
        """When the next interim record is due, monotonic seconds."""
        return self._interims.deadline

    def tick(self, now: Now) -> None:
        """Make the interim records that are due."""
        for session in self._interims.pop_due(now.mono, MOST_INTERIMS):
            if session.interval:
                # Not from now: the times of a session keep their distance, whatever the delay.
                session.due = max(session.due + session.interval, now.mono)
                self._interims.put(session)
            self._interim(session, now)

    # ---- what the mobility core says

    def _account(self, event: Account, now: Now) -> None:
        subject = event.subject
        if event.what == aaa.DENIED:
            if self.settings.event_on_denial:
                self._denied(subject, event.cause, now)
            return
        session = self.sessions.get(subject.call_id)
        if event.what == aaa.STOP:
            if session is not None:
                session.subject = subject
                self._stop(session, event.cause, now)
            return
        grant = event.grant or NOTHING
        if session is None:
            # Also one that is older than the accounting of its service.
            session = self._start(subject, grant, now)
        else:
            session.subject, session.grant = subject, grant
            # A handover may have begun with the former gateway's de-registration.
            session.paused = 0.0
            settings = self.settings
            handoff = event.what == aaa.HANDOFF and settings.interim_on_handoff
            if handoff or (event.what == aaa.REFRESH and settings.interim_on_refresh):
                self._interim(session, now)
        session.paused = now.mono if event.what == aaa.PAUSE else 0.0

    def _start(self, subject: Subject, grant: Grant, now: Now) -> Session:
        line = self._line(subject, grant)
        session_id = line.session_id or grant.session_id or self._new_id(now)
        # RFC 6733 section 9.6: it may be the Session-Id that came first, and does not change then.
        line.multi_session_id = line.multi_session_id or session_id
        session = Session(line, session_id, subject, grant, now.mono)
        line.bindings += 1
        if self.settings.sub_sessions:
            line.session_id = session_id
            line.subs += 1
            session.sub = line.subs
            # Unique in the session whichever way a server tells records apart (RFC 6733 section 9.8.3).
            session.number = (line.subs - 1) * NUMBERS
        session.realtime = _realtime(grant.realtime, REALTIME[self.settings.realtime])
        self.sessions[subject.call_id] = session
        interval = grant.interim_interval
        self._set_interval(session, self.settings.interim_interval if interval is None else interval, now)
        self._record(session, START, now)
        return session

    def _line(self, subject: Subject, grant: Grant) -> Line:
        line = self._lines.get(subject.mn_id)
        if line is None:
            line = self._lines[subject.mn_id] = Line(grant.multi_session_id)
        if line.subs >= SUB_SESSIONS:
            # Its record numbers are used up: the next bindings are of another session of the same group.
            line.session_id, line.subs = "", 0
        return line

    def _new_id(self, now: Now) -> str:
        """A Session-Id (RFC 6733 section 8.8)."""
        self._low = (self._low + 1) & 0xFFFFFFFF
        return f"{self._builder.identity};{int(now.wall) & 0xFFFFFFFF};{self._low};{self._label}"

    def _interim(self, session: Session, now: Now) -> None:
        if not session.ending and not session.paused:
            session.state = PENDING_I if session.state == OPEN else session.state
            self._record(session, INTERIM, now)

    def _stop(self, session: Session, cause: int, now: Now) -> None:
        if not session.unwanted:
            self._record(session, STOP, now, cause)
        self._forget(session)

    def _forget(self, session: Session) -> None:
        self._interims.drop(session)
        del self.sessions[session.subject.call_id]
        line = session.line
        line.bindings -= 1
        if not line.bindings:
            self._lines.pop(session.subject.mn_id, None)

    def _denied(self, subject: Subject, status: int, now: Now) -> None:
        facts = Facts(
            kind=EVENT,
            number=0,
            session_id=self._new_id(now),
            # Not the user's: a stranger can name any realm.
            realm=self.settings.accounting.realm or self._builder.realm,
            wall=now.wall,
            cause=aaa.ADMINISTRATIVE,
            text=f"registration refused with status {status}",
        )
        self._store(facts, subject, NOTHING)

    def test_record(self, user: bytes, local: bytes, now: Now) -> tuple[bytes, int, str]:
        """An EVENT record for a test: its AVPs, application and Destination-Realm."""
        subject = Subject(call_id=0, mn_id=user, local=local)
        facts = Facts(
            kind=EVENT, number=0, session_id=self._new_id(now), realm=self._realm(subject), wall=now.wall
        )
        return self._builder.build(facts, subject, NOTHING), self._builder.application, facts.realm

    # ---- records

    def _record(self, session: Session, kind: int, now: Now, cause: int = 0) -> None:
        subject = session.subject
        facts = Facts(
            kind=kind,
            number=session.number,
            session_id=session.session_id,
            realm=self._realm(subject),
            wall=now.wall,
            multi_session_id=session.line.multi_session_id,
            sub_session=session.sub,
            cause=cause,
        )
        if kind != START:
            facts.usage = self._usage(subject.call_id)
            facts.seconds = int(now.mono - session.started)
        if session.paused and kind == STOP:
            # It was over when the pause began.
            facts.wall -= now.mono - session.paused
            facts.seconds = int(session.paused - session.started)
        session.number += 1
        entry = self._store(facts, subject, session.grant)
        entry.owner = session
        entry.call_id = subject.call_id
        if kind != STOP:
            entry.flags = HOLDS

    def _store(self, facts: Facts, subject: Subject, grant: Grant) -> Entry:
        host = grant.host if not self.settings.accounting.servers else ""
        where = route(self._builder.application, facts.realm, host)
        body = self._builder.build(facts, subject, grant)
        entry = Entry(facts.kind, facts.wall, self._end_to_end(), where, body)
        self.kinds[facts.kind] += 1
        self._effects.append(Store(entry))
        return entry

    def _realm(self, subject: Subject) -> str:
        """Destination-Realm: as configured, else that of the user (RFC 6733 section 6.6), else our own."""
        if self.settings.accounting.realm:
            return self.settings.accounting.realm
        _, at, realm = text_of(subject.mn_id).rpartition("@")
        return realm if at and valid_realm(realm) else self._builder.realm

    def number(self, entry: Entry, serial: int) -> None:
        """Give a record its serial, in the order of storing; of INTERIM records the latest is enough."""
        before, entry.serial = entry.serial, serial
        session = entry.owner
        if session is None or entry.kind != INTERIM:
            return
        if before:
            # It has been numbered once, and then the disk did not take it.
            session.interim = serial if session.interim == before else session.interim
        else:
            entry.replaces, session.interim = session.interim, serial

    def stored(self, entry: Entry) -> int:
        """A record is on the disk; returns the serial of the one that has held its session so far, or 0."""
        session = entry.owner
        if session is None:
            return 0
        session.loose = False
        before: int = session.held
        session.held = entry.serial if entry.flags & HOLDS else 0
        return before

    # ---- what becomes of them

    def _outcome(self, event: Outcome, now: Now) -> None:
        entry = event.entry
        session = entry.owner
        if session is None:
            # It was read from the disk; a call id alone may be of another process.
            session = self.sessions.get(entry.call_id)
            if session is None or session.session_id.encode() != entry.key:
                return
        done = event.what in (ACKNOWLEDGED, REFUSED)
        if done and entry.kind == INTERIM and session.interim == entry.serial:
            session.interim = 0
        if done and entry.volatile:
            session.loose = True
            if entry.kind == STOP and session.held:
                # It was never on the disk, so what it could have been made of was kept.
                self._effects.append(Release(session.held))
        if event.what == ACKNOWLEDGED and entry.kind != STOP:
            self._policies(session, event, now)
        if entry.kind in (START, INTERIM) and not session.ending:
            self._state(session, entry.kind, event.what)

    def _state(self, session: Session, kind: int, what: str) -> None:
        """The rows of PendingS and PendingI (RFC 6733 section 8.2)."""
        lenient = session.realtime == GRANT_AND_LOSE
        if what == ACKNOWLEDGED or lenient:
            fine = True
        elif what == KEPT:
            fine = session.realtime != DELIVER_AND_GRANT
        else:
            fine = False
        if fine:
            if kind == START or session.state == PENDING_I:
                session.state = OPEN
            return
        session.state, session.ending = IDLE, True
        if what == REFUSED and kind == START:
            session.unwanted = True
            if session.held:
                self._effects.append(Release(session.held))
        call_id = session.subject.call_id
        if self.sessions.get(call_id) is session:
            self.ended_by_policy += 1
            self._interims.drop(session)
            self._effects.append(SessionEnds(call_id=call_id, cause=SERVICE_UNAVAILABLE))

    def _policies(self, session: Session, event: Outcome, now: Now) -> None:
        """The latest value that a server gives is used (RFC 6733 section 9.1)."""
        session.realtime = _realtime(event.realtime, session.realtime)
        interval = event.interim_interval
        alive = self.sessions.get(session.subject.call_id) is session
        if interval is not None and interval != session.interval and alive and not session.ending:
            self._set_interval(session, interval, now)

    def _set_interval(self, session: Session, interval: int, now: Now) -> None:
        self._interims.drop(session)
        session.interval = interval
        if interval:
            # Sessions that begin together shall not report together (RFC 6733 section 9.8.2).
            session.due = now.mono + interval * (0.9 + 0.2 * self._random_bits(16) / 65536)
            self._interims.put(session)

    # ---- the process and the operator

    def _left(self, event: LeftBehind, _now: Now) -> None:
        """Sessions that died with an earlier process: its tunnels are gone, and so are they."""
        for entry in event.entries:
            body, ended = closing(entry.body, NAS_REBOOT, event.ended)
            stop = Entry(STOP, ended, self._end_to_end(), entry.route, body, releases=entry.serial)
            self.kinds[STOP] += 1
            self.left_behind += 1
            self._effects.append(Store(stop))

    def _reconfigure(self, event: Reconfigure, now: Now) -> None:
        before, self.settings = self.settings, event.settings
        builder = self._builder
        self._builder = RecordBuilder(
            builder.identity, builder.realm, event.settings.accounting.application, builder.state_id
        )
        if before.interim_interval != event.settings.interim_interval:
            for session in self.sessions.values():
                # What a server has said stays.
                if session.interval == before.interim_interval and session.grant.interim_interval is None:
                    self._set_interval(session, event.settings.interim_interval, now)

    def _stored_again(self, _event: StoredAgain, now: Now) -> None:
        """What the disk has of a session is what its STOP would be made of, if the process died."""
        for session in self.sessions.values():
            if session.loose:
                session.due = now.mono + SPREAD * self._random_bits(16) / 65536
                self._interims.put(session)

    def _finish(self, event: Finish, now: Now) -> None:
        for session in list(islice(self.sessions.values(), event.most)):
            self._stop(session, event.cause, now)
