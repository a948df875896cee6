"""Screens of sessions: lists, blocks, counters and totals. All of them stream.

Each takes an iterator of sessions and ``None``s and goes through it once, when it is printed: nothing
is kept but the totals, so a million sessions need no memory and the first line is there at once.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from attrs import asdict, define, field

from appliance.cli import ours
from appliance.cli.ours import FAMILIES, NO_SESSIONS, STATES
from appliance.cli.render import STEP, Column, TableScreen, columns, key_of, pair
from appliance.facts import technology_name
from appliance.facts_words import amount
from appliance.ports import SessionView

Views = Iterable[SessionView | None]


def session_data(view: SessionView) -> dict[str, Any]:
    """All fields of a session; the call id as it is shown and typed."""
    return {
        **asdict(view),
        "call_id": f"{view.call_id:08x}",
        "prefixes": list(view.prefixes),
        "details": _details(view),
    }


def _details(view: SessionView) -> dict[str, str | list[str]]:
    """By label; of a label that is there several times a list."""
    found: dict[str, list[str]] = {}
    for label, text in view.details:
        found.setdefault(key_of(label), []).append(text)
    return {key: texts[0] if len(texts) == 1 else texts for key, texts in found.items()}


def safe(text: str) -> str:
    """Make text that came off the wire harmless for a terminal: no control or invisible characters."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)


def peer_heading(peer: str) -> str:
    """What the other end of the tunnel is called; ``peer`` is ``care_of`` or ``anchor``."""
    return "LMA Address" if peer == "anchor" else "MAG Address"


class Totals:
    """How many sessions there are by state, address family and peer."""

    __slots__ = ("families", "heading", "peer", "peers", "states", "total")

    def __init__(self, peer: str, heading: str) -> None:
        self.peer = peer
        self.heading = heading
        self.total = 0
        self.states = Counter(dict.fromkeys(STATES, 0))
        self.families = Counter(dict.fromkeys(FAMILIES, 0))
        self.peers: Counter[str] = Counter()

    def add(self, view: SessionView) -> None:
        """Count one session."""
        self.total += 1
        self.states[view.state] += 1
        self.peers[getattr(view, self.peer) or "-"] += 1
        if view.prefixes or view.ipv4_address:
            index = 2 if view.prefixes and view.ipv4_address else 1 if view.ipv4_address else 0
            self.families[FAMILIES[index]] += 1

    def lines(self, width: int) -> Iterator[str]:
        """Yield the totals, then one line per peer, the busiest first."""
        yield pair("Total Sessions", self.total)
        for title, counts in (("Session State", self.states), ("Address Family", self.families)):
            pairs = ((label[:1].upper() + label[1:], value) for label, value in counts.items())
            yield ""
            yield f"{title}:"
            yield from columns(pairs, STEP, width)
        if self.peers:
            busiest = sorted(self.peers.items(), key=lambda item: (-item[1], item[0]))
            headings = (Column(self.heading, "peer"), Column("Sessions", "sessions", right=True))
            yield ""
            yield from TableScreen(headings, busiest).lines(width)

    def data(self) -> dict[str, Any]:
        """Return the same numbers: total, states, families, peers."""
        return {
            "total": self.total,
            "states": dict(self.states),
            "families": {key_of(name): count for name, count in self.families.items()},
            "peers": dict(self.peers),
        }


@define(slots=True)
class SessionListScreen:
    """One line per session, and how many there were."""

    sessions: Views
    peer: str
    """``care_of`` or ``anchor``: which end of the tunnel is the other one."""
    summary: bool = False
    """True: the totals by state, family and peer follow the list."""
    heading: str = ""
    """What that end is called, if not by :func:`peer_heading`."""

    def lines(self, width: int) -> Iterator[str | None]:
        """Yield call id, state, service, who, where, and how long still; then the totals."""
        totals = Totals(self.peer, self.heading or peer_heading(self.peer))
        for view in self.sessions:
            if view is None:
                yield None
                continue
            if not totals.total:
                yield from self._headings()
            totals.add(view)
            yield ours.LIST_LINE(
                f"{view.call_id:08x}",
                view.state,
                view.service,
                safe(view.username) or "-",
                ",".join(view.prefixes) or "-",
                view.ipv4_address or "-",
                getattr(view, self.peer) or "-",
                view.remaining,
            )
        if not totals.total:
            yield NO_SESSIONS
            return
        yield ""
        if self.summary:
            yield from totals.lines(width)
        else:
            yield f"Total Sessions: {totals.total}"

    def _headings(self) -> Iterator[str]:
        yield ours.LIST_LINE(
            "Call ID", "State", "Service", "Username", "Home Network Prefix", "IPv4 Address",
            self.heading or peer_heading(self.peer), "Time Left",
        )  # fmt: skip
        yield ours.LIST_LINE(*("-" * count for count in ours.LIST_DASHES))

    def data(self) -> Any:
        """Yield all fields of every session; a summary is an object of these and the totals.

        The totals are filled in as the sessions go by: they are complete when it is their turn.
        """
        totals: dict[str, Any] = {}
        sessions = self._each(totals)
        return {"sessions": sessions, "totals": totals} if self.summary else sessions

    def _each(self, result: dict[str, Any]) -> Iterator[dict[str, Any] | None]:
        totals = Totals(self.peer, self.heading or peer_heading(self.peer))
        for view in self.sessions:
            if view is None:
                yield None
                continue
            totals.add(view)
            yield session_data(view)
        result.update(totals.data())


@define(slots=True)
class SessionCountersScreen:
    """One line per session with what it sent and got, and the sums."""

    sessions: Views
    _sums: list[int] = field(init=False, factory=lambda: [0, 0, 0, 0])

    def _each(self) -> Iterator[SessionView | None]:
        sums = self._sums
        for view in self.sessions:
            if view is not None:
                sums[0] += view.packets_in
                sums[1] += view.octets_in
                sums[2] += view.packets_out
                sums[3] += view.octets_out
            yield view

    def lines(self, width: int) -> Iterator[str | None]:
        """Yield call id, service, who, packets and octets of each direction; then the sums."""
        count = 0
        for view in self._each():
            if view is None:
                yield None
                continue
            if not count:
                yield ours.COUNTERS_LINE(*ours.COUNTERS_HEADINGS)
                yield ours.COUNTERS_LINE(*("-" * dashes for dashes in ours.COUNTERS_DASHES))
            count += 1
            yield ours.COUNTERS_LINE(
                f"{view.call_id:08x}",
                view.service,
                safe(view.username) or "-",
                view.packets_in,
                view.octets_in,
                view.packets_out,
                view.octets_out,
            )
        if not count:
            yield NO_SESSIONS
            return
        yield ""
        yield f"Total Sessions: {count}"
        yield ours.COUNTERS_LINE("Total", "", "", *self._sums)

    def data(self) -> dict[str, Any]:
        """Return an object of the sessions' counters and, complete when it is their turn, the sums."""
        totals: dict[str, int] = {}
        return {"sessions": self._objects(totals), "totals": totals}

    def _objects(self, totals: dict[str, int]) -> Iterator[dict[str, Any] | None]:
        names = ("packets_in", "octets_in", "packets_out", "octets_out")
        for view in self._each():
            if view is None:
                yield None
                continue
            yield {
                "call_id": f"{view.call_id:08x}",
                "service": view.service,
                "username": view.username,
                **{name: getattr(view, name) for name in names},
            }
        totals.update(zip(names, self._sums, strict=True))


def _when(wall: float) -> str:
    """Seconds since 1970 as a date that sorts and parses, in UTC."""
    return datetime.fromtimestamp(wall, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _key(key: int | None) -> str:
    return "none" if key is None else f"0x{key:08x}"


def _technology(number: int) -> str:
    return f"{number} ({technology_name(number)})"


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
    ("Service Selection", lambda view: safe(view.service_selection) or "none"),
    ("Encapsulation", lambda view: view.encapsulation or "none"),
    ("GRE Key Sent", lambda view: _key(view.send_key)),
    ("GRE Key Received", lambda view: _key(view.receive_key)),
    ("Sequence Number", lambda view: str(view.sequence)),
    ("Lifetime", lambda view: amount(view.lifetime, "second")),
    ("Time Left", lambda view: amount(view.remaining, "second")),
    ("Created", lambda view: _when(view.created)),
    ("Last Update", lambda view: _when(view.updated)),
    ("Handoffs", lambda view: str(view.handoffs)),
    ("Packets From Mobile", lambda view: str(view.packets_in)),
    ("Octets From Mobile", lambda view: str(view.octets_in)),
    ("Packets To Mobile", lambda view: str(view.packets_out)),
    ("Octets To Mobile", lambda view: str(view.octets_out)),
)

#: What these are called where a host has registered itself.
_OF_HOSTS = {
    "Home Network Prefixes": "Home Address",
    "Proxy Care-of Address": "Care-of Address",
    "LMA Address": "Home Agent Address",
}


@define(slots=True)
class SessionFullScreen:
    """Everything about each session, a block each."""

    sessions: Views

    def lines(self, width: int) -> Iterator[str | None]:
        """Yield the blocks, each below its user name; an empty access interface (LMA) is left out."""
        some = False
        for view in self.sessions:
            if view is None:
                yield None
                continue
            if some:
                yield ""
            some = True
            yield f"Username: {safe(view.username)}"
            for label, show in _FIELDS:
                if text := show(view):
                    yield pair(_OF_HOSTS.get(label, label) if view.of_host else label, text, STEP)
            for label, text in view.details:
                yield pair(label, safe(text), STEP)
        if not some:
            yield NO_SESSIONS

    def data(self) -> Iterator[dict[str, Any] | None]:
        """Yield all fields of every session."""
        return (None if view is None else session_data(view) for view in self.sessions)


# ---- subscribers: the sessions of all services


def msid(username: str) -> str:
    """The digits of a mobile station's number in a 3GPP identifier; empty when it is another one."""
    user = username.partition("@")[0]
    return user if user.isascii() and user.isdigit() and 7 <= len(user) <= 16 else ""


@define(slots=True)
class SubscriberListScreen:
    """The legend, then a line for each session of any service."""

    sessions: Iterable[tuple[str, SessionView] | None]
    """Kind of the service and session."""

    def lines(self, width: int) -> Iterator[str | None]:
        """Yield the legend, the sessions, and how many there were."""
        count = 0
        for found in self.sessions:
            if found is None:
                yield None
                continue
            if not count:
                yield from ours.LEGEND
            count += 1
            kind, view = found
            address = ",".join(filter(None, (view.ipv4_address, *view.prefixes))) or "-"
            yield ours.LEGEND_LINE(
                _letters(kind, view), f"{view.call_id:08x}", msid(view.username) or "n/a",
                safe(view.username) or "-", address, view.remaining,
            )  # fmt: skip
        if not count:
            yield NO_SESSIONS
            return
        yield ""
        yield f"Total subscribers matching specified criteria: {count}"

    def data(self) -> Iterator[dict[str, Any] | None]:
        """Yield all fields of every session, with its access type."""
        for found in self.sessions:
            if found is None:
                yield None
                continue
            kind, view = found
            yield {"access_type": access_type(kind, view), **session_data(view)}


def access_type(kind: str, view: SessionView) -> str:
    """Name of a session's access type, as the subscriber summary has it."""
    return ours.access_type(kind, family(bool(view.prefixes), bool(view.ipv4_address)), view.of_host)


def family(ipv6: bool, ipv4: bool) -> str:
    """End of an access type's name; a session that has no address yet will have an IPv6 prefix."""
    return "ipv4-ipv6" if ipv6 and ipv4 else "ipv4" if ipv4 else "ipv6"


def _letters(kind: str, view: SessionView) -> str:
    state = view.state
    call = "c" if state in ours.CONNECTING else "d" if state in ours.DISCONNECTING else "C"
    pdn = {"ipv4": "4", "ipv6": "6"}.get(family(bool(view.prefixes), bool(view.ipv4_address)), "b")
    technology = ours.TECHNOLOGY_LETTERS.get(view.access_technology, ".")
    active = "A" if state == "active" else "D"
    if view.of_host:
        return f"{ours.HOST_LETTER}{technology}{call}{active}{ours.HOST_NETWORK_LETTER}{pdn}"
    return f"{ours.TYPE_LETTERS[kind]}{technology}{call}{active}{ours.NETWORK_LETTER}{pdn}"
