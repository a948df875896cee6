"""What ``show configuration errors`` finds: settings that pass every check and still cannot work.

The layout is that of StarOS captures; the sections of mobility services and ``Administrator`` are ours.
"""

from collections.abc import Iterator

from appliance.config import Configuration
from appliance.config_audit_aaa import AAA, DIAMETER, diameter_findings
from appliance.config_audit_hosts import HOME_AGENT, host_findings
from appliance.config_audit_mn import SECTION as MOBILE_NODE
from appliance.config_audit_mn import client_findings
from appliance.config_audit_options import option_findings
from appliance.config_findings import ERROR, INFO, WARNING, Finding
from appliance.protocols.pmipv6.controlled import fault_of
from appliance.protocols.pmipv6.settings import LmaSettings, MagSettings

RULE = "#" * 86

SECTIONS = (
    "LMA-service", HOME_AGENT, "MAG-service", MOBILE_NODE, DIAMETER, AAA, "Local Subscriber", "Administrator"
)  # fmt: skip
#: Sections whose heading ends in other words.
HEADINGS = {DIAMETER: "Diameter Configuration errors", AAA: "Global AAA-configuration errors"}


def audit(configuration: Configuration) -> list[Finding]:
    """Everything that looks wrong in a configuration that runs."""
    found: list[Finding] = []
    for lma in configuration.lma_services:
        found += _lma(lma)
        found += host_findings(lma)
    for agent in configuration.home_agents:
        found += [*_anchor(agent, HOME_AGENT), *host_findings(agent)]
    for mag in configuration.mag_services:
        found += _mag(mag)
    found += [*client_findings(configuration), *option_findings(configuration)]
    found += diameter_findings(configuration)
    found += _subscribers(configuration)
    found += _operators(configuration)
    return found


def _lma(settings: LmaSettings) -> Iterator[Finding]:
    name = f"lma-service {settings.name}"
    if not settings.peers and not settings.mipv6:
        yield Finding("LMA-service", ERROR, f"{name} has no mag-peer, so it refuses every gateway")
    # One that assigns all mobile nodes to others has no sessions of its own.
    serves = settings.redirect_policy != "always"
    if serves and not (settings.prefix_pools or settings.address_pools or settings.profiles):
        yield Finding("LMA-service", WARNING, f"context {settings.context} has no pool for {name}")
    if serves and settings.default_profile is None and not settings.profiles:
        yield Finding("LMA-service", WARNING, f"context {settings.context} has no subscriber for {name}")
    if fault := fault_of(settings):
        yield Finding("LMA-service", ERROR, f"{name} refuses every registration: a value of {fault} is 0")
    yield from _anchor(settings, "LMA-service")


def _anchor(settings: LmaSettings, section: str) -> Iterator[Finding]:
    """What can be wrong with an LMA service and with a home agent."""
    name = f"{settings.kind}-service {settings.name}"
    if not settings.bound:
        yield Finding(section, ERROR, f"{name} has no bind address and is not started")
    if not settings.max_subscribers:
        yield Finding(section, WARNING, f"{name} takes no sessions: max-subscribers is 0")
    if settings.shutdown:
        yield Finding(section, WARNING, f"{name} answers nobody: it is shut down")
    elif settings.newcall_policy != "none":
        yield Finding(section, WARNING, f"{name} takes no new sessions: {settings.newcall_policy}")


def _mag(settings: MagSettings) -> Iterator[Finding]:
    name = f"mag-service {settings.name}"
    if not settings.bound:
        yield Finding("MAG-service", ERROR, f"{name} has no bind address and is not started")
    lmas = {settings.lma, *(policy.lma or b"" for policy in settings.policies)}
    for size, own, family in ((16, settings.address, "IPv6"), (4, settings.ipv4_address, "IPv4")):
        if settings.bound and not own and any(len(lma) == size for lma in lmas):
            yield Finding(
                "MAG-service", ERROR, f"{name} has no {family} address to reach its {family} LMA from"
            )
    if not settings.access_interfaces:
        yield Finding("MAG-service", WARNING, f"{name} has no access-interface, so no mobile can attach")
    if not settings.policies:
        yield Finding("MAG-service", WARNING, f"{name} knows no mobile-node")


def _subscribers(configuration: Configuration) -> Iterator[Finding]:
    for context in configuration.contexts:
        profiles = [*context.profiles, *([context.default_profile] if context.default_profile else [])]
        for profile in profiles:
            if profile.ipv4 and not context.address_pools and profile.ipv4_address is None:
                text = f"subscriber {profile.name} may use IPv4, but context {context.name} has no ip pool"
                yield Finding("Local Subscriber", WARNING, text)
            if not (profile.ipv6 or profile.ipv4):
                text = f"subscriber {profile.name} may use neither IPv6 nor IPv4"
                yield Finding("Local Subscriber", WARNING, text)


def _operators(configuration: Configuration) -> Iterator[Finding]:
    management = configuration.management
    if management.ssh is not None and not management.users:
        yield Finding("Administrator", WARNING, "server sshd has no local-user, so nobody can log in")
    for user in management.users:
        if not user.password and not user.keys:
            text = f"local-user {user.username} has neither a password nor an authorized-key"
            yield Finding("Administrator", WARNING, text)


def screen(findings: list[Finding], verbose: bool) -> list[str]:
    """The lines of ``show configuration errors [ verbose ]``."""
    lines: list[str] = []
    for section in SECTIONS:
        mine = [each for each in findings if each.section == section]
        heading = HEADINGS.get(section, f"{section} system errors")
        lines += [RULE, f"#{'':19}Displaying {heading}", RULE]
        for severity, mark, total in ((ERROR, "Error   : ", " !"), (WARNING, "Warning : ", "!")):
            chosen = [each for each in mine if each.severity == severity]
            if verbose:
                lines += [mark + each.text for each in chosen]
            lines.append(f"Total {len(chosen)} {severity.lower()}(s) in this section{total}")
            lines.append("")
        if verbose and (notes := [each.text for each in mine if each.severity == INFO]):
            lines += [*(f"Info    : {text}" for text in notes), ""]
    return lines[:-1]
