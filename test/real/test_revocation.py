"""Binding revocation between whole appliances: an anchor, two gateways, a plain Linux host."""

from scripts.demo import NAI
from scripts.labnet import MAG_ADDRESSES, MN_LINK_LAYER
from scripts.labrun import Appliance, wait_for
from test.real.common import LabTests, demo_config

SENT, STATUS = "Sent Revocation Trigger Reasons", "Received Revocation ACK Status"


class RevocationTests(LabTests):
    def setUp(self) -> None:
        """Start all three with the function on, and let the mobile node arrive at the first gateway."""
        super().setUp()
        rights = "".join(f"\n      revocation global-peer {address}" for address in MAG_ADDRESSES.values())
        lma = demo_config("lma").replace(
            "reg-lifetime 600", f"reg-lifetime 600\n      revocation enable{rights}"
        )
        self.lma = self.started(lma, "lma")
        for name in ("mag1", "mag2"):
            words = ("encapsulation ipip", "revocation enable", "revocation global", "bulk-binding-update")
            lines = "\n      ".join(words)
            setattr(self, name, self.started(demo_config(name).replace("encapsulation ipip", lines), name))
        self.lab.attach()
        wait_for("a session", lambda: self._has(self.lma, "lma") and self._has(self.mag1, "mag"), 20)

    mag1: Appliance
    mag2: Appliance

    @staticmethod
    def _has(node: Appliance, kind: str) -> bool:
        return NAI in node.cli(f"show {kind}-service session full")

    def count(self, *path: str) -> int:
        """A counter of the anchor."""
        return self.lma.counter("lma", *path)

    def test_operator(self) -> None:
        """An operator's clear at the anchor ends the session at the gateway; a stop of the service, too."""
        details = self.lma.cli("show lma-service session full")
        self.assertRegex(details, r"Bulk Group of MAG: +2")
        self.lma.cli(f"clear lma-service session username {NAI} revocation-trigger access-network -noconfirm")
        wait_for("no session at the anchor", lambda: not self._has(self.lma, "lma"), 5)
        self.assertFalse(self._has(self.mag1, "mag"))
        self.assertEqual(self.count(SENT, "Access Network Session Term"), 1)
        self.assertEqual(self.count(STATUS, "Success"), 1)
        self.lab.ip("mn", "link set mn0 down")
        self.lab.attach()
        wait_for("a session again", lambda: self._has(self.mag1, "mag"), 20)
        self.lma.stop()
        wait_for("no session at the gateway", lambda: not self._has(self.mag1, "mag"), 5)
        self.assertEqual(self.mag1.counter("mag", "Binding Revocation", "Rcvd"), 2)

    def test_handover(self) -> None:
        """The second gateway registers the mobile node while the first still has it: the first is told."""
        self.lab.ip("mag2", "link add acc0 type veth peer name far0", "link set far0 up", "link set acc0 up")
        words = f"username {NAI} mac-address {MN_LINK_LAYER} interface acc0"
        wait_for("an attachment", lambda: self._attached(words), 10)
        wait_for("an indication", lambda: self.count(SENT, "Inter-MAG Handoff-Same ATT") == 1, 10)
        wait_for("an answer", lambda: self.count(STATUS, "Revoc-Failed-MN-Attached") == 1, 5)
        self.assertIn(MAG_ADDRESSES["mag2"], self.lma.cli("show lma-service session full"))
        self.mag2.cli("clear mag-service session all -noconfirm")
        wait_for("no session at the anchor", lambda: not self._has(self.lma, "lma"), 5)
        self.assertEqual(self.count("Binding Revocation", "Rcvd"), 1)
        self.assertEqual(self.count("DeReg Requests", "Received"), 0)

    def _attached(self, words: str) -> bool:
        return "Failure" not in self.mag2.cli(f"mag-service mag2 attach {words}", check=False)
