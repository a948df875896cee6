"""Figures of a Diameter node and of its peers: plain numbers that only grow, until they are cleared."""

from attrs import define, fields


@define(slots=True)
class PeerStatistics:
    """What went to and came from one peer.

    Requests and answers are those of applications; what keeps the connection itself is counted apart.
    """

    requests_received: int = 0
    requests_sent: int = 0
    answers_received: int = 0
    answers_sent: int = 0
    errors_received: int = 0
    """Answers with the E bit."""
    errors_sent: int = 0
    repeats_received: int = 0
    """Requests with the T flag."""
    repeats_sent: int = 0
    unknown_answers: int = 0
    """Answers to nothing: unknown Hop-by-Hop Id, or an End-to-End Id that does not fit. Dropped."""
    timeouts: int = 0
    failovers: int = 0
    """Times that the requests of this peer were given to others."""
    failed_over: int = 0
    """Requests that were given to another peer then."""
    failbacks: int = 0
    connects_tried: int = 0
    connects_failed: int = 0
    opens: int = 0
    """Times that the connection became open."""
    losses: int = 0
    """Times that an open connection was lost without DPR."""
    elections_won: int = 0
    elections_lost: int = 0
    rejected: int = 0
    """Second connections of a peer that has one."""
    refused: int = 0
    """Capabilities exchanges that failed."""
    capabilities_sent: int = 0
    """CER and CEA."""
    capabilities_received: int = 0
    watchdogs_sent: int = 0
    """DWR and DWA."""
    watchdogs_received: int = 0
    disconnects_sent: int = 0
    """DPR and DPA."""
    disconnects_received: int = 0
    thrown_away: int = 0
    """Messages that came while the connection was not trusted again yet (REOPEN), more than are kept."""
    malformed: int = 0
    octets_received: int = 0
    octets_sent: int = 0


@define(slots=True)
class NodeStatistics:
    """What a node as a whole did."""

    submitted: int = 0
    """Requests of local users."""
    answered: int = 0
    """Of these, answered by a peer."""
    timeouts: int = 0
    no_peer: int = 0
    queue_full: int = 0
    cancelled: int = 0
    throttled: int = 0
    """Not sent because the server reports overload (RFC 7683)."""
    delivered: int = 0
    """Requests of peers for local applications."""
    replied: int = 0
    late_replies: int = 0
    """Replies for which there was no connection, or no request, any more."""
    unreplied: int = 0
    """Requests that no application answered in time."""
    duplicates: int = 0
    """Repeated requests that got the first answer again."""
    duplicates_absorbed: int = 0
    """Repeated requests that came before the first one was answered, and are answered with it."""
    relayed: int = 0
    proxied: int = 0
    redirects_sent: int = 0
    redirects_followed: int = 0
    retried_elsewhere: int = 0
    """Requests sent to another peer after 3002, 3004 or 3005."""
    repeats_sent: int = 0
    """Requests sent again with the T flag."""
    loops: int = 0
    faults: int = 0
    """Requests answered with an error by the node itself."""
    foreign_origins: int = 0
    """Requests refused because their Origin-Host or Origin-Realm is not that of their peer."""
    too_busy: int = 0
    """Requests refused because too many wait for an answer."""
    malformed: int = 0
    """Octets that were no message, and answers that could not be read."""
    bad_proxy_state: int = 0
    """Answers whose Proxy-State is not what this node had sent."""
    unknown_peers: int = 0
    """Connections from peers that are not configured."""
    bad_certificates: int = 0
    connections_accepted: int = 0
    connections_refused: int = 0
    """Connections beyond the limit."""
    silent_connections: int = 0
    """Incoming connections without CER in time."""
    lookups: int = 0
    overload_reports: int = 0


def rows(statistics: PeerStatistics | NodeStatistics) -> list[tuple[str, int]]:
    """Heading and figure of each row of a screen, in order."""
    return [
        (each.name.replace("_", " ").capitalize(), getattr(statistics, each.name))
        for each in fields(type(statistics))
    ]


def clear(statistics: PeerStatistics | NodeStatistics) -> None:
    """All figures to zero."""
    for each in fields(type(statistics)):
        setattr(statistics, each.name, 0)
