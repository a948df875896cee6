"""What anchors and home agents say to their AAA client, and what it says to them.

::

    LMA, HA core ──Authorize, Abandon──▶ authorization client ──AAR, MIR, STR──▶ server
                 ◀─Authorized───────────                      ◀─ASR, RAR───────
                 ◀─SessionEnds, Reauthorize─
                 ──Account─────────────▶ accounting client ─────ACR────────────▶ server
                        └──────────────▶ authorization client (``stop``: STR)

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
    """Of the session; of a session that is still to be made: the one that it will have. Never 0, and never
    the same for another session of this service."""
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
    access_network: tuple[tuple[int, bytes], ...] = ()
    """Sub-options of the Access Network Identifier (RFC 6757): type, octets."""
    delegated: tuple[Prefix, ...] = ()
    """Delegated mobile network prefixes (RFC 7148), of 16 or 4 octets."""


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
    patience: float = 60.0
    """Seconds after which the answer is of no use any more; there is one before that."""


@define(slots=True)
class Abandon:
    """The answer to :class:`Authorize` is not wanted any more, or was yes but there will be no session.

    The server is told by STR that the service was not provided (RFC 6733 section 8.4).
    """

    token: int
    call_id: int
    """Of the session that will not be; 0: the session stays, only the question is dropped."""


@define(slots=True, kw_only=True)
class Grant:
    """What a server's answer allows and assigns; what it does not say is empty."""

    session_id: str = ""
    """Session-Id that all messages of the session have, accounting included."""
    local: bool = False
    """No server was asked in the end: the configured policy says that the local profile is enough."""
    prefixes: tuple[Prefix, ...] = ()
    ipv4_address: bytes | None = None
    home_address: bytes = b""
    """MIPv6: home address; empty: none."""
    delegated: tuple[Prefix, ...] = ()
    """MIPv6: mobile network prefixes (Delegated-IPv6-Prefix)."""
    ipv6_allowed: bool | None = None
    """``None``: not said, the local profile counts."""
    ipv4_allowed: bool | None = None
    home_agent: bytes = b""
    """Another anchor that shall serve it (RFC 5779 section 5.1, 2009 of RFC 5778)."""
    lifetime: int | None = None
    """Seconds until it has to be asked again (Authorization-Lifetime); ``None``: never."""
    session_timeout: int | None = None
    """Seconds that the whole session may last."""
    services: tuple[bytes, ...] = ()
    key: bytes = field(default=b"", repr=False)
    """MN-HA key (MIP-MN-HA-MSA); empty: none."""
    key_spi: int = 0
    key_lifetime: int | None = None
    replay_mode: int = 1
    features: int = 0
    """MIP6-Feature-Vector."""
    bandwidth_up: int = 0
    """bit/s; 0: not said."""
    bandwidth_down: int = 0
    # For accounting (RFC 6733 sections 8.17, 8.20, 9.8, RFC 4372).
    host: str = ""
    """Destination-Host of the session's accounting records; empty: they name only the realm."""
    classes: tuple[bytes, ...] = ()
    """Class AVPs, for every record."""
    charge: bytes = b""
    """Chargeable-User-Identity; empty: none."""
    multi_session_id: str = ""
    """Acct-Multi-Session-Id; empty: ours to make."""
    interim_interval: int | None = None
    """Acct-Interim-Interval, seconds; ``None``: not said."""
    realtime: int | None = None
    """Accounting-Realtime-Required; ``None``: not said."""


#: Verdicts of :class:`Authorized`.
ACCEPT, REJECT, BAD_CREDENTIALS, UNKNOWN_USER, ROAMING, SERVICE, RESOURCES, NO_ANSWER = (
    "accept",
    "reject",
    "bad credentials",
    "unknown user",
    "roaming",
    "service",
    "resources",
    "no answer",
)
#: Verdicts that a newer session of the mobile node is elsewhere, by who has seen it.
NEWER, NEWER_PCRF, NEWER_PCS = "newer session", "newer session (PCRF)", "newer session (PCS)"


@define(slots=True, kw_only=True)
class Authorized:
    """The answer to :class:`Authorize`."""

    token: int
    verdict: str
    """One of the words above: ``reject`` 5003, ``bad credentials`` 4001, ``unknown user`` 5030 and 3GPP 5001,
    ``roaming`` 3GPP 5004, ``service`` one that is not allowed (3GPP 5451), ``resources`` 5006, ``newer
    session`` 3GPP 5453, which an AAA server, a PCRF or a PCS has found out; ``no answer``: no server has said
    anything about the mobile node."""
    grant: Grant = field(factory=Grant)


@define(slots=True, kw_only=True)
class SessionEnds:
    """A session is to end: the server aborts it (ASR), or a time is over. By call id."""

    call_id: int
    cause: int
    """Termination-Cause."""


@define(slots=True)
class Reauthorize:
    """A session is to be authorized again: its Authorization-Lifetime is nearly over, or the server wants it
    (RAR). :class:`Authorize` with its call id follows, unless the session is ending."""

    call_id: int


#: What happened to a session, in :class:`Account`.
START, REFRESH, HANDOFF, PAUSE, STOP, DENIED = "start", "refresh", "handoff", "pause", "stop", "denied"


@define(slots=True, kw_only=True)
class Account:
    """Something of a session that accounting and the authorization client have to know.

    ``start``, then any number of ``refresh``, ``handoff`` and ``pause``, then ``stop``. A session that is
    older than its AAA group begins with any of them.

    ``pause``: de-registered, but kept for MinDelayBeforeBCEDelete (RFC 5213 section 5.3.5). Then it goes on
    by ``refresh`` or ``handoff``, or ends by ``stop``: that stop tells of what was when the pause began.

    ``pause`` and ``stop`` come before the ``Remove`` of the tunnel, so that its counters can be read. What
    was counted before a pause is added to them by the driver between (``AaaClient.usage``).
    """

    what: str
    subject: Subject
    cause: int = 0
    """Termination-Cause of ``stop``; why a registration was ``denied``: its status."""
    grant: Grant | None = None
    """What was granted last; ``None``: nobody was asked."""


@define(slots=True, frozen=True)
class Usage:
    """What the tunnel engine has counted for a session."""

    octets_in: int = 0
    """Inner octets from the mobile node."""
    packets_in: int = 0
    octets_out: int = 0
    packets_out: int = 0
