"""Records that wait on the disk because the database is down.

::

    spool-000001.seg  spool-000002.seg ...        one entry behind the other, 4 MiB a file at most
    entry = "ACR\\xa5" | CRC-32 | length | received (us) | End-to-End Id | Application-Id | AVPs as received

An entry is on the disk (fsync) before its ACR is answered. Files go away when the database has their records;
a record that it got twice, because the process died between the two, is the same record to it.

What cannot be read does not stop the rest: reading goes on at the next entry that is whole, and the damaged
file is kept under another name for whoever wants to look at it. An entry that is cut off at the end of the
newest file is what a death while writing leaves; it was never answered.
"""

import os
import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

from attrs import define

from appliance.aaa.records import Record, StoreError

MAGIC = b"ACR\xa5"
_HEAD = struct.Struct("!4sII")
_BODY = struct.Struct("!QII")
#: A file is closed when it has this many octets: one file is read into memory at a time.
SEGMENT = 4 << 20
#: Longest entry: a Diameter message.
LONGEST = 1 << 20

Parse = Callable[[bytes, int, int, int], Record]


@define(slots=True)
class Segment:
    """What was read of one file."""

    path: Path
    records: list[Record]
    damaged: int
    """Octets that are no entry."""
    torn: bool
    """The damage is only at the end: what was being written when the process died."""


def entry(record: Record) -> bytes:
    """The octets of one record."""
    body = _BODY.pack(record.received, record.end_to_end, record.application) + record.raw
    return _HEAD.pack(MAGIC, zlib.crc32(body), len(body)) + body


def _cut_off(rest: bytes) -> bool:
    """Whether what is no entry is the beginning of one, or room that was never written."""
    if len(rest) < _HEAD.size:
        return True
    magic, _, size = _HEAD.unpack_from(rest)
    return (magic == MAGIC and size > len(rest) - _HEAD.size) or not any(rest)


class Spool:
    """Files of records in one directory. All calls block; one thread at a time.

    ``limit``: octets that all files may have together. ``parse(raw, received, end_to_end, application)``
    makes a record of an entry again, or raises ValueError.
    """

    def __init__(self, directory: str, limit: int, parse: Parse) -> None:
        self.directory = Path(directory)
        self.limit = limit
        self.size = 0
        """Octets of all files that wait."""
        self._parse = parse
        self._waiting: list[Path] = []
        self._file: int | None = None
        self._written = 0
        self._number = 0

    def open(self) -> None:
        """Look what waits from before. Raises StoreError."""
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._waiting = sorted(self.directory.glob("spool-*.seg"))
            self.size = sum(path.stat().st_size for path in self._waiting)
        except OSError as error:
            raise StoreError(f"spool {self.directory}: {error.strerror}") from error
        numbers = [int(path.stem[6:]) for path in self._waiting if path.stem[6:].isdigit()]
        self._number = max(numbers, default=0)

    def __bool__(self) -> bool:
        """Whether anything waits."""
        return bool(self._waiting)

    def append(self, records: Sequence[Record]) -> None:
        """Write records so that they survive; raises StoreError, and then none of them is there."""
        data = b"".join(map(entry, records))
        if self.size + len(data) > self.limit:
            raise StoreError(f"spool {self.directory}: its limit of {self.limit} octets is reached")
        try:
            if self._file is None or self._written + len(data) > SEGMENT:
                self._begin()
            assert self._file is not None
            self._write(self._file, data)
        except OSError as error:
            self._give_up()
            raise StoreError(f"spool {self.directory}: {error.strerror}") from error
        self._written += len(data)
        self.size += len(data)

    def _begin(self) -> None:
        self.seal()
        self._number += 1
        path = self.directory / f"spool-{self._number:06}.seg"
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._written = 0
        self._waiting.append(path)
        directory = os.open(self.directory, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def _write(self, file: int, data: bytes) -> None:
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(file, left) :]
            os.fdatasync(file)
        except OSError:
            # Nobody is told that these were kept: they must not come back later as if they had been.
            os.ftruncate(file, self._written)
            raise

    def _give_up(self) -> None:
        """The file takes no more; an empty one goes, or a full disk would get another one each time."""
        empty = self._file is not None and not self._written
        self.seal()
        if empty:
            try:
                self._waiting.pop().unlink()
            except OSError:
                # It is empty: whoever finds it loses nothing by it.
                return

    def seal(self) -> None:
        """Close the file that is written to; the next record begins another one."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def oldest(self) -> Segment:
        """Read the oldest file, which is not written to any more. Raises StoreError."""
        if len(self._waiting) == 1:
            self.seal()
        path = self._waiting[0]
        try:
            data = path.read_bytes()
        except OSError as error:
            raise StoreError(f"spool {path}: {error.strerror}") from error
        return self._read(path, data)

    def _read(self, path: Path, data: bytes) -> Segment:
        records: list[Record] = []
        bad: list[tuple[int, int]] = []
        place = 0
        while place < len(data):
            record, size = self._entry(data, place)
            if record is not None:
                records.append(record)
                place += size
                continue
            following = data.find(MAGIC, place + 1)
            following = len(data) if following < 0 else following
            bad.append((place, following))
            place = following
        torn = len(bad) == 1 and bad[0][1] == len(data) and _cut_off(data[bad[0][0] :])
        return Segment(path, records, sum(end - begin for begin, end in bad), torn)

    def _entry(self, data: bytes, place: int) -> tuple[Record | None, int]:
        if len(data) - place < _HEAD.size + _BODY.size:
            return None, 0
        magic, check, size = _HEAD.unpack_from(data, place)
        body = data[place + _HEAD.size : place + _HEAD.size + size]
        if magic != MAGIC or size > LONGEST or len(body) != size or zlib.crc32(body) != check:
            return None, 0
        received, end_to_end, application = _BODY.unpack_from(body)
        try:
            record = self._parse(body[_BODY.size :], received, end_to_end, application)
        except ValueError:
            return None, 0
        return record, _HEAD.size + size

    def remove(self, segment: Segment) -> None:
        """The database has the records of the oldest file: delete it, or set it aside if it is damaged.

        Raises StoreError.
        """
        path = segment.path
        try:
            size = path.stat().st_size
            if segment.damaged and not segment.torn:
                path.rename(path.with_suffix(".damaged"))
            else:
                path.unlink()
        except OSError as error:
            raise StoreError(f"spool {path}: {error.strerror}") from error
        self._waiting.remove(path)
        self.size -= size

    def pass_over(self) -> None:
        """Leave the oldest file where it is, and go on with the next; another start looks at it again."""
        del self._waiting[0]
        self.size = 0
        for path in self._waiting:
            try:
                self.size += path.stat().st_size
            except OSError:
                # It is gone, or unreadable: that is told when its turn comes.
                continue

    def close(self) -> None:
        """Close the file; what waits stays."""
        self.seal()
