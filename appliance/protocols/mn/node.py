"""The core of a mobile node (RFC 6275 section 11): what comes in goes to the part that it is for.

::

    Links, Command, Reconfigure ─▶ Registrar        ─┐
    MessageReceived ─▶ intake ─▶ Registrar, Orders,  ├─▶ Prefixes, Correspondents follow the registration
                                 Correspondents      │
    IcmpReceived    ─▶ Agents, Prefixes, ...        ─┘
"""

from collections.abc import Callable
from typing import Any

from appliance.counters import CounterSet
from appliance.protocols.bits import DecodeError
from appliance.protocols.mn import icmp
from appliance.protocols.mn.agents import Agents
from appliance.protocols.mn.care_of import home_link
from appliance.protocols.mn.correspondents import Correspondents
from appliance.protocols.mn.events import (
    Command,
    CorrespondentSeen,
    IcmpReceived,
    Links,
    MessageReceived,
    Reconfigure,
    Report,
)
from appliance.protocols.mn.intake import Intake
from appliance.protocols.mn.orders import Orders
from appliance.protocols.mn.prefixes import Prefixes
from appliance.protocols.mn.registrar import AT_HOME, Registrar
from appliance.protocols.mn.reporting import report
from appliance.protocols.mn.settings import MnSettings
from appliance.protocols.mn.state import Shared
from appliance.protocols.mn.tunnels import Surroundings
from appliance.protocols.mobility import messages as msg
from appliance.protocols.mobility.discovery_messages import DISCOVERY_REPLY, PREFIX_ADVERTISEMENT
from appliance.protocols.timers import Now

#: Settings of which a change means another mobile node.
IDENTITY = (
    "home_agent",
    "home_agent_ipv4",
    "home_agents",
    "home_address",
    "home_prefix",
    "home_prefix_length",
    "interface_identifier",
    "mn_id",
    "authentication",
    "associations",
    "aaa_key",
    "mobile_router",
    "multiple_care_of",
)
_RECEIVED, _IGNORED = "mobility-messages-received/", "mobility-messages-ignored/"


class MobileNode:
    """One mobile node with one home address.

    ``counters`` is a set of the table ``MN``; ``random_bits(n)`` gives ``n`` bits of chance.
    """

    def __init__(
        self, settings: MnSettings, counters: CounterSet, random_bits: Callable[[int], int]
    ) -> None:
        self._shared = Shared(settings, counters, random_bits)
        self._intake = Intake(self._shared)
        self._make()

    def _make(self) -> None:
        shared = self._shared
        self._agents = Agents(shared)
        self._around = Surroundings(shared)
        self._registrar = Registrar(shared, self._agents, self._around)
        self._orders = Orders(shared, self._registrar)
        self._prefixes = Prefixes(shared, self._registrar)
        self._correspondents = Correspondents(shared)

    # ---- the shape of every core

    def receive(self, event: Any, now: Now) -> None:
        """Take in one event of :mod:`events`."""
        if isinstance(event, MessageReceived):
            self._message(event, now)
        elif isinstance(event, Links):
            self._linked(event)
        elif isinstance(event, CorrespondentSeen):
            agent = self._registrar.exchanges.agent
            self._correspondents.seen(event.address, agent.address if agent else b"", now)
        elif isinstance(event, IcmpReceived):
            self._icmp(event, now)
        elif isinstance(event, Command):
            self._command(event, now)
        elif isinstance(event, Reconfigure):
            self._reconfigure(event.settings, now)
        self._settle(now)

    def tick(self, now: Now) -> None:
        """Do what has become due."""
        self._registrar.tick(now)
        self._settle(now)

    @property
    def deadline(self) -> float | None:
        """When :meth:`tick` is wanted next."""
        parts = (self._registrar, self._agents, self._prefixes, self._correspondents)
        return min((part.deadline for part in parts if part.deadline is not None), default=None)

    def take(self) -> list[Any]:
        """Give the effects since the last call."""
        effects, self._shared.out = self._shared.out, []
        return effects

    def report(self, now: Now) -> Report:
        """All that an operator can be shown."""
        networks, correspondents = self._around.networks, self._correspondents
        shared, registrar = self._shared, self._registrar
        return report(shared, registrar, self._agents, self._prefixes, correspondents, networks, now)

    def _settle(self, now: Now) -> None:
        """Let every part follow what has changed."""
        registrar = self._registrar
        registrar.review(now)
        self._prefixes.review(now)
        at_home = registrar.stage == AT_HOME
        self._correspondents.review(registrar.care_of, registrar.bindings.until, at_home, now)

    # ---- events

    def _linked(self, event: Links) -> None:
        shared = self._shared
        if event.links != shared.links:
            self._registrar.moved()
        shared.links = event.links
        shared.home_link = home_link(shared)

    def _command(self, event: Command, now: Now) -> None:
        if event.what == "register":
            self._registrar.register(now)
        elif event.what == "refresh":
            self._registrar.refresh(now)
        elif event.what == "deregister":
            self._registrar.down = True

    def _reconfigure(self, settings: MnSettings, now: Now) -> None:
        """Go on by other settings; another identity begins anew, after the old one has left."""
        shared, before = self._shared, self._shared.settings
        if all(getattr(before, name) == getattr(settings, name) for name in IDENTITY):
            shared.settings = settings
            if settings != before and not self._registrar.down:
                self._registrar.register(now)
            return
        down = self._registrar.down
        self._registrar.down = True
        self._registrar.review(now)
        self._registrar.abandon()
        self._correspondents.forget_all()
        shared.settings = settings
        shared.home_ipv4 = b""
        shared.make_home()
        shared.home_link = home_link(shared)
        self._make()
        self._registrar.down = down

    def _message(self, event: MessageReceived, now: Now) -> None:
        """Section 9.2 and 11: by type, and by who has sent it."""
        found = self._intake.read(event, now)
        if found is None:
            return
        message, faulty = found
        shared, agent = self._shared, self._registrar.exchanges.agent
        from_agent = agent is not None and event.source == agent.address
        if isinstance(message, msg.BindingAcknowledgement):
            shared.count(_RECEIVED + "binding-acknowledgement")
            to = self._registrar if from_agent else self._correspondents
            to.answered(event, message, faulty, now)
        elif faulty:
            shared.count(_RECEIVED + "malformed")
        elif isinstance(message, msg.HomeTest | msg.CareOfTest):
            name = "home-test" if isinstance(message, msg.HomeTest) else "care-of-test"
            shared.count(_RECEIVED + name)
            self._correspondents.tested(event, message, now)
        elif isinstance(message, msg.BindingRefreshRequest):
            shared.count(_RECEIVED + "binding-refresh-request")
            if from_agent or not self._correspondents.refresh_requested(event):
                self._orders.refresh_requested(event, now)
        elif isinstance(message, msg.BindingError):
            shared.count(_RECEIVED + "binding-error")
            if from_agent or not self._correspondents.error(event, message, now):
                self._orders.error(event, message, now)
        elif isinstance(message, msg.BindingRevocationIndication):
            shared.count(_RECEIVED + "binding-revocation-indication")
            self._orders.revoked(event, message, now)
        elif isinstance(message, msg.HomeAgentSwitch):
            shared.count(_RECEIVED + "home-agent-switch")
            self._orders.switch(event, message, now)
        else:
            shared.count(_RECEIVED + "other")

    def _icmp(self, event: IcmpReceived, now: Now) -> None:
        """Section 11.3.5, 11.4."""
        shared = self._shared
        kind = event.data[0] if event.data else -1
        if kind == DISCOVERY_REPLY:
            self._agents.replied(event)
        elif kind == PREFIX_ADVERTISEMENT:
            self._prefixes.advertised(event, now)
        elif kind == icmp.PARAMETER_PROBLEM:
            try:
                quoted = icmp.read_problem(event.data)
            except DecodeError:
                shared.count("discovery/ignored")
                return
            self._problem(event, quoted, now)
        else:
            shared.count("discovery/ignored")

    def _problem(self, event: IcmpReceived, quoted: icmp.Quoted, now: Now) -> None:
        shared, agent = self._shared, self._registrar.exchanges.agent
        shared.count("discovery/parameter-problems")
        if agent is not None and quoted.destination == agent.address:
            if quoted.code == icmp.UNRECOGNIZED_HEADER and self._registrar.quoted(quoted.message):
                self._registrar.unsupported(now)
            elif quoted.code == icmp.UNRECOGNIZED_OPTION:
                shared.notice("option", "the home agent does not know the Home Address option", now)
        elif not self._correspondents.problem(quoted, now) and quoted.code == icmp.UNRECOGNIZED_OPTION:
            # Section 11.3.5: log it, and discard it.
            shared.notice("option", "a node does not know the Home Address option", now)
