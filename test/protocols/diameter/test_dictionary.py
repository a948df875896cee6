"""The dictionary: its own files, an operator's file, and taking the place of the current one."""

import gc
from importlib import resources

from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.diameter.message import dictionary as module
from appliance.protocols.diameter.message.codec import Message, frame
from appliance.protocols.diameter.message.describe import describe
from appliance.protocols.diameter.message.dia import LONGEST, MOST_LINES
from appliance.protocols.diameter.message.dictionary import (
    ANSWER_MESSAGE,
    FILES,
    Dictionary,
    DictionaryError,
    current,
    drafts,
    extended,
    standard,
    use,
)
from appliance.protocols.diameter.message.faults import check
from appliance.protocols.diameter.message.text import texts_of
from test.protocols.diameter.golden import MESSAGES

SITE = """
# AVPs of this site
@vendor 9999 Example
@avp
Site-Name       1  UTF8String  .
Site-Class      2  Enumerated  M
Site-Info       3  Grouped     m
@enum Site-Class
GOLD    1
SILVER  2
@grouped
Site-Info ::= < AVP Header: 3 > { Site-Name }
    # a comment in between
    * [ Site-Class ]
@application 16777999 Site Application
@vendor 0
@enum Accounting-Record-Type
SITE_RECORD  9
@message
SXR ::= < Diameter Header: 8388700, REQ, PXY, 16777999 > < Session-Id > { Origin-Host } { Site-Info }
    * [ AVP ]
@command
8388700  Site-Exchange
"""


class OwnFiles(SynchronousTestCase):
    def test_all_files_are_read(self) -> None:
        folder = resources.files("appliance.protocols.diameter.message") / "dict"
        found = {entry.name.removesuffix(".dia") for entry in folder.iterdir()}
        self.assertEqual(found, {*FILES, "drafts"})

    def test_each_avp_has_one_code(self) -> None:
        made = standard()
        self.assertEqual(len(made.avps), len(made.by_code))
        for name, avp in made.avps.items():
            self.assertEqual(avp.name, name)
            self.assertIs(made.by_code[avp.code, avp.vendor], avp)
            self.assertEqual(avp.key, avp.vendor << 32 | avp.code)

    def test_groups_have_grammars(self) -> None:
        for avp in standard().avps.values():
            self.assertEqual(bool(avp.rules), avp.grouped, avp.name)

    def test_requests_have_answers(self) -> None:
        made = standard()
        for command in made.commands.values():
            if command.name != ANSWER_MESSAGE:
                self.assertIsNotNone(
                    made.command(command.code, not command.request, command.application or 0)
                )
                self.assertIn(command.code, made.titles)

    def test_commands(self) -> None:
        made = standard()
        names = {command.name for command in made.commands.values()}
        wanted = ("CE", "DW", "DP", "RA", "ST", "AS", "AC", "AA", "DE", "AM", "HA", "MI")
        self.assertEqual(names, {f"{name}{letter}" for name in wanted for letter in "RA"} | {ANSWER_MESSAGE})
        self.assertEqual(made.command(265, True, 16777272).application, 16777272)  # type: ignore[union-attr]
        self.assertIsNone(made.command(265, True, 1).application)  # type: ignore[union-attr]
        self.assertIsNone(made.command(325, True, 1))
        self.assertTrue(made.has_command(325))
        self.assertFalse(made.has_command(0))

    def test_aliases(self) -> None:
        self.assertEqual(standard().aliases["seed"]["Acct-Session-Time"], "Accounting-Session-Time")

    def test_flags(self) -> None:
        made = standard()
        self.assertEqual(made["Session-Id"].flags, 0x40)
        self.assertEqual(made["Product-Name"].flags, 0)
        self.assertEqual(made["Calling-Station-Id"].flags, 0x40)
        self.assertEqual(made["OC-OLR"].flags, 0)
        self.assertEqual(made["AMBR"].flags, 0xC0)


class Operator(SynchronousTestCase):
    def setUp(self) -> None:
        self.addCleanup(use, None)

    def load(self, text: str) -> Dictionary:
        return extended([("site.dia", text)])

    def test_it_adds(self) -> None:
        made = self.load(SITE)
        name = made["Site-Name"].encode("north")
        self.assertEqual(name.hex(), "00000001 80000011 0000270f 6e6f727468000000".replace(" ", ""))
        info = made["Site-Info"].encode((name, made["Site-Class"].encode(1)))
        body = made["Session-Id"].encode("a;1;2") + made["Origin-Host"].encode("a") + info
        message = Message(frame(8388700, 16777999, 0xC0, 1, 2, body))
        self.assertIsNone(check(message, made))
        self.assertEqual(check(message, standard()).result, 3001)  # type: ignore[union-attr]
        text = "\n".join(describe(message.data, 3, made))
        self.assertIn("Site-Exchange-Request (SXR)", text)
        self.assertIn("Site-Class (2, vendor 9999): GOLD (1)", text)
        self.assertIn('Site-Name (1, vendor 9999): "north"', text)

    def test_what_there_was_stays(self) -> None:
        """Also for messages and definitions that are in use."""
        bound = standard()["Accounting-Record-Type"]
        made = self.load(SITE)
        self.assertEqual(made["Accounting-Record-Type"].values[9], "SITE_RECORD")
        self.assertNotIn(9, bound.values)
        self.assertNotIn("Site-Name", standard().avps)
        self.assertIs(made["Session-Id"], standard()["Session-Id"])
        for golden in MESSAGES.values():
            self.assertIsNone(check(Message(golden.octets), made))
        self.assertEqual(Message(MESSAGES["acr stop"].octets).first(bound), 4)
        self.assertEqual(len(made["Accounting-Record-Type"].encode(9)), 12)

    def test_it_takes_the_place_of_the_current_one(self) -> None:
        self.assertIs(current(), standard())
        message = Message(frame(8388700, 16777999, 0xC0, 1, 2, b""))
        self.assertIn("not known", check(message, current()).text)  # type: ignore[union-attr]
        use(self.load(SITE))
        self.assertIn("missing", check(message, current()).text)  # type: ignore[union-attr]
        self.assertIn("SXR", describe(message.data)[0])
        use(None)
        self.assertNotIn("SXR", describe(message.data)[0])

    def test_grammars_are_replaced(self) -> None:
        made = self.load(
            "@message\nDPR ::= < Diameter Header: 282, REQ > { Origin-Host } { Product-Name } * [ AVP ]"
        )
        message = Message(frame(282, 0, 0x80, 1, 2, MESSAGES["dpr"].body))
        self.assertIsNone(check(message, standard()))
        self.assertIn("Product-Name", check(message, made).text)  # type: ignore[union-attr]

    def test_loading_forgets_what_was_compiled(self) -> None:
        made = standard().copy()
        check(Message(MESSAGES["dpr"].octets), made)
        texts_of(made)
        self.assertTrue(made.compiled)
        made.load(SITE, "site.dia")
        self.assertFalse(made.compiled)

    def test_the_same_again(self) -> None:
        """A site may repeat what is known, and take back the M bit."""
        made = self.load("@avp\nProduct-Name 269 UTF8String .\nUser-Name 1 UTF8String M")
        body = MESSAGES["cer"].body.replace(b"\0\0\1\x0d\0", b"\0\0\1\x0d\x40")
        message = Message(frame(257, 0, 0x80, 1, 2, body))
        self.assertEqual(check(message, standard()).result, 3009)  # type: ignore[union-attr]
        self.assertIsNone(check(message, made))

    def test_errors(self) -> None:
        for text, line, words in (
            ("Session-Id 263 UTF8String M", 1, "a section has to begin first"),
            ("@avp\nSite-Name 1", 2, "expected 'NAME CODE TYPE M|-|m|.', found 'Site-Name 1'"),
            ("@avp\n\n# x\nSite-Name 9001 Text M", 4, "unknown type Text; known are OctetString"),
            ("@avp\nSite-Name 9001 UTF8String maybe", 2, "'maybe' says nothing about the M bit"),
            ("@avp\nSite-Name 0 UTF8String M", 2, "'0' is no number from 1"),
            ("@avp\nSite-Name x UTF8String M", 2, "'x' is no number from 1"),
            ("@avp\nAVP 9001 UTF8String M", 2, "'AVP' cannot be the name"),
            ("@avp\nSite/Name 9001 UTF8String M", 2, "'Site/Name' cannot be the name"),
            ("@avp\nSession-Id 263 Unsigned32 M", 2, "there is Session-Id, code 263, UTF8String already"),
            ("@avp\nSession-Id 9001 UTF8String M", 2, "there is Session-Id, code 263"),
            ("@avp\nSite-Name 263 UTF8String M", 2, "there is Session-Id, code 263"),
            ("@vendor 9\n@avp\nSession-Id 263 UTF8String M", 3, "there is Session-Id, code 263"),
            ("@sections\n", 1, "unknown section '@sections'; known are vendor, application, avp"),
            ("@vendor x", 1, "'x' is no number"),
            ("@application", 1, "'' is no number"),
            ("@enum", 1, "'@enum' needs the name of an AVP"),
            ("@enum Nothing\nA 1", 1, "no AVP is named 'Nothing'"),
            ("@enum Session-Binding shut\nA 1", 1, "'shut' cannot stand here"),
            ("@mask User-Name\nA 1", 1, "User-Name is UTF8String; only Unsigned32 and Unsigned64 are masks"),
            ("@enum Disconnect-Cause\nA", 2, "expected 'NAME VALUE'"),
            ("@enum Disconnect-Cause\nA 99999999999", 2, "is no number from"),
            ("@alias", 1, "needs the name of the set"),
            ("@alias site\nOther Nothing", 2, "no AVP is named 'Nothing'"),
            (
                "@grouped\nUser-Name ::= < AVP Header: 1 > { Session-Id }",
                2,
                "no Grouped AVP is named User-Name",
            ),
            ("@grouped\nProxy-Info ::= < AVP Header: 285 > { Session-Id }", 2, "has code 285"),
            ("@grouped\nProxy-Info < AVP Header: 284 >", 2, "expected 'NAME ::= < AVP Header"),
            (
                "@message\nXYR ::= < AVP Header: 999 > { Session-Id }",
                2,
                "expected 'NAME ::= < Diameter Header",
            ),
            ("@message\nXYR ::= < Diameter Header: 999, WHAT > { Session-Id }", 2, "'WHAT': behind the code"),
            ("@message\nXYR ::= < Diameter Header: 999, 1, 2 > { Session-Id }", 2, "behind the code"),
            (
                "@message\nXYR ::= < Diameter Header: 999, 77 > { Session-Id }",
                2,
                "no application has the number 77",
            ),
            (
                "@message\nXYR ::= < Diameter Header: 999 > { Session-Id ]",
                2,
                "cannot read the rule at '{ Session-Id ]'",
            ),
            ("@message\nXYR ::= < Diameter Header: 999 > { A } { A }", 2, "two rules for A"),
            ("@message\nXYR ::= < Diameter Header: 999 > 3*2 { A }", 2, "at least 3 and at most 2"),
            (
                "@message\nABR ::= < Diameter Header: 8 > { User-Name }\n"
                "XYR ::= < Diameter Header: 9 > { Nothing }",
                3,
                "XYR has a rule for Nothing, which is no AVP",
            ),
            ("@command\n77", 2, "expected 'CODE NAME'"),
            ("  @avp", 1, "there is none"),
            ("@avp\n" + "x" * (LONGEST + 1), 2, "too long"),
            ("\n" * (MOST_LINES + 1) + "x", MOST_LINES + 1, "too long"),
        ):
            error = self.assertRaises(DictionaryError, self.load, text)
            self.assertTrue(str(error).startswith(f"site.dia:{line}: "), f"{error} of {text[:80]!r}")
            self.assertIn(words, str(error))

    def test_several_files(self) -> None:
        made = extended([("site.dia", SITE), ("more.dia", "@vendor 9999\n@avp\nSite-More 4 Grouped m")])
        self.assertIn("Site-Name", made.avps)
        self.assertEqual(made["Site-More"].vendor, 9999)
        error = self.assertRaises(DictionaryError, extended, [("site.dia", SITE), ("more.dia", "@x")])
        self.assertTrue(str(error).startswith("more.dia:1: "))

    def test_blanks_cost_nothing(self) -> None:
        """No expression takes long for a line that is only blanks."""
        for text in (
            "@message\nXYR ::= < Diameter Header: 999 >" + " " * 19_000 + "x",
            "@message\nXYR ::= <" + " " * 19_000 + "x",
            "@message\nXYR ::= < Diameter Header: 999" + " , A" * 4_000,
        ):
            self.assertRaises(DictionaryError, self.load, text)

    def test_a_bad_file_changes_nothing(self) -> None:
        before = dict(standard().avps), dict(standard().commands)
        self.assertRaises(DictionaryError, self.load, SITE + "\nnonsense here and there")
        self.assertEqual((standard().avps, standard().commands), before)

    def test_what_was_replaced_goes_away(self) -> None:
        """The oldest generation of the collector is never collected, so there may be no cycles."""

        def count() -> int:
            return sum(type(each) is Dictionary for each in gc.get_objects())

        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)
        before = count()
        for _ in range(3):
            use(self.load(SITE))
            info = current()["MIP6-Agent-Info"]
            check(Message(frame(280, 0, 0x80, 1, 2, info.encode(info.encode(b"")))), current())
            for golden in MESSAGES.values():
                check(Message(golden.octets), current())
                check(Message(golden.octets), current(), compat=True)
                describe(golden.octets, 5)
            use(None)
        self.assertEqual(count(), before)


class Drafts(SynchronousTestCase):
    def test_made_once(self) -> None:
        self.assertIs(drafts(standard()), drafts(standard()))
        self.assertIn(module._DRAFTS, standard().compiled)

    def test_sites_count_there_too(self) -> None:
        made = standard().copy()
        made.load(SITE, "site.dia")
        self.assertIn("Site-Name", drafts(made).avps)
