"""Terminals under load: pastes, floods, clients that do not read, many at once.

Times are measured on whatever machine runs this; the bounds are those that are promised.
"""

import asyncio
import resource
import time

from twisted.trial.unittest import SynchronousTestCase

from appliance.cli import keys, screen, terminal
from test.cli.seat import lag, run, seated

GAP = 0.05
"""Seconds for which a terminal may hold up the process."""
LINES = [f"echo line {number} of what is pasted" for number in range(200)]


class PasteTests(SynchronousTestCase):
    """Much at once from an operator who means it."""

    def test_long_line(self) -> None:
        """2,000 characters, at once or in parts, are there within a second."""

        async def test() -> None:
            async with seated() as seat:
                await seat.type("x\x7f")
                for part in (2000, 100, 1):
                    async with lag() as watched:
                        begin = time.perf_counter()
                        for _ in range(2000 // part):
                            seat.session.feed(b"y" * part)
                            await asyncio.sleep(0)
                        seat.session.feed(b"\r")
                        await seat.done(len(seat.shell.lines) + 1)
                        self.assertLess(time.perf_counter() - begin, 1)
                    self.assertEqual(seat.shell.lines[-1], "y" * 2000)
                    self.assertLess(watched.worst, GAP)

        run(test())

    def test_many_lines(self) -> None:
        """200 lines are done one after the other, whether the terminal marks the paste or not."""

        async def test() -> None:
            block = "\r".join(LINES).encode() + b"\r"
            for data in (block, b"\x1b[200~" + block + b"\x1b[201~"):
                async with seated() as seat, lag() as watched:
                    seat.session.feed(b"\r")
                    begin = time.perf_counter()
                    seat.session.feed(data)
                    await seat.done(len(LINES))
                    self.assertLess(time.perf_counter() - begin, 1)
                    await seat.rest()
                    self.assertEqual(seat.shell.lines, LINES)
                    self.assertLess(watched.worst, GAP)
                    rows = seat.rows()
                    self.assertEqual(
                        rows[-3:], [f"[local]node1# {LINES[-1]}", LINES[-1][5:], "[local]node1#"]
                    )

        run(test())

    def test_into_a_line(self) -> None:
        """A paste into a line that was begun belongs to it, and its last line waits for Enter."""

        async def test() -> None:
            async with seated() as seat:
                await seat.type("echo ")
                await seat.type("\x1b[200~a?\necho b\n\techo c\x1b[201~")
                self.assertEqual(seat.shell.lines, ["echo a?", "echo b"])
                self.assertEqual(seat.rows()[-1], "[local]node1#  echo c")
                await seat.type("\r")
                self.assertEqual(seat.shell.lines[-1].strip(), "echo c")

        run(test())

    def test_interrupted(self) -> None:
        """^C stops what is left of a paste."""

        async def test() -> None:
            async with seated() as seat:
                seat.session.feed(b"wait\r" + "\r".join(LINES).encode() + b"\r")
                await seat.rest()
                await seat.type("\x03")
                self.assertEqual(seat.shell.lines, ["wait"])

        run(test())


class FloodTests(SynchronousTestCase):
    """Clients that mean no good."""

    def test_keys(self) -> None:
        """Keys that nobody can read any more end the session and say so."""

        async def test() -> None:
            async with seated() as seat:
                await seat.type("wait\r")
                for _ in range(200):
                    seat.session.feed(b"x" * 1000)
                assert seat.task is not None
                await seat.task
                self.assertEqual(seat.rows()[-1], terminal.FLOOD)
                self.assertEqual(seat.shell.log, ["cancelled"])
                seat.session.feed(b"x")

        run(test())

    def test_steering_keys(self) -> None:
        """As many arrows, counts and half sequences as one likes hold up nobody."""

        async def test() -> None:
            async with seated() as seat, lag() as watched:
                await seat.type("echo a")
                watched.worst = 0
                for data in (b"\x1b[C\x01", b"\x1b9", b"\x1b[1;", b"\x12a", b"\x1a", b"\t", b"\x07"):
                    seat.session.feed(data * 300)
                    await seat.rest()
                self.assertLess(watched.worst, GAP)

        run(test())


class SlowClientTests(SynchronousTestCase):
    """Clients that stop reading."""

    def test_output(self) -> None:
        """A command waits for its client; little is kept, and all comes when it reads again."""

        async def test() -> None:
            async with seated() as seat:
                seat.client.reads = False
                await seat.type("count 100000\r")
                made = seat.shell.made
                self.assertLess(made, 10_000)
                self.assertLess(seat.client.waiting, 100_000)
                await asyncio.sleep(0.1)
                self.assertEqual(seat.shell.made, made)
                seat.client.reads = True
                while seat.shell.made < 100_000:
                    await asyncio.sleep(0)
                await seat.rest()
                self.assertTrue(seat.client.data.endswith(b"line 99999\r\n[local]node1# "))

        run(test())

    def test_keys_and_sizes(self) -> None:
        """Who types and resizes without reading is not drawn for without end."""

        async def test() -> None:
            async with seated() as seat:
                await seat.type("e")
                seat.client.reads = False
                for number in range(3000):
                    seat.session.feed(b"?\t\x0c")
                    seat.session.resize(24, 60 + number % 20)
                    if number % 100 == 0:
                        await asyncio.sleep(0.001)
                await seat.rest()
                self.assertLess(seat.client.waiting, 2 * screen.CLOGGED)

        run(test())

    def test_notices(self) -> None:
        """Lines from outside are dropped, and how many is told once when there is room."""

        async def test() -> None:
            async with seated() as seat:
                seat.client.reads = False
                for number in range(10_000):
                    seat.session.notice([f"log line {number} " + "x" * 60])
                    if number % 100 == 0:
                        await asyncio.sleep(0)
                self.assertLess(seat.client.waiting, 2 * screen.CLOGGED)
                seat.client.reads = True
                await asyncio.sleep(2 * terminal.NOTICE_REST)
                seat.session.notice(["last"])
                await asyncio.sleep(2 * terminal.NOTICE_REST)
                rows = seat.rows()
                kept = sum(row.startswith("log line") for row in rows)
                told = f"{10_000 - kept} lines are missing here: the terminal was too slow"
                self.assertIn(told, rows)
                self.assertEqual(rows[-2], "last")

        run(test())


class ManyTests(SynchronousTestCase):
    """Twenty operators at once."""

    def test_twenty(self) -> None:
        """All work at the same time, and nobody sees what another one does."""

        async def work(number: int) -> None:
            async with seated(length=24) as seat:
                for keys_ in (f"echo mine{number}", "\r", "sh", "\t", "\x15count 50\r", " ", " ", " "):
                    await seat.type(keys_)
                await seat.until("line 49")
                await seat.type("\x1b[A\x1b[A\r")
                await seat.done(3)
                await seat.rest()
                self.assertEqual(seat.shell.lines, [f"echo mine{number}", "count 50", f"echo mine{number}"])
                text = "\n".join(seat.rows())
                self.assertEqual(text.count("mine"), 4)
                self.assertEqual(text.count(f"mine{number}\n"), 4)
                await seat.type("\x04")
                assert seat.task is not None
                self.assertEqual(await seat.task, 0)

        async def test() -> None:
            await asyncio.gather(*(work(number) for number in range(20)))

        run(test())

    def test_memory(self) -> None:
        """Sessions leave nothing behind."""

        async def sessions(count: int) -> None:
            for _ in range(count):
                async with seated() as seat:
                    seat.session.feed(b"ech\x7f\x04exit\r")

        run(sessions(5))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        run(sessions(40))
        self.assertLess(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, 4096)
        self.assertEqual(keys.SLICE, 32)
