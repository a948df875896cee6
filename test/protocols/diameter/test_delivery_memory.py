"""Delivery: what only memory has, how much memory it takes, and any history."""

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.diameter import delivery as module
from appliance.protocols.diameter import unstored
from appliance.protocols.diameter.delivery import (
    ACKNOWLEDGED,
    BUSY,
    LOST,
    NO_ROOM,
    REFUSED,
    SILENT,
    UNSENT,
)
from test.protocols.diameter.delivery_fakes import AWAY, HOME, Disk


class MemoryTests(SynchronousTestCase):
    def test_what_the_disk_refuses(self) -> None:
        """It is sent from memory; without a server its session hears that there is no room."""
        disk = Disk()
        entry = disk.make("a")
        disk.delivery.refused([entry])
        self.assertEqual(disk.pump(), [1])
        disk.answer(ACKNOWLEDGED, 1)
        self.assertEqual(disk.delivery.marks, [])
        self.assertEqual(disk.delivery.unstored.entries, {})
        disk.up = set()
        disk.delivery.refused([disk.make("b")])
        disk.pump()
        self.assertEqual(disk.outcomes(), [(1, ACKNOWLEDGED), (2, NO_ROOM)])
        disk.up = {HOME}
        disk.delivery.wake(0.0)
        self.assertEqual(disk.pump(), [2])

    def test_memory_has_an_end(self) -> None:
        """Beyond it records are lost, and their sessions hear so."""
        disk = Disk()
        disk.up = set()
        lost = disk.delivery.refused([disk.make(f"s{n}") for n in range(unstored.MOST + 3)])
        self.assertEqual(len(lost), 3)
        self.assertEqual([what for _, what in disk.outcomes()].count(LOST), 3)

    def test_rescue(self) -> None:
        """When the disk takes records again those of memory go to it, whole sessions, in their order."""
        disk = Disk()
        disk.up = set()
        entries = [disk.make(name) for name in ("a", "b", "a", "c")]
        disk.delivery.refused(entries)
        disk.pump()
        self.assertTrue(disk.delivery.unstored.has(b"a"))
        saved = disk.delivery.rescue(2)
        self.assertEqual([each.key for each in saved], [b"a", b"b", b"a"])
        self.assertFalse(disk.delivery.unstored.has(b"a"))
        self.assertTrue(disk.delivery.unstored.has(b"c"))
        self.assertEqual(sorted(disk.delivery.unstored.entries), [4])
        for each in saved:
            disk.serial += 1
            each.serial = disk.serial
        disk.store(*saved)
        disk.up = {HOME}
        disk.delivery.wake(0.0)
        for _ in range(8):
            disk.answer(ACKNOWLEDGED, *disk.pump())
            disk.read()
        self.assertEqual(disk.delivery.unstored.entries, {})
        self.assertEqual([serial for serial, _ in disk.sent], [4, 5, 6, 7])

    def test_what_is_under_way_is_not_rescued(self) -> None:
        """Nor is what waits behind it."""
        disk = Disk()
        disk.delivery.refused([disk.make("a"), disk.make("a"), disk.make("b")])
        self.assertEqual(disk.pump(), [1])
        self.assertEqual([each.key for each in disk.delivery.rescue(9)], [b"b"])
        disk.answer(ACKNOWLEDGED, 1)
        self.assertEqual(disk.pump(), [2])

    def test_memory_does_not_grow_with_the_backlog(self) -> None:
        """Of many records that wait a bounded number is in memory, also when new ones come."""
        disk = Disk(boundary=20_001)
        disk.left(20_000)
        most = 0
        done = 0
        for turn in range(12_000):
            if turn < 500:
                disk.store(disk.make(f"new{turn}"))
            disk.read()
            sent = disk.pump()
            disk.answer(ACKNOWLEDGED, *sent)
            done += len(sent)
            most = max(most, len(disk.delivery.memory))
            if done == 20_500:
                break
        self.assertEqual(done, 20_500)
        self.assertLess(most, module.BUFFER + 600)
        self.assertEqual([serial for serial, _ in disk.sent], list(range(1, 20_501)))


class RandomTests(SynchronousTestCase):
    @settings(deadline=None, max_examples=80, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def test_any_history(self, data: st.DataObject) -> None:
        """However tries end and routes fail: order in each session, one at a time, everything in the end."""
        left = data.draw(st.integers(0, 30))
        disk = Disk(
            boundary=left + 1, retries=data.draw(st.integers(0, 2)), window=data.draw(st.integers(1, 6))
        )
        disk.left(left)
        ended: dict[bytes, list[int]] = {}
        keys: dict[int, bytes] = {}
        silent: dict[int, bool] = {}
        dropped: set[int] = set()

        def send() -> None:
            for serial in disk.pump(data.draw(st.integers(1, 6))):
                entry = disk.delivery.flying[serial]
                keys[serial] = entry.key
                flags = [repeated for each, repeated in disk.sent if each == serial]
                self.assertEqual(flags[-1], silent.get(serial, serial < disk.boundary))
            flying = [entry.key for entry in disk.delivery.flying.values()]
            self.assertEqual(len(flying), len(set(flying)))

        def end(how: str, serial: int) -> None:
            if how in (ACKNOWLEDGED, REFUSED):
                ended.setdefault(keys[serial], []).append(serial)
            elif how != UNSENT:
                silent[serial] = how == SILENT
            disk.answer(how, serial)

        for _ in range(data.draw(st.integers(5, 60))):
            what = data.draw(
                st.sampled_from(["store", "send", "send", "end", "end", "read", "route", "time", "drop"])
            )
            if what == "store":
                names = data.draw(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=5))
                disk.store(*(disk.make(name, AWAY if name > "d" else HOME) for name in names))
            elif what == "send":
                send()
            elif what == "end" and disk.delivery.flying:
                how = data.draw(st.sampled_from([ACKNOWLEDGED, ACKNOWLEDGED, REFUSED, BUSY, SILENT, UNSENT]))
                end(how, data.draw(st.sampled_from(sorted(disk.delivery.flying))))
            elif what == "read":
                disk.read()
            elif what == "route":
                disk.up = set(data.draw(st.lists(st.sampled_from([HOME, AWAY]), max_size=2)))
                disk.delivery.wake(disk.now)
            elif what == "time":
                disk.now += data.draw(st.floats(0.1, 40))
            elif what == "drop" and disk.records:
                serial = data.draw(st.sampled_from(sorted(disk.records)))
                if disk.delivery.withdraw(serial):
                    dropped.add(serial)
                    del disk.records[serial]
        disk.up = {HOME, AWAY}
        disk.delivery.wake(disk.now)
        for _ in range(400):
            send()
            for serial in list(disk.delivery.flying):
                end(ACKNOWLEDGED, serial)
            disk.read()
            disk.now += 5
            if not disk.records and not disk.delivery.memory:
                break
        self.assertEqual((disk.records, disk.delivery.memory), ({}, {}))
        for serials in ended.values():
            self.assertEqual(serials, sorted(set(serials)))
        done = {serial for serials in ended.values() for serial in serials}
        self.assertEqual(done | dropped, set(range(1, disk.serial + 1)))
        leftovers: Any = (disk.delivery._behind, disk.delivery.unstored.entries, disk.delivery.unstored._keys)
        self.assertEqual(leftovers, ({}, {}, {}))
