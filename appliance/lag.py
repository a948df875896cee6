"""How late the loop is: samples of the last minute, and what they say. A pure class."""

from collections import deque

#: Seconds between two samples, and how many make a minute.
INTERVAL = 0.1
SAMPLES = 600


class LagMeter:
    """Takes the time of each beat of a clock that should beat every ``interval`` seconds."""

    __slots__ = ("_interval", "_last", "_samples", "record")

    def __init__(self, now: float, interval: float = INTERVAL, samples: int = SAMPLES) -> None:
        self._interval = interval
        self._last = now
        self._samples: deque[float] = deque(maxlen=samples)
        self.record = 0.0
        """The worst lag since the start, seconds."""

    def beat(self, now: float) -> None:
        """Note a beat at ``now``, seconds of a monotonic clock."""
        lag = max(0.0, now - self._last - self._interval)
        self._last = now
        self._samples.append(lag)
        self.record = max(self.record, lag)

    def clear(self) -> None:
        """Forget the samples; the worst since the start stays."""
        self._samples.clear()

    @property
    def now(self) -> float:
        """The latest lag, seconds; 0 before the first beat."""
        return self._samples[-1] if self._samples else 0.0

    @property
    def worst(self) -> float:
        """The worst lag of the samples, seconds."""
        return max(self._samples, default=0.0)

    def percentile(self, percent: float) -> float:
        """The lag, in seconds, that ``percent`` of 100 samples do not exceed."""
        ordered = sorted(self._samples)
        if not ordered:
            return 0.0
        # The nearest rank: the smallest sample that enough of them are not worse than.
        rank = -(-len(ordered) * percent // 100)
        return ordered[min(len(ordered), max(1, int(rank))) - 1]
