"""Neighbor Discovery on Ethernet, as far as a router needs it (RFC 4861), and MLD reports.

Reading is strict about what RFC 4861 says must be checked and lenient about unknown
options; it raises :class:`DecodeError` for octets that are wrong and returns ``None``
for a sound frame that is none of our business.
"""

from collections.abc import Callable
from struct import Struct
from typing import TypeAlias

from attrs import define

from appliance.protocols.bits import DecodeError, internet_checksum, pseudo_header

ETHERTYPE_IPV6 = 0x86DD
ETHERTYPE_ARP = 0x0806
HEADER = 14
"""Octets of an Ethernet header."""

MULTICAST_LISTENER_REPORT = 131
ROUTER_SOLICITATION = 133
ROUTER_ADVERTISEMENT = 134
NEIGHBOR_SOLICITATION = 135
NEIGHBOR_ADVERTISEMENT = 136
MULTICAST_LISTENER_REPORT_V2 = 143

UNSPECIFIED = bytes(16)
ALL_NODES = bytes.fromhex("ff020000000000000000000000000001")

NA_ROUTER, NA_SOLICITED, NA_OVERRIDE = 0x80, 0x40, 0x20

_IPV6 = 40
_ICMPV6 = 58
_ETHERNET = Struct("!6s6sH")
_IPV6_HEADER = Struct("!IHBB16s16s")
_RA_FIXED = Struct("!BBHBBHII")
_PREFIX = Struct("!BBBBIII16s")
_MTU = Struct("!BBHI")
_SOURCE_LINK_LAYER, _TARGET_LINK_LAYER, _PREFIX_INFORMATION, _MTU_OPTION = 1, 2, 3, 5


@define(slots=True)
class RouterSolicitation:
    """RFC 4861 section 4.1. ``link_layer``: source link-layer address option, or empty."""

    link_layer: bytes = b""


@define(slots=True)
class PrefixInformation:
    """RFC 4861 section 4.6.2; always on-link and autonomous when we send it. Lifetimes in seconds."""

    prefix: bytes
    prefix_length: int
    valid_lifetime: int
    preferred_lifetime: int
    on_link: bool = True
    autonomous: bool = True


@define(slots=True)
class RouterAdvertisement:
    """RFC 4861 section 4.2. Router lifetime in seconds; ``mtu`` 0: no MTU option."""

    router_lifetime: int
    prefixes: tuple[PrefixInformation, ...] = ()
    mtu: int = 0
    link_layer: bytes = b""
    hop_limit: int = 64


@define(slots=True)
class NeighborSolicitation:
    """RFC 4861 section 4.3."""

    target: bytes
    link_layer: bytes = b""


@define(slots=True)
class NeighborAdvertisement:
    """RFC 4861 section 4.4; ``flags`` is the first octet after the checksum (R, S, O)."""

    target: bytes
    flags: int
    link_layer: bytes = b""


@define(slots=True)
class ListenerReport:
    """An MLD report of version 1 or 2 (RFC 2710, RFC 3810): a host tells what it listens to."""


Message: TypeAlias = (
    RouterSolicitation | RouterAdvertisement | NeighborSolicitation | NeighborAdvertisement | ListenerReport
)


@define(slots=True)
class Received:
    """One message with the addresses that it came with."""

    link_source: bytes
    link_destination: bytes
    source: bytes
    destination: bytes
    message: Message


def is_link_local(address: bytes) -> bool:
    """Tell whether packed IPv6 ``address`` is in fe80::/10."""
    return len(address) == 16 and address[0] == 0xFE and address[1] & 0xC0 == 0x80


def solicited_node(address: bytes) -> bytes:
    """Give the solicited-node multicast address of ``address`` (RFC 4291 section 2.7.1)."""
    return bytes.fromhex("ff0200000000000000000001ff") + address[13:]


def ethertype(frame: bytes) -> int:
    """Give the Ethernet type of ``frame``; DecodeError when it has no whole header."""
    if len(frame) < HEADER:
        raise DecodeError(f"Ethernet frame of {len(frame)} octets")
    return frame[12] << 8 | frame[13]


def parse(frame: bytes) -> Received | None:
    """Read a whole Ethernet ``frame`` that carries IPv6.

    Gives ``None`` for anything but the five message kinds above. Raises DecodeError for wrong
    lengths or checksums and for what RFC 4861 sections 6.1 and 7.1 say must be discarded.
    """
    if ethertype(frame) != ETHERTYPE_IPV6:
        return None
    if len(frame) < HEADER + _IPV6:
        raise DecodeError("IPv6 header cut short")
    link_destination, link_source, _ = _ETHERNET.unpack_from(frame)
    first, length, following, hop_limit, source, destination = _IPV6_HEADER.unpack_from(frame, HEADER)
    if first >> 28 != 6:
        raise DecodeError("not IP version 6")
    start, end = HEADER + _IPV6, HEADER + _IPV6 + length
    if end > len(frame):
        raise DecodeError("IPv6 payload cut short")
    if following == 0:  # Hop-by-Hop Options with Router Alert: how MLD travels (RFC 3810 section 5)
        if end - start < 8:
            raise DecodeError("Hop-by-Hop Options header cut short")
        following, start = frame[start], start + 8 * (frame[start + 1] + 1)
    if following != _ICMPV6:
        return None
    if end - start < 8:
        raise DecodeError("ICMPv6 message cut short")
    body = frame[start:end]
    if internet_checksum(pseudo_header(source, destination, len(body), _ICMPV6) + body) != 0:
        raise DecodeError("ICMPv6 checksum is wrong")
    message = _message(body, hop_limit, source, destination)
    return None if message is None else Received(link_source, link_destination, source, destination, message)


def _message(body: bytes, hop_limit: int, source: bytes, destination: bytes) -> Message | None:
    kind = body[0]
    if kind in (MULTICAST_LISTENER_REPORT, MULTICAST_LISTENER_REPORT_V2):
        return ListenerReport()
    reader = _READERS.get(kind)
    if reader is None:
        return None
    # RFC 4861 sections 6.1.1, 6.1.2, 7.1.1, 7.1.2: nothing that a router forwarded, code 0.
    if hop_limit != 255:
        raise DecodeError(f"Neighbor Discovery message with hop limit {hop_limit}")
    if body[1] != 0:
        raise DecodeError(f"Neighbor Discovery message with code {body[1]}")
    return reader(body, source, destination)


def _options(body: bytes, offset: int) -> list[tuple[int, bytes]]:
    """Split options into (type, whole option); length 0 or past the end is an error (section 4.6)."""
    found = []
    while offset < len(body):
        if offset + 2 > len(body):
            raise DecodeError("option cut short")
        size = body[offset + 1] * 8
        if size == 0 or offset + size > len(body):
            raise DecodeError("option length is wrong")
        found.append((body[offset], body[offset : offset + size]))
        offset += size
    return found


def _link_layer(options: list[tuple[int, bytes]], kind: int) -> bytes:
    """Give the Ethernet address of the first link-layer address option of ``kind`` (RFC 2464 section 6)."""
    for found, option in options:
        if found == kind:
            if len(option) != 8:
                raise DecodeError("link-layer address option is not of Ethernet size")
            return option[2:]
    return b""


def _router_solicitation(body: bytes, source: bytes, _destination: bytes) -> RouterSolicitation:
    link_layer = _link_layer(_options(body, 8), _SOURCE_LINK_LAYER)
    if source == UNSPECIFIED and link_layer:
        raise DecodeError("Router Solicitation from :: with a source link-layer address")
    return RouterSolicitation(link_layer)


def _router_advertisement(body: bytes, source: bytes, _destination: bytes) -> RouterAdvertisement:
    if len(body) < 16:
        raise DecodeError("Router Advertisement cut short")
    if not is_link_local(source):
        raise DecodeError("Router Advertisement not from a link-local address")
    options = _options(body, 16)
    prefixes = []
    mtu = 0
    for kind, option in options:
        if kind == _PREFIX_INFORMATION:
            if len(option) != 32:
                raise DecodeError("Prefix Information option length is wrong")
            _, _, length, flags, valid, preferred, _, prefix = _PREFIX.unpack(option)
            prefixes.append(
                PrefixInformation(prefix, length, valid, preferred, bool(flags & 0x80), bool(flags & 0x40))
            )
        elif kind == _MTU_OPTION:
            if len(option) != 8:
                raise DecodeError("MTU option length is wrong")
            mtu = _MTU.unpack(option)[3]
    fixed = _RA_FIXED.unpack_from(body)
    return RouterAdvertisement(
        fixed[5], tuple(prefixes), mtu, _link_layer(options, _SOURCE_LINK_LAYER), fixed[3]
    )


def _target(body: bytes) -> bytes:
    if len(body) < 24:
        raise DecodeError("Neighbor Discovery message cut short")
    target = body[8:24]
    if target[0] == 0xFF:
        raise DecodeError("target is a multicast address")
    return target


def _neighbor_solicitation(body: bytes, source: bytes, destination: bytes) -> NeighborSolicitation:
    target = _target(body)
    link_layer = _link_layer(_options(body, 24), _SOURCE_LINK_LAYER)
    if source == UNSPECIFIED and (link_layer or destination != solicited_node(target)):
        raise DecodeError("Neighbor Solicitation from :: is not a proper duplicate test")
    return NeighborSolicitation(target, link_layer)


def _neighbor_advertisement(body: bytes, _source: bytes, destination: bytes) -> NeighborAdvertisement:
    target = _target(body)
    if destination[0] == 0xFF and body[4] & NA_SOLICITED:
        raise DecodeError("solicited Neighbor Advertisement to a multicast address")
    return NeighborAdvertisement(target, body[4] & 0xE0, _link_layer(_options(body, 24), _TARGET_LINK_LAYER))


_READERS: dict[int, Callable[[bytes, bytes, bytes], Message]] = {
    ROUTER_SOLICITATION: _router_solicitation,
    ROUTER_ADVERTISEMENT: _router_advertisement,
    NEIGHBOR_SOLICITATION: _neighbor_solicitation,
    NEIGHBOR_ADVERTISEMENT: _neighbor_advertisement,
}


def _link_layer_option(kind: int, address: bytes) -> bytes:
    return bytes((kind, 1)) + address if address else b""


def _encode(message: Message) -> bytes:
    """Give the ICMPv6 message with checksum 0."""
    match message:
        case RouterSolicitation(link_layer):
            head = bytes((ROUTER_SOLICITATION,)) + bytes(7)
            return head + _link_layer_option(_SOURCE_LINK_LAYER, link_layer)
        case RouterAdvertisement():
            return _encode_router_advertisement(message)
        case NeighborSolicitation(target, link_layer):
            head = bytes((NEIGHBOR_SOLICITATION,)) + bytes(7)
            return head + target + _link_layer_option(_SOURCE_LINK_LAYER, link_layer)
        case NeighborAdvertisement(target, flags, link_layer):
            head = bytes((NEIGHBOR_ADVERTISEMENT, 0, 0, 0, flags, 0, 0, 0))
            return head + target + _link_layer_option(_TARGET_LINK_LAYER, link_layer)
        case ListenerReport():
            return bytes((MULTICAST_LISTENER_REPORT_V2,)) + bytes(7)


def _encode_router_advertisement(message: RouterAdvertisement) -> bytes:
    # Managed and other flags are 0: addresses come from the prefixes (RFC 5213 section 6.8).
    parts = [_RA_FIXED.pack(ROUTER_ADVERTISEMENT, 0, 0, message.hop_limit, 0, message.router_lifetime, 0, 0)]
    parts.append(_link_layer_option(_SOURCE_LINK_LAYER, message.link_layer))
    if message.mtu:
        parts.append(_MTU.pack(_MTU_OPTION, 1, 0, message.mtu))
    for item in message.prefixes:
        flags = (0x80 if item.on_link else 0) | (0x40 if item.autonomous else 0)
        valid, preferred = item.valid_lifetime, item.preferred_lifetime
        parts.append(
            _PREFIX.pack(_PREFIX_INFORMATION, 4, item.prefix_length, flags, valid, preferred, 0, item.prefix)
        )
    return b"".join(parts)


def build(received: Received) -> bytes:
    """Give the whole Ethernet frame for a message with its addresses; hop limit 255, checksum right."""
    body = _encode(received.message)
    source, destination = received.source, received.destination
    checksum = internet_checksum(pseudo_header(source, destination, len(body), _ICMPV6) + body)
    return b"".join(
        (
            _ETHERNET.pack(received.link_destination, received.link_source, ETHERTYPE_IPV6),
            _IPV6_HEADER.pack(6 << 28, len(body), _ICMPV6, 255, source, destination),
            body[:2],
            checksum.to_bytes(2, "big"),
            body[4:],
        )
    )
