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
    mipv6_associations: tuple[Association, ...] = ()
    """For hosts whose profile has none with the SPI."""
