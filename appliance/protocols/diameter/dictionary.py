"""The Diameter dictionary: AVPs, commands and applications, read from ``dict/*.dia``.

The files are in the notation of the RFCs. A section begins with an ``@`` line; a line that begins with a
blank goes on with the one before; ``#`` begins a comment::

    @vendor 10415 3GPP                   vendor of all that follows; 0 ends it
    @application 3 Diameter Base Accounting
    @avp                                 name, code, type, M bit (M: set, -: clear, .: either)
    Accounting-Record-Type  480  Enumerated  M
    @enum Accounting-Record-Type         name, value
    EVENT_RECORD  1
    @alias seed                          name that a set of names uses, name of the AVP
    Accounting-Session-Time  Acct-Session-Time
    @grouped
    Proxy-Info ::= < AVP Header: 284 > { Proxy-Host } { Proxy-State } * [ AVP ]
    @message                             abbreviation ::= < Diameter Header: code, flags > rules
    ACR ::= < Diameter Header: 271, REQ, PXY > < Session-Id > { Origin-Host } ... * [ AVP ]

``< X >`` has a fixed place, ``{ X }`` is required, ``[ X ]`` may be there; ``*``, ``1*``, ``*2`` and ``1*2``
in front say how often (RFC 6733 section 3.2).
"""

import re
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Any

from attrs import define, field

from appliance.errors import ApplianceError
from appliance.protocols.diameter.types import TYPES, DataType

#: The standard files, in the order in which they are read.
FILES = ("base",)
#: Lines of a file, and characters of one of its lines, at most: an operator's file is read into memory.
MOST_LINES, LONGEST = 20_000, 20_000

FLAG_V, FLAG_M, FLAG_P = 0x80, 0x40, 0x20
#: Nobody may send more of an AVP than fits one message.
MANY = 1 << 24
_PADDING = (b"", b"\0\0\0", b"\0\0", b"\0")
_RULE = re.compile(r"\s*(?:(\d*)\s*(\*)\s*(\d*))?\s*([<{\[])\s*([A-Za-z0-9][\w.-]*)\s*([>}\]])")
_HEADER = re.compile(r"\s*<\s*(Diameter|AVP)[ -]Header:\s*(\d+)((?:[\s,]+\w+)*)\s*>")
_CLOSING = {"<": ">", "{": "}", "[": "]"}


class DictionaryError(ApplianceError):
    """A dictionary file that cannot be used; the text names file and line."""


@define(slots=True, frozen=True)
class Rule:
    """How often an AVP may stand in a command or group."""

    name: str
    """``AVP``: any other one."""
    low: int
    high: int
    fixed: bool = False
    """True: it stands at its place in the order of the rules."""


@define(slots=True, eq=False)
class AvpDef:
    """One AVP. Definitions are the same object as long as the dictionary lives."""

    name: str
    code: int
    vendor: int
    type: DataType
    must: bool | None
    """The M bit has to be set, has to be clear, or may be either (``None``; we send it clear)."""
    values: dict[int, str] = field(factory=dict)
    """Names of the values of an Enumerated; also bits of a mask, where the dictionary gives them."""
    rules: tuple[Rule, ...] = ()
    """Grammar of a Grouped AVP; empty: anything goes."""
    _front: int = 0
    _extra: bytes = b""

    def __attrs_post_init__(self) -> None:
        flags = (FLAG_V if self.vendor else 0) | (FLAG_M if self.must else 0)
        self._front = self.code << 32 | flags << 24 | (12 if self.vendor else 8)
        self._extra = self.vendor.to_bytes(4, "big") if self.vendor else b""

    @property
    def grouped(self) -> bool:
        """Whether its data are AVPs."""
        return self.type is TYPES["Grouped"]

    def encode(self, value: Any) -> bytes:
        """The whole AVP with header and padding. Raises BadValue."""
        data = self.type.encode(value)
        size = len(data)
        return (self._front + size).to_bytes(8, "big") + self._extra + data + _PADDING[size & 3]


@define(slots=True, frozen=True)
class CommandDef:
    """A request or an answer."""

    name: str
    """Abbreviation, as in ``ACR``."""
    code: int
    request: bool
    proxiable: bool
    rules: tuple[Rule, ...]
    application: int | None = None
    """Where the grammar is for one application only; ``None``: for all."""


@define(slots=True, frozen=True)
class ApplicationDef:
    """An application."""

    id: int
    name: str
    vendor: int = 0


@define(slots=True)
class Dictionary:
    """Everything that the files of one dictionary say."""

    avps: dict[str, AvpDef] = field(factory=dict)
    by_code: dict[tuple[int, int], AvpDef] = field(factory=dict)
    """By code and vendor."""
    commands: dict[str, CommandDef] = field(factory=dict)
    applications: dict[int, ApplicationDef] = field(factory=dict)
    aliases: dict[str, dict[str, str]] = field(factory=dict)
    """For each set of other names: name of the AVP → its name in the set."""
    _by_header: dict[tuple[int, bool, int | None], CommandDef] = field(factory=dict)

    def __getitem__(self, name: str) -> AvpDef:
        """The AVP of that name. Raises KeyError."""
        return self.avps[name]

    def command(self, code: int, request: bool, application: int) -> CommandDef | None:
        """The grammar of a message: its application's own one, else the general one."""
        found = self._by_header.get((code, request, application))
        return found if found is not None else self._by_header.get((code, request, None))

    def has_command(self, code: int) -> bool:
        """Whether any application has a command of that code."""
        return any(command.code == code for command in self.commands.values())

    def copy(self) -> "Dictionary":
        """A dictionary to load more into; the definitions are shared."""
        made = Dictionary()
        made.avps.update(self.avps)
        made.by_code.update(self.by_code)
        made.commands.update(self.commands)
        made.applications.update(self.applications)
        made.aliases.update({name: dict(names) for name, names in self.aliases.items()})
        made._by_header.update(self._by_header)
        return made

    def load(self, text: str, filename: str) -> None:
        """Add what a file says; what it says anew replaces what was there.

        Raises DictionaryError with ``FILE:LINE: ...``; the dictionary is then in an undefined state, so
        load into a :meth:`copy`.
        """
        _Reader(self, filename).read(text)


class _Reader:
    """Reads one file, line by line."""

    def __init__(self, dictionary: Dictionary, filename: str) -> None:
        self._into = dictionary
        self._file = filename
        self._line = 0
        self._section = ""
        self._argument = ""
        self._vendor = 0

    def read(self, text: str) -> None:
        for number, line in self._lines(text):
            self._line = number
            if line.startswith("@"):
                self._begin(line)
            elif not self._section:
                self._fail("a section has to begin first, for example '@avp'")
            else:
                getattr(self, f"_{self._section}")(line)
        self._finish()

    def _fail(self, text: str) -> None:
        raise DictionaryError(f"{self._file}:{self._line}: {text}")

    def _lines(self, text: str) -> Iterator[tuple[int, str]]:
        """Lines without comments, joined with those that go on with them."""
        first, joined = 0, ""
        for number, raw in enumerate(text.splitlines(), 1):
            self._line = number
            line = raw.partition("#")[0].rstrip()
            if number > MOST_LINES or len(line) + len(joined) > LONGEST:
                self._fail(f"too long: a file has {MOST_LINES} lines at most, a line {LONGEST} characters")
            if line[:1].isspace():
                joined += " " + line.strip()
                continue
            if joined:
                yield first, joined
            first, joined = number, line
        if joined:
            yield first, joined

    def _begin(self, line: str) -> None:
        word, _, rest = line[1:].partition(" ")
        rest = rest.strip()
        if word == "vendor":
            self._vendor = self._integer(rest.partition(" ")[0], 0, 0xFFFFFFFF)
        elif word == "application":
            number, _, name = rest.partition(" ")
            id_ = self._integer(number, 0, 0xFFFFFFFF)
            self._into.applications[id_] = ApplicationDef(id_, name.strip() or number, self._vendor)
            word = ""
        elif word not in ("avp", "enum", "alias", "grouped", "message"):
            self._fail(f"unknown section '@{word}'")
        if word in ("enum", "alias") and not rest:
            self._fail(f"'@{word}' needs a name behind it")
        if word == "enum" and rest not in self._into.avps:
            self._fail(f"no AVP is named {rest}")
        self._section, self._argument = ("" if word == "vendor" else word), rest

    def _integer(self, text: str, low: int, high: int) -> int:
        try:
            number = int(text, 0)
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            self._fail(f"'{text}' is no number from {low} to {high}")
        return number

    def _words(self, line: str, count: int, form: str) -> list[str]:
        words = line.split()
        if len(words) != count:
            self._fail(f"expected '{form}'")
        return words

    def _avp(self, line: str) -> None:
        name, code, kind, must = self._words(line, 4, "NAME CODE TYPE M|-|.")
        if kind not in TYPES:
            self._fail(f"unknown type {kind}; known are {', '.join(TYPES)}")
        if must not in ("M", "-", "."):
            self._fail(f"'{must}' says nothing about the M bit: M set, - clear, . either")
        number = self._integer(code, 1, 0xFFFFFFFF)
        bit = {"M": True, "-": False, ".": None}[must]
        made = AvpDef(name, number, self._vendor, TYPES[kind], bit)
        self._into.avps[name] = self._into.by_code[number, self._vendor] = made

    def _enum(self, line: str) -> None:
        name, value = self._words(line, 2, "NAME VALUE")
        self._into.avps[self._argument].values[self._integer(value, -(1 << 31), (1 << 64) - 1)] = name

    def _alias(self, line: str) -> None:
        other, name = self._words(line, 2, "OTHER-NAME NAME")
        self._into.aliases.setdefault(self._argument, {})[name] = other

    def _header(self, line: str, kind: str) -> tuple[str, int, list[str], tuple[Rule, ...]]:
        name, mark, rest = line.partition("::=")
        head = _HEADER.match(rest)
        if not mark or head is None or head[1] != kind:
            self._fail(f"expected 'NAME ::= < {kind} Header: CODE ... > RULES'")
        assert head is not None
        flags = head[3].replace(",", " ").split()
        return name.strip(), int(head[2]), flags, tuple(self._rules(rest[head.end() :]))

    def _rules(self, text: str) -> Iterator[Rule]:
        place = 0
        while text[place:].strip():
            found = _RULE.match(text, place)
            if found is None or found[6] != _CLOSING[found[4]]:
                self._fail(f"cannot read the rule at '{text[place:].strip()[:40]}'")
            assert found is not None
            low, star, high, opening, name, _ = found.groups()
            least = int(low) if low else 0 if opening == "[" else 1
            most = int(high) if high else MANY if star else 1
            yield Rule(name, least, most, opening == "<")
            place = found.end()

    def _grouped(self, line: str) -> None:
        name, code, flags, rules = self._header(line, "AVP")
        known = self._into.avps.get(name)
        if known is None or known.code != code or not known.grouped:
            self._fail(f"no Grouped AVP is named {name} and has code {code}")
        assert known is not None
        known.rules = rules

    def _message(self, line: str) -> None:
        name, code, flags, rules = self._header(line, "Diameter")
        ids = [int(word) for word in flags if word.isdigit()]
        command = CommandDef(name, code, "REQ" in flags, "PXY" in flags, rules, ids[0] if ids else None)
        self._into.commands[name] = command
        self._into._by_header[code, command.request, command.application] = command

    def _finish(self) -> None:
        """Every rule has to name an AVP that there is."""
        for where, rules in (
            *((command.name, command.rules) for command in self._into.commands.values()),
            *((avp.name, avp.rules) for avp in self._into.avps.values()),
        ):
            for rule in rules:
                if rule.name != "AVP" and rule.name not in self._into.avps:
                    self._fail(f"{where} has a rule for {rule.name}, which is no AVP")


@cache
def standard() -> Dictionary:
    """The dictionary of the files that come with the appliance."""
    made = Dictionary()
    folder = resources.files("appliance.protocols.diameter") / "dict"
    for name in FILES:
        made.load((folder / f"{name}.dia").read_text(encoding="utf-8"), f"{name}.dia")
    return made
