"""The glue round a core: effects are carried out, and one timer follows the deadline."""

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.driver import CoreDriver
from appliance.protocols.timers import Deadlines, Now


class RecordingCore:
    """Answers every event with itself, and wants a tick when told so."""

    def __init__(self) -> None:
        self.deadline: float | None = None
        self.ticks: list[float] = []
        self._effects: list[Any] = []

    def receive(self, event: Any, now: Now) -> None:
        if isinstance(event, float):
            self.deadline = event
        else:
            self._effects.append(event)

    def tick(self, now: Now) -> None:
        self.ticks.append(now.mono)
        self.deadline = None
        self._effects.append(f"tick at {now.mono}")

    def take(self) -> list[Any]:
        effects, self._effects = self._effects, []
        return effects


class CoreDriverTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = Clock()
        self.core = RecordingCore()
        self.done: list[str] = []
        self.driver = CoreDriver(
            self.reactor,
            lambda: Now(self.reactor.seconds(), 1000 + self.reactor.seconds()),
            self.core,
            {str: self.done.append},
        )

    def test_effects_are_carried_out_at_once(self) -> None:
        """What an event causes happens before feed returns."""
        self.driver.feed("send")
        self.assertEqual(self.done, ["send"])

    def test_events_out_of_effects(self) -> None:
        """What is fed out of an effect happens at once; what joins, behind the effects that there are."""
        outcome: list[str] = []

        def perform(effect: str) -> None:
            outcome.append(effect)
            if effect == "feed":
                self.driver.feed("fed")
            if effect == "join":
                self.driver.join("joined")

        driver = self.driver = CoreDriver(self.reactor, lambda: Now(0.0, 0.0), self.core, {str: perform})
        self.core._effects = ["feed", "one", "join", "two"]
        driver.feed("three")
        self.assertEqual(outcome, ["feed", "fed", "one", "join", "two", "three", "joined"])
        driver.join("alone")
        self.assertEqual(outcome[-1], "alone")

    def test_one_timer_for_the_deadline(self) -> None:
        """The core is ticked when its deadline comes, and its effects are carried out."""
        self.driver.feed(5.0)
        self.assertEqual(len(self.reactor.getDelayedCalls()), 1)
        self.reactor.advance(5.0)
        self.assertEqual(self.core.ticks, [5.0])
        self.assertEqual(self.done, ["tick at 5.0"])
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_earlier_deadline_moves_the_timer(self) -> None:
        """A deadline that comes nearer replaces the timer; there is never a second one."""
        self.driver.feed(5.0)
        self.driver.feed(2.0)
        self.assertEqual(len(self.reactor.getDelayedCalls()), 1)
        self.reactor.advance(2.0)
        self.assertEqual(self.core.ticks, [2.0])

    def test_stop_disarms(self) -> None:
        """After stop no timer is left and none is set again."""
        self.driver.feed(5.0)
        self.driver.stop()
        self.driver.feed(6.0)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_effect_fails(self) -> None:
        """An effect that raises does not take the timer away from the others."""
        self.driver.feed(5.0)
        self.reactor.advance(1.0)
        self.assertRaises(KeyError, self.driver.feed, 3)
        self.core.deadline = 2.0
        self.assertRaises(KeyError, self.driver.feed, 3)
        self.reactor.advance(1.0)
        self.assertEqual(self.core.ticks, [2.0])

    def test_tick_fails(self) -> None:
        """A tick that raises is tried again a second later, not at once and not never."""
        tick = self.core.tick
        times: list[float] = []

        def broken(now: Now) -> None:
            times.append(now.mono)
            raise ValueError("broken")

        self.patch(self.core, "tick", broken)
        self.driver.feed(5.0)
        self.assertRaises(ValueError, self.reactor.advance, 5.0)
        self.assertEqual(times, [5.0])
        self.core.tick = tick  # type: ignore[method-assign]
        self.reactor.advance(0.5)
        self.assertEqual(self.core.ticks, [])
        self.reactor.advance(0.5)
        self.assertEqual(self.core.ticks, [6.0])


class DeadlinesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.due: dict[str, float | None] = {}
        self.deadlines = Deadlines(lambda key: self.due.get(key))

    def test_due_in_order(self) -> None:
        """Keys come out when their time has come, earliest first."""
        for key, when in (("b", 2.0), ("a", 1.0), ("c", 9.0)):
            self.due[key] = when
            self.deadlines.set(key, when)
        self.assertEqual(self.deadlines.pop_due(2.0), ["a", "b"])
        self.assertEqual(self.deadlines.next, 9.0)

    def test_postponed(self) -> None:
        """A key whose owner has a later time is put back and comes out then."""
        self.due["a"] = 1.0
        self.deadlines.set("a", 1.0)
        self.due["a"] = 4.0
        self.deadlines.set("a", 4.0)
        self.assertEqual(self.deadlines.pop_due(1.0), [])
        self.assertEqual(self.deadlines.pop_due(4.0), ["a"])

    def test_brought_forward(self) -> None:
        """An earlier time counts at once and the old entry is not given a second time."""
        self.due["a"] = 9.0
        self.deadlines.set("a", 9.0)
        self.due["a"] = 1.0
        self.deadlines.set("a", 1.0)
        self.assertEqual(self.deadlines.pop_due(1.0), ["a"])
        self.due["a"] = None
        self.assertEqual(self.deadlines.pop_due(9.0), [])

    def test_limit(self) -> None:
        """At most ``limit`` keys are given at a time; the rest stays due."""
        for number in range(5):
            self.due[str(number)] = 1.0
            self.deadlines.set(str(number), 1.0)
        self.assertEqual(len(self.deadlines.pop_due(1.0, limit=3)), 3)
        self.assertEqual(len(self.deadlines.pop_due(1.0)), 2)

    def test_owners_that_come_and_go(self) -> None:
        """Far deadlines of owners that are gone do not pile up; those of the others come out in time."""
        self.due["stays"] = 500.0
        self.deadlines.set("stays", 500.0)
        for number in range(20_000):
            key = str(number)
            self.due[key] = 1000.0 + number
            self.deadlines.set(key, self.due[key] or 0)
            del self.due[key]
        self.assertLess(len(self.deadlines._heap), 5_000)
        self.assertLess(len(self.deadlines._live), 5_000)
        self.assertEqual(self.deadlines.pop_due(600.0), ["stays"])
