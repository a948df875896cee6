"""The way to an operator's terminal: text in, octets out, never more than the client takes.

::

    session, prompt_toolkit ─text─▶ Screen ─UTF-8, CR LF─▶ Transport (SSH channel, control socket)
                                      └─ ready(): wait until the client has taken nearly all
"""

import asyncio
from collections.abc import Callable

from prompt_toolkit.data_structures import Size

from appliance.cli.face import ConnectionLost, Transport
from appliance.log import Facility

AHEAD = 16_384
"""Octets that are written before the client is waited for."""
CLOGGED = 65_536
"""Octets that wait when nothing is written any more that nobody asked for."""
DUMB = ("", "dumb", "unknown")
"""Names of terminals that have no cursor to move."""


class Screen:
    """One terminal of ``rows`` and ``columns`` (0: unknown). ``lost()`` is called when the client is gone.

    It has what prompt_toolkit expects of a file.
    """

    logger = Facility("terminal")
    encoding = "utf-8"

    def __init__(
        self, transport: Transport, term: str, rows: int, columns: int, lost: Callable[[], None]
    ) -> None:
        self.dumb = term in DUMB
        self.gone = False
        """Nobody is there any more: nothing is written."""
        self.unsent = 0
        """Octets written since the client had last taken all."""
        self._transport = transport
        self._lost = lost
        self._draining: asyncio.Task[None] | None = None
        self.resize(rows, columns)

    def resize(self, rows: int, columns: int) -> None:
        """The terminal has this size now."""
        self.rows = min(max(rows, 0), 1000)
        self.columns = min(max(columns, 0), 1000)

    def size(self) -> Size:
        """A size to draw on, also where it is unknown or too small for anything."""
        return Size(rows=max(self.rows or 24, 3), columns=max(self.columns or 80, 16))

    @property
    def clogged(self) -> bool:
        """The client does not take what it is sent."""
        return self.unsent > CLOGGED

    def write(self, text: str) -> int:
        """Write text whose lines end in ``\\n``."""
        if self.gone:
            return 0
        data = text.replace("\r\n", "\n").replace("\n", "\r\n").encode("utf-8", "replace")
        self._transport.write(data)
        self.unsent += len(data)
        if self.unsent > AHEAD and self._draining is None:
            self._draining = asyncio.ensure_future(self._drain())
        return len(text)

    def line(self, *lines: str) -> int:
        """Write whole lines."""
        return self.write("".join(f"{text}\n" for text in lines))

    def wipe(self, text: str) -> None:
        """Take away a text that the cursor stands behind."""
        if self.dumb:
            self.write("\r" + " " * len(text) + "\r")
            return
        # Where the text is folded, it began some rows above.
        above = (len(text) - 1) // self.columns if self.columns else 0
        self.write((f"\x1b[{above}A" if above else "") + "\r\x1b[J")

    def bell(self) -> None:
        """Say that this was nothing."""
        if not self.clogged:
            self.write("\a")

    def flush(self) -> None:
        """Nothing is kept here."""

    def isatty(self) -> bool:
        """It is a terminal."""
        return True

    async def ready(self) -> None:
        """Wait while the client has not taken nearly all; returns too when it is gone."""
        while self._draining is not None:
            await asyncio.shield(self._draining)

    def stop(self) -> None:
        """Wait for the client no more: the session ends."""
        if self._draining is not None:
            self._draining.cancel()

    def close(self) -> None:
        """Nothing is written any more, and nobody is told of a client that has gone."""
        self.gone = True
        self._lost = _nobody

    async def _drain(self) -> None:
        try:
            while self.unsent > AHEAD:
                before = self.unsent
                await self._transport.drain()
                self.unsent -= before
        except ConnectionLost:
            self._leave()
        except asyncio.CancelledError:
            self._leave()
            raise
        except Exception:  # noqa: BLE001 - without a client there is no one to tell; it is logged
            self.logger.failure("writing to a terminal failed")
            self._leave()
        finally:
            self._draining = None

    def _leave(self) -> None:
        if not self.gone:
            self.gone = True
            self._lost()


def _nobody() -> None:
    """Whom a screen tells that was closed."""
