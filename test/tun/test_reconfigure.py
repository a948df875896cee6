"""Tunnels whose path MTU, traffic class and local routing change under their sessions."""

import gc
import socket
import weakref
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from appliance.counters import LMA, MAG, CounterSet
from appliance.errors import ResourceError
from appliance.tun.engine import Engine
from appliance.tun.forwarding import Forwarding
from test.tun.test_forwarding import LMA_ADDRESS, MAC, MAG_ADDRESS, MN6, OTHER, PREFIX, LmaCase, session, udp6

PREFIX2 = PREFIX[:7] + b"\x02" + bytes(8)


class ForwardingTests(LmaCase):
    def fits(self, size: int) -> bool:
        """Whether a packet of this size enters the tunnel as it is."""
        self.table.take()
        packet = udp6(size=size)
        return self.table.outbound(packet, len(packet), 5.0) is not None

    def test_path_mtu(self) -> None:
        """Old and new sessions have the new value; counts go on."""
        self.table.reconfigure(1400, None, False)
        self.assertEqual((self.fits(1360), self.fits(1361)), (True, False))
        self.assertEqual(self.table.take()[0].message[4:8], (1360).to_bytes(4, "big"))
        self.table.reconfigure(1500, None, False)
        self.assertTrue(self.fits(1460))

    def test_what_was_learnt_holds(self) -> None:
        """A lower MTU out of an ICMP error lasts until its time is over; a configured lower one is lower."""
        path = self.table.paths[MAG_ADDRESS]
        path.mtu, path.expires, self.table._expiry = 1350, 600.0, 600.0
        self.table.reconfigure(1400, None, False)
        self.assertEqual(path.mtu, 1350)
        self.table.tick(700.0)
        self.assertEqual(path.mtu, 1400)
        path.mtu, path.expires = 1390, 1200.0
        self.table.reconfigure(1300, None, False)
        self.assertEqual(path.mtu, 1300)

    def test_route_knows_better(self) -> None:
        """The kernel's value still counts if it is lower."""
        table = Forwarding(self.counters, "lma", LMA_ADDRESS, route_mtu=lambda local, peer: 1450)
        table.install(session())
        table.reconfigure(1480, None, False)
        self.assertEqual(table.paths[MAG_ADDRESS].mtu, 1450)
        table.reconfigure(1400, None, False)
        self.assertEqual(table.paths[MAG_ADDRESS].mtu, 1400)

    def test_traffic_class(self) -> None:
        """The next packet has the new class."""
        self.assertEqual(self.table.outer_class(udp6(tos=0x20)), 0x20)
        self.table.reconfigure(1500, 0x48, False)
        self.assertEqual(self.table.outer_class(udp6(tos=0x20)), 0x48)
        self.table.reconfigure(1500, None, False)
        self.assertEqual(self.table.outer_class(udp6(tos=0x20)), 0x20)

    def test_local_routing(self) -> None:
        """Packets between two mobiles of one gateway take the short way, and the long one again."""
        table = Forwarding(CounterSet(MAG), "mag", MAG_ADDRESS)
        table.install(session(local=MAG_ADDRESS, peer=LMA_ADDRESS, interface="acc0", link_layer=MAC))
        other = session(2, local=MAG_ADDRESS, peer=LMA_ADDRESS, prefixes=((PREFIX2, 64),), interface="acc1",
                        ipv4_address=None)  # fmt: skip
        table.install(other)
        packet = udp6(MN6, PREFIX2[:8] + bytes(7) + b"\x05")
        for local_routing in (False, True, False):
            table.reconfigure(1500, None, local_routing)
            found = table.from_mobile("acc0", MAC, packet, len(packet), 5.0)
            assert found is not None
            self.assertEqual(found[2] is not None, local_routing)


class Host:
    """Sockets that nobody sends to, and a note of what was set."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.refused: set[Any] = set()

    def open_raw(self, local: bytes, protocol: int) -> socket.socket:
        """A socket."""
        return socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)

    def open_icmp(self, local: bytes | None, version: int) -> socket.socket:
        """A socket."""
        return socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)

    def open_tun(self, name: str, mtu: int) -> Any:
        """A device of that name."""
        host = self

        class Device:
            """Only closed."""

            def __init__(self) -> None:
                self.name = name
                self.end, self.other = socket.socketpair()

            def fileno(self) -> int:
                """To wait on."""
                return self.end.fileno()

            def close(self) -> None:
                """Both ends."""
                host.calls.append("closed")
                self.end.close()
                self.other.close()

        return Device()

    def route_mtu(self, local: bytes, peer: bytes) -> int:
        """Nothing is known."""
        return 0

    def set_mtu(self, name: str, mtu: int) -> None:
        """Of a device."""
        self.note((name, mtu))

    def note(self, what: Any) -> None:
        """One call."""
        if what in self.refused:
            raise ResourceError(f"{what} refused")
        self.calls.append(what)


class Reactor(Clock):
    """Descriptors are nobody's business here."""

    def addReader(self, reader: Any) -> None:
        """Nothing."""

    def removeReader(self, reader: Any) -> None:
        """Nothing."""


class EngineTests(SynchronousTestCase):
    def setUp(self) -> None:
        """An anchor's engine with a session."""
        self.host = Host()
        self.engine = self.started()
        self.addCleanup(self.engine.stop)

    def started(self) -> Engine:
        """One that runs."""
        engine = Engine(
            Reactor(), self.host, CounterSet(LMA), LMA_ADDRESS, None, 1500, None, "tun-x", "lma",
            on_control=lambda *_: None, on_activity=lambda *_: None,
        )  # fmt: skip
        engine.start()
        engine.install(session())
        return engine

    def test_everything_gets_it(self) -> None:
        """Device and sessions have the new path MTU."""
        self.engine.reconfigure(1400, 8, False)
        self.assertEqual(self.host.calls, [("tun-x", 1360)])
        self.engine.install(session(2, peer=OTHER))
        self.assertEqual({path.mtu for path in self.engine.forwarding.paths.values()}, {1400})

    def test_freed(self) -> None:
        """An engine that was stopped is gone with its sessions as soon as nobody knows it."""
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)
        engine = self.started()
        watched = weakref.ref(engine.forwarding)
        engine.stop()
        del engine
        self.assertIsNone(watched())

    def test_nothing_new(self) -> None:
        """The host is not asked for what it has."""
        self.engine.reconfigure(1500, 8, False)
        self.assertEqual(self.host.calls, [])

    def test_refused(self) -> None:
        """What the host refuses leaves all as it was."""
        self.host.refused.add(("tun-x", 1360))
        self.assertRaises(ResourceError, self.engine.reconfigure, 1400, 8, False)
        self.assertEqual(self.host.calls, [])
        self.assertEqual(self.engine.forwarding.paths[MAG_ADDRESS].mtu, 1500)
        self.assertEqual(self.engine.forwarding.outer_class(udp6()), 0)
