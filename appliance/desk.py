"""The operators' side of the process: who is logged in, by which ways, and what is noted about them.

::

    control socket ─▶ ControlServer ─┐
                                     ├─▶ Operators ─▶ Shell ─▶ System
    TCP ────────────▶ SshService ────┘        └──▶ AuditLog
"""

import asyncio
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

from appliance.audit import AuditLog
from appliance.cli import script
from appliance.cli.control import ControlServer
from appliance.cli.operators import Operators
from appliance.cli.passwords import Hashers
from appliance.cli.ssh import SshService
from appliance.cli.terminal import TerminalSession
from appliance.config import Configuration
from appliance.config_secrets import in_clear, seal
from appliance.config_tree import Section
from appliance.management import Management
from appliance.ports import Operator, SystemPort
from appliance.protocols.timers import Now


class Desk:
    """Everything that operators come in by, for one :class:`SystemPort`.

    ``management`` gives what is configured now; ``tell(level, text)`` writes a log line on the
    reactor's thread.
    """

    def __init__(
        self,
        system: SystemPort,
        *,
        reactor: Any,
        clock: Callable[[], Now],
        tell: Callable[[str, str], None],
        state_directory: str,
        control_socket: str,
        management: Callable[[], Management],
    ) -> None:
        self._clock = clock

        def tell_from_thread(level: str, text: str) -> None:
            reactor.callFromThread(tell, level, text)

        self.audit_log = AuditLog(state_directory, tell_from_thread)
        self.operators = Operators(system, management, clock, reactor)
        self._control = ControlServer(reactor, control_socket, self.operators)
        # Apart from those of log-ins: strangers who guess must not keep an operator from adding a user.
        self._hashers = Hashers()
        self._ssh = SshService(
            reactor=reactor,
            clock=clock,
            state_directory=state_directory,
            system=system,
            operators=self.operators,
            make_terminal=TerminalSession,
            make_script=script.over,
        )

    async def start(self, management: Management) -> None:
        """Let operators in. Raises ResourceError when a socket or the audit log cannot be had."""
        self.audit_log.start()
        self._control.start()
        await self._ssh.configure(management)

    async def manage(self, _old: Configuration, new: Configuration) -> None:
        """Follow a change of the configuration. Raises ResourceError; then all is as before."""
        await self._ssh.configure(new.management)

    async def move_control(self, path: str) -> None:
        """Listen for local clients elsewhere; raises ResourceError, then nothing has changed."""
        # The control server waits for its port with a Deferred, the rest for asyncio's futures.
        await Deferred.fromCoroutine(self._control.move(path)).asFuture(asyncio.get_running_loop())

    async def stop(self) -> None:
        """End all sessions, tell their operators why, and close everything."""
        await self._ssh.stop()
        await Deferred.fromCoroutine(self._control.stop()).asFuture(asyncio.get_running_loop())
        self._hashers.close()
        await self.audit_log.stop()

    def audit(self, operator: Operator, event: str, text: str, result: str) -> None:
        """Note what an operator did; see :class:`SystemPort`."""
        self.audit_log.note(operator, event, text, result, self._clock().wall)

    async def sealed(self, tree: Section) -> Section:
        """The same tree with hashes in place of passwords; they are made by a thread."""
        return seal(tree, {text: await self._hashers.hash(text) for text in in_clear(tree)})
