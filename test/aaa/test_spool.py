"""Files of records that wait: what is written is read, whatever happens to the files."""

from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.aaa import spool as spooling
from appliance.aaa.accounting import parse
from appliance.aaa.records import StoreError
from appliance.aaa.spool import Spool, entry
from test.aaa.test_writer import whole


def read_all(spool: Spool) -> tuple[list[str], int]:
    """Sessions of everything that waits, in order, and how many octets were damaged."""
    sessions, damaged = [], 0
    while spool:
        segment = spool.oldest()
        sessions += [each.session for each in segment.records]
        damaged += segment.damaged
        spool.remove(segment)
    return sessions, damaged


class SpoolTests(SynchronousTestCase):
    """One directory."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp())

    def spool(self, limit: int = 1 << 20) -> Spool:
        spool = Spool(str(self.directory), limit, parse)
        spool.open()
        return spool

    def test_order(self) -> None:
        """Records come back as they were, in their order, over many files and processes."""
        self.patch(spooling, "SEGMENT", 500)
        wanted = []
        for process in range(3):
            spool = self.spool()
            for number in range(10):
                spool.append([whole(f"{process};{number}"), whole(f"{process};{number}x", 1, 4)])
                wanted += [f"{process};{number}", f"{process};{number}x"]
            spool.close()
        spool = self.spool()
        self.assertGreater(len(list(self.directory.iterdir())), 3)
        first = spool.oldest().records[0]
        self.assertEqual(first, whole("0;0"))
        self.assertEqual(read_all(spool), (wanted, 0))
        self.assertEqual((list(self.directory.iterdir()), spool.size), ([], 0))

    def test_a_disk_that_stays_full(self) -> None:
        """However often it is tried, no empty files pile up."""
        spool = self.spool()

        def full(*_: Any) -> int:
            raise OSError(28, "No space left on device")

        write = spooling.os.write
        self.patch(spooling.os, "write", full)
        for _ in range(5):
            self.assertRaises(StoreError, spool.append, [whole("a")])
        self.assertEqual((list(self.directory.iterdir()), bool(spool)), ([], False))
        self.patch(spooling.os, "write", write)
        spool.append([whole("b")])
        self.assertEqual(read_all(spool), (["b"], 0))

    def test_writing_while_it_is_read(self) -> None:
        """The file that is read is not written to any more."""
        spool = self.spool()
        spool.append([whole("a")])
        segment = spool.oldest()
        spool.append([whole("b")])
        spool.remove(segment)
        self.assertEqual(read_all(spool), (["b"], 0))

    def test_limit(self) -> None:
        """The limit holds over all files, and what goes makes room."""
        size = len(entry(whole("a")))
        spool = self.spool(2 * size)
        spool.append([whole("a"), whole("b")])
        with self.assertRaisesRegex(StoreError, "limit"):
            spool.append([whole("c")])
        read_all(spool)
        spool.append([whole("c")])
        self.assertEqual(read_all(self.spool()), (["c"], 0))

    def test_torn_end(self) -> None:
        """What was being written when the process died goes without a word; so does room never written."""
        for rest in (entry(whole("c"))[:-1], entry(whole("c"))[:5], b"\0" * 50, b"\xac"):
            spool = self.spool()
            spool.append([whole("a"), whole("b")])
            spool.close()
            (path,) = self.directory.iterdir()
            path.write_bytes(path.read_bytes() + rest)
            spool = self.spool()
            segment = spool.oldest()
            self.assertEqual([each.session for each in segment.records], ["a", "b"])
            self.assertTrue(segment.torn, rest)
            spool.remove(segment)
            self.assertEqual(list(self.directory.iterdir()), [])

    def test_set_aside(self) -> None:
        """Other damage keeps the file for whoever wants to look at it, and is not read again."""
        spool = self.spool()
        spool.append([whole("a"), whole("b"), whole("c")])
        spool.close()
        (path,) = self.directory.iterdir()
        data = path.read_bytes()
        path.write_bytes(data.replace(b"b", b"x"))
        spool = self.spool()
        sessions, damaged = read_all(spool)
        self.assertEqual(sessions, ["a", "c"])
        self.assertGreater(damaged, 0)
        self.assertEqual([each.name for each in self.directory.iterdir()], ["spool-000001.damaged"])
        self.assertFalse(self.spool())

    def test_disk_that_fills_up(self) -> None:
        """A failed write leaves nothing behind, and the next one goes on."""
        spool = self.spool()
        spool.append([whole("a")])
        real = spooling.os.write

        def short(file: int, data: Any) -> int:
            if len(data) > 20:
                return real(file, bytes(data)[:20])
            raise OSError(28, "No space left on device")

        self.patch(spooling.os, "write", short)
        with self.assertRaisesRegex(StoreError, "No space left"):
            spool.append([whole("b")])
        self.patch(spooling.os, "write", real)
        spool.append([whole("c")])
        self.assertEqual(read_all(self.spool()), (["a", "c"], 0))

    @settings(max_examples=150, deadline=None)
    @given(st.lists(st.integers(0, 1_000_000)), st.binary(max_size=3), st.data())
    def test_any_damage(self, places: list[int], garbage: bytes, data: st.DataObject) -> None:
        """Whatever octets are changed, cut out or put in: what is read is what was written, in order."""
        names = [f"s;{number}" for number in range(6)]
        octets = bytearray(b"".join(entry(whole(name)) for name in names))
        for place in places[:5]:
            octets[place % len(octets)] ^= data.draw(st.integers(1, 255))
        cut = data.draw(st.integers(0, len(octets)))
        octets[cut : cut + data.draw(st.integers(0, 40))] = garbage
        directory = Path(self.mktemp())
        directory.mkdir()
        (directory / "spool-000001.seg").write_bytes(bytes(octets))
        spool = Spool(str(directory), 1 << 20, parse)
        spool.open()
        found, _ = read_all(spool)
        self.assertEqual(found, [name for name in names if name in found])
        touched = len(places[:5]) + 1
        self.assertGreaterEqual(len(found), len(names) - touched - 1)
