"""Diameter over the SCTP of libusrsctp, on raw IP or in UDP (RFC 6951); see ``usrsctp`` for its threads."""

import errno
import os
import socket
import struct
from typing import Any

from twisted.logger import Logger

from appliance.errors import ResourceError
from appliance.protocols.diameter.message.codec import Malformed
from appliance.protocols.diameter.transport import usrsctp
from appliance.protocols.diameter.transport.link import Connection, Owner, text_of
from appliance.protocols.diameter.transport.sctp_base import (
    ASSOCIATION_RETRANSMISSIONS,
    BACKLOG,
    HEARTBEAT,
    INIT_ATTEMPTS,
    INIT_PAUSE,
    IPPROTO_SCTP,
    PATH_RETRANSMISSIONS,
    READS,
    RECEIVE_BUFFER,
    RTO_INITIAL,
    RTO_MAX,
    RTO_MIN,
    SEND_BUFFER,
    STREAMS,
    Association,
    short,
    sockaddr,
)
from appliance.protocols.rawsock import explain

_log = Logger(namespace="diameter")

# Options of <usrsctp.h>.
_RTOINFO, _ASSOCINFO, _INITMSG, _NODELAY, _PATHS, _EVENT, _UDP_ENCAPS = 1, 2, 3, 4, 0x0A, 0x1E, 0x24
_HEARTBEATS = 1
#: States of an association, in the event that tells of them.
_UP, _LOST, _RESTART, _DOWN, _FAILED = 1, 2, 3, 4, 5
#: States of an address of the peer.
_REACHABLE, _UNREACHABLE = 1, 2
_CHANGE = struct.Struct("=HHIHHHHI")
#: struct sctp_paddrparams, for all addresses.
_PATH = struct.Struct("=128x5IHBx")
_INIT = struct.Struct("=HHHH")


def _prepare(library: usrsctp.Library, handle: Any, v6: bool) -> None:
    """Set what holds for listeners, and so for what they accept, and for what we open."""
    for level, name, value in (
        (socket.SOL_SOCKET, socket.SO_SNDBUF, struct.pack("i", SEND_BUFFER)),
        (socket.SOL_SOCKET, socket.SO_RCVBUF, struct.pack("i", RECEIVE_BUFFER)),
        (IPPROTO_SCTP, _INITMSG, _INIT.pack(1, STREAMS, INIT_ATTEMPTS, INIT_PAUSE)),
        (IPPROTO_SCTP, _RTOINFO, struct.pack("=4I", 0, RTO_INITIAL, RTO_MAX, RTO_MIN)),
        (IPPROTO_SCTP, _ASSOCINFO, struct.pack("=4I2H", 0, 0, 0, 0, ASSOCIATION_RETRANSMISSIONS, 0)),
        (IPPROTO_SCTP, _PATHS, _PATH.pack(0, HEARTBEAT, 0, _HEARTBEATS, 0, PATH_RETRANSMISSIONS, 0)),
        # What is written in one turn is bundled by the association anyway while it waits for an answer.
        (IPPROTO_SCTP, _NODELAY, struct.pack("i", 1)),
        (IPPROTO_SCTP, _EVENT, struct.pack("=IHBx", 0, usrsctp.ASSOC_CHANGE, 1)),
        (IPPROTO_SCTP, _EVENT, struct.pack("=IHBx", 0, usrsctp.PEER_ADDR_CHANGE, 1)),
    ):
        library.option(handle, level, name, value)
    if library.udp_port:
        # struct sctp_udpencaps: an address (none: all of the association), its id, the port.
        family = socket.AF_INET6 if v6 else socket.AF_INET
        value = struct.pack("=H126xI2s2x", family, 0, library.udp_port.to_bytes(2, "big"))
        library.option(handle, IPPROTO_SCTP, _UDP_ENCAPS, value)


class UserAssociation(Association):
    """An association of libusrsctp."""

    def __init__(
        self, owner: Owner, number: int, incoming: bool, longest: int, library: usrsctp.Library, handle: Any
    ) -> None:
        super().__init__(owner, number, incoming, longest)
        self._library = library
        self._handle: Any = handle
        self._key = 0
        self._wants_room = False
        self._deafened = False

    def watch(self) -> None:
        """Begin to be told of what happens."""
        self._key = self._library.adopt(self._handle, self._ready)

    # ---- told by the library, on the reactor's thread

    def _ready(self, events: int) -> None:
        if self._handle is None:
            return
        if self._wants_room and events & usrsctp.WRITE:
            self._drain()
        if not self._deafened and self._handle is not None:
            self._read()
        if events & usrsctp.ERROR and self._handle is not None and not self._deafened:
            number = self._library.error(self._handle)
            if number:
                self._over_with(os.strerror(number).lower())

    def _read(self) -> None:
        fault, head, end = None, b"", ""
        ended = False
        for _ in range(READS):
            if self._handle is None:
                # What was read last has ended it.
                return
            try:
                got = self._library.receive(self._handle)
            except OSError as error:
                ended, end = True, (error.strerror or str(error)).lower()
                break
            if got is None:
                break
            data, flags = got
            if flags & usrsctp.MSG_NOTIFICATION:
                ended, end = self._told(data)
            elif not data:
                ended = True
            else:
                try:
                    self._piece(data, bool(flags & usrsctp.MSG_EOR))
                except Malformed as error:
                    fault, head = error, data
            if ended or fault is not None:
                break
        else:
            self._library.poke(self._key)
        self._batch(fault, head)
        if ended and self._handle is not None:
            self._over_with(end)

    def _told(self, data: bytes) -> tuple[bool, str]:
        """Take a notification; returns whether the association is over, and why."""
        kind = short(data)
        if kind == usrsctp.PEER_ADDR_CHANGE and self.up:
            self._path(data, _UNREACHABLE, _REACHABLE)
        if kind != usrsctp.ASSOC_CHANGE or len(data) < _CHANGE.size:
            return False, ""
        state = _CHANGE.unpack_from(data)[3]
        if state == _UP:
            self._begin()
        elif state == _LOST:
            return True, "the association was lost or aborted"
        elif state == _RESTART:
            return True, "the peer has restarted"
        elif state == _FAILED:
            return True, "no association: no answer, or refused"
        return state == _DOWN, ""

    def _begin(self) -> None:
        if self.up:
            return
        remote = self._library.addresses(self._handle, True)
        if remote:
            self.remote, self.port = remote[0]
        own = self._library.addresses(self._handle, False)
        self.local = tuple(address for address, _ in own)
        self.local_port = own[0][1] if own else 0
        self._open()

    # ---- what Association wants

    def _put(self, data: bytes, unordered: bool) -> bool:
        return self._library.send(self._handle, data, unordered)

    def _hear(self, wanted: bool) -> None:
        self._wants_room = wanted

    def _shut(self) -> None:
        if self._handle is None:
            return
        try:
            self._library.shutdown(self._handle)
        except OSError:
            # Not connected yet, or not any more.
            self._reset()

    def _reset(self) -> None:
        self._over_with("", abort=True)

    def _listen(self, wanted: bool) -> None:
        self._deafened = not wanted
        if wanted and self._handle is not None:
            self._library.poke(self._key)

    def _over_with(self, text: str, abort: bool = False) -> None:
        handle, self._handle = self._handle, None
        if handle is None:
            return
        self._queue.clear()
        self._library.close(handle, self._key, abort)
        self._gone(text)


class _Port:
    """A listening socket."""

    def __init__(self, owner: Owner, library: usrsctp.Library, handle: Any) -> None:
        self._owner = owner
        self._library = library
        self._handle = handle
        self._key = library.adopt(handle, self._ready)

    def _ready(self, _events: int) -> None:
        for _ in range(BACKLOG):
            try:
                made = self._library.accept(self._handle)
            except OSError as error:
                _log.warn("SCTP accept: {text}", text=error.strerror)
                return
            if made is None:
                return
            self._admit(made)
        self._library.poke(self._key)

    def _admit(self, handle: Any) -> None:
        remote = self._library.addresses(handle, True)
        place = self._owner.admit("sctp", *remote[0]) if remote else None
        if place is None:
            self._library.close(handle, 0, True)
            return
        connection = UserAssociation(self._owner, place.number, True, place.longest, self._library, handle)
        connection.source = place.source
        self._owner.made(connection)
        connection.watch()
        connection._begin()

    def stopListening(self) -> None:
        """Listen no more; what was accepted stays."""
        self._library.close(self._handle, self._key, False)


class UserStack:
    """SCTP by libusrsctp; ``udp_port`` is 0 for raw IP."""

    def __init__(self, udp_port: int) -> None:
        self._udp_port = udp_port
        self.name = f"libusrsctp in UDP port {udp_port}" if udp_port else "libusrsctp on raw IP"

    def _socket(self, owner: Owner, addresses: tuple[bytes, ...]) -> tuple[usrsctp.Library, Any]:
        library = usrsctp.library(owner.reactor, self._udp_port)
        v6 = any(len(each) == 16 for each in addresses)
        try:
            handle = library.open(v6)
            _prepare(library, handle, v6)
        except OSError as error:
            raise ResourceError(explain(error, "SCTP socket")) from error
        return library, handle

    def listen(self, owner: Owner, addresses: tuple[bytes, ...], port: int) -> Any:
        """Take connections; see ``sctp.Stack``."""
        library, handle = self._socket(owner, addresses)
        try:
            library.bind(handle, [sockaddr(each, port) for each in addresses])
            library.listen(handle, BACKLOG)
        except OSError as error:
            library.close(handle, 0, False)
            names = ", ".join(text_of(each) for each in addresses)
            text = explain(error, f"SCTP port {port} on {names}")
            if error.errno == errno.EADDRNOTAVAIL:
                # The library reads the addresses of the host once.
                text += "; if it came after the first use of SCTP by this process, restart the appliance"
            raise ResourceError(text) from error
        return _Port(owner, library, handle)

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
        library, handle = self._socket(owner, (*addresses, *own))
        connection = UserAssociation(owner, number, False, longest, library, handle)
        connection.peer = peer
        connection.remote, connection.port = addresses[0], port
        try:
            if own:
                library.bind(handle, [sockaddr(each, 0) for each in own])
            library.connect(handle, [sockaddr(each, port) for each in addresses])
        except OSError as error:
            library.close(handle, 0, True)
            raise ResourceError(explain(error, f"SCTP to port {port} of {text_of(addresses[0])}")) from error
        connection.watch()
        return connection
