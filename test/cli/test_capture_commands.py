"""``capture`` and ``show capture``, and the commands of both as a shell reads them."""

import asyncio
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from appliance.cli.commands import monitor
from appliance.cli.shell import Shell
from appliance.ports import CaptureView, Operator, TapFilter
from test.cli.monitor_fakes import FakeFace, FakeShell, command, run
from test.tapped import World, pbu, session


class CaptureCommandTest(SynchronousTestCase):
    """``capture`` and ``show capture``."""

    def setUp(self) -> None:
        """A shell with one capture."""
        self.shell = FakeShell(FakeFace(), World())
        view = CaptureView(
            file="/tmp/a.pcapng", state="Running", filter="all", packets=7, octets=900, dropped=1,
            since=1e9, limit=5000,
        )  # fmt: skip
        self.shell.captures.shown = [view]

    def call(self, start: str, **args: Any) -> Any:
        """Call a handler."""
        handler = command(start).handler
        assert handler is not None
        found = handler(self.shell, args)
        return run(found) if asyncio.iscoroutine(found) else found

    def test_start(self) -> None:
        """Without a limit the file may have 100 MiB."""
        self.assertEqual(self.call("capture start", file="/tmp/a"), ["Capture to /tmp/a has begun"])
        self.call("capture start", file="/tmp/b", nai="mn1", size=1, seconds=9)
        mib = 1024 * 1024
        self.assertEqual(
            self.shell.captures.calls,
            [
                ("/tmp/a", TapFilter(), 100 * mib, 0),
                ("/tmp/b", TapFilter(username="mn1"), mib, 9),
            ],
        )

    def test_stop(self) -> None:
        """One line for each that has ended."""
        self.assertEqual(
            self.call("capture stop", all=True),
            ["Capture to /tmp/a.pcapng has ended: 7 packets, 900 octets, 1 dropped"],
        )
        self.shell.captures.shown = []
        self.assertEqual(self.call("capture stop", file="/x"), ["No capture is running"])
        self.assertEqual(self.shell.captures.calls, [("",), ("/x",)])

    def test_show(self) -> None:
        """A line for each, with what it has written and lost."""
        lines = list(self.call("show capture").lines(0))
        self.assertEqual(
            lines[0].split(), ["Packets", "Octets", "Dropped", "State", "Since", "Filter", "File"]
        )
        self.assertEqual(lines[2].split()[:4], ["7", "900", "1", "Running"])
        self.assertTrue(lines[2].endswith("/tmp/a.pcapng"))


class ShellTest(SynchronousTestCase):
    """The commands as they are typed."""

    def setUp(self) -> None:
        """A world that a shell of an operator sees."""
        self.world = World(session())
        self.audited: list[tuple[str, ...]] = []
        self.world.audit = lambda _operator, *what: self.audited.append(what)  # type: ignore[attr-defined]
        self.patch(monitor, "PAUSE", 0.001)

    def type(self, line: str, rights: str = "operator") -> tuple[int, list[str]]:
        """Execute a line without a person; returns the status and what was written."""
        system: Any = self.world
        senders = ("mn1@example.org", "new@example.org", "0001010123456789@example.org")
        face = FakeFace([lambda: self.world.tell(*map(pbu, senders))], interactive=False)
        operator = Operator(user="bob", rights=rights, origin="test", service="console")
        shell = Shell(system, operator)
        return run(shell.execute(line, face)), face.written

    def test_lines(self) -> None:
        """Every form is understood, abbreviated too; a bad value is refused."""
        for line in (
            "monitor protocol duration 1 count 1 verbosity 1",
            "mon sub username mn1@example.org count 1",
            "monitor subscriber imsi 001010123456789 count 1",
            "monitor subscriber ip-address 2001:db8:1::7 count 1",
            "monitor subscriber callid 01ca11b1 count 1",
            "monitor subscriber next-call count 1 duration 5",
        ):
            status, lines = self.type(line)
            self.assertEqual((status, len(lines)), (0, 4), line)
            self.assertFalse(self.world.raw.listening)
        status, lines = self.type("monitor subscriber imsi abcdefgh")
        self.assertEqual((status, lines[-1][:8]), (1, "Failure:"))
        status, lines = self.type("monitor subscriber callid 7")
        self.assertEqual((status, lines), (1, ["Failure: No session has the call id 00000007"]))

    def test_rights(self) -> None:
        """An inspector may not monitor, an operator may not write files."""
        for rights, line in (("inspector", "monitor protocol"), ("operator", "capture start /tmp/x")):
            self.assertEqual(self.type(line, rights)[0], 1, line)
