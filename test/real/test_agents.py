"""How hosts find home agents and prefixes, and what a real home agent says to them by itself."""

import json
import sys
from typing import Any

from scripts.labnet import CN_ADDRESS, LMA_ADDRESS, MAG_ADDRESSES, run
from scripts.labrun import environment, wait_for
from test.real.common import LabTests
from test.real.test_hosts import ALICE, CONFIG, HOME, KEY

ANYCAST = "2001:db8:1:100:fdff:ffff:ffff:fffe"
OTHER, LEARNT = "2001:db8:1:100::a1", "2001:db8:1:100::a2"


class AgentTests(LabTests):
    """One home agent, and a host that says what it is told to."""

    def run_host(self, module: str, role: str, command: str, **want: Any) -> Any:
        """Start a command of a scripted host; ``finish`` gives its answer."""
        fields = {"agent": LMA_ADDRESS, "care_of": MAG_ADDRESSES["mag1"], "home": HOME, "mn": ALICE, **want}
        python = (sys.executable, "-m", f"test.real.{module}", command, json.dumps(fields))
        return self.lab.popen(role, *python, stdout=-1, stderr=-1, env=environment())

    def finish(self, child: Any) -> dict[str, Any]:
        """Wait for its answer."""
        out, trouble = child.communicate(timeout=30)
        self.assertEqual(child.returncode, 0, trouble)
        found: dict[str, Any] = json.loads(out)
        return found

    def host(self, command: str, role: str = "mag1", **want: Any) -> dict[str, Any]:
        """Do one thing and give the answer."""
        return self.finish(self.run_host("agent_host", role, command, **want))

    def register(self, sequence: int, **want: Any) -> dict[str, Any]:
        """An update with the right key."""
        fields = {"key": KEY, "spi": 256, "lifetime": 150, "sequence": sequence, **want}
        return self.finish(self.run_host("mobile", "mag1", "register", **fields))

    def test_discovery(self) -> None:
        """By the anycast address, past a kernel that does not know it; the list changes with the link."""
        name = self.lab.name
        run("ip", "-n", name("lma"), "link", "add", "home0", "type", "veth", "peer", "name", "home0",
            "netns", name("cn"))  # fmt: skip
        self.lab.ip("lma", "link set home0 up")
        self.lab.ip("cn", "link set home0 up")
        lines = (
            f"mipv6 home-link home0\nmipv6 home-agent-discovery\nmipv6 home-agent {OTHER} preference 5\n"
            "mipv6 router-advertisement\nmipv6 home-agent-preference 3"
        )
        anchor = self.started(CONFIG % lines)
        asked = {"source": CN_ADDRESS, "target": ANYCAST, "identifier": 77}
        answer = self.host("discover", "cn", **asked)
        self.assertEqual(answer, {"identifier": 77, "agents": [OTHER, LMA_ADDRESS]})

        def settled() -> bool:
            return "tentative" not in run("ip", "-n", name("lma"), "addr", "show", "home0")

        wait_for("the link-local address", settled, 5)
        heard = self.host("advertise", "cn", device="home0", address=LEARNT, preference=9)
        self.assertTrue(heard["from"].startswith("fe80"), heard)
        self.assertEqual(heard["options"], [3, 3, 8])
        answer = self.host("discover", "cn", **asked)
        self.assertEqual(answer["agents"], [LEARNT, OTHER, LMA_ADDRESS])
        shown = anchor.cli("show lma-service home-agents")
        for text in (LEARNT, "advertised", "configured", "this one"):
            self.assertIn(text, shown)
        lines = ("configure", "context anchor", "lma-service lma1", "no mipv6 home-agent-discovery", "end")
        anchor.cli(*lines)
        self.assertEqual(self.host("discover", "cn", **asked, wait=0.4), {})
        anchor.stop()
        self.assertNotIn("fdff", run("ip", "netns", "exec", name("lma"), "cat", "/proc/net/anycast6"))

    def test_prefixes(self) -> None:
        """A solicitation is answered by a routing header; short-lived prefixes are told by status 1."""
        self.started(CONFIG % "mipv6 prefix-lifetime valid 5000\nmipv6 prefix-lifetime preferred 500")
        self.assertEqual(self.register(1)["status"], 1)
        answer = self.host("solicit", identifier=9)
        wanted = {"identifier": 9, "home": HOME, "checksum": True, "prefix": "2001:db8:1:100::/64"}
        self.assertEqual(answer, {**wanted, "valid": 5000, "preferred": 500})
        self.assertEqual(self.host("solicit", identifier=9, home=OTHER, wait=0.4), {})

    def test_messages_to_hosts(self) -> None:
        """Refresh request, another home agent, revocation: authentic, counted, and they have their effect."""
        anchor = self.started(CONFIG % f"revocation enable\nmipv6 home-agent {OTHER}")
        self.assertEqual(self.register(1)["status"], 0)
        lines = {
            0: "binding-refresh-request lma-service lma1 all",
            12: f"home-agent-switch lma-service lma1 username {ALICE}",
            16: f"clear lma-service session username {ALICE}",
        }
        for kind, line in lines.items():
            child = self.run_host("agent_host", "mag1", "listen", kind=kind, key=KEY, spi=256)
            child.stderr.readline()
            anchor.cli("autoconfirm", line)
            answer = self.finish(child)
            self.assertEqual((answer.get("home"), answer.get("checksum")), (HOME, True), kind)
            if kind == 12:
                self.assertEqual(answer["agents"], [OTHER])
                self.assertEqual(self.register(2)["status"], 129)
        self.assertEqual((answer["trigger"], answer["flags"]), (1, 0))
        wait_for("the end", lambda: anchor.counter("lma", "Total Disconnects", "Admin Drops") == 1, 5)
        for heading, label in (
            ("Messages To Hosts", "Binding Refresh Requests Sent"),
            ("Messages To Hosts", "Home Agent Switch Sent"),
            ("Binding Revocation", "Ack Rcvd"),
            ("Received Revocation ACK Status", "Success"),
        ):
            self.assertEqual(anchor.counter("lma", heading, label), 1, label)

    def test_a_home_address(self) -> None:
        """A host without one asks by the unspecified address, gets one and keeps it."""
        self.started(CONFIG % "mipv6 home-address-assignment")
        answer = self.register(1, home="::")
        self.assertEqual((answer["status"], answer["home"][:15]), (0, "2001:db8:1:100:"), answer)
        home = answer["home"]
        self.assertEqual(self.register(2, home="::")["home"], home)
        answer = self.register(3, home=home)
        self.assertEqual((answer["status"], answer["authentic"]), (0, True))
