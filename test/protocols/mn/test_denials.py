"""What a mobile node does about refused updates: every status that a home agent may send."""

from twisted.trial.unittest import SynchronousTestCase

from appliance.counters import MN
from appliance.protocols.mn.events import HomeAddress, SendMessage
from appliance.protocols.mobility import messages as msg
from appliance.protocols.mobility import options as opt
from appliance.protocols.mobility import status as codes
from test.protocols.mn.fakes import AGENT, AGENT2, LTE, NET1, NET3, WLAN1, WLAN2, WLAN4, Node
from test.protocols.pmipv6.lma_fakes import packed

NETWORK = (packed("2001:db8:200::"), 56)


def denied(status: int, **changes: object) -> Node:
    """A node whose first update was refused."""
    node = Node(**changes)
    node.links(WLAN1)
    node.answer(status)
    return node


class EveryStatusTest(SynchronousTestCase):
    """All of them, known or not."""

    def test_never_a_storm(self) -> None:
        """However often it is refused, a node sends a few updates in a minute, and each denial is counted."""
        for status in range(128, 256):
            node = Node(mesg_id=False)
            node.links(WLAN1)
            for _ in range(40):
                if node.updates():
                    node.answer(status, sequence=node.updates()[-1].sequence)
                else:
                    node.pass_time(1)
            self.assertLess(len(node.updates(node.history)), 14, status)
            rows = [row for row in MN.rows if row.heading == "Denied by Home Agent"]
            counted = sum(node.value(row.key) for row in rows)
            self.assertEqual(counted, node.value("binding-acknowledgement-rcvd/denied"), status)

    def test_it_may_pass(self) -> None:
        """Most denials are left alone for a while; then it is tried again."""
        for status in (128, 130, 131, 132, 133, 139, 143, 169, 200):
            node = denied(status)
            self.assertEqual(node.updates(), [], status)
            self.assertEqual(node.updates(node.pass_time(59)), [], status)
            self.assertEqual(len(node.updates(node.pass_time(1.4))), 1, status)

    def test_elsewhere_it_may_work_at_once(self) -> None:
        """A new link is not made to wait for what was refused on the former one."""
        node = denied(codes.INSUFFICIENT_RESOURCES)
        node.links(WLAN2)
        self.assertEqual(len(node.updates()), 1)

    def test_stopped(self) -> None:
        """RFC 4285 section 5.3 (146), RFC 5149 (151): nothing more until an operator says so."""
        for status in (codes.MIPV6_AUTH_FAIL, codes.SERVICE_AUTHORIZATION_FAILED):
            node = denied(status)
            self.assertEqual(node.state, "refused")
            self.assertEqual(node.updates(node.pass_time(1000)), [])
            self.assertEqual(node.updates(node.links(WLAN2)), [])
            self.assertEqual(len(node.updates(node.command("register"))), 1)

    def test_the_home_agent_has_forgotten_us(self) -> None:
        """129 for a refresh: once more with the MN-AAA option, where only the first update has it."""
        node = Node(authentication="mn-aaa-initial", aaa_key=bytes(16))
        node.links(WLAN1)
        node.answer()
        node.command("refresh")
        node.answer(codes.ADMINISTRATIVELY_PROHIBITED)
        options = [each for each in node.updates()[0].options if isinstance(each, opt.Authentication)]
        self.assertEqual([each.subtype for each in options], [1, 2])
        node.answer(codes.ADMINISTRATIVELY_PROHIBITED)
        self.assertEqual(node.updates(), [])

    def test_a_binding_stays_until_it_ends(self) -> None:
        """A refused refresh takes nothing away."""
        node = Node()
        node.links(WLAN1)
        node.answer()
        node.command("refresh")
        node.answer(codes.INSUFFICIENT_RESOURCES)
        self.assertEqual(node.state, "registered")


class AddressTest(SynchronousTestCase):
    """Addresses that are refused."""

    def test_duplicate(self) -> None:
        """RFC 6275 section 11.7.1 (134): MUST NOT attempt to re-use the same home address."""
        node = denied(codes.DUPLICATE_ADDRESS_DETECTION_FAILED)
        self.assertEqual(node.state, "refused")
        self.assertEqual(node.of(HomeAddress), [])

    def test_another_one_is_made(self) -> None:
        """Where the address is made of the prefix, another one is tried."""
        node = denied(
            codes.DUPLICATE_ADDRESS_DETECTION_FAILED,
            home_address=b"",
            home_prefix=packed("2001:db8:100::"),
        )
        first, second = [each.home for each in node.of(SendMessage, node.history)]
        self.assertEqual(first[:8], second[:8])
        self.assertNotEqual(first, second)

    def test_care_of(self) -> None:
        """174: another link is used."""
        node = Node()
        node.links(WLAN1, LTE)
        node.answer(codes.INVALID_CARE_OF_ADDRESS)
        (sent,) = node.of(SendMessage)
        self.assertEqual(sent.source, NET3)
        node = denied(codes.INVALID_CARE_OF_ADDRESS)
        self.assertEqual(node.updates(node.pass_time(59)), [])
        self.assertEqual(node.updates(node.pass_time(2)) and node.of(SendMessage)[0].source, NET1)

    def test_given_by_the_home_agent(self) -> None:
        """Asked for by the unspecified address; the routing header of the answer tells which."""
        node = Node(home_address=b"")
        node.links(WLAN1)
        (sent,) = node.of(SendMessage)
        self.assertEqual(sent.home, bytes(16))
        given = packed("2001:db8:100::abc")
        node.answer(home=given)
        self.assertEqual(node.of(HomeAddress), [HomeAddress(given)])
        node.links(WLAN2)
        self.assertEqual(node.of(SendMessage)[0].home, given)


class HomeAgentsTest(SynchronousTestCase):
    """More than one home agent."""

    def test_refused_by_one(self) -> None:
        """RFC 6275 section 11.4.1: the next one is asked."""
        for status in (129, 130, 131, 132, 133, 140, 141, 142, 143):
            node = denied(status, home_agents=(AGENT2,))
            (sent,) = node.of(SendMessage)
            self.assertEqual(sent.destination, AGENT2, status)
            node.answer(status)
            self.assertEqual(node.updates(), [], status)

    def test_silence(self) -> None:
        """After the repetitions the next one is asked, and then the first one again."""
        node = Node(home_agents=(AGENT2,))
        node.links(WLAN1)
        node.pass_time(400)
        asked = [each.destination for each in node.of(SendMessage, node.history)]
        self.assertEqual(asked[:7], [AGENT] * 6 + [AGENT2])
        self.assertIn(AGENT, asked[8:])

    def test_one_that_answers_stays(self) -> None:
        """RFC 6275 section 11.4.1: a new registration is first attempted with the same one."""
        node = denied(130, home_agents=(AGENT2,))
        node.answer()
        node.links(WLAN2)
        self.assertEqual(node.of(SendMessage)[0].destination, AGENT2)


class RouterTest(SynchronousTestCase):
    """Mobile routers (RFC 3963 sections 5.2 to 5.4)."""

    def test_explicit(self) -> None:
        """The R flag, and the prefixes in every update; the tunnel carries them."""
        node = Node(mobile_router=True, networks=(NETWORK,))
        node.links(WLAN1)
        for _ in range(2):
            (update,) = node.updates()
            self.assertTrue(update.flags & msg.BU_R)
            self.assertIn(opt.MobileNetworkPrefix(56, NETWORK[0]), update.options)
            node.answer(flags=msg.BA_R)
            self.assertEqual(node.node.report(node.now).networks, (NETWORK,))
            node.command("refresh")
        node.command("deregister")
        node.pass_time(1)
        (update,) = node.updates()
        # Section 5.8: no prefixes in a de-registration.
        self.assertFalse(any(isinstance(each, opt.MobileNetworkPrefix) for each in update.options))

    def test_implicit(self) -> None:
        """The R flag alone."""
        node = Node(mobile_router=True)
        node.links(WLAN1)
        (update,) = node.updates()
        self.assertTrue(update.flags & msg.BU_R)

    def test_not_permitted(self) -> None:
        """140 and 143: no R flag any more, but still a mobile node."""
        for status in (codes.MOBILE_ROUTER_OPERATION_NOT_PERMITTED, codes.FORWARDING_SETUP_FAILED):
            node = denied(status, mobile_router=True)
            (update,) = node.updates()
            self.assertFalse(update.flags & msg.BU_R)

    def test_prefix_refused(self) -> None:
        """141 and 142: without naming them."""
        for status in (codes.INVALID_PREFIX, codes.NOT_AUTHORIZED_FOR_PREFIX):
            node = denied(status, mobile_router=True, networks=(NETWORK,))
            (update,) = node.updates()
            self.assertTrue(update.flags & msg.BU_R)
            self.assertFalse(any(isinstance(each, opt.MobileNetworkPrefix) for each in update.options))
            node.answer(status)
            self.assertEqual(node.updates(), [])

    def test_not_supported(self) -> None:
        """Section 5.3: accepted without the R flag; that home agent is left, another one asked."""
        node = Node(mobile_router=True, home_agents=(AGENT2,))
        node.links(WLAN1)
        node.answer()
        (leave,) = node.updates()
        self.assertEqual(leave.lifetime, 0)
        node.answer(lifetime=0)
        (sent,) = node.of(SendMessage)
        self.assertEqual(sent.destination, AGENT2)


class ForceTest(SynchronousTestCase):
    """The F flag (RFC 5555 section 4.4.2)."""

    def test_refused(self) -> None:
        """144, or 129 of a home agent that keeps 144 for the clock: once more without the flag."""
        for status in (codes.MIPV6_ID_MISMATCH, codes.ADMINISTRATIVELY_PROHIBITED):
            node = Node(force_udp=True)
            node.links(WLAN4)
            (update,) = node.updates()
            self.assertTrue(update.flags & msg.BU_F)
            node.answer(status, care_of=bytes(10) + b"\xff\xff" + WLAN4.address)
            (update,) = node.updates()
            self.assertFalse(update.flags & msg.BU_F)
