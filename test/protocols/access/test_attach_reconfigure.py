"""The access core when links, lines and timers change under attached mobile nodes."""

from attrs import evolve
from scapy.layers.inet6 import ICMPv6ND_RA, IPv6
from scapy.layers.l2 import Ether

from appliance.protocols.access.events import LinkDown, SendFrame
from appliance.protocols.access.ndp import RouterSolicitation
from appliance.protocols.pmipv6.events import Advertise, MobileAttached, MobileDetached, Reconfigure
from appliance.protocols.pmipv6.settings import AccessInterface, MobilePolicy
from test.protocols.access.test_attach import HNP, STRANGER, Base, frame
from test.protocols.access.test_ndp import MN, solicitation

NAI = b"mn1@example.org"


def line(link_layer=MN, mn_id=NAI, interface=""):
    """A mobile-node line."""
    return MobilePolicy(link_layer=link_layer, mn_id=mn_id, interface=interface)


class ChangeTests(Base):
    def change(self, **changes):
        """Give the core its settings with these fields changed; give the effects."""
        self.settings = evolve(self.settings, **changes)
        return self.feed(Reconfigure(self.settings))

    def farewell(self, effects):
        """The first effect tells the mobile that its router and prefix are gone."""
        packet = Ether(effects[0].frame)
        self.assertEqual(packet[ICMPv6ND_RA].routerlifetime, 0)
        self.assertEqual(packet[IPv6].dst, "fe80::5eff:fe10:1")
        return effects[1:]

    def test_nothing(self):
        """The same lines and links: nobody notices."""
        self.attach()
        self.assertEqual(self.change(max_subscribers=5), [])
        self.assertEqual(self.core.mobile_count, 1)

    def test_link_gone(self):
        """The mobile is told and forgotten; frames of the link are none of ours."""
        self.attach()
        self.assertEqual(self.farewell(self.change(access_interfaces=(AccessInterface(name="acc1"),))), [])
        self.assertEqual(self.core.mobile_count, 0)
        self.assertEqual(self.frame(solicitation()), [])
        self.assertEqual(self.frame(solicitation(), "acc1"), [MobileAttached("acc1", MN)])

    def test_link_back(self):
        """A link that was down when it went is not down for ever."""
        both = self.settings.access_interfaces
        self.feed(LinkDown("acc0"))
        self.change(access_interfaces=both[1:])
        self.change(access_interfaces=both)
        self.assertEqual(self.frame(solicitation()), [MobileAttached("acc0", MN)])

    def test_line_gone(self):
        """The mobile is told and forgotten, and unknown from now on."""
        self.attach()
        self.assertEqual(self.farewell(self.change(policies=())), [])
        self.assertEqual(self.core.mobile_count, 0)
        self.assertIn("Unknown", self.frame(solicitation())[0].text)

    def test_other_identity(self):
        """The mobile is still there, as somebody else."""
        self.attach()
        effects = self.farewell(self.change(policies=(line(mn_id=b"mn2@example.org"),)))
        self.assertEqual(effects, [MobileAttached("acc0", MN)])
        self.assertEqual(self.core.mobile_count, 1)

    def test_a_line_is_added(self):
        """Who asked in vain need not ask again."""
        self.frame(frame(RouterSolicitation(), link_layer=STRANGER))
        both = (line(), line(STRANGER, b"new@example.org"))
        self.assertEqual(self.change(policies=both), [MobileAttached("acc0", STRANGER)])
        self.assertEqual(self.core.mobile_count, 1)

    def test_a_line_is_added_for_who_left(self):
        """After the link was down nobody is there."""
        self.frame(frame(RouterSolicitation(), link_layer=STRANGER))
        self.feed(LinkDown("acc0"))
        self.assertEqual(self.change(policies=(line(STRANGER),)), [])

    def test_strangers_are_bounded(self):
        """Made-up addresses do not fill the memory."""
        for number in range(600):
            made_up = bytes.fromhex("02aa0000") + number.to_bytes(2, "big")
            self.frame(frame(RouterSolicitation(), link_layer=made_up))
        self.assertEqual(len(self.core._strangers), 256)

    def test_only_one_by_the_line_for_a_link(self):
        """Two mobiles on one link, now only a line for whoever is there: the first one is."""
        self.change(policies=(line(), line(STRANGER, b"b@example.org")))
        self.frame(solicitation())
        self.frame(frame(RouterSolicitation(), link_layer=STRANGER))
        effects = self.change(policies=(line(b"", NAI, "acc0"),))
        self.assertEqual(effects, [MobileDetached("acc0", STRANGER)])
        self.assertEqual(self.core.mobile_count, 1)

    def test_a_line_of_its_own(self):
        """Who was the one by the link's line gets its own: the link's line is for another one again."""
        self.change(policies=(line(b"", NAI, "acc0"),))
        self.frame(solicitation())
        self.change(policies=(line(), line(b"", b"b@example.org", "acc0")))
        other = frame(RouterSolicitation(), link_layer=STRANGER)
        self.assertEqual(self.frame(other), [MobileAttached("acc0", STRANGER)])

    def test_attached_by_hand(self):
        """A mobile without a line that an operator attached stays."""
        self.feed(Advertise("acc0", STRANGER, HNP, 600, 1460, None))
        self.assertEqual(self.change(policies=()), [])
        self.assertEqual(self.core.mobile_count, 1)

    def test_advertisements(self):
        """Another interval or router lifetime is told at once."""
        self.attach()
        self.until(self.mono + 20)
        self.assertEqual(self.change(router_lifetime=60), [])
        ((_, effect), *_) = self.until(self.mono + 1)
        self.assertIsInstance(effect, SendFrame)
        self.assertEqual(Ether(effect.frame)[ICMPv6ND_RA].routerlifetime, 60)

    def test_reachable_time(self):
        """A shorter time holds for mobiles that are there already."""
        self.attach()
        self.change(reachable_time=5, probe_timeout=1000, probe_count=1)
        found = self.until(self.mono + 8)
        self.assertIn(MobileDetached("acc0", MN), [effect for _, effect in found])
