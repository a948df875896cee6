"""Several care-of addresses for one home address (RFC 5648 section 6.2).

A plan says what the care-of addresses will be when the update is accepted, and what each Binding Identifier
option is answered with. Making one changes nothing.
"""

from typing import NamedTuple

from appliance.protocols.mipv6.binding import Away, CareOf, HostBinding, primary
from appliance.protocols.mipv6.checks import routable
from appliance.protocols.mipv6.dsmip import away_of
from appliance.protocols.mipv6.request import MCOA, HostRequest
from appliance.protocols.mobility import status as codes
from appliance.protocols.mobility.messages import BU_O
from appliance.protocols.mobility.options import BindingIdentifier
from appliance.protocols.pmipv6.host_settings import CARE_OF_ADDRESSES
from appliance.protocols.pmipv6.lma_request import Verdict
from appliance.protocols.pmipv6.settings import LmaSettings

Several = dict[int, CareOf]
#: Status of one option that is accepted; of the answer when an option has another.
FINE = 0


class Plan(NamedTuple):
    """What becomes of the care-of addresses."""

    several: Several | None
    """``None``: a plain binding. Empty: none is left, the binding ends."""
    statuses: tuple[tuple[int, int], ...] = ()
    """(BID, status) for the answer, in the order of the options."""
    status: int = codes.ACCEPTED
    """Of the answer as a whole."""


#: An update without Binding Identifier options: a plain binding takes the place of whatever there was.
PLAIN = Plan(None)


def plan(request: HostRequest, host: HostBinding | None, settings: LmaSettings, due: float) -> Plan | Verdict:
    """What to do about the options; ``due``: when a care-of address ends that is granted now."""
    if request.malformed:
        return MCOA[codes.MCOA_MALFORMED]
    options = request.identifiers
    if not options:
        return PLAIN
    if settings.mipv6_multiple == "prohibited":
        return MCOA[codes.MCOA_PROHIBITED]
    if len(options) > 1 and settings.mipv6_multiple == "single":
        return MCOA[codes.MCOA_BULK_REGISTRATION_PROHIBITED]
    known = host.several if host is not None else None
    if not request.lifetime:
        return _removed(request, known)
    overwrites = bool(request.flags & BU_O)
    if host is not None and known is None and not overwrites:
        return MCOA[codes.MCOA_NON_MCOA_BINDING_EXISTS]
    found: Several = {} if overwrites or known is None else dict(known)
    statuses = []
    for option in options:
        code = _register(request, option, known or {}, found, settings, due)
        statuses.append((option.bid, code))
    return _summed_up(found, statuses)


def _summed_up(found: Several, statuses: list[tuple[int, int]]) -> Plan | Verdict:
    """RFC 5648 section 6.2: what fails of some only stands in their options, the whole is status 4."""
    failed = [code for _, code in statuses if code >= codes.REASON_UNSPECIFIED]
    if len(failed) == len(statuses):
        return MCOA[failed[0]]
    if found and not primary(found):
        # There is no care-of address to be at the same time as the home.
        return MCOA[codes.MCOA_SIMULTANEOUS_HOME_AND_FOREIGN_PROHIBITED]
    if failed:
        return Plan(found, tuple(statuses), codes.MCOA_NOTCOMPLETE)
    if any(code == codes.MCOA_RETURNHOME_WO_NDP for _, code in statuses):
        return Plan(found, tuple(statuses), codes.MCOA_RETURNHOME_WO_NDP)
    return Plan(found, tuple(statuses))


def _removed(request: HostRequest, known: Several | None) -> Plan | Verdict:
    """RFC 5648 section 5.4: only the care-of addresses that are named go."""
    found = dict(known or {})
    statuses = []
    for option in request.identifiers:
        gone = found.pop(option.bid, None)
        statuses.append((option.bid, FINE if gone else codes.NOT_HOME_AGENT_FOR_THIS_MOBILE_NODE))
    if found and not primary(found):
        found = {}
    return _summed_up(found, statuses)


def _register(
    request: HostRequest,
    option: BindingIdentifier,
    known: Several,
    found: Several,
    settings: LmaSettings,
    due: float,
) -> int:
    """Put the care-of address of one option into ``found``; returns the option's status."""
    bid: int = option.bid
    address: bytes = option.care_of
    at_home = bool(option.home)
    # Section 6.2: a unicast routable address; the end of a tunnel of ours is nobody's care-of address.
    if not bid or (address and (not routable(address) or address == request.destination)):
        return codes.MCOA_MALFORMED
    away: Away | None = None
    if len(address) == 4:
        place = _in_ipv4(request, option, known.get(bid), settings)
        if isinstance(place, int):
            return place
        address, away = place
    elif at_home:
        # RFC 5648 section 5.6: we go on to intercept, so the host does no Neighbor Discovery for it.
        if not settings.mipv6_home_and_foreign:
            return codes.MCOA_SIMULTANEOUS_HOME_AND_FOREIGN_PROHIBITED
        address = request.home
    elif not address:
        if bid not in known:
            return codes.MCOA_UNKNOWN_COA
        address, away = known[bid].address, known[bid].away
    if bid not in found and len(found) >= (settings.simul_bindings or CARE_OF_ADDRESSES):
        return codes.INSUFFICIENT_RESOURCES
    found[bid] = CareOf(address, due, at_home, away)
    return codes.MCOA_RETURNHOME_WO_NDP if at_home else FINE


def _in_ipv4(
    request: HostRequest, option: BindingIdentifier, before: CareOf | None, settings: LmaSettings
) -> tuple[bytes, Away] | int:
    """RFC 5648 section 8.1: the place of a host in an IPv4 network, or the option's status.

    A new one comes alone and inside UDP, from where it is: only so a NAT is found. Together with others it
    may be refreshed, if there is none.
    """
    if not settings.mipv6_dual_stack or settings.ipv4_address is None:
        return codes.MCOA_PROHIBITED
    if option.home:
        # RFC 5555 section 4.4.4: nobody is at home in IPv4.
        return codes.MCOA_MALFORMED
    here = away_of(request, settings)
    if here is not None and request.outer is not None and len(request.identifiers) == 1:
        return request.outer.address, here
    known = None if before is None else before.away
    if before is None or known is None or known.nat or before.address != option.care_of:
        return codes.MCOA_BULK_REGISTRATION_PROHIBITED
    return before.address, known
