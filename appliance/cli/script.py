"""A shell for a script: lines in, lines out, nobody to ask.

::

    lines ─▶ LineSession ─▶ Shell.execute(line, this session) ─▶ write(lines, failed) ─▶ client

Used by the control socket for ``appliance cli -e`` and standard input, and for SSH without a terminal.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from appliance.cli.face import ConnectionLost, Interrupted, Transport
from appliance.cli.shell import Shell
from appliance.config_secrets import masked
from appliance.log import Facility

INTERNAL = "Failure: internal error; the log tells more"
PIECE = 200
"""Lines that are written at once."""

Write = Callable[[Sequence[str], bool], Awaitable[None]]
"""Takes lines and whether they tell of a failure; returns when the client can take more, or raises
:class:`ConnectionLost`."""


class LineSession:
    """The ``Face`` of a shell that a script has. ``touch()`` is called for every line."""

    logger = Facility("script")
    interactive = False

    def __init__(self, shell: Shell, write: Write, touch: Callable[[], None]) -> None:
        self._shell = shell
        self._write = write
        self._touch = touch
        self._prefix = ""

    async def run(self, lines: AsyncIterator[str], keep_going: bool, numbered: bool) -> int:
        """Do lines one after the other; if ``numbered``, failures name their line.

        Stops when the shell is closed, and at the first failure unless ``keep_going``. Returns the
        exit status: 0 all worked, 1 a command failed.
        """
        status = 0
        number = 0
        async for line in lines:
            number += 1
            self._prefix = f"line {number}: " if numbered else ""
            if await self.execute(line):
                status = 1
                if not keep_going:
                    break
            if self._shell.closed:
                break
        return status

    async def execute(self, line: str) -> int:
        """Do one line: 0 it worked, 1 it failed. A mistake in a command is logged and told.

        Raises :class:`ConnectionLost`.
        """
        self._touch()
        try:
            return await self._shell.execute(line, self)
        except Interrupted:
            return 1
        except ConnectionLost:
            raise
        except Exception:  # noqa: BLE001 - a mistake in one command must not end the session; it is logged
            self.logger.failure("command {line!r} failed", line=masked(line))
            await self.write([INTERNAL], failed=True)
            return 1

    async def write(self, lines: Sequence[str], *, failed: bool = False, paged: bool = True) -> None:
        """Hand lines on; see :class:`appliance.cli.face.Face`."""
        if failed and self._prefix:
            lines = [self._prefix + text for text in lines]
        await self._write(lines, failed)
        await asyncio.sleep(0)

    async def ask(self, question: str) -> str:
        """Nobody is there. Raises :class:`Interrupted`."""
        raise Interrupted

    async def key(self, timeout: float) -> str:
        """Nobody types: an empty text after ``timeout`` seconds."""
        await asyncio.sleep(timeout)
        return ""


def over(
    shell: Shell, out: Transport, err: Transport, touch: Callable[[], None] = lambda: None
) -> LineSession:
    """A session that writes lines as UTF-8 text to ``out``, and failures to ``err``."""

    async def write(lines: Sequence[str], failed: bool) -> None:
        way = err if failed else out
        for at in range(0, len(lines), PIECE):
            text = "".join(f"{line}\n" for line in lines[at : at + PIECE])
            way.write(text.encode("utf-8", "replace"))
            await way.drain()

    return LineSession(shell, write, touch)
