"""What an earlier process left in a spool: found, mended, counted; and the sessions that died with it.

A START or INTERIM that holds its session and is not released is of a session that was open. The latest one
of each is what its STOP is made of. Blocks; for the worker thread.
"""

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.protocols.diameter.client.spool_format import FINISHED, RELEASED, STOP, Entry, unpack_marks
from appliance.protocols.diameter.client.spool_segment import SLICE, Segment, sync_directory, write_all

if TYPE_CHECKING:
    from appliance.protocols.diameter.client.spool import Spool


class LeftOpen:
    """The entries that hold the sessions of dead processes, by Session-Id and call id."""

    __slots__ = ("serials",)

    def __init__(self) -> None:
        self.serials: dict[tuple[bytes, int], int] = {}

    def take(self, spool: "Spool", count: int) -> list[Entry]:
        """Take out at most ``count`` of the entries."""
        found: list[Entry] = []
        while self.serials and len(found) < count:
            key = next(iter(self.serials))
            serial = self.serials.pop(key)
            segment = spool.segment_of(serial)
            if segment is None:
                continue
            at = segment.at_after(serial - 1)
            entry = segment.entry(spool.data(segment), at) if at < len(segment.serials or ()) else None
            if entry is not None and entry.serial == serial:
                found.append(entry)
        return found


def find(spool: "Spool") -> None:
    """See which segments there are, and cut the torn end of the last one. Raises OSError."""
    records: list[int] = []
    for path in spool.folder.iterdir():
        if path.suffix == ".new":
            path.unlink()
        elif path.suffix in (".records", ".marks"):
            try:
                first = int(path.stem, 16)
            except ValueError:
                continue
            if path.suffix == ".records":
                records.append(first)
            elif not path.with_suffix(".records").exists():
                path.unlink()
    for first in sorted(records):
        segment = Segment(spool.folder, first, spool.totals)
        segment.unload()
        spool.segments.append(segment)
        spool.firsts.append(first)
        spool.uncounted[segment] = None
    while spool.segments and not _end(spool, spool.segments[-1]):
        pass
    try:
        spool.alive_until = int.from_bytes((spool.folder / "alive").read_bytes()[:8], "big") / 1000
    except FileNotFoundError:
        spool.alive_until = 0.0


def _end(spool: "Spool", segment: Segment) -> bool:
    """See where the last segment ends; False: there was nothing good in it, and it is gone."""
    bad = segment.load()
    if len(bad) == 1 and sum(bad[0]) == segment.size:
        size = segment.size - bad[0][1]
        with segment.records.open("r+b") as file:
            file.truncate(size)
            os.fsync(file.fileno())
        segment.size = size
        spool.report(f"{bad[0][1]} octets of a record that was not finished are cut off")
    elif bad:
        mend(spool, segment, bad)
    if not segment.serials:
        segment.remove()
        spool.forget(segment)
        return False
    spool.last = segment.last
    return True


def load(spool: "Spool", segment: Segment) -> bool:
    """Build the index of a segment; mends it; False: it cannot be read and is not used any more."""
    try:
        bad = segment.load()
        if bad:
            mend(spool, segment, bad)
        _absorb(spool, segment)
    except OSError as error:
        spool.report(f"{segment.records.name} cannot be read and is left alone: {error.strerror}")
        spool.forget(segment)
        return False
    return True


def _absorb(spool: "Spool", segment: Segment) -> None:
    """Segments that were written together with this one, and would have been deleted then."""
    at = spool.segments.index(segment) + 1
    while at < len(spool.segments) and spool.segments[at].first <= segment.last:
        other = spool.segments[at]
        if other.marks.exists():
            marks = list(unpack_marks(other.marks.read_bytes()))
            segment.write_marks([mark for mark in marks if segment.mark(mark >> 2, mark & FINISHED)])
            segment.sync_marks()
        other.remove()
        spool.forget(other)


def mend(spool: "Spool", segment: Segment, bad: list[tuple[int, int]]) -> None:
    """Set a segment with bad octets aside, and keep its good records. Raises OSError."""
    aside = _unused(segment.records.with_suffix(".corrupt"))
    data = segment.records.read_bytes()
    kept = bytearray()
    place = 0
    for start, size in bad:
        kept += data[place:start]
        place = start + size
    kept += data[place:]
    os.link(segment.records, aside)
    replace(segment.records, bytes(kept))
    count = len(segment.serials or ())
    spool.report(
        f"{sum(size for _, size in bad)} octets of {segment.records.name} are no records; "
        f"the segment is set aside as {aside.name}, {count} records of it are kept"
    )
    segment.load()


def _unused(path: Path) -> Path:
    found, number = path, 1
    while found.exists():
        found = path.with_suffix(f"{path.suffix}.{number}")
        number += 1
    return found


def replace(path: Path, data: bytes) -> None:
    """Give a file other contents, all or nothing. Raises OSError."""
    made = path.with_suffix(".new")
    descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        write_all(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    made.rename(path)
    sync_directory(path.parent)


def step(spool: "Spool") -> bool:
    """Look through one segment of an earlier process; False: there is none left."""
    segment = next(iter(spool.uncounted), None)
    if segment is None:
        return False
    if not spool.load(segment):
        return True
    data = spool.data(segment)
    old = [older << 2 | RELEASED for older in _holders(spool, segment, data)]
    del spool.uncounted[segment]
    spool.mark(old)
    if not segment.live and segment in spool.segments:
        # As if its last mark had come just now.
        spool.drop(segment)
    return bool(spool.uncounted)


def _holders(spool: "Spool", segment: Segment, data: bytes) -> list[int]:
    """Note who holds sessions; returns those that are superseded or whose STOP is there."""
    serials, left = segment.serials, spool.left.serials
    assert serials is not None
    old: list[int] = []
    for at in range(len(serials)):
        if not at % SLICE:
            time.sleep(0)
        stop = segment.kind(at) == STOP
        if not stop and not segment.holds(at):
            continue
        entry = segment.entry(data, at)
        if entry is None:
            continue
        key = entry.key, entry.call_id
        before = left.pop(key, 0)
        if before:
            old.append(before)
        if not stop:
            left[key] = entry.serial
    return old
