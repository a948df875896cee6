"""Octets that are no good message: each fault, and any octets at all."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.bits import DecodeError
from appliance.protocols.mobility import codec
from appliance.protocols.mobility import messages as m
from appliance.protocols.mobility import options as o
from appliance.protocols.mobility.codec import Fault, decode, encode
from appliance.protocols.mobility.packet import parse_ipv6
from test.fuzz import DECODER_CASES
from test.protocols.mobility.support import FUZZ
from test.protocols.mobility.test_messages import WIRE
from test.protocols.mobility.test_options import WIRE as OPTION_WIRE
from test.protocols.mobility.vectors import FIELD, PACKETS

KINDS = {
    codec.TOO_SHORT,
    codec.PAYLOAD_PROTO,
    codec.UNKNOWN_TYPE,
    codec.REVOCATION_TYPE,
    codec.OPTION_OVERRUN,
    codec.OPTION_LENGTH,
    codec.OPTION_REPEATED,
}


def found(data: bytes) -> list[tuple[str, int]]:
    """Kind and offset of the faults of ``data``."""
    return [(fault.kind, fault.offset) for fault in decode(data).faults]


def seeds() -> list[bytes]:
    """Messages to start mutations from: every type and most options."""
    messages = [encode(message) for _, message in PACKETS.values()] + [encode(message) for message, _ in WIRE]
    options = [encode(m.BindingUpdate(1, 2, 3, [option])) for option, _ in OPTION_WIRE]
    return messages + options + list(FIELD.values())


class FaultTest(SynchronousTestCase):
    def test_less_than_a_header(self) -> None:
        """Fewer than 8 octets are too short; nothing points into them."""
        for size in range(8):
            self.assertEqual(found(bytes((59, 0, 5, 0, 0, 0, 0, 0))[:size]), [(codec.TOO_SHORT, 8)])
        self.assertEqual([codec.mh_type(bytes(size)) for size in range(4)], [-1, -1, -1, 0])

    def test_unknown_type(self) -> None:
        """A type that is not known is a fault at the type octet (RFC 6275 section 9.2)."""
        for number in range(21, 256):
            self.assertEqual(found(bytes((59, 0, number, 0, 0, 0, 0, 0))), [(codec.UNKNOWN_TYPE, 2)])

    def test_unknown_revocation_type(self) -> None:
        """A Binding Revocation that is neither indication nor acknowledgement is a fault of its own."""
        for subtype in (0, 3, 255):
            self.assertEqual(
                found(bytes((59, 1, 16, 0, 0, 0, subtype)) + bytes(9)), [(codec.REVOCATION_TYPE, 6)]
            )

    def test_payload_proto(self) -> None:
        """Payload Proto other than 59 is a fault at octet 0; the message is there (RFC 6275 section 9.2)."""
        mh = b"\6" + encode(m.Heartbeat(0, 1))[1:]
        self.assertEqual(decode(mh).message, m.Heartbeat(0, 1))
        self.assertEqual(found(mh), [(codec.PAYLOAD_PROTO, 0)])

    def test_all_faults_together(self) -> None:
        """Every fault is told, those of the header in the order of RFC 6275 section 9.2 first."""
        mh = bytes.fromhex("06 ff 05 00 0000 0001 8200 0010 160100 0804 01616161 08 02 0161 17 05 00")
        self.assertEqual(
            found(mh),
            [
                (codec.PAYLOAD_PROTO, 0),
                (codec.TOO_SHORT, 2048),
                (codec.OPTION_LENGTH, 12),
                (codec.OPTION_REPEATED, 21),
                (codec.OPTION_OVERRUN, 25),
            ],
        )
        self.assertEqual(
            found(bytes.fromhex("06 00 15 00 0000 0000")), [(codec.UNKNOWN_TYPE, 2), (codec.PAYLOAD_PROTO, 0)]
        )

    def test_buffer_shorter_than_header_len(self) -> None:
        """Missing octets are too short with the length that was needed; what is there is decoded."""
        whole = encode(m.BindingUpdate(1, 2, 3, [o.MobileNodeIdentifier(1, b"mn1@example.org")]))
        for size in range(12, len(whole)):
            faults = found(whole[:size])
            self.assertEqual(faults[0], (codec.TOO_SHORT, len(whole)))
            self.assertIsInstance(decode(whole[:size]).message, m.BindingUpdate)
        self.assertIsNone(decode(whole[:11]).message)

    def test_octets_behind_the_message(self) -> None:
        """What comes behind Header Len is not looked at."""
        mh = encode(m.Heartbeat(0, 1))
        self.assertEqual(decode(mh + b"\x16\xff\xff\xff"), (m.Heartbeat(0, 1), ()))

    def test_option_overrun(self) -> None:
        """An option that runs past the end, or lacks a length, is a fault; those before it stay."""
        head = bytes.fromhex("3b01050000000001 0002 0003")
        self.assertEqual(found(head + bytes.fromhex("17 03 00 01")), [(codec.OPTION_OVERRUN, 12)])
        self.assertEqual(found(head + bytes.fromhex("01 01 00 17")), [(codec.OPTION_OVERRUN, 15)])
        message = decode(bytes.fromhex("3b02050000000001 0002 0003 17020001 18020004 1803 0004")).message
        self.assertEqual(
            message, m.BindingUpdate(1, 2, 3, [o.HandoffIndicator(1), o.AccessTechnologyType(4)])
        )

    def test_unknown_options_are_skipped(self) -> None:
        """Options that nobody knows are no fault and leave nothing (RFC 6275 section 6.2.1)."""
        for number in range(71, 256):
            mh = (
                bytes.fromhex("3b02050000000001 0002 0003") + bytes((number, 2, 9, 9)) + b"\x17\2\0\1\1\2\0\0"
            )
            self.assertEqual(decode(mh), (m.BindingUpdate(1, 2, 3, [o.HandoffIndicator(1)]), ()))

    def test_unaligned_and_odd_padding(self) -> None:
        """Wrong alignment, several Pad1 and a PadN with rubbish in it are read (RFC 6275 section 6.2)."""
        mh = bytes.fromhex("3b05050000000001 0002 0003 00 0000 0103ffffff") + bytes.fromhex(
            "1612 0040" + "20" * 16 + "00 00 00 00 00 00 00 00"
        )
        self.assertEqual(len(mh), 48)
        self.assertEqual(decode(mh), (m.BindingUpdate(1, 2, 3, [o.HomeNetworkPrefix(64, b"\x20" * 16)]), ()))

    def test_repeated_more_than_allowed(self) -> None:
        """Two authenticators are allowed, a third is a fault (RFC 4285 section 5)."""
        third: list[o.Option] = [o.Authentication(n, 256, bytes(12)) for n in (1, 2, 1)]
        self.assertEqual(found(encode(m.BindingUpdate(1, 2, 3, third[:2]))), [])
        kinds = [kind for kind, _ in found(encode(m.BindingUpdate(1, 2, 3, third)))]
        self.assertEqual(kinds, [codec.OPTION_REPEATED])


class FuzzTest(SynchronousTestCase):
    def check(self, data: bytes) -> None:
        """Decoding tells faults that make sense; what has none encodes again and decodes to the same."""
        message, faults = decode(data)
        for fault in faults:
            assert isinstance(fault, Fault)
            self.assertIn(fault.kind, KINDS)
            self.assertLess(fault.offset, max(len(data), 2049))
        if message is None:
            self.assertTrue(faults)
        elif not faults:
            self.assertEqual(decode(encode(message)), (message, ()))
        codec.verify(data, bytes(16), bytes(16))

    def test_mutated_messages(self) -> None:
        """Good messages with octets changed, cut, doubled or added never raise."""
        choose = random.Random(6275)
        for seed in seeds():
            for _ in range(FUZZ):
                data = bytearray(seed)
                for _ in range(choose.choice((1, 1, 1, 2, 3, 8))):
                    at = choose.randrange(len(data)) if data else 0
                    match choose.randrange(6):
                        case 0 | 1 | 2 if data:
                            data[at] = choose.choice((0, 1, 2, 255, choose.randrange(256)))
                        case 3:
                            del data[at : at + choose.randrange(9)]
                        case 4:
                            data[at:at] = data[: choose.randrange(30)]
                        case _:
                            data = data[: len(data) - choose.randrange(5)]
                self.check(bytes(data))

    def test_random_octets(self) -> None:
        """Random octets behind a good header never raise."""
        choose = random.Random(5213)
        for _ in range(FUZZ * 20):
            body = choose.randbytes(choose.randrange(100))
            self.check(bytes((59, choose.randrange(14), choose.randrange(22), 0, 0, 0)) + body)

    @settings(deadline=None, max_examples=DECODER_CASES)
    @given(st.binary(max_size=400))
    def test_any_octets(self, data: bytes) -> None:
        """Any octets at all never raise."""
        self.check(data)

    def test_mutated_packets(self) -> None:
        """Whole packets with octets changed or cut are parsed or refused with a DecodeError."""
        choose = random.Random(8200)
        for packet, _ in PACKETS.values():
            for _ in range(FUZZ // 4):
                data = bytearray(packet)
                for _ in range(choose.randrange(1, 4)):
                    data[choose.choice((choose.randrange(56), choose.randrange(len(data))))] = (
                        choose.randrange(256)
                    )
                try:
                    parsed = parse_ipv6(
                        bytes(data[: choose.choice((len(data), choose.randrange(len(data))))])
                    )
                except DecodeError:
                    continue
                self.check(parsed.mh)
