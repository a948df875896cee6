"""Session screens: where each character stands, that they stream, and what they are as data."""

import json
from collections.abc import Iterator
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from appliance.cli.ours import NO_SESSIONS
from appliance.cli.output import json_lines
from appliance.cli.render_sessions import SessionCountersScreen, SessionFullScreen, SessionListScreen
from appliance.ports import SessionView
from test.cli.fake_services import session


def document(screen: Any) -> Any:
    """What the screen gives as JSON, after it was a document."""
    return json.loads("\n".join(line for line in json_lines(screen) if line is not None))


class SessionScreenTest(SynchronousTestCase):
    """Sessions: list, full, summary."""

    def test_list(self) -> None:
        """One line a session under the headings, the call id as eight hexadecimal digits."""
        second = session(call_id=2, username="mn2@example.org", prefixes=(), ipv4_address="203.0.113.7")
        views = [session(), second]
        lines = list(SessionListScreen(views, "care_of").lines(80))
        self.assertEqual(len(lines), 6)
        self.assertEqual({len(line) for line in lines[1:4]}, {len(lines[0])})
        heading = lines[0]
        for name, one, other in (
            ("Call ID", "01ca11b1", "00000002"),
            ("Username", "mn1@example.org", "mn2@example.org"),
            ("Home Network Prefix", "2001:db8:1::/64", "-"),
            ("IPv4 Address", "-", "203.0.113.7"),
            ("MAG Address", "2001:db8:ffff::a1", "2001:db8:ffff::a1"),
        ):
            at = heading.index(name)
            self.assertTrue(lines[2][at:].startswith(one), name)
            self.assertTrue(lines[3][at:].startswith(other), name)
        self.assertEqual(lines[2].rindex("432") + 3, heading.index("Time Left") + len("Time Left"))
        self.assertEqual(lines[-1], "Total Sessions: 2")

    def test_list_of_a_gateway(self) -> None:
        """A gateway's list shows the LMA as the other end."""
        lines = list(SessionListScreen([session()], "anchor").lines(80))
        self.assertTrue(lines[2][lines[0].index("LMA Address") :].startswith("2001:db8:ffff::1 "))

    def test_no_sessions(self) -> None:
        """Without sessions there is one line that says so."""
        self.assertEqual(list(SessionListScreen([], "care_of").lines(80)), [NO_SESSIONS])
        self.assertEqual(list(SessionFullScreen([]).lines(80)), [NO_SESSIONS])

    def test_full(self) -> None:
        """A block a session: values at column 33, keys in hexadecimal, an unknown technology by number."""
        views = [session(send_key=0x1001, access_technology=99), session(call_id=2)]
        lines = list(SessionFullScreen(views).lines(80))
        self.assertEqual(lines[0], "Username: mn1@example.org")
        self.assertEqual(lines[1], "  Call ID:                       01ca11b1")
        self.assertIn("  GRE Key Sent:                  0x00001001", lines)
        self.assertIn("  GRE Key Received:              none", lines)
        self.assertIn("  Access Technology:             99 (unknown)", lines)
        self.assertIn("  Created:                       2023-11-14 22:13:20 UTC", lines)
        self.assertNotIn("Access Interface", "".join(lines))
        self.assertEqual([at for at, line in enumerate(lines) if not line], [len(lines) // 2])

    def test_full_of_a_gateway(self) -> None:
        """A gateway's block names the access interface."""
        lines = list(SessionFullScreen([session(interface="acc0")]).lines(80))
        self.assertIn("  Access Interface:              acc0", lines)

    def test_every_field_is_shown(self) -> None:
        """Changing any field of a session changes its full screen."""
        plain = list(SessionFullScreen([session()]).lines(0))
        for name, value in (
            ("call_id", 1), ("username", "x"), ("service", "x"), ("state", "waiting"), ("prefixes", ()),
            ("ipv4_address", "203.0.113.9"), ("ipv4_router", "203.0.113.1"), ("care_of", "::2"),
            ("anchor", "::3"), ("link_layer", "x"), ("access_technology", 3), ("interface", "x"),
            ("link_local", "fe80::9"), ("service_selection", "x"), ("encapsulation", "4in6"),
            ("send_key", 0), ("receive_key", 0), ("sequence", 1), ("lifetime", 1), ("remaining", 1),
            ("created", 1.0), ("updated", 1.0), ("handoffs", 0), ("packets_in", 0), ("octets_in", 0),
            ("packets_out", 0), ("octets_out", 0),
        ):  # fmt: skip
            self.assertNotEqual(list(SessionFullScreen([session(**{name: value})]).lines(0)), plain, name)
        fields = {name for name in SessionView.__slots__ if name != "__weakref__"}
        self.assertEqual(set(document(SessionFullScreen([session()]))[0]), fields)

    def test_hostile_name(self) -> None:
        """Control characters in a name off the wire reach neither list nor block."""
        view = session(username="mn\x1b[2J\r\n\u202e@x", service_selection="a\x07b")
        for screen in (SessionListScreen([view], "care_of"), SessionFullScreen([view])):
            lines = [line or "" for line in screen.lines(80)]
            self.assertTrue(all(line.isprintable() for line in lines))
            self.assertIn("mn\\x1b[2J\\x0d\\x0a\\x202e@x", "\n".join(lines))

    def test_details_that_repeat(self) -> None:
        """A line each on the screen; as data one text is a text, several of one label are a list."""
        view = session(details=(("Vendor Option", "a"), ("LMA Load", "1"), ("Vendor Option", "b")))
        lines = [line for line in SessionFullScreen([view]).lines(80) if line and "Vendor" in line]
        self.assertEqual([line.split()[-1] for line in lines], ["a", "b"])
        (found,) = document(SessionFullScreen([view]))
        self.assertEqual(found["details"], {"vendor_option": ["a", "b"], "lma_load": "1"})

    def test_summary(self) -> None:
        """The list, then the totals by state, family and peer; the busiest peer first."""
        views = [
            session(),
            None,
            session(state="deleting", ipv4_address="203.0.113.7"),
            session(prefixes=(), ipv4_address="203.0.113.8", care_of="2001:db8:ffff::a2"),
        ]
        lines = list(SessionListScreen(iter(views), "care_of", True).lines(0))
        plain = list(SessionListScreen(iter(views), "care_of").lines(0))
        self.assertEqual(lines[:7], plain[:7])
        self.assertEqual(
            lines[7:],
            [
                "Total Sessions:                3",
                "",
                "Session State:",
                "  Active:                        2             Registering:                   0",
                "  Deregistering:                 0             Deleting:                      1",
                "  Waiting:                       0",
                "",
                "Address Family:",
                "  IPv6 Only:                     1             IPv4 Only:                     1",
                "  IPv4 and IPv6:                 1",
                "",
                "MAG Address        Sessions",
                "-----------------  --------",
                "2001:db8:ffff::a1         2",
                "2001:db8:ffff::a2         1",
            ],
        )
        data = document(SessionListScreen(iter(views), "care_of", True))
        self.assertEqual(len(data["sessions"]), 3)
        self.assertEqual(
            data["totals"],
            {
                "total": 3,
                "states": {"active": 2, "registering": 0, "deregistering": 0, "deleting": 1, "waiting": 0},
                "families": {"ipv6_only": 1, "ipv4_only": 1, "ipv4_and_ipv6": 1},
                "peers": {"2001:db8:ffff::a1": 2, "2001:db8:ffff::a2": 1},
            },
        )

    def test_streams(self) -> None:
        """The first line is there before the second session was looked at; pauses pass through."""
        looked: list[int] = []

        def views() -> Iterator[SessionView | None]:
            for number in (1, 2):
                looked.append(number)
                yield session(call_id=number)
                yield None

        for screen in (
            SessionListScreen(views(), "care_of"), SessionFullScreen(views()), SessionCountersScreen(views()),
        ):  # fmt: skip
            looked.clear()
            lines = screen.lines(80)
            next(lines)
            self.assertEqual(looked, [1])
            self.assertEqual(list(lines).count(None), 2)

    def test_long_values(self) -> None:
        """A long value pushes the rest of its own line to the right and no other."""
        views = [session(username="u" * 60), session()]
        lines = list(SessionListScreen(views, "care_of").lines(80))
        self.assertEqual(len(lines[2] or ""), len(lines[3] or "") + 28)
        self.assertEqual(len(lines[3] or ""), len(lines[0] or ""))

    def test_counters(self) -> None:
        """A line for each session, then the sums under the same columns."""
        views = [session(), session(call_id=2, octets_out=5)]
        lines = list(SessionCountersScreen(views).lines(80))
        self.assertEqual((lines[2] or "").split()[3:], ["11", "1100", "22", "2200"])
        self.assertEqual((lines[-1] or "").split(), ["Total", "22", "2200", "44", "2205"])
        self.assertEqual(len(lines[-1] or ""), len(lines[0] or ""))
        data = document(SessionCountersScreen(views))
        self.assertEqual(data["totals"], {"packets_in": 22, "octets_in": 2200, "packets_out": 44,
                                          "octets_out": 2205})  # fmt: skip
        self.assertEqual(data["sessions"][1]["call_id"], "00000002")
        self.assertEqual(list(SessionCountersScreen([]).lines(80)), [NO_SESSIONS])

    def test_list_data(self) -> None:
        """As data a session has all its fields, the call id as it is typed, and is valid JSON."""
        (data,) = document(SessionListScreen([session()], "care_of"))
        self.assertEqual((data["call_id"], data["prefixes"]), ("01ca11b1", ["2001:db8:1::/64"]))
        self.assertEqual((data["octets_out"], data["send_key"]), (2200, None))
