"""Screens: what a show command found, printable as text and as data.

A command hands back a :class:`Screen`; whoever runs it asks for ``lines`` (a person
reads) or ``data`` (``| json``). The measures are those of StarOS captures: labels end
in a colon, a label field is 31 columns wide and a value field 14 where a second pair
follows, numbers are left-justified, a blank line stands before each group.

Long screens stream: ``lines`` and ``data`` may be generators, and ``None`` from one means "nothing yet,
let others run". Such a screen is asked for its lines or its data once, and reads what it shows only then.
What comes from a database in pages is waited for as :mod:`appliance.cli.waiting` tells.
"""

import textwrap
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, Protocol

from attrs import define, field

from appliance.cli.waiting import Waiting
from appliance.counters import Row, Table, slug

LABEL = 31
VALUE = 14
STEP = 2
#: Narrower terminals get one pair a line, wider ones two, whether or not they hold large numbers.
TWO_COLUMNS = 80

Facts = Sequence[tuple[str, str]]


class Screen(Protocol):
    """The result of a show command."""

    def lines(self, width: int) -> Iterable[str | None | Waiting]:
        """The text, without line ends, for a terminal ``width`` columns wide (0: no limit)."""

    def data(self) -> Any:
        """The same as dicts, lists, numbers and texts, for JSON; a generator becomes a list."""


def key_of(label: str) -> str:
    """The key of a labelled value in data: ``Service Name`` -> ``service_name``."""
    return slug(label).replace("-", "_")


def pair(label: str, value: object, indent: int = 0) -> str:
    """Return one label and value; a label that is too long for its field still gets one space."""
    return f"{' ' * indent}{label + ':':<{LABEL - 1}} {value}"


def columns(pairs: Iterable[tuple[str, object]], indent: int, width: int) -> Iterator[str]:
    """Yield lines of two pairs each (one on a narrow terminal); an odd last one stands alone."""
    cells = [pair(label, value, indent) for label, value in pairs]
    if 0 < width < indent + TWO_COLUMNS:
        yield from cells
        return
    for left, right in zip(cells[::2], [*cells[1::2], ""], strict=False):
        # A value wider than its field pushes the second pair right, it never touches it.
        gap = max(indent + LABEL + VALUE, len(left) + 1)
        yield f"{left:<{gap}}{right[indent:]}".rstrip()


@define(slots=True)
class CounterScreen:
    """The counters of one or several services, in groups."""

    title: str
    """What kind of service, for example ``LMA Service``."""
    services: Sequence[str]
    """Whose values are added up here."""
    table: Table
    values: Sequence[int]
    """By row of ``table``."""
    verbose: bool = False
    """True: one counter a line, and what increments it below."""

    def lines(self, width: int) -> list[str]:
        """Return the groups; rows beyond the published list only when they are not zero."""
        many = len(self.services) > 1
        out = [f"{self.title}{'s' if many else ''}: {', '.join(self.services)}"]
        shown = [
            (row, value)
            for row, value in zip(self.table.rows, self.values, strict=True)
            if value or not row.extra
        ]
        for heading, found in groupby(shown, key=lambda item: item[0].heading):
            indent = STEP if heading in self.table.nested else 0
            out += ["", f"{' ' * indent}{heading}:"]
            out += self._group(list(found), indent + STEP, width)
        return out

    def _group(self, rows: list[tuple[Row, int]], indent: int, width: int) -> Iterator[str]:
        """Yield one group: its own rows, then deeper the rows of its sub-headings."""
        parents = {row.subheading for row, _ in rows}
        totals = {row.label for row, _ in rows if not row.subheading and row.label in parents}
        titled = False
        for subheading, found in groupby(rows, key=lambda item: item[0].subheading):
            items = list(found)
            if subheading and subheading not in totals:
                yield ""
                yield f"{' ' * indent}{subheading}:"
            elif titled:
                yield ""
            titled = bool(subheading) and subheading not in totals
            yield from self._rows(items, indent + (STEP if subheading else 0), width)

    def _rows(self, items: list[tuple[Row, int]], indent: int, width: int) -> Iterator[str]:
        if not self.verbose:
            yield from columns(((row.label, value) for row, value in items), indent, width)
            return
        for row, value in items:
            yield pair(row.label, value, indent)
            margin = " " * (indent + STEP)
            room = max(width or 100, 40)
            yield from textwrap.wrap(
                row.help, room, initial_indent=margin, subsequent_indent=margin, break_on_hyphens=False
            )

    def data(self) -> dict[str, int]:
        """Return every value by its counter key."""
        return {row.key: value for row, value in zip(self.table.rows, self.values, strict=True)}


@define(slots=True)
class FactsScreen:
    """Label and value lists, one object below the other; the first fact names the object."""

    objects: Sequence[Facts]
    lists: Collection[str] = ()
    """Labels whose data is a list always, however many there are; ``None`` alone is an empty one."""

    def lines(self, width: int) -> list[str]:
        """Return one fact a line as ``Label: value``, below the first one two columns deeper."""
        out: list[str] = []
        for facts in self.objects:
            if out:
                out.append("")
            for number, (label, value) in enumerate(facts):
                out.append(f"{'' if number == 0 else ' ' * STEP}{label}: {value}".rstrip())
        return out

    def data(self) -> list[dict[str, str | list[str]]]:
        """Return one dict an object, keyed by the labels in lower case with underscores.

        A label that an object has several times (its peers, its pools) becomes a list, and one of ``lists``.
        """
        out: list[dict[str, str | list[str]]] = []
        always = {key_of(label) for label in self.lists}
        for facts in self.objects:
            found: dict[str, list[str]] = {}
            for label, value in facts:
                found.setdefault(key_of(label), []).append(value)
            row: dict[str, str | list[str]] = {}
            for key, texts in found.items():
                if key in always:
                    row[key] = [] if texts == ["None"] else texts
                else:
                    row[key] = texts if len(texts) > 1 else texts[0]
            out.append(row)
        return out


@define(slots=True, frozen=True)
class Column:
    """One column of a table screen."""

    heading: str
    key: str
    """Name in the data."""
    right: bool = False
    """True: numbers, right-justified under a right-justified heading."""


@define(slots=True)
class TableScreen:
    """Rows under headings, as wide as their widest cell needs."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[str | int]]
    total: str = ""
    """Label of a last line with the number of rows; empty: none."""
    empty: str = ""
    """What to say instead of a table without rows; empty: the bare headings."""

    def lines(self, width: int) -> list[str]:
        """Return headings, a line of dashes, the rows; two spaces between columns."""
        if not self.rows and self.empty:
            return [self.empty]
        cells = [[str(cell) for cell in row] for row in self.rows]
        headings = [column.heading for column in self.columns]
        widths = [max(map(len, texts)) for texts in zip(headings, *cells, strict=True)]
        # One format for all rows: a list of sessions can be long.
        line = "  ".join(
            f"{{:{'>' if column.right else '<'}{wide}}}"
            for column, wide in zip(self.columns, widths, strict=True)
        ).format
        out = [line(*row).rstrip() for row in (headings, ["-" * wide for wide in widths], *cells)]
        if self.total:
            out += ["", f"{self.total}: {len(cells)}"]
        return out

    def data(self) -> list[dict[str, str | int]]:
        """Return one dict a row, keyed by the columns' keys."""
        return [
            {column.key: cell for column, cell in zip(self.columns, row, strict=True)} for row in self.rows
        ]


def place(columns: Sequence[int], texts: Iterable[str]) -> str:
    """A line with each text at its column; a longer one pushes the next to the right, one space off."""
    line = ""
    for column, text in zip(columns, texts, strict=False):
        line = line.ljust(column)
        line += (" " if line and not line.endswith(" ") else "") + text
    return line.rstrip()


@define(slots=True)
class FixedTable:
    """A table whose columns were measured on captures: a heading, dashes under it, and rows."""

    headings: tuple[str, ...]
    starts: tuple[int, ...]
    """Column where each heading starts."""
    underlines: tuple[int, ...]
    """Column where the dashes of each heading start."""
    dashes: tuple[int, ...]
    """How many dashes."""
    columns: tuple[int, ...]
    """Column where each value starts; a longer value before it pushes it to the right."""
    keys: tuple[str, ...]
    """Name of each column in the data."""
    rows: Sequence[tuple[str | int, ...]]

    def lines(self, width: int) -> Iterator[str]:
        """Yield the text; these tables do not depend on ``width``."""
        yield place(self.starts, self.headings)
        yield place(self.underlines, ("-" * count for count in self.dashes))
        for row in self.rows:
            yield place(self.columns, map(str, row))

    def data(self) -> list[dict[str, str | int]]:
        """Return one object for each row."""
        return [dict(zip(self.keys, row, strict=False)) for row in self.rows]


@define(slots=True)
class PairsScreen:
    """Label and value pairs, a pair a line, labels 31 columns wide; as data one object."""

    pairs: Sequence[tuple[str, str]]
    values: dict[str, Any] = field(factory=dict)
    """The data, where it says more than the texts; empty: the pairs."""

    def lines(self, width: int) -> list[str]:
        """Return the text; it does not depend on ``width``."""
        return [f"{label + ':':<{LABEL - 1}} {value}".rstrip() for label, value in self.pairs]

    def data(self) -> dict[str, Any]:
        """Return one object."""
        return self.values or {key_of(label): value for label, value in self.pairs}


@define(slots=True)
class TextScreen:
    """Lines that are laid out already, and the data that they show."""

    text: Sequence[str]
    values: Any

    def lines(self, width: int) -> Sequence[str]:
        """Return the text; it does not depend on ``width``."""
        return self.text

    def data(self) -> Any:
        """Return the data."""
        return self.values


def rows_or_blocks(
    views: Iterable[Any],
    block: Callable[[Any], Iterable[str]] | None,
    row: Callable[[Any], str],
    head: Sequence[str],
    empty: str,
    noun: str,
) -> Iterator[str | None]:
    """A line for each view below ``head``, or with ``block`` a block for each; at last how many there were.

    A view that is ``None`` is passed on: still looking. ``empty``: the only line when there is no view.
    """
    count = 0
    for view in views:
        if view is None:
            yield None
            continue
        if block is not None:
            if count:
                yield ""
            yield from block(view)
        else:
            if not count:
                yield from head
            yield row(view)
        count += 1
    if not count:
        yield empty
        return
    yield ""
    yield f"Total {noun}: {count}"
