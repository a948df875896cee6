"""An anchor that does everything at once: whatever comes in whatever order, its parts agree."""

import gc
import os
import weakref
from typing import Any

from attrs import evolve
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.pmipv6.events import Depart, Reconfigure
from appliance.protocols.pmipv6.extras import served_by
from test.protocols.pmipv6.everything import Everything

CASES = int(os.environ.get("FUZZ", "200"))
UPDATES = "binding-updates-received/"


class EverythingTests(SynchronousTestCase):
    """Couples all features."""

    def check(self, world: Everything) -> None:
        """Everything that must hold at any time."""
        lma = world.lma
        entries, cache, sessions = list(lma.sessions()), lma._cache, lma._sessions
        prefixes = [prefix for entry in entries for prefix, _ in entry.prefixes]
        addresses = [entry.ipv4_address for entry in entries if entry.ipv4_address is not None]
        self.assertEqual(len(prefixes), len(set(prefixes)))
        self.assertEqual(cache.prefixes.keys(), set(prefixes))
        self.assertEqual(len(addresses), len(set(addresses)))
        self.assertEqual(cache.addresses.keys(), set(addresses))
        held: list[Any] = []
        counts: dict[bytes, int] = {}
        grouped = 0
        for entry in entries:
            extras = entry.extras
            delegated = () if extras is None else extras.delegated
            held += delegated
            grouped += extras is not None and bool(extras.gateway_group)
            self.assertGreaterEqual(entry.bucket, 0)
            if not entry.of_host:
                counts[served_by(entry)] = counts.get(served_by(entry), 0) + 1
            if entry.deleting:
                self.assertNotIn(entry.call_id, world.installed)
                continue
            install = world.installed[entry.call_id]
            self.assertEqual(
                (install.prefixes, install.ipv4_address), (entry.prefixes + delegated, entry.ipv4_address)
            )
            if not lma.qos._suspects:
                self.assertEqual(install, sessions._current(entry))
        self.assertEqual(sum(not entry.deleting for entry in entries), len(world.installed))
        gateways = sessions.gateways
        self.assertEqual(gateways._counts, counts)
        self.assertLessEqual(gateways._ports.keys(), counts.keys())
        self.assertLessEqual(set(gateways._at.values()), gateways._ports.keys())
        behind = {who for each in gateways._neighbours.values() for who in each}
        self.assertEqual(behind, {who for who in counts if len(who) not in (4, 16)})
        self.assertEqual(
            sum(len(g.members) for gs in lma._bulk._groups.values() for g in gs.values()), grouped
        )
        (delegation,) = [each for each in lma._features.all if hasattr(each, "prefixes")]
        self.assertEqual(len(held), len(set(held)))
        self.assertEqual(delegation.prefixes.owners.keys(), set(held))
        if world.accounts:
            self.assertEqual(world.alive, {entry.call_id for entry in entries})
        transient = {e.call_id for e in entries if e.extras is not None and e.extras.transient is not None}
        self.assertEqual(lma._features.former.keys(), transient)
        self.counted(world)

    def counted(self, world: Everything) -> None:
        """The identities of the counters."""
        value, updates, lma = world.value, world.lma._updates, world.lma
        parts = ("total-accepted", "total-denied", "total-discarded", "pending")
        self.assertEqual(value(UPDATES + "total-received"), sum(value(UPDATES + part) for part in parts))
        waiting = len(updates.waiting) + len(updates.held) + lma._redirection.waiting + len(lma.hosts._room)
        waiting += sum(each.request is not None for each in updates.questions.open.values())
        self.assertEqual(value(UPDATES + "pending"), waiting)
        self.assertEqual(value("binding-acknowledgements-sent/denied"), value(UPDATES + "total-denied"))
        self.assertFalse(updates.held.keys() & updates.waiting.keys())
        self.assertLessEqual(updates.held.keys() | updates.waiting.keys(), lma._cache.calls.keys())
        self.assertLessEqual(lma._revocation._asked.keys(), lma._cache.calls.keys())

    def over(self, world: Everything) -> None:
        """All sessions have ended: nothing of them is left in any table."""
        lma, sessions = world.lma, world.lma._sessions
        self.assertEqual((lma.session_count, world.installed, world.alive), (0, {}, set()))
        self.assertEqual(
            [numbers.in_use for numbers in sessions.pools.prefixes], [0] * len(sessions.pools.prefixes)
        )
        self.assertEqual(
            [numbers.in_use for numbers in sessions.pools.addresses], [0] * len(sessions.pools.addresses)
        )
        gateways = sessions.gateways
        self.assertEqual((gateways._counts, gateways._ports, sessions._reserved), ({}, {}, set()))
        self.assertEqual((gateways._at, gateways._neighbours, len(gateways._known)), ({}, {}, 0))
        revocation = lma._revocation
        self.assertEqual(
            (revocation._initiator.open, list(revocation._queue), revocation._asked), ({}, [], {})
        )
        self.assertEqual(
            (revocation._whole, bool(revocation._sweeps), revocation.watches), ([], False, False)
        )
        self.assertEqual((lma._bulk._groups, list(lma._bulk._extensions)), ({}, []))
        self.assertEqual(lma._features.former, {})
        self.assertEqual((lma.notifications._waiting, list(lma.notifications._queue)), ({}, []))
        self.assertEqual((lma._heartbeat._coming, list(lma._heartbeat._queue)), ({}, []))
        self.assertEqual(world.value(UPDATES + "pending"), 0)

    @profile(deadline=None, max_examples=max(20, CASES // 4))
    @given(st.integers(0, 2**32))
    def test_any_sequence(self, seed: int) -> None:
        """Nothing is raised; tables, forwarding, accounts and counters agree; at the end all is free."""
        world = Everything(seed)
        for _ in range(80):
            world.step()
            self.check(world)
        if seed % 8 == 0:
            world.give(Depart())
            world.idle(20)
            self.assertTrue(world.lma.departed)
            return
        world.settings = evolve(world.settings, mipv6=True, heartbeat_interval=0)
        world.give(Reconfigure(world.settings))
        for seconds in (70, 4000, 4000, 4000, 20):
            world.idle(seconds)
            self.check(world)
        self.over(world)

    def test_nothing_is_left(self) -> None:
        """Without the collector of cycles: a service that goes takes all with it, whatever it was doing."""
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)
        for seed in range(4):
            world = Everything(seed)
            for _ in range(60):
                world.step()
            lma = world.lma
            kept = [weakref.ref(each) for each in (*lma._features.all, lma)]
            lma.dissolve()
            lma.close()
            del lma, world
            self.assertEqual([each() for each in kept if each() is not None], [])
