"""Congestion control of an anchor: when there is too much to do, and what new mobile nodes get then.

::

    Strain (every second) ─▶ thresholds ─▶ congested by lag, memory, sessions: no new mobile node is let in
    Shed (from the reader) ─▶ congested by the message queue: as many are let in as there is time for

A mobile node that has a session is never touched by any of this.
"""

from typing import Any

from appliance.counters import LMA, CounterSet
from appliance.protocols.pmipv6.congestion_settings import Congestion
from appliance.protocols.pmipv6.events import Notify, Shed, Strain
from appliance.protocols.pmipv6.settings import LmaSettings
from appliance.protocols.timers import Now

#: What congestion can come from, as it is shown.
QUEUE, LAG, MEMORY, SESSIONS = "message queue", "loop lag", "memory", "sessions"
#: Seconds without anything given up after which the message queue is no congestion any more.
CALM = 3.0

_DISCARDED = LMA.index("binding-updates-discard-reasons/congestion-discarded")
_INITIAL = LMA.index("initial-binding-update-requests/received")
_OTHER_RECEIVED = LMA.index("other-mobility-messages/received")
_OTHER_IGNORED = LMA.index("other-mobility-messages/ignored")
_TEXTS = {
    "drop": "updates of new mobile nodes are dropped",
    "reject": "new mobile nodes are refused",
    "redirect": "new mobile nodes are redirected",
}


class Overload:
    """Whether an anchor is congested, by what, and since when."""

    __slots__ = ("_shed_at", "_values", "dropped", "entered", "figures", "refused", "refusing", "settings",
                 "since")  # fmt: skip

    def __init__(self, settings: LmaSettings, counters: CounterSet) -> None:
        self._values = counters.values
        self.settings: Congestion = settings.congestion
        #: Since when (wall clock), by what it is congested by.
        self.since: dict[str, float] = {}
        #: The last figures, by the same names.
        self.figures = {QUEUE: 0, LAG: 0, MEMORY: 0, SESSIONS: 0}
        #: No new mobile node is let in.
        self.refusing = False
        #: How often each congestion began; messages given up or refused in all.
        self.entered = {QUEUE: 0, LAG: 0, MEMORY: 0, SESSIONS: 0}
        self.dropped = self.refused = 0
        self._shed_at = 0.0

    @property
    def acts(self) -> bool:
        """Whether anything is done about congestion."""
        return self.settings.congestion_control and self.settings.congestion_action != "none"

    def reconfigure(self, settings: LmaSettings, now: Now, out: list[Any]) -> None:
        """Go on by other thresholds; what they say is known at the next figures."""
        self.settings = settings.congestion
        for reason in list(self.since):
            if not self.acts or not self.thresholds()[reason]:
                self._leave(reason, now, out)
        self._conclude()

    def thresholds(self) -> dict[str, int]:
        """The threshold of each figure; 0: it is not looked at."""
        wanted = self.settings
        return {
            QUEUE: wanted.queue_utilization,
            LAG: wanted.loop_lag,
            MEMORY: wanted.memory_utilization,
            SESSIONS: wanted.session_utilization,
        }

    def load(self, load: Strain, sessions: int, most: int, now: Now, out: list[Any]) -> None:
        """Take figures; ``most`` sessions may be there."""
        share = 100 * sessions // most if most else 100
        self.figures = {QUEUE: load.queue, LAG: load.lag, MEMORY: load.memory, SESSIONS: share}
        if not self.acts:
            return
        stays = 100 - self.settings.congestion_tolerance
        for reason, threshold in self.thresholds().items():
            value = self.figures[reason]
            if reason == QUEUE:
                # A full buffer alone is none: it is sorted, and only what had to be given up counts.
                if reason in self.since and now.mono - self._shed_at > CALM:
                    self._leave(reason, now, out)
            elif threshold and value >= threshold:
                self._enter(reason, f"{value} is not below the threshold of {threshold}", now, out)
            elif reason in self.since and 100 * value < threshold * stays:
                self._leave(reason, now, out)
        self._conclude()

    def shed(self, shed: Shed, now: Now, out: list[Any]) -> None:
        """Messages were given up by the reader of a socket."""
        values = self._values
        values[_DISCARDED] += shed.updates
        values[_INITIAL] += shed.updates
        values[_OTHER_RECEIVED] += shed.others
        values[_OTHER_IGNORED] += shed.others
        self.dropped += shed.updates + shed.others
        self.full(now, out)

    def full(self, now: Now, out: list[Any]) -> None:
        """There was no time for a message."""
        self._shed_at = now.mono
        if QUEUE not in self.since:
            self._enter(QUEUE, "more messages come in than can be dealt with", now, out)

    def _conclude(self) -> None:
        self.refusing = any(reason != QUEUE for reason in self.since)

    def _enter(self, reason: str, why: str, now: Now, out: list[Any]) -> None:
        if reason in self.since:
            return
        self.since[reason] = now.wall
        self.entered[reason] += 1
        what = _TEXTS.get(self.settings.congestion_action, "nothing is done")
        out.append(Notify("warning", f"congested ({reason}): {why}; {what}"))

    def _leave(self, reason: str, now: Now, out: list[Any]) -> None:
        seconds = max(0.0, now.wall - self.since.pop(reason))
        text = f"congestion is over ({reason}) after {seconds:.0f} s"
        total = f"{self.dropped} messages dropped, {self.refused} refused since the start"
        out.append(Notify("info", f"{text}; {total}"))
