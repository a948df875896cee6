"""Home addresses for hosts that have none yet (in the manner of RFC 5026, for hosts that use RFC 4285).

RFC 5026 lets IKEv2 assign the home address. Without IKEv2 a host says by the unspecified address in its Home
Address option that it wants one (RFC 5778 section 6.5 gives this meaning to it towards AAA); the routing
header of the acknowledgement tells it which.

::

    update from :: ─▶ what the host has already, its profile's, a free one of a served pool
                              └─ AAA is asked about :: ─▶ the address, or the prefix, that AAA grants
"""

import hashlib
from collections.abc import Callable, Iterator

from appliance.counters import LMA, CounterSet
from appliance.protocols.mipv6 import request as verdicts
from appliance.protocols.mipv6.binding import HostBinding, host_of
from appliance.protocols.mipv6.checks import HostPolicy
from appliance.protocols.mipv6.features import HostFeature
from appliance.protocols.mipv6.request import UNSPECIFIED, HostRequest
from appliance.protocols.mobility.discovery_messages import reserved
from appliance.protocols.pmipv6.bce import BindingCacheEntry
from appliance.protocols.pmipv6.lma_request import POOL_EMPTY, Verdict
from appliance.protocols.pmipv6.lma_sessions import Sessions
from appliance.protocols.pmipv6.settings import PrefixPool, Profile
from appliance.protocols.timers import Now

#: Interface identifiers that are tried before a pool counts as full; all of them in a pool of few bits.
TRIES, FEW_BITS = 64, 12
#: Addresses that other nodes of the home link have, so that they are not tried again.
REMEMBERED = 1024
ASSIGNED = LMA.index("messages-to-hosts/home-addresses-assigned")


class Assigner(HostFeature):
    """Chooses home addresses; the same host gets the same one, as long as it is free."""

    def __init__(self, counters: CounterSet, sessions: Sessions, random_bits: Callable[[int], int]) -> None:
        self._values = counters.values
        self._cache = sessions.cache
        self._random_bits = random_bits
        self._secret = b""
        self._taken: dict[bytes, None] = {}

    def propose(self, request: HostRequest, policy: HostPolicy) -> Verdict | None:
        """Put a home address into an update from the unspecified one; or why it is discarded.

        Who it is nobody has proved yet: nothing is taken from a pool here.
        """
        if not policy.settings.mipv6_assign or not request.mn_id or not request.lifetime:
            # A host that has no name cannot be told from others, one that leaves knows its address.
            return verdicts.DROP_OTHER
        request.home = self._known(request.mn_id) or self._chosen(request, policy) or UNSPECIFIED
        return None if request.home != UNSPECIFIED else POOL_EMPTY

    def granted(self, request: HostRequest, policy: HostPolicy) -> None:
        """AAA has authorized it, perhaps with an address of its own choice, or a prefix (RFC 5778 6.5)."""
        grant = request.grant
        if not request.assigned or grant is None or not grant.home_address or self._known(request.mn_id):
            return
        request.home = grant.home_address
        if grant.home_address[8:] == bytes(8):
            found = self._free(request.mn_id, grant.home_address, 64, policy)
            request.home = found or UNSPECIFIED

    def avoid(self, address: bytes) -> None:
        """Another node of the home link has this one."""
        while len(self._taken) >= REMEMBERED:
            del self._taken[next(iter(self._taken))]
        self._taken[address] = None

    def accepted(
        self, request: HostRequest, entry: BindingCacheEntry, host: HostBinding, first: bool, now: Now
    ) -> Verdict | None:
        """Count it."""
        self._values[ASSIGNED] += request.assigned and first
        return None

    def _known(self, mn_id: bytes) -> bytes | None:
        """What it has already: its acknowledgement may have been lost."""
        for entry in self._cache.of(mn_id):
            if host_of(entry) is not None and entry.prefix is not None:
                return entry.prefix
        return None

    def _chosen(self, request: HostRequest, policy: HostPolicy) -> bytes | None:
        profile = policy.profile(request.mn_id, UNSPECIFIED)
        if profile is not None and profile.home_addresses:
            return profile.home_addresses[0]
        for pool in _pools(policy, profile):
            found = self._free(request.mn_id, pool.prefix, pool.prefix_length, policy)
            if found is not None:
                return found
        return None

    def _free(self, mn_id: bytes, prefix: bytes, length: int, policy: HostPolicy) -> bytes | None:
        for address in self._candidates(mn_id, prefix, length):
            used = address in self._cache.prefixes or address in policy.owners or address in self._taken
            if not used and not reserved(address, length) and address != policy.settings.address:
                return address
        return None

    def _candidates(self, mn_id: bytes, prefix: bytes, length: int) -> Iterator[bytes]:
        """Addresses that nobody can guess who does not know the secret (in the manner of RFC 7217)."""
        if not self._secret:
            self._secret = self._random_bits(128).to_bytes(16, "big")
        bits = 128 - length
        network = int.from_bytes(prefix, "big") >> bits << bits
        first = 0
        for number in range(TRIES):
            seed = self._secret + prefix + number.to_bytes(1, "big") + mn_id
            first = int.from_bytes(hashlib.sha256(seed).digest()[:16], "big") & ((1 << bits) - 1)
            yield (network | first).to_bytes(16, "big")
        for number in range(1 << bits if bits <= FEW_BITS else 0):
            yield (network | (first + number) & ((1 << bits) - 1)).to_bytes(16, "big")


def _pools(policy: HostPolicy, profile: Profile | None) -> Iterator[PrefixPool]:
    """The served pools that a host may have an address of."""
    wanted = profile.prefix_pool if profile is not None else ""
    for pool in policy.settings.prefix_pools:
        if pool.name in policy.settings.mipv6_pools and wanted in ("", pool.name, pool.group):
            yield pool
