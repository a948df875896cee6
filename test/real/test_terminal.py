"""An operator at ``appliance cli`` in a terminal emulator (tmux), at a running appliance: whole screens."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from scripts.labrun import environment, stop, wait_for

CONFIG = "config\nsystem hostname node1\nend\n"
PROMPT = "[local]node1# "
COLUMNS, ROWS = 80, 24


class Tmux:
    """A terminal of 80 columns and 24 rows on a tmux server of its own."""

    def __init__(self, directory: Path) -> None:
        self._command = ("tmux", "-S", str(directory / "tmux"), "-f", "/dev/null")
        self._shell = f"PS1='$ ' exec {shutil.which('sh')}"
        self.run("new-session", "-d", "-x", str(COLUMNS), "-y", str(ROWS), self._shell)

    def run(self, *words: str, text: str | None = None) -> str:
        """One tmux command."""
        done = subprocess.run(
            (*self._command, *words),
            check=True, capture_output=True, text=True, env=environment(), input=text,
        )  # fmt: skip
        return done.stdout

    def type(self, text: str) -> None:
        """Type characters, among them control characters."""
        self.run("send-keys", "-l", "--", text)

    def press(self, *names: str) -> None:
        """Press keys by their names, as ``Up``."""
        self.run("send-keys", *names)

    def paste(self, text: str) -> None:
        """Paste as from a clipboard: the terminal marks it if the program has asked for that."""
        self.run("load-buffer", "-", text=text)
        self.run("paste-buffer", "-p")

    def screen(self) -> list[str]:
        """The rows, without blanks and empty rows at the end."""
        return self.run("capture-pane", "-p").rstrip("\n").split("\n")

    def history(self) -> list[str]:
        """The rows with those that were scrolled away."""
        return self.run("capture-pane", "-p", "-S", "-").rstrip("\n").split("\n")

    def cursor(self) -> int:
        """Column of the cursor."""
        return int(self.run("display-message", "-p", "#{cursor_x}"))

    def close(self) -> None:
        """End the server and what runs in it."""
        self.run("kill-server")


class TmuxTests(SynchronousTestCase):
    """What stands on the screen after what is typed."""

    skip = None if shutil.which("tmux") else "tmux is not installed"

    def setUp(self) -> None:
        """Start an appliance and attach."""
        self.work = Path(tempfile.mkdtemp(prefix="appliance-test-"))
        self.addCleanup(shutil.rmtree, self.work, True)
        (self.work / "conf").write_text(CONFIG)
        self.socket = self.work / "socket"
        log = self.work / "log"
        with log.open("w") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "appliance", "run", "-c", str(self.work / "conf"),
                 "--state-dir", str(self.work / "state"), "--socket", str(self.socket)],
                stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, env=environment(), text=True,
            )  # fmt: skip
        self.addCleanup(lambda: stop(self.process))
        wait_for("`Appliance ready` in the log", lambda: "Appliance ready" in log.read_text(), 15)
        self.tmux = Tmux(self.work)
        self.addCleanup(self.tmux.close)
        self.tmux.type(f"clear; {sys.executable} -m appliance cli --socket {self.socket}\r")
        self.shows("the prompt", lambda rows: rows[-1] == PROMPT.rstrip())
        # Dates would differ each time.
        self.tmux.type("no timestamps\r")
        self.tmux.press("C-l")
        self.shows("a clean screen", lambda rows: rows == [PROMPT.rstrip()])

    def shows(self, what: str, wanted: Callable[[list[str]], bool]) -> list[str]:
        """The screen as soon as it is as wanted."""
        rows: list[str] = []

        def probe() -> bool:
            nonlocal rows
            rows = self.tmux.screen()
            return wanted(rows)

        try:
            wait_for(what, probe, 10)
        except Exception as error:
            raise AssertionError(f"{error}; the screen:\n" + "\n".join(rows)) from error
        return rows

    def transcript(self, *rows: str) -> None:
        """The screen becomes exactly this."""
        self.shows("\n".join(rows), lambda seen: seen == list(rows))

    def test_help(self) -> None:
        """``?`` lists what may follow, at once, and the line stays to be finished."""
        self.tmux.type("show system up?")
        self.transcript(
            f"{PROMPT}show system up?",
            "  uptime  Time since the process started",
            f"{PROMPT}show system up",
        )
        self.assertEqual(self.tmux.cursor(), len(f"{PROMPT}show system up"))
        self.tmux.type("time ?")
        rows = self.shows("the end of the line", lambda rows: rows[-1] == f"{PROMPT}show system uptime")
        self.assertRegex(rows[-2], "^  <cr>  ")
        self.tmux.type("\r")
        self.shows("the answer", lambda rows: rows[-2].startswith("System uptime: "))

    def test_completion(self) -> None:
        """Tab completes what is clear and lists what is not."""
        self.tmux.type("sho\tver\t")
        self.transcript(f"{PROMPT}show version")
        self.assertEqual(self.tmux.cursor(), len(f"{PROMPT}show version "))
        self.tmux.press("C-u")
        self.tmux.type("no t\t")
        rows = self.shows("two choices", lambda rows: len(rows) == 3)
        self.assertEqual([rows[0], rows[2]], [f"{PROMPT}no t"] * 2)
        self.assertEqual(rows[1].split(), ["terminal", "timestamps"])

    def test_editing(self) -> None:
        """Within a line that is folded, and back in the history."""
        self.tmux.type("xxxx" + "y" * 90)
        self.tmux.press("C-a", "M-d")
        self.tmux.type("show clo")
        self.tmux.press("C-e", "BSpace", "Left", "Left", "Right", "C-k")
        self.transcript(f"{PROMPT}show c")
        self.tmux.press("C-u")
        self.tmux.type("shew\r")
        self.tmux.press("Up", "Left", "BSpace")
        self.tmux.type("o")
        self.shows("the corrected line", lambda rows: rows[-1] == f"{PROMPT}show")
        self.tmux.press("C-c")
        self.shows("the next prompt", lambda rows: rows[-1] == PROMPT.rstrip())

    def test_pages(self) -> None:
        """Output stops at the size of the window, also a new one, and goes on as a key says."""
        self.tmux.type("terminal length 3\r")
        self.tmux.press("C-l")
        self.shows("a clean screen", lambda rows: rows == [PROMPT.rstrip()])
        self.tmux.type("show version\r")
        rows = self.shows("the question", lambda rows: rows[-1] == "--More--")
        self.assertEqual(rows[:2], [f"{PROMPT}show version", "Active Software:"])
        self.assertTrue(rows[2].startswith("  Image Version:                  "))
        self.assertEqual(len(rows), 4)
        self.tmux.press("Enter")
        rows = self.shows("one line more", lambda rows: len(rows) == 5 and rows[-1] == "--More--")
        self.assertTrue(rows[3].startswith("  Image "))
        self.tmux.type("q")
        self.shows("the prompt", lambda rows: rows[-1] == PROMPT.rstrip())
        self.assertNotIn("--More--", "".join(self.tmux.screen()))

    def test_size(self) -> None:
        """A smaller window folds the line anew, and the session knows its size."""
        self.tmux.type("echo " + "z" * 60)
        self.shows("the line", lambda rows: rows[-1].endswith("z"))
        self.tmux.run("resize-window", "-x", "40", "-y", "12")
        self.shows("the folded line", lambda rows: len(rows) == 2 and rows[0].startswith(f"{PROMPT}echo z"))
        self.tmux.run("resize-window", "-x", str(COLUMNS), "-y", str(ROWS))
        self.shows("the line", lambda rows: rows[-1].startswith(PROMPT) or len(rows) <= 2)
        self.tmux.press("C-c")
        self.shows("the next prompt", lambda rows: rows[-1] == PROMPT.rstrip())

    def test_paste(self) -> None:
        """A pasted block of 200 lines is done line by line; a pasted ``?`` is only a character."""
        count = 200
        # Not in the first row: what is drawn anew there tmux takes for a cleared screen, and keeps it.
        self.tmux.type("\r")
        self.shows("the second row", lambda rows: len(rows) == 2)
        begin = time.monotonic()
        self.tmux.paste("".join(f"# what? {number}\n" for number in range(count)) + "show clo")
        self.shows("the last line", lambda rows: rows[-1] == f"{PROMPT}show clo")
        self.assertLess(time.monotonic() - begin, 5)
        done = [row for row in self.tmux.history() if "# what?" in row]
        self.assertEqual(done, [f"{PROMPT}# what? {number}" for number in range(count)])

    def test_end(self) -> None:
        """After ``exit``, and after the appliance has died, the terminal is as it was."""
        self.tmux.type("exit\r")
        self.shows("the shell", lambda rows: rows[-1] == "$")
        self.tmux.type("echo st$?\r")
        self.shows("the shell", lambda rows: "st0" in rows)
        self.tmux.type(f"clear; {sys.executable} -m appliance cli --socket {self.socket}\r")
        self.shows("the prompt", lambda rows: rows[-1] == PROMPT.rstrip())
        os.kill(self.process.pid, signal.SIGKILL)
        failure = "Failure: the appliance has closed the connection"
        self.shows("the failure", lambda rows: failure in rows and rows[-1] == "$")
        self.tmux.type("echo st$?\r")
        self.shows("the shell", lambda rows: "st2" in rows)
        self.tmux.type("stty -a\r")
        self.shows("its settings", lambda rows: any(" icanon" in row for row in rows))
        self.shows("its settings", lambda rows: any(" echo " in row for row in rows))
