"""Where home network prefixes and IPv4 home addresses come from (RFC 5213 section 5.3.2, RFC 5844 3.1.2.2).

A pool holds nothing per prefix that was never used and nothing per prefix that is in use:
only a counter of the next fresh one and the ones that were given back. So a /32 with its
4 billion /64s costs as little as a /48. A prefix that was given back is used again only
when no fresh one is left, the longest unused first, so that late packets of its former
owner do not reach the next one.
"""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable
from typing import Protocol

from appliance.protocols.pmipv6.settings import AddressPool, LmaSettings, PrefixPool, Profile

#: Numbers that are looked at one by one when other ones are reserved.
SHORT = 100_000


class Held(Protocol):
    """What sessions have, of any pool and of none."""

    @property
    def addresses(self) -> Collection[bytes]:
        """IPv4 home addresses."""

    def within(self, first: bytes, last: bytes, length: int) -> Iterable[bytes]:
        """The prefixes of a length from one address to another."""

    def prefix(self, prefix: bytes, length: int) -> bool:
        """Whether this one is among them."""


class Numbers:
    """Hands out the numbers 0..size-1 less some reserved ranges; every call is O(1).

    ``reserved`` is an iterable of (first, last) with both ends included; they may overlap.
    """

    __slots__ = ("size", "in_use", "_starts", "_ends", "_fresh", "_claimed", "_free")

    def __init__(self, size: int, reserved: Iterable[tuple[int, int]] = ()) -> None:
        self.size = size
        self.in_use = 0
        self._starts: list[int] = []
        self._ends: list[int] = []
        for first, last in sorted(reserved):
            if self._ends and first <= self._ends[-1] + 1:
                self._ends[-1] = max(self._ends[-1], last)
            else:
                self._starts.append(first)
                self._ends.append(last)
        self._fresh = 0
        self._claimed: set[int] = set()
        self._free: OrderedDict[int, None] = OrderedDict()

    @property
    def usable(self) -> int:
        """How many numbers there are beside the reserved ones."""
        pairs = zip(self._starts, self._ends, strict=True)
        inside = ((max(first, 0), min(last, self.size - 1)) for first, last in pairs)
        return self.size - sum(max(0, last - first + 1) for first, last in inside)

    def occupy(self, held: Iterable[int]) -> None:
        """Begin with numbers that have owners: ``held``, of which reserved ones are left out. O(held)."""
        self._claimed = {
            number for number in held if 0 <= number < self.size and self._reserved_until(number) < 0
        }
        self.in_use = len(self._claimed)

    def reserve_like(self, other: "Numbers", held: Callable[[int], bool]) -> bool:
        """Reserve the ranges of ``other`` (of the same size) instead; False: too many numbers, do it anew.

        ``held(number)`` tells whether somebody has a number, also one that was reserved.
        """
        before = set(zip(self._starts, self._ends, strict=True))
        after = set(zip(other._starts, other._ends, strict=True))
        if sum(last + 1 - first for first, last in before ^ after) > SHORT:
            return False
        for first, last in before - after:
            for number in range(first, last + 1):
                if held(number):
                    self.in_use += 1
                    if number >= self._fresh:
                        self._claimed.add(number)
                elif number < self._fresh:
                    self._free[number] = None
        for first, last in after - before:
            for number in range(first, last + 1):
                if number in self._free:
                    del self._free[number]
                elif number < self._fresh:
                    self.in_use -= 1
                elif number in self._claimed:
                    self._claimed.discard(number)
                    self.in_use -= 1
        self._starts, self._ends = other._starts, other._ends
        return True

    def reserves(self, number: int) -> bool:
        """Whether a number is never handed out."""
        return self._reserved_until(number) >= 0

    def _reserved_until(self, number: int) -> int:
        """Last number of the reserved range that holds ``number``, or -1."""
        place = bisect_right(self._starts, number) - 1
        if place >= 0 and number <= self._ends[place]:
            return self._ends[place]
        return -1

    def take(self) -> int | None:
        """A number that nobody has, or ``None`` when there is none left."""
        while self._fresh < self.size:
            number = self._fresh
            last = self._reserved_until(number) if self._starts else -1
            if last >= 0:
                self._fresh = last + 1
                continue
            self._fresh = number + 1
            if number in self._claimed:
                self._claimed.discard(number)
                continue
            self.in_use += 1
            return number
        if not self._free:
            return None
        number, _ = self._free.popitem(last=False)
        self.in_use += 1
        return number

    def claim(self, number: int) -> bool:
        """Take this very number; ``False`` when it is reserved, out of range or in use."""
        if not 0 <= number < self.size or self._reserved_until(number) >= 0:
            return False
        if number < self._fresh:
            if number not in self._free:
                return False
            del self._free[number]
        else:
            if number in self._claimed:
                return False
            self._claimed.add(number)
        self.in_use += 1
        return True

    def give_back(self, number: int) -> None:
        """Return a number got by :meth:`take` or :meth:`claim`; reserved ones are not ours and stay out."""
        if self._reserved_until(number) >= 0:
            return
        if number >= self._fresh:
            if number not in self._claimed:
                return
            self._claimed.discard(number)
        elif number in self._free:
            return
        else:
            self._free[number] = None
        self.in_use -= 1


class HomePrefixes:
    """One IPv6 pool: prefixes of ``delegated_length`` out of ``prefix``.

    ``kept`` are (prefix, length) pairs that profiles name: never handed out or claimed here.
    """

    __slots__ = ("settings", "length", "_base", "_shift", "_numbers", "_top", "_top_shift")

    def __init__(self, settings: PrefixPool, kept: Iterable[tuple[bytes, int]] = ()) -> None:
        self.settings = settings
        self.length = settings.delegated_length
        self._shift = 128 - self.length
        self._top_shift = 128 - settings.prefix_length
        self._top = int.from_bytes(settings.prefix, "big") >> self._top_shift
        self._base = self._top << self._top_shift
        size = 1 << max(0, self.length - settings.prefix_length)
        self._numbers = Numbers(size, self._reserve(kept))

    def _reserve(self, kept: Iterable[tuple[bytes, int]]) -> list[tuple[int, int]]:
        found = []
        for prefix, length in kept:
            if not self.covers(prefix):
                shift = 128 - length
                if self._base >> shift == int.from_bytes(prefix, "big") >> shift:
                    # A mobile that owns more than the pool owns all of the pool.
                    found.append((0, (1 << max(0, self.length - self.settings.prefix_length)) - 1))
                continue
            first = (int.from_bytes(prefix, "big") - self._base) >> self._shift
            found.append((first, first + (1 << max(0, self.length - length)) - 1))
        return found

    def adopt(self, old: "HomePrefixes | None", held: Held) -> None:
        """Go on where ``old`` (a pool of the same place) stops.

        After this nothing that is held is handed out, and all that is not can be.
        """
        length, base, shift = self.length, self._base, self._shift

        def has(number: int) -> bool:
            return held.prefix((base + (number << shift)).to_bytes(16, "big"), length)

        if old is not None and old._numbers.reserve_like(self._numbers, has):
            self._numbers = old._numbers
            return
        last = base + (1 << self._top_shift) - 1
        found = held.within(base.to_bytes(16, "big"), last.to_bytes(16, "big"), length)
        self._numbers.occupy((int.from_bytes(prefix, "big") - base) >> shift for prefix in found)

    @property
    def place(self) -> tuple[bytes, int, int]:
        """What decides which prefixes it has: pools with equal places are one pool under two names."""
        return self.settings.prefix, self.settings.prefix_length, self.length

    def covers(self, prefix: bytes) -> bool:
        """Whether the 16-octet ``prefix`` lies in this pool."""
        return int.from_bytes(prefix, "big") >> self._top_shift == self._top

    def take(self) -> bytes | None:
        """A free prefix (16 octets), or ``None``."""
        number = self._numbers.take()
        if number is None:
            return None
        return (self._base + (number << self._shift)).to_bytes(16, "big")

    def _number(self, prefix: bytes) -> int:
        offset = int.from_bytes(prefix, "big") - self._base
        number = offset >> self._shift
        return number if number << self._shift == offset else -1

    def claim(self, prefix: bytes, length: int) -> bool:
        """Take this very prefix if it is a free one of ours of our length."""
        return length == self.length and self._numbers.claim(self._number(prefix))

    def give_back(self, prefix: bytes, length: int) -> None:
        """Return a prefix."""
        number = self._number(prefix)
        if length == self.length and number >= 0:
            self._numbers.give_back(number)

    @property
    def in_use(self) -> int:
        """How many prefixes are handed out (without those that profiles name)."""
        return self._numbers.in_use

    @property
    def usable(self) -> int:
        """How many prefixes can be handed out in all."""
        return self._numbers.usable


class HomeAddresses:
    """One IPv4 pool. ``kept`` are 4-octet addresses that profiles name."""

    __slots__ = ("settings", "_first", "_last", "_numbers", "_top", "_shift")

    def __init__(self, settings: AddressPool, kept: Iterable[bytes] = ()) -> None:
        self.settings = settings
        self._first = int.from_bytes(settings.first, "big")
        self._last = int.from_bytes(settings.last, "big")
        self._shift = 32 - settings.prefix_length
        self._top = int.from_bytes(settings.network, "big") >> self._shift
        # The default router has to stay free; network and broadcast address are no host addresses.
        network = self._top << self._shift
        numbers = [int.from_bytes(address, "big") for address in (*kept, settings.default_router)]
        if self._shift > 1:
            numbers += [network, network + (1 << self._shift) - 1]
        places = [number - self._first for number in numbers if self._first <= number <= self._last]
        self._numbers = Numbers(self._last - self._first + 1, [(place, place) for place in places])

    def adopt(self, old: "HomeAddresses | None", held: Held) -> None:
        """Go on where ``old`` (a pool of the same place) stops."""
        first = self._first

        def has(number: int) -> bool:
            return (first + number).to_bytes(4, "big") in held.addresses

        if old is not None and old._numbers.reserve_like(self._numbers, has):
            self._numbers = old._numbers
            return
        self._numbers.occupy(int.from_bytes(address, "big") - first for address in held.addresses)

    @property
    def place(self) -> tuple[bytes, bytes]:
        """What decides which addresses it has."""
        return self.settings.first, self.settings.last

    def hands_out(self, address: bytes) -> bool:
        """Whether an address is of the range and neither the router's nor reserved."""
        number = int.from_bytes(address, "big") - self._first
        return 0 <= number < self._numbers.size and not self._numbers.reserves(number)

    def in_range(self, address: bytes) -> bool:
        """Whether an address is of the range, reserved or not."""
        return 0 <= int.from_bytes(address, "big") - self._first < self._numbers.size

    def covers(self, address: bytes) -> bool:
        """Whether ``address`` is of this pool's subnet (it need not be in the range handed out)."""
        return int.from_bytes(address, "big") >> self._shift == self._top

    def take(self) -> bytes | None:
        """A free address (4 octets), or ``None``."""
        number = self._numbers.take()
        return None if number is None else (self._first + number).to_bytes(4, "big")

    def claim(self, address: bytes) -> bool:
        """Take this very address if it is a free one of the range."""
        return self._numbers.claim(int.from_bytes(address, "big") - self._first)

    def give_back(self, address: bytes) -> None:
        """Return an address."""
        number = int.from_bytes(address, "big") - self._first
        if 0 <= number < self._numbers.size:
            self._numbers.give_back(number)

    @property
    def in_use(self) -> int:
        """How many addresses are handed out (without those that profiles name)."""
        return self._numbers.in_use

    @property
    def usable(self) -> int:
        """How many addresses can be handed out in all."""
        return self._numbers.usable


def _kept(settings: LmaSettings) -> tuple[list[tuple[bytes, int]], list[bytes]]:
    """The prefixes and IPv4 addresses that profiles name."""
    profiles = list(settings.profiles)
    if settings.default_profile is not None:
        profiles.append(settings.default_profile)
    prefixes = [pair for profile in profiles for pair in profile.prefixes]
    prefixes += [(address, 128) for profile in profiles for address in profile.home_addresses]
    return prefixes, [profile.ipv4_address for profile in profiles if profile.ipv4_address is not None]


def _subnet(pool: AddressPool) -> tuple[bytes, int, bytes]:
    """What decides which addresses of the range are not handed out."""
    return pool.network, pool.prefix_length, pool.default_router


class HomePools:
    """All pools of one service, and which of them a subscriber profile may use."""

    __slots__ = (
        "prefixes", "addresses", "_kept", "_fixed", "_fixed4", "_prefixes_for", "_addresses_for"
    )  # fmt: skip

    def __init__(self, settings: LmaSettings) -> None:
        self._kept = _kept(settings)
        self._fixed, self._fixed4 = frozenset(self._kept[0]), frozenset(self._kept[1])
        self.prefixes = [HomePrefixes(pool, self._kept[0]) for pool in settings.prefix_pools]
        self.addresses = [HomeAddresses(pool, self._kept[1]) for pool in settings.address_pools]
        self._prefixes_for: dict[str, list[HomePrefixes]] = {}
        self._addresses_for: dict[str, list[HomeAddresses]] = {}

    def adopt(self, settings: LmaSettings, held: Held) -> None:
        """Replace the pools while sessions hold what they gave.

        A pool that stays keeps its order of use and costs next to nothing; one that is new costs one pass
        over the sessions.
        """
        before = {pool.place: pool for pool in self.prefixes}
        before4 = {pool.place: pool for pool in self.addresses}
        kept = _kept(settings)
        same, self._kept = kept == self._kept, kept
        self._fixed, self._fixed4 = frozenset(kept[0]), frozenset(kept[1])
        self._prefixes_for, self._addresses_for = {}, {}
        self.prefixes, self.addresses = [], []
        for pool in settings.prefix_pools:
            old = before.get((pool.prefix, pool.prefix_length, pool.delegated_length))
            if same and old is not None:
                old.settings = pool
                self.prefixes.append(old)
                continue
            fresh = HomePrefixes(pool, kept[0])
            fresh.adopt(old, held)
            self.prefixes.append(fresh)
        for pool4 in settings.address_pools:
            old4 = before4.get((pool4.first, pool4.last))
            if same and old4 is not None and _subnet(old4.settings) == _subnet(pool4):
                old4.settings = pool4
                self.addresses.append(old4)
                continue
            fresh4 = HomeAddresses(pool4, kept[1])
            fresh4.adopt(old4, held)
            self.addresses.append(fresh4)

    def _prefix_pools(self, profile: Profile) -> list[HomePrefixes]:
        name = profile.prefix_pool
        found = self._prefixes_for.get(name)
        if found is None:
            found = [pool for pool in self.prefixes if _serves(pool.settings, name)]
            self._prefixes_for[name] = found
        return found

    def _address_pools(self, profile: Profile) -> list[HomeAddresses]:
        name = profile.address_pool
        found = self._addresses_for.get(name)
        if found is None:
            found = [pool for pool in self.addresses if _serves(pool.settings, name)]
            self._addresses_for[name] = found
        return found

    def take_prefix(self, profile: Profile) -> tuple[bytes, int] | None:
        """A free (prefix, length) for a mobile of ``profile``, or ``None``."""
        for pool in self._prefix_pools(profile):
            prefix = pool.take()
            if prefix is not None:
                return prefix, pool.length
        return None

    def claim_prefix(self, profile: Profile, prefix: bytes, length: int) -> bool:
        """Take the prefix that a MAG proposed, if it is free in a pool that ``profile`` may use."""
        name = profile.prefix_pool
        return any(
            pool.covers(prefix) and pool.claim(prefix, length)
            for pool in (self._prefix_pools(profile) if name else self.prefixes)
        )

    def admit_prefix(self, prefix: bytes, length: int) -> bool:
        """Take a prefix that AAA has assigned: a free one of a pool, or one outside of pools and profiles."""
        covered = False
        for pool in self.prefixes:
            if pool.covers(prefix):
                covered = True
                if pool.claim(prefix, length):
                    return True
        if covered or (prefix, length) in self._fixed:
            return False
        shift = 128 - length
        top = int.from_bytes(prefix, "big") >> shift
        return all(int.from_bytes(pool.settings.prefix, "big") >> shift != top for pool in self.prefixes)

    def admit_address(self, address: bytes) -> bool:
        """Take an IPv4 address that AAA has assigned, likewise."""
        for pool in self.addresses:
            if pool.in_range(address):
                return pool.claim(address)
            if address == pool.settings.default_router:
                return False
        return address not in self._fixed4

    def routes(self, prefix: bytes, length: int) -> bool:
        """Whether a network is reached by the route of a pool or of a profile's prefix."""
        if len(prefix) == 4:
            return any(pool.covers(prefix) for pool in self.addresses)
        for pool in self.prefixes:
            if pool.covers(prefix):
                return True
        return (prefix, length) in self._fixed

    def give_back_prefix(self, prefix: bytes, length: int) -> None:
        """Return a prefix to its pool; one that no pool covers (a profile's own) is left alone."""
        for pool in self.prefixes:
            if pool.covers(prefix):
                pool.give_back(prefix, length)
                return

    def take_address(self, profile: Profile) -> bytes | None:
        """A free IPv4 home address for a mobile of ``profile``, or ``None``."""
        for pool in self._address_pools(profile):
            address = pool.take()
            if address is not None:
                return address
        return None

    def claim_address(self, profile: Profile, address: bytes) -> bool:
        """Take the IPv4 address that a MAG proposed, if it is free in a pool that ``profile`` may use."""
        pools = self._address_pools(profile) if profile.address_pool else self.addresses
        return any(pool.covers(address) and pool.claim(address) for pool in pools)

    def give_back_address(self, address: bytes) -> None:
        """Return an IPv4 address to its pool."""
        for pool in self.addresses:
            if pool.covers(address):
                pool.give_back(address)

    def subnet(self, address: bytes) -> tuple[int, bytes | None]:
        """Prefix length and default router of the subnet of an IPv4 home address (RFC 5844 3.3.2, 3.3.3).

        An address outside of every pool is a subnet of its own, without a router: ``(32, None)``.
        """
        for pool in self.addresses:
            if pool.covers(address):
                return pool.settings.prefix_length, pool.settings.default_router
        return 32, None


def _serves(pool: PrefixPool | AddressPool, name: str) -> bool:
    """Whether dynamic allocation may use ``pool`` for a profile that names ``name`` (empty: any)."""
    if name:
        return name in (pool.name, pool.group)
    return not pool.static
