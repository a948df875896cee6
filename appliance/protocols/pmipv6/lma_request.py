"""A Proxy Binding Update with its options sorted out, and how its checks can end.

The anchor parses every update once into a :class:`Request`; the checks, the sessions and the
acknowledgement read it. A check ends in a :class:`Verdict`: a status to answer with and the
counter row to increment, or silence.
"""

from typing import Any

from appliance.counters import LMA, deny_key
from appliance.protocols.mobility import messages, options, status
from appliance.protocols.mobility.aaa import Grant
from appliance.protocols.pmipv6.bce import BindingCacheEntry, identity
from appliance.protocols.pmipv6.events import PacketReceived
from appliance.protocols.pmipv6.extras import PMIPV6_PORT
from appliance.protocols.pmipv6.settings import Profile
from appliance.protocols.timers import Now

ZERO_16 = bytes(16)
ZERO_4 = bytes(4)


class Verdict:
    """Why an update is refused (``status`` >= 128) or not answered at all (``status`` -1).

    ``counter`` is the index of the leaf row in the LMA counter table; ``ipv4_status`` goes into the
    IPv4 Home Address Reply option (RFC 5844 section 3.3.2) when the request had its counterpart.
    """

    __slots__ = ("status", "counter", "ipv4_status")

    def __init__(self, status: int, counter: str = "", ipv4_status: int = 128) -> None:
        self.status = status
        self.counter = LMA.index(counter or deny_key(status))
        self.ipv4_status = ipv4_status


_ADMIN = "update-denied-admin-prohibited-reasons/"
_RESOURCE = "update-denied-insufficient-resource-reasons/"
_DISCARD = "binding-updates-discard-reasons/"


def _drop(reason: str) -> Verdict:
    return Verdict(-1, _DISCARD + reason)


def _admin(reason: str) -> Verdict:
    prohibited = status.ADMINISTRATIVELY_PROHIBITED
    return Verdict(prohibited, _ADMIN + reason, status.IPV4_ADMINISTRATIVELY_PROHIBITED)


DROP_LENGTH = _drop("invalid-buffer-length")
DROP_CHECKSUM = _drop("checksum-error")
DROP_MALFORMED = _drop("decode-failure")
DROP_NO_SESSION = _drop("session-not-found")
DROP_AUTH_PENDING = _drop("initial-auth-pending")
DROP_OTHER = _drop("other")
DROP_REVOCATION = _drop("revocation-pending")
NOT_READY = _drop("hamgr-not-ready")

DROP_CONGESTED = _drop("congestion-discarded")

CONGESTED = _admin("congestion-control-denied")
BAD_REQUEST = _admin("bad-request")
NO_H_BIT = _admin("h-bit-not-set")
POLICY = _admin("policy-rejected")
NO_PERMISSION = _admin("no-permission")
NOT_PROXY = Verdict(status.HOME_REGISTRATION_NOT_SUPPORTED)
NOT_AUTHORIZED_MAG = Verdict(status.MAG_NOT_AUTHORIZED_FOR_PROXY_REG)
NO_MN_ID = Verdict(status.MISSING_MN_IDENTIFIER_OPTION)
NOT_SERVED = Verdict(status.NOT_LMA_FOR_THIS_MOBILE_NODE)
NOT_ENTITLED = Verdict(status.PROXY_REG_NOT_ENABLED)
NO_SERVICE = Verdict(status.SERVICE_AUTHORIZATION_FAILED)
TIMESTAMP_LOWER = Verdict(status.TIMESTAMP_LOWER_THAN_PREV_ACCEPTED)
TIMESTAMP_MISMATCH = Verdict(status.TIMESTAMP_MISMATCH)
SEQUENCE = Verdict(status.SEQUENCE_NUMBER_OUT_OF_WINDOW)
NO_PREFIX_OPTION = Verdict(status.MISSING_HOME_NETWORK_PREFIX_OPTION)
NO_INDICATOR = Verdict(status.MISSING_HANDOFF_INDICATOR_OPTION)
NO_TECHNOLOGY = Verdict(status.MISSING_ACCESS_TECH_TYPE_OPTION)
SEVERAL_ADDRESSES = Verdict(status.MULTIPLE_IPV4_HOME_ADDRESS_ASSIGNMENT_NOT_SUPPORTED)
NO_IPV6 = Verdict(status.NOT_AUTHORIZED_FOR_IPV6_MOBILITY_SERVICE)
NO_IPV4 = Verdict(
    status.NOT_AUTHORIZED_FOR_IPV4_MOBILITY_SERVICE, "", status.IPV4_ADMINISTRATIVELY_PROHIBITED
)
GRE_REQUIRED = Verdict(status.GRE_KEY_OPTION_REQUIRED)
BAD_GROUP = Verdict(status.INVALID_MOBILE_NODE_GROUP_IDENTIFIER)
NOT_YOUR_PREFIX = Verdict(status.NOT_AUTHORIZED_FOR_HOME_NETWORK_PREFIX)
OTHER_PREFIXES = Verdict(status.BCE_PBU_PREFIX_SET_DO_NOT_MATCH)
# Status 171 has no row of its own; the reason that names it is a part of Admin Prohibited.
NOT_YOUR_ADDRESS = Verdict(
    status.NOT_AUTHORIZED_FOR_IPV4_HOME_ADDRESS,
    _ADMIN + "hoa-not-authorized",
    status.IPV4_ADMINISTRATIVELY_PROHIBITED,
)
POOL_EMPTY = Verdict(status.INSUFFICIENT_RESOURCES, _RESOURCE + "address-alloc-failed")
SERVICE_FULL = Verdict(status.INSUFFICIENT_RESOURCES, _RESOURCE + "session-manager-rejected")
NO_SESSION_MANAGER = Verdict(status.INSUFFICIENT_RESOURCES, _RESOURCE + "no-session-manager")
NO_MEMORY = Verdict(status.INSUFFICIENT_RESOURCES, _RESOURCE + "no-memory")
MOBILE_FULL = Verdict(status.INSUFFICIENT_RESOURCES, _RESOURCE + "simul-bindings-exceeded")

DELEGATION_DENIED = Verdict(status.NOT_AUTHORIZED_FOR_DELEGATED_MNP)
DELEGATED_IN_USE = Verdict(status.REQUESTED_DMNP_IN_USE)
#: RFC 6463 section 5.3: an address that only redirects, and nobody to redirect to.
NOT_ASSIGNED = Verdict(status.INSUFFICIENT_RESOURCES, _RESOURCE + "session-manager-rejected")
#: No refusal: a feature has taken the update over, and will answer it.
HELD = Verdict(0, "binding-updates-received/pending")

NO_PROFILE = Profile(name="")

_MN_ID = options.MobileNodeIdentifier.TYPE
_PREFIX = options.HomeNetworkPrefix.TYPE
_INDICATOR = options.HandoffIndicator.TYPE
_TECHNOLOGY = options.AccessTechnologyType.TYPE
_LINK_LAYER = options.MobileNodeLinkLayerIdentifier.TYPE
_LINK_LOCAL = options.LinkLocalAddress.TYPE
_TIMESTAMP = options.Timestamp.TYPE
_IPV4 = options.IPv4HomeAddressRequest.TYPE
_GRE = options.GreKey.TYPE
_SERVICE = options.ServiceSelection.TYPE
_ALTERNATE = options.AlternateCareOfAddress.TYPE
_ALTERNATE_IPV4 = options.AlternateIPv4CareOfAddress.TYPE


class Request:
    """One Proxy Binding Update on its way through the anchor."""

    __slots__ = (
        "address",
        "answer_flags",
        "answer_options",
        "answer_status",
        "care_of",
        "data",
        "destination",
        "entry",
        "fingerprint",
        "flags",
        "grant",
        "gre",
        "granted_call",
        "indicator",
        "interop",
        "ipv4",
        "lifetime",
        "link_layer",
        "link_local",
        "mn",
        "mn_id",
        "now",
        "others",
        "port",
        "prefix_options",
        "prefixes",
        "profile",
        "relay",
        "sequence",
        "service",
        "several_addresses",
        "source",
        "technology",
        "timestamp",
        "token",
        "until",
        "wait",
    )

    def __init__(self, event: PacketReceived, update: messages.BindingUpdate, now: Now) -> None:
        self.data = event.data
        self.source = event.source
        self.destination = event.destination
        self.port = event.port
        self.now = now
        self.sequence: int = update.sequence
        self.flags: int = update.flags
        self.lifetime: int = update.lifetime
        #: Registered Proxy-CoA: the source, or the Alternate Care-of Address.
        self.care_of = event.source
        self.profile = NO_PROFILE
        #: The session that is meant, when the look-up found one.
        self.entry: BindingCacheEntry | None = None
        #: HI 4: the session whose de-registration is to be waited for.
        self.wait: BindingCacheEntry | None = None
        #: What AAA has granted for this update; ``None``: it has not been asked yet.
        self.grant: Grant | None = None
        #: Call id by which AAA knows the session that this update makes; 0: it makes none, or AAA knows none.
        self.granted_call = 0
        #: Of the question that it has waited for.
        self.token = 0
        #: How long it may wait for AAA in all, in monotonic seconds; 0: it has not waited.
        self.until = 0.0
        #: Words of the gateway's peer line; see :mod:`interop`.
        self.interop: tuple[str, ...] = ()
        self.mn: Any = None
        self.mn_id = b""
        self.prefix_options: list[Any] = []
        #: The non-zero prefixes asked for.
        self.prefixes: list[tuple[bytes, int]] = []
        self.indicator: Any = None
        self.technology: Any = None
        self.link_layer: Any = None
        self.link_local: Any = None
        self.timestamp: Any = None
        self.ipv4: Any = None
        #: The non-zero IPv4 home address asked for.
        self.address: bytes | None = None
        self.several_addresses = False
        self.gre: Any = None
        self.service: Any = None
        #: Options that features look for; most updates have none.
        self.others: list[Any] = []
        #: What features add to the answer of an accepted update, their status for it and their flags.
        self.answer_options: list[Any] = []
        self.answer_status = 0
        self.answer_flags = 0
        #: The anchor of this process that was asked in place of this one, and its token (RFC 6463).
        self.relay: tuple[str, int] | None = None
        # A retransmission differs in sequence number and checksum at most (first 8 octets).
        self.fingerprint = hash((event.data[8:], event.source, event.port)) & 0x3FFFFFFF
        self._sort(update.options)

    def _sort(self, items: list[Any]) -> None:
        """Put every option that we know what to do with into its place."""
        for item in items:
            kind = item.TYPE
            if kind == _MN_ID:
                self.mn = item
                self.mn_id = identity(item.subtype, item.identifier)
            elif kind == _PREFIX:
                self.prefix_options.append(item)
                if item.prefix != ZERO_16:
                    self.prefixes.append((item.prefix, item.prefix_length))
            elif kind == _INDICATOR:
                self.indicator = item
            elif kind == _TECHNOLOGY:
                self.technology = item
            elif kind == _LINK_LAYER:
                self.link_layer = item
            elif kind == _LINK_LOCAL:
                self.link_local = item
            elif kind == _TIMESTAMP:
                self.timestamp = item
            elif kind == _IPV4:
                self.several_addresses = self.ipv4 is not None
                self.ipv4 = item
                if item.address != ZERO_4:
                    self.address = item.address
            elif kind == _GRE:
                self.gre = item
            elif kind == _SERVICE:
                self.service = item
            elif kind == _ALTERNATE:
                self.care_of = item.address
            else:
                self.others.append(item)
                if kind == _ALTERNATE_IPV4:
                    # RFC 6463 section 4.4: as the Alternate Care-of Address, over IPv4.
                    self.care_of = item.address

    def other(self, cls: type[Any]) -> Any:
        """The first option of a class that is not among the fields; ``None``: there is none."""
        for item in self.others:
            if item.__class__ is cls:
                return item
        return None

    def gateway_tag(self) -> bytes:
        """What tells the sender from others behind the same NAT; see :class:`extras.Gateway`."""
        own = self.other(options.IPv4CareOfAddress)
        if own is not None:
            address: bytes = own.address
            return address
        return b"" if self.port == PMIPV6_PORT else self.port.to_bytes(2, "big")

    def elsewhere(self, entry: BindingCacheEntry) -> bool:
        """Over IPv4 from the care-of address of a session: whether another gateway than its own sent this."""
        gateway = None if entry.extras is None else entry.extras.gateway
        return gateway is None or gateway.tag != self.gateway_tag()

    @property
    def link_layer_id(self) -> bytes:
        """Identifier of the MN-LL-ID option; all zero counts as absent (RFC 5213 section 8.6)."""
        if self.link_layer is None:
            return b""
        identifier: bytes = self.link_layer.identifier
        return identifier if any(identifier) else b""
