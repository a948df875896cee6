"""Sessions by prefix, address and key, and the paths to the tunnel peers. No I/O.

A path is the way to one gateway: an address, or behind a NAT an address together with what tells the gateways
there apart. The port of a gateway behind a NAT is whatever its packets come from: it is learnt from those
that were found to be of one of its sessions, and followed when the NAT gives another one.
"""

from collections.abc import Callable

from appliance.protocols.pmipv6.events import Install
from appliance.tun import packet as ip
from appliance.tun.encap import DATA_PORT, choose
from appliance.tun.session import IPV4, Path, Session, Widths, ipv4_owner, table_of

#: RFC 8201 section 4: a lowered path MTU is tried again after ten minutes.
PATH_MTU_LIFETIME = 600.0
#: Paths without a session that are remembered: a mobile node that goes to and fro between two gateways shall
#: not make each handover wait for what the kernel knows of the route.
IDLE_PATHS = 1_024


class Table:
    """The sessions of one service and the paths to their peers.

    ``local`` and ``local_ipv4`` are our tunnel ends, ``path_mtu`` the MTU (octets) of a path of
    which nothing better is known. ``route_mtu(local, peer)`` may know a path better; 0: it does not.
    ``others`` are further ends of ours (RFC 7389).
    """

    def __init__(
        self,
        local: bytes,
        local_ipv4: bytes | None,
        path_mtu: int,
        route_mtu: Callable[[bytes, bytes], int] | None,
        others: tuple[bytes, ...],
    ) -> None:
        self._others = others
        self.local = local
        self.local_ipv4 = local_ipv4
        self.sessions: dict[int, Session] = {}
        self.paths: dict[bytes | tuple[bytes, bytes], Path] = {}
        self.drops: dict[str, int] = {}
        #: Those of the paths that have no session now, longest without one first.
        self._idle: dict[bytes | tuple[bytes, bytes], Path] = {}
        self._path_mtu = path_mtu
        self._route_mtu = route_mtu
        self._ipv4: dict[bytes, Session] = {}
        self._keys: dict[tuple[bytes, int], Session] = {}
        #: Paths by UDP address and port of the peer, as quoted by ICMP errors.
        self._ports: dict[tuple[bytes, int], Path] = {}
        #: (octets, bits too many, table), longest prefix first.
        self._widths: Widths = []
        #: The same for IPv4 prefixes; there are some only if any are delegated.
        self._widths4: Widths = []
        self._expiry: float | None = None
        self._due: list[Session] = []

    def set_path_mtu(self, path_mtu: int) -> None:
        """Go on with another MTU; what was learnt about a path holds on if it is lower. O(tunnel peers)."""
        if path_mtu == self._path_mtu:
            return
        self._path_mtu = path_mtu
        for path in self.paths.values():
            local = self.local if len(path.peer) == 16 else self.local_ipv4
            path.initial = self._initial_mtu(local or b"", path.peer)
            path.mtu = min(path.mtu, path.initial) if path.expires else path.initial

    def _initial_mtu(self, local: bytes, peer: bytes) -> int:
        """The MTU of a path before anything is learnt from errors."""
        known = self._route_mtu(local, peer) if self._route_mtu is not None and local else 0
        return min(known, self._path_mtu) if known else self._path_mtu

    def drop(self, why: str) -> None:
        """Count a packet that is not forwarded under its own name."""
        self.drops[why] = self.drops.get(why, 0) + 1

    # ---- sessions

    def install(self, effect: Install) -> Session:
        """Make or replace the entry of ``effect.call_id``; its octet counts go on."""
        old = self.sessions.get(effect.call_id)
        session = self._session(effect, old)
        if effect.lanes:
            session.lanes = tuple(self._lane(each, session, old) for each in effect.lanes)
        if old is not None:
            session.take_counts(old)
            # Only now: what is known of the path they share must not be forgotten in between.
            self._unlink(old)
        self.sessions[effect.call_id] = session
        for octets, shift, key in session.places():
            self._width(octets, shift)[key] = session
        if effect.ipv4_address:
            self._ipv4[effect.ipv4_address] = session
        for way in session.ways():
            self._keys[way] = session
        if session.path.members is not None:
            session.path.members[effect.call_id] = session
        return session

    def _session(self, effect: Install, old: Session | None) -> Session:
        outer = 6 if len(effect.peer) == 16 else 4
        path = self._path(effect, old)
        gre, udp, tlv = effect.gre, effect.udp, effect.tlv
        session = Session(effect, path, choose(outer, gre, udp, 6, tlv), choose(outer, gre, udp, 4, tlv))
        if effect.local in self._others:
            session.local = effect.local
        return session

    def _lane(self, effect: Install, whole: Session, old: Session | None) -> Session:
        """A further tunnel of a session; what goes by it counts for the bit rates of the whole."""
        older = () if old is None else (old, *old.lanes)
        before = next((each for each in older if each.peer == effect.peer), None)
        lane = self._session(effect, before)
        lane.policer, lane.marking = whole.policer, whole.marking
        return lane

    def _path(self, effect: Install, old: Session | None) -> Path:
        """The path that a session is to use, made if there is none."""
        peer = effect.peer
        udp = effect.udp and len(peer) == 4
        key = (peer, effect.gateway) if udp else peer
        path = self.paths.get(key)
        if path is None:
            path = self.paths[key] = Path(key, peer, self._initial_mtu(effect.local, peer))
            if udp:
                # RFC 5844 section 4.1.4.1: both ports are 5437, unless a NAT says otherwise.
                port = effect.host_port or effect.port or (0 if effect.nat else DATA_PORT)
                if (
                    old is not None and old.peer == peer and old.path.port
                    and not (effect.nat or effect.host_port)
                ):  # fmt: skip
                    # Perhaps the same gateway, known by another port now.
                    port = old.path.port
                self.follow(path, port)
        elif not path.users:
            self._idle.pop(key, None)
        path.users += 1
        if effect.keepalive:
            if path.members is None:
                # The first of this path: the NAT learns at once where to let our peer in.
                path.members, path.next_keepalive, self._expiry = {}, 0.0, 0.0
            path.keepalive = float(effect.keepalive)
        return path

    def follow(self, path: Path, port: int) -> None:
        """Send to this UDP port of a path's peer from now on; 0: it has to be heard first."""
        if self._ports.get((path.peer, path.port)) is path:
            del self._ports[path.peer, path.port]
        path.port, path.destination = port, None
        if port:
            self._ports[path.peer, port] = path

    def _width(self, octets: int, shift: int) -> dict[bytes | int, Session]:
        return table_of(self._widths4 if octets == IPV4 else self._widths, octets, shift)

    def remove(self, call_id: int) -> Session | None:
        """Take an entry away; returns it, or ``None`` if there was none."""
        session = self.sessions.pop(call_id, None)
        if session is not None:
            self._unlink(session)
        return session

    def _unlink(self, session: Session) -> None:
        for octets, shift, key in session.places():
            table = self._width(octets, shift)
            # Another session may have got the prefix in the meantime.
            if table.get(key) is session:
                del table[key]
        if session.ipv4_address and self._ipv4.get(session.ipv4_address) is session:
            del self._ipv4[session.ipv4_address]
        for way in session.ways():
            if self._keys.get(way) is session:
                del self._keys[way]
        members = session.path.members
        if members is not None and members.get(session.call_id) is session:
            del members[session.call_id]
        for each in (session, *session.lanes):
            path = each.path
            path.users -= 1
            if not path.users and self.paths.get(path.key) is path:
                self._leave(path)

    def _leave(self, path: Path) -> None:
        """A path has no session any more; what a NAT does with it is not worth remembering."""
        if path.udp:
            self.follow(path, 0)
            del self.paths[path.key]
            return
        path.members, path.keepalive = None, 0.0
        self._idle[path.key] = path
        if len(self._idle) > IDLE_PATHS:
            del self.paths[self._idle.pop(next(iter(self._idle))).key]

    def owner(self, address: bytes) -> Session | None:
        """The session whose prefix or IPv4 home address covers a packed address."""
        if len(address) == 4:
            session = self._ipv4.get(address)
            return ipv4_owner(self._widths4, address) if session is None and self._widths4 else session
        for octets, shift, table in self._widths:
            key: bytes | int = address[:octets]
            if shift:
                key = int.from_bytes(address[:octets], "big") >> shift
            session = table.get(key)
            if session is not None:
                return session
        return None

    # ---- paths

    def path_of(self, quoted: bytes) -> Path | None:
        """The path that a tunnel packet quoted by an ICMP error was sent on; its IP header is whole."""
        peer = ip.addresses(quoted)[1]
        if len(peer) == 4 and quoted[9] == ip.UDP:
            at = (quoted[0] & 15) * 4 + 2
            return self._ports.get((peer, int.from_bytes(quoted[at : at + 2], "big")))
        return self.paths.get(peer)

    def lower(self, path: Path, mtu: int, now: float) -> None:
        """An ICMP error says that no more than ``mtu`` octets get through."""
        if mtu < path.mtu:
            path.mtu, path.expires = mtu, now + PATH_MTU_LIFETIME
            self._expiry = path.expires if self._expiry is None else min(self._expiry, path.expires)

    @property
    def deadline(self) -> float | None:
        """When :meth:`tick` has to be called (monotonic seconds)."""
        return self._expiry

    def tick(self, now: float) -> None:
        """Forget path MTUs that were learnt too long ago (RFC 8201 section 4); see which NATs to remind."""
        waiting = []
        for path in self.paths.values():
            if path.expires:
                if path.expires <= now:
                    path.mtu, path.expires = path.initial, 0.0
                else:
                    waiting.append(path.expires)
            if path.members:
                if path.next_keepalive <= now:
                    path.next_keepalive = now + path.keepalive
                    self._due.append(next(iter(path.members.values())))
                waiting.append(path.next_keepalive)
        self._expiry = min(waiting, default=None)

    def keepalives(self) -> list[tuple[Session, bytes]]:
        """Packets to send so that NATs go on letting the peer in, by session.

        A header with nothing behind it, from the mobile node to itself: that the mobile would never send, and
        both ends know it by that. It goes as all packets of the session do, so the peer knows whose it is.
        """
        due, self._due = self._due, []
        return [(session, keepalive(session)) for session in due if session.path.members]


def keepalive(session: Session) -> bytes:
    """What keeps a NAT's binding for the data port of a session's gateway."""
    address = session.ipv4_address or session.some_address()
    if len(address) == 4:
        return ip.ipv4_packet(address, address, ip.NO_NEXT_HEADER, b"")
    return ip.ipv6_packet(address, address, ip.NO_NEXT_HEADER, b"")
