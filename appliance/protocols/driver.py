"""The dull part round every core: read, core, perform effects, re-arm one timer.

::

    socket / engine / operator ──event──▶ CoreDriver.feed ──▶ core.receive(event, now)
                                               │                    │ take()
                       one callLater ◀─deadline┤◀───effects─────────┘
                                               └─▶ perform[type(effect)](effect)
"""

from collections.abc import Callable
from typing import Any, Protocol

from appliance.protocols.timers import Now

#: Until the next try of a tick that ended in an exception.
RETRY_SECONDS = 1.0


class Core(Protocol):
    """What every protocol core offers (see ARCHITECTURE.md, one shape for every core)."""

    def receive(self, event: Any, now: Now) -> None:
        """Take one event in."""

    def tick(self, now: Now) -> None:
        """Do what has become due."""

    @property
    def deadline(self) -> float | None:
        """When ``tick`` is wanted next, in monotonic seconds."""

    def take(self) -> list[Any]:
        """Give the effects since the last call."""


class CoreDriver:
    """Runs one core on the reactor.

    ``clock`` gives both clocks; ``perform`` maps an effect's class to what carries it out;
    ``record`` (if any) is told of every event, and of every tick as ``None``.
    """

    def __init__(
        self,
        reactor: Any,
        clock: Callable[[], Now],
        core: Core,
        perform: dict[type, Callable[[Any], object]],
        record: Callable[[Any, Now], None] | None = None,
    ) -> None:
        self._reactor = reactor
        self._clock = clock
        self._core = core
        self._perform = perform
        self._record = record
        self._timer: Any = None
        self._armed: float | None = None
        self._stopped = False
        self._settling = False

    def feed(self, event: Any) -> None:
        """Give the core one event, carry out what it wants, and re-arm the timer."""
        now = self._clock()
        if self._record is not None:
            self._record(event, now)
        self._core.receive(event, now)
        self._settle()

    def join(self, event: Any) -> None:
        """As :meth:`feed`; but if it comes out of an effect, what it causes follows behind the other effects.

        For the many small events that come back from one large one: they share what follows.
        """
        if not self._settling:
            self.feed(event)
            return
        now = self._clock()
        if self._record is not None:
            self._record(event, now)
        self._core.receive(event, now)

    def _settle(self) -> None:
        perform = self._perform
        before, self._settling = self._settling, True
        try:
            while effects := self._core.take():
                for effect in effects:
                    perform[type(effect)](effect)
        finally:
            self._settling = before
            # Whatever an effect ran into, the other sessions still need their timer.
            self._arm()

    def _arm(self) -> None:
        deadline = self._core.deadline
        if deadline is None or (self._armed is not None and self._armed <= deadline):
            # An earlier timer finds nothing due and re-arms: cheaper than moving it each time.
            return
        if self._timer is not None:
            self._timer.cancel()
        if not self._stopped:
            self._armed = deadline
            self._timer = self._reactor.callLater(max(0.0, deadline - self._clock().mono), self._fire)

    def _fire(self) -> None:
        self._timer = self._armed = None
        now = self._clock()
        if self._record is not None:
            self._record(None, now)
        try:
            self._core.tick(now)
        except Exception:
            # The reactor logs it. Later than now, or the same mistake would be made without a pause.
            self._armed = self._clock().mono + RETRY_SECONDS
            self._timer = self._reactor.callLater(RETRY_SECONDS, self._fire)
            raise
        self._settle()

    def stop(self) -> None:
        """Disarm the timer; the core is not called again."""
        self._stopped = True
        # Who performs the effects refers to this driver: a service that goes must not stay in memory, with
        # all its sessions, until some full garbage collection.
        self._perform = {}
        if self._timer is not None:
            self._timer.cancel()
            self._timer = self._armed = None
