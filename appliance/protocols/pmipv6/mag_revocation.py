"""Binding revocation at a gateway: what its anchors revoke, and what it revokes itself (RFC 5846 section 9).

::

    BRI ─▶ trigger? flags? ─▶ group, all, realm ─▶ Sweep        ─▶ BRA
                           └▶ one mobile node ──▶ still attached? its sessions end, or IPv4 only
    operator clears all, service stops ─▶ BRI with G to each LMA ─▶ BRA: they are gone
                                                  └─ refused, silence ─▶ each is de-registered

A session that ends by a revocation is not de-registered: its anchor knows.
"""

from collections.abc import Callable
from typing import Any

from appliance.counters import CounterSet
from appliance.protocols.mobility import options as opt
from appliance.protocols.mobility import status as codes
from appliance.protocols.mobility.codec import encode
from appliance.protocols.mobility.messages import (
    BR_G,
    BR_P,
    BR_V,
    BindingAcknowledgement,
    BindingError,
    BindingRevocationAcknowledgement,
    BindingRevocationIndication,
)
from appliance.protocols.mobility.rows import Message
from appliance.protocols.pmipv6 import revocation as br
from appliance.protocols.pmipv6.events import PacketReceived
from appliance.protocols.pmipv6.lma_checks import is_unicast
from appliance.protocols.pmipv6.mag_entry import DEREGISTERING, BindingUpdateListEntry
from appliance.protocols.pmipv6.mag_features import MagFeature
from appliance.protocols.pmipv6.mag_policy import NoticeLimiter
from appliance.protocols.pmipv6.mag_sessions import MagSessions
from appliance.protocols.pmipv6.settings import MagSettings
from appliance.protocols.pmipv6.sweeps import Sweep, Sweeps
from appliance.protocols.timers import Now

#: Anchors that are remembered as such, or as not allowing global revocation; the oldest is forgotten first.
ANCHORS = 4096
_ENDED, _CLEARED = "total-disconnects/other-reasons", "total-disconnects/admin-drops"

Leave = Callable[[BindingUpdateListEntry, str, Now], None]


def _stay(_entry: BindingUpdateListEntry, _row: str, _now: Now) -> None:
    """There is nobody to leave any more."""


class Everything:
    """All sessions at one anchor, which it was asked to revoke."""

    __slots__ = ("gone", "mn_id", "wall", "_anchor", "_done")

    def __init__(self, anchor: bytes, now: Now, done: Callable[[bytes, float, int, Now], None]) -> None:
        self.gone = False
        self.mn_id = b""
        self.wall = now.wall
        self._anchor = anchor
        self._done = done

    def answered(self, status: int, now: Now) -> None:
        """Go on by what the anchor says."""
        self._done(self._anchor, self.wall, status, now)


class MagRevocation(MagFeature):
    """Revocation of the bindings of one gateway; ``leave`` de-registers one: entry, counter's name, now."""

    def __init__(
        self,
        settings: MagSettings,
        counters: CounterSet,
        sessions: MagSessions,
        random_bits: Callable[[int], int],
        leave: Leave,
    ) -> None:
        self.rows = br.Rows(counters)
        self._values = counters.values
        self._sessions = sessions
        self._leave = leave
        self._initiator = br.Initiator(sessions, counters, self.rows, random_bits)
        self._responder = br.Responder(sessions, counters, self.rows)
        self._sweeps = Sweeps(lambda entry: sessions.list.by_call_id.get(entry.call_id) is entry)
        self._errors = NoticeLimiter(again=10.0)
        #: Anchors that have served us.
        self._served: dict[bytes, None] = {}
        #: Anchors that do not let us revoke all at once (section 9.2).
        self._unauthorized: dict[bytes, None] = {}
        self._prepare(settings)

    @property
    def schedule(self) -> Callable[[float], None]:
        """What is told when a tick is wanted."""
        return self._initiator.schedule

    @schedule.setter
    def schedule(self, schedule: Callable[[float], None]) -> None:
        self._initiator.schedule = schedule

    def close(self) -> None:
        """Let go of what refers back here: the service is gone."""
        self._initiator.open.clear()
        self._sweeps.clear()
        self._leave = _stay

    def _prepare(self, settings: MagSettings) -> None:
        self._settings = settings
        self.on = bool(settings.revocation)
        self._initiator.retries = settings.revocation_max_retransmissions
        self._initiator.timeout = float(settings.revocation_timeout)
        spared = {anchor.address for anchor in settings.anchors if not anchor.revocation}
        self._initiator.spared = spared.__contains__
        self._anchors = {settings.lma, *(policy.lma for policy in settings.policies if policy.lma)} - {b""}

    def reconfigure(self, settings: MagSettings, now: Now) -> None:
        """Go on by other settings; what an anchor has refused may be asked again."""
        self._prepare(settings)
        self._unauthorized.clear()
        if not self.on:
            self._initiator.deaf.clear()
            for one in list(self._initiator.open.values()):
                self._initiator.cancel(one)
                one.subject.answered(br.SILENCE, now)

    def answered(self, entry: BindingUpdateListEntry, answer: BindingAcknowledgement, now: Now) -> None:
        """Remember who has served us: an anchor may be one that no line names (RFC 6463)."""
        if entry.lma not in self._served:
            _remember(self._served, entry.lma)

    # ---- revoking (section 9.2) --------------------------------------------------------------

    def revoke_all(self, now: Now) -> bool:
        """Have all sessions revoked by one message to each anchor; False: that is not allowed."""
        if not self.on or not self._settings.revocation_global:
            return False
        ways: dict[br.Way, None] = {}
        for entry in self._sessions.list.by_call_id.values():
            ways[self._sessions.source_of(entry)] = None
        identity = self._settings.revocation_identity or self._settings.name
        named = [opt.MobileNodeIdentifier(1, identity.encode())]
        for way in ways:
            about = Everything(way.destination, now, self._everything_answered)
            sent = None
            if way.destination not in self._unauthorized:
                trigger = codes.REVOKE_PER_PEER_POLICY
                sent = self._initiator.send(trigger, BR_P | BR_G, named, way, about, now)
            if sent is None:
                about.answered(br.DEAF, now)
        return True

    def _everything_answered(self, anchor: bytes, wall: float, status: int, now: Now) -> None:
        if status == codes.GLOBAL_REVOCATION_NOT_AUTHORIZED:
            _remember(self._unauthorized, anchor)
            text = "LMA does not let this MAG revoke all sessions at once; they are de-registered one by one"
            self._sessions.notify_seldom(("global revocation", anchor), text, now)
        end: Callable[[BindingUpdateListEntry, Now], None] = self._de_register
        if status in (codes.REVOKED, codes.REVOKED_PARTIALLY, codes.BINDING_DOES_NOT_EXIST):
            end = self._end_as(_CLEARED)

        def fits(entry: BindingUpdateListEntry) -> bool:
            return entry.lma == anchor and entry.state != DEREGISTERING

        self._sweep(fits, wall, end, now)

    def _de_register(self, entry: BindingUpdateListEntry, now: Now) -> None:
        self._leave(entry, "admin-drops", now)

    def _sweep(
        self,
        fits: Callable[[BindingUpdateListEntry], bool],
        wall: float,
        end: Callable[[BindingUpdateListEntry, Now], None],
        now: Now,
        key: Any = None,
    ) -> None:
        self._sweeps.add(Sweep(self._sessions.list.by_call_id.values, fits, wall, end, key))
        self.schedule(now.mono)

    def _end_as(self, row: str) -> Callable[[BindingUpdateListEntry, Now], None]:
        def end(entry: BindingUpdateListEntry, now: Now) -> None:
            sessions = self._sessions
            sessions.stop_forwarding(entry)
            if entry.bound and entry.state != DEREGISTERING:
                sessions.count(row)
            sessions.remove(entry)

        return end

    @property
    def departed(self) -> bool:
        """Whether nobody's answer is waited for any more."""
        return not self._initiator.open and not self._sweeps

    def covers(self, entry: BindingUpdateListEntry) -> bool:
        """Whether a session is about to end: it needs no refresh."""
        return bool(self._sweeps) and self._sweeps.covers(entry)

    # ---- being told (section 9.1) --------------------------------------------------------------

    def receive(self, event: PacketReceived, message: Message, now: Now) -> None:
        """Take an indication or an acknowledgement."""
        if not self.on:
            self._without(event, message, now)
        elif not is_unicast(event.source) or not (
            event.source in self._anchors or event.source in self._served
        ):
            self._values[self.rows.discarded] += 1
            text = "Revocation messages of a node that is no LMA of this service are dropped"
            self._sessions.notify_seldom(("revocation", event.source), text, now)
        elif isinstance(message, BindingRevocationAcknowledgement):
            self._initiator.acknowledged(event, message, True, now)
        elif isinstance(message, BindingRevocationIndication):
            self._initiator.deaf.pop((event.source, event.port), None)
            self._values[self.rows.rcvd] += 1
            if not self._responder.repeated(event, message, now):
                status, failed = self._revoked(event, message, br.Named(message.options), now)
                self._responder.answer(event, message, status, failed, now)

    def unknown_there(self, event: PacketReceived, now: Now) -> bool:
        """A Binding Error status 2 came: was it about an indication? There are no more to that peer then."""
        return self._initiator.unknown_there(event, now)

    def _without(self, event: PacketReceived, message: Message, now: Now) -> None:
        """RFC 5846 section 6.2: a node without the function does not know the type."""
        self._values[self.rows.ignored] += 1
        if isinstance(message, BindingRevocationIndication) and self._errors.allows(event.source, now.mono):
            way = br.Way(event.destination, event.source, event.port)
            mh = encode(BindingError(codes.BE_UNKNOWN_MH_TYPE, bytes(16)))
            self._sessions.effects.append(way.send(way.sealed(mh)))
            self._values[self.rows.error_sent] += 1

    def discarded(self, event: PacketReceived, why: str, now: Now) -> None:
        """Count a message that cannot be used."""
        data = event.data
        if not self.on or data[2:3] != b"\x10":
            self._values[self.rows.ignored] += 1
        elif data[6:7] == b"\1":
            self._values[self.rows.discarded] += 1
        else:
            self._values[self.rows.unusable[why]] += 1

    def _revoked(
        self, event: PacketReceived, message: BindingRevocationIndication, named: br.Named, now: Now
    ) -> br.Answer:
        status = br.misfit(message)
        if status:
            return status, []
        if not message.flags & BR_P:
            # Bindings that are no proxy's are none of ours.
            return codes.BINDING_DOES_NOT_EXIST, []
        ours = (self._settings.address, self._settings.ipv4_address)
        if named.group is not None:
            return self._group(event, named, now)
        if named.care_of is not None and named.care_of not in ours:
            return codes.BINDING_DOES_NOT_EXIST, []
        if message.flags & BR_G:
            return self._global(event, message, named, now)
        return self._mobile(event, message, named, now)

    def _group(self, event: PacketReceived, named: br.Named, now: Now) -> br.Answer:
        """RFC 6602 section 5.1.3: the sessions of a group of the anchor."""
        if named.individual or named.group is None:
            return codes.BINDING_DOES_NOT_EXIST, []
        number = named.group

        def fits(entry: BindingUpdateListEntry) -> bool:
            if entry.lma != event.source or not entry.anchor_group:
                return False
            return number in (entry.anchor_group, br.ALL_SESSIONS)

        return self._many(fits, [br.group_option(number)], (event.source, number), now)

    def _many(
        self, fits: Callable[[BindingUpdateListEntry], bool], named: list[Any], key: Any, now: Now
    ) -> br.Answer:
        """``key``: what is meant; an anchor that says so often has it done once, or once more."""
        if not any(map(fits, self._sessions.list.by_call_id.values())):
            return codes.BINDING_DOES_NOT_EXIST, []
        self._sweep(fits, now.wall, self._end_as(_ENDED), now, key)
        return codes.REVOKED, named

    def _global(
        self, event: PacketReceived, message: BindingRevocationIndication, named: br.Named, now: Now
    ) -> br.Answer:
        realm = named.realm
        if message.trigger == codes.REVOKE_PER_PEER_POLICY:
            if message.options:
                # Sections 8.1 and 9.1: without any option; what this one means cannot be told.
                return codes.REVOCATION_FUNCTION_NOT_SUPPORTED, []

            def mine(entry: BindingUpdateListEntry) -> bool:
                return entry.lma == event.source and entry.bound

            # All of no sessions are gone, too.
            return codes.REVOKED, self._many(mine, [], (event.source,), now)[1]
        if not realm:
            return codes.REVOKED_MOBILE_NODES_IDENTITY_REQUIRED, []

        def of_realm(entry: BindingUpdateListEntry) -> bool:
            return entry.lma == event.source and entry.bound and br.realm_of(entry.mn_id) == realm

        return self._many(of_realm, [], (event.source, realm), now)

    def _mobile(
        self, event: PacketReceived, message: BindingRevocationIndication, named: br.Named, now: Now
    ) -> br.Answer:
        found = self._sessions.list.of_mobile(named.mn_id) if named.mn is not None else []
        mine = [entry for entry in found if entry.lma == event.source and entry.bound]
        if message.flags & BR_V:
            return self._ipv4(message, named, mine, now)
        mine, failed = named.chosen(mine)
        if not mine:
            return codes.BINDING_DOES_NOT_EXIST, []
        if self._attached(message, mine):
            return codes.REVOCATION_FAILED_MN_IS_ATTACHED, [named.mn]
        end = self._end_as(_ENDED)
        for entry in mine:
            end(entry, now)
        return named.outcome(failed)

    def _attached(self, message: BindingRevocationIndication, mine: list[BindingUpdateListEntry]) -> bool:
        """Section 9.1: whether a mobile node that is said to have moved is still here."""
        if message.trigger not in br.HANDOVERS:
            return False
        return any(entry.state != DEREGISTERING for entry in mine)

    def _ipv4(
        self,
        message: BindingRevocationIndication,
        named: br.Named,
        mine: list[BindingUpdateListEntry],
        now: Now,
    ) -> br.Answer:
        if named.address is None:
            return codes.IPV4_HOME_ADDRESS_OPTION_REQUIRED, []
        mine = [entry for entry in mine if entry.ipv4_address == named.address]
        if not mine:
            return codes.BINDING_DOES_NOT_EXIST, []
        if self._attached(message, mine):
            return codes.REVOCATION_FAILED_MN_IS_ATTACHED, [named.mn]
        for entry in mine:
            if entry.prefixes:
                self._sessions.release_ipv4(entry, now)
            else:
                self._end_as(_ENDED)(entry, now)
        return codes.REVOKED, []

    # ---- time -----------------------------------------------------------------------------------

    @property
    def deadline(self) -> float | None:
        """When the next indication is to be repeated; at once while sessions are swept."""
        return 0.0 if self._sweeps else self._initiator.deadline

    def tick(self, now: Now) -> None:
        """Repeat, give up, and sweep."""
        self._initiator.tick(now)
        self._sweeps.tick(now)


def _remember(known: dict[bytes, None], anchor: bytes) -> None:
    while len(known) >= ANCHORS:
        del known[next(iter(known))]
    known[anchor] = None
