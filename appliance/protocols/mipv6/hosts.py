"""The bindings of hosts at an anchor (RFC 6275 section 10, RFC 4285, RFC 5648), without any I/O.

::

    Intake (P flag clear) ─┐
    Options-, Tunnelled- ──┴▶ HostRequest ─▶ BEFORE ─▶ authentic? ─▶ MESG-ID, sequence ─▶ AFTER ─▶ BA
                                                │ MN-AAA                            │ new
                                        Authorize ⇄ Authorized          TestAddress ⇄ AddressTested, time

Every update ends in exactly one of: accepted, denied, discarded, or waiting.
"""

from collections.abc import Callable
from typing import Any

from attrs import evolve

from appliance.counters import CounterSet
from appliance.protocols.mipv6 import checks
from appliance.protocols.mipv6 import request as verdicts
from appliance.protocols.mipv6.asking import Asking, proved, question
from appliance.protocols.mipv6.auth import ASK, Authenticator, Replays
from appliance.protocols.mipv6.binding import HostBinding, host_of
from appliance.protocols.mipv6.bootstrapping import Assigner
from appliance.protocols.mipv6.events import (
    AddressTested,
    HostEvent,
    OptionsReceived,
    ProtectedReceived,
    StopTest,
    TestAddress,
    TunnelledReceived,
)
from appliance.protocols.mipv6.features import HostFeatures
from appliance.protocols.mipv6.intake import HostIntake
from appliance.protocols.mipv6.outcomes import Outcomes
from appliance.protocols.mipv6.registrations import Registrations
from appliance.protocols.mipv6.request import HostRequest, Outer
from appliance.protocols.mipv6.several import plan
from appliance.protocols.mipv6.views import details
from appliance.protocols.mipv6.waiting import Waiting, WaitingRoom
from appliance.protocols.mobility import aaa
from appliance.protocols.mobility.aaa import Abandon, Authorized
from appliance.protocols.mobility.codec import Fault
from appliance.protocols.mobility.messages import BU_L, BindingUpdate
from appliance.protocols.pmipv6.bce import BindingCacheEntry, Found
from appliance.protocols.pmipv6.events import PacketReceived
from appliance.protocols.pmipv6.features import Feature
from appliance.protocols.pmipv6.lma_aaa import GRACE, NO_ANSWER
from appliance.protocols.pmipv6.lma_counts import (
    PENDING,
    QUEUE_FULL,
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
_LINK_LOCAL = bytes.fromhex("fe80000000000000")


class Hosts(Outcomes, Feature):
    """The hosts of one service; its effects go to those of ``sessions``."""

    def __init__(
        self,
        settings: LmaSettings,
        counters: CounterSet,
        reports: Reports,
        sessions: Sessions,
        updates: Updates,
        random_bits: Callable[[int], int],
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
        self._assigner = Assigner(counters, sessions, random_bits)
        self.features.add(self._assigner)
        self.features.events[ProtectedReceived] = self._protected
        self._departing = False
        #: Some of them (``mipv6.anchor.Parts``), which others ask.
        self.parts: Any = None
        self._prepare(settings)

    def _prepare(self, settings: LmaSettings) -> None:
        self.enabled = settings.mipv6
        self._intake.ipsec = settings.mipv6_require_ipsec
        self._settings = settings
        self._policy = checks.HostPolicy(settings, self._sessions.cache, self._sessions.pools)
        self._authenticator = Authenticator(settings)
        self._registrations.reconfigure(settings)
        self._room.most = settings.max_pending
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
        features = self.features.agenda.deadline
        waiting = None if self._departing else self._room.deadline
        return waiting if features is None or (waiting is not None and waiting < features) else features

    def tick(self, now: Now) -> None:
        """Go on with what has waited long enough."""
        self._replays.forget(now)
        self.features.tick(now)
        if self._departing:
            return
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

    @property
    def keep(self) -> Callable[[BindingCacheEntry, HostBinding, Any], None]:
        """Lets a binding go on with some of its care-of addresses (``Registrations.keep``)."""
        return self._registrations.keep

    def dissolve(self) -> None:
        """Count what waits as discarded, before the core is thrown away."""
        self._values[PENDING] -= len(self._room)
        self._values[verdicts.DROPPED] += len(self._room)
        self._room = WaitingRoom()

    def depart(self, now: Now) -> None:
        """The service is about to stop: hosts are told; all that they say but their answers is discarded."""
        self._departing = True
        self._policy = checks.HostPolicy(
            evolve(self._settings, shutdown=True), self._sessions.cache, self._sessions.pools
        )
        self.features.depart(now)

    def key_of(self, entry: BindingCacheEntry, now: Now) -> tuple[int, bytes]:
        """SPI and MN-HA key of a host; an empty key: it has none."""
        host = host_of(entry)
        if host is None or host.spi is None:
            return 0, b""
        profile = self._policy.profile(entry.mn_id, entry.prefix or b"")
        return host.spi, self._authenticator.key_of(profile, host, now)

    def close(self) -> None:
        """Let go of the features, which refer back to here."""
        self.features.close()
        self.parts = None

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
            self._assigner.avoid(waiting.request.home)
            self._refuse(waiting.request, verdicts.DUPLICATE, now)

    def _protected(self, event: ProtectedReceived, now: Now) -> None:
        self._intake.protected(event, now, self.update)

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
        if self._settings.mipv6_require_ipsec and not request.protected:
            self._unprotected(request, now)
            return
        verdict = checks.unreadable(self._policy, request, faults)
        if verdict is None and request.assigned:
            verdict = self._assigner.propose(request, self._policy)
        for check in checks.BEFORE if verdict is None else ():
            verdict = verdict or check(self._policy, request)
        if verdict is not None:
            self._refuse(request, verdict, now)
            return
        verdict = self.features.before(request, now)
        if verdict is not None:
            self._discard(request, verdict)
            return
        self._identify(request)
        waiting = self._room.about(request.home)
        verdict = self._authenticator.check(request, now)
        if verdict is not None and waiting is not None and not waiting.tested:
            # Anybody can have AAA asked about an address: whose own proof is right goes before.
            self._discard(request, verdicts.DROP_PENDING)
            return
        if self._updates.overload.refusing and verdict in (None, ASK) and request.entry is None:
            self._congested(request, now)
        elif verdict is ASK:
            self._ask(request, now)
        elif verdict is not None:
            self._refuse(request, verdict, now)
        else:
            self._authentic(request, now)

    def _identify(self, request: HostRequest) -> None:
        """Who it is, and what has the home address now."""
        profile = request.profile = self._policy.profile(request.mn_id, request.home)
        if not request.mn_id:
            # A host without an MN-ID is known by its profile, or by its home address.
            request.mn_id = (profile.mn_id if profile is not None else b"") or verdicts.name_of(request.home)
        cache = self._sessions.cache
        request.entry = cache.prefixes.get(request.home) or cache.holder(request.home)

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

    # ---- waiting

    def _test(self, request: HostRequest, now: Now) -> None:
        """RFC 6275 section 10.3.1: nobody on the home link may have the address."""
        if self._room.full or self._room.about(request.home) is not None:
            self._refuse(request, QUEUE_FULL if self._room.full else verdicts.DROP_PENDING, now)
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
        # What another host has at this address is not to be asked about as his.
        bound = host_of(entry) is not None and entry is not None and entry.mn_id == request.mn_id
        verdict: Verdict | None = QUEUE_FULL if self._room.full else None
        tested = self._room.about(request.home)
        if tested is not None:
            verdict = verdicts.DROP_PENDING
        elif verdict is None and not bound:
            verdict = sessions.room(request.mn_id, self._room.new)
        for check in checks.UNASKED:
            verdict = verdict or check(self._policy, request)
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
            self._assigner.granted(request, self._policy)
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
