"""The Restart Counter on the disk: it goes up, and survives what happens to files."""

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.pmipv6.events import KeepPeers
from appliance.restarts import Damaged, Restarts, read, write

MAG, LMA = (
    bytes.fromhex("20010db8ffff000000000000000000a1"),
    bytes.fromhex("20010db8ffff00000000000000000001"),
)
PEERS = ((MAG, LMA, 0), (bytes((192, 0, 2, 1)), bytes((198, 51, 100, 1)), 5436))
WALL = 1_800_000_000


class RestartsTests(SynchronousTestCase):
    """One service and its file."""

    def setUp(self) -> None:
        """An empty state directory."""
        self.directory = self.mktemp()
        self.log: list[tuple[str, str]] = []
        self.path = Path(self.directory, "restarts", "lma-a%2Fb.json")

    def start(self, peers: Any = None) -> Any:
        """Start the service, have it write its peers; what its core is told."""

        async def run() -> Any:
            store = Restarts(
                self.directory, "lma a/b", lambda *line: self.log.append(line), lambda: WALL + 0.5
            )
            began = await store.begin()
            for each in peers or ():
                store.keep(KeepPeers(each))
            while store._writing is not None:
                await asyncio.sleep(0.001)
            store.close()
            return began

        return asyncio.run(run())

    def test_goes_up(self) -> None:
        """The first start goes on from the time; each later one counts, and knows the peers of the last."""
        self.assertEqual((self.start().counter, self.log[0][0]), (WALL + 1, "info"))
        self.assertEqual(self.start([PEERS[:1], PEERS]).counter, WALL + 2)
        began = self.start()
        self.assertEqual((began.counter, began.former), (WALL + 3, PEERS))
        self.assertEqual(len(self.log), 1)

    def test_damaged(self) -> None:
        """Nothing in the file stops a start; the log tells of it."""
        self.start()
        for contents in (
            b"", b"{", b"[]", b"\xff", b'{"version":1,"counter":-1,"peers":[]}', b"x" * 2_000_000,
            b'{"version":1,"counter":1,"peers":[["::1","1.2.3.4",0]]}', b"[" * 100_000,
        ):  # fmt: skip
            self.path.write_bytes(contents)
            began = self.start()
            self.assertEqual((began.counter, began.former), (WALL + 1, ()))
            self.assertIn("is damaged", self.log[-1][1])

    def test_no_disk(self) -> None:
        """Where nothing can be written the service starts nevertheless, and says what that means."""
        Path(self.directory).write_text("no directory")
        self.assertEqual(self.start([PEERS]).counter, WALL + 1)
        self.assertIn("cannot be read", self.log[0][1])
        self.assertIn("cannot be written", self.log[-1][1])

    def test_wraps(self) -> None:
        """The counter has 32 bits."""
        write(self.path, 0xFFFF_FFFF, ())
        self.assertEqual(self.start().counter, 0)

    def test_closed(self) -> None:
        """A service that is gone does not overwrite what its successor has counted."""

        async def run() -> None:
            old = Restarts(self.directory, "lma a/b", lambda *line: None, lambda: WALL)
            await old.begin()
            new = Restarts(self.directory, "lma a/b", lambda *line: None, lambda: WALL)
            old.keep(KeepPeers(PEERS))
            old.close()
            await new.begin()
            await asyncio.sleep(0.02)

        asyncio.run(run())
        self.assertEqual(json.loads(self.path.read_text())["counter"], WALL + 2)

    @settings(max_examples=100, deadline=None)
    @given(st.one_of(st.binary(max_size=200), st.recursive(st.none() | st.integers() | st.text(), st.lists)))
    def test_never_raises_anything_else(self, contents: Any) -> None:
        """Whatever the file holds, it is read or called damaged."""
        data = (
            contents
            if isinstance(contents, bytes)
            else json.dumps({"version": 1, "counter": 1, "peers": contents})
        )
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory, "file")
            path.write_bytes(data if isinstance(data, bytes) else data.encode())
            try:
                read(path)
            except Damaged:
                pass
