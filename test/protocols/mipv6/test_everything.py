"""All features of hosts at once: whatever happens in whatever order, all parts agree, and nothing is left."""

import os
from typing import Any

from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.mipv6.agent_messages import HostSwitch, RefreshRequests
from appliance.protocols.mipv6.home_link import HomeLink
from appliance.protocols.mipv6.nemo import MobileRouters
from appliance.protocols.mipv6.nemo_leases import Lease
from appliance.protocols.mipv6.prefixes import PrefixDiscovery
from appliance.protocols.pmipv6.events import ClearSessions, Depart
from test.protocols.mipv6.everything import LIFE, Everything

CASES = int(os.environ.get("FUZZ", "12"))
UPDATES = "binding-updates-received/"


class EverythingTests(SynchronousTestCase):
    """DSMIPv6, NEMO, several care-of addresses, home link, revocation, discovery, assignment."""

    def part(self, world: Everything, kind: type) -> Any:
        """The feature of a class."""
        return next(each for each in world.lma.hosts.features.all if isinstance(each, kind))

    def check(self, world: Everything) -> None:
        """Everything that must hold at any time."""
        cache, sessions = world.lma._cache, world.lma._sessions
        entries = list(cache.calls.values())
        homes = [prefix for entry in entries for prefix, _ in entry.prefixes]
        self.assertEqual(sorted(cache.prefixes), sorted(homes))
        addresses = [entry.ipv4_address for entry in entries if entry.ipv4_address is not None]
        self.assertEqual(sorted(cache.addresses), sorted(addresses))
        alive = {entry.call_id: entry for entry in entries if not entry.deleting}
        self.assertEqual(world.installed.keys(), alive.keys())
        held: list[Any] = []
        for entry in entries:
            held += entry.extras.delegated
            self.assertGreaterEqual(entry.bucket, 0)
            host = entry.extras.host
            if entry.deleting:
                continue
            self.assertEqual(world.installed[entry.call_id], sessions.forwarding(entry))
            self.assertIn(len(entry.care_of), (4, 16))
            self.assertEqual(len(entry.care_of) == 4, host.away is not None)
            if host.several is not None:
                self.assertIn(entry.care_of, [care.address for care in host.several.values()])
        self.assertEqual(len(held), len(set(held)))
        owners = sessions.delegated.owners
        leased = {prefix for prefix, owner in owners.items() if isinstance(owner, Lease)}
        self.assertEqual(owners.keys(), leased | set(held))
        routers = self.part(world, MobileRouters)
        self.assertEqual(len(routers.leases), len(leased))
        defended = self.part(world, HomeLink)._link_locals.values()
        self.assertEqual([entry for entry in defended if cache.calls.get(entry.call_id) is not entry], [])
        self.counted(world)

    def counted(self, world: Everything) -> None:
        """The identities of the counters."""
        value, lma = world.value, world.lma
        parts = ("total-accepted", "total-denied", "total-discarded", "pending")
        self.assertEqual(value(UPDATES + "total-received"), sum(value(UPDATES + part) for part in parts))
        self.assertEqual(value(UPDATES + "pending"), len(lma.hosts._room))
        self.assertEqual(value("binding-acknowledgements-sent/denied"), value(UPDATES + "total-denied"))
        self.assertTrue(world.balanced())

    def over(self, world: Everything) -> None:
        """All bindings have ended, and all leases: nothing of them is left in any table."""
        lma, sessions = world.lma, world.lma._sessions
        self.assertEqual((lma.session_count, world.installed), (0, {}))
        self.assertEqual((world.routes, world.tests), (set(), set()))
        pools = sessions.pools
        self.assertEqual([each.in_use for each in (*pools.prefixes, *pools.addresses)], [0, 0, 0])
        self.assertEqual(sessions.delegated.owners, {})
        self.assertEqual([each.in_use for _, each in sessions.delegated._pools], [0, 0])
        self.assertEqual((sessions._reserved, len(lma.hosts._room)), (set(), 0))
        routers = self.part(world, MobileRouters)
        self.assertEqual((len(routers.leases), routers._reached, list(routers._suspects)), (0, set(), []))
        switch, refresh = self.part(world, HostSwitch), self.part(world, RefreshRequests)
        self.assertEqual((switch._switching, list(switch._queue), refresh._asked), ({}, [], {}))
        prefixes, link = self.part(world, PrefixDiscovery), self.part(world, HomeLink)
        self.assertEqual((prefixes._deliveries, prefixes._recent), ({}, {}))
        self.assertEqual((list(link._again), list(link._all), link._left), ([], [], set()))
        self.assertEqual((link._link_locals, link._halves), ({}, {}))
        revocation = lma._revocation
        self.assertEqual((revocation._initiator.open, list(revocation._queue)), ({}, []))
        self.assertFalse(revocation._sweeps or revocation._searches)
        self.assertEqual(list(sessions.suspects), [])
        self.assertEqual(world.value(UPDATES + "pending"), 0)

    def history(self, seed: int) -> None:
        """Nothing is raised, and at the end all is free."""
        world = Everything(seed)
        for _ in range(100):
            world.step()
            self.check(world)
        if seed % 8 == 0:
            world.give(Depart())
            world.idle(10)
            self.assertTrue(world.lma.departed)
            return
        if seed % 8 == 1:
            # What waits for a test of its address makes a binding yet.
            world.idle(3)
            world.give(ClearSessions())
            world.idle(20)
            self.assertEqual([each for each in world.lma.sessions() if not each.deleting], [])
        for seconds in (5, 700, 700, LIFE + 1, 20):
            world.idle(seconds)
            self.check(world)
        world.settings = world.first
        world.change()
        world.idle(20)
        self.over(world)

    @profile(deadline=None, max_examples=CASES)
    @given(st.integers(0, 2**32))
    def test_any_sequence(self, seed: int) -> None:
        """Updates, delegations, orders, answers, silence, changes of settings."""
        self.history(seed)
