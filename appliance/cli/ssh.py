"""The SSH server: listeners that follow the configuration, and what all connections share.

::

    listener ─▶ Connection (ssh_transport) ─▶ UserAuth (ssh_auth) ─▶ Channels (ssh_session) ─▶ Shell
        ▲               │                          │                       │
    configure      Logins: limits            Hashers, audit            Operators: sessions

There is no account but those of the configuration.
"""

import asyncio
import errno
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from appliance.cli.logins import Logins
from appliance.cli.operators import Operators
from appliance.cli.passwords import Hashers
from appliance.cli.ssh_auth import UserAuth
from appliance.cli.ssh_keys import fingerprint, host_key
from appliance.cli.ssh_session import Channels
from appliance.cli.ssh_transport import Connection
from appliance.errors import ResourceError
from appliance.log import Facility
from appliance.management import Management, User
from appliance.ports import Operator, SystemPort
from appliance.protocols.timers import Now
from appliance.strangers import source_of

TELL_TICK = 10.0
"""Seconds between two looks at what has to be told about strangers."""
BACKLOG = 100

Listener = tuple[str, int]


class _Factory(Factory):
    """Makes connections; has the host key where Conch looks for it."""

    noisy = False

    def __init__(self, server: "SshService", key: Any) -> None:
        self._server = server
        self.privateKeys = {key.sshType(): key}
        self.publicKeys = {key.sshType(): key.public()}

    def logPrefix(self) -> str:
        """How Twisted names it when it listens."""
        return "SSH server"

    def buildProtocol(self, addr: Any) -> Connection | None:
        """A connection for a client, or none: then it is closed at once."""
        return self._server.admit(self, addr)


class SshService:
    """Serves SSH as ``management`` says.

    ``make_terminal(shell, transport, term, rows, columns, touch)`` makes a TerminalSession,
    ``make_script(shell, out, err, touch)`` a LineSession; transport, out and err are ``Transport``.
    """

    _log = Facility("ssh")

    def __init__(
        self,
        *,
        reactor: Any,
        clock: Callable[[], Now],
        state_directory: str,
        system: SystemPort,
        operators: Operators,
        make_terminal: Callable[..., Any],
        make_script: Callable[..., Any],
    ) -> None:
        self.reactor = reactor
        self.clock = clock
        self.management = Management()
        self.operators = operators
        self.make_terminal = make_terminal
        self.make_script = make_script
        self.logins = Logins()
        self.hashers = Hashers()
        self._state_directory = state_directory
        self._system = system
        self._factory: _Factory | None = None
        self._ports: dict[Listener, Any] = {}
        self._connections: dict[Connection, None] = {}
        """Oldest first."""
        self._timer: Any = None
        self._lock = asyncio.Lock()

    # ---- start, change, stop

    async def configure(self, management: Management) -> None:
        """Serve as ``management`` says from now on; also the start.

        Sessions stay, except those of users that are gone. Raises :class:`ResourceError` when an
        address or the host key cannot be used; then everything is as before.
        """
        async with self._lock:
            wanted = list(dict.fromkeys(management.ssh.listeners)) if management.ssh else []
            if wanted and self._factory is None:
                key = await asyncio.to_thread(host_key, self._state_directory)
                self._factory = _Factory(self, key)
                self._log.info("SSH host key {fingerprint}", fingerprint=fingerprint(key))
            await self._move(wanted)
            self.management = management
            self._end_removed()
            if self._ports and self._timer is None:
                self._timer = self.reactor.callLater(TELL_TICK, self._tick)

    async def stop(self, reason: str = "the appliance stops") -> None:
        """End all sessions with this reason, then all connections and listeners."""
        async with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            for listener in list(self._ports):
                await self._close(listener)
            for operator in self.operators.list():
                if operator.service == "ssh":
                    self.operators.end(operator.number, reason)
            for connection in list(self._connections):
                if not isinstance(connection.service, Channels) or not connection.service.sessions():
                    connection.abort()
            for _ in range(20):
                if not self._connections:
                    break
                await asyncio.sleep(0.05)
            for connection in list(self._connections):
                connection.abort()
            self.hashers.close()

    async def _move(self, wanted: list[Listener]) -> None:
        """Open and close listeners; one that is in the way of a new one is closed first."""
        added = [each for each in wanted if each not in self._ports]
        removed = [each for each in self._ports if each not in wanted]
        in_the_way = [each for each in removed if any(each[1] == new[1] for new in added)]
        for each in in_the_way:
            await self._close(each)
        try:
            for each in added:
                self._listen(each)
        except ResourceError:
            for each in added:
                await self._close(each)
            for each in in_the_way:
                self._listen(each)
            raise
        for each in removed:
            await self._close(each)

    def _listen(self, listener: Listener) -> None:
        address, port = listener
        try:
            self._ports[listener] = self._open(address, port)
        except CannotListenError as error:
            reason = getattr(error.socketError, "strerror", None) or str(error.socketError)
            number = getattr(error.socketError, "errno", 0)
            advice = {
                errno.EADDRINUSE: "choose another with 'listen ADDRESS port N', or stop what uses it",
                errno.EADDRNOTAVAIL: "add the address to an interface, or listen on another",
                errno.EACCES: "choose a port above 1023, or give the process CAP_NET_BIND_SERVICE",
            }.get(number, "choose another with 'listen ADDRESS port N'")
            raise ResourceError(f"server sshd: {address} port {port}: {reason}; {advice}") from error

    def _open(self, address: str, port: int) -> Any:
        try:
            return self.reactor.listenTCP(port, self._factory, BACKLOG, address)
        except CannotListenError as error:
            missing = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)
            if address != "::" or getattr(error.socketError, "errno", 0) not in missing:
                raise
            # A host without IPv6: every address of it is an IPv4 one.
            return self.reactor.listenTCP(port, self._factory, BACKLOG, "0.0.0.0")

    async def _close(self, listener: Listener) -> None:
        port = self._ports.pop(listener, None)
        if port is not None:
            await maybeDeferred(port.stopListening).asFuture(asyncio.get_running_loop())

    def _end_removed(self) -> None:
        self.operators.end_removed(self.management)
        for connection in list(self._connections):
            user, service = connection.user, connection.service
            if user is None or self.management.user(user.username) is not None:
                continue
            if isinstance(service, Channels) and not service.sessions():
                connection.end()

    # ---- connections

    @property
    def ports(self) -> list[Any]:
        """What listens now."""
        return list(self._ports.values())

    def admit(self, factory: _Factory, addr: Any) -> Connection | None:
        """Let a client in, or not: too many of them, or too often."""
        source, now = source_of(addr.host), self.clock().mono
        rival = self.logins.rival(source)
        if refusal := self.logins.connect(source, now):
            self._complain(source, f"connection refused: {refusal}")
            return None
        if rival:
            self._evict(rival)
        connection = Connection(self, addr.host, addr.port)
        connection.factory = factory  # type: ignore[assignment]
        self._connections[connection] = None
        return connection

    def _evict(self, source: str) -> None:
        """End the oldest connection of a source that has not logged in yet."""
        for connection in self._connections:
            if connection.source == source and connection.user is None and not connection.ended:
                self._complain(source, "connection ended: its place is needed for another source")
                connection.abort()
                return

    def new_service(self, connection: Connection) -> UserAuth:
        """The log-in of a connection."""
        return UserAuth(self)

    def welcome(self, connection: Connection, user: User) -> Channels | None:
        """A client has logged in; ``None`` when all places are taken."""
        self.logins.succeeded(user.username, connection.source)
        limit = self.management.ssh.max_servers if self.management.ssh else 0
        if sum(each.user is not None for each in self._connections) >= limit:
            self.refused(connection, user.username, f"all {limit} connections are in use")
            return None
        return Channels(self)

    def settled(self, connection: Connection) -> None:
        """A connection is logged in, or was lost before."""
        self.logins.settled(connection.source)

    def closed(self, connection: Connection) -> None:
        """A connection is gone."""
        self._connections.pop(connection, None)

    # ---- log and audit

    def refused(self, connection: Connection, user: str, reason: str) -> None:
        """A log-in failed."""
        self.complain(connection, f"log-in as {user} failed: {reason}")
        self._audit(connection, user, reason)

    def locked_out(self, connection: Connection, who: str) -> None:
        """Somebody has failed too often."""
        minutes = self.management.lockout_time
        text = f"{who} locked out for {minutes} minutes"
        self._log.warn("ssh {origin}: {text}", origin=connection.origin, text=text)
        self._audit(connection, who.partition(" ")[2], text)

    def complain(self, connection: Connection, text: str) -> None:
        """Tell about a connection, unless its source was in the log lately; then it is counted."""
        self._complain(connection.source, text)

    def broken(self, connection: Connection, error: BaseException | None = None) -> None:
        """An exception on the way through Conch: a client that breaks the protocol, or a mistake of ours."""
        failure = Failure(error) if error is not None else Failure()
        if connection.user is None:
            self._complain(connection.source, f"protocol broken: {failure.getErrorMessage() or failure.type}")
        elif self.logins.first(f"user {connection.user.username}", self.clock().mono):
            self._log.failure("ssh {origin}: protocol broken", failure, origin=connection.origin)

    def _complain(self, source: str, text: str) -> None:
        if self.logins.first(source, self.clock().mono):
            self._log.warn("ssh {source}: {text}", source=source, text=text)

    def _audit(self, connection: Connection, user: str, result: str) -> None:
        known = self.management.user(user)
        operator = Operator(
            user=user, rights=known.rights if known else "", origin=connection.origin, service="ssh"
        )
        self._system.audit(operator, "log-in", "", result)

    def _tick(self) -> None:
        self._timer = self.reactor.callLater(TELL_TICK, self._tick)
        for each in self.logins.tick(self.clock().mono):
            self._log.warn(
                "ssh {source}: {count} more like this in a minute", source=each.source, count=each.count
            )
