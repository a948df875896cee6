"""Capture files in the pcapng format, as Wireshark and tcpdump read them. Octets only, no file.

The format is draft-ietf-opsawg-pcapng: a section header, an interface description for each
service, an enhanced packet for each message, and interface statistics at the end. Mobility messages are raw
IP packets (LINKTYPE_RAW, 101); the IP header in front of a message is made here, because the socket that
the message went through did not show it: hop limit and traffic class are not those of the wire.

A Diameter message went by a stream that it shared with others, or by TLS. It is written alone, as an exported
PDU (LINKTYPE_WIRESHARK_UPPER_PDU, 252): its dissector's name, its addresses and ports, then its octets.
"""

from struct import Struct

from appliance.protocols.bits import internet_checksum, pseudo_header
from appliance.tap import INBOUND, TappedDiameter, TappedMessage

LINKTYPE_RAW, LINKTYPE_UPPER_PDU = 101, 252
#: Longest packet that is kept whole, which is what Wireshark reads. A mobility message has at most 4096
#: octets as we read it; a longer Diameter message is cut.
SNAP_LENGTH = 262_144

_SECTION, _INTERFACE, _PACKET, _STATISTICS = 0x0A0D0D0A, 1, 6, 5
_BYTE_ORDER = 0x1A2B3C4D
_END, _COMMENT = 0, 1
_SHB_USER_APPLICATION = 4
_IF_NAME, _IF_DESCRIPTION, _IF_TSRESOL = 2, 3, 9
_EPB_FLAGS = 2
_ISB_START, _ISB_END, _ISB_RECEIVED, _ISB_DROPPED = 2, 3, 4, 5
_MICROSECONDS = 6

_OPTION = Struct("<HH")
_LENGTHS = Struct("<II")
_IPV6 = Struct(">IHBB16s16s")
_IPV4 = Struct(">BBHHHBBH4s4s")
_UDP = Struct(">HHHH")
_MOBILITY_HEADER, _UDP_PROTOCOL, _PMIPV6_PORT = 135, 17, 5436
_HOP_LIMIT = 64

# Tags of exported PDUs, as Wireshark's epan/exported_pdu.h has them.
_TAG = Struct(">HH")
_TAG_DISSECTOR, _TAG_IPV4, _TAG_IPV6, _TAG_PORT_TYPE, _TAG_PORT = 12, 20, 22, 24, 25
_PORT_SCTP, _PORT_TCP = 1, 2


def _option(code: int, value: bytes) -> bytes:
    return _OPTION.pack(code, len(value)) + value + bytes(-len(value) % 4)


def _options(*options: bytes) -> bytes:
    return b"".join(options) + _OPTION.pack(_END, 0)


def _block(kind: int, body: bytes) -> bytes:
    length = len(body) + 12
    return _LENGTHS.pack(kind, length) + body + length.to_bytes(4, "little")


def _time(wall: float) -> bytes:
    """A time in microseconds since 1970, the upper half first."""
    value = round(wall * 1_000_000)
    return _LENGTHS.pack(value >> 32 & 0xFFFF_FFFF, value & 0xFFFF_FFFF)


def section(application: str, comment: str = "") -> bytes:
    """The start of a file: ``application`` is who writes it, ``comment`` what is in it."""
    body = _BYTE_ORDER.to_bytes(4, "little") + b"\1\0\0\0" + b"\xff" * 8
    options = [_option(_COMMENT, comment.encode())] if comment else []
    options.append(_option(_SHB_USER_APPLICATION, application.encode()))
    return _block(_SECTION, body + _options(*options))


def interface(name: str, description: str, linktype: int = LINKTYPE_RAW) -> bytes:
    """An interface; the first one in the file has number 0, the next 1."""
    body = linktype.to_bytes(2, "little") + bytes(2) + SNAP_LENGTH.to_bytes(4, "little")
    return _block(
        _INTERFACE,
        body
        + _options(
            _option(_IF_NAME, name.encode()),
            _option(_IF_DESCRIPTION, description.encode()),
            _option(_IF_TSRESOL, bytes((_MICROSECONDS,))),
        ),
    )


def packet(number: int, wall: float, data: bytes, inbound: bool) -> bytes:
    """A packet that interface ``number`` saw at ``wall`` (seconds since 1970), from its first header on."""
    kept = data[:SNAP_LENGTH]
    body = number.to_bytes(4, "little") + _time(wall) + _LENGTHS.pack(len(kept), len(data))
    flags = _option(_EPB_FLAGS, (1 if inbound else 2).to_bytes(4, "little"))
    return _block(_PACKET, body + kept + bytes(-len(kept) % 4) + _options(flags))


def statistics(number: int, start: float, end: float, received: int, dropped: int) -> bytes:
    """The counts of an interface over a time: messages that there were, and those not in the file."""
    return _block(
        _STATISTICS,
        number.to_bytes(4, "little")
        + _time(end)
        + _options(
            _option(_ISB_START, _time(start)),
            _option(_ISB_END, _time(end)),
            _option(_ISB_RECEIVED, received.to_bytes(8, "little")),
            _option(_ISB_DROPPED, dropped.to_bytes(8, "little")),
        ),
    )


def ip_packet(message: TappedMessage) -> bytes:
    """The IP packet of a mobility message: IPv6 with Next Header 135, or IPv4 and UDP with port 5436.

    The checksum inside the message stays as it was; those of IPv4 and UDP are made here.
    """
    data, source, destination = message.data, message.source, message.destination
    if len(source) == 16:
        head = _IPV6.pack(6 << 28, len(data), _MOBILITY_HEADER, _HOP_LIMIT, source, destination)
        return head + data
    ours, peer = _PMIPV6_PORT, message.port
    ports = (peer, ours) if message.direction == INBOUND else (ours, peer)
    length = 8 + len(data)
    covered = pseudo_header(source, destination, length, _UDP_PROTOCOL) + _UDP.pack(*ports, length, 0) + data
    # RFC 768: a sum of zero is sent as all ones, zero means that there is none.
    udp = _UDP.pack(*ports, length, internet_checksum(covered) or 0xFFFF)
    fields = (0x45, 0, 20 + length, 0, 0, _HOP_LIMIT, _UDP_PROTOCOL)
    head = _IPV4.pack(
        *fields, internet_checksum(_IPV4.pack(*fields, 0, source, destination)), source, destination
    )
    return head + udp + data


def exported_pdu(message: TappedDiameter) -> bytes:
    """A Diameter message with the tags of an exported PDU in front."""
    tags = [_tag(_TAG_DISSECTOR, b"diameter")]
    for place, address in enumerate((message.source, message.destination)):
        tags.append(_tag((_TAG_IPV6 if len(address) == 16 else _TAG_IPV4) + place, address))
    carrier = _PORT_SCTP if message.transport in ("sctp", "dtls") else _PORT_TCP
    tags.append(_tag(_TAG_PORT_TYPE, carrier.to_bytes(4, "big")))
    for place, port in enumerate((message.source_port, message.destination_port)):
        tags.append(_tag(_TAG_PORT + place, port.to_bytes(4, "big")))
    return b"".join(tags) + _TAG.pack(0, 0) + message.data


def _tag(number: int, value: bytes) -> bytes:
    padded = value + bytes(-len(value) % 4)
    return _TAG.pack(number, len(padded)) + padded
