"""A home agent: hosts as at an anchor, gateways refused (RFC 5213 section 5.3.1, status 152)."""

from typing import Any

from attrs import asdict, fields
from twisted.trial.unittest import SynchronousTestCase

from appliance.counters import MIPV6HA, CounterSet
from appliance.protocols.mipv6.anchor import make_anchor
from appliance.protocols.mipv6.answers import acknowledgement
from appliance.protocols.mipv6.request import HostRequest
from appliance.protocols.mipv6.settings import HomeAgentSettings
from appliance.protocols.mobility.codec import decode
from appliance.protocols.mobility.messages import BU_A, BU_P, BindingUpdate
from appliance.protocols.pmipv6.congestion_settings import Congestion
from appliance.protocols.pmipv6.events import Install, PacketReceived, Reconfigure, Strain
from test.protocols.mipv6.fakes import CARE1, HOME, HOME2, KEY, SPI, HostWorld
from test.protocols.pmipv6.lma_fakes import LMA_ADDRESS

DENY = "binding-update-deny-reasons"


def agent_settings(like: Any, **changes: Any) -> HomeAgentSettings:
    """The settings of a home agent with all that an anchor has been given."""
    found = {each.name: getattr(like, each.name) for each in fields(type(like))}
    return HomeAgentSettings(**{**found, **changes})


class AgentWorld(HostWorld):
    """A world with a home agent in the place of the anchor."""

    def __init__(self, **changes: Any) -> None:
        super().__init__(None, **changes)
        self.settings = agent_settings(self.settings)
        self.counters = CounterSet(MIPV6HA)
        self.lma = make_anchor(self.settings, self.counters, lambda bits: 7)


class HomeAgentTests(SynchronousTestCase):
    """Who is served."""

    def test_hosts(self) -> None:
        """A host registers as at an anchor."""
        world = AgentWorld()
        answer = world.host()
        assert answer is not None
        self.assertEqual((answer.status, len(world.of_kind(Install))), (0, 1))
        self.assertEqual(world.value("binding-acknowledgements-sent/accepted-init-reg"), 1)

    def test_gateways(self) -> None:
        """Every proxy update gets 152, from a gateway that an anchor would serve and from any other."""
        world = AgentWorld()
        answer = world.send()
        assert answer is not None
        self.assertEqual((answer.status, answer.flags & 0x20), (152, 0x20))
        self.assertEqual(world.value(f"{DENY}/proxy-reg-not-enabled"), 1)
        answer = world.send(source=LMA_ADDRESS[:15] + b"\x77", flags=BU_P | BU_A)
        assert answer is not None
        self.assertEqual(answer.status, 152)
        self.assertEqual((world.value(f"{DENY}/proxy-reg-not-enabled"), world.lma.session_count), (2, 0))
        self.assertTrue(world.balanced())

    def test_other_settings(self) -> None:
        """It stays a home agent when its settings change, and is silent while it is shut down."""
        world = AgentWorld()
        world.lma.receive(Reconfigure(agent_settings(world.settings, shutdown=True)), world.now)
        world.lma.take()
        self.assertIsNone(world.send())
        world.lma.receive(Reconfigure(agent_settings(world.settings, reg_lifetime=400)), world.now)
        world.lma.take()
        answer = world.send()
        assert answer is not None
        self.assertEqual(answer.status, 152)
        answer = world.host(lifetime=1000)
        assert answer is not None
        self.assertEqual((answer.status, answer.lifetime), (0, 100))

    def test_settings(self) -> None:
        """A home agent has every setting of an anchor, and hosts are on."""
        self.assertTrue(asdict(HomeAgentSettings(name="ha1"))["mipv6"])

    def test_usual_answer(self) -> None:
        """The answer that is put together from octets of the update is the one that the codec makes."""
        world = AgentWorld()
        for name in (b"a@b", b"alice@example.org", b"x" * 64 + b"@example.org"):
            mh = world.update(mn=name)
            message, _ = decode(mh)
            assert isinstance(message, BindingUpdate)
            request = HostRequest(PacketReceived(mh, CARE1, LMA_ADDRESS), message, HOME, world.now)
            self.assertTrue(request.in_order())
            request.key, request.spi = KEY, SPI
            short = acknowledgement(request, world.now, 0, lifetime=7)
            # Without the place of the MN-ID option it takes the long way.
            request.mn_at = 0
            self.assertEqual(acknowledgement(request, world.now, 0, lifetime=7), short)

    def test_limits(self) -> None:
        """``max-subscribers`` and ``newcall policy`` are for bindings that are still to be made."""
        for changes, status in (({"max_subscribers": 1}, 130), ({"newcall_policy": "busyout"}, 130)):
            world = AgentWorld(**changes)
            first = world.host()
            assert first is not None
            self.assertEqual(first.status, 0 if "max_subscribers" in changes else status)
            second = world.host(home=HOME2)
            assert second is not None
            self.assertEqual(second.status, status)
            again = world.host()
            assert again is not None
            self.assertEqual(again.status, first.status)

    def test_congestion(self) -> None:
        """A host without a binding is refused (129) or dropped, one with a binding goes on."""
        for action, row in (
            ("reject", "update-denied-admin-prohibited-reasons/congestion-control-denied"),
            ("drop", "binding-updates-discard-reasons/congestion-discarded"),
        ):
            congestion = Congestion(congestion_control=True, congestion_action=action, loop_lag=100)
            world = AgentWorld(congestion=congestion)
            self.assertIsNotNone(world.host())
            world.lma.receive(Strain(queue=0, lag=5000, memory=0), world.now)
            world.lma.take()
            answer = world.host(home=HOME2)
            self.assertEqual(None if answer is None else answer.status, 129 if action == "reject" else None)
            self.assertEqual(world.value(row), 1)
            again = world.host()
            assert again is not None
            self.assertEqual(again.status, 0)
            self.assertTrue(world.balanced())
