"""Redirect agents on both sides: what is done with a 3006 that comes, and the 3006 that we send.

::

    3006 comes ──▶ first host that is a peer, usable or to be connected ──▶ cached if the usage says so
                   none: looked up in the DNS, if discovery is on        ──▶ the request goes there
                   none: the 3006 is the answer
"""

from appliance.protocols.diameter.message.codec import BadValue, Malformed, Message
from appliance.protocols.diameter.message.types import fold
from appliance.protocols.diameter.node.context import Context
from appliance.protocols.diameter.node.discovery import Discovery
from appliance.protocols.diameter.node.outbound import REDIRECT, Outbound
from appliance.protocols.diameter.node.peer import Peer
from appliance.protocols.diameter.node.peers import PeerTable
from appliance.protocols.diameter.node.pending import Pending
from appliance.protocols.diameter.node.redirects import (
    CACHE_TIME,
    HOPS,
    REDIRECT_HOST,
    USAGE,
    Indication,
    RedirectCache,
    indication,
    uri_of,
)
from appliance.protocols.diameter.settings import RouteSettings
from appliance.protocols.timers import Now


class Redirecting:
    """Redirects of one node."""

    def __init__(
        self, context: Context, table: PeerTable, cache: RedirectCache, discovery: Discovery
    ) -> None:
        self._context = context
        self._table = table
        self._cache = cache
        self._discovery = discovery

    def follow(self, pending: Pending, answer: Message, outbound: Outbound, now: Now) -> bool:
        """A request was answered with 3006: whether it is on its way again."""
        try:
            said = indication(answer)
            target = self._target(said, pending, now)
            if not target or pending.redirects >= HOPS:
                return False
            self._cache.learn(said, pending, answer, target, now.mono)
        except (Malformed, BadValue):
            return False
        pending.redirects += 1
        pending.error = answer
        self._context.statistics.redirects_followed += 1
        outbound.send_to(pending, target, now)
        return True

    def _target(self, said: Indication, pending: Pending, now: Now) -> str:
        """Folded identity of the host that is taken; empty: none can be."""
        known: list[Peer] = []
        for target in said.targets:
            peer = self._table.get(target.identity)
            if peer is not None and peer.folded not in pending.avoid:
                known.append(peer)
        for peer in known:
            if peer.usable:
                return peer.folded
        for peer in known:
            if peer.need(now):
                return peer.folded
        for target in said.targets:
            name = fold(target.identity)
            stranger = name not in self._table.peers and name != self._context.us.folded
            if stranger and self._discovery.seek_host(target, now):
                return name
        return ""

    def indicate(self, request: Message, routes: tuple[RouteSettings, ...]) -> bytes | None:
        """The 3006 answer to a request; ``None``: no host of these routes is a peer that has an address."""
        peers = [self._table.get(each.peer) for each in routes]
        hosts = [
            REDIRECT_HOST.encode(uri_of(peer.settings))
            for peer in peers
            if peer is not None and not peer.disabled and not peer.removing
        ]
        if not hosts:
            return None
        settings = self._context.settings
        if settings.redirect_usage:
            hosts.append(USAGE.encode(settings.redirect_usage))
            hosts.append(CACHE_TIME.encode(settings.redirect_cache_time))
        self._context.statistics.redirects_sent += 1
        return self._context.us.answer(request, REDIRECT, *hosts)
