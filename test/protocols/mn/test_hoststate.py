"""What a mobile node makes of its host, and that all of it is taken back."""

import asyncio
from ipaddress import ip_address
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from appliance.errors import ResourceError
from appliance.protocols.mn.hoststate import FIRST_TABLE, MAIN_TABLE, PRIORITY, HomeState, HostState
from appliance.tun.kernel import Rule

HOME, CARE_OF = ip_address("2001:db8:1::5").packed, ip_address("2001:db8:a::2").packed
V4 = ip_address("203.0.113.5").packed


class FakeKernel:
    """Keeps a list of what is there."""

    def __init__(self) -> None:
        self.there: list[Any] = []
        self.refuse = ""

    async def add_address(self, *address: Any) -> bool:
        """As the kernel."""
        if self.refuse in ("address",):
            raise ResourceError("no")
        self.there.append(address)
        return True

    async def remove_address(self, *address: Any) -> bool:
        """As the kernel; routes that prefer it as a source go too."""
        self.there.remove(address)
        self.there = [each for each in self.there if isinstance(each, Rule) or each[-1] != address[1]]
        return True

    async def add_rule(self, rule: Rule) -> bool:
        """As the kernel."""
        self.there.append(rule)
        return True

    async def remove_rule(self, rule: Rule) -> bool:
        """As the kernel."""
        self.there.remove(rule)
        return True

    async def add_table_default(self, *route: Any) -> bool:
        """As the kernel."""
        self.there.append(("default", *route))
        return True

    async def add_table_throw(self, *route: Any) -> bool:
        """As the kernel."""
        self.there.append(("throw", *route))
        return True

    async def remove_table_throw(self, *route: Any) -> None:
        """As the kernel."""
        self.there.remove(("throw", *route))


class HostStateTests(SynchronousTestCase):
    """The host follows what is wanted."""

    def setUp(self) -> None:
        """A host with nothing on it."""
        self.kernel: Any = FakeKernel()
        self.told: list[str] = []

    def run_states(self, *states: HomeState, number: int = 0) -> list[Any]:
        """Bring the host from one state to the next; what is there at the end, before it is closed."""

        async def go() -> list[Any]:
            host = HostState(self.kernel, "mn-mn1", number, self.told.append)
            for state in states:
                host.want(state)
                await asyncio.sleep(0.001)
            there = list(self.kernel.there)
            await host.close()
            return there

        return asyncio.run(go())

    def test_rules(self) -> None:
        """Marked packets and those of the care-of address by the real way, everything else home."""
        there = self.run_states(HomeState(home=HOME, tunnel=True, sources=frozenset((CARE_OF,))))
        rules = [each for each in there if isinstance(each, Rule)]
        self.assertEqual(
            [(rule.priority - PRIORITY, rule.table, bool(rule.mark), rule.no_default) for rule in rules],
            [
                (0, MAIN_TABLE, True, False),
                (1, MAIN_TABLE, False, False),
                (2, FIRST_TABLE, False, False),
                (3, MAIN_TABLE, False, True),
                (4, FIRST_TABLE, False, False),
            ],
        )
        self.assertEqual(self.kernel.there, [])

    def test_without_a_tunnel_only_the_home_address_is_kept_in(self) -> None:
        """Other packets go the real way; those of the home address never do."""
        there = self.run_states(HomeState(home=HOME, tunnel=True), HomeState(home=HOME))
        sources = [(rule.source, bool(rule.mark)) for rule in there if isinstance(rule, Rule)]
        self.assertEqual(sources, [("", True), ("2001:db8:1::5", False)])

    def test_both_families_and_networks(self) -> None:
        """IPv4 has rules of its own; a mobile router's networks are not looked up in its table."""
        network = (CARE_OF[:8] + bytes(8), 64)
        there = self.run_states(HomeState(home=HOME, ipv4=V4, networks=(network,), tunnel=True), number=3)
        self.assertEqual({rule.family for rule in there if isinstance(rule, Rule)}, {4, 6})
        self.assertIn(("throw", 6, FIRST_TABLE + 3, *network), there)
        self.assertEqual(self.kernel.there, [])

    def test_home(self) -> None:
        """At home the address is on the link, and there are no rules."""
        there = self.run_states(
            HomeState(home=HOME, tunnel=True), HomeState(home_link="eth0", at_home=HOME)
        )
        self.assertEqual(there, [("eth0", HOME, 64)])

    def test_a_refusal_is_told_and_the_rest_is_done(self) -> None:
        """Also when it is taken back."""
        self.kernel.refuse = "address"
        there = self.run_states(HomeState(home=HOME))
        self.assertEqual(self.told, ["no"])
        self.assertEqual(len(there), 3)
