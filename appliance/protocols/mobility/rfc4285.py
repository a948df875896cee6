"""The authentication protocol of Mobile IPv6 (RFC 4285): what its two options authenticate.

::

    MH header | options ... | MN-HA option ... SPI | MN-AAA option ... SPI | authenticator
    └────────────── covered by MN-HA ──────────┘   │
    └────────────── covered by MN-AAA ─────────────┘

Both cover the care-of address, the home address and the Mobility Header from its first octet up to the SPI
field of the option itself, with the checksum taken as zero. (RFC 4285 says the latter of the MN-HA option
only; a home agent and a server agree on the digest that the home agent sends, so only mobile nodes can tell.)

RFC 4285 is older than care-of addresses of IPv4 (RFC 5555), and RFC 5555 does not speak of it. Both ends have
to take the same octets, and a NAT must not change them: so an IPv4 care-of address is covered as the mobile
node itself says it, never as the home agent sees it in the outer header, in its IPv4-mapped form
(``::ffff:a.b.c.d``, RFC 4291 section 2.5.5.2). See :func:`covered_care_of`. An acknowledgement covers the
same as its update.
"""

import hashlib
import hmac
from functools import lru_cache
from typing import Any

#: SPI of the MN-AAA option by which HMAC-SHA1 is used (RFC 4285 section 5.2).
HMAC_SHA1_SPI = 3
#: Octets of an MN-HA authenticator, of an MN-AAA authenticator, and of an MN-HA key.
MN_HA_OCTETS, MN_AAA_OCTETS, KEY_OCTETS = 12, 20, 16

#: Keys whose hashes are kept. With more of them in use each costs as much as without any keeping.
KEYS = 1_024
_BLOCK = 64
_INNER, _OUTER = (bytes(octet ^ mask for octet in range(256)) for mask in (0x36, 0x5C))
_CHECKSUM = slice(4, 6)
_MAPPED = bytes(10) + b"\xff\xff"
_SPI_END = 7
"""From the first octet of an authentication option to the end of its SPI field."""


def covered(mh: bytes, option: int) -> bytes:
    """What an authentication option covers of a Mobility Header.

    ``mh`` is the message from its Payload Proto octet, ``option`` the place of the option's type octet.
    Raises ValueError when the option is cut off.
    """
    end = option + _SPI_END
    if not _CHECKSUM.stop <= option < end <= len(mh):
        raise ValueError(f"no authentication option at octet {option} of {len(mh)}")
    return mh[: _CHECKSUM.start] + b"\0\0" + mh[_CHECKSUM.stop : end]


def covered_care_of(said: bytes, source: bytes) -> bytes:
    """The care-of address that both options cover, 16 octets.

    ``said`` is what the update names: the address of the Alternate Care-of Address option; inside UDP (RFC
    5555) that of the IPv4 Care-of Address option goes before it, or of the first Binding Identifier option
    with an IPv4 care-of address, which stands for it (RFC 5648 section 8.1). Empty: none of them. ``source``
    is the source of the IPv6 header, which inside UDP is the home address.
    """
    if len(said) == 4:
        return _MAPPED + said
    return said or source


def mac_mobility_data(care_of: bytes, home: bytes, data: bytes) -> bytes:
    """The digest that the MN-AAA authenticator is made of (RFC 4285 section 5.2): 20 octets.

    Addresses have 16 octets; ``data`` is what :func:`covered` gives for the MN-AAA option.
    """
    return hashlib.sha1(care_of + home + data, usedforsecurity=False).digest()


def mn_aaa_authenticator(key: bytes, digest: bytes) -> bytes:
    """Authentication data of an MN-AAA option with HMAC_SHA1_SPI, out of :func:`mac_mobility_data`."""
    return hmac.digest(key, digest, "sha1")


def mn_ha_authenticator(key: bytes, care_of: bytes, home: bytes, data: bytes) -> bytes:
    """Authentication data of an MN-HA option (RFC 4285 section 5.1); ``data`` is what it covers."""
    inner, outer = _keyed(key)
    first, second = inner.copy(), outer.copy()
    first.update(care_of + home + data)
    second.update(first.digest())
    whole: bytes = second.digest()
    return whole[:MN_HA_OCTETS]


@lru_cache(maxsize=KEYS)
def _keyed(key: bytes) -> tuple[Any, Any]:
    """The two hashes of HMAC (RFC 2104 section 4) with the key in them: most of the time for a short message
    is spent on them."""
    if len(key) > _BLOCK:
        key = hashlib.sha1(key, usedforsecurity=False).digest()
    key = key.ljust(_BLOCK, b"\0")
    return (
        hashlib.sha1(key.translate(_INNER), usedforsecurity=False),
        hashlib.sha1(key.translate(_OUTER), usedforsecurity=False),
    )


def same(one: bytes, other: bytes) -> bool:
    """Whether two authenticators are equal, in a time that does not tell how much of them is."""
    return hmac.compare_digest(one, other)
