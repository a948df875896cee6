"""The mobility options that the services use, one class a row of the option table; see :mod:`rows`.

Each class says its fields once, in wire order. The rest of the table, which the appliance only decodes
and shows, is in :mod:`more_options`; both fill ``OPTIONS``.
"""

from attrs import field

from appliance.protocols.mobility import more_options
from appliance.protocols.mobility.rows import OPTIONS, Option, OptionRow, option

__all__ = ["OPTIONS", "Option", "OptionRow", "more_options"]

Items = list[tuple[int, bytes]]
"""Sub-options or attributes: (type, octets)."""


@option(2, "Binding Refresh Advice", "interval:u16", align="2n", maximum=1, rfc="6275 6.2.4")
class BindingRefreshAdvice(Option):
    """When to refresh, units of 4 s."""

    interval: int


@option(3, "Alternate Care-of Address", "address:b16", align="8n+6", maximum=1, rfc="6275 6.2.5")
class AlternateCareOfAddress(Option):
    """The care-of address when it is not the source of the packet."""

    address: bytes


@option(4, "Nonce Indices", "home:u16 care_of:u16", align="2n", maximum=1, rfc="6275 6.2.6")
class NonceIndices(Option):
    """The nonces that the binding key was made of."""

    home: int
    care_of: int


@option(
    5,
    "Binding Authorization Data",
    "authenticator:b12",
    align="8n+2",
    maximum=1,
    closing=True,
    rfc="6275 6.2.7",
)
class BindingAuthorizationData(Option):
    """Authenticator of route optimization; the last option, without padding behind it."""

    authenticator: bytes


@option(6, "Mobile Network Prefix", "z8 prefix_length:u8 prefix:b16", align="8n+4", rfc="3963 4.3")
class MobileNetworkPrefix(Option):
    """A prefix behind a mobile router."""

    prefix_length: int
    prefix: bytes


@option(7, "Mobility Header Link-Layer Address", "code:u8 address:b*", rfc="5568 6.4.3")
class LinkLayerAddress(Option):
    """A link-layer address; code 2 is the mobile node's."""

    code: int
    address: bytes


@option(8, "Mobile Node Identifier", "subtype:u8 identifier:b*", maximum=1, rfc="4283 3, 8371")
class MobileNodeIdentifier(Option):
    """Who the mobile node is; subtype 1 is a NAI.

    The identifier is empty in the denial of a request that had none (RFC 5213 section 5.3.6).
    """

    subtype: int
    identifier: bytes


@option(
    9,
    "Authentication",
    "subtype:u8 spi:u32 authenticator:b*",
    align="4n+1",
    maximum=2,
    closing=True,
    rfc="4285 5",
)
class Authentication(Option):
    """Authenticator towards the home agent (subtype 1) or the AAA (2)."""

    subtype: int
    spi: int
    authenticator: bytes


@option(10, "Message Identification", "timestamp:u64", align="8n+2", maximum=1, rfc="4285 6")
class MessageIdentification(Option):
    """NTP time, 32.32 bits since 1900, against replay."""

    timestamp: int


@option(17, "DNS Update", "status:u8 flags:u8 name:b*", maximum=1, rfc="5026 8.1")
class DnsUpdate(Option):
    """Asks for a DNS entry; flag 0x80 removes it."""

    status: int
    flags: int
    name: bytes


@option(19, "Vendor Specific", "vendor:u32 subtype:u8 data:b*", align="4n+2", rfc="5094 3")
class VendorSpecific(Option):
    """Data of a vendor, who is named by the private enterprise number."""

    vendor: int
    subtype: int
    data: bytes


@option(20, "Service Selection", "identifier:b1*", maximum=1, rfc="5149 3")
class ServiceSelection(Option):
    """The service (APN) that the mobile node wants, UTF-8."""

    identifier: bytes


@option(22, "Home Network Prefix", "z8 prefix_length:u8 prefix:b16", align="8n+4", rfc="5213 8.3")
class HomeNetworkPrefix(Option):
    """A prefix of the mobile node; all zero asks for one."""

    prefix_length: int
    prefix: bytes


@option(23, "Handoff Indicator", "z8 value:u8", maximum=1, rfc="5213 8.4")
class HandoffIndicator(Option):
    """Why the binding update was sent."""

    value: int


@option(24, "Access Technology Type", "z8 value:u8", maximum=1, rfc="5213 8.5")
class AccessTechnologyType(Option):
    """What the mobile node is attached by."""

    value: int


# RFC 5213 section 8.6 says "as the size of the identifier requires"; 4n keeps it on a 4-octet boundary.
@option(25, "Mobile Node Link-layer Identifier", "z16 identifier:b*", align="4n", maximum=1, rfc="5213 8.6")
class MobileNodeLinkLayerIdentifier(Option):
    """Link-layer address of the attached interface of the mobile node."""

    identifier: bytes


@option(26, "Link-local Address", "address:b16", align="8n+6", maximum=1, rfc="5213 8.7")
class LinkLocalAddress(Option):
    """Link-local address of the MAG on the access link; zero asks for one."""

    address: bytes


@option(27, "Timestamp", "value:u64", align="8n+2", maximum=1, rfc="5213 8.8")
class Timestamp(Option):
    """Time of the sender, 48.16 bits of seconds since 1970."""

    value: int


@option(28, "Restart Counter", "counter:u32", align="4n+2", maximum=1, rfc="5847 3.3")
class RestartCounter(Option):
    """How often the sender of a heartbeat response lost its sessions."""

    counter: int


@option(
    29, "IPv4 Home Address", "prefix_length:u6 prefix_request:u1 z9 address:b4", align="4n", rfc="5555 3.1.1"
)
class IPv4HomeAddress(Option):
    """The IPv4 home address of a dual-stack mobile node; zero asks for one."""

    prefix_length: int
    prefix_request: int
    address: bytes


@option(
    30,
    "IPv4 Address Acknowledgement",
    "status:u8 prefix_length:u6 z2 address:b4",
    align="4n",
    rfc="5555 3.2.1",
)
class IPv4AddressAcknowledgement(Option):
    """Answers an IPv4 Home Address option."""

    status: int
    prefix_length: int
    address: bytes


@option(31, "NAT Detection", "force:u1 z15 refresh_time:u32", align="4n", maximum=1, rfc="5555 3.2.2")
class NatDetection(Option):
    """UDP encapsulation is needed (``force``), and how often to keep a NAT open, seconds."""

    force: int
    refresh_time: int


@option(32, "IPv4 Care-of Address", "z16 address:b4", align="4n", maximum=1, rfc="5555 3.1.2")
class IPv4CareOfAddress(Option):
    """The IPv4 care-of address as the mobile node sees it."""

    address: bytes


@option(33, "GRE Key", "z16 key:u32?", align="4n", maximum=1, rfc="5845 6.1")
class GreKey(Option):
    """The key to put into GRE packets sent to who sent this option; ``None``: GRE without keys."""

    key: int | None = None


@option(
    35,
    "Binding Identifier",
    "bid:u16 status:u8 home:u1 z7 care_of:b0|4|16",
    align="2n",
    align_tail="8n+2",
    rfc="5648 4.1",
)
class BindingIdentifier(Option):
    """One of several bindings of a mobile node, with its own care-of address (empty: none)."""

    bid: int
    status: int
    home: int
    care_of: bytes = b""


# Several of these are not malformed: RFC 5844 section 3.4.1 has a status for it (173).
@option(36, "IPv4 Home Address Request", "prefix_length:u6 z10 address:b4", align="4n", rfc="5844 3.3.1")
class IPv4HomeAddressRequest(Option):
    """Asks for an IPv4 home address; zero leaves the choice to the LMA."""

    prefix_length: int
    address: bytes


@option(
    37, "IPv4 Home Address Reply", "status:u8 prefix_length:u6 z2 address:b4", align="4n", rfc="5844 3.3.2"
)
class IPv4HomeAddressReply(Option):
    """Answers an IPv4 Home Address Request."""

    status: int
    prefix_length: int
    address: bytes


@option(38, "IPv4 Default-Router Address", "z16 address:b4", align="4n", maximum=1, rfc="5844 3.3.3")
class IPv4DefaultRouterAddress(Option):
    """The default router of the IPv4 home address."""

    address: bytes


@option(39, "IPv4 DHCP Support Mode", "z15 server:u1", maximum=1, rfc="5844 3.3.4")
class IPv4DhcpSupportMode(Option):
    """Whether the MAG is a DHCP server (1) or relay (0) for the mobile node."""

    server: int


@option(43, "Transient Binding", "z7 latch:u1 lifetime:u8", maximum=1, rfc="6058 5.1")
class TransientBinding(Option):
    """Keep the old binding beside the new one for ``lifetime`` units of 100 ms."""

    latch: int
    lifetime: int


@option(46, "Redirect-Capability", "z16", align="4n", maximum=1, rfc="6463 4.1")
class RedirectCapability(Option):
    """The MAG can be sent to another LMA."""


@option(47, "Redirect", "is16 is4 z14 address:b4|16", align="4n", maximum=1, rfc="6463 4.2")
class Redirect(Option):
    """The LMA to use, IPv6 or IPv4."""

    address: bytes


@option(
    48,
    "Load Information",
    "priority:u16 sessions:u32 max_sessions:u32 used_capacity:u32 max_capacity:u32",
    align="4n",
    maximum=1,
    rfc="6463 4.3",
)
class LoadInformation(Option):
    """Load of an LMA; capacities in kilobytes per second, a lower priority is better."""

    priority: int
    sessions: int
    max_sessions: int
    used_capacity: int
    max_capacity: int


@option(49, "Alternate IPv4 Care-of Address", "address:b4", align="4n+2", maximum=1, rfc="6463 4.4")
class AlternateIPv4CareOfAddress(Option):
    """The IPv4 Proxy-CoA of tunnels when it is not the source of the packet."""

    address: bytes


# RFC 6602 states no alignment; 4n is how it is drawn.
@option(50, "Mobile Node Group Identifier", "subtype:u8 z8 group:u32", align="4n", maximum=1, rfc="6602 5.1")
class MobileNodeGroupIdentifier(Option):
    """The group of a session for bulk operations; group 1 is all sessions."""

    subtype: int
    group: int


@option(51, "MAG IPv6 Address", "z8 prefix_length:u8 address:b16", align="8n+4", maximum=1, rfc="6705 11.1")
class MagIPv6Address(Option):
    """The MAG of the other mobile node of localized routing; ``prefix_length`` is 128."""

    prefix_length: int
    address: bytes


@option(52, "Access Network Identifier", "suboptions:t*", align="4n", maximum=1, rfc="6757 3")
class AccessNetworkIdentifier(Option):
    """Network name, place and operator of the access network."""

    suboptions: Items = field(factory=list)


# Drawn on a 4-octet boundary, but the stated rule of options 55 and 59 is 8n+2.
@option(
    55,
    "Delegated Mobile Network Prefix",
    "is4 z7 prefix_length:u8 prefix:b4|16",
    align="8n+2",
    rfc="7148 4.1",
)
class DelegatedMobileNetworkPrefix(Option):
    """A prefix, IPv6 or IPv4, for the network behind the mobile node; zero asks for one."""

    prefix_length: int
    prefix: bytes


@option(
    58,
    "Quality of Service",
    "sr_id:u8 traffic_class:u8 operation:u8 z24 attributes:t*",
    align="4n",
    rfc="7222 4.1",
)
class QualityOfService(Option):
    """Service request with its attributes; the DSCP is the upper 6 bits of ``traffic_class``."""

    sr_id: int
    traffic_class: int
    operation: int
    attributes: Items = field(factory=list)


@option(59, "LMA User-Plane Address", "z16 address:b0|4|16", align="8n+2", maximum=2, rfc="7389 4.1")
class LmaUserPlaneAddress(Option):
    """Where the LMA takes user traffic; empty asks for it. Up to one per address family."""

    address: bytes = b""


@option(62, "LMA-Controlled MAG Parameters", "suboptions:t*", align="4n+2", maximum=1, rfc="8127 3")
class LmaControlledMagParameters(Option):
    """Timers that the LMA wants its MAGs to use."""

    suboptions: Items = field(factory=list)


@option(
    63,
    "MAG Multipath-Binding",
    "if_att:u8 if_label:u8 bid:u8 bulk:u1 overwrite:u1 z6 z16",
    rfc="8278 4.1",
)
class MagMultipathBinding(Option):
    """One of several paths between MAG and LMA."""

    if_att: int
    if_label: int
    bid: int
    bulk: int
    overwrite: int


@option(64, "MAG Identifier", "subtype:u8 z8 identifier:b*", maximum=1, rfc="8278 4.2")
class MagIdentifier(Option):
    """Who the MAG is; subtypes as in the Mobile Node Identifier."""

    subtype: int
    identifier: bytes
