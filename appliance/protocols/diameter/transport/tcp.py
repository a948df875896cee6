"""Diameter over TCP and TLS, by Twisted.

::

    listen ──▶ Factory ── Owner.admit ──▶ Stream ◀── connect
                                            │  TCP:        messages at once
                                            │  TLS:        handshake, then messages     (port 5868)
                                            └─ tls-inband: messages, secure(), messages (RFC 3588)

Nagle's algorithm is off, though RFC 3539 section 3.2 wants it on. What it is wanted for, one segment for
many messages, is done here: what is written in one turn of the reactor goes out together. What it would add
is waiting for the acknowledgement of the segment before, which a peer that stores what it gets delays:
with a request each millisecond and 5 ms for storing, answers took 6.5 ms without it and 11 ms with it.
"""

import os
from typing import Any

from OpenSSL import SSL
from twisted.internet import error
from twisted.internet.interfaces import IHandshakeListener, IPushProducer
from twisted.internet.protocol import ClientFactory, Factory, Protocol, connectionDone
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from appliance.errors import ResourceError
from appliance.protocols.diameter.transport.framing import Framer
from appliance.protocols.diameter.transport.link import (
    FIRST_LIMIT,
    FIRST_MESSAGE_TIME,
    TURN,
    Connection,
    Owner,
    packed,
    text_of,
)
from appliance.protocols.diameter.transport.tls import handshake_text, peer_names
from appliance.protocols.rawsock import explain

BACKLOG = 100
READ_SIZE = 1 << 16


def reason_text(reason: Failure, verdict: str = "") -> str:
    """Why a connection ended or did not come about, for an operator; empty: the peer closed it."""
    value: Any = reason.value
    if isinstance(value, SSL.Error) or verdict:
        return handshake_text(value, verdict)
    if isinstance(value, error.ConnectionDone):
        return ""
    if isinstance(value, error.TimeoutError):
        return "no answer"
    if isinstance(value, error.ConnectBindError):
        return f"our own address cannot be used: {value}"
    number = getattr(value, "osError", None)
    if isinstance(number, int) and number:
        return os.strerror(number).lower()
    if isinstance(value, error.ConnectionLost):
        return "connection reset"
    return str(value) or type(value).__name__


@implementer(IHandshakeListener, IPushProducer)
class Stream(Connection, Protocol):
    """One connection over TCP, with or without TLS."""

    transport: Any = None

    def __init__(self, owner: Owner, number: int, kind: str, incoming: bool, longest: int) -> None:
        Connection.__init__(self, owner, number, kind, incoming)
        self.verdict = ""
        """What was wrong with the peer's certificate."""
        self._longest = longest
        self._framer = Framer(min(longest, FIRST_LIMIT) if incoming else longest)
        self._securing = False
        self._securing_since = 0.0
        self.dialling: Any = None
        """What is opening it (IConnector)."""

    # ---- begin and end

    def failed(self, reason: Failure) -> None:
        """A connection that we wanted did not come about."""
        self._gone(reason_text(reason, self.verdict))

    def connectionMade(self) -> None:
        """There is a connection; what runs over TLS has no TLS yet."""
        self.transport.setTcpNoDelay(True)
        peer, host = self.transport.getPeer(), self.transport.getHost()
        self.remote, self.port = packed(peer.host), peer.port
        self.local, self.local_port = (packed(host.host),), host.port
        if self._ending:
            self._reset()
        elif self.kind != "tls":
            self._begin()

    def handshakeCompleted(self) -> None:
        """There is TLS, and the peer has shown a certificate of an authority of ours."""
        self.names = peer_names(self.transport.getHandle())
        if not self._securing:
            self._begin()
        elif self.owner is not None and not self._ending:
            self._securing = False
            self.owner.secured(self)

    def _begin(self) -> None:
        self.transport.registerProducer(self, True)
        self._open()

    def secure(self, server: bool) -> None:
        """Begin the TLS handshake (RFC 3588 section 13.2): whoever has connected is the client."""
        if self._ending or self.owner is None:
            return
        if self._framer.waiting:
            # It would be taken for something that came under the protection of TLS.
            self.owner.reactor.callLater(0, self.abort, "it goes on in clear text where TLS was to begin")
            return
        self._securing = True
        self._securing_since = self.owner.reactor.seconds()
        keeper: Any = self.owner.keeper
        self.transport.startTLS(keeper if server else keeper.client(self.peer), server is self.incoming)

    def overdue(self, now: float) -> str:
        """Why the connection has to end now; in-band TLS has its time, too."""
        if self._securing and not self._ending and now - self._securing_since > FIRST_MESSAGE_TIME:
            return self._slow(f"TLS: the handshake was not done within {FIRST_MESSAGE_TIME:.0f} seconds")
        return super().overdue(now)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone."""
        text = reason_text(reason, self.verdict)
        if (self._securing or (self.kind == "tls" and not self.up)) and not self._text:
            if self.owner is not None:
                self.owner.counters.handshakes_failed += 1
            if not text.startswith("TLS"):
                text = f"TLS: {text or 'the peer closed the connection'} during the handshake"
        transport, self.transport = self.transport, None
        # startTLS leaves a cycle behind, and nobody collects these (ARCHITECTURE.md, section 8).
        for name in ("getHandle", "getPeerCertificate"):
            vars(transport).pop(name, None)
        self._gone(text)

    def trust(self) -> None:
        """The node has accepted the peer: its messages may be as long as any."""
        super().trust()
        self._framer.longest = self._longest

    # ---- reading

    def dataReceived(self, data: bytes) -> None:
        """Take octets of the peer."""
        if self._ending:
            return
        framer = self._framer
        messages = framer.feed(data, TURN)
        if messages:
            self._deliver(messages)
        if framer.fault is not None:
            self._garbled(framer.fault, framer.head)
            return
        self._partial(framer.waiting > 0)
        behind = len(messages) == TURN
        if behind and self.owner is not None:
            self.owner.reactor.callLater(0, self._go_on)
        if behind is not self._behind:
            self._heed(behind=behind)

    def _go_on(self) -> None:
        self.dataReceived(b"")

    def _listen(self, wanted: bool) -> None:
        if self.transport is None:
            return
        if wanted:
            self.transport.resumeProducing()
        else:
            self.transport.pauseProducing()

    # ---- writing

    def _send(self, data: bytes) -> None:
        self.transport.write(data)

    def pauseProducing(self) -> None:
        """Twisted: more waits than the connection takes at once."""
        self._stuck()

    def resumeProducing(self) -> None:
        """Twisted: nothing waits any more."""
        self._flowing()

    def stopProducing(self) -> None:
        """Twisted: the connection is gone; ``connectionLost`` tells it too."""

    def _finish(self) -> None:
        if self.transport is not None:
            # A paused producer would keep the connection open.
            self.transport.unregisterProducer()
            self.transport.loseConnection()
        elif self.dialling is not None:
            self.dialling.disconnect()

    def _reset(self) -> None:
        if self.transport is None:
            self._finish()
            return
        if self.answered:
            # What explains the reset to the peer goes out before it, as far as the host takes it at once.
            self.transport.unregisterProducer()
            self.transport.loseConnection()
            self.transport.doWrite()
        self.transport.abortConnection()


class _Factory(Factory):
    """Makes the connections that peers open."""

    noisy = False

    def __init__(self, owner: Owner, kind: str) -> None:
        self._owner = owner
        self._kind = kind

    def logPrefix(self) -> str:
        """How Twisted names it when it listens."""
        return f"Diameter over {self._kind}"

    def buildProtocol(self, addr: Any) -> Stream | None:
        """A connection for a peer, or none: then it is closed at once."""
        place = self._owner.admit(self._kind, packed(addr.host), addr.port)
        if place is None:
            return None
        made = Stream(self._owner, place.number, self._kind, True, place.longest)
        made.source = place.source
        self._owner.made(made)
        return made


class _TlsFactory(TLSMemoryBIOFactory):
    """Puts TLS under the connections of a factory."""

    def buildProtocol(self, addr: Any) -> Any:
        """A connection with TLS; Twisted's own would put it under none as well."""
        inner = self.wrappedFactory.buildProtocol(addr)
        return None if inner is None else self.protocol(self, inner)


def listen(owner: Owner, kind: str, address: bytes, port: int) -> Any:
    """Take connections of kind ``tcp`` or ``tls``; returns Twisted's port, whose ``stopListening`` ends it.

    Raises :class:`ResourceError`.
    """
    factory: Any = _Factory(owner, kind)
    if kind == "tls":
        factory = _TlsFactory(owner.keeper, False, factory, owner.reactor)
    try:
        return owner.reactor.listenTCP(port, factory, BACKLOG, text_of(address))
    except error.CannotListenError as fault:
        raise ResourceError(explain(fault.socketError, f"TCP port {port} on {text_of(address)}")) from fault


class _Dial(ClientFactory):
    """Makes the one connection that we open."""

    noisy = False

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._client: Any = None

    def startedConnecting(self, connector: Any) -> None:
        """It has begun."""
        self._client = connector.transport

    def buildProtocol(self, addr: Any) -> Stream:
        """The connection is there."""
        return self._stream

    def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:
        """It did not come about. Break what would be a cycle."""
        self._stream.dialling = None
        client, self._client = self._client, None
        for name in ("doRead", "doWrite"):
            vars(client).pop(name, None)
        self._stream.failed(reason)

    def clientConnectionLost(self, connector: Any, reason: Failure) -> None:
        """It is gone again; the connection was told. Break what would be a cycle."""
        self._stream.dialling = self._client = connector.transport = None


def connect(
    owner: Owner,
    number: int,
    kind: str,
    remote: tuple[bytes, int],
    *,
    local: tuple[bytes, ...] = (),
    peer: str = "",
    longest: int,
    timeout: float,
) -> Stream:
    """Open a connection of kind ``tcp``, ``tls`` or ``tls-inband``.

    ``remote`` is address and port; ``local`` may have our own address of the same family, ``peer`` is the
    identity that is wanted; the rest in octets and seconds. ``established`` or ``lost`` follows, but not
    before this returns.
    """
    stream = Stream(owner, number, kind, False, longest)
    stream.peer = peer
    stream.remote, stream.port = remote
    source = next((text_of(each) for each in local if len(each) == len(remote[0])), "")
    factory: Any = _Dial(stream)
    if kind == "tls":
        factory = _TlsFactory(owner.keeper.client(peer), True, factory, owner.reactor)
    stream.dialling = owner.reactor.connectTCP(
        text_of(remote[0]), remote[1], factory, timeout, (source, 0) if source else None
    )
    return stream
