"""How an anchor decides about updates: checks, look-up, waiting, sessions (RFC 5213 section 5.3).

::

    Request ─▶ BEFORE_LOOK_UP ─▶ stored answer? ─▶ look-up ─▶ FRESHNESS ─▶ CONTENT ─▶ AAA?
         │ refused         │ again           │ HI 4: wait for the other gateway
         ▼                 ▼                 ▼
       PBA status       the same PBA      Sessions: create, update, deregister ─▶ PBA, Install, Remove

Every update ends in exactly one of: accepted, denied, discarded, or waiting.
"""

import ipaddress
from collections import OrderedDict
from typing import NamedTuple, Protocol

from appliance.counters import CounterSet
from appliance.protocols.mobility import aaa
from appliance.protocols.mobility.aaa import Account
from appliance.protocols.pmipv6 import lma_checks as checks
from appliance.protocols.pmipv6 import lma_request as verdicts
from appliance.protocols.pmipv6.bce import HI_GATEWAYS, HI_INTERFACES, HI_REFRESH, BindingCacheEntry, Found
from appliance.protocols.pmipv6.events import Concluded
from appliance.protocols.pmipv6.features import Before, Feature, Features
from appliance.protocols.pmipv6.lma_aaa import subject_of_denied
from appliance.protocols.pmipv6.lma_answers import Answers
from appliance.protocols.pmipv6.lma_counts import (
    ADMIN_DROPPED,
    DEREGISTERED,
    DEREGISTRATION,
    HANDOFF,
    INITIAL,
    OTHER_ENDED,
    PENDING,
    QUEUE_FULL,
    REFRESH,
    Kind,
)
from appliance.protocols.pmipv6.lma_gateways import sender_of
from appliance.protocols.pmipv6.lma_request import Request, Verdict
from appliance.protocols.pmipv6.lma_sessions import Sessions
from appliance.protocols.pmipv6.overload import Overload
from appliance.protocols.pmipv6.reports import Reports
from appliance.protocols.pmipv6.settings import LmaSettings
from appliance.protocols.timers import Now


class Waiting(NamedTuple):
    """An update that waits for the de-registration of another session of its mobile."""

    request: Request
    until: float


class Revoker(Protocol):
    """What tells other gateways of ends of sessions (RFC 5846)."""

    def ask(self, entry: BindingCacheEntry, now: Now) -> bool:
        """Ask the gateway of a session to let go of it if its mobile node has left; False: it cannot be.

        One of ``left``, ``stays`` and ``wait_longer`` of :class:`Decisions` follows, unless the session ends.
        """

    def revoke(
        self, entry: BindingCacheEntry, trigger: int, cause: int, now: Now, ipv4_only: bool = False
    ) -> bool:
        """Have a session end when its gateway has been told; False: end it now."""


class BulkUpdates(Protocol):
    """What takes updates of groups of sessions (RFC 6602)."""

    def update(self, request: Request, verdict: Verdict, now: Now) -> bool:
        """Whether an update that is to be refused is one of a group, and done with."""


class Decisions:
    """Decides about the updates of one service; its effects go to those of ``sessions``.

    Nobody is asked about them here; :class:`lma_updates.Updates` does that.
    """

    def __init__(
        self,
        settings: LmaSettings,
        counters: CounterSet,
        reports: Reports,
        sessions: Sessions,
        features: Features,
    ) -> None:
        self.counters = counters
        self._features = features
        self._answers = self.answers = Answers(settings, counters, reports, sessions)
        self._reports = reports
        self._sessions = sessions
        self._cache = sessions.cache
        self.overload = Overload(settings, counters)
        #: By call id of the session waited for, in order of arrival; all wait equally long.
        self.waiting: OrderedDict[int, Waiting] = OrderedDict()
        #: Those that wait until the revoker has heard of the gateway that serves the mobile node.
        self.held: dict[int, Request] = {}
        self.revoker: Revoker | None = None
        self.bulk: BulkUpdates | None = None
        #: Whether AAA has, or may still have, a say in updates.
        self._consults = False
        self._prepare(settings)

    def _prepare(self, settings: LmaSettings) -> None:
        self.settings = self._answers.settings = settings
        self.policy = checks.Policy(settings)
        self._first = checks.BEFORE_LOOK_UP if settings.proxies else checks.HOSTS_ONLY
        if settings.shutdown:
            self._first = checks.SHUT_DOWN
        self.patience = settings.max_delay_before_new_bce_assign / 1000
        group = settings.aaa
        self._reports_denials = group is not None and settings.aaa_accounting and group.event_on_denial

    def reconfigure(self, settings: LmaSettings, now: Now) -> None:
        """Decide by other settings from now on."""
        self._prepare(settings)
        self.overload.reconfigure(settings, now, self._sessions.effects)
        latest = now.mono + self.patience
        for call_id, waiting in self.waiting.items():
            # In order of their times, as before: those that come later wait until ``latest`` or longer.
            self.waiting[call_id] = Waiting(waiting.request, min(waiting.until, latest))

    @property
    def deadline(self) -> float | None:
        """When :meth:`tick` is wanted next, in monotonic seconds."""
        return next(iter(self.waiting.values())).until if self.waiting else None

    def tick(self, now: Now) -> None:
        """Go on with the updates that have waited long enough."""
        while self.waiting:
            call_id, waiting = next(iter(self.waiting.items()))
            if waiting.until > now.mono:
                break
            del self.waiting[call_id]
            self._resume(waiting.request, now)

    def end(self, entry: BindingCacheEntry, cause: int, now: Now) -> None:
        """End a session for a Termination-Cause; an update that waited for that goes on."""
        self._sessions.end(entry, cause)
        self._features.ended(entry, now)
        self._release(entry, now)

    def drop(
        self, entry: BindingCacheEntry, trigger: int, cause: int, now: Now, ipv4_only: bool = False
    ) -> None:
        """An operator, AAA or a policy ends a session, or its IPv4 part: its gateway is told if it can be.

        ``trigger``: what it is told (RFC 5846 section 5.1); ``cause``: the Termination-Cause.
        """
        if self._cache.calls.get(entry.call_id) is not entry:
            # The end of another session has ended it.
            return
        if self.revoker is not None and self.revoker.revoke(entry, trigger, cause, now, ipv4_only):
            return
        if ipv4_only:
            self.release_address(entry, ADMIN_DROPPED, cause, now)
            return
        self.counters.values[ADMIN_DROPPED] += 1
        self.end(entry, cause, now)

    def release_address(self, entry: BindingCacheEntry, counter: int, cause: int, now: Now) -> None:
        """Take the IPv4 home address away; a session that has nothing else ends, under ``counter``."""
        if entry.ipv4_address is None or entry.deleting:
            return
        if entry.prefix is not None:
            self._sessions.release_ipv4(entry)
            return
        self.counters.values[counter] += 1
        self.end(entry, cause, now)

    def update(self, request: Request, now: Now) -> None:
        """Decide about an update that has just arrived."""
        policy = self.policy
        if self.overload.refusing and self._is_new(request):
            self.congested(request, now)
            return
        for check in self._first:
            verdict = check(policy, request)
            if verdict is not None:
                if not request.others or self.bulk is None or not self.bulk.update(request, verdict, now):
                    self._refused_early(request, verdict, now)
                return
        entry = self._answered_before(request)
        if entry is not None:
            self._answers.repeat(request, entry)
            return
        found = self._look_up(request)
        request.entry = found.entry
        for check in checks.FRESHNESS:
            verdict = check(policy, request)
            if verdict is not None:
                self._refuse(request, self._answers.classify(request), verdict, now)
                return
        self._proceed(request, found, now)

    def _is_new(self, request: Request) -> bool:
        """Whether an update of a known gateway is for a mobile node without a session."""
        return (
            bool(request.lifetime and request.mn_id)
            and not self._cache.of(request.mn_id)
            and self.policy.peers.allowed(request.source) is True
        )

    def congested(self, request: Request, now: Now) -> None:
        """Give up the update of a new mobile node, as the operator wants it in a congestion."""
        overload = self.overload
        action = overload.settings.congestion_action
        if action == "redirect" and any(each.divert(request, now) for each in self._features.all):
            overload.refused += 1
        elif action == "drop":
            overload.dropped += 1
            self._answers.refuse(request, INITIAL, verdicts.DROP_CONGESTED, now)
        else:
            overload.refused += 1
            self._answers.refuse(request, INITIAL, verdicts.CONGESTED, now)

    def _look_up(self, request: Request) -> Found:
        return self._cache.look_up(
            request.mn_id,
            request.prefixes,
            request.address,
            request.link_layer_id,
            request.technology.value if request.technology is not None else 0,
            request.indicator.value if request.indicator is not None else 0,
            request.care_of,
        )

    def _refused_early(self, request: Request, verdict: Verdict, now: Now) -> None:
        """Before the look-up the Handoff Indicator tells what the update was meant to be."""
        indicator = request.indicator.value if request.indicator is not None else 0
        if not request.lifetime:
            kind = DEREGISTRATION
        elif indicator == HI_REFRESH:
            kind = REFRESH
        elif indicator in (HI_INTERFACES, HI_GATEWAYS):
            kind = HANDOFF
        else:
            kind = INITIAL
        if verdict is verdicts.NO_SERVICE:
            request.entry = self._look_up(request).entry
        if verdict is verdicts.NOT_AUTHORIZED_MAG:
            text = f"MAG {_text(request.source)} is not allowed to register"
            self._reports.notice("mag", text, now, self._sessions.effects)
        self._refuse(request, kind, verdict, now)
        if verdict.status < 0 and request.relay is not None:
            # Silence is for gateways; the anchor that was asked need not wait for nothing.
            self._sessions.effects.append(Concluded(*request.relay, b""))

    def _answered_before(self, request: Request) -> BindingCacheEntry | None:
        """The session whose last answer was to this very request: it is a retransmission.

        Everything but the sequence number is the same; without a Timestamp option that too.
        """
        for entry in self._cache.of(request.mn_id):
            if entry.fingerprint != request.fingerprint:
                continue
            if self.policy.uses_timestamp(request):
                # Only the fingerprint can lie, once in a thousand million times; a new update is newer.
                if request.timestamp.value <= entry.timestamp:
                    return entry
            elif entry.sequence == request.sequence:
                return entry
        return None

    def _proceed(self, request: Request, found: Found, now: Now) -> None:
        """Rules 6 and following of RFC 5213 section 5.3.1, once the session and the order are clear."""
        kind = self._answers.classify(request)
        verdict = self._contradiction(request, found, now)
        if verdict is not None:
            if verdict is not verdicts.HELD:
                self._refuse(request, kind, verdict, now)
            elif request.grant is not None:
                # Another anchor is to serve it, and will ask AAA itself.
                self._unused(request)
                request.grant, request.granted_call = None, 0
            return
        if self._consults and self._absorbed(request, kind, now):
            return
        if self._features.former and self._from_former(request, kind):
            return
        if not request.lifetime:
            self._deregister(request, found, now)
            return
        if found.wait is not None and self.patience:
            self._wait(request, found.wait, now)
            return
        if self._consults and self._consulted(request, kind, now):
            return
        sessions = self._sessions
        entry = request.entry
        concerned = self._features.concerned(request)
        before = self._before(entry) if concerned else None
        mark = len(sessions.effects)
        verdict = sessions.create(request) if entry is None else sessions.update(request, entry)
        if verdict is not None:
            self._refuse(request, kind, verdict, now)
            return
        if before is not None:
            self._accepted(request, concerned, before, mark, now)
        self._answers.accept(request, kind)

    def _before(self, entry: BindingCacheEntry | None) -> Before:
        before = Before(entry)
        if entry is not None:
            before.forwarding = self._sessions.forwarding(entry)
        return before

    def _from_former(self, request: Request, kind: Kind) -> bool:
        """RFC 6058 section 4.6.2: the former gateway, which a session still has, extends or de-registers.

        The session is the serving gateway's; the feature that has put the former one there ends that.
        """
        if request.lifetime and (request.indicator is None or request.indicator.value != HI_REFRESH):
            return False
        who = sender_of(request)
        for entry in self._cache.of(request.mn_id):
            if self.had_by(entry, who):
                request.entry = entry
                self._answers.approve(request, DEREGISTRATION if not request.lifetime else kind)
                if not request.lifetime:
                    self._features.left(entry)
                return True
        return False

    def had_by(self, entry: BindingCacheEntry, who: bytes) -> bool:
        """Whether a gateway still has a part in a session that another one serves (RFC 6058)."""
        return self._features.former.get(entry.call_id) == who

    def former_left(self, entry: BindingCacheEntry) -> None:
        """The former gateway of a session gives up its part in it."""
        self._features.left(entry)

    def _accepted(
        self, request: Request, concerned: tuple[Feature, ...], before: Before, mark: int, now: Now
    ) -> None:
        entry = request.entry
        assert entry is not None
        for feature in concerned:
            feature.accepted(request, entry, before, now)
        if entry.extras is not None:
            self._sessions.restate(entry, mark)

    def _refuse(self, request: Request, kind: Kind, verdict: Verdict, now: Now) -> None:
        if request.grant is not None:
            self._unused(request)
        if verdict is verdicts.NO_SERVICE:
            self._give_up(request, now)
        self._answers.refuse(request, kind, verdict, now)
        if (
            self._reports_denials
            and kind is INITIAL
            and verdict.status >= 0
            and request.mn_id
            and self.policy.peers.allowed(request.source)
        ):
            call_id = self._sessions.reserve()
            self._sessions.unreserve(call_id)
            subject = subject_of_denied(request, call_id)
            self._sessions.effects.append(Account(what=aaa.DENIED, subject=subject, cause=verdict.status))

    def _give_up(self, request: Request, now: Now) -> None:
        """RFC 5149 section 4.2: the session goes whose gateway asks for a service that is refused."""
        entry = request.entry
        if entry is not None and entry.care_of == request.care_of and entry.call_id in self._cache.calls:
            self.counters.values[OTHER_ENDED] += 1
            self.end(entry, aaa.ADMINISTRATIVE, now)
        request.entry = None

    def _absorbed(self, request: Request, kind: Kind, now: Now) -> bool:
        """Whether an update is dealt with, because an older one of its session waits for AAA."""
        return False

    def _consulted(self, request: Request, kind: Kind, now: Now) -> bool:
        """Whether an update is dealt with, because AAA has a say in it."""
        return False

    def _unused(self, request: Request) -> None:
        """What AAA has granted for an update is not made use of by it."""

    def _contradiction(self, request: Request, found: Found, now: Now) -> Verdict | None:
        for check in checks.CONTENT:
            verdict = check(self.policy, request)
            if verdict is not None:
                return verdict
        if found.owner is not None:
            return verdicts.NOT_YOUR_PREFIX if request.prefixes else verdicts.NOT_YOUR_ADDRESS
        if found.mismatch:
            return verdicts.OTHER_PREFIXES
        return self._features.check(request, found, now)

    def _deregister(self, request: Request, found: Found, now: Now) -> None:
        """RFC 5213 section 5.3.5: only the serving gateway de-registers; anybody else is ignored silently."""
        entry = request.entry
        if entry is None and not request.link_layer_id:
            # HI 4 and a single session: the gateway that serves it can only mean this one, unless it
            # names another interface of the mobile.
            entry = found.wait
        if (
            entry is None
            or entry.care_of != request.care_of
            or (request.port and request.elsewhere(entry))
        ):
            self._refuse(request, DEREGISTRATION, verdicts.DROP_NO_SESSION, now)
            return
        request.entry = entry
        concerned = self._features.concerned(request)
        before = self._before(entry) if concerned else None
        mark = len(self._sessions.effects)
        whole = self._sessions.deregister(request, entry)
        if before is not None:
            self._accepted(request, concerned, before, mark, now)
        self._answers.accept(request, DEREGISTRATION)
        if not whole:
            return
        self._release(entry, now)
        if entry.deleting and not self.settings.min_delay_before_bce_delete:
            self.counters.values[DEREGISTERED] += 1
            self.end(entry, aaa.LOGOUT, now)

    # Waiting (RFC 5213 sections 5.4.1.2 and 5.4.1.3, MaxDelayBeforeNewBCEAssign).

    def _wait(self, request: Request, entry: BindingCacheEntry, now: Now) -> None:
        """Keep the update until ``entry`` is de-registered or the time is over; one per session."""
        held = self.held.get(entry.call_id)
        if held is not None:
            self.held[entry.call_id] = request
            self._refuse(held, INITIAL, verdicts.DROP_OTHER, now)
            return
        older = self.waiting.get(entry.call_id)
        if older is None:
            if len(self.waiting) + len(self.held) >= self.settings.max_pending:
                self._refuse(request, INITIAL, QUEUE_FULL, now)
                return
            self.counters.values[PENDING] += 1
            # RFC 5846 section 8.1: ask the other gateway instead of waiting for it.
            if self.revoker is not None and self.revoker.ask(entry, now):
                self.held[entry.call_id] = request
            else:
                self.waiting[entry.call_id] = Waiting(request, now.mono + self.patience)
            return
        # A retransmission takes the place of what waits, with its time: repeating must not prolong the wait.
        self.waiting[entry.call_id] = Waiting(request, older.until)
        self._refuse(older.request, INITIAL, verdicts.DROP_OTHER, now)

    def _release(self, entry: BindingCacheEntry, now: Now) -> None:
        """Go on with the update that waited for this session."""
        waiting = self.waiting.pop(entry.call_id, None)
        request = self.held.pop(entry.call_id, None) if waiting is None else waiting.request
        if request is not None:
            self._resume(request, now)

    def left(self, entry: BindingCacheEntry, now: Now) -> None:
        """The gateway says that a mobile node has left it: as if it had de-registered."""
        self._sessions.leave(entry, now)
        self._release(entry, now)
        if entry.deleting and not self.settings.min_delay_before_bce_delete:
            self.counters.values[DEREGISTERED] += 1
            self.end(entry, aaa.LOGOUT, now)

    def stays(self, entry: BindingCacheEntry, now: Now) -> None:
        """The gateway still has the mobile node, or says nothing: what waited gets a session of its own."""
        self._release(entry, now)

    def wait_longer(self, entry: BindingCacheEntry, now: Now) -> None:
        """The gateway cannot be asked: what waited does so for a de-registration."""
        request = self.held.pop(entry.call_id, None)
        if request is not None:
            self.waiting[entry.call_id] = Waiting(request, now.mono + self.patience)

    def _resume(self, request: Request, now: Now) -> None:
        """Decide about an update that has waited: its order was checked when it came in."""
        self.counters.values[PENDING] -= 1
        request.now = now
        found = self._look_up_again(request, now)
        if found is not None:
            self._proceed(request, found, now)

    def _look_up_again(self, request: Request, now: Now) -> Found | None:
        """What an update means that has waited; ``None``: it is refused now."""
        # The settings may have changed since it came in.
        for check in self._first:
            verdict = check(self.policy, request)
            if verdict is not None:
                self._refused_early(request, verdict, now)
                return None
        found = self._look_up(request)
        request.entry = found.entry
        return Found(found.entry, found.owner, found.mismatch)


def _text(address: bytes) -> str:
    """A packed address for a log line."""
    return str(ipaddress.ip_address(address))
