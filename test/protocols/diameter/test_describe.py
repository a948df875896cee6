"""Messages in words."""

from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.diameter.message.codec import Message, frame
from appliance.protocols.diameter.message.describe import (
    LEVELS,
    MOST_AVPS,
    application_name,
    command_name,
    describe,
    result_text,
)
from appliance.protocols.diameter.message.dictionary import standard
from test.protocols.diameter.examples import all_messages
from test.protocols.diameter.golden import MESSAGES

D = standard()


class Describe(SynchronousTestCase):
    def test_title(self) -> None:
        self.assertEqual(
            describe(MESSAGES["acr stop again"].octets),
            [
                "Accounting-Request (ACR), STOP_RECORD, number 2, DIAMETER_LOGOUT, user mn1@home.example, "
                "session lma1.home.example;3973075200;1, from lma1.home.example to aaa1.home.example, "
                "Diameter Mobile IPv4 (2), sent again"
            ],
        )
        self.assertEqual(
            describe(MESSAGES["error 3002"].octets),
            [
                "MIP6-Answer (MIA), DIAMETER_UNABLE_TO_DELIVER (3002), session "
                "lma1.home.example;3973075200;1;mip6a, from relay1.home.example, "
                "Diameter Mobile IPv6 Auth (MIP6A) (8)"
            ],
        )

    def test_levels(self) -> None:
        octets = MESSAGES["acr interim relayed"].octets
        title, *header = describe(octets, 2)
        self.assertEqual(describe(octets, 1), [title])
        self.assertEqual(
            header,
            [
                "  Length: 516",
                "  Flags: R P",
                "  Command: 271",
                "  Application: Diameter Mobile IPv4 (2)",
                "  Hop-by-Hop Id: 0x20000011",
                "  End-to-End Id: 0xa0000011",
            ],
        )
        third = describe(octets, 3)
        self.assertEqual(third[:7], [title, *header])
        self.assertEqual(third[7], "  AVPs:")
        self.assertIn("    Accounting-Record-Type (480): INTERIM_RECORD (3)", third)
        self.assertEqual(
            third[-4:],
            [
                "    Proxy-Info (284):",
                '      Proxy-Host (280): "relay1.home.example"',
                "      Proxy-State (33): 0x00112233",
                '    Route-Record (282): "lma1.home.example"',
            ],
        )
        fourth = describe(octets, 4)
        self.assertIn("  Flags: R P [0xc0]", fourth)
        self.assertIn("    Acct-Session-Time (46), flags M, length 12: 300 [0000012c]", fourth)
        fifth = describe(octets, 5)
        self.assertEqual(len(fifth), len(fourth) + 33)
        self.assertIn("0000  01 00 02 04 c0 00 01 0f", fifth[len(fourth)])
        self.assertEqual(describe(octets, 0), [title])
        self.assertEqual(describe(octets, 9), fifth)

    def test_faults(self) -> None:
        octets = frame(280, 0, 0x80, 1, 2, D["Origin-Host"].encode("a") + b"\0\0\x27\x0f\x40\0\0\x08")
        lines = describe(octets, 2)
        self.assertIn(
            "  Fault: AVP 9999 is not known and has the M bit [DIAMETER_AVP_UNSUPPORTED 5001]", lines
        )

    def test_octets_that_are_no_message(self) -> None:
        for octets in (b"", b"\1", bytes(20), MESSAGES["dwr"].octets[:-4], MESSAGES["dwr"].octets + b"\0"):
            for level in LEVELS:
                lines = describe(octets, level)
                self.assertIn("not decoded", lines[0])
        self.assertIn("the header says 80 octets", describe(MESSAGES["dwr"].octets[:-4])[0])

    def test_avps_that_cannot_be_cut(self) -> None:
        octets = frame(280, 0, 0x80, 1, 2, D["Origin-Host"].encode("a") + b"\0\0\1\x28\x40\0\0\x64abcd")
        self.assertIn("MALFORMED: AVP 296 at octet 32 says that it has 100 octets", describe(octets)[0])
        self.assertIn("    malformed: ", "\n".join(describe(octets, 3)))

    def test_keys_are_hidden(self) -> None:
        for level in (3, 4):
            lines = describe(MESSAGES["mia"].octets, level)
            self.assertEqual([line for line in lines if "10111213" in line], [])
            self.assertTrue(any(line.endswith(": (hidden, 16 octets)") for line in lines))
        self.assertTrue(any("10111213" in line for line in describe(MESSAGES["mia"].octets, 5)))

    def test_it_is_bounded(self) -> None:
        unknown = b"\0\0\x27\x0f\0\0\0\x08"
        group = D["Proxy-Info"].encode(unknown * 4_000)
        long = D["User-Name"].encode("x" * 100_000)
        info = D["MIP6-Agent-Info"].encode(b"")
        for _ in range(3_000):
            info = D["MIP6-Agent-Info"].encode(info)
        for body in (unknown * 4_000, unknown * 100_000, group * 30, long, info):
            octets = frame(280, 0, 0x80, 1, 2, body)
            lines = describe(octets, 5)
            self.assertLess(len(lines), 2 * MOST_AVPS + 300)
            self.assertLess(max(map(len, lines)), 1_000)

    def test_nothing_reaches_the_terminal(self) -> None:
        octets = frame(280, 0, 0x80, 1, 2, D["User-Name"].encode("\x1b[2J\r\n\u202e"))
        self.assertTrue(all(line.isprintable() for line in describe(octets, 5)))

    def test_names(self) -> None:
        message = Message(frame(999, 77, 0x40, 1, 2, b""))
        self.assertEqual(command_name(message, D), "Command 999 Answer")
        self.assertEqual(application_name(77, D), "application 77")
        self.assertEqual(result_text(message, D), "")
        self.assertIn("no result", describe(message.data)[0])

    def test_results(self) -> None:
        def result(*avps: bytes) -> str:
            return result_text(Message(frame(271, 3, 0x40, 1, 2, b"".join(avps))), D)

        def experimental(vendor: int, code: int) -> bytes:
            parts = D["Vendor-Id"].encode(vendor), D["Experimental-Result-Code"].encode(code)
            return D["Experimental-Result"].encode(parts)

        self.assertEqual(result(D["Result-Code"].encode(5003)), "DIAMETER_AUTHORIZATION_REJECTED (5003)")
        self.assertEqual(result(D["Result-Code"].encode(9)), "9")
        self.assertEqual(
            result(experimental(10415, 5001)), "DIAMETER_ERROR_USER_UNKNOWN (5001 of vendor 10415)"
        )
        self.assertEqual(result(experimental(9, 5001)), "experimental result (5001 of vendor 9)")
        self.assertEqual(result(D["Result-Code"].wrap(b"\1")), "a result that cannot be read")

    def test_everything(self) -> None:
        for name, octets in all_messages(D).items():
            for level in LEVELS:
                text = "\n".join(describe(octets, level))
                self.assertNotIn("Unknown AVP", text, name)
                self.assertNotIn("malformed", text, name)
