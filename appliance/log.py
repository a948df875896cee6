"""Log lines on standard error, one a line, with a limit on how many a second.

``Mon Nov 23 10:00:00 2026 [warning] lma lma1: ...``. A flood is cut: more than
``PER_SECOND`` lines within one second are dropped and their number is told once.
"""

import time
from collections.abc import Callable
from typing import Any, TextIO

from twisted.logger import ILogObserver, LogLevel, formatEvent, globalLogBeginner
from zope.interface import implementer

from appliance.cli.values import visible

PER_SECOND = 50
LEVELS = {"debug": LogLevel.debug, "info": LogLevel.info, "warning": LogLevel.warn, "error": LogLevel.error}


@implementer(ILogObserver)
class LineObserver:
    """Writes events of at least ``level`` to ``stream``; ``clock`` gives seconds since 1970."""

    def __init__(self, stream: TextIO, level: str, clock: Callable[[], float] = time.time) -> None:
        self._stream = stream
        self._level = LEVELS[level]
        self._clock = clock
        self._second = 0
        self._written = 0
        self._dropped = 0

    def __call__(self, event: dict[str, Any]) -> None:
        """Write one event."""
        level = event.get("log_level", LogLevel.info)
        if level < self._level:
            return
        now = self._clock()
        if int(now) != self._second:
            if self._dropped:
                self._line(now, "warning", f"{self._dropped} log lines dropped in one second")
            self._second, self._written, self._dropped = int(now), 0, 0
        if self._written >= PER_SECOND and level < LogLevel.error:
            self._dropped += 1
            return
        self._written += 1
        # Names of mobile nodes come from the network: none may begin a line of its own.
        text = visible(formatEvent(event))
        failure = event.get("log_failure")
        if failure is not None:
            text = f"{text}\n{failure.getTraceback()}" if text else failure.getTraceback()
        name = {LogLevel.warn: "warning", LogLevel.critical: "error"}.get(level, level.name)
        self._line(now, name, text)

    def _line(self, now: float, level: str, text: str) -> None:
        stamp = time.strftime("%a %b %d %H:%M:%S %Y", time.localtime(now))
        try:
            self._stream.write(f"{stamp} [{level}] {text}\n")
            self._stream.flush()
        except (OSError, ValueError):
            # Nobody reads the log any more, its disk is full, or it is closed; serving goes on.
            self._dropped += 1


def begin(stream: TextIO | None, level: str) -> None:
    """Send everything that Twisted's loggers emit to ``stream``; without one (as Python has it): nowhere."""
    observers: list[Any] = [] if stream is None else [LineObserver(stream, level)]
    globalLogBeginner.beginLoggingTo(observers, redirectStandardIO=False)
