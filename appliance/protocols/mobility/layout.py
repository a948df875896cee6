"""From one line that describes the fields of a message or option to compiled code that reads and writes it.

A layout is a text of items, in wire order, without the part that all messages or options share:

=================  ==========================================================================
``name:u6``        unsigned integer of so many bits; neighbours fill up whole octets
``z9``             reserved bits: zero when sent, ignored when received
``name:b16``       so many octets
``name:b*``        the rest, ``b1*``: at least 1 octet, ``b0|4|16``: one of these lengths
``name:u32?``      an integer, or nothing at all (``None``)
``name:t*``        the rest as type-length-value items: list of (type, octets)
``is4``, ``is16``  one bit, set when the rest has 4 (16) octets; the length decides when received
``=1``             an octet with this value
``#name``          an octet: how many addresses of 16 octets ``name:a16`` has
=================  ==========================================================================

The code is text compiled once at import: going through a description at run time would cost
several times as much per packet.
"""

import re
from collections.abc import Callable
from typing import Any

from attrs import define

from appliance.protocols.bits import DecodeError

_ITEM = re.compile(
    r"z(?P<zero>\d+)|=(?P<constant>\d+)|is(?P<marker>4|16)|#(?P<count>\w+)|"
    r"(?P<name>\w+):(?:(?P<kind>[ubta])(?P<size>[\d|]*)(?P<end>[*?]?))"
)
_CODES = {8: "B", 16: "H", 32: "I", 64: "Q"}
_ANY = range(256)


class EncodeError(ValueError):
    """A field that does not fit its place on the wire: a mistake of the caller."""


def padding(size: int) -> bytes:
    """``size`` octets of padding: Pad1 for one, else one PadN (RFC 6275 sections 6.2.2 and 6.2.3)."""
    if size < 2:
        return bytes(size)
    return bytes((1, size - 2)) + bytes(size - 2)


def alignment_pads(rule: str) -> tuple[bytes, ...]:
    """The padding to put before an option of alignment ``rule``, by offset modulo 8.

    ``rule`` is as the RFCs write it: ``8n+4``, ``2n``, or empty for none.
    """
    if not rule:
        return (b"",) * 8
    step, _, shift = rule.partition("n")
    return tuple(padding((int(shift or 0) - offset) % int(step)) for offset in range(8))


def read_items(data: bytes, offset: int, end: int) -> list[tuple[int, bytes]]:
    """Sub-options or attributes between ``offset`` and ``end`` as (type, octets).

    Raises DecodeError when one runs past ``end``.
    """
    found = []
    while offset < end:
        if offset + 2 > end or offset + 2 + data[offset + 1] > end:
            raise DecodeError(f"sub-option at {offset} runs past the end of its option")
        after = offset + 2 + data[offset + 1]
        found.append((data[offset], data[offset + 2 : after]))
        offset = after
    return found


def write_items(items: list[tuple[int, bytes]]) -> bytes:
    """The reverse of :func:`read_items`; raises EncodeError when an item is too long."""
    out = bytearray()
    for kind, data in items:
        if len(data) > 255 or not 0 <= kind < 256:
            raise EncodeError(f"sub-option {kind} with {len(data)} octets does not fit")
        out += bytes((kind, len(data))) + data
    return bytes(out)


@define(slots=True)
class Tail:
    """The last item of a layout when its length varies."""

    name: str
    kind: str
    """``b`` octets, ``u`` optional integer, ``t`` items, ``a`` counted addresses."""
    lengths: tuple[int, ...] | range
    """The lengths that may be."""


@define(slots=True)
class Layout:
    """A layout taken apart."""

    names: tuple[str, ...]
    """Fields in wire order."""
    size: int
    """Octets before the tail."""
    tail: Tail | None
    reads: list[str]
    """An expression per field before the tail; ``{0}`` and so on are its offsets."""
    format: str
    """The same fields for :mod:`struct`."""
    writes: list[str]
    """Arguments for it; ``tail`` is the octets of the tail."""
    checks: list[tuple[str, int]]
    """Fields that need a look before they are written: (name, bits) and (name, -octets)."""


class _Parser:
    """Collects the parts of a :class:`Layout` while going through its items."""

    def __init__(self, text: str) -> None:
        self.layout = Layout((), 0, None, [], "", [], [])
        self.group: list[tuple[str, int]] = []
        for word in text.split():
            match = _ITEM.fullmatch(word)
            if not match or self.layout.tail is not None:
                raise ValueError(f"bad layout {text!r} at {word!r}")
            self.item(match)
        if self.group:
            raise ValueError(f"layout {text!r} does not fill whole octets")

    def item(self, match: re.Match[str]) -> None:
        """Take in one item."""
        name, layout = match["name"], self.layout
        if match["zero"]:
            self.bits("", int(match["zero"]))
        elif match["marker"]:
            self.bits(f"(len(tail) == {match['marker']})", 1)
        elif match["constant"] or match["count"]:
            self.bits(match["constant"] or f"len(self.{match['count']})", 8)
        elif match["kind"] == "u" and not match["end"]:
            layout.names += (name,)
            self.bits(f"self.{name}", int(match["size"]))
        elif match["kind"] == "b" and match["size"].isdigit() and not match["end"]:
            size = int(match["size"])
            layout.names += (name,)
            layout.reads.append(self.octets(layout.size, size))
            layout.format += f"{size}s"
            layout.writes.append(f"self.{name}")
            layout.checks.append((name, -size))
            layout.size += size
        else:
            layout.names += (name,)
            layout.tail = Tail(name, match["kind"], self.lengths(match))

    def lengths(self, match: re.Match[str]) -> tuple[int, ...] | range:
        """Which lengths a tail may have."""
        if match["end"] == "*":
            return _ANY[int(match["size"] or 0) :]
        if match["end"] == "?":
            return (0, int(match["size"]) // 8)
        if match["kind"] == "a":
            return range(0, 256 * 16, 16)
        return tuple(int(size) for size in match["size"].split("|"))

    @staticmethod
    def octets(start: int, size: int) -> str:
        """An expression for ``size`` octets at ``start``."""
        return f"data[{{{start}}}:{{{start + size}}}]"

    def bits(self, expression: str, count: int) -> None:
        """Add an integer to the group; a group that fills whole octets is done."""
        self.group.append((expression, count))
        total = sum(size for _, size in self.group)
        if total % 8 == 0:
            self.close(total)
            self.group = []

    def close(self, total: int) -> None:
        """Make the expressions of a group of ``total`` bits."""
        layout, size = self.layout, total // 8
        if all(not expression for expression, _ in self.group):
            layout.format += f"{size}x"
        else:
            layout.format += _CODES[total]
            parts, left = [], total
            for expression, count in self.group:
                left -= count
                if not expression:
                    continue
                parts.append(f"{expression} << {left}" if left else expression)
                if expression.startswith("self."):
                    layout.reads.append(self.integer(layout.size, size, left, count))
                    if count not in _CODES:
                        layout.checks.append((expression.removeprefix("self."), count))
            layout.writes.append(" | ".join(parts))
        layout.size += size

    def integer(self, start: int, size: int, shift: int, bits: int) -> str:
        """An expression for ``bits`` bits, ``shift`` bits from the end of ``size`` octets at ``start``."""
        if size == 1:
            value = f"data[{{{start}}}]"
        elif size == 2:
            value = f"(data[{{{start}}}] << 8 | data[{{{start + 1}}}])"
        else:
            value = f"number({self.octets(start, size)})"
        if shift:
            value = f"({value} >> {shift})"
        return value if shift + bits == size * 8 else f"{value} & {(1 << bits) - 1}"


def parse(text: str) -> Layout:
    """Take a layout apart; raises ValueError when it is not one."""
    return _Parser(text).layout


def compile_function(name: str, lines: list[str], names: dict[str, Any]) -> Callable[..., Any]:
    """Compile the source ``lines`` of the function ``name``, which sees ``names``."""
    space = dict(names, number=int.from_bytes, EncodeError=EncodeError)
    exec(compile("\n".join(lines), f"<mobility {name}>", "exec"), space)
    function: Callable[..., Any] = space[name]
    return function


def checks_source(layout: Layout, title: str) -> list[str]:
    """Lines that refuse fields which :mod:`struct` would cut or let spill into their neighbours."""
    lines = []
    for name, bits in layout.checks:
        bad = f"self.{name} >> {bits}" if bits > 0 else f"len(self.{name}) != {-bits}"
        lines += [f"    if {bad}:", f"        raise EncodeError('{title}: {name} does not fit')"]
    return lines


def tail_source(layout: Layout) -> list[str]:
    """Lines that set ``tail`` to the octets of the tail of ``self``."""
    tail = layout.tail
    if tail is None:
        return []
    value = f"self.{tail.name}"
    if tail.kind == "u":
        return [f"    tail = b'' if {value} is None else {value}.to_bytes({tail.lengths[-1]}, 'big')"]
    if tail.kind == "t":
        return [f"    tail = write_items({value})"]
    if tail.kind == "a":
        return [f"    tail = b''.join({value})"]
    return [f"    tail = {value}"]
