"""What ``show lma-service`` and ``show mag-service`` say about redirection, services, vendor options, access
networks, user-plane address and delegated prefixes. Pure functions of the settings."""

from ipaddress import ip_address

from appliance.facts_words import amount
from appliance.protocols.mobility.access_network import DEGREE
from appliance.protocols.mobility.vendors import describe
from appliance.protocols.pmipv6.option_settings import (
    AccessNetwork,
    Delegation,
    RedirectTarget,
    VendorOption,
)
from appliance.protocols.pmipv6.settings import LmaSettings, MagSettings

Facts = list[tuple[str, str]]


def _switch(on: bool) -> str:
    return "Enabled" if on else "Disabled"


def _address(packed: bytes | None) -> str:
    return str(ip_address(packed)) if packed else "None"


def _prefix(pair: tuple[bytes, int]) -> str:
    return f"{ip_address(pair[0])}/{pair[1]}"


def _listing(label: str, entries: list[str]) -> Facts:
    """One fact an entry; ``None`` when there is none."""
    return [(label, entry) for entry in entries] or [(label, "None")]


def _target(target: RedirectTarget) -> str:
    where = f" lma-service {target.service}" if target.service else ""
    also = f" also {_address(target.also)}" if target.also else ""
    return f"{_address(target.address)}{also}{where}"


def _vendor(option: VendorOption) -> str:
    whose = f" nai {option.mn_id.decode('utf-8', 'backslashreplace')}" if option.mn_id else ""
    return describe(option.vendor, option.subtype, option.data) + whose


def _delegation(line: Delegation) -> str:
    any_one = "any IPv6 prefix" if len(line.prefix) == 16 else "any IPv4 prefix"
    wanted = _prefix((line.prefix, line.length)) if any(line.prefix) else any_one
    return f"{line.mn_id.decode('utf-8', 'backslashreplace')} {wanted}"


def _access_network(network: AccessNetwork) -> str:
    """One access link of a MAG, as anchors are told of it."""
    words = [network.interface]
    for word, text in (("network-name", network.network), ("access-point", network.access_point)):
        if text:
            words.append(f"{word} {text.decode()}")
    if network.latitude is not None:
        words.append(f"geo-location {network.latitude / DEGREE:.5f} {network.longitude / DEGREE:.5f}")
    if network.enterprise:
        words.append(f"operator enterprise {network.enterprise}")
    if network.realm:
        words.append(f"operator realm {network.realm.decode()}")
    return " ".join(words)


def lma_options(settings: LmaSettings) -> Facts:
    """Labels and values of an LMA service."""
    pools = [
        f"{pool.name} {_prefix(pool.network)} delegated-length {pool.delegated_length}"
        for pool in settings.delegation_pools
    ]
    return [
        *_listing("Redirect Target", [_target(target) for target in settings.redirect_targets]),
        ("Redirect Policy", settings.redirect_policy.capitalize()),
        ("Redirect Threshold", amount(settings.redirect_threshold, "session")),
        ("Redirect Timeout", amount(settings.redirect_timeout, "millisecond")),
        ("Redirect Accept", _switch(settings.redirect_accept)),
        ("Load Information", _switch(settings.load_information)),
        ("Load Priority", str(settings.load_priority)),
        ("Load Capacity", f"{settings.load_capacity} kilobytes per second"),
        ("User-Plane IPv6 Address", _address(settings.user_plane_address)),
        ("User-Plane IPv4 Address", _address(settings.user_plane_ipv4)),
        ("User-Plane Domain-Wide", _switch(settings.user_plane_domain_wide)),
        ("Prefix Delegation", _switch(settings.prefix_delegation)),
        *_listing("Delegation Pool", pools),
        *_listing("Service Profile", [profile.name for profile in settings.service_profiles]),
        ("Unknown Service Policy", settings.unknown_service.capitalize()),
        *_listing("Vendor Option", [_vendor(option) for option in settings.vendor_options]),
    ]


def mag_options(settings: MagSettings) -> Facts:
    """Labels and values of a MAG service."""
    return [
        ("Redirect", _switch(settings.redirect)),
        ("Redirect With Unknown Handoff", _switch(settings.redirect_unknown_handoff)),
        # Without a line any anchor is allowed.
        *_listing("Redirect Allowed", [_prefix(pair) for pair in settings.redirect_allowed] or ["Any"]),
        ("User-Plane Address", _switch(settings.user_plane)),
        ("User-Plane Domain-Wide", _switch(settings.user_plane_domain_wide)),
        *_listing("Prefix Delegation", [_delegation(line) for line in settings.delegations]),
        ("Prefix Delegation On Demand", _switch(settings.delegation_on_demand)),
        *_listing("Access Network", [_access_network(each) for each in settings.access_networks]),
        *_listing("Vendor Option", [_vendor(option) for option in settings.vendor_options]),
    ]
