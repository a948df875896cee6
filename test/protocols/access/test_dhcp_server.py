"""The DHCP server on the access links, by frames in and frames out."""

from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.l2 import ARP, Ether

from appliance.counters import MAG, CounterSet
from appliance.protocols.access import arp
from appliance.protocols.access.attach import AccessLink
from appliance.protocols.access.events import DhcpRelayed, RelayDhcp, SendFrame
from appliance.protocols.pmipv6.events import (
    AddressReleased,
    AddressWanted,
    Advertise,
    Notify,
    Withdraw,
)
from appliance.protocols.pmipv6.settings import AccessInterface, MagSettings, MobilePolicy
from test.protocols.access.test_attach import HNP, MN, Base
from test.protocols.access.test_dhcpv4 import HOME, ROUTER, client

OWN, SERVER = bytes((198, 51, 100, 161)), bytes((198, 51, 100, 67))
WANTED, RELEASED = AddressWanted("acc0", MN), AddressReleased("acc0", MN)


class DhcpCase(Base):
    """One mobile node with a DHCP client."""

    def setUp(self):
        """Make a core with names to tell."""
        self.counters = CounterSet(MAG)
        self.settings = MagSettings(
            name="mag1",
            access_interfaces=(AccessInterface(name="acc0"),),
            policies=(MobilePolicy(link_layer=MN, mn_id=b"mn1@example.org", ipv4=True),),
            dhcp_dns_servers=(bytes((192, 0, 2, 53)), bytes((192, 0, 2, 54))),
            dhcp_domain_name="example.org",
            ipv4_address=OWN,
            dhcp_relay_server=SERVER,
        )
        self.core = AccessLink(self.settings, self.counters)
        self.mono = 1000.0

    def assigned(self, prefixes=HNP, address=HOME, server=True):
        """Tell what the anchor has assigned; give what the client gets."""
        event = Advertise("acc0", MN, prefixes, 600, 1460, ROUTER, address, 24, server)
        return self.answers(self.feed(event))

    def answers(self, effects):
        """Give (message type, options, BOOTP) of the DHCP answers among effects."""
        found = []
        for effect in effects:
            packet = Ether(effect.frame) if isinstance(effect, SendFrame) else Ether()
            if DHCP in packet:
                options = {o[0]: o[1:] for o in packet[DHCP].options if isinstance(o, tuple)}
                found.append((options["message-type"][0], options, packet[BOOTP]))
        return found

    def say(self, *arguments, **fields):
        """Send a client's message; give the answers."""
        return self.answers(self.frame(client(*arguments, **fields)))


class LeaseTests(DhcpCase):
    """From the first message to the release."""

    def test_offer_after_the_anchor(self):
        """RFC 5844 section 3.4.3: the client triggers signalling, and its offer waits for the anchor."""
        self.assertEqual(self.frame(client("discover")), [WANTED])
        ((kind, options, bootp),) = self.assigned()
        self.assertEqual((kind, bootp.yiaddr), (2, "203.0.113.10"))
        self.assertEqual(options["subnet_mask"], ("255.255.255.0",))
        self.assertEqual((options["router"], options["server_id"]), (("203.0.113.1",), ("203.0.113.1",)))
        self.assertEqual(options["interface-mtu"], (1460,))
        self.assertEqual(options["name_server"], ("192.0.2.53", "192.0.2.54"))
        self.assertEqual(options["domain"], (b"example.org",))
        self.assertEqual(options["lease_time"], (3600,))
        self.assertEqual((options["renewal_time"], options["rebinding_time"]), ((1800,), (3150,)))
        self.assertEqual(self.assigned(), [])

    def test_too_late(self):
        """Who asked long ago has asked again since, or is gone."""
        self.frame(client("discover"))
        self.mono += 11
        self.assertEqual(self.assigned(), [])

    def test_selecting_and_renewing(self):
        """A choice, a renewal and a reboot with the assigned address are confirmed."""
        self.frame(client("discover"))
        self.assigned()
        chosen = [("server_id", "203.0.113.1"), ("requested_addr", "203.0.113.10")]
        for fields in (
            {"options": chosen},
            {"options": [("requested_addr", "203.0.113.10")]},
            {"ciaddr": "203.0.113.10"},
        ):
            ((kind, options, bootp),) = self.say("request", **fields)
            self.assertEqual((kind, bootp.yiaddr), (5, "203.0.113.10"))
            self.assertIn("lease_time", options)
        self.assertEqual(self.counters.value("dhcp/ack-sent"), 3)

    def test_another_address(self):
        """RFC 5844 section 3.4.1: what the anchor has not assigned is refused, to everybody's address."""
        self.frame(client("discover"))
        self.assigned()
        for fields in ({"ciaddr": "203.0.113.99"}, {"options": [("requested_addr", "198.51.100.7")]}):
            ((kind, options, bootp),) = self.say("request", **fields)
            self.assertEqual((kind, bootp.yiaddr), (6, "0.0.0.0"))
            self.assertNotIn("lease_time", options)
        self.assertEqual(self.counters.value("dhcp/nak-sent"), 2)

    def test_another_server(self):
        """A client that chose another server's offer is left alone."""
        self.frame(client("discover"))
        self.assigned()
        options = [("server_id", "192.0.2.1"), ("requested_addr", "203.0.113.10")]
        self.assertEqual(self.say("request", options=options), [])
        self.assertEqual(self.counters.value("dhcp/ignored"), 1)

    def test_reboot_before_the_anchor(self):
        """A client that remembers its address waits like one that asks for any."""
        asked = client("request", options=[("requested_addr", "203.0.113.10")])
        self.assertEqual(self.frame(asked), [WANTED])
        self.assertEqual([kind for kind, _, _ in self.assigned()], [5])

    def test_release(self):
        """The address goes back; one that is not its own does not."""
        self.frame(client("discover"))
        self.assigned()
        self.assertEqual(self.frame(client("release", ciaddr="203.0.113.11")), [])
        self.assertEqual(self.frame(client("release", ciaddr="203.0.113.10")), [RELEASED])

    def test_decline(self):
        """An address in use is given back, and an operator hears of it once."""
        self.frame(client("discover"))
        self.assigned()
        bad = client("decline", options=[("requested_addr", "203.0.113.10")])
        first, second = self.frame(bad)
        self.assertEqual((type(first), second), (Notify, RELEASED))
        self.assertEqual(self.frame(bad), [RELEASED])

    def test_inform(self):
        """Parameters without lease and address."""
        self.frame(client("discover"))
        self.assigned()
        ((kind, options, bootp),) = self.say("inform", ciaddr="203.0.113.10")
        self.assertEqual((kind, bootp.yiaddr), (5, "0.0.0.0"))
        self.assertNotIn("lease_time", options)
        self.assertEqual(self.say("inform", ciaddr="203.0.113.11"), [])

    def test_nothing_to_assign(self):
        """Without IPv4 from the anchor nothing is offered (RFC 5844 section 3.4.3)."""
        self.feed(Advertise("acc0", MN, HNP, 600, 1460))
        self.assertEqual(self.frame(client("discover")), [WANTED])
        self.feed(Withdraw("acc0", MN, HNP))
        self.assertEqual(self.frame(client("discover")), [WANTED])

    def test_strangers_and_relays(self):
        """Who has no line gets nothing; neither does a relay agent on a point-to-point link."""
        stranger = bytes.fromhex("02005e999999")
        (notice,) = self.frame(client("discover", link_layer=stranger))
        self.assertIn("no mobile-node line", notice.text)
        self.assertEqual(self.frame(client("discover", giaddr="192.0.2.9")), [])
        self.assertEqual(self.frame(client("ack")), [])
        self.assertEqual(self.counters.value("dhcp/ignored"), 2)


class ProxyArpTests(DhcpCase):
    """RFC 5844 section 3.2.4."""

    def ask(self, target, sender=HOME):
        """Send an ARP request; tell who it is answered for."""
        message = arp.Arp(arp.REQUEST, MN, sender, bytes(6), target)
        return [Ether(effect.frame)[ARP].psrc for effect in self.frame(arp.build(message))]

    def test_home_subnet(self):
        """Others of the home subnet are reached through the gateway; itself and probes get no answer."""
        self.frame(client("discover"))
        self.assigned()
        self.assertEqual(self.ask(bytes((203, 0, 113, 77))), ["203.0.113.77"])
        self.assertEqual(self.ask(ROUTER), ["203.0.113.1"])
        self.assertEqual(self.ask(ROUTER, bytes(4)), ["203.0.113.1"])
        self.assertEqual(self.ask(HOME), [])
        self.assertEqual(self.ask(HOME, bytes(4)), [])
        self.assertEqual(self.ask(bytes((203, 0, 113, 77)), bytes(4)), [])
        self.assertEqual(self.ask(bytes((198, 51, 100, 1))), [])


class RelayTests(DhcpCase):
    """RFC 5844 section 3.4.2: the anchor wants no DHCP server here."""

    def start(self):
        """Attach by a DHCPDISCOVER; give what goes to the server."""
        self.frame(client("discover"))
        (effect,) = self.feed(Advertise("acc0", MN, HNP, 600, 1460, ROUTER, HOME, 24, False))[1:]
        self.assertIsInstance(effect, RelayDhcp)
        self.assertEqual(effect.server, SERVER)
        return BOOTP(effect.data)

    def reply(self, kind, source=SERVER, **fields):
        """Have the server answer; give what the client gets."""
        message = BOOTP(op=2, chaddr=fields.pop("chaddr", MN), giaddr="198.51.100.161", xid=0x1234, **fields)
        data = bytes(message / DHCP(options=[("message-type", kind), (82, b"\1\1x"), "end"]))
        return self.answers(self.feed(DhcpRelayed(data, source)))

    def test_there_and_back(self):
        """The request has our address, the hop and option 82; the answer has none of that any more."""
        sent = self.start()
        self.assertEqual((sent.giaddr, sent.hops, sent.xid), ("198.51.100.161", 1, 0x1234))
        options = {o[0]: o[1] for o in sent[DHCP].options if isinstance(o, tuple)}
        self.assertEqual(options["relay_agent_information"], b"\2\4" + HOME + b"\5\4\xcb\0\x71\0")
        ((kind, options, bootp),) = self.reply("offer", yiaddr="203.0.113.10")
        self.assertEqual((kind, bootp.yiaddr, bootp.giaddr), (2, "203.0.113.10", "0.0.0.0"))
        self.assertNotIn("relay_agent_information", options)
        self.assertEqual(self.counters.value("dhcp/relayed-to-client"), 1)

    def test_another_address(self):
        """An offer, or a request, of what the anchor has not assigned goes no further."""
        self.start()
        self.assertEqual(self.reply("offer", yiaddr="203.0.113.99"), [])
        self.assertEqual(self.say("request", options=[("requested_addr", "203.0.113.99")]), [])
        self.assertEqual(self.counters.value("dhcp/ignored"), 2)

    def test_release(self):
        """The server and the anchor both get the address back."""
        self.start()
        server, anchor = self.frame(client("release", ciaddr="203.0.113.10"))
        self.assertEqual((type(server), anchor), (RelayDhcp, RELEASED))

    def test_strangers(self):
        """Answers of others, for others, and rubbish are counted."""
        self.start()
        self.assertEqual(self.reply("offer", source=OWN, yiaddr="203.0.113.10"), [])
        self.assertEqual(self.reply("offer", chaddr=b"\2\0\0\0\0\1", yiaddr="203.0.113.10"), [])
        self.assertEqual(self.feed(DhcpRelayed(b"rubbish", SERVER)), [])
        self.assertEqual(self.counters.value("dhcp/ignored"), 3)

    def test_not_configured(self):
        """Without a server to relay to, an operator hears of it."""
        self.settings.dhcp_relay_server = None
        self.frame(client("discover"))
        effects = self.feed(Advertise("acc0", MN, HNP, 600, 1460, ROUTER, HOME, 24, False))
        self.assertIn("DHCP relay", effects[-1].text)
