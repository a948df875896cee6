"""An AA-Mobile-Node-Request (RFC 4004 section 5.1): who it is from, and whether that is true.

The MN-AAA authentication extension of the Registration Request is checked with the user's key (RFC 4721).
What MIP-MN-AAA-Auth says of it only has to fit: what counts is in the request that the mobile node signed.
"""

import hmac

from attrs import define

from appliance.aaa import rrq
from appliance.aaa.context import (
    AUTHENTICATION_REJECTED,
    AUTHORIZATION_REJECTED,
    INVALID_AVP_VALUE,
    USER_NAME,
    Context,
    Refused,
    echo,
)
from appliance.aaa.events import Request
from appliance.aaa.rrq import RegistrationRequest
from appliance.aaa.sessions import Session
from appliance.aaa.settings import User
from appliance.aaa.users import fold_nai
from appliance.protocols.diameter.message.codec import Message
from appliance.protocols.diameter.message.dictionary import standard
from appliance.protocols.diameter.message.types import BadValue

_D = standard()
AUTHORIZATION_LIFETIME = _D["Authorization-Lifetime"]
FA_CHALLENGE = _D["MIP-FA-Challenge"]
FEATURE_VECTOR = _D["MIP-Feature-Vector"]
MN_AAA_AUTH = _D["MIP-MN-AAA-Auth"]
MN_AAA_SPI = _D["MIP-MN-AAA-SPI"]
REG_REQUEST = _D["MIP-Reg-Request"]
_INPUT_LENGTH = _D["MIP-Auth-Input-Data-Length"]
_AUTHENTICATOR_LENGTH = _D["MIP-Authenticator-Length"]
_AUTHENTICATOR_OFFSET = _D["MIP-Authenticator-Offset"]

#: MIP-Feature-Vector (RFC 4004 section 7.5): the home agent asks, there is no foreign agent.
CO_LOCATED = 256
NEVER = 0xFFFFFFFF


@define(slots=True, eq=False)
class Registration:
    """One AMR while it is worked on."""

    request: Request
    user: User
    nai: str
    rrq: RegistrationRequest
    features: int
    lifetime: int
    session: Session | None = None
    """That the mobile node has already."""
    session_id: str = ""
    """Of the HAR."""
    multi: str = ""
    """Acct-Multi-Session-Id."""
    agent_host: str = ""
    """Destination-Host of the HAR: home agent, or the AAA server of its realm."""
    agent_realm: str = ""
    named: bytes = b""
    """MIP-Candidate-Home-Agent-Host of a home agent that the foreign realm gives; empty: none."""
    agent_address: bytes | None = None
    home_address: bytes | None = None
    mn_fa_key: bytes = b""
    fa_ha_key: bytes = b""

    @property
    def message(self) -> Message:
        """The AMR."""
        return self.request.message


def read(context: Context, request: Request) -> Registration:
    """Read an AMR and check its authenticator. Raises Refused, and ValueErrors of the codec."""
    message = request.message
    nai = message.first(USER_NAME)
    user = context.user(nai)
    if not user.mip4:
        raise Refused(AUTHORIZATION_REJECTED, "user may not use Mobile IPv4")
    try:
        found = rrq.parse(message.first(REG_REQUEST))
    except BadValue as error:
        raise Refused(INVALID_AVP_VALUE, f"MIP-Reg-Request: {error}", echo(message, REG_REQUEST)) from None
    features = message.first(FEATURE_VECTOR) or 0
    _authenticate(message, user, nai, found, features)
    asked = message.first(AUTHORIZATION_LIFETIME)
    limits = [found.lifetime, user.authorization_lifetime or NEVER, NEVER if asked is None else asked]
    return Registration(request, user, nai, found, features, min(limits))


def _authenticate(message: Message, user: User, nai: str, found: RegistrationRequest, features: int) -> None:
    """Check the MN-AAA authentication extension (RFC 4721), and that it speaks for this user."""
    _consistent(message, found)
    if not user.key:
        raise Refused(AUTHENTICATION_REJECTED, "user has no MN-AAA key")
    if user.spi and found.spi not in (user.spi, rrq.CHAP_SPI):
        raise Refused(AUTHENTICATION_REJECTED, f"SPI {found.spi} is not that of the user")
    assert found.spi is not None
    challenge = found.challenge or message.first(FA_CHALLENGE)
    if found.spi == rrq.CHAP_SPI and challenge is None and not features & CO_LOCATED:
        raise Refused(AUTHENTICATION_REJECTED, "CHAP_SPI without a challenge")
    said = message.first(FA_CHALLENGE)
    if found.challenge is not None and said is not None and said != found.challenge:
        raise Refused(AUTHENTICATION_REJECTED, "challenges of MIP-FA-Challenge and request differ")
    covered = message.first(REG_REQUEST)[: found.covered]
    wanted = rrq.authenticator(user.key, found.spi, covered, challenge or b"\0")
    if not hmac.compare_digest(wanted, found.authenticator):
        raise Refused(AUTHENTICATION_REJECTED, "MN-AAA authenticator mismatch")
    # Whose key it was made with is known now; who it is made out to has to be the same one.
    if found.nai is not None and fold_nai(found.nai) != fold_nai(nai):
        raise Refused(AUTHENTICATION_REJECTED, "User-Name and NAI of the request differ")
    if found.nai is None and (user.nai.startswith("*@") or found.home_address != user.ipv4_address):
        raise Refused(AUTHENTICATION_REJECTED, "the request names neither the user nor its address")


def _consistent(message: Message, found: RegistrationRequest) -> None:
    """MIP-MN-AAA-Auth only points at what is in the request: believe the request."""
    group = message.first(MN_AAA_AUTH)
    said = tuple(
        group.first(avp) for avp in (MN_AAA_SPI, _INPUT_LENGTH, _AUTHENTICATOR_LENGTH, _AUTHENTICATOR_OFFSET)
    )
    if found.spi is None:
        raise Refused(AUTHENTICATION_REJECTED, "the request has no MN-AAA authentication")
    if said != (found.spi, found.covered, len(found.authenticator), found.covered):
        raise Refused(
            INVALID_AVP_VALUE,
            "MIP-MN-AAA-Auth does not fit MIP-Reg-Request",
            echo(message, MN_AAA_AUTH),
        )
