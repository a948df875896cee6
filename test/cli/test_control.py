"""The control socket with real UNIX sockets, and the client of ``appliance cli``."""

import contextlib
import io
import json
import os
import socket
import stat
import sys
from typing import Any
from unittest import mock

from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from appliance.cli import client, control
from appliance.cli.control import ControlServer
from appliance.cli.shell import Shell
from appliance.config import load
from appliance.errors import ResourceError
from test.cli.fakes import FakeSystem

TEXT = "config\nsystem hostname node1\nend\n"


class ControlCase(TestCase):
    """A server on a socket in a temporary directory."""

    timeout = 20

    def setUp(self) -> None:
        """Start it."""
        self.directory = self.mktemp()
        # Socket names are short (108 octets), temporary directories are not: go there.
        self.path = os.path.join(self.directory, "run", "s")
        self.users: list[str] = []
        self.server = ControlServer(reactor, os.path.relpath(self.path), self.make_shell)
        self.server.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.server.stop()))

    def make_shell(self, user: str) -> Shell:
        """A shell whose process does nothing."""
        self.users.append(user)
        return Shell(FakeSystem(), load(TEXT, "x"), user=user)

    def cli(self, *arguments: str, stdin: str = "") -> "Deferred[tuple[int, str, str]]":
        """Run ``appliance cli`` in a thread: exit status, standard output, standard error."""

        def run() -> tuple[int, str, str]:
            out, err = io.StringIO(), io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), \
                    mock.patch.object(sys, "stdin", io.StringIO(stdin)):  # fmt: skip
                status = client.main(["--socket", self.server.path, *arguments])
            return status, out.getvalue(), err.getvalue()

        return deferToThread(run)

    def talk(self, *requests: bytes) -> "Deferred[list[dict[str, Any]]]":
        """Send raw requests and return what comes until the server closes or has answered each."""

        def run() -> list[dict[str, Any]]:
            with contextlib.closing(socket.socket(socket.AF_UNIX)) as sock:
                sock.settimeout(10)
                sock.connect(self.server.path)
                file = sock.makefile("rwb")
                found = [json.loads(file.readline())]
                for request in requests:
                    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                        file.write(request)
                        file.flush()
                        if line := file.readline():
                            found.append(json.loads(line))
                return found

        return deferToThread(run)


class ControlTests(ControlCase):
    """Who gets in, and what they get."""

    def test_mode(self) -> None:
        """Only the owner and the group may open the socket."""
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o660)

    async def test_commands(self) -> None:
        """Commands given with -e, several in a row; the shell is told who attached."""
        status, out, err = await self.cli("-e", "no timestamps", "-e", "show system uptime")
        self.assertEqual((status, out, err), (0, "System uptime: 1D 1H 34M\n", ""))
        self.assertEqual(self.users, [control.user_name(os.geteuid())])

    async def test_failure(self) -> None:
        """A failed command ends the run with status 1 and goes to standard error, without a line number."""
        status, out, err = await self.cli("-e", "shew", "-e", "show clock")
        self.assertEqual((status, out, err), (1, "", "Failure: Unknown command 'shew'\n"))

    async def test_standard_input(self) -> None:
        """Lines from standard input; failures name the line; --keep-going goes on; exit ends it."""
        text = "no timestamps\n\nshew\nshow system uptime\nexit\nshow clock\n"
        self.assertEqual(await self.cli(stdin=text), (1, "", "line 3: Failure: Unknown command 'shew'\n"))
        status, out, _ = await self.cli("--keep-going", stdin=text)
        self.assertEqual((status, out), (1, "System uptime: 1D 1H 34M\n"))

    async def test_long_answer(self) -> None:
        """An answer of many parts arrives whole and in order."""
        lines = [f"{number} " + "x" * 80 for number in range(20_000)]
        with mock.patch.object(Shell, "execute", lambda *_: control.Result(lines, 0)):
            status, out, _ = await self.cli("-e", "show much")
        self.assertEqual((status, out.splitlines()), (0, lines))

    async def test_completion(self) -> None:
        """A completion request gives texts with help."""
        _, answer = await self.talk(b'{"complete": "show system up"}\n')
        self.assertEqual(answer["candidates"], [["uptime", "Time since the process started", True]])

    async def test_nonsense(self) -> None:
        """Octets that are no request get a failure, and the session goes on."""
        answers = await self.talk(
            b"\xff\xfe\n", b"[]\n", b"{}\n", b'{"line": 5}\n', b"[" * 60_000 + b"\n",
            b'{"line": "\\ud800"}\n',
            b'{"line": "show system uptime | json"}\n',
        )  # fmt: skip
        self.assertEqual([answer["status"] for answer in answers], [0, 1, 1, 1, 1, 1, 1, 0])

    async def test_too_long(self) -> None:
        """A line beyond the limit ends the session with a clear line."""
        answers = await self.talk(b"x" * (control.LINE_LIMIT + 10) + b"\n", b"{}\n")
        self.assertEqual(len(answers), 2)
        self.assertEqual(answers[1]["lines"], ["Failure: a request is longer than 65536 octets"])

    async def test_broken_command(self) -> None:
        """A mistake in a command is logged and answered; the session goes on."""
        with mock.patch.object(Shell, "execute", side_effect=ZeroDivisionError):
            _, answer = await self.talk(b'{"line": "show clock"}\n')
        self.assertEqual(answer["lines"], ["Failure: internal error; the log tells more"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    async def test_strangers(self) -> None:
        """Who is neither root nor in the group is refused, in one line, with status 2."""
        self.patch(control, "may_attach", lambda uid, gid: False)
        status, out, err = await self.cli("-e", "show clock")
        self.assertEqual((status, out), (2, ""))
        self.assertIn("may not attach: be root or a member of the group appliance", err)
        self.assertEqual(self.users, [])

    async def test_full_house(self) -> None:
        """One session more than there are places is refused; a place that was left is free again."""
        self.patch(control, "CLIENT_LIMIT", 1)
        first = await deferToThread(client.Connection, self.server.path)
        status, _, err = await self.cli("-e", "show clock")
        self.assertEqual((status, err), (2, "Failure: all 1 sessions are in use; end one of them\n"))
        first.close()
        for _ in range(50):
            status, _, err = await self.cli("-e", "show clock")
            if status == 0:
                break
        self.assertEqual(status, 0)

    async def test_client_that_does_not_read(self) -> None:
        """A client that takes nothing is dropped after a while; the others are served meanwhile."""
        self.patch(control, "STALL", 0.3)
        lines = ["x" * 1000] * 20_000
        shell_execute = Shell.execute
        self.patch(
            Shell,
            "execute",
            lambda self, line: control.Result(lines, 0) if line == "much" else shell_execute(self, line),
        )
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as lazy:
            lazy.connect(self.server.path)
            lazy.sendall(b'{"line": "much"}\n')
            status, _, _ = await self.cli("-e", "show clock")
            self.assertEqual(status, 0)
            for _ in range(100):
                if not self.server._sessions:
                    break
                await deferToThread(lambda: __import__("time").sleep(0.05))
            self.assertEqual(self.server._sessions, set())


class InteractiveTests(ControlCase):
    """A person at a terminal, played by a pipe."""

    async def test_keys(self) -> None:
        """Tab completes, Ctrl-C drops the line, a failure does not end the session, exit does."""
        terminal = mock.Mock(isatty=lambda: True)

        def run() -> tuple[int, str]:
            out = io.StringIO()
            with create_pipe_input() as keys, create_app_session(input=keys, output=DummyOutput()), \
                    contextlib.redirect_stdout(out), mock.patch.object(sys, "stdin", terminal):  # fmt: skip
                keys.send_text("no timest\t\rshew\rshow sys\tupti\t\rexit\r")
                return client.main(["--socket", self.server.path]), out.getvalue()

        status, out = await deferToThread(run)
        self.assertEqual((status, out), (0, "Failure: Unknown command 'shew'\nSystem uptime: 1D 1H 34M\n"))


class SocketFileTests(ControlCase):
    """The name in the file system."""

    async def test_living_server_is_left_alone(self) -> None:
        """A second server on the same path is refused and the first still works."""
        second = ControlServer(reactor, self.server.path, self.make_shell)
        error = self.assertRaises(ResourceError, second.start)
        self.assertIn("socket in use", str(error))
        self.assertEqual((await self.cli("-e", "show clock"))[0], 0)

    async def test_stale_socket_is_replaced(self) -> None:
        """The socket that a killed process left does not stop the next one."""
        path = os.path.relpath(os.path.join(self.directory, "stale"))
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as dead:
            dead.bind(path)
        second = ControlServer(reactor, path, self.make_shell)
        second.start()
        await second.stop()
        self.assertFalse(os.path.exists(path))

    def test_other_files_are_kept(self) -> None:
        """A file that is no socket is not removed; a path that cannot be is named."""
        path = os.path.join(self.directory, "file")
        with open(path, "w") as file:
            file.write("x")
        for wrong, text in (
            (path, "a file of that name exists"),
            (f"{path}/s", "exists"),
            ("x" * 200, "--socket"),
        ):
            error = self.assertRaises(ResourceError, ControlServer(reactor, wrong, self.make_shell).start)
            self.assertIn(text, str(error))
            self.assertNotIn("\n", str(error))
        self.assertTrue(os.path.isfile(path))

    async def test_nobody_there(self) -> None:
        """No socket, or one that nobody listens on: status 2 and what to do."""
        await self.server.stop()
        status, out, err = await self.cli("-e", "show clock")
        self.assertEqual((status, out), (2, ""))
        self.assertIn("start it with 'appliance run'", err)

    async def test_something_else_there(self) -> None:
        """What does not speak as an appliance does is told, with status 2."""
        path = os.path.relpath(os.path.join(self.directory, "other"))
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as other:
            other.bind(path)
            other.listen()

            def serve(answer: bytes) -> None:
                with contextlib.closing(other.accept()[0]) as peer:
                    peer.sendall(answer)

            for answer in (b"SSH-2.0\n", b"[]\n", b'{"status": 0}\n', b'{"lines": 5}\n'):
                serving = deferToThread(serve, answer)
                with self.assertRaises(client.AttachError) as caught:
                    await deferToThread(client.Connection, path)
                self.assertIn("what listens on the socket is no appliance", str(caught.exception))
                await serving

    async def test_too_long_line(self) -> None:
        """A line that the appliance refuses while it is still being sent: the client tells why."""
        status, _, err = await self.cli("-e", "x" * 5_000_000)
        self.assertEqual(status, 1)
        self.assertIn("Failure: a request is longer than 65536 octets", err)

    async def test_interrupted(self) -> None:
        """Ctrl-C gives status 130 and no traceback."""
        with mock.patch.object(client.Connection, "execute", side_effect=KeyboardInterrupt):
            self.assertEqual((await self.cli("-e", "show clock"))[0], client.INTERRUPTED)

    def test_membership(self) -> None:
        """Root and the process's own user always; a member by the primary or another group; nobody else."""
        self.assertTrue(control.may_attach(0, 0))
        self.assertTrue(control.may_attach(os.geteuid(), 12345))
        self.patch(control, "group_id", lambda: None)
        self.assertFalse(control.may_attach(54321, 54321))
        self.patch(control, "group_id", lambda: 777)
        self.assertTrue(control.may_attach(54321, 777))
        self.assertFalse(control.may_attach(54321, 778))
        self.patch(control.pwd, "getpwuid", lambda uid: mock.Mock(pw_name="bob", pw_gid=100))
        self.patch(control.os, "getgrouplist", lambda name, gid: [100, 777])
        self.assertTrue(control.may_attach(54321, 100))
