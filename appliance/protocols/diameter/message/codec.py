"""Diameter messages: octets to AVPs and back (RFC 6733 sections 3 and 4).

::

    octets ──Message.parse──▶ Message ──first(SESSION_ID)──▶ value      (AVPs are cut when first asked for,
       ▲                        │   └──data──▶ the octets as received     a value is decoded when asked for)
       └──message.answer(...)◀──┘
    request(code, ...)──▶ octets

A message that is only relayed is never decoded: its octets go on as they came.
"""

import struct
from functools import lru_cache
from typing import Any, NamedTuple

from appliance.protocols.diameter.message.dictionary import AvpDef, standard
from appliance.protocols.diameter.message.types import GROUPED, BadValue

HEADER = struct.Struct("!5I")
HEADER_SIZE = 20
#: Longest message that is taken or made, octets.
LONGEST_MESSAGE = 1 << 20
#: AVPs of one message, and levels of groups in groups, at most.
MOST_AVPS, DEEPEST = 4_096, 16

REQUEST, PROXIABLE, ERROR, RETRANSMITTED = 0x80, 0x40, 0x20, 0x10
_PAIR = struct.Struct("!II")
_WORD = struct.Struct("!I")

_D = standard()
SESSION_ID = _D["Session-Id"]
RESULT_CODE = _D["Result-Code"]
ORIGIN_HOST = _D["Origin-Host"]
ORIGIN_REALM = _D["Origin-Realm"]
PROXY_INFO = _D["Proxy-Info"]


#: Where AVPs begin in the octets they lie in: key of the definition → place, or places if there are several.
Index = dict[int, int | list[int]]


class Malformed(ValueError):
    """Octets that are no message or no sequence of AVPs.

    ``code`` is the Result-Code that fits; ``failed`` the octets for a Failed-AVP (empty: none).
    """

    def __init__(self, code: int, text: str, failed: bytes = b"") -> None:
        super().__init__(text)
        self.code = code
        self.failed = failed


class Avp(NamedTuple):
    """One AVP as it was received."""

    code: int
    vendor: int
    flags: int
    data: bytes
    """Without header and padding."""

    @property
    def octets(self) -> bytes:
        """Header, data and padding."""
        head = 12 if self.vendor or self.flags & 0x80 else 8
        size = len(self.data)
        front = _PAIR.pack(self.code, self.flags << 24 | head + size)
        vendor = _WORD.pack(self.vendor) if head == 12 else b""
        return front + vendor + self.data + b"\0" * (-size & 3)


def _bad_length(data: bytes, place: int, end: int) -> Malformed:
    """What is wrong with the AVP that does not fit at ``place``.

    For Failed-AVP its header is padded with zeros, and has the length that it would have without data.
    """
    left = end - place
    front = data[place : min(place + 12, end)].ljust(12, b"\0")
    code, word = _PAIR.unpack_from(front)
    head = 12 if word >> 31 else 8
    failed = _PAIR.pack(code, word & 0xFF000000 | head) + front[8:head]
    if left < 8:
        return Malformed(5014, f"{left} octets at octet {place} are no AVP header", failed)
    says = f"AVP {code} at octet {place} says that it has {word & 0xFFFFFF} octets"
    return Malformed(5014, f"{says}; it has {head} at least, and {left} are left", failed)


def _too_many() -> Malformed:
    return Malformed(5012, f"more than {MOST_AVPS} AVPs in one message")


def spans(data: bytes, place: int, end: int) -> list[tuple[int, int, int, int]]:
    """Key, flags, and where the data begin and end of the AVPs between ``place`` and ``end``, in their order.

    Raises :class:`Malformed` (5014) where a length is wrong.
    """
    found = []
    unpack = _PAIR.unpack_from
    while place < end:
        if end - place < 8:
            raise _bad_length(data, place, end)
        key, word = unpack(data, place)
        start, stop = place + 8, place + (word & 0xFFFFFF)
        if word >> 31:
            start = place + 12
            if start <= stop <= end:
                key |= _WORD.unpack_from(data, place + 8)[0] << 32
        if not start <= stop <= end:
            raise _bad_length(data, place, end)
        found.append((key, word >> 24, start, stop))
        if len(found) > MOST_AVPS:
            raise _too_many()
        place = stop + 3 & -4
    return found


def cut(data: bytes, place: int = 0) -> list[Avp]:
    """Cut octets into AVPs, from ``place`` on; raises :class:`Malformed` (5014) where a length is wrong."""
    return [
        Avp(key & 0xFFFFFFFF, key >> 32, flags, data[start:stop])
        for key, flags, start, stop in spans(data, place, len(data))
    ]


def index_of(data: bytes, place: int, end: int) -> Index:
    """Where the AVPs between ``place`` and ``end`` begin, by key. Raises :class:`Malformed`."""
    index: Index = {}
    count, unpack = 0, _PAIR.unpack_from
    while place < end:
        if end - place < 8:
            raise _bad_length(data, place, end)
        key, word = unpack(data, place)
        size = word & 0xFFFFFF
        if word >> 31:
            if 12 <= size <= end - place:
                key |= _WORD.unpack_from(data, place + 8)[0] << 32
            else:
                size = 0
        if not 8 <= size <= end - place:
            raise _bad_length(data, place, end)
        if index.setdefault(key, place) != place:
            add_place(index, key, place)
        count += 1
        if count > MOST_AVPS:
            raise _too_many()
        place = place + size + 3 & -4
    return index


def add_place(index: Index, key: int, place: int) -> None:
    """Add a further place of a key that the index has."""
    known = index[key]
    if isinstance(known, list):
        known.append(place)
    else:
        index[key] = [known, place]


class Group:
    """A sequence of AVPs that can be asked by definition: the inside of a message or of a Grouped AVP."""

    __slots__ = ("data", "place", "index")

    def __init__(self, data: bytes, place: int = 0) -> None:
        """``data``: the octets of the AVPs, from ``place`` on."""
        self.data = data
        self.place = place
        self.index: Index | None = None
        """Made when it is first needed; :mod:`.grammar` makes it as it checks."""

    @property
    def avps(self) -> list[Avp]:
        """All AVPs in their order, cut anew each time. Raises :class:`Malformed`."""
        return cut(self.data, self.place)

    def walk(self) -> Index:
        """The index, made if it is not there. Raises :class:`Malformed`."""
        if self.index is None:
            self.index = index_of(self.data, self.place, len(self.data))
        return self.index

    def _places(self, avp: AvpDef) -> list[int]:
        found = self.walk().get(avp.key)
        if found is None:
            return []
        return found if type(found) is list else [found]  # type: ignore[list-item]

    def _data(self, place: int) -> bytes:
        word = _WORD.unpack_from(self.data, place + 4)[0]
        return self.data[place + (12 if word >> 31 else 8) : place + (word & 0xFFFFFF)]

    def raw(self, avp: AvpDef) -> bytes | None:
        """Data of the first one, or ``None``. Raises :class:`Malformed`."""
        index = self.index
        if index is None:
            index = self.index = index_of(self.data, self.place, len(self.data))
        place: Any = index.get(avp.key)
        if place is None:
            return None
        if type(place) is list:
            place = place[0]
        word = _WORD.unpack_from(self.data, place + 4)[0]
        return self.data[place + (12 if word >> 31 else 8) : place + (word & 0xFFFFFF)]

    def first(self, avp: AvpDef) -> Any:
        """Value of the first one, or ``None``. Raises :class:`Malformed` and :class:`BadValue`."""
        # The same as value(avp, raw(avp)), without the calls: it is the most frequent one of all.
        index = self.index
        if index is None:
            index = self.index = index_of(self.data, self.place, len(self.data))
        place: Any = index.get(avp.key)
        if place is None:
            return None
        if type(place) is list:
            place = place[0]
        word = _WORD.unpack_from(self.data, place + 4)[0]
        data = self.data[place + (12 if word >> 31 else 8) : place + (word & 0xFFFFFF)]
        kind = avp.type
        return Group(data) if kind is GROUPED else kind.decode(data)

    def all(self, avp: AvpDef) -> list[Any]:
        """Values of all of them. Raises :class:`Malformed` and :class:`BadValue`."""
        return [value(avp, self._data(place)) for place in self._places(avp)]

    def having(self, avp: AvpDef) -> list[Avp]:
        """All of them as they were received. Raises :class:`Malformed`."""
        return [cut(self.octets_at(place))[0] for place in self._places(avp)]

    def octets(self, avp: AvpDef) -> list[bytes]:
        """All of them as they were received, with header and padding. Raises :class:`Malformed`."""
        return [self.octets_at(place) for place in self._places(avp)]

    def octets_at(self, place: int) -> bytes:
        """The AVP that begins at that octet of ``data``, with header and padding."""
        size: int = _WORD.unpack_from(self.data, place + 4)[0] & 0xFFFFFF
        return self.data[place : place + size] + b"\0" * (-size & 3)


def value(avp: AvpDef, data: bytes) -> Any:
    """The value of an AVP's data: a :class:`Group` for a Grouped one. Raises :class:`BadValue`."""
    kind = avp.type
    return Group(data) if kind is GROUPED else kind.decode(data)


class Message(Group):
    """One message, as received."""

    __slots__ = ("flags", "code", "application", "hop_by_hop", "end_to_end")

    def __init__(self, data: bytes) -> None:
        """``data``: the whole message, its length checked by :func:`size_of`. Raises :class:`Malformed`."""
        super().__init__(data, HEADER_SIZE)
        try:
            first, second, self.application, self.hop_by_hop, self.end_to_end = HEADER.unpack_from(data)
        except struct.error:
            raise Malformed(
                5015, f"{len(data)} octets are no message: its header has {HEADER_SIZE}"
            ) from None
        self.flags = second >> 24
        self.code = second & 0xFFFFFF
        if first >> 24 != 1:
            raise Malformed(5011, f"version {first >> 24} of Diameter is not 1")

    @property
    def is_request(self) -> bool:
        """Whether it is a request."""
        return bool(self.flags & REQUEST)

    @property
    def body(self) -> bytes:
        """The octets of all AVPs."""
        return self.data[HEADER_SIZE:]

    def with_hop_by_hop(self, number: int, flags: int | None = None, extra: bytes = b"") -> bytes:
        """The same message for another connection: other id, other flags if given, AVPs behind."""
        data = self.data
        front = HEADER.pack(
            1 << 24 | len(data) + len(extra),
            (self.flags if flags is None else flags) << 24 | self.code,
            self.application,
            number,
            self.end_to_end,
        )
        return front + data[HEADER_SIZE:] + extra

    def answer(self, result: int, host: str, realm: str, *avps: bytes, error: bool | None = None) -> bytes:
        """An answer to this request, with Session-Id and Proxy-Info of it (RFC 6733 section 6.2).

        ``avps`` are encoded and come behind Result-Code, Origin-Host and Origin-Realm. ``error`` sets the
        E bit; not given, 3xxx results have it (section 7.1.3).
        """
        try:
            session, proxies = self.octets(SESSION_ID)[:1], self.octets(PROXY_INFO)
        except Malformed:
            session, proxies = self._first_octets(), []
        flags = self.flags & PROXIABLE
        if (result // 1000 == 3) if error is None else error:
            flags |= ERROR
        body = b"".join((*session, _front(result, host, realm), *avps, *proxies))
        return frame(self.code, self.application, flags, self.hop_by_hop, self.end_to_end, body)

    def _first_octets(self) -> list[bytes]:
        """The Session-Id of a message that cannot be walked to its end, where it stands first."""
        if len(self.data) < HEADER_SIZE + 8:
            return []
        code, word = _PAIR.unpack_from(self.data, HEADER_SIZE)
        is_whole = word >> 31 == 0 and 8 <= word & 0xFFFFFF <= len(self.data) - HEADER_SIZE
        return [self.octets_at(HEADER_SIZE)] if code == SESSION_ID.code and is_whole else []


@lru_cache(1024)
def _front(result: int, host: str, realm: str) -> bytes:
    """What every answer has: there are few results, and fewer of our names."""
    return RESULT_CODE.encode(result) + ORIGIN_HOST.encode(host) + ORIGIN_REALM.encode(realm)


def frame(code: int, application: int, flags: int, hop_by_hop: int, end_to_end: int, body: bytes) -> bytes:
    """A whole message around encoded AVPs."""
    size = HEADER_SIZE + len(body)
    return HEADER.pack(1 << 24 | size, flags << 24 | code, application, hop_by_hop, end_to_end) + body


def size_of(data: bytes, place: int = 0, longest: int = LONGEST_MESSAGE) -> int:
    """Length of the message that begins at ``place``, from its first 4 octets.

    Raises :class:`Malformed`: 5011 for another version, 5015 for a length that cannot be.
    """
    word = _WORD.unpack_from(data, place)[0]
    if word >> 24 != 1:
        raise Malformed(5011, f"version {word >> 24} of Diameter is not 1")
    size: int = word & 0xFFFFFF
    if size < HEADER_SIZE or size & 3 or size > longest:
        raise Malformed(5015, f"a message of {size} octets: at least 20, at most {longest}, a multiple of 4")
    return size


__all__ = ["Avp", "BadValue", "Group", "Malformed", "Message", "cut", "frame", "size_of", "value"]
