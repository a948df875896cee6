"""When interim records come due: buckets of a second, which cost nothing for a session that has none."""

import heapq
from typing import Generic, Protocol, TypeVar


class Timed(Protocol):
    """What is kept: it knows when it is due, and in which bucket it is."""

    due: float
    bucket: int


T = TypeVar("T", bound=Timed)


class Interims(Generic[T]):
    """Sessions by the second in which their next interim record is due."""

    __slots__ = ("_buckets", "_order")

    def __init__(self) -> None:
        self._buckets: dict[int, dict[T, None]] = {}
        self._order: list[int] = []

    def put(self, session: T) -> None:
        """Note ``session.due`` (monotonic seconds)."""
        self.drop(session)
        number = int(session.due)
        session.bucket = number
        bucket = self._buckets.get(number)
        if bucket is None:
            self._buckets[number] = {session: None}
            heapq.heappush(self._order, number)
        else:
            bucket[session] = None

    def drop(self, session: T) -> None:
        """Forget a session; nothing happens if it is not here."""
        if session.bucket >= 0:
            self._buckets[session.bucket].pop(session, None)
            session.bucket = -1

    @property
    def deadline(self) -> float | None:
        """When the next one is due: the end of its second."""
        while self._order and not self._buckets[self._order[0]]:
            del self._buckets[heapq.heappop(self._order)]
        return self._order[0] + 1.0 if self._order else None

    def pop_due(self, mono: float, limit: int) -> list[T]:
        """Take out at most ``limit`` that are due at ``mono``."""
        found: list[T] = []
        while len(found) < limit:
            deadline = self.deadline
            if deadline is None or deadline > mono:
                break
            bucket = self._buckets[self._order[0]]
            while bucket and len(found) < limit:
                session = next(iter(bucket))
                self.drop(session)
                found.append(session)
        return found
