"""Grammars of commands and groups, compiled so that a good message is recognised in one pass.

::

    message ──▶ Grammar.good ──▶ True, and the index of the message as a gift
                     └─────────▶ False: it may be wrong; :mod:`.faults` looks closely and says what is

An AVP is looked up by code and flags together, so flags that contradict the definition are unknown ones. What
an AVP has to be is a :data:`Spec`; they are made when an AVP is first seen, and only for AVPs that the
dictionary has, so that nobody can make the tables grow.
"""

import re
import struct
from collections.abc import Callable
from typing import Any

from appliance.protocols.diameter.message.codec import DEEPEST, MOST_AVPS, Index, add_place
from appliance.protocols.diameter.message.definitions import ANY, FLAG_M, AvpDef, Rule
from appliance.protocols.diameter.message.dictionary import Dictionary
from appliance.protocols.diameter.message.types import DataType, is_identity

#: Whether data between two places is a value.
Test = Callable[[bytes, int, int], Any]
#: Whether there may be only one; octets with header (0: any, -1: a group); what tests the
#: data, or the definition of the group.
Spec = tuple[bool, int, Any]

_PAIR = struct.Struct("!II").unpack_from
_WORD = struct.Struct("!I").unpack_from
#: More octets than these may hold more AVPs than a message may have; they are counted with care.
_MOST_OCTETS = 8 * MOST_AVPS

# The same as the types decode (a test holds them together), and faster where values are what they mostly are.
_UTF8 = re.compile(
    rb"(?>[\0-\x7f]++|[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}"
    rb"|\xed[\x80-\x9f][\x80-\xbf]|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}"
    rb"|\xf4[\x80-\x8f][\x80-\xbf]{2})*+"
).fullmatch
_ADDRESS = re.compile(rb"\0\x01.{4}|\0\x02.{16}|(?!\0[\0\x01\x02]|\xff\xff)...++", re.DOTALL).fullmatch


def _is_utf8(data: bytes, start: int, stop: int) -> bool:
    return data[start:stop].isascii() or _UTF8(data, start, stop) is not None


def _is_ascii(data: bytes, start: int, stop: int) -> bool:
    return data[start:stop].isascii()


def _is_address(data: bytes, start: int, stop: int) -> bool:
    if stop - start == 18 and data[start : start + 2] == b"\0\2":
        return True
    return _ADDRESS(data, start, stop) is not None


_TESTS: dict[str, Test] = {
    "UTF8String": _is_utf8,
    "DiameterIdentity": is_identity,
    "IPFilterRule": _is_ascii,
    "QoSFilterRule": _is_ascii,
    "Address": _is_address,
}


def _by_decoding(kind: DataType) -> Test:
    """A test for types that are rare: decode it."""

    def test(data: bytes, start: int, stop: int) -> bool:
        try:
            kind.decode(data[start:stop])
        except ValueError:
            return False
        return True

    return test


def _among(avp: AvpDef) -> Test:
    """A test for values of a closed enumeration."""
    allowed = frozenset(avp.type.encode(value) for value in avp.values)
    return lambda data, start, stop: data[start:stop] in allowed


class _Specs(dict[int, Spec | None]):
    """Spec by vendor, code and flags; ``None``: it cannot be good."""

    def __init__(self, dictionary: Dictionary, rules: dict[int, Rule], others: bool) -> None:
        super().__init__()
        self.dictionary = dictionary
        self._rules = rules
        self._others = others

    def __missing__(self, key: int) -> Spec | None:
        code, vendor, flags = key >> 8 & 0xFFFFFFFF, key >> 40, key & 0xFF
        avp = self.dictionary.by_code.get((code, vendor))
        if avp is None:
            # Not understood: fine unless it has to be. Not kept, or strangers could fill memory.
            return (False, 0, None) if self._others and not flags & FLAG_M else None
        spec = self[key] = self._spec(avp, flags)
        return spec

    def _spec(self, avp: AvpDef, flags: int) -> Spec | None:
        if avp.must is not None and avp.must != bool(flags & FLAG_M):
            return None
        rule = self._rules.get(avp.key)
        if (rule is None and not self._others) or (rule is not None and rule.high == 0):
            return None
        single = rule is not None and rule.high == 1
        if avp.grouped:
            # Its grammar is looked up each time: groups that hold each other would be cycles of references.
            return (single, 0, None) if avp.key == _FAILED_AVP else (single, -1, avp)
        if avp.type.sizes:
            size = avp.type.sizes[0] + (12 if avp.vendor else 8)
            return single, size, _among(avp) if avp.closed and avp.enumerated else None
        test = _TESTS.get(avp.type.name)
        if test is None and avp.type.decode is not bytes:
            test = _by_decoding(avp.type)
        return single, 0, test


class Grammar:
    """The compiled rules of one command or group."""

    __slots__ = ("rules", "known", "required", "limited", "extra")

    def __init__(self, dictionary: Dictionary, rules: tuple[Rule, ...]) -> None:
        """``rules``: none at all means that anything goes."""
        named = {dictionary[rule.name].key: rule for rule in rules if rule.name != ANY}
        others = not rules or any(rule.name == ANY for rule in rules)
        self.rules = rules
        self.known = _Specs(dictionary, named, others)
        self.required = tuple(key for key, rule in named.items() if rule.low)
        #: Keys that may be there several times, but not any number of times, with that number.
        self.limited = tuple((key, rule.high) for key, rule in named.items() if 1 < rule.high < MOST_AVPS)
        #: A further test, of the finished index.
        self.extra: Callable[[Index], bool] | None = None

    def good(self, data: bytes, place: int, end: int, index: Index, depth: int = 0) -> bool:
        """Whether all is right between ``place`` and ``end``; fills ``index``. Raises struct.error."""
        if end - place > _MOST_OCTETS:
            return False
        known = self.known
        while place < end:
            key, word = _PAIR(data, place)
            size = word & 0xFFFFFF
            if not 8 <= size <= end - place:
                return False
            start, stop = place + 8, place + size
            if word >> 31:
                vendor = _WORD(data, start)[0]
                if size < 12 or not vendor:
                    return False
                start += 4
                spec = known[vendor << 40 | key << 8 | word >> 24]
                key |= vendor << 32
            else:
                spec = known[key << 8 | word >> 24]
            if spec is None:
                return False
            single, exact, test = spec
            if size != exact:
                if exact > 0:
                    return False
                if exact:
                    inside = group_grammar(known.dictionary, test)
                    if depth >= DEEPEST or not inside.good(data, start, stop, {}, depth + 1):
                        return False
                elif test is not None and not test(data, start, stop):
                    return False
            elif test is not None and not test(data, start, stop):
                return False
            if index.setdefault(key, place) != place:
                if single:
                    return False
                add_place(index, key, place)
            place = stop + 3 & -4
        for key in self.required:
            if key not in index:
                return False
        for key, most in self.limited:
            places = index.get(key)
            if isinstance(places, list) and len(places) > most:
                return False
        return self.extra is None or self.extra(index)


def group_grammar(dictionary: Dictionary, avp: AvpDef) -> Grammar:
    """The grammar of a Grouped AVP."""
    made: Grammar | None = dictionary.compiled.get(avp)
    if made is None:
        made = dictionary.compiled[avp] = Grammar(dictionary, avp.rules)
        if avp.key == _VENDOR_SPECIFIC:
            # RFC 6733 section 6.11: exactly one of the two.
            made.extra = lambda index: (_AUTH in index) != (_ACCT in index)
    return made


#: Failed-AVP is not looked into: it holds what was wrong.
_FAILED_AVP, _VENDOR_SPECIFIC, _AUTH, _ACCT = 279, 260, 258, 259
