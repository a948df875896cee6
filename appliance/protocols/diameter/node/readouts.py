"""What a node shows of itself: peers, routes, the queue of requests; made row by row when it is asked for."""

from collections.abc import Iterator

from attrs import define

from appliance.protocols.diameter.message.codec import RETRANSMITTED, SESSION_ID, Group, Malformed
from appliance.protocols.diameter.node import peer_states as st
from appliance.protocols.diameter.node.core import DiameterNode
from appliance.protocols.diameter.node.inbound import Inbound
from appliance.protocols.diameter.node.overload import OverloadView
from appliance.protocols.diameter.node.peer import Peer
from appliance.protocols.diameter.node.pending import Pending
from appliance.protocols.diameter.node.routing import RouteView
from appliance.protocols.diameter.node.stats import NodeStatistics, PeerStatistics
from appliance.protocols.diameter.node.watchdog import NEVER
from appliance.protocols.timers import Now


@define(slots=True, frozen=True, kw_only=True)
class PeerView:
    """One peer for a screen; times are seconds."""

    name: str
    realm: str
    """That it has said, else the configured one."""
    kind: str
    """``static``, ``wildcard`` or ``discovered``."""
    state: str
    """Of RFC 6733 section 5.6; ``Disabled``; ``Idle``: closed until there is something to send."""
    watchdog: str
    usable: bool
    transport: str
    secure: bool
    connection: str
    """How it is connected, in words; empty: it is not."""
    since: float
    """Wall clock of the last change between open and not open; 0: never was."""
    pending: int
    """Requests without an answer."""
    queued: int
    """Requests that wait for its window."""
    round_trip: float
    auth: tuple[int, ...]
    acct: tuple[int, ...]
    relay: bool
    product: str
    vendor: int
    vendors: tuple[int, ...]
    """Supported-Vendor-Ids."""
    firmware: int
    state_id: int
    addresses: tuple[bytes, ...]
    """Host-IP-Address of its CER or CEA; packed."""
    certificate: tuple[str, ...]
    compat: bool
    next_try: float | None
    """Until the next try to connect; ``None``: none is planned."""
    lifetime: float | None
    """Of a discovered one, until it is forgotten; ``None``: it stays."""
    last_error: str
    disabled: bool
    farewell: int | None
    """Disconnect-Cause of the last DPR; ``None``: there was none since it was open."""
    link: int
    """Number of its connection; 0: it has none."""
    remote: bytes
    """Address of the connection; empty: not known yet."""
    port: int
    local: tuple[bytes, ...]
    """Our addresses of it."""
    statistics: PeerStatistics


@define(slots=True, frozen=True, kw_only=True)
class QueueView:
    """One request without an answer; times are seconds."""

    direction: str
    """``out``: to a peer; ``in``: an application has it."""
    state: str
    """``sent``, ``queued`` (for a window), ``parked`` (for a peer), ``working`` (at an application)."""
    peer: str
    """Where it goes, or came from; empty: not known yet."""
    code: int
    application: int
    session: str
    end_to_end: int
    hop_by_hop: int
    """-1: not sent."""
    repeated: bool
    source: str
    """Of a relayed one, the peer that it came from; empty: a local user's."""
    remaining: float
    """Until it is given up."""


def peers(node: DiameterNode, now: Now) -> Iterator[PeerView]:
    """All peers by name."""
    for _, peer in sorted(node.table.peers.items()):
        yield _peer(peer, now)


def _state(peer: Peer) -> str:
    if peer.state != st.CLOSED:
        return peer.state
    if peer.disabled:
        return "Disabled"
    return "Idle" if peer.dormant else peer.state


def _peer(peer: Peer, now: Now) -> PeerView:
    said, link = peer.capabilities, peer.link or peer.initiator or peer.responder
    settings = peer.settings
    waits = peer.state == st.CLOSED and peer.until != NEVER and not peer.dormant
    return PeerView(
        name=peer.name,
        realm=said.realm if said is not None else settings.realm,
        kind=peer.kind,
        state=_state(peer),
        watchdog=peer.watchdog.status,
        usable=peer.usable,
        transport=link.transport if link is not None else settings.transport,
        secure=link is not None and link.secure,
        connection=link.where if link is not None else "",
        since=peer.since,
        pending=len(peer.pending),
        queued=len(peer.queue),
        round_trip=peer.round_trip,
        auth=tuple(sorted(said.auth)) if said is not None else (),
        acct=tuple(sorted(said.acct)) if said is not None else (),
        relay=said is not None and said.relay,
        product=said.product if said is not None else "",
        vendor=said.vendor if said is not None else 0,
        vendors=tuple(sorted(set(said.vendors))) if said is not None else (),
        firmware=said.firmware if said is not None else 0,
        state_id=peer.state_id,
        addresses=said.addresses if said is not None else (),
        certificate=(link.names or ()) if link is not None else (),
        compat=settings.compat,
        next_try=max(0.0, peer.until - now.mono) if waits else None,
        lifetime=None if peer.expires == NEVER else max(0.0, peer.expires - now.mono),
        last_error=peer.last_error,
        disabled=peer.disabled,
        farewell=peer.farewell,
        link=link.number if link is not None else 0,
        remote=link.remote if link is not None else b"",
        port=link.port if link is not None else 0,
        local=link.local if link is not None else (),
        statistics=peer.statistics,
    )


def routes(node: DiameterNode, now: Now) -> Iterator[RouteView]:
    """Configured and discovered routes, then redirects that are cached."""
    yield from node.routes.views(now.mono)
    yield from node.redirects.views(now.mono)


def overload(node: DiameterNode, now: Now) -> Iterator[OverloadView]:
    """Overload reports that count."""
    yield from node.overload.views(now.mono)


def queue(node: DiameterNode, now: Now) -> Iterator[QueueView]:
    """Requests without an answer: those to peers, then those that applications have."""
    for pending in list(node.outbound.parked.values()):
        yield _pending(pending, "parked", now)
    for peer in list(node.table.peers.values()):
        for pending in list(peer.pending.values()):
            yield _pending(pending, "sent", now)
        for pending in list(peer.queue.values()):
            yield _pending(pending, "queued", now)
    for inbound in list(node.inbound.open.values()):
        yield _inbound(inbound, now)


def _session(data: bytes, place: int) -> str:
    try:
        raw = Group(data, place).raw(SESSION_ID)
    except Malformed:
        return ""
    return (raw or b"").decode(errors="replace")


def _pending(pending: Pending, state: str, now: Now) -> QueueView:
    source: Inbound | None = pending.source
    return QueueView(
        direction="out",
        state=state,
        peer=pending.peer.name if pending.peer is not None else "",
        code=pending.code,
        application=pending.application,
        session=_session(pending.tail, 4),
        end_to_end=pending.end_to_end,
        hop_by_hop=pending.hop,
        repeated=bool(pending.front[4] & RETRANSMITTED),
        source=source.peer.name if source is not None else "",
        remaining=max(0.0, pending.due - now.mono),
    )


def _inbound(inbound: Inbound, now: Now) -> QueueView:
    message = inbound.message
    return QueueView(
        direction="in",
        state="working",
        peer=inbound.peer.name,
        code=message.code,
        application=message.application,
        session=_session(message.data, 20),
        end_to_end=message.end_to_end,
        hop_by_hop=message.hop_by_hop,
        repeated=bool(message.flags & RETRANSMITTED),
        source="",
        remaining=max(0.0, inbound.due - now.mono),
    )


def statistics(node: DiameterNode) -> NodeStatistics:
    """Figures of the node."""
    return node.statistics
