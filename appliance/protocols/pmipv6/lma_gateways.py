"""Which gateways have sessions with an anchor, and how many.

A gateway is known by its care-of address. Over IPv4 a NAT may give several of them one address, so there its
own address comes with it if it says it, else the port of its signalling (``extras.Gateway``, ``served_by``).
Counted when a session comes, moves or ends, never at a refresh; gone with the last session.
"""

from collections.abc import Callable
from weakref import WeakValueDictionary

from appliance.protocols.pmipv6.bce import BindingCacheEntry
from appliance.protocols.pmipv6.extras import (
    PMIPV6_PORT,
    Gateway,
    address_of,
    extras_of,
    served_by,
    suffix_of,
)
from appliance.protocols.pmipv6.lma_request import Request
from appliance.protocols.timers import Now


def _nobody(_who: bytes, _now: Now) -> None:
    """Nobody wants to know."""


def sender_of(request: Request) -> bytes:
    """The gateway that an update comes from, as :func:`extras.served_by` names it."""
    if not request.port:
        return request.care_of
    return request.care_of + suffix_of(request.source, request.gateway_tag())


class Gateways:
    """The gateways of one service that have sessions."""

    __slots__ = ("_at", "_counts", "_known", "_neighbours", "_ports", "met")

    def __init__(self) -> None:
        self._counts: dict[bytes, int] = {}
        self._known: WeakValueDictionary[tuple[bytes, bytes], Gateway] = WeakValueDictionary()
        #: Of those over IPv4: where their signalling came from last, and who was last there.
        self._ports: dict[bytes, int] = {}
        self._at: dict[tuple[bytes, int], bytes] = {}
        #: The gateways that are known by more than their address, by address.
        self._neighbours: dict[bytes, dict[bytes, None]] = {}
        #: Told of a gateway that has a session now, and had none.
        self.met: Callable[[bytes, Now], None] = _nobody

    def __len__(self) -> int:
        return len(self._counts)

    def all(self) -> list[bytes]:
        """The identities of all that have sessions."""
        return list(self._counts)

    def shared(self, who: bytes) -> int:
        """How many sessions a gateway has."""
        return self._counts.get(who, 0)

    def known(self, address: bytes) -> bool:
        """Whether a gateway with this address has sessions."""
        return address in self._counts or address in self._neighbours

    def alone(self, address: bytes) -> bool:
        """Whether there are not several gateways with this address."""
        return len(self._neighbours.get(address, ())) + (address in self._counts) < 2

    def port(self, who: bytes) -> int:
        """The UDP port to reach a gateway at over IPv4."""
        return self._ports.get(who, PMIPV6_PORT)

    def at(self, address: bytes, port: int) -> bytes:
        """Who speaks from there; the address alone if that is all that can be told."""
        return self._at.get((address, port), address) if address in self._neighbours else address

    def only(self, address: bytes) -> bytes:
        """The gateway with this address, as long as there are not several; else the address alone."""
        return next(iter(self._neighbours.get(address, ())), address) if self.alone(address) else address

    def close(self) -> None:
        """Tell nobody anything any more: who is told refers back to here."""
        self.met = _nobody

    def join(self, care_of: bytes, now: Now) -> None:
        """A gateway over IPv6 has a session more."""
        count = self._counts[care_of] = self._counts.get(care_of, 0) + 1
        if count == 1:
            self.met(care_of, now)

    def leave(self, who: bytes) -> None:
        """A gateway has one session less."""
        count = self._counts.get(who, 0)
        if count > 1:
            self._counts[who] = count - 1
        elif count:
            del self._counts[who]
            address, port = address_of(who), self._ports.pop(who, 0)
            if self._at.get((address, port)) == who:
                del self._at[address, port]
            if len(who) > len(address):
                del self._neighbours[address][who]
                if not self._neighbours[address]:
                    del self._neighbours[address]

    def note(self, request: Request, entry: BindingCacheEntry, care_of: bytes) -> None:
        """Put a session where its update came from, over IPv4 or with extras.

        The port is that of all sessions of the gateway: a NAT that has given another one has done so for
        everything from there.
        """
        before = served_by(entry) if entry.care_of else b""
        entry.care_of = care_of
        self._place(request, entry)
        who = served_by(entry)
        if who != before:
            if before:
                self.leave(before)
            if len(who) not in (4, 16) and who not in self._counts:
                self._neighbours.setdefault(address_of(who), {})[who] = None
        if request.port:
            old = self._ports.get(who)
            if old != request.port:
                if old and self._at.get((care_of, old)) == who:
                    del self._at[care_of, old]
                self._ports[who] = request.port
            self._at[care_of, request.port] = who
        if who != before:
            self.join(who, request.now)

    def _place(self, request: Request, entry: BindingCacheEntry) -> None:
        extras = extras_of(entry)
        if not request.port:
            extras.gateway, extras.tlv = None, False
            return
        tag = request.gateway_tag()
        gateway = self._known.get((request.source, tag))
        if gateway is None:
            gateway = self._known[request.source, tag] = Gateway(request.source, tag)
        gateway.port = request.port
        gateway.nat = (
            tag != request.source if len(tag) == len(request.source) else request.port != PMIPV6_PORT
        )
        extras.gateway = gateway
