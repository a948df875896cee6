"""A Binding Update of a host with its options sorted out, and how its checks can end."""

from ipaddress import ip_address
from typing import Any, NamedTuple

from appliance.counters import LMA
from appliance.protocols.mobility import messages, options, status
from appliance.protocols.mobility.aaa import Grant
from appliance.protocols.mobility.rfc4285 import covered_care_of
from appliance.protocols.pmipv6 import lma_request as common
from appliance.protocols.pmipv6.bce import BindingCacheEntry, identity
from appliance.protocols.pmipv6.events import PacketReceived
from appliance.protocols.pmipv6.lma_request import Verdict
from appliance.protocols.pmipv6.settings import Profile
from appliance.protocols.timers import Now

_ADMIN = "update-denied-admin-prohibited-reasons/"
_RESOURCE = "update-denied-insufficient-resource-reasons/"


def _admin(reason: str) -> Verdict:
    return Verdict(status.ADMINISTRATIVELY_PROHIBITED, _ADMIN + reason)


DROP_OTHER, DROP_MALFORMED = common.DROP_OTHER, common.DROP_MALFORMED
DROP_PENDING, NOT_READY = common.DROP_AUTH_PENDING, common.NOT_READY
DROP_CONGESTED, CONGESTED = common.DROP_CONGESTED, common.CONGESTED
SEQUENCE, NO_SERVICE = common.SEQUENCE, common.NO_SERVICE
NO_OPTION = _admin("mn-aaa-auth-option-missing")
UNKNOWN_AAA_SPI = _admin("invalid-mn-aaa-option-spi")
UNKNOWN_HA_SPI = _admin("invalid-mn-ha-option-spi")
NO_H_BIT = common.NO_H_BIT
NO_SUPPORT = common.NOT_PROXY
NOT_HIS_ADDRESS = _admin("hoa-not-authorized")
NO_PERMISSION = _admin("no-permission")
SWITCHED = _admin("other")
AUTH_FAILED = Verdict(status.MIPV6_AUTH_FAIL)
NO_MESG_ID = Verdict(status.MIPV6_MESG_ID_REQD)
REPLAYED = Verdict(status.MIPV6_ID_MISMATCH)
TYPE_CHANGED = Verdict(status.REGISTRATION_TYPE_CHANGE_DISALLOWED)
NOT_HOME = Verdict(status.NOT_HOME_SUBNET)
NOT_OURS = Verdict(status.NOT_HOME_AGENT_FOR_THIS_MOBILE_NODE)
DUPLICATE = Verdict(status.DUPLICATE_ADDRESS_DETECTION_FAILED)
BAD_CARE_OF = Verdict(status.INVALID_CARE_OF_ADDRESS)
TOO_MANY = Verdict(status.INSUFFICIENT_RESOURCES, _RESOURCE + "simul-bindings-exceeded")
#: RFC 5555 section 4.5: UDP without need; see ``dsmip``.
FORCE_REFUSED = _admin("policy-rejected")
FORCE_REFUSED_144 = Verdict(status.MIPV6_ID_MISMATCH)
#: RFC 3963 section 4.2: no mobile routers here, a prefix that cannot be forwarded, one of somebody else's,
#: none known at all.
NO_ROUTER = Verdict(status.MOBILE_ROUTER_OPERATION_NOT_PERMITTED)
BAD_NETWORK = Verdict(status.INVALID_PREFIX)
NOT_HIS_NETWORK = Verdict(status.NOT_AUTHORIZED_FOR_PREFIX)
NO_NETWORK = Verdict(status.FORWARDING_SETUP_FAILED)
MCOA = {
    code: Verdict(code)
    for code in (
        status.MCOA_MALFORMED,
        status.MCOA_NON_MCOA_BINDING_EXISTS,
        status.MCOA_PROHIBITED,
        status.MCOA_UNKNOWN_COA,
        status.MCOA_BULK_REGISTRATION_PROHIBITED,
        status.MCOA_SIMULTANEOUS_HOME_AND_FOREIGN_PROHIBITED,
    )
} | {status.NOT_HOME_AGENT_FOR_THIS_MOBILE_NODE: NOT_OURS, status.INSUFFICIENT_RESOURCES: TOO_MANY}
#: Where the discarded go that the operator does not want to be answered.
DROPPED = LMA.index("binding-updates-discard-reasons/other")

MN_HA, MN_AAA = 1, 2
_BY_TYPE = {
    options.MobileNodeIdentifier.TYPE: "mn",
    options.MessageIdentification.TYPE: "mesg_id",
    options.ServiceSelection.TYPE: "service",
    options.NonceIndices.TYPE: "nonces",
}
_AUTHENTICATION = options.Authentication.TYPE
_PADDING = (0, 1)
UNSPECIFIED = bytes(16)


NO_IPSEC = "binding updates without IPsec are discarded"


def name_of(address: bytes) -> bytes:
    """A packed address as the name of a host that has no other."""
    return str(ip_address(address)).encode()


class ProtectedPacket(PacketReceived):
    """One that a security association of the kernel has covered."""

    __slots__ = ()


class Outer(NamedTuple):
    """The IPv4 and UDP headers that an update came in (RFC 5555 section 4.1)."""

    address: bytes
    port: int
    local: bytes
    """Our own address."""


class HostRequest:
    """One Binding Update of a host on its way through the core."""

    __slots__ = (
        "alternate", "answer_flags", "answer_options", "answer_status", "by_option", "care_of", "covered",
        "destination", "entry", "flags", "grant", "granted_call", "home", "identifiers", "key", "leaves",
        "lifetime", "malformed", "mesg_id", "mh", "mn", "mn_aaa", "mn_aaa_at", "mn_at", "mn_ha", "mn_ha_at",
        "mn_id", "networks", "nonces", "now", "others", "outer", "profile", "protected", "sequence",
        "service", "signed", "source", "spi", "token",
    )  # fmt: skip

    def __init__(
        self,
        event: PacketReceived,
        update: messages.BindingUpdate,
        home: bytes | None,
        now: Now,
        outer: Outer | None = None,
    ) -> None:
        #: The message as far as its Header Len says.
        self.mh = event.data[: 8 * event.data[1] + 8]
        self.source, self.destination = event.source, event.destination
        self.now = now
        self.sequence: int = update.sequence
        self.flags: int = update.flags
        self.lifetime: int = update.lifetime
        #: Whether it came with a Home Address option; without one the source is the home address.
        self.by_option = home is not None
        self.home = event.source if home is None else home
        #: The home address that its authentication options cover; unspecified: the host wants one.
        self.signed = self.home
        #: IPv6, or where the host is seen in the IPv4 network.
        self.care_of = event.source
        #: What it came in; ``None``: in IPv6.
        self.outer = outer
        self.mn: Any = None
        self.mn_id = b""
        self.mesg_id: Any = None
        self.service: Any = None
        self.nonces: Any = None
        self.mn_ha: Any = None
        self.mn_aaa: Any = None
        #: Where the MN-ID and the two authentication options stand in the message; 0: they are not there.
        self.mn_at = self.mn_ha_at = self.mn_aaa_at = 0
        self.identifiers: list[Any] = []
        #: A Binding Identifier option has another length than 4, 8 or 20.
        self.malformed = False
        self.profile: Profile | None = None
        #: The binding or session that has the home address now.
        self.entry: BindingCacheEntry | None = None
        #: The MN-HA key that the answer is protected by, and its SPI; empty: by none.
        self.key = b""
        self.spi = 0
        self.grant: Grant | None = None
        #: Call id that AAA knows the binding by which is still to be made; 0: none.
        self.granted_call = 0
        self.token = 0
        #: A security association of the kernel has covered it.
        self.protected = event.__class__ is ProtectedPacket
        #: It has an Alternate Care-of Address option.
        self.alternate = False
        #: Options that are none of the fields.
        self.others: list[Any] = []
        #: What features add to the answer: options, flags, and a status below 128 other than 0.
        self.answer_options: list[Any] = []
        self.answer_flags = self.answer_status = 0
        #: Mobile network prefixes that it registers; empty: it is no mobile router's, or of one without any.
        self.networks: tuple[tuple[bytes, int], ...] = ()
        self._sort(update.options)
        #: The care-of address that the authentication options cover.
        self.covered = self.care_of
        if outer is not None:
            self.covered = covered_care_of(self.said or b"", self.care_of)
            self.care_of = outer.address
        #: It is a de-registration: lifetime 0, or the host is at home (RFC 6275 section 9.5.1).
        self.leaves = not self.lifetime or (self.care_of == self.home and not self.identifiers)

    def _sort(self, items: list[Any]) -> None:
        for item in items:
            name = _BY_TYPE.get(item.TYPE)
            if name is not None:
                setattr(self, name, item)
            elif item.TYPE == options.AlternateCareOfAddress.TYPE:
                self.care_of, self.alternate = item.address, True
            elif item.TYPE == options.BindingIdentifier.TYPE:
                self.identifiers.append(item)
            elif item.TYPE == _AUTHENTICATION and item.subtype in (MN_HA, MN_AAA):
                setattr(self, "mn_ha" if item.subtype == MN_HA else "mn_aaa", item)
            else:
                self.others.append(item)
            if name == "mn":
                self.mn_id = identity(item.subtype, item.identifier)

    def other(self, cls: type[Any]) -> Any:
        """The first option of a class that is none of the fields; ``None``: there is none."""
        for item in self.others:
            if item.__class__ is cls:
                return item
        return None

    @property
    def assigned(self) -> bool:
        """Whether the host has no home address of its own, and this is what it may get."""
        return self.signed == UNSPECIFIED

    def assign(self, home: bytes) -> None:
        """Have this home address, as far as nobody objects."""
        self.home = home
        self.leaves = not self.lifetime or (self.care_of == home and not self.identifiers)

    def unassign(self) -> None:
        """It gets none: the answer has no routing header, since there is no home address to put there."""
        if self.assigned:
            self.assign(self.signed)
            self.by_option = False

    @property
    def said(self) -> bytes | None:
        """The IPv4 care-of address that the host says it has; ``None``: it says nothing of it.

        RFC 5648 section 8.1: a Binding Identifier option stands for the IPv4 Care-of Address option.
        """
        for item in (*self.others, *self.identifiers):
            if item.__class__ is options.IPv4CareOfAddress:
                return bytes(item.address)
            if item.__class__ is options.BindingIdentifier and len(item.care_of) == 4:
                return bytes(item.care_of)
        return None

    def in_order(self) -> bool:
        """Whether the authentication options stand where RFC 4285 section 5 and RFC 4283 section 3 want them.

        MN-HA before MN-AAA, one of each, and nothing but padding behind the last of them. Notes their places.
        """
        places: list[int] = []
        last = identified = 0
        mh, at = self.mh, 12
        while at < len(mh):
            kind = mh[at]
            if kind == _AUTHENTICATION and at + 2 < len(mh) and mh[at + 2] in (MN_HA, MN_AAA):
                places.append(at)
            elif kind == options.MobileNodeIdentifier.TYPE:
                identified = at
            if kind not in _PADDING:
                last = at
            at += 1 if kind == 0 else 2 + mh[at + 1]
        self.mn_at = identified
        if not places:
            return True
        kinds = [mh[place + 2] for place in places]
        self.mn_ha_at = places[0] if kinds[0] == MN_HA else 0
        self.mn_aaa_at = places[-1] if kinds[-1] == MN_AAA else 0
        return kinds in ([MN_HA], [MN_AAA], [MN_HA, MN_AAA]) and last == places[-1] and identified < places[0]
