"""What no single line shows: the checks across a whole configuration tree."""

import ipaddress
from collections.abc import Iterator
from typing import Any

from appliance.config_memory import Memory
from appliance.config_tree import Entry, Section, factory_value
from appliance.protocols.pmipv6.settings import MagSettings, PrefixPool

Fault = tuple[int, str]
"""Line number and text."""
#: Sections of services that have a tunnel device, pools and subscribers, and bindings in them.
ANCHORS = ("lma-service", "mipv6ha-service")
POOLS = ("ipv6 pool", "ip pool")
DEFAULT = "subscriber default"


class Outline:
    """A context's section with the sections inside it by their paths; the many are looked through once."""

    __slots__ = ("name", "section", "_inside")

    def __init__(self, section: Section) -> None:
        self.name = section.name
        self.section = section
        self._inside: dict[str, list[Section]] = {}
        for (path, _), inner in section.sections.items():
            known = self._inside.get(path)
            if known is None:
                self._inside[path] = [inner]
            else:
                known.append(inner)

    def all(self, path: str) -> list[Section]:
        """The sections opened by lines of this path, in their order."""
        return self._inside.get(path, [])

    def anchors(self) -> list[Section]:
        """The sections of LMA services and home agents."""
        return [section for path in ANCHORS for section in self.all(path)]

    def entries(self, path: str) -> list[Entry]:
        """The lines of this path, in their order."""
        return self.section.entries(path)


def outlines(tree: Section) -> list[Outline]:
    """The contexts of a tree."""
    return [Outline(section) for section in tree.all("context")]


def find_faults(contexts: list[Outline], memory: Memory) -> list[Fault]:
    """Everything in the contexts of a tree that contradicts itself."""
    pools = [entry for context in contexts for path in POOLS for entry in context.entries(path)]
    return [
        *_addresses(contexts),
        *_devices(contexts),
        *_shared_pools(contexts),
        *memory.once("pool faults", tuple(pools), lambda: list(_pools(contexts))),
        *_subscribers(contexts, memory),
        *_gateways(contexts, memory),
    ]


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


def _services(contexts: list[Outline]) -> Iterator[Section]:
    for context in contexts:
        yield from context.anchors()
        yield from context.all("mag-service")


def _addresses(contexts: list[Outline]) -> Iterator[Fault]:
    """Each address belongs to one service, each service name to one of its kind."""
    bound: dict[bytes, str] = {}
    names: set[tuple[str, str]] = set()
    for service in _services(contexts):
        title = f"{service.mode} {service.name}"
        # Commands such as "show lma-service name NAME" tell services by name alone.
        if (service.mode, service.name) in names:
            yield service.line, f"{title} exists in another context; give it another name"
        elif service.mode in ANCHORS and any((mode, service.name) in names for mode in ANCHORS):
            # The tunnel device has the name of the service.
            yield service.line, f"{title}: an lma-service has this name already; give it another one"
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


def _shared_pools(contexts: list[Outline]) -> Iterator[Fault]:
    """Anchors of one context would assign the same addresses, and the host has one route for each pool."""
    for context in contexts:
        owner = ""
        if not any(context.entries(path) for path in POOLS):
            continue
        for service in (service for kind in ANCHORS for service in context.all(kind)):
            if not service.entries("bind") or _assigns_elsewhere(service):
                continue
            title = f"{service.mode} {service.name}"
            if owner:
                text = (
                    f"{title}: {owner} has the pools of context {context.name} already;"
                    " put one of the two into a context of its own, with pools of its own"
                )
                yield service.line, text
            owner = owner or title


def _assigns_elsewhere(service: Section) -> bool:
    """Whether an anchor sends all new mobile nodes to others, so that it needs no pools."""
    return any(entry.args["redirect_policy"] == "always" for entry in service.entries("redirect_policy"))


def _devices(contexts: list[Outline]) -> Iterator[Fault]:
    """A device is in one context, or the access link of one service."""
    owners: dict[str, str] = {}
    lines = [
        (section.name, section.line, f"context {context.name}")
        for context in contexts
        for section in context.all("interface")
    ]
    lines += [
        (entry.args["name"], entry.line, f"mag-service {service.name}")
        for service in _services(contexts)
        for entry in service.entries("access-interface")
    ]
    for name, line, owner in lines:
        if name in (".", "..") or "/" in name or ":" in name:
            yield line, f"'{name}' cannot be the name of a network device"
        if name in owners:
            yield line, f"interface {name} is used by {owners[name]} already"
        owners.setdefault(name, owner)


def _pools(contexts: list[Outline]) -> Iterator[Fault]:
    """All contexts share the routes of the host, so no two pools may overlap."""
    used: list[tuple[int, int, int, str]] = []
    for context in contexts:
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


#: What a subscriber's section says that others have to agree with: (line, kind, value) each.
Claims = tuple[tuple[int, str, Any], ...]


def _claims(subscriber: Section) -> Claims:
    return tuple(
        (entry.line, path, entry.args[key])
        for path, key in (
            ("prefix_pool", "prefix_pool"),
            ("address_pool", "address_pool"),
            ("home-network-prefix", "prefix"),
            ("ipv4_address", "ipv4_address"),
        )
        for entry in subscriber.entries(path)
    )


def _subscribers(contexts: list[Outline], memory: Memory) -> Iterator[Fault]:
    """Pools that a subscriber names exist; what is assigned always is assigned once in a context."""
    for context in contexts:
        found = [*context.all(DEFAULT), *context.all("subscriber")]
        claims = memory.each(("claims", context.name), found, _claims)
        pools = tuple(entry for path in POOLS for entry in context.entries(path))

        def check(
            context: Outline = context, found: list[Section] = found, claims: tuple[Claims, ...] = claims
        ) -> list[Fault]:
            return [] if _agree(context, claims) else list(_contested(context, found, claims))

        yield from memory.once(("subscriber faults", context.name), (claims, *pools), check)


def _pool_names(context: Outline) -> dict[str, set[Any]]:
    return {
        path: {entry.args.get(key) for entry in context.entries(pool) for key in ("name", "group")}
        for path, pool in (("prefix_pool", "ipv6 pool"), ("address_pool", "ip pool"))
    }


def _agree(context: Outline, claims: tuple[Claims, ...]) -> bool:
    """Whether all is well, found out in a fraction of the time that :func:`_contested` takes."""
    names = _pool_names(context)
    wanted = [claim for one in claims for claim in one]
    fixed = [value for _, path, value in wanted if path not in names]
    return (
        not any(path not in names for one in claims[: len(context.all(DEFAULT))] for _, path, _ in one)
        and len(set(fixed)) == len(fixed)
        and all(value in names[path] for _, path, value in wanted if path in names)
    )


def _contested(context: Outline, subscribers: list[Section], claims: tuple[Claims, ...]) -> Iterator[Fault]:
    names = _pool_names(context)
    taken: dict[Any, str] = {}
    for subscriber, wanted in zip(subscribers, claims, strict=True):
        if not wanted:
            continue
        name = subscriber.name or "default"
        for line, path, value in wanted:
            if path in names:
                if value not in names[path]:
                    kind = "ipv6 pool" if path == "prefix_pool" else "ip pool"
                    yield line, f"subscriber {name}: no {kind} or group '{value}' in its context"
                continue
            if not subscriber.name:
                yield line, "subscriber default: a fixed assignment needs a subscriber name"
            elif value in taken:
                yield line, f"subscriber {name}: assigned to subscriber {taken[value]} already"
            taken.setdefault(value, name)


def _gateways(contexts: list[Outline], memory: Memory) -> Iterator[Fault]:
    for context in contexts:
        for service in context.all("mag-service"):

            def check(service: Section = service) -> list[Fault]:
                return list(_gateway(service))

            yield from memory.once(("gateway faults", context.name, service.name), (service,), check)


def _gateway(service: Section) -> Iterator[Fault]:
    """The lines of a MAG agree with each other."""
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
