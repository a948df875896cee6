"""The tap: bounded listeners, and next to nothing for a service that nobody listens to."""

import timeit

from attrs import define
from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.pmipv6.events import Install, Notify, PacketReceived, Remove, Send, SendIcmp
from appliance.protocols.pmipv6.probe import Probe
from appliance.protocols.timers import Now
from appliance.tap import (
    ENDED,
    INBOUND,
    MADE,
    NOTE,
    OUTBOUND,
    SUBSCRIPTIONS,
    Tap,
    Tapped,
    TappedEvent,
    TappedMessage,
    TooMany,
)

MAG, ANCHOR = bytes.fromhex("20010db8000a00000000000000000001"), bytes(15) + b"\1"


def message(wall: float = 0.0, data: bytes = b"x") -> TappedMessage:
    """A message that came in."""
    return TappedMessage(wall, "lma", "lma1", INBOUND, data, MAG, ANCHOR)


@define
class Wants:
    """Wants what holds ``needle``, and counts how often it was asked."""

    needle: bytes = b""
    asked: int = 0
    error: Exception | None = None

    def maybe(self, item: Tapped) -> bool:
        """Whether the needle is in it."""
        return isinstance(item, TappedMessage) and self.needle in item.data

    def wants(self, item: Tapped) -> bool:
        """All of them."""
        self.asked += 1
        if self.error:
            raise self.error
        return True


class SubscriptionTest(SynchronousTestCase):
    """Every listener is bounded."""

    def setUp(self) -> None:
        """A tap."""
        self.tap = Tap()

    def test_order(self) -> None:
        """Items come out in the order in which they went in, some or all."""
        subscription = self.tap.subscribe()
        for number in range(5):
            self.tap.saw(message(number))
        self.assertEqual([item.wall for item in subscription.take(2)], [0, 1])
        self.assertEqual([item.wall for item in subscription.take()], [2, 3, 4])
        self.assertEqual(subscription.take(), [])

    def test_full(self) -> None:
        """The newest are dropped and counted by service; what waits stays."""
        subscription = self.tap.subscribe(limit=2)
        for number in range(5):
            self.tap.saw(message(number))
        self.assertEqual(subscription.lost, 3)
        self.assertEqual(subscription.losses, {("lma", "lma1"): 3})
        self.assertEqual([item.wall for item in subscription.take()], [0, 1])
        self.tap.saw(message(9))
        self.assertEqual([item.wall for item in subscription.take()], [9])

    def test_one_full_listener_is_no_matter_to_another(self) -> None:
        """Each has its own limit."""
        small, large = self.tap.subscribe(limit=1), self.tap.subscribe(limit=10)
        for number in range(5):
            self.tap.saw(message(number))
        self.assertEqual((small.lost, large.lost, len(large.take())), (4, 0, 5))

    def test_number_of_subscriptions(self) -> None:
        """There are at most so many; a closed one makes room, and may be closed twice."""
        made = [self.tap.subscribe() for _ in range(SUBSCRIPTIONS)]
        self.assertRaises(TooMany, self.tap.subscribe)
        made[3].close()
        made[3].close()
        self.tap.subscribe()
        self.assertRaises(TooMany, self.tap.subscribe)

    def test_listening(self) -> None:
        """The tap knows whether anybody listens; what a closed subscription has can still be taken."""
        self.assertFalse(self.tap.listening)
        subscription = self.tap.subscribe()
        self.assertTrue(self.tap.listening)
        self.tap.saw(message())
        subscription.close()
        self.tap.saw(message())
        self.assertFalse(self.tap.listening)
        self.assertEqual(len(subscription.take()), 1)

    def test_budget(self) -> None:
        """A filter is asked so many times a second; beyond that what could be wanted counts as lost."""
        wanted = Wants(b"x")
        subscription = self.tap.subscribe(wanted, decodings=3)
        for number in range(10):
            self.tap.saw(message(5 + number / 100))
            self.tap.saw(message(5 + number / 100, b"other"))
        self.assertEqual((wanted.asked, subscription.lost), (3, 7))
        self.tap.saw(message(6.0))
        self.assertEqual(wanted.asked, 4)
        # A wall clock that is set back begins a second like any other.
        self.tap.saw(message(2.0))
        self.assertEqual(wanted.asked, 5)

    def test_filter_that_fails(self) -> None:
        """An exception in a filter ends its subscription and is told to its listener, to nobody else."""
        subscription = self.tap.subscribe(Wants(b"x", error=ValueError("broken")))
        other = self.tap.subscribe()
        self.tap.saw(message())
        self.tap.saw(message())
        self.assertEqual(len(other.take()), 2)
        self.assertRaises(ValueError, subscription.take)

    def test_wake(self) -> None:
        """A listener can be told that something is there."""
        woken: list[int] = []
        self.tap.subscribe(Wants(b"x"), wake=lambda: woken.append(1))
        self.tap.saw(message(data=b"other"))
        self.assertEqual(woken, [])
        self.tap.saw(message())
        self.assertEqual(woken, [1])


class ProbeTest(SynchronousTestCase):
    """What PMIPv6 drivers tell."""

    def setUp(self) -> None:
        """A probe with a subscription."""
        self.tap = Tap()
        self.probe = Probe(self.tap, lambda: Now(1.0, 1000.5), "mag", "mag1")
        self.subscription = self.tap.subscribe()

    def test_received(self) -> None:
        """A message that comes in is told before the core gets it."""
        order: list[object] = []
        feed = self.probe.received(
            lambda event: order.extend(self.subscription.take()) or order.append(event)
        )
        event = PacketReceived(b"data", MAG, ANCHOR, 5436)
        feed(event)
        told = TappedMessage(1000.5, "mag", "mag1", INBOUND, b"data", MAG, ANCHOR, 5436)
        self.assertEqual(order, [told, event])
        self.assertEqual(told.peer, MAG)

    def test_sent(self) -> None:
        """A message that went out; the peer is its destination."""
        self.probe.sent(Send(b"data", MAG, ANCHOR))
        (told,) = self.subscription.take()
        assert isinstance(told, TappedMessage)
        self.assertEqual((told.direction, told.peer, told.port), (OUTBOUND, ANCHOR, 0))

    def test_effects(self) -> None:
        """Sessions and notes are told and still carried out; other effects are not touched."""
        done: list[object] = []
        kinds = (Install, Remove, Notify, SendIcmp)
        plain = dict.fromkeys(kinds, done.append)
        perform = self.probe.effects(dict(plain))
        self.assertIs(perform[SendIcmp], plain[SendIcmp])
        prefix = bytes.fromhex("20010db8000100010000000000000000")
        install = Install(0x1CA11B1, ((prefix, 64),), bytes((192, 0, 2, 9)), MAG, ANCHOR, interface="acc0")
        for effect in (install, Remove(0x1CA11B1), Notify("warning", "no such thing")):
            perform[type(effect)](effect)
        self.assertEqual(len(done), 3)
        told = [item for item in self.subscription.take() if isinstance(item, TappedEvent)]
        self.assertEqual([item.what for item in told], [MADE, ENDED, NOTE])
        self.assertEqual(
            told[0].text, "Session 01ca11b1: tunnel to ::1 on acc0 for 2001:db8:1:1::/64, 192.0.2.9"
        )
        self.assertEqual(told[0].addresses, (prefix, bytes((192, 0, 2, 9))))
        self.assertEqual((told[1].call_id, told[2].text), (0x1CA11B1, "no such thing"))

    def test_cost(self) -> None:
        """With nobody listening a message costs well under a microsecond more."""
        self.subscription.close()
        event = PacketReceived(b"data", MAG, ANCHOR)

        def bare(_event: PacketReceived) -> None:
            """What the core would be."""

        tapped = self.probe.received(bare)
        number = 20_000
        without = min(timeit.repeat(lambda: bare(event), number=number, repeat=5))
        through = min(timeit.repeat(lambda: tapped(event), number=number, repeat=5))
        self.assertLess((through - without) / number, 2e-6)
