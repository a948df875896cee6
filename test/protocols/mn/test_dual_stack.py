"""The two cores of DSMIPv6 (RFC 5555) against each other, with a NAT between."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.mipv6.events import SendTunnelled, TunnelledReceived
from appliance.protocols.mn.events import HomeAddress, MessageReceived, SendMessage, Tunnel
from appliance.protocols.mobility.packet import MobilityPacket, build_ipv6
from appliance.protocols.pmipv6.host_settings import Association
from appliance.protocols.pmipv6.settings import Profile
from test.protocols.mipv6.fakes import ALICE, KEY, SPI
from test.protocols.mn.fakes import AGENT, AGENT4, HOME, V4A, WLAN1, WLAN4, Pair
from test.protocols.pmipv6.lma_fakes import packed

OUTSIDE = packed("192.0.2.200")
PROFILE = Profile(name=ALICE.decode(), mn_id=ALICE, ipv4=True, associations=(Association(spi=SPI, key=KEY),))


class NatPair(Pair):
    """A network in which IPv4 goes through a NAT that may give another port; ``nat`` False: there is none."""

    nat, port = True, 40001

    def inward(self, sent: Any) -> Any:
        """Inside UDP as well."""
        if not (isinstance(sent, SendMessage) and sent.outer):
            return super().inward(sent)
        assert (sent.outer, sent.port) == (AGENT4, 4191)
        mh = sent.data[:4] + b"\0\0" + sent.data[6:]
        packet = build_ipv6(MobilityPacket(sent.source, AGENT, mh))
        source, port = (OUTSIDE, self.port) if self.nat else (sent.outer_source, 4191)
        return TunnelledReceived(packet, source, port, AGENT4)

    def outward(self, effect: Any) -> Any:
        """A NAT lets in what goes to the port that it has given."""
        if not isinstance(effect, SendTunnelled):
            return super().outward(effect)
        wanted = (OUTSIDE, self.port) if self.nat else (V4A, 4191)
        if (effect.address, effect.port) != wanted:
            return None
        return MessageReceived(effect.data, effect.source, effect.destination, outer=AGENT4, port=4191)


class BothEndsTests(SynchronousTestCase):
    """What one says the other understands."""

    def pair(self, **changes: Any) -> NatPair:
        """Both of them."""
        return NatPair(agent={"profiles": (PROFILE,)}, **changes)

    def test_behind_a_nat_and_back(self) -> None:
        """IPv6, IPv4 behind a NAT, another port, IPv6: both ends agree on the tunnel all the way."""
        pair = self.pair()
        pair.links(WLAN1)
        pair.run(2)
        self.assertEqual(pair.state, "registered")
        pair.links(WLAN4)
        pair.run(2)
        self.assertEqual(pair.state, "registered")
        entry = pair.bound
        away = entry.extras.host.away
        self.assertEqual((away.port, away.udp, away.nat, away.own), (40001, True, True, V4A))
        tunnel = pair.of(Tunnel, pair.history)[-1]
        self.assertTrue(tunnel.paths[0].udp)
        pair.port = 50000
        pair.run(120)
        # The update that keeps the NAT open has told the new port.
        self.assertEqual(pair.bound.extras.host.away.port, 50000)
        self.assertEqual(pair.state, "registered")
        pair.links(WLAN1)
        pair.run(2)
        self.assertIsNone(pair.bound.extras.host.away)
        self.assertEqual(pair.world.value("binding-acknowledgements-sent/denied"), 0)

    def test_home_addresses_of_both_families(self) -> None:
        """An IPv4 home address of the pool, kept while the node moves."""
        pair = self.pair(ipv4_home=True)
        pair.links(WLAN4)
        pair.run(2)
        address = pair.bound.ipv4_address
        self.assertEqual(address, packed("203.0.113.10"))
        self.assertEqual(pair.of(HomeAddress, pair.history)[-1].ipv4, address)
        pair.links(WLAN1)
        pair.run(2)
        self.assertEqual((pair.bound.ipv4_address, pair.bound.care_of), (address, WLAN1.address))
        pair.command("deregister")
        pair.run(15)
        self.assertIsNone(pair.bound)
        self.assertEqual(pair.world.lma.pools.addresses[0].in_use, 0)

    def test_forced(self) -> None:
        """The node's wish for UDP is granted; or refused by 129, and it goes on without."""
        pair = self.pair(force_udp=True)
        pair.nat = False
        pair.links(WLAN4)
        pair.run(2)
        self.assertTrue(pair.bound.extras.host.away.udp)
        self.assertTrue(pair.of(Tunnel, pair.history)[-1].paths[0].udp)
        pair = NatPair(agent={"profiles": (PROFILE,), "mipv6_udp": "nat-only"}, force_udp=True)
        pair.nat = False
        pair.links(WLAN4)
        pair.run(5)
        self.assertEqual(pair.state, "registered")
        self.assertFalse(pair.bound.extras.host.away.udp)
        self.assertEqual(pair.world.value("binding-acknowledgements-sent/denied"), 1)

    def test_without_a_nat(self) -> None:
        """Neither end puts data into UDP."""
        pair = self.pair()
        pair.nat = False
        pair.links(WLAN4)
        pair.run(2)
        self.assertEqual(pair.state, "registered")
        away = pair.bound.extras.host.away
        self.assertEqual((away.udp, away.nat), (False, False))
        self.assertFalse(pair.of(Tunnel, pair.history)[-1].paths[0].udp)
        self.assertEqual(pair.bound.prefix, HOME)
