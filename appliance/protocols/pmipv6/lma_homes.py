"""Which home network prefixes and IPv4 home address a session gets (RFC 5213 5.3.2, RFC 5844 3.1.2.2).

In this order: what AAA has granted, what the profile names, what a pool has free. What AAA grants may lie
outside of every pool; then it needs a route of its own, because only pools and profiles have one.
"""

from itertools import islice
from typing import Any, Protocol

from appliance.protocols.mobility.aaa import Grant
from appliance.protocols.pmipv6 import lma_request as verdicts
from appliance.protocols.pmipv6.bce import BindingCache, BindingCacheEntry
from appliance.protocols.pmipv6.events import Reach, Unreach
from appliance.protocols.pmipv6.lma_checks import PREFIXES_PER_UPDATE
from appliance.protocols.pmipv6.lma_request import Request, Verdict
from appliance.protocols.pmipv6.pools import HomePools
from appliance.protocols.pmipv6.settings import Profile

Prefixes = list[tuple[bytes, int]]
#: Bits of an IPv4 address.
WHOLE = 32


class AddressWish(Protocol):
    """Who wants an IPv4 home address, and which; ``None``: any."""

    @property
    def profile(self) -> Profile:
        """The mobile's subscriber profile."""

    @property
    def address(self) -> bytes | None:
        """Asked for."""


class Homes:
    """Chooses for the sessions of one service; what is chosen belongs to the caller."""

    __slots__ = ("_cache", "_pools", "_reached")

    def __init__(self, pools: HomePools, cache: BindingCache) -> None:
        self._pools = pools
        self._cache = cache
        #: Networks that have a route of their own now.
        self._reached: set[tuple[bytes, int]] = set()

    def choose_prefixes(self, request: Request, grant: Grant | None) -> Prefixes | Verdict:
        """The prefixes asked for if they are allowed and free, else some."""
        if grant is not None and grant.prefixes:
            return self._granted_prefixes(request, grant)
        profile, owned = request.profile, self._cache.prefixes
        chosen: Prefixes = []
        if request.prefixes:
            for prefix, length in request.prefixes:
                if prefix in owned or not (
                    ((prefix, length) in profile.prefixes and not self._cache.overlaps(prefix, length))
                    or (profile.any_prefix and self._pools.claim_prefix(profile, prefix, length))
                ):
                    self.give_back(chosen)
                    return verdicts.NOT_YOUR_PREFIX
                chosen.append((prefix, length))
            return chosen
        if profile.prefixes:
            # No more than an acknowledgement has room for.
            free = (pair for pair in profile.prefixes if not self._cache.overlaps(*pair))
            chosen = list(islice(free, PREFIXES_PER_UPDATE))
            if chosen:
                return chosen
        for _ in range(profile.prefix_count):
            pair = self._pools.take_prefix(profile)
            if pair is None:
                self.give_back(chosen)
                return verdicts.POOL_EMPTY
            chosen.append(pair)
        return chosen

    def _granted_prefixes(self, request: Request, grant: Grant) -> Prefixes | Verdict:
        """All of them, or those of them that are asked for."""
        chosen: Prefixes = []
        for prefix, length in request.prefixes or grant.prefixes[:PREFIXES_PER_UPDATE]:
            if (prefix, length) not in grant.prefixes or not self._admits(request.profile, prefix, length):
                self.give_back(chosen)
                return verdicts.NOT_YOUR_PREFIX
            chosen.append((prefix, length))
        return chosen

    def _admits(self, profile: Profile, prefix: bytes, length: int) -> bool:
        if self._cache.overlaps(prefix, length):
            return False
        return (prefix, length) in profile.prefixes or self._pools.admit_prefix(prefix, length)

    def choose_address(self, request: AddressWish, grant: Grant | None) -> bytes | Verdict:
        """The IPv4 address asked for if it is allowed and free, else one."""
        profile, wanted = request.profile, request.address
        granted = None if grant is None else grant.ipv4_address
        if granted is not None:
            mine = wanted in (None, granted) and granted not in self._cache.addresses
            if mine and (granted == profile.ipv4_address or self._pools.admit_address(granted)):
                return granted
            return verdicts.NOT_YOUR_ADDRESS
        if wanted is not None:
            free = wanted not in self._cache.addresses
            if free and wanted == profile.ipv4_address:
                return wanted
            if free and profile.any_prefix and self._pools.claim_address(profile, wanted):
                return wanted
            return verdicts.NOT_YOUR_ADDRESS
        if profile.ipv4_address is not None and profile.ipv4_address not in self._cache.addresses:
            return profile.ipv4_address
        return self._pools.take_address(profile) or verdicts.POOL_EMPTY

    def give_back(self, prefixes: Prefixes) -> None:
        """Return prefixes that nobody has."""
        for prefix, length in prefixes:
            self._pools.give_back_prefix(prefix, length)

    def reach(self, entry: BindingCacheEntry, out: list[Any]) -> None:
        """Say which networks of a session need a route of their own."""
        for network in _networks(entry):
            if network not in self._reached and not self._pools.routes(*network):
                self._reached.add(network)
                out.append(Reach(*network))

    def leave(self, prefix: bytes, length: int, out: list[Any]) -> None:
        """A session does not have this prefix, or IPv4 address, any more."""
        if (prefix, length) in self._reached:
            self._reached.discard((prefix, length))
            out.append(Unreach(prefix, length))


def _networks(entry: BindingCacheEntry) -> list[tuple[bytes, int]]:
    networks = list(entry.prefixes)
    if entry.ipv4_address is not None:
        networks.append((entry.ipv4_address, WHOLE))
    return networks
