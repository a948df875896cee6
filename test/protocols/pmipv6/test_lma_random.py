"""Whatever arrives in whatever order: the invariants hold, and nothing is ever raised."""

import os
import random
from typing import Any

from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.mobility.codec import seal
from appliance.protocols.mobility.options import GreKey
from appliance.protocols.pmipv6.events import ClearSessions, Install, Remove
from appliance.protocols.pmipv6.settings import Profile
from test.fuzz import DECODER_CASES
from test.protocols.pmipv6.lma_fakes import LMA_ADDRESS, MAG1, MAG2, MAG_IPV4, STRANGER, World, packed

CASES = int(os.environ.get("FUZZ", "200"))
RECEIVED = "binding-updates-received/"
KINDS = (
    "initial-binding-update-requests",
    "refresh-binding-update-requests",
    "dereg-requests",
    "handoff-requests",
)


def random_update(chance: random.Random, world: World) -> dict[str, Any]:
    """Keywords of an update, plausible or not."""
    prefixes: list[tuple[str, int]] = [("::", 0)]
    pick = chance.randrange(8)
    if pick == 0:
        prefixes = []
    elif pick < 4:
        prefixes = [(f"2001:db8:1:{chance.randrange(6):x}::", 64)]
    elif pick == 4:
        prefixes = [("2001:db8:1:1::", 64), (f"2001:db8:1:{chance.randrange(6):x}::", 64)]
    source, port = chance.choice([(MAG1, 0), (MAG2, 0), (MAG_IPV4, 5436), (STRANGER, 0)])
    return {
        "mn": chance.choice([b"a@x", b"b@x", b"c@x", b"static@x", None]),
        "prefixes": prefixes,
        "ipv4": chance.choice([[], [], ["0.0.0.0"], ["203.0.113.12"], ["0.0.0.0", "0.0.0.0"]]),
        "hi": chance.choice([1, 1, 2, 3, 4, 4, 5, None]),
        "att": chance.choice([4, 4, 4, 5, None]),
        "ll": chance.choice([None, b"\2\0\0\0\0\1", b"\2\0\0\0\0\2"]),
        "time": chance.choice([None, world.now.wall, world.now.wall, world.now.wall + 9]),
        "sequence": chance.randrange(65536) if chance.random() < 0.2 else int(world.mono * 10) & 0xFFFF,
        "lifetime": chance.choice([0, 0, 1, 30, 900]),
        "extra": chance.choice([[], [], [GreKey(chance.randrange(3))], [GreKey(None)]]),
        "source": source,
        "port": port,
    }


class TestInvariants(SynchronousTestCase):
    def check(self, world: World, installed: dict[int, Install]) -> None:
        """Everything that must hold at any time."""
        cache = world.lma._cache
        entries = list(world.lma.sessions())
        prefixes = [prefix for entry in entries for prefix, _ in entry.prefixes]
        addresses = [entry.ipv4_address for entry in entries if entry.ipv4_address is not None]
        self.assertEqual(len(prefixes), len(set(prefixes)))
        self.assertEqual(len(addresses), len(set(addresses)))
        self.assertEqual({key: id(one) for key, one in cache.prefixes.items()}.keys(), set(prefixes))
        self.assertEqual(cache.addresses.keys(), set(addresses))
        for entry in entries:
            self.assertTrue(entry.prefixes or entry.ipv4_address)
            self.assertIn(entry, cache.of(entry.mn_id))
            self.assertTrue(all(cache.prefixes[prefix] is entry for prefix, _ in entry.prefixes))
            self.assertGreaterEqual(entry.bucket, 0)
        self.assertEqual(sum(len(cache.of(mn)) for mn in cache.mobiles), len(entries))
        forwarded = {entry.call_id: entry for entry in entries if not entry.deleting}
        self.assertEqual(installed.keys(), forwarded.keys())
        for call_id, install in installed.items():
            entry = forwarded[call_id]
            self.assertEqual(
                (install.prefixes, install.ipv4_address, install.peer, install.local, install.send_key),
                (entry.prefixes, entry.ipv4_address, entry.care_of, entry.local, entry.send_key),
            )
        kept = {packed("2001:db8:1:5::")}
        self.assertEqual(world.lma._sessions.pools.prefixes[0].in_use, len(set(prefixes) - kept))
        self.assertEqual(world.lma._sessions.pools.addresses[0].in_use, len(addresses))
        value = world.value
        parts = ("total-accepted", "total-denied", "total-discarded", "pending")
        self.assertEqual(value(RECEIVED + "total-received"), sum(value(RECEIVED + part) for part in parts))
        self.assertEqual(value(RECEIVED + "pending"), len(world.lma._updates.waiting))
        self.assertEqual(value(RECEIVED + "total-denied"), sum(value(f"{kind}/denied") for kind in KINDS))
        self.assertEqual(value("binding-acknowledgements-sent/denied"), value(RECEIVED + "total-denied"))

    @profile(deadline=None, max_examples=max(20, CASES // 4))
    @given(st.integers(0, 2**32), st.booleans())
    def test_any_sequence(self, seed: int, any_prefix: bool) -> None:
        """Random updates, waits and clears keep pools, indexes, forwarding and counters together."""
        chance = random.Random(seed)
        static = Profile(name="s", mn_id=b"static@x", prefixes=((packed("2001:db8:1:5::"), 64),))
        world = World(
            profiles=(static,),
            default_profile=Profile(name="d", ipv4=True, any_prefix=any_prefix, prefix_count=1 + seed % 2),
            max_subscribers=6,
            refresh_advice_option=True,
        )
        installed: dict[int, Install] = {}
        events = 0
        packets: list[Any] = []
        for _ in range(60):
            what = chance.random()
            if what < 0.8:
                if packets and chance.random() < 0.15:
                    packet = chance.choice(packets)
                else:
                    packet = world.build(**random_update(chance, world))
                    packets.append(packet)
                effects = world.packet(*packet)
                events += 1
                world.mono += chance.choice([0.0, 0.1, 1.0])
            elif what < 0.97:
                effects = world.pass_time(chance.choice([0.3, 1.5, 5, 11, 200]))
            else:
                chosen = ClearSessions(mn_id=chance.choice([b"a@x", b""]))
                world.lma.receive(chosen, world.now)
                effects = world.lma.take()
            for effect in effects:
                if isinstance(effect, Install):
                    installed[effect.call_id] = effect
                elif isinstance(effect, Remove):
                    del installed[effect.call_id]
            self.check(world, installed)
        self.assertEqual(world.value(RECEIVED + "total-received"), events)
        # An update that waited becomes a session when the first time is over, and ends in the second.
        for seconds in (4000, 4000, 20):
            world.pass_time(seconds)
        self.assertEqual((world.lma.session_count, world.lma.deadline), (0, None))
        self.assertEqual(world.lma._sessions.pools.prefixes[0].in_use, 0)


class TestFuzz(SynchronousTestCase):
    @profile(deadline=None, max_examples=DECODER_CASES)
    @given(st.binary(max_size=200), st.integers(0, 3), st.booleans())
    def test_random_octets(self, data: bytes, start: int, right: bool) -> None:
        """Any octets from anywhere are counted once and raise nothing."""
        world = World()
        if start:
            data = b"\x3b%c\5\0\0\0" % (max(0, len(data) // 8 - 1) % 256) + data
        if right and len(data) >= 8:
            data = seal(data[:4] + b"\0\0" + data[6:], MAG1, LMA_ADDRESS)
        world.packet(data, MAG_IPV4 if start == 2 else MAG1, 1 if start == 2 else 0)
        total = world.value(RECEIVED + "total-received") + world.value("other-mobility-messages/received")
        self.assertEqual(total, 1)

    @profile(deadline=None, max_examples=CASES)
    @given(st.integers(0, 2**32))
    def test_mutated_updates(self, seed: int) -> None:
        """A good update with some octets changed, its checksum made right again, raises nothing."""
        chance = random.Random(seed)
        world = World(alt_coa_allowed=True, forced_udp_encapsulation=True)
        for number in range(8):
            data, source, port = world.build(**random_update(chance, world))
            mutated = bytearray(data)
            for _ in range(chance.randrange(5)):
                mutated[chance.randrange(len(mutated))] = chance.choice([0, 1, 2, 8, 22, 36, 128, 255])
            mutated[4:6] = b"\0\0"
            sealed = bytes(mutated) if port else seal(bytes(mutated), source, LMA_ADDRESS)
            world.packet(sealed, source, port)
            total = world.value(RECEIVED + "total-received") + world.value("other-mobility-messages/received")
            self.assertEqual(total, number + 1)
