"""A person: ``appliance cli`` on a real pseudo-terminal."""

import errno
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time


class Person:
    """Types on a pseudo-terminal that ``appliance cli --socket PATH`` runs on."""

    def __init__(self, path: str, term: str = "xterm", rows: int = 24, columns: int = 80) -> None:
        self.master, self.slave = pty.openpty()
        self._left = b""
        self.resize(rows, columns)
        self.before = termios.tcgetattr(self.slave)
        code = "import sys; from appliance.cli.client import main; sys.exit(main(sys.argv[1:]))"
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, "--socket", path],
            stdin=self.slave, stdout=self.slave, stderr=self.slave,
            env={**os.environ, "TERM": term}, start_new_session=True,
        )  # fmt: skip

    def resize(self, rows: int, columns: int) -> None:
        """Change the size of the window."""
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        if hasattr(self, "process"):
            # The pseudo-terminal is nobody's controlling terminal, so the kernel tells nobody.
            self.process.send_signal(signal.SIGWINCH)

    def read(self, wanted: str) -> str:
        """The text that comes up to ``wanted``, without what steers the terminal; ten seconds at most.

        What has come with it already is for the next time.
        """
        seen = self._left
        end = time.monotonic() + 10
        while wanted not in (text := re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", seen.decode("utf-8", "replace"))):
            if not select.select([self.master], [], [], max(0.0, end - time.monotonic()))[0]:
                raise AssertionError(f"no {wanted!r} in {text!r}")
            try:
                seen += os.read(self.master, 65536)
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                raise AssertionError(f"ended without {wanted!r}: {text!r}") from None
        found, wanted, left = text.partition(wanted)
        self._left = left.encode()
        return found + wanted

    def type(self, keys: str, wanted: str) -> str:
        """Type, then read up to ``wanted`` in what comes from then on."""
        self._left = b""
        os.write(self.master, keys.encode())
        return self.read(wanted)

    def end(self) -> int:
        """Wait for the end of the process and return its status; the terminal must be as before."""
        status = self.process.wait(10)
        assert termios.tcgetattr(self.slave) == self.before, "the terminal is not as before"
        return status

    def close(self) -> None:
        """Leave nothing behind."""
        self.process.kill()
        self.process.wait(10)
        os.close(self.master)
        os.close(self.slave)
