"""Log lines: on standard error, in a ring of the last ones, and live to operators who ask for them.

::

    Twisted's loggers ──▶ LineObserver ──▶ standard error     from ``--log-level`` on
                               │  limit of lines a second ──▶ ring ──▶ show logs
                               └──▶ Follower ──▶ an operator's terminal

``Mon Nov 23 10:00:00 2026 [warning] lma lma1: ...``. A flood is cut: more than
``PER_SECOND`` lines within one second are dropped and their number is told once.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, TextIO

from attrs import define, field
from twisted.logger import ILogObserver, Logger, LogLevel, formatEvent, globalLogBeginner
from zope.interface import implementer

from appliance.cli.render_log import log_lines
from appliance.cli.values import visible
from appliance.ports import LOG_LEVELS, LogLine

PER_SECOND = 50
#: How many of the last lines ``show logs`` can show, and how long a text is kept.
KEPT, LONGEST = 2_000, 2_000
LEVELS = {
    "debug": LogLevel.debug,
    "info": LogLevel.info,
    "warning": LogLevel.warn,
    "error": LogLevel.error,
    "critical": LogLevel.critical,
}
NAMES = {level: name for name, level in LEVELS.items()}
#: Facilities whose names in the library tell an operator nothing.
FACILITIES = {"log_legacy": "twisted"}
#: What an operator who has chosen nothing gets to see live.
FIRST_FILTER = {"all": "warning"}
#: Most choices of one operator, and most operators whose choices are kept while they follow nothing.
MOST_FILTERS, MOST_IDLE = 32, 256

Say = Callable[[Sequence[str]], None]


class Facility(Logger):
    """A logger for the attribute of a class whose lines have the facility that it was given.

    Twisted's own takes the name of the class in its place, which no operator knows.
    """

    def __get__(self, instance: object, owner: type | None = None) -> Logger:
        """The logger itself."""
        return self


@define
class Follower:
    """One operator's choice of lines and, while ``say`` is set, where they go."""

    filters: dict[str, str] = field(factory=lambda: dict(FIRST_FILTER))
    say: Say | None = None
    present: Callable[[], bool] = bool
    second: int = 0
    written: int = 0
    dropped: int = 0

    def level(self, facility: str) -> int:
        """Place in ``LOG_LEVELS`` of the least important level that is wanted of a facility."""
        name = facility
        while name and name not in self.filters:
            name = name.rpartition(".")[0]
        level = self.filters.get(name) or self.filters.get("all")
        return len(LOG_LEVELS) if level is None else LOG_LEVELS.index(level)

    def take(self, line: LogLine) -> None:
        """Show a line, at most ``PER_SECOND`` in a second; how many were left out is told later."""
        if self.say is None or LOG_LEVELS.index(line.level) < self.level(line.facility):
            return
        texts: list[str] = []
        if int(line.wall) != self.second:
            if self.dropped:
                texts.append(f"{self.dropped} log lines dropped in one second")
            self.second, self.written, self.dropped = int(line.wall), 0, 0
        if self.written >= PER_SECOND:
            self.dropped += 1
            return
        self.written += 1
        self.say([*texts, *log_lines(line)])


@implementer(ILogObserver)
class LineObserver:
    """Writes events of at least ``level`` to ``stream`` (``None``: nowhere) and keeps the last ones.

    ``clock`` gives seconds since 1970; ``on_loop(function, *arguments)`` runs a function on the loop's
    thread: terminals are written to from there only. It is the shell's :class:`LogPort`.
    """

    def __init__(
        self,
        stream: TextIO | None,
        level: str,
        clock: Callable[[], float] = time.time,
        on_loop: Callable[..., object] | None = None,
    ) -> None:
        self._stream = stream
        self._level = LEVELS[level]
        self._clock = clock
        self._on_loop = on_loop
        self._thread = threading.get_ident()
        self._second = 0
        self._written = 0
        self._dropped = 0
        self._ring: deque[LogLine] = deque(maxlen=KEPT)
        self._followers: dict[int, Follower] = {}
        self._telling = False
        self._wanted = self._level
        """The least important level that anybody wants."""

    def __call__(self, event: dict[str, Any]) -> None:
        """Take one event."""
        level = event.get("log_level", LogLevel.info)
        if level < self._wanted:
            return
        now = self._clock()
        if int(now) != self._second:
            if self._dropped:
                self._line(now, "warning", "log", f"{self._dropped} log lines dropped in one second", True)
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
        name = str(event.get("log_namespace") or "log")
        facility = visible(FACILITIES.get(name, name))
        self._line(now, NAMES.get(level, "info"), facility, text, level >= self._level)

    def _line(self, now: float, level: str, facility: str, text: str, written: bool) -> None:
        """Give a line to whom it concerns; ``written``: to the stream and the ring too."""
        shown = "\n".join(map(visible, text[:LONGEST].split("\n")))
        line = LogLine(wall=now, level=level, facility=facility, text=shown)
        if written:
            self._ring.append(line)
            self._write(now, "error" if level == "critical" else level, text)
        if self._followers:
            if threading.get_ident() == self._thread or self._on_loop is None:
                self._tell(line)
            else:
                self._on_loop(self._tell, line)

    def _write(self, now: float, level: str, text: str) -> None:
        if self._stream is None:
            return
        stamp = time.strftime("%a %b %d %H:%M:%S %Y", time.localtime(now))
        try:
            self._stream.write(f"{stamp} [{level}] {text}\n")
            self._stream.flush()
        except (OSError, ValueError):
            # Nobody reads the log any more, its disk is full, or it is closed; serving goes on.
            self._dropped += 1

    # ---- the shell's port

    def lines(self) -> Sequence[LogLine]:
        """The last lines, oldest first."""
        return list(self._ring)

    def filter(self, number: int, facility: str, level: str) -> None:
        """Choose what operator ``number`` sees live; ``all`` replaces every choice before."""
        follower = self._followers.setdefault(number, Follower())
        if facility == "all":
            follower.filters = {}
        elif len(follower.filters) >= MOST_FILTERS and facility not in follower.filters:
            # The oldest choice goes; nobody makes so many by hand.
            follower.filters.pop(next(iter(follower.filters)))
        follower.filters[facility] = level
        self._forget_leavers()

    def filters(self, number: int) -> dict[str, str]:
        """What this operator has chosen: level by facility."""
        follower = self._followers.get(number)
        return dict(FIRST_FILTER if follower is None else follower.filters)

    def follow(self, number: int, say: Say, present: Callable[[], bool]) -> None:
        """Give live lines to an operator by ``say`` while ``present`` tells that he is there."""
        follower = self._followers.setdefault(number, Follower())
        follower.say, follower.present = say, present
        self._forget_leavers()

    def unfollow(self, number: int) -> bool:
        """No more live lines for this operator; false: he had none."""
        follower = self._followers.get(number)
        if follower is None or follower.say is None:
            return False
        follower.say = None
        self._forget_leavers()
        return True

    def _forget_leavers(self) -> None:
        for number, follower in list(self._followers.items()):
            if follower.say is not None and not follower.present():
                del self._followers[number]
        idle = [number for number, follower in self._followers.items() if follower.say is None]
        for number in idle[:-MOST_IDLE]:
            # Nobody says when an operator who only made choices leaves; the oldest have left long since.
            del self._followers[number]
        lowest = [
            LOG_LEVELS.index(level)
            for follower in self._followers.values()
            if follower.say is not None
            for level in follower.filters.values()
        ]
        wanted = [self._level, *(LEVELS[LOG_LEVELS[place]] for place in lowest)]
        self._wanted = min(wanted)

    def _tell(self, line: LogLine) -> None:
        """Show a line to everybody who follows."""
        if self._telling:
            # A terminal that cannot be written to logs that, which is no news for the terminals.
            return
        self._telling = True
        try:
            if any(each.say is not None and not each.present() for each in self._followers.values()):
                self._forget_leavers()
            for follower in list(self._followers.values()):
                follower.take(line)
        finally:
            self._telling = False


def begin(stream: TextIO | None, level: str, on_loop: Callable[..., object] | None = None) -> LineObserver:
    """Send everything that Twisted's loggers emit to ``stream`` (``None``, as Python has it without one:
    nowhere) and to the ring; ``on_loop`` is the reactor's ``callFromThread``. Returns the log."""
    observer = LineObserver(stream, level, on_loop=on_loop)
    observers: list[Any] = [observer]
    globalLogBeginner.beginLoggingTo(observers, redirectStandardIO=False)
    return observer
