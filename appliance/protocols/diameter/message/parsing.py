"""Reads AVPs from text; the notation is that of :mod:`.text`.

::

    'Proxy-Info = { Proxy-Host = "r.example", Proxy-State = 0x01 }'
      └ _Reader.pair ─ name ─ find ─▶ AvpDef
                     └ value ─▶ octets by its type; of a group by the pairs in it
"""

import re
from datetime import UTC, datetime
from ipaddress import IPv6Interface, ip_address
from typing import NoReturn

from appliance.errors import ApplianceError
from appliance.protocols.diameter.message.codec import DEEPEST, Avp
from appliance.protocols.diameter.message.definitions import AvpDef
from appliance.protocols.diameter.message.dictionary import Dictionary
from appliance.protocols.diameter.message.types import BadValue, OtherAddress

#: Longest text that is read.
LONGEST_TEXT = 1 << 20

_NAME = re.compile(r"\s*([A-Za-z0-9][\w.-]*)\s*=\s*")
_UNKNOWN = re.compile(r"AVP-(\d{1,10})(?:\.(\d{1,10}))?")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPE = re.compile(r"\\(x[0-9A-Fa-f]{2}|.)", re.DOTALL)
_PLAIN = re.compile(r"[^,{}\"]*")
_NUMBER_BEHIND = re.compile(r"\((?:0x)?[0-9A-Fa-f]+\)")
_HEX = re.compile(r"0x(?:[0-9A-Fa-f]{2})*")
_ENDS = re.compile(r"\s*([,}]?)\s*")
_LETTERS = {"t": b"\t", "n": b"\n"}


class TextError(ApplianceError):
    """Text that is no AVP; it says at which character."""


def find(dictionary: Dictionary, name: str) -> AvpDef | None:
    """The AVP that people mean by a name: its own, one of another set of names, in whichever case."""
    avp = dictionary.avps.get(name)
    if avp is not None:
        return avp
    folded = name.lower()
    for names in dictionary.aliases.values():
        for own, other in names.items():
            if other.lower() == folded:
                return dictionary.avps[own]
    for own, avp in dictionary.avps.items():
        if own.lower() == folded:
            return avp
    unknown = _UNKNOWN.fullmatch(name)
    return dictionary.by_code.get((int(unknown[1]), int(unknown[2] or 0))) if unknown else None


def parse(text: str, dictionary: Dictionary) -> bytes:
    """One ``Name = value`` as an encoded AVP. Raises TextError."""
    reader = _Reader(text, dictionary)
    made = reader.pair(0)
    reader.end()
    return made


def parse_value(text: str, avp: AvpDef, dictionary: Dictionary) -> bytes:
    """A value as the data of an AVP; text may be without quotes. Raises TextError."""
    reader = _Reader(text.strip(), dictionary)
    made = reader.value(avp, 0, bare=True)
    reader.end()
    return made


class _Reader:
    """Reads one text, from left to right."""

    def __init__(self, text: str, dictionary: Dictionary) -> None:
        self._text = text
        self._at = 0
        self._dictionary = dictionary
        if len(text) > LONGEST_TEXT:
            self._fail(f"longer than {LONGEST_TEXT} characters")

    def _fail(self, what: str) -> NoReturn:
        text = f"{what}, at character {self._at + 1} of '{self._text[:60]}'"
        raise TextError("".join(sign if sign.isprintable() else "?" for sign in text))

    def end(self) -> None:
        """Nothing may be left."""
        rest = self._text[self._at :].lstrip()
        self._at = len(self._text) - len(rest)
        if rest:
            self._fail("expected the end")

    def pair(self, depth: int) -> bytes:
        """``Name = value`` as an encoded AVP."""
        found = _NAME.match(self._text, self._at)
        if found is None:
            self._fail("expected 'NAME = VALUE'")
        name = found[1]
        avp = find(self._dictionary, name)
        if avp is None:
            return self._unknown(name, found.end())
        self._at = found.end()
        return avp.wrap(self.value(avp, depth))

    def _unknown(self, name: str, behind: int) -> bytes:
        """An AVP by its code."""
        found = _UNKNOWN.fullmatch(name)
        code, vendor = (int(found[1]), int(found[2] or 0)) if found else (0, 0)
        if found is None or code >= 1 << 32 or vendor >= 1 << 32:
            self._fail(f"no AVP is named '{name}'")
        self._at = behind
        return Avp(code, vendor, 0x80 if vendor else 0, self._octets(self._plain())).octets

    def value(self, avp: AvpDef, depth: int, bare: bool = False) -> bytes:
        """A value as data; ``bare``: text need not be in quotes."""
        if self._text.startswith("raw ", self._at):
            self._at += 4
            return self._octets(self._plain())
        if avp.grouped:
            return self._group(depth)
        try:
            return self._simple(avp, bare)
        except BadValue as error:
            self._fail(str(error))

    def _group(self, depth: int) -> bytes:
        if depth >= DEEPEST:
            self._fail(f"groups are {DEEPEST} levels deep at most")
        if not self._text.startswith("{", self._at):
            self._fail("expected '{ NAME = VALUE, ... }'")
        self._at += 1
        members = []
        if self._mark("}") != "}":
            while True:
                members.append(self.pair(depth + 1))
                mark = self._mark(",}")
                if mark == "}":
                    break
                if mark != ",":
                    self._fail("expected ',' or '}'")
        return b"".join(members)

    def _mark(self, marks: str) -> str:
        """The next of the marks, taken; empty if something else comes."""
        found = _ENDS.match(self._text, self._at)
        if found is None or not found[1] or found[1] not in marks:
            return ""
        self._at = found.end()
        return found[1]

    def _simple(self, avp: AvpDef, bare: bool) -> bytes:
        kind = avp.type
        if self._text.startswith('"', self._at):
            data = self._quoted()
            if kind.decode is not bytes:
                kind.decode(data)
            return data
        if bare and kind.minimum < 2 and (kind.decode is not bytes or kind.shown == "text"):
            text, self._at = self._text[self._at :], len(self._text)
            data = self._octets(text) if _HEX.fullmatch(text) and kind.decode is bytes else text.encode()
            if kind.decode is not bytes:
                kind.decode(data)
            return data
        word = self._plain()
        if kind.decode is bytes:
            return self._shown(kind.shown, word)
        if kind.name == "Address":
            return kind.encode(OtherAddress(self._octets(word)) if word.startswith("0x") else _packed(word))
        if kind.name == "Time":
            return kind.encode(_seconds(word))
        if kind.minimum < 2:
            raise BadValue(f"expected text in quotes, found '{word[:40]}'")
        return kind.encode(self._number(avp, word))

    def _plain(self) -> str:
        """Everything up to the next mark, without blanks around."""
        found = _PLAIN.match(self._text, self._at)
        word = found[0].strip() if found else ""
        if not word or found is None:
            self._fail("expected a value")
        self._at = found.end()
        return word

    def _octets(self, word: str) -> bytes:
        word = word.strip()
        if not _HEX.fullmatch(word):
            self._fail("expected octets in hexadecimal, as in 0x00ff")
        return bytes.fromhex(word[2:])

    def _quoted(self) -> bytes:
        found = _QUOTED.match(self._text, self._at)
        if found is None:
            self._fail("the quote does not end")
        parts, at, inside = [], 0, found[1]
        for escape in _ESCAPE.finditer(inside):
            parts.append(inside[at : escape.start()].encode())
            sign = escape[1]
            if len(sign) == 3:
                parts.append(bytes.fromhex(sign[1:]))
            elif sign in ('"', "\\"):
                parts.append(sign.encode())
            elif sign in _LETTERS:
                parts.append(_LETTERS[sign])
            else:
                self._fail(f"'\\{sign}' is no escape; there are \\\" \\\\ \\t \\n \\xNN")
            at = escape.end()
        self._at = found.end()
        return b"".join((*parts, inside[at:].encode()))

    def _shown(self, shown: str, word: str) -> bytes:
        """A value of an OctetString."""
        if word.startswith("0x"):
            return self._octets(word)
        if shown == "address":
            return _packed(word)
        if shown == "prefix":
            try:
                interface = IPv6Interface(word)
            except ValueError:
                raise BadValue(f"'{word}' is no IPv6 prefix") from None
            return bytes((interface.network.prefixlen,)) + interface.packed
        raise BadValue(
            f"expected {'text in quotes or ' if shown else ''}octets as in 0x00ff, found '{word[:40]}'"
        )

    def _number(self, avp: AvpDef, word: str) -> int | float:
        name, mark, behind = word.rpartition("(")
        name = name.strip() if mark and _NUMBER_BEHIND.fullmatch(mark + behind) else word
        if avp.mask:
            value = 0
            for part in name.split("|"):
                value |= self._whole(avp, part.strip())
            return value
        if avp.type.name.startswith("Float"):
            try:
                return float(name)
            except ValueError:
                raise BadValue(f"'{name}' is no number") from None
        return self._whole(avp, name)

    def _whole(self, avp: AvpDef, word: str) -> int:
        try:
            return avp.number(word)
        except KeyError:
            pass
        try:
            return int(word, 0)
        except ValueError:
            known = ", ".join(list(avp.values.values())[:20])
            raise BadValue(f"'{word}' is no number{f' and none of {known}' if known else ''}") from None


def _packed(word: str) -> bytes:
    try:
        return ip_address(word).packed
    except ValueError:
        raise BadValue(f"'{word}' is no IPv4 or IPv6 address") from None


def _seconds(word: str) -> int:
    """Date and time, UTC unless it says otherwise, as seconds since 1970."""
    try:
        moment = datetime.fromisoformat(word)
    except ValueError:
        raise BadValue(f"'{word}' is no time, as in 2026-11-23T07:00:00Z") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp())
