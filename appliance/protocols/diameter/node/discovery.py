"""Peers that the DNS names (RFC 6733 section 5.2, RFC 6408), and hosts that redirect agents name.

::

    request for a realm that nobody is configured for ──▶ Lookup ──Found──▶ peers and routes with an expiry
                                                                    └─ nothing: not asked again for a while
    used in its last tenth: looked up again                     not used: good-bye, forgotten
"""

from attrs import define

from appliance.protocols.diameter.message.types import fold
from appliance.protocols.diameter.node.context import Context
from appliance.protocols.diameter.node.events import Found, FoundPeer, Lookup
from appliance.protocols.diameter.node.peer_actions import DISCOVERED
from appliance.protocols.diameter.node.peers import PeerTable
from appliance.protocols.diameter.node.pending import Pending
from appliance.protocols.diameter.node.redirects import Target
from appliance.protocols.diameter.node.routing import DynamicRoute, RoutingTable
from appliance.protocols.diameter.settings import PeerSettings
from appliance.protocols.timers import Now

#: Lookups without an answer, peers that were discovered, names that are known to have nobody; at one time.
MOST_LOOKUPS, MOST_PEERS, MOST_BARREN = 100, 1_000, 1_000
#: Peers of one answer that are taken.
MOST_FOUND = 16
#: Seconds that a lookup may take, and that a name with nobody is not asked for again.
PATIENCE, BARREN_SECONDS = 30.0, 60.0
#: Bounds of a lifetime, in seconds.
SHORTEST, LONGEST = 10.0, 86_400.0
#: The part of a lifetime after which what is in use is looked up again.
REFRESH = 0.9

Key = tuple[str, int | None]


@define(slots=True)
class Known:
    """What the DNS said about one realm and application."""

    since: float
    refresh: float
    expires: float
    peers: tuple[str, ...]


class Discovery:
    """Lookups of one node and what came of them."""

    def __init__(self, context: Context, table: PeerTable, routes: RoutingTable) -> None:
        self._context = context
        self._table = table
        self._routes = routes
        #: Lookups without an answer, until when it is waited for.
        self._asked: dict[Key, float] = {}
        self._barren: dict[Key, float] = {}
        self._known: dict[Key, Known] = {}
        #: When :meth:`tick` is wanted next; asked for at every message, so it is worked out at every change.
        self.deadline: float | None = None

    def seek(self, pending: Pending, now: Now) -> bool:
        """Nobody is known for a request: look in the DNS, if that is wanted; whether there is hope."""
        if pending.forced is not None:
            return (pending.forced, None) in self._asked
        if not self._context.settings.discovery or not pending.realm:
            return False
        return self._ask(Lookup(pending.realm, pending.application), now)

    def seek_host(self, target: Target, now: Now) -> bool:
        """The addresses of a host that a redirect names; whether there is hope."""
        if not self._context.settings.discovery:
            return False
        return self._ask(Lookup(fold(target.identity), None, target.port, target.transport), now)

    def _ask(self, lookup: Lookup, now: Now) -> bool:
        key = (lookup.name, lookup.application)
        if key in self._asked:
            return True
        if self._barren.get(key, 0.0) > now.mono or len(self._asked) >= MOST_LOOKUPS:
            return False
        self._asked[key] = now.mono + PATIENCE
        self._plan()
        self._context.statistics.lookups += 1
        self._context.effects.append(lookup)
        return True

    def found(self, event: Found, now: Now) -> None:
        """An answer to a lookup."""
        key = (event.name, event.application)
        if self._asked.pop(key, None) is None:
            return
        lifetime = min(max(event.lifetime, SHORTEST), LONGEST)
        names = [name for each in event.peers[:MOST_FOUND] if (name := self._meet(each, key, lifetime, now))]
        if not names:
            self._nobody(key, event.text, now)
            return
        if event.application is not None:
            self._route(event, event.application, names, lifetime, now)
        for name in names:
            self._table.peers[name].start(now)
        self._plan()

    def _route(self, event: Found, application: int, names: list[str], lifetime: float, now: Now) -> None:
        expires = now.mono + lifetime
        key = (event.name, application)
        self._known[key] = Known(now.mono, now.mono + lifetime * REFRESH, expires, tuple(names))
        self._routes.learn(
            DynamicRoute(event.name, application, fold(each.identity), each.priority, each.weight, expires)
            for each in event.peers[:MOST_FOUND]
            if fold(each.identity) in names
        )

    def _meet(self, said: FoundPeer, key: Key, lifetime: float, now: Now) -> str:
        """Put a host into the peer table; its folded identity, or empty if it does not go in."""
        name, expires = fold(said.identity), now.mono + lifetime
        peer = self._table.peers.get(name)
        if name == self._context.us.folded or not (said.addresses or peer):
            return ""
        if peer is None:
            count = sum(each.kind == DISCOVERED for each in self._table.peers.values())
            if count >= MOST_PEERS:
                return ""
            made = PeerSettings(
                name=said.identity, addresses=said.addresses, port=said.port, transport=said.transport
            )
            peer = self._table.add(made, DISCOVERED, expires)
            self._context.notify("info", f"peer {peer.name} discovered for {key[0]}")
        elif peer.kind == DISCOVERED:
            peer.expires = max(peer.expires, expires)
            peer.removing = False
        return name

    def _nobody(self, key: Key, text: str, now: Now) -> None:
        if len(self._barren) >= MOST_BARREN:
            self._barren.clear()
        self._barren[key] = now.mono + BARREN_SECONDS
        why = f": {text}" if text else ""
        self._context.hushed(now, f"dns {key[0]}", "warning", f"no peer found for {key[0]} in the DNS{why}")

    def _plan(self) -> None:
        times = [*self._asked.values(), *(min(each.refresh, each.expires) for each in self._known.values())]
        peers = self._table.peers.values()
        times += [peer.expires for peer in peers if peer.kind == DISCOVERED and not peer.removing]
        self.deadline = min(times, default=None)

    def tick(self, now: Now) -> bool:
        """Do what is due; whether something has changed that requests wait for."""
        if self.deadline is None or self.deadline > now.mono:
            return False
        changed = False
        for key in [key for key, until in self._asked.items() if until <= now.mono]:
            del self._asked[key]
            self._nobody(key, "no answer in time", now)
            changed = True
        for key, known in list(self._known.items()):
            if known.expires <= now.mono:
                del self._known[key]
            elif known.refresh <= now.mono:
                known.refresh = known.expires
                if self._in_use(known):
                    self._ask(Lookup(*key), now)
        self._routes.expire(now.mono)
        self._table.expire(now)
        self._plan()
        return changed

    def _in_use(self, known: Known) -> bool:
        peers = (self._table.peers.get(name) for name in known.peers)
        return any(peer is not None and peer.last_used > known.since for peer in peers)
