"""The checks on a Binding Update of a host, in their order (RFC 6275 sections 9.5.1 and 10.3.1).

Tables of small functions, one check each, before and after the authentication. Each gives the verdict that
ends the processing, or ``None``.
"""

from collections.abc import Callable

from appliance.protocols.mipv6 import request as verdicts
from appliance.protocols.mipv6.binding import host_of
from appliance.protocols.mipv6.request import HostRequest
from appliance.protocols.mobility import discovery_messages
from appliance.protocols.mobility.codec import OPTION_LENGTH, Fault
from appliance.protocols.mobility.messages import BU_H, BU_R
from appliance.protocols.mobility.options import BindingIdentifier
from appliance.protocols.pmipv6.bce import BindingCache
from appliance.protocols.pmipv6.lma_checks import is_unicast
from appliance.protocols.pmipv6.lma_request import Verdict
from appliance.protocols.pmipv6.pools import HomePools
from appliance.protocols.pmipv6.settings import LmaSettings, Profile


class HostPolicy:
    """What the checks need to know of a service, prepared for look-up."""

    __slots__ = ("cache", "fallback", "owners", "pools", "profiles", "served", "settings")

    def __init__(self, settings: LmaSettings, cache: BindingCache, pools: HomePools) -> None:
        self.settings = settings
        self.cache = cache
        self.pools = pools
        self.profiles = {profile.mn_id: profile for profile in settings.profiles if profile.mn_id}
        self.fallback: Profile | None = None
        if settings.unknown_subscriber == "default":
            self.fallback = settings.default_profile or Profile(name="default")
        #: Whose the home addresses are that profiles name.
        self.owners = {address: each for each in settings.profiles for address in each.home_addresses}
        served = [pool for pool in settings.prefix_pools if pool.name in settings.mipv6_pools]
        #: (shift, number) of each prefix of the home link.
        self.served = tuple(
            (128 - pool.prefix_length, int.from_bytes(pool.prefix, "big") >> (128 - pool.prefix_length))
            for pool in served
        )

    def profile(self, mn_id: bytes, home: bytes) -> Profile | None:
        """The profile of a host: by its identifier, or without one by its home address."""
        if mn_id:
            return self.profiles.get(mn_id, self.fallback)
        return self.owners.get(home, self.fallback)

    def at_home(self, address: bytes) -> bool:
        """Whether an address is on the home link."""
        number = int.from_bytes(address, "big")
        return any(number >> shift == prefix for shift, prefix in self.served)


    def reserved(self, address: bytes) -> bool:
        """Whether an address of the home link is no host's (RFC 2526, RFC 4291 section 2.6.1)."""
        number = int.from_bytes(address, "big")
        return any(
            number >> shift == prefix and discovery_messages.reserved(address, 128 - shift)
            for shift, prefix in self.served
        )


def routable(address: bytes) -> bool:
    """Whether an IPv6 address is a unicast routable one (RFC 6275 section 3.1)."""
    # Global unicast addresses are 2000::/3.
    if address[0] & 0xE0 == 0x20:
        return True
    return is_unicast(address) and not (address[0] == 0xFE and address[1] & 0xC0 == 0x80)


def unreadable(policy: HostPolicy, request: HostRequest, faults: tuple[Fault, ...]) -> Verdict | None:
    """Why an update is not even looked at."""
    if policy.settings.shutdown:
        return verdicts.NOT_READY
    for fault in faults:
        if fault.kind != OPTION_LENGTH or request.mh[fault.offset] != BindingIdentifier.TYPE:
            return verdicts.DROP_MALFORMED
        # RFC 5648 section 6.2 answers this with a status of its own.
        request.malformed = True
    return None


def _addresses(policy: HostPolicy, request: HostRequest) -> Verdict | None:
    """RFC 6275 section 9.5.1: all of them unicast routable, none of them ours."""
    ours = request.destination
    for address in (request.source, request.care_of, request.home):
        if not routable(address) or address == ours:
            return verdicts.DROP_OTHER
    return None


def _shape(policy: HostPolicy, request: HostRequest) -> Verdict | None:
    """RFC 6275 section 9.5.1: no Nonce Indices with H; section 10.3.1: a Home Address option."""
    if request.flags & BU_H:
        if request.nonces is not None:
            return verdicts.DROP_OTHER
        away = request.by_option or request.outer is not None
        if not (away or request.leaves or any(each.home for each in request.identifiers)):
            return verdicts.DROP_OTHER
    if request.protected and request.lifetime and not request.alternate:
        # RFC 6275 section 11.7.1: ESP does not cover the source of the packet.
        return verdicts.DROP_OTHER
    return None if request.in_order() else verdicts.DROP_MALFORMED


def _sequence(policy: HostPolicy, request: HostRequest) -> Verdict | None:
    """RFC 6275 section 9.5.1, modulo 65536; with a MESG-ID it is not for this (RFC 4285 section 6)."""
    entry = request.entry
    if host_of(entry) is None or entry is None or request.mesg_id is not None:
        return None
    if not policy.settings.sequence_number_validate or entry.mn_id != request.mn_id:
        return None
    return None if 1 <= (request.sequence - entry.sequence) & 0xFFFF <= 32767 else verdicts.SEQUENCE


def _type(policy: HostPolicy, request: HostRequest) -> Verdict | None:
    """RFC 6275 section 9.5.1: a home registration stays one; a gateway's session is none."""
    entry = request.entry
    if entry is None:
        return None
    if host_of(entry) is None:
        return verdicts.TYPE_CHANGED if entry.mn_id == request.mn_id else None
    return None if request.flags & BU_H else verdicts.TYPE_CHANGED


def _home_registration(policy: HostPolicy, request: HostRequest) -> Verdict | None:
    """An anchor is nobody's correspondent node: there is no route optimization with it."""
    if request.flags & BU_H:
        return None
    if request.flags & BU_R:
        # RFC 3963 section 6.2.
        return verdicts.NO_ROUTER
    return verdicts.DROP_OTHER if policy.settings.mipv6_h_bit == "discard" else verdicts.NO_H_BIT


def _home_subnet(policy: HostPolicy, request: HostRequest) -> Verdict | None:
    """RFC 6275 section 10.3.1; anycast addresses of the home link are nobody's."""
    if not policy.at_home(request.home):
        return verdicts.NOT_HOME
    return verdicts.NOT_HIS_ADDRESS if request.entry is None and policy.reserved(request.home) else None


def _subscriber(policy: HostPolicy, request: HostRequest) -> Verdict | None:
    profile = request.profile
    if profile is None:
        return verdicts.NOT_OURS
    if not profile.mipv6:
        return verdicts.NO_PERMISSION
    service = request.service
    if service is not None and profile.services and service.identifier not in profile.services:
        return verdicts.NO_SERVICE
    grant = request.grant
    if service is not None and grant is not None and grant.services:
        return None if service.identifier in grant.services else verdicts.NO_SERVICE
    return None


def _home_address(policy: HostPolicy, request: HostRequest) -> Verdict | None:
    """Whether the home address is the host's: by its profile, by nobody else's, by what AAA has granted."""
    profile, grant = request.profile, request.grant
    if profile is not None and profile.home_addresses:
        if request.home not in profile.home_addresses:
            return verdicts.NOT_HIS_ADDRESS
    elif request.home in policy.owners:
        return verdicts.NOT_HIS_ADDRESS
    granted = b"" if grant is None else grant.home_address
    # RFC 5778 section 6.5: without an interface identifier it is the prefix of the home address.
    if granted in (b"", request.home) or (granted[8:] == bytes(8) and granted[:8] == request.home[:8]):
        return None
    return verdicts.NOT_HIS_ADDRESS


def _care_of(policy: HostPolicy, request: HostRequest) -> Verdict | None:
    """A care-of address inside a home network would make a tunnel that ends in itself."""
    if request.leaves:
        return None
    named = [request.care_of]
    if request.identifiers:
        named += [each.care_of for each in request.identifiers if len(each.care_of) == 16]
    for address in named:
        if address != request.home and policy.pools.routes(address, 128):
            return verdicts.BAD_CARE_OF
    return None


def _holder(policy: HostPolicy, request: HostRequest) -> Verdict | None:
    """The home address is another's: this is what can be found on a virtual home link."""
    entry = request.entry
    if entry is not None and entry.mn_id != request.mn_id:
        return verdicts.DUPLICATE
    if request.leaves and (entry is None or entry.deleting):
        # RFC 6275 section 10.3.2.
        return verdicts.NOT_OURS
    return None


Check = Callable[[HostPolicy, HostRequest], Verdict | None]

BEFORE: tuple[Check, ...] = (_addresses, _shape)
#: Those that hold at the moment of arrival; a request that has waited skips them.
FRESHNESS: tuple[Check, ...] = (_sequence,)
AFTER: tuple[Check, ...] = (
    _type,
    _home_registration,
    _home_subnet,
    _subscriber,
    _home_address,
    _care_of,
    _holder,
)
