"""What an operator can set about hosts that register themselves, in an anchor and in a home agent."""

from attrs import define, field

from appliance.protocols.pmipv6.agent_settings import AgentSettings
from appliance.protocols.setting_fields import number

#: Care-of addresses of one host where ``simul-bindings`` does not say how many.
CARE_OF_ADDRESSES = 3


@define(slots=True, kw_only=True, frozen=True)
class Association:
    """``mn-ha-spi``: a key that a host shares with the home agent (RFC 4285 section 5.1)."""

    spi: int
    key: bytes = field(repr=False)


@define(slots=True, kw_only=True)
class HostSettings(AgentSettings):
    """Bindings of hosts (RFC 6275, RFC 4285, RFC 5648): the part that both kinds of service have."""

    mipv6: bool = False
    """True: hosts may register themselves."""
    mipv6_pools: tuple[str, ...] = ()
    """Names of the pools that their home addresses are of."""
    mipv6_home_link: str = ""
    """Device on which home addresses are tested before they are bound; empty: the home link is virtual."""
    mipv6_multicast: bool = False
    """True: hosts that are away may have multicast groups of the home link (RFC 6275 section 10.4.3)."""
    mipv6_authentication: str = "mn-ha"
    """``mn-ha``: one of the two authentication options in every update; ``mn-aaa-initial``,
    ``mn-aaa-always``: the MN-AAA option in the first one, in all; ``optional``: none for a subscriber
    without a key, whose home address is in its profile."""
    mipv6_unauthenticated: str = "deny"
    """What an update gets that lacks an option or whose SPI is not known: ``deny`` or ``discard``."""
    mipv6_h_bit: str = "deny"
    """What an update gets that is no home registration: ``deny`` or ``discard``."""
    mipv6_mesg_id: bool = False
    """True: replay protection by the MESG-ID option is required (RFC 4285 section 6)."""
    mipv6_tolerance: int = number(7, 1, 65_535, "seconds")
    """How far the MESG-ID may be from our clock."""
    mipv6_multiple: str = "bulk"
    """Several care-of addresses (RFC 5648): ``prohibited`` (166), ``single`` (bulk is 168), ``bulk``."""
    mipv6_home_and_foreign: bool = False
    """True: a host may be at home and abroad at the same time (else 169)."""
    mipv6_flow_policy: str = "primary"
    """Which care-of address packets to a host with several take: ``primary``: the lowest binding identifier;
    ``round-robin``: flows are spread over all of them."""
    mipv6_mobile_routers: bool = False
    """True: mobile routers may register (RFC 3963); else status 140."""
    mipv6_prefix_delegation: bool = False
    """True: mobile routers get prefixes by DHCPv6 (RFC 6276)."""
    mipv6_delegation_lifetime: int = number(86_400, 60, 4_294_967, "seconds")
    """How long a prefix is delegated that nobody renews."""
    mipv6_associations: tuple[Association, ...] = ()
    """For hosts whose profile has none with the SPI."""
    # ---- IPv4 (RFC 5555)
    mipv6_dual_stack: bool = True
    """IPv4 home addresses; and care-of addresses, if the service has an IPv4 address."""
    mipv6_udp: str = "on-request"
    """Data of hosts in IPv4 networks in UDP: ``nat-only``, ``on-request`` (F flag) as well, or ``always``."""
    mipv6_nat_keepalive: int = number(110, 1, 86_400, "seconds")
    """Refresh time told to hosts behind a NAT (NATKATIMEOUT of RFC 5555 section 6)."""
