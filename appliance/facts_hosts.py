"""What ``show lma-service`` and ``show mipv6ha-service`` say about hosts. Pure functions of the settings.

The labels of a home agent and their order up to ``Newcall Policy`` are those of StarOS; the rest is ours.
"""

from appliance.facts_agents import agent_facts
from appliance.facts_quality import congestion
from appliance.facts_words import (
    Facts,
    address,
    amount,
    endpoint,
    listing,
    network,
    revoker_facts,
    status,
    switch,
    traffic_class,
)
from appliance.protocols.mipv6.settings import LONGEST, HomeAgentSettings
from appliance.protocols.pmipv6.host_settings import CARE_OF_ADDRESSES, HostSettings


def host_facts(settings: HostSettings) -> Facts:
    """What an anchor shows of hosts that register themselves; of keys only how many there are."""
    if not settings.mipv6:
        return [("MIPv6 Hosts", "Disabled")]
    return [("MIPv6 Hosts", "Enabled"), *_served(settings)]


def _served(settings: HostSettings) -> Facts:
    several = {"prohibited": "Prohibited", "single": "One in an update", "bulk": "Several in an update"}
    unauthenticated, h_bit = settings.mipv6_unauthenticated, settings.mipv6_h_bit
    return [
        *listing("Home Address Pool", list(settings.mipv6_pools)),
        ("Home Link", settings.mipv6_home_link or "Virtual"),
        ("Home Link Multicast", "Tunnelled" if settings.mipv6_multicast else "Not tunnelled"),
        ("MIPv6 Authentication", settings.mipv6_authentication),
        ("MN-HA Keys", str(len(settings.mipv6_associations))),
        ("Unauthenticated Updates", "Denied" if unauthenticated == "deny" else "Discarded"),
        ("Updates without H-bit", "Denied" if h_bit == "deny" else "Discarded"),
        ("MESG-ID", "Required" if settings.mipv6_mesg_id else "Optional"),
        ("MESG-ID Tolerance", amount(settings.mipv6_tolerance, "second")),
        ("Multiple Care-of Addresses", several[settings.mipv6_multiple]),
        ("Home and Foreign", "Allowed" if settings.mipv6_home_and_foreign else "Prohibited"),
        ("Flow Policy", settings.mipv6_flow_policy.capitalize()),
        ("Mobile Routers", switch(settings.mipv6_mobile_routers)),
        ("Prefix Delegation by DHCPv6", switch(settings.mipv6_prefix_delegation)),
        ("Delegation Lifetime", f"{settings.mipv6_delegation_lifetime} seconds"),
        *_dual_stack(settings),
        *agent_facts(settings),
    ]


def _dual_stack(settings: HostSettings) -> Facts:
    if not settings.mipv6_dual_stack:
        return [("Dual Stack", "Disabled")]
    udp = {"nat-only": "Behind a NAT", "on-request": "Behind a NAT, or on request", "always": "Always"}
    return [
        ("Dual Stack", "Enabled"),
        ("UDP Encapsulation", udp[settings.mipv6_udp]),
        ("NAT Keepalive of Hosts", f"{settings.mipv6_nat_keepalive} seconds"),
    ]


def home_agent_facts(settings: HomeAgentSettings, state: str) -> Facts:
    """Label and value pairs of a home agent in screen order; ``state`` as in ``ServicePort.state``."""
    lifetime = settings.reg_lifetime
    default = settings.default_profile
    return [
        ("Service Name", settings.name),
        ("Context", settings.context),
        ("Bind", "Done" if settings.bound else "Not Done"),
        ("Max Subscribers", str(settings.max_subscribers)),
        ("Local IPv6 Address", address(settings.address)),
        ("Lifetime", "Infinite" if lifetime == LONGEST else amount(lifetime, "second")),
        ("Simul Bindings", str(settings.simul_bindings or CARE_OF_ADDRESSES)),
        ("Setup Timeout", amount(settings.setup_timeout, "second")),
        ("Sequence Number Validation", switch(settings.sequence_number_validate)),
        ("Refresh Advice Option", switch(settings.refresh_advice_option)),
        ("Refresh Interval Percent", str(settings.refresh_interval_percent)),
        ("Timestamp Replay Protection", switch(settings.mipv6_mesg_id)),
        ("Timestamp Tolerance", amount(settings.mipv6_tolerance, "second")),
        ("Default Subscriber", settings.default_subscriber or (default.name if default else "None")),
        ("AAA accounting", switch(settings.aaa_accounting)),
        ("Service Status", status(settings, state)),
        ("Newcall Policy", settings.newcall_policy.upper()),
        ("Local IPv4 Address", address(settings.ipv4_address)),
        ("AAA Group", settings.aaa_group or "None"),
        ("AAA Authentication Endpoint", endpoint(settings, accounting=False)),
        ("AAA Accounting Endpoint", endpoint(settings, accounting=True)),
        ("Unknown Subscriber Policy", settings.unknown_subscriber.capitalize()),
        *_served(settings),
        *revoker_facts(settings),
        ("Max Memory", f"{settings.max_memory} MiB" if settings.max_memory else "None"),
        ("Max Pending Registrations", str(settings.max_pending)),
        ("Congestion Control", congestion(settings)),
        ("Path MTU", str(settings.path_mtu)),
        ("Tunnel Traffic Class", traffic_class(settings.tunnel_traffic_class)),
        *listing(
            "IPv6 Pool",
            [f"{pool.name} {network(pool.prefix, pool.prefix_length)}" for pool in settings.prefix_pools],
        ),
        *listing(
            "IP Pool",
            [f"{pool.name} {address(pool.first)} - {address(pool.last)}" for pool in settings.address_pools],
        ),
        ("Subscribers Configured", str(len(settings.profiles))),
    ]
