"""Keys of Mobile IPv4 (RFC 4004 sections 8 and 9, RFC 3957).

::

    MN-AAA key, nonce, NAI ──HMAC-SHA1──▶ MN-HA key ──MIP-HA-to-MN-MSA──▶ home agent
                     nonce ──MIP-MN-to-HA-MSA──▶ home agent ──Registration Reply──▶ mobile node: same key
    likewise MN-FA: the nonce goes by way of the home agent, the key to the foreign agent
    random key ──MIP-HA-to-FA-MSA──▶ home agent, ──MIP-FA-to-HA-MSA──▶ foreign agent
"""

from appliance.aaa import rrq
from appliance.aaa.context import END_TO_END_MIP_KEY_ENCRYPTION, Context, Refused
from appliance.aaa.mip4_request import NEVER, Registration
from appliance.protocols.diameter.message.codec import Message
from appliance.protocols.diameter.message.dictionary import standard

_D = standard()
ALGORITHM_TYPE = _D["MIP-Algorithm-Type"]
FA_TO_HA_MSA = _D["MIP-FA-to-HA-MSA"]
FA_TO_HA_SPI = _D["MIP-FA-to-HA-SPI"]
FA_TO_MN_MSA = _D["MIP-FA-to-MN-MSA"]
FA_TO_MN_SPI = _D["MIP-FA-to-MN-SPI"]
HA_TO_FA_MSA = _D["MIP-HA-to-FA-MSA"]
HA_TO_FA_SPI = _D["MIP-HA-to-FA-SPI"]
HA_TO_MN_MSA = _D["MIP-HA-to-MN-MSA"]
MN_HA_SPI = _D["MIP-MN-HA-SPI"]
MN_TO_FA_MSA = _D["MIP-MN-to-FA-MSA"]
MN_TO_HA_MSA = _D["MIP-MN-to-HA-MSA"]
NONCE = _D["MIP-Nonce"]
REPLAY_MODE = _D["MIP-Replay-Mode"]
SESSION_KEY = _D["MIP-Session-Key"]

# MIP-Feature-Vector (RFC 4004 section 7.5).
MN_HA_KEY, MN_FA_KEY, FA_HA_KEY = 16, 32, 64
HMAC_SHA_1, TIMESTAMPS = 2, 2
#: Octets of a Key Generation Nonce and of a random key (RFC 3957 section 5: at least 128 bits).
NONCE_OCTETS = 16
#: How much longer than the authorization the keys live (RFC 4004 section 8.1: at least as long).
KEY_FACTOR = 2


def check_secure(secure: bool) -> None:
    """Keys may only go over TLS or DTLS (RFC 4004 section 8.3). Raises Refused (5025)."""
    if not secure:
        raise Refused(END_TO_END_MIP_KEY_ENCRYPTION, "keys are only given over TLS or DTLS")


def lifetime(registration: Registration) -> int:
    """MIP-MSA-Lifetime, seconds."""
    return min(KEY_FACTOR * registration.lifetime, NEVER)


def _derived(context: Context, registration: Registration) -> tuple[bytes, bytes]:
    """A nonce, and the key that the mobile node will make of it."""
    nonce = context.random(NONCE_OCTETS)
    nai = registration.rrq.nai
    identifier = registration.rrq.home_address if nai is None else nai.encode()
    return nonce, rrq.session_key(registration.user.key, nonce, identifier)


def _key(key: bytes) -> bytes:
    return ALGORITHM_TYPE.encode(HMAC_SHA_1) + SESSION_KEY.encode(key)


def mobile_home(context: Context, registration: Registration) -> list[bytes]:
    """The MN-HA key for the home agent, and the nonce for the mobile node, if they are asked for."""
    if not registration.features & MN_HA_KEY:
        return []
    nonce, key = _derived(context, registration)
    # The mobile node has chosen the SPI of what the home agent sends; the other one is the agent's to
    # choose, and only proposed here.
    towards = registration.rrq.mn_ha_spi or context.spi()
    common = ALGORITHM_TYPE.encode(HMAC_SHA_1) + REPLAY_MODE.encode(TIMESTAMPS)
    return [
        HA_TO_MN_MSA.encode(MN_HA_SPI.encode(towards) + common + SESSION_KEY.encode(key)),
        MN_TO_HA_MSA.encode(MN_HA_SPI.encode(context.spi()) + common + NONCE.encode(nonce)),
    ]


def for_home_agent(context: Context, registration: Registration) -> list[bytes]:
    """All that are asked for, as a HAR carries them; those of the foreign agent are kept for later."""
    features = registration.features
    if features & (MN_FA_KEY | FA_HA_KEY):
        check_secure(registration.request.secure)
    keys = mobile_home(context, registration)
    if features & MN_FA_KEY:
        nonce, registration.mn_fa_key = _derived(context, registration)
        keys.append(MN_TO_FA_MSA.encode(ALGORITHM_TYPE.encode(HMAC_SHA_1) + NONCE.encode(nonce)))
    if features & FA_HA_KEY:
        registration.fa_ha_key = context.random(NONCE_OCTETS)
        spi = registration.message.first(HA_TO_FA_SPI) or context.spi()
        keys.append(HA_TO_FA_MSA.encode(HA_TO_FA_SPI.encode(spi) + _key(registration.fa_ha_key)))
    return keys


def for_foreign_agent(context: Context, registration: Registration, answer: Message) -> list[bytes]:
    """The keys of the foreign agent, under the SPIs that the home agent has said in its HAA."""
    keys: list[bytes] = []
    if registration.mn_fa_key:
        spi = answer.first(FA_TO_MN_SPI) or registration.rrq.mn_fa_spi or context.spi()
        keys.append(FA_TO_MN_MSA.encode(FA_TO_MN_SPI.encode(spi) + _key(registration.mn_fa_key)))
    if registration.fa_ha_key:
        spi = answer.first(FA_TO_HA_SPI) or context.spi()
        keys.append(FA_TO_HA_MSA.encode(FA_TO_HA_SPI.encode(spi) + _key(registration.fa_ha_key)))
    return keys
