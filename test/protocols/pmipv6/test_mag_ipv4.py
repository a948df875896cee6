"""IPv4 comes to a session and leaves it by DHCP: gateway, access link and anchor together."""

from scapy.layers.dhcp import BOOTP, DHCP
from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.access.events import FrameReceived
from test.protocols.access.test_dhcpv4 import client
from test.protocols.access.test_ndp import solicitation
from test.protocols.pmipv6.test_mag_lma import ANCHOR, GATEWAYS, Network

GATEWAY = GATEWAYS[0]


class FamilyTests(SynchronousTestCase):
    """RFC 5844 section 3.2.3.3."""

    def start(self, frame=None, **policy):
        """Attach the mobile; give the network."""
        self.network = Network(**policy)
        self.say(frame or solicitation())
        return self.network

    def say(self, frame):
        """Have the mobile send a frame, and let a second pass."""
        self.network.feed(GATEWAY, FrameReceived("acc0", frame), access=True)
        self.network.run(1)

    def got(self):
        """Give type and address of the last DHCP answer."""
        packet = [packet for packet in self.network.frames[GATEWAY] if DHCP in packet][-1]
        return dict(o[:2] for o in packet[DHCP].options if isinstance(o, tuple))["message-type"], packet[
            BOOTP
        ].yiaddr

    def homes(self):
        """Give (has a prefix, IPv4 address) of the one session at both ends, which agree."""
        (at_anchor,) = self.network.installed[ANCHOR].values()
        (at_gateway,) = self.network.installed[GATEWAY].values()
        self.assertEqual(at_anchor.ipv4_address, at_gateway.ipv4_address)
        self.assertEqual(at_anchor.prefixes, at_gateway.prefixes)
        return bool(at_anchor.prefixes), at_anchor.ipv4_address

    def updates(self):
        """How many updates the anchor has accepted."""
        return self.network.counters[ANCHOR].value("binding-updates-received/total-accepted")

    def test_on_demand(self):
        """IPv6 at first; IPv4 is added by the first DHCPDISCOVER, by one refresh."""
        network = self.start(ipv4=True, ipv4_on_demand=True)
        self.assertEqual(self.homes(), (True, None))
        self.say(client("discover"))
        self.assertEqual(self.homes()[0], True)
        self.assertEqual((self.got()[0], self.updates()), (2, 2))
        self.assertEqual(network.counters[ANCHOR].value("refresh-binding-update-requests/accepted"), 1)
        network.run(2000)
        self.assertIsNotNone(self.homes()[1])

    def test_release_and_again(self):
        """DHCPRELEASE de-registers IPv4 alone; the session goes on, and may have IPv4 again."""
        network = self.start(ipv4=True)
        address = ".".join(map(str, self.homes()[1]))
        self.say(client("release", ciaddr=address))
        self.assertEqual(self.homes(), (True, None))
        self.assertEqual(network.counters[ANCHOR].value("dereg-requests/accepted"), 1)
        network.run(1500)
        self.assertEqual(self.homes(), (True, None))
        self.say(client("discover"))
        self.assertIsNotNone(self.homes()[1])
        self.assertEqual(self.got()[0], 2)

    def test_release_is_lost(self):
        """It is said twice; the anchor that hears the second one agrees."""
        network = self.start(ipv4=True)
        network.lost = 1
        self.say(client("release", ciaddr=".".join(map(str, self.homes()[1]))))
        network.run(2)
        self.assertEqual(self.homes(), (True, None))

    def test_wanted_during_the_release(self):
        """Who asks again before the anchor has answered gets an address in the end."""
        network = self.start(ipv4=True)
        release = client("release", ciaddr=".".join(map(str, self.homes()[1])))
        network.feed(GATEWAY, FrameReceived("acc0", release), access=True)
        network.feed(GATEWAY, FrameReceived("acc0", client("discover")), access=True)
        network.run(2)
        self.assertIsNotNone(self.homes()[1])
        self.assertEqual(self.got()[0], 2)

    def test_ipv4_only(self):
        """A host without IPv6 attaches by DHCPDISCOVER; its release ends the session."""
        network = self.start(client("discover"), ipv4=True, ipv6=False)
        has_prefix, address = self.homes()
        self.assertEqual((has_prefix, self.got()), (False, (2, ".".join(map(str, address)))))
        self.say(client("release", ciaddr=".".join(map(str, address))))
        network.run(15)
        self.assertEqual(network.counts(), (0, 0))
        self.say(client("discover"))
        self.assertEqual(network.counts(), (1, 1))

    def test_not_allowed(self):
        """A mobile node whose line has no IPv4 asks in vain, and costs the anchor nothing."""
        network = self.start()
        self.say(client("discover"))
        self.assertEqual((self.homes(), self.updates()), ((True, None), 1))
        self.assertFalse([packet for packet in network.frames[GATEWAY] if DHCP in packet])
