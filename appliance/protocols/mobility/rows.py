"""What makes a class a row of the option table or of the message table, and the code of its codec."""

from collections.abc import Callable
from struct import Struct
from typing import Any, ClassVar, TypeVar, dataclass_transform

import attrs

from appliance.protocols.mobility.layout import (
    Layout,
    alignment_pads,
    checks_source,
    compile_function,
    parse,
    read_items,
    tail_source,
    write_items,
)


class Option:
    """A mobility option. Integers are unsigned, addresses and prefixes are packed octets."""

    __slots__ = ()
    TYPE: ClassVar[int]
    NAME: ClassVar[str]
    write: ClassVar[Callable[[Any, bytearray], None]]
    """Appends the option, with the padding that its alignment needs, to a message that starts at octet 0."""


class Message:
    """A mobility message. ``options`` are in wire order, without padding."""

    __slots__ = ()
    TYPE: ClassVar[int]
    NAME: ClassVar[str]
    SUBTYPE: ClassVar[int | None]
    """Binding Revocation type (RFC 5846), else ``None``."""
    start: ClassVar[Callable[[Any], bytearray]]
    """The message up to its options, with Header Len and checksum still zero."""
    options: list[Option]


@attrs.define(slots=True)
class OptionRow:
    """One row of the option table."""

    number: int
    name: str
    layout: str
    alignment: str
    maximum: int | None
    """How often the option may be in a message; ``None``: any number of times."""
    closing: bool
    """The last one of a message has to end it, with no padding behind (RFC 6275 6.2.7, RFC 4285 5)."""
    rfc: str
    cls: type[Option]
    lengths: tuple[int, ...]
    """Allowed values of the length octet."""
    read: Callable[[bytes, int, int], Option | None]
    """``read(data, offset, length)`` of the contents; ``None``: not an allowed length."""


@attrs.define(slots=True)
class MessageRow:
    """One row of the message table."""

    number: int
    subtype: int | None
    name: str
    layout: str
    repeats: frozenset[int]
    """Options that may come more often in this message than their own row allows."""
    rfc: str
    cls: type[Message]
    fixed: int
    """Octets before the options, the common header counted."""
    least: int
    """Octets of the shortest message (RFC 6275 section 9.2: least Header Len)."""
    has_options: bool
    extent: Callable[[bytes, int], int] | None
    """``extent(data, end)``: where the options start, for messages in which that varies."""
    read: Callable[[bytes, int, list[Option]], Message]


OPTIONS: dict[int, OptionRow] = {}
"""The option table by type; filled by the classes of :mod:`options` and :mod:`more_options`.

Without Pad1 and PadN, which the codec makes and skips itself.
"""

MESSAGES: dict[tuple[int, int | None], MessageRow] = {}
"""The message table by MH type and Binding Revocation type; filled by :mod:`messages`."""

_O = TypeVar("_O", bound=Option)
_M = TypeVar("_M", bound=Message)


@dataclass_transform()
def option(
    number: int,
    name: str,
    layout: str,
    *,
    align: str = "",
    align_tail: str = "",
    maximum: int | None = None,
    closing: bool = False,
    rfc: str,
) -> Callable[[type[_O]], type[_O]]:
    """Make a class the row ``number`` of the option table.

    ``layout`` is described in :mod:`layout`; ``align_tail`` is the alignment when the varying last
    field is there, if that differs.
    """

    def decorate(plain: type[_O]) -> type[_O]:
        cls: type[_O] = attrs.define(slots=True, weakref_slot=False)(plain)
        parts = parse(layout)
        _check_names(cls, parts, ())
        cls.TYPE, cls.NAME = number, name
        lengths = (
            tuple(n for n in (parts.size + m for m in parts.tail.lengths) if n < 256)
            if parts.tail
            else (parts.size,)
        )
        setattr(cls, "write", _option_writer(number, name, parts, align, align_tail))  # noqa: B010
        read = _option_reader(cls, parts, lengths)
        OPTIONS[number] = OptionRow(number, name, layout, align, maximum, closing, rfc, cls, lengths, read)
        return cls

    return decorate


@dataclass_transform()
def message(
    number: int,
    name: str,
    layout: str,
    *,
    subtype: int | None = None,
    repeats: tuple[int, ...] = (),
    rfc: str,
) -> Callable[[type[_M]], type[_M]]:
    """Make a class the row (``number``, ``subtype``) of the message table.

    ``layout`` starts behind the checksum; options follow unless its last item takes the rest.
    """

    def decorate(plain: type[_M]) -> type[_M]:
        cls: type[_M] = attrs.define(slots=True, weakref_slot=False)(plain)
        parts = parse(layout)
        _check_names(cls, parts, ("options",))
        cls.TYPE, cls.NAME, cls.SUBTYPE = number, name, subtype
        setattr(cls, "start", _message_writer(number, name, parts))  # noqa: B010
        fixed = 6 + parts.size
        kind = parts.tail.kind if parts.tail else ""
        MESSAGES[number, subtype] = MessageRow(
            number,
            subtype,
            name,
            layout,
            frozenset(repeats),
            rfc,
            cls,
            fixed,
            -(-fixed // 8) * 8,
            kind != "b",
            {"": None, "a": _after_addresses, "b": _after_everything}[kind],
            _message_reader(cls, parts),
        )
        return cls

    return decorate


def _after_addresses(data: bytes, end: int) -> int:
    """Where the options start behind the counted addresses of RFC 5142 section 4."""
    return 8 + 16 * data[6]


def _after_everything(data: bytes, end: int) -> int:
    """A message that is data to its end has no options."""
    return end


def _check_names(cls: type[Any], parts: Layout, more: tuple[str, ...]) -> None:
    """The fields of the class and of the layout are the same, in the same order, or TypeError."""
    names = tuple(field.name for field in attrs.fields(cls))
    if names != parts.names + more:
        raise TypeError(f"{cls.__name__} has the fields {names}, its layout {parts.names + more}")


def _option_reader(
    cls: type[Option], parts: Layout, lengths: tuple[int, ...]
) -> Callable[[bytes, int, int], Option | None]:
    """Compile ``read(data, offset, length)``."""
    offsets = [f"offset + {n}" if n else "offset" for n in range(parts.size + 1)]
    fields = [text.format(*offsets) for text in parts.reads]
    if parts.tail:
        start = offsets[parts.size]
        rest = f"data[{start}:offset + length]"
        fields.append(
            {
                "b": rest,
                "u": f"number({rest}) if length > {parts.size} else None",
                "t": f"read_items(data, {start}, offset + length)",
            }[parts.tail.kind]
        )
    open_ended = lengths[-1] == 255
    bad = f"length < {lengths[0]}" if open_ended else f"length not in {lengths}"
    if len(lengths) == 1:
        bad = f"length != {lengths[0]}"
    lines = ["def read(data, offset, length):"]
    if lengths[0] or not open_ended:
        lines += [f"    if {bad}:", "        return None"]
    lines.append(f"    return cls({', '.join(fields)})")
    return compile_function("read", lines, {"cls": cls, "read_items": read_items})


def _option_writer(
    number: int, name: str, parts: Layout, align: str, align_tail: str
) -> Callable[[Any, bytearray], None]:
    """Compile ``write(self, out)``."""
    names = {
        "pack": Struct(">BB" + parts.format).pack,
        "pads": alignment_pads(align),
        "tail_pads": alignment_pads(align_tail or align),
        "write_items": write_items,
    }
    lines = ["def write(self, out):", *checks_source(parts, name), *tail_source(parts)]
    length = str(parts.size)
    if parts.tail:
        length += " + len(tail)"
        allowed = parts.tail.lengths
        bad = f"len(tail) not in {allowed}"
        if isinstance(allowed, range):
            bad = f"not {allowed[0]} <= len(tail) <= {255 - parts.size}"
        text = f"{name}: {parts.tail.name} has a wrong length"
        lines += [f"    if {bad}:", f"        raise EncodeError({text!r})"]
    pads = "(tail_pads if tail else pads)" if align_tail else "pads"
    arguments = ", ".join([str(number), length, *parts.writes])
    if align or align_tail:
        lines.append(f"    out += {pads}[len(out) & 7]")
    lines.append(f"    out += pack({arguments})" + (" + tail" if parts.tail else ""))
    return compile_function("write", lines, names)


def _message_reader(cls: type[Message], parts: Layout) -> Callable[[bytes, int, list[Option]], Message]:
    """Compile ``read(data, end, options)``; the caller has seen that the fixed part is there."""
    offsets = [str(6 + n) for n in range(parts.size + 1)]
    fields = [text.format(*offsets) for text in parts.reads]
    if parts.tail:
        start = 6 + parts.size
        fields.append(
            f"[data[n:n + 16] for n in range({start}, {start} + 16 * data[6], 16)]"
            if parts.tail.kind == "a"
            else f"data[{start}:end]"
        )
    lines = ["def read(data, end, options):", f"    return cls({', '.join([*fields, 'options'])})"]
    return compile_function("read", lines, {"cls": cls})


def _message_writer(number: int, name: str, parts: Layout) -> Callable[[Any], bytearray]:
    """Compile ``start(self)``: Payload Proto 59, Header Len 0, type, zero checksum, fixed fields."""
    lines = ["def start(self):", *checks_source(parts, name), *tail_source(parts)]
    if parts.tail and parts.tail.kind == "a":
        lines += [
            f"    if len(tail) != 16 * len(self.{parts.tail.name}):",
            f"        raise EncodeError('{name}: an address does not have 16 octets')",
        ]
    arguments = ", ".join(["59", "0", str(number), *parts.writes])
    lines.append(f"    return bytearray(pack({arguments})" + (" + tail)" if parts.tail else ")"))
    return compile_function("start", lines, {"pack": Struct(">BBBxxx" + parts.format).pack})
