"""Configuration commands of ``diameter endpoint``: the node, its peers and its routes.

``origin``, ``peer``, ``route-entry``, ``connection``, ``cea-timeout``, ``watchdog-timeout``, ``dpa-timeout``
and ``dynamic-peer-discovery`` are StarOS words; their order is partly ours. The other commands are ours.
"""

from appliance.cli.commands.configuration import CONTEXT, ENDPOINT, ROOT, WORDS, number, toggle
from appliance.cli.grammar import setting
from appliance.config_tree import SETTINGS, factory_value, limits

HELP = {
    **WORDS,
    "authorities": "PEM file of the certificates that peers' certificates are checked with",
    "authorization": "Permission",
    "certificate": "PEM file of our own certificate, with those between it and the authority",
    "connection": "Connections to peers",
    "diameter": "Diameter, the protocol of AAA servers (RFC 6733)",
    "duplicate": "Requests that come again",
    "host": "DiameterIdentity of a host",
    "limit": "Largest number",
    "origin": "Who we are: Origin-Host and Origin-Realm",
    "port": "Port number; factory value 3868, with TLS or DTLS 5868",
    "realm": "Name of a realm",
    "redirect": "How we redirect (RFC 6733 section 6.1.8)",
    "request": "Requests that wait for their answer",
    "transport": "Protocol below Diameter",
}


def _endpoint() -> None:
    setting(
        ROOT,
        "diameter dictionary",
        "diameter dictionary <file:PATH 1-4000>",
        keys=("file",),
        no="diameter dictionary <file:PATH 1-4000>",
        help={
            **HELP,
            "dictionary": "More AVPs, commands and applications, in the notation of the RFCs",
            "file": "Path of the file; it is read when the line is typed, and at the start",
        },
    )
    setting(
        CONTEXT,
        ENDPOINT,
        "diameter endpoint <name:NAME>",
        keys=("name",),
        enters=ENDPOINT,
        no="diameter endpoint <name:NAME>",
        help={**HELP, "endpoint": "A Diameter node of this appliance", "name": "Its name"},
    )
    setting(
        ENDPOINT,
        "realm",
        "origin realm <realm:IDENTITY>",
        no="origin realm",
        default="origin realm",
        help={**HELP, "realm": "Origin-Realm"},
    )
    setting(
        ENDPOINT,
        "origin host",
        "origin host <identity:IDENTITY> address <address:IP> [ port <port:NUMBER 1-65535> ]"
        " [ accept-incoming-connections ]",
        keys=("address",),
        no="origin host <identity:IDENTITY> address <address:IP>",
        help={
            **HELP,
            "identity": "Origin-Host; the same in every such line. A line replaces that of its address",
            "address": "Address of this host to connect from and to listen at; a line for each",
            "accept-incoming-connections": "Peers may connect to it by TCP",
        },
    )
    setting(
        ENDPOINT,
        "tls",
        "tls certificate <certificate:PATH 1-4000> private-key <private_key:PATH 1-4000>"
        " ca-certificate <authorities:PATH 1-4000>",
        no="tls",
        default="tls",
        help={
            **HELP,
            "tls": "Certificates; each side has to show one that names its DiameterIdentity",
            "private-key": "Key of our certificate",
            "private_key": "PEM file, without a passphrase",
            "ca-certificate": "Certificates of authorities",
        },
    )
    setting(
        ENDPOINT,
        "listen",
        "listen <transport:tls|sctp|dtls> [ port <port:NUMBER 1-65535> ]",
        keys=("transport",),
        no="listen <transport:tls|sctp|dtls>",
        help={**HELP, "listen": "Peers may connect to the addresses of origin host by other transports too"},
    )
    setting(
        ENDPOINT,
        "sctp_udp_port",
        "sctp udp-encapsulation [ port <sctp_udp_port:NUMBER 1-65535> ]",
        no="sctp udp-encapsulation",
        default="sctp udp-encapsulation",
        help={
            **HELP,
            "sctp": "The SCTP stack in user space, for hosts whose kernel has none",
            "udp-encapsulation": "SCTP packets in UDP datagrams (RFC 6951); without it on raw IP",
            "sctp_udp_port": "UDP port of both sides; factory value 9899",
        },
    )


def _peers() -> None:
    setting(
        ENDPOINT,
        "peer",
        "peer <name:IDENTITY/ANY> [ realm <realm:IDENTITY> ] [ address <address:IP>"
        " [ alternate-address <alternate:IP> ] [ port <port:NUMBER 1-65535> ] ]"
        " [ transport <transport:tcp|tls|tls-inband|sctp|dtls> ] [ load-ratio <weight:NUMBER> ]"
        " [ passive ] [ compat-draft ]",
        keys=("name",),
        no="peer <name:IDENTITY/ANY>",
        ranges=limits(SETTINGS["peer"]),
        help={
            **HELP,
            "peer": "A Diameter node that we have a connection with",
            "name": "Its DiameterIdentity; * or *.REALM: any that connects to us",
            "realm": "Realm that it has to be of",
            "address": "Where to connect to; without it, it connects to us",
            "alternate-address": "Another address of the same host",
            "alternate": "IPv4 or IPv6 address",
            "load-ratio": "Share of the requests among peers of the same priority",
            "weight": "1 to 65535; factory value 1",
            "passive": "Never connect, though its address is known",
            "compat-draft": "It speaks the drafts from before RFC 4004: application 4, URIs as identities",
        },
    )
    for syntax, path, note in (
        (
            "peer <peer:IDENTITY>",
            "route-entry",
            "A way to a realm or host; the lowest priority is tried first",
        ),
        ("local", "route-entry local", "Answered by this endpoint's own applications"),
    ):
        head = "route-entry [ host <host:IDENTITY> ] [ realm <realm:IDENTITY/ANY> ]"
        match = f"{head} [ application <application:NUMBER 0-4294967295> ] {syntax}"
        more = " [ priority <priority:NUMBER> ] [ weight <weight:NUMBER> ]" if "peer" in syntax else ""
        keys = ("host", "realm", "application", "peer") if more else ("host", "realm", "application")
        setting(
            ENDPOINT,
            path,
            match + more,
            keys=keys,
            no=match,
            ranges=limits(SETTINGS["route-entry"]),
            help={
                **HELP,
                "route-entry": note,
                "host": "For requests to this Destination-Host",
                "realm": "For requests to this Destination-Realm; *.REALM: and all below it",
                "application": "For requests of one application only; its id",
                "peer": "Peer that they go to",
                "local": "To ourselves",
                "priority": "1 to 1000, the lowest first; factory value 1",
                "weight": "Share of the load, 1 to 65535; factory value 1",
            },
        )
    setting(
        ENDPOINT,
        "agent",
        "agent <agent:none|relay|proxy|redirect>",
        default="agent",
        help={
            **HELP,
            "agent": "What is done with requests that are for others (RFC 6733 section 2.8);"
            f" factory value {factory_value(SETTINGS[ENDPOINT], 'agent')}",
        },
    )


def _numbers() -> None:
    setting(
        ENDPOINT,
        "watchdog",
        "watchdog-timeout { <watchdog_timeout:NUMBER> | off }",
        default="watchdog-timeout",
        ranges=limits(SETTINGS[ENDPOINT]),
        help={
            **HELP,
            "watchdog-timeout": "Silence of a peer until it is asked for a sign of life (Twinit, RFC 3539)",
            "watchdog_timeout": "6 to 30 seconds, give or take 2; factory value 30",
            "off": "Never ask",
        },
    )
    for syntax, text in (
        ("cea-timeout <cea_timeout:NUMBER>", "Time to wait for a Capabilities-Exchange-Answer"),
        ("dpa-timeout <dpa_timeout:NUMBER>", "Time to wait for a Disconnect-Peer-Answer"),
        ("connection retry-timeout <retry_timeout:NUMBER>", "Time between two tries to connect (Tc)"),
        ("connection timeout <connection_timeout:NUMBER>", "Time that a try to connect may take"),
        ("connection limit <connection_limit:NUMBER>", "Incoming connections at one time"),
        ("request limit <request_limit:NUMBER>", "Requests that wait at one time, over all peers"),
        ("request window <window:NUMBER>", "Requests without an answer at one peer; more wait"),
        ("message-size limit <message_limit:NUMBER>", "Longest message; a longer one ends its connection"),
        ("duplicate time <duplicate_time:NUMBER>", "How long answers are kept for repeated requests"),
        ("redirect host-usage <redirect_usage:NUMBER>", "Redirect-Host-Usage that we send"),
        ("redirect cache-time <redirect_cache_time:NUMBER>", "Redirect-Max-Cache-Time that we send"),
    ):
        number(ENDPOINT, syntax, text, words=HELP | {"message-size": "Size of messages"})
    toggle(
        ENDPOINT,
        "discovery",
        "dynamic-peer-discovery",
        "Peers of realms without a route are looked for in the DNS (RFC 6408)",
    )
    toggle(ENDPOINT, "strict_bits", "strict-header-bits", "Reserved header bits are answered with 5013")


for _declare in (_endpoint, _peers, _numbers):
    _declare()
