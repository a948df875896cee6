"""What all parts of one Diameter node share: settings, effects, figures, chance, and who the node is."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from appliance.protocols.diameter.message.codec import Message
from appliance.protocols.diameter.message.dictionary import Dictionary, current
from appliance.protocols.diameter.message.faults import Fault, refuse
from appliance.protocols.diameter.node.capabilities import Ourselves
from appliance.protocols.diameter.node.events import Close, Notify
from appliance.protocols.diameter.node.peer_states import Link
from appliance.protocols.diameter.node.stats import NodeStatistics
from appliance.protocols.diameter.settings import EndpointSettings
from appliance.protocols.timers import Now

#: A line about the same thing is logged once in so many seconds.
HUSH_SECONDS = 60.0
#: Things whose lines are remembered at one time; a stranger names some of them.
HUSHED = 1_000


#: Checks a message against a dictionary; then: reserved header bits are a fault; the peer speaks drafts.
Check = Callable[[Message, Dictionary, bool, bool], Fault | None]


class Context:
    """Shared by the parts of one node; no part refers to another one through it."""

    __slots__ = (
        "settings", "effects", "random_bits", "check", "_dictionary", "statistics", "us", "last_connection",
        "stopping", "started", "links", "incoming", "_end_to_end", "_hushed",
    )  # fmt: skip

    def __init__(
        self,
        settings: EndpointSettings,
        random_bits: Callable[[int], int],
        check: Check,
        dictionary: Dictionary | None,
    ) -> None:
        self.settings = settings
        self.effects: list[Any] = []
        self.random_bits = random_bits
        self.check = check
        self._dictionary = dictionary
        self.statistics = NodeStatistics()
        self.us = Ourselves(settings)
        self.last_connection = -1
        self.stopping = False
        self.started = False
        #: Connections by number.
        self.links: dict[int, Link] = {}
        #: How many of them peers have opened.
        self.incoming = 0
        self._end_to_end = -1
        self._hushed: OrderedDict[str, tuple[float, int]] = OrderedDict()

    @property
    def dictionary(self) -> Dictionary:
        """What messages are checked with: the one in use when none was given, as files may be loaded."""
        return self._dictionary or current()

    def uniform(self) -> float:
        """A random number from 0 to 1, 1 excluded."""
        return self.random_bits(24) / (1 << 24)

    def jittered(self, seconds: float) -> float:
        """About so many seconds: up to a tenth more or less."""
        return seconds * (0.9 + 0.2 * self.uniform())

    def fault(self, message: Message, compat: bool = False) -> Fault | None:
        """What is wrong with a message, if anything."""
        return self.check(message, self.dictionary, self.settings.strict_bits, compat)

    def refuse(self, message: Message, fault: Fault) -> bytes:
        """The answer that tells a fault of a request."""
        us = self.us
        return refuse(message, fault, us.identity, us.realm, self.dictionary)

    def new_connection(self) -> int:
        """A number for a connection that we open: odd ones."""
        self.last_connection += 2
        return self.last_connection

    def end_to_end(self, now: Now) -> int:
        """The next End-to-End Id (RFC 6733 section 3: unique for four minutes, also over a restart)."""
        if self._end_to_end < 0:
            self._end_to_end = (int(now.wall) & 0xFFF) << 20 | self.random_bits(20)
        self._end_to_end = self._end_to_end + 1 & 0xFFFFFFFF
        return self._end_to_end

    @property
    def ready(self) -> bool:
        """Whether connections make sense: the node runs, and has something to say in CER."""
        return self.started and (bool(self.us.advertised) or self.us.agent != "none")

    def remove(self, link: Link) -> bool:
        """Know a connection no more; returns whether it was known."""
        link.peer = link.due = None
        if self.links.pop(link.number, None) is None:
            return False
        self.incoming -= not link.initiator
        return True

    def drop(self, link: Link, text: str, abort: bool = False) -> None:
        """Close a connection, if it is not gone already."""
        if self.remove(link):
            self.effects.append(Close(link.number, text, abort))

    def notify(self, level: str, text: str) -> None:
        """A line for the log."""
        self.effects.append(Notify(level, f"Diameter endpoint {self.settings.name}: {text}"))

    def hushed(self, now: Now, about: str, level: str, text: str) -> None:
        """A line for the log that may be said often: once a minute for each thing that it is ``about``."""
        silent, kept = self._hushed.get(about, (0.0, 0))
        if now.mono < silent:
            self._hushed[about] = silent, kept + 1
            return
        more = f" ({kept} more like this were not logged)" if kept else ""
        self.notify(level, text + more)
        self._hushed[about] = now.mono + HUSH_SECONDS, 0
        self._hushed.move_to_end(about)
        if len(self._hushed) > HUSHED:
            self._hushed.popitem(last=False)

    def unhush(self, about: str) -> None:
        """The thing is over, all that follows a colon behind it, too: the next line is logged at once."""
        for each in [each for each in self._hushed if each.partition(": ")[0] == about]:
            del self._hushed[each]
