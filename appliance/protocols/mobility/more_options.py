"""The rest of the option table: options of other mobility protocols that may be met on the wire.

The appliance decodes and shows them, and lets them pass; their contents are octets where their documents go
beyond it. Importing this module puts its rows into the table.
"""

from appliance.protocols.mobility.rows import Option, option


@option(11, "CGA Parameters Request", "", rfc="4866 5.2")
class CgaParametersRequest(Option):
    """Asks for cryptographically generated address parameters."""


@option(12, "CGA Parameters", "data:b*", rfc="4866 5.1")
class CgaParameters(Option):
    """A part of cryptographically generated address parameters; several make the whole."""

    data: bytes


@option(13, "Signature", "data:b*", rfc="4866 5.3")
class Signature(Option):
    """Signature by the key of the address."""

    data: bytes


@option(14, "Permanent Home Keygen Token", "data:b*", rfc="4866 5.4")
class PermanentHomeKeygenToken(Option):
    """A token for later binding updates."""

    data: bytes


@option(15, "Care-of Test Init", "", rfc="4866 5.5")
class CareOfTestInitOption(Option):
    """Asks for a care-of keygen token along with a binding update."""


@option(16, "Care-of Test", "token:b8", rfc="4866 5.6")
class CareOfTestOption(Option):
    """Gives a care-of keygen token along with a binding acknowledgement."""

    token: bytes


@option(18, "Experimental", "data:b*", rfc="5096 3")
class Experimental(Option):
    """For experiments."""

    data: bytes


@option(21, "Binding Authorization Data for FMIPv6", "data:b*", closing=True, rfc="5568 6.4.5")
class FastBindingAuthorizationData(Option):
    """Security parameter index and authenticator of fast handover messages; the last option."""

    data: bytes


@option(
    34,
    "Mobility Header IPv6 Address/Prefix",
    "code:u8 prefix_length:u8 address:b16",
    align="8n+4",
    rfc="5568 6.4.2",
)
class MobilityHeaderAddress(Option):
    """An address or prefix of a fast handover; ``code`` says whose."""

    code: int
    prefix_length: int
    address: bytes


@option(40, "Context Request", "z16 requests:t*", rfc="5949 6.2.1")
class ContextRequest(Option):
    """Asks for the context of a mobile node in a fast handover: (request type, octets)."""

    requests: list[tuple[int, bytes]]


@option(41, "Local Mobility Anchor Address", "code:u8 z8 address:b4|16", rfc="5949 6.2.2")
class LocalMobilityAnchorAddress(Option):
    """The LMA of a mobile node in a fast handover; code 1 is IPv6, 2 IPv4."""

    code: int
    address: bytes


@option(42, "Mobile Node Link-local Address Interface Identifier", "z16 identifier:b8", rfc="5949 6.2.3")
class LinkLocalInterfaceIdentifier(Option):
    """Interface identifier of the link-local address of a mobile node."""

    identifier: bytes


@option(44, "Flow Summary", "data:b*", align="2n", rfc="6089 4.3")
class FlowSummary(Option):
    """Flow identifiers that are refreshed, 2 octets each."""

    data: bytes


@option(45, "Flow Identification", "data:b*", align="2n", rfc="6089 4.2")
class FlowIdentification(Option):
    """A flow, its priority and bindings."""

    data: bytes


@option(53, "IPv4 Traffic Offload Selector", "data:b*", rfc="6909 4.1")
class IPv4TrafficOffloadSelector(Option):
    """What the MAG may send out without the tunnel."""

    data: bytes


@option(54, "Dynamic IP Multicast Selector", "data:b*", rfc="7028 4.1")
class DynamicMulticastSelector(Option):
    """How a mobile node gets its multicast."""

    data: bytes


@option(56, "Active Multicast Subscription IPv4", "kind:u8 membership:b*", align="4n+1", rfc="7161 4.1")
class ActiveMulticastSubscriptionIPv4(Option):
    """A subscription in the form of the IGMP message type ``kind``."""

    kind: int
    membership: bytes


@option(57, "Active Multicast Subscription IPv6", "kind:u8 membership:b*", align="8n+1", rfc="7161 4.1")
class ActiveMulticastSubscriptionIPv6(Option):
    """A subscription in the form of the MLD message type ``kind``."""

    kind: int
    membership: bytes


@option(60, "Multicast Mobility", "data:b*", rfc="7411 5.3")
class MulticastMobility(Option):
    """Multicast membership in fast handovers."""

    data: bytes


@option(61, "Multicast Acknowledgement", "data:b*", rfc="7411 5.4")
class MulticastAcknowledgement(Option):
    """Answers a Multicast Mobility option."""

    data: bytes


@option(65, "Anchored Prefix", "z8 prefix_length:u8 prefix:b16", align="8n+4", rfc="8885 4.3")
class AnchoredPrefix(Option):
    """A prefix with its own anchor."""

    prefix_length: int
    prefix: bytes


@option(66, "Local Prefix", "z8 prefix_length:u8 prefix:b16", align="8n+4", rfc="8885 4.4")
class LocalPrefix(Option):
    """A prefix of a network that only an anchor reaches."""

    prefix_length: int
    prefix: bytes


@option(67, "Previous MAAR", "z8 prefix_length:u8 address:b16 prefix:b16", align="8n+4", rfc="8885 4.5")
class PreviousMaar(Option):
    """The previous anchor and the prefix it holds."""

    prefix_length: int
    address: bytes
    prefix: bytes


@option(68, "Serving MAAR", "address:b16", align="8n+6", maximum=1, rfc="8885 4.6")
class ServingMaar(Option):
    """The serving anchor."""

    address: bytes


@option(69, "DLIF Link-local Address", "address:b16", align="8n+6", rfc="8885 4.7")
class DlifLinkLocalAddress(Option):
    """Link-local address of a distributed logical interface."""

    address: bytes


@option(70, "DLIF Link-layer Address", "z16 address:b*", align="4n", rfc="8885 4.8")
class DlifLinkLayerAddress(Option):
    """Link-layer address of a distributed logical interface."""

    address: bytes
