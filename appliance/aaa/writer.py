"""The thread that stores accounting records, and what it does while the database is down.

::

    reactor thread                                       writer thread
    put(token, record) ─┐ (one loop turn)
    put(token, record) ─┴─▶ queue, bounded ──▶ all that came meanwhile ──▶ Database.write, one commit
    done(tokens, outcome) ◀── callFromThread ────────────────┘    │ down
                                                                  ├─▶ Spool.append, if the policy is to spool
                                                                  └─▶ FAILED
    back up again: the spool is drained, oldest file first, between the batches

A batch is everything that came in while the one before was written, so that the slower the disk is, the more
records share a commit.
"""

import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from attrs import define

from appliance.aaa.records import DAY, MICROSECONDS, Database, Record, RecordError, StoreError
from appliance.aaa.spool import Segment, Spool

#: What became of a record.
STORED, FAILED, REFUSED = "stored", "failed", "refused"

#: Records that may wait for the thread, and octets of their AVPs; beyond it ACRs are refused.
QUEUE_LIMIT, QUEUE_OCTETS = 20_000, 64 << 20
#: Records of one commit at most.
BATCH = 1_024
#: Pauses between two tries to reach a database that is down: first and longest, seconds.
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
#: How often the thread looks after the spool, the log and old records while nothing comes in, seconds.
IDLE = 1.0
#: Records deleted in one go, seconds that it may go on, and seconds until it is looked again for old ones.
PRUNE_ROWS, PRUNE_SLICE, PRUNE_SECONDS = 500, 0.2, 60.0

Item = tuple[int, Record]
Tell = Callable[[str, str], None]


class Journal(Protocol):
    """Something that is told of every stored record after it is stored: the text log."""

    def catch_up(self, database: Database) -> bool:
        """Take some of what was stored but not written here; true when nothing is left. Raises StoreError."""

    def write(self, records: list[Record]) -> None:
        """Write records. Raises StoreError; :meth:`catch_up` is then called later."""

    def idle(self, now: float) -> None:
        """Look after old files; ``now`` is seconds since 1970. Raises StoreError."""

    def close(self) -> None:
        """Close files."""


@define(slots=True)
class Change:
    """Other settings for the thread."""

    journal: Journal | None
    window: int
    keep: int


@define(slots=True)
class WriterStatistics:
    """Numbers of a writer; each is changed by one thread only."""

    stored: int = 0
    repeated: int = 0
    failed: int = 0
    refused: int = 0
    spooled: int = 0
    drained: int = 0
    pruned: int = 0
    batches: int = 0
    largest: int = 0
    """Records of the largest batch."""
    busy: float = 0.0
    """Seconds in the database."""
    waiting: int = 0
    """Records on their way to the disk."""
    waiting_octets: int = 0
    overflowed: int = 0
    """Records that found the queue full."""


class RecordWriter:
    """Stores records on a thread of its own.

    ``done(tokens, outcome)`` is called on the reactor thread for everything that was taken by :meth:`put`.
    """

    def __init__(
        self,
        reactor: Any,
        database: Database,
        done: Callable[[list[int], str], None],
        tell: Tell,
        *,
        name: str,
        spool: Spool,
        spooling: bool = False,
        journal: Journal | None = None,
        window: int = DAY,
        keep: int = 0,
    ) -> None:
        """``window`` and ``keep``: microseconds, see the settings; ``keep`` 0: records are never deleted."""
        self.statistics = WriterStatistics()
        self.error = ""
        """Why the database is down; empty: it is not."""
        self.opened = False
        """Whether it was up at any time."""
        self._reactor = reactor
        self._database = database
        self._done = done
        self._tell = tell
        self._name = name
        self._spool = spool
        self._spooling = spooling
        self._journal = journal
        self._behind = journal is not None
        self._journal_error = ""
        self._window = window
        self._keep = keep
        self._queue: SimpleQueue[list[Item] | Change | None] = SimpleQueue()
        self._batch: list[Item] = []
        self._unanswered = 0
        """Of the records that the thread has in hand."""
        self._flush: Any = None
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._pause = FIRST_PAUSE
        self._told = ""
        """What was said of it last; it is said again only after records were stored."""
        self._retry = 0.0
        self._pruned = 0.0
        self._segment: Segment | None = None
        self._drained = 0

    # On the reactor thread.

    def start(self) -> None:
        """Start the thread, which opens the database; if it cannot, it goes on trying."""
        self._thread = threading.Thread(target=self._run, name=f"records {self._name}", daemon=True)
        self._thread.start()

    def put(self, token: int, record: Record) -> bool:
        """Take a record; false: too many wait, or the writer is being stopped."""
        numbers = self.statistics
        size = len(record.raw)
        full = numbers.waiting >= QUEUE_LIMIT or numbers.waiting_octets + size > QUEUE_OCTETS
        if full or self._stopping:
            numbers.overflowed += 1
            return False
        numbers.waiting += 1
        numbers.waiting_octets += size
        self._batch.append((token, record))
        if self._flush is None:
            # What arrives in one turn of the loop goes over together.
            self._flush = self._reactor.callLater(0, self._hand_over)
        return True

    def _hand_over(self) -> None:
        self._flush = None
        batch, self._batch = self._batch, []
        if batch:
            self._queue.put(batch)

    def _finished(self, tokens: list[int], octets: int, outcome: str) -> None:
        numbers = self.statistics
        numbers.waiting -= len(tokens)
        numbers.waiting_octets -= octets
        self._done(tokens, outcome)

    @property
    def spool_octets(self) -> int:
        """Octets of the records that wait on disk for the database."""
        return self._spool.size

    def reconfigure(self, journal: Journal | None, window: int, keep: int) -> None:
        """Go on with another journal and other times."""
        if self._thread is not None:
            self._hand_over()
            self._queue.put(Change(journal, window, keep))
        else:
            self._change(Change(journal, window, keep))

    def stop(self) -> Callable[[float], None]:
        """Take nothing more; what was taken is still written. Returns what waits for it, for a thread."""
        self._stopping = True
        if self._flush is not None:
            self._flush.cancel()
            self._hand_over()
        self._queue.put(None)
        thread = self._thread
        return thread.join if thread is not None else lambda _: None

    # On the writer thread.

    def _say(self, level: str, text: str) -> None:
        self._reactor.callFromThread(self._tell, level, text)

    def _run(self) -> None:
        try:
            self._spool.open()
        except StoreError as error:
            self._say("error", str(error))
        self._try_open()
        going, due = True, 0.0
        while going:
            batch, going = self._next()
            self._unanswered = len(batch)
            try:
                if batch:
                    self._take(batch)
                if going and (self._busy() or time.monotonic() >= due):
                    due = time.monotonic() + IDLE
                    self._housekeeping()
            except Exception as error:  # noqa: BLE001 - the thread has to live, and the clients to be answered
                self._say("error", f"storing records: {type(error).__name__}: {error}")
                if self._unanswered:
                    # Those before were answered already, and are not counted twice.
                    self._answer(batch[-self._unanswered :], FAILED)
        self._spool.close()
        if self._journal is not None:
            self._journal.close()
        self._database.close()

    def _busy(self) -> bool:
        """Whether there is work to do beside new records."""
        return not self.error and (bool(self._spool) or self._segment is not None or self._behind)

    def _next(self) -> tuple[list[Item], bool]:
        """What waits, at most a batch; and whether to go on after it."""
        batch: list[Item] = []
        try:
            part = self._queue.get(timeout=0.05 if self._busy() else IDLE)
            while part is not None:
                if isinstance(part, Change):
                    self._change(part)
                else:
                    batch.extend(part)
                if len(batch) >= BATCH:
                    return batch, True
                part = self._queue.get_nowait()
        except Empty:
            return batch, True
        return batch, False

    def _change(self, change: "Change") -> None:
        self._window, self._keep = change.window, change.keep
        if self._journal is not None:
            self._journal.close()
        self._journal = change.journal
        self._behind = change.journal is not None
        self._journal_error = ""
        if not self.error:
            self._look_after_journal()

    def _take(self, batch: list[Item]) -> None:
        if self.error and time.monotonic() >= self._retry:
            self._try_open()
        if not self.error:
            try:
                self._store(batch)
                return
            except StoreError as error:
                self._down(error)
        self._without_database(batch)

    def _store(self, batch: list[Item]) -> None:
        numbers = self.statistics
        begun = time.monotonic()
        try:
            fresh = self._database.write([record for _, record in batch], self._window)
        except RecordError:
            self._one_by_one(batch)
            return
        numbers.busy += time.monotonic() - begun
        numbers.batches += 1
        numbers.largest = max(numbers.largest, len(batch))
        self._answer(batch, STORED)
        self._note(fresh, len(batch))

    def _one_by_one(self, batch: list[Item]) -> None:
        """Something is wrong with one of them; the others are not to suffer for it."""
        for item in batch:
            fresh = self._write_one(item[1])
            self._answer([item], REFUSED if fresh is None else STORED)
            if fresh is not None:
                self._note(fresh, 1)

    def _write_one(self, record: Record) -> list[Record] | None:
        try:
            return self._database.write([record], self._window)
        except RecordError as error:
            self.statistics.refused += 1
            self._say("warning", f"record of session {record.session!r} refused: {error}")
            return None

    def _answer(self, batch: list[Item], outcome: str) -> None:
        if outcome == FAILED:
            self.statistics.failed += len(batch)
        self._unanswered -= len(batch)
        tokens = [token for token, _ in batch]
        octets = sum(len(record.raw) for _, record in batch)
        self._reactor.callFromThread(self._finished, tokens, octets, outcome)

    def _without_database(self, batch: list[Item]) -> None:
        if not self._spooling:
            self._answer(batch, FAILED)
            return
        try:
            self._spool.append([record for _, record in batch])
        except StoreError as error:
            self._say("error", f"{error}: {len(batch)} records could not be kept")
            self._answer(batch, FAILED)
            return
        self.statistics.spooled += len(batch)
        self._answer(batch, STORED)

    def _down(self, error: StoreError) -> None:
        if str(error) != self._told:
            kept = "kept on disk" if self._spooling else "refused"
            self._say("error", f"{error}; records are {kept} until it can be written again")
        self.error = self._told = str(error)
        self._retry = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE)
        self._database.close()

    def _try_open(self) -> None:
        was = self.error
        try:
            self._database.open()
        except StoreError as error:
            self._down(error)
            return
        # That it can be opened does not mean that it can be written: the next batch will show.
        self.error, self.opened = "", True
        if not was:
            self._pause = FIRST_PAUSE
        if self._behind:
            # Before anything is stored: a log that is new begins here.
            self._look_after_journal()

    def _note(self, fresh: list[Record], given: int) -> None:
        """Count what was stored, and tell the journal; what it cannot take now it gets from the database."""
        self._pause = FIRST_PAUSE
        self._told = ""
        self.statistics.stored += len(fresh)
        self.statistics.repeated += given - len(fresh)
        if self._journal is None or self._behind or not fresh:
            return
        try:
            self._journal.write(fresh)
        except StoreError as error:
            self._journal_failed(error)

    def _journal_failed(self, error: StoreError) -> None:
        self._behind = True
        if not self._journal_error:
            self._say("error", f"{error}; the log is completed from the database later")
        self._journal_error = str(error)

    def _housekeeping(self) -> None:
        now = time.monotonic()
        if self.error:
            if now < self._retry:
                return
            self._try_open()
            if self.error:
                return
        try:
            if self._spool or self._segment is not None:
                self._drain()
            if self._keep and now - self._pruned >= PRUNE_SECONDS:
                self._prune(now)
        except StoreError as error:
            self._down(error)
            return
        self._look_after_journal()

    def _drain(self) -> None:
        """Give the database the next records of the oldest file of the spool."""
        segment = self._segment
        if segment is None:
            try:
                segment = self._segment = self._spool.oldest()
            except StoreError as error:
                self._pass_over(error)
                return
            self._drained = 0
            if segment.damaged and not segment.torn:
                aside, kept = segment.path.with_suffix(".damaged").name, len(segment.records)
                self._say(
                    "error",
                    f"spool {segment.path}: {segment.damaged} octets are no records; the file is set aside "
                    f"as {aside}, its {kept} others are kept",
                )
        part = segment.records[self._drained : self._drained + BATCH]
        if part:
            self._store_again(part)
            self._drained += len(part)
            self.statistics.drained += len(part)
        if self._drained >= len(segment.records):
            try:
                self._spool.remove(segment)
            except StoreError as error:
                self._pass_over(error)
            self._segment = None
            if not self._spool:
                self._say("info", "all records that waited on disk are in the database")

    def _pass_over(self, error: StoreError) -> None:
        """A file of the spool makes trouble: that is no reason to take the database for broken."""
        self._say("error", f"{error}; the file is left alone until the next start")
        self._spool.pass_over()

    def _store_again(self, part: list[Record]) -> None:
        try:
            self._note(self._database.write(part, self._window), len(part))
        except RecordError:
            for record in part:
                fresh = self._write_one(record)
                if fresh is not None:
                    self._note(fresh, 1)

    def _prune(self, begun: float) -> None:
        # A record has to be there as long as a repeated one is to be recognised.
        before = round(time.time() * MICROSECONDS) - max(self._keep, self._window)
        while self._queue.empty() and time.monotonic() - begun < PRUNE_SLICE:
            deleted = self._database.prune(before, PRUNE_ROWS)
            self.statistics.pruned += deleted
            if deleted < PRUNE_ROWS:
                self._pruned = begun
                return

    def _look_after_journal(self) -> None:
        journal = self._journal
        if journal is None:
            return
        try:
            if self._behind and journal.catch_up(self._database):
                self._behind = False
                self._journal_error = ""
            journal.idle(time.time())
        except StoreError as error:
            self._journal_failed(error)
