"""What drives an SSH server in tests: its process, OpenSSH's client, and a terminal for it."""

import contextlib
import fcntl
import json
import os
import pty
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from twisted.conch.ssh.common import NS
from twisted.conch.ssh.transport import SSHClientTransport
from twisted.internet.defer import succeed

ROOT = Path(__file__).resolve().parent.parent.parent


class ServerProcess:
    """``test.real.ssh_server`` in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "test.real.ssh_server", str(directory)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.port = 0

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise AssertionError(f"the server ended with {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def configure(self, **management: Any) -> dict[str, Any]:
        answer = self.ask({"configure": management})
        if answer.get("ports"):
            self.port = answer["ports"][0]
        return answer

    def report(self) -> dict[str, Any]:
        return self.ask({"report": True})

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


class Listens(Protocol):
    """A server on the loopback."""

    port: int


class Client:
    """OpenSSH's client with a directory for its keys and no configuration of this machine."""

    def __init__(self, directory: Path, server: Listens) -> None:
        self._directory = directory
        self._server = server

    def make_key(self, name: str, *options: str) -> str:
        """Make a key pair; returns the public line."""
        path = self._directory / name
        subprocess.run(
            ["ssh-keygen", "-q", "-N", "", "-C", "", "-f", str(path), *options],
            check=True,
            stdin=subprocess.DEVNULL,
        )
        return " ".join(path.with_name(f"{name}.pub").read_text().split()[:2])

    def command(self, user: str, *options: str, key: str = "") -> list[str]:
        identity = ["-i", str(self._directory / key), "-o", "IdentitiesOnly=yes"] if key else []
        if not key:
            identity = ["-o", "PubkeyAuthentication=no"]
        return [
            # Of two options of one name the client takes the first.
            "ssh", "-F", "/dev/null", "-p", str(self._server.port), *options, *identity,
            "-o", f"UserKnownHostsFile={self._directory / 'known_hosts'}",
            "-o", "StrictHostKeyChecking=accept-new", "-o", "LogLevel=ERROR",
            "-o", "KbdInteractiveAuthentication=no", f"{user}@127.0.0.1",
        ]  # fmt: skip

    def environment(self, password: str) -> dict[str, str]:
        """Has the client ask a script for the password."""
        script = self._directory / "askpass"
        script.write_text('#!/bin/sh\nprintf "%s\\n" "$TEST_PASSWORD"\n')
        script.chmod(0o700)
        kept = {key: value for key, value in os.environ.items() if key not in ("SSH_AUTH_SOCK", "DISPLAY")}
        return {
            **kept, "SSH_ASKPASS": str(script), "SSH_ASKPASS_REQUIRE": "force", "TEST_PASSWORD": password
        }  # fmt: skip

    def run(
        self,
        user: str,
        *words: str,
        password: str = "",
        key: str = "",
        options: tuple[str, ...] = (),
        stdin: bytes | None = None,
        timeout: float = 30.0,
    ) -> "subprocess.CompletedProcess[bytes]":
        """Run one command, or feed ``stdin`` to a shell."""
        return subprocess.run(
            [*self.command(user, *options, key=key), *words],
            env=self.environment(password),
            input=stdin if stdin is not None else b"",
            capture_output=True,
            timeout=timeout,
            start_new_session=True,
        )

    def start(self, user: str, *words: str, password: str = "", **keys: Any) -> "subprocess.Popen[bytes]":
        """Start one command with pipes."""
        return subprocess.Popen(
            [*self.command(user, *keys.pop("options", ()), **keys), *words],
            env=self.environment(password),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )

    def terminal(self, user: str, *words: str, password: str = "", **keys: Any) -> "Terminal":
        """Start the client in a terminal."""
        return Terminal(
            [*self.command(user, "-tt", *keys.pop("options", ()), **keys), *words],
            self.environment(password),
        )


class RawClient(SSHClientTransport):
    """A client that says what a test wants, on a blocking socket; Conch's part is the encryption."""

    class _Socket:
        disconnecting = False

        def __init__(self, connection: socket.socket) -> None:
            self._connection = connection

        def write(self, data: bytes) -> None:
            # A server that has ended the connection already is found out by reading.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self._connection.sendall(data)

        def loseConnection(self) -> None:
            self._connection.close()

    def __init__(self, port: int, exchange: bool = True) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        self.secure = False
        self.messages: list[tuple[int, bytes]] = []
        self.makeConnection(self._Socket(self.socket))
        if exchange:
            self.read_until(lambda: self.secure)

    def verifyHostKey(self, hostKey: bytes, fingerprint: bytes) -> Any:
        return succeed(1)

    def connectionSecure(self) -> None:
        self.secure = True

    def dispatchMessage(self, messageNum: int, payload: bytes) -> None:
        if messageNum >= 50 or messageNum in (1, 6):
            self.messages.append((messageNum, payload))
        else:
            super().dispatchMessage(messageNum, payload)

    def read_until(self, done: Callable[[], bool]) -> bool:
        """Read until ``done``; false when the server has ended the connection first."""
        while not done():
            try:
                data = self.socket.recv(65_536)
            except ConnectionResetError:
                data = b""
            if not data:
                return False
            self.dataReceived(data)
        return True

    def read_to_end(self) -> list[int]:
        """Numbers of the messages up to the end of the connection."""
        self.read_until(lambda: False)
        return [number for number, _ in self.messages]

    def start_login(self) -> None:
        """Ask for the log-in service."""
        self.sendPacket(5, NS(b"ssh-userauth"))

    def try_password(self, user: str, password: str) -> None:
        """Ask for a log-in; the answer is not waited for."""
        body = NS(user.encode()) + NS(b"ssh-connection") + NS(b"password") + b"\0" + NS(password.encode())
        self.sendPacket(50, body)


class Terminal:
    """A child process in a pseudo-terminal of 24 rows and 80 columns."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvpe(command[0], command, {**environment, "TERM": "xterm"})
        self.seen = b""
        self.resize(24, 80, tell=False)

    def resize(self, rows: int, columns: int, tell: bool = True) -> None:
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        if tell:
            os.kill(self.pid, signal.SIGWINCH)

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def expect(self, text: str, timeout: float = 15.0) -> bytes:
        """Read until ``text`` was seen; returns and forgets all up to it."""
        end = time.monotonic() + timeout
        while text.encode() not in self.seen:
            left = end - time.monotonic()
            if left <= 0 or not self._read(left):
                raise AssertionError(f"{text!r} was expected, {self.seen[-2000:]!r} came")
        before, found, self.seen = self.seen.partition(text.encode())
        return before + found

    def wait(self, timeout: float = 15.0) -> int:
        """Read to the end; returns the exit status."""
        end = time.monotonic() + timeout
        while time.monotonic() < end and self._read(end - time.monotonic()):
            pass
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = 0
                return os.waitstatus_to_exitcode(status)
            if time.monotonic() > end:
                raise AssertionError(f"the client does not end; {self.seen[-500:]!r} came")
            time.sleep(0.02)

    def close(self) -> None:
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid = 0
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def _read(self, timeout: float) -> bool:
        if not select.select([self.fd], [], [], max(0.0, timeout))[0]:
            return True
        try:
            data = os.read(self.fd, 65_536)
        except OSError:
            return False
        self.seen += data
        return bool(data)
