"""The configuration lines about peers: what they set, what they refuse, what is found in them."""

from twisted.trial.unittest import SynchronousTestCase

from appliance.config import ConfigurationErrors, build, load, parse, show
from appliance.config_audit import audit

LINES = {
    "heartbeat interval 90": ("heartbeat_interval", 90),
    "heartbeat retransmission max 5": ("heartbeat_max_retransmissions", 5),
    "heartbeat retransmission timeout 7": ("heartbeat_timeout", 7),
    "heartbeat path-failure end-sessions": ("heartbeat_path_failure", "end-sessions"),
    "heartbeat peer-restart keep-sessions": ("heartbeat_peer_restart", "keep-sessions"),
    "update-notification retransmission max 5": ("update_notification_retransmissions", 5),
    "update-notification retransmission delay 500": ("update_notification_delay", 500),
    "update-notification on-change": ("update_notification_on_change", True),
    "mag-parameters re-registration control": ("mag_reregistration_control", True),
    "mag-parameters re-registration start-time 15": ("mag_reregistration_start", 15),
    "mag-parameters re-registration initial-retransmission 2": ("mag_retransmission_initial", 2),
    "mag-parameters re-registration maximum-retransmission 64": ("mag_retransmission_maximum", 64),
    "mag-parameters heartbeat control": ("mag_heartbeat_control", True),
    "mag-parameters heartbeat interval 0": ("mag_heartbeat_interval", 0),
    "mag-parameters heartbeat retransmission-delay 9": ("mag_heartbeat_delay", 9),
    "mag-parameters heartbeat max-retransmissions 1": ("mag_heartbeat_retransmissions", 1),
}


def text(*lines: str, kind: str = "lma") -> str:
    """A configuration with these lines in one service."""
    return "\n".join(["config", "context a", f"{kind}-service x", *lines, "exit", "exit", "end"]) + "\n"


class HealthLinesTest(SynchronousTestCase):
    """Each line of an anchor; those of a gateway."""

    def test_each_line(self) -> None:
        """It sets its field, and is printed as it was typed."""
        for line, (field, value) in LINES.items():
            (service,) = load(text(line), "test").lma_services
            self.assertEqual(getattr(service, field), value, line)
            self.assertIn(line, [each.strip() for each in show(parse(text(line), "test"))])
        for line in list(LINES)[:4]:
            (gateway,) = load(text(line, kind="mag"), "test").mag_services
            self.assertEqual(getattr(gateway, LINES[line][0]), LINES[line][1], line)

    def test_back(self) -> None:
        """``no heartbeat`` switches off; switches go off; the rest has a ``default``."""
        undo = ["no heartbeat", "no update-notification on-change", "no mag-parameters heartbeat control"]
        undo += ["default heartbeat path-failure", "default mag-parameters heartbeat interval"]
        (service,) = load(text(*LINES, *undo), "test").lma_services
        self.assertEqual(
            (
                service.heartbeat_interval,
                service.update_notification_on_change,
                service.mag_heartbeat_control,
            ),
            (0, False, False),
        )
        self.assertEqual(
            (service.heartbeat_path_failure, service.mag_heartbeat_interval), ("keep-sessions", 60)
        )

    def test_refused(self) -> None:
        """Out of range, or no business of a gateway."""
        for line in (
            "heartbeat interval 29",
            "heartbeat retransmission max 16",
            "heartbeat path-failure maybe",
            "update-notification retransmission max 6",
            "update-notification retransmission delay 499",
            "mag-parameters heartbeat interval 3601",
        ):
            self.assertRaises(ConfigurationErrors, load, text(line), "test")
        self.assertRaises(
            ConfigurationErrors, load, text("update-notification on-change", kind="mag"), "test"
        )

    def test_found(self) -> None:
        """A zero that refuses every registration is an error that the audit finds."""
        tree = parse(text(*LINES), "test")
        found = [each.text for each in audit(build(tree, "test"))]
        self.assertTrue(any("a value of mag-parameters heartbeat is 0" in each for each in found), found)
