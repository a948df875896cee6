"""``monitor`` of Diameter messages: how they are shown, the menu behind 75, and what scripts choose."""

from typing import Any

from appliance.cli import ours
from appliance.cli.commands.monitor import Menu
from appliance.tap import NOTE, TappedEvent
from test.cli.monitor_fakes import FakeFace
from test.cli.test_monitor import SCREEN, MonitorBench
from test.tapped import WALL, pba, pbu
from test.tapped_diameter import OURS6, THEIRS6, USER, aaa, aar, golden, made, seen

GOLDEN = golden()
MENU = [
    "",
    "1 - DIABASE                                     (ON )",
    "7 - Rf                                          (ON )",
    "8 - EAP/STa/S6a/S6d/S6b/S13/SWm/SGd             (ON )",
    "N - NASREQ                                      (ON )",
    "M - Mobile IPv4/MIP6I/MIP6A                     (ON )",
    "O - Other applications                          (ON )",
    "",
    "(B)egin Protocol Decoding  (Q)uit,   <ESC> Prev Menu,   <ENTER> Re-Display Options",
    "Select: ",
]


def heads(lines: list[str]) -> list[str]:
    """The numbers of the events that were shown."""
    return [line.rpartition("Eventid:")[2] for line in lines if "Eventid:" in line]


class MessageTests(MonitorBench):
    """Single messages."""

    def test_message(self) -> None:
        """Endpoint, both ends with ports, transport and peer; then the message in words."""
        lines = self.after(self.monitor(self.tell(aar(), aaa()), "q"))
        self.assertRegex(lines[1], r"^<<<<OUTBOUND  \d\d:\d\d:20:123 Eventid:75265\(75\)$")
        self.assertEqual(
            lines[2],
            "diameter endpoint aaa: 192.0.2.1:40001 -> 192.0.2.9:3868 [TCP], peer aaa1.home.example",
        )
        self.assertTrue(lines[3].startswith("AA-Request (AAR)"), lines[3])
        self.assertIn(USER, lines[3])
        self.assertRegex(lines[5], r"^INBOUND>>>>>  \d\d:\d\d:20:123 Eventid:75265\(75\)$")
        self.assertEqual(len(lines), 8)

    def test_ipv6(self) -> None:
        """Addresses with ports are in brackets; a peer that has said nothing has no name."""
        item = aar(source=OURS6, destination=THEIRS6, transport="tls", name="", source_port=0)
        lines = self.after(self.monitor(self.tell(item), "q"))
        self.assertEqual(lines[2], "diameter endpoint aaa: 2001:db8::1 -> [2001:db8::9]:3868 [TLS]")

    def test_levels(self) -> None:
        """Each level shows more, the last one all octets; X adds them before that."""
        shown = [self.monitor(self.tell(aar()), "q", level=level) for level in range(1, 6)]
        sizes = [len("".join(lines)) for lines in shown]
        self.assertEqual(sorted(set(sizes)), sizes)
        dumped = self.monitor("x", self.tell(aar()), "q")
        self.assertTrue(dumped[-1].startswith("  0040"), dumped[-1])

    def test_large_code(self) -> None:
        """A command code of 24 bits has no number of its own."""
        lines = self.monitor(self.tell(seen(made(0xFFFFFE))), "q")
        self.assertEqual(heads(lines), ["75999(75)"])

    def test_note(self) -> None:
        """What an endpoint says is a control event."""
        note = TappedEvent(WALL, "diameter", "aaa", NOTE, "peer aaa1 is back")
        lines = self.after(self.monitor(self.tell(note), "q"))
        self.assertEqual(lines[2], "diameter endpoint aaa: peer aaa1 is back")

    def test_subscriber(self) -> None:
        """The mobile's PBU, the question to AAA, its answer, and nobody else's."""
        other = [pbu("mn2@home.example"), aar("mn2@home.example", "s;2;2"), seen(GOLDEN["dwr"])]
        lines = self.monitor(
            self.tell(*other, pbu(USER), aar(), aaa(), pba(USER)), "q", start="monitor subscriber", nai=USER
        )
        self.assertEqual(heads(lines), ["48005(48)", "75265(75)", "75265(75)", "48006(48)"])


class MenuTests(MonitorBench):
    """Option 75 and the menu behind it."""

    def test_screen(self) -> None:
        """The option stands where the capture has it, longer than its column."""
        self.assertEqual(SCREEN[5], "E - EventID Info    (ON )      75 - App Specific Diameter (ON )")

    def test_menu(self) -> None:
        """75 opens it; B leads back to the messages, Escape to the options, Q out."""
        self.assertEqual(self.after(self.monitor("7", "5", "b", "q")), [*MENU, "*** Going on ***"])
        self.assertEqual(self.monitor("7", "5", "escape", "q"), [*SCREEN, *MENU, *SCREEN])
        self.assertEqual(self.monitor("7", "5", "q", self.fail), [*SCREEN, *MENU])
        self.assertEqual(self.monitor("7", "5", "\r", "q"), [*SCREEN, *MENU, *MENU])

    def test_toggles(self) -> None:
        """Each application by itself; the option is off when all are."""
        lines = self.monitor("7", "5", "1", "n", "N", "z", "escape", "q")[len(SCREEN) + len(MENU) :]
        self.assertEqual(lines[:4], [
            "*** DIABASE (OFF) ***", "*** NASREQ (OFF) ***", "*** NASREQ (ON) ***", "*** No option Z ***",
        ])  # fmt: skip
        self.assertEqual(lines[4:], SCREEN)
        lines = self.monitor("7", "5", *ours.MONITORED, "escape", "q")
        self.assertIn("E - EventID Info    (ON )      75 - App Specific Diameter (OFF)", lines)

    def test_what_is_on(self) -> None:
        """Messages of applications that are off are not shown."""
        items = (
            seen(GOLDEN["dwr"]),
            seen(GOLDEN["acr start"]),
            aar(),
            seen(made(265, application=99)),
            pbu(),
        )
        for keys, expected in (
            ("", ["75280(75)", "75271(75)", "75265(75)", "75265(75)", "48005(48)"]),
            ("751b", ["75271(75)", "75265(75)", "75265(75)", "48005(48)"]),
            ("75mob", ["75280(75)", "75265(75)", "48005(48)"]),
            ("751nmob48", []),
            ("i", ["75265(75)"]),
            ("o", ["75280(75)", "75271(75)", "75265(75)", "48005(48)"]),
        ):
            lines = self.monitor(*keys, self.tell(*items), "q")
            self.assertEqual(heads(lines), expected, keys)

    def test_nothing_meanwhile(self) -> None:
        """While the menu is open nothing is shown; then what was kept."""
        lines = self.monitor("7", "5", self.tell(aar()), "1", "b", "", "q")[len(SCREEN) + len(MENU) :]
        self.assertEqual(lines[:2], ["*** DIABASE (OFF) ***", "*** Going on ***"])
        self.assertEqual(heads(lines), ["75265(75)"])

    def test_keys(self) -> None:
        """No key of the menu is one that leads away."""
        self.assertEqual(set(ours.MONITORED) & {"B", "Q"}, set())
        menu = Menu(dict.fromkeys(ours.MONITORED, True))
        self.assertTrue(all(len(line) <= 82 for line in menu.screen()))
        for application, key in ((0, "1"), (3, "7"), (16777272, "8"), (1, "N"), (2, "M"), (7, "M"), (4, "O")):
            self.assertEqual(ours.monitored(application), key)


class ScriptTests(MonitorBench):
    """Without a person."""

    def script(self, *items: Any, **args: Any) -> list[str]:
        """What is shown."""
        face = FakeFace([self.tell(*items)], interactive=False)
        self.run_with(face, seconds=0.05, **args)
        return heads(face.written)

    def test_only(self) -> None:
        """One protocol, or both."""
        items = (pbu(), aar())
        self.assertEqual(self.script(*items), ["48005(48)", "75265(75)"])
        self.assertEqual(self.script(*items, diameter=True), ["75265(75)"])
        self.assertEqual(self.script(*items, **{"mobile-ipv6": True}), ["48005(48)"])
