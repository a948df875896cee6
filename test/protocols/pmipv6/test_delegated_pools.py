"""Which delegated prefixes are taken, however many there are."""

import random
import time
from types import SimpleNamespace

from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.pmipv6.delegated_pools import DelegatedPrefixes, Prefix, inside
from appliance.protocols.pmipv6.option_settings import DelegationPool
from appliance.protocols.pmipv6.settings import Profile
from test.protocols.pmipv6.lma_fakes import World, packed

POOLS = tuple(
    DelegationPool(name=name, prefix=packed(prefix), prefix_length=40, delegated_length=length)
    for name, prefix, length in (("LONG", "2001:db8:a000::", 60), ("SHORT", "2001:db8:b000::", 56))
)


class TakenTests(SynchronousTestCase):
    """A prefix is taken by itself, by one round it, and by one inside it."""

    def setUp(self) -> None:
        """Two pools of different lengths."""
        self.prefixes = DelegatedPrefixes(World(delegation_pools=POOLS).settings)

    def test_like_one_by_one(self) -> None:
        """The same as a comparison with all that is held, of both families."""
        chance, held = random.Random(6), set[Prefix]()
        for _ in range(600):
            family = chance.choice((4, 16))
            bits, lengths = 8 * family, (26, 28, 30) if family == 4 else (56, 58, 60)
            length = chance.choice(lengths)
            number = chance.getrandbits(6) << (bits - lengths[-1])
            number = number >> (bits - length) << (bits - length)
            prefix = number.to_bytes(family, "big"), length
            wanted = any(inside(prefix, one) or inside(one, prefix) for one in held)
            self.assertEqual(self.prefixes.taken(prefix), wanted)
            if prefix in held:
                held.remove(prefix)
                self.prefixes.release(prefix)
            elif not wanted:
                held.add(prefix)
                self.prefixes.own(SimpleNamespace(), prefix, taken=False)

    def test_many(self) -> None:
        """What a router asks for does not make us look through all that others have."""
        profile = Profile(name="x", delegation=True, delegation_pool="LONG")
        for _ in range(20_000):
            prefix = self.prefixes.take(profile, 16)
            assert prefix is not None
            self.prefixes.own(SimpleNamespace(), prefix, taken=True)
        wish = packed("2001:db8:b000:100::"), 56
        self.prefixes.taken(wish)
        start = time.process_time()
        for _ in range(100):
            self.assertFalse(self.prefixes.taken(wish))
        self.assertLess(time.process_time() - start, 0.1)
