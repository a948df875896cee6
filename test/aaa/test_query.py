"""Finding records by attributes."""

from typing import Any

import re2
from twisted.trial.unittest import SynchronousTestCase

from appliance.aaa.query import Attribute, OpenSessions, Query, matcher
from appliance.aaa.records import DAY, Record, Selection
from appliance.aaa.sqlite import SqliteDatabase
from appliance.protocols.diameter.message.parsing import TextError
from test.aaa.fakes import D, avp
from test.aaa.store_cases import record
from test.aaa.vectors import message


def stop() -> Record:
    return record(raw=message("ACR_STOP").body)


class MatcherTests(SynchronousTestCase):
    """One record, many conditions."""

    def fits(self, name: str, value: str, expression: bool = False, which: Record | None = None) -> bool:
        compiled = re2.compile(value) if expression else None
        return matcher(Attribute(name, value, compiled), D)(which or stop())

    def test_equal(self) -> None:
        """Values as records show them, as numbers, without quotes, by other names."""
        for name, value in (
            ("User-Name", "mn1@home.example"),
            ("User-Name", '"mn1@home.example"'),
            ("user-name", "mn1@home.example"),
            ("Termination-Cause", "DIAMETER_LOGOUT"),
            ("Termination-Cause", "1"),
            ("Accounting-Input-Octets", "5368709120"),
            ("Accounting-Input-Extended-Octets", "5368709120"),
            ("MIP-Home-Agent-Address", "2001:db8:1::1"),
            ("MIP-Home-Agent-Address", "2001:0db8:0001::0001"),
            ("Event-Timestamp", "2026-11-23T07:10:00Z"),
        ):
            self.assertTrue(self.fits(name, value), (name, value))
        for name, value in (
            ("User-Name", "mn1"),
            ("Termination-Cause", "DIAMETER_ADMINISTRATIVE"),
            ("Accounting-Input-Octets", "536870912"),
            ("Class", "0x00"),
        ):
            self.assertFalse(self.fits(name, value), (name, value))

    def test_expressions(self) -> None:
        """A part of the value, without its quotes; anchors work."""
        for name, value, fits in (
            ("User-Name", "^mn[0-9]@", True),
            ("User-Name", "example$", True),
            ("User-Name", "^home", False),
            ("Termination-Cause", "LOG", True),
            ("Session-Id", ";1$", True),
            ("MIP-Mobile-Node-Address", "^2001:db8:1:", True),
        ):
            self.assertEqual(self.fits(name, value, True), fits, (name, value))

    def test_groups_and_unknown_ones(self) -> None:
        """Attributes inside of groups, several of a kind, and those that are known by a code only."""
        odd = record(raw=message("ACR_INTERIM").body + bytes.fromhex("0000270f0000000cdeadbeef"))
        self.assertTrue(self.fits("Proxy-Host", "relay1.home.example", which=odd))
        self.assertTrue(self.fits("AVP-9999", "0xdeadbeef", which=odd))
        self.assertTrue(self.fits("avp-9999", "dead", True, which=odd))
        self.assertFalse(self.fits("AVP-9998", "0xdeadbeef", which=odd))
        twice = record(raw=avp("Class", b"a") + avp("Class", b"b"))
        self.assertTrue(self.fits("Class", "0x62", which=twice))

    def test_names_that_are_none(self) -> None:
        """Said before anything is read."""
        for name in ("Shoe-Size", "AVP-", "AVP-x", "AVP-1.x"):
            with self.assertRaisesRegex(TextError, "no AVP is named"):
                self.fits(name, "1")

    def test_octets_that_are_no_avps(self) -> None:
        """They fit nothing."""
        self.assertFalse(self.fits("User-Name", ".", True, record(raw=b"\0\0\0\1")))


class QueryTests(SynchronousTestCase):
    """Pages."""

    def setUp(self) -> None:
        self.database = SqliteDatabase(self.mktemp())
        self.database.open()
        self.addCleanup(self.database.close)
        rows = [
            record(f"s;{number}", at=number, raw=avp("User-Name", f"mn{number % 3}")) for number in range(100)
        ]
        self.database.write(rows, DAY)
        self.reader = self.database.reader()
        self.addCleanup(self.reader.close)

    def sessions(self, query: Any) -> list[list[int]]:
        pages = []
        while query.more:
            pages.append([int(each.session[2:]) for each in query.next_page()])
        return pages

    def test_all(self) -> None:
        """Each record once, in the order of reception."""
        pages = self.sessions(Query(self.reader, Selection(), limit=30))
        self.assertEqual([len(page) for page in pages], [30, 30, 30, 10])
        self.assertEqual(sum(pages, []), list(range(100)))

    def test_newest(self) -> None:
        """The newest first, and not more than wanted."""
        pages = self.sessions(Query(self.reader, Selection(), newest=45, limit=30))
        self.assertEqual(sum(pages, []), list(range(99, 54, -1)))

    def test_conditions(self) -> None:
        """Pages may be empty while it is looked; with the newest the wanted number counts what fits."""
        fits = matcher(Attribute("User-Name", "mn1"), D)
        found = sum(self.sessions(Query(self.reader, Selection(), fits, limit=7)), [])
        self.assertEqual(found, list(range(1, 100, 3)))
        found = sum(self.sessions(Query(self.reader, Selection(), fits, newest=4, limit=7)), [])
        self.assertEqual(found, [97, 94, 91, 88])
        nothing = matcher(Attribute("User-Name", "x"), D)
        self.assertEqual(sum(self.sessions(Query(self.reader, Selection(), nothing, limit=7)), []), [])

    def test_open_sessions(self) -> None:
        """The newest record of each."""
        self.database.write([record("s;5", 1, 3, at=200), record("s;6", 1, 4, at=200)], DAY)
        found = sum(self.sessions(OpenSessions(self.reader, Selection(), 30)), [])
        self.assertEqual(found, [number for number in range(100) if number != 6])
