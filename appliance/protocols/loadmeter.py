"""How the process is doing, told every second to whoever has to act when it does badly."""

import resource
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from twisted.internet.task import LoopingCall

from appliance.lag import INTERVAL, LagMeter
from appliance.protocols.pmipv6.events import Strain
from appliance.protocols.rawsock import MobilitySocket
from appliance.protocols.triage import fullness

#: Beats between two reports.
BEATS = 10
_STATM = Path("/proc/self/statm")
#: Where a control group may say how much memory its processes may have: version 2, and 1.
_GROUPS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def memory_limit() -> int:
    """Octets that the process may have: of the host, of its control group, of its own limit."""
    found = [_host_memory()]
    for path in _GROUPS:
        try:
            found.append(int(path.read_text()))
        except (OSError, ValueError):
            # No such control group, or ``max``.
            continue
    own = resource.getrlimit(resource.RLIMIT_AS)[0]
    if own != resource.RLIM_INFINITY:
        found.append(own)
    return max(1, min(found))


def _host_memory() -> int:
    first = Path("/proc/meminfo").read_text().split(maxsplit=2)
    return 1024 * int(first[1])


class LoadMeter:
    """Tells ``tell`` of a :class:`Strain` every second; ``sockets`` gives those that are looked at."""

    def __init__(
        self, reactor: Any, sockets: Callable[[], Sequence[MobilitySocket]], tell: Callable[[Strain], None]
    ) -> None:
        self._seconds = reactor.seconds
        self._sockets = sockets
        self._tell = tell
        self._limit = memory_limit()
        self._lag = LagMeter(0.0, samples=BEATS)
        self._beats = 0
        self._reactor = reactor
        self._beat: LoopingCall | None = None

    def start(self) -> None:
        """Begin to measure."""
        self._lag = LagMeter(self._seconds(), samples=BEATS)
        self._beat = LoopingCall(self._note)
        self._beat.clock = self._reactor
        self._beat.start(INTERVAL, now=False)

    def stop(self) -> None:
        """Measure no more."""
        if self._beat is not None:
            self._beat.stop()
            # It refers to us: what it measures for must not stay in memory.
            self._beat = None
        self._sockets = list

    def _note(self) -> None:
        self._lag.beat(self._seconds())
        self._beats += 1
        if self._beats < BEATS:
            return
        self._beats = 0
        octets = int(_STATM.read_text().split()[1]) * resource.getpagesize()
        queue = max((fullness(each.socket) for each in self._sockets()), default=0)
        self._tell(Strain(round(1000 * self._lag.worst), 100 * octets // self._limit, queue))
