"""What is wrong with a Diameter message (RFC 6733 section 7).

::

    check(message, current())  ──▶ None: it is good
                               ──▶ Fault(result, failed, text) ──▶ refuse(...): the answer that says so

A good message costs one pass over its octets (:mod:`.grammar`). Only a message that is not recognised there
is looked at closely, AVP by AVP in their order, and the first thing that is wrong is reported.

What is tolerated: reserved bits in headers (unless ``strict_bits``), a P bit that is not set in a request,
the P bit of AVPs, AVPs with a fixed place that stand elsewhere, padding that is not zero. Answers that report
a failure may lack what the command's grammar requires (section 7.1.5 allows them to).
"""

import struct
from collections.abc import Callable, Iterator

from attrs import define

from appliance.protocols.diameter.message.codec import (
    DEEPEST,
    ERROR,
    HEADER_SIZE,
    MOST_AVPS,
    PROXIABLE,
    RETRANSMITTED,
    Avp,
    Index,
    Malformed,
    Message,
)
from appliance.protocols.diameter.message.conditions import (
    ACCT_APPLICATION,
    AUTH_APPLICATION,
    FAILED_AVP,
    SESSION_COMMANDS,
    Fault,
    applications,
    condition,
    nothing,
)
from appliance.protocols.diameter.message.definitions import ANY, FLAG_M, FLAG_V, AvpDef, CommandDef, Rule
from appliance.protocols.diameter.message.dictionary import ANSWER_MESSAGE, Dictionary, drafts, standard
from appliance.protocols.diameter.message.grammar import Grammar
from appliance.protocols.diameter.message.layouts import Layouts
from appliance.protocols.diameter.message.types import ADDRESS, BadValue

_D = standard()
ERROR_MESSAGE = _D["Error-Message"]
RESULT_CODE = _D["Result-Code"]
EXPERIMENTAL_RESULT = _D["Experimental-Result"]
VENDOR_SPECIFIC = _D["Vendor-Specific-Application-Id"]

#: Octets of an AVP that are copied into a Failed-AVP at most; of a longer one the header and these.
MOST_COPIED = 4_096
_RESERVED = 0x0F
_PAIR = struct.Struct("!II").unpack_from
_WORD = struct.Struct("!I").unpack_from


def check(
    message: Message, dictionary: Dictionary, strict_bits: bool = False, compat: bool = False
) -> Fault | None:
    """The first thing that is wrong with a message, or ``None``.

    ``strict_bits`` refuses reserved bits of the header (5013) and requests of proxiable commands without the
    P bit (3008). ``compat`` is for peers that speak drafts: application 4 for Mobile IPv4, the AVPs of the
    drafts, any M bits. A good message has its ``index`` afterwards.
    """
    if compat:
        dictionary = drafts(dictionary)
    if strict_bits and message.flags & _RESERVED:
        return Fault(5013, text=_bits_text(message, "a reserved bit is set"))
    plan: _Plan | None = dictionary.compiled.get(_plan_key(message))
    if plan is None:
        found = _check_header(message, dictionary)
        if isinstance(found, Fault):
            return found
        plan = found
    if strict_bits and plan.lacks_p:
        return Fault(3008, text=_bits_text(message, f"{plan.command.name} has the P bit"))
    data = message.data
    known = plan.layouts.find(data)
    if known is not None:
        message.index = known
        return None if plan.only_application else plan.condition(message)
    index: Index = {}
    try:
        if plan.grammar.good(data, HEADER_SIZE, len(data), index):
            message.index = index
            fault = plan.condition(message)
            if fault is None:
                plan.layouts.learn(data, index)
            return fault
    except struct.error:
        pass
    return _Diagnosis(dictionary).message(message, plan)


def check_relayed(message: Message, strict_bits: bool = False) -> Fault | None:
    """The little that an agent checks in what it relays: header bits, and that the AVPs can be walked.

    The message has its ``index`` afterwards. Unknown AVPs and commands are none of its business (RFC 6733
    section 4.1).
    """
    if strict_bits and message.flags & _RESERVED:
        return Fault(5013, text=_bits_text(message, "a reserved bit is set"))
    if message.is_request and message.flags & ERROR:
        return Fault(3008, text=_bits_text(message, "a request has the E bit"))
    try:
        message.walk()
    except Malformed as error:
        return Fault(error.code, FAILED_AVP.wrap(error.failed) if error.failed else b"", str(error))
    return None


def refuse(
    message: Message, fault: Fault, host: str, realm: str, dictionary: Dictionary, *avps: bytes
) -> bytes:
    """The answer that tells the fault of a request: Result-Code, Error-Message, Failed-AVP, and ``avps``.

    AVPs that the answer has to have are copied from the request; where they are not there, it is an answer
    with the E bit, which does not need them (RFC 6733 section 7.1.5).
    """
    told = [ERROR_MESSAGE.encode(fault.text)] if fault.text else []
    told += [fault.failed, *avps] if fault.failed else avps
    if fault.result // 1000 == 3:
        return message.answer(fault.result, host, realm, *told)
    echoed = _echo(message, dictionary)
    if echoed is None:
        return message.answer(fault.result, host, realm, *told, error=fault.result // 1000 == 5)
    return message.answer(fault.result, host, realm, *echoed, *told)


_GIVEN = ("Session-Id", "Result-Code", "Origin-Host", "Origin-Realm", ANY)


def _echo(message: Message, dictionary: Dictionary) -> list[bytes] | None:
    """What the answer's grammar requires, from the request; ``None``: something is not there, or not good."""
    command = dictionary.command(message.code, False, message.application)
    if command is None:
        return None
    found = []
    for rule in command.rules:
        if rule.low and rule.name not in _GIVEN:
            avp = dictionary[rule.name]
            try:
                value = message.first(avp)
            except (Malformed, BadValue):
                return None
            if value is None or avp.grouped or (avp.closed and value not in avp.values):
                return None
            found.append(avp.encode(value))
    return found


# --- Headers ---


@define(slots=True)
class _Plan:
    """How messages with one header are checked."""

    command: CommandDef
    grammar: Grammar
    condition: Callable[[Message], Fault | None]
    """What the grammar cannot say."""
    only_application: bool
    """``condition`` looks at the application only, which is the same in a message of a known layout."""
    lacks_p: bool
    """It is a request without the P bit, which the command has."""
    layouts: Layouts


def _bits_text(message: Message, what: str) -> str:
    return f"command flags 0x{message.flags:02x}: {what}"


def _check_header(message: Message, dictionary: Dictionary) -> "Fault | _Plan":
    """What is wrong with the header; else how the rest is checked."""
    flags, code, application = message.flags, message.code, message.application
    if message.is_request and flags & ERROR:
        return Fault(3008, text=_bits_text(message, "a request has the E bit"))
    command = dictionary.command(code, message.is_request, application)
    if command is None and not dictionary.has_command(code):
        return Fault(3001, text=f"command {code} is not known")
    if application not in dictionary.applications:
        return Fault(3007, text=f"application {application} is not known")
    if command is None:
        return Fault(3001, text=f"application {application} has no command {code}")
    if message.is_request:
        fault = _check_bits(message, command)
        if fault is not None:
            return fault
    elif flags & ERROR:
        command = dictionary.commands[ANSWER_MESSAGE]
    grammar, further = _grammar(dictionary, command), condition(command)
    is_only = further in (nothing, applications)
    lacks_p = message.is_request and command.proxiable and not flags & PROXIABLE
    made = _Plan(command, grammar, further, is_only, lacks_p, Layouts(grammar))
    dictionary.compiled[_plan_key(message)] = made
    return made


def _plan_key(message: Message) -> tuple[int, int]:
    return (message.flags & 0xF0) << 24 | message.code, message.application


def _check_bits(message: Message, command: CommandDef) -> Fault | None:
    flags = message.flags
    if not command.proxiable and flags & (PROXIABLE | RETRANSMITTED):
        which = "P" if flags & PROXIABLE else "T"
        return Fault(3008, text=_bits_text(message, f"{command.name} never has the {which} bit"))
    if command.proxiable and message.application == 0 and message.code not in SESSION_COMMANDS:
        return Fault(3007, text=f"{command.name} belongs to no application 0")
    return None


def _grammar(dictionary: Dictionary, command: CommandDef) -> Grammar:
    made: Grammar | None = dictionary.compiled.get(command)
    if made is None:
        made = dictionary.compiled[command] = Grammar(dictionary, command.rules)
    return made


# --- Close look ---


class _Diagnosis:
    """Looks for the first thing that is wrong with one message, with care instead of speed."""

    def __init__(self, dictionary: Dictionary) -> None:
        self._dictionary = dictionary
        self._chain: list[Avp] = []
        """The groups that we are in, from outside."""
        self._count = 0

    def message(self, message: Message, plan: _Plan) -> Fault | None:
        """Look at all of it."""
        rules = plan.command.rules
        if not message.is_request and self._is_failure(message):
            rules = self._dictionary.commands[ANSWER_MESSAGE].rules
            rules = tuple(rule for rule in rules if not rule.low or rule.name.startswith("Origin-"))
            rules += (Rule(RESULT_CODE.name, 0, 1),)
        fault = self._avps(message.data, HEADER_SIZE, rules)
        return plan.condition(message) if fault is None else fault

    def _is_failure(self, message: Message) -> bool:
        """Whether an answer reports no success, in whichever way; one without any result does not either."""
        try:
            result = message.first(RESULT_CODE)
            return message.raw(EXPERIMENTAL_RESULT) is not None or (result or 0) // 1000 not in (0, 1, 2)
        except (Malformed, BadValue):
            return False

    def _avps(self, data: bytes, place: int, rules: tuple[Rule, ...]) -> Fault | None:
        """Look at a sequence of AVPs."""
        named = {self._dictionary[rule.name].key: rule for rule in rules if rule.name != ANY}
        others = not rules or any(rule.name == ANY for rule in rules)
        seen: dict[int, int] = {}
        for found in self._cut(data, place):
            if isinstance(found, Fault):
                return found
            fault = self._avp(found, named, others, seen)
            if fault is not None:
                return fault
        for key, rule in named.items():
            if seen.get(key, 0) < rule.low:
                return self._missing(self._dictionary[rule.name])
        return None

    def _cut(self, data: bytes, place: int) -> Iterator[Avp | Fault]:
        """The AVPs in their order; a Fault instead of one that does not fit."""
        end = len(data)
        while place < end:
            self._count += 1
            if self._count > MOST_AVPS:
                yield Fault(5012, text=f"more than {MOST_AVPS} AVPs")
                return
            front = data[place : place + 12].ljust(12, b"\0")
            code, word, vendor = *_PAIR(front), _WORD(front, 8)[0]
            flags, size = word >> 24, word & 0xFFFFFF
            head = 12 if flags & FLAG_V else 8
            if not head <= size <= end - place:
                vendor = vendor if flags & FLAG_V else 0
                yield self._wrong_length(Avp(code, vendor, flags, b""), size, end - place)
                return
            vendor = vendor if flags & FLAG_V else 0
            yield Avp(code, vendor, flags, data[place + head : place + size])
            place = place + size + 3 & -4

    def _avp(self, avp: Avp, named: dict[int, Rule], others: bool, seen: dict[int, int]) -> Fault | None:
        """Look at one AVP, by itself and among those before it."""
        known = self._dictionary.by_code.get((avp.code, avp.vendor))
        fault = self._flags(avp, known)
        if fault is not None or known is None:
            return fault
        rule = named.get(known.key)
        count = seen[known.key] = seen.get(known.key, 0) + 1
        if rule is None and not others or rule is not None and rule.high == 0:
            return self._misplaced(5008, avp, "must not be there")
        if rule is not None and count > rule.high:
            times = "once" if rule.high == 1 else f"{rule.high} times"
            return self._misplaced(5009, avp, f"is there more than {times}")
        return self._value(avp, known)

    def _flags(self, avp: Avp, known: AvpDef | None) -> Fault | None:
        if avp.flags & FLAG_V and not avp.vendor:
            if known is not None:
                return self._fault(3009, avp, "has the V bit, and is of no vendor")
            return self._fault(5016, avp, "has the V bit and no vendor")
        if known is None:
            return self._fault(5001, avp, "is not known and has the M bit") if avp.flags & FLAG_M else None
        if known.must is not None and known.must != bool(avp.flags & FLAG_M):
            return self._fault(3009, avp, "lacks the M bit" if known.must else "must not have the M bit")
        return None

    def _value(self, avp: Avp, known: AvpDef) -> Fault | None:
        if not _is_length(known, avp.data):
            return self._wrong_length(avp, None, len(avp.data))
        if known.grouped:
            return self._group(avp, known)
        try:
            value = known.type.decode(avp.data)
        except BadValue as error:
            return self._fault(5004, avp, f"has a wrong value: {error}")
        if known.closed and value not in known.values:
            return self._fault(5004, avp, f"has no value {value}")
        return None

    def _group(self, avp: Avp, known: AvpDef) -> Fault | None:
        if known is FAILED_AVP or known.key == FAILED_AVP.key:
            return None
        if len(self._chain) >= DEEPEST:
            return self._fault(5004, avp, f"is nested more than {DEEPEST} levels deep")
        self._chain.append(avp)
        fault = self._avps(avp.data, 0, known.rules)
        if fault is None and known.key == VENDOR_SPECIFIC.key:
            fault = self._vendor_specific(avp)
        self._chain.pop()
        return fault

    def _vendor_specific(self, avp: Avp) -> Fault | None:
        """Exactly one of the two (RFC 6733 section 6.11)."""
        found = [each for each in self._cut(avp.data, 0) if isinstance(each, Avp)]
        both = [each for each in found if each.vendor == 0 and each.code in (258, 259)]
        names = f"{VENDOR_SPECIFIC.name} has"
        if len(both) > 1:
            copies = b"".join(_copy(each) for each in both)
            return Fault(5009, FAILED_AVP.wrap(copies), f"{names} two Application-Ids")
        if not both:
            examples = AUTH_APPLICATION.example() + ACCT_APPLICATION.example()
            return Fault(5005, FAILED_AVP.wrap(examples), f"{names} no Application-Id")
        return None

    # Faults with what goes into Failed-AVP.

    def _fault(self, result: int, avp: Avp, what: str) -> Fault:
        """A fault of an AVP that is copied whole."""
        return self._made(result, _copy(avp), f"{self._name(avp)} {what}")

    def _misplaced(self, result: int, avp: Avp, what: str) -> Fault:
        text = f"{self._name(avp)} {what}"
        return self._group_fault(text) if self._chain else self._made(result, _copy(avp), text)

    def _missing(self, avp: AvpDef) -> Fault:
        text = f"{avp.name} ({avp.code}) is missing"
        return self._group_fault(text) if self._chain else self._made(5005, avp.example(), text)

    def _group_fault(self, text: str) -> Fault:
        """Members that do not fit its grammar are a wrong value of the group."""
        group = self._chain.pop()
        fault = self._made(5004, _copy(group), f"{self._name(group)}: {text}")
        self._chain.append(group)
        return fault

    def _wrong_length(self, avp: Avp, size: int | None, left: int) -> Fault:
        """A fault of the length: the header as it was, and zeros of a length that is right."""
        known = self._dictionary.by_code.get((avp.code, avp.vendor))
        least = known.type.minimum if known is not None else 0
        text = (
            f"says that it has {size} octets; {left} are left" if size is not None else f"has {left} octets"
        )
        example = avp._replace(data=bytes(least)).octets
        return self._made(5014, example, f"{self._name(avp)} {text}")

    def _made(self, result: int, inside: bytes, text: str) -> Fault:
        """The fault, with the groups around what is wrong (RFC 6733 section 7.5)."""
        for group in reversed(self._chain):
            inside = group._replace(data=inside).octets
            text += f", in {self._name(group)}"
        return Fault(result, FAILED_AVP.wrap(inside), text)

    def _name(self, avp: Avp) -> str:
        known = self._dictionary.by_code.get((avp.code, avp.vendor))
        number = f"{avp.code}, vendor {avp.vendor}" if avp.vendor else f"{avp.code}"
        return f"{known.name} ({number})" if known is not None else f"AVP {number}"


def _is_length(known: AvpDef, data: bytes) -> bool:
    """Whether a type may have data of that length."""
    if known.type is ADDRESS:
        needed = {b"\0\1": 6, b"\0\2": 18}.get(data[:2])
        return len(data) > 2 if needed is None else len(data) == needed
    return not known.type.sizes or len(data) in known.type.sizes


def _copy(avp: Avp) -> bytes:
    """The whole AVP, unless it is very long."""
    return avp.octets if len(avp.data) <= MOST_COPIED else avp._replace(data=avp.data[:MOST_COPIED]).octets


__all__ = ["MOST_COPIED", "Fault", "check", "check_relayed", "refuse"]
