"""Reads dictionary files (``.dia``), whose notation is that of the RFCs.

A section begins with an ``@`` line; a line that begins with a blank goes on with the one before; ``#`` begins
a comment::

    @vendor 10415 3GPP                   vendor of all that follows; 0 ends it
    @application 3 Diameter Base Accounting
    @avp                                 name, code, type, M bit
    Accounting-Record-Type  480  Enumerated  M
    @enum Accounting-Record-Type         name, value; others are wrong, except with 'open' behind the name
    EVENT_RECORD  1
    @mask Session-Binding                name, bit
    RE_AUTH  1
    @results                             names of the vendor's Experimental-Result-Codes
    DIAMETER_ERROR_USER_UNKNOWN  5001
    @alias seed                          name that a set of names uses, name of the AVP
    Accounting-Session-Time  Acct-Session-Time
    @grouped
    Proxy-Info ::= < AVP Header: 284 > { Proxy-Host } { Proxy-State } * [ AVP ]
    @command                             code, what it is called without -Request and -Answer
    271  Accounting
    @message                             abbreviation ::= < Diameter Header: code, flags, application > rules
    ACR ::= < Diameter Header: 271, REQ, PXY > < Session-Id > { Origin-Host } ... * [ AVP ]

M bit: ``M`` has to be set, ``-`` has to be clear; with ``m`` we set it and with ``.`` we do not, and peers
may do as they like.

``< X >`` has a fixed place, ``{ X }`` is required, ``[ X ]`` may be there; ``*``, ``1*``, ``*2`` and ``1*2``
in front say how often (RFC 6733 section 3.2), ``* 0`` that it must not be there.
"""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, NoReturn

from appliance.protocols.diameter.message.definitions import (
    ANY,
    MANY,
    ApplicationDef,
    AvpDef,
    CommandDef,
    DictionaryError,
    Rule,
)
from appliance.protocols.diameter.message.types import ENUMERATED, TYPES, UNSIGNED32, UNSIGNED64

if TYPE_CHECKING:
    from appliance.protocols.diameter.message.dictionary import Dictionary

#: Lines of a file, and characters of one of its lines, at most: an operator's file is read into memory.
MOST_LINES, LONGEST = 20_000, 20_000
#: Letter of the M bit: what has to be, and what we set where nothing has to be.
_M_BIT: dict[str, tuple[bool | None, bool]] = {
    "M": (True, True),
    "-": (False, False),
    "m": (None, True),
    ".": (None, False),
}
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
_RULE = re.compile(r"\s*(?:(\d*)\s*(\*)\s*(\d*))?\s*([<{\[])\s*([A-Za-z0-9][\w.-]*)\s*([>}\]])")
_HEADER = re.compile(r"\s*<\s*(Diameter|AVP)[ -]Header:\s*(\d+|code)((?:[\s,\[\]]+\w+)*[\s\]]*)>")
_CLOSING = {"<": ">", "{": "}", "[": "]"}
_FLAGS = {"REQ", "PXY", "ERR"}
#: What reads a line of each section.
_SECTIONS = {
    "avp": "_avp",
    "enum": "_value",
    "mask": "_value",
    "results": "_result",
    "alias": "_alias",
    "command": "_command",
    "grouped": "_grouped",
    "message": "_message",
}


class Reader:
    """Reads one file into a dictionary; what that shares with other dictionaries is not changed."""

    def __init__(self, dictionary: "Dictionary", filename: str, replaces: bool = False) -> None:
        """``replaces``: AVPs of the file take the place of others with the same name or code."""
        self._replaces = replaces
        self._into = dictionary
        self._file = filename
        self._line = 0
        self._section = ""
        self._argument = ""
        self._vendor = 0
        self._own: set[AvpDef] = set()
        """Definitions that this file made, so that it may change them."""
        self._grammars: list[tuple[int, str, tuple[Rule, ...]]] = []
        """Line, name and rules of all grammars of the file."""

    def read(self, text: str) -> None:
        """Read it all. Raises DictionaryError."""
        for number, line in self._lines(text):
            self._line = number
            if line.startswith("@"):
                self._begin(line)
            elif not self._section:
                self._fail("a section has to begin first, for example '@avp'")
            else:
                getattr(self, _SECTIONS[self._section])(line)
        self._finish()

    def _fail(self, text: str) -> NoReturn:
        raise DictionaryError(f"{self._file}:{self._line}: {text}")

    def _lines(self, text: str) -> Iterator[tuple[int, str]]:
        """Lines without comments, joined with those that go on with them."""
        first, joined = 0, ""
        for number, raw in enumerate(text.splitlines(), 1):
            self._line = number
            line, mark, _ = raw.partition("#")
            line = line.rstrip()
            if number > MOST_LINES or len(line) + len(joined) > LONGEST:
                self._fail(f"too long: a file has {MOST_LINES} lines at most, a line {LONGEST} characters")
            if mark and not line:
                continue
            if line[:1].isspace():
                if not joined:
                    self._fail("a line that begins with a blank goes on with one before it; there is none")
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
        self._section, self._argument = "", ""
        if word == "vendor":
            self._vendor = self._integer(rest.partition(" ")[0], 0, 0xFFFFFFFF)
        elif word == "application":
            number, _, name = rest.partition(" ")
            id_ = self._integer(number, 0, 0xFFFFFFFF)
            self._into.applications[id_] = ApplicationDef(id_, name.strip() or number, self._vendor)
        elif word not in _SECTIONS:
            known = ", ".join(("vendor", "application", *_SECTIONS))
            self._fail(f"unknown section '@{word}'; known are {known}")
        else:
            self._section = word
            if word in ("enum", "mask"):
                self._begin_values(rest)
            elif word == "alias" and not rest:
                self._fail("'@alias' needs the name of the set of names behind it")
            else:
                self._argument = rest

    def _begin_values(self, rest: str) -> None:
        """``@enum NAME [open]`` or ``@mask NAME``."""
        name, _, more = rest.partition(" ")
        known = self._into.avps.get(name)
        if known is None:
            self._fail(f"'@{self._section}' needs the name of an AVP; no AVP is named '{name}'")
        if more not in ("", "open") or (more and self._section == "mask"):
            self._fail(f"'{more}' cannot stand here; '@enum NAME open' allows other values than those listed")
        if self._section == "mask" and known.type not in (UNSIGNED32, UNSIGNED64):
            self._fail(f"{name} is {known.type.name}; only Unsigned32 and Unsigned64 are masks")
        self._argument = name
        avp = self._to_change(known)
        avp.mask = self._section == "mask"
        avp.closed = known.type is ENUMERATED and not more

    def _to_change(self, known: AvpDef) -> AvpDef:
        """The definition as one that may be changed: others may have the dictionary that it came from."""
        if known in self._own:
            return known
        made = known.changed()
        self._put(made)
        return made

    def _put(self, made: AvpDef) -> None:
        self._own.add(made)
        self._into.avps[made.name] = self._into.by_code[made.code, made.vendor] = made

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
            self._fail(f"expected '{form}', found '{line[:60]}'")
        return words

    def _avp(self, line: str) -> None:
        name, code, kind, must = self._words(line, 4, "NAME CODE TYPE M|-|m|.")
        if not _NAME.fullmatch(name) or name == ANY:
            self._fail(f"'{name}' cannot be the name of an AVP: letters, digits, '-', '_' and '.'")
        if kind not in TYPES:
            self._fail(f"unknown type {kind}; known are {', '.join(TYPES)}")
        if must not in _M_BIT:
            self._fail(f"'{must}' says nothing about the M bit: M set, - clear, m or . either")
        number = self._integer(code, 1, 0xFFFFFFFF)
        self._check_known(name, number, kind)
        has, sets = _M_BIT[must]
        self._put(AvpDef(name, number, self._vendor, TYPES[kind], has, sets=sets))

    def _check_known(self, name: str, number: int, kind: str) -> None:
        """An AVP that there is may be said again, but not as another one: programs rely on it."""
        for known in (self._into.avps.get(name), self._into.by_code.get((number, self._vendor))):
            if known is None:
                continue
            is_same = known.name == name and (known.code, known.vendor) == (number, self._vendor)
            if self._replaces:
                self._into.avps.pop(known.name, None)
                self._into.by_code.pop((known.code, known.vendor), None)
            elif not is_same or known.type is not TYPES[kind]:
                vendor = f" of vendor {known.vendor}" if known.vendor else ""
                self._fail(f"there is {known.name}, code {known.code}{vendor}, {known.type.name} already")

    def _value(self, line: str) -> None:
        name, value = self._words(line, 2, "NAME VALUE")
        low, high = (1, (1 << 64) - 1) if self._section == "mask" else (-(1 << 31), (1 << 32) - 1)
        self._into.avps[self._argument].values[self._integer(value, low, high)] = name

    def _result(self, line: str) -> None:
        name, value = self._words(line, 2, "NAME VALUE")
        self._into.results[self._vendor, self._integer(value, 0, 0xFFFFFFFF)] = name

    def _alias(self, line: str) -> None:
        other, name = self._words(line, 2, "OTHER-NAME NAME")
        if name not in self._into.avps:
            self._fail(f"no AVP is named '{name}'")
        self._into.aliases.setdefault(self._argument, {})[name] = other

    def _command(self, line: str) -> None:
        code, name = self._words(line, 2, "CODE NAME")
        self._into.titles[self._integer(code, 0, 0xFFFFFF)] = name

    def _header(self, line: str, kind: str) -> tuple[str, int, list[str], tuple[Rule, ...]]:
        name, mark, rest = " ".join(line.split()).partition("::=")
        head = _HEADER.match(rest)
        if not mark or head is None or head[1] != kind:
            self._fail(f"expected 'NAME ::= < {kind} Header: CODE ... > RULES', found '{line[:60]}'")
        name = name.strip().strip("<>").strip()
        code = 0 if head[2] == "code" else self._integer(head[2], 0, 0xFFFFFFFF)
        rules = tuple(self._rules(rest[head.end() :]))
        self._grammars.append((self._line, name, rules))
        return name, code, re.findall(r"\w+", head[3]), rules

    def _rules(self, text: str) -> Iterator[Rule]:
        place = 0
        names = set()
        while text[place:].strip():
            found = _RULE.match(text, place)
            if found is None or found[6] != _CLOSING[found[4]]:
                self._fail(f"cannot read the rule at '{text[place:].strip()[:40]}'")
            low, star, high, opening, name, _ = found.groups()
            least = int(low) if low else 1 if opening == "{" or (opening == "<" and not star) else 0
            most = int(high) if high else MANY if star else 1
            if name in names:
                self._fail(f"two rules for {name}")
            if most < least:
                self._fail(f"{name}: at least {least} and at most {most} cannot be")
            names.add(name)
            yield Rule(name, least, most, opening == "<")
            place = found.end()

    def _grouped(self, line: str) -> None:
        name, code, flags, rules = self._header(line, "AVP")
        known = self._into.avps.get(name)
        if known is None or known.code != code or not known.grouped:
            self._fail(f"no Grouped AVP is named {name} and has code {code}")
        self._to_change(known).rules = rules

    def _message(self, line: str) -> None:
        name, code, flags, rules = self._header(line, "Diameter")
        ids = [self._integer(word, 0, 0xFFFFFFFF) for word in flags if word.isdigit()]
        unknown = [word for word in flags if not word.isdigit() and word not in _FLAGS]
        if unknown or len(ids) > 1:
            self._fail(f"'{' '.join(flags)}': behind the code may stand REQ, PXY, ERR and one application")
        application = ids[0] if ids else None
        if application is not None and application not in self._into.applications:
            self._fail(f"no application has the number {application}; '@application' makes one")
        command = CommandDef(name, code, "REQ" in flags, "PXY" in flags, rules, application)
        self._into.add_command(command)

    def _finish(self) -> None:
        """Every rule has to name an AVP that there is."""
        for line, where, rules in self._grammars:
            self._line = line
            for rule in rules:
                if rule.name != ANY and rule.name not in self._into.avps:
                    self._fail(f"{where} has a rule for {rule.name}, which is no AVP")
