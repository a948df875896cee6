"""Which peer a request goes to, of those that come into question.

Of a group of one priority the peer is taken that had least so far for its weight, among those that have room
in their window; when all are full, it waits for the one with the shortest queue rather than for a group of
lower priority. Cached redirects and overload reports have their say.
"""

from appliance.protocols.diameter.node.context import Context
from appliance.protocols.diameter.node.overload import HOST, Overload
from appliance.protocols.diameter.node.peer import Peer
from appliance.protocols.diameter.node.pending import Pending
from appliance.protocols.diameter.node.redirects import RedirectCache
from appliance.protocols.diameter.node.routing import Choice, RoutingTable


class Chooser:
    """Chooses for one node."""

    __slots__ = ("overload", "redirects", "_context", "_routes", "_peers")

    def __init__(
        self,
        context: Context,
        routes: RoutingTable,
        peers: dict[str, Peer],
        overload: Overload,
        redirects: RedirectCache,
    ) -> None:
        self.overload = overload
        self.redirects = redirects
        self._context = context
        self._routes = routes
        self._peers = peers

    def choose(self, pending: Pending, mono: float) -> Peer | None:
        """A usable peer, or ``None``."""
        if pending.forced is not None:
            return self._good(pending.forced, pending)
        groups = self._routes.groups(pending)
        if len(groups) == 1 and len(groups[0]) == 1 and not pending.avoid and not self.overload:
            found: Peer | None = groups[0][0].peer
        else:
            found = self._among(groups, pending, mono)
        if found is None or not self.redirects:
            return found
        return self._good(self.redirects.find(pending, found.folded, mono), pending) or found

    def _good(self, identity: str, pending: Pending) -> Peer | None:
        """The peer of a folded identity, if it can take the request."""
        peer = self._peers.get(identity)
        if peer is None or not peer.usable or identity in pending.avoid:
            return None
        return None if pending.secure and not peer.secure else peer

    def _among(self, groups: list[list[Choice]], pending: Pending, mono: float) -> Peer | None:
        avoid = pending.avoid
        for group in groups:
            best: Choice | None = None
            crowded: Peer | None = None
            for choice in group:
                peer = choice.peer
                if peer.folded in avoid or (self.overload and self._kept_back(peer, pending, mono)):
                    continue
                if self.has_room(peer):
                    if best is None or choice.used < best.used:
                        best = choice
                elif crowded is None or len(peer.queue) < len(crowded.queue):
                    crowded = peer
            if best is not None:
                best.used += 1 / best.weight
                return best.peer
            if crowded is not None:
                return crowded
        return None

    def has_room(self, peer: Peer) -> bool:
        """Whether a request can be sent to a usable peer at once."""
        link = peer.link
        if peer.queue or link is None or link.congested:
            return False
        return len(peer.pending) < self._context.settings.window

    def _kept_back(self, peer: Peer, pending: Pending, mono: float) -> bool:
        """Whether the peer has said that it has too much to do (RFC 7683: diversion to another one)."""
        if not pending.local or pending.host:
            return False
        return self.overload.drops(pending.application, HOST, peer.folded, mono)
