"""Congestion control: thresholds, what new mobile nodes get, and what must never be lost."""

import socket
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.mobility.codec import encode, seal
from appliance.protocols.mobility.messages import Heartbeat
from appliance.protocols.mobility.options import MobileNodeGroupIdentifier, RedirectCapability
from appliance.protocols.pmipv6.congestion_settings import Congestion
from appliance.protocols.pmipv6.events import Excess, Notify, PacketReceived, Reconfigure, Send, Shed, Strain
from appliance.protocols.pmipv6.settings import Peer, RedirectTarget
from appliance.protocols.pmipv6.sieve import ROOM
from appliance.protocols.smallbatch import HEAD
from appliance.protocols.triage import AT_ONCE, URGENT, Triage
from test.protocols.pmipv6 import lma_fakes
from test.protocols.pmipv6.lma_fakes import LL2, LMA_ADDRESS, MAG1, MAG2, MN1, STRANGER, World

INITIAL = "initial-binding-update-requests/"
DISCARDED = "binding-updates-discard-reasons/congestion-discarded"
DENIED = "update-denied-admin-prohibited-reasons/congestion-control-denied"


def world(redirect: tuple[RedirectTarget, ...] = (), **fields: Any) -> World:
    """An anchor with one session and these congestion settings."""
    found = World(congestion=Congestion(**fields), redirect_targets=redirect)
    found.send()
    return found


def load(where: World, **fields: int) -> list[str]:
    """Tell an anchor how the process is doing; the lines that it logs."""
    where.mono += 1
    where.lma.receive(Strain(**{"lag": 0, "memory": 0, **fields}), where.now)
    return [effect.text for effect in where.lma.take() if isinstance(effect, Notify)]


class ThresholdTests(SynchronousTestCase):
    """When it is congested, and when it is over."""

    def test_hysteresis(self) -> None:
        """It begins at the threshold, and is over when the figure is below it by more than the tolerance."""
        anchor = world(loop_lag=200, congestion_tolerance=10)
        self.assertEqual(load(anchor, lag=199), [])
        begun = load(anchor, lag=200)
        self.assertEqual(len(begun), 1)
        self.assertIn("congested (loop lag): 200 is not below the threshold of 200", begun[0])
        self.assertEqual(load(anchor, lag=180), [])
        self.assertTrue(anchor.lma.overload.refusing)
        self.assertIn("congestion is over (loop lag) after 2 s", load(anchor, lag=179)[0])
        self.assertFalse(anchor.lma.overload.refusing)
        self.assertEqual(anchor.lma.overload.entered["loop lag"], 1)

    def test_every_figure(self) -> None:
        """Memory and sessions count too; a full buffer alone does not."""
        anchor = world(memory_utilization=50, session_utilization=1)
        self.assertIn("memory", load(anchor, memory=50)[0])
        load(anchor)
        self.assertEqual(anchor.lma.overload.since, {})
        load(anchor, queue=100)
        self.assertEqual(anchor.lma.overload.since, {})
        few = World(max_subscribers=2, congestion=Congestion(session_utilization=50))
        few.send()
        self.assertIn("sessions", load(few)[0])

    def test_off(self) -> None:
        """Without congestion control, and with the action none, nothing is looked at."""
        for fields in ({"congestion_control": False}, {"congestion_action": "none"}):
            anchor = world(**fields)
            self.assertEqual(load(anchor, lag=60_000, memory=100), [])
            self.assertFalse(anchor.lma.overload.acts)

    def test_reconfigure(self) -> None:
        """What is switched off is over at once."""
        anchor = world()
        load(anchor, lag=60_000)
        changed = lma_fakes.settings(congestion=Congestion(congestion_control=False))
        anchor.lma.receive(Reconfigure(changed), anchor.now)
        self.assertIn("is over", anchor.lma.take()[0].text)
        self.assertFalse(anchor.lma.overload.refusing)

    def test_queue(self) -> None:
        """Messages that had to be given up are congestion until it has been calm for some seconds."""
        anchor = world()
        anchor.lma.receive(Shed(7, 2), anchor.now)
        self.assertIn("congested (message queue)", anchor.lma.take()[0].text)
        self.assertEqual(anchor.value(DISCARDED), 7)
        self.assertEqual(anchor.value(INITIAL + "received"), 8)
        self.assertEqual(anchor.value("other-mobility-messages/ignored"), 2)
        self.assertFalse(anchor.lma.overload.refusing)
        self.assertEqual(load(anchor) + load(anchor) + load(anchor), [])
        self.assertIn("9 messages dropped, 0 refused", load(anchor)[0])


class PolicyTests(SynchronousTestCase):
    """What updates get while no new mobile node is let in."""

    def test_known(self) -> None:
        """Known mobile nodes are refreshed, handed over and de-registered as ever; a second interface too."""
        anchor = world()
        load(anchor, lag=60_000)
        for what in ({"hi": 5}, {"hi": 3, "source": MAG2}, {"ll": LL2, "source": MAG2},
                     {"lifetime": 0, "source": MAG2}):  # fmt: skip
            answer = anchor.send(**what)
            self.assertEqual(answer and answer.status, 0, what)

    def test_drop(self) -> None:
        """New ones get silence."""
        anchor = world()
        load(anchor, lag=60_000)
        self.assertIsNone(anchor.send(mn=b"new@example.org"))
        self.assertEqual(anchor.moved(), {DISCARDED: 1, INITIAL + "received": 1})

    def test_reject(self) -> None:
        """New ones get status 129."""
        anchor = world(congestion_action="reject")
        load(anchor, lag=60_000)
        answer = anchor.send(mn=b"new@example.org")
        self.assertEqual(answer and answer.status, 129)
        self.assertEqual(anchor.moved()[DENIED], 1)
        self.assertEqual(anchor.lma.session_count, 1)

    def test_redirect(self) -> None:
        """Without anywhere to redirect to it is status 129; with it, whoever redirects answers."""
        anchor = world(congestion_action="redirect")
        load(anchor, lag=60_000)
        self.assertEqual(getattr(anchor.send(mn=b"new@example.org"), "status", None), 129)
        target = RedirectTarget(address=lma_fakes.packed("2001:db8:ffff::2"))
        anchor = world(congestion_action="redirect", redirect=(target,))
        load(anchor, lag=60_000)
        anchor.packet(*anchor.build(mn=b"other@example.org", extra=[RedirectCapability()]))
        # The other anchor is asked, and the gateway waits.
        self.assertEqual([each.destination for each in anchor.of_kind(Send)], [target.address])
        self.assertEqual(anchor.value("binding-updates-received/pending"), 1)
        self.assertEqual(anchor.lma.overload.refused, 1)
        # A gateway that cannot be told is refused.
        self.assertEqual(getattr(anchor.send(mn=b"third@example.org"), "status", None), 129)

    def test_stranger(self) -> None:
        """A stranger gets what he gets otherwise."""
        anchor = world(congestion_action="reject")
        load(anchor, lag=60_000)
        answer = anchor.send(mn=b"new@example.org", source=STRANGER)
        self.assertEqual(answer and answer.status, 154)

    def test_excess(self) -> None:
        """What the reader has no time for is refused without being looked at any further."""
        anchor = world(congestion_action="reject")
        data, source, port = anchor.build(mn=b"new@example.org")
        anchor.lma.receive(Excess(PacketReceived(data, source, LMA_ADDRESS, port)), anchor.now)
        self.assertEqual(anchor.value(DENIED), 1)
        anchor.lma.receive(Excess(PacketReceived(b"\x3b", source, LMA_ADDRESS, port)), anchor.now)
        self.assertEqual(anchor.value("binding-updates-discard-reasons/invalid-buffer-length"), 1)


def sort(anchor: World, *messages: tuple[bytes, bytes]) -> list[bool]:
    """For each message and source whether it is urgent."""
    slot = HEAD
    octets = b"".join(data[:slot].ljust(slot, b"\xee") for data, _ in messages)
    sizes, sources = [len(data) for data, _ in messages], [source for _, source in messages]
    urgent, others = anchor.lma.sieve.sort(octets, slot, sizes, sources, lambda number: messages[number][0])
    assert sorted(urgent + others) == list(range(len(messages)))
    return [number in urgent for number in range(len(messages))]


class SieveTests(SynchronousTestCase):
    """What must not be lost."""

    def test_sessions(self) -> None:
        """Updates of mobile nodes with a session, in any form of their name; not those of new ones."""
        anchor = world()

        def is_urgent(source: bytes = MAG1, **what: Any) -> bool:
            return sort(anchor, (anchor.build(**what)[0], source))[0]

        self.assertTrue(is_urgent())
        self.assertTrue(is_urgent(lifetime=0))
        self.assertTrue(is_urgent(mn=MN1 + b"\0\0"))
        self.assertFalse(is_urgent(mn=b"new@example.org"))
        self.assertFalse(is_urgent(mn=b"new@example.org", lifetime=0))
        self.assertFalse(is_urgent(mn=b"new@example.org\0"))
        self.assertFalse(is_urgent(mn=None))
        self.assertFalse(is_urgent(source=STRANGER))
        self.assertFalse(is_urgent(source=lma_fakes.BAD_MAG))
        self.assertTrue(is_urgent(mn=None, extra=[MobileNodeGroupIdentifier(1, 7)]))

    def test_place(self) -> None:
        """The name is found behind other options; what is no option ends the search."""
        anchor = world()
        data = anchor.build()[0]
        self.assertTrue(sort(anchor, (data[:12] + b"\0\1\2\0\0" + data[12:], MAG1))[0])
        self.assertFalse(sort(anchor, (data[:12] + b"\x1b\xff" + data[12:], MAG1))[0])

    def test_others(self) -> None:
        """Other messages of known gateways are urgent; rubbish is not."""
        anchor = world()
        heartbeat = seal(encode(Heartbeat(0, 1, [])), MAG1, LMA_ADDRESS) + bytes(8)
        self.assertEqual(
            sort(anchor, (heartbeat, MAG1), (heartbeat, STRANGER), (b"", MAG1), (b"\x3b\0\5", MAG1)),
            [True, False, False, False],
        )

    @given(st.lists(st.tuples(st.binary(max_size=80), st.sampled_from((MAG1, STRANGER))), max_size=8))
    @settings(max_examples=200, deadline=None)
    def test_anything(self, messages: list[tuple[bytes, bytes]]) -> None:
        """Whatever comes in is sorted."""
        sort(world(), *messages)

    @given(st.data())
    @settings(max_examples=200, deadline=None)
    def test_mutated(self, data: st.DataObject) -> None:
        """So is an update in which octets are wrong."""
        anchor = world()
        message = bytearray(anchor.build()[0])
        for _ in range(data.draw(st.integers(1, 4))):
            message[data.draw(st.integers(0, len(message) - 1))] = data.draw(st.integers(0, 255))
        sort(anchor, (bytes(message), MAG1))

    @given(st.data())
    @settings(max_examples=200, deadline=None)
    def test_together(self, data: st.DataObject) -> None:
        """A batch of nothing but updates, sorted by their names alone, is sorted as among other messages."""
        anchor = world()
        new = b"new@example.org"
        names = st.sampled_from((MN1, MN1 + b"\0", new, new + b"\0", b"", b"\0", b"x" * 200))
        sources = st.sampled_from((MAG1, MAG1, MAG1, STRANGER))
        messages = [
            (anchor.build(mn=name)[0], source)
            for name, source in data.draw(st.lists(st.tuples(names, sources), min_size=1, max_size=6))
        ]
        heartbeat = seal(encode(Heartbeat(0, 1, [])), MAG1, LMA_ADDRESS)
        found = sort(anchor, *messages)
        self.assertEqual(found, sort(anchor, *messages, (heartbeat, MAG1))[:-1])
        self.assertEqual(found, [sort(anchor, message)[0] for message in messages])


class TriageTests(SynchronousTestCase):
    """The reader, on a UDP socket of the loopback."""

    def setUp(self) -> None:
        """Make an anchor that knows the loopback as a gateway, and its reader."""
        self.anchor = World(
            peers=(Peer(address=b"\x7f\0\0\1", prefix_length=32), Peer(address=MAG1, prefix_length=128)),
            congestion=Congestion(queue_wait_time=100),
        )
        self.receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for each in (self.receiver, self.sender):
            self.addCleanup(each.close)
        self.receiver.bind(("127.0.0.1", 0))
        self.receiver.setblocking(False)
        self.receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.sender.connect(self.receiver.getsockname())
        self.clock = Clock()
        self.taken: list[PacketReceived] = []
        self.fed: list[Any] = []
        self.triage = Triage(
            self.clock, self.receiver, b"\x7f\0\0\1", self.anchor.lma.sieve, self.taken.append,
            self.fed.append,
        )  # fmt: skip
        self.addCleanup(self.triage.stop)
        self.anchor.send()
        self.known = self.anchor.build(port=5436)[0]
        self.triage.active = True

    def set(self, **fields: Any) -> None:
        """Go on by other settings."""
        self.anchor.lma.overload.settings = Congestion(**fields)

    def throw(self, count: int) -> None:
        """Send updates of new mobile nodes."""
        new = self.anchor.build(mn=b"new@example.org", port=5436)[0]
        for _ in range(count):
            self.sender.send(new)

    def shed(self) -> int:
        """How many messages were given up."""
        return sum(each.updates + each.others for each in self.fed if isinstance(each, Shed))

    def test_order(self) -> None:
        """Known sessions go first, new ones have the time that is left, the rest is given up."""
        self.throw(200)
        self.sender.send(self.known)
        self.throw(100)
        self.sender.send(self.known)
        self.triage.read()
        self.assertEqual([each.data == self.known for each in self.taken[:3]], [True, True, False])
        self.assertEqual(len(self.taken), AT_ONCE)
        self.assertEqual(self.shed(), 300 - ROOM)
        self.assertEqual(self.taken[0].source, b"\x7f\0\0\1")
        self.assertEqual(self.taken[0].port, self.sender.getsockname()[1])
        self.assertTrue(self.triage.active)
        for _ in range(8):
            self.clock.advance(0)
        self.assertEqual(len(self.taken), ROOM + 2)
        self.assertFalse(self.triage.active)

    def test_patience(self) -> None:
        """A new one that has waited too long is given up."""
        self.throw(100)
        self.triage.read()
        self.clock.pump([0.2, 0.0])
        self.assertEqual(len(self.taken), AT_ONCE)
        self.assertEqual(self.shed(), 100 - AT_ONCE)
        self.assertFalse(self.triage.active)

    def test_telling(self) -> None:
        """If they are to be told, some are; not so many that telling is all that is done."""
        self.set(congestion_action="reject")
        self.throw(400)
        self.triage.read()
        told = [each for each in self.fed if isinstance(each, Excess)]
        self.assertEqual(len(told), 30)
        self.assertEqual(self.shed(), 400 - ROOM - 30)

    def test_refusing(self) -> None:
        """While no new one is let in none waits."""
        load(self.anchor, lag=60_000)
        self.throw(40)
        self.triage.read()
        self.assertEqual((len(self.taken), self.shed()), (0, 40))

    def test_off(self) -> None:
        """Switched off meanwhile, all that waits is dealt with in order."""
        self.throw(50)
        self.set(congestion_control=False)
        self.triage.read()
        self.clock.advance(1)
        self.assertEqual((len(self.taken), self.shed()), (50, 0))

    def test_bounds(self) -> None:
        """Also urgent messages are not kept without limit."""
        for _ in range(30):
            for _ in range(200):
                self.sender.send(self.known)
            self.triage.read()
        self.assertLessEqual(len(self.triage._urgent), URGENT)
        self.assertEqual(len(self.taken) + len(self.triage._urgent) + self.shed(), 6_000)

    def test_stale(self) -> None:
        """When even the urgent ones are too many, the fresh ones are dealt with, not the old ones."""
        for _ in range(100):
            self.sender.send(self.known)
        self.triage.read()
        self.assertEqual(len(self.taken), AT_ONCE)
        self.sender.send(self.known[:-1])
        self.clock.pump([0.21])
        self.assertEqual((len(self.taken), self.taken[-1].data), (AT_ONCE + 1, self.known[:-1]))
        self.assertEqual(self.shed(), 100 - AT_ONCE)

    def test_consider(self) -> None:
        """It begins when the buffer is full enough, and never when it is switched off."""
        self.triage.active = False
        self.triage.consider()
        self.assertFalse(self.triage.active)
        self.receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        self.throw(100)
        self.set(congestion_control=False)
        self.triage.consider()
        self.assertFalse(self.triage.active)
        self.set()
        self.triage.consider()
        self.assertTrue(self.triage.active)

    def test_exception(self) -> None:
        """A message that raises does not stop those behind it."""

        def stumble(packet: PacketReceived) -> None:
            self.taken.append(packet)
            raise ValueError

        self.triage._on_packet = stumble
        self.throw(3)
        self.assertRaises(ValueError, self.triage.read)
        for _ in range(2):
            self.assertRaises(ValueError, self.clock.advance, 0)
        self.assertEqual(len(self.taken), 3)
