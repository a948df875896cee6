"""What no single line shows: the checks across a whole configuration tree."""

import base64
import ipaddress
import re
from collections.abc import Iterator
from typing import Any

from appliance.config_tree import Entry, Section, factory_value
from appliance.protocols.pmipv6.settings import MagSettings, PrefixPool

#: As cli/passwords.py writes a hash.
PASSWORD_HASH = re.compile(
    r"\$scrypt\$ln=[0-9]{1,2},r=[0-9]{1,2},p=[0-9]{1,2}(\$[A-Za-z0-9+/]{16,100}){2}", re.ASCII
)
SSH_PORT = 22

Fault = tuple[int, str]
"""Line number and text."""


def find_faults(tree: Section) -> list[Fault]:
    """Everything in the tree that contradicts itself."""
    checks = (_addresses, _devices, _pools, _subscribers, _gateways, _operators)
    return [fault for check in checks for fault in check(tree)]


def address_range(args: dict[str, Any]) -> tuple[bytes, int, bytes, bytes]:
    """Network, mask length, first and last address of an ``ip pool`` line.

    A pool by network holds all its addresses except the all-zeros and the all-ones host.
    """
    if "network" in args:
        network, length = args["network"]
        low = int.from_bytes(network, "big")
        high = low | ((1 << (32 - length)) - 1)
        edge = 1 if length < 31 else 0
        return network, length, (low + edge).to_bytes(4, "big"), (high - edge).to_bytes(4, "big")
    length = args["mask_length"]
    mask = (1 << 32) - (1 << (32 - length))
    network = (int.from_bytes(args["first"], "big") & mask).to_bytes(4, "big")
    return network, length, args["first"], args["last"]


def _text(address: bytes) -> str:
    return str(ipaddress.ip_address(address))


def _contains(prefix: bytes, length: int, address: bytes) -> bool:
    bits = len(prefix) * 8 - length
    return int.from_bytes(prefix, "big") >> bits == int.from_bytes(address, "big") >> bits


def _services(tree: Section) -> Iterator[Section]:
    for context in tree.all("context"):
        yield from context.all("lma-service")
        yield from context.all("mag-service")


def _addresses(tree: Section) -> Iterator[Fault]:
    """Each address belongs to one service, each service name to one of its kind."""
    bound: dict[bytes, str] = {}
    names: set[tuple[str, str]] = set()
    for service in _services(tree):
        title = f"{service.mode} {service.name}"
        # Commands such as "show lma-service name NAME" tell services by name alone.
        if (service.mode, service.name) in names:
            yield service.line, f"{title} exists in another context; give it another name"
        names.add((service.mode, service.name))
        for entry in service.entries("bind"):
            for field in ("address", "ipv4_address"):
                address = entry.args.get(field)
                if address is None:
                    continue
                number = ipaddress.ip_address(address)
                if number.is_multicast or number.is_unspecified or number.is_loopback:
                    yield entry.line, f"{title}: {number} is no unicast address of a network"
                if address in bound:
                    yield entry.line, f"{title}: {number} is bound by {bound[address]} already"
                bound.setdefault(address, title)


def _devices(tree: Section) -> Iterator[Fault]:
    """A device is in one context, or the access link of one service."""
    owners: dict[str, str] = {}
    lines = [
        (section.name, section.line, f"context {context.name}")
        for context in tree.all("context")
        for section in context.all("interface")
    ]
    lines += [
        (entry.args["name"], entry.line, f"mag-service {service.name}")
        for service in _services(tree)
        for entry in service.entries("access-interface")
    ]
    for name, line, owner in lines:
        if name in (".", "..") or "/" in name or ":" in name:
            yield line, f"'{name}' cannot be the name of a network device"
        if name in owners:
            yield line, f"interface {name} is used by {owners[name]} already"
        owners.setdefault(name, owner)


def _pools(tree: Section) -> Iterator[Fault]:
    """All contexts share the routes of the host, so no two pools may overlap."""
    used: list[tuple[int, int, int, str]] = []
    for context in tree.all("context"):
        for entry in context.entries("ipv6 pool"):
            yield from _prefix_pool(entry)
            prefix, length = entry.args["prefix"]
            low = int.from_bytes(prefix, "big")
            high = low | ((1 << (128 - length)) - 1)
            yield from _overlap(used, 6, low, high, f"ipv6 pool {entry.args['name']}", entry)
        for entry in context.entries("ip pool"):
            network, length, first, last = address_range(entry.args)
            name = f"ip pool {entry.args['name']}"
            if first > last:
                yield entry.line, f"{name}: {_text(first)} is above {_text(last)}"
                continue
            if not _contains(network, length, last):
                yield entry.line, f"{name}: {_text(last)} is not in {_text(network)}/{length}"
            router = entry.args.get("default_router")
            if router and not _contains(network, length, router):
                yield entry.line, f"{name}: router {_text(router)} is not in {_text(network)}/{length}"
            ends = (int.from_bytes(first, "big"), int.from_bytes(last, "big"))
            yield from _overlap(used, 4, *ends, name, entry)


def _prefix_pool(entry: Entry) -> Iterator[Fault]:
    length = entry.args["prefix"][1]
    delegated = entry.args.get("delegated_length", factory_value(PrefixPool, "delegated_length"))
    if delegated < length:
        yield (
            entry.line,
            (f"ipv6 pool {entry.args['name']}: delegated-length {delegated} is shorter than /{length}"),
        )


def _overlap(
    used: list[tuple[int, int, int, str]], family: int, low: int, high: int, name: str, entry: Entry
) -> Iterator[Fault]:
    for other_family, first, last, other in used:
        if family == other_family and low <= last and first <= high:
            yield entry.line, f"{name} overlaps {other}"
    used.append((family, low, high, name))


def _subscribers(tree: Section) -> Iterator[Fault]:
    """Pools that a subscriber names exist; what is assigned always is assigned once in a context."""
    for context in tree.all("context"):
        taken: dict[Any, str] = {}
        for subscriber in [*context.all("subscriber default"), *context.all("subscriber")]:
            name = subscriber.name or "default"
            for path, pools in (("prefix_pool", "ipv6 pool"), ("address_pool", "ip pool")):
                known = {entry.args.get(key) for entry in context.entries(pools) for key in ("name", "group")}
                for entry in subscriber.entries(path):
                    wanted = entry.args[path]
                    if wanted not in known:
                        yield entry.line, f"subscriber {name}: no {pools} or group '{wanted}' in its context"
            for path, key in (("home-network-prefix", "prefix"), ("ipv4_address", "ipv4_address")):
                for entry in subscriber.entries(path):
                    value = entry.args[key]
                    if not subscriber.name:
                        yield entry.line, "subscriber default: a fixed assignment needs a subscriber name"
                    elif value in taken:
                        yield entry.line, f"subscriber {name}: assigned to subscriber {taken[value]} already"
                    taken.setdefault(value, name)


def _gateways(tree: Section) -> Iterator[Fault]:
    """The lines of a MAG agree with each other."""
    for service in _services(tree):
        if service.mode != "mag-service":
            continue
        title = f"mag-service {service.name}"
        links = {entry.args["name"] for entry in service.entries("access-interface")}
        seen: set[tuple[Any, str]] = set()
        for entry in service.entries("mobile-node"):
            args = entry.args
            interface = args.get("interface", "")
            if interface and interface not in links:
                yield entry.line, f"{title}: '{interface}' is no access-interface of this service"
            if "any" in args and not interface:
                yield entry.line, f"{title}: 'any' needs an interface"
            identity = (args.get("link_layer"), interface)
            if identity in seen:
                yield entry.line, f"{title}: this link-layer address has a mobile-node line already"
            seen.add(identity)
            if "lma" not in args and not service.entries("lma"):
                yield entry.line, f"{title}: give the service an lma-address, or this line an lma"
        first = _value(service, "retransmission_timeout")
        if first > _value(service, "retransmission_maximum"):
            yield service.line, f"{title}: retransmission-timeout is above retransmission-maximum"


def _value(service: Section, field: str) -> int:
    """A number of a MAG as set, or its factory value."""
    for entry in service.entries(field):
        return int(entry.args[field])
    return int(factory_value(MagSettings, field))


def _operators(tree: Section) -> Iterator[Fault]:
    """Users, their keys, and where the SSH server stands."""
    users = {entry.args["username"] for entry in tree.entries("local-user")}
    for entry in tree.entries("local-user"):
        stored = entry.args.get("encrypted_password")
        if stored is not None and not PASSWORD_HASH.fullmatch(stored):
            yield entry.line, f"local-user {entry.args['username']}: this is no encrypted password"
    for context in tree.all("context"):
        for server in context.all("server sshd"):
            if context.name != "local":
                yield server.line, "server sshd belongs into the context local"
            places: set[tuple[str, int]] = set()
            for entry in server.entries("listen"):
                place = (entry.args["address"], entry.args.get("port", SSH_PORT))
                if place in places:
                    yield entry.line, f"server sshd: {place[0]} port {place[1]} is listed already"
                places.add(place)
            for entry in server.entries("authorized-key"):
                if entry.args["username"] not in users:
                    yield entry.line, f"authorized-key: there is no local-user {entry.args['username']}"
                try:
                    base64.b64decode(entry.args["key"], validate=True)
                except ValueError:
                    yield entry.line, f"authorized-key of {entry.args['username']}: this is no base64"
