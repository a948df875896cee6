"""The reactor side of the tunnels: reads in batches, asks the forwarding table, sends in batches.

::

    LMA   TUN device ──▶ split ──▶ raw socket (outer header by the kernel) ──▶ MAG
          raw socket ──▶ checks ──▶ coalesce ──▶ TUN device ──▶ kernel routes it on
    MAG   packet socket ──▶ ingress filter ──▶ split ──▶ raw socket ──▶ LMA
          raw socket ──▶ checks ──▶ coalesce ──▶ packet socket ──▶ mobile

A wake-up handles a bounded number of packets, then other descriptors get their turn. Nothing is
logged or looked up by name per packet.
"""

import random
import socket
import time
from collections.abc import Callable
from ipaddress import ip_address
from math import inf
from typing import Any

from appliance.errors import ResourceError
from appliance.protocols.pmipv6.events import Install
from appliance.tun import native, offload
from appliance.tun import packet as ip
from appliance.tun.access import AccessLink
from appliance.tun.device import Reader, System, TunDevice, send_with_options
from appliance.tun.encap import Encapsulation, encapsulation_limit, limit_header
from appliance.tun.forwarding import LMA, Counters, Forwarding
from appliance.tun.home_exit import HomeExit
from appliance.tun.home_multicast import HomeMulticast
from appliance.tun.offload import Coalescer
from appliance.tun.session import HOSTS, Path, Session
from appliance.tun.tun_reader import tun_reader

#: Calls of recvmmsg in one wake-up.
BATCHES = 4
FIXED_LINK_LAYER = bytes.fromhex("00005e005213")
PROTOCOLS = (ip.IPV6, ip.IPIP, ip.GRE)


class Engine:
    """The tunnels of one service.

    ``reactor``: the Twisted reactor; ``system``: the host (:class:`~appliance.tun.device.System`);
    ``counters``: the service's counter set; ``local`` and ``local_ipv4``: our tunnel ends, packed, one may be
    empty; ``path_mtu``: octets; ``traffic_class``: of outer headers, ``None``: copied; ``tun_name``: name of
    the TUN device of an LMA; ``role``: ``lma`` or ``mag``; ``on_control(interface, frame)`` gets
    the control frames of access links, ``on_activity(interface, link_layer)`` says at most once a second
    that a mobile sent data; ``local_routing``: EnableMAGLocalRouting; ``others``: more tunnel ends of ours.
    """

    def __init__(
        self,
        reactor: Any,
        system: System,
        counters: Counters,
        local: bytes,
        local_ipv4: bytes | None,
        path_mtu: int,
        traffic_class: int | None,
        tun_name: str | None,
        role: str,
        on_control: Callable[[str, bytes], None],
        on_activity: Callable[[str, bytes], None],
        local_routing: bool = False,
        others: tuple[bytes, ...] = (),
    ) -> None:
        self._reactor = reactor
        self._system = system
        self._tun_name = tun_name
        self._path_mtu = path_mtu
        self._role = role
        self._on_control = on_control
        self._on_activity = on_activity
        self._local = local
        self._local_ipv4 = local_ipv4
        self._others = others
        self.forwarding = Forwarding(
            counters,
            role,
            local,
            local_ipv4,
            path_mtu,
            traffic_class,
            local_routing,
            system.route_mtu,
            others,
        )
        self.tun: TunDevice | None = None
        #: The way to the nodes of a real home link; ``None``: there is none.
        self.home: HomeExit | None = None
        self.multicast: HomeMulticast | None = None
        self.sum16 = native.fast_sum()
        self.now = 0.0
        self._links: dict[str, AccessLink] = {}
        self._sockets: list[socket.socket] = []
        # By outer family, or by the address of another tunnel end of ours, and protocol.
        self._raw: dict[tuple[int | bytes, int], socket.socket] = {}
        self._senders: dict[tuple[int | bytes, int], native.SendBatch] = {}
        self._batches: dict[str, native.ReceiveBatch] = {}
        self._icmp: dict[int, socket.socket] = {}
        self._readers: list[Reader] = []
        self._to_tun: Coalescer | None = None
        self._timer: Any = None
        self._identification = random.getrandbits(32)
        """Of the last packet that was fragmented (RFC 7739: not to be guessed)."""
        self._armed = inf
        """When the timer is due (monotonic seconds)."""

    # ---- life

    def start(self) -> None:
        """Open the sockets and (LMA) the TUN device; raises ResourceError with one clear line."""
        try:
            self._open()
        except ResourceError:
            self.stop()
            raise
        for reader in self._readers:
            self._reactor.addReader(reader)

    def _open(self) -> None:
        for local in filter(None, (self._local, self._local_ipv4, *self._others)):
            outer = 6 if len(local) == 16 else 4
            end = local if local in self._others else outer
            for protocol in (*PROTOCOLS, ip.UDP if outer == 4 else ip.FRAGMENT):
                sock = self._system.open_raw(local, protocol)
                self._sockets.append(sock)
                self._raw[end, protocol] = sock
                self._senders[end, protocol] = native.SendBatch(sock.fileno(), outer)
                if protocol != ip.FRAGMENT:
                    self._watch(sock.fileno(), self._tunnel_reader(outer, protocol, sock.fileno()))
        for outer, address in ((6, self._local), (4, self._local_ipv4)):
            sock = self._system.open_icmp(address, outer)
            self._sockets.append(sock)
            self._icmp[outer] = sock
            if address:
                self._watch(sock.fileno(), self._icmp_reader(outer, sock))
        for address in self._others:
            sock = self._system.open_icmp(address, 6 if len(address) == 16 else 4)
            self._sockets.append(sock)
            self._watch(sock.fileno(), self._icmp_reader(6 if len(address) == 16 else 4, sock))
        if self._role == LMA:
            self.tun = self._system.open_tun(self._tun_name or "", self._tun_mtu(self._path_mtu))
            self._to_tun = Coalescer(self._writer(self.tun), self.sum16)
            self._watch(self.tun.fileno(), tun_reader(self, self.tun))

    def reconfigure(self, path_mtu: int, traffic_class: int | None, local_routing: bool) -> None:
        """Go on with other values, arguments as of the constructor; sessions and their counts stay.

        Raises ResourceError when the host refuses; then everything is as before.
        """
        if path_mtu != self._path_mtu and self.tun is not None:
            self._system.set_mtu(self.tun.name, self._tun_mtu(path_mtu))
        self._path_mtu = path_mtu
        self.forwarding.reconfigure(path_mtu, traffic_class, local_routing)

    def _tun_mtu(self, path_mtu: int) -> int:
        """MTU of the TUN device: the kernel itself then tells senders about the plainest tunnel's."""
        return max(path_mtu - (40 if self._local else 20), ip.IPV6_MINIMUM_MTU)

    def _watch(self, fd: int, read: Callable[[], None]) -> None:
        self._readers.append(Reader(fd, read))

    def stop(self) -> None:
        """Close everything; nothing of ours stays on the host. May be called twice."""
        for reader in self._readers:
            self._reactor.removeReader(reader)
        self._readers.clear()
        for interface in list(self._links):
            self.remove_link(interface)
        for sock in self._sockets:
            sock.close()
        self._sockets.clear()
        self._raw.clear()
        self._senders.clear()
        self._icmp.clear()
        self._to_tun = None
        self.serve_home("", ())
        if self.tun is not None:
            self.tun.close()
            self.tun = None
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer, self._armed = None, inf

    # ---- sessions

    def install(self, effect: Install) -> None:
        """Make or replace the forwarding entry of a session."""
        if self.multicast is None:
            self.forwarding.install(effect)
        else:
            old = self.forwarding.sessions.get(effect.call_id)
            self.multicast.came(self.forwarding.install(effect), None if old is None else old.peer)
        if effect.keepalive:
            self._arm()

    def remove(self, call_id: int) -> None:
        """Take the forwarding entry of a session away."""
        session = self.forwarding.remove(call_id)
        if self.multicast is not None and session is not None:
            self.multicast.went(session)

    def tunnel(self, call_id: int) -> tuple[int, int]:
        """UDP port of the peer (0: not known, or no UDP) and MTU of the path of a session; zeros for none."""
        session = self.forwarding.sessions.get(call_id)
        return (0, 0) if session is None else (session.path.port, session.path.mtu)

    def usage(self, call_id: int) -> tuple[int, int, int, int]:
        """Packets and octets from the mobile, packets and octets to it; zeros for no such session."""
        session = self.forwarding.sessions.get(call_id)
        return (0, 0, 0, 0) if session is None else session.usage()

    def over_rate(self, call_id: int) -> tuple[int, int] | None:
        """Packets from and to the mobile that were over the session's bit rates; ``None``: it has none."""
        session = self.forwarding.sessions.get(call_id)
        return None if session is None else session.over_rate()

    def drops(self) -> dict[str, int]:
        """Packets that were not forwarded and have no counter of their own, by cause."""
        found = dict(self.forwarding.drops)
        for sender in self._senders.values():
            for name, count in sender.failures.items():
                found[f"send {name}"] = found.get(f"send {name}", 0) + count
        return found

    def serve_hosts(self, sender: native.SendBatch | None) -> None:
        """Have what hosts get in UDP (RFC 5555) go by this; ``None``: they get nothing."""
        self._senders.pop((HOSTS, ip.UDP), None)
        if sender is not None:
            self._senders[HOSTS, ip.UDP] = sender

    def serve_home(
        self, interface: str, networks: tuple[tuple[bytes, int], ...], multicast: bool = False
    ) -> None:
        """What comes for these networks (prefix, length) and for nobody's session goes out on a device.

        Without a device there is no home link. ``multicast``: hosts that are away may have groups of it.
        """
        for each in (self.home, self.multicast):
            if each is not None:
                each.close()
        self.home = HomeExit(self._system, self.forwarding, interface) if interface else None
        self.forwarding.set_home(networks if interface else ())
        self.multicast = None
        if interface and multicast:
            tools = self.segments, self.to_tunnel, self.flush, self.clock
            self.multicast = HomeMulticast(self._reactor, self._system, self.forwarding, interface, *tools)
        self.forwarding.members = None if self.multicast is None else self.multicast.heard

    # ---- access links

    def add_link(self, interface: str, link_layer: bytes = FIXED_LINK_LAYER) -> None:
        """Serve an access interface; ``link_layer`` is the gateway's address there.

        Raises ResourceError when it is not there. A link that is already served is opened anew, since
        the device behind the name may be another one.
        """
        self.remove_link(interface)
        device = self._system.open_packet(interface, link_layer)
        self._links[interface] = AccessLink(self, device, link_layer, self._on_control, self._on_activity)
        self._reactor.addReader(self._links[interface].reader)

    def remove_link(self, interface: str) -> None:
        """Stop serving an access interface; nothing happens if it is not served."""
        link = self._links.pop(interface, None)
        if link is not None:
            self._reactor.removeReader(link.reader)
            link.device.close()

    def send_frame(self, interface: str, frame: bytes) -> bool:
        """Send a control frame on an access link; False if it could not be sent."""
        link = self._links.get(interface)
        return link is not None and link.write([offload.NO_OFFLOAD, frame])

    # ---- shared by the readers

    def batch(self, kind: str) -> native.ReceiveBatch:
        """The receive buffers for sockets of a kind: ``6``, ``4`` (raw), ``udp`` (with port) or ``frame``."""
        found = self._batches.get(kind)
        if found is None:
            where = {"6": slice(8, 24), "udp": slice(2, 8)}.get(kind)
            found = self._batches[kind] = native.ReceiveBatch(where, where is not None)
        return found

    def clock(self) -> float:
        """Read the clock, once per wake-up (monotonic seconds)."""
        self.now = time.monotonic()
        return self.now

    def to_tunnel(self, session: Session, segments: list[bytes]) -> None:
        """Encapsulate and queue packets of one flow; :meth:`flush` sends them."""
        first = segments[0]
        version6 = first[0] >> 4 == 6
        row = session.row6 if version6 else session.row4
        to = session.path.destination or self._destination(session.path)
        if to is None:
            self.forwarding.drop("peer port unknown")
            return
        tos = self.forwarding.outer_class(first)
        if session.marking is not None:
            tos = session.marking & 0xFC | tos & ip.ECN_MASK
        octets = 0
        sender = self._senders.get((session.local or row.outer, row.protocol))
        if sender is None:
            self.forwarding.drop("hosts not served")
            return
        if row.outer == 4:
            sender.allow_fragments(session.may_fragment(first))
        elif len(first) + (session.overhead6 if version6 else session.overhead4) > session.path.mtu:
            self._send_fragments(session, row, segments, tos)
            return
        if version6 and first[6] == ip.DESTINATION_OPTIONS and self._limited(session, segments, tos):
            octets = sum(map(len, segments))
        else:
            add = sender.add
            key = session.send_key
            for segment in segments:
                size = len(segment)
                octets += size
                if row.gre or row.tlv:
                    segment = row.shim(size, key) + segment
                add(segment, to, tos)
        self.forwarding.sent(session, row, len(segments), octets)

    def _send_fragments(self, session: Session, row: Encapsulation, segments: list[bytes], tos: int) -> None:
        """RFC 2473 section 7: what may not be refused goes in fragments of the tunnel packet.

        The kernel would have to know the path MTU for that, which it learns for connected sockets only.
        """
        path = session.path
        add, to = self._senders[session.local or 6, ip.FRAGMENT].add, path.destination
        for segment in segments:
            payload, protocol = row.shim(len(segment), session.send_key) + segment, row.protocol
            limit = encapsulation_limit(segment) if row.inner == 6 else None
            if limit:
                payload, protocol = limit_header(protocol, limit - 1) + payload, ip.DESTINATION_OPTIONS
            self._identification = (self._identification + 1) & 0xFFFFFFFF
            for fragment in ip.fragments(protocol, payload, path.mtu, self._identification):
                add(fragment, to, tos)
        self.forwarding.sent(session, row, len(segments), sum(map(len, segments)))

    @staticmethod
    def _destination(path: Path) -> native.Destination | None:
        """Make the socket address of a peer; ``None``: the port that its NAT gives it is still unknown."""
        if path.udp and not path.port:
            return None
        # Raw sockets want no port.
        path.destination = to = native.Destination(path.peer, path.port)
        return to

    def _limited(self, session: Session, segments: list[bytes], tos: int) -> bool:
        """RFC 2473 section 4.1.1 (b): a limit goes out one lower; False: the packet has none. Rare."""
        limit = encapsulation_limit(segments[0])
        if not limit or session.row6.outer != 6:
            return False
        header = limit_header(0, limit - 1)  # The kernel writes the first octet.
        sock = self._raw[session.local or 6, session.row6.protocol]
        for segment in segments:
            shim = session.row6.shim(len(segment), session.send_key)
            if not send_with_options(sock, [shim, segment], header, session.peer, tos):
                self.forwarding.drop("send error")
        return True

    def flush(self) -> None:
        """Send all that is queued for tunnels, and the ICMP errors that came up."""
        for sender in self._senders.values():
            sender.flush()
        for answer in self.forwarding.take():
            if answer.session is not None:
                self.to_mobile(answer.session, answer.packet)
                continue
            sock = self._icmp[6 if len(answer.destination) == 16 else 4]
            try:
                sock.sendto(answer.message, (str(ip_address(answer.destination)), 0))
            except OSError:
                self.forwarding.drop("icmp not sent")
        for link in self._links.values():
            link.coalescer.flush()
        if self._to_tun is not None:
            self._to_tun.flush()
        deadline = self.forwarding.deadline
        if deadline is not None and deadline < self._armed:
            self._arm()

    def _arm(self) -> None:
        deadline = self.forwarding.deadline
        if deadline is None or deadline >= self._armed:
            return
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._armed = deadline
        self._timer = self._reactor.callLater(max(0.0, deadline - time.monotonic()), self._tick)

    def _tick(self) -> None:
        self._timer, self._armed = None, inf
        forwarding = self.forwarding
        forwarding.tick(self.clock())
        for session, packet in forwarding.keepalives():
            to = session.path.destination or self._destination(session.path)
            if to is not None:
                row = session.row6 if packet[0] >> 4 == 6 else session.row4
                shim = row.shim(len(packet), session.send_key)
                self._senders[session.local or row.outer, row.protocol].add(shim + packet, to, 0)
        self.flush()

    def from_tunnel(self, packet: bytes) -> None:
        """LMA: queue a packet for the TUN device; :meth:`flush` writes it."""
        if self._to_tun is not None:
            self._to_tun.add(packet)

    def to_mobile(self, session: Session, packet: bytes) -> None:
        """MAG: queue a packet for a session's access link; :meth:`flush` writes it."""
        link = self._links.get(session.interface)
        if link is None:
            self.forwarding.drop("link down")
        else:
            link.coalescer.add(packet, link.header(session, packet[0] >> 4))

    def segments(self, packet: bytes, header: offload.Offload) -> list[bytes]:
        """The real packets of what came with a virtio header; empty if it is malformed."""
        if header.gso_type:
            return offload.split(packet, header, self.sum16)
        if header.flags & offload.NEEDS_CSUM:
            done = offload.complete(packet, header.checksum_start, header.checksum_offset, self.sum16)
            return [done] if done is not None else []
        return [packet]

    # ---- readers

    def _writer(self, tun: TunDevice) -> Callable[[list[bytes]], None]:
        def write(parts: list[bytes]) -> None:
            try:
                tun.write(parts)
            except OSError:
                self.forwarding.drop("tun write error")

        return write

    def _tunnel_reader(self, outer: int, protocol: int, fd: int) -> Callable[[], None]:
        kind = "6" if outer == 6 else "udp" if protocol == ip.UDP else "4"
        raw4, udp = kind == "4", kind == "udp"
        batch = self.batch(kind)
        inbound = self.forwarding.inbound
        lma = self._role == LMA

        def read() -> None:
            now = self.clock()
            to_tun = self._to_tun
            for _ in range(BATCHES):
                try:
                    received = batch.receive(fd)
                except OSError:
                    # An error of an earlier packet that the kernel reports late (ICMP about it).
                    self.forwarding.drop("receive error")
                    break
                for data, source, tos in received:
                    if raw4:
                        # An IPv4 raw socket gives the outer header too.
                        source, tos, data = data[12:16], data[1], data[(data[0] & 15) * 4 :]
                        found = inbound(outer, protocol, source, data, tos, now)
                    elif udp:
                        port = source[0] << 8 | source[1]
                        found = inbound(outer, protocol, source[2:], data, tos, now, port)
                    else:
                        found = inbound(outer, protocol, source, data, tos, now)
                    if found is None:
                        continue
                    if lma:
                        if to_tun is not None:
                            to_tun.add(found[1])
                    else:
                        self.to_mobile(*found)
                if len(received) < native.SLOTS:
                    break
            self.flush()

        return read

    def _icmp_reader(self, outer: int, sock: socket.socket) -> Callable[[], None]:
        def read() -> None:
            now = self.clock()
            for _ in range(native.SLOTS):
                try:
                    message = sock.recv(2048)
                except OSError:
                    break
                if outer == 4:
                    message = message[(message[0] & 15) * 4 :]
                self.forwarding.tunnel_error(outer, message, now)
            self.flush()

        return read
