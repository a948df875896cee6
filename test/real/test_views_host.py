"""The host as the shell sees it: the kernel's tables, programs as children, the clone's commit."""

import os
import subprocess
import sys
import time
from pathlib import Path

from twisted.internet import reactor
from twisted.trial.unittest import SynchronousTestCase

from appliance.host import Host, read_build, source_commit
from appliance.ports import InterfaceView, RouteView
from test.real.common import LabTests

ROOT = Path(__file__).resolve().parent.parent.parent


class BuildTests(SynchronousTestCase):
    """What is known of the program itself."""

    def test_commit_of_a_clone(self) -> None:
        """HEAD on a branch, packed or not, in a work tree, and detached; nothing outside of a clone."""
        commit = "0123456789abcdef0123456789abcdef01234567"
        root = Path(self.mktemp()).resolve()
        git = root / ".git"
        (git / "refs" / "heads").mkdir(parents=True)
        self.assertEqual(source_commit(root), "")
        (git / "HEAD").write_text(f"{commit}\n")
        self.assertEqual(source_commit(root), commit)
        (git / "HEAD").write_text("ref: refs/heads/main\n")
        self.assertEqual(source_commit(root), "")
        (git / "packed-refs").write_text(f"# pack-refs\n{commit[::-1]} refs/heads/main\n")
        self.assertEqual(source_commit(root), commit[::-1])
        (git / "refs" / "heads" / "main").write_text(f"{commit}\n")
        self.assertEqual(source_commit(root), commit)
        tree = root / "tree"
        own = git / "worktrees" / "tree"
        for folder in (tree, own):
            folder.mkdir(parents=True)
        (own / "HEAD").write_text("ref: refs/heads/main\n")
        (own / "commondir").write_text("../..\n")
        (tree / ".git").write_text(f"gitdir: {own}\n")
        self.assertEqual(source_commit(tree), commit)
        (git / "refs" / "heads" / "main").write_text("garbage\n")
        self.assertEqual(source_commit(root), "")

    def test_build(self) -> None:
        """Nothing is empty, whatever is known."""
        build = read_build(ROOT / "appliance")
        self.assertTrue(all((build.version, build.number, build.date, build.commit)))
        self.assertEqual(read_build(Path(self.mktemp()) / "appliance").commit, "not recorded")


class HealthTests(SynchronousTestCase):
    """The process."""

    def test_health(self) -> None:
        """The numbers are those of this process."""
        health = Host(reactor, time.monotonic).health()
        self.assertEqual(health.pid, os.getpid())
        self.assertGreater(health.memory, 1 << 20)
        self.assertGreater(health.files, 2)
        self.assertGreaterEqual(health.file_limit, health.files)
        self.assertEqual((health.lag, health.lag_record), (0.0, 0.0))


class KernelTests(LabTests):
    """Devices and routes of a namespace that we know."""

    def read(self) -> tuple[list[InterfaceView], list[RouteView], list[RouteView]]:
        """What a process in the anchor's namespace reads."""
        script = (
            "import asyncio, time\n"
            "from appliance.host import Host\n"
            "async def main():\n"
            "    host = Host(None, time.monotonic)\n"
            "    print(repr((await host.interfaces(), [r async for r in host.routes(4)],"
            " [r async for r in host.routes(6)])))\n"
            "asyncio.run(main())\n"
        )
        text = self.lab.exec("lma", "env", f"PYTHONPATH={ROOT}", sys.executable, "-c", script)
        names = {"InterfaceView": InterfaceView, "RouteView": RouteView}
        found: tuple[list[InterfaceView], list[RouteView], list[RouteView]] = eval(text, names)
        return found

    def test_tables(self) -> None:
        """Addresses, states and routes are what ``ip`` has made."""
        for words in (
            ("link", "add", "pair7", "type", "veth", "peer", "name", "pair8"),
            ("addr", "add", "198.18.0.1/24", "dev", "pair7"), ("link", "set", "pair7", "up"),
            ("route", "add", "198.51.100.0/24", "via", "198.18.0.9", "metric", "7"),
            ("-6", "route", "add", "2001:db8:77::/48", "dev", "pair7"),
        ):  # fmt: skip
            self.lab.exec("lma", "ip", *words)
        interfaces, four, six = self.read()
        by_name = {each.name: each for each in interfaces}
        self.assertIn("198.18.0.1/24", by_name["pair7"].addresses)
        self.assertEqual((by_name["pair7"].state, by_name["pair8"].state), ("no-carrier", "down"))
        self.assertEqual(by_name["pair7"].mtu, 1500)
        self.assertEqual(len(by_name["pair7"].link_layer), 17)
        routes = {route.destination: route for route in four}
        self.assertEqual(
            routes["198.51.100.0/24"],
            RouteView(destination="198.51.100.0/24", next_hop="198.18.0.9", protocol="static", cost=7,
                      interface="pair7"),
        )  # fmt: skip
        self.assertEqual(routes["198.18.0.0/24"].protocol, "connected")
        (route,) = [each for each in six if each.destination == "2001:db8:77::/48"]
        self.assertEqual((route.next_hop, route.interface), ("", "pair7"))
        # Addresses of our own and multicast are in other tables or of other types.
        self.assertFalse([each for each in (*four, *six) if each.destination.startswith(("ff", "127."))])


class ProgramTests(SynchronousTestCase):
    """Children of a process whose reactor is asyncio's, as the appliance's is."""

    def check(self, name: str) -> None:
        """Run one check of ``children.py`` in a process of its own; it fails by a traceback."""
        command = [sys.executable, "-m", "test.real.children", name]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_lines(self) -> None:
        """Both outputs, the last line without an end, octets that are no UTF-8; nothing to read."""
        self.check("lines")

    def test_killed_when_closed(self) -> None:
        """Who reads no more ends the child, and so does who is cancelled."""
        self.check("closed")

    def test_time_limit(self) -> None:
        """A child that goes on for too long is killed, and the last line says so."""
        self.check("time_limit")

    def test_bounded(self) -> None:
        """A slow reader loses lines, with their number; a line has an end."""
        self.check("bounded")

    def test_cannot_start(self) -> None:
        """A program that is not there is named; what it is given is one word each."""
        self.check("cannot_start")

    def test_lag(self) -> None:
        """The lag of a loop that something holds is seen."""
        self.check("lag")

    def test_ping(self) -> None:
        """An echo of our own by the real program."""
        if not Host(None, time.monotonic).finds("ping"):
            self.skipTest("this machine has no program ping")
        self.check("ping")
