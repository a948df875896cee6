"""What goes into the access core and what comes out of it, besides the PMIPv6 events.

::

    engine ──FrameReceived, Activity──▶ attach ──SendFrame──▶ engine
    DHCP server ──DhcpRelayed─────────▶        ──RelayDhcp──▶ DHCP server
    netlink ──LinkUp, LinkDown────────▶        ──MobileAttached, MobileDetached──▶ mag
                                               ──AddressWanted, AddressReleased──▶ mag
    mag ──Advertise, Withdraw─────────▶        ──Notify──▶ log
"""

from attrs import define


@define(slots=True)
class FrameReceived:
    """A control frame (Neighbor Discovery, MLD, ARP, DHCP) that a mobile node sent."""

    interface: str
    frame: bytes
    """The whole Ethernet frame, from the destination address on, without frame check sequence."""


@define(slots=True)
class SendFrame:
    """Send one whole Ethernet frame on an access link."""

    interface: str
    frame: bytes


@define(slots=True)
class RelayDhcp:
    """Send a DHCP message (from its ``op`` octet) to a server, from our IPv4 address and UDP port 67."""

    data: bytes
    server: bytes
    """IPv4 address, packed."""


@define(slots=True)
class DhcpRelayed:
    """What came to that port."""

    data: bytes
    source: bytes
    """IPv4 address, packed."""


@define(slots=True)
class LinkUp:
    """An access link has carrier (again)."""

    interface: str


@define(slots=True)
class LinkDown:
    """An access link lost its carrier or its device went away: nobody is attached any more."""

    interface: str


@define(slots=True)
class Activity:
    """Data of a mobile node was seen on a link, so it is reachable (RFC 4861 section 7.3.1)."""

    interface: str
    link_layer: bytes


@define(slots=True)
class MobileSeen:
    """A mobile node was on a link a moment ago, as the core before this one knew; it may not say so again."""

    interface: str
    link_layer: bytes
    link_local: bytes
