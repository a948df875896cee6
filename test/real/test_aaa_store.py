"""Exactly once, for real: a server killed while it stores, a disk that is full, a database that dies."""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from appliance.aaa.records import Place, Selection
from appliance.aaa.sqlite import SqliteDatabase
from test.real.aaa_client import Client, Record, acr
from test.real.postgres import missing, shared

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 30.0


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        port: int = made.getsockname()[1]
        return port


def records(sessions: int, first: int = 0) -> list[Record]:
    """START, two INTERIM and STOP of each session, mixed as many mobile nodes mix them."""
    kinds = ("START", "INTERIM", "INTERIM", "STOP")
    made = []
    for number, kind in enumerate(kinds):
        for session in range(first, first + sessions):
            avps = acr(f"lma1.home.example;1;{session}", number, kind, f"mn{session % 7}@home.example")
            made.append(Record(0x1000_0000 + session * 4 + number, avps))
    return made


class StoreCase(SynchronousTestCase):
    """A server in a process of its own."""

    fields: dict[str, Any] = {}

    def setUp(self) -> None:
        self.state = Path(tempfile.mkdtemp(prefix="aaa"))
        self.addCleanup(shutil.rmtree, self.state, True)
        self.port = free_port()
        self.child: subprocess.Popen[str] | None = None
        self.lines: list[str] = []
        self.addCleanup(self.kill)
        self.client = Client(self.port)
        self.addCleanup(self.client.close)

    def command(self) -> list[str]:
        return [
            sys.executable,
            "-m",
            "test.real.aaa_child",
            str(self.port),
            str(self.state),
            json.dumps(self.fields),
        ]

    def start(self) -> None:
        """Start the server, and wait until it is ready."""
        self.child = subprocess.Popen(
            self.command(),
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        ready = threading.Event()
        reader = threading.Thread(target=self._read, args=(self.child.stdout, ready), daemon=True)
        reader.start()
        if not ready.wait(SECONDS):
            self.fail("\n".join(self.lines))

    def _read(self, stream: Any, ready: threading.Event) -> None:
        for line in stream:
            self.lines.append(line.rstrip())
            if line == "ready\n":
                ready.set()
        stream.close()

    def kill(self, how: int = signal.SIGKILL) -> None:
        """End the server at once."""
        child, self.child = self.child, None
        if child is not None:
            child.send_signal(how)
            child.wait(SECONDS)
            assert child.stdin is not None
            child.stdin.close()

    def stored(self, path: Path | None = None) -> list[tuple[str, int, int]]:
        """Session, number and type of every record in the database, in the order of the keys."""
        reader = SqliteDatabase(str(path or self.state / "aaa" / "mobile.db")).reader()
        found, place = [], None
        while page := reader.page(Selection(), place, 1_000):
            found += [(each.session, each.number, each.type) for each in page]
            assert page[-1].id is not None
            place = Place(page[-1].received, page[-1].id)
        reader.close()
        return sorted(found)

    def expected(self, sessions: int) -> list[tuple[str, int, int]]:
        kinds = (2, 3, 3, 4)
        return sorted(
            (f"lma1.home.example;1;{session}", number, kind)
            for session in range(sessions)
            for number, kind in enumerate(kinds)
        )

    def killer(self, places: Iterator[int]) -> Any:
        """Kills and starts the server again when so many records are acknowledged."""
        following = [next(places)]

        def meanwhile(count: int) -> None:
            if count >= following[0]:
                following[0] = next(places, 1 << 30)
                self.kill()
                self.start()

        return meanwhile

    def said(self, text: str) -> bool:
        return any(text in line for line in self.lines)

    def wait_for(self, what: str, done: Any) -> None:
        deadline = time.monotonic() + SECONDS
        while not done():
            if time.monotonic() > deadline:
                self.fail(f"{what}: never\n" + "\n".join(self.lines[-20:]))
            time.sleep(0.05)


class KillTests(StoreCase):
    """``kill -9`` while records come in."""

    fields = {"text_log": {"directory": ""}}
    SESSIONS = 1_500

    def test_killed_in_every_phase(self) -> None:
        """In START, INTERIM and STOP, at places that nobody chose: each record is there once."""
        wanted = records(self.SESSIONS)
        seed = random.randrange(1 << 32)
        places = sorted(random.Random(seed).sample(range(1, len(wanted) - 1), 8))
        self.start()
        self.client.deliver(wanted, self.killer(iter(places)))
        self.kill()
        self.assertEqual(self.stored(), self.expected(self.SESSIONS), f"seed {seed}")
        # The log gets at the next start what the last death took from it.
        self.start()
        self.wait_for("log", lambda: len(self.log()) >= len(wanted))
        lines = self.log()
        self.assertEqual(len(lines), len(wanted), f"seed {seed}")
        self.assertEqual(len({tuple(line.split("\t")[1:3]) for line in lines}), len(wanted))
        self.assertFalse([line for line in self.lines if "Traceback" in line])

    def log(self) -> list[str]:
        """All whole lines of the text log."""
        found: list[str] = []
        for path in (self.state / "accounting").glob("diameter_accounting_*.log"):
            found += path.read_text().splitlines()
        return found

    def test_acknowledged_means_stored(self) -> None:
        """What was acknowledged before the death is in the database, whatever nobody acknowledged."""
        self.start()
        acknowledged: list[int] = []

        class Stop(Exception):
            pass

        def meanwhile(count: int) -> None:
            acknowledged.append(count)
            if count == 2_345:
                raise Stop

        with self.assertRaises(Stop):
            self.client.deliver(records(self.SESSIONS), meanwhile)
        self.kill()
        self.assertGreaterEqual(len(self.stored()), 2_345)


class SpoolKillTests(StoreCase):
    """The database is down all the time: what was acknowledged is in the spool."""

    fields = {"storage_failure": "spool"}

    def test_killed_while_spooling(self) -> None:
        """Killed again and again; when the database is back, each record is in it once."""
        path = self.state / "aaa" / "mobile.db"
        path.mkdir(parents=True)
        self.start()
        wanted = records(500)
        self.client.deliver(wanted, self.killer(iter((300, 900, 1_500))))
        self.assertTrue(self.said("records are kept on disk"), self.lines)
        self.kill()
        path.rmdir()
        self.start()
        self.wait_for("drained", lambda: self.said("in the database"))
        self.kill()
        self.assertEqual(self.stored(), self.expected(500))
        self.assertEqual(list((self.state / "aaa" / "mobile.spool").iterdir()), [])


class FullDiskTests(StoreCase):
    """A disk without room, in a mount namespace of the server's own."""

    if os.getuid() != 0 or shutil.which("unshare") is None or shutil.which("nsenter") is None:
        skip = "needs root, unshare and nsenter for a small disk"

    def command(self) -> list[str]:
        fill = f"dd if=/dev/zero of={self.state}/ballast bs=1M count=2"
        small = f"mount -t tmpfs -o size=3m small {self.state} && {fill}"
        inner = " ".join(f"'{word}'" for word in super().command())
        return ["unshare", "-m", "sh", "-c", f"{small} 2>/dev/null && exec {inner}"]

    def inside(self, *command: str) -> None:
        """Run something where the server sees its disk."""
        assert self.child is not None
        subprocess.run(["nsenter", "-t", str(self.child.pid), "-m", *command], check=True)

    def full(self, fields: dict[str, Any]) -> list[tuple[str, int, int]]:
        """Deliver until the disk is full, make room when some were refused, and deliver the rest."""
        self.fields = fields
        self.start()
        wanted = records(2_000)
        made = threading.Event()

        def room() -> None:
            self.wait_for("full", lambda: self.said("disk is full") or self.said("disk I/O error"))
            time.sleep(1.0)
            self.inside("rm", f"{self.state}/ballast")
            self.inside("mount", "-o", "remount,size=64m", str(self.state))
            made.set()

        helper = threading.Thread(target=room, daemon=True)
        helper.start()
        self.client.deliver(wanted)
        self.assertTrue(made.wait(SECONDS))
        helper.join()
        assert self.child is not None
        seen = Path(f"/proc/{self.child.pid}/root{self.state}/aaa")
        self.wait_for("spool drained", lambda: not list((seen / "mobile.spool").glob("*.seg")))
        # SQLite finds out where the path really leads, which is nowhere for this process.
        copy = Path(self.mktemp())
        shutil.copytree(seen, copy)
        return self.stored(copy / "mobile.db")

    def test_refused(self) -> None:
        """4002 while there is no room; afterwards all are stored, once each, without a restart."""
        self.assertEqual(self.full({}), self.expected(2_000))
        self.assertGreater(self.client.results[4002], 0)
        self.assertEqual(set(self.client.results), {2001, 4002})

    def test_spool_is_on_the_same_disk(self) -> None:
        """A spool that has no room either does not acknowledge what it cannot keep."""
        self.assertEqual(self.full({"storage_failure": "spool"}), self.expected(2_000))


class PostgresTests(StoreCase):
    """A PostgreSQL server that dies and comes back."""

    skip = missing() or None

    def test_database_killed(self) -> None:
        """It is refused or repeated meanwhile; in the end each record is there once."""
        cluster = shared()
        address = cluster.create(f"killed{os.getpid()}")
        self.fields = {"database": address}
        self.start()
        following = [500]

        def meanwhile(count: int) -> None:
            if count >= following[0]:
                following[0] = 1 << 30
                cluster.stop("immediate")
                threading.Timer(1.0, cluster.start).start()

        self.client.deliver(records(400), meanwhile)
        self.assertGreater(self.client.results[4002], 0)
        self.assertTrue(self.said("database postgresql://"))
        import psycopg

        with psycopg.connect(address) as connection:
            rows = connection.execute("SELECT session, number, type FROM record").fetchall()
        self.assertEqual(sorted(rows), self.expected(400))
        self.kill(signal.SIGTERM)
