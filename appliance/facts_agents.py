"""What ``show lma-service`` says about what hosts are told beside acknowledgements."""

from ipaddress import ip_address

from appliance.protocols.pmipv6.settings import LmaSettings

Facts = list[tuple[str, str]]


def _on(value: bool) -> str:
    return "Enabled" if value else "Disabled"


def agent_facts(settings: LmaSettings) -> Facts:
    """Label and value pairs of a service that hosts register with."""
    agents = [f"{ip_address(each.address)} preference {each.preference}" for each in settings.mipv6_agents]
    before, rate = settings.mipv6_refresh_request, settings.mipv6_switch_rate
    return [
        ("Home Agent Discovery", _on(settings.mipv6_discovery)),
        *[("Home Agent" if at == 0 else "", text) for at, text in enumerate(agents or ["None"])],
        ("Home Agent Preference", str(settings.mipv6_agent_preference)),
        ("Home Agent Lifetime", f"{settings.mipv6_agent_lifetime} seconds"),
        ("Router Advertisements", _on(settings.mipv6_advertise)),
        ("Advertisement Interval", f"{settings.mipv6_advertise_interval} seconds"),
        ("Mobile Prefix Discovery", settings.mipv6_prefix_discovery.capitalize()),
        ("Prefix Valid Lifetime", f"{settings.mipv6_prefix_valid} seconds"),
        ("Prefix Preferred Lifetime", f"{settings.mipv6_prefix_preferred} seconds"),
        ("Binding Refresh Request", f"{before} seconds before the end" if before else "None"),
        ("Home Agent Switch Rate", f"{rate} per second"),
        ("Home Address Assignment", _on(settings.mipv6_assign)),
        ("IPsec", "Required" if settings.mipv6_require_ipsec else "Not required"),
    ]
