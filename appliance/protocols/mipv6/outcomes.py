"""How an update of a host ends: accepted, denied or discarded, with its answer and its counters."""

from typing import Any

from appliance.counters import CounterSet
from appliance.protocols.mipv6 import checks
from appliance.protocols.mipv6 import request as verdicts
from appliance.protocols.mipv6.answers import acknowledgement, to_link
from appliance.protocols.mipv6.asking import subject
from appliance.protocols.mipv6.binding import host_of
from appliance.protocols.mipv6.events import SendRouted, SendTunnelled
from appliance.protocols.mipv6.registrations import Registrations
from appliance.protocols.mipv6.request import HostRequest
from appliance.protocols.mipv6.several import Plan
from appliance.protocols.mobility import aaa
from appliance.protocols.mobility.aaa import Abandon, Account
from appliance.protocols.pmipv6.events import Send
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
    REFRESH,
    Kind,
)
from appliance.protocols.pmipv6.lma_request import Verdict
from appliance.protocols.pmipv6.lma_sessions import Sessions
from appliance.protocols.pmipv6.lma_updates import Updates
from appliance.protocols.pmipv6.reports import Reports
from appliance.protocols.pmipv6.settings import LmaSettings
from appliance.protocols.timers import Now

#: Refused like this an update may be discarded instead: there is no key that an answer could be protected by.
_UNPROTECTED = (verdicts.NO_OPTION, verdicts.UNKNOWN_AAA_SPI, verdicts.UNKNOWN_HA_SPI)


class Outcomes:
    """The part of the hosts' core that ends updates; its fields are those of ``hosts.Hosts``."""

    _values: Any
    _counters: CounterSet
    _policy: checks.HostPolicy
    _registrations: Registrations
    _reports: Reports
    _reports_denials: bool
    _sessions: Sessions
    _settings: LmaSettings
    _updates: Updates

    def _kind(self, request: HostRequest) -> Kind:
        entry = request.entry
        if request.leaves:
            return DEREGISTRATION
        if host_of(entry) is None or entry is None or entry.mn_id != request.mn_id:
            # Nothing at all, a gateway's session, or what another host has at this home address.
            return INITIAL
        several = request.identifiers[0].care_of if request.identifiers else b""
        return REFRESH if entry.care_of in (request.care_of, several) else HANDOFF

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
        # What IPsec is required of goes by the socket that sees to it.
        by_link = bool(link) and not self._settings.mipv6_require_ipsec
        at_home = by_link and self._policy.at_home(answer.destination)
        self._sessions.effects.append(to_link(answer, link) if at_home else answer)

    def _discard(self, request: HostRequest, verdict: Verdict) -> None:
        self._values[verdict.counter] += 1

    def _refuse(self, request: HostRequest, verdict: Verdict, now: Now) -> None:
        """Answer with the verdict's status, or not at all; the binding stays as it is."""
        self._unused(request)
        request.unassign()
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

    def _unprotected(self, request: HostRequest, now: Now) -> None:
        """Without a Home Address option it may be the copy of a protected one, which comes by another way."""
        if request.by_option or request.outer is not None:
            self._discard(request, verdicts.DROP_OTHER)
            self._reports.notice("ipsec", verdicts.NO_IPSEC, now, self._sessions.effects)

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

    def _unused(self, request: HostRequest) -> None:
        """What AAA has granted for an update that is refused is given back."""
        if request.granted_call:
            self._sessions.unreserve(request.granted_call)
            self._sessions.effects.append(Abandon(request.token, request.granted_call))
            request.granted_call = 0
