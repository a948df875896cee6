"""The Home Agents List of one home link (RFC 6275 sections 10.1 and 10.5.1).

::

    Router Advertisement with H ─▶ learn ─┐
    lines of the configuration ───────────┼─▶ addresses: by preference, equals in random order
    this home agent itself ───────────────┘
"""

from collections.abc import Callable
from typing import NamedTuple

from appliance.protocols.mipv6.checks import routable
from appliance.protocols.mobility.discovery_messages import Router
from appliance.protocols.pmipv6.agent_settings import AgentEntry

#: Routers of a link that are remembered, and addresses of each: anyone on the link can make some up.
ROUTERS, ADDRESSES = 64, 8


class Learnt(NamedTuple):
    """A home agent that Router Advertisements tell of."""

    preference: int
    until: float
    """Monotonic seconds."""
    addresses: tuple[bytes, ...]


class HomeAgents:
    """All home agents of one home link; ``random_bits`` as of the anchor."""

    __slots__ = ("_own", "_fixed", "_learnt", "_random_bits")

    def __init__(self, random_bits: Callable[[int], int]) -> None:
        self._random_bits = random_bits
        self._own = AgentEntry(address=b"")
        self._fixed: tuple[AgentEntry, ...] = ()
        #: By link-local address.
        self._learnt: dict[bytes, Learnt] = {}

    def configure(self, own: AgentEntry, fixed: tuple[AgentEntry, ...]) -> None:
        """Take over what the configuration says."""
        self._own, self._fixed = own, fixed

    def clear(self) -> None:
        """Forget what was learnt: it is of another link."""
        self._learnt.clear()

    def learn(self, router: Router, link_local: bytes, mono: float) -> bool:
        """Take an advertisement in (section 10.5.1); False: there is no room for one more."""
        self.forget(mono)
        known = self._learnt.get(link_local)
        if not router.home_agent or not router.lifetime:
            self._learnt.pop(link_local, None)
            return True
        if known is None and len(self._learnt) >= ROUTERS:
            return False
        named = [each.prefix for each in router.prefixes if each.router and routable(each.prefix)]
        # Advertisements may be split: what an earlier one has said stays as long as the entry.
        found = dict.fromkeys((*named, *(known.addresses if known is not None else ())))
        until = mono + router.lifetime
        self._learnt[link_local] = Learnt(router.preference, until, tuple(found)[:ADDRESSES])
        return True

    def forget(self, mono: float) -> None:
        """Delete the entries whose lifetime is over."""
        for link_local in [key for key, each in self._learnt.items() if each.until <= mono]:
            del self._learnt[link_local]

    def rows(self, mono: float) -> list[tuple[bytes, int, str, int]]:
        """For an operator: address, preference, where it is from, seconds that are left (0: for ever)."""
        self.forget(mono)
        found = [(self._own.address, self._own.preference, "this one", 0)]
        found += [(each.address, each.preference, "configured", 0) for each in self._fixed]
        for each in self._learnt.values():
            left = int(each.until - mono)
            found += [(address, each.preference, "advertised", left) for address in each.addresses]
        return found

    def addresses(self, mono: float, own: bool = True) -> list[bytes]:
        """In order of decreasing preference, equals in an order of their own each time.

        ``own``: with this home agent itself.
        """
        self.forget(mono)
        groups: list[tuple[int, tuple[bytes, ...]]]
        groups = [(each.preference, (each.address,)) for each in self._fixed]
        groups += [(each.preference, each.addresses) for each in self._learnt.values()]
        if own:
            groups.append((self._own.preference, (self._own.address,)))
        # The addresses of one home agent stay together, in a random order.
        ordered = sorted(groups, key=lambda group: (-group[0], self._random_bits(32)))
        found = [
            address
            for _, addresses in ordered
            for address in sorted(addresses, key=lambda _: self._random_bits(32))
        ]
        if not own:
            found = [address for address in found if address != self._own.address]
        return list(dict.fromkeys(found))
