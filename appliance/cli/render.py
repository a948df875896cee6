"""Screens: what a show command found, printable as text and as data.

A command hands back a :class:`Screen`; whoever runs it asks for ``lines`` (a person
reads) or ``data`` (``| json``). The measures are those of StarOS captures: labels end
in a colon, a label field is 31 columns wide and a value field 14 where a second pair
follows, numbers are left-justified, a blank line stands before each group.
"""

import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, Protocol

from attrs import asdict, define

from appliance.counters import Row, Table, slug
from appliance.ports import SessionView

LABEL = 31
VALUE = 14
STEP = 2
#: Narrower terminals get one pair a line, wider ones two, whether or not they hold large numbers.
TWO_COLUMNS = 80

Facts = Sequence[tuple[str, str]]


class Screen(Protocol):
    """The result of a show command."""

    def lines(self, width: int) -> list[str]:
        """Return the text, without line ends, for a terminal ``width`` columns wide (0: no limit)."""

    def data(self) -> Any:
        """Return the same as dicts, lists, numbers and texts, for JSON."""


def pair(label: str, value: object, indent: int = 0) -> str:
    """Return one label and value; a label that is too long for its field still gets one space."""
    return f"{' ' * indent}{label + ':':<{LABEL - 1}} {value}"


def columns(pairs: Iterable[tuple[str, object]], indent: int, width: int) -> Iterator[str]:
    """Yield lines of two pairs each (one on a narrow terminal); an odd last one stands alone."""
    cells = [pair(label, value, indent) for label, value in pairs]
    if 0 < width < TWO_COLUMNS:
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
        """Return one dict an object, keyed by the labels in lower case with dashes.

        A label that an object has several times (its peers, its pools) becomes a list.
        """
        out: list[dict[str, str | list[str]]] = []
        for facts in self.objects:
            found: dict[str, list[str]] = {}
            for label, value in facts:
                found.setdefault(slug(label), []).append(value)
            out.append({key: texts if len(texts) > 1 else texts[0] for key, texts in found.items()})
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


NO_SESSIONS = "No sessions match the specified criteria"


def _session_data(view: SessionView) -> dict[str, Any]:
    """Return all fields of a session; the call id as it is shown and typed."""
    return {**asdict(view), "call_id": f"{view.call_id:08x}", "prefixes": list(view.prefixes)}


def _safe(text: str) -> str:
    """Make text that came off the wire harmless for a terminal: no control or invisible characters."""
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)


def _dash(text: str) -> str:
    return text or "-"


@define(slots=True)
class SessionListScreen:
    """One line per session."""

    sessions: Sequence[SessionView]
    peer: str
    """``care_of`` or ``anchor``: which end of the tunnel is the other one."""

    def lines(self, width: int) -> list[str]:
        """Return call id, state, service, who, where, and how long still."""
        table = TableScreen(
            columns=(
                Column("Call ID", "call_id"),
                Column("State", "state"),
                Column("Service", "service"),
                Column("Username", "username"),
                Column("Home Network Prefix", "prefixes"),
                Column("IPv4 Address", "ipv4_address"),
                Column("LMA Address" if self.peer == "anchor" else "MAG Address", self.peer),
                Column("Time Left", "remaining", right=True),
            ),
            rows=[
                (
                    f"{view.call_id:08x}",
                    view.state,
                    view.service,
                    _dash(_safe(view.username)),
                    _dash(",".join(view.prefixes)),
                    _dash(view.ipv4_address),
                    _dash(getattr(view, self.peer)),
                    view.remaining,
                )
                for view in self.sessions
            ],
            total="Total Sessions",
            empty=NO_SESSIONS,
        )
        return table.lines(width)

    def data(self) -> list[dict[str, Any]]:
        """Return all fields of every session, not only those of the line."""
        return [_session_data(view) for view in self.sessions]


def _when(wall: float) -> str:
    """Seconds since 1970 as a date that sorts and parses, in UTC."""
    return datetime.fromtimestamp(wall, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _key(key: int | None) -> str:
    return "none" if key is None else f"0x{key:08x}"


#: Names of the Access Technology Types (RFC 5213 section 8.5 and the registry it started).
TECHNOLOGIES = {
    0: "Reserved",
    1: "Virtual",
    2: "PPP",
    3: "IEEE 802.3",
    4: "IEEE 802.11a/b/g",
    5: "IEEE 802.16e",
    6: "3GPP GERAN",
    7: "3GPP UTRAN",
    8: "3GPP E-UTRAN",
    9: "3GPP2 eHRPD",
    10: "3GPP2 HRPD",
    11: "3GPP2 1xRTT",
    12: "3GPP2 UMB",
}

_FIELDS: tuple[tuple[str, Callable[[SessionView], str]], ...] = (
    ("Call ID", lambda view: f"{view.call_id:08x}"),
    ("State", lambda view: view.state),
    ("Service", lambda view: view.service),
    ("Home Network Prefixes", lambda view: ", ".join(view.prefixes) or "none"),
    ("IPv4 Home Address", lambda view: view.ipv4_address or "none"),
    ("IPv4 Default Router", lambda view: view.ipv4_router or "none"),
    ("Proxy Care-of Address", lambda view: view.care_of or "none"),
    ("LMA Address", lambda view: view.anchor or "none"),
    ("Link-Layer Identifier", lambda view: view.link_layer or "none"),
    ("Link-Local Address", lambda view: view.link_local or "none"),
    ("Access Technology", lambda view: _technology(view.access_technology)),
    ("Access Interface", lambda view: view.interface),
    ("Service Selection", lambda view: _safe(view.service_selection) or "none"),
    ("Encapsulation", lambda view: view.encapsulation or "none"),
    ("GRE Key Sent", lambda view: _key(view.send_key)),
    ("GRE Key Received", lambda view: _key(view.receive_key)),
    ("Sequence Number", lambda view: str(view.sequence)),
    ("Lifetime", lambda view: f"{view.lifetime} seconds"),
    ("Time Left", lambda view: f"{view.remaining} seconds"),
    ("Created", lambda view: _when(view.created)),
    ("Last Update", lambda view: _when(view.updated)),
    ("Handoffs", lambda view: str(view.handoffs)),
    ("Packets From Mobile", lambda view: str(view.packets_in)),
    ("Octets From Mobile", lambda view: str(view.octets_in)),
    ("Packets To Mobile", lambda view: str(view.packets_out)),
    ("Octets To Mobile", lambda view: str(view.octets_out)),
)


def _technology(number: int) -> str:
    return f"{number} ({TECHNOLOGIES.get(number, 'unknown')})"


@define(slots=True)
class SessionFullScreen:
    """Everything about each session, a block each."""

    sessions: Sequence[SessionView]

    def lines(self, width: int) -> list[str]:
        """Return the blocks, each below its user name; an empty access interface (LMA) is left out."""
        out: list[str] = []
        for view in self.sessions:
            if out:
                out.append("")
            out.append(f"Username: {_safe(view.username)}")
            out += [pair(label, text, STEP) for label, show in _FIELDS if (text := show(view))]
        return out or [NO_SESSIONS]

    def data(self) -> list[dict[str, Any]]:
        """Return all fields of every session."""
        return [_session_data(view) for view in self.sessions]


STATES = ("active", "registering", "deregistering", "deleting", "waiting")
FAMILIES = ("IPv6 Only", "IPv4 Only", "IPv4 and IPv6")


class SessionSummaryScreen:
    """How many sessions there are by state, address family and peer.

    ``sessions`` is read once, one by one, so that a million of them need no memory.
    """

    __slots__ = ("_families", "_peer", "_peers", "_states", "_total")

    def __init__(self, sessions: Iterable[SessionView], peer: str) -> None:
        self._peer = peer
        self._total = 0
        self._states = Counter(dict.fromkeys(STATES, 0))
        self._families = Counter(dict.fromkeys(FAMILIES, 0))
        self._peers: Counter[str] = Counter()
        for view in sessions:
            self._total += 1
            self._states[view.state] += 1
            self._peers[_dash(getattr(view, peer))] += 1
            if view.prefixes or view.ipv4_address:
                index = 2 if view.prefixes and view.ipv4_address else 1 if view.ipv4_address else 0
                self._families[FAMILIES[index]] += 1

    def lines(self, width: int) -> list[str]:
        """Return the totals, then one line per peer, the busiest first."""
        out = [pair("Total Sessions", self._total)]
        for title, counts in (("Session State", self._states), ("Address Family", self._families)):
            pairs = ((label[:1].upper() + label[1:], value) for label, value in counts.items())
            out += ["", f"{title}:", *columns(pairs, STEP, width)]
        if self._peers:
            heading = "LMA Address" if self._peer == "anchor" else "MAG Address"
            busiest = sorted(self._peers.items(), key=lambda item: (-item[1], item[0]))
            table = TableScreen(
                (Column(heading, "peer"), Column("Sessions", "sessions", right=True)), busiest
            )
            out += ["", *table.lines(width)]
        return out

    def data(self) -> dict[str, Any]:
        """Return the same numbers: total, states, families, peers."""
        return {
            "total": self._total,
            "states": dict(self._states),
            "families": {slug(name): count for name, count in self._families.items()},
            "peers": dict(self._peers),
        }
