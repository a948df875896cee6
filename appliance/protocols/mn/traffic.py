"""The data of a mobile node on the reactor: its TUN device and the tunnels of its care-of addresses.

::

    TUN device ──▶ split ──▶ Homeward.outbound ──▶ raw socket 41, 4 or UDP port 4191 ──▶ home agent
    home agent ──▶ socket ──▶ Homeward.inbound ──▶ join ──▶ TUN device

One device for each client, whatever its addresses are; a tunnel that is replaced leaves the device alone, so
that connections do not notice. Sockets of an older path stay open as long as its care-of address is there:
packets that were on their way still come by it.
"""

import socket
import time
from collections.abc import Callable
from typing import Any

from appliance.counters import CounterSet
from appliance.protocols.mn.ends import End, opened
from appliance.protocols.mn.events import EndOptimize, Optimize, Path, Tunnel
from appliance.tun import native, offload
from appliance.tun import packet as ip
from appliance.tun.device import Reader, TunDevice
from appliance.tun.device import System as Host
from appliance.tun.homeward import Homeward, Way
from appliance.tun.offload import HEADER_SIZE, Coalescer

#: Packets of one read from the TUN device, calls of recvmmsg in one wake-up.
TUN_READS, BATCHES = 32, 4
MOBILITY = 135
#: Type of a Mobile Prefix Advertisement (RFC 6275 section 6.8).
ADVERTISEMENT = b"\x93"
#: Octets that the largest outer headers take.
OUTER = 40
Hear = Callable[[bytes], None]


def _ignore(*_told: object) -> None:
    """Nobody is to be told."""


class Traffic:
    """TUN device and tunnels of one client.

    ``on_message(packet, outer, port)`` gets packets with a Mobility Header that came out of a tunnel;
    ``outer`` is the IPv4 source, empty if not UDP. ``on_correspondent(address)``: who sends through it.
    """

    def __init__(
        self,
        reactor: Any,
        host: Host,
        counters: CounterSet,
        path_mtu: int,
        traffic_class: int | None,
        on_message: Callable[[bytes, bytes, int], None],
        on_correspondent: Callable[[bytes], None],
    ) -> None:
        self.rules = Homeward(counters, path_mtu, traffic_class)
        self.follow_correspondents = False
        self._reactor = reactor
        self._host = host
        self._path_mtu = path_mtu
        self._on_message = on_message
        self._on_correspondent = on_correspondent
        self._sum16 = native.fast_sum()
        self._tun: TunDevice | None = None
        self._to_tun: Coalescer | None = None
        self._tun_reader: Reader | None = None
        self._ends: dict[bytes, End] = {}
        #: Raw sockets by care-of address, home agent and protocol; UDP belongs to the end.
        self._raw: dict[tuple[bytes, bytes, int], tuple[socket.socket, Reader]] = {}
        self._udp: dict[bytes, Reader] = {}
        self._senders: dict[tuple[bytes, bytes, int], native.SendBatch] = {}
        self._batches = {
            "6": native.ReceiveBatch(slice(8, 24), True),
            "4": native.ReceiveBatch(None, False),
            "udp": native.ReceiveBatch(slice(2, 8), True),
        }

    # ---- life

    def start(self, name: str) -> None:
        """Make the TUN device; raises ResourceError."""
        self._tun = self._host.open_tun(name, self._tun_mtu(self._path_mtu))
        self._to_tun = Coalescer(self._write, self._sum16)
        self._tun_reader = Reader(self._tun.fileno(), self._read_tun)
        self._reactor.addReader(self._tun_reader)

    @staticmethod
    def _tun_mtu(path_mtu: int) -> int:
        return max(path_mtu - OUTER, ip.IPV6_MINIMUM_MTU)

    def reconfigure(self, path_mtu: int, traffic_class: int | None) -> None:
        """Go on with other values; raises ResourceError, then the old ones hold."""
        if path_mtu != self._path_mtu and self._tun is not None:
            self._host.set_mtu(self._tun.name, self._tun_mtu(path_mtu))
        self._path_mtu = path_mtu
        self.rules.configure(path_mtu, traffic_class)

    def stop(self) -> None:
        """Close everything; the device goes with its addresses and routes."""
        for key in list(self._raw):
            self._close(key)
        for address in list(self._ends):
            self.remove_end(address)
        if self._tun_reader is not None:
            self._reactor.removeReader(self._tun_reader)
            self._tun_reader = None
        if self._tun is not None:
            self._tun.close()
            self._tun = None
        self._to_tun = None
        # Whoever is told refers to this: what is stopped must not wait for a full garbage collection.
        self._on_message, self._on_correspondent = _ignore, _ignore

    # ---- care-of addresses

    def add_end(self, end: End) -> None:
        """A care-of address is there."""
        self._ends[end.address] = end
        if end.udp is not None:
            # The same socket has signalling: what is data and what is not shows when it is opened.
            reader = Reader(end.udp.fileno(), self._udp_reader(end.udp.fileno()))
            self._udp[end.address] = reader
            self._reactor.addReader(reader)

    def remove_end(self, address: bytes) -> None:
        """It is there no more."""
        self._ends.pop(address, None)
        reader = self._udp.pop(address, None)
        if reader is not None:
            self._reactor.removeReader(reader)
        for key in [key for key in (*self._raw, *self._senders) if key[0] == address]:
            self._close(key)

    def _close(self, key: tuple[bytes, bytes, int]) -> None:
        self._senders.pop(key, None)
        found = self._raw.pop(key, None)
        if found is not None:
            self._reactor.removeReader(found[1])
            found[0].close()

    # ---- tunnels

    def install(self, tunnel: Tunnel) -> None:
        """Make or replace the tunnel; raises ResourceError when one of its sockets cannot be had."""
        for path in tunnel.paths:
            self._open_path(path)
        self.rules.install(tunnel)

    def _open_path(self, path: Path) -> None:
        end = self._ends.get(path.local)
        if path.udp or end is None:
            return
        family = socket.AF_INET6 if len(path.local) == 16 else socket.AF_INET
        for protocol in (ip.IPV6, ip.IPIP):
            key = (path.local, path.peer, protocol)
            if key not in self._raw:
                sock = opened(family, protocol, path.local, end.interface, peer=path.peer)
                reader = Reader(sock.fileno(), self._raw_reader(family, protocol, sock.fileno()))
                self._raw[key] = (sock, reader)
                self._reactor.addReader(reader)

    def remove(self) -> None:
        """There is no tunnel."""
        self.rules.remove()
        for key in list(self._raw):
            self._close(key)

    def optimize(self, effect: Optimize) -> None:
        """Talk straight to a correspondent."""
        self.rules.optimize(effect)

    def end_optimize(self, effect: EndOptimize) -> None:
        """Do so no more."""
        self.rules.end_optimize(effect.correspondent)

    # ---- out

    def to_home(self, packet: bytes) -> bool:
        """Send one packet of the node itself through the tunnel; False: there is none."""
        way = self.rules.outbound(packet, len(packet), time.monotonic())
        if way is None or not self._enter(way, [packet]):
            return False
        self._flush()
        return True

    def _enter(self, way: Way, segments: list[bytes]) -> bool:
        """Queue packets of one flow for a path."""
        first, path = segments[0], way.path
        row = way.row6 if first[0] >> 4 == 6 else way.row4
        sender = self._sender(path, row.protocol)
        if sender is None:
            self.rules.drop("care-of address gone")
            return False
        if way.to is None:
            way.to = native.Destination(path.peer, path.port)
        if row.outer == 4:
            sender.allow_fragments(not (first[0] >> 4 == 4 and first[6] & 0x40))
        tos = self.rules.outer_class(first)
        octets = 0
        for segment in segments:
            octets += len(segment)
            sender.add(row.shim(len(segment), None) + segment if row.tlv else segment, way.to, tos)
        self.rules.sent(row, len(segments), octets)
        return True

    def _sender(self, path: Path, protocol: int) -> native.SendBatch | None:
        key = (path.local, path.peer, protocol)
        found = self._senders.get(key)
        if found is None:
            end = self._ends.get(path.local)
            sock = (end.udp if end is not None else None) if path.udp else self._raw.get(key, (None,))[0]
            if sock is None:
                return None
            outer = 6 if sock.family == socket.AF_INET6 else 4
            found = self._senders[key] = native.SendBatch(sock.fileno(), outer)
        return found

    def _read_tun(self) -> None:
        tun, rules = self._tun, self.rules
        if tun is None:
            return
        now = time.monotonic()
        for _ in range(TUN_READS):
            try:
                data = tun.read()
            except OSError:
                # An operator took the device down.
                rules.drop("tun read error")
                break
            if not data:
                break
            packet, header = data[HEADER_SIZE:], offload.read_header(data)
            largest = offload.segment_size(packet, header) if header.gso_type else len(packet)
            direct = rules.optimized(packet) if len(packet) >= 40 else None
            way = None if direct is not None else rules.outbound(packet, largest, now)
            if direct is None and way is None:
                continue
            segments = self._segments(packet, header)
            if not segments:
                rules.drop("malformed")
            elif way is not None:
                self._enter(way, segments)
            elif direct is not None:
                self._straight(direct, segments)
        self._flush()

    def _straight(self, direct: Optimize, segments: list[bytes]) -> None:
        end = self._ends.get(direct.care_of)
        for segment in segments:
            if end is None or not end.send_whole(self.rules.with_home_option(segment, direct.care_of)):
                self.rules.drop("send error")

    def _segments(self, packet: bytes, header: offload.Offload) -> list[bytes]:
        """The real packets of what came with a virtio header; empty if it is malformed."""
        if header.gso_type:
            return offload.split(packet, header, self._sum16)
        if header.flags & offload.NEEDS_CSUM:
            done = offload.complete(packet, header.checksum_start, header.checksum_offset, self._sum16)
            return [done] if done is not None else []
        return [packet]

    def _flush(self) -> None:
        for sender in self._senders.values():
            sender.flush()
        if self._to_tun is not None:
            for packet in self.rules.answers():
                self._to_tun.add(packet)
            self._to_tun.flush()

    # ---- in

    def _raw_reader(self, family: int, protocol: int, fd: int) -> Callable[[], None]:
        six = family == socket.AF_INET6
        batch = self._batches["6" if six else "4"]

        def read() -> None:
            for _ in range(BATCHES):
                try:
                    received = batch.receive(fd)
                except OSError:
                    # An ICMP error about an earlier packet that the kernel reports late.
                    self.rules.drop("receive error")
                    break
                for data, source, tos in received:
                    if not six:
                        # An IPv4 raw socket gives the outer header too.
                        source, tos, data = data[12:16], data[1], data[(data[0] & 15) * 4 :]
                    self._take(6 if six else 4, protocol, source, data, tos)
                if len(received) < native.SLOTS:
                    break
            self._flush()

        return read

    def _udp_reader(self, fd: int) -> Callable[[], None]:
        batch = self._batches["udp"]

        def read() -> None:
            for _ in range(BATCHES):
                try:
                    received = batch.receive(fd)
                except OSError:
                    self.rules.drop("receive error")
                    break
                for data, source, tos in received:
                    if len(data) >= 40 and data[0] >> 4 == 6 and data[6] == MOBILITY:
                        # RFC 5555 section 4.1: binding acknowledgements come in the same way.
                        self._on_message(data, source[2:], source[0] << 8 | source[1])
                    else:
                        self._take(4, ip.UDP, source[2:], data, tos)
                if len(received) < native.SLOTS:
                    break
            self._flush()

        return read

    def _take(self, outer: int, protocol: int, source: bytes, data: bytes, tos: int) -> None:
        """One packet of a tunnel."""
        packet = self.rules.inbound(outer, protocol, source, data, tos)
        if packet is None or self._to_tun is None:
            return
        if packet[0] >> 4 == 6 and (
            packet[6] == MOBILITY or (packet[6] == ip.ICMP6 and packet[40:41] == ADVERTISEMENT)
        ):
            self._on_message(packet, b"", 0)
            return
        if self.follow_correspondents:
            who = self.rules.correspondent(packet, time.monotonic())
            if who is not None:
                self._on_correspondent(who)
        self._to_tun.add(packet)

    def routed(self, source: bytes, data: bytes) -> None:
        """A packet that came straight from a correspondent, from its routing header on."""
        packet = self.rules.direct(source, data)
        if packet is not None and self._to_tun is not None:
            self._to_tun.add(packet)
            self._to_tun.flush()

    def error(self, outer: int, message: bytes) -> None:
        """An ICMP error."""
        self.rules.tunnel_error(outer, message, time.monotonic())
        self._flush()

    def _write(self, parts: list[bytes]) -> None:
        if self._tun is None:
            return
        try:
            self._tun.write(parts)
        except OSError:
            self.rules.drop("tun write error")


