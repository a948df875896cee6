"""What ``show configuration errors`` finds about redirection, services and delegated prefixes."""

from collections.abc import Iterator

from appliance.config import Configuration
from appliance.config_findings import WARNING, Finding
from appliance.protocols.pmipv6.settings import LmaSettings


def option_findings(configuration: Configuration) -> Iterator[Finding]:
    """Lines that have no effect, or keep mobile nodes away."""
    accepting = {each.name for each in configuration.lma_services if each.redirect_accept}
    for settings in configuration.lma_services:
        for text in _anchor(settings, accepting):
            yield Finding("LMA-service", WARNING, f"lma-service {settings.name} {text}")
    for mag in configuration.mag_services:
        known = {policy.mn_id for policy in mag.policies}
        for mn_id in dict.fromkeys(line.mn_id for line in mag.delegations):
            if mn_id not in known:
                name = mn_id.decode("utf-8", "backslashreplace")
                text = f"mag-service {mag.name} has prefix-delegation for {name}, but no mobile-node line"
                yield Finding("MAG-service", WARNING, text)


def _anchor(settings: LmaSettings, accepting: set[str]) -> Iterator[str]:
    if settings.redirect_policy == "always" and not settings.redirect_targets:
        yield "serves nobody: redirect policy is always, and there is no redirect target"
    for target in settings.redirect_targets:
        if target.service and target.service not in accepting:
            yield f"redirects to lma-service {target.service}, which has no redirect accept"
    if settings.prefix_delegation and not (
        settings.delegation_pools or any(profile.delegated for profile in settings.profiles)
    ):
        yield "has prefix-delegation, but its context has no prefix-delegation pool"
    if settings.unknown_service == "reject" and not settings.service_profiles:
        yield "refuses every service: its context has no service-profile"
