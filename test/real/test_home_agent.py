"""A ``mipv6ha-service`` of a whole appliance, with hosts in other namespaces."""

import json

from scripts.labnet import CN_ADDRESS, LMA_ADDRESS, MAG_ADDRESSES
from scripts.labrun import wait_for
from test.real.mobile_case import AAA, AAA_KEY, ALICE, HOME, KEY, MobileCase

DENY = "Binding Update Deny Reasons"
GATEWAY = f"""config
context access
mag-service mag1
bind address {MAG_ADDRESSES['mag1']}
lma-address {LMA_ADDRESS}
access-interface acc0
mobile-node any nai mn1@example.org interface acc0
exit
exit
end
"""

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
        shown = agent.cli("show mipv6ha-service session full")
        self.assertRegex(shown, f"Home Address: +{HOME}/128")
        self.assertRegex(shown, f"Care-of Address: +{MAG_ADDRESSES['mag1']}")
        self.assertIn("Care-of Address", agent.cli("show mipv6ha-service session summary"))
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

    def test_a_gateway_is_refused(self) -> None:
        """A proxy update gets 152 (RFC 5213 section 5.3.1), by a real gateway's own word."""
        agent = self.started(CONFIG)
        gateway = self.appliance(GATEWAY, "mag1")
        gateway.start()
        gateway.wait_ready()
        self.lab.attach()
        wait_for("the refusal", lambda: agent.counter("mipv6ha", DENY, "Proxy Reg Not Enabled") > 0, 10)
        self.assertGreater(gateway.counter("mag", "Denied by LMA", "Proxy Reg Not Enabled"), 0)

    def test_authorized_accounted_and_watched(self) -> None:
        """The AAA server checks the MN-AAA option (RFC 5778) and gets a record; the tap sees the messages."""
        text = CONFIG.replace("mipv6ha-service", AAA + "mipv6ha-service", 1)
        agent = self.started(text.replace("home-address-pool", "aaa group home\nhome-address-pool"))
        wait_for("the server", lambda: agent.cli("show diameter peers").count("OPEN") >= 2, 20)
        file = self.work / "ha.pcapng"
        agent.cli(f"capture start {file}")
        bob = {"mn": "bob@example.org", "key": "", "aaa_key": AAA_KEY}
        self.assertEqual(self.register("mag1", 1, **bob)["status"], 0)
        self.assertEqual(agent.counter("mipv6ha", "MIP AAA Authentication", "Success"), 1)
        self.assertIn("key from AAA", agent.cli("show mipv6ha-service session full"))
        self.assertEqual(self.register("mag1", 2, **{**bob, "aaa_key": KEY})["status"], 146)
        self.assertEqual(agent.counter("mipv6ha", "MIP AAA Authentication", "Actual Auth Failures"), 1)
        agent.cli("capture stop all")
        self.assertIn(b"mipv6ha-service ha1", file.read_bytes())
        agent.cli("autoconfirm", "clear mipv6ha-service session all")
        records = "show accounting records"
        wait_for("the record", lambda: "bob@example.org" in agent.cli(records), 10)
        self.assertIn("MIPv6HA Service", agent.cli("show congestion-control"))
        self.assertIn("mipv6ha-service ha1", agent.cli("show tech-support"))
