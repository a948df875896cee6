"""An SSH server with a made-up shell behind it, as a process of its own: what test_ssh.py talks to.

``python -m test.real.ssh_server DIRECTORY`` reads one JSON object a line and answers each with one::

    {"configure": {"users": [...], "listeners": [...], ...}}  ▶ {"ports": [...]} or {"error": "..."}
    {"report": true}   ▶ {"lag": worst gap of the loop in ms since the last report, "log": [...],
                          "busy": most CPU time of the loop in one go in ms, "audit": [...],
                          "operators": [...], "memory": KiB, "open": connections without a log-in}
    {"kept": true}     ▶ {"kept": types of the objects of clients in memory}
    {"collect": false} ▶ {}, and the cycle collector is off
    {"notice": "..."}, {"end": NUMBER}, {"stop": true}, {"constants": {"ssh_transport.GRACE": 1}}  ▶ {}
"""

import asyncio
import gc
import json
import os
import sys
import threading
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from twisted.internet import asyncioreactor

asyncioreactor.install()

from twisted.internet import reactor as installed  # noqa: E402
from twisted.logger import formatEvent, globalLogBeginner  # noqa: E402

from appliance.cli.operators import Operators, OperatorSession  # noqa: E402
from appliance.cli.ssh import SshService  # noqa: E402
from appliance.cli.ssh_auth import UserAuth  # noqa: E402
from appliance.cli.ssh_session import Channels, SessionChannel  # noqa: E402
from appliance.cli.ssh_transport import Connection  # noqa: E402
from appliance.cli.values import CommandError  # noqa: E402
from appliance.management import Management, SshServer, User  # noqa: E402
from appliance.ports import Operator  # noqa: E402
from appliance.protocols.timers import Now  # noqa: E402

reactor: Any = installed
TICK = 0.005
PIECE = 64
"""Lines that are written at once, as the appliance's shell does."""
OF_A_CLIENT = (Connection, UserAuth, Channels, SessionChannel, OperatorSession)


class MadeUpShell:
    """Knows ``echo``, ``fail``, ``big COUNT``, ``sleep``, ``whoami``, ``break`` and ``exit``."""

    def __init__(self, system: Any, operator: Operator) -> None:
        self.operator = operator
        self.closed = False

    async def execute(self, line: str, write: Any) -> int:
        word, _, rest = line.strip().partition(" ")
        if word == "echo":
            await write(rest)
        elif word == "whoami":
            await write(f"{self.operator.user} {self.operator.rights} {self.operator.tty or '-'}")
        elif word == "big":
            for first in range(0, int(rest), PIECE):
                numbers = range(first, min(first + PIECE, int(rest)))
                await write("\n".join(f"{number:079}" for number in numbers))
        elif word == "sleep":
            await write("sleeping")
            await asyncio.sleep(float(rest))
        elif word == "exit":
            self.closed = True
        elif word == "break":
            raise RuntimeError("a mistake in a command")
        elif word:
            raise CommandError(f"Unknown command {word}")
        return 0


class MadeUpTerminal:
    """Echoes keys, does lines, shows its size on ``size``."""

    def __init__(
        self, shell: MadeUpShell, transport: Any, term: str, rows: int, columns: int, touch: Any
    ) -> None:
        self._shell, self._transport, self._touch = shell, transport, touch
        self._term, self._size = term, (rows, columns)
        self._keys: asyncio.Queue[bytes] = asyncio.Queue()
        self._running: asyncio.Task[int] | None = None

    pending = 0

    def feed(self, data: bytes) -> None:
        self._touch()
        if b"\x03" in data and self._running is not None:
            self._running.cancel()
        self._keys.put_nowait(data)

    def eof(self) -> None:
        self._keys.put_nowait(b"\x04")

    def resize(self, rows: int, columns: int) -> None:
        self._size = rows, columns
        self._transport.write(b"resized %d %d\r\n" % (rows, columns))

    def notice(self, lines: Sequence[str]) -> None:
        self._transport.write("".join(f"{line}\r\n" for line in lines).encode())

    def close(self, reason: str) -> None:
        self._transport.write(f"closed: {reason}\r\n".encode())
        self._keys.put_nowait(b"\x04")

    async def run(self, banner: Sequence[str] = ()) -> int:
        status, line = 0, b""
        self.notice(banner)
        self._transport.write(b"prompt# ")
        while True:
            data = await self._keys.get()
            if b"\x04" in data:
                return status
            self._transport.write(data.replace(b"\r", b"\r\n"))
            line += data
            while b"\r" in line:
                typed, _, line = line.partition(b"\r")
                status = await self._do(typed.decode())
                if self._shell.closed:
                    return status
                self._transport.write(b"prompt# ")

    async def _do(self, line: str) -> int:
        if line == "size":
            await self._write(f"{self._term} {self._size[0]} {self._size[1]}")
            return 0
        self._running = asyncio.ensure_future(self._shell.execute(line, self._write))
        try:
            return await self._running
        except CommandError as error:
            await self._write(f"Failure: {error}")
            return 1
        except asyncio.CancelledError:
            await self._write("interrupted")
            return 1
        finally:
            self._running = None

    async def _write(self, text: str) -> None:
        self._transport.write(f"{text}\r\n".encode())
        await self._transport.drain()


class MadeUpScript:
    """Does lines until one fails."""

    def __init__(self, shell: MadeUpShell, out: Any, err: Any, touch: Any) -> None:
        self._shell, self._out, self._err = shell, out, err

    async def run(self, lines: AsyncIterator[str], keep_going: bool, numbered: bool) -> int:
        number = 0
        async for line in lines:
            number += 1
            try:
                await self._shell.execute(line, self._write)
            except CommandError as error:
                where = f"line {number}: " if numbered else ""
                self._err.write(f"{where}Failure: {error}\n".encode())
                await self._err.drain()
                return 1
        return 0

    async def _write(self, text: str) -> None:
        self._out.write(f"{text}\n".encode())
        await self._out.drain()


class MadeUpSystem:
    """Keeps what is to be audited."""

    def __init__(self) -> None:
        self.notes: list[list[str]] = []

    def audit(self, operator: Operator, event: str, text: str, result: str) -> None:
        self.notes.append([operator.user, event, text, result])


class Server:
    """The process."""

    def __init__(self, directory: str) -> None:
        self.log: list[str] = []
        self.worst = self.busy = 0.0
        self._beat, self._used = time.monotonic(), time.thread_time()
        self._system: Any = MadeUpSystem()
        self.operators = Operators(
            self._system, lambda: self.ssh.management, self.clock, reactor, make_shell=MadeUpShell
        )
        self.ssh = SshService(
            reactor=reactor,
            clock=self.clock,
            state_directory=directory,
            system=self._system,
            operators=self.operators,
            make_terminal=MadeUpTerminal,
            make_script=MadeUpScript,
        )

    @staticmethod
    def clock() -> Now:
        return Now(time.monotonic(), time.time())

    def measure(self) -> None:
        now, used = time.monotonic(), time.thread_time()
        self.worst = max(self.worst, now - self._beat - TICK)
        self.busy = max(self.busy, used - self._used)
        self._beat, self._used = now, used
        reactor.callLater(TICK, self.measure)

    def note(self, event: dict[str, Any]) -> None:
        text = formatEvent(event)
        if event.get("log_failure") is not None:
            text += " " + event["log_failure"].getTraceback()
        self.log.append(text)

    async def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        if "configure" in request:
            try:
                await self.ssh.configure(management(request["configure"]))
            except Exception as error:  # noqa: BLE001 - the test looks at it
                return {"error": str(error)}
            return {"ports": [port.getHost().port for port in self.ssh.ports]}
        for name, value in request.get("constants", {}).items():
            module, _, constant = name.partition(".")
            setattr(sys.modules[f"appliance.cli.{module}"], constant, value)
        if "notice" in request:
            for session in self.operators._sessions.values():
                session.tell([request["notice"]])
        if "collect" in request:
            (gc.enable if request["collect"] else gc.disable)()
        if "end" in request:
            self.operators.end(request["end"], "ended by test")
        if "stop" in request:
            await self.ssh.stop()
        if "kept" in request:
            kept = (each for each in gc.get_objects() if isinstance(each, OF_A_CLIENT))
            return {"kept": [type(each).__name__ for each in kept]}
        if "report" in request:
            log, self.log = self.log, []
            worst, busy = self.worst, self.busy
            self.worst = self.busy = 0.0
            return {
                "lag": 1000 * worst,
                "busy": 1000 * busy,
                "log": log,
                "audit": self._system.notes,
                "operators": [[each.user, each.tty, each.number] for each in self.operators.list()],
                "memory": int(Path("/proc/self/statm").read_text().split()[1]) * 4,
                "open": self.ssh.logins.waiting,
            }
        return {}


def management(data: dict[str, Any]) -> Management:
    """What a test wants configured."""
    ssh = data.pop("ssh", {})
    users = tuple(User(**{**each, "keys": tuple(each.get("keys", ()))}) for each in data.pop("users", []))
    if ssh is not None:
        listeners = tuple((address, port) for address, port in ssh.pop("listeners", [["127.0.0.1", 0]]))
        ssh = SshServer(listeners=listeners, **ssh)
    return Management(users=users, ssh=ssh, **data)


def main() -> None:
    server = Server(sys.argv[1])
    loop = asyncio.get_event_loop()
    globalLogBeginner.beginLoggingTo([server.note], redirectStandardIO=False, discardBuffer=True)

    async def serve(line: str) -> None:
        try:
            answer = await server.answer(json.loads(line))
        except Exception as error:  # noqa: BLE001 - the test looks at it
            answer = {"error": f"{type(error).__name__}: {error}"}
        os.write(1, json.dumps(answer).encode() + b"\n")

    def read() -> None:
        for line in sys.stdin:
            asyncio.run_coroutine_threadsafe(serve(line), loop).result()
        reactor.callFromThread(reactor.stop)

    # As the appliance does: a full collection of what is imported would take 50 ms of the loop.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 1_000_000)
    reactor.callWhenRunning(server.measure)
    reactor.callWhenRunning(threading.Thread(target=read, daemon=True).start)
    reactor.run()


if __name__ == "__main__":
    main()
