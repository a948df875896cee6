"""The MAG core: one binding update list entry for each mobile node on each access link.

::

    MobileAttached ─▶ registering ──PBA 0..127──▶ active ──renew time──▶ (refresh) ─▶ active
                        │   ▲                       │ lifetime over, denial
                 denial,│   │ next attempt          ▼
                 silence└─▶ waiting ◀───────────────┘
    MobileDetached, ClearSessions ─▶ deregistering ──PBA or two time-outs──▶ gone

Sources: RFC 5213 section 6, RFC 5844 section 3.2, RFC 5845, RFC 6543.
"""

from collections.abc import Callable, Iterator
from typing import Any

from appliance.counters import CounterSet
from appliance.protocols.mobility.messages import BindingError, UpdateNotification
from appliance.protocols.mobility.messages import Heartbeat as HeartbeatMessage
from appliance.protocols.mobility.status import UPN_QOS_SERVICE_REQUEST
from appliance.protocols.pmipv6 import mag_ipv4
from appliance.protocols.pmipv6.events import (
    AddressReleased,
    AddressWanted,
    Began,
    ClearSessions,
    MobileAttached,
    MobileDetached,
    PacketReceived,
    PrefixesWanted,
    Reconfigure,
)
from appliance.protocols.pmipv6.heartbeat import Peer
from appliance.protocols.pmipv6.mag_again import Again
from appliance.protocols.pmipv6.mag_answers import AnswerReader
from appliance.protocols.pmipv6.mag_bulk import MagBulk
from appliance.protocols.pmipv6.mag_delegation import MagDelegation
from appliance.protocols.pmipv6.mag_entry import (
    ACTIVE,
    DEREG,
    DEREGISTERING,
    DROP_IPV4,
    INIT,
    REGISTERING,
    RENEW,
    WAITING,
    BindingUpdateListEntry,
)
from appliance.protocols.pmipv6.mag_heartbeat import MagHeartbeat
from appliance.protocols.pmipv6.mag_messages import NOT_CHANGED, STATE_UNKNOWN
from appliance.protocols.pmipv6.mag_networks import MagAccessNetworks
from appliance.protocols.pmipv6.mag_notifications import MagNotifications
from appliance.protocols.pmipv6.mag_parameters import MagParameters
from appliance.protocols.pmipv6.mag_policy import PolicyTable, successor
from appliance.protocols.pmipv6.mag_qos import MagQualityOfService
from appliance.protocols.pmipv6.mag_redirect import MagRedirection
from appliance.protocols.pmipv6.mag_revocation import MagRevocation
from appliance.protocols.pmipv6.mag_sessions import MagSessions
from appliance.protocols.pmipv6.mag_transient import MagTransientBindings
from appliance.protocols.pmipv6.mag_transport import MagTransport
from appliance.protocols.pmipv6.mag_user_plane import MagUserPlane
from appliance.protocols.pmipv6.mag_vendors import MagVendorOptions
from appliance.protocols.pmipv6.peers import BindingErrors
from appliance.protocols.pmipv6.revocation import REVOCATION
from appliance.protocols.pmipv6.settings import MagSettings, MobilePolicy
from appliance.protocols.timers import Now

#: A de-registration is sent so often; RFC 5213 section 6.9.1.4 asks for one, a lost one costs the anchor
#: the whole lifetime.
DEREGISTRATIONS = 2
#: Entries looked at in one tick; the rest comes in the next one.
PER_TICK = 2_000
#: Longest identifier that fits the MN-ID option behind its subtype, octets.
MAX_IDENTIFIER = 254
#: Access Technology Type of an interface that no ``access-interface`` line names: IEEE 802.11.
DEFAULT_TECHNOLOGY = 4


class MobileAccessGateway:
    """One MAG service, any number of access links and LMAs.

    ``random_bits(n)`` gives a random number of ``n`` bits.
    """

    def __init__(
        self, settings: MagSettings, counters: CounterSet, random_bits: Callable[[int], int]
    ) -> None:
        self._policies = PolicyTable(settings)
        self._technology = _technologies(settings)
        self._sessions = MagSessions(settings, counters, random_bits(16))
        self._sessions.features.add(MagTransientBindings(settings))
        self.qos = MagQualityOfService(settings, self._sessions)
        self._sessions.features.add(self.qos)
        features = self._sessions.features
        features.add(MagTransport(self._sessions))
        features.add(MagRedirection(settings, self._sessions))
        features.add(MagUserPlane(settings))
        self._delegation = MagDelegation(settings, self._sessions)
        features.add(self._delegation)
        features.add(MagAccessNetworks(settings, self._sessions))
        features.add(MagVendorOptions(settings))
        self._answers = AnswerReader(self._sessions)
        self._bulk = MagBulk(settings, counters, self._sessions)
        self._sessions.features.add(self._bulk)
        self._revocation = MagRevocation(settings, counters, self._sessions, random_bits, self._leave)
        self._sessions.features.add(self._revocation, REVOCATION)
        self._call_id = random_bits(32)
        self._health(counters)

    def _health(self, counters: CounterSet) -> None:
        """What is said to anchors beside the registrations: RFC 5847, RFC 7077, RFC 8127."""
        sessions, features = self._sessions, self._sessions.features
        again = Again(sessions)
        self._heartbeat = MagHeartbeat(counters, sessions, again)
        self.notifications = MagNotifications(counters, sessions, again, self._heartbeat)
        self.notifications.acts[UPN_QOS_SERVICE_REQUEST] = self.qos.notified
        self.qos.reply = self.notifications.more
        features.add(again)
        features.add(self._heartbeat, HeartbeatMessage.TYPE)
        features.add(self.notifications, UpdateNotification.TYPE)
        features.add(MagParameters(self._heartbeat))
        errors = BindingErrors(self._answers.ignored)
        errors.listeners += [self._revocation.unknown_there, self._heartbeat.refused]
        features.handle(errors, BindingError.TYPE)

    # ---- what the driver and the screens use ---------------------------------------------

    @property
    def deadline(self) -> float | None:
        """When ``tick`` is wanted next, in monotonic seconds."""
        due, feature = self._sessions.deadlines.next, self._sessions.features.agenda.deadline
        return feature if due is None or (feature is not None and feature < due) else due

    @property
    def session_count(self) -> int:
        """How many entries there are, whatever their state."""
        return len(self._sessions.list)

    def sessions(self) -> Iterator[BindingUpdateListEntry]:
        """The entries of the binding update list, one by one."""
        return self.find()

    def find(
        self, mn_id: bytes = b"", address: bytes = b"", call_id: int = 0
    ) -> Iterator[BindingUpdateListEntry]:
        """The entries that match every argument that is not empty.

        ``address`` is packed: a home network prefix, an address in one, or an IPv4 home address.
        """
        return self._sessions.list.find(mn_id, address, call_id)

    @property
    def departed(self) -> bool:
        """Whether no anchor is still to answer that all sessions are revoked."""
        return self._revocation.departed

    def details(self, entry: BindingUpdateListEntry) -> tuple[tuple[str, str], ...]:
        """What an operator is shown of a session beside the fields that all of them have."""
        return tuple(pair for feature in self._sessions.features.all for pair in feature.details(entry))

    def peers(self) -> list[Peer]:
        """The anchors that bindings are shared with, and how they are."""
        return list(self._heartbeat.peers.values())

    def shared(self, address: bytes) -> int:
        """How many bindings an anchor has."""
        return self._heartbeat.shared(address)

    @property
    def restarts(self) -> int:
        """Its Restart Counter."""
        return self._heartbeat.counter

    def close(self) -> None:
        """Break the circles of references: full garbage collections are rare by intention."""
        self._sessions.features.close()
        self._revocation.close()
        self.notifications.acts.clear()

    def affected(self, settings: MagSettings) -> Iterator[bool]:
        """For each session, whether ``settings`` would end it; changes nothing."""
        policies, links = PolicyTable(settings), _technologies(settings)
        for entry in list(self._sessions.list.by_call_id.values()):
            yield entry.state != DEREGISTERING and not self._stays(entry, policies, links)[0]

    def take(self) -> list[Any]:
        """Give the effects since the last call."""
        effects, self._sessions.effects = self._sessions.effects, []
        return effects

    def receive(self, event: Any, now: Now) -> None:
        """Take one event in; octets of any kind from the network are counted, never an exception."""
        match event:
            case PacketReceived():
                self._answers.receive(event, now)
            case MobileAttached():
                self._attached(event, now)
            case MobileDetached():
                self._detached(event, now)
            case AddressWanted():
                self._address_wanted(event, now)
            case AddressReleased():
                self._address_released(event, now)
            case PrefixesWanted():
                self._delegation.wanted(event, now)
            case ClearSessions():
                self._clear(event, now)
            case Reconfigure():
                self._reconfigure(event, now)
            case Began():
                self._heartbeat.began(event)

    def tick(self, now: Now) -> None:
        """Retransmit, refresh, try again and let lifetimes end, as they have become due."""
        for call_id in self._sessions.deadlines.pop_due(now.mono, PER_TICK):
            entry = self._sessions.list.by_call_id.get(call_id)
            if entry is None or self._revocation.covers(entry):
                continue
            if entry.expires is not None and entry.expires <= now.mono:
                if entry.gateway_group and self._bulk.saves(entry, now):
                    continue
                self._expired(entry, now)
            elif entry.exchange:
                self._timed_out(entry, now)
            elif entry.state == ACTIVE:
                self._sessions.start(entry, RENEW, NOT_CHANGED, now)
            else:
                self._sessions.start(entry, INIT, STATE_UNKNOWN, now)
            self._sessions.arm(entry)
        self._sessions.features.tick(now)

    # ---- attachment ------------------------------------------------------------------------

    def _attached(self, event: MobileAttached, now: Now, wants_ipv4: bool = False) -> None:
        """Take up a mobile node (RFC 5213 section 6.9.1.1), or note that it is still there."""
        by_operator = event.by_hand or bool(event.mn_id)
        policy = self._policies.of(event.mn_id) if event.mn_id else None
        policy = policy or self._policies.at(event.interface, event.link_layer)
        if event.mn_id and (policy is None or policy.mn_id != event.mn_id):
            policy = MobilePolicy(link_layer=event.link_layer, mn_id=event.mn_id)
        if policy is None:
            self._sessions.count("access-links/unknown-mobile")
            text = f"Unknown mobile node {event.link_layer.hex(':')} on {event.interface}"
            self._sessions.notify_seldom((event.interface, event.link_layer), text, now)
            return
        if by_operator:
            self._sessions.refused.pop(policy.mn_id, None)
        interface = event.interface or policy.interface
        link_layer = event.link_layer or policy.link_layer
        entry = self._sessions.list.get(policy.mn_id, link_layer)
        if entry is None:
            entry = self._new_entry(policy, interface, link_layer, now)
            if entry is not None:
                entry.ipv4_wanted = wants_ipv4 or not policy.ipv4_on_demand
                self._sessions.start(entry, INIT, event.handoff, now)
        elif entry.interface != interface:
            self._moved(entry, interface, now)
        elif entry.state == DEREGISTERING or (
            entry.state == WAITING and (by_operator or (entry.failures == 0 and entry.next_at is not None))
        ):
            # A binding that is being given up counts for nothing: the anchor is asked afresh.
            self._sessions.forget_binding(entry)
            entry.failures = 0
            self._sessions.start(entry, INIT, event.handoff, now)
        elif entry.installed is not None:
            self._sessions.advertise(entry, now)
        if entry is not None:
            self._sessions.arm(entry)

    def _new_entry(
        self, policy: MobilePolicy, interface: str, link_layer: bytes, now: Now
    ) -> BindingUpdateListEntry | None:
        name = policy.mn_id.decode("utf-8", "replace")
        settings = self._sessions.settings
        lma = policy.lma or settings.lma
        problem = ""
        if "pmipv6" in self._sessions.refused.get(policy.mn_id, ()):
            problem = "the LMA does not register it; attach it by hand to ask again"
        elif not lma:
            problem = "no address of an LMA is configured for it"
        elif not self._sessions.local(lma):
            problem = "the service has no address of the family of its LMA's"
        elif len(self._sessions.list) >= settings.max_subscribers:
            problem = f"max-subscribers {settings.max_subscribers}"
        elif not (policy.ipv6 or policy.ipv4):
            problem = "neither IPv6 nor IPv4 is allowed for it"
        elif len(policy.mn_id) > MAX_IDENTIFIER:
            problem = f"its identifier is longer than {MAX_IDENTIFIER} octets"
        if problem:
            text = f"Mobile node {name} refused: {problem}"
            self._sessions.notify_seldom((policy.mn_id, problem), text, now)
            return None
        entry = BindingUpdateListEntry(
            call_id=self._next_call_id(),
            mn_id=policy.mn_id,
            interface=interface,
            link_layer=link_layer,
            technology=self._technology.get(interface, DEFAULT_TECHNOLOGY),
            policy=policy,
            lma=lma,
            created=now.wall,
            updated=now.wall,
            gre_wanted=settings.encapsulation == "gre",
        )
        self._sessions.list.add(entry)
        return entry

    def _next_call_id(self) -> int:
        """Give a number that no entry has; it is also our GRE key for the session, unique here."""
        while True:
            self._call_id = (self._call_id + 1) & 0xFFFF_FFFF
            if self._call_id and self._call_id not in self._sessions.list.by_call_id:
                return self._call_id

    def _moved(self, entry: BindingUpdateListEntry, interface: str, now: Now) -> None:
        """Follow a mobile node to another access link of ours: same session, same Proxy-CoA.

        Nothing tells a handoff from a second interface with certainty, hence Handoff Indicator 4.
        """
        self._sessions.stop_forwarding(entry)
        entry.interface = interface
        entry.technology = self._technology.get(interface, DEFAULT_TECHNOLOGY)
        entry.handoffs += 1
        entry.failures = 0
        self._sessions.start(entry, INIT, STATE_UNKNOWN, now)

    def _address_wanted(self, event: AddressWanted, now: Now) -> None:
        """RFC 5844 section 3.4.3: a DHCP client is a trigger as good as any other."""
        found = self._sessions.list.at(event.interface, event.link_layer, b"")
        for entry in found:
            mag_ipv4.wanted(self._sessions, entry, now)
            self._sessions.arm(entry)
        if not found or any(entry.state in (DEREGISTERING, WAITING) for entry in found):
            self._attached(MobileAttached(event.interface, event.link_layer), now, wants_ipv4=True)

    def _address_released(self, event: AddressReleased, now: Now) -> None:
        for entry in self._sessions.list.at(event.interface, event.link_layer, b""):
            if not mag_ipv4.released(self._sessions, entry, now):
                self._leave(entry, "detach", now)
            self._sessions.arm(entry)

    # ---- detachment ------------------------------------------------------------------------

    def _detached(self, event: MobileDetached, now: Now) -> None:
        """Let mobile nodes go that left a link (RFC 5213 section 6.9.1.4)."""
        reason = "link-loss" if not event.link_layer and not event.mn_id else "detach"
        for entry in self._sessions.list.at(event.interface, event.link_layer, event.mn_id):
            self._leave(entry, reason, now)

    def _clear(self, event: ClearSessions, now: Now) -> None:
        """End sessions by an operator's command, which also lifts refusals of the LMA."""
        if not (event.mn_id or event.address or event.call_id) and self._revocation.revoke_all(now):
            self._sessions.refused.clear()
            return
        if event.mn_id:
            self._sessions.refused.pop(event.mn_id, None)
        for entry in list(self._sessions.list.find(event.mn_id, event.address, event.call_id)):
            self._sessions.refused.pop(entry.mn_id, None)
            self._leave(entry, "admin-drops", now)

    def _leave(self, entry: BindingUpdateListEntry, reason: str, now: Now) -> None:
        if entry.state == DEREGISTERING:
            return
        self._sessions.stop_forwarding(entry)
        if entry.bound:
            self._sessions.count(f"total-disconnects/{reason}")
        if not entry.maybe_bound:
            self._sessions.remove(entry)
            return
        entry.state = DEREGISTERING
        entry.expires = None
        self._sessions.start(entry, DEREG, STATE_UNKNOWN, now)
        self._sessions.arm(entry)

    # ---- other settings --------------------------------------------------------------------

    def _stays(
        self, entry: BindingUpdateListEntry, policies: PolicyTable, links: dict[str, int]
    ) -> tuple[bool, MobilePolicy | None]:
        """Whether an entry outlives a change to these lines and links, and its line then, if it has one."""
        if entry.interface in self._technology and entry.interface not in links:
            return False, None
        return successor(self._policies, policies, entry.mn_id, entry.interface, entry.link_layer)

    def _reconfigure(self, event: Reconfigure, now: Now) -> None:
        """Go on by other settings: entries whose link or line is gone leave, the others follow their line.

        What is registered stays as it is until its next exchange; what waits for an LMA asks the new one.
        """
        settings, sessions = event.settings, self._sessions
        assert isinstance(settings, MagSettings)
        policies, links = PolicyTable(settings), _technologies(settings)
        before, sessions.settings = sessions.settings, settings
        sessions.features.reconfigure(settings, now)
        for entry in list(sessions.list.by_call_id.values()):
            if entry.state == DEREGISTERING:
                continue
            stays, policy = self._stays(entry, policies, links)
            if not stays:
                sessions.refused.pop(entry.mn_id, None)
                self._leave(entry, "admin-drops", now)
                continue
            if policy is not None and policy != entry.policy:
                entry.policy = policy
                # What an LMA refused was another request.
                sessions.refused.pop(entry.mn_id, None)
            self._other_anchor(entry, now)
            if entry.installed is not None and before.path_mtu != settings.path_mtu:
                sessions.advertise(entry, now)
        self._policies, self._technology = policies, links

    def _other_anchor(self, entry: BindingUpdateListEntry, now: Now) -> None:
        """A mobile node that has no session yet is registered where its line or the service says now."""
        lma = entry.policy.lma or self._sessions.settings.lma
        if entry.lma == lma or entry.bound or entry.state not in (REGISTERING, WAITING):
            return
        if not lma or not self._sessions.local(lma):
            return
        entry.lma = lma
        entry.failures = entry.corrections = 0
        entry.maybe_bound = False
        self._sessions.refused.pop(entry.mn_id, None)
        self._sessions.start(entry, INIT, STATE_UNKNOWN, now)
        self._sessions.arm(entry)

    # ---- time ------------------------------------------------------------------------------

    def _expired(self, entry: BindingUpdateListEntry, now: Now) -> None:
        """End a session whose lifetime is over; its mobile node is registered anew a little later."""
        sessions = self._sessions
        text = f"Session of {sessions.name(entry)} ended: no refresh was answered within its lifetime"
        sessions.notify_seldom(("expired", entry.lma), text, now)
        blocked = entry.next_at is None
        sessions.end_session(entry, "lifetime-expiry")
        sessions.wait(entry, None if blocked else sessions.settings.retransmission_maximum / 1000, now)

    def _timed_out(self, entry: BindingUpdateListEntry, now: Now) -> None:
        """Send again, or give up (RFC 5213 section 6.9.4)."""
        settings = self._sessions.settings
        maximum = self._sessions.longest_timeout(entry)
        if entry.exchange == DEREG:
            if entry.attempts >= DEREGISTRATIONS:
                self._sessions.remove(entry)
            else:
                self._sessions.send(entry, now)
            return
        if entry.exchange == DROP_IPV4:
            mag_ipv4.timed_out(self._sessions, entry, now)
            return
        if entry.attempts > settings.max_retransmissions:
            text = f"LMA does not answer for {self._sessions.name(entry)} after {entry.attempts} requests"
            self._sessions.notify_seldom(("silent", entry.lma), text, now)
            if entry.exchange == INIT:
                self._sessions.silent(entry, maximum, now)
                return
            # The binding still lasts: go on at the slower rate until it ends.
            entry.timeout = maximum
        elif settings.retransmission_policy != "normal":
            entry.timeout = min(entry.timeout * 2, maximum)
        self._sessions.send(entry, now)


def _technologies(settings: MagSettings) -> dict[str, int]:
    """Access Technology Type by access interface."""
    return {link.name: link.technology for link in settings.access_interfaces}
