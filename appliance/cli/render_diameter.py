"""Screens of Diameter: peers, routes, waiting requests, sessions, counters.

``show diameter peers full`` and ``show diameter aaa-statistics`` follow StarOS captures column by column; the
other screens are ours. Lists stream, as those of sessions do.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from attrs import asdict, define, field

from appliance.cli import ours
from appliance.cli.render import STEP, columns, key_of, pair, rows_or_blocks
from appliance.cli.values import visible
from appliance.counters import slug
from appliance.facts_words import amount
from appliance.ports_aaa import (
    DiameterSessionView,
    EndpointView,
    MessageCounts,
    MessagesView,
    PeerView,
    PendingView,
)

OPEN, CLOSED, DISABLED = "OPEN", "CLOSED", "DISABLED"


def moment(wall: float, digits: int = 0) -> str:
    """Seconds since 1970 as a date that sorts and parses, in UTC; ``never`` for 0."""
    if not wall:
        return "never"
    date = datetime.fromtimestamp(wall, UTC)
    fraction = f".{date.microsecond:06}"[: digits + 1] if digits else ""
    return f"{date:%Y-%m-%d %H:%M:%S}{fraction} UTC"


def counter_key(label: str) -> str:
    """Key of a counter in data: ``Requests/Sent`` -> ``requests/sent``."""
    return "/".join(slug(part) for part in label.split("/"))


def counter_data(counters: Mapping[str, int]) -> dict[str, int]:
    """Counters by their keys."""
    return {counter_key(label): value for label, value in counters.items()}


def counter_lines(counters: Mapping[str, int], indent: int, width: int) -> Iterator[str]:
    """Counters in pairs; those whose label is ``GROUP/LABEL`` stand below a line with the group."""
    groups: dict[str, list[tuple[str, int]]] = {}
    for label, value in counters.items():
        group, slash, rest = label.partition("/")
        groups.setdefault(group if slash else "", []).append((rest if slash else label, value))
    for number, (group, found) in enumerate(groups.items()):
        if group:
            if number:
                yield ""
            yield f"{' ' * indent}{group}:"
        yield from columns(found, indent + (STEP if group else 0), width)


# ---- peers


@define(slots=True)
class PeerListScreen:
    """One line a peer."""

    peers: Iterable[PeerView | None]

    def lines(self, width: int) -> Iterator[str | None]:
        """Yield name, endpoint, states, address, and how many requests wait; then the totals."""
        totals = _PeerTotals()
        for view in self.peers:
            if view is None:
                yield None
                continue
            if not totals.total:
                yield ours.PEER_LINE(*ours.PEER_HEADINGS)
                yield ours.PEER_LINE(*("-" * count for count in ours.PEER_DASHES))
            totals.add(view)
            state = view.state if view.enabled else DISABLED
            yield ours.PEER_LINE(
                view.name, view.endpoint, state, view.watchdog, view.transport, view.address or "-",
                view.pending, view.queued,
            )  # fmt: skip
        if not totals.total:
            yield ours.NO_PEERS
            return
        yield ""
        yield from totals.lines()

    def data(self) -> Iterator[dict[str, Any] | None]:
        """Yield all fields of every peer."""
        return (None if view is None else peer_data(view) for view in self.peers)


def peer_data(view: PeerView) -> dict[str, Any]:
    """All fields of a peer; counters by their keys."""
    return {**asdict(view), "counters": counter_data(view.counters)}


class _PeerTotals:
    __slots__ = ("closed", "open", "total")

    def __init__(self) -> None:
        self.open = self.closed = self.total = 0

    def add(self, view: PeerView) -> None:
        self.total += 1
        self.open += view.state == OPEN
        self.closed += view.state == CLOSED

    def lines(self) -> Iterator[str]:
        """Yield the summary as captures have it, blanks at line ends included."""
        yield " Peers Summary:"
        yield f"  Peers in OPEN state: {self.open} "
        yield f"  Peers in CLOSED state: {self.closed} "
        yield f"  Peers in intermediate state: {self.total - self.open - self.closed} "
        yield f"  Total peers matching specified criteria: {self.total}"


@define(slots=True)
class PeerFullScreen:
    """A block a peer, as StarOS has it; ``verbose`` adds what it has no line for."""

    peers: Iterable[PeerView | None]
    now: float
    verbose: bool = False

    def lines(self, width: int) -> Iterator[str | None]:
        """Yield the blocks, each group of them below its context and endpoint, then the summary."""
        totals = _PeerTotals()
        group = ("", "")
        for view in self.peers:
            if view is None:
                yield None
                continue
            yield ""
            if (view.context, view.endpoint) != group:
                group = (view.context, view.endpoint)
                yield f"Context: {view.context}   Endpoint: {view.endpoint}"
            totals.add(view)
            yield from _block(view)
            if self.verbose:
                yield from self._more(view, width)
        yield ""
        yield from totals.lines()

    def _more(self, view: PeerView, width: int) -> Iterator[str]:
        age = f" for {amount(max(0, int(self.now - view.since)), 'second')}" if view.since else ""
        yield f"  Since: {moment(view.since)}{age}"
        yield f"  Watchdog State: {view.watchdog}"
        yield f"  Dynamic: {'Yes' if view.dynamic else 'No'}"
        yield f"  Applications: {', '.join(view.applications) or 'none'}"
        yield f"  Product: {view.product or 'unknown'}"
        yield f"  Certificate: {view.certificate or 'none'}"
        yield from counter_lines(view.counters, STEP, width)

    def data(self) -> Iterator[dict[str, Any] | None]:
        """Yield all fields of every peer."""
        return (None if view is None else peer_data(view) for view in self.peers)


def _block(view: PeerView) -> Iterator[str]:
    backoff = "N/A" if view.backoff is None else amount(int(view.backoff), "second")
    yield f" Peer Hostname: {view.name}"
    yield f"  Local Hostname: {view.local_name}"
    yield f"  Peer Realm: {view.realm}"
    yield f"  Local Realm: {view.local_realm}"
    yield "  Priority channel: No"
    yield "  DSCP configured: 0x00"
    yield f"  Peer Address: {view.address or 'N/A'}"
    yield f"  Local Address: {view.local_address or 'N/A'}"
    yield f"  State: {view.state} [{view.transport}]"
    yield f"{'  CPU: 0/0':<42}{'Task: ' + ours.TASK:<38}"
    yield f"{f'  Messages Out/Queued: {view.pending}/{view.queued}':<40}"
    yield f"  Supported Vendor IDs: {', '.join(map(str, view.vendors)) or 'None'}"
    yield f"  Admin Status: {'Enable' if view.enabled else 'Disable'} "
    yield f"  DPR Disconnect: {view.disconnect or 'N/A'}"
    yield f"  Peer Backoff Timer running:{backoff}"


# ---- endpoints and their counters


def endpoint_facts(view: EndpointView) -> list[tuple[str, str]]:
    """Label and value pairs of an endpoint."""
    return [
        ("Endpoint Name", view.name),
        ("Context", view.context),
        ("Origin Host", view.identity or "None"),
        ("Origin Realm", view.realm or "None"),
        ("Endpoint Status", view.state),
        *[("Listening At", each) for each in view.listeners or ("None",)],
        *[("Application", each) for each in view.applications or ("None",)],
        ("Agent", view.agent),
        ("Dynamic Peer Discovery", "Enabled" if view.discovery else "Disabled"),
        ("Peers", str(view.peers)),
        ("Peers In OPEN State", str(view.peers_open)),
        ("Requests Waiting", str(view.pending)),
    ]


@define(slots=True)
class StatisticsScreen:
    """Counters of endpoints, and of peers."""

    endpoints: Mapping[str, Mapping[str, int]]
    peers: Iterable[PeerView | None] = ()

    def lines(self, width: int) -> Iterator[str | None]:
        """Yield a block an endpoint, then a block a peer."""
        first = True
        for name, counters in self.endpoints.items():
            if not first:
                yield ""
            first = False
            yield f"Diameter Endpoint: {name}"
            yield from counter_lines(counters, STEP, width)
        for view in self.peers:
            if view is None:
                yield None
                continue
            if not first:
                yield ""
            first = False
            yield f"Diameter Peer: {view.name}   Endpoint: {view.endpoint}"
            yield from counter_lines(view.counters, STEP, width)
        if first:
            yield ours.NO_PEERS

    def data(self) -> dict[str, Any]:
        """Return an object: counters by endpoint, and peers with theirs."""
        return {
            "endpoints": {name: counter_data(counters) for name, counters in self.endpoints.items()},
            "peers": self._peers(),
        }

    def _peers(self) -> Iterator[dict[str, Any] | None]:
        for view in self.peers:
            yield (
                None
                if view is None
                else {
                    "endpoint": view.endpoint,
                    "name": view.name,
                    "counters": counter_data(view.counters),
                }
            )


# ---- requests and sessions


@define(slots=True)
class QueueScreen:
    """One line for each request that has no answer yet."""

    requests: Iterable[PendingView | None]

    def lines(self, width: int) -> Iterator[str | None]:
        """Yield where it waits, what it is, its numbers and its age; then how many there were."""
        count = 0
        for view in self.requests:
            if view is None:
                yield None
                continue
            if not count:
                yield ours.QUEUE_LINE(*ours.QUEUE_HEADINGS)
                yield ours.QUEUE_LINE(*("-" * dashes for dashes in ours.QUEUE_DASHES))
            count += 1
            yield ours.QUEUE_LINE(
                view.endpoint, view.peer or "-", view.direction, view.state, view.command, view.application,
                _hop(view.hop_by_hop), f"{view.end_to_end:08x}", f"{view.remaining:.1f}",
                "T" if view.retransmitted else "-", visible(view.session_id),
            )  # fmt: skip
        if not count:
            yield "No requests wait"
            return
        yield ""
        yield f"Total Requests: {count}"

    def data(self) -> Iterator[dict[str, Any] | None]:
        """Yield all fields of every request; ids as they are shown."""
        for view in self.requests:
            yield (
                None
                if view is None
                else {
                    **asdict(view),
                    "hop_by_hop": _hop(view.hop_by_hop),
                    "end_to_end": f"{view.end_to_end:08x}",
                }
            )


def _hop(number: int) -> str:
    return "-" if number < 0 else f"{number:08x}"


@define(slots=True)
class DiameterSessionScreen:
    """Diameter sessions: a line each, or a block each if ``full``."""

    sessions: Iterable[DiameterSessionView | None]
    full: bool = False

    def lines(self, width: int) -> Iterator[str | None]:
        """Yield the sessions, then how many there were."""
        head = (
            ours.DIAMETER_SESSION_LINE(*ours.DIAMETER_SESSION_HEADINGS),
            ours.DIAMETER_SESSION_LINE(*("-" * dashes for dashes in ours.DIAMETER_SESSION_DASHES)),
        )
        block = _session if self.full else None
        return rows_or_blocks(self.sessions, block, _session_row, head, ours.NO_SESSIONS, "Sessions")

    def data(self) -> Iterator[dict[str, Any] | None]:
        """Yield all fields of every session."""
        for view in self.sessions:
            if view is None:
                yield None
                continue
            details = {key_of(label): value for label, value in view.details}
            call_id = f"{view.call_id:08x}" if view.call_id else ""
            found = {**asdict(view), "call_id": call_id, "details": details}
            yield {"username" if name == "user" else name: value for name, value in found.items()}


def _left(seconds: float | None) -> str:
    return "-" if seconds is None else str(max(0, int(seconds)))


def _session_row(view: DiameterSessionView) -> str:
    return ours.DIAMETER_SESSION_LINE(
        view.role, view.owner, view.state, visible(view.user) or "-", view.application,
        view.peer or "-", _left(view.authorization_left), visible(view.session_id),
    )  # fmt: skip


def _session(view: DiameterSessionView) -> Iterator[str]:
    """The block of a session; the labels of what the old Mobile AAA server showed are its attributes'."""
    yield f"Session-Id: {view.session_id}"
    facts: list[tuple[str, str]] = [
        ("Role", view.role),
        ("Service" if view.role == "client" else "Server", view.owner),
        ("User-Name", view.user or "none"),
        ("Session-State", view.state),
        ("Application", view.application),
        ("Peer", view.peer or "none"),
        ("Peer Realm", view.realm or "none"),
        ("Session-Start-Time", moment(view.started)),
        ("Most-Recent-Handoff-Time", moment(view.handed_over)),
        ("Session-End-Time", moment(view.ended)),
        ("Authorization Time Left", _seconds(view.authorization_left)),
        ("Session Time Left", _seconds(view.timeout_left)),
        ("Acct-Multi-Session-Id", view.multi_session_id or "none"),
        ("Addresses", ", ".join(view.addresses) or "none"),
    ]
    if view.call_id:
        facts.append(("Call ID", f"{view.call_id:08x}"))
    for label, value in (*facts, *view.details):
        yield pair(label, value, STEP)


def _seconds(seconds: float | None) -> str:
    return "no limit" if seconds is None else amount(max(0, int(seconds)), "second")


# ---- show diameter aaa-statistics

#: Messages of the screen in its order: requests of ours, those of a server, and records.
MESSAGES = ("AA", "ST", "MI", "AM", "HA", "DE")
SERVER_MESSAGES = ("AS", "RA")
ACCOUNTING_MESSAGES = ("AC",)
LABEL, VALUE = 20, 11


def _line(left: tuple[str, int], right: tuple[str, int] | None = None) -> str:
    text = f" {left[0] + ':':<{LABEL - 1}} {left[1]}"
    return text if right is None else f"{text:<{LABEL + VALUE}} {right[0] + ':':<{LABEL - 2}} {right[1]}"


@define(slots=True)
class MessagesScreen:
    """Messages of AAA clients, the authentication servers first, as captures have it."""

    views: Sequence[MessagesView]
    shown: Sequence[bool] = field(default=(False, True))

    def lines(self, width: int) -> Iterator[str]:
        """Yield both summaries with the sums over groups and servers."""
        for accounting in self.shown:
            title = f"{'Accounting' if accounting else 'Authentication'} Servers Summary"
            if accounting != self.shown[0]:
                yield ""
            yield title
            # One dash more than the title has characters, as captured.
            yield "-" * (len(title) + 1)
            yield "Message Stats :"
            yield from self._stats(self._sums(accounting), accounting)

    def _sums(self, accounting: bool) -> dict[str, MessageCounts]:
        sums: dict[str, MessageCounts] = {}
        for view in self.views:
            if view.accounting != accounting:
                continue
            for name, counts in view.messages.items():
                total = sums.setdefault(name, MessageCounts())
                for attribute, value in asdict(counts).items():
                    setattr(total, attribute, getattr(total, attribute) + value)
        return sums

    @staticmethod
    def _stats(sums: Mapping[str, MessageCounts], accounting: bool) -> Iterator[str]:
        for name in ACCOUNTING_MESSAGES if accounting else (*MESSAGES, *SERVER_MESSAGES):
            counts = sums.get(name, MessageCounts())
            yield _line(
                (f"Total {name} Requests", counts.requests), (f"Total {name} Answers", counts.answers)
            )
            if name in SERVER_MESSAGES:
                yield _line((f"{name}R - Rejected", counts.rejected))
                continue
            yield _line((f"{name}R - Retries", counts.retries), (f"{name}A Timeouts", counts.timeouts))
            yield _line((f"{name}A - Dropped", counts.dropped))

    def data(self) -> list[dict[str, Any]]:
        """Return an object for each group and server."""
        return [asdict(view) for view in self.views]
