"""ARP on Ethernet for IPv4 (RFC 826), for the default router address of a mobile node."""

from struct import Struct

from attrs import define

from appliance.protocols.bits import DecodeError

REQUEST, REPLY = 1, 2
BROADCAST = b"\xff" * 6

_HEADER = 14
_ARP = Struct("!HHBBH6s4s6s4s")
_ETHERNET = Struct("!6s6sH")
_FIXED = (1, 0x0800, 6, 4)


@define(slots=True)
class Arp:
    """One ARP message: sender and target, each link-layer (6) and IPv4 (4) address."""

    operation: int
    sender_link_layer: bytes
    sender: bytes
    target_link_layer: bytes
    target: bytes


def parse(frame: bytes) -> Arp:
    """Read a whole Ethernet ``frame`` of type 0x0806; DecodeError if it is no ARP for IPv4 on Ethernet.

    The sender's link-layer address must be the one the frame came from: a host that answers or
    asks for another one is not a mobile node on a point-to-point link.
    """
    if len(frame) < _HEADER + _ARP.size:
        raise DecodeError("ARP message cut short")
    hardware, protocol, hardware_size, protocol_size, operation, *addresses = _ARP.unpack_from(frame, _HEADER)
    if (hardware, protocol, hardware_size, protocol_size) != _FIXED:
        raise DecodeError("ARP is not for IPv4 on Ethernet")
    message = Arp(operation, *addresses)
    if message.sender_link_layer != frame[6:12]:
        raise DecodeError("ARP sender is not the sender of the frame")
    return message


def build(message: Arp) -> bytes:
    """Give the whole Ethernet frame: to the target, or to everybody when it is not known yet."""
    destination = message.target_link_layer if any(message.target_link_layer) else BROADCAST
    return _ETHERNET.pack(destination, message.sender_link_layer, 0x0806) + _ARP.pack(
        *_FIXED,
        message.operation,
        message.sender_link_layer,
        message.sender,
        message.target_link_layer,
        message.target,
    )
