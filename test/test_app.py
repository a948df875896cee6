"""The process: its reactor counts time by the clock that never steps."""

import asyncio
import time

from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.trial.unittest import SynchronousTestCase

from appliance.app import steady


class ClockTests(SynchronousTestCase):
    def test_timers_are_monotonic(self) -> None:
        """A timer's time is on the monotonic clock, so that setting the wall clock moves none."""
        loop = asyncio.new_event_loop()
        self.addCleanup(loop.close)
        reactor = AsyncioSelectorReactor(loop)
        self.addCleanup(reactor.disconnectAll)
        steady(reactor)
        before = time.monotonic()
        call = reactor.callLater(5.0, lambda: None)
        self.assertTrue(before + 5 <= call.getTime() <= time.monotonic() + 5)
        call.cancel()
