"""A mobile node with a clock that is set by hand, and the real core of a home agent across a network."""

import random
from collections.abc import Callable
from typing import Any

from appliance.counters import MN, CounterSet
from appliance.protocols.mipv6.events import OptionsReceived, SendRouted
from appliance.protocols.mn.events import (
    Command,
    Link,
    Links,
    MessageReceived,
    Reconfigure,
    SendIcmp,
    SendMessage,
)
from appliance.protocols.mn.node import MobileNode
from appliance.protocols.mn.settings import Association, MnSettings, MobileInterface
from appliance.protocols.mobility import messages as msg
from appliance.protocols.mobility.codec import decode, encode, seal, verify
from appliance.protocols.mobility.options import Authentication, MessageIdentification
from appliance.protocols.mobility.packet import MobilityPacket, build_ipv6
from appliance.protocols.pmipv6.events import PacketReceived, Send
from appliance.protocols.timers import Now
from test.protocols.mipv6.fakes import ALICE, HOME, KEY, SPI, HostWorld, mn_ha
from test.protocols.pmipv6.lma_fakes import LMA_ADDRESS, LMA_IPV4, WALL, packed

AGENT, AGENT4 = LMA_ADDRESS, LMA_IPV4
AGENT2 = packed("2001:db8:ffff::2")
NET1, NET2, NET3 = (packed(f"2001:db8:c{number}::99") for number in (1, 2, 3))
V4A, V4B = packed("10.0.0.7"), packed("10.9.0.7")
WLAN1, WLAN2, LTE = Link("wlan0", NET1), Link("wlan0", NET2), Link("lte0", NET3)
WLAN4, LTE4 = Link("wlan0", V4A), Link("lte0", V4B)
AT_HOME = Link("eth0", packed("2001:db8:100::77"), home=True)
CORRESPONDENT = packed("2001:db8:d::1")


def settings(**changes: Any) -> MnSettings:
    """Settings of Alice's mobile node."""
    fields: dict[str, Any] = {
        "name": "mn1",
        "home_agent": AGENT,
        "home_agent_ipv4": AGENT4,
        "home_address": HOME,
        "mn_id": ALICE,
        "associations": (Association(spi=SPI, key=KEY),),
        "interfaces": (
            MobileInterface(name="wlan0", preference=200, bid=1),
            MobileInterface(name="lte0", preference=100, bid=2),
            MobileInterface(name="eth0", preference=50, bid=3),
        ),
        **changes,
    }
    return MnSettings(**fields)


class Node:
    """One mobile node and everything that it wants done."""

    def __init__(self, seed: int = 1, **changes: Any) -> None:
        self.counters = CounterSet(MN)
        self.settings = settings(**changes)
        self.node = MobileNode(self.settings, self.counters, random.Random(seed).getrandbits)
        self.mono = 1000.0
        self.skew = 0.0
        self.effects: list[Any] = []
        #: All that was ever wanted.
        self.history: list[Any] = []

    @property
    def now(self) -> Now:
        """Both clocks; that of the day may be wrong by ``skew``."""
        return Now(self.mono, WALL + self.mono - 1000 + self.skew)

    def feed(self, event: Any) -> list[Any]:
        """Give the node an event; returns the effects."""
        self.node.receive(event, self.now)
        return self._taken()

    def _taken(self) -> list[Any]:
        self.effects = self.node.take()
        self.history += self.effects
        for each in self.effects:
            if isinstance(each, SendMessage):
                # The home address stands for the source in the checksum.
                assert verify(each.data, each.home or each.source, each.destination)
        return self.effects

    def links(self, *links: Link) -> list[Any]:
        """There are these links."""
        return self.feed(Links(links))

    def command(self, what: str) -> list[Any]:
        """An operator's wish."""
        return self.feed(Command(what))

    def change(self, **changes: Any) -> list[Any]:
        """Other settings."""
        self.settings = settings(**changes)
        return self.feed(Reconfigure(self.settings))

    def pass_time(self, seconds: float) -> list[Any]:
        """Let time go by, with all that becomes due; returns the effects."""
        end, found = self.mono + seconds, []
        for _ in range(10_000):
            deadline = self.node.deadline
            if deadline is None or deadline > end:
                break
            self.mono = max(self.mono, deadline)
            self.node.tick(self.now)
            found += self._taken()
        else:
            raise AssertionError("the node does not come to rest")
        self.mono = end
        self.effects = found
        return found

    def value(self, key: str) -> int:
        """A counter."""
        return self.counters.value(key)

    @property
    def state(self) -> str:
        """What an operator sees."""
        return self.node.report(self.now).state

    def updates(self, effects: list[Any] | None = None) -> list[msg.BindingUpdate]:
        """The Binding Updates among effects (the last ones)."""
        found = []
        for each in self.effects if effects is None else effects:
            if isinstance(each, SendMessage) and each.data[2] == 5:
                message, faults = decode(each.data)
                assert isinstance(message, msg.BindingUpdate) and not faults
                found.append(message)
        return found

    def of(self, cls: type, effects: list[Any] | None = None) -> list[Any]:
        """The effects of one class."""
        return [each for each in (self.effects if effects is None else effects) if isinstance(each, cls)]

    def answer(
        self, status: int = 0, *, sent: SendMessage | None = None, **what: Any
    ) -> list[Any]:
        """Answer an update (the last one) as the home agent would; returns the effects.

        Keywords: flags, sequence, lifetime, options, key and spi (None: without authenticator), care_of,
        home, source.
        """
        sent = sent or [each for each in self.of(SendMessage, self.history) if each.data[2] == 5][-1]
        update, _ = decode(sent.data)
        assert isinstance(update, msg.BindingUpdate)
        home = what.get("home", sent.home or sent.source)
        care_of = what.get("care_of", sent.source)
        options = list(what.get("options", ()))
        key = what.get("key", KEY)
        if not what.get("bare"):
            options += [each for each in update.options if isinstance(each, MessageIdentification)]
        if key is not None:
            options.append(Authentication(1, what.get("spi", SPI), bytes(12)))
        sequence = what.get("sequence", update.sequence)
        lifetime = what.get("lifetime", update.lifetime if status < 128 else 0)
        mh = encode(msg.BindingAcknowledgement(status, what.get("flags", 0), sequence, lifetime, options))
        if key is not None:
            mh = mh[:-12] + mn_ha(mh, care_of, home, key)
        source = what.get("source", sent.destination)
        return self.feed(message(mh, source, sent, home))


def message(mh: bytes, source: bytes, sent: SendMessage, home: bytes) -> MessageReceived:
    """A message of the home agent on the way that the answer to ``sent`` takes."""
    data = seal(mh, source, home)
    if sent.outer:
        return MessageReceived(data, source, home, outer=sent.outer, port=4191)
    if not sent.home:
        return MessageReceived(data, source, home)
    return MessageReceived(data, source, sent.source, home)


class Pair(Node):
    """A mobile node and the real core of a home agent, with a network between that may lose and reorder."""

    def __init__(self, seed: int = 1, agent: dict[str, Any] | None = None, **changes: Any) -> None:
        super().__init__(seed, **changes)
        self.world = HostWorld(**(agent or {}))
        self.chance = random.Random(seed)
        #: What part of the packets is lost.
        self.loss = 0.0
        #: Seconds of the way, at most.
        self.delay = 0.02
        #: Of the care-of addresses: only these can reach the home agent; None: all that the node has.
        self.reachable: Callable[[bytes], bool] = lambda address: True
        self._way: list[tuple[float, int, str, Any]] = []
        self._count = 0

    def _put(self, to: str, packet: Any) -> None:
        if self.chance.random() >= self.loss:
            self._count += 1
            self._way.append((self.mono + self.chance.random() * self.delay, self._count, to, packet))

    def _taken(self) -> list[Any]:
        found = super()._taken()
        for each in found:
            plain = isinstance(each, SendMessage) and each.destination == AGENT
            if (plain and self.reachable(each.source)) or isinstance(each, SendIcmp):
                self._put("agent", each)
        return found

    def run(self, seconds: float) -> None:
        """Let time go by on both sides."""
        end = self.mono + seconds
        for _ in range(20_000):
            times = [each[0] for each in self._way]
            times += [each for each in (self.node.deadline, self.world.lma.deadline) if each is not None]
            due = min(times, default=end + 1)
            if due > end:
                break
            self.mono = self.world.mono = max(self.mono, due)
            self._deliver()
            if self.node.deadline is not None and self.node.deadline <= self.mono:
                self.node.tick(self.now)
                self._taken()
            lma = self.world.lma
            if lma.deadline is not None and lma.deadline <= self.mono:
                lma.tick(self.world.now)
                self._agent_effects()
        else:
            raise AssertionError("the two do not come to rest")
        self.mono = self.world.mono = end

    def _deliver(self) -> None:
        due = sorted(each for each in self._way if each[0] <= self.mono)
        self._way = [each for each in self._way if each[0] > self.mono]
        for _, _, to, packet in due:
            if to == "agent":
                self._to_agent(packet)
            else:
                self.feed(packet)

    def inward(self, sent: Any) -> Any:
        """The event of the home agent that an effect of the node becomes; ``None``: it does not get there."""
        if not isinstance(sent, SendMessage) or sent.outer:
            return None
        if not sent.home:
            return PacketReceived(sent.data, sent.source, AGENT)
        mh = sent.data[:4] + b"\0\0" + sent.data[6:]
        octets = build_ipv6(MobilityPacket(sent.source, AGENT, mh, home_source=sent.home))
        return OptionsReceived(octets[40:], sent.source, AGENT)

    def outward(self, effect: Any) -> Any:
        """The event of the node that an effect of the home agent becomes; ``None``: it is not for it."""
        if isinstance(effect, SendRouted):
            return MessageReceived(effect.data, effect.source, effect.destination, effect.home)
        if isinstance(effect, Send):
            return MessageReceived(effect.data, effect.source, effect.destination)
        return None

    def order(self, event: Any) -> None:
        """Give the home agent an event."""
        self.world.mono = self.mono
        self.world.lma.receive(event, self.world.now)
        self._agent_effects()

    def _to_agent(self, sent: Any) -> None:
        event = self.inward(sent)
        if event is not None:
            self.order(event)

    def _agent_effects(self) -> None:
        for each in self.world.lma.take():
            event = self.outward(each)
            if event is not None:
                self._put("node", event)

    @property
    def bound(self) -> Any:
        """The home agent's entry; ``None``: there is none, or it is being deleted."""
        entry = self.world.lma._sessions.cache.prefixes.get(self.settings.home_address)
        return None if entry is None or entry.deleting else entry
