"""What an operator can set in a mobile node, as its core sees it.

Default and range of a number stand here, as in ``pmipv6/settings.py``. Sources: RFC 6275 sections 12 and 13,
RFC 4285, RFC 5555 section 6, RFC 5648, RFC 3963. Addresses are packed octets (16 or 4), names are text.
"""

from attrs import define, field

from appliance.protocols.pmipv6.host_settings import Association
from appliance.protocols.setting_fields import number

__all__ = ["AUTHENTICATION", "Association", "MnSettings", "MobileInterface"]

#: Words of the authentication mode, and what they say.
AUTHENTICATION = {
    "mn-ha": "The MN-HA option in every update",
    "mn-aaa-initial": "The MN-AAA option too, in the first update of a registration",
    "mn-aaa-always": "The MN-AAA option too, in every update",
    "none": "No authentication option: the home agent knows us by something else",
}


@define(slots=True, kw_only=True, frozen=True)
class MobileInterface:
    """``interface NAME``: a link by which the mobile node may reach its home agent."""

    name: str
    preference: int = number(100, 0, 255)
    """The highest of those that can be used has the care-of address."""
    bid: int = number(0, 1, 65_535)
    """Binding identifier of its care-of address (RFC 5648); 0 (not in the range): place in the list."""


@define(slots=True, kw_only=True)
class MnSettings:
    """``mn-client NAME``: one mobile node with one home address. Every duration names its unit."""

    name: str
    context: str = ""
    # ---- home
    home_agent: bytes = b""
    """IPv6 address; empty: found by discovery on the home prefix (RFC 6275 section 11.4.1)."""
    home_agent_ipv4: bytes | None = None
    """IPv4 address, for links without IPv6 (RFC 5555); ``None``: such links cannot be used."""
    home_agents: tuple[bytes, ...] = ()
    """Further home agents (IPv6), asked in this order when one does not answer."""
    home_address: bytes = b""
    """Empty: made of the home prefix, or without one asked for (``::`` in the Home Address option)."""
    home_prefix: bytes = b""
    """16 octets; empty: that of the home address. On a link with this prefix the mobile node is at home."""
    home_prefix_length: int = number(64, 1, 128, "bits")
    interface_identifier: bytes = b""
    """8 octets for a home address that is made of the prefix; empty: random ones."""
    ipv4_home: bool = False
    """Ask for an IPv4 home address (RFC 5555)."""
    ipv4_home_address: bytes | None = None
    """The one to ask for; ``None``: any."""
    # ---- identity and authentication (RFC 4283, RFC 4285, RFC 5149)
    mn_id: bytes = b""
    """The NAI; empty: no Mobile Node Identifier option is sent."""
    service: bytes = b""
    """Service Selection identifier; empty: none."""
    authentication: str = "mn-ha"
    """A word of :data:`AUTHENTICATION`."""
    associations: tuple[Association, ...] = ()
    """The first one is used to send; answers may use any of them."""
    aaa_key: bytes = field(default=b"", repr=False)
    """Shared with the AAA server, for the MN-AAA option (SPI 3, HMAC-SHA1)."""
    mesg_id: bool = False
    """Send the MESG-ID option: replay protection by time (RFC 4285 section 6)."""
    # ---- registration
    lifetime: int = number(600, 4, 262_140, "seconds")
    refresh_percent: int = number(75, 1, 99, "percent")
    """When to refresh, of the granted lifetime, where the home agent advises nothing."""
    retransmission_first: int = number(1_500, 100, 100_000, "milliseconds")
    """InitialBindackTimeoutFirstReg"""
    retransmission_initial: int = number(1_000, 100, 100_000, "milliseconds")
    """INITIAL_BINDACK_TIMEOUT"""
    retransmission_maximum: int = number(32_000, 100, 100_000, "milliseconds")
    """MAX_BINDACK_TIMEOUT"""
    max_retransmissions: int = number(5, 1, 100)
    """Repetitions without an answer after which another home agent is asked, if one is known."""
    retry_interval: int = number(60, 1, 3_600, "seconds")
    """How long a denial is left alone that may pass by itself."""
    link_local: bool = False
    """L flag: the home agent defends the link-local address with the same interface identifier too."""
    alternate_care_of: bool = False
    """Send the Alternate Care-of Address option even where the source says the same."""
    interfaces: tuple[MobileInterface, ...] = ()
    # ---- several care-of addresses (RFC 5648)
    multiple_care_of: bool = False
    """Every usable interface has its care-of address registered at the same time."""
    bulk: bool = True
    """All of them in one update; False: one update for each."""
    # ---- IPv4 networks (RFC 5555)
    force_udp: bool = False
    """F flag: ask for UDP encapsulation even where no NAT is found."""
    tlv: bool = False
    """T flag: ask for the TLV header in UDP encapsulation."""
    nat_keepalive: int = number(110, 1, 86_400, "seconds")
    """Time between keep-alives when the home agent names none (NATKATIMEOUT)."""
    # ---- mobile router (RFC 3963)
    mobile_router: bool = False
    """R flag."""
    router_mode: str = "explicit"
    """``explicit``: updates name the networks; ``implicit``: the home agent knows them."""
    networks: tuple[tuple[bytes, int], ...] = ()
    """Prefixes behind the mobile router: nothing of other networks is tunnelled, in either mode."""
    # ---- route optimization (RFC 6275 section 11.6)
    route_optimization: bool = False
    max_correspondents: int = number(256, 1, 10_000)
    correspondent_lifetime: int = number(420, 4, 420, "seconds")
    """Of bindings with correspondent nodes; at most MAX_RR_BINDING_LIFETIME."""
    correspondent_acknowledgement: bool = True
    """A flag in updates to correspondent nodes."""
    correspondent_idle: int = number(60, 1, 3_600, "seconds")
    """Time without traffic after which a correspondent's binding is not renewed."""
    correspondent_retry: int = number(300, 1, 86_400, "seconds")
    """How long a correspondent that does not know route optimization is left alone."""
    # ---- the rest
    prefix_discovery: bool = False
    """Ask for the home network's prefixes (RFC 6275 section 11.4.2)."""
    path_mtu: int = number(1500, 1280, 65_535, "octets")
    tunnel_traffic_class: int | None = None
    """Traffic class (0..255) of outer headers without its ECN bits; ``None``: copied from inside."""
    shutdown: bool = False
    """True: the node de-registers and stays so."""
