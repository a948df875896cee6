"""Packets of hosts through their tunnels, both ways, in every encapsulation that a home agent has."""

from scripts.counting import wire
from scripts.counting.agent import bound, newcomer
from scripts.counting.agent_answers import Roamer, roamer
from scripts.counting.cases import RECEIVED, SENT, TOO_BIG, Measured, Moves, Steps, case, plus
from scripts.counting.hosts import Host
from scripts.counting.tunnels import OUTER, PAYLOAD, carried, inner, rows
from scripts.counting.world import MOBILE_PORT, PORT, World
from scripts.labnet import LMA_ADDRESS, LabError

_NAMES = {
    (6, 6, False): "6in6", (4, 6, False): "4in6", (6, 4, False): "6in4", (4, 4, False): "4in4",
    (6, 4, True): "ipv4-udp-ipv6", (4, 4, True): "ipv4-udp-ipv4",
}  # fmt: skip


def _away(world: World, outer: int, nat: bool) -> Host:
    """A host with home addresses of both families, in a network of the outer one."""
    one = newcomer(world) if outer == 6 else roamer(world, nat)
    one.register(options=[wire.ipv4_home()])
    return one


def _protocol(version: int) -> int:
    return wire.IPV6 if version == 6 else wire.IPIP


def up(world: World, one: Host, version: int, packet: bytes) -> None:
    """Send a packet into the tunnel."""
    if isinstance(one, Roamer) and one.own != world.mag1.ipv4:
        one.tell(packet)
    elif isinstance(one, Roamer):
        world.mag1.tunnel(4, _protocol(version), packet)
    else:
        whole = wire.ip_packet(one.care_of, world.mag1.anchor, _protocol(version), packet)
        world.mag1.any6.sendto(whole, (LMA_ADDRESS, 0))


def down(world: World, one: Host, version: int) -> bytes:
    """What comes out of the tunnel next."""
    if isinstance(one, Roamer):
        behind = one.own != world.mag1.ipv4
        return one.hear() if behind else world.mag1.tunnelled(4, _protocol(version))
    return one.cable.payload(one.care_of, _protocol(version))


def _both_ways(world: World, one: Host, version: int, outer: int, nat: bool) -> Moves:
    packet = inner(world, one, version)  # type: ignore[arg-type]
    extra = OUTER[outer] + (8 if nat else 0)
    up(world, one, version, packet)
    if world.cn.hear(16 if version == 6 else 4) != PAYLOAD:
        raise LabError("the correspondent heard something else")
    size = world.cn.send(one.home if version == 6 else one.address, PAYLOAD)
    got = down(world, one, version)
    if len(got) != size or not got.endswith(PAYLOAD):
        raise LabError(f"out of the tunnel came {got.hex()}")
    name = _NAMES[version, outer, nat]
    return plus(carried(RECEIVED, name, extra + len(packet)), carried(SENT, name, extra + size))


def _tunnel_case(version: int, outer: int, nat: bool) -> None:
    def deed(world: World) -> Measured:
        one = _away(world, outer, nat)
        yield
        return _both_ways(world, one, version, outer, nat)

    name = _NAMES[version, outer, nat]
    deed.__name__ = f"agent_{name.replace('-', '_')}"
    how = "UDP over IPv4" if nat else f"IPv{outer}"
    deed.__doc__ = f"IPv{version} datagrams of a host and its correspondent go both ways, in {how}"
    case("agent", shows=(*rows(RECEIVED, name), *rows(SENT, name)))(deed)


for _each in _NAMES:
    _tunnel_case(*_each)


@case("agent", {f"{RECEIVED}/errors/protocol-type-error": 1})
def agent_four_as_six(world: World) -> Steps:
    """A tunnel packet of a host that announces IPv6 and has IPv4 inside"""
    one = _away(world, 6, False)
    yield
    packet = inner(world, one, 4)  # type: ignore[arg-type]
    world.mag1.wrong.append(packet)
    up(world, one, 6, packet)


@case("agent", {f"{RECEIVED}/errors/invalid-pkt-length": 1})
def agent_cut_off(world: World) -> Steps:
    """A tunnel packet of a host whose inner packet is shorter than its header says"""
    one = bound(world)
    yield
    packet = inner(world, one, 6)[:-7]  # type: ignore[arg-type]
    world.mag1.wrong.append(packet)
    up(world, one, 6, packet)


@case("agent", {f"{RECEIVED}/errors/no-session-found": 1})
def agent_nobody(world: World) -> Steps:
    """A tunnel packet of a host that has no binding"""
    one = newcomer(world)
    yield
    up(world, one, 6, inner(world, one, 6))  # type: ignore[arg-type]


def _quoted(world: World, one: Host) -> bytes:
    """The beginning of a tunnel packet that the home agent may have sent, as an ICMPv6 error quotes it."""
    packet = wire.udp_packet(world.cn.address, one.home, (PORT, MOBILE_PORT), bytes(1352))
    whole = wire.ip_packet(world.mag1.anchor, one.care_of, wire.IPV6, packet)[:1200]
    return wire.packet_too_big(1400, whole)


@case("agent", {f"{TOO_BIG}-rcvd": 1, f"{TOO_BIG}-relayed": 1})
def agent_too_big(world: World) -> Steps:
    """An ICMPv6 Packet Too Big about a tunnel packet to a host: the correspondent is told"""
    one = bound(world)
    yield
    world.mag1.icmp.sendto(_quoted(world, one), (LMA_ADDRESS, 0))


@case("agent", {f"{TOO_BIG}-rcvd": 1, f"{TOO_BIG}-dropped": 1}, shows=(f"{TOO_BIG}-dropped",))
def agent_too_big_nobody(world: World) -> Steps:
    """An ICMPv6 Packet Too Big about a packet to a host that has no binding"""
    one = newcomer(world)
    yield
    world.mag1.icmp.sendto(_quoted(world, one), (LMA_ADDRESS, 0))
