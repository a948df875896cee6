"""Pools that are replaced while sessions hold what they gave: nothing twice, nothing lost."""

import os
from typing import Any

from attrs import evolve
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.pmipv6.pools import HomePools, Numbers
from appliance.protocols.pmipv6.settings import AddressPool, LmaSettings, PrefixPool, Profile
from test.protocols.pmipv6.lma_fakes import packed

ANY = Profile(name="any", any_prefix=True)
#: Small enough to run out: 4 or 8 prefixes each, of which some lie in each other's place.
PREFIX_POOLS = (
    PrefixPool(name="a", prefix=packed("2001:db8::"), prefix_length=62),
    PrefixPool(name="b", prefix=packed("2001:db8::"), prefix_length=61),
    PrefixPool(name="c", prefix=packed("2001:db8:0:8::"), prefix_length=62),
    PrefixPool(name="d", prefix=packed("2001:db8::"), prefix_length=62, delegated_length=63),
    PrefixPool(name="e", prefix=packed("2001:db8::"), prefix_length=62, group="g"),
)
KEPT = ((packed("2001:db8::"), 64), (packed("2001:db8:0:2::"), 63), (packed("2001:db8:0:9::"), 64))


def pool4(first: int, last: int, router: int) -> AddressPool:
    """Some addresses of 192.0.2.0/28."""
    network = packed("192.0.2.0")
    return AddressPool(
        name="v4",
        network=network,
        prefix_length=28,
        first=network[:3] + bytes([first]),
        last=network[:3] + bytes([last]),
        default_router=network[:3] + bytes([router]),
    )


POOLS4 = (pool4(1, 6, 1), pool4(1, 6, 3), pool4(4, 10, 1))


def overlap(one: PrefixPool, other: PrefixPool) -> bool:
    """Whether two pools could not be configured together."""
    shift = 128 - min(one.prefix_length, other.prefix_length)
    return int.from_bytes(one.prefix, "big") >> shift == int.from_bytes(other.prefix, "big") >> shift


@st.composite
def configurations(draw: Any) -> LmaSettings:
    """Pools that do not overlap, and fixed prefixes."""
    pools: list[PrefixPool] = []
    for pool in draw(st.permutations(PREFIX_POOLS))[: draw(st.integers(0, 3))]:
        if not any(overlap(pool, other) for other in pools):
            pools.append(evolve(pool))
    kept = draw(st.lists(st.sampled_from(KEPT), max_size=2, unique=True))
    kept4 = draw(st.one_of(st.none(), st.integers(1, 10).map(lambda n: packed(f"192.0.2.{n}"))))
    return LmaSettings(
        name="lma1",
        prefix_pools=tuple(pools),
        address_pools=tuple(map(evolve, draw(st.sampled_from(((), *((one,) for one in POOLS4)))))),
        profiles=(Profile(name="p", mn_id=b"p", prefixes=tuple(kept), ipv4_address=kept4),),
    )


def numbers(prefix: bytes, length: int) -> set[int]:
    """The /64s in a prefix."""
    first = int.from_bytes(prefix[:8], "big")
    return set(range(first, first + (1 << (64 - length))))


class Model:
    """What may be handed out, by counting on fingers."""

    def __init__(self, settings: LmaSettings) -> None:
        self.settings = settings
        self.held: set[tuple[bytes, int]] = set()
        self.held4: set[bytes] = set()

    @property
    def addresses(self) -> set[bytes]:
        """As :class:`Held` wants them."""
        return self.held4

    def within(self, first: bytes, last: bytes, length: int) -> list[bytes]:
        """The same."""
        return [prefix for prefix, size in self.held if size == length and first <= prefix <= last]

    def prefix(self, prefix: bytes, length: int) -> bool:
        """The same."""
        return (prefix, length) in self.held

    def free(self) -> set[tuple[bytes, int]]:
        """Every prefix that a pool hands out, that is nobody's and that no profile names."""
        found = set()
        kept = [pair for one in self.settings.profiles for pair in one.prefixes]
        for pool in self.settings.prefix_pools:
            base = int.from_bytes(pool.prefix, "big")
            for number in range(1 << (pool.delegated_length - pool.prefix_length)):
                pair = ((base + (number << (128 - pool.delegated_length))).to_bytes(16, "big"),
                        pool.delegated_length)  # fmt: skip
                if pair not in self.held and not any(numbers(*pair) & numbers(*one) for one in kept):
                    found.add(pair)
        return found

    def free4(self) -> set[bytes]:
        """The same of the IPv4 pools."""
        kept = {one.ipv4_address for one in self.settings.profiles}
        return {
            pool.network[:3] + bytes([last])
            for pool in self.settings.address_pools
            for last in range(pool.first[3], pool.last[3] + 1)
        } - self.held4 - kept - {pool.default_router for pool in self.settings.address_pools}  # fmt: skip


STEPS = st.one_of(
    st.tuples(st.sampled_from(("take", "give", "claim", "take4", "give4", "claim4")), st.integers(0, 99)),
    st.tuples(st.just("adopt"), configurations()),
)


class AdoptionTests(SynchronousTestCase):
    @profile(deadline=None, max_examples=int(os.environ.get("FUZZ", "200")))
    @given(configurations(), st.lists(STEPS, min_size=10, max_size=60))
    def test_against_a_model(self, first: LmaSettings, steps: list[tuple[str, Any]]) -> None:
        """In any order of takes, claims, returns and replacements the model and the pools agree."""
        pools, model = HomePools(first), Model(first)
        for what, value in steps:
            if what == "adopt":
                self.replace(pools, model, value)
            else:
                getattr(self, what)(pools, model, value)
        # Whatever happened: all that is free can be had, once each.
        expected, found = model.free(), set()
        while (pair := pools.take_prefix(ANY)) is not None:
            self.assertNotIn(pair, found)
            found.add(pair)
        self.assertEqual(found, expected)
        expected4, found4 = model.free4(), set()
        while (address := pools.take_address(ANY)) is not None:
            found4.add(address)
        self.assertEqual(found4, expected4)

    def replace(self, pools: HomePools, model: Model, settings: LmaSettings) -> None:
        """Sessions that nothing covers any more end, as in the anchor."""
        model.settings = settings
        pools.adopt(settings, model)
        lengths = {
            pair: next((p.delegated_length for p in settings.prefix_pools if self.inside(p, pair)), 0)
            for pair in model.held
        }
        for pair in [pair for pair in model.held if lengths[pair] != pair[1]]:
            pools.give_back_prefix(*pair)
            model.held.discard(pair)
        in_use = sum(pool.in_use for pool in pools.prefixes)
        kept = [pair for one in settings.profiles for pair in one.prefixes]
        counted = [pair for pair in model.held if not any(numbers(*pair) & numbers(*one) for one in kept)]
        self.assertEqual(in_use, len(counted))

    @staticmethod
    def inside(pool: PrefixPool, pair: tuple[bytes, int]) -> bool:
        """Whether a prefix lies in a pool."""
        shift = 128 - pool.prefix_length
        return int.from_bytes(pair[0], "big") >> shift == int.from_bytes(pool.prefix, "big") >> shift

    def take(self, pools: HomePools, model: Model, _: int) -> None:
        """A free one, or none if there is none."""
        pair, free = pools.take_prefix(ANY), model.free()
        if pair is None:
            self.assertEqual(free, set())
        else:
            self.assertIn(pair, free)
            model.held.add(pair)

    def give(self, pools: HomePools, model: Model, choice: int) -> None:
        """One of those that are held."""
        if model.held:
            pair = sorted(model.held)[choice % len(model.held)]
            model.held.discard(pair)
            pools.give_back_prefix(*pair)

    def claim(self, pools: HomePools, model: Model, choice: int) -> None:
        """This very one, if it is free."""
        number = (0x20010DB8 << 32) + choice % 12
        length = 63 if choice > 80 else 64
        pair = ((number >> (64 - length) << (64 - length) << 64).to_bytes(16, "big"), length)
        allowed = pools.claim_prefix(ANY, *pair)
        self.assertEqual(allowed, pair in model.free())
        if allowed:
            model.held.add(pair)

    def take4(self, pools: HomePools, model: Model, _: int) -> None:
        """A free address, or none if there is none."""
        address, free = pools.take_address(ANY), model.free4()
        if address is None:
            self.assertEqual(free, set())
        else:
            self.assertIn(address, free)
            model.held4.add(address)

    def give4(self, pools: HomePools, model: Model, choice: int) -> None:
        """One of those that are held."""
        if model.held4:
            address = sorted(model.held4)[choice % len(model.held4)]
            model.held4.discard(address)
            pools.give_back_address(address)

    def claim4(self, pools: HomePools, model: Model, choice: int) -> None:
        """This very one, if it is free."""
        address = packed(f"192.0.2.{choice % 12}")
        allowed = pools.claim_address(ANY, address)
        self.assertEqual(allowed, address in model.free4())
        if allowed:
            model.held4.add(address)


class OrderTests(SynchronousTestCase):
    def test_the_longest_unused_first(self) -> None:
        """Other reserved numbers do not make a number that was given back come again soon."""
        numbers = Numbers(6)
        for _ in range(4):
            numbers.take()
        numbers.give_back(2)
        numbers.give_back(1)
        self.assertTrue(numbers.reserve_like(Numbers(6, [(4, 4)]), {0, 3}.__contains__))
        self.assertEqual([numbers.take() for _ in range(4)], [5, 2, 1, None])

    def test_many_are_reserved_no_longer(self) -> None:
        """A reserve too large to be gone through is left to a new start."""
        old = Numbers(1 << 40, [(0, 1 << 30)])
        first = old.take()
        new = Numbers(1 << 40)
        self.assertFalse(old.reserve_like(new, lambda _: False))
        new.occupy([first, -1, 1 << 50])
        self.assertEqual([new.take(), new.in_use], [0, 2])
        self.assertFalse(new.claim((1 << 30) + 1))
