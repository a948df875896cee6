"""libusrsctp, an SCTP in user space (Debian package libusrsctp2), called by cffi.

::

    reactor's thread ──call──▶ library ◀── its own threads: packets, timers
           ▲                                        │ upcall: "socket N has something"
           └──── eventfd ◀── set of numbers ◀───────┘

The library's threads run no code of ours but the upcall, which puts one number into a set. All reading and
writing is done by the reactor's thread with non-blocking calls: what nobody reads stays in the library, whose
receiver window closes then. There is one library in a process, and so one UDP port for encapsulation.
"""

import atexit
import errno
import os
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import Any

from cffi import FFI
from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from zope.interface import implementer

from appliance.errors import ResourceError
from appliance.protocols.diameter.transport.sctp_base import IPPROTO_SCTP, PPID, READ_SIZE, parse_sockaddrs

PACKAGE = "libusrsctp2"
LIBRARY = "libusrsctp.so.2"
#: Bits of what a socket is ready for.
READ, WRITE, ERROR = 1, 2, 4
#: Association events that tell of an association (RFC 6458 section 6.1.1).
ASSOC_CHANGE, PEER_ADDR_CHANGE = 1, 2
#: What libusrsctp says in ``msg_flags``.
MSG_EOR, MSG_NOTIFICATION = socket.MSG_EOR, 0x2000
_UNORDERED = 0x0400
#: For dlopen (<dlfcn.h>): never unload.
_NODELETE = 0x1000
_SNDINFO = struct.Struct("=HH4sII")
_SENDV_SNDINFO = 1

_log = Logger(namespace="diameter")

_CDEF = """
typedef uint32_t socklen_t;
struct socket;
void usrsctp_init(uint16_t, void *, void *);
int usrsctp_finish(void);
struct socket *usrsctp_socket(int, int, int, void *, void *, uint32_t, void *);
int usrsctp_setsockopt(struct socket *, int, int, const void *, socklen_t);
int usrsctp_getsockopt(struct socket *, int, int, void *, socklen_t *);
int usrsctp_bindx(struct socket *, void *, int, int);
int usrsctp_listen(struct socket *, int);
struct socket *usrsctp_accept(struct socket *, void *, socklen_t *);
int usrsctp_connectx(struct socket *, const void *, int, uint32_t *);
void usrsctp_close(struct socket *);
int usrsctp_shutdown(struct socket *, int);
int usrsctp_set_non_blocking(struct socket *, int);
int usrsctp_set_upcall(struct socket *, void (*)(struct socket *, void *, int), void *);
int usrsctp_get_events(struct socket *);
int usrsctp_getpaddrs(struct socket *, uint32_t, void **);
void usrsctp_freepaddrs(void *);
int usrsctp_getladdrs(struct socket *, uint32_t, void **);
void usrsctp_freeladdrs(void *);
ssize_t usrsctp_sendv(struct socket *, const void *, size_t, void *, int, void *, socklen_t,
                      unsigned int, int);
ssize_t usrsctp_recvv(struct socket *, void *, size_t, void *, socklen_t *, void *, socklen_t *,
                      unsigned int *, int *);
int usrsctp_sysctl_set_sctp_blackhole(uint32_t);
int usrsctp_sysctl_set_sctp_ecn_enable(uint32_t);
int usrsctp_sysctl_set_sctp_no_csum_on_loopback(uint32_t);
"""

Ready = Callable[[int], None]
"""Told what a socket is ready for."""


def missing() -> str:
    """Why there is no library; empty: it is there."""
    try:
        FFI().dlopen(LIBRARY)
    except OSError:
        return f"{LIBRARY} is not installed; install the Debian package {PACKAGE}"
    return ""


def _probe(udp_port: int) -> None:
    """Find out, before the library fails in silence, whether it can have its sockets."""
    try:
        if udp_port:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                probe.bind(("", udp_port))
        else:
            socket.socket(socket.AF_INET, socket.SOCK_RAW, IPPROTO_SCTP).close()
    except PermissionError as error:
        raise ResourceError(
            "SCTP on raw IP: permission denied; run as root or give the process CAP_NET_RAW, "
            "or use 'sctp udp-encapsulation'"
        ) from error
    except OSError as error:
        raise ResourceError(
            f"SCTP in UDP port {udp_port}: {os.strerror(error.errno or 0)}; "
            "stop the other process that uses it, or choose another port"
        ) from error


@implementer(IReadDescriptor)
class Library:
    """The library with its sockets, known by numbers of ours.

    ``reactor`` gets the descriptor that the library's threads wake it by; ``udp_port`` is the port for
    encapsulation, 0 for none. Raises :class:`ResourceError`.
    """

    def __init__(self, reactor: Any, udp_port: int) -> None:
        if why := missing():
            raise ResourceError(f"SCTP: {why}")
        _probe(udp_port)
        self.udp_port = udp_port
        self._reactor = reactor
        self._ffi = ffi = FFI()
        ffi.cdef(_CDEF)
        # Its threads run until the process ends: it must not be unloaded under them.
        self._lib = ffi.dlopen(LIBRARY, ffi.RTLD_NOW | _NODELETE)
        self._lib.usrsctp_init(udp_port, ffi.NULL, ffi.NULL)
        # Else each of several stacks on one host, ours or the kernel's, would abort what is the others'.
        self._lib.usrsctp_sysctl_set_sctp_blackhole(2)
        self._upcall = ffi.callback("void(struct socket *, void *, int)", self._called)
        self._fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._sockets: dict[int, tuple[Any, Ready]] = {}
        self._last = 0
        self._marked: set[int] = set()
        self._waiting: deque[int] = deque()
        self._woken = False
        self._buffer = ffi.new("char[]", READ_SIZE)
        self._out = {
            "from": ffi.new("char[]", 128),
            "fromlen": ffi.new("socklen_t *"),
            "info": ffi.new("char[]", 128),
            "infolen": ffi.new("socklen_t *"),
            "infotype": ffi.new("unsigned int *"),
            "flags": ffi.new("int *"),
        }
        ppid = PPID.to_bytes(4, "big")
        self._infos = [ffi.new("char[]", _SNDINFO.pack(0, flags, ppid, 0, 0)) for flags in (0, _UNORDERED)]
        self._reactor.addReader(self)
        atexit.register(self._silence)

    # ---- the library's threads

    def _called(self, _socket: Any, number: Any, _flags: int) -> None:
        """Something has happened to a socket. Runs on a thread of the library: no other call but this."""
        self.poke(int(self._ffi.cast("intptr_t", number)))

    def poke(self, number: int) -> None:
        """Have a socket looked at in the next turn; from any thread."""
        if number in self._marked:
            # It will be looked at after this, and sees what has happened now as well.
            return
        self._marked.add(number)
        self._waiting.append(number)
        if not self._woken:
            self._woken = True
            os.eventfd_write(self._fd, 1)

    def _silence(self) -> None:
        """The process ends: the library's threads must not call what is taken apart."""
        for handle, _ in self._sockets.values():
            self._lib.usrsctp_set_upcall(handle, self._ffi.NULL, self._ffi.NULL)

    # ---- the reactor's thread

    def serve(self, reactor: Any) -> None:
        """Be read by another reactor: only tests have several, one after the other."""
        if reactor is not self._reactor:
            self._reactor = reactor
            reactor.addReader(self)

    def fileno(self) -> int:
        """The descriptor that the library's threads write to."""
        return self._fd

    def logPrefix(self) -> str:
        """The name used by the reactor when something goes wrong here."""
        return "libusrsctp"

    def connectionLost(self, reason: Any) -> None:
        """Nothing of ours closes the descriptor."""

    def doRead(self) -> None:
        """Look at the sockets that something has happened to."""
        try:
            os.eventfd_read(self._fd)
        except BlockingIOError:
            return
        # In this order: who comes before this line is looked at below, who comes after it writes again.
        self._woken = False
        waiting = self._waiting
        for _ in range(len(waiting)):
            number = waiting.popleft()
            self._marked.discard(number)
            known = self._sockets.get(number)
            if known is None:
                continue
            try:
                known[1](self._lib.usrsctp_get_events(known[0]))
            except Exception:  # noqa: BLE001 - logged
                # An exception that leaves doRead would stop SCTP for everybody.
                _log.failure("SCTP association {number} could not be dealt with", number=number)

    def _done(self, result: int) -> int:
        if result < 0:
            number = self._ffi.errno
            raise OSError(number, os.strerror(number))
        return result

    def open(self, v6: bool) -> Any:
        """A new one-to-one socket. Raises OSError."""
        family, null = socket.AF_INET6 if v6 else socket.AF_INET, self._ffi.NULL
        made = self._lib.usrsctp_socket(family, socket.SOCK_STREAM, IPPROTO_SCTP, null, null, 0, null)
        if made == null:
            self._done(-1)
        return made

    def adopt(self, handle: Any, ready: Ready) -> int:
        """Watch a socket: ``ready`` is told of it, on the reactor's thread; returns its number."""
        self._last += 1
        number = self._last
        self._sockets[number] = handle, ready
        lib = self._lib
        self._done(lib.usrsctp_set_non_blocking(handle, 1))
        self._done(lib.usrsctp_set_upcall(handle, self._upcall, self._ffi.cast("void *", number)))
        # What has happened before was told to nobody.
        self.poke(number)
        return number

    def option(self, handle: Any, level: int, name: int, value: bytes) -> None:
        """Set an option of a socket. Raises OSError."""
        self._done(self._lib.usrsctp_setsockopt(handle, level, name, value, len(value)))

    def error(self, handle: Any) -> int:
        """The error that a socket has run into; 0: none."""
        value, size = self._ffi.new("int *"), self._ffi.new("socklen_t *", 4)
        result = self._lib.usrsctp_getsockopt(handle, socket.SOL_SOCKET, socket.SO_ERROR, value, size)
        return 0 if result < 0 else int(value[0])

    def bind(self, handle: Any, addresses: list[bytes]) -> None:
        """Give a socket its addresses, each a ``sockaddr``. Raises OSError."""
        data = self._ffi.from_buffer(bytearray(b"".join(addresses)))
        self._done(self._lib.usrsctp_bindx(handle, data, len(addresses), 0x8001))

    def listen(self, handle: Any, backlog: int) -> None:
        """Take associations. Raises OSError."""
        self._done(self._lib.usrsctp_listen(handle, backlog))

    def accept(self, handle: Any) -> Any:
        """The next association, or ``None``. Raises OSError."""
        made = self._lib.usrsctp_accept(handle, self._ffi.NULL, self._ffi.NULL)
        if made != self._ffi.NULL:
            return made
        if self._ffi.errno in (errno.EWOULDBLOCK, errno.ECONNABORTED, errno.EINTR):
            return None
        return self._done(-1)

    def connect(self, handle: Any, addresses: list[bytes]) -> None:
        """Begin to connect to a peer that has all these addresses. Raises OSError."""
        data = b"".join(addresses)
        result = self._lib.usrsctp_connectx(handle, data, len(addresses), self._ffi.NULL)
        if result < 0 and self._ffi.errno != errno.EINPROGRESS:
            self._done(result)

    def send(self, handle: Any, data: bytes, unordered: bool) -> bool:
        """Send a message on stream 0; false when there is no room. Raises OSError."""
        lib, null = self._lib, self._ffi.NULL
        info = self._infos[unordered]
        sent = lib.usrsctp_sendv(handle, data, len(data), null, 0, info, _SNDINFO.size, _SENDV_SNDINFO, 0)
        if sent < 0:
            if self._ffi.errno in (errno.EWOULDBLOCK, errno.EINTR):
                return False
            self._done(sent)
        return True

    def receive(self, handle: Any) -> tuple[bytes, int] | None:
        """One message, or a piece of one, with its flags; ``None``: there is nothing. Raises OSError.

        No octets without ``MSG_NOTIFICATION``: the association has ended.
        """
        out = self._out
        out["fromlen"][0], out["infolen"][0], out["flags"][0] = 128, 128, 0
        count = self._lib.usrsctp_recvv(
            handle, self._buffer, READ_SIZE, out["from"], out["fromlen"],
            out["info"], out["infolen"], out["infotype"], out["flags"],
        )  # fmt: skip
        if count < 0:
            if self._ffi.errno in (errno.EWOULDBLOCK, errno.EINTR):
                return None
            self._done(count)
        return self._ffi.buffer(self._buffer, count)[:], out["flags"][0]

    def addresses(self, handle: Any, remote: bool) -> list[tuple[bytes, int]]:
        """Addresses and ports of the peer, or our own."""
        lib, found = self._lib, self._ffi.new("void **")
        get, free = (
            (lib.usrsctp_getpaddrs, lib.usrsctp_freepaddrs)
            if remote
            else (lib.usrsctp_getladdrs, lib.usrsctp_freeladdrs)
        )
        count = get(handle, 0, found)
        if count <= 0:
            return []
        size = 0
        for _ in range(count):
            family = self._ffi.cast("uint16_t *", self._ffi.cast("char *", found[0]) + size)[0]
            size += 28 if family == socket.AF_INET6 else 16
        data = self._ffi.buffer(found[0], size)[:]
        free(found[0])
        return parse_sockaddrs(data, count)

    def shutdown(self, handle: Any) -> None:
        """End an association when all that was sent has arrived. Raises OSError."""
        self._done(self._lib.usrsctp_shutdown(handle, socket.SHUT_WR))

    def close(self, handle: Any, number: int, abort: bool) -> None:
        """Close a socket; ``abort``: tell the peer so by ABORT, and drop what was not sent."""
        self._sockets.pop(number, None)
        lib = self._lib
        lib.usrsctp_set_upcall(handle, self._ffi.NULL, self._ffi.NULL)
        if abort:
            lib.usrsctp_setsockopt(handle, socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0), 8)
        lib.usrsctp_close(handle)


_the_library: Library | None = None


def library(reactor: Any, udp_port: int) -> Library:
    """The one library of this process. Raises :class:`ResourceError`."""
    global _the_library
    if _the_library is None:
        _the_library = Library(reactor, udp_port)
    elif _the_library.udp_port == udp_port:
        _the_library.serve(reactor)
    else:
        raise ResourceError(
            f"SCTP {_port_text(udp_port)}: this process runs it {_port_text(_the_library.udp_port)} already; "
            "give all endpoints the same 'sctp udp-encapsulation' in the boot file, and restart"
        )
    return _the_library


def _port_text(udp_port: int) -> str:
    return f"in UDP port {udp_port}" if udp_port else "on raw IP"
