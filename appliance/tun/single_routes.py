"""Routes of single sessions to the tunnel device, for prefixes that an AAA server assigns outside of pools.

A pool has one route, made with the configuration and written to the journal. These come and go with sessions:
they are made at once, by one system call each, and need no journal, because the kernel takes them away
together with the device, however the process ends.
"""

import errno
import os
import socket
import struct
from collections.abc import Callable

# <linux/rtnetlink.h>, <linux/netlink.h>
RTM_NEWROUTE, RTM_DELROUTE = 24, 25
NLM_F_REQUEST, NLM_F_ACK, NLM_F_REPLACE, NLM_F_CREATE = 1, 4, 0x100, 0x400
RTA_DST, RTA_OIF = 1, 4
RT_TABLE_MAIN, RTPROT_STATIC, RTN_UNICAST = 254, 4, 1
RT_SCOPE_UNIVERSE, RT_SCOPE_LINK = 0, 253

_GONE = frozenset((errno.ESRCH, errno.ENODEV, errno.ENXIO))


class SingleRoutes:
    """Routes to one device; ``tell(text)`` hears what the kernel refuses."""

    def __init__(self, device: str, tell: Callable[[str], object]) -> None:
        self._device = device
        self._tell = tell
        # Most services never need one.
        self._socket: socket.socket | None = None
        self._serial = 0

    def add(self, prefix: bytes, length: int) -> None:
        """Route a network (packed address, bits) to the device."""
        failure = self._change(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, prefix, length)
        if failure:
            self._complain("made", failure, prefix, length)

    def remove(self, prefix: bytes, length: int) -> None:
        """Do so no more."""
        failure = self._change(RTM_DELROUTE, 0, prefix, length)
        if failure and failure not in _GONE:
            self._complain("removed", failure, prefix, length)

    def _complain(self, what: str, failure: int, prefix: bytes, length: int) -> None:
        family = socket.AF_INET6 if len(prefix) == 16 else socket.AF_INET
        network = f"{socket.inet_ntop(family, prefix)}/{length}"
        self._tell(f"route {network} to {self._device} could not be {what}: {os.strerror(failure)}")

    def _change(self, kind: int, flags: int, prefix: bytes, length: int) -> int:
        """Have the kernel do it; returns its errno, 0: done. The kernel has answered when sending returns."""
        family = socket.AF_INET6 if len(prefix) == 16 else socket.AF_INET
        scope = RT_SCOPE_LINK if family == socket.AF_INET else RT_SCOPE_UNIVERSE
        self._serial += 1
        body = struct.pack(
            "BBBBBBBBI", family, length, 0, 0, RT_TABLE_MAIN, RTPROT_STATIC, scope, RTN_UNICAST, 0
        )
        body += struct.pack("HH", 4 + len(prefix), RTA_DST) + prefix
        flags |= NLM_F_REQUEST | NLM_F_ACK
        try:
            body += struct.pack("HHI", 8, RTA_OIF, socket.if_nametoindex(self._device))
            if self._socket is None:
                self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
            head = struct.pack("IHHII", 16 + len(body), kind, flags, self._serial, 0)
            self._socket.sendto(head + body, (0, 0))
            while True:
                answer = self._socket.recv(4096)
                if struct.unpack_from("I", answer, 8)[0] == self._serial:
                    failure: int = -struct.unpack_from("i", answer, 16)[0]
                    return failure
        except OSError as error:
            # A name without a device gives an error without a number.
            return error.errno or errno.ENODEV

    def close(self) -> None:
        """Close the socket; the routes go with the device."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
