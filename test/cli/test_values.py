"""Text that is shown on a terminal."""

import json

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.cli.values import visible


class VisibleTests(SynchronousTestCase):
    """What an identifier from the network can do to a screen: nothing."""

    def test_examples(self) -> None:
        """Control characters, line ends of all kinds, the direction of writing, what takes no place."""
        for text, shown in (
            ("mn1@example.org", "mn1@example.org"),
            ("Grüße 東京", "Grüße 東京"),
            ("a\x1b[2Jb", r"a\u001b[2Jb"),
            ("a\r\nb\u2028", r"a\u000d\u000ab\u2028"),
            ("\u202egro.elpmaxe@1nm", r"\u202egro.elpmaxe@1nm"),
            ("\u2066x\u2069\u200f\u061c", r"\u2066x\u2069\u200f\u061c"),
            ("a\u200bb\ufeff\xad", r"a\u200bb\ufeff\u00ad"),
            ("\udcff", r"\udcff"),
            ("\U000e0041", r"\udb40\udc41"),
        ):
            self.assertEqual(visible(text), shown)

    @given(st.text(st.characters(exclude_characters='"\\', exclude_categories=("Cs",))))
    def test_as_in_json(self, text: str) -> None:
        """It can be printed, and inside a JSON string it still means the text it was."""
        shown = visible(text)
        self.assertTrue(shown.isprintable())
        self.assertEqual(json.loads(f'"{shown}"'), text)
