"""The option table against the RFCs, and each of its rows there and back."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.mobility import options as o
from appliance.protocols.mobility.codec import OPTION_LENGTH, decode, encode
from appliance.protocols.mobility.layout import EncodeError
from appliance.protocols.mobility.messages import BindingUpdate
from appliance.protocols.mobility.options import OPTIONS
from test.protocols.mobility.support import PER_ROW, any_option, option_offsets, options_of, unrepeated

# Type: (length octets or the least one with "+", alignment), typed from the RFCs.
RULES = {
    2: ("2", "2n"),
    3: ("16", "8n+6"),
    4: ("4", "2n"),
    5: ("12", "8n+2"),
    6: ("18", "8n+4"),
    7: ("1+", ""),
    8: ("1+", ""),
    9: ("5+", "4n+1"),
    10: ("8", "8n+2"),
    11: ("0", ""),
    15: ("0", ""),
    16: ("8", ""),
    17: ("2+", ""),
    19: ("5+", "4n+2"),
    20: ("1+", ""),
    22: ("18", "8n+4"),
    23: ("2", ""),
    24: ("2", ""),
    25: ("2+", "4n"),
    26: ("16", "8n+6"),
    27: ("8", "8n+2"),
    28: ("4", "4n+2"),
    29: ("6", "4n"),
    30: ("6", "4n"),
    31: ("6", "4n"),
    32: ("6", "4n"),
    33: ("2 6", "4n"),
    34: ("18", "8n+4"),
    35: ("4 8 20", "2n"),
    36: ("6", "4n"),
    37: ("6", "4n"),
    38: ("6", "4n"),
    39: ("2", ""),
    40: ("2+", ""),
    41: ("6 18", ""),
    42: ("10", ""),
    43: ("2", ""),
    44: ("0+", "2n"),
    45: ("0+", "2n"),
    46: ("2", "4n"),
    47: ("6 18", "4n"),
    48: ("18", "4n"),
    49: ("4", "4n+2"),
    50: ("6", "4n"),
    51: ("18", "8n+4"),
    52: ("0+", "4n"),
    55: ("6 18", "8n+2"),
    56: ("1+", "4n+1"),
    57: ("1+", "8n+1"),
    58: ("6+", "4n"),
    59: ("2 6 18", "8n+2"),
    62: ("0+", "4n+2"),
    63: ("6", ""),
    64: ("2+", ""),
    65: ("18", "8n+4"),
    66: ("18", "8n+4"),
    67: ("34", "8n+4"),
    68: ("16", "8n+6"),
    69: ("16", "8n+6"),
    70: ("2+", "4n"),
} | dict.fromkeys((12, 13, 14, 18, 21, 53, 54, 60, 61), ("0+", ""))

# One example a row where bits, not whole octets, make the fields: the option as it is on the wire.
WIRE = [
    (o.IPv4HomeAddress(24, 1, b"\xc0\0\2\7"), "1d06 6200 c0000207"),
    (o.IPv4AddressAcknowledgement(129, 32, b"\xc0\0\2\7"), "1e06 8180 c0000207"),
    (o.NatDetection(1, 110), "1f06 8000 0000006e"),
    (o.GreKey(None), "2102 0000"),
    (o.GreKey(0x1001), "2106 0000 00001001"),
    (o.BindingIdentifier(7, 0, 1, b""), "2304 0007 0080"),
    (o.BindingIdentifier(7, 164, 0, b"\xc0\0\2\7"), "2308 0007 a400 c0000207"),
    (o.IPv4HomeAddressRequest(24, b"\xc0\0\2\7"), "2406 6000 c0000207"),
    (o.IPv4HomeAddressReply(128, 24, b"\xc0\0\2\7"), "2506 8060 c0000207"),
    (o.IPv4DhcpSupportMode(1), "2702 0001"),
    (o.TransientBinding(1, 20), "2b02 0114"),
    (o.RedirectCapability(), "2e02 0000"),
    (o.Redirect(bytes(range(16))), "2f12 8000 000102030405060708090a0b0c0d0e0f"),
    (o.Redirect(b"\xc0\0\2\7"), "2f06 4000 c0000207"),
    (o.LoadInformation(1, 2, 3, 4, 5), "3012 0001 00000002 00000003 00000004 00000005"),
    (o.MobileNodeGroupIdentifier(1, 0x12345678), "3206 0100 12345678"),
    (o.AccessNetworkIdentifier([(3, b"\1realm")]), "3408 0306 01 7265616c6d"),
    (o.DelegatedMobileNetworkPrefix(24, b"\xc0\0\2\0"), "3706 8018 c0000200"),
    (o.DelegatedMobileNetworkPrefix(56, b"\x20" * 16), "3712 0038" + "20" * 16),
    (o.QualityOfService(3, 0xB8, 2, [(5, b"\0\x19")]), "3a0a 03b802 000000 05020019"),
    (o.LmaUserPlaneAddress(), "3b02 0000"),
    (o.LmaControlledMagParameters([(2, bytes(6))]), "3e08 0206 000000000000"),
    (o.MagMultipathBinding(4, 1, 2, 1, 1), "3f06 04 01 02 c00000"),
    (o.MagIdentifier(1, b"mag@x"), "4007 0100 6d61674078"),
]


def carry(*options: o.Option) -> bytes:
    """A Binding Update with the options."""
    return encode(BindingUpdate(1, 0x8200, 10, list(options)))


class OptionTableTest(SynchronousTestCase):
    def test_every_type(self) -> None:
        """The table has every option from 2 to 70; 0 and 1 are the padding."""
        self.assertEqual(sorted(OPTIONS), list(range(2, 71)))
        self.assertEqual(sorted(RULES), list(range(2, 71)))

    def test_lengths_and_alignment(self) -> None:
        """Each row has the length rule and the alignment of its RFC."""
        for number, (lengths, alignment) in RULES.items():
            row = OPTIONS[number]
            if lengths.endswith("+"):
                self.assertEqual(row.lengths, tuple(range(int(lengths[:-1]), 256)), row.name)
            else:
                self.assertEqual(row.lengths, tuple(map(int, lengths.split())), row.name)
            self.assertEqual(row.alignment, alignment, row.name)

    def test_classes_have_slots(self) -> None:
        """Options have no dictionary each, and know their type and name."""
        for number, row in OPTIONS.items():
            self.assertEqual((row.cls.TYPE, row.cls.NAME), (number, row.name))
            self.assertFalse(any("__dict__" in vars(cls) for cls in row.cls.__mro__), row.name)
            self.assertTrue(row.cls.__doc__)

    def test_bit_fields(self) -> None:
        """Fields of less than an octet, optional and derived fields are where the RFCs draw them."""
        for option, wire in WIRE:
            octets = bytes.fromhex(wire)
            mh = carry(option)
            at = {number: offset for number, offset, _ in option_offsets(mh, 12)}[option.TYPE]
            self.assertEqual(mh[at : at + len(octets)], octets, option)
            self.assertEqual(decode(mh).message, BindingUpdate(1, 0x8200, 10, [option]))

    def test_reserved_bits_are_ignored(self) -> None:
        """Reserved bits that a peer set change nothing."""
        mh = bytearray(carry(o.HomeNetworkPrefix(64, bytes(16)), o.IPv4HomeAddressRequest(24, bytes(4))))
        plain = decode(bytes(mh)).message
        for number, offset, _ in option_offsets(bytes(mh), 12):
            if number == 22:
                mh[offset + 2] = 0xFF
            if number == 36:
                mh[offset + 2] |= 3
                mh[offset + 3] = 0xFF
        self.assertEqual(decode(bytes(mh)).message, plain)

    def test_bid_alignment_follows_its_address(self) -> None:
        """A Binding Identifier is at 2n, with a care-of address at 8n+2 (RFC 5648 section 4.1)."""
        for care_of, step in ((b"", 2), (bytes(4), 8), (bytes(16), 8)):
            for size in range(9):
                mh = carry(o.MobileNodeIdentifier(1, b"x" * size), o.BindingIdentifier(7, 0, 0, care_of))
                at = {number: offset for number, offset, _ in option_offsets(mh, 12)}[35]
                self.assertEqual(at % step, 2 % step)

    def test_every_wrong_length(self) -> None:
        """Each length that a row does not allow is a fault at the option; the others are decoded."""
        for number, row in OPTIONS.items():
            for length in range(60):
                if ":t*" in row.layout and (length - row.lengths[0]) % 2:
                    continue  # zeros are sub-options of two octets each
                contents = bytes((number, length)) + bytes(length)
                body = bytes.fromhex("3b0005000000000182000010") + contents + bytes(-(12 + len(contents)) % 8)
                mh = body[:1] + bytes((len(body) // 8 - 1,)) + body[2:]
                message, faults = decode(mh)
                assert message is not None
                if length in row.lengths:
                    self.assertEqual((faults, len(message.options)), ((), 1), (row.name, length))
                else:
                    self.assertEqual([(f.kind, f.offset) for f in faults], [(OPTION_LENGTH, 12)], row.name)
                    self.assertEqual(message.options, [])

    def test_sub_option_past_its_option(self) -> None:
        """A sub-option that runs past the end of its option is a fault (RFC 6757 section 3)."""
        mh = bytes.fromhex("3b0205000000000182000010") + bytes.fromhex("3404 0103 0000 00 00 0000 0000")
        self.assertEqual([fault.kind for fault in decode(mh).faults], [OPTION_LENGTH])

    def test_values_that_do_not_fit(self) -> None:
        """Encoding refuses what would be cut off or spill over, and says so."""
        wrong = [
            o.HomeNetworkPrefix(64, bytes(8)),
            o.HomeNetworkPrefix(256, bytes(16)),
            o.HandoffIndicator(-1),
            o.IPv4HomeAddressRequest(64, bytes(4)),
            o.IPv4DhcpSupportMode(2),
            o.Redirect(bytes(5)),
            o.MobileNodeIdentifier(1, bytes(255)),
            o.ServiceSelection(b""),
            o.AccessNetworkIdentifier([(1, bytes(256))]),
            o.AccessNetworkIdentifier([(1, bytes(200)), (2, bytes(200))]),
            o.Timestamp(1 << 64),
        ]
        for option in wrong:
            self.assertRaises(EncodeError, carry, option)

    @settings(deadline=None, max_examples=PER_ROW)
    @given(st.data())
    def test_round_trip_of_each_row(self, data: st.DataObject) -> None:
        """What is encoded for any row decodes to the same, and is at its alignment."""
        for row in OPTIONS.values():
            option = data.draw(options_of(row))
            before = o.MobileNodeIdentifier(1, b"x" * data.draw(st.integers(0, 8)))
            options = [option] if row.number == 8 else [before, option]
            mh = carry(*options)
            self.assertEqual(decode(mh), (BindingUpdate(1, 0x8200, 10, options), ()))
            self.assertEqual(len(mh) % 8, 0)
            step, _, shift = RULES[row.number][1].partition("n")
            at = {number: offset for number, offset, _ in option_offsets(mh, 12)}[row.number]
            if step and not row.closing and row.number != 35:
                self.assertEqual(at % int(step), int(shift or 0), row.name)

    @settings(deadline=None, max_examples=PER_ROW)
    @given(st.lists(any_option(), max_size=12).map(unrepeated))
    def test_padding_is_least(self, options: list[o.Option]) -> None:
        """Between options is one padding of at most 7 octets: never two Pad1 (RFC 6275 section 6.2)."""
        found = option_offsets(carry(*options), 12)
        for (number, _, length), (following, _, _) in zip(found, found[1:], strict=False):
            if number < 2:
                self.assertLess(length, 6)
                self.assertGreater(following, 1, "two paddings in a row")
        self.assertEqual(
            [number for number, _, _ in found if number > 1], [option.TYPE for option in options]
        )
