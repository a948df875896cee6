"""IPv4 and IPv6 packets as octets: what a tunnel end has to read in, and change of, a packet.

Pure functions on complete packets (``bytes`` from the IP header on). Nothing here
raises for any octets; what cannot be read gives ``None`` or ``False``.
"""

import struct

from appliance.protocols.bits import internet_checksum, ones_complement_sum, pseudo_header

ICMP4, IPIP, TCP, UDP, IPV6, ROUTING, FRAGMENT, GRE, ICMP6, DESTINATION_OPTIONS, HOP_BY_HOP = (
    1, 4, 6, 17, 41, 43, 44, 47, 58, 60, 0,
)  # fmt: skip
NO_NEXT_HEADER = 59

ECN_MASK = 3
ECN_CE = 3
#: RFC 8200 section 5: every link carries packets of this size whole.
IPV6_MINIMUM_MTU = 1280
#: RFC 4443 section 2.4(c): an error quotes no more than fits this size.
ICMP6_LARGEST = 1280
#: RFC 1812 section 4.3.2.3: an ICMPv4 error stays within 576 octets.
ICMP4_LARGEST = 576
DEFAULT_HOP_LIMIT = 64


def version(packet: bytes) -> int:
    """The IP version nibble of ``packet``; 0 for no octets at all."""
    return packet[0] >> 4 if packet else 0


def length_fits(packet: bytes) -> bool:
    """Whether the length in the IP header is exactly the length of ``packet``."""
    size = len(packet)
    if size >= 40 and packet[0] >> 4 == 6:
        return 40 + (packet[4] << 8 | packet[5]) == size
    if size >= 20 and packet[0] >> 4 == 4:
        header = (packet[0] & 15) * 4
        return 20 <= header <= size == packet[2] << 8 | packet[3]
    return False


def trimmed(packet: bytes) -> bytes | None:
    """``packet`` without the padding a link may have added; ``None`` if it is cut off or no IP."""
    size = len(packet)
    if size >= 40 and packet[0] >> 4 == 6:
        total = 40 + (packet[4] << 8 | packet[5])
    elif size >= 20 and packet[0] >> 4 == 4:
        total = packet[2] << 8 | packet[3]
        if not 20 <= (packet[0] & 15) * 4 <= total:
            return None
    else:
        return None
    if total == size:
        return packet
    return packet[:total] if total < size else None


def addresses(packet: bytes) -> tuple[bytes, bytes]:
    """Packed source and destination of a packet whose header is known to be whole."""
    if packet[0] >> 4 == 6:
        return packet[8:24], packet[24:40]
    return packet[12:16], packet[16:20]


def link_scope(address: bytes) -> bool:
    """Whether a packet with this source must stay on its link: link-local or unspecified."""
    if len(address) == 16:
        return (address[0] == 0xFE and address[1] & 0xC0 == 0x80) or not any(address)
    return address[:2] == b"\xa9\xfe" or address[0] == 0


def group(address: bytes) -> bool:
    """Whether the address names more than one host: multicast or broadcast."""
    if len(address) == 16:
        return address[0] == 0xFF
    return 224 <= address[0] < 240 or address == b"\xff\xff\xff\xff"


def transport(packet: bytes) -> tuple[int, int] | None:
    """Protocol number and offset of what follows the IP header and its extension headers.

    RFC 8200 section 4: hop-by-hop, destination options, routing and fragment headers are
    walked. ``None`` if the chain is cut off, or the packet is not the first fragment.
    """
    size = len(packet)
    if size >= 20 and packet[0] >> 4 == 4:
        if (packet[6] << 8 | packet[7]) & 0x1FFF:
            return None
        return packet[9], (packet[0] & 15) * 4
    if size < 40 or packet[0] >> 4 != 6:
        return None
    following, offset = packet[6], 40
    while following in (HOP_BY_HOP, DESTINATION_OPTIONS, ROUTING, FRAGMENT):
        if offset + 8 > size:
            return None
        if following == FRAGMENT:
            if (packet[offset + 2] << 8 | packet[offset + 3]) & 0xFFF8:
                return None
            step = 8
        else:
            step = 8 * (packet[offset + 1] + 1)
        following, offset = packet[offset], offset + step
        if offset > size:
            return None
    return following, offset


def traffic_class(packet: bytes) -> int:
    """Traffic class (IPv6) or TOS octet (IPv4)."""
    if packet[0] >> 4 == 6:
        return (packet[0] << 4 | packet[1] >> 4) & 0xFF
    return packet[1]


def outer_traffic_class(inner: int, configured: int | None) -> int:
    """Traffic class of an outer header around a packet with traffic class ``inner``.

    RFC 2473 section 6.4: copied, or as configured. RFC 3168 section 9.1.1, full
    functionality: the ECT codepoint is copied, and CE goes out as ECT(0).
    """
    ecn = inner & ECN_MASK
    if ecn == ECN_CE:
        ecn = 2
    return ((inner if configured is None else configured) & 0xFC) | ecn


def congested(packet: bytes) -> bytes | None:
    """``packet`` after its tunnel said Congestion Experienced.

    RFC 3168 section 9.1.1: an ECN-capable inner packet becomes CE; one that is not
    ECN-capable cannot carry the mark, so it is dropped (``None``).
    """
    ecn = traffic_class(packet) & ECN_MASK
    if ecn == 0:
        return None
    if ecn == ECN_CE:
        return packet
    if packet[0] >> 4 == 6:
        return packet[:1] + bytes((packet[1] | ECN_CE << 4,)) + packet[2:]
    changed = bytearray(packet)
    changed[1] |= ECN_CE
    refresh_ipv4_checksum(changed)
    return bytes(changed)


def refresh_ipv4_checksum(packet: bytearray) -> None:
    """Compute the header checksum of an IPv4 packet anew, in place (RFC 791 section 3.1)."""
    size = (packet[0] & 15) * 4
    packet[10:12] = b"\0\0"
    struct.pack_into(">H", packet, 10, internet_checksum(bytes(packet[:size])))


def hop_limit(packet: bytes) -> int:
    """Hop limit (IPv6) or TTL (IPv4)."""
    return packet[7] if packet[0] >> 4 == 6 else packet[8]


def forwarded(packet: bytes) -> bytes | None:
    """``packet`` with its hop limit one lower; ``None`` when it may not go on (RFC 8200 section 3)."""
    if packet[0] >> 4 == 6:
        left = packet[7]
        if left <= 1:
            return None
        return b"".join((packet[:7], bytes((left - 1,)), packet[8:]))
    left = packet[8]
    if left <= 1:
        return None
    # RFC 1624: one less in the high octet of a word raises the checksum by 0x0100, end-around carry.
    check = (packet[10] << 8 | packet[11]) + 0x0100
    check = (check & 0xFFFF) + (check >> 16)
    return b"".join((packet[:8], bytes((left - 1, packet[9])), check.to_bytes(2, "big"), packet[12:]))


def ipv6_packet(
    source: bytes,
    destination: bytes,
    protocol: int,
    payload: bytes,
    hops: int = DEFAULT_HOP_LIMIT,
    tos: int = 0,
) -> bytes:
    """A whole IPv6 packet; flow label 0 (RFC 2473 section 3.1 sets it so by default)."""
    head = struct.pack(">IHBB", 6 << 28 | tos << 20, len(payload), protocol, hops)
    return b"".join((head, source, destination, payload))


def ipv4_packet(
    source: bytes,
    destination: bytes,
    protocol: int,
    payload: bytes,
    hops: int = DEFAULT_HOP_LIMIT,
    tos: int = 0,
    dont_fragment: bool = False,
) -> bytes:
    """A whole IPv4 packet without options, header checksum in place, identification 0."""
    fragment = 0x4000 if dont_fragment else 0
    head = bytearray(struct.pack(">BBHHHBBH", 0x45, tos, 20 + len(payload), 0, fragment, hops, protocol, 0))
    head += source + destination
    struct.pack_into(">H", head, 10, internet_checksum(bytes(head)))
    return bytes(head) + payload


def fragments(following: int, payload: bytes, mtu: int, identification: int) -> list[bytes]:
    """What follows the IPv6 headers of the fragments of a packet: Fragment header and part of the payload.

    RFC 8200 section 4.5: ``following`` is the first header of ``payload``, ``mtu`` the size of the whole
    packets with their 40 octets of IPv6 header, at least 1280.
    """
    step = (mtu - 48) & ~7
    return [
        struct.pack(">BBHI", following, 0, at | (at + step < len(payload)), identification)
        + payload[at : at + step]
        for at in range(0, len(payload), step)
    ]


def answerable(packet: bytes) -> bool:
    """Whether an ICMP error may be sent about ``packet``.

    RFC 4443 section 2.4(e) and RFC 1122 section 3.2.2: never about an ICMP error, a
    packet to or from more than one host, or any fragment but the first.
    """
    if not (len(packet) >= 40 if version(packet) == 6 else len(packet) >= 20 and version(packet) == 4):
        return False
    source, destination = addresses(packet)
    if link_scope(source) or group(source) or group(destination):
        return False
    found = transport(packet)
    if found is None:
        return False
    protocol, offset = found
    if offset >= len(packet):
        return protocol not in (ICMP4, ICMP6)
    if protocol == ICMP6:
        return packet[offset] >= 128
    if protocol == ICMP4:
        return packet[offset] in (0, 8, 13, 14, 17, 18)
    return True


def icmp6_error(kind: int, code: int, value: int, about: bytes, source: bytes, destination: bytes) -> bytes:
    """An ICMPv6 error message from its type octet, checksum in place (RFC 4443 section 3).

    ``value`` is the 32-bit field behind the checksum: MTU, pointer or 0. ``about`` is the
    packet that caused it; as much is quoted as keeps the whole within 1280 octets.
    """
    quoted = about[: ICMP6_LARGEST - 48]
    head = struct.pack(">BBHI", kind, code, 0, value)
    pseudo = pseudo_header(source, destination, 8 + len(quoted), ICMP6)
    check = internet_checksum(pseudo + head + quoted)
    return head[:2] + check.to_bytes(2, "big") + head[4:] + quoted


def icmp4_error(kind: int, code: int, value: int, about: bytes) -> bytes:
    """An ICMPv4 error message, checksum in place (RFC 792; next-hop MTU in ``value``: RFC 1191)."""
    quoted = about[: ICMP4_LARGEST - 28]
    head = struct.pack(">BBHI", kind, code, 0, value)
    check = internet_checksum(head + quoted)
    return head[:2] + check.to_bytes(2, "big") + head[4:] + quoted


def checksum_good(packet: bytes) -> bool:
    """Whether the TCP, UDP or ICMP checksum of a whole, unfragmented packet is right."""
    found = transport(packet)
    if found is None or not length_fits(packet):
        return False
    protocol, offset = found
    source, destination = addresses(packet)
    body = packet[offset:]
    if protocol == ICMP4:
        return ones_complement_sum(body) in (0, 0xFFFF)
    pseudo = pseudo_header(source, destination, len(body), protocol)
    return ones_complement_sum(pseudo + body) in (0, 0xFFFF)


def tunnel_broken(outer: int, kind: int, code: int) -> bool:
    """Whether an ICMP error says that the tunnel is broken; port unreachable: only that nobody listens."""
    if outer == 6:
        return kind in (3, 4) or (kind == 1 and code != 4)
    return kind == 11 or (kind == 3 and code != 3)
