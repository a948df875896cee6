"""The records of the forwarding table: sessions, paths, errors to send."""

from typing import Any

from appliance.protocols.pmipv6.events import Install
from appliance.tun import packet as ip
from appliance.tun.encap import HOST_PORT, Encapsulation, choose

#: RFC 4443 section 2.4(f): token bucket for ICMP errors; errors a second and burst.
ERRORS_PER_SECOND = 100.0
ERRORS_AT_ONCE = 50.0
#: How much a session may send at once, in seconds of its bit rate.
BURST_SECONDS = 0.1

#: In the place of a number of octets: a prefix of IPv4 addresses.
IPV4 = -4
#: In the place of a tunnel end of ours: UDP port 4191.
HOSTS = HOST_PORT.to_bytes(2, "big")


class Path:
    """The way to one tunnel peer: its MTU in octets, and until when a lower one holds.

    ``key``: its address, over UDP together with what tells gateways behind one NAT apart. ``port``: where
    to send over UDP, 0: not known yet; ``destination`` belongs to the engine, which makes it of both. A path
    with ``keepalive`` seconds has its sessions in ``members``.
    """

    __slots__ = (
        "destination", "expires", "initial", "keepalive", "key", "members", "mtu", "next_keepalive", "peer",
        "port", "udp", "users",
    )  # fmt: skip

    def __init__(self, key: bytes | tuple[bytes, bytes], peer: bytes, mtu: int) -> None:
        self.key = key
        self.peer = peer
        self.udp = isinstance(key, tuple)
        self.initial = mtu
        self.mtu = mtu
        self.expires = 0.0
        self.users = 0
        self.port = 0
        self.destination: Any = None
        self.keepalive = 0.0
        self.next_keepalive = 0.0
        self.members: dict[int, Session] | None = None


class Session:
    """Forwarding entry of one session; octet counts are of inner packets.

    There may be a million of these, so the ``Install`` that it is made from is not kept.
    ``heads`` are the prefixes whose length is a whole number of octets, in the form that
    ``bytes.startswith`` takes (one, or a tuple); ``odd`` the others as (octets, shift, number).
    """

    __slots__ = (
        "call_id", "heads", "host_port", "interface", "ipv4_address", "ipv4_router", "lanes", "last_activity",
        "link_layer", "local", "marking", "octets_down", "octets_up", "odd", "others", "overhead4",
        "overhead6", "packets_down", "packets_up", "path", "peer", "policer", "receive_key", "row4", "row6",
        "second", "send_key", "spread",
    )  # fmt: skip

    def __init__(self, effect: Install, path: Path, row6: Encapsulation, row4: Encapsulation) -> None:
        self.call_id = effect.call_id
        self.path = path
        #: Our tunnel end, if it is not the service's own address (RFC 7389); empty: it is.
        self.local = HOSTS if effect.host_port and effect.udp else b""
        #: UDP port of a host that speaks with port 4191; 0: it is none.
        self.host_port = effect.host_port
        self.row6 = row6
        self.row4 = row4
        keyed = effect.send_key is not None
        self.overhead6 = row6.overhead(keyed)
        self.overhead4 = row4.overhead(keyed)
        self.peer = effect.peer
        self.others = effect.others
        self.send_key = effect.send_key
        self.receive_key = effect.receive_key if effect.gre else None
        self.ipv4_address = effect.ipv4_address
        self.ipv4_router = effect.ipv4_router
        self.interface = effect.interface
        self.link_layer = effect.link_layer
        self.heads: bytes | tuple[bytes, ...]
        self.odd: tuple[tuple[int, int, int], ...]
        self.heads, self.odd = sorted_keys(effect.prefixes)
        self.packets_up = self.octets_up = self.packets_down = self.octets_down = 0
        self.last_activity = -1.0
        #: Its bit rates and its traffic class; ``None``: it has none.
        self.policer = Policer(effect) if effect.rate_up or effect.rate_down else None
        self.marking = effect.traffic_class
        #: Another tunnel by which the mobile's packets may come (RFC 6058).
        self.second = None if effect.second is None else Second(effect.second, effect.second.udp)
        if effect.host_port and not effect.udp:
            # RFC 5555 lets a host that sees a NAT Detection option use UDP where there is no NAT.
            self.second = Second(effect, udp=True)
        #: Further tunnels (RFC 5648), and whether flows go by them too; the table puts them in.
        self.lanes: tuple[Session, ...] = ()
        self.spread = effect.spread

    def places(self) -> list[tuple[int, int, bytes | int]]:
        """Where the forwarding table has this session: (octets, shift, key) of each prefix."""
        if isinstance(self.heads, bytes):
            return [(len(self.heads), 0, self.heads), *self.odd]
        heads = self.heads
        return [*((len(head), 0, head) for head in heads), *self.odd]

    def ways(self) -> list[tuple[bytes, int]]:
        """Peers and GRE keys that packets from them have."""
        if self.second is None and self.receive_key is None:
            return []
        ways = (self,) if self.second is None else (self, self.second)
        return [(way.peer, way.receive_key) for way in ways if way.receive_key is not None]

    def some_address(self) -> bytes:
        """An address of the mobile node: the first of a prefix, IPv6 if it has one."""
        octets, shift, key = self.places()[0]
        if octets == IPV4 and isinstance(key, int):
            return (key << shift).to_bytes(4, "big")
        head = key if isinstance(key, bytes) else (key << shift).to_bytes(octets, "big")
        return head.ljust(16, b"\0")

    def may_fragment(self, packet: bytes) -> bool:
        """Whether routers may fragment the outer IPv4 packet round ``packet``.

        RFC 2003 section 3.1: not if the IPv4 packet inside forbids it. RFC 4213 section 3.2.2: an IPv6 packet
        may be fragmented only where the path is too narrow for what every IPv6 link carries.
        """
        if packet[0] >> 4 == 4:
            return not packet[6] & 0x40
        return self.path.mtu - self.overhead6 < ip.IPV6_MINIMUM_MTU

    def over_rate(self) -> tuple[int, int] | None:
        """Packets from and to the mobile that were over its bit rates; ``None``: it has none."""
        return None if self.policer is None else (self.policer.up.dropped, self.policer.down.dropped)

    def usage(self) -> tuple[int, int, int, int]:
        """Packets and octets from the mobile, packets and octets to it, by all tunnels."""
        packets, octets = self.packets_down, self.octets_down
        for lane in self.lanes:
            packets += lane.packets_down
            octets += lane.octets_down
        return self.packets_up, self.octets_up, packets, octets

    def takes(self, source: bytes, row: Encapsulation, key: int | None) -> "Session | None":
        """The tunnel of the session that a packet has come by, if not by the first; ``None``: by none."""
        for lane in self.lanes:
            if lane.peer == source and row in (lane.row6, lane.row4) and key == lane.receive_key:
                return lane
            if lane.second is not None and lane.second.fits(source, row, key):
                return lane
        if self.second is not None and self.second.fits(source, row, key):
            return self
        return None

    def by_host_port(self, source: bytes, port: int) -> "Session | None":
        """The tunnel of the session that a UDP packet of a host has come by; ``None``: by none."""
        for each in (self, *self.lanes):
            if each.peer == source and each.host_port == port:
                return each
        return None

    def by_path(self, path: Path) -> "Session | None":
        """The tunnel of the session that uses a path."""
        if self.path is path:
            return self
        return next((lane for lane in self.lanes if lane.path is path), None)

    def take_counts(self, old: "Session") -> None:
        """Go on counting where the entry that this one replaces stopped."""
        self.packets_up, self.octets_up, self.packets_down, self.octets_down = old.usage()
        if self.policer is not None and old.policer is not None:
            self.policer.go_on(old.policer)

    def owns(self, address: bytes) -> bool:
        """Whether a packed address is the mobile's: its IPv4 address, or inside a prefix."""
        if len(address) == 4:
            return address == self.ipv4_address or any(
                octets == IPV4 and int.from_bytes(address, "big") >> shift == key
                for octets, shift, key in self.odd
            )
        if address.startswith(self.heads):
            return True
        return any(
            octets != IPV4 and int.from_bytes(address[:octets], "big") >> shift == key
            for octets, shift, key in self.odd
        )


class Bucket:
    """Lets octets pass at a rate (bit/s, 0: at any). What passes last may take more than is left, so that a
    super-packet is not bigger than any burst; what follows waits until that is paid."""

    __slots__ = ("_at", "_left", "_most", "dropped", "rate")

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self._most = rate * BURST_SECONDS / 8
        self._left = self._most
        self._at = 0.0
        self.dropped = 0

    def allows(self, octets: int, now: float) -> bool:
        """Whether that many may pass now."""
        if not self.rate:
            return True
        left = self._left + (now - self._at) * self.rate / 8
        self._at = now
        if left > self._most:
            left = self._most
        if left <= 0:
            self._left = left
            self.dropped += 1
            return False
        self._left = left - octets
        return True

    def go_on(self, old: "Bucket") -> None:
        """Take the place of a bucket of the same session."""
        self.dropped = old.dropped
        if old.rate == self.rate:
            self._left, self._at = old._left, old._at


class Policer:
    """The bit rates of one session."""

    __slots__ = ("down", "up")

    def __init__(self, effect: Install) -> None:
        self.up, self.down = Bucket(effect.rate_up), Bucket(effect.rate_down)

    def allows(self, down: bool, octets: int, now: float) -> bool:
        """Whether that many may pass, to the mobile or from it."""
        return (self.down if down else self.up).allows(octets, now)

    def go_on(self, old: "Policer") -> None:
        """Take the place of an older one."""
        self.up.go_on(old.up)
        self.down.go_on(old.down)


class Second:
    """A tunnel that is only received from."""

    __slots__ = ("peer", "receive_key", "rows")

    def __init__(self, effect: Install, udp: bool) -> None:
        outer = 6 if len(effect.peer) == 16 else 4
        self.peer = effect.peer
        self.receive_key = effect.receive_key if effect.gre else None
        self.rows = tuple(choose(outer, effect.gre, udp, inner, effect.tlv) for inner in (6, 4))

    def fits(self, source: bytes, row: Encapsulation, key: int | None) -> bool:
        """Whether a packet has come by this tunnel."""
        return source == self.peer and row in self.rows and key == self.receive_key


def prefix_key(prefix: bytes, length: int) -> tuple[int, int, bytes | int]:
    """How many octets of an address to look at, how far to shift them, and what they must be then.

    Of an IPv4 prefix the octets are :data:`IPV4`: all four are looked at.
    """
    if len(prefix) == 4:
        return IPV4, 32 - length, int.from_bytes(prefix, "big") >> (32 - length)
    if length == 128:
        return 16, 0, prefix
    octets, shift = -(-length // 8), -length % 8
    head = prefix[:octets]
    return octets, shift, int.from_bytes(head, "big") >> shift if shift else head


def sorted_keys(
    prefixes: tuple[tuple[bytes, int], ...],
) -> tuple[bytes | tuple[bytes, ...], tuple[tuple[int, int, int], ...]]:
    """The keys of prefixes: those of whole octets, and the others. One alone is the rule."""
    keys = [prefix_key(prefix, length) for prefix, length in prefixes]
    if len(keys) == 1 and isinstance(keys[0][2], bytes):
        return keys[0][2], ()
    # Delegated IPv4 prefixes (RFC 7148) are among the odd ones, with minus the octets of the family.
    heads = tuple(key for _, _, key in keys if isinstance(key, bytes))
    odd = tuple((octets, shift, key) for octets, shift, key in keys if isinstance(key, int))
    return heads[0] if len(heads) == 1 else heads, odd


#: Sessions by their prefixes, in tables by length: (octets, bits too many, table), longest prefix first.
Widths = list[tuple[int, int, dict[bytes | int, Session]]]


def table_of(widths: Widths, octets: int, shift: int) -> dict[bytes | int, Session]:
    """The table for prefixes of one length, made if there is none yet."""
    for have_octets, have_shift, table in widths:
        if (have_octets, have_shift) == (octets, shift):
            return table
    table = {}
    widths.append((octets, shift, table))
    widths.sort(key=lambda width: width[1] - 8 * abs(width[0]))
    return table


def ipv4_owner(widths: Widths, address: bytes) -> Session | None:
    """The session that has a prefix round an IPv4 address."""
    number = int.from_bytes(address, "big")
    for _, shift, table in widths:
        session = table.get(number >> shift)
        if session is not None:
            return session
    return None


class Answer:
    """An ICMP error to send."""

    __slots__ = ("destination", "message", "packet", "session")

    def __init__(self, session: Session | None, packet: bytes, destination: bytes, message: bytes) -> None:
        self.session = session
        """Not ``None``: ``packet`` goes out on this session's access link."""
        self.packet = packet
        self.destination = destination
        """Packed address; otherwise ``message`` goes there from a raw ICMP socket."""
        self.message = message


class RateLimit:
    """A token bucket over monotonic seconds."""

    __slots__ = ("_at", "_tokens")

    def __init__(self) -> None:
        self._tokens = ERRORS_AT_ONCE
        self._at = 0.0

    def allow(self, now: float) -> bool:
        """Whether one more may be sent now."""
        self._tokens = min(ERRORS_AT_ONCE, self._tokens + (now - self._at) * ERRORS_PER_SECOND)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
