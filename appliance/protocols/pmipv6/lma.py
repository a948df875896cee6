"""The local mobility anchor (RFC 5213 section 5, with RFC 5844 and RFC 5845), without any I/O.

::

    PacketReceived ─▶ Intake ─Request─▶ Updates ─▶ Sessions ─▶ PBA, Install, Remove
    Authorized, Reauthorize ───────────────▲          ▲   └──▶ Authorize, Abandon, Account
    ClearSessions, SessionEnds, Reconfigure, time ────┘
    messages of other types ─▶ Intake ─▶ features: Revocation, Bulk ...
    heartbeats, notifications ─▶ Features: LmaHeartbeat, Notifications, MagParameters
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from appliance.counters import CounterSet
from appliance.protocols.mipv6.events import FIRST_TOKEN, MESSAGES, HostEvent
from appliance.protocols.mobility.aaa import (
    ADMINISTRATIVE,
    LINK_BROKEN,
    LOGOUT,
    Authorized,
    Reauthorize,
    SessionEnds,
)
from appliance.protocols.mobility.messages import (
    BindingAcknowledgement,
    BindingError,
    UpdateNotificationAcknowledgement,
)
from appliance.protocols.mobility.messages import Heartbeat as HeartbeatMessage
from appliance.protocols.mobility.status import REVOKE_ADMINISTRATIVE, REVOKE_UNSPECIFIED
from appliance.protocols.pmipv6.bce import BindingCacheEntry
from appliance.protocols.pmipv6.coverage import affected
from appliance.protocols.pmipv6.events import (
    Began,
    Capacity,
    ClearSessions,
    Concluded,
    Depart,
    Entrust,
    Excess,
    NotifyUpdate,
    PacketReceived,
    Reconfigure,
    Shed,
    Strain,
)
from appliance.protocols.pmipv6.features import Features
from appliance.protocols.pmipv6.heartbeat import Peer
from appliance.protocols.pmipv6.interop import odd_peers
from appliance.protocols.pmipv6.lma_aaa import FAILED
from appliance.protocols.pmipv6.lma_bulk import Bulk
from appliance.protocols.pmipv6.lma_counts import ACK_ERROR, ADMIN_DROPPED, DEREGISTERED, EXPIRED, PENDING
from appliance.protocols.pmipv6.lma_delegation import Delegation
from appliance.protocols.pmipv6.lma_heartbeat import LmaHeartbeat
from appliance.protocols.pmipv6.lma_intake import Intake
from appliance.protocols.pmipv6.lma_load import Load
from appliance.protocols.pmipv6.lma_networks import AccessNetworks
from appliance.protocols.pmipv6.lma_notifications import Notifications
from appliance.protocols.pmipv6.lma_parameters import MagParameters
from appliance.protocols.pmipv6.lma_qos import QualityOfServiceRequests
from appliance.protocols.pmipv6.lma_redirect import SERVED, Redirection
from appliance.protocols.pmipv6.lma_request import NOT_READY
from appliance.protocols.pmipv6.lma_revocation import TRIGGERS_OF_CAUSES, Revocation
from appliance.protocols.pmipv6.lma_services import Services
from appliance.protocols.pmipv6.lma_sessions import Sessions
from appliance.protocols.pmipv6.lma_transient import TransientBindings
from appliance.protocols.pmipv6.lma_transport import Transport
from appliance.protocols.pmipv6.lma_updates import Updates
from appliance.protocols.pmipv6.lma_user_plane import UserPlane
from appliance.protocols.pmipv6.lma_vendors import VendorOptions
from appliance.protocols.pmipv6.peers import BindingErrors
from appliance.protocols.pmipv6.reports import Reports
from appliance.protocols.pmipv6.revocation import MANY, REVOCATION
from appliance.protocols.pmipv6.settings import LmaSettings
from appliance.protocols.pmipv6.sieve import Sieve
from appliance.protocols.timers import Now

#: Bindings looked at in one tick; the rest comes in the next one.
PER_TICK = 2_000
#: Sessions passed over between two chances for others.
LOOKED_AT_ONCE = 16

Event = (
    PacketReceived
    | ClearSessions
    | Capacity
    | Reconfigure
    | Authorized
    | Reauthorize
    | SessionEnds
    | Began
    | NotifyUpdate
    | Strain
    | Shed
    | Excess
    | HostEvent
    | Depart
    | Entrust
    | Concluded
)


class LocalMobilityAnchor:
    """One LMA service.

    ``counters`` is a set over the LMA table; ``random_bits(n)`` gives an n-bit random number (call ids).
    """

    def __init__(
        self, settings: LmaSettings, counters: CounterSet, random_bits: Callable[[int], int]
    ) -> None:
        self.settings = settings
        self.counters = counters
        reports = Reports()
        self._sessions = Sessions(settings, random_bits)
        self._cache = self._sessions.cache
        self._features = Features()
        transient = TransientBindings(settings, self._sessions, self._features.former)
        self._features.add(transient)
        self.qos = QualityOfServiceRequests(settings, self._sessions)
        self._features.add(self.qos)
        self._features.add(Transport(reports, self._sessions))
        self._intake = Intake(counters, reports, self._sessions, self._features)
        self._intake.odd_peers = odd_peers(settings)
        self._updates = Updates(settings, counters, reports, self._sessions, self._features)
        self._bulk = self._updates.bulk = Bulk(settings, counters, self._sessions)
        self._features.add(self._bulk)
        self._revocation = self.revocation = Revocation(
            settings, counters, reports, self._sessions, self._updates, self._bulk, random_bits
        )
        self._features.add(self._revocation, REVOCATION)
        transient.over = self._revocation.over
        self.overload = self._updates.overload
        #: Tells the reader of a socket what it must not lose.
        self.sieve = Sieve(settings, self._cache.mobiles, self.overload)
        self._redirection = Redirection(settings, counters, reports, self._updates, self._sessions)
        self._features.add(self._redirection, BindingAcknowledgement.TYPE)
        self._features.add(Services(settings))
        self._features.add(Delegation(settings, self._sessions))
        self._features.add(UserPlane(settings, self._sessions))
        self._features.add(AccessNetworks())
        self._features.add(VendorOptions(settings))
        self._features.add(Load(settings, counters, self._sessions))
        #: The bindings of hosts, which ``mipv6/anchor.py`` puts here.
        self.hosts: Any = None
        self._reports = reports
        self._health(random_bits)

    def _health(self, random_bits: Callable[[int], int]) -> None:
        """What is said to gateways beside the registrations: RFC 5847, RFC 7077, RFC 8127."""
        settings, counters, sessions = self.settings, self.counters, self._sessions
        self._heartbeat = LmaHeartbeat(settings, counters, sessions, self._updates.end)
        self.notifications = Notifications(settings, counters, sessions, random_bits)
        self.qos.notifications = self.notifications
        self._features.add(self._heartbeat, HeartbeatMessage.TYPE)
        self._features.add(self.notifications, UpdateNotificationAcknowledgement.TYPE)
        self._features.add(MagParameters(settings, sessions, self._reports))
        errors = self.errors = BindingErrors(self._intake.ignored)
        heartbeat = self._heartbeat
        errors.listeners += [
            self._revocation.unknown_there,
            heartbeat.refused_at_first,
            self.notifications.refused,
            heartbeat.refused,
        ]
        self._features.handle(errors, BindingError.TYPE)

    def join(self, make: Callable[[LmaSettings, CounterSet, Reports, Sessions, Updates], Any]) -> None:
        """Have host bindings beside the sessions of gateways; ``make`` is their class."""
        self.hosts = make(self.settings, self.counters, self._reports, self._sessions, self._updates)
        self._features.add(self.hosts)
        self.hosts.features.nest(self._features.agenda)
        self._intake.hosts = self.hosts

    # What the service asks.

    @property
    def session_count(self) -> int:
        """How many sessions there are, those being deleted included."""
        return len(self._cache)

    pools = property(lambda self: self._sessions.pools, doc="Where home prefixes and addresses come from.")

    def sessions(
        self, mn_id: bytes = b"", address: bytes = b"", call_id: int = 0
    ) -> Iterator[BindingCacheEntry]:
        """The sessions that fit; ``address`` is an IPv4 home address, a prefix or an address inside one."""
        return self._cache.select(mn_id, address, call_id)

    def members(self, group: int) -> Iterator[BindingCacheEntry | None]:
        """The sessions in one of our bulk binding update groups (RFC 6602); ``None``: still looking."""
        fits = self._bulk.member(group)
        for number, entry in enumerate(self._cache.select(), 1):
            if fits(entry):
                yield entry
            elif number % LOOKED_AT_ONCE == 0:
                yield None

    def subnet(self, entry: BindingCacheEntry) -> tuple[int, bytes | None]:
        """Prefix length and default router that go with the session's IPv4 home address."""
        return self._sessions.subnet(entry)

    def details(self, entry: BindingCacheEntry) -> tuple[tuple[str, str], ...]:
        """What an operator is shown of a session beside the fields that all of them have."""
        return tuple(pair for feature in self._features.all for pair in feature.details(entry))

    def peers(self) -> list[Peer]:
        """The gateways that sessions are shared with, and how they are."""
        return list(self._heartbeat.peers.values())

    def shared(self, address: bytes) -> int:
        """How many sessions a gateway has."""
        return self._heartbeat.shared(address)

    @property
    def restarts(self) -> int:
        """Its Restart Counter."""
        return self._heartbeat.counter

    def affected(self, settings: LmaSettings) -> Iterator[bool]:
        """For each session that ``settings`` may end, whether they do; changes nothing."""
        return affected(self.settings, settings, self._cache)

    def dissolve(self) -> int:
        """Count all sessions as ended by the operator, before the core is thrown away; returns how many."""
        values, ended = self.counters.values, len(self._cache)
        values[ADMIN_DROPPED] += ended
        questions = self._updates.questions.open.values()
        if self.hosts is not None:
            self.hosts.dissolve()
        values[FAILED] += len(questions)
        updates = self._updates
        asking = sum(each.request is not None for each in questions)
        values[PENDING] -= len(updates.waiting) + len(updates.held) + asking
        values[PENDING] -= self._redirection.waiting
        return ended

    @property
    def departed(self) -> bool:
        """Whether all peers have heard that the service stops (:class:`events.Depart`), or long enough."""
        told = self.hosts is None or self.hosts.features.departed
        return told and self._revocation.departed

    def close(self) -> None:
        """Break the circles of references: full garbage collections are rare by intention."""
        self._features.close()
        self._revocation.close()
        self._updates.revoker = self._updates.bulk = None
        self._sessions.gateways.close()
        if self.hosts is not None:
            self.hosts.close()
        self.hosts = self._intake.hosts = None

    def send_failed(self) -> None:
        """An acknowledgement could not be sent."""
        self.counters.values[ACK_ERROR] += 1

    # The shape of a core.
    def receive(self, event: Event, now: Now) -> None:
        """Take one event in; never raises for anything that came off the wire."""
        if isinstance(event, PacketReceived):
            request = self._intake.read(event, now)
            if request is not None:
                if self._revocation.departing:
                    self.counters.values[NOT_READY.counter] += 1
                else:
                    self._updates.update(request, now)
        elif self._revocation.departing:
            if isinstance(event, MESSAGES) and self.hosts is not None and self.hosts.enabled:
                self.hosts.receive(event, now)
        elif isinstance(event, Authorized):
            (self._updates if event.token < FIRST_TOKEN else self.hosts).authorized(event, now)
        elif isinstance(event, HostEvent):
            if self.hosts is not None and self.hosts.enabled:
                self.hosts.receive(event, now)
        elif isinstance(event, Reauthorize):
            entry = self._cache.calls.get(event.call_id)
            if entry is not None and entry.of_host:
                self.hosts.reauthorize(entry)
            else:
                self._updates.reauthorize(event.call_id, now)
        elif isinstance(event, SessionEnds):
            entry = self._cache.calls.get(event.call_id)
            if entry is not None:
                trigger = TRIGGERS_OF_CAUSES.get(event.cause, REVOKE_UNSPECIFIED)
                self._updates.drop(entry, trigger, event.cause, now)
        elif isinstance(event, Reconfigure):
            self._reconfigure(event, now)
        elif isinstance(event, Depart):
            self._revocation.depart(now)
            if self.hosts is not None:
                self.hosts.depart(now)
        elif isinstance(event, Began):
            self._heartbeat.began(event)
        elif isinstance(event, NotifyUpdate):
            self.notifications.ordered(event, now)
        elif isinstance(event, Strain):
            most = self.settings.max_subscribers
            self.overload.load(event, len(self._cache), most, now, self._sessions.effects)
        elif isinstance(event, Shed):
            self.overload.shed(event, now, self._sessions.effects)
        elif isinstance(event, Excess):
            self._excess(event, now)
        elif isinstance(event, Entrust):
            self._entrusted(event, now)
        elif isinstance(event, Concluded):
            self._redirection.concluded(event, now)
        elif isinstance(event, Capacity):
            self._sessions.adapt(event)
        else:
            self._clear(event, now)

    def _entrusted(self, event: Entrust, now: Now) -> None:
        """RFC 6463 section 5.3.1: register a mobile node for the anchor that was asked."""
        if not self.settings.redirect_accept:
            self._sessions.effects.append(Concluded(event.by, event.token, b""))
            return
        self.counters.values[SERVED] += 1
        request = self._intake.read(event.packet, now)
        if request is not None:
            request.relay = event.by, event.token
            self._updates.update(request, now)

    @property
    def deadline(self) -> float | None:
        """When :meth:`tick` is wanted next, in monotonic seconds."""
        if self._revocation.departing:
            return self._features.agenda.deadline
        if self._sessions.suspects:
            return 0.0
        earliest, updates = self._sessions.wheel.deadline, self._updates
        if updates.waiting or updates.questions.open:
            waiting = updates.deadline
            if waiting is not None and (earliest is None or waiting < earliest):
                earliest = waiting
        feature = self._features.agenda.deadline
        return feature if earliest is None or (feature is not None and feature < earliest) else earliest

    def tick(self, now: Now) -> None:
        """End the sessions that are due, and the waiting of updates that waited long enough."""
        values = self.counters.values
        if self._revocation.departing:
            self._features.tick(now)
            return
        self._drop_uncovered(now)
        for entry in self._sessions.expired(now, PER_TICK):
            if entry.bucket >= 0 or self._cache.calls.get(entry.call_id) is not entry:
                # An update that had waited for one of the others has just extended this one, or ended it.
                continue
            if entry.extras is not None and not entry.deleting and self._bulk.saves(entry, now):
                continue
            if entry.extras is not None and self.hosts is not None and self.hosts.outlives(entry, now):
                continue
            # RFC 5213 section 5.3.5 for the delay; an expired lifetime ends the session at once.
            values[DEREGISTERED if entry.deleting else EXPIRED] += 1
            self._updates.end(entry, LOGOUT if entry.deleting else LINK_BROKEN, now)
        self._updates.tick(now)
        self._features.tick(now)

    def take(self) -> list[Any]:
        """The effects since the last call."""
        effects, self._sessions.effects = self._sessions.effects, []
        return effects

    def _excess(self, event: Excess, now: Now) -> None:
        """There was no time for a new mobile node; its gateway is told so."""
        self.overload.full(now, self._sessions.effects)
        request = self._intake.read(event.packet, now)
        if request is not None:
            self._updates.congested(request, now)

    # Ends.

    def _clear(self, event: ClearSessions, now: Now) -> None:
        """An operator ends sessions; many at once by one message to each gateway."""
        if event.trigger in MANY or event.group:
            self._revocation.revoke_many(event, now)
            return
        found = list(self._cache.select(event.mn_id, event.address, event.call_id))
        self._drop(found, event.trigger, now, event.ipv4_only)

    def _drop(
        self, entries: Iterable[BindingCacheEntry], trigger: int, now: Now, ipv4_only: bool = False
    ) -> None:
        for entry in entries:
            self._updates.drop(entry, trigger, ADMINISTRATIVE, now, ipv4_only)

    # Other settings.

    def _reconfigure(self, event: Reconfigure, now: Now) -> None:
        """Go on by other settings: sessions end only if nothing gives them what they have any more."""
        settings = event.settings
        assert isinstance(settings, LmaSettings)
        self.settings = settings
        self._intake.odd_peers = odd_peers(settings)
        self._features.reconfigure(settings, now)
        self._updates.reconfigure(settings, now)
        self.sieve.reconfigure(settings)
        self._sessions.reconfigure(settings)
        self._drop_uncovered(now)

    def _drop_uncovered(self, now: Now) -> None:
        self._drop(list(self._sessions.uncovered()), REVOKE_ADMINISTRATIVE, now)
