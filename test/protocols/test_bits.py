"""Internet checksums against a plain sum of words and values of the RFCs."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.bits import internet_checksum, ones_complement_sum, pseudo_header


def plain_sum(data: bytes) -> int:
    """RFC 1071 as it is written: add words, fold carries."""
    total = 0
    padded = data + bytes(len(data) & 1)
    for n in range(0, len(padded), 2):
        total += padded[n] << 8 | padded[n + 1]
        total = (total & 0xFFFF) + (total >> 16)
    return total


class ChecksumTest(SynchronousTestCase):
    def test_example_of_rfc_1071(self) -> None:
        """The example of RFC 1071 section 3 sums to 0xDDF2."""
        self.assertEqual(ones_complement_sum(bytes.fromhex("0001f203f4f5f6f7")), 0xDDF2)
        self.assertEqual(internet_checksum(bytes.fromhex("0001f203f4f5f6f7")), 0x220D)

    def test_both_zeros(self) -> None:
        """All zeros sum to 0; words that cancel out sum to 0xFFFF."""
        self.assertEqual(ones_complement_sum(bytes(8)), 0)
        self.assertEqual(ones_complement_sum(b""), 0)
        self.assertEqual(ones_complement_sum(b"\x12\x34\xed\xcb"), 0xFFFF)
        self.assertEqual(internet_checksum(b"\x12\x34\xed\xcb"), 0)

    @settings(deadline=None)
    @given(st.binary(max_size=200))
    def test_same_as_plain_sum(self, data: bytes) -> None:
        """Any octets, odd lengths too, give the plain sum of words."""
        self.assertEqual(ones_complement_sum(data), plain_sum(data))

    def test_pseudo_headers(self) -> None:
        """The two pseudo-headers have the layout of RFC 8200 section 8.1 and of RFC 768."""
        six = pseudo_header(b"S" * 16, b"D" * 16, 0x10203, 135)
        self.assertEqual(six, b"S" * 16 + b"D" * 16 + bytes.fromhex("00010203 00000087"))
        self.assertEqual(pseudo_header(b"SSSS", b"DDDD", 0x102, 17), b"SSSSDDDD" + bytes.fromhex("00110102"))

    def test_ipv6_icmp_packet(self) -> None:
        """A captured ICMPv6 echo request has the right checksum."""
        source = bytes.fromhex("20010db8eeee00000000000000000080")
        destination = bytes.fromhex("20010db8000100010000000000000005")
        echo = bytes.fromhex("800055fe0001000170696e67")
        self.assertEqual(internet_checksum(pseudo_header(source, destination, len(echo), 58) + echo), 0)
