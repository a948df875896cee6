"""Configuration commands about what hosts are told beside acknowledgements: other home agents, prefixes, home
addresses (RFC 6275 sections 7, 10.5 and 10.6, RFC 5142), and that they have to use IPsec."""

from appliance.cli.commands.configuration_hosts import host_choice, host_number, host_setting, host_toggle

_WORDS = {
    "home-agent": "Another home agent that hosts may take",
    "preference": "Higher is better",
    "prefix-lifetime": "How long the home prefixes are good for",
    "valid": "Valid lifetime",
    "preferred": "Preferred lifetime; a binding that is granted for longer gets status 1",
    "binding-refresh-request": "Hosts are asked to refresh their bindings",
    "before": "So long before the lifetime ends",
    "home-agent-switch": "Hosts are sent to other home agents (RFC 5142)",
    "rate": "How many hosts are told in a second",
    "require": "What is heard of hosts",
    "router-advertisement": "Router Advertisements with the H flag on the home link",
    "interval": "Longest time between two of them",
}


def _service() -> None:
    for field, syntax, text in (
        (
            "mipv6_discovery",
            "home-agent-discovery",
            "Home Agent Address Discovery Requests are answered (RFC 6275 section 10.5)",
        ),
        (
            "mipv6_advertise",
            "router-advertisement",
            "Router Advertisements with the H flag on the home link",
        ),
        (
            "mipv6_assign",
            "home-address-assignment",
            "A host that asks by the unspecified address gets a home address",
        ),
        (
            "mipv6_require_ipsec",
            "require ipsec",
            "Only what the kernel's IPsec has protected is heard of hosts",
        ),
    ):
        host_toggle(field, syntax, text, _WORDS)
    agent = "home-agent <address:IPV6>"
    host_setting(
        "mipv6 home-agent",
        f"{agent} [ preference <preference:NUMBER 0-65535> ]",
        keys=("address",),
        no=agent,
        help={**_WORDS, "address": "Its address", "preference": "Preference: higher is better"},
    )
    for syntax, text in (
        ("home-agent-preference <mipv6_agent_preference:NUMBER>", "Preference of this home agent"),
        ("home-agent-lifetime <mipv6_agent_lifetime:NUMBER>", "Lifetime that it advertises"),
        (
            "router-advertisement interval <mipv6_advertise_interval:NUMBER>",
            "Longest time between two advertisements",
        ),
        ("prefix-lifetime valid <mipv6_prefix_valid:NUMBER>", "Valid lifetime of the home prefixes"),
        (
            "prefix-lifetime preferred <mipv6_prefix_preferred:NUMBER>",
            "Preferred lifetime of the home prefixes",
        ),
        (
            "binding-refresh-request before <mipv6_refresh_request:NUMBER>",
            "How long before the end of its lifetime a host is asked; 0: never",
        ),
        ("home-agent-switch rate <mipv6_switch_rate:NUMBER>", "Hosts that are told in a second"),
    ):
        host_number(syntax, text, words=_WORDS)
    host_choice(
        "prefix-discovery <mipv6_prefix_discovery:off|solicited|unsolicited>",
        "Mobile Prefix Advertisements: none, answers only, and when prefixes change",
        words=_WORDS,
    )


_service()
