"""What an operator can set about Diameter, as the cores see it.

Default and range of a number stand here and nowhere else; the grammar reads them. Addresses are packed octets
(4 or 16), identities and realms are text, durations name their unit. Sources: RFC 6733, RFC 3539; names and
ranges of StarOS commands where it has them.
"""

from attrs import define, field

from appliance.protocols.setting_fields import number

#: IANA ports (RFC 6733 section 11.4): in clear text, and for TLS or DTLS.
PORT, SECURE_PORT = 3868, 5868
#: RFC 6951: SCTP in UDP.
SCTP_UDP_PORT = 9899

#: ``tls``: handshake before CER (RFC 6733); ``tls-inband``: CER in clear, then TLS (RFC 3588).
TRANSPORTS = ("tcp", "tls", "tls-inband", "sctp", "dtls")


@define(slots=True, kw_only=True, frozen=True)
class Listener:
    """An address and port where peers may connect."""

    address: bytes
    port: int
    transport: str = "tcp"
    """``tcp`` (takes ``tls-inband`` peers too), ``tls``, ``sctp`` or ``dtls``."""


@define(slots=True, kw_only=True, frozen=True)
class PeerSettings:
    """``peer NAME ...`` of an endpoint."""

    name: str
    """DiameterIdentity that its CER or CEA has to carry; ``*`` or ``*.REALM`` on an endpoint that takes
    incoming connections: any such identity."""
    realm: str = ""
    """Realm that it has to say it is of; empty: not checked."""
    addresses: tuple[bytes, ...] = ()
    """Where to connect to, all of one host (SCTP uses them together, TCP one after the other); empty: it
    connects to us."""
    port: int = 0
    """0: the transport's own."""
    transport: str = "tcp"
    weight: int = number(1, 1, 65_535)
    """Share of the load among peers of one priority."""
    compat: bool = False
    """Speaks drafts from before the RFCs: application 4 for Mobile IPv4, identities that are URIs."""
    connect: bool = True
    """False: never connect, though addresses are known."""


@define(slots=True, kw_only=True, frozen=True)
class RouteSettings:
    """``route-entry ...`` of an endpoint: where requests go (RFC 6733 section 2.7)."""

    realm: str = ""
    """Exact realm; ``*``-led: it and all below (``*.example``); empty: any (the default entry)."""
    host: str = ""
    """Destination-Host that it is for; empty: any."""
    application: int | None = None
    """``None``: any."""
    action: str = "relay"
    """``local``, ``relay`` (as the endpoint's ``agent`` says), ``proxy`` or ``redirect``; what an endpoint
    itself sends goes the same way."""
    peer: str = ""
    """Empty with ``local``."""
    priority: int = number(1, 1, 1_000)
    """Lower first; equal ones share the load."""
    weight: int = number(1, 1, 65_535)


@define(slots=True, kw_only=True, frozen=True)
class TlsSettings:
    """Certificates of an endpoint, paths of PEM files."""

    certificate: str
    private_key: str
    authorities: str
    """CA certificates that peers' certificates are checked with."""


@define(slots=True, kw_only=True)
class EndpointSettings:
    """``diameter endpoint NAME``: one Diameter node with its peers."""

    name: str
    context: str = ""
    identity: str = ""
    """Origin-Host; empty: not bound, the endpoint is not started."""
    realm: str = ""
    """Origin-Realm."""
    addresses: tuple[bytes, ...] = ()
    """Our own addresses, for Host-IP-Address and as sources of connections."""
    listeners: tuple[Listener, ...] = ()
    peers: tuple[PeerSettings, ...] = ()
    routes: tuple[RouteSettings, ...] = ()
    tls: TlsSettings | None = None
    agent: str = "none"
    """What is done with requests for others: ``none`` (3002), ``relay``, ``proxy`` or ``redirect``."""
    watchdog_timeout: int = number(30, 6, 30, "seconds")
    """Twinit (RFC 3539); 0 (not in the range): no watchdog."""
    cea_timeout: int = number(30, 1, 120, "seconds")
    dpa_timeout: int = number(5, 1, 60, "seconds")
    retry_timeout: int = number(30, 1, 3_600, "seconds")
    """Tc, between two tries to connect."""
    connection_timeout: int = number(30, 1, 300, "seconds")
    request_limit: int = number(10_000, 1, 1_000_000)
    """Requests that wait for an answer or a peer at one time, over all peers."""
    window: int = number(1_024, 1, 65_535)
    """Requests without an answer at one peer; more wait."""
    connection_limit: int = number(1_024, 1, 65_535)
    """Incoming connections at one time."""
    message_limit: int = number(1 << 20, 4_096, 1 << 20, "octets")
    duplicate_time: int = number(240, 0, 3_600, "seconds")
    """How long answers are kept for repeated requests; 0: not."""
    sctp_udp_port: int = 0
    """User-space SCTP goes in UDP datagrams to and from this port (RFC 6951); 0: on raw IP."""
    discovery: bool = False
    """Peers of unknown realms are looked for in the DNS (RFC 6408)."""
    strict_bits: bool = False
    """Reserved header bits are refused (5013)."""
    redirect_usage: int = number(0, 0, 6)
    """Redirect-Host-Usage that we send (RFC 6733 section 6.13)."""
    redirect_cache_time: int = number(0, 0, 86_400, "seconds")


@define(slots=True, kw_only=True, frozen=True)
class Server:
    """``diameter ... server HOST priority N`` of an AAA group."""

    host: str
    priority: int = number(1, 1, 1_000)


@define(slots=True, kw_only=True, frozen=True)
class ServerGroup:
    """How one AAA group authenticates, or accounts."""

    endpoint: str = ""
    """Name of the endpoint of the same context; empty: not at all."""
    identity: str = ""
    """Origin-Host of that endpoint."""
    origin_realm: str = ""
    """Origin-Realm of that endpoint."""
    realm: str = ""
    """Destination-Realm; empty: that of the user name, else that of the endpoint."""
    servers: tuple[Server, ...] = ()
    """Destination-Host, by priority; empty: whoever serves the realm."""
    application: str = ""
    """Authentication: ``nasreq`` (AAR, RFC 5779) or ``s6b``; accounting: ``base`` (3), ``nasreq`` (1),
    ``mobile-ip`` (2), ``mip6a`` (8). Empty: ``nasreq`` and ``base``."""
    request_timeout: int = number(20, 1, 3_600, "seconds")
    max_retries: int = number(2, 0, 10)


@define(slots=True, kw_only=True)
class GroupSettings:
    """``aaa group NAME``: whom a service asks, and whom it reports to."""

    name: str
    context: str = ""
    authentication: ServerGroup = field(factory=ServerGroup)
    accounting: ServerGroup = field(factory=ServerGroup)
    failure_policy: str = "deny"
    """When no server answers: ``deny``, ``local`` (the local profile is enough) or ``queue`` (the mobile
    waits; retransmissions of its update are absorbed)."""
    queue_time: int = number(30, 1, 300, "seconds")
    """How long ``queue`` waits, then denies."""
    authorize_on_handoff: bool = False
    """A mobile node that comes to another gateway is authorized again before it is served there."""
    newer_sessions: tuple[tuple[str, str], ...] = ()
    """Hosts that are no AAA servers and may have seen a newer session: ``pcrf`` or ``pcs``."""
    interim_interval: int = number(0, 0, 86_400, "seconds")
    """0: no records from time to time, unless the server asks for them."""
    interim_on_handoff: bool = False
    interim_on_refresh: bool = False
    event_on_denial: bool = False
    realtime: str = "grant-and-store"
    """Accounting-Realtime-Required until a server says otherwise: ``deliver-and-grant``,
    ``grant-and-store``, ``grant-and-lose``."""
    spool_limit: int = number(1 << 30, 1 << 20, 1 << 40, "octets")
    """Room for records that wait on the disk."""
    sub_sessions: bool = True
    """Each binding of a mobile node is a sub-session of one accounting session."""

    @property
    def authority(self) -> tuple[str, ...]:
        """What tells whose word about users counts: with another one, sessions are authorized anew."""
        side = self.authentication
        return self.context, self.name, side.endpoint, side.realm, side.application
