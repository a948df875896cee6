"""Kill and recover: whatever dies, whenever, each accounting record is in the server's store once.

For START, INTERIM and STOP records each: the server is stopped in its tracks, so that the records are on the
anchor's disk or on their way and nobody has acknowledged them. Then something dies. When all is well again,
the server's store is read.
"""

import signal
from collections.abc import Callable

from scripts.benches.signalling import Load
from scripts.labnet import AAA_ADDRESS, LMA_ADDRESS, MAG_ADDRESSES, run
from scripts.labrun import Appliance, wait_for
from test.real.common import LabTests

MOBILES = 40
REALM = "bench.example"

ANCHOR = f"""config
  context anchor
    ipv6 pool HOME prefix 2001:db8:8000::/40
    subscriber default
      permission pmipv6
      exit
    diameter endpoint client
      origin realm {REALM}
      origin host lma1.{REALM} address {LMA_ADDRESS}
      peer aaa1.{REALM} realm {REALM} address {AAA_ADDRESS}
      connection retry-timeout 1
      connection timeout 2
      watchdog-timeout 6
      exit
    aaa group G
      diameter accounting endpoint client
      diameter accounting realm {REALM}
      diameter accounting request-timeout 2
      accounting interim-on refresh
      exit
    lma-service lma1
      bind address {LMA_ADDRESS}
      min-delay-before-bce-delete 0
      mag-peer {MAG_ADDRESSES["mag1"]}
      aaa group G
      exit
    exit
end
"""

SERVER = f"""config
  context aaa
    diameter endpoint server
      origin realm {REALM}
      origin host aaa1.{REALM} address {AAA_ADDRESS} accept-incoming-connections
      peer lma1.{REALM}
      watchdog-timeout 6
      exit
    aaa-server mobile
      diameter endpoint server
      realm {REALM}
      text-log
      exit
    exit
end
"""

#: What the gateway does for each kind of record.
ACTS = {"START": "attach", "INTERIM": "refresh", "STOP": "deregister"}
KINDS = tuple(ACTS)


class MatrixTests(LabTests):
    """One anchor, one server, a gateway that sends binding updates by hand."""

    def setUp(self) -> None:
        """Start all three."""
        super().setUp()
        self.server = self.started(SERVER, "aaa")
        self.anchor = self.started(ANCHOR)
        self.load = Load(self.lab)
        self.addCleanup(self._end_load)
        wait_for("the peers' connection", self._connected, 40)

    def _end_load(self) -> None:
        self.load.process.kill()
        self.load.process.wait()

    def _freeze(self) -> None:
        assert self.server.process is not None
        self.server.process.send_signal(signal.SIGSTOP)

    def _thaw(self) -> None:
        assert self.server.process is not None
        self.server.process.send_signal(signal.SIGCONT)

    def _connected(self) -> bool:
        return [peer["state"] for peer in self.anchor.json("show diameter peers")] == ["OPEN"]

    def _waiting(self) -> int:
        return sum(each["records"] for each in self.anchor.json("show accounting spool"))

    def _act(self, kind: str) -> None:
        self.load.phase(ACTS[kind], MOBILES, 16)

    def _delivered(self) -> bool:
        return self._waiting() == 0

    def matrix(self, kind: str, fault: Callable[[], None], anchor_died: bool = False) -> None:
        """Do everything up to ``kind`` in peace, ``kind`` under the fault, and what is left after it."""
        place = KINDS.index(kind)
        for before in KINDS[:place]:
            self._act(before)
            wait_for(f"{before} records delivered", self._delivered, 20)
        self._freeze()
        self._act(kind)
        wait_for(f"{kind} records on the disk", lambda: self._waiting() >= MOBILES, 20)
        fault()
        self._thaw()
        wait_for(f"{kind} records delivered", self._delivered, 60)
        if not anchor_died:
            for after in KINDS[place + 1 :]:
                self._act(after)
            wait_for("the last records delivered", self._delivered, 30)
        self._verify(kind, anchor_died)

    def _verify(self, kind: str, anchor_died: bool) -> None:
        """In the store: for each session START, INTERIMs, STOP, each once and in order."""
        sessions: dict[str, list[tuple[int, str]]] = {}
        for record in self.server.json("show accounting records"):
            sessions.setdefault(record["session_id"], []).append((record["number"], record["type"]))
        self.assertEqual(len(sessions), MOBILES)
        refreshes = 0 if anchor_died and kind == "START" else 1
        expected = ["START", *["INTERIM"] * refreshes, "STOP"]
        for name, records in sessions.items():
            self.assertEqual([number for number, _ in records], list(range(len(records))), name)
            self.assertEqual([each for _, each in records], expected, name)
        log = next((self.server.state / "accounting").rglob("diameter_accounting_*.log")).read_text()
        self.assertEqual(len(log.splitlines()), sum(map(len, sessions.values())))
        for node in (self.anchor, self.server):
            self.assertNotIn("Traceback", node.log.read_text())

    # ---- faults

    def _kill(self, node: Appliance) -> None:
        assert node.process is not None
        node.process.kill()
        node.process.wait()

    def _kill_anchor(self) -> None:
        self._kill(self.anchor)
        self._thaw()
        self.anchor.start()
        self.anchor.wait_ready()

    def _kill_server(self) -> None:
        self._kill(self.server)
        self.server.start()
        self.server.wait_ready()

    def _cut_link(self) -> None:
        name = self.lab.name("net")
        run("ip", "-n", name, "link", "set", "aaa", "down")
        self._thaw()
        wait_for("the connection is given up", lambda: not self._connected(), 60)
        run("ip", "-n", name, "link", "set", "aaa", "up")

    def test_start_anchor_killed(self) -> None:
        """The anchor dies with START records that nobody has acknowledged; at its next start STOPs come."""
        self.matrix("START", self._kill_anchor, anchor_died=True)

    def test_interim_anchor_killed(self) -> None:
        """The same with INTERIM records."""
        self.matrix("INTERIM", self._kill_anchor, anchor_died=True)

    def test_stop_anchor_killed(self) -> None:
        """The same with STOP records."""
        self.matrix("STOP", self._kill_anchor, anchor_died=True)

    def test_start_server_killed(self) -> None:
        """The server dies with START records that it has not looked at yet."""
        self.matrix("START", self._kill_server)

    def test_interim_server_killed(self) -> None:
        """The same with INTERIM records."""
        self.matrix("INTERIM", self._kill_server)

    def test_stop_server_killed(self) -> None:
        """The same with STOP records."""
        self.matrix("STOP", self._kill_server)

    def test_start_link_cut(self) -> None:
        """The link is away for as long as the watchdog needs to find out."""
        self.matrix("START", self._cut_link)

    def test_interim_link_cut(self) -> None:
        """The same with INTERIM records."""
        self.matrix("INTERIM", self._cut_link)

    def test_stop_link_cut(self) -> None:
        """The same with STOP records."""
        self.matrix("STOP", self._cut_link)
