"""Any history of sessions, servers, disks and deaths: what the server has in the end.

The process is killed at any moment, and another one goes on with its directory.
"""

from collections import defaultdict
from pathlib import Path
from unittest import mock

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.diameter.client.spool_format import RELEASED, START, STOP
from appliance.protocols.diameter.message.codec import Group
from appliance.protocols.diameter.message.dictionary import standard
from appliance.protocols.mobility import aaa
from test.protocols.diameter.accounting_fakes import Rig

_D = standard()
NO_SPACE = OSError(28, "No space left on device")
MODES = ["up", "down", "silent", "deaf"]


class History:
    """A rig, and what should come of it."""

    def __init__(self, folder: Path, data: st.DataObject) -> None:
        self.data = data
        interval = data.draw(st.sampled_from([0, 15]))
        self.rig = Rig(
            folder, interim_interval=interval, interim_on_handoff=True, sub_sessions=data.draw(st.booleans())
        )
        self.rig.segment_size = data.draw(st.sampled_from([1_000, 5_000, 1 << 16]))
        self.rig.boot()
        self.rig.start()
        self.number = 0
        self.open: list[int] = []
        self.durable: set[str] = set()
        self.excused: set[str] = set()
        self.broken: mock._patch[object] | None = None
        self.refusing = False

    def step(self) -> None:
        """Let one thing happen."""
        rig, draw = self.rig, self.data.draw
        what = draw(
            st.sampled_from(
                ["begin", "begin", "end", "handoff", "mode", "disk", "kill", "time", "turn", "refuse"]
            )
        )
        if what == "begin":
            self.number += 1
            self.open.append(self.number)
            user = b"mn%d@home.example" % draw(st.integers(1, 3))
            rig.begin(self.number, mn_id=user)
        elif what in ("end", "handoff") and self.open:
            number = draw(st.sampled_from(self.open))
            session = rig.driver.core.sessions.get(number)
            user = session.subject.mn_id if session is not None else b"mn1@home.example"
            if what == "handoff":
                rig.account(aaa.HANDOFF, number, mn_id=user)
            else:
                rig.account(aaa.STOP, number, cause=1, mn_id=user)
                self.open.remove(number)
        elif what == "mode":
            rig.node.become(draw(st.sampled_from(MODES)))
        elif what == "disk":
            self.disk(self.broken is None)
        elif what == "refuse":
            rig.server.results = draw(st.lists(st.sampled_from([2001, 4002, 3004, 3002]), max_size=6))
        elif what == "kill":
            self.kill()
        elif what == "time":
            rig.wait(draw(st.integers(1, 40)))
        else:
            rig.run(draw(st.sampled_from([0.005, 0.01, 0.03, 0.2])))

    def disk(self, broken: bool) -> None:
        """The disk takes nothing, or does again."""
        if self.broken is not None:
            self.broken.stop()
            self.broken = None
        if broken:
            self.broken = mock.patch.object(self.rig.worker.spool, "append", side_effect=NO_SPACE)
            self.broken.start()

    def on_disk(self) -> set[str]:
        """Sessions that have a START on the disk, or at the server."""
        found = {
            (each.first(_D["Session-Id"]), each.first(_D["Accounting-Sub-Session-Id"]))
            for each in self.rig.server.records
        }
        spool = self.rig.worker.spool
        for segment in spool.segments:
            if not spool.load(segment):
                continue
            data = segment.records.read_bytes()
            for at in range(len(segment.serials or ())):
                entry = segment.entry(data, at)
                if entry is not None and segment.lives(at):
                    found.add((entry.key.decode(), None))
        return {str(name) for name, _ in found}

    def in_memory_only(self) -> set[str]:
        """Sessions whose records the disk would not take: their end dies with the process."""
        driver, spool = self.rig.driver, self.rig.worker.spool
        found = {entry.key.decode() for entry in driver.store.delivery.unstored.entries.values()}
        for mark in driver.store.delivery.marks:
            # Its STOP was sent from memory, and that is not noted yet.
            segment = spool.segment_of(mark >> 2) if mark & RELEASED else None
            entry = segment.entry(spool.data(segment), segment.at_after((mark >> 2) - 1)) if segment else None
            if entry is not None:
                found.add(entry.key.decode())
        ending = [entry.owner for entry in driver.store._new if entry.owner is not None]
        for session in [*driver.core.sessions.values(), *ending]:
            segment = spool.segment_of(session.held)
            if segment is None or session.held not in (segment.serials or ()):
                found.add(session.session_id)
                continue
            held = segment.entry(segment.records.read_bytes(), segment.at_after(session.held - 1))
            assert held is not None
            if Group(held.body).first(_D["Accounting-Record-Number"]) + 1 < session.number:
                # Later records of it have never been on the disk.
                found.add(session.session_id)
        return found

    def kill(self) -> None:
        """The process dies, its sessions with it, and another one starts."""
        self.durable |= self.on_disk()
        self.excused |= self.in_memory_only()
        self.disk(False)
        self.rig.restart()
        self.open.clear()

    def finish(self) -> None:
        """Everything works again, and everybody leaves."""
        rig = self.rig
        self.disk(False)
        rig.server.results = []
        rig.node.become("up")
        rig.run(0.5)
        for number in self.open:
            session = rig.driver.core.sessions.get(number)
            if session is not None:
                rig.account(aaa.STOP, number, cause=1, mn_id=session.subject.mn_id)
        for _ in range(40):
            rig.wait(20)
            if not sum(rig.driver.store.waiting()) and not rig.driver.store.delivery.memory:
                break


class HistoryTests(SynchronousTestCase):
    @settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def test_every_session_is_told_once_and_in_order(self, data: st.DataObject) -> None:
        """START, INTERIM with rising numbers, STOP: each once, in this order, whatever has happened."""
        history = History(Path(self.mktemp()), data)
        try:
            for _ in range(data.draw(st.integers(3, 30))):
                history.step()
            history.finish()
            self.check(history)
        finally:
            history.disk(False)
            history.rig.kill()

    def check(self, history: History) -> None:
        rig = history.rig
        self.assertEqual(sum(rig.driver.store.waiting()), 0)
        found: dict[tuple[str, int], list[tuple[int, int]]] = defaultdict(list)
        for record in rig.server.records:
            key = record.first(_D["Session-Id"]), record.first(_D["Accounting-Sub-Session-Id"])
            number, kind = (
                record.first(_D["Accounting-Record-Number"]),
                record.first(_D["Accounting-Record-Type"]),
            )
            found[key].append((number, kind))
        for key, records in found.items():
            if key[0] in history.excused:
                continue
            self.assertEqual(records, sorted(records), key)
            kinds = [kind for _, kind in records]
            self.assertEqual((kinds[0], kinds[-1]), (START, STOP), f"{key} {records}")
            self.assertEqual((kinds.count(START), kinds.count(STOP)), (1, 1), f"{key} {records}")
        self.assertLessEqual(history.durable - history.excused, {name for name, _ in found})
        statistics = rig.driver.statistics()
        self.assertEqual((statistics.waiting, statistics.in_memory_only, statistics.under_way), (0, 0, 0))
        rig.stop()
        left = {path.suffix for path in rig.folder.iterdir()} - {""}
        self.assertEqual(left, set(), list(rig.folder.iterdir()))
