"""A mobile node of ours and a home agent of ours, on kernels that need not know Mobile IPv6."""

import json
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from scripts.labmobile import HOME, HOME_AGENT, MOBILE_NODE, PREFIXES, MobileLab, settled
from scripts.labnet import CN_ADDRESS, LMA_ADDRESS, run
from scripts.labrun import ROOT, Appliance, LineConnection, environment, stop, wait_for
from test.real.common import SKIP

FIRST, SECOND = (PREFIXES[role][:-2] for role in ("mag1", "mag2"))


class MobileTests(SynchronousTestCase):
    """One mobile node, one home agent; nothing stays."""

    skip = SKIP
    lab: MobileLab

    def setUp(self) -> None:
        """Build the laboratory, with an appliance at home and one that is mobile."""
        self.lab = MobileLab(f"t{os.getpid()}")
        self.addCleanup(self.lab.down)
        self.lab.up()
        self.work = Path(tempfile.mkdtemp(prefix="appliance-test-"))
        self.addCleanup(shutil.rmtree, self.work, True)

    def begun(self, role: str, text: str, *more: str) -> Appliance:
        """An appliance that is on its way, with ``more`` arguments; it is ended after the test."""
        path = self.work / f"{role}.conf"
        path.write_text(text)
        node = Appliance(self.lab, role, path, self.work)
        words = [*node.run_arguments(), *more]
        node.run_arguments = lambda: words  # type: ignore[method-assign]
        self.addCleanup(node.stop)
        node.start()
        return node

    def received(self, role: str, target: str) -> int:
        """How many of three pings are answered."""
        words = ("ping", "-n", "-c", "3", "-i", "0.1", "-W", "1", target)
        return self.lab.exec(role, *words, check=False).count("bytes from")

    def rules(self) -> list[str]:
        """The routing rules of the mobile node that are not the kernel's own."""
        lines = run("ip", "-n", self.lab.name("mn"), "-6", "rule").splitlines()
        return [line for line in lines if line.split(":")[0] not in ("0", "32766")]

    def policies(self) -> str:
        """The XFRM policies of the mobile node."""
        return run("ip", "-n", self.lab.name("mn"), "xfrm", "policy")

    def both(
        self, mobile: str = "", *more: str, agent: str = "", care_of: str = FIRST
    ) -> tuple[Appliance, Appliance]:
        """Home agent and mobile node with more lines, registered with a care-of address."""
        home, mn = self.begun("lma", HOME_AGENT % agent), self.begun("mn", MOBILE_NODE % mobile, *more)
        home.wait_ready()
        mn.wait_ready()
        settled(mn, care_of)
        return home, mn

    def arrive(self, mobile: str = "", *more: str) -> tuple[Appliance, Appliance]:
        """The same in the first network."""
        self.lab.attach()
        return self.both(mobile, *more)


class RoamingTests(MobileTests):
    """Networks of IPv6."""

    def test_registers_speaks_moves_and_leaves(self) -> None:
        """Applications that know nothing use the home address; one connection goes on through a move."""
        agent, mn = self.arrive()
        self.assertEqual(self.received("mn", CN_ADDRESS), 3)
        self.assertEqual(self.received("cn", HOME), 3)
        line = LineConnection(self.lab, "::", self.work)
        self.addCleanup(line.kill)
        line.wait_lines(10, 10)
        self.lab.move("mag1", "mag2")
        settled(mn, SECOND)
        line.wait_lines(10, 20)
        result = line.finish()
        self.assertEqual((result["error"], result["local"][0]), ("", HOME))
        self.assertEqual(self.received("cn", HOME), 3)
        told = mn.cli("show mn-client session", "show mn-client bindings full", "show mn-client all")
        for text in ("State: registered", "Tunnel: 6in6 by mn0", "Handoffs: 1", SECOND, "MN-HA Keys: 1"):
            self.assertIn(text, told)
        self.assertNotIn("0001020304", told)
        values = mn.json("show mn-client statistics")
        self.assertEqual(values["registration/moved"], 1)
        self.assertGreater(values["tunnel-data-received/total-packets/6in6"], 20)
        self.assertEqual(values["tunnel-data-received/errors/no-session-found"], 0)
        self.assertIn("type 4 code 0", self.policies())
        self.assertEqual(len(self.rules()), 5)
        mn.stop()
        # RFC 6275 section 11.7.1: it has said that it goes, and left the host as it was.
        self.assertEqual((self.rules(), self.policies()), ([], ""))
        self.assertEqual(agent.counter("mipv6ha", "DeReg Requests", "Accepted"), 1)

    def test_the_operator_decides(self) -> None:
        """De-registered, the node uses the network it is in; registered again, it is at its address."""
        agent, mn = self.arrive()
        file = self.work / "mn.pcapng"
        mn.cli(f"capture start {file} service mn1")
        self.assertIn("has begun", mn.cli("mn-client mn1 deregister"))
        self.assertIn("State: stopped", mn.cli("show mn-client session"))
        self.assertEqual(self.received("mn", CN_ADDRESS), 3)
        self.assertEqual(self.received("cn", HOME), 0)
        mn.cli("mn-client mn1 register")
        settled(mn, FIRST)
        mn.cli("capture stop all")
        if program := shutil.which("tshark"):
            seen = run(program, "-r", str(file), "-T", "fields", "-e", "mip6.mhtype", "-e", "ipv6.src")
            # Updates and acknowledgements, with the home address in the place that it stands for.
            self.assertEqual(seen.splitlines()[:4], [f"5\t{HOME}", f"6\t{LMA_ADDRESS}"] * 2)
        self.assertEqual(self.received("cn", HOME), 3)
        lines = ("configure", "context mobile", "mn-client mn1")
        mn.cli(*lines, "reg-lifetime 120", "end")
        wait_for("the new lifetime", lambda: "Lifetime:                      120" in mn.cli(
            "show mn-client bindings full"), 5)  # fmt: skip
        mn.cli("autoconfirm", "configure", "context mobile", "no mn-client mn1", "end")
        self.assertEqual((self.rules(), self.policies()), ([], ""))
        self.assertNotIn("active", agent.cli("show mipv6ha-service session"))

    def test_killed(self) -> None:
        """What a killed process leaves does not hinder the host, and the next start takes it away."""
        agent, mn = self.arrive()
        mn.stop(signal.SIGKILL)
        self.assertEqual(len(self.rules()), 5)
        # No tunnel device, no default route into it: the host's own network works.
        self.assertEqual(self.received("mn", CN_ADDRESS), 3)
        mn.start()
        mn.wait_ready()
        settled(mn, FIRST)
        self.assertEqual(len(self.rules()), 5)
        self.assertEqual(self.received("cn", HOME), 3)
        mn.stop()
        self.assertEqual((self.rules(), self.policies()), ([], ""))
        self.assertTrue(agent.cli("show mipv6ha-service all"))

    def test_straight_to_a_correspondent(self) -> None:
        """Return routability, a binding there, and echoes by Home Address option and routing header."""
        _, mn = self.arrive("route-optimization")
        python = (sys.executable, "-m", "test.real.correspondent", CN_ADDRESS)
        child = self.lab.popen("cn", *python, stdout=-1, env=environment())
        self.addCleanup(stop, child)
        assert child.stdout is not None
        self.assertEqual(child.stdout.readline(), "listening\n")
        # The first echoes go through the tunnel, and show that there is a correspondent.
        self.assertEqual(self.received("mn", CN_ADDRESS), 3)
        told = json.loads(child.stdout.readline())
        self.assertEqual((told["home"], told["authentic"], told["indices"]), (HOME, True, "00070007"))

        def optimized() -> bool:
            return CN_ADDRESS in [
                each["peer"] for each in mn.json("show mn-client bindings") if each["state"] == "optimized"
            ]

        wait_for("a binding at the correspondent", optimized, 5)
        before = mn.json("show mn-client statistics")
        self.assertEqual(self.received("mn", CN_ADDRESS), 3)
        after = mn.json("show mn-client statistics")
        for key in ("packets-sent", "packets-received"):
            key = f"route-optimization-data/{key}"
            self.assertEqual(after[key] - before[key], 3, key)
        self.assertEqual(after["route-optimization-data/packets-refused"], 0)

    def test_recorded_and_replayed(self) -> None:
        """A recording of a mobile node gives the same effects again."""
        record = str(self.work / "record")
        _, mn = self.arrive("", "--record", record)
        mn.stop()
        python = (sys.executable, "-m", "scripts.replaying", str(mn.config), record)
        shown = run("env", f"PYTHONPATH={ROOT}", *python)
        for text in ("SendMessage", "mn.Tunnel", "mn.HomeAddress", "mn.RemoveTunnel"):
            self.assertIn(text, shown)
