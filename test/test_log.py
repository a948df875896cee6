"""Log lines: level, form, and the limit on a flood."""

import io
from unittest import mock

from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from appliance.log import PER_SECOND, LineObserver


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
