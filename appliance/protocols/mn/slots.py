"""The binding update list towards home agents: a care-of address each, and what waits for an answer.

RFC 6275 section 11.1, RFC 5648 section 5.1 (one entry a binding identifier).
"""

from collections import OrderedDict
from typing import NamedTuple

from appliance.protocols.mn.events import Link
from appliance.protocols.mn.state import Backoff

#: What an exchange is about.
REGISTER, REMOVE, LEAVE, HOME = "register", "remove", "leave", "home"
#: Transmissions of one exchange whose answers are still taken.
REMEMBERED = 8


class Slot:
    """One care-of address, plain (``bid`` 0) or one of several."""

    __slots__ = (
        "bid", "bound", "busy", "expires", "granted", "keepalive", "link", "nat", "preference", "refresh",
        "retry", "sequence", "status", "tlv", "udp",
    )  # fmt: skip

    def __init__(self, bid: int, preference: int) -> None:
        self.bid = bid
        self.preference = preference
        #: The link that it is to be on; ``None``: its interface cannot be used now.
        self.link: Link | None = None
        #: What the home agent has accepted; ``None``: nothing.
        self.bound: Link | None = None
        self.expires = 0.0
        #: When the next update is due, if none is waiting for an answer.
        self.refresh = 0.0
        #: Not before this time, because it was refused.
        self.retry = 0.0
        self.granted = 0
        self.status = -1
        self.sequence = 0
        self.nat = self.udp = self.tlv = False
        #: Seconds; 0: none.
        self.keepalive = 0
        #: True: an exchange is about it, which refers to it and not the other way round.
        self.busy = False

    def times(self) -> tuple[float, ...]:
        """When something may be to be done about it."""
        bound = (self.expires, self.refresh) if self.bound is not None else ()
        return (self.retry, *bound)

    @property
    def current(self) -> bool:
        """Whether the home agent has the address that is used now."""
        return self.bound is not None and self.bound == self.link

    def forget(self) -> None:
        """The home agent has no binding any more."""
        self.bound = None
        self.granted = 0
        self.nat = self.udp = self.tlv = False
        self.keepalive = 0

    def wants(self, mono: float) -> bool:
        """Whether an update has to go out for it now."""
        if self.link is None or self.busy or mono < self.retry:
            return False
        return not self.current or mono >= self.refresh


class Sent(NamedTuple):
    """One transmission of an update: what its answer is held against."""

    mono: float
    care_of: bytes
    """As it is covered by the authenticator, 16 octets."""
    home: bytes
    mesg_id: int
    """0: without the option."""
    lifetime: int
    """Units of 4 s."""
    flags: int


class Exchange:
    """An update and its repetitions."""

    __slots__ = ("backoff", "kind", "link", "name", "sent", "slots")

    def __init__(self, kind: str, slots: list[Slot], link: Link, name: str, backoff: Backoff) -> None:
        self.kind = kind
        self.slots = slots
        #: By which it goes out.
        self.link = link
        #: As it is counted.
        self.name = name
        self.backoff = backoff
        #: By sequence number.
        self.sent: OrderedDict[int, Sent] = OrderedDict()

    def note(self, sequence: int, sent: Sent) -> None:
        """Remember a transmission."""
        self.sent[sequence] = sent
        if len(self.sent) > REMEMBERED:
            self.sent.popitem(last=False)
