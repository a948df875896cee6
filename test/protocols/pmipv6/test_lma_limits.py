"""What is bounded: work per tick, waiting updates, peers by longest prefix; and what the service may ask."""

from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.pmipv6 import lma as module
from appliance.protocols.pmipv6.bce import BindingCacheEntry, identity
from appliance.protocols.pmipv6.lma_checks import Peers
from appliance.protocols.pmipv6.reports import Budget
from appliance.protocols.pmipv6.settings import Peer
from appliance.protocols.wheel import Wheel
from test.protocols.pmipv6.lma_fakes import BAD_MAG, LL2, MAG1, MAG2, MAG_IPV4, MN1, World, packed


class TestWheel(SynchronousTestCase):
    def entry(self, call_id: int, due: float) -> BindingCacheEntry:
        """A binding that is due at a time."""
        entry = BindingCacheEntry(call_id, b"x")
        entry.due = due
        return entry

    def test_order_and_limit(self) -> None:
        """What is due comes earliest first, and no more than asked for is looked at in one call."""
        wheel = Wheel()
        for number in range(10):
            wheel.put(self.entry(number, 5.0 - number * 0.01))
        self.assertEqual(wheel.pop_due(4.0, 100), [])
        self.assertEqual(len(wheel.pop_due(5.0, 4)), 4)
        deadline = wheel.deadline
        assert deadline is not None
        self.assertLessEqual(deadline, 5.0)
        rest = wheel.pop_due(5.0, 100)
        self.assertEqual([one.due for one in rest], sorted(one.due for one in rest))
        self.assertEqual((len(rest), wheel.deadline), (6, None))

    def test_moved(self) -> None:
        """A later time is found when the old one comes up, an earlier one at once, a dropped one never."""
        wheel = Wheel()
        later, earlier, gone = (self.entry(number, 100.0) for number in (1, 2, 3))
        for entry in (later, earlier, gone):
            wheel.put(entry)
        later.due, earlier.due = 200.0, 50.0
        for entry in (later, earlier):
            wheel.put(entry)
        wheel.drop(gone)
        self.assertEqual(wheel.deadline, 50.0)
        self.assertEqual(wheel.pop_due(50.0, 9), [earlier])
        self.assertEqual(wheel.pop_due(100.1, 9), [])
        self.assertEqual(wheel.deadline, 200.0)
        self.assertEqual(wheel.pop_due(200.0, 9), [later])

    def test_no_more_than_an_eighth_late(self) -> None:
        """The deadline is the latest of one bucket, so that a bucket is emptied in one go."""
        wheel = Wheel()
        for number, due in enumerate((10.0, 10.05, 10.12, 10.13)):
            wheel.put(self.entry(number, due))
        self.assertEqual(wheel.deadline, 10.12)


class TestLimits(SynchronousTestCase):
    def test_work_per_tick(self) -> None:
        """A tick ends a bounded number of sessions and asks to be called again at once."""
        self.patch(module, "PER_TICK", 10)
        world = World()
        for number in range(25):
            world.send(mn=b"%d@x" % number, later=0, lifetime=10)
        world.mono += 50
        world.lma.tick(world.now)
        self.assertEqual(world.lma.session_count, 15)
        deadline = world.lma.deadline
        assert deadline is not None
        self.assertLessEqual(deadline, world.mono)
        world.pass_time(0)
        self.assertEqual(world.lma.session_count, 0)

    def test_waiting_updates(self) -> None:
        """When too many updates wait, the next one is told that resources are missing."""
        world = World(max_pending=1)
        for mn in (MN1, b"mn2@x"):
            world.send(mn=mn)
            answer = world.send(mn=mn, source=MAG2, ll=LL2, hi=4)
        assert answer is not None
        self.assertEqual(answer.status, 130)
        self.assertEqual(world.value("update-denied-insufficient-resource-reasons/input-q-exceeded"), 1)

    def test_budget(self) -> None:
        """A budget gives so many at once, then so many a second, and saves up no more."""
        budget = Budget(10.0, 3.0)
        self.assertEqual([budget.spend(100.0) for _ in range(4)], [True, True, True, False])
        self.assertEqual([budget.spend(100.25) for _ in range(3)], [True, True, False])
        self.assertEqual([budget.spend(200.0) for _ in range(4)], [True, True, True, False])

    def test_send_failed(self) -> None:
        """An acknowledgement that could not be sent is counted."""
        world = World()
        world.lma.send_failed()
        self.assertEqual(world.value("binding-acknowledgements-sent/send-error"), 1)

    def test_call_ids(self) -> None:
        """Call ids are never zero and never given twice."""
        numbers = iter([0, 5, 5, 0, 6])
        world = World(random_bits=lambda bits: next(numbers))
        world.send()
        world.send(ll=LL2)
        self.assertEqual([entry.call_id for entry in world.lma.sessions()], [5, 6])
        self.assertEqual([entry.link_layer for entry in world.lma.sessions(call_id=6, mn_id=MN1)], [LL2])
        self.assertEqual(list(world.lma.sessions(call_id=6, mn_id=b"other@x")), [])
        self.assertEqual(world.lma.subnet(next(world.lma.sessions())), (32, None))


class TestNames(SynchronousTestCase):
    def test_longest_peer_wins(self) -> None:
        """Of peer lines that cover an address the most specific one counts; families do not mix."""
        peers = Peers(
            [
                Peer(address=packed("2001:db8::"), prefix_length=32),
                Peer(address=packed("2001:db8:b::"), prefix_length=48, allowed=False),
                Peer(address=MAG2, prefix_length=128),
                Peer(address=packed("192.0.2.0"), prefix_length=24),
            ]
        )
        asked = (MAG1, MAG2, packed("2001:db8:b::2"), BAD_MAG, MAG_IPV4, packed("198.51.100.9"), bytes(16))
        self.assertEqual([peers.allowed(one) for one in asked], [True, True, False, True, True, None, None])

    def test_identity(self) -> None:
        """An NAI is its own key; another kind of identifier with the same octets is another mobile."""
        self.assertEqual(identity(1, b"a@b\0\0"), b"a@b")
        self.assertEqual(identity(1, b"\0\0"), b"")
        self.assertNotEqual(identity(3, b"a@b"), identity(4, b"a@b"))
        self.assertEqual(identity(3, b""), b"")
