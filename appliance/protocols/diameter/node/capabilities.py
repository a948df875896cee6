"""Capabilities exchange (RFC 6733 section 5.3): what CER and CEA say, and what follows from it.

The order of the checks of a CER: is the peer known (that is asked elsewhere), are the required AVPs there, is
there common security, is there a common application.
"""

from collections.abc import Iterable

from attrs import define

from appliance.protocols.diameter.events import Advertised
from appliance.protocols.diameter.message.codec import REQUEST, BadValue, Group, Malformed, Message, frame
from appliance.protocols.diameter.message.dictionary import standard
from appliance.protocols.diameter.message.types import fold
from appliance.protocols.diameter.settings import EndpointSettings

CAPABILITIES, WATCHDOG, DISCONNECT = 257, 280, 282
ACCOUNTING = 271
#: Advertised by relays and redirect agents (RFC 6733 section 2.4).
RELAY = 0xFFFFFFFF
#: Mobile IPv4: today's id, and the one of the drafts.
MOBILE_IPV4, DRAFT_MOBILE_IPV4 = 2, 4
NO_INBAND_SECURITY, INBAND_TLS = 0, 1

SUCCESS, UNKNOWN_PEER, ELECTION_LOST = 2001, 3010, 4003
INVALID_VALUE, MISSING_AVP, TOO_MANY = 5004, 5005, 5009
NO_COMMON_APPLICATION, UNABLE_TO_COMPLY, NO_COMMON_SECURITY = 5010, 5012, 5017

PRODUCT, FIRMWARE, VENDOR = "mobility-appliance", 1, 0
#: Ids that are remembered of one peer.
MOST_APPLICATIONS = 1_000
#: Octets of a host or realm at most: it is a name of the DNS.
LONGEST_NAME = 255

_D = standard()
ORIGIN_HOST, ORIGIN_REALM, STATE_ID = _D["Origin-Host"], _D["Origin-Realm"], _D["Origin-State-Id"]
ADDRESS, VENDOR_ID, PRODUCT_NAME = _D["Host-IP-Address"], _D["Vendor-Id"], _D["Product-Name"]
SUPPORTED_VENDOR, INBAND, FIRMWARE_REVISION = (
    _D["Supported-Vendor-Id"], _D["Inband-Security-Id"], _D["Firmware-Revision"],
)  # fmt: skip
AUTH, ACCT = _D["Auth-Application-Id"], _D["Acct-Application-Id"]
SPECIFIC = _D["Vendor-Specific-Application-Id"]
FAILED, ERROR_MESSAGE, RESULT = _D["Failed-AVP"], _D["Error-Message"], _D["Result-Code"]
REPORTER = _D["Error-Reporting-Host"]
DISCONNECT_CAUSE = _D["Disconnect-Cause"]


class Refusal(Exception):
    """A CER that is not accepted, or a CEA that cannot be used.

    ``failed`` is an encoded Failed-AVP; empty: there is none.
    """

    def __init__(self, code: int, text: str, failed: bytes = b"") -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.failed = failed

    @property
    def avps(self) -> tuple[bytes, ...]:
        """What an answer says about it."""
        return faulty(self.text, self.failed)


def faulty(text: str, failed: bytes = b"") -> tuple[bytes, ...]:
    """Error-Message, and an encoded Failed-AVP if there is one."""
    about = (ERROR_MESSAGE.encode(text),) if text else ()
    return (*about, failed) if failed else about


def plain(text: str, longest: int = LONGEST_NAME) -> str:
    """Text of a peer for a log or a screen: nothing that moves a cursor or fills pages."""
    kept = text[:longest]
    return kept if kept.isprintable() else "".join(each if each.isprintable() else "?" for each in kept)


def host_of(identity: str) -> str:
    """The host in an identity that may be a URI, as in the drafts before the RFCs."""
    scheme, mark, rest = identity.partition("://")
    if not mark or scheme not in ("aaa", "aaas"):
        return identity
    return rest.partition(";")[0].partition(":")[0]


@define(slots=True, frozen=True)
class Capabilities:
    """What a peer said in its CER or CEA."""

    host: str
    """Origin-Host, as it was spelled; of a URI the host."""
    realm: str
    auth: frozenset[int]
    acct: frozenset[int]
    vendors: tuple[int, ...] = ()
    product: str = ""
    vendor: int = 0
    firmware: int = 0
    state_id: int = 0
    addresses: tuple[bytes, ...] = ()
    inband: frozenset[int] = frozenset()
    """Inband-Security-Ids; empty: it said none."""

    @property
    def relay(self) -> bool:
        """Whether it takes requests of any application."""
        return RELAY in self.auth or RELAY in self.acct

    def takes(self, application: int, accounting: bool) -> bool:
        """Whether it has said that it has an application (RFC 6733 section 5.3)."""
        return application in (self.acct if accounting else self.auth) or self.relay


def read(message: Message) -> Capabilities:
    """What a CER or CEA says. Raises :class:`Refusal`."""
    try:
        return _read(message)
    except Malformed as error:
        raise Refusal(error.code, str(error), FAILED.encode(error.failed)) from None
    except BadValue as error:
        raise Refusal(INVALID_VALUE, str(error)) from None


def _read(message: Message) -> Capabilities:
    auth, acct = set(message.all(AUTH)), set(message.all(ACCT))
    for group in message.all(SPECIFIC):
        _specific(group, auth, acct)
    if len(auth) + len(acct) > 2 * MOST_APPLICATIONS:
        raise Refusal(UNABLE_TO_COMPLY, f"more than {2 * MOST_APPLICATIONS} applications")
    for avp in (ORIGIN_HOST, ORIGIN_REALM):
        name = message.raw(avp)
        if name is not None and len(name) > LONGEST_NAME:
            raise Refusal(INVALID_VALUE, f"{avp.name} has {len(name)} octets")
        if name is None:
            raise Refusal(MISSING_AVP, f"there is no {avp.name}", FAILED.encode(avp.encode("\0")))
    return Capabilities(
        host=host_of(message.first(ORIGIN_HOST)),
        realm=message.first(ORIGIN_REALM),
        auth=frozenset(auth),
        acct=frozenset(acct),
        vendors=tuple(message.all(SUPPORTED_VENDOR)[:MOST_APPLICATIONS]),
        product=plain(message.first(PRODUCT_NAME) or ""),
        vendor=message.first(VENDOR_ID) or 0,
        firmware=message.first(FIRMWARE_REVISION) or 0,
        state_id=message.first(STATE_ID) or 0,
        addresses=tuple(message.all(ADDRESS)[:64]),
        inband=frozenset(message.all(INBAND)),
    )


def _specific(group: Group, auth: set[int], acct: set[int]) -> None:
    """RFC 6733 section 6.11: exactly one of the two; the Vendor-Id counts for nothing."""
    for_auth, for_acct = group.having(AUTH), group.having(ACCT)
    found = for_auth + for_acct
    if not found:
        raise Refusal(
            MISSING_AVP,
            "a Vendor-Specific-Application-Id has no application",
            FAILED.encode(AUTH.encode(0) + ACCT.encode(0)),
        )
    if len(found) > 1:
        raise Refusal(
            TOO_MANY,
            "a Vendor-Specific-Application-Id has more than one application",
            FAILED.encode(b"".join(avp.octets for avp in found)),
        )
    auth.update(group.all(AUTH))
    acct.update(group.all(ACCT))


class Ourselves:
    """Who the node is, and what its own CER and CEA say."""

    __slots__ = ("identity", "folded", "realm", "folded_realm", "agent", "state_id", "advertised", "origin")

    def __init__(self, settings: EndpointSettings) -> None:
        self.state_id = 0
        self.advertised: tuple[Advertised, ...] = ()
        self.take(settings)

    def take(self, settings: EndpointSettings) -> None:
        """Be what the settings say."""
        self.identity = settings.identity
        self.folded = fold(settings.identity)
        self.realm = settings.realm
        self.folded_realm = fold(settings.realm)
        self.agent = settings.agent
        self.origin = ORIGIN_HOST.encode(self.identity) + ORIGIN_REALM.encode(self.realm)

    def serve(self, advertised: Iterable[Advertised]) -> None:
        """Advertise these applications from now on; of equal ones, one."""
        self.advertised = tuple(dict.fromkeys(advertised))

    @property
    def state(self) -> bytes:
        """Origin-State-Id; nothing before the start."""
        return STATE_ID.encode(self.state_id) if self.state_id else b""

    def request(self, code: int, hop: int, end_to_end: int, body: bytes) -> bytes:
        """A request of the connection itself: CER, DWR or DPR, with ``body`` behind who we are."""
        return frame(code, 0, REQUEST, hop, end_to_end, self.origin + body)

    def answer(self, message: Message, result: int, *avps: bytes) -> bytes:
        """An answer in the node's own name."""
        return message.answer(result, self.identity, self.realm, *avps)

    def ids(self, compat: bool = False) -> tuple[set[int], set[int]]:
        """Ids that we advertise for authentication and for accounting."""
        auth = {each.id for each in self.advertised if each.auth}
        acct = {each.id for each in self.advertised if each.acct}
        if self.agent != "none":
            auth.add(RELAY)
        for ids in (auth, acct):
            if compat and MOBILE_IPV4 in ids:
                ids.add(DRAFT_MOBILE_IPV4)
        return auth, acct

    def shares(self, other: Capabilities, compat: bool) -> bool:
        """Whether there is a common application (RFC 6733 section 5.3); relays have all in common."""
        auth, acct = self.ids(compat)
        if other.relay or RELAY in auth:
            return True
        return bool((auth | acct) & (other.auth | other.acct))

    def capabilities(self, addresses: Iterable[bytes], inband: int | None, compat: bool) -> bytes:
        """What follows Origin-Host and Origin-Realm in CER and CEA."""
        auth, acct = self.ids(compat)
        plain = {each.id for each in self.advertised if not each.vendor} | {RELAY, DRAFT_MOBILE_IPV4}
        vendors = sorted({each.vendor for each in self.advertised if each.vendor})
        body = [ADDRESS.encode(address) for address in addresses]
        body += [VENDOR_ID.encode(VENDOR), PRODUCT_NAME.encode(PRODUCT), self.state]
        body += [SUPPORTED_VENDOR.encode(vendor) for vendor in vendors]
        body += [AUTH.encode(number) for number in sorted(auth & plain)]
        if inband is not None:
            body.append(INBAND.encode(inband))
        body += [ACCT.encode(number) for number in sorted(acct & plain)]
        for each in self.advertised:
            if not each.vendor:
                continue
            # One group for each of the two: exactly one application may stand in it (section 6.11).
            front = VENDOR_ID.encode(each.vendor)
            if each.auth:
                body.append(SPECIFIC.encode(front + AUTH.encode(each.id)))
            if each.acct:
                body.append(SPECIFIC.encode(front + ACCT.encode(each.id)))
        body.append(FIRMWARE_REVISION.encode(FIRMWARE))
        return b"".join(body)


def common_security(other: Capabilities, secure: bool, wanted: str, able: bool) -> int | None:
    """The in-band security of an incoming connection: ``INBAND_TLS``, or ``None`` for none.

    ``secure``: it runs over TLS or DTLS already; ``wanted``: transport that the peer is configured with;
    ``able``: we have a certificate. Raises :class:`Refusal` (5017).
    """
    if secure:
        return None
    if wanted in ("tls", "dtls"):
        raise Refusal(
            NO_COMMON_SECURITY, f"{other.host} has to use {wanted}, this connection is in clear text"
        )
    if INBAND_TLS in other.inband and able:
        return INBAND_TLS
    if wanted == "tls-inband":
        raise Refusal(NO_COMMON_SECURITY, f"{other.host} has to offer TLS by Inband-Security-Id 1")
    if other.inband and NO_INBAND_SECURITY not in other.inband:
        raise Refusal(NO_COMMON_SECURITY, "this node has no TLS to offer")
    return None
