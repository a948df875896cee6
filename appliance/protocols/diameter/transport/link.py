"""What all transports of Diameter have in common: one connection, who is told of it, and its limits.

::

    tcp, tls ───────┐                           ┌─ established, received, unreadable ─▶ Owner (driver)
    sctp_kernel ────┼─▶ Connection of its kind ─┤  secured, congested, lost
    sctp_user ──────┘                           └◀─ write, close, abort, secure

A connection can grow in three ways, and each has its end: what is read (a message has a longest length,
and some seconds to come), what waits to be written (a peer that does not read is left alone with new
requests, then not listened to, then cut off), and the time until its first message.
"""

from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import Any, Protocol

from attrs import define
from twisted.logger import Logger

from appliance.protocols.diameter.message.codec import Malformed

FIRST_MESSAGE_TIME = 10.0
"""Seconds until a peer that connects has sent its CER, TLS handshake included."""
MESSAGE_TIME = 30.0
"""Seconds from the first octet of a message to its last."""
STALL_TIME = 30.0
"""Seconds in which a peer has to take what waits for it."""
CLOSE_TIME = 5.0
"""Seconds in which a peer has to take what was sent last."""
FIRST_LIMIT = 1 << 16
"""Octets of the messages of a peer that is not known yet; a CER has some hundred."""
CONGESTED_LIMIT = 1 << 20
"""Octets that wait for a peer when it gets no new requests any more."""
DEAF_LIMIT = 4 << 20
"""Octets that wait for a peer when it is not listened to any more: it could only make us answer more."""
UNSENT_LIMIT = 16 << 20
"""Octets that wait for a peer when it is cut off."""
TURN = 64
"""Messages of one connection that are dealt with before others have a turn."""

_log = Logger(namespace="diameter")


def text_of(address: bytes) -> str:
    """Text of a packed address."""
    return inet_ntop(AF_INET if len(address) == 4 else AF_INET6, address)


def packed(text: str) -> bytes:
    """Octets of an address; a listener on ``::`` has peers of IPv4, too."""
    text = text.partition("%")[0]
    if "." in text:
        return inet_pton(AF_INET, text.rpartition(":")[2])
    return inet_pton(AF_INET6, text)


@define(slots=True)
class TransportCounters:
    """What has happened to the connections of one endpoint."""

    accepted: int = 0
    """Connections that peers opened, and got."""
    refused: int = 0
    """Connections that peers opened and did not get: too many, or too often."""
    connected: int = 0
    """Connections that we opened."""
    failed: int = 0
    """Connections that we wanted and did not get."""
    garbage: int = 0
    """Closed: what came was no Diameter, or a message was too long."""
    slow: int = 0
    """Closed: a message, the first one or the rest of one, took too long."""
    stalled: int = 0
    """Closed: the peer did not take what was sent to it."""
    handshakes_failed: int = 0
    """Closed: no TLS came about, because of certificates for the most part."""


@define(slots=True, frozen=True)
class Place:
    """Room for one connection that a peer opens."""

    number: int
    source: str
    """What the address of the peer is counted as."""
    longest: int
    """Octets of the longest message."""


class Owner(Protocol):
    """Who is told about connections; nothing of it may raise."""

    reactor: Any
    counters: TransportCounters
    keeper: Any
    """The certificates (``tls.Keeper``)."""

    def admit(self, kind: str, remote: bytes, port: int) -> "Place | None":
        """Whether a peer may connect: a place for its connection, or ``None``."""

    def made(self, connection: "Connection") -> None:
        """There is a connection of a peer that was let in."""

    def established(self, connection: "Connection") -> None:
        """Messages can be exchanged; with TLS the handshake is done."""

    def received(self, connection: "Connection", messages: list[bytes]) -> None:
        """Whole messages have come, in their order."""

    def unreadable(self, connection: "Connection", fault: Malformed, head: bytes) -> None:
        """What has come is no message; nothing more can be read."""

    def secured(self, connection: "Connection") -> None:
        """The handshake that :meth:`Connection.secure` began is done."""

    def congested(self, connection: "Connection", full: bool) -> None:
        """Too much waits for the peer; or, no longer."""

    def noticed(self, connection: "Connection", text: str) -> None:
        """Something for the log that is not the end of the connection: a path is lost."""

    def lost(self, connection: "Connection", text: str) -> None:
        """The connection is gone, or never came about; always the last call. Empty: the peer closed it."""


class Connection:
    """One transport connection with a peer.

    Everything about it that is not how octets come and go; the kinds fill in ``_send``, ``_finish``,
    ``_reset``, ``_listen`` and ``secure``.
    """

    owner: Owner | None

    def __init__(self, owner: Owner, number: int, kind: str, incoming: bool) -> None:
        self.owner = owner
        self.number = number
        """As the node counts connections."""
        self.kind = kind
        """``tcp``, ``tls``, ``tls-inband``, ``sctp``."""
        self.incoming = incoming
        """The peer has opened it."""
        self.remote = b""
        """Address of the peer, packed; its primary one with SCTP."""
        self.port = 0
        """Port of the peer."""
        self.local: tuple[bytes, ...] = ()
        """Our addresses, packed."""
        self.local_port = 0
        self.names: tuple[str, ...] | None = None
        """Names in the certificate of the peer; ``None``: clear text."""
        self.peer = ""
        """Identity of the peer: the one that was wanted, or that has been accepted; empty: not known yet."""
        self.stranger = incoming
        """The node has not accepted the peer yet."""
        self.source = ""
        """What a stranger's address is counted as."""
        self.up = False
        """Messages can be exchanged."""
        self.answered = False
        """We have sent something."""
        self.received = 0
        """Messages that have come."""
        self.born = owner.reactor.seconds()
        self._text = ""
        self._ending = self._dead = False
        self._end_at = 0.0
        self._begun: float | None = None
        self._waiting = 0
        self._choked: float | None = None
        self._full = self._deaf = self._behind = False

    @property
    def ending(self) -> bool:
        """Its end has begun: nothing is sent any more."""
        return self._ending

    # ---- what the owner calls

    def write(self, data: bytes) -> None:
        """Send one whole message; what is sent in one turn of the reactor goes out together."""
        if self._ending:
            return
        self.answered = True
        if self._choked is not None:
            self._waiting += len(data)
            if self._waiting > CONGESTED_LIMIT:
                self._crowded()
        if not self._ending:
            self._send(data)

    def close(self, text: str = "") -> None:
        """End the connection when the peer has taken what was sent, or soon in any case."""
        if self._ending:
            return
        self._ending = True
        self._text = text
        if self.owner is not None:
            self._end_at = self.owner.reactor.seconds() + CLOSE_TIME
        self._finish()

    def abort(self, text: str = "") -> None:
        """End the connection at once, by a reset (RFC 6733 section 2.1)."""
        if self._dead:
            return
        self._ending = self._dead = True
        self._text = text or self._text
        self._reset()

    def trust(self) -> None:
        """The node has accepted the peer."""
        self.stranger = False

    def secure(self, server: bool) -> None:
        """Begin the TLS handshake behind what was written; ``secured`` or ``lost`` follows."""
        raise AssertionError(f"{self.kind} cannot begin in clear text")

    def overdue(self, now: float) -> str:
        """Why the connection has to end now (monotonic seconds); empty: it does not."""
        if self._ending:
            return "the peer does not take what was sent last" if now > self._end_at else ""
        if self._choked is not None and now - self._choked > STALL_TIME:
            return self._stalled(f"nothing of what waits for it was taken for {STALL_TIME:.0f} seconds")
        if self.incoming and not self.received and now - self.born > FIRST_MESSAGE_TIME:
            return self._slow(f"no message within {FIRST_MESSAGE_TIME:.0f} seconds")
        if self._begun is not None and now - self._begun > MESSAGE_TIME:
            return self._slow(f"a message was not whole within {MESSAGE_TIME:.0f} seconds")
        return ""

    def _slow(self, text: str) -> str:
        if self.owner is not None:
            self.owner.counters.slow += 1
        return text

    def _stalled(self, text: str) -> str:
        if self.owner is not None:
            self.owner.counters.stalled += 1
        return text

    # ---- what the kinds fill in

    def _send(self, data: bytes) -> None:
        raise AssertionError("each kind of connection has its own")

    def _finish(self) -> None:
        raise AssertionError("each kind of connection has its own")

    def _reset(self) -> None:
        raise AssertionError("each kind of connection has its own")

    def _listen(self, wanted: bool) -> None:
        raise AssertionError("each kind of connection has its own")

    # ---- what the kinds call

    def _open(self) -> None:
        """Messages can be exchanged from now on."""
        self.up = True
        if self.owner is not None and not self._ending:
            self.owner.established(self)

    def _deliver(self, messages: list[bytes]) -> None:
        """Whole messages have come."""
        self.received += len(messages)
        if self.owner is not None and not self._ending:
            try:
                self.owner.received(self, messages)
            except Exception:  # noqa: BLE001 - logged
                # It would end the connection: one message must not cost all the others their answers.
                _log.failure("a Diameter message could not be dealt with")

    def _garbled(self, fault: Malformed, head: bytes) -> None:
        """What has come is no message."""
        if self.owner is None or self._ending:
            return
        self.owner.counters.garbage += 1
        self._heed(deaf=True)
        self.owner.unreadable(self, fault, head)

    def _partial(self, begun: bool) -> None:
        """A message has come in part, or none has."""
        if not begun:
            self._begun = None
        elif self._begun is None and self.owner is not None:
            self._begun = self.owner.reactor.seconds()

    def _stuck(self) -> None:
        """The peer, or the network, does not take what was sent."""
        if self._choked is None and self.owner is not None:
            self._choked = self.owner.reactor.seconds()

    def _flowing(self) -> None:
        """All that was sent is on its way."""
        self._choked = None
        self._waiting = 0
        if self._full and self.owner is not None:
            self._full = False
            self._heed(deaf=False)
            if not self._ending:
                self.owner.congested(self, False)

    def _crowded(self) -> None:
        if self._waiting > UNSENT_LIMIT:
            text = self._stalled(f"{self._waiting} octets wait for it and are not taken")
            # Not from within a write: the owner is in the middle of something.
            self._ending = True
            self._text = text
            if self.owner is not None:
                self.owner.reactor.callLater(0, self.abort, text)
            return
        if not self._full and self.owner is not None:
            self._full = True
            self.owner.congested(self, True)
        if self._waiting > DEAF_LIMIT and not self._deaf:
            self._heed(deaf=True)

    def _heed(self, *, deaf: bool | None = None, behind: bool | None = None) -> None:
        """Listen to the peer, unless it has to wait for one of the two reasons."""
        before = self._deaf or self._behind
        self._deaf = self._deaf if deaf is None else deaf
        self._behind = self._behind if behind is None else behind
        now = self._deaf or self._behind
        if now is not before:
            self._listen(not now)

    def _gone(self, text: str) -> None:
        """It has ended; called once by the kind, when nothing of it is left."""
        self._ending = self._dead = True
        self._choked = self._begun = None
        owner, self.owner = self.owner, None
        if owner is not None:
            owner.lost(self, self._text or text)
