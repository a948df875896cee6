"""Updates that are refused: one case for each reason of the screen, and one for each class."""

from scripts.counting import wire
from scripts.counting.cases import ADMIN, DENY, RESOURCE, Steps, case, denied
from scripts.counting.world import World
from scripts.labnet import LabError


def _without(options: list[wire.Option], *kinds: int) -> list[wire.Option]:
    """Options without those of some types."""
    return [each for each in options if each[0] not in kinds]


@case("plain", denied("initial", f"{DENY}/missing-mn-id-option"))
def no_mn_id(world: World) -> Steps:
    """Proxy Binding Update without a Mobile Node Identifier"""
    mobile = world.mobile()
    yield
    world.mag1.register(mobile, options=_without(world.mag1.options(mobile), wire.MN_ID), status=160)


@case("plain", denied("initial", f"{DENY}/missing-hnp-option"))
def no_prefix(world: World) -> Steps:
    """Proxy Binding Update that asks for neither a prefix nor an IPv4 address"""
    mobile = world.mobile()
    yield
    world.mag1.register(mobile, ipv6=False, status=158)


@case("plain", denied("initial", f"{DENY}/missing-access-tech-option"))
def no_technology(world: World) -> Steps:
    """Proxy Binding Update without an Access Technology Type"""
    mobile = world.mobile()
    yield
    world.mag1.register(mobile, options=_without(world.mag1.options(mobile), wire.TECHNOLOGY), status=162)


@case("plain", denied("dereg", f"{DENY}/missing-handoff-ind-option"))
def no_indicator(world: World) -> Steps:
    """De-registration without a Handoff Indicator"""
    mobile = world.attached()
    yield
    options = _without(world.mag1.options(mobile, 4), wire.INDICATOR)
    world.mag1.register(mobile, seconds=0, options=options, status=161)


@case("plain", denied("refresh", f"{DENY}/sequence-out-of-window"))
def old_sequence(world: World) -> Steps:
    """Refresh without a timestamp and with the sequence number before the last one"""
    mobile = world.mobile()
    mobile.sequence = 100
    world.mag1.register(mobile, options=_without(world.mag1.options(mobile), wire.TIMESTAMP))
    mobile.sequence = 50
    yield
    answer = world.mag1.register(
        mobile, options=_without(world.mag1.options(mobile, 5), wire.TIMESTAMP), status=135
    )
    assert answer.sequence == 101, answer


@case("plain", denied("initial", f"{DENY}/timestamp-mismatch"))
def wrong_clock(world: World) -> Steps:
    """Proxy Binding Update whose timestamp is a minute late"""
    mobile = world.mobile()
    options = [*_without(world.mag1.options(mobile), wire.TIMESTAMP), (wire.TIMESTAMP, wire.now_field(-60))]
    yield
    world.mag1.register(mobile, options=options, status=156)


@case("plain", denied("refresh", f"{DENY}/timestamp-lower-than-expected"))
def older_timestamp(world: World) -> Steps:
    """Refresh with a timestamp before that of the last accepted update"""
    mobile = world.mobile()
    early = (wire.TIMESTAMP, wire.now_field(-0.05))
    world.mag1.register(mobile)
    yield
    options = [*_without(world.mag1.options(mobile, 5), wire.TIMESTAMP), early]
    world.mag1.register(mobile, options=options, status=157)


@case("plain", denied("handoff", f"{DENY}/timestamp-lower-than-expected"))
def older_handover(world: World) -> Steps:
    """Handover with a timestamp before that of the last accepted update"""
    mobile = world.mobile()
    early = (wire.TIMESTAMP, wire.now_field(-0.05))
    world.mag1.register(mobile)
    yield
    options = [*_without(world.mag2.options(mobile, 3), wire.TIMESTAMP), early]
    world.mag2.register(mobile, options=options, status=157)


@case("plain", denied("initial", f"{DENY}/not-authorized-for-hnp"))
def prefix_of_another(world: World) -> Steps:
    """Proxy Binding Update that asks for the prefix of another mobile node"""
    owner, thief = world.attached(), world.mobile()
    thief.prefix = owner.prefix
    yield
    world.mag1.register(thief, 4, status=155)


@case("plain", denied("initial", f"{DENY}/bce-prefix-do-not-match"))
def other_prefixes(world: World) -> Steps:
    """Proxy Binding Update with one prefix more than the session has (RFC 5213 5.4.1.1: it means none)"""
    mobile = world.attached()
    more = (wire.PREFIX, bytes((0, 64)) + mobile.prefix[:6] + b"\xee\xee" + bytes(8))
    yield
    world.mag1.register(mobile, options=[*world.mag1.options(mobile, 5), more], status=159)


@case("plain", denied("initial", f"{DENY}/service-authorization-failed"))
def wrong_service(world: World) -> Steps:
    """Proxy Binding Update with a Service Selection that the subscriber may not use (RFC 5149)"""
    name = "surfer@example.org"
    world.configure_context(
        f"subscriber name {name}", "permission pmipv6", "allowed-service internet", "exit"
    )
    mobile = world.mobile(name)
    mobile.extra = [(wire.SERVICE, b"voice")]
    yield
    world.mag1.register(mobile, status=151)


@case("plain", denied("initial", f"{DENY}/proxy-reg-not-enabled"))
def not_entitled(world: World) -> Steps:
    """Proxy Binding Update of a subscriber who may not use network-based mobility"""
    name = "fixed@example.org"
    world.configure_context(f"subscriber name {name}", "no permission pmipv6", "exit")
    mobile = world.mobile(name)
    yield
    world.mag1.register(mobile, status=152)


@case("plain", denied("initial", f"{DENY}/not-lma-for-mobile"))
def unknown_subscriber(world: World) -> Steps:
    """Proxy Binding Update of a mobile node that no subscriber line names, where only those are served"""
    mobile = world.mobile("stranger@example.net")
    world.configure("policy unknown-subscriber reject")
    yield
    world.mag1.register(mobile, status=153)
    world.configure("policy unknown-subscriber default")


@case("plain", denied("initial", f"{DENY}/not-authorized-for-proxy-reg"))
def unknown_gateway(world: World) -> Steps:
    """Proxy Binding Update from a gateway that no mag-peer line allows"""
    mobile = world.mobile()
    world.configure("no mag-peer 2001:db8:ffff::a2")
    yield
    world.mag2.register(mobile, status=154)
    world.configure("mag-peer 2001:db8:ffff::a2")


@case("plain", denied("initial", f"{DENY}/gre-key-option-required"))
def no_gre_key(world: World) -> Steps:
    """Proxy Binding Update without a GRE Key where GRE is required"""
    mobile = world.mobile()
    world.configure("gre required")
    yield
    world.mag1.register(mobile, status=163)
    world.configure("gre optional")


@case("plain", denied("initial", f"{RESOURCE}/session-manager-rejected"))
def service_full(world: World) -> Steps:
    """Proxy Binding Update when the service holds its configured maximum of sessions"""
    mobile = world.mobile()
    bind = "bind address 2001:db8:ffff::1 ipv4-address 198.51.100.1"
    world.configure(f"{bind} max-subscribers {world.sessions()}")
    yield
    world.mag1.register(mobile, status=130)
    world.configure(bind)


@case("plain", denied("initial", f"{RESOURCE}/address-alloc-failed"))
def pool_empty(world: World) -> Steps:
    """Proxy Binding Update when the pool of the subscriber has no prefix left"""
    name = "tiny@example.org"
    world.configure_context(
        "ipv6 pool TINY prefix 2001:db8:2::/64 static",
        f"subscriber name {name}",
        "permission pmipv6",
        "ipv6 address prefix-pool TINY",
        "exit",
    )
    world.attached(name=name)
    # Another interface of the same subscriber.
    mobile = world.mobile(name)
    yield
    world.mag1.register(mobile, status=130)


@case("plain", denied("initial", f"{ADMIN}/h-bit-not-set"))
def no_h_bit(world: World) -> Steps:
    """Proxy Binding Update with the H bit clear where it is wanted"""
    mobile = world.mobile()
    world.configure("h-bit-required")
    yield
    world.mag1.register(mobile, status=129)
    world.configure("no h-bit-required")


@case("plain", denied("initial", f"{ADMIN}/policy-rejected"))
def alternate_refused(world: World) -> Steps:
    """Proxy Binding Update with an Alternate Care-of Address where that is not allowed"""
    mobile = world.mobile()
    options = [*world.mag1.options(mobile), (wire.ALTERNATE, world.mag2.address)]
    yield
    world.mag1.register(mobile, options=options, status=129)


@case("plain", denied("initial", f"{ADMIN}/bad-request"))
def not_acknowledged(world: World) -> Steps:
    """Proxy Binding Update with the A bit clear, which RFC 5213 wants set"""
    mobile = world.mobile()
    yield
    world.mag1.register(mobile, flags=wire.P, status=129)


@case("plain", denied("initial", f"{ADMIN}/hoa-not-authorized"))
def address_of_another(world: World) -> Steps:
    """Proxy Binding Update that asks for the IPv4 home address of another mobile node"""
    owner = world.attached(ipv4=True)
    thief = world.mobile()
    thief.address = owner.address
    yield
    world.mag1.register(thief, ipv6=False, ipv4=True, status=171)


@case("plain", denied("initial", f"{DENY}/other"), statuses=("binding-acknowledgement/131",))
def no_hosts(world: World) -> Steps:
    """Binding Update of a host where the operator has not enabled hosts"""
    yield
    options = [wire.nai("host@example.org")]
    world.mag1.send(world.mag1.seal(wire.update(1, wire.A | wire.H, 600, options)))
    if world.mag1.answer().status != 131:
        raise LabError("answered with another status than 131")
