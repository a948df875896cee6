"""Configuration of binding revocation (RFC 5846) and bulk bindings (RFC 6602), of all services.

``revocation enable``, ``max-retransmission`` and ``retransmission-timeout`` are StarOS words.
"""

from appliance.cli.commands.configuration import HOME_AGENT, LMA, MAG, WORDS, choice, number, toggle
from appliance.cli.grammar import setting

HELP = {
    **WORDS,
    "global-peer": "Gateways that may revoke all their sessions, or a group of them, by one message",
    "identity": "Identity of the gateway (MN-ID option)",
    "peer": "Address, or prefix of addresses",
}


PEERS = "Peers tell each other of sessions that end; without it nothing is sent or answered"
HOSTS = "Hosts are told of bindings that the home agent ends; without it nothing is sent"


def _both(mode: str, text: str) -> None:
    toggle(mode, "revocation", "revocation enable", text)
    number(
        mode,
        "revocation max-retransmission <revocation_max_retransmissions:NUMBER>",
        "Repeated indications (BRIMaxRetriesNumber)",
    )
    number(
        mode,
        "revocation retransmission-timeout <revocation_timeout:NUMBER>",
        "Time to wait for the first answer (InitMINDelayBRIs); it doubles up to 2 seconds",
    )


def _revoker(mode: str, text: str) -> None:
    _both(mode, text)
    choice(
        mode,
        "revocation pending-updates <revocation_pending:accept|discard>",
        "Updates of a session that is being revoked",
    )


def _lma() -> None:
    toggle(
        LMA,
        "accept_bulk",
        "bulk-binding-update",
        "Groups of sessions that one update extends (AcceptBulkBindingUpdateReqForMobilitySession)",
    )
    _revoker(LMA, PEERS)
    setting(
        LMA,
        "revocation global-peer",
        "revocation global-peer <peer:IP/ANY> [ identity <identity:NAI> ]",
        keys=("peer",),
        no="revocation global-peer <peer:IP/ANY>",
        help=HELP,
    )


def _mag() -> None:
    toggle(
        MAG,
        "request_bulk",
        "bulk-binding-update",
        "One update for all mobile nodes of a link (RequestBulkBindingUpdateSupportForMobilitySession)",
    )
    _both(MAG, PEERS)
    toggle(
        MAG,
        "revocation_global",
        "revocation global",
        "One message revokes all sessions when all are cleared; the anchor needs a global-peer line",
    )
    setting(
        MAG,
        "revocation_identity",
        "revocation identity <revocation_identity:NAI>",
        no="revocation identity",
        default="revocation identity",
        help={**HELP, "revocation_identity": "What anchors know it by; without it the name of the service"},
    )


for _declare in (_lma, _mag):
    _declare()
_revoker(HOME_AGENT, HOSTS)
