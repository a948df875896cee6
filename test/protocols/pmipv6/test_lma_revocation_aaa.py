"""AAA and a session that is revoked: one end, with its cause, when the session really ends."""

from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.mobility import aaa
from appliance.protocols.mobility.messages import BU_A, BU_B, BU_P
from appliance.protocols.mobility.options import MobileNodeGroupIdentifier
from appliance.protocols.pmipv6.events import ClearSessions
from test.protocols.pmipv6.aaa_fakes import AaaWorld
from test.protocols.pmipv6.lma_fakes import LMA_ADDRESS, MAG1, MAG2
from test.protocols.pmipv6.revocation_fakes import acknowledgement, revocations


class EndTests(SynchronousTestCase):
    def test_one_stop(self) -> None:
        """Aborted by AAA, cleared by an operator: nothing while it waits, one STOP with the first cause."""
        for begin, trigger, cause in (("abort", 5, aaa.SESSION_TIMEOUT), ("clear", 1, aaa.ADMINISTRATIVE)):
            world = AaaWorld(revocation=True)
            entry = world.attach()
            if begin == "abort":
                world.end(entry.call_id, aaa.SESSION_TIMEOUT)
            else:
                world.tell(ClearSessions())
            ((_, message),) = revocations(world.effects)
            self.assertEqual((message.trigger, world.told()), (trigger, []))
            world.end(entry.call_id, aaa.AUTH_EXPIRED)
            self.assertEqual(world.effects, [])
            world.packet(acknowledgement(message, MAG1, LMA_ADDRESS))
            self.assertEqual(world.told(), [("stop", cause)])
            world.end(entry.call_id, aaa.ADMINISTRATIVE)
            self.assertEqual((world.effects, world.value("total-disconnects/admin-drops")), ([], 1))

    def test_refused_again(self) -> None:
        """AAA does not want a session any more: the gateway is told, too."""
        world = AaaWorld(revocation=True)
        entry = world.attach()
        world.again(entry.call_id)
        world.tell(aaa.Authorized(token=world.question().token, verdict=aaa.REJECT))
        ((_, message),) = revocations(world.effects)
        self.assertEqual((message.trigger, world.told()), (1, []))
        world.packet(acknowledgement(message, MAG1, LMA_ADDRESS, 128))
        self.assertEqual(world.told(), [("stop", aaa.ADMINISTRATIVE)])

    def test_handover_by_revocation(self) -> None:
        """HI 4 and the former gateway lets go: a pause as by a de-registration, then the handover."""
        world = AaaWorld(revocation=True)
        world.attach()
        world.mono += 1
        world.packet(*world.build(source=MAG2, hi=4, ll=None, sequence=5))
        ((_, message),) = revocations(world.effects)
        world.packet(acknowledgement(message, MAG1, LMA_ADDRESS))
        self.assertEqual([what for what, _ in world.told()], ["pause", "handoff"])

    def test_bulk(self) -> None:
        """An extension of a group is a refresh of each session, and never goes beyond what is granted."""
        world = AaaWorld()
        group = [MobileNodeGroupIdentifier(1, 7)]
        what = {"flags": BU_A | BU_P | BU_B, "extra": group, "grant": {"lifetime": 1000}}
        entry = world.attach(**what)
        world.mono += 100
        update = world.build(mn=None, prefixes=[], extra=group, ll=None, hi=5)
        world.packet(*update)
        world.pass_time(0)
        self.assertEqual(world.told(), [("refresh", 0)])
        assert entry.ends is not None
        self.assertEqual((entry.lifetime, entry.due), (900, entry.ends))
