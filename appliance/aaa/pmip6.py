"""Proxy Mobile IPv6 (RFC 5779) on AAR and AAA: what an LMA asks, and what a MAG asks.

::

    LMA ──AAR, AUTHORIZE_ONLY: MIP6-Agent-Info { LMA, prefix, IPv4 address }──▶ server
        ◀─AAA: assigned prefix and address for those that are zero, times, QoS─
    MAG ──AAR or DER: who has come──▶ server
        ◀─AAA or DEA: LMA, prefix, address, MN-ID, services─

An LMA is told by the address or name in its MIP6-Agent-Info. Addresses that an LMA reports have to be the
user's, if the user has some; those that it leaves to the server are assigned from the user's entry, and left
out of the answer if there are none: then the LMA's own pools serve.

S6b (3GPP TS 29.273) is the same from an LMA, with Experimental-Results and the profile of the APN.
"""

from attrs import define

from appliance.aaa import grants
from appliance.aaa.context import (
    AUTH_REQUEST_TYPE,
    AUTHORIZATION_REJECTED,
    AUTHORIZE_ONLY,
    INVALID_AVP_VALUE,
    NO_APN_SUBSCRIPTION,
    NO_NON_3GPP_SUBSCRIPTION,
    S6B,
    SUCCESS,
    UNABLE_TO_COMPLY,
    USER_NAME,
    USER_UNKNOWN,
    VENDOR_3GPP,
    Context,
    Refused,
)
from appliance.aaa.events import Request
from appliance.aaa.grants import Grant
from appliance.aaa.mip4_keys import check_secure
from appliance.aaa.mip6 import agent_info
from appliance.aaa.sessions import ACCESS, ANCHOR, Session
from appliance.aaa.settings import User
from appliance.protocols.diameter.message.codec import Message
from appliance.protocols.diameter.message.dictionary import standard
from appliance.protocols.timers import Now

_D = standard()
AMBR = _D["AMBR"]
APN_CONFIGURATION = _D["APN-Configuration"]
CONTEXT_IDENTIFIER = _D["Context-Identifier"]
FEATURE_VECTOR = _D["MIP6-Feature-Vector"]
HOME_AGENT_ADDRESS = _D["MIP-Home-Agent-Address"]
HOME_AGENT_HOST = _D["MIP-Home-Agent-Host"]
HOME_LINK_PREFIX = _D["MIP6-Home-Link-Prefix"]
IPV4_HOME_ADDRESS = _D["PMIP6-IPv4-Home-Address"]
MAX_BANDWIDTH_DOWN = _D["Max-Requested-Bandwidth-DL"]
MAX_BANDWIDTH_UP = _D["Max-Requested-Bandwidth-UL"]
MIP6_AGENT_INFO = _D["MIP6-Agent-Info"]
MN_HA_SPI = _D["MIP-MN-HA-SPI"]
MOBILE_NODE_IDENTIFIER = _D["Mobile-Node-Identifier"]
PDN_TYPE = _D["PDN-Type"]
SERVICE_CONFIGURATION = _D["Service-Configuration"]
SERVICE_SELECTION = _D["Service-Selection"]
SESSION_KEY = _D["MIP-Session-Key"]

# MIP6-Feature-Vector (RFC 5447, RFC 5779 section 5.5).
PMIP6_SUPPORTED, IP4_HOA_SUPPORTED, LOCAL_MAG_ROUTING = 1 << 40, 1 << 41, 1 << 42
SUPPORTED = PMIP6_SUPPORTED | IP4_HOA_SUPPORTED | LOCAL_MAG_ROUTING

#: PDN-Type (3GPP TS 29.272 section 7.3.62).
IPV4, IPV6, IPV4V6 = 0, 1, 2
UNSPECIFIED = bytes(16)

Prefix = tuple[bytes, int]


@define(slots=True, eq=False)
class Asked:
    """What the MIP6-Agent-Info of a request say together."""

    agent: bytes = b""
    named: bool = False
    """There is an agent's address or name: the request is an LMA's."""
    prefixes: tuple[Prefix, ...] = ()
    """Reported ones."""
    ipv4_address: bytes | None = None
    assign_prefix: bool = False
    assign_ipv4: bool = False


def read(message: Message) -> Asked:
    """Read the MIP6-Agent-Info of a request. Raises Refused, and ValueErrors of the codec."""
    asked = Asked()
    for info in message.all(MIP6_AGENT_INFO):
        for address in info.all(HOME_AGENT_ADDRESS):
            if any(address):
                asked.agent, asked.named = asked.agent or address, True
        asked.named = asked.named or info.raw(HOME_AGENT_HOST) is not None
        for data in info.all(HOME_LINK_PREFIX):
            prefix = _prefix(message, data)
            if prefix[0] == UNSPECIFIED:
                asked.assign_prefix = True
            else:
                asked.prefixes += (prefix,)
        for address in info.all(IPV4_HOME_ADDRESS):
            if any(address):
                asked.ipv4_address = address
            else:
                asked.assign_ipv4 = True
    return asked


def _prefix(message: Message, data: bytes) -> Prefix:
    if len(data) != 17 or data[0] > 128:
        raise Refused(
            INVALID_AVP_VALUE,
            "MIP6-Home-Link-Prefix is a length and 16 octets",
            b"".join(message.octets(MIP6_AGENT_INFO)[:1]),
        )
    return data[1:], data[0]


class ProxyMobileIpv6:
    """The PMIPv6 part of a server."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def request(self, request: Request, now: Now) -> None:
        """Take an AAR. Raises Refused, and ValueErrors of the codec."""
        context, message = self._context, request.message
        s6b = message.application == S6B
        nai = message.first(USER_NAME)
        if message.first(AUTH_REQUEST_TYPE) != AUTHORIZE_ONLY:
            # RFC 5779 section 4.2.1; there are no passwords here that could authenticate anyone.
            raise Refused(UNABLE_TO_COMPLY, "only AUTHORIZE_ONLY is supported in AAR")
        user = self._user(nai, s6b)
        asked = read(message)
        kind = ANCHOR if asked.named or s6b else ACCESS
        named = self._service(message, user, s6b)
        session = grants.session_of(context, message, nai, user, kind)
        given = grants.grant(message, nai, user, session, now)
        given.service = named
        if kind == ACCESS:
            more = self.access_profile(message, user)
        else:
            more = self._anchor(message, user, asked)
        if s6b:
            more.extend(self._s6b(request, given))
        session = grants.accept(context, message, given, session, kind, now)
        self._note(session, message, user, asked)
        context.reply(request, SUCCESS, *grants.common(context, message, given), *more, grants.qos(user))

    def _user(self, nai: str, s6b: bool) -> User:
        try:
            user = self._context.user(nai)
        except Refused as why:
            if s6b and why.result == AUTHORIZATION_REJECTED:
                raise Refused(USER_UNKNOWN, why.text, vendor=VENDOR_3GPP) from None
            raise
        if not user.pmipv6:
            text = "user may not use Proxy Mobile IPv6"
            if s6b:
                raise Refused(NO_NON_3GPP_SUBSCRIPTION, text, vendor=VENDOR_3GPP)
            raise Refused(AUTHORIZATION_REJECTED, text)
        return user

    def _service(self, message: Message, user: User, s6b: bool) -> str:
        try:
            return grants.service(message, user)
        except Refused as why:
            if s6b:
                raise Refused(NO_APN_SUBSCRIPTION, why.text, vendor=VENDOR_3GPP) from None
            raise

    # LMA.

    def _anchor(self, message: Message, user: User, asked: Asked) -> list[bytes]:
        wanted = user.home_agent
        if wanted is not None and asked.agent and len(wanted) == len(asked.agent) and wanted != asked.agent:
            # A server cannot send a mobile node to another LMA here (RFC 5779 section 4.2.2).
            raise Refused(AUTHORIZATION_REJECTED, "another LMA serves the user")
        if user.prefixes and not set(asked.prefixes) <= set(user.prefixes):
            raise Refused(AUTHORIZATION_REJECTED, "the home network prefix is not the user's")
        if asked.ipv4_address is not None and user.ipv4_address not in (None, asked.ipv4_address):
            raise Refused(AUTHORIZATION_REJECTED, "the IPv4 home address is not the user's")
        return [self._features(message, user), *self._assigned(user, asked)]

    def _assigned(self, user: User, asked: Asked) -> list[bytes]:
        """MIP6-Agent-Info with what the LMA leaves to us; one for each further prefix."""
        prefixes = user.prefixes if asked.assign_prefix else ()
        members = [HOME_LINK_PREFIX.encode(bytes([length]) + prefix) for prefix, length in prefixes]
        if asked.assign_ipv4 and user.ipv4_address is not None:
            members[:1] = [b"".join([*members[:1], IPV4_HOME_ADDRESS.encode(user.ipv4_address)])]
        return [
            # An address of zero says that the LMA stays (RFC 5779 section 4.2.2).
            MIP6_AGENT_INFO.encode(HOME_AGENT_ADDRESS.encode(UNSPECIFIED) + each)
            for each in members
        ]

    def _features(self, message: Message, user: User) -> bytes:
        vector = message.first(FEATURE_VECTOR)
        return b"" if vector is None else FEATURE_VECTOR.encode(vector & SUPPORTED)

    def _s6b(self, request: Request, given: Grant) -> list[bytes]:
        """APN-Configuration; and for Mobile IPv4 the key that the SPI in the request names."""
        user, found = given.user, []
        if given.service:
            found.append(APN_CONFIGURATION.encode(_apn(user, given.service)))
        if request.message.first(MN_HA_SPI) is not None:
            if not user.mn_ha_key or not user.mip4:
                raise Refused(AUTHORIZATION_REJECTED, "the user has no MN-HA key")
            check_secure(request.secure)
            found.append(SESSION_KEY.encode(user.mn_ha_key))
        return found

    # MAG.

    def access_profile(self, message: Message, user: User) -> list[bytes]:
        """What a MAG is told of a mobile node (RFC 5779 section 7.1)."""
        identifier = [] if user.nai.startswith("*@") else [MOBILE_NODE_IDENTIFIER.encode(user.nai)]
        return [
            *self._profile(user),
            self._features(message, user),
            *identifier,
            *(self._service_pair(user, each) for each in user.services),
        ]

    def _profile(self, user: User) -> list[bytes]:
        members: list[bytes] = []
        for prefix, length in user.prefixes or ((UNSPECIFIED, 0),):
            said = self._agent(user)
            if prefix != UNSPECIFIED:
                said += HOME_LINK_PREFIX.encode(bytes([length]) + prefix)
            if user.ipv4_address is not None and not members:
                said += IPV4_HOME_ADDRESS.encode(user.ipv4_address)
            if said:
                members.append(MIP6_AGENT_INFO.encode(said))
        return members

    def _agent(self, user: User) -> bytes:
        address = user.home_agent
        return b"" if address is None else HOME_AGENT_ADDRESS.encode(address)

    def _service_pair(self, user: User, name: str) -> bytes:
        agent = b"" if user.home_agent is None else agent_info(self._context, user.home_agent)
        return SERVICE_CONFIGURATION.encode(agent + SERVICE_SELECTION.encode(name))

    def _note(self, session: Session, message: Message, user: User, asked: Asked) -> None:
        """Keep in the session what it has, for operators."""
        session.features = message.first(FEATURE_VECTOR) or 0
        session.home_agent = asked.agent or user.home_agent or b""
        session.prefixes = asked.prefixes or (user.prefixes if asked.assign_prefix else ())
        session.ipv4_address = asked.ipv4_address or (user.ipv4_address if asked.assign_ipv4 else None)


def _apn(user: User, service: str) -> bytes:
    bandwidths = b""
    if user.bandwidth_up and user.bandwidth_down:
        bandwidths = AMBR.encode(
            MAX_BANDWIDTH_UP.encode(user.bandwidth_up) + MAX_BANDWIDTH_DOWN.encode(user.bandwidth_down)
        )
    return (
        CONTEXT_IDENTIFIER.encode(1)
        + PDN_TYPE.encode(IPV4V6)
        + SERVICE_SELECTION.encode(service)
        + bandwidths
    )
