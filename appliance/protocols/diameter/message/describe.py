"""Diameter messages as text for people.

====  ==============================================================
1     one line
2     and the fields of the header, and what is wrong with it
3     and the AVPs, a line each
4     and every AVP with code, flags, length and raw data
5     and all octets
====  ==============================================================

Takes any octets and never raises. What is wrong with a message is said from level 2 on, and in the line of
level 1 when it cannot be cut into AVPs. Keys and passwords are hidden below level 5. The text is bounded: so
many AVPs, octets of an AVP and of the dump.
"""

from appliance.protocols.diameter.message.codec import (
    DEEPEST,
    ERROR,
    HEADER_SIZE,
    PROXIABLE,
    REQUEST,
    RETRANSMITTED,
    Malformed,
    Message,
    size_of,
    spans,
)
from appliance.protocols.diameter.message.definitions import FLAG_M, FLAG_P, FLAG_V, AvpDef
from appliance.protocols.diameter.message.dictionary import Dictionary, current, standard
from appliance.protocols.diameter.message.faults import check
from appliance.protocols.diameter.message.text import Texts, texts_of

LEVELS = range(1, 6)
#: AVPs and octets of an AVP that are shown, and octets of a hex dump.
MOST_AVPS, MOST_OCTETS, MOST_DUMPED = 200, 256, 4_096

_D = standard()
_RESULT, _EXPERIMENTAL = _D["Result-Code"], _D["Experimental-Result"]
_VENDOR_ID, _EXPERIMENTAL_CODE = _D["Vendor-Id"], _D["Experimental-Result-Code"]
_FROM, _TO, _TO_REALM = _D["Origin-Host"], _D["Destination-Host"], _D["Destination-Realm"]
#: What the line of level 1 tells of a message, when it is there.
_TELLING = tuple(
    _D[name]
    for name in (
        "Accounting-Record-Type", "Accounting-Record-Number", "Disconnect-Cause", "Termination-Cause",
        "Auth-Request-Type", "User-Name", "Session-Id",
    )
)  # fmt: skip
_IN_WORDS = {"Accounting-Record-Number": "number", "User-Name": "user", "Session-Id": "session"}
_FLAGS = ((REQUEST, "R"), (PROXIABLE, "P"), (ERROR, "E"), (RETRANSMITTED, "T"))
_AVP_FLAGS = ((FLAG_V, "V"), (FLAG_M, "M"), (FLAG_P, "P"))


def command_name(message: Message, dictionary: Dictionary) -> str:
    """``Accounting-Request (ACR)``; of an unknown command its code."""
    kind = "Request" if message.is_request else "Answer"
    title = dictionary.titles.get(message.code)
    command = dictionary.command(message.code, message.is_request, message.application)
    name = f"{title}-{kind}" if title else f"Command {message.code} {kind}"
    return f"{name} ({command.name})" if command is not None else name


def application_name(number: int, dictionary: Dictionary) -> str:
    """Name and number of an application."""
    known = dictionary.applications.get(number)
    return f"{known.name} ({number})" if known is not None else f"application {number}"


def result_text(message: Message, dictionary: Dictionary) -> str:
    """Result of an answer by name and number; empty if it has none. Never raises."""
    try:
        result = message.first(_RESULT)
        if result is not None:
            name = dictionary.avps[_RESULT.name].values.get(result)
            return f"{name} ({result})" if name else str(result)
        group = message.first(_EXPERIMENTAL)
        if group is None:
            return ""
        vendor, result = group.first(_VENDOR_ID), group.first(_EXPERIMENTAL_CODE)
    except ValueError:
        return "a result that cannot be read"
    name = dictionary.results.get((vendor, result))
    return f"{name or 'experimental result'} ({result} of vendor {vendor})"


def describe(data: bytes, level: int = 1, dictionary: Dictionary | None = None) -> list[str]:
    """The text of the message in ``data``, a line each.

    ``level`` is one of ``LEVELS``; what is beyond counts as the nearest. ``dictionary``: the current one.
    """
    dictionary = dictionary or current()
    try:
        if len(data) < HEADER_SIZE:
            raise Malformed(5015, "it is shorter than a header")
        message = Message(data)
        size = size_of(data)
        if size != len(data):
            raise Malformed(5015, f"the header says {size} octets")
    except Malformed as error:
        return _unreadable(data, level, str(error))
    lines = [_title(message, dictionary)]
    if level >= 2:
        lines += _header(message, dictionary, level)
    if level >= 3:
        lines += ["  AVPs:", *_avps(data, HEADER_SIZE, dictionary, level, 2)]
    if level >= 5:
        lines += [f"  {line}" for line in hexdump(data)]
    return lines


def _unreadable(data: bytes, level: int, what: str) -> list[str]:
    lines = [f"Diameter message, {len(data)} octets, not decoded: {what}"]
    if level >= 5:
        return lines + [f"  {line}" for line in hexdump(data)]
    return lines + ([f"  Octets: {_octets(data)}"] if level >= 2 and data else [])


def _title(message: Message, dictionary: Dictionary) -> str:
    """The line of level 1."""
    parts = [command_name(message, dictionary)]
    if not message.is_request:
        parts.append(result_text(message, dictionary) or "no result")
    texts = texts_of(dictionary)
    try:
        for avp in _TELLING:
            found = message.raw(avp)
            if found is not None:
                word = _IN_WORDS.get(avp.name, "")
                parts.append(f"{word} {_short(texts, avp, found)}".strip())
        parts.append(_way(message, texts))
    except Malformed as error:
        parts.append(f"MALFORMED: {error}")
    if message.application:
        parts.append(application_name(message.application, dictionary))
    if message.flags & RETRANSMITTED:
        parts.append("sent again")
    return ", ".join(part for part in parts if part)


def _short(texts: Texts, avp: AvpDef, data: bytes) -> str:
    """A value without quotes, not too long."""
    text = texts.value(avp, data[:MOST_OCTETS])
    return text[1:-1] if text.startswith('"') else text


def _way(message: Message, texts: Texts) -> str:
    """From whom, to whom."""
    origin, host, realm = message.raw(_FROM), message.raw(_TO), message.raw(_TO_REALM)
    way = f"from {_short(texts, _FROM, origin)}" if origin is not None else ""
    if host is not None:
        way += f" to {_short(texts, _TO, host)}"
    elif realm is not None:
        way += f" to realm {_short(texts, _TO_REALM, realm)}"
    return way.strip()


def _letters(flags: int, letters: tuple[tuple[int, str], ...]) -> str:
    names = [letter for bit, letter in letters if flags & bit]
    rest = flags
    for bit, _ in letters:
        rest &= ~bit
    if rest:
        names.append(f"0x{rest:02x}")
    return " ".join(names) or "none"


def _header(message: Message, dictionary: Dictionary, level: int) -> list[str]:
    raw = [f" [0x{message.flags:02x}]", f" [0x{message.application:08x}]"] if level >= 4 else ["", ""]
    lines = [
        f"  Length: {len(message.data)}",
        f"  Flags: {_letters(message.flags, _FLAGS)}{raw[0]}",
        f"  Command: {message.code}",
        f"  Application: {application_name(message.application, dictionary)}{raw[1]}",
        f"  Hop-by-Hop Id: 0x{message.hop_by_hop:08x}",
        f"  End-to-End Id: 0x{message.end_to_end:08x}",
    ]
    fault = check(message, dictionary)
    if fault is not None:
        name = dictionary.avps[_RESULT.name].values.get(fault.result, "")
        lines.append(f"  Fault: {fault.text} [{name} {fault.result}]")
    return lines


def _avps(data: bytes, place: int, dictionary: Dictionary, level: int, depth: int) -> list[str]:
    """Lines of the AVPs; of groups also those inside."""
    lines: list[str] = []
    indent = "  " * depth
    try:
        found = spans(data, place, len(data))
    except Malformed as error:
        return [f"{indent}malformed: {error}: {_octets(data[place:])}"]
    for key, flags, start, stop in found[:MOST_AVPS]:
        lines += _avp(key, flags, data[start:stop], dictionary, level, depth)
        if len(lines) > MOST_AVPS:
            break
    if len(lines) > MOST_AVPS or len(found) > MOST_AVPS:
        lines[MOST_AVPS:] = [f"{indent}... {len(found)} AVPs in all"]
    return lines


def _avp(key: int, flags: int, data: bytes, dictionary: Dictionary, level: int, depth: int) -> list[str]:
    """The lines of one AVP."""
    code, vendor = key & 0xFFFFFFFF, key >> 32
    avp = dictionary.by_code.get((code, vendor))
    texts = texts_of(dictionary, numbers=True)
    number = f"{code}, vendor {vendor}" if vendor else str(code)
    head = "  " * depth + f"{avp.name if avp is not None else 'Unknown AVP'} ({number})"
    if level >= 4:
        head += f", flags {_letters(flags, _AVP_FLAGS)}, length {len(data) + (12 if flags & FLAG_V else 8)}"
    if avp is not None and avp.grouped and depth < DEEPEST:
        return [f"{head}:", *_avps(data, 0, dictionary, level, depth + 1)]
    if avp is not None and avp.type.shown == "secret" and level < 5:
        return [f"{head}: (hidden, {len(data)} octets)"]
    if avp is None or avp.grouped or len(data) > MOST_OCTETS:
        return [f"{head}: {_octets(data)}"]
    raw = f" [{data.hex()}]" if level >= 4 else ""
    return [f"{head}: {texts.value(avp, data)}{raw}"]


def _octets(data: bytes) -> str:
    if len(data) > MOST_OCTETS:
        return f"0x{data[:MOST_OCTETS].hex()}... ({len(data)} octets)"
    return f"0x{data.hex()}"


def hexdump(data: bytes) -> list[str]:
    """Lines of 16 octets with their offset and as text; at most ``MOST_DUMPED`` octets."""
    lines = []
    for at in range(0, min(len(data), MOST_DUMPED), 16):
        part = data[at : at + 16]
        text = "".join(chr(octet) if 32 <= octet < 127 else "." for octet in part)
        lines.append(f"{at:04x}  {part.hex(' '):<47}  {text}")
    if len(data) > MOST_DUMPED:
        lines.append(f"... {len(data) - MOST_DUMPED} more octets")
    return lines
