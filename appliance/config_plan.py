"""What has to be done to get from one configuration to another. Pure: nothing is done here.

::

    running Configuration ─┐
                           ├─ compare ─▶ Plan: addresses, routes, forwarding, services, notes
    wanted Configuration ──┘

A process that boots is the way from the empty configuration to its own.
"""

from collections.abc import Collection, Iterator
from ipaddress import collapse_addresses, ip_network
from typing import Any

from attrs import define, field

from appliance.config import Configuration
from appliance.config_options import delegation_networks
from appliance.protocols.pmipv6.controlled import fault_of
from appliance.protocols.pmipv6.settings import LmaSettings, MagSettings

#: Linux: IFNAMSIZ less the closing zero.
DEVICE_NAME_LENGTH = 15
#: What a service cannot change while it runs: it starts anew.
FIXED = (
    "context", "address", "ipv4_address", "link_local", "link_layer", "user_plane_address", "user_plane_ipv4"
)  # fmt: skip

#: Of the routes of a home link's prefixes: less than the kernel's own for the link (256), so that packets for
#: hosts that are away come to the TUN device, and those for the link by it (``tun/home_exit.py``).
HOME_METRIC = 128

Settings = LmaSettings | MagSettings
Network = tuple[bytes, int]
"""Packed prefix and its length."""
Key = tuple[str, str]
"""Kind (``lma``, ``mipv6ha`` or ``mag``) and name of a service."""
#: Kinds of service that have a tunnel device and routes to it.
ANCHORS = ("lma", "mipv6ha")


@define(slots=True, frozen=True)
class Address:
    """An address that a device is to have."""

    interface: str
    address: bytes
    length: int


@define(slots=True, frozen=True)
class Route:
    """A route to the TUN device of a service, for all that its pools hold."""

    prefix: bytes
    length: int
    service: str
    metric: int = 0
    """0: that of other routes."""

    @property
    def device(self) -> str:
        """Name of the device that it leads to."""
        return device_name(self.service)


@define(slots=True)
class ServiceChange:
    """What happens to one service.

    ``start`` (none ran before), ``stop``, ``restart`` (its sessions end), ``reconfigure`` (it runs on, by
    other settings), or, of a service without a bind address: ``add``, ``remove``, ``replace``.
    """

    key: Key
    action: str
    old: Settings | None
    new: Settings | None

    @property
    def title(self) -> str:
        """As in ``lma-service lma1``."""
        return f"{self.key[0]}-service {self.key[1]}"


@define(slots=True, kw_only=True)
class Plan:
    """A change of the running configuration that has passed every check and is not made yet."""

    base: Configuration
    """What runs while it is planned; it can only be made as long as this runs."""
    configuration: Configuration
    sessions: int = 0
    """How many sessions of mobile nodes it ends."""
    notes: list[str] = field(factory=list)
    """What it does to running services, a line each."""
    services: list[ServiceChange] = field(factory=list)
    addresses_gone: list[Address] = field(factory=list)
    addresses_new: list[Address] = field(factory=list)
    routes_gone: list[Route] = field(factory=list)
    """Those of services that stop or start anew are among them."""
    routes_new: list[Route] = field(factory=list)
    forwarding_gone: list[int] = field(factory=list)
    """IP versions, 4 and 6, that nothing needs to be forwarded any more."""
    forwarding_new: list[int] = field(factory=list)

    def having(self, *actions: str) -> Iterator[ServiceChange]:
        """The services to which one of these happens."""
        return (change for change in self.services if change.action in actions)


def compare(old: Configuration, new: Configuration, dead: Collection[Key] = ()) -> Plan:
    """Everything but the number of sessions and the notes about them, which only the services know.

    ``dead``: services that should run and do not, since they could not be put back after a failure.
    """
    plan = Plan(base=old, configuration=new)
    before, after = services(old), services(new)
    plan.services = [
        change
        for key in [*before, *(key for key in after if key not in before)]
        if (change := _service_change(key, before.get(key), after.get(key), key in dead)) is not None
    ]
    had, wanted = dict.fromkeys(_addresses(old)), dict.fromkeys(_addresses(new))
    plan.addresses_gone = [address for address in had if address not in wanted]
    places = {(address.interface, address.address) for address in plan.addresses_gone}
    # The kernel has an address once for a device: one that was there with two lengths is made again.
    plan.addresses_new = [
        address for address in wanted if address not in had or (address.interface, address.address) in places
    ]
    _plan_routes(plan)
    plan.notes = list(_notes(plan))
    return plan


def services(configuration: Configuration) -> dict[Key, Settings]:
    """The services of a configuration, in the order in which they are shown."""
    found: dict[Key, Settings] = {(each.kind, each.name): each for each in configuration.anchors}
    return found | {("mag", each.name): each for each in configuration.mag_services}


def device_name(service: str) -> str:
    """Name of the TUN device of an LMA service or a home agent."""
    return f"tun-{service}"[:DEVICE_NAME_LENGTH]


def _service_change(key: Key, old: Settings | None, new: Settings | None, dead: bool) -> ServiceChange | None:
    if old == new and not dead:
        return None
    ran, runs = bool(old and old.bound), bool(new and new.bound)
    if ran and runs:
        fixed = [getattr(old, name, None) == getattr(new, name, None) for name in FIXED]
        action = "reconfigure" if all(fixed) and not dead else "restart"
    elif runs:
        action = "start"
    elif ran:
        action = "stop"
    else:
        action = "add" if old is None else "remove" if new is None else "replace"
    return ServiceChange(key, action, old, new)


def _addresses(configuration: Configuration) -> Iterator[Address]:
    for context in configuration.contexts:
        for interface in context.interfaces:
            for address, length in interface.addresses:
                yield Address(interface.name, address, length)


def _plan_routes(plan: Plan) -> None:
    # Without a changed anchor the routes are the same: with many fixed prefixes they take time to work out.
    if not any(change.key[0] in ANCHORS for change in plan.services):
        return
    had = routes(plan.base)
    if list(map(_sources, plan.base.anchors)) == list(map(_sources, plan.configuration.anchors)):
        plan.configuration.derived["routes"] = had
    wanted = routes(plan.configuration)
    anew = {change.key[1] for change in plan.having("restart", "stop") if change.key[0] in ANCHORS}
    plan.routes_gone = [route for route in had if route not in wanted or route.service in anew]
    plan.routes_new = [route for route in wanted if route not in had or route.service in anew]
    families, needed = _families(plan.base), _families(plan.configuration)
    plan.forwarding_gone = sorted(families - needed)
    plan.forwarding_new = sorted(needed - families)


def _sources(settings: LmaSettings) -> tuple[Any, ...]:
    """Everything that the routes of a service come from."""
    pools = settings.prefix_pools, settings.address_pools, settings.profiles
    delegated = settings.prefix_delegation, settings.delegation_pools
    routers = settings.mipv6, settings.mipv6_mobile_routers, settings.mipv6_prefix_delegation
    found = settings.name, settings.bound, settings.redirect_policy, home_networks(settings)
    return *found, *pools, *delegated, *routers


def routes(configuration: Configuration) -> dict[Route, None]:
    """The routes that services need; of services with the same pools the one gets them that assigns."""
    known: dict[Route, None] | None = configuration.derived.get("routes")
    if known is not None:
        return known
    taken: set[Network] = set()
    result: dict[Route, None] = {}
    for settings in sorted(configuration.anchors, key=lambda each: each.redirect_policy == "always"):
        if not settings.bound:
            continue
        at_home = home_networks(settings)
        for network in (*at_home, *outermost(_networks(settings))):
            if network not in taken:
                taken.add(network)
                result[Route(*network, settings.name, HOME_METRIC if network in at_home else 0)] = None
    configuration.derived["routes"] = result
    return result


def home_networks(settings: LmaSettings) -> tuple[Network, ...]:
    """What is on the real home link of a service."""
    if not settings.mipv6 or not settings.mipv6_home_link:
        return ()
    return tuple(
        (pool.prefix, pool.prefix_length)
        for pool in settings.prefix_pools
        if pool.name in settings.mipv6_pools
    )


def _networks(settings: LmaSettings) -> list[Network]:
    """The pools, and the prefixes of profiles that lie outside of them."""
    pools = [(pool.prefix, pool.prefix_length) for pool in settings.prefix_pools]
    fixed = [pair for profile in settings.profiles for pair in profile.prefixes]
    for prefix, length in pools:
        shift, top = 128 - length, int.from_bytes(prefix, "big") >> (128 - length)
        fixed = [pair for pair in fixed if int.from_bytes(pair[0], "big") >> shift != top or pair[1] < length]
    fixed += delegation_networks(settings)
    return [*pools, *fixed, *((pool.network, pool.prefix_length) for pool in settings.address_pools)]


def outermost(networks: list[Network]) -> list[Network]:
    """Leave out what lies inside another network, and join neighbours: one aggregate route is enough."""
    parsed = [ip_network(network) for network in networks]
    keep: list[Network] = []
    for version in (4, 6):
        same: list[Any] = [network for network in parsed if network.version == version]
        keep += [(each.network_address.packed, each.prefixlen) for each in collapse_addresses(same)]
    return keep


def _families(configuration: Configuration) -> set[int]:
    """The IP versions whose packets anchors forward."""
    families: set[int] = set()
    for settings in configuration.anchors:
        if not settings.bound:
            continue
        if settings.prefix_pools or any(profile.prefixes for profile in settings.profiles):
            families.add(6)
        if settings.address_pools:
            families.add(4)
        families.update(6 if len(prefix) == 16 else 4 for prefix, _ in delegation_networks(settings))
        if settings.aaa is not None and settings.aaa.authentication.endpoint:
            # A server may assign addresses of either version.
            families |= {4, 6}
    return families


def _notes(plan: Plan) -> Iterator[str]:
    old, new = plan.base, plan.configuration
    for change in plan.services:
        if change.action == "restart":
            yield f"{change.title} starts anew: its sessions end"
        elif change.action == "stop":
            yield f"{change.title} stops: its sessions end"
        elif change.action == "start":
            yield f"{change.title} starts"
        elif change.action == "reconfigure" and isinstance(change.new, LmaSettings):
            fault = fault_of(change.new)
            if fault and isinstance(change.old, LmaSettings) and not fault_of(change.old):
                text = "every registration is refused from now on, refreshes too"
                yield f"{change.title}: a value of {fault} is 0: {text}"
    if old.control_socket != new.control_socket:
        yield f"the control socket moves to {new.control_socket}; open sessions stay"
    if old.state_directory != new.state_directory:
        yield f"state directory {new.state_directory} is used from the next start on"
