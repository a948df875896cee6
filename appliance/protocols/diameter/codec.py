"""Diameter messages: octets to AVPs and back (RFC 6733 sections 3 and 4).

::

    octets ──Message.parse──▶ Message ──first(SESSION_ID)──▶ value      (AVPs are cut when first asked for,
       ▲                        │   └──data──▶ the octets as received     a value is decoded when asked for)
       └──message.answer(...)◀──┘
    request(code, ...)──▶ octets

A message that is only relayed is never decoded: its octets go on as they came.
"""

import struct
from typing import Any, NamedTuple

from appliance.protocols.diameter.dictionary import AvpDef, standard
from appliance.protocols.diameter.types import GROUPED, BadValue

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


def cut(data: bytes, place: int = 0) -> list[Avp]:
    """Cut octets into AVPs, from ``place`` on; raises :class:`Malformed` (5014) where a length is wrong."""
    found: list[Avp] = []
    end, unpack = len(data), _PAIR.unpack_from
    while place < end:
        if end - place < 8:
            rest = data[place:]
            raise Malformed(5014, f"{len(rest)} octets are no AVP header", rest + b"\0" * (8 - len(rest)))
        code, word = unpack(data, place)
        flags, size, vendor, head = word >> 24, word & 0xFFFFFF, 0, 8
        if flags & 0x80:
            head = 12
            if end - place >= 12:
                vendor = _WORD.unpack_from(data, place + 8)[0]
        stop = place + size
        if size < head or stop > end:
            kept = data[place : place + head]
            raise Malformed(
                5014,
                f"AVP {code} says that it has {size} octets; {end - place} are left",
                kept + b"\0" * (head - len(kept)),
            )
        if len(found) >= MOST_AVPS:
            raise Malformed(5012, f"more than {MOST_AVPS} AVPs in one message")
        found.append(Avp(code, vendor, flags, data[place + head : stop]))
        place = stop + (-size & 3)
    return found


class Group:
    """A sequence of AVPs that can be asked by definition: the inside of a message or of a Grouped AVP."""

    __slots__ = ("data", "_place", "_avps", "_index")

    def __init__(self, data: bytes, place: int = 0) -> None:
        """``data``: the octets of the AVPs, from ``place`` on."""
        self.data = data
        self._place = place
        self._avps: list[Avp] | None = None
        self._index: dict[tuple[int, int], list[Avp]] | None = None

    @property
    def avps(self) -> list[Avp]:
        """All AVPs in their order. Raises :class:`Malformed`."""
        if self._avps is None:
            self._avps = cut(self.data, self._place)
        return self._avps

    def _of(self, avp: AvpDef) -> list[Avp] | tuple[()]:
        index = self._index
        if index is None:
            index = self._index = {}
            for each in self.avps:
                index.setdefault((each.code, each.vendor), []).append(each)
        return index.get((avp.code, avp.vendor), ())

    def raw(self, avp: AvpDef) -> bytes | None:
        """Data of the first one, or ``None``. Raises :class:`Malformed`."""
        found = self._of(avp)
        return found[0].data if found else None

    def first(self, avp: AvpDef) -> Any:
        """Value of the first one, or ``None``. Raises :class:`Malformed` and :class:`BadValue`."""
        found = self._of(avp)
        return value(avp, found[0].data) if found else None

    def all(self, avp: AvpDef) -> list[Any]:
        """Values of all of them. Raises :class:`Malformed` and :class:`BadValue`."""
        return [value(avp, each.data) for each in self._of(avp)]

    def having(self, avp: AvpDef) -> list[Avp]:
        """All of them as they were received. Raises :class:`Malformed`."""
        return list(self._of(avp))


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
        first, second, self.application, self.hop_by_hop, self.end_to_end = HEADER.unpack_from(data)
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
            session = [each.octets for each in self._of(SESSION_ID)[:1]]
            proxies = [each.octets for each in self._of(PROXY_INFO)]
        except Malformed:
            session, proxies = [], []
        flags = self.flags & PROXIABLE
        if (result // 1000 == 3) if error is None else error:
            flags |= ERROR
        body = b"".join(
            (
                *session,
                RESULT_CODE.encode(result),
                ORIGIN_HOST.encode(host),
                ORIGIN_REALM.encode(realm),
                *avps,
                *proxies,
            )
        )
        return frame(self.code, self.application, flags, self.hop_by_hop, self.end_to_end, body)


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
