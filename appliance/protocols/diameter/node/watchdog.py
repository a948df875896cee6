"""The watchdog of one peer (RFC 3539 section 3.4 and appendix A), without any I/O.

::

               up                     Tw, no answer
    INITIAL ────────▶ OKAY ─────────────────────────────▶ SUSPECT     failover
                       ▲ ◀──────── any message ───────────┘   │
      third DWA        │ failback                             │ Tw
       failback ┌──────┴─┐        up                          ▼
                │ REOPEN │ ◀─────────────────────────────── DOWN
                └────────┘ ─── Tw twice without an answer ──▶

Each method returns the one thing that the peer machine has to do. Setting Tw costs nothing here: ``due`` is
worked out from when the peer was last heard, so that a message costs one assignment.

Two places are kinder than the letter of the table, and lose nothing of its purpose. In REOPEN the next DWR
goes out when the last one is answered and not when Tw fires: a server that came back is used after three
round trips, not after a minute. And what comes in REOPEN is not lost: DWR and DPR are answered, or two sides
that both re-open would wait for each other for ever; requests are kept until the third DWA.
"""

from collections.abc import Callable

INITIAL, OKAY, SUSPECT, DOWN, REOPEN = "INITIAL", "OKAY", "SUSPECT", "DOWN", "REOPEN"

#: What there is to do: nothing, send DWR, begin failover or failback, close the connection, throw the message
#: away, try to connect.
NOTHING, PROBE, FAILOVER, FAILBACK, CLOSE, THROW, ATTEMPT = (
    "", "probe", "failover", "failback", "close", "throw", "attempt",
)  # fmt: skip

#: DWAs that make a connection good again which was lost before.
ENOUGH = 3
#: Seconds of jitter, both ways.
JITTER = 2.0
NEVER = float("inf")


class Watchdog:
    """Watchdog state of one peer.

    ``initial`` is Twinit in seconds (0: no watchdog), ``uniform`` gives a random number from 0 to 1.
    """

    __slots__ = ("status", "pending", "answers", "heard", "initial", "_interval", "_uniform")

    def __init__(self, initial: float, uniform: Callable[[], float]) -> None:
        self.status = INITIAL
        #: A DWR has not been answered.
        self.pending = False
        #: NumDWA: answers seen in REOPEN.
        self.answers = 0
        #: When Tw was last set, monotonic seconds.
        self.heard = 0.0
        self.initial = initial
        self._interval = initial
        self._uniform = uniform

    @property
    def due(self) -> float:
        """When Tw fires, in monotonic seconds; ``NEVER`` while there is no connection, or no watchdog."""
        if not self.initial or self.status in (INITIAL, DOWN):
            return NEVER
        return self.heard + self._interval

    def _set(self, mono: float) -> None:
        self.heard = mono
        self._interval = self.initial - JITTER + 2 * JITTER * self._uniform()

    def up(self, mono: float) -> str:
        """The connection is open (capabilities are exchanged)."""
        self.pending = False
        self._set(mono)
        if self.status != DOWN or not self.initial:
            self.status = OKAY
            return NOTHING
        self.status = REOPEN
        self.answers = 0
        self.pending = True
        return PROBE

    def down(self, mono: float) -> str:
        """The connection is gone."""
        before, self.status = self.status, DOWN
        self.pending = False
        self._set(mono)
        return FAILOVER if before == OKAY else NOTHING

    def left(self) -> None:
        """The connection was ended in good order (DPR): the next one needs no proof."""
        self.status = INITIAL
        self.pending = False

    def received(self, answer: bool, mono: float) -> str:
        """A message has come; ``answer``: it is the DWA to our DWR."""
        if answer:
            self.pending = False
        status = self.status
        if status == OKAY:
            self.heard = mono
            return NOTHING
        if status == SUSPECT:
            self.status = OKAY
            self._set(mono)
            return FAILBACK
        if status != REOPEN or not answer:
            return THROW
        self.answers += 1
        self._set(mono)
        if self.answers >= ENOUGH:
            self.status = OKAY
            return FAILBACK
        self.pending = True
        return PROBE

    def hurry(self, mono: float) -> str:
        """There is a reason to doubt the connection: ask now."""
        if self.status != OKAY or self.pending or not self.initial:
            return NOTHING
        self._set(mono)
        self.pending = True
        return PROBE

    def elapsed(self, mono: float) -> str:
        """Tw has fired."""
        status = self.status
        self._set(mono)
        if status in (INITIAL, DOWN):
            # The peer machine comes here by its own timer Tc (RFC 6733 section 2.1).
            return ATTEMPT
        if status == SUSPECT:
            self.status = DOWN
            return CLOSE
        if not self.pending:
            self.pending = True
            return PROBE
        if status == OKAY:
            self.status = SUSPECT
            return FAILOVER
        if self.answers < 0:
            self.status = DOWN
            return CLOSE
        self.answers = -1
        return NOTHING
