"""Mobile IPv4 Registration Requests, as far as an AAA server has to read them, and their MN-AAA extension.

::

     0        1        2          4              8            12             16               24
    | type 1 | flags  | lifetime | home address | home agent | care-of addr.| identification | extensions
                                                                                             ▼
    | 36 | 1 | length (2) | SPI (4) | authenticator |     all from the first octet up to the SPI is covered

Sources: RFC 3344 section 3.3 (short extensions: type, length; long ones: type, subtype, two octets of
length), RFC 2794 (NAI), RFC 4721 (challenge, MN-AAA authentication), RFC 3957 (key generation).
"""

import hashlib
import hmac
import struct

from attrs import define

from appliance.protocols.diameter.message.types import BadValue

REGISTRATION_REQUEST = 1
FIXED = 24
_HEAD = struct.Struct("!BBH4s4s4s8s")
#: Extensions with a subtype and two octets of length (RFC 3344 section 1.11).
LONG_EXTENSIONS = frozenset({36, 37, 38, 40, 41, 42, 43})
MN_AAA, MN_FA_KEY_REQUEST, MN_HA_KEY_REQUEST, NAI, CHALLENGE = 36, 40, 42, 131, 132
#: RFC 4721 section 9: MD5 as RADIUS has it, instead of HMAC-MD5.
CHAP_SPI = 2
#: Extensions of one request, at most.
MOST = 64

UNSET, ALL_ONES = bytes(4), b"\xff" * 4


@define(slots=True)
class RegistrationRequest:
    """What a Registration Request says."""

    flags: int
    lifetime: int
    home_address: bytes
    home_agent: bytes
    care_of: bytes
    nai: str | None = None
    challenge: bytes | None = None
    spi: int | None = None
    """SPI of the MN-AAA authentication extension; ``None``: there is none."""
    covered: int = 0
    """Octets that the authenticator covers."""
    authenticator: bytes = b""
    mn_ha_spi: int | None = None
    """SPI that the mobile node wants to use with its home agent, where it asks for a key (RFC 3957)."""
    mn_fa_spi: int | None = None


def parse(data: bytes) -> RegistrationRequest:
    """Read a Registration Request, the payload of its UDP datagram. Raises BadValue."""
    if len(data) < FIXED or data[0] != REGISTRATION_REQUEST:
        raise BadValue("no Registration Request")
    _, flags, lifetime, home, agent, care_of, _ = _HEAD.unpack_from(data)
    found = RegistrationRequest(flags, lifetime, home, agent, care_of)
    place, count = FIXED, 0
    while place < len(data):
        place = _extension(data, place, found)
        count += 1
        if count > MOST:
            raise BadValue(f"more than {MOST} extensions")
    return found


def _extension(data: bytes, place: int, found: RegistrationRequest) -> int:
    kind = data[place]
    if kind == 0:
        # One octet of padding.
        return place + 1
    head = 4 if kind in LONG_EXTENSIONS else 2
    size = int.from_bytes(data[place + 2 : place + 4] if head == 4 else data[place + 1 : place + 2], "big")
    body, end = place + head, place + head + size
    if end > len(data) or place + head > len(data):
        raise BadValue(f"extension {kind} goes beyond the end")
    if kind == NAI:
        try:
            found.nai = data[body:end].decode()
        except UnicodeDecodeError:
            raise BadValue("its NAI is no UTF-8") from None
    elif kind == CHALLENGE:
        found.challenge = data[body:end]
    elif kind in (MN_AAA, MN_FA_KEY_REQUEST, MN_HA_KEY_REQUEST) and data[place + 1] == 1:
        if size < 4:
            raise BadValue(f"extension {kind} has no SPI")
        _secured(kind, data, body, end, found)
    return end


def _secured(kind: int, data: bytes, body: int, end: int, found: RegistrationRequest) -> None:
    spi = int.from_bytes(data[body : body + 4], "big")
    if kind == MN_AAA:
        found.spi, found.covered, found.authenticator = spi, body + 4, data[body + 4 : end]
    elif kind == MN_HA_KEY_REQUEST:
        found.mn_ha_spi = spi
    else:
        found.mn_fa_spi = spi


def authenticator(key: bytes, spi: int, covered: bytes, challenge: bytes) -> bytes:
    """The authenticator of an MN-AAA extension.

    HMAC-MD5 over what is covered (RFC 4721 section 6); with CHAP_SPI the MD5 of RADIUS (section 8), where
    ``challenge`` is one zero octet for a co-located mobile node.
    """
    if spi != CHAP_SPI:
        return hmac.digest(key, covered, "md5")
    inner = hashlib.md5(covered, usedforsecurity=False).digest()
    return hashlib.md5(challenge[:1] + key + inner + challenge[-237:], usedforsecurity=False).digest()


def session_key(key: bytes, nonce: bytes, identifier: bytes) -> bytes:
    """The key that a mobile node makes of a Key Generation Nonce (RFC 3957 section 5).

    ``key`` is the MN-AAA key; ``identifier`` the NAI of the Registration Request, else its home address.
    """
    return hmac.digest(key, nonce + identifier, "sha1")
