"""A gateway whose settings change while sessions last."""

from attrs import evolve

from appliance.protocols.mobility import options as opt
from appliance.protocols.pmipv6.events import Advertise, MobileAttached, Reconfigure, Remove, Send, Withdraw
from appliance.protocols.pmipv6.mag_entry import ACTIVE, DEREGISTERING, REGISTERING
from appliance.protocols.pmipv6.settings import AccessInterface, MobilePolicy
from test.protocols.pmipv6.mag_fakes import LMA_ADDRESS, MN, NAI, MagTestCase, of, one, prefixes

OTHER_LMA = LMA_ADDRESS[:-1] + b"\x02"
OTHER_MN = bytes.fromhex("02005e100002")


class ChangeTests(MagTestCase):
    def change(self, **changes):
        """Give the core its settings with these fields changed; give the effects."""
        new = evolve(self.settings, **changes)
        preview = list(self.core.affected(new))
        states = [entry.state for entry in self.core.sessions()]
        effects = self.feed(Reconfigure(new))
        after = [entry for entry in self.core.sessions() if entry.state != DEREGISTERING]
        self.assertEqual(sum(preview), sum(state != DEREGISTERING for state in states) - len(after))
        self.settings = new
        return effects

    def left(self, effects):
        """Check that the session is de-registered and no longer forwarded for."""
        self.assertEqual(self.request(effects).lifetime, 0)
        self.assertEqual([type(e) for e in effects if isinstance(e, (Remove, Withdraw))], [Remove, Withdraw])
        self.assertEqual(self.count("total-disconnects/admin-drops"), 1)

    def test_timers(self):
        """Nothing is sent for other numbers; the next refresh asks by them."""
        self.session()
        self.assertEqual(self.change(reg_lifetime=100, renew_percent_time=50), [])
        found = self.until(1000)
        request = self.request([effect for _, effect in found[:1]])
        self.assertEqual(request.lifetime, 25)

    def test_interface_gone(self):
        """The sessions of a link that is none any more are de-registered; others stay."""
        self.session()
        self.left(self.change(access_interfaces=(AccessInterface(name="acc1"),)))

    def test_other_interface_gone(self):
        """A link without sessions ends none."""
        self.session()
        self.assertEqual(self.change(access_interfaces=(AccessInterface(name="acc0", technology=9),)), [])
        self.assertEqual(self.entry().technology, 4)

    def test_line_gone(self):
        """A mobile node without a line is de-registered."""
        self.session()
        self.left(self.change(policies=(MobilePolicy(link_layer=OTHER_MN, mn_id=NAI),)))

    def test_other_identity(self):
        """A line with another identifier is another mobile node."""
        self.session()
        self.left(self.change(policies=(MobilePolicy(link_layer=MN, mn_id=b"mn2@example.org"),)))
        request = self.attach()
        self.assertEqual(one(request, opt.MobileNodeIdentifier).identifier, b"mn2@example.org")

    def test_line_changed(self):
        """The session stays; what the line says now is asked for at the next refresh."""
        self.session()
        line = MobilePolicy(link_layer=MN, mn_id=NAI, ipv4=True, service=b"net", interface="acc0")
        self.assertEqual(self.change(policies=(line,)), [])
        self.assertIs(self.entry().policy, line)
        found = self.until(1000)
        request = self.request([effect for _, effect in found[:1]])
        self.assertEqual(len(of(request, opt.IPv4HomeAddressRequest)), 1)
        self.assertEqual(one(request, opt.ServiceSelection).identifier, b"net")

    def test_any_takes_over(self):
        """A line for whoever is on the link, with the same identifier, is as good."""
        self.session()
        line = MobilePolicy(link_layer=b"", mn_id=NAI, interface="acc0")
        self.assertEqual(self.change(policies=(line,)), [])

    def test_attached_by_hand(self):
        """Who was attached without a line stays without one; with one it goes with it."""
        self.session()
        self.attach(MobileAttached("acc1", OTHER_MN, b"guest@example.org"))
        self.assertEqual(self.change(reg_lifetime=100), [])
        self.assertEqual(len(list(self.core.sessions())), 2)
        guest = next(e for e in self.core.sessions() if e.mn_id != NAI)
        self.attach(MobileAttached("acc1", OTHER_MN, NAI))
        self.change(policies=())
        self.assertEqual(guest.state, REGISTERING)
        hand = next(e for e in self.core.sessions() if e.mn_id == NAI and e.link_layer == OTHER_MN)
        self.assertEqual(hand.state, DEREGISTERING)

    def test_lma_address(self):
        """A session stays where it is registered; a new attachment goes to the new anchor."""
        self.session()
        self.assertEqual(self.change(lma=OTHER_LMA), [])
        self.assertEqual((self.entry().state, self.entry().lma), (ACTIVE, LMA_ADDRESS))

    def test_lma_address_while_nobody_answers(self):
        """A mobile node that has no session yet asks the new anchor at once."""
        self.attach()
        (sent,) = self.change(lma=OTHER_LMA)
        self.assertEqual((type(sent), sent.destination), (Send, OTHER_LMA))
        self.until(1000)
        self.assertEqual(self.entry().lma, OTHER_LMA)
        (sent,) = self.change(lma=LMA_ADDRESS)
        self.assertEqual(sent.destination, LMA_ADDRESS)
        self.answer(self.request([sent]))
        self.assertEqual(self.entry().state, ACTIVE)

    def test_refused_before(self):
        """What an anchor refused is asked again when the line changes."""
        request = self.attach()
        self.answer(request, status=152)
        self.assertEqual(self.feed(MobileAttached("acc0", MN)), [])
        self.change(policies=(MobilePolicy(link_layer=MN, mn_id=NAI, service=b"net"),))
        self.assertEqual(self.entry().state, "waiting")
        self.feed(MobileAttached("acc0", MN, NAI))
        self.assertEqual(self.entry().state, REGISTERING)

    def test_path_mtu(self):
        """The mobile nodes are told the new MTU."""
        self.session()
        (effect,) = self.change(path_mtu=1400)
        self.assertEqual((type(effect), effect.mtu), (Advertise, 1360))

    def test_encapsulation(self):
        """The form of the tunnel is agreed at attachment."""
        self.session()
        self.assertEqual(self.change(encapsulation="gre"), [])
        self.assertFalse(self.entry().gre_wanted)
        self.feed(MobileAttached("acc0", OTHER_MN, b"new@example.org"))
        self.assertTrue(next(e for e in self.core.sessions() if e.link_layer == OTHER_MN).gre_wanted)

    def test_leaving(self):
        """Who is being de-registered goes on being so."""
        self.session()
        self.change(policies=())
        self.assertEqual(self.change(policies=(MobilePolicy(link_layer=MN, mn_id=NAI),)), [])
        self.assertEqual(self.entry().state, DEREGISTERING)
        self.assertEqual(prefixes(self.attach()), ((bytes(16), 0),))
