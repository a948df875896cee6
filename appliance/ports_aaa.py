"""What the shell sees of Diameter and AAA: views, ready to be printed, and the port that gives them.

Texts are texts (addresses, names of states), times are wall clock seconds since 1970, durations seconds.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Protocol

from attrs import define, field


@define(slots=True, kw_only=True)
class EndpointView:
    """One ``diameter endpoint``."""

    name: str
    context: str
    identity: str
    realm: str
    state: str
    """``Started`` or ``Initialized`` (without an origin host)."""
    listeners: tuple[str, ...] = ()
    """As in ``10.1.1.1:3868 [TCP]``."""
    applications: tuple[str, ...] = ()
    agent: str = "none"
    """What is done with requests for others."""
    discovery: bool = False
    peers: int = 0
    peers_open: int = 0
    pending: int = 0
    """Requests that wait for an answer or for a peer."""


@define(slots=True, kw_only=True)
class PeerView:
    """One peer of an endpoint."""

    context: str
    endpoint: str
    name: str
    realm: str
    local_name: str
    local_realm: str
    address: str
    """With port; empty: not connected, and no address known."""
    local_address: str
    transport: str
    """``TCP``, ``TLS``, ``SCTP``."""
    state: str
    """``OPEN``, ``CLOSED``, or the state of RFC 6733 section 5.6 in between, such as ``WAIT-I-CEA``."""
    watchdog: str
    """State of RFC 3539: ``OKAY``, ``SUSPECT``, ``DOWN``, ``REOPEN``, ``INITIAL``."""
    enabled: bool
    dynamic: bool = False
    vendors: tuple[int, ...] = ()
    applications: tuple[str, ...] = ()
    product: str = ""
    certificate: str = ""
    """Names in its certificate; empty: none."""
    pending: int = 0
    """Requests that it has not answered yet."""
    queued: int = 0
    """Requests that wait for its window."""
    since: float = 0.0
    """When it came to this state."""
    backoff: float | None = None
    """Seconds until the next try to connect; ``None``: no try is planned."""
    disconnect: str = ""
    """Disconnect-Cause of the last DPR, or why it was closed."""
    counters: dict[str, int] = field(factory=dict)
    """By label, in the order to be shown."""


@define(slots=True, kw_only=True)
class DiameterRouteView:
    """One way to a realm or host."""

    endpoint: str
    realm: str
    """``*``: any."""
    host: str
    application: str
    """``*``: any."""
    action: str
    peer: str
    priority: int
    weight: int
    origin: str
    """``static``, ``peer`` (the realm of a peer), ``dynamic`` (DNS) or ``redirect`` (learnt)."""
    expires: float | None
    """Seconds."""
    usable: bool


@define(slots=True, kw_only=True)
class PendingView:
    """One request that waits for an answer or for a peer."""

    endpoint: str
    peer: str
    """Empty: it waits for one."""
    direction: str
    """``out``: to a peer; ``in``: an application of ours has it."""
    state: str
    """``sent``, ``queued`` (for the peer's window), ``parked`` (for a peer), ``working`` (here)."""
    command: str
    application: str
    session_id: str
    hop_by_hop: int
    """-1: not sent."""
    end_to_end: int
    remaining: float
    """Seconds until it is given up."""
    retransmitted: bool


@define(slots=True, kw_only=True)
class DiameterSessionView:
    """One Diameter session, of a client in this process or of an AAA server."""

    role: str
    """``client`` or ``server``."""
    owner: str
    """Service or server that has it."""
    session_id: str
    user: str
    application: str
    state: str
    """``Pending``, ``Open``, ``Discon``; history of a server: ``Idle``."""
    peer: str
    """Client: Origin-Host of the server; server: Origin-Host of the client."""
    realm: str = ""
    started: float = 0.0
    handed_over: float = 0.0
    ended: float = 0.0
    authorization_left: float | None = None
    timeout_left: float | None = None
    call_id: int = 0
    multi_session_id: str = ""
    addresses: tuple[str, ...] = ()
    details: tuple[tuple[str, str], ...] = ()
    """What else there is, label and value, for the full view."""


@define(slots=True, kw_only=True)
class RecordFilter:
    """Which accounting records: all that is not empty has to fit."""

    server: str = ""
    user: str = ""
    """``*`` and ``$`` are wildcards."""
    session: str = ""
    after: float = 0.0
    before: float = 0.0
    attribute: str = ""
    value: str = ""
    matches: bool = False
    """``value`` is a regular expression (RE2)."""
    newest: int = 0
    """Only so many of the newest, the newest first; 0: all, the oldest first."""


@define(slots=True, kw_only=True)
class RecordView:
    """One accounting record."""

    server: str
    received: float
    end_to_end: int
    origin: str
    user: str
    session_id: str
    kind: str
    """``START``, ``INTERIM``, ``STOP``, ``EVENT``."""
    number: int
    seconds: int = 0
    octets_in: int = 0
    octets_out: int = 0
    packets_in: int = 0
    packets_out: int = 0
    cause: str = ""
    attributes: tuple[tuple[str, str], ...] = ()
    """All of its AVPs as name and text, in their order."""


@define(slots=True, kw_only=True)
class UsageView:
    """Totals of a user on a day."""

    server: str
    user: str
    day: str
    """``YYYY-MM-DD``."""
    sessions: int
    seconds: int
    octets_in: int
    octets_out: int


@define(slots=True, kw_only=True)
class ClientView:
    """The AAA client of one service: what it asks, reports and keeps on the disk."""

    service: str
    group: str
    authentication: str
    """Endpoint; empty: none."""
    accounting: str
    policy: str
    spool_records: int
    spool_octets: int
    spool_oldest: float | None
    """Age of the oldest record, seconds."""
    spool_state: str
    """``Normal``, or what is wrong."""
    counters: dict[str, int] = field(factory=dict)


@define(slots=True)
class MessageCounts:
    """What became of the messages of one type.

    Requests of ours have retries, time-outs and answers that were dropped; requests of a server (ASR, RAR)
    have those that were rejected.
    """

    requests: int = 0
    answers: int = 0
    retries: int = 0
    timeouts: int = 0
    dropped: int = 0
    rejected: int = 0


@define(slots=True, kw_only=True)
class MessagesView:
    """The messages of one AAA group with one server."""

    group: str
    server: str
    """DiameterIdentity; empty: no server has answered."""
    accounting: bool
    """Of the group's accounting servers; else of its authentication servers."""
    messages: dict[str, MessageCounts]
    """By the first letters of the message: ``AA``, ``AC``, ``ST``, ``AS``, ``RA``, ``MI``, ``AM``, ``HA``,
    ``DE``."""


@define(slots=True, kw_only=True)
class UserView:
    """One user of an AAA server, without keys."""

    server: str
    user: str
    source: str
    """``configuration``, or the path of a users file."""
    enabled: bool
    services: tuple[str, ...]
    """What is permitted: ``pmipv6``, ``mipv6``, ``mobile-ip``."""
    key: bool
    """There is an MN-AAA key."""
    sessions: int = 0
    """Now."""
    max_sessions: int = 0
    details: tuple[tuple[str, str], ...] = ()
    """What else is set, label and value."""


@define(slots=True, kw_only=True)
class ServerView:
    """One ``aaa-server``."""

    name: str
    context: str
    endpoint: str
    state: str
    realms: tuple[str, ...]
    users: int
    sessions: int
    storage: str
    """Where records go, without a password."""
    storage_state: str
    """``Normal``, ``Opening`` after a start, or what is wrong."""
    records: int
    """Stored since the start."""
    waiting: int
    """Records on their way to the database."""
    spool: int = 0
    """Octets of the records that wait on disk for it."""
    counters: dict[str, int] = field(factory=dict)


class AaaPort(Protocol):
    """Diameter and AAA as the shell sees them. Everything that changes raises ApplianceError."""

    def endpoints(self) -> list[EndpointView]:
        """All endpoints in the order of the configuration."""

    def peers(self, endpoint: str = "", peer: str = "") -> Iterator[PeerView | None]:
        """Peers of one endpoint or of all, of one name or of all; those of an endpoint together.

        ``None``: still looking.
        """

    def routes(self, endpoint: str = "") -> list[DiameterRouteView]:
        """Realm routing tables."""

    def queue(self, endpoint: str = "", peer: str = "") -> Iterator[PendingView | None]:
        """Requests without an answer yet; ``None``: still looking."""

    def statistics(self, endpoint: str = "") -> dict[str, dict[str, int]]:
        """Counters of endpoints as a whole: by endpoint, by label."""

    def clear_statistics(self, endpoint: str = "", peer: str = "") -> None:
        """Start these counters again from zero."""

    def set_peer(self, endpoint: str, peer: str, enabled: bool) -> None:
        """Disable a peer (DPR, and no connection until it is enabled) or enable it."""

    def sessions(self, user: str = "", session_id: str = "") -> Iterator[DiameterSessionView | None]:
        """Sessions of clients and servers; ``None``: still looking."""

    async def abort(self, session_id: str) -> str:
        """Have a server abort a session (ASR); returns what the client answered."""

    def clients(self) -> list[ClientView]:
        """The AAA clients of services."""

    def messages(self, group: str = "", server: str = "") -> list[MessagesView]:
        """What AAA clients have sent and received, by group and server."""

    def users(self, server: str = "", user: str = "") -> Iterator[UserView | None]:
        """Users of AAA servers; ``*`` and ``$`` are wildcards; ``None``: still looking."""

    def servers(self) -> list[ServerView]:
        """The AAA servers."""

    async def reload_users(self, server: str = "") -> list[str]:
        """Read users files again; returns a line for each."""

    def records(self, wanted: RecordFilter, full: bool) -> AsyncIterator[Sequence[RecordView]]:
        """Accounting records in pages; attributes only if ``full``. Raises ApplianceError."""

    def usage(self, wanted: RecordFilter) -> AsyncIterator[Sequence[UsageView]]:
        """Totals per user and day, in pages. Raises ApplianceError."""

    def open_accounting(self, wanted: RecordFilter) -> AsyncIterator[Sequence[RecordView]]:
        """The latest record of each session that has not ended, in pages. Raises ApplianceError."""

    async def authenticate(self, context: str, group: str, user: str, key: bytes, spi: int) -> list[str]:
        """Ask the servers of a group about a user, with MN-AAA authentication if there is a key.

        Returns what they say, a line each. Raises ApplianceError when there is no answer.
        """

    async def account(self, context: str, group: str, user: str) -> list[str]:
        """Send one EVENT record; returns what became of it, a line each. Raises ApplianceError likewise."""
