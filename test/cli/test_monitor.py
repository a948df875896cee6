"""``monitor`` with a person who types and a terminal that is slow, and without either."""

import asyncio
from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from appliance.cli.commands import monitor
from appliance.cli.grammar import CommandError
from appliance.errors import ApplianceError
from appliance.protocols.mobility import messages as m
from appliance.tap import ENDED, MADE, NOTE
from test.cli.monitor_fakes import FakeFace, FakeShell, Step, command, run
from test.tapped import World, event, made, message, pba, pbu, session


class MonitorBench(SynchronousTestCase):
    """A world with one LMA."""

    def setUp(self) -> None:
        """No waiting in tests."""
        self.world = World()
        self.patch(monitor, "PAUSE", 0.001)
        self.patch(monitor, "LIMIT", 200)
        self.patch(monitor, "SHOWN", 200)

    def tell(self, *items: Any) -> Callable[[], object]:
        """A step in which the tap sees these."""
        return lambda: self.world.tell(*items)

    def monitor(self, *keys: Step, start: str = "monitor protocol", **args: Any) -> list[str]:
        """What the terminal shows while these keys are typed and things happen."""
        face = FakeFace(list(keys))
        self.run_with(face, start, **args)
        return face.written

    def run_with(self, face: FakeFace, start: str = "monitor protocol", **args: Any) -> None:
        """Run a command with a face."""
        handler = command(start).handler
        assert handler is not None
        run(handler(FakeShell(face, self.world), args))
        self.assertFalse(any(face.paged))
        self.assertFalse(self.world.raw.listening)

    def after(self, lines: list[str]) -> list[str]:
        """What follows the option screen."""
        return lines[lines.index(SCREEN[-1]) + 1 :]


SCREEN = [
    "",
    "",
    "Monitoring all services...",
    "",
    "C - Control Events  (ON )      48 - Mobile IPv6 (ON )",
    "E - EventID Info    (ON )      75 - App Specific Diameter (ON )",
    "I - Inbound Events  (ON )",
    "O - Outbound Events (ON )",
    "T - Timestamps      (ON )",
    "X - PDU Hexdump     (OFF)",
    "A - PDU Hex/Ascii   (OFF)",
    "+/- Verbosity Level (  1)",
    "",
    "  (Q)uit,   <ESC> Prev Menu,   <SPACE> Pause,   <ENTER> Re-Display Options",
]


class ScreenTest(MonitorBench):
    """The option screen and the keys."""

    def test_screen(self) -> None:
        """States stand at columns 20 and 48, protocols at 31, as in the capture that was measured."""
        lines = self.monitor("q")
        self.assertEqual(lines, SCREEN)
        self.assertEqual(lines[4].index("(ON )"), 20)
        self.assertEqual(lines[4].index("48 -"), 31)
        self.assertEqual(lines[4].rindex("(ON )"), 48)

    def test_quit(self) -> None:
        """Q, q and escape quit, however the terminal calls it."""
        for key in ("Q", "q", "\x1b", "escape"):
            self.assertEqual(self.monitor(key, self.fail), SCREEN)

    def test_toggles(self) -> None:
        """Letters and two digits toggle and are told in the words of the capture."""
        lines = self.after(self.monitor("c", "4", "8", "X", "x", "4", "9", "z", "q"))
        self.assertEqual(
            lines,
            [
                "*** Control Events (OFF) ***",
                "*** Mobile IPv6 (OFF) ***",
                "*** PDU Hexdump (ON) ***",
                "*** PDU Hexdump (OFF) ***",
                "*** No option 49 ***",
                "*** No option Z ***",
            ],
        )

    def test_verbosity(self) -> None:
        """Between 1 and 5."""
        lines = self.after(self.monitor("-", *["+"] * 5, "q"))
        self.assertEqual(lines, [f"*** Verbosity Level (  {level}) ***" for level in (1, 2, 3, 4, 5, 5)])

    def test_again(self) -> None:
        """Enter shows the screen with what was changed."""
        lines = self.after(self.monitor("i", "+", "\r", "q"))
        self.assertIn("I - Inbound Events  (OFF)", lines)
        self.assertIn("+/- Verbosity Level (  2)", lines)

    def test_what_is_on(self) -> None:
        """Only what is on is shown."""
        items = (pbu(), pba(), event(NOTE, "hello"))
        for keys, expected in (
            ("", ["INBOUND", "<<<<OUT", "***CONT"]),
            ("i", ["<<<<OUT", "***CONT"]),
            ("o", ["INBOUND", "***CONT"]),
            ("c", ["INBOUND", "<<<<OUT"]),
            ("48", ["***CONT"]),
        ):
            lines = self.after(self.monitor(*keys, self.tell(*items), "q"))
            heads = [line[:7] for line in lines if "Eventid" in line]
            self.assertEqual(heads, expected, keys)


class EventTest(MonitorBench):
    """What is shown of messages and events."""

    def test_message(self) -> None:
        """A line with direction, time and number, one with the addresses, one with the message."""
        lines = self.after(self.monitor(self.tell(pbu(), pba(status=156)), "q"))
        self.assertEqual(lines[0], "")
        self.assertRegex(lines[1], r"^INBOUND>>>>>  \d\d:\d\d:20:123 Eventid:48005\(48\)$")
        self.assertEqual(lines[2], "lma-service lma1: 2001:db8:a::1 -> 2001:db8:ffff::1")
        self.assertTrue(lines[3].startswith("Proxy Binding Update (5), Sequence Number 1, Flags A P"))
        self.assertRegex(lines[5], r"^<<<<OUTBOUND  \d\d:\d\d:20:123 Eventid:48006\(48\)$")
        self.assertIn("TIMESTAMP_MISMATCH (156)", lines[7])
        self.assertEqual(len(lines), 8)

    def test_udp(self) -> None:
        """A message over UDP tells the port of the peer."""
        item = pbu(peer=bytes((192, 0, 2, 1)))
        item.destination, item.port = bytes((198, 51, 100, 1)), 40001
        lines = self.after(self.monitor(self.tell(item), "q"))
        self.assertEqual(lines[2], "lma-service lma1: 192.0.2.1 -> 198.51.100.1, UDP port 40001 of the peer")

    def test_control(self) -> None:
        """Events have the form of the capture."""
        lines = self.after(self.monitor(self.tell(event(NOTE, "No pool for mn1"), made()), "t", "q"))
        self.assertRegex(lines[1], r"^\*\*\*CONTROL\*\*\* \d\d:\d\d:20:123 Eventid:48100$")
        self.assertEqual(lines[2], "lma-service lma1: No pool for mn1")
        self.assertIn("Eventid:48101", lines[4])

    def test_without_time_and_number(self) -> None:
        """Both can be switched off."""
        lines = self.after(self.monitor("t", "e", self.tell(pbu()), "q"))
        self.assertEqual(lines[3], "INBOUND>>>>>")

    def test_dumps(self) -> None:
        """X adds the octets, A the characters, too; at level 5 they are there already."""
        heartbeat = message(m.Heartbeat(0, 1))
        octets = "  0000  3b 01 0d 00 00 00 00 00 00 00 00 01 01 02 00 00"
        self.assertEqual(self.monitor("x", self.tell(heartbeat), "q")[-1], octets)
        self.assertEqual(self.monitor("a", self.tell(heartbeat), "q")[-1], f"{octets}  ;...............")
        lines = self.monitor("x", "a", self.tell(heartbeat), "q", level=5)
        self.assertEqual(len([line for line in lines if line.startswith("  0000")]), 1)

    def test_verbosity(self) -> None:
        """Each level shows more."""
        sizes = []
        for level in range(1, 6):
            sizes.append(len(self.monitor(self.tell(pbu()), "q", level=level)))
        self.assertEqual(sorted(set(sizes)), sizes)


class SpeedTest(MonitorBench):
    """Terminals that are slow, and people who pause."""

    def test_pause(self) -> None:
        """While paused nothing is shown; going on shows what was kept and how much was not."""
        many = [pbu(sequence=number) for number in range(monitor.LIMIT + 50)]
        lines = self.after(self.monitor(" ", self.tell(*many), "+", " ", "q"))
        self.assertEqual(lines[0], "*** Paused: <SPACE> goes on ***")
        self.assertEqual(lines[1:3], ["*** Verbosity Level (  2) ***", "*** Going on ***"])
        self.assertEqual(len([line for line in lines if line.startswith("INBOUND")]), monitor.LIMIT)
        self.assertEqual([line for line in lines if "lost" in line], ["*** 50 messages lost ***"])

    def test_quit_while_paused(self) -> None:
        """Q works, and what was lost is told at the end."""
        lines = self.after(self.monitor(" ", self.tell(*[pbu()] * (monitor.LIMIT + 7)), "q"))
        self.assertEqual(lines[1:], ["*** 7 messages lost ***"])

    def test_slow_terminal(self) -> None:
        """What comes in while the terminal takes nothing is lost beyond the limit, and counted."""
        face = FakeFace([self.tell(pbu()), "", ""])
        burst = [True]

        def stall() -> None:
            if burst and any("INBOUND" in line for line in face.written):
                burst.clear()
                self.world.tell(*[pba()] * 1000)

        face.slow = stall
        self.run_with(face)
        lost = 1000 - monitor.LIMIT
        self.assertEqual([line for line in face.written if "lost" in line], [f"*** {lost} messages lost ***"])
        shown = [line for line in face.written if line.startswith("<<<<OUTBOUND")]
        self.assertEqual(len(shown), monitor.LIMIT)

    def test_keys_during_a_flood(self) -> None:
        """Q ends a monitor that always has more to show."""
        face = FakeFace([self.tell(*[pbu()] * monitor.LIMIT)])
        face.slow = lambda: self.world.tell(*[pbu()] * 100)
        keys = face.key

        async def key(timeout: float) -> str:
            """Q after some output, even to a look that does not wait."""
            return "q" if len(face.written) > 300 else await keys(timeout)

        face.key = key  # type: ignore[method-assign]
        self.run_with(face)
        self.assertLess(len(face.written), 700)

    def test_pace(self) -> None:
        """Only so many are shown between two looks; the rest waits."""
        self.patch(monitor, "SHOWN", 20)
        lines = self.after(self.monitor(self.tell(*[pbu()] * 30), "q"))
        self.assertEqual(len([line for line in lines if "INBOUND" in line]), 20)
        lines = self.after(self.monitor(self.tell(*[pbu()] * 30), "", "q"))
        self.assertEqual(len([line for line in lines if "INBOUND" in line]), 30)

    def test_cancelled(self) -> None:
        """^C cancels the handler; its subscription is closed."""
        face = FakeFace([lambda: None] * 100_000)
        handler = command("monitor protocol").handler
        assert handler is not None

        async def cancelled() -> None:
            task = asyncio.ensure_future(handler(FakeShell(face, self.world), {}))
            await asyncio.sleep(0.01)
            self.assertTrue(self.world.raw.listening)
            task.cancel()
            await asyncio.wait([task])
            self.assertTrue(task.cancelled())

        run(cancelled())
        self.assertFalse(self.world.raw.listening)


class ScriptTest(MonitorBench):
    """Without a person."""

    def script(self, *steps: Step, start: str = "monitor protocol", **args: Any) -> list[str]:
        """What is printed."""
        face = FakeFace(list(steps), interactive=False)
        self.run_with(face, start, **args)
        return face.written

    def test_count(self) -> None:
        """It ends after so many events, without an option screen."""
        lines = self.script(self.tell(pbu(), pba(), pbu()), events=2)
        self.assertEqual(len([line for line in lines if "Eventid" in line]), 2)
        self.assertEqual(lines[0], "")

    def test_duration(self) -> None:
        """It ends after so many seconds."""
        lines = self.script(self.tell(pbu()), seconds=0.05)
        self.assertEqual(len([line for line in lines if "Eventid" in line]), 1)


class SubscriberTest(MonitorBench):
    """``monitor subscriber``."""

    START = "monitor subscriber"

    def test_filter(self) -> None:
        """Only the mobile node is shown, and whom it watches is said."""
        lines = self.monitor(
            self.tell(pbu(), pbu("mn2@example.org")), "q", start=self.START, nai="mn1@example.org"
        )
        self.assertEqual(lines[2], "Monitoring subscriber mn1@example.org...")
        self.assertEqual(len([line for line in lines if "INBOUND" in line]), 1)

    def test_end_of_a_call(self) -> None:
        """The block of the capture follows the end of the session, behind what came with it."""
        self.world.service.views = [session()]
        step = self.tell(event(ENDED, "Session 01ca11b1: tunnel removed", 0x01CA11B1), pba())
        lines = self.monitor(step, "q", start=self.START, call=0x01CA11B1)
        self.assertEqual(
            lines[-3:], ["***", "*** Call Finished - Waiting to trace next matching call", "***"]
        )
        self.assertIn("OUTBOUND", "".join(lines[-8:]))

    def test_handover(self) -> None:
        """A call that goes on at another gateway has not finished."""
        self.world.service.views = [session()]
        gone = self.tell(event(ENDED, "Session 01ca11b1: tunnel removed", 0x01CA11B1))
        back = self.tell(event(MADE, "Session 01ca11b1: tunnel to 2001:db8::2", 0x01CA11B1))
        lines = self.monitor(gone, "", back, "q", start=self.START, call=0x01CA11B1)
        self.assertFalse([line for line in lines if "Call Finished" in line])

    def test_next_call(self) -> None:
        """The title is the capture's."""
        args: dict[str, Any] = {"next-call": True}
        lines = self.monitor(self.tell(pbu()), "q", start=self.START, **args)
        self.assertEqual(lines[2], "Waiting for next call to connect...")
        self.assertIn("mn1@example.org", lines[-1])

    def test_bad_values(self) -> None:
        """An IMSI is digits, a call id is not 0 and has to be there."""
        for args, kind in (
            ({"digits": "00101012345678x"}, CommandError),
            ({"call": 0}, CommandError),
            ({"call": 7}, ApplianceError),
        ):
            self.assertRaises(kind, self.monitor, start=self.START, **args)

    def test_rights(self) -> None:
        """Operators may monitor; only administrators may write files."""
        self.assertEqual(command("monitor protocol").rights, "operator")
        self.assertEqual(command(self.START).rights, "operator")
        for start in ("capture start", "capture stop", "show capture"):
            self.assertEqual(command(start).rights, "administrator")
