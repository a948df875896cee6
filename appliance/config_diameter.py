"""Diameter endpoints, AAA groups and AAA servers out of a tree, and what contradicts itself there."""

import re
from collections.abc import Iterator
from typing import Any

from appliance.aaa.addresses import is_address, without_password
from appliance.aaa.settings import AaaServerSettings, HomeAgent, Realm, TextLog, User
from appliance.config_checks import Fault, Outline
from appliance.config_memory import Memory
from appliance.config_tree import Entry, Section, values_of
from appliance.protocols.diameter.settings import (
    PORT,
    SCTP_UDP_PORT,
    SECURE_PORT,
    EndpointSettings,
    GroupSettings,
    Listener,
    PeerSettings,
    RouteSettings,
    Server,
    ServerGroup,
    TlsSettings,
)

SECURE = ("tls", "tls-inband", "dtls")
NO_DTLS = (
    "transport dtls is not available: no maintained library carries DTLS over SCTP (RFC 6083); use tls, or"
    " sctp inside IPsec"
)


def make_endpoint(section: Section, context: str) -> EndpointSettings:
    """``diameter endpoint NAME``."""
    settings = EndpointSettings(name=section.name, context=context)
    for name, value in values_of(section, EndpointSettings).items():
        setattr(settings, name, value)
    if settings.sctp_udp_port is True:
        settings.sctp_udp_port = SCTP_UDP_PORT
    if any("off" in entry.args for entry in section.entries("watchdog")):
        settings.watchdog_timeout = 0
    origins = section.entries("origin host")
    settings.identity = origins[0].args["identity"] if origins else ""
    settings.addresses = tuple(entry.args["address"] for entry in origins)
    settings.listeners = tuple(_listeners(section))
    settings.peers = tuple(_peer(entry.args) for entry in section.entries("peer"))
    settings.routes = tuple(_routes(section))
    for entry in section.entries("tls"):
        settings.tls = TlsSettings(**entry.args)
    return settings


def _listeners(section: Section) -> Iterator[Listener]:
    origins = section.entries("origin host")
    for entry in origins:
        if "accept-incoming-connections" in entry.args:
            yield Listener(address=entry.args["address"], port=entry.args.get("port", PORT))
    for line in section.entries("listen"):
        transport = line.args["transport"]
        port = line.args.get("port", SECURE_PORT if transport in SECURE else PORT)
        for entry in origins:
            yield Listener(address=entry.args["address"], port=port, transport=transport)


def _peer(args: dict[str, Any]) -> PeerSettings:
    known = {name: args[name] for name in ("name", "realm", "port", "transport", "weight") if name in args}
    addresses = tuple(args[name] for name in ("address", "alternate") if name in args)
    return PeerSettings(
        addresses=addresses, compat="compat-draft" in args, connect="passive" not in args, **known
    )


def _routes(section: Section) -> Iterator[RouteSettings]:
    action = next((entry.args["agent"] for entry in section.entries("agent")), "none")
    for path in ("route-entry local", "route-entry"):
        for entry in section.entries(path):
            known = {
                name: entry.args[name]
                for name in ("host", "application", "peer", "priority", "weight")
                if name in entry.args
            }
            realm = entry.args.get("realm", "")
            yield RouteSettings(
                realm="" if realm == "*" else realm,
                action="local" if path.endswith("local") else "relay" if action == "none" else action,
                **known,
            )


def make_group(section: Section, context: str, endpoints: list[Section]) -> GroupSettings:
    """``aaa group NAME``; ``endpoints`` are those of its context."""
    return GroupSettings(
        name=section.name,
        context=context,
        authentication=_side(section, "authentication", endpoints),
        accounting=_side(section, "accounting", endpoints),
        newer_sessions=tuple(
            (entry.args["host"], entry.args["detector"]) for entry in section.entries("newer-session")
        ),
        **values_of(section, GroupSettings),
    )


def _side(section: Section, side: str, endpoints: list[Section]) -> ServerGroup:
    values = {
        name: entry.args[name]
        for name in ("endpoint", "realm", "application", "request_timeout", "max_retries")
        for entry in section.entries(f"{side} {name}")
    }
    servers = tuple(Server(**entry.args) for entry in section.entries(f"{side} server"))
    for endpoint in endpoints:
        if endpoint.name == values.get("endpoint"):
            values["identity"] = next(
                (entry.args["identity"] for entry in endpoint.entries("origin host")), ""
            )
            values["origin_realm"] = next((entry.args["realm"] for entry in endpoint.entries("realm")), "")
    return ServerGroup(servers=servers, **values)


def make_server(section: Section, context: str, memory: Memory) -> AaaServerSettings:
    """``aaa-server NAME``."""
    values = values_of(section, AaaServerSettings)
    for entry in section.entries("storage"):
        values["database"] = _database(entry.args)
    for entry in section.entries("text-log"):
        values["text_log"] = _text_log(entry.args)
    return AaaServerSettings(
        name=section.name,
        context=context,
        realms=tuple(Realm(**entry.args) for entry in section.entries("realm")),
        home_agents=tuple(HomeAgent(**entry.args) for entry in section.entries("home-agent")),
        users=memory.each(("aaa-user", context, section.name), section.all("aaa-user"), _user),
        **values,
    )


def _database(args: dict[str, Any]) -> str:
    address: str = args.get("address", "")
    if not address:
        return str(args.get("file", ""))
    if "password" not in args:
        return address
    if "://" in address:
        # libpq takes further parameters behind a question mark, percent-encoded.
        encoded = "".join(f"%{octet:02X}" for octet in args["password"].encode())
        return f"{address}{'&' if '?' in address else '?'}password={encoded}"
    quoted = args["password"].replace("\\", "\\\\").replace("'", "\\'")
    return f"{address} password='{quoted}'"


def _text_log(args: dict[str, Any]) -> TextLog:
    known = {name: args[name] for name in ("directory", "names", "keep") if name in args}
    return TextLog(local_time="local-time" in args, **known)


def _user(section: Section) -> User:
    values = values_of(section, User)
    for path, key, spi in (("mn-aaa", "key", "spi"), ("mn-ha", "mn_ha_key", "mn_ha_spi")):
        for entry in section.entries(path):
            values[key] = secret_octets(entry.args["key"])
            values[spi] = entry.args.get("spi", 0)
    for name in ("class_", "charge"):
        if name in values:
            values[name] = values[name].encode()
    return User(
        nai=section.name,
        prefixes=tuple(entry.args["prefix"] for entry in section.entries("home-network-prefix")),
        networks=tuple(entry.args["prefix"] for entry in section.entries("mobile-network-prefix")),
        services=tuple(entry.args["service"] for entry in section.entries("allowed-service")),
        **values,
    )


_HEXADECIMAL = re.compile(r"0[xX]((?:[0-9A-Fa-f]{2})*)\Z", re.ASCII)


def secret_octets(text: str) -> bytes:
    """Octets of a key as it is typed: ``0x`` and hexadecimal digits, or the text itself."""
    found = _HEXADECIMAL.match(text)
    return text.encode() if found is None else bytes.fromhex(found[1])


def half_hexadecimal(text: str) -> bool:
    """Whether a key looks as if octets were meant; as a text it would be another key than at the mobile."""
    return text[:2].lower() == "0x" and _HEXADECIMAL.match(text) is None


# ---- what contradicts itself


def diameter_faults(contexts: list[Outline]) -> Iterator[Fault]:
    """Everything about Diameter in the contexts of a tree that contradicts itself."""
    names: set[tuple[str, str]] = set()
    bound: dict[tuple[bytes, int, bool], str] = {}
    for context in contexts:
        for section in (*context.all("diameter-endpoint"), *context.all("aaa-server")):
            title = _title(section)
            if (section.mode, section.name) in names:
                yield section.line, f"{title} exists in another context; give it another name"
            names.add((section.mode, section.name))
        for section in context.all("diameter-endpoint"):
            yield from _endpoint_faults(section, bound)
        yield from _reference_faults(context)


def _title(section: Section) -> str:
    return (
        f"{section.mode.replace('diameter-', 'diameter ').replace('aaa-group', 'aaa group')} {section.name}"
    )


def _endpoint_faults(section: Section, bound: dict[tuple[bytes, int, bool], str]) -> Iterator[Fault]:
    title = _title(section)
    origins = section.entries("origin host")
    identities = {entry.args["identity"] for entry in origins}
    if len(identities) > 1:
        yield origins[-1].line, f"{title}: two identities, {' and '.join(sorted(identities))}; one is wanted"
    if origins and not section.entries("realm"):
        yield origins[0].line, f"{title}: 'origin host' needs 'origin realm'"
    for listener in _listeners(section):
        place = (listener.address, listener.port, listener.transport in ("sctp", "dtls"))
        if place in bound:
            yield section.line, f"{title}: port {listener.port} is taken by {bound[place]} already"
        bound.setdefault(place, title)
    yield from _peer_faults(section, title)
    peers = {entry.args["name"] for entry in section.entries("peer")}
    for entry in section.entries("route-entry"):
        if entry.args["peer"] not in peers:
            yield entry.line, f"{title}: route-entry names {entry.args['peer']}, which is no peer of it"


def _peer_faults(section: Section, title: str) -> Iterator[Fault]:
    has_tls = bool(section.entries("tls"))
    origins = section.entries("origin host")
    needs = [
        (entry, entry.args.get("transport", "tcp"), f"peer {entry.args['name']}")
        for entry in section.entries("peer")
    ]
    needs += [(entry, entry.args["transport"], "listen") for entry in section.entries("listen")]
    for entry, transport, what in needs:
        if transport == "dtls":
            yield entry.line, f"{title}: {what}: {NO_DTLS}"
        elif transport in SECURE and not has_tls:
            yield entry.line, f"{title}: {what}: transport {transport} needs a 'tls certificate' line"
    for entry in section.entries("peer"):
        yield from _one_peer(entry, origins, title)


def _one_peer(entry: Entry, origins: list[Entry], title: str) -> Iterator[Fault]:
    args = entry.args
    name = args["name"]
    if any(name == origin.args["identity"] for origin in origins):
        yield entry.line, f"{title}: peer {name} is the endpoint itself"
    if name.startswith("*") and "address" in args:
        yield entry.line, f"{title}: peer {name} stands for many; it cannot have an address"
    family = {len(origin.args["address"]) for origin in origins}
    for field in ("address", "alternate"):
        if field in args and origins and len(args[field]) not in family:
            kind = "IPv4" if len(args[field]) == 4 else "IPv6"
            yield entry.line, f"{title}: peer {name} has an {kind} address, but no 'origin host' line has one"


def _reference_faults(context: Outline) -> Iterator[Fault]:
    """What names an endpoint or a group names one of the same context."""
    endpoints = {
        section.name: bool(section.entries("origin host")) for section in context.all("diameter-endpoint")
    }
    groups = {section.name for section in context.all("aaa-group")}
    for group in context.all("aaa-group"):
        for side in ("authentication", "accounting"):
            for entry in group.entries(f"{side} endpoint"):
                name = entry.args["endpoint"]
                if name not in endpoints:
                    yield entry.line, _missing(_title(group), "diameter endpoint", name)
                elif not endpoints[name]:
                    yield entry.line, f"{_title(group)}: diameter endpoint {name} has no 'origin host' line"
    for service in context.anchors():
        for entry in service.entries("aaa_group"):
            if entry.args["aaa_group"] not in groups:
                yield entry.line, _missing(_title(service), "aaa group", entry.args["aaa_group"])
    users: dict[str, str] = {}
    for server in context.all("aaa-server"):
        title = _title(server)
        for entry in server.entries("endpoint"):
            name = entry.args["endpoint"]
            if name not in endpoints:
                yield entry.line, _missing(title, "diameter endpoint", name)
            if name in users:
                yield entry.line, f"{title}: diameter endpoint {name} serves {users[name]} already"
            users.setdefault(name, title)
        yield from _storage_faults(server, title)
        yield from _user_faults(server, title)


def _storage_faults(server: Section, title: str) -> Iterator[Fault]:
    for entry in server.entries("storage"):
        address = entry.args.get("address", "")
        if address and not is_address(address):
            yield (
                entry.line,
                f"{title}: storage postgresql wants postgresql://USER@HOST/DATABASE or words of libpq, as "
                "host=/run/postgresql dbname=aaa",
            )
        elif address != without_password(address):
            # An address is shown to everybody who may look; 'secret' is not.
            yield (
                entry.line,
                f"{title}: give the password of the database behind 'secret', not in its address",
            )


def _missing(title: str, kind: str, name: str) -> str:
    return f"{title}: no {kind} '{name}' in its context"


def _user_faults(server: Section, title: str) -> Iterator[Fault]:
    realms = {entry.args["name"] for entry in server.entries("realm")}
    for user in server.all("aaa-user"):
        realm = user.name.rpartition("@")[2].lower()
        if realm not in realms:
            yield user.line, f"{title}: user {user.name} is of realm '{realm}', which has no 'realm' line"
        for path in ("mn-aaa", "mn-ha"):
            for entry in user.entries(path):
                if half_hexadecimal(entry.args["key"]):
                    yield (
                        entry.line,
                        f"{title}: user {user.name}: a key of {path} that begins with 0x has pairs of "
                        "hexadecimal digits behind it",
                    )
                elif len(secret_octets(entry.args["key"])) < 4:
                    yield entry.line, f"{title}: user {user.name}: a key of {path} has 4 octets at least"
