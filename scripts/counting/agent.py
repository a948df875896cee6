"""A ``mipv6ha-service``: hosts register, refresh, move, leave, and are refused for each reason that it has.

The stage of all cases of a home agent; a case says what the hosts are answered with, too.
"""

from scripts.counting import wire
from scripts.counting.aaa import Server
from scripts.counting.cases import (
    ADMIN,
    DENY,
    DISCARD,
    RESOURCE,
    Steps,
    accepted,
    case,
    denied,
    dropped,
    plus,
)
from scripts.counting.hosts import KEY, PLAIN, SECOND, SPI, Cable, Host, host
from scripts.counting.stages import Stage, home_agent
from scripts.counting.statuses import ACK as STATUS
from scripts.counting.world import World
from scripts.labnet import AAA_ADDRESS, LMA_ADDRESS, LabError

#: Inside the correspondent's routes.
LINK = "2001:db8:1:100::"
OTHER = f"{DENY}/other"
BIND = f"bind address {LMA_ADDRESS} ipv4-address 198.51.100.1"


class Site(Cable):
    """The cable of the hosts, and the AAA server."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.server = Server(world)


STAGE = Stage(
    "agent",
    home_agent(
        (
            "home-address-pool HOSTS",
            "home-address-pool TINY",
            "home-address-assignment",
            "home-agent-discovery",
            "home-and-foreign",
            "mobile-routers",
            f"mn-ha-spi spi-number {SPI} secret 0x{KEY.hex()}",
            "simul-bindings 3",
            "revocation enable",
            "aaa group mobile",
            "setup-timeout 2",
        ),
        (
            f"ipv6 pool HOSTS prefix {LINK}/64 delegated-length 128 static",
            "ipv6 pool TINY prefix 2001:db8:1:200::80/128 delegated-length 128 static",
            "ip pool HOME4 203.0.113.0/26 default-router 203.0.113.1",
            "ip pool FEW4 range 203.0.113.128 203.0.113.128 mask-length 25",
            "subscriber default",
            "ipv4 access",
            "exit",
            "diameter endpoint ha-aaa",
            "origin realm example.org",
            f"origin host ha1.example.org address {LMA_ADDRESS}",
            f"peer aaa1.example.org realm example.org address {AAA_ADDRESS}",
            "exit",
            "aaa group mobile",
            "diameter authentication endpoint ha-aaa",
            "exit",
        ),
    ),
    Site,
    "mipv6ha",
    "ha1",
)


def status(*numbers: int) -> tuple[str, ...]:
    """Statuses of acknowledgements."""
    return tuple(f"{STATUS}/{number}" for number in numbers)


def newcomer(world: World, name: str = "") -> Host:
    """A host that the home agent has not seen before."""
    return host(world, name, LINK)


def bound(world: World, name: str = "") -> Host:
    """The same with a binding."""
    found = newcomer(world, name)
    found.register()
    return found


# What is accepted.


@case("agent", accepted("initial"), statuses=status(0))
def agent_registers(world: World) -> Steps:
    """Binding Update of a new host at a home agent"""
    one = newcomer(world)
    yield
    one.register()


@case("agent", accepted("refresh"))
def agent_refreshes(world: World) -> Steps:
    """The next Binding Update of the same host at a home agent"""
    one = bound(world)
    yield
    one.register()


@case("agent", accepted("handoff"))
def agent_moves(world: World) -> Steps:
    """Binding Update of a host from another care-of address"""
    one = bound(world)
    one.care_of = wire.packed(SECOND)
    yield
    one.register()


@case("agent", accepted("initial"), statuses=status(1))
def agent_short_prefix(world: World) -> Steps:
    """Binding Update for a longer time than the home prefix is preferred for"""
    one = newcomer(world)
    world.configure("prefix-lifetime preferred 300")
    yield
    one.register(status=1)
    world.configure("default prefix-lifetime preferred")


@case("agent", accepted("initial"), {"messages-to-hosts/home-addresses-assigned": 1})
def agent_assigns(world: World) -> Steps:
    """Binding Update from the unspecified home address: the host gets one"""
    one = newcomer(world)
    one.home = bytes(16)
    yield
    one.register()


# What is refused.


@case("agent", denied("handoff", f"{DENY}/mn-auth-failure"))
def agent_moved_with_wrong_key(world: World) -> Steps:
    """Binding Update from another care-of address whose authenticator is made with another key"""
    one = bound(world)
    one.care_of = wire.packed(SECOND)
    yield
    one.register(proofs=[(1, SPI, b"another key, 16.")], status=146)


@case("agent", denied("initial", f"{DENY}/mn-auth-failure"), statuses=status(146))
def agent_wrong_key(world: World) -> Steps:
    """Binding Update whose MN-HA authenticator is made with another key"""
    one = newcomer(world)
    yield
    one.register(proofs=[(1, SPI, b"another key, 16.")], status=146)


@case("agent", denied("dereg", OTHER), statuses=status(133))
def agent_unknown_leaves(world: World) -> Steps:
    """De-registration of a host that has no binding"""
    one = newcomer(world)
    yield
    one.register(0, status=133)


@case("agent", denied("initial", f"{DENY}/mismatched-id"), statuses=status(144))
def agent_old_message_id(world: World) -> Steps:
    """Binding Update whose Message Identification is an hour old"""
    one = newcomer(world)
    yield
    one.register(options=[(wire.MESSAGE_ID, wire.ntp_field(-3600))], status=144)


@case("agent", denied("initial", f"{DENY}/msg-id-required"), statuses=status(145))
def agent_no_message_id(world: World) -> Steps:
    """Binding Update without a Message Identification where the operator wants one"""
    one = newcomer(world)
    world.configure("timestamp-replay-protection")
    yield
    one.register(status=145)
    world.configure("no timestamp-replay-protection")


@case("agent", denied("initial", f"{DENY}/dad-failed"), statuses=status(134))
def agent_address_in_use(world: World) -> Steps:
    """Binding Update for a home address that another host has bound"""
    owner, thief = bound(world), newcomer(world)
    thief.home = owner.home
    yield
    thief.register(status=134)


@case("agent", denied("initial", f"{DENY}/not-home-subnet"), statuses=status(132))
def agent_elsewhere_at_home(world: World) -> Steps:
    """Binding Update for a home address on no prefix that is served"""
    one = newcomer(world)
    one.home = wire.packed("2001:db8:999::1")
    yield
    one.register(status=132)


@case("agent", denied("refresh", f"{DENY}/sequence-out-of-window"), statuses=status(135))
def agent_old_sequence(world: World) -> Steps:
    """Binding Update whose sequence number is before the last one: the answer tells that one"""
    one = bound(world)
    last, one.sequence = one.sequence, 50
    yield
    if one.register(status=135).sequence != last:
        raise LabError("the answer does not tell the last sequence number")


@case("agent", denied("refresh", f"{DENY}/reg-type-change-disallowed"), statuses=status(139))
def agent_type_change(world: World) -> Steps:
    """Binding Update with the H bit clear of a host that has a home registration"""
    one = bound(world)
    yield
    one.register(flags=wire.A, status=139)


@case("agent", denied("initial", OTHER), statuses=status(174))
def agent_care_of_at_home(world: World) -> Steps:
    """Binding Update whose Alternate Care-of Address is on the home link"""
    one = newcomer(world)
    one.covered = wire.packed(LINK)[:15] + b"\x77"
    yield
    one.register(options=[(wire.ALTERNATE, one.covered)], status=174)


@case("agent", denied("initial", f"{DENY}/proxy-reg-not-enabled"), statuses=status(152))
def agent_refuses_gateways(world: World) -> Steps:
    """Proxy Binding Update of a gateway at a home agent of hosts"""
    yield
    world.mag1.register(world.mobile(), status=152)


@case(
    "agent",
    denied("refresh", f"{DENY}/service-authorization-failed"),
    {"total-disconnects/other-reasons": 1},
    statuses=status(151),
)
def agent_service_lost(world: World) -> Steps:
    """A host asks for a service that it may not use: its binding goes (RFC 5149)"""
    one = newcomer(world, "services@example.org")
    world.configure_context(f"subscriber name {one.nai}", "allowed-service internet", "exit")
    one.register(options=[(wire.SERVICE, b"internet")])
    yield
    one.register(options=[(wire.SERVICE, b"voice")], status=151)


@case("agent", denied("initial", f"{ADMIN}/mn-aaa-auth-option-missing"), statuses=status(129))
def agent_no_mn_aaa(world: World) -> Steps:
    """Binding Update without the MN-AAA option where the first one must have it"""
    one = newcomer(world)
    world.configure("authentication mn-aaa-initial")
    yield
    one.register(status=129)
    world.configure("authentication mn-ha")


@case("agent", denied("initial", f"{ADMIN}/invalid-mn-aaa-option-spi"))
def agent_wrong_mn_aaa_spi(world: World) -> Steps:
    """Binding Update whose MN-AAA option has an SPI that is not accepted"""
    one = newcomer(world)
    yield
    one.register(proofs=[(1, SPI, KEY), (2, 5, KEY)], status=129)


@case("agent", denied("initial", f"{ADMIN}/invalid-mn-ha-option-spi"))
def agent_wrong_mn_ha_spi(world: World) -> Steps:
    """Binding Update whose MN-HA option has an SPI that no key has"""
    one = newcomer(world)
    yield
    one.register(proofs=[(1, 999, KEY)], status=129)


@case("agent", denied("initial", f"{ADMIN}/h-bit-not-set"))
def agent_no_home_registration(world: World) -> Steps:
    """Binding Update with the H bit clear of a host without a binding"""
    one = newcomer(world)
    yield
    one.register(flags=wire.A, status=129)


@case("agent", denied("initial", f"{ADMIN}/hoa-not-authorized"))
def agent_address_of_another(world: World) -> Steps:
    """Binding Update for a home address that a profile gives to another host"""
    one = newcomer(world)
    world.configure_context("subscriber name owner@example.org", f"mipv6-home-address {LINK}99", "exit")
    one.home = wire.packed(f"{LINK}99")
    yield
    one.register(status=129)


@case("agent", denied("initial", f"{ADMIN}/no-permission"))
def agent_no_permission(world: World) -> Steps:
    """Binding Update of a subscriber that may have no binding of hosts"""
    one = newcomer(world, "closed@example.org")
    world.configure_context(f"subscriber name {one.nai}", "no permission mipv6", "exit")
    yield
    one.register(status=129)


@case("agent", denied("initial", f"{ADMIN}/policy-rejected"))
def agent_newcall_rejected(world: World) -> Steps:
    """Binding Update of a new host while `newcall policy reject` is set"""
    world.configure("newcall policy reject")
    yield
    newcomer(world).register(status=129)
    world.configure("newcall policy none")


@case("agent", denied("initial", f"{RESOURCE}/no-session-manager"), statuses=status(130))
def agent_busyout(world: World) -> Steps:
    """Binding Update of a new host while `newcall policy busyout` is set"""
    world.configure("newcall policy busyout")
    yield
    newcomer(world).register(status=130)
    world.configure("newcall policy none")


@case("agent", denied("initial", f"{RESOURCE}/no-memory"))
def agent_no_memory(world: World) -> Steps:
    """Binding Update of a new host while the process has more memory than `max-memory` allows"""
    world.configure("max-memory 64")
    yield
    newcomer(world).register(status=130)
    world.configure("no max-memory")


@case("agent", denied("initial", f"{RESOURCE}/session-manager-rejected"))
def agent_full(world: World) -> Steps:
    """Binding Update of a new host where `max-subscribers` have bindings already"""
    bound(world)
    world.configure(f"{BIND} max-subscribers 1")
    yield
    newcomer(world).register(status=130)
    world.configure(BIND)


@case("agent", denied("initial", f"{RESOURCE}/simul-bindings-exceeded"))
def agent_home_addresses_exceeded(world: World) -> Steps:
    """Binding Update of a host for one more home address than `simul-bindings` allows"""
    one = newcomer(world)
    for last in range(3):
        one.home = one.home[:15] + bytes((0xE0 + last,))
        one.register()
    one.home = one.home[:15] + b"\xef"
    yield
    one.register(status=130)


@case("agent", denied("initial", f"{RESOURCE}/address-alloc-failed"))
def agent_pool_empty(world: World) -> Steps:
    """Binding Update from the unspecified home address while the only address of the host's pool is taken"""
    world.configure_context("subscriber default", "ipv6 address prefix-pool TINY", "exit")
    owner, one = newcomer(world), newcomer(world)
    owner.home = wire.packed("2001:db8:1:200::80")
    owner.register()
    one.home = bytes(16)
    yield
    one.register(status=130)
    world.configure_context("subscriber default", "no ipv6 address prefix-pool", "exit")


# What is dropped.


@case("agent", dropped("checksum-error"))
def agent_checksum(world: World) -> Steps:
    """Binding Update of a host with a wrong checksum"""
    one = newcomer(world)
    yield
    mh = wire.update(1, PLAIN, 600, [wire.nai(one.nai)])
    world.mag1.wrong.append(mh[8:])
    one.send(wire.MH, mh[:4] + b"\x12\x34" + mh[6:])


@case("agent", dropped("decode-failure"))
def agent_overrun(world: World) -> Steps:
    """Binding Update of a host whose last option runs past the end of the message"""
    one = newcomer(world)
    yield
    mh = bytearray(wire.update(1, PLAIN, 600, [(wire.INDICATOR, b"\0\1")]))
    mh[-3] = 99
    world.mag1.wrong.append(bytes(mh[8:]))
    one.signal(bytes(mh))


@case("agent", dropped("invalid-buffer-length"))
def agent_header_length(world: World) -> Steps:
    """Binding Update of a host whose Header Len says more than there is"""
    one = newcomer(world)
    yield
    mh = bytearray(wire.update(1, PLAIN, 600, [wire.nai(one.nai)]))
    mh[1] += 1
    world.mag1.wrong.append(bytes(mh[8:]))
    one.signal(bytes(mh))


@case("agent", dropped("hamgr-not-ready"))
def agent_shut_down(world: World) -> Steps:
    """Binding Update of a host while the operator has shut the home agent down"""
    world.configure("shutdown")
    key = f"{DISCARD}/hamgr-not-ready"
    before = world.counters()[key]
    yield
    newcomer(world).update(600, PLAIN, [], [(1, SPI, KEY)])
    world.until("the update is counted", lambda: world.counters()[key] > before)
    world.configure("no shutdown")


@case("agent", plus({"binding-acknowledgements-sent/send-error": 1}, accepted("initial")))
def agent_send_error(world: World) -> Steps:
    """Binding Update from a care-of address to which the home agent has no route"""
    one = newcomer(world)
    one.care_of = wire.packed("2001:db8:dead::1")
    yield
    one.update(600, PLAIN, [], [(1, SPI, KEY)])


@case("agent", {"total-disconnects/lifetime-expiry": 1})
def agent_expiry(world: World) -> Steps:
    """Nobody refreshes a binding of four seconds"""
    newcomer(world).register(4)
    key = "total-disconnects/lifetime-expiry"
    before = world.counters()[key]
    yield
    world.until("the binding has expired", lambda: world.counters()[key] > before, 8)
