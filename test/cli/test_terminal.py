"""A session at a terminal: what is typed and what is on the screen."""

import asyncio
import gc
import weakref

from twisted.trial.unittest import SynchronousTestCase

from appliance.cli import editor
from appliance.cli.editor import LINE_LIMIT, History
from appliance.cli.terminal import TerminalSession
from test.cli.fake_shell import FakeClient, FakeShell
from test.cli.seat import Seat, run, seated

PROMPT = "[local]node1# "
CONFIG = "[local]node1(config)# "
MODES = {"?25", "?7"}
"""Of the terminal after a session: the cursor is shown and lines are folded."""


class EditingTests(SynchronousTestCase):
    """The line before Enter."""

    def test_completion(self) -> None:
        """Tab ends a word with its blank, adds what is common, lists the choices, or rings."""

        async def test() -> None:
            async with seated() as seat:
                await seat.type("c\t")
                self.assertEqual(seat.rows(), [f"{PROMPT}clear"])
                self.assertEqual(seat.screen().x, len(f"{PROMPT}clear "))
                await seat.type("\x15s\tx\x7f")
                self.assertEqual(seat.rows()[-1], f"{PROMPT}sh")
                await seat.type("\t")
                self.assertEqual(seat.rows(), [f"{PROMPT}sh", "show      shutdown", f"{PROMPT}sh"])
                before = seat.screen().bells
                await seat.type("ow cl\tq\t")
                self.assertEqual(seat.rows()[-1], f"{PROMPT}show clock q")
                self.assertEqual(seat.screen().bells, before + 1)

        run(test())

    def test_help(self) -> None:
        """``?`` lists what may come with ``<cr>`` last; the line and the place in it stay."""

        async def test() -> None:
            async with seated() as seat:
                await seat.type("show clock \x01\x1b[C\x1b[C")
                await seat.type("?")
                self.assertEqual(
                    seat.rows(),
                    [f"{PROMPT}sh?", "  show      Shows", "  shutdown  Stops", f"{PROMPT}show clock"],
                )
                self.assertEqual(seat.screen().x, len(f"{PROMPT}sh"))
                await seat.type("\x05?")
                self.assertEqual(
                    seat.rows()[-4:],
                    [f"{PROMPT}show clock ?", "  |     Filters", "  <cr>  Ends the command",
                     f"{PROMPT}show clock"],
                )  # fmt: skip
                await seat.type("\x15?")
                self.assertIn("  clear     Removes", seat.rows())
                self.assertEqual(seat.shell.lines, [])

        run(test())

    def test_literal_question_mark(self) -> None:
        """Inside quotes and in the pattern of a pipe ``?`` is a character."""

        async def test() -> None:
            async with seated() as seat:
                for line in ('echo "a?b"', "echo x | grep a?"):
                    await seat.type(f"{line}\r")
                self.assertEqual(seat.shell.lines, ['echo "a?b"', "echo x | grep a?"])

        run(test())

    def test_editing(self) -> None:
        """The keys of emacs, across the line and back."""

        async def test() -> None:
            async with seated() as seat:
                await seat.type("b c\x01echo a \x05 dd\x7f ee\x17\r")
                await seat.type("echo lost\x15echo kept more\x1bb\x0b\r")
                await seat.type("echo x\x02\x02\x04\r")
                await seat.type("echo \x0b\x0c1\r")
                self.assertEqual(seat.shell.lines, ["echo a b c d ", "echo kept ", "echox", "echo 1"])

        run(test())

    def test_history(self) -> None:
        """Up and down, ^R; not what is empty, said twice, or secret."""

        async def test() -> None:
            async with seated() as seat:
                await seat.type("echo one\recho two\recho two\r \recho password Secret1\r")
                await seat.type("\x1b[A\x1b[A\r")
                await seat.type("\x1b[A\x1b[A\x1b[B\r")
                await seat.type("\x12tw\r\r")
                self.assertEqual(seat.shell.lines[4:], ["echo one", "echo one", "echo two"])

        run(test())

    def test_history_is_bounded(self) -> None:
        """The oldest lines go."""
        history = History()
        for number in range(1000):
            history.append_string(f"line {number}")
        self.assertEqual(history.get_strings()[0], "line 800")
        self.assertEqual(len(history.get_strings()), 200)

    def test_dangerous_keys(self) -> None:
        """Neither counts nor recorded keys multiply what is typed, nor does a key quote another."""

        async def test() -> None:
            async with seated() as seat:
                await seat.type("a\x1b9\x1b9\x1b9\x1b9\x1b9x")
                await seat.type("\x18(y\x18)\x18e\x11\x07z")
                await seat.type("\r")
                self.assertEqual(seat.shell.lines, ["axyz"])

        run(test())

    def test_long_line(self) -> None:
        """A line beyond the limit rings and is not done; the session goes on."""

        async def test() -> None:
            async with seated() as seat:
                await seat.type("x" * 3000)
                await seat.type("y" * 2000 + "\r")
                self.assertEqual(seat.shell.lines, [])
                told = "Failure: the line is longer than 4096 characters; nothing was done"
                self.assertIn(told, seat.rows())
                self.assertGreater(seat.screen().bells, 0)
                await seat.type("z" * (LINE_LIMIT + 1) + "\recho ok\r")
                self.assertEqual(seat.shell.lines, ["echo ok"])

        run(test())

    def test_not_text(self) -> None:
        """What is not UTF-8, and control characters in a paste: refused, never passed on."""

        async def test() -> None:
            async with seated() as seat:
                await seat.type(b"echo caf\xe9\r")
                await seat.type(b"echo \x1b[200~a\x1b[31mb\x1b[201~\r")
                self.assertEqual(seat.shell.lines, [])
                self.assertEqual("\n".join(seat.rows()).count("Failure: the line holds what is not text"), 2)
                self.assertNotIn(b"\x1b[31m", seat.client.data)
                await seat.type("echo é\r")
                self.assertEqual(seat.shell.lines, ["echo é"])

        run(test())

    def test_mistake_in_completion(self) -> None:
        """Is logged, and the line goes on."""

        async def test() -> None:
            async with seated() as seat:
                await seat.type("bug \t?\x15echo a\r")
                self.assertEqual(seat.shell.lines, ["echo a"])

        run(test())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)


class LeavingTests(SynchronousTestCase):
    """^C, ^D, ^Z and the other ends."""

    def ends(self, keys: list[str], term: str = "xterm") -> tuple[FakeShell, Seat, int]:
        """What became of a session that ends by these keys."""
        found: list[tuple[FakeShell, Seat, int]] = []

        async def test() -> None:
            async with seated(term) as seat:
                for each in keys:
                    await seat.type(each)
                assert seat.task is not None
                found.append((seat.shell, seat, await seat.task))

        run(test())
        return found[0]

    def test_exit(self) -> None:
        """``exit`` ends the session with the status of the last command; the terminal is as before."""
        for term in ("xterm", "dumb"):
            shell, seat, status = self.ends(["echo a\r", "exit\r"], term)
            self.assertEqual((shell.lines, status), (["echo a", "exit"], 0))
            self.assertLessEqual(seat.screen().modes, MODES)

    def test_control_d(self) -> None:
        """On an empty line it is ``exit``, from a configuration mode too; otherwise it deletes."""
        for term in ("xterm", "dumb"):
            shell, seat, _ = self.ends(["config\r", "\x04", "ab\x15\x04"], term)
            self.assertEqual(shell.lines, ["config", "exit", "exit"])
            self.assertLessEqual(seat.screen().modes, MODES)

    def test_control_z(self) -> None:
        """It is ``end`` in a configuration mode and nothing elsewhere."""
        for term in ("xterm", "dumb"):
            shell, _, _ = self.ends(["config\r", "ec\x1a", "\x1a", "exit\r"], term)
            self.assertEqual(shell.lines, ["config", "end", "exit"])

    def test_control_c(self) -> None:
        """It abandons the line."""
        for term in ("xterm", "dumb"):
            shell, seat, _ = self.ends(["ec", "\x03", "exit\r"], term)
            self.assertEqual(shell.lines, ["exit"])
            self.assertEqual(seat.rows()[0].removesuffix("^C"), f"{PROMPT}ec")

    def test_end_of_input(self) -> None:
        """What was typed before is done; half a line is not."""

        async def test() -> None:
            async with seated() as seat:
                seat.session.feed(b"echo a\recho b\rech")
                seat.session.eof()
                assert seat.task is not None
                self.assertEqual(await seat.task, 0)
                self.assertEqual(seat.shell.lines, ["echo a", "echo b"])
            for command in ("ask", "key", "count 99"):
                async with seated(length=10) as seat:
                    await seat.type(f"{command}\r")
                    seat.session.eof()
                    assert seat.task is not None
                    await seat.task

        run(test())

    def test_close(self) -> None:
        """The reason is shown, what runs is cancelled, the terminal is as before."""

        async def test() -> None:
            for keys in ("", "ec", "wait\r", "count 99\r", "ask\r"):
                async with seated(length=10) as seat:
                    await seat.type(keys)
                    seat.session.close("idle time-out")
                    assert seat.task is not None
                    await seat.task
                    self.assertEqual(seat.rows()[-1], "idle time-out")
                    self.assertLessEqual(seat.screen().modes, MODES)
                    self.assertEqual(seat.shell.log, ["cancelled"] if keys == "wait\r" else [])

        run(test())

    def test_nothing_stays(self) -> None:
        """A session that is over is gone without a search for cycles, which the process does not make."""

        async def test() -> None:
            self.patch(editor, "PARTING", 0.1)
            ended = []
            gc.disable()
            for _ in range(3):
                shell, client = FakeShell(), FakeClient()
                session = TerminalSession(shell, client, "xterm", 24, 80, int)
                task = asyncio.ensure_future(session.run())
                for keys in (b"ec", b"ho", b" one\x01", b"\r", b"exi", b"t\r"):
                    session.feed(keys)
                    await asyncio.sleep(0.05)
                self.assertEqual(await asyncio.wait_for(task, 5), 0)
                self.assertEqual(shell.lines, ["echo one", "exit"])
                ended += [weakref.ref(each) for each in (session, session._editor, shell, client)]
                del session, shell, client, task
            await asyncio.sleep(0.3)
            self.assertEqual([each() for each in ended], [None] * len(ended))

        self.addCleanup(gc.enable)
        run(test())

    def test_lost_client(self) -> None:
        """Who cancels the session, or a client that is lost, ends it and what runs."""

        async def test() -> None:
            async with seated() as seat:
                await seat.type("wait\r")
                assert seat.task is not None
                seat.task.cancel()
                with self.assertRaises(asyncio.CancelledError):
                    await seat.task
                self.assertEqual(seat.shell.log, ["cancelled"])
            async with seated() as seat:
                seat.client.reads = False
                await seat.type("count 100000\r")
                seat.client.gone = True
                assert seat.task is not None
                await seat.task
                self.assertLess(seat.shell.made, 10_000)

        run(test())


class CommandTests(SynchronousTestCase):
    """While a command runs."""

    def test_typing_ahead(self) -> None:
        """Keys wait for the command's end, except ^C, which ends it and makes them void."""

        async def test() -> None:
            async with seated() as seat:
                await seat.type("wait\r")
                await seat.type("echo lost\r")
                self.assertEqual(seat.shell.lines, ["wait"])
                await seat.type("\x03echo a\r")
                self.assertEqual(
                    seat.rows(),
                    [f"{PROMPT}wait", "waiting", "^C", f"{PROMPT}echo a", "a", PROMPT.rstrip()],
                )
                self.assertEqual(seat.shell.log, ["cancelled"])
                await seat.type("key 0.05\recho b\r")
                self.assertEqual(seat.shell.lines[-1], "key 0.05")

        run(test())

    def test_mistake(self) -> None:
        """Is logged and told in one line; the session goes on."""

        async def test() -> None:
            async with seated() as seat:
                await seat.type("bug password Secret1\recho a\r")
                told = ["Failure: internal error; the log tells more", f"{PROMPT}echo a"]
                self.assertEqual(seat.rows()[1:3], told)

        run(test())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_question(self) -> None:
        """An answer is a line that no history keeps; ^C and the end of input are none."""

        async def test() -> None:
            async with seated() as seat:
                await seat.type("ask\r")
                await seat.type("no\x7f\x7fyes?\r")
                self.assertEqual(seat.rows()[1:], ["Sure? yes?", "<yes?>", PROMPT.rstrip()])
                await seat.type("\x1b[A\x03ask\r")
                await seat.type("ye\x03")
                self.assertEqual(seat.shell.log, ["interrupted"])
                await seat.type("ask\r")
                await seat.type("\x04")
                self.assertEqual(seat.shell.log, ["interrupted"] * 2)
                await seat.type("\x1b[A\r")
                self.assertEqual(seat.shell.lines[-1], "ask")

        run(test())

    def test_keys(self) -> None:
        """A command gets keys one by one; none in time is an empty one; ^C interrupts."""

        async def test() -> None:
            async with seated() as seat:
                await seat.type("key\r")
                await seat.type("ab\x1b[A\rQ")
                self.assertEqual(seat.client.data.split(b"\r\n")[1:5], [b"<a>", b"<b>", b"<up>", b"<\r>"])
                self.assertEqual(seat.rows()[-1], PROMPT.rstrip())
                await seat.type("key 0.02\r")
                await asyncio.sleep(0.1)
                self.assertEqual(seat.rows()[-2], "<>")
                await seat.type("key\r")
                await seat.type("\x03")
                self.assertEqual(seat.shell.log, ["interrupted"])
                self.assertEqual(seat.rows()[-2:], ["^C", PROMPT.rstrip()])

        run(test())
