"""What the parts of a mobile node's core share, and the clocks of repetitions and rates.

::

    MobileNode ── Shared ──┬─ Registrar (home agents)     ─┬─ Slot, Exchange
                           ├─ Agents (which home agent)     └─ denials
                           ├─ Prefixes (of the home network)
                           └─ Correspondents (route optimization)
"""

from collections import deque
from collections.abc import Callable
from typing import Any

from appliance.counters import MN, CounterSet
from appliance.protocols.mn.events import Link, Notify
from appliance.protocols.mn.settings import MnSettings
from appliance.protocols.pmipv6.reports import Reports
from appliance.protocols.timers import Now

#: RFC 6275 section 12 (MAX_UPDATE_RATE): messages of one type to one node within a second.
MAX_UPDATE_RATE = 3
UNSPECIFIED = bytes(16)


class Backoff:
    """When to repeat what is not answered: the time doubles up to ``most`` (RFC 6275 section 11.8)."""

    __slots__ = ("_most", "due", "timeout", "tries")

    def __init__(self, first: float, most: float) -> None:
        self._most = most
        #: Seconds that the next transmission is waited for.
        self.timeout = first
        self.tries = 0
        self.due = 0.0

    def sent(self, mono: float) -> None:
        """A transmission has gone out."""
        self.due = mono + self.timeout
        self.timeout = min(2 * self.timeout, self._most)
        self.tries += 1


class Rate:
    """Keeps the messages of one type to one node below MAX_UPDATE_RATE."""

    __slots__ = ("_times",)

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=MAX_UPDATE_RATE)

    def allowed(self, mono: float) -> float:
        """When the next one may go: ``mono`` or later."""
        times = self._times
        return max(mono, times[0] + 1.0) if len(times) == MAX_UPDATE_RATE else mono

    def spend(self, mono: float) -> None:
        """One has gone out."""
        self._times.append(mono)


class Shared:
    """The settings of a mobile node, what it knows of itself, and what it wants done."""

    __slots__ = (
        "counters",
        "handoffs",
        "home",
        "home_ipv4",
        "home_ipv4_length",
        "home_link",
        "ipv4_revoked",
        "links",
        "out",
        "random_bits",
        "reports",
        "settings",
        "values",
    )

    def __init__(
        self, settings: MnSettings, counters: CounterSet, random_bits: Callable[[int], int]
    ) -> None:
        self.settings = settings
        self.counters = counters
        self.values = counters.values
        self.random_bits = random_bits
        self.reports = Reports()
        self.out: list[Any] = []
        #: The IPv6 home address; UNSPECIFIED: the home agent is to give one.
        self.home = UNSPECIFIED
        self.home_ipv4 = b""
        self.home_ipv4_length = 32
        #: The home agent has taken it back, so it is not asked for again.
        self.ipv4_revoked = False
        self.links: tuple[Link, ...] = ()
        #: How often the home agent has accepted another care-of address.
        self.handoffs = 0
        #: The link on which the node is at home.
        self.home_link: Link | None = None
        self.make_home()

    @property
    def named(self) -> bool:
        """Whether there is a home address."""
        return self.home != UNSPECIFIED

    def make_home(self) -> None:
        """The home address: configured, made of the home prefix, or asked for."""
        settings = self.settings
        if settings.home_address:
            self.home = settings.home_address
        elif settings.home_prefix:
            bits = 128 - settings.home_prefix_length
            own = settings.interface_identifier or self.random_octets(8)
            if not settings.interface_identifier:
                # RFC 4291 section 2.5.1: the u bit is clear, this identifier is not universal.
                own = bytes((own[0] & ~2,)) + own[1:]
            number = int.from_bytes(settings.home_prefix, "big") >> bits << bits
            self.home = (number | int.from_bytes(own, "big") & ((1 << bits) - 1)).to_bytes(16, "big")
        else:
            self.home = UNSPECIFIED

    def at_home(self, address: bytes) -> bool:
        """Whether an address has the home prefix."""
        settings = self.settings
        prefix = settings.home_prefix or settings.home_address
        if len(address) != 16 or not prefix:
            return False
        shift = 128 - settings.home_prefix_length
        return int.from_bytes(address, "big") >> shift == int.from_bytes(prefix, "big") >> shift

    def random_octets(self, count: int) -> bytes:
        """Octets of chance."""
        return self.random_bits(8 * count).to_bytes(count, "big")

    def count(self, key: str) -> None:
        """Add one to a row of the counter table."""
        self.values[MN.index(key)] += 1

    def notify(self, level: str, text: str) -> None:
        """A line for the log that cannot come often."""
        self.out.append(Notify(level, text))

    def notice(self, kind: str, text: str, now: Now) -> None:
        """A warning for the log that others can cause: at most once in a while."""
        self.reports.notice(kind, text, now, self.out)
