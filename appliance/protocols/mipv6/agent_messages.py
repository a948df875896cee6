"""Mobility messages that a home agent sends to a host by itself, and the two of them that are told here.

::

    operator ─▶ HostSwitch ──Home Agent Switch──▶ host ─▶ de-registers (RFC 5142)
    time, operator ─▶ RefreshRequests ──Binding Refresh Request──▶ host ─▶ Binding Update (RFC 6275 6.1.2)
"""

from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from appliance.counters import LMA, CounterSet
from appliance.protocols.mipv6.agents import HomeAgents
from appliance.protocols.mipv6.binding import HostBinding, host_of
from appliance.protocols.mipv6.events import AskRefresh, SwitchHosts
from appliance.protocols.mipv6.features import HostFeature
from appliance.protocols.mipv6.request import MN_HA, SWITCHED, HostRequest
from appliance.protocols.mobility import rfc4285
from appliance.protocols.mobility.codec import encode
from appliance.protocols.mobility.messages import BindingRefreshRequest, HomeAgentSwitch
from appliance.protocols.mobility.options import Authentication, BindingRefreshAdvice
from appliance.protocols.pmipv6.bce import BindingCacheEntry
from appliance.protocols.pmipv6.lma_request import Verdict
from appliance.protocols.pmipv6.lma_sessions import Sessions
from appliance.protocols.pmipv6.lma_subjects import hears, way_to
from appliance.protocols.pmipv6.settings import LmaSettings
from appliance.protocols.timers import Deadlines, Now

#: RFC 5142 section 8, seconds: INITIAL-HA-SWITCH-TIMEOUT, MAX-HA-SWITCH-TIMEOUT.
FIRST_TIMEOUT, LONGEST_TIMEOUT = 5.0, 20.0
#: Addresses in one message: the count is an octet, and it has to fit the minimum MTU of 1280.
MOST_AGENTS = 70
#: Hosts that are looked at in one tick.
LOOKED_AT = 500
#: How often a host is asked to refresh one lifetime.
REQUESTS = 2
_HEAD = "messages-to-hosts/"
REFRESH_SENT = LMA.index(_HEAD + "binding-refresh-requests-sent")
SWITCH_SENT, SWITCH_REPEATED, SWITCH_DONE, SWITCH_UNKNOWN = (
    LMA.index(f"{_HEAD}home-agent-switch-{each}") for each in ("sent", "retries", "done", "unknown")
)


class Voice:
    """Makes messages to hosts: by routing header or inside UDP, protected by the key that their updates are
    (RFC 4285).

    ``key_of(entry, now)`` gives SPI and key; an empty key: the host has none, or IPsec.
    """

    __slots__ = ("_key_of", "cache")

    def __init__(
        self, sessions: Sessions, key_of: Callable[[BindingCacheEntry, Now], tuple[int, bytes]]
    ) -> None:
        self.cache = sessions.cache
        self._key_of = key_of

    def octets(self, message: Any, home: bytes, now: Now) -> bytes:
        """A message to the host with this home address; the checksum is still to be made."""
        entry = self.cache.prefixes.get(home)
        host = host_of(entry)
        spi, key = (0, b"") if entry is None else self._key_of(entry, now)
        if entry is None or host is None or not key:
            return encode(message)
        message.options.append(Authentication(MN_HA, spi, bytes(rfc4285.MN_HA_OCTETS)))
        mh = encode(message)
        end = len(mh) - rfc4285.MN_HA_OCTETS
        return mh[:end] + rfc4285.mn_ha_authenticator(key, host.covered(entry), home, _covered(mh[:end]))

    def to_host(self, message: Any, entry: BindingCacheEntry, now: Now) -> Any:
        """The effect that sends a message to a host that is away; ``None``: it cannot be reached so."""
        if not hears(entry) or entry.deleting:
            return None
        way = way_to(entry)
        return way.send(way.sealed(self.octets(message, way.home, now)))

    def genuine(self, mh: bytes, message: Any, source: bytes, home: bytes, now: Now) -> bool:
        """Whether a message of a host is not of somebody else: it has a right MN-HA option.

        RFC 5846 section 6: it is protected as updates are. Where those have no such option, the message has
        none either, and comes from where the host is bound (RFC 6275 section 9.3.1).
        """
        entry = self.cache.prefixes.get(home)
        if entry is None:
            return True
        option = next((each for each in message.options if isinstance(each, Authentication)), None)
        spi, key = self._key_of(entry, now)
        if option is None:
            return not key and self.placed(source, home)
        mh = mh[: 8 * mh[1] + 8]
        end = len(mh) - rfc4285.MN_HA_OCTETS
        if (option.subtype, option.spi) != (MN_HA, spi) or not key or mh[end:] != option.authenticator:
            return False
        places, host = {source}, host_of(entry)
        if source == home and host is not None:
            places |= host.covered_ones(entry)
        made = (rfc4285.mn_ha_authenticator(key, each, home, _covered(mh[:end])) for each in places)
        return any(rfc4285.same(wanted, option.authenticator) for wanted in made)

    def placed(self, source: bytes, home: bytes) -> bool:
        """Whether a message comes from where its host is bound, or from its home address (in a tunnel)."""
        entry = self.cache.prefixes.get(home)
        host = host_of(entry)
        if entry is None or host is None:
            return False
        return source in (home, entry.care_of, *host.others(entry.care_of))


def _covered(mh: bytes) -> bytes:
    """RFC 4285 section 5.1: the checksum counts as zero."""
    return mh[:4] + b"\0\0" + mh[6:]


class Switching:
    """A host that was told to take another home agent."""

    __slots__ = ("agents", "attempts", "due", "grace", "timeout")

    def __init__(self, agents: tuple[bytes, ...], grace: float) -> None:
        self.agents = agents
        #: When its binding will be deleted, monotonic seconds; 0: not said.
        self.grace = grace
        self.attempts = 0
        self.timeout = FIRST_TIMEOUT
        #: Monotonic seconds; ``None``: it is told no more.
        self.due: float | None = None


class HostSwitch(HostFeature):
    """Sends hosts to other home agents (RFC 5142 section 5); effects go to those of ``sessions``."""

    def __init__(
        self,
        settings: LmaSettings,
        counters: CounterSet,
        sessions: Sessions,
        agents: HomeAgents,
        voice: Voice,
    ) -> None:
        self._values = counters.values
        self._sessions = sessions
        self._cache = sessions.cache
        self._agents = agents
        self._voice = voice
        #: By call id.
        switching: dict[int, Switching] = {}
        self._switching = switching
        self._deadlines = Deadlines(lambda call: switching[call].due if call in switching else None)
        #: Hosts that are still to be told for the first time.
        self._queue: deque[int] = deque()
        #: When the next message may go out (section 7: at most so many in a second).
        self._next = 0.0
        self.reconfigure(settings, Now(0.0, 0.0))

    def reconfigure(self, settings: LmaSettings, now: Now) -> None:
        """Go on by other settings."""
        self._interval = 1.0 / settings.mipv6_switch_rate

    def ordered(self, event: SwitchHosts, now: Now) -> None:
        """Do what an operator wants; hosts that have been told already are told the new list."""
        agents = event.agents or tuple(self._agents.addresses(now.mono, own=False))
        grace = now.mono + event.grace if event.grace else 0.0
        for entry in self._cache.select(event.mn_id, event.address, 0):
            if entry.of_host and not entry.deleting:
                if entry.call_id not in self._switching:
                    self._queue.append(entry.call_id)
                    self._switching[entry.call_id] = Switching(agents[:MOST_AGENTS], grace)
                else:
                    self._switching[entry.call_id].agents = agents[:MOST_AGENTS]
        if self._queue:
            self.schedule(max(now.mono, self._next))

    @property
    def switching(self) -> int:
        """How many hosts have been told, or will be, and are still here."""
        return len(self._switching)

    # ---- where updates come by

    def check(self, request: HostRequest, now: Now) -> Verdict | None:
        """Section 5.3: a host that was told may leave, but not stay (status 129)."""
        entry = request.entry
        if request.leaves or entry is None or entry.mn_id != request.mn_id:
            return None
        told = self._switching.get(entry.call_id)
        return SWITCHED if told is not None and told.attempts else None

    def left(self, request: HostRequest, entry: BindingCacheEntry, host: HostBinding, now: Now) -> None:
        """That is its acknowledgement (section 6.1)."""
        told = None if host.several else self._switching.pop(entry.call_id, None)
        if told is not None and told.attempts:
            self._values[SWITCH_DONE] += 1

    def ended(self, entry: BindingCacheEntry, host: HostBinding, now: Now) -> None:
        """There is nobody to tell any more."""
        self._switching.pop(entry.call_id, None)

    def details(self, entry: BindingCacheEntry, host: HostBinding) -> list[tuple[str, str]]:
        """Whether it was told."""
        told = self._switching.get(entry.call_id)
        if told is None:
            return []
        return [("Home Agent Switch", f"Sent {told.attempts} times" if told.attempts else "Waiting")]

    def unknown_there(self, home: bytes) -> bool:
        """A host does not know the message: it is served until its lifetime ends (section 5.3)."""
        entry = self._cache.prefixes.get(home)
        return entry is not None and self._unknown(entry.call_id)

    def unknown_at(self, care_of: bytes) -> bool:
        """The same, of a host that is known by its care-of address."""
        calls = self._cache.calls
        return any(
            self._unknown(call_id)
            for call_id in self._switching
            if call_id in calls and calls[call_id].care_of == care_of
        )

    def _unknown(self, call_id: int) -> bool:
        told = self._switching.get(call_id)
        if told is None or told.due is None:
            return False
        told.due = None
        self._values[SWITCH_UNKNOWN] += 1
        return True

    # ---- time

    @property
    def deadline(self) -> float | None:
        """When the next message may go out."""
        due = 0.0 if self._queue else self._deadlines.next
        return None if due is None else max(due, self._next)

    def tick(self, now: Now) -> None:
        """Send one message if it is time: first ones before repeated ones."""
        if now.mono < self._next:
            return
        while self._queue:
            call_id = self._queue.popleft()
            if self._tell(call_id, now):
                return
        for call_id in self._deadlines.pop_due(now.mono, 1):
            self._tell(call_id, now)

    def _tell(self, call_id: int, now: Now) -> bool:
        told, entry = self._switching.get(call_id), self._cache.calls.get(call_id)
        if told is None or entry is None:
            return False
        wait = told.timeout
        advice: list[Any] = []
        left = told.grace - now.mono
        if left >= 4:
            advice = [BindingRefreshAdvice(min(0xFFFF, int(left) // 4))]
            # Section 5.2: half of the time, or the first timeout if that is less.
            wait = min(left / 2, FIRST_TIMEOUT) if not told.attempts else wait
        effect = self._voice.to_host(HomeAgentSwitch(list(told.agents), advice), entry, now)
        if effect is None:
            del self._switching[call_id]
            return False
        self._values[SWITCH_REPEATED if told.attempts else SWITCH_SENT] += 1
        self._sessions.effects.append(effect)
        told.attempts += 1
        self._next = now.mono + self._interval
        if told.timeout > LONGEST_TIMEOUT:
            # The timeout has reached its longest value without an answer.
            told.due = None
        else:
            told.due = now.mono + wait
            told.timeout *= 2
            self._deadlines.set(call_id, told.due)
        return True


class RefreshRequests(HostFeature):
    """Asks hosts to refresh their bindings (RFC 6275 sections 6.1.2 and 9.5.5)."""

    def __init__(self, settings: LmaSettings, counters: CounterSet, sessions: Sessions, voice: Voice) -> None:
        self._values = counters.values
        self._voice = voice
        self._sessions = sessions
        self._cache = sessions.cache
        self._before = 0
        #: How often a host was asked since its last update, by call id.
        asked: dict[int, int] = {}
        self._asked = asked
        self._deadlines = Deadlines(lambda _call: None)
        self._sweep: Iterator[BindingCacheEntry] | None = None
        self.reconfigure(settings, Now(0.0, 0.0))

    def reconfigure(self, settings: LmaSettings, now: Now) -> None:
        """Go on by other settings; bindings that are there already are asked when they are refreshed next."""
        if settings.mipv6_refresh_request != self._before:
            before = self._before = settings.mipv6_refresh_request
            calls, asked = self._cache.calls, self._asked
            asked.clear()

            def due(call_id: int) -> float | None:
                entry = calls.get(call_id)
                if entry is None or entry.deleting:
                    return None
                return _time(entry, before, asked.get(call_id, 0))

            self._deadlines = Deadlines(due)

    def accepted(
        self, request: HostRequest, entry: BindingCacheEntry, host: HostBinding, first: bool, now: Now
    ) -> Verdict | None:
        """Look at it again before its new lifetime ends."""
        self._asked.pop(entry.call_id, None)
        before = self._before
        if before and 4 * entry.lifetime > before:
            due = now.mono + 4 * entry.lifetime - before
            self._deadlines.set(entry.call_id, due)
            self.schedule(due)
        return None

    def ended(self, entry: BindingCacheEntry, host: HostBinding, now: Now) -> None:
        """It is asked no more."""
        self._asked.pop(entry.call_id, None)

    def ordered(self, event: AskRefresh, now: Now) -> None:
        """An operator wants hosts to refresh now."""
        self._sweep = iter(list(self._cache.select(event.mn_id, event.address, 0)))
        self.schedule(now.mono)

    @property
    def deadline(self) -> float | None:
        """When the next host is to be asked."""
        return 0.0 if self._sweep is not None else self._deadlines.next

    def tick(self, now: Now) -> None:
        """Ask those that are due."""
        if self._sweep is not None:
            some = list(islice(self._sweep, LOOKED_AT))
            if not some:
                self._sweep = None
            for entry in some:
                if host_of(entry) is not None and self._cache.calls.get(entry.call_id) is entry:
                    self._ask(entry, now)
        for call_id in self._deadlines.pop_due(now.mono, LOOKED_AT):
            entry = self._cache.calls[call_id]
            times = self._asked.get(call_id, 0) + 1
            self._ask(entry, now)
            if times < REQUESTS:
                self._asked[call_id] = times
                self._deadlines.set(call_id, _time(entry, self._before, times))

    def _ask(self, entry: BindingCacheEntry, now: Now) -> None:
        effect = self._voice.to_host(BindingRefreshRequest([]), entry, now)
        if effect is not None:
            self._values[REFRESH_SENT] += 1
            self._sessions.effects.append(effect)


def _time(entry: BindingCacheEntry, before: int, asked: int) -> float:
    """When a host is asked for the first or second time: the whole, or a quarter, of the time ``before``."""
    return entry.due - (before / 4 if asked else before)
