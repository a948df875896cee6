"""What strangers may do at the SSH port: how often, how many at a time, and how often wrong.

Connections are counted as at every port (``strangers``); here is what comes after: log-ins that fail.
Names of users that exist and names that were made up are in different tables, so that guessing names
cannot push a lock-out out.
"""

from attrs import frozen

from appliance.management import Management
from appliance.strangers import Limits, Strangers, Table

UNAUTHENTICATED_LIMIT, SOURCE_LIMIT = 30, 20
"""Connections without a log-in at a time: of all sources, and of one."""
BURST, RATE = 40, 10.0
"""Connections of one source: so many at once, so many a second afterwards."""
BURST_ALL, RATE_ALL = 100, 50.0
"""The same for all sources together: a log-in costs a millisecond that signalling does not get."""
LIMITS = Limits(
    UNAUTHENTICATED_LIMIT, SOURCE_LIMIT, BURST, RATE, BURST_ALL, RATE_ALL, "have not logged in yet"
)


@frozen
class _Failures:
    count: int
    last: float


class Logins(Strangers):
    """The book about connections and log-ins that are not trusted yet."""

    def __init__(self) -> None:
        super().__init__(LIMITS)
        self._users: Table[_Failures] = Table()
        self._strangers: Table[_Failures] = Table()
        self._sources: Table[_Failures] = Table()

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

    def _count(self, table: Table[_Failures], key: str, management: Management, now: float) -> bool:
        known = table.get(key)
        count = 1 if known is None or _is_old(known, management, now) else known.count + 1
        table.put(key, _Failures(count, now))
        return count == management.max_failed_logins

    @staticmethod
    def _is_locked(table: Table[_Failures], key: str, management: Management, now: float) -> bool:
        known = table.get(key)
        if known is None or _is_old(known, management, now):
            return False
        return known.count >= management.max_failed_logins


def _is_old(known: _Failures, management: Management, now: float) -> bool:
    """Whether a failure was so long ago that it no longer counts."""
    return now - known.last >= 60.0 * management.lockout_time
