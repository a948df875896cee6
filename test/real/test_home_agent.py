"""A ``mipv6ha-service`` of a whole appliance, with hosts in other namespaces."""

import json

from scripts.labnet import CN_ADDRESS, LMA_ADDRESS
from test.real.mobile_case import ALICE, HOME, KEY, MobileCase

CONFIG = f"""config
context home
ipv6 pool HOSTS prefix 2001:db8:1:100::/64 delegated-length 128 static
subscriber default
exit
subscriber name {ALICE}
mn-ha-spi spi-number 256 secret 0x{KEY}
exit
mipv6ha-service ha1
bind address {LMA_ADDRESS}
home-address-pool HOSTS
exit
exit
end
"""


class HomeAgentTests(MobileCase):
    """One home agent."""

    def test_a_host_registers_speaks_and_is_cleared(self) -> None:
        """It is served, shown by every screen, and ended by an operator."""
        agent = self.started(CONFIG)
        self.assertEqual(self.register("mag1", 1, linger=True)["status"], 0)
        self.assertEqual(self.mobile("mag1", "ping", target=CN_ADDRESS), {"answer": CN_ADDRESS})
        self.assertIn(HOME, agent.cli("show mipv6ha-service session full"))
        self.assertIn("ha-mobile-ipv6:                1", agent.cli("show subscribers summary"))
        (view,) = json.loads(agent.cli("show subscribers | json"))
        self.assertEqual((view["access_type"], view["username"]), ("ha-mobile-ipv6", ALICE))
        progress = agent.cli("show session progress")
        self.assertIn("1 In-progress calls @ MOBILE-IPv6 CONNECTED state", progress)
        self.assertIn("Service Status: Started", agent.cli("show mipv6ha-service all"))
        screen = agent.cli("show mipv6ha-service statistics name ha1").splitlines()
        self.assertEqual(screen[1:4], ["MIPv6HA Service: ha1", "", "MIP AAA Authentication:"])
        self.assertNotIn("GRE", "\n".join(screen))
        accepted = "Initial Binding Update Requests", "Accepted"
        self.assertEqual(agent.counter("mipv6ha", *accepted), 1)
        cleared = agent.cli("autoconfirm", f"clear mipv6ha-service session username {ALICE}")
        self.assertIn("Number of MIPv6HA sessions cleared: 1", cleared)
        self.assertEqual(self.mobile("mag1", "ping", target=CN_ADDRESS, wait=0.5), {"answer": ""})
        self.assertEqual(agent.counter("mipv6ha", "Total Disconnects", "Admin Drops"), 1)
        agent.cli("clear mipv6ha-service statistics name ha1")
        self.assertEqual(agent.counter("mipv6ha", *accepted), 0)

    def test_a_binding_outlives_a_change(self) -> None:
        """Lines that are changed at run time leave it, and hold for the next update."""
        agent = self.started(CONFIG)
        self.assertEqual(self.register("mag1", 1)["lifetime"], 150)
        lines = ("configure", "context home", "mipv6ha-service ha1")
        agent.cli(*lines, "reg-lifetime 100", "newcall policy reject", "end")
        self.assertEqual(self.register("mag1", 2)["lifetime"], 25)
        self.assertEqual(self.register("mag1", 3, home="2001:db8:1:100::6")["status"], 129)
        self.assertEqual(agent.cli("show mipv6ha-service session summary").count(HOME), 1)
        agent.cli(*lines, "no reg-lifetime", "end")
        self.assertEqual(self.register("mag1", 4, lifetime=40000)["lifetime"], 40000)
        self.assertIn("no reg-lifetime", agent.cli("show configuration"))
