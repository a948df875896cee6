"""What a mobile node sends, read by scapy and tshark, and held against the worked examples."""

import subprocess
import tempfile
from shutil import which
from typing import Any

from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import MIP6MH_BU, IPv6, MIP6MH_CoTI, MIP6MH_HoTI, MIP6OptBRAdvice
from scapy.utils import RawPcapWriter
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from appliance.protocols.mn.events import SendMessage
from appliance.protocols.mobility.packet import MobilityPacket, build_ipv6
from test.protocols.mipv6.fakes import HOME
from test.protocols.mn.fakes import AGENT, AGENT4, CORRESPONDENT, LTE, NET1, V4A, WLAN1, WLAN4, Node
from test.protocols.mn.test_routability import Roaming
from test.protocols.pmipv6.lma_fakes import packed


def octets(sent: SendMessage) -> bytes:
    """The packet that a driver makes of an effect."""
    home = sent.home or None
    mh = sent.data[:4] + b"\0\0" + sent.data[6:]
    inner = build_ipv6(MobilityPacket(sent.source, sent.destination, mh, home_source=home))
    assert sent.data in inner
    if not sent.outer:
        return inner
    outer = IP(src=".".join(map(str, sent.outer_source)), dst=".".join(map(str, sent.outer)))
    return bytes(outer / UDP(sport=4191, dport=sent.port) / inner)


def updates(node: Node) -> list[SendMessage]:
    """All Binding Updates of a node."""
    return [each for each in node.of(SendMessage, node.history) if each.data[2] == 5]


class ScapyTest(SynchronousTestCase):
    """Scapy's dissection."""

    def test_update(self) -> None:
        """Flags (A, H, R), numbers and options of a home registration."""
        node = Node(mobile_router=True, networks=((packed("2001:db8:200::"), 56),))
        node.links(WLAN1)
        (sent,) = updates(node)
        packet = IPv6(octets(sent))
        update = packet[MIP6MH_BU]
        self.assertEqual((update.mhtime, int(update.flags)), (150, 0b1100010))
        names = [type(each).__name__ for each in update.options]
        self.assertIn("MIP6OptMNID", names)
        self.assertIn("MIP6OptMobNetPrefix", names)
        self.assertNotIn(MIP6OptBRAdvice.__name__, names)

    def test_return_routability(self) -> None:
        """Both test messages with their cookies."""
        node = Roaming()
        node.seen()
        home, care = node.sent(1)[0], node.sent(2)[0]
        self.assertEqual(bytes(IPv6(octets(home))[MIP6MH_HoTI].cookie), home.data[8:16])
        self.assertEqual(bytes(IPv6(octets(care))[MIP6MH_CoTI].cookie), care.data[8:16])


class TsharkTest(SynchronousTestCase):
    """Wireshark's dissection."""

    def read(self, packets: list[bytes], *fields: str) -> list[list[str]]:
        """Values of the fields of each packet; no packet may be malformed or have a bad checksum."""
        if which("tshark") is None:
            raise SkipTest("tshark is not installed")
        with tempfile.NamedTemporaryFile(suffix=".pcap") as file:
            with RawPcapWriter(file.name, linktype=101) as writer:
                for packet in packets:
                    writer.write(packet)
            command = ["tshark", "-r", file.name, "-d", "udp.port==4191,ipv6", "-T", "fields"]
            wanted = ("_ws.malformed", "mip6.mhtype", *fields)
            lines = subprocess.run(
                [*command, *(word for field in wanted for word in ("-e", field))],
                check=True,
                capture_output=True,
                text=True,
                timeout=60,
            ).stdout.splitlines()
        self.assertEqual(len(lines), len(packets))
        rows = [line.split("\t") for line in lines]
        self.assertFalse(any(row[0] for row in rows))
        return [row[1:] for row in rows]

    def test_everything(self) -> None:
        """Each kind of message, none malformed."""
        node: Any = Node(mesg_id=True, ipv4_home=True, authentication="mn-aaa-always", aaa_key=bytes(16))
        node.links(WLAN1)
        several = Node(multiple_care_of=True)
        several.links(WLAN1, LTE)
        four = Node()
        four.links(WLAN4)
        rover = Roaming()
        rover.optimize()
        messages = [*updates(node), *updates(several), *updates(four)]
        sent = rover.of(SendMessage, rover.history)
        messages += [each for each in sent if each.destination == CORRESPONDENT]
        rows = self.read([octets(each) for each in messages], "mip6.bu.a_flag", "mip6.bu.h_flag")
        self.assertEqual([row[0] for row in rows], ["5", "5", "5", "1", "2", "5"])
        self.assertEqual([row[2] for row in rows if row[0] == "5"], ["1", "1", "1", "0"])

    def test_addresses(self) -> None:
        """The Home Address option, and IPv6 in UDP port 4191 in IPv4."""
        node = Node()
        node.links(WLAN4)
        node.links(WLAN1)
        first, second = (octets(each) for each in updates(node))
        row = self.read([first], "ip.src", "ip.dst", "udp.dstport", "ipv6.src", "ipv6.dst")[0]
        text = [".".join(map(str, each)) for each in (V4A, AGENT4)]
        self.assertEqual(row[1:4], [*text, "4191"])
        self.assertEqual([packed(each) for each in row[4:]], [HOME, AGENT])
        row = self.read([second], "ipv6.src", "ipv6.opt.type")[0]
        self.assertEqual(packed(row[1].split(",")[0]), NET1)


class ExampleTest(SynchronousTestCase):
    """Worked examples of messages (same parameters, same octets)."""

    def test_dsmipv6_update(self) -> None:
        """A registration over UDP by IPv4 Care-of Address option, with no authentication."""
        node = Node(
            authentication="none",
            associations=(),
            ipv4_home=True,
            home_address=packed("2001:db8:100::5"),
            mn_id=b"alice@example.org",
        )
        node.links(WLAN4)
        (sent,) = updates(node)
        data = sent.data[:4] + b"\xce\x64" + b"\x00\x07" + sent.data[8:]
        wanted = bytes.fromhex(
            "3b050500ce640007c0000096 0812 01616c696365406578616d706c652e6f7267"
            "1d06800000000000 200600000a000007"
        )
        self.assertEqual(data, wanted)


