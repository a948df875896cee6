"""Accounting records in SQLite: the default.

::

    writer thread ── BEGIN; INSERT ... VALUES (..),(..), ...; COMMIT ──▶ aaa.db-wal ──fsync── answered
                                                                            │ checkpoint
    reader threads ── own connections, short transactions ◀── aaa.db ◀──────┘

Durability: write-ahead log with ``synchronous=FULL``. Every commit is followed by an fsync of the log before
it returns, so a record that was answered survives ``kill -9`` and, on a disk that keeps its promises, a loss
of power. One commit takes all records that came in meanwhile.

Why rows are written by one long statement and not by ``executemany``: the module gives up the interpreter's
lock around every step of a statement and takes it again. Beside a busy reactor thread each taking costs up to
5 ms; one statement of 256 rows takes it once.
"""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from appliance.aaa import sql
from appliance.aaa.records import (
    COLUMNS,
    DAY,
    Place,
    Record,
    RecordError,
    Selection,
    StoreError,
    UserDay,
)

#: Rows of one statement: each size is prepared once, so there are few.
CHUNKS = (256, 64, 16, 4, 1)
#: Pages of the write-ahead log before it is copied into the database: fewer copies, a bounded file.
CHECKPOINT_PAGES = 4_000
#: Seconds that a lock of another process is waited for.
BUSY_SECONDS = 2.0
#: Newest layout of the tables that this code knows.
VERSION = 1

# Both indexes grow at few places: keys at the newest session of each client, times at the end. An index by
# user would touch another page for each record, which costs more than all the rest. The records of a user are
# found by a walk along the times, without a look at those of others.
SCHEMA = (
    """CREATE TABLE record (
        id INTEGER PRIMARY KEY, received INTEGER NOT NULL, end_to_end INTEGER NOT NULL, host TEXT NOT NULL,
        realm TEXT NOT NULL, session TEXT NOT NULL, sub INTEGER NOT NULL, number INTEGER NOT NULL,
        type INTEGER NOT NULL, user TEXT NOT NULL, event INTEGER, duration INTEGER, octets_in INTEGER,
        octets_out INTEGER, packets_in INTEGER, packets_out INTEGER, cause INTEGER, multi TEXT NOT NULL,
        application INTEGER NOT NULL, raw BLOB NOT NULL, again INTEGER NOT NULL DEFAULT 0)""",
    "CREATE UNIQUE INDEX record_key ON record (session, sub, number, type, host, again)",
    "CREATE INDEX record_received ON record (received, user)",
    f"PRAGMA user_version = {VERSION}",
)
_ROW = "(" + "?," * len(COLUMNS) + "{again})"
_INSERT = {
    size: f"INSERT INTO record ({sql.NAMES}, again) VALUES {','.join([_ROW.format(again=0)] * size)} "
    "ON CONFLICT (session, sub, number, type, host, again) DO NOTHING"
    for size in CHUNKS
}
_INSERT_AGAIN = f"INSERT INTO record ({sql.NAMES}, again) VALUES {_ROW.format(again='?')}"
_KEYS = "SELECT session, sub, number, type, host FROM record WHERE id > ?"
_OLDEST = (
    "SELECT received, again FROM record WHERE session = ? AND sub = ? AND number = ? AND type = ? "
    "AND host = ? ORDER BY again DESC LIMIT 1"
)


def _connect(path: str, reading: bool) -> sqlite3.Connection:
    # Also a reader has to be able to write the shared index of the log.
    connection = sqlite3.connect(
        f"file:{_quoted(path)}?mode={'rw' if reading else 'rwc'}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=BUSY_SECONDS,
    )
    if reading:
        connection.execute("PRAGMA query_only = 1")
    else:
        connection.execute("PRAGMA cache_size = -32000")
    return connection


def _quoted(path: str) -> str:
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def _why(path: str, error: sqlite3.Error) -> StoreError:
    return StoreError(f"database {path}: {error}")


class SqliteDatabase:
    """The writing side of one file."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None

    @property
    def description(self) -> str:
        """What it is, for operators."""
        return f"SQLite {self.path}"

    def open(self) -> None:
        """Open the file, made with mode 0600 if it is not there. Raises StoreError."""
        try:
            os.makedirs(os.path.dirname(self.path) or ".", exist_ok=True)
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            connection = _connect(self.path, reading=False)
        except OSError as error:
            raise StoreError(f"database {self.path}: {error.strerror}") from error
        except sqlite3.Error as error:
            raise _why(self.path, error) from error
        try:
            self._prepare(connection)
        except sqlite3.Error as error:
            connection.close()
            raise _why(self.path, error) from error
        except StoreError:
            connection.close()
            raise
        self._connection = connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit = {CHECKPOINT_PAGES * 8_192}")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise StoreError(f"database {self.path}: made by a newer version of the appliance")
        if version == 0:
            connection.execute("BEGIN IMMEDIATE")
            for statement in SCHEMA:
                connection.execute(statement)
            connection.execute("COMMIT")

    def close(self) -> None:
        """Close the file; never raises."""
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except sqlite3.Error:
                # It was broken already; every commit is on the disk.
                return

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self.open()
        assert self._connection is not None
        return self._connection

    def write(self, records: Sequence[Record], window: int) -> list[Record]:
        """See :class:`appliance.aaa.records.Database`."""
        connection = self._open()
        try:
            connection.execute("BEGIN IMMEDIATE")
            fresh = self._insert(connection, records, window)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._undo(connection)
            if isinstance(error, (sqlite3.OperationalError, sqlite3.InternalError)) or (
                type(error) is sqlite3.DatabaseError
            ):
                raise _why(self.path, error) from error
            raise RecordError(f"database {self.path}: {error}") from error
        except OverflowError as error:
            self._undo(connection)
            raise RecordError(f"database {self.path}: {error}") from error
        return fresh

    def _undo(self, connection: sqlite3.Connection) -> None:
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except sqlite3.Error:
            # Not even that: begin anew with a fresh connection. What was not committed is not there.
            self.close()

    def _insert(self, connection: sqlite3.Connection, records: Sequence[Record], window: int) -> list[Record]:
        place = 0
        fresh: list[Record] = []
        for size in CHUNKS:
            while len(records) - place >= size:
                part = records[place : place + size]
                place += size
                cursor = connection.execute(_INSERT[size], list(chain.from_iterable(part)))
                if cursor.rowcount == size:
                    fresh.extend(part)
                else:
                    fresh.extend(self._sorted_out(connection, cursor, part, window))
        return fresh

    def _sorted_out(
        self, connection: sqlite3.Connection, cursor: sqlite3.Cursor, part: Sequence[Record], window: int
    ) -> list[Record]:
        """Which records of a statement went in; of the others, those whose twin is too old to be one."""
        new: set[Any] = set()
        if cursor.rowcount:
            # One writer: the rows of one statement have neighbouring numbers.
            assert cursor.lastrowid is not None
            new = set(connection.execute(_KEYS, (cursor.lastrowid - cursor.rowcount,)))
        fresh = []
        for record in part:
            if record.key in new:
                new.remove(record.key)
                fresh.append(record)
                continue
            received, again = connection.execute(_OLDEST, record.key).fetchone()
            if record.received - received > window:
                connection.execute(_INSERT_AGAIN, (*record, again + 1))
                fresh.append(record)
        return fresh

    def prune(self, before: int, limit: int) -> int:
        """See :class:`appliance.aaa.records.Database`."""
        connection = self._open()
        try:
            return connection.execute(
                "DELETE FROM record WHERE id IN "
                "(SELECT id FROM record WHERE received < ? ORDER BY received LIMIT ?)",
                (before, limit),
            ).rowcount
        except sqlite3.Error as error:
            raise _why(self.path, error) from error

    def since(self, id_: int, limit: int) -> list[Record]:
        """See :class:`appliance.aaa.records.Database`."""
        connection = self._open()
        try:
            return [
                Record._make(row)
                for row in connection.execute(
                    f"SELECT {sql.NAMES} FROM record WHERE id > ? ORDER BY id LIMIT ?", (id_, limit)
                )
            ]
        except sqlite3.Error as error:
            raise _why(self.path, error) from error

    def row_at(self, received: int) -> int:
        """See :class:`appliance.aaa.records.Database`."""
        connection = self._open()
        try:
            found = connection.execute(
                "SELECT coalesce((SELECT min(id) - 1 FROM record WHERE received >= ?), "
                "(SELECT max(id) FROM record), 0)",
                (received,),
            ).fetchone()
        except sqlite3.Error as error:
            raise _why(self.path, error) from error
        return int(found[0])

    def row_of(self, begin: int, end: int, end_to_end: int) -> int | None:
        """See :class:`appliance.aaa.records.Database`."""
        connection = self._open()
        try:
            found = connection.execute(
                "SELECT max(id) FROM record WHERE received >= ? AND received < ? AND end_to_end = ?",
                (begin, end, end_to_end),
            ).fetchone()[0]
        except sqlite3.Error as error:
            raise _why(self.path, error) from error
        return None if found is None else int(found)

    def reader(self) -> "SqliteReader":
        """A new reader for another thread."""
        return SqliteReader(self.path)


def pattern(user: str) -> str:
    """A user name with our wildcards as a pattern of GLOB."""
    return "".join({"$": "?", "*": "*", "?": "[?]", "[": "[[]"}.get(letter, letter) for letter in user)


DIALECT = sql.Dialect("?", "GLOB", pattern)
_NEWEST = sql.newest(DIALECT)


class SqliteReader:
    """Reads records on its own connection, in short transactions."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None

    def _run(self, statement: str, values: Sequence[Any]) -> sqlite3.Cursor:
        try:
            if self._connection is None:
                self._connection = _connect(self._path, reading=True)
            return self._connection.execute(statement, values)
        except sqlite3.Error as error:
            raise _why(self._path, error) from error

    def _records(self, statement: str, values: Sequence[Any]) -> list[Record]:
        try:
            return [Record._make(row) for row in self._run(statement, values)]
        except sqlite3.Error as error:
            raise _why(self._path, error) from error

    def page(
        self, wanted: Selection, behind: Place | None, limit: int, backwards: bool = False
    ) -> list[Record]:
        """See :class:`appliance.aaa.records.RecordReader`."""
        return self._records(*sql.page(wanted, DIALECT, behind, limit, backwards))

    def open_sessions(self, wanted: Selection, behind: Place | None, limit: int) -> list[Record]:
        """See :class:`appliance.aaa.records.RecordReader`."""
        return self._records(*sql.page(wanted, DIALECT, behind, limit, more=(sql.OPEN,)))

    def newest(self, session: str, sub: int, host: str) -> Record | None:
        """See :class:`appliance.aaa.records.RecordReader`."""
        rows = self._records(_NEWEST, (session, sub, host))
        return rows[0] if rows else None

    def summary(self, wanted: Selection) -> Iterator[UserDay]:
        """See :class:`appliance.aaa.records.RecordReader`."""
        where, values = sql.conditions(wanted, DIALECT)
        condition = sql.where_clause(where)
        # Bare columns of a query with max() are those of the row that has it. Sums of 64-bit counters could
        # overflow: they are taken in two halves.
        sums = ", ".join(
            f"total({name} >> 32), total({name} & 4294967295)"
            for name in ("octets_in", "octets_out", "packets_in", "packets_out")
        )
        statement = (
            f"SELECT user, received / {DAY}, count(*), total(duration), {sums} FROM ("
            "SELECT user, received, duration, octets_in, octets_out, packets_in, packets_out, "
            f"max(number * 8 + type) FROM record {condition}GROUP BY session, sub, host, again) "
            f"GROUP BY user, received / {DAY} ORDER BY user, received / {DAY}"
        )
        try:
            for user, day, sessions, duration, *halves in self._run(statement, values):
                whole = [(int(high) << 32) + int(low) for high, low in zip(*[iter(halves)] * 2, strict=True)]
                yield UserDay(user, day, sessions, int(duration), *whole)
        except sqlite3.Error as error:
            raise _why(self._path, error) from error

    def count(self) -> int:
        """See :class:`appliance.aaa.records.RecordReader`."""
        try:
            return int(self._run("SELECT count(*) FROM record", ()).fetchone()[0])
        except sqlite3.Error as error:
            raise _why(self._path, error) from error

    def close(self) -> None:
        """Close the connection; never raises."""
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except sqlite3.Error:
                # Nothing can be lost by a reader.
                return
