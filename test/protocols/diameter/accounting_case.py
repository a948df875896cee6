"""What the tests of the accounting client have in common."""

from pathlib import Path
from typing import Any
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.diameter.accounting import IDLE
from test.protocols.diameter.accounting_fakes import Rig

NO_SPACE = OSError(28, "No space left on device")


class Case(SynchronousTestCase):
    """Makes rigs."""

    def rig(self, **settings: Any) -> Rig:
        rig = Rig(Path(self.mktemp()), **settings).start()
        self.addCleanup(rig.kill)
        return rig

    def state(self, rig: Rig, number: int = 1) -> str:
        """State of a session; Idle when there is none."""
        session = rig.driver.core.sessions.get(number)
        return IDLE if session is None else session.state

    def kinds(self, rig: Rig) -> list[int]:
        """Types of the records that the server has kept, in their order."""
        return [kind for _, _, kind in rig.server.stored()]

    def waiting(self, rig: Rig) -> list[int]:
        """Types of the records that wait, one for each."""
        return [kind for kind, count in enumerate(rig.driver.store.waiting()) for _ in range(count)]

    def obstruct(self, rig: Rig, how: Any) -> None:
        """Make the next records unsendable."""
        if isinstance(how, str):
            rig.node.become(how)
        else:
            rig.server.results = [how] * 50

    def full(self, rig: Rig) -> None:
        """The disk takes nothing any more."""
        broken = mock.patch.object(rig.worker.spool, "append", side_effect=NO_SPACE)
        broken.start()
        self.addCleanup(broken.stop)

    def settle(self, rig: Rig) -> None:
        """Let everything happen that does so within a minute."""
        rig.run(0.2)
        rig.wait(50)
