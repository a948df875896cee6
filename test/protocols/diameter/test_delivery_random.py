"""Delivery of records through any history."""

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.diameter.client.delivery import (
    ACKNOWLEDGED,
    BUSY,
    REFUSED,
    SILENT,
    UNSENT,
)
from test.protocols.diameter.test_delivery import AWAY, HOME, Disk


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
