"""The shell for a person: pages, and help by ``?``, also on a real pseudo-terminal."""

import contextlib
import errno
import io
import os
import pty
import re
import select
import subprocess
import sys
import time
from unittest import mock

from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase

from appliance.cli import terminal
from appliance.cli.terminal import Pager, help_lines, is_literal
from test.cli.test_control import ControlCase

LINES = [f"line {number}" for number in range(10)]


class PagerTests(SynchronousTestCase):
    """Where it stops, and what a key does."""

    def show(self, lines: list[str], length: int, keys: str, columns: int = 80) -> list[str]:
        """What a person saw; each question is shown as ``--``. All ``keys`` must be asked for."""
        left = list(keys)
        out = io.StringIO()

        def ask() -> str:
            print("--")
            return left.pop(0)

        size = os.terminal_size((columns, 24))
        with contextlib.redirect_stdout(out), mock.patch.object(
            terminal, "get_terminal_size", lambda: size
        ):
            Pager(ask).show(lines, length)
        self.assertEqual(left, [])
        return out.getvalue().splitlines()

    def test_all_at_once(self) -> None:
        """Length 0 never stops, and neither does what fits on a page."""
        self.assertEqual(self.show(LINES, 0, ""), LINES)
        self.assertEqual(self.show(LINES, 11, ""), LINES)

    def test_keys(self) -> None:
        """Space gives a page of length - 1 lines, Enter one line, q ends."""
        seen = self.show(LINES, 4, " \rq")
        self.assertEqual(seen, [*LINES[:3], "--", *LINES[3:6], "--", LINES[6], "--"])

    def test_long_lines(self) -> None:
        """A line takes as many rows as the terminal folds it to; one beyond a page still comes."""
        wide = "x" * 25
        self.assertEqual(self.show([wide] * 3, 7, " ", columns=10), [wide, wide, "--", wide])
        self.assertEqual(self.show(["x" * 100, "a"], 4, "q", columns=10), ["x" * 100, "--"])

    def test_smallest_page(self) -> None:
        """A page of one row shows a line at a time."""
        self.assertEqual(self.show(LINES[:3], 1, " \r"), [LINES[0], "--", LINES[1], "--", LINES[2]])


class HelpTests(SynchronousTestCase):
    """What ``?`` means, and how help looks."""

    def test_literal(self) -> None:
        """Inside quotes and in the pattern of a pipe it is a character, elsewhere it asks."""
        for text in ('show "a', "show 'a", "show clock | grep ", "show clock | grep a", 'x | grep "a'):
            self.assertTrue(is_literal(text), text)
        for text in ("", "show ", "show cl", 'show "a" ', "show clock |", "show clock | ", "show clock | gr"):
            self.assertFalse(is_literal(text), text)

    def test_lines(self) -> None:
        """Texts and help stand in columns; nothing to tell is told too."""
        found = [("show", "Shows", True), ("<cr>", "Ends the command", False)]
        self.assertEqual(help_lines(found), ["  show  Shows", "  <cr>  Ends the command"])
        self.assertEqual(help_lines([]), [terminal.NO_HELP])


class Person:
    """Types on a pseudo-terminal that ``appliance cli`` runs on."""

    def __init__(self, path: str) -> None:
        self.master, slave = pty.openpty()
        # A terminal that answers no question about its cursor, as this one.
        environment = {**os.environ, "PROMPT_TOOLKIT_NO_CPR": "1", "TERM": "xterm", "COLUMNS": "80"}
        code = "import sys; from appliance.cli.client import main; sys.exit(main(sys.argv[1:]))"
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, "--socket", path],
            stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True,
        )  # fmt: skip
        os.close(slave)

    def read(self, wanted: str) -> str:
        """The text that comes up to ``wanted``, without what steers the terminal; ten seconds at most."""
        seen = ""
        end = time.monotonic() + 10
        while wanted not in seen:
            if not select.select([self.master], [], [], max(0.0, end - time.monotonic()))[0]:
                raise AssertionError(f"no {wanted!r} in {seen!r}")
            try:
                part = os.read(self.master, 65536)
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                raise AssertionError(f"ended without {wanted!r}: {seen!r}") from None
            seen = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", seen + part.decode())
        return seen

    def type(self, keys: str, wanted: str) -> str:
        """Type, then read up to ``wanted``."""
        os.write(self.master, keys.encode())
        return self.read(wanted)

    def end(self) -> int:
        """Wait for the end of the process and return its status."""
        try:
            while os.read(self.master, 65536):
                pass
        except OSError:
            # So Linux says that nobody is at the other end.
            pass
        try:
            return self.process.wait(10)
        finally:
            self.process.kill()
            os.close(self.master)


class PseudoTerminalTests(ControlCase):
    """``appliance cli`` as a person sees it."""

    timeout = 60

    def person(self) -> Person:
        """Somebody at the prompt."""
        # Relative, because the name of a socket is at most 108 octets long.
        person = Person(self.server.path)
        self.addCleanup(person.process.kill)
        return person

    async def test_help_without_enter(self) -> None:
        """``?`` lists what may come next at once, and the line that was begun stays to be finished."""

        def run() -> int:
            person = self.person()
            person.read("node1#")
            seen = person.type("show system ?", "Time since the process started")
            self.assertIn("uptime", seen)
            person.read("show system")
            person.type("uptime\r", "System uptime: 1D 1H 34M")
            os.write(person.master, b"exit\r")
            return person.end()

        self.assertEqual(await deferToThread(run), 0)

    async def test_pages(self) -> None:
        """Output stops at the session's terminal length; q ends it and the prompt comes back."""

        def run() -> int:
            person = self.person()
            person.read("node1#")
            person.type("no timestamps\r", "node1#")
            person.type("terminal length 2\r", "node1#")
            seen = person.type("show version | more\r", terminal.MORE)
            self.assertIn("Active Software:", seen)
            self.assertNotIn("Image", seen)
            self.assertIn("Image Version", person.type("\r", terminal.MORE))
            self.assertNotIn("Image Description", person.type("q", "node1#"))
            person.type("terminal length 0\r", "node1#")
            seen = person.type("show version\r", "Image Description")
            self.assertNotIn(terminal.MORE, seen)
            os.write(person.master, b"exit\r")
            return person.end()

        self.assertEqual(await deferToThread(run), 0)

    async def test_appliance_gone(self) -> None:
        """When the appliance ends, the next Tab or ``?`` gives one line and status 2."""
        people = [await deferToThread(self.person) for _ in range(2)]
        for person in people:
            await deferToThread(person.read, "node1#")
        await self.server.stop()
        for person, key in zip(people, "\t?", strict=True):
            seen = await deferToThread(person.type, f"show {key}", "Failure: the appliance has closed")
            self.assertNotIn("Traceback", seen)
            self.assertEqual(await deferToThread(person.end), 2)

    async def test_scripts_do_not_stop(self) -> None:
        """``| more`` in a script changes nothing."""
        commands = ("-e", "no timestamps", "-e", "terminal length 2")
        plain = await self.cli(*commands, "-e", "show service all")
        self.assertEqual(await self.cli(*commands, "-e", "show service all | more"), plain)
        self.assertEqual((plain[0], len(plain[1].splitlines())), (0, 2))
