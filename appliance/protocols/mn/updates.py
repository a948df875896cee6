"""Binding Updates of a mobile node to its home agent, and reading what comes back.

RFC 6275 section 11.7.1, RFC 4285, RFC 5555 section 4.4.2, RFC 5648 section 5.2, RFC 3963 section 5.2.
"""

from struct import Struct
from typing import Any, NamedTuple

from appliance.protocols.mn.agents import Agent
from appliance.protocols.mn.settings import Association
from appliance.protocols.mn.slots import HOME, LEAVE, REGISTER, REMOVE, Exchange, Sent
from appliance.protocols.mn.state import Shared
from appliance.protocols.mobility import messages as msg
from appliance.protocols.mobility import options as opt
from appliance.protocols.mobility import rfc4285
from appliance.protocols.mobility.codec import encode, to_ntp
from appliance.protocols.mobility.status import AUTH_MN_AAA, AUTH_MN_HA, MN_ID_NAI
from appliance.protocols.timers import Now

LIFETIME_UNIT = 4
"""Seconds (RFC 6275 section 6.1.7)."""
_HEAD = Struct(">BBBI")
_AUTHENTICATION = opt.Authentication.TYPE
_MN_HA_LENGTH = 5 + rfc4285.MN_HA_OCTETS
_SECOND, _ERA = 1 << 32, 1 << 64
#: Bits of a timestamp that a clock does not have (RFC 4285 section 6: from chance).
_CHANCE = 10


class Clock:
    """Timestamps of the MESG-ID option (RFC 4285 section 6): ever larger, and near the home agent's clock."""

    __slots__ = ("_ahead", "_last")

    def __init__(self) -> None:
        self._ahead = 0
        self._last = 0

    def stamp(self, shared: Shared, now: Now) -> int:
        """The next timestamp."""
        value = (to_ntp(now.wall) + self._ahead) % _ERA
        value = value >> _CHANCE << _CHANCE | shared.random_bits(_CHANCE)
        if self._last and not 0 < (value - self._last) % _ERA < _ERA // 2:
            value = (self._last + 1) % _ERA
        self._last = value
        return value

    def follow(self, answer: int, now: Now) -> None:
        """Go by the clock of the home agent, whose seconds are the upper half of its answer (status 144)."""
        difference = ((answer >> 32) - (to_ntp(now.wall) >> 32)) % _SECOND
        if difference >= _SECOND // 2:
            difference -= _SECOND
        self._ahead = difference << 32
        # What was sent by the wrong clock was not accepted.
        self._last = 0


def lifetime_of(shared: Shared, valid: float) -> int:
    """What to ask for, in units of 4 s; ``valid``: seconds that the home address is good for."""
    return max(1, int(min(shared.settings.lifetime, valid)) // LIFETIME_UNIT)


def update(
    shared: Shared, agent: Agent, exchange: Exchange, sequence: int, lifetime: int, clock: Clock, now: Now
) -> tuple[bytes, Sent]:
    """The octets of the next transmission, its checksum zero, and what to remember of it."""
    settings = shared.settings
    options: list[Any] = []
    if settings.mn_id:
        options.append(opt.MobileNodeIdentifier(MN_ID_NAI, settings.mn_id))
    if settings.service and exchange.kind == REGISTER:
        options.append(opt.ServiceSelection(settings.service))
    options += _addresses(shared, agent, exchange)
    care_of = _covered(shared, exchange, options)
    mesg_id = clock.stamp(shared, now) if settings.mesg_id or agent.mesg_id else 0
    if mesg_id:
        options.append(opt.MessageIdentification(mesg_id))
    # A repetition too: a home agent that has forgotten us cannot sign its denial with a key that AAA gave it.
    first = exchange.name == "initial" or agent.prove or exchange.backoff.tries > 0
    mn_ha, mn_aaa = authentication(shared, first)
    if mn_ha is not None:
        options.append(opt.Authentication(AUTH_MN_HA, mn_ha.spi, bytes(rfc4285.MN_HA_OCTETS)))
    if mn_aaa:
        octets = bytes(rfc4285.MN_AAA_OCTETS)
        options.append(opt.Authentication(AUTH_MN_AAA, rfc4285.HMAC_SHA1_SPI, octets))
    flags = flags_of(shared, agent, exchange)
    mh = encode(msg.BindingUpdate(sequence, flags, lifetime, options))
    if mn_ha is not None:
        mh = prove_mn_ha(mh, mn_ha, care_of, shared.home)
    if mn_aaa:
        mh = _prove_mn_aaa(mh, mn_aaa, care_of, shared.home)
    return mh, Sent(now.mono, care_of, shared.home, mesg_id, lifetime, flags)


def flags_of(shared: Shared, agent: Agent, exchange: Exchange) -> int:
    """RFC 6275 section 11.7.1 and the documents that add flags; K is clear: there is no IKE of ours."""
    settings = shared.settings
    flags = msg.BU_A | msg.BU_H
    if settings.link_local:
        flags |= msg.BU_L
    if exchange.kind in (LEAVE, HOME, REMOVE):
        return flags
    if settings.mobile_router and agent.router:
        flags |= msg.BU_R
    if len(exchange.link.address) == 4:
        flags |= msg.BU_F * (settings.force_udp and agent.force)
        flags |= msg.BU_T * settings.tlv
    if exchange.slots[0].bid and agent.overwrite:
        # RFC 5648 section 5.9.
        flags |= msg.BU_O
    return flags


def _addresses(shared: Shared, agent: Agent, exchange: Exchange) -> list[Any]:
    """The options that say what is registered."""
    settings = shared.settings
    found: list[Any] = []
    several = [slot for slot in exchange.slots if slot.bid]
    four = len(exchange.link.address) == 4
    if exchange.kind == REMOVE:
        return [opt.BindingIdentifier(slot.bid, 0, 0) for slot in several]
    if settings.ipv4_home and exchange.kind == REGISTER and not shared.ipv4_revoked:
        # RFC 5648 section 8.2: before any Binding Identifier option.
        wanted = shared.home_ipv4 or settings.ipv4_home_address or bytes(4)
        found.append(opt.IPv4HomeAddress(shared.home_ipv4_length if shared.home_ipv4 else 32, 0, wanted))
    if exchange.kind == REGISTER:
        for slot in several:
            assert slot.link is not None
            found.append(opt.BindingIdentifier(slot.bid, 0, 0, slot.link.address))
        explicit = settings.router_mode == "explicit" and not agent.implicit
        if settings.mobile_router and agent.router and explicit:
            # RFC 3963 section 5.2: in all updates.
            found += [opt.MobileNetworkPrefix(length, prefix) for prefix, length in settings.networks]
    if four and not several:
        # RFC 5648 section 8.1: not beside Binding Identifier options.
        found.append(opt.IPv4CareOfAddress(exchange.link.address))
    elif settings.alternate_care_of and not several and exchange.kind != HOME and not four:
        # RFC 5648 section 5.2: not beside them either.
        found.append(opt.AlternateCareOfAddress(exchange.link.address))
    return found


def _covered(shared: Shared, exchange: Exchange, options: list[Any]) -> bytes:
    """The care-of address that the authenticators cover."""
    if exchange.kind == HOME:
        return shared.home
    if len(exchange.link.address) == 16:
        return exchange.link.address
    said = b""
    for option in options:
        if isinstance(option, opt.IPv4CareOfAddress):
            said = option.address
        elif isinstance(option, opt.BindingIdentifier) and len(option.care_of) == 4:
            said = option.care_of
    return rfc4285.covered_care_of(said, shared.home)


def authentication(shared: Shared, first: bool) -> tuple[Association | None, bytes]:
    """What an update is proved by: the association of the MN-HA option, the key of the MN-AAA option."""
    settings = shared.settings
    if settings.authentication == "none":
        return None, b""
    association = settings.associations[0] if settings.associations else None
    mode = settings.authentication
    asks = mode == "mn-aaa-always" or (mode == "mn-aaa-initial" and first)
    return association, settings.aaa_key if asks else b""


def prove_mn_ha(mh: bytes, association: Association, care_of: bytes, home: bytes) -> bytes:
    """Fill in the MN-HA option (RFC 4285 section 5.1): over all that stands before the authenticator."""
    head = _HEAD.pack(_AUTHENTICATION, _MN_HA_LENGTH, AUTH_MN_HA, association.spi)
    at = mh.rindex(head + bytes(rfc4285.MN_HA_OCTETS))
    end = at + len(head)
    proof = rfc4285.mn_ha_authenticator(association.key, care_of, home, rfc4285.covered(mh, at))
    return mh[:end] + proof + mh[end + rfc4285.MN_HA_OCTETS :]


def _prove_mn_aaa(mh: bytes, key: bytes, care_of: bytes, home: bytes) -> bytes:
    """RFC 4285 section 5.2: the last option."""
    end = len(mh) - rfc4285.MN_AAA_OCTETS
    digest = rfc4285.mac_mobility_data(care_of, home, rfc4285.covered(mh, end - _HEAD.size))
    return mh[:end] + rfc4285.mn_aaa_authenticator(key, digest)


class Answer(NamedTuple):
    """What a Binding Acknowledgement says beside its fixed fields."""

    refresh: int = 0
    """Binding Refresh Advice, seconds; 0: none."""
    mesg_id: int = 0
    identifiers: tuple[tuple[int, int], ...] = ()
    """(BID, status)"""
    ipv4: tuple[int, bytes, int] | None = None
    """Status, address, prefix length."""
    nat: tuple[bool, int] | None = None
    """F flag, refresh time."""


def read(answer: msg.BindingAcknowledgement) -> Answer:
    """Sort the options of an answer."""
    refresh = mesg_id = 0
    identifiers: list[tuple[int, int]] = []
    ipv4: tuple[int, bytes, int] | None = None
    nat: tuple[bool, int] | None = None
    for option in answer.options:
        if isinstance(option, opt.BindingRefreshAdvice):
            refresh = option.interval * LIFETIME_UNIT
        elif isinstance(option, opt.MessageIdentification):
            mesg_id = option.timestamp
        elif isinstance(option, opt.BindingIdentifier):
            identifiers.append((option.bid, option.status))
        elif isinstance(option, opt.IPv4AddressAcknowledgement) and ipv4 is None:
            ipv4 = option.status, option.address, option.prefix_length
        elif isinstance(option, opt.NatDetection):
            nat = bool(option.force), option.refresh_time
    return Answer(refresh, mesg_id, tuple(identifiers), ipv4, nat)


def proved(shared: Shared, data: bytes, options: list[Any], care_of: bytes, home: bytes) -> bool:
    """Whether a message of the home agent is authentic (RFC 4285 section 5.1).

    The MN-HA option has to be the last one. Without an association there is nothing to hold it against.
    """
    associations = shared.settings.associations
    if shared.settings.authentication == "none" or not associations:
        return True
    last = options[-1] if options else None
    if not isinstance(last, opt.Authentication) or last.subtype != AUTH_MN_HA:
        return False
    mh = data[: 8 * data[1] + 8]
    at = len(mh) - _HEAD.size - len(last.authenticator)
    head = _HEAD.pack(_AUTHENTICATION, 5 + len(last.authenticator), AUTH_MN_HA, last.spi)
    if at < 12 or mh[at : at + _HEAD.size] != head:
        return False
    covered = rfc4285.covered(mh, at)
    return any(
        each.spi == last.spi
        and rfc4285.same(
            rfc4285.mn_ha_authenticator(each.key, care_of, home, covered), last.authenticator
        )
        for each in associations
    )
