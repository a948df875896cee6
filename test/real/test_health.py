"""Heartbeats and notifications between real processes: an anchor that dies, a link that is cut (RFC 5847)."""

import json
import signal
from typing import Any

from scripts.labnet import HOME_POOL, MAG_ADDRESSES
from scripts.labrun import Appliance, wait_for
from test.real.common import LabTests, demo_config

BEATS = "heartbeat interval 30\n heartbeat retransmission max 1\n heartbeat retransmission timeout 1\n"
ENDS = "heartbeat path-failure end-sessions\n"
PATH = "path-management-messages/"


class HealthTests(LabTests):
    """One anchor, one gateway, one mobile node."""

    def setUp(self) -> None:
        """Start them, and wait until both know that the other is there."""
        super().setUp()
        anchor = demo_config("lma").replace("reg-lifetime 600\n", f"reg-lifetime 600\n {BEATS} {ENDS}")
        anchor = anchor.replace("ipv4 access\n", "ipv4 access\n any-home-network-prefix\n")
        gateway = demo_config("mag1").replace("encapsulation ipip\n", f"encapsulation ipip\n {BEATS}")
        self.lma = self.started(anchor, "lma")
        self.mag = self.started(gateway, "mag1")
        self.lab.attach()
        self.address = wait_for("an address", self._address, 20)
        for node, kind in ((self.lma, "lma"), (self.mag, "mag")):
            wait_for("heartbeats", lambda node=node, kind=kind: self._peer(node, kind)["state"] == "up", 10)

    def _address(self) -> str:
        prefix = HOME_POOL.split("::")[0] + ":"
        return next((text for text in self.lab.addresses("mn", "mn0") if text.startswith(prefix)), "")

    def _service(self, node: Appliance, kind: str) -> Any:
        (service,) = node.json(f"show {kind}-service heartbeat")
        return service

    def _peer(self, node: Appliance, kind: str) -> Any:
        return next(iter(self._service(node, kind)["peers"]), {"state": ""})

    def _value(self, node: Appliance, kind: str, row: str) -> int:
        value: int = node.json(f"show {kind}-service statistics")[row]
        return value

    def test_an_anchor_that_is_killed(self) -> None:
        """It tells its gateway when it is back, which registers the mobile node; the counter goes up."""
        before = self._service(self.lma, "lma")["restart_counter"]
        self.assertEqual(self._peer(self.mag, "mag")["restart_counter"], before)
        kept = self.lma.state / "restarts" / "lma-lma1.json"
        peers = [[MAG_ADDRESSES["mag1"], "2001:db8:ffff::1", 0]]
        wait_for("the peers on the disk", lambda: json.loads(kept.read_text())["peers"] == peers, 5)

        self.lma.stop(signal.SIGKILL)
        self.lma.start()
        self.lma.wait_ready()
        wait_for("the session", lambda: self.lma.json("show lma-service session"), 5)
        self.assertEqual(
            self._value(self.mag, "mag", PATH + "reasons-for-path-failure/restart-counter-change"), 1
        )
        self.assertEqual(self._service(self.lma, "lma")["restart_counter"], before + 1)
        wait_for("its peer", lambda: self._peer(self.lma, "lma")["state"] == "up", 5)
        self.assertEqual(self._peer(self.mag, "mag")["restart_counter"], before + 1)
        self.assertEqual(self._address(), self.address)
        self.assertIn(" 3 received", self.ping("mn", "2001:db8:eeee::80"))

        order = "update-notification lma-service lma1 {} reason {}"
        self.assertIn("gateways notified: 1", self.lma.cli(order.format("all", "force-reregistration")))
        row = "refresh-binding-update-requests/accepted"
        wait_for("the refresh", lambda: self._value(self.lma, "lma", row) == 1, 5)
        self.lma.cli(order.format("username mn1@example.org", "vendor-specific vendor 9 type 1 data 0102"))
        row = "update-notifications/received-ack-status/success"
        wait_for("the acknowledgement", lambda: self._value(self.lma, "lma", row) == 1, 5)

        self.lma.stop()
        kept.write_text("{")
        self.lma.start()
        self.lma.wait_ready()
        self.assertIn("is damaged", self.lma.log.read_text())
        self.assertGreater(self._service(self.lma, "lma")["restart_counter"], before + 1)

    def test_a_link_that_is_cut(self) -> None:
        """The anchor ends the sessions behind it, the gateway keeps its own; both call the path failed."""
        self.lab.ip("mag1", "link set backhaul down")
        row = PATH + "reasons-for-path-failure/no-heartbeat-response-received"
        wait_for("the failure", lambda: self._value(self.lma, "lma", row) == 1, 45)
        wait_for("the end", lambda: not self.lma.json("show lma-service session"), 5)
        self.assertEqual(self._value(self.lma, "lma", "total-disconnects/other-reasons"), 1)
        self.assertEqual(self._value(self.lma, "lma", "binding-acknowledgements-sent/send-error"), 0)
        wait_for("the other side", lambda: self._value(self.mag, "mag", row) == 1, 10)
        self.assertEqual(len(self.mag.json("show mag-service session")), 1)
