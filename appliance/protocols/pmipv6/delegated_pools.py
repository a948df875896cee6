"""Where delegated mobile network prefixes come from (RFC 7148 section 5.2.2), and who has them.

The pools are those of home network prefixes (:mod:`pools`); an IPv4 prefix is in them by its IPv4-mapped
form (RFC 4291 section 2.5.5.2), so that there is one kind of arithmetic.
"""

from typing import Any

from appliance.protocols.pmipv6.option_settings import DelegationPool
from appliance.protocols.pmipv6.pools import HomePrefixes
from appliance.protocols.pmipv6.settings import LmaSettings, PrefixPool, Profile

Prefix = tuple[bytes, int]

_MAPPED = bytes(10) + b"\xff\xff"


def _wide(prefix: bytes, length: int) -> Prefix:
    return (_MAPPED + prefix, 96 + length) if len(prefix) == 4 else (prefix, length)


def _narrow(prefix: bytes, length: int) -> Prefix:
    return (prefix[12:], length - 96) if prefix.startswith(_MAPPED) else (prefix, length)


def inside(prefix: Prefix, network: Prefix) -> bool:
    """Whether a prefix is a network, or lies in it."""
    if len(prefix[0]) != len(network[0]) or prefix[1] < network[1]:
        return False
    shift = 8 * len(prefix[0]) - network[1]
    return int.from_bytes(prefix[0], "big") >> shift == int.from_bytes(network[0], "big") >> shift


class DelegatedPrefixes:
    """The delegation pools of one service, and the sessions that have prefixes."""

    def __init__(self, settings: LmaSettings) -> None:
        #: Who has a prefix: a binding cache entry, or a lease of a mobile router (``mipv6/nemo_leases.py``).
        self.owners: dict[Prefix, Any] = {}
        #: How many prefixes of a family (octets) and length are held: to find one round another.
        self._lengths: dict[tuple[int, int], int] = {}
        #: By family and a shorter length that was asked about: how many prefixes are held inside each number.
        #: Lengths come from pools, profiles and AAA, so there are few of them.
        self._around: dict[tuple[int, int], dict[int, int]] = {}
        self._set_up(settings)

    def _set_up(self, settings: LmaSettings) -> None:
        profiles = [*settings.profiles, settings.default_profile]
        kept = [
            _wide(*pair)
            for each in profiles
            if each is not None
            for pair in (*each.delegated, *each.network_prefixes)
        ]
        self._pools = [
            (pool, HomePrefixes(_as_home_pool(pool), kept)) for pool in settings.delegation_pools
        ]

    def adopt(self, settings: LmaSettings) -> None:
        """Go on with other pools; what is held stays held."""
        self._set_up(settings)
        for prefix in self.owners:
            self._claim(prefix, "")

    def _for(self, profile: Profile, family: int) -> list[HomePrefixes]:
        name = profile.delegation_pool
        return [
            numbers
            for pool, numbers in self._pools
            if len(pool.prefix) == family and name in ("", pool.name)
        ]

    def keeps(self, prefix: Prefix, profile: Profile | None) -> bool:
        """Whether a prefix that a session has could still be given to it."""
        if profile is not None and prefix in profile.delegated:
            return True
        return any(
            pool.delegated_length == prefix[1] and inside(prefix, pool.network) for pool, _ in self._pools
        )

    def free_for(self, profile: Profile, prefix: Prefix) -> bool:
        """Whether a prefix that is asked for may be given: it is the profile's own, or free in a pool."""
        fixed = prefix in profile.delegated
        # The look-up below may have to count all that is held once: only for what could be given at all.
        if not fixed and all(numbers.length != _wide(*prefix)[1] for _, numbers in self._pools):
            return False
        if self.taken(prefix):
            return False
        if fixed:
            return True
        if self._claim(prefix, profile.delegation_pool):
            self._give_back(prefix)
            return True
        return False

    def taken(self, prefix: Prefix) -> bool:
        """Whether somebody has this prefix, one round it, or one inside it."""
        octets, length = prefix
        number, bits = int.from_bytes(octets, "big"), 8 * len(octets)
        for (family, held), count in self._lengths.items():
            if not count or family != len(octets):
                continue
            if held > length:
                if number >> (bits - length) in self._inner(family, length):
                    return True
                continue
            shift = bits - held
            if ((number >> shift << shift).to_bytes(family, "big"), held) in self.owners:
                return True
        return False

    def _inner(self, family: int, length: int) -> dict[int, int]:
        """The numbers of this length that longer prefixes are held inside of."""
        found = self._around.get((family, length))
        if found is None:
            found = self._around[family, length] = {}
            for owned in self.owners:
                _note(found, family, length, owned, 1)
        return found

    def _count(self, prefix: Prefix, by: int) -> None:
        key = len(prefix[0]), prefix[1]
        self._lengths[key] = self._lengths.get(key, 0) + by
        for (family, length), numbers in self._around.items():
            _note(numbers, family, length, prefix, by)

    def own_of(self, profile: Profile, family: int) -> tuple[Prefix, ...]:
        """The free fixed prefixes of a mobile node, of one family."""
        return tuple(
            pair for pair in profile.delegated if len(pair[0]) == family and not self.taken(pair)
        )

    def take(self, profile: Profile, family: int) -> Prefix | None:
        """A prefix that nobody has; ``None``: there is none."""
        for numbers in self._for(profile, family):
            prefix = numbers.take()
            if prefix is not None:
                return _narrow(prefix, numbers.length)
        return None

    def has_room(self, profile: Profile, family: int) -> bool:
        """Whether :meth:`take` would give one."""
        return any(numbers.in_use < numbers.usable for numbers in self._for(profile, family))

    def _claim(self, prefix: Prefix, name: str) -> bool:
        wide = _wide(*prefix)
        return any(
            numbers.covers(wide[0]) and numbers.claim(*wide)
            for pool, numbers in self._pools
            if name in ("", pool.name) and len(pool.prefix) == len(prefix[0])
        )

    def _give_back(self, prefix: Prefix) -> None:
        wide = _wide(*prefix)
        for pool, numbers in self._pools:
            if len(pool.prefix) == len(prefix[0]) and numbers.covers(wide[0]):
                numbers.give_back(*wide)

    def put_back(self, prefix: Prefix) -> None:
        """Return what :meth:`take` gave, and nobody has come to own."""
        self._give_back(prefix)

    def own(self, owner: Any, prefix: Prefix, taken: bool) -> None:
        """Make somebody the owner of a free prefix; ``taken``: it came from :meth:`take`."""
        if not taken:
            self._claim(prefix, "")
        self.owners[prefix] = owner
        self._count(prefix, 1)

    def release(self, prefix: Prefix) -> None:
        """Its owner does not have it any more."""
        if self.owners.pop(prefix, None) is not None:
            self._count(prefix, -1)
            self._give_back(prefix)


def _note(numbers: dict[int, int], family: int, length: int, prefix: Prefix, by: int) -> None:
    """Count a prefix in or out if it is inside one of this family and length."""
    octets, own = prefix
    if len(octets) != family or own <= length:
        return
    number = int.from_bytes(octets, "big") >> (8 * family - length)
    left = numbers.get(number, 0) + by
    if left:
        numbers[number] = left
    else:
        del numbers[number]


def _as_home_pool(pool: DelegationPool) -> PrefixPool:
    prefix, length = _wide(*pool.network)
    delegated = pool.delegated_length + (96 if len(pool.prefix) == 4 else 0)
    return PrefixPool(name=pool.name, prefix=prefix, prefix_length=length, delegated_length=delegated)
