"""What goes into the core of a mobile node and what comes out of it.

::

    netlink (addresses, routes) ──Links──▶            ──SendMessage──▶ raw sockets, UDP port 4191, tunnel
    raw socket MH ──MessageReceived──▶                ──SendIcmp─────▶ raw socket ICMPv6
    UDP port 4191 ──MessageReceived──▶  MobileNode    ──Tunnel, RemoveTunnel──▶ tunnel engine
    tunnel (MH inside) ──MessageReceived──▶           ──HomeAddress──▶ TUN device: addresses, routes
    raw socket ICMPv6 ──IcmpReceived──▶               ──AtHome───────▶ home link: address, advertisement
    tunnel (data) ──CorrespondentSeen──▶              ──Optimize, EndOptimize──▶ tunnel engine
    operator ──Command, Reconfigure──▶                ──Notify───────▶ log

Each is a slotted class whose fields are numbers, text, octets and tuples of these. Addresses are packed; the
checksum of everything that is to be sent is in place. What an operator is shown is asked for:
``MobileNode.report()``.
"""

from attrs import define

from appliance.protocols.mn.settings import MnSettings
from appliance.protocols.pmipv6.events import Notify

__all__ = [
    "AtHome",
    "Command",
    "CorrespondentSeen",
    "EndOptimize",
    "HomeAddress",
    "IcmpReceived",
    "Link",
    "Links",
    "MessageReceived",
    "Notify",
    "Optimize",
    "Optimized",
    "Path",
    "Reconfigure",
    "Registered",
    "RemoveTunnel",
    "Report",
    "SendIcmp",
    "SendMessage",
    "Tunnel",
]


# ---- what comes in


@define(slots=True, frozen=True)
class Link:
    """One address that can be used now: it is assigned, its DAD is over, and a route leads out.

    One interface may be named twice: with an IPv6 and with an IPv4 address.
    """

    interface: str
    address: bytes
    """16 or 4 octets; never link-local."""
    home: bool = False
    """The interface is on the home link (a router there advertises the home prefix). The core finds it
    out too if ``address`` has the home prefix."""


@define(slots=True)
class Links:
    """All that can be used now; said at the start and whenever it changes."""

    links: tuple[Link, ...]


@define(slots=True)
class MessageReceived:
    """A Mobility Header that has come for us."""

    data: bytes
    """From Payload Proto to the end of the packet."""
    source: bytes
    """IPv6 source (in UDP and in the tunnel: of the inner packet)."""
    destination: bytes
    """IPv6 destination: care-of address, or the home address."""
    home: bytes = b""
    """From a type 2 routing header; empty: there was none."""
    tunnelled: bool = False
    """It came out of the tunnel from the home agent (data, not signalling: UDP port 4191 with the
    home agent's own message is ``outer``)."""
    outer: bytes = b""
    """IPv4 source address, if it came in UDP port 4191."""
    port: int = 0
    """UDP source port; 0: not UDP."""


@define(slots=True)
class IcmpReceived:
    """An ICMPv6 message for us: types 4 (an error about what we sent), 145 and 147."""

    data: bytes
    """From the type octet; the checksum was right."""
    source: bytes
    destination: bytes
    home: bytes = b""
    """From a type 2 routing header, or the destination of what came through the tunnel; empty: neither."""


@define(slots=True)
class CorrespondentSeen:
    """There is traffic with this correspondent node: a packet of it came through the tunnel, or straight.

    Said for the first one and then at most once a second for each.
    """

    address: bytes
    """IPv6."""


@define(slots=True)
class Command:
    """What an operator wants: ``register`` (also: anew), ``refresh``, ``deregister`` (and stay so)."""

    what: str


@define(slots=True)
class Reconfigure:
    """The settings are these from now on; the name is the same."""

    settings: MnSettings


# ---- what comes out


@define(slots=True)
class SendMessage:
    """Send a mobility message.

    ::

        home empty    IPv6(source, destination) / MH
        home set      IPv6(source, destination) / Destination Options(Home Address: home) / MH
        outer set     IPv4(outer_source, outer) / UDP(4191, port) / IPv6(source, destination) / MH
        tunnelled     IPv6(source, destination) / MH, into the tunnel to the home agent
    """

    data: bytes
    source: bytes
    destination: bytes
    home: bytes = b""
    """For the Home Address option; 16 zero octets ask for a home address. Empty: without the option."""
    tunnelled: bool = False
    interface: str = ""
    """By which link; empty where it goes into the tunnel."""
    outer_source: bytes = b""
    """IPv4 care-of address, over UDP."""
    outer: bytes = b""
    """IPv4 address of the home agent; empty: not over UDP."""
    port: int = 0
    """UDP destination port, 4191."""


@define(slots=True)
class SendIcmp:
    """Send an ICMPv6 message of the node."""

    data: bytes
    """From the type octet, checksum in place."""
    source: bytes
    destination: bytes
    home: bytes = b""
    """For the Home Address option; empty: without one."""
    interface: str = ""
    tunnelled: bool = False
    outer_source: bytes = b""
    outer: bytes = b""
    """Inside UDP, between these IPv4 addresses; empty: in IPv6."""
    port: int = 0


@define(slots=True, frozen=True)
class Path:
    """One way to the home agent: the two ends of a tunnel."""

    interface: str
    local: bytes
    """Care-of address, 16 or 4 octets."""
    peer: bytes
    """The home agent's, of the same family."""
    udp: bool = False
    """UDP port 4191 encapsulation (IPv4 only)."""
    port: int = 0
    """UDP port of the home agent; 0: not UDP."""
    tlv: bool = False
    """TLV header between UDP and what is inside (RFC 5845)."""
    bid: int = 0
    """Binding identifier; 0: the only care-of address."""


@define(slots=True)
class Tunnel:
    """Make (or replace) the tunnel to the home agent."""

    home: bytes
    """Home address: source of all that goes in, unless it is of ``networks``."""
    home_ipv4: bytes | None
    networks: tuple[tuple[bytes, int], ...]
    """Prefixes behind a mobile router."""
    paths: tuple[Path, ...]
    """At least one. The first is used to send; packets may come by all of them."""


@define(slots=True)
class RemoveTunnel:
    """There is no tunnel any more: no binding, or the node is at home."""


@define(slots=True)
class HomeAddress:
    """The addresses that the TUN device has from now on; both empty: none."""

    address: bytes
    """IPv6 home address (/128); empty: none."""
    ipv4: bytes | None = None
    ipv4_prefix_length: int = 32


@define(slots=True)
class AtHome:
    """The node is at home: its address is used on this interface again.

    With ``advertise`` (the home agent has stopped defending the address, RFC 6275 section 11.5.5) an
    unsolicited Neighbor Advertisement with O set goes to all nodes of the link. Before that the address is
    ours only to send the update from; its duplicate address detection is left out.
    """

    interface: str
    """Empty: the node has left home, the address goes from the link."""
    address: bytes = b""
    advertise: bool = False


@define(slots=True)
class Optimize:
    """Traffic with this correspondent goes directly: Home Address option out, type 2 routing header in."""

    correspondent: bytes
    interface: str
    care_of: bytes


@define(slots=True)
class EndOptimize:
    """Traffic with this correspondent goes through the tunnel (or, at home, plainly)."""

    correspondent: bytes


# ---- what an operator is shown


@define(slots=True)
class Registered:
    """One care-of address at the home agent."""

    interface: str
    care_of: bytes
    bid: int
    state: str
    """``registering``, ``registered``, ``refused``, ``leaving``."""
    status: int
    """Of the last answer; -1: none has come."""
    sequence: int
    lifetime: int
    """Granted, seconds."""
    expires: float
    """Seconds left."""
    refresh: float
    """Seconds until the next update; retransmissions too."""
    retransmissions: int
    nat: bool
    """The home agent has found a NAT."""
    keepalive: int
    """Seconds between keep-alives; 0: none."""


@define(slots=True)
class Optimized:
    """One correspondent node."""

    address: bytes
    state: str
    """``testing``, ``registering``, ``optimized``, ``tunnel`` (it does not know route optimization)."""
    care_of: bytes
    lifetime: int
    expires: float
    sequence: int
    home_nonce: int
    care_of_nonce: int


@define(slots=True)
class Report:
    """All that there is to tell of a mobile node."""

    state: str
    """``no link``, ``discovering`` (no home agent yet), ``registering``, ``registered``, ``at home``,
    ``returning`` (de-registering at home), ``leaving``, ``refused``, ``stopped``."""
    home_agent: bytes
    home_address: bytes
    home_ipv4: bytes
    """Empty: none."""
    home_ipv4_prefix_length: int
    home_agents: tuple[bytes, ...]
    """Those that are known, the one in use too."""
    networks: tuple[tuple[bytes, int], ...]
    prefixes: tuple[tuple[bytes, int, int], ...]
    """Of the home network: prefix, length, valid lifetime as it was told (seconds)."""
    registrations: tuple[Registered, ...]
    correspondents: tuple[Optimized, ...]
    handoffs: int
