"""A session at a terminal: pages, lines from outside, different terminals."""

import asyncio

from twisted.trial.unittest import SynchronousTestCase

from appliance.cli import terminal
from appliance.cli.pager import MORE
from test.cli.seat import Seat, run, seated

PROMPT = "[local]node1# "


class PageTests(SynchronousTestCase):
    """Long output."""

    def test_pages(self) -> None:
        """Space, Enter and q; the question leaves no trace."""

        async def test() -> None:
            async with seated(length=5) as seat:
                await seat.type("count 1000\r")
                self.assertEqual(seat.rows()[1:], ["line 0", "line 1", "line 2", "line 3", MORE])
                await seat.type("x\r")
                self.assertEqual(seat.rows()[-2:], ["line 4", MORE])
                await seat.type(" ")
                self.assertEqual(seat.rows()[-2:], ["line 8", MORE])
                await seat.type("q")
                self.assertEqual(seat.rows()[-2:], ["line 8", PROMPT.rstrip()])

        run(test())

    def test_nothing_is_made_ahead(self) -> None:
        """While the operator reads, the command waits: what is not shown is not computed."""

        async def test() -> None:
            async with seated(length=24) as seat:
                await seat.type("count 100000\r")
                self.assertEqual(seat.shell.made, 100)
                await seat.type(" " * 4)
                self.assertEqual(seat.shell.made, 200)
                await seat.type("\x03")
                self.assertEqual(seat.shell.made, 200)
                self.assertEqual(seat.rows()[-2:], ["^C", PROMPT.rstrip()])
                await seat.type("echo a\r")
                self.assertEqual(seat.rows()[-2], "a")

        run(test())

    def test_folded_lines(self) -> None:
        """A line counts as many rows as it takes on the terminal."""

        async def test() -> None:
            async with seated(length=4, columns=20) as seat:
                await seat.type("count 2\r")
                await seat.type(f"echo {'x' * 50}\r")
                self.assertNotIn(MORE, "".join(seat.rows()))

        run(test())

    def test_live_output_does_not_stop(self) -> None:
        """What a command writes as it happens is no page."""

        async def test() -> None:
            async with seated(length=2) as seat:
                await seat.type("key\r")
                await seat.type("abcdefQ")
                self.assertIn("<f>", seat.rows())

        run(test())


class NoticeTests(SynchronousTestCase):
    """Lines from outside."""

    def test_everywhere(self) -> None:
        """Above the prompt with what is typed, above a question, at a page's end, between lines."""
        self.patch(terminal, "NOTICE_REST", 0)

        async def test() -> None:
            for term in ("xterm", "dumb"):
                async with seated(term, length=4) as seat:
                    seat.session.notice(["one"])
                    await seat.type("ask")
                    seat.session.notice(["two", "esc \x1b[31m"])
                    await seat.rest()
                    self.assertEqual(seat.rows()[-3:], ["two", "esc \\u001b[31m", f"{PROMPT}ask"], term)
                    await seat.type("\r")
                    await seat.type("ye")
                    seat.session.notice(["three"])
                    await seat.type("s\r")
                    self.assertIn("Sure? yes", seat.rows())
                    await seat.type("count 9\r")
                    seat.session.notice(["four"])
                    await seat.rest()
                    self.assertEqual(seat.rows()[-2:], ["four", MORE])
                    await seat.type("qwait\r")
                    seat.session.notice(["five"])
                    await seat.rest()
                    self.assertEqual(seat.rows()[-2:], ["waiting", "five"])

        run(test())

    def test_not_too_often(self) -> None:
        """Many notices are shown together, so that the prompt is not drawn for each; too many are counted."""

        async def test() -> None:
            async with seated() as seat:
                await seat.type("ec")
                before = len(seat.client.data)
                for number in range(1000):
                    seat.session.notice([f"note {number}"])
                    await asyncio.sleep(0)
                await asyncio.sleep(3 * terminal.NOTICE_REST)
                seat.session.notice(["last"])
                await asyncio.sleep(2 * terminal.NOTICE_REST)
                rows = seat.rows()
                kept = sum(row.startswith("note ") for row in rows)
                self.assertIn(f"{1000 - kept} lines are missing here: the terminal was too slow", rows)
                self.assertEqual(rows[-2:], ["last", f"{PROMPT}ec"])
                self.assertLess(seat.client.data[before:].count(b"\x1b[?2004h"), 6)

        run(test())

    def test_stopped_twice(self) -> None:
        """A session that is ended just after ^C ends."""

        async def test() -> None:
            async with seated() as seat:
                await seat.type("wait\r")
                seat.session.feed(b"\x03")
                seat.session.close("bye")
                assert seat.task is not None
                await seat.task
                self.assertEqual(seat.rows()[-1], "bye")

        run(test())

    def test_before_and_after(self) -> None:
        """Without a running session a notice is nothing."""

        async def test() -> None:
            seat = Seat()
            seat.session.notice(["early"])
            seat.session.close("too early")
            self.assertEqual(await seat.session.run(), 0)
            seat.session.notice(["late"])
            self.assertEqual(seat.rows(), ["", "too early"])

        run(test())


class TerminalTests(SynchronousTestCase):
    """Different terminals."""

    def test_greeting_and_size(self) -> None:
        """The banner comes first; the shell learns the size, also a new one; keys are told."""

        async def test() -> None:
            seat = Seat(rows=50, columns=100)
            seat.start("Welcome", "to \x1bnode1")
            await seat.rest()
            self.assertEqual(seat.rows(), ["Welcome", "to \\u001bnode1", PROMPT.rstrip()])
            await seat.type("echo")
            seat.session.resize(30, 40)
            await seat.rest()
            self.assertEqual(seat.rows()[-1], f"{PROMPT}echo")
            for size in ((0, 0), (1, 1), (65535, 65535)):
                seat.session.resize(*size)
                await seat.type(" x")
            self.assertEqual(seat.shell.sizes, [(50, 100), (30, 40), (0, 0), (1, 1), (65535, 65535)])
            self.assertEqual(seat.touched, 4)
            await seat.type("\rexit\r")
            assert seat.task is not None
            await seat.task
            self.assertEqual(seat.shell.lines, ["echo x x x", "exit"])

        run(test())

    def test_simple_terminal(self) -> None:
        """Without a cursor to move: prompt, backspace, Tab and ``?`` work, and nothing steers it."""

        async def test() -> None:
            async with seated("dumb") as seat:
                await seat.type("shx\x7f\t")
                await seat.type("ow ?")
                await seat.type("cl\t")
                await seat.type("\x17\x15sh\x7f\x7fecho a\r")
                self.assertEqual(seat.shell.lines, ["echo a"])
                self.assertEqual(
                    seat.rows(),
                    [f"{PROMPT}sh", "show      shutdown", f"{PROMPT}show ?", "  clock   Tells the time",
                     "  <name>  A name", f"{PROMPT}echo a", "a", PROMPT.rstrip()],
                )  # fmt: skip
                self.assertNotIn(b"\x1b", seat.client.data)

        run(test())

    def test_program(self) -> None:
        """A program that types whole lines finds the prompt followed by nothing."""

        async def test() -> None:
            async with seated() as seat:
                await seat.type("echo a\r")
                self.assertTrue(seat.client.data.endswith(PROMPT.encode()))
                self.assertEqual(
                    seat.client.data.decode(), f"\x1b[?2004h{PROMPT}echo a\r\na\r\n{PROMPT}"
                )

        run(test())

    def test_folded_prompt(self) -> None:
        """A prompt that is wider than the terminal leaves nothing behind when the editor takes over."""

        async def test() -> None:
            seat = Seat(columns=20)
            seat.shell.mode = "(config-lma-service)"
            seat.start()
            await seat.rest()
            prompt = seat.shell.prompt
            await seat.type("a")
            self.assertEqual("".join(seat.rows()).replace(" ", ""), f"{prompt}a".replace(" ", ""))
            seat.session.close("")
            assert seat.task is not None
            await seat.task

        run(test())
