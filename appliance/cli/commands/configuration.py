"""Every configuration command. Numbers take their range from the settings classes.

A placeholder's name is the name of the field that it sets, and the path of an on/off
command is the name of its field, so that ``config.build`` needs no table of its own.
Commands without a counterpart in StarOS use the words of the RFC they come from.
"""

from typing import Any

from appliance.cli.grammar import command, setting
from appliance.config_tree import SETTINGS, factory_value, limits

OUTSIDE, ROOT, CONTEXT, INTERFACE = "outside", "config", "context", "interface"
SUBSCRIBER, LMA, MAG, SSHD = "subscriber", "lma-service", "mag-service", "sshd"

PREFIX_POOL = SETTINGS["ipv6 pool"]

#: Modes with the word that stands in the prompt between parentheses.
PROMPTS = {
    ROOT: "config",
    CONTEXT: "config-ctx",
    INTERFACE: "config-if-eth",
    SUBSCRIBER: "config-subscriber",
    LMA: "config-lma-service",
    MAG: "config-mag-service",
    SSHD: "config-sshd",
}

#: Help of words that several commands share.
WORDS = {
    "aaa": "Authentication, authorization and accounting",
    "access": "Access to a kind of address",
    "address": "Address",
    "advertisement": "Router Advertisements",
    "bind": "Address that the service is reached at",
    "heartbeat": "Heartbeats between the mobility entities (RFC 5847)",
    "ip": "Internet Protocol version 4",
    "ipv4": "Internet Protocol version 4",
    "ipv6": "Internet Protocol version 6",
    "name": "By name",
    "permission": "What is allowed",
    "policy": "What to do in a case that the settings do not cover",
    "pool": "Addresses to assign",
    "probe": "Neighbor Solicitations to a silent mobile node",
    "retransmission": "Sending again",
    "revocation": "Binding revocation (RFC 5846)",
    "router": "Router Advertisements on the access links",
    "subscriber": "What a mobile node may do",
    "system": "Settings of the whole appliance",
}


def _number(mode: str, syntax: str, text: str, no: str = "", note: str = "") -> None:
    """A command ``words <field:NUMBER>`` with its ``default`` form; the help names the factory value."""
    head, _, rest = syntax.partition(" <")
    name = rest.partition(":")[0]
    kind = SETTINGS[mode]
    low, high, unit = limits(kind)[name]
    value = f"{low} to {high}{' ' + unit if unit else ''}; factory value {note or factory_value(kind, name)}"
    words = {**WORDS, head.split()[-1]: text, name: value}
    setting(mode, name, syntax, help=words, no=no, default=head, ranges=limits(kind))


def _toggle(mode: str, path: str, syntax: str, text: str, on: bool | None = None) -> None:
    """An on/off command with its ``no`` and ``default`` forms; the help names the factory state."""
    state = factory_value(SETTINGS[mode], path) if on is None else on
    words = {**WORDS, syntax.split()[-1]: f"{text} (factory state: {'on' if state else 'off'})"}
    setting(mode, path, syntax, help=words, toggle=True)


def _choice(mode: str, syntax: str, text: str) -> None:
    """A command ``words <field:a|b>`` with its ``default`` form."""
    head, _, rest = syntax.partition(" <")
    name = rest.partition(":")[0]
    value = f"{text}; factory value {factory_value(SETTINGS[mode], name)}"
    setting(mode, name, syntax, help={**WORDS, head.split()[-1]: text, name: value}, default=head)


@command(OUTSIDE, "configure", help={"configure": "Begins the configuration"}, rights="administrator")
def _configure(editor: Any, _args: dict[str, Any]) -> None:
    editor.begin()


def _leave(editor: Any, _args: dict[str, Any]) -> None:
    editor.leave()


def _end(editor: Any, _args: dict[str, Any]) -> None:
    editor.end()


def _navigation() -> None:
    for mode in PROMPTS:
        command(mode, "exit", help={"exit": "Goes one mode up"}, rights="administrator")(_leave)
        command(mode, "end", help={"end": "Returns to the Exec mode"}, rights="administrator")(_end)


def _root() -> None:
    for path, word, value, text in (
        ("hostname", "hostname", "NAME 1-63", "Name in the prompt and in protocol identities"),
        (
            "state_directory",
            "state-directory",
            "PATH",
            "Where the appliance keeps what must survive a restart",
        ),
        ("control_socket", "control-socket", "PATH", "Socket that 'appliance cli' attaches to"),
    ):
        setting(
            ROOT,
            path,
            f"system {word} <{path}:{value}>",
            help={**WORDS, word: text, path: text},
            no=f"system {word}",
            default=f"system {word}",
        )
    setting(
        ROOT,
        "context",
        "context <name:NAME 1-79>",
        keys=("name",),
        enters=CONTEXT,
        no="context <name:NAME 1-79>",
        help={"context": "Services and addresses that belong together; made if absent", "name": "Its name"},
    )


def _context() -> None:
    setting(
        CONTEXT,
        "interface",
        "interface <name:NAME 1-15>",
        keys=("name",),
        enters=INTERFACE,
        no="interface <name:NAME 1-15>",
        help={"interface": "A network device of the host", "name": "Name of the device"},
    )
    words = {
        **WORDS,
        "name": "Name of the pool",
        "prefix": "Prefix to cut home network prefixes from",
        "delegated-length": "Length of each home network prefix",
        "delegated_length": f"1 to 128 bits; factory value {factory_value(PREFIX_POOL, 'delegated_length')}",
        "group-name": "Pools of one group are used together",
        "group": "Name of the group",
        "static": "Only for addresses that a subscriber names",
        "network": "IPv4 network",
        "range": "From one address to another",
        "first": "First address",
        "last": "Last address",
        "mask-length": "Length of the network mask",
        "mask_length": "1 to 32 bits",
        "default-router": "Router that the mobile nodes are told; the network's first address if not given",
        "default_router": "IPv4 address of the router",
    }
    setting(
        CONTEXT,
        "ipv6 pool",
        "ipv6 pool <name:NAME> prefix <prefix:IPV6/LEN> [ delegated-length <delegated_length:NUMBER> ]"
        " [ group-name <group:NAME> ] [ static ]",
        keys=("name",),
        no="ipv6 pool <name:NAME>",
        help=words,
        ranges=limits(PREFIX_POOL),
    )
    setting(
        CONTEXT,
        "ip pool",
        "ip pool <name:NAME> { <network:IPV4/LEN> | range <first:IPV4> <last:IPV4>"
        " mask-length <mask_length:NUMBER 1-32> } [ default-router <default_router:IPV4> ]"
        " [ group-name <group:NAME> ] [ static ]",
        keys=("name",),
        no="ip pool <name:NAME>",
        help=words,
    )
    words = {
        **WORDS,
        "name": "Network access identifier",
        "default": "Every mobile node without a profile of its own",
    }
    setting(
        CONTEXT,
        "subscriber default",
        "subscriber default",
        enters=SUBSCRIBER,
        no="subscriber default",
        help=words,
    )
    setting(
        CONTEXT,
        "subscriber",
        "subscriber name <name:NAI>",
        keys=("name",),
        enters=SUBSCRIBER,
        no="subscriber name <name:NAI>",
        help=words,
    )
    for mode in (LMA, MAG):
        setting(
            CONTEXT,
            mode,
            f"{mode} <name:NAME>",
            keys=("name",),
            enters=mode,
            no=f"{mode} <name:NAME>",
            help={"name": "Name of the service"},
        )


def _interface() -> None:
    words = {
        **WORDS,
        "address": "Given to the device while the appliance runs, unless it has it already",
        "host": "Address with the prefix length of the link",
    }
    for family, kind in (("ipv6", "IPV6/HOST"), ("ip", "IPV4/HOST")):
        syntax = f"{family} address <host:{kind}>"
        setting(INTERFACE, f"{family} address", syntax, keys=("host",), no=syntax, help=words)


def _subscriber() -> None:
    mode = SUBSCRIBER
    _toggle(mode, "pmipv6", "permission pmipv6", "Network-based mobility; without it status 152")
    _toggle(mode, "ipv6", "ipv6 access", "A home network prefix")
    _toggle(mode, "ipv4", "ipv4 access", "An IPv4 home address (RFC 5844)")
    _toggle(
        mode, "any_prefix", "any-home-network-prefix", "A free prefix of a pool that the gateway proposes"
    )
    _number(mode, "home-network-prefix-count <prefix_count:NUMBER>", "Home network prefixes of one session")
    for path, syntax, key, text in (
        ("home-network-prefix", "home-network-prefix <prefix:IPV6/LEN>", "prefix", "Prefix always assigned"),
        ("allowed-mag", "allowed-mag <address:IPV6>", "address", "Gateway that may register the mobile node"),
        (
            "allowed-service",
            "allowed-service <service:STRING 1-253>",
            "service",
            "Service Selection that is allowed",
        ),
    ):
        setting(mode, path, syntax, keys=(key,), no=syntax, help={path: text, key: text})
    for path, syntax, text in (
        ("ipv4_address", "ipv4-home-address <ipv4_address:IPV4>", "IPv4 home address always assigned"),
        ("address_pool", "ip address pool name <address_pool:NAME>", "Pool or group of IPv4 home addresses"),
        (
            "prefix_pool",
            "ipv6 address prefix-pool <prefix_pool:NAME>",
            "Pool or group of home network prefixes",
        ),
    ):
        head = syntax.partition(" <")[0]
        words = {**WORDS, head.split()[-1]: text, path: text}
        setting(mode, path, syntax, no=head, default=head, help=words)


def _stored(mode: str, syntax: str, text: str) -> None:
    """A number that is kept and shown, and has no effect yet."""
    _number(mode, syntax, f"{text}; stored for the function to come")


def _heartbeat(mode: str) -> None:
    note = "no heartbeats"
    _number(
        mode,
        "heartbeat interval <heartbeat_interval:NUMBER>",
        "Time between heartbeats; stored for the function to come",
        no="heartbeat",
        note=note,
    )
    _stored(
        mode,
        "heartbeat retransmission max <heartbeat_max_retransmissions:NUMBER>",
        "Requests without an answer until the peer counts as lost",
    )
    _stored(mode, "heartbeat retransmission timeout <heartbeat_timeout:NUMBER>", "Time to wait for an answer")


def _tunnel(mode: str) -> None:
    _number(mode, "path-mtu <path_mtu:NUMBER>", "Largest packet between the anchor and its gateways")
    text = "Traffic class of outer headers; without it that of the packet inside is copied"
    setting(
        mode,
        "tunnel_traffic_class",
        "tunnel-traffic-class <tunnel_traffic_class:NUMBER 0-255>",
        no="tunnel-traffic-class",
        default="tunnel-traffic-class",
        help={
            "tunnel-traffic-class": text,
            "tunnel_traffic_class": "0 to 255; the two ECN bits are not used",
        },
    )


def _bind(mode: str) -> None:
    kind = SETTINGS[mode]
    setting(
        mode,
        "bind",
        "bind address <address:IPV6> [ ipv4-address <ipv4_address:IPV4> ]"
        " [ max-subscribers <max_subscribers:NUMBER> ]",
        no="bind address",
        default="bind address",
        ranges=limits(kind),
        help={
            **WORDS,
            "address": "IPv6 address of the service",
            "ipv4-address": "For IPv4 transport (RFC 5844)",
            "ipv4_address": "IPv4 address of the service",
            "max-subscribers": "Most sessions at a time",
            "max_subscribers": f"0 to 3000000; factory value {factory_value(kind, 'max_subscribers')}",
        },
    )


def _lma() -> None:
    mode = LMA
    _bind(mode)
    _toggle(
        mode,
        "aaa_accounting",
        "aaa accounting",
        "Accounting of the sessions; stored for the function to come",
    )
    _toggle(mode, "alt_coa_allowed", "alt-coa-allowed", "Alternate Care-of Address option for the data plane")
    _heartbeat(mode)
    _toggle(
        mode, "refresh_advice_option", "refresh-advice-option", "Binding Refresh Advice in acknowledgements"
    )
    _number(
        mode, "refresh-interval-percent <refresh_interval_percent:NUMBER>", "Share of the lifetime advised"
    )
    _number(mode, "reg-lifetime <reg_lifetime:NUMBER>", "Longest registration lifetime that is granted")
    _toggle(mode, "revocation", "revocation enable", "Revoking bindings; stored for the function to come")
    _stored(
        mode, "revocation max-retransmission <revocation_max_retransmissions:NUMBER>", "Repeated indications"
    )
    _stored(
        mode, "revocation retransmission-timeout <revocation_timeout:NUMBER>", "Time to wait for an answer"
    )
    _toggle(mode, "sequence_number_validate", "sequence-number-validate", "Sequence numbers must go up")
    _stored(mode, "setup-timeout <setup_timeout:NUMBER>", "Longest time to set up a session")
    _stored(mode, "simul-bindings <simul_bindings:NUMBER>", "Care-of addresses of one mobile node at a time")
    _toggle(
        mode,
        "timestamp_option_validation",
        "timestamp-option-validation",
        "Timestamp option orders the registrations (RFC 5213 section 5.5)",
    )
    _number(
        mode,
        "timestamp-validity-window <timestamp_validity_window:NUMBER>",
        "TimestampValidityWindow (RFC 5213 section 9.1)",
    )
    _toggle(
        mode,
        "mobile_node_generated_timestamp",
        "mobile-node-generated-timestamp",
        "MobileNodeGeneratedTimestampInUse (RFC 5213 section 9.3)",
    )
    _number(
        mode,
        "min-delay-before-bce-delete <min_delay_before_bce_delete:NUMBER>",
        "MinDelayBeforeBCEDelete (RFC 5213 section 9.1)",
    )
    _number(
        mode,
        "max-delay-before-new-bce-assign <max_delay_before_new_bce_assign:NUMBER>",
        "MaxDelayBeforeNewBCEAssign (RFC 5213 section 9.1)",
    )
    _toggle(
        mode, "h_bit_required", "h-bit-required", "IPv4 registrations need the R or H bit as RFC 5844 says"
    )
    _toggle(
        mode,
        "forced_udp_encapsulation",
        "forced-udp-encapsulation",
        "AcceptForcedIPv4UDPEncapsulationRequest (RFC 5844 section 4.4.1)",
    )
    _choice(mode, "gre <gre:disabled|optional|required>", "GRE keys (RFC 5845)")
    _choice(mode, "policy unknown-peer <unknown_peer:reject|discard>", "Gateway that no mag-peer line covers")
    _choice(
        mode, "policy unknown-subscriber <unknown_subscriber:default|reject>", "Mobile node without a profile"
    )
    setting(
        mode,
        "mag-peer",
        "mag-peer <peer:IPV6/ANY> [ prohibited ]",
        keys=("peer",),
        no="mag-peer <peer:IPV6/ANY>",
        help={
            "mag-peer": "Gateways that the anchor knows",
            "peer": "Address, or prefix of addresses",
            "prohibited": "Known but not allowed: answered with status 154",
        },
    )
    _tunnel(mode)


def _mag() -> None:
    mode = MAG
    _bind(mode)
    setting(
        mode,
        "lma",
        "lma-address <lma:IPV6>",
        no="lma-address",
        default="lma-address",
        help={"lma-address": "Anchor of mobile nodes whose line names none", "lma": "IPv6 address"},
    )
    _choice(mode, "encapsulation <encapsulation:gre|ipip>", "Form of the tunnel")
    _heartbeat(mode)
    _number(mode, "max-retransmissions <max_retransmissions:NUMBER>", "Binding Updates sent again")
    _number(mode, "reg-lifetime <reg_lifetime:NUMBER>", "Registration lifetime to ask for")
    _number(
        mode, "renew-percent-time <renew_percent_time:NUMBER>", "Share of the lifetime after which to renew"
    )
    _choice(
        mode,
        "retransmission-policy <retransmission_policy:exponential-backoff|normal>",
        "How the time-out grows",
    )
    _number(
        mode, "retransmission-timeout <retransmission_timeout:NUMBER>", "First time-out of a Binding Update"
    )
    _number(
        mode, "retransmission-maximum <retransmission_maximum:NUMBER>", "Longest time-out of a Binding Update"
    )
    _toggle(mode, "timestamps", "timestamp-option", "Timestamp option in Binding Updates")
    _toggle(mode, "local_routing", "mag-local-routing", "EnableMAGLocalRouting (RFC 5213 section 9.2)")
    _number(mode, "reachable-time <reachable_time:NUMBER>", "Silence of a mobile node until it is probed")
    _number(mode, "probe timeout <probe_timeout:NUMBER>", "Time to wait for an answer")
    _number(mode, "probe count <probe_count:NUMBER>", "Probes until the mobile node counts as gone")
    _number(mode, "router lifetime <router_lifetime:NUMBER>", "Router lifetime that is advertised")
    _number(
        mode,
        "router advertisement interval <router_advertisement_interval:NUMBER>",
        "Time between two advertisements",
    )
    for path, syntax, text in (
        (
            "link_local",
            "fixed-link-local-address <link_local:IPV6>",
            "Router address on every access link (RFC 6543)",
        ),
        (
            "link_layer",
            "fixed-link-layer-address <link_layer:MAC>",
            "Link-layer address of the router (RFC 6543)",
        ),
    ):
        head = syntax.partition(" <")[0]
        setting(mode, path, syntax, default=head, help={head: text, path: text})
    _tunnel(mode)
    _access()


def _access() -> None:
    setting(
        MAG,
        "access-interface",
        "access-interface <name:NAME 1-15> [ access-technology <technology:NUMBER> ]",
        keys=("name",),
        no="access-interface <name:NAME 1-15>",
        ranges=limits(SETTINGS["access-interface"]),
        help={
            "access-interface": "An access link; its device may come and go",
            "name": "Name of the device",
            "access-technology": "Access Technology Type (RFC 5213 section 8.5)",
            "technology": "1 to 255: 3 IEEE 802.3, 4 IEEE 802.11; factory value 4",
        },
    )
    setting(
        MAG,
        "mobile-node",
        "mobile-node { <link_layer:MAC> | any } nai <nai:NAI> [ interface <interface:NAME 1-15> ]"
        " [ lma <lma:IPV6> ] [ ipv4 | ipv4-only ] [ service <service:STRING 1-253> ]"
        " [ prefix <prefix:IPV6/LEN> ]",
        keys=("link_layer", "nai", "interface"),
        no="mobile-node { <link_layer:MAC> | any } nai <nai:NAI> [ interface <interface:NAME 1-15> ]",
        help={
            **WORDS,
            "mobile-node": "Which link-layer address is which subscriber",
            "link_layer": "Link-layer address of the mobile node",
            "any": "Whoever is on the interface",
            "nai": "Network access identifier",
            "interface": "Only on this access interface",
            "lma": "Anchor of this mobile node",
            "ipv4": "Asks for an IPv4 home address too",
            "ipv4-only": "Asks for an IPv4 home address and no prefix",
            "service": "Service Selection to send",
            "prefix": "Home network prefix to ask for",
        },
    )


for _declare in (_navigation, _root, _context, _interface, _subscriber, _lma, _mag):
    _declare()
