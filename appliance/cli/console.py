"""The terminal of ``appliance cli``: keys go to the appliance as they are, and what it draws comes back.

There is no editing here: the appliance's side does that, as it does over SSH.
"""

import contextlib
import os
import select
import signal
import sys
import termios
import tty
from collections.abc import Iterator
from types import FrameType
from typing import Any

from appliance.cli.client import STRANGE, AttachError, Connection

RESTORE = b"\x1b[?2004l\x1b[0m\x1b[?25h\r\n"
"""Undoes what an appliance that has gone cannot undo: marked pastes, a hidden cursor."""
ENDING = (signal.SIGTERM, signal.SIGHUP)


def interact(connection: Connection) -> None:
    """Be a person's terminal until the session ends.

    Raises :class:`AttachError` when the appliance does not want us or has gone; the terminal is as
    before in any case.
    """
    source, target = sys.stdin.fileno(), sys.stdout.fileno()
    plain = not os.isatty(target)
    rows, columns = (0, 0) if plain else _size(target)
    term = "dumb" if plain else os.environ.get("TERM", "")
    connection.send({"terminal": {"term": term, "rows": rows, "columns": columns}})
    with _resizes() as resized, _raw(source):
        try:
            _carry(connection, source, target, resized)
        except BaseException:
            if term not in ("", "dumb", "unknown"):
                # Where the terminal has gone too there is nothing to restore.
                with contextlib.suppress(OSError):
                    os.write(target, RESTORE)
            raise


def _carry(connection: Connection, source: int, target: int, resized: int) -> None:
    """Carry octets both ways until the appliance says that it is over."""
    sources: list[Any] = [connection, source, resized]
    while True:
        ready = select.select(sources, [], [])[0]
        if resized in ready:
            os.read(resized, 4096)
            if os.isatty(target):
                connection.send({"resize": list(_size(target))})
        if source in ready:
            if keys := _read(source):
                connection.send({"keys": keys.decode("latin-1")})
            else:
                sources.remove(source)
                connection.send({"end": True})
        if connection in ready:
            for message in connection.receive():
                connection.check(message)
                if "exit" in message:
                    return
                _draw(message, target)


def _draw(message: dict[str, Any], target: int) -> None:
    try:
        data = message["screen"].encode("latin-1")
    except (KeyError, AttributeError, UnicodeError) as error:
        # Before the terminal is served a session may end with lines.
        if isinstance(message.get("lines"), list):
            raise AttachError("\n".join(map(str, message["lines"]))) from None
        raise AttachError(STRANGE) from error
    while data:
        data = data[os.write(target, data) :]


def _read(source: int) -> bytes:
    try:
        return os.read(source, 4096)
    except OSError:
        # So Linux says that nobody is at the other end of a terminal.
        return b""


def _size(target: int) -> tuple[int, int]:
    try:
        size = os.get_terminal_size(target)
    except OSError:
        return 0, 0
    return size.lines, size.columns


@contextlib.contextmanager
def _raw(source: int) -> Iterator[None]:
    """Every key at once and as it is; undone at the end, also at the end by a signal."""

    def leave(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = termios.tcgetattr(source)
    handlers = [(number, signal.signal(number, leave)) for number in ENDING]
    try:
        tty.setraw(source)
        yield
    finally:
        for number, _ in handlers:
            signal.signal(number, signal.SIG_IGN)
        # The terminal may have gone; then there is nothing to restore.
        with contextlib.suppress(termios.error):
            termios.tcsetattr(source, termios.TCSADRAIN, before)
        for number, handler in handlers:
            signal.signal(number, handler)


@contextlib.contextmanager
def _resizes() -> Iterator[int]:
    """A file that can be read when the size of the terminal has changed."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    os.set_blocking(reader, False)
    wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    handler = signal.signal(signal.SIGWINCH, lambda *_: None)
    try:
        yield reader
    finally:
        signal.signal(signal.SIGWINCH, handler)
        signal.set_wakeup_fd(wakeup)
        os.close(reader)
        os.close(writer)
