"""The commands about what hosts are told: other home agents, and to refresh."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

import appliance.cli.commands.agents  # noqa: F401 - its commands are looked for
from appliance.cli.values import CommandError
from appliance.errors import ApplianceError
from appliance.ports_hosts import HomeAgentView
from test.cli.fake_services import FakeService, FakeSystem
from test.cli.fakes import FakeShell

AGENT = bytes.fromhex("20010db80000000000000000000000a1")


class Agent(FakeService):
    """A service that hosts register with."""

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(kind, name)
        self.orders: list[tuple[Any, ...]] = []

    def home_agents(self) -> list[HomeAgentView]:
        """Two."""
        return [
            HomeAgentView(address="2001:db8::1", preference=3, origin="this one", lifetime=0),
            HomeAgentView(address="2001:db8::2", preference=1, origin="advertised", lifetime=900),
        ]

    def switch_hosts(self, username: str, agents: tuple[bytes, ...], grace: int) -> tuple[int, str]:
        """Note it."""
        self.orders.append((username, agents, grace))
        return 7, self.refusal

    def ask_refresh(self, username: str) -> tuple[int, str]:
        """Note it."""
        self.orders.append((username,))
        return 7, self.refusal


class AgentTests(SynchronousTestCase):
    """An anchor and a home agent."""

    def setUp(self) -> None:
        """Make both."""
        self.services = {"lma": Agent("lma", "lma1"), "mipv6ha": Agent("mipv6ha", "ha1")}
        self.system = FakeSystem(*self.services.values())

    def run_line(self, line: str, rights: str = "administrator") -> Any:
        """What a command gives."""
        return FakeShell(self.system, rights).result(line)

    def test_show(self) -> None:
        """The list, by each kind of service."""
        for kind in self.services:
            lines = list(self.run_line(f"show {kind}-service home-agents", "inspector").lines(0))
            self.assertEqual(lines[-4].split(), ["2001:db8::1", "3", "this", "one", "for", "ever"])
            self.assertEqual(lines[-3].split(), ["2001:db8::2", "1", "advertised", "900"])

    def test_orders(self) -> None:
        """One host or all; a home agent and a time of grace."""
        for kind, service in self.services.items():
            which = f"{kind}-service {service.name}"
            for line, order in (
                (f"home-agent-switch {which} all", ("", (), 0)),
                (f"home-agent-switch {which} username a@b.org to 2001:db8::a1", ("a@b.org", (AGENT,), 0)),
                (f"home-agent-switch {which} all to 2001:db8::a1 grace 60", ("", (AGENT,), 60)),
                (f"home-agent-switch {which} all grace 4", ("", (), 4)),
                (f"binding-refresh-request {which} all", ("",)),
                (f"binding-refresh-request {which} username a@b.org", ("a@b.org",)),
            ):
                (said,) = self.run_line(line)
                self.assertIn("told: 7", said)
                self.assertEqual(service.orders.pop(), order, line)

    def test_refused(self) -> None:
        """What the service says against it; not by an inspector; not by nobody's name."""
        self.services["lma"].refusal = "no host has a binding"
        line = "home-agent-switch lma-service lma1 all"
        error = self.assertRaises(CommandError, list, self.run_line(line))
        self.assertIn("no host", str(error))
        self.assertRaises(ApplianceError, self.run_line, line, "inspector")
        self.assertRaises(ApplianceError, list, self.run_line(line.replace("lma1", "lma2")))
