"""MIPv6 by the authentication protocol (RFC 5778, application MIP6A): MIR and MIA.

::

    MN ──BU with MN-AAA option──▶ HA ──MIR: MAC_Mobility_Data, authenticator──▶ server
                                     ◀─MIA: home address, MN-HA key, times──────

The server never sees the Binding Update: it checks that the authenticator was made with the user's key over
what the home agent says the update's digest is (RFC 4285 section 5.2).

The MN-HA key is the user's, if it has one. Otherwise the server makes one that the mobile node can make too:
the first 16 octets of HMAC-SHA1(MN-AAA key, MIP-Timestamp | NAI), with MAC_Mobility_Data in the place of the
timestamp if there is none. RFC 5778 leaves the derivation to the deployment; this is the form of RFC 3957
with the timestamp as nonce.
"""

import hmac

from appliance.aaa import grants
from appliance.aaa.context import (
    AUTH_MODE,
    AUTH_REQUEST_TYPE,
    AUTHENTICATION_REJECTED,
    AUTHORIZATION_REJECTED,
    AUTHORIZE_AUTHENTICATE,
    DESTINATION_HOST,
    DESTINATION_REALM,
    INVALID_AVP_VALUE,
    MISSING_AVP,
    RELOCATE_HA,
    SUCCESS,
    UNABLE_TO_COMPLY,
    USER_NAME,
    Context,
    Refused,
    echo,
)
from appliance.aaa.events import Request
from appliance.aaa.grants import Grant
from appliance.aaa.sessions import ANCHOR, Session
from appliance.aaa.settings import User
from appliance.protocols.diameter.message.codec import Message
from appliance.protocols.diameter.message.dictionary import standard
from appliance.protocols.timers import Now

_D = standard()
ALGORITHM_TYPE = _D["MIP-Algorithm-Type"]
AUTHENTICATOR = _D["MIP-Authenticator"]
DELEGATED_PREFIX = _D["Delegated-IPv6-Prefix"]
FEATURE_VECTOR = _D["MIP6-Feature-Vector"]
HOME_AGENT_ADDRESS = _D["MIP-Home-Agent-Address"]
HOME_AGENT_HOST = _D["MIP-Home-Agent-Host"]
MAC_MOBILITY_DATA = _D["MIP-MAC-Mobility-Data"]
MIP6_AGENT_INFO = _D["MIP6-Agent-Info"]
MIP6_AUTH_MODE = _D["MIP6-Auth-Mode"]
MN_AAA_SPI = _D["MIP-MN-AAA-SPI"]
MN_HA_MSA = _D["MIP-MN-HA-MSA"]
MN_HA_SPI = _D["MIP-MN-HA-SPI"]
MOBILE_NODE_ADDRESS = _D["MIP-Mobile-Node-Address"]
MSA_LIFETIME = _D["MIP-MSA-Lifetime"]
REPLAY_MODE = _D["MIP-Replay-Mode"]
SESSION_KEY = _D["MIP-Session-Key"]
TIMESTAMP = _D["MIP-Timestamp"]

AUTH_MN_AAA = 1
HMAC_SHA_1 = 2
NO_REPLAY, TIMESTAMPS = 1, 2
#: Octets of MAC_Mobility_Data and of its HMAC (RFC 4285 section 5.2), and of a key made here.
SHA1_OCTETS, KEY_OCTETS = 20, 16
#: Lifetime of a key of a session without any limit, seconds.
KEY_LIFETIME = 86_400


class MobileIpv6:
    """The MIPv6 part of a server."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def request(self, request: Request, now: Now) -> None:
        """Take a MIR. Raises Refused, and ValueErrors of the codec."""
        context, message = self._context, request.message
        nai = message.first(USER_NAME)
        self._mode(message)
        user = context.user(nai)
        if not user.mip6:
            raise Refused(AUTHORIZATION_REJECTED, "user may not use Mobile IPv6")
        self._authenticate(message, user)
        named = grants.service(message, user)
        session = grants.session_of(context, message, nai, user, ANCHOR)
        given = grants.grant(message, nai, user, session, now)
        given.service = named
        addresses = self._addresses(message, user)
        elsewhere = self._elsewhere(message, user)
        if elsewhere:
            # The home agent has to send the mobile node there first (RFC 5778 section 6.6).
            more = [MOBILE_NODE_ADDRESS.encode(address) for address in addresses]
            common = grants.common(context, message, given)
            context.reply(request, RELOCATE_HA, *common, *more, elsewhere)
            return
        session = grants.accept(context, message, given, session, ANCHOR, now)
        context.reply(request, SUCCESS, *self._answer(message, given, session, addresses, now))

    def _mode(self, message: Message) -> None:
        mode = message.first(MIP6_AUTH_MODE)
        if mode != AUTH_MN_AAA or message.first(AUTH_REQUEST_TYPE) != AUTHORIZE_AUTHENTICATE:
            raise Refused(
                AUTH_MODE, "only MIP6_AUTH_MN_AAA with AUTHORIZE_AUTHENTICATE is supported",
                echo(message, MIP6_AUTH_MODE),
            )  # fmt: skip
        for avp in (MN_AAA_SPI, AUTHENTICATOR, MAC_MOBILITY_DATA):
            if message.raw(avp) is None:
                raise Refused(MISSING_AVP, f"{avp.name} is missing", avp.wrap(b"\0" * avp.type.minimum))

    def _authenticate(self, message: Message, user: User) -> None:
        """RFC 4285 section 5.2, the part of the AAA server."""
        if not user.key:
            raise Refused(AUTHENTICATION_REJECTED, "user has no MN-AAA key")
        spi = message.first(MN_AAA_SPI)
        if user.spi and spi != user.spi:
            raise Refused(AUTHENTICATION_REJECTED, f"SPI {spi} is not that of the user")
        digest = message.first(MAC_MOBILITY_DATA)
        if len(digest) != SHA1_OCTETS:
            raise Refused(
                INVALID_AVP_VALUE,
                f"MIP-MAC-Mobility-Data has {len(digest)} octets instead of {SHA1_OCTETS}",
                echo(message, MAC_MOBILITY_DATA),
            )
        wanted = hmac.digest(user.key, digest, "sha1")
        if not hmac.compare_digest(wanted, message.first(AUTHENTICATOR)):
            raise Refused(AUTHENTICATION_REJECTED, "MN-AAA authenticator mismatch")

    def _addresses(self, message: Message, user: User) -> list[bytes]:
        """Home addresses: those of the request if they are the user's, or assigned ones for unset ones."""
        found: list[bytes] = []
        for address in message.all(MOBILE_NODE_ADDRESS):
            if any(address):
                self._owned(address, user)
                found.append(address)
                continue
            given = user.ipv4_address if len(address) == 4 else _home_of(user)
            if given is not None:
                found.append(given)
        if not found:
            raise Refused(UNABLE_TO_COMPLY, "the user has no home address that could be assigned")
        return found

    def _owned(self, address: bytes, user: User) -> None:
        if len(address) == 4:
            if user.ipv4_address not in (None, address):
                raise Refused(AUTHORIZATION_REJECTED, "the home address is not the user's")
        elif user.prefixes and not any(_inside(address, prefix) for prefix in user.prefixes):
            raise Refused(AUTHORIZATION_REJECTED, "the home address is not in a prefix of the user")

    def _elsewhere(self, message: Message, user: User) -> bytes:
        """MIP6-Agent-Info of the home agent that serves the user; empty: the one that asks may."""
        wanted, info = user.home_agent, message.first(MIP6_AGENT_INFO)
        if wanted is None or info is None or wanted in info.all(HOME_AGENT_ADDRESS):
            return b""
        asked = [len(address) for address in info.all(HOME_AGENT_ADDRESS)]
        if asked and len(wanted) not in asked:
            # It is known by an address of the other family: nothing says that it is not the same one.
            return b""
        return agent_info(self._context, wanted)

    def _answer(
        self, message: Message, given: Grant, session: Session, addresses: list[bytes], now: Now
    ) -> list[bytes]:
        session.features = message.first(FEATURE_VECTOR) or 0
        info = message.first(MIP6_AGENT_INFO)
        agents = info.all(HOME_AGENT_ADDRESS) if info is not None else []
        session.home_agent = agents[0] if agents else b""
        session.prefixes = tuple((address, 128) for address in addresses if len(address) == 16)
        session.ipv4_address = next((address for address in addresses if len(address) == 4), None)
        lifetime = given.session_timeout or 2 * given.lifetime or KEY_LIFETIME
        session.key_until_at = now.wall + lifetime
        return [
            *grants.common(self._context, message, given),
            echo(message, FEATURE_VECTOR),
            *(MOBILE_NODE_ADDRESS.encode(address) for address in addresses),
            *map(_network, given.user.networks),
            self._association(message, given, lifetime),
            grants.qos(given.user),
        ]

    def _association(self, message: Message, given: Grant, lifetime: int) -> bytes:
        """MIP-MN-HA-MSA: without it the home agent could not protect its acknowledgement."""
        user = given.user
        stamp = message.first(TIMESTAMP)
        spi = user.mn_ha_spi or message.first(MN_HA_SPI) or self._context.spi()
        nonce = message.first(MAC_MOBILITY_DATA) if stamp is None else stamp
        return MN_HA_MSA.encode(
            SESSION_KEY.encode(user.mn_ha_key or mn_ha_key(user.key, nonce, given.nai))
            + MSA_LIFETIME.encode(lifetime)
            + MN_HA_SPI.encode(spi)
            + ALGORITHM_TYPE.encode(HMAC_SHA_1)
            + REPLAY_MODE.encode(NO_REPLAY if stamp is None else TIMESTAMPS)
        )


def mn_ha_key(key: bytes, nonce: bytes, nai: str) -> bytes:
    """The MN-HA key of a mobile node that has none of its own; both ends can make it."""
    return hmac.digest(key, nonce + nai.encode(), "sha1")[:KEY_OCTETS]


def agent_info(context: Context, address: bytes) -> bytes:
    """MIP6-Agent-Info of a home agent, with its name if the configuration has it."""
    members = HOME_AGENT_ADDRESS.encode(address)
    for agent in context.settings.home_agents:
        if agent.address == address:
            names = DESTINATION_REALM.encode(agent.realm) + DESTINATION_HOST.encode(agent.host)
            members += HOME_AGENT_HOST.encode(names)
            break
    return MIP6_AGENT_INFO.encode(members)


def _home_of(user: User) -> bytes | None:
    """Only a prefix is assigned: the low 64 bits are zero (RFC 5778 section 6.5)."""
    return user.prefixes[0][0] if user.prefixes else None


def _network(prefix: tuple[bytes, int]) -> bytes:
    """Delegated-IPv6-Prefix (RFC 4818 section 3)."""
    octets, length = prefix
    return DELEGATED_PREFIX.encode(bytes((0, length)) + octets[: -(-length // 8)])


def _inside(address: bytes, prefix: tuple[bytes, int]) -> bool:
    network, length = prefix
    shift = 128 - length
    return int.from_bytes(address, "big") >> shift == int.from_bytes(network, "big") >> shift
