"""Configuration of what updates carry beside the plain registration.

Redirection and load (RFC 6463), services (RFC 5149), vendor options (RFC 5094), access networks (RFC 6757),
user-plane address (RFC 7389), delegated prefixes (RFC 7148).
"""

from appliance.cli.commands.configuration import (
    CONTEXT,
    LMA,
    MAG,
    SERVICE_PROFILE,
    SUBSCRIBER,
    WORDS,
    choice,
    number,
    toggle,
)
from appliance.cli.grammar import setting

HELP = {
    **WORDS,
    "enable": "Switches it on",
    "load-information": "Load Information in acknowledgements (RFC 6463 section 4.3)",
    "prefix-delegation": "Prefixes for the networks behind mobile routers (RFC 7148)",
    "redirect": "Assignment of new mobile nodes to other anchors (RFC 6463)",
    "service": "Service Selection (RFC 5149)",
    "user-plane": "Tunnels that end at another address than signalling (RFC 7389)",
    "vendor-option": "Vendor Specific mobility option to send (RFC 5094)",
}


def _service_profiles() -> None:
    setting(
        CONTEXT,
        "service-profile",
        "service-profile <name:STRING 1-253>",
        keys=("name",),
        enters=SERVICE_PROFILE,
        no="service-profile <name:STRING 1-253>",
        help={"service-profile": "What holds for the sessions of a service", "name": "Service Selection"},
    )
    mode = SERVICE_PROFILE
    toggle(mode, "ipv6", "ipv6 access", "A home network prefix, if the subscriber may have one")
    toggle(mode, "ipv4", "ipv4 access", "An IPv4 home address, if the subscriber may have one")
    for path, syntax, text in (
        ("address_pool", "ip address pool name <address_pool:NAME>", "Pool or group of IPv4 home addresses"),
        ("prefix_pool", "ipv6 address prefix-pool <prefix_pool:NAME>", "Pool or group of home prefixes"),
        ("service_lifetime", "reg-lifetime <service_lifetime:NUMBER 4-262140>", "Longest lifetime, seconds"),
        ("qos_profile", "qos-profile <qos_profile:NAME>", "Name that the screens of sessions show"),
    ):
        head = syntax.partition(" <")[0]
        words = {**HELP, head.split()[-1]: text, path: text}
        setting(mode, path, syntax, no=head, default=head, help=words)


def _subscriber() -> None:
    mode = SUBSCRIBER
    toggle(mode, "delegation", "permission prefix-delegation", "Delegated prefixes; without it status 177")
    setting(
        mode,
        "delegated-prefix",
        "delegated-prefix <prefix:IP/LEN>",
        keys=("prefix",),
        no="delegated-prefix <prefix:IP/LEN>",
        help={"delegated-prefix": "Delegated prefix always assigned", "prefix": "IPv6 or IPv4 prefix"},
    )
    for path, syntax, text in (
        ("default_service", "default-service <default_service:STRING 1-253>", "Service if none is selected"),
        ("delegation_pool", "prefix-delegation pool <delegation_pool:NAME>", "Pool of delegated prefixes"),
    ):
        head = syntax.partition(" <")[0]
        setting(
            mode, path, syntax, no=head, default=head, help={**HELP, head.split()[-1]: text, path: text}
        )


def _vendor_option(mode: str) -> None:
    key = "vendor-option vendor <vendor:NUMBER 1-4294967295> subtype <subtype:NUMBER 0-255>"
    setting(
        mode,
        "vendor-option",
        f"{key} hex <data:OCTETS 1-240> [ nai <nai:NAI> ]",
        keys=("vendor", "subtype", "nai"),
        no=f"{key} [ nai <nai:NAI> ]",
        help={
            **HELP,
            "vendor": "Private enterprise number",
            "subtype": "Sub-type of that vendor",
            "hex": "Its data",
            "data": "Pairs of hexadecimal digits",
            "nai": "Only for one mobile node",
        },
    )


def _lma() -> None:
    mode = LMA
    setting(
        mode,
        "redirect target",
        "redirect target <address:IP> [ also <also:IP> ]",
        keys=("address",),
        no="redirect target <address:IP>",
        help={
            **HELP,
            "target": "Anchor that new mobile nodes are assigned to",
            "address": "Its address, of the family of the signalling",
            "also": "The same anchor over the other family, for gateways of that",
        },
    )
    choice(
        mode,
        "redirect policy <redirect_policy:load|always>",
        "Whom to assign: new ones above the threshold, or all, and serve nobody here",
        words=HELP,
    )
    text = "Sessions from which on new mobile nodes are assigned to others"
    number(mode, "redirect threshold <redirect_threshold:NUMBER>", text, words=HELP)
    text = "Silence of an anchor elsewhere until the next is asked"
    number(mode, "redirect timeout <redirect_timeout:NUMBER>", text, words=HELP)
    text = "Mobile nodes that another lma-service of this process assigns to this one"
    toggle(mode, "redirect_accept", "redirect accept", text, words=HELP)
    toggle(mode, "load_information", "load-information enable", "Told in every acknowledgement", words=HELP)
    text = "Priority among anchors; lower is better"
    number(mode, "load-information priority <load_priority:NUMBER>", text, words=HELP)
    text = "Maximum Capacity; 0: not known"
    number(mode, "load-information capacity <load_capacity:NUMBER>", text, words=HELP)
    setting(
        mode,
        "user_plane_address",
        "user-plane address <user_plane_address:IPV6> [ ipv4-address <user_plane_ipv4:IPV4> ]",
        no="user-plane address",
        default="user-plane address",
        help={
            **HELP,
            "address": "Where tunnels end; gateways that do not know the option use the bind address",
            "user_plane_address": "IPv6 address of this host",
            "ipv4-address": "For tunnels over IPv4",
            "user_plane_ipv4": "IPv4 address of this host",
        },
    )
    text = "Domain-wide-LMA-UPA-Support: told to gateways that do not ask"
    toggle(mode, "user_plane_domain_wide", "user-plane domain-wide", text, words=HELP)
    toggle(mode, "prefix_delegation", "prefix-delegation", "Options that ask for them are answered")
    choice(mode, "policy unknown-service <unknown_service:accept|reject>", "Service without a profile")
    _vendor_option(mode)


def _mag() -> None:
    mode = MAG
    toggle(mode, "redirect", "redirect enable", "Anchors may send new mobile nodes elsewhere", words=HELP)
    text = "Also when it is not known whether a mobile node is new (Handoff Indicator 4)"
    toggle(mode, "redirect_unknown_handoff", "redirect unknown-handoff", text, words=HELP)
    setting(
        mode,
        "redirect allow",
        "redirect allow <prefix:IP/ANY>",
        keys=("prefix",),
        no="redirect allow <prefix:IP/ANY>",
        help={
            **HELP,
            "allow": "Anchors that may be named; without such a line any",
            "prefix": "Address or prefix",
        },
    )
    toggle(mode, "user_plane", "user-plane enable", "Asks anchors for it, and uses it", words=HELP)
    text = "Domain-wide-LMA-UPA-Support: used without asking"
    toggle(mode, "user_plane_domain_wide", "user-plane domain-wide", text, words=HELP)
    text = "An IPv6 prefix is asked for when a mobile node wants one by DHCPv6"
    toggle(mode, "delegation_on_demand", "prefix-delegation dhcpv6", text, words=HELP)
    syntax = "prefix-delegation nai <nai:NAI> { <family:ipv6|ipv4> | prefix <prefix:IP/LEN> }"
    setting(
        mode,
        "prefix-delegation",
        syntax,
        keys=("nai", "family", "prefix"),
        no=syntax,
        help={
            **HELP,
            "nai": "Mobile router",
            "family": "Any prefix of this family",
            "prefix": "This IPv6 or IPv4 prefix",
        },
    )
    _vendor_option(mode)
    _access_network()


def _access_network() -> None:
    setting(
        MAG,
        "access-network",
        "access-network <interface:NAME 1-15> [ network-name <network:STRING 1-29> ]"
        " [ access-point <access_point:STRING 1-29> ] [ geo-location <latitude:DEGREES> <longitude:DEGREES> ]"
        " [ operator { enterprise <enterprise:NUMBER 1-4294967295> | realm <realm:IDENTITY> } ]",
        keys=("interface",),
        no="access-network <interface:NAME 1-15>",
        help={
            **HELP,
            "access-network": "What anchors are told of an access link (RFC 6757)",
            "interface": "Name of the access interface",
            "network-name": "SSID, or PLMN as six digits",
            "network": "With the access point at most 29 octets of UTF-8",
            "access-point": "Name or address of the access point",
            "access_point": "Text",
            "geo-location": "Where it is (WGS 84)",
            "latitude": "Degrees, -90 to 90",
            "longitude": "Degrees, -180 to 180",
            "operator": "Who operates it",
            "enterprise": "By private enterprise number",
            "realm": "By realm",
        },
    )


for _declare in (_service_profiles, _subscriber, _lma, _mag):
    _declare()
