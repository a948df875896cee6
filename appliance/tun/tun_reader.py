"""Reads the TUN device of an anchor: packets into tunnels, and back onto a home link."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from appliance.tun import offload
from appliance.tun.device import TunDevice
from appliance.tun.offload import HEADER_SIZE

if TYPE_CHECKING:
    from appliance.tun.engine import Engine

#: Packets of one read from the TUN device; a super-packet counts once.
READS = 32
_PLAIN = offload.read_header(offload.NO_OFFLOAD)


def tun_reader(engine: "Engine", tun: TunDevice) -> Callable[[], None]:
    """What the reactor calls when packets wait at the device."""
    outbound = engine.forwarding.outbound

    def at_home(packet: bytes, header: offload.Offload, now: float) -> None:
        home = engine.home
        if home is not None and engine.forwarding.stays(packet):
            home.send(packet, lambda: engine.segments(packet, header), now)

    def read() -> None:
        now = engine.clock()
        for _ in range(READS):
            try:
                data = tun.read()
            except OSError:
                # An operator took the device down.
                engine.forwarding.drop("tun read error")
                break
            if not data:
                break
            packet = data[HEADER_SIZE:]
            if data[:2] == b"\0\0":
                session = outbound(packet, len(packet), now)
                if session is not None:
                    engine.to_tunnel(session, [packet])
                else:
                    at_home(packet, _PLAIN, now)
                continue
            header = offload.read_header(data)
            largest = offload.segment_size(packet, header) if header.gso_type else len(packet)
            session = outbound(packet, largest, now)
            if session is None:
                at_home(packet, header, now)
                continue
            segments = engine.segments(packet, header)
            if segments:
                engine.to_tunnel(session, segments)
            else:
                engine.forwarding.drop("malformed")
        engine.flush()

    return read
