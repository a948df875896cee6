"""The audit log: who did what from where, one JSON object a line, in ``audit.log`` of the state directory.

::

    System.audit ──note──▶ bounded queue ──▶ writer thread ──▶ audit.log, audit.log.1 ... audit.log.5

Nothing here waits for the disk on the reactor thread. When the queue is full or the disk refuses,
events are lost, counted, and their number is written and logged as soon as that works again;
the appliance goes on. JSON escapes whatever is typed: one event is one line.
"""

import asyncio
import contextlib
import json
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from appliance.errors import ResourceError
from appliance.ports import Operator

NAME = "audit.log"
FILE_LIMIT = 10 << 20
"""Octets after which a file is put aside."""
KEPT = 5
"""Files that were put aside and are kept."""
QUEUE_LIMIT = 1000
TEXT_LIMIT = 1024
"""Characters of each field."""
READ_LIMIT = 1 << 20
"""Octets at the end of each file that are read for a view."""
TELL_INTERVAL = 60.0
"""Seconds between two log lines about lost events."""

Tell = Callable[[str, str], None]
"""Logs a line: level and text. Called on the writer thread."""


class AuditLog:
    """Writes and reads the audit log of ``directory``; ``tell`` has to be safe to call on any thread."""

    def __init__(
        self, directory: str | Path, tell: Tell, file_limit: int = FILE_LIMIT, kept: int = KEPT
    ) -> None:
        self._path = Path(directory) / NAME
        self._tell = tell
        self._file_limit = file_limit
        self._kept = kept
        self._queue: queue.Queue[str | None] = queue.Queue(QUEUE_LIMIT)
        self._lost = 0
        self._lock = threading.Lock()
        self._told = -TELL_INTERVAL
        self._thread: threading.Thread | None = None
        self._file = -1
        self._size = 0

    @property
    def lost(self) -> int:
        """Events that are not in the log yet known to be lost."""
        return self._lost

    def start(self) -> None:
        """Open the file and start the writer. Raises :class:`ResourceError` when it cannot be opened."""
        try:
            self._open()
        except OSError as error:
            raise ResourceError(
                f"audit log {self._path}: {error.strerror}; make it a plain file that this process may "
                "write, or choose another state directory"
            ) from error
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._thread.start()

    def note(self, operator: Operator, event: str, text: str, result: str, wall: float) -> None:
        """Note an event; ``wall`` is its time in seconds since 1970. Never waits and never raises."""
        record = {
            "time": _stamp(wall),
            "user": operator.user,
            "rights": operator.rights,
            "origin": operator.origin,
            "service": operator.service,
            "session": operator.number,
            "event": event,
            "text": text,
            "result": result,
        }
        self._put({key: _cut(value) for key, value in record.items()})

    async def stop(self) -> None:
        """Write what is queued, at most 5 seconds long, and close the file."""
        if self._thread is None:
            return
        thread, self._thread = self._thread, None
        await asyncio.to_thread(self._finish, thread)

    async def read_last(self, count: int) -> list[dict[str, Any]]:
        """The last ``count`` events, oldest first; damaged lines are left out."""
        return await asyncio.to_thread(self._read, count)

    # ---- reactor thread

    def _put(self, record: dict[str, Any]) -> None:
        try:
            self._queue.put_nowait(json.dumps(record))
        except queue.Full:
            self._lose(1)

    def _finish(self, thread: threading.Thread) -> None:
        with contextlib.suppress(queue.Full):
            self._queue.put(None, timeout=2.0)
        thread.join(5.0)

    # ---- writer thread

    def _run(self) -> None:
        going = True
        while going:
            lines = [self._queue.get()]
            with contextlib.suppress(queue.Empty):
                while True:
                    lines.append(self._queue.get_nowait())
            going = None not in lines
            self._write([line for line in lines if line is not None])
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _write(self, lines: list[str]) -> None:
        with self._lock:
            lost, self._lost = self._lost, 0
        if lost:
            note = {"time": _stamp(time.time()), "event": "lost", "text": f"{lost} events are missing here"}
            lines.insert(0, json.dumps(note))
        done = 0
        try:
            for line in lines:
                self._append(f"{line}\n".encode())
                done += 1
            if self._file >= 0:
                os.fsync(self._file)
        except OSError as error:
            # What stood for lost events is lost itself: they are counted again.
            missing = len(lines) - done
            self._lose(missing - 1 + lost if lost and not done else missing)
            self._complain(error)

    def _append(self, data: bytes) -> None:
        if self._file < 0:
            self._open()
        if self._size and self._size + len(data) > self._file_limit:
            self._rotate()
        written = os.write(self._file, data)
        self._size += written
        if written < len(data):
            # The disk filled up within the line: half a line would spoil the next one.
            self._size -= written
            os.ftruncate(self._file, self._size)
            raise OSError(28, os.strerror(28))

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        file = os.open(self._path, flags, 0o600)
        try:
            os.fchmod(file, 0o600)
            self._size = os.fstat(file).st_size
        except OSError:
            os.close(file)
            raise
        self._file = file

    def _rotate(self) -> None:
        os.close(self._file)
        self._file = -1
        for number in range(self._kept, 0, -1):
            older = self._numbered(number - 1) if number > 1 else self._path
            with contextlib.suppress(FileNotFoundError):
                os.replace(older, self._numbered(number))
        self._open()

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{NAME}.{number}")

    def _lose(self, count: int) -> None:
        with self._lock:
            self._lost += count

    def _complain(self, error: OSError) -> None:
        now = time.monotonic()
        if now - self._told >= TELL_INTERVAL:
            self._told = now
            lost = f"{self._lost} events are lost so far; make room there"
            self._tell("error", f"audit log {self._path}: {error.strerror}; {lost}")

    # ---- any thread

    def _read(self, count: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for path in (self._path, *map(self._numbered, range(1, self._kept + 1))):
            if len(found) >= count:
                break
            try:
                with path.open("rb") as file:
                    file.seek(-min(READ_LIMIT, file.seek(0, os.SEEK_END)), os.SEEK_END)
                    text = file.read(READ_LIMIT).decode("ascii", "replace")
            except OSError:
                # It is put aside just now, or there never was one.
                continue
            lines = text.split("\n")[-(count - len(found)) - 1 :]
            found = [*_records(lines), *found]
        return found[-count:] if count > 0 else []


def _records(lines: list[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict):
            yield record


def _stamp(wall: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(wall))


def _cut(value: Any) -> Any:
    if isinstance(value, str) and len(value) > TEXT_LIMIT:
        return value[: TEXT_LIMIT - 3] + "..."
    return value
