"""What hosts that are away are told of the prefixes of their home link (RFC 6275 section 10.6).

::

    Mobile Prefix Solicitation ─▶ PrefixDiscovery ─▶ Mobile Prefix Advertisement, at once
    prefixes or lifetimes change ─▶ Sweep ─▶ one to each host, at a random time, until it solicits
    registration ─▶ lifetime over that of the prefix: status 1
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from itertools import islice

from appliance.counters import LMA, CounterSet
from appliance.protocols.bits import DecodeError
from appliance.protocols.mipv6.binding import HostBinding, host_of
from appliance.protocols.mipv6.discovery import home_prefixes
from appliance.protocols.mipv6.events import OptionsReceived
from appliance.protocols.mipv6.features import HostFeature
from appliance.protocols.mipv6.request import HostRequest
from appliance.protocols.mobility import discovery_messages as icmp
from appliance.protocols.mobility import status as codes
from appliance.protocols.pmipv6.bce import BindingCacheEntry
from appliance.protocols.pmipv6.events import PacketReceived
from appliance.protocols.pmipv6.lma_request import Verdict
from appliance.protocols.pmipv6.lma_sessions import Sessions
from appliance.protocols.pmipv6.lma_subjects import hears, way_to
from appliance.protocols.pmipv6.settings import LmaSettings
from appliance.protocols.pmipv6.ways import Way
from appliance.protocols.timers import Deadlines, Now

#: RFC 6275 section 12 and 13: seconds.
LONGEST_INTERVAL, SHORTEST_INTERVAL = 86_400, 600
FIRST_TIMEOUT, RETRIES = 3.0, 3
#: RFC 6275 section 6.8: seconds between two advertisements to one host.
PAUSE = 1.0
#: Hosts whose last solicited advertisement is remembered; it matters for a second only.
REMEMBERED = 100_000
#: How often an advertisement is begun anew by an update of its host that has never solicited.
ROUNDS = 3
#: Bindings that are looked at, and advertisements that are sent, in one tick.
LOOKED_AT, SENT = 2_000, 500
_SOLICITATION = b"%c" % icmp.PREFIX_SOLICITATION
_HEAD = "mobile-prefix-discovery/"
SOLICITED, ADVERTISED = LMA.index(_HEAD + "solicitations-received"), LMA.index(_HEAD + "solicited-sent")
UNSOLICITED, REPEATED = LMA.index(_HEAD + "unsolicited-sent"), LMA.index(_HEAD + "retries-sent")
UNANSWERED, DISCARDED = LMA.index(_HEAD + "not-acknowledged"), LMA.index(_HEAD + "discarded")


class Delivery:
    """An unsolicited advertisement that one host is to get, or has not acknowledged yet."""

    __slots__ = ("attempts", "due", "identifier", "rounds", "timeout")

    def __init__(self, due: float, identifier: int) -> None:
        #: Monotonic seconds; ``None``: it is given up until the host's next update.
        self.due: float | None = due
        self.identifier = identifier
        self.attempts = self.rounds = 0
        self.timeout = FIRST_TIMEOUT


class PrefixDiscovery(HostFeature):
    """The prefix advertisements of one service; effects go to those of ``sessions``."""

    def __init__(
        self,
        settings: LmaSettings,
        counters: CounterSet,
        sessions: Sessions,
        random_bits: Callable[[int], int],
    ) -> None:
        self._values = counters.values
        self._sessions = sessions
        self._cache = sessions.cache
        self._random_bits = random_bits
        #: By call id.
        deliveries: dict[int, Delivery] = {}
        self._deliveries = deliveries
        # Nothing here refers to the feature itself: a service that is gone must be freed at once.
        self._deadlines = Deadlines(lambda call: deliveries[call].due if call in deliveries else None)
        #: When the last advertisement went to a host, by call id, oldest first.
        self._recent: OrderedDict[int, float] = OrderedDict()
        #: Bindings that are still to be told of a change.
        self._sweep: Iterator[BindingCacheEntry] | None = None
        self._prepare(settings)

    def _prepare(self, settings: LmaSettings) -> None:
        self._settings = settings
        self._prefixes = home_prefixes(settings)
        self._mode = settings.mipv6_prefix_discovery
        # RFC 6275 section 10.3.1: in units of 4 s, the two low bits ignored.
        self._valid = settings.mipv6_prefix_valid // 4
        self._preferred = min(settings.mipv6_prefix_valid, settings.mipv6_prefix_preferred) // 4

    def reconfigure(self, settings: LmaSettings, now: Now) -> None:
        """Go on by other settings; hosts are told of other prefixes (RFC 6275 section 10.6.2)."""
        before = self._prefixes
        self._prepare(settings)
        if self._mode != "unsolicited" or not settings.mipv6:
            self._deliveries.clear()
            self._sweep = None
        elif self._prefixes != before:
            self._sweep = iter(list(self._cache.calls.values()))
            self.schedule(now.mono)

    # ---- registrations

    def accepted(
        self, request: HostRequest, entry: BindingCacheEntry, host: HostBinding, first: bool, now: Now
    ) -> Verdict | None:
        """Status 1 where the prefix does not outlive the binding; and now and then an advertisement."""
        if self._preferred < entry.lifetime or self._valid <= entry.lifetime:
            request.answer_status = codes.ACCEPTED_PREFIX_DISCOVERY_NECESSARY
        if self._mode == "unsolicited":
            if first or not host.advertise_at:
                host.advertise_at = now.mono + self._delay()
            elif host.advertise_at <= now.mono and entry.call_id not in self._deliveries:
                self._plan(entry, now.mono)
            elif entry.call_id in self._deliveries:
                self._again(entry, now)
        return None

    def _again(self, entry: BindingCacheEntry, now: Now) -> None:
        """Section 10.6.2: an update of a host that has acknowledged nothing begins the transmission again."""
        delivery = self._deliveries[entry.call_id]
        if delivery.due is not None:
            return
        delivery.rounds += 1
        if delivery.rounds >= ROUNDS:
            del self._deliveries[entry.call_id]
            return
        delivery.attempts, delivery.timeout, delivery.due = 0, FIRST_TIMEOUT, now.mono + PAUSE
        self._deadlines.set(entry.call_id, delivery.due)
        self.schedule(delivery.due)

    def left(self, request: HostRequest, entry: BindingCacheEntry, host: HostBinding, now: Now) -> None:
        """A host that is at home hears it there."""
        if not host.several:
            self._deliveries.pop(entry.call_id, None)

    def ended(self, entry: BindingCacheEntry, host: HostBinding, now: Now) -> None:
        """Section 10.6.2: nothing is sent to a host that has no binding."""
        self._deliveries.pop(entry.call_id, None)
        self._recent.pop(entry.call_id, None)

    def details(self, entry: BindingCacheEntry, host: HostBinding) -> list[tuple[str, str]]:
        """Whether it is to hear of prefixes."""
        return [("Prefix Advertisement", "Pending")] if entry.call_id in self._deliveries else []

    # ---- messages

    def payload(self, event: OptionsReceived, offset: int, entry: BindingCacheEntry, now: Now) -> None:
        """Take ICMPv6 of a host that is bound, from where it is bound: Mobile Prefix Solicitations only."""
        message, home = event.data[offset:], entry.prefix
        if home is not None and message[:1] == _SOLICITATION:
            packet = PacketReceived(message, event.source, event.destination)
            self._solicited(packet, entry, home, now)

    def _solicited(self, packet: PacketReceived, entry: BindingCacheEntry, home: bytes, now: Now) -> None:
        values = self._values
        values[SOLICITED] += 1
        try:
            identifier = icmp.identifier_of(packet.data, icmp.PREFIX_SOLICITATION)
        except DecodeError:
            values[DISCARDED] += 1
            return
        if self._mode == "off" or not icmp.intact(packet.data, home, packet.destination):
            values[DISCARDED] += 1
            return
        # It acknowledges what was sent unasked.
        self._deliveries.pop(entry.call_id, None)
        last = self._recent.get(entry.call_id)
        if last is not None and now.mono < last + PAUSE:
            # RFC 6275 section 6.8; the host asks again.
            values[DISCARDED] += 1
            return
        values[ADVERTISED] += 1
        # RFC 5555 section 2.2: inside UDP the home address is the source.
        here = way_to(entry) if packet.source == home else Way(entry.local, packet.source, 0, home)
        self._send(entry, here, identifier, now)

    def _send(self, entry: BindingCacheEntry, way: Way, identifier: int, now: Now) -> None:
        data = icmp.advertisement(identifier, self._prefixes, entry.local, way.home)
        self._sessions.effects.append(way.send(data, icmp.ICMPV6))
        self._recent.pop(entry.call_id, None)
        while len(self._recent) >= REMEMBERED:
            self._recent.popitem(last=False)
        self._recent[entry.call_id] = now.mono
        host = host_of(entry)
        if host is not None:
            host.advertise_at = now.mono + self._delay()

    # ---- unasked

    def _delay(self) -> float:
        """RAND_ADV_DELAY of section 10.6.2."""
        longest = min(LONGEST_INTERVAL, self._settings.mipv6_prefix_preferred)
        span = abs(longest - SHORTEST_INTERVAL)
        return SHORTEST_INTERVAL + (self._random_bits(32) % span if span else 0)

    def _plan(self, entry: BindingCacheEntry, due: float) -> None:
        self._deliveries[entry.call_id] = Delivery(due, self._random_bits(16))
        self._deadlines.set(entry.call_id, due)
        self.schedule(due)

    @property
    def deadline(self) -> float | None:
        """When the next one goes out; at once while there are bindings to look at."""
        return 0.0 if self._sweep is not None else self._deadlines.next

    def tick(self, now: Now) -> None:
        """Send what is due, repeat, give up; and look at some more bindings."""
        while self._recent and next(iter(self._recent.values())) + PAUSE <= now.mono:
            self._recent.popitem(last=False)
        if self._sweep is not None:
            self._step(now)
        for call_id in self._deadlines.pop_due(now.mono, SENT):
            entry = self._cache.calls.get(call_id)
            delivery = self._deliveries.get(call_id)
            if delivery is not None and entry is not None and not entry.deleting:
                self._deliver(entry, delivery, now)

    def _step(self, now: Now) -> None:
        assert self._sweep is not None
        some = list(islice(self._sweep, LOOKED_AT))
        if not some:
            self._sweep = None
        for entry in some:
            if not entry.of_host or entry.deleting or self._cache.calls.get(entry.call_id) is not entry:
                continue
            waiting = self._deliveries.get(entry.call_id)
            if waiting is None or waiting.attempts or waiting.due is None:
                self._plan(entry, now.mono + self._delay())

    def _deliver(self, entry: BindingCacheEntry, delivery: Delivery, now: Now) -> None:
        last = self._recent.get(entry.call_id)
        due = now.mono
        if last is not None and now.mono < last + PAUSE:
            due = last + PAUSE
        elif delivery.attempts > RETRIES:
            self._values[UNANSWERED] += 1
            delivery.due = None
            return
        elif hears(entry):
            self._values[REPEATED if delivery.attempts else UNSOLICITED] += 1
            self._send(entry, way_to(entry), delivery.identifier, now)
            delivery.attempts += 1
            due += delivery.timeout
            delivery.timeout *= 2
        else:
            del self._deliveries[entry.call_id]
            return
        delivery.due = due
        self._deadlines.set(entry.call_id, due)
