"""Capture files, read by Scapy and by tshark."""

import io
import shutil
import subprocess
import tempfile
from pathlib import Path

from scapy.layers import inet, inet6
from scapy.utils import RawPcapNgReader
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from appliance import pcapng
from appliance.protocols.mobility.codec import encode
from appliance.tap import INBOUND, OUTBOUND, TappedMessage
from test.protocols.mobility.vectors import PACKETS

WALL = 1_700_000_000.123456


def tapped(name: str, wall: float = WALL, direction: str = INBOUND) -> TappedMessage:
    """A vector as the tap tells it."""
    packet, message = PACKETS[name]
    data = packet[-len(encode(message)) :]
    if packet[0] >> 4 == 6:
        return TappedMessage(wall, "lma", "lma1", direction, data, packet[8:24], packet[24:40])
    return TappedMessage(wall, "lma", "lma1", direction, data, packet[12:16], packet[16:20], 5436)


#: Vectors that are nothing but a mobility message in IPv6, or in UDP port 5436.
PLAIN = [
    name
    for name, (packet, _) in PACKETS.items()
    if packet[6] == 135 or (packet[0] >> 4 == 4 and packet[20:24] == b"\x15\x3c\x15\x3c")
]


def whole_file() -> bytes:
    """A file with all plain vectors, on two interfaces."""
    blocks = [
        pcapng.section("mobility-appliance 1.2.3", "all"),
        pcapng.interface("lma1", "lma-service lma1"),
        pcapng.interface("mag1", "mag-service mag1"),
    ]
    for number, name in enumerate(PLAIN):
        packet = pcapng.ip_packet(tapped(name))
        blocks.append(pcapng.packet(number % 2, WALL + number, packet, number % 2 == 0))
    blocks += [pcapng.statistics(number, WALL, WALL + 60, 30, 7) for number in (0, 1)]
    return b"".join(blocks)


class PacketTest(SynchronousTestCase):
    """The IP packet that is made round a message."""

    def test_as_on_the_wire(self) -> None:
        """It is the packet that the vectors have, where IP fields are what we send."""
        self.assertGreater(len(PLAIN), 15)
        for name in PLAIN:
            packet, _ = PACKETS[name]
            made = pcapng.ip_packet(tapped(name))
            self.assertEqual(made, packet, name)

    def test_ports(self) -> None:
        """The port of the peer is that of the sender of what comes in, of the receiver of what goes out."""
        inward = tapped("PBU over IPv4/UDP 5436 (MH checksum zero), F set")
        inward.port = 40001
        outward = tapped("PBU over IPv4/UDP 5436 (MH checksum zero), F set", direction=OUTBOUND)
        outward.port = 40001
        for message, ports in ((inward, (40001, 5436)), (outward, (5436, 40001))):
            read = inet.IP(pcapng.ip_packet(message))
            self.assertEqual((read[inet.UDP].sport, read[inet.UDP].dport), ports)
            sums = (read.chksum, read[inet.UDP].chksum)
            del read.chksum, read[inet.UDP].chksum
            again = inet.IP(bytes(read))
            self.assertEqual((again.chksum, again[inet.UDP].chksum), sums)


class ReaderTest(SynchronousTestCase):
    """What others read."""

    def test_scapy(self) -> None:
        """Scapy reads every packet with its time, direction and interface."""
        with RawPcapNgReader(io.BytesIO(whole_file())) as reader:
            found = list(reader)
        self.assertEqual(len(found), len(PLAIN))
        for number, (data, facts) in enumerate(found):
            self.assertEqual(data, pcapng.ip_packet(tapped(PLAIN[number])))
            self.assertEqual(facts.linktype, pcapng.LINKTYPE_RAW)
            time = ((facts.tshigh << 32) + facts.tslow) / facts.tsresol
            self.assertAlmostEqual(time, WALL + number, places=5)
        self.assertTrue(inet6.IPv6(found[0][0]).haslayer(inet6.MIP6MH_BU))

    def test_tshark(self) -> None:
        """tshark reads it without a malformed mark: interface, direction, time, and good checksums."""
        program = shutil.which("tshark")
        if program is None:
            raise SkipTest("tshark is not installed")
        names = ["_ws.malformed", "frame.interface_name", "frame.packet_flags_direction", "mip6.mhtype"]
        names += ["frame.time_epoch", "ip.checksum.status", "udp.checksum.status"]
        with tempfile.TemporaryDirectory() as directory:
            file = Path(directory, "written.pcapng")
            file.write_bytes(whole_file())
            checks = ["-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE"]
            command = [program, "-r", str(file), *checks, "-T", "fields", "-E", "separator=|"]
            command += [word for name in names for word in ("-e", name)]
            done = subprocess.run(command, check=True, capture_output=True, text=True, env={"TZ": "UTC"})
            info = self.capinfos(file)
        lines = [line.split("|") for line in done.stdout.splitlines()]
        self.assertEqual(len(lines), len(PLAIN))
        for number, (malformed, name, direction, kind, time, ip, udp) in enumerate(lines):
            where = PLAIN[number]
            self.assertEqual(malformed, "", where)
            self.assertEqual(name, ("lma1", "mag1")[number % 2], where)
            self.assertEqual(int(direction, 0), (1, 2)[number % 2], where)
            self.assertEqual(int(kind), PACKETS[where][1].TYPE, where)
            self.assertAlmostEqual(float(time), WALL + number, places=5, msg=where)
            self.assertIn(ip, ("", "1"), where)
            self.assertIn(udp, ("", "1"), where)
        if info:
            self.assertIn("mobility-appliance 1.2.3", info)
            self.assertIn("lma-service lma1", info)

    def capinfos(self, file: Path) -> str:
        """What capinfos says of a file; empty where there is none."""
        program = shutil.which("capinfos")
        if program is None:
            return ""
        return subprocess.run([program, str(file)], check=True, capture_output=True, text=True).stdout
