"""Log lines: level, form, and the limit on a flood."""

import io

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
