"""Screens: where each character stands, and what the same screen is as data."""

import json
import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from appliance.cli.render import (
    Column,
    CounterScreen,
    FactsScreen,
    TableScreen,
    columns,
    pair,
)
from appliance.counters import LMA, MAG, CounterSet

GOLDEN = Path(__file__).parent.parent / "golden" / "lma-service-statistics.tsv"


def screen(counters: CounterSet, *names: str, verbose: bool = False) -> CounterScreen:
    """The counter screen of a set."""
    return CounterScreen("LMA Service", names or ("lma1",), counters.table, counters.snapshot(), verbose)


class PairTest(SynchronousTestCase):
    """Label and value fields: 31, 14, 31."""

    def test_columns(self) -> None:
        """Labels begin at 0 and 45, values at 31 and 76, all moved by the indent."""
        for indent in (0, 2, 4):
            (line,) = columns([("Active", 8), ("Dormant", 0)], indent, 0)
            pad = " " * indent
            self.assertEqual(line, f"{pad}Active:                        8             Dormant:{' ' * 23}0")
            self.assertEqual(line.index("8"), indent + 31)
            self.assertEqual(line.index("Dormant:"), indent + 45)
            self.assertEqual(line.rindex("0"), indent + 76)

    def test_odd_field_stands_alone(self) -> None:
        """The last of an odd number of fields has its line for itself, without trailing spaces."""
        lines = list(columns([("A", 1), ("B", 2), ("C", 3)], 0, 0))
        self.assertEqual([line.split() for line in lines], [["A:", "1", "B:", "2"], ["C:", "3"]])
        self.assertEqual(lines[1], lines[1].rstrip())

    def test_long_label(self) -> None:
        """A label that fills or overflows its field gets one space, and its neighbour keeps its column."""
        self.assertEqual(pair("Newer Session detected by PCRF", 5), "Newer Session detected by PCRF: 5")
        self.assertEqual(pair("Timestamp Lower Than Expected", 5), "Timestamp Lower Than Expected: 5")
        (line,) = columns([("Newer Session detected by PCRF", 5), ("Next", 6)], 0, 0)
        self.assertEqual(line.index("Next:"), 45)

    def test_long_value(self) -> None:
        """A value wider than its field moves the second pair; the two never touch."""
        (line,) = columns([("Octets", 10**15), ("Next", 6)], 0, 0)
        self.assertIn("1000000000000000 Next:", line)

    def test_narrow_terminal(self) -> None:
        """Below 80 columns there is one pair a line; from 80 on, and without a limit, two."""
        pairs = [("A", 1), ("B", 2)]
        self.assertEqual([len(list(columns(pairs, 0, width))) for width in (0, 79, 80, 200)], [1, 2, 1, 1])


class CounterScreenTest(SynchronousTestCase):
    """show lma-service statistics."""

    def test_every_label_in_order(self) -> None:
        """One column wide, the labels are the published 161 (with their groups), in order."""
        lines = screen(CounterSet(LMA)).lines(40)
        rows = [line.strip().partition(":")[0] for line in lines if re.search(r": +0$", line)]
        published = [line.split("\t") for line in GOLDEN.read_text(encoding="utf-8").splitlines()[1:]]
        self.assertEqual(rows, [label for _, _, label in published])
        titles = [line.strip()[:-1] for line in lines if line.endswith(":")]
        groups = list(dict.fromkeys(heading for heading, _, _ in published))
        self.assertEqual([title for title in titles if title != "Errors"], groups)

    def test_layout(self) -> None:
        """The beginning of the screen, character by character."""
        counters = CounterSet(LMA)
        counters.values[LMA.index("initial-binding-update-requests/accepted")] = 12
        counters.values[LMA.index("binding-updates-discard-reasons/decode-failure")] = 3
        self.assertEqual(
            screen(counters).lines(0)[:14],
            [
                "LMA Service: lma1",
                "",
                "MIP AAA Authentication:",
                "  Attempts:                      0             Success:                       0",
                "  Total Failures:                0             Actual Auth Failures:          0",
                "  Failures:                      0             Misc Auth Failures:            0",
                "",
                "Binding Updates Received:",
                "  Total Received:                15            Total Accepted:                12",
                "  Total Denied:                  0             Total Discarded:               3",
                "",
                "  Initial Binding Update Requests:",
                "    Received:                      0             Accepted:                      12",
                "    Denied:                        0",
            ],
        )

    def test_tunnel_block(self) -> None:
        """A total has its line for itself, its encapsulations stand deeper, Errors has a title."""
        lines = screen(CounterSet(LMA)).lines(0)
        start = lines.index("Tunnel Data Received:")
        self.assertEqual(lines[start + 1], "  Total Packets:                 0")
        sub = "    6in6:                          0             4in6:                          0"
        self.assertEqual(lines[start + 2], sub)
        self.assertEqual(lines[start + 6], "  Total Bytes:                   0")
        self.assertEqual(lines[start + 11 : start + 13], ["", "  Errors:"])
        self.assertTrue(lines[start + 13].startswith("    Protocol Type Error:           0"))

    def test_blank_line_before_each_title(self) -> None:
        """Every group title of both tables has a blank line above it and no blank line is doubled."""
        for table in (LMA, MAG):
            lines = CounterScreen("X", ["x"], table, [1] * len(table.rows)).lines(0)
            for above, line in zip(lines, lines[1:], strict=False):
                begins = line.endswith(":") or line.startswith(("  Bind Error", "  Total path failures"))
                self.assertEqual(above == "", begins, line)

    def test_extra_rows(self) -> None:
        """A row beyond the list, and a group made of them, appears when it is not zero."""
        counters = CounterSet(LMA)
        text = "\n".join(screen(counters).lines(0))
        self.assertNotIn("Other:", text)
        self.assertNotIn("Other Mobility Messages:", text)
        counters.values[LMA.index("binding-update-deny-reasons/other")] = 9
        counters.values[LMA.index("other-mobility-messages/unknown-type")] = 4
        text = "\n".join(screen(counters).lines(0))
        self.assertIn("  Other:                         9", text)
        self.assertTrue(text.endswith("\nOther Mobility Messages:\n  Unknown Type:                  4"))

    def test_several_services(self) -> None:
        """With several services their names stand at the top."""
        self.assertEqual(screen(CounterSet(LMA), "a", "b").lines(0)[0], "LMA Services: a, b")

    def test_verbose(self) -> None:
        """Verbose puts the help below each row, wrapped to the terminal."""
        lines = screen(CounterSet(LMA), verbose=True).lines(60)
        at = lines.index("  Attempts:                      0")
        self.assertEqual(lines[at + 1], "    A request about a binding update was sent to AAA.")
        self.assertLessEqual(max(map(len, lines)), 60)
        words = " ".join(" ".join(lines).split())
        for row in LMA.rows:
            if not row.extra:
                self.assertIn(row.help, words)

    def test_data(self) -> None:
        """As data every row, extra ones too, is there by its key, and it is valid JSON."""
        counters = CounterSet(LMA)
        counters.values[LMA.index("dereg-requests/denied")] = 2
        data = json.loads(json.dumps(screen(counters).data()))
        self.assertEqual(set(data), {row.key for row in LMA.rows})
        self.assertEqual(data["binding-updates-received/total-denied"], 2)


class FactsScreenTest(SynchronousTestCase):
    """show lma-service all."""

    def test_lines(self) -> None:
        """The first fact heads the block, the others stand two deeper, one space after the colon."""
        facts = FactsScreen([[("Service Name", "a"), ("Service Status", "Started")], [("Service Name", "b")]])
        self.assertEqual(
            facts.lines(80), ["Service Name: a", "  Service Status: Started", "", "Service Name: b"]
        )
        self.assertEqual(facts.data()[0], {"service_name": "a", "service_status": "Started"})

    def test_repeated_label(self) -> None:
        """As data a label that comes several times becomes a list, nothing is lost."""
        facts = FactsScreen([[("Service Name", "a"), ("MAG Peer", "x"), ("MAG Peer", "y")]])
        self.assertEqual(facts.data(), [{"service_name": "a", "mag_peer": ["x", "y"]}])


class TableScreenTest(SynchronousTestCase):
    """Generic tables."""

    COLUMNS = (Column("Name", "name"), Column("Count", "count", right=True), Column("Note", "note"))

    def test_layout(self) -> None:
        """Columns are as wide as their widest cell; numbers are right-justified under their heading."""
        table = TableScreen(self.COLUMNS, [("a", 5, "x"), ("longer", 123456, "")], total="Total")
        self.assertEqual(
            table.lines(80),
            [
                "Name     Count  Note",
                "------  ------  ----",
                "a            5  x",
                "longer  123456",
                "",
                "Total: 2",
            ],
        )
        self.assertEqual(table.data()[0], {"name": "a", "count": 5, "note": "x"})

    def test_empty(self) -> None:
        """Without rows there is either the text for that or the bare headings."""
        self.assertEqual(TableScreen(self.COLUMNS, [], empty="Nothing").lines(80), ["Nothing"])
        self.assertEqual(len(TableScreen(self.COLUMNS, []).lines(80)), 2)
