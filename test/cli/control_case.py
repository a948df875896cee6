"""A control socket with a reactor of its own in a thread, so that a test may wait for it as a client does."""

import asyncio
import contextlib
import io
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any
from unittest import mock

from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.internet.defer import Deferred
from twisted.python import threadable
from twisted.trial.unittest import SynchronousTestCase

from appliance.cli import client
from appliance.cli.control import ControlServer
from appliance.cli.shell import Shell
from appliance.cli.values import CommandError
from appliance.ports import Operator
from test.cli.shells import MemorySystem

TEXT = "config\nsystem hostname node1\nend\n"


class FakeSession:
    """What the registry would give."""

    def __init__(self, shell: Any, end: Callable[[str], None]) -> None:
        self.shell = shell
        self.end = end
        self.notify: Callable[[Sequence[str]], None] | None = None
        self.touched = 0
        self.left = 0

    def touch(self) -> None:
        self.touched += 1

    def leave(self) -> None:
        self.left += 1


class FakeOperators:
    """A registry of operators that notes who came."""

    def __init__(self) -> None:
        self.entered: list[tuple[str, ...]] = []
        self.sessions: list[FakeSession] = []
        self.full = False
        self.make: Callable[[Operator], Any] = lambda operator: Shell(MemorySystem(TEXT), operator)

    def enter(
        self,
        user: str,
        rights: str,
        origin: str,
        service: str,
        tty: bool,
        end: Callable[[str], None],
        limits: None,
    ) -> FakeSession:
        if self.full:
            raise CommandError("all 0 console sessions are in use; end one of them")
        self.entered.append((user, rights, origin, service, "tty" if tty else ""))
        session = FakeSession(
            self.make(Operator(user=user, rights=rights, origin=origin, service=service)), end
        )
        self.sessions.append(session)
        return session


class ControlCase(SynchronousTestCase):
    """A server on a socket in a temporary directory."""

    def setUp(self) -> None:
        """Start it."""
        self.directory = self.mktemp()
        # Socket names are short (108 octets), temporary directories are not: go there.
        self.path = os.path.join(self.directory, "run", "s")
        io_thread = threadable.ioThread
        self.loop = asyncio.new_event_loop()
        self.reactor = AsyncioSelectorReactor(self.loop)
        thread = threading.Thread(target=self.reactor.run, kwargs={"installSignalHandlers": False})
        thread.start()

        def end() -> None:
            self.stop()
            self.reactor.callFromThread(self.reactor.stop)
            thread.join()
            self.loop.close()
            threadable.ioThread = io_thread

        self.addCleanup(end)
        self.operators = FakeOperators()
        self.server = ControlServer(self.reactor, os.path.relpath(self.path), self.operators)
        self.on_loop(self.server.start)

    def stop(self, server: ControlServer | None = None) -> None:
        """Stop the server and wait for it."""
        done = threading.Event()
        self.on_loop(
            lambda: Deferred.fromCoroutine((server or self.server).stop()).addBoth(lambda _: done.set())
        )
        self.assertTrue(done.wait(10))

    def on_loop(self, function: Callable[[], Any]) -> Any:
        """Call a function in the reactor's thread, and give what it gives or raises."""

        async def call() -> Any:
            return function()

        return asyncio.run_coroutine_threadsafe(call(), self.loop).result(10)

    def wait(self, wanted: Callable[[], bool]) -> None:
        """Wait until something is so, ten seconds at most."""
        until = time.monotonic() + 10
        while not wanted():
            self.assertLess(time.monotonic(), until)
            time.sleep(0.01)

    def cli(self, *arguments: str, stdin: str = "") -> tuple[int, str, str]:
        """Run ``appliance cli``: exit status, standard output, standard error."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), \
                mock.patch.object(sys, "stdin", io.StringIO(stdin)):  # fmt: skip
            status = client.main(["--socket", self.server.path, *arguments])
        return status, out.getvalue(), err.getvalue()

    def peer(self) -> "Peer":
        """A client that speaks the protocol by hand, past the greeting."""
        peer = Peer(self.server.path)
        self.addCleanup(peer.close)
        return peer


class Peer:
    """One connection to the socket."""

    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        self.socket.connect(path)
        self.file = self.socket.makefile("rb")
        self.greeting = self.read()

    def send(self, data: bytes | dict[str, Any]) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(json.dumps(data).encode() + b"\n" if isinstance(data, dict) else data)

    def read(self) -> dict[str, Any]:
        """The next object; empty at the end."""
        try:
            line = self.file.readline()
        except ConnectionResetError:
            return {}
        return json.loads(line) if line else {}

    def ask(self, data: bytes | dict[str, Any]) -> dict[str, Any]:
        """The end of an answer, with all its lines; empty at the end of the connection."""
        self.send(data)
        lines: list[str] = []
        while message := self.read():
            lines += message.get("lines", [])
            if "status" in message:
                return message | {"lines": lines}
        return {}

    def screen(self, wanted: str) -> str:
        """What a terminal is sent, up to some text."""
        seen = ""
        while wanted not in seen:
            message = self.read()
            assert "screen" in message, (message, seen)
            seen += message["screen"].encode("latin-1").decode()
        return seen

    def close(self) -> None:
        self.file.close()
        self.socket.close()
