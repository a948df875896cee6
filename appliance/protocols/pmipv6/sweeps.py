"""Ends of many sessions by one message, a slice at a time; see :mod:`revocation`."""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from appliance.protocols.timers import Now

#: Sessions that a sweep looks at in one tick, and how many of them it ends: some milliseconds.
LOOKED_AT, ENDED_AT = 4000, 200


class Sweep:
    """Ends many sessions, a slice at a time: those that fit and that nothing newer has come about.

    ``entries`` is asked for all candidates when it begins. ``key`` says what it is about, if there may be
    several about the same thing.
    """

    __slots__ = ("_at", "_entries", "_fits", "_list", "end", "key", "wall")

    def __init__(
        self,
        entries: Callable[[], Iterable[Any]],
        fits: Callable[[Any], bool],
        wall: float,
        end: Callable[[Any, Now], None],
        key: Any = None,
    ) -> None:
        self._list = entries
        self._entries: list[Any] | None = None
        self._at = 0
        self._fits = fits
        self.key = key
        #: Sessions that were updated after this, in seconds since 1970, stay.
        self.wall = wall
        self.end = end

    def covers(self, entry: Any) -> bool:
        """Whether it will end this session."""
        return entry.updated <= self.wall and self._fits(entry)

    @property
    def begun(self) -> bool:
        """Whether some sessions have been looked at."""
        return self._entries is not None

    def step(self, alive: Callable[[Any], bool], now: Now) -> bool:
        """Do a slice; whether there is more to do."""
        entries, ended = self._entries, 0
        if entries is None:
            entries = self._entries = list(self._list())
        stop = min(len(entries), self._at + LOOKED_AT)
        while self._at < stop and ended < ENDED_AT:
            entry = entries[self._at]
            self._at += 1
            if self.covers(entry) and alive(entry):
                self.end(entry, now)
                ended += 1
        return self._at < len(entries)


class Sweeps:
    """The sweeps of one service, one after the other."""

    __slots__ = ("_alive", "_waiting")

    def __init__(self, alive: Callable[[Any], bool]) -> None:
        self._alive = alive
        self._waiting: deque[Sweep] = deque()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, sweep: Sweep) -> None:
        """Have one done, behind the others; it is part of one about the same that has not begun."""
        for other in self._waiting:
            if sweep.key is not None and other.key == sweep.key and not other.begun:
                other.wall = sweep.wall
                return
        self._waiting.append(sweep)

    def clear(self) -> None:
        """Do none of them any more."""
        self._waiting.clear()

    def covers(self, entry: Any) -> bool:
        """Whether one of them will end this session."""
        return any(sweep.covers(entry) for sweep in self._waiting)

    def tick(self, now: Now) -> None:
        """Do a slice of the first."""
        if self._waiting and not self._waiting[0].step(self._alive, now):
            self._waiting.popleft()
