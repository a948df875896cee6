"""Requests that wait for an answer: what is remembered of each, and when it has waited long enough.

The wheel has buckets of an eighth of a second; what is answered in time leaves its bucket again, so that
nothing of it stays in memory and a request costs no sorting.
"""

import heapq
from typing import Any

from attrs import define

from appliance.protocols.diameter.message.codec import Message

#: Buckets per second.
RATE = 8


@define(slots=True, eq=False)
class Pending:
    """One request on its way to a peer: a local user's, or one that is relayed."""

    number: int
    front: bytes
    """First 12 octets of the header; the flags say whether T is set."""
    tail: bytes
    """All behind the Hop-by-Hop Id."""
    code: int
    application: int
    realm: str
    """Folded Destination-Realm."""
    host: str
    """Folded Destination-Host; empty: any."""
    accounting: bool
    end_to_end: int
    due: float
    """When it has waited long enough, monotonic seconds."""
    token: int = -1
    """Of the local user; -1: it is relayed."""
    source: Any = None
    """``Inbound`` that is relayed."""
    prefer: tuple[tuple[str, int], ...] = ()
    avoid: frozenset[str] = frozenset()
    """Folded identities that it must not be sent to (any more)."""
    peer: Any = None
    """Where it is, or waits to be sent to; ``None``: it is parked until there is a peer."""
    hop: int = -1
    """Hop-by-Hop Id; -1: not sent."""
    sent: float = 0.0
    """When it was sent last, monotonic seconds."""
    error: Message | None = None
    """What a peer said that could not deliver it."""
    secure: bool = False
    """It may only go to a peer over TLS or DTLS."""
    redirects: int = 0
    forced: Any = None
    """Folded identity that a redirect agent has named."""
    bucket: int = -1

    @property
    def local(self) -> bool:
        """Whether a local user has sent it."""
        return self.source is None

    @property
    def kind(self) -> object:
        """Equal for requests that the same peers come into question for."""
        return (
            self.realm, self.host, self.application, self.accounting, self.secure, self.source is None,
            self.prefer, self.forced, self.avoid,
        )  # fmt: skip

    def repeat(self) -> None:
        """Set the T flag: it is sent again without an answer (RFC 6733 section 3)."""
        front = self.front
        self.front = front[:4] + bytes((front[4] | 0x10,)) + front[5:]

    def fresh(self) -> None:
        """Clear the T flag: an answer has come, though an error (RFC 6733 section 3)."""
        front = self.front
        self.front = front[:4] + bytes((front[4] & ~0x10,)) + front[5:]


class Wheel:
    """Things by the time when they have waited long enough: their ``due``, ``number`` and ``bucket``."""

    __slots__ = ("_buckets", "_order")

    def __init__(self) -> None:
        self._buckets: dict[int, dict[int, Any]] = {}
        self._order: list[int] = []

    def put(self, thing: Any) -> None:
        """Note ``thing.due``; it comes up an eighth of a second later at most."""
        number = thing.bucket = int(thing.due * RATE) + 1
        bucket = self._buckets.get(number)
        if bucket is None:
            self._buckets[number] = {thing.number: thing}
            heapq.heappush(self._order, number)
        else:
            bucket[thing.number] = thing

    def drop(self, thing: Any) -> None:
        """Forget what is over."""
        bucket = self._buckets.get(thing.bucket)
        if bucket is not None:
            bucket.pop(thing.number, None)

    @property
    def deadline(self) -> float | None:
        """When :meth:`pop_due` finds something, in monotonic seconds."""
        order, buckets = self._order, self._buckets
        while order and not buckets[order[0]]:
            del buckets[heapq.heappop(order)]
        return order[0] / RATE if order else None

    def pop_due(self, mono: float, limit: int) -> list[Any]:
        """Take out what is due, in order; at most ``limit``."""
        found: list[Any] = []
        order, buckets = self._order, self._buckets
        while order and order[0] / RATE <= mono:
            bucket = buckets[order[0]]
            for key in list(bucket):
                if len(found) >= limit:
                    return found
                found.append(bucket.pop(key))
            del buckets[heapq.heappop(order)]
        return found
