"""Updates that are dropped without an answer."""

from scripts.counting import wire
from scripts.counting.cases import Steps, case, dropped
from scripts.counting.world import World


def _plain(world: World) -> bytes:
    """An update as it should be."""
    return world.mag1.seal(wire.update(1, wire.A | wire.P, 600, world.mag1.options(world.mobile())))


@case("plain", dropped("checksum-error"))
def checksum(world: World) -> Steps:
    """Proxy Binding Update with a wrong checksum"""
    yield
    mh = bytearray(_plain(world))
    mh[4] ^= 0x55
    world.mag1.send(bytes(mh), wrong=True)


@case("plain", dropped("decode-failure"))
def overrun(world: World) -> Steps:
    """Proxy Binding Update whose last option runs past the end of the message"""
    yield
    mh = bytearray(wire.update(1, wire.A | wire.P, 600, [(wire.INDICATOR, b"\0\1")]))
    mh[-3] = 99
    world.mag1.send(world.mag1.seal(bytes(mh)), wrong=True)


@case("plain", dropped("invalid-buffer-length"))
def header_length(world: World) -> Steps:
    """Proxy Binding Update whose Header Len says more than there is"""
    yield
    mh = bytearray(_plain(world))
    mh[1] += 1
    world.mag1.send(world.mag1.seal(bytes(mh)), wrong=True)


@case("plain", dropped("session-not-found", "dereg"))
def no_session(world: World) -> Steps:
    """De-registration of a mobile node that has no session"""
    yield
    world.mag1.update(world.mobile(), 4, 0)


@case("plain", dropped("session-not-found", "dereg"))
def not_serving(world: World) -> Steps:
    """De-registration from a gateway that does not serve the mobile node any more"""
    mobile = world.attached()
    world.mag2.register(mobile, 3)
    yield
    world.mag1.update(mobile, 4, 0)
