"""``monitor`` on a terminal session with its real keys."""

import asyncio
from types import SimpleNamespace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from appliance.cli.shell import Shell
from appliance.cli.terminal import TerminalSession
from appliance.ports import Operator
from test.cli.seat import Seat, run
from test.tapped import WALL, World, pbu


class TerminalTest(SynchronousTestCase):
    """Keys as a person's terminal sends them."""

    def setUp(self) -> None:
        """A world that a shell can be on."""
        self.world: Any = World()
        self.world.audit = lambda *_: None
        self.world.wall = lambda: WALL
        self.world.configuration = SimpleNamespace(hostname="lma1")

    def seat(self) -> Seat:
        """A terminal with a real shell."""
        seat = Seat(rows=60, columns=120)
        shell = Shell(self.world, Operator(user="bob", rights="operator", origin="x", service="ssh"))
        seat.shell = shell  # type: ignore[assignment]
        seat.session = TerminalSession(shell, seat.client, "xterm", 60, 120, lambda: None)
        return seat

    def test_keys(self) -> None:
        """Messages appear while it runs, two digits are one code, and Q, Escape and ^C lead back."""

        async def typed() -> None:
            """Open the monitor three times."""
            seat = self.seat()
            seat.start()
            await seat.until("lma1> ")
            for leave in ("q", "\x1b", "\x03"):
                start = len(seat.client.data)
                seat.session.feed(b"monitor protocol\r")
                await seat.until("Re-Display Options", start)
                self.world.tell(pbu())
                await seat.until("Proxy Binding Update (5)", start)
                seat.session.feed(b"48")
                await seat.until("*** Mobile IPv6 (OFF) ***", start)
                here = len(seat.client.data)
                seat.session.feed(leave.encode())
                await seat.until("lma1> ", here)
                self.assertFalse(self.world.raw.listening, leave)
            assert seat.task is not None
            seat.task.cancel()
            await asyncio.wait([seat.task])

        run(typed())
