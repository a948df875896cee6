"""What a home agent tells by itself: RFC 5846, RFC 5142, RFC 6275 sections 11.3.5, 11.3.6, 11.4, 11.7.4."""

from struct import pack
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.bits import internet_checksum, pseudo_header
from appliance.protocols.mn.events import IcmpReceived, MessageReceived, RemoveTunnel, SendIcmp, SendMessage
from appliance.protocols.mobility import messages as msg
from appliance.protocols.mobility import options as opt
from appliance.protocols.mobility import status as codes
from appliance.protocols.mobility.codec import decode, encode, seal
from test.protocols.mipv6.fakes import HOME, KEY, SPI, mn_ha
from test.protocols.mn.fakes import AGENT, AGENT2, LTE, NET1, WLAN1, WLAN2, Node
from test.protocols.pmipv6.lma_fakes import packed


class Told(Node):
    """A registered node that its home agent says something to."""

    def __init__(self, **changes: Any) -> None:
        super().__init__(**changes)
        self.links(WLAN1)
        self.answer()

    def tell(self, message: Any, key: bytes | None = KEY, source: bytes = AGENT) -> list[Any]:
        """Give the node a message by routing header; returns the effects."""
        if key is not None:
            message.options.append(opt.Authentication(1, SPI, bytes(12)))
        mh = encode(message)
        if key is not None:
            mh = mh[:-12] + mn_ha(mh, NET1, HOME, key)
        return self.feed(MessageReceived(seal(mh, source, HOME), source, NET1, HOME))

    def revoke(self, trigger: int = 1, flags: int = 0, *options: Any, **how: Any) -> int | None:
        """Revoke; returns the status of the answer."""
        self.tell(msg.BindingRevocationIndication(trigger, 7, flags, list(options)), **how)
        for sent in self.of(SendMessage):
            answer, faults = decode(sent.data)
            if isinstance(answer, msg.BindingRevocationAcknowledgement):
                assert not faults and sent.home == HOME and answer.sequence == 7
                assert sent.data[-12:] == mn_ha(sent.data, sent.source, HOME, KEY)
                return answer.status
        return None


class RevocationTest(SynchronousTestCase):
    """RFC 5846 section 10."""

    def test_accepted(self) -> None:
        """The binding is forgotten, and not made anew for a while."""
        node = Told()
        self.assertEqual(node.revoke(), codes.REVOKED)
        self.assertIn(RemoveTunnel(), node.effects)
        self.assertEqual(node.updates(node.pass_time(59)), [])
        self.assertEqual(len(node.updates(node.pass_time(1.4))), 1)

    def test_repeated(self) -> None:
        """The answer may have been lost: the same indication gets it again."""
        node = Told()
        node.revoke()
        self.assertEqual(node.revoke(), codes.REVOKED)
        self.assertEqual(node.value("registration/revoked"), 1)

    def test_strangers(self) -> None:
        """Without the key, from another node, to another address: no answer."""
        node = Told()
        self.assertIsNone(node.revoke(key=None))
        self.assertIsNone(node.revoke(key=bytes(16)))
        self.assertIsNone(node.revoke(source=AGENT2))
        self.assertEqual(node.state, "registered")

    def test_refused(self) -> None:
        """135, 133, 134, 129, 128."""
        node = Told()
        self.assertEqual(node.revoke(1, msg.BR_P), codes.PROXY_BINDING_REVOCATION_NOT_SUPPORTED)
        self.assertEqual(node.revoke(99), codes.REVOCATION_TRIGGER_NOT_SUPPORTED)
        self.assertEqual(node.revoke(128, msg.BR_G), codes.REVOCATION_FUNCTION_NOT_SUPPORTED)
        self.assertEqual(node.revoke(1, msg.BR_V), codes.IPV4_HOME_ADDRESS_OPTION_REQUIRED)
        other = opt.IPv4HomeAddress(32, 0, packed("203.0.113.9"))
        self.assertEqual(node.revoke(1, msg.BR_V, other), codes.BINDING_DOES_NOT_EXIST)
        self.assertEqual(node.state, "registered")
        self.assertEqual(node.value("binding-revocation/refused"), 5)

    def test_ipv4_only(self) -> None:
        """The IPv6 binding goes on, the IPv4 address is not asked for again."""
        node = Node(ipv4_home=True)
        node.__class__ = Told
        node.links(WLAN1)
        address = packed("203.0.113.9")
        node.answer(options=[opt.IPv4AddressAcknowledgement(0, 32, address)])
        assert isinstance(node, Told)
        self.assertEqual(node.revoke(1, msg.BR_V, opt.IPv4HomeAddress(32, 0, address)), codes.REVOKED)
        self.assertEqual(node.node.report(node.now).home_ipv4, b"")
        node.command("refresh")
        self.assertFalse(any(isinstance(each, opt.IPv4HomeAddress) for each in node.updates()[0].options))

    def test_some_of_several(self) -> None:
        """The care-of addresses that are named."""
        node = Node(multiple_care_of=True)
        node.__class__ = Told
        node.links(WLAN1, LTE)
        node.answer(options=[opt.BindingIdentifier(1, 0, 0), opt.BindingIdentifier(2, 0, 0)])
        assert isinstance(node, Told)
        self.assertEqual(node.revoke(1, 0, opt.BindingIdentifier(2, 0, 0)), codes.REVOKED)
        left = [each.bid for each in node.node.report(node.now).registrations if each.state == "registered"]
        self.assertEqual(left, [1])
        self.assertEqual(node.revoke(1, 0, opt.BindingIdentifier(9, 0, 0)), codes.BINDING_DOES_NOT_EXIST)


class SwitchTest(SynchronousTestCase):
    """RFC 5142."""

    def test_to_another(self) -> None:
        """De-registration is the answer; then the first one of the list is asked."""
        node = Told()
        node.tell(msg.HomeAgentSwitch([AGENT2], []))
        (update,) = node.updates()
        self.assertEqual((update.lifetime, node.of(SendMessage)[0].destination), (0, AGENT))
        node.answer(lifetime=0)
        self.assertEqual(node.of(SendMessage)[0].destination, AGENT2)
        node.answer()
        self.assertEqual(node.node.report(node.now).home_agent, AGENT2)

    def test_order(self) -> None:
        """Section 6.2: home agents of our home prefix first."""
        near = packed("2001:db8:100::1")
        node = Told()
        node.tell(msg.HomeAgentSwitch([AGENT2, near], []))
        node.answer(lifetime=0)
        self.assertEqual(node.of(SendMessage)[0].destination, near)

    def test_not_authentic(self) -> None:
        """Else anyone could send us anywhere."""
        node = Told()
        node.tell(msg.HomeAgentSwitch([AGENT2], []), key=None)
        self.assertEqual(node.effects, [])


class AskedTest(SynchronousTestCase):
    """Binding Refresh Request, Binding Error, ICMPv6."""

    def test_refresh_request(self) -> None:
        """RFC 6275 section 11.7.4: from our home agent only."""
        node = Told()
        node.tell(msg.BindingRefreshRequest([]), key=None, source=AGENT2)
        self.assertEqual(node.updates(), [])
        node.tell(msg.BindingRefreshRequest([]), key=None)
        self.assertEqual(len(node.updates()), 1)

    def test_unknown_binding(self) -> None:
        """RFC 6275 section 11.3.6: status 1 of the home agent has an update sent."""
        node = Told()
        node.tell(msg.BindingError(codes.BE_UNKNOWN_BINDING, HOME, []), key=None)
        self.assertEqual(len(node.updates()), 1)
        self.assertEqual(node.of(RemoveTunnel), [])

    def test_errors_of_strangers(self) -> None:
        """MUST be ignored."""
        node = Told()
        node.tell(msg.BindingError(codes.BE_UNKNOWN_BINDING, HOME, []), key=None, source=AGENT2)
        self.assertEqual(node.effects, [])
        self.assertEqual(node.value("mobility-messages-ignored/binding-error"), 1)

    def test_no_home_agent(self) -> None:
        """RFC 6275 section 11.3.5: it does not know the Mobility Header, and quotes our update."""
        node = Node(home_agents=(AGENT2,))
        node.links(WLAN1)
        (sent,) = node.of(SendMessage)
        option = bytes((135, 2, 1, 2, 0, 0, 0xC9, 16)) + HOME
        quoted = pack(">IHBB", 6 << 28, len(option + sent.data), 60, 64) + NET1 + AGENT + option + sent.data
        node.feed(IcmpReceived(pack(">BBHI", 4, 1, 0, 40) + quoted[:-40], AGENT, NET1))
        self.assertEqual(node.of(SendMessage)[0].destination, AGENT2)
        wrong = quoted.replace(sent.data[6:8], b"\xee\xee")
        node.feed(IcmpReceived(pack(">BBHI", 4, 1, 0, 40) + wrong, AGENT2, NET1))
        self.assertEqual(node.effects, [])


class DiscoveryTest(SynchronousTestCase):
    """RFC 6275 section 11.4.1."""

    def setUp(self) -> None:
        """A node that knows its home address only."""
        self.node = Node(home_agent=b"", home_agent_ipv4=None)
        self.node.links(WLAN1)
        (self.request,) = self.node.of(SendIcmp)

    def reply(self, *agents: bytes, identifier: bytes | None = None) -> None:
        """A reply to the last request."""
        head = b"\x91\0\0\0" + (identifier or self.request.data[4:6]) + b"\0\0"
        self.node.feed(IcmpReceived(head + b"".join(agents), AGENT, NET1))

    def test_request(self) -> None:
        """To the anycast address of RFC 2526, with a right checksum."""
        self.assertEqual(self.request.destination, packed("2001:db8:100::fdff:ffff:ffff:fffe"))
        self.assertEqual(self.request.source, NET1)
        pseudo = pseudo_header(NET1, self.request.destination, 8, 58)
        self.assertEqual(internet_checksum(pseudo + self.request.data), 0)
        self.assertEqual(self.node.state, "discovering")

    def test_repeated(self) -> None:
        """Section 12: 3 s, doubling, 4 repetitions; later all of it again."""
        sent = self.node.of(SendIcmp, self.node.pass_time(95))
        self.assertEqual(len(sent), 4)
        sent = self.node.of(SendIcmp, self.node.pass_time(150))
        self.assertGreaterEqual(len(sent), 1)

    def test_reply(self) -> None:
        """The home agents in the order of the list."""
        self.reply(AGENT2, AGENT)
        self.assertEqual(self.node.of(SendMessage)[0].destination, AGENT2)
        self.node.answer(codes.INSUFFICIENT_RESOURCES)
        self.assertEqual(self.node.of(SendMessage)[0].destination, AGENT)

    def test_other_identifier(self) -> None:
        """A reply to nothing is ignored."""
        self.reply(AGENT2, identifier=b"\x12\x34")
        self.assertEqual(self.node.effects, [])
        self.assertEqual(self.node.value("discovery/ignored"), 1)

    def test_empty_list(self) -> None:
        """The one that replies is a home agent."""
        self.reply()
        self.assertEqual(self.node.of(SendMessage)[0].destination, AGENT)

    def test_none_of_them_answers(self) -> None:
        """Discovery begins anew."""
        self.reply(AGENT)
        self.node.pass_time(100)
        self.assertGreater(len(self.node.of(SendIcmp)), 1)


class PrefixTest(SynchronousTestCase):
    """RFC 6275 sections 11.4.2 and 11.4.3."""

    def advertise(self, node: Node, valid: int, **what: Any) -> None:
        """The home agent tells the home prefix."""
        prefix = pack(">BBBBIII", 3, 4, 64, 0xC0, valid, valid, 0) + packed("2001:db8:100::")
        (sent,) = [each for each in node.history if isinstance(each, SendIcmp)][-1:]
        data = b"\x93\0\0\0" + what.get("identifier", sent.data[4:6]) + b"\0\0" + prefix
        node.feed(IcmpReceived(data, what.get("source", AGENT), NET1, what.get("home", HOME)))

    def test_asked(self) -> None:
        """After the registration, with the Home Address option; the lifetime is limited by the answer."""
        node = Told(prefix_discovery=True)
        (sent,) = node.of(SendIcmp, node.history)
        self.assertEqual((sent.source, sent.destination, sent.home), (NET1, AGENT, HOME))
        self.assertEqual(internet_checksum(pseudo_header(HOME, AGENT, 8, 58) + sent.data), 0)
        self.advertise(node, 200)
        self.assertEqual(node.node.report(node.now).prefixes, ((packed("2001:db8:100::"), 64, 200),))
        node.command("refresh")
        self.assertEqual(node.updates()[0].lifetime, 50)
        self.assertEqual(len(node.of(SendIcmp, node.pass_time(102))), 1)

    def test_wanted_by_the_home_agent(self) -> None:
        """Status 1."""
        node = Node()
        node.links(WLAN1)
        node.answer(codes.ACCEPTED_PREFIX_DISCOVERY_NECESSARY)
        self.assertEqual(len(node.of(SendIcmp)), 1)

    def test_not_asked_for(self) -> None:
        """An unsolicited one is discarded, but makes us ask."""
        node = Told()
        self.assertEqual(node.of(SendIcmp, node.history), [])
        data = b"\x93\0\0\0\x01\x02\0\0"
        node.feed(IcmpReceived(data, AGENT2, NET1, HOME))
        self.assertEqual(node.pass_time(5), [])
        node.feed(IcmpReceived(data, AGENT, NET1, HOME))
        self.assertEqual(len(node.of(SendIcmp, node.pass_time(2))), 1)

    def test_repeated(self) -> None:
        """Section 11.8: from 3 s on, doubling; not for ever."""
        node = Told(prefix_discovery=True)
        self.assertEqual(len(node.of(SendIcmp, node.pass_time(47))), 4)

    def test_on_the_way(self) -> None:
        """The answer counts after a movement too."""
        node = Told(prefix_discovery=True)
        node.links(WLAN2)
        node.answer()
        self.advertise(node, 145)
        self.assertEqual(node.value("discovery/prefix-advertisements"), 1)
