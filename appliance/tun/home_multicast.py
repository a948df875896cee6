"""Multicast of a home link for hosts that are away: packet socket, memberships of the device, queries.

::

    packet socket, global scope ─▶ who wants the group? ─▶ tunnels
    MLD reports out of tunnels ─▶ Groups ─▶ the device joins and leaves groups, the kernel says so on the link
"""

import socket
import struct
from collections.abc import Callable
from typing import Any

from appliance.errors import ResourceError
from appliance.tun import groups, offload
from appliance.tun import packet as ip
from appliance.tun.device import PacketDevice, Reader, System
from appliance.tun.forwarding import Forwarding
from appliance.tun.groups import Groups
from appliance.tun.offload import HEADER_SIZE
from appliance.tun.session import Session

ETHERNET = 14
#: Frames of one wake-up.
BATCH = 32
Send = Callable[[Session, list[bytes]], None]
Split = Callable[[bytes, offload.Offload], list[bytes]]


class HomeMulticast:
    """What one service does about groups on its home link.

    ``split`` makes single packets of one with its virtio header, ``send`` queues them for a tunnel, ``flush``
    sends what is queued, ``clock`` gives monotonic seconds. Without the device it waits for it.
    """

    def __init__(
        self,
        reactor: Any,
        system: System,
        forwarding: Forwarding,
        interface: str,
        split: Split,
        send: Send,
        flush: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        self._reactor = reactor
        self._system = system
        self._forwarding = forwarding
        self._interface = interface
        self._split, self._send, self._flush, self._clock = split, send, flush, clock
        self.groups = Groups(forwarding.sessions)
        self._link: PacketDevice | None = None
        self._reader: Reader | None = None
        self._joined: socket.socket | None = None
        for session in forwarding.sessions.values():
            self.came(session, None)
        self._timer: Any = reactor.callLater(groups.STEP, self._tick)

    # ---- hosts

    def came(self, session: Session, old_peer: bytes | None) -> None:
        """A session was made or changed; only those of hosts on the home link count."""
        if self._forwarding.is_at_home(session):
            self.groups.came(session, old_peer)

    def went(self, session: Session) -> None:
        """A session is gone."""
        self._membership((), self.groups.went(session))

    def heard(self, peer: bytes, packet: bytes, now: float, port: int = 0) -> bool:
        """Whether a packet to a group, out of a tunnel, was an MLD message of a host; ``port``: see there."""
        found = self.groups.heard(peer, packet, now, port)
        if found is None:
            return False
        self._membership(*found)
        return True

    # ---- the link

    def _membership(self, join: Any, leave: Any) -> None:
        """Have the device be a member, or be one no more."""
        if self._link is None:
            # It joins all of them when it is there.
            return
        for option, changed in ((socket.IPV6_JOIN_GROUP, join), (socket.IPV6_LEAVE_GROUP, leave)):
            for group in changed:
                try:
                    if self._joined is None:
                        self._joined = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
                    index = socket.if_nametoindex(self._interface)
                    self._joined.setsockopt(socket.IPPROTO_IPV6, option, struct.pack("16sI", group, index))
                except OSError:
                    # The packet socket hears all groups that come to the device anyway.
                    self._forwarding.drop("home link membership")

    def _open(self) -> None:
        try:
            self._link = self._system.open_groups(self._interface)
        except ResourceError:
            return
        self._reader = Reader(self._link.fileno(), self._read)
        self._reactor.addReader(self._reader)
        # The device may be another one by the same name.
        self._membership(self.groups.every(), ())

    def _shut(self) -> None:
        if self._reader is not None:
            self._reactor.removeReader(self._reader)
            self._reader = None
        if self._link is not None:
            self._link.close()
            self._link = None
        if self._joined is not None:
            self._joined.close()
            self._joined = None

    def _read(self) -> None:
        now = self._clock()
        for _ in range(BATCH):
            if self._link is None:
                break
            try:
                data = self._link.socket.recv(65_536 + 256)
            except BlockingIOError:
                break
            except OSError:
                # The device is down or gone; the next tick looks for it again.
                self._shut()
                break
            self._frame(data, now)
        self._flush()

    def _frame(self, data: bytes, now: float) -> None:
        packet = data[HEADER_SIZE + ETHERNET :]
        if len(packet) < 40 or not groups.has_global_scope(packet[24:40]):
            return
        wanting = self.groups.wanting(packet[24:40])
        if not wanting:
            return
        flags, kind, length, size, start, offset = offload.read_header(data)
        header = offload.Offload(flags, kind, length, size, start - ETHERNET, offset)
        trimmed = packet if kind else ip.trimmed(packet)
        # RFC 8200 section 3: the home agent is the router between the link and the tunnel.
        changed = None if trimmed is None else ip.forwarded(trimmed)
        if changed is None or ip.link_scope(changed[8:24]):
            return
        pieces = self._split(changed, header)
        for session in wanting:
            if pieces and self._forwarding.may_enter(session, changed, max(map(len, pieces)), now):
                self._send(session, pieces)

    # ---- time

    def _tick(self) -> None:
        self._timer = self._reactor.callLater(groups.STEP, self._tick)
        if self._link is None:
            self._open()
        asked, left = self.groups.tick(self._clock())
        self._membership((), left)
        if asked:
            source = self._system.link_address(self._interface)
            for session in asked if source else ():
                self._send(session, [groups.query(source)])
            self._flush()

    def close(self) -> None:
        """Close everything; the memberships of the device go with the socket."""
        self._shut()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
