"""Several care-of addresses (RFC 5648 section 5) and IPv4 links (RFC 5555 section 4.4)."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.mn.events import HomeAddress, Path, SendMessage, Tunnel
from appliance.protocols.mobility import messages as msg
from appliance.protocols.mobility import options as opt
from appliance.protocols.mobility import status as codes
from test.protocols.mipv6.fakes import HOME
from test.protocols.mn.fakes import (
    AGENT,
    AGENT4,
    LTE,
    LTE4,
    NET1,
    NET3,
    V4A,
    WLAN1,
    WLAN2,
    WLAN4,
    Node,
)
from test.protocols.pmipv6.lma_fakes import packed

NEVER = 0xFFFFFFFF
MAPPED = bytes(10) + b"\xff\xff"


def named(update: msg.BindingUpdate) -> list[tuple[int, bytes]]:
    """BID and care-of address of an update's Binding Identifier options."""
    return [(each.bid, each.care_of) for each in update.options if isinstance(each, opt.BindingIdentifier)]


def bids(*pairs: tuple[int, int]) -> list[Any]:
    """Options of an answer: BID and status."""
    return [opt.BindingIdentifier(bid, status, 0) for bid, status in pairs]


class SeveralTest(SynchronousTestCase):
    """RFC 5648."""

    def setUp(self) -> None:
        """A node with two links."""
        self.node = Node(multiple_care_of=True)
        self.node.links(WLAN1, LTE)

    def test_bulk(self) -> None:
        """Section 5.3: both in one update, with the O flag the first time (5.9), then without."""
        (update,) = self.node.updates()
        self.assertEqual(named(update), [(1, NET1), (2, NET3)])
        self.assertTrue(update.flags & msg.BU_O)
        self.node.answer(options=bids((1, 0), (2, 0)))
        (tunnel,) = self.node.of(Tunnel)
        paths = (Path("wlan0", NET1, AGENT, bid=1), Path("lte0", NET3, AGENT, bid=2))
        self.assertEqual(tunnel.paths, paths)
        self.node.command("refresh")
        (update,) = self.node.updates()
        self.assertFalse(update.flags & msg.BU_O)
        self.assertEqual(named(update), [(1, NET1), (2, NET3)])

    def test_one_moves(self) -> None:
        """Only that one is registered anew; the other goes on."""
        self.node.answer(options=bids((1, 0), (2, 0)))
        self.node.links(WLAN2, LTE)
        (update,) = self.node.updates()
        self.assertEqual(named(update), [(1, WLAN2.address)])

    def test_one_goes(self) -> None:
        """Section 5.4: it is de-registered by way of the other."""
        self.node.answer(options=bids((1, 0), (2, 0)))
        self.node.links(LTE)
        (sent,) = self.node.of(SendMessage)
        (update,) = self.node.updates()
        self.assertEqual((sent.source, update.lifetime, named(update)), (NET3, 0, [(1, b"")]))
        (tunnel,) = self.node.of(Tunnel)
        self.assertEqual([path.bid for path in tunnel.paths], [2])
        self.node.answer(lifetime=0, options=bids((1, 0)))
        self.assertEqual(len(self.node.node.report(self.node.now).registrations), 1)
        self.node.links(WLAN1, LTE)
        self.assertEqual(named(self.node.updates()[0]), [(1, NET1)])

    def test_one_refused(self) -> None:
        """Status 4 as a whole: the option's status counts (section 5.7)."""
        self.node.answer(codes.MCOA_NOTCOMPLETE, options=bids((1, 0), (2, codes.INSUFFICIENT_RESOURCES)))
        (tunnel,) = self.node.of(Tunnel)
        self.assertEqual([path.bid for path in tunnel.paths], [1])
        self.assertEqual(self.node.updates(), [])
        self.node.pass_time(61)
        self.assertEqual(named(self.node.updates()[0]), [(2, NET3)])

    def test_one_way_is_dead(self) -> None:
        """After three attempts the other one is registered by its own way, and used."""
        for bulk in (True, False):
            node = Node(multiple_care_of=True, bulk=bulk)
            node.links(WLAN1, LTE)
            node.pass_time(10.6)
            ways = [each for each in node.of(SendMessage) if each.source == NET3]
            (sent,) = ways
            node.answer(sent=sent, options=bids((2, 0)))
            (tunnel,) = node.of(Tunnel)
            self.assertEqual([path.bid for path in tunnel.paths], [2])
            # The dead one is asked for on and on.
            node.pass_time(20)
            self.assertEqual({each.source for each in node.of(SendMessage)}, {NET1})

    def test_a_way_dies(self) -> None:
        """One that stops to work is used last, though it is preferred."""
        self.node.answer(options=bids((1, 0), (2, 0)))
        self.node.command("refresh")
        self.node.pass_time(7.1)
        self.node.answer(sent=self.node.of(SendMessage)[-2], options=bids((2, 0)))
        tunnel = self.node.of(Tunnel, self.node.history)[-1]
        self.assertEqual([path.bid for path in tunnel.paths], [2, 1])

    def test_no_bulk(self) -> None:
        """168: one after the other, the first one with the O flag before the second is sent."""
        self.node.answer(codes.MCOA_BULK_REGISTRATION_PROHIBITED, options=bids((1, 0), (2, 0)))
        (update,) = self.node.updates()
        self.assertEqual((named(update), bool(update.flags & msg.BU_O)), ([(1, NET1)], True))
        self.node.answer(options=bids((1, 0)))
        (update,) = self.node.updates()
        self.assertEqual((named(update), bool(update.flags & msg.BU_O)), ([(2, NET3)], False))

    def test_prohibited(self) -> None:
        """166: a plain binding."""
        self.node.answer(codes.MCOA_PROHIBITED, options=bids((1, 0), (2, 0)))
        (update,) = self.node.updates()
        self.assertEqual(named(update), [])
        self.node.answer()
        self.assertEqual(self.node.of(Tunnel)[0].paths, (Path("wlan0", NET1, AGENT),))

    def test_not_known(self) -> None:
        """Section 5.7: an answer without the option is of a node that does not know it."""
        self.node.answer()
        (update,) = self.node.updates()
        self.assertEqual(named(update), [])

    def test_plain_binding_exists(self) -> None:
        """165: with the O flag."""
        self.node.answer(options=bids((1, 0), (2, 0)))
        self.node.command("refresh")
        self.node.answer(codes.MCOA_NON_MCOA_BINDING_EXISTS, options=bids((1, 0), (2, 0)))
        (update,) = self.node.updates()
        self.assertTrue(update.flags & msg.BU_O)

    def test_unknown(self) -> None:
        """167: once more with the address, which is always there."""
        self.node.answer(options=bids((1, 0), (2, 0)))
        self.node.command("refresh")
        self.node.answer(codes.MCOA_NOTCOMPLETE, options=bids((1, codes.MCOA_UNKNOWN_COA), (2, 0)))
        (update,) = self.node.updates()
        self.assertEqual(named(update), [(1, NET1)])

    def test_all_of_them_go(self) -> None:
        """Section 5.4: without the option."""
        self.node.answer(options=bids((1, 0), (2, 0)))
        self.node.command("deregister")
        (update,) = self.node.updates()
        self.assertEqual((update.lifetime, named(update)), (0, []))

    def test_ipv4_alone(self) -> None:
        """Section 8.1: never in bulk, and without the IPv4 Care-of Address option."""
        self.node.answer(options=bids((1, 0), (2, 0)))
        self.node.links(WLAN1, LTE4)
        (sent,) = self.node.of(SendMessage)
        (update,) = self.node.updates()
        self.assertEqual(named(update), [(2, LTE4.address)])
        self.assertFalse(any(isinstance(each, opt.IPv4CareOfAddress) for each in update.options))
        self.assertEqual((sent.outer_source, sent.outer, sent.port), (LTE4.address, AGENT4, 4191))
        self.node.answer(care_of=MAPPED + LTE4.address, options=[opt.NatDetection(0, 60), *bids((2, 0))])
        tunnel = self.node.of(Tunnel, self.node.history)[-1]
        self.assertIn(Path("lte0", LTE4.address, AGENT4, True, 4191, bid=2), tunnel.paths)


class IPv4Test(SynchronousTestCase):
    """RFC 5555."""

    def setUp(self) -> None:
        """A node in a network without IPv6."""
        self.node = Node(ipv4_home=True)
        self.node.links(WLAN4)

    def answer(self, *options: Any, **what: Any) -> None:
        """The home agent accepts."""
        self.node.answer(care_of=MAPPED + V4A, options=options, **what)

    def test_update(self) -> None:
        """Section 4.4.2: in UDP, from the home address, with the IPv4 care-of address."""
        (sent,) = self.node.of(SendMessage)
        self.assertEqual((sent.source, sent.destination, sent.home), (HOME, AGENT, b""))
        self.assertEqual((sent.outer_source, sent.outer, sent.port), (V4A, AGENT4, 4191))
        (update,) = self.node.updates()
        self.assertIn(opt.IPv4CareOfAddress(V4A), update.options)
        self.assertIn(opt.IPv4HomeAddress(32, 0, bytes(4)), update.options)

    def test_nat(self) -> None:
        """Section 4.2: data in UDP; section 4.3: updates in time to keep the NAT open."""
        given = packed("203.0.113.20")
        self.answer(opt.IPv4AddressAcknowledgement(0, 32, given), opt.NatDetection(0, 60))
        self.assertEqual(self.node.of(HomeAddress), [HomeAddress(HOME, given, 32)])
        (tunnel,) = self.node.of(Tunnel)
        self.assertEqual(tunnel, Tunnel(HOME, given, (), (Path("wlan0", V4A, AGENT4, True, 4191),)))
        self.assertEqual(self.node.updates(self.node.pass_time(59)), [])
        (update,) = self.node.updates(self.node.pass_time(1.5))
        # The address is asked for again, or it would be taken away (section 4.4.2.1).
        self.assertIn(opt.IPv4HomeAddress(32, 0, given), update.options)

    def test_default_keepalive(self) -> None:
        """Refresh time zero is ignored: 110 seconds (section 6)."""
        self.answer(opt.NatDetection(0, 0))
        self.assertEqual(self.node.updates(self.node.pass_time(109)), [])
        self.assertEqual(len(self.node.updates(self.node.pass_time(1.5))), 1)

    def test_no_nat(self) -> None:
        """All ones: no keep-alives, data without UDP."""
        self.answer(opt.NatDetection(0, NEVER))
        self.assertEqual(self.node.of(Tunnel)[0].paths, (Path("wlan0", V4A, AGENT4),))
        self.assertEqual(self.node.updates(self.node.pass_time(400)), [])

    def test_forced(self) -> None:
        """Section 3.2.2: F wants UDP where there is no NAT."""
        self.answer(opt.NatDetection(1, NEVER))
        self.assertEqual(self.node.of(Tunnel)[0].paths, (Path("wlan0", V4A, AGENT4, True, 4191),))

    def test_no_ipv4_home_address(self) -> None:
        """Section 4.4.2: the IPv6 one is bound all the same."""
        self.answer(opt.IPv4AddressAcknowledgement(132, 0, bytes(4)), opt.NatDetection(0, 60))
        self.assertEqual(self.node.of(HomeAddress), [HomeAddress(HOME)])

    def test_ipv6_first(self) -> None:
        """Section 4.4.1: the IPv6 address is preferred; IPv4 comes after three attempts."""
        node = Node()
        node.links(WLAN4, WLAN1)
        self.assertEqual(node.of(SendMessage)[0].source, NET1)
        node.pass_time(11)
        self.assertEqual(node.of(SendMessage)[-1].outer_source, V4A)

    def test_from_ipv6_to_ipv4_and_back(self) -> None:
        """The addresses stay; without an answer data goes in UDP, which passes every NAT."""
        node = Node()
        node.links(WLAN1)
        node.answer()
        node.links(WLAN4)
        self.assertEqual(node.of(Tunnel)[0].paths, (Path("wlan0", V4A, AGENT4, True, 4191),))
        node.answer(care_of=MAPPED + V4A, options=[opt.NatDetection(0, 60)])
        node.links(WLAN1)
        node.answer()
        self.assertEqual(node.of(HomeAddress, node.history), [HomeAddress(HOME)])
        self.assertEqual(node.value("registration/moved"), 2)

    def test_home_agent_without_ipv4(self) -> None:
        """Such a link cannot be used."""
        node = Node(home_agent_ipv4=None)
        self.assertEqual(node.links(WLAN4), [])
