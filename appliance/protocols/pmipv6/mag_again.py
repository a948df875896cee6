"""Registering many mobile nodes again without a burst: a few sessions have their turn at a time."""

from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import NamedTuple

from appliance.protocols.pmipv6.mag_entry import ACTIVE, INIT, REGISTERING, RENEW, BindingUpdateListEntry
from appliance.protocols.pmipv6.mag_features import MagFeature
from appliance.protocols.pmipv6.mag_messages import NOT_CHANGED, STATE_UNKNOWN
from appliance.protocols.pmipv6.mag_sessions import MagSessions
from appliance.protocols.timers import Now

#: A thousand a second, in small portions; and so many sessions are looked at for that in one of them.
AT_ONCE, PAUSE, LOOKED_AT = 50, 0.05, 5_000

#: What can be wanted of a session, the stronger one later: refresh its binding; register anew where the
#: anchor has lost it, forwarding meanwhile; end it; end it, and register the mobile node anew.
REFRESH, REGISTER, END, END_AND_REGISTER = range(4)


class Round(NamedTuple):
    """All sessions at one anchor."""

    anchor: bytes
    what: int
    before: float
    #: Filled when the round begins.
    left: deque[int]


class Again(MagFeature):
    """The sessions of a gateway that have to be gone through.

    What is wanted of a session is not done if an update was sent for it since ``before``: it is registered,
    or on the way to be.
    """

    def __init__(self, sessions: MagSessions) -> None:
        self._sessions = sessions
        #: Single sessions, by call id: what is wanted and ``before``.
        self._queue: OrderedDict[int, tuple[int, float]] = OrderedDict()
        self._rounds: deque[Round] = deque()
        self._next = 0.0

    def add(self, entries: Iterable[BindingUpdateListEntry], what: int, before: float) -> None:
        """Have ``what`` done to these sessions; what is wanted twice is done once."""
        queue = self._queue
        for entry in entries:
            older = queue.get(entry.call_id, (what, before))
            queue[entry.call_id] = max(what, older[0]), max(before, older[1])
        self.schedule(self._next)

    def everywhere(self, anchor: bytes, what: int, before: float) -> None:
        """Have ``what`` done to all sessions at an anchor; a round still to begin serves all who ask."""
        for number, each in enumerate(self._rounds):
            if number and (each.anchor, each.what) == (anchor, what):
                self._rounds[number] = each._replace(before=max(before, each.before))
                return
        self._rounds.append(Round(anchor, what, before, deque()))
        if len(self._rounds) == 1:
            self._begin()
        self.schedule(self._next)

    def _begin(self) -> None:
        self._rounds[0].left.extend(self._sessions.list.by_call_id)

    def ended(self, entry: BindingUpdateListEntry) -> None:
        """What is gone needs nothing any more."""
        self._queue.pop(entry.call_id, None)

    @property
    def deadline(self) -> float | None:
        """When :meth:`tick` is wanted next."""
        return self._next if self._queue or self._rounds else None

    def tick(self, now: Now) -> None:
        """Do the next few."""
        if now.mono < self._next:
            return
        self._next = now.mono + PAUSE
        done = 0
        while self._queue and done < AT_ONCE:
            call_id, (what, before) = self._queue.popitem(last=False)
            done += self._do(call_id, what, before, b"", now)
        for _ in range(LOOKED_AT):
            if not self._rounds or done >= AT_ONCE:
                break
            current = self._rounds[0]
            if current.left:
                done += self._do(current.left.popleft(), current.what, current.before, current.anchor, now)
                continue
            self._rounds.popleft()
            if self._rounds:
                self._begin()

    def _do(self, call_id: int, what: int, before: float, anchor: bytes, now: Now) -> bool:
        """One session, if it is still to be done; returns whether something was."""
        sessions = self._sessions
        entry = sessions.list.by_call_id.get(call_id)
        if entry is None or not entry.bound or entry.state not in (ACTIVE, REGISTERING):
            return False
        if entry.sent_at > before or (anchor and entry.lma != anchor):
            return False
        if what in (END, END_AND_REGISTER):
            sessions.end_session(entry, "other-reasons")
        if what == END:
            sessions.wait(entry, sessions.settings.retransmission_maximum / 1000, now)
        elif what == REFRESH:
            sessions.start(entry, RENEW, NOT_CHANGED, now)
        else:
            sessions.start(entry, INIT, STATE_UNKNOWN, now)
        sessions.arm(entry)
        return True
