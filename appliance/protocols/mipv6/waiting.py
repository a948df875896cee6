"""Updates of hosts that wait: for the AAA server, or for the test of their home address on the home link.

One update waits for a home address at a time. Those of each kind all wait equally long, so the first one
is the first to be over.
"""

from collections import OrderedDict
from itertools import islice

from appliance.protocols.mipv6.events import FIRST_TOKEN
from appliance.protocols.mipv6.request import HostRequest


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

    __slots__ = ("_asking", "_homes", "_testing", "_token", "most", "new")

    def __init__(self) -> None:
        self._homes: dict[bytes, Waiting] = {}
        self._asking: OrderedDict[int, Waiting] = OrderedDict()
        self._testing: OrderedDict[int, Waiting] = OrderedDict()
        self._token = FIRST_TOKEN
        #: Updates that may wait at one time (``max-pending``).
        self.most = 1
        #: How many bindings are still to be made that AAA is asked about.
        self.new = 0

    def __len__(self) -> int:
        return len(self._homes)

    @property
    def full(self) -> bool:
        """Whether no more may wait."""
        return len(self._homes) >= self.most

    def about(self, home: bytes) -> Waiting | None:
        """The update that waits for a home address."""
        return self._homes.get(home)

    def test(self, request: HostRequest, until: float) -> Waiting:
        """Let an update wait for the test of its address; there is none that waits for the same."""
        waiting = self._put(request, until, True)
        self._testing[waiting.token] = waiting
        return waiting

    def ask(self, request: HostRequest, until: float, call_id: int, new: bool) -> Waiting:
        """Let an update wait for AAA; ``new``: ``call_id`` is kept for a binding that is still to be made."""
        waiting = self._put(request, until, False)
        waiting.call_id, waiting.new = call_id, new
        self.new += new
        self._asking[waiting.token] = waiting
        return waiting

    def _put(self, request: HostRequest, until: float, tested: bool) -> Waiting:
        self._token += 1
        waiting = self._homes[request.home] = Waiting(request, self._token, until, tested)
        return waiting

    def pop(self, token: int) -> Waiting | None:
        """Let one go; ``None``: it is gone."""
        waiting = self._asking.pop(token, None) or self._testing.pop(token, None)
        if waiting is not None:
            del self._homes[waiting.request.home]
            self.new -= waiting.new
        return waiting

    @property
    def deadline(self) -> float | None:
        """When the first is over, in monotonic seconds."""
        firsts = [next(iter(each.values())).until for each in (self._asking, self._testing) if each]
        return min(firsts, default=None)

    def due(self, mono: float, limit: int) -> list[Waiting]:
        """Those whose time is over, at most so many of each kind; they are gone now."""
        found = []
        for room in (self._testing, self._asking):
            for waiting in islice(room.values(), limit):
                if waiting.until > mono:
                    break
                found.append(waiting)
        for waiting in found:
            self.pop(waiting.token)
        return found
