"""Neighbor Discovery and ARP frames: against Scapy, against the rules, against random octets."""

import ipaddress
import os

from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet6 import (
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6ND_RS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptMTU,
    ICMPv6NDOptPrefixInfo,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
)
from scapy.layers.l2 import ARP, Ether
from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.access import arp, ndp
from appliance.protocols.bits import DecodeError
from test.fuzz import DECODER_CASES

FUZZ = int(os.environ.get("FUZZ", "200"))
MN, ROUTER = bytes.fromhex("02005e100001"), bytes.fromhex("00005e005213")
MN_LL = ipaddress.IPv6Address("fe80::5eff:fe10:1").packed
ROUTER_LL = ipaddress.IPv6Address("fe80::200:5eff:fe00:5213").packed
ALL_ROUTERS = ipaddress.IPv6Address("ff02::2").packed
PREFIX = ipaddress.IPv6Address("2001:db8:1:1::").packed

octets16 = st.binary(min_size=16, max_size=16)
link_layers = st.one_of(st.just(b""), st.binary(min_size=6, max_size=6))
u32 = st.integers(0, 0xFFFF_FFFF)
prefixes = st.builds(
    ndp.PrefixInformation, octets16, st.integers(0, 128), u32, u32, st.booleans(), st.booleans()
)
targets = octets16.filter(lambda address: address[0] != 0xFF)
messages = st.one_of(
    st.builds(ndp.RouterSolicitation, link_layers),
    st.builds(
        ndp.RouterAdvertisement,
        st.integers(0, 0xFFFF),
        st.lists(prefixes, max_size=4).map(tuple),
        u32,
        link_layers,
        st.integers(0, 255),
    ),
    st.builds(ndp.NeighborSolicitation, targets, link_layers),
    st.builds(ndp.NeighborAdvertisement, targets, st.sampled_from((0, 0x80, 0xA0, 0x60, 0xE0)), link_layers),
    st.builds(ndp.ListenerReport),
)


def solicitation(source: bytes = MN_LL, link_layer: bytes = MN) -> bytes:
    """Give a Router Solicitation frame of the mobile node."""
    message = ndp.RouterSolicitation(link_layer)
    return ndp.build(ndp.Received(MN, bytes.fromhex("333300000002"), source, ALL_ROUTERS, message))


class NeighborDiscoveryTests(SynchronousTestCase):
    @settings(deadline=None, max_examples=FUZZ)
    @given(messages)
    def test_round_trip(self, message):
        """Every message reads back as it was built."""
        received = ndp.Received(MN, ROUTER, MN_LL, ROUTER_LL, message)
        self.assertEqual(ndp.parse(ndp.build(received)), received)

    def test_advertisement_for_scapy(self):
        """Scapy reads all fields of a Router Advertisement and agrees with the checksum (RFC 4861 4.2)."""
        prefix = ndp.PrefixInformation(PREFIX, 64, 600, 500)
        message = ndp.RouterAdvertisement(1800, (prefix,), 1460, ROUTER)
        frame = ndp.build(ndp.Received(ROUTER, MN, ROUTER_LL, MN_LL, message))
        packet = Ether(frame)
        self.assertEqual((packet.src, packet.dst), ("00:00:5e:00:52:13", "02:00:5e:10:00:01"))
        self.assertEqual((packet[IPv6].src, packet[IPv6].hlim), ("fe80::200:5eff:fe00:5213", 255))
        advertisement = packet[ICMPv6ND_RA]
        self.assertEqual((advertisement.routerlifetime, advertisement.M, advertisement.O), (1800, 0, 0))
        option = packet[ICMPv6NDOptPrefixInfo]
        self.assertEqual(
            (
                option.prefix,
                option.prefixlen,
                option.L,
                option.A,
                option.validlifetime,
                option.preferredlifetime,
            ),
            ("2001:db8:1:1::", 64, 1, 1, 600, 500),
        )
        self.assertEqual(packet[ICMPv6NDOptMTU].mtu, 1460)
        self.assertEqual(packet[ICMPv6NDOptSrcLLAddr].lladdr, "00:00:5e:00:52:13")
        checksum = advertisement.cksum
        del advertisement.cksum
        self.assertEqual(Ether(bytes(packet))[ICMPv6ND_RA].cksum, checksum)

    def test_reads_what_scapy_sends(self):
        """Solicitations and advertisements built by Scapy are understood."""
        link = Ether(src="02:00:5e:10:00:01", dst="33:33:00:00:00:02")
        ip = IPv6(src="fe80::5eff:fe10:1", dst="fe80::200:5eff:fe00:5213", hlim=255)
        target = "fe80::200:5eff:fe00:5213"
        for layer, expected in (
            (ICMPv6ND_RS() / ICMPv6NDOptSrcLLAddr(lladdr="02:00:5e:10:00:01"), ndp.RouterSolicitation(MN)),
            (ICMPv6ND_NS(tgt=target), ndp.NeighborSolicitation(ROUTER_LL)),
            (
                ICMPv6ND_NA(tgt=target, R=1, S=1, O=0) / ICMPv6NDOptDstLLAddr(lladdr="02:00:5e:10:00:01"),
                ndp.NeighborAdvertisement(ROUTER_LL, 0xC0, MN),
            ),
        ):
            received = ndp.parse(bytes(link / ip / layer))
            self.assertEqual(received.message, expected)
            self.assertEqual((received.link_source, received.source), (MN, MN_LL))

    def test_listener_report_behind_router_alert(self):
        """An MLD report comes with a Hop-by-Hop Options header in front (RFC 3810 section 5)."""
        frame = bytearray(ndp.build(ndp.Received(MN, ROUTER, MN_LL, ALL_ROUTERS, ndp.ListenerReport())))
        frame[20], frame[21] = 0, 1
        frame[18:20] = (16).to_bytes(2, "big")
        frame[54:54] = bytes.fromhex("3a00050200000100")
        self.assertEqual(ndp.parse(bytes(frame)).message, ndp.ListenerReport())

    def test_hop_limit_must_be_255(self):
        """A message that a router has forwarded is refused (RFC 4861 section 6.1.1)."""
        frame = bytearray(solicitation())
        frame[21] = 254
        self.assertRaises(DecodeError, ndp.parse, bytes(frame))

    def test_checksum_must_be_right(self):
        """A wrong ICMPv6 checksum is refused."""
        frame = bytearray(solicitation())
        frame[-1] ^= 1
        self.assertRaises(DecodeError, ndp.parse, bytes(frame))

    def test_every_cut_is_refused(self):
        """A frame that ends early is refused, wherever it ends."""
        frame = solicitation()
        for size in range(len(frame)):
            self.assertRaises(DecodeError, ndp.parse, frame[:size])

    def test_solicitation_from_nowhere_with_link_layer(self):
        """A Router Solicitation from :: must not name a link-layer address (RFC 4861 section 6.1.1)."""
        self.assertRaises(DecodeError, ndp.parse, solicitation(ndp.UNSPECIFIED))
        self.assertIsNotNone(ndp.parse(solicitation(ndp.UNSPECIFIED, b"")))

    def test_option_of_length_zero(self):
        """An option of length 0 makes the whole message invalid (RFC 4861 section 4.6)."""
        frame = bytearray(solicitation())
        frame[14 + 40 + 8 + 1] = 0
        frame[14 + 40 + 2 : 14 + 40 + 4] = bytes(2)
        body = bytes(frame[54:])
        total = ndp.internet_checksum(ndp.pseudo_header(MN_LL, ALL_ROUTERS, len(body), 58) + body)
        frame[56:58] = total.to_bytes(2, "big")
        self.assertRaises(DecodeError, ndp.parse, bytes(frame))

    def test_other_traffic_is_none(self):
        """Sound IPv6 that is no Neighbor Discovery is none of our business."""
        frame = bytearray(solicitation())
        frame[20] = 17
        self.assertIsNone(ndp.parse(bytes(frame)))

    @settings(deadline=None, max_examples=DECODER_CASES)
    @given(st.binary(max_size=120), st.sampled_from((b"", solicitation()[:54], solicitation()[:20])))
    def test_any_octets(self, tail, head):
        """Random octets are refused or read, never anything else."""
        try:
            ndp.parse(head + tail)
        except DecodeError:
            return


class ArpTests(SynchronousTestCase):
    def test_reply_for_scapy(self):
        """Scapy reads our ARP reply (RFC 826)."""
        message = arp.Arp(arp.REPLY, ROUTER, bytes((203, 0, 113, 1)), MN, bytes((203, 0, 113, 10)))
        packet = Ether(arp.build(message))
        self.assertEqual((packet.dst, packet[ARP].op), ("02:00:5e:10:00:01", 2))
        self.assertEqual((packet[ARP].psrc, packet[ARP].hwsrc), ("203.0.113.1", "00:00:5e:00:52:13"))
        self.assertEqual(arp.parse(arp.build(message)), message)

    def test_sender_must_be_the_sender(self):
        """An ARP message that speaks for another link-layer address is refused."""
        frame = bytearray(arp.build(arp.Arp(arp.REQUEST, MN, bytes(4), bytes(6), bytes(4))))
        frame[6] ^= 2
        self.assertRaises(DecodeError, arp.parse, bytes(frame))

    @settings(deadline=None, max_examples=DECODER_CASES)
    @given(st.binary(max_size=80))
    def test_any_octets(self, octets):
        """Random octets are refused or read, never anything else."""
        try:
            arp.parse(octets)
        except DecodeError:
            return
