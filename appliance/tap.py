"""Where signalling can be watched: drivers tell the one :class:`Tap` what they receive and send.

Messages of mobility services and of Diameter endpoints, what becomes of sessions, and notes.

::

    socket ─▶ driver ─▶ core            Tap.saw(message) ─┬─▶ Subscription of a monitor ──take()──▶ terminal
                │  └─── if tap.listening ─────▶           └─▶ Subscription of a capture ──take()──▶ file

Signalling is never slowed for a listener: while there is none, a message costs one look at
``listening``; a subscription that is full drops the newest message and counts it; one that has
to decode too much in a second counts what it could not look at. No I/O and no clock in here;
``take`` may be called from another thread.
"""

from collections import deque
from collections.abc import Callable
from typing import Protocol

from attrs import define

INBOUND, OUTBOUND = "inbound", "outbound"
MADE, ENDED, NOTE = "made", "ended", "note"

#: Most subscriptions at a time; each costs every message one call.
SUBSCRIPTIONS = 16
#: Octets of messages that wait for one listener: Diameter messages can be long.
OCTETS = 16 << 20
#: Messages that the filter of one subscription may decode in a second (about 15 microseconds each).
DECODINGS = 2000


@define(slots=True)
class TappedMessage:
    """One mobility message as it went by."""

    wall: float
    """Seconds since 1970."""
    kind: str
    """Kind of the service: ``lma``, ``mipv6ha`` or ``mag``."""
    service: str
    """Name of the service."""
    direction: str
    """``INBOUND`` or ``OUTBOUND``, seen from us."""
    data: bytes
    """From the Payload Proto octet on."""
    source: bytes
    """Packed address, IPv6 or (over UDP) IPv4."""
    destination: bytes
    port: int = 0
    """UDP port of the peer; 0: straight in IPv6 (Next Header 135)."""

    @property
    def peer(self) -> bytes:
        """Packed address of the other side."""
        return self.source if self.direction == INBOUND else self.destination


@define(slots=True)
class TappedDiameter:
    """One Diameter message as it went by, in clear text whatever it came in; its keys are veiled."""

    wall: float
    """Seconds since 1970."""
    service: str
    """Name of the endpoint."""
    direction: str
    data: bytes
    name: str
    """Identity of the peer; empty: it has not said it yet."""
    source: bytes
    """Packed address."""
    source_port: int
    """0: not known."""
    destination: bytes
    destination_port: int
    transport: str
    """``tcp``, ``tls``, ``sctp`` ..."""
    kind: str = "diameter"

    @property
    def peer(self) -> bytes:
        """Packed address of the other side."""
        return self.source if self.direction == INBOUND else self.destination


@define(slots=True)
class TappedEvent:
    """Something that happened to a session, or what a service has to say."""

    wall: float
    """Seconds since 1970."""
    kind: str
    service: str
    what: str
    """``MADE`` (or changed), ``ENDED``, or ``NOTE``: a text that also goes to the log."""
    text: str
    call_id: int = 0
    """0: about no session."""
    addresses: tuple[bytes, ...] = ()
    """Packed home network prefixes and IPv4 home address of a session that was made."""


Tapped = TappedMessage | TappedDiameter | TappedEvent


class Wanted(Protocol):
    """What a subscription wants to see."""

    def maybe(self, item: Tapped) -> bool:
        """Whether it can be wanted, found out without decoding anything."""

    def wants(self, item: Tapped) -> bool:
        """Whether it is wanted; asked only after ``maybe``, so many times a second."""


class TooMany(Exception):
    """There are as many subscriptions as there may be."""


class Subscription:
    """The messages for one listener, at most ``limit`` that were not taken yet.

    ``lost`` counts those that were dropped, ``losses`` the same by (kind, service).
    """

    def __init__(
        self,
        end: Callable[["Subscription"], None],
        wanted: Wanted | None,
        limit: int,
        decodings: int,
        wake: Callable[[], object] | None,
    ) -> None:
        self.limit = limit
        self.losses: dict[tuple[str, str], int] = {}
        self.error: Exception | None = None
        """What went wrong in the filter; it sees nothing more then."""
        self._end = end
        self._wanted = wanted
        self._decodings = decodings
        self._wake = wake
        self._waiting: deque[Tapped] = deque()
        self._second = -1
        self._left = 0
        self._put = self._taken = 0
        """Octets so far; each is written by one thread only."""

    @property
    def lost(self) -> int:
        """How many messages were dropped so far."""
        return sum(self.losses.values())

    def offer(self, item: Tapped) -> None:
        """Keep an item if it is wanted and there is room; never raises."""
        try:
            if not self._fits(item):
                return
        except Exception as error:  # noqa: BLE001 - kept for the listener; signalling goes on
            self.error = error
            self._end(self)
            return
        if len(self._waiting) >= self.limit or self._put - self._taken > OCTETS:
            self._lose(item)
            return
        self._put += _size(item)
        self._waiting.append(item)
        if self._wake is not None:
            self._wake()

    def _fits(self, item: Tapped) -> bool:
        wanted = self._wanted
        if wanted is None:
            return True
        if not wanted.maybe(item):
            return False
        second = int(item.wall)
        if second != self._second:
            self._second, self._left = second, self._decodings
        if not self._left:
            self._lose(item)
            return False
        self._left -= 1
        return wanted.wants(item)

    def _lose(self, item: Tapped) -> None:
        key = (item.kind, item.service)
        self.losses[key] = self.losses.get(key, 0) + 1

    def take(self, most: int = 0) -> list[Tapped]:
        """The oldest ``most`` items (0: all) that were not taken yet.

        Raises what the filter raised, when everything before that was taken.
        """
        waiting = self._waiting
        count = min(len(waiting), most or self.limit)
        if not count and self.error is not None:
            raise self.error
        found = [waiting.popleft() for _ in range(count)]
        self._taken += sum(map(_size, found))
        return found

    def close(self) -> None:
        """Listen no more; what was not taken yet can still be."""
        self._end(self)


def _size(item: Tapped) -> int:
    return 0 if isinstance(item, TappedEvent) else len(item.data)


class Tap:
    """One for the process: services tell it, listeners subscribe."""

    __slots__ = ("listening", "_subscriptions")

    def __init__(self) -> None:
        self.listening = False
        """Whether anybody listens: to be looked at before anything is made for :meth:`saw`."""
        self._subscriptions: tuple[Subscription, ...] = ()

    def subscribe(
        self,
        wanted: Wanted | None = None,
        limit: int = 1000,
        *,
        decodings: int = DECODINGS,
        wake: Callable[[], object] | None = None,
    ) -> Subscription:
        """Listen to what ``wanted`` wants (``None``: everything).

        ``limit`` is how many items may wait; ``decodings`` how often ``wanted.wants`` is asked
        in a second; ``wake`` is called (by the reactor thread) when an item was put in. Raises
        :class:`TooMany`.
        """
        if len(self._subscriptions) >= SUBSCRIPTIONS:
            raise TooMany(f"{SUBSCRIPTIONS} monitors and captures are running; end one first")
        made = Subscription(self._drop, wanted, limit, decodings, wake)
        self._subscriptions += (made,)
        self.listening = True
        return made

    def saw(self, item: Tapped) -> None:
        """Offer an item to all listeners; never raises."""
        for subscription in self._subscriptions:
            subscription.offer(item)

    def _drop(self, subscription: Subscription) -> None:
        self._subscriptions = tuple(one for one in self._subscriptions if one is not subscription)
        self.listening = bool(self._subscriptions)
