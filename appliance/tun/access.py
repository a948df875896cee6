"""An access link of a MAG: frames of mobile nodes in, frames to them out.

The kernel has no part in it: frames go to the fixed address of RFC 6543, which is not the
device's own. Control frames (neighbour discovery, MLD, ARP, DHCP) go to the access core, data
frames through the ingress filter into a tunnel.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from appliance.tun import offload
from appliance.tun import packet as ip
from appliance.tun.device import PacketDevice, Reader
from appliance.tun.offload import HEADER_SIZE, Coalescer
from appliance.tun.session import Session

if TYPE_CHECKING:
    from appliance.tun.engine import Engine

ETHERNET = 14
ETHERTYPE_IPV4, ETHERTYPE_ARP, ETHERTYPE_IPV6 = b"\x08\x00", b"\x08\x06", b"\x86\xdd"
#: MLD (RFC 2710, RFC 3810) and neighbour discovery (RFC 4861).
CONTROL_ICMP6 = frozenset((*range(130, 138), 143))
DHCP_PORTS = {4: frozenset((67, 68)), 6: frozenset((546, 547))}
#: A mobile that sends is reported no more often than this, seconds.
ACTIVITY_INTERVAL = 1.0
BATCHES = 2


def is_control(frame: bytes) -> bool:
    """Whether an Ethernet frame is for the access core and not to be forwarded."""
    kind = frame[12:14]
    if kind == ETHERTYPE_ARP:
        return True
    # The common data packet is TCP or UDP without extension headers: decided by one octet.
    if kind == ETHERTYPE_IPV6:
        if len(frame) < ETHERNET + 44 or frame[20] == ip.TCP:
            return False
        if frame[20] == ip.UDP:
            return (frame[56] << 8 | frame[57]) in DHCP_PORTS[6]
    elif kind != ETHERTYPE_IPV4 or len(frame) < ETHERNET + 20 or frame[23] != ip.UDP:
        return False
    packet = frame[ETHERNET:]
    found = ip.transport(packet)
    if found is None:
        return False
    protocol, offset = found
    if protocol == ip.ICMP6:
        return len(packet) > offset and packet[offset] in CONTROL_ICMP6
    if protocol == ip.UDP and len(packet) >= offset + 4:
        return (packet[offset + 2] << 8 | packet[offset + 3]) in DHCP_PORTS[packet[0] >> 4]
    return False


class AccessLink:
    """One access interface in service."""

    def __init__(
        self,
        engine: "Engine",
        device: PacketDevice,
        link_layer: bytes,
        on_control: Callable[[str, bytes], None],
        on_activity: Callable[[str, bytes], None],
    ) -> None:
        self.device = device
        self.coalescer = Coalescer(self.write, engine.sum16)
        self.reader = Reader(device.fileno(), self._read)
        self._engine = engine
        self._link_layer = link_layer
        self._on_control = on_control
        self._on_activity = on_activity
        self._batch = engine.batch("frame")

    def header(self, session: Session, version: int) -> bytes:
        """The Ethernet header of a packet to a session's mobile (RFC 6543 section 4: fixed source)."""
        kind = ETHERTYPE_IPV6 if version == 6 else ETHERTYPE_IPV4
        return session.link_layer + self._link_layer + kind

    def write(self, parts: list[bytes]) -> bool:
        """Write one frame, virtio header first; False (and counted) if the link does not take it."""
        try:
            self.device.write(parts)
        except OSError:
            self._engine.forwarding.drop("access write error")
            return False
        return True

    def _read(self) -> None:
        engine = self._engine
        now = engine.clock()
        fd = self.device.fileno()
        for _ in range(BATCHES):
            try:
                received = self._batch.receive(fd)
            except OSError:
                # The link went down; the kernel says so once, and netlink tells the service.
                engine.forwarding.drop("access read error")
                break
            for data, _, _ in received:
                self._frame(data, now)
            if len(received) < 8:
                break
        engine.flush()

    def _frame(self, data: bytes, now: float) -> None:
        frame = data[HEADER_SIZE:]
        if len(frame) < ETHERNET:
            return
        engine = self._engine
        if is_control(frame):
            header = offload.read_header(data)
            if header.flags & offload.NEEDS_CSUM and not header.gso_type:
                done = offload.complete(frame, header.checksum_start, header.checksum_offset)
                frame = done if done is not None else frame
            self._on_control(self.device.interface, frame)
            return
        forwarding = engine.forwarding
        if frame[:6] != self._link_layer:
            return
        packet = frame[ETHERNET:]
        source = frame[6:12]
        header = offload.Offload(0, 0, 0, 0, 0, 0)
        largest = 0
        if data[:2] != b"\0\0":
            flags, kind, length, size, start, offset = offload.read_header(data)
            header = offload.Offload(flags, kind, length, size, start - ETHERNET, offset)
            if kind:
                largest = offload.segment_size(packet, header)
                if not largest:
                    forwarding.drop("malformed")
                    return
        trimmed = ip.trimmed(packet) if not header.gso_type else packet
        if trimmed is None or len(packet) < 40 and (len(packet) < 20 or packet[0] >> 4 == 6):
            forwarding.drop("malformed")
            return
        found = forwarding.from_mobile(self.device.interface, source, trimmed, largest or len(trimmed), now)
        if found is None:
            return
        session, packet, target = found
        if now - session.last_activity >= ACTIVITY_INTERVAL:
            session.last_activity = now
            self._on_activity(self.device.interface, source)
        segments = engine.segments(packet, header)
        if not segments:
            forwarding.drop("malformed")
        elif target is None:
            engine.to_tunnel(session, segments)
        else:
            octets = sum(map(len, segments))
            session.packets_up += len(segments)
            session.octets_up += octets
            target.packets_down += len(segments)
            target.octets_down += octets
            for segment in segments:
                engine.to_mobile(target, segment)
