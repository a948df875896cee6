"""What ``show configuration errors`` finds about Diameter endpoints, AAA groups and AAA servers.

``No routes configured under endpoint : NAME`` is StarOS's line; the others are ours.
"""

from collections.abc import Iterator

from appliance.aaa.settings import AaaServerSettings
from appliance.config import Configuration
from appliance.config_findings import ERROR, INFO, WARNING, Finding
from appliance.protocols.diameter.settings import EndpointSettings, GroupSettings
from appliance.protocols.pmipv6.settings import LmaSettings

DIAMETER, AAA = "Diameter", "AAA"


def diameter_findings(configuration: Configuration) -> Iterator[Finding]:
    """Everything that looks wrong about Diameter and AAA."""
    groups = [group for context in configuration.contexts for group in context.groups]
    used = {(server.context, server.endpoint) for server in configuration.aaa_servers}
    for group in groups:
        used |= {(group.context, side.endpoint) for side in (group.authentication, group.accounting)}
    for endpoint in configuration.endpoints:
        yield from _endpoint(endpoint, (endpoint.context, endpoint.name) in used)
    for service in configuration.anchors:
        yield from _service(service)
    asked = {(service.context, service.aaa_group) for service in configuration.anchors}
    for group in groups:
        yield from _group(group, (group.context, group.name) in asked)
    for server in configuration.aaa_servers:
        yield from _server(server)


def _endpoint(settings: EndpointSettings, used: bool) -> Iterator[Finding]:
    name = f"diameter endpoint {settings.name}"
    if not settings.identity:
        yield Finding(DIAMETER, ERROR, f"{name} has no origin host and is not started")
    if not settings.peers:
        if settings.discovery:
            text = f"{name} has no peer but those that the DNS names"
            yield Finding(DIAMETER, WARNING, text)
        elif settings.listeners:
            yield Finding(DIAMETER, ERROR, f"{name} has no peer, so it refuses every connection")
        else:
            yield Finding(DIAMETER, ERROR, f"{name} has no peer and takes no connections")
    for peer in settings.peers:
        if not settings.listeners and not (peer.connect and peer.addresses):
            text = f"{name} neither connects to peer {peer.name} nor takes connections"
            yield Finding(DIAMETER, WARNING, text)
    if not used and settings.agent == "none":
        yield Finding(DIAMETER, WARNING, f"{name} is used by no aaa group and by no aaa-server")
    if not settings.routes:
        yield Finding(DIAMETER, INFO, f"No routes configured under endpoint : {settings.name}")


def _service(settings: LmaSettings) -> Iterator[Finding]:
    group = settings.aaa
    if group is not None and group.accounting.endpoint and not settings.aaa_accounting:
        name = f"{settings.kind}-service {settings.name}"
        text = f"{name} has aaa accounting off, though aaa group {group.name} has it"
        yield Finding(AAA, WARNING, text)


def _group(settings: GroupSettings, asked: bool) -> Iterator[Finding]:
    name = f"aaa group {settings.name}"
    if not settings.authentication.endpoint and not settings.accounting.endpoint:
        yield Finding(AAA, WARNING, f"{name} has no endpoint, neither for authentication nor for accounting")
    if not asked:
        yield Finding(AAA, WARNING, f"{name} is used by no service of context {settings.context}")


def _server(settings: AaaServerSettings) -> Iterator[Finding]:
    name = f"aaa-server {settings.name}"
    if not settings.endpoint:
        yield Finding(AAA, ERROR, f"{name} has no diameter endpoint and is not started")
    if not settings.realms:
        yield Finding(AAA, ERROR, f"{name} has no realm, so it serves nobody")
    realms = {user.nai.rpartition("@")[2].lower() for user in settings.users}
    for realm in settings.realms:
        if not realm.users_file and realm.name.lower() not in realms:
            text = f"{name} has neither a user nor a users-file for realm {realm.name}"
            yield Finding(AAA, WARNING, text)
    keyless = sum(1 for user in settings.users if user.enabled and not user.key and (user.mip6 or user.mip4))
    if keyless:
        users = "1 user has" if keyless == 1 else f"{keyless} users have"
        text = f"{name}: {users} no mn-aaa key, good for pmipv6 only; {'its' if keyless == 1 else 'their'}"
        yield Finding(AAA, WARNING, f"{text} permission for mipv6 and mobile-ip has no effect")
