"""An accounting client whose disk is full, or rots: a real process, a real file system, a real connection.

The spool lies on a small tmpfs in a mount namespace of the process.
"""

import json
import os
import shlex
import subprocess
import sys
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.python.runtime import platform

from appliance.protocols.diameter.events import Incoming
from appliance.protocols.diameter.message.codec import Message
from appliance.protocols.diameter.settings import Listener, PeerSettings
from test.real.diameter_case import REALM, Accountant, D, NodeCase, free_port

LOOPBACK = b"\x7f\0\0\1"
MANY = 60
START, INTERIM, STOP = 2, 3, 4
NO_SPACE = "error: accounting records cannot be stored: No space left on device"
AGAIN = "info: accounting records are stored again"


class Process:
    """The client; ``size``: of its disk, as of mount."""

    def __init__(self, folder: Path, port: int, size: str, **settings: Any) -> None:
        wanted = json.dumps({"folder": str(folder), "port": port, **settings})
        script = f"exec {sys.executable} -m test.real.accounting_child {shlex.quote(wanted)}"
        if size:
            script = f"mount -t tmpfs -o size={size} tmpfs {shlex.quote(str(folder))} && {script}"
        self.process = subprocess.Popen(
            ["unshare", "-m", "sh", "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )

    def tell(self, line: str) -> dict[str, Any]:
        """Say a line and get what it answers."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def kill(self) -> None:
        """As kill -9; the file system stays for nobody."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


class Server(Accountant):
    """Keeps each record once; while it is mute it looks at none."""

    def __init__(self, host: str) -> None:
        super().__init__(host, REALM)
        self.records: dict[tuple[str, int, int], Message] = {}

    def request(self, incoming: Incoming) -> None:
        """Keep it, unless mute."""
        if not self.mute:
            message = incoming.message
            key = tuple(
                message.first(D[name])
                for name in ("Session-Id", "Accounting-Record-Number", "Accounting-Record-Type")
            )
            self.records.setdefault(key, message)
        super().request(incoming)

    def wake(self) -> None:
        """Look at what has come meanwhile."""
        self.mute = False
        waiting, self.got = self.got, []
        for incoming in waiting:
            self.request(incoming)


@unittest.skipUnless(platform.isLinux() and os.geteuid() == 0, "needs root, for a mount namespace")
class DiskTests(NodeCase):
    """One server in this process, one client in another."""

    def setUp(self) -> None:
        """Start the server; the client comes with :meth:`client`."""
        super().setUp()
        self.port = free_port()
        self.server = Server(f"server.{REALM}")
        self.serve()
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)

    def serve(self) -> None:
        """A node for the server."""
        settings = self.settings(
            "server",
            addresses=(LOOPBACK,),
            listeners=(Listener(address=LOOPBACK, port=self.port),),
            peers=(PeerSettings(name=f"client.{REALM}"),),
        )
        self.node(settings, self.server)

    def client(self, size: str = "", **settings: Any) -> Process:
        """Start a client; on a disk of that size, or on the one of the test."""
        made = Process(self.folder, self.port, size, **settings)
        self.addCleanup(made.kill)
        return made

    def until(self, client: Process, so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Ask for its state until it is so."""
        found: dict[str, Any] = {}

        def is_so() -> bool:
            found.clear()
            found.update(client.tell("state"))
            return so(found)

        self.wait(is_so, 100)
        return found

    def delivered(self, client: Process) -> dict[str, Any]:
        """Wait until nothing waits."""
        return self.until(client, lambda state: state["counted"] and not state["waiting"] + state["flying"])

    def check(self, *kinds: int) -> None:
        """Each session has records of these kinds, once, in this order."""
        sessions: dict[str, list[tuple[int, int]]] = {}
        for session, number, kind in self.server.records:
            sessions.setdefault(session, []).append((number, kind))
        self.assertEqual(len(sessions), MANY)
        for session, records in sessions.items():
            self.assertEqual(records, list(enumerate(kinds)), session)

    def test_full_while_the_server_answers(self) -> None:
        """Records are sent from memory: nothing is lost, and the log has two lines."""
        client = self.client("300k")
        client.tell(f"start 1 {MANY}")
        self.delivered(client)
        client.tell("fill")
        client.tell(f"refresh 1 {MANY}")
        self.delivered(client)
        client.tell("free")
        client.tell(f"stop 1 {MANY}")
        state = self.delivered(client)
        self.check(START, INTERIM, STOP)
        self.assertEqual([line.partition(";")[0] for line in state["said"]], [NO_SPACE, AGAIN])
        self.assertEqual(state["ended"], [])

    def full_in(self, kind: int) -> None:
        """The disk is full and the server silent while records of a kind are made; then all is well."""
        client = self.client("300k", realtime="grant-and-lose")
        acts = {START: "start", INTERIM: "refresh", STOP: "stop"}
        for each, act in acts.items():
            if each == kind:
                self.delivered(client)
                client.tell("fill")
                self.server.got.clear()
                self.server.mute = True
            client.tell(f"{act} 1 {MANY}")
            if each == kind:
                self.until(client, lambda state: state["memory"] == MANY)
                client.tell("free")
                self.until(client, lambda state: state["memory"] == 0 and state["settled"])
                self.call(self.server.wake)
            self.delivered(client)
        self.check(START, INTERIM, STOP)
        self.assertEqual(client.tell("end")["ended"], [])

    def test_full_at_start(self) -> None:
        """START records wait in memory, get to the disk when there is room, and are delivered once."""
        self.full_in(START)

    def test_full_at_interim(self) -> None:
        """The same with INTERIM records."""
        self.full_in(INTERIM)

    def test_full_at_stop(self) -> None:
        """The same with STOP records."""
        self.full_in(STOP)

    def test_full_without_a_server(self) -> None:
        """GRANT_AND_STORE: who cannot be accounted is disconnected."""
        self.server.mute = True
        client = self.client("300k")
        client.tell("fill")
        client.tell(f"start 1 {MANY}")
        state = self.until(client, lambda state: len(state["ended"]) == MANY)
        self.assertEqual(state["ended"], list(range(1, MANY + 1)))

    def test_a_rotten_segment(self) -> None:
        """Killed, and octets of its file change: it is set aside, said, and all other records arrive."""
        self.server.mute = True
        client = self.client()
        client.tell(f"start 1 {MANY}")
        client.tell(f"stop 1 {MANY}")
        self.until(client, lambda state: state["settled"] and state["waiting"] == 2 * MANY)
        client.kill()
        path = next((self.folder / "spool").glob("*.records"))
        octets = bytearray(path.read_bytes())
        # In a START: of a STOP another would be made.
        octets[len(octets) // 4] ^= 0xFF
        path.write_bytes(octets)
        self.call(self.server.wake)
        state = self.delivered(self.client())
        self.assertEqual(state["corrupt"], 1)
        self.assertIn("is set aside as", state["said"][0])
        self.assertEqual(len(self.server.records), 2 * MANY - 1)

    def test_killed_after_a_full_disk(self) -> None:
        """What was rescued from memory is on the disk: the next process delivers it and ends the sessions."""
        disk = self.folder / "disk"
        disk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(disk)], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", str(disk)], check=True)
        self.folder = disk
        client = self.client(realtime="grant-and-lose")
        client.tell("fill")
        self.server.mute = True
        client.tell(f"start 1 {MANY}")
        self.until(client, lambda state: state["memory"] == MANY)
        client.tell("free")
        self.until(client, lambda state: state["memory"] == 0 and state["settled"])
        client.kill()
        self.call(self.server.wake)
        again = self.client()
        self.assertEqual(self.delivered(again)["left"], MANY)
        self.check(START, STOP)
        causes = {each.first(D["Termination-Cause"]) for each in self.server.records.values()}
        self.assertEqual(causes, {None, 21})
