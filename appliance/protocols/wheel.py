"""When sessions come due: buckets of an eighth of a second, one set of sessions each.

A binding's lifetime is moved at every refresh, almost always to a later time. So a session
stays in the bucket where it was put first and is looked at again when that bucket comes up;
only an earlier time moves it at once. This costs some 40 octets a session and nothing per
refresh, where an entry of a heap costs some 250 octets.
"""

import heapq
from typing import Generic, Protocol, TypeVar

#: Buckets per second.
RATE = 8


class Dated(Protocol):
    """What can be put on a wheel."""

    call_id: int
    due: float
    """When something has to be done about it, in monotonic seconds."""
    bucket: int
    """Kept by the wheel; -1: it is on none."""


T = TypeVar("T", bound=Dated)


class Wheel(Generic[T]):
    """Sessions by the time when something has to be done about them (their ``due`` field)."""

    __slots__ = ("_buckets", "_latest", "_order", "_recent")

    def __init__(self) -> None:
        self._buckets: dict[int, set[T]] = {}
        self._order: list[int] = []
        self._latest: dict[int, float] = {}
        self._recent = -1

    def put(self, entry: T) -> None:
        """Note ``entry.due`` (monotonic seconds); costs next to nothing when it only became later."""
        number = int(entry.due * RATE)
        if 0 <= entry.bucket < number:
            return
        if entry.bucket > number:
            self._buckets[entry.bucket].discard(entry)
        if number == self._recent:
            # One number object for all that come due together: 32 octets less for each.
            number = self._recent
        entry.bucket = self._recent = number
        bucket = self._buckets.get(number)
        if bucket is None:
            self._buckets[number] = {entry}
            self._latest[number] = entry.due
            heapq.heappush(self._order, number)
            return
        bucket.add(entry)
        if entry.due > self._latest[number]:
            self._latest[number] = entry.due

    def drop(self, entry: T) -> None:
        """Forget a session that is gone."""
        if entry.bucket >= 0:
            self._buckets[entry.bucket].discard(entry)
            entry.bucket = -1

    @property
    def deadline(self) -> float | None:
        """When :meth:`pop_due` should be called: all of the first bucket is due then."""
        return self._latest[self._order[0]] if self._order else None

    def pop_due(self, mono: float, limit: int) -> list[T]:
        """Take out the sessions that are due at ``mono``, earliest first; at most ``limit`` are looked at."""
        found: list[T] = []
        while self._order and self._order[0] / RATE <= mono and limit > 0:
            number = self._order[0]
            bucket = self._buckets[number]
            waiting: list[T] = []
            while bucket and limit > 0:
                limit -= 1
                entry = bucket.pop()
                entry.bucket = -1
                if entry.due <= mono:
                    found.append(entry)
                else:
                    waiting.append(entry)
            if not bucket:
                heapq.heappop(self._order)
                del self._buckets[number], self._latest[number]
            for entry in waiting:
                self.put(entry)
            if self._order and self._order[0] == number:
                break
        # Sets have no order of their own; a replayed record must give the same effects again.
        found.sort(key=lambda entry: (entry.due, entry.call_id))
        return found
