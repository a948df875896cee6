"""All peers and connections of a node: who is configured, who connects, who is refused.

::

    Accepted ──▶ stranger ──CER──▶ known? ──▶ Peer.offer          (R-Conn-CER of the peer machine)
                    │ other message, time-out     │ no: 3010
                    ▼                             ▼
                  Close                         Close
"""

from typing import Any

from attrs import evolve

from appliance.protocols.diameter.message.codec import (
    ERROR,
    HEADER,
    HEADER_SIZE,
    PROXIABLE,
    REQUEST,
    BadValue,
    Malformed,
    Message,
    frame,
)
from appliance.protocols.diameter.message.types import fold
from appliance.protocols.diameter.node import admission
from appliance.protocols.diameter.node import capabilities as cap
from appliance.protocols.diameter.node import peer_states as st
from appliance.protocols.diameter.node.capabilities import Refusal
from appliance.protocols.diameter.node.context import Context
from appliance.protocols.diameter.node.events import (
    DO_NOT_WANT_TO_TALK_TO_YOU,
    REBOOTING,
    Accepted,
    Close,
    Command,
    Connected,
    Secured,
    Transmit,
    Unreadable,
)
from appliance.protocols.diameter.node.peer import Owner, Peer
from appliance.protocols.diameter.node.peer_actions import DISCOVERED, STATIC, WILDCARD
from appliance.protocols.diameter.node.peer_states import Link, spelled
from appliance.protocols.diameter.node.stats import clear
from appliance.protocols.diameter.settings import EndpointSettings, PeerSettings
from appliance.protocols.timers import Deadlines, Now

#: After the applications have changed, seconds until peers are told: several services may come up at once.
SETTLE = 0.5
#: Links and peers looked at in one tick.
PER_TICK = 1_000


def is_wild(name: str) -> bool:
    """Whether a configured peer stands for many."""
    return name.startswith("*")


def covers(pattern: str, identity: str) -> bool:
    """Whether ``*`` or ``*.REALM`` stands for a folded identity."""
    return identity.endswith(fold(pattern[1:]))


class PeerTable:
    """The peers of one node by folded identity; ``owner`` is told what matters for requests."""

    def __init__(self, context: Context, owner: Owner) -> None:
        self.peers: dict[str, Peer] = {}
        self._context = context
        self._owner = owner
        self._wild: list[PeerSettings] = []
        self._timers = Deadlines(lambda key: key.due)
        #: When the applications that changed are told to peers; ``None``: there is nothing to tell.
        self._settle: float | None = None
        for settings in context.settings.peers:
            self._configure(settings)

    def _configure(self, settings: PeerSettings) -> Peer | None:
        if is_wild(settings.name):
            self._wild.append(settings)
            return None
        peer = self.peers[fold(settings.name)] = Peer(settings, self._context, self._owner)
        return peer

    def get(self, identity: str) -> Peer | None:
        """The peer of that identity."""
        return self.peers.get(fold(identity))

    def add(self, settings: PeerSettings, kind: str, expires: float) -> Peer:
        """A peer that was discovered; it is not connected yet."""
        peer = self.peers[fold(settings.name)] = Peer(settings, self._context, self._owner, kind)
        peer.expires = expires
        return peer

    # Time.

    @property
    def deadline(self) -> float | None:
        """When :meth:`tick` is wanted next."""
        first = self._timers.next
        if self._settle is None:
            return first
        return self._settle if first is None else min(first, self._settle)

    def watch(self, key: Peer | Link) -> None:
        """The ``due`` of a peer or connection may be earlier than before."""
        if key.due is not None:
            self._timers.set(key, key.due)

    def tick(self, now: Now) -> None:
        """Do what is due."""
        if self._settle is not None and self._settle <= now.mono:
            self._settle = None
            self._announce(now)
        for key in self._timers.pop_due(now.mono, PER_TICK):
            if isinstance(key, Peer):
                key.elapsed(now)
            else:
                self._context.statistics.silent_connections += 1
                self._turn_away(key, "there was no CER in time", now)

    # The life of the node.

    def start(self, now: Now) -> None:
        """Connect to all peers that are to be connected to."""
        for peer in list(self.peers.values()):
            peer.start(now)

    def stop(self, cause: int, now: Now) -> None:
        """End all connections; the node stops, or connections make no sense any more."""
        for peer in list(self.peers.values()):
            peer.stop(now, cause)
        for link in list(self._context.links.values()):
            if link.peer is None:
                self._context.drop(link, "the node stops")

    def dissolve(self) -> None:
        """Know nobody any more."""
        self.peers.clear()
        self._context.links.clear()
        self._timers = Deadlines(lambda key: key.due)
        del self._owner

    def announce(self, now: Now) -> None:
        """The applications have changed: tell those peers that we can connect to, a moment later."""
        if self._context.started and self._settle is None:
            self._settle = now.mono + SETTLE

    def _announce(self, now: Now) -> None:
        """A peer that can only connect to us is not disturbed: it learns at its next connection."""
        auth, acct = self._context.us.ids()
        for peer in list(self.peers.values()):
            if peer.state == st.CLOSED:
                peer.start(now)
            elif peer.is_open and peer.connects and not peer.announced >= auth | acct:
                peer.stop(now, REBOOTING)

    def closed(self, peer: Peer) -> None:
        """A peer has no connection: one that nobody configured is forgotten."""
        if peer.removing or (peer.kind == WILDCARD and not peer.disabled):
            if self.peers.get(peer.folded) is peer:
                del self.peers[peer.folded]
            peer.removing = True
            peer.until = float("inf")

    # Connections.

    def accepted(self, event: Accepted, now: Now) -> None:
        """Take an incoming connection, or refuse it."""
        context = self._context
        if context.stopping or not context.started or event.connection in context.links:
            context.effects.append(Close(event.connection, "the node does not run"))
            return
        if context.incoming >= context.settings.connection_limit:
            context.statistics.connections_refused += 1
            context.hushed(
                now, "connections", "warning", f"more than {context.settings.connection_limit} connections"
            )
            context.effects.append(Close(event.connection, "too many connections", True))
            return
        context.statistics.connections_accepted += 1
        context.incoming += 1
        link = Link(
            event.connection, False, event.transport, event.remote, event.port, event.local, event.names, True
        )
        link.due = now.mono + context.settings.connection_timeout
        context.links[link.number] = link
        self.watch(link)

    def connected(self, event: Connected, now: Now) -> None:
        """What a peer machine asked for is there."""
        link = self._context.links.get(event.connection)
        if link is None or link.peer is None or link.up:
            return
        link.up = True
        link.remote, link.port, link.local = event.remote, event.port, event.local
        link.names = event.names
        link.peer.event(st.I_CONN_ACK, now, link)

    def secured(self, event: Secured, now: Now) -> None:
        """An in-band TLS handshake is done."""
        link = self._context.links.get(event.connection)
        if link is not None and link.peer is not None:
            link.names = event.names
            link.peer.secured(link, now)

    def lost(self, number: int, text: str, now: Now) -> None:
        """A connection has ended, or did not come about."""
        link = self._context.links.get(number)
        if link is None:
            return
        peer = link.peer
        self._context.remove(link)
        if peer is not None:
            peer.lost(link, text, now)

    def unreadable(self, event: Unreadable, now: Now) -> None:
        """What came is no Diameter: say so if it was a request, and close (digest of RFC 6733 section 7)."""
        context = self._context
        link = context.links.get(event.connection)
        if link is None:
            return
        context.statistics.malformed += 1
        peer = link.peer
        told = peer is not None and link is peer.link and len(event.head) >= HEADER_SIZE
        if told:
            _, second, application, hop, end = HEADER.unpack_from(event.head)
            told = bool(second >> 24 & REQUEST)
            if told:
                us = context.us
                flags = second >> 24 & PROXIABLE | ERROR
                body = b"".join((cap.RESULT.encode(event.code), us.origin, *cap.faulty(event.text)))
                answer = frame(second & 0xFFFFFF, application, flags, hop, end, body)
                context.effects.append(Transmit(link.number, answer))
        if peer is None:
            self._turn_away(link, event.text, now)
            return
        peer.statistics.malformed += 1
        # RFC 6733 section 2.1: by a reset. The transport sends what was transmitted before it.
        context.drop(link, event.text, abort=True)
        peer.lost(link, event.text, now)

    def _turn_away(self, link: Link, text: str, now: Now) -> None:
        """Close a connection that belongs to no peer."""
        where = spelled(link.remote)
        self._context.hushed(now, f"from {where}", "warning", f"connection from {where} closed: {text}")
        self._context.drop(link, text, abort=True)

    # The first message of an incoming connection.

    def stranger(self, link: Link, message: Message, now: Now) -> None:
        """Only a CER may come (RFC 6733 section 5.6.1)."""
        if message.code != cap.CAPABILITIES or not message.is_request:
            self._turn_away(link, f"its first message has command {message.code} and is no CER", now)
            return
        link.due = None
        try:
            peer = self._whose(link, message)
        except Refusal as refusal:
            if refusal.code == cap.UNKNOWN_PEER:
                self._context.statistics.unknown_peers += 1
            self._refuse(link, message, refusal, now)
            return
        try:
            peer.offer(link, message, now)
        except Refusal as refusal:
            peer.statistics.refused += 1
            self._refuse(link, message, refusal, now, peer)
        if peer.state == st.CLOSED:
            self.closed(peer)

    def _refuse(
        self, link: Link, message: Message, refusal: Refusal, now: Now, peer: Peer | None = None
    ) -> None:
        where = spelled(link.remote)
        self._context.hushed(
            now,
            f"from {where}",
            "warning",
            f"connection from {where} refused ({refusal.code}): {refusal.text}",
        )
        if peer is not None:
            peer.last_error = refusal.text
        compat = peer is not None and peer.settings.compat
        admission.refuse(self._context, link, message, refusal, compat)

    def _whose(self, link: Link, message: Message) -> Peer:
        """The peer that the CER names. Raises Refusal."""
        try:
            spoken = message.first(cap.ORIGIN_HOST)
        except (Malformed, BadValue):
            spoken = None
        if spoken is not None and len(spoken) > cap.LONGEST_NAME:
            raise Refusal(cap.INVALID_VALUE, f"Origin-Host has {len(spoken)} octets")
        if spoken is None:
            fault = self._context.fault(message)
            if fault is not None:
                raise Refusal(fault.result, fault.text, fault.failed)
            raise Refusal(
                cap.MISSING_AVP, "there is no Origin-Host", cap.FAILED.encode(cap.ORIGIN_HOST.encode("\0"))
            )
        identity = cap.host_of(spoken)
        name = fold(identity)
        peer = self.peers.get(name)
        if peer is None and name != self._context.us.folded:
            for settings in self._wild:
                if covers(settings.name, name):
                    # The entry lives as long as its connection (RFC 6733 section 5.3).
                    made = evolve(settings, name=identity, addresses=())
                    peer = self.peers[name] = Peer(made, self._context, self._owner, WILDCARD)
                    break
        if peer is None or (identity != spoken and not peer.settings.compat):
            raise Refusal(cap.UNKNOWN_PEER, f"{spoken} is no peer of {self._context.us.identity}")
        if peer.disabled or peer.removing:
            raise Refusal(cap.UNKNOWN_PEER, f"{spoken} is disabled")
        return peer

    # Operators.

    def command(self, event: Command, now: Now) -> None:
        """Do what an operator wants with one peer, or with all."""
        chosen = [self.get(event.peer)] if event.peer else list(self.peers.values())
        for peer in chosen:
            if peer is not None:
                self._command(event, peer, now)

    def _command(self, event: Command, peer: Peer, now: Now) -> None:
        if event.action == "disable":
            peer.disabled = True
            peer.stop(now, DO_NOT_WANT_TO_TALK_TO_YOU)
        elif event.action == "enable":
            if peer.disabled:
                peer.disabled = False
                peer.farewell = None
                peer.start(now)
                if peer.state == st.CLOSED:
                    self.closed(peer)
        elif event.action == "disconnect":
            peer.stop(now, event.cause)
        elif event.action == "connect":
            peer.start(now)
        elif event.action == "clear":
            clear(peer.statistics)

    def reconfigure(self, settings: EndpointSettings, now: Now) -> None:
        """Peers as these settings say, the context having them already; good-bye to those that are gone."""
        wanted = {fold(each.name): each for each in settings.peers if not is_wild(each.name)}
        self._wild = [each for each in settings.peers if is_wild(each.name)]
        for name, peer in list(self.peers.items()):
            peer.watchdog.initial = settings.watchdog_timeout
            if name in wanted:
                self._change(peer, wanted.pop(name), now)
            elif peer.kind == STATIC or (peer.kind == WILDCARD and not self._covered(name)):
                self.dismiss(peer, now)
            self.watch(peer)
        for each in wanted.values():
            peer_or_none = self._configure(each)
            if peer_or_none is not None:
                peer_or_none.start(now)

    def _covered(self, name: str) -> bool:
        return any(covers(each.name, name) for each in self._wild)

    def _change(self, peer: Peer, settings: PeerSettings, now: Now) -> None:
        before, peer.settings = peer.settings, settings
        peer.kind, peer.name, peer.expires = STATIC, settings.name, float("inf")
        if peer.removing:
            # It is wanted again: once the good-byes are said it is connected to as if it had been restarted.
            peer.removing, peer.farewell = False, REBOOTING
        same: list[Any] = []
        for each in (before, settings):
            same.append((each.realm, each.addresses, each.port, each.transport, each.compat))
        if same[0] != same[1]:
            # The connection is one of before: it is made anew.
            peer.stop(now, REBOOTING)
        if peer.state == st.CLOSED:
            peer.start(now)

    def dismiss(self, peer: Peer, now: Now) -> None:
        """Say good-bye to a peer and forget it."""
        peer.removing = True
        peer.stop(now, DO_NOT_WANT_TO_TALK_TO_YOU)
        if peer.state == st.CLOSED:
            self.closed(peer)

    def expire(self, now: Now) -> None:
        """Let discovered peers go whose time is over."""
        for peer in list(self.peers.values()):
            if peer.kind == DISCOVERED and peer.expires <= now.mono and not peer.removing:
                self.dismiss(peer, now)
