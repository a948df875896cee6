"""Log lines: level, form, and the limit on a flood."""

import io
import threading
from typing import Any
from unittest import mock

from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from appliance.log import KEPT, MOST_FILTERS, MOST_IDLE, PER_SECOND, Facility, LineObserver


class LineObserverTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.now = 1_700_000_000.0
        self.stream = io.StringIO()
        self.logger = Logger(observer=LineObserver(self.stream, "info", lambda: self.now))

    def lines(self) -> list[str]:
        """What was written so far."""
        return self.stream.getvalue().splitlines()

    def test_form(self) -> None:
        """A line has the date, the level in brackets and the text."""
        self.logger.warn("{what} is gone", what="peer")
        self.assertRegex(self.lines()[0], r"^\w{3} \w{3} \d\d \d\d:\d\d:\d\d \d{4} \[warning\] peer is gone$")

    def test_level(self) -> None:
        """What is below the level is not written."""
        self.logger.debug("detail")
        self.assertEqual(self.lines(), [])

    def test_one_line(self) -> None:
        """A name from the network neither begins a line of its own nor steers the terminal."""
        self.logger.warn("no {name}", name="a\nMon Nov 23 [error] b\x1b[2J")
        (line,) = self.lines()
        self.assertTrue(line.endswith("no a\\u000aMon Nov 23 [error] b\\u001b[2J"), line)

    def test_nobody_reads(self) -> None:
        """A closed pipe, a full disk and a closed file do not disturb who logs."""
        for error in (BrokenPipeError(), OSError(28, "No space left on device"), ValueError("closed")):
            with mock.patch.object(self.stream, "write", side_effect=error) as write:
                self.logger.warn("lost")
            write.assert_called_once()

    def test_flood(self) -> None:
        """More than the limit in one second is dropped, and the number is told in the next one."""
        for _ in range(PER_SECOND + 7):
            self.logger.info("again")
        self.assertEqual(len(self.lines()), PER_SECOND)
        self.now += 1
        self.logger.info("later")
        self.assertIn("7 log lines dropped", self.lines()[-2])

    def test_failure(self) -> None:
        """A failure is written with its traceback, whatever the limit."""
        try:
            raise ValueError("broken")
        except ValueError:
            self.logger.failure("unexpected", Failure())
        self.assertIn("ValueError: broken", self.stream.getvalue())


class RingTests(SynchronousTestCase):
    """What show logs gets."""

    def setUp(self) -> None:
        self.now = 1_700_000_000.0
        self.log = LineObserver(None, "info", lambda: self.now)
        self.logger = Logger(namespace="appliance.test", observer=self.log)

    def test_lines(self) -> None:
        """Time, level, facility and text; without a stream, too; below the level nothing."""
        self.logger.debug("detail")
        self.logger.warn("no {name}", name="a\nb")
        self.logger.critical("fire")
        first, second = self.log.lines()
        self.assertEqual((first.wall, first.level, first.facility, first.text),
                         (self.now, "warning", "appliance.test", "no a\\u000ab"))  # fmt: skip
        self.assertEqual(second.level, "critical")

    def test_facility(self) -> None:
        """A class's lines have the short name that it was given, and those of Twisted one that says it."""

        class Part:
            log = Facility("part", observer=self.log)

        Part().log.info("x")
        Logger(namespace="log_legacy", observer=self.log).info("x")
        self.assertEqual([line.facility for line in self.log.lines()], ["part", "twisted"])

    def test_bounded(self) -> None:
        """The oldest lines go, and a long one is cut."""
        for number in range(KEPT + 5):
            self.now += 1
            self.logger.info("line {number}", number=number)
        self.assertEqual(len(self.log.lines()), KEPT)
        self.assertEqual(self.log.lines()[0].text, "line 5")
        self.logger.info("{text}", text="x" * 100_000)
        self.assertLess(len(self.log.lines()[-1].text), 3_000)


class FollowTests(SynchronousTestCase):
    """Live lines for operators."""

    def setUp(self) -> None:
        self.now = 1_700_000_000.0
        self.log = LineObserver(None, "info", lambda: self.now)
        self.said: list[str] = []
        self.there = True
        self.log.follow(3, self.said.extend, lambda: self.there)

    def emit(self, facility: str, level: str, text: str = "x") -> None:
        """One event."""
        getattr(Logger(namespace=facility, observer=self.log), level)("{text}", text=text)

    def seen(self) -> list[str]:
        """Facilities and levels of what was shown since the last call."""
        found = [" ".join(part.strip("[]") for part in line.split()[5:7]) for line in self.said]
        self.said.clear()
        return found

    def test_first_choice(self) -> None:
        """Who has chosen nothing sees warnings and worse."""
        self.emit("a", "info")
        self.emit("a", "warn")
        self.assertEqual(self.seen(), ["warning a"])

    def test_choices(self) -> None:
        """The nearest facility above decides; ``all`` begins anew; debug lines come if wanted."""
        self.log.filter(3, "a.b", "debug")
        self.log.filter(3, "a", "error")
        for facility, level in (("a.b.c", "debug"), ("a.x", "warn"), ("a", "error"), ("z", "warn")):
            self.emit(facility, level)
        self.assertEqual(self.seen(), ["debug a.b.c", "error a", "warning z"])
        self.assertEqual(self.log.filters(3), {"all": "warning", "a.b": "debug", "a": "error"})
        self.assertEqual([line.level for line in self.log.lines()], ["warning", "error", "warning"])
        self.log.filter(3, "all", "info")
        self.emit("a.b.c", "debug")
        self.emit("a", "info")
        self.assertEqual(self.seen(), ["info a"])

    def test_bounded_choices(self) -> None:
        """Nobody can choose without end."""
        for number in range(100):
            self.log.filter(3, f"f{number}", "debug")
        self.assertEqual(len(self.log.filters(3)), MOST_FILTERS)

    def test_bounded_operators(self) -> None:
        """The choices of operators who follow nothing are not kept for ever; followers stay."""
        for number in range(10, 20 + MOST_IDLE):
            self.log.filter(number, "a", "debug")
        self.assertEqual(self.log.filters(10), {"all": "warning"})
        self.assertIn("a", self.log.filters(19 + MOST_IDLE))
        self.emit("a", "error")
        self.assertEqual(self.seen(), ["error a"])

    def test_traceback(self) -> None:
        """A failure's traceback comes as indented lines, and a hostile message begins none of its own."""
        try:
            raise ValueError("broken\x1b[2J\nTue Nov 14 [error] made up")
        except ValueError:
            Logger(namespace="a", observer=self.log).failure("unexpected", Failure())
        first, *rest = self.said
        self.assertTrue(first.endswith("[critical] [a] unexpected"), first)
        self.assertTrue(rest)
        self.assertTrue(all(line.startswith("  ") and line.isprintable() for line in rest), rest)

    def test_end(self) -> None:
        """No more lines after ``no logging active``, and for who has gone."""
        self.assertTrue(self.log.unfollow(3))
        self.assertFalse(self.log.unfollow(3))
        self.emit("a", "error")
        self.log.follow(3, self.said.extend, lambda: self.there)
        self.there = False
        self.emit("a", "error")
        self.there = True
        self.emit("a", "error")
        self.assertEqual(self.seen(), [])

    def test_flood(self) -> None:
        """An operator gets no more than the log itself takes in a second."""
        for _ in range(PER_SECOND + 7):
            self.emit("a", "warn")
        self.assertEqual(len(self.seen()), PER_SECOND)
        self.now += 1
        self.emit("a", "warn")
        self.assertEqual(len(self.seen()), 2)

    def test_errors_are_cut_for_operators(self) -> None:
        """Errors pass the log's own limit, but not a terminal's; how many were left out is told."""
        for _ in range(PER_SECOND + 7):
            self.emit("a", "error")
        self.assertEqual(len(self.seen()), PER_SECOND)
        self.now += 1
        self.emit("a", "error")
        self.assertEqual(self.said[0], "7 log lines dropped in one second")

    def test_no_echo(self) -> None:
        """A terminal that logs when it is written to does not log without end."""

        def say(lines: Any) -> None:
            self.said.extend(lines)
            self.emit("terminal", "error")

        self.log.follow(3, say, lambda: True)
        self.emit("a", "error")
        self.assertEqual(self.seen(), ["error a"])
        self.assertEqual(len(self.log.lines()), 2)

    def test_threads(self) -> None:
        """Another thread's line is shown by the loop's thread."""
        calls: list[tuple[Any, ...]] = []
        log = LineObserver(None, "info", lambda: self.now, lambda *call: calls.append(call))
        log.follow(3, self.said.extend, lambda: True)
        logger = Logger(namespace="a", observer=log)
        thread = threading.Thread(target=lambda: logger.error("x"))
        thread.start()
        thread.join()
        self.assertEqual(self.seen(), [])
        ((function, *arguments),) = calls
        function(*arguments)
        self.assertEqual(self.seen(), ["error a"])
