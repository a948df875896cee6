"""A home agent that stops tells its hosts (RFC 5846 section 7), and begins nothing any more."""

from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.mipv6.events import SendRouted, TestAddress
from appliance.protocols.pmipv6.events import Depart
from appliance.protocols.pmipv6.host_settings import Association
from appliance.protocols.pmipv6.settings import Profile
from test.protocols.mipv6.fakes import HOME, KEY, SPI, HostWorld

ANYBODY = Profile(name="default", associations=(Association(spi=SPI, key=KEY),))

_BR = "binding-revocation/"


class DepartTests(SynchronousTestCase):
    """Many hosts, silent ones, and updates that wait."""

    def test_many(self) -> None:
        """So many at a time, and no longer than their indications are repeated."""
        world = HostWorld(revocation=True, default_profile=ANYBODY)
        for number in range(0x100, 0x100 + 1500):
            world.host(home=HOME[:14] + number.to_bytes(2, "big"), mn=b"%d@x" % number)
        self.assertEqual(world.lma.session_count, 1500)
        world.lma.receive(Depart(), world.now)
        effects = world.lma.take() + world.pass_time(0.1)
        self.assertEqual(sum(isinstance(each, SendRouted) for each in effects), 1000)
        self.assertFalse(world.lma.departed)
        for _ in range(20):
            world.pass_time(0.5)
        self.assertTrue(world.lma.departed)
        self.assertEqual(world.value(_BR + "sent"), 1500)
        self.assertEqual(world.value(_BR + "not-acknowledged"), 1500)

    def test_waiting(self) -> None:
        """An update that waits for the test of its address is discarded, once."""
        world = HostWorld(revocation=True, mipv6_home_link="lan0")
        world.host()
        self.assertEqual(len(world.of_kind(TestAddress)), 1)
        pending = "binding-updates-received/pending"
        self.assertEqual(world.value(pending), 1)
        world.lma.dissolve()
        world.lma.receive(Depart(), world.now)
        world.pass_time(100)
        self.assertEqual((world.value(pending), world.lma.session_count), (0, 0))
        self.assertEqual(world.value("binding-updates-discard-reasons/other"), 1)
        self.assertIsNone(world.host())
        self.assertEqual(world.value("binding-updates-discard-reasons/hamgr-not-ready"), 1)

    def test_switched_off(self) -> None:
        """Without revocation nobody is told."""
        world = HostWorld()
        world.host()
        world.lma.receive(Depart(), world.now)
        self.assertEqual(world.lma.take(), [])
        self.assertTrue(world.lma.departed)
