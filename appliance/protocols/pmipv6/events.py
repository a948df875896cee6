"""What goes into the PMIPv6 cores and what comes out of them.

::

    rawsock ──PacketReceived──▶ lma / mag ──Send──▶ rawsock
    operator ──ClearSessions──▶           ──Install/Remove──▶ tunnel engine
             ──Reconfigure────▶           ──Reach/Unreach──▶ routes to the tunnel device
    AAA client ─ ``mobility.aaa`` ─ lma ──Entrust, Concluded──▶ another lma of this process
    attach ──MobileAttached, AddressWanted───▶ mag       ──Advertise/Withdraw──▶ attach
                                          ──Notify──▶ log

Each is a slotted class whose fields are numbers, text, octets and tuples of these, so
that it can be written as JSON and replayed. Addresses are packed octets. The hot
ones are plain (not frozen) because freezing costs more than the whole construction;
nobody changes an event after it was made.
"""

from attrs import define

from appliance.protocols.pmipv6.settings import LmaSettings, MagSettings


@define(slots=True)
class PacketReceived:
    """One mobility message as it came off a socket."""

    data: bytes
    """From the Payload Proto octet to the end of the IP or UDP payload."""
    source: bytes
    """IPv6 (16) or, over UDP port 5436, IPv4 (4) source address."""
    destination: bytes
    port: int = 0
    """UDP source port; 0: the message came straight in IPv6 (Next Header 135)."""


@define(slots=True)
class Strain:
    """How the process is doing; an anchor is told every second."""

    lag: int
    """The worst lag of the loop since the last time, milliseconds."""
    memory: int
    """Resident memory, percent of what the process may have."""
    queue: int = 0
    """How full the fullest receive buffer is, percent."""


@define(slots=True)
class Shed:
    """Messages that were given up unread, since there was no time for them."""

    updates: int
    """Binding updates of mobile nodes without a session."""
    others: int = 0


@define(slots=True)
class Excess:
    """An update of a new mobile node that there is no time for, but the sender is to be told."""

    packet: PacketReceived


@define(slots=True)
class Send:
    """Send one mobility message; the checksum is already in place."""

    data: bytes
    source: bytes
    destination: bytes
    port: int = 0
    """UDP destination port (from 5436); 0: in IPv6."""


@define(slots=True)
class SendIcmp:
    """Send an ICMPv6 Parameter Problem or similar about a packet that came in."""

    data: bytes
    """The ICMPv6 message from its type octet, checksum in place."""
    source: bytes
    destination: bytes


@define(slots=True)
class Install:
    """Make (or replace) the forwarding entry of a session; replaces by ``call_id``."""

    call_id: int
    prefixes: tuple[tuple[bytes, int], ...]
    ipv4_address: bytes | None
    local: bytes
    """Our tunnel end: LMAA or Proxy-CoA, IPv6 or IPv4."""
    peer: bytes
    """The other tunnel end, same family as ``local``."""
    gre: bool = False
    send_key: int | None = None
    """GRE key to put into packets that we send; ``None``: no key."""
    receive_key: int | None = None
    udp: bool = False
    """UDP port 5437 encapsulation (IPv4 transport only)."""
    interface: str = ""
    """MAG only: access interface of the mobile node."""
    link_layer: bytes = b""
    """MAG only: link-layer address of the mobile node."""
    ipv4_router: bytes | None = None
    """MAG only: default router address to answer ARP for."""
    tlv: bool = False
    """TLV header between UDP and what is inside (RFC 5845 section 7.2)."""
    port: int = 0
    """UDP port of the other tunnel end to begin with; 0: 5437."""
    gateway: bytes = b""
    """UDP only: what tells gateways apart that have one address because of a NAT."""
    nat: bool = False
    """UDP only: a NAT stands between, so that ``port`` is known only when a packet has come."""
    keepalive: int = 0
    """UDP only: seconds after which a NAT is to be reminded of us; 0: there is none to remind."""
    host_port: int = 0
    """Of a host in an IPv4 network (RFC 5555): the UDP port that its updates come from. It speaks with port
    4191 then, and from no other port; 0: it is none. Without ``udp`` its packets may come in both forms."""
    rate_up: int = 0
    """Bit rate from the mobile, bit/s; more is dropped. 0: as much as there is."""
    rate_down: int = 0
    traffic_class: int | None = None
    """Traffic class (DSCP in the upper 6 bits) of outer headers; ``None``: as for everybody."""
    second: "Install | None" = None
    """Packets from the mobile are accepted by this tunnel too (RFC 6058); none is sent there."""
    others: tuple[bytes, ...] = ()
    """Further tunnel ends that packets of the mobile may come from: its other care-of addresses."""
    lanes: "tuple[Install, ...]" = ()
    """Further tunnels of a host with several care-of addresses (RFC 5648); packets may come by each."""
    spread: bool = False
    """Flows to the host are spread over this tunnel and ``lanes``; otherwise all of them go by this one."""


@define(slots=True)
class Remove:
    """Take the forwarding entry of a session away; its traffic is dropped from now on."""

    call_id: int


@define(slots=True)
class Reach:
    """Bring packets to this network into the tunnel device: AAA gave it, and no pool's route covers it."""

    prefix: bytes
    length: int


@define(slots=True)
class Unreach:
    """The route that :class:`Reach` made is not needed any more."""

    prefix: bytes
    length: int


@define(slots=True)
class Entrust:
    """Have another anchor of this process register a mobile node (RFC 6463 section 5.3.1).

    Effect of the anchor that was asked, event of the one that is to serve; a :class:`Concluded` with its
    token follows, unless the update is to be ignored.
    """

    service: str
    """Name of the one that is to serve."""
    by: str
    """Name of the one that was asked."""
    token: int
    packet: PacketReceived
    """The update, as if it had been sent to the address of the one that is to serve."""


@define(slots=True)
class Concluded:
    """What became of an :class:`Entrust`: effect of the anchor that serves, event of the other."""

    service: str
    """Name of the one that was asked."""
    token: int
    data: bytes
    """The acknowledgement; empty: it does not take mobile nodes from others."""


@define(slots=True)
class Notify:
    """Something an operator wants to read in the log."""

    level: str
    """``info``, ``warning`` or ``error``."""
    text: str


@define(slots=True)
class ClearSessions:
    """An operator ends sessions; an empty filter field matches every session."""

    mn_id: bytes = b""
    address: bytes = b""
    """Home network prefix, an address inside it, or IPv4 home address."""
    call_id: int = 0
    trigger: int = 1
    """What gateways are told (RFC 5846 section 5.1). 128: one message to each gateway for all its sessions;
    129: one to each for all sessions of a realm, ``mn_id`` is ``@realm``."""
    ipv4_only: bool = False
    """Only the IPv4 home address goes."""
    group: int = 0
    """Anchor: only the sessions of this bulk binding update group (RFC 6602), one message to each gateway."""


@define(slots=True)
class Depart:
    """The service is about to stop: its peers are told, and nothing new is begun."""


@define(slots=True)
class Reconfigure:
    """The service's settings are these from now on; its name and its addresses are the same as before."""

    settings: LmaSettings | MagSettings


@define(slots=True)
class Began:
    """The service starts, without a session: how often it has done so, and whom it had sessions with before.

    It comes before any message.
    """

    counter: int
    """Restart Counter (RFC 5847 section 3.2)."""
    former: tuple[tuple[bytes, bytes, int], ...] = ()
    """Of each peer: its address, ours, and its UDP port (0: IPv6)."""


@define(slots=True)
class KeepPeers:
    """Write down whom the service has sessions with now, for the :class:`Began` after this one."""

    peers: tuple[tuple[bytes, bytes, int], ...]


@define(slots=True)
class NotifyUpdate:
    """An operator has an anchor send Update Notifications (RFC 7077)."""

    reason: int
    mn_id: bytes = b""
    """Empty: all sessions, one message to each gateway."""
    vendor: int = 0
    vendor_type: int = 0
    vendor_data: bytes = b""


@define(slots=True)
class Capacity:
    """What process and host can carry; said when it changes. With less, an anchor takes no new sessions."""

    memory: bool = True
    """False: the process uses more memory than ``max-memory`` allows."""
    tunnel: bool = True
    """False: the tunnel device is down, or gone."""


@define(slots=True)
class MobileAttached:
    """The access side (or an operator) says that a mobile node is on a link."""

    interface: str
    link_layer: bytes
    """May be empty for a link without link-layer addresses."""
    mn_id: bytes = b""
    """Given by an operator's trigger; empty: look it up in the policy table."""
    handoff: int = 4
    """Handoff Indicator to send (RFC 5213 section 8.4); 4: unknown."""
    by_hand: bool = False
    """An operator says so: the anchor is asked again although it has refused before."""


@define(slots=True)
class MobileDetached:
    """The access side (or an operator) says that a mobile node has left a link.

    An empty ``link_layer`` means every mobile on the interface (the link went down);
    both empty with ``mn_id`` set: that mobile wherever it is.
    """

    interface: str = ""
    link_layer: bytes = b""
    mn_id: bytes = b""


@define(slots=True)
class AddressWanted:
    """A mobile node on a link asks for an IPv4 address (RFC 5844 section 3.4.3: the trigger)."""

    interface: str
    link_layer: bytes


@define(slots=True)
class AddressReleased:
    """A mobile node on a link gives its IPv4 home address back (RFC 5844 section 3.4.1)."""

    interface: str
    link_layer: bytes


@define(slots=True)
class PrefixesWanted:
    """A mobile router asks for prefixes by DHCPv6 (RFC 7148 section 5.1.3.1), or gives them back."""

    interface: str
    link_layer: bytes
    wanted: bool = True


@define(slots=True)
class Advertise:
    """Tell a mobile its prefixes by unicast Router Advertisement, now and from time to time."""

    interface: str
    link_layer: bytes
    prefixes: tuple[tuple[bytes, int], ...]
    lifetime: int
    """Seconds the prefixes are good for (valid and preferred lifetime)."""
    mtu: int
    """Largest packet that fits the tunnel, octets."""
    ipv4_router: bytes | None = None
    ipv4_address: bytes | None = None
    ipv4_prefix_length: int = 0
    dhcp_server: bool = False
    """True: the gateway is the mobile's DHCP server; False: it relays to one (RFC 5844 section 3.3.4)."""
    delegated: tuple[tuple[bytes, int], ...] = ()
    """IPv6 prefixes for the network behind the mobile (RFC 7148), if it asks for them by DHCPv6."""


@define(slots=True)
class Withdraw:
    """Tell a mobile that its prefixes are gone (lifetime 0) and stop advertising."""

    interface: str
    link_layer: bytes
    prefixes: tuple[tuple[bytes, int], ...]
