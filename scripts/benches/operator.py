"""An operator at a terminal of the control socket, as a program: types, reads the screen, takes the time."""

import json
import re
import select
import socket
import time
from collections.abc import Callable
from typing import Any

from scripts.labnet import LabError

ROWS, COLUMNS = 50, 120
STEERING = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[=>]|\r")


class Terminal:
    """One interactive session through the control socket at ``path``."""

    def __init__(self, path: str, timeout: float = 30.0) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self._timeout = timeout
        self._data = b""
        self.screen = ""
        """Text that came since the last key, without what steers the terminal."""
        self._object()
        self._send({"terminal": {"term": "xterm", "rows": ROWS, "columns": COLUMNS}})
        self.wait(lambda text: text.rstrip().endswith("#"))

    def _send(self, message: dict[str, Any]) -> None:
        self._socket.sendall(json.dumps(message).encode() + b"\n")

    def _object(self) -> dict[str, Any]:
        until = time.monotonic() + self._timeout
        while b"\n" not in self._data:
            if not select.select([self._socket], [], [], max(0.0, until - time.monotonic()))[0]:
                raise LabError(f"nothing came for {self._timeout:g} s; the screen: {self.screen[-200:]!r}")
            part = self._socket.recv(1 << 20)
            if not part:
                raise LabError(f"the appliance closed the session; the screen: {self.screen[-200:]!r}")
            self._data += part
        line, _, self._data = self._data.partition(b"\n")
        found: dict[str, Any] = json.loads(line)
        return found

    def press(self, keys: str) -> None:
        """Type, without waiting."""
        self.screen = ""
        self._send({"keys": keys})

    def wait(self, done: Callable[[str], bool]) -> float:
        """Read until the screen's text is as wanted; returns the seconds that took."""
        begun = time.perf_counter()
        while not done(self.screen):
            text = self._object().get("screen", "")
            self.screen += STEERING.sub("", text.encode("latin-1").decode("utf-8", "replace"))
        return time.perf_counter() - begun

    def type(self, keys: str, done: Callable[[str], bool]) -> float:
        """Type and read until the screen is as wanted; returns the seconds."""
        self.press(keys)
        return self.wait(done)

    def prompt(self, line: str) -> float:
        """Do a whole line and wait for the next prompt; returns the seconds."""
        return self.type(f"{line}\r", lambda text: text.rstrip(" ").endswith("# ".rstrip()) and "\n" in text)

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


class Script:
    """A scripted session through the control socket: lines in, lines out."""

    def __init__(self, path: str, timeout: float = 120.0) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(timeout)
        self._socket.connect(path)
        self._file = self._socket.makefile("rb")
        self._file.readline()

    def send(self, line: str) -> None:
        """Ask for a line, without reading what it gives."""
        self._socket.sendall(json.dumps({"line": line}).encode() + b"\n")

    def answer(self) -> tuple[int, int]:
        """Read an answer to its end; its status and how many lines it had."""
        count = 0
        while True:
            message = json.loads(self._file.readline())
            count += len(message.get("lines", ()))
            if "status" in message:
                return message["status"], count

    def lines(self, line: str) -> list[str]:
        """What a line gives. Raises :class:`LabError` if it fails."""
        self.send(line)
        found: list[str] = []
        while True:
            message = json.loads(self._file.readline())
            found += message.get("lines", ())
            if "status" in message:
                if message["status"]:
                    raise LabError(f"{line}: {' '.join(found)}")
                return found

    def close(self) -> None:
        """Hang up."""
        self._file.close()
        self._socket.close()
