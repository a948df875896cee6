"""What a Diameter endpoint tells the tap: each message, with the connection that it went by.

::

    Connections ─▶ Probe.received(connection, messages) ─▶ node core ─▶ Probe.sent(connection, data) ─▶ write
                             └──────────────────▶ Tap ◀──────────────────────┘

While nobody listens a message costs one look at ``tap.listening``.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from appliance.protocols.diameter.message.veil import veil
from appliance.protocols.timers import Now
from appliance.tap import INBOUND, NOTE, OUTBOUND, Tap, TappedDiameter, TappedEvent


class Link(Protocol):
    """What the tap is told of a connection."""

    kind: str
    """Transport: ``tcp``, ``tls``, ``tls-inband``, ``sctp``."""
    peer: str
    """Identity of the peer; empty: not known yet."""
    remote: bytes
    port: int
    """Of the peer."""
    local: tuple[bytes, ...]
    local_port: int


class Probe:
    """The end of the tap at one endpoint."""

    __slots__ = ("_clock", "_endpoint", "_tap")

    def __init__(self, tap: Tap, clock: Callable[[], Now], endpoint: str) -> None:
        self._tap = tap
        self._clock = clock
        self._endpoint = endpoint

    def received(self, link: Link, messages: Sequence[bytes]) -> None:
        """Tell of messages that have come."""
        if self._tap.listening:
            for data in messages:
                self._tell(INBOUND, link, data)

    def sent(self, link: Link, data: bytes) -> None:
        """Tell of a message that goes out."""
        if self._tap.listening:
            self._tell(OUTBOUND, link, data)

    def noted(self, text: str) -> None:
        """Tell of something that also goes to the log."""
        if self._tap.listening:
            self._tap.saw(TappedEvent(self._clock().wall, "diameter", self._endpoint, NOTE, text))

    def _tell(self, direction: str, link: Link, data: bytes) -> None:
        ours = (_same_family(link.local, link.remote), link.local_port)
        theirs = (link.remote, link.port)
        source, destination = (theirs, ours) if direction == INBOUND else (ours, theirs)
        self._tap.saw(
            TappedDiameter(
                self._clock().wall,
                self._endpoint,
                direction,
                veil(data),
                link.peer,
                *source,
                *destination,
                link.kind,
            )
        )


def _same_family(addresses: Sequence[bytes], other: bytes) -> bytes:
    """The first address of the other one's family; the unspecified one if there is none."""
    return next((each for each in addresses if len(each) == len(other)), bytes(len(other)))
