"""What a mobile node's TUN device sends home, and what it takes out of the tunnel. No I/O.

::

    applications ─▶ TUN ──outbound()──▶ tunnel to the home agent, or straight to a correspondent node
    tunnel ──inbound()──▶ TUN         routing header type 2 ──direct()──▶ TUN

RFC 6275 sections 11.3.1 and 11.3.3, RFC 2473 (tunnels over IPv6), RFC 5555 section 5.1 (over IPv4),
RFC 3963 section 5.5 (networks behind a mobile router), RFC 3168 section 9.1 (ECN).
"""

from collections.abc import Callable
from typing import Any

from appliance.counters import CounterSet
from appliance.protocols.mn.events import Optimize, Path, Tunnel
from appliance.tun import packet as ip
from appliance.tun.encap import (
    ENCAPSULATIONS,
    LENGTH_ERROR,
    PROTOCOL_ERROR,
    Encapsulation,
    choose,
    open_payload,
    quoted_inner,
)
from appliance.tun.session import RateLimit

#: Octets of Destination Options with a Home Address option, and of a routing header of type 2.
HOME_OPTION = ROUTING_HEADER = 24
#: A Home Address option must stand behind these (RFC 6275 6.3): such packets go through the tunnel.
_FIRST = (ip.HOP_BY_HOP, ip.ROUTING, ip.DESTINATION_OPTIONS)
#: Correspondents remembered, so that each is told of once a second.
CORRESPONDENTS = 1024
#: How long a lower MTU of a path is believed, seconds (RFC 8201 section 4).
MTU_LIFETIME = 600.0


class Way:
    """One path to the home agent, with the rows of its encapsulations; ``to`` belongs to who sends."""

    __slots__ = ("expires", "mtu", "overhead4", "overhead6", "path", "row4", "row6", "to")

    def __init__(self, path: Path, mtu: int) -> None:
        outer = 6 if len(path.local) == 16 else 4
        self.path = path
        self.row6 = choose(outer, False, path.udp, 6, path.tlv)
        self.row4 = choose(outer, False, path.udp, 4, path.tlv)
        self.overhead6, self.overhead4 = self.row6.overhead(False), self.row4.overhead(False)
        self.mtu = mtu
        self.expires = 0.0
        self.to: Any = None

    def room(self, inner: int) -> int:
        """The largest packet of an IP version that goes in whole."""
        return self.mtu - (self.overhead6 if inner == 6 else self.overhead4)


class Homeward:
    """The rules of one mobile node; ``agents`` are the packed addresses that tunnel packets may come from."""

    def __init__(self, counters: CounterSet, path_mtu: int, traffic_class: int | None) -> None:
        self.home = b""
        self.home_ipv4: bytes | None = None
        self.networks: tuple[tuple[bytes, int], ...] = ()
        self.ways: tuple[Way, ...] = ()
        self.drops: dict[str, int] = {}
        #: Packets and octets from the applications, and to them.
        self.usage = [0, 0, 0, 0]
        self._peers: frozenset[bytes] = frozenset()
        self._optimized: dict[bytes, Optimize] = {}
        self._seen: dict[bytes, float] = {}
        self._path_mtu = path_mtu
        self._traffic_class = traffic_class
        self._limit = RateLimit()
        self._answers: list[bytes] = []
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
        self._errors = {
            name: index(f"tunnel-data-received/errors/{name}")
            for name in (PROTOCOL_ERROR, LENGTH_ERROR, "no-session-found")
        }
        self._too_big = {
            name: index(f"tunnel-icmpv6-packets/packet-too-big-{name}")
            for name in ("rcvd", "dropped", "relayed")
        }
        self._direct = {
            name: index(f"route-optimization-data/packets-{name}") for name in ("sent", "received", "refused")
        }
        self._filtered = index("home-address-data/source-not-ours")
        self._homeless = index("home-address-data/no-tunnel")

    def drop(self, cause: str) -> None:
        """Note a packet that went nowhere."""
        self.drops[cause] = self.drops.get(cause, 0) + 1

    def configure(self, path_mtu: int, traffic_class: int | None) -> None:
        """Go on with other values."""
        self._path_mtu, self._traffic_class = path_mtu, traffic_class
        for way in self.ways:
            way.mtu = path_mtu

    def install(self, tunnel: Tunnel) -> None:
        """Use this tunnel from now on; what is known of paths that stay is kept."""
        known = {way.path: way for way in self.ways}
        self.home, self.home_ipv4, self.networks = tunnel.home, tunnel.home_ipv4, tunnel.networks
        self.ways = tuple(known.get(path) or Way(path, self._path_mtu) for path in tunnel.paths)
        # A packet that was on its way when the care-of address changed still comes by the other path.
        self._peers = self._peers | {path.peer for path in tunnel.paths}

    def remove(self) -> None:
        """There is no tunnel."""
        self.ways = ()
        self._peers = frozenset()
        self._seen.clear()

    def optimize(self, effect: Optimize) -> None:
        """Talk straight to this correspondent."""
        self._optimized[effect.correspondent] = effect

    def end_optimize(self, correspondent: bytes) -> None:
        """Do so no more."""
        self._optimized.pop(correspondent, None)

    def answers(self) -> list[bytes]:
        """Packets with ICMP errors for the applications, since the last call."""
        answers, self._answers = self._answers, []
        return answers

    # ---- from the applications

    def optimized(self, packet: bytes) -> Optimize | None:
        """How a packet from the TUN device goes straight to its correspondent; ``None``: it does not."""
        if not self._optimized or packet[0] >> 4 != 6 or packet[6] in _FIRST or packet[8:24] != self.home:
            return None
        return self._optimized.get(packet[24:40])

    def with_home_option(self, packet: bytes, care_of: bytes) -> bytes:
        """``packet`` from the care-of address, with the Home Address option (RFC 6275 section 11.3.1)."""
        self._values[self._direct["sent"]] += 1
        self.usage[0] += 1
        self.usage[1] += len(packet)
        size = (len(packet) - 40 + HOME_OPTION).to_bytes(2, "big")
        head = packet[:4] + size + bytes((ip.DESTINATION_OPTIONS, packet[7])) + care_of + packet[24:40]
        # PadN of 4 octets brings the option to 8n+6 (RFC 6275 section 6.3).
        return head + bytes((packet[6], 2, 1, 2, 0, 0, 0xC9, 16)) + packet[8:24] + packet[40:]

    def outbound(self, packet: bytes, largest: int, now: float) -> Way | None:
        """The way of a packet from the TUN device, ``largest`` octets after it is split; ``None``: dropped.

        The hop limit is left alone: the node itself is the sender, or its kernel has forwarded the packet.
        """
        if not ip.length_fits(packet):
            self.drop("malformed")
            return None
        source, destination = ip.addresses(packet)
        if ip.link_scope(source) or ip.group(destination):
            # The kernel's own group memberships and router solicitations on the device.
            self.drop("link-scope")
            return None
        if not self._ours(source):
            self._values[self._filtered] += 1
            return None
        if not self.ways:
            self._values[self._homeless] += 1
            return None
        way = self.ways[0]
        if way.expires and now > way.expires:
            way.mtu, way.expires = self._path_mtu, 0.0
        inner = packet[0] >> 4
        room = way.room(inner)
        # RFC 2473 section 7: what its sender can make smaller is refused, the rest goes in fragments.
        if largest > room:
            if inner == 6 and largest > ip.IPV6_MINIMUM_MTU:
                self._answer(packet, (2, 0, max(room, ip.IPV6_MINIMUM_MTU)), now)
                return None
            if inner == 4 and packet[6] & 0x40:
                self._answer(packet, (3, 4, room), now)
                return None
        return way

    def _ours(self, address: bytes) -> bool:
        if address in (self.home, self.home_ipv4):
            return True
        return any(_inside(address, *network) for network in self.networks)

    def outer_class(self, packet: bytes) -> int:
        """Traffic class of the outer header round ``packet``."""
        return ip.outer_traffic_class(ip.traffic_class(packet), self._traffic_class)

    def sent(self, row: Encapsulation, packets: int, octets: int) -> None:
        """Count what went into the tunnel; ``octets`` of the packets inside."""
        _, _, count, size = self._rows[row]
        self._values[count] += packets
        self._values[size] += octets + packets * row.overhead(False)
        self.usage[0] += packets
        self.usage[1] += octets

    # ---- from outside

    def inbound(self, outer: int, protocol: int, source: bytes, data: bytes, tos: int) -> bytes | None:
        """The packet inside a tunnel packet; ``None``: dropped and counted.

        ``data`` is what follows the outer IP (UDP) header.
        """
        opened = open_payload(outer, protocol, data)
        if isinstance(opened, str):
            self._values[self._errors[opened]] += 1
            return None
        packet = data[opened.offset :] if opened.offset else data
        # RFC 6275 section 11.3.3: from the home agent, for a home address. GRE is never agreed.
        if source not in self._peers or opened.row.gre or not self._ours(ip.addresses(packet)[1]):
            self._values[self._errors["no-session-found"]] += 1
            return None
        if tos & ip.ECN_MASK == ip.ECN_CE:
            marked = ip.congested(packet)
            if marked is None:
                self.drop("not-ecn-capable")
                return None
            packet = marked
        counts = self._rows[opened.row]
        self._values[counts[0]] += 1
        self._values[counts[1]] += len(packet) + opened.row.overhead(False)
        self.usage[2] += 1
        self.usage[3] += len(packet)
        return packet

    def direct(self, source: bytes, data: bytes) -> bytes | None:
        """The packet for a home address out of one with a type 2 routing header; ``None``: refused.

        RFC 6275 section 6.4: one segment left, and the address is the home address of this node. ``data``
        begins with the routing header.
        """
        whole = len(data) > ROUTING_HEADER and data[1:4] == b"\2\2\1"
        if not whole or data[8:24] != self.home or source not in self._optimized:
            self._values[self._direct["refused"]] += 1
            return None
        self._values[self._direct["received"]] += 1
        self.usage[2] += 1
        self.usage[3] += len(data) + 40 - ROUTING_HEADER
        return ip.ipv6_packet(source, self.home, data[0], data[24:])

    def correspondent(self, packet: bytes, now: float) -> bytes | None:
        """Who has sent a packet out of the tunnel, if nobody was told of it for a second."""
        if packet[0] >> 4 != 6 or packet[24:40] != self.home:
            return None
        source = packet[8:24]
        if source in self._peers or now < self._seen.get(source, 0.0) + 1.0:
            return None
        if len(self._seen) >= CORRESPONDENTS:
            self._seen.clear()
        self._seen[source] = now
        return source

    # ---- ICMP

    def tunnel_error(self, outer: int, message: bytes, now: float) -> None:
        """An ICMP error about a packet that we may have sent: it may lower the MTU of a way (RFC 2473 8)."""
        if len(message) < 8 + (40 if outer == 6 else 20):
            return
        kind, code = message[0], message[1]
        if (kind, outer) != (2, 6) and (kind, code, outer) != (3, 4, 4):
            return
        count: Callable[[str], None] = self._count_too_big if outer == 6 else lambda _name: None
        count("rcvd")
        quoted = message[8:]
        source, destination = ip.addresses(quoted)
        way = next((w for w in self.ways if (w.path.local, w.path.peer) == (source, destination)), None)
        if way is None or ip.version(quoted) != outer:
            count("dropped")
            return
        mtu = int.from_bytes(message[4:8] if outer == 6 else message[6:8], "big")
        # RFC 8201 section 4: never below 1280; RFC 1191 section 4: an IPv4 router may leave the field 0.
        way.mtu = min(way.mtu, max(mtu, ip.IPV6_MINIMUM_MTU if outer == 6 else 576))
        way.expires = now + MTU_LIFETIME
        inner = quoted_inner(quoted)
        if inner is None:
            count("dropped")
            return
        version, room = ip.version(inner), way.room(ip.version(inner))
        what = (2, 0, max(room, ip.IPV6_MINIMUM_MTU)) if version == 6 else (3, 4, room)
        count("relayed" if self._answer(inner, what, now) else "dropped")

    def _count_too_big(self, name: str) -> None:
        self._values[self._too_big[name]] += 1

    def _answer(self, about: bytes, what: tuple[int, int, int], now: float) -> bool:
        """Tell the sender of a packet why it cannot be sent."""
        self.drop("too-big")
        if not ip.answerable(about) or not self._limit.allow(now):
            return False
        source, destination = ip.addresses(about)
        # As if the other end had said it: the device has no router whose address could be used.
        if len(source) == 16:
            message = ip.icmp6_error(*what, about, destination, source)
            self._answers.append(ip.ipv6_packet(destination, source, ip.ICMP6, message))
        else:
            message = ip.icmp4_error(*what, about)
            self._answers.append(ip.ipv4_packet(destination, source, ip.ICMP4, message))
        return True


def _inside(address: bytes, network: bytes, length: int) -> bool:
    if len(address) != len(network):
        return False
    shift = 8 * len(network) - length
    return int.from_bytes(address, "big") >> shift == int.from_bytes(network, "big") >> shift
