"""What we send, read by tshark and by python-diameter: a codec must not be checked only against itself."""

import shutil
import struct
import subprocess
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from appliance.protocols.diameter.message.codec import Group, Message, frame
from appliance.protocols.diameter.message.dictionary import standard
from appliance.protocols.diameter.message.faults import check
from test.protocols.diameter.examples import all_messages, example
from test.protocols.diameter.golden import MESSAGES

D = standard()

#: What tshark 4.0 calls otherwise.
OTHER_NAMES = {
    "Acct-Multi-Session-Id": "Accounting-Multi-Session-Id",
    "Framed-Appletalk-Link": "Framed-AppleTalk-Link",
    "Framed-Appletalk-Network": "Framed-AppleTalk-Network",
    "Framed-Appletalk-Zone": "Framed-AppleTalk-Zone",
    "Acct-Tunnel-Connection": "Tunnel-Connection-ID",
    "Chargeable-User-Identity": "CUI",
}
#: What it does not know: RFC 5777 section 6, RFC 6734, and the AVP of a golden message that nobody knows.
NOT_KNOWN = {
    "QoS-Capability",
    "Key",
    "Key-Type",
    "Keying-Material",
    "Key-Lifetime",
    "Key-SPI",
    "Key-Name",
    "9999",
}
#: It takes Framed-IPX-Network for text, for which RFC 7155 section 4.4.10.6.1 says Unsigned32.
NOT_READ = {"Framed-IPX-Network"}
#: Complaints about these, and about EAP packets that are all the same here.
COMPLAINTS = ("Unknown AVP", "Trailing stray characters", "This packet is a retransmission")


def capture_file(messages: Iterable[bytes]) -> bytes:
    """A capture file with the messages in TCP segments from port 40000 to 3868, over IPv4."""
    packets = []
    sequence = 1
    for message in messages:
        tcp = struct.pack("!HHIIBBHHH", 40000, 3868, sequence, 1, 0x50, 0x18, 65535, 0, 0)
        size = 20 + len(tcp) + len(message)
        ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, size, 0, 0, 64, 6, 0, b"\x0a\0\0\1", b"\x0a\0\0\2")
        packets.append(ip + tcp + message)
        sequence += len(message)
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101)
    return head + b"".join(struct.pack("<IIII", 0, 0, len(p), len(p)) + p for p in packets)


def tshark(messages: Iterable[bytes]) -> list[ElementTree.Element]:
    """What tshark makes of each message."""
    program = shutil.which("tshark")
    if program is None:
        raise SkipTest("tshark is not installed")
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "sent.pcap")
        file.write_bytes(capture_file(messages))
        command = [program, "-r", str(file), "-T", "pdml", "-J", "diameter"]
        output = subprocess.run(command, check=True, capture_output=True, text=True, env={"TZ": "UTC"}).stdout
    # Made by a program of this machine from our own messages: nothing hostile in it.
    return list(ElementTree.fromstring(output).iter("packet"))


def flat(group: Group) -> list[tuple[int, int, bytes]]:
    """Code, vendor and data of all AVPs, each group followed by its members."""
    found = []
    for avp in group.avps:
        found.append((avp.code, avp.vendor, avp.data))
        known = D.by_code.get((avp.code, avp.vendor))
        if known is not None and known.grouped and known.name not in NOT_KNOWN:
            found += flat(Group(avp.data))
    return found


class Tshark(SynchronousTestCase):
    def read(self, messages: dict[str, bytes]) -> None:
        """It finds the AVPs that were sent by their names and with their values, and nothing malformed."""
        packets = tshark(messages.values())
        self.assertEqual(len(packets), len(messages))
        for (name, octets), packet in zip(messages.items(), packets, strict=True):
            found = [proto for proto in packet.iter("proto") if proto.get("name") == "diameter"]
            self.assertEqual(len(found), 1, name)
            self.complaints(name, packet)
            sent = flat(Message(octets))
            avps = list(found[0].iter("field"))
            codes = [int(field.get("show", "")) for field in avps if field.get("name") == "diameter.avp.code"]
            self.assertEqual(codes, [code for code, _, _ in sent], name)
            each = [field for field in avps if field.get("name") == "diameter.avp"]
            for field, (code, vendor, data) in zip(each, sent, strict=True):
                self.value(name, field, code, vendor, data)

    def complaints(self, name: str, packet: ElementTree.Element) -> None:
        for field in packet.iter("field"):
            text = field.get("showname", "") + field.get("show", "")
            if field.get("name") in ("_ws.expert.message", "_ws.malformed"):
                self.assertTrue(any(known in text for known in COMPLAINTS), f"{name}: {text}")

    def value(self, name: str, field: ElementTree.Element, code: int, vendor: int, data: bytes) -> None:
        avp = D.by_code.get((code, vendor))
        known = avp.name if avp is not None else str(code)
        if known in NOT_KNOWN or avp is None:
            return
        wanted = OTHER_NAMES.get(known, known)
        own = [each for each in field.findall("field") if each.get("name", "").split(".")[-1] == wanted]
        self.assertEqual(len(own), 1, f"{name}: {wanted} is not there")
        if avp.grouped or known in NOT_READ:
            return
        self.assertEqual(own[0].get("value"), data.hex(), f"{name}: {known}")
        shown, value = own[0].get("show", ""), avp.type.decode(data)
        if isinstance(value, int) and avp.type.name != "Time":
            self.assertEqual(int(shown, 0), value, f"{name}: {known}")
        elif isinstance(value, str):
            self.assertEqual(shown, value, f"{name}: {known}")

    def test_golden_messages(self) -> None:
        self.read({golden.name: golden.octets for golden in MESSAGES.values()})

    def test_every_command(self) -> None:
        messages = all_messages(D)
        self.assertGreater(len(messages), 25)
        for name, octets in messages.items():
            self.assertIsNone(check(Message(octets), D), name)
        self.read(messages)

    def test_every_avp(self) -> None:
        """Also code and name of each, by tshark's own dictionary."""
        session = D["Session-Id"].encode("a;1;2")
        self.read(
            {name: frame(265, 1, 0xC0, 1, 2, session + example(avp, D)) for name, avp in D.avps.items()}
        )


class PythonDiameter(SynchronousTestCase):
    """It names the same AVPs with the same data, and makes the same values of them."""

    def setUp(self) -> None:
        try:
            from diameter.message import Message as Theirs
        except ImportError:
            raise SkipTest("python-diameter is not installed") from None
        self.theirs = Theirs

    def read(self, name: str, octets: bytes) -> None:
        ours, theirs = Message(octets), self.theirs.from_bytes(octets, plain_msg=True)
        header = theirs.header
        self.assertEqual(
            (
                header.command_code,
                header.application_id,
                header.hop_by_hop_identifier,
                header.end_to_end_identifier,
            ),
            (ours.code, ours.application, ours.hop_by_hop, ours.end_to_end),
            name,
        )
        self.assertEqual(
            [(avp.code, avp.vendor_id, avp.payload) for avp in theirs.avps],
            [(avp.code, avp.vendor, avp.data) for avp in ours.avps],
            name,
        )
        for avp in theirs.avps:
            known = D.by_code.get((avp.code, avp.vendor_id))
            if known is not None and known.type.name in (
                "Unsigned32",
                "Unsigned64",
                "Enumerated",
                "UTF8String",
            ):
                self.assertEqual(avp.value, known.type.decode(avp.payload), f"{name}: {known.name}")

    def test_golden_messages(self) -> None:
        for golden in MESSAGES.values():
            self.read(golden.name, golden.octets)

    def test_every_command(self) -> None:
        for name, octets in all_messages(D).items():
            self.read(name, octets)

    def test_what_it_sends(self) -> None:
        """We find its messages good."""
        from diameter.message.commands import CapabilitiesExchangeRequest, DeviceWatchdogRequest

        cer = CapabilitiesExchangeRequest()
        cer.origin_host, cer.origin_realm = b"peer.example", b"example"
        cer.host_ip_address = ["192.0.2.1"]
        cer.vendor_id, cer.product_name = 99999, "python-diameter"
        cer.auth_application_id = [1]
        self.assertIsNone(check(Message(cer.as_bytes()), D))
        dwr = DeviceWatchdogRequest()
        dwr.origin_host, dwr.origin_realm = b"peer.example", b"example"
        self.assertIsNone(check(Message(dwr.as_bytes()), D))
