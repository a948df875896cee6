"""What an anchor answers to updates, and how they are counted (RFC 5213 section 5.3.6)."""

from appliance.counters import LMA, CounterSet, deny_key
from appliance.protocols.mobility.messages import BindingAcknowledgement
from appliance.protocols.pmipv6 import lma_request as verdicts
from appliance.protocols.pmipv6 import pba
from appliance.protocols.pmipv6.bce import BindingCacheEntry
from appliance.protocols.pmipv6.events import Concluded, Send
from appliance.protocols.pmipv6.interop import Denials
from appliance.protocols.pmipv6.lma_counts import (
    ACK_DENIED,
    ACK_DEREGISTERED,
    ACK_INITIAL,
    ACK_REGISTERED,
    DEREGISTRATION,
    HANDOFF,
    INITIAL,
    NOTICES,
    REFRESH,
    Kind,
)
from appliance.protocols.pmipv6.lma_request import Request, Verdict
from appliance.protocols.pmipv6.lma_sessions import Sessions
from appliance.protocols.pmipv6.lma_transport import answer
from appliance.protocols.pmipv6.reports import Reports
from appliance.protocols.pmipv6.settings import LmaSettings
from appliance.protocols.timers import Now


class Answers:
    """Answers for one service; the effects go to those of ``sessions``."""

    __slots__ = ("settings", "_denials", "_reports", "_sessions", "_values")

    def __init__(
        self, settings: LmaSettings, counters: CounterSet, reports: Reports, sessions: Sessions
    ) -> None:
        self.settings = settings
        self._values = counters.values
        self._reports = reports
        self._sessions = sessions
        self._denials = Denials()

    @staticmethod
    def classify(request: Request) -> Kind:
        """What an update is counted as, once the session that it means is known."""
        entry = request.entry
        if not request.lifetime:
            return DEREGISTRATION
        if entry is None:
            return INITIAL
        if entry.care_of != request.care_of or (request.port and request.elsewhere(entry)):
            return HANDOFF
        return REFRESH

    def refuse(self, request: Request, kind: Kind, verdict: Verdict, now: Now) -> None:
        """Answer with the verdict's status, or not at all; the session stays as it is."""
        if request.interop and verdict.status >= 0 and self._denials.repeats(request, now):
            verdict = verdicts.DROP_OTHER
        values = self._values
        values[kind.received] += 1
        values[verdict.counter] += 1
        if verdict.status < 0:
            return
        values[kind.denied] += 1
        values[ACK_DENIED] += 1
        notice = NOTICES.get(verdict)
        if notice is not None:
            self._reports.notice(notice[0], notice[1], now, self._sessions.effects)
        self._send(request, pba.denial(request, verdict))

    def repeat(self, request: Request, entry: BindingCacheEntry) -> None:
        """Send the stored answer again, with the sequence number of this request."""
        request.entry = entry
        stored = entry.answer
        sequence = request.sequence.to_bytes(2, "big")
        entry.sequence = request.sequence
        self._count(request, self.classify(request))
        if stored[8:10] == sequence:
            data = stored
            self._give(request, data)
        else:
            data = self._send(request, stored[:4] + b"\0\0" + stored[6:8] + sequence + stored[10:])
        entry.answer = data

    def _count(self, request: Request, kind: Kind) -> None:
        values = self._values
        values[kind.received] += 1
        values[kind.accepted] += 1
        if request.lifetime:
            values[ACK_REGISTERED] += 1
            if kind is INITIAL:
                values[ACK_INITIAL] += 1
        else:
            values[ACK_DEREGISTERED] += 1

    def accept(self, request: Request, kind: Kind) -> None:
        """Answer with success, and keep the answer for a retransmission of the request."""
        entry = request.entry
        assert entry is not None
        advice = 0
        settings = self.settings
        if settings.refresh_advice_option and request.lifetime:
            # RFC 6275 section 6.2.4: less than the granted lifetime.
            advice = entry.lifetime * settings.refresh_interval_percent // 100
        status = request.answer_status or self._sessions.status(request)
        if request.port:
            answer(request, entry, settings.nat_keepalive)
        mh = pba.acceptance(request, entry, status, self._sessions.subnet(entry), advice, settings.dhcp_mode)
        self._count(request, kind)
        entry.answer = self._send(request, mh)
        entry.fingerprint = request.fingerprint

    def approve(self, request: Request, kind: Kind) -> None:
        """Answer a gateway that is not the serving one with success; the session stays as it is."""
        entry = request.entry
        assert entry is not None
        subnet = self._sessions.subnet(entry)
        mh = pba.acceptance(request, entry, request.answer_status, subnet, 0, self.settings.dhcp_mode)
        self._count(request, kind)
        self._send(request, mh)

    def _send(self, request: Request, mh: bytes) -> bytes:
        """RFC 5213 section 5.3.6: to where the update came from, whatever care-of address it names."""
        data = pba.sealed(mh, request.destination, request.source, request.port)
        self._give(request, data)
        return data

    def _give(self, request: Request, data: bytes) -> None:
        """To the gateway, or to the anchor that was asked in place of this one (RFC 6463 section 5.3.1)."""
        if request.relay is None:
            effect: Send | Concluded = Send(data, request.destination, request.source, request.port)
        else:
            effect = Concluded(*request.relay, data)
        self._sessions.effects.append(effect)

    def pass_on(self, request: Request, message: BindingAcknowledgement) -> None:
        """Answer with what another anchor has said about an initial update (RFC 6463 section 5.3.2)."""
        values = self._values
        if message.status < 128:
            self._count(request, INITIAL)
        else:
            values[INITIAL.received] += 1
            values[INITIAL.denied] += 1
            values[ACK_DENIED] += 1
            values[LMA.index(deny_key(message.status))] += 1
        self._send(request, pba.fitting(message))
