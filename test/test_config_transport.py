"""Configuration of IPv4 transport: addresses of either family, and what is found wrong with them."""

from twisted.trial.unittest import SynchronousTestCase

from appliance.config import load, show
from appliance.config_audit import audit

TEXT = """config
  context a
    lma-service l
      bind ipv4-address 198.51.100.1 max-subscribers 5
      mag-peer 198.51.100.0/24
      mag-peer 192.0.2.1
      forced-udp-encapsulation
      no tlv-header
      nat-keepalive 20
      exit
    mag-service m
      bind {bind}
      lma-address 198.51.100.1
      access-interface acc0
      mobile-node 02:00:5e:10:00:01 nai a@b interface acc0 lma 198.51.100.2 ipv4
      force-udp-encapsulation
      tlv-header
      exit
    exit
end
"""


class TransportTests(SynchronousTestCase):
    """Anchor and gateway without an IPv6 address."""

    def test_read_and_shown(self) -> None:
        """What is read is what is shown, and what the services get."""
        text = TEXT.format(bind="ipv4-address 198.51.100.7")
        configuration = load(text, "test")
        shown = [line.strip() for line in show(configuration.tree)]
        self.assertEqual(sorted(shown), sorted(line.strip() for line in text.splitlines()))
        (lma,), (mag,) = configuration.lma_services, configuration.mag_services
        self.assertEqual((lma.bound, lma.address, lma.ipv4_address), (True, b"", bytes((198, 51, 100, 1))))
        self.assertEqual([(len(peer.address), peer.prefix_length) for peer in lma.peers], [(4, 24), (4, 32)])
        self.assertEqual((lma.tlv, lma.nat_keepalive), (False, 20))
        self.assertEqual((mag.bound, mag.address, mag.lma), (True, b"", bytes((198, 51, 100, 1))))
        self.assertEqual((mag.force_udp_encapsulation, mag.tlv, mag.nat_keepalive), (True, True, 110))
        self.assertEqual(mag.policies[0].lma, bytes((198, 51, 100, 2)))
        self.assertFalse([each for each in audit(configuration) if "address" in each.text])

    def test_no_way_to_the_anchor(self) -> None:
        """A gateway without an address of its anchor's family is found."""
        configuration = load(TEXT.format(bind="address 2001:db8::7"), "test")
        found = [each.text for each in audit(configuration) if "m has no" in each.text]
        self.assertEqual(found, ["mag-service m has no IPv4 address to reach its IPv4 LMA from"])
