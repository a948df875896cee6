"""Binding revocation (RFC 5846) in both directions."""

from scripts.counting import wire
from scripts.counting.aaa import server
from scripts.counting.cases import (
    BRA_DISCARD,
    DISCARD,
    ENDED,
    OTHER,
    REVOCATION,
    STATUS,
    TRIGGER,
    Measured,
    Moves,
    Steps,
    accepted,
    case,
    plus,
    times,
)
from scripts.counting.gateway import Gateway, Mobile
from scripts.counting.stages import Stage, anchor
from scripts.counting.world import World
from scripts.labnet import LabError

STAGE = Stage(
    "revocation",
    anchor(
        (
            "revocation enable",
            "revocation max-retransmission 1",
            "revocation retransmission-timeout 1",
        )
    ),
)

PROXY, IPV4_ONLY, GLOBAL = 0x8000, 0x4000, 0x2000
INDICATION, ACKNOWLEDGEMENT = 1, 2
#: Every mobility message that is no binding update counts here too.
HEARD = {f"{OTHER}/received": 1}
DROPPED = {f"{ENDED}/admin-drops": 1}
LAST_RETRY = 6.0


def sent(trigger: str) -> Moves:
    """An indication that goes out."""
    return {f"{REVOCATION}/sent": 1, f"{TRIGGER}/{trigger}": 1}


def answered(status: str = "success") -> Moves:
    """An acknowledgement that fits."""
    return plus(HEARD, {f"{REVOCATION}/ack-rcvd": 1, f"{STATUS}/{status}": 1})


def indicated(gateway: Gateway, trigger: int) -> tuple[int, int]:
    """The indication that comes to a gateway: its sequence number and flags."""
    data = gateway.receive(wire.REVOCATION)
    if data[6] != INDICATION or data[7] != trigger:
        raise LabError(f"the anchor sent {data.hex()}, no indication with trigger {trigger}")
    return int.from_bytes(data[8:10], "big"), int.from_bytes(data[10:12], "big")


def acknowledge(
    gateway: Gateway, about: tuple[int, int], status: int = 0, options: tuple[wire.Option, ...] = ()
) -> None:
    """Answer an indication."""
    sequence, flags = about
    gateway.send(gateway.seal(wire.revocation(ACKNOWLEDGEMENT, status, sequence, flags, options)))


def clear(world: World, mobile: Mobile, how: str = "") -> None:
    """The operator ends the session of a mobile node."""
    world.type(f"clear lma-service session username {mobile.nai} {how} -noconfirm")


def cleared(world: World) -> tuple[int, int]:
    """The operator ends the session of a new mobile node: the indication about it."""
    clear(world, world.attached())
    return indicated(world.mag1, 1)


# What the anchor sends, and when.


@case("revocation", sent("administrative-reason"), answered(), DROPPED)
def administrative(world: World) -> Steps:
    """The operator clears a session, the gateway acknowledges that with status 0"""
    mobile = world.attached()
    yield
    clear(world, mobile)
    acknowledge(world.mag1, indicated(world.mag1, 1))


@case(
    "revocation", sent("administrative-reason"), DROPPED,
    {f"{REVOCATION}/retries-sent": 1, f"{REVOCATION}/not-acknowledged": 1},
)  # fmt: skip
def unanswered(world: World) -> Steps:
    """The operator clears a session, the gateway says nothing: once more, then it is given up"""
    mobile = world.attached()
    key = f"{REVOCATION}/not-acknowledged"
    before = world.counters()[key]
    yield
    clear(world, mobile)
    first = indicated(world.mag1, 1)
    if indicated(world.mag1, 1) != first:
        raise LabError("the repeated indication is not the same")
    world.until("it is given up", lambda: world.counters()[key] > before, LAST_RETRY)


@case("revocation", accepted("handoff"), sent("inter-mag-handoff-same-att"), answered())
def moved(world: World) -> Steps:
    """A handover with the same access technology: the former gateway is told"""
    mobile = world.attached()
    yield
    world.mag2.register(mobile, 3)
    acknowledge(world.mag1, indicated(world.mag1, 2))


@case("revocation", accepted("handoff"), sent("inter-mag-handoff-diff-att"), answered())
def moved_between_interfaces(world: World) -> Steps:
    """A handover between interfaces of two access technologies: the former gateway is told"""
    mobile = world.attached()
    yield
    world.mag2.register(mobile, 2, technology=8)
    acknowledge(world.mag1, indicated(world.mag1, 3))


@case("revocation", accepted("handoff"), sent("inter-mag-unknown-handoff"), answered())
def handover_unknown(world: World) -> Steps:
    """An update with Handoff Indicator 4: the serving gateway is asked, and lets the mobile node go"""
    mobile = world.attached()
    newcomer = world.mobile(mobile.nai)
    yield
    world.mag2.update(newcomer, 4)
    acknowledge(world.mag1, indicated(world.mag1, 4))
    if world.mag2.answer().status:
        raise LabError("the update was refused")


@case("revocation", accepted("handoff"), sent("out-of-sync-bce-state"), answered())
def out_of_sync(world: World) -> Steps:
    """A refresh from a gateway that does not serve the session: the one that did is told"""
    mobile = world.attached()
    yield
    world.mag2.register(mobile, 5)
    acknowledge(world.mag1, indicated(world.mag1, 7))


# What an operator has gateways told.

_WORDS = (
    (0, "unspecified", "unspecified"),
    (5, "user-initiated-session-term", "user"),
    (6, "access-network-session-term", "access-network"),
    (250, "unknown", "testing"),
)


def _word_case(trigger: int, row: str, word: str) -> None:
    def deed(world: World) -> Steps:
        mobile = world.attached()
        yield
        clear(world, mobile, f"revocation-trigger {word}")
        acknowledge(world.mag1, indicated(world.mag1, trigger))

    deed.__name__ = f"trigger_{trigger}"
    deed.__doc__ = f"The operator clears a session with `revocation-trigger {word}`"
    case("revocation", sent(row), answered(), DROPPED)(deed)


for _word in _WORDS:
    _word_case(*_word)


@case("revocation", sent("revoking-node-local-policy"), answered(), times(2, DROPPED))
def realm_revoked(world: World) -> Steps:
    """The operator revokes all sessions of a realm: one indication for both"""
    for name in ("one", "two"):
        world.attached(name=f"{name}@realm.example.org")
    yield
    world.type(
        "clear lma-service session username @realm.example.org revocation-trigger local-policy -noconfirm"
    )
    acknowledge(world.mag1, indicated(world.mag1, 129))


@case("revocation", shows=(f"{TRIGGER}/per-peer-policy",))
def all_revoked(world: World) -> Measured:
    """The operator revokes all sessions: one indication to each gateway that has some"""
    world.attached()
    gateways = served(world)
    sessions = world.sessions()
    yield
    world.type("clear lma-service session all revocation-trigger per-peer-policy -noconfirm")
    for gateway in gateways:
        acknowledge(gateway, indicated(gateway, 128))
    each = plus(sent("per-peer-policy"), answered())
    return plus(times(len(gateways), each), times(sessions, DROPPED))


def served(world: World) -> list[Gateway]:
    """The gateways that have sessions."""
    there = {wire.packed(each["care_of"]) for each in world.show("lma-service session full")}
    return [gateway for gateway in (world.mag1, world.mag2) if gateway.address in there]


@case("aaa", sent("user-initiated-session-term"), answered(), DROPPED)
def aborted_by_aaa(world: World) -> Steps:
    """The AAA server aborts a session (RFC 6733 section 8.5): its gateway is told"""
    world.configure("revocation enable")
    known = server(world)
    mobile = world.attached()
    yield
    known.abort(mobile.nai)
    acknowledge(world.mag1, indicated(world.mag1, 5))


# What the gateway answers.

_STATUSES = (
    (1, "partial-success", "partial success"),
    (128, "binding-does-not-exist", "binding does not exist"),
    (129, "no-ipv4-hoa-bind", "IPv4 home address option required"),
    (130, "global-revoc-not-authorized", "global revocation not authorized"),
    (131, "revoc-mn-id-required", "identity of the mobile node required"),
    (132, "revoc-failed-mn-attached", "mobile node is attached"),
    (133, "trigger-not-supported", "trigger not supported"),
    (134, "revoc-func-not-supported", "revocation function not supported"),
    (135, "proxy-bind-rev-not-supported", "proxy binding revocation not supported"),
    (200, "unknown", "a status that nobody knows"),
)


def _status_case(status: int, row: str, text: str) -> None:
    def deed(world: World) -> Steps:
        mobile = world.attached()
        yield
        clear(world, mobile)
        acknowledge(world.mag1, indicated(world.mag1, 1), status)

    deed.__name__ = f"status_{status}"
    deed.__doc__ = f"The operator clears a session, the gateway answers with status {status}: {text}"
    case("revocation", sent("administrative-reason"), answered(row), DROPPED)(deed)


for _one in _STATUSES:
    _status_case(*_one)


# Acknowledgements that are of no use; afterwards a right one, so that nothing is left.


def discarded(reason: str) -> Moves:
    """An acknowledgement that is dropped, and then one that is right."""
    return plus(HEARD, {f"{BRA_DISCARD}/{reason}": 1}, answered(), DROPPED)


@case("revocation", discarded("session-not-found"))
def of_another(world: World) -> Steps:
    """An acknowledgement with the right number that names another mobile node"""
    about = cleared(world)
    yield
    acknowledge(world.mag1, about, options=(wire.nai("somebody@example.org"),))
    acknowledge(world.mag1, about)


@case("revocation", discarded("badly-formed-request"))
def other_flags(world: World) -> Steps:
    """An acknowledgement whose flags are not those of the indication"""
    about = cleared(world)
    yield
    acknowledge(world.mag1, (about[0], about[1] ^ PROXY))
    acknowledge(world.mag1, about)


@case("revocation", discarded("decode-error"))
def unreadable(world: World) -> Steps:
    """An acknowledgement with an option that runs past its end"""
    about = cleared(world)
    yield
    mh = bytearray(wire.revocation(ACKNOWLEDGEMENT, 0, *about, [wire.nai("x@example.org")]))
    mh[13] = 99
    world.mag1.send(world.mag1.seal(bytes(mh)), wrong=True)
    acknowledge(world.mag1, about)


@case("revocation", discarded("checksum-error"))
def wrong_checksum(world: World) -> Steps:
    """An acknowledgement with a wrong checksum"""
    about = cleared(world)
    yield
    mh = bytearray(world.mag1.seal(wire.revocation(ACKNOWLEDGEMENT, 0, *about)))
    mh[5] ^= 0x55
    world.mag1.send(bytes(mh), wrong=True)
    acknowledge(world.mag1, about)


@case("revocation", discarded("invalid-message-type"))
def third_type(world: World) -> Steps:
    """A Binding Revocation message whose type is neither indication nor acknowledgement"""
    about = cleared(world)
    yield
    world.mag1.send(world.mag1.seal(wire.revocation(3, 0, *about)), wrong=True)
    acknowledge(world.mag1, about)


@case("revocation", discarded("matching-request-not-found"))
def other_number(world: World) -> Steps:
    """An acknowledgement with a number that no indication has"""
    about = cleared(world)
    yield
    acknowledge(world.mag1, (about[0] ^ 0x8000, about[1]))
    acknowledge(world.mag1, about)


@case("revocation", discarded("invalid-buffer-length"))
def too_long(world: World) -> Steps:
    """An acknowledgement whose Header Len says more than there is"""
    about = cleared(world)
    yield
    mh = bytearray(wire.revocation(ACKNOWLEDGEMENT, 0, *about))
    mh[1] += 2
    world.mag1.send(world.mag1.seal(bytes(mh)), wrong=True)
    acknowledge(world.mag1, about)


# While it lasts.


@case(
    "revocation", {f"{DISCARD}/revocation-pending": 1, "refresh-binding-update-requests/received": 1},
    answered(), DROPPED,
)  # fmt: skip
def refreshed_meanwhile(world: World) -> Steps:
    """A refresh of a session that is being revoked"""
    mobile = world.attached()
    clear(world, mobile)
    about = indicated(world.mag1, 1)
    yield
    world.mag1.update(mobile, 5)
    world.sleep(0.05)
    acknowledge(world.mag1, about)


# What gateways revoke.


@case(
    "revocation", HEARD, {f"{REVOCATION}/rcvd": 1, f"{REVOCATION}/ack-sent": 1, f"{ENDED}/other-reasons": 1}
)
def by_a_gateway(world: World) -> Steps:
    """A gateway revokes the session of a mobile node that has left its access network"""
    mobile = world.attached()
    yield
    indication = wire.revocation(INDICATION, 6, 77, PROXY, [wire.nai(mobile.nai)])
    world.mag1.send(world.mag1.seal(indication))
    answer = world.mag1.receive(wire.REVOCATION)
    if answer[6:8] != bytes((ACKNOWLEDGEMENT, 0)) or answer[8:10] != b"\0\x4d":
        raise LabError(f"the anchor answered with {answer.hex()}")


# The last one: the service moves to another address.


@case("revocation", shows=(f"{BRA_DISCARD}/hamgr-not-ready",))
def stopping(world: World) -> Measured:
    """An acknowledgement that nothing waits for, while the service waits for its gateways to stop"""
    world.lab.ip("lma", "addr add 2001:db8:ffff::2/64 dev backhaul nodad")
    world.attached()
    gateways, sessions = served(world), world.sessions()
    yield
    bind = "bind address 2001:db8:ffff::2 ipv4-address 198.51.100.1 -noconfirm"
    world.begin("configure", "context anchor", "lma-service lma1", bind)
    about = [indicated(gateway, 128) for gateway in gateways]
    acknowledge(gateways[0], (about[0][0] ^ 0x8000, about[0][1]))
    world.sleep(0.05)
    for gateway, one in zip(gateways, about, strict=True):
        acknowledge(gateway, one)
    each = plus(sent("per-peer-policy"), answered())
    unready = plus(HEARD, {f"{BRA_DISCARD}/hamgr-not-ready": 1})
    return plus(unready, times(len(gateways), each), times(sessions, DROPPED))
