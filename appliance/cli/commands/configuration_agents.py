"""Configuration commands about what hosts are told beside acknowledgements: other home agents, prefixes, home
addresses (RFC 6275 sections 7, 10.5 and 10.6, RFC 5142), and that they have to use IPsec."""

from appliance.cli.commands.configuration import LMA, WORDS, choice, number, toggle
from appliance.cli.grammar import setting

MODES = (LMA,)
WORDS_OF_AGENTS = {
    **WORDS,
    "mipv6": "Bindings of hosts that do their own mobility (RFC 6275)",
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


def _service(mode: str) -> None:
    words = WORDS_OF_AGENTS
    for field, syntax, text in (
        (
            "mipv6_discovery",
            "mipv6 home-agent-discovery",
            "Home Agent Address Discovery Requests are answered (RFC 6275 section 10.5)",
        ),
        (
            "mipv6_advertise",
            "mipv6 router-advertisement",
            "Router Advertisements with the H flag on the home link",
        ),
        (
            "mipv6_assign",
            "mipv6 home-address-assignment",
            "A host that asks by the unspecified address gets a home address",
        ),
        (
            "mipv6_require_ipsec",
            "mipv6 require ipsec",
            "Only what the kernel's IPsec has protected is heard of hosts",
        ),
    ):
        toggle(mode, field, syntax, text, words=words)
    agent = "mipv6 home-agent <address:IPV6>"
    setting(
        mode,
        "mipv6 home-agent",
        f"{agent} [ preference <preference:NUMBER 0-65535> ]",
        keys=("address",),
        no=agent,
        help={**words, "address": "Its address", "preference": "Preference: higher is better"},
    )
    for syntax, text in (
        ("mipv6 home-agent-preference <mipv6_agent_preference:NUMBER>", "Preference of this home agent"),
        ("mipv6 home-agent-lifetime <mipv6_agent_lifetime:NUMBER>", "Lifetime that it advertises"),
        (
            "mipv6 router-advertisement interval <mipv6_advertise_interval:NUMBER>",
            "Longest time between two advertisements",
        ),
        ("mipv6 prefix-lifetime valid <mipv6_prefix_valid:NUMBER>", "Valid lifetime of the home prefixes"),
        (
            "mipv6 prefix-lifetime preferred <mipv6_prefix_preferred:NUMBER>",
            "Preferred lifetime of the home prefixes",
        ),
        (
            "mipv6 binding-refresh-request before <mipv6_refresh_request:NUMBER>",
            "How long before the end of its lifetime a host is asked; 0: never",
        ),
        ("mipv6 home-agent-switch rate <mipv6_switch_rate:NUMBER>", "Hosts that are told in a second"),
    ):
        number(mode, syntax, text, words=words)
    choice(
        mode,
        "mipv6 prefix-discovery <mipv6_prefix_discovery:off|solicited|unsolicited>",
        "Mobile Prefix Advertisements: none, answers only, and when prefixes change",
        words=words,
    )


for _mode in MODES:
    _service(_mode)
