"""The message table against the RFCs, and each of its rows there and back."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.mobility import messages as m
from appliance.protocols.mobility import options as o
from appliance.protocols.mobility.codec import (
    OPTION_REPEATED,
    PAYLOAD_PROTO,
    TOO_SHORT,
    decode,
    encode,
    from_ntp,
    from_timestamp,
    mh_type,
    seal,
    to_ntp,
    to_timestamp,
    verify,
)
from appliance.protocols.mobility.layout import EncodeError
from appliance.protocols.mobility.messages import MESSAGES
from test.protocols.mobility.support import PER_ROW, messages_of

# MH type: (octets before the options, least Header Len), typed from the RFCs.
RULES = {
    0: (8, 0),
    1: (16, 1),
    2: (16, 1),
    3: (24, 2),
    4: (24, 2),
    5: (12, 1),
    6: (12, 1),
    7: (24, 2),
    8: (12, 1),
    9: (12, 1),
    10: (8, 0),
    11: (6, 0),
    12: (8, 0),
    13: (12, 1),
    14: (10, 1),
    15: (10, 1),
    16: (12, 1),
    17: (12, 1),
    18: (12, 1),
    19: (12, 1),
    20: (12, 1),
}

# Messages as they are on the wire, where no captured packet of ours has them.
WIRE = [
    (m.BindingRefreshRequest(), "3b00 0000 0000 0000"),
    (m.HomeTestInit(b"cookie-1"), "3b01 0100 0000 0000 636f6f6b69652d31"),
    (m.CareOfTestInit(b"cookie-2"), "3b01 0200 0000 0000 636f6f6b69652d32"),
    (m.HomeTest(7, b"cookie-1", b"token--1"), "3b02 0300 0000 0007 636f6f6b69652d31 746f6b656e2d2d31"),
    (m.CareOfTest(8, b"cookie-2", b"token--2"), "3b02 0400 0000 0008 636f6f6b69652d32 746f6b656e2d2d32"),
    (m.FastBindingUpdate(1, m.BU_A, 2), "3b01 0800 0000 0001 8000 0002 01020000"),
    (m.FastBindingAcknowledgment(128, 0x80, 1, 2), "3b01 0900 0000 8080 0001 0002 01020000"),
    (m.FastNeighborAdvertisement(), "3b00 0a00 0000 0000"),
    (m.ExperimentalMessage(b"0123456789"), "3b01 0b00 0000 30313233343536373839"),
    (m.HomeAgentSwitch([]), "3b00 0c00 0000 0000"),
    (m.HomeAgentSwitch([b"A" * 16]), "3b02 0c00 0000 0100" + "41" * 16),
    (m.HandoverInitiate(1, 0x80, 2), "3b01 0e00 0000 0001 8002 010400000000"),
    (m.HandoverAcknowledge(1, 0, 128), "3b01 0f00 0000 0001 0080 010400000000"),
    (m.LocalizedRoutingInitiation(1, 0xFFFF), "3b01 1100 0000 0001 0000 ffff 01020000"),
    (m.LocalizedRoutingAcknowledgment(1, 1, 129, 30), "3b01 1200 0000 0001 8081 001e 01020000"),
]

HOME, ANCHOR = (
    bytes.fromhex("20010db8000a00000000000000000001"),
    bytes.fromhex("20010db8ffff00000000000000000001"),
)


class MessageTableTest(SynchronousTestCase):
    def test_every_type(self) -> None:
        """The table has every MH type from 0 to 20; type 16 is there as indication and acknowledgement."""
        self.assertEqual(sorted({number for number, _ in MESSAGES}), list(range(21)))
        self.assertEqual([subtype for number, subtype in MESSAGES if number == 16], [1, 2])

    def test_sizes(self) -> None:
        """Each row has the fixed part and the least Header Len of its RFC (RFC 6275 section 9.2)."""
        for (number, _), row in MESSAGES.items():
            self.assertEqual((row.fixed, row.least // 8 - 1), RULES[number], row.name)
            self.assertEqual((row.cls.TYPE, row.cls.NAME), (number, row.name))
            self.assertFalse(any("__dict__" in vars(cls) for cls in row.cls.__mro__), row.name)

    def test_wire(self) -> None:
        """Messages have their fields where the RFCs draw them, both ways."""
        for message, wire in WIRE:
            octets = bytes.fromhex(wire)
            self.assertEqual(encode(message), octets, message)
            self.assertEqual(decode(octets), (message, ()))
            self.assertEqual(mh_type(octets), message.TYPE)

    def test_no_options_is_four_octets_of_padding(self) -> None:
        """BU, BA, Heartbeat, BRM, UPN and LRI without options have Header Len 1 and a PadN of 4 octets."""
        for row in MESSAGES.values():
            if row.fixed == 12:
                fields = len(row.cls.__slots__) - 1
                mh = encode(row.cls(*[1] * fields))
                self.assertEqual((mh[1], len(mh), mh[12:]), (1, 16, b"\1\2\0\0"), row.name)

    def test_header_len_below_the_least(self) -> None:
        """Header Len below the least of the type is a fault that points at it (RFC 6275 section 9.2)."""
        for (number, subtype), row in MESSAGES.items():
            for header_len in range(RULES[number][1]):
                mh = bytes((59, header_len, number, 0, 0, 0, subtype or 0)) + bytes(50)
                message, faults = decode(mh)
                self.assertEqual([(f.kind, f.offset) for f in faults], [(TOO_SHORT, 1)], row.name)
                self.assertIsNone(message)

    def test_too_many_addresses(self) -> None:
        """A Home Agent Switch that announces more addresses than fit is a fault, with other faults too."""
        mh = bytes.fromhex("3b02 0c00 0000 0200" + "41" * 16)
        self.assertEqual([fault.kind for fault in decode(mh).faults], [TOO_SHORT])
        kinds = [fault.kind for fault in decode(b"\6" + mh[1:]).faults]
        self.assertEqual(kinds, [PAYLOAD_PROTO, TOO_SHORT])
        self.assertRaises(EncodeError, encode, m.HomeAgentSwitch([bytes(16)] * 200))
        self.assertRaises(EncodeError, encode, m.HomeAgentSwitch([bytes(15)]))

    def test_header_len_has_a_limit(self) -> None:
        """A message longer than Header Len can say is refused; one that just fits is not."""
        prefix = o.HomeNetworkPrefix(64, bytes(16))
        longest = m.BindingUpdate(1, 2, 3, [prefix] * 85)
        self.assertEqual(len(encode(longest)), 2048)
        self.assertEqual(decode(encode(longest)).message, longest)
        self.assertRaises(EncodeError, encode, m.BindingUpdate(1, 2, 3, [prefix] * 86))

    def test_values_that_do_not_fit(self) -> None:
        """Encoding refuses fields out of range."""
        for message in (
            m.BindingUpdate(65536, 0, 0),
            m.BindingAcknowledgement(256, 0, 0, 0),
            m.BindingError(1, bytes(4)),
            m.HomeTestInit(bytes(7)),
            m.Heartbeat(0, 1 << 32),
            m.LocalizedRoutingAcknowledgment(0, 2, 0, 0),
        ):
            self.assertRaises(EncodeError, encode, message)

    def test_repeated_options(self) -> None:
        """An option that may come once must not come twice, unless a message names two mobiles."""
        twice: list[o.Option] = [o.MobileNodeIdentifier(1, b"a"), o.MobileNodeIdentifier(1, b"b")]
        self.assertEqual(
            [fault.kind for fault in decode(encode(m.BindingUpdate(1, 2, 3, twice))).faults],
            [OPTION_REPEATED],
        )
        self.assertEqual(decode(encode(m.LocalizedRoutingInitiation(1, 3, twice))).faults, ())
        several: list[o.Option] = [o.HomeNetworkPrefix(64, bytes(16)), o.HomeNetworkPrefix(64, bytes(16))]
        self.assertEqual(decode(encode(m.BindingUpdate(1, 2, 3, several))).faults, ())

    def test_authentication_ends_the_message(self) -> None:
        """Padding goes before the last option when that is an authenticator (RFC 4285 section 5)."""
        for size in range(12):
            for last in (o.Authentication(1, 256, bytes(12)), o.BindingAuthorizationData(bytes(12))):
                options = [o.MobileNodeIdentifier(1, b"x" * size), last]
                mh = encode(m.BindingUpdate(1, m.BU_A, 3, options))
                self.assertEqual(decode(mh).message, m.BindingUpdate(1, m.BU_A, 3, options))
                self.assertEqual(mh[-len(last.authenticator) - (2 if last.TYPE == 5 else 7)], last.TYPE)

    @settings(deadline=None, max_examples=PER_ROW, suppress_health_check=[HealthCheck.data_too_large])
    @given(st.data())
    def test_round_trip_of_each_row(self, data: st.DataObject) -> None:
        """What is encoded for any row, with any options, decodes to the same, sealed or not."""
        for row in MESSAGES.values():
            message = data.draw(messages_of(row))
            mh = encode(message)
            self.assertEqual(decode(mh), (message, ()))
            sealed = seal(mh, HOME, ANCHOR)
            self.assertTrue(verify(sealed, HOME, ANCHOR))
            self.assertEqual(decode(sealed), (message, ()))
            self.assertFalse(verify(sealed, HOME, ANCHOR[:-1] + b"\2"))

    def test_checksum_of_other_lengths(self) -> None:
        """The checksum is over what Header Len says, or over all there is when that is less."""
        mh = seal(encode(m.Heartbeat(0, 1)), HOME, ANCHOR)
        self.assertTrue(verify(mh + b"trailer", HOME, ANCHOR))
        cut = seal(encode(m.BindingUpdate(1, 2, 3, [o.GreKey(7)]))[:-4], HOME, ANCHOR)
        self.assertTrue(verify(cut, HOME, ANCHOR))
        self.assertFalse(verify(cut[:-1], HOME, ANCHOR))
        self.assertEqual([verify(bytes(size), HOME, ANCHOR) for size in range(9)], [False] * 9)

    def test_timestamps(self) -> None:
        """The Timestamp option counts from 1970 with 16 bits of fraction, MESG-ID from 1900 with 32."""
        self.assertEqual(to_timestamp(1700000000.5), 0x6553F1008000)
        self.assertEqual(from_timestamp(0x6553F1008000), 1700000000.5)
        self.assertEqual(to_ntp(1700000000.25), 0xE8FE6F8040000000)
        self.assertEqual(from_ntp(0xE8FE6F8040000000), 1700000000.25)
