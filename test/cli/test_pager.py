"""Where output stops, and what a key does then."""

from twisted.trial.unittest import SynchronousTestCase

from appliance.cli.face import Interrupted
from appliance.cli.pager import Pager, rows

LINES = [f"line {number}" for number in range(10)]


class PagerTests(SynchronousTestCase):
    def show(self, lines: list[str], length: int, keys: str, columns: int = 80) -> list[str]:
        """What a person saw; each question is shown as ``--``. All ``keys`` must be asked for."""
        left = list(keys)
        seen = []
        pager = Pager()
        try:
            for text in lines:
                count = rows(text, columns)
                if pager.stops(count, length):
                    seen.append("--")
                    while not pager.answer({"\r": "c-m"}.get(left[0], left[0]), count, length):
                        left.pop(0)
                    left.pop(0)
                seen.append(text)
                pager.printed(count)
        except Interrupted:
            left.pop(0)
        self.assertEqual(left, [])
        return seen

    def test_all_at_once(self) -> None:
        """Length 0 never stops, and neither does what fits on a page."""
        self.assertEqual(self.show(LINES, 0, ""), LINES)
        self.assertEqual(self.show(LINES, 11, ""), LINES)

    def test_keys(self) -> None:
        """Space gives a page of length - 1 lines, Enter one line, q ends; others do nothing."""
        seen = self.show(LINES, 4, " x\rq")
        self.assertEqual(seen, [*LINES[:3], "--", *LINES[3:6], "--", LINES[6], "--"])

    def test_long_lines(self) -> None:
        """A line takes as many rows as the terminal folds it to; one beyond a page still comes."""
        wide = "x" * 25
        self.assertEqual(self.show([wide] * 3, 7, " ", columns=10), [wide, wide, "--", wide])
        self.assertEqual(self.show(["x" * 100, "a"], 4, "q", columns=10), ["x" * 100, "--"])

    def test_smallest_page(self) -> None:
        """A page of one row shows a line at a time."""
        self.assertEqual(self.show(LINES[:3], 1, " \r"), [LINES[0], "--", LINES[1], "--", LINES[2]])

    def test_rows(self) -> None:
        """Wide characters take two columns; where the width is not known every line is one row."""
        self.assertEqual([rows("\u4e2d" * 10, 10), rows("x" * 30, 0), rows("", 10)], [2, 1, 1])
