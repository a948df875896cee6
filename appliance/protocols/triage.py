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
from appliance.tun.native import SLOTS, ReceiveBatch

#: Linux: SO_MEMINFO gives nine 32-bit numbers about a socket's memory; the first two are what waits and how
#: much may wait.
SO_MEMINFO, _NUMBERS = 55, 9
#: Batches that are taken from the kernel at one time, and messages that are then dealt with.
BATCHES, AT_ONCE = 16, 32
#: Urgent messages that may wait; each was taken from the kernel to make room there.
URGENT = 4_096
#: Refusals that are told to their senders: in a second, and at once. The rest is given up in silence, since
#: a refusal costs almost as much as what it refuses.
REFUSALS, REFUSALS_AT_ONCE = 300.0, 30.0


class Judge(Protocol):
    """Knows what messages are worth; see :class:`pmipv6.sieve.Sieve`."""

    room: int

    def urgent(self, data: bytes, source: bytes) -> bool:
        """Whether it must not be lost."""

    def is_update(self, data: bytes) -> bool:
        """Whether it counts as a binding update."""


class Limits(Protocol):
    """When to begin, how long others may wait, and what is told; a ``Congestion`` of the settings."""

    queue_utilization: int
    queue_wait_time: int
    congestion_action: str


def fullness(sock: socket.socket) -> int:
    """How full the receive buffer of a socket is, percent."""
    numbers = memoryview(sock.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 4 * _NUMBERS)).cast("I")
    return 100 * numbers[0] // max(1, numbers[1])


class Triage:
    """Reads one socket whose address is ``destination``; see the module.

    ``feed`` takes :class:`PacketReceived`, :class:`Excess` and :class:`Shed`; ``limits`` are asked for each
    time, ``None``: read it the plain way.
    """

    def __init__(
        self,
        reactor: Any,
        sock: socket.socket,
        destination: bytes,
        judge: Judge,
        limits: Callable[[], Limits | None],
        on_packet: Callable[[PacketReceived], None],
        feed: Callable[[Any], None],
    ) -> None:
        self._reactor = reactor
        self._socket = sock
        self._destination = destination
        self._judge = judge
        self._limits = limits
        self._on_packet = on_packet
        self._feed = feed
        self._v6 = len(destination) == 16
        self._batch: ReceiveBatch | None = None
        self._urgent: deque[PacketReceived] = deque()
        self._others: deque[tuple[float, PacketReceived]] = deque()
        self._budget = Budget(REFUSALS, REFUSALS_AT_ONCE)
        self._again: Any = None
        #: Whether the socket is read by :meth:`read` at present.
        self.active = False

    def consider(self) -> None:
        """A full batch was read the plain way, so that more may wait: begin if it is too much."""
        limits = self._limits()
        if limits is not None and fullness(self._socket) >= limits.queue_utilization:
            self.active = True

    def read(self) -> None:
        """Take what the kernel has, and deal with some of it; ends being active when all is done."""
        limits = self._limits()
        empty = self._sort(limits)
        urgent, others = self._urgent, self._others
        oldest = self._reactor.seconds() - (limits.queue_wait_time / 1000 if limits is not None else inf)
        try:
            for _ in range(AT_ONCE):
                if not urgent and others and others[0][0] < oldest:
                    self._give_up(oldest)
                if urgent:
                    self._on_packet(urgent.popleft())
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
            self._batch = ReceiveBatch(slice(8, 24) if self._v6 else slice(2, 8), False)
        take, judge, descriptor = self._batch.receive, self._judge, self._socket.fileno()
        is_urgent, destination, urgent, others = judge.urgent, self._destination, self._urgent, self._others
        room = judge.room if limits is not None else URGENT
        now = self._reactor.seconds()
        excess: list[PacketReceived] = []
        lost = updates = 0
        telling = limits is not None and limits.congestion_action != "drop"
        found: list[tuple[bytes, bytes, int]] = []
        for _ in range(BATCHES):
            try:
                found = take(descriptor)
            except OSError:
                # A pending ICMP error of an earlier send.
                continue
            for data, source, _class in found:
                port = 0
                if not self._v6:
                    port, source = int.from_bytes(source[:2], "big"), source[2:]
                if is_urgent(data, source):
                    if len(urgent) < URGENT:
                        urgent.append(PacketReceived(data, source, destination, port))
                        continue
                elif len(others) < room:
                    others.append((now, PacketReceived(data, source, destination, port)))
                    continue
                elif telling and judge.is_update(data) and self._budget.spend(now):
                    excess.append(PacketReceived(data, source, destination, port))
                    continue
                lost += 1
                updates += judge.is_update(data)
            if len(found) < SLOTS:
                break
        for packet in excess:
            self._feed(Excess(packet))
        if lost:
            self._feed(Shed(updates, lost - updates))
        return len(found) < SLOTS

    def _give_up(self, oldest: float) -> None:
        """Those have waited too long: their senders have sent them again, or will."""
        others, updates, count = self._others, 0, 0
        while others and others[0][0] < oldest:
            updates += self._judge.is_update(others.popleft()[1].data)
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
