"""Keep the kernel from answering hosts that an anchor serves.

A kernel without CONFIG_IPV6_MIP6 does not know the Home Address option. It gives raw sockets their copy of
such a packet, then drops it and tells the sender by ICMPv6 Parameter Problem, code 2; a mobile node would
conclude that its home agent does not speak Mobile IPv6 (RFC 6275 section 11.3.5). One XFRM policy blocks
exactly this message from exactly our address: Linux takes ICMPv6 type and code for ports. It needs no
firewall and no program. A mobile node does the same with code 0, for the type 2 routing header.
"""

import os
import socket
import struct

_XFRM, _REQUEST_ACK = 6, 5
_DELETE, _UPDATE = 0x14, 0x19
_OUT, _BLOCK = 1, 1
_ANY_AMOUNT = 0xFFFF_FFFF_FFFF_FFFF
_PARAMETER_PROBLEM, ERRONEOUS_HEADER, UNRECOGNIZED_OPTION = 4, 0, 2
ANYBODY = bytes(16)


def _selector(address: bytes, code: int) -> bytes:
    """``struct xfrm_selector`` of <linux/xfrm.h>: from the address to anybody, type as port of the source."""
    ports = struct.pack(">HHHH", code, 0xFFFF, _PARAMETER_PROBLEM, 0xFFFF)
    length = 0 if address == ANYBODY else 128
    rest = struct.pack("=HBBBxxxiI", socket.AF_INET6, 0, length, socket.IPPROTO_ICMPV6, 0, 0)
    return bytes(16) + address + ports + rest


def _ask(kind: int, body: bytes) -> None:
    """One request by netlink; raises OSError."""
    request = struct.pack("=IHHII", 16 + len(body), kind, _REQUEST_ACK, 1, 0) + body
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _XFRM) as netlink:
        netlink.sendto(request, (0, 0))
        # The kernel has answered by the time that sendto returns.
        failure: int = -struct.unpack_from("=i", netlink.recv(4096), 16)[0]
    if failure:
        raise OSError(failure, os.strerror(failure))


def silence(address: bytes, code: int = UNRECOGNIZED_OPTION) -> None:
    """Let the kernel not say that it does not know an option of a packet to ``address``; raises OSError.

    Code ``ERRONEOUS_HEADER`` is what it says about a routing header of a type that it does not know. A policy
    that an ended process left behind is replaced.
    """
    limits = struct.pack("=8Q", *[_ANY_AMOUNT] * 4, *[0] * 4)
    policy = limits + bytes(32) + struct.pack("=IIBBBB4x", 0, 0, _OUT, _BLOCK, 0, 0)
    _ask(_UPDATE, _selector(address, code) + policy)


def restore(address: bytes, code: int = UNRECOGNIZED_OPTION) -> None:
    """Take that back; raises OSError."""
    _ask(_DELETE, _selector(address, code) + struct.pack("=IB3x", 0, _OUT))
