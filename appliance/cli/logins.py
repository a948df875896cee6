"""What strangers may do at the SSH port: how often, how many at a time, and how often wrong.

Pure memory and arithmetic; ``now`` is passed in (monotonic seconds). Everything a stranger can make
grow is a table of bounded size that forgets its oldest entry. Names of users that exist and names
that were made up are in different tables, so that guessing names cannot push a lock-out out.

A source is an IPv4 address or an IPv6 /64: whoever has one IPv6 address usually has all of these.
"""

import ipaddress
from collections import OrderedDict
from collections.abc import Iterator
from typing import Generic, TypeVar

from attrs import define, frozen

from appliance.management import Management

TABLE_LIMIT = 4096
"""Most entries of each table."""
UNAUTHENTICATED_LIMIT, SOURCE_LIMIT = 30, 20
"""Connections without a log-in at a time: of all sources, and of one."""
BURST, RATE = 40, 10.0
"""Connections of one source: so many at once, so many a second afterwards."""
BURST_ALL, RATE_ALL = 100, 50.0
"""The same for all sources together: a log-in costs a millisecond that signalling does not get."""
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


class _Table(Generic[_V]):
    """A dictionary that forgets the entry which was not used for longest."""

    def __init__(self) -> None:
        self._entries: OrderedDict[str, _V] = OrderedDict()

    def get(self, key: str) -> _V | None:
        return self._entries.get(key)

    def put(self, key: str, value: _V) -> None:
        self._entries[key] = value
        self._entries.move_to_end(key)
        if len(self._entries) > TABLE_LIMIT:
            self._entries.popitem(last=False)

    def drop(self, key: str) -> None:
        self._entries.pop(key, None)

    def items(self) -> list[tuple[str, _V]]:
        return list(self._entries.items())

    def __len__(self) -> int:
        return len(self._entries)


@frozen
class _Failures:
    count: int
    last: float


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
    """What :meth:`Logins.tick` has to be written into the log: a source came ``count`` times more."""

    source: str
    count: int


class Logins:
    """The book about connections and log-ins that are not trusted yet."""

    def __init__(self) -> None:
        self._open: dict[str, int] = {}
        self._buckets: _Table[_Bucket] = _Table()
        self._all = _Bucket(float(BURST_ALL), 0.0)
        self._users: _Table[_Failures] = _Table()
        self._strangers: _Table[_Failures] = _Table()
        self._sources: _Table[_Failures] = _Table()
        self._told: _Table[_Told] = _Table()

    # ---- connections

    @property
    def unauthenticated(self) -> int:
        """Connections that have not logged in yet."""
        return sum(self._open.values())

    def rival(self, source: str) -> str:
        """The source that has to give up a place when ``source`` comes; empty: none has to, or none would.

        A few strangers cannot keep everybody else out: when all places are taken, the one who has
        most of them loses one to whoever has at least two less.
        """
        if self.unauthenticated < UNAUTHENTICATED_LIMIT:
            return ""
        busiest, count = max(self._open.items(), key=lambda item: item[1])
        return busiest if count > self._open.get(source, 0) + 1 else ""

    def connect(self, source: str, now: float) -> str:
        """Take a place for a new connection, that of a :meth:`rival` if need be.

        Returns an empty text, or why there is none.
        """
        if self._open.get(source, 0) >= SOURCE_LIMIT:
            return f"{SOURCE_LIMIT} connections of it have not logged in yet"
        if self.unauthenticated >= UNAUTHENTICATED_LIMIT and not self.rival(source):
            return f"{UNAUTHENTICATED_LIMIT} connections have not logged in yet"
        bucket = (self._buckets.get(source) or _Bucket(float(BURST), now)).after(now, RATE, BURST)
        self._buckets.put(source, bucket.less())
        if bucket.tokens < 1:
            return f"more than {RATE:.0f} connections a second"
        self._all = self._all.after(now, RATE_ALL, BURST_ALL)
        if self._all.tokens < 1:
            return f"more than {RATE_ALL:.0f} connections a second from everywhere"
        self._all = self._all.less()
        self._open[source] = self._open.get(source, 0) + 1
        return ""

    def settled(self, source: str) -> None:
        """A connection of this source has logged in or is gone: free its place."""
        left = self._open.get(source, 0) - 1
        if left > 0:
            self._open[source] = left
        else:
            self._open.pop(source, None)

    # ---- log-ins

    def locked(self, user: str, source: str, management: Management, now: float) -> bool:
        """Whether a log-in of this user, or from this source, is refused without a look at the secret."""
        known = management.user(user)
        table = self._strangers if known is None else self._users
        if (known is None or known.lockout) and self._is_locked(table, user, management, now):
            return True
        return self._is_locked(self._sources, source, management, now)

    def failed(self, user: str, source: str, management: Management, now: float) -> list[str]:
        """Count a failed log-in. Returns whom it locks out: ``user NAME``, ``address SOURCE``."""
        known = management.user(user)
        table = self._strangers if known is None else self._users
        locks = []
        if self._count(table, user, management, now) and (known is None or known.lockout):
            locks.append(f"user {user}")
        if self._count(self._sources, source, management, now):
            locks.append(f"address {source}")
        return locks

    def succeeded(self, user: str, source: str) -> None:
        """A log-in worked: failures are no longer in a row."""
        self._users.drop(user)
        self._sources.drop(source)

    def _count(self, table: _Table[_Failures], key: str, management: Management, now: float) -> bool:
        known = table.get(key)
        count = 1 if known is None or _is_old(known, management, now) else known.count + 1
        table.put(key, _Failures(count, now))
        return count == management.max_failed_logins

    @staticmethod
    def _is_locked(table: _Table[_Failures], key: str, management: Management, now: float) -> bool:
        known = table.get(key)
        if known is None or _is_old(known, management, now):
            return False
        return known.count >= management.max_failed_logins

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


def _is_old(known: _Failures, management: Management, now: float) -> bool:
    """Whether a failure was so long ago that it no longer counts."""
    return now - known.last >= 60.0 * management.lockout_time
