"""Users files: the users of a realm, in text.

::

    # Comments and empty lines go anywhere.
    mn1@home.example
        MN-AAA-Key           = "mn1-aaa-secret-0"      # or 0x followed by hexadecimal digits
        MN-AAA-SPI           = 3
        Home-Network-Prefix  = 2001:db8:1:2::/64       # may be repeated
        Home-Address         = 10.20.30.40
        Service-Selection    = internet                # may be repeated
    *                                                  # what all others of the realm get
        PMIPv6 = no

A user begins with a NAI at the beginning of a line; the lines of its attributes begin with a blank. A name
without ``@`` belongs to the realm of the file. ``*`` is the default of the realm. Names of attributes are
compared without case. A value with blanks or ``#`` in it stands in double quotes, in which ``\\"`` stands for
a quote and two backslashes for one.

``Enabled``, ``PMIPv6``, ``MIPv6``, ``MIPv4`` (yes or no, default yes), ``MN-AAA-Key``, ``MN-AAA-SPI``,
``MN-HA-Key``, ``MN-HA-SPI``, ``Home-Network-Prefix``, ``Mobile-Network-Prefix``, ``Home-Address``,
``Home-Agent``,
``Service-Selection``, ``Authorization-Lifetime``, ``Auth-Grace-Period``, ``Session-Timeout``,
``Acct-Interim-Interval``, ``Class``, ``Chargeable-User-Identity``, ``Maximum-Sessions``, ``Bandwidth-Up``,
``Bandwidth-Down`` (bits/s).
"""

import ipaddress
import re
from collections.abc import Callable, Iterable
from typing import Any

from attrs import fields

from appliance.aaa.settings import User
from appliance.aaa.users import fold_nai, realm_of
from appliance.errors import ApplianceError
from appliance.protocols.diameter.message.types import fold

#: Users of a file, and characters of a line, at most.
MOST_USERS, LONGEST_LINE = 1_000_000, 1_000
#: RFC 7542 section 2.2.
LONGEST_NAI = 253
LONGEST_KEY = 64
#: Lines between two calls of ``breathe``.
BREATH = 200
#: A name may have a # in it (RFC 7542 section 2.2).
_COMMENT = re.compile(r"\s+#")


class UsersFileError(ApplianceError):
    """A users file that cannot be used; the text begins with ``FILE:LINE:``."""


def _yes(text: str) -> bool:
    if text.lower() in ("yes", "no"):
        return text.lower() == "yes"
    raise ValueError("has to be yes or no")


def _octets(text: str) -> bytes:
    return bytes.fromhex(text[2:]) if text[:2] in ("0x", "0X") else text.encode()


def _key(text: str) -> bytes:
    try:
        key = _octets(text)
    except ValueError:
        raise ValueError("0x has to be followed by pairs of hexadecimal digits") from None
    if not 1 <= len(key) <= LONGEST_KEY:
        raise ValueError(f"a key has 1 to {LONGEST_KEY} octets")
    return key


def _prefix(text: str) -> tuple[bytes, int]:
    network = ipaddress.IPv6Network(text)
    if network.prefixlen > 64:
        raise ValueError("a home network prefix has 64 bits at most")
    return network.network_address.packed, network.prefixlen


def _text(text: str) -> str:
    if not text:
        raise ValueError("must not be empty")
    return text


def _number(name: str) -> Callable[[str], int]:
    low, high = getattr(fields(User), name).metadata["range"]

    def read(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            raise ValueError(f"has to be a number from {low} to {high}")
        return value

    return read


def _spi(text: str) -> int:
    value = int(text, 0)
    if not 0 <= value <= 0xFFFFFFFF:
        raise ValueError("an SPI is a number from 0 to 4294967295")
    return value


#: By folded name: the field of the user, how its value is read, and whether it may be repeated.
ATTRIBUTES: dict[str, tuple[str, Callable[[str], Any], bool]] = {
    "enabled": ("enabled", _yes, False),
    "pmipv6": ("pmipv6", _yes, False),
    "mipv6": ("mip6", _yes, False),
    "mipv4": ("mip4", _yes, False),
    "mn-aaa-key": ("key", _key, False),
    "mn-aaa-spi": ("spi", _spi, False),
    "mn-ha-key": ("mn_ha_key", _key, False),
    "mn-ha-spi": ("mn_ha_spi", _spi, False),
    "home-network-prefix": ("prefixes", _prefix, True),
    "mobile-network-prefix": ("networks", _prefix, True),
    "home-address": ("ipv4_address", lambda text: ipaddress.IPv4Address(text).packed, False),
    "home-agent": ("home_agent", lambda text: ipaddress.ip_address(text).packed, False),
    "service-selection": ("services", _text, True),
    "class": ("class_", _octets, False),
    "chargeable-user-identity": ("charge", _octets, False),
    **{
        attribute: (name, _number(name), False)
        for attribute, name in (
            ("authorization-lifetime", "authorization_lifetime"),
            ("auth-grace-period", "grace_period"),
            ("session-timeout", "session_timeout"),
            ("acct-interim-interval", "interim_interval"),
            ("maximum-sessions", "max_sessions"),
            ("bandwidth-up", "bandwidth_up"),
            ("bandwidth-down", "bandwidth_down"),
        )
    },
}


def parse(
    lines: Iterable[str], filename: str, realm: str, breathe: Callable[[], None] = lambda: None
) -> dict[str, User]:
    """Read the users of ``realm``; ``breathe`` is called now and then, so that other threads have their turn.

    Returns them by folded NAI. Raises UsersFileError at the first line that is wrong.
    """
    return _Reader(filename, fold(realm)).read(lines, breathe)


class _Reader:
    """Reads one file."""

    def __init__(self, filename: str, realm: str) -> None:
        self._file = filename
        self._realm = realm
        self._line = 0
        self._users: dict[str, User] = {}
        self._begun: dict[str, int] = {}
        self._nai = ""
        self._values: dict[str, Any] = {}

    def read(self, lines: Iterable[str], breathe: Callable[[], None]) -> dict[str, User]:
        for number, raw in enumerate(lines, 1):
            self._line = number
            if number % BREATH == 0:
                breathe()
            if len(raw) > LONGEST_LINE:
                raise self._error(f"longer than {LONGEST_LINE} characters")
            line = raw.rstrip()
            if not line or line.lstrip().startswith("#"):
                continue
            if line[0].isspace():
                self._attribute(line)
            else:
                self._finish()
                self._begin(_COMMENT.split(line, maxsplit=1)[0])
        self._finish()
        return self._users

    def _error(self, text: str) -> UsersFileError:
        return UsersFileError(f"{self._file}:{self._line}: {text}")

    def _begin(self, name: str) -> None:
        if "@" not in name:
            name = f"{name}@{self._realm}"
        nai = fold_nai(name)
        if realm_of(nai) != self._realm:
            raise self._error(f"{name} is not of the realm {self._realm}")
        if len(nai) > LONGEST_NAI or nai.startswith("@") or not nai.isprintable() or " " in nai:
            raise self._error(
                f"'{name}' is no NAI: user@{self._realm}, without blanks, {LONGEST_NAI} characters"
            )
        if nai in self._begun:
            raise self._error(f"{name} is in line {self._begun[nai]} already")
        if len(self._begun) >= MOST_USERS:
            raise self._error(f"more than {MOST_USERS} users")
        self._begun[nai] = self._line
        self._nai = nai
        self._values = {"nai": nai}

    def _finish(self) -> None:
        if self._nai:
            self._users[self._nai] = User(**self._values)
            self._nai = ""

    def _attribute(self, line: str) -> None:
        name, equals, value = line.partition("=")
        name = name.strip()
        known = ATTRIBUTES.get(name.lower())
        if not equals:
            raise self._error("expected 'NAME = VALUE'")
        if known is None:
            raise self._error(f"unknown attribute '{name}'; known are {', '.join(sorted(ATTRIBUTES))}")
        if not self._nai:
            raise self._error("an attribute before the first user")
        field, read, many = known
        try:
            found = read(self._value(value.strip()))
        except ValueError as error:
            raise self._error(f"{name}: {error}") from None
        if many:
            self._values[field] = (*self._values.get(field, ()), found)
        elif field in self._values:
            raise self._error(f"{name} stands here twice for {self._nai}")
        else:
            self._values[field] = found

    def _value(self, text: str) -> str:
        if not text.startswith('"'):
            return text.partition("#")[0].rstrip()
        inside = text[1:-1]
        if text[-1] == '"' and len(text) > 1 and '"' not in inside and "\\" not in inside:
            return inside
        found: list[str] = []
        place = 1
        while place < len(text):
            letter = text[place]
            if letter == '"':
                rest = text[place + 1 :].strip()
                if rest and not rest.startswith("#"):
                    raise self._error(f"'{rest}' behind the closing quote")
                return "".join(found)
            if letter == "\\":
                place += 1
                letter = text[place : place + 1]
                if letter not in ('"', "\\"):
                    raise self._error('a backslash in quotes stands before " or \\')
            found.append(letter)
            place += 1
        raise self._error("the closing quote is missing")
