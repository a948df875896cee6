"""Whole IPv6 packets that carry a Mobility Header, with what Mobile IPv6 puts in front of it.

A Home Address option stands for the source, a type 2 routing header for the destination: the checksum of the
message is over these addresses and not over those of the IPv6 header (RFC 6275 sections 6.1.1, 6.3 and 6.4).
"""

from struct import Struct

from attrs import define

from appliance.protocols.bits import DecodeError
from appliance.protocols.mobility.codec import MOBILITY_HEADER, seal, verify

HOP_BY_HOP, UDP, ROUTING, DESTINATION_OPTIONS = 0, 17, 43, 60
HOME_ADDRESS = 0xC9

_IPV6 = Struct(">IHBB16s16s")
_PREFIX = Struct(">BBBBI")


@define(slots=True)
class MobilityPacket:
    """An IPv6 packet with a mobility message; addresses are packed, 16 octets."""

    source: bytes
    destination: bytes
    mh: bytes
    """The message from its Payload Proto octet to the end of the packet."""
    offset: int = 40
    """Where the message starts in the packet: pointers of ICMPv6 errors count from there."""
    home_source: bytes | None = None
    """From the Home Address option."""
    home_destination: bytes | None = None
    """From the type 2 routing header."""
    hop_limit: int = 64

    @property
    def valid(self) -> bool:
        """Whether the checksum of the message is right."""
        return verify(self.mh, self.home_source or self.source, self.home_destination or self.destination)


def build_ipv6(packet: MobilityPacket) -> bytes:
    """The octets of ``packet``; ``mh`` comes with a zero checksum and is sealed here, ``offset`` is not used.

    The order is that of RFC 6275 sections 6.3 and 6.4: routing header, then Home Address option.
    """
    mh = seal(packet.mh, packet.home_source or packet.source, packet.home_destination or packet.destination)
    chain, body = MOBILITY_HEADER, mh
    if packet.home_source is not None:
        # PadN of 4 octets brings the option to 8n+6 (RFC 6275 section 6.3).
        body = bytes((chain, 2, 1, 2, 0, 0, HOME_ADDRESS, 16)) + packet.home_source + body
        chain = DESTINATION_OPTIONS
    if packet.home_destination is not None:
        # Type 2, one segment left (RFC 6275 section 6.4.1).
        body = _PREFIX.pack(chain, 2, 2, 1, 0) + packet.home_destination + body
        chain = ROUTING
    head = _IPV6.pack(6 << 28, len(body), chain, packet.hop_limit, packet.source, packet.destination)
    return head + body


def routed(
    message: bytes, source: bytes, destination: bytes, home: bytes, protocol: int = MOBILITY_HEADER
) -> bytes:
    """A packet with a sealed message for a home address in a type 2 routing header (RFC 6275 6.4)."""
    body = _PREFIX.pack(protocol, 2, 2, 1, 0) + home + message
    return _IPV6.pack(6 << 28, len(body), ROUTING, 64, source, destination) + body


def build_udp(datagram: bytes, source: bytes, home: bytes, care_of: bytes) -> bytes:
    """A packet with a UDP datagram for a home address; ``care_of``: there by a type 2 routing header.

    The checksum of the datagram is over the home address, which is the final destination.
    """
    if not care_of:
        return _IPV6.pack(6 << 28, len(datagram), UDP, 64, source, home) + datagram
    body = _PREFIX.pack(UDP, 2, 2, 1, 0) + home + datagram
    return _IPV6.pack(6 << 28, len(body), ROUTING, 64, source, care_of) + body


def parse_ipv6(data: bytes) -> MobilityPacket:
    """Take an IPv6 packet apart as far as the mobility message; its checksum is not looked at.

    Raises DecodeError when the packet is cut off, is not IPv6, has no Mobility Header, or has a
    Home Address option twice or a routing header that is not the one of RFC 6275 section 6.4.
    """
    if len(data) < 40 or data[0] >> 4 != 6:
        raise DecodeError("not an IPv6 packet")
    _, length, chain, hop_limit, source, destination = _IPV6.unpack_from(data)
    end = 40 + length
    if end > len(data):
        raise DecodeError(f"IPv6 packet of {end} octets cut off at {len(data)}")
    packet = MobilityPacket(source, destination, b"", 40, hop_limit=hop_limit)
    offset = 40
    while chain in (HOP_BY_HOP, ROUTING, DESTINATION_OPTIONS):
        after = offset + 8 + 8 * data[offset + 1] if offset + 8 <= end else end + 1
        if after > end:
            raise DecodeError(f"extension header at {offset} runs past the end of the packet")
        if chain == ROUTING:
            _read_routing(data, offset, packet)
        else:
            _read_destination_options(data, offset, after, packet)
        chain, offset = data[offset], after
    if chain != MOBILITY_HEADER:
        raise DecodeError(f"next header {chain} at {offset} is not a Mobility Header")
    packet.offset, packet.mh = offset, data[offset:end]
    return packet


def _read_routing(data: bytes, offset: int, packet: MobilityPacket) -> None:
    """Take the home address from a type 2 routing header (RFC 6275 section 6.4.1)."""
    if data[offset + 1] != 2 or data[offset + 2] != 2 or data[offset + 3] > 1:
        raise DecodeError(f"routing header at {offset} is not of type 2 with one address")
    if data[offset + 3] == 1:
        packet.home_destination = data[offset + 8 : offset + 24]


def _read_destination_options(data: bytes, offset: int, end: int, packet: MobilityPacket) -> None:
    """Take the home address from a Home Address option (RFC 6275 section 6.3)."""
    at = offset + 2
    while at < end:
        if data[at] == 0:
            at += 1
            continue
        if at + 2 > end or at + 2 + data[at + 1] > end:
            raise DecodeError(f"destination option at {at} runs past the end of its header")
        if data[at] == HOME_ADDRESS:
            if data[at + 1] != 16 or packet.home_source is not None:
                raise DecodeError(f"Home Address option at {at} is repeated or of wrong length")
            packet.home_source = data[at + 2 : at + 18]
        at += 2 + data[at + 1]
