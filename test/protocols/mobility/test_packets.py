"""Packets that other programs built and checked, decoded and encoded again to the same octets."""

import hashlib
import hmac
from ipaddress import IPv6Address

from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.bits import DecodeError, internet_checksum, pseudo_header
from appliance.protocols.mobility import messages as m
from appliance.protocols.mobility import options as o
from appliance.protocols.mobility.codec import (
    decode,
    encode,
    encode_udp,
    from_ntp,
    from_timestamp,
    seal,
    verify,
)
from appliance.protocols.mobility.packet import MobilityPacket, build_ipv6, parse_ipv6
from test.protocols.mobility.vectors import FIELD, PACKETS

MAG, ANCHOR = IPv6Address("2001:db8:a::1").packed, IPv6Address("2001:db8:ffff::1").packed
CARE_OF, HOME = IPv6Address("2001:db8:c::99").packed, IPv6Address("2001:db8:100::5").packed
SIGNED_BU = "BU (MIPv6, RFC 4285: MN-ID, MESG-ID, MN-HA, MN-AAA)"
SIGNED_BA = "BA (type 2 routing header, MN-HA authenticated)"
MN_HA_KEY, MN_AAA_KEY = bytes(range(16)), b"0123456789abcdef"


def covered(mh: bytes, authenticator: bytes) -> bytes:
    """What an authenticator covers: addresses, and the message up to it (RFC 4285 section 5.1)."""
    at = mh.index(authenticator)
    return CARE_OF + HOME + mh[:4] + bytes(2) + mh[6:at]


class PacketTest(SynchronousTestCase):
    def test_ipv6_packets_both_ways(self) -> None:
        """Packets straight in IPv6 give the expected fields, a good checksum, and the same octets again."""
        tried = 0
        for name, (packet, message) in PACKETS.items():
            if packet[0] >> 4 != 6:
                continue
            tried += 1
            parsed = parse_ipv6(packet)
            self.assertTrue(parsed.valid, name)
            self.assertEqual(decode(parsed.mh), (message, ()), name)
            parsed.mh = encode(message)
            self.assertEqual(build_ipv6(parsed), packet, name)
        self.assertEqual(tried, 20)

    def test_udp_packets_both_ways(self) -> None:
        """Over UDP 5436 comes a bare message with checksum zero, over 4191 a whole IPv6 packet."""
        tried = 0
        for name, (packet, message) in PACKETS.items():
            if packet[0] >> 4 != 4:
                continue
            tried += 1
            udp = packet[20:]
            pseudo = pseudo_header(packet[12:16], packet[16:20], len(udp), 17)
            self.assertEqual(internet_checksum(pseudo + udp), 0, name)
            payload = udp[8:]
            if 4191 in (int.from_bytes(udp[:2]), int.from_bytes(udp[2:4])):
                parsed = parse_ipv6(payload)
                self.assertTrue(parsed.valid, name)
                self.assertEqual(decode(parsed.mh), (message, ()), name)
                parsed.mh = encode(message)
                self.assertEqual(build_ipv6(parsed), payload, name)
            else:
                self.assertEqual(decode(payload), (message, ()), name)
                self.assertEqual(encode_udp(message), payload, name)
        self.assertEqual(tried, 4)

    def test_times_in_packets(self) -> None:
        """The times in the packets are those that went in."""
        first, denied, signed = (
            PACKETS[name][1].options
            for name in ("PBU initial", "PBA denied 156, clock 4.75 s off", SIGNED_BU)
        )
        self.assertEqual(
            from_timestamp([x.value for x in first if isinstance(x, o.Timestamp)][0]), 1700000000.5
        )
        self.assertEqual(
            from_timestamp([x.value for x in denied if isinstance(x, o.Timestamp)][0]), 1700000005.25
        )
        stamp = [x.timestamp for x in signed if isinstance(x, o.MessageIdentification)][0]
        self.assertAlmostEqual(from_ntp(stamp), 3908988800 - 2208988800 + 0x12345678 / 2**32, 5)

    def test_checksum_uses_home_addresses(self) -> None:
        """Home Address option and type 2 routing header go into the checksum (RFC 6275 section 6.1.1)."""
        update = parse_ipv6(PACKETS[SIGNED_BU][0])
        self.assertEqual((update.source, update.home_source, update.offset), (CARE_OF, HOME, 64))
        self.assertTrue(verify(update.mh, HOME, ANCHOR))
        self.assertFalse(verify(update.mh, CARE_OF, ANCHOR))
        answer = parse_ipv6(PACKETS[SIGNED_BA][0])
        self.assertEqual((answer.destination, answer.home_destination, answer.offset), (CARE_OF, HOME, 64))
        self.assertTrue(verify(answer.mh, ANCHOR, HOME))
        self.assertFalse(verify(answer.mh, ANCHOR, CARE_OF))

    def test_both_home_headers(self) -> None:
        """A packet between two mobile nodes has both headers, routing header first, and parses back."""
        packet = MobilityPacket(
            MAG, CARE_OF, encode(m.HomeTestInit(b"12345678")), 88, home_source=ANCHOR, home_destination=HOME
        )
        octets = build_ipv6(packet)
        self.assertEqual((octets[6], octets[40], octets[64]), (43, 60, 135))
        parsed = parse_ipv6(octets)
        self.assertTrue(parsed.valid)
        packet.mh = seal(packet.mh, ANCHOR, HOME)
        self.assertEqual(parsed, packet)

    def test_packets_that_are_refused(self) -> None:
        """A packet that is cut off, is not IPv6, carries something else or two home addresses is refused."""
        good = PACKETS[SIGNED_BU][0]
        twice = bytearray(
            build_ipv6(MobilityPacket(MAG, ANCHOR, encode(m.Heartbeat(0, 1)), home_source=HOME))
        )
        twice[40:40] = bytes((60,)) + twice[41:64]
        twice[5] += 24
        for bad in (
            b"",
            good[:39],
            good[:-1],
            b"\x45" + good[1:],
            good[:6] + b"\x11" + good[7:],
            good[:41] + b"\xff" + good[42:],
            good[:43] + b"\xff" + good[44:],
            good[:47] + b"\x0f" + good[48:],
            bytes(twice),
            PACKETS[SIGNED_BA][0][:42] + b"\0" + PACKETS[SIGNED_BA][0][43:],
        ):
            self.assertRaises(DecodeError, parse_ipv6, bad)

    def test_authenticators_cover_our_octets(self) -> None:
        """The MN-HA and MN-AAA authenticators are right over the octets we encode (RFC 4285 section 5)."""
        update, answer = encode(PACKETS[SIGNED_BU][1]), encode(PACKETS[SIGNED_BA][1])
        for mh, message in ((update, PACKETS[SIGNED_BU][1]), (answer, PACKETS[SIGNED_BA][1])):
            option = message.options[2]
            assert isinstance(option, o.Authentication)
            data = covered(mh, option.authenticator)
            self.assertEqual(hmac.digest(MN_HA_KEY, data, "sha1")[:12], option.authenticator)
        last = PACKETS[SIGNED_BU][1].options[3]
        assert isinstance(last, o.Authentication)
        data = hashlib.sha1(covered(update, last.authenticator)).digest()
        self.assertEqual(data.hex(), "bb1cea35ca4fb3784a47e913196817fc9dd8901f")
        self.assertEqual(hmac.digest(MN_AAA_KEY, data, "sha1"), last.authenticator)
        self.assertTrue(update.endswith(last.authenticator), "the last option ends the message")


class FieldTest(SynchronousTestCase):
    def test_old_lma_and_mag(self) -> None:
        """An unaligned PBU and PBA whose end is six Pad1 are read without a fault."""
        options = [
            o.MobileNodeIdentifier(1, b"mn0@example.org"),
            o.HomeNetworkPrefix(64, bytes.fromhex("20010db8100000000000000000000000")),
            o.HandoffIndicator(4),
            o.AccessTechnologyType(0),
        ]
        self.assertEqual(decode(FIELD["A PBU"]), (m.BindingUpdate(0xF278, 0x8200, 15, options), ()))
        self.assertEqual(decode(FIELD["A PBA"]), (m.BindingAcknowledgement(0, 0x20, 0xF278, 15, options), ()))

    def test_old_home_agent(self) -> None:
        """A BU of a mobile node has its checksum over the home address and encodes to the same octets."""
        care_of = IPv6Address("2001:db8:f:0:60f1:7eff:fec0:3707").packed
        home = IPv6Address("2001:db8:ffff::100").packed
        update = m.BindingUpdate(0x75EB, m.BU_A | m.BU_H, 86396 // 4, [o.AlternateCareOfAddress(care_of)])
        self.assertEqual(decode(FIELD["C BU"]), (update, ()))
        self.assertEqual(seal(encode(update), home, ANCHOR), FIELD["C BU"])
        answer = m.BindingAcknowledgement(0, 0, 0x75EB, 86396 // 4)
        self.assertEqual(decode(FIELD["C BA"]), (answer, ()))
        self.assertEqual(seal(encode(answer), ANCHOR, home), FIELD["C BA"])
