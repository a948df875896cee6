"""Registering many mobile nodes again without a burst: a few sessions have their turn at a time."""

from collections import OrderedDict
from collections.abc import Iterable

from appliance.protocols.pmipv6.mag_entry import ACTIVE, INIT, REGISTERING, RENEW, BindingUpdateListEntry
from appliance.protocols.pmipv6.mag_features import MagFeature
from appliance.protocols.pmipv6.mag_messages import NOT_CHANGED, STATE_UNKNOWN
from appliance.protocols.pmipv6.mag_sessions import MagSessions
from appliance.protocols.timers import Now

#: A thousand a second, in small portions.
AT_ONCE, PAUSE = 50, 0.05

#: What can be wanted of a session, the stronger one later: refresh its binding; register anew where the
#: anchor has lost it, forwarding meanwhile; end it; end it, and register the mobile node anew.
REFRESH, REGISTER, END, END_AND_REGISTER = range(4)


class Again(MagFeature):
    """The sessions of a gateway that have to be gone through."""

    def __init__(self, sessions: MagSessions) -> None:
        self._sessions = sessions
        #: By call id: what is wanted, and that the session must not have been registered after this time.
        self._queue: OrderedDict[int, tuple[int, float]] = OrderedDict()
        self._next = 0.0

    def add(self, entries: Iterable[int], what: int, before: float) -> int:
        """Have ``what`` done to the sessions of these call ids; returns how many there are.

        One that an update was sent for since ``before`` is left alone. What is wanted twice is done once.
        """
        queue, count = self._queue, 0
        for call_id in entries:
            older = queue.get(call_id, (what, before))
            queue[call_id] = max(what, older[0]), max(before, older[1])
            count += 1
        if count:
            self.schedule(self._next)
        return count

    def ended(self, entry: BindingUpdateListEntry) -> None:
        """What is gone needs nothing any more."""
        self._queue.pop(entry.call_id, None)

    @property
    def deadline(self) -> float | None:
        """When :meth:`tick` is wanted next."""
        return self._next if self._queue else None

    def tick(self, now: Now) -> None:
        """Do the next few."""
        if now.mono < self._next:
            return
        self._next = now.mono + PAUSE
        for _ in range(min(AT_ONCE, len(self._queue))):
            call_id, (what, before) = self._queue.popitem(last=False)
            entry = self._sessions.list.by_call_id.get(call_id)
            if entry is not None and entry.bound and entry.state in (ACTIVE, REGISTERING):
                self._do(entry, what, before, now)
            if not self._queue:
                break

    def _do(self, entry: BindingUpdateListEntry, what: int, before: float, now: Now) -> None:
        sessions = self._sessions
        if entry.sent_at > before:
            # Registered, or on the way to be, after the cause.
            return
        if what in (END, END_AND_REGISTER):
            sessions.end_session(entry, "other-reasons")
        if what == END:
            sessions.wait(entry, sessions.settings.retransmission_maximum / 1000, now)
        elif what == REFRESH:
            sessions.start(entry, RENEW, NOT_CHANGED, now)
        else:
            sessions.start(entry, INIT, STATE_UNKNOWN, now)
        sessions.arm(entry)
