"""Diameter messages without their keys, for whoever watches signalling.

Over TLS a message holds keys that nobody on the wire can read: MIP-Session-Key, an EAP master session key, a
user's password. Monitors and captures get the message with ``*`` in their place; all lengths stay.
"""

import re

from appliance.protocols.diameter.codec import DEEPEST, HEADER_SIZE
from appliance.protocols.diameter.dictionary import current

_3GPP = 10_415
#: Code and vendor of the AVPs whose data is a secret.
SECRETS = frozenset(
    (
        (2, 0),  # User-Password
        (69, 0),  # Tunnel-Password
        (70, 0),  # ARAP-Password
        (121, 0),  # Digest-HA1
        (343, 0),  # MIP-Session-Key (RFC 4004)
        (464, 0),  # EAP-Master-Session-Key (RFC 4072)
        (583, 0),  # Keying-Material (RFC 6734)
        (625, _3GPP),  # Confidentiality-Key
        (626, _3GPP),  # Integrity-Key
        (1450, _3GPP),  # KASME
        (1506, _3GPP),  # MIP-FA-RK
    )
)
#: Codes of these as they stand in a message: most messages hold none, which is found out at once.
_CODES = re.compile(b"|".join(sorted({re.escape(code.to_bytes(4, "big")) for code, _ in SECRETS})), re.DOTALL)


def veil(data: bytes) -> bytes:
    """The message with ``*`` for every octet of a key. Never raises; what is no AVP stays as it is."""
    if _CODES.search(data, HEADER_SIZE) is None:
        return data
    copy = bytearray(data)
    _walk(copy, HEADER_SIZE, len(copy), 0)
    return bytes(copy)


def _walk(data: bytearray, place: int, end: int, depth: int) -> None:
    """Veil the AVPs between two places."""
    by_code = current().by_code
    while end - place >= 8:
        code = int.from_bytes(data[place : place + 4], "big")
        flags, size = data[place + 4], int.from_bytes(data[place + 5 : place + 8], "big")
        head = 12 if flags & 0x80 else 8
        if size < head or place + size > end:
            # Not to be read any further: who sends such a message must not so get a key shown.
            if (code, 0) in SECRETS or flags & 0x80:
                data[place + 8 : end] = b"*" * (end - place - 8)
            return
        vendor = int.from_bytes(data[place + 8 : place + 12], "big") if head == 12 else 0
        begin, stop = place + head, place + size
        known = by_code.get((code, vendor))
        if (code, vendor) in SECRETS:
            data[begin:stop] = b"*" * (stop - begin)
        elif known is not None and known.grouped and depth < DEEPEST:
            _walk(data, begin, stop, depth + 1)
        place = stop + (-size & 3)
