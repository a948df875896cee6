"""Flows of a host with several care-of addresses (RFC 5648): each stays with one tunnel while that is there.

There is no table of flows, which a stranger could fill: a flow's tunnel is found by rendezvous hashing. Of
all tunnels the one is taken whose hash together with the flow is the highest; so one tunnel less moves its
own flows only, and a new one takes over its share and nothing else. The hash has a secret of this process.
"""

from appliance.tun import packet as ip
from appliance.tun.session import Path, Session

#: Protocols whose first four octets tell flows apart: ports, or the SPI of ESP.
_PORTS = frozenset((ip.TCP, ip.UDP, 33, 50, 132, 136))


def flow_of(packet: bytes) -> bytes:
    """What all packets of a flow have in common; the packet's IP header is whole.

    Addresses, protocol and ports; where no ports can be seen (fragments, extension headers), the flow label
    takes their place (RFC 6437 section 2), in IPv4 nothing does.
    """
    if packet[0] >> 4 == 6:
        if packet[6] in _PORTS:
            return packet[8:44] + packet[6:7]
        return packet[8:40] + bytes((packet[1] & 15,)) + packet[2:4]
    if packet[9] in _PORTS and not (packet[6] & 0x3F or packet[7]):
        ports = (packet[0] & 15) * 4
        return packet[12:20] + packet[9:10] + packet[ports : ports + 4]
    return packet[12:20] + packet[9:10]


def lane_of(session: Session, packet: bytes) -> Session:
    """The tunnel that a packet to a host takes."""
    flow = flow_of(packet)
    found, highest = session, _score(flow, session.path)
    for lane in session.lanes:
        number = _score(flow, lane.path)
        if number > highest:
            found, highest = lane, number
    return found


def _score(flow: bytes, path: Path) -> int:
    """The hash of octets: that of a tuple would give some paths a larger share than others."""
    key = path.key
    return hash(flow + (key if isinstance(key, bytes) else key[0] + key[1]))
