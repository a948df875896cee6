"""Which session a packet belongs to, and whether it may pass. No I/O.

::

    LMA   TUN ──outbound()──▶ tunnel          tunnel ──inbound()──▶ TUN
    MAG   access link ──from_mobile()──▶ tunnel    tunnel ──inbound()──▶ access link
    both  ICMP error about a tunnel packet ──tunnel_error()──▶ lower path MTU, answers

ICMP errors to be sent are collected as :class:`Answer` and fetched with :meth:`Forwarding.take`.
RFC 5213 sections 5.6 and 6.10 (forwarding), RFC 2473 (tunnels), RFC 3168 section 9.1 (ECN).
"""

from collections.abc import Callable
from typing import Any, Protocol

from appliance.protocols.pmipv6.settings import FIXED_LINK_LOCAL
from appliance.tun import packet as ip
from appliance.tun.encap import (
    ENCAPSULATIONS,
    LENGTH_ERROR,
    PROTOCOL_ERROR,
    Encapsulation,
    choose,
    encapsulation_limit,
    limit_position,
    open_payload,
    quoted_inner,
)
from appliance.tun.flows import lane_of
from appliance.tun.forwarding_table import Table
from appliance.tun.session import Answer, Path, RateLimit, Session

LMA, MAG = "lma", "mag"
#: Packets that only keep a NAT's binding, see :meth:`Table.keepalives`.
KEEP_ALIVE = "keep-alive"
#: What follows the outer IPv6 header of a tunnel packet.
TUNNEL_HEADERS = frozenset((ip.IPV6, ip.IPIP, ip.GRE, ip.FRAGMENT, ip.DESTINATION_OPTIONS))
#: Octets of the Destination Options header with a Tunnel Encapsulation Limit (RFC 2473 section 5.1).
LIMIT_HEADER = 8


class Counters(Protocol):
    """The part of a counter set that is used here."""

    values: list[int]
    table: Any


class Forwarding(Table):
    """The forwarding table of one service, with its rules.

    ``local`` and ``local_ipv4`` are our tunnel ends, ``path_mtu`` the MTU (octets) of a path of
    which nothing better is known, ``traffic_class`` the configured outer traffic class or
    ``None`` (copied). ``route_mtu(local, peer)`` may know a path better; 0: it does not. ``others``: more
    tunnel ends of ours, for the sessions that are installed with them.
    """

    def __init__(
        self,
        counters: Counters,
        role: str,
        local: bytes,
        local_ipv4: bytes | None = None,
        path_mtu: int = 1500,
        traffic_class: int | None = None,
        local_routing: bool = False,
        route_mtu: Callable[[bytes, bytes], int] | None = None,
        others: tuple[bytes, ...] = (),
    ) -> None:
        super().__init__(local, local_ipv4, path_mtu, route_mtu, others)
        self.role = role
        self._traffic_class = traffic_class
        self._local_routing = local_routing
        self._answers: list[Answer] = []
        #: (shift, number) of the networks of a home link.
        self._home: tuple[tuple[int, int], ...] = ()
        #: Takes packets to groups that come out of tunnels: outer source, packet, now, port if to 4191.
        self.members: Callable[[bytes, bytes, float, int], bool] | None = None
        self._limit = RateLimit()
        index = counters.table.index
        self._values = counters.values
        self._rows = {
            row: tuple(
                index(f"tunnel-data-{way}/total-{what}/{row.counter}")
                for way in ("received", "sent")
                for what in ("packets", "bytes")
            )
            for row in ENCAPSULATIONS
        }
        self._plain = {outer: choose(outer, False, False, 6) for outer in (4, 6)}
        self._protocol_error = index(f"tunnel-data-received/errors/{PROTOCOL_ERROR}")
        self._length_error = index(f"tunnel-data-received/errors/{LENGTH_ERROR}")
        self._no_session = index("tunnel-data-received/errors/no-session-found")
        self._too_big = {
            name: index(f"tunnel-icmpv6-packets/packet-too-big-{name}")
            for name in ("rcvd", "dropped", "relayed")
        }
        self._filtered = index("access-links/ingress-filtered") if role == MAG else self._no_session

    def reconfigure(self, path_mtu: int, traffic_class: int | None, local_routing: bool) -> None:
        """Go on with other values for the same sessions; arguments as of the constructor."""
        self._traffic_class = traffic_class
        self._local_routing = local_routing
        self.set_path_mtu(path_mtu)

    def set_home(self, networks: tuple[tuple[bytes, int], ...]) -> None:
        """Networks (prefix, length) that are on a home link: other nodes have the addresses of no session."""
        self._home = tuple(
            (128 - length, int.from_bytes(prefix, "big") >> (128 - length)) for prefix, length in networks
        )

    def _on_home_link(self, address: bytes) -> bool:
        number = int.from_bytes(address, "big")
        return len(address) == 16 and any(number >> shift == prefix for shift, prefix in self._home)

    def is_at_home(self, session: Session) -> bool:
        """Whether a session is that of a host whose home address is on the home link."""
        first = session.heads if isinstance(session.heads, bytes) else b"".join(session.heads[:1])
        return len(first) == 16 and self._on_home_link(first)

    def may_enter(self, session: Session, packet: bytes, largest: int, now: float) -> bool:
        """LMA: whether a packet to a group may go into the tunnel of a session."""
        return self._enter(session, packet, largest, packet[8:24], None, now) is not None

    def stays(self, packet: bytes) -> bool:
        """LMA: whether a packet that :meth:`outbound` has refused is for another node of the home link."""
        if not self._home or not ip.length_fits(packet):
            return False
        source, destination = ip.addresses(packet)
        if ip.link_scope(source) or ip.group(source) or ip.group(destination):
            return False
        return self._on_home_link(destination) and self.owner(destination) is None

    def unreachable(self, packet: bytes, why: str, now: float) -> None:
        """Drop an IPv6 packet and tell its source that the address cannot be reached."""
        self.drop(why)
        self._answer(packet, (1, 3, 0), None, now)

    def too_big(self, packet: bytes, mtu: int, now: float) -> None:
        """Drop an IPv6 packet and tell its source that no more than ``mtu`` octets can go."""
        self.drop("too-big")
        self._answer(packet, (2, 0, max(mtu, ip.IPV6_MINIMUM_MTU)), None, now)

    def take(self) -> list[Answer]:
        """The ICMP errors to send since the last call."""
        answers, self._answers = self._answers, []
        return answers

    # ---- out into the tunnel

    def outbound(self, packet: bytes, largest: int, now: float) -> Session | None:
        """LMA: the session that a packet from the TUN device goes to, or ``None``: not to be sent.

        ``largest`` is the size of the largest IP packet in it (a super-packet is split
        later). The hop limit is left alone: the kernel forwarded the packet into
        the device and took one off then (RFC 2473 section 3.1 wants exactly one), and a
        packet of the anchor itself has nothing to lose.
        """
        if not ip.length_fits(packet):
            self.drop("malformed")
            return None
        source, destination = ip.addresses(packet)
        if ip.link_scope(source) or ip.group(destination) or ip.group(source):
            self.drop("link-scope")
            return None
        session = self.owner(destination)
        if session is None:
            if self._home and self._on_home_link(destination):
                return None
            self.drop("no-session")
            # RFC 5213 section 5.6.2: a prefix without a binding is not reachable.
            self._answer(packet, (1, 3, 0) if len(source) == 16 else (3, 1, 0), None, now)
            return None
        if session.spread:
            session = lane_of(session, packet)
        return self._enter(session, packet, largest, source, None, now)

    def from_mobile(
        self, interface: str, link_layer: bytes, packet: bytes, largest: int, now: float
    ) -> tuple[Session, bytes, Session | None] | None:
        """MAG: session and changed packet for a packet from an access link, or ``None``: dropped.

        The third value is the session on this gateway that the packet goes to directly
        (EnableMAGLocalRouting, RFC 5213 section 6.10.3), ``None``: into the tunnel.
        """
        source, destination = ip.addresses(packet)
        # Global unicast IPv6 addresses start with neither 0x00 nor 0xfe, 0xff: decided by one octet each.
        if not (0 < source[0] < 0xFE and 0 < destination[0] < 0xFE and len(source) == 16) and (
            ip.link_scope(source) or ip.link_scope(destination) or ip.group(destination)
        ):
            self.drop("link-scope")
            return None
        session = self.owner(source)
        # RFC 5213 section 6.10.5: only from the link and the mobile that the prefix belongs to.
        if (
            session is None
            or session.interface != interface
            or (session.link_layer and session.link_layer != link_layer)
        ):
            self._values[self._filtered] += 1
            return None
        # RFC 2473 section 3.1: forwarding into the tunnel takes one hop; no kernel did it here.
        changed = ip.forwarded(packet)
        if changed is None:
            self.drop("hop-limit")
            self._answer(packet, (3, 0, 0) if len(source) == 16 else (11, 0, 0), session, now)
            return None
        if self._local_routing:
            target = self.owner(destination)
            if target is not None:
                return session, changed, target
        if self._enter(session, changed, largest, source, session, now) is None:
            return None
        return session, changed, None

    def _enter(
        self, session: Session, packet: bytes, largest: int, source: bytes, back: Session | None, now: float
    ) -> Session | None:
        """The rules of RFC 2473 for a packet that is about to enter the tunnel."""
        if session.policer is not None and not session.policer.allows(self.role == LMA, len(packet), now):
            self.drop("over-rate")
            return None
        if source == session.peer:
            # RFC 2473 section 4.1.2: a packet of the tunnel's own exit would go round.
            self.drop("loop")
            return None
        version6 = packet[0] >> 4 == 6
        row = session.row6 if version6 else session.row4
        room = session.path.mtu - (session.overhead6 if version6 else session.overhead4)
        if version6 and packet[6] == ip.DESTINATION_OPTIONS:
            limit = encapsulation_limit(packet)
            if limit == 0:
                # RFC 2473 section 4.1.1 (b): pointer to the limit octet.
                self.drop("encapsulation-limit")
                at = limit_position(packet, 40, 40 + 8 * (packet[41] + 1))
                self._answer(packet, (4, 0, at), back, now)
                return None
            if limit is not None and row.outer == 6:
                room -= LIMIT_HEADER
        if largest <= room:
            return session
        if version6:
            # RFC 2473 section 7.1: above 1280 the sender is told; below, the tunnel packet is fragmented.
            if largest <= ip.IPV6_MINIMUM_MTU:
                return session
            self._answer(packet, (2, 0, max(room, ip.IPV6_MINIMUM_MTU)), back, now)
        elif packet[6] & 0x40:
            # RFC 2473 section 7.2 (a): DF set.
            self._answer(packet, (3, 4, room), back, now)
        else:
            return session
        self.drop("too-big")
        return None

    def outer_class(self, packet: bytes) -> int:
        """Traffic class of the outer header around ``packet``."""
        inner = (packet[0] << 4 | packet[1] >> 4) & 0xFF if packet[0] >> 4 == 6 else packet[1]
        return ip.outer_traffic_class(inner, self._traffic_class) if inner or self._traffic_class else 0

    def sent(self, session: Session, row: Encapsulation, packets: int, octets: int) -> None:
        """Count ``packets`` inner packets of ``octets`` in all that went into the tunnel."""
        if self.role == LMA:
            session.packets_down += packets
            session.octets_down += octets
        else:
            session.packets_up += packets
            session.octets_up += octets
        values, (_, _, sent_packets, sent_octets) = self._values, self._rows[row]
        values[sent_packets] += packets
        values[sent_octets] += octets + packets * (session.overhead6 if row.inner == 6 else session.overhead4)

    # ---- in from the tunnel

    def inbound(
        self, outer: int, protocol: int, source: bytes, data: bytes, tos: int, now: float, port: int = 0,
        of_host: bool = False,
    ) -> tuple[Session, bytes] | None:  # fmt: skip
        """Session and inner packet of a tunnel packet, or ``None``: dropped and counted.

        ``data`` is what follows the outer IP (UDP) header, ``source`` and ``tos`` are the outer
        header's source address and traffic class, ``port`` is the UDP source port; ``of_host``: it came to
        port 4191.
        """
        key = None
        size = len(data)
        if protocol == ip.IPV6 and size >= 40 and data[0] >> 4 == 6 and 40 + (data[4] << 8 | data[5]) == size:
            # The plain case, without the general reader.
            row, packet, mobile, other = self._plain[outer], data, data[8:24], data[24:40]
        else:
            opened = open_payload(outer, protocol, data)
            if isinstance(opened, str):
                self._values[self._length_error if opened == LENGTH_ERROR else self._protocol_error] += 1
                return None
            row, offset, key, _ = opened
            packet = data[offset:] if offset else data
            mobile, other = ip.addresses(packet)
        if self.role == MAG:
            mobile, other = other, mobile
        if key is None:
            session = self.owner(mobile)
        else:
            # RFC 5845 section 3.1: with keys, IPv4 addresses may overlap; the key decides.
            session = self._keys.get((source, key))
            if session is not None and not session.owns(mobile):
                session = None
        # RFC 6275 section 10.4.3: reports come from a link-local address.
        if session is None and self.members is not None and other[0] == 0xFF and (
            self.members(source, packet, now, port if of_host else 0)
        ):  # fmt: skip
            return None
        # RFC 5213 section 5.6.2 (LMA: from the registered Proxy-CoA only) and 6.10.5.
        way = session
        if session is not None and (
            (session.peer != source and source not in session.others)
            or row is not (session.row6 if row.inner == 6 else session.row4)
            or key != session.receive_key
        ):
            way = session.takes(source, row, key)
        if session is None or way is None:
            self._values[self._no_session] += 1
            return None
        if port:
            if of_host or way.host_port:
                # RFC 5555 section 4.2: a host's port is that of its last update; another may be anybody's.
                found = session.by_host_port(source, port) if of_host else None
                if found is None:
                    self._values[self._no_session] += 1
                    return None
                way = found
            elif port != way.path.port and way.peer == source and self.role == LMA:
                # A NAT stands between: the session's packets come from the port that leads back.
                self.follow(way.path, port)
            if mobile == other:
                self.drop(KEEP_ALIVE)
                return None
        # Global unicast IPv6 addresses start with neither 0x00 nor 0xfe, 0xff: decided by one octet.
        if not (row.inner == 6 and 0 < other[0] < 0xFE) and (ip.group(other) or ip.link_scope(other)):
            self.drop("link-scope")
            return None
        if session.policer is not None and not session.policer.allows(self.role == MAG, len(packet), now):
            self.drop("over-rate")
            return None
        if tos & ip.ECN_MASK == ip.ECN_CE:
            marked = ip.congested(packet)
            if marked is None:
                self.drop("not-ecn-capable")
                return None
            packet = marked
        counts, values, size = self._rows[row], self._values, len(packet)
        values[counts[0]] += 1
        values[counts[1]] += size + (way.overhead6 if row.inner == 6 else way.overhead4)
        if self.role == LMA:
            session.packets_up += 1
            session.octets_up += size
            return session, packet
        # The gateway is the router in front of the access link: one more hop (RFC 8200 section 3).
        changed = ip.forwarded(packet)
        if changed is None:
            self.drop("hop-limit")
            self._answer(packet, (3, 0, 0) if row.inner == 6 else (11, 0, 0), None, now)
            return None
        session.packets_down += 1
        session.octets_down += size
        return session, changed

    def from_host(
        self, source: bytes, data: bytes, tos: int, now: float, port: int
    ) -> tuple[Session, bytes] | None:
        """The same for what came to UDP port 4191."""
        if len(data) < 2:
            # RFC 5555 section 4.3 has updates for this; some remind a NAT by one octet, or by none.
            self.drop(KEEP_ALIVE)
            return None
        return self.inbound(4, ip.UDP, source, data, tos, now, port, of_host=True)

    # ---- ICMP

    def _answer(self, about: bytes, what: tuple[int, int, int], back: Session | None, now: float) -> bool:
        """Queue an ICMP error about a packet to its source; False: not allowed or over the rate.

        ``what`` is (type, code, value); ``back`` is the session whose access link the source is on.
        """
        if not ip.answerable(about) or not self._limit.allow(now):
            return False
        source, _ = ip.addresses(about)
        kind, code, value = what
        ours: bytes | None
        if len(source) == 16:
            # A service may have no IPv6 address: the host chooses one, on an access link it is the router's.
            ours = self.local or FIXED_LINK_LOCAL
            message = ip.icmp6_error(kind, code, value, about, ours, source)
        else:
            ours = (back.ipv4_router if back is not None else None) or self.local_ipv4
            message = ip.icmp4_error(kind, code, value, about)
        packet = b""
        if back is not None:
            if ours is None or len(ours) != len(source):
                return False
            if len(source) == 16:
                packet = ip.ipv6_packet(ours, source, ip.ICMP6, message)
            else:
                packet = ip.ipv4_packet(ours, source, ip.ICMP4, message)
        self._answers.append(Answer(back, packet, source, message))
        return True

    def tunnel_error(self, outer: int, message: bytes, now: float) -> None:
        """An ICMP error (from its type octet) about a packet that we may have sent.

        RFC 2473 section 8: validated against our tunnels, lowers the path MTU, and is passed on to
        the source of the inner packet.
        """
        if len(message) < 8:
            return
        kind, code = message[0], message[1]
        too_big = (kind, outer) == (2, 6) or (kind, code, outer) == (3, 4, 4)
        # About our other packets, signalling for example: none of the tunnels' business.
        count = too_big and outer == 6 and (len(message) < 15 or message[14] in TUNNEL_HEADERS)
        if count:
            self._values[self._too_big["rcvd"]] += 1
        relayed = self._tunnel_error(outer, message, too_big, now)
        if count:
            self._values[self._too_big["relayed" if relayed else "dropped"]] += 1

    def _tunnel_error(self, outer: int, message: bytes, too_big: bool, now: float) -> bool:
        quoted = message[8:]
        if ip.version(quoted) != outer or len(quoted) < (40 if outer == 6 else 20):
            return False
        source, _ = ip.addresses(quoted)
        path = self.path_of(quoted)
        ours = source == (self.local if outer == 6 else self.local_ipv4) or source in self._others
        if path is None or not ours:
            return False
        kind, code = message[0], message[1]
        mtu = 0
        if too_big:
            mtu = int.from_bytes(message[4:8] if outer == 6 else message[6:8], "big")
            # RFC 8201 section 4: never below 1280; an IPv4 router may leave the field 0 (RFC 1191 section 4).
            mtu = max(mtu, ip.IPV6_MINIMUM_MTU if outer == 6 else 576)
            self.lower(path, mtu, now)
        elif ip.tunnel_broken(outer, kind, code):
            self.drop("tunnel-unreachable")
        else:
            return False
        return self._relay(quoted, path, mtu, now)

    def _relay(self, quoted: bytes, path: Path, mtu: int, now: float) -> bool:
        """Tell the source of the inner packet quoted in an error; ``mtu`` 0: unreachable."""
        inner = quoted_inner(quoted)
        if inner is None:
            return False
        source, destination = ip.addresses(inner)
        whole = self.owner(source if self.role == MAG else destination)
        session = None if whole is None else whole.by_path(path)
        if session is None:
            return False
        back = session if self.role == MAG else None
        if len(source) == 16:
            if not mtu:
                return self._answer(inner, (1, 3, 0), back, now)
            if 40 + (inner[4] << 8 | inner[5]) <= ip.IPV6_MINIMUM_MTU:
                return False
            return self._answer(inner, (2, 0, max(mtu - session.overhead6, ip.IPV6_MINIMUM_MTU)), back, now)
        if not mtu:
            return self._answer(inner, (3, 1, 0), back, now)
        if not inner[6] & 0x40:
            return False
        return self._answer(inner, (3, 4, mtu - session.overhead4), back, now)
