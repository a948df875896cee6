"""Transient bindings at an anchor (RFC 6058): a mobile node that moves keeps both gateways for a moment.

::

    handover with the option ─▶ LATE: downlink to the former gateway, uplink from both
       update without it, time, former gateway de-registers │
       ┌────────────────────────────────────────────────────┘
       ▼
    FADING (if there is an activation delay): downlink to the new one, uplink from both ─time─▶ plain
"""

from collections.abc import Callable
from functools import partial

from attrs import evolve

from appliance.protocols.mobility import status as codes
from appliance.protocols.mobility.options import TransientBinding
from appliance.protocols.pmipv6.bce import BindingCacheEntry
from appliance.protocols.pmipv6.events import Install
from appliance.protocols.pmipv6.extras import extras_of
from appliance.protocols.pmipv6.features import Before, Feature
from appliance.protocols.pmipv6.lma_request import Request
from appliance.protocols.pmipv6.lma_sessions import Sessions
from appliance.protocols.pmipv6.settings import LmaSettings
from appliance.protocols.timers import Deadlines, Now

#: Seconds of one unit of the option's lifetime, and the most that it can say.
UNIT, MOST = 0.1, 255
LATE, FADING = "late", "fading"
_IGNORED = codes.PBU_ACCEPTED_TB_IGNORED_SETTINGSMISMATCH


class Transient:
    """The state of one session: its former gateway, and until when it has it (monotonic seconds)."""

    __slots__ = ("former", "phase", "until")

    def __init__(self, former: Install, until: float) -> None:
        self.former = former
        self.phase = LATE
        self.until = until

    def apply(self, serving: Install) -> Install:
        """How packets are forwarded now; ``serving``: how they would be by the serving gateway alone."""
        if self.phase == FADING:
            return evolve(serving, second=self.former)
        return evolve(
            self.former,
            prefixes=serving.prefixes,
            ipv4_address=serving.ipv4_address,
            rate_up=serving.rate_up,
            rate_down=serving.rate_down,
            traffic_class=serving.traffic_class,
            second=serving,
        )


class TransientBindings(Feature):
    """The feature; ``former`` is that of ``Features``: the former gateway by call id."""

    def __init__(self, settings: LmaSettings, sessions: Sessions, former: dict[int, bytes]) -> None:
        self._settings = settings
        self._sessions = sessions
        self._former = former
        #: ``over(entry, now)``: told when a session's former gateway has no part in it any more.
        self.over: Callable[[BindingCacheEntry, Now], None] | None = None
        # Not a method of this object: it would refer to itself for ever.
        self._deadlines = Deadlines(partial(_due, sessions))

    def reconfigure(self, settings: LmaSettings, now: Now) -> None:
        """Go on by other settings; what has begun ends as it was told to the gateway."""
        self._settings = settings

    def accepted(self, request: Request, entry: BindingCacheEntry, before: Before, now: Now) -> None:
        """Begin or end the transient state of a session, see RFC 6058 section 4.6."""
        state = None if entry.extras is None else entry.extras.transient
        option = request.other(TransientBinding) if self._settings.transient_binding else None
        if not request.lifetime:
            if state is not None and entry.deleting:
                self._forget(entry)
            elif state is not None:
                # One address family less; for the other everything is as before.
                self._sessions.install(entry)
            return
        if state is not None:
            if not before.moved(entry):
                # Section 4.6.1: with or without the option, this is the indication to switch.
                if state.phase == LATE:
                    self._switch(entry, state, now)
            else:
                self._forget(entry)
        elif option is not None and self._begin(option, request, entry, before, now):
            return
        if option is not None:
            request.answer_status = _IGNORED

    def _begin(
        self, option: TransientBinding, request: Request, entry: BindingCacheEntry, before: Before, now: Now
    ) -> bool:
        """Enter the state if the option may be followed."""
        former = before.forwarding
        if not option.latch or not option.lifetime or not before.moved(entry) or before.deleting:
            return False
        if former is None:
            return False
        # Section 4.6.1: less than the lifetime of the registration.
        longest = min(self._settings.transient_maximum // 100, 40 * entry.lifetime - 1, MOST)
        units = min(option.lifetime, longest)
        state = extras_of(entry).transient = Transient(former, now.mono + units * UNIT)
        self._former[entry.call_id] = before.who
        self._arm(entry, state)
        self._sessions.install(entry)
        request.answer_options.append(TransientBinding(1, units))
        return True

    def left(self, entry: BindingCacheEntry) -> None:
        """Section 4.6.2: the former gateway de-registers; an activation delay has no more use."""
        self._forget(entry)
        self._sessions.install(entry)

    def _switch(self, entry: BindingCacheEntry, state: Transient, now: Now) -> None:
        """The downlink goes to the new gateway from now on."""
        delay = self._settings.transient_activation_delay / 1000
        if not delay:
            self._end(entry, now)
            return
        state.phase, state.until = FADING, now.mono + delay
        self._arm(entry, state)
        self._sessions.install(entry)

    def _end(self, entry: BindingCacheEntry, now: Now) -> None:
        self._forget(entry)
        self._sessions.install(entry)
        if self.over is not None:
            self.over(entry, now)

    def _forget(self, entry: BindingCacheEntry) -> None:
        if entry.extras is not None:
            entry.extras.transient = None
        self._former.pop(entry.call_id, None)

    def ended(self, entry: BindingCacheEntry, now: Now) -> None:
        """The session is gone, and its former gateway with it."""
        self._forget(entry)

    def details(self, entry: BindingCacheEntry) -> list[tuple[str, str]]:
        """Which gateway is still there."""
        state = None if entry.extras is None else entry.extras.transient
        if state is None:
            return []
        way = "downlink and uplink" if state.phase == LATE else "uplink"
        return [("Transient Binding", f"{way} of the former gateway")]

    # ---- time

    def _arm(self, entry: BindingCacheEntry, state: Transient) -> None:
        self._deadlines.set(entry.call_id, state.until)
        self.schedule(state.until)

    @property
    def deadline(self) -> float | None:
        """When the first of them has to be switched or ended."""
        return self._deadlines.next

    def tick(self, now: Now) -> None:
        """Switch and end what is due."""
        for call_id in self._deadlines.pop_due(now.mono):
            entry = self._sessions.cache.calls.get(call_id)
            state = None if entry is None or entry.extras is None else entry.extras.transient
            if entry is None or state is None:
                continue
            if state.phase == LATE:
                self._switch(entry, state, now)
            else:
                self._end(entry, now)


def _due(sessions: Sessions, call_id: int) -> float | None:
    """When the transient state of a session changes next."""
    entry = sessions.cache.calls.get(call_id)
    state = None if entry is None or entry.extras is None else entry.extras.transient
    return None if state is None else float(state.until)
