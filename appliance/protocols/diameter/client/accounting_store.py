"""Records between the accounting core and the disk: jobs for the spool's thread, and what comes of them.

::

    put ──▶ new ──job──▶ thread: append, sync ──▶ Delivery.stored           (or refused: only in memory)
            marks ─────▶         marks
            wanted ────▶         read ──────────▶ Delivery.loaded

While one job is on the disk, everything that comes waits for the next, so one sync serves them all.
"""

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

from appliance.protocols.diameter.client.accounting import AccountingClient
from appliance.protocols.diameter.client.accounting_events import Counts, LeftBehind, StoredAgain
from appliance.protocols.diameter.client.delivery import Delivery
from appliance.protocols.diameter.client.spool_format import EVENT, KINDS, RELEASED, Entry
from appliance.protocols.diameter.client.spool_worker import Job, Opened, Result
from appliance.protocols.pmipv6.events import Notify
from appliance.protocols.timers import Now

#: Between the beginnings of two jobs, seconds: what comes meanwhile shares one sync.
COMMIT = 0.002
#: Marks that are worth a job of their own, and how long fewer may wait, seconds.
MARKS, MARKS_WAIT = 512, 0.05
#: Housekeeping: seconds between two times that the spool is tidied, and the process is noted to live.
TIDY, ALIVE = 1.0, 5.0
#: Sessions whose records only memory has that one job tries to store, and how often while the disk is full.
RESCUE, RESCUE_AGAIN = 256, 5.0


class RecordStore:
    """The spool of one service as the reactor sees it.

    ``worker``: runs the spool (:class:`~.spool_worker.SpoolWorker`); ``delivery(boundary, last)``: makes the
    delivery; ``feed``: gives the core an event; ``moved``: called when there may be something
    to send; ``tell``: takes a :class:`Notify`.
    """

    def __init__(
        self,
        reactor: Any,
        clock: Callable[[], Now],
        worker: Any,
        delivery: Callable[[int, int], Delivery],
        core: AccountingClient,
        feed: Callable[[LeftBehind | StoredAgain], None],
        moved: Callable[[], None],
        tell: Callable[[Notify], object],
    ) -> None:
        self._reactor = reactor
        self._clock = clock
        self._worker = worker
        self._make_delivery = delivery
        self._core = core
        self._feed = feed
        self._moved = moved
        self._tell = tell
        self.delivery = delivery(1, 0)
        self.counts = {kind: Counts() for kind in KINDS}
        self.state: Result | None = None
        """What the thread said last."""
        self.full = ""
        """Why the disk takes no records; empty: it does."""
        self._disk_full = False
        self.open = False
        self._new: list[Entry] = []
        self._storing: list[Entry] = []
        self._serial = 0
        self._alive_until = 0.0
        self._busy = False
        self._limit = 0
        self._last_job = self._last_tidy = self._last_alive = self._last_rescue = 0.0
        self._call: Any = None
        self._due = 0.0
        self._hurried = False

    def start(self) -> Deferred[None]:
        """Take the spool; fails with ResourceError."""
        opened: Deferred[Opened] = self._worker.start()
        return opened.addCallback(self._opened)

    def _opened(self, opened: Opened) -> None:
        self._serial = opened.last
        self._alive_until = opened.alive_until
        self.delivery = self._make_delivery(opened.boundary, opened.last)
        self.open = True
        self.kick()

    def close(self) -> Deferred[None]:
        """Write what is known about delivered records, and close the files."""
        if self._call is not None:
            self._call.cancel()
            self._call = None
        if self.open and self.delivery.marks:
            self._worker.submit(Job(marks=self.delivery.marks), _nothing)
        self.open = False
        lost = len(self._new) + len(self.delivery.unstored)
        if lost:
            reason = self.full or "the spool was not open"
            self._tell(Notify("error", f"{lost} accounting records are lost with the process: {reason}"))
        stopped: Deferred[None] = self._worker.stop()
        return stopped

    def put(self, entry: Entry) -> None:
        """Store a record; the delivery has it after that."""
        self._new.append(entry)
        self.counts[entry.kind].made += 1
        self.kick()

    def release(self, serial: int) -> None:
        """An entry is not needed for the STOP of its session any more."""
        self.delivery.marks.append(serial << 2 | RELEASED)
        self.kick()

    def limit(self, octets: int) -> None:
        """Other room for records that wait."""
        self._limit = octets
        self.kick()

    @property
    def unsettled(self) -> bool:
        """Whether records are on their way to the disk."""
        return bool(self._new) or self._busy

    def waiting(self) -> list[int]:
        """Records without an answer, by Accounting-Record-Type."""
        found = list(self.state.kinds) if self.state is not None else [0] * 5
        for entry in (*self._new, *self._storing, *self.delivery.unstored.entries.values()):
            found[entry.kind] += 1
        return found

    # ---- jobs

    def kick(self) -> None:
        """Have a job begun soon, if there is work for one."""
        if self._busy or not self.open or self._hurried:
            return
        wait = self._wait()
        if wait is None:
            return
        self._hurried = wait <= COMMIT
        due = self._clock().mono + wait
        if self._call is None:
            self._call = self._reactor.callLater(max(0.0, wait), self._begin)
        elif due < self._due:
            # It was for something that is not so urgent.
            self._call.reset(max(0.0, wait))
        else:
            return
        self._due = due

    def _wait(self) -> float | None:
        """Seconds until the next job is wanted."""
        state, delivery = self.state, self.delivery
        urgent = state is None or not state.counted or state.more_left or self._limit
        if self._new or urgent or delivery.hungry:
            return self._last_job + COMMIT - self._clock().mono
        if delivery.marks:
            return MARKS_WAIT if len(delivery.marks) < MARKS else 0.0
        if delivery.unstored or (state is not None and state.waiting):
            return TIDY
        return ALIVE if self._core.sessions else None

    def _begin(self) -> None:
        self._call, self._hurried = None, False
        now = self._clock()
        state, delivery = self.state, self.delivery
        job = Job(self._numbered(now.mono), delivery.marks, read=delivery.wanted(), limit=self._limit)
        delivery.marks, self._limit = [], 0
        job.count = state is None or not state.counted
        job.left = not job.count
        if now.mono - self._last_tidy >= TIDY:
            self._last_tidy = now.mono
            job.tidy = True
        if not job.count and self._core.sessions and now.mono - self._last_alive >= ALIVE:
            self._last_alive = now.mono
            job.alive = now.wall
        self._busy, self._storing = True, job.entries
        self._last_job = now.mono
        self._worker.submit(job, self._done)

    def _numbered(self, mono: float) -> list[Entry]:
        """What is to be stored, with serials; records that only memory has go before newer ones."""
        new, self._new = self._new, []
        delivery = self.delivery
        if delivery.unstored and (not self.full or mono - self._last_rescue >= RESCUE_AGAIN):
            self._last_rescue = mono
            new = delivery.rescue(RESCUE) + new
        entries: list[Entry] = []
        kept: list[Entry] = []
        for entry in new:
            self._serial += 1
            if entry.serial:
                delivery.renamed(entry.serial, self._serial)
            self._core.number(entry, self._serial)
            if entry.replaces and not delivery.withdraw(entry.replaces):
                entry.replaces = 0
            late = delivery.unstored and delivery.unstored.has(entry.key)
            (kept if late else entries).append(entry)
        if kept:
            self._refused(kept, by_disk=True)
        return entries

    def _lost(self, entries: list[Entry]) -> None:
        for entry in entries:
            self.counts[entry.kind].lost += 1

    def _done(self, result: Result) -> None:
        self._busy, self._storing = False, []
        self.state = result
        job, delivery = result.job, self.delivery
        if job.entries or (self.full and not self._disk_full):
            self._room(result)
        if job.entries:
            self._committed(job.entries, result)
        if job.read is not None:
            delivery.loaded(result.found, result.upto)
        if result.left:
            self._feed(LeftBehind(result.left, self._alive_until))
        for text in result.reports:
            self._tell(Notify("warning", text))
        self._moved()
        self.kick()

    def _committed(self, entries: list[Entry], result: Result) -> None:
        delivery, refused = self.delivery, result.refused
        if refused:
            gone = {entry.serial for entry in refused}
            entries = [entry for entry in entries if entry.serial not in gone]
            self._refused(refused, bool(result.error))
        delivery.stored(entries)
        for entry in entries:
            count = self.counts[entry.kind]
            count.stored += 1
            count.replaced += bool(entry.replaces)
            held = self._core.stored(entry)
            if held:
                delivery.marks.append(held << 2 | RELEASED)

    def _refused(self, entries: list[Entry], by_disk: bool) -> None:
        """Records that were not stored; those of refused registrations have half the limit, and no more."""
        for entry in entries:
            if entry.replaces:
                self.delivery.restore(entry.route, entry.replaces)
        events = [] if by_disk else [entry for entry in entries if entry.kind == EVENT]
        self._lost(events)
        self._lost(self.delivery.refused([entry for entry in entries if entry not in events]))

    def _room(self, result: Result) -> None:
        """Say once that records cannot be stored, and once that they can again."""
        why = result.error
        if not why and any(entry.kind != EVENT for entry in result.refused):
            why = f"{result.octets} octets wait, and the spool limit is {result.limit}"
        if why:
            if not self.full:
                text = f"accounting records cannot be stored: {why}; they are only in memory until they can"
                self._tell(Notify("error", text))
            self.full, self._disk_full = why, bool(result.error)
        elif self.full and result.octets <= result.limit - (result.limit >> 3):
            self.full = ""
            self._tell(Notify("info", "accounting records are stored again"))
            self._feed(StoredAgain())


def _nothing(_result: object) -> None:
    """The last marks: there is nobody left to tell."""
