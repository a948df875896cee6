"""Diameter over the SCTP of the kernel: one-to-one sockets (RFC 6458), by what Python's sockets can do.

Several addresses come by the options that ``sctp_bindx`` and ``sctp_connectx`` are made of, stream, order and
PPID of a message by ancillary data.
"""

import errno
import os
import socket
import struct
from typing import Any

from cffi import FFI
from twisted.internet.interfaces import IReadWriteDescriptor
from twisted.logger import Logger
from zope.interface import implementer

from appliance.errors import ResourceError
from appliance.protocols.diameter.message.codec import Malformed
from appliance.protocols.diameter.transport.link import Connection, Owner, packed, text_of
from appliance.protocols.diameter.transport.sctp_base import (
    ASSOCIATION_RETRANSMISSIONS,
    BACKLOG,
    HEARTBEAT,
    INIT_ATTEMPTS,
    INIT_PAUSE,
    IPPROTO_SCTP,
    PATH_RETRANSMISSIONS,
    PPID,
    READ_SIZE,
    READS,
    RECEIVE_BUFFER,
    RTO_INITIAL,
    RTO_MAX,
    RTO_MIN,
    SEND_BUFFER,
    STREAMS,
    Association,
    parse_sockaddrs,
    short,
    sockaddr,
)
from appliance.protocols.rawsock import SO_RCVBUFFORCE, SO_SNDBUFFORCE, explain

_log = Logger(namespace="diameter")

# Options of <linux/sctp.h>.
_RTOINFO, _ASSOCINFO, _INITMSG, _NODELAY, _PATHS, _EVENTS, _V4_MAPPED = 0, 1, 2, 3, 9, 11, 12
_BINDX_ADD, _GET_PEER_ADDRESSES, _GET_LOCAL_ADDRESSES, _CONNECTX = 100, 108, 109, 110
_HEARTBEATS = 1
#: struct sctp_paddrparams, for all addresses.
_PATH = struct.Struct("=I128xIHIIIIBx")
_SNDINFO = struct.Struct("=HH4sIi")
_SNDINFO_TYPE, _UNORDERED = 2, 1
_INFOS = [
    [(IPPROTO_SCTP, _SNDINFO_TYPE, _SNDINFO.pack(0, flags, PPID.to_bytes(4, "big"), 0, 0))]
    for flags in (0, _UNORDERED)
]
_MSG_NOTIFICATION = 0x8000
#: Notifications and their states.
_ASSOC_CHANGE, _PEER_ADDR_CHANGE = 0x8001, 0x8002
_UP, _LOST, _RESTART, _DOWN, _FAILED = range(5)
_REACHABLE, _UNREACHABLE = 0, 1
_CHANGE = struct.Struct("=HHIHHHHi")

_ROOM = 8 + 28 * 64
_ffi = FFI()
_ffi.cdef("int getsockopt(int, int, int, void *, unsigned int *);")
_libc = _ffi.dlopen(None)


def missing() -> str:
    """Why the kernel has no SCTP; empty: it has."""
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_SCTP).close()
    except OSError as error:
        return f"the kernel has no SCTP ({os.strerror(error.errno or 0).lower()})"
    return ""


def _open(addresses: tuple[bytes, ...]) -> socket.socket:
    """A socket for these addresses, with what holds for it and for what it accepts. Raises OSError."""
    v6 = any(len(each) == 16 for each in addresses)
    sock = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_STREAM, IPPROTO_SCTP)
    try:
        sock.setblocking(False)
        for forced, plain, size in (
            (SO_SNDBUFFORCE, socket.SO_SNDBUF, SEND_BUFFER),
            (SO_RCVBUFFORCE, socket.SO_RCVBUF, RECEIVE_BUFFER),
        ):
            try:
                sock.setsockopt(socket.SOL_SOCKET, forced, size)
            except PermissionError:
                sock.setsockopt(socket.SOL_SOCKET, plain, size)
        for name, value in (
            (_RTOINFO, struct.pack("=4I", 0, RTO_INITIAL, RTO_MAX, RTO_MIN)),
            (_ASSOCINFO, struct.pack("=I2H3I", 0, ASSOCIATION_RETRANSMISSIONS, 0, 0, 0, 0)),
            (_PATHS, _PATH.pack(0, HEARTBEAT, PATH_RETRANSMISSIONS, 0, 0, _HEARTBEATS, 0, 0)),
            (_INITMSG, struct.pack("=4H", 1, STREAMS, INIT_ATTEMPTS, INIT_PAUSE)),
            (_NODELAY, struct.pack("i", 1)),
            # Of the associations and of their addresses.
            (_EVENTS, b"\0\1\1"),
        ):
            sock.setsockopt(IPPROTO_SCTP, name, value)
        if v6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            sock.setsockopt(IPPROTO_SCTP, _V4_MAPPED, struct.pack("i", 0))
    except OSError:
        sock.close()
        raise
    return sock


def _addresses(sock: socket.socket, option: int) -> list[tuple[bytes, int]]:
    """Addresses and ports of the peer or our own (struct sctp_getaddrs)."""
    # Not by the method of the socket: the kernel gives the length of our own addresses without the eight
    # octets before them, and Python cuts what it gives by that.
    room = _ffi.new("char[]", _ROOM)
    if _libc.getsockopt(sock.fileno(), IPPROTO_SCTP, option, room, _ffi.new("unsigned int *", _ROOM)) < 0:
        return []
    data = _ffi.buffer(room)[:]
    _, count = struct.unpack_from("=iI", data)
    return parse_sockaddrs(data[8:], count)


@implementer(IReadWriteDescriptor)
class KernelAssociation(Association):
    """An association of the kernel, as a descriptor of the reactor."""

    def __init__(self, owner: Owner, number: int, incoming: bool, longest: int, sock: socket.socket) -> None:
        super().__init__(owner, number, incoming, longest)
        self._reactor = owner.reactor
        self._socket: socket.socket | None = sock

    def fileno(self) -> int:
        """The file descriptor."""
        return self._socket.fileno() if self._socket is not None else -1

    def logPrefix(self) -> str:
        """The name used by the reactor when something goes wrong here."""
        return "Diameter over SCTP"

    def connectionLost(self, reason: Any) -> None:
        """Close on the reactor's word."""
        self._over_with(str(reason.value) if reason is not None else "")

    def watch(self) -> None:
        """Begin to read; of a connection that we open, wait until it is there."""
        self._reactor.addReader(self)
        if not self.incoming:
            self._reactor.addWriter(self)

    def begin(self) -> None:
        """The association is there."""
        if self.up or self._socket is None:
            return
        remote = _addresses(self._socket, _GET_PEER_ADDRESSES)
        if remote:
            self.remote, self.port = remote[0]
        own = _addresses(self._socket, _GET_LOCAL_ADDRESSES)
        host = self._socket.getsockname()
        self.local, self.local_port = tuple(address for address, _ in own) or (packed(host[0]),), host[1]
        self._open()

    # ---- told by the reactor

    def doWrite(self) -> None:
        """There is room, or the connection that we open is there, or is not."""
        if self._socket is None:
            return
        if self.up or self.incoming:
            self._drain()
            return
        number = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            self._over_with(os.strerror(number).lower())
            return
        self._reactor.removeWriter(self)
        self.begin()

    def doRead(self) -> None:
        """Read what has come, so much of it that others have their turn, too."""
        fault, head, end = None, b"", ""
        ended = False
        for _ in range(READS):
            if self._socket is None:
                return
            try:
                data, _ancillary, flags, _address = self._socket.recvmsg(READ_SIZE)
            except (BlockingIOError, InterruptedError):
                break
            except OSError as error:
                ended, end = True, os.strerror(error.errno or 0).lower()
                break
            if flags & _MSG_NOTIFICATION:
                ended, end = self._told(data)
            elif not data:
                ended = True
            else:
                try:
                    self._piece(data, bool(flags & socket.MSG_EOR))
                except Malformed as error:
                    fault, head = error, data
            if ended or fault is not None:
                break
        self._batch(fault, head)
        if ended:
            self._over_with(end)

    def _told(self, data: bytes) -> tuple[bool, str]:
        """Take a notification; returns whether the association is over, and why."""
        kind = short(data)
        if kind == _PEER_ADDR_CHANGE and self.up:
            self._path(data, _UNREACHABLE, _REACHABLE)
        if kind != _ASSOC_CHANGE or len(data) < _CHANGE.size:
            return False, ""
        state = _CHANGE.unpack_from(data)[3]
        if state == _UP:
            self.begin()
        elif state == _LOST:
            return True, "the association was lost or aborted"
        elif state == _RESTART:
            return True, "the peer has restarted"
        elif state == _FAILED:
            return True, "no association: no answer, or refused"
        return state == _DOWN, ""

    # ---- what Association wants

    def _put(self, data: bytes, unordered: bool) -> bool:
        if self._socket is None:
            return True
        try:
            self._socket.sendmsg([data], _INFOS[unordered])
        except (BlockingIOError, InterruptedError):
            return False
        return True

    def _hear(self, wanted: bool) -> None:
        if self._socket is None:
            return
        if wanted:
            self._reactor.addWriter(self)
        else:
            self._reactor.removeWriter(self)

    def _shut(self) -> None:
        if self._socket is None:
            return
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            # Not connected yet, or not any more.
            self._reset()

    def _reset(self) -> None:
        self._over_with("", abort=True)

    def _listen(self, wanted: bool) -> None:
        if self._socket is None:
            return
        if wanted:
            self._reactor.addReader(self)
        else:
            self._reactor.removeReader(self)

    def _over_with(self, text: str, abort: bool = False) -> None:
        if self._socket is None:
            return
        self._reactor.removeReader(self)
        self._reactor.removeWriter(self)
        sock, self._socket = self._socket, None
        self._queue.clear()
        if abort:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
        self._gone(text)


@implementer(IReadWriteDescriptor)
class _Port:
    """A listening socket."""

    def __init__(self, owner: Owner, sock: socket.socket) -> None:
        self._owner = owner
        self._socket = sock
        owner.reactor.addReader(self)

    def fileno(self) -> int:
        """The file descriptor."""
        return self._socket.fileno()

    def logPrefix(self) -> str:
        """The name used by the reactor when something goes wrong here."""
        return "Diameter over SCTP"

    def connectionLost(self, reason: Any) -> None:
        """Close on the reactor's word."""
        self.stopListening()

    def doWrite(self) -> None:
        """Nothing is written here."""

    def doRead(self) -> None:
        """Accept, at most ``BACKLOG`` at a time."""
        for _ in range(BACKLOG):
            try:
                made, _address = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                _log.warn("SCTP accept: {text}", text=os.strerror(error.errno or 0))
                return
            self._admit(made)

    def _admit(self, made: socket.socket) -> None:
        made.setblocking(False)
        remote = _addresses(made, _GET_PEER_ADDRESSES)
        place = self._owner.admit("sctp", *remote[0]) if remote else None
        if place is None:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            made.close()
            return
        connection = KernelAssociation(self._owner, place.number, True, place.longest, made)
        connection.source = place.source
        self._owner.made(connection)
        connection.watch()
        connection.begin()

    def stopListening(self) -> None:
        """Listen no more; what was accepted stays."""
        self._owner.reactor.removeReader(self)
        self._socket.close()


class KernelStack:
    """SCTP by the kernel."""

    name = "kernel"

    def listen(self, owner: Owner, addresses: tuple[bytes, ...], port: int) -> Any:
        """Take connections; see ``sctp.Stack``."""
        try:
            sock = _open(addresses)
        except OSError as error:
            raise ResourceError(explain(error, "SCTP socket")) from error
        try:
            data = b"".join(sockaddr(each, port) for each in addresses)
            sock.setsockopt(IPPROTO_SCTP, _BINDX_ADD, data)
            sock.listen(BACKLOG)
        except OSError as error:
            sock.close()
            names = ", ".join(text_of(each) for each in addresses)
            raise ResourceError(explain(error, f"SCTP port {port} on {names}")) from error
        return _Port(owner, sock)

    def connect(
        self,
        owner: Owner,
        number: int,
        addresses: tuple[bytes, ...],
        port: int,
        *,
        local: tuple[bytes, ...],
        peer: str,
        longest: int,
        timeout: float,
    ) -> Connection:
        """Open a connection; see ``sctp.Stack``."""
        families = {len(each) for each in addresses}
        own = [each for each in local if len(each) in families]
        where = f"SCTP to port {port} of {text_of(addresses[0])}"
        try:
            sock = _open((*addresses, *own))
        except OSError as error:
            raise ResourceError(explain(error, "SCTP socket")) from error
        try:
            if own:
                sock.setsockopt(IPPROTO_SCTP, _BINDX_ADD, b"".join(sockaddr(each, 0) for each in own))
            sock.setsockopt(IPPROTO_SCTP, _CONNECTX, b"".join(sockaddr(each, port) for each in addresses))
        except OSError as error:
            if error.errno != errno.EINPROGRESS:
                sock.close()
                raise ResourceError(explain(error, where)) from error
        connection = KernelAssociation(owner, number, False, longest, sock)
        connection.peer = peer
        connection.remote, connection.port = addresses[0], port
        connection.watch()
        return connection
