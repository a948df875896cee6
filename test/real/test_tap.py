"""An anchor on real sockets with a tap: what is told is what went over the wire."""

import asyncio
import io
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scapy.layers import inet, inet6
from scapy.utils import RawPcapNgReader
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from appliance.capture import Captures
from appliance.ports import ServicePort, SessionFilter, SessionView, TapFilter
from appliance.protocols.mobility.messages import BU_A, BU_F, BU_P
from appliance.protocols.pmipv6 import lma_checks
from appliance.protocols.pmipv6.driver import LmaDriver
from appliance.protocols.pmipv6.events import ClearSessions
from appliance.protocols.pmipv6.probe import Probe
from appliance.protocols.pmipv6.settings import Peer
from appliance.tap import ENDED, INBOUND, MADE, OUTBOUND, Tap, TappedEvent, TappedMessage
from appliance.watch import Watch
from test.cli.fake_services import session
from test.protocols.pmipv6.lma_fakes import WALL, World
from test.protocols.test_rawsock import FakeReactor

OURS, GATEWAY = "127.53.12.8", "127.53.12.9"


def may_open_raw_sockets() -> bool:
    """Whether this process may."""
    try:
        socket.socket(socket.AF_INET6, socket.SOCK_RAW, 135).close()
    except OSError:
        return False
    return True


class FakeEngine:
    """Forwards nothing."""

    def install(self, effect: Any) -> None:
        """Take it."""

    def remove(self, call_id: int) -> None:
        """Take it."""


class AnchorTest(SynchronousTestCase):
    """One LMA on ::1 and 127.53.12.8; the gateway is a UDP socket of the test."""

    skip = None if may_open_raw_sockets() else "raw sockets need CAP_NET_RAW"

    def setUp(self) -> None:
        """Start it."""
        # For an anchor 127/8 is nobody's address; here it saves a network of our own.
        self.patch(lma_checks, "is_unicast", lambda _: True)
        self.world = World(
            ipv4_address=socket.inet_aton(OURS),
            address=socket.inet_pton(socket.AF_INET6, "::1"),
            peers=(Peer(address=socket.inet_aton(GATEWAY), prefix_length=32),),
            forced_udp_encapsulation=True,
        )
        self.raw = Tap()
        self.watch = Watch(self.raw, self.services)
        reactor = FakeReactor()
        clock = lambda: self.world.now  # noqa: E731
        probe = Probe(self.raw, clock, "lma", "lma1")
        engine: Any = FakeEngine()
        self.driver = LmaDriver(reactor, clock, self.world.lma, engine, lambda _: None, None, probe)
        self.driver.start(reactor, self.world.settings.address, self.world.settings.ipv4_address)
        self.addCleanup(self.driver.stop)
        self.gateway = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(self.gateway.close)
        self.gateway.bind((GATEWAY, 5436))
        self.gateway.settimeout(2)

    def services(self, kind: str = "", name: str = "") -> list[ServicePort]:
        """This test is the service."""
        service: Any = self
        return [service]

    name = "lma1"

    def sessions(self, wanted: SessionFilter) -> Iterator[SessionView]:
        """The sessions of the core, as the service shows them."""
        found = self.world.lma.sessions(mn_id=wanted.username.encode(), call_id=wanted.call_id)
        return (session(call_id=one.call_id, username=one.mn_id.decode()) for one in found)

    def exchange(self, **what: Any) -> bytes:
        """Send a PBU over UDP; returns the answer."""
        what.setdefault("flags", BU_A | BU_P | BU_F)
        data, _, _ = self.world.build(source=socket.inet_aton(GATEWAY), port=5436, **what)
        self.gateway.sendto(data, (OURS, 5436))
        signalling: Any = self.driver._signalling
        signalling._sockets[4].doRead()
        return self.gateway.recv(4096)

    def test_monitor(self) -> None:
        """PBU in, session made, PBA out; then its end: all told, in order, with the octets of the wire."""
        subscription = self.watch.subscribe(TapFilter(username="mn1@example.org"), 10)
        answer = self.exchange()
        told = subscription.take()
        kinds = [one.what if isinstance(one, TappedEvent) else one.direction for one in told]
        self.assertEqual(kinds, [INBOUND, MADE, OUTBOUND])
        out = told[2]
        assert isinstance(out, TappedMessage)
        self.assertEqual((out.data, out.port), (answer, 5436))
        self.assertEqual(out.peer, socket.inet_aton(GATEWAY))
        self.driver.feed(ClearSessions())
        ends = [one for one in subscription.take() if isinstance(one, TappedEvent)]
        self.assertEqual([one.what for one in ends], [ENDED])

    def test_capture(self) -> None:
        """The file has both packets as they would be seen on the wire."""
        directory = Path(tempfile.mkdtemp(prefix="appliance-test-"))
        self.addCleanup(shutil.rmtree, directory, True)
        file = str(directory / "anchor.pcapng")
        clock = Clock()
        captures = Captures(
            self.watch,
            lambda level, text: None,
            lambda: self.world.now,
            clock.callLater,
            lambda call, *args: None,
        )
        loop = asyncio.new_event_loop()
        self.addCleanup(loop.close)
        loop.run_until_complete(captures.start(file, TapFilter(peer=GATEWAY), 1 << 20, 0))
        answer = self.exchange()
        loop.run_until_complete(captures.stop(file))
        with RawPcapNgReader(io.BytesIO(Path(file).read_bytes())) as reader:
            found = [(inet.IP(data), facts) for data, facts in reader]
        self.assertEqual([(one.src, one.dst) for one, _ in found], [(GATEWAY, OURS), (OURS, GATEWAY)])
        self.assertEqual(bytes(found[1][0][inet.UDP].payload), answer)
        time = (found[0][1].tshigh << 32) + found[0][1].tslow
        self.assertEqual(time, round(WALL * 1_000_000))
        self.assertFalse(found[0][0].haslayer(inet6.IPv6))
