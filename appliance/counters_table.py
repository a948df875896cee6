"""The shape of a counter table: rows, the helpers that write them down, and look-ups.

A table is typed row by row, group by group, in screen order. Keys are mechanical
(:func:`slug` of heading, sub-heading and label joined by ``/``), so that a key can be
derived from what a screen shows and the other way round. Totals name what they are
the sum of and are never counted by hand.
"""

import re
from collections.abc import Iterable

from attrs import define, evolve, field


def slug(text: str) -> str:
    """Turn a heading or label into its part of a key: ``IPv6 GRE (IPv4)`` -> ``ipv6-gre-ipv4``."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


@define(slots=True, frozen=True)
class Row:
    """One counter: what it is called, what makes it grow, and how its value is got."""

    key: str
    heading: str
    subheading: str
    """Group inside the group; empty: directly under the heading."""
    label: str
    """As shown, without the colon."""
    help: str
    """What increments it."""
    kind: str = "event"
    """``event``: counted up; ``sum``: of ``parts``, on reading; ``gauge``: how many there are now."""
    status: int | None = None
    """The status code or trigger on the wire that this row stands for."""
    parts: tuple[str, ...] = ()
    """Of a sum: keys, or ``prefix/*`` for every row directly below ``prefix``."""
    extra: bool = False
    """True: not in the published list; shown when it is not zero, so that totals balance."""


def event(label: str, help: str, status: int | None = None, sub: str = "") -> Row:
    """Write down a row that counts ``help``; ``sub`` is its sub-heading."""
    return Row("", "", sub, label, help, status=status)


def extra(label: str, help: str, sub: str = "", kind: str = "event") -> Row:
    """Write down a row that the published list does not have."""
    return Row("", "", sub, label, help, kind=kind, extra=True)


def total(label: str, help: str, *parts: str, status: int | None = None, sub: str = "") -> Row:
    """Write down the sum of ``parts`` (keys or ``prefix/*``; sums of sums are fine)."""
    return Row("", "", sub, label, help, kind="sum", status=status, parts=parts)


def group(heading: str, *rows: Row) -> tuple[Row, ...]:
    """Put rows under a heading and give them their keys."""
    return tuple(
        evolve(row, heading=heading, key="/".join(slug(p) for p in (heading, row.subheading, row.label) if p))
        for row in rows
    )


@define(slots=True, eq=False)
class Table:
    """Rows in screen order with their look-ups; made once at import.

    ``nested`` names the headings that a screen indents under the heading before them.
    Raises ValueError for a repeated key and KeyError for a part that is no row.
    """

    rows: tuple[Row, ...]
    nested: frozenset[str] = frozenset()
    leaves: tuple[tuple[int, ...], ...] = field(init=False)
    """By row: the indices that are really counted; of an event or gauge, its own."""
    _index: dict[str, int] = field(init=False)
    _status: dict[tuple[str, int], str] = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Build the look-ups."""
        self._index = {row.key: index for index, row in enumerate(self.rows)}
        if len(self._index) != len(self.rows):
            raise ValueError("two counters have the same key")
        self._status = {
            (slug(row.heading), row.status): row.key for row in self.rows if row.status is not None
        }
        self.leaves = tuple(tuple(self._leaves(row)) for row in self.rows)

    def _leaves(self, row: Row) -> Iterable[int]:
        """Indices that a row is the sum of, nested sums opened."""
        if row.kind != "sum":
            yield self._index[row.key]
            return
        for part in row.parts:
            for found in self._expand(part):
                yield from self._leaves(found)

    def _expand(self, part: str) -> list[Row]:
        """Resolve one part of a sum; ``prefix/*`` leaves sums out, they would count twice."""
        if not part.endswith("/*"):
            return [self.rows[self._index[part]]]
        prefix = part[:-1]
        found = [
            row
            for row in self.rows
            if row.key.startswith(prefix) and "/" not in row.key[len(prefix) :] and row.kind != "sum"
        ]
        if not found:
            raise KeyError(part)
        return found

    def index(self, key: str) -> int:
        """Position of a row in ``rows`` and in a counter set; KeyError if there is none."""
        return self._index[key]

    def status_key(self, heading: str, status: int) -> str | None:
        """Key of the row under ``heading`` (as in a key) for a status on the wire, if it has one."""
        return self._status.get((heading, status))


#: How tunnel packets are counted, in screen order, with what the outer and inner packets are.
ENCAPSULATIONS = (
    ("6in6", "an IPv6 packet straight in IPv6"),
    ("4in6", "an IPv4 packet straight in IPv6"),
    ("IPv6 GRE (IPv4)", "an IPv4 packet in GRE over IPv6"),
    ("IPv6 GRE (IPv6)", "an IPv6 packet in GRE over IPv6"),
    ("4in4", "an IPv4 packet straight in IPv4"),
    ("6in4", "an IPv6 packet straight in IPv4"),
    ("IPv4 UDP (IPv4)", "an IPv4 packet in UDP over IPv4, with or without a TLV header"),
    ("IPv4 UDP (IPv6)", "an IPv6 packet in UDP over IPv4, with or without a TLV header"),
)


def tunnel_rows() -> tuple[Row, ...]:
    """Write down the data and ICMPv6 groups that LMA and MAG have in common."""
    return (
        *group(
            "Tunnel Data Received",
            *_tunnel_block("tunnel-data-received", "taken out of the tunnel"),
            event(
                "Protocol Type Error",
                "Tunnel packet dropped: its inside is neither IPv4 nor IPv6, or "
                "not what the outer protocol announces.",
                sub="Errors",
            ),
            event(
                "Invalid Pkt Length",
                "Tunnel packet dropped: shorter than its headers say or need.",
                sub="Errors",
            ),
            event(
                "No Session Found",
                "Tunnel packet dropped: no session fits its key, its inner source "
                "or the tunnel end that sent it.",
                sub="Errors",
            ),
        ),
        *group("Tunnel Data Sent", *_tunnel_block("tunnel-data-sent", "put into the tunnel")),
        *group(
            "Tunnel ICMPV6 Packets",
            event(
                "Packet Too Big Rcvd",
                "An ICMPv6 Packet Too Big came back about a packet that we had put into a tunnel.",
            ),
            event(
                "Packet Too Big Dropped",
                "Such an error led to no message: it quotes too little, fits no session or tunnel, "
                "is about an inner packet that its sender cannot make smaller (IPv6 up to 1280 octets, "
                "IPv4 without DF), or came too fast after others.",
            ),
            event(
                "Packet Too Big Relayed",
                "Such an error was passed on, rebuilt with the MTU of the tunnel, to the sender of the "
                "inner packet.",
            ),
        ),
    )


def _tunnel_block(prefix: str, what: str) -> Iterable[Row]:
    """Packets and bytes of one direction, by encapsulation."""
    for unit, text in (("Total Packets", "One packet"), ("Total Bytes", "Octets of the outer packet")):
        yield total(unit, f"{text} {what}, all encapsulations.", f"{prefix}/{slug(unit)}/*")
        for name, inside in ENCAPSULATIONS:
            yield event(name, f"{text} {what}: {inside}.", sub=unit)
        yield extra("IPv4 GRE", f"{text} {what}: any packet in GRE over IPv4.", sub=unit)
