"""AVPs as text, and text as AVPs: for logs, views, filters and exports. One notation everywhere::

    User-Name = "mn1@home.example"             text in double quotes, with \\" \\\\ \\t \\n \\xNN
    Accounting-Record-Type = START_RECORD      values by name; as numbers where they have none
    Session-Binding = STR|ACCOUNTING           bits by name
    MIP-Home-Agent-Address = 2001:db8:1::1     addresses and prefixes as people write them
    Event-Timestamp = 2026-11-23T07:00:00Z     times in UTC
    Class = 0x0102                             octets in hexadecimal
    Proxy-Info = { Proxy-Host = "relay1.example", Proxy-State = 0x01 }
    AVP-9999 = 0xdeadbeef                      an AVP that the dictionary does not have
    AVP-13.10415 = 0x30                        the same, of a vendor
    Session-Timeout = raw 0x010203             data that is no value of its type

What :class:`Texts` writes, :func:`.parsing.parse` reads to the same octets. Only flags and padding are not in
it: an AVP that is read has the flags of the dictionary, and zeros.
"""

from collections.abc import Callable
from datetime import date, timedelta
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from appliance.protocols.diameter.message.codec import DEEPEST, Avp, Malformed, spans
from appliance.protocols.diameter.message.definitions import AvpDef
from appliance.protocols.diameter.message.dictionary import Dictionary
from appliance.protocols.diameter.message.types import BadValue, OtherAddress

#: Whatever turns data into text.
Shower = Callable[[bytes], str]

_UNIX = date(1970, 1, 1)
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\t": "\\t", "\n": "\\n"}


def quoted(text: str) -> str:
    """Text in double quotes; what cannot be printed is escaped."""
    if text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(character: str) -> str:
    known = _ESCAPES.get(character)
    if known is not None:
        return known
    if character.isprintable():
        return character
    return "".join(f"\\x{octet:02x}" for octet in character.encode())


@lru_cache(64)
def _date_text(days: int) -> str:
    return (_UNIX + timedelta(days=days)).isoformat()


def time_text(seconds: int) -> str:
    """Seconds since 1970 as date and time in UTC."""
    days, rest = divmod(seconds, 86_400)
    minutes, second = divmod(rest, 60)
    return f"{_date_text(days)}T{minutes // 60:02}:{minutes % 60:02}:{second:02}Z"


@lru_cache(4096)
def address_text(packed: bytes) -> str:
    """4 or 16 octets as an address, others in hexadecimal."""
    if len(packed) == 16:
        return str(IPv6Address(packed))
    return str(IPv4Address(packed)) if len(packed) == 4 else f"0x{packed.hex()}"


def _family_text(value: bytes) -> str:
    """The value of an Address, which may be of another family."""
    return f"0x{value.hex()}" if isinstance(value, OtherAddress) else address_text(value)


def _prefix_text(data: bytes) -> str:
    """Length and 16 octets (RFC 5447 section 4.2.5)."""
    if len(data) == 17 and data[0] <= 128:
        return f"{address_text(data[1:])}/{data[0]}"
    return f"0x{data.hex()}"


def _shown_text(data: bytes) -> str:
    """Octets that mostly are text."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return f"0x{data.hex()}"
    return quoted(text) if text.isprintable() else f"0x{data.hex()}"


def _octets_text(data: bytes) -> str:
    return f"0x{data.hex()}"


class Texts:
    """Writes AVPs as text; remembers how each is written. :func:`texts_of` gives one that is shared."""

    def __init__(self, dictionary: Dictionary, names: str = "", numbers: bool = False) -> None:
        """``names``: a set of other names (``seed``); ``numbers``: named values with their numbers."""
        self._by_code = dictionary.by_code
        self._aliases = dictionary.aliases.get(names, {})
        self._numbers = numbers
        self._known: dict[int, tuple[str, Shower | None]] = {}
        """By key; a group has no shower: that would be a cycle of references."""
        self._depth = 0

    def avp(self, avp: Avp) -> str:
        """``Name = value``; never raises."""
        name, show = self._how(avp.code, avp.vendor)
        return f"{name} = {show(avp.data) if show is not None else self._group(avp.data)}"

    def name(self, code: int, vendor: int = 0) -> str:
        """What the AVP is called here."""
        return self._how(code, vendor)[0]

    def value(self, avp: AvpDef, data: bytes) -> str:
        """Data of an AVP as text; never raises."""
        show = self._how(avp.code, avp.vendor)[1]
        return show(data) if show is not None else self._group(data)

    def pairs(self, data: bytes, place: int = 0) -> list[tuple[str, str]]:
        """Name and value of each AVP from ``place`` on, in their order. Raises :class:`Malformed`."""
        known, found = self._known, []
        for key, _, start, stop in spans(data, place, len(data)):
            name, show = known.get(key) or self._how(key & 0xFFFFFFFF, key >> 32)
            part = data[start:stop]
            found.append((name, show(part) if show is not None else self._group(part)))
        return found

    def line(self, data: bytes, place: int = 0, separator: str = "\t") -> str:
        """All AVPs from ``place`` on in one line. Raises :class:`Malformed`."""
        return separator.join([f"{name} = {value}" for name, value in self.pairs(data, place)])

    def _how(self, code: int, vendor: int) -> tuple[str, Shower | None]:
        known = self._known.get(vendor << 32 | code)
        if known is not None:
            return known
        avp = self._by_code.get((code, vendor))
        if avp is None:
            # Not kept: strangers could fill memory.
            return (f"AVP-{code}.{vendor}" if vendor else f"AVP-{code}"), _octets_text
        made = self._known[avp.key] = self._aliases.get(avp.name, avp.name), self._shower(avp)
        return made

    def _shower(self, avp: AvpDef) -> Shower | None:
        """How values of an AVP are written; a group otherwise."""
        kind = avp.type
        if avp.grouped:
            return None
        if kind.decode is bytes:
            return _SHOWERS[kind.shown]
        if avp.values:
            return self._named(avp)
        if kind.name.startswith("Float"):
            return _float(avp)
        write = _WRITERS.get(kind.name, quoted if kind.minimum < 2 else str)
        decode = kind.decode

        def show(data: bytes) -> str:
            try:
                return write(decode(data))
            except BadValue:
                return f"raw 0x{data.hex()}"

        return show

    def _named(self, avp: AvpDef) -> Shower:
        """A number that has names, or bits that have."""
        values, decode, numbers = avp.values, avp.type.decode, self._numbers
        texts = {value: f"{name} ({value})" if numbers else name for value, name in values.items()}

        def show(data: bytes) -> str:
            try:
                value = decode(data)
            except BadValue:
                return f"raw 0x{data.hex()}"
            if not avp.mask:
                return texts.get(value) or str(value)
            text = _bits(value, values)
            return f"{text} (0x{value:x})" if numbers else text

        return show

    def _group(self, data: bytes) -> str:
        if self._depth >= DEEPEST:
            return f"raw 0x{data.hex()}"
        self._depth += 1
        try:
            inside = self.line(data, separator=", ")
        except Malformed:
            return f"raw 0x{data.hex()}"
        finally:
            self._depth -= 1
        return f"{{ {inside} }}" if inside else "{ }"


#: How octets are written, by what they mean to people.
_SHOWERS: dict[str, Shower] = {
    "": _octets_text,
    "address": address_text,
    "prefix": _prefix_text,
    "text": _shown_text,
    "secret": _octets_text,
}
#: How values are written, by type.
_WRITERS: dict[str, Callable[[Any], str]] = {"Time": time_text, "Address": _family_text}


def _bits(value: int, names: dict[int, str]) -> str:
    """Names of the bits that are set, and what is left of them."""
    if not value:
        return "0"
    found = [name for bit, name in names.items() if value & bit]
    rest = value
    for bit in names:
        rest &= ~bit
    if rest:
        found.append(f"0x{rest:x}")
    return "|".join(found)


def _float(avp: AvpDef) -> Shower:
    def show(data: bytes) -> str:
        try:
            text = repr(avp.type.decode(data))
            # Only one of the many NaNs can be read back.
            return text if avp.type.encode(float(text)) == data else f"raw 0x{data.hex()}"
        except BadValue:
            return f"raw 0x{data.hex()}"

    return show


def texts_of(dictionary: Dictionary, names: str = "", numbers: bool = False) -> Texts:
    """The one that all share who ask for the same."""
    key = Texts, names, numbers
    made: Texts | None = dictionary.compiled.get(key)
    if made is None:
        made = dictionary.compiled[key] = Texts(dictionary, names, numbers)
    return made
