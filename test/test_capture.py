"""Captures to files: whole, private, bounded, and ended by whatever the disk does."""

import asyncio
import errno
import io
import os
import shutil
import stat
import subprocess
import tempfile
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from scapy.utils import RawPcapNgReader
from twisted.internet.task import Clock
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from appliance import capture
from appliance.capture import CAPTURES, Captures
from appliance.errors import ApplianceError
from appliance.pcapng import ip_packet
from appliance.ports import CaptureView, TapFilter
from appliance.protocols.timers import Now
from test.tapped import OTHER_MAG, WALL, World, event, pba, pbu

MIB = 1024 * 1024


class Bench(SynchronousTestCase):
    """Captures of a world, and a directory."""

    def setUp(self) -> None:
        """Nothing runs yet; what threads have to say is kept until it is asked for."""
        self.world = World()
        self.clock = Clock()
        self.log: list[tuple[str, str]] = []
        self.calls: list[tuple[Callable[..., object], tuple[Any, ...]]] = []
        self.said = threading.Event()
        self.captures = Captures(
            self.world.tap,
            lambda level, text: self.log.append((level, text)),
            lambda: Now(self.clock.seconds(), WALL + self.clock.seconds()),
            self.clock.callLater,
            self.from_thread,
        )
        self.directory = Path(tempfile.mkdtemp(prefix="appliance-capture-"))
        self.addCleanup(shutil.rmtree, self.directory, True)
        self.addCleanup(lambda: self.run_now(self.captures.stop()))

    def from_thread(self, call: Callable[..., object], *args: Any) -> None:
        """What the reactor's callFromThread would be."""
        self.calls.append((call, args))
        self.said.set()

    def run_now(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine to its end."""
        loop = asyncio.new_event_loop()
        try:
            return loop.run_until_complete(coroutine)
        finally:
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()

    def start(self, name: str = "a.pcapng", limit: int = MIB, duration: int = 0, **wanted: Any) -> str:
        """Start a capture; returns its path."""
        file = str(self.directory / name)
        self.run_now(self.captures.start(file, TapFilter(**wanted), limit, duration))
        return file

    def wait(self) -> CaptureView:
        """Wait until a capture has ended by itself."""
        self.assertTrue(self.said.wait(5))
        self.said.clear()
        for call, args in self.calls:
            call(*args)
        self.calls.clear()
        return self.captures.views()[-1]

    def read(self, file: str) -> list[bytes]:
        """The packets of a file as Scapy reads them."""
        with RawPcapNgReader(io.BytesIO(Path(file).read_bytes())) as reader:
            return [data for data, _ in reader]


class CaptureTest(Bench):
    """A disk that does what it should."""

    def test_messages(self) -> None:
        """Messages of both directions are in the file, events are not; the file is for its owner only."""
        file = self.start()
        items = [pbu(), pba()]
        self.world.tell(*items, event("note", "hello"))
        (view,) = self.run_now(self.captures.stop(file))
        self.assertEqual(self.read(file), [ip_packet(item) for item in items])
        self.assertEqual(stat.S_IMODE(os.stat(file).st_mode), 0o600)
        self.assertEqual((view.packets, view.dropped, view.state), (2, 0, "Stopped"))
        self.assertEqual(view.octets, os.stat(file).st_size)
        self.assertFalse(self.world.raw.listening)
        self.assertEqual(
            self.log, [("info", f"capture {file}: Stopped; 2 packets, {view.octets} octets, 0 dropped")]
        )

    def test_written_while_it_runs(self) -> None:
        """What was seen is in the file soon, not only at the end."""
        file = self.start()
        self.world.tell(pbu())
        deadline = threading.Event()
        for _ in range(100):
            if self.captures.views()[0].packets:
                break
            deadline.wait(0.05)
        self.assertEqual(self.read(file), [ip_packet(pbu())])
        self.assertEqual(self.captures.views()[0].state, "Running")

    def test_filter(self) -> None:
        """Only what fits is written; the filter is shown and is in the file."""
        file = self.start(peer="2001:db8:a::2")
        self.world.tell(pbu(), pbu(peer=OTHER_MAG))
        self.assertEqual(self.captures.views()[0].filter, "peer 2001:db8:a::2")
        self.run_now(self.captures.stop())
        self.assertEqual(len(self.read(file)), 1)
        self.assertIn(b"peer 2001:db8:a::2", Path(file).read_bytes())

    def test_new_files_only(self) -> None:
        """A file or link that is there is left alone, a directory that is not there is named."""
        there = self.directory / "there"
        there.write_text("keep")
        link = self.directory / "link"
        link.symlink_to(self.directory / "elsewhere")
        for name, text in (("there", "File exists"), ("link", "File exists"), ("no/file", "No such file")):
            error = self.assertRaises(ApplianceError, self.start, name)
            self.assertIn(text, str(error))
        self.assertEqual(there.read_text(), "keep")
        self.assertEqual(self.captures.views(), [])

    def test_bad_filter_leaves_no_file(self) -> None:
        """A capture that cannot begin leaves nothing behind."""
        self.assertRaises(ApplianceError, self.start, service="lma9")
        self.assertEqual(list(self.directory.iterdir()), [])
        self.assertEqual(self.captures.views(), [])

    def test_cancelled(self) -> None:
        """An operator who does not wait for the file leaves nothing behind."""
        opened = threading.Event()
        real = capture.open_new

        def open_late(file: str) -> int:
            """Open it when the operator has gone."""
            opened.wait(5)
            return real(file)

        self.patch(capture, "open_new", open_late)

        async def cancel() -> None:
            """Start and cancel."""
            file = str(self.directory / "late")
            task = asyncio.ensure_future(self.captures.start(file, TapFilter(), MIB, 0))
            await asyncio.sleep(0.01)
            task.cancel()
            await asyncio.wait([task])
            opened.set()
            for _ in range(100):
                await asyncio.sleep(0.01)
                if len(asyncio.all_tasks()) == 1:
                    break

        self.run_now(cancel())
        self.assertEqual(list(self.directory.iterdir()), [])
        self.assertEqual(self.captures.views(), [])
        self.assertFalse(self.world.raw.listening)

    def test_number_of_captures(self) -> None:
        """There are at most so many."""
        for number in range(CAPTURES):
            self.start(str(number))
        error = self.assertRaises(ApplianceError, self.start, "more")
        self.assertIn("capture stop", str(error))
        self.assertEqual(len(self.run_now(self.captures.stop())), CAPTURES)
        self.start("more")

    def test_stop(self) -> None:
        """A capture that does not run cannot be stopped; stopping all of none is no error."""
        error = self.assertRaises(ApplianceError, self.run_now, self.captures.stop("/nowhere"))
        self.assertEqual(str(error), "No capture to /nowhere is running; there is none")
        self.assertEqual(self.run_now(self.captures.stop()), [])

    def test_duration(self) -> None:
        """It ends by itself after its time."""
        file = self.start(duration=10)
        self.world.tell(pbu())
        self.clock.advance(9)
        self.assertEqual(self.captures.views()[0].state, "Running")
        self.clock.advance(2)
        self.assertEqual(self.wait().state, "Duration over")
        self.assertEqual(len(self.read(file)), 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stop_before_its_time(self) -> None:
        """No timer stays behind."""
        self.run_now(self.captures.stop(self.start(duration=10)))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_size_limit(self) -> None:
        """The file never gets larger than its limit, statistics included, and is whole."""
        file = self.start(limit=4000)
        for _ in range(40):
            self.world.tell(pbu())
        view = self.wait()
        self.assertEqual(view.state, "Size limit reached")
        self.assertLessEqual(os.stat(file).st_size, 4000)
        self.assertEqual(len(self.read(file)), view.packets)
        self.assertGreater(view.packets, 20)

    def test_dropped(self) -> None:
        """Messages that found the queue full are counted in the view and in the file."""
        self.patch(capture, "QUEUE", 3)
        file = self.start()
        for _ in range(10):
            self.world.tell(pbu())
        (view,) = self.run_now(self.captures.stop(file))
        self.assertEqual(view.packets + view.dropped, 10)
        self.assertGreaterEqual(view.dropped, 4)
        written = Path(file).read_bytes()
        # Option 5 of the interface statistics: isb_ifdrop.
        self.assertIn(b"\5\0\x08\0" + view.dropped.to_bytes(8, "little"), written[-48:])
        if program := shutil.which("tshark"):
            command = [program, "-r", file, "-T", "fields", "-e", "_ws.malformed"]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            self.assertEqual(done.stdout.strip(), "")

    def test_ended_captures_are_shown(self) -> None:
        """The last ones that ended stay in the list, not for ever."""
        for number in range(capture.REMEMBERED + 2):
            self.run_now(self.captures.stop(self.start(str(number))))
        names = [Path(view.file).name for view in self.captures.views()]
        self.assertEqual(names, [str(number) for number in range(2, capture.REMEMBERED + 2)])


class BadDiskTest(Bench):
    """A disk that refuses ends the capture with a log line and nothing else."""

    def refuse(self, after: int) -> None:
        """Have the disk take so many octets more, then be full."""
        real, left = os.write, [after]

        def write(descriptor: int, data: bytes) -> int:
            """Write what there is room for."""
            if not left[0]:
                raise OSError(errno.ENOSPC, "No space left on device")
            count = real(descriptor, data[: left[0]])
            left[0] -= count
            return count

        self.patch(capture.os, "write", write)

    def test_full_at_once(self) -> None:
        """Not even the first block fits."""
        self.refuse(10)
        file = self.start()
        self.assertEqual(self.wait().state, "Failed: No space left on device")
        self.assertEqual(os.stat(file).st_size, 0)
        self.assertEqual(self.log[0][0], "error")
        self.assertFalse(self.world.raw.listening)

    def test_full_later(self) -> None:
        """The file ends with the last message that fitted and can be read."""
        self.refuse(2000)
        file = self.start()
        for _ in range(40):
            self.world.tell(pbu())
        view = self.wait()
        self.assertEqual(view.state, "Failed: No space left on device")
        self.assertGreater(view.packets, 5)
        self.assertEqual(len(self.read(file)), view.packets)
        self.assertEqual(os.stat(file).st_size, view.octets)

    def test_full_file_system(self) -> None:
        """The same with a file system of 64 KiB."""
        mount = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(self.directory)], capture_output=True
        )
        if mount.returncode:
            raise SkipTest("a file system cannot be mounted here")
        self.addCleanup(subprocess.run, ["umount", str(self.directory)], check=True)
        file = self.start()
        for _ in range(2000):
            self.world.tell(pbu())
        view = self.wait()
        self.assertEqual(view.state, "Failed: No space left on device")
        self.assertEqual(len(self.read(file)), view.packets)
        self.assertGreater(view.packets, 200)
        self.assertEqual(self.captures.views(), [view])

    def test_disk_that_does_not_answer(self) -> None:
        """Stopping does not wait for ever."""
        answer = threading.Event()
        self.addCleanup(answer.set)
        real = os.write

        def write(descriptor: int, data: bytes) -> int:
            """Wait, but only for what the capture writes."""
            answer.wait(20)
            return real(descriptor, data)

        self.patch(capture.os, "write", write)
        self.patch(capture, "PATIENCE", 0.1)
        file = self.start()
        self.world.tell(pbu())
        (view,) = self.run_now(self.captures.stop(file))
        self.assertIn("did not answer", view.state)
        self.assertEqual(len(self.captures.views()), 1)
