"""The daily log of accounting records, in text: ``diameter_accounting_YYYY-MM-DD.log``.

::

    2026-11-23T07:10:00.123Z<TAB>0xa0000012<TAB>Session-Id = "lma1.example;3973075200;1"<TAB>User-Name = ...

One record a line: when it was received, its End-to-End Id, then its attributes as they came. A record is in
the file of the day on which it was received, in UTC or in local time.

The database comes first. What the log could not take (a full disk, the end of the process) it gets from the
database later: the last whole lines say how far it has come. A line that was cut off is removed.
"""

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from appliance.aaa.records import MICROSECONDS, Database, Record, StoreError
from appliance.protocols.diameter.message.codec import Malformed
from appliance.protocols.diameter.message.dictionary import Dictionary, current
from appliance.protocols.diameter.message.text import Texts

#: Beginning and end of the files' names, with the date between them.
PREFIX, SUFFIX = "diameter_accounting_", ".log"
#: Records that are fetched from the database in one go.
SLICE = 256
#: Octets at the end of a file in which its last line is looked for.
TAIL = 2 << 20
#: Files whose last lines say how far the log has come.
LOOKED_AT = 3
#: No record is received at this microsecond or later.
NEVER = 1 << 62
#: How often it is looked for old files, seconds.
PRUNE_SECONDS = 3_600.0


def stamp(received: int, local: bool) -> str:
    """A time of reception as a line begins with it."""
    moment = datetime.fromtimestamp(received // MICROSECONDS, UTC)
    if local:
        moment = moment.astimezone()
    text = f"{moment:%Y-%m-%dT%H:%M:%S}.{received % MICROSECONDS // 1_000:03}"
    return text + (moment.isoformat()[-6:] if local else "Z")


def milliseconds(text: str) -> int:
    """The time that a line begins with, in milliseconds since 1970. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    return round(moment.timestamp() * 1_000)


class TextLog:
    """The files in one directory. All calls block; one thread at a time. See :class:`.writer.Journal`."""

    def __init__(
        self,
        directory: str,
        names: str = "rfc",
        local: bool = False,
        keep: int = 30,
        clock: Callable[[], float] = lambda: datetime.now(UTC).timestamp(),
    ) -> None:
        """``names``: ``rfc`` or ``seed``; ``keep``: days; ``clock`` gives seconds since 1970."""
        self.directory = Path(directory)
        self._names = "" if names == "rfc" else names
        self._dictionary: Dictionary | None = None
        self._texts: Texts | None = None
        self._local = local
        self._keep = keep
        self._clock = clock
        self._day = ""
        self._file: int | None = None
        self._size = 0
        self._at: int | None = None
        """Number of the last row that is known to be here, while catching up."""
        self._pruned = 0.0

    def _day_of(self, received: int) -> str:
        return stamp(received, self._local)[:10]

    def _path(self, day: str) -> Path:
        return self.directory / f"{PREFIX}{day}{SUFFIX}"

    def _files(self) -> list[Path]:
        """The files that there are, oldest first."""
        found = []
        for path in self.directory.glob(f"{PREFIX}*{SUFFIX}"):
            try:
                datetime.strptime(path.name[len(PREFIX) : -len(SUFFIX)], "%Y-%m-%d")
            except ValueError:
                continue
            found.append(path)
        return sorted(found)

    # Writing.

    def line(self, record: Record) -> str:
        """A record as a line, without its end."""
        dictionary = current()
        if self._texts is None or self._dictionary is not dictionary:
            # Not the one that others share: this is another thread.
            self._dictionary, self._texts = dictionary, Texts(dictionary, self._names)
        head = f"{stamp(record.received, self._local)}\t0x{record.end_to_end:08x}\t"
        try:
            return head + self._texts.line(record.raw)
        except Malformed:
            return f"{head}raw 0x{record.raw.hex()}"

    def write(self, records: list[Record]) -> None:
        """Append records, each in the file of its day. Raises StoreError."""
        try:
            for day, lines in self._by_day(records):
                self._open(day)
                self._append("".join(lines).encode())
        except OSError as error:
            self.close()
            raise self._failed(error) from error

    def _by_day(self, records: list[Record]) -> Iterator[tuple[str, list[str]]]:
        day = ""
        lines: list[str] = []
        for record in records:
            its = self._day_of(record.received)
            if its != day:
                if lines:
                    yield day, lines
                day, lines = its, []
            lines.append(self.line(record) + "\n")
        if lines:
            yield day, lines

    def _failed(self, error: OSError) -> StoreError:
        return StoreError(f"text log {self.directory}: {error.strerror}")

    def _open(self, day: str) -> None:
        if self._file is not None and day == self._day:
            return
        self.close()
        self.directory.mkdir(mode=0o750, parents=True, exist_ok=True)
        self._file = os.open(self._path(day), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        self._day = day
        self._size = _cut_back(self._file)
        os.lseek(self._file, self._size, os.SEEK_SET)

    def _append(self, data: bytes) -> None:
        assert self._file is not None
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(self._file, left) :]
        except OSError:
            # Half a line is no line.
            os.ftruncate(self._file, self._size)
            raise
        self._size += len(data)

    def close(self) -> None:
        """Close the file."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    # Catching up.

    def catch_up(self, database: Database) -> bool:
        """Write some of what the database has and the files have not; true when nothing is left."""
        try:
            if self._at is None:
                self._at = self._found(database)
        except OSError as error:
            raise self._failed(error) from error
        rows = database.since(self._at, SLICE)
        if rows:
            self.write(rows)
            assert rows[-1].id is not None
            self._at = rows[-1].id
        if len(rows) == SLICE:
            return False
        self._at = None
        # The day's file is there from the beginning: an empty one says since when there is a log.
        try:
            self._open(self._day_of(round(self._clock() * MICROSECONDS)))
        except OSError as error:
            raise self._failed(error) from error
        return True

    def _found(self, database: Database) -> int:
        """The number of the last row that is in the files."""
        files = self._files()
        # What was late is in the file of an earlier day: the newest row need not be in the newest file.
        rows = [self._row_of(line, database) for line in map(_last_line, files[-LOOKED_AT:]) if line]
        known = [row for row in rows if row is not None]
        if known:
            return max(known)
        if files and not rows:
            # They were begun, and nothing was written yet.
            return database.row_at(int(files[0].stat().st_mtime * MICROSECONDS))
        return database.row_at(NEVER)

    def _row_of(self, line: str, database: Database) -> int | None:
        time, _, rest = line.partition("\t")
        try:
            moment, end_to_end = milliseconds(time), int(rest.partition("\t")[0], 16)
        except ValueError:
            return None
        return database.row_of(moment * 1_000, (moment + 1) * 1_000, end_to_end)

    # Old files.

    def idle(self, now: float) -> None:
        """Begin the file of a new day, and delete those that are too old. Raises StoreError."""
        try:
            if self._file is not None:
                self._open(self._day_of(round(now * MICROSECONDS)))
            if now - self._pruned >= PRUNE_SECONDS:
                self._pruned = now
                oldest = self._path(self._day_of(round((now - self._keep * 86_400) * MICROSECONDS))).name
                for path in self._files():
                    if path.name < oldest:
                        path.unlink()
        except OSError as error:
            self.close()
            raise self._failed(error) from error


def _cut_back(file: int) -> int:
    """Remove a line at the end that has no end; returns the size."""
    size = os.fstat(file).st_size
    begin = max(0, size - TAIL)
    data = os.pread(file, size - begin, begin)
    whole = begin + data.rfind(b"\n") + 1
    if whole < size and (whole > begin or begin == 0):
        os.ftruncate(file, whole)
        return whole
    return size


def _last_line(path: Path) -> str | None:
    """The last whole line of a file, without its end; ``None``: it has none."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - TAIL))
        data = file.read()
    whole = data.rfind(b"\n")
    if whole < 0:
        return None
    return data[data.rfind(b"\n", 0, whole) + 1 : whole].decode("utf-8", "replace")
