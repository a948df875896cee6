"""The lag meter: what it says of beats that were late."""

from twisted.trial.unittest import SynchronousTestCase

from appliance.lag import LagMeter


class LagMeterTests(SynchronousTestCase):
    def setUp(self) -> None:
        """A meter that remembers ten beats."""
        self.meter = LagMeter(100.0, 0.5, 10)
        self.time = 100.0

    def beat(self, lag: float) -> None:
        """The next beat comes this much too late."""
        self.time += 0.5 + lag
        self.meter.beat(self.time)

    def test_before_the_first_beat(self) -> None:
        """There is no lag yet."""
        self.assertEqual((self.meter.now, self.meter.worst, self.meter.percentile(99), self.meter.record),
                         (0.0, 0.0, 0.0, 0.0))  # fmt: skip

    def test_late(self) -> None:
        """Now is the last one, the worst is of the samples; a beat that is early has no lag."""
        for lag in (0.0, 0.25, 0.125, -0.25):
            self.beat(lag)
        self.assertEqual((self.meter.now, self.meter.worst, self.meter.record), (0.0, 0.25, 0.25))

    def test_forgets(self) -> None:
        """The worst of old times is only in the record."""
        self.beat(4.0)
        for _ in range(10):
            self.beat(0.0)
        self.assertEqual((self.meter.worst, self.meter.record), (0.0, 4.0))

    def test_clear(self) -> None:
        """After that only new beats count, but the record stays."""
        self.beat(4.0)
        self.meter.clear()
        self.assertEqual((self.meter.now, self.meter.worst, self.meter.record), (0.0, 0.0, 4.0))

    def test_percentile(self) -> None:
        """The nearest rank: of ten samples 99 percent is the worst, 50 percent the fifth."""
        for step in range(10):
            self.beat(step / 8)
        self.assertEqual(self.meter.percentile(99), 9 / 8)
        self.assertEqual(self.meter.percentile(50), 4 / 8)
        self.assertEqual(self.meter.percentile(0), 0.0)
        self.assertEqual(self.meter.percentile(100), 9 / 8)
