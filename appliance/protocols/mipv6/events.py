"""What goes into the core of host bindings and comes out of it, beside what it shares with the anchor.

::

    raw socket, Next Header 60 ──OptionsReceived──▶ Hosts ──SendRouted──▶ raw socket with whole packets
    UDP port 4191 ──────────TunnelledReceived─────▶       ──SendTunnelled──▶ UDP port 4191
    test on the home link ───────AddressTested────▶       ──TestAddress, StopTest──▶ test on the home link
    home link ──HomeLinkUp, HomeLinkDown, HomeFrame▶      ──SendHomeFrame, SendAtHome──▶ home link

Slotted classes of numbers, text and octets, as all events are.
"""

from attrs import define

#: Tokens of questions that host bindings ask an AAA client begin here; those of gateways are below.
FIRST_TOKEN = 1 << 40


class HostEvent:
    """Base of what comes in for host bindings only."""

    __slots__ = ()


@define(slots=True)
class OptionsReceived(HostEvent):
    """A packet whose first extension header is Destination Options, as it came off a raw socket."""

    data: bytes
    """From that header to the end of the packet."""
    source: bytes
    """IPv6 source of the packet: the care-of address, if a Home Address option follows."""
    destination: bytes


@define(slots=True)
class ProtectedReceived(HostEvent):
    """A message that a security association of the kernel has covered, without the headers before it."""

    data: bytes
    source: bytes
    """What upper layers see: the home address, where there was a Home Address option."""
    destination: bytes
    care_of: bytes = b""
    """Source of the packet; empty: there was no Home Address option."""
    protocol: int = 135


@define(slots=True)
class TunnelledReceived(HostEvent):
    """An IPv6 packet to our address with a Mobility Header, as it came inside UDP (RFC 5555 section 4.1)."""

    data: bytes
    """From the IPv6 header on."""
    address: bytes
    """Source of the outer IPv4 header."""
    port: int
    """Source port of the UDP header."""
    local: bytes
    """Our IPv4 address that it came to."""


#: What comes from hosts themselves.
MESSAGES = (OptionsReceived, ProtectedReceived, TunnelledReceived)


@define(slots=True)
class SendTunnelled:
    """Send a message to a host in an IPv4 network: IPv6 inside UDP (RFC 5555 section 4.2)."""

    data: bytes
    """What follows the IPv6 header; its checksum is in place."""
    source: bytes
    destination: bytes
    """Home address."""
    address: bytes
    """Where the update came from: IPv4 address and UDP port."""
    port: int
    protocol: int = 135
    """Next Header of the IPv6 header."""


@define(slots=True)
class SendRouted:
    """Send a mobility message to a host that is away: by a type 2 routing header (RFC 6275 section 6.4)."""

    data: bytes
    """The message; its checksum is over the home address."""
    source: bytes
    destination: bytes
    """Care-of address."""
    home: bytes
    port: int = 0
    """As in ``Send``: never UDP."""
    protocol: int = 135
    """What ``data`` is: a mobility message, or ICMPv6 (58)."""


@define(slots=True)
class DatagramReceived(HostEvent):
    """A UDP datagram that a host has sent to us through its tunnel."""

    data: bytes
    """What follows the UDP header."""
    source: bytes
    """An address of the host, as the tunnel has vouched for."""
    destination: bytes
    port: int
    """Ours."""


@define(slots=True)
class ListenDatagrams:
    """Hear these UDP ports of ours, as far as datagrams come through tunnels; no other ones."""

    ports: tuple[int, ...]


@define(slots=True)
class SendDatagram:
    """Send a UDP datagram to a host."""

    data: bytes
    """From the UDP header on; the checksum is in place."""
    source: bytes
    home: bytes
    care_of: bytes = b""
    """Where the host is: by a type 2 routing header (RFC 6275 section 6.4). Empty: through its tunnel."""


@define(slots=True)
class TestAddress:
    """Find out whether another node of the home link has one of these addresses (RFC 4862 section 5.4)."""

    token: int
    addresses: tuple[bytes, ...]
    interface: str


@define(slots=True)
class StopTest:
    """The test is over; what comes now is of no interest."""

    token: int


@define(slots=True)
class AddressTested(HostEvent):
    """A test has failed; one that is not heard of is passed."""

    token: int
    why: str
    """For the log."""


@define(slots=True)
class IcmpReceived(HostEvent):
    """An ICMPv6 message for home agents (RFC 6275 section 6.5), or of Neighbor Discovery on the home link."""

    data: bytes
    """From the type octet on; the kernel has verified the checksum."""
    source: bytes
    destination: bytes
    hop_limit: int


@define(slots=True)
class SendOnLink:
    """Send an ICMPv6 message on the home link from our link-local address; the kernel makes its checksum."""

    data: bytes
    destination: bytes


@define(slots=True)
class SwitchHosts(HostEvent):
    """An operator sends hosts to other home agents (RFC 5142); empty filter fields match every host."""

    mn_id: bytes = b""
    address: bytes = b""
    agents: tuple[bytes, ...] = ()
    """In the order of the message; empty: those of the Home Agents List."""
    grace: int = 0
    """Seconds until the bindings will be deleted (Binding Refresh Advice); 0: not said."""


@define(slots=True)
class AskRefresh(HostEvent):
    """An operator has hosts refresh their bindings now; an empty filter matches every host."""

    mn_id: bytes = b""
    address: bytes = b""


@define(slots=True)
class HomeLinkUp(HostEvent):
    """The home link can be used now; another one, or the same with other addresses, is not any more."""

    interface: str
    link_layer: bytes
    """Ours there."""
    address: bytes
    """Ours there, IPv6: what Neighbor Advertisements come from."""


@define(slots=True)
class HomeLinkDown(HostEvent):
    """The home link cannot be used any more."""

    interface: str


@define(slots=True)
class HomeFrame(HostEvent):
    """A frame from the home link: Neighbor Discovery, or one to our second link-layer address."""

    interface: str
    frame: bytes


@define(slots=True)
class SendHomeFrame:
    """Send a frame on the home link."""

    interface: str
    frame: bytes


@define(slots=True)
class SendAtHome:
    """Answer a host whose update came from the home link, at the link-layer address that it came from.

    Its own address cannot be asked for there as long as we defend it (RFC 6275 section 10.3.2).
    """

    data: bytes
    """The message, sealed."""
    source: bytes
    destination: bytes
    home: bytes
    """For the type 2 routing header; empty: without one."""
    interface: str
