"""Configuration files that are read and written while the appliance runs."""

import asyncio
import contextlib
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
