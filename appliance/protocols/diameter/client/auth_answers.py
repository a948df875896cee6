"""What a server's answer to AAR or MIR says: a verdict about the mobile node, a grant, rules for the session.

::

    Result-Code, Experimental-Result ─▶ accept · a verdict about the user · no verdict: busy, or cannot be
    AVPs of RFC 5779, 5778, 6733, 7155, 3GPP S6b ─▶ Grant, Terms
    whatever contradicts itself or cannot be kept ─▶ Unusable: a session that must not begin (RFC 6733 8.1)
"""

from typing import Any

from attrs import define, evolve, field

from appliance.protocols.diameter.client.auth_requests import (
    AUTH_APPLICATION_ID,
    AUTH_SESSION_STATE,
    CLASS,
    FEATURE_VECTOR,
    HOME_AGENT_ADDRESS,
    HOME_LINK_PREFIX,
    IP4_HOA_SUPPORTED,
    IPV4_HOME_ADDRESS,
    MIP6_AGENT_INFO,
    MIP6A,
    MIP_MN_HA_SPI,
    MOBILE_NODE_ADDRESS,
    ORIGIN_HOST,
    ORIGIN_REALM,
    S6B,
    SERVICE_SELECTION,
    SESSION_ID,
)
from appliance.protocols.diameter.message.codec import ERROR, Group, Malformed, Message
from appliance.protocols.diameter.message.dictionary import current, standard
from appliance.protocols.diameter.message.faults import check
from appliance.protocols.diameter.message.types import BadValue
from appliance.protocols.mobility import aaa
from appliance.protocols.mobility.aaa import Grant

_D = standard()
ACCT_INTERIM_INTERVAL = _D["Acct-Interim-Interval"]
ACCT_MULTI_SESSION_ID = _D["Acct-Multi-Session-Id"]
ALGORITHM_TYPE = _D["MIP-Algorithm-Type"]
AMBR = _D["AMBR"]
APN_CONFIGURATION = _D["APN-Configuration"]
AUTH_GRACE_PERIOD = _D["Auth-Grace-Period"]
AUTHORIZATION_LIFETIME = _D["Authorization-Lifetime"]
BANDWIDTH = _D["Bandwidth"]
CHARGEABLE_USER_IDENTITY = _D["Chargeable-User-Identity"]
CLASSIFIER = _D["Classifier"]
DELEGATED_PREFIX = _D["Delegated-IPv6-Prefix"]
DIRECTION = _D["Direction"]
ERROR_MESSAGE = _D["Error-Message"]
ERROR_REPORTING_HOST = _D["Error-Reporting-Host"]
EXPERIMENTAL_RESULT = _D["Experimental-Result"]
EXPERIMENTAL_RESULT_CODE = _D["Experimental-Result-Code"]
FAILED_AVP = _D["Failed-AVP"]
FILTER_RULE = _D["Filter-Rule"]
MAX_BANDWIDTH_DOWN = _D["Max-Requested-Bandwidth-DL"]
MAX_BANDWIDTH_UP = _D["Max-Requested-Bandwidth-UL"]
MN_HA_MSA = _D["MIP-MN-HA-MSA"]
MSA_LIFETIME = _D["MIP-MSA-Lifetime"]
PDN_TYPE = _D["PDN-Type"]
QOS_PARAMETERS = _D["QoS-Parameters"]
QOS_RESOURCES = _D["QoS-Resources"]
REALTIME_REQUIRED = _D["Accounting-Realtime-Required"]
REPLAY_MODE = _D["MIP-Replay-Mode"]
RESULT_CODE = _D["Result-Code"]
SERVED_PARTY_ADDRESS = _D["Served-Party-IP-Address"]
SESSION_BINDING = _D["Session-Binding"]
SESSION_KEY = _D["MIP-Session-Key"]
SESSION_SERVER_FAILOVER = _D["Session-Server-Failover"]
SESSION_TIMEOUT = _D["Session-Timeout"]
VENDOR_ID = _D["Vendor-Id"]

#: No verdict: another server may have one (RFC 6733 section 8.1, "failure to send"); or nobody has.
BUSY, FAILED = "busy", "failed"
#: Verdicts by Result-Code; 5030 is RFC 8506's, 5032 RFC 4740's: users of other applications are unknown too.
_RESULTS = {
    4001: aaa.BAD_CREDENTIALS,
    5003: aaa.REJECT,
    5006: aaa.RESOURCES,
    5030: aaa.UNKNOWN_USER,
    5032: aaa.UNKNOWN_USER,
    5041: aaa.REJECT,
}
#: Verdicts by Experimental-Result-Code of 3GPP (TS 29.273, TS 29.229).
VENDOR_3GPP = 10_415
_RESULTS_3GPP = {
    5001: aaa.UNKNOWN_USER,
    5003: aaa.REJECT,
    5004: aaa.ROAMING,
    5420: aaa.SERVICE,
    5450: aaa.REJECT,
    5451: aaa.SERVICE,
    5452: aaa.ROAMING,
    5453: aaa.NEWER,
}
NO_STATE_MAINTAINED, HMAC_SHA_1, FOREVER = 1, 2, 0xFFFFFFFF
#: Octets of Class AVPs that are kept of one session (RFC 6733 section 8.20).
CLASS_OCTETS = 4_096
#: Direction (RFC 5777 section 4.1.7.4): from the managed terminal.
_FROM_TERMINAL = 0
#: PDN-Type (3GPP TS 29.272 section 7.3.62): IPv6 allowed, IPv4 allowed.
_PDN_TYPES = {0: (False, True), 1: (True, False), 2: (True, True), 3: (True, True)}


class Unusable(Exception):
    """A success that cannot be made use of; the text says why."""


@define(slots=True, kw_only=True)
class Terms:
    """The rules of a session, besides its :class:`Grant`."""

    host: str = ""
    """The server: Origin-Host of the answer."""
    stateful: bool = True
    grace: int = 0
    """Auth-Grace-Period, seconds."""
    binding: int = 0
    """Session-Binding; 0 also when it is not said."""
    failover: int | None = None


@define(slots=True, kw_only=True)
class Read:
    """One answer."""

    verdict: str
    """One of :mod:`.mobility.aaa`, ``busy`` or ``failed``."""
    result: int = 0
    """Result-Code, or Experimental-Result-Code of ``vendor``."""
    vendor: int = 0
    text: str = ""
    """For the log: Error-Message, or why the answer is of no use."""
    host: str = ""
    """Origin-Host."""
    realm: str = ""
    """Origin-Realm."""
    reporter: str = ""
    """Error-Reporting-Host: whose result this is; empty: the server's."""
    granted: bool = False
    """The server has a session now: also when the answer is unusable."""
    terms: Terms = field(factory=Terms)
    grant: Grant = field(factory=Grant)


def read(message: Message, session_id: str, application: int) -> Read:
    """Read an answer to AAR or MIR; never raises for what a server says."""
    found = Read(verdict=FAILED)
    try:
        found.host = message.first(ORIGIN_HOST) or ""
        found.realm = message.first(ORIGIN_REALM) or ""
        found.text = message.first(ERROR_MESSAGE) or ""
        found.reporter = message.first(ERROR_REPORTING_HOST) or ""
        found.result, found.vendor = result_of(message)
        found.verdict = verdict(message, found.result, found.vendor)
        if found.verdict == aaa.ACCEPT:
            found.granted = True
            _accepted(message, session_id, application, found)
    except (Malformed, BadValue, Unusable) as why:
        found.verdict, found.text = FAILED, str(why)
    return found


def result_of(message: Message) -> tuple[int, int]:
    """Result-Code and 0, or Experimental-Result-Code and its vendor; (0, 0): neither is there."""
    result = message.first(RESULT_CODE)
    if result is not None:
        return result, 0
    experimental = message.first(EXPERIMENTAL_RESULT)
    if experimental is None:
        return 0, 0
    return experimental.first(EXPERIMENTAL_RESULT_CODE) or 0, experimental.first(VENDOR_ID) or 0


def verdict(message: Message, result: int, vendor: int) -> str:
    """What a result says about the mobile node: accept, a verdict, or why there is none."""
    if result // 1000 == 2 and not message.flags & ERROR:
        return aaa.ACCEPT
    if vendor:
        known = _RESULTS_3GPP.get(result) if vendor == VENDOR_3GPP else None
        return known or (FAILED if result // 1000 == 5 else BUSY)
    if result == 5003 and any(group.raw(SERVICE_SELECTION) is not None for group in message.all(FAILED_AVP)):
        return aaa.SERVICE
    if result in _RESULTS:
        return _RESULTS[result]
    return BUSY if result // 1000 in (3, 4) else FAILED


def _accepted(message: Message, session_id: str, application: int, found: Read) -> None:
    fault = check(message, current())
    if fault is not None:
        raise Unusable(fault.text)
    if message.first(SESSION_ID) != session_id:
        raise Unusable(f"it is for the session {message.first(SESSION_ID)}")
    said = message.first(AUTH_APPLICATION_ID)
    if said not in (None, application):
        raise Unusable(f"it is of the application {said}")
    found.terms = _terms(message)
    lifetime = _limited(message.first(AUTHORIZATION_LIFETIME))
    timeout = message.first(SESSION_TIMEOUT) or None
    if lifetime is not None and timeout is not None:
        # RFC 6733 section 8.13 has it the other way round; a server that does not may mean either.
        lifetime = min(lifetime, timeout)
    grant = Grant(
        session_id=session_id,
        lifetime=lifetime,
        session_timeout=timeout,
        services=tuple(name.encode() for name in message.all(SERVICE_SELECTION) if name),
        features=message.first(FEATURE_VECTOR) or 0,
        host="" if found.terms.binding & 4 else found.host,
        classes=_classes(message),
        charge=message.raw(CHARGEABLE_USER_IDENTITY) or b"",
        multi_session_id=message.first(ACCT_MULTI_SESSION_ID) or "",
        interim_interval=message.first(ACCT_INTERIM_INTERVAL),
        realtime=message.first(REALTIME_REQUIRED),
    )
    if message.raw(FEATURE_VECTOR) is not None and application != MIP6A:
        grant.ipv4_allowed = bool(grant.features & IP4_HOA_SUPPORTED)
    _agents(message, grant)
    _bandwidth(message, grant)
    _key(message, grant)
    if application == MIP6A:
        _home_addresses(message, grant)
        grant.delegated = tuple(map(_network, message.all(DELEGATED_PREFIX)))
    if application == S6B:
        grant = _apn(message, grant)
    found.grant = grant


def _limited(seconds: int | None) -> int | None:
    return None if seconds == FOREVER else seconds


def _terms(message: Message) -> Terms:
    return Terms(
        host=message.first(ORIGIN_HOST) or "",
        stateful=message.first(AUTH_SESSION_STATE) != NO_STATE_MAINTAINED,
        grace=message.first(AUTH_GRACE_PERIOD) or 0,
        binding=message.first(SESSION_BINDING) or 0,
        failover=message.first(SESSION_SERVER_FAILOVER),
    )


def _classes(message: Message) -> tuple[bytes, ...]:
    classes: tuple[bytes, ...] = tuple(message.all(CLASS))
    if sum(map(len, classes)) > CLASS_OCTETS:
        raise Unusable(f"its Class AVPs have more than {CLASS_OCTETS} octets")
    return classes


def _agents(message: Group, grant: Grant) -> None:
    """Prefixes, IPv4 address and anchor in MIP6-Agent-Info; zero says nothing (RFC 5779 section 5)."""
    for info in message.all(MIP6_AGENT_INFO):
        for data in info.all(HOME_LINK_PREFIX):
            if any(data):
                grant.prefixes += (_prefix(data),)
        for address in info.all(IPV4_HOME_ADDRESS):
            if any(address):
                grant.ipv4_address = _ipv4(address)
        for address in info.all(HOME_AGENT_ADDRESS):
            if any(address):
                grant.home_agent = grant.home_agent or bytes(address)


def _network(data: bytes) -> tuple[bytes, int]:
    """RFC 4818 section 3: a zero octet, a length, and no more octets than it takes at least."""
    length, prefix = data[1:2], data[2:].ljust(16, b"\0")
    bits = length[0] if length else 0
    if len(prefix) > 16 or not 0 < bits <= 128 or int.from_bytes(prefix, "big") & ((1 << (128 - bits)) - 1):
        raise Unusable(f"Delegated-IPv6-Prefix {data.hex()} is no prefix")
    return prefix, bits


def _prefix(data: bytes) -> tuple[bytes, int]:
    """RFC 5447 section 4.2.4, RFC 5779 section 5.3: a length and 16 octets, of which the last 8 are zero."""
    if len(data) != 17 or not 0 < data[0] <= 64 or any(data[9:]) or data[1] in (0, 0xFF):
        raise Unusable(f"MIP6-Home-Link-Prefix {data.hex()} is no home network prefix")
    length, prefix = data[0], data[1:]
    if int.from_bytes(prefix, "big") & ((1 << 128 - length) - 1):
        raise Unusable(f"MIP6-Home-Link-Prefix {data.hex()} has bits behind its length")
    return prefix, length


def _ipv4(address: bytes) -> bytes:
    if len(address) != 4 or address[0] in (0, 127) or address[0] >= 224:
        raise Unusable(f"{address.hex()} is no IPv4 home address")
    return bytes(address)


def _bandwidth(message: Message, grant: Grant) -> None:
    """QoS-Resources (RFC 5777): Bandwidth is in octets a second (RFC 5624 section 3.3)."""
    for resources in message.all(QOS_RESOURCES):
        for rule in resources.all(FILTER_RULE):
            parameters, classifier = rule.first(QOS_PARAMETERS), rule.first(CLASSIFIER)
            octets = None if parameters is None else parameters.first(BANDWIDTH)
            if octets is None or not 0 <= octets < 1e15:
                continue
            direction = None if classifier is None else classifier.first(DIRECTION)
            if direction in (None, 2, _FROM_TERMINAL):
                grant.bandwidth_up = round(octets * 8)
            if direction != _FROM_TERMINAL:
                grant.bandwidth_down = round(octets * 8)


def _key(message: Message, grant: Grant) -> None:
    """MIP-MN-HA-MSA (RFC 5778 section 6.13), or MIP-Session-Key alone (S6b)."""
    msa: Any = message.first(MN_HA_MSA)
    if msa is None:
        grant.key = message.first(SESSION_KEY) or b""
        return
    algorithm = msa.first(ALGORITHM_TYPE)
    if algorithm not in (None, HMAC_SHA_1):
        raise Unusable(f"MIP-MN-HA-MSA is for the algorithm {algorithm}")
    grant.key = msa.first(SESSION_KEY) or b""
    grant.key_spi = msa.first(MIP_MN_HA_SPI) or 0
    grant.key_lifetime = _limited(msa.first(MSA_LIFETIME)) or None
    grant.replay_mode = msa.first(REPLAY_MODE) or 1


def _home_addresses(message: Message, grant: Grant) -> None:
    addresses = message.all(MOBILE_NODE_ADDRESS)
    if not addresses:
        # RFC 5778 section 5.2.2.
        raise Unusable("MIP-Mobile-Node-Address is missing")
    for address in addresses:
        if len(address) == 4:
            grant.ipv4_address = _ipv4(address) if any(address) else None
        elif any(address):
            grant.home_address = bytes(address)


def _apn(message: Message, grant: Grant) -> Grant:
    """S6b: the profile of the APN (3GPP TS 29.272 section 7.3.35); the first one, if there are several."""
    apns = message.all(APN_CONFIGURATION)
    if not apns:
        return grant
    apn = apns[0]
    grant = evolve(
        grant, services=grant.services or tuple(each.first(SERVICE_SELECTION).encode() for each in apns)
    )
    grant.ipv6_allowed, grant.ipv4_allowed = _PDN_TYPES.get(apn.first(PDN_TYPE), (None, None))
    _agents(apn, grant)
    for address in apn.all(SERVED_PARTY_ADDRESS):
        if len(address) == 4:
            grant.ipv4_address = _ipv4(address)
        elif len(address) == 16 and any(address) and not grant.prefixes:
            grant.prefixes = (_prefix(b"\x40" + address[:8] + bytes(8)),)
    ambr = apn.first(AMBR)
    if ambr is not None:
        grant.bandwidth_up = ambr.first(MAX_BANDWIDTH_UP) or 0
        grant.bandwidth_down = ambr.first(MAX_BANDWIDTH_DOWN) or 0
    return grant
