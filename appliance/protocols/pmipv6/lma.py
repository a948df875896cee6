"""The local mobility anchor (RFC 5213 section 5, with RFC 5844 and RFC 5845), without any I/O.

::

    PacketReceived ─▶ length, checksum, type ─▶ codec ─▶ Request
         ─▶ BEFORE_LOOK_UP ─▶ stored answer? ─▶ look-up ─▶ FRESHNESS ─▶ CONTENT
              │ refused         │ again           │ HI 4: wait for the other gateway
              ▼                 ▼                 ▼
            PBA status       the same PBA      Sessions: create, update, deregister ─▶ PBA, Install, Remove

Every update that arrives ends in exactly one of: accepted, denied, discarded, or waiting.
"""

import ipaddress
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from appliance.counters import CounterSet
from appliance.protocols.mobility.codec import decode, verify
from appliance.protocols.mobility.messages import BindingUpdate
from appliance.protocols.pmipv6 import lma_checks as checks
from appliance.protocols.pmipv6 import lma_request as verdicts
from appliance.protocols.pmipv6 import pba
from appliance.protocols.pmipv6.bce import HI_GATEWAYS, HI_INTERFACES, HI_REFRESH, BindingCacheEntry, Found
from appliance.protocols.pmipv6.coverage import affected
from appliance.protocols.pmipv6.events import ClearSessions, PacketReceived, Reconfigure, Send
from appliance.protocols.pmipv6.lma_counts import (
    ACK_DENIED,
    ACK_DEREGISTERED,
    ACK_ERROR,
    ACK_INITIAL,
    ACK_REGISTERED,
    ADMIN_DROPPED,
    DEREGISTERED,
    DEREGISTRATION,
    ERROR_SENT,
    EXPIRED,
    HANDOFF,
    INITIAL,
    NOTICES,
    OTHER_ENDED,
    OTHER_IGNORED,
    OTHER_RECEIVED,
    OTHER_UNKNOWN,
    PENDING,
    PROBLEM_SENT,
    QUEUE_FULL,
    REFRESH,
    Kind,
)  # fmt: skip
from appliance.protocols.pmipv6.lma_request import Request, Verdict
from appliance.protocols.pmipv6.lma_sessions import Sessions
from appliance.protocols.pmipv6.reports import Reports
from appliance.protocols.pmipv6.settings import LmaSettings
from appliance.protocols.timers import Now

#: Updates that may wait for another gateway's de-registration at one time.
WAITING = 10_000
#: Bindings looked at in one tick; the rest comes in the next one.
PER_TICK = 2_000

_BINDING_UPDATE = BindingUpdate.TYPE


class Waiting(NamedTuple):
    """An update that waits for the de-registration of another session of its mobile."""

    request: Request
    until: float


class LocalMobilityAnchor:
    """One LMA service.

    ``counters`` is a set over the LMA table; ``random_bits(n)`` gives an n-bit random number (call ids).
    """

    def __init__(
        self, settings: LmaSettings, counters: CounterSet, random_bits: Callable[[int], int]
    ) -> None:
        self.settings = settings
        self.counters = counters
        self._sessions = Sessions(settings, random_bits)
        self._cache = self._sessions.cache
        self._policy = checks.Policy(settings)
        self._reports = Reports()
        #: By call id of the session waited for, in order of arrival; all wait equally long.
        self._waiting: OrderedDict[int, Waiting] = OrderedDict()
        self._patience = settings.max_delay_before_new_bce_assign / 1000

    # What the service asks.

    @property
    def session_count(self) -> int:
        """How many sessions there are, those being deleted included."""
        return len(self._cache)

    pools = property(lambda self: self._sessions.pools, doc="Where home prefixes and addresses come from.")

    def sessions(
        self, mn_id: bytes = b"", address: bytes = b"", call_id: int = 0
    ) -> Iterator[BindingCacheEntry]:
        """The sessions that fit; ``address`` is an IPv4 home address, a prefix or an address inside one."""
        return self._cache.select(mn_id, address, call_id)

    def subnet(self, entry: BindingCacheEntry) -> tuple[int, bytes | None]:
        """Prefix length and default router that go with the session's IPv4 home address."""
        return (32, None) if entry.ipv4_address is None else self._sessions.pools.subnet(entry.ipv4_address)

    def affected(self, settings: LmaSettings) -> Iterator[bool]:
        """For each session that ``settings`` may end, whether they do; changes nothing."""
        return affected(self.settings, settings, self._cache)

    def dissolve(self) -> int:
        """Count all sessions as ended by the operator, before the core is thrown away; returns how many."""
        values, ended = self.counters.values, len(self._cache)
        values[ADMIN_DROPPED] += ended
        values[PENDING] -= len(self._waiting)
        return ended

    def send_failed(self) -> None:
        """An acknowledgement could not be sent."""
        self.counters.values[ACK_ERROR] += 1

    # The shape of a core.
    def receive(self, event: PacketReceived | ClearSessions | Reconfigure, now: Now) -> None:
        """Take one event in; never raises for anything that came off the wire."""
        if isinstance(event, PacketReceived):
            self._packet(event, now)
        elif isinstance(event, Reconfigure):
            self._reconfigure(event, now)
        else:
            self._clear(event, now)

    @property
    def deadline(self) -> float | None:
        """When :meth:`tick` is wanted next, in monotonic seconds."""
        if self._sessions.suspects:
            return 0.0
        wheel = self._sessions.wheel.deadline
        if not self._waiting:
            return wheel
        until = next(iter(self._waiting.values())).until
        return until if wheel is None else min(until, wheel)

    def tick(self, now: Now) -> None:
        """End the sessions that are due, and the waiting of updates that waited long enough."""
        values = self.counters.values
        self._drop_uncovered(now)
        for entry in self._sessions.expired(now, PER_TICK):
            if entry.bucket >= 0:
                # An update that had waited for one of the others has just extended this one.
                continue
            # RFC 5213 section 5.3.5 for the delay; an expired lifetime ends the session at once.
            values[DEREGISTERED if entry.deleting else EXPIRED] += 1
            self._end(entry, now)
        while self._waiting:
            call_id, waiting = next(iter(self._waiting.items()))
            if waiting.until > now.mono:
                break
            del self._waiting[call_id]
            self._resume(waiting.request, now)

    def take(self) -> list[Any]:
        """The effects since the last call."""
        effects, self._sessions.effects = self._sessions.effects, []
        return effects

    # Packets.

    def _packet(self, event: PacketReceived, now: Now) -> None:
        data = event.data
        size = len(data)
        is_update = size < 3 or data[2] == _BINDING_UPDATE
        # What of the payload lies behind Header Len is no part of the message.
        if size < 8 or (data[1] + 1) * 8 > size:
            self._drop(verdicts.DROP_LENGTH) if is_update else self._ignore()
            return
        if len(event.source) == 4 and not event.port:
            # RFC 768: source port 0 wants no answer, and it is not to be taken for a message in IPv6.
            self._drop(verdicts.DROP_OTHER) if is_update else self._ignore()
            return
        # RFC 5844 section 4.1.3.1: over UDP the host has verified the UDP checksum; ours is zero.
        if not event.port and not verify(data[: (data[1] + 1) * 8], event.source, event.destination):
            self._drop(verdicts.DROP_CHECKSUM) if is_update else self._ignore()
            return
        message, faults = decode(data)
        if not is_update:
            self._other(event, faults, now)
        elif faults or not isinstance(message, BindingUpdate):
            self._faulty(event, faults, now)
        else:
            self._update(Request(event, message, now), now)

    def _drop(self, verdict: Verdict) -> None:
        self.counters.values[verdict.counter] += 1

    def _ignore(self) -> None:
        values = self.counters.values
        values[OTHER_RECEIVED] += 1
        values[OTHER_IGNORED] += 1

    def _faulty(self, event: PacketReceived, faults: tuple[Any, ...], now: Now) -> None:
        """RFC 6275 section 9.2: a binding update that cannot be read."""
        kinds = {fault.kind for fault in faults}
        short = "too-short" in kinds and "payload-proto" not in kinds
        self._drop(verdicts.DROP_LENGTH if short else verdicts.DROP_MALFORMED)
        self._problem(event, faults, now)

    def _problem(self, event: PacketReceived, faults: tuple[Any, ...], now: Now) -> None:
        """Tell the sender by ICMPv6 about a wrong Payload Proto or too small a Header Len."""
        if not checks.is_unicast(event.source):
            return
        for fault in faults:
            if fault.kind in ("payload-proto", "too-short"):
                if fault.offset < 2 and self._reports.parameter_problem(
                    event, fault.offset, now, self._sessions.effects
                ):
                    self.counters.values[PROBLEM_SENT] += 1
                return

    def _other(self, event: PacketReceived, faults: tuple[Any, ...], now: Now) -> None:
        """A mobility message that is no binding update."""
        values = self.counters.values
        values[OTHER_RECEIVED] += 1
        if not any(fault.kind == "unknown-type" for fault in faults):
            values[OTHER_IGNORED] += 1
            self._problem(event, faults, now)
            return
        values[OTHER_UNKNOWN] += 1
        out = self._sessions.effects
        if checks.is_unicast(event.source) and self._reports.binding_error(event, now, out):
            values[ERROR_SENT] += 1

    # Binding updates.

    def _update(self, request: Request, now: Now) -> None:
        policy = self._policy
        for check in checks.BEFORE_LOOK_UP:
            verdict = check(policy, request)
            if verdict is not None:
                self._refused_early(request, verdict, now)
                return
        entry = self._answered_before(request)
        if entry is not None:
            self._repeat(request, entry)
            return
        found = self._look_up(request)
        request.entry = found.entry
        for check in checks.FRESHNESS:
            verdict = check(policy, request)
            if verdict is not None:
                self._refuse(request, self._classify(request), verdict, now)
                return
        self._proceed(request, found, now)

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

    def _classify(self, request: Request) -> Kind:
        entry = request.entry
        if not request.lifetime:
            return DEREGISTRATION
        if entry is None:
            return INITIAL
        return REFRESH if entry.care_of == request.care_of else HANDOFF

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
            # RFC 5149 section 3: the session of a refused service goes.
            entry = self._look_up(request).entry
            if entry is not None and entry.care_of == request.care_of:
                self.counters.values[OTHER_ENDED] += 1
                self._end(entry, now)
        if verdict is verdicts.NOT_AUTHORIZED_MAG:
            text = f"MAG {_text(request.source)} is not allowed to register"
            self._reports.notice("mag", text, now, self._sessions.effects)
        self._refuse(request, kind, verdict, now)

    def _refuse(self, request: Request, kind: Kind, verdict: Verdict, now: Now) -> None:
        """Answer with the verdict's status, or not at all; the session stays as it is."""
        values = self.counters.values
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

    def _send(self, request: Request, mh: bytes) -> bytes:
        """RFC 5213 section 5.3.6: to where the update came from, whatever care-of address it names."""
        source, destination, port = request.destination, request.source, request.port
        data = pba.sealed(mh, source, destination, port)
        self._sessions.effects.append(Send(data, source, destination, port))
        return data

    def _answered_before(self, request: Request) -> BindingCacheEntry | None:
        """The session whose last answer was to this very request: it is a retransmission.

        Everything but the sequence number is the same; without a Timestamp option that too.
        """
        for entry in self._cache.of(request.mn_id):
            if entry.fingerprint != request.fingerprint:
                continue
            if self._policy.uses_timestamp(request):
                # Only the fingerprint can lie, once in a thousand million times; a new update is newer.
                if request.timestamp.value <= entry.timestamp:
                    return entry
            elif entry.sequence == request.sequence:
                return entry
        return None

    def _repeat(self, request: Request, entry: BindingCacheEntry) -> None:
        """Send the stored answer again, with the sequence number of this request."""
        request.entry = entry
        stored = entry.answer
        sequence = request.sequence.to_bytes(2, "big")
        entry.sequence = request.sequence
        self._accepted(request, self._classify(request))
        if stored[8:10] == sequence:
            data = stored
            self._sessions.effects.append(Send(data, request.destination, request.source, request.port))
        else:
            data = self._send(request, stored[:4] + b"\0\0" + stored[6:8] + sequence + stored[10:])
        entry.answer = data

    def _accepted(self, request: Request, kind: Kind) -> None:
        values = self.counters.values
        values[kind.received] += 1
        values[kind.accepted] += 1
        if request.lifetime:
            values[ACK_REGISTERED] += 1
            if kind is INITIAL:
                values[ACK_INITIAL] += 1
        else:
            values[ACK_DEREGISTERED] += 1

    def _proceed(self, request: Request, found: Found, now: Now) -> None:
        """Rules 6 and following of RFC 5213 section 5.3.1, once the session and the order are clear."""
        kind = self._classify(request)
        verdict = self._contradiction(request, found)
        if verdict is not None:
            self._refuse(request, kind, verdict, now)
            return
        if not request.lifetime:
            self._deregister(request, found, now)
            return
        if found.wait is not None and self._patience:
            self._wait(request, found.wait, now)
            return
        sessions = self._sessions
        entry = request.entry
        verdict = sessions.create(request) if entry is None else sessions.update(request, entry)
        if verdict is not None:
            self._refuse(request, kind, verdict, now)
            return
        self._accept(request, kind)

    def _contradiction(self, request: Request, found: Found) -> Verdict | None:
        for check in checks.CONTENT:
            verdict = check(self._policy, request)
            if verdict is not None:
                return verdict
        if found.owner is not None:
            return verdicts.NOT_YOUR_PREFIX if request.prefixes else verdicts.NOT_YOUR_ADDRESS
        return verdicts.OTHER_PREFIXES if found.mismatch else None

    def _accept(self, request: Request, kind: Kind) -> None:
        """Answer with success, and keep the answer for a retransmission of the request."""
        entry = request.entry
        assert entry is not None
        advice = 0
        settings = self.settings
        if settings.refresh_advice_option and request.lifetime:
            # RFC 6275 section 6.2.4: less than the granted lifetime.
            advice = entry.lifetime * settings.refresh_interval_percent // 100
        mh = pba.acceptance(request, entry, self._sessions.status(request), self.subnet(entry), advice)
        self._accepted(request, kind)
        entry.answer = self._send(request, mh)
        entry.fingerprint = request.fingerprint

    def _deregister(self, request: Request, found: Found, now: Now) -> None:
        """RFC 5213 section 5.3.5: only the serving gateway de-registers; anybody else is ignored silently."""
        entry = request.entry
        if entry is None and not request.link_layer_id:
            # HI 4 and a single session: the gateway that serves it can only mean this one, unless it
            # names another interface of the mobile.
            entry = found.wait
        if entry is None or entry.care_of != request.care_of:
            self._refuse(request, DEREGISTRATION, verdicts.DROP_NO_SESSION, now)
            return
        request.entry = entry
        whole = self._sessions.deregister(request, entry)
        self._accept(request, DEREGISTRATION)
        if not whole:
            return
        self._release(entry, now)
        if entry.deleting and not self.settings.min_delay_before_bce_delete:
            self.counters.values[DEREGISTERED] += 1
            self._end(entry, now)

    # Waiting (RFC 5213 sections 5.4.1.2 and 5.4.1.3, MaxDelayBeforeNewBCEAssign).

    def _wait(self, request: Request, entry: BindingCacheEntry, now: Now) -> None:
        """Keep the update until ``entry`` is de-registered or the time is over; one per session."""
        older = self._waiting.get(entry.call_id)
        if older is None:
            if len(self._waiting) >= WAITING:
                self._refuse(request, INITIAL, QUEUE_FULL, now)
                return
            self.counters.values[PENDING] += 1
            self._waiting[entry.call_id] = Waiting(request, now.mono + self._patience)
            return
        # A retransmission takes the place of what waits, with its time: repeating must not prolong the wait.
        self._waiting[entry.call_id] = Waiting(request, older.until)
        self._refuse(older.request, INITIAL, verdicts.DROP_OTHER, now)

    def _release(self, entry: BindingCacheEntry, now: Now) -> None:
        """Go on with the update that waited for this session."""
        waiting = self._waiting.pop(entry.call_id, None)
        if waiting is not None:
            self._resume(waiting.request, now)

    def _resume(self, request: Request, now: Now) -> None:
        """Decide about an update that has waited: its order was checked when it came in."""
        self.counters.values[PENDING] -= 1
        request.now = now
        # The settings may have changed since it came in.
        for check in checks.BEFORE_LOOK_UP:
            verdict = check(self._policy, request)
            if verdict is not None:
                self._refused_early(request, verdict, now)
                return
        found = self._look_up(request)
        found = Found(found.entry, found.owner, found.mismatch)
        request.entry = found.entry
        self._proceed(request, found, now)

    # Ends.

    def _end(self, entry: BindingCacheEntry, now: Now) -> None:
        self._sessions.end(entry)
        self._release(entry, now)

    def _clear(self, event: ClearSessions, now: Now) -> None:
        """An operator ends sessions: no delay, no word to the gateways."""
        for entry in list(self._cache.select(event.mn_id, event.address, event.call_id)):
            self.counters.values[ADMIN_DROPPED] += 1
            self._end(entry, now)

    # Other settings.

    def _reconfigure(self, event: Reconfigure, now: Now) -> None:
        """Go on by other settings: sessions end only if nothing gives them what they have any more."""
        settings = event.settings
        assert isinstance(settings, LmaSettings)
        self.settings = settings
        self._policy = checks.Policy(settings)
        self._patience = settings.max_delay_before_new_bce_assign / 1000
        latest = now.mono + self._patience
        for call_id, waiting in self._waiting.items():
            # In order of their times, as before: those that come later wait until ``latest`` or longer.
            self._waiting[call_id] = Waiting(waiting.request, min(waiting.until, latest))
        self._sessions.reconfigure(settings)
        self._drop_uncovered(now)

    def _drop_uncovered(self, now: Now) -> None:
        for entry in self._sessions.uncovered():
            self.counters.values[ADMIN_DROPPED] += 1
            self._end(entry, now)


def _text(address: bytes) -> str:
    """A packed address for a log line."""
    return str(ipaddress.ip_address(address))
