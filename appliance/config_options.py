"""From the tree to settings, and checks across it, for the lines of ``configuration_updates``."""

from collections.abc import Iterator
from typing import Any

from attrs import evolve

from appliance.config_checks import DEFAULT, POOLS, Fault, Outline, address_range
from appliance.config_memory import Memory
from appliance.config_tree import Entry, Section, values_of
from appliance.protocols.mobility.access_network import DEGREE, LONGEST_NAMES
from appliance.protocols.pmipv6.option_settings import (
    AccessNetwork,
    Delegation,
    DelegationPool,
    RedirectTarget,
    ServiceProfile,
    VendorOption,
)
from appliance.protocols.pmipv6.settings import LmaSettings

#: Length of a delegated prefix by the octets of its family, if the pool does not say.
DELEGATED_LENGTHS = {16: 56, 4: 28}


def delegation_pool(entry: Entry) -> DelegationPool:
    """Make the settings of a ``prefix-delegation pool`` line."""
    prefix, length = entry.args["prefix"]
    delegated = entry.args.get("length", DELEGATED_LENGTHS[len(prefix)])
    return DelegationPool(
        name=entry.args["name"], prefix=prefix, prefix_length=length, delegated_length=delegated
    )


def service_profile(section: Section) -> ServiceProfile:
    """Make the settings of a ``service-profile`` section."""
    return ServiceProfile(name=section.name, **values_of(section, ServiceProfile))


def delegated_prefixes(section: Section) -> tuple[tuple[bytes, int], ...]:
    """The ``delegated-prefix`` lines of a subscriber."""
    return tuple(entry.args["prefix"] for entry in section.entries("delegated-prefix"))


def vendor_options(section: Section) -> tuple[VendorOption, ...]:
    """The ``vendor-option`` lines of a service."""
    return tuple(
        VendorOption(
            vendor=entry.args["vendor"],
            subtype=entry.args["subtype"],
            data=entry.args["data"],
            mn_id=entry.args.get("nai", "").encode(),
        )
        for entry in section.entries("vendor-option")
    )


def redirect_targets(section: Section) -> tuple[RedirectTarget, ...]:
    """The ``redirect target`` lines of an anchor; :func:`collocate` adds whose they are."""
    return tuple(
        RedirectTarget(address=entry.args["address"], also=entry.args.get("also", b""))
        for entry in section.entries("redirect target")
    )


def delegations(section: Section) -> tuple[Delegation, ...]:
    """The ``prefix-delegation`` lines of a gateway."""
    found = []
    for entry in section.entries("prefix-delegation"):
        if "prefix" in entry.args:
            prefix, length = entry.args["prefix"]
        else:
            prefix, length = bytes(16 if entry.args["family"] == "ipv6" else 4), 0
        found.append(Delegation(mn_id=entry.args["nai"].encode(), prefix=prefix, length=length))
    return tuple(found)


def access_networks(section: Section) -> tuple[AccessNetwork, ...]:
    """The ``access-network`` lines of a gateway."""
    return tuple(
        AccessNetwork(
            interface=entry.args["interface"],
            network=entry.args.get("network", "").encode(),
            access_point=entry.args.get("access_point", "").encode(),
            latitude=entry.args.get("latitude"),
            longitude=entry.args.get("longitude", 0),
            enterprise=entry.args.get("enterprise", 0),
            realm=entry.args.get("realm", "").encode(),
        )
        for entry in section.entries("access-network")
    )


def collocate(services: tuple[LmaSettings, ...]) -> tuple[LmaSettings, ...]:
    """Say of each redirect target whether it is an anchor of this process (RFC 6463 section 5.3.1)."""
    if not any(each.redirect_targets for each in services):
        return services
    bound = {
        address: each for each in services for address in (each.address, each.ipv4_address) if address
    }
    return tuple(
        evolve(each, redirect_targets=tuple(_found(target, bound) for target in each.redirect_targets))
        for each in services
    )


def _found(target: RedirectTarget, bound: dict[bytes, LmaSettings]) -> RedirectTarget:
    """A target with its service of this process, if it is one, and that one's other address."""
    owner = bound.get(target.address)
    if owner is None:
        return target
    also = (owner.ipv4_address if target.address == owner.address else owner.address) or b""
    return evolve(target, service=owner.name, also=also)


# ---- checks


def option_faults(contexts: list[Outline], memory: Memory) -> Iterator[Fault]:
    """Everything in these lines that contradicts itself or others."""
    bound = _bound(contexts)
    yield from _delegation(contexts)
    for context in contexts:
        yield from _subscribers(context, memory)
        yield from _services(context)
        for service in context.all("lma-service"):
            yield from _anchor(service, bound)
        for service in context.all("mag-service"):
            yield from _gateway(service)


def _bound(contexts: list[Outline]) -> dict[bytes, str]:
    """Which service is bound to an address."""
    return {
        address: f"{service.mode} {service.name}"
        for context in contexts
        for service in (*context.anchors(), *context.all("mag-service"))
        for entry in service.entries("bind")
        for address in map(entry.args.get, ("address", "ipv4_address"))
        if address is not None
    }


def _span(prefix: tuple[bytes, int]) -> tuple[int, int, int]:
    number, bits = int.from_bytes(prefix[0], "big"), 8 * len(prefix[0]) - prefix[1]
    return len(prefix[0]), number, number | ((1 << bits) - 1)


def _delegation(contexts: list[Outline]) -> Iterator[Fault]:
    """Delegated prefixes are nobody else's: neither of two pools, nor of a pool of home prefixes."""
    if not any(context.entries("prefix-delegation pool") for context in contexts):
        return
    used = [(_home_span(entry), entry.args["name"]) for each in contexts for path in POOLS
            for entry in each.entries(path)]  # fmt: skip
    for context in contexts:
        for entry in context.entries("prefix-delegation pool"):
            name, prefix = f"prefix-delegation pool {entry.args['name']}", entry.args["prefix"]
            bits = 8 * len(prefix[0])
            length = entry.args.get("length", DELEGATED_LENGTHS[len(prefix[0])])
            if not prefix[1] <= length <= bits:
                yield entry.line, f"{name}: delegated-length {length} does not fit /{prefix[1]}"
            span = _span(prefix)
            for other, owner in used:
                if other[0] == span[0] and other[1] <= span[2] and span[1] <= other[2]:
                    yield entry.line, f"{name} overlaps pool {owner}"
            used.append((span, entry.args["name"]))


def _home_span(entry: Entry) -> tuple[int, int, int]:
    if "prefix" in entry.args:
        return _span(entry.args["prefix"])
    first, last = (int.from_bytes(each, "big") for each in address_range(entry.args)[2:])
    return 4, first, last


#: What a subscriber's section says that others have to agree with: line, path, value.
Claims = tuple[tuple[int, str, Any], ...]

_CLAIMS = (
    ("delegated-prefix", "prefix"),
    ("mobile-network-prefix", "prefix"),
    ("delegation_pool", "delegation_pool"),
    ("default_service", "default_service"),
)


def _claims(subscriber: Section) -> Claims:
    found = tuple(
        (entry.line, path, entry.args[key]) for path, key in _CLAIMS for entry in subscriber.entries(path)
    )
    if found:
        allowed = tuple(entry.args["service"] for entry in subscriber.entries("allowed-service"))
        return (*found, (0, "name", subscriber.name), (0, "allowed", allowed))
    return ()


def _subscribers(context: Outline, memory: Memory) -> Iterator[Fault]:
    """A delegated prefix is one subscriber's, its pool exists, its default service is one that it may use."""
    found = [*context.all(DEFAULT), *context.all("subscriber")]
    claims = memory.each(("option claims", context.name), found, _claims)
    pools = tuple(context.entries("prefix-delegation pool"))

    def check() -> list[Fault]:
        names = {entry.args["name"] for entry in pools}
        return list(_contested([each for each in claims if each], names))

    yield from memory.once(("option faults", context.name), (claims, *pools), check)


def _contested(claims: list[Claims], pools: set[str]) -> Iterator[Fault]:
    taken: dict[tuple[bytes, int], str] = {}
    for *wanted, (_, _, mn_id), (_, _, allowed) in claims:
        title = f"subscriber {mn_id or 'default'}"
        for line, path, value in wanted:
            if path == "delegation_pool":
                if value not in pools:
                    yield line, f"{title}: no prefix-delegation pool '{value}' in its context"
            elif path == "default_service":
                if allowed and value not in allowed:
                    yield line, f"{title}: default-service {value} is no allowed-service"
            elif not mn_id:
                yield line, f"{title}: a fixed assignment needs a subscriber name"
            else:
                if value in taken:
                    yield line, f"{title}: delegated to subscriber {taken[value]} already"
                taken.setdefault(value, mn_id)


def _services(context: Outline) -> Iterator[Fault]:
    """Pools that a service names exist."""
    profiles = context.all("service-profile")
    if not profiles:
        return
    names = {
        path: {entry.args.get(key) for entry in context.entries(pool) for key in ("name", "group")}
        for path, pool in (("prefix_pool", "ipv6 pool"), ("address_pool", "ip pool"))
    }
    for profile in profiles:
        for path, known in names.items():
            for entry in profile.entries(path):
                if entry.args[path] not in known:
                    text = f"no pool or group '{entry.args[path]}' in its context"
                    yield entry.line, f"service-profile {profile.name}: {text}"


def _anchor(service: Section, bound: dict[bytes, str]) -> Iterator[Fault]:
    title = f"lma-service {service.name}"
    for entry in service.entries("redirect target"):
        address, also = entry.args["address"], entry.args.get("also")
        if title in (bound.get(address), bound.get(also or address)):
            yield entry.line, f"{title}: it cannot redirect to itself"
        if also is not None and len(also) == len(address):
            yield entry.line, f"{title}: 'also' wants the address of the other family, IPv6 or IPv4"
    for entry in service.entries("user_plane_address"):
        for field in ("user_plane_address", "user_plane_ipv4"):
            if entry.args.get(field) in bound:
                owner = bound[entry.args[field]]
                yield entry.line, f"{title}: the user-plane address is bound by {owner} already"
        if not service.entries("bind"):
            yield entry.line, f"{title}: a user-plane address needs a bind address"


#: One of these at least makes a request.
QOS_WISHES = {"bandwidth_up", "bandwidth_down", "dscp", "priority"}


def _gateway(service: Section) -> Iterator[Fault]:
    title = f"mag-service {service.name}"
    links = {entry.args["name"] for entry in service.entries("access-interface")}
    for entry in service.entries("access-network"):
        args = entry.args
        if args["interface"] not in links:
            yield entry.line, f"{title}: '{args['interface']}' is no access-interface of this service"
        both = len(args.get("network", "").encode()) + len(args.get("access_point", "").encode())
        if both > LONGEST_NAMES:
            text = f"network-name and access-point have {both} octets, {LONGEST_NAMES} are allowed"
            yield entry.line, f"{title}: {text}"
        if "access_point" in args and "network" not in args:
            yield entry.line, f"{title}: an access-point needs a network-name"
        if abs(args.get("latitude", 0)) > 90 * DEGREE or abs(args.get("longitude", 0)) > 180 * DEGREE:
            yield entry.line, f"{title}: geo-location outside of -90 to 90, -180 to 180 degrees"
        if len(args) == 1:
            text = "access-network says nothing: add network-name, geo-location or operator"
            yield entry.line, f"{title}: {text}"
    for entry in service.entries("qos-request"):
        if not entry.args.keys() & QOS_WISHES:
            text = "qos-request asks for nothing: add bandwidth-up, bandwidth-down, dscp or priority"
            yield entry.line, f"{title}: {text}"


def delegation_networks(settings: LmaSettings) -> list[tuple[bytes, int]]:
    """What has to be routed to the tunnel device for networks behind mobile nodes.

    Delegated prefixes (RFC 7148 section 5.2.3, RFC 6276), and those of mobile routers (RFC 3963 section 6.3).
    """
    networks: list[tuple[bytes, int]] = []
    routers = settings.mipv6 and settings.mipv6_mobile_routers
    if routers:
        networks += [pair for profile in settings.profiles for pair in profile.network_prefixes]
    if settings.prefix_delegation or (routers and settings.mipv6_prefix_delegation):
        networks += [pool.network for pool in settings.delegation_pools]
        networks += [pair for profile in settings.profiles for pair in profile.delegated]
    return networks

