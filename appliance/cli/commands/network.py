"""Exec commands that show the network of the current context: interfaces, routes, pools."""

from collections.abc import Iterator
from contextlib import aclosing
from typing import Any

from attrs import asdict, define

from appliance.cli.grammar import command
from appliance.cli.render import STEP, Column, Screen, TableScreen, pair, place
from appliance.cli.values import CommandError
from appliance.ports import InterfaceView, PoolView, RouteView

HELP = {
    "interface": "Network devices of this context",
    "ip": "What concerns IPv4",
    "ipv6": "What concerns IPv6",
    "name": "Name of the pool",
    "pool": "Pools that home addresses or prefixes are taken from",
    "pool-name": "One pool by its name",
    "route": "Routes of the kernel by the interfaces of this context",
    "summary": "A line for each",
}

#: Most routes that are shown; a host that has more is a router whose own tools serve better.
MOST_ROUTES = 10_000
#: Routes between two chances for others.
AT_ONCE = 20
#: Columns of ``show ip route``, measured. An IPv6 prefix pushes what follows to the right.
ROUTE_COLUMNS = (1, 21, 38, 49, 54, 59)
#: Precedence, as StarOS and most routers have it; what is not named here comes last.
PRECEDENCE = {"connected": 0, "static": 1, "bgp": 20, "ospf": 110, "isis": 115, "rip": 120}
LAST = 255


def devices(shell: Any, context: str) -> tuple[set[str], set[str]]:
    """The devices of a context, and those of all others."""
    mine: set[str] = set()
    others: set[str] = set()
    for each in shell.system.configuration.contexts:
        (mine if each.name == context else others).update(device.name for device in each.interfaces)
    for service in shell.system.services():
        (mine if service.context == context else others).update(service.devices())
    return mine, others


def belongs(shell: Any) -> Any:
    """Tell which device names the current context has; ``local`` has what no other context has."""
    mine, others = devices(shell, shell.context)
    if shell.context == "local":
        return lambda name: name in mine or name not in others
    return lambda name: name in mine


# ---- interfaces


@define(slots=True)
class InterfaceScreen:
    """A block for each interface."""

    interfaces: list[InterfaceView]
    family: int

    def lines(self, width: int) -> Iterator[str]:
        """Yield name, state and addresses of the family."""
        for number, each in enumerate(self.interfaces):
            if number:
                yield ""
            yield f"Intf Name: {each.name}"
            yield pair("Index", each.index, STEP)
            yield pair("State", each.state, STEP)
            yield pair("MTU", each.mtu, STEP)
            yield pair("Link-Layer Address", each.link_layer or "none", STEP)
            for address in of_family(each.addresses, self.family) or ["none"]:
                yield pair("IP Address" if self.family == 4 else "IPv6 Address", address, STEP)
        if not self.interfaces:
            yield "No interfaces in this context"

    def data(self) -> list[dict[str, Any]]:
        """Return one object for each interface."""
        return [
            {**asdict(each), "addresses": of_family(each.addresses, self.family)} for each in self.interfaces
        ]


def of_family(addresses: tuple[str, ...], family: int) -> list[str]:
    """Those addresses that are of an IP version."""
    return [address for address in addresses if (":" in address) == (family == 6)]


async def interfaces(shell: Any, family: int, summary: bool) -> Screen:
    """The interfaces of the current context, those that the host lacks too."""
    fits = belongs(shell)
    found = [each for each in await shell.system.host.interfaces() if fits(each.name)]
    there = {each.name for each in found}
    for name in sorted(devices(shell, shell.context)[0] - there):
        found.append(InterfaceView(name=name, index=0, state="missing", mtu=0, link_layer=""))
    if not summary:
        return InterfaceScreen(found, family)
    return TableScreen(
        (
            Column("Intf Name", "name"), Column("State", "state"), Column("MTU", "mtu", right=True),
            Column("IP Address" if family == 4 else "IPv6 Address", "addresses"),
        ),
        [
            (each.name, each.state, each.mtu, ", ".join(of_family(each.addresses, family)) or "-")
            for each in found
        ],
        total="Total interface count",
        empty="No interfaces in this context",
    )  # fmt: skip


@command("exec", "show ip interface [ summary ]", help=HELP)
async def _ip_interface(shell: Any, args: dict[str, Any]) -> Screen:
    return await interfaces(shell, 4, "summary" in args)


@command("exec", "show ipv6 interface [ summary ]", help=HELP)
async def _ipv6_interface(shell: Any, args: dict[str, Any]) -> Screen:
    return await interfaces(shell, 6, "summary" in args)


# ---- routes


@define(slots=True)
class RouteScreen:
    """The routes and how many there are of each kind."""

    routes: list[RouteView]
    cut: bool
    """True: the host has more."""

    def lines(self, width: int) -> Iterator[str]:
        """Yield a line for each route, then the counts."""
        yield '"*" indicates the Best or Used route.  S indicates Stale.'
        yield ""
        yield place(ROUTE_COLUMNS, ("Destination", "Nexthop", "Protocol", "Prec", "Cost", "Interface"))
        for route in self.routes:
            nowhere = "::" if ":" in route.destination else "0.0.0.0"
            # The star stands in the first column, before the destination.
            yield place(
                (0, *ROUTE_COLUMNS[1:]),
                (
                    f"*{route.destination}", route.next_hop or nowhere, route.protocol,
                    str(PRECEDENCE.get(route.protocol, LAST)), str(route.cost), route.interface,
                ),
            )  # fmt: skip
        connected = sum(route.protocol == "connected" for route in self.routes)
        static = sum(route.protocol == "static" for route in self.routes)
        others = len(self.routes) - connected - static
        yield ""
        yield f"Total route count : {len(self.routes)}"
        yield f"Unique route count: {len({route.destination for route in self.routes})}"
        # "Other" is ours; it stands there only if a routing daemon or the router advertisements gave some.
        rest = f" Other: {others}" if others else ""
        yield f"Connected: {connected} (Framed Route: 0) Static: {static}{rest}"
        if self.cut:
            yield f"Only the first {MOST_ROUTES} routes are shown"

    def data(self) -> list[dict[str, Any]]:
        """Return one object for each route."""
        return [
            {**asdict(route), "precedence": PRECEDENCE.get(route.protocol, LAST)} for route in self.routes
        ]


async def routes(shell: Any, family: int) -> Screen:
    """The routes that lead to interfaces of the current context."""
    fits = belongs(shell)
    found: list[RouteView] = []
    read = 0
    async with aclosing(shell.system.host.routes(family)) as kernel:
        async for route in kernel:
            read += 1
            if read % AT_ONCE == 0:
                await shell.face.write([])
            if fits(route.interface):
                found.append(route)
            if len(found) == MOST_ROUTES:
                break
    return RouteScreen(found, len(found) == MOST_ROUTES)


@command("exec", "show ip route", help=HELP)
async def _ip_route(shell: Any, _args: dict[str, Any]) -> Screen:
    return await routes(shell, 4)


@command("exec", "show ipv6 route", help=HELP)
async def _ipv6_route(shell: Any, _args: dict[str, Any]) -> Screen:
    return await routes(shell, 6)


# ---- pools


@define(slots=True)
class PoolScreen:
    """A block for each pool."""

    pools: list[PoolView]

    def lines(self, width: int) -> Iterator[str]:
        """Yield where it begins and ends, and how much of it is used."""
        for number, pool in enumerate(self.pools):
            if number:
                yield ""
            yield f"Pool Name: {pool.name}"
            span = f"{pool.first} - {pool.last}" if pool.last else pool.first
            facts = {
                "Context": pool.context,
                "Service": pool.service,
                "Group": pool.group or "none",
                "Type": "static" if pool.static else "dynamic",
                "Prefix" if pool.family == 6 else "Range": span,
                "Delegated Length": pool.length,
                "Size": pool.size,
                "In Use": pool.in_use,
                "Free": pool.size - pool.in_use,
                "Utilization": utilization(pool),
            }
            if pool.family == 4:
                del facts["Delegated Length"]
            for label, value in facts.items():
                yield pair(label, value, STEP)
        if not self.pools:
            yield "No pools in this context"

    def data(self) -> list[dict[str, Any]]:
        """Return one object for each pool."""
        return [{**asdict(pool), "free": pool.size - pool.in_use} for pool in self.pools]


def utilization(pool: PoolView) -> str:
    """Percent of a pool that is in use."""
    return f"{100 * pool.in_use / pool.size if pool.size else 0.0:.2f}%"


def pools(shell: Any, family: int, args: dict[str, Any]) -> Screen:
    """The pools of the services of the current context; in ``local``, those of all contexts."""
    found = [
        pool
        for service in shell.system.services()
        for pool in service.pools()
        if pool.family == family and shell.context in ("local", pool.context)
    ]
    if "name" in args:
        known = sorted({pool.name for pool in found})
        found = [pool for pool in found if pool.name == args["name"]]
        if not found:
            raise CommandError(f"No pool is named {args['name']}; there is {', '.join(known) or 'none'}")
        return PoolScreen(found)
    if "summary" not in args:
        return PoolScreen(found)
    return TableScreen(
        (
            Column("Pool Name", "name"), Column("Service", "service"), Column("Group", "group"),
            Column("Type", "type"), Column("Size", "size", right=True),
            Column("In Use", "in_use", right=True), Column("Free", "free", right=True),
            Column("Utilization", "utilization", right=True),
        ),
        [
            (
                pool.name, pool.service, pool.group or "-", "static" if pool.static else "dynamic",
                pool.size, pool.in_use, pool.size - pool.in_use, utilization(pool),
            )
            for pool in found
        ],
        total="Total Pools",
        empty="No pools in this context",
    )  # fmt: skip


@command("exec", "show ip pool [ summary | pool-name <name:NAME> ]", help=HELP)
def _ip_pool(shell: Any, args: dict[str, Any]) -> Screen:
    return pools(shell, 4, args)


@command("exec", "show ipv6 pool [ summary | pool-name <name:NAME> ]", help=HELP)
def _ipv6_pool(shell: Any, args: dict[str, Any]) -> Screen:
    return pools(shell, 6, args)
