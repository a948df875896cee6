"""Which messages and events a filter lets through."""

from ipaddress import ip_address

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.errors import ApplianceError
from appliance.ports import SessionFilter, TapFilter
from appliance.protocols.mobility import messages as m
from appliance.protocols.mobility import options as o
from appliance.tap import ENDED, NOTE, OUTBOUND, SUBSCRIPTIONS, Subscription, Tapped, TappedMessage
from appliance.watch import Selector, filter_text
from test.fuzz import CASES
from test.tapped import ANCHOR, MAG, OTHER_MAG, PREFIX, WALL, World, event, made, message, pba, pbu, session

HOME = o.HomeNetworkPrefix(64, PREFIX)


class FilterTest(SynchronousTestCase):
    """One filter each."""

    def watch(self, world: World, **wanted: object) -> Subscription:
        """Subscribe."""
        return world.tap.subscribe(TapFilter(**wanted), 100)  # type: ignore[arg-type]

    def check(self, world: World, subscription: Subscription, *items: tuple[Tapped, bool]) -> None:
        """Each item is let through or not."""
        for number, (item, expected) in enumerate(items):
            world.tell(item)
            self.assertEqual(bool(subscription.take()), expected, f"{number}: {item}")

    def test_everything(self) -> None:
        """No filter lets everything through."""
        world = World()
        items = (pbu(), event(NOTE, "hello"), message(m.Heartbeat(0, 1)))
        self.check(world, self.watch(world), *((item, True) for item in items))

    def test_username(self) -> None:
        """Both directions of one mobile node, and nothing that only resembles it."""
        world = World()
        self.check(
            world,
            self.watch(world, username="mn1@example.org"),
            (pbu(), True),
            (pba(), True),
            (pbu("mn11@example.org"), False),
            (pbu("amn1@example.org"), False),
            (message(m.Heartbeat(0, 1)), False),
            (pbu("mn2@example.org", o.VendorSpecific(1, 1, b"mn1@example.org")), False),
        )

    def test_answers_without_a_name(self) -> None:
        """An answer that need not name the mobile node is known by the number of its request and its peer."""
        world = World()
        notification = m.UpdateNotification(7, 1, m.UPN_A, [o.MobileNodeIdentifier(1, b"mn1@example.org")])
        revocation = m.BindingRevocationIndication(
            1, 77, m.BR_P, [o.MobileNodeIdentifier(1, b"mn1@example.org")]
        )
        self.check(
            world,
            self.watch(world, username="mn1@example.org"),
            (message(m.BindingRevocationAcknowledgement(0, 77, m.BR_P)), False),
            (message(revocation, direction=OUTBOUND), True),
            (message(m.BindingRevocationAcknowledgement(0, 78, m.BR_P)), False),
            (message(m.BindingRevocationAcknowledgement(0, 77, m.BR_P), peer=OTHER_MAG), False),
            (message(m.BindingRevocationAcknowledgement(0, 77, m.BR_P)), True),
            (message(notification, direction=OUTBOUND), True),
            (message(m.UpdateNotificationAcknowledgement(7, 0)), True),
            (pbu(sequence=9), True),
            (pba("", sequence=9, status=128), True),
            (pba("mn2@example.org", sequence=9), False),
        )

    def test_wildcards(self) -> None:
        """``*`` is any run of characters, ``$`` one."""
        world = World()
        self.check(
            world,
            self.watch(world, username="mn$@*.org"),
            (pbu(), True),
            (pbu("mn22@example.org"), False),
            (pbu("mn3@a.b.org"), True),
            (pbu("mn3@a.b.com"), False),
        )

    def test_imsi(self) -> None:
        """NAIs made of an IMSI, with the digit of an authentication method or without."""
        world = World()
        self.check(
            world,
            self.watch(world, imsi="001010123456789"),
            (pbu("0001010123456789@nai.epc.mnc001.mcc001.3gppnetwork.org"), True),
            (pbu("001010123456789@example.org"), True),
            (pbu("001010123456789"), True),
            (pbu("0010101234567899@example.org"), False),
            (pbu("99001010123456789@example.org"), False),
        )

    def test_address_of_a_session(self) -> None:
        """The address finds the mobile node, also in messages that do not hold the address."""
        world = World(session(prefixes=("2001:db8:1:1::/64",)))
        subscription = self.watch(world, ip_address="2001:db8:1:1::77")
        self.assertEqual(world.service.filters, [SessionFilter(ip_address="2001:db8:1:1::77")])
        self.check(
            world,
            subscription,
            (pbu(), True),
            (pbu("mn2@example.org"), False),
            (pbu("mn2@example.org", HOME), True),
            (event(ENDED, call_id=0x01CA11B1), True),
            (event(ENDED, call_id=0x01CA11B1), False),
        )

    def test_address_without_a_session(self) -> None:
        """An address that nobody has yet is found in the messages."""
        world = World()
        request = o.IPv4HomeAddressRequest(24, ip_address("192.0.2.9").packed)
        reply = o.IPv4HomeAddressReply(0, 24, ip_address("192.0.2.9").packed)
        self.check(
            world,
            self.watch(world, ip_address="192.0.2.9"),
            (pbu("mn7@example.org"), False),
            (pbu("mn8@example.org", HOME), False),
            (pbu("mn7@example.org", request), True),
            (pba("mn7@example.org"), True),
            (pba("mn8@example.org", reply), True),
            (pba("mn7@example.org"), False),
        )

    def test_call_id(self) -> None:
        """Messages of the mobile node that has the session; a call id that nobody has is an error."""
        world = World(session())
        self.check(
            world,
            self.watch(world, call_id=0x01CA11B1),
            (pbu(), True),
            (pbu("mn2@example.org"), False),
            (event(ENDED, call_id=0x01CA11B1), True),
        )
        error = self.assertRaises(ApplianceError, self.watch, world, call_id=7)
        self.assertEqual(str(error), "No session has the call id 00000007")

    def test_events(self) -> None:
        """Sessions of the mobile node that are made and end; notes that name it."""
        world = World()
        subscription = self.watch(world, username="mn1@example.org")
        self.check(world, subscription, (made(0x01CA11B1, PREFIX), False))
        world.service.views = [session(), session(call_id=8, username="mn2@example.org")]
        self.check(
            world,
            subscription,
            (made(0x01CA11B1, PREFIX), True),
            (made(8, PREFIX), False),
            (event(ENDED, call_id=8), False),
            (event(ENDED, call_id=0x01CA11B1), True),
            (event(NOTE, "no pool for mn1@example.org"), True),
            (event(NOTE, "no pool for mn2@example.org"), False),
        )

    def test_next_call(self) -> None:
        """The next mobile node that had no session, until its session ends; then the next one."""
        world = World(session(username="old@example.org"))
        self.check(
            world,
            self.watch(world, next_call=True),
            (pbu("old@example.org"), False),
            (pbu("gone@example.org", lifetime=0), False),
            (pbu("", HOME), False),
            (pbu("new@example.org"), True),
            (pba("new@example.org"), True),
            (pbu("other@example.org"), False),
        )
        world = World()
        subscription = self.watch(world, next_call=True)
        self.check(world, subscription, (pbu(), True))
        world.service.views = [session()]
        self.check(world, subscription, (made(), True))
        world.service.views = []
        self.check(
            world,
            subscription,
            (event(ENDED, call_id=0x01CA11B1), True),
            (pba(), True),
            (pbu("next@example.org"), True),
            (pba(), False),
        )

    def test_a_stranger_cannot_ask_for_a_search(self) -> None:
        """An identifier with a wildcard, or none, is not looked up among all sessions."""
        world = World(session())
        subscription = self.watch(world, username="*")
        world.tell(pbu("*@example.org"), pbu("mn$@example.org"), pbu(""))
        self.assertEqual(len(subscription.take()), 2)
        self.assertEqual(world.service.filters, [])
        world.tell(pbu(), pbu())
        self.assertEqual(world.service.filters, [SessionFilter(username="mn1@example.org")])

    def test_service_and_peer(self) -> None:
        """One service, or what comes from and goes to one peer."""
        world = World()
        self.check(
            world,
            self.watch(world, service="lma1"),
            (pbu(), True),
            (pbu(service="lma2"), False),
            (event(NOTE, "hello"), True),
        )
        self.check(
            world,
            self.watch(world, peer=str(ip_address(MAG))),
            (pbu(), True),
            (pba(), True),
            (pbu(peer=OTHER_MAG), False),
            (event(NOTE, "hello"), False),
        )
        error = self.assertRaises(ApplianceError, self.watch, world, service="lma9")
        self.assertEqual(str(error), "No service and no diameter endpoint is named lma9")

    def test_too_many(self) -> None:
        """One subscription too many is an error with a text."""
        world = World()
        for _ in range(SUBSCRIPTIONS):
            self.watch(world)
        error = self.assertRaises(ApplianceError, self.watch, world)
        self.assertIn("16 monitors and captures", str(error))

    def test_malformed(self) -> None:
        """A message that cannot be decoded is shown to who looks for octets that are in it."""
        world = World()
        subscription = self.watch(world, username="mn1@example.org")
        broken = pbu()
        broken.data = b"\x3b\xff\x63" + broken.data[3:]
        self.check(world, subscription, (broken, True))

    @settings(max_examples=CASES, deadline=None)
    @given(st.binary(max_size=80), st.integers(0, 20))
    def test_any_octets(self, data: bytes, kind: int) -> None:
        """No octets make a selector raise."""
        wanted = (
            TapFilter(username="mn1@example.org"),
            TapFilter(ip_address="2001:db8:1:1::1"),
            TapFilter(imsi="001010123456789"),
            TapFilter(next_call=True),
            TapFilter(username="*"),
        )
        world = World(session())
        for one in wanted:
            selector = Selector(one, world.service.sessions)
            for octets in (data, bytes((59, 4, kind, 0)) + data + PREFIX, data + b"mn1@example.org"):
                item = TappedMessage(WALL, "lma", "lma1", "inbound", octets, MAG, ANCHOR)
                selector.maybe(item)
                selector.wants(item)


class TextTest(SynchronousTestCase):
    """Filters as they are typed."""

    def test_text(self) -> None:
        """Words and values, or all."""
        self.assertEqual(filter_text(TapFilter()), "all")
        self.assertEqual(filter_text(TapFilter(service="lma1", call_id=10)), "service lma1 callid 0000000a")
        self.assertEqual(filter_text(TapFilter(next_call=True)), "next-call")
