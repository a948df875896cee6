"""A Diameter endpoint as a service: its node, and what views and commands want of it.

::

    System ──start, reconfigure, stop──▶ DiameterService ── DiameterNode (driver.py) ── core, transports
    services and AAA servers ──node──────────────┘ └──peers, routes, queue, statistics──▶ Shell
"""

from collections.abc import Callable, Iterator
from typing import Any

from appliance.errors import ResourceError
from appliance.facts_words import amount
from appliance.protocols.diameter.driver import DiameterNode
from appliance.protocols.diameter.events import NodePort
from appliance.protocols.diameter.message.dictionary import Dictionary
from appliance.protocols.diameter.node import readouts
from appliance.protocols.diameter.node.events import REBOOTING, Command
from appliance.protocols.diameter.node.overload import OverloadView
from appliance.protocols.diameter.node.probe import Probe
from appliance.protocols.diameter.node.routing import RouteView
from appliance.protocols.diameter.node.stats import NodeStatistics
from appliance.protocols.diameter.settings import EndpointSettings
from appliance.protocols.diameter.transport.connections import spot_text, spots
from appliance.protocols.diameter.transport.link import TransportCounters, text_of
from appliance.protocols.timers import Now
from appliance.tap import Tap

KIND = "diameter"
INITIALIZED, STARTED = "Initialized", "Started"


class DiameterService:
    """One endpoint; ``tell(level, text)`` takes log lines, ``tap`` is told of its messages."""

    kind = KIND

    def __init__(
        self,
        settings: EndpointSettings,
        *,
        reactor: Any,
        clock: Callable[[], Now],
        random_bits: Callable[[int], int],
        tell: Callable[[str, str], None],
        tap: Tap | None = None,
        dictionary: Dictionary | None = None,
    ) -> None:
        self.name = settings.name
        self.context = settings.context
        self.state = INITIALIZED
        self._clock = clock
        self._node = DiameterNode(
            settings,
            reactor=reactor,
            clock=clock,
            random_bits=random_bits,
            tell=tell,
            probe=None if tap is None else Probe(tap, clock, settings.name),
            dictionary=dictionary,
        )

    @property
    def settings(self) -> EndpointSettings:
        """What it goes by."""
        return self._node.settings

    @property
    def node(self) -> NodePort:
        """What local applications and users send and serve by; the same before and after the start."""
        return self._node

    @property
    def label(self) -> str:
        """Kind and name, as in log lines."""
        return f"Diameter endpoint {self.name}"

    # ---- start, change, stop

    async def start(self) -> None:
        """Listen and connect. Raises :class:`ResourceError` that says what to do; then nothing is open.

        An endpoint without an identity is not bound: it stays ``Initialized``.
        """
        if not self.settings.identity:
            return
        try:
            await self._node.start()
        except ResourceError as error:
            raise ResourceError(f"{self.label}: {error}") from error
        self.state = STARTED

    async def reconfigure(self, settings: EndpointSettings) -> None:
        """Go on by other settings of the same name, context and identity; certificates are read again.

        Raises :class:`ResourceError`, then everything is as before.
        """
        try:
            await self._node.reconfigure(settings)
        except ResourceError as error:
            raise ResourceError(f"{self.label}: {error}") from error

    async def stop(self, cause: int = REBOOTING) -> None:
        """Say good-bye to peers (DPR, at most the DPA time-out) and close everything; no second start."""
        await self._node.stop(cause)
        self.state = INITIALIZED

    def command(self, action: str, peer: str = "", cause: int = REBOOTING) -> None:
        """Carry out what an operator wants of a peer, or of all: actions as of ``node_events.Command``."""
        self._node.command(Command(action, peer, cause))

    # ---- views

    @property
    def statistics(self) -> NodeStatistics:
        """Figures of the node."""
        return self._node.core.statistics

    @property
    def transport(self) -> TransportCounters:
        """Figures of its connections."""
        return self._node.connections.counters

    def peers(self) -> Iterator[readouts.PeerView]:
        """All peers by name."""
        return readouts.peers(self._node.core, self._clock())

    def summary(self) -> tuple[list[str], int]:
        """States of all peers, and how many requests have no answer yet."""
        peers = list(self._node.core.table.peers.values())
        waiting = sum(len(peer.pending) + len(peer.queue) for peer in peers)
        return [peer.state for peer in peers], waiting + len(self._node.core.outbound.parked)

    def advertised(self) -> list[int]:
        """Ids of the applications that are served here."""
        return sorted({each.id for application in self._node.applications for each in application.advertised})

    def local_port(self, connection: int) -> int:
        """Our port of a connection, by its number; 0: not known."""
        return self._node.connections.local_port(connection)

    def routes(self) -> Iterator[RouteView]:
        """Routes, configured and learnt."""
        return readouts.routes(self._node.core, self._clock())

    def queue(self) -> Iterator[readouts.QueueView]:
        """Requests without an answer."""
        return readouts.queue(self._node.core, self._clock())

    def overload(self) -> Iterator[OverloadView]:
        """Overload reports of servers that count now."""
        return readouts.overload(self._node.core, self._clock())

    def peer_names(self) -> list[str]:
        """Identities of all peers, by name."""
        return sorted(peer.name for peer in self._node.core.table.peers.values())

    def facts(self) -> list[tuple[str, str]]:
        """Label and value pairs of its settings, in screen order."""
        settings = self.settings
        listeners = [spot_text(each) for each in spots(settings.listeners)]
        certificates = self._node.connections.keeper.current
        facts = [
            ("Endpoint Name", self.name),
            ("Context", self.context),
            ("Endpoint Status", self.state),
            ("Origin Host", settings.identity or "None"),
            ("Origin Realm", settings.realm or "None"),
            ("Addresses", ", ".join(text_of(each) for each in settings.addresses) or "None"),
            *[("Listening", each) for each in listeners or ["None"]],
            ("Agent", settings.agent.capitalize()),
            ("Peers Configured", str(len(settings.peers))),
            ("Connections", str(self._node.connections.count)),
            ("Watchdog Timeout", amount(settings.watchdog_timeout, "second")),
            ("CEA Timeout", amount(settings.cea_timeout, "second")),
            ("DPA Timeout", amount(settings.dpa_timeout, "second")),
            ("Connection Retry Timeout", amount(settings.retry_timeout, "second")),
            ("Message Limit", f"{settings.message_limit} octets"),
            ("Discovery", "Enabled" if settings.discovery else "Disabled"),
            ("SCTP UDP Port", str(settings.sctp_udp_port) if settings.sctp_udp_port else "None"),
        ]
        if certificates is None:
            return [*facts, ("Certificate", "None")]
        return [
            *facts,
            ("Certificate", certificates.subject),
            ("Certificate Names", ", ".join(certificates.names)),
            ("Certificate Valid Until", certificates.expires),
        ]
