"""Mobility messages as text for people, made from the two tables: a new row needs no code here.

====  ==============================================================
1     one line
2     and the fields of the header
3     and the options, a line each
4     and every field of header and options with its raw value
5     and all octets
====  ==============================================================

Takes any octets and never raises. What is wrong with a message is said at every level. The text is
bounded: a message has at most 2048 octets, and no line shows more than 64 of them.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any

from attrs import define

from appliance.protocols.bits import DecodeError
from appliance.protocols.mobility.codec import Fault, decode, mh_type
from appliance.protocols.mobility.messages import MESSAGES, Message, MessageRow
from appliance.protocols.mobility.names import CLOCKS, FLAGS, LABELS, SECONDS, VALUES
from appliance.protocols.mobility.options import OPTIONS, OptionRow
from appliance.protocols.mobility.rows import Option

LEVELS = range(1, 6)

#: Octets that a line shows in hexadecimal, and options and faults that a message shows.
MOST_OCTETS, MOST_OPTIONS, MOST_FAULTS = 64, 100, 20
#: Octets of a hex dump: what Header Len can say.
MOST_DUMPED = 2048

_FIELD = re.compile(r"(\w+):([ubta])([\d|]*)([*?]?)")
_PROXY = {5: 0x0200, 6: 0x20}
_IDENTIFIER = 8


@define(slots=True)
class _Field:
    """One field of a row and how it is shown."""

    key: str
    name: str
    label: str
    kind: str
    """``u`` integer, ``b`` octets, ``t`` items, ``a`` list of addresses; of octets also ``ip`` (an address),
    ``mac`` and ``text``."""


def _fields(row: OptionRow | MessageRow) -> list[_Field]:
    """The fields of a row in wire order."""
    start = f"o{row.number}" if isinstance(row, OptionRow) else str(row.number)
    if isinstance(row, MessageRow) and row.subtype is not None:
        start += f".{row.subtype}"
    found = []
    for name, kind, sizes, end in _FIELD.findall(row.layout):
        key = f"{start}.{name}"
        if kind == "b":
            kind = _octets_kind(row.name, name, sizes, end)
        label = LABELS.get(key) or LABELS.get(name) or name.replace("_", " ").title()
        found.append(_Field(key, name, label, kind))
    return found


def _octets_kind(row: str, name: str, sizes: str, end: str) -> str:
    """What the octets of a field are, by the row, its name and its length."""
    if not end and set(sizes.split("|")) <= {"0", "4", "16"}:
        return "ip"
    if "link-layer" in row.lower():
        return "mac"
    return "text" if end and name in ("identifier", "name") else "b"


_OPTION_FIELDS = {number: _fields(row) for number, row in OPTIONS.items()}
_MESSAGE_FIELDS = {key: _fields(row) for key, row in MESSAGES.items()}


def octets_text(data: bytes) -> str:
    """Octets in hexadecimal, at most ``MOST_OCTETS`` of them."""
    if len(data) > MOST_OCTETS:
        return f"{data[:MOST_OCTETS].hex()}... ({len(data)} octets)"
    return data.hex() or "(empty)"


def _plain_text(data: bytes) -> str:
    """Octets as text if they are some, else in hexadecimal."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return octets_text(data)
    return text if text.isprintable() and text else octets_text(data)


def hexdump(data: bytes, ascii: bool = True) -> list[str]:
    """Lines of 16 octets with their offset, and as text if ``ascii``; at most ``MOST_DUMPED`` octets."""
    lines = []
    for at in range(0, min(len(data), MOST_DUMPED), 16):
        part = data[at : at + 16]
        text = "".join(chr(octet) if 32 <= octet < 127 else "." for octet in part)
        line = f"{at:04x}  {part.hex(' '):<47}"
        lines.append(f"{line}  {text}" if ascii else line.rstrip())
    if len(data) > MOST_DUMPED:
        lines.append(f"... {len(data) - MOST_DUMPED} more octets")
    return lines


def _clock_text(value: int, key: str) -> str:
    """A timestamp as date and time, UTC; its number if there is no such date."""
    units, before = CLOCKS[key]
    seconds, fraction = divmod(value, units)
    try:
        date = datetime.fromtimestamp(seconds - before, UTC)
    except (OverflowError, OSError, ValueError):
        return f"0x{value:016x}"
    return f"{date:%Y-%m-%d %H:%M:%S}.{fraction * 1_000_000 // units:06d} UTC"


def flag_letters(key: str, value: int, proxy: bool = True) -> str:
    """The letters of the flags that are set, of a Binding Update with or without the P flag."""
    letters = FLAGS[key]
    found = [letter for bit, letter in enumerate(reversed(letters)) if value >> bit & 1 and letter != "-"]
    if key == "5.flags" and not proxy:
        # RFC 5648 section 4.2: the same bit means "overwrite" when P is not set.
        found = ["O" if letter == "B" else letter for letter in found]
    return " ".join(reversed(found)) or "none"


def _integer_text(key: str, value: int | None) -> str:
    if value is None:
        return "none"
    if key in FLAGS:
        letters = flag_letters(key, value, bool(value & _PROXY[5]))
        return f"{letters} (0x{value:0{len(FLAGS[key]) // 4}x})"
    if key in CLOCKS:
        return _clock_text(value, key)
    if key in SECONDS:
        return f"{value} ({round(value * SECONDS[key], 1)} seconds)"
    if key in VALUES:
        return f"{VALUES[key].get(value, 'Unknown')} ({value})"
    return str(value)


def _value_text(field: _Field, value: Any) -> str:
    """One value for people."""
    if field.kind == "u":
        return _integer_text(field.key, value)
    if field.kind == "ip":
        return str(ip_address(value)) if value else "none"
    if field.kind == "mac":
        return str(value[:MOST_OCTETS].hex(":")) or "(empty)"
    if field.kind == "a":
        return ", ".join(str(ip_address(one)) for one in value) or "none"
    if field.kind == "t":
        items = (f"type {kind} {octets_text(data)}" for kind, data in value)
        return "; ".join(items) or "none"
    return _plain_text(value) if field.kind == "text" else octets_text(value)


def _raw_text(field: _Field, value: Any) -> str:
    """One value as it is on the wire."""
    if field.kind == "u":
        return "absent" if value is None else f"0x{value:x}"
    if field.kind == "a":
        return octets_text(b"".join(value))
    if field.kind == "t":
        return f"{len(value)} items"
    return octets_text(value)


def _short_option(row: OptionRow, option: Option) -> str:
    """The contents of an option in one line; a prefix and its length are one."""
    parts = []
    names = [field.name for field in _OPTION_FIELDS[row.number]]
    for field in _OPTION_FIELDS[row.number]:
        value = getattr(option, field.name)
        if field.name == "prefix_length":
            continue
        text = _value_text(field, value)
        if field.name in ("prefix", "address") and value and "prefix_length" in names:
            text += f"/{getattr(option, 'prefix_length')}"  # noqa: B009 - not every option has it
        parts.append(text if _speaks(field, names) else f"{field.label} {text}")
    return ", ".join(parts) or "(no contents)"


def _speaks(field: _Field, names: list[str]) -> bool:
    """Whether a value says enough without its label: the only one, an address, or a name."""
    return len(names) == 1 or field.kind in ("ip", "mac", "text") or field.name == "subtype"


@define(slots=True)
class _Found:
    """One option as it lies in the message."""

    number: int
    offset: int
    data: bytes
    """Its contents, behind the length octet."""


def _walk(data: bytes, start: int, end: int) -> Iterator[_Found]:
    """The options of a message without padding, also those that are not known; stops at one that overruns."""
    while start < end:
        number = data[start]
        if number == 0:
            start += 1
            continue
        if start + 2 > end or start + 2 + data[start + 1] > end:
            return
        after = start + 2 + data[start + 1]
        if number != 1:
            yield _Found(number, start, data[start + 2 : after])
        start = after


def _read(found: _Found) -> Option | None:
    """The option; ``None`` when it is not known or does not fit its row."""
    row = OPTIONS.get(found.number)
    if row is None:
        return None
    try:
        return row.read(found.data, 0, len(found.data))
    except DecodeError:
        return None


def _option_lines(found: _Found, level: int) -> list[str]:
    """The lines of one option."""
    row, option = OPTIONS.get(found.number), _read(found)
    name = row.name if row is not None else "Unknown option"
    head = f"    {name} ({found.number})"
    if level >= 4:
        head += f", offset {found.offset}, length {len(found.data)}"
    if row is None or option is None:
        return [f"{head}: {'' if row is None else 'malformed, '}{octets_text(found.data)}"]
    if level < 4:
        return [f"{head}: {_short_option(row, option)}"]
    lines = [f"{head}:"]
    for field in _OPTION_FIELDS[row.number]:
        value = getattr(option, field.name)
        lines.append(f"      {field.label}: {_value_text(field, value)} [{_raw_text(field, value)}]")
        if field.kind == "t":
            lines += [f"        {kind}: {octets_text(data)}" for kind, data in value[:MOST_OPTIONS]]
    return lines


def _row(data: bytes) -> MessageRow | None:
    """The row of a message by its type octets."""
    number = mh_type(data)
    subtype = data[6] if number == 16 and len(data) > 6 else None
    return MESSAGES.get((number, subtype))


def name_of(message: Message) -> str:
    """What a message is called; Binding Updates and Acknowledgements with the P flag are proxy ones."""
    proxy = _PROXY.get(message.TYPE, 0) & getattr(message, "flags", 0)
    return f"Proxy {message.NAME}" if proxy else message.NAME


def identity(message: Message) -> bytes:
    """The identifier of the first Mobile Node Identifier option; empty if there is none."""
    for option in message.options:
        if option.TYPE == _IDENTIFIER:
            return bytes(getattr(option, "identifier", b""))
    return b""


def _title(data: bytes, message: Message | None, faults: tuple[Fault, ...]) -> str:
    """The line of level 1."""
    row = _row(data)
    if message is None or row is None:
        number = mh_type(data)
        what = row.name if row is not None else f"Mobility message of type {number if number >= 0 else '?'}"
        return f"{what}, {len(data)} octets, not decoded: {'; '.join(f.text for f in faults[:2])}"
    parts = [f"{name_of(message)} ({row.number})"]
    for field in _MESSAGE_FIELDS[row.number, row.subtype]:
        if field.kind == "u":
            text = _integer_text(field.key, getattr(message, field.name))
            parts.append(f"{field.label} {text}")
    if who := identity(message):
        parts.append(_plain_text(who))
    if faults:
        parts.append(f"MALFORMED: {faults[0].text}")
    return ", ".join(parts)


def describe(data: bytes, level: int = 1) -> list[str]:
    """The text of the mobility message in ``data`` (from the Payload Proto octet), a line each.

    ``level`` is one of ``LEVELS``; what is beyond counts as the nearest.
    """
    message, faults = decode(data)
    row = _row(data)
    lines = [_title(data, message, faults)]
    if level >= 2 and message is not None and row is not None:
        lines += _header_lines(data, message, row, level)
        if level >= 3 and row.has_options:
            lines += _options_lines(data, row, level)
    if level >= 2 or message is None:
        lines += [f"  Fault: {fault.text} (octet {fault.offset})" for fault in faults[:MOST_FAULTS]]
    if level < 5 and message is None and data:
        lines.append(f"  Octets: {octets_text(data)}")
    if level >= 5:
        lines += [f"  {line}" for line in hexdump(data)]
    return lines


def _header_lines(data: bytes, message: Message, row: MessageRow, level: int) -> list[str]:
    lines = []
    if level >= 4:
        lines += [
            f"  Payload Proto: {data[0]}",
            f"  Header Len: {data[1]} ({8 * data[1] + 8} octets)",
            f"  MH Type: {row.name} ({row.number})",
            f"  Checksum: 0x{int.from_bytes(data[4:6], 'big'):04x}",
        ]
        if row.subtype is not None:
            lines.append(f"  B.R. Type: {row.subtype}")
    for field in _MESSAGE_FIELDS[row.number, row.subtype]:
        value = getattr(message, field.name)
        raw = f" [{_raw_text(field, value)}]" if level >= 4 else ""
        lines.append(f"  {field.label}: {_value_text(field, value)}{raw}")
    return lines


def _options_lines(data: bytes, row: MessageRow, level: int) -> list[str]:
    end = min(8 * data[1] + 8, len(data))
    start = row.fixed if row.extent is None else row.extent(data, end)
    lines: list[str] = []
    count = 0
    for found in _walk(data, start, end):
        count += 1
        if count <= MOST_OPTIONS:
            lines += _option_lines(found, level)
    if count > MOST_OPTIONS:
        lines.append(f"    ... {count - MOST_OPTIONS} more options")
    return ["  Mobility Options:", *lines] if lines else []
