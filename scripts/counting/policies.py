"""What an operator has set makes the anchor refuse, or say nothing."""

from scripts.counting.aaa import REFUSED, VENDOR_3GPP, server
from scripts.counting.cases import (
    ADMIN,
    DISCARD,
    RESOURCE,
    UNSPECIFIED,
    Steps,
    case,
    denied,
    dropped,
)
from scripts.counting.world import World


@case("plain", denied("initial", f"{RESOURCE}/no-session-manager"))
def busyout(world: World) -> Steps:
    """Proxy Binding Update of a new mobile node while `newcall policy busyout` is set"""
    world.configure("newcall policy busyout")
    yield
    world.mag1.register(world.mobile(), status=130)
    world.configure("newcall policy none")


@case("plain", denied("initial", f"{ADMIN}/policy-rejected"), shows=(f"{ADMIN}/policy-rejected",))
def newcall_rejected(world: World) -> Steps:
    """Proxy Binding Update of a new mobile node while `newcall policy reject` is set"""
    world.configure("newcall policy reject")
    yield
    world.mag1.register(world.mobile(), status=129)
    world.configure("newcall policy none")


@case("plain", denied("initial", f"{RESOURCE}/no-memory"))
def no_memory(world: World) -> Steps:
    """Proxy Binding Update of a new mobile node while the process has more memory than `max-memory` allows"""
    world.configure("max-memory 64")
    yield
    world.mag1.register(world.mobile(), status=130)
    world.configure("no max-memory")


@case("plain", denied("initial", f"{RESOURCE}/input-q-exceeded"))
def queue_full(world: World) -> Steps:
    """Proxy Binding Update with Handoff Indicator 4 while `max-pending` others wait for a de-registration"""
    first, second = world.attached(), world.attached()
    world.configure("max-pending 1", "max-delay-before-new-bce-assign 60000")
    world.mag2.update(first, 4, options=_unknown(world, first.nai))
    world.until("one update waits", lambda: world.counters()["binding-updates-received/pending"] == 1)
    yield
    world.mag2.register(second, options=_unknown(world, second.nai), status=130)


def _unknown(world: World, nai: str) -> list[tuple[int, bytes]]:
    """Options of an update that does not know of a session: HI 4, and another interface."""
    stranger = world.mobile(nai)
    return world.mag2.options(stranger, 4)


@case("plain", denied("initial", f"{RESOURCE}/simul-bindings-exceeded"))
def one_session_only(world: World) -> Steps:
    """Proxy Binding Update for a second interface where `simul-bindings` allows one session"""
    mobile = world.attached()
    world.configure("simul-bindings 1")
    yield
    world.mag1.register(world.mobile(mobile.nai), status=130)
    world.configure("default simul-bindings")


@case("plain", denied("initial", f"{ADMIN}/no-permission"))
def no_service(world: World) -> Steps:
    """Proxy Binding Update of a subscriber whose service is not enabled"""
    name = "closed@example.org"
    world.configure_context(f"subscriber name {name}", "no service enable", "exit")
    yield
    world.mag1.register(world.mobile(name), status=129)


@case("plain", dropped("hamgr-not-ready", "initial"))
def shut_down(world: World) -> Steps:
    """Proxy Binding Update while the operator has shut the service down"""
    world.configure("shutdown")
    key = f"{DISCARD}/hamgr-not-ready"
    before = world.counters()[key]
    yield
    world.mag1.update(world.mobile())
    world.until("the update is counted", lambda: world.counters()[key] > before)
    world.configure("no shutdown")


@case("aaa", REFUSED, denied("initial", f"{UNSPECIFIED}/newer-session-detected-by-pcrf"))
def newer_at_pcrf(world: World) -> Steps:
    """A registration older than one that a PCRF knows, which the AAA group names (3GPP 5453)"""
    yield from _newer(world, "pcrf")


@case("aaa", REFUSED, denied("initial", f"{UNSPECIFIED}/newer-session-detected-by-pcs"))
def newer_at_pcs(world: World) -> Steps:
    """A registration older than one that a policy and charging server knows (3GPP 5453)"""
    yield from _newer(world, "pcs")


def _newer(world: World, detector: str) -> Steps:
    mobile = world.mobile()
    server(world).verdicts[mobile.nai] = (VENDOR_3GPP, 5453)
    host = "newer-session host"
    world.configure_group(f"{host} {detector}.example.org detected-by {detector}")
    server(world).reporters[mobile.nai] = f"{detector}.example.org"
    yield
    world.mag1.register(mobile, status=128)


# Congestion control.

_CONTROL = "congestion-control"
_THRESHOLD = f"{_CONTROL} threshold max-sessions-per-service-utilization"
_SMALL = "bind address 2001:db8:ffff::1 ipv4-address 198.51.100.1"


def _congest(world: World, action: str) -> None:
    """Have the anchor be congested: it has more than one per cent of its sessions."""
    world.attached()
    world.configure(f"{_SMALL} max-subscribers 100")
    world.configure_root(_CONTROL, f"{_THRESHOLD} 1", f"{_CONTROL} policy lma-service action {action}")
    world.until("the anchor is congested", lambda: world.show("congestion-control")[0]["congested"])


def _relieve(world: World) -> None:
    world.configure_root(f"no {_THRESHOLD}", f"no {_CONTROL}")
    world.configure(_SMALL)


@case("plain", denied("initial", f"{ADMIN}/congestion-control-denied"))
def congestion_rejected(world: World) -> Steps:
    """Proxy Binding Update of a new mobile node at a congested anchor whose policy is `reject`"""
    _congest(world, "reject")
    yield
    world.mag1.register(world.mobile(), status=129)
    _relieve(world)


@case("plain", dropped("congestion-discarded", "initial"))
def congestion_dropped(world: World) -> Steps:
    """Proxy Binding Update of a new mobile node at a congested anchor whose policy is `drop`"""
    _congest(world, "drop")
    key = f"{DISCARD}/congestion-discarded"
    before = world.counters()[key]
    yield
    world.mag1.update(world.mobile())
    world.until("the update is counted", lambda: world.counters()[key] > before)
    _relieve(world)
