"""Peers that are not as the RFCs say: what they send is read as they mean it.

Implementations of about 2008 to 2015 are still in the field, some in closed boxes. What an anchor bears with
is a word of the gateway's ``mag-peer`` line; gateways without such words cost nothing, and get none of this.

What was read otherwise than it came is echoed as it came: its sender compares.
"""

from struct import pack, unpack
from typing import Any

from appliance.protocols.bits import internet_checksum, pseudo_header
from appliance.protocols.mobility.codec import MOBILITY_HEADER, seal, to_timestamp
from appliance.protocols.mobility.options import Timestamp
from appliance.protocols.pmipv6.events import PacketReceived
from appliance.protocols.pmipv6.lma_checks import Peers
from appliance.protocols.pmipv6.lma_request import Request
from appliance.protocols.pmipv6.settings import (
    PREFIX_128,
    QUIET_DENIALS,
    SWAPPED_TIMESTAMP,
    TECHNOLOGY_0,
    WHOLE_PAYLOAD,
    LmaSettings,
    shortened,
)
from appliance.protocols.timers import Now

#: Longest message that Header Len can tell of, octets.
_LONGEST = 2048
#: Access Technology Type 1: virtual (RFC 5213 section 8.5).
_VIRTUAL = 1
#: Seconds between two denials that a mobile node gets, and mobile nodes that this is known of.
DENIAL_INTERVAL, DENIED = 10.0, 4_096


def odd_peers(settings: LmaSettings) -> Peers | None:
    """The gateways of a service if one of them has such a word; else ``None``."""
    return Peers(settings.peers) if any(peer.interop for peer in settings.peers) else None


class Echoed:
    """An option that means something else than it says; it is written as it came."""

    __slots__ = ("_came", "value")

    def __init__(self, came: Any, value: int) -> None:
        self._came = came
        self.value = value

    def write(self, out: bytearray) -> None:
        """Append the option to a message."""
        self._came.write(out)


def whole(event: PacketReceived, words: tuple[str, ...]) -> PacketReceived:
    """A message whose Header Len says how long the packet is, if its checksum is right over all of it.

    The last option of such a gateway lies half behind what its Header Len covers.
    """
    data = event.data
    size = len(data)
    if WHOLE_PAYLOAD not in words or not 8 <= size <= _LONGEST or size <= 8 * data[1] + 8:
        return event
    if not event.port:
        pseudo = pseudo_header(event.source, event.destination, size, MOBILITY_HEADER)
        if internet_checksum(pseudo + data):
            return event
    longer = data + bytes(-size % 8)
    mh = b"%b%c%b\0\0%b" % (longer[:1], len(longer) // 8 - 1, longer[2:4], longer[6:])
    if not event.port:
        mh = seal(mh, event.source, event.destination)
    return PacketReceived(mh, event.source, event.destination, event.port)


def reread(request: Request, words: tuple[str, ...]) -> None:
    """Take the options of an update as its gateway means them."""
    request.interop = words
    if PREFIX_128 in words:
        request.prefixes = [shortened(prefix, length) for prefix, length in request.prefixes]
    if TECHNOLOGY_0 in words and request.technology is not None and not request.technology.value:
        request.technology = Echoed(request.technology, _VIRTUAL)
    if SWAPPED_TIMESTAMP in words and request.timestamp is not None:
        request.timestamp = Echoed(request.timestamp, swapped(request.timestamp.value))


def swapped(value: int) -> int:
    """A Timestamp with the octets of each of its 32-bit words in reverse order."""
    first, second = unpack("<II", value.to_bytes(8, "big"))
    return int.from_bytes(pack(">II", first, second), "big")


def own_time(request: Request) -> Timestamp:
    """Our own clock, as the gateway of a request reads it."""
    value = to_timestamp(request.now.wall)
    return Timestamp(swapped(value) if SWAPPED_TIMESTAMP in request.interop else value)


class Denials:
    """When mobile nodes of gateways that repeat what is denied were denied last."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last: dict[tuple[bytes, bytes], float] = {}

    def repeats(self, request: Request, now: Now) -> bool:
        """Whether this denial comes too soon after the last one of the mobile node; else it is noted."""
        if QUIET_DENIALS not in request.interop:
            return False
        key = request.source, request.mn_id
        last = self._last.pop(key, None)
        if last is not None and now.mono - last < DENIAL_INTERVAL:
            self._last[key] = last
            return True
        if len(self._last) >= DENIED:
            del self._last[next(iter(self._last))]
        self._last[key] = now.mono
        return False
