"""Quality of service at an anchor (RFC 7222): requests of gateways, limits of subscribers, rates of sessions.

::

    profile, AAA grant ─▶ limits ─┬─▶ Rates ─▶ Install (policing, marking)
    PBU with QoS options ─judge──▶┘     └─ all given ─▶ RESPONSE, less ─▶ NEGOTIATE, nothing ─▶ status 179
"""

from collections import deque
from typing import Any

from appliance.protocols.mobility import status as codes
from appliance.protocols.mobility.options import QualityOfService
from appliance.protocols.pmipv6 import qos
from appliance.protocols.pmipv6.bce import HI_GATEWAYS, BindingCacheEntry
from appliance.protocols.pmipv6.extras import extras_of
from appliance.protocols.pmipv6.features import Before, Feature
from appliance.protocols.pmipv6.lma_notifications import Notifications
from appliance.protocols.pmipv6.lma_request import Request
from appliance.protocols.pmipv6.lma_sessions import Sessions
from appliance.protocols.pmipv6.qos import (
    ALLOCATE,
    DE_ALLOCATE,
    MODIFY,
    NEGOTIATE,
    QUERY,
    Limits,
    Rates,
    ServiceRequest,
)
from appliance.protocols.pmipv6.settings import LmaSettings
from appliance.protocols.timers import Now

#: Sessions whose rates are looked at in one tick after a change of settings.
PER_TICK = 500


class QualityOfServiceRequests(Feature):
    """The feature. By ``notifications`` gateways are told of changes here (RFC 7077, reason 5)."""

    notifications: Notifications | None = None

    def __init__(self, settings: LmaSettings, sessions: Sessions) -> None:
        self._settings = settings
        self._sessions = sessions
        #: Sessions to look at after a change of settings.
        self._suspects: deque[BindingCacheEntry] = deque()
        #: The limits that all of them are forwarded by; ``None``: not all by the same.
        self._old: Limits | None = sessions.limits

    def reconfigure(self, settings: LmaSettings, now: Now) -> None:
        """Rates of subscribers may be others: all sessions are looked at, some in each tick."""
        old, self._settings = self._settings, settings
        if (old.profiles, old.default_profile) != (settings.profiles, settings.default_profile):
            # A change that was not carried through has left sessions by either limits.
            self._old = None if self._suspects else self._sessions.limits
            self._suspects = deque(self._sessions.cache.calls.values())
            self.schedule(now.mono)

    def accepted(self, request: Request, entry: BindingCacheEntry, before: Before, now: Now) -> None:
        """Answer the options of an update."""
        asked = [each for each in request.others if each.__class__ is QualityOfService]
        held = self._held(entry)
        if not request.lifetime or (not asked and not held):
            return
        if not asked:
            # RFC 7222 section 5.1: a new gateway is told of what there is.
            if request.indicator.value == HI_GATEWAYS or before.moved(entry):
                request.answer_options += [each.option() for each in held]
            return
        self._answer(asked, held, request, entry)

    @staticmethod
    def _held(entry: BindingCacheEntry) -> list[ServiceRequest]:
        return [] if entry.extras is None or entry.extras.qos is None else entry.extras.qos

    def _answer(
        self,
        asked: list[QualityOfService],
        held: list[ServiceRequest],
        request: Request,
        entry: BindingCacheEntry,
    ) -> None:
        before = self._sessions.rates(entry)
        for each in asked:
            if each.operation == DE_ALLOCATE:
                held = [other for other in held if other.sr_id != each.sr_id]
                request.answer_options.append(
                    QualityOfService(each.sr_id, each.traffic_class, qos.RESPONSE, each.attributes)
                )
        wanted = [each for each in asked if each.operation in (ALLOCATE, MODIFY)]
        given = self._judge(wanted, held, request, entry)
        if wanted and not any(gift is not None for gift in given):
            request.answer_status = codes.CANNOT_MEET_QOS_SERVICE_REQUEST
            refused = {each.sr_id for each in wanted if each.operation == MODIFY}
            held = [each for each in held if each.sr_id not in refused]
        elif all(tuple(each.attributes) == gift for each, gift in zip(wanted, given, strict=True)):
            held = list(held)
            request.answer_options += [self._keep(each, held).option() for each in wanted]
        else:
            request.answer_options += [
                QualityOfService(0, each.traffic_class, NEGOTIATE, list(gift))
                for each, gift in zip(wanted, given, strict=True)
                if gift is not None
            ]
        if any(each.operation == QUERY for each in asked):
            request.answer_options += [each.option() for each in held]
        self._store(entry, held, before)

    def _judge(
        self,
        wanted: list[QualityOfService],
        held: list[ServiceRequest],
        request: Request,
        entry: BindingCacheEntry,
    ) -> list[tuple[tuple[int, bytes], ...] | None]:
        """For each request as much as can be given; ``None``: nothing, it is not known, there is no room."""
        if not request.profile.qos_requests:
            return [None for _ in wanted]
        limits = self._sessions.limits.of(entry)
        #: Class of each request as it would be, by number; RFC 7222 section 5.2: each has another.
        classes = {each.sr_id: each.traffic_class for each in held}
        given: list[tuple[tuple[int, bytes], ...] | None] = []
        for each in wanted:
            others = [one for number, one in classes.items() if number != each.sr_id]
            if each.operation == ALLOCATE:
                known = each.traffic_class in classes.values()
                possible = known or len(classes) < qos.MOST
                if possible and not known:
                    classes[-len(classes)] = each.traffic_class
            else:
                possible = each.sr_id in classes and each.traffic_class not in others
                if possible:
                    classes[each.sr_id] = each.traffic_class
            gift = qos.judge(each.attributes, limits)
            # One without attributes wants its traffic class marked.
            given.append(gift if possible and (gift or not each.attributes) else None)
        return given

    @staticmethod
    def _keep(option: QualityOfService, held: list[ServiceRequest]) -> ServiceRequest:
        """Put a request that is granted among those that are held."""
        for each in held:
            # RFC 7222 section 5.2: each request has another DSCP, so one with the same is the same.
            same = each.traffic_class == option.traffic_class
            if each.sr_id == option.sr_id if option.operation == MODIFY else same:
                each.traffic_class, each.attributes = option.traffic_class, tuple(option.attributes)
                return each
        used = {each.sr_id for each in held}
        sr_id = next(number for number in range(1, 256) if number not in used)
        agreed = ServiceRequest(sr_id, option.traffic_class, tuple(option.attributes))
        held.append(agreed)
        return agreed

    def _store(self, entry: BindingCacheEntry, held: list[ServiceRequest], before: Rates) -> None:
        """Keep what is agreed, and forward by it; ``before``: the rates until now."""
        if held or entry.extras is not None:
            extras_of(entry).qos = held or None
        if self._sessions.rates(entry) != before and not entry.deleting:
            self._sessions.install(entry)

    # ---- changes on our side

    def _lower(self, entry: BindingCacheEntry, now: Now) -> None:
        """Bring agreed requests within other limits, and tell the gateway (RFC 7222 section 5.2)."""
        limits = self._sessions.limits.of(entry)
        lowered: list[Any] = []
        for each in self._held(entry):
            given = qos.judge(each.attributes, limits)
            if given != tuple(each.attributes):
                each.attributes = given
                lowered.append(each.option(MODIFY))
        if not lowered or self.notifications is None:
            return

        def answered(status: int | None, _now: Now) -> None:
            if self._sessions.cache.calls.get(entry.call_id) is entry:
                self.agreed(entry, lowered, status is not None and status < 128)

        self.notifications.notify(entry, codes.UPN_QOS_SERVICE_REQUEST, lowered, now, answered)

    def agreed(self, entry: BindingCacheEntry, options: list[Any], accepted: bool) -> None:
        """What a gateway refuses, or does not answer, is not kept (RFC 7222 section 5.1)."""
        if accepted:
            return
        refused = {each.sr_id for each in options}
        before = self._sessions.rates(entry)
        self._store(entry, [each for each in self._held(entry) if each.sr_id not in refused], before)

    @property
    def deadline(self) -> float | None:
        """At once, while there are sessions to look at."""
        return 0.0 if self._suspects else None

    def tick(self, now: Now) -> None:
        """Give sessions the rates that they have now."""
        cache = self._sessions.cache.calls
        old, new = self._old, self._sessions.limits
        for _ in range(min(PER_TICK, len(self._suspects))):
            entry = self._suspects.popleft()
            if cache.get(entry.call_id) is not entry or entry.deleting:
                continue
            if old is None or old.of(entry) != new.of(entry):
                self._lower(entry, now)
                self._sessions.install(entry)

    def details(self, entry: BindingCacheEntry) -> list[tuple[str, str]]:
        """The requests, and what is enforced."""
        held, rates = self._held(entry), self._sessions.rates(entry)
        # A subscriber may have limits though the gateway asks for nothing.
        if not (held or rates.up or rates.down):
            return []
        return [*qos.texts(held), qos.enforced(rates)]
