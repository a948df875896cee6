"""What a home agent says to mobile routers (RFC 3963), hosts with several care-of addresses (RFC 5648), and
hosts in IPv4 networks or with IPv4 home addresses (RFC 5555): each status of theirs."""

import select
import socket
from dataclasses import dataclass
from typing import Any

from scripts.counting import wire
from scripts.counting.agent import LINK, OTHER, bound, newcomer, status
from scripts.counting.cases import ADMIN, DENY, Steps, accepted, case, denied, plus, times
from scripts.counting.gateway import PATIENCE, Answer, Gateway, inside
from scripts.counting.hosts import KEY, PLAIN, SECOND, SPI, Host
from scripts.counting.statuses import BINDING, IPV4
from scripts.counting.world import World
from scripts.labnet import LabError

ROUTER = PLAIN | wire.R
NETWORK = "2001:db8:1:f000::"
#: Flags of a Binding Identifier option: the care-of address is the home address (H).
AT_HOME = 0x80
_MAPPED = bytes(10) + b"\xff\xff"


def several(*numbers: int) -> tuple[str, ...]:
    """Statuses of Binding Identifier options."""
    return tuple(f"{BINDING}/{number}" for number in numbers)


def ipv4(*numbers: int) -> tuple[str, ...]:
    """Statuses of IPv4 Address Acknowledgement options."""
    return tuple(f"{IPV4}/{number}" for number in numbers)


@dataclass
class Roamer(Host):
    """A host in an IPv4 network: everything goes in UDP, from a port of the first gateway's address.

    ``own`` is what it says is its address: another one than that of the packets means a NAT.
    """

    own: bytes = b""
    socket: Any = None

    def signal(self, mh: bytes) -> None:
        """Send a mobility message inside UDP (RFC 5555 section 4.1)."""
        agent = self.world.mag1.anchor
        packet = wire.ip_packet(self.home, agent, wire.MH, wire.sealed(mh, self.home, agent))
        self.tell(packet)

    def tell(self, packet: bytes) -> None:
        """Send a packet inside UDP."""
        target = socket.inet_ntop(socket.AF_INET, self.world.mag1.anchor4)
        self.socket.sendto(packet, (target, wire.HOST_PORT))

    def update(self, seconds: int, flags: int, options: list[wire.Option], proofs: list[Any]) -> None:
        """Send a Binding Update that says its own address, unless a Binding Identifier option does."""
        self.sequence += 1
        place = [(wire.IPV4_CARE_OF, b"\0\0" + self.own)]
        if any(code == wire.BID for code, _ in options):
            place = []
        mh = wire.update(self.sequence, flags, seconds, [wire.nai(self.nai), *options, *place])
        self.signal(wire.authenticated(mh, proofs, _MAPPED + self.own, self.home))

    def hear(self) -> bytes:
        """The next packet that comes in UDP."""
        if not select.select([self.socket], [], [], PATIENCE)[0]:
            raise LabError(f"nothing came to the host in UDP within {PATIENCE:g} s")
        found: bytes = self.socket.recv(4096)
        return found

    def answer(self) -> Answer:
        """The next packet is a Binding Acknowledgement."""
        packet = self.hear()
        if packet[6] != wire.MH or packet[42] != wire.ACKNOWLEDGEMENT:
            raise LabError(f"no acknowledgement came in UDP, but {packet.hex()}")
        self.world.heard.append(packet[40:])
        return Gateway.read_answer(packet[40:])


def roamer(world: World, nat: bool = False) -> Roamer:
    """A host in an IPv4 network."""
    plain = newcomer(world)
    with inside(world.lab, "mag1"):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((socket.inet_ntop(socket.AF_INET, world.mag1.ipv4), 0))
    world.on_close(sock.close)
    own = wire.packed("192.168.7.7") if nat else world.mag1.ipv4
    return Roamer(world, plain.nai, plain.home, world.mag1.ipv4, own=own, socket=sock)


# Mobile routers.


@case("agent", accepted("initial"))
def agent_router_registers(world: World) -> Steps:
    """Binding Update of a mobile router that names its network"""
    one = newcomer(world)
    lines = "permission mobile-router", f"mobile-network-prefix {NETWORK}/56"
    world.configure_context(f"subscriber name {one.nai}", *lines, "exit")
    yield
    one.register(flags=ROUTER, options=[wire.network(NETWORK, 56)])


@case("agent", times(4, denied("initial", OTHER)), statuses=status(140, 141, 142, 143))
def agent_router_refused(world: World) -> Steps:
    """Mobile routers without home registration, with a prefix that cannot be, with another's, with none"""
    one = newcomer(world)
    world.configure_context(f"subscriber name {one.nai}", "permission mobile-router", "exit")
    yield
    one.register(flags=wire.A | wire.R, options=[wire.network(NETWORK, 56)], status=140)
    one.register(flags=ROUTER, options=[wire.network(NETWORK, 0)], status=141)
    one.register(flags=ROUTER, options=[wire.network(NETWORK, 56)], status=142)
    one.register(flags=ROUTER, status=143)


# Several care-of addresses.


@case("agent", accepted("initial"), accepted("refresh"), statuses=(*status(4, 5), *several(0, 5, 167)))
def agent_several_in_part(world: World) -> Steps:
    """Binding Identifiers of which one is at home, and of which one is not known"""
    one = newcomer(world)
    yield
    one.register(options=[wire.bid(1, one.care_of), wire.bid(2, b"", AT_HOME)], status=5)
    one.register(options=[wire.bid(1, one.care_of), wire.bid(3)], status=4)


@case("agent", accepted("initial"), times(3, accepted("refresh")), statuses=several(130, 164, 166, 168))
def agent_several_each(world: World) -> Steps:
    """Binding Identifiers of which one is malformed, one too many, one of IPv4 not alone, or not wanted"""
    one = newcomer(world)
    mine = wire.bid(1, one.care_of)
    address = wire.packed("198.51.100.99")
    yield
    one.register(options=[mine, wire.bid(0, one.care_of)], status=4)
    one.register(options=[mine, *(wire.bid(each, one.care_of) for each in (2, 3, 4))], status=4)
    one.register(options=[mine, wire.bid(2, address), wire.bid(5, address)], status=4)
    world.configure("no dual-stack")
    one.register(options=[mine, wire.bid(6, address)], status=4)
    world.configure("dual-stack")


@case("agent", accepted("initial"), accepted("dereg"), statuses=several(133, 169))
def agent_several_not_there(world: World) -> Steps:
    """Binding Identifiers of which one is at home where that is not wanted; one leaves that never came"""
    one = newcomer(world)
    world.configure("no home-and-foreign")
    second = wire.bid(3, wire.packed(SECOND))
    yield
    one.register(options=[wire.bid(1, one.care_of), second, wire.bid(2, b"", AT_HOME)], status=4)
    one.register(0, options=[wire.bid(3), wire.bid(7)], status=4)
    world.configure("home-and-foreign")


@case(
    "agent",
    times(2, denied("initial", OTHER)),
    denied("refresh", OTHER),
    denied("initial", f"{DENY}/mcoa-unknown-coa"),
    statuses=status(164, 165, 167, 169),
)
def agent_several_refused(world: World) -> Steps:
    """Binding Identifiers of which none can be: malformed, only at home, not known; a plain binding exists"""
    one, plain = newcomer(world), bound(world)
    yield
    one.register(options=[wire.bid(0, one.care_of)], status=164)
    one.register(options=[wire.bid(1, b"", AT_HOME)], status=169)
    plain.register(options=[wire.bid(1, plain.care_of)], status=165)
    one.register(options=[wire.bid(7)], status=167)


@case("agent", times(2, denied("initial", OTHER)), statuses=status(166, 168))
def agent_several_not_wanted(world: World) -> Steps:
    """Binding Identifiers where the operator wants one at a time, or none"""
    one = newcomer(world)
    yield
    world.configure("multiple-care-of-addresses single")
    one.register(options=[wire.bid(1, one.care_of), wire.bid(2, wire.packed(SECOND))], status=168)
    world.configure("multiple-care-of-addresses prohibited")
    one.register(options=[wire.bid(1, one.care_of)], status=166)
    world.configure("default multiple-care-of-addresses")


# IPv4.


@case("agent", accepted("initial"), statuses=ipv4(0))
def agent_ipv4_home(world: World) -> Steps:
    """Binding Update that asks for any IPv4 home address"""
    one = newcomer(world)
    yield
    one.register(options=[wire.ipv4_home()])
    if not one.address:
        raise LabError("no IPv4 home address was given")


@case("agent", accepted("initial"), statuses=ipv4(128, 130, 131, 133))
def agent_ipv4_denied(world: World) -> Steps:
    """Binding Update that asks for IPv4 addresses: of no length, of no pool, multicast; and for a prefix"""
    one = newcomer(world)
    yield
    wishes = [
        wire.ipv4_home(length=0), wire.ipv4_home("192.0.2.9"), wire.ipv4_home("224.0.0.9"),
        wire.ipv4_home(length=29, prefix=True),
    ]  # fmt: skip
    one.register(options=wishes)


@case("agent", accepted("initial"), statuses=ipv4(129))
def agent_ipv4_prohibited(world: World) -> Steps:
    """Binding Update that asks for an IPv4 home address that its profile does not allow"""
    one = newcomer(world)
    world.configure_context(f"subscriber name {one.nai}", "no ipv4 access", "exit")
    yield
    one.register(options=[wire.ipv4_home()])


@case("agent", times(2, accepted("initial")), statuses=ipv4(132))
def agent_ipv4_exhausted(world: World) -> Steps:
    """Binding Updates that ask for an IPv4 home address out of a pool of one"""
    hosts = newcomer(world), newcomer(world)
    for one in hosts:
        lines = "ipv4 access", "ip address pool name FEW4"
        world.configure_context(f"subscriber name {one.nai}", *lines, "exit")
    yield
    for one in hosts:
        one.register(options=[wire.ipv4_home()])


@case("agent", accepted("initial"))
def agent_in_ipv4(world: World) -> Steps:
    """Binding Update inside UDP of a host in an IPv4 network: no NAT is found"""
    one = roamer(world)
    yield
    answer = one.register()
    if answer.options.get(wire.NAT_DETECTION) is None:
        raise LabError("the answer has no NAT Detection option")


@case("agent", plus(accepted("initial"), accepted("handoff")))
def agent_behind_nat(world: World) -> Steps:
    """Binding Update inside UDP of a host behind a NAT; then it is in an IPv6 network"""
    one = roamer(world, nat=True)
    yield
    keepalive = one.register().options.get(wire.NAT_DETECTION, b"")[2:]
    if not 0 < int.from_bytes(keepalive, "big") < 0xFFFFFFFF:
        raise LabError("the host is not told to keep the NAT's mapping alive")
    home = wire.packed(LINK)[:8] + one.home[8:]
    Host(world, one.nai, home, wire.packed(SECOND), one.sequence).register()


@case("agent", denied("initial", f"{ADMIN}/policy-rejected"))
def agent_forced_refused(world: World) -> Steps:
    """Binding Update that wants UDP forced where the operator does not accept that"""
    one = roamer(world)
    world.configure("udp-encapsulation nat-only")
    yield
    one.register(flags=PLAIN | wire.F, proofs=[(1, SPI, KEY)], status=129)
    world.configure("default udp-encapsulation")
