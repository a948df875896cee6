"""What a home agent tells by itself reaches a mobile node in an IPv4 network, through a NAT (RFC 5555)."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.mipv6 import events as agent
from appliance.protocols.mn.events import IcmpReceived, Link, SendIcmp, SendMessage
from appliance.protocols.mn.packets import home_packet
from appliance.protocols.mobility.codec import decode
from appliance.protocols.mobility.options import Authentication
from appliance.protocols.pmipv6 import events as anchor
from test.protocols.mipv6.fakes import ALICE, HostWorld
from test.protocols.mn.fakes import AGENT2, AGENT4, LTE4, NET1, V4A, WLAN1, WLAN4
from test.protocols.mn.test_pair import DUAL, NAT, DualPair
from test.protocols.mn.test_pair_orders import TalkingPair


class NatPair(TalkingPair, DualPair):
    """Both ends, with a NAT before the mobile node that lets in only what goes to the port that it gave."""

    nat = NAT

    def inward(self, sent: Any) -> Any:
        """ICMPv6 inside UDP too."""
        if not isinstance(sent, SendIcmp) or not sent.outer:
            return super().inward(sent)
        return agent.TunnelledReceived(home_packet(58, sent), *self.nat, AGENT4)

    def outward(self, effect: Any) -> Any:
        """Back through the NAT."""
        if isinstance(effect, agent.SendTunnelled):
            if (effect.address, effect.port) != self.nat:
                return None
            if effect.protocol == 58:
                return IcmpReceived(effect.data, effect.source, effect.destination, effect.destination)
        return super().outward(effect)


class OrdersTest(SynchronousTestCase):
    """Revocation, switch, refresh request, behind a NAT."""

    def pair(self, *links: Link, **changes: Any) -> NatPair:
        """A registered node."""
        pair = NatPair(agent={"revocation": True, "profiles": (DUAL,)}, ipv4_home=True, **changes)
        pair.links(*(links or (WLAN4,)))
        pair.run(10)
        self.assertEqual(pair.state, "registered")
        return pair

    def test_revocation(self) -> None:
        """RFC 5846: both ends forget the binding; the answer that comes back inside UDP is believed."""
        pair = self.pair()
        pair.order(anchor.ClearSessions(mn_id=ALICE))
        self.assertIsNotNone(pair.bound)
        pair.run(0.5)
        self.assertIsNone(pair.bound)
        self.assertEqual(pair.value("registration/revoked"), 1)
        self.assertEqual(pair.world.value("binding-revocation/ack-rcvd"), 1)
        pair.run(70)
        self.assertEqual(pair.state, "registered")

    def test_service_stops(self) -> None:
        """Hosts are told, behind a NAT or not; then only their answers count, and nothing is begun."""
        for links in ((WLAN4,), (WLAN1,)):
            pair = self.pair(*links)
            self.assertTrue(pair.world.lma.departed)
            pair.world.lma.dissolve()
            pair.order(anchor.Depart())
            self.assertFalse(pair.world.lma.departed)
            pair.run(0.5)
            self.assertTrue(pair.world.lma.departed)
            self.assertEqual(pair.value("registration/revoked"), 1)
            self.assertEqual(pair.world.value("binding-revocation/ack-rcvd"), 1)
            refused = pair.world.value("binding-updates-discard-reasons/hamgr-not-ready")
            pair.run(100)
            late = pair.world.value("binding-updates-discard-reasons/hamgr-not-ready")
            self.assertGreater(late, refused)

    def test_ipv4_home_address(self) -> None:
        """RFC 5846 section 7, V flag: only the IPv4 home address goes."""
        pair = self.pair()
        pair.order(anchor.ClearSessions(mn_id=ALICE, ipv4_only=True))
        pair.run(0.5)
        self.assertIsNotNone(pair.bound)
        self.assertIsNone(pair.bound.ipv4_address)
        self.assertEqual(pair.world.value("binding-revocation/ack-rcvd"), 1)

    def test_forged(self) -> None:
        """An answer with a wrong authenticator is no answer: the indication is repeated."""
        pair = self.pair()
        inward = pair.inward

        def forged(sent: Any) -> Any:
            if isinstance(sent, SendMessage) and sent.data[2] == 16:
                message, _ = decode(sent.data)
                option = message.options[-1]
                self.assertIsInstance(option, Authentication)
                sent = type(sent)(
                    sent.data[:-1] + bytes((sent.data[-1] ^ 1,)), sent.source, sent.destination, sent.home,
                    sent.interface, sent.outer_source, sent.outer, sent.port,
                )
            return inward(sent)

        pair.inward = forged  # type: ignore[method-assign]
        pair.order(anchor.ClearSessions(mn_id=ALICE))
        pair.run(0.5)
        self.assertIsNotNone(pair.bound)
        self.assertEqual(pair.world.value("binding-revocation/ack-rcvd"), 0)
        self.assertEqual(pair.world.value("binding-revocation-ack-discarded/badly-formed-request"), 1)
        pair.run(10)
        self.assertEqual(pair.world.value("binding-revocation/not-acknowledged"), 1)

    def test_switch(self) -> None:
        """RFC 5142: the de-registration inside UDP is the answer."""
        pair = self.pair()
        pair.order(agent.SwitchHosts(mn_id=ALICE, agents=(AGENT2,)))
        pair.run(5)
        self.assertIsNone(pair.bound)
        self.assertEqual(pair.world.value("messages-to-hosts/home-agent-switch-done"), 1)

    def test_refresh_request(self) -> None:
        """RFC 6275 section 11.7.4."""
        pair = self.pair()
        before = len(pair.updates(pair.history))
        pair.order(agent.AskRefresh(mn_id=ALICE))
        pair.run(5)
        self.assertEqual(len(pair.updates(pair.history)), before + 1)

    def test_prefixes(self) -> None:
        """RFC 5555 section 2.2: a solicitation inside UDP, is answered if it comes from where its host is."""
        pair = self.pair(prefix_discovery=True)
        (prefix,) = pair.node.report(pair.now).prefixes
        self.assertEqual(prefix[1], 64)
        self.assertEqual(pair.world.value("mobile-prefix-discovery/solicited-sent"), 1)
        (asked,) = pair.of(SendIcmp, pair.history)
        pair.run(2)
        pair.order(agent.TunnelledReceived(home_packet(58, asked), NAT[0], NAT[1] + 1, AGENT4))
        self.assertEqual(pair.world.value("mobile-prefix-discovery/solicitations-received"), 1)

    def test_prefixes_unasked(self) -> None:
        """RFC 6275 section 10.6.2: what is new on the home link is told, and makes the host ask."""
        pair = NatPair(agent={"mipv6_prefix_discovery": "unsolicited", "profiles": (DUAL,)})
        pair.links(WLAN4)
        pair.run(10)
        changed = {"mipv6_prefix_preferred": 5_000, "mipv6_prefix_discovery": "unsolicited"}
        pair.order(anchor.Reconfigure(HostWorld(profiles=(DUAL,), **changed).settings))
        pair.run(6_000)
        told = pair.world.value("mobile-prefix-discovery/unsolicited-sent")
        self.assertGreater(told, 0)
        self.assertEqual(pair.world.value("mobile-prefix-discovery/solicited-sent"), told)

    def test_several(self) -> None:
        """RFC 5648: what is said goes to the first care-of address, of whichever family it is."""
        for links, place in (((WLAN1, LTE4), NET1), ((WLAN4, Link("lte0", NET1)), NAT[0])):
            pair = self.pair(*links, multiple_care_of=True)
            self.assertEqual(len(pair.bound.extras.host.several), 2)
            self.assertEqual(pair.bound.care_of, place)
            pair.order(anchor.ClearSessions(mn_id=ALICE))
            pair.run(0.5)
            self.assertIsNone(pair.bound)
            self.assertEqual(pair.world.value("binding-revocation/ack-rcvd"), 1)
            self.assertNotEqual(V4A, place)
