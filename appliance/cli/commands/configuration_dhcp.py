"""Configuration commands of ``mag-service`` for the DHCP clients on its access links."""

from appliance.cli.commands.configuration import LMA, MAG, WORDS, choice, number
from appliance.cli.grammar import setting


def _declare() -> None:
    choice(LMA, "dhcp-mode <dhcp_mode:server|relay>", "What gateways are for DHCP clients (RFC 5844 3.3.4)")
    setting(
        MAG,
        "dhcp relay-server",
        "dhcp relay-server <dhcp_relay_server:IPV4>",
        no="dhcp relay-server",
        default="dhcp relay-server",
        help={
            **WORDS,
            "relay-server": "Where to relay to for anchors that say so",
            "dhcp_relay_server": "IPv4 address of the DHCP server",
        },
    )
    number(MAG, "dhcp lease-time <dhcp_lease_time:NUMBER>", "How long a mobile node may keep its address")
    setting(
        MAG,
        "dhcp dns-server",
        "dhcp dns-server <server:IPV4>",
        keys=("server",),
        no="dhcp dns-server <server:IPV4>",
        help={
            **WORDS,
            "dns-server": "A DNS server; several lines, the first is asked first",
            "server": "IPv4 address",
        },
    )
    setting(
        MAG,
        "dhcp domain-name",
        "dhcp domain-name <dhcp_domain_name:IDENTITY>",
        no="dhcp domain-name",
        default="dhcp domain-name",
        help={
            **WORDS,
            "domain-name": "Domain that a client completes names with",
            "dhcp_domain_name": "Domain name",
        },
    )


_declare()
