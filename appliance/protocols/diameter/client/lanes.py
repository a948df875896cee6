"""The records of one route on their way: a lane of :mod:`.delivery`."""

from collections import deque

from attrs import define, field

from appliance.protocols.diameter.client.spool_format import Entry

#: Sessions of one lane that are put off at one time.
PUT_OFF = 64


@define(slots=True, eq=False)
class PutOff:
    """A session with a record that never gets an answer: it is tried now and then, the others go on."""

    until: float
    """Next try, monotonic seconds."""
    queue: deque[Entry]
    flying: bool = False


@define(slots=True, eq=False)
class Lane:
    """The records of one route; those of routes beyond the limit share the lane with the empty route."""

    route: bytes
    ready: deque[Entry] = field(factory=deque)
    down: bool = False
    """Nothing can be sent; then ``ready`` is empty."""
    until: float = 0.0
    """When a lane that is down is tried again, monotonic seconds."""
    failures: int = 0
    """In a row."""
    window: int = 1
    flying: int = 0
    after: int = -1
    """Lagging: everything of this lane behind this serial has to be read again; -1: not lagging."""
    queued: bool = False
    """It waits for its turn to send."""
    put_off: dict[bytes, PutOff] = field(factory=dict)
    """By Session-Id."""

    @property
    def lagging(self) -> bool:
        """Whether records of it on the disk are behind the cursor and not in memory."""
        return self.after >= 0

    @property
    def empty(self) -> bool:
        """Whether it can be forgotten."""
        return not (self.ready or self.down or self.flying or self.lagging or self.put_off)

    def lag(self, serial: int) -> None:
        """A record is on the disk only, and has to be read again."""
        if self.after < 0 or serial <= self.after:
            self.after = serial - 1

    def head(self) -> bytes:
        """The route of what would be sent next."""
        return self.route or (self.ready[0].route if self.ready else b"")
