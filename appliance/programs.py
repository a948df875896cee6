"""Programs of the host, run beside the loop: their lines as they come, and an end for sure.

::

    run(argv) ──spawnProcess──▶ child ──lines──▶ bounded queue ──▶ async for

The child has no standard input and a clean environment. It is killed when its time is over and when
the iterator is closed, so a ^C of the operator leaves nothing behind.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Any

from twisted.internet.error import ProcessDone, ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol

from appliance.errors import ResourceError

#: Lines that wait for a slow terminal, and characters of one line; what is beyond is cut.
WAITING, LONGEST = 500, 1_000
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/bin", "LC_ALL": "C.UTF-8", "LANG": "C.UTF-8"}


class _Lines(ProcessProtocol):
    """Cuts what a child says, on both of its outputs, into lines."""

    def __init__(self) -> None:
        self.lines: deque[str] = deque()
        self.lost = 0
        self.ended = False
        self.status: int | None = None
        self.news = asyncio.Event()
        self._rest = b""

    def connectionMade(self) -> None:
        """A child that reads gets an end of file."""
        transport: Any = self.transport
        transport.closeStdin()

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """Take octets of either output."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        for line in whole:
            self._add(line)
        if len(self._rest) > LONGEST:
            self._add(self._rest)
            self._rest = b""

    def _add(self, line: bytes) -> None:
        if len(self.lines) >= WAITING:
            self.lost += 1
        else:
            self.lines.append(line[:LONGEST].decode("utf-8", "replace").rstrip("\r"))
        self.news.set()

    def processEnded(self, reason: Any) -> None:
        """The child is gone and all that it said was read."""
        if self._rest:
            self._add(self._rest)
            self._rest = b""
        self.status = 0 if reason.check(ProcessDone) else reason.value.exitCode
        self.ended = True
        self.news.set()


async def run(reactor: Any, arguments: Sequence[str], seconds: float) -> AsyncIterator[str]:
    """Run ``arguments`` (the program's absolute path first) for at most ``seconds`` and yield its lines.

    Raises :class:`ResourceError` when the host cannot start it. Close the iterator to kill the child.
    """
    protocol = _Lines()
    try:
        process = reactor.spawnProcess(protocol, arguments[0], list(arguments), env=ENVIRONMENT, path="/")
    except OSError as error:
        raise ResourceError(f"{arguments[0]} cannot be started: {error.strerror}") from error
    deadline = asyncio.get_running_loop().time() + seconds
    try:
        while True:
            while protocol.lines:
                yield protocol.lines.popleft()
            if protocol.ended:
                break
            protocol.news.clear()
            left = deadline - asyncio.get_running_loop().time()
            try:
                await asyncio.wait_for(protocol.news.wait(), max(left, 0.0))
            except TimeoutError:
                yield f"stopped after {seconds:.0f} seconds"
                return
        if protocol.lost:
            yield f"{protocol.lost} lines dropped: the terminal was too slow"
    finally:
        if not protocol.ended:
            try:
                process.signalProcess("KILL")
            except ProcessExitedAlready:
                # It ended a moment ago; its last words are not read any more.
                protocol.ended = True
