"""Captures: signalling written to pcapng files, by a thread of its own for each.

::

    Tap ──▶ Subscription (at most QUEUE) ──take()──▶ Writer thread ──▶ FILE
    Captures.start / stop / list ◀── shell           └── ended: disk full, size, time ──▶ log

A disk that is slow costs messages, which are counted, and never the reactor's time. Whatever
goes wrong with the file ends the capture; what was written before stays readable.
"""

import asyncio
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from appliance import __version__, pcapng
from appliance.errors import ApplianceError, ResourceError
from appliance.ports import CaptureView, TapFilter
from appliance.protocols.timers import Now
from appliance.tap import INBOUND, Subscription, Tapped, TappedDiameter, TappedEvent, TappedMessage
from appliance.watch import Watch, filter_text

#: Captures at a time.
CAPTURES = 4
#: Ended captures that are still shown.
REMEMBERED = 8
#: Messages that wait for the disk; about 2 MiB.
QUEUE = 8192
#: Octets that are kept free below the limit for the statistics of each interface.
STATISTICS = 96
#: Seconds that the end of a capture waits for the disk.
PATIENCE = 5.0
#: Seconds after which written messages are in the file although more could be gathered.
PAUSE = 0.2
#: Messages that are written in a row (about 2 milliseconds), and seconds between two rows.
CHUNK, BREATH = 512, 0.001
#: Octets that are written at a time.
BATCH = 65536
RUNNING = "Running"

Tell = Callable[[str, str], None]
Key = tuple[str, str]
"""Kind and name of a service."""


def open_new(file: str) -> int:
    """A new file, for its owner only. Raises ResourceError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_APPEND
    try:
        return os.open(file, flags, 0o600)
    except OSError as error:
        raise ResourceError(f"capture file {file}: {error.strerror}; name a new file") from error


def _discard(file: str, descriptor: int) -> None:
    """Take a file away that nothing was written to."""
    os.close(descriptor)
    Path(file).unlink(missing_ok=True)


def _give_back(file: str, opened: "asyncio.Future[int]") -> None:
    """Take a file away that nobody waited for; an error of opening it is nobody's either."""
    if not opened.cancelled() and opened.exception() is None:
        _discard(file, opened.result())


class Output:
    """A file that always ends with a whole block."""

    def __init__(self, descriptor: int, limit: int) -> None:
        self._descriptor = descriptor
        self.limit = limit
        self.octets = 0

    def write(self, blocks: Sequence[bytes]) -> int:
        """Append blocks and return how many: all, or those that are in the file whole when the disk refuses.

        Raises OSError when not even one is.
        """
        data, done = b"".join(blocks), 0
        try:
            while done < len(data):
                done += os.write(self._descriptor, data[done:])
        except OSError:
            whole, count = 0, 0
            while whole + len(blocks[count]) <= done:
                whole += len(blocks[count])
                count += 1
            os.ftruncate(self._descriptor, self.octets + whole)
            if not count:
                raise
            done = whole
        else:
            count = len(blocks)
        self.octets += done
        return count

    def close(self) -> None:
        """Close the file; raises OSError."""
        os.close(self._descriptor)


class Capture:
    """One capture with its thread. ``ended`` is called by the thread when it is done.

    ``subscribe`` gets what wakes the thread and raises ApplianceError.
    """

    def __init__(
        self,
        view: CaptureView,
        output: Output,
        subscribe: Callable[[Callable[[], object]], Subscription],
        clock: Callable[[], Now],
        ended: Callable[["Capture"], object],
    ) -> None:
        self.view = view
        self.reason = ""
        """Why it ended; to be read when it has."""
        self._output = output
        self._clock = clock
        self._ended = ended
        self._interfaces: dict[Key, int] = {}
        self._written: dict[Key, int] = {}
        self._batch: list[tuple[Key | None, bytes]] = []
        self._waiting = 0
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._why = ""
        self._subscription = subscribe(self._arouse)
        self.thread = threading.Thread(target=self._run, name=f"capture {view.file}", daemon=True)

    def stop(self, why: str) -> None:
        """Let the thread write what waits and finish the file."""
        self._why = self._why or why
        self._subscription.close()
        self._stopping.set()
        self._wake.set()

    def refresh(self) -> CaptureView:
        """How it is doing."""
        self.view.dropped = self._subscription.lost
        return self.view

    # ---- the thread

    def _run(self) -> None:
        try:
            self._put(None, pcapng.section(f"mobility-appliance {__version__}", self.view.filter))
            self._flush()
            while not self.reason:
                self._wake.wait()
                # Messages gather for a moment, so that the thread is not woken for each of them.
                self._stopping.wait(PAUSE)
                self._wake.clear()
                # Read before taking: what came in before the stop is still written.
                why = self._why
                self.reason = self._write_all() or why
        except OSError as error:
            self.reason = _failed(error)
        except Exception as error:  # noqa: BLE001 - a thread has nobody to raise to
            self.reason = f"Failed: {error!r}"
        self._finish()
        self._ended(self)

    def _arouse(self) -> None:
        """Called by the reactor for each message. The flag is looked at after the message was put in and is
        taken down before messages are taken out, so none is forgotten."""
        if not self._wake.is_set():
            self._wake.set()

    def _write_all(self) -> str:
        """Write what waits, a little at a time: the reactor's thread wants its turns at the interpreter."""
        while True:
            items = self._subscription.take(CHUNK)
            why = self._write(items)
            if why or len(items) < CHUNK:
                return why
            self._stopping.wait(BREATH)

    def _write(self, items: list[Tapped]) -> str:
        """Write messages; returns why this has to be the end, or an empty text."""
        for item in items:
            if isinstance(item, TappedEvent):
                continue
            key = (item.kind, item.service)
            if key not in self._interfaces:
                self._interfaces[key] = len(self._interfaces)
                self._put(None, _interface(item))
            block = pcapng.packet(self._interfaces[key], item.wall, _framed(item), item.direction == INBOUND)
            reserved = STATISTICS * len(self._interfaces)
            if self._output.octets + self._waiting + len(block) + reserved > self._output.limit:
                self._flush()
                return "Size limit reached"
            self._put(key, block)
            if self._waiting >= BATCH:
                self._flush()
        self._flush()
        return ""

    def _put(self, key: Key | None, block: bytes) -> None:
        self._batch.append((key, block))
        self._waiting += len(block)

    def _flush(self) -> None:
        """Write the batch. Raises OSError if it is not written whole."""
        batch, self._batch, self._waiting = self._batch, [], 0
        while batch:
            count = self._output.write([block for _, block in batch])
            for key, _ in batch[:count]:
                if key is not None:
                    self._written[key] = self._written.get(key, 0) + 1
                    self.view.packets += 1
            batch = batch[count:]
            self.view.octets = self._output.octets

    def _finish(self) -> None:
        """Write the statistics and close; where there is no room for them the file ends without."""
        end = self._clock().wall
        try:
            for key, number in self._interfaces.items():
                written, lost = self._written.get(key, 0), self._subscription.losses.get(key, 0)
                counts = pcapng.statistics(number, self.view.since, end, written + lost, lost)
                if key in self._written:
                    self._output.write([counts])
        except OSError as error:
            self.reason = self.reason if self.reason.startswith("Failed") else _failed(error)
        try:
            self._output.close()
        except OSError as error:
            self.reason = _failed(error)
        self.view.octets = self._output.octets


def _interface(item: TappedMessage | TappedDiameter) -> bytes:
    """The block of an interface for messages of this service or endpoint."""
    if isinstance(item, TappedDiameter):
        title = f"diameter endpoint {item.service}"
        return pcapng.interface(item.service, title, pcapng.LINKTYPE_UPPER_PDU)
    return pcapng.interface(item.service, f"{item.kind}-service {item.service}")


def _framed(item: TappedMessage | TappedDiameter) -> bytes:
    """A message with what has to stand in front of it."""
    return pcapng.exported_pdu(item) if isinstance(item, TappedDiameter) else pcapng.ip_packet(item)


def _failed(error: OSError) -> str:
    return f"Failed: {os.strerror(error.errno or 0)}"


class Captures:
    """All captures of the process; the shell's ``CapturePort``."""

    def __init__(
        self,
        watch: Watch,
        tell: Tell,
        clock: Callable[[], Now],
        call_later: Callable[..., Any],
        from_thread: Callable[..., object],
    ) -> None:
        """``call_later`` and ``from_thread`` are the reactor's ``callLater`` and ``callFromThread``."""
        self._watch = watch
        self._tell = tell
        self._clock = clock
        self._call_later = call_later
        self._from_thread = from_thread
        self._running: dict[str, Capture] = {}
        self._timers: dict[str, Any] = {}
        self._opening = 0
        self._ended: deque[CaptureView] = deque(maxlen=REMEMBERED)

    async def start(self, file: str, wanted: TapFilter, limit: int, duration: int) -> None:
        """Begin a new file of at most ``limit`` octets, for ``duration`` seconds (0: until stopped).

        Raises ApplianceError.
        """
        if len(self._running) + self._opening >= CAPTURES:
            raise ApplianceError(f"{CAPTURES} captures are running; end one with 'capture stop'")
        self._opening += 1
        # In a thread, because a directory may be on a disk that does not answer.
        opening = asyncio.ensure_future(asyncio.to_thread(open_new, file))
        try:
            descriptor = await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(lambda done: _give_back(file, done))
            raise
        finally:
            self._opening -= 1
        try:
            self._begin(file, wanted, limit, descriptor)
        except BaseException:
            _discard(file, descriptor)
            raise
        if duration:
            self._timers[file] = self._call_later(duration, self._time_is_up, file)

    def _begin(self, file: str, wanted: TapFilter, limit: int, descriptor: int) -> None:
        view = CaptureView(
            file=file,
            state=RUNNING,
            filter=filter_text(wanted),
            packets=0,
            octets=0,
            dropped=0,
            since=self._clock().wall,
            limit=limit,
        )
        capture = Capture(
            view,
            Output(descriptor, limit),
            lambda wake: self._watch.subscribe(wanted, QUEUE, wake),
            self._clock,
            lambda capture: self._from_thread(self._done, capture),
        )
        self._running[file] = capture
        capture.thread.start()

    def _time_is_up(self, file: str) -> None:
        self._timers.pop(file, None)
        if capture := self._running.get(file):
            capture.stop("Duration over")

    def _done(self, capture: Capture) -> None:
        """Note on the reactor thread that a capture has ended."""
        file = capture.view.file
        if self._running.get(file) is not capture:
            return
        del self._running[file]
        if timer := self._timers.pop(file, None):
            timer.cancel()
        capture.stop(capture.reason)
        view = capture.refresh()
        view.state = capture.reason
        self._ended.append(view)
        level = "error" if view.state.startswith("Failed") else "info"
        text = f"{view.state}; {view.packets} packets, {view.octets} octets, {view.dropped} dropped"
        self._tell(level, f"capture {file}: {text}")

    async def stop(self, file: str = "") -> list[CaptureView]:
        """End the capture to ``file`` (empty: all) and finish the file. Raises ApplianceError."""
        if file and file not in self._running:
            names = ", ".join(self._running) or "none"
            raise ApplianceError(f"No capture to {file} is running; there is {names}")
        chosen = {name: one for name, one in self._running.items() if not file or name == file}
        for capture in chosen.values():
            capture.stop("Stopped")
        for capture in chosen.values():
            await asyncio.to_thread(capture.thread.join, PATIENCE)
            if capture.thread.is_alive():
                capture.reason = f"Failed: the disk did not answer for {PATIENCE:g} seconds"
            self._done(capture)
        return [capture.view for capture in chosen.values()]

    def views(self) -> list[CaptureView]:
        """Running captures, and the last ones that ended; oldest first."""
        return [*self._ended, *(capture.refresh() for capture in self._running.values())]
