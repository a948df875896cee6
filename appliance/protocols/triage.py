"""Reading a socket at which more comes in than can be dealt with: what must not be lost goes first.

::

    kernel's buffer ─recvmmsg─▶ urgent ──────────────▶ dealt with at once, in order
                            └─▶ others, if there is room ─▶ dealt with while nothing urgent is there
                                       └─ no room, or waited too long ─▶ given up

The kernel drops what its buffer has no room for, whoever it is from; so the buffer is kept empty, and it
is decided here. Nothing of this costs anything while a socket is read faster than it fills.
"""

import socket
from collections import deque
from collections.abc import Callable
from math import inf
from typing import Any, Protocol

from appliance.protocols.pmipv6.events import Excess, PacketReceived, Shed
from appliance.protocols.pmipv6.reports import Budget
from appliance.protocols.smallbatch import HEAD, NAME, SLOTS, SmallBatch

#: Linux: SO_MEMINFO gives nine 32-bit numbers about a socket's memory; the first two are what waits and how
#: much may wait.
SO_MEMINFO, _NUMBERS = 55, 9
#: Batches that are taken from the kernel at one time, and messages that are then dealt with.
BATCHES, AT_ONCE = 16, 32
#: Urgent messages that may wait; each was taken from the kernel to make room there.
URGENT = 4_096
#: Seconds after which nobody is helped by an urgent message any more: soon it is older than the factory value
#: of the timestamp window, and would be refused. What comes behind it is fresh.
USEFUL = 0.2
#: Refusals that are told to their senders: in a second, and at once. The rest is given up in silence, since
#: a refusal costs almost as much as what it refuses.
REFUSALS, REFUSALS_AT_ONCE = 300.0, 30.0


#: MH type of binding updates.
_UPDATE = 5


class Limits(Protocol):
    """When to begin, how long others may wait, and what is told; a ``Congestion`` of the settings."""

    queue_utilization: int
    queue_wait_time: int
    congestion_action: str


class Judge(Protocol):
    """Knows what messages are worth; see :class:`pmipv6.sieve.Sieve`."""

    @property
    def limits(self) -> Limits | None:
        """``None``: read it the plain way."""

    @property
    def room(self) -> int:
        """How many of the others may wait."""

    def sort(
        self, octets: bytes, slot: int, sizes: list[int], sources: list[bytes], whole: Callable[[int], bytes]
    ) -> tuple[list[int], list[int]]:
        """Numbers of those that must not be lost, and of the others."""


def fullness(sock: socket.socket) -> int:
    """How full the receive buffer of a socket is, percent."""
    numbers = memoryview(sock.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 4 * _NUMBERS)).cast("I")
    return 100 * numbers[0] // max(1, numbers[1])


class Triage:
    """Reads one socket whose address is ``destination``; see the module.

    ``on_packet`` takes what is to be dealt with; ``feed`` takes :class:`Excess` and :class:`Shed`.
    """

    def __init__(
        self,
        reactor: Any,
        sock: socket.socket,
        destination: bytes,
        judge: Judge,
        on_packet: Callable[[PacketReceived], None],
        feed: Callable[[Any], None],
    ) -> None:
        self._reactor = reactor
        self._socket = sock
        self._destination = destination
        self._judge = judge
        self._on_packet = on_packet
        self._feed = feed
        self._v6 = len(destination) == 16
        self._batch: SmallBatch | None = None
        # Where in the socket addresses of a batch the packed addresses are.
        low, high = (8, 24) if self._v6 else (4, 8)
        self._places = [slice(at + low, at + high) for at in range(0, NAME * SLOTS, NAME)]
        # With the time at which each was taken from the kernel.
        self._urgent: deque[tuple[float, PacketReceived]] = deque()
        self._others: deque[tuple[float, PacketReceived]] = deque()
        self._budget = Budget(REFUSALS, REFUSALS_AT_ONCE)
        self._again: Any = None
        #: Whether the socket is read by :meth:`read` at present.
        self.active = False

    def consider(self) -> None:
        """A full batch was read the plain way, so that more may wait: begin if it is too much."""
        limits = self._judge.limits
        if limits is not None and fullness(self._socket) >= limits.queue_utilization:
            self.active = True

    def read(self) -> None:
        """Take what the kernel has, and deal with some of it; ends being active when all is done."""
        limits = self._judge.limits
        empty = self._sort(limits)
        urgent, others = self._urgent, self._others
        now = self._reactor.seconds()
        oldest = now - (limits.queue_wait_time / 1000 if limits is not None else inf)
        try:
            if limits is not None and urgent and urgent[0][0] < now - USEFUL:
                self._give_up(urgent, now - USEFUL)
            for _ in range(AT_ONCE):
                if not urgent and others and others[0][0] < oldest:
                    self._give_up(others, oldest)
                if urgent:
                    self._on_packet(urgent.popleft()[1])
                elif others:
                    self._on_packet(others.popleft()[1])
                else:
                    break
        finally:
            if not urgent and not others:
                self.active = not empty
            elif empty and self._again is None:
                # The reactor calls only while the kernel has something.
                self._again = self._reactor.callLater(0, self._go_on)

    def _go_on(self) -> None:
        self._again = None
        if self.active:
            self.read()

    def _sort(self, limits: Limits | None) -> bool:
        """Empty the kernel's buffer; whether that was done."""
        if self._batch is None:
            self._batch = SmallBatch()
        take, whole, descriptor = self._batch.receive, self._batch.whole, self._socket.fileno()
        room = self._judge.room if limits is not None else URGENT
        telling = limits is not None and limits.congestion_action != "drop"
        now = self._reactor.seconds()
        sizes: list[int] = []
        for _ in range(BATCHES):
            try:
                heads, names, sizes = take(descriptor)
            except OSError:
                # A pending ICMP error of an earlier send.
                continue
            count = len(sizes)
            if names == names[:NAME] * count:
                sources = [names[self._places[0]]] * count
            else:
                sources = [names[place] for place in self._places[:count]]
            first, rest = self._judge.sort(heads, HEAD, sizes, sources, whole)
            fits, fit = max(0, URGENT - len(self._urgent)), max(0, room - len(self._others))
            self._urgent += [(now, self._packet(names, number)) for number in first[:fits]]
            self._others += [(now, self._packet(names, number)) for number in rest[:fit]]
            excess = first[fits:] + rest[fit:]
            if telling:
                excess = [
                    number for number in excess
                    if heads[HEAD * number + 2] != _UPDATE or not self._tell(names, number, now)
                ]  # fmt: skip
            if excess:
                kinds = heads[2::HEAD]
                updates = sum([kinds[number] == _UPDATE for number in excess])
                self._feed(Shed(updates, len(excess) - updates))
            if len(sizes) < SLOTS:
                break
        return len(sizes) < SLOTS

    def _packet(self, names: bytes, number: int) -> PacketReceived:
        """A message of the batch that was taken last."""
        assert self._batch is not None
        name, data = NAME * number, self._batch.whole(number)
        if self._v6:
            return PacketReceived(data, names[name + 8 : name + 24], self._destination)
        port = int.from_bytes(names[name + 2 : name + 4], "big")
        return PacketReceived(data, names[name + 4 : name + 8], self._destination, port)

    def _tell(self, names: bytes, number: int, now: float) -> bool:
        """Have an update refused with an answer, if not too many were."""
        if not self._budget.spend(now):
            return False
        self._feed(Excess(self._packet(names, number)))
        return True

    def _give_up(self, queue: deque[tuple[float, PacketReceived]], oldest: float) -> None:
        """Those have waited too long: their senders have sent them again, or will."""
        updates = count = 0
        while queue and queue[0][0] < oldest:
            updates += queue.popleft()[1].data[2:3] == b"\5"
            count += 1
        self._feed(Shed(updates, count - updates))

    def stop(self) -> None:
        """Forget what waits."""
        self.active = False
        self._urgent.clear()
        self._others.clear()
        if self._again is not None:
            self._again.cancel()
            self._again = None
