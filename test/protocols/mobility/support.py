"""Strategies made from the rows of the two tables, and how many cases to try."""

import os
import re
from typing import Any

from hypothesis import strategies as st

from appliance.protocols.mobility.messages import Message, MessageRow
from appliance.protocols.mobility.options import OPTIONS, Option, OptionRow

FUZZ = int(os.environ.get("FUZZ", "200"))
"""Examples of a Hypothesis property; loops over mutated packets do this many for each packet."""

PER_ROW = max(10, FUZZ // 8)
"""Examples for one row of a table."""


def item_value(layout: str, name: str, limit: int) -> st.SearchStrategy[Any]:
    """Values for the field ``name``; ``limit`` is the room for octets behind the fixed part."""
    found = re.search(rf"(?<!\S){name}:([ubta])([\d|]*)([*?]?)", layout)
    assert found, (layout, name)
    kind, size, end = found.groups()
    if kind == "u":
        number = st.integers(0, (1 << int(size)) - 1)
        return st.none() | number if end else number
    if kind == "t":
        item = st.tuples(st.integers(0, 255), st.binary(max_size=20))
        return st.lists(item, max_size=min(4, limit // 22))
    if kind == "a":
        return st.lists(st.binary(min_size=16, max_size=16), max_size=5)
    if end:
        return st.binary(min_size=int(size or 0), max_size=min(limit, 60))
    return st.one_of([st.binary(min_size=int(n), max_size=int(n)) for n in size.split("|")])


def fields_of(row: OptionRow | MessageRow) -> list[str]:
    """The names of the fields of a row, in wire order."""
    return re.findall(r"(\w+):", row.layout)


def options_of(row: OptionRow) -> st.SearchStrategy[Option]:
    """Options of one row."""
    limit = 255 - (row.lengths[0] if row.lengths else 0)
    return st.builds(row.cls, **{name: item_value(row.layout, name, limit) for name in fields_of(row)})


def any_option() -> st.SearchStrategy[Option]:
    """Options of any row."""
    return st.one_of([options_of(row) for row in OPTIONS.values()])


def unrepeated(options: list[Option]) -> list[Option]:
    """The options without those that come more often than their rows allow."""
    kept: list[Option] = []
    for option in options:
        maximum = OPTIONS[option.TYPE].maximum
        if maximum is None or sum(other.TYPE == option.TYPE for other in kept) < maximum:
            kept.append(option)
    return kept


def messages_of(row: MessageRow) -> st.SearchStrategy[Message]:
    """Messages of one row with options that may be together; data to the end is made whole octets of 8."""
    values = {name: item_value(row.layout, name, 1000) for name in fields_of(row)}
    if row.has_options:
        values["options"] = st.lists(any_option(), max_size=6).map(unrepeated)
    if "data" in values:
        values["data"] = st.integers(0, 5).flatmap(
            lambda n: st.binary(min_size=8 * n + 2, max_size=8 * n + 2)
        )
    return st.builds(row.cls, **values)


def option_offsets(mh: bytes, start: int) -> list[tuple[int, int, int]]:
    """(type, offset, length octet) of options and padding from ``start`` on; does not use the codec."""
    found = []
    while start < len(mh):
        length = -1 if mh[start] == 0 else mh[start + 1]
        found.append((mh[start], start, length))
        start += 2 + length
    return found
