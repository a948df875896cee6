"""A mobile node and the real home agent over a bad network, and a node that is told anything at all."""

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.counters import MN
from appliance.protocols.mn.events import (
    Command,
    CorrespondentSeen,
    IcmpReceived,
    Link,
    Links,
    MessageReceived,
    SendMessage,
)
from appliance.protocols.mobility.codec import decode, seal
from test.protocols.mipv6.fakes import HOME
from test.protocols.mn.fakes import (
    AGENT,
    AT_HOME,
    CORRESPONDENT,
    LTE,
    NET1,
    NET3,
    WLAN1,
    WLAN2,
    WLAN4,
    Node,
    Pair,
)

PLACES: tuple[tuple[Link, ...], ...] = (
    (), (WLAN1,), (WLAN2,), (WLAN1, LTE), (LTE,), (AT_HOME,), (AT_HOME, LTE)
)  # fmt: skip
STEPS = st.lists(
    st.tuples(
        st.sampled_from(PLACES),
        st.floats(0, 40),
        st.sampled_from((0.0, 0.3, 0.8)),
        st.sampled_from(("", "", "refresh", "register", "deregister")),
    ),
    max_size=8,
)


class NetworkTest(SynchronousTestCase):
    """Loss, reordering and movement: in the end both ends agree."""

    def pair(self, steps: list[Any], seed: int, **changes: Any) -> Pair:
        """Go through all that, and end on one good link."""
        pair = Pair(seed, **changes)
        pair.delay = 3.0
        for links, seconds, loss, command in steps:
            pair.loss = loss
            pair.links(*links)
            if command:
                pair.command(command)
            pair.run(seconds)
        pair.loss = 0.0
        return pair

    def agree(self, pair: Pair) -> None:
        """At home: no binding; away: the binding is where the node is. And nobody talks without end."""
        pair.links(WLAN1)
        pair.command("register")
        pair.run(90)
        pair.links(AT_HOME)
        pair.run(150)
        self.assertEqual((pair.state, pair.bound), ("at home", None))
        pair.links(WLAN1)
        pair.command("register")
        pair.run(150)
        self.assertEqual(pair.state, "registered")
        self.assertEqual(pair.bound.care_of, NET1)
        before = len(pair.updates(pair.history))
        pair.run(400)
        self.assertLess(len(pair.updates(pair.history)) - before, 9)
        received = pair.value("binding-acknowledgement-rcvd/total")
        self.assertEqual(received, pair.value("mobility-messages-received/binding-acknowledgement"))

    @settings(max_examples=12, deadline=None)
    @given(STEPS, st.integers(0, 1000))
    def test_plain(self, steps: list[Any], seed: int) -> None:
        """One care-of address."""
        self.agree(self.pair(steps, seed))

    @settings(max_examples=8, deadline=None)
    @given(STEPS, st.integers(0, 1000))
    def test_mesg_id(self, steps: list[Any], seed: int) -> None:
        """Replay protection by time, required by the home agent, with a wrong clock at first."""
        pair = self.pair(steps, seed, agent={"mipv6_mesg_id": True})
        pair.skew = -500.0
        self.agree(pair)

    @settings(max_examples=10, deadline=None)
    @given(STEPS, st.integers(0, 1000), st.sampled_from(("bulk", "single", "prohibited")))
    def test_several(self, steps: list[Any], seed: int, allowed: str) -> None:
        """Several care-of addresses, whatever the home agent allows."""
        pair = self.pair(steps, seed, agent={"mipv6_multiple": allowed}, multiple_care_of=True)
        pair.links(WLAN1, LTE)
        pair.command("register")
        pair.run(200)
        self.assertEqual(pair.state, "registered")
        self.assertEqual(pair.bound.care_of, NET1)
        if allowed != "prohibited":
            several = pair.bound.extras.host.several
            self.assertEqual({bid: care.address for bid, care in several.items()}, {1: NET1, 2: NET3})
        self.agree(pair)


def garbage(data: st.DataObject, node: Node) -> Any:
    """Something that nobody should send, or that somebody has changed on the way."""
    sent = [each for each in node.history if isinstance(each, SendMessage)]
    octets = data.draw(st.binary(max_size=80))
    if sent and data.draw(st.booleans()):
        base = bytearray(data.draw(st.sampled_from(sent)).data)
        for _ in range(data.draw(st.integers(0, 4))):
            base[data.draw(st.integers(0, len(base) - 1))] = data.draw(st.integers(0, 255))
        octets = bytes(base)
    if len(octets) >= 8 and data.draw(st.booleans()):
        octets = bytes((59, len(octets) // 8 - 1, data.draw(st.integers(0, 21)))) + octets[3:]
    source = data.draw(st.sampled_from((AGENT, CORRESPONDENT, NET3, bytes(16), b"\xff" * 16)))
    to = data.draw(st.sampled_from((NET1, HOME)))
    home = data.draw(st.sampled_from((b"", HOME, NET3)))
    kind = data.draw(st.sampled_from(("message", "icmp", "links", "seen", "command", "time")))
    if kind == "message":
        if len(octets) >= 8 and data.draw(st.booleans()):
            octets = seal(octets[:4] + b"\0\0" + octets[6:], source, home or to)
        tunnelled, outer = data.draw(st.booleans()), data.draw(st.sampled_from((b"", b"\x01\x02\x03\x04")))
        return MessageReceived(octets, source, to, home, tunnelled, outer, 4191 if outer else 0)
    if kind == "icmp":
        first = data.draw(st.sampled_from((4, 145, 147, 1, 255)))
        return IcmpReceived(bytes((first, data.draw(st.integers(0, 2)))) + octets, source, to, home)
    if kind == "links":
        return Links(data.draw(st.sampled_from((*PLACES, (WLAN4,), (WLAN4, LTE)))))
    if kind == "seen":
        return CorrespondentSeen(data.draw(st.sampled_from((CORRESPONDENT, source, octets))))
    if kind == "command":
        return Command(data.draw(st.sampled_from(("register", "refresh", "deregister", "?"))))
    return data.draw(st.floats(0, 700))


class AnythingTest(SynchronousTestCase):
    """RFC 6275 section 9.2 and common sense: nothing that comes in raises, or makes a storm."""

    @settings(max_examples=35, deadline=None)
    @given(st.data(), st.booleans(), st.booleans())
    def test_never_raises(self, data: st.DataObject, several: bool, discovers: bool) -> None:
        """Random and changed messages, links and commands in any order."""
        changes: dict[str, Any] = {"multiple_care_of": several, "route_optimization": True, "ipv4_home": True}
        if discovers:
            changes |= {"home_agent": b"", "prefix_discovery": True}
        node = Node(**changes)
        node.links(WLAN1)
        for _ in range(data.draw(st.integers(0, 25))):
            before, size = node.mono, len(node.history)
            event = garbage(data, node)
            if isinstance(event, float):
                node.pass_time(event)
                self.assertLess(len(node.history) - size, 100 + 5 * (node.mono - before))
            else:
                node.feed(event)
            if data.draw(st.booleans()) and node.updates(node.history):
                node.answer(data.draw(st.sampled_from((0, 1, 128, 129, 134, 135, 144, 146, 166, 168))))
            node.node.report(node.now)
        value = node.value
        heading = "mobility-messages-received/"
        parts = [row.key for row in MN.rows if row.key.startswith(heading) and row.kind != "sum"]
        self.assertEqual(value(heading + "total"), sum(value(key) for key in parts))

    def test_many_numbers(self) -> None:
        """A home agent that answers all sorts of status has each update answered once."""
        chance = random.Random(3)
        node = Node()
        node.links(WLAN1)
        for _ in range(300):
            if node.updates():
                node.answer(chance.choice((0, 0, 128, 135, 144, 145, 174)), sequence=chance.getrandbits(16))
            node.pass_time(chance.random() * 100)
        for sent in node.of(SendMessage, node.history):
            message, faults = decode(sent.data)
            self.assertTrue(message is not None and not faults)
