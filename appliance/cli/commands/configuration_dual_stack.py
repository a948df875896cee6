"""Configuration commands for hosts in IPv4 networks and IPv4 home addresses (RFC 5555)."""

from appliance.cli.commands.configuration_hosts import host_choice, host_number, host_toggle

host_toggle("mipv6_dual_stack", "dual-stack", "IPv4 home addresses, and hosts in IPv4 networks (RFC 5555)")
host_choice(
    "udp-encapsulation <mipv6_udp:nat-only|on-request|always>",
    "Data of hosts in IPv4 networks goes in UDP: where there is a NAT, also if the host asks for it, always",
)
host_number(
    "nat-keepalive <mipv6_nat_keepalive:NUMBER>",
    "How often a host behind a NAT is told to send an update",
)
