"""One segment of the spool: a file of entries, a file of marks, and an index of both in memory.

The index costs 13 octets an entry and can be dropped and built again from the files, so that a spool may
hold millions of records. Only the worker thread of the spool uses these.
"""

import os
import time
from array import array
from bisect import bisect_left
from pathlib import Path

from appliance.protocols.diameter.client.spool_format import (
    DELIVERED,
    FINISHED,
    HEAD,
    HOLDS,
    RELEASED,
    Entry,
    good,
    pack_marks,
    scan,
    unpack,
    unpack_marks,
)

#: Entries that are looked at in one go before other threads get a turn.
SLICE = 32
#: Routes of one segment that are kept apart; a segment with more may have any.
ROUTES = 16
_SERIAL, _KIND, _FLAGS, _ROUTE = 3, 7, 8, 9


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of it; raises OSError."""
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


def sync_directory(folder: Path) -> None:
    """Make names that were given or taken in a directory durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Totals:
    """What waits in all segments together: records, octets, and records by kind."""

    __slots__ = ("kinds", "octets", "records")

    def __init__(self) -> None:
        self.records = self.octets = 0
        self.kinds = [0] * 5


class Segment:
    """The entries of one file.

    ``waiting`` counts those that are not delivered, ``live`` those that are not finished; the octets of
    both are kept too, and how many wait by kind.
    """

    __slots__ = (
        "first", "kinds", "live", "live_octets", "marks", "offsets", "records", "routes", "serials", "size",
        "states", "totals", "unwritten", "used", "waiting", "waiting_octets",
    )  # fmt: skip

    def __init__(self, folder: Path, first: int, totals: Totals) -> None:
        """``first``: serial of its first entry, which is its name."""
        self.totals = totals
        self.waiting = self.waiting_octets = 0
        self.kinds = [0] * 5
        self.first = first
        self.records = folder / f"{first:016x}.records"
        self.marks = folder / f"{first:016x}.marks"
        self.used = 0.0
        self.unwritten: list[int] = []
        self.size = 0
        self.serials: array[int] | None = None
        self.clear()

    def clear(self) -> None:
        """Begin with an empty index, and count nothing."""
        self.totals.records -= self.waiting
        self.totals.octets -= self.waiting_octets
        for kind, count in enumerate(self.kinds):
            self.totals.kinds[kind] -= count
        self.serials = array("Q")
        self.offsets = array("I")
        self.states = bytearray()
        self.routes: set[bytes] | None = set()
        self.waiting = self.waiting_octets = self.live = self.live_octets = 0
        self.kinds = [0] * 5

    @property
    def loaded(self) -> bool:
        """Whether its index is in memory."""
        return self.serials is not None

    @property
    def last(self) -> int:
        """Serial of its last entry; one less than the first if there is none."""
        return self.serials[-1] if self.serials else self.first - 1

    def unload(self) -> None:
        """Drop the index; the counts stay."""
        self.serials = None
        self.offsets = array("I")
        self.states = bytearray()

    # ---- building the index

    def add(self, entry: Entry, size: int) -> None:
        """Note an entry that has been written behind the others, ``size`` octets."""
        self._note(entry.serial, entry.kind, entry.flags, entry.route, self.size, size)
        self.size += size

    def _note(self, serial: int, kind: int, flags: int, route: bytes, place: int, size: int) -> None:
        assert self.serials is not None
        self.serials.append(serial)
        self.offsets.append(place)
        # The kind is kept above the bits of the marks.
        self.states.append(kind << 2 | (0 if flags & HOLDS else RELEASED))
        self.live += 1
        self.live_octets += size
        self._wait(kind, 1, size)
        if self.routes is not None and route not in self.routes:
            self.routes.add(route)
            if len(self.routes) > ROUTES:
                self.routes = None

    def _wait(self, kind: int, count: int, octets: int) -> None:
        totals = self.totals
        self.waiting += count
        self.waiting_octets += octets
        self.kinds[kind] += count
        totals.records += count
        totals.octets += octets
        totals.kinds[kind] += count

    def load(self) -> list[tuple[int, int]]:
        """Build the index from the files.

        Returns what is in the records file and is no good entry, as places and lengths. Raises OSError.
        """
        data = self.records.read_bytes()
        self.size = len(data)
        self.clear()
        bad: list[tuple[int, int]] = []
        end = 0
        for count, (place, size) in enumerate(scan(data), 1):
            if place > end:
                bad.append((end, place - end))
            head = HEAD.unpack_from(data, place)
            start = place + HEAD.size
            route = data[start : start + head[_ROUTE]]
            if head[_SERIAL] > self.last:
                self._note(head[_SERIAL], min(head[_KIND], 4), head[_FLAGS], route, place, size)
            end = place + size
            if not count % SLICE:
                time.sleep(0)
        if end < len(data):
            bad.append((end, len(data) - end))
        self._apply_marks()
        return bad

    def _apply_marks(self) -> None:
        try:
            data = self.marks.read_bytes()
        except FileNotFoundError:
            data = b""
        for count, mark in enumerate(unpack_marks(data)):
            self.mark(mark >> 2, mark & FINISHED)
            if not count % (8 * SLICE):
                time.sleep(0)
        for mark in self.unwritten:
            self.mark(mark >> 2, mark & FINISHED)

    # ---- marks

    def mark(self, serial: int, bits: int) -> bool:
        """Note that an entry is delivered or released; False: it is not here or was so before."""
        serials = self.serials
        assert serials is not None
        at = bisect_left(serials, serial)
        if at == len(serials) or serials[at] != serial:
            return False
        before = self.states[at]
        after = before | bits
        if after == before:
            return False
        self.states[at] = after
        size = self._length(at)
        if after & DELIVERED and not before & DELIVERED:
            self._wait(after >> 2, -1, -size)
        if after & FINISHED == FINISHED:
            self.live -= 1
            self.live_octets -= size
        return True

    def _length(self, at: int) -> int:
        offsets = self.offsets
        return (offsets[at + 1] if at + 1 < len(offsets) else self.size) - offsets[at]

    def write_marks(self, marks: list[int]) -> None:
        """Append marks to their file. Raises OSError; they are then kept for the next time."""
        self.unwritten.extend(marks)
        descriptor = os.open(self.marks, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            write_all(descriptor, pack_marks(self.unwritten))
        finally:
            os.close(descriptor)
        self.unwritten = []

    def sync_marks(self) -> None:
        """Make the marks durable. Raises OSError."""
        if self.marks.exists():
            descriptor = os.open(self.marks, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def remove(self) -> None:
        """Delete both files. Raises OSError."""
        self.records.unlink(missing_ok=True)
        self.marks.unlink(missing_ok=True)

    # ---- reading

    def at_after(self, serial: int) -> int:
        """Index of the first entry behind ``serial``."""
        assert self.serials is not None
        return bisect_left(self.serials, serial + 1)

    def waits(self, at: int) -> bool:
        """Whether an entry is not delivered."""
        return not self.states[at] & DELIVERED

    def lives(self, at: int) -> bool:
        """Whether an entry is not finished."""
        return self.states[at] & FINISHED != FINISHED

    def holds(self, at: int) -> bool:
        """Whether an entry holds a session."""
        return not self.states[at] & RELEASED

    def kind(self, at: int) -> int:
        """Accounting-Record-Type of an entry."""
        return self.states[at] >> 2

    def partial_marks(self) -> list[int]:
        """Marks that entries which are not finished have."""
        states, serials = self.states, self.serials
        assert serials is not None
        return [
            serial << 2 | states[at] & FINISHED
            for at, serial in enumerate(serials)
            if states[at] & FINISHED not in (0, FINISHED)
        ]

    def octets(self, data: bytes, at: int) -> bytes:
        """Octets of an entry; ``data``: of the whole file."""
        place = self.offsets[at]
        return data[place : place + self._length(at)]

    def entry(self, data: bytes, at: int) -> Entry | None:
        """An entry, ``data``: of the whole file; ``None``: it has rotted."""
        place = self.offsets[at]
        return unpack(data, place) if good(data, place) else None

    def oldest(self) -> float:
        """When its first entry that waits was made, seconds since 1970; 0: it cannot be told."""
        at = next((at for at in range(len(self.states)) if self.waits(at)), -1)
        if at < 0:
            return 0.0
        try:
            with self.records.open("rb") as file:
                file.seek(self.offsets[at])
                head = file.read(HEAD.size)
        except OSError:
            return 0.0
        return float(HEAD.unpack(head)[4]) / 1000 if len(head) == HEAD.size else 0.0
