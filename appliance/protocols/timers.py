"""Time as the protocol cores see it, and the deadlines that they keep.

Cores never read a clock. The driver reads both clocks once per wake-up and hands
them over as one :class:`Now`; intervals are measured on ``mono`` (never jumps),
timestamps on the wire are made from and compared with ``wall``.
"""

import heapq
from collections.abc import Callable
from typing import Any, NamedTuple

#: Entries of a heap of deadlines that are not worth looking for stale ones.
_ROOM = 1024


class Now(NamedTuple):
    """One reading of the two clocks.

    ``mono`` is seconds of a clock that never steps (deadlines, lifetimes); ``wall``
    is seconds since 1970 (PMIPv6 timestamps, times shown to operators).
    """

    mono: float
    wall: float


class Deadlines:
    """Named deadlines of one core, ordered by time; one reactor timer serves them all.

    A deadline is moved or removed by bumping the owner's own record of when it is due:
    entries of the heap that no longer match are skipped when they come up, so that
    a refresh costs one push and never a search. ``due(key)`` of the constructor tells
    when ``key`` is really due (``None``: not at all).
    """

    __slots__ = ("_due", "_heap", "_serial", "_live", "_room")

    def __init__(self, due: Callable[[Any], float | None]) -> None:
        self._due = due
        self._heap: list[tuple[float, int, Any]] = []
        self._serial = 0
        self._live: dict[Any, float] = {}
        self._room = _ROOM

    def set(self, key: Any, when: float) -> None:
        """Note that ``key`` is due at ``when`` (monotonic seconds).

        A later time than the one already waiting costs nothing now: the waiting entry
        comes up first and is put back then.
        """
        waiting = self._live.get(key)
        if waiting is not None and waiting <= when:
            return
        self._live[key] = when
        self._serial += 1
        heapq.heappush(self._heap, (when, self._serial, key))
        if len(self._heap) > self._room:
            self._compact()

    def _compact(self) -> None:
        """Drop what is stale: owners that come and go faster than their times would fill the heap."""
        live = self._live
        for key in [key for key in live if self._due(key) is None]:
            del live[key]
        self._heap = [entry for entry in self._heap if live.get(entry[2]) == entry[0]]
        heapq.heapify(self._heap)
        self._room = _ROOM + 2 * len(self._heap)

    @property
    def next(self) -> float | None:
        """When the earliest entry comes up (it may turn out to be stale), or ``None``."""
        return self._heap[0][0] if self._heap else None

    def pop_due(self, mono: float, limit: int = 10_000) -> list[Any]:
        """Take out keys whose time has come at ``mono``; at most ``limit`` entries are looked at."""
        found: list[Any] = []
        heap, live = self._heap, self._live
        while heap and heap[0][0] <= mono and limit > 0:
            limit -= 1
            when, _, key = heapq.heappop(heap)
            if live.get(key) != when:
                continue
            del live[key]
            really = self._due(key)
            if really is None:
                continue
            if really > mono:
                self.set(key, really)
            else:
                found.append(key)
        return found
