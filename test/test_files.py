"""Configuration files that are read and written while the appliance runs."""

import asyncio
import contextlib
import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from appliance import files
from appliance.errors import ApplianceError


class FileTests(SynchronousTestCase):
    """A directory for each test."""

    def setUp(self) -> None:
        """Make it."""
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.work = Path(directory.name)
        self.path = str(self.work / "a.conf")

    def refused(self, coroutine: object) -> str:
        """Why."""
        return str(self.assertRaises(ApplianceError, asyncio.run, coroutine))

    def test_there_and_back(self) -> None:
        """For its owner only; what was there is replaced in one step, and no other file stays."""
        asyncio.run(files.write_text(self.path, "config\nend\n"))
        asyncio.run(files.write_text(self.path, "config\n# é\nend\n"))
        self.assertEqual(asyncio.run(files.read_text(self.path)), "config\n# é\nend\n")
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o600)
        self.assertEqual(os.listdir(self.work), ["a.conf"])

    def test_link(self) -> None:
        """A link stays a link: its target is replaced."""
        (self.work / "b.conf").symlink_to(self.path)
        asyncio.run(files.write_text(str(self.work / "b.conf"), "x"))
        self.assertTrue((self.work / "b.conf").is_symlink())
        self.assertEqual(Path(self.path).read_text(), "x")

    def test_refused(self) -> None:
        """Each thing that is no readable text file has its own line."""
        self.assertIn("No such file", self.refused(files.read_text(self.path)))
        self.assertIn("no regular file", self.refused(files.read_text(str(self.work))))
        opened: list[str] = []
        with self.recorded(opened):
            self.assertIn("no regular file", self.refused(files.read_text("/dev/null")))
        self.assertEqual(opened, [])
        os.mkfifo(self.work / "fifo")
        self.assertIn("no regular file", self.refused(files.read_text(str(self.work / "fifo"))))
        self.assertIn("no regular file", self.refused(files.write_text(str(self.work / "fifo"), "")))
        Path(self.path).write_bytes(b"config \xff")
        text = self.refused(files.read_text(self.path))
        self.assertIn("not UTF-8 text (invalid start byte at octet 7)", text)
        self.patch(files, "LIMIT", 4)
        self.assertIn("longer than 4 octets", self.refused(files.read_text(self.path)))
        self.assertIn("No such file", self.refused(files.write_text(str(self.work / "no" / "a"), "")))

    @contextlib.contextmanager
    def recorded(self, opened: list[str]) -> Iterator[None]:
        """Note what is opened: opening a device may do something already."""
        before = os.open

        def note(path: Any, *arguments: Any, **options: Any) -> int:
            opened.append(str(path))
            return before(path, *arguments, **options)

        with mock.patch.object(os, "open", note):
            yield

    def test_exists(self) -> None:
        """A file, and none."""
        Path(self.path).write_text("")
        self.assertTrue(asyncio.run(files.exists(self.path)))
        self.assertFalse(asyncio.run(files.exists(self.path + "x")))

    def test_full_disk(self) -> None:
        """The old file stays whole, and nothing is left beside it."""
        Path(self.path).write_text("old")

        def full(_descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        self.patch(os, "fsync", full)
        self.assertIn("No space left on device", self.refused(files.write_text(self.path, "new")))
        self.assertEqual(Path(self.path).read_text(), "old")
        self.assertEqual(os.listdir(self.work), ["a.conf"])


class ExportTests(SynchronousTestCase):
    """Long files, written bit by bit."""

    def setUp(self) -> None:
        self.folder = os.path.abspath(self.mktemp())
        os.mkdir(self.folder)
        self.path = f"{self.folder}/out"

    def write(self, *parts: list[str], replace: tuple[str, ...] | None = None) -> None:
        """A whole file of these lines."""

        async def go() -> None:
            file = files.Export(self.path, replace)
            try:
                await file.begin()
                for part in parts:
                    await file.write(part)
                await file.finish()
            finally:
                await file.discard()

        asyncio.run(go())

    def left(self) -> list[str]:
        """What is in the directory."""
        return sorted(os.listdir(self.folder))

    def test_whole(self) -> None:
        """All lines, for the owner only; text that is no UTF-8 does not end it."""
        self.write(["a", "b"], [], ["\udcff"])
        with open(self.path, encoding="utf-8") as file:
            self.assertEqual(file.read(), "a\nb\n\\udcff\n")
        self.assertEqual(os.stat(self.path).st_mode & 0o777, 0o600)
        self.assertEqual(self.left(), ["out"])

    def test_what_is_there(self) -> None:
        """Only a file that begins rightly, or an empty one, is replaced; no link, FIFO or directory is."""
        self.write(["head 1"])
        self.assertRaises(ApplianceError, self.write, ["x"])
        self.write(["head 2"], replace=("head", "other"))
        error = self.assertRaises(ApplianceError, self.write, ["x"], replace=("y",))
        self.assertIn("no such file", str(error))
        os.truncate(self.path, 0)
        self.write(["head 3"], replace=("y",))
        os.rename(self.path, f"{self.folder}/kept")
        for make, text in (
            (lambda: os.symlink(f"{self.folder}/kept", self.path), "is a link"),
            (lambda: os.symlink(f"{self.folder}/nowhere", self.path), "is a link"),
            (lambda: os.mkfifo(self.path), "no regular file"),
            (lambda: os.mkdir(self.path), "no regular file"),
        ):
            make()
            error = self.assertRaises(ApplianceError, self.write, ["x"], replace=("head",))
            self.assertIn(text, str(error))
            self.assertEqual(self.left(), ["kept", "out"])
            os.rmdir(self.path) if os.path.isdir(self.path) else os.unlink(self.path)
        with open(f"{self.folder}/kept", encoding="utf-8") as file:
            self.assertEqual(file.read(), "head 3\n")

    def test_somebody_was_faster(self) -> None:
        """What has got the name meanwhile is not replaced, also where there are no hard links."""

        async def go() -> None:
            file = files.Export(self.path, None)
            await file.begin()
            await file.write(["x"])
            os.symlink("/nowhere", self.path)
            await file.finish()

        for link in (os.link, self.no_links):
            self.patch(os, "link", link)
            error = self.assertRaises(ApplianceError, asyncio.run, go())
            self.assertIn("File exists", str(error))
            self.assertEqual(self.left(), ["out"])
            os.unlink(self.path)
        self.write(["y"])
        self.assertEqual(self.left(), ["out"])

    @staticmethod
    def no_links(*_args: object, **_options: object) -> None:
        """A file system without hard links."""
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    def test_faults(self) -> None:
        """A directory that is not there, a full disk: nothing is left, and it is said what it was."""
        self.path = f"{self.folder}/no/out"
        self.assertIn("No such file", str(self.assertRaises(ApplianceError, self.write, ["x"])))
        self.path = f"{self.folder}/out"

        def full(_descriptor: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        self.patch(os, "fsync", full)
        error = self.assertRaises(ApplianceError, self.write, ["x"])
        self.assertEqual(str(error), f"{self.path}: No space left on device; nothing was written")
        self.assertEqual(self.left(), [])

    def test_cancelled(self) -> None:
        """Who wants no more leaves nothing behind, also while a thread is writing."""

        async def go() -> None:
            file = files.Export(self.path, None)

            async def write() -> None:
                try:
                    await file.begin()
                    while True:
                        await file.write(["x" * 1_000] * 100)
                finally:
                    await file.discard()

            task = asyncio.ensure_future(write())
            while not self.left():
                await asyncio.sleep(0.001)
            task.cancel()
            await asyncio.wait([task])
            self.assertTrue(task.cancelled())

        asyncio.run(go())
        self.assertEqual(self.left(), [])
