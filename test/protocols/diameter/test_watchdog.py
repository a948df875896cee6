"""The watchdog: every cell of the table of RFC 3539 appendix A."""

from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.diameter.node import watchdog as dog
from appliance.protocols.diameter.node.watchdog import DOWN, INITIAL, NEVER, OKAY, REOPEN, SUSPECT, Watchdog

#: Status, Pending, NumDWA; event; what there is to do; status, Pending, NumDWA after it.
CELLS = (
    ((OKAY, True, 0), "dwa", dog.NOTHING, (OKAY, False, 0)),
    ((OKAY, False, 0), "dwa", dog.NOTHING, (OKAY, False, 0)),
    ((OKAY, True, 0), "message", dog.NOTHING, (OKAY, True, 0)),
    ((OKAY, False, 0), "message", dog.NOTHING, (OKAY, False, 0)),
    ((SUSPECT, True, 0), "dwa", dog.FAILBACK, (OKAY, False, 0)),
    ((SUSPECT, True, 0), "message", dog.FAILBACK, (OKAY, True, 0)),
    ((REOPEN, True, 2), "dwa", dog.FAILBACK, (OKAY, False, 3)),
    # The next DWR goes out at once, so that Pending is true again: see the module.
    ((REOPEN, True, 0), "dwa", dog.PROBE, (REOPEN, True, 1)),
    ((REOPEN, True, 1), "dwa", dog.PROBE, (REOPEN, True, 2)),
    ((REOPEN, True, -1), "dwa", dog.PROBE, (REOPEN, True, 0)),
    ((REOPEN, True, 1), "message", dog.THROW, (REOPEN, True, 1)),
    ((INITIAL, True, 0), "dwa", dog.THROW, (INITIAL, False, 0)),
    ((INITIAL, False, 0), "message", dog.THROW, (INITIAL, False, 0)),
    ((DOWN, True, 0), "dwa", dog.THROW, (DOWN, False, 0)),
    ((DOWN, False, 0), "message", dog.THROW, (DOWN, False, 0)),
    ((OKAY, False, 0), "timer", dog.PROBE, (OKAY, True, 0)),
    ((OKAY, True, 0), "timer", dog.FAILOVER, (SUSPECT, True, 0)),
    ((SUSPECT, True, 0), "timer", dog.CLOSE, (DOWN, True, 0)),
    ((INITIAL, False, 0), "timer", dog.ATTEMPT, (INITIAL, False, 0)),
    ((DOWN, False, 0), "timer", dog.ATTEMPT, (DOWN, False, 0)),
    ((REOPEN, False, 1), "timer", dog.PROBE, (REOPEN, True, 1)),
    ((REOPEN, True, -1), "timer", dog.CLOSE, (DOWN, True, -1)),
    ((REOPEN, True, 0), "timer", dog.NOTHING, (REOPEN, True, -1)),
    ((REOPEN, True, 2), "timer", dog.NOTHING, (REOPEN, True, -1)),
    ((INITIAL, False, 0), "up", dog.NOTHING, (OKAY, False, 0)),
    ((DOWN, False, 2), "up", dog.PROBE, (REOPEN, True, 0)),
    ((OKAY, True, 0), "down", dog.FAILOVER, (DOWN, False, 0)),
    ((SUSPECT, True, 0), "down", dog.NOTHING, (DOWN, False, 0)),
    ((REOPEN, True, 1), "down", dog.NOTHING, (DOWN, False, 1)),
)


class TableTests(SynchronousTestCase):
    def test_every_cell(self) -> None:
        """Each event in each status does what the RFC says, and sets Tw."""
        for before, event, expected, after in CELLS:
            watchdog = Watchdog(30, lambda: 0.5)
            watchdog.status, watchdog.pending, watchdog.answers = before
            done = {
                "dwa": lambda w: w.received(True, 100.0),
                "message": lambda w: w.received(False, 100.0),
                "timer": lambda w: w.elapsed(100.0),
                "up": lambda w: w.up(100.0),
                "down": lambda w: w.down(100.0),
            }[event](watchdog)
            found = (watchdog.status, watchdog.pending, watchdog.answers)
            self.assertEqual((done, found), (expected, after), (before, event))
            thrown = expected == dog.THROW
            self.assertEqual(watchdog.heard, 0.0 if thrown else 100.0, (before, event))


class TimerTests(SynchronousTestCase):
    def test_jitter(self) -> None:
        """Tw lies two seconds around Twinit (RFC 3539 section 3.4.1)."""
        for uniform, expected in ((0.0, 128.0), (0.5, 130.0), (1.0, 132.0)):
            watchdog = Watchdog(30, lambda value=uniform: value)
            self.assertEqual(watchdog.due, NEVER)
            watchdog.up(100.0)
            self.assertEqual(watchdog.due, expected)

    def test_any_message_resets(self) -> None:
        """What comes from the peer moves Tw."""
        watchdog = Watchdog(30, lambda: 0.5)
        watchdog.up(100.0)
        watchdog.received(False, 120.0)
        self.assertEqual(watchdog.due, 150.0)

    def test_off(self) -> None:
        """Without a watchdog nothing is due, and a second connection is as good as the first."""
        watchdog = Watchdog(0, lambda: 0.5)
        for _ in range(2):
            self.assertEqual(watchdog.up(100.0), dog.NOTHING)
            self.assertEqual((watchdog.status, watchdog.due), (OKAY, NEVER))
            watchdog.down(101.0)
        self.assertEqual(watchdog.hurry(102.0), dog.NOTHING)

    def test_a_good_end_needs_no_proof(self) -> None:
        """After DPR the next connection is trusted at once."""
        watchdog = Watchdog(30, lambda: 0.5)
        watchdog.up(100.0)
        watchdog.left()
        self.assertEqual(watchdog.up(200.0), dog.NOTHING)
        self.assertEqual(watchdog.status, OKAY)

    def test_hurry(self) -> None:
        """A doubt makes a DWR at once, but never a second one."""
        watchdog = Watchdog(30, lambda: 0.5)
        watchdog.up(100.0)
        self.assertEqual(watchdog.hurry(101.0), dog.PROBE)
        self.assertEqual(watchdog.hurry(102.0), dog.NOTHING)
