"""The SSH server with OpenSSH's client: log-in, commands, terminals, refusals, changes while it runs."""

import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from appliance.cli.passwords import hash_password
from test.real.ssh_client import Client, ServerProcess

PASSWORD = "a pass word"
HASH = hash_password(PASSWORD)
SKIP = None if shutil.which("ssh") and shutil.which("ssh-keygen") else "the OpenSSH client is not installed"


class SshTests(SynchronousTestCase):
    """A server with two users and a client in front of it."""

    skip = SKIP

    def setUp(self) -> None:
        self.work = Path(tempfile.mkdtemp(prefix="appliance-ssh-"))
        self.addCleanup(shutil.rmtree, self.work, True)
        self.state = self.work / "state"
        self.state.mkdir()
        self.server = ServerProcess(self.state)
        self.addCleanup(self.server.close)
        self.client = Client(self.work, self.server)
        self.key = self.client.make_key("id", "-t", "ed25519")
        self.users: list[dict[str, Any]] = [
            {"username": "admin", "rights": "security-administrator", "password": HASH, "keys": [self.key]},
            {"username": "watch", "rights": "inspector", "password": HASH},
        ]
        self.configure()

    def configure(self, **more: Any) -> None:
        answer = self.server.configure(**{"users": self.users, **more})
        self.assertNotIn("error", answer)

    def terminal(self, user: str = "admin", **keys: Any) -> Any:
        if not keys:
            keys = {"key": "id"}
        terminal = self.client.terminal(user, **keys)
        self.addCleanup(terminal.close)
        return terminal

    def log(self) -> list[str]:
        return list(self.server.report()["log"])


class LogInTests(SshTests):
    """Who gets in."""

    def test_password_and_key(self) -> None:
        """Both ways in; the session has the user's rights, the log and the audit log tell of it."""
        result = self.client.run("admin", "whoami", key="id")
        self.assertEqual((result.returncode, result.stdout), (0, b"admin security-administrator -\n"))
        result = self.client.run("watch", "whoami", password=PASSWORD)
        self.assertEqual((result.returncode, result.stdout), (0, b"watch inspector -\n"))
        report = self.server.report()
        start = "CLISessionStart user watch privilege level Inspector ttyname ssh"
        self.assertIn(start, report["log"])
        self.assertEqual(report["audit"][-1][:2], ["watch", "log-out"])
        self.assertEqual(report["operators"], [])

    def test_every_type_of_key(self) -> None:
        """Ed25519, the three NIST curves and RSA of 2048 bits; RSA of 1024 bits and SHA-1 signatures not."""
        names = ["ed", "p256", "p384", "p521", "rsa", "short"]
        options = [("-t", "ed25519"), *(("-t", "ecdsa", "-b", size) for size in ("256", "384", "521"))]
        options += [("-t", "rsa", "-b", "2048"), ("-t", "rsa", "-b", "1024")]
        keys = [self.client.make_key(name, *each) for name, each in zip(names, options, strict=True)]
        self.configure(users=[{"username": "admin", "keys": keys}])
        for name in names[:-1]:
            self.assertEqual(self.client.run("admin", "echo in", key=name).stdout, b"in\n", name)
        weak = ("-o", "RequiredRSASize=1024")
        self.assertEqual(self.client.run("admin", "echo in", key="short", options=weak).returncode, 255)
        old = ("-o", "PubkeyAcceptedAlgorithms=ssh-rsa")
        self.assertEqual(self.client.run("admin", "echo in", key="rsa", options=old).returncode, 255)

    def test_there_is_no_default_account(self) -> None:
        """Without users nobody gets in, with an empty password or without one neither."""
        self.configure(users=[{"username": "nopass"}], max_failed_logins=100)
        for user in ("root", "admin", "nopass"):
            for password in ("", user):
                options = ("-o", "NumberOfPasswordPrompts=1")
                result = self.client.run(user, "echo in", password=password, options=options)
                self.assertEqual(result.returncode, 255)
                self.assertIn(b"Permission denied", result.stderr)

    def test_wrong_passwords_lock_out(self) -> None:
        """After the third wrong password the right one is wrong too, also from a new connection."""
        self.configure(max_failed_logins=3)
        result = self.client.run("watch", "echo in", password="wrong")
        self.assertEqual(result.returncode, 255)
        self.assertEqual(self.client.run("watch", "echo in", password=PASSWORD).returncode, 255)
        report = self.server.report()
        self.assertTrue(any("user watch locked out for 60 minutes" in line for line in report["log"]))
        self.assertTrue(any("address 127.0.0.1 locked out" in line for line in report["log"]))
        self.assertEqual([note[3] for note in report["audit"]].count("wrong password"), 3)
        self.assertNotIn("wrong\"", str(report["audit"]))
        # A key cannot be guessed, so guessing does not shut its owner out.
        self.assertEqual(self.client.run("admin", "echo in", key="id").stdout, b"in\n")

    def test_unknown_user_is_answered_like_a_wrong_password(self) -> None:
        """The answer does not tell whether a user exists; that the time does not either is a unit's test."""
        said = set()
        for user in ("watch", "nobody"):
            result = self.client.run(user, "x", password="wrong", options=("-o", "NumberOfPasswordPrompts=1"))
            said.add(result.stderr.replace(user.encode(), b"USER"))
        self.assertEqual(len(said), 1, said)
        self.assertIn(b"Permission denied (publickey,password)", said.pop())

    def test_banners(self) -> None:
        """One before the log-in, by the protocol; the other in the terminal after it."""
        self.configure(banner="Welcome\\nto the house", banner_pre_login="Keep out")
        result = self.client.run("admin", "echo in", key="id", options=("-o", "LogLevel=INFO"))
        self.assertIn(b"Keep out", result.stderr)
        self.assertEqual(result.stdout, b"in\n")
        terminal = self.terminal()
        self.assertIn(b"Welcome\r\nto the house\r\n", terminal.expect("prompt# "))

    def test_six_tries_in_a_connection(self) -> None:
        """A client with many keys is cut off; keys that are not the user's lock nobody out."""
        names = [f"k{number}" for number in range(8)]
        for name in names:
            self.client.make_key(name, "-t", "ed25519")
        options = tuple(word for name in names for word in ("-o", f"IdentityFile={self.work / name}"))
        result = self.client.run("admin", "echo in", key=names[0], options=options)
        self.assertIn(b"too many failed log-ins", result.stderr)
        self.assertEqual(self.client.run("watch", "echo in", password=PASSWORD).stdout, b"in\n")


class CommandTests(SshTests):
    """Sessions without a terminal."""

    def test_exit_status_and_output(self) -> None:
        """0 and standard output, or 1 and standard error; several lines stop at the first failure."""
        result = self.client.run("admin", "echo a\necho b", key="id")
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, b"a\nb\n", b""))
        result = self.client.run("admin", "wrong", key="id")
        self.assertEqual((result.returncode, result.stdout), (1, b""))
        self.assertEqual(result.stderr, b"Failure: Unknown command wrong\n")
        result = self.client.run("admin", "echo a\nwrong\necho b", key="id")
        self.assertEqual((result.returncode, result.stdout), (1, b"a\n"))
        self.assertEqual(result.stderr, b"line 2: Failure: Unknown command wrong\n")

    def test_lines_on_standard_input(self) -> None:
        """A script without a terminal: numbered failures, the last line without its end counts."""
        result = self.client.run("admin", key="id", stdin=b"echo a\r\n\necho b")
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, b"a\nb\n", b""))
        result = self.client.run("admin", key="id", stdin=b"echo a\nwrong\necho b\n")
        self.assertEqual((result.returncode, result.stdout), (1, b"a\n"))
        self.assertEqual(result.stderr, b"line 2: Failure: Unknown command wrong\n")

    def test_a_long_script(self) -> None:
        """A megabyte of lines goes through a window of 64 KiB."""
        lines = [b"echo %060d" % number for number in range(15_000)]
        result = self.client.run("admin", key="id", stdin=b"\n".join(lines) + b"\n")
        self.assertEqual(result.returncode, 0)
        self.assertEqual(result.stdout, b"".join(line[5:] + b"\n" for line in lines))

    def test_bad_input(self) -> None:
        """Text that is not UTF-8, and endless lines, are refused with a line number."""
        result = self.client.run("admin", key="id", stdin=b"echo a\n\xff\xfe\necho b\n")
        self.assertEqual((result.returncode, result.stdout), (1, b"a\n"))
        self.assertEqual(result.stderr, b"Failure: line 2: not UTF-8 text at octet 0\n")
        result = self.client.run("admin", key="id", stdin=b"x" * 200_000)
        self.assertEqual(result.stderr, b"Failure: line 1: longer than 65536 octets\n")
        result = self.client.run("admin", b"echo \xff", key="id")  # type: ignore[arg-type]
        self.assertEqual(result.returncode, 1)
        self.assertIn(b"not UTF-8", result.stderr)

    def test_large_output_and_a_mistake_in_a_command(self) -> None:
        """Four megabytes arrive whole; a command that breaks is one failure and a traceback in the log."""
        result = self.client.run("admin", "big 50000", key="id")
        self.assertEqual(result.returncode, 0)
        self.assertEqual(len(result.stdout), 50_000 * 80)
        result = self.client.run("admin", "break", key="id")
        self.assertEqual(result.returncode, 1)
        self.assertEqual(result.stderr, b"Failure: internal error; the log tells more\n")
        self.assertTrue(any("a mistake in a command" in line for line in self.log()))
        self.assertEqual(self.client.run("admin", "echo on", key="id").stdout, b"on\n")

    def test_a_command_in_a_terminal(self) -> None:
        """``ssh -t host command``: line ends for a raw terminal, ^C interrupts."""
        terminal = self.terminal_with("echo a\necho b")
        self.assertEqual(terminal.wait(), 0)
        self.assertIn(b"a\r\nb\r\n", terminal.seen)
        terminal = self.terminal_with("sleep 60")
        terminal.expect("sleeping")
        terminal.type("\x03")
        self.assertEqual(terminal.wait(), 130)

    def terminal_with(self, command: str) -> Any:
        terminal = self.client.terminal("admin", command, key="id")
        self.addCleanup(terminal.close)
        return terminal

    def test_everything_else_is_refused(self) -> None:
        """No sftp, no forwarding either way, no environment; the connection survives the refusal."""
        subsystem = subprocess.run(
            [*self.client.command("admin", "-s", key="id"), "sftp"],
            env=self.client.environment(""), input=b"", capture_output=True, timeout=20,
        )  # fmt: skip
        self.assertNotEqual(subsystem.returncode, 0)
        self.assertIn(b"subsystem request failed", subsystem.stderr)
        forward = ("-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:1")
        result = self.client.run("admin", "echo in", key="id", options=forward)
        self.assertEqual(result.returncode, 255)
        self.assertIn(b"remote port forwarding failed", result.stderr)
        direct = ("-W", f"127.0.0.1:{self.server.port}")
        result = self.client.run("admin", key="id", options=direct)
        self.assertIn(b"stdio forwarding failed", result.stderr)
        result = self.client.run("admin", "echo in", key="id", options=("-o", "SetEnv=A=B", "-A", "-X"))
        self.assertEqual(result.stdout, b"in\n")


class TerminalTests(SshTests):
    """Sessions in a terminal."""

    def test_prompt_resize_and_log_out(self) -> None:
        """Size at the start and after a change, a failed command, exit status of the last line."""
        terminal = self.terminal()
        terminal.expect("prompt# ")
        terminal.type("size\r")
        terminal.expect("xterm 24 80")
        terminal.resize(50, 132)
        terminal.expect("resized 50 132")
        terminal.type("whoami\r")
        terminal.expect("admin security-administrator ssh/1")
        terminal.type("wrong\r")
        terminal.expect("Failure: Unknown command wrong")
        terminal.type("exit\r")
        self.assertEqual(terminal.wait(), 0)
        self.assertEqual(self.server.report()["operators"], [])

    def test_interrupt_and_end_of_input(self) -> None:
        """^C ends a running command and not the session; ^D ends the session."""
        terminal = self.terminal()
        terminal.expect("prompt# ")
        terminal.type("sleep 60\r")
        terminal.expect("sleeping")
        terminal.type("\x03")
        terminal.expect("interrupted")
        terminal.type("\x04")
        self.assertEqual(terminal.wait(), 1)

    def test_type_ahead(self) -> None:
        """What is typed before the prompt is there is not lost."""
        process = self.client.start("admin", key="id", options=("-tt",))
        self.addCleanup(process.kill)
        out, _ = process.communicate(b"echo one\recho two\rexit\r", timeout=20)
        self.assertEqual(process.returncode, 0)
        self.assertIn(b"one\r\n", out)
        self.assertIn(b"two\r\n", out)

    def test_two_at_once(self) -> None:
        """Two operators, and two sessions in one connection, do not disturb each other."""
        first, second = self.terminal(), self.terminal("watch", password=PASSWORD)
        for terminal in (first, second):
            terminal.expect("prompt# ")
        first.type("sleep 60\r")
        first.expect("sleeping")
        second.type("whoami\r")
        second.expect("watch inspector ssh/2")
        self.assertEqual([each[0] for each in self.server.report()["operators"]], ["admin", "watch"])
        control = self.work / "control"
        master = ("-o", "ControlMaster=auto", "-o", f"ControlPath={control}", "-o", "ControlPersist=10")
        for _ in range(3):
            result = self.client.run("admin", "whoami", key="id", options=master)
            self.assertEqual(result.stdout, b"admin security-administrator -\n")
        subprocess.run(
            [*self.client.command("admin", *master, "-O", "exit", key="id")], capture_output=True, check=True
        )

    def test_a_lost_client_leaves_nothing(self) -> None:
        """A client that is killed in the middle of a command is logged out."""
        terminal = self.terminal()
        terminal.expect("prompt# ")
        terminal.type("sleep 60\r")
        terminal.expect("sleeping")
        terminal.close()
        self.wait_for(lambda: not self.server.report()["operators"])

    def wait_for(self, done: Any, seconds: float = 10.0) -> None:
        end = time.monotonic() + seconds
        while not done():
            self.assertLess(time.monotonic(), end)
            time.sleep(0.05)

    def test_rekeying(self) -> None:
        """New keys after every 64 KiB, in both directions, do not lose an octet."""
        options = ("-o", "RekeyLimit=64K")
        result = self.client.run("admin", "big 20000", key="id", options=options)
        self.assertEqual((result.returncode, len(result.stdout)), (0, 20_000 * 80))
        lines = [b"echo %060d" % number for number in range(10_000)]
        result = self.client.run("admin", key="id", stdin=b"\n".join(lines), options=options)
        self.assertEqual(result.stdout, b"".join(line[5:] + b"\n" for line in lines))

    def test_a_notice_and_an_end_from_outside(self) -> None:
        """Lines from outside reach the terminal; a session that is ended says why, a script too."""
        terminal = self.terminal()
        terminal.expect("prompt# ")
        script = self.client.start("admin", "sleep 60", key="id")
        self.addCleanup(script.kill)
        assert script.stdout is not None
        self.assertEqual(script.stdout.readline(), b"sleeping\n")
        self.server.ask({"notice": "the house is on fire"})
        terminal.expect("the house is on fire")
        for number in (1, 2):
            self.server.ask({"end": number})
        terminal.expect("closed: ended by test")
        self.assertEqual(terminal.wait(), 0)
        _, err = script.communicate(timeout=10)
        self.assertEqual((script.returncode, err), (1, b"Failure: session ended: ended by test\n"))


class MemoryTests(SshTests):
    """The collector of the appliance leaves old objects alone, so what is over has to be gone without it."""

    def test_nothing_stays(self) -> None:
        """Not of strangers, of those that fail, of commands, and of terminals."""
        self.server.ask({"collect": False})
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", self.server.port), 10) as stranger:
                stranger.sendall(b"SSH-2.0-x\r\n")
        self.assertEqual(self.client.run("admin", "x", options=("-o", "BatchMode=yes")).returncode, 255)
        self.assertEqual(self.client.run("admin", "echo in", key="id").stdout, b"in\n")
        terminal = self.terminal()
        terminal.expect("prompt# ")
        terminal.type("exit\r")
        self.assertEqual(terminal.wait(), 0)
        end = time.monotonic() + 10
        while (left := self.server.ask({"kept": True})["kept"]) and time.monotonic() < end:
            time.sleep(0.05)
        self.assertEqual(left, [])


class ChangeTests(SshTests):
    """The configuration changes while sessions are open."""

    def test_users_change(self) -> None:
        """The sessions of a removed user, and of one with less rights from now on, end with a notice."""
        first, second = self.terminal(), self.terminal("watch", password=PASSWORD)
        for terminal in (first, second):
            terminal.expect("prompt# ")
        self.configure(users=[{**self.users[0], "rights": "operator"}])
        second.expect("closed: user watch was removed")
        second.wait()
        first.expect("closed: user admin is operator from now on")
        first.wait()
        self.assertEqual(self.client.run("admin", "whoami", key="id").stdout, b"admin operator -\n")
        self.assertEqual(self.client.run("watch", "whoami", password=PASSWORD).returncode, 255)

    def test_listeners_move(self) -> None:
        """Open sessions outlive their listener; the new one serves; a port in use changes nothing."""
        terminal = self.terminal()
        terminal.expect("prompt# ")
        old = self.server.port
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            answer = self.server.configure(users=self.users, ssh={"listeners": [["127.0.0.1", port]]})
            self.assertIn(f"127.0.0.1 port {port}: Address already in use; choose another", answer["error"])
            self.assertEqual(self.client.run("admin", "echo still", key="id").stdout, b"still\n")
        self.configure(ssh={"listeners": [["127.0.0.1", port]]})
        self.assertEqual(self.server.port, port)
        self.assertEqual(self.client.run("admin", "echo new", key="id").stdout, b"new\n")
        self.assertRaises(ConnectionRefusedError, socket.create_connection, ("127.0.0.1", old), 5)
        terminal.type("echo alive\r")
        terminal.expect("alive")
        # The same port on every address: the old listener would be in its way.
        self.configure(ssh={"listeners": [["::", port]]})
        self.assertEqual(self.client.run("admin", "echo wide", key="id").stdout, b"wide\n")
        self.configure(ssh=None)
        self.assertRaises(ConnectionRefusedError, socket.create_connection, ("127.0.0.1", port), 5)
        terminal.type("echo even now\r")
        terminal.expect("even now")

    def test_sessions_are_limited(self) -> None:
        """One more than ``max servers`` is refused and told why; a place that is left is given again."""
        self.configure(ssh={"max_servers": 2})
        first, second = self.terminal(), self.terminal()
        for terminal in (first, second):
            terminal.expect("prompt# ")
        result = self.client.run("admin", "echo in", key="id")
        self.assertEqual(result.returncode, 255)
        self.assertIn(b"all sessions are in use", result.stderr)
        first.type("exit\r")
        first.wait()
        self.assertEqual(self.client.run("admin", "echo in", key="id").stdout, b"in\n")

    def test_the_host_key_stays(self) -> None:
        """It is made once, private, and read again; a bad one is an error that says what to do."""
        path = self.state / "ssh_host_ed25519_key"
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        before = path.read_bytes()
        again = ServerProcess(self.state)
        self.addCleanup(again.close)
        self.assertIn("ports", again.configure(users=self.users))
        self.assertEqual(path.read_bytes(), before)
        for data, mode, part in (
            (before, 0o644, "too open; chmod 600"),
            (before[:100], 0o600, "not an Ed25519 private key"),
            (b"", 0o600, "not an Ed25519 private key"),
        ):
            path.write_bytes(data)
            path.chmod(mode)
            other = ServerProcess(self.state)
            self.addCleanup(other.close)
            self.assertIn(part, other.configure(users=self.users)["error"])

    def test_the_end_of_the_process(self) -> None:
        """Every session is told, every connection ended."""
        terminal = self.terminal()
        terminal.expect("prompt# ")
        script = self.client.start("admin", "sleep 60", key="id")
        self.addCleanup(script.kill)
        assert script.stdout is not None
        script.stdout.readline()
        self.server.ask({"stop": True})
        terminal.expect("closed: the appliance stops")
        terminal.wait()
        _, err = script.communicate(timeout=10)
        self.assertIn(b"the appliance stops", err)
