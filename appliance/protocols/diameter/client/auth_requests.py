"""The requests of an authorization client: AAR (RFC 7155, RFC 5779), its S6b form, MIR (RFC 5778), and STR.

What a server reads in them: who (User-Name, link-layer address), where (this anchor's address and name), what
(the service), and which addresses. An address or prefix of zero asks the server to assign one (RFC 5779,
section 4.2.3).
"""

from functools import lru_cache

from attrs import define

from appliance.protocols.diameter.client.auth_sessions import AuthSession
from appliance.protocols.diameter.message.dictionary import standard
from appliance.protocols.mobility.aaa import Authorize, MobileProof, Subject

_D = standard()
AUTH_APPLICATION_ID = _D["Auth-Application-Id"]
AUTH_REQUEST_TYPE = _D["Auth-Request-Type"]
AUTH_SESSION_STATE = _D["Auth-Session-State"]
CALLING_STATION_ID = _D["Calling-Station-Id"]
CARE_OF_ADDRESS = _D["MIP-Careof-Address"]
CLASS = _D["Class"]
DESTINATION_HOST = _D["Destination-Host"]
DESTINATION_REALM = _D["Destination-Realm"]
FEATURE_VECTOR = _D["MIP6-Feature-Vector"]
HOME_AGENT_ADDRESS = _D["MIP-Home-Agent-Address"]
HOME_AGENT_HOST = _D["MIP-Home-Agent-Host"]
HOME_LINK_PREFIX = _D["MIP6-Home-Link-Prefix"]
IPV4_HOME_ADDRESS = _D["PMIP6-IPv4-Home-Address"]
MIP6_AGENT_INFO = _D["MIP6-Agent-Info"]
MIP6_AUTH_MODE = _D["MIP6-Auth-Mode"]
MIP_AUTHENTICATOR = _D["MIP-Authenticator"]
MIP_MAC_MOBILITY_DATA = _D["MIP-MAC-Mobility-Data"]
MIP_MN_AAA_SPI = _D["MIP-MN-AAA-SPI"]
MIP_MN_HA_SPI = _D["MIP-MN-HA-SPI"]
MIP_TIMESTAMP = _D["MIP-Timestamp"]
MOBILE_NODE_ADDRESS = _D["MIP-Mobile-Node-Address"]
NAS_IDENTIFIER = _D["NAS-Identifier"]
ORIGIN_HOST = _D["Origin-Host"]
ORIGIN_REALM = _D["Origin-Realm"]
ORIGIN_STATE_ID = _D["Origin-State-Id"]
RAT_TYPE = _D["RAT-Type"]
SERVICE_SELECTION = _D["Service-Selection"]
SESSION_ID = _D["Session-Id"]
TERMINATION_CAUSE = _D["Termination-Cause"]
USER_NAME = _D["User-Name"]

AA, MIP6, SESSION_TERMINATION = 265, 325, 275
NASREQ, MIP6A, S6B = 1, 8, 16_777_272
#: Application Ids by the word in the configuration.
APPLICATIONS = {"": NASREQ, "nasreq": NASREQ, "s6b": S6B}
AUTHORIZE_ONLY, AUTHORIZE_AUTHENTICATE = 2, 3
MIP6_AUTH_MN_AAA = 1
STATE_MAINTAINED = 0
# MIP6-Feature-Vector (RFC 5779 section 5.5).
PMIP6_SUPPORTED, IP4_HOA_SUPPORTED = 0x0000010000000000, 0x0000020000000000
_FEATURES = FEATURE_VECTOR.encode(PMIP6_SUPPORTED | IP4_HOA_SUPPORTED)

_ANY_PREFIX = bytes(17)
_ANY_IPV4 = bytes(4)
#: RAT-Type (3GPP TS 29.212) of an Access Technology Type (RFC 5213 section 8.5 and its registry).
_RATS = {1: 1, 4: 0, 6: 1001, 7: 1000, 8: 1004, 9: 2003, 10: 2001, 11: 2000, 12: 2002}


@define(slots=True, frozen=True)
class Origin:
    """Who sends."""

    host: str = ""
    """DiameterIdentity; empty: there is no node to send with."""
    realm: str = ""
    state_id: int = 0
    """Origin-State-Id; 0: not sent."""


def user_name(mn_id: bytes) -> str:
    """User-Name of an MN-ID: the NAI; of another kind of identifier its subtype and digits (RFC 8371)."""
    if mn_id[:1] == b"\0":
        return f"mn-id-{mn_id[1]}-{mn_id[2:].hex()}" if len(mn_id) > 1 else ""
    return mn_id.decode("utf-8", "backslashreplace")


def realm_of(mn_id: bytes) -> str:
    """Realm of an NAI (RFC 6733 section 6.6): what follows the last ``@``; empty: there is none."""
    user, at, realm = user_name(mn_id).rpartition("@")
    good = at and 0 < len(realm) < 256 and all(c.isascii() and (c.isalnum() or c in "-._") for c in realm)
    return realm.lower() if good else ""


def station(link_layer: bytes) -> str:
    """Calling-Station-Id of a link-layer identifier (RFC 5779 section 5.7)."""
    return link_layer.hex("-").upper()


def command(application: int) -> int:
    """Command code by which the sessions of an application are authorized."""
    return MIP6 if application == MIP6A else AA


def request(session: AuthSession, question: Authorize, origin: Origin, host: str) -> bytes:
    """The AVPs of an AAR, or of a MIR, for which the question needs a proof.

    ``host`` is the Destination-Host, empty: any server of the realm.
    """
    if session.application == MIP6A and question.proof is not None:
        return _mir(session, question, question.proof, origin, host)
    return _aar(session, question, origin, host)


def _aar(session: AuthSession, question: Authorize, origin: Origin, host: str) -> bytes:
    subject = question.subject
    s6b = session.application == S6B
    rat = _RATS.get(subject.technology) if s6b else None
    return b"".join(
        (
            SESSION_ID.encode(session.session_id),
            _from_to(session.application, origin, session.realm, host),
            USER_NAME.encode(user_name(subject.mn_id)),
            CALLING_STATION_ID.encode(station(subject.link_layer)) if subject.link_layer else b"",
            _state(origin),
            _FEATURES,
            _service(subject),
            *_agent_infos(question, origin),
            RAT_TYPE.encode(rat) if rat is not None else b"",
            *(CLASS.encode(each) for each in session.classes),
        )
    )


@lru_cache(64)
def _from_to(application: int, origin: Origin, realm: str, host: str) -> bytes:
    """What the AARs from one node to one server have in common."""
    return b"".join(
        (
            AUTH_APPLICATION_ID.encode(application),
            ORIGIN_HOST.encode(origin.host),
            ORIGIN_REALM.encode(origin.realm),
            DESTINATION_REALM.encode(realm),
            DESTINATION_HOST.encode(host) if host else b"",
            AUTH_REQUEST_TYPE.encode(AUTHORIZE_ONLY),
        )
    )


def _mir(session: AuthSession, question: Authorize, proof: MobileProof, origin: Origin, host: str) -> bytes:
    subject = question.subject
    addresses = [subject.home_address or bytes(16)]
    if question.ipv4:
        addresses.append(subject.ipv4_address or _ANY_IPV4)
    return b"".join(
        (
            SESSION_ID.encode(session.session_id),
            AUTH_APPLICATION_ID.encode(session.application),
            USER_NAME.encode(user_name(subject.mn_id)),
            DESTINATION_REALM.encode(session.realm),
            ORIGIN_HOST.encode(origin.host),
            ORIGIN_REALM.encode(origin.realm),
            AUTH_REQUEST_TYPE.encode(AUTHORIZE_AUTHENTICATE),
            DESTINATION_HOST.encode(host) if host else b"",
            _state(origin),
            NAS_IDENTIFIER.encode(origin.host),
            FEATURE_VECTOR.encode(0),
            MIP6_AUTH_MODE.encode(MIP6_AUTH_MN_AAA),
            MIP_MN_AAA_SPI.encode(proof.spi),
            b"" if proof.mn_ha_spi is None else MIP_MN_HA_SPI.encode(proof.mn_ha_spi),
            *(MOBILE_NODE_ADDRESS.encode(each) for each in addresses),
            MIP6_AGENT_INFO.encode(_agent(subject.local, origin)),
            CARE_OF_ADDRESS.encode(subject.care_of) if subject.care_of else b"",
            MIP_AUTHENTICATOR.encode(proof.authenticator),
            MIP_MAC_MOBILITY_DATA.encode(proof.mac_mobility_data),
            MIP_TIMESTAMP.encode(proof.timestamp) if proof.timestamp else b"",
            _service(subject),
            AUTH_SESSION_STATE.encode(STATE_MAINTAINED),
            *(CLASS.encode(each) for each in session.classes),
        )
    )


def termination(session: AuthSession, origin: Origin, host: str) -> bytes:
    """The AVPs of an STR (RFC 6733 section 8.4.1)."""
    return b"".join(
        (
            SESSION_ID.encode(session.session_id),
            ORIGIN_HOST.encode(origin.host),
            ORIGIN_REALM.encode(origin.realm),
            DESTINATION_REALM.encode(session.realm),
            AUTH_APPLICATION_ID.encode(session.application),
            TERMINATION_CAUSE.encode(session.cause),
            USER_NAME.encode(user_name(session.user)),
            DESTINATION_HOST.encode(host) if host else b"",
            *(CLASS.encode(each) for each in session.classes),
            _state(origin),
        )
    )


@lru_cache(64)
def _state(origin: Origin) -> bytes:
    return ORIGIN_STATE_ID.encode(origin.state_id) if origin.state_id else b""


def _service(subject: Subject) -> bytes:
    if not subject.service:
        return b""
    return SERVICE_SELECTION.encode(subject.service.decode("utf-8", "backslashreplace"))


@lru_cache(64)
def _agent(local: bytes, origin: Origin) -> bytes:
    """Which anchor it is: by address and by name (RFC 5779 section 4.2.2)."""
    name = DESTINATION_REALM.encode(origin.realm) + DESTINATION_HOST.encode(origin.host)
    return HOME_AGENT_ADDRESS.encode(local) + HOME_AGENT_HOST.encode(name)


def _agent_infos(question: Authorize, origin: Origin) -> list[bytes]:
    """MIP6-Agent-Info: it has room for one prefix, so a session with several needs several."""
    subject = question.subject
    first = _agent(subject.local, origin)
    prefixes = [bytes([length]) + prefix for prefix, length in subject.prefixes]
    if question.ipv6:
        first += HOME_LINK_PREFIX.encode(prefixes[0] if prefixes else _ANY_PREFIX)
    if question.ipv4:
        first += IPV4_HOME_ADDRESS.encode(subject.ipv4_address or _ANY_IPV4)
    more = [MIP6_AGENT_INFO.encode(HOME_LINK_PREFIX.encode(each)) for each in prefixes[1:]]
    return [MIP6_AGENT_INFO.encode(first), *more]
