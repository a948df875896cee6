"""Transient bindings (RFC 6058): two gateways for a moment, at the anchor, at the gateway, in the tunnel."""

from typing import Any

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.counters import LMA, CounterSet
from appliance.protocols.mobility.codec import decode
from appliance.protocols.mobility.messages import BR_G, BR_P, BR_V, BindingRevocationIndication
from appliance.protocols.mobility.options import (
    GreKey,
    IPv4HomeAddressRequest,
    MobileNodeIdentifier,
    TransientBinding,
)
from appliance.protocols.pmipv6.events import (
    ClearSessions,
    Install,
    MobileAttached,
    Reconfigure,
    Remove,
    Send,
)
from appliance.protocols.pmipv6.settings import GlobalPeer
from appliance.tun.forwarding import Forwarding
from test.protocols.pmipv6.lma_fakes import LL1, LL2, LMA_ADDRESS, MAG1, MAG2, MN1, World, option, packed
from test.protocols.pmipv6.mag_fakes import MN, MagTestCase, of
from test.protocols.pmipv6.revocation_fakes import ACKNOWLEDGEMENT, indication, revocations
from test.protocols.pmipv6.test_mag_lma import ANCHOR, GATEWAYS, Network
from test.tun.test_forwarding import udp6

MAG3 = packed("2001:db8:b::3")
LATE = TransientBinding(1, 20)
CN = packed("2001:db8:eeee::80")


def handed(latch: int = 1, lifetime: int = 20, **changes: Any) -> World:
    """An anchor at which a mobile node has just moved from MAG1 to MAG2 with the option."""
    world = World(**changes)
    world.send()
    world.send(source=MAG2, hi=3, extra=[TransientBinding(latch, lifetime)])
    return world


def paths(world: World) -> list[tuple[bytes, bytes | None]]:
    """Downlink peer and second uplink peer of each Install among the last effects."""
    return [(each.peer, each.second and each.second.peer) for each in world.of_kind(Install)]


class AnchorTests(SynchronousTestCase):
    """RFC 6058 section 4.6."""

    def test_begin(self) -> None:
        """The downlink stays with the former gateway, and the answer says for how long."""
        world = handed()
        self.assertEqual(paths(world)[-1], (MAG1, MAG2))
        answer = world.answer()
        self.assertEqual((answer.status, option(answer, TransientBinding)), (0, LATE))
        entry = next(world.lma.sessions())
        self.assertEqual(entry.care_of, MAG2)
        self.assertEqual(
            world.lma.details(entry), (("Transient Binding", "downlink and uplink of the former gateway"),)
        )

    def test_time(self) -> None:
        """It ends by itself."""
        world = handed()
        self.assertEqual(world.pass_time(1.9), [])
        world.pass_time(0.2)
        self.assertEqual(paths(world), [(MAG2, None)])
        self.assertEqual(world.lma.details(next(world.lma.sessions())), ())

    def test_update(self) -> None:
        """It ends on an update without the option, and on one with it, whose answer has status 6."""
        for extra, status in (([], 0), ([LATE], 6)):
            world = handed()
            answer = world.send(source=MAG2, hi=5, extra=extra)
            self.assertEqual((answer.status, option(answer, TransientBinding)), (status, None))
            self.assertEqual(paths(world), [(MAG2, None)])

    def test_former_leaves(self) -> None:
        """It ends when the former gateway de-registers, which is answered; the session stays."""
        for ll in (LL1, LL2):
            world = handed()
            answer = world.send(source=MAG1, lifetime=0, ll=ll)
            self.assertEqual((answer.status, answer.lifetime), (0, 0))
            self.assertEqual(paths(world), [(MAG2, None)])
            self.assertEqual(world.of_kind(Remove), [])
            self.assertEqual(next(world.lma.sessions()).state, "active")
            self.assertEqual(world.value("dereg-requests/accepted"), 1)
            # Once it is over, it is a stranger to the session again.
            self.assertIsNone(world.send(source=MAG1, lifetime=0))

    def test_former_extends(self) -> None:
        """A refresh by the former gateway is approved and changes nothing; a handover back ends it."""
        world = handed()
        answer = world.send(source=MAG1, hi=5)
        self.assertEqual(answer.status, 0)
        self.assertEqual(paths(world), [])
        self.assertEqual(next(world.lma.sessions()).care_of, MAG2)
        world.send(source=MAG1, hi=3)
        self.assertEqual(paths(world), [(MAG1, None)])

    def test_third(self) -> None:
        """A handover to yet another gateway ends it; the option is then ignored."""
        world = handed()
        answer = world.send(source=MAG3, hi=3, extra=[LATE])
        self.assertEqual(answer.status, 6)
        self.assertEqual(paths(world), [(MAG3, None)])

    def test_ignored(self) -> None:
        """Wrong values, no handover: the update is accepted with status 6."""
        for latch, lifetime in ((0, 20), (1, 0)):
            world = handed(latch, lifetime)
            self.assertEqual(world.answer().status, 6)
            self.assertEqual(paths(world), [(MAG2, None)])
        world = World()
        self.assertEqual(world.send(extra=[LATE]).status, 6)
        self.assertEqual(world.send(extra=[LATE], hi=5).status, 6)

    def test_off(self) -> None:
        """Switched off, the option is one that nobody knows."""
        world = handed(transient_binding=False)
        self.assertEqual(world.answer().status, 0)
        self.assertEqual(paths(world), [(MAG2, None)])

    def test_limits(self) -> None:
        """The time is below the lifetime of the registration and the operator's limit."""
        world = World(transient_maximum=25_500)
        world.send()
        answer = world.send(source=MAG2, hi=3, lifetime=1, extra=[TransientBinding(1, 255)])
        self.assertEqual(option(answer, TransientBinding), TransientBinding(1, 39))
        self.assertEqual(option(handed(1, 255).answer(), TransientBinding), TransientBinding(1, 50))

    def test_activation(self) -> None:
        """With an activation delay the uplink of the former gateway is accepted a little longer."""
        world = handed(transient_activation_delay=1_000)
        world.send(source=MAG2, hi=5)
        self.assertEqual(paths(world), [(MAG2, MAG1)])
        self.assertIn("uplink of the former", world.lma.details(next(world.lma.sessions()))[0][1])
        world.pass_time(1.1)
        self.assertEqual(paths(world), [(MAG2, None)])
        world = handed(transient_activation_delay=1_000)
        world.send(source=MAG1, lifetime=0)
        self.assertEqual(paths(world), [(MAG2, None)])

    def test_end(self) -> None:
        """A session that ends in that state takes all with it."""
        world = handed(min_delay_before_bce_delete=0)
        world.send(source=MAG2, lifetime=0)
        self.assertEqual(world.lma.session_count, 0)
        self.assertEqual(world.lma._features.former, {})
        self.assertEqual(world.pass_time(5), [])

    def test_form_of_tunnel(self) -> None:
        """Each gateway keeps its own form of tunnel."""
        world = World()
        world.send(extra=[GreKey(7)])
        world.send(source=MAG2, hi=3, extra=[LATE])
        effect = world.of_kind(Install)[-1]
        self.assertEqual((effect.gre, effect.send_key), (True, 7))
        self.assertEqual((effect.second.gre, effect.second.send_key), (False, None))

    @given(
        st.lists(
            st.tuples(
                st.sampled_from((MAG1, MAG2, MAG3)), st.sampled_from((1, 3, 4, 5)), st.sampled_from((0, 900)),
                st.one_of(st.none(), st.tuples(st.integers(0, 1), st.integers(0, 255))), st.floats(0.01, 3),
            ),
            max_size=12,
        )  # fmt: skip
    )
    @settings(max_examples=40, deadline=None)
    def test_anything(self, steps: list[Any]) -> None:
        """Whatever comes in which order: each update ends once, and in the end no state is left."""
        world = World(transient_activation_delay=500, max_delay_before_new_bce_assign=0)
        for source, hi, lifetime, asked, later in steps:
            extra = [] if asked is None else [TransientBinding(*asked)]
            world.send(source=source, hi=hi, lifetime=lifetime, extra=extra, later=0.01)
            world.pass_time(later)
        self.assertEqual(world.value("binding-updates-received/total-received"), len(steps))
        world.pass_time(30)
        world.pass_time(30)
        self.assertEqual(world.lma._features.former, {})


class GatewayTests(MagTestCase):
    """RFC 6058 section 4.5."""

    def test_request(self) -> None:
        """The first update about a mobile node has the option, if it may have come from another gateway."""
        self.make(transient_lifetime=1_500)
        update = self.attach()
        self.assertEqual(of(update, TransientBinding), [TransientBinding(1, 15)])
        self.answer(update)
        entry = self.entry()
        self.assertEqual(self.core.details(entry), (("Transient Binding", "1500 ms"),))
        refresh = next(effect for _, effect in self.until(1_000) if isinstance(effect, Send))
        self.assertEqual(of(decode(refresh.data).message, TransientBinding), [])

    def test_never(self) -> None:
        """Not from the factory, and not for a new interface; status 6 is an acceptance."""
        self.assertEqual(of(self.attach(), TransientBinding), [])
        self.make(transient_lifetime=1_500)
        update = self.attach(MobileAttached("acc0", MN, handoff=1))
        self.assertEqual(of(update, TransientBinding), [])
        self.make(transient_lifetime=1_500)
        self.answer(self.attach(), 6, replace={TransientBinding: TransientBinding(0, 0)})
        self.assertEqual((self.entry().state, self.core.details(self.entry())), ("active", ()))


class CouplingTests(SynchronousTestCase):
    """Both gateways and the anchor."""

    def test_move(self) -> None:
        """The downlink follows when the new gateway's time is over."""
        network = Network()
        for address in GATEWAYS:
            values = evolve(network.cores[address]._sessions.settings, transient_lifetime=1_000)
            network.feed(address, Reconfigure(values))
        network.feed(GATEWAYS[0], MobileAttached("acc0", MN))
        network.run(1)
        network.feed(GATEWAYS[1], MobileAttached("acc0", MN, handoff=3))
        network.run(0.5)
        (effect,) = network.installed[ANCHOR].values()
        self.assertEqual((effect.peer, effect.second.peer), GATEWAYS)
        network.run(1)
        (effect,) = network.installed[ANCHOR].values()
        self.assertEqual((effect.peer, effect.second), (GATEWAYS[1], None))


class TunnelTests(SynchronousTestCase):
    """The forwarding table."""

    def setUp(self) -> None:
        """Install what an anchor says after a handover."""
        self.world = World()
        self.world.send(extra=[GreKey(7)])
        self.table = Forwarding(CounterSet(LMA), "lma", LMA_ADDRESS)
        self.world.send(source=MAG2, hi=3, extra=[LATE])
        self.take()
        self.mobile = next(self.world.lma.sessions()).prefix[:8] + bytes(7) + b"\5"

    def take(self) -> None:
        """Do what the anchor says."""
        for effect in self.world.of_kind(Install):
            self.table.install(effect)

    def passes(self, source: bytes, data: bytes, protocol: int) -> bool:
        """Whether a packet from the mobile by a gateway is forwarded."""
        return self.table.inbound(6, protocol, source, data, 0, 0.0) is not None

    def test_both(self) -> None:
        """Uplink from both, each in its own form; downlink by the former; afterwards only the new one."""
        up = udp6(self.mobile, CN)
        key = self.world.of_kind(Install)[-1].receive_key
        keyed = b"\x20\0\x86\xdd" + key.to_bytes(4, "big") + up
        self.assertTrue(self.passes(MAG1, keyed, 47))
        self.assertTrue(self.passes(MAG2, up, 41))
        self.assertFalse(self.passes(MAG2, keyed, 47))
        self.assertFalse(self.passes(MAG1, up, 41))
        self.assertFalse(self.passes(MAG3, up, 41))
        down = self.table.outbound(udp6(CN, self.mobile), 100, 0.0)
        self.assertEqual(down.peer, MAG1)
        self.world.send(source=MAG2, hi=5)
        self.take()
        self.assertFalse(self.passes(MAG1, keyed, 47))
        self.assertTrue(self.passes(MAG2, up, 41))
        self.assertEqual(self.table.outbound(udp6(CN, self.mobile), 100, 0.0).peer, MAG2)
        self.assertEqual(self.table._keys, {})


class RevocationTests(SynchronousTestCase):
    """RFC 5846 beside it: the former gateway is told when its part is over, not before."""

    def told(self, world: World) -> list[tuple[int, bytes]]:
        """Trigger and gateway of each indication."""
        found = [(decode(effect.data).message, effect.destination) for effect in world.of_kind(Send)]
        return [(m.trigger, to) for m, to in found if isinstance(m, BindingRevocationIndication)]

    def moved(self) -> World:
        """A session with two gateways."""
        world = World(transient_binding=True, transient_activation_delay=0, revocation=True)
        world.send()
        world.mono += 0.1
        world.packet(*world.build(source=MAG2, hi=3, extra=[TransientBinding(1, 20)]))
        self.assertEqual(self.told(world), [])
        return world

    def test_when_time_is_over(self) -> None:
        """Its packets pass until the time is over; then it hears of the handover."""
        world = self.moved()
        world.pass_time(1.0)
        self.assertEqual(self.told(world), [])
        world.pass_time(1.1)
        self.assertEqual(self.told(world), [(2, MAG1)])

    def test_it_has_left(self) -> None:
        """Who has de-registered needs not be told."""
        world = self.moved()
        world.mono += 0.1
        world.packet(*world.build(source=MAG1, lifetime=0, hi=4))
        world.pass_time(5)
        self.assertEqual(self.told(world), [])

    def test_the_session_ends(self) -> None:
        """A session that is revoked is at both gateways, so both are told; nothing is kept of it."""
        world = self.moved()
        world.lma.receive(ClearSessions(), world.now)
        world.effects = world.lma.take()
        self.assertEqual(sorted(self.told(world)), [(1, MAG1), (1, MAG2)])
        world.pass_time(10)
        world.pass_time(10)
        self.assertEqual((world.lma.session_count, world.lma._revocation._later), (0, {}))

    def test_it_ends_otherwise(self) -> None:
        """The serving gateway de-registers: the former one hears of the handover when the session is gone."""
        world = self.moved()
        world.send(source=MAG2, lifetime=0, hi=4, sequence=3)
        world.pass_time(11)
        self.assertEqual((world.lma.session_count, self.told(world)), (0, [(2, MAG1)]))
        message: Any = next(decode(each.data).message for each in world.of_kind(Send))
        self.assertEqual([type(each).__name__ for each in message.options][1:], ["HomeNetworkPrefix"])

    def test_one_family_less(self) -> None:
        """The IPv4 home address is revoked: the other family still has both gateways."""
        world = World(transient_binding=True, revocation=True)
        world.send(ipv4=["0.0.0.0"])
        world.send(source=MAG2, hi=3, ipv4=["0.0.0.0"], extra=[LATE])
        entry = next(world.lma.sessions())
        options = [MobileNodeIdentifier(1, MN1), IPv4HomeAddressRequest(32, entry.ipv4_address)]
        world.packet(indication(1, options, MAG2, LMA_ADDRESS, BR_P | BR_V), MAG2)
        self.assertEqual((entry.ipv4_address, paths(world)), (None, [(MAG1, MAG2)]))

    def test_it_comes_back(self) -> None:
        """It is taken back by the former gateway before that: nobody is told, then or later."""
        world = self.moved()
        world.send(source=MAG2, lifetime=0, hi=4, sequence=3)
        world.send(hi=3, sequence=4)
        self.assertEqual(world.lma._revocation._later, {})
        world.pass_time(100_000)
        self.assertEqual((world.lma.session_count, self.told(world)), (0, []))

    def test_revoked_by_the_former(self) -> None:
        """RFC 5846 section 8.2: what is revoked is its part; the session stays where it is."""
        for trigger, flags in ((1, BR_P), (128, BR_P | BR_G)):
            world = self.moved()
            rights = (GlobalPeer(address=MAG1, prefix_length=128),)
            world.lma.receive(Reconfigure(evolve(world.settings, global_peers=rights)), world.now)
            world.mono += 0.1
            options = [MobileNodeIdentifier(1, MN1)]
            world.packet(indication(trigger, options, MAG1, LMA_ADDRESS, flags), MAG1)
            ((to, answer),) = revocations(world.effects, ACKNOWLEDGEMENT)
            self.assertEqual((to, answer.status), (MAG1, 0))
            effects = world.effects + world.pass_time(0)
            found = [(each.peer, each.second) for each in effects if isinstance(each, Install)]
            self.assertEqual(found, [(MAG2, None)])
            world.pass_time(5)
            self.assertEqual((world.lma.session_count, self.told(world)), (1, []))
