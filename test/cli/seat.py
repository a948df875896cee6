"""An operator's seat: a session at a terminal whose client, shell and screen are fakes."""

import asyncio
import contextlib
import gc
import time
from collections.abc import AsyncIterator, Coroutine
from typing import Any

from appliance.cli.terminal import TerminalSession
from test.cli.fake_shell import FakeClient, FakeShell
from test.cli.tty_model import Screen


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a test to its end, or fail it after 20 seconds."""
    asyncio.run(asyncio.wait_for(coroutine, 20))


class Seat:
    """The session and all around it."""

    def __init__(self, term: str = "xterm", rows: int = 24, columns: int = 80) -> None:
        self.shell = FakeShell()
        self.client = FakeClient()
        self.touched = 0
        self.session = TerminalSession(self.shell, self.client, term, rows, columns, self._touch)
        self.task: asyncio.Task[int] | None = None
        self._columns = columns

    def _touch(self) -> None:
        self.touched += 1

    def start(self, *banner: str) -> None:
        self.task = asyncio.ensure_future(self.session.run(banner))

    async def type(self, keys: str | bytes) -> None:
        """Type, and wait until everything has come to rest."""
        self.session.feed(keys.encode() if isinstance(keys, str) else keys)
        await self.rest()

    async def rest(self) -> None:
        """Wait until nothing more is written."""
        quiet = 0
        while quiet < 2:
            seen = len(self.client.data), self.session.pending
            await asyncio.sleep(0.02)
            quiet = quiet + 1 if seen == (len(self.client.data), self.session.pending) else 0

    async def until(self, text: str, since: int = 0) -> None:
        """Wait for text among the octets that are sent."""
        while text.encode() not in self.client.data[since:]:
            await asyncio.sleep(0)

    async def done(self, count: int) -> None:
        """Wait until the shell has been given so many lines."""
        while len(self.shell.lines) < count:
            await asyncio.sleep(0)

    def rows(self) -> list[str]:
        """What is on the screen."""
        return self.screen().text()

    def screen(self) -> Screen:
        screen = Screen(self._columns)
        screen.feed(self.client.data)
        return screen


@contextlib.asynccontextmanager
async def seated(
    term: str = "xterm", rows: int = 24, columns: int = 80, length: int = 0
) -> AsyncIterator[Seat]:
    """A seat at its first prompt; the session is ended after the test."""
    seat = Seat(term, rows, columns)
    seat.shell.length = length
    seat.start()
    await seat.rest()
    try:
        yield seat
    finally:
        assert seat.task is not None
        seat.task.cancel()
        await asyncio.wait([seat.task])


class Lag:
    """The longest time, in seconds of this thread's own work, that the loop did not come round."""

    def __init__(self) -> None:
        self.worst = 0.0

    async def watch(self) -> None:
        while True:
            # Not by the clock: other processes hold this one up as well.
            begin = time.thread_time()
            await asyncio.sleep(0)
            self.worst = max(self.worst, time.thread_time() - begin)


@contextlib.asynccontextmanager
async def lag() -> AsyncIterator[Lag]:
    """Watch the loop."""
    watcher = Lag()
    # The appliance keeps the collector away from what is old (app.py); a test has much more of that.
    gc.collect()
    gc.disable()
    task = asyncio.ensure_future(watcher.watch())
    try:
        yield watcher
    finally:
        gc.enable()
        task.cancel()
