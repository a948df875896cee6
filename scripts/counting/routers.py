"""Mobile routers (RFC 3963) and hosts with several care-of addresses (RFC 5648): each status of theirs.

None of them has a counter of its own but that for an unknown care-of address; they are answered, and counted
among the others.
"""

from scripts.counting import wire
from scripts.counting.cases import DENY, Steps, accepted, case, denied, plus, times
from scripts.counting.hosts import HOME_LINK, KEY, PLAIN, SECOND, SPI, Cable, host, registered
from scripts.counting.stages import Stage, anchor
from scripts.counting.world import World

ROUTER = PLAIN | wire.R
NETWORK = "2001:db8:1:f000::"
OTHER = f"{DENY}/other"
AT_HOME = 0x80

STAGE = Stage(
    "routers",
    anchor(
        (
            "mipv6 enable",
            "mipv6 home-address-pool HOSTS",
            "mipv6 home-and-foreign",
            "mipv6 mobile-routers",
            f"mn-ha-spi spi-number {SPI} secret 0x{KEY.hex()}",
            "simul-bindings 3",
        ),
        (f"ipv6 pool HOSTS prefix {HOME_LINK}/64 delegated-length 128 static",),
    ),
    lambda world: Cable(world),
)


@case("routers", accepted("initial"))
def router_registers(world: World) -> Steps:
    """Binding Update of a mobile router that names its network"""
    one = host(world)
    world.configure_context(
        f"subscriber name {one.nai}", "permission pmipv6", f"mobile-network-prefix {NETWORK}/56", "exit"
    )
    yield
    one.register(flags=ROUTER, options=[wire.network(NETWORK, 56)])


@case("routers", times(4, denied("initial", OTHER)))
def router_refused(world: World) -> Steps:
    """Binding Updates of a mobile router that get the statuses 140, 141, 142 and 143"""
    one = host(world)
    yield
    one.register(flags=wire.A | wire.R, options=[wire.network(NETWORK, 56)], status=140)
    one.register(flags=ROUTER, options=[wire.network(NETWORK, 0)], status=141)
    one.register(flags=ROUTER, options=[wire.network(NETWORK, 56)], status=142)
    one.register(flags=ROUTER, status=143)


@case("routers", plus(accepted("initial"), accepted("refresh")))
def several_in_part(world: World) -> Steps:
    """Binding Identifiers of which one is at home (status 5), and of which one is not known (status 4)"""
    one = host(world)
    yield
    one.register(options=[wire.bid(1, one.care_of), wire.bid(2, b"", AT_HOME)], status=5)
    one.register(options=[wire.bid(1, one.care_of), wire.bid(3)], status=4)


@case("routers", times(2, denied("initial", OTHER)), denied("refresh", OTHER))
def several_refused(world: World) -> Steps:
    """Binding Identifiers that get the statuses 164, 169 and 165"""
    one, plain = host(world), registered(world)
    yield
    one.register(options=[wire.bid(0, one.care_of)], status=164)
    one.register(options=[wire.bid(1, b"", AT_HOME)], status=169)
    plain.register(options=[wire.bid(1, plain.care_of)], status=165)


@case("routers", times(2, denied("initial", OTHER)))
def several_not_wanted(world: World) -> Steps:
    """Binding Identifiers where the operator wants one at a time (status 168), or none (status 166)"""
    one = host(world)
    yield
    world.configure("mipv6 multiple-care-of-addresses single")
    one.register(options=[wire.bid(1, one.care_of), wire.bid(2, wire.packed(SECOND))], status=168)
    world.configure("mipv6 multiple-care-of-addresses prohibited")
    one.register(options=[wire.bid(1, one.care_of)], status=166)
    world.configure("default mipv6 multiple-care-of-addresses")
