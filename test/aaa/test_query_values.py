"""Conditions on attributes of accounting records."""

from twisted.trial.unittest import SynchronousTestCase

from appliance.aaa.query import Attribute, matcher
from appliance.aaa.records import Record
from appliance.protocols.diameter.message.dictionary import standard
from appliance.protocols.diameter.message.parsing import TextError
from test.aaa.store_cases import record

D = standard()


def with_avps(**values: object) -> Record:
    """A record with AVPs; an underscore in a name stands for a hyphen."""
    raw = b"".join(D[name.replace("_", "-")].encode(value) for name, value in values.items())
    return record("s")._replace(raw=raw)


class AttributeTests(SynchronousTestCase):
    """What fits, and what cannot be meant."""

    def fits(self, name: str, value: str, found: Record) -> bool:
        return matcher(Attribute(name, value), D)(found)

    def test_values(self) -> None:
        """Numbers, names of numbers, and texts."""
        found = with_avps(Accounting_Record_Type=2, Accounting_Input_Octets=7, User_Name="mn1@x")
        for name, value, expected in (
            ("Accounting-Record-Type", "START_RECORD", True),
            ("accounting-record-type", "2", True),
            ("Accounting-Record-Type", "STOP_RECORD", False),
            ("Accounting-Input-Octets", "7", True),
            ("Accounting-Input-Octets", "70", False),
            ("User-Name", "mn1@x", True),
            ("User-Name", "mn", False),
        ):
            self.assertEqual(self.fits(name, value, found), expected, (name, value))

    def test_mistakes(self) -> None:
        """A value that no such attribute can have is told, and so is an attribute that there is not."""
        for name, value, reason in (
            ("Accounting-Input-Octets", "abc", "attribute Accounting-Input-Octets: 'abc' is no number"),
            ("Accounting-Record-Type", "START", "none of EVENT_RECORD, START_RECORD"),
            ("Event-Timestamp", "2026", "is no time"),
            ("MIP-Mobile-Node-Address", "mn1", "is no IPv4 or IPv6 address"),
            ("Nonsense", "1", "no AVP is named 'Nonsense'"),
        ):
            with self.assertRaisesRegex(TextError, reason):
                matcher(Attribute(name, value), D)

    def test_damaged_values(self) -> None:
        """What is shown as raw octets is found by them."""
        damaged = record("s")._replace(raw=D["Class"].encode(b"\1\2"))
        self.assertTrue(self.fits("Class", "0x0102", damaged))
        head = D["Accounting-Input-Octets"].encode(0)[:4]
        damaged = record("s")._replace(raw=head + b"\x40\0\0\x0a\1\2\0\0")
        self.assertTrue(self.fits("Accounting-Input-Octets", "raw 0x0102", damaged))
