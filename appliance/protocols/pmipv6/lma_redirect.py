"""Runtime assignment of another anchor, on the side of the one that was asked (RFC 6463 sections 5.3 and 6).

::

    PBU with Redirect-Capability ─▶ Redirection.check ─▶ HELD
        target of this process ──Entrust──▶ its core ──Concluded──┐        (section 5.3.1)
        target elsewhere ──PBU' with our address──▶ it ──PBA'─────┤        (section 5.3.2, proxy-MAG)
        refused, or silent: the next target ◀─────────────────────┤
    PBA with Redirect option, or the last refusal, or 130 ◀───────┘

The Redirect-Capability option does not go on to the target: it says what its sender can do, and we cannot be
sent anywhere. So anchors that name each other do not send an update round.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable
from functools import partial
from typing import Any

from attrs import evolve

from appliance.counters import LMA, CounterSet
from appliance.protocols.mobility.codec import decode, encode, to_timestamp
from appliance.protocols.mobility.messages import BA_P, BindingAcknowledgement, BindingUpdate
from appliance.protocols.mobility.options import (
    AlternateCareOfAddress,
    AlternateIPv4CareOfAddress,
    LoadInformation,
    Redirect,
    RedirectCapability,
    Timestamp,
)
from appliance.protocols.pmipv6 import lma_request as verdicts
from appliance.protocols.pmipv6.bce import HI_UNKNOWN, BindingCacheEntry, Found
from appliance.protocols.pmipv6.events import Concluded, Entrust, PacketReceived, Send
from appliance.protocols.pmipv6.features import Before, Feature
from appliance.protocols.pmipv6.lma_counts import INITIAL, OTHER_IGNORED, PENDING, QUEUE_FULL
from appliance.protocols.pmipv6.lma_request import Request, Verdict
from appliance.protocols.pmipv6.lma_updates import Updates
from appliance.protocols.pmipv6.option_settings import RedirectTarget
from appliance.protocols.pmipv6.pba import sealed
from appliance.protocols.pmipv6.reports import Reports
from appliance.protocols.pmipv6.settings import LmaSettings
from appliance.protocols.timers import Deadlines, Now

#: Updates that may wait for other anchors at one time.
HELD = 10_000
#: Mobile nodes whose assignment is remembered, so that all their sessions are at one anchor (section 6).
ASSIGNED = 65_536
HI_NEW_INTERFACE = 1
#: Seconds after which an update that has waited gets a timestamp of ours: its own would be refused as old.
LATE = 0.1
#: Octets of an update that is handed on: ours has one option more, and all of them aligned.
LONGEST = 1024
#: UDP port of signalling over IPv4 (RFC 5844 section 4).
MOBILITY_PORT = 5436

_GROUP = "runtime-lma-assignment/"
TAKEN_OVER = LMA.index(_GROUP + "assigned")
FAILED = LMA.index(_GROUP + "not-assigned")
SERVED = LMA.index(_GROUP + "served-for-others")


class Waiting:
    """An update that another anchor is asked about."""

    __slots__ = ("key", "last", "left", "request", "sequence", "target", "token", "until")

    def __init__(self, key: tuple[Any, ...], request: Request, left: deque[RedirectTarget]) -> None:
        #: Of the question to the anchor that is asked; 0: none has been asked.
        self.token = 0
        self.key = key
        self.request = request
        #: Whom to ask after the one that is asked.
        self.left = left
        self.target = left[0]
        #: What an anchor has refused it with.
        self.last: BindingAcknowledgement | None = None
        #: Of the update that we send as a proxy.
        self.sequence = 0
        self.until = 0.0


def _due(waiting: dict[int, Waiting], token: int) -> float | None:
    """Until when an assignment may wait."""
    found = waiting.get(token)
    return None if found is None else found.until


def _reached_by(family: int, targets: Iterable[RedirectTarget]) -> tuple[RedirectTarget, ...]:
    """The targets that have an address of a family, by that address; each once."""
    found: dict[bytes, RedirectTarget] = {}
    for each in targets:
        turned = each
        if len(each.address) != family and len(each.also) == family:
            turned = evolve(each, address=each.also, also=each.address)
        if len(turned.address) == family:
            found.setdefault(turned.address, turned)
    return tuple(found.values())


class Redirection(Feature):
    """Assigns new mobile nodes to other anchors; also the handler of binding acknowledgements."""

    def __init__(
        self, settings: LmaSettings, counters: CounterSet, reports: Reports, updates: Updates, out: Any
    ) -> None:
        self._values = counters.values
        self._reports = reports
        self._updates = updates
        #: The sessions, for how many there are, and for the effects.
        self._sessions = out
        self._waiting: dict[int, Waiting] = {}
        self._by_sequence: dict[int, Waiting] = {}
        # No method of ours: with it, neither we nor the sessions would be free when the service goes.
        self._deadlines = Deadlines(partial(_due, self._waiting))
        self._by_key: dict[tuple[Any, ...], Waiting] = {}
        self._assigned: OrderedDict[bytes, bytes] = OrderedDict()
        #: What anchors say of their load, by address: priority, share of their sessions in use.
        self._loads: dict[bytes, tuple[int, float]] = {}
        self._token = 0
        self._sequence = 0
        self._take(settings)

    def _take(self, settings: LmaSettings) -> None:
        self._settings = settings
        self._always = settings.redirect_policy == "always"
        self._threshold = settings.redirect_threshold
        targets = settings.redirect_targets
        self._targets = {family: _reached_by(family, targets) for family in (4, 16)}
        addresses = {address for each in targets for address in (each.address, each.also)}
        self._loads = {address: load for address, load in self._loads.items() if address in addresses}
        # An address that serves nobody looks at every update.
        self.watches = self._always

    def reconfigure(self, settings: LmaSettings, now: Now) -> None:
        """Assign by other settings; what waits for an anchor goes on waiting."""
        self._take(settings)

    @property
    def waiting(self) -> int:
        """How many updates wait for other anchors."""
        return len(self._waiting)

    # ---- deciding

    def check(self, request: Request, found: Found, now: Now) -> Verdict | None:
        """Section 5.3: whether a new session is assigned elsewhere, served here, or refused."""
        if request.relay is not None or not request.lifetime:
            return None
        if found.entry is not None or found.wait is not None:
            return None
        capable = request.other(RedirectCapability) is not None
        if not self._always and not (capable and self._assigns(request)):
            return None
        targets = self._fitting(request) if capable else deque()
        if not targets:
            return verdicts.NOT_ASSIGNED if self._always else None
        return self._hold(request, targets, now)

    def divert(self, request: Request, now: Now) -> bool:
        """In a congestion a new mobile node is assigned elsewhere, if its gateway can be told so."""
        whole = request.technology is not None and request.indicator is not None
        if request.relay is not None or not whole or request.other(RedirectCapability) is None:
            return False
        targets = self._fitting(request)
        return bool(targets) and self._hold(request, targets, now) is verdicts.HELD

    def _assigns(self, request: Request) -> bool:
        """By load: a mobile node that has a session keeps to its anchor (section 6)."""
        new = request.indicator.value in (HI_NEW_INTERFACE, HI_UNKNOWN)
        if not new or not self._settings.redirect_targets:
            return False
        cache = self._sessions.cache
        if cache.of(request.mn_id):
            return False
        return request.mn_id in self._assigned or len(cache) >= self._threshold

    def _fitting(self, request: Request) -> deque[RedirectTarget]:
        """Whom to ask, in this order: where the mobile node is, then by priority, load and configuration.

        Section 5.3: the family of the transport does not change. A mobile node may have come to its anchor
        over the other one, by another gateway.
        """
        if len(request.data) > LONGEST:
            return deque()
        before = self._assigned.get(request.mn_id)
        unknown = (0, 0.0)
        fitting = sorted(
            self._targets[len(request.source)],
            key=lambda each: (
                before not in (each.address, each.also or None),
                *self._loads.get(each.address, unknown),
            ),
        )
        return deque(fitting)

    def _hold(self, request: Request, targets: deque[RedirectTarget], now: Now) -> Verdict:
        key = request.mn_id, request.technology.value, request.link_layer_id, request.source
        older = self._by_key.get(key)
        if older is not None:
            # A retransmission takes the place of what waits, and its answer; the anchor is asked again.
            self._updates.answers.refuse(older.request, INITIAL, verdicts.DROP_OTHER, now)
            older.request = request
            self._ask(older, now)
            return verdicts.HELD
        if len(self._waiting) >= HELD:
            return QUEUE_FULL
        waiting = self._by_key[key] = Waiting(key, request, targets)
        self._values[PENDING] += 1
        self._next(waiting, now)
        return verdicts.HELD

    # ---- asking

    def _next(self, waiting: Waiting, now: Now) -> None:
        waiting.target = waiting.left.popleft()
        # Each anchor has a token of its own: what one says late is no answer of the next one.
        self._waiting.pop(waiting.token, None)
        self._token += 1
        waiting.token = self._token
        self._waiting[waiting.token] = waiting
        settings = self._settings
        # An anchor of this process may have to ask AAA itself; one elsewhere may be gone.
        patience = settings.setup_timeout if waiting.target.service else settings.redirect_timeout / 1000
        waiting.until = now.mono + patience
        self._by_sequence.pop(waiting.sequence, None)
        # There are fewer of them than numbers, so each has its own.
        self._sequence = waiting.sequence = (self._sequence + 1) & 0xFFFF
        self._by_sequence[waiting.sequence] = waiting
        self._deadlines.set(waiting.token, waiting.until)
        self.schedule(waiting.until)
        self._ask(waiting, now)

    def _ask(self, waiting: Waiting, now: Now) -> None:
        request, target = waiting.request, waiting.target
        update = decode(request.data).message
        assert isinstance(update, BindingUpdate)
        late = now.mono - request.now.mono > LATE
        update.options = [
            Timestamp(to_timestamp(now.wall)) if late and each.__class__ is Timestamp else each
            for each in update.options
            if each.__class__ is not RedirectCapability
        ]
        out = self._sessions.effects
        if target.service:
            data = sealed(encode(update), request.source, target.address, request.port)
            packet = PacketReceived(data, request.source, target.address, request.port)
            out.append(Entrust(target.service, self._settings.name, waiting.token, packet))
            return
        # Section 5.3.2: as a gateway of our own, for the care-of address of the gateway that asks.
        update.sequence = waiting.sequence
        kind = AlternateCareOfAddress if len(request.source) == 16 else AlternateIPv4CareOfAddress
        if not any(each.__class__ is kind for each in update.options):
            update.options.append(kind(request.care_of))
        data = sealed(encode(update), request.destination, target.address, request.port)
        port = MOBILITY_PORT if request.port else 0
        out.append(Send(data, request.destination, target.address, port))

    # ---- answers

    def concluded(self, event: Concluded, now: Now) -> None:
        """An anchor of this process has decided."""
        waiting = self._waiting.get(event.token)
        if waiting is None or not waiting.target.service:
            return
        message = decode(event.data).message if event.data else None
        if isinstance(message, BindingAcknowledgement):
            self._answered(waiting, message, now)
        else:
            self._failed(waiting, now)

    def receive(self, event: PacketReceived, message: Any, now: Now) -> None:
        """A PBA' of another anchor; an acknowledgement that nobody waits for is ignored."""
        waiting = self._by_sequence.get(message.sequence)
        if (
            waiting is None
            or waiting.target.service
            or waiting.target.address != event.source
            or waiting.request.destination != event.destination
            or not message.flags & BA_P
        ):
            self._values[OTHER_IGNORED] += 1
            return
        echoed = any(each.__class__ is AlternateIPv4CareOfAddress for each in message.options)
        if len(event.source) == 4 and not echoed:
            # Section 5.3.2: an anchor that does not know the option has registered our own address.
            self._failed(waiting, now)
        else:
            self._answered(waiting, message, now)

    def discarded(self, event: PacketReceived, why: str, now: Now) -> None:
        """One that cannot be read."""
        self._values[OTHER_IGNORED] += 1

    def _answered(self, waiting: Waiting, message: BindingAcknowledgement, now: Now) -> None:
        self._learn(waiting.target, message)
        if message.status >= 128:
            waiting.last = message
            self._failed(waiting, now)
            return
        request, address = waiting.request, waiting.target.address
        self._forget(waiting)
        self._assigned.pop(request.mn_id, None)
        while len(self._assigned) >= ASSIGNED:
            self._assigned.popitem(last=False)
        self._assigned[request.mn_id] = address
        self._values[TAKEN_OVER] += 1
        self._pass_on(request, message, [Redirect(address)])

    def _learn(self, target: RedirectTarget, message: BindingAcknowledgement) -> None:
        for option in message.options:
            if isinstance(option, LoadInformation):
                share = option.sessions / option.max_sessions if option.max_sessions else 1.0
                for address in (target.address, target.also) if target.also else (target.address,):
                    self._loads[address] = option.priority, share

    def _failed(self, waiting: Waiting, now: Now) -> None:
        """Section 5.3.2: another anchor is asked; then the last status counts, or 130 if there was none."""
        if waiting.left:
            self._next(waiting, now)
            return
        self._forget(waiting)
        self._values[FAILED] += 1
        request = waiting.request
        self._assigned.pop(request.mn_id, None)
        if waiting.last is None:
            self._updates.answers.refuse(request, INITIAL, verdicts.NOT_ASSIGNED, now)
            text = "no anchor that mobile nodes may be assigned to has answered"
            self._reports.notice("redirect", text, now, self._sessions.effects)
        else:
            self._pass_on(request, waiting.last, [])

    def _pass_on(self, request: Request, message: BindingAcknowledgement, more: list[Any]) -> None:
        """Section 5.3.2: the options of the PBA' as they are, without what was for us as its gateway."""
        had = request.other(AlternateIPv4CareOfAddress) is not None
        message.sequence = request.sequence
        # A gateway gets its own time back, unless it is told that it is wrong (RFC 5213 section 5.3.6).
        own = message.status < 128 and request.timestamp is not None
        message.options = [
            request.timestamp if own and each.__class__ is Timestamp else each
            for each in message.options
            if each.__class__ is not Redirect and (had or each.__class__ is not AlternateIPv4CareOfAddress)
        ] + more
        self._updates.answers.pass_on(request, message)

    def _forget(self, waiting: Waiting) -> None:
        del self._waiting[waiting.token], self._by_key[waiting.key]
        self._by_sequence.pop(waiting.sequence, None)
        self._values[PENDING] -= 1

    # ---- the side that serves

    def accepted(self, request: Request, entry: BindingCacheEntry, before: Before, now: Now) -> None:
        """Echo the Alternate IPv4 Care-of Address (section 4.4)."""
        option = request.other(AlternateIPv4CareOfAddress)
        if option is not None:
            request.answer_options.append(option)

    # ---- time

    @property
    def deadline(self) -> float | None:
        """When an anchor that was asked has had its time."""
        return self._deadlines.next

    def tick(self, now: Now) -> None:
        """Go on without the anchors that are silent."""
        for token in self._deadlines.pop_due(now.mono):
            waiting = self._waiting.get(token)
            if waiting is not None:
                self._failed(waiting, now)
