"""The bindings of hosts at an anchor (RFC 6275 section 10, RFC 4285, RFC 5648), without any I/O.

::

    Intake (P flag clear) ─┐
    Options-, Tunnelled- ──┴▶ HostRequest ─▶ BEFORE ─▶ authentic? ─▶ MESG-ID, sequence ─▶ AFTER ─▶ BA
                                                │ MN-AAA                            │ new
                                        Authorize ⇄ Authorized          TestAddress ⇄ AddressTested, time

Every update ends in exactly one of: accepted, denied, discarded, or waiting.
"""

from ipaddress import ip_address

from appliance.counters import CounterSet
from appliance.protocols.mipv6 import checks
from appliance.protocols.mipv6 import request as verdicts
from appliance.protocols.mipv6.answers import acknowledgement, to_link
from appliance.protocols.mipv6.asking import Asking, proved, question, subject
from appliance.protocols.mipv6.auth import ASK, Authenticator, Replays
from appliance.protocols.mipv6.binding import host_of
from appliance.protocols.mipv6.events import (
    AddressTested,
    HostEvent,
    OptionsReceived,
    SendRouted,
    SendTunnelled,
    StopTest,
    TestAddress,
    TunnelledReceived,
)
from appliance.protocols.mipv6.features import HostFeatures
from appliance.protocols.mipv6.intake import HostIntake
from appliance.protocols.mipv6.registrations import Registrations
from appliance.protocols.mipv6.request import HostRequest, Outer
from appliance.protocols.mipv6.several import Plan, plan
from appliance.protocols.mipv6.views import details
from appliance.protocols.mipv6.waiting import Waiting, WaitingRoom
from appliance.protocols.mobility import aaa
from appliance.protocols.mobility.aaa import Abandon, Account, Authorized
from appliance.protocols.mobility.codec import OPTION_LENGTH, Fault
from appliance.protocols.mobility.messages import BU_L, BindingUpdate
from appliance.protocols.mobility.options import BindingIdentifier
from appliance.protocols.pmipv6.bce import BindingCacheEntry, Found
from appliance.protocols.pmipv6.events import PacketReceived, Send
from appliance.protocols.pmipv6.features import Feature
from appliance.protocols.pmipv6.lma_aaa import GRACE, NO_ANSWER
from appliance.protocols.pmipv6.lma_counts import (
    ACK_DENIED,
    ACK_DEREGISTERED,
    ACK_INITIAL,
    ACK_REGISTERED,
    DEREGISTRATION,
    HANDOFF,
    INITIAL,
    NOTICES,
    OTHER_ENDED,
    PENDING,
    QUEUE_FULL,
    REFRESH,
    Kind,
)
from appliance.protocols.pmipv6.lma_request import Request, Verdict
from appliance.protocols.pmipv6.lma_sessions import Sessions
from appliance.protocols.pmipv6.lma_updates import Updates
from appliance.protocols.pmipv6.reports import Reports
from appliance.protocols.pmipv6.settings import LmaSettings
from appliance.protocols.timers import Now

#: RFC 4862 section 5.4 with its factory values: one question, and this many seconds for an answer.
TEST_SECONDS = 1.0
#: Waiting updates that go on in one tick; the rest comes in the next one.
PER_TICK = 500
#: Refused like this an update may be discarded instead: there is no key that an answer could be protected by.
_UNPROTECTED = (verdicts.NO_OPTION, verdicts.UNKNOWN_AAA_SPI, verdicts.UNKNOWN_HA_SPI)
_LINK_LOCAL = bytes.fromhex("fe80000000000000")


class Hosts(Feature):
    """The hosts of one service; its effects go to those of ``sessions``."""

    def __init__(
        self,
        settings: LmaSettings,
        counters: CounterSet,
        reports: Reports,
        sessions: Sessions,
        updates: Updates,
    ) -> None:
        self._counters = counters
        self._values = counters.values
        self._reports = reports
        self._sessions = sessions
        self._updates = updates
        self._room = WaitingRoom()
        self._replays = Replays()
        self._asking = Asking(counters)
        #: What it does beside the plain home registration; :mod:`mipv6.anchor` puts them there.
        self.features = HostFeatures()
        self._registrations = Registrations(settings, sessions, self.features)
        self._intake = HostIntake(counters, reports, sessions, self.features)
        self._prepare(settings)

    def _prepare(self, settings: LmaSettings) -> None:
        self.enabled = settings.mipv6
        self._settings = settings
        self._policy = checks.HostPolicy(settings, self._sessions.cache, self._sessions.pools)
        self._authenticator = Authenticator(settings)
        self._registrations.reconfigure(settings)
        group = settings.aaa
        self._reports_denials = group is not None and settings.aaa_accounting and group.event_on_denial

    # ---- the shape of a feature

    def reconfigure(self, settings: LmaSettings, now: Now) -> None:
        """Go on by other settings. Bindings stay; what waits is decided by the new ones."""
        self._prepare(settings)
        self.features.reconfigure(settings, now)

    def check(self, request: Request, found: Found, now: Now) -> Verdict | None:
        """A gateway's update means a session that a host has registered (139, as for the H flag)."""
        meant = request.entry or found.wait
        return verdicts.TYPE_CHANGED if host_of(meant) is not None else None

    def ended(self, entry: BindingCacheEntry, now: Now) -> None:
        """Remember the last MESG-ID as long as it could be replayed."""
        host = host_of(entry)
        if host is None:
            return
        self.features.ended(entry, host, now)
        if host.mesg_id:
            until = now.mono + 2 * self._settings.mipv6_tolerance
            self._replays.remember(entry.mn_id, host.mesg_id, until)

    def details(self, entry: BindingCacheEntry) -> list[tuple[str, str]]:
        """What an operator is shown of a host's binding."""
        host = host_of(entry)
        return [] if host is None else details(entry) + self.features.details(entry, host)

    @property
    def deadline(self) -> float | None:
        """When :meth:`tick` is wanted next, in monotonic seconds."""
        waiting, features = self._room.deadline, self.features.agenda.deadline
        return waiting if features is None or (waiting is not None and waiting < features) else features

    def tick(self, now: Now) -> None:
        """Go on with what has waited long enough."""
        self._replays.forget(now)
        self.features.tick(now)
        for waiting in self._room.due(now.mono, PER_TICK):
            self._values[PENDING] -= 1
            waiting.request.now = now
            if waiting.tested:
                self._sessions.effects.append(StopTest(waiting.token))
                self._resume(waiting.request, now)
            else:
                self._unanswered(waiting, now)

    def outlives(self, entry: BindingCacheEntry, now: Now) -> bool:
        """Whether a binding that is due goes on by some of its care-of addresses."""
        return self._registrations.outlives(entry, now)

    def dissolve(self) -> None:
        """Count what waits as discarded, before the core is thrown away."""
        self._values[PENDING] -= len(self._room)
        self._values[verdicts.DROPPED] += len(self._room)

    def close(self) -> None:
        """Let go of the features, which refer back to here."""
        self.features.close()

    # ---- events

    def receive(self, event: HostEvent, now: Now) -> None:
        """Take in what only hosts have."""
        if isinstance(event, OptionsReceived):
            self._intake.read(event, now, self.update)
            return
        if isinstance(event, TunnelledReceived):
            self._intake.read_tunnelled(event, now, self.update)
            return
        if not isinstance(event, AddressTested):
            self.features.events[type(event)](event, now)
            return
        waiting = self._room.pop(event.token)
        if waiting is not None:
            self._values[PENDING] -= 1
            self._sessions.effects.append(StopTest(event.token))
            self._reports.notice("duplicate", f"home address {event.why}", now, self._sessions.effects)
            self._refuse(waiting.request, verdicts.DUPLICATE, now)

    def reauthorize(self, entry: BindingCacheEntry) -> None:
        """RFC 5778 section 4.2: only another update of the host can authenticate it again."""
        host = host_of(entry)
        if host is not None:
            host.asked_again = True

    def update(
        self,
        event: PacketReceived,
        message: BindingUpdate,
        faults: tuple[Fault, ...],
        home: bytes | None,
        now: Now,
        outer: Outer | None = None,
    ) -> None:
        """Decide about a Binding Update with the P flag clear; ``home``: from the Home Address option,
        ``outer``: the headers round the packet, if it came inside UDP."""
        request = HostRequest(event, message, home, now, outer)
        if self._settings.shutdown:
            self._discard(request, verdicts.NOT_READY)
            return
        for fault in faults:
            if fault.kind != OPTION_LENGTH or request.mh[fault.offset] != BindingIdentifier.TYPE:
                self._discard(request, verdicts.DROP_MALFORMED)
                return
            # RFC 5648 section 6.2 answers this with a status of its own.
            request.malformed = True
        for check in checks.BEFORE:
            verdict = check(self._policy, request)
            if verdict is not None:
                self._discard(request, verdict)
                return
        verdict = self.features.before(request, now)
        if verdict is not None:
            self._discard(request, verdict)
            return
        self._identify(request)
        waiting = self._room.about(request.home)
        if waiting is not None and not waiting.tested:
            self._discard(request, verdicts.DROP_PENDING)
            return
        verdict = self._authenticator.check(request, now)
        if self._updates.overload.refusing and verdict in (None, ASK) and request.entry is None:
            self._congested(request, now)
        elif verdict is ASK:
            self._ask(request, now)
        elif verdict is not None:
            self._refuse(request, verdict, now)
        else:
            self._authentic(request, now)

    def _congested(self, request: HostRequest, now: Now) -> None:
        """Give up the update of a new host, as the operator wants it in a congestion; AAA is not asked.

        No other home agent can be named in the answer: ``redirect`` is as ``reject``.
        """
        overload = self._updates.overload
        if overload.settings.congestion_action == "drop":
            overload.dropped += 1
            self._discard(request, verdicts.DROP_CONGESTED)
        else:
            overload.refused += 1
            self._refuse(request, verdicts.CONGESTED, now)

    def _identify(self, request: HostRequest) -> None:
        """Who it is, and what has the home address now."""
        profile = request.profile = self._policy.profile(request.mn_id, request.home)
        if not request.mn_id:
            # A host without an MN-ID is known by its profile, or by its home address.
            request.mn_id = (profile.mn_id if profile is not None else b"") or _text(request.home)
        cache = self._sessions.cache
        request.entry = cache.prefixes.get(request.home) or cache.holder(request.home)

    def _kind(self, request: HostRequest) -> Kind:
        entry = request.entry
        if request.leaves:
            return DEREGISTRATION
        if host_of(entry) is None or entry is None or entry.mn_id != request.mn_id:
            # Nothing at all, a gateway's session, or what another host has at this home address.
            return INITIAL
        several = request.identifiers[0].care_of if request.identifiers else b""
        return REFRESH if entry.care_of in (request.care_of, several) else HANDOFF

    # ---- decisions

    def _authentic(self, request: HostRequest, now: Now) -> None:
        """It is the host's: is it fresh, then what does it want?"""
        tolerance, required = self._settings.mipv6_tolerance, self._settings.mipv6_mesg_id
        verdict = self._replays.check(request, tolerance, required, now)
        for check in checks.FRESHNESS if verdict is None else ():
            verdict = verdict or check(self._policy, request)
        if verdict is not None:
            self._refuse(request, verdict, now)
            return
        older = self._room.about(request.home)
        if older is not None and older.tested:
            # A retransmission takes the place of what waits for the test, with its time.
            if older.request.mn_id != request.mn_id:
                self._refuse(request, verdicts.DUPLICATE, now)
                return
            self._unused(older.request)
            self._discard(older.request, verdicts.DROP_PENDING)
            older.request = request
            return
        self._proceed(request, now, tested=False)

    def _proceed(self, request: HostRequest, now: Now, tested: bool) -> None:
        for check in checks.AFTER:
            verdict = check(self._policy, request)
            if verdict is not None:
                self._refuse(request, verdict, now)
                return
        verdict = self.features.check(request, now)
        if verdict is not None:
            self._refuse(request, verdict, now)
            return
        lifetime = self._registrations.lifetime(request, now)
        host = host_of(request.entry)
        if request.entry is not None and request.entry.deleting:
            host = None
        wanted = plan(request, host, self._settings, now.mono + 4 * lifetime)
        if isinstance(wanted, Verdict):
            self._refuse(request, wanted, now)
        elif request.leaves:
            self._deregister(request, wanted, now)
        elif host is None and not tested and self._settings.mipv6_home_link:
            self._test(request, now)
        else:
            self._register(request, wanted, lifetime, now)

    def _register(self, request: HostRequest, wanted: Plan, lifetime: int, now: Now) -> None:
        kind = self._kind(request)
        verdict = self._registrations.accept(request, wanted, lifetime, now)
        if verdict is not None:
            self._refuse(request, verdict, now)
            return
        settings, values = self._settings, self._values
        advice = lifetime * settings.refresh_interval_percent // 100 if settings.refresh_advice_option else 0
        values[kind.received] += 1
        values[kind.accepted] += 1
        values[ACK_REGISTERED] += 1
        values[ACK_INITIAL] += kind is INITIAL
        answer = acknowledgement(
            request,
            now,
            wanted.status or request.answer_status,
            lifetime=lifetime,
            # RFC 6275 section 6.2.4: less than the lifetime that is granted.
            refresh=advice if advice < lifetime else 0,
            statuses=wanted.statuses,
        )
        self._answer(answer)

    def _deregister(self, request: HostRequest, wanted: Plan, now: Now) -> None:
        """RFC 6275 section 10.3.2."""
        self._registrations.deregister(request, wanted.several, now)
        values = self._values
        values[DEREGISTRATION.received] += 1
        values[DEREGISTRATION.accepted] += 1
        values[ACK_DEREGISTERED] += 1
        status = wanted.status or request.answer_status
        answer = acknowledgement(request, now, status, statuses=wanted.statuses)
        self._answer(answer)

    def _answer(self, answer: Send | SendRouted | SendTunnelled) -> None:
        """Send it, on the home link past what we defend there."""
        link = self._settings.mipv6_home_link
        at_home = bool(link) and self._policy.at_home(answer.destination)
        self._sessions.effects.append(to_link(answer, link) if at_home else answer)

    def _discard(self, request: HostRequest, verdict: Verdict) -> None:
        self._values[verdict.counter] += 1

    def _refuse(self, request: HostRequest, verdict: Verdict, now: Now) -> None:
        """Answer with the verdict's status, or not at all; the binding stays as it is."""
        self._unused(request)
        values = self._values
        if verdict.status < 0:
            self._discard(request, verdict)
            return
        if verdict in _UNPROTECTED and self._settings.mipv6_unauthenticated == "discard":
            values[verdicts.DROPPED] += 1
            return
        kind = self._kind(request)
        values[kind.received] += 1
        values[kind.denied] += 1
        values[verdict.counter] += 1
        values[ACK_DENIED] += 1
        notice = NOTICES.get(verdict)
        if notice is not None:
            self._reports.notice(notice[0], notice[1], now, self._sessions.effects)
        entry = request.entry
        last = entry.sequence if verdict is verdicts.SEQUENCE and entry is not None else None
        statuses = tuple((each.bid, 0) for each in request.identifiers)
        answer = acknowledgement(
            request,
            now,
            verdict.status,
            sequence=last,
            statuses=statuses,
            fresh=verdict is not verdicts.REPLAYED,
        )
        self._answer(answer)
        if kind is INITIAL and request.key and self._reports_denials:
            # Only of a host that has proved who it is: strangers do not get to write records.
            call_id = self._sessions.reserve()
            self._sessions.unreserve(call_id)
            about = subject(request, call_id)
            self._sessions.effects.append(Account(what=aaa.DENIED, subject=about, cause=verdict.status))
        if verdict is verdicts.NO_SERVICE and entry is not None and entry.mn_id == request.mn_id:
            # RFC 5149 section 3: the binding of a refused service goes.
            values[OTHER_ENDED] += 1
            self._updates.end(entry, aaa.ADMINISTRATIVE, now)

    # ---- waiting

    def _test(self, request: HostRequest, now: Now) -> None:
        """RFC 6275 section 10.3.1: nobody on the home link may have the address."""
        if self._room.full:
            self._refuse(request, QUEUE_FULL, now)
            return
        waiting = self._room.test(request, now.mono + TEST_SECONDS)
        self._values[PENDING] += 1
        addresses = [request.home]
        if request.flags & BU_L:
            addresses.append(_LINK_LOCAL + request.home[8:])
        link = self._settings.mipv6_home_link
        self._sessions.effects.append(TestAddress(waiting.token, tuple(addresses), link))
        self.schedule(waiting.until)

    def _resume(self, request: HostRequest, now: Now) -> None:
        """Go on with an update whose address nobody has; the service may have changed meanwhile."""
        if not self.enabled:
            self._refuse(request, verdicts.NO_SUPPORT, now)
            return
        grant = request.grant
        self._identify(request)
        request.grant = grant
        self._proceed(request, now, tested=True)

    def _ask(self, request: HostRequest, now: Now) -> None:
        """Let the update wait until AAA has answered about it."""
        entry, sessions = request.entry, self._sessions
        bound = host_of(entry) is not None and entry is not None
        verdict: Verdict | None = QUEUE_FULL if self._room.full else None
        tested = self._room.about(request.home)
        if tested is not None:
            verdict = verdicts.DROP_PENDING
        elif verdict is None and not bound:
            verdict = sessions.room(request.mn_id, self._room.new)
        if verdict is not None:
            self._refuse(request, verdict, now)
            return
        patience = self._settings.setup_timeout
        call_id = entry.call_id if bound and entry is not None else sessions.reserve()
        waiting = self._room.ask(request, now.mono + patience + GRACE, call_id, new=not bound)
        self._values[PENDING] += 1
        self._asking.asked()
        sessions.effects.append(question(request, waiting.token, waiting.call_id, patience))
        self.schedule(waiting.until)

    def authorized(self, answer: Authorized, now: Now) -> None:
        """AAA has answered."""
        waiting = self._room.pop(answer.token)
        if waiting is None:
            return
        self._values[PENDING] -= 1
        self._asking.answered(answer)
        request = waiting.request
        request.now = now
        accepted = answer.verdict == aaa.ACCEPT
        if accepted:
            request.grant = answer.grant
            request.token = waiting.token
            request.granted_call = waiting.call_id if waiting.new else 0
        elif waiting.new:
            self._sessions.unreserve(waiting.call_id)
        self._identify(request)
        verdict = proved(request, answer)
        if verdict is None and (request.entry is not None and waiting.new and host_of(request.entry)):
            # Somebody else has bound the address meanwhile.
            verdict = verdicts.DUPLICATE
        if verdict is not None:
            self._refuse(request, verdict, now)
        else:
            self._authentic(request, now)

    def _unanswered(self, waiting: Waiting, now: Now) -> None:
        """The AAA client has said nothing in all the time that it had."""
        self._asking.dropped()
        if waiting.new:
            self._sessions.unreserve(waiting.call_id)
        call_id = waiting.call_id if waiting.new else 0
        self._sessions.effects.append(Abandon(waiting.token, call_id))
        self._refuse(waiting.request, NO_ANSWER, now)

    def _unused(self, request: HostRequest) -> None:
        """What AAA has granted for an update that is refused is given back."""
        if request.granted_call:
            self._sessions.unreserve(request.granted_call)
            self._sessions.effects.append(Abandon(request.token, request.granted_call))
            request.granted_call = 0


def _text(address: bytes) -> bytes:
    """A packed address as the name of a host that has no other."""
    return str(ip_address(address)).encode()
