"""What anchors and home agents say to their AAA client, and what it says to them.

::

    LMA, HA core ──Authorize──▶ authorization client ──AAR, MIR──▶ server
                 ◀─Authorized──                      ◀─ASR, RAR──
                 ◀─SessionEnds─
                 ──Account────▶ accounting client ────ACR────────▶ server

Sources: RFC 5779 section 5, RFC 5778 section 5, RFC 6733 section 8.
"""

from attrs import define, field

Prefix = tuple[bytes, int]

# Termination-Cause (RFC 6733 section 8.15); the causes of RFC 2866 are 10 higher (RFC 7155 section 4.2.9).
LOGOUT, SERVICE_NOT_PROVIDED, BAD_ANSWER, ADMINISTRATIVE, LINK_BROKEN = 1, 2, 3, 4, 5
AUTH_EXPIRED, USER_MOVED, SESSION_TIMEOUT = 6, 7, 8


@define(slots=True, kw_only=True)
class Subject:
    """A mobility session as AAA sees it, at one moment."""

    call_id: int
    """0: there is no session yet."""
    mn_id: bytes
    """NAI of the MN-ID option."""
    local: bytes
    """LMA or home agent address, 16 or 4 octets."""
    care_of: bytes = b""
    """Proxy-CoA or care-of address."""
    prefixes: tuple[Prefix, ...] = ()
    """Home network prefixes: of the session, or asked for."""
    ipv4_address: bytes | None = None
    home_address: bytes = b""
    """MIPv6: home address; empty for PMIPv6."""
    link_layer: bytes = b""
    """Link-layer identifier of the mobile node."""
    technology: int = 0
    """Access Technology Type."""
    service: bytes = b""
    """Service Selection identifier; empty: none."""
    created: float = 0.0
    """Wall clock of the first binding, seconds since 1970."""


@define(slots=True, kw_only=True)
class MobileProof:
    """What authenticates a binding update by RFC 4285, for a server to check (RFC 5778)."""

    spi: int
    """SPI of the MN-AAA option."""
    authenticator: bytes
    """Authentication data of the MN-AAA option."""
    mac_mobility_data: bytes
    """SHA1(care-of address, home address, MH data), 20 octets."""
    timestamp: bytes = b""
    """Of the replay protection option, 8 octets; empty: it had none."""
    mn_ha_spi: int | None = None
    """SPI of the MN-HA option, for which there is no key here; ``None``: it had none."""


@define(slots=True, kw_only=True)
class Authorize:
    """Ask whether a registration may be accepted; one :class:`Authorized` with its token follows."""

    token: int
    subject: Subject
    ipv6: bool = True
    """A home network prefix is asked for; none named in the subject: any."""
    ipv4: bool = False
    lifetime: int = 0
    """Asked for, seconds."""
    proof: MobileProof | None = None
    """``None``: PMIPv6, only authorization (RFC 5779 section 5)."""


@define(slots=True, kw_only=True)
class Grant:
    """What a server's answer allows and assigns; what it does not say is empty."""

    session_id: str = ""
    local: bool = False
    """No server was asked in the end: the configured policy says that the local profile is enough."""
    prefixes: tuple[Prefix, ...] = ()
    ipv4_address: bytes | None = None
    ipv6_allowed: bool = True
    ipv4_allowed: bool = True
    home_agent: bytes = b""
    """Another anchor that shall serve it (RFC 5779 section 5.1, 2009 of RFC 5778)."""
    lifetime: int | None = None
    """Seconds until it has to be asked again (Authorization-Lifetime); ``None``: never."""
    session_timeout: int | None = None
    """Seconds that the whole session may last."""
    services: tuple[bytes, ...] = ()
    key: bytes = b""
    """MN-HA key (MIP-MN-HA-MSA); empty: none."""
    key_spi: int = 0
    key_lifetime: int | None = None
    replay_mode: int = 1
    features: int = 0
    """MIP6-Feature-Vector."""
    bandwidth_up: int = 0
    """bit/s; 0: not said."""
    bandwidth_down: int = 0


#: Verdicts of :class:`Authorized`.
ACCEPT, REJECT, BAD_CREDENTIALS, SERVICE, RESOURCES, NO_ANSWER, NEWER = (
    "accept",
    "reject",
    "bad credentials",
    "service",
    "resources",
    "no answer",
    "newer session",
)


@define(slots=True, kw_only=True)
class Authorized:
    """The answer to :class:`Authorize`."""

    token: int
    verdict: str
    """One of the words above: ``reject`` 5003, ``bad credentials`` 4001, ``service`` a service that is not
    allowed, ``resources`` 5006, ``newer session`` 3GPP 5453."""
    grant: Grant = field(factory=Grant)


@define(slots=True, kw_only=True)
class SessionEnds:
    """A session is to end: the server aborts it (ASR), or a time is over. By call id."""

    call_id: int
    cause: int
    """Termination-Cause."""


#: What happened to a session, in :class:`Account`.
START, REFRESH, HANDOFF, STOP, DENIED = "start", "refresh", "handoff", "stop", "denied"


@define(slots=True, kw_only=True)
class Account:
    """Something of a session that accounting has to know.

    An effect ``stop`` comes before the ``Remove`` of the session's tunnel, so that its counters can be read.
    """

    what: str
    subject: Subject
    cause: int = 0
    """Termination-Cause of ``stop``; why a registration was ``denied``: its status."""


@define(slots=True, frozen=True)
class Usage:
    """What the tunnel engine has counted for a session."""

    octets_in: int = 0
    """Inner octets from the mobile node."""
    packets_in: int = 0
    octets_out: int = 0
    packets_out: int = 0
