"""What the screens of services say about what hosts are told beside acknowledgements."""

from ipaddress import ip_address

from appliance.facts_words import Facts, listing, switch
from appliance.protocols.pmipv6.agent_settings import AgentSettings


def agent_facts(settings: AgentSettings) -> Facts:
    """Label and value pairs of a service that hosts register with."""
    agents = [f"{ip_address(each.address)} preference {each.preference}" for each in settings.mipv6_agents]
    before, rate = settings.mipv6_refresh_request, settings.mipv6_switch_rate
    return [
        ("Home Agent Discovery", switch(settings.mipv6_discovery)),
        *listing("Home Agent", agents),
        ("Home Agent Preference", str(settings.mipv6_agent_preference)),
        ("Home Agent Lifetime", f"{settings.mipv6_agent_lifetime} seconds"),
        ("Router Advertisements", switch(settings.mipv6_advertise)),
        ("Advertisement Interval", f"{settings.mipv6_advertise_interval} seconds"),
        ("Mobile Prefix Discovery", settings.mipv6_prefix_discovery.capitalize()),
        ("Prefix Valid Lifetime", f"{settings.mipv6_prefix_valid} seconds"),
        ("Prefix Preferred Lifetime", f"{settings.mipv6_prefix_preferred} seconds"),
        ("Binding Refresh Request", f"{before} seconds before the end" if before else "None"),
        ("Home Agent Switch Rate", f"{rate} per second"),
        ("Home Address Assignment", switch(settings.mipv6_assign)),
        ("IPsec", "Required" if settings.mipv6_require_ipsec else "Not required"),
    ]
