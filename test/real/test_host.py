"""What the appliance does to its host, and that it takes all of it back."""

import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

from scripts.labrun import environment
from test.real.common import LabTests, lma_config

NOBODY = 65534
EXTRA = "2001:db8:ffff::99"


class HostStateTests(LabTests):
    """Addresses, routes and devices appear with the process and go with it."""

    def host(self) -> str:
        """Addresses, routes and links of the anchor's namespace."""
        return "\n".join(
            self.lab.exec("lma", "ip", *words)
            for words in (("-6", "addr"), ("-6", "route"), ("-4", "route"), ("link",))
        )

    def assert_served(self) -> None:
        """The address, both pool routes and a TUN device are there."""
        shown = self.host()
        for part in (f"{EXTRA}/64", "2001:db8:1::/48 dev", "203.0.113.0/24 dev"):
            self.assertIn(part, shown)
        self.assertIn("tun", self.lab.exec("lma", "ip", "-d", "link"))

    def assert_clean(self) -> None:
        """Nothing of it is there."""
        shown = self.host()
        for part in (EXTRA, "2001:db8:1::/48", "203.0.113.0/24"):
            self.assertNotIn(part, shown)
        self.assertNotIn("tun type tun", self.lab.exec("lma", "ip", "-d", "link"))

    def config(self) -> str:
        """A service bound to an address that the appliance has to add."""
        return lma_config(bind=EXTRA, interface=f"{EXTRA}/64")

    def test_everything_is_removed_on_exit(self) -> None:
        """SIGTERM and SIGINT: exit status 0, the host as it was; an address of the host stays."""
        for number, signum in enumerate((signal.SIGTERM, signal.SIGINT)):
            node = self.started(self.config(), name=f"n{number}")
            self.assert_served()
            self.assertEqual(node.stop(signum), 0)
            self.assert_clean()
            self.assertIn("2001:db8:ffff::1/64", self.host())

    def test_everything_is_removed_after_kill_and_restart(self) -> None:
        """What SIGKILL left is taken back by the next start and its orderly end."""
        node = self.started(self.config())
        node.stop(signal.SIGKILL)
        self.assertIn(EXTRA, self.host())
        node.start()
        node.wait_ready()
        self.assert_served()
        self.assertEqual(node.stop(), 0)
        self.assert_clean()

    def test_what_a_killed_process_left_goes_even_if_the_configuration_changed(self) -> None:
        """The journal, not the configuration, says what has to be undone."""
        node = self.started(self.config())
        node.stop(signal.SIGKILL)
        node.config.write_text(lma_config().replace("2001:db8:1::/48", "2001:db8:2::/48"))
        node.start()
        node.wait_ready()
        shown = self.host()
        self.assertNotIn(EXTRA, shown)
        self.assertNotIn("2001:db8:1::/48", shown)
        self.assertIn("2001:db8:2::/48", shown)
        self.assertEqual(node.stop(), 0)

    def test_forwarding_is_switched_on_and_back(self) -> None:
        """Forwarding of the host is on while the anchor runs and afterwards what it was."""
        self.lab.sysctl("lma", ipv6__conf__all__forwarding=0, ipv4__ip_forward=0)
        names = ("/proc/sys/net/ipv6/conf/all/forwarding", "/proc/sys/net/ipv4/ip_forward")
        node = self.started(lma_config())
        self.assertEqual(self.lab.exec("lma", "cat", *names).split(), ["1", "1"])
        self.assertEqual(node.stop(), 0)
        self.assertEqual(self.lab.exec("lma", "cat", *names).split(), ["0", "0"])


class ControlSocketTests(LabTests):
    """Only root and the group ``appliance`` may operate the process."""

    def connect_as_nobody(self, path: Path) -> bytes:
        """Try to send a command as another user: ``refused`` or what came back."""
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            answer = b"no answer"
            try:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
                with socket.socket(socket.AF_UNIX) as sock:
                    sock.settimeout(5)
                    sock.connect(str(path))
                    sock.sendall(b'{"line": "show version"}\n')
                    answer = b"answer: " + sock.recv(65536)
            except PermissionError:
                answer = b"refused"
            except OSError as error:
                answer = f"closed: {error}".encode()
            finally:
                os.write(writer, answer)
                os._exit(0)
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            answer = pipe.read()
        os.waitpid(child, 0)
        return answer

    def test_permissions_of_the_socket(self) -> None:
        """Mode 0660, and the kernel refuses another user."""
        node = self.started(lma_config())
        self.assertEqual(stat.S_IMODE(node.socket.stat().st_mode), 0o660)
        node.socket.parent.chmod(0o755)
        self.assertEqual(self.connect_as_nobody(node.socket), b"refused")

    def test_credentials_of_the_peer(self) -> None:
        """Even with the file's mode opened, another user gets nothing done."""
        node = self.started(lma_config())
        node.socket.parent.chmod(0o755)
        node.socket.chmod(0o666)
        answer = self.connect_as_nobody(node.socket)
        self.assertNotIn(b'"status": 0', answer.replace(b'":0', b'": 0'))
        self.assertNotIn(b"Active Software", answer)
        self.assertIn("lma1", node.cli("show lma-service all"))

    def test_the_client_says_when_it_cannot_attach(self) -> None:
        """Exit status 2 and one line when nobody listens."""
        where = ("--socket", str(self.work / "none"))
        command = [sys.executable, "-m", "appliance", "cli", *where, "-e", "show version"]
        done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=20)
        self.assertEqual(done.returncode, 2)
        self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)
        self.assertIn(str(self.work / "none"), done.stderr)
