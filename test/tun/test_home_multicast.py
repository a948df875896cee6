"""The sockets for multicast of a home link (RFC 6275 section 10.4.3)."""

from typing import Any

from scapy.compat import raw
from scapy.layers.inet import UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from appliance.counters import LMA, CounterSet
from appliance.errors import ResourceError
from appliance.tun import groups, home_multicast
from appliance.tun import packet as ip
from appliance.tun.device import PacketDevice, System
from appliance.tun.forwarding import Forwarding
from appliance.tun.home_multicast import HomeMulticast
from appliance.tun.offload import NO_OFFLOAD
from test.tun.test_forwarding import LMA_ADDRESS, session
from test.tun.test_forwarding import packed as octets
from test.tun.test_groups import CARE, GROUP, HOMES, report


class FakeSocket:
    """What waits at a packet socket; or a socket for memberships."""

    def __init__(self) -> None:
        self.waiting: list[bytes | OSError] = []
        self.options: list[tuple[int, bytes]] = []
        self.closed = False

    def recv(self, _size: int) -> bytes:
        """The next frame, or what is wrong."""
        found = self.waiting.pop(0) if self.waiting else BlockingIOError()
        if isinstance(found, OSError):
            raise found
        return found

    def setsockopt(self, _level: int, option: int, value: bytes) -> None:
        """A membership."""
        self.options.append((option, value[:16]))

    def fileno(self) -> int:
        """No descriptor."""
        return -1

    def close(self) -> None:
        """Noted."""
        self.closed = True


class FakeSystem(System):
    """A host whose home link is there, or not."""

    there = True

    def __init__(self) -> None:
        self.opened: list[FakeSocket] = []

    def open_groups(self, interface: str) -> PacketDevice:
        """Another socket each time."""
        if not self.there:
            raise ResourceError("there is no such device")
        self.opened.append(FakeSocket())
        return PacketDevice(self.opened[-1], interface)  # type: ignore[arg-type]

    @staticmethod
    def link_address(interface: str) -> bytes:
        """That of the device."""
        return octets("fe80::1")


class FakeReactor(Clock):
    """A clock that takes readers."""

    def addReader(self, reader: Any) -> None:
        """The one that is there now."""
        self.reader = reader

    def removeReader(self, reader: Any) -> None:
        """Nobody reads."""
        self.reader = None


class MulticastTests(SynchronousTestCase):
    """One host that is away."""

    def setUp(self) -> None:
        """It is bound; what goes into its tunnel is collected."""
        self.reactor, self.system = FakeReactor(), FakeSystem()
        self.table = Forwarding(CounterSet(LMA), "lma", LMA_ADDRESS)
        self.table.set_home(((octets("2001:db8:1:1::"), 64),))
        self.made = self.table.install(session(prefixes=((HOMES[0], 128),), ipv4_address=None, peer=CARE))
        self.members: list[FakeSocket] = []
        self.patch(home_multicast.socket, "socket", self.member_socket)
        self.patch(home_multicast.socket, "if_nametoindex", lambda _name: 7)
        self.sent: list[bytes] = []
        self.link = HomeMulticast(
            self.reactor, self.system, self.table, "home0", lambda packet, _: [packet],
            lambda _session, packets: self.sent.extend(packets), lambda: None, self.reactor.seconds,
        )  # fmt: skip
        self.reactor.advance(groups.STEP)

    def member_socket(self, *_: Any) -> FakeSocket:
        """One for memberships."""
        self.members.append(FakeSocket())
        return self.members[-1]

    def frame(self, group: str, source: str = "2001:db8:1:1::80", hops: int = 8) -> None:
        """A frame on the link."""
        frame = Ether() / IPv6(src=source, dst=group, hlim=hops) / UDP(sport=1, dport=2) / b"x"
        self.system.opened[-1].waiting.append(NO_OFFLOAD + raw(frame))
        self.reactor.reader.doRead()

    def test_what_is_tunnelled(self) -> None:
        """A wanted group of global scope, one hop less; not from a link-local source, nor worn out."""
        self.assertEqual([packet[48] for packet in self.sent], [groups.QUERY])
        self.sent.clear()
        self.frame("ff1e::1234")
        self.assertEqual(self.sent, [])
        self.assertTrue(self.link.heard(CARE, report((4, "ff1e::1234", 0)), 0.0))
        self.assertFalse(self.link.heard(CARE, ip.ipv6_packet(HOMES[0], GROUP, 17, bytes(8)), 0.0))
        self.frame("ff1e::1234")
        self.assertEqual([(packet[7], packet[24:40]) for packet in self.sent], [(7, GROUP)])
        self.frame("ff1e::1234", source="fe80::80")
        self.frame("ff1e::1234", hops=1)
        self.frame("ff1e::4321")
        self.frame("ff02::1234")
        self.assertEqual(len(self.sent), 1)
        removed = self.table.remove(self.made.call_id)
        assert removed is not None
        self.link.went(removed)
        self.frame("ff1e::1234")
        self.assertEqual(len(self.sent), 1)
        join, leave = home_multicast.socket.IPV6_JOIN_GROUP, home_multicast.socket.IPV6_LEAVE_GROUP
        self.assertEqual(self.members[0].options, [(join, GROUP), (leave, GROUP)])

    def test_the_device_goes_and_comes(self) -> None:
        """It is looked for every second; the new one joins what is wanted."""
        self.link.heard(CARE, report((4, "ff1e::1234", 0)), 0.0)
        self.system.there = False
        self.system.opened[0].waiting.append(OSError(100, "Network is down"))
        self.reactor.reader.doRead()
        self.assertTrue(self.system.opened[0].closed and self.members[0].closed)
        self.reactor.pump([groups.STEP] * 3)
        self.assertEqual(len(self.system.opened), 1)
        self.system.there = True
        self.reactor.advance(groups.STEP)
        self.assertEqual([group for _, group in self.members[1].options], [GROUP])
        self.link.close()
        self.assertTrue(self.system.opened[1].closed and self.members[1].closed)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
