"""Prefixes that are delegated to mobile routers by DHCPv6 (RFC 6276), and when they come to an end.

A lease is the router's, not its binding's: it lasts while the router is away without a binding, until it
is over or given back. There are so many of one router at most, and no more than the pools have.
"""

from appliance.protocols.pmipv6.delegated_pools import DelegatedPrefixes, Prefix
from appliance.protocols.pmipv6.settings import Profile
from appliance.protocols.timers import Deadlines, Now

#: Leases of one mobile router.
MOST = 16
#: Octets of an IPv6 prefix; others are not delegated by DHCPv6.
FAMILY = 16


class Lease:
    """One prefix that a mobile router has."""

    __slots__ = ("client", "ends", "iaid", "mn_id", "prefix")

    def __init__(self, mn_id: bytes, client: bytes, iaid: int, prefix: Prefix) -> None:
        self.mn_id = mn_id
        #: DUID of the router, and its number for the set of prefixes that this is.
        self.client = client
        self.iaid = iaid
        self.prefix = prefix
        #: Monotonic seconds; ``None``: it is over.
        self.ends: float | None = None


class Leases:
    """All leases of one service; who has which prefix stands in ``prefixes`` too."""

    __slots__ = ("_all", "_deadlines", "_prefixes")

    def __init__(self, prefixes: DelegatedPrefixes) -> None:
        self._prefixes = prefixes
        #: By router, then by DUID and IAID.
        self._all: dict[bytes, dict[tuple[bytes, int], Lease]] = {}
        self._deadlines = Deadlines(_end)

    def __len__(self) -> int:
        return sum(map(len, self._all.values()))

    def of(self, mn_id: bytes) -> tuple[Prefix, ...]:
        """The prefixes that a router has leased."""
        return tuple(lease.prefix for lease in self._all.get(mn_id, {}).values())

    def find(self, mn_id: bytes, client: bytes, iaid: int) -> Lease | None:
        """A lease by its names."""
        return self._all.get(mn_id, {}).get((client, iaid))

    def candidate(
        self, mn_id: bytes, profile: Profile, wanted: tuple[Prefix, ...], exactly: bool
    ) -> Prefix | None:
        """A prefix for a new lease, which nobody has and nothing keeps: what is wanted, the router's own,
        one of a pool; ``exactly``: only what is wanted."""
        prefixes = self._prefixes
        if not profile.delegation or len(self._all.get(mn_id, ())) >= MOST:
            return None
        for prefix in wanted:
            if prefixes.free_for(profile, prefix):
                return prefix
        if exactly:
            return None
        for prefix in prefixes.own_of(profile, FAMILY):
            return prefix
        taken = prefixes.take(profile, FAMILY)
        if taken is not None:
            prefixes.put_back(taken)
        return taken

    def begin(self, mn_id: bytes, client: bytes, iaid: int, prefix: Prefix, ends: float) -> Lease:
        """Lease what :meth:`candidate` has found."""
        lease = Lease(mn_id, client, iaid, prefix)
        self._prefixes.own(lease, prefix, taken=False)
        self._all.setdefault(mn_id, {})[client, iaid] = lease
        self.extend(lease, ends)
        return lease

    def extend(self, lease: Lease, ends: float) -> None:
        """Let one last until then (monotonic seconds)."""
        lease.ends = ends
        self._deadlines.set(lease, ends)

    def end(self, lease: Lease) -> None:
        """It is over; its prefix is anybody's."""
        if lease.ends is None:
            return
        lease.ends = None
        self._prefixes.release(lease.prefix)
        mine = self._all[lease.mn_id]
        del mine[lease.client, lease.iaid]
        if not mine:
            del self._all[lease.mn_id]

    @property
    def deadline(self) -> float | None:
        """When the next one may be over, in monotonic seconds."""
        return self._deadlines.next

    def due(self, now: Now, limit: int) -> list[Lease]:
        """Those that are over by now, still to be ended."""
        found: list[Lease] = self._deadlines.pop_due(now.mono, limit)
        return found


def _end(lease: Lease) -> float | None:
    return lease.ends
