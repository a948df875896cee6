"""What only some sessions of an anchor have; a plain one has no such object.

Each field belongs to one feature, which alone writes it. ``None``, zero or empty: the session has none of it.
"""

from typing import Any


class Extras:
    """The rare parts of a binding cache entry; it stays with its session once it was made."""

    __slots__ = (
        "anchor_group",
        "delegated",
        "gateway_group",
        "host",
        "network",
        "port",
        "qos",
        "qos_profile",
        "revocation",
        "service_profile",
        "transient",
        "user_plane",
        "vendor",
    )

    def __init__(self) -> None:
        #: UDP port that the gateway's signalling comes from (RFC 5844 section 4.1); 0: it came in IPv6.
        self.port = 0
        #: Why it is being revoked (``lma_revocation.Revoking``); ``None``: it is not.
        self.revocation: Any = None
        #: Its bulk binding update groups (RFC 6602 section 5.2.1): that of its gateway, and ours; 0: none.
        self.gateway_group = 0
        self.anchor_group = 0
        #: Agreed requests for quality of service (RFC 7222), a list of ``qos.ServiceRequest``.
        self.qos: Any = None
        #: The gateway that it still has beside the serving one (RFC 6058); see ``lma_transient``.
        self.transient: Any = None
        #: What makes this the binding of a host (``mipv6/binding.py``); ``None``: a session of a gateway.
        self.host: Any = None
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


def extras_of(entry: Any) -> Extras:
    """The extras of a session, made if it has none."""
    found = entry.extras
    if found is None:
        found = entry.extras = Extras()
    extras: Extras = found
    return extras
