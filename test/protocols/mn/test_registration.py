"""Home registration: RFC 6275 sections 11.5 to 11.8, RFC 4285, against answers made by hand."""

from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.mn.events import (
    AtHome,
    HomeAddress,
    Link,
    MessageReceived,
    Notify,
    Path,
    RemoveTunnel,
    SendMessage,
    Tunnel,
)
from appliance.protocols.mn.settings import MobileInterface
from appliance.protocols.mobility import messages as msg
from appliance.protocols.mobility import options as opt
from appliance.protocols.mobility import status as codes
from appliance.protocols.mobility.codec import decode, encode, seal
from test.protocols.mipv6.fakes import ALICE, HOME
from test.protocols.mn.fakes import (
    AGENT,
    AGENT2,
    AT_HOME,
    LTE,
    NET1,
    NET2,
    WLAN1,
    WLAN2,
    Node,
)
from test.protocols.pmipv6.lma_fakes import packed


class FirstTest(SynchronousTestCase):
    """The first registration."""

    def setUp(self) -> None:
        """A node that has just come into a network."""
        self.node = Node()
        self.node.links(WLAN1)

    def test_update(self) -> None:
        """RFC 6275 section 11.7.1: A and H, the home address in its option, from the care-of address."""
        (sent,) = self.node.of(SendMessage)
        self.assertEqual((sent.source, sent.destination, sent.home), (NET1, AGENT, HOME))
        (update,) = self.node.updates()
        self.assertEqual((update.flags, update.lifetime), (msg.BU_A | msg.BU_H, 150))
        self.assertEqual(update.options[0], opt.MobileNodeIdentifier(1, ALICE))

    def test_accepted(self) -> None:
        """The tunnel and the home address follow the acknowledgement."""
        self.node.answer()
        path = Path("wlan0", NET1, AGENT)
        self.assertEqual(self.node.effects, [HomeAddress(HOME), Tunnel(HOME, None, (), (path,))])
        self.assertEqual(self.node.state, "registered")

    def test_retransmissions(self) -> None:
        """RFC 6275 section 11.8: 1.5 s at first, doubling up to 32 s; each with a new number."""
        start = self.node.mono
        times, numbers = [], []
        while len(times) < 7:
            deadline = self.node.node.deadline
            assert deadline is not None
            if not self.node.updates(self.node.pass_time(deadline - self.node.mono)):
                continue
            times.append(self.node.mono - start)
            numbers.append(self.node.updates()[0].sequence)
        self.assertEqual(times, [1.5, 4.5, 10.5, 22.5, 46.5, 78.5, 110.5])
        self.assertEqual([number - numbers[0] for number in numbers], list(range(7)))
        self.assertEqual(self.node.value("binding-update-sent/initial-re-xmit"), 7)

    def test_answer_to_an_earlier_transmission(self) -> None:
        """The way may take longer than the time-out: any outstanding update can be answered."""
        (first,) = self.node.of(SendMessage)
        self.node.pass_time(5)
        self.node.answer(sent=first)
        self.assertEqual(self.node.state, "registered")
        # RFC 6275 section 11.7.3: counted from the transmission that was answered.
        (shown,) = self.node.node.report(self.node.now).registrations
        self.assertEqual(shown.expires, 595)

    def test_less_than_asked_for(self) -> None:
        """The granted lifetime counts, and the refresh comes before it ends."""
        self.node.answer(lifetime=10)
        self.node.pass_time(29.9)
        self.assertEqual(self.node.updates(), [])
        self.node.pass_time(0.2)
        self.assertEqual(len(self.node.updates()), 1)
        self.assertEqual(self.node.value("binding-update-sent/refresh"), 1)

    def test_refresh_advice(self) -> None:
        """RFC 6275 section 6.2.4: used if it is less than the lifetime."""
        self.node.answer(options=[opt.BindingRefreshAdvice(10)])
        self.node.pass_time(40)
        self.assertEqual(len(self.node.updates()), 1)
        self.node.answer(options=[opt.BindingRefreshAdvice(1000)])
        self.node.pass_time(449)
        self.assertEqual(self.node.updates(), [])
        self.node.pass_time(1)
        self.assertEqual(len(self.node.updates()), 1)

    def test_expiry(self) -> None:
        """Without an answer the binding ends: no tunnel, but the address stays for what uses it."""
        self.node.answer(lifetime=10)
        self.node.pass_time(41)
        self.assertEqual(self.node.of(RemoveTunnel), [RemoveTunnel()])
        self.assertEqual(self.node.of(HomeAddress), [])
        self.assertEqual(self.node.value("registration/expired"), 1)
        self.node.answer()
        self.assertEqual(len(self.node.of(Tunnel)), 1)

    def test_alternate_care_of(self) -> None:
        """RFC 6275 section 6.2.5: where it is wanted, it says what the source says."""
        node = Node(alternate_care_of=True, link_local=True)
        node.links(WLAN1)
        (update,) = node.updates()
        self.assertIn(opt.AlternateCareOfAddress(NET1), update.options)
        self.assertTrue(update.flags & msg.BU_L)


class AnswerTest(SynchronousTestCase):
    """Which answers are believed (RFC 6275 section 11.7.3, RFC 4285 section 5.1)."""

    def setUp(self) -> None:
        """A node that waits for its first answer."""
        self.node = Node()
        self.node.links(WLAN1)

    def refused(self, counter: str) -> None:
        """The answer has changed nothing."""
        self.assertEqual(self.node.of(Tunnel), [])
        self.assertEqual(self.node.value(f"binding-acknowledgement-discarded/{counter}"), 1)

    def test_wrong_key(self) -> None:
        """An answer with a wrong authenticator is nobody's, and the operator is told."""
        self.node.answer(key=bytes(16))
        self.refused("authentication-failed")
        self.assertEqual(len(self.node.of(Notify)), 1)

    def test_no_authenticator(self) -> None:
        """Neither is one without."""
        self.node.answer(key=None)
        self.refused("authentication-failed")

    def test_unknown_spi(self) -> None:
        """Nor one of another association."""
        self.node.answer(spi=0x999)
        self.refused("authentication-failed")

    def test_a_stranger_cannot_stop_us(self) -> None:
        """Status 146 that is not authentic does not stop the updates."""
        self.node.answer(codes.MIPV6_AUTH_FAIL, key=bytes(16))
        self.node.pass_time(1.5)
        self.assertEqual(len(self.node.updates()), 1)

    def test_other_number(self) -> None:
        """The number has to be that of an outstanding update."""
        self.node.answer(sequence=(self.node.updates()[0].sequence + 9) & 0xFFFF)
        self.refused("no-matching-request")

    def test_other_source(self) -> None:
        """From a node that is not our home agent."""
        self.node.answer(source=AGENT2)
        self.assertEqual(self.node.of(Tunnel), [])
        self.assertEqual(self.node.value("mobility-messages-ignored/binding-acknowledgement"), 1)

    def test_other_home_address(self) -> None:
        """The routing header has to name our home address."""
        self.node.answer(home=packed("2001:db8:100::99"))
        self.refused("no-matching-request")

    def test_checksum(self) -> None:
        """A message with a wrong checksum is not looked at."""
        data = encode(msg.BindingAcknowledgement(0, 0, 1, 100, []))
        self.node.feed(MessageReceived(data, AGENT, NET1, HOME))
        self.assertEqual(self.node.value("mobility-messages-received/checksum-error"), 1)

    def test_unknown_type(self) -> None:
        """RFC 6275 section 9.2: a Binding Error with status 2."""
        data = seal(bytes((59, 0, 99, 0, 0, 0, 0, 0)), AGENT, HOME)
        self.node.feed(MessageReceived(data, AGENT, NET1, HOME))
        (sent,) = self.node.of(SendMessage)
        error, _ = decode(sent.data)
        assert isinstance(error, msg.BindingError)
        self.assertEqual((error.status, sent.destination, sent.source), (2, AGENT, NET1))


class SequenceTest(SynchronousTestCase):
    """Status 135 (RFC 6275 section 11.7.3)."""

    def test_taken_over(self) -> None:
        """The next update goes on behind the number that is told, at once."""
        node = Node()
        node.links(WLAN1)
        node.answer(codes.SEQUENCE_NUMBER_OUT_OF_WINDOW, sequence=65535)
        self.assertEqual(node.updates()[0].sequence, 0)
        node.answer()
        self.assertEqual(node.state, "registered")

    def test_not_for_ever(self) -> None:
        """RFC 6275 section 11.8: no more than three updates a second, whatever is answered."""
        node = Node()
        node.links(WLAN1)
        for number in range(20):
            node.answer(codes.SEQUENCE_NUMBER_OUT_OF_WINDOW, sequence=1000 * number)
        self.assertEqual(len(node.updates(node.history)), 3)
        self.assertLess(len(node.updates(node.pass_time(10))), 8)

    def test_not_authentic(self) -> None:
        """MUST be silently ignored."""
        node = Node()
        node.links(WLAN1)
        node.answer(codes.SEQUENCE_NUMBER_OUT_OF_WINDOW, sequence=65535, key=bytes(16))
        self.assertEqual(node.updates(), [])


class MovementTest(SynchronousTestCase):
    """Other links."""

    def setUp(self) -> None:
        """A registered node."""
        self.node = Node()
        self.node.links(WLAN1)
        self.node.answer()

    def test_new_address(self) -> None:
        """The new address is registered at once, and used at once where the old one is gone (11.6.3)."""
        self.node.links(WLAN2)
        (sent,) = self.node.of(SendMessage)
        self.assertEqual(sent.source, NET2)
        (tunnel,) = self.node.of(Tunnel)
        self.assertEqual(tunnel.paths, (Path("wlan0", NET2, AGENT),))
        self.node.answer()
        self.assertEqual(self.node.effects, [])
        self.assertEqual(self.node.node.report(self.node.now).handoffs, 1)
        self.assertEqual(self.node.value("binding-update-sent/handoff"), 1)

    def test_the_old_one_is_still_there(self) -> None:
        """Then it is used until the home agent has accepted the new one."""
        node = Node(interfaces=(MobileInterface(name="wlan0"), MobileInterface(name="lte0", preference=50)))
        node.links(LTE)
        node.answer()
        node.links(LTE, WLAN1)
        self.assertEqual(node.of(Tunnel), [])
        node.answer()
        self.assertEqual(node.of(Tunnel)[0].paths, (Path("wlan0", NET1, AGENT),))

    def test_preference(self) -> None:
        """A worse link changes nothing."""
        self.assertEqual(self.node.links(WLAN1, LTE), [])

    def test_equal_preference(self) -> None:
        """Of two that are equal the one in use stays."""
        names = (MobileInterface(name="wlan0"), MobileInterface(name="lte0"))
        node = Node(interfaces=names)
        node.links(LTE)
        node.answer()
        self.assertEqual(node.links(WLAN1, LTE), [])

    def test_no_link(self) -> None:
        """Nothing can be sent; afterwards all goes on."""
        self.node.links()
        self.assertEqual(self.node.effects, [RemoveTunnel()])
        self.assertEqual(self.node.updates(self.node.pass_time(100)), [])
        self.node.links(WLAN1)
        self.assertEqual(len(self.node.of(Tunnel)), 1)

    def test_answer_for_the_former_address(self) -> None:
        """What was sent from the link before is not of interest any more."""
        self.node.links(WLAN2)
        (sent,) = self.node.of(SendMessage)
        self.node.links(WLAN1)
        self.node.answer(sent=sent)
        self.assertEqual(self.node.value("binding-acknowledgement-discarded/no-matching-request"), 1)

    def test_silence_on_one_link(self) -> None:
        """RFC 5555 section 4.4.1: after three attempts another address is tried, for a while."""
        node = Node()
        node.links(WLAN1, LTE)
        node.pass_time(11)
        self.assertEqual(node.of(SendMessage)[-1].source, LTE.address)
        node.answer()
        node.pass_time(70)
        self.assertEqual(node.of(SendMessage)[-1].source, NET1)
        # The tunnel stays where it is meanwhile.
        self.assertEqual(node.of(Tunnel), [])

    def test_foreign_interface(self) -> None:
        """An interface without a line is not used."""
        node = Node()
        self.assertEqual(node.links(Link("eth7", NET1)), [])
        self.assertEqual(node.state, "no link")


class HomeTest(SynchronousTestCase):
    """Returning home (RFC 6275 section 11.5.5)."""

    def setUp(self) -> None:
        """A registered node that comes home."""
        self.node = Node()
        self.node.links(WLAN1)
        self.node.answer()
        self.node.links(AT_HOME)

    def test_update(self) -> None:
        """Lifetime 0, from the home address, without the option; the address is ready before it goes."""
        first, sent, *rest = self.node.effects
        self.assertEqual(first, AtHome("eth0", HOME, advertise=False))
        self.assertEqual((sent.source, sent.destination, sent.home), (HOME, AGENT, b""))
        self.assertEqual(rest, [RemoveTunnel(), HomeAddress(b"")])
        (update,) = self.node.updates()
        self.assertEqual((update.lifetime, update.flags), (0, msg.BU_A | msg.BU_H))

    def test_answered(self) -> None:
        """Then the address is advertised."""
        self.node.answer(lifetime=0)
        self.assertIn(AtHome("eth0", HOME, advertise=True), self.node.effects)
        self.assertEqual(self.node.state, "at home")
        self.assertEqual(self.node.pass_time(10_000), [])

    def test_overtaken(self) -> None:
        """An update of before that is accepted after the de-registration: once more, whoever says so."""
        (before,) = [each for each in self.node.of(SendMessage, self.node.history) if each.home]
        self.node.answer(lifetime=0)
        self.node.pass_time(2)
        self.node.answer(sent=before, key=bytes(16))
        (update,) = self.node.updates()
        self.assertEqual(update.lifetime, 0)
        self.node.answer(lifetime=0)
        self.assertEqual(self.node.effects, [AtHome("eth0", HOME, advertise=True)])

    def test_no_binding_there(self) -> None:
        """Status 133 says the same."""
        self.node.answer(codes.NOT_HOME_AGENT_FOR_THIS_MOBILE_NODE)
        self.assertEqual(self.node.state, "at home")

    def test_repeated(self) -> None:
        """It is repeated as long as the binding lasts."""
        self.node.pass_time(300)
        self.assertGreater(len(self.node.updates()), 8)
        self.assertEqual(self.node.state, "returning")
        self.node.pass_time(350)
        self.assertEqual(self.node.state, "at home")

    def test_away_again(self) -> None:
        """Whether the update has come through or not, the binding is made anew."""
        self.node.links(WLAN2)
        self.assertIn(AtHome(""), self.node.effects)
        self.assertEqual(len(self.node.updates()), 1)
        self.node.answer()
        self.assertEqual(self.node.state, "registered")
        self.assertEqual(self.node.of(HomeAddress), [HomeAddress(HOME)])

    def test_start_at_home(self) -> None:
        """A node that starts there tells so too: it may have been away before it was switched off."""
        node = Node()
        node.links(AT_HOME)
        self.assertEqual(node.updates()[0].lifetime, 0)
        node.pass_time(65)
        self.assertEqual(node.state, "at home")

    def test_another_interface(self) -> None:
        """On the same link: the repetitions go by it."""
        self.node.links(Link("wlan0", AT_HOME.address, home=True))
        self.assertEqual(self.node.of(AtHome)[-1].interface, "wlan0")
        self.assertEqual(self.node.of(SendMessage, self.node.pass_time(1.5))[0].interface, "wlan0")

    def test_by_prefix(self) -> None:
        """An address of the home prefix is enough."""
        node = Node()
        node.links(Link("eth0", packed("2001:db8:100::1234")))
        self.assertEqual(node.state, "returning")


class OperatorTest(SynchronousTestCase):
    """Commands and settings."""

    def setUp(self) -> None:
        """A registered node."""
        self.node = Node()
        self.node.links(WLAN1)
        self.node.answer()

    def test_deregister(self) -> None:
        """The tunnel stays until the home agent has answered; then all is gone."""
        self.node.command("deregister")
        self.assertEqual(self.node.updates()[0].lifetime, 0)
        self.assertEqual(self.node.of(RemoveTunnel), [])
        self.node.answer(lifetime=0)
        self.assertEqual(self.node.effects, [RemoveTunnel(), HomeAddress(b"")])
        self.assertEqual(self.node.state, "stopped")
        self.assertEqual(self.node.links(WLAN2), [])
        self.node.command("register")
        self.assertEqual(len(self.node.updates()), 1)

    def test_deregister_without_answer(self) -> None:
        """It does not take for ever."""
        self.node.command("deregister")
        self.node.pass_time(30)
        self.assertEqual(self.node.state, "stopped")

    def test_refresh(self) -> None:
        """An update at once."""
        self.node.command("refresh")
        self.assertEqual(len(self.node.updates()), 1)

    def test_shutdown(self) -> None:
        """By the configuration, and back."""
        self.node.change(shutdown=True)
        self.node.answer(lifetime=0)
        self.assertEqual(self.node.state, "stopped")
        self.node.change()
        self.assertEqual(len(self.node.updates()), 1)

    def test_other_lifetime(self) -> None:
        """The binding goes on by the new settings."""
        self.node.change(lifetime=60)
        self.assertEqual(self.node.updates()[0].lifetime, 15)
        self.assertEqual(self.node.of(RemoveTunnel), [])

    def test_other_identity(self) -> None:
        """The old home agent is left, the new one asked."""
        other = packed("2001:db8:100::6")
        self.node.change(home_address=other)
        leave, register = self.node.of(SendMessage)
        self.assertEqual((leave.home, register.home), (HOME, other))
        self.assertEqual([each.lifetime for each in self.node.updates()], [0, 150])
