"""A packet socket on the home link: the frames that a filter lets through, and frames out."""

import contextlib
import socket
import struct
from collections.abc import Callable
from typing import Any

from appliance.protocols.socket_reader import SocketReader
from appliance.tun.native import attach_filter

# <linux/if_packet.h>
SOL_PACKET, ADD_MEMBERSHIP, IGNORE_OUTGOING = 263, 1, 23
ALL_MULTICAST, UNICAST, TO_US = 2, 3, 0
IPV6 = 0x86DD
#: Frames read in one go.
BATCH = 32
#: Octets of a frame that are looked at; an error about it quotes less.
LARGEST = 2048

#: Instructions (code, jt, jf, k) of a classic BPF program.
Program = list[tuple[int, int, int, int]]
# ret all, ret nothing.
_TAKE, _LEAVE = (0x06, 0, 0, 0x40000), (0x06, 0, 0, 0)


def solicitations(also_to: bytes = b"") -> Program:
    """Neighbor Solicitations and Advertisements, MLD queries, and what goes to one more address of ours."""
    # IPv6, Next Header 58, ICMPv6 type 135 or 136: ldh [12]; ldb [20]; ldb [54].
    # Or Next Header 0, then 58, and in the place behind eight octets type 130: ldb [54]; ldb [62].
    program = [
        (0x28, 0, 0, 12), (0x15, 0, 11, IPV6), (0x30, 0, 0, 20), (0x15, 1, 0, 58), (0x15, 3, 8, 0),
        (0x30, 0, 0, 54), (0x15, 5, 0, 135), (0x15, 4, 5, 136),
        (0x30, 0, 0, 54), (0x15, 0, 3, 58), (0x30, 0, 0, 62), (0x15, 0, 1, 130),
        _TAKE, _LEAVE,
    ]  # fmt: skip
    if not also_to:
        return program
    # ld [0]; ldh [4].
    high, low = struct.unpack(">IH", also_to)
    return [(0x20, 0, 0, 0), (0x15, 0, 3, high), (0x28, 0, 0, 4), (0x15, 0, 1, low), _TAKE, *program]


def mobility(destination: bytes) -> Program:
    """Mobility Headers, behind Destination Options or not, to one IPv6 address."""
    words = struct.unpack(">4I", destination)
    program: Program = []
    for number, word in enumerate(words):
        # ld [38 + 4 n]: each word that differs leads to the last instruction.
        left = 2 * (len(words) - number - 1) + 5
        program += [(0x20, 0, 0, 38 + 4 * number), (0x15, 0, left, word)]
    # ldb [20]; ldb [54]: what follows the options.
    program += [(0x30, 0, 0, 20), (0x15, 3, 0, 135), (0x15, 0, 3, 60), (0x30, 0, 0, 54), (0x15, 0, 1, 135)]
    return [*program, _TAKE, _LEAVE]


class LinkSocket(SocketReader):
    """Reads and writes frames of IPv6 on one device; raises OSError when it cannot be had.

    ``on_frame(interface, frame)`` gets those that ``program`` lets through; ``second`` is one more link-layer
    address to listen to, by the device's own; ``unicast``: only what is sent to the latter.
    """

    def __init__(
        self,
        reactor: Any,
        interface: str,
        on_frame: Callable[[str, bytes], None],
        program: Callable[[bytes], Program],
        second: Callable[[bytes], bytes] | None = None,
        unicast: bool = False,
    ) -> None:
        self.interface = interface
        self._on_frame = on_frame
        self._unicast = unicast
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
        super().__init__(reactor, sock, f"home link {interface}")
        try:
            # Bound to no protocol it hears nothing yet, but knows the device's address.
            self._socket.bind((interface, 0))
            more = b"" if second is None else second(self.link_layer)
            attach_filter(self._socket.fileno(), program(more))
            with contextlib.suppress(OSError):
                self._socket.setsockopt(SOL_PACKET, IGNORE_OUTGOING, 1)
            index = socket.if_nametoindex(interface)
            for kind, address in () if unicast else ((ALL_MULTICAST, b""), (UNICAST, more)):
                if address or kind == ALL_MULTICAST:
                    member = struct.pack("iHH8s", index, kind, len(address), address)
                    self._socket.setsockopt(SOL_PACKET, ADD_MEMBERSHIP, member)
            self._socket.bind((interface, IPV6))
        except OSError:
            self._socket.close()
            raise
        self.start()

    @property
    def link_layer(self) -> bytes:
        """The device's address now."""
        address: bytes = self._socket.getsockname()[4]
        return address

    def send(self, frame: bytes) -> None:
        """Send a frame; raises OSError."""
        self._socket.send(frame)

    def doRead(self) -> None:
        """Read at most ``BATCH`` frames."""
        self.drain(BATCH)

    def drain(self, most: int) -> None:
        """Read what waits, at most so many frames."""
        for _ in range(most):
            if self._socket.fileno() < 0:
                # What a frame led to has closed it.
                return
            try:
                frame, where = self._socket.recvfrom(LARGEST)
            except OSError:
                return
            if not self._unicast or where[2] == TO_US:
                self._on_frame(self.interface, frame)
