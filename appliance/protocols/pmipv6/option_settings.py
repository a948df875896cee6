"""What an operator can set about the options beside the plain registration, as the cores see it.

Redirection (RFC 6463), services (RFC 5149), vendor options (RFC 5094), access networks (RFC 6757) and
delegated prefixes (RFC 7148). Addresses are packed octets, names are text.
"""

from attrs import define

Prefix = tuple[bytes, int]
"""Packed prefix, 16 or 4 octets, and its length."""


@define(slots=True, kw_only=True)
class RedirectTarget:
    """``redirect target ADDRESS [ also ADDRESS ]``: an anchor that mobile nodes may be assigned to."""

    address: bytes
    also: bytes = b""
    """The same anchor's address of the other family; empty: it is not known to have one."""
    service: str = ""
    """Name of the ``lma-service`` of this process that has the address; empty: another node's."""


@define(slots=True, kw_only=True)
class ServiceProfile:
    """``service-profile NAME``: what holds for the sessions of one service (RFC 5149 section 4.2)."""

    name: str
    """The Service Selection identifier."""
    ipv6: bool = True
    """False: no home network prefix with this service, whatever the subscriber's section says."""
    ipv4: bool = True
    prefix_pool: str = ""
    """Pool or group for home network prefixes; empty: the subscriber's."""
    address_pool: str = ""
    service_lifetime: int = 0
    """Longest lifetime in seconds; 0: the anchor's."""
    qos_profile: str = ""
    """Name of a quality-of-service profile; empty: none."""


@define(slots=True, kw_only=True)
class DelegationPool:
    """``prefix-delegation pool NAME PREFIX``: prefixes for the networks behind mobile routers."""

    name: str
    prefix: bytes
    prefix_length: int
    delegated_length: int

    @property
    def network(self) -> Prefix:
        """All of it."""
        return self.prefix, self.prefix_length


@define(slots=True, kw_only=True)
class VendorOption:
    """``vendor-option vendor N subtype N hex DATA``: one to send."""

    vendor: int
    """Private enterprise number."""
    subtype: int
    data: bytes
    mn_id: bytes = b""
    """Only for this mobile node; empty: for all."""


@define(slots=True, kw_only=True)
class AccessNetwork:
    """``access-network INTERFACE ...``: what a gateway says of an access link (RFC 6757 section 3.1)."""

    interface: str
    network: bytes = b""
    """Network name, such as an SSID; UTF-8. Empty: not said."""
    access_point: bytes = b""
    latitude: int | None = None
    """In units of 1/32768 degree; ``None``: no place is said."""
    longitude: int = 0
    enterprise: int = 0
    """Operator by private enterprise number; 0: not by that."""
    realm: bytes = b""
    """Operator by realm; empty: not by that."""


@define(slots=True, kw_only=True)
class Delegation:
    """``prefix-delegation nai NAI ...`` of a gateway: what to ask for a mobile router."""

    mn_id: bytes
    prefix: bytes
    """Zero: any of its family."""
    length: int = 0
