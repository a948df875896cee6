"""One Diameter node (RFC 6733), without any I/O: peers, routing, requests and answers both ways.

::

                    ┌──────────────── DiameterNode ────────────────┐
    Received ──────▶│ OKAY peer: answer ──▶ Outbound ──▶ Answer    │
                    │            request ─▶ Inbound ───▶ Deliver   │
                    │ all else ──▶ PeerTable ──▶ Peer (machine,    │──▶ Transmit, Connect, Close, ...
    Send, Reply ───▶│                            watchdog)         │
                    │ Discovery, Redirecting, Overload, Proxy      │
                    └──────────────────────────────────────────────┘

A message of an open peer goes straight to its part: that is the path that has to be fast.
"""

from collections.abc import Callable
from typing import Any

from appliance.protocols.diameter.message.codec import REQUEST, Malformed, Message
from appliance.protocols.diameter.message.dictionary import Dictionary
from appliance.protocols.diameter.message.faults import check
from appliance.protocols.diameter.node import watchdog as dog
from appliance.protocols.diameter.node.choosing import Chooser
from appliance.protocols.diameter.node.context import Check, Context
from appliance.protocols.diameter.node.discovery import Discovery
from appliance.protocols.diameter.node.events import (
    Accepted,
    Cancel,
    Command,
    Congested,
    Connected,
    ConnectFailed,
    Disconnected,
    Found,
    Received,
    Reconfigure,
    Reply,
    Secured,
    Send,
    Serve,
    Start,
    Stop,
    Stopped,
    Unreadable,
    Usable,
    Withdraw,
)
from appliance.protocols.diameter.node.inbound import InboundRequests
from appliance.protocols.diameter.node.outbound import Outbound
from appliance.protocols.diameter.node.overload import Overload
from appliance.protocols.diameter.node.peer import BASE, Peer
from appliance.protocols.diameter.node.peer_states import Link
from appliance.protocols.diameter.node.peers import PeerTable
from appliance.protocols.diameter.node.proxying import KEY_SIZE, Proxy
from appliance.protocols.diameter.node.redirecting import Redirecting
from appliance.protocols.diameter.node.redirects import RedirectCache
from appliance.protocols.diameter.node.routing import RoutingTable
from appliance.protocols.diameter.node.stats import NodeStatistics, clear
from appliance.protocols.diameter.settings import EndpointSettings
from appliance.protocols.timers import Now

#: Seconds between two looks for what is too old in caches.
SWEEP = 30.0


class DiameterNode:
    """The core of one endpoint.

    ``random_bits(n)`` gives an n-bit random number, fit for keys; ``check`` tells what is wrong with a
    message; ``dictionary`` is what it is checked with (``None``: the one in use at the time).
    """

    def __init__(
        self,
        settings: EndpointSettings,
        random_bits: Callable[[int], int],
        check: Check = check,
        dictionary: Dictionary | None = None,
    ) -> None:
        context = self.context = Context(settings, random_bits, check, dictionary)
        self.table = PeerTable(context, self)
        peers = self.table.peers
        self.routes = RoutingTable(settings, peers)
        self.redirects = RedirectCache()
        self.overload = Overload(context.uniform)
        self._discovery = Discovery(context, self.table, self.routes)
        self._redirecting = Redirecting(context, self.table, self.redirects, self._discovery)
        chooser = Chooser(context, self.routes, peers, self.overload, self.redirects)
        proxy = Proxy(random_bits(8 * KEY_SIZE).to_bytes(KEY_SIZE, "big"))
        self.inbound = InboundRequests(context, self.routes, self._redirecting, proxy, peers)
        self.outbound = Outbound(
            context, self.routes, peers, chooser, self.inbound.finish, self._discovery.seek, self._redirecting
        )
        self._links = context.links
        self._swept = 0.0
        self._told = False

    # What the service asks.

    @property
    def settings(self) -> EndpointSettings:
        """What is configured."""
        return self.context.settings

    @property
    def statistics(self) -> NodeStatistics:
        """Figures of the node; those of a peer are with the peer."""
        return self.context.statistics

    @property
    def origin_state_id(self) -> int:
        """Origin-State-Id of this run; 0 before the start."""
        return self.context.us.state_id

    def usable(self, realm: str, application: int, accounting: bool) -> bool:
        """Whether a request to a realm could be sent right now."""
        return self.routes.usable(realm, application, accounting)

    def dissolve(self) -> None:
        """Part from the peers before the core is thrown away, so that nothing refers in a circle."""
        self.table.dissolve()

    # The shape of a core.

    def receive(self, event: Any, now: Now) -> None:
        """Take one event in; never raises for anything that came off the wire."""
        kind = type(event)
        if kind is Received:
            self._received(event, now)
            if self.context.stopping:
                self._is_stopped()
        elif kind is Reply:
            self.inbound.reply(event, now)
        elif kind is Send:
            self.outbound.submit(event, now)
        else:
            _EVENTS[kind](self, event, now)
        if self.context.stopping:
            # Also behind what was received: the last DPA closes the last connection.
            self._is_stopped()

    @property
    def deadline(self) -> float | None:
        """When :meth:`tick` is wanted next, in monotonic seconds."""
        found = None
        for when in (
            self.table.deadline,
            self.outbound.wheel.deadline,
            self.inbound.wheel.deadline,
            self._discovery.deadline,
        ):
            if when is not None and (found is None or when < found):
                found = when
        return found

    def tick(self, now: Now) -> None:
        """Do what is due."""
        self.table.tick(now)
        self.outbound.tick(now)
        self.inbound.tick(now)
        if self._discovery.tick(now):
            self.outbound.found(now)
        if self._swept + SWEEP <= now.mono:
            self._swept = now.mono
            self.redirects.expire(now.mono)
            self.overload.expire(now.mono)
        if self.context.stopping:
            self._is_stopped()

    def take(self) -> list[Any]:
        """The effects since the last call."""
        context = self.context
        effects, context.effects = context.effects, []
        return effects

    # Messages.

    def _received(self, event: Received, now: Now) -> None:
        number = event.connection
        link = self._links.get(number)
        if link is None:
            return
        for data in event.messages:
            try:
                message = Message(data)
            except Malformed as error:
                self.table.unreadable(Unreadable(number, error.code, str(error), data[:20]), now)
                return
            peer: Peer | None = link.peer
            if peer is None:
                self.table.stranger(link, message, now)
            else:
                peer.statistics.octets_received += len(data)
                watchdog = peer.watchdog
                if link is peer.link and watchdog.status is dog.OKAY and message.code not in BASE:
                    watchdog.heard = now.mono
                    self._application(peer, link, message, now)
                elif peer.message(link, message, now):
                    self._application(peer, link, message, now)
            if number not in self._links:
                return

    def _application(self, peer: Peer, link: Link, message: Message, now: Now) -> None:
        if message.flags & REQUEST:
            self.inbound.request(peer, link, message, self.outbound, now)
        else:
            self.outbound.answer(peer, message, now)

    # What peers tell (``peer.Owner``).

    def peer_usable(self, peer: Peer, now: Now) -> None:
        """Requests can be sent to a peer."""
        self.context.effects.append(Usable(peer.name))
        self.outbound.usable(peer, now)

    def peer_unusable(self, peer: Peer, now: Now) -> None:
        """A peer takes no new requests."""
        self.outbound.unusable(peer, now)

    def peer_suspect(self, peer: Peer, now: Now) -> None:
        """A peer does not answer."""
        self.outbound.failover(peer, now)

    def peer_closed(self, peer: Peer, now: Now) -> None:
        """A peer has no connection."""
        self.table.closed(peer)
        self.redirects.forget(peer.folded)
        self.outbound.closed(peer, now)

    def peer_trusted(self, peer: Peer, held: list[bytes], now: Now) -> None:
        """These messages have waited until a peer's connection was trusted."""
        link = peer.link
        for data in held:
            if link is None or peer.link is not link:
                return
            self._application(peer, link, Message(data), now)

    def peer_watch(self, peer: Peer) -> None:
        """A peer's time may have become earlier."""
        self.table.watch(peer)

    # Other events.

    def _start(self, event: Start, now: Now) -> None:
        context = self.context
        if not context.started:
            context.started = True
            context.us.state_id = int(now.wall) & 0xFFFFFFFF
            self.table.start(now)

    def _stop(self, event: Stop, now: Now) -> None:
        if not self.context.stopping:
            self.context.stopping = True
            self.outbound.stop(now)
            self.table.stop(event.cause, now)

    def _is_stopped(self) -> None:
        if not self._links and not self._told:
            self._told = True
            self.context.effects.append(Stopped())

    def _serve(self, event: Serve, now: Now) -> None:
        self.inbound.serve(event)
        self.table.announce(now)

    def _withdraw(self, event: Withdraw, now: Now) -> None:
        self.inbound.withdraw(event.application)
        self.table.announce(now)

    def _congested(self, event: Congested, now: Now) -> None:
        link = self._links.get(event.connection)
        if link is None:
            return
        link.congested = event.full
        if link.peer is not None and not event.full:
            self.outbound.pump(link.peer, now)

    def _found(self, event: Found, now: Now) -> None:
        self._discovery.found(event, now)
        self.outbound.found(now)

    def _command(self, event: Command, now: Now) -> None:
        if event.action == "clear" and not event.peer:
            clear(self.statistics)
        self.table.command(event, now)

    def _reconfigure(self, event: Reconfigure, now: Now) -> None:
        settings = event.settings
        context = self.context
        context.settings = settings
        if settings.agent != context.us.agent:
            self.table.announce(now)
        context.us.take(settings)
        self.inbound.duplicates.seconds = settings.duplicate_time
        self.routes.take(settings)
        self.inbound.forget()
        self.table.reconfigure(settings, now)
        self.outbound.found(now)
        for peer in self.table.peers.values():
            self.outbound.pump(peer, now)


_EVENTS: dict[type, Callable[[DiameterNode, Any, Now], None]] = {
    Accepted: lambda node, event, now: node.table.accepted(event, now),
    Connected: lambda node, event, now: node.table.connected(event, now),
    ConnectFailed: lambda node, event, now: node.table.lost(event.connection, event.text, now),
    Disconnected: lambda node, event, now: node.table.lost(event.connection, event.text, now),
    Secured: lambda node, event, now: node.table.secured(event, now),
    Unreadable: lambda node, event, now: node.table.unreadable(event, now),
    Cancel: lambda node, event, now: node.outbound.cancel(event.token),
    Congested: DiameterNode._congested,
    Found: DiameterNode._found,
    Serve: DiameterNode._serve,
    Withdraw: DiameterNode._withdraw,
    Start: DiameterNode._start,
    Stop: DiameterNode._stop,
    Command: DiameterNode._command,
    Reconfigure: DiameterNode._reconfigure,
}
