"""The checks on a Proxy Binding Update, in the order in which they must be made.

Three tables of small functions, one check each: :data:`BEFORE_LOOK_UP`, :data:`FRESHNESS`, :data:`CONTENT`.
Each gives the verdict that ends the processing, or ``None``. The order of the checks from
the MN-ID option to the GRE key is RFC 5213 section 5.3.1's; those of RFC 5844, 5845 and 5149 are
placed between.
"""

from collections.abc import Callable, Iterable

from appliance.protocols.mobility.codec import from_timestamp
from appliance.protocols.mobility.messages import BU_A, BU_F, BU_H, BU_P, BU_T
from appliance.protocols.pmipv6 import lma_request as verdicts
from appliance.protocols.pmipv6.lma_aaa import asks
from appliance.protocols.pmipv6.lma_request import Request, Verdict
from appliance.protocols.pmipv6.settings import LmaSettings, Peer, Profile

#: Home network prefixes that one update may name.
PREFIXES_PER_UPDATE = 32


def is_unicast(address: bytes) -> bool:
    """Whether a packed IPv6 or IPv4 address can be a single host's: not unspecified, multicast, loopback."""
    if not any(address):
        return False
    if len(address) == 4:
        return address[0] < 224 and address[0] not in (0, 127)
    return address[0] != 0xFF and address != b"\0" * 15 + b"\1"


class Peers:
    """The configured MAGs: single addresses, and prefixes of which the longest wins."""

    __slots__ = ("_exact", "_ranges")

    def __init__(self, peers: Iterable[Peer]) -> None:
        self._exact: dict[bytes, Peer] = {}
        self._ranges: list[tuple[int, int, Peer]] = []
        for peer in peers:
            size = 8 * len(peer.address)
            if peer.prefix_length >= size:
                self._exact[peer.address] = peer
            else:
                shift = size - peer.prefix_length
                self._ranges.append((shift, int.from_bytes(peer.address, "big") >> shift, peer))
        self._ranges.sort(key=lambda one: one[0])

    def find(self, address: bytes) -> Peer | None:
        """What is configured of a MAG; ``None``: no peer line covers it."""
        return self._exact.get(address) or self._covering(address)

    def allowed(self, address: bytes) -> bool | None:
        """Whether a MAG may register mobiles; ``None``: no peer line covers it."""
        peer = self._exact.get(address) or self._covering(address)
        return None if peer is None else peer.allowed

    def _covering(self, address: bytes) -> Peer | None:
        number = int.from_bytes(address, "big")
        for shift, network, peer in self._ranges:
            if number >> shift == network and len(peer.address) == len(address):
                return peer
        return None


class Policy:
    """What the checks need to know of a service's settings, prepared for look-up."""

    __slots__ = ("settings", "peers", "profiles", "fallback", "window", "asks")

    def __init__(self, settings: LmaSettings) -> None:
        self.settings = settings
        self.peers = Peers(settings.peers)
        self.profiles = {profile.mn_id: profile for profile in settings.profiles if profile.mn_id}
        #: For a mobile without a profile; ``None``: it is not served.
        self.fallback: Profile | None = None
        if settings.unknown_subscriber == "default":
            self.fallback = settings.default_profile or Profile(name="default")
        #: AAA decides what the profile does not say.
        self.asks = asks(settings)
        #: Seconds.
        self.window = settings.timestamp_validity_window / 1000

    def uses_timestamp(self, request: Request) -> bool:
        """Whether this update is ordered by its Timestamp option (RFC 5213 section 5.5)."""
        return request.timestamp is not None and self.settings.timestamp_option_validation


def _not_ready(policy: Policy, request: Request) -> Verdict | None:
    """The operator has taken the service out of service: gateways are to find another anchor."""
    return verdicts.NOT_READY


def _no_gateways(policy: Policy, request: Request) -> Verdict | None:
    """RFC 5213 section 5.3.1: a home agent of hosts; network-based mobility is not enabled here."""
    return verdicts.NOT_ENTITLED


def _source(policy: Policy, request: Request) -> Verdict | None:
    """RFC 6275 section 9.2: nothing is ever sent to an address that is not unicast."""
    if not (is_unicast(request.source) and is_unicast(request.care_of)):
        return verdicts.DROP_OTHER
    # Our own address is no gateway's: a tunnel to it would end where it begins.
    return verdicts.DROP_OTHER if request.destination in (request.source, request.care_of) else None


def _peer(policy: Policy, request: Request) -> Verdict | None:
    """RFC 5213 section 4: only configured gateways are trusted."""
    allowed = policy.peers.allowed(request.source)
    if allowed:
        return None
    if allowed is None and policy.settings.unknown_peer == "discard":
        return verdicts.DROP_OTHER
    return verdicts.NOT_AUTHORIZED_MAG


def _flags(policy: Policy, request: Request) -> Verdict | None:
    """RFC 5213 section 8.1: P and A are set in every Proxy Binding Update; H is the operator's choice."""
    flags = request.flags
    if not flags & BU_P:
        return verdicts.NOT_PROXY if flags & BU_H else verdicts.DROP_OTHER
    if not flags & BU_A:
        return verdicts.BAD_REQUEST
    if policy.settings.h_bit_required and not flags & BU_H:
        return verdicts.NO_H_BIT
    return None


def _mn_id(policy: Policy, request: Request) -> Verdict | None:
    """RFC 5213 section 5.3.1 rule 5."""
    return None if request.mn_id else verdicts.NO_MN_ID


def _gateway(policy: Policy, request: Request) -> Verdict | None:
    """RFC 5213 section 5.3.1 rule 3: this MAG for this mobile. Finds the profile on the way."""
    profile = policy.profiles.get(request.mn_id, policy.fallback)
    if profile is None:
        return verdicts.NOT_SERVED
    request.profile = profile
    if profile.mags and request.source not in profile.mags:
        return verdicts.NOT_AUTHORIZED_MAG
    return None


def _entitled(policy: Policy, request: Request) -> Verdict | None:
    """RFC 5213 section 5.3.1: a mobile that may not use network-based mobility, or none at all."""
    profile = request.profile
    if not profile.enabled:
        return verdicts.NO_PERMISSION
    return None if profile.pmipv6 else verdicts.NOT_ENTITLED


def _service(policy: Policy, request: Request) -> Verdict | None:
    """RFC 5149 section 3."""
    services = request.profile.services
    if services and request.service is not None and request.service.identifier not in services:
        return verdicts.NO_SERVICE
    return None


def _timestamp_order(policy: Policy, request: Request) -> Verdict | None:
    """RFC 5213 section 5.5: lower than the last accepted one of the session."""
    entry = request.entry
    if entry is not None and policy.uses_timestamp(request) and request.timestamp.value < entry.timestamp:
        return verdicts.TIMESTAMP_LOWER
    return None


def _timestamp_window(policy: Policy, request: Request) -> Verdict | None:
    """RFC 5213 section 5.5: near our own clock, and never the same one twice."""
    if not policy.uses_timestamp(request):
        return None
    value = request.timestamp.value
    entry = request.entry
    if entry is not None and value == entry.timestamp:
        return verdicts.TIMESTAMP_MISMATCH
    if policy.settings.mobile_node_generated_timestamp:
        return None
    if abs(from_timestamp(value) - request.now.wall) > policy.window:
        return verdicts.TIMESTAMP_MISMATCH
    return None


def _sequence(policy: Policy, request: Request) -> Verdict | None:
    """RFC 6275 section 9.5.1: newer than the last one, modulo 65536; only without a timestamp."""
    entry = request.entry
    if entry is None or not policy.settings.sequence_number_validate or policy.uses_timestamp(request):
        return None
    return None if 1 <= (request.sequence - entry.sequence) & 0xFFFF <= 32767 else verdicts.SEQUENCE


def _prefix_option(policy: Policy, request: Request) -> Verdict | None:
    """RFC 5213 section 5.3.1 rule 6, RFC 5844 section 3.1.2.1."""
    return None if request.prefix_options or request.ipv4 is not None else verdicts.NO_PREFIX_OPTION


def _indicator(policy: Policy, request: Request) -> Verdict | None:
    """RFC 5213 section 5.3.1 rule 7."""
    return None if request.indicator is not None else verdicts.NO_INDICATOR


def _technology(policy: Policy, request: Request) -> Verdict | None:
    """RFC 5213 section 5.3.1 rule 8."""
    return None if request.technology is not None else verdicts.NO_TECHNOLOGY


def _families(policy: Policy, request: Request) -> Verdict | None:
    """RFC 5844 section 3.1.2.1: one IPv4 address, and only families that the mobile may use."""
    if request.several_addresses:
        return verdicts.SEVERAL_ADDRESSES
    if policy.asks and not request.profile.mn_id:
        # AAA knows a mobile node that no profile names; see lma_aaa.not_granted.
        return None
    if request.prefix_options and not request.profile.ipv6:
        return verdicts.NO_IPV6
    if request.ipv4 is not None and not request.profile.ipv4:
        return verdicts.NO_IPV4
    return None


def _prefixes(policy: Policy, request: Request) -> Verdict | None:
    """Several zero prefixes, zero beside others, or one prefix twice, contradict themselves; no hoarding."""
    asked = request.prefix_options
    if len(asked) > PREFIXES_PER_UPDATE:
        return verdicts.BAD_REQUEST
    if len(asked) > 1 and (len(request.prefixes) != len(asked) or len(set(request.prefixes)) != len(asked)):
        return verdicts.BAD_REQUEST
    return None


def _encapsulation(policy: Policy, request: Request) -> Verdict | None:
    """RFC 5844 section 4.1.3.1 (forced UDP), RFC 5845 section 3.3.1 (GRE; not in a de-registration)."""
    settings = policy.settings
    if request.port and request.flags & BU_F:
        if not settings.forced_udp_encapsulation:
            return verdicts.POLICY
        # RFC 5845 section 7.1: there is no GRE in UDP without a TLV header.
        if settings.gre == "required" and request.gre is not None and not request.flags & BU_T:
            return verdicts.POLICY
    if settings.gre == "required" and request.gre is None and request.lifetime:
        return verdicts.GRE_REQUIRED
    return None


def _alternate(policy: Policy, request: Request) -> Verdict | None:
    """RFC 5213 section 6.9.1.5, RFC 6463 section 4.4: another care-of address than the source, where the
    operator allows it; of the same family, since the tunnel ends there."""
    if request.care_of == request.source:
        return None
    if not policy.settings.alt_coa_allowed or len(request.care_of) != len(request.source):
        return verdicts.POLICY
    return None if policy.peers.allowed(request.care_of) else verdicts.NOT_AUTHORIZED_MAG


Check = Callable[[Policy, Request], Verdict | None]

BEFORE_LOOK_UP: tuple[Check, ...] = (_source, _peer, _flags, _mn_id, _gateway, _entitled, _service)

#: In the place of these, while the service is shut down.
SHUT_DOWN: tuple[Check, ...] = (_not_ready,)

#: In the place of these, at a home agent that serves hosts alone.
HOSTS_ONLY: tuple[Check, ...] = (_source, _no_gateways)

#: Ordering checks; they hold at the moment of arrival, so a request that had to wait skips them later.
FRESHNESS: tuple[Check, ...] = (_timestamp_order, _timestamp_window, _sequence)

#: Those that may come out otherwise when a request has waited: the session may have got a newer one.
ORDER: tuple[Check, ...] = (_timestamp_order, _sequence)

CONTENT: tuple[Check, ...] = (
    _prefix_option,
    _indicator,
    _technology,
    _families,
    _prefixes,
    _encapsulation,
    _alternate,
)
