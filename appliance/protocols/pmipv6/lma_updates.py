"""Updates that the AAA server has a say in (RFC 5779 section 4.2).

::

    update ─▶ Decisions ─▶ wants a grant? ─▶ Question ──Authorize──▶ AAA client
                 ▲              a newer one of the session │ takes its place, or calls it off
                 └── goes on, or is refused ◀── Authorized ◀┘

An update that waits for the answer waits alone: other mobile nodes, and the gateway that serves the same one
now, go on.
"""

from collections import deque

from appliance.counters import CounterSet
from appliance.protocols.mobility import aaa
from appliance.protocols.mobility.aaa import Abandon, Authorized
from appliance.protocols.mobility.status import REVOKE_ADMINISTRATIVE
from appliance.protocols.pmipv6 import lma_checks as checks
from appliance.protocols.pmipv6 import lma_request as verdicts
from appliance.protocols.pmipv6.bce import BindingCacheEntry
from appliance.protocols.pmipv6.features import Features
from appliance.protocols.pmipv6.lma_aaa import (
    ATTEMPTS,
    FAILED,
    GRACE,
    NO_ANSWER,
    REFUSED,
    SUCCESS,
    VERDICTS,
    Question,
    Questions,
    asks,
    authority,
    key_of,
    not_granted,
    question_about,
    question_again,
    same_wish,
)
from appliance.protocols.pmipv6.lma_counts import PENDING, QUEUE_FULL, Kind
from appliance.protocols.pmipv6.lma_decisions import Decisions
from appliance.protocols.pmipv6.lma_request import Request, Verdict
from appliance.protocols.pmipv6.lma_sessions import Sessions
from appliance.protocols.pmipv6.reports import Reports
from appliance.protocols.pmipv6.settings import LmaSettings
from appliance.protocols.timers import Now

#: Updates that go on in one tick after having waited for AAA; the rest comes in the next one.
PER_TICK = 2_000


class Updates(Decisions):
    """Decides about the updates of one service, with AAA if there is a group for it."""

    def __init__(
        self,
        settings: LmaSettings,
        counters: CounterSet,
        reports: Reports,
        sessions: Sessions,
        features: Features,
    ) -> None:
        self.questions = Questions()
        #: Questions to an AAA server that is not the one to ask any more.
        self._outdated: deque[int] = deque()
        super().__init__(settings, counters, reports, sessions, features)

    def _prepare(self, settings: LmaSettings) -> None:
        super()._prepare(settings)
        self._asks = asks(settings)
        group = settings.aaa
        self._asks_on_handoff = group is not None and group.authorize_on_handoff
        self._consults = self._asks or bool(self.questions.open)

    def reconfigure(self, settings: LmaSettings, now: Now) -> None:
        """Decide by other settings from now on."""
        old = self.settings
        super().reconfigure(settings, now)
        latest = now.mono + settings.setup_timeout + GRACE
        for question in self.questions.open.values():
            question.until = min(question.until, latest)
        if authority(old) != authority(settings):
            # Whoever is asked now knows of no session and of no question.
            self._outdated.extend(self.questions.open)
            self._sessions.forget_grants()

    @property
    def deadline(self) -> float | None:
        """When :meth:`tick` is wanted next, in monotonic seconds."""
        if self._outdated:
            return 0.0
        until = super().deadline
        if self.questions.open:
            first = next(iter(self.questions.open.values())).until
            return first if until is None else min(first, until)
        return until

    def tick(self, now: Now) -> None:
        """Go on with the updates that have waited long enough."""
        super().tick(now)
        for _ in range(min(PER_TICK, len(self._outdated))):
            self._ask_anew(self._outdated.popleft(), now)
        for _ in range(PER_TICK):
            question = next(iter(self.questions.open.values()), None)
            if question is None or question.until > now.mono:
                break
            self._unanswered(question, now)

    def _consulted(self, request: Request, kind: Kind, now: Now) -> bool:
        if not self._asks:
            return False
        if request.grant is None and self._needs_grant(request):
            self._ask(request, kind, now)
            return True
        verdict = self._not_granted(request)
        if verdict is not None:
            self._refuse(request, kind, verdict, now)
        return verdict is not None

    def _needs_grant(self, request: Request) -> bool:
        """Whether AAA is to be asked: about a new session; if the operator wants it, about a handover."""
        entry = request.entry
        if entry is None or entry.ends is None or entry.grant is None:
            return True
        if self._asks_on_handoff and (
            entry.care_of != request.care_of or (request.port and request.elsewhere(entry))
        ):
            return True
        # RFC 5149 section 3: another service is to be authorized.
        service = request.service
        return (
            service is not None
            and service.identifier != entry.service
            and service.identifier not in entry.grant.services
        )

    def _not_granted(self, request: Request) -> Verdict | None:
        entry = request.entry
        grant = request.grant or (None if entry is None else entry.grant)
        return None if grant is None else not_granted(request, grant)

    def _absorbed(self, request: Request, kind: Kind, now: Now) -> bool:
        question = self.questions.about(key_of(request))
        older = None if question is None else question.request
        if question is None or older is None:
            return False
        if self._is_late(request, older):
            self._refuse(request, kind, verdicts.DROP_AUTH_PENDING, now)
            return True
        if not request.lifetime:
            if request.care_of == older.care_of:
                # The mobile node has left again.
                self._call_off(question, now)
            return False
        if not self._needs_grant(request):
            return False
        if not same_wish(older, request):
            self._call_off(question, now)
            return False
        # It takes the place of what waits, with its time: repeating must not prolong the wait.
        request.until = older.until
        question.request = request
        self._answers.refuse(older, kind, verdicts.DROP_AUTH_PENDING, now)
        return True

    def _is_late(self, request: Request, older: Request) -> bool:
        if self.policy.uses_timestamp(request) and older.timestamp is not None:
            late: bool = request.timestamp.value < older.timestamp.value
            return late
        return (request.sequence - older.sequence) & 0xFFFF > 32767

    def _ask(self, request: Request, kind: Kind, now: Now) -> None:
        """Let the update wait until AAA has answered about its session."""
        entry, questions, values = request.entry, self.questions, self.counters.values
        key = key_of(request)
        question = questions.about(key)
        if not request.until:
            request.until = now.mono + self.settings.setup_timeout
        if question is None:
            verdict: Verdict | None = None
            if len(questions.open) >= self.settings.max_pending:
                verdict = QUEUE_FULL
            elif entry is None:
                verdict = self._sessions.room(request.mn_id, questions.new, questions.of(request.mn_id))
            if verdict is not None:
                self._refuse(request, kind, verdict, now)
                return
            call_id = self._sessions.reserve() if entry is None else entry.call_id
            question = questions.put(key, call_id, request.until + GRACE)
            values[ATTEMPTS] += 1
            patience = max(0.0, request.until - now.mono)
            self._sessions.effects.append(question_about(request, question, patience))
        # Else it is asked about the session already, and nobody waits for the answer yet.
        values[PENDING] += 1
        question.request = request
        if entry is not None:
            question.stamp = entry.timestamp, entry.sequence

    def reauthorize(self, call_id: int, now: Now) -> None:
        """Ask again about a session that goes on meanwhile."""
        entry = self._cache.calls.get(call_id)
        if (
            not self._asks
            or entry is None
            or entry.deleting
            or len(self.questions.open) >= self.settings.max_pending
            or self.questions.about(call_id) is not None
        ):
            return
        patience = self.settings.setup_timeout
        question = self.questions.put(call_id, call_id, now.mono + patience + GRACE)
        self.counters.values[ATTEMPTS] += 1
        self._sessions.effects.append(question_again(entry, question.token, patience))

    def authorized(self, answer: Authorized, now: Now) -> None:
        """AAA has answered: the update that waited goes on."""
        question = self.questions.pop(answer.token)
        if question is None:
            return
        accepted = answer.verdict == aaa.ACCEPT
        if accepted:
            self.counters.values[FAILED if answer.grant.local else SUCCESS] += 1
        else:
            self.counters.values[FAILED if answer.verdict == aaa.NO_ANSWER else REFUSED] += 1
        if question.new and not accepted:
            self._sessions.unreserve(question.call_id)
        if question.request is None:
            self._authorized_again(question, answer, now)
        elif accepted:
            self._granted(question, question.request, answer, now)
        else:
            self._denied(question, question.request, answer, now)

    def _authorized_again(self, question: Question, answer: Authorized, now: Now) -> None:
        entry = self._cache.calls.get(question.call_id)
        if entry is None:
            return
        if answer.verdict == aaa.ACCEPT:
            self._sessions.regrant(entry, answer.grant, now)
        elif answer.verdict != aaa.NO_ANSWER:
            self._expel(entry, now)

    def _granted(self, question: Question, request: Request, answer: Authorized, now: Now) -> None:
        self.counters.values[PENDING] -= 1
        request.now = now
        request.grant = answer.grant
        request.granted_call = question.call_id if question.new else 0
        request.token = question.token
        found = self._look_up_again(request, now)
        if found is None:
            return
        entry = request.entry
        if (0 if entry is None else entry.call_id) != (0 if question.new else question.call_id):
            # The session has come, or gone, while it was asked about: that is another question.
            self._unused(request)
            request.grant, request.granted_call = None, 0
        elif entry is not None and (entry.timestamp, entry.sequence) != question.stamp:
            for check in checks.ORDER:
                verdict = check(self.policy, request)
                if verdict is not None:
                    self._refuse(request, self._answers.classify(request), verdict, now)
                    return
        self._proceed(request, found, now)

    def _denied(self, question: Question, request: Request, answer: Authorized, now: Now) -> None:
        self.counters.values[PENDING] -= 1
        request.now = now
        entry = request.entry = self._cache.calls.get(question.call_id)
        kind, request.entry = self._answers.classify(request), None
        self._refuse(request, kind, VERDICTS[answer.verdict], now)
        if entry is not None and answer.verdict != aaa.NO_ANSWER:
            # RFC 6733 section 8.1: an open session that is not authorized any more ends.
            self._expel(entry, now)

    def _expel(self, entry: BindingCacheEntry, now: Now) -> None:
        self.drop(entry, REVOKE_ADMINISTRATIVE, aaa.ADMINISTRATIVE, now)

    def _unused(self, request: Request) -> None:
        grant, call_id = request.grant, request.granted_call
        if call_id:
            self._sessions.unreserve(call_id)
            self._sessions.effects.append(Abandon(request.token, call_id))
        elif request.entry is not None and grant is not None:
            self._sessions.regrant(request.entry, grant, request.now)

    def _unanswered(self, question: Question, now: Now) -> None:
        """The AAA client has said nothing in all the time that it had."""
        request = question.request
        self._drop(question)
        if request is not None:
            self.counters.values[PENDING] -= 1
            request.now = now
            self._refuse(request, self._answers.classify(request), NO_ANSWER, now)

    def _call_off(self, question: Question, now: Now) -> None:
        """Something newer makes a question pointless, and the update that waits for it."""
        request = question.request
        assert request is not None
        self._drop(question)
        self.counters.values[PENDING] -= 1
        kind = self._answers.classify(request)
        self._answers.refuse(request, kind, verdicts.DROP_AUTH_PENDING, now)

    def _drop(self, question: Question) -> None:
        """Have no answer to a question."""
        self.questions.pop(question.token)
        self.counters.values[FAILED] += 1
        if question.new:
            self._sessions.unreserve(question.call_id)
        call_id = question.call_id if question.new else 0
        self._sessions.effects.append(Abandon(question.token, call_id))

    def _ask_anew(self, token: int, now: Now) -> None:
        """Decide again about what waits for an AAA server that is not asked any more."""
        question = self.questions.open.get(token)
        if question is None:
            return
        self._drop(question)
        if question.request is not None:
            self._resume(question.request, now)
