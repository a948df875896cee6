"""What goes into the node core and what comes out of it.

::

    listener ──Accepted──────────▶ node ──Connect, Secure──▶ transports
    transport ─Connected, Received,     ──Transmit, Close──▶
               Secured, Disconnected▶   ──Lookup───────────▶ resolver
    resolver ──Found─────────────▶      ──Deliver──────────▶ application that serves
    user ──────Send, Cancel──────▶      ──Answer───────────▶ user who sent
    application ─Serve, Reply────▶      ──Usable, Notify, Stopped▶ driver
    operator ──Command, Reconfigure▶

A connection has a number. The node numbers those it asks for (odd: 1, 3, 5, ...), the driver those that
peers opened (even: 2, 4, 6, ...); no number is used twice. After :class:`Close` the node wants to hear
nothing more of a connection, not even :class:`Disconnected`; what comes all the same is ignored.

Applications, users' requests and requests to be answered are known by numbers too: ``application`` and
``token`` are chosen by the driver, ``key`` by the node. Addresses are packed octets, identities text.
"""

from collections.abc import Sequence

from attrs import define

from appliance.protocols.diameter.events import Advertised, Answered, Submit
from appliance.protocols.diameter.message.codec import Message
from appliance.protocols.diameter.settings import EndpointSettings
from appliance.protocols.pmipv6.events import Notify

# Disconnect-Cause (RFC 6733 section 5.4.3).
REBOOTING, BUSY, DO_NOT_WANT_TO_TALK_TO_YOU = 0, 1, 2

# Events: transports.


@define(slots=True)
class Accepted:
    """A peer has opened a connection; with ``tls`` and ``dtls`` the handshake is done."""

    connection: int
    """Even, never used before."""
    remote: bytes
    """Address that it came from (the primary one with SCTP)."""
    port: int
    transport: str
    """That of the listener: ``tcp``, ``tls``, ``sctp`` or ``dtls``."""
    local: tuple[bytes, ...] = ()
    """Our addresses of this connection."""
    names: tuple[str, ...] | None = None
    """Names in the peer's certificate; ``None``: the connection is in clear text."""


@define(slots=True)
class Connected:
    """What :class:`Connect` asked for is there; with ``tls`` and ``dtls`` the handshake is done."""

    connection: int
    remote: bytes
    """Address that answered."""
    port: int
    local: tuple[bytes, ...] = ()
    names: tuple[str, ...] | None = None


@define(slots=True)
class ConnectFailed:
    """What :class:`Connect` asked for did not come about; the number is used up."""

    connection: int
    text: str
    """Why, for the log."""


@define(slots=True)
class Secured:
    """What :class:`Secure` asked for is done. If it fails: :class:`Disconnected` with the reason."""

    connection: int
    names: tuple[str, ...]
    """Names in the peer's certificate."""


@define(slots=True)
class Received:
    """Whole messages of a connection, in their order; all that one read brought."""

    connection: int
    messages: Sequence[bytes]


@define(slots=True)
class Unreadable:
    """The octets of a connection are no Diameter; nothing more can be read from it.

    The node answers where it can, and always closes. The whole messages before have been
    :class:`Received`.
    """

    connection: int
    code: int
    """Result-Code that fits (5011, 5015)."""
    text: str
    head: bytes = b""
    """What there was of the header, up to 20 octets."""


@define(slots=True)
class Disconnected:
    """A connection has ended, by the peer or by a fault."""

    connection: int
    text: str = ""
    """Why, for the log; empty: the peer closed it."""


@define(slots=True)
class Congested:
    """The peer does not read: more than enough octets wait in the transport; or, no longer.

    Until then no new requests go to that peer; answers still do.
    """

    connection: int
    full: bool


# Events: resolver.


@define(slots=True, frozen=True)
class FoundPeer:
    """One host that the DNS names."""

    identity: str
    addresses: tuple[bytes, ...]
    port: int
    transport: str
    """As in ``PeerSettings``."""
    priority: int = 1
    """Of SRV or NAPTR order, lower first."""
    weight: int = 1


@define(slots=True)
class Found:
    """The answer to a :class:`Lookup`, to be given once for each."""

    name: str
    application: int | None
    peers: tuple[FoundPeer, ...]
    """Empty: there is none, or the DNS did not answer."""
    lifetime: float = 300.0
    """How long this is good for, in seconds: the smallest TTL."""
    text: str = ""
    """Why there is none, for the log."""


# Events: users and applications.


@define(slots=True)
class Send:
    """A local user sends a request; exactly one :class:`Answer` with the token follows."""

    token: int
    submit: Submit


@define(slots=True)
class Cancel:
    """The user of ``token`` wants no answer any more: it gets one with the reason ``CANCELLED``."""

    token: int


@define(slots=True)
class Serve:
    """A local application serves requests from now on; said again, it replaces what was said before."""

    application: int
    """Its number with the driver."""
    advertised: tuple[Advertised, ...]
    realms: frozenset[str] = frozenset()
    """Folded realms; empty: the node's own."""


@define(slots=True)
class Withdraw:
    """A local application serves no more; what it still has to answer gets 3002."""

    application: int


@define(slots=True)
class Reply:
    """The answer to a delivered request; a second one for a key is ignored."""

    key: int
    answer: bytes
    """Whole message, made by ``message.answer``."""


# Events: operator.


@define(slots=True)
class Start:
    """Begin to connect, and to take what is accepted."""


@define(slots=True)
class Stop:
    """Say good-bye to all peers; requests that wait end with ``STOPPED``. :class:`Stopped` follows."""

    cause: int = REBOOTING
    """Disconnect-Cause for the peers."""


@define(slots=True)
class Command:
    """An operator's command about peers.

    ``disable``: DPR (cause 2), and no connection either way until ``enable``. ``disconnect``: DPR with
    ``cause``, then as the settings say (with cause 0 it is connected again). ``connect``: try now.
    ``clear``: statistics to zero.
    """

    action: str
    peer: str = ""
    """Identity; empty: all of them (``clear``: the node's own figures too)."""
    cause: int = REBOOTING


@define(slots=True)
class Reconfigure:
    """The settings are these from now on; name, context and identity are the same as before."""

    settings: EndpointSettings


# Effects: transports.


@define(slots=True)
class Connect:
    """Open a connection; :class:`Connected` or :class:`ConnectFailed` follows, unless closed before."""

    connection: int
    peer: str
    """Identity of the peer: the name that its certificate has to have."""
    addresses: tuple[bytes, ...]
    """TCP: the one to connect to; SCTP: all those of the peer."""
    port: int
    transport: str
    """As in ``PeerSettings``; ``tls-inband`` begins in clear text."""
    local: tuple[bytes, ...] = ()
    """Our addresses to use as source, of either family; empty: the host chooses."""
    timeout: float = 30.0
    """Seconds; the node closes the connection itself when they are over."""


@define(slots=True)
class Secure:
    """Begin the TLS handshake on a connection that was in clear text, behind what was transmitted."""

    connection: int
    server: bool
    """We are the server side: the peer has opened the connection."""


@define(slots=True)
class Transmit:
    """Send one whole message; they stay in order."""

    connection: int
    data: bytes


@define(slots=True)
class Close:
    """End a connection; also one that is still being opened."""

    connection: int
    text: str
    """Why, for the log."""
    abort: bool = False
    """At once, by reset. Otherwise what was transmitted goes out first (for some seconds at most)."""


# Effects: resolver.


@define(slots=True)
class Lookup:
    """Look in the DNS (RFC 6733 section 5.2, RFC 6408)."""

    name: str
    """A realm; or a host, when ``application`` is ``None``."""
    application: int | None
    """Whose servers are wanted."""
    port: int = 0
    """Of a host: the one to give back in :class:`FoundPeer`."""
    transport: str = "tcp"
    """Of a host, likewise."""


# Effects: users, applications and driver.


@define(slots=True)
class Deliver:
    """A request for a local application, checked against the grammar; :class:`Reply` is expected."""

    application: int
    key: int
    message: Message
    peer: str
    """Identity of the last hop."""
    compat: bool
    secure: bool


@define(slots=True)
class Answer:
    """The end of a user's request."""

    token: int
    answered: Answered


@define(slots=True)
class Usable:
    """A peer can be sent requests that could not before."""

    peer: str


@define(slots=True)
class Stopped:
    """All connections have ended after :class:`Stop`; the core can be thrown away."""


__all__ = [
    "Accepted", "Answer", "Cancel", "Close", "Command", "Congested", "Connect", "ConnectFailed", "Connected",
    "Deliver", "Disconnected", "Found", "FoundPeer", "Lookup", "Notify", "Received", "Reconfigure", "Reply",
    "Secure", "Secured", "Send", "Serve", "Start", "Stop", "Stopped", "Transmit", "Unreadable", "Usable",
    "Withdraw",
]  # fmt: skip
