"""Regular expressions in linear time, against Python's own."""

import re
import time

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.cli.regular import LIMIT, Expression
from appliance.cli.values import CommandError

ATOMS = st.sampled_from(
    ["a", "b", "ab", ".", "[ab]", "[^a]", "[a-c]", "[]b]", r"\.", r"\d", r"\W", "x|", "^", "$"]
)
COUNTS = st.sampled_from(["", "", "*", "+", "?", "{2}", "{0,2}", "{1,}", "{0}"])


def _extended(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    group = st.tuples(inner, COUNTS).map(lambda pair: f"({pair[0]}){pair[1]}")
    either = st.tuples(inner, inner).map("|".join)
    return st.one_of(group, either, st.lists(inner, max_size=3).map("".join))




def _single(pair: tuple[str, str]) -> str:
    atom, count = pair
    return atom if atom in "^$" else f"({atom}){count}" if atom in ("ab", "x|") else atom + count


_SINGLE = st.tuples(ATOMS, COUNTS).map(_single)
PATTERNS = st.recursive(_SINGLE, _extended, max_leaves=8)
TEXTS = st.text(alphabet="abcx.1 ]", max_size=12)


class ExpressionTests(SynchronousTestCase):
    """What matches, what is refused, and how long it takes."""

    @settings(max_examples=300, deadline=None)
    @given(PATTERNS, st.lists(TEXTS, min_size=1, max_size=5))
    def test_like_python(self, pattern: str, texts: list[str]) -> None:
        """Every expression finds what Python's matcher finds, as long as ^ and $ stand at the ends."""
        try:
            expression = Expression(pattern)
        except CommandError:
            # More positions than there may be.
            return
        if re.search(r"[^(|]\^|\$[^)|]", pattern):
            return
        for text in texts:
            self.assertEqual(expression.search(text), re.search(pattern, text) is not None, (pattern, text))

    def test_words(self) -> None:
        """The parts of an expression, one by one."""
        for pattern, text, found in (
            ("", "", True),
            ("^$", "", True),
            ("^$", " ", False),
            ("^Total +[0-9]+$", "Total    17", True),
            ("^Total +[0-9]+$", " Total 17", False),
            ("a{2,3}b", "aab", True),
            ("^a{2,3}b", "aaaab", False),
            ("(foo|ba[rz])+$", "xfoobarbaz", True),
            ("[[&~|]", "~", True),
            (r"[\]]", "]", True),
            (r"[^\d]", "12", False),
            (r"\|\\", "|\\", True),
        ):
            self.assertEqual(Expression(pattern).search(text), found, (pattern, text))
        self.assertTrue(Expression("LMA", True).search("lma1"))
        self.assertFalse(Expression("LMA").search("lma1"))

    def test_refused(self) -> None:
        """What is no expression, unknown or too long is told; nothing of it takes long to find out."""
        begin = time.process_time()
        for pattern, reason in (
            ("*a", "nothing to repeat"),
            ("a**", "one repetition follows another"),
            ("(a", "a ) is missing"),
            ("a)", "closes that was not opened"),
            ("[a", "a ] is missing"),
            ("[b-a]", "bad character range"),
            ("a{x}", "{ begins no"),
            ("a{2,1}", "ends before it begins"),
            ("(?:a)", "(? is not known"),
            (r"(a)\1", r"\1 is not known"),
            (r"\b", r"\b is not known"),
            ("a\\", "is not known"),
            (f"a{{{LIMIT + 1}}}", "too long"),
            ("((a{100}){100}){100}", "too long"),
            ("(((){999}){999}){999}", "too long"),
        ):
            self.assertIn(reason, str(self.assertRaises(CommandError, Expression, pattern)), pattern)
        self.assertLess(time.process_time() - begin, 1.0)

    def test_linear(self) -> None:
        """What takes Python's matcher minutes takes milliseconds, and memory is bounded."""
        text = "a" * 2000
        begin = time.process_time()
        choices = "(a|b)*a" + "(a|b)" * 30 + "9"
        for pattern in (".*.*.*.*9", "(a+)+9", "(a|a)*9", "(a*)*9", "a?" * 60 + "9", choices):
            self.assertFalse(Expression(pattern).search(text))
        expression = Expression("(a|b)*a" + "(a|b)" * 20 + "c")
        for number in range(3000):
            expression.search(f"{number * 2654435761 % 4294967296:032b}".translate({48: 97, 49: 98}))
        self.assertLess(time.process_time() - begin, 5.0)
        self.assertLessEqual(len(expression._states), 1000)

    def test_many_characters(self) -> None:
        """Texts of all characters that there are do not pile up."""
        expression = Expression("[a-z]+9")
        for number in range(0x4E00, 0x4E00 + 5000):
            self.assertFalse(expression.search(chr(number)))
        self.assertLessEqual(len(expression._masks), 1000)
        self.assertLessEqual(max(len(state.following) for state in expression._states.values()), 1000)
