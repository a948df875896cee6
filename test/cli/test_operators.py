"""The registry of sessions: limits, numbers, names, time-outs, what is audited."""

from typing import Any

from attrs import evolve
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from appliance.cli.operators import CONSOLE_LIMIT, Operators, OperatorSession
from appliance.cli.values import CommandError
from appliance.management import Management, SshServer, User
from appliance.ports import Operator
from appliance.protocols.timers import Now

START = 1_700_000_000.0


class AuditRecorder:
    """A system that only audits."""

    def __init__(self) -> None:
        self.notes: list[tuple[str, int, str, str]] = []

    def audit(self, operator: Operator, event: str, text: str, result: str) -> None:
        self.notes.append((operator.user, operator.number, event, text))


class OperatorsTests(SynchronousTestCase):
    """Sessions on a clock of our own."""

    def setUp(self) -> None:
        self.reactor = Clock()
        self.system: Any = AuditRecorder()
        self.management = Management(
            ssh=SshServer(max_servers=2), users=(User(username="alice"), User(username="bob"))
        )
        self.ended: list[tuple[str, str]] = []
        self.shown: list[str] = []
        self.operators = Operators(
            self.system,
            lambda: self.management,
            lambda: Now(self.reactor.seconds(), START + self.reactor.seconds()),
            self.reactor,
            make_shell=lambda system, operator: ("shell", operator),
        )

    def enter(
        self, user: str = "alice", service: str = "ssh", tty: bool = True, **limits: int
    ) -> OperatorSession:
        def end(reason: str) -> None:
            self.ended.append((user, reason))

        return self.operators.enter(
            user, "operator", "192.0.2.1:5", service, tty, end, User(username=user, **limits)
        )

    def run_for(self, seconds: float) -> None:
        self.reactor.pump([1.0] * int(seconds))

    def test_sessions_have_numbers_names_and_shells(self) -> None:
        """Numbers go up and are not used again; terminal names are the lowest that is free."""
        first, second = self.enter(), self.enter("bob")
        self.assertEqual([each.tty for each in self.operators.list()], ["ssh/1", "ssh/2"])
        first.leave()
        third = self.enter()
        self.assertEqual((third.operator.number, third.operator.tty), (3, "ssh/1"))
        self.assertEqual(third.shell, ("shell", third.operator))
        self.assertEqual(self.operators.list(), [second.operator, third.operator])
        second.leave()
        self.assertEqual(self.enter(tty=False).operator.tty, "")

    def test_limits(self) -> None:
        """SSH has as many sessions as ``max servers``, the control socket as it has places."""
        self.enter()
        self.enter()
        self.assertIn("all 2 ssh sessions", str(self.assertRaises(CommandError, self.enter)))
        for _ in range(CONSOLE_LIMIT):
            self.enter(service="console")
        self.assertRaises(CommandError, self.enter, service="console")
        self.management = evolve(self.management, ssh=None)
        self.assertRaises(CommandError, self.enter)

    def test_log_in_and_log_out_are_audited_once(self) -> None:
        """A session that leaves twice is audited once."""
        session = self.enter()
        session.leave()
        session.leave()
        self.assertEqual(
            self.system.notes,
            [("alice", 1, "log-in", "session 1, ssh/1"), ("alice", 1, "log-out", "logged out")],
        )
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_idle_time_out(self) -> None:
        """An idle session is warned a minute before and ended; a key puts that off."""
        session = self.enter(timeout_min_idle=5)
        session.notify = self.shown.extend
        self.run_for(270)
        self.assertEqual(len(self.shown), 1)
        self.assertIn("idle", self.shown[0])
        session.touch()
        self.assertEqual(session.operator.active, START + 270)
        self.run_for(290)
        self.assertEqual(self.ended, [])
        self.assertEqual(len(self.shown), 2)
        self.run_for(15)
        self.assertEqual(self.ended, [("alice", "idle time-out of 5 minutes")])
        self.run_for(600)
        self.assertEqual(len(self.ended), 1)
        session.leave()
        self.assertEqual(self.system.notes[-1], ("alice", 1, "log-out", "idle time-out of 5 minutes"))

    def test_absolute_time_out(self) -> None:
        """Keys do not put the absolute time-out off."""
        session = self.enter(timeout_min_absolute=2, timeout_min_idle=0)
        for _ in range(13):
            self.run_for(10)
            session.touch()
        self.assertEqual(self.ended, [("alice", "absolute time-out of 2 minutes")])

    def test_no_limits(self) -> None:
        """Zero is no limit, and local users have none."""
        self.enter(timeout_min_idle=0)
        self.operators.enter("root", "administrator", "control socket", "console", True, self.fail, None)
        self.run_for(7200)
        self.assertEqual(self.ended, [])

    def test_one_timer_for_all(self) -> None:
        """Any number of sessions has one reactor timer, none has none."""
        sessions = [self.enter(service="console") for _ in range(20)]
        self.run_for(60)
        self.assertEqual(len(self.reactor.getDelayedCalls()), 1)
        for session in sessions:
            session.leave()
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_ending_by_number(self) -> None:
        """A session is told once to end; an unknown number is none."""
        session = self.enter()
        self.assertTrue(self.operators.end(1, "by bob"))
        self.assertTrue(self.operators.end(1, "again"))
        self.assertFalse(self.operators.end(2, "nobody"))
        self.assertEqual(self.ended, [("alice", "by bob")])
        session.leave()
        self.assertFalse(self.operators.end(1, "gone"))

    def test_removed_users_are_ended(self) -> None:
        """Sessions of a user that is no longer configured end, others and local ones stay."""
        self.enter("alice")
        self.enter("bob")
        self.enter("root", service="console")
        self.operators.end_removed(evolve(self.management, users=(User(username="bob"),)))
        self.assertEqual(self.ended, [("alice", "user alice was removed")])

    def test_less_rights(self) -> None:
        """A session with more rights than its user has now ends; one with less goes on as it is."""
        self.enter("alice")
        self.enter("bob")
        users = (User(username="alice", rights="inspector"), User(username="bob", rights="administrator"))
        self.operators.end_removed(evolve(self.management, users=users))
        self.assertEqual(self.ended, [("alice", "user alice is inspector from now on")])

    def test_one_broken_terminal_does_not_keep_the_others(self) -> None:
        """An exception at one time-out is logged, the next session is ended all the same."""
        broken = self.enter(timeout_min_idle=1)
        self.patch(broken, "_end", lambda reason: 1 / 0)
        self.enter("bob", timeout_min_idle=1)
        self.run_for(70)
        self.assertEqual(self.ended, [("bob", "idle time-out of 1 minutes")])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
