"""Diameter messages without their keys, for whoever watches signalling.

Over TLS a message holds keys that nobody on the wire can read: a session key, an EAP master session key, a
user's password. Monitors and captures get the message with ``*`` in their place; all lengths stay. Which AVPs
these are the dictionary says (``OctetString/secret``).
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from appliance.protocols.diameter.message.codec import DEEPEST, HEADER_SIZE, Malformed, spans
from appliance.protocols.diameter.message.dictionary import Dictionary, current


class _Secrets(NamedTuple):
    """What a dictionary says of secrets, ready to be looked for."""

    codes: re.Pattern[bytes]
    """Their codes and flags as they stand in a message: most hold none, which is found out at once."""
    keys: frozenset[int]
    groups: frozenset[int]
    """Groups, which may have some inside."""


def _secrets_of(dictionary: Dictionary) -> _Secrets:
    found: _Secrets | None = dictionary.compiled.get(__name__)
    if found is None:
        secret = [avp for avp in dictionary.avps.values() if avp.type.shown == "secret"]
        codes = sorted({re.escape(avp.code.to_bytes(4, "big")) for avp in secret})
        pattern = re.compile(b"(?:" + b"|".join(codes) + b")[\x00\x20\x40\x60\x80\xa0\xc0\xe0]", re.DOTALL)
        groups = frozenset(avp.key for avp in dictionary.avps.values() if avp.grouped)
        found = _Secrets(pattern, frozenset(avp.key for avp in secret), groups)
        dictionary.compiled[__name__] = found
    return found


def veil(data: bytes) -> bytes:
    """The message with ``*`` for every octet of a key. Never raises; what is no AVP stays as it is."""
    secrets = _secrets_of(current())
    if secrets.codes.search(data, HEADER_SIZE) is None:
        return data
    found = list(_found(data, HEADER_SIZE, len(data), 0, secrets))
    if not found:
        return data
    copy = bytearray(data)
    for begin, end in found:
        copy[begin:end] = b"*" * (end - begin)
    return bytes(copy)


def _found(data: bytes, place: int, end: int, depth: int, secrets: _Secrets) -> Iterator[tuple[int, int]]:
    """Where the secrets among the AVPs between two places begin and end."""
    try:
        avps = spans(data, place, end)
    except Malformed:
        # Nobody knows where its AVPs begin: a broken length must not bring a key to light.
        for match in secrets.codes.finditer(data, place, end):
            yield min(match.start() + 8, end), end
            return
        return
    keys, groups = secrets.keys, secrets.groups
    for key, _, start, stop in avps:
        if key in keys:
            yield start, stop
        elif key in groups and depth < DEEPEST:
            yield from _found(data, start, stop, depth + 1, secrets)
