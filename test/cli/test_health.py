"""The commands about peers: heartbeats, and notifications on request."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

import appliance.cli.commands.health  # noqa: F401 - its commands are looked for
from appliance.cli.values import CommandError
from appliance.errors import ApplianceError
from appliance.ports_health import HeartbeatView
from test.cli.fake_services import FakeService, FakeSystem
from test.cli.fakes import FakeShell

ORDER = "update-notification lma-service lma1"


class HealthTest(SynchronousTestCase):
    """Two anchors and a gateway."""

    def setUp(self) -> None:
        """One anchor has two peers."""
        self.one, self.two, self.mag = (
            FakeService("lma", "lma1"), FakeService("lma", "lma2"), FakeService("mag", "mag1")
        )  # fmt: skip
        self.one.heartbeat_views = [
            HeartbeatView(
                peer="2001:db8::a1", state="up", sessions=5, last_seen=1.7e9, restart_counter=7, misses=0
            ),
            HeartbeatView(
                peer="2001:db8::a2",
                state="failed",
                sessions=1,
                last_seen=None,
                restart_counter=None,
                misses=4,
            ),
        ]
        self.system = FakeSystem(self.one, self.two, self.mag)

    def run_line(self, line: str, rights: str = "administrator") -> Any:
        """What a command gives."""
        return FakeShell(self.system, rights).result(line)

    def test_show(self) -> None:
        """Every service has its counter and its peers; one that has none says so."""
        screen = self.run_line("show lma-service heartbeat", "inspector")
        lines = list(screen.lines(0))
        self.assertEqual(lines[:3], ["LMA Service: lma1", "Restart Counter: 12", ""])
        self.assertEqual(
            lines[3].split(), ["Peer", "State", "Sessions", "Last", "Seen", "Restart", "Counter", "Missed"]
        )
        self.assertEqual(lines[6].split(), ["2001:db8::a2", "failed", "1", "never", "unknown", "4"])
        self.assertEqual(lines[-1], "No peer has a session")
        data = screen.data()
        self.assertEqual([each["service"] for each in data], ["lma1", "lma2"])
        self.assertEqual(data[0]["peers"][0]["restart_counter"], 7)
        (only,) = self.run_line("show mag-service heartbeat name mag1").data()
        self.assertEqual(only, {"service": "mag1", "restart_counter": 12, "peers": []})

    def test_notify(self) -> None:
        """Each reason by its word; what a vendor says has numbers and octets."""
        for words, order in (
            ("all reason force-reregistration", ("", 1, (0, 0, b""))),
            ("username a@b.org reason update-session-parameters", ("a@b.org", 2, (0, 0, b""))),
            ("all reason ani-params-requested", ("", 4, (0, 0, b""))),
            ("all reason qos-service-request", ("", 5, (0, 0, b""))),
            ("all reason vendor-specific vendor 9 type 1", ("", 3, (9, 1, b""))),
            (
                "username a@b.org reason vendor-specific vendor 9 type 1 data 01ff",
                ("a@b.org", 3, (9, 1, b"\1\xff")),
            ),
        ):
            text = "".join(self.run_line(f"{ORDER} {words}"))
            self.assertTrue(text.endswith("notified: 3"), text)
            self.assertEqual(self.one.notified.pop(), order)

    def test_refused(self) -> None:
        """Octets that are none, what the service says, rights that are too low."""
        for data in ("0", "xy", "00" * 251):
            line = f"{ORDER} all reason vendor-specific vendor 9 type 1 data {data}"
            self.assertRaises(ApplianceError, lambda line=line: list(self.run_line(line)))
        self.one.refusal = "nobody is there"
        self.assertRaises(
            CommandError, lambda: list(self.run_line(f"{ORDER} all reason force-reregistration"))
        )
        self.assertRaises(
            ApplianceError, self.run_line, f"{ORDER} all reason force-reregistration", "operator"
        )
