"""Which links a mobile node uses (RFC 6275 sections 11.5.2 and 11.5.3, RFC 5555 section 4.4.1).

One address of each interface; IPv6 before IPv4, what works before what does not, the preferred one first.
"""

from typing import NamedTuple

from appliance.protocols.mn.agents import Agent
from appliance.protocols.mn.events import Link
from appliance.protocols.mn.state import Shared

#: Preference of an interface that has no line of its own, where none has.
PLAIN = 100


class Choice(NamedTuple):
    """A link and what is configured of its interface."""

    link: Link
    preference: int
    bid: int


class Suspects:
    """Addresses that did not work a while ago."""

    __slots__ = ("_until",)

    def __init__(self) -> None:
        self._until: dict[bytes, float] = {}

    def add(self, address: bytes, until: float) -> None:
        """Use others rather than this one, until then."""
        if len(self._until) > 64:
            self._until.clear()
        self._until[address] = until

    def drop(self, address: bytes) -> None:
        """It works."""
        self._until.pop(address, None)

    def __contains__(self, address: bytes) -> bool:
        return address in self._until

    def expire(self, mono: float) -> bool:
        """Whether some may be tried again."""
        gone = [address for address, until in self._until.items() if until <= mono]
        for address in gone:
            del self._until[address]
        return bool(gone)

    @property
    def deadline(self) -> float | None:
        """When the next one may be."""
        return min(self._until.values(), default=None)


def home_link(shared: Shared) -> Link | None:
    """The link on which the node is at home."""
    return next((link for link in shared.links if link.home or shared.at_home(link.address)), None)


def choose(shared: Shared, agent: Agent, suspects: Suspects) -> list[Choice]:
    """The links that can be used away from home, one an interface, the best first."""
    configured = shared.settings.interfaces
    found: list[Choice] = []
    names = [each.name for each in configured] or list(dict.fromkeys(link.interface for link in shared.links))
    for place, name in enumerate(names, 1):
        links = [link for link in shared.links if link.interface == name and usable(shared, agent, link)]
        if not links:
            continue
        best = min(links, key=lambda link: (link.address in suspects, len(link.address) == 4))
        each = configured[place - 1] if configured else None
        preference = each.preference if each is not None else PLAIN
        found.append(Choice(best, preference, (each.bid if each is not None else 0) or place))
    found.sort(key=lambda choice: (choice.link.address in suspects, -choice.preference))
    return found


def usable(shared: Shared, agent: Agent, link: Link) -> bool:
    """Whether the home agent can be reached from there.

    Over IPv4 the inner source is the home address, so there has to be one (RFC 5555 section 4.4.2).
    """
    if len(link.address) == 4:
        return bool(agent.ipv4) and shared.named
    return not (link.home or shared.at_home(link.address))
