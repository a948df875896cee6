"""Lines of a script, without a person."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from twisted.trial.unittest import SynchronousTestCase

from appliance.cli import script
from appliance.cli.face import ConnectionLost
from appliance.cli.script import LineSession
from test.cli.fake_shell import FakeClient, FakeShell


async def each(lines: Sequence[str]) -> AsyncIterator[str]:
    for line in lines:
        yield line


class LineSessionTests(SynchronousTestCase):
    def run_lines(
        self, *lines: str, keep_going: bool = False, numbered: bool = False
    ) -> tuple[int, list[str], list[str]]:
        """Status, output and failures of a script; what is after them was not done."""
        out: list[str] = []
        failures: list[str] = []
        self.touched = 0
        self.shell = FakeShell()

        async def write(lines: Sequence[str], failed: bool) -> None:
            (failures if failed else out).extend(lines)

        def touch() -> None:
            self.touched += 1

        session = LineSession(self.shell, write, touch)
        status = asyncio.run(session.run(each(lines), keep_going, numbered))
        return status, out, failures

    def test_stops(self) -> None:
        """At the first failure, unless it is told to go on; and when the shell is closed."""
        lines = ("echo a", "fail", "echo b", "exit", "echo c")
        self.assertEqual(self.run_lines(*lines), (1, ["a"], ["Failure: so it is"]))
        self.assertEqual(self.run_lines(*lines, keep_going=True), (1, ["a", "b"], ["Failure: so it is"]))
        self.assertEqual(self.shell.lines, list(lines[:-1]))
        self.assertEqual(self.touched, 4)
        self.assertEqual(self.run_lines("echo a", "exit"), (0, ["a"], []))

    def test_numbered(self) -> None:
        """A failure names its line, empty ones count, and output is as it is."""
        self.assertEqual(
            self.run_lines("echo a", "echo", "fail", keep_going=True, numbered=True),
            (1, ["a", ""], ["line 3: Failure: so it is"]),
        )

    def test_mistake(self) -> None:
        """Is logged without secrets, and a failure like any other."""
        self.assertEqual(
            self.run_lines("bug password Secret1", numbered=True),
            (1, [], ["line 1: Failure: internal error; the log tells more"]),
        )
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_nobody_there(self) -> None:
        """Questions are interrupted, keys never come."""
        self.assertEqual(self.run_lines("ask", "key 0.01"), (0, ["<>"], []))
        self.assertEqual(self.shell.log, ["interrupted"])


class OverTests(SynchronousTestCase):
    """Output as octets."""

    def test_ways(self) -> None:
        """Failures go another way; a client that does not read holds the script up; a lost one ends it."""

        async def test() -> None:
            shell, out, err = FakeShell(), FakeClient(), FakeClient()
            session = script.over(shell, out, err)
            self.assertEqual(await session.run(each(["echo ä", "fail"]), False, True), 1)
            self.assertEqual((out.data, err.data), ("ä\n".encode(), b"line 2: Failure: so it is\n"))
            out.reads = False
            task = asyncio.ensure_future(session.run(each(["count 1000000"]), False, False))
            await asyncio.sleep(0.05)
            made = shell.made
            self.assertLess(made, 10_000)
            await asyncio.sleep(0.05)
            self.assertEqual(shell.made, made)
            out.gone = True
            with self.assertRaises(ConnectionLost):
                await task

        asyncio.run(test())
