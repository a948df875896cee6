"""Revocation messages for the tests of anchor and gateway."""

from typing import Any

from appliance.protocols.mobility.codec import decode, encode, seal, verify
from appliance.protocols.mobility.messages import (
    BR_P,
    BindingRevocationAcknowledgement,
    BindingRevocationIndication,
)
from appliance.protocols.mobility.options import (
    HomeNetworkPrefix,
    MobileNodeGroupIdentifier,
    MobileNodeIdentifier,
)
from appliance.protocols.pmipv6.events import Send

INDICATION, ACKNOWLEDGEMENT = BindingRevocationIndication, BindingRevocationAcknowledgement


def revocations(effects: list[Any], kind: type = INDICATION) -> list[tuple[bytes, Any]]:
    """The revocation messages of a kind that were sent: destination and message; their checksums hold."""
    found = []
    for effect in effects:
        if not isinstance(effect, Send) or effect.data[2] != INDICATION.TYPE:
            continue
        assert effect.port or verify(effect.data, effect.source, effect.destination)
        message, faults = decode(effect.data)
        assert not faults, faults
        if isinstance(message, kind):
            found.append((effect.destination, message))
    return found


def named(message: Any) -> tuple[list[bytes], list[tuple[bytes, int]], list[int]]:
    """Identifiers, prefixes and groups of a message."""
    found = message.options
    return (
        [item.identifier for item in found if isinstance(item, MobileNodeIdentifier)],
        [(item.prefix, item.prefix_length) for item in found if isinstance(item, HomeNetworkPrefix)],
        [item.group for item in found if isinstance(item, MobileNodeGroupIdentifier)],
    )


def acknowledgement(
    indication: Any, source: bytes, destination: bytes, status: int = 0, options: Any = (), **changes: int
) -> bytes:
    """An answer to an indication."""
    sequence = changes.get("sequence", indication.sequence)
    flags = changes.get("flags", indication.flags)
    return seal(encode(ACKNOWLEDGEMENT(status, sequence, flags, list(options))), source, destination)


def indication(
    trigger: int, options: Any, source: bytes, destination: bytes, flags: int = BR_P, sequence: int = 0x7A01
) -> bytes:
    """An indication."""
    return seal(encode(INDICATION(trigger, sequence, flags, list(options))), source, destination)
