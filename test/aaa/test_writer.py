"""The thread that stores records: batches, a database that is down, the spool, old records, the log."""

import queue
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from appliance.aaa import writer as writing
from appliance.aaa.accounting import parse
from appliance.aaa.records import DAY, Record, RecordError, StoreError
from appliance.aaa.spool import Spool, entry
from appliance.aaa.sqlite import SqliteDatabase
from appliance.aaa.writer import FAILED, REFUSED, STORED, RecordWriter
from test.aaa.fakes import avp
from test.aaa.store_cases import T0, record

SECONDS = 10.0


def whole(session: str, number: int = 0, kind: int = 2) -> Record:
    """A record that can be made again from its AVPs."""
    raw = b"".join(
        (
            avp("Session-Id", session),
            avp("Accounting-Record-Type", kind),
            avp("Accounting-Record-Number", number),
        )
    )
    return parse(raw, T0, 5, 3)


class Reactor:
    """What a writer uses of a reactor; calls are carried out by :meth:`until`."""

    def __init__(self) -> None:
        self._calls: queue.Queue[Callable[[], Any]] = queue.Queue()

    def callFromThread(self, function: Callable[..., Any], *arguments: Any) -> None:
        self._calls.put(lambda: function(*arguments))

    def callLater(self, _seconds: float, function: Callable[[], Any]) -> Any:
        calls = self._calls

        class Call:
            active = True

            def cancel(self) -> None:
                self.active = False

            def run(self) -> None:
                if self.active:
                    function()

        call = Call()
        calls.put(call.run)
        return call

    def until(self, done: Callable[[], bool]) -> None:
        """Carry out calls until something is true."""
        while not done():
            self._calls.get(timeout=SECONDS)()


class Fragile:
    """A database in front of a real one, that fails when it is told to."""

    description = "fragile"

    def __init__(self, path: str) -> None:
        self.inner = SqliteDatabase(path)
        self.down = ""
        self.poison = ""
        self.batches: list[int] = []
        self.gate: queue.Queue[None] | None = None

    def _check(self) -> None:
        if self.down:
            raise StoreError(self.down)

    def open(self) -> None:
        self._check()
        self.inner.open()

    def close(self) -> None:
        self.inner.close()

    def write(self, records: Any, window: int) -> list[Record]:
        if self.gate is not None:
            self.gate.get(timeout=SECONDS)
        self._check()
        if any(each.session == self.poison for each in records):
            raise RecordError("poison")
        self.batches.append(len(records))
        return self.inner.write(records, window)

    def prune(self, before: int, limit: int) -> int:
        return self.inner.prune(before, limit)

    def since(self, id_: int, limit: int) -> list[Record]:
        return self.inner.since(id_, limit)

    def row_at(self, received: int) -> int:
        return self.inner.row_at(received)

    def row_of(self, begin: int, end: int, end_to_end: int) -> int | None:
        return self.inner.row_of(begin, end, end_to_end)

    def reader(self) -> Any:
        return self.inner.reader()


class Log:
    """A journal that keeps what it is told."""

    def __init__(self) -> None:
        self.written: list[str] = []
        self.caught_up = 0
        self.broken = ""
        self.closed = False

    def catch_up(self, _database: Any) -> bool:
        if self.broken:
            raise StoreError(self.broken)
        self.caught_up += 1
        return True

    def write(self, records: list[Record]) -> None:
        if self.broken:
            raise StoreError(self.broken)
        self.written += [each.session for each in records]

    def idle(self, _now: float) -> None:
        return

    def close(self) -> None:
        self.closed = True


class WriterCase(SynchronousTestCase):
    """A writer over a fragile database."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.patch(writing, "IDLE", 0.02)
        self.patch(writing, "FIRST_PAUSE", 0.02)
        self.reactor = Reactor()
        self.database = Fragile(str(self.directory / "aaa.db"))
        self.outcomes: dict[int, str] = {}
        self.said: list[str] = []
        self.writer: RecordWriter | None = None
        self.token = 0
        self.addCleanup(self.end)

    def begin(self, spooling: bool = False, limit: int = 1 << 20, **more: Any) -> RecordWriter:
        writer = self.writer = RecordWriter(
            self.reactor,
            self.database,
            self.done,
            lambda level, text: self.said.append(f"{level}: {text}"),
            name="test",
            spool=Spool(str(self.directory / "spool"), limit, parse),
            spooling=spooling,
            **more,
        )
        writer.start()
        return writer

    def end(self) -> None:
        if self.writer is not None:
            wait = self.writer.stop()
            if self.database.gate is not None:
                for _ in range(100):
                    self.database.gate.put(None)
            wait(SECONDS)
            thread = self.writer._thread
            assert thread is not None
            self.assertFalse(thread.is_alive())
            self.writer = None

    def done(self, tokens: list[int], outcome: str) -> None:
        self.outcomes.update(dict.fromkeys(tokens, outcome))

    def put(self, *records: Record) -> list[int]:
        """Put records, and wait until something has become of them."""
        assert self.writer is not None
        tokens = []
        for each in records:
            self.token += 1
            tokens.append(self.token)
            self.assertTrue(self.writer.put(self.token, each))
        self.reactor.until(lambda: all(token in self.outcomes for token in tokens))
        return tokens

    def outcome(self, *records: Record) -> set[str]:
        return {self.outcomes[token] for token in self.put(*records)}

    def sessions(self) -> list[str]:
        rows = self.database.since(0, 10_000)
        return sorted(each.session for each in rows)


class WriterTests(WriterCase):
    """Storing."""

    def test_one_turn_is_one_commit(self) -> None:
        """What comes in one turn of the loop shares a commit; what is repeated is stored once."""
        writer = self.begin()
        found = self.outcome(*(record(f"s;{number}") for number in range(50)), record("s;7"))
        self.assertEqual(found, {STORED})
        self.assertEqual(self.database.batches, [51])
        numbers = writer.statistics
        self.assertEqual((numbers.stored, numbers.repeated, numbers.waiting), (50, 1, 0))
        self.assertEqual(numbers.waiting_octets, 0)

    def test_what_comes_meanwhile(self) -> None:
        """While one batch is written, the next one grows."""
        self.database.gate = queue.Queue()
        writer = self.begin()
        for number in range(30):
            writer.put(number, record(f"s;{number}"))
            writer._hand_over()
        for _ in range(3):
            self.database.gate.put(None)
        self.reactor.until(lambda: len(self.outcomes) == 30)
        self.assertLessEqual(len(self.database.batches), 3)

    def test_full_queue(self) -> None:
        """More than the limit is not taken; afterwards it is again."""
        self.patch(writing, "QUEUE_LIMIT", 10)
        self.database.gate = queue.Queue()
        writer = self.begin()
        taken = [writer.put(number, record(f"s;{number}")) for number in range(12)]
        self.assertEqual(taken, [True] * 10 + [False] * 2)
        self.assertEqual(writer.statistics.overflowed, 2)
        self.database.gate.put(None)
        self.reactor.until(lambda: len(self.outcomes) == 10)
        self.database.gate.put(None)
        self.assertEqual(self.outcome(record("late")), {STORED})

    def test_octets_are_limited_too(self) -> None:
        """Few large records fill the queue as well."""
        self.patch(writing, "QUEUE_OCTETS", 1_000)
        self.database.gate = queue.Queue()
        writer = self.begin()
        self.assertTrue(writer.put(1, record("a", raw=b"x" * 900)))
        self.assertFalse(writer.put(2, record("b", raw=b"x" * 200)))

    def test_poison(self) -> None:
        """A record that the database refuses does not harm those beside it."""
        self.database.poison = "bad"
        self.begin()
        good, bad, other = self.put(record("good"), record("bad"), record("other"))
        self.assertEqual([self.outcomes[token] for token in (good, bad, other)], [STORED, REFUSED, STORED])
        self.assertEqual(self.sessions(), ["good", "other"])
        self.assertTrue(any("'bad' refused" in text for text in self.said), self.said)

    def test_stop_writes_what_was_taken(self) -> None:
        """Also what was put in the very last turn."""
        writer = self.begin()
        self.assertTrue(writer.put(1, record("last")))
        self.end()
        self.assertFalse(writer.put(2, record("too late")))
        self.database.open()
        self.assertEqual(self.sessions(), ["last"])

    def test_surprise(self) -> None:
        """A mistake of ours is told, the clients are answered, and the thread lives."""
        self.begin()
        self.patch(self.database, "write", lambda *_: 1 / 0)
        self.assertEqual(self.outcome(record("a")), {FAILED})
        self.assertTrue(any("ZeroDivisionError" in text for text in self.said))

    def test_surprise_after_the_answer(self) -> None:
        """Records that are stored and answered are neither answered nor counted again."""
        writer = self.begin()
        self.patch(writer, "_note", lambda *_: 1 / 0)
        self.assertEqual(self.outcome(record("a"), record("b")), {STORED})
        self.reactor.until(lambda: any("ZeroDivisionError" in text for text in self.said))
        self.assertEqual(self.outcome(record("c")), {STORED})
        numbers = writer.statistics
        self.assertEqual((numbers.waiting, numbers.waiting_octets, numbers.failed), (0, 0, 0))

    def test_pruning(self) -> None:
        """Records that are too old are deleted while nothing comes in."""
        writer = self.begin(keep=3_650 * DAY)
        self.put(record("old", received=1), record("new", received=1 << 60))
        writer.reconfigure(None, DAY, 30 * DAY)
        self.reactor.until(lambda: bool(self.outcome(record("more", self.token))) and self.sessions_gone())
        self.assertNotIn("old", self.sessions())
        self.assertEqual(writer.statistics.pruned, 1)

    def sessions_gone(self) -> bool:
        return "old" not in self.sessions()


class DownTests(WriterCase):
    """The database is down."""

    def test_refused_until_it_is_back(self) -> None:
        """Without a spool: what cannot be stored is said to be so; it is told once."""
        writer = self.begin()
        self.database.down = "disk full"
        self.assertEqual(self.outcome(record("a")), {FAILED})
        self.assertEqual(self.outcome(record("b")), {FAILED})
        self.assertEqual(writer.error, "disk full")
        self.assertEqual(len([text for text in self.said if "disk full" in text]), 1)
        self.assertIn("refused", self.said[0])
        self.database.down = ""
        self.until_stored("c")
        self.assertEqual(writer.error, "")
        self.assertNotIn("a", self.sessions())

    def until_stored(self, session: str) -> None:
        """Repeat a record like a client does, until it is stored."""
        for _ in range(500):
            if self.outcome(record(session)) == {STORED}:
                return
            writing.time.sleep(0.005)
        self.fail("never stored")

    def test_down_at_the_start(self) -> None:
        """The writer starts all the same, and opens it later."""
        self.database.down = "no route"
        self.begin()
        self.assertEqual(self.outcome(record("a")), {FAILED})
        self.database.down = ""
        self.until_stored("a")

    def test_spool(self) -> None:
        """With a spool: kept on disk and answered; the database gets them when it is back, once each."""
        writer = self.begin(spooling=True)
        self.put(whole("before"))
        self.assertTrue(writer.opened)
        self.database.down = "gone"
        self.assertEqual(self.outcome(*(whole(f"s;{number}") for number in range(20))), {STORED})
        self.assertEqual(self.outcome(whole("s;3"), whole("before")), {STORED})
        self.assertEqual(writer.statistics.spooled, 22)
        files = (self.directory / "spool").iterdir()
        self.assertEqual(writer.spool_octets, sum(file.stat().st_size for file in files))
        self.database.down = ""
        self.reactor.until(lambda: any("in the database" in text for text in self.said))
        self.assertEqual(self.sessions(), sorted([f"s;{number}" for number in range(20)] + ["before"]))
        self.assertEqual((writer.statistics.drained, writer.spool_octets), (22, 0))
        self.assertEqual(list((self.directory / "spool").iterdir()), [])

    def test_spool_of_a_process_that_died(self) -> None:
        """What the last process could not store any more is stored by the next one."""
        self.begin(spooling=True)
        self.database.down = "gone"
        self.put(whole("a"), whole("b"))
        self.end()
        self.database.down = ""
        self.begin(spooling=False)
        self.reactor.until(lambda: any("in the database" in text for text in self.said))
        self.assertEqual(self.sessions(), ["a", "b"])

    def test_spool_is_full(self) -> None:
        """Beyond its limit records are refused, not lost after an answer."""
        self.begin(spooling=True, limit=100)
        self.database.down = "gone"
        self.assertEqual(self.outcome(whole("a")), {STORED})
        self.assertEqual(self.outcome(whole("b" * 100)), {FAILED})
        self.assertTrue(any("limit of 100" in text for text in self.said), self.said)

    def test_new_records_while_it_drains(self) -> None:
        """Drains go in parts, new records between them."""
        self.patch(writing, "BATCH", 8)
        self.begin(spooling=True)
        self.database.down = "gone"
        self.put(*(whole(f"old;{number}") for number in range(100)))
        self.database.down = ""
        self.reactor.until(
            lambda: bool(self.outcome(whole(f"new;{self.token}"))) and len(self.sessions()) > 100
        )
        self.reactor.until(lambda: any("in the database" in text for text in self.said))
        self.assertEqual(len([name for name in self.sessions() if name.startswith("old")]), 100)

    def test_damaged_spool(self) -> None:
        """A file with damage in it is set aside and told of; its good records are stored."""
        self.begin(spooling=True)
        self.database.down = "gone"
        self.put(*(whole(f"s;{number}") for number in range(3)))
        self.end()
        (path,) = (self.directory / "spool").iterdir()
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 0xFF
        path.write_bytes(data)
        self.database.down = ""
        self.begin(spooling=True)
        self.reactor.until(lambda: any("in the database" in text for text in self.said))
        self.assertEqual(self.sessions(), ["s;0", "s;2"])
        self.assertTrue(any("set aside as spool-000001.damaged" in text for text in self.said), self.said)
        self.assertTrue(path.with_suffix(".damaged").exists())

    def test_a_file_of_the_spool_that_cannot_be_read(self) -> None:
        """It is told and left alone; the database is not taken for broken, and the other files are stored."""
        directory = self.directory / "spool"
        (directory / "spool-000001.seg").mkdir(parents=True)
        (directory / "spool-000002.seg").write_bytes(entry(whole("kept")))
        writer = self.begin(spooling=True)
        self.reactor.until(lambda: any("in the database" in text for text in self.said))
        self.assertEqual(self.sessions(), ["kept"])
        self.assertEqual(self.outcome(whole("new")), {STORED})
        self.assertEqual((writer.error, writer.statistics.spooled), ("", 0))
        told = [text for text in self.said if "left alone" in text]
        self.assertEqual(len(told), 1, self.said)
        self.assertTrue((directory / "spool-000001.seg").exists())


class JournalTests(WriterCase):
    """The log beside the database."""

    def test_told_after_the_database(self) -> None:
        """Only what was new is written, and only after it was caught up."""
        log = Log()
        self.begin(journal=log)
        self.reactor.until(lambda: log.caught_up > 0 or bool(self.outcome(record(f"x;{self.token}"))))
        self.until(lambda: log.caught_up > 0)
        before = len(log.written)
        self.put(record("a"), record("b"), record("a"))
        self.until(lambda: len(log.written) > before)
        self.assertEqual(log.written[before:], ["a", "b"])
        self.end()
        self.assertTrue(log.closed)

    def until(self, done: Callable[[], bool]) -> None:
        for _ in range(2_000):
            if done():
                return
            writing.time.sleep(0.005)
        self.fail("never")

    def test_log_that_cannot_be_written(self) -> None:
        """Clients do not notice; it is told once, and made good later."""
        log = Log()
        self.begin(journal=log)
        self.until(lambda: log.caught_up > 0)
        log.broken = "text log full"
        self.assertEqual(self.outcome(record("a")), {STORED})
        self.assertEqual(self.outcome(record("b")), {STORED})
        self.reactor.until(lambda: any("text log full" in text for text in self.said))
        log.broken = ""
        count = log.caught_up
        self.until(lambda: log.caught_up > count)
        self.assertEqual(len([text for text in self.said if "text log full" in text]), 1)

    def test_another_log(self) -> None:
        """A change of the configuration: the old one is closed, the new one begins."""
        old, new = Log(), Log()
        writer = self.begin(journal=old)
        self.until(lambda: old.caught_up > 0)
        writer.reconfigure(new, DAY, 0)
        self.until(lambda: new.caught_up > 0)
        self.assertTrue(old.closed)
        self.put(record("a"))
        self.until(lambda: new.written == ["a"])
        self.assertEqual(old.written, [])
