"""``appliance cli``: attaches to a running appliance through its control socket.

::

    a person     keys ─▶ {"keys"} ─▶ appliance (editor, shell, pager) ─▶ {"screen"} ─▶ terminal in raw mode
    a script     -e, standard input ─▶ {"line"} ─▶ appliance ─▶ {"lines"}, {"status"} ─▶ output

Exit status: 0 all commands worked (or a person has left), 1 a command failed, 2 could not attach, or
the appliance has gone.
"""

import argparse
import contextlib
import json
import os
import socket
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from appliance.config_tree import DEFAULT_CONTROL_SOCKET
from appliance.errors import ApplianceError

INTERRUPTED = 130
"""Exit status after Ctrl-C, as a shell has it."""

STRANGE = "what listens on the socket is no appliance of this version"


class AttachError(ApplianceError):
    """The appliance cannot be reached, or has gone."""


class Connection:
    """A blocking connection to the control socket at ``path``.

    Raises :class:`AttachError`, here and in every method, when there is no appliance to talk to.
    """

    def __init__(self, path: str) -> None:
        self.status = 0
        """Of the last line: 0 it worked, 1 it failed."""
        self.closed = False
        """True when the appliance has ended the session, as after ``exit``."""
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._socket.connect(path)
        except OSError as error:
            self._socket.close()
            raise AttachError(f"{path}: {_reason(error)}") from error
        self._received = b""
        self._messages: deque[dict[str, Any]] = deque()
        try:
            for _ in self._answer():
                pass
        except AttachError:
            self.close()
            raise

    def execute(self, line: str) -> Iterator[tuple[list[str], bool]]:
        """Do one line: what it says as it comes, and whether that tells of a failure; then see ``status``."""
        self.send({"line": line})
        yield from self._answer()

    def close(self) -> None:
        """Detach."""
        self._socket.close()

    def send(self, message: dict[str, Any]) -> None:
        """Send one object."""
        # An appliance that has closed may have said why: what is read next tells, or that there is nothing.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._socket.sendall(json.dumps(message).encode() + b"\n")

    def fileno(self) -> int:
        """To wait for what the appliance sends."""
        return self._socket.fileno()

    def receive(self) -> list[dict[str, Any]]:
        """The objects that have come; if there are none waits until octets come, which may be half of one."""
        if not self._messages:
            self._read()
        found = list(self._messages)
        self._messages.clear()
        return found

    def _read(self) -> None:
        try:
            data = self._socket.recv(65_536)
        except OSError as error:
            raise AttachError(f"the appliance has closed the connection ({error.strerror})") from error
        if not data:
            raise AttachError("the appliance has closed the connection")
        *lines, self._received = (self._received + data).split(b"\n")
        self._messages.extend(map(_parsed, lines))

    def check(self, message: dict[str, Any]) -> None:
        """Raise :class:`AttachError` if a message says that the appliance does not want us."""
        if message.get("refused"):
            raise AttachError("\n".join(str(text).removeprefix("Failure: ") for text in message["lines"]))

    def _answer(self) -> Iterator[tuple[list[str], bool]]:
        """What comes up to and with the end of an answer."""
        status = None
        while status is None:
            while not self._messages:
                self._read()
            message = self._messages.popleft()
            try:
                self.check(message)
                lines, status = message["lines"], message.get("status")
                if not isinstance(lines, list):
                    raise TypeError(lines)
                if status is not None:
                    message["prompt"]
                    self.status = int(status)
                    self.closed = bool(message.get("closed"))
            except (ValueError, KeyError, TypeError) as error:
                raise AttachError(STRANGE) from error
            if lines:
                yield [str(text) for text in lines], bool(message.get("failed") or status)


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        message = json.loads(line)
    except ValueError as error:
        raise AttachError(STRANGE) from error
    if not isinstance(message, dict):
        raise AttachError(STRANGE)
    return message


def _reason(error: OSError) -> str:
    if isinstance(error, FileNotFoundError | ConnectionRefusedError):
        return "no appliance listens there; start it with 'appliance run' or name its socket with --socket"
    if isinstance(error, PermissionError):
        return "permission denied; be root or a member of the group appliance"
    return error.strerror or str(error)


def main(argv: Sequence[str]) -> int:
    """Run ``appliance cli`` with these arguments and return its exit status."""
    parser = argparse.ArgumentParser(prog="appliance cli", description="Attach to a running appliance.")
    parser.add_argument(
        "--socket", default=DEFAULT_CONTROL_SOCKET, metavar="PATH", help="default: %(default)s"
    )
    parser.add_argument(
        "-e", dest="commands", action="append", metavar="COMMAND", help="do this and end; repeatable"
    )
    parser.add_argument("--keep-going", action="store_true", help="go on after a command that failed")
    options = parser.parse_args(argv)
    try:
        connection = Connection(options.socket)
        try:
            if options.commands is None and sys.stdin and sys.stdin.isatty():
                from appliance.cli.console import interact

                interact(connection)
                return 0
            # Without a standard input Python has None there.
            source = options.commands
            if source is None:
                source = (line.rstrip("\r\n") for line in sys.stdin or ())
            return _run(connection, source, options.keep_going, options.commands is None)
        finally:
            connection.close()
    except AttachError as error:
        print(f"Failure: {error}", file=sys.stderr)
        return 2
    except UnicodeDecodeError as error:
        print(f"Failure: standard input is not UTF-8 text ({error.reason})", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:
        # Whoever read the output has seen enough; keep the interpreter from complaining at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            print(f"Failure: standard output: {error.strerror}", file=sys.stderr)
        return 1


def _run(connection: Connection, lines: Iterable[str], keep_going: bool, numbered: bool) -> int:
    """Do lines one after the other and print what they give; if ``numbered``, failures name their line.

    Stops at the first failure unless ``keep_going``. Returns the exit status.
    """
    status = 0
    for number, line in enumerate(lines, 1):
        for texts, failed in connection.execute(line):
            mark = f"line {number}: " if failed and numbered else ""
            text = "".join(f"{mark}{each}\n" for each in texts)
            print(text, end="", file=sys.stderr if failed else sys.stdout, flush=True)
        if connection.status:
            status = 1
            if not keep_going:
                break
        if connection.closed:
            break
    return status
