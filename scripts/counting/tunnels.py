"""Packets of mobile nodes through tunnels, of every encapsulation, and what goes wrong with them.

Octets are those of the outer packet: outer header, shim and inner packet.
"""

from scripts.counting import wire
from scripts.counting.cases import RECEIVED, SENT, TOO_BIG, Measured, Moves, Steps, case
from scripts.counting.gateway import Mobile
from scripts.counting.world import MOBILE_PORT, PORT, World
from scripts.labnet import LabError

PAYLOAD = b"counted from outside"
#: The gateway's GRE key: that of packets to the mobile.
DOWNLINK = 0x1001
OUTER = {6: 40, 4: 20}


def carried(way: str, name: str, octets: int) -> Moves:
    """One packet of an encapsulation, ``octets`` with its outer header."""
    return {f"{way}/total-packets/{name}": 1, f"{way}/total-bytes/{name}": octets}


def rows(way: str, name: str) -> tuple[str, str]:
    """The counters of an encapsulation."""
    return f"{way}/total-packets/{name}", f"{way}/total-bytes/{name}"


def inner(world: World, mobile: Mobile, version: int, payload: bytes = PAYLOAD) -> bytes:
    """A datagram of a mobile to the correspondent."""
    source = mobile.host if version == 6 else mobile.address
    target = world.cn.address if version == 6 else world.cn.address4
    return wire.udp_packet(source, target, (MOBILE_PORT, PORT), payload)


def upward(world: World, mobile: Mobile, version: int, outer: int, protocol: int, shim: bytes = b"") -> int:
    """Send a mobile's datagram through the tunnel, see it arrive; returns the octets of the outer packet."""
    packet = inner(world, mobile, version)
    world.mag1.tunnel(outer, protocol, shim + packet)
    heard = world.cn.hear(16 if version == 6 else 4)
    if heard != PAYLOAD:
        raise LabError(f"the correspondent heard {heard!r}")
    return OUTER[outer] + (8 if protocol == wire.UDP else 0) + len(shim) + len(packet)


def downward(world: World, mobile: Mobile, version: int, outer: int, protocol: int, shim: bytes = b"") -> int:
    """Send a datagram to a mobile, see it come out of the tunnel; returns the octets of the outer packet."""
    size = world.cn.send(mobile.host if version == 6 else mobile.address, PAYLOAD)
    got = world.mag1.tunnelled(outer, protocol)
    if got[: len(shim)] != shim or got[len(shim)] >> 4 != version or not got.endswith(PAYLOAD):
        raise LabError(f"out of the tunnel came {got.hex()}")
    if len(got) != len(shim) + size:
        raise LabError(f"{len(got)} octets came out of the tunnel, not {len(shim) + size}")
    return OUTER[outer] + (8 if protocol == wire.UDP else 0) + len(got)


def with_keys(world: World) -> Mobile:
    """A mobile with both families behind GRE over IPv6, keys in both directions (RFC 5845)."""
    option = (wire.GRE_KEY, b"\0\0" + DOWNLINK.to_bytes(4, "big"))
    mobile = world.attached(ipv4=True, extra=[option])
    if mobile.key is None:
        raise LabError("the anchor gave no GRE key")
    return mobile


@case("plain", shows=rows(RECEIVED, "6in6"))
def six_in_six_up(world: World) -> Measured:
    """An IPv6 datagram of a mobile node in IPv6 reaches the correspondent"""
    mobile = world.attached()
    yield
    return carried(RECEIVED, "6in6", upward(world, mobile, 6, 6, wire.IPV6))


@case("plain", shows=rows(RECEIVED, "4in6"))
def four_in_six_up(world: World) -> Measured:
    """An IPv4 datagram of a mobile node in IPv6 reaches the correspondent"""
    mobile = world.attached(ipv4=True)
    yield
    return carried(RECEIVED, "4in6", upward(world, mobile, 4, 6, wire.IPIP))


@case("plain", shows=rows(RECEIVED, "ipv6-gre-ipv4"))
def gre_four_up(world: World) -> Measured:
    """An IPv4 datagram of a mobile node in GRE over IPv6, with the key that the anchor gave"""
    mobile = with_keys(world)
    yield
    size = upward(world, mobile, 4, 6, wire.GRE, wire.gre_header(4, mobile.key))
    return carried(RECEIVED, "ipv6-gre-ipv4", size)


@case("plain", shows=rows(RECEIVED, "ipv6-gre-ipv6"))
def gre_six_up(world: World) -> Measured:
    """An IPv6 datagram of a mobile node in GRE over IPv6, with the key that the anchor gave"""
    mobile = with_keys(world)
    yield
    size = upward(world, mobile, 6, 6, wire.GRE, wire.gre_header(6, mobile.key))
    return carried(RECEIVED, "ipv6-gre-ipv6", size)


@case("plain", shows=rows(SENT, "6in6"))
def six_in_six_down(world: World) -> Measured:
    """An IPv6 datagram of the correspondent comes to the gateway in IPv6"""
    mobile = world.attached()
    yield
    return carried(SENT, "6in6", downward(world, mobile, 6, 6, wire.IPV6))


@case("plain", shows=rows(SENT, "4in6"))
def four_in_six_down(world: World) -> Measured:
    """An IPv4 datagram of the correspondent comes to the gateway in IPv6"""
    mobile = world.attached(ipv4=True)
    yield
    return carried(SENT, "4in6", downward(world, mobile, 4, 6, wire.IPIP))


@case("plain", shows=rows(SENT, "ipv6-gre-ipv4"))
def gre_four_down(world: World) -> Measured:
    """An IPv4 datagram of the correspondent comes in GRE over IPv6, with the gateway's key"""
    mobile = with_keys(world)
    yield
    size = downward(world, mobile, 4, 6, wire.GRE, wire.gre_header(4, DOWNLINK))
    return carried(SENT, "ipv6-gre-ipv4", size)


@case("plain", shows=rows(SENT, "ipv6-gre-ipv6"))
def gre_six_down(world: World) -> Measured:
    """An IPv6 datagram of the correspondent comes in GRE over IPv6, with the gateway's key"""
    mobile = with_keys(world)
    yield
    size = downward(world, mobile, 6, 6, wire.GRE, wire.gre_header(6, DOWNLINK))
    return carried(SENT, "ipv6-gre-ipv6", size)


# Errors.


@case("plain", {f"{RECEIVED}/errors/protocol-type-error": 1})
def four_as_six(world: World) -> Steps:
    """A tunnel packet that announces IPv6 and has IPv4 inside"""
    mobile = world.attached(ipv4=True)
    yield
    packet = inner(world, mobile, 4)
    world.mag1.wrong.append(packet)
    world.mag1.tunnel(6, wire.IPV6, packet)


@case("plain", {f"{RECEIVED}/errors/protocol-type-error": 1})
def gre_of_something(world: World) -> Steps:
    """A GRE packet with a protocol type that is neither IPv4 nor IPv6"""
    yield
    packet = b"\0\0\x88\x0bno packet"
    world.mag1.wrong.append(packet)
    world.mag1.tunnel(6, wire.GRE, packet)


@case("plain", {f"{RECEIVED}/errors/invalid-pkt-length": 1})
def cut_off(world: World) -> Steps:
    """A tunnel packet whose inner packet is shorter than its header says"""
    mobile = world.attached()
    yield
    packet = inner(world, mobile, 6)[:-7]
    world.mag1.wrong.append(packet)
    world.mag1.tunnel(6, wire.IPV6, packet)


@case("plain", {f"{RECEIVED}/errors/no-session-found": 1})
def nobody(world: World) -> Steps:
    """A tunnel packet of a mobile node that has no session"""
    mobile = world.attached()
    mobile.prefix = mobile.prefix[:6] + b"\xfe\xfe" + mobile.prefix[8:]
    yield
    world.mag1.tunnel(6, wire.IPV6, inner(world, mobile, 6))


@case("plain", {f"{RECEIVED}/errors/no-session-found": 1})
def other_gateway(world: World) -> Steps:
    """A tunnel packet of a mobile node from a gateway that does not serve it"""
    mobile = world.attached()
    yield
    world.mag2.tunnel(6, wire.IPV6, inner(world, mobile, 6))


@case("plain", {f"{RECEIVED}/errors/no-session-found": 1})
def wrong_key(world: World) -> Steps:
    """A GRE packet of a mobile node with a key that is not the anchor's"""
    mobile = with_keys(world)
    yield
    assert mobile.key is not None
    world.mag1.tunnel(6, wire.GRE, wire.gre_header(6, mobile.key ^ 1) + inner(world, mobile, 6))


# Errors that come back about what the anchor has sent.


def quoted(world: World, mobile: Mobile, size: int = 1400) -> bytes:
    """The beginning of a tunnel packet that the anchor may have sent, as an ICMPv6 error quotes it."""
    packet = wire.udp_packet(world.cn.address, mobile.host, (PORT, MOBILE_PORT), bytes(size - 48))
    return wire.ip_packet(world.mag1.anchor, world.mag1.address, wire.IPV6, packet)[:1200]


def tell(world: World, message: bytes) -> None:
    """Send an ICMPv6 message to the anchor."""
    world.mag1.icmp.sendto(message, (LMA, 0))


LMA = "2001:db8:ffff::1"


@case("plain", {f"{TOO_BIG}-rcvd": 1, f"{TOO_BIG}-relayed": 1})
def too_big(world: World) -> Steps:
    """An ICMPv6 Packet Too Big about a tunnel packet: the correspondent is told"""
    mobile = world.attached()
    yield
    tell(world, wire.packet_too_big(1400, quoted(world, mobile)))


@case("plain", {f"{TOO_BIG}-rcvd": 1, f"{TOO_BIG}-dropped": 1}, shows=(f"{TOO_BIG}-dropped",))
def too_big_nobody(world: World) -> Steps:
    """An ICMPv6 Packet Too Big about a packet to a mobile node that has no session"""
    mobile = world.attached()
    mobile.prefix = mobile.prefix[:6] + b"\xfd\xfd" + mobile.prefix[8:]
    yield
    tell(world, wire.packet_too_big(1400, quoted(world, mobile)))
