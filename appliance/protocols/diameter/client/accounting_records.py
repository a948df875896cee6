"""The AVPs of accounting records: every attribute that applies, by application.

======================  ====  ===============================================================================
application             id    what differs
======================  ====  ===============================================================================
base                    3     RFC 6733 section 9: mobility AVPs of RFC 5778 section 6.21 and of RFC 4004
nasreq                  1     RFC 7155 section 3.9: also what a network access server says of itself
mobile-ip               2     RFC 4004 section 11.2: counters and session time in every record; one address
mip6a                   8     RFC 5778 section 8.2: the home agent's address only in MIP6-Agent-Info
======================  ====  ===============================================================================

Input is what came from the mobile node, output what went to it (RFC 4004 section 10, RFC 7155 section 4.6).
"""

from ipaddress import ip_address
from typing import Any

from attrs import define

from appliance.protocols.diameter.client.spool_format import EVENT, START, STOP
from appliance.protocols.diameter.message.codec import Avp, cut
from appliance.protocols.diameter.message.dictionary import standard
from appliance.protocols.mobility.aaa import Grant, Prefix, Subject, Usage
from appliance.protocols.mobility.access_network import called_station

APPLICATIONS = {"base": 3, "nasreq": 1, "mobile-ip": 2, "mip6a": 8}
BASE, NASREQ, MOBILE_IP, MIP6A = 3, 1, 2, 8

#: MIP6-Feature-Vector (RFC 5779 section 4.6).
PMIP6_SUPPORTED, IP4_HOA_SUPPORTED = 0x0000_0100_0000_0000, 0x0000_0200_0000_0000
#: NAS-Port-Type by Access Technology Type (RFC 5213 section 8.5): virtual, PPP, Ethernet, 802.11, 802.16.
PORT_TYPES = {1: 5, 2: 5, 3: 15, 4: 19, 5: 27}
WIRELESS_OTHER = 18
#: Acct-Authentic: by the device itself, by Diameter.
LOCAL, DIAMETER = 2, 4
FRAMED = 2
# Direction (RFC 5777 section 4.1.7.4): from the mobile node, to it.
IN, OUT = 0, 1

_D = standard()
SESSION_ID = _D["Session-Id"]
ORIGIN_HOST = _D["Origin-Host"]
ORIGIN_REALM = _D["Origin-Realm"]
ORIGIN_STATE_ID = _D["Origin-State-Id"]
DESTINATION_REALM = _D["Destination-Realm"]
DESTINATION_HOST = _D["Destination-Host"]
RECORD_TYPE = _D["Accounting-Record-Type"]
RECORD_NUMBER = _D["Accounting-Record-Number"]
APPLICATION_ID = _D["Acct-Application-Id"]
USER_NAME = _D["User-Name"]
SUB_SESSION_ID = _D["Accounting-Sub-Session-Id"]
ACCT_SESSION_ID = _D["Acct-Session-Id"]
MULTI_SESSION_ID = _D["Acct-Multi-Session-Id"]
EVENT_TIMESTAMP = _D["Event-Timestamp"]
DELAY_TIME = _D["Acct-Delay-Time"]
CLASS = _D["Class"]
TERMINATION_CAUSE = _D["Termination-Cause"]
SESSION_TIME = _D["Acct-Session-Time"]
INPUT_OCTETS = _D["Accounting-Input-Octets"]
OUTPUT_OCTETS = _D["Accounting-Output-Octets"]
INPUT_PACKETS = _D["Accounting-Input-Packets"]
OUTPUT_PACKETS = _D["Accounting-Output-Packets"]
ERROR_MESSAGE = _D["Error-Message"]
CALLED_STATION_ID = _D["Called-Station-Id"]
CALLING_STATION_ID = _D["Calling-Station-Id"]
SERVICE_SELECTION = _D["Service-Selection"]
CHARGEABLE = _D["Chargeable-User-Identity"]
MIP_FEATURES = _D["MIP-Feature-Vector"]
MIP6_FEATURES = _D["MIP6-Feature-Vector"]
MN_ADDRESS = _D["MIP-Mobile-Node-Address"]
HA_ADDRESS = _D["MIP-Home-Agent-Address"]
CARE_OF = _D["MIP-Careof-Address"]
AGENT_INFO = _D["MIP6-Agent-Info"]
HOME_LINK_PREFIX = _D["MIP6-Home-Link-Prefix"]
IPV4_HOME_ADDRESS = _D["PMIP6-IPv4-Home-Address"]
NAS_IPV4 = _D["NAS-IP-Address"]
NAS_IPV6 = _D["NAS-IPv6-Address"]
NAS_PORT_TYPE = _D["NAS-Port-Type"]
SERVICE_TYPE = _D["Service-Type"]
AUTHENTIC = _D["Acct-Authentic"]
FRAMED_ADDRESS = _D["Framed-IP-Address"]
FRAMED_PREFIX = _D["Framed-IPv6-Prefix"]
FRAMED_ROUTE = _D["Framed-Route"]
DELEGATED_PREFIX = _D["Delegated-IPv6-Prefix"]
QOS_RESOURCES = _D["QoS-Resources"]
QOS_PARAMETERS = _D["QoS-Parameters"]
FILTER_RULE = _D["Filter-Rule"]
CLASSIFIER = _D["Classifier"]
CLASSIFIER_ID = _D["Classifier-ID"]
DIRECTION = _D["Direction"]
BANDWIDTH = _D["Bandwidth"]

#: Nobody was asked.
NOTHING = Grant(local=True)
_ZERO = Usage()


@define(slots=True, kw_only=True)
class Facts:
    """What a record says that is not of the mobility session itself."""

    kind: int
    """Accounting-Record-Type."""
    number: int
    """Accounting-Record-Number."""
    session_id: str
    realm: str
    """Destination-Realm."""
    wall: float
    """When it happened, seconds since 1970."""
    multi_session_id: str = ""
    sub_session: int = 0
    """0: none."""
    usage: Usage = _ZERO
    seconds: int = 0
    """How long the session has lasted."""
    cause: int = 0
    """Termination-Cause; 0: none."""
    text: str = ""
    """Why a registration was refused."""


def text_of(octets: bytes) -> str:
    """An identifier as text; what is no UTF-8 in it is written as ``\\xNN``."""
    return octets.decode("utf-8", "backslashreplace")


def mobile_addresses(subject: Subject) -> list[bytes]:
    """Addresses of the mobile node: of PMIPv6 the first prefix with a zero interface part (RFC 5779)."""
    found = [subject.home_address] if subject.home_address else [p for p, _ in subject.prefixes[:1]]
    if subject.ipv4_address is not None and subject.ipv4_address not in found:
        found.append(subject.ipv4_address)
    return found


def _link_prefix(prefix: Prefix) -> bytes:
    """MIP6-Home-Link-Prefix (RFC 5447 section 4.2.4): length, then 16 octets."""
    return bytes((prefix[1],)) + prefix[0]


def _framed_prefix(prefix: Prefix) -> bytes:
    """Framed-IPv6-Prefix (RFC 3162): a zero octet, length, and as many octets as it takes."""
    return bytes((0, prefix[1])) + prefix[0][: -(-prefix[1] // 8)]


def _delegated(prefix: Prefix) -> bytes:
    """Delegated-IPv6-Prefix (RFC 4818); of IPv4 Framed-Route: prefix, gateway, metric."""
    if len(prefix[0]) == 4:
        return FRAMED_ROUTE.encode(f"{ip_address(prefix[0])}/{prefix[1]} 0.0.0.0 1")
    return DELEGATED_PREFIX.encode(_framed_prefix(prefix))


class RecordBuilder:
    """Makes the AVPs of records for one origin and one application.

    ``identity`` and ``realm``: of the node; ``application``: one of :data:`APPLICATIONS`; ``state_id``:
    Origin-State-Id, 0: not said.
    """

    def __init__(self, identity: str, realm: str, application: str, state_id: int = 0) -> None:
        self.identity = identity
        self.realm = realm
        self.state_id = state_id
        self.application = APPLICATIONS[application or "base"]
        self._origin = ORIGIN_HOST.encode(identity) + ORIGIN_REALM.encode(realm)
        self._application = APPLICATION_ID.encode(self.application)
        self._state = ORIGIN_STATE_ID.encode(state_id) if state_id else b""

    def build(self, facts: Facts, subject: Subject, grant: Grant) -> bytes:
        """All AVPs of one record, Session-Id first."""
        parts = [
            SESSION_ID.encode(facts.session_id),
            self._origin,
            DESTINATION_REALM.encode(facts.realm),
            RECORD_TYPE.encode(facts.kind),
            RECORD_NUMBER.encode(facts.number),
            self._application,
            USER_NAME.encode(text_of(subject.mn_id)),
        ]
        add = parts.append
        if facts.sub_session:
            add(SUB_SESSION_ID.encode(facts.sub_session))
        if facts.multi_session_id:
            add(MULTI_SESSION_ID.encode(facts.multi_session_id))
        if self._state:
            add(self._state)
        add(EVENT_TIMESTAMP.encode(facts.wall))
        parts += [CLASS.encode(each) for each in grant.classes]
        self._mobility(parts, subject, grant)
        if self.application == NASREQ:
            self._access_server(parts, facts, subject, grant)
        if self._counts(facts.kind):
            usage = facts.usage
            parts += (
                INPUT_OCTETS.encode(usage.octets_in),
                OUTPUT_OCTETS.encode(usage.octets_out),
                SESSION_TIME.encode(min(facts.seconds, 0xFFFFFFFF)),
                INPUT_PACKETS.encode(usage.packets_in),
                OUTPUT_PACKETS.encode(usage.packets_out),
            )
        if facts.cause:
            add(TERMINATION_CAUSE.encode(facts.cause))
        if facts.text:
            add(ERROR_MESSAGE.encode(facts.text))
        return b"".join(parts)

    def _counts(self, kind: int) -> bool:
        """RFC 4004 wants the counters in every record; elsewhere START and EVENT have nothing to count."""
        return self.application == MOBILE_IP or kind not in (START, EVENT)

    def _mobility(self, parts: list[bytes], subject: Subject, grant: Grant) -> None:
        """RFC 4004 section 11.2, RFC 5778 section 8.2."""
        add = parts.append
        addresses = mobile_addresses(subject)
        if self.application == MOBILE_IP:
            # The flags are what foreign agents ask for; an anchor has none to ask for.
            add(MIP_FEATURES.encode(0))
            # One, and the one of its protocol if there is one.
            addresses = addresses[-1:]
        else:
            add(MIP6_FEATURES.encode(grant.features or _features(subject)))
        parts += [MN_ADDRESS.encode(each) for each in addresses]
        if self.application != MIP6A:
            add(HA_ADDRESS.encode(subject.local))
        if self.application != MOBILE_IP:
            add(_agent(subject))
        if self.application == NASREQ or len(subject.prefixes) > 1:
            # MIP6-Agent-Info has room for one.
            parts += [FRAMED_PREFIX.encode(_framed_prefix(prefix)) for prefix in subject.prefixes]
        if subject.care_of:
            add(CARE_OF.encode(subject.care_of))
        if subject.link_layer:
            add(CALLING_STATION_ID.encode(subject.link_layer.hex("-").upper()))
        station = called_station(subject.access_network)
        if station:
            add(CALLED_STATION_ID.encode(station))
        parts += map(_delegated, subject.delegated)
        if subject.service:
            add(SERVICE_SELECTION.encode(text_of(subject.service)))
        if grant.charge:
            add(CHARGEABLE.encode(grant.charge))
        parts += _bandwidths(grant)

    def _access_server(self, parts: list[bytes], facts: Facts, subject: Subject, grant: Grant) -> None:
        """RFC 7155 sections 3.9 and 5.2.1: what its table has once in every ACR, and what it is known of."""
        add = parts.append
        add(ACCT_SESSION_ID.encode(facts.session_id.encode()))
        add(AUTHENTIC.encode(LOCAL if grant.local else DIAMETER))
        add((NAS_IPV4 if len(subject.local) == 4 else NAS_IPV6).encode(subject.local))
        if subject.technology:
            add(NAS_PORT_TYPE.encode(PORT_TYPES.get(subject.technology, WIRELESS_OTHER)))
        add(SERVICE_TYPE.encode(FRAMED))
        if subject.ipv4_address is not None:
            add(FRAMED_ADDRESS.encode(subject.ipv4_address))


def _features(subject: Subject) -> int:
    if subject.home_address:
        return 0
    return PMIP6_SUPPORTED | (IP4_HOA_SUPPORTED if subject.ipv4_address is not None else 0)


def _bandwidths(grant: Grant) -> list[bytes]:
    """QoS-Resources (RFC 5777 section 3.1): what was granted for each direction, octets a second."""
    rules = [
        FILTER_RULE.encode(
            CLASSIFIER.encode(CLASSIFIER_ID.encode(name) + DIRECTION.encode(direction))
            + QOS_PARAMETERS.encode(BANDWIDTH.encode(bits / 8))
        )
        for name, direction, bits in ((b"up", IN, grant.bandwidth_up), (b"down", OUT, grant.bandwidth_down))
        if bits
    ]
    return [QOS_RESOURCES.encode(rules)] if rules else []


def _agent(subject: Subject) -> bytes:
    """MIP6-Agent-Info: the anchor, and what the mobile node has from it (RFC 5779 section 4.1)."""
    members = [HA_ADDRESS.encode(subject.local)]
    members += [HOME_LINK_PREFIX.encode(_link_prefix(prefix)) for prefix in subject.prefixes[:1]]
    if subject.ipv4_address is not None:
        members.append(IPV4_HOME_ADDRESS.encode(subject.ipv4_address))
    return AGENT_INFO.encode(members)


def closing(body: bytes, cause: int, ended: float) -> tuple[bytes, float]:
    """The STOP of a session whose process died, out of its latest START or INTERIM.

    It has the counters that this record has, the next Accounting-Record-Number, and the time until ``ended``
    (seconds since 1970; 0: as long as that record says). Returns the AVPs and when it ended (RFC 6733
    section 9.4: with the appropriate changes of cause and length).
    """
    changed: dict[int, Any] = {}
    found: dict[int, Avp] = {avp.code: avp for avp in cut(body)}
    happened = EVENT_TIMESTAMP.type.decode(found[EVENT_TIMESTAMP.code].data)
    ended = max(float(happened), ended)
    before = found.get(SESSION_TIME.code)
    seconds = (int.from_bytes(before.data, "big") if before is not None else 0) + int(ended - happened)
    number = int.from_bytes(found[RECORD_NUMBER.code].data, "big") + 1
    changed[RECORD_TYPE.code] = RECORD_TYPE.encode(STOP)
    changed[RECORD_NUMBER.code] = RECORD_NUMBER.encode(number)
    changed[EVENT_TIMESTAMP.code] = EVENT_TIMESTAMP.encode(ended)
    changed[SESSION_TIME.code] = SESSION_TIME.encode(min(seconds, 0xFFFFFFFF))
    parts = [changed.pop(avp.code, None) or avp.octets for avp in cut(body)]
    for counter in (INPUT_OCTETS, OUTPUT_OCTETS, INPUT_PACKETS, OUTPUT_PACKETS):
        if counter.code not in found:
            parts.append(counter.encode(0))
    parts += changed.values()
    parts.append(TERMINATION_CAUSE.encode(cause))
    return b"".join(parts), ended
