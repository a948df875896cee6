"""A terminal that acts a script, and a shell with nothing but a face and a system."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from attrs import define, field

import appliance.cli.commands.capture
import appliance.cli.commands.monitor
from appliance.cli.grammar import COMMANDS, Command
from appliance.ports import CaptureView, TapFilter
from test.tapped import World

assert appliance.cli.commands.capture and appliance.cli.commands.monitor  # imported for their commands

Step = str | Callable[[], object]


@define(slots=False)
class FakeFace:
    """A terminal: gives keys, or calls what is among them, one at each wait; keeps what is written."""

    keys: list[Step] = field(factory=list)
    interactive: bool = True
    written: list[str] = field(factory=list)
    paged: list[bool] = field(factory=list)
    slow: Callable[[], object] = lambda: None
    """Called in each write: what happens while the terminal takes nothing."""

    async def write(self, lines: Sequence[str], *, failed: bool = False, paged: bool = True) -> None:
        """Keep the lines."""
        self.written += lines
        self.paged.append(paged)
        self.slow()
        await asyncio.sleep(0)

    async def ask(self, question: str) -> str:
        """Nobody is asked anything."""
        raise AssertionError(question)

    async def key(self, timeout: float) -> str:
        """The next key; Q when there are no more."""
        await asyncio.sleep(0)
        if not timeout:
            return ""
        if not self.interactive:
            await asyncio.sleep(timeout)
            if not self.keys:
                return ""
        step = self.keys.pop(0) if self.keys else "q"
        if isinstance(step, str):
            return step
        step()
        return ""


@define
class FakeCaptures:
    """Notes what it is told."""

    calls: list[tuple[Any, ...]] = field(factory=list)
    shown: list[CaptureView] = field(factory=list)

    async def start(self, file: str, wanted: TapFilter, limit: int, duration: int) -> None:
        """Note it."""
        self.calls.append((file, wanted, limit, duration))

    async def stop(self, file: str = "") -> list[CaptureView]:
        """Note it; all of those that are shown have ended."""
        self.calls.append((file,))
        return self.shown

    def views(self) -> list[CaptureView]:
        """Those that are shown."""
        return self.shown


class FakeShell:
    """A face and a system."""

    def __init__(self, face: FakeFace, world: World) -> None:
        self.face = face
        self.system = world
        self.captures = FakeCaptures()
        world.captures = self.captures  # type: ignore[attr-defined]


def command(start: str) -> Command:
    """The command whose syntax begins so."""
    (found,) = (one for one in COMMANDS.commands("exec") if one.syntax.startswith(start))
    return found


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine to its end, at most some seconds."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(asyncio.wait_for(coroutine, 10))
    finally:
        loop.close()
