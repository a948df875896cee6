"""The spool: what was taken is there again, in its order, whatever happened to process and files."""

import os
from pathlib import Path
from typing import Any
from unittest import mock

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.errors import ResourceError
from appliance.protocols.diameter.client import spool_segment
from appliance.protocols.diameter.client.spool import Spool
from appliance.protocols.diameter.client.spool_format import (
    DELIVERED,
    EVENT,
    FINISHED,
    HOLDS,
    START,
    STOP,
    Entry,
    pack,
    pack_marks,
    route,
    route_parts,
    scan,
    unpack,
    unpack_marks,
)
from appliance.protocols.diameter.message.dictionary import standard

SESSION_ID = standard()["Session-Id"]
HOME = route(3, "home.example", "")
AWAY = route(3, "away.example", "aaa9.away.example")
SLOW = settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=60)


def entry(serial: int, kind: int = EVENT, session: str = "s", where: bytes = HOME, **more: Any) -> Entry:
    """A record with some octets in it."""
    body = SESSION_ID.encode(session) + bytes((serial * 7 + n) & 255 for n in range(serial % 64 * 4))
    return Entry(kind, 1_795_417_200.0 + serial, serial, where, body, serial=serial, **more)


class Case(SynchronousTestCase):
    """Makes spools in a directory of its own."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.spools: list[Spool] = []
        self.addCleanup(self.close)

    def close(self) -> None:
        for spool in self.spools:
            spool.close()

    def open(self, folder: Path | None = None, limit: int = 1 << 30, size: int = 2_000) -> Spool:
        """A spool with small segments, as a new process would find it."""
        spool = Spool(folder or self.folder, limit, size)
        spool.open()
        self.spools.append(spool)
        return spool

    def crash(self, spool: Spool) -> None:
        """Drop everything that only the process has."""
        for descriptor in (spool._output, spool._lock):
            if descriptor >= 0:
                os.close(descriptor)
        spool._output = spool._lock = -1
        spool._current = None
        spool.segments.clear()
        self.spools.remove(spool)


def everything(spool: Spool, **how: Any) -> list[int]:
    """Serials of all records that wait, read a few at a time."""
    while spool.count():
        pass
    found: list[int] = []
    after = 0
    while after < spool.last:
        got = spool.read(after, spool.last, 7, **how)
        assert got.upto > after or not got.entries
        found += [each.serial for each in got.entries]
        after = max(got.upto, after)
    return found


class FormatTests(SynchronousTestCase):
    def test_an_entry_comes_back_as_it_was(self) -> None:
        """All fields of an entry survive."""
        made = entry(70, STOP, "a;1;2", AWAY, call_id=1 << 60, flags=HOLDS)
        found = unpack(b"x" + pack(made), 1)
        for name in ("kind", "made", "end_to_end", "route", "body", "call_id", "flags", "serial"):
            self.assertEqual(getattr(found, name), getattr(made, name), name)
        self.assertEqual(found.key, b"a;1;2")

    def test_a_route_comes_back(self) -> None:
        """Application, realm and host of a route."""
        self.assertEqual(route_parts(AWAY), (3, "away.example", "aaa9.away.example"))
        self.assertEqual(route_parts(HOME), (3, "home.example", ""))

    def test_too_long(self) -> None:
        """A record that no message could carry is refused."""
        made = entry(1)
        made.body = bytes(1 << 20)
        self.assertRaisesRegex(ValueError, "at most 1048576", pack, made)

    @SLOW
    @given(st.data())
    def test_every_entry_that_is_whole_is_found(self, data: st.DataObject) -> None:
        """Damage takes only the entries that it touches, wherever it is."""
        parts = [pack(entry(n)) for n in range(1, data.draw(st.integers(1, 12)) + 1)]
        octets = bytearray(b"".join(parts))
        at = data.draw(st.integers(0, len(octets) - 1))
        length = data.draw(st.integers(1, 300))
        for place in range(at, min(len(octets), at + length)):
            octets[place] ^= data.draw(st.integers(1, 255)) if place == at else 0x5A
        found = {unpack(bytes(octets), place).serial for place, _ in scan(bytes(octets))}
        place, whole = 0, set()
        for number, part in enumerate(parts, 1):
            if place + len(part) <= at or place >= at + length:
                whole.add(number)
            place += len(part)
        self.assertEqual(found, whole)

    def test_marks_that_are_damaged_are_no_marks(self) -> None:
        """A batch with a wrong octet is passed over; the others count."""
        octets = bytearray(pack_marks([5, 9]) + pack_marks([13]) + pack_marks([17]))
        octets[len(pack_marks([5, 9])) + 14] ^= 1
        self.assertEqual(list(unpack_marks(bytes(octets))), [5, 9, 17])
        self.assertEqual(list(unpack_marks(bytes(octets[:-3]))), [5, 9])


class SpoolTests(Case):
    def test_what_waits_is_there_after_a_crash(self) -> None:
        """Records without an answer are found again in their order, with kinds counted."""
        spool = self.open()
        spool.append([entry(n, (START, STOP)[n & 1]) for n in range(1, 41)])
        spool.append([entry(41)])
        spool.mark([n << 2 | FINISHED for n in (1, 2, 3, 17)])
        self.crash(spool)
        again = self.open()
        self.assertEqual(again.boundary, 42)
        left = [n for n in range(1, 42) if n not in (1, 2, 3, 17)]
        self.assertEqual(everything(again), left)
        self.assertEqual(again.totals.records, len(left))
        self.assertEqual(again.totals.kinds, [0, 1, 19, 0, 17])
        self.assertEqual(again.reports, [])

    def test_finished_segments_go(self) -> None:
        """When all is delivered nothing but the clock file and the current segment is left."""
        spool = self.open()
        for n in range(1, 61):
            spool.append([entry(n)])
        self.assertGreater(len(spool.segments), 3)
        spool.mark([n << 2 | FINISHED for n in range(1, 61)])
        self.assertLessEqual(len(list(self.folder.iterdir())), 2)
        spool.close()
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_one_process_at_a_time(self) -> None:
        """Another process that wants the same directory is told so."""
        self.open()
        other = Spool(self.folder, 1 << 30)
        self.assertRaisesRegex(ResourceError, "another process uses it", other.open)

    def test_a_directory_that_cannot_be(self) -> None:
        """A path below a file: one line that says so."""
        self.folder.write_text("")
        spool = Spool(self.folder / "below", 1 << 30)
        self.assertRaisesRegex(ResourceError, "below: Not a directory", spool.open)

    def test_routes_can_be_read_alone_and_left_out(self) -> None:
        """Records of one route only, or of all but some; segments without any are not even loaded."""
        spool = self.open()
        for n in range(1, 61):
            spool.append([entry(n, where=AWAY if n > 40 else HOME)])
        self.assertEqual(everything(spool, only=AWAY), list(range(41, 61)))
        self.assertEqual(everything(spool, skip=frozenset({HOME})), list(range(41, 61)))
        self.assertEqual(everything(spool, skip=frozenset({HOME, AWAY})), [])

    def test_a_torn_end_is_cut(self) -> None:
        """Half a record at the end, or octets that were never written: gone, and said."""
        for rest in (pack(entry(9))[:-1], bytes(100), b"\xac", pack(entry(9))[:50]):
            folder = Path(self.mktemp())
            spool = self.open(folder)
            spool.append([entry(n) for n in range(1, 4)])
            path = spool.segments[-1].records
            self.crash(spool)
            with path.open("ab") as file:
                file.write(rest)
            again = self.open(folder)
            self.assertEqual(everything(again), [1, 2, 3])
            self.assertIn("cut off", again.reports[0])
            again.append([entry(4)])
            self.crash(again)
            last = self.open(folder)
            self.assertEqual(everything(last), [1, 2, 3, 4])
            self.assertEqual(last.reports, [])

    def test_a_file_with_nothing_good_goes(self) -> None:
        """A first record that was torn leaves no file behind, and serials do not go back."""
        spool = self.open()
        spool.append([entry(1)])
        self.crash(spool)
        (self.folder / f"{2:016x}.records").write_bytes(b"torn")
        again = self.open()
        self.assertEqual((everything(again), again.last), ([1], 1))

    def test_a_corrupt_segment_is_set_aside(self) -> None:
        """The damaged file is kept under another name, its good records are delivered, and it is reported."""
        spool = self.open()
        for n in range(1, 41):
            spool.append([entry(n)])
        path = spool.segments[0].records
        first = len(spool.segments[0].serials or ())
        self.crash(spool)
        octets = bytearray(path.read_bytes())
        octets[60] ^= 0xFF
        path.write_bytes(octets)
        again = self.open()
        self.assertEqual(everything(again), list(range(2, 41)))
        aside = path.with_suffix(".corrupt")
        self.assertEqual(aside.read_bytes(), bytes(octets))
        self.assertIn(f"is set aside as {aside.name}, {first - 1} records of it are kept", again.reports[0])
        self.crash(again)
        self.assertEqual(self.open().reports, [])

    def test_names_of_segments_set_aside_do_not_collide(self) -> None:
        """A second damage of a segment of the same name does not replace what was set aside before."""
        for _ in range(2):
            spool = self.open()
            spool.append([entry(spool.last + n) for n in range(1, 5)])
            self.crash(spool)
            path = min(self.folder.glob("*.records"))
            octets = bytearray(path.read_bytes())
            octets[50] ^= 1
            path.write_bytes(octets)
            self.crash_after_count()
        names = sorted(each.name for each in self.folder.glob("*.corrupt*"))
        self.assertEqual(len(names), 2, names)

    def crash_after_count(self) -> None:
        spool = self.open()
        everything(spool)
        self.crash(spool)

    def test_octets_that_rot_while_it_runs(self) -> None:
        """Damage that comes after the index was built is found when the record is read."""
        spool = self.open(size=1 << 20)
        spool.append([entry(n) for n in range(1, 21)])
        path = spool.segments[0].records
        octets = bytearray(path.read_bytes())
        octets[-1] ^= 1
        path.write_bytes(octets)
        self.assertEqual(everything(spool), list(range(1, 20)))
        self.assertIn("set aside", spool.reports[0])
        spool.append([entry(21)])
        self.assertEqual(everything(spool)[-1], 21)

    def test_the_limit(self) -> None:
        """START and EVENT are refused before STOP is: sessions that were granted end."""
        spool = self.open(limit=20_000)
        refused: dict[int, int] = {}
        serial = 0
        for kind in (EVENT, START, STOP):
            while not (left := spool.append([entry((serial := serial + 1), kind)])):
                pass
            self.assertEqual([each.serial for each in left], [serial])
            refused[kind] = spool.totals.octets
        self.assertLess(refused[EVENT], 10_001)
        self.assertLess(refused[START], 18_751)
        self.assertGreater(refused[STOP], 19_000)
        self.assertLess(refused[STOP], 20_001)
        spool.mark([n << 2 | FINISHED for n in range(1, 30)])
        self.assertEqual(spool.append([entry(serial + 1, START)]), [])

    def test_a_disk_that_refuses(self) -> None:
        """Nothing of a batch that could not be written stays, and the next one is stored."""
        spool = self.open(size=1 << 20)
        spool.append([entry(1), entry(2)])
        real = os.fdatasync
        for broken in ("os.fdatasync", "write"):
            target = broken if "." in broken else "appliance.protocols.diameter.client.spool.write_all"
            with mock.patch(target, side_effect=OSError(28, "No space left on device")):
                self.assertRaises(OSError, spool.append, [entry(spool.last + 1)])
        self.assertIs(os.fdatasync, real)
        spool.append([entry(3)])
        self.assertEqual(everything(spool), [1, 2, 3])
        self.crash(spool)
        again = self.open()
        self.assertEqual((everything(again), again.reports), ([1, 2, 3], []))

    def test_marks_that_cannot_be_written_are_kept(self) -> None:
        """They hold while the process lives, and are written the next time."""
        spool = self.open(size=1 << 20)
        spool.append([entry(n) for n in range(1, 6)])
        with mock.patch.object(spool_segment.os, "open", side_effect=OSError(28, "No space left on device")):
            spool.mark([1 << 2 | FINISHED])
        self.assertIn("kept in memory: No space left on device", spool.reports[0])
        self.assertEqual(everything(spool), [2, 3, 4, 5])
        spool.mark([2 << 2 | FINISHED])
        self.crash(spool)
        self.assertEqual(everything(self.open()), [3, 4, 5])

    def test_an_index_can_be_dropped(self) -> None:
        """With few indexes in memory everything is still found, marked and deleted."""
        spool = self.open()
        with mock.patch("appliance.protocols.diameter.client.spool.MOST_INDEXED", 10):
            for n in range(1, 101):
                spool.append([entry(n)])
            self.assertEqual(everything(spool), list(range(1, 101)))
            self.assertLess(sum(segment.loaded for segment in spool.segments), 6)
            for n in range(1, 101, 2):
                spool.mark([n << 2 | FINISHED])
            self.assertEqual(everything(spool), list(range(2, 101, 2)))
            self.assertEqual(spool.totals.records, 50)

    def test_the_oldest(self) -> None:
        """When the record was made that waits longest."""
        spool = self.open()
        self.assertEqual(spool.oldest(), 0.0)
        spool.append([entry(1), entry(2)])
        self.assertEqual(spool.oldest(), 1_795_417_201.0)
        spool.mark([1 << 2 | DELIVERED])
        self.assertEqual(spool.oldest(), 1_795_417_202.0)
