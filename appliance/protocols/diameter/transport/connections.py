"""All connections of one endpoint: listeners, limits on strangers, and the node's words for it all.

::

    listeners ──admit──▶ Connections ──Accepted, Received, Disconnected ...──▶ feed (node core)
    tcp, sctp ──lost───▶      ▲ ◀──────Connect, Secure, Transmit, Close──────
                              └ once a second: who is overdue

The node forgets a connection when it closes it; here it is known until it is really gone.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import maybeDeferred

from appliance.errors import ResourceError
from appliance.protocols.diameter.message.codec import Malformed
from appliance.protocols.diameter.node.events import (
    Accepted,
    Close,
    Congested,
    Connect,
    Connected,
    ConnectFailed,
    Disconnected,
    Received,
    Secure,
    Secured,
    Transmit,
    Unreadable,
)
from appliance.protocols.diameter.node.probe import Probe
from appliance.protocols.diameter.settings import EndpointSettings, Listener
from appliance.protocols.diameter.transport import sctp, tcp
from appliance.protocols.diameter.transport.link import Connection, Place, TransportCounters, text_of
from appliance.protocols.diameter.transport.tls import Keeper
from appliance.strangers import Limits, Strangers, source_of

SWEEP_TIME = 1.0
"""Seconds between two looks at who is overdue."""
IDLE_TIME = 1.0
"""Seconds after which a stranger loses its place to somebody else when all connections are in use."""
TELL_SWEEPS = 10
"""Sweeps between two looks at what has to be told about strangers."""
LIMITS = Limits(
    places=200,
    places_each=50,
    burst=100,
    rate=10.0,
    burst_all=500,
    rate_all=100.0,
    lacking="have not been accepted as a peer yet",
)

#: What listens at one place: its kind and port, and its addresses (several with SCTP).
Spot = tuple[str, int, tuple[bytes, ...]]


def spots(listeners: tuple[Listener, ...]) -> list[Spot]:
    """Where to listen: an SCTP endpoint has all addresses of one port, the others one each."""
    found: list[Spot] = []
    joined: dict[int, list[bytes]] = {}
    for each in dict.fromkeys(listeners):
        if each.transport == "sctp":
            joined.setdefault(each.port, []).append(each.address)
        else:
            found.append((each.transport, each.port, (each.address,)))
    return found + [("sctp", port, tuple(addresses)) for port, addresses in joined.items()]


def spot_text(spot: Spot) -> str:
    """A place to listen at, for operators."""
    kind, port, addresses = spot
    return f"{kind} port {port} on {', '.join(text_of(each) for each in addresses)}"


def _to_nobody(_event: Any) -> None:
    """Take an event when there is no node any more."""


def _nobody(_number: int) -> str:
    """Know no peer when there is no node any more."""
    return ""


class Connections:
    """The connections of one endpoint; the ``Owner`` of each.

    ``feed`` takes the node's events, ``identify(number)`` tells who the peer of a connection is (if that is
    known), ``tell(level, text)`` takes log lines, ``probe`` is told of every message.
    """

    def __init__(
        self,
        reactor: Any,
        settings: EndpointSettings,
        feed: Callable[[Any], None],
        identify: Callable[[int], str],
        tell: Callable[[str, str], None],
        probe: Probe | None = None,
    ) -> None:
        self.reactor = reactor
        self.keeper = Keeper()
        self.counters = TransportCounters()
        self.settings = settings
        self._feed = feed
        self._tell = tell
        self._identify = identify
        self._probe = probe
        self._strangers = Strangers(LIMITS)
        self._ports: dict[Spot, Any] = {}
        self._all: dict[Connection, None] = {}
        """Oldest first."""
        self._live: dict[int, Connection] = {}
        """Those that the node knows, by number."""
        self._number = 0
        self._timer: Any = None
        self._sweeps = 0

    # ---- listeners

    @property
    def ports(self) -> dict[Spot, Any]:
        """What listens, and where."""
        return dict(self._ports)

    @property
    def count(self) -> int:
        """Connections that there are, with those that are about to begin or end."""
        return len(self._all)

    def local_port(self, number: int) -> int:
        """Our port of a connection that the node knows; 0: not known."""
        connection = self._live.get(number)
        return connection.local_port if connection is not None else 0

    async def listen(self, listeners: tuple[Listener, ...]) -> None:
        """Listen there and nowhere else; raises :class:`ResourceError`, then everything is as before."""
        wanted = spots(listeners)
        added = [each for each in wanted if each not in self._ports]
        removed = [each for each in self._ports if each not in wanted]
        # One that is in the way of a new one goes first.
        in_the_way = [each for each in removed if any(each[1] == new[1] for new in added)]
        for each in in_the_way:
            await self._deafen(each)
        try:
            for each in added:
                self._ports[each] = self._open(each)
        except ResourceError:
            for each in added:
                await self._deafen(each)
            for each in in_the_way:
                self._ports[each] = self._open(each)
            raise
        for each in removed:
            await self._deafen(each)

    def _open(self, spot: Spot) -> Any:
        kind, port, addresses = spot
        if kind == "sctp":
            return sctp.stack(self.settings.sctp_udp_port).listen(self, addresses, port)
        return tcp.listen(self, kind, addresses[0], port)

    async def _deafen(self, spot: Spot) -> None:
        port = self._ports.pop(spot, None)
        if port is not None:
            await maybeDeferred(port.stopListening).asFuture(asyncio.get_running_loop())

    # ---- what the node wants

    def connect(self, effect: Connect) -> None:
        """Open a connection."""
        settings = self.settings
        words: dict[str, Any] = {
            "local": effect.local,
            "peer": effect.peer,
            "longest": settings.message_limit,
            # The node itself gives up when its time is over.
            "timeout": effect.timeout + 1,
        }
        try:
            if effect.transport == "sctp":
                made: Connection = sctp.stack(settings.sctp_udp_port).connect(
                    self, effect.connection, effect.addresses, effect.port, **words
                )
            else:
                remote = (effect.addresses[0], effect.port)
                made = tcp.connect(self, effect.connection, effect.transport, remote, **words)
        except ResourceError as error:
            self.counters.failed += 1
            # Not within the effect that asked for it.
            self.reactor.callLater(0, self._feed, ConnectFailed(effect.connection, str(error)))
            return
        self._live[effect.connection] = made
        self._keep(made)

    def secure(self, effect: Secure) -> None:
        """Begin TLS."""
        connection = self._live.get(effect.connection)
        if connection is not None:
            connection.secure(effect.server)

    def transmit(self, effect: Transmit) -> None:
        """Send a message."""
        connection = self._live.get(effect.connection)
        if connection is None:
            return
        if self._probe is not None:
            self._probe.sent(connection, effect.data)
        connection.write(effect.data)

    def close(self, effect: Close) -> None:
        """End a connection."""
        connection = self._live.pop(effect.connection, None)
        if connection is None:
            return
        if effect.abort:
            connection.abort(effect.text)
        else:
            connection.close(effect.text)

    def end(self) -> None:
        """End all connections at once, and say nothing of it, nor of anything else, to the node."""
        self._live.clear()
        for connection in list(self._all):
            connection.abort("the endpoint is stopped")
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        # The node and this refer to each other, and nobody collects such cycles.
        self._feed, self._identify = _to_nobody, _nobody

    # ---- what the transports tell

    def admit(self, kind: str, remote: bytes, port: int) -> Place | None:
        """Let a peer in, or not: too many of them, or too often."""
        source, now = source_of(text_of(remote)), self.reactor.seconds()
        limit = self.settings.connection_limit
        refusal, idler = "", None
        if sum(each.incoming for each in self._all) >= limit:
            idler = self._idler(now)
            refusal = "" if idler is not None else f"all {limit} connections are in use"
        rival = self._strangers.rival(source)
        if refusal := refusal or self._strangers.connect(source, now):
            self.counters.refused += 1
            self.complain(source, f"connection refused: {refusal}")
            return None
        for each in (idler, self._oldest(rival) if rival else None):
            if each is not None and not each.ending:
                self._evict(each)
        self.counters.accepted += 1
        self._number += 2
        return Place(self._number, source, self.settings.message_limit)

    def made(self, connection: Connection) -> None:
        """A connection of a peer that was let in."""
        self._keep(connection)

    def _keep(self, connection: Connection) -> None:
        self._all[connection] = None
        if self._timer is None:
            self._timer = self.reactor.callLater(SWEEP_TIME, self._sweep)

    def _evict(self, connection: Connection) -> None:
        """End a connection whose place is needed; the node knows before it is told of the next one."""
        text = "its place is needed for another one"
        self.complain(connection.source, f"connection ended: {text}")
        if self._live.pop(connection.number, None) is not None:
            self._feed(Disconnected(connection.number, text))
        connection.abort(text)

    def _oldest(self, source: str) -> Connection | None:
        """The oldest connection of a source that is not accepted yet."""
        found = (each for each in self._all if each.stranger and each.source == source and not each.ending)
        return next(found, None)

    def _idler(self, now: float) -> Connection | None:
        """The oldest stranger, if it has had the time that a peer needs: it must not keep peers out."""
        found = next((each for each in self._all if each.stranger and not each.ending), None)
        return found if found is not None and now - found.born > IDLE_TIME else None

    def established(self, connection: Connection) -> None:
        """Messages can be exchanged."""
        if connection.incoming:
            self._live[connection.number] = connection
            self._feed(
                Accepted(
                    connection.number,
                    connection.remote,
                    connection.port,
                    connection.kind,
                    connection.local,
                    connection.names,
                )
            )
        elif connection.number in self._live:
            self.counters.connected += 1
            self._feed(
                Connected(
                    connection.number,
                    connection.remote,
                    connection.port,
                    connection.local,
                    connection.names,
                )
            )

    def received(self, connection: Connection, messages: list[bytes]) -> None:
        """Whole messages have come."""
        if self._probe is not None:
            self._probe.received(connection, messages)
        self._feed(Received(connection.number, messages))
        if connection.stranger:
            self._judge(connection)

    def _judge(self, connection: Connection) -> None:
        """A stranger whom the node has answered and not sent away is a peer."""
        if connection.answered and not connection.ending:
            connection.trust()
            connection.peer = self._identify(connection.number)
            self._strangers.settled(connection.source)

    def unreadable(self, connection: Connection, fault: Malformed, head: bytes) -> None:
        """What has come is no message."""
        self._feed(Unreadable(connection.number, fault.code, str(fault), head))

    def secured(self, connection: Connection) -> None:
        """There is TLS now."""
        self._feed(Secured(connection.number, connection.names or ()))

    def congested(self, connection: Connection, full: bool) -> None:
        """Too much waits for the peer; or, no longer."""
        # Not within the effect that wrote one message more.
        if connection.number in self._live:
            self.reactor.callLater(0, self._feed, Congested(connection.number, full))

    def noticed(self, connection: Connection, text: str) -> None:
        """Something about a connection for the log."""
        self._tell("warning", f"{text_of(connection.remote)} port {connection.port}: {text}")

    def lost(self, connection: Connection, text: str) -> None:
        """A connection is gone, or did not come about."""
        self._all.pop(connection, None)
        if connection.stranger:
            self._strangers.settled(connection.source)
            if text and not connection.up:
                self.complain(connection.source, text)
        if not connection.incoming and not connection.up:
            self.counters.failed += 1
        if self._live.pop(connection.number, None) is None:
            return
        if connection.up or connection.incoming:
            self._feed(Disconnected(connection.number, text))
        else:
            self._feed(ConnectFailed(connection.number, text or "the peer closed the connection"))

    # ---- once a second

    def _sweep(self) -> None:
        self._timer = None
        now = self.reactor.seconds()
        for connection in list(self._all):
            if connection.stranger and connection.number in self._live:
                self._judge(connection)
            if text := connection.overdue(now):
                if connection.stranger:
                    self.complain(connection.source, f"connection ended: {text}")
                connection.abort(text)
        self._sweeps += 1
        if self._sweeps % TELL_SWEEPS == 0:
            for each in self._strangers.tick(now):
                self._tell("warning", f"{each.source}: the same {each.count} times more")
        if self._all:
            self._timer = self.reactor.callLater(SWEEP_TIME, self._sweep)

    def complain(self, source: str, text: str) -> None:
        """Log something about a stranger, if nothing was logged about its source lately."""
        if self._strangers.first(source, self.reactor.seconds()):
            self._tell("warning", f"{source}: {text}")
