"""Updates and acknowledgements inside UDP port 4191 as octets: written by hand, read by scapy and tshark."""

import shutil
import struct
import subprocess
from pathlib import Path
from unittest import SkipTest

from scapy.layers import inet, inet6

from appliance.protocols.mipv6.events import SendTunnelled, TunnelledReceived
from appliance.protocols.mobility.packet import parse_ipv6
from appliance.protocols.pmipv6.host_settings import Association
from appliance.protocols.pmipv6.settings import Profile
from appliance.tun import packet as ip
from test.protocols.mipv6.fakes import ALICE, KEY, SPI, HostWorld
from test.protocols.mipv6.test_dsmip import DualStackCase, wish
from test.protocols.pmipv6.lma_fakes import LMA_IPV4, packed

#: IPv4 from 192.0.2.200, UDP from 40001, IPv6 from the home address; MN-ID, IPv4 Home Address 0.0.0.0, IPv4
#: Care-of Address 10.0.0.7. No authentication option.
UPDATE = bytes.fromhex(
    "450000740000000040118d7cc00002c8c63364019c41105f00607ed660000000003087402001"
    "0db801000000000000000000000520010db8ffff000000000000000000013b050500ce640007"
    "c0000096081201616c696365406578616d706c652e6f72671d06800000000000200600000a000007"
)
#: Its answer: IPv4 Address Acknowledgement 203.0.113.20/32, NAT Detection 110 s.
ANSWER = bytes.fromhex(
    "3b050600da69000000070096081201616c696365406578616d706c652e6f72671e060080cb0071141f0600000000006e"
)


class VectorTests(DualStackCase):
    """The worked example of the digest."""

    def test_update(self) -> None:
        """It is read, and its answer is the one of the example, octet by octet."""
        home = packed("2001:db8:100::5")
        own = packed("203.0.113.20")
        profile = Profile(
            name=ALICE.decode(), mn_id=ALICE, ipv4=True, ipv4_address=own, home_addresses=(home,)
        )
        world = HostWorld(profiles=(profile,), mipv6_authentication="optional")
        self.assertEqual(UPDATE[16:20], LMA_IPV4)
        world.lma.receive(TunnelledReceived(UPDATE[28:], UPDATE[12:16], 0x9C41, LMA_IPV4), world.now)
        world.effects = world.lma.take()
        (sent,) = world.of_kind(SendTunnelled)
        self.assertEqual((sent.address, sent.port), (packed("192.0.2.200"), 40001))
        self.assertEqual(sent.data, ANSWER)
        inside = ip.ipv6_packet(sent.source, sent.destination, sent.protocol, sent.data)
        self.assertTrue(parse_ipv6(inside).valid)

    def test_scapy_writes(self) -> None:
        """An update that scapy has built is accepted; the checksum is scapy's."""
        named = Profile(
            name="2001:db8:100::5", mn_id=b"", home_addresses=(packed("2001:db8:100::5"),), ipv4=True
        )
        world = HostWorld(profiles=(named,), mipv6_authentication="optional")
        options = [
            inet6.MIP6OptUnknown(otype=29, odata=bytes((32 << 2, 0)) + bytes(4)),
            inet6.MIP6OptUnknown(otype=32, odata=bytes(2) + packed("10.0.0.7")),
        ]
        update = inet6.MIP6MH_BU(seq=5, flags="AH", mhtime=9, options=options)
        built = bytes(inet6.IPv6(src="2001:db8:100::5", dst="2001:db8:ffff::1") / update)
        answer = world.tunnelled(built)
        self.assertEqual((answer and answer.status, answer and answer.sequence), (0, 5))
        self.assertEqual(self.acknowledged(answer), (0, 32, "203.0.113.10"))


class ReaderTests(DualStackCase):
    """What we send, read by others."""

    def packet(self) -> bytes:
        """An acknowledgement as it leaves, from the IPv4 header on."""
        profile = Profile(
            name=ALICE.decode(), mn_id=ALICE, ipv4=True, associations=(Association(spi=SPI, key=KEY),)
        )
        self.with_settings(profiles=(profile,), refresh_advice_option=True)
        self.world.inside(extra=[wish(), wish(prefix=1, length=28)], time=self.world.now.wall)
        (sent,) = self.world.of_kind(SendTunnelled)
        inside = ip.ipv6_packet(sent.source, sent.destination, sent.protocol, sent.data)
        udp = inet.UDP(sport=4191, dport=sent.port)
        return bytes(inet.IP(src="198.51.100.1", dst="192.0.2.200") / udp / inside)

    def test_scapy(self) -> None:
        """Addresses, status, both acknowledgements, NAT detection, authentication last."""
        read = inet6.IPv6(bytes(inet.IP(self.packet())[inet.UDP].payload))
        self.assertEqual((read.src, read.dst), ("2001:db8:ffff::1", "2001:db8:100::5"))
        answer = read[inet6.MIP6MH_BA]
        self.assertEqual((answer.status, answer.mhtime), (0, 150))
        found = {each.otype: bytes(each)[2:] for each in answer.options if each.otype in (30, 31)}
        self.assertEqual(found[31], bytes((0, 0, 0, 0, 0, 110)))
        self.assertEqual([each.otype for each in answer.options if each.otype > 7][-1], 9)
        self.assertEqual([each.otype for each in answer.options].count(30), 2)

    def test_tshark(self) -> None:
        """The whole packet without a complaint; what the options say. The port has to be named to tshark."""
        if shutil.which("tshark") is None:
            raise SkipTest("there is no tshark")
        path = Path(self.mktemp())
        head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101)
        packets = (self.packet(), UPDATE)
        path.write_bytes(
            head + b"".join(struct.pack("<IIII", 0, 0, len(each), len(each)) + each for each in packets)
        )
        command = ["tshark", "-r", str(path), "-d", "udp.port==4191,ipv6"]
        told = subprocess.run([*command, "-V"], capture_output=True, text=True, check=True).stdout
        self.assertNotIn("alformed", told)
        for text in (
            "Binding Acknowledgement (6)",
            "Refresh time: 110s",
            "Status: Success (0)",
            "(133)",
            "IPv4 Home Address: 203.0.113.10",
            "IPv4 Care-of address: 10.0.0.7",
        ):
            self.assertIn(text, told)
