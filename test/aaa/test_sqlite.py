"""Accounting records in SQLite."""

import os
import sqlite3
import stat
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from appliance.aaa.records import DAY, Database, Selection, StoreError
from appliance.aaa.sqlite import CHUNKS, SqliteDatabase
from test.aaa.store_cases import StoreCases, record


class SqliteTests(StoreCases, SynchronousTestCase):
    """All cases, and what only files have."""

    def database(self) -> Database:
        self.path = Path(self.mktemp()) / "deep" / "aaa.db"
        return SqliteDatabase(str(self.path))

    def test_durability(self) -> None:
        """What the docstring promises."""
        connection = self.store._open()  # type: ignore[attr-defined]
        self.assertEqual(connection.execute("PRAGMA journal_mode").fetchone()[0], "wal")
        self.assertEqual(connection.execute("PRAGMA synchronous").fetchone()[0], 2, "FULL")

    def test_only_for_its_owner(self) -> None:
        """Records say who was where and when."""
        self.put(record())
        for path in self.path.parent.iterdir():
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600, path)

    def test_statements_fit(self) -> None:
        """The longest statement has fewer values than SQLite takes."""
        self.assertLess(CHUNKS[0] * 21, 32_766)

    def test_odd_paths(self) -> None:
        """Characters that mean something in a URI."""
        path = Path(self.mktemp()) / "a?b#c%20d" / "x.db"
        store = SqliteDatabase(str(path))
        store.open()
        store.write([record()], DAY)
        store.close()
        self.assertTrue(path.exists())

    def test_no_database(self) -> None:
        """A file that is none: it is named, and left alone."""
        path = Path(self.mktemp())
        path.write_bytes(b"not a database, but long enough to look at " * 100)
        with self.assertRaisesRegex(StoreError, "file is not a database"):
            SqliteDatabase(str(path)).open()
        self.assertTrue(path.read_bytes().startswith(b"not a database"))

    def test_newer_version(self) -> None:
        """Tables of a later version are not touched."""
        self.store.close()
        connection = sqlite3.connect(self.path)
        connection.execute("PRAGMA user_version = 99")
        connection.close()
        with self.assertRaisesRegex(StoreError, "newer version"):
            self.store.open()

    def test_directory_that_cannot_be_made(self) -> None:
        """The error says where."""
        path = Path(self.mktemp())
        path.write_text("a file")
        with self.assertRaisesRegex(StoreError, "Not a directory|File exists"):
            SqliteDatabase(str(path / "x.db")).open()

    def test_locked_by_another(self) -> None:
        """Another process writes: an error, and the next try works."""
        other = sqlite3.connect(self.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        self.patch(sqlite3, "connect", sqlite3.connect)
        self.store._open().execute("PRAGMA busy_timeout = 10")  # type: ignore[attr-defined]
        with self.assertRaisesRegex(StoreError, "locked"):
            self.put(record())
        other.execute("ROLLBACK")
        other.close()
        self.assertEqual(len(self.put(record())), 1)

    def test_reading_while_written(self) -> None:
        """A reader sees what was committed, and keeps nobody from writing."""
        self.put(*(record(f"s;{number}") for number in range(100)))
        found = self.reader.summary(Selection())
        next(found)
        self.assertEqual(len(self.put(record("late"))), 1)
        self.assertEqual(self.reader.count(), 101)

    def test_a_reader_cannot_write(self) -> None:
        """Whatever an operator asks for."""
        with self.assertRaises(StoreError):
            self.reader._run("DELETE FROM record", ())  # type: ignore[attr-defined]

    def test_file_taken_away(self) -> None:
        """A reader of a file that is not there says so, and does not make one."""
        path = Path(self.mktemp()) / "none.db"
        with self.assertRaises(StoreError):
            SqliteDatabase(str(path)).reader().count()
        self.assertFalse(os.path.exists(path))
