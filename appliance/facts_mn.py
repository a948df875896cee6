"""What ``show mn-client`` says about a mobile node's settings. Pure functions of the settings."""

from ipaddress import ip_address, ip_network

from appliance.protocols.mn.settings import AUTHENTICATION, MnSettings, MobileInterface

Facts = list[tuple[str, str]]


def _address(packed: bytes | None, none: str = "None") -> str:
    return str(ip_address(packed)) if packed else none


def _switch(on: bool) -> str:
    return "Enabled" if on else "Disabled"


def _listing(label: str, entries: list[str]) -> Facts:
    return [(label, entry) for entry in entries] or [(label, "None")]


def _network(packed: bytes, length: int) -> str:
    return str(ip_network((packed, length), strict=False))


def _interface(link: MobileInterface) -> str:
    text = f"{link.name} preference {link.preference}"
    return f"{text} bid {link.bid}" if link.bid else text


def _home(settings: MnSettings) -> Facts:
    prefix, identifier = settings.home_prefix, settings.interface_identifier
    ipv4 = _address(settings.ipv4_home_address, "Any") if settings.ipv4_home else "None"
    return [
        ("Home Agent", _address(settings.home_agent, "Discovered")),
        ("Home Agent IPv4 Address", _address(settings.home_agent_ipv4)),
        *_listing("Alternate Home Agent", [_address(each) for each in settings.home_agents]),
        ("Home Address", _address(settings.home_address, "Made Of The Prefix" if prefix else "Asked For")),
        (
            "Home Prefix",
            _network(prefix, settings.home_prefix_length)
            if prefix
            else f"Of The Home Address, {settings.home_prefix_length} bits",
        ),
        ("Interface Identifier", identifier.hex(":", 2) if identifier else "Random"),
        ("IPv4 Home Address", ipv4),
        ("NAI", settings.mn_id.decode("utf-8", "backslashreplace") or "None"),
        ("Service Selection", settings.service.decode("utf-8", "backslashreplace") or "None"),
        ("Authentication", settings.authentication),
        ("Authentication Options", AUTHENTICATION[settings.authentication]),
        ("MN-HA Keys", str(len(settings.associations))),
        ("MN-AAA Key", "Configured" if settings.aaa_key else "None"),
        ("MESG-ID", "Sent" if settings.mesg_id else "Not Sent"),
    ]


def _registration(settings: MnSettings) -> Facts:
    return [
        ("Lifetime", f"{settings.lifetime} seconds"),
        ("Renew Percent Time", str(settings.refresh_percent)),
        ("Initial Retransmission Timeout", f"{settings.retransmission_first} milliseconds"),
        ("Retransmission Timeout", f"{settings.retransmission_initial} milliseconds"),
        ("Retransmission Timeout Maximum", f"{settings.retransmission_maximum} milliseconds"),
        ("Max Retransmissions", str(settings.max_retransmissions)),
        ("Retry Interval", f"{settings.retry_interval} seconds"),
        ("Link-Local Compatibility", _switch(settings.link_local)),
        ("Alternate Care-of Address", "Always" if settings.alternate_care_of else "Where Needed"),
    ]


def _correspondents(settings: MnSettings) -> Facts:
    if not settings.route_optimization:
        return [("Route Optimization", "Disabled")]
    answered = settings.correspondent_acknowledgement
    return [
        ("Route Optimization", "Enabled"),
        ("Correspondents", str(settings.max_correspondents)),
        ("Correspondent Lifetime", f"{settings.correspondent_lifetime} seconds"),
        ("Correspondent Idle Time", f"{settings.correspondent_idle} seconds"),
        ("Correspondent Retry Interval", f"{settings.correspondent_retry} seconds"),
        ("Correspondent Acknowledgement", "Asked For" if answered else "Not Asked For"),
    ]


def mn_facts(settings: MnSettings, state: str) -> Facts:
    """Label and value pairs of a mobile node in screen order; ``state`` as in ``MnPort.state``."""
    traffic_class = settings.tunnel_traffic_class
    networks = [_network(*each) for each in settings.networks]
    return [
        ("Client Name", settings.name),
        ("Context", settings.context),
        ("Client Status", "Shutdown" if settings.shutdown and state == "Started" else state),
        *_home(settings),
        *_registration(settings),
        *_listing("Interface", [_interface(each) for each in settings.interfaces]),
        ("Multiple Care-of Addresses", _switch(settings.multiple_care_of)),
        ("Bulk Registration", _switch(settings.bulk)),
        ("Force UDP Encapsulation", _switch(settings.force_udp)),
        ("TLV Header", _switch(settings.tlv)),
        ("NAT Keepalive", f"{settings.nat_keepalive} seconds"),
        ("Mobile Router", _switch(settings.mobile_router)),
        ("Mobile Router Mode", settings.router_mode.capitalize()),
        *_listing("Mobile Network Prefix", networks),
        *_correspondents(settings),
        ("Mobile Prefix Discovery", _switch(settings.prefix_discovery)),
        ("Path MTU", str(settings.path_mtu)),
        ("Tunnel Traffic Class", "Copied" if traffic_class is None else f"0x{traffic_class:02x}"),
    ]
