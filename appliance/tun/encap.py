"""The table of encapsulations: everything that differs between them stands in one row.

::

    outer IP header | transport (UDP)? | shim (TLV)? (GRE)? | inner packet

The kernel writes the outer IP and UDP headers of what we send, and takes them off what
we receive; the shim is ours. ``build`` and ``parse`` of whole packets serve the tests,
the tools and the reading of packets quoted in ICMP errors.

Sources: RFC 2473 (IPv6 tunnels), RFC 2003, RFC 4213 (IPv4 outside), RFC 2784, RFC 2890, RFC 7676 (GRE),
RFC 5844 section 4.1 (UDP port 5437), RFC 5845 section 7.2 (TLV header).
"""

import struct
from typing import NamedTuple

from attrs import define

from appliance.protocols.bits import internet_checksum, ones_complement_sum, pseudo_header
from appliance.tun import packet as ip

#: RFC 5844 section 4.1: user data over IPv4 and UDP.
DATA_PORT = 5437
#: RFC 5555 section 2.3.2.2: signalling and data of hosts over IPv4 and UDP.
HOST_PORT = 4191
PROTOCOL_ERROR = "protocol-type-error"
LENGTH_ERROR = "invalid-pkt-length"
#: RFC 2473 section 4.1.1: Tunnel Encapsulation Limit, a destination option.
LIMIT_OPTION = 4

_GRE_CHECKSUM, _GRE_KEY, _GRE_SEQUENCE = 0x8000, 0x2000, 0x1000
#: RFC 2784 section 2.2: bits 1..5 must be 0 (bits 2 and 3 were given a meaning by RFC 2890), version is 0.
_GRE_REFUSED = 0x4000 | 0x0C00 | 0x0007
_GRE_TYPES = {0x0800: 4, 0x86DD: 6}
_GRE_TYPE_OF = {4: 0x0800, 6: 0x86DD}


# Rows are compared and hashed by identity: a hash over the fields would be made per packet.
@define(slots=True, frozen=True, eq=False)
class Encapsulation:
    """One row of the table."""

    name: str
    """As the statistics print it."""
    counter: str
    """Last part of the counter keys, for packets and octets, received and sent."""
    outer: int
    """Version of the outer IP header, 4 or 6."""
    protocol: int
    """Protocol number or Next Header value in it."""
    inner: int
    """Version of the packet inside."""
    gre: bool = False
    tlv: bool = False

    def overhead(self, keyed: bool) -> int:
        """Octets in front of the inner packet; ``keyed``: GRE with a key."""
        return (
            (40 if self.outer == 6 else 20)
            + (8 if self.protocol == ip.UDP else 0)
            + (4 if self.tlv else 0)
            + ((8 if keyed else 4) if self.gre else 0)
        )

    def shim(self, size: int, key: int | None) -> bytes:
        """What stands between the outer IP or UDP header and an inner packet of ``size`` octets."""
        gre = b""
        if self.gre:
            # RFC 2784 section 2.1, RFC 2890 section 2: no checksum, no sequence number.
            flags = 0 if key is None else _GRE_KEY
            gre = struct.pack(">HH", flags, _GRE_TYPE_OF[self.inner])
            if key is not None:
                gre += key.to_bytes(4, "big")
        if not self.tlv:
            return gre
        following = ip.GRE if self.gre else (ip.IPIP if self.inner == 4 else ip.IPV6)
        # RFC 5845 section 7.2: four bits 0, four reserved, next header, length of what follows.
        return struct.pack(">BBH", 0, following, len(gre) + size) + gre

    def build(
        self, local: bytes, peer: bytes, inner: bytes, key: int | None = None, tos: int = 0,
        hops: int = ip.DEFAULT_HOP_LIMIT,
    ) -> bytes:  # fmt: skip
        """The whole outer packet around ``inner``; addresses are packed octets of the outer family."""
        body = self.shim(len(inner), key) + inner
        if self.protocol == ip.UDP:
            head = struct.pack(">HHHH", DATA_PORT, DATA_PORT, 8 + len(body), 0)
            pseudo = pseudo_header(local, peer, 8 + len(body), ip.UDP)
            # RFC 768: zero would mean "no checksum".
            check = internet_checksum(pseudo + head + body) or 0xFFFF
            body = head[:6] + check.to_bytes(2, "big") + body
        if self.outer == 6:
            return ip.ipv6_packet(local, peer, self.protocol, body, hops, tos)
        # RFC 2003 section 3.1: DF is copied from an IPv4 packet inside.
        dont_fragment = self.inner == 4 and bool(inner[6] & 0x40)
        return ip.ipv4_packet(local, peer, self.protocol, body, hops, tos, dont_fragment)


ENCAPSULATIONS: tuple[Encapsulation, ...] = (
    Encapsulation("6in6", "6in6", 6, ip.IPV6, 6),
    Encapsulation("4in6", "4in6", 6, ip.IPIP, 4),
    Encapsulation("IPv6 GRE (IPv4)", "ipv6-gre-ipv4", 6, ip.GRE, 4, gre=True),
    Encapsulation("IPv6 GRE (IPv6)", "ipv6-gre-ipv6", 6, ip.GRE, 6, gre=True),
    Encapsulation("4in4", "4in4", 4, ip.IPIP, 4),
    Encapsulation("6in4", "6in4", 4, ip.IPV6, 6),
    Encapsulation("IPv4 UDP (IPv4)", "ipv4-udp-ipv4", 4, ip.UDP, 4),
    Encapsulation("IPv4 UDP (IPv6)", "ipv4-udp-ipv6", 4, ip.UDP, 6),
    # The statistics have no line of their own for these.
    Encapsulation("IPv4 GRE (IPv4)", "ipv4-gre", 4, ip.GRE, 4, gre=True),
    Encapsulation("IPv4 GRE (IPv6)", "ipv4-gre", 4, ip.GRE, 6, gre=True),
    Encapsulation("IPv4 UDP TLV (IPv4)", "ipv4-udp-ipv4", 4, ip.UDP, 4, tlv=True),
    Encapsulation("IPv4 UDP TLV (IPv6)", "ipv4-udp-ipv6", 4, ip.UDP, 6, tlv=True),
    Encapsulation("IPv4 UDP TLV GRE (IPv4)", "ipv4-udp-ipv4", 4, ip.UDP, 4, gre=True, tlv=True),
    Encapsulation("IPv4 UDP TLV GRE (IPv6)", "ipv4-udp-ipv6", 4, ip.UDP, 6, gre=True, tlv=True),
)

_BY_FORM = {(row.outer, row.protocol == ip.UDP, row.gre, row.tlv, row.inner): row for row in ENCAPSULATIONS}


def choose(outer: int, gre: bool, udp: bool, inner: int, tlv: bool = False) -> Encapsulation:
    """The row for a session: outer version, agreed GRE, UDP, version of the packet inside, agreed TLV header.

    RFC 5845 section 7.1: GRE over UDP always goes behind the TLV header, plain IP only if that was agreed.
    Over IPv6 there is no UDP form, so ``udp`` is ignored there.
    """
    over_udp = udp and outer == 4
    return _BY_FORM[outer, over_udp, gre, over_udp and (gre or tlv), inner]


class Opened(NamedTuple):
    """What was found behind an outer header."""

    row: Encapsulation
    offset: int
    """Where the inner packet starts."""
    key: int | None
    limit: int | None = None
    """Tunnel Encapsulation Limit, if the packet had one."""


def open_payload(outer: int, protocol: int, data: bytes) -> Opened | str:
    """Read what follows an outer IP (and UDP) header; a text names the error counter.

    ``protocol``: 4, 41, 47 or 17 (then ``data`` starts behind the UDP header). The inner
    packet is checked for its version and length.
    """
    if protocol == ip.UDP:
        return _open_udp(outer, data)
    if protocol == ip.GRE:
        return _open_gre(outer, data, 0, udp=False, tlv=False)
    inner = {ip.IPIP: 4, ip.IPV6: 6}.get(protocol)
    if inner is None:
        return PROTOCOL_ERROR
    return _opened(outer, data, 0, inner, None)


def _open_udp(outer: int, data: bytes) -> Opened | str:
    nibble = data[0] >> 4 if data else 0
    if nibble in (4, 6):
        return _opened(outer, data, 0, nibble, None, udp=True)
    if nibble:
        return PROTOCOL_ERROR
    # RFC 5845 section 7.2: the TLV header; its length must be what UDP leaves.
    if len(data) < 4 or (data[2] << 8 | data[3]) != len(data) - 4:
        return LENGTH_ERROR
    following = data[1]
    if following == ip.GRE:
        return _open_gre(outer, data, 4, udp=True, tlv=True)
    inner = {ip.IPIP: 4, ip.IPV6: 6}.get(following)
    if inner is None:
        return PROTOCOL_ERROR
    return _opened(outer, data, 4, inner, None, udp=True, tlv=True)


def _open_gre(outer: int, data: bytes, offset: int, udp: bool, tlv: bool) -> Opened | str:
    if len(data) < offset + 4:
        return LENGTH_ERROR
    flags, kind = struct.unpack_from(">HH", data, offset)
    if flags & _GRE_REFUSED:
        return PROTOCOL_ERROR
    end = offset + 4 + sum(4 for bit in (_GRE_CHECKSUM, _GRE_KEY, _GRE_SEQUENCE) if flags & bit)
    if len(data) < end:
        return LENGTH_ERROR
    at = offset + 4
    if flags & _GRE_CHECKSUM:
        # RFC 2784 section 2.3: over the GRE header and the payload.
        if ones_complement_sum(data[offset:]) not in (0, 0xFFFF):
            return LENGTH_ERROR
        at += 4
    key = int.from_bytes(data[at : at + 4], "big") if flags & _GRE_KEY else None
    inner = _GRE_TYPES.get(kind)
    if inner is None:
        return PROTOCOL_ERROR
    return _opened(outer, data, end, inner, key, udp=udp, gre=True, tlv=tlv)


def _opened(
    outer: int, data: bytes, offset: int, inner: int, key: int | None,
    udp: bool = False, gre: bool = False, tlv: bool = False,
) -> Opened | str:  # fmt: skip
    row = _BY_FORM.get((outer, udp, gre, tlv, inner))
    if row is None:
        return PROTOCOL_ERROR
    packet = data[offset:] if offset else data
    if not packet:
        return LENGTH_ERROR
    if packet[0] >> 4 != inner:
        return PROTOCOL_ERROR
    if not ip.length_fits(packet):
        return LENGTH_ERROR
    return Opened(row, offset, key)


def parse(packet: bytes) -> Opened | str:
    """Read a whole tunnel packet from its outer IP header on; a text names the error counter.

    IPv6 extension headers are walked: RFC 2473 section 3.1 lets a Destination Options header with a
    Tunnel Encapsulation Limit stand before the inner packet.
    """
    if not ip.length_fits(packet):
        return LENGTH_ERROR
    found = ip.transport(packet)
    if found is None:
        return LENGTH_ERROR
    protocol, offset = found
    outer = packet[0] >> 4
    if protocol == ip.UDP:
        if len(packet) < offset + 8 or (packet[offset + 4] << 8 | packet[offset + 5]) != len(packet) - offset:
            return LENGTH_ERROR
        if (packet[offset + 2] << 8 | packet[offset + 3]) != DATA_PORT:
            return PROTOCOL_ERROR
        offset += 8
    opened = open_payload(outer, protocol, packet[offset:])
    if isinstance(opened, str):
        return opened
    limit = encapsulation_limit(packet) if outer == 6 else None
    return Opened(opened.row, offset + opened.offset, opened.key, limit)


def encapsulation_limit(packet: bytes) -> int | None:
    """The Tunnel Encapsulation Limit of an IPv6 packet, or ``None`` (RFC 2473 section 4.1.1)."""
    if len(packet) < 40:
        return None
    following, offset = packet[6], 40
    while following in (ip.HOP_BY_HOP, ip.ROUTING, ip.DESTINATION_OPTIONS) and offset + 8 <= len(packet):
        end = offset + 8 * (packet[offset + 1] + 1)
        if following == ip.DESTINATION_OPTIONS:
            at = limit_position(packet, offset, end)
            if at:
                return packet[at]
        following, offset = packet[offset], end
    return None


def limit_header(following: int, limit: int) -> bytes:
    """Destination Options with a Tunnel Encapsulation Limit and PadN (RFC 2473 section 5.1)."""
    return bytes((following, 0, LIMIT_OPTION, 1, limit, 1, 1, 0))


def limit_position(packet: bytes, start: int, end: int) -> int:
    """Where in ``packet`` the limit octet stands within the options header ``start``..``end``; 0 if not."""
    at, end = start + 2, min(end, len(packet))
    while at < end:
        if packet[at] == 0:
            at += 1
            continue
        if at + 2 > end:
            return 0
        if packet[at] == LIMIT_OPTION and packet[at + 1] == 1 and at + 2 < end:
            return at + 2
        at += 2 + packet[at + 1]
    return 0


def quoted_inner(quoted: bytes) -> bytes | None:
    """The inner packet (cut off or not) in a tunnel packet quoted by an ICMP error."""
    found = ip.transport(quoted)
    if found is None:
        return None
    protocol, offset = found
    if protocol == ip.UDP:
        offset += 8
        if quoted[offset : offset + 1] and quoted[offset] >> 4 == 0:
            protocol, offset = (quoted[offset + 1] if len(quoted) > offset + 1 else 0), offset + 4
    if protocol == ip.GRE and len(quoted) > offset + 4:
        flags = quoted[offset]
        offset += 4 + sum(4 for bit in (0x80, 0x20, 0x10) if flags & bit)
    inner = quoted[offset:]
    if (ip.version(inner) == 6 and len(inner) >= 40) or (ip.version(inner) == 4 and len(inner) >= 20):
        return inner
    return None
