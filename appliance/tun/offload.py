"""Large packets of the virtio network header: split them for the tunnel, build them for the kernel.

::

    kernel ──super-packet, partial checksum──▶ split() ──segments──▶ tunnel
    tunnel ──segments──▶ Coalescer ──super-packet, partial checksum──▶ kernel

Where the kernel gives or takes 64 kilobytes at once, one system call and one route
look-up serve forty segments; that is what makes the difference in speed. The header
lengths that the kernel states are not trusted: they are taken from the packet.

``struct virtio_net_hdr`` is in the byte order of the host: flags, gso_type, hdr_len,
gso_size, csum_start, csum_offset (10 octets).
"""

import struct
from collections.abc import Callable
from typing import NamedTuple

from appliance.protocols.bits import ones_complement_sum

HEADER = struct.Struct("=BBHHHH")
HEADER_SIZE = HEADER.size
NO_OFFLOAD = bytes(HEADER_SIZE)

NEEDS_CSUM = 1
GSO_NONE, GSO_TCPV4, GSO_UDP, GSO_TCPV6, GSO_UDP_L4, GSO_ECN = 0, 1, 3, 4, 5, 0x80

FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = 1, 2, 4, 8, 16, 32, 64, 128
#: An IPv4 packet, and the payload of an IPv6 packet, are no longer than this.
LARGEST = 65_535
_U16 = struct.Struct(">H")
_U32 = struct.Struct(">I")
#: IPv6 and TCP: class and flow label, length, next header and hop limit, addresses and ports,
#: sequence, acknowledgement and data offset, flags, window, checksum.
_TCP6 = struct.Struct(">4sH2s36sI5sB2sH")
#: IPv4 and TCP: version and TOS, length, identification, fragment to protocol, checksum, then as above.
_TCP4 = struct.Struct(">2sHH4sH12sI5sB2sH")

Sum = Callable[[bytes], int]
"""Ones' complement sum of 16-bit words (big-endian, zero padded), not inverted, 0..0xffff."""


class Offload(NamedTuple):
    """One virtio network header."""

    flags: int
    gso_type: int
    header_length: int
    gso_size: int
    checksum_start: int
    checksum_offset: int


def read_header(data: bytes) -> Offload:
    """The virtio header at the start of ``data`` (at least 10 octets)."""
    return Offload(*HEADER.unpack_from(data))


def complete(packet: bytes, start: int, offset: int, sum16: Sum = ones_complement_sum) -> bytes | None:
    """``packet`` with the checksum that the kernel left unfinished (NEEDS_CSUM) computed.

    The field at ``start + offset`` already holds the sum of the pseudo-header. ``None`` if
    the positions lie outside the packet.
    """
    where = start + offset
    if start < 20 or where + 2 > len(packet):
        return None
    # The field itself is part of the sum: that adds the pseudo-header.
    check = 0xFFFF - sum16(packet[start:]) % 0xFFFF
    # RFC 768: a UDP checksum that comes out as zero is sent as all ones; the same value for TCP.
    return b"".join((packet[:where], _U16.pack(check), packet[where + 2 :]))


def segment_size(packet: bytes, offload: Offload) -> int:
    """Size in octets of the largest packet that ``split`` will make; 0 if it cannot split it."""
    start = _transport_header(packet, offload)
    return start + offload.gso_size if start else 0


def _transport_header(packet: bytes, offload: Offload) -> int:
    """Octets of all headers of a super-packet; 0 when it is not one that can be split."""
    start = offload.checksum_start
    kind = offload.gso_type & ~GSO_ECN
    size = len(packet)
    if not offload.gso_size or start < 20 or start + 20 > size + (12 if kind == GSO_UDP_L4 else 0):
        return 0
    version = packet[0] >> 4
    if version == 6:
        if start < 40:
            return 0
    elif version != 4 or (packet[0] & 15) * 4 != start:
        return 0
    if kind == GSO_UDP_L4:
        return start + 8
    if kind != (GSO_TCPV6 if version == 6 else GSO_TCPV4):
        return 0
    head = start + (packet[start + 12] >> 4) * 4
    return head if start + 20 <= head <= size else 0


def split(packet: bytes, offload: Offload, sum16: Sum = ones_complement_sum) -> list[bytes]:
    """The segments of a super-packet, every length and checksum in place.

    TCP over IPv4 and IPv6, and UDP of equal datagrams. An empty list means that the
    super-packet is malformed or of a kind that was not asked for.
    """
    head_size = _transport_header(packet, offload)
    if not head_size:
        return []
    if offload.gso_type & ~GSO_ECN == GSO_UDP_L4:
        return _split_udp(packet, offload, head_size, sum16)
    return _split_tcp(packet, offload, head_size, sum16)


def _ip_writer(packet: bytes, start: int) -> Callable[[bytearray, int, int], None]:
    """A function (header, number of the segment, octets after the IP header) that writes the IP lengths."""
    if packet[0] >> 4 == 6:

        def write6(head: bytearray, index: int, length: int) -> None:
            _U16.pack_into(head, 4, start - 40 + length)

        return write6
    first = packet[4] << 8 | packet[5]
    fixed = bytearray(packet[:start])
    fixed[2:6] = bytes(4)
    fixed[10:12] = bytes(2)
    base = ones_complement_sum(bytes(fixed))

    def write4(head: bytearray, index: int, length: int) -> None:
        total, identification = start + length, (first + index) & 0xFFFF
        _U16.pack_into(head, 2, total)
        _U16.pack_into(head, 4, identification)
        _U16.pack_into(head, 10, 0xFFFF - (base + total + identification) % 0xFFFF)

    return write4


def _pseudo_sum(packet: bytes, protocol: int) -> int:
    """Sum of the pseudo-header without its length."""
    return ones_complement_sum(packet[8:40] if packet[0] >> 4 == 6 else packet[12:20]) + protocol


def _split_tcp(packet: bytes, offload: Offload, head_size: int, sum16: Sum) -> list[bytes]:
    start, step, size = offload.checksum_start, offload.gso_size, len(packet)
    head = bytearray(packet[:head_size])
    write_ip = _ip_writer(packet, start)
    tcp_head = head_size - start
    sequence = _U32.unpack_from(packet, start + 4)[0]
    flags = packet[start + 13]
    # FIN and PSH belong to the last segment, CWR to the first (RFC 3168 section 6.1.2).
    plain = flags & ~(FIN | PSH | CWR)
    head[start + 4 : start + 8] = bytes(4)
    head[start + 13] = plain
    head[start + 16 : start + 18] = bytes(2)
    base = ones_complement_sum(bytes(head[start:])) + _pseudo_sum(packet, 6)
    write_ip(head, 0, tcp_head + step)
    at_sequence, at_check = start + 4, start + 16
    segments = []
    for index, offset in enumerate(range(head_size, max(size, head_size + 1), step)):
        payload = packet[offset : offset + step]
        last = offset + step >= size
        own = base
        if last or not index:
            mine = plain | (flags & (FIN | PSH) if last else 0) | (flags & CWR if not index else 0)
            head[start + 13] = mine
            own += mine - plain
        elif index == 1:
            head[start + 13] = plain
        if index or last:
            write_ip(head, index, tcp_head + len(payload))
        check = own + tcp_head + len(payload) + (sequence >> 16) + (sequence & 0xFFFF) + sum16(payload)
        _U32.pack_into(head, at_sequence, sequence)
        _U16.pack_into(head, at_check, 0xFFFF - check % 0xFFFF)
        segments.append(b"".join((head, payload)))
        sequence = (sequence + step) & 0xFFFFFFFF
    return segments


def _split_udp(packet: bytes, offload: Offload, head_size: int, sum16: Sum) -> list[bytes]:
    start, step = offload.checksum_start, offload.gso_size
    head = bytearray(packet[:head_size])
    write_ip = _ip_writer(packet, start)
    head[start + 4 : start + 8] = bytes(4)
    base = ones_complement_sum(bytes(head[start:])) + _pseudo_sum(packet, 17)
    segments = []
    for index, offset in enumerate(range(head_size, len(packet), step)):
        payload = packet[offset : offset + step]
        length = 8 + len(payload)
        write_ip(head, index, length)
        _U16.pack_into(head, start + 4, length)
        _U16.pack_into(head, start + 6, 0xFFFF - (base + 2 * length + sum16(payload)) % 0xFFFF)
        segments.append(b"".join((head, payload)))
    return segments


class _Flow:
    """One super-packet in the making."""

    __slots__ = (
        "first", "head", "next_sequence", "options", "parts", "prefix", "same", "start", "step", "total",
    )  # fmt: skip

    def __init__(
        self, prefix: bytes, first: bytes, start: int, head: int, same: tuple[bytes, ...], sequence: int
    ) -> None:
        self.prefix = prefix
        self.first = first
        self.start = start
        self.head = head
        self.same = same
        self.options = first[start + 18 : head]
        self.step = len(first) - head
        self.next_sequence = (sequence + self.step) & 0xFFFFFFFF
        self.parts: list[bytes] = []
        self.total = len(first)


class Coalescer:
    """Joins consecutive segments of TCP flows into super-packets.

    ``write(parts)`` gets each packet as a list of pieces that go out in one write: virtio header,
    prefix (a link-layer header or nothing), headers, payloads. Packets of one flow
    keep their order; every checksum is verified before a segment is joined, because the
    kernel takes the super-packet's for granted. Call :meth:`flush` at the end of a batch.
    """

    __slots__ = ("_flows", "_sum16", "_write")

    def __init__(self, write: Callable[[list[bytes]], object], sum16: Sum = ones_complement_sum) -> None:
        self._write = write
        self._sum16 = sum16
        self._flows: dict[bytes, _Flow] = {}

    def add(self, packet: bytes, prefix: bytes = b"") -> None:
        """Take one whole IP packet (lengths already checked)."""
        size = len(packet)
        if packet[0] >> 4 == 6:
            if packet[6] == 6 and size >= 60:
                class_flow, _, next_hop, key, sequence, ack, flags, window, _ = _TCP6.unpack_from(packet)
                self._add_tcp(packet, prefix, 40, key, sequence, flags, (class_flow, next_hop, ack, window))
                return
        # Fragments have no TCP header to look at: their flag and offset bits are 0 except DF.
        elif packet[9] == 6 and packet[0] == 0x45 and size >= 40 and not (packet[6] & 0x3F or packet[7]):
            class_of, _, _, rest, _, key, sequence, ack, flags, window, _ = _TCP4.unpack_from(packet)
            self._add_tcp(packet, prefix, 20, key, sequence, flags, (class_of, rest, ack, window))
            return
        self._write([NO_OFFLOAD, prefix, packet])

    def _add_tcp(
        self,
        packet: bytes,
        prefix: bytes,
        start: int,
        key: bytes,
        sequence: int,
        flags: int,
        same: tuple[bytes, ...],
    ) -> None:
        """``same``: what must be equal in all segments, besides the TCP options."""
        size = len(packet)
        flow = self._flows.get(key)
        head = start + (packet[start + 12] >> 4) * 4
        step = size - head
        # The addresses stand right before the TCP header in both versions, so one sum covers
        # them and the segment; the rest of the pseudo-header is protocol and length.
        if (
            flags & ~PSH != ACK
            or step <= 0
            or head < start + 20
            or (self._sum16(packet[8 if start == 40 else 12 :]) + 6 + size - start) % 0xFFFF
        ):
            if flow is not None:
                self._finish(self._flows.pop(key))
            self._write([NO_OFFLOAD, prefix, packet])
            return
        if flow is not None:
            if (
                sequence == flow.next_sequence
                and step <= flow.step
                and flow.total + step <= LARGEST
                and same == flow.same
                and packet[start + 18 : head] == flow.options
                and prefix == flow.prefix
            ):
                flow.parts.append(packet[head:])
                flow.total += step
                flow.next_sequence = (sequence + step) & 0xFFFFFFFF
                if step < flow.step or flags & PSH:
                    del self._flows[key]
                    self._finish(flow, flags & PSH)
                return
            self._finish(self._flows.pop(key))
        if flags & PSH:
            self._write([NO_OFFLOAD, prefix, packet])
            return
        self._flows[key] = _Flow(prefix, packet, start, head, same, sequence)

    def _finish(self, flow: _Flow, push: int = 0) -> None:
        first = flow.first
        if not flow.parts:
            self._write([NO_OFFLOAD, flow.prefix, first])
            return
        start = flow.start
        head = bytearray(first[: flow.head])
        length = flow.total - start
        if start == 40:
            _U16.pack_into(head, 4, length)
            kind = GSO_TCPV6
        else:
            _U16.pack_into(head, 2, flow.total)
            head[10:12] = bytes(2)
            _U16.pack_into(head, 10, 0xFFFF - ones_complement_sum(bytes(head[:20])) % 0xFFFF)
            kind = GSO_TCPV4
        head[start + 13] |= push
        # NEEDS_CSUM: the field holds the sum of the pseudo-header, not inverted.
        _U16.pack_into(head, start + 16, (_pseudo_sum(first, 6) + length) % 0xFFFF)
        before = len(flow.prefix)
        offload = HEADER.pack(NEEDS_CSUM, kind, before + flow.head, flow.step, before + start, 16)
        self._write([offload, flow.prefix, bytes(head), first[flow.head :], *flow.parts])

    def flush(self) -> None:
        """Write out everything that is still waiting for more."""
        if self._flows:
            flows, self._flows = self._flows, {}
            for flow in flows.values():
                self._finish(flow)
