"""Configuration commands for a real home link beside its device (RFC 6275 section 10.4), of both services."""

from appliance.cli.commands.configuration_hosts import host_toggle

host_toggle(
    "mipv6_multicast",
    "home-link-multicast",
    "Hosts that are away may have groups of the home link by MLD (RFC 6275 section 10.4.3)",
)
