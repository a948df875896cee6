"""What strangers may do at a listening port: how many at a time, how often, and how loud it gets.

Pure memory and arithmetic; ``now`` is passed in (monotonic seconds). Everything a stranger can make
grow is a table of bounded size that forgets its oldest entry.

A source is an IPv4 address or an IPv6 /64: whoever has one IPv6 address usually has all of these.
"""

import ipaddress
from collections import OrderedDict
from collections.abc import Iterator
from typing import Generic, TypeVar

from attrs import define, frozen

TABLE_LIMIT = 4096
"""Most entries of each table."""
TELL_INTERVAL = 60.0
"""A source is named in the log once; how often it came again is told after so many seconds."""

_V = TypeVar("_V")


def source_of(host: str) -> str:
    """The source that an address (as text) belongs to; a text that is no address stands for itself."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, 64), strict=False))


class Table(Generic[_V]):
    """A dictionary that forgets the entry which was not used for longest."""

    def __init__(self) -> None:
        self._entries: OrderedDict[str, _V] = OrderedDict()

    def get(self, key: str) -> _V | None:
        """The value of a key, or ``None``."""
        return self._entries.get(key)

    def put(self, key: str, value: _V) -> None:
        """Set the value of a key, which is the newest entry then."""
        self._entries[key] = value
        self._entries.move_to_end(key)
        if len(self._entries) > TABLE_LIMIT:
            self._entries.popitem(last=False)

    def drop(self, key: str) -> None:
        """Forget a key, if it is known."""
        self._entries.pop(key, None)

    def items(self) -> list[tuple[str, _V]]:
        """All entries, oldest first."""
        return list(self._entries.items())

    def __len__(self) -> int:
        return len(self._entries)


@frozen
class _Bucket:
    tokens: float
    filled: float

    def after(self, now: float, rate: float, burst: int) -> "_Bucket":
        """The same, filled up until ``now``."""
        return _Bucket(min(float(burst), self.tokens + rate * (now - self.filled)), now)

    def less(self) -> "_Bucket":
        """The same with one token taken out, if there is one."""
        return _Bucket(max(0.0, self.tokens - 1), self.filled)


@define
class _Told:
    """A source that has been named in the log."""

    since: float
    more: int = 0


@frozen
class Repeated:
    """What :meth:`Strangers.tick` has to be written into the log: a source came ``count`` times more."""

    source: str
    count: int


@frozen
class Limits:
    """How much strangers may have of one port."""

    places: int
    """Connections that are not trusted yet at a time, of all sources."""
    places_each: int
    """The same of one source."""
    burst: int
    """Connections of one source at once,"""
    rate: float
    """and so many a second afterwards."""
    burst_all: int
    rate_all: float
    """The same for all sources together."""
    lacking: str
    """What a connection has not done as long as it counts, for the log: ``have not logged in yet``."""


class Strangers:
    """The book about connections that are not trusted yet."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._open: dict[str, int] = {}
        self._buckets: Table[_Bucket] = Table()
        self._all = _Bucket(float(limits.burst_all), 0.0)
        self._told: Table[_Told] = Table()

    # ---- connections

    @property
    def waiting(self) -> int:
        """Connections that are not trusted yet."""
        return sum(self._open.values())

    def rival(self, source: str) -> str:
        """The source that has to give up a place when ``source`` comes; empty: none has to, or none would.

        A few strangers cannot keep everybody else out: when all places are taken, the one who has
        most of them loses one to whoever has at least two less.
        """
        if self.waiting < self._limits.places:
            return ""
        busiest, count = max(self._open.items(), key=lambda item: item[1])
        return busiest if count > self._open.get(source, 0) + 1 else ""

    def connect(self, source: str, now: float) -> str:
        """Take a place for a new connection, that of a :meth:`rival` if need be.

        Returns an empty text, or why there is none.
        """
        limits = self._limits
        if self._open.get(source, 0) >= limits.places_each:
            return f"{limits.places_each} connections of it {limits.lacking}"
        if self.waiting >= limits.places and not self.rival(source):
            return f"{limits.places} connections {limits.lacking}"
        bucket = self._buckets.get(source) or _Bucket(float(limits.burst), now)
        bucket = bucket.after(now, limits.rate, limits.burst)
        self._buckets.put(source, bucket.less())
        if bucket.tokens < 1:
            return f"more than {limits.rate:.0f} connections a second"
        self._all = self._all.after(now, limits.rate_all, limits.burst_all)
        if self._all.tokens < 1:
            return f"more than {limits.rate_all:.0f} connections a second from everywhere"
        self._all = self._all.less()
        self._open[source] = self._open.get(source, 0) + 1
        return ""

    def settled(self, source: str) -> None:
        """A connection of this source is trusted now, or gone: free its place."""
        left = self._open.get(source, 0) - 1
        if left > 0:
            self._open[source] = left
        else:
            self._open.pop(source, None)

    # ---- log

    def first(self, source: str, now: float) -> bool:
        """Whether an event of this source is to be logged now; if not it is counted for :meth:`tick`."""
        told = self._told.get(source)
        if told is None:
            self._told.put(source, _Told(now))
            return True
        told.more += 1
        return False

    def tick(self, now: float) -> Iterator[Repeated]:
        """What came again within ``TELL_INTERVAL`` of its log line; to be called every few seconds."""
        for source, told in self._told.items():
            if now - told.since < TELL_INTERVAL:
                continue
            if told.more:
                # It goes on: the next interval is counted as well before it may have a line of its own.
                yield Repeated(source, told.more)
                self._told.put(source, _Told(now))
            else:
                self._told.drop(source)
