"""The data types of AVPs: values to octets and back, and what is no value."""

import math

from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.diameter.message.types import TYPES, BadValue, OtherAddress, fold

V4, V6 = bytes((192, 0, 2, 1)), bytes.fromhex("20010db8000000000000000000000001")


class Types(SynchronousTestCase):
    def test_values(self) -> None:
        for name, value, octets in (
            ("OctetString", b"\0\xff", "00ff"),
            ("OctetString/text", b"abc", "616263"),
            ("UTF8String", "mn1@hömé", "6d6e314068c3b66dc3a9"),
            ("UTF8String", "", ""),
            ("DiameterIdentity", "aaa.example", "6161612e6578616d706c65"),
            (
                "DiameterURI",
                "aaa://a:3868;transport=sctp",
                "6161613a2f2f613a333836383b7472616e73706f72743d73637470",
            ),
            ("IPFilterRule", "permit", "7065726d6974"),
            ("Integer32", -1, "ffffffff"),
            ("Integer64", -(1 << 63), "8000000000000000"),
            ("Unsigned32", (1 << 32) - 1, "ffffffff"),
            ("Unsigned64", 1 << 63, "8000000000000000"),
            ("Enumerated", 2, "00000002"),
            ("Float32", 1.5, "3fc00000"),
            ("Float64", -2.0, "c000000000000000"),
            ("Float64", math.inf, "7ff0000000000000"),
            ("Address", V4, "0001c0000201"),
            ("Address", V6, "0002" + V6.hex()),
            ("Address", OtherAddress(b"\0\x0849123"), "00083439313233"),
            ("Time", 0, "83aa7e80"),
            ("Time", 1795417200, "eeae62f0"),
        ):
            kind = TYPES[name]
            self.assertEqual(kind.encode(value).hex(), octets, name)
            self.assertEqual(kind.decode(bytes.fromhex(octets)), value, name)

    def test_eras_of_time(self) -> None:
        """RFC 6733 section 4.3.1: without the top bit it is after 2036-02-07 06:28:16."""
        kind = TYPES["Time"]
        self.assertEqual(kind.decode(b"\xff\xff\xff\xff"), 2085978495)
        self.assertEqual(kind.decode(b"\0\0\0\0"), 2085978496)
        for seconds in (2085978495, 2085978496, -(20 * 365 * 86_400) // 20, 4233462143):
            self.assertEqual(kind.decode(kind.encode(seconds)), seconds)

    def test_no_values(self) -> None:
        for name, value in (
            ("OctetString", "text"),
            ("UTF8String", b"octets"),
            ("UTF8String", "\ud800"),
            ("DiameterIdentity", "hö"),
            ("DiameterIdentity", 7),
            ("Unsigned32", -1),
            ("Unsigned32", 1 << 32),
            ("Unsigned32", "7"),
            ("Unsigned32", 7.5),
            ("Integer32", 1 << 31),
            ("Unsigned64", 1 << 64),
            ("Float32", "x"),
            ("Address", bytes(5)),
            ("Address", "192.0.2.1"),
            ("Time", 1 << 40),
            ("Time", -(1 << 40)),
        ):
            self.assertRaises(BadValue, TYPES[name].encode, value)

    def test_no_octets(self) -> None:
        for name, octets in (
            ("UTF8String", b"\xff"),
            ("UTF8String", b"\xed\xa0\x80"),
            ("DiameterIdentity", b""),
            ("DiameterIdentity", b"a b"),
            ("DiameterIdentity", b"a\n"),
            ("DiameterIdentity", b"a\x7f"),
            ("DiameterIdentity", b"h\xc3\xb6"),
            ("DiameterIdentity", b"a" * 256),
            ("DiameterURI", b"aaa://"),
            ("DiameterURI", b"http://a"),
            ("DiameterURI", b"aaa://a;transport=pigeon"),
            ("DiameterURI", b"aaa://a:port"),
            ("DiameterURI", b"aaa://a\n"),
            ("Unsigned32", b"\0\0\0"),
            ("Unsigned64", b"\0\0\0\0"),
            ("Float32", b""),
            ("Time", bytes(5)),
            ("Address", b""),
            ("Address", b"\0\1"),
            ("Address", b"\0\1abc"),
            ("Address", b"\0\2abcd"),
            ("Address", b"\0\0abcd"),
            ("Address", b"\xff\xffabcd"),
            ("Grouped", b""),
        ):
            self.assertRaises(BadValue, TYPES[name].decode, octets)

    def test_all_identities_are_remembered_only_so_far(self) -> None:
        kind = TYPES["DiameterIdentity"]
        for number in range(10_000):
            self.assertEqual(kind.decode(b"host-%d" % number), f"host-{number}")

    def test_fold(self) -> None:
        self.assertEqual(fold("AAA.Example."), "aaa.example")
