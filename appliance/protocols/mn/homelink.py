"""What a mobile node says on a link itself: that it is back home, and that it looks for a router."""

import socket
import struct
from pathlib import Path

from appliance.protocols.mn.ends import MARK, SO_MARK

ALL_NODES = bytes.fromhex("ff020000000000000000000000000001")
ALL_ROUTERS = ALL_NODES[:-1] + b"\2"
_ROUTER_SOLICITATION = 133
_NEIGHBOR_ADVERTISEMENT, _OVERRIDE, _TARGET_LINK_LAYER = 136, 0x20000000, 2
#: <linux/in6.h>
IPV6_MULTICAST_IF, IPV6_MULTICAST_HOPS = 17, 18


def advertisement(address: bytes, link_layer: bytes) -> bytes:
    """The unsolicited Neighbor Advertisement of an address, for what neighbours know (RFC 4861 7.2.6)."""
    option = bytes((_TARGET_LINK_LAYER, (len(link_layer) + 9) // 8)) + link_layer
    return (
        struct.pack(">BBHI", _NEIGHBOR_ADVERTISEMENT, 0, 0, _OVERRIDE) + address + option.ljust(8, b"\0")
    )


def announce(interface: str, address: bytes) -> None:
    """Tell all nodes of a link that an address is here (RFC 6275 section 11.5.5). Raises OSError."""
    text = Path(f"/sys/class/net/{interface}/address").read_text().strip()
    _send(interface, ALL_NODES, advertisement(address, bytes.fromhex(text.replace(":", ""))))


def solicit(interface: str) -> None:
    """Ask the routers of a link for an advertisement (RFC 4861 section 6.3.7). Raises OSError."""
    _send(interface, ALL_ROUTERS, struct.pack(">BBHI", _ROUTER_SOLICITATION, 0, 0, 0))


def _send(interface: str, group: bytes, message: bytes) -> None:
    """Send to a group of a link; the kernel fills the checksum in. Raises OSError."""
    index = socket.if_nametoindex(interface)
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as sock:
        sock.setsockopt(socket.SOL_SOCKET, SO_MARK, MARK)
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_MULTICAST_IF, index)
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 255)
        # The source may be any address of the link; ours may not be there for a moment yet.
        sock.sendto(message, (socket.inet_ntop(socket.AF_INET6, group), 0, 0, index))
