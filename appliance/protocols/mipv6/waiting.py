"""Updates of hosts that wait: for the AAA server, or for the test of their home address on the home link.

One update waits for a home address at a time. Those of each kind all wait equally long, so the first one
is the first to be over.
"""

from collections import OrderedDict

from appliance.protocols.mipv6.events import FIRST_TOKEN
from appliance.protocols.mipv6.request import HostRequest

#: Updates that may wait at one time.
WAITING = 10_000


class Waiting:
    """One update that waits."""

    __slots__ = ("call_id", "new", "request", "tested", "token", "until")

    def __init__(self, request: HostRequest, token: int, until: float, tested: bool) -> None:
        self.request = request
        self.token = token
        #: Monotonic seconds.
        self.until = until
        #: It waits for the test of its address; else for AAA.
        self.tested = tested
        #: Call id that AAA is asked about, and whether it is kept for a binding that is still to be made.
        self.call_id = 0
        self.new = False


class WaitingRoom:
    """All updates of a service that wait."""

    __slots__ = ("_asking", "_homes", "_testing", "_token")

    def __init__(self) -> None:
        self._homes: dict[bytes, Waiting] = {}
        self._asking: OrderedDict[int, Waiting] = OrderedDict()
        self._testing: OrderedDict[int, Waiting] = OrderedDict()
        self._token = FIRST_TOKEN

    def __len__(self) -> int:
        return len(self._homes)

    @property
    def full(self) -> bool:
        """Whether no more may wait."""
        return len(self._homes) >= WAITING

    def about(self, home: bytes) -> Waiting | None:
        """The update that waits for a home address."""
        return self._homes.get(home)

    def put(self, request: HostRequest, until: float, tested: bool) -> Waiting:
        """Let an update wait; there is none for its home address."""
        self._token += 1
        waiting = Waiting(request, self._token, until, tested)
        self._homes[request.home] = waiting
        (self._testing if tested else self._asking)[waiting.token] = waiting
        return waiting

    def pop(self, token: int) -> Waiting | None:
        """Let one go; ``None``: it is gone."""
        waiting = self._asking.pop(token, None) or self._testing.pop(token, None)
        if waiting is not None:
            del self._homes[waiting.request.home]
        return waiting

    def new(self) -> int:
        """How many bindings are still to be made that AAA is asked about."""
        return sum(waiting.new for waiting in self._asking.values())

    @property
    def deadline(self) -> float | None:
        """When the first is over, in monotonic seconds."""
        firsts = [next(iter(each.values())).until for each in (self._asking, self._testing) if each]
        return min(firsts, default=None)

    def due(self, mono: float, limit: int) -> list[Waiting]:
        """Those whose time is over, at most so many of each kind; they are gone now."""
        found = []
        for room in (self._testing, self._asking):
            for waiting in list(room.values())[:limit] if room else ():
                if waiting.until > mono:
                    break
                found.append(waiting)
        for waiting in found:
            self.pop(waiting.token)
        return found
