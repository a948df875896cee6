"""How accounting records lie on the disk while they wait: entries and marks, as octets.

::

    segment   entry entry entry ...            NAME.records, NAME is the serial of the first in 16 hex digits
    entry     magic crc size serial made caller end-to-end kind flags n route(n) body
    marks     batch batch batch ...            NAME.marks: what has become of the entries of that segment
    batch     magic crc count (serial << 2 | bits) * count

Segments and marks are only appended to. A record is *delivered* when its answer has come (or when it is
dropped: replaced, refused), and *released* when the session that it belongs to needs it no more: START and
the latest INTERIM of a session hold what its STOP is made of should the process die. An entry is finished
when it is both. The CRC covers everything behind it, so that a torn or rotten entry is told from a good one.
"""

import struct
from collections.abc import Iterable, Iterator
from typing import Any
from zlib import crc32

from attrs import define

# Accounting-Record-Type (RFC 6733 section 9.8.1).
EVENT, START, INTERIM, STOP = 1, 2, 3, 4
KINDS = {EVENT: "event", START: "start", INTERIM: "interim", STOP: "stop"}

#: Flag of an entry: it holds what the STOP of its session is made of.
HOLDS = 1
#: Bits of a mark.
DELIVERED, RELEASED = 1, 2
FINISHED = DELIVERED | RELEASED

MAGIC, MARK_MAGIC = b"\xacREC", b"\xacMRK"
HEAD = struct.Struct("!4sIIQQQIBBH")
#: Longest entry, octets: a message is not longer than 1 MiB either.
LONGEST = 1 << 20
_FRONT = 8
_MARKS = struct.Struct("!4sII")


@define(slots=True, eq=False)
class Entry:
    """One accounting record that waits for its answer."""

    kind: int
    """Accounting-Record-Type."""
    made: float
    """Wall clock when it was made, seconds since 1970."""
    end_to_end: int
    """End-to-End Id: the same whenever it is sent."""
    route: bytes
    """Application, Destination-Realm and Destination-Host, see :func:`route`."""
    body: bytes
    """All AVPs, Session-Id first."""
    call_id: int = 0
    """The session that it is of, in the process that made it; 0: none that lives."""
    flags: int = 0
    serial: int = 0
    """Its number in the spool, rising."""
    releases: int = 0
    """Serial of the entry that held this session until now; 0: none."""
    replaces: int = 0
    """Serial of an INTERIM that need not be sent when this one is stored; 0: none."""
    volatile: bool = False
    """It is only in memory: the disk would not take it."""
    tries: int = 0
    """How often it has been sent in vain, in a row."""
    owner: Any = None
    """The session of :mod:`.accounting` that it is of, while that is known."""

    @property
    def key(self) -> bytes:
        """Its Session-Id: records of one session are delivered in their order."""
        body = self.body
        return body[8 : int.from_bytes(body[5:8], "big")]


def route(application: int, realm: str, host: str) -> bytes:
    """Where records go; records of one route fail together."""
    return f"{application} {realm} {host}".encode("ascii", "replace")


def route_parts(data: bytes) -> tuple[int, str, str]:
    """Application, Destination-Realm and Destination-Host (empty: any) of a :func:`route`."""
    application, realm, host = data.decode("ascii").split(" ")
    return int(application), realm, host


def pack(entry: Entry) -> bytes:
    """An entry as it lies on the disk. Raises ValueError if it is too long."""
    where, body = entry.route, entry.body
    size = HEAD.size + len(where) + len(body)
    if size > LONGEST:
        raise ValueError(f"a record of {size} octets: at most {LONGEST}")
    head = HEAD.pack(
        MAGIC,
        0,
        size,
        entry.serial,
        int(entry.made * 1000),
        entry.call_id,
        entry.end_to_end,
        entry.kind,
        entry.flags,
        len(where),
    )
    rest = b"".join((head[_FRONT:], where, body))
    return MAGIC + crc32(rest).to_bytes(4, "big") + rest


def unpack(data: bytes, place: int = 0) -> Entry:
    """The entry at ``place``, which :func:`scan` has found good."""
    _, _, size, serial, made, call_id, end_to_end, kind, flags, where = HEAD.unpack_from(data, place)
    start = place + HEAD.size
    return Entry(
        kind,
        made / 1000,
        end_to_end,
        data[start : start + where],
        data[start + where : place + size],
        call_id,
        flags,
        serial,
    )


def good(data: bytes, place: int) -> int:
    """Length of the entry at ``place``; 0: there is no good one."""
    if len(data) - place < HEAD.size or data[place : place + 4] != MAGIC:
        return 0
    size = int.from_bytes(data[place + 8 : place + 12], "big")
    if not HEAD.size <= size <= LONGEST or place + size > len(data):
        return 0
    crc = int.from_bytes(data[place + 4 : place + 8], "big")
    return size if crc32(memoryview(data)[place + _FRONT : place + size]) == crc else 0


def scan(data: bytes) -> Iterator[tuple[int, int]]:
    """Place and length of all good entries; what lies between them is passed over."""
    place = 0
    while place >= 0:
        size = good(data, place)
        if size:
            yield place, size
            place += size
        else:
            place = data.find(MAGIC, place + 1)


def pack_marks(marks: Iterable[int]) -> bytes:
    """A batch of marks, each ``serial << 2 | bits``."""
    numbers = list(marks)
    rest = struct.pack(f"!I{len(numbers)}Q", len(numbers), *numbers)
    return MARK_MAGIC + crc32(rest).to_bytes(4, "big") + rest


def unpack_marks(data: bytes) -> Iterator[int]:
    """The marks of all good batches; an entry whose mark is lost is delivered once more."""
    place = 0
    while place >= 0:
        found = data[place : place + _MARKS.size]
        if len(found) == _MARKS.size and found[:4] == MARK_MAGIC:
            _, crc, count = _MARKS.unpack(found)
            end = place + _MARKS.size + 8 * count
            if end <= len(data) and crc32(memoryview(data)[place + _FRONT : end]) == crc:
                yield from struct.unpack_from(f"!{count}Q", data, place + _MARKS.size)
                place = end
                continue
        place = data.find(MARK_MAGIC, place + 1)
