"""Accounting records in PostgreSQL, by the address of a database in the configuration.

::

    writer thread ── INSERT ... SELECT FROM unnest(arrays) ──▶ one statement, one commit, one round trip
    reader threads ── own connections, keyset pages ◀─────────

Durability: the server commits synchronously (``synchronous_commit = on`` is set for the session), so a record
that was answered is in its write-ahead log on the disk. A server that does not answer any more is noticed by
TCP within half a minute, and counts as down.

The table is the appliance's own: two AAA servers must not share a database. It needs ``psycopg``, which is
only loaded when such an address is configured.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from appliance.aaa import sql
from appliance.aaa.addresses import without_password
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
from appliance.errors import ResourceError

#: Seconds to connect, and for a statement of the writer, before the database counts as down.
CONNECT_SECONDS, STATEMENT_SECONDS = 5, 30
#: Newest layout of the tables that this code knows.
VERSION = 1

_TEXTS = frozenset({"host", "realm", "session", "user", "multi"})
_TYPES = {name: "text" if name in _TEXTS else "bytea" if name == "raw" else "bigint" for name in COLUMNS}
_OPTIONAL = frozenset({"event", "duration", "octets_in", "octets_out", "packets_in", "packets_out", "cause"})
#: The database numbers the rows; all else is given.
_GIVEN = COLUMNS[1:]


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


SCHEMA = (
    'CREATE TABLE record ("id" bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, '
    + ", ".join(f'"{name}" {_TYPES[name]}{"" if name in _OPTIONAL else " NOT NULL"}' for name in _GIVEN)
    + ', "again" integer NOT NULL DEFAULT 0)',
    "CREATE UNIQUE INDEX record_key ON record (session, sub, number, type, host, again)",
    'CREATE INDEX record_received ON record (received, "user")',
    "CREATE TABLE record_version (version integer NOT NULL)",
    f"INSERT INTO record_version VALUES ({VERSION})",
)
_INSERT = (
    f"INSERT INTO record ({_quoted(_GIVEN)}) SELECT * FROM unnest("
    + ", ".join(f"%b::{_TYPES[name]}[]" for name in _GIVEN)
    + ") ON CONFLICT (session, sub, number, type, host, again) DO NOTHING "
    "RETURNING session, sub, number, type, host"
)
_INSERT_AGAIN = f'INSERT INTO record ({_quoted(_GIVEN)}, "again") VALUES ({"%s, " * len(_GIVEN)}%s)'
_NEWEST = (
    "SELECT received, again FROM record WHERE session = %s AND sub = %s AND number = %s AND type = %s "
    "AND host = %s ORDER BY again DESC LIMIT 1"
)


def library() -> Any:
    """The library ``psycopg``. Raises ResourceError if it is not installed."""
    try:
        import psycopg
    except ImportError as error:
        raise ResourceError(
            "a PostgreSQL database needs psycopg; install it with \"pip install 'psycopg[binary]'\""
        ) from error
    return psycopg


class _Link:
    """One connection, made when it is needed."""

    def __init__(self, address: str, statement_seconds: int) -> None:
        self.psycopg = library()
        self.shown = without_password(address)
        self._address = address
        self._options = f"-c statement_timeout={statement_seconds * 1000} -c synchronous_commit=on"
        self._connection: Any = None

    def get(self) -> Any:
        """The connection. Raises StoreError."""
        if self._connection is None:
            try:
                self._connection = self.psycopg.connect(
                    self._address,
                    autocommit=True,
                    connect_timeout=CONNECT_SECONDS,
                    application_name="appliance",
                    options=self._options,
                    keepalives_idle=10,
                    keepalives_interval=5,
                    keepalives_count=3,
                    tcp_user_timeout=20_000,
                )
            except (self.psycopg.Error, ValueError) as error:
                raise self.failed(error) from error
        return self._connection

    def failed(self, error: Exception) -> StoreError:
        """Why something did not work; the next one begins with a new connection."""
        self.close()
        # It may repeat the address, with the password.
        lines = str(error).replace(self._address, self.shown).strip().splitlines()
        return StoreError(f"database {self.shown}: {lines[0] if lines else type(error).__name__}")

    def close(self) -> None:
        """Close the connection; never raises."""
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except self.psycopg.Error:
                # It was broken already.
                return


def _clean(record: Record) -> tuple[Any, ...]:
    """The values of a row; PostgreSQL has no NUL in its texts (``raw`` keeps it)."""
    if any("\0" in text for text in (record.session, record.user, record.host, record.realm, record.multi)):
        record = record._replace(
            **{name: getattr(record, name).replace("\0", "\ufffd") for name in sorted(_TEXTS)}
        )
    return record[1:]


class PostgresDatabase:
    """The writing side."""

    def __init__(self, address: str) -> None:
        """Raises ResourceError if the library is missing, or the address is none."""
        psycopg = library()
        try:
            psycopg.conninfo.conninfo_to_dict(address)
        except psycopg.Error as error:
            # The library repeats an address that it does not understand, with the password.
            shown = without_password(address)
            reason = str(error).replace(address, shown).strip().splitlines()[0]
            raise ResourceError(f"storage postgresql {shown}: {reason}") from None
        self._address = address
        self._link = _Link(address, STATEMENT_SECONDS)

    @property
    def description(self) -> str:
        """What it is, for operators."""
        return f"PostgreSQL {self._link.shown}"

    def open(self) -> None:
        """Connect, and make the tables that are missing. Raises StoreError."""
        link = self._link
        connection = link.get()
        try:
            with connection.transaction():
                known = connection.execute("SELECT to_regclass('record_version')").fetchone()[0]
                if known is None:
                    for statement in SCHEMA:
                        connection.execute(statement)
                    return
                version = connection.execute("SELECT max(version) FROM record_version").fetchone()[0]
        except link.psycopg.Error as error:
            raise link.failed(error) from error
        if version > VERSION:
            link.close()
            raise StoreError(f"database {link.shown}: made by a newer version of the appliance")

    def close(self) -> None:
        """Disconnect; never raises."""
        self._link.close()

    def write(self, records: Sequence[Record], window: int) -> list[Record]:
        """See :class:`appliance.aaa.records.Database`."""
        link = self._link
        connection, psycopg = link.get(), link.psycopg
        rows = [_clean(record) for record in records]
        try:
            with connection.transaction():
                columns = [list(column) for column in zip(*rows, strict=True)]
                new = connection.execute(_INSERT, columns).fetchall()
                if len(new) == len(rows):
                    return list(records)
                return self._sorted_out(connection, records, rows, set(new), window)
        except (psycopg.DataError, psycopg.IntegrityError, psycopg.errors.ProgramLimitExceeded) as error:
            raise RecordError(f"database {link.shown}: {error}") from error
        except psycopg.Error as error:
            raise link.failed(error) from error

    def _sorted_out(
        self,
        connection: Any,
        records: Sequence[Record],
        rows: list[tuple[Any, ...]],
        new: set[Any],
        window: int,
    ) -> list[Record]:
        """Which records went in; of the others, those whose twin is too old to be one."""
        fresh = []
        for record, row in zip(records, rows, strict=True):
            key = Record(None, *row).key
            if key in new:
                new.remove(key)
                fresh.append(record)
                continue
            received, again = connection.execute(_NEWEST, key).fetchone()
            if record.received - received > window:
                connection.execute(_INSERT_AGAIN, (*row, again + 1))
                fresh.append(record)
        return fresh

    def _run(self, statement: str, values: Sequence[Any]) -> Any:
        link = self._link
        connection = link.get()
        try:
            return connection.execute(statement, values)
        except link.psycopg.Error as error:
            raise link.failed(error) from error

    def prune(self, before: int, limit: int) -> int:
        """See :class:`appliance.aaa.records.Database`."""
        found = self._run(
            "DELETE FROM record WHERE id IN "
            "(SELECT id FROM record WHERE received < %s ORDER BY received LIMIT %s)",
            (before, limit),
        )
        return int(found.rowcount)

    def since(self, id_: int, limit: int) -> list[Record]:
        """See :class:`appliance.aaa.records.Database`."""
        found = self._run(f"SELECT {sql.NAMES} FROM record WHERE id > %s ORDER BY id LIMIT %s", (id_, limit))
        return [Record._make(row) for row in found]

    def row_at(self, received: int) -> int:
        """See :class:`appliance.aaa.records.Database`."""
        found = self._run(
            "SELECT coalesce((SELECT min(id) - 1 FROM record WHERE received >= %s), "
            "(SELECT max(id) FROM record), 0)",
            (received,),
        )
        return int(found.fetchone()[0])

    def row_of(self, begin: int, end: int, end_to_end: int) -> int | None:
        """See :class:`appliance.aaa.records.Database`."""
        found = self._run(
            "SELECT max(id) FROM record WHERE received >= %s AND received < %s AND end_to_end = %s",
            (begin, end, end_to_end),
        ).fetchone()[0]
        return None if found is None else int(found)

    def reader(self) -> "PostgresReader":
        """A new reader for another thread."""
        return PostgresReader(self._address)


def pattern(user: str) -> str:
    """A user name with our wildcards as a pattern of LIKE."""
    return "".join(
        {"$": "_", "*": "%", "%": r"\%", "_": r"\_", "\\": "\\\\"}.get(letter, letter) for letter in user
    )


DIALECT = sql.Dialect("%s", "LIKE", pattern)
_NEWEST_OF_SESSION = sql.newest(DIALECT)


class PostgresReader:
    """Reads records on its own connection."""

    def __init__(self, address: str) -> None:
        self._link = _Link(address, 0)

    def _rows(self, statement: str, values: Sequence[Any]) -> list[Any]:
        link = self._link
        connection = link.get()
        try:
            rows: list[Any] = connection.execute(statement, values).fetchall()
        except link.psycopg.Error as error:
            raise link.failed(error) from error
        return rows

    def _records(self, statement: str, values: Sequence[Any]) -> list[Record]:
        return [Record._make(row) for row in self._rows(statement, values)]

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
        rows = self._records(_NEWEST_OF_SESSION, (session, sub, host))
        return rows[0] if rows else None

    def summary(self, wanted: Selection) -> Iterator[UserDay]:
        """See :class:`appliance.aaa.records.RecordReader`."""
        where, values = sql.conditions(wanted, DIALECT)
        condition = sql.where_clause(where)
        sums = ", ".join(
            f"coalesce(sum({name}), 0)"
            for name in ("duration", "octets_in", "octets_out", "packets_in", "packets_out")
        )
        statement = (
            f'SELECT "user", received / {DAY} AS day, count(*), {sums} FROM ('
            'SELECT DISTINCT ON (session, sub, host, again) "user", received, duration, octets_in, '
            f"octets_out, packets_in, packets_out FROM record {condition}"
            "ORDER BY session, sub, host, again, number DESC, type DESC) AS newest "
            'GROUP BY "user", day ORDER BY "user", day'
        )
        link = self._link
        connection = link.get()
        try:
            # A cursor of the server's: the rows come as they are asked for.
            with connection.transaction(), connection.cursor(name="summary") as cursor:
                for user, day, *numbers in cursor.execute(statement, values):
                    yield UserDay(user, day, *map(int, numbers))
        except link.psycopg.Error as error:
            raise link.failed(error) from error

    def count(self) -> int:
        """See :class:`appliance.aaa.records.RecordReader`."""
        return int(self._rows("SELECT count(*) FROM record", ())[0][0])

    def close(self) -> None:
        """Disconnect; never raises."""
        self._link.close()
