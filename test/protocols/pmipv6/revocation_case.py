"""What the tests of a revoking anchor share."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from test.protocols.pmipv6.lma_fakes import (
    LMA_ADDRESS,
    MAG1,
    World,
)
from test.protocols.pmipv6.revocation_fakes import acknowledgement, revocations

SENT = "binding-revocation/sent"
TRIGGERS = "sent-revocation-trigger-reasons/"
STATUSES = "received-revocation-ack-status/"
DROPPED = "binding-revocation-ack-discarded/"
ADMIN = "total-disconnects/admin-drops"


class RevocationTestCase(SynchronousTestCase):
    """An anchor that revokes, with its function on."""

    def make(self, **changes: Any) -> World:
        """Make the anchor."""
        self.world = World(**{"revocation": True, **changes})
        return self.world

    def tell(self, event: Any) -> list[Any]:
        """Give the anchor an event that is no packet."""
        world = self.world
        world.lma.receive(event, world.now)
        world.effects = world.lma.take()
        return world.effects

    def sent(self) -> Any:
        """The one indication among the last effects."""
        ((destination, message),) = revocations(self.world.effects)
        self.to = destination
        return message

    def reply(
        self, message: Any, status: int = 0, options: Any = (), source: bytes = MAG1, **changes: int
    ) -> None:
        """Answer an indication as a gateway does."""
        self.world.packet(acknowledgement(message, source, LMA_ADDRESS, status, options, **changes), source)

    def wait(self, seconds: float) -> None:
        """Let time go by evenly."""
        for _ in range(round(10 * seconds)):
            self.world.pass_time(0.1)

    def count(self, key: str) -> int:
        """One counter."""
        return self.world.value(key)
