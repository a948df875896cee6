"""Configuration of mobile routers (RFC 3963, RFC 6276), and of flows of hosts (RFC 5648)."""

from appliance.cli.commands.configuration import SUBSCRIBER, toggle
from appliance.cli.commands.configuration_hosts import host_choice, host_number, host_toggle
from appliance.cli.grammar import setting

HELP = {
    "delegation-lifetime": "How long a prefix is delegated that nobody renews",
    "mobile-network-prefix": "Network behind this mobile router, and behind no other one",
    "prefix": "IPv6 prefix",
}


def _service() -> None:
    text = "Care-of address that packets take: the lowest binding identifier, or one for each flow"
    host_choice("flow-policy <mipv6_flow_policy:primary|round-robin>", text)
    text = "Mobile routers may register; without it status 140"
    host_toggle("mipv6_mobile_routers", "mobile-routers", text)
    text = "Prefixes of the context's pools for mobile routers that ask by DHCPv6 (RFC 6276)"
    host_toggle("mipv6_prefix_delegation", "dhcpv6-prefix-delegation", text)
    host_number(
        "delegation-lifetime <mipv6_delegation_lifetime:NUMBER>", HELP["delegation-lifetime"], words=HELP
    )


def _subscriber() -> None:
    text = "Registration as a mobile router; without it status 140"
    toggle(SUBSCRIBER, "mobile_router", "permission mobile-router", text)
    syntax = "mobile-network-prefix <prefix:IPV6/LEN>"
    setting(SUBSCRIBER, "mobile-network-prefix", syntax, keys=("prefix",), no=syntax, help=HELP)


for _declare in (_service, _subscriber):
    _declare()
