"""A mobile node and the real core of a home agent: one feature after the other, over a good network."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.mipv6.events import SendTunnelled, TunnelledReceived
from appliance.protocols.mn.events import HomeAddress, MessageReceived, Path, SendMessage, Tunnel
from appliance.protocols.mobility import messages as msg
from appliance.protocols.mobility.options import MobileNetworkPrefix
from appliance.protocols.mobility.packet import MobilityPacket, build_ipv6
from appliance.protocols.pmipv6.settings import Profile
from test.protocols.mipv6.fakes import ALICE, HOME, PROFILE
from test.protocols.mn.fakes import AGENT, AGENT4, LTE, LTE4, NET1, NET3, V4A, WLAN1, WLAN4, Pair
from test.protocols.pmipv6.lma_fakes import packed

NAT = (packed("192.0.2.200"), 40_001)
NETWORK = (packed("2001:db8:200::"), 56)
KEYS = PROFILE.associations
DUAL = Profile(name=PROFILE.name, mn_id=ALICE, associations=KEYS, ipv4=True)
ROUTER = Profile(name=PROFILE.name, mn_id=ALICE, associations=KEYS, network_prefixes=(NETWORK,))


class DualPair(Pair):
    """Both ends with UDP port 4191 between them."""

    #: Address and port by which a NAT shows IPv4 packets; None: there is no NAT.
    nat: tuple[bytes, int] | None = None

    def inward(self, sent: Any) -> Any:
        """Over UDP too, through the NAT."""
        if not isinstance(sent, SendMessage) or not sent.outer:
            return super().inward(sent)
        mh = sent.data[:4] + b"\0\0" + sent.data[6:]
        address, port = self.nat or (sent.outer_source, 4191)
        return TunnelledReceived(build_ipv6(MobilityPacket(sent.source, AGENT, mh)), address, port, AGENT4)

    def outward(self, effect: Any) -> Any:
        """And back."""
        if isinstance(effect, SendTunnelled):
            return MessageReceived(effect.data, effect.source, effect.destination, outer=AGENT4, port=4191)
        return super().outward(effect)


class DualStackTest(SynchronousTestCase):
    """RFC 5555 at both ends."""

    def pair(self, **changes: Any) -> DualPair:
        """Alice may have an IPv4 home address."""
        return DualPair(agent={"profiles": (DUAL,)}, ipv4_home=True, **changes)

    def test_nat(self) -> None:
        """From IPv6 to an IPv4 network behind a NAT and back: both home addresses stay."""
        pair = self.pair()
        pair.links(WLAN1)
        pair.run(5)
        (address,) = pair.of(HomeAddress, pair.history)
        self.assertEqual(address.address, HOME)
        self.assertIsNotNone(address.ipv4)
        pair.nat = NAT
        pair.links(WLAN4)
        pair.run(5)
        self.assertEqual(pair.state, "registered")
        self.assertEqual(pair.bound.care_of, NAT[0])
        tunnel = pair.of(Tunnel, pair.history)[-1]
        self.assertEqual(tunnel.paths, (Path("wlan0", V4A, AGENT4, True, 4191),))
        before = len(pair.updates(pair.history))
        pair.run(230)
        self.assertEqual(len(pair.updates(pair.history)) - before, 2)
        pair.links(WLAN1)
        pair.run(5)
        self.assertEqual(pair.bound.care_of, NET1)
        self.assertEqual(pair.of(HomeAddress, pair.history), [address])

    def test_no_nat(self) -> None:
        """Data goes without UDP, and no keep-alives are sent."""
        pair = self.pair()
        pair.links(WLAN4)
        pair.run(5)
        self.assertEqual(pair.of(Tunnel, pair.history)[-1].paths, (Path("wlan0", V4A, AGENT4),))
        before = len(pair.updates(pair.history))
        pair.run(400)
        self.assertEqual(len(pair.updates(pair.history)), before)

    def test_forced(self) -> None:
        """The F flag: granted, or refused and left out."""
        for policy, udp in (("on-request", True), ("nat-only", False)):
            pair = DualPair(agent={"profiles": (DUAL,), "mipv6_udp": policy}, force_udp=True)
            pair.links(WLAN4)
            pair.run(5)
            self.assertEqual(pair.state, "registered")
            self.assertEqual(pair.of(Tunnel, pair.history)[-1].paths[0].udp, udp)

    def test_leaving(self) -> None:
        """De-registration from an IPv4 network."""
        pair = self.pair()
        pair.nat = NAT
        pair.links(WLAN4)
        pair.run(5)
        pair.command("deregister")
        pair.run(5)
        self.assertEqual((pair.state, pair.bound), ("stopped", None))
        self.assertEqual(pair.value("registration/deregistered"), 1)

    def test_several(self) -> None:
        """RFC 5648 section 8.1: IPv6 and IPv4 at the same time."""
        pair = self.pair(multiple_care_of=True)
        pair.links(WLAN1, LTE4)
        pair.run(10)
        several = pair.bound.extras.host.several
        found = {bid: care.address for bid, care in several.items()}
        self.assertEqual(found, {1: NET1, 2: LTE4.address})
        self.assertEqual(len(pair.of(Tunnel, pair.history)[-1].paths), 2)


class SeveralTest(SynchronousTestCase):
    """RFC 5648 at both ends."""

    def test_links_come_and_go(self) -> None:
        """The home agent has what the node has."""
        pair = Pair(multiple_care_of=True)
        for links, wanted in (
            ((WLAN1,), {1: NET1}),
            ((WLAN1, LTE), {1: NET1, 2: NET3}),
            ((LTE,), {2: NET3}),
            ((LTE, WLAN1), {1: NET1, 2: NET3}),
        ):
            pair.links(*links)
            pair.run(20)
            several = pair.bound.extras.host.several
            self.assertEqual({bid: care.address for bid, care in several.items()}, wanted)


class RouterTest(SynchronousTestCase):
    """RFC 3963 at both ends."""

    def test_networks(self) -> None:
        """Explicit and implicit: the home agent sends the network's packets to the mobile router."""
        for mode in ("explicit", "implicit"):
            agent = {"mipv6_mobile_routers": True, "profiles": (ROUTER,)}
            pair = Pair(agent=agent, mobile_router=True, router_mode=mode, networks=(NETWORK,))
            pair.links(WLAN1)
            pair.run(5)
            self.assertEqual(pair.state, "registered")
            update = pair.updates(pair.history)[-1]
            named = [each for each in update.options if isinstance(each, MobileNetworkPrefix)]
            self.assertEqual(len(named), mode == "explicit")
            # What the node lets out of the network and into it.
            self.assertEqual(pair.node.report(pair.now).networks, (NETWORK,))
            install = pair.world.lma._sessions.forwarding(pair.bound)
            self.assertIn(NETWORK, install.prefixes)

    def test_not_ours(self) -> None:
        """A prefix of somebody else is refused; the node goes on without naming any."""
        agent = {"mipv6_mobile_routers": True, "profiles": (ROUTER,)}
        pair = Pair(agent=agent, mobile_router=True, networks=((packed("2001:db8:300::"), 56),))
        pair.links(WLAN1)
        pair.run(5)
        self.assertEqual(pair.state, "registered")
        self.assertTrue(pair.updates(pair.history)[-1].flags & msg.BU_R)

    def test_not_permitted(self) -> None:
        """A home agent without mobile routers: a mobile node without networks."""
        pair = Pair(mobile_router=True, networks=(NETWORK,))
        pair.links(WLAN1)
        pair.run(5)
        self.assertEqual(pair.state, "registered")
        self.assertEqual(pair.node.report(pair.now).networks, ())
