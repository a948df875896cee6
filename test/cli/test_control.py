"""The control socket with real UNIX sockets, and the scripts of ``appliance cli``."""

import contextlib
import os
import socket
import stat
import threading
from unittest import mock

from appliance.cli import client, control, peer
from appliance.cli.control import ControlServer
from appliance.errors import ResourceError
from test.cli.control_case import ControlCase
from test.cli.fake_shell import FakeShell

MANY = "count 20000"


class ScriptTests(ControlCase):
    """Who gets in, and what scripts get."""

    def test_mode(self) -> None:
        """Only the owner and the group may open the socket."""
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o660)

    def test_commands(self) -> None:
        """Commands given with -e, several in a row; the registry is told who attached and that he left."""
        status, out, err = self.cli("-e", "no timestamps", "-e", "show system uptime")
        self.assertEqual((status, out, err), (0, "System uptime: 1D 1H 34M\n", ""))
        who = peer.user_name(os.geteuid())
        self.assertEqual(
            self.operators.entered, [(who, "security-administrator", "control socket", "console", "")]
        )
        self.wait(lambda: self.operators.sessions[0].left == 1)
        self.assertEqual(self.operators.sessions[0].touched, 2)

    def test_failure(self) -> None:
        """A failed command ends the run with status 1 and goes to standard error, without a line number."""
        status, out, err = self.cli("-e", "shew", "-e", "show clock")
        self.assertEqual((status, out), (1, ""))
        self.assertRegex(err, "^Failure: Unknown command 'shew'")

    def test_standard_input(self) -> None:
        """Lines from standard input; failures name the line; --keep-going goes on; exit ends it."""
        text = "no timestamps\n\nshew\nshow system uptime\nexit\nshow clock\n"
        status, out, err = self.cli(stdin=text)
        self.assertEqual((status, out), (1, ""))
        self.assertRegex(err, "^line 3: Failure: Unknown command 'shew'")
        status, out, _ = self.cli("--keep-going", stdin=text)
        self.assertEqual((status, out), (1, "System uptime: 1D 1H 34M\n"))

    def test_long_answer(self) -> None:
        """An answer of many parts arrives whole and in order."""
        self.operators.make = lambda _: FakeShell()
        status, out, _ = self.cli("-e", MANY)
        self.assertEqual((status, out.splitlines()), (0, [f"line {number}" for number in range(20_000)]))

    def test_streaming(self) -> None:
        """Lines come while the command still runs."""
        self.operators.make = lambda _: FakeShell()
        client_ = self.peer()
        client_.send({"line": "wait"})
        self.assertEqual(client_.read(), {"lines": ["waiting"]})

    def test_in_order(self) -> None:
        """Requests that were sent together are answered one after the other, also after half a hang-up."""
        self.operators.make = lambda _: FakeShell()
        client_ = self.peer()
        client_.send(b"".join(b'{"line": "echo %d"}\n' % number for number in range(100)))
        client_.socket.shutdown(socket.SHUT_WR)
        for number in range(100):
            self.assertEqual(client_.read(), {"lines": [str(number)]})
            self.assertEqual(client_.read()["status"], 0)
        self.assertEqual(client_.read(), {})

    def test_nonsense(self) -> None:
        """Octets that are no request get a failure, and the session goes on."""
        client_ = self.peer()
        for data, status in (
            (b"\xff\xfe\n", 1), (b"[]\n", 1), (b"{}\n", 1), (b'{"line": 5}\n', 1),
            (b"[" * 60_000 + b"\n", 1), (b'{"terminal": 5}\n', 1), (b'{"line": "\\ud800"}\n', 1),
            (b'{"terminal": {}}\n', 1), (b'{"line": "show system uptime | json"}\n', 0),
        ):  # fmt: skip
            self.assertEqual(client_.ask(data)["status"], status, data[:40])

    def test_too_long(self) -> None:
        """A line beyond the limit ends the session with a clear line."""
        client_ = self.peer()
        answer = client_.ask(b"x" * (control.LINE_LIMIT + 10) + b"\n")
        self.assertEqual(answer["lines"], ["Failure: a request is longer than 65536 octets"])
        self.assertEqual(client_.read(), {})
        status, _, err = self.cli("-e", "x" * 5_000_000)
        self.assertEqual(status, 2)
        self.assertIn("Failure: a request is longer than 65536 octets", err)

    def test_broken_command(self) -> None:
        """A mistake in a command is logged and answered; the session goes on."""
        self.operators.make = lambda _: FakeShell()
        client_ = self.peer()
        self.assertEqual(
            client_.ask({"line": "bug"})["lines"], ["Failure: internal error; the log tells more"]
        )
        self.assertEqual(client_.ask({"line": "echo a"})["lines"], ["a"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_nobody_is_there_to_ask(self) -> None:
        """A question is no question for a script, and a key never comes."""
        self.operators.make = lambda _: FakeShell()
        client_ = self.peer()
        client_.ask({"line": "ask"})
        self.assertEqual(client_.ask({"line": "key 0.01"})["lines"], ["<>"])

    def test_strangers(self) -> None:
        """Who is neither root nor in the group is refused, in one line, with status 2."""
        self.patch(peer, "rights_of", lambda uid, gid: "")
        status, out, err = self.cli("-e", "show clock")
        self.assertEqual((status, out), (2, ""))
        self.assertIn("may not attach: be root or a member of the group appliance", err)
        self.assertEqual(self.operators.entered, [])

    def test_full_house(self) -> None:
        """One session more than there are places is refused; a place that was left is free again."""
        self.patch(control, "CLIENT_LIMIT", 1)
        first = self.peer()
        status, _, err = self.cli("-e", "show clock")
        self.assertEqual((status, err), (2, "Failure: all 1 sessions are in use; end one of them\n"))
        first.close()
        self.wait(lambda: not self.server._sessions)
        self.assertEqual(self.cli("-e", "show clock")[0], 0)
        self.operators.full = True
        self.wait(lambda: not self.server._sessions)
        status, _, err = self.cli("-e", "show clock")
        self.assertEqual((status, err), (2, "Failure: all 0 console sessions are in use; end one of them\n"))


class EndTests(ControlCase):
    """How sessions end that are not left."""

    def setUp(self) -> None:
        """With a shell whose commands take long."""
        super().setUp()
        self.shells: list[FakeShell] = []

        def make(_: object) -> FakeShell:
            self.shells.append(FakeShell())
            return self.shells[-1]

        self.operators.make = make

    def test_client_that_does_not_read(self) -> None:
        """A client that takes nothing is dropped after a while; the others are served meanwhile."""
        self.patch(control, "STALL", 0.3)
        lazy = self.peer()
        lazy.send({"line": "count 10000000"})
        self.assertEqual(self.cli("-e", "echo a")[1], "a\n")
        self.wait(lambda: not self.server._sessions)
        self.assertLess(self.shells[0].made, 100_000)
        lazy_terminal = self.peer()
        lazy_terminal.send({"terminal": {"term": "xterm"}})
        lazy_terminal.send({"keys": "count 10000000\r"})
        self.wait(lambda: not self.server._sessions and len(self.operators.sessions) == 3)
        self.wait(lambda: self.operators.sessions[2].left == 1)

    def test_client_that_is_gone(self) -> None:
        """What runs for it is cancelled."""
        for request in ({"line": "wait"}, {"terminal": {}}):
            client_ = self.peer()
            client_.send(request)
            if "terminal" in request:
                client_.screen("# ")
                client_.send({"keys": "wait\r"})
                client_.screen("waiting")
            else:
                client_.read()
            client_.close()
            self.wait(lambda: self.shells[-1].log == ["cancelled"])
            self.wait(lambda: self.operators.sessions[-1].left == 1)

    def test_told_to_end(self) -> None:
        """The registry ends a session: it says why."""
        client_ = self.peer()
        client_.send({"line": "wait"})
        client_.read()
        self.on_loop(lambda: self.operators.sessions[0].end("idle time-out"))
        self.assertEqual(client_.read()["lines"], ["Failure: session ended: idle time-out"])
        self.assertEqual(client_.read(), {})
        self.assertEqual(self.shells[0].log, ["cancelled"])

    def test_stop(self) -> None:
        """When the appliance stops, all are told."""
        script, terminal = self.peer(), self.peer()
        script.send({"line": "wait"})
        script.read()
        terminal.send({"terminal": {"term": "xterm"}})
        terminal.screen("# ")
        self.stop()
        self.assertEqual(script.read()["lines"], ["Failure: session ended: the appliance stops"])
        terminal.screen("the appliance stops")


class TerminalTests(ControlCase):
    """Octets both ways."""

    def test_terminal(self) -> None:
        """Keys, screen, size, end; the registry has a terminal to show notices on."""
        shell = FakeShell()
        self.operators.make = lambda _: shell
        client_ = self.peer()
        client_.send({"terminal": {"term": "xterm", "rows": 30, "columns": 90}})
        client_.screen("[local]node1# ")
        client_.send({"keys": "echo gr\u00c3\u00bcn\r"})
        client_.screen("\ngrün\r\n")
        client_.send({"resize": [40, 100]})
        client_.send(b"nonsense\n")
        client_.send(b'{"resize": ["a", -1], "keys": 5}\n')
        session = self.operators.sessions[0]
        assert session.notify is not None
        self.on_loop(lambda: session.notify and session.notify(["hear, hear"]))
        client_.screen("hear, hear")
        client_.send({"keys": "fail\r"})
        client_.send({"end": True})
        while "exit" not in (message := client_.read()):
            self.assertIn("screen", message)
        self.assertEqual((message, client_.read()), ({"exit": 1}, {}))
        self.assertEqual(shell.sizes, [(30, 90), (40, 100), (0, 0)])
        self.assertEqual(self.operators.entered[0][-1], "tty")

    def test_typed_at_once(self) -> None:
        """Keys that come with the request for a terminal are not lost; a hang-up after them is the end."""
        self.operators.make = lambda _: FakeShell()
        client_ = self.peer()
        client_.send(b'{"terminal": {"term": "dumb"}}\n{"keys": "echo a\\r"}\n{"keys": "echo b\\r"}\n')
        client_.socket.shutdown(socket.SHUT_WR)
        client_.screen("\nb\r\n")
        while "exit" not in (message := client_.read()):
            pass
        self.assertEqual(message, {"exit": 0})


class SocketFileTests(ControlCase):
    """The name in the file system."""

    def test_living_server_is_left_alone(self) -> None:
        """A second server on the same path is refused and the first still works."""
        second = ControlServer(self.reactor, self.server.path, self.operators)
        error = self.assertRaises(ResourceError, second.start)
        self.assertIn("socket in use", str(error))
        self.assertEqual((self.cli("-e", "show clock"))[0], 0)

    def test_stale_socket_is_replaced(self) -> None:
        """The socket that a killed process left does not stop the next one."""
        path = os.path.relpath(os.path.join(self.directory, "stale"))
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as dead:
            dead.bind(path)
        second = ControlServer(self.reactor, path, self.operators)
        self.on_loop(second.start)
        self.stop(second)
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
            error = self.assertRaises(
                ResourceError, ControlServer(self.reactor, wrong, self.operators).start
            )
            self.assertIn(text, str(error))
            self.assertNotIn("\n", str(error))
        self.assertTrue(os.path.isfile(path))

    def test_nobody_there(self) -> None:
        """No socket, or one that nobody listens on: status 2 and what to do."""
        self.stop()
        status, out, err = self.cli("-e", "show clock")
        self.assertEqual((status, out), (2, ""))
        self.assertIn("start it with 'appliance run'", err)

    def test_something_else_there(self) -> None:
        """What does not speak as an appliance does is told, with status 2."""
        path = os.path.relpath(os.path.join(self.directory, "other"))
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as other:
            other.bind(path)
            other.listen()

            def serve(answer: bytes) -> None:
                with contextlib.closing(other.accept()[0]) as stranger:
                    stranger.sendall(answer)

            for answer in (b"SSH-2.0\n", b"[]\n", b'{"status": 0}\n', b'{"lines": 5}\n'):
                serving = threading.Thread(target=serve, args=(answer,))
                serving.start()
                error = self.assertRaises(client.AttachError, client.Connection, path)
                self.assertIn("what listens on the socket is no appliance", str(error))
                serving.join()

    def test_interrupted(self) -> None:
        """Ctrl-C gives status 130 and no traceback."""
        with mock.patch.object(client.Connection, "execute", side_effect=KeyboardInterrupt):
            self.assertEqual(self.cli("-e", "show clock")[0], client.INTERRUPTED)

    def test_membership(self) -> None:
        """Root and the process's own user are the chief; members by any group administer; nobody else."""
        self.assertEqual(peer.rights_of(0, 0), "security-administrator")
        self.assertEqual(peer.rights_of(os.geteuid(), 12345), "security-administrator")
        self.patch(peer, "group_id", lambda: None)
        self.assertEqual(peer.rights_of(54321, 54321), "")
        self.patch(peer, "group_id", lambda: 777)
        self.assertEqual(peer.rights_of(54321, 777), "administrator")
        self.assertEqual(peer.rights_of(54321, 778), "")
        self.patch(peer.pwd, "getpwuid", lambda uid: mock.Mock(pw_name="bob", pw_gid=100))
        self.patch(peer.os, "getgrouplist", lambda name, gid: [100, 777])
        self.assertEqual(peer.rights_of(54321, 100), "administrator")
