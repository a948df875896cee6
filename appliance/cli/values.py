"""The types of values that an operator can type, each with its reader and its writer.

For every type ``parse(format(value)) == value``, and ``format`` gives the one canonical
spelling, so that a printed configuration reads back to the same tree. Addresses are
packed octets, prefixes are pairs of packed octets and a length, numbers are ``int``, moments are seconds
since 1970, everything else is text.
"""

import ipaddress
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from attrs import field, frozen

from appliance.errors import ApplianceError

#: How specific a match is: at each position of a line the lowest class wins.
EXACT, TYPED, ABBREVIATED, FREE = range(4)

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:@+/-]*\Z", re.ASCII)
_MAC = re.compile(r"[0-9a-f]{2}([:-])[0-9a-f]{2}(?:\1[0-9a-f]{2}){4}\Z", re.IGNORECASE | re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,20}\Z", re.ASCII)
_HEX = re.compile(r"(?:0x)?[0-9a-f]{1,8}\Z", re.IGNORECASE | re.ASCII)
_OCTETS = re.compile(r"(?:[0-9a-f]{2})+\Z", re.IGNORECASE | re.ASCII)
_DEGREES = re.compile(r"-?[0-9]{1,3}(?:\.[0-9]{1,9})?\Z", re.ASCII)
_TIME = re.compile(r"(\d{4})(?:-(\d\d?)(?:-(\d\d?)(?:/(\d\d?)(?::(\d\d?)(?::(\d\d?))?)?)?)?)?\Z", re.ASCII)


def visible(text: str) -> str:
    """The text with ``\\uXXXX``, as in JSON, for what is not seen as a character of its own.

    That is what steers a terminal, ends a line, turns the direction of writing round, takes no place, or
    cannot be written as UTF-8.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _escaped(each) for each in text)


def _escaped(character: str) -> str:
    number = ord(character)
    if number < 0x10000:
        return f"\\u{number:04x}"
    number -= 0x10000
    return f"\\u{0xD800 + (number >> 10):04x}\\u{0xDC00 + (number & 0x3FF):04x}"


class GrammarError(ApplianceError):
    """A command declared wrongly: found when the module that declares it is imported."""


class CommandError(ApplianceError):
    """A line that cannot be done; its text follows ``Failure: ``.

    ``span`` is where in the line the word stands that is to blame (first column and the one behind
    the last, from 0); ``None``: no single word is.
    """

    def __init__(self, text: str, span: tuple[int, int] | None = None) -> None:
        super().__init__(text)
        self.span = span


@frozen
class Value:
    """A placeholder of a syntax string: ``<name:KIND>``, ``<name:KIND LOW-HIGH>``, ``<name:a|b>``.

    ``low`` and ``high`` are the range of a number, or the length of a text.
    """

    name: str
    kind: str
    low: int = 0
    high: int = 0
    unit: str = ""
    choices: tuple[str, ...] = ()
    help: str = field(default="", eq=False)

    @property
    def rank(self) -> int:
        """TYPED for addresses and numbers, FREE for names and other text."""
        return FREE if self.kind in _TEXTS else TYPED

    def parse(self, text: str) -> Any:
        """Read one word. Raises :class:`CommandError` that says what would be right."""
        if self.kind == "CHOICE":
            if text in self.choices:
                return text
            raise CommandError(f"Invalid value '{text}': one of {', '.join(self.choices)}")
        return _KINDS[self.kind][0](self, text)

    def format(self, value: Any) -> str:
        """Write a value so that :meth:`parse` gives it back; quotes are added where needed."""
        if self.kind == "CHOICE":
            return str(value)
        return _KINDS[self.kind][1](value)

    @property
    def placeholder(self) -> str:
        """How the value is shown by ``?``."""
        if self.kind == "NUMBER":
            return f"<{self.low}-{self.high}>"
        if self.kind == "CHOICE":
            return "|".join(self.choices)
        return f"<{self.kind.lower()}>"

    def overlaps(self, other: "Value") -> bool:
        """Whether some word could be meant as either of two values of the same rank."""
        if self.kind == "CHOICE" or other.kind == "CHOICE":
            return bool(set(self.choices) & set(other.choices))
        if self.rank != other.rank:
            return False
        if self.rank == FREE:
            return True
        if self.kind == other.kind == "NUMBER":
            return self.low <= other.high and other.low <= self.high
        pair = {self.kind, other.kind}
        return len(pair) == 1 or pair in (
            {"ADDRESS", "IPV4"},
            {"ADDRESS", "IPV6"},
            {"IP", "IPV4"},
            {"IP", "IPV6"},
            {"ADDRESS", "IP"},
            {"NUMBER", "HEX"},
        )


def quote(text: str) -> str:
    """Write a text as one word of a command line, in double quotes if it needs them."""
    # A text such as -noconfirm would be taken for the keyword.
    if text and text[0] != "-" and not re.search(r"[\s\"'\\|#?]", text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _number(value: Value, text: str) -> int:
    if not _NUMBER.match(text):
        raise CommandError(f"Invalid value '{text}': a number {_range(value)} is wanted")
    number = int(text)
    if not value.low <= number <= value.high:
        raise CommandError(f"Invalid value '{text}': out of the range {_range(value)}")
    return number


def _range(value: Value) -> str:
    return f"{value.low} to {value.high}" + (f" {value.unit}" if value.unit else "")


def _hexadecimal(_value: Value, text: str) -> int:
    if not _HEX.match(text):
        raise CommandError(f"Invalid value '{text}': up to eight hexadecimal digits are wanted")
    return int(text, 16)


def _time(_value: Value, text: str) -> int:
    """A moment, UTC; what is missing at its end is the smallest that there is."""
    found = _TIME.match(text)
    try:
        if found is None:
            raise ValueError
        # strptime would take less of it than it looks like, and time zones of its own.
        year, month, day, hour, minute, second = (
            int(part) if part else least for part, least in zip(found.groups(), _LEAST, strict=True)
        )
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        text = f"Invalid value '{text[:80]}': a date and time YYYY-MM-DD/HH:MM:SS or its beginning is wanted"
        raise CommandError(text) from None
    return int(moment.timestamp())


_LEAST = (1, 1, 1, 0, 0, 0)


def _show_time(value: int) -> str:
    moment = datetime.fromtimestamp(value, UTC)
    # glibc writes the years before 1000 with fewer digits.
    return f"{moment.year:04}-{moment:%m-%d/%H:%M:%S}"


def _ipv6(_value: Value, text: str) -> bytes:
    return _address(text, ipaddress.IPv6Address, "an IPv6 address")


def _ipv4(_value: Value, text: str) -> bytes:
    return _address(text, ipaddress.IPv4Address, "an IPv4 address")


def _address(text: str, make: Callable[[str], Any], what: str) -> bytes:
    try:
        # An interface name after % would be lost in the packed form.
        if "%" in text:
            raise ValueError
        packed: bytes = make(text).packed
    except ValueError:
        raise CommandError(f"Invalid value '{text}': {what} is wanted") from None
    return packed


def _either(_value: Value, text: str) -> str:
    packed = _address(text, ipaddress.ip_address, "an IPv4 or IPv6 address")
    return str(ipaddress.ip_address(packed))


def _prefix(text: str, make: Callable[[str], Any], what: str, bits: int) -> tuple[bytes, int]:
    address, slash, length = text.partition("/")
    packed = _address(address, make, f"{what}/length")
    if not slash or not re.fullmatch(r"[0-9]{1,3}", length, re.ASCII) or int(length) > bits:
        raise CommandError(f"Invalid value '{text}': {what} with a prefix length 0 to {bits} is wanted")
    return packed, int(length)


def _network(text: str, make: Callable[[str], Any], what: str, bits: int) -> tuple[bytes, int]:
    packed, length = _prefix(text, make, what, bits)
    if int.from_bytes(packed, "big") & ((1 << (bits - length)) - 1):
        raise CommandError(f"Invalid value '{text}': bits are set behind the prefix length")
    return packed, length


def _mac(_value: Value, text: str) -> bytes:
    if not _MAC.match(text):
        raise CommandError(f"Invalid value '{text}': a link-layer address xx:xx:xx:xx:xx:xx is wanted")
    return bytes.fromhex(text.replace(":", "").replace("-", ""))


def _sized(value: Value, text: str) -> str:
    if not value.low <= len(text) <= value.high:
        raise CommandError(f"Invalid value '{text[:80]}': {value.low} to {value.high} characters are wanted")
    return text


def _name(value: Value, text: str) -> str:
    if not _NAME.match(text):
        raise CommandError(f"Invalid value '{text[:80]}': a name of letters, digits and ._-:@+/ is wanted")
    return _sized(value, text)


def _nai(value: Value, text: str) -> str:
    """RFC 7542: one word, at most one ``@`` with a realm behind it; RFC 4283: at most 253 octets."""
    user, at, realm = text.rpartition("@")
    if not text.isprintable() or " " in text or "@" in user or (at and not realm):
        raise CommandError(f"Invalid value '{text[:80]}': a network access identifier (user@realm) is wanted")
    if not value.low <= len(text.encode("utf-8", "surrogateescape")) <= value.high:
        raise CommandError(f"Invalid value '{text[:80]}': {value.low} to {value.high} octets are wanted")
    return text


def _string(value: Value, text: str) -> str:
    if not text.isprintable():
        raise CommandError("Invalid value: a text without control characters is wanted")
    return _sized(value, text)


def _secret(value: Value, text: str) -> str:
    """What is wrong with a secret is told without showing it."""
    if not text.isprintable() or not value.low <= len(text) <= value.high:
        raise CommandError(f"Invalid secret: {value.low} to {value.high} printable characters are wanted")
    return text


def _path(value: Value, text: str) -> str:
    if not text.startswith("/") or not text.isprintable():
        raise CommandError(f"Invalid value '{text[:80]}': an absolute path is wanted")
    return _sized(value, text)


#: RFC 6733 section 4.3.1: a DiameterIdentity is the name of a host, or of a realm.
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?"
#: With the dots optional a long wrong name would take for ever.
_IDENTITY = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\Z", re.ASCII)


def _identity(value: Value, text: str) -> str:
    if not _IDENTITY.match(text):
        raise CommandError(f"Invalid value '{text[:80]}': a name such as aaa1.home.example is wanted")
    return _sized(value, text.lower())


def _wild_identity(value: Value, text: str) -> str:
    """A name, or ``*``, or ``*.`` and the name of all that lies below."""
    if text == "*":
        return text
    return "*." + _identity(value, text[2:]) if text.startswith("*.") else _identity(value, text)


def _any_ip(_value: Value, text: str) -> bytes:
    return _address(text, ipaddress.ip_address, "an IPv4 or IPv6 address")


def _show_address(value: bytes) -> str:
    return str(ipaddress.ip_address(value))


def _show_prefix(value: tuple[bytes, int]) -> str:
    return f"{_show_address(value[0])}/{value[1]}"


def _v6(_value: Value, text: str) -> tuple[bytes, int]:
    return _network(text, ipaddress.IPv6Address, "an IPv6 prefix", 128)


def _v4(_value: Value, text: str) -> tuple[bytes, int]:
    return _network(text, ipaddress.IPv4Address, "an IPv4 network", 32)


def _v6_host(_value: Value, text: str) -> tuple[bytes, int]:
    return _prefix(text, ipaddress.IPv6Address, "an IPv6 address", 128)


def _v4_host(_value: Value, text: str) -> tuple[bytes, int]:
    return _prefix(text, ipaddress.IPv4Address, "an IPv4 address", 32)


def _peers(value: Value, text: str) -> tuple[bytes, int]:
    if "/" in text:
        return _v6(value, text) if ":" in text else _v4(value, text)
    address = _any_ip(value, text)
    return address, 8 * len(address)


def _show_peers(value: tuple[bytes, int]) -> str:
    address, length = value
    return _show_address(address) if length == 8 * len(address) else _show_prefix(value)


def _either_prefix(value: Value, text: str) -> tuple[bytes, int]:
    return (_v6 if ":" in text else _v4)(value, text)


def _octets(value: Value, text: str) -> bytes:
    if not _OCTETS.match(text):
        raise CommandError(f"Invalid value '{text[:80]}': pairs of hexadecimal digits are wanted")
    found = bytes.fromhex(text)
    if not value.low <= len(found) <= value.high:
        raise CommandError(f"Invalid value '{text[:80]}': {value.low} to {value.high} octets are wanted")
    return found


def _degrees(_value: Value, text: str) -> int:
    """Degrees in units of 1/32768, which is what RFC 6757 has 24 bits for."""
    if not _DEGREES.match(text):
        raise CommandError(f"Invalid value '{text[:80]}': degrees such as -7.25 are wanted")
    return round(float(text) * 32768)


def _show_degrees(value: int) -> str:
    return f"{value / 32768:.6f}".rstrip("0").rstrip(".")


#: Kind: reader, writer. IPV6/LEN and IPV4/LEN are prefixes; IPV6/HOST and IPV4/HOST are addresses with
#: the length of their link; IP/ANY is an address or a prefix; ADDRESS is either family, as text, and IP
#: packed, IP/LEN a prefix of either. OCTETS are pairs of hexadecimal digits, DEGREES a place.
#: IDENTITY is a DiameterIdentity, IDENTITY/ANY one that may begin with ``*``. TIME is a moment, UTC.
_KINDS: dict[str, tuple[Callable[[Value, str], Any], Callable[[Any], str]]] = {
    "NUMBER": (_number, str),
    "HEX": (_hexadecimal, lambda value: f"{value:08x}"),
    "TIME": (_time, _show_time),
    "IPV6": (_ipv6, _show_address),
    "IPV4": (_ipv4, _show_address),
    "ADDRESS": (_either, str),
    "IP": (_any_ip, _show_address),
    "IDENTITY": (_identity, str),
    "IDENTITY/ANY": (_wild_identity, str),
    "IPV6/LEN": (_v6, _show_prefix),
    "IPV4/LEN": (_v4, _show_prefix),
    "IPV6/HOST": (_v6_host, _show_prefix),
    "IPV4/HOST": (_v4_host, _show_prefix),
    "IP/ANY": (_peers, _show_peers),
    "IP/LEN": (_either_prefix, _show_prefix),
    "OCTETS": (_octets, bytes.hex),
    "DEGREES": (_degrees, _show_degrees),
    "MAC": (_mac, lambda value: value.hex(":")),
    "NAI": (_nai, quote),
    "NAME": (_name, quote),
    "STRING": (_string, quote),
    "SECRET": (_secret, quote),
    "PATH": (_path, quote),
}
_TEXTS = {"NAI": 253, "NAME": 63, "STRING": 127, "SECRET": 127, "PATH": 107}
_TEXTS |= {"IDENTITY": 127, "IDENTITY/ANY": 127, "OCTETS": 240}


def make_value(name: str, specification: str, ranges: dict[str, tuple[int, int, str]], text: str) -> Value:
    """Build a placeholder from the part after the colon, such as ``NUMBER 1-9`` or ``reject|discard``.

    A number without a range takes it from ``ranges`` (low, high, unit). Raises :class:`GrammarError`.
    """
    if "|" in specification:
        choices = tuple(part.strip() for part in specification.split("|"))
        return Value(name, "CHOICE", choices=choices, help=text)
    kind, _, limits = specification.partition(" ")
    if kind not in _KINDS:
        raise GrammarError(f"<{name}:{specification}>: unknown type {kind}")
    low, high, unit = ranges.get(name, (None, None, "")) if kind == "NUMBER" else (1, _TEXTS.get(kind, 0), "")
    if limits:
        low, high = (int(part) for part in limits.split("-"))
    if low is None or high is None:
        raise GrammarError(f"<{name}:{specification}>: a number needs a range")
    return Value(name, kind, low, high, unit, help=text)
