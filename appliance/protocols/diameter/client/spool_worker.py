"""The thread of a spool: one job after the other, so that all that waits meanwhile is one commit.

::

    reactor  ──submit(job)──▶ queue ──▶ thread: append + sync, marks, count, read, tidy
             ◀──done(result)── callFromThread ◀──┘
"""

import queue
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred

from appliance.protocols.diameter.client.delivery import Read
from appliance.protocols.diameter.client.spool import Spool
from appliance.protocols.diameter.client.spool_format import DELIVERED, RELEASED, Entry

#: Sessions of dead processes that one job brings.
LEFT_AT_ONCE = 128


@define(slots=True)
class Job:
    """What the thread shall do, in this order."""

    entries: list[Entry] = field(factory=list)
    """To be stored, with serials."""
    marks: list[int] = field(factory=list)
    alive: float = 0.0
    """Wall clock to note; 0: nothing."""
    count: bool = False
    """Look through one segment of an earlier process."""
    left: bool = False
    """Bring sessions that died with one."""
    read: Read | None = None
    tidy: bool = False
    limit: int = 0
    """Other room for what waits, octets; 0: as before."""


@define(slots=True)
class Result:
    """What came of a job."""

    job: Job
    refused: list[Entry] = field(factory=list)
    """Not stored."""
    error: str = ""
    """Why the disk would not take any; empty: what is refused is above the limit."""
    found: list[Entry] = field(factory=list)
    upto: int = 0
    left: list[Entry] = field(factory=list)
    more_left: bool = False
    counted: bool = True
    waiting: int = 0
    octets: int = 0
    limit: int = 0
    """Octets that may wait."""
    kinds: list[int] = field(factory=list)
    oldest: float = 0.0
    reports: list[str] = field(factory=list)


@define(slots=True, frozen=True)
class Opened:
    """What a spool looks like when it is opened."""

    boundary: int
    last: int
    alive_until: float


def perform(spool: Spool, job: Job) -> Result:
    """Do a job. What the disk refuses is in the result."""
    result = Result(job)
    if job.limit:
        spool.limit = job.limit
    if job.entries:
        try:
            result.refused = spool.append(job.entries)
        except OSError as error:
            result.refused, result.error = job.entries, error.strerror or str(error)
        # Before anybody hears that they are stored: with the newer one, the older is settled.
        refused = {entry.serial for entry in result.refused}
        spool.mark(_settled(entry for entry in job.entries if entry.serial not in refused))
    if job.marks:
        spool.mark(job.marks)
    if job.alive:
        try:
            spool.alive(job.alive)
        except OSError as error:
            spool.report(f"cannot note the time: {error.strerror}")
    if job.count:
        spool.count()
    if job.left and not spool.uncounted:
        result.left = spool.left.take(spool, LEFT_AT_ONCE)
    if job.read is not None:
        read = job.read
        found = spool.read(read.after, read.until, read.limit, read.only, read.skip)
        result.found, result.upto = found.entries, found.upto
    if job.tidy:
        spool.tidy()
        result.oldest = spool.oldest()
    result.reports, spool.reports = spool.reports, []
    return _measured(spool, result)


def _measured(spool: Spool, result: Result) -> Result:
    """What there is after a job."""
    totals = spool.totals
    result.waiting, result.octets, result.kinds = totals.records, totals.octets, list(totals.kinds)
    result.counted, result.more_left = not spool.uncounted, bool(spool.left.serials)
    result.limit = spool.limit
    return result


def _settled(entries: Iterable[Entry]) -> Iterator[int]:
    """Marks of what stored entries replace and release."""
    for entry in entries:
        if entry.replaces:
            yield entry.replaces << 2 | DELIVERED
        if entry.releases:
            yield entry.releases << 2 | RELEASED


def failed(spool: Spool, job: Job, error: Exception) -> Result:
    """The result of a job that met a fault: its records are only in memory, and nothing was read."""
    result = Result(job, job.entries, str(error) or type(error).__name__)
    result.upto = job.read.after if job.read is not None else 0
    result.reports = [f"accounting spool {spool.folder}: {''.join(traceback.format_exception(error))}"]
    return _measured(spool, result)


class SpoolWorker:
    """Runs a spool on a thread of its own. ``reactor``: gets the results by ``callFromThread``."""

    def __init__(self, reactor: Any, folder: Path, limit: int) -> None:
        self._reactor = reactor
        self._spool = Spool(folder, limit)
        self._queue: queue.SimpleQueue[tuple[Job, Callable[[Result], object]] | None]
        self._queue = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._stopped: Deferred[None] = Deferred()

    def start(self) -> Deferred[Opened]:
        """Take the directory; fails with ResourceError."""
        started: Deferred[Opened] = Deferred()
        self._thread = threading.Thread(
            target=self._run, args=(started,), name="accounting spool", daemon=True
        )
        self._thread.start()
        return started

    def submit(self, job: Job, done: Callable[[Result], object]) -> None:
        """Have a job done; ``done`` is called on the reactor thread."""
        self._queue.put((job, done))

    def stop(self) -> Deferred[None]:
        """Finish what has been submitted, and close the files. May be called twice."""
        if self._thread is not None:
            self._queue.put(None)
        elif not self._stopped.called:
            self._stopped.callback(None)
        return self._stopped

    def _run(self, started: Deferred[Opened]) -> None:
        call = self._reactor.callFromThread
        spool = self._spool
        try:
            spool.open()
        except Exception as error:  # noqa: BLE001 - whatever it is, who started the thread has to know
            call(started.errback, error)
            call(self._ended)
            return
        call(started.callback, Opened(spool.boundary, spool.last, spool.alive_until))
        while (item := self._queue.get()) is not None:
            job, done = item
            try:
                result = perform(spool, job)
            except Exception as error:  # noqa: BLE001 - reported; other records still need the thread
                result = failed(spool, job, error)
            call(done, result)
        spool.close()
        call(self._ended)

    def _ended(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()
        if not self._stopped.called:
            self._stopped.callback(None)
