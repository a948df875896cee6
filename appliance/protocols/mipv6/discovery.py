"""Dynamic home agent address discovery at a home agent (RFC 6275 section 10.5), and its own advertisements.

::

    request to the anycast address, or to us ─▶ reply with the Home Agents List
    Router Advertisement on the home link ────▶ Home Agents List
    time, Router Solicitation ────────────────▶ Router Advertisement with the H flag
"""

from collections.abc import Callable, Iterator

from appliance.counters import LMA, CounterSet
from appliance.protocols.bits import DecodeError
from appliance.protocols.mipv6.agents import HomeAgents
from appliance.protocols.mipv6.checks import routable
from appliance.protocols.mipv6.events import IcmpReceived, SendOnLink
from appliance.protocols.mipv6.features import HostFeature
from appliance.protocols.mobility import discovery_messages as icmp
from appliance.protocols.mobility.discovery_messages import Prefix
from appliance.protocols.pmipv6.agent_settings import AgentEntry
from appliance.protocols.pmipv6.events import SendIcmp
from appliance.protocols.pmipv6.lma_sessions import Sessions
from appliance.protocols.pmipv6.reports import Budget, Reports
from appliance.protocols.pmipv6.settings import LmaSettings
from appliance.protocols.timers import Now

#: Replies per second, and how many may come at once: who asks need not be anybody's mobile node.
REPLIES_PER_SECOND, REPLIES_AT_ONCE = 20.0, 20.0
#: RFC 4861 section 10: the first advertisements come sooner, and two of them are never closer (seconds).
FIRST_ONES, FIRST_INTERVAL, CLOSEST, ANSWER_WITHIN = 3, 16.0, 3.0, 0.5
#: Valid and preferred lifetime of our address in an advertisement, where it is of no home prefix.
_LIFETIMES = 9000, 9000
ALL_NODES = bytes.fromhex("ff020000000000000000000000000001")
_HEAD = "home-agent-discovery/"
REQUESTS, REPLIES = LMA.index(_HEAD + "requests-received"), LMA.index(_HEAD + "replies-sent")
DISCARDED = LMA.index(_HEAD + "discarded")
ADVERTISEMENTS, ADVERTISED = (
    LMA.index(_HEAD + "router-advertisements-received"),
    LMA.index(_HEAD + "router-advertisements-sent"),
)


def home_prefixes(settings: LmaSettings) -> tuple[Prefix, ...]:
    """The prefixes of the home link, with our address in the one that it is of (RFC 6275 section 7.2)."""
    valid, preferred = settings.mipv6_prefix_valid, settings.mipv6_prefix_preferred
    preferred = min(valid, preferred)
    found = []
    for pool in settings.prefix_pools:
        if pool.name in settings.mipv6_pools:
            ours = _within(settings.address, pool.prefix, pool.prefix_length)
            prefix = settings.address if ours else pool.prefix
            found.append(Prefix(prefix, pool.prefix_length, valid, preferred, router=ours))
    return tuple(found)


def anycasts(settings: LmaSettings) -> tuple[bytes, ...]:
    """The Home-Agents anycast address of each home prefix that has one."""
    found = [icmp.anycast(each.prefix, each.length) for each in home_prefixes(settings)]
    return tuple(address for address in found if address is not None)


def _within(address: bytes, prefix: bytes, length: int) -> bool:
    shift = 128 - length
    return int.from_bytes(address, "big") >> shift == int.from_bytes(prefix, "big") >> shift


class Discovery(HostFeature):
    """Tells mobile nodes of home agents; effects go to those of ``sessions``."""

    def __init__(
        self,
        settings: LmaSettings,
        counters: CounterSet,
        reports: Reports,
        sessions: Sessions,
        random_bits: Callable[[int], int],
    ) -> None:
        self._values = counters.values
        self._reports = reports
        self._sessions = sessions
        self._random_bits = random_bits
        self.agents = HomeAgents(random_bits)
        self._budget = Budget(REPLIES_PER_SECOND, REPLIES_AT_ONCE)
        #: When the next Router Advertisement goes out; ``None``: none does.
        self._next: float | None = None
        self._last = float("-inf")
        self._first = 0
        self._prepare(settings)

    def _prepare(self, settings: LmaSettings) -> None:
        self._settings = settings
        self._addresses = {settings.address, *anycasts(settings)} if settings.mipv6_discovery else set()
        own = AgentEntry(address=settings.address, preference=settings.mipv6_agent_preference)
        self.agents.configure(own, settings.mipv6_agents)

    @property
    def _advertises(self) -> bool:
        settings = self._settings
        return settings.mipv6 and settings.mipv6_advertise and bool(settings.mipv6_home_link)

    def begin(self, now: Now) -> None:
        """Send the first advertisement soon, if there are any."""
        if self._advertises and self._next is None:
            self._first = FIRST_ONES
            self._plan(now.mono)

    def reconfigure(self, settings: LmaSettings, now: Now) -> None:
        """Go on by other settings; what is advertised is said anew, or that it is over."""
        before, link = self._advertises, self._settings.mipv6_home_link
        said = self._said()
        self._prepare(settings)
        if settings.mipv6_home_link != link:
            self.agents.clear()
        elif before and not self._advertises:
            # Without the H flag others delete what they know of us (RFC 6275 section 10.5.1).
            self._advertise(now, lifetime=0)
            self._next = None
        if not self._advertises:
            self._next = None
        elif not before or said != self._said():
            self._next = None
            self.begin(now)

    def _said(self) -> tuple[object, ...]:
        settings = self._settings
        lifetime, preference = settings.mipv6_agent_lifetime, settings.mipv6_agent_preference
        return home_prefixes(settings), lifetime, preference, settings.mipv6_advertise_interval

    # ---- messages

    def receive(self, event: IcmpReceived, now: Now) -> None:
        """Take an ICMPv6 message in."""
        kind = event.data[:1]
        if kind == b"%c" % icmp.DISCOVERY_REQUEST:
            self._asked(event, now)
        elif event.hop_limit != 255:
            # RFC 4861 section 6.1: it comes from another link.
            self._values[DISCARDED] += 1
        elif kind == b"%c" % icmp.ROUTER_ADVERTISEMENT:
            self._heard(event, now)
        elif kind == b"%c" % icmp.ROUTER_SOLICITATION:
            self._solicited(now)

    def _asked(self, event: IcmpReceived, now: Now) -> None:
        values = self._values
        values[REQUESTS] += 1
        try:
            identifier = icmp.identifier_of(event.data, icmp.DISCOVERY_REQUEST)
        except DecodeError:
            values[DISCARDED] += 1
            return
        wanted = event.destination in self._addresses and routable(event.source)
        if not wanted or not self._budget.spend(now.mono):
            values[DISCARDED] += 1
            return
        values[REPLIES] += 1
        ours = self._settings.address
        data = icmp.reply(identifier, self.agents.addresses(now.mono), ours, event.source)
        self._sessions.effects.append(SendIcmp(data, ours, event.source))

    def _heard(self, event: IcmpReceived, now: Now) -> None:
        self._values[ADVERTISEMENTS] += 1
        try:
            router = icmp.read_router(event.data)
        except DecodeError:
            self._values[DISCARDED] += 1
            return
        if event.source[:2] != b"\xfe\x80":
            # RFC 4861 section 6.1.2.
            self._values[DISCARDED] += 1
        elif not self.agents.learn(router, event.source, now.mono):
            text = "too many home agents on the home link; the ones that came last are not remembered"
            self._reports.notice("home agents", text, now, self._sessions.effects)

    def _solicited(self, now: Now) -> None:
        """RFC 4861 section 6.2.6: one answer for all, to all of the link."""
        if self._next is not None:
            soon = now.mono + self._random(ANSWER_WITHIN)
            self._next = min(self._next, max(soon, self._last + CLOSEST))
            self.schedule(self._next)

    # ---- our own advertisements

    @property
    def deadline(self) -> float | None:
        """When the next Router Advertisement goes out."""
        return self._next

    def tick(self, now: Now) -> None:
        """Send it."""
        if self._next is not None and self._next <= now.mono:
            self._advertise(now, self._settings.mipv6_agent_lifetime)
            self._first = max(0, self._first - 1)
            longest = float(self._settings.mipv6_advertise_interval)
            shortest = max(CLOSEST, 0.33 * longest)
            wait = shortest + self._random(longest - shortest)
            self._plan(now.mono + (min(wait, FIRST_INTERVAL) if self._first else wait))

    def _plan(self, mono: float) -> None:
        self._next = mono
        self.schedule(mono)

    def _random(self, longest: float) -> float:
        return longest * self._random_bits(16) / 0x10000

    def _advertise(self, now: Now, lifetime: int) -> None:
        settings = self._settings
        prefixes = home_prefixes(settings)
        if not any(each.router for each in prefixes):
            # RFC 6275 section 7.2: one with the R bit there has to be, and it need not be on this link.
            prefixes += (Prefix(settings.address, 64, *_LIFETIMES, False, False, router=True),)
        interval = 1000 * settings.mipv6_advertise_interval
        data = icmp.router_advertisement(prefixes, settings.mipv6_agent_preference, lifetime, interval)
        self._last = now.mono
        self._values[ADVERTISED] += 1
        self._sessions.effects.append(SendOnLink(data, ALL_NODES))

    def rows(self, now: Now) -> Iterator[tuple[bytes, int, str, int]]:
        """The Home Agents List for an operator."""
        return iter(self.agents.rows(now.mono))
