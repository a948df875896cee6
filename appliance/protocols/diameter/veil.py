"""Diameter messages without their keys, for whoever watches signalling.

Over TLS a message holds keys that nobody on the wire can read: a session key, an EAP master session key, a
user's password. Monitors and captures get the message with ``*`` in their place; all lengths stay. Which AVPs
these are the dictionary says (``OctetString/secret``).
"""

import re
from collections.abc import Iterator

from appliance.protocols.diameter.codec import DEEPEST, HEADER_SIZE
from appliance.protocols.diameter.dictionary import Dictionary, current


def _codes(dictionary: Dictionary) -> re.Pattern[bytes]:
    """The codes of secret AVPs as they stand in a message: most messages hold none, which is found out at
    once."""
    found: re.Pattern[bytes] | None = dictionary.compiled.get(__name__)
    if found is None:
        secret = (avp for avp in dictionary.avps.values() if avp.type.shown == "secret")
        codes = {avp.code.to_bytes(4, "big") for avp in secret}
        found = re.compile(b"|".join(map(re.escape, sorted(codes))), re.DOTALL)
        dictionary.compiled[__name__] = found
    return found


def veil(data: bytes) -> bytes:
    """The message with ``*`` for every octet of a key. Never raises; what is no AVP stays as it is."""
    dictionary = current()
    if _codes(dictionary).search(data, HEADER_SIZE) is None:
        return data
    found = list(_secrets(data, HEADER_SIZE, len(data), 0, dictionary))
    if not found:
        return data
    copy = bytearray(data)
    for begin, end in found:
        copy[begin:end] = b"*" * (end - begin)
    return bytes(copy)


def _secrets(
    data: bytes, place: int, end: int, depth: int, dictionary: Dictionary
) -> Iterator[tuple[int, int]]:
    """Where the secrets among the AVPs between two places begin and end."""
    while end - place >= 8:
        code = int.from_bytes(data[place : place + 4], "big")
        flags, size = data[place + 4], int.from_bytes(data[place + 5 : place + 8], "big")
        head = 12 if flags & 0x80 else 8
        begin, stop = place + head, place + size
        if size < head or stop > end:
            # Nobody knows what the rest is: a broken length must not bring a key to light.
            yield place + 8, end
            return
        vendor = int.from_bytes(data[place + 8 : begin], "big") if head == 12 else 0
        known = dictionary.by_code.get((code, vendor))
        if known is not None and known.type.shown == "secret":
            yield begin, stop
        elif known is not None and known.grouped and depth < DEEPEST:
            yield from _secrets(data, begin, stop, depth + 1, dictionary)
        place = stop + (-size & 3)
