"""A whole appliance over SSH: from ``appliance user add`` to a change of the running configuration."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from attrs import define
from twisted.trial.unittest import SynchronousTestCase

from test.real.common import SKIP as NOT_REAL
from test.real.ssh_client import ROOT, Client
from test.real.test_ssh import SKIP as NO_CLIENT

PASSWORD = "first hour"


@define
class Port:
    """Where the client finds the server."""

    port: int


class ApplianceTests(SynchronousTestCase):
    """An appliance without services, on a port of the loopback that nobody uses."""

    skip = NO_CLIENT or NOT_REAL

    def setUp(self) -> None:
        self.work = Path(tempfile.mkdtemp(prefix="appliance-ssh-"))
        self.addCleanup(shutil.rmtree, self.work, True)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.boot = self.work / "boot.conf"
        self.boot.write_text(
            "# A house without services.\nconfig\n  system hostname lma1\n  banner motd \"Mind the step\"\n"
            f"  context local\n    server sshd\n      listen 127.0.0.1 port {self.port}\n      exit\n"
            "    exit\nend\n"
        )
        self.client = Client(self.work, Port(self.port))
        self.client.make_key("id", "-t", "ed25519")

    def user(self, *words: str, status: int = 0) -> str:
        """Run ``appliance user`` on the boot file."""
        result = subprocess.run(
            [sys.executable, "-m", "appliance", "user", *words, "-c", str(self.boot)],
            cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
            input=PASSWORD + "\n", capture_output=True, text=True, timeout=30,
        )  # fmt: skip
        self.assertEqual(result.returncode, status, result.stderr)
        return result.stdout + result.stderr

    def start(self) -> None:
        """Run the appliance until the end of the test."""
        log = self.work / "log"
        words = ["--state-dir", str(self.work / "state"), "--socket", str(self.work / "socket")]
        with log.open("w") as stream:
            process = subprocess.Popen(
                [sys.executable, "-m", "appliance", "run", "-c", str(self.boot), *words],
                cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=stream,
            )  # fmt: skip
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        end = time.monotonic() + 30
        while "Appliance ready" not in log.read_text():
            self.assertIsNone(process.poll(), log.read_text())
            self.assertLess(time.monotonic(), end, log.read_text())
            time.sleep(0.05)

    def test_the_first_hour(self) -> None:
        """A user with password and key is added, logs in, adds another while it runs, and is audited."""
        key = str(self.work / "id.pub")
        self.user("add", "admin", "--level", "security-admin", "--password-stdin", "--key", key)
        self.assertIn("exists", self.user("add", "admin", "--password-stdin", status=1))
        self.assertIn("admin             security-admin  yes       1", self.user("list"))
        self.assertTrue(self.boot.read_text().startswith("# A house without services.\nconfig\n"))
        self.start()
        shown = self.client.run("admin", "show version", key="id")
        self.assertEqual((shown.returncode, shown.stderr), (0, b""))
        self.assertIn(b"Active Software:", shown.stdout)
        wrong = self.client.run("admin", "show nonsense", password=PASSWORD)
        self.assertEqual((wrong.returncode, wrong.stdout), (1, b""))
        self.assertIn(b"Failure: ", wrong.stderr)
        lines = ["configure", "local-user username watch authorization-level inspector password seen"]
        script = self.client.run("admin", key="id", stdin="\n".join([*lines, "end", ""]).encode())
        self.assertEqual((script.returncode, script.stderr), (0, b""))
        self.assertEqual(self.client.run("watch", "show clock", password="seen").returncode, 0)
        denied = self.client.run("watch", "show configuration", password="seen")
        self.assertEqual(denied.returncode, 1)
        shown = self.client.run("admin", "show configuration", key="id")
        self.assertNotIn(b"password seen", shown.stdout)
        self.assertIn(b"encrypted password $scrypt$", shown.stdout)
        self.check_audit()

    def check_audit(self) -> None:
        text = (self.work / "state" / "audit.log").read_text()
        self.assertNotIn("seen", text)
        self.assertNotIn(PASSWORD, text)
        events = [(each["user"], each["event"]) for each in map(json.loads, text.splitlines())]
        wanted = {("admin", "log-in"), ("admin", "configure"), ("watch", "log-in"), ("watch", "log-out")}
        self.assertLessEqual(wanted, set(events))

    def test_a_terminal(self) -> None:
        """Banner, prompt, completion, a command, a removed user, the exit."""
        key = str(self.work / "id.pub")
        self.user("add", "admin", "--level", "security-admin", "--no-password", "--key", key)
        self.start()
        terminal = self.client.terminal("admin", key="id")
        self.addCleanup(terminal.close)
        self.assertIn(b"Mind the step\r\n", terminal.expect("[local]lma1# "))
        terminal.type("sh vers\r")
        terminal.expect("Active Software:")
        terminal.expect("[local]lma1# ")
        other = self.client.terminal("admin", key="id")
        self.addCleanup(other.close)
        other.expect("[local]lma1# ")
        # What 'appliance user remove' says has to be typed.
        advice = [line.strip() for line in self.user("remove", "admin").splitlines()[2:]]
        self.assertEqual(len(advice), 6)
        for line in ("configure", *advice):
            other.type(line + "\r")
        terminal.expect("user admin was removed")
        other.expect("user admin was removed")
        terminal.wait()
        other.wait()
        self.assertEqual(self.client.run("admin", "show clock", key="id").returncode, 255)

    def test_removing_a_user_from_the_boot_file(self) -> None:
        """The file is as it was before the user was added, and nobody gets in."""
        before = self.boot.read_text()
        self.user("add", "admin", "--password-stdin", "--key", str(self.work / "id.pub"))
        self.user("remove", "admin")
        self.assertEqual(self.boot.read_text(), before)
        self.start()
        self.assertEqual(self.client.run("admin", "show clock", key="id").returncode, 255)
