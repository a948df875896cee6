"""Accepted updates, and how sessions end."""

from scripts.counting import wire
from scripts.counting.cases import ACK, ENDED, Measured, Steps, accepted, case, denied, plus
from scripts.counting.world import World
from scripts.labnet import LMA_ADDRESS

DENY = "binding-update-deny-reasons"


@case("plain", accepted("initial"))
def attach(world: World) -> Steps:
    """Proxy Binding Update of a mobile node that is new"""
    mobile = world.mobile()
    yield
    world.mag1.register(mobile)


@case("plain", accepted("refresh"))
def refresh(world: World) -> Steps:
    """Proxy Binding Update with Handoff Indicator 5 from the serving gateway"""
    mobile = world.attached()
    yield
    world.mag1.register(mobile, 5)


@case("plain", accepted("handoff"))
def handover(world: World) -> Steps:
    """Proxy Binding Update with Handoff Indicator 3 from another gateway"""
    mobile = world.attached()
    yield
    world.mag2.register(mobile, 3)


@case("plain", accepted("dereg"), {f"{ENDED}/deregistrations": 1})
def deregister(world: World) -> Steps:
    """Proxy Binding Update with lifetime 0 from the serving gateway"""
    mobile = world.attached()
    yield
    world.mag1.register(mobile, 4, 0)


@case("plain", accepted("initial"))
def retransmitted(world: World) -> Measured:
    """The same Proxy Binding Update again, octet by octet: answered from store and counted as a refresh"""
    mobile = world.mobile()
    yield
    mh = world.mag1.update(mobile)
    world.mag1.answer()
    world.mag1.send(mh)
    world.mag1.answer()
    return accepted("refresh")


@case("plain", {f"{ENDED}/lifetime-expiry": 1})
def expiry(world: World) -> Steps:
    """Nobody refreshes a session of four seconds"""
    world.attached(seconds=4)
    before = world.counters()[f"{ENDED}/lifetime-expiry"]
    yield
    world.until("the session has expired", lambda: world.counters()[f"{ENDED}/lifetime-expiry"] > before, 8)


@case("plain", {f"{ENDED}/admin-drops": 1})
def cleared(world: World) -> Steps:
    """The operator types `clear lma-service session`"""
    mobile = world.attached()
    yield
    world.type(f"clear lma-service session username {mobile.nai} -noconfirm")


@case("plain", {f"{ENDED}/other-reasons": 1}, denied("refresh", f"{DENY}/service-authorization-failed"))
def service_lost(world: World) -> Steps:
    """A refresh asks for a service that the mobile node may not use: its session goes (RFC 5149)"""
    name = "services@example.org"
    world.configure_context(
        f"subscriber name {name}", "permission pmipv6", "allowed-service internet", "exit"
    )
    mobile = world.attached(name=name, extra=[(wire.SERVICE, b"internet")])
    mobile.extra = [(wire.SERVICE, b"voice")]
    yield
    world.mag1.register(mobile, 5, status=151)


@case("plain", plus({f"{ACK}/send-error": 1}, accepted("initial")))
def send_error(world: World) -> Steps:
    """Proxy Binding Update from an allowed gateway to which the anchor has no route"""
    far = "2001:db8:dead::1"
    world.configure(f"mag-peer {far}")
    mobile = world.mobile()
    yield
    mh = wire.sealed(
        wire.update(1, wire.A | wire.P, 600, world.mag1.options(mobile)), wire.packed(far), world.mag1.anchor
    )
    packet = wire.ip_packet(wire.packed(far), world.mag1.anchor, wire.MH, mh)
    world.mag1.any6.sendto(packet, (LMA_ADDRESS, 0))
