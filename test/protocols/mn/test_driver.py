"""A mobile node's driver: which effect goes where, what becomes of what comes, and what it leaves."""

import gc
import weakref
from typing import Any
from unittest import mock

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from appliance.counters import MN, CounterSet
from appliance.protocols.bits import internet_checksum, pseudo_header
from appliance.protocols.mn import driver, traffic
from appliance.protocols.mn.events import (
    AtHome,
    HomeAddress,
    IcmpReceived,
    Links,
    MessageReceived,
    Path,
    RemoveTunnel,
    SendIcmp,
    SendMessage,
    Tunnel,
)
from appliance.protocols.mn.hoststate import HomeState
from appliance.protocols.mn.movement import Address, Device, Snapshot
from appliance.protocols.mn.settings import MnSettings, MobileInterface
from appliance.protocols.mobility.packet import parse_ipv6
from appliance.protocols.timers import Now
from appliance.tun import packet as ip
from test.protocols.mn.test_movement import HOME, SETTINGS, A, packed

AGENT, AGENT4, CELL = packed("2001:db8:ffff::1"), packed("198.51.100.1"), packed("10.0.0.2")
MESSAGE = bytes((59, 0, 5, 0, 0, 0, 0, 0))


class FakeEnd:
    """The sockets of one care-of address."""

    made: list["FakeEnd"] = []

    def __init__(self, _reactor: Any, interface: str, address: bytes, _hears: Any) -> None:
        self.interface, self.address = interface, address
        self.udp: Any = None
        self.sent: list[tuple[Any, ...]] = []
        self.open = True
        FakeEnd.made.append(self)

    def send_message(self, *what: Any) -> bool:
        """As an end."""
        self.sent.append(("message", *what))
        return True

    def send_icmp(self, *what: Any) -> bool:
        """As an end."""
        self.sent.append(("icmp", *what))
        return True

    def send_whole(self, *what: Any) -> bool:
        """As an end."""
        self.sent.append(("whole", *what))
        return True

    def send_udp(self, *what: Any) -> bool:
        """As an end."""
        self.sent.append(("udp", *what))
        return True

    def stop(self) -> None:
        """As an end."""
        self.open = False


class FakeHost:
    """Keeps what is wanted."""

    def __init__(self) -> None:
        self.wanted = HomeState()

    def want(self, state: HomeState) -> None:
        """Keep it."""
        self.wanted = state


class FakeCore:
    """Remembers events, gives prepared effects."""

    deadline = None

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.out: list[Any] = []

    def receive(self, event: Any, _now: Now) -> None:
        """Remember it."""
        self.events.append(event)

    def tick(self, _now: Now) -> None:
        """Nothing is due."""

    def take(self) -> list[Any]:
        """What was prepared."""
        out, self.out = self.out, []
        return out


class DriverTests(SynchronousTestCase):
    """A driver between a prepared core and sockets of no network."""

    def setUp(self) -> None:
        """Make it, with the node in one IPv6 network."""
        FakeEnd.made = []
        self.patch(driver, "End", FakeEnd)
        self.patch(driver, "solicit", lambda _interface: None)
        self.patch(traffic, "opened", lambda *_a, **_k: mock.Mock(fileno=lambda: 0))
        self.clock = Clock()
        self.reactor = mock.Mock(seconds=self.clock.seconds, callLater=self.clock.callLater)
        self.core, self.host = FakeCore(), FakeHost()
        self.counters = CounterSet(MN)
        self.told: list[Any] = []
        self.driver = driver.MnDriver(
            self.reactor, lambda: Now(self.clock.seconds(), 0.0), self.core, SETTINGS, self.counters,
            self.host, self.told.append,  # type: ignore[arg-type]
        )  # fmt: skip
        self.routes = {("wlan0", bytes(16), 0), ("cell0", bytes(4), 0)}
        self.seen(wlan0=A)
        (self.end,) = FakeEnd.made

    def seen(self, **devices: bytes) -> None:
        """The host has these addresses."""
        found = {name: Device(name, True, 0.0, [Address(one, 64)]) for name, one in devices.items()}
        self.driver.saw(Snapshot(found, set(self.routes)))

    def perform(self, *effects: Any) -> None:
        """Have the core want this."""
        self.core.out += effects
        self.driver.command("refresh")

    def test_sockets_follow_the_links(self) -> None:
        """One end for each care-of address; the core hears of a change once."""
        self.seen(wlan0=A)
        self.assertEqual(len([each for each in self.core.events if isinstance(each, Links)]), 1)
        self.seen(cell0=CELL)
        self.assertEqual([(each.address, each.open) for each in FakeEnd.made], [(A, False), (CELL, True)])
        self.assertEqual(self.host.wanted.sources, frozenset((CELL,)))
        self.assertEqual(self.counters.value("surroundings/link-changes"), 2)

    def test_messages_go_their_ways(self) -> None:
        """Plain, with a Home Address option, over UDP; what cannot be sent is counted."""
        self.seen(wlan0=A, cell0=CELL)
        cell = FakeEnd.made[-1]
        self.perform(
            SendMessage(MESSAGE, A, AGENT, interface="wlan0"),
            SendMessage(MESSAGE, A, AGENT, HOME, interface="wlan0"),
            SendMessage(MESSAGE, HOME, AGENT, interface="cell0", outer_source=CELL, outer=AGENT4, port=4191),
            SendMessage(MESSAGE, HOME, AGENT, tunnelled=True),
            SendMessage(MESSAGE, packed("2001:db8::77"), AGENT, interface="gone0"),
            SendIcmp(b"\x90" + bytes(7), A, AGENT, interface="wlan0"),
        )
        kinds = [each[0] for each in self.end.sent]
        self.assertEqual(kinds, ["message", "whole", "icmp"])
        self.assertEqual(parse_ipv6(self.end.sent[1][1]).home_source, HOME)
        ((_, inside, *where),) = cell.sent
        self.assertEqual((inside[6], inside[8:24], where), (135, HOME, [AGENT4, 4191]))
        self.assertEqual(self.counters.value("surroundings/not-sent"), 2)

    def test_what_comes_is_told(self) -> None:
        """With the home address of a routing header; ICMPv6 only with a right checksum."""
        end: Any = self.end
        self.driver.message(end, MESSAGE, AGENT)
        self.driver.routed(end, bytes((135, 2, 2, 1, 0, 0, 0, 0)) + HOME + MESSAGE, AGENT)
        self.driver.routed(end, b"\x87\2\2", AGENT)
        reply = b"\x91\0\0\0" + bytes(4)
        check = internet_checksum(pseudo_header(AGENT, A, len(reply), ip.ICMP6) + reply)
        self.driver.icmp(end, reply, AGENT)
        self.driver.icmp(end, reply[:2] + check.to_bytes(2, "big") + reply[4:], AGENT)
        found = [each for each in self.core.events if isinstance(each, MessageReceived | IcmpReceived)]
        homes = [(type(each).__name__, each.home) for each in found]
        wanted = [("MessageReceived", b""), ("MessageReceived", HOME), ("IcmpReceived", b"")]
        self.assertEqual(homes, wanted)

    def test_the_host_follows(self) -> None:
        """Tunnel, home address and home link become what the host is to be like."""
        self.perform(HomeAddress(HOME), Tunnel(HOME, None, (), (Path("wlan0", A, AGENT),)))
        self.assertEqual((self.host.wanted.home, self.host.wanted.tunnel), (HOME, True))
        self.perform(RemoveTunnel(), HomeAddress(b""), AtHome("wlan0", HOME))
        wanted = self.host.wanted
        self.assertEqual((wanted.home, wanted.tunnel, wanted.home_link), (b"", False, "wlan0"))
        self.assertEqual(FakeEnd.made[-1].address, HOME)
        self.perform(AtHome(""))
        self.assertEqual((self.host.wanted.at_home, FakeEnd.made[-1].open), (b"", False))

    def test_routers_are_asked_again(self) -> None:
        """After the carrier came, until one has shown itself."""
        asked: list[str] = []
        self.patch(driver, "solicit", asked.append)
        stale = Address(A, 64, 0, confirmed=1.0)
        self.clock.advance(100)
        self.driver.saw(Snapshot({"wlan0": Device("wlan0", True, 100.0, [stale])}, set(self.routes)))
        self.clock.pump([0.5] * 20)
        self.assertEqual(asked, ["wlan0"] * 4)

    def test_nothing_is_left(self) -> None:
        """No reference cycle: the collector's oldest generation is off."""
        self.perform(Tunnel(HOME, None, (), (Path("wlan0", A, AGENT),)))
        gc.collect()
        gc.disable()
        try:
            kept = weakref.ref(self.driver), weakref.ref(self.driver.traffic)
            self.driver.stop()
            del self.driver, self.end
            FakeEnd.made = []
            self.reactor.reset_mock()
            self.assertEqual([each() for each in kept], [None, None])
        finally:
            gc.enable()

    def test_other_settings(self) -> None:
        """Interfaces may be others from now on."""
        changed = MnSettings(
            name="mn1", home_address=HOME, home_agent_ipv4=AGENT4, interfaces=(MobileInterface(name="cell0"),)
        )
        self.seen(wlan0=A, cell0=CELL)
        self.driver.reconfigure(changed)
        self.assertEqual(self.core.events[-1].links[0].interface, "cell0")
        self.assertEqual(len(self.core.events[-1].links), 1)
