"""The tester's toolbox, run for real: counters moved by packets, a load that both sides count, a handover."""

import json
import os
import subprocess
import sys
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from scripts.counting.runner import LABS
from scripts.counting.table import AGENT_WAITING
from scripts.labnet import Lab
from scripts.labrun import ROOT, environment
from test.real.common import SKIP

#: Whole runs; a machine that does other things meanwhile takes three times as long.
PATIENCE = 540


class ToolTests(SynchronousTestCase):
    """Each tool as an operator runs it, but with names of its own for the namespaces."""

    skip = SKIP
    timeout = PATIENCE + 30

    def run_tool(self, module: str, name: str, *options: str) -> tuple[int, dict[str, Any], str]:
        """Run a tool: its exit status, the object on its last line, and all that it has printed."""
        prefix = f"t{os.getpid()}{name.replace('-', '')}"
        for suffix in LABS:
            self.addCleanup(Lab(prefix + suffix).down)
        done = subprocess.run(
            [sys.executable, "-m", module, name, "--json", "--prefix", prefix, *options],
            capture_output=True,
            text=True,
            env=environment(),
            cwd=ROOT,
            timeout=PATIENCE,
        )
        said = done.stdout + done.stderr
        last = done.stdout.rstrip().rpartition("\n")[2]
        self.assertTrue(last.startswith("{"), said)
        return done.returncode, json.loads(last), said

    def test_counters(self) -> None:
        """Each counter rises by exactly what it should, and tshark can read what was said."""
        status, figures, said = self.run_tool("scripts.counting", "counters")
        self.assertEqual(status, 0, said)
        self.assertEqual(figures["cases_not_ok"], [])
        self.assertEqual(figures["malformed"], [])
        self.assertEqual(figures["log"], [])
        self.assertEqual(figures["not_moved"], [])
        self.assertEqual((figures["moved"], figures["total"]), (161, 161))
        self.assertEqual(figures["statuses_not_moved"], [])
        self.assertEqual(figures["statuses_moved"], figures["statuses_total"])
        # What is left of a home agent's is said, with the reason.
        reasons = {each["counter"]: each["reason"] for each in figures["agent_not_moved"]}
        self.assertEqual(reasons, AGENT_WAITING)
        self.assertEqual(figures["agent_moved"] + len(reasons), figures["agent_total"])
        self.assertGreater(figures["messages"], 500)

    def test_load_of_scripted_gateways(self) -> None:
        """What 300 mobile nodes have seen is what the anchor has counted."""
        options = ("--mobiles", "300", "--rate", "300", "--handoffs", "100", "--seconds", "2")
        status, figures, said = self.run_tool("scripts.counting", "mag-load", *options)
        self.assertEqual(status, 0, said)
        self.assertTrue(figures["agreement"], said)
        self.assertEqual((figures["mobiles"], figures["handoffs"]), (300, 100))
        self.assertEqual(figures["differences"], [])

    def test_load_of_an_appliance(self) -> None:
        """The same with a gateway that is an appliance."""
        options = ("--appliance", "--mobiles", "50", "--rate", "100", "--seconds", "1", "--traffic", "50")
        status, figures, said = self.run_tool("scripts.counting", "mag-load", *options)
        self.assertEqual(status, 0, said)
        self.assertEqual((figures["agreement"], figures["mobiles"]), (True, 50))

    def test_handovers(self) -> None:
        """Nothing comes to the old gateway, or is lost, after the acknowledgement."""
        options = ("--handoffs", "20", "--sessions", "0")
        status, figures, said = self.run_tool("scripts.benches", "handoff", *options)
        self.assertEqual(status, 0, said)
        self.assertEqual(figures["handoffs"], 20)
        self.assertEqual(figures["lost_after_ack"], 0, said)
        self.assertGreater(figures["switch_p99_ms"], 0)
