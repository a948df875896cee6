"""A shell with a few commands of its own, and a client that notes what it is sent."""

import asyncio
from collections.abc import Sequence

from attrs import define

from appliance.cli.face import ConnectionLost, Face, Interrupted
from appliance.cli.match import Candidate

WORDS = (
    Candidate("clear", "Removes", True),
    Candidate("show", "Shows", True),
    Candidate("shutdown", "Stops", True),
    Candidate("exit", "Leaves", True),
)
SHOW = (Candidate("clock", "Tells the time", True), Candidate("<name>", "A name", False))


class FakeShell:
    """Its commands are the ``do_`` methods."""

    def __init__(self) -> None:
        self.length = 0
        self.closed = False
        self.mode = ""
        self.lines: list[str] = []
        self.sizes: list[tuple[int, int]] = []
        self.made = 0
        self.log: list[str] = []

    @property
    def prompt(self) -> str:
        return f"[local]node1{self.mode}# "

    def resized(self, rows: int, columns: int) -> None:
        self.sizes.append((rows, columns))

    def candidates(self, text: str) -> Sequence[Candidate]:
        words = text.split(" ")
        if words[0] == "bug":
            raise ZeroDivisionError
        known = (*WORDS, Candidate("end", "Ends", True)) if self.mode else WORDS
        if len(words) == 1:
            return [each for each in known if each.text.startswith(words[0])]
        if len(words) == 2 and words[0] == "show":
            return [each for each in SHOW if not each.word or each.text.startswith(words[1])]
        if words == ["show", "clock", ""]:
            return [Candidate("|", "Filters", True), Candidate("<cr>", "Ends the command", False)]
        return []

    async def execute(self, line: str, face: Face) -> int:
        self.lines.append(line)
        word, _, rest = line.strip().partition(" ")
        handler = getattr(self, f"do_{word}", None)
        if handler is None:
            await face.write([f"Failure: Unknown command '{word}'"], failed=True)
            return 1
        return await handler(rest, face) or 0

    async def do_echo(self, rest: str, face: Face) -> None:
        await face.write([rest])

    async def do_count(self, rest: str, face: Face) -> None:
        """So many lines, 100 at a time."""
        self.made = 0
        count = int(rest)
        while self.made < count:
            lines = [f"line {number}" for number in range(self.made, min(count, self.made + 100))]
            self.made += len(lines)
            await face.write(lines)

    async def do_wait(self, rest: str, face: Face) -> None:
        await face.write(["waiting"], paged=False)
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            self.log.append("cancelled")
            raise

    async def do_ask(self, rest: str, face: Face) -> None:
        try:
            await face.write([f"<{await face.ask('Sure? ')}>"])
        except Interrupted:
            self.log.append("interrupted")

    async def do_key(self, rest: str, face: Face) -> None:
        try:
            while (key := await face.key(float(rest or 5))) != "Q":
                await face.write([f"<{key}>"], paged=False)
                if not key:
                    return
        except Interrupted:
            self.log.append("interrupted")

    async def do_bug(self, rest: str, face: Face) -> None:
        raise ZeroDivisionError

    async def do_fail(self, rest: str, face: Face) -> int:
        await face.write(["Failure: so it is"], failed=True)
        return 1

    async def do_config(self, rest: str, face: Face) -> None:
        self.mode = "(config)"

    async def do_end(self, rest: str, face: Face) -> None:
        self.mode = ""

    async def do_exit(self, rest: str, face: Face) -> None:
        self.closed = not self.mode
        self.mode = ""


@define(eq=False)
class FakeClient:
    """A transport; while ``reads`` is false it takes only ``room`` octets."""

    reads: bool = True
    room: int = 32_768
    gone: bool = False
    data: bytes = b""
    waiting: int = 0
    most: int = 0

    def write(self, data: bytes) -> None:
        self.data += data
        self.waiting = 0 if self.reads else self.waiting + len(data)
        self.most = max(self.most, self.waiting)

    async def drain(self) -> None:
        while not self.reads and self.waiting > self.room:
            if self.gone:
                raise ConnectionLost
            await asyncio.sleep(0.005)
        self.waiting = 0 if self.reads else self.waiting
        if self.gone:
            raise ConnectionLost
