"""Rows of Diameter screens, made from what nodes tell of themselves: numbers become names. Pure functions.

::

    readouts.PeerView, routing.RouteView, readouts.QueueView ──▶ ports_aaa.PeerView, ... ──▶ screens
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import fields

from appliance.ports_aaa import (
    DiameterRouteView,
    EndpointView,
    MessageCounts,
    MessagesView,
    PeerView,
    PendingView,
)
from appliance.protocols.diameter.client.counted import Exchange, Side
from appliance.protocols.diameter.message.dictionary import current, standard
from appliance.protocols.diameter.node import peer_states as st
from appliance.protocols.diameter.node import readouts, routing
from appliance.protocols.diameter.node import stats as node_stats
from appliance.protocols.diameter.node.stats import NodeStatistics
from appliance.protocols.diameter.settings import EndpointSettings
from appliance.protocols.diameter.transport.connections import spots
from appliance.protocols.diameter.transport.link import TransportCounters
from appliance.service import address_text

OPEN, CLOSED = "OPEN", "CLOSED"
_CAUSES = standard()["Disconnect-Cause"]
#: What StarOS calls these states of a peer; the others are called as in RFC 6733.
_NAMES = {**dict.fromkeys(st.OPEN, OPEN), **dict.fromkeys((st.CLOSED, "Disabled", "Idle"), CLOSED)}


def application_name(number: int | None) -> str:
    """Name of an application; its number if it has none; ``*`` for any."""
    if number is None:
        return "*"
    known = current().applications.get(number)
    return known.name if known is not None else str(number)


def command_name(code: int, application: int) -> str:
    """Abbreviation of a request; its command code if it is unknown."""
    known = current().command(code, True, application)
    return known.name if known is not None else str(code)


def place_text(address: bytes, port: int) -> str:
    """Address and port as text; empty without an address."""
    if not address:
        return ""
    text = address_text(address)
    if not port:
        return text
    return f"[{text}]:{port}" if len(address) == 16 else f"{text}:{port}"


def counters(statistics: Any) -> dict[str, int]:
    """Counters by label."""
    return {label.title(): value for label, value in node_stats.rows(statistics)}


def node_counters(statistics: NodeStatistics, transport: TransportCounters) -> dict[str, int]:
    """Counters of a node by group and label: its requests, and its connections."""
    connections = {
        f"Connections/{each.name.replace('_', ' ').title()}": getattr(transport, each.name)
        for each in fields(TransportCounters)
    }
    return {f"Node/{label}": value for label, value in counters(statistics).items()} | connections


def state_text(state: str) -> str:
    """A peer's state as StarOS calls it, or else as RFC 6733 does."""
    return _NAMES.get(state, state.upper())


def endpoint_view(
    settings: EndpointSettings, state: str, applications: Iterable[str], peers: Sequence[str], pending: int
) -> EndpointView:
    """An endpoint; ``peers``: the states of its peers."""
    listeners = [
        f"{place_text(address, port)} [{kind.upper()}]"
        for kind, port, addresses in spots(settings.listeners)
        for address in addresses
    ]
    return EndpointView(
        name=settings.name,
        context=settings.context,
        identity=settings.identity,
        realm=settings.realm,
        state=state,
        listeners=tuple(listeners),
        applications=tuple(applications),
        agent=settings.agent,
        discovery=settings.discovery,
        peers=len(peers),
        peers_open=sum(state_text(each) == OPEN for each in peers),
        pending=pending,
    )


def peer_view(row: readouts.PeerView, settings: EndpointSettings, local_port: int) -> PeerView:
    """A peer of an endpoint."""
    state = state_text(row.state)
    applications = [application_name(number) for number in sorted({*row.auth, *row.acct})]
    local = next((each for each in row.local if len(each) == len(row.remote)), b"")
    return PeerView(
        context=settings.context,
        endpoint=settings.name,
        name=row.name,
        realm=row.realm,
        local_name=settings.identity,
        local_realm=settings.realm,
        address=place_text(row.remote, row.port) or _configured(row, settings),
        local_address=place_text(local, local_port),
        transport="TLS" if row.secure and row.transport in ("tcp", "tls-inband") else row.transport.upper(),
        state=state,
        watchdog=row.watchdog,
        enabled=not row.disabled,
        dynamic=row.kind != "static",
        vendors=row.vendors,
        applications=(*applications, *(["Relay"] if row.relay else [])),
        product=row.product,
        certificate=", ".join(row.certificate),
        pending=row.pending,
        queued=row.queued,
        since=row.since,
        backoff=row.next_try,
        disconnect=_farewell(row, state),
        counters=counters(row.statistics),
    )


def _configured(row: readouts.PeerView, settings: EndpointSettings) -> str:
    """The address that the configuration has for a peer without a connection."""
    known = next((each for each in settings.peers if each.name == row.name), None)
    if known is None or not known.addresses:
        return ""
    return place_text(known.addresses[0], known.port)


def _farewell(row: readouts.PeerView, state: str) -> str:
    if state == OPEN:
        return ""
    if row.farewell is None:
        return row.last_error
    return _CAUSES.values.get(row.farewell, str(row.farewell))


def route_view(row: routing.RouteView, endpoint: str) -> DiameterRouteView:
    """A route of an endpoint."""
    return DiameterRouteView(
        endpoint=endpoint,
        realm=row.realm or "*",
        host=row.host,
        application=application_name(row.application),
        action=row.action,
        peer=row.peer,
        priority=row.priority,
        weight=row.weight,
        origin=row.origin,
        expires=row.lifetime,
        usable=row.usable,
    )


def pending_view(row: readouts.QueueView, endpoint: str) -> PendingView:
    """A request that an endpoint has no answer to."""
    return PendingView(
        endpoint=endpoint,
        peer=row.peer,
        direction=row.direction,
        state=row.state,
        command=command_name(row.code, row.application),
        application=application_name(row.application),
        session_id=row.session,
        hop_by_hop=row.hop_by_hop,
        end_to_end=row.end_to_end,
        remaining=row.remaining,
        retransmitted=row.repeated,
    )


def messages_view(side: Side, server: str, exchanges: Mapping[str, Exchange]) -> MessagesView:
    """Messages of a group with a server."""
    return MessagesView(
        group=side[1],
        server=server,
        accounting=side[2],
        messages={
            name: MessageCounts(
                each.requests, each.answers, each.retries, each.timeouts, each.dropped, each.rejected
            )
            for name, each in exchanges.items()
        },
    )
