"""Who is logged in: the registry of operators' sessions, over SSH and at the control socket.

::

    ssh.py, control.py ──enter──▶ Operators ──▶ OperatorSession ──▶ Shell
                        ◀──end(reason)── (time-out, `clear administrator`, user removed)

One reactor timer serves the time-outs of all sessions. A session that is told to end says so on its
terminal and calls :meth:`OperatorSession.leave` when it is gone.
"""

from collections.abc import Callable, Sequence
from typing import Any

from appliance.cli.shell import Shell
from appliance.cli.values import CommandError
from appliance.facts_words import amount
from appliance.log import Facility
from appliance.management import RIGHTS, Management, User
from appliance.ports import Operator, SystemPort
from appliance.protocols.timers import Now

CONSOLE_LIMIT = 32
"""Sessions at the control socket at a time."""
TICK = 5.0
"""Seconds between two looks at the time-outs."""
WARNING = 60.0
"""Seconds before the end of a session at which its terminal is told."""


class OperatorSession:
    """One operator's session, from log-in to log-out. Made by :meth:`Operators.enter`."""

    def __init__(
        self,
        registry: "Operators",
        operator: Operator,
        shell: Any,
        end: Callable[[str], None],
        limits: User | None,
    ) -> None:
        self.operator = operator
        self.shell = shell
        self.notify: Callable[[Sequence[str]], None] | None = None
        """Shows lines on the session's terminal; set by who has one."""
        self.user = limits
        """The user as configured at log-in; ``None`` for local users of the control socket."""
        self._registry = registry
        self._end = end
        self._began = self._touched = registry.clock().mono
        self._warned = ""
        self._reason = "logged out"
        self._left = False

    def touch(self) -> None:
        """The operator typed something: the idle time-out begins anew."""
        now = self._registry.clock()
        self._touched = now.mono
        self.operator.active = now.wall
        if self._warned == "idle":
            self._warned = ""

    def leave(self) -> None:
        """The session is over: free its place. A second call does nothing."""
        if not self._left:
            self._left = True
            self._registry.left(self, self._reason)
            # Terminal and channel know the session, too; in a circle they would stay for ever.
            self.notify = None
            self._end = _ended

    def end(self, reason: str) -> None:
        """Have the session end, for this reason. A second call does nothing."""
        if not self._left and self._reason == "logged out":
            self._reason = reason
            self._end(reason)

    def check(self, now: float) -> None:
        """Warn before a time-out and end the session at it; ``now`` is monotonic seconds."""
        for name, limit, since in self._limits():
            if not limit:
                continue
            left = since + 60.0 * limit - now
            if left <= 0:
                self.end(f"{name} time-out of {limit} minutes")
                return
            if left <= WARNING < 60.0 * limit and not self._warned:
                self._warned = name
                self.tell([f"This session ends in {amount(round(left), 'second')}: {name} time-out"])

    def tell(self, lines: Sequence[str]) -> None:
        """Show lines on the session's terminal, if it has one."""
        if self.notify is not None:
            self.notify(lines)

    def _limits(self) -> list[tuple[str, int, float]]:
        if self.user is None:
            return []
        return [
            ("absolute", self.user.timeout_min_absolute, self._began),
            ("idle", self.user.timeout_min_idle, self._touched),
        ]


class Operators:
    """All open sessions, oldest first.

    ``management`` gives what is configured now; ``make_shell(system,
    operator)`` makes the shell of a session.
    """

    _log = Facility("operators")

    def __init__(
        self,
        system: SystemPort,
        management: Callable[[], Management],
        clock: Callable[[], Now],
        reactor: Any,
        make_shell: Any = Shell,
    ) -> None:
        self.clock = clock
        self._system = system
        self._management = management
        self._reactor = reactor
        self._make_shell = make_shell
        self._sessions: dict[int, OperatorSession] = {}
        self._last = 0
        self._timer: Any = None

    def enter(
        self,
        user: str,
        rights: str,
        origin: str,
        service: str,
        tty: bool,
        end: Callable[[str], None],
        limits: User | None,
    ) -> OperatorSession:
        """Begin a session; ``service`` is ``ssh`` or ``console``.

        ``end(reason)`` is called, once at most, when the session has to end; ``limits`` has its
        time-outs. Raises :class:`CommandError` when all sessions of the service are in use.
        """
        management = self._management()
        limit = CONSOLE_LIMIT
        if service == "ssh":
            limit = management.ssh.max_servers if management.ssh else 0
        same = [each.operator for each in self._sessions.values() if each.operator.service == service]
        if len(same) >= limit:
            raise CommandError(f"all {limit} {service} sessions are in use; end one of them")
        now = self.clock()
        self._last += 1
        operator = Operator(
            user=user,
            rights=rights,
            origin=origin,
            service=service,
            tty=_free_tty(service, same) if tty else "",
            since=now.wall,
            number=self._last,
            active=now.wall,
        )
        shell = self._make_shell(self._system, operator)
        session = OperatorSession(self, operator, shell, end, limits)
        self._sessions[operator.number] = session
        self._log.info("CLISessionStart {who}", who=_who(operator))
        self._system.audit(operator, "log-in", _where(operator), "ok")
        self._arm()
        return session

    def left(self, session: OperatorSession, reason: str) -> None:
        """Called by a session that is over."""
        self._sessions.pop(session.operator.number, None)
        self._log.info("CLISessionEnd {who}", who=_who(session.operator))
        self._system.audit(session.operator, "log-out", reason, "ok")
        if not self._sessions and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def list(self) -> list[Operator]:
        """Who is logged in, oldest first."""
        return [session.operator for session in self._sessions.values()]

    def end(self, number: int, reason: str) -> bool:
        """End the session of that number; false if there is none."""
        session = self._sessions.get(number)
        if session is None:
            return False
        session.end(reason)
        return True

    def end_removed(self, management: Management) -> None:
        """End the SSH sessions of users whom ``management`` does not have, or gives less rights now."""
        for session in [each for each in self._sessions.values() if each.operator.service == "ssh"]:
            user, operator = management.user(session.operator.user), session.operator
            if user is None:
                session.end(f"user {operator.user} was removed")
            elif RIGHTS.index(user.rights) < RIGHTS.index(operator.rights):
                session.end(f"user {operator.user} is {user.rights} from now on")

    def _arm(self) -> None:
        if self._timer is None:
            self._timer = self._reactor.callLater(TICK, self._check)

    def _check(self) -> None:
        self._timer = None
        now = self.clock().mono
        for session in list(self._sessions.values()):
            try:
                session.check(now)
            except Exception:  # noqa: BLE001 - logged
                # One broken terminal must not keep the other sessions open for ever.
                self._log.failure("time-out of session {number}", number=session.operator.number)
        if self._sessions:
            self._arm()


def _ended(_reason: str) -> None:
    """How a session ends that is over."""


def _free_tty(service: str, others: Sequence[Operator]) -> str:
    """The lowest terminal name of a service that no other session has."""
    used = {operator.tty for operator in others}
    return next(name for number in range(1, len(used) + 2) if (name := f"{service}/{number}") not in used)


def _who(operator: Operator) -> str:
    """Names a session as StarOS does in its log."""
    level = operator.rights.replace("-", " ").title()
    return f"user {operator.user} privilege level {level} ttyname {operator.tty or operator.service}"


def _where(operator: Operator) -> str:
    return f"session {operator.number}, {operator.tty or 'no terminal'}"
