"""What ``show configuration errors`` finds about mobile nodes."""

from collections.abc import Iterator

from appliance.config import Configuration
from appliance.config_audit_hosts import KEY_OCTETS
from appliance.config_findings import ERROR, WARNING, Finding
from appliance.protocols.mn.settings import MnSettings

SECTION = "MN-client"


def client_findings(configuration: Configuration) -> Iterator[Finding]:
    """Lines by which no mobile node can register, or none safely."""
    homes: dict[bytes, str] = {}
    for settings in configuration.mn_clients:
        yield from _client(settings)
        owner = homes.setdefault(settings.home_address, settings.name)
        if settings.home_address and owner != settings.name:
            text = f"mn-client {settings.name} has the home address of mn-client {owner}"
            yield Finding(SECTION, ERROR, text)


def _client(settings: MnSettings) -> Iterator[Finding]:
    name = f"mn-client {settings.name}"
    if not settings.interfaces:
        yield Finding(SECTION, ERROR, f"{name} has no interface and is not started")
    if not (settings.home_agent or settings.home_prefix or settings.home_address):
        text = f"{name} has no home agent, nor a home prefix to look for one, and is not started"
        yield Finding(SECTION, ERROR, text)
    mode = settings.authentication
    if mode == "none":
        yield Finding(SECTION, WARNING, f"{name} registers without authentication")
    elif mode == "mn-ha" and not settings.associations:
        yield Finding(SECTION, ERROR, f"{name} has no mn-ha-spi: no home agent believes its updates")
    elif mode != "mn-ha" and not settings.aaa_key:
        yield Finding(SECTION, ERROR, f"{name} has no mn-aaa key for its MN-AAA options")
    if mode != "none" and not settings.mn_id:
        yield Finding(SECTION, WARNING, f"{name} has no nai: the home agent finds keys by it")
    if any(len(each.key) != KEY_OCTETS for each in settings.associations):
        text = f"{name}: an mn-ha-spi key does not have the 16 octets that RFC 4285 wants"
        yield Finding(SECTION, WARNING, text)
    if settings.home_agent_ipv4 is None and (settings.force_udp or settings.tlv):
        text = f"{name} wants UDP encapsulation, but has no IPv4 address of its home agent"
        yield Finding(SECTION, WARNING, text)
