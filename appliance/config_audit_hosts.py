"""What ``show configuration errors`` finds about hosts that register themselves."""

from collections.abc import Iterator

from appliance.config_findings import ERROR, WARNING, Finding
from appliance.protocols.pmipv6.settings import LmaSettings

HOME_AGENT = "MIPv6HA-service"
#: Section of the findings of each kind of service.
SECTIONS = {"lma": "LMA-service", "mipv6ha": HOME_AGENT}
#: RFC 4285 section 5.1: octets of an MN-HA key.
KEY_OCTETS = 16


def host_findings(settings: LmaSettings) -> Iterator[Finding]:
    """Lines of a service, and of its subscribers, by which no host can register, or none safely."""
    if not settings.mipv6:
        return
    section = SECTIONS[settings.kind]
    name = f"{settings.kind}-service {settings.name}"
    if not settings.mipv6_pools:
        text = f"{name} serves hosts, but has no home-address-pool: each of them gets status 132"
        yield Finding(section, ERROR, text)
    if settings.ipv4_address and not settings.address:
        yield Finding(section, ERROR, f"{name} serves no hosts: it is bound to IPv4 alone")
    yield from _routers(settings, section, name)
    wants_aaa = settings.mipv6_authentication in ("mn-aaa-initial", "mn-aaa-always")
    asks_aaa = settings.aaa is not None and bool(settings.aaa.authentication.endpoint)
    keyed = settings.mipv6_associations or any(each.associations for each in settings.profiles)
    keyless = settings.mipv6_require_ipsec or settings.mipv6_authentication == "optional"
    if wants_aaa and not asks_aaa:
        yield Finding(section, WARNING, f"{name} wants MN-AAA options of hosts, and has no AAA group to ask")
    elif not (keyed or asks_aaa or keyless):
        yield Finding(section, ERROR, f"{name} serves hosts, but knows no mn-ha-spi and no AAA group to ask")
    if settings.mipv6_advertise and not settings.mipv6_home_link:
        text = f"{name} has router-advertisement, but no home-link to send any on"
        yield Finding(section, WARNING, text)
    if settings.mipv6_assign and settings.mipv6_require_ipsec:
        text = f"{name}: home-address-assignment is of no use, since hosts with IPsec have a home address"
        yield Finding(section, WARNING, text)
    if settings.mipv6_require_ipsec and settings.mipv6_dual_stack and settings.ipv4_address is not None:
        text = f"{name}: hosts in IPv4 networks cannot register: IPsec is required, and is not inside UDP"
        yield Finding(section, WARNING, text)
    keys = list(settings.mipv6_associations)
    keys += [one for each in settings.profiles for one in each.associations]
    odd = sum(len(one.key) != KEY_OCTETS for one in keys)
    if odd:
        text = f"{name}: {odd} of {len(keys)} mn-ha-spi keys do not have the 16 octets that RFC 4285 wants"
        yield Finding(section, WARNING, text)


def _routers(settings: LmaSettings, section: str, name: str) -> Iterator[Finding]:
    """Lines about mobile routers that have no effect."""
    if not settings.mipv6_mobile_routers:
        if settings.mipv6_prefix_delegation:
            text = f"{name} has dhcpv6-prefix-delegation without mobile-routers"
            yield Finding(section, WARNING, text)
        if any(each.network_prefixes for each in settings.profiles):
            text = f"{name} has subscribers with mobile-network-prefix, but no mobile-routers"
            yield Finding(section, WARNING, text)
    elif settings.mipv6_prefix_delegation and not (
        settings.delegation_pools or any(each.delegated for each in settings.profiles)
    ):
        text = f"{name} has dhcpv6-prefix-delegation without a prefix to delegate"
        yield Finding(section, WARNING, text)
