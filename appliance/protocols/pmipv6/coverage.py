"""Which sessions of an anchor may stay when its pools and profiles change.

A session stays as long as each of its prefixes and its IPv4 address could still be given to its mobile:
by a pool (a prefix of the length that the pool hands out, an address of its range that is not
the router's), by the profile that names it, or because AAA has assigned it. A host that is in IPv4 networks
only has to be served there (RFC 5555). Everything else about pools, profiles and gateways is for the next
update.
"""

from bisect import bisect_right
from collections.abc import Iterator
from typing import Any

from appliance.protocols.pmipv6.bce import BindingCache, BindingCacheEntry
from appliance.protocols.pmipv6.controlled import fault_of
from appliance.protocols.pmipv6.pools import HomeAddresses
from appliance.protocols.pmipv6.settings import AddressPool, LmaSettings, Profile


class Coverage:
    """The prefixes and addresses that settings can give, prepared for look-up."""

    __slots__ = ("_firsts", "_groups", "_in_ipv4", "_pools", "_profiles")

    def __init__(self, settings: LmaSettings) -> None:
        self._in_ipv4 = in_ipv4(settings)
        groups: dict[tuple[int, int], set[int]] = {}
        for pool in settings.prefix_pools:
            shift = 128 - pool.prefix_length
            tops = groups.setdefault((shift, pool.delegated_length), set())
            tops.add(int.from_bytes(pool.prefix, "big") >> shift)
        self._groups = [(shift, length, frozenset(tops)) for (shift, length), tops in groups.items()]
        pools = sorted(settings.address_pools, key=lambda pool: pool.first)
        self._firsts = [pool.first for pool in pools]
        self._pools = [HomeAddresses(pool) for pool in pools]
        self._profiles = {
            profile.mn_id: profile
            for profile in settings.profiles
            if profile.mn_id and (profile.prefixes or profile.ipv4_address is not None)
        }

    def prefix(self, prefix: bytes, length: int) -> bool:
        """Whether a pool hands out prefixes such as this one."""
        number = int.from_bytes(prefix, "big")
        return any(length == size and number >> shift in tops for shift, size, tops in self._groups)

    def address(self, address: bytes) -> bool:
        """Whether a pool hands out this IPv4 address."""
        place = bisect_right(self._firsts, address) - 1
        return place >= 0 and self._pools[place].hands_out(address)

    def keeps(self, entry: BindingCacheEntry) -> bool:
        """Whether a session may stay."""
        if not self._in_ipv4 and entry.of_host and stranded(entry):
            return False
        own = self._profiles.get(entry.mn_id)
        granted = entry.grant.prefixes if entry.grant is not None else ()
        first = entry.prefix
        if first is not None and not (
            self.prefix(first, entry.prefix_length)
            or (own is not None and (first, entry.prefix_length) in own.prefixes)
            or (first, entry.prefix_length) in granted
        ):
            return False
        for prefix, length in entry.more_prefixes:
            if not (
                self.prefix(prefix, length)
                or (own is not None and (prefix, length) in own.prefixes)
                or (prefix, length) in granted
            ):
                return False
        address = entry.ipv4_address
        return (
            address is None
            or self.address(address)
            or (own is not None and address == own.ipv4_address)
            or (entry.grant is not None and address == entry.grant.ipv4_address)
        )


def in_ipv4(settings: LmaSettings) -> bool:
    """Whether hosts are served in IPv4 networks."""
    return settings.mipv6 and settings.mipv6_dual_stack


def stranded(entry: BindingCacheEntry) -> bool:
    """Whether a host has care-of addresses in IPv4 networks only."""
    host = None if entry.extras is None else entry.extras.host
    if host is None or host.away is None:
        return False
    several = (host.several or {}).values()
    return all(care.at_home or care.away is not None for care in several)


class Held:
    """What the sessions of a cache have, for :meth:`HomePools.adopt`."""

    def __init__(self, cache: BindingCache) -> None:
        self.addresses = cache.addresses
        self._cache = cache

    def within(self, first: bytes, last: bytes, length: int) -> list[bytes]:
        """The prefixes of a length from one address to another."""
        found = [prefix for prefix in self._cache.prefixes if first <= prefix <= last]
        return [prefix for prefix in found if self.prefix(prefix, length)]

    def prefix(self, prefix: bytes, length: int) -> bool:
        """Whether a session has this one."""
        entry = self._cache.prefixes.get(prefix)
        if entry is None:
            return False
        if entry.prefix == prefix:
            return entry.prefix_length == length
        return (prefix, length) in entry.more_prefixes


def losers(old: LmaSettings, new: LmaSettings, cache: BindingCache) -> list[BindingCacheEntry]:
    """The sessions that a change may end, to be asked one by one; none if it takes nothing away.

    All of them when a pool goes or shrinks, or hosts in IPv4 networks are served no more; else those of the
    subscribers that lose an assignment.
    """
    if _shrunk(old, new) or (in_ipv4(old) and not in_ipv4(new)):
        return list(cache.calls.values())
    mobiles = _robbed(old.profiles, new.profiles) if old.profiles is not new.profiles else ()
    return [entry for mn_id in mobiles for entry in cache.of(mn_id)]


def _shrunk(old: LmaSettings, new: LmaSettings) -> bool:
    """Whether something that a pool has handed out may be no pool's any more."""
    return not (
        {(pool.prefix, pool.prefix_length, pool.delegated_length) for pool in old.prefix_pools}
        <= {(pool.prefix, pool.prefix_length, pool.delegated_length) for pool in new.prefix_pools}
        and {_range(pool) for pool in old.address_pools} <= {_range(pool) for pool in new.address_pools}
    )


def _range(pool: AddressPool) -> tuple[Any, ...]:
    """Everything that decides which addresses an IPv4 pool hands out."""
    return pool.first, pool.last, pool.network, pool.prefix_length, pool.default_router


def _robbed(old: tuple[Profile, ...], new: tuple[Profile, ...]) -> Iterator[bytes]:
    """The subscribers that have an assignment less than before."""
    found = {profile.mn_id: profile for profile in new}
    for profile in old:
        if not profile.mn_id or not (profile.prefixes or profile.ipv4_address is not None):
            continue
        now = found.get(profile.mn_id)
        if now is profile:
            continue
        if (
            now is None
            or not set(profile.prefixes) <= set(now.prefixes)
            or profile.ipv4_address not in (None, now.ipv4_address)
        ):
            yield profile.mn_id


def affected(old: LmaSettings, new: LmaSettings, cache: BindingCache) -> Iterator[bool]:
    """For each session that a change of settings may end, whether it does; changes nothing.

    The sessions are those of now; one that has ended since counts no more. By RFC 8127 section 5.1 a zero
    among the timers for gateways refuses every registration: then all their sessions end, each at its next
    refresh.
    """
    if fault_of(new) and not fault_of(old):
        for entry in list(cache.calls.values()):
            yield cache.calls.get(entry.call_id) is entry and not entry.of_host
        return
    entries = losers(old, new, cache)
    coverage = Coverage(new)
    for entry in entries:
        yield cache.calls.get(entry.call_id) is entry and not coverage.keeps(entry)
