"""One running Diameter node: its core, its connections, and its users.

::

    application ◀─Incoming── DiameterNode ─Serve, Reply, Send──▶ CoreDriver ── core (node.py)
    user ──────send, done──▶      ▲                                  │ effects
                                  └─ Deliver, Answer, Usable ◀───────┼─▶ Connections ── transports
                                                                     └─▶ Resolver (dns.py)
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from appliance.errors import ResourceError
from appliance.protocols.diameter.events import STOPPED, Answered, Application, Incoming, Submit
from appliance.protocols.diameter.message.codec import Message
from appliance.protocols.diameter.message.dictionary import Dictionary
from appliance.protocols.diameter.message.faults import check
from appliance.protocols.diameter.node.core import DiameterNode as Core
from appliance.protocols.diameter.node.events import (
    REBOOTING,
    Answer,
    Cancel,
    Close,
    Command,
    Connect,
    Deliver,
    Found,
    Lookup,
    Notify,
    Reconfigure,
    Reply,
    Secure,
    Send,
    Serve,
    Start,
    Stop,
    Stopped,
    Transmit,
    Usable,
    Withdraw,
)
from appliance.protocols.diameter.node.probe import Probe
from appliance.protocols.diameter.settings import TRANSPORTS, EndpointSettings
from appliance.protocols.diameter.transport.connections import Connections
from appliance.protocols.diameter.transport.dns import Resolver
from appliance.protocols.diameter.transport.sctp import unavailable
from appliance.protocols.diameter.transport.tls import Certificates, read_certificates
from appliance.protocols.driver import CoreDriver
from appliance.protocols.timers import Now

_log = Logger(namespace="diameter")

UNABLE_TO_COMPLY = 5012
STOP_TIME = 2.0
"""Seconds beyond the DPA time-out in which connections have to end when the node stops."""


def require(settings: EndpointSettings) -> None:
    """Raise :class:`ResourceError` when what is configured is not to be had on this host."""
    kinds = {each.transport for each in settings.listeners} | {each.transport for each in settings.peers}
    for kind in sorted(kinds):
        if why := unavailable(kind, settings.sctp_udp_port):
            raise ResourceError(why)
    if settings.tls is None and kinds & {"tls", "tls-inband"}:
        raise ResourceError(
            "transport tls needs certificates; give them with "
            "'tls certificate PATH private-key PATH ca-certificate PATH'"
        )


async def certificates(settings: EndpointSettings) -> Certificates | None:
    """Read the certificates of an endpoint by a thread; ``None``: it has none. Raises ResourceError."""
    if settings.tls is None:
        return None
    return await asyncio.to_thread(read_certificates, settings.tls)


class DiameterNode:
    """A Diameter node on the reactor (``events.NodePort``).

    ``clock`` gives both clocks, ``random_bits(n)`` an n-bit number; ``tell(level, text)`` takes log lines,
    ``probe`` is told of each message as it comes or goes; ``record`` as of CoreDriver.
    """

    def __init__(
        self,
        settings: EndpointSettings,
        *,
        reactor: Any,
        clock: Callable[[], Now],
        random_bits: Callable[[int], int],
        tell: Callable[[str, str], None],
        record: Callable[[Any, Now], None] | None = None,
        probe: Probe | None = None,
        dictionary: Dictionary | None = None,
    ) -> None:
        self.settings = settings
        self.identity = settings.identity
        self.realm = settings.realm
        self.origin_state_id = 0
        self.core = Core(settings, random_bits, check, dictionary)
        """For read-outs only."""
        self._reactor = reactor
        self._clock = clock
        self._tell = tell
        self.connections = Connections(reactor, settings, self._feed, self._identify, self._say, probe)
        self._resolver = Resolver(reactor)
        self._driver = CoreDriver(reactor, clock, self.core, self._effects(), record)
        self._applications: dict[int, Application] = {}
        self._last_application = 0
        self._done: dict[int, Callable[[Answered], None]] = {}
        self._last_token = 0
        self._sending = 0
        self._told: list[Callable[[], None]] = []
        self._stopped: Deferred[None] | None = None
        self._ended = False
        self.running = False

    def _effects(self) -> dict[type, Callable[[Any], object]]:
        connections = self.connections
        return {
            Transmit: connections.transmit,
            Deliver: self._deliver,
            Answer: self._answer,
            Connect: connections.connect,
            Secure: connections.secure,
            Close: connections.close,
            Lookup: self._look_up,
            Usable: self._usable,
            Notify: self._notify,
            Stopped: self._has_stopped,
        }

    # ---- start, change, stop

    async def start(self) -> None:
        """Listen and connect. Raises :class:`ResourceError`, after which nothing is open."""
        settings = self.settings
        require(settings)
        self.connections.keeper.current = await certificates(settings)
        try:
            await self.connections.listen(settings.listeners)
        except ResourceError:
            await self.connections.listen(())
            raise
        self.running = True
        self._driver.feed(Start())
        self.origin_state_id = self.core.origin_state_id

    async def reconfigure(self, settings: EndpointSettings) -> None:
        """Go on by other settings of the same name, context and identity; certificates are read again.

        Connections stay as far as the settings allow. Raises :class:`ResourceError`, then all is as before.
        """
        require(settings)
        read = await certificates(settings)
        before, self.connections.settings = self.connections.settings, settings
        if not self.running:
            self.settings = settings
            self._driver.feed(Reconfigure(settings))
            return
        keeper = self.connections.keeper
        kept, keeper.current = keeper.current, read or keeper.current
        try:
            await self.connections.listen(settings.listeners)
        except ResourceError:
            self.connections.settings, keeper.current = before, kept
            raise
        keeper.current = read
        self.settings = settings
        self.realm = settings.realm
        self._driver.feed(Reconfigure(settings))

    async def stop(self, cause: int = REBOOTING) -> None:
        """Say good-bye to all peers, for a bounded time, and close everything; it cannot be started again.

        Requests without an answer end with ``STOPPED``.
        """
        await self.connections.listen(())
        if self.running:
            self.running = False
            stopped: Deferred[None] = Deferred()
            self._stopped = stopped
            patience = self._reactor.callLater(self.settings.dpa_timeout + STOP_TIME, self._has_stopped, None)
            self._driver.feed(Stop(cause))
            await stopped.asFuture(asyncio.get_running_loop())
            if patience.active():
                patience.cancel()
        self._ended = True
        self._driver.stop()
        self.connections.end()
        self._resolver.stop()
        self._applications.clear()
        self._told.clear()
        # Whoever still waits has to know that nothing will come.
        for token in list(self._done):
            self._answer(Answer(token, Answered(None, STOPPED)))

    def _has_stopped(self, _effect: Stopped | None) -> None:
        if self._stopped is not None and not self._stopped.called:
            # Not from within the effects of the core.
            self._reactor.callLater(0, self._stopped.callback, None)
            self._stopped = None

    def command(self, command: Command) -> None:
        """Carry out what an operator wants of peers."""
        self._feed(command)

    # ---- applications

    @property
    def applications(self) -> list[Application]:
        """Who serves requests here."""
        return list(self._applications.values())

    def serve(self, application: Application) -> None:
        """Give requests to ``application`` from now on; said again, by what it advertises now."""
        number = self._number(application)
        if not number:
            self._last_application += 1
            number = self._last_application
            self._applications[number] = application
        self._feed(Serve(number, application.advertised, application.realms))

    def withdraw(self, application: Application) -> None:
        """Give it no more requests."""
        number = self._number(application)
        if number:
            del self._applications[number]
            self._feed(Withdraw(number))

    def _number(self, application: Application) -> int:
        found = (number for number, each in self._applications.items() if each is application)
        return next(found, 0)

    def _deliver(self, effect: Deliver) -> None:
        reply = partial(self._reply, effect.key)
        application = self._applications.get(effect.application)
        message = effect.message
        if application is None:
            reply(self._refusal(message))
            return
        try:
            application.request(Incoming(message, effect.peer, effect.compat, effect.secure, reply))
        except Exception:  # noqa: BLE001 - logged
            # One request must not stop the effects of the others; its sender must not wait for nothing.
            _log.failure("a request from {peer} could not be served", peer=effect.peer)
            reply(self._refusal(message))

    def _refusal(self, message: Message) -> bytes:
        return message.answer(UNABLE_TO_COMPLY, self.identity, self.realm)

    def _reply(self, key: int, answer: bytes) -> None:
        if not self._ended:
            self._driver.join(Reply(key, answer))

    # ---- users

    def send(self, submit: Submit, done: Callable[[Answered], None]) -> int:
        """Send a request; ``done`` is called once, never before this returns. Returns a number to cancel."""
        self._last_token += 1
        token = self._last_token
        self._done[token] = done
        if self._ended:
            self._reactor.callLater(0, self._answer, Answer(token, Answered(None, STOPPED)))
            return token
        before, self._sending = self._sending, token
        try:
            self._driver.join(Send(token, submit))
        finally:
            self._sending = before
        return token

    def cancel(self, number: int) -> None:
        """Forget a request: ``done`` is called with ``CANCELLED``."""
        if number in self._done:
            self._feed(Cancel(number))

    def _answer(self, effect: Answer) -> None:
        if effect.token == self._sending:
            self._reactor.callLater(0, self._answer, effect)
            return
        done = self._done.pop(effect.token, None)
        if done is None:
            return
        try:
            done(effect.answered)
        except Exception:  # noqa: BLE001 - logged
            # The others wait for their answers behind it.
            _log.failure("an answer could not be dealt with")

    def usable(self, realm: str, application: int, accounting: bool) -> bool:
        """Whether a request of this application could be sent to this realm right now."""
        return self.core.usable(realm, application, accounting)

    def on_usable(self, told: Callable[[], None]) -> Callable[[], None]:
        """Call ``told`` whenever a peer becomes usable; returns what ends that."""
        self._told.append(told)

        def end() -> None:
            if told in self._told:
                self._told.remove(told)

        return end

    def _usable(self, _effect: Usable) -> None:
        for told in list(self._told):
            try:
                told()
            except Exception:  # noqa: BLE001 - logged
                # The others want to know it, too.
                _log.failure("what a peer makes possible could not be done")

    # ---- the rest of the effects

    def _feed(self, event: Any) -> None:
        if not self._ended:
            self._driver.feed(event)

    def _identify(self, number: int) -> str:
        link = self.core.context.links.get(number)
        return link.peer.name if link is not None and link.peer is not None else ""

    def _say(self, level: str, text: str) -> None:
        self._tell(level, f"Diameter endpoint {self.settings.name}: {text}")

    def _notify(self, effect: Notify) -> None:
        self._tell(effect.level, effect.text)

    def _look_up(self, effect: Lookup) -> None:
        settings = self.settings
        usable = {each for each in TRANSPORTS if not unavailable(each, settings.sctp_udp_port)}
        if settings.tls is None:
            usable -= {"tls", "tls-inband"}
        self._resolver.find(effect, frozenset(usable)).addCallback(self._found)

    def _found(self, found: Found) -> None:
        self._feed(found)
