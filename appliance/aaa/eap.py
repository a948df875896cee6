"""EAP in DER and DEA (RFC 4072): who a MAG or NAS has at its door.

::

    MAG ──DER: EAP-Response/Identity──────▶ server
        ◀─DEA 1001: EAP-Request/MD5-Challenge──
        ──DER: EAP-Response/MD5-Challenge─▶
        ◀─DEA 2001: EAP-Success, profile of RFC 5779──

The one method is MD5-Challenge (RFC 3748 section 5.4) with the user's MN-AAA key. It makes no session key:
good for a MAG's access network, not for IKEv2 and not for a radio link that wants a key; so DER of a home
agent (MIP6I, RFC 5778) is not served. Profile AVPs are in the last answer only, by what the first one asked.
"""

import hashlib
import hmac
from collections import OrderedDict

from attrs import define

from appliance.aaa import grants
from appliance.aaa.context import (
    AUTH_REQUEST_TYPE,
    AUTHENTICATE_ONLY,
    AUTHENTICATION_REJECTED,
    AUTHORIZATION_REJECTED,
    AUTHORIZE_ONLY,
    INVALID_AVP_VALUE,
    MULTI_ROUND_AUTH,
    ORIGIN_HOST,
    SESSION_ID,
    SUCCESS,
    TOO_BUSY,
    UNABLE_TO_COMPLY,
    USER_NAME,
    Context,
    Refused,
    echo,
)
from appliance.aaa.events import Request
from appliance.aaa.pmip6 import ProxyMobileIpv6
from appliance.aaa.sessions import ACCESS
from appliance.aaa.settings import User
from appliance.protocols.diameter.message.codec import Message
from appliance.protocols.diameter.message.dictionary import standard
from appliance.protocols.diameter.message.types import fold
from appliance.protocols.timers import Now

_D = standard()
EAP_PAYLOAD = _D["EAP-Payload"]
MULTI_ROUND_TIME_OUT = _D["Multi-Round-Time-Out"]

# RFC 3748 sections 4 and 5.
REQUEST, RESPONSE, EAP_SUCCESS, EAP_FAILURE = 1, 2, 3, 4
IDENTITY, NAK, MD5_CHALLENGE = 1, 3, 4
CHALLENGE_OCTETS = 16
#: Seconds that the mobile node may take for its response.
PATIENCE = 30
#: Exchanges at one time, and octets of the requests that are kept for them.
MOST, MOST_OCTETS = 10_000, 64 << 20


Key = tuple[str, str]


def _key(message: Message) -> Key:
    """Whose exchange it is: another client cannot end it, whatever Session-Id it sends."""
    return fold(message.first(ORIGIN_HOST)), message.first(SESSION_ID)


def packet(code: int, identifier: int, data: bytes = b"") -> bytes:
    """An EAP packet; ``data`` begins with the type, if it has one."""
    return bytes((code, identifier)) + (4 + len(data)).to_bytes(2, "big") + data


@define(slots=True)
class Exchange:
    """One mobile node being authenticated."""

    first: Message
    """Its first DER, which says what is wanted."""
    nai: str
    user: User
    identifier: int
    challenge: bytes
    until: float


class Eap:
    """The EAP part of a server."""

    def __init__(self, context: Context, proxy: ProxyMobileIpv6) -> None:
        self._context = context
        self._proxy = proxy
        #: By Origin-Host and Session-Id, in the order in which they end.
        self._exchanges: OrderedDict[Key, Exchange] = OrderedDict()
        self._octets = 0

    @property
    def deadline(self) -> float | None:
        """When :meth:`tick` is wanted next."""
        return next(iter(self._exchanges.values())).until if self._exchanges else None

    def tick(self, now: Now) -> None:
        """Forget those who never responded."""
        while self._exchanges and next(iter(self._exchanges.values())).until <= now.mono:
            self._take(next(iter(self._exchanges)))

    def _take(self, key: Key) -> Exchange | None:
        """The exchange of a client and session, which is over with that."""
        exchange = self._exchanges.pop(key, None)
        if exchange is not None:
            self._octets -= len(exchange.first.data)
        return exchange

    def request(self, request: Request, now: Now) -> None:
        """Take a DER. Raises Refused, and ValueErrors of the codec."""
        message = request.message
        payload: bytes = message.first(EAP_PAYLOAD)
        kind = message.first(AUTH_REQUEST_TYPE)
        if kind == AUTHORIZE_ONLY:
            raise Refused(UNABLE_TO_COMPLY, "a DER has to ask for authentication")
        if not payload:
            # EAP-Start (RFC 4072 section 2.2).
            self._go_on(request, packet(REQUEST, 0, bytes((IDENTITY,))))
            return
        if len(payload) < 5 or payload[0] != RESPONSE or int.from_bytes(payload[2:4], "big") != len(payload):
            raise Refused(INVALID_AVP_VALUE, "no EAP response", echo(message, EAP_PAYLOAD))
        if payload[4] == IDENTITY:
            self._begin(request, payload, now)
        else:
            self._respond(request, payload, now)

    def _go_on(self, request: Request, payload: bytes) -> None:
        self._context.reply(
            request,
            MULTI_ROUND_AUTH,
            *grants.head(request.message),
            EAP_PAYLOAD.encode(payload),
            MULTI_ROUND_TIME_OUT.encode(PATIENCE),
        )

    def _fail(self, payload: bytes, result: int, text: str) -> Refused:
        failure = EAP_PAYLOAD.encode(packet(EAP_FAILURE, payload[1]))
        return Refused(result, text, more=failure)

    def _begin(self, request: Request, payload: bytes, now: Now) -> None:
        message = request.message
        nai = message.first(USER_NAME) or payload[5:].decode("utf-8", "replace")
        try:
            user = self._context.user(nai)
        except Refused as why:
            raise self._fail(payload, why.result, why.text) from None
        if not user.key:
            raise self._fail(payload, AUTHENTICATION_REJECTED, "user has no MN-AAA key")
        key, size = _key(message), len(message.data)
        self._take(key)
        if len(self._exchanges) >= MOST or self._octets + size > MOST_OCTETS:
            raise Refused(TOO_BUSY, "too many authentications at one time")
        identifier, challenge = payload[1] + 1 & 0xFF, self._context.random(CHALLENGE_OCTETS)
        self._exchanges[key] = Exchange(message, nai, user, identifier, challenge, now.mono + PATIENCE)
        self._octets += size
        name = self._context.identity.encode()
        data = bytes((MD5_CHALLENGE, CHALLENGE_OCTETS)) + challenge + name
        self._go_on(request, packet(REQUEST, identifier, data))

    def _respond(self, request: Request, payload: bytes, now: Now) -> None:
        exchange = self._take(_key(request.message))
        if exchange is None:
            raise self._fail(payload, AUTHENTICATION_REJECTED, "nothing was asked of this session")
        if payload[4] == NAK:
            raise self._fail(payload, AUTHENTICATION_REJECTED, "only EAP MD5-Challenge is supported")
        secret = bytes((exchange.identifier,)) + exchange.user.key + exchange.challenge
        wanted = hashlib.md5(secret, usedforsecurity=False).digest()
        fits = payload[4] == MD5_CHALLENGE and payload[1] == exchange.identifier and payload[5:6] == b"\x10"
        if not fits or not hmac.compare_digest(payload[6:22], wanted):
            raise self._fail(payload, AUTHENTICATION_REJECTED, "wrong response to the EAP challenge")
        try:
            self._succeed(request, exchange, now)
        except Refused as why:
            raise self._fail(payload, why.result, why.text) from None

    def _succeed(self, request: Request, exchange: Exchange, now: Now) -> None:
        context, message, user, nai = self._context, request.message, exchange.user, exchange.nai
        success = EAP_PAYLOAD.encode(packet(EAP_SUCCESS, exchange.identifier))
        if message.first(AUTH_REQUEST_TYPE) == AUTHENTICATE_ONLY:
            context.reply(request, SUCCESS, *grants.head(message), USER_NAME.encode(nai), success)
            return
        if not user.pmipv6:
            raise Refused(AUTHORIZATION_REJECTED, "user may not use Proxy Mobile IPv6")
        named = grants.service(exchange.first, user)
        session = grants.session_of(context, message, nai, user, ACCESS)
        given = grants.grant(message, nai, user, session, now)
        given.service = named
        session = grants.accept(context, message, given, session, ACCESS, now)
        session.prefixes, session.ipv4_address = user.prefixes, user.ipv4_address
        session.home_agent = user.home_agent or b""
        profile = self._proxy.access_profile(exchange.first, user)
        context.reply(
            request,
            SUCCESS,
            *grants.common(context, message, given),
            success,
            *profile,
            grants.qos(user),
        )
