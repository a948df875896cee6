"""Pools: nothing twice, everything once, O(1) whatever the size."""

import os
import random

from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.pmipv6.pools import HomeAddresses, HomePools, HomePrefixes, Numbers
from appliance.protocols.pmipv6.settings import AddressPool, PrefixPool, Profile
from test.protocols.pmipv6.lma_fakes import POOL, POOL4, packed, settings


class TestNumbers(SynchronousTestCase):
    def test_fresh_before_used(self) -> None:
        """A number that was given back comes again only after all fresh ones, the longest unused first."""
        numbers = Numbers(4)
        self.assertEqual([numbers.take(), numbers.take()], [0, 1])
        numbers.give_back(1)
        numbers.give_back(0)
        self.assertEqual([numbers.take() for _ in range(5)], [2, 3, 1, 0, None])

    def test_giving_back_twice(self) -> None:
        """Giving a number back twice does not let two owners have it."""
        numbers = Numbers(1)
        numbers.take()
        numbers.give_back(0)
        numbers.give_back(0)
        self.assertEqual([numbers.take(), numbers.take()], [0, None])
        self.assertEqual(numbers.in_use, 1)

    @profile(deadline=None, max_examples=int(os.environ.get("FUZZ", "200")))
    @given(st.integers(1, 12), st.lists(st.tuples(st.integers(0, 11), st.integers(0, 3))), st.integers())
    def test_any_order(self, size: int, ranges: list[tuple[int, int]], seed: int) -> None:
        """In any order of calls no number has two owners, and none is lost."""
        kept = {n for first, more in ranges for n in range(first, first + more + 1)} & set(range(size))
        numbers = Numbers(size, [(first, first + more) for first, more in ranges])
        chance, owned = random.Random(seed), set()
        for _ in range(60):
            what = chance.randrange(3)
            if what == 0:
                number = numbers.take()
                free = set(range(size)) - kept - owned
                self.assertEqual(number is None, not free)
                if number is not None:
                    self.assertIn(number, free)
                    owned.add(number)
            elif what == 1:
                number = chance.randrange(-1, size + 1)
                allowed = 0 <= number < size and number not in kept and number not in owned
                self.assertEqual(numbers.claim(number), allowed)
                if allowed:
                    owned.add(number)
            elif owned:
                number = chance.choice(sorted(owned))
                numbers.give_back(number)
                owned.discard(number)
            self.assertEqual(numbers.in_use, len(owned))


class TestPrefixes(SynchronousTestCase):
    def test_all_of_a_48(self) -> None:
        """A /48 gives its 65,536 /64s once each and then nothing."""
        pool = HomePrefixes(POOL)
        found = {pool.take() for _ in range(65536)}
        self.assertEqual(len(found), 65536)
        self.assertIsNone(pool.take())
        self.assertTrue(all(prefix is not None and prefix[:6] == POOL.prefix[:6] for prefix in found))

    def test_huge(self) -> None:
        """A /16 of /128s is as light as any other."""
        whole = PrefixPool(name="x", prefix=packed("2001::"), prefix_length=16, delegated_length=128)
        pool = HomePrefixes(whole)
        self.assertEqual(pool.take(), packed("2001::"))
        self.assertTrue(pool.claim(packed("2001:ffff::5"), 128))
        self.assertFalse(pool.claim(packed("2001:ffff::5"), 128))

    def test_static_prefixes_are_kept(self) -> None:
        """Prefixes that profiles name, also shorter and longer ones, are never handed out."""
        small = PrefixPool(name="x", prefix=packed("2001:db8::"), prefix_length=60)
        kept = [(packed("2001:db8::"), 64), (packed("2001:db8:0:4::"), 62), (packed("2001:db8:0:9::8"), 128)]
        pool = HomePrefixes(small, kept)
        found = [pool.take() for _ in range(17)]
        numbers = [prefix[7] for prefix in found if prefix is not None]
        self.assertEqual(numbers, [1, 2, 3, 8, 10, 11, 12, 13, 14, 15])
        self.assertFalse(pool.claim(packed("2001:db8:0:5::"), 64))

    def test_claims_off_the_grid(self) -> None:
        """A prefix with host bits set, of another length, or from elsewhere cannot be claimed."""
        pool = HomePrefixes(POOL)
        self.assertFalse(pool.claim(packed("2001:db8:1::5"), 64))
        self.assertFalse(pool.claim(packed("2001:db8:1::"), 63))
        self.assertFalse(pool.claim(packed("2001:db8:2::"), 64))


class TestAddresses(SynchronousTestCase):
    def test_router_network_and_broadcast(self) -> None:
        """The default router, network and broadcast address and profiles' addresses are left out."""
        whole = AddressPool(
            name="x",
            network=packed("192.0.2.0"),
            prefix_length=29,
            first=packed("192.0.2.0"),
            last=packed("192.0.2.7"),
            default_router=packed("192.0.2.1"),
        )
        pool = HomeAddresses(whole, [packed("192.0.2.3")])
        found = [pool.take() for _ in range(5)]
        self.assertEqual(found, [packed(f"192.0.2.{n}") for n in (2, 4, 5, 6)] + [None])


class TestSelection(SynchronousTestCase):
    def test_by_name_group_and_static(self) -> None:
        """A profile's pool or group is the only source; static pools serve only those that name them."""
        other = PrefixPool(name="O", prefix=packed("2001:db8:2::"), prefix_length=48, group="G", static=True)
        pools = HomePools(settings(prefix_pools=(other, POOL)))
        first = {
            name: pools.take_prefix(Profile(name="p", prefix_pool=name))
            for name in ("", "G", "O", "HOME", "-")
        }
        self.assertEqual(
            {name: pair and pair[0][5] for name, pair in first.items()},
            {"": 1, "G": 2, "O": 2, "HOME": 1, "-": None},
        )
        self.assertEqual(pools.subnet(packed("203.0.113.200")), (24, POOL4.default_router))
        self.assertEqual(pools.subnet(packed("192.0.2.200")), (32, None))
