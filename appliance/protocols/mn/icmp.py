"""ICMPv6 errors that quote what a mobile node has sent (RFC 6275 section 11.3.5, RFC 4443 section 3.4)."""

from typing import NamedTuple

from appliance.protocols.bits import DecodeError
from appliance.protocols.mobility.codec import MOBILITY_HEADER
from appliance.protocols.mobility.packet import DESTINATION_OPTIONS, HOP_BY_HOP, ROUTING

PARAMETER_PROBLEM = 4
UNRECOGNIZED_HEADER, UNRECOGNIZED_OPTION = 1, 2
_FIXED = 40


class Quoted(NamedTuple):
    """What an error says about one of our packets."""

    code: int
    destination: bytes
    message: bytes
    """The Mobility Header of it, as far as it is quoted; empty: it had none."""


def read_problem(message: bytes) -> Quoted:
    """What a Parameter Problem says about a packet of ours; raises DecodeError."""
    packet = message[8:]
    if len(packet) < _FIXED or packet[0] >> 4 != 6:
        raise DecodeError("no packet is quoted")
    following, at = packet[6], _FIXED
    while following in (HOP_BY_HOP, ROUTING, DESTINATION_OPTIONS) and at + 2 <= len(packet):
        following, at = packet[at], at + 8 + 8 * packet[at + 1]
    quoted = packet[at:] if following == MOBILITY_HEADER else b""
    return Quoted(message[1], packet[24:40], quoted)
