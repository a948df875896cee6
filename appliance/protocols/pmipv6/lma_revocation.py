"""Revocation of bindings by an anchor, and what it makes of the acknowledgements (RFC 5846 section 8.1).

::

    operator, AAA, policy ─▶ revoke ───▶ BRI ─▶ BRA or silence ─▶ the session ends
    update with HI 4 ──────▶ ask ──────▶ BRI 4 ─▶ gone there: the update takes the session over
                                               └▶ still there, silence: it gets a new session
    handover accepted ─────▶ accepted ─▶ BRI 2, 3 or 7 to the gateway that had it
    all of a gateway, realm, group ────▶ BRI with G ─▶ BRA or silence ─▶ Sweep

What an anchor does when a gateway revokes is in :mod:`lma_revoked`.
"""

from collections import deque
from collections.abc import Callable
from typing import Any

from appliance.counters import CounterSet
from appliance.protocols.mobility import aaa
from appliance.protocols.mobility import status as codes
from appliance.protocols.mobility.messages import (
    BR_G,
    BR_P,
    BindingRevocationAcknowledgement,
    BindingRevocationIndication,
)
from appliance.protocols.mobility.rows import Message
from appliance.protocols.pmipv6 import lma_request as verdicts
from appliance.protocols.pmipv6 import revocation as br
from appliance.protocols.pmipv6.bce import HI_REFRESH, BindingCacheEntry, Found
from appliance.protocols.pmipv6.events import ClearSessions, PacketReceived
from appliance.protocols.pmipv6.extras import extras_of, served_by
from appliance.protocols.pmipv6.features import Before, Feature
from appliance.protocols.pmipv6.lma_bulk import Bulk
from appliance.protocols.pmipv6.lma_counts import ADMIN_DROPPED
from appliance.protocols.pmipv6.lma_decisions import Decisions
from appliance.protocols.pmipv6.lma_request import Request, Verdict
from appliance.protocols.pmipv6.lma_revoked import Revoked
from appliance.protocols.pmipv6.lma_sessions import Sessions
from appliance.protocols.pmipv6.lma_subjects import (
    About,
    Names,
    Revoking,
    Search,
    Whole,
    always,
    deaf,
    identifier_of,
    ipv4_names,
    names_of,
    of_hosts,
    sparing,
    way_to,
)
from appliance.protocols.pmipv6.reports import Reports
from appliance.protocols.pmipv6.settings import LmaSettings
from appliance.protocols.pmipv6.sweeps import Sweep, Sweeps
from appliance.protocols.timers import Now

#: What gateways are told when AAA ends a session, by Termination-Cause; any other: unspecified.
TRIGGERS_OF_CAUSES = {
    aaa.LOGOUT: codes.REVOKE_USER_TERMINATION,
    aaa.ADMINISTRATIVE: codes.REVOKE_USER_TERMINATION,
    aaa.AUTH_EXPIRED: codes.REVOKE_USER_TERMINATION,
    aaa.SESSION_TIMEOUT: codes.REVOKE_USER_TERMINATION,
    aaa.LINK_BROKEN: codes.REVOKE_NETWORK_TERMINATION,
    aaa.USER_MOVED: codes.REVOKE_NETWORK_TERMINATION,
}
#: What a former gateway says that does not have the mobile node any more.
_GONE_THERE = (codes.REVOKED, codes.REVOKED_PARTIALLY, codes.BINDING_DOES_NOT_EXIST)


class Revocation(Feature):
    """Revokes the bindings of one service, and lets its gateways revoke theirs."""

    def __init__(
        self,
        settings: LmaSettings,
        counters: CounterSet,
        reports: Reports,
        sessions: Sessions,
        updates: Decisions,
        bulk: Bulk,
        random_bits: Callable[[int], int],
    ) -> None:
        self.rows = br.Rows(counters)
        self.values = counters.values
        self._reports = reports
        self._sessions = sessions
        self._cache = sessions.cache
        self._updates = updates
        self._bulk = bulk
        self._initiator = br.Initiator(sessions, counters, self.rows, random_bits)
        self._initiator.spared = sparing(updates)
        calls = sessions.cache.calls
        self._sweeps = Sweeps(lambda entry: calls.get(entry.call_id) is entry)
        self._revoked = Revoked(settings, counters, self.rows, sessions, updates, bulk, self._sweeps)
        #: Sessions whose indication has to wait until others are answered.
        self._queue: deque[Revoking] = deque()
        #: What was asked because of updates with HI 4, by call id.
        self._asked: dict[int, br.Outstanding] = {}
        #: Handovers whose former gateway is told when its part in a transient binding is over (RFC 6058).
        self._later: dict[int, tuple[int, br.Way, Names]] = {}
        self._whole: list[Whole] = []
        self._searches: deque[Search] = deque()
        self.departing = False
        updates.revoker = self
        self._prepare(settings)

    def _prepare(self, settings: LmaSettings) -> None:
        self._settings = self._revoked.settings = settings
        self.on = bool(settings.revocation)
        self._initiator.retries = settings.revocation_max_retransmissions
        self._initiator.timeout = float(settings.revocation_timeout)

    initiator = property(lambda self: self._initiator, doc="Sends indications and takes the answers.")

    def reconfigure(self, settings: LmaSettings, now: Now) -> None:
        """Go on by other settings; without the function nobody is waited for any more."""
        before = self.on
        self._prepare(settings)
        if before and not self.on:
            self._initiator.deaf.clear()
            for one in list(self._initiator.open.values()):
                self._initiator.cancel(one)
                if not one.subject.gone:
                    one.subject.answered(br.SILENCE, now)

    @property
    def schedule(self) -> Callable[[float], None]:
        """What is told when a tick is wanted."""
        return self._initiator.schedule

    @schedule.setter
    def schedule(self, schedule: Callable[[float], None]) -> None:
        self._initiator.schedule = schedule

    def close(self) -> None:
        """Let go of everything that refers back here: the service is gone."""
        subjects = [one.subject for one in self._initiator.open.values()]
        for state in [*subjects, *self._queue]:
            if isinstance(state, Revoking):
                self.forget(state.entry)
        self._initiator.open.clear()
        self._initiator.to_host = br.unprotected
        self._whole.clear()
        self._searches.clear()
        self._asked.clear()
        self._queue.clear()

    # ---- sessions that are to end -----------------------------------------------------------

    def revoke(
        self, entry: BindingCacheEntry, trigger: int, cause: int, now: Now, ipv4_only: bool = False
    ) -> bool:
        """Have a session end when its gateway has answered; False: nobody has to be told."""
        if not self.on or entry.deleting or self.departing or deaf(entry, self._settings):
            return False
        if not self._initiator.reaches(way_to(entry)):
            return False
        extras = extras_of(entry)
        state = extras.revocation
        if state is not None:
            # Never twice; but the whole session outdoes its IPv4 home address, and its gateway is told so.
            if ipv4_only or not state.ipv4_only:
                return True
            self.forget(entry)
        later = self._later.pop(entry.call_id, None)
        if later is not None and not ipv4_only:
            # RFC 6058: the session is at both gateways, so both are told (RFC 5846 section 8.1).
            self._moved(entry, trigger, *later[1:], now)
        state = extras.revocation = Revoking(entry, trigger, cause, ipv4_only, now, self._finish)
        self._queue.append(state)
        self.pump(now)
        return True

    def pump(self, now: Now) -> None:
        """Send what waits, as long as not too many are out (nobody's answers would be in time)."""
        for _ in range(br.PER_TICK):
            if not self._queue or self._initiator.full:
                return
            state = self._queue.popleft()
            if state.gone:
                continue
            if not self.on or not self._indicate(state, now):
                self._settle(state, br.DEAF, now)
        self.schedule(now.mono)

    def _indicate(self, state: Revoking, now: Now) -> bool:
        entry = state.entry
        flags, named = names_of(entry)
        if state.ipv4_only and entry.ipv4_address is not None:
            flags, named = ipv4_names(entry, entry.ipv4_address)
        return self._initiator.send(state.trigger, flags, named, way_to(entry), state, now) is not None

    def _finish(self, state: Revoking, status: int, now: Now) -> None:
        self._settle(state, status, now)
        self.pump(now)

    def _settle(self, state: Revoking, status: int, now: Now) -> None:
        """End a session that was revoked, unless the mobile node is still at its gateway (section 9.1)."""
        if state.gone:
            return
        entry = state.entry
        self.forget(entry)
        if status == codes.REVOCATION_FAILED_MN_IS_ATTACHED and state.trigger in br.HANDOVERS:
            text = "a gateway refuses a revocation: the mobile node is attached to it"
            self._reports.notice("revocation attached", text, now, self._sessions.effects)
            self._updates.stays(entry, now)
        elif state.ipv4_only:
            self._updates.release_address(entry, ADMIN_DROPPED, state.cause, now)
            self._updates.wait_longer(entry, now)
        else:
            self.values[ADMIN_DROPPED] += 1
            self._updates.end(entry, state.cause, now)

    def forget(self, entry: BindingCacheEntry) -> None:
        """A session is not being revoked any more."""
        extras = entry.extras
        if extras is not None and extras.revocation is not None:
            extras.revocation.gone = True
            extras.revocation = None

    def _is_alive(self, entry: BindingCacheEntry) -> bool:
        return self._cache.calls.get(entry.call_id) is entry

    # ---- all of a gateway, a realm, a group ---------------------------------------------------

    def revoke_many(self, event: ClearSessions, now: Now) -> None:
        """End sessions, by one message to each gateway if the function is on."""
        named: list[Any] = []
        group, realm = event.group, event.mn_id[1:]
        fits: Callable[[BindingCacheEntry], bool]
        trigger = codes.REVOKE_LOCAL_POLICY
        if group:
            named = [br.group_option(group)]
            fits = self._bulk.member(group)
        elif event.trigger == codes.REVOKE_LOCAL_POLICY:
            named = [identifier_of(event.mn_id)]

            def fits(entry: BindingCacheEntry) -> bool:
                return br.realm_of(entry.mn_id) == realm
        else:
            trigger = codes.REVOKE_PER_PEER_POLICY
            fits = always
        if not self.on:
            self._sweep(Whole(b"", fits, now, self._whole_answered), now)
            return

        def found(gateways: list[tuple[bytes, br.Way]], later: Now) -> None:
            for who, way in gateways:
                self._revoke_whole(trigger, named, who, way, fits, now, later)

        search = Search(self._cache.calls.values(), fits, found)
        if self._searches or search.step(now):
            self._searches.append(search)
            self.schedule(now.mono)
        if not group:
            self._each_host(fits, now)

    def _each_host(self, fits: Callable[[BindingCacheEntry], bool], now: Now) -> None:
        """Hosts are told one by one: the G flag is for gateways (RFC 5846 sections 7 and 8.1)."""

        updates = self._updates

        def end(entry: BindingCacheEntry, now: Now) -> None:
            updates.drop(entry, codes.REVOKE_ADMINISTRATIVE, aaa.ADMINISTRATIVE, now)

        self._sweeps.add(Sweep(self._cache.calls.values, of_hosts(fits), now.wall, end))
        self.schedule(now.mono)

    def _revoke_whole(
        self,
        trigger: int,
        named: list[Any],
        who: bytes,
        way: br.Way,
        fits: Callable[[BindingCacheEntry], bool],
        ordered: Now,
        now: Now,
    ) -> None:
        """``ordered``: when it was; what has been updated since stays."""

        def there(entry: BindingCacheEntry) -> bool:
            return served_by(entry) == who and not entry.of_host and fits(entry)

        whole = Whole(who, there, ordered, self._whole_answered)
        if self._initiator.send(trigger, BR_P | BR_G, named, way, whole, now) is None:
            if not self.departing:
                self._sweep(whole, now)
            return
        self._whole.append(whole)
        # Until it is over each update is looked at.
        self.watches = True
        self.rewatch()

    def _whole_answered(self, whole: Whole, now: Now) -> None:
        self._whole.remove(whole)
        self.watches = bool(self._whole)
        self.rewatch()
        if not self.departing:
            self._sweep(whole, now)
        self.pump(now)

    def _sweep(self, whole: Whole, now: Now) -> None:
        def end(entry: BindingCacheEntry, now: Now) -> None:
            self.values[ADMIN_DROPPED] += 1
            self._updates.end(entry, aaa.ADMINISTRATIVE, now)

        self._sweeps.add(Sweep(self._cache.calls.values, whole.fits, whole.wall, end))
        self.schedule(now.mono)

    def depart(self, now: Now) -> None:
        """The service is about to stop: each gateway is told once that all its sessions are over."""
        self.departing = True
        if not self.on:
            return
        for one in list(self._initiator.open.values()):
            self._initiator.cancel(one)
        self._whole.clear()
        self._searches.clear()
        for who, way in Search(self._cache.calls.values(), always).all():
            self._revoke_whole(codes.REVOKE_PER_PEER_POLICY, [], who, way, always, now, now)

    @property
    def departed(self) -> bool:
        """Whether nobody's answer is waited for any more."""
        return not self._initiator.open

    # ---- handovers (section 8.1) --------------------------------------------------------------

    def ask(self, entry: BindingCacheEntry, now: Now) -> bool:
        """Ask the gateway of a session whether its mobile node is still there (HI 4); False: do not wait."""
        if not self.on or self.departing:
            return False
        extras = extras_of(entry)
        if extras.revocation is not None or entry.call_id in self._asked:
            return True

        gateway = served_by(entry)

        def answered(status: int, now: Now) -> None:
            if served_by(entry) != gateway or self._asked.pop(entry.call_id, None) is None:
                # The session has moved since.
                self.pump(now)
                return
            if status in _GONE_THERE:
                self._updates.left(entry, now)
            elif status in (br.SILENCE, codes.REVOCATION_FAILED_MN_IS_ATTACHED):
                self._updates.stays(entry, now)
            else:
                # It does not do as it is asked: what RFC 5213 knows is left.
                self._updates.wait_longer(entry, now)
            self.pump(now)

        about = About(entry.mn_id, lambda: self._is_alive(entry), answered)
        flags, named = names_of(entry)
        sent = self._initiator.send(codes.REVOKE_HANDOVER_UNKNOWN, flags, named, way_to(entry), about, now)
        if sent is not None:
            self._asked[entry.call_id] = sent
        return sent is not None

    def _inform(self, request: Request, entry: BindingCacheEntry, before: Before, now: Now) -> None:
        """Tell the gateway that had a session that it has moved."""
        trigger = codes.REVOKE_HANDOVER_SAME_ACCESS
        if before.technology != entry.technology:
            trigger = codes.REVOKE_HANDOVER_DIFFERENT_ACCESS
        if request.indicator.value == HI_REFRESH:
            # The new gateway knows of no handover: one of the two has kept a session that is not its own.
            trigger = codes.REVOKE_OUT_OF_SYNC
        way = br.way_between(before.local, before.care_of, before.port)
        if entry.extras is not None and entry.extras.transient is not None:
            # RFC 6058: it still has a part in the session.
            self._later[entry.call_id] = trigger, way, names_of(entry)
        else:
            self._moved(entry, trigger, way, names_of(entry), now)

    def _moved(self, entry: BindingCacheEntry, trigger: int, way: br.Way, names: Names, now: Now) -> None:
        # The gateway has to know it also when the session has ended meanwhile.
        self._initiator.send(trigger, *names, way, About(entry.mn_id, always), now)

    def over(self, entry: BindingCacheEntry, now: Now) -> None:
        """The former gateway of a transient binding has no part in it any more (RFC 6058)."""
        later = self._later.pop(entry.call_id, None)
        if later is not None and self.on:
            self._moved(entry, *later, now)

    def left(self, entry: BindingCacheEntry) -> None:
        """The former gateway of a transient binding has de-registered by itself."""
        self._later.pop(entry.call_id, None)

    # ---- where updates come by ---------------------------------------------------------------

    def check(self, request: Request, found: Found, now: Now) -> Verdict | None:
        """Section 8.1: an update of a session that is being revoked; a de-registration is always welcome."""
        entry = request.entry
        if entry is None or not request.lifetime or self._settings.revocation_pending == "accept":
            return None
        revoked = entry.extras is not None and entry.extras.revocation is not None
        if revoked or any(whole.covers(entry) for whole in self._whole):
            return verdicts.DROP_REVOCATION
        return None

    def accepted(self, request: Request, entry: BindingCacheEntry, before: Before, now: Now) -> None:
        """A newer update ends a revocation; after a handover the former gateway is told."""
        if request.lifetime or entry.deleting:
            self.forget(entry)
            if before.moved(entry):
                # What the former gateway says of it now is not about the session any more.
                self._asked.pop(entry.call_id, None)
            if request.lifetime and entry.call_id not in self._asked:
                self._updates.wait_longer(entry, now)
        if request.lifetime and before.moved(entry):
            if before.deleting or not self.on:
                self._later.pop(entry.call_id, None)
            else:
                self.over(entry, now)
                self._inform(request, entry, before, now)

    def ended(self, entry: BindingCacheEntry, now: Now) -> None:
        """It needs no revocation any more."""
        self.forget(entry)
        self._asked.pop(entry.call_id, None)
        if not self.departing:
            # A former gateway that still has a part in it would keep that for its whole lifetime.
            self.over(entry, now)

    def details(self, entry: BindingCacheEntry) -> list[tuple[str, str]]:
        """Whether it is being revoked, and why."""
        state = entry.extras.revocation if entry.extras is not None else None
        if state is None:
            return []
        what = "IPv4 home address, " if state.ipv4_only else ""
        what += codes.TRIGGER_NAMES.get(state.trigger, "Unknown")
        return [("Revocation In Progress", f"{what} ({state.trigger})")]

    # ---- messages -----------------------------------------------------------------------------

    def receive(self, event: PacketReceived, message: Message, now: Now) -> None:
        """Take an indication or an acknowledgement."""
        if not self.on:
            self._without(event, message, now)
        elif not self._updates.policy.peers.allowed(event.source):
            self.values[self.rows.discarded] += 1
            self._reports.stranger("revocation messages", event, now, self._sessions.effects)
        elif isinstance(message, BindingRevocationAcknowledgement):
            ready = not (self.departing or self._settings.shutdown)
            self._initiator.acknowledged(event, message, ready, now)
            self.pump(now)
        elif isinstance(message, BindingRevocationIndication):
            # Who sends them knows them.
            self._initiator.deaf.pop((event.source, event.port), None)
            self._revoked.receive(event, message, now)
            if self._sweeps:
                self.schedule(now.mono)

    def _without(self, event: PacketReceived, message: Message, now: Now) -> None:
        """RFC 5846 section 6.2: a node without the function does not know the type."""
        self.values[self.rows.ignored] += 1
        if isinstance(message, BindingRevocationIndication) and self._reports.binding_error(
            event, now, self._sessions.effects
        ):
            self.values[self.rows.error_sent] += 1

    def unknown_there(self, event: PacketReceived, now: Now, home: bytes = b"") -> bool:
        """A Binding Error status 2 came: was it about an indication? There are no more to that peer then."""
        found = self._initiator.unknown_there(event, now, home)
        if found:
            text = "a peer knows no binding revocation; it is not told of ends of sessions any more"
            self._reports.notice("revocation unknown", text, now, self._sessions.effects)
            self.pump(now)
        return found

    def discarded(self, event: PacketReceived, why: str, now: Now) -> None:
        """Count a message that cannot be used."""
        data = event.data
        if not self.on or data[2:3] != b"\x10":
            self.values[self.rows.ignored] += 1
        elif data[6:7] == b"\1":
            self.values[self.rows.discarded] += 1
        else:
            self.values[self.rows.unusable[why]] += 1

    # ---- time ---------------------------------------------------------------------------------

    @property
    def deadline(self) -> float | None:
        """When the next indication is to be repeated; at once while sessions are swept."""
        waiting = self._queue and not self._initiator.full
        return 0.0 if waiting or self._sweeps or self._searches else self._initiator.deadline

    def tick(self, now: Now) -> None:
        """Repeat, give up, and sweep."""
        self._initiator.tick(now)
        self.pump(now)
        self._sweeps.tick(now)
        if self._searches and not self._searches[0].step(now):
            self._searches.popleft()
