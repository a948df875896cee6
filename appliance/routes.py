"""The kernel's routes, a bounded piece at a time (rtnetlink, RFC 3549; Linux: rtnetlink.h).

pyroute2 makes its messages by the datagram, which stops the loop for a tenth of a second with a few
hundred routes in it. A router may have a million; here each route is read when it is asked for, and the
kernel makes the next datagram only when there is a read for it.
"""

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from ipaddress import ip_address

from appliance.errors import ResourceError
from appliance.ports import RouteView

RTM_NEWROUTE, RTM_GETROUTE, NLMSG_ERROR, NLMSG_DONE = 24, 26, 2, 3
NLM_F_REQUEST, NLM_F_DUMP = 0x1, 0x300
DESTINATION, OUT_INTERFACE, GATEWAY, PRIORITY, MULTIPATH, TABLE, VIA = 1, 4, 5, 6, 9, 15, 18
MAIN_TABLE, UNICAST = 254, 1
#: Names of route protocols (rtnetlink.h and /etc/iproute2/rt_protos) as the screen has them.
PROTOCOLS = {
    1: "redirect", 2: "connected", 3: "static", 4: "static", 9: "ra", 11: "zebra", 12: "bird", 16: "dhcp",
    186: "bgp", 187: "isis", 188: "ospf", 189: "rip", 192: "eigrp",
}  # fmt: skip
#: Octets that are taken at once; the kernel fills at most 32 KiB of a dump.
PIECE = 65_536

_HEADER = struct.Struct("=IHHII")
_ROUTE = struct.Struct("=8BI")
_ATTRIBUTE = struct.Struct("=HH")
_HOP = struct.Struct("=HBBi")
_NUMBER = struct.Struct("=I")
_CODE = struct.Struct("=i")


def _attributes(data: bytes, start: int, end: int) -> dict[int, bytes]:
    """The attributes between two places; a length that cannot be ends them."""
    found: dict[int, bytes] = {}
    while start + _ATTRIBUTE.size <= end:
        length, kind = _ATTRIBUTE.unpack_from(data, start)
        if length < _ATTRIBUTE.size or start + length > end:
            break
        found[kind & 0x3FFF] = data[start + _ATTRIBUTE.size : start + length]
        start += (length + 3) & ~3
    return found


def _hops(attributes: dict[int, bytes]) -> Iterator[tuple[int, dict[int, bytes]]]:
    """Interface number and attributes of each next hop."""
    many = attributes.get(MULTIPATH)
    if many is None:
        index = attributes.get(OUT_INTERFACE, b"")
        yield (_NUMBER.unpack(index)[0] if len(index) == 4 else 0), attributes
        return
    start = 0
    while start + _HOP.size <= len(many):
        length, _, _, index = _HOP.unpack_from(many, start)
        if length < _HOP.size or start + length > len(many):
            break
        yield index, _attributes(many, start + _HOP.size, start + length)
        start += (length + 3) & ~3


def _text(packed: bytes | None) -> str:
    return str(ip_address(packed)) if packed is not None and len(packed) in (4, 16) else ""


def _views(data: bytes, start: int, end: int, names: dict[int, str]) -> Iterator[RouteView]:
    """The routes of one message: one for each next hop; none if it is not of the main table."""
    if start + _ROUTE.size > end:
        return
    family, length, _, _, table, protocol, _, kind, _ = _ROUTE.unpack_from(data, start)
    attributes = _attributes(data, start + _ROUTE.size, end)
    number = attributes.get(TABLE, b"")
    table = _NUMBER.unpack(number)[0] if len(number) == 4 else table
    if kind != UNICAST or table != MAIN_TABLE:
        return
    nowhere = "::" if family == socket.AF_INET6 else "0.0.0.0"
    priority = attributes.get(PRIORITY, b"")
    for index, hop in _hops(attributes):
        # Via a gateway of the other family: two octets of family stand before the address.
        gateway = hop.get(GATEWAY) or (hop[VIA][2:] if VIA in hop else None)
        yield RouteView(
            destination=f"{_text(attributes.get(DESTINATION)) or nowhere}/{length}",
            next_hop=_text(gateway),
            protocol=PROTOCOLS.get(protocol, f"proto-{protocol}"),
            cost=_NUMBER.unpack(priority)[0] if len(priority) == 4 else 0,
            interface=_name(index, names),
        )


def _name(index: int, names: dict[int, str]) -> str:
    if index not in names:
        try:
            names[index] = socket.if_indextoname(index)
        except OSError:
            # It went away since the kernel wrote this message.
            names[index] = ""
    return names[index]


def parse(data: bytes, names: dict[int, str]) -> Iterator[RouteView | None]:
    """The routes of one datagram, read as they are asked for; ``None``: that was the end of the dump.

    ``names``: devices known so far. Raises ResourceError when the kernel reports an error.
    """
    start = 0
    while start + _HEADER.size <= len(data):
        length, kind, _, _, _ = _HEADER.unpack_from(data, start)
        end = start + length
        if length < _HEADER.size or end > len(data):
            break
        if kind == NLMSG_DONE:
            yield None
            return
        if kind == NLMSG_ERROR:
            code = _CODE.unpack_from(data, start + _HEADER.size)[0] if length >= _HEADER.size + 4 else 0
            raise ResourceError(f"the kernel's routes cannot be read: {os.strerror(-code)}")
        if kind == RTM_NEWROUTE:
            yield from _views(data, start + _HEADER.size, end, names)
        start += (length + 3) & ~3


async def read(family: int) -> AsyncIterator[RouteView]:
    """The unicast routes of the main table of IP version ``family``; raises ResourceError."""
    number = socket.AF_INET6 if family == 6 else socket.AF_INET
    body = _ROUTE.pack(number, 0, 0, 0, 0, 0, 0, 0, 0)
    head = _HEADER.pack(_HEADER.size + len(body), RTM_GETROUTE, NLM_F_REQUEST | NLM_F_DUMP, 1, 0)
    names: dict[int, str] = {}
    loop = asyncio.get_running_loop()
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as netlink:
            netlink.setblocking(False)
            netlink.bind((0, 0))
            netlink.send(head + body)
            while True:
                for view in parse(await loop.sock_recv(netlink, PIECE), names):
                    if view is None:
                        return
                    yield view
    except OSError as error:
        raise ResourceError(f"the kernel's routes cannot be read: {error.strerror}") from error
