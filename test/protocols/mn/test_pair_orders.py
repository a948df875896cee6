"""A mobile node and the real core of a home agent: what the home agent tells by itself, and discovery."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.mipv6 import events as agent
from appliance.protocols.mn.events import IcmpReceived, SendIcmp, SendMessage
from appliance.protocols.pmipv6 import events as anchor
from test.protocols.mipv6.fakes import ALICE
from test.protocols.mn.fakes import AGENT, AGENT2, NET2, WLAN1, WLAN2, Pair


class TalkingPair(Pair):
    """Both ends with ICMPv6 between them."""

    def inward(self, sent: Any) -> Any:
        """ICMPv6 too."""
        if not isinstance(sent, SendIcmp):
            return super().inward(sent)
        if not sent.home:
            return agent.IcmpReceived(sent.data, sent.source, sent.destination, 64)
        # A Destination Options header with a Home Address option (RFC 6275 section 6.3).
        head = bytes((58, 2, 1, 2, 0, 0, 0xC9, 16)) + sent.home
        return agent.OptionsReceived(head + sent.data, sent.source, sent.destination)

    def outward(self, effect: Any) -> Any:
        """And back."""
        if isinstance(effect, anchor.SendIcmp):
            return IcmpReceived(effect.data, effect.source, effect.destination)
        if isinstance(effect, agent.SendRouted) and effect.protocol == 58:
            return IcmpReceived(effect.data, effect.source, effect.destination, effect.home)
        return super().outward(effect)


class OrdersTest(SynchronousTestCase):
    """Revocation, switch and refresh request of the real home agent are believed and answered."""

    def pair(self) -> TalkingPair:
        """A registered node."""
        pair = TalkingPair(agent={"revocation": True})
        pair.links(WLAN1)
        pair.run(5)
        self.assertEqual(pair.state, "registered")
        return pair

    def test_revocation(self) -> None:
        """RFC 5846: both ends forget the binding; the home agent sees the answer."""
        pair = self.pair()
        pair.order(anchor.ClearSessions(mn_id=ALICE))
        pair.run(5)
        self.assertIsNone(pair.bound)
        self.assertEqual(pair.value("registration/revoked"), 1)
        self.assertEqual(pair.value("binding-revocation/acknowledgement-sent"), 1)
        pair.run(70)
        self.assertEqual(pair.state, "registered")

    def test_switch(self) -> None:
        """RFC 5142: the binding is taken away, and the other home agent asked."""
        pair = self.pair()
        pair.order(agent.SwitchHosts(mn_id=ALICE, agents=(AGENT2,)))
        pair.run(5)
        self.assertIsNone(pair.bound)
        self.assertEqual(pair.of(SendMessage, pair.history)[-1].destination, AGENT2)

    def test_refresh_request(self) -> None:
        """RFC 6275 section 11.7.4."""
        pair = self.pair()
        before = len(pair.updates(pair.history))
        pair.order(agent.AskRefresh(mn_id=ALICE))
        pair.run(5)
        self.assertEqual(len(pair.updates(pair.history)), before + 1)


class DiscoveryTest(SynchronousTestCase):
    """RFC 6275 section 11.4, and a home address from the home agent."""

    def test_prefixes(self) -> None:
        """A solicitation is answered by the prefix of the home network."""
        pair = TalkingPair(prefix_discovery=True)
        pair.links(WLAN1)
        pair.run(10)
        (prefix,) = pair.node.report(pair.now).prefixes
        self.assertEqual(prefix[1], 64)
        self.assertEqual(len(pair.of(SendIcmp, pair.history)), 1)

    def test_home_agent(self) -> None:
        """A node that knows its home prefix finds the home agent."""
        pair = TalkingPair(agent={"mipv6_discovery": True}, home_agent=b"", home_agent_ipv4=None)
        pair.links(WLAN1)
        pair.run(10)
        self.assertEqual(pair.node.report(pair.now).home_agent, AGENT)
        self.assertEqual(pair.state, "registered")

    def test_home_address(self) -> None:
        """A node without a home address is given one, and keeps it when it moves."""
        pair = TalkingPair(agent={"mipv6_assign": True}, home_address=b"")
        pair.links(WLAN1)
        pair.run(10)
        address = pair.node.report(pair.now).home_address
        self.assertEqual(len(address), 16)
        pair.links(WLAN2)
        pair.run(10)
        self.assertEqual(pair.node.report(pair.now).home_address, address)
        pair.settings.home_address = address
        self.assertEqual(pair.bound.care_of, NET2)
