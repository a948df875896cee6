"""What a congestion or an AAA server makes a home agent say to hosts."""

from scripts.counting.aaa import ASKED, REFUSED, SILENCE, VENDOR_3GPP, server
from scripts.counting.agent import BIND, OTHER, bound, newcomer, status
from scripts.counting.cases import (
    AAA,
    ADMIN,
    DISCARD,
    RESOURCE,
    UNSPECIFIED,
    Steps,
    accepted,
    case,
    denied,
    dropped,
    times,
)
from scripts.counting.hosts import KEY, PLAIN, SPI
from scripts.counting.world import World
from scripts.labnet import LabError

#: An MN-AAA option alone (RFC 4285 section 5.2).
MN_AAA = [(2, 3, KEY)]


# Congestion control.


def _congest(world: World, action: str) -> None:
    bound(world)
    world.configure(f"{BIND} max-subscribers 100")
    world.configure_root(
        "congestion-control",
        "congestion-control threshold max-sessions-per-service-utilization 1",
        f"congestion-control policy lma-service action {action}",
    )
    world.until("the home agent is congested", lambda: world.show("congestion-control")[0]["congested"])


def _relieve(world: World) -> None:
    threshold = "no congestion-control threshold max-sessions-per-service-utilization"
    world.configure_root(threshold, "no congestion-control")
    world.configure(BIND)


@case("agent", denied("initial", f"{ADMIN}/congestion-control-denied"))
def agent_congestion_rejected(world: World) -> Steps:
    """Binding Update of a new host at a congested home agent whose policy is `reject`"""
    _congest(world, "reject")
    yield
    newcomer(world).register(status=129)
    _relieve(world)


@case("agent", dropped("congestion-discarded"))
def agent_congestion_dropped(world: World) -> Steps:
    """Binding Update of a new host at a congested home agent whose policy is `drop`"""
    _congest(world, "drop")
    key = f"{DISCARD}/congestion-discarded"
    before = world.counters()[key]
    yield
    newcomer(world).update(600, PLAIN, [], [(1, SPI, KEY)])
    world.until("the update is counted", lambda: world.counters()[key] > before)
    _relieve(world)


# What the AAA server has a say in.


@case("agent", ASKED, {f"{AAA}/success": 1}, accepted("initial"))
def agent_granted(world: World) -> Steps:
    """Binding Update with an MN-AAA option that the AAA server accepts"""
    server(world)
    one = newcomer(world)
    yield
    one.register(proofs=MN_AAA)


@case("agent", REFUSED, denied("initial", OTHER))
def agent_unknown_user(world: World) -> Steps:
    """Binding Update of a host that the AAA server does not know (5030): status 133"""
    one = newcomer(world)
    server(world).verdicts[one.nai] = 5030
    yield
    one.register(proofs=MN_AAA, status=133)


def _newer(row: str, detector: str = "") -> None:
    def deed(world: World) -> Steps:
        one = newcomer(world)
        server(world).verdicts[one.nai] = (VENDOR_3GPP, 5453)
        if detector:
            line = f"newer-session host {detector}.example.org detected-by {detector}"
            world.configure_group(line)
            server(world).reporters[one.nai] = f"{detector}.example.org"
        yield
        one.register(proofs=MN_AAA, status=128)

    deed.__name__ = f"agent_newer_at_{detector or 'aaa'}"
    deed.__doc__ = f"Binding Update older than one that the {detector or 'AAA server'} knows (3GPP 5453)"
    case("agent", REFUSED, denied("initial", f"{UNSPECIFIED}/{row}"), statuses=status(128))(deed)


for _row in ("aaa", "pcrf", "pcs"):
    _newer(f"newer-session-detected-by-{_row}", "" if _row == "aaa" else _row)


@case(
    "agent", ASKED, {f"{AAA}/misc-auth-failures": 1}, denied("initial", f"{UNSPECIFIED}/other"),
    {f"{DISCARD}/initial-auth-pending": 1},
)  # fmt: skip
def agent_repeated_meanwhile(world: World) -> Steps:
    """Binding Update that is sent again while the AAA server is silent about it: status 128"""
    one = newcomer(world)
    known = server(world)
    known.verdicts[one.nai] = SILENCE
    yield
    asked = known.asked
    one.update(600, PLAIN, [], MN_AAA)
    world.until("the AAA server has been asked", lambda: known.asked > asked)
    one.update(600, PLAIN, [], MN_AAA)
    world.sleep(2.1)
    if one.answer().status != 128:
        raise LabError("answered with another status than 128")


@case(
    "agent", times(2, ASKED), {f"{AAA}/misc-auth-failures": 1, f"{AAA}/success": 1}, accepted("initial"),
    denied("initial", f"{RESOURCE}/input-q-exceeded"), denied("initial", f"{UNSPECIFIED}/other"),
)  # fmt: skip
def agent_queue_full(world: World) -> Steps:
    """Binding Update while as many as `max-pending` allows wait for the AAA server; later there is room"""
    first, second = newcomer(world), newcomer(world)
    known = server(world)
    known.verdicts[first.nai] = SILENCE
    world.configure("max-pending 1")
    yield
    asked = known.asked
    first.update(600, PLAIN, [], MN_AAA)
    world.until("the AAA server has been asked", lambda: known.asked > asked)
    second.register(proofs=MN_AAA, status=130)
    world.sleep(2.1)
    if first.answer().status != 128:
        raise LabError("answered with another status than 128")
    second.register(proofs=MN_AAA)
    world.configure("default max-pending")
