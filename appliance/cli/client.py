"""``appliance cli``: attaches to a running appliance through its control socket.

Exit status: 0 all commands worked, 1 a command failed, 2 could not attach.
"""

import argparse
import json
import os
import socket
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.shortcuts import CompleteStyle

from appliance.cli import script
from appliance.cli.shell import Result
from appliance.config_tree import DEFAULT_CONTROL_SOCKET
from appliance.errors import ApplianceError


class AttachError(ApplianceError):
    """The appliance cannot be reached, or has gone."""


class Connection:
    """A blocking connection to the control socket at ``path``.

    Raises :class:`AttachError`, here and in every method, when there is no appliance to talk to.
    """

    def __init__(self, path: str) -> None:
        self.prompt = ""
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
        try:
            self._socket.sendall(json.dumps(message).encode() + b"\n")
        except OSError as error:
            raise AttachError(f"the appliance has closed the connection ({error.strerror})") from error

    def _receive(self, found: list[tuple[str, str, bool]] | None = None) -> Result:
        lines: list[str] = []
        while True:
            try:
                text = self._file.readline()
            except OSError as error:
                raise AttachError(f"the appliance has closed the connection ({error.strerror})") from error
            if not text.endswith(b"\n"):
                raise AttachError("the appliance has closed the connection")
            message = json.loads(text)
            lines += message["lines"]
            if "status" in message:
                self.prompt = message["prompt"]
                self.closed = message.get("closed", False)
                if found is not None:
                    found += [(each[0], each[1], each[2]) for each in message.get("candidates", [])]
                return Result(lines, message["status"])


def _reason(error: OSError) -> str:
    if isinstance(error, FileNotFoundError | ConnectionRefusedError):
        return "no appliance listens there; start it with 'appliance run' or name its socket with --socket"
    if isinstance(error, PermissionError):
        return "permission denied; be root or a member of the group appliance"
    return error.strerror or str(error)


class _Completer(Completer):
    """Asks the appliance what may come next."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
        """The keywords that the word before the cursor could become."""
        text = document.text_before_cursor
        typed = "" if not text or text[-1].isspace() else text.split()[-1]
        words = [(word, meaning) for word, meaning, keyword in self._connection.candidates(text) if keyword]
        # As in a shell: the space after a word comes with it as soon as there is no other choice.
        end = " " if len(words) == 1 else ""
        for word, meaning in words:
            yield Completion(word + end, start_position=-len(typed), display=word, display_meta=meaning)


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
            if options.commands is None and sys.stdin.isatty():
                return _interact(connection)
            source = options.commands if options.commands is not None else script.without_ends(sys.stdin)
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
    except BrokenPipeError:
        # Whoever read the output has seen enough; keep the interpreter from complaining at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _while_open(connection: Connection, lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        if connection.closed:
            return
        yield line


def _write(text: str, status: int) -> None:
    print(text, file=sys.stderr if status else sys.stdout, flush=True)


def _interact(connection: Connection) -> int:
    """Prompt for lines until ``exit`` or end of input; a failed command is no reason to end."""
    session: PromptSession[str] = PromptSession(
        completer=_Completer(connection),
        complete_style=CompleteStyle.READLINE_LIKE,
        complete_while_typing=False,
    )
    while not connection.closed:
        try:
            line = session.prompt(connection.prompt)
        except KeyboardInterrupt:
            continue
        except EOFError:
            break
        for text in connection.execute(line).lines:
            print(text)
    return 0
