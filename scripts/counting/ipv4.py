"""The anchor over IPv4 transport (RFC 5844 section 4, RFC 5845): in UDP and without."""

from scripts.counting import wire
from scripts.counting.cases import (
    ADMIN,
    RECEIVED,
    SENT,
    Measured,
    Steps,
    accepted,
    case,
    denied,
    plus,
)
from scripts.counting.gateway import Mobile
from scripts.counting.stages import Stage, anchor
from scripts.counting.tunnels import carried, downward, rows, upward
from scripts.counting.world import World
from scripts.labnet import BACKHAUL

STAGE = Stage(
    "ipv4",
    anchor(
        (
            *(f"mag-peer {BACKHAUL[role][1]}" for role in ("mag1", "mag2")),
            "forced-udp-encapsulation",
            "tlv-header",
        )
    ),
)

FORCED = wire.A | wire.P | wire.F


def over_ipv4(world: World, *, forced: bool = False) -> Mobile:
    """A mobile node with both families at a gateway that speaks IPv4; ``forced``: tunnels in UDP."""
    flags = FORCED if forced else wire.A | wire.P
    return world.attached(udp=True, ipv4=True, flags=flags)


@case("ipv4", accepted("initial"))
def attach_over_udp(world: World) -> Steps:
    """Proxy Binding Update in UDP over IPv4"""
    mobile = world.mobile()
    yield
    world.mag1.register(mobile, udp=True, ipv4=True)


@case("ipv4", shows=rows(RECEIVED, "4in4"))
def four_in_four_up(world: World) -> Measured:
    """An IPv4 datagram of a mobile node in IPv4 reaches the correspondent"""
    mobile = over_ipv4(world)
    yield
    return carried(RECEIVED, "4in4", upward(world, mobile, 4, 4, wire.IPIP))


@case("ipv4", shows=rows(RECEIVED, "6in4"))
def six_in_four_up(world: World) -> Measured:
    """An IPv6 datagram of a mobile node in IPv4 reaches the correspondent"""
    mobile = over_ipv4(world)
    yield
    return carried(RECEIVED, "6in4", upward(world, mobile, 6, 4, wire.IPV6))


@case("ipv4", shows=rows(RECEIVED, "ipv4-udp-ipv4"))
def udp_four_up(world: World) -> Measured:
    """An IPv4 datagram of a mobile node in UDP over IPv4 reaches the correspondent"""
    mobile = over_ipv4(world, forced=True)
    yield
    return carried(RECEIVED, "ipv4-udp-ipv4", upward(world, mobile, 4, 4, wire.UDP))


@case("ipv4", shows=rows(RECEIVED, "ipv4-udp-ipv6"))
def udp_six_up(world: World) -> Measured:
    """An IPv6 datagram of a mobile node in UDP over IPv4 reaches the correspondent"""
    mobile = over_ipv4(world, forced=True)
    yield
    return carried(RECEIVED, "ipv4-udp-ipv6", upward(world, mobile, 6, 4, wire.UDP))


@case("ipv4", shows=rows(SENT, "4in4"))
def four_in_four_down(world: World) -> Measured:
    """An IPv4 datagram of the correspondent comes to the gateway in IPv4"""
    mobile = over_ipv4(world)
    yield
    return carried(SENT, "4in4", downward(world, mobile, 4, 4, wire.IPIP))


@case("ipv4", shows=rows(SENT, "6in4"))
def six_in_four_down(world: World) -> Measured:
    """An IPv6 datagram of the correspondent comes to the gateway in IPv4"""
    mobile = over_ipv4(world)
    yield
    return carried(SENT, "6in4", downward(world, mobile, 6, 4, wire.IPV6))


@case("ipv4", shows=rows(SENT, "ipv4-udp-ipv4"))
def udp_four_down(world: World) -> Measured:
    """An IPv4 datagram of the correspondent comes to the gateway in UDP over IPv4"""
    mobile = over_ipv4(world, forced=True)
    yield
    return carried(SENT, "ipv4-udp-ipv4", downward(world, mobile, 4, 4, wire.UDP))


@case("ipv4", shows=rows(SENT, "ipv4-udp-ipv6"))
def udp_six_down(world: World) -> Measured:
    """An IPv6 datagram of the correspondent comes to the gateway in UDP over IPv4"""
    mobile = over_ipv4(world, forced=True)
    yield
    return carried(SENT, "ipv4-udp-ipv6", downward(world, mobile, 6, 4, wire.UDP))


@case("ipv4")
def gre_over_ipv4(world: World) -> Measured:
    """Datagrams of both families in GRE over IPv4, which only the totals have a row for"""
    option = (wire.GRE_KEY, b"\0\0\0\0\x10\1")
    mobile = world.attached(udp=True, ipv4=True, extra=[option])
    yield
    moves = []
    for version in (4, 6):
        shim = wire.gre_header(version, mobile.key)
        moves.append(carried(RECEIVED, "ipv4-gre", upward(world, mobile, version, 4, wire.GRE, shim)))
        shim = wire.gre_header(version, 0x1001)
        moves.append(carried(SENT, "ipv4-gre", downward(world, mobile, version, 4, wire.GRE, shim)))
    return plus(*moves)


@case("ipv4", denied("initial", f"{ADMIN}/policy-rejected"))
def forced_refused(world: World) -> Steps:
    """Proxy Binding Update that wants UDP forced where the operator does not accept that"""
    world.configure("no forced-udp-encapsulation")
    yield
    world.mag1.register(world.mobile(), udp=True, flags=FORCED, status=129)
    world.configure("forced-udp-encapsulation")
