"""The spool over time: sessions of dead processes, tidying, any history and any damage."""

import os
import random
from pathlib import Path
from typing import Any
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st

from appliance.protocols.diameter.client.spool import Spool
from appliance.protocols.diameter.client.spool_format import (
    DELIVERED,
    EVENT,
    FINISHED,
    HOLDS,
    INTERIM,
    RELEASED,
    START,
    STOP,
    pack,
)
from test.protocols.diameter.test_spool import SLOW, Case, entry, everything


class LeftOpenTests(Case):
    def session(self, spool: Spool, first: int, session: str, call_id: int, kinds: str) -> int:
        """Records of one session: S, I, T; each takes the hold of the one before."""
        held = 0
        for kind in kinds:
            flags = 0 if kind == "T" else HOLDS
            made = entry(first, {"S": START, "I": INTERIM, "T": STOP}[kind], session, call_id=call_id)
            made.flags = flags
            spool.append([made])
            if held:
                spool.mark([held << 2 | RELEASED])
            held = first if flags else 0
            first += 1
        return first

    def left(self, spool: Spool) -> list[tuple[bytes, int]]:
        while spool.count():
            pass
        found: list[tuple[bytes, int]] = []
        while spool.left.serials:
            found += [(each.key, each.serial) for each in spool.left.take(spool, 2)]
        return sorted(found)

    def test_sessions_that_were_open(self) -> None:
        """The latest record of each session without a STOP, also when it was delivered long ago."""
        spool = self.open()
        at = self.session(spool, 1, "gone", 1, "SIT")
        at = self.session(spool, at, "a", 2, "S")
        at = self.session(spool, at, "b", 3, "SII")
        at = self.session(spool, at, "two", 4, "S")
        at = self.session(spool, at, "two", 5, "SI")
        spool.mark([n << 2 | DELIVERED for n in range(1, at)])
        self.crash(spool)
        again = self.open()
        self.assertEqual(everything(again), [])
        self.assertEqual(self.left(again), [(b"a", 4), (b"b", 7), (b"two", 8), (b"two", 10)])

    def test_marks_that_were_lost(self) -> None:
        """Without the marks a newer record or the STOP tells the same."""
        spool = self.open()
        at = self.session(spool, 1, "gone", 1, "SIT")
        self.session(spool, at, "b", 3, "SII")
        self.crash(spool)
        for path in self.folder.glob("*.marks"):
            path.unlink()
        again = self.open()
        self.assertEqual(self.left(again), [(b"b", 6)])
        again.mark([n << 2 | DELIVERED for n in range(1, 6)])
        self.assertEqual(everything(again), [6])
        again.mark([6 << 2 | FINISHED])
        self.assertEqual(len(again.segments), 0)

    def test_when_the_process_last_lived(self) -> None:
        """The time that was noted last is there for the next process."""
        spool = self.open()
        self.assertEqual(spool.alive_until, 0.0)
        spool.alive(1_795_417_200.5)
        spool.alive(1_795_417_205.5)
        self.crash(spool)
        self.assertEqual(self.open().alive_until, 1_795_417_205.5)


class TidyTests(Case):
    def sparse(self) -> Spool:
        """Many segments of which little is left."""
        spool = self.open()
        for n in range(1, 201):
            made = entry(n, START, f"s{n}", call_id=n, flags=HOLDS if n % 20 == 0 else 0)
            spool.append([made])
        spool.mark([n << 2 | DELIVERED for n in range(1, 201) if n % 10])
        return spool

    LEFT = list(range(10, 201, 10))

    def test_what_is_left_is_written_together(self) -> None:
        """Few files, the same records in the same order, also for the next process."""
        spool = self.sparse()
        before = sum(each.stat().st_size for each in self.folder.glob("*.records"))
        while spool.tidy():
            pass
        self.assertLess(len(spool.segments), 9)
        self.assertLess(sum(each.stat().st_size for each in self.folder.glob("*.records")), before / 2)
        self.assertEqual(everything(spool), self.LEFT)
        spool.mark([10 << 2 | DELIVERED, 20 << 2 | DELIVERED])
        self.crash(spool)
        again = self.open()
        self.assertEqual(everything(again), self.LEFT[2:])
        self.assertEqual(sorted(again.left.serials.values()), list(range(20, 201, 20)))
        self.assertEqual(again.reports, [])

    def test_a_crash_at_every_step(self) -> None:
        """Wherever it dies while files are put together: nothing is lost and nothing is there twice."""
        names = ("unlink", "rename", "open")
        for step in range(1, 60):
            self.folder = Path(self.mktemp())
            spool = self.sparse()
            calls = 0

            def dying(real: Any, count: int = step) -> Any:
                def call(*arguments: Any, **keywords: Any) -> Any:
                    nonlocal calls
                    calls += 1
                    if calls >= count:
                        raise KeyboardInterrupt
                    return real(*arguments, **keywords)

                return call

            reals = {"unlink": Path.unlink, "rename": Path.rename, "open": os.open}
            patches = [
                mock.patch.object(os if name == "open" else Path, name, dying(reals[name])) for name in names
            ]
            died = False
            try:
                for each in patches:
                    each.start()
                while spool.tidy():
                    pass
            except KeyboardInterrupt:
                died = True
            finally:
                for each in patches:
                    each.stop()
            self.crash(spool)
            again = self.open()
            self.assertEqual(everything(again), self.LEFT, f"step {step}")
            self.assertEqual(sorted(again.left.serials.values()), list(range(20, 201, 20)))
            self.assertEqual(again.totals.records, len(self.LEFT))
            if not died:
                self.assertGreater(step, 5)
                return
        raise AssertionError("it never came to the end")


class RandomTests(Case):
    @SLOW
    @given(st.data())
    def test_any_history(self, data: st.DataObject) -> None:
        """Appends, marks, tidying, crashes and torn ends in any order: what waits is always what should."""
        folder = Path(self.mktemp())
        size = data.draw(st.sampled_from([1, 600, 3_000]))
        spool = self.open(folder, size=size)
        waiting: dict[int, None] = {}
        serial = 0
        for _ in range(data.draw(st.integers(1, 25))):
            what = data.draw(st.sampled_from(["append", "mark", "tidy", "crash", "torn", "unload", "read"]))
            if what == "append":
                count = data.draw(st.integers(1, 8))
                made = [
                    entry(serial + n, data.draw(st.sampled_from([EVENT, START]))) for n in range(1, count + 1)
                ]
                spool.append(made)
                serial += count
                waiting.update(dict.fromkeys(each.serial for each in made))
            elif what == "mark" and waiting:
                done = data.draw(st.lists(st.sampled_from(list(waiting)), max_size=12))
                spool.mark([each << 2 | FINISHED for each in done])
                for each in done:
                    waiting.pop(each, None)
            elif what == "tidy":
                spool.tidy()
            elif what == "unload":
                for segment in spool.segments:
                    if segment is not spool.current:
                        segment.unload()
            elif what in ("crash", "torn"):
                paths = [segment.records for segment in spool.segments]
                self.crash(spool)
                if what == "torn" and paths and paths[-1].exists():
                    with paths[-1].open("ab") as file:
                        file.write(pack(entry(serial + 1))[: data.draw(st.integers(1, 40))])
                spool = self.open(folder, size=size)
                # With nothing left of the latest ones on the disk, their serials may come again.
                serial = spool.last if not waiting else max(serial, spool.last)
                self.assertGreaterEqual(spool.last, max(waiting, default=0))
            self.assertEqual(everything(spool), list(waiting))
            self.assertEqual(spool.totals.records, len(waiting))
        self.crash(spool)

    @SLOW
    @given(st.data())
    def test_any_damage(self, data: st.DataObject) -> None:
        """Cut or change octets of any file: only records that were touched are missing, in the same order."""
        folder = Path(self.mktemp())
        spool = self.open(folder, size=1_500)
        count = data.draw(st.integers(1, 40))
        for n in range(1, count + 1):
            spool.append([entry(n)])
        done = set(data.draw(st.lists(st.integers(1, count), max_size=20)))
        spool.mark([n << 2 | FINISHED for n in done])
        places = {
            serial: (segment.records.name, segment.offsets[at], segment._length(at))
            for segment in spool.segments
            for at, serial in enumerate(segment.serials or ())
        }
        self.crash(spool)
        files = sorted(path for path in folder.iterdir() if path.stat().st_size)
        touched: set[int] = set()
        if files:
            path = data.draw(st.sampled_from(files))
            octets = bytearray(path.read_bytes())
            at = data.draw(st.integers(0, len(octets) - 1))
            end = min(len(octets), at + data.draw(st.integers(1, 200)))
            if data.draw(st.booleans()):
                del octets[at:]
                end = 1 << 30
            else:
                chance = random.Random(data.draw(st.integers(0, 99)))
                for place in range(at, end):
                    octets[place] ^= chance.randrange(1, 256)
            path.write_bytes(octets)
            touched = {
                serial
                for serial, (name, start, length) in places.items()
                if name == path.name and start < end and start + length > at
            }
        again = self.open(folder, size=1_500)
        found = everything(again)
        self.assertEqual(found, sorted(set(found)))
        missing = set(range(1, count + 1)) - done - set(found)
        self.assertLessEqual(missing, touched)
        self.assertLessEqual(set(found) - (set(range(1, count + 1)) - done), done)
        again.append([entry(again.last + 1)])
        self.assertEqual(everything(again)[-1], again.last)
        self.crash(again)
