"""Configuration commands of ``mn-client``: a mobile node (RFC 6275, 4285, 5555, 5648, 3963)."""

from appliance.cli.commands.configuration import CONTEXT, MN, WORDS, choice, number, toggle
from appliance.cli.grammar import setting
from appliance.config_tree import SETTINGS, limits

HELP = {
    **WORDS,
    "any": "Whichever the home agent gives",
    "home-agent": "Where the mobile node registers",
    "home-address": "The address that stays; without it one is made of the prefix, or asked for",
    "home-prefix": "The home network; on a link with this prefix the node is at home",
    "ipv4-home-address": "Asks for an IPv4 home address too (RFC 5555)",
    "interface": "A link that may be used; its device may come and go",
    "mn-aaa": "Key shared with the AAA server, for the MN-AAA option (RFC 4285)",
    "mn-ha-spi": "Key shared with the home agent (RFC 4285 section 5.1)",
    "route-optimization": "Traffic straight to correspondent nodes that can do it (RFC 6275 section 11.6)",
    "secret": "The key: text, or 0x and hexadecimal digits",
    "key": "4 to 127 characters; RFC 4285 wants 16 octets",
    "spi-number": "Number of the key; the first line's is used to send",
    "spi": "256 to 4294967295",
}
SPI = "mn-ha-spi spi-number <spi:NUMBER 256-4294967295>"


def _one(path: str, syntax: str, head: str, **help: str) -> None:
    """A line that there is once, and its ``no`` and ``default`` forms."""
    setting(MN, path, syntax, no=head, default=head, help={**HELP, **help}, ranges=limits(SETTINGS[MN]))


def _many(path: str, syntax: str, key: str, no: str = "", **help: str) -> None:
    """A line that there may be several of."""
    setting(
        MN,
        path,
        syntax,
        keys=(key,),
        no=no or syntax,
        help={**HELP, **help},
        ranges=limits(SETTINGS["mn-interface"]),
    )


def _home() -> None:
    _one(
        "home_agent",
        "home-agent address <home_agent:IPV6> [ ipv4-address <home_agent_ipv4:IPV4> ]",
        "home-agent address",
        address="Its IPv6 address; without this line it is looked for on the home prefix (RFC 6275 11.4.1)",
        home_agent="IPv6 address",
        **{"ipv4-address": "For links without IPv6 (RFC 5555)", "home_agent_ipv4": "IPv4 address"},
    )
    _many(
        "home-agent alternate",
        "home-agent alternate <address:IPV6>",
        "address",
        alternate="Asked when the others do not answer",
        address="IPv6 address",
    )
    _one(
        "home_address",
        "home-address <home_address:IPV6>",
        "home-address",
        home_address="IPv6 address",
    )
    _one("home-prefix", "home-prefix <prefix:IPV6/LEN>", "home-prefix", prefix="IPv6 prefix")
    _one(
        "interface-identifier",
        "interface-identifier <identifier:IPV6>",
        "interface-identifier",
        **{
            "interface-identifier": "Of a home address that is made of the home prefix; random without it",
            "identifier": "The last 64 bits, written as an address: ::1:2:3:4",
        },
    )
    _one(
        "ipv4-home-address",
        "ipv4-home-address { any | <address:IPV4> }",
        "ipv4-home-address",
        address="The one to ask for",
    )
    _one("nai", "nai <nai:NAI>", "nai", nai="Network access identifier of the mobile node (RFC 4283)")
    _one(
        "service-selection",
        "service-selection <selection:STRING 1-253>",
        "service-selection",
        **{"service-selection": "Service that is asked for (RFC 5149)", "selection": "Its name"},
    )
    choice(
        MN,
        "authentication <authentication:mn-ha|mn-aaa-initial|mn-aaa-always|none>",
        "Authentication options in updates",
        words=HELP,
    )
    setting(MN, "mn-ha-spi", f"{SPI} secret <key:SECRET>", keys=("spi",), no=SPI, help=HELP)
    _one("mn-aaa", "mn-aaa secret <key:SECRET>", "mn-aaa")
    toggle(
        MN, "mesg_id", "timestamp-replay-protection", "Sends the MESG-ID option (RFC 4285 section 6)", HELP
    )


def _registration() -> None:
    number(MN, "reg-lifetime <lifetime:NUMBER>", "Registration lifetime to ask for")
    number(MN, "renew-percent-time <refresh_percent:NUMBER>", "Share of the lifetime after which to renew")
    number(
        MN, "initial-retransmission-timeout <retransmission_first:NUMBER>", "First time-out without a binding"
    )
    number(MN, "retransmission-timeout <retransmission_initial:NUMBER>", "First time-out with a binding")
    number(MN, "retransmission-maximum <retransmission_maximum:NUMBER>", "Longest time-out of an update")
    number(MN, "max-retransmissions <max_retransmissions:NUMBER>", "Repetitions to one home agent")
    number(MN, "retry-interval <retry_interval:NUMBER>", "Time until a denied registration is tried again")
    toggle(
        MN,
        "link_local",
        "link-local-compatibility",
        "The home agent defends the link-local address too (L flag)",
    )
    toggle(
        MN,
        "alternate_care_of",
        "alternate-care-of-address",
        "Sends the Alternate Care-of Address option always",
    )


def _links() -> None:
    _many(
        "mn-interface",
        "interface <name:NAME 1-15> [ preference <preference:NUMBER> ] [ bid <bid:NUMBER> ]",
        "name",
        "interface <name:NAME 1-15>",
        name="Name of the device",
        preference="0 to 255, the highest of those that can be used is taken; factory value 100",
        bid="Binding identifier (RFC 5648), 1 to 65535; its place in the list if not given",
    )
    toggle(
        MN,
        "multiple_care_of",
        "multiple-care-of-addresses",
        "All interfaces are registered at once (RFC 5648)",
    )
    toggle(MN, "bulk", "bulk-registration", "All care-of addresses in one update")
    toggle(MN, "force_udp", "force-udp-encapsulation", "UDP over IPv4 even without a NAT (F flag)")
    toggle(MN, "tlv", "tlv-header", "Ask for the TLV header in UDP (T flag)")
    number(MN, "nat-keepalive <nat_keepalive:NUMBER>", "Time between keep-alives if none is named to us")
    toggle(MN, "mobile_router", "mobile-router", "The node is a mobile router (RFC 3963)")
    choice(
        MN,
        "mobile-router-mode <router_mode:explicit|implicit>",
        "Whether updates name the networks, or the home agent knows them (RFC 3963 section 5.2)",
    )
    _many(
        "mobile-network-prefix",
        "mobile-network-prefix <prefix:IPV6/LEN>",
        "prefix",
        **{
            "mobile-network-prefix": "A network behind the router; packets of no such line are not tunnelled",
            "prefix": "IPv6 prefix",
        },
    )


def _correspondents() -> None:
    mode, head = MN, "route-optimization"
    toggle(mode, "route_optimization", head, HELP[head], words=HELP)
    number(
        mode,
        f"{head} max-correspondents <max_correspondents:NUMBER>",
        "Correspondent nodes at a time",
        words=HELP,
    )
    number(mode, f"{head} lifetime <correspondent_lifetime:NUMBER>", "Lifetime of their bindings", words=HELP)
    number(
        mode, f"{head} idle-time <correspondent_idle:NUMBER>", "Silence until one is given up", words=HELP
    )
    number(
        mode,
        f"{head} retry-interval <correspondent_retry:NUMBER>",
        "How long one that cannot do it is left alone",
        words=HELP,
    )
    toggle(
        mode, "correspondent_acknowledgement", f"{head} acknowledgement", "They are asked to answer", HELP
    )


def _rest() -> None:
    toggle(
        MN,
        "prefix_discovery",
        "mobile-prefix-discovery",
        "Asks for the prefixes of the home network (RFC 6275 section 11.4.2)",
    )
    number(MN, "path-mtu <path_mtu:NUMBER>", "Largest packet between the mobile node and its home agent")
    text = "Traffic class of outer headers; without it that of the packet inside is copied"
    _one(
        "tunnel_traffic_class",
        "tunnel-traffic-class <tunnel_traffic_class:NUMBER 0-255>",
        "tunnel-traffic-class",
        **{"tunnel-traffic-class": text, "tunnel_traffic_class": "0 to 255; the two ECN bits are not used"},
    )
    toggle(MN, "shutdown", "shutdown", "De-registers and stays so")


setting(
    CONTEXT,
    MN,
    "mn-client <name:NAME>",
    keys=("name",),
    enters=MN,
    no="mn-client <name:NAME>",
    help={"name": "Name of the mobile node"},
)
for _declare in (_home, _registration, _links, _correspondents, _rest):
    _declare()
