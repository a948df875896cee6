"""ICMPv6 messages of a mobile node (RFC 6275 sections 6.5 to 6.8), and errors that quote what it has sent."""

from struct import Struct
from typing import NamedTuple

from appliance.protocols.bits import DecodeError, internet_checksum, pseudo_header
from appliance.protocols.mobility.codec import MOBILITY_HEADER
from appliance.protocols.mobility.packet import DESTINATION_OPTIONS, HOP_BY_HOP, ROUTING

ICMPV6 = 58
PARAMETER_PROBLEM = 4
DISCOVERY_REQUEST, DISCOVERY_REPLY, PREFIX_SOLICITATION, PREFIX_ADVERTISEMENT = 144, 145, 146, 147
UNRECOGNIZED_HEADER, UNRECOGNIZED_OPTION = 1, 2
#: Home agents taken out of one reply.
MOST_ADDRESSES = 32

_HEAD = Struct(">BBHHH")
_PREFIX = Struct(">BBBBIII16s")
_PREFIX_OPTION = 3
_FIXED = 40


class Prefix(NamedTuple):
    """A Prefix Information option; lifetimes in seconds."""

    prefix: bytes
    length: int
    valid: int
    preferred: int


class Quoted(NamedTuple):
    """What an error says about one of our packets."""

    code: int
    destination: bytes
    message: bytes
    """The Mobility Header of it, as far as it is quoted; empty: it had none."""


def anycast(prefix: bytes, length: int) -> bytes | None:
    """The Mobile IPv6 Home-Agents anycast address of a subnet (RFC 2526 section 2); ``None``: it has none."""
    bits = 128 - length
    if bits < 8:
        return None
    identifier = (1 << bits) - 2
    if bits == 64:
        # Identifiers in EUI-64 format: the universal/local bit is 0.
        identifier &= ~(1 << 57)
    network = int.from_bytes(prefix, "big") >> bits << bits
    return (network | identifier).to_bytes(16, "big")


def _sealed(message: bytes, source: bytes, destination: bytes) -> bytes:
    pseudo = pseudo_header(source, destination, len(message), ICMPV6)
    return message[:2] + internet_checksum(pseudo + message).to_bytes(2, "big") + message[4:]


def request(identifier: int, source: bytes, destination: bytes) -> bytes:
    """Home Agent Address Discovery Request (section 6.5)."""
    return _sealed(_HEAD.pack(DISCOVERY_REQUEST, 0, 0, identifier, 0), source, destination)


def solicitation(identifier: int, home: bytes, destination: bytes) -> bytes:
    """Mobile Prefix Solicitation (section 6.7); its packet has a Home Address option."""
    return _sealed(_HEAD.pack(PREFIX_SOLICITATION, 0, 0, identifier, 0), home, destination)


def _identifier(message: bytes, kind: int) -> int:
    if len(message) < _HEAD.size:
        raise DecodeError(f"ICMPv6 message of {len(message)} octets")
    found, code, _, identifier, _ = _HEAD.unpack_from(message)
    if found != kind or code:
        raise DecodeError(f"ICMPv6 type {found} code {code}")
    return int(identifier)


def read_reply(message: bytes) -> tuple[int, list[bytes]]:
    """Identifier and home agents of a Home Agent Address Discovery Reply; raises DecodeError."""
    identifier = _identifier(message, DISCOVERY_REPLY)
    found = [message[at : at + 16] for at in range(_HEAD.size, len(message) - 15, 16)]
    return identifier, found[:MOST_ADDRESSES]


def read_prefixes(message: bytes) -> tuple[int, tuple[Prefix, ...]]:
    """Identifier and prefixes of a Mobile Prefix Advertisement; raises DecodeError."""
    identifier = _identifier(message, PREFIX_ADVERTISEMENT)
    found, at = [], _HEAD.size
    while at < len(message):
        size = 8 * message[at + 1] if at + 2 <= len(message) else 0
        if not size or at + size > len(message):
            raise DecodeError(f"option at {at} has no length, or runs past the end")
        if message[at] == _PREFIX_OPTION and size == _PREFIX.size:
            _, _, length, _, valid, preferred, _, prefix = _PREFIX.unpack_from(message, at)
            if length > 128:
                raise DecodeError(f"prefix of {length} bits")
            found.append(Prefix(prefix, length, valid, preferred))
        at += size
    return identifier, tuple(found)


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
