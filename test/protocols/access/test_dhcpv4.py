"""DHCPv4 frames, read and written, against Scapy."""

from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.access import dhcpv4
from appliance.protocols.bits import DecodeError
from test.protocols.access.test_ndp import FUZZ, MN

GATEWAY = bytes.fromhex("00005e005213")
ROUTER, HOME = bytes((203, 0, 113, 1)), bytes((203, 0, 113, 10))


def client(kind, source="0.0.0.0", destination="255.255.255.255", link_layer=MN, frame_source=None, **fields):
    """Give a frame of a client; ``options`` go behind the message type, other fields into BOOTP."""
    options = fields.pop("options", [])
    mac = (frame_source or link_layer).hex(":")
    return bytes(
        Ether(src=mac, dst="ff:ff:ff:ff:ff:ff")
        / IP(src=source, dst=destination)
        / UDP(sport=68, dport=67)
        / BOOTP(op=fields.pop("op", 1), chaddr=link_layer, xid=0x1234, **fields)
        / DHCP(options=[("message-type", kind), *options, "end"])
    )


class ReadTests(SynchronousTestCase):
    """What clients send."""

    def test_discover(self):
        """A DHCPDISCOVER made by Scapy is read field by field."""
        message = dhcpv4.parse(client("discover", flags=0x8000, secs=7, options=[("client_id", b"\1" + MN)]))
        self.assertEqual((message.kind, message.transaction), (dhcpv4.DISCOVER, 0x1234))
        self.assertEqual((message.flags, message.seconds, message.link_layer), (0x8000, 7, MN))
        self.assertEqual(message.options[dhcpv4.CLIENT_IDENTIFIER], b"\1" + MN)

    def test_request(self):
        """Addresses come as octets; one of another length is none."""
        message = dhcpv4.parse(
            client("request", ciaddr="203.0.113.10", options=[("requested_addr", "203.0.113.10")])
        )
        self.assertEqual(message.ciaddr, HOME)
        self.assertEqual(message.address(dhcpv4.REQUESTED_ADDRESS), HOME)
        self.assertIsNone(message.address(dhcpv4.SERVER_IDENTIFIER))

    def test_no_business_of_ours(self):
        """Other ports and protocols, fragments and servers' answers are no clients' messages."""
        frame = Ether(client("discover"))
        for change in (("dport", 68), ("dport", 5000)):
            other = frame.copy()
            setattr(other[UDP], *change)
            del other[UDP].chksum
            self.assertIsNone(dhcpv4.parse(bytes(other)))
        other = frame.copy()
        other[IP].frag = 1
        del other[IP].chksum
        self.assertIsNone(dhcpv4.parse(bytes(other)))
        self.assertIsNone(dhcpv4.parse(client("offer", op=2)))

    def test_faults(self):
        """What is cut short, has a wrong checksum, or comes from somebody else is refused."""
        frame = client("discover")
        for bad in (
            frame[:30],
            frame[:60],
            frame[:24] + b"\0\0" + frame[26:],
            frame[:-1] + bytes((frame[-1] ^ 1,)),
            client("discover", frame_source=bytes.fromhex("02005e999999")),
        ):
            self.assertRaises(DecodeError, dhcpv4.parse, bad)
        whole = dhcpv4.encode(dhcpv4.Dhcp(1, 1, link_layer=MN, options={53: b"\1"}))
        self.assertRaises(DecodeError, dhcpv4.decode, whole[:236] + b"abcd" + whole[240:])
        self.assertRaises(DecodeError, dhcpv4.decode, whole[:240] + b"\x35\xff\1")

    def test_overload(self):
        """RFC 2131 section 4.1: options may go on in ``file`` and ``sname``."""
        whole = bytearray(dhcpv4.encode(dhcpv4.Dhcp(1, 1, link_layer=MN, options={53: b"\1", 52: b"\3"})))
        whole[108 : 108 + 7] = b"\x32\4" + HOME + b"\xff"
        whole[44 : 44 + 4] = b"\x0c\1x\xff"
        message = dhcpv4.decode(bytes(whole))
        self.assertEqual((message.address(50), message.options[12]), (HOME, b"x"))

    @settings(max_examples=FUZZ, deadline=None)
    @given(st.binary(max_size=400), st.integers(0, 300), st.integers(0, 255))
    def test_any_octets(self, octets, at, value):
        """Nothing but DecodeError comes out, whatever goes in."""
        frame = bytearray(client("discover"))
        frame[min(at, len(frame) - 1)] = value
        for data in (octets, bytes(frame), bytes(frame[:at])):
            try:
                dhcpv4.parse(data)
            except DecodeError:
                continue


class WriteTests(SynchronousTestCase):
    """What a server says."""

    def sent(self, kind, **changes):
        """Have an answer framed, and read it by Scapy."""
        request = dhcpv4.parse(client("discover", options=[("client_id", b"\1" + MN)]))
        message = dhcpv4.reply_to(request, kind, {dhcpv4.ROUTER: ROUTER})
        for name, value in changes.items():
            setattr(message, name, value)
        return Ether(dhcpv4.frame_to_client(message, GATEWAY, ROUTER, MN))

    def test_offer(self):
        """Scapy finds what was put in, checksums included."""
        packet = self.sent(dhcpv4.OFFER, yiaddr=HOME)
        self.assertEqual((packet.src, packet.dst), (GATEWAY.hex(":"), MN.hex(":")))
        self.assertEqual((packet[IP].src, packet[IP].dst), ("203.0.113.1", "203.0.113.10"))
        self.assertEqual((packet[UDP].sport, packet[UDP].dport), (67, 68))
        self.assertEqual((packet[BOOTP].op, packet[BOOTP].xid), (2, 0x1234))
        self.assertEqual((packet[BOOTP].yiaddr, packet[BOOTP].chaddr[:6]), ("203.0.113.10", MN))
        options = dict(option[:2] for option in packet[DHCP].options if isinstance(option, tuple))
        self.assertEqual(options["message-type"], dhcpv4.OFFER)
        self.assertEqual(options["router"], "203.0.113.1")
        self.assertEqual(options["client_id"], b"\1" + MN)
        again = packet.copy()
        del again[IP].chksum, again[UDP].chksum
        self.assertEqual(bytes(Ether(bytes(again))), bytes(packet))

    def test_where_to(self):
        """RFC 2131 section 4.1: ciaddr, else everybody if so wished or refused, else yiaddr."""
        everybody = "255.255.255.255"
        for kind, changes, expected in (
            (dhcpv4.ACK, {"ciaddr": HOME, "flags": 0x8000}, "203.0.113.10"),
            (dhcpv4.ACK, {"yiaddr": HOME, "flags": 0x8000}, everybody),
            (dhcpv4.NAK, {"ciaddr": HOME}, everybody),
            (dhcpv4.ACK, {"yiaddr": HOME}, "203.0.113.10"),
        ):
            self.assertEqual(self.sent(kind, **changes)[IP].dst, expected)

    def test_long_options(self):
        """RFC 3396: more than 255 octets go into several options and come back as one."""
        message = dhcpv4.Dhcp(1, 1, link_layer=MN, options={53: b"\1", 6: bytes(range(250)) * 2})
        self.assertEqual(dhcpv4.decode(dhcpv4.encode(message)), message)
