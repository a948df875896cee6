"""Who is on the access links: those that are known, and those that are not (yet)."""

from collections import OrderedDict
from collections.abc import Collection

from attrs import define

from appliance.protocols.access.dhcpv4 import Dhcp
from appliance.protocols.pmipv6.events import Advertise
from appliance.protocols.pmipv6.mag_policy import PolicyTable

#: Unknown mobile nodes that are remembered.
MAX_STRANGERS = 256

Key = tuple[str, bytes]
"""Interface and link-layer address."""


@define(slots=True, eq=False)
class Mobile:
    """One mobile node on one link. Times are monotonic seconds."""

    interface: str
    link_layer: bytes
    heard: float
    link_local: bytes | None = None
    ipv4: bytes | None = None
    """Its own IPv4 address, learnt from ARP: for probing a mobile without IPv6."""
    triggered: float = 0.0
    probes: int = 0
    probe_due: float = 0.0
    """When to send the next probe; meaningful while ``probes`` > 0."""
    advertise: Advertise | None = None
    valid_until: float = 0.0
    advertised: float = float("-inf")
    advertise_due: float = 0.0
    initial: int = 0
    """How many of the fast first advertisements are still to come."""
    asked: Dhcp | None = None
    """Its last DHCP message while there is no address to answer it with, and when it came."""
    asked_at: float = 0.0
    prefixes_asked: float | None = None
    """When the anchor was asked for prefixes because it wanted some; ``None``: not."""
    requesting: tuple[bytes, int] | None = None
    """DUID and IAID of its DHCPv6 client that has its delegated prefixes (RFC 8415); ``None``: none has."""


    def probe_at(self, reachable_time: float) -> float:
        """When to ask next whether it is there; ``reachable_time``: how long it may be silent."""
        return self.probe_due if self.probes else self.heard + reachable_time

    def due(self, reachable_time: float) -> float:
        """When something is to be done about it."""
        due = self.probe_at(reachable_time)
        return min(due, self.advertise_due) if self.advertise and self.advertise.prefixes else due

    def reaches(self, sender: bytes, target: bytes) -> bool:
        """Whether an ARP request for an IPv4 address is ours to answer: the router's, or its home subnet's.

        Not its own address, and not a probe (RFC 5227: sender 0.0.0.0) for another than the router's.
        """
        event = self.advertise
        if event is None:
            return False
        if target == event.ipv4_router:
            return True
        own, shift = event.ipv4_address, 32 - event.ipv4_prefix_length
        if own is None or target == own or not any(sender):
            return False
        return (int.from_bytes(target, "big") ^ int.from_bytes(own, "big")) >> shift == 0


class Strangers:
    """Who asked for a router and was unknown, the latest last.

    If a line is added for one of them, it may not ask again for a long time. Their number is bounded.
    """

    __slots__ = ("_link_locals",)

    def __init__(self) -> None:
        self._link_locals: OrderedDict[Key, bytes] = OrderedDict()

    def __len__(self) -> int:
        return len(self._link_locals)

    def note(self, key: Key, link_local: bytes) -> None:
        """Remember somebody by a link-local address that it can be probed at."""
        self._link_locals[key] = link_local
        self._link_locals.move_to_end(key)
        if len(self._link_locals) > MAX_STRANGERS:
            self._link_locals.popitem(last=False)

    def forget(self, interface: str) -> None:
        """Nobody is on a link any more."""
        for key in [key for key in self._link_locals if key[0] == interface]:
            del self._link_locals[key]

    def known(self, policies: PolicyTable, links: Collection[str]) -> list[tuple[Key, bytes]]:
        """Take out those whom a line covers now, with their addresses; those of other links are forgotten."""
        for interface in {key[0] for key in self._link_locals} - set(links):
            self.forget(interface)
        found = [(key, own) for key, own in self._link_locals.items() if policies.at(*key) is not None]
        for key, _ in found:
            del self._link_locals[key]
        return found
