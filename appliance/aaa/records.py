"""Accounting records as they are kept, and what a database of them has to do.

::

    ACR ──record_of──▶ Record ──RecordWriter──▶ Database.write   (one thread, a batch is one commit)
                                                     │
    show accounting ◀── RecordReader ◀── pages ──────┘           (other threads, own connections)

A record is a plain tuple in the order of the columns, so that a database takes it as it is. Its AVPs are kept
as they were received (``raw``): a full view, an export and a search for any attribute read them again.
"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from attrs import define

from appliance.errors import ApplianceError

# Accounting-Record-Type (RFC 6733 section 9.8.1).
EVENT, START, INTERIM, STOP = 1, 2, 3, 4

#: Accounting-Sub-Session-Id of a record that has none: a key of a database may not be empty.
NO_SUB_SESSION = -1
#: Longest text of a column, in characters; longer ones are cut and told apart by their hash.
LONGEST_TEXT = 512
#: Largest number of a column.
MOST = (1 << 63) - 1

MICROSECONDS = 1_000_000
DAY = 86_400 * MICROSECONDS


class StoreError(ApplianceError):
    """The database cannot take or give records now; the text says why."""


class RecordError(ApplianceError):
    """The database refuses one of these records for what is in it; others it would take."""


class Record(NamedTuple):
    """One accounting record. The order of the fields is that of the columns."""

    id: int | None
    """Number of the row; ``None`` until it is stored."""
    received: int
    """When the ACR came in, microseconds since 1970."""
    end_to_end: int
    host: str
    """Origin-Host."""
    realm: str
    """Origin-Realm."""
    session: str
    """Session-Id."""
    sub: int
    """Accounting-Sub-Session-Id as :func:`signed` has it, or ``NO_SUB_SESSION``."""
    number: int
    """Accounting-Record-Number."""
    type: int
    """Accounting-Record-Type."""
    user: str
    """User-Name; empty: none."""
    event: int | None
    """Event-Timestamp, seconds since 1970."""
    duration: int | None
    """Acct-Session-Time, seconds."""
    octets_in: int | None
    octets_out: int | None
    packets_in: int | None
    packets_out: int | None
    cause: int | None
    """Termination-Cause."""
    multi: str
    """Acct-Multi-Session-Id; empty: none."""
    application: int
    raw: bytes
    """All AVPs as they were received."""

    @property
    def key(self) -> tuple[str, int, int, int, str]:
        """What tells it from every other record (RFC 6733 section 9.4).

        The Origin-Host is a part of it, so that no client can keep the records of another one out by sending
        its own under that one's Session-Id before.
        """
        return (self.session, self.sub, self.number, self.type, self.host)


#: Names of the columns, in order.
COLUMNS = Record._fields


def signed(number: int) -> int:
    """An Unsigned64 as the 64 bits of a signed column."""
    return number - (1 << 64) if number > MOST else number


def counter(number: int | None) -> int | None:
    """A counter for a column: what does not fit stays at the largest number (``raw`` keeps it exactly)."""
    return None if number is None else min(number, MOST)


def column_text(text: str) -> str:
    """Text for a column: a longer one than an index may hold is cut, with its SHA-256 behind."""
    if len(text) <= LONGEST_TEXT:
        return text
    return text[: LONGEST_TEXT - 65] + "~" + hashlib.sha256(text.encode()).hexdigest()


@define(slots=True, kw_only=True)
class Selection:
    """Which records, as a database can find them. Empty fields match all."""

    user: str = ""
    """``*`` and ``$`` are wildcards, see :mod:`appliance.wildcards`."""
    session: str = ""
    after: int | None = None
    """Received at this microsecond or later."""
    before: int | None = None
    """Received before this microsecond."""
    types: tuple[int, ...] = ()


class Place(NamedTuple):
    """Where a page ended: the next one begins behind it. Records are given in the order of reception."""

    received: int
    id: int


@define(slots=True)
class UserDay:
    """What one user did on one day (UTC)."""

    user: str
    day: int
    """Days since 1970."""
    sessions: int
    duration: int
    """Seconds."""
    octets_in: int
    octets_out: int
    packets_in: int
    packets_out: int


class Database(Protocol):
    """A database that records are written to, by one thread. All calls block."""

    @property
    def description(self) -> str:
        """What it is, for operators; without a password."""

    def open(self) -> None:
        """Connect, and make the tables that are missing. Raises StoreError."""

    def close(self) -> None:
        """Disconnect; never raises."""

    def write(self, records: Sequence[Record], window: int) -> list[Record]:
        """Store records for good: at return they survive the end of the process and a loss of power.

        A record whose key was stored before, at most ``window`` microseconds earlier than it was received,
        is a repeated one and left out. Returns those that were new. Raises StoreError (nothing is stored)
        and RecordError.
        """

    def prune(self, before: int, limit: int) -> int:
        """Delete at most ``limit`` records that were received before; returns how many. Raises StoreError."""

    def since(self, id_: int, limit: int) -> list[Record]:
        """The records behind a row number, in the order of the rows. Raises StoreError."""

    def row_at(self, received: int) -> int:
        """The smallest row number of the records received at this microsecond or later, less one.

        That of the newest row, if there is none. Raises StoreError.
        """

    def row_of(self, begin: int, end: int, end_to_end: int) -> int | None:
        """The newest row received from one microsecond to before another with this End-to-End Id.

        Raises StoreError.
        """

    def reader(self) -> "RecordReader":
        """A new reader for another thread."""


class RecordReader(Protocol):
    """Reads records on its own connection. All calls block; one thread at a time."""

    def page(
        self, wanted: Selection, behind: Place | None, limit: int, backwards: bool = False
    ) -> list[Record]:
        """At most ``limit`` records behind a place, in the order of reception or backwards.

        Raises StoreError.
        """

    def open_sessions(self, wanted: Selection, behind: Place | None, limit: int) -> list[Record]:
        """START records of sessions without a STOP, as pages. Raises StoreError."""

    def newest(self, session: str, sub: int, host: str) -> Record | None:
        """The newest record of a client's session: of the highest number. Raises StoreError."""

    def summary(self, wanted: Selection) -> Iterator[UserDay]:
        """By user and day: each session once, on the day of its newest record. Raises StoreError."""

    def count(self) -> int:
        """How many records there are. Raises StoreError."""

    def close(self) -> None:
        """Disconnect; never raises."""
