"""What a home agent and its hosts say beside updates: revocations (RFC 5846), home agents and prefixes
(RFC 6275 sections 10.5 and 10.6), Home Agent Switch (RFC 5142), refresh requests, Binding Errors."""

import socket

from scripts.counting import wire
from scripts.counting.agent import LINK, bound, newcomer
from scripts.counting.cases import (
    ADMIN,
    BRA_DISCARD,
    DISCARD,
    ENDED,
    OTHER,
    REVOCATION,
    Measured,
    Steps,
    accepted,
    case,
    denied,
    dropped,
    plus,
)  # fmt: skip
from scripts.counting.gateway import inside
from scripts.counting.hosts import KEY, PLAIN, SPI, Host
from scripts.counting.revocations import (
    ACKNOWLEDGEMENT,
    DROPPED,
    HEARD,
    INDICATION,
    LAST_RETRY,
    answered,
    discarded,
    sent,
)  # fmt: skip
from scripts.counting.statuses import ERROR
from scripts.counting.world import MOBILE_PORT, PORT, World
from scripts.labnet import LMA_ADDRESS, LabError

TO_HOSTS, AGENTS, PREFIXES = "messages-to-hosts", "home-agent-discovery", "mobile-prefix-discovery"
ELSEWHERE = "2001:db8:ffff::2"
REQUEST, REPLY, SOLICITATION, ADVERTISEMENT = 144, 145, 146, 147


def clear(world: World, one: Host, how: str = "") -> None:
    """The operator ends the binding of a host."""
    world.type(f"clear mipv6ha-service session username {one.nai} {how} -noconfirm")


def indicated(one: Host, trigger: int) -> int:
    """The sequence number of the indication that comes to a host."""
    data = one.cable.message(one.care_of, wire.REVOCATION)
    if data[6] != INDICATION or data[7] != trigger:
        raise LabError(f"the home agent sent {data.hex()}, no indication with trigger {trigger}")
    return int.from_bytes(data[8:10], "big")


def acknowledge(
    one: Host,
    sequence: int,
    status: int = 0,
    kind: int = ACKNOWLEDGEMENT,
    options: tuple[wire.Option, ...] = (),
) -> None:
    """Answer an indication, by Home Address option, with the key that the host's updates have."""
    mh = wire.revocation(kind, status, sequence, 0, options)
    one.signal(wire.authenticated(mh, [(1, SPI, KEY)], one.care_of, one.home))


# Revocation: what the home agent sends, and what hosts answer.

_TRIGGERS = (
    (0, "unspecified", "unspecified"),
    (1, "administrative-reason", "administrative"),
    (2, "inter-mag-handoff-same-att", "handoff-same-access"),
    (3, "inter-mag-handoff-diff-att", "handoff-other-access"),
    (4, "inter-mag-unknown-handoff", "handoff-unknown"),
    (5, "user-initiated-session-term", "user"),
    (6, "access-network-session-term", "access-network"),
    (7, "out-of-sync-bce-state", "out-of-sync"),
    (250, "unknown", "testing"),
)
_STATUSES = (
    (0, "success"),
    (1, "partial-success"),
    (128, "binding-does-not-exist"),
    (129, "no-ipv4-hoa-bind"),
    (130, "global-revoc-not-authorized"),
    (131, "revoc-mn-id-required"),
    (132, "revoc-failed-mn-attached"),
    (133, "trigger-not-supported"),
    (134, "revoc-func-not-supported"),
    (135, "proxy-bind-rev-not-supported"),
    (200, "unknown"),
)


def _trigger_case(trigger: int, row: str, word: str) -> None:
    def deed(world: World) -> Steps:
        one = bound(world)
        yield
        clear(world, one, f"revocation-trigger {word}")
        acknowledge(one, indicated(one, trigger))

    deed.__name__ = f"agent_trigger_{trigger}"
    deed.__doc__ = f"The operator clears a host's binding with `revocation-trigger {word}`"
    case("agent", sent(row), answered(), DROPPED)(deed)


def _status_case(status: int, row: str) -> None:
    def deed(world: World) -> Steps:
        one = bound(world)
        yield
        clear(world, one)
        acknowledge(one, indicated(one, 1), status)

    deed.__name__ = f"agent_revoked_{status}"
    deed.__doc__ = f"The operator clears a host's binding, the host answers with status {status}"
    case("agent", sent("administrative-reason"), answered(row), DROPPED)(deed)


for _one in _TRIGGERS:
    _trigger_case(*_one)
for _two in _STATUSES:
    _status_case(*_two)


@case(
    "agent", sent("administrative-reason"), DROPPED,
    {f"{REVOCATION}/retries-sent": 1, f"{REVOCATION}/not-acknowledged": 1},
)  # fmt: skip
def agent_revocation_unanswered(world: World) -> Steps:
    """The operator clears a host's binding, the host says nothing: once more, then it is given up"""
    one = bound(world)
    key = f"{REVOCATION}/not-acknowledged"
    before = world.counters()[key]
    yield
    clear(world, one)
    if indicated(one, 1) != indicated(one, 1):
        raise LabError("the repeated indication has another number")
    world.until("it is given up", lambda: world.counters()[key] > before, LAST_RETRY)


def _revoking(world: World) -> tuple[Host, int]:
    """A host that has been told, and the number of the indication."""
    one = bound(world)
    clear(world, one)
    return one, indicated(one, 1)


@case("agent", plus(dropped("revocation-pending"), answered(), DROPPED))
def agent_refreshed_meanwhile(world: World) -> Steps:
    """A host refreshes its binding while it is being revoked: nothing is answered"""
    one, number = _revoking(world)
    key = f"{DISCARD}/revocation-pending"
    before = world.counters()[key]
    yield
    one.update(600, PLAIN, [], [(1, SPI, KEY)])
    world.until("the update is counted", lambda: world.counters()[key] > before)
    acknowledge(one, number)


@case("agent", plus(HEARD, {f"{REVOCATION}/discarded": 1}))
def agent_host_revokes(world: World) -> Steps:
    """A host sends an indication: only its home agent may (RFC 5846 section 10), so there is no answer"""
    one = bound(world)
    yield
    acknowledge(one, 7, 1, INDICATION)


# Acknowledgements that are of no use; afterwards a right one.


@case("agent", discarded("badly-formed-request"))
def agent_bra_not_genuine(world: World) -> Steps:
    """A host's acknowledgement of a revocation whose authenticator is made with another key"""
    one, number = _revoking(world)
    yield
    mh = wire.revocation(ACKNOWLEDGEMENT, 0, number, 0)
    one.signal(wire.authenticated(mh, [(1, SPI, b"another key, 16.")], one.care_of, one.home))
    acknowledge(one, number)


@case("agent", discarded("matching-request-not-found"))
def agent_bra_other_number(world: World) -> Steps:
    """A host's acknowledgement of a revocation with another sequence number"""
    one, number = _revoking(world)
    yield
    acknowledge(one, number ^ 0x5555)
    acknowledge(one, number)


@case("agent", discarded("session-not-found"))
def agent_bra_of_another(world: World) -> Steps:
    """A host's acknowledgement of a revocation that names another host"""
    one, number = _revoking(world)
    yield
    acknowledge(one, number, options=(wire.nai("somebody@example.org"),))
    acknowledge(one, number)


@case("agent", discarded("decode-error"))
def agent_bra_unreadable(world: World) -> Steps:
    """A host's acknowledgement of a revocation with an option that runs past its end"""
    one, number = _revoking(world)
    yield
    mh = bytearray(wire.revocation(ACKNOWLEDGEMENT, 0, number, 0, [wire.nai("x@example.org")]))
    mh[13] = 99
    _wrong(world, one, wire.sealed(bytes(mh), one.home, world.mag1.anchor))
    acknowledge(one, number)


@case("agent", discarded("checksum-error"))
def agent_bra_checksum(world: World) -> Steps:
    """A host's acknowledgement of a revocation with a wrong checksum"""
    one, number = _revoking(world)
    yield
    mh = wire.sealed(wire.revocation(ACKNOWLEDGEMENT, 0, number, 0), one.home, world.mag1.anchor)
    _wrong(world, one, mh[:5] + bytes((mh[5] ^ 0x55,)) + mh[6:])
    acknowledge(one, number)


@case("agent", discarded("invalid-message-type"))
def agent_bra_third_type(world: World) -> Steps:
    """A Binding Revocation message of a host that is neither indication nor acknowledgement"""
    one, number = _revoking(world)
    yield
    mh = wire.sealed(wire.revocation(3, 0, number, 0), one.home, world.mag1.anchor)
    _wrong(world, one, mh)
    acknowledge(one, number)


@case("agent", discarded("invalid-buffer-length"))
def agent_bra_too_long(world: World) -> Steps:
    """A host's acknowledgement of a revocation whose Header Len says more than there is"""
    one, number = _revoking(world)
    yield
    mh = bytearray(wire.revocation(ACKNOWLEDGEMENT, 0, number, 0))
    mh[1] += 2
    _wrong(world, one, wire.sealed(bytes(mh), one.home, world.mag1.anchor))
    acknowledge(one, number)


@case("agent", plus(HEARD, {f"{BRA_DISCARD}/hamgr-not-ready": 1}))
def agent_bra_when_shut_down(world: World) -> Steps:
    """A host's acknowledgement that nothing waits for, while the operator has shut the home agent down"""
    one = bound(world)
    world.configure("shutdown")
    key = f"{BRA_DISCARD}/hamgr-not-ready"
    before = world.counters()[key]
    yield
    acknowledge(one, 7)
    world.until("it is counted", lambda: world.counters()[key] > before)
    world.configure("no shutdown")


def _wrong(world: World, one: Host, mh: bytes) -> None:
    """Send what is not meant to be readable."""
    world.mag1.wrong.append(mh)
    one.send(wire.MH, mh)


# What is neither.


@case("agent", plus(HEARD, {f"{OTHER}/unknown-type": 1, f"{OTHER}/binding-error-sent": 1}),
      statuses=(f"{ERROR}/2",))  # fmt: skip
def agent_unknown_type(world: World) -> Steps:
    """A host sends a mobility message of a type that nobody knows"""
    one = bound(world)
    yield
    one.signal(wire.message(99, bytes(2)))
    one.cable.message(one.care_of, wire.ERROR)


@case("agent", {f"{OTHER}/binding-error-sent": 1}, statuses=(f"{ERROR}/1",))
def agent_unknown_binding(world: World) -> Steps:
    """A host without a binding sends a datagram with a Home Address option"""
    one = newcomer(world)
    yield
    target = world.mag1.anchor
    one.send(wire.UDP, wire.udp_datagram(one.home, target, (MOBILE_PORT, PORT), b"hello"))
    one.cable.message(one.care_of, wire.ERROR)


# Home agents and prefixes.


def _ask(world: World, one: Host, code: int = 0) -> None:
    body = wire.icmp6(REQUEST, 77, one.care_of, world.mag1.anchor, code)
    packet = wire.ip_packet(one.care_of, world.mag1.anchor, wire.ICMP6, body)
    world.mag1.any6.sendto(packet, (LMA_ADDRESS, 0))


@case("agent", {f"{AGENTS}/requests-received": 1, f"{AGENTS}/replies-sent": 1})
def agent_discovered(world: World) -> Steps:
    """Home Agent Address Discovery Request, answered by the Home Agents List"""
    one = newcomer(world)
    yield
    _ask(world, one)
    reply = _icmp(one, REPLY)
    if world.mag1.anchor not in reply:
        raise LabError("the home agent does not name itself")


def _icmp(one: Host, kind: int) -> bytes:
    while (body := one.cable.payload(one.care_of, wire.ICMP6))[0] != kind:
        continue
    return body


@case("agent", {f"{AGENTS}/requests-received": 1, f"{AGENTS}/discarded": 1})
def agent_discovery_wrong(world: World) -> Steps:
    """Home Agent Address Discovery Request with a code that there is not"""
    one = newcomer(world)
    yield
    _ask(world, one, code=1)


@case("agent", shows=(f"{AGENTS}/router-advertisements-sent", f"{AGENTS}/router-advertisements-received"))
def agent_advertises(world: World) -> Measured:
    """The home agent advertises itself on a real home link, and hears another home agent there"""
    keys = [f"{AGENTS}/router-advertisements-{each}" for each in ("sent", "received")]
    before = world.counters()
    with inside(world.lab, "cn"):
        sock = socket.socket(socket.AF_INET6, socket.SOCK_RAW, wire.ICMP6)
        # RFC 4861 section 6.1.2: the hop limit is 255.
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
        device = socket.if_nametoindex("cn0")
    yield
    world.configure("home-link cn0", "router-advertisement")
    world.until("the home agent advertises itself", lambda: world.counters().get(keys[0], 0) > 0)
    sock.sendto(wire.home_agent_advertisement(ELSEWHERE), ("ff02::1", 0, 0, device))
    sock.close()
    world.until("the other one is heard", lambda: world.counters().get(keys[1], 0) > 0)
    world.configure("no router-advertisement", "no home-link")
    after = world.counters()
    return {key: after.get(key, 0) - before.get(key, 0) for key in keys}


@case("agent", {f"{PREFIXES}/solicitations-received": 1, f"{PREFIXES}/solicited-sent": 1})
def agent_prefixes_told(world: World) -> Steps:
    """Mobile Prefix Solicitation of a host, answered by an advertisement"""
    one = bound(world)
    yield
    one.send(wire.ICMP6, wire.icmp6(SOLICITATION, 78, one.home, world.mag1.anchor))
    if wire.packed(LINK) not in _icmp(one, ADVERTISEMENT):
        raise LabError("the home prefix is not advertised")


@case("agent", {f"{PREFIXES}/solicitations-received": 1, f"{PREFIXES}/discarded": 1})
def agent_prefixes_asked_twice(world: World) -> Steps:
    """Mobile Prefix Solicitation less than a second after the last advertisement"""
    one = bound(world)
    ask = wire.icmp6(SOLICITATION, 79, one.home, world.mag1.anchor)
    one.send(wire.ICMP6, ask)
    _icmp(one, ADVERTISEMENT)
    yield
    one.send(wire.ICMP6, ask)


@case("agent", {f"{TO_HOSTS}/binding-refresh-requests-sent": 1})
def agent_asks_to_refresh(world: World) -> Steps:
    """The operator has a host asked to refresh its binding"""
    one = bound(world)
    yield
    world.type(f"binding-refresh-request mipv6ha-service ha1 username {one.nai}")
    one.cable.message(one.care_of, wire.REFRESH_REQUEST)


def _switch(world: World, one: Host, how: str = "") -> None:
    world.type(f"home-agent-switch mipv6ha-service ha1 username {one.nai} to {ELSEWHERE} {how}")
    _switched(one)


def _switched(one: Host) -> None:
    """The next message names the other home agent (RFC 5142 section 4)."""
    mh = one.cable.message(one.care_of, wire.SWITCH)
    if mh[6:8] != b"\1\0" or mh[8:24] != wire.packed(ELSEWHERE):
        raise LabError(f"the host was sent {mh.hex()}")


@case("agent", {f"{TO_HOSTS}/home-agent-switch-sent": 1}, denied("refresh", f"{ADMIN}/other"),
      plus(HEARD, {f"{TO_HOSTS}/home-agent-switch-unknown": 1}))  # fmt: skip
def agent_switch_refused(world: World) -> Steps:
    """A host is sent to another home agent, wants to stay, and says that it does not know the message"""
    one = bound(world)
    yield
    _switch(world, one)
    one.register(status=129)
    one.signal(wire.message(wire.ERROR, b"\2\0" + one.home))


@case("agent", {f"{TO_HOSTS}/home-agent-switch-sent": 1, f"{TO_HOSTS}/home-agent-switch-retries": 1})
def agent_switch_repeated(world: World) -> Steps:
    """A host is sent to another home agent within four seconds, and does not hear it at once"""
    one = bound(world)
    yield
    _switch(world, one, "grace 5")
    _switched(one)


# The last ones: ten seconds after a binding was de-registered (RFC 6275 section 10.3.2) it ends.


@case("agent", {f"{TO_HOSTS}/home-agent-switch-sent": 1, f"{TO_HOSTS}/home-agent-switch-done": 1},
      accepted("dereg"))  # fmt: skip
def agent_switched(world: World) -> Steps:
    """A host is sent to another home agent, and leaves"""
    one = bound(world)
    yield
    _switch(world, one)
    one.register(0)


@case("agent", accepted("dereg"), {f"{ENDED}/deregistrations": 1})
def agent_forgets(world: World) -> Steps:
    """A host leaves; ten seconds later its binding is forgotten"""
    world.configure("no revocation enable")
    world.type("clear mipv6ha-service session all -noconfirm")
    one = bound(world)
    key = f"{ENDED}/deregistrations"
    before = world.counters()[key]
    yield
    one.register(0)
    world.until("the binding has ended", lambda: world.counters()[key] > before, 14)
