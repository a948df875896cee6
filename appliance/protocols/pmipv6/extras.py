"""What only some sessions of an anchor have; a plain one has no such object.

Each field belongs to one feature, which alone writes it. ``None``, zero or empty: the session has none of it.
"""

from ipaddress import ip_address
from typing import Any

#: RFC 5844 section 4.1: signalling over IPv4.
PMIPV6_PORT = 5436


def suffix_of(address: bytes, tag: bytes) -> bytes:
    """What tells a gateway from others of its address; empty: there can be no others."""
    return b"" if tag == address else tag


def address_of(who: bytes) -> bytes:
    """The address in the identity of a gateway."""
    return who if len(who) == 16 else who[:4]


def text_of_gateway(who: bytes) -> str:
    """An identity for a log line or a screen."""
    address, tag = address_of(who), who[4:] if len(who) < 16 else b""
    if len(tag) == 4:
        return f"{ip_address(address)} ({ip_address(tag)})"
    return f"{ip_address(address)} port {int.from_bytes(tag, 'big')}" if tag else str(ip_address(address))


class Gateway:
    """A gateway that is reached over IPv4, shared by all of its sessions.

    ``tag`` tells gateways apart that a NAT gives one address: their own address if they say it, else the port
    that their signalling comes from; empty: it comes from 5436, as without a NAT.
    """

    __slots__ = ("__weakref__", "address", "nat", "port", "suffix", "tag")

    def __init__(self, address: bytes, tag: bytes) -> None:
        self.address = address
        self.tag = tag
        #: What follows the care-of address in its identity; see :func:`served_by`.
        self.suffix = suffix_of(address, tag)
        #: Where its signalling came from last.
        self.port = 0
        self.nat = False

    @property
    def own_text(self) -> str:
        """Its own address; empty: it has not said it."""
        return str(ip_address(self.tag)) if len(self.tag) == 4 else ""

    @property
    def text(self) -> str:
        """Who it is, for a log line."""
        own = self.own_text
        return f"{ip_address(self.address)} port {self.port}" + (f" ({own})" if own else "")


class Extras:
    """The rare parts of a binding cache entry; it stays with its session once it was made."""

    #: What makes this the binding of a host (``mipv6/binding.py``); ``None``: a session of a gateway.
    host: Any = None

    __slots__ = (
        "anchor_group",
        "delegated",
        "gateway",
        "gateway_group",
        "network",
        "qos",
        "qos_profile",
        "revocation",
        "service_profile",
        "tlv",
        "transient",
        "user_plane",
        "vendor",
    )

    def __init__(self) -> None:
        #: Transport: who serves it over IPv4 (RFC 5844 section 4.1); ``None``: it came in IPv6.
        self.gateway: Gateway | None = None
        #: Transport: TLV header in the tunnel (RFC 5845 section 7.2).
        self.tlv = False
        #: Why it is being revoked (``lma_revocation.Revoking``); ``None``: it is not.
        self.revocation: Any = None
        #: Its bulk binding update groups (RFC 6602 section 5.2.1): that of its gateway, and ours; 0: none.
        self.gateway_group = 0
        self.anchor_group = 0
        #: Agreed requests for quality of service (RFC 7222), a list of ``qos.ServiceRequest``.
        self.qos: Any = None
        #: The gateway that it still has beside the serving one (RFC 6058); see ``lma_transient``.
        self.transient: Any = None
        #: Where the tunnel ends here, if not at the address that signalling goes to (RFC 7389).
        self.user_plane = b""
        #: Delegated mobile network prefixes, of 16 or 4 octets (RFC 7148).
        self.delegated: tuple[tuple[bytes, int], ...] = ()
        #: Sub-options of the Access Network Identifier (RFC 6757).
        self.network: tuple[tuple[int, bytes], ...] = ()
        #: Latest Vendor Specific options: vendor, sub-type, data (RFC 5094).
        self.vendor: tuple[tuple[int, int, bytes], ...] = ()
        #: Profile of its service (RFC 5149), and the quality-of-service profile of that.
        self.service_profile = ""
        self.qos_profile = ""

    @property
    def port(self) -> int:
        """UDP port that the gateway's signalling comes from (RFC 5844 section 4.1); 0: it came in IPv6."""
        return 0 if self.gateway is None else self.gateway.port


def served_by(entry: Any) -> bytes:
    """Which gateway a session is at: its care-of address, and what tells it from others behind one NAT."""
    extras = entry.extras
    gateway = None if extras is None else extras.gateway
    care_of: bytes = entry.care_of
    return care_of if gateway is None else care_of + gateway.suffix


def extras_of(entry: Any) -> Extras:
    """The extras of a session, made if it has none."""
    found = entry.extras
    if found is None:
        found = entry.extras = Extras()
    extras: Extras = found
    return extras
