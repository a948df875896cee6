"""Store and forward for accounting records: what has been taken is on the disk until its answer has come.

::

    append ──▶ [segment][segment][segment being written]       mark ──▶ what is delivered, what is released
                   │         └─ nothing left: both files deleted
                   └─ little left: the rest is written together with its neighbours' (tidy)

Records of a segment are read in their order. A torn end (the process or the machine died while it wrote) is
cut off; a segment with bad octets inside is set aside as ``*.corrupt``, and its good records are kept.

Everything here blocks: it is for the worker thread (:mod:`.spool_worker`). Format: :mod:`.spool_format`.
"""

import fcntl
import os
import time
from bisect import bisect_right
from collections.abc import Iterable
from pathlib import Path

from attrs import define

from appliance.errors import ResourceError
from appliance.protocols.diameter.client import spool_recovery, spool_tidy
from appliance.protocols.diameter.client.spool_format import DELIVERED, EVENT, FINISHED, STOP, Entry, pack
from appliance.protocols.diameter.client.spool_segment import (
    SLICE,
    Segment,
    Totals,
    sync_directory,
    write_all,
)

#: A segment is closed and another begun when it has as many octets.
SEGMENT_SIZE = 4 << 20
#: Entries in all indexes that are kept in memory, and segments whose index always is.
MOST_INDEXED = 1_000_000
#: File that says when a process was last known to live.
ALIVE = "alive"


@define(slots=True)
class Found:
    """What :meth:`Spool.read` has read."""

    entries: list[Entry]
    upto: int
    """Everything up to this serial has been looked at."""


class Spool:
    """A directory of segments. All methods but the constructor are for one thread."""

    def __init__(self, folder: Path, limit: int, segment_size: int = SEGMENT_SIZE) -> None:
        """``limit``: octets that may wait."""
        self.folder = folder
        self.limit = limit
        self.segment_size = segment_size
        self.reports: list[str] = []
        """Lines for the operator, to be taken away."""
        self.segments: list[Segment] = []
        self.firsts: list[int] = []
        self.dirty: set[Segment] = set()
        self.uncounted: dict[Segment, None] = {}
        """Segments of earlier processes that have not been looked through, in their order."""
        self.totals = Totals()
        self.boundary = 1
        """First serial of this process."""
        self.last = 0
        """Serial of the latest entry."""
        self.left = spool_recovery.LeftOpen()
        self.alive_until = 0.0
        """When the process before this one was last known to live, seconds since 1970; 0: not known."""
        self._lock = -1
        self._output = -1
        self._current: Segment | None = None
        self._cached: tuple[Segment, bytes] | None = None
        self._use = 0.0

    # ---- life

    def open(self) -> None:
        """Take the directory, and see where to go on; raises ResourceError with one clear line."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            spool_recovery.find(self)
        except BlockingIOError:
            self.close()
            raise ResourceError(f"accounting spool {self.folder}: another process uses it") from None
        except OSError as error:
            self.close()
            remedy = "give the appliance the right to write there"
            raise ResourceError(f"accounting spool {self.folder}: {error.strerror}; {remedy}") from None
        self.boundary = self.last + 1

    def close(self) -> None:
        """Close all files; what waits stays. May be called twice."""
        self._seal()
        for segment in [*self.segments]:
            if segment not in self.uncounted and not segment.live:
                self.drop(segment)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    # ---- writing

    def append(self, entries: list[Entry]) -> list[Entry]:
        """Store entries, their serials set and rising; when this returns they are on the disk.

        Returns those for which ``limit`` leaves no room. Raises OSError, and then none is stored.
        """
        taken, refused = self._fitting(entries)
        if taken:
            segment = self._writable(taken[0].serial)
            parts: list[bytes] = []
            for at, entry in enumerate(taken):
                if not at % SLICE:
                    # The reactor wants its turn too.
                    time.sleep(0)
                parts.append(pack(entry))
            self._write(segment, b"".join(parts))
            for entry, part in zip(taken, parts, strict=True):
                segment.add(entry, len(part))
            self.last = taken[-1].serial
        return refused

    def _fitting(self, entries: list[Entry]) -> tuple[list[Entry], list[Entry]]:
        """Sessions that were granted shall have their STOP, and refusals must not crowd others out.

        What follows a refused record of the same session is refused too: on the disk it would be before it.
        """
        octets = self.totals.octets
        taken: list[Entry] = []
        refused: list[Entry] = []
        without: set[bytes] = set()
        for entry in entries:
            limit = self.limit if entry.kind == STOP else self.limit - (self.limit >> 4)
            if entry.kind == EVENT:
                limit >>= 1
            size = len(entry.body) + 64
            if octets + size > limit or (without and entry.key in without):
                refused.append(entry)
                without.add(entry.key)
            else:
                octets += size
                taken.append(entry)
        return taken, refused

    def _writable(self, serial: int) -> Segment:
        segment = self._current
        if segment is not None and segment.size < self.segment_size:
            return segment
        self._seal()
        self._unload_others()
        segment = Segment(self.folder, serial, self.totals)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_TRUNC
        self._output = os.open(segment.records, flags, 0o600)
        sync_directory(self.folder)
        self._current = segment
        self.segments.append(segment)
        self.firsts.append(serial)
        return segment

    def _write(self, segment: Segment, data: bytes) -> None:
        try:
            write_all(self._output, data)
            os.fdatasync(self._output)
        except OSError:
            # After a failed sync nobody knows what is on the disk: what was good before stays, and the next
            # entries go to another file.
            try:
                os.ftruncate(self._output, segment.size)
            finally:
                self._seal()
                if not segment.size:
                    self.drop(segment)
            raise

    def _seal(self) -> None:
        """Write no more to the current segment."""
        segment, self._current = self._current, None
        if self._output >= 0:
            os.close(self._output)
            self._output = -1
        if segment is not None and not segment.live:
            self.drop(segment)

    # ---- marks

    def mark(self, marks: Iterable[int]) -> None:
        """Note what has become of entries: ``serial << 2 | bits`` each.

        A mark that cannot be written now is written later; if the process dies before, its record is sent
        once more. Finished segments are deleted.
        """
        touched: dict[Segment, list[int]] = {}
        for mark in marks:
            segment = self.segment_of(mark >> 2)
            if segment is not None and segment.mark(mark >> 2, mark & FINISHED):
                touched.setdefault(segment, []).append(mark)
        for segment, news in touched.items():
            if not segment.live and segment is not self._current and segment not in self.uncounted:
                self.drop(segment)
            else:
                self.write_marks(segment, news)
        if not self.totals.records:
            # Nothing will be read soon.
            self._cached = None

    def write_marks(self, segment: Segment, marks: list[int]) -> None:
        """Append marks to a segment's file; what cannot be written is kept in memory for the next time."""
        try:
            segment.write_marks(marks)
        except OSError as error:
            self.report(f"marks of {segment.records.name} are kept in memory: {error.strerror}")
        else:
            self.dirty.add(segment)

    def segment_of(self, serial: int) -> Segment | None:
        """The segment that has, or had, an entry; its index is loaded."""
        at = bisect_right(self.firsts, serial) - 1
        if at < 0:
            return None
        segment = self.segments[at]
        return segment if self.load(segment) else None

    def drop(self, segment: Segment) -> None:
        """Delete a segment; marks that its records gave rise to must not be lost after it."""
        if segment not in self.segments:
            return
        self.dirty.discard(segment)
        try:
            for other in self.dirty:
                other.sync_marks()
            self.dirty.clear()
            segment.remove()
        except OSError as error:
            self.report(f"{segment.records.name} cannot be deleted: {error.strerror}")
        self.forget(segment)

    def forget(self, segment: Segment) -> None:
        """Drop a segment from memory."""
        at = self.segments.index(segment)
        del self.segments[at], self.firsts[at]
        segment.clear()
        segment.unload()
        self.dirty.discard(segment)
        self.uncounted.pop(segment, None)
        self.changed(segment)

    def changed(self, segment: Segment) -> None:
        """The file of a segment is another one than before."""
        if self._cached is not None and self._cached[0] is segment:
            self._cached = None

    # ---- reading

    def read(
        self, after: int, until: int, limit: int, only: bytes = b"", skip: frozenset[bytes] = frozenset()
    ) -> Found:
        """Records that wait, from behind serial ``after`` up to ``until``, at most ``limit``.

        ``only``: those of one route (empty: of all); ``skip``: not those of these routes. At most 8 times
        ``limit`` entries are looked at, so that a call does not last.
        """
        found: list[Entry] = []
        looks = 8 * limit
        begin = max(0, bisect_right(self.firsts, after + 1) - 1)
        for segment in self.segments[begin:]:
            if segment.first > until:
                break
            if self._nothing(segment, only, skip) or not self.load(segment):
                continue
            data = self.data(segment)
            assert segment.serials is not None
            for at in range(segment.at_after(after), len(segment.serials)):
                serial = segment.serials[at]
                if serial > until or not looks or len(found) >= limit:
                    return Found(found, min(until, serial - 1))
                looks -= 1
                if not looks % SLICE:
                    time.sleep(0)
                if not segment.waits(at):
                    continue
                entry = segment.entry(data, at)
                if entry is None:
                    self._rotten(segment)
                    return Found(found, serial - 1)
                if entry.route not in skip and only in (b"", entry.route):
                    found.append(entry)
        return Found(found, until)

    def _nothing(self, segment: Segment, only: bytes, skip: frozenset[bytes]) -> bool:
        """Whether a segment is known to have nothing that is asked for."""
        if segment in self.uncounted:
            return False
        if not segment.waiting:
            return True
        routes = segment.routes
        return routes is not None and (routes <= skip or (only != b"" and only not in routes))

    def _rotten(self, segment: Segment) -> None:
        """Octets that were good once are not any more."""
        if segment is self._current:
            self._seal()
        segment.unload()
        self.load(segment)

    def data(self, segment: Segment) -> bytes:
        """The octets of a segment's file; those of the one that was read last are kept."""
        cached = self._cached
        if cached is None or cached[0] is not segment or len(cached[1]) < segment.size:
            cached = self._cached = (segment, segment.records.read_bytes())
        return cached[1]

    def load(self, segment: Segment) -> bool:
        """Have the index of a segment in memory; False: it is not to be had, and the segment is set aside."""
        self._use += 1
        segment.used = self._use
        if segment.loaded:
            return True
        self._unload_others()
        self.changed(segment)
        return spool_recovery.load(self, segment)

    def _unload_others(self) -> None:
        loaded = [each for each in self.segments if each.loaded and each is not self._current]
        total = sum(len(each.serials or ()) for each in loaded)
        loaded.sort(key=lambda each: each.used)
        for each in loaded:
            if total <= MOST_INDEXED:
                break
            total -= len(each.serials or ())
            each.unload()

    # ---- what there is

    def oldest(self) -> float:
        """When the oldest record that waits was made, seconds since 1970; 0: none, or not known."""
        for segment in self.segments:
            if segment.waiting and segment.loaded:
                return segment.oldest()
        return 0.0

    def alive(self, wall: float) -> None:
        """Note that this process lives at ``wall``, for the one after it."""
        descriptor = os.open(self.folder / ALIVE, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.pwrite(descriptor, int(wall * 1000).to_bytes(8, "big"), 0)
        finally:
            os.close(descriptor)

    def report(self, text: str) -> None:
        """Something that the operator wants to know, said once until it is taken away."""
        line = f"accounting spool {self.folder}: {text}"
        if line not in self.reports:
            self.reports.append(line)

    def count(self) -> bool:
        """Look through one segment that an earlier process left; False: there is none left."""
        return spool_recovery.step(self)

    def tidy(self) -> bool:
        """Write the rest of a few segments that are almost finished together; False: nothing to do."""
        return spool_tidy.step(self)

    @property
    def current(self) -> Segment | None:
        """The segment that is written to."""
        return self._current


__all__ = ["DELIVERED", "Found", "Spool"]
