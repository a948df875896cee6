"""A mobile node of ours that comes home: a real home link with a neighbour (RFC 6275 11.5.5)."""

from scripts.labmobile import HOME, settled
from scripts.labnet import CN_ADDRESS, run
from scripts.labrun import Appliance, LineConnection, wait_for
from test.real.test_mn import FIRST, MobileTests

PREFIX = "2001:db8:1:100::"
ROUTER, NEIGHBOUR = f"{PREFIX}1", f"{PREFIX}80"
AGENT = "home-link home0"


class HomeTests(MobileTests):
    """``home0`` of home agent, correspondent and mobile node are one Ethernet."""

    def setUp(self) -> None:
        """Lay the link; the mobile node's end is down."""
        super().setUp()
        self.lab.ip("net", "link add home type bridge mcast_snooping 0", "link set home up")
        for role in ("lma", "cn", "mn"):
            self.lab.ip(
                "net",
                f"link add home-{role} type veth peer name home0 netns {self.lab.name(role)}",
                f"link set home-{role} master home",
                f"link set home-{role} up",
            )
        self.lab.ip("lma", "link set home0 up", f"addr add {ROUTER}/64 dev home0 nodad")
        self.lab.ip("cn", "link set home0 up", f"addr add {NEIGHBOUR}/64 dev home0 nodad")

    def state(self, mn: Appliance) -> str:
        """What the mobile node says of itself."""
        (seen,) = mn.json("show mn-client session")
        return str(seen["state"])

    def test_returns_home_and_leaves_again(self) -> None:
        """The binding ends, the address is on the link and its neighbours know; the connection goes on."""
        self.lab.attach()
        agent, mn = self.both("interface home0 preference 250", agent=AGENT, care_of=FIRST)
        self.assertEqual(self.received("cn", HOME), 3)
        line = LineConnection(self.lab, HOME, self.work)
        self.addCleanup(line.kill)
        line.wait_lines(5, 10)
        # The host has an address on the home link, as an advertisement would make it.
        self.lab.ip("mn", "link set home0 up", f"addr add {PREFIX}99/64 dev home0 nodad")
        self.lab.ip("mn", f"route add default via {ROUTER} dev home0 metric 10")
        wait_for("the return", lambda: self.state(mn) == "at home", 10)
        shown = run("ip", "-n", self.lab.name("mn"), "-6", "addr", "show", "dev", "home0")
        self.assertIn(HOME, shown)
        self.assertEqual(self.rules(), [])
        self.assertNotIn("active", agent.cli("show mipv6ha-service session"))
        self.assertEqual(self.received("cn", HOME), 3)
        line.wait_lines(10, 20)
        self.lab.ip("mn", "link set home0 down")
        settled(mn, FIRST)
        line.wait_lines(10, 20)
        self.assertEqual(line.finish()["error"], "")
        self.assertEqual(self.received("mn", CN_ADDRESS), 3)
        shown = run("ip", "-n", self.lab.name("mn"), "-6", "addr", "show", "dev", "home0")
        self.assertNotIn(HOME, shown)
