"""An access router of a few lines: ``python -m scripts.labrouter DEVICE PREFIX`` advertises a /64 on a link.

A Router Advertisement (RFC 4861) once a second and to whoever asks; it waits for its device. Standard
library only.
"""

import contextlib
import select
import socket
import struct
import sys
import time
from collections.abc import Sequence

SOLICITATION, ADVERTISEMENT = 133, 134
ALL_NODES, ALL_ROUTERS = "ff02::1", "ff02::2"
INTERVAL = 1.0
ROUTER_LIFETIME, VALID, PREFERRED = 1800, 3600, 1800
#: <linux/in6.h>
MULTICAST_IF, MULTICAST_HOPS, JOIN_GROUP = 17, 18, 20


def advertisement(prefix: str) -> bytes:
    """The message; the kernel fills the checksum in."""
    head = struct.pack(">BBHBBHII", ADVERTISEMENT, 0, 0, 64, 0, ROUTER_LIFETIME, 0, 0)
    # Prefix Information: on-link and autonomous.
    option = struct.pack(">BBBBIII", 3, 4, 64, 0xC0, VALID, PREFERRED, 0)
    return head + option + socket.inet_pton(socket.AF_INET6, prefix)


def serve(device: str, prefix: str) -> None:
    """Advertise for ever, whenever the device is there."""
    while True:
        with contextlib.suppress(OSError):
            advertise(socket.if_nametoindex(device), prefix)
        time.sleep(0.02)


def advertise(index: int, prefix: str) -> None:
    """Advertise on a device; raises OSError when it is gone."""
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as sock:
        sock.setsockopt(socket.IPPROTO_IPV6, MULTICAST_IF, index)
        sock.setsockopt(socket.IPPROTO_IPV6, MULTICAST_HOPS, 255)
        group = socket.inet_pton(socket.AF_INET6, ALL_ROUTERS) + struct.pack("=I", index)
        sock.setsockopt(socket.IPPROTO_IPV6, JOIN_GROUP, group)
        due = 0.0
        while True:
            heard, _, _ = select.select([sock], [], [], max(0.0, due - time.monotonic()))
            if heard and sock.recv(2048)[0] != SOLICITATION:
                continue
            sock.sendto(advertisement(prefix), (ALL_NODES, 0, 0, index))
            due = time.monotonic() + INTERVAL


def main(argv: Sequence[str]) -> int:
    """Run it."""
    serve(*argv)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
