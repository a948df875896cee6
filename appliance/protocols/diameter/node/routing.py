"""The realm routing table (RFC 6733 section 2.7), and whom a request may be sent to.

::

    1. peers that the user prefers, by their priority
    2. the Destination-Host, if it is a peer        (if it is not usable: those below that are relays)
    3. entries of the table: the most specific ones that match
         host before no host, exact realm before *.realm (longest first) before any, application before any
    4. what the DNS said about the realm
    5. without 3 and 4: peers of the realm, then, for what local users send, relays

A group is one priority; its peers share the load by their weights.
"""

from collections.abc import Iterable, Iterator

from attrs import define

from appliance.protocols.diameter.message.types import fold
from appliance.protocols.diameter.node.peer import Peer
from appliance.protocols.diameter.node.pending import Pending
from appliance.protocols.diameter.settings import EndpointSettings, RouteSettings

#: Decisions that are remembered at one time; more, and all are made anew.
REMEMBERED = 10_000
#: Routes from the DNS at one time.
MOST_DYNAMIC = 1_000


@define(slots=True)
class Choice:
    """One peer in a group."""

    peer: Peer
    weight: float
    used: float = 0.0
    """Requests that it got, divided by its weight."""


@define(slots=True, frozen=True)
class DynamicRoute:
    """A route that the DNS gave (RFC 6733 section 5.2)."""

    realm: str
    application: int | None
    peer: str
    priority: int
    weight: int
    expires: float
    """Monotonic seconds."""


@define(slots=True, frozen=True)
class RouteView:
    """One route for a screen."""

    realm: str
    host: str
    application: int | None
    action: str
    peer: str
    priority: int
    weight: int
    origin: str
    """``static``, ``discovered``, ``redirect``, or ``peer``: the realm of a peer, which no entry has."""
    usable: bool
    lifetime: float | None = None
    """Seconds until it ends; ``None``: it stays."""


def rank(route: RouteSettings, realm: str, host: str, application: int) -> tuple[int, int, int] | None:
    """How specific an entry is for a request (folded names); ``None``: it does not match."""
    if route.host and fold(route.host) != host:
        return None
    if route.application is not None and route.application != application:
        return None
    wanted = fold(route.realm)
    if wanted.startswith("*"):
        stem = wanted[1:].lstrip(".")
        if realm != stem and not realm.endswith("." + stem) and stem:
            return None
        length = len(stem) + 1 if stem else 0
    elif wanted and wanted != realm:
        return None
    else:
        length = 1 << 20 if wanted else 0
    return bool(route.host), length, route.application is not None


class RoutingTable:
    """Entries of the settings and of the DNS; says who comes into question for a request."""

    def __init__(self, settings: EndpointSettings, peers: dict[str, Peer]) -> None:
        self._peers = peers
        self._entries: tuple[RouteSettings, ...] = settings.routes
        self._dynamic: dict[tuple[str, int | None], list[DynamicRoute]] = {}
        self._matches: dict[tuple[str, str, int], tuple[RouteSettings, ...]] = {}
        self._groups: dict[tuple[object, ...], list[list[Choice]]] = {}
        self._served: dict[tuple[str, str, int], bool] = {}

    def take(self, settings: EndpointSettings) -> None:
        """Use other entries from now on."""
        self._entries = settings.routes
        self._matches.clear()
        self.changed()

    def changed(self) -> None:
        """A peer has come, gone, or can or cannot be used."""
        self._groups.clear()
        self._served.clear()

    def match(self, realm: str, host: str, application: int) -> tuple[RouteSettings, ...]:
        """The most specific entries for a request, by priority; folded names."""
        key = (realm, host, application)
        found = self._matches.get(key)
        if found is None:
            ranked = [(rank(route, realm, host, application), route) for route in self._entries]
            best = max((each for each, _ in ranked if each is not None), default=None)
            chosen = [route for each, route in ranked if best is not None and each == best]
            found = tuple(sorted(chosen, key=lambda route: route.priority))
            if len(self._matches) >= REMEMBERED:
                self._matches.clear()
            self._matches[key] = found
        return found

    # From the DNS.

    def learn(self, routes: Iterable[DynamicRoute]) -> None:
        """Take routes of one realm and application, in place of those that were there."""
        fresh = list(routes)
        for route in fresh:
            self._dynamic.pop((route.realm, route.application), None)
        if len(self._dynamic) < MOST_DYNAMIC:
            for route in fresh:
                self._dynamic.setdefault((route.realm, route.application), []).append(route)
        self.changed()

    def knows(self, realm: str, application: int) -> bool:
        """Whether the DNS has said something about a realm."""
        return (realm, application) in self._dynamic

    def expire(self, mono: float) -> None:
        """Forget what has had its time."""
        old = [key for key, routes in self._dynamic.items() if any(each.expires <= mono for each in routes)]
        for key in old:
            del self._dynamic[key]
        if old:
            self.changed()

    @property
    def next_expiry(self) -> float | None:
        """When :meth:`expire` finds something."""
        return min((each.expires for routes in self._dynamic.values() for each in routes), default=None)

    # Who comes into question.

    def serves(self, realm: str, host: str, application: int) -> bool:
        """Whether anybody is known for a realm, usable or not: else it is not served (3003)."""
        key = (realm, host, application)
        known = self._served.get(key)
        if known is None:
            known = any(stage for stage in self._stages(realm, host, application, (), False))
            if len(self._served) >= REMEMBERED:
                self._served.clear()
            self._served[key] = known
        return known

    def candidates(self, pending: Pending) -> Iterator[Peer]:
        """All that come into question, usable or not, best first."""
        for stage in self._stages_of(pending):
            for _, peer, _ in stage:
                yield peer

    def groups(self, pending: Pending) -> list[list[Choice]]:
        """Those that can be used now, by priority."""
        key = (
            pending.realm,
            pending.host,
            pending.application,
            pending.accounting,
            pending.secure,
            pending.local,
            pending.prefer,
        )
        found = self._groups.get(key)
        if found is None:
            found = list(self._usable(pending))
            if len(self._groups) >= REMEMBERED:
                self._groups.clear()
            self._groups[key] = found
        return found

    def usable(self, realm: str, application: int, accounting: bool) -> bool:
        """Whether a local user's request to a realm could be sent right now."""
        return bool(self.groups(Pending(0, b"", b"", 0, application, fold(realm), "", accounting, 0, 0.0)))

    def _usable(self, pending: Pending) -> Iterator[list[Choice]]:
        seen: set[str] = set()
        for stage in self._stages_of(pending):
            by_priority: dict[int, list[Choice]] = {}
            for priority, peer, weight in sorted(stage, key=lambda each: each[0]):
                if peer.folded not in seen and peer.usable and self._takes(peer, pending):
                    seen.add(peer.folded)
                    by_priority.setdefault(priority, []).append(Choice(peer, weight))
            yield from by_priority.values()

    @staticmethod
    def _takes(peer: Peer, pending: Pending) -> bool:
        said = peer.capabilities
        if said is None or (pending.secure and not peer.secure):
            return False
        if pending.local:
            return said.takes(pending.application, pending.accounting)
        # Who relays knows only the number; RFC 6733 section 5.3.
        return said.takes(pending.application, False) or said.takes(pending.application, True)

    def _stages_of(self, pending: Pending) -> Iterator[list[tuple[int, Peer, float]]]:
        return self._stages(pending.realm, pending.host, pending.application, pending.prefer, pending.local)

    def _stages(
        self, realm: str, host: str, application: int, prefer: tuple[tuple[str, int], ...], local: bool
    ) -> Iterator[list[tuple[int, Peer, float]]]:
        """Priority, peer and weight of each; later stages only matter when those before have nobody."""
        if prefer:
            preferred = [(number, self._peers.get(fold(name))) for name, number in prefer]
            yield [(number, peer, peer.settings.weight) for number, peer in preferred if peer is not None]
        direct = self._peers.get(host) if host else None
        if direct is not None:
            yield [(1, direct, 1.0)]
        rest: list[list[tuple[int, Peer, float]]] = []
        entries = [each for each in self.match(realm, host, application) if each.peer]
        if entries:
            rest.append(list(self._of_entries(entries)))
            if entries[0].host:
                direct = None
        dynamic = self._dynamic.get((realm, application))
        if dynamic:
            found = [(each, self._peers.get(each.peer)) for each in dynamic]
            rest.append([(each.priority, peer, each.weight) for each, peer in found if peer is not None])
        if not rest:
            rest = list(self._implicit(realm, local))
        for stage in rest:
            if direct is not None:
                # An end server would not pass it on to the host that is meant.
                stage = [each for each in stage if _relays(each[1])]
            if stage:
                yield stage

    def _of_entries(self, entries: list[RouteSettings]) -> Iterator[tuple[int, Peer, float]]:
        for each in entries:
            peer = self._peers.get(fold(each.peer))
            if peer is not None:
                yield each.priority, peer, each.weight * peer.settings.weight

    def _implicit(self, realm: str, local: bool) -> Iterator[list[tuple[int, Peer, float]]]:
        """An agent that sends whatever it does not know to any other agent makes circles."""
        home, relays = [], []
        for peer in self._peers.values():
            said = peer.capabilities
            if realm and fold(_realm_of(peer)) == realm:
                home.append((1, peer, float(peer.settings.weight)))
            elif local and (_relays(peer) or (said is None and not peer.settings.realm)):
                # What it never was connected to may turn out to be a relay, or of the realm.
                relays.append((1, peer, float(peer.settings.weight)))
        yield home
        yield relays

    def views(self, mono: float) -> Iterator[RouteView]:
        """The routes for a screen."""
        for each in self._entries:
            peer = self._peers.get(fold(each.peer))
            yield RouteView(
                each.realm,
                each.host,
                each.application,
                each.action,
                each.peer,
                each.priority,
                each.weight,
                "static",
                each.action == "local" or (peer is not None and peer.usable),
            )
        for routes in self._dynamic.values():
            for found in routes:
                peer = self._peers.get(found.peer)
                yield RouteView(
                    found.realm,
                    "",
                    found.application,
                    "relay",
                    found.peer if peer is None else peer.name,
                    found.priority,
                    found.weight,
                    "discovered",
                    peer is not None and peer.usable,
                    max(0.0, found.expires - mono),
                )
        for peer in self._peers.values():
            realm = _realm_of(peer)
            if realm and not self._has_entry(realm):
                weight = peer.settings.weight
                yield RouteView(realm, "", None, "relay", peer.name, 1, weight, "peer", peer.usable)

    def _has_entry(self, realm: str) -> bool:
        """Whether entries decide about all requests to a realm, whatever they want there."""
        wanted = fold(realm)
        return any(
            each.peer and not each.host and each.application is None and rank(each, wanted, "", 0) is not None
            for each in self._entries
        )


def _realm_of(peer: Peer) -> str:
    """The realm that a peer says it is of, or else the configuration."""
    said = peer.capabilities
    return said.realm if said is not None else peer.settings.realm


def _relays(peer: Peer) -> bool:
    return peer.capabilities is not None and peer.capabilities.relay
