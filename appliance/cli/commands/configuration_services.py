"""Configuration commands of ``lma-service``, ``mipv6ha-service`` and ``mag-service``."""

from appliance.cli.commands.configuration import CONTEXT, HOME_AGENT, LMA, MAG, WORDS, choice, number, toggle
from appliance.cli.grammar import setting
from appliance.config_peers import GATEWAY_WORDS, PEER_HELP, SWITCHES, optional
from appliance.config_tree import SETTINGS, factory_value, limits

_STRANGERS = "policy unknown-subscriber <unknown_subscriber:default|reject>"
_PROXY = "For IPv4 transport (RFC 5844); alone where the transport network has no IPv6"
#: What an IPv4 address of a service is for.
_OVER_IPV4 = {LMA: _PROXY, MAG: _PROXY, HOME_AGENT: "For hosts in IPv4 networks (RFC 5555)"}


def _tunnel(mode: str) -> None:
    number(mode, "path-mtu <path_mtu:NUMBER>", "Largest packet between the two ends of a tunnel")
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
    syntax = "bind address <address:IPV6> [ ipv4-address <ipv4_address:IPV4> ]"
    if mode != HOME_AGENT:
        syntax = f"bind {{ {syntax.partition(' ')[2]} | ipv4-address <ipv4_address:IPV4> }}"
    setting(
        mode,
        "bind",
        f"{syntax} [ max-subscribers <max_subscribers:NUMBER> ]",
        no="bind address",
        default="bind address",
        ranges=limits(kind),
        help={
            **WORDS,
            "address": "IPv6 address of the service",
            "ipv4-address": _OVER_IPV4[mode],
            "ipv4_address": "IPv4 address of the service",
            "max-subscribers": "Most sessions at a time",
            "max_subscribers": f"0 to {limits(kind)['max_subscribers'][1]}; "
            f"factory value {factory_value(kind, 'max_subscribers')}",
        },
    )


def _aaa(mode: str) -> None:
    toggle(
        mode,
        "aaa_accounting",
        "aaa accounting",
        "Accounting of the sessions, if the AAA group has servers for it",
    )
    setting(
        mode,
        "aaa_group",
        "aaa group <aaa_group:NAME>",
        no="aaa group",
        default="aaa group",
        help={
            **WORDS,
            "group": "Servers that are asked about every mobile node and told of every session",
            "aaa_group": "Name of an AAA group of this context",
        },
    )


def _advice(mode: str) -> None:
    toggle(
        mode, "refresh_advice_option", "refresh-advice-option", "Binding Refresh Advice in acknowledgements"
    )
    number(
        mode, "refresh-interval-percent <refresh_interval_percent:NUMBER>", "Share of the lifetime advised"
    )


def _patience(mode: str) -> None:
    toggle(mode, "sequence_number_validate", "sequence-number-validate", "Sequence numbers must go up")
    number(
        mode,
        "setup-timeout <setup_timeout:NUMBER>",
        "Longest time that a registration waits for the AAA server",
    )


def _lma() -> None:
    mode = LMA
    _bind(mode)
    _aaa(mode)
    toggle(mode, "alt_coa_allowed", "alt-coa-allowed", "Alternate Care-of Address option for the data plane")
    _advice(mode)
    number(mode, "reg-lifetime <reg_lifetime:NUMBER>", "Longest registration lifetime that is granted")
    _patience(mode)
    number(
        mode,
        "simul-bindings <simul_bindings:NUMBER>",
        "Sessions of one mobile node, and care-of addresses of one host, at a time",
        note="one session for each of its interfaces, 32 at most; 3 care-of addresses",
    )
    toggle(
        mode,
        "timestamp_option_validation",
        "timestamp-option-validation",
        "Timestamp option orders the registrations (RFC 5213 section 5.5)",
    )
    number(
        mode,
        "timestamp-validity-window <timestamp_validity_window:NUMBER>",
        "TimestampValidityWindow (RFC 5213 section 9.1)",
    )
    toggle(
        mode,
        "mobile_node_generated_timestamp",
        "mobile-node-generated-timestamp",
        "MobileNodeGeneratedTimestampInUse (RFC 5213 section 9.3)",
    )
    number(
        mode,
        "min-delay-before-bce-delete <min_delay_before_bce_delete:NUMBER>",
        "MinDelayBeforeBCEDelete (RFC 5213 section 9.1)",
    )
    number(
        mode,
        "max-delay-before-new-bce-assign <max_delay_before_new_bce_assign:NUMBER>",
        "MaxDelayBeforeNewBCEAssign (RFC 5213 section 9.1)",
    )
    toggle(
        mode, "h_bit_required", "h-bit-required", "IPv4 registrations need the R or H bit as RFC 5844 says"
    )
    toggle(
        mode,
        "forced_udp_encapsulation",
        "forced-udp-encapsulation",
        "AcceptForcedIPv4UDPEncapsulationRequest (RFC 5844 section 4.4.1)",
    )
    choice(mode, "gre <gre:disabled|optional|required>", "GRE keys (RFC 5845)")
    choice(mode, "policy unknown-peer <unknown_peer:reject|discard>", "Gateway that no mag-peer line covers")
    choice(mode, _STRANGERS, "Mobile node without a profile")
    setting(
        mode,
        "mag-peer",
        f"mag-peer <peer:IP/ANY> [ prohibited ] {SWITCHES} {optional(GATEWAY_WORDS)}",
        keys=("peer",),
        no="mag-peer <peer:IP/ANY>",
        help={
            "mag-peer": "Gateways that the anchor knows",
            "peer": "Address, or prefix of addresses",
            "prohibited": "Known but not allowed: answered with status 154",
            **PEER_HELP,
            **GATEWAY_WORDS,
        },
    )
    _tunnel(mode)


def _home_agent() -> None:
    mode = HOME_AGENT
    _bind(mode)
    _aaa(mode)
    setting(
        mode,
        "default_subscriber",
        "default subscriber <default_subscriber:NAI>",
        no="default subscriber",
        help={
            **WORDS,
            "default": "What holds where nothing else is said",
            "subscriber": "Hosts without a profile of their own",
            "default_subscriber": "Name of a subscriber of the context; factory: subscriber default",
        },
    )
    _advice(mode)
    setting(
        mode,
        "reg_lifetime",
        "reg-lifetime <reg_lifetime:NUMBER>",
        toggle=True,
        no="reg-lifetime",
        default="reg-lifetime",
        ranges=limits(SETTINGS[mode]),
        help={
            "reg-lifetime": "Longest registration lifetime that is granted; 'no': what a host asks for",
            "reg_lifetime": "1 to 262140 seconds; factory value 600",
        },
    )
    _patience(mode)
    number(
        mode,
        "simul-bindings <simul_bindings:NUMBER>",
        "Care-of addresses of one host at a time (RFC 5648)",
        note="3",
    )
    choice(mode, _STRANGERS, "Host without a profile")
    _tunnel(mode)


def _mag() -> None:
    mode = MAG
    _bind(mode)
    setting(
        mode,
        "lma",
        "lma-address <lma:IP>",
        no="lma-address",
        default="lma-address",
        help={
            "lma-address": "Anchor of mobile nodes whose line names none",
            "lma": "IPv6 address; an IPv4 address is reached over IPv4 transport",
        },
    )
    choice(mode, "encapsulation <encapsulation:gre|ipip>", "Form of the tunnel")
    number(mode, "max-retransmissions <max_retransmissions:NUMBER>", "Binding Updates sent again")
    number(mode, "reg-lifetime <reg_lifetime:NUMBER>", "Registration lifetime to ask for")
    number(
        mode, "renew-percent-time <renew_percent_time:NUMBER>", "Share of the lifetime after which to renew"
    )
    choice(
        mode,
        "retransmission-policy <retransmission_policy:exponential-backoff|normal>",
        "How the time-out grows",
    )
    number(
        mode, "retransmission-timeout <retransmission_timeout:NUMBER>", "First time-out of a Binding Update"
    )
    number(
        mode, "retransmission-maximum <retransmission_maximum:NUMBER>", "Longest time-out of a Binding Update"
    )
    toggle(mode, "timestamps", "timestamp-option", "Timestamp option in Binding Updates")
    toggle(mode, "local_routing", "mag-local-routing", "EnableMAGLocalRouting (RFC 5213 section 9.2)")
    number(mode, "reachable-time <reachable_time:NUMBER>", "Silence of a mobile node until it is probed")
    number(mode, "probe timeout <probe_timeout:NUMBER>", "Time to wait for an answer")
    number(mode, "probe count <probe_count:NUMBER>", "Probes until the mobile node counts as gone")
    number(mode, "router lifetime <router_lifetime:NUMBER>", "Router lifetime that is advertised")
    number(
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
        " [ lma <lma:IP> ] [ ipv4 | ipv4-on-demand | ipv4-only ] [ service <service:STRING 1-253> ]"
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
            "ipv4-on-demand": "Asks for one when the mobile node does so by DHCP",
            "ipv4-only": "Asks for an IPv4 home address and no prefix",
            "service": "Service Selection to send",
            "prefix": "Home network prefix to ask for",
        },
    )


def _openers() -> None:
    for mode in (LMA, HOME_AGENT, MAG):
        setting(
            CONTEXT,
            mode,
            f"{mode} <name:NAME>",
            keys=("name",),
            enters=mode,
            no=f"{mode} <name:NAME>",
            help={"name": "Name of the service"},
        )


for _declare in (_openers, _lma, _home_agent, _mag):
    _declare()
