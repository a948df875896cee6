"""Which frames of an access link are control frames, and what becomes of all others."""

import os
from ipaddress import ip_address

from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.dhcp6 import DHCP6_Solicit
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    ICMPv6MLReport,
    ICMPv6ND_RS,
    IPv6,
    IPv6ExtHdrHopByHop,
)
from scapy.layers.l2 import ARP, Ether
from twisted.trial.unittest import SynchronousTestCase

from appliance.counters import LMA, MAG, CounterSet
from appliance.protocols.pmipv6.events import Install
from appliance.tun.access import is_control
from appliance.tun.device import PacketDevice, System
from appliance.tun.engine import FIXED_LINK_LAYER, Engine
from test.fuzz import DECODER_CASES

CASES = int(os.environ.get("FUZZ", "200"))
MAC = "02:00:5e:10:00:01"


class FakeLink(PacketDevice):
    """A packet socket without a socket."""

    def __init__(self) -> None:
        self.interface = "acc0"
        self.written: list[bytes] = []

    def fileno(self) -> int:
        """No descriptor."""
        return -1

    def write(self, parts: list[bytes]) -> None:
        """Keep what goes out."""
        self.written.append(b"".join(parts))

    def close(self) -> None:
        """Nothing to close."""


class FakeSystem(System):
    """A host with one access link and no tunnels."""

    def __init__(self) -> None:
        self.link = FakeLink()

    def open_packet(self, interface: str, link_layer: bytes) -> PacketDevice:
        """The one link."""
        return self.link

    def route_mtu(self, local: bytes, peer: bytes) -> int:
        """Nothing is known."""
        return 0


class FakeReactor:
    """Takes readers and forgets them."""

    def addReader(self, reader: object) -> None:
        """Nothing."""

    def removeReader(self, reader: object) -> None:
        """Nothing."""


class AccessTests(SynchronousTestCase):
    def setUp(self) -> None:
        """An engine with one link and two mobiles that reach each other directly."""
        self.control: list[bytes] = []
        self.active: list[tuple[str, bytes]] = []
        self.system = FakeSystem()
        self.counters = CounterSet(MAG)
        self.engine = Engine(
            FakeReactor(),
            self.system,
            self.counters,
            bytes(16),
            None,
            1500,
            None,
            None,
            "mag",
            lambda interface, frame: self.control.append(frame),
            lambda interface, mac: self.active.append((interface, mac)),
            True,
        )
        self.engine.add_link("acc0")
        for call_id in (1, 2):
            prefix = ip_address(f"2001:db8:1:{call_id}::").packed
            peer = ip_address("2001:db8::1").packed
            mac = bytes.fromhex(f"02005e10000{call_id}")
            effect = Install(
                call_id, ((prefix, 64),), None, bytes(16), peer, interface="acc0", link_layer=mac
            )
            self.engine.install(effect)

    def frame(self, data: bytes) -> None:
        """A frame arrives without offloads."""
        self.engine._links["acc0"]._frame(bytes(10) + data, 100.0)
        for link in self.engine._links.values():
            link.coalescer.flush()

    def test_control(self) -> None:
        """Neighbour discovery, MLD, ARP and DHCP are control; echoes, TCP and UDP are not."""
        ether = Ether(dst="33:33:00:00:00:02", src=MAC)
        for packet, control in (
            (IPv6() / ICMPv6ND_RS(), True),
            (IPv6() / IPv6ExtHdrHopByHop() / ICMPv6MLReport(), True),
            (ARP(), True),
            (IP() / UDP(sport=68, dport=67), True),
            (IPv6() / UDP(sport=546, dport=547) / DHCP6_Solicit(), True),
            (IPv6() / ICMPv6EchoRequest(), False),
            (IPv6() / TCP(), False),
            (IPv6() / UDP(dport=53), False),
            (IP() / UDP(sport=67, dport=53), False),
            (IP() / ICMP(), False),
        ):
            self.assertEqual(is_control(bytes(ether / packet)), control, packet.summary())

    def test_control_is_given_on(self) -> None:
        """The access core gets the whole frame."""
        frame = bytes(Ether(dst="33:33:00:00:00:02", src=MAC) / IPv6() / ICMPv6ND_RS())
        self.frame(frame)
        self.assertEqual((self.control, self.system.link.written), ([frame], []))

    def test_local_delivery(self) -> None:
        """A packet to another mobile of the gateway comes out with that mobile's address on it."""
        inner = IPv6(src="2001:db8:1:1::5", dst="2001:db8:1:2::5") / UDP() / b"data"
        for _ in range(2):
            # Padding that a link adds is taken off.
            self.frame(bytes(Ether(dst="00:00:5e:00:52:13", src=MAC) / inner) + bytes(4))
        read = Ether(self.system.link.written[0][10:])
        self.assertEqual((read.dst, read.src), ("02:00:5e:10:00:02", "00:00:5e:00:52:13"))
        self.assertEqual((read.hlim, bytes(read[UDP].payload)), (63, b"data"))
        self.assertEqual(self.engine.usage(1), (2, 104, 0, 0))
        self.assertEqual(self.engine.usage(2), (0, 0, 2, 104))
        self.assertEqual(self.active, [("acc0", bytes.fromhex(MAC.replace(":", "")))])

    def test_foreign(self) -> None:
        """A frame to another address is not ours; a foreign source is counted."""
        inner = IPv6(src="2001:db8:1:2::5", dst="2001:db8:1:1::5") / UDP()
        self.frame(bytes(Ether(dst="02:00:00:00:00:77", src=MAC) / inner))
        self.assertEqual(self.counters.value("access-links/ingress-filtered"), 0)
        self.frame(bytes(Ether(dst="00:00:5e:00:52:13", src=MAC) / inner))
        self.assertEqual(self.counters.value("access-links/ingress-filtered"), 1)
        self.assertEqual(self.system.link.written, [])

    @settings(deadline=None, max_examples=DECODER_CASES)
    @given(
        st.binary(max_size=90),
        st.sampled_from((b"\x86\xdd", b"\x08\x00", b"\x08\x06")),
        st.binary(min_size=10, max_size=10),
    )
    def test_any_frame(self, data: bytes, kind: bytes, offload: bytes) -> None:
        """No frame and no virtio header make the link raise."""
        self.setUp()
        whole = offload + FIXED_LINK_LAYER + bytes.fromhex(MAC.replace(":", "")) + kind + data
        link = self.engine._links["acc0"]
        link._frame(whole, 1.0)
        link._frame(whole[: 10 + len(data) // 2], 1.0)


class TableTests(SynchronousTestCase):
    def test_lma_has_no_filter_row(self) -> None:
        """The anchor counts a foreign source as No Session Found."""
        self.assertRaises(KeyError, CounterSet(LMA).value, "access-links/ingress-filtered")
