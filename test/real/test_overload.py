"""A small overload of a real anchor: it keeps its sessions and says what it gave up."""

from scripts.benches.overload import EVERY, UNITS, Load
from scripts.labnet import LMA_ADDRESS
from scripts.labrun import wait_for
from test.real.common import LabTests, lma_config


class OverloadTests(LabTests):
    """Real sockets, and more messages than any machine can answer in time."""

    def test_known_sessions_stay(self) -> None:
        """Known mobile nodes are refreshed while new ones are thrown at the anchor; then it is over."""
        settings = "congestion-control threshold message-queue-utilization 1\n"
        anchor = self.appliance(lma_config().replace("config\n", f"config\n{settings}", 1))
        anchor.start()
        anchor.wait_ready()
        load = Load(self.lab)
        self.addCleanup(load.process.wait)
        self.addCleanup(load.process.kill)
        self.assertEqual(load.ask("known", 200, UNITS)["refused"], 0)
        result = load.ask("run", 5, EVERY, 40_000, 0)
        self.assertEqual(result["refused"], 0)
        self.assertGreater(result["refreshed"], 200)
        self.assertGreater(result["admitted"], 0)
        load.ask("run", EVERY + 1, EVERY, 0, 0)
        self.assertEqual(anchor.counter("lma", "Total Disconnects", "Lifetime expiry"), 0)
        discarded = anchor.counter("lma", "Binding Updates Discard Reasons", "Congestion Discarded")
        self.assertGreater(discarded, 0)
        view = anchor.json("show congestion-control")[0]
        self.assertEqual(view["dropped"], discarded)
        wait_for("the end of the congestion", lambda: "congestion is over" in anchor.log.read_text(), 10)
        self.assertFalse(anchor.json("show congestion-control")[0]["congested"])

    def test_sessions(self) -> None:
        """The share of max-subscribers is a threshold; the policy answers with status 129."""
        settings = (
            "congestion-control policy lma-service action reject\n"
            "congestion-control threshold max-sessions-per-service-utilization 50\n"
        )
        config = lma_config().replace("config\n", f"config\n{settings}", 1)
        bind = f"bind address {LMA_ADDRESS}"
        anchor = self.appliance(config.replace(bind, f"{bind} max-subscribers 4"))
        anchor.start()
        anchor.wait_ready()
        load = Load(self.lab)
        self.addCleanup(load.process.wait)
        self.addCleanup(load.process.kill)
        self.assertEqual(load.ask("known", 2, UNITS)["refused"], 0)
        wait_for("congestion", lambda: "congested (sessions)" in anchor.log.read_text(), 10)
        result = load.ask("run", 1, EVERY, 3, 0)
        self.assertEqual(result["admitted"], 0)
        self.assertGreater(result["denied"], 0)
        path = ("Update Denied - Admin Prohibited Reasons", "Congestion Control Denied")
        self.assertEqual(anchor.counter("lma", *path), result["denied"])
