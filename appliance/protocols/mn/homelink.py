"""A mobile node that is at home tells the link so (RFC 6275 section 11.5.5)."""

import socket
import struct
from pathlib import Path

from appliance.protocols.mn.ends import MARK, SO_MARK

ALL_NODES = bytes.fromhex("ff020000000000000000000000000001")
_NEIGHBOR_ADVERTISEMENT, _OVERRIDE, _TARGET_LINK_LAYER = 136, 0x20000000, 2
#: <linux/in6.h>
IPV6_MULTICAST_IF, IPV6_MULTICAST_HOPS = 17, 18


def advertisement(address: bytes, link_layer: bytes) -> bytes:
    """The unsolicited Neighbor Advertisement of an address, to replace what neighbours know (RFC 4861 7.2.6)."""
    option = bytes((_TARGET_LINK_LAYER, (len(link_layer) + 9) // 8)) + link_layer
    return (
        struct.pack(">BBHI", _NEIGHBOR_ADVERTISEMENT, 0, 0, _OVERRIDE) + address + option.ljust(8, b"\0")
    )


def announce(interface: str, address: bytes) -> None:
    """Send it to all nodes of a link; the kernel fills the checksum in. Raises OSError."""
    text = Path(f"/sys/class/net/{interface}/address").read_text().strip()
    message = advertisement(address, bytes.fromhex(text.replace(":", "")))
    index = socket.if_nametoindex(interface)
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as sock:
        sock.setsockopt(socket.SOL_SOCKET, SO_MARK, MARK)
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_MULTICAST_IF, index)
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 255)
        # The source may be any address of the link; ours may not be there for a moment yet.
        sock.sendto(message, (socket.inet_ntop(socket.AF_INET6, ALL_NODES), 0, 0, index))
