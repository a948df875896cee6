"""Many packets per system call, and a fast checksum: C libraries through cffi, no compiler needed.

``recvmmsg``/``sendmmsg`` come from the C library of the process. The checksum uses one
function of GMP (present wherever GNU coreutils are) that computes a number modulo
2**48 - 1; 0xffff divides that, so its remainder is the ones' complement sum, at five times
the speed of Python's integers. Without the library the plain way serves.
"""

import errno
import socket
from typing import Any

import cffi

from appliance.protocols.bits import ones_complement_sum
from appliance.tun.offload import Sum

SLOTS = 64
#: Largest packet with the headers in front of it; a little off a power of two, so that
#: equal places of different slots do not compete for the same cache lines.
SLOT_SIZE = 65_536 + 256
MSG_DONTWAIT = 0x40
# <linux/in.h>. "Probe" sets DF and leaves the path MTU to us, who answer the senders of what is too big.
IP_MTU_DISCOVER, PMTUDISC_DONT, PMTUDISC_PROBE = 10, 0, 3

ffi = cffi.FFI()
ffi.cdef(
    """
    struct iovec { void *iov_base; size_t iov_len; };
    struct msghdr { void *msg_name; unsigned int msg_namelen; struct iovec *msg_iov; size_t msg_iovlen;
                    void *msg_control; size_t msg_controllen; int msg_flags; };
    struct mmsghdr { struct msghdr msg_hdr; unsigned int msg_len; };
    struct sock_filter { unsigned short code; unsigned char jt; unsigned char jf; unsigned int k; };
    struct sock_fprog { unsigned short len; struct sock_filter *filter; };
    int recvmmsg(int, struct mmsghdr *, unsigned int, int, void *);
    int sendmmsg(int, struct mmsghdr *, unsigned int, int);
    int setsockopt(int, int, int, const void *, unsigned int);
    unsigned long __gmpn_mod_34lsub1(const char *, long);
    """
)
_libc: Any = ffi.dlopen(None)


def fast_sum() -> Sum:
    """The fastest ones' complement sum that this machine has."""
    if ffi.sizeof("unsigned long") != 8:
        return ones_complement_sum
    try:
        remainder = ffi.dlopen("libgmp.so.10").__gmpn_mod_34lsub1
    except (OSError, AttributeError):
        return ones_complement_sum

    def sum16(data: bytes) -> int:
        size = len(data)
        if size < 8:
            # GMP does not define the remainder of no limbs.
            return ones_complement_sum(data) % 0xFFFF
        rest = size & 7
        total: int = remainder(data, size >> 3)
        if rest:
            total += int.from_bytes(data[size - rest :], "little")
        total %= 0xFFFF
        # RFC 1071 section 2 (B): the sum does not depend on the byte order, only its own bytes are swapped.
        return (total & 0xFF) << 8 | total >> 8

    # A library built with other limbs would give other remainders: trust, but check once.
    probe = bytes(range(1, 252))
    return sum16 if sum16(probe) == ones_complement_sum(probe) % 0xFFFF else ones_complement_sum


def attach_filter(fd: int, program: list[tuple[int, int, int, int]]) -> None:
    """Give a socket a classic BPF filter of (code, jt, jf, k) instructions; raises OSError."""
    instructions = ffi.new("struct sock_filter[]", program)
    whole = ffi.new("struct sock_fprog *", (len(program), instructions))
    if _libc.setsockopt(fd, socket.SOL_SOCKET, 26, whole, ffi.sizeof("struct sock_fprog")):
        raise OSError(ffi.errno, "SO_ATTACH_FILTER")


class ReceiveBatch:
    """Reads up to :data:`SLOTS` packets at once. Serves any number of sockets of one kind.

    ``address``: slice of the socket address that holds the packed source address, or ``None``;
    ``traffic_class``: the sockets were told to report it (IPV6_RECVTCLASS or IP_RECVTOS).
    """

    def __init__(self, address: slice | None, traffic_class: bool) -> None:
        self._address = address
        self._class = traffic_class
        self._space = ffi.new(f"char[{SLOTS * SLOT_SIZE}]")
        self._names = ffi.new(f"char[{SLOTS * 32}]")
        self._controls = ffi.new(f"char[{SLOTS * 24}]")
        self._iov = ffi.new("struct iovec[]", SLOTS)
        self._messages = ffi.new("struct mmsghdr[]", SLOTS)
        view = memoryview(ffi.buffer(self._space)).cast("B")
        names = memoryview(ffi.buffer(self._names)).cast("B")
        controls = memoryview(ffi.buffer(self._controls)).cast("B")
        self._slots = [view[i * SLOT_SIZE : (i + 1) * SLOT_SIZE] for i in range(SLOTS)]
        self._name_views = [names[i * 32 : (i + 1) * 32][address] if address else None for i in range(SLOTS)]
        # One control message: 16 octets of header, then the value (an int, or an octet for IPv4).
        self._class_views = [controls[i * 24 + 16 : i * 24 + 17] for i in range(SLOTS)]
        for i in range(SLOTS):
            self._iov[i].iov_base = self._space + i * SLOT_SIZE
            self._iov[i].iov_len = SLOT_SIZE
            head = self._messages[i].msg_hdr
            head.msg_iov = self._iov + i
            head.msg_iovlen = 1
            if address:
                head.msg_name = self._names + i * 32
                head.msg_namelen = 32
            if traffic_class:
                head.msg_control = self._controls + i * 24
                head.msg_controllen = 24

    def receive(self, fd: int) -> list[tuple[bytes, bytes, int]]:
        """What waits at a non-blocking socket: (packet, source address, traffic class), at most SLOTS.

        Raises OSError for any other error than that there is nothing.
        """
        count = _libc.recvmmsg(fd, self._messages, SLOTS, MSG_DONTWAIT, ffi.NULL)
        if count < 0:
            if ffi.errno in (errno.EAGAIN, errno.EINTR):
                return []
            raise OSError(ffi.errno, "recvmmsg")
        slots, messages, names, classes = self._slots, self._messages, self._name_views, self._class_views
        if not self._address:
            return [(bytes(slots[i][: messages[i].msg_len]), b"", 0) for i in range(count)]
        with_class = self._class
        return [
            (
                bytes(slots[i][: messages[i].msg_len]),
                bytes(names[i] or b""),
                classes[i][0] if with_class else 0,
            )
            for i in range(count)
        ]


class Destination:
    """A peer's socket address in the form that ``sendmmsg`` wants."""

    __slots__ = ("pointer", "size")

    def __init__(self, address: bytes, port: int = 0) -> None:
        if len(address) == 16:
            family, rest = socket.AF_INET6, bytes(4) + address + bytes(4)
        else:
            family, rest = socket.AF_INET, address + bytes(8)
        raw = int(family).to_bytes(2, "little") + port.to_bytes(2, "big") + rest
        if int.from_bytes(b"\1\0", "little") != memoryview(b"\1\0").cast("H")[0]:
            raw = int(family).to_bytes(2, "big") + raw[2:]
        self.size = len(raw)
        self.pointer = ffi.new("char[]", raw)


class SendBatch:
    """Collects packets for one socket and sends up to :data:`SLOTS` of them at once.

    What the socket does not take is dropped and counted in ``failures`` by the name of the error: a
    router's queue is bounded, and the senders' transport protocols expect that.
    """

    def __init__(self, fd: int, outer: int) -> None:
        self.failures: dict[str, int] = {}
        self._fd = fd
        self._fragments: bool | None = None
        self._count = 0
        self._space = ffi.new(f"char[{SLOTS * SLOT_SIZE}]")
        self._iov = ffi.new("struct iovec[]", SLOTS)
        self._messages = ffi.new("struct mmsghdr[]", SLOTS)
        view = memoryview(ffi.buffer(self._space)).cast("B")
        self._slots = [view[i * SLOT_SIZE : (i + 1) * SLOT_SIZE] for i in range(SLOTS)]
        self._to: list[Destination | None] = [None] * SLOTS
        self._class = [0] * SLOTS
        self._sizes = [0] * SLOTS
        self._level = (socket.IPPROTO_IPV6, 67) if outer == 6 else (socket.IPPROTO_IP, socket.IP_TOS)
        self._controls: dict[int, Any] = {}
        for i in range(SLOTS):
            self._iov[i].iov_base = self._space + i * SLOT_SIZE
            self._messages[i].msg_hdr.msg_iov = self._iov + i
            self._messages[i].msg_hdr.msg_iovlen = 1

    def allow_fragments(self, allowed: bool) -> None:
        """IPv4: whether routers, and this host, may fragment what is added from now on (DF clear)."""
        if allowed == self._fragments:
            return
        self.flush()
        self._fragments = allowed
        value = ffi.new("int *", PMTUDISC_DONT if allowed else PMTUDISC_PROBE)
        _libc.setsockopt(self._fd, socket.IPPROTO_IP, IP_MTU_DISCOVER, value, 4)

    def add(self, packet: bytes, to: Destination, traffic_class: int) -> None:
        """Queue one packet (what follows the IP header); a full batch is sent at once."""
        i = self._count
        size = len(packet)
        self._slots[i][:size] = packet
        if self._sizes[i] != size:
            self._iov[i].iov_len = self._sizes[i] = size
        if self._to[i] is not to:
            head = self._messages[i].msg_hdr
            head.msg_name, head.msg_namelen = to.pointer, to.size
            self._to[i] = to
        if self._class[i] != traffic_class:
            self._set_class(i, traffic_class)
        self._count = i + 1
        if self._count == SLOTS:
            self.flush()

    def _set_class(self, i: int, traffic_class: int) -> None:
        """IPV6_TCLASS (or IP_TOS) for one packet, as an ancillary message made once per value."""
        head = self._messages[i].msg_hdr
        self._class[i] = traffic_class
        if not traffic_class:
            head.msg_control, head.msg_controllen = ffi.NULL, 0
            return
        control = self._controls.get(traffic_class)
        if control is None:
            level, kind = self._level
            control = ffi.new("int[6]")
            ffi.cast("size_t *", control)[0] = 20
            control[2], control[3], control[4] = level, kind, traffic_class
            self._controls[traffic_class] = control
        head.msg_control, head.msg_controllen = control, 24

    def flush(self) -> None:
        """Send what is queued."""
        count, self._count = self._count, 0
        done = 0
        while done < count:
            sent = _libc.sendmmsg(self._fd, self._messages + done, count - done, MSG_DONTWAIT)
            if sent > 0:
                done += sent
                continue
            code = ffi.errno
            if code == errno.EINTR:
                continue
            name = errno.errorcode.get(code, str(code))
            # A full queue refuses all that follow; any other error is of this packet alone.
            lost = count - done if code in (errno.EAGAIN, errno.ENOBUFS) else 1
            self.failures[name] = self.failures.get(name, 0) + lost
            done += lost
