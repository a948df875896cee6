"""Whole IPv6 packets round the messages of a mobile node. Pure."""

from typing import Protocol

from appliance.protocols.bits import internet_checksum, pseudo_header
from appliance.tun import packet as ip


class Sends(Protocol):
    """What a message to be sent says of its packet."""

    data: bytes
    source: bytes
    destination: bytes
    home: bytes


def plain(protocol: int, effect: Sends) -> bytes:
    """The packet of a message without any option."""
    return ip.ipv6_packet(effect.source, effect.destination, protocol, effect.data)


def home_packet(protocol: int, effect: Sends) -> bytes:
    """The packet of a message with a Home Address option (RFC 6275 section 6.3: at 8n+6, PadN of 4)."""
    option = bytes((protocol, 2, 1, 2, 0, 0, 0xC9, 16)) + effect.home
    return ip.ipv6_packet(effect.source, effect.destination, ip.DESTINATION_OPTIONS, option + effect.data)


def verified(data: bytes, source: bytes, destination: bytes) -> bool:
    """Whether the checksum of an ICMPv6 message is right."""
    return internet_checksum(pseudo_header(source, destination, len(data), ip.ICMP6) + data) == 0
