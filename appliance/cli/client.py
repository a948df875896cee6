"""``appliance cli``: attaches to a running appliance through its control socket.

Exit status: 0 all commands worked, 1 a command failed, 2 could not attach.
"""

import argparse
import contextlib
import json
import os
import socket
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from appliance.cli import script
from appliance.cli.shell import Result
from appliance.config_tree import DEFAULT_CONTROL_SOCKET
from appliance.errors import ApplianceError

INTERRUPTED = 130
"""Exit status after Ctrl-C, as a shell has it."""


class AttachError(ApplianceError):
    """The appliance cannot be reached, or has gone."""


class Connection:
    """A blocking connection to the control socket at ``path``.

    Raises :class:`AttachError`, here and in every method, when there is no appliance to talk to.
    """

    def __init__(self, path: str) -> None:
        self.prompt = ""
        self.length = 0
        """Lines of a page of the session; 0: no paging."""
        self.closed = False
        """True when the appliance has ended the session, as after ``exit``."""
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._socket.connect(path)
        except OSError as error:
            self._socket.close()
            raise AttachError(f"{path}: {_reason(error)}") from error
        self._file = self._socket.makefile("rb")
        greeting = self._receive()
        if greeting.status:
            self.close()
            raise AttachError("\n".join(text.removeprefix("Failure: ") for text in greeting.lines))

    def execute(self, line: str) -> Result:
        """Do one line."""
        self._send({"line": line})
        return self._receive()

    def candidates(self, text: str) -> list[tuple[str, str, bool]]:
        """Text, help and whether it is a keyword, of everything that may come next."""
        self._send({"complete": text})
        found: list[tuple[str, str, bool]] = []
        self._receive(found)
        return found

    def close(self) -> None:
        """Detach."""
        self._file.close()
        self._socket.close()

    def _send(self, message: dict[str, Any]) -> None:
        # An appliance that has closed may have said why: what is read next tells, or that there is nothing.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._socket.sendall(json.dumps(message).encode() + b"\n")

    def _receive(self, found: list[tuple[str, str, bool]] | None = None) -> Result:
        lines: list[str] = []
        while True:
            try:
                text = self._file.readline()
            except OSError as error:
                raise AttachError(f"the appliance has closed the connection ({error.strerror})") from error
            if not text.endswith(b"\n"):
                raise AttachError("the appliance has closed the connection")
            try:
                message = json.loads(text)
                lines += message["lines"]
                if "status" in message:
                    self.prompt = message["prompt"]
                    self.length = message.get("length", 0)
                    self.closed = message.get("closed", False)
                    if found is not None:
                        found += [(each[0], each[1], each[2]) for each in message.get("candidates", [])]
                    return Result(lines, message["status"])
            except (ValueError, KeyError, TypeError) as error:
                raise AttachError("what listens on the socket is no appliance of this version") from error


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
                # Only a person needs the terminal's part, which takes a while to load.
                from appliance.cli.terminal import interact

                return interact(connection)
            # Without a standard input Python has None there.
            source = options.commands
            if source is None:
                source = script.without_ends(sys.stdin or ())
            return script.run(
                _while_open(connection, source), connection.execute, _write, options.keep_going,
                numbered=options.commands is None,
            )  # fmt: skip
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


def _while_open(connection: Connection, lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        if connection.closed:
            return
        yield line


def _write(text: str, status: int) -> None:
    print(text, file=sys.stderr if status else sys.stdout, flush=True)
