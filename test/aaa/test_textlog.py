"""The daily text log: its lines, its files, and how it catches up with the database."""

import os
import time
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from appliance.aaa.records import DAY, Record, StoreError
from appliance.aaa.sqlite import SqliteDatabase
from appliance.aaa.textlog import TextLog, milliseconds, stamp
from test.aaa.fakes import avp
from test.aaa.store_cases import SECOND, T0, record
from test.aaa.vectors import message

DAY1 = "diameter_accounting_2026-11-23.log"
DAY2 = "diameter_accounting_2026-11-24.log"


class TextLogTests(SynchronousTestCase):
    """A log beside a database."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.database = SqliteDatabase(str(self.directory / "aaa.db"))
        self.database.open()
        self.addCleanup(self.database.close)
        self.wall = T0 / SECOND
        self.number = 0

    def log(self, **more: Any) -> TextLog:
        log = TextLog(str(self.directory / "log"), clock=lambda: self.wall, **more)
        self.addCleanup(log.close)
        return log

    def ready(self, **more: Any) -> TextLog:
        log = self.log(**more)
        while not log.catch_up(self.database):
            pass
        return log

    def record(self, at: float = 0.0) -> Record:
        self.number += 1
        raw = avp("Session-Id", f"s;{self.number}")
        return record(f"s;{self.number}", at=at, raw=raw, end_to_end=self.number)

    def store(self, *records: Record) -> list[Record]:
        return self.database.write(records, DAY)

    def lines(self, name: str = DAY1) -> list[str]:
        return (self.directory / "log" / name).read_text().splitlines()

    def sessions(self, name: str = DAY1) -> list[str]:
        return [line.rpartition(";")[2].rstrip('"') for line in self.lines(name)]

    def test_a_line(self) -> None:
        """The layout: time, End-to-End Id, attributes in their order, tabs between them."""
        acr = message("ACR_STOP")
        log = self.ready()
        log.write([record(end_to_end=0xA0000012, raw=acr.body, at=600.1234)])
        (line,) = self.lines()
        fields = line.split("\t")
        self.assertEqual(fields[:2], ["2026-11-23T07:10:00.123Z", "0xa0000012"])
        self.assertEqual(fields[2], 'Session-Id = "lma1.home.example;3973075200;1"')
        self.assertIn("Accounting-Record-Type = STOP_RECORD", fields)
        self.assertIn("Accounting-Input-Octets = 5368709120", fields)
        self.assertIn("Event-Timestamp = 2026-11-23T07:10:00Z", fields)
        self.assertEqual(fields[-1], "Termination-Cause = DIAMETER_LOGOUT")
        self.assertEqual(len(fields), 2 + len(acr.avps))

    def test_names_of_the_drafts(self) -> None:
        """Whoever comes from the old server finds its names."""
        self.ready(names="seed").write([record(raw=message("ACR_STOP").body)])
        (line,) = self.lines()
        self.assertIn("\tAccounting-Input-Extended-Octets = 5368709120\t", line)
        self.assertIn("\tSession-ID = ", line)

    def test_nothing_breaks_a_line(self) -> None:
        """Ends of lines in values, and octets that are no AVPs."""
        log = self.ready()
        log.write([record(raw=avp("User-Name", "a\nb\tc")), record(raw=b"\0\0\1")])
        one, other = self.lines()
        self.assertEqual(one.split("\t")[2:], ['User-Name = "a\\nb\\tc"'])
        self.assertEqual(other.split("\t")[2:], ["raw 0x000001"])

    def test_days(self) -> None:
        """Each record is in the file of its day; the new day's file is there at midnight."""
        log = self.ready()
        late = 17 * 3_600
        log.write([self.record(), self.record(late), self.record(1)])
        self.assertEqual(self.sessions(), ["1", "3"])
        self.assertEqual(self.sessions(DAY2), ["2"])
        (self.directory / "log" / DAY2).unlink()
        log.write([self.record()])
        log.idle(self.wall + late)
        self.assertEqual(self.lines(DAY2), [])

    def test_local_time(self) -> None:
        """Days and times of the host's time zone, with its offset."""
        self.addCleanup(time.tzset)
        self.addCleanup(os.environ.pop, "TZ", None)
        os.environ["TZ"] = "XXX-18"
        time.tzset()
        self.assertEqual(stamp(T0, True), "2026-11-24T01:00:00.000+18:00")
        self.assertEqual(milliseconds(stamp(T0 + 1_999, True)), T0 // 1_000 + 1)
        self.ready(local=True).write([self.record()])
        self.assertEqual(self.sessions(DAY2), ["1"])

    def test_old_files(self) -> None:
        """Files older than the days to keep go; other files are left alone."""
        log = self.ready(keep=2)
        folder = self.directory / "log"
        names = [f"diameter_accounting_2026-11-{day:02}.log" for day in range(19, 24)]
        for name in [*names, "diameter_accounting_notes.log", "other.log"]:
            (folder / name).touch()
        log.idle(self.wall)
        left = sorted(path.name for path in folder.iterdir())
        self.assertEqual(left, [*names[2:], "diameter_accounting_notes.log", "other.log"])

    def test_catching_up(self) -> None:
        """What was stored and not written before a death is written at the next start, once."""
        log = self.ready()
        log.write(self.store(self.record(1), self.record(2)))
        self.store(self.record(3), self.record(4))
        log.close()
        log = self.ready()
        self.assertEqual(self.sessions(), ["1", "2", "3", "4"])
        log.write(self.store(self.record(5)))
        self.ready()
        self.assertEqual(self.sessions(), ["1", "2", "3", "4", "5"])

    def test_first_start(self) -> None:
        """A new log does not begin with all the past; one that was begun and left empty misses nothing."""
        self.store(self.record(-100))
        self.ready().close()
        os.utime(self.directory / "log" / DAY1, (self.wall, self.wall))
        self.store(self.record(1))
        self.ready()
        self.assertEqual(self.sessions(), ["2"])

    def test_line_cut_off(self) -> None:
        """Half a line goes, and its record is written again."""
        log = self.ready()
        log.write(self.store(self.record(1), self.record(2)))
        log.close()
        path = self.directory / "log" / DAY1
        path.write_text(path.read_text()[:-10])
        self.ready()
        self.assertEqual(self.sessions(), ["1", "2"])

    def test_late_records(self) -> None:
        """One that was written to an earlier day's file last is known to be there."""
        log = self.ready()
        log.write(self.store(self.record(17 * 3_600)))
        log.write(self.store(self.record(1)))
        log.close()
        self.ready()
        self.assertEqual((self.sessions(), self.sessions(DAY2)), (["2"], ["1"]))

    def test_same_millisecond(self) -> None:
        """The End-to-End Id tells records of one moment apart."""
        log = self.ready()
        rows = self.store(*(self.record(1) for _ in range(5)))
        log.write(rows[:3])
        log.close()
        self.ready()
        self.assertEqual(self.sessions(), ["1", "2", "3", "4", "5"])

    def test_another_database(self) -> None:
        """A log of other records: what is new is written, the past is not."""
        log = self.ready()
        log.write([self.record(5)])
        log.close()
        self.store(self.record(1), self.record(2))
        log = self.ready()
        log.write(self.store(self.record(9)))
        self.assertEqual(self.sessions(), ["1", "4"])

    def test_full_disk(self) -> None:
        """Nothing of a line stays that could not be written whole; later it is there."""
        log = self.ready()
        log.write(self.store(self.record(1)))
        real = os.write

        def short(file: int, data: Any) -> int:
            if len(data) > 10:
                return real(file, bytes(data)[:10])
            raise OSError(28, "No space left on device")

        rows = self.store(self.record(2))
        self.patch(os, "write", short)
        with self.assertRaisesRegex(StoreError, "No space left"):
            log.write(rows)
        self.patch(os, "write", real)
        self.assertEqual(self.sessions(), ["1"])
        while not log.catch_up(self.database):
            pass
        self.assertEqual(self.sessions(), ["1", "2"])

    def test_directory_that_cannot_be_made(self) -> None:
        """The error names it."""
        (self.directory / "log").touch()
        with self.assertRaisesRegex(StoreError, "text log .*/log"):
            self.log().catch_up(self.database)
