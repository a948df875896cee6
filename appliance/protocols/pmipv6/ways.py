"""Between whom a message that is not an answer goes: to a gateway, or to a host that is away."""

from typing import NamedTuple

from appliance.protocols.mipv6.events import SendRouted, SendTunnelled
from appliance.protocols.mobility.codec import MOBILITY_HEADER
from appliance.protocols.pmipv6.events import Send
from appliance.protocols.pmipv6.pba import sealed

#: UDP port of signalling over IPv4 (RFC 5844 section 4.1.3).
SIGNALLING_PORT = 5436


class Way(NamedTuple):
    """Between which addresses a message goes; ``port``: UDP port of the peer, 0: in IPv6.

    Of a host in an IPv4 network the destination is where it is seen there (RFC 5555), ``source`` is IPv6.
    """

    source: bytes
    destination: bytes
    port: int = 0
    home: bytes = b""
    """Home address of a host, whose care-of address is the destination; empty: the peer is a gateway."""

    @property
    def peer(self) -> bytes:
        """What the other end is known by."""
        return self.home or self.destination

    @property
    def key(self) -> tuple[bytes, int]:
        """The same where several may share an address; a host is known by its home address."""
        return self.peer, 0 if self.home else self.port

    def leads_to(self, address: bytes, port: int) -> bool:
        """Whether a message from there is the peer's; hosts behind one NAT are only told apart by more."""
        behind = self.home and self.port
        return not behind and (self.destination, self.port) == (address, port)

    def sealed(self, mh: bytes) -> bytes:
        """A message with its checksum, if it has one."""
        return sealed(mh, self.source, self.peer, 0 if self.home else self.port)

    def send(self, data: bytes, protocol: int = MOBILITY_HEADER) -> Send | SendRouted | SendTunnelled:
        """The effect that sends a sealed message; to a host by a routing header (RFC 5846 section 7).

        Inside UDP its home address is the destination (RFC 5555 section 4.5), as of an acknowledgement.
        """
        if self.home and self.port:
            return SendTunnelled(data, self.source, self.home, self.destination, self.port, protocol)
        if self.home:
            return SendRouted(data, self.source, self.destination, self.home, protocol=protocol)
        return Send(data, self.source, self.destination, self.port)


def way_between(ours: bytes, theirs: bytes, port: int) -> Way:
    """The way to a peer whose messages came from ``port``; over IPv4 there is always one (RFC 5844)."""
    return Way(ours, theirs, port or (SIGNALLING_PORT if len(theirs) == 4 else 0))
