"""What an operator can set about a home agent beside the bindings themselves: how it is found, and what it
tells hosts. ``LmaSettings`` begins with these fields.

Sources: RFC 6275 sections 7, 10.5, 10.6 and 12, RFC 4861 section 6.2.1, RFC 5142.
"""

from attrs import define

from appliance.protocols.setting_fields import number


@define(slots=True, kw_only=True, frozen=True)
class AgentEntry:
    """``mipv6 home-agent``: another home agent that hosts may take."""

    address: bytes
    preference: int = 0


@define(slots=True, kw_only=True)
class AgentSettings:
    """Discovery of home agents and prefixes, and messages to hosts. Every duration names its unit."""

    mipv6_discovery: bool = False
    """True: Home Agent Address Discovery Requests are answered (RFC 6275 section 10.5)."""
    mipv6_agents: tuple[AgentEntry, ...] = ()
    """Home agents beside this one and those that Router Advertisements tell of."""
    mipv6_agent_preference: int = number(0, 0, 65_535)
    mipv6_agent_lifetime: int = number(1_800, 1, 65_535, "seconds")
    mipv6_advertise: bool = False
    """True: Router Advertisements with the H flag on the home link (RFC 6275 section 7)."""
    mipv6_advertise_interval: int = number(600, 4, 1_800, "seconds")
    """MaxRtrAdvInterval"""
    mipv6_prefix_discovery: str = "unsolicited"
    """Mobile Prefix Advertisements: ``off``, ``solicited`` only, or when something changes, too."""
    mipv6_prefix_valid: int = number(2_592_000, 4, 4_294_967_295, "seconds")
    """AdvValidLifetime of the home prefixes; no binding is granted for longer."""
    mipv6_prefix_preferred: int = number(604_800, 0, 4_294_967_295, "seconds")
    """AdvPreferredLifetime; a binding that is granted for longer gets status 1."""
    mipv6_refresh_request: int = number(0, 0, 3_600, "seconds")
    """How long before the end of its lifetime a host is asked to refresh its binding; 0: never."""
    mipv6_switch_rate: int = number(1, 1, 1_000, "per second")
    """MAX-HA-SWITCH-TRANSMIT-RATE: hosts that are told of another home agent."""
    mipv6_assign: bool = False
    """True: a host that asks by the unspecified address gets a home address."""
    mipv6_require_ipsec: bool = False
    """True: only what a security association of the kernel has protected is heard."""
