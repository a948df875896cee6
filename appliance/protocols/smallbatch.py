"""Many small messages of a socket in one system call, handed over as few objects.

``tun.native`` does the same for packets; here most of what is read may be thrown away after a look at
some of its octets, and an object for each message would cost more than the look. So only the heads are
handed over, all in one piece; the whole of a message is there until the next batch for who wants it.
"""

import errno
from typing import Any

from appliance.tun.native import MSG_DONTWAIT, ffi

SLOTS = 64
#: Octets of each head.
HEAD = 96
#: RFC 6275 section 6.1.1: no Mobility Header is longer than 2,048 octets; the rest of a longer packet is cut
#: off. A little off a power of two, for the cache.
_REST = 2_048 + 64 - HEAD
#: Octets of a socket address here; an IPv6 one has 28.
NAME = 32

_libc: Any = ffi.dlopen(None)
#: ``msg_len`` of ``struct mmsghdr`` in words of 32 bits.
_STEP = ffi.sizeof("struct mmsghdr") // 4
_LENGTH = ffi.offsetof("struct mmsghdr", "msg_len") // 4


class SmallBatch:
    """Room for :data:`SLOTS` messages."""

    def __init__(self) -> None:
        self._heads = ffi.new(f"char[{SLOTS * HEAD}]")
        self._rests = ffi.new(f"char[{SLOTS * _REST}]")
        self._names = ffi.new(f"char[{SLOTS * NAME}]")
        self._iov = ffi.new("struct iovec[]", 2 * SLOTS)
        self._messages = ffi.new("struct mmsghdr[]", SLOTS)
        for i in range(SLOTS):
            first, second = self._iov[2 * i], self._iov[2 * i + 1]
            first.iov_base, first.iov_len = self._heads + i * HEAD, HEAD
            second.iov_base, second.iov_len = self._rests + i * _REST, _REST
            head = self._messages[i].msg_hdr
            head.msg_iov = self._iov + 2 * i
            head.msg_iovlen = 2
            head.msg_name = self._names + i * NAME
            head.msg_namelen = NAME
        self._lengths = memoryview(ffi.buffer(self._messages)).cast("B").cast("I")

    def receive(self, fd: int) -> tuple[bytes, bytes, list[int]]:
        """What waits at a non-blocking socket: the first octets of all messages, ``HEAD`` apart; their socket
        addresses, ``NAME`` apart; how long each message is.

        Raises OSError for any other error than that there is nothing.
        """
        count = _libc.recvmmsg(fd, self._messages, SLOTS, MSG_DONTWAIT, ffi.NULL)
        if count < 0:
            if ffi.errno in (errno.EAGAIN, errno.EINTR):
                return b"", b"", []
            raise OSError(ffi.errno, "recvmmsg")
        heads = ffi.buffer(self._heads, count * HEAD)[:]
        names = ffi.buffer(self._names, count * NAME)[:]
        return heads, names, self._lengths[_LENGTH : _STEP * count : _STEP].tolist()

    def whole(self, number: int) -> bytes:
        """All octets of a message of the last batch."""
        size = self._lengths[_STEP * number + _LENGTH]
        head: bytes = ffi.buffer(self._heads + number * HEAD, min(size, HEAD))[:]
        if size > HEAD:
            head += ffi.buffer(self._rests + number * _REST, size - HEAD)[:]
        return head
