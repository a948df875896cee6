"""What refuses new sessions of gateways refuses new bindings of hosts everywhere; known ones go on."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.mipv6.events import SendTunnelled
from appliance.protocols.mobility.messages import BU_A, BU_H, BU_O
from appliance.protocols.mobility.options import BindingIdentifier
from appliance.protocols.pmipv6.congestion_settings import Congestion
from appliance.protocols.pmipv6.events import Reconfigure, Strain
from test.protocols.mipv6.fakes import ALICE, BOB, CARE1, CARE2, CARE3, HOME, HOME2, HostWorld, bid
from test.protocols.mipv6.test_dsmip import BOB_DUAL, DUAL
from test.protocols.pmipv6.lma_fakes import option, packed, settings

_ADMIN = "update-denied-admin-prohibited-reasons/"
_FULL = "update-denied-insufficient-resource-reasons/"


class RefusalTests(SynchronousTestCase):
    """As the operator's guide says it of all sessions."""

    def world_of(self, **changes: Any) -> HostWorld:
        """Two subscribers, of whom Alice is there already."""
        world = HostWorld(profiles=(DUAL, BOB_DUAL))
        self.assertEqual(self.status(world.host()), 0)
        world.settings = settings(
            mipv6=True, mipv6_pools=("HOSTS",), prefix_pools=world.settings.prefix_pools,
            profiles=(DUAL, BOB_DUAL), **changes,
        )  # fmt: skip
        world.lma.receive(Reconfigure(world.settings), world.now)
        world.lma.take()
        return world

    def status(self, answer: Any) -> int | None:
        """Of an answer; ``None``: there is none."""
        return None if answer is None else answer.status

    def bobs(self, world: HostWorld, status: int | None, row: str) -> None:
        """A new binding is refused, by IPv6 and inside UDP; the one that there is goes on and may leave."""
        self.assertEqual(self.status(world.host(mn=BOB, home=HOME2, care_of=CARE2)), status)
        self.assertEqual(self.status(world.inside(mn=BOB, home=HOME2)), status)
        self.assertEqual(len(world.of_kind(SendTunnelled)), int(status is not None))
        self.assertEqual(world.value(row), 2)
        for care_of in (CARE1, CARE3):
            self.assertEqual(self.status(world.host(care_of=care_of)), 0)
        self.assertEqual(self.status(world.inside()), 0)
        self.assertEqual(self.status(world.host(lifetime=0)), 0)
        self.assertEqual([each.mn_id for each in world.lma.sessions()], [ALICE])
        self.assertTrue(world.balanced())

    def test_newcall_policy(self) -> None:
        """``reject`` is 129, ``busyout`` is 130."""
        self.bobs(self.world_of(newcall_policy="reject"), 129, _ADMIN + "policy-rejected")
        self.bobs(self.world_of(newcall_policy="busyout"), 130, _FULL + "no-session-manager")

    def test_max_subscribers(self) -> None:
        """130."""
        self.bobs(self.world_of(max_subscribers=1), 130, _FULL + "session-manager-rejected")

    def test_congestion(self) -> None:
        """129 or silence, as it is set."""
        for action, status, row in (
            ("reject", 129, _ADMIN + "congestion-control-denied"),
            ("drop", None, "binding-updates-discard-reasons/congestion-discarded"),
        ):
            congestion = Congestion(congestion_control=True, congestion_action=action, loop_lag=100)
            world = self.world_of(congestion=congestion)
            world.lma.receive(Strain(queue=0, lag=5000, memory=0), world.now)
            world.lma.take()
            self.bobs(world, status, row)

    def test_simul_bindings(self) -> None:
        """It is about home addresses of one host, and about care-of addresses of one binding (RFC 5648)."""
        world = self.world_of(simul_bindings=1)
        self.assertEqual(self.status(world.host(home=HOME2)), 130)
        self.assertEqual(world.value(_FULL + "simul-bindings-exceeded"), 1)
        self.assertEqual(self.status(world.inside(mn=BOB, home=HOME2)), 0)
        flags = BU_A | BU_H | BU_O
        answer = world.host(bids=[bid(1, CARE1), bid(2, CARE2)], flags=flags)
        self.assertEqual(self.status(answer), 4)
        assert answer is not None
        found = [each for each in answer.options if isinstance(each, BindingIdentifier)]
        self.assertEqual([(each.bid, each.status) for each in found], [(1, 0), (2, 130)])
        answer = world.inside(bids=[bid(3, packed("10.0.0.7"))], silent=True)
        self.assertEqual(self.status(answer), 130)
        self.assertIsNotNone(option(answer, BindingIdentifier))
        entry = world.lma._cache.prefixes[HOME]
        self.assertEqual((entry.care_of, list(entry.extras.host.several)), (CARE1, [1]))

    def test_shutdown(self) -> None:
        """Silence, for known ones too; bindings stay until their time is over."""
        world = self.world_of(shutdown=True)
        for answer in (world.host(), world.inside(), world.host(lifetime=0), world.host(mn=BOB, home=HOME2)):
            self.assertIsNone(answer)
        self.assertEqual(world.value("binding-updates-discard-reasons/hamgr-not-ready"), 4)
        self.assertEqual(len(list(world.lma.sessions())), 1)
        world.pass_time(700)
        self.assertEqual(len(list(world.lma.sessions())), 0)
