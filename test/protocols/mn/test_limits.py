"""What others can make a mobile node do is bounded, and what it leaves is free of reference cycles."""

import gc

from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.mn.events import CorrespondentSeen, MessageReceived, Notify, SendMessage
from appliance.protocols.mobility import messages as msg
from appliance.protocols.mobility.codec import encode, seal
from test.protocols.mipv6.fakes import HOME
from test.protocols.mn.fakes import AGENT, LTE, NET1, WLAN1, WLAN2, Node
from test.protocols.mn.test_routability import Roaming
from test.protocols.pmipv6.lma_fakes import packed


class CycleTest(SynchronousTestCase):
    """The collector's oldest generation is off in a running appliance."""

    def test_none_left(self) -> None:
        """A node with bindings, exchanges and correspondents goes as a whole."""
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)
        node = Roaming(prefix_discovery=True)
        node.optimize()
        for number in range(20):
            node.feed(CorrespondentSeen(packed(f"2001:db8:d::{number + 10}")))
        node.links(WLAN2, LTE)
        node.pass_time(100)
        node.links(WLAN1)
        core = node.node
        node.history.clear()
        node.effects.clear()
        del node
        gc.collect()
        del core
        self.assertEqual(gc.collect(), 0)


class FloodTest(SynchronousTestCase):
    """Strangers."""

    def test_messages_of_strangers(self) -> None:
        """Ten thousand messages that are nobody's: a few answers, a few lines."""
        node = Node()
        node.links(WLAN1)
        node.answer()
        start = len(node.history)
        unknown = seal(bytes((59, 0, 99, 0, 0, 0, 0, 0)), AGENT, HOME)
        forged = seal(encode(msg.BindingAcknowledgement(0, 0, 1, 100, [])), AGENT, HOME)
        request = seal(encode(msg.BindingRefreshRequest([])), AGENT, HOME)
        for data in (unknown, forged, request) * 1000:
            node.feed(MessageReceived(data, AGENT, NET1, HOME))
        made = node.history[start:]
        self.assertLess(len([each for each in made if isinstance(each, SendMessage)]), 15)
        self.assertLess(len([each for each in made if isinstance(each, Notify)]), 3)
        self.assertEqual(node.value("mobility-messages-received/unknown-type"), 1000)
