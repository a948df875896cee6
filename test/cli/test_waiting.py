"""Output that waits for pages: in order, a page at a time, and always closed."""

import asyncio
import json
import tracemalloc
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from attrs import define
from twisted.trial.unittest import SynchronousTestCase

from appliance.cli.grammar import Registry, command
from appliance.cli.shell import Shell
from appliance.cli.waiting import items, pause
from appliance.errors import ApplianceError
from test.cli.shells import MemorySystem, Recorder, make_shell

WORDS = {"show": "Shows", "numbers": "Numbers", "totals": "Numbers in an object"}


@define
class Source:
    """Pages of three numbers; notes what becomes of it."""

    last: int = 0
    fault: str = ""
    size: int = 3
    pages: int = 0
    closed: int = 0

    async def read(self) -> AsyncIterator[Sequence[int]]:
        """The pages; the fault comes behind them."""
        try:
            for begin in range(0, self.last, self.size):
                await asyncio.sleep(0)
                self.pages += 1
                yield range(begin, min(begin + self.size, self.last))
            if self.fault:
                raise ApplianceError(self.fault)
        finally:
            self.closed += 1


@define
class Screen:
    """The numbers, a line each."""

    source: Source
    whole: bool = False

    def lines(self, width: int) -> Iterator[Any]:
        """A heading, the numbers, the end."""
        yield "numbers"
        for item in items(self.source.read()):
            yield item if pause(item) else f"number {item}"
        yield "end"

    def data(self) -> Any:
        """The numbers, alone or in an object."""
        found = items(self.source.read())
        return {"numbers": found, "more": [1]} if self.whole else found


class WaitingTests(SynchronousTestCase):
    """A shell with two commands."""

    def setUp(self) -> None:
        registry = Registry()
        self.source = Source(7)
        command("exec", "show numbers", help=WORDS, registry=registry)(lambda *_: Screen(self.source))
        command("exec", "show totals", help=WORDS, registry=registry)(lambda *_: Screen(self.source, True))
        shell = make_shell(MemorySystem("config\nend\n"))
        self.shell = Shell(shell.system, shell.operator, registry)
        self.shell.timestamps = False
        self.face = Recorder()

    def run_line(self, line: str) -> int:
        """Do one line; returns its status."""
        return asyncio.run(self.shell.execute(line, self.face))

    def test_text(self) -> None:
        """All items, in order, and the source is closed."""
        self.assertEqual(self.run_line("show numbers"), 0)
        self.assertEqual(self.face.written, ["numbers", *(f"number {n}" for n in range(7)), "end"])
        self.assertEqual((self.source.pages, self.source.closed), (3, 1))

    def test_json(self) -> None:
        """An array, and one inside an object; an empty source is an empty array."""
        for line, expected in (("show numbers", list(range(7))),
                               ("show totals", {"numbers": list(range(7)), "more": [1]})):  # fmt: skip
            self.face.written.clear()
            self.assertEqual(self.run_line(f"{line} | json"), 0)
            self.assertEqual(json.loads("\n".join(self.face.written)), expected)
        self.source.last = 0
        self.face.written.clear()
        self.run_line("show numbers | json")
        self.assertEqual(self.face.written, ["[]"])
        self.assertEqual(self.source.closed, 3)

    def test_grep(self) -> None:
        """A filter that nothing fits goes through all of it."""
        self.run_line("show numbers | grep 'number [25]'")
        self.assertEqual(self.face.written, ["number 2", "number 5"])

    def test_fault(self) -> None:
        """What came before the fault is shown, and then the fault."""
        self.source.fault = "the database is down"
        self.assertEqual(self.run_line("show numbers"), 1)
        self.assertEqual(self.face.written[-2:], ["number 6", "Failure: the database is down"])
        self.assertEqual(self.source.closed, 1)

    def test_interrupted(self) -> None:
        """Who reads no more causes no more pages to be fetched; the source is closed."""
        self.source.last = 1_000_000
        self.face.patience = 2
        self.assertEqual(self.run_line("show numbers"), 1)
        self.assertLess(self.source.pages, 5)
        self.assertEqual(self.source.closed, 1)

    def test_cancelled(self) -> None:
        """The same when the session ends."""
        self.source.last = 1_000_000

        async def cancelled() -> None:
            task = asyncio.ensure_future(self.shell.execute("show numbers", self.face))
            while len(self.face.written) < 50:
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            self.assertTrue(task.cancelled())
            self.assertEqual(self.source.closed, 1)

        asyncio.run(cancelled())

    def test_flat(self) -> None:
        """Many items take no more memory than a page of them."""
        self.source = Source(100_000, size=500)

        class Nowhere(Recorder):
            """Forgets what is written."""

            async def write(self, lines: Sequence[str], *, failed: bool = False, paged: bool = True) -> None:
                """Count the lines."""
                self.patience -= len(lines)

        face = Nowhere(patience=0)
        tracemalloc.start()
        try:
            self.assertEqual(asyncio.run(self.shell.execute("show numbers", face)), 0)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        self.assertEqual(face.patience, -100_002)
        self.assertLess(peak, 1 << 20)
