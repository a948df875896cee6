"""AVPs as text, and text as AVPs."""

from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.diameter.message.codec import Avp, Malformed, cut
from appliance.protocols.diameter.message.dictionary import standard
from appliance.protocols.diameter.message.parsing import TextError, find, parse, parse_value
from appliance.protocols.diameter.message.text import Texts, quoted, texts_of

D = standard()


def raw(name: str, data: bytes) -> Avp:
    return Avp(D[name].code, D[name].vendor, D[name].flags, data)


class Writing(SynchronousTestCase):
    def test_values(self) -> None:
        for name, data, text in (
            ("User-Name", b"mn1@home.example", '"mn1@home.example"'),
            ("User-Name", b'a"b\\c\td\ne\0f', '"a\\"b\\\\c\\td\\ne\\x00f"'),
            ("User-Name", "hö\u202e\U0001f600".encode(), '"hö\\xe2\\x80\\xae\U0001f600"'),
            ("User-Name", b"\xff", "raw 0xff"),
            ("Origin-Host", b"aaa.example", '"aaa.example"'),
            ("Origin-Host", b"", "raw 0x"),
            ("Accounting-Record-Type", b"\0\0\0\2", "START_RECORD"),
            ("Accounting-Record-Type", b"\0\0\0\x63", "99"),
            ("Accounting-Record-Type", b"\0\0\2", "raw 0x000002"),
            ("Result-Code", (2001).to_bytes(4, "big"), "DIAMETER_SUCCESS"),
            ("Session-Binding", b"\0\0\0\6", "STR|ACCOUNTING"),
            ("Session-Binding", b"\0\0\0\x12", "STR|0x10"),
            ("Session-Binding", b"\0\0\0\0", "0"),
            ("Session-Binding", b"", "raw 0x"),
            ("Event-Timestamp", bytes.fromhex("eeae62f0"), "2026-11-23T07:00:00Z"),
            ("Event-Timestamp", bytes(4), "2036-02-07T06:28:16Z"),
            ("Host-IP-Address", b"\0\1\x0a\0\0\1", "10.0.0.1"),
            ("Host-IP-Address", b"\0\2" + bytes(15) + b"\1", "::1"),
            ("Host-IP-Address", b"\0\x08\x34\x39", "0x00083439"),
            ("Host-IP-Address", b"\0\1", "raw 0x0001"),
            ("NAS-IP-Address", bytes((192, 0, 2, 1)), "192.0.2.1"),
            ("NAS-IP-Address", b"\1", "0x01"),
            ("Class", b"text", "0x74657874"),
            ("Class", b"", "0x"),
            ("Acct-Session-Id", b"text", '"text"'),
            ("Acct-Session-Id", b"\0\1", "0x0001"),
            ("MIP6-Home-Link-Prefix", b"\x40\x20\1\x0d\xb8" + bytes(12), "2001:db8::/64"),
            ("MIP6-Home-Link-Prefix", b"\x40\x20", "0x4020"),
            ("MIP6-Home-Link-Prefix", b"\xff" + bytes(16), "0xff" + "00" * 16),
            ("Accounting-Input-Octets", (1 << 40).to_bytes(8, "big"), "1099511627776"),
            ("Port", b"\xff\xff\xff\xfe", "-2"),
            ("Bandwidth", b"\x3f\xc0\0\0", "1.5"),
            ("Bandwidth", b"\x7f\xc0\0\1", "raw 0x7fc00001"),
            ("Proxy-Info", b"", "{ }"),
            ("Proxy-Info", b"\0\0\0\x21", "raw 0x00000021"),
        ):
            self.assertEqual(Texts(D).avp(raw(name, data)), f"{name} = {text}")
            self.assertEqual(Texts(D).value(D[name], data), text)
            if not text.startswith("{"):
                self.assertEqual(cut(parse(f"{name} = {text}", D)), [raw(name, data)], text)

    def test_groups(self) -> None:
        text = 'Proxy-Info = { Proxy-Host = "a,}b", Proxy-State = 0x01, AVP-9999 = 0x, AVP-7.9 = 0x00 }'
        octets = parse(text, D)
        self.assertEqual(Texts(D).line(octets), text)
        nested = (
            'MIP6-Agent-Info = { MIP-Home-Agent-Host = { Destination-Realm = "r", Destination-Host = "h" } }'
        )
        self.assertEqual(Texts(D).line(parse(nested, D)), nested)
        self.assertEqual(Texts(D).line(parse("Proxy-Info={}", D)), "Proxy-Info = { }")

    def test_deep_groups(self) -> None:
        info = D["MIP6-Agent-Info"]
        octets = info.encode(b"")
        for _ in range(3_000):
            octets = info.encode(octets)
        text = Texts(D).line(octets)
        self.assertEqual(text.count("{"), 16)
        self.assertIn("raw 0x", text)

    def test_unknown(self) -> None:
        self.assertEqual(Texts(D).avp(Avp(9999, 0, 0, b"\1")), "AVP-9999 = 0x01")
        self.assertEqual(Texts(D).avp(Avp(264, 10415, 0x80, b"\1")), "AVP-264.10415 = 0x01")
        self.assertEqual(parse("AVP-264.10415 = 0x01", D), Avp(264, 10415, 0x80, b"\1").octets)
        self.assertEqual(parse('AVP-264 = "a"', D), D["Origin-Host"].encode("a"))

    def test_strangers_cannot_fill_memory(self) -> None:
        texts = Texts(D)
        for code in range(10_000, 20_000):
            texts.avp(Avp(code, 0, 0, b""))
        self.assertLess(len(texts._known), 10)

    def test_numbers_and_names(self) -> None:
        texts = texts_of(D, "seed", numbers=True)
        self.assertIs(texts, texts_of(D, "seed", numbers=True))
        for name, data, text in (
            ("Accounting-Record-Type", b"\0\0\0\2", "Accounting-Record-Type = START_RECORD (2)"),
            ("Session-Binding", b"\0\0\0\6", "Session-Binding = STR|ACCOUNTING (0x6)"),
            ("Acct-Session-Time", b"\0\0\0\6", "Accounting-Session-Time = 6"),
            ("Session-Id", b"a", 'Session-ID = "a"'),
        ):
            self.assertEqual(texts.avp(raw(name, data)), text)
            self.assertEqual(cut(parse(text, D)), [raw(name, data)])
        self.assertEqual(texts.name(363), "Accounting-Input-Extended-Octets")

    def test_pairs_of_what_cannot_be_cut(self) -> None:
        self.assertRaises(Malformed, Texts(D).pairs, b"\0\0\0\1")

    def test_quoted(self) -> None:
        self.assertEqual(quoted("\x1b[2J"), '"\\x1b[2J"')


class Reading(SynchronousTestCase):
    def test_bare_values(self) -> None:
        """What an operator types in a filter."""
        for name, text, data in (
            ("User-Name", "mn1@home.example", b"mn1@home.example"),
            ("User-Name", '"mn1"', b"mn1"),
            ("User-Name", "with blanks, and marks }", b"with blanks, and marks }"),
            ("Origin-Host", " aaa.example ", b"aaa.example"),
            ("Acct-Session-Id", "text", b"text"),
            ("Acct-Session-Id", "0x0102", b"\1\2"),
            ("Class", "0x0102", b"\1\2"),
            ("Accounting-Record-Type", "STOP_RECORD", b"\0\0\0\4"),
            ("Accounting-Record-Type", "4", b"\0\0\0\4"),
            ("Accounting-Record-Number", "0x10", b"\0\0\0\x10"),
            ("Session-Binding", "STR | 1", b"\0\0\0\3"),
            ("Host-IP-Address", "::1", b"\0\2" + bytes(15) + b"\1"),
            ("Event-Timestamp", "2026-11-23T07:00:00Z", bytes.fromhex("eeae62f0")),
            ("Event-Timestamp", "2026-11-23 07:00", bytes.fromhex("eeae62f0")),
            ("Event-Timestamp", "2026-11-23T08:00:00+01:00", bytes.fromhex("eeae62f0")),
            ("MIP6-Home-Link-Prefix", "2001:db8::/64", b"\x40\x20\1\x0d\xb8" + bytes(12)),
            ("Bandwidth", "1.5", b"\x3f\xc0\0\0"),
            ("Session-Timeout", "raw 0x01", b"\1"),
        ):
            self.assertEqual(parse_value(text, D[name], D), data, f"{name} = {text}")

    def test_blanks_cost_nothing(self) -> None:
        for text in ("a" + " " * 500_000 + "b", "(" * 500_000, " " * 900_000):
            self.assertRaises(TextError, parse_value, text, D["Accounting-Record-Type"], D)
            self.assertRaises(TextError, parse, f"Class = {text}", D)

    def test_names(self) -> None:
        for name in ("User-Name", "user-name", "AVP-1"):
            self.assertIs(find(D, name), D["User-Name"])
        self.assertIs(find(D, "Accounting-Session-Time"), D["Acct-Session-Time"])
        self.assertIs(find(D, "session-id"), D["Session-Id"])
        self.assertIsNone(find(D, "Nothing"))
        self.assertIsNone(find(D, "AVP-99999"))

    def test_errors(self) -> None:
        for text, words in (
            ("", "expected 'NAME = VALUE', at character 1"),
            ("User-Name", "expected 'NAME = VALUE'"),
            ("Nothing = 1", "no AVP is named 'Nothing'"),
            ("AVP-99999999999 = 0x", "no AVP is named"),
            ("AVP-4294967296 = 0x", "no AVP is named"),
            ("AVP-9999 = 1", "expected octets in hexadecimal"),
            ("AVP-9999 = 0x1", "expected octets in hexadecimal"),
            ("User-Name = mn1", "expected text in quotes, found 'mn1'"),
            ('User-Name = "mn1', "the quote does not end"),
            ('User-Name = "mn1" x', "expected the end, at character 19"),
            ('User-Name = "\\q"', "is no escape"),
            ('User-Name = "\\xff"', "no UTF-8"),
            ("User-Name =", "expected a value"),
            ('Origin-Host = "a b"', "no DiameterIdentity"),
            ("Accounting-Record-Type = PAUSE", "none of EVENT_RECORD, START_RECORD"),
            ("Acct-Session-Time = -1", "is no Unsigned32"),
            ("Acct-Session-Time = x", "'x' is no number"),
            ("Bandwidth = x", "'x' is no number"),
            ("Session-Binding = STR|X", "'X' is no number and none of RE_AUTH"),
            ("Host-IP-Address = 1.2.3", "'1.2.3' is no IPv4 or IPv6 address"),
            ("NAS-IP-Address = x", "is no IPv4 or IPv6 address"),
            ("MIP6-Home-Link-Prefix = 1.2.3.4/8", "is no IPv6 prefix"),
            ("Event-Timestamp = yesterday", "is no time"),
            ("Event-Timestamp = 1900-01-01", "a Time lies between"),
            ("Class = text", "octets as in 0x00ff"),
            ("Proxy-Info = 1", "expected '{"),
            ("Proxy-Info = { ", "expected 'NAME = VALUE'"),
            ("Proxy-Info = { Proxy-State = 0x00 Proxy", "expected octets"),
            ("Proxy-Info = { Proxy-State = 0x00", "expected ',' or '}'"),
            ("Proxy-Info = { Proxy-State = 0x00 } }", "expected the end"),
            ("MIP6-Agent-Info = { " * 40, "levels deep at most"),
            ("Class = 0x" + "00" * (1 << 20), "longer than"),
        ):
            error = self.assertRaises(TextError, parse, text, D)
            self.assertIn(words, str(error), text[:60])
            self.assertLess(len(str(error)), 250)
