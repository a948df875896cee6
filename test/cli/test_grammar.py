"""Declarations, matching, completion."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from appliance.cli import match, shell
from appliance.cli.grammar import COMMANDS, CommandError, GrammarError, Registry, Value, command, setting
from appliance.cli.values import make_value, quote


class _Help(dict[str, str]):
    """A help text for every token."""

    def get(self, key: str, default: Any = None) -> str:
        return f"help of {key}"


def registry_of(*lines: str) -> Registry:
    """A registry of one mode ``m`` whose commands return their own syntax."""
    registry = Registry()
    for line in lines:
        command("m", line, help=_Help(), registry=registry)(lambda _shell, _args, line=line: line)  # type: ignore[misc]
    return registry


def ask(registry: Registry, line: str, rights: str = "administrator") -> tuple[str, dict[str, Any]]:
    """Syntax of the command that a line means, and its arguments."""
    found = match.match("m", match.split(line), rights, registry)
    return found.command.syntax, found.args


class MatchTests(SynchronousTestCase):
    """From a line to a command."""

    def fails(self, registry: Registry, line: str, text: str) -> None:
        """Expect this failure."""
        error = self.assertRaises(CommandError, ask, registry, line)
        self.assertEqual(str(error), text)

    def test_abbreviation(self) -> None:
        """Each word may be cut short as far as it stays unique."""
        registry = registry_of("show lma-service statistics", "show mag-service statistics")
        self.assertEqual(ask(registry, "sh l st"), ("show lma-service statistics", {}))
        self.assertEqual(ask(registry, "SHOW Mag stat")[0], "show mag-service statistics")

    def test_ambiguity_lists_candidates(self) -> None:
        """An abbreviation of several words names them, in order."""
        registry = registry_of("show version", "show verbose", "shutdown")
        self.fails(registry, "s", "Ambiguous command 's': show, shutdown")
        self.fails(registry, "show ver", "Ambiguous command 'ver': verbose, version")

    def test_exact_word_beats_abbreviation(self) -> None:
        """A whole word is never ambiguous with a longer one."""
        registry = registry_of("ip pool", "ipv6 pool")
        self.assertEqual(ask(registry, "ip pool")[0], "ip pool")

    def test_most_specific_wins(self) -> None:
        """Exact word, then address, then abbreviation, then name."""
        registry = registry_of("get all", "get <address:IPV6>", "get <name:NAME>")
        self.assertEqual(ask(registry, "get all"), ("get all", {}))
        self.assertEqual(ask(registry, "get al"), ("get all", {}))
        self.assertEqual(ask(registry, "get ::1"), ("get <address:IPV6>", {"address": bytes(15) + b"\1"}))
        self.assertEqual(ask(registry, "get bob"), ("get <name:NAME>", {"name": "bob"}))

    def test_quotes_make_a_value(self) -> None:
        """A quoted word is never a keyword."""
        registry = registry_of("get all", "get <text:STRING>")
        self.assertEqual(ask(registry, 'get "all"'), ("get <text:STRING>", {"text": "all"}))
        self.assertEqual(ask(registry, r'get "a \"b\" | # c"')[1], {"text": 'a "b" | # c'})
        self.fails(registry, 'get "all', 'A closing " is missing')

    def test_options_in_any_order_once(self) -> None:
        """Optional parts may change places and each comes once."""
        registry = registry_of("pool <name:NAME> [ size <n:NUMBER 1-9> ] [ static ] [ group <g:NAME> ]")
        wanted = {"name": "a", "static": True, "n": 3, "g": "x"}
        self.assertEqual(ask(registry, "pool a static group x size 3")[1], wanted)
        self.assertEqual(ask(registry, "pool a")[1], {"name": "a"})
        self.fails(
            registry,
            "pool a static static",
            "Unknown keyword 'static' after 'pool a static': <cr>, group, size",
        )

    def test_choice_groups(self) -> None:
        """One of a group is wanted; its words become arguments."""
        registry = registry_of("show { all | name <name:NAME> | one { two | three } }")
        self.assertEqual(ask(registry, "show all")[1], {"all": True})
        self.assertEqual(ask(registry, "show name all")[1], {"name": "all"})
        self.assertEqual(ask(registry, "show one th")[1], {"one": True, "three": True})
        self.fails(registry, "show", "Incomplete command: next is all, name, one")

    def test_failures(self) -> None:
        """Each failure says what was wrong and what would be right."""
        registry = registry_of("set <n:NUMBER 30-3600> on", "set <c:in|out>")
        self.fails(registry, "sot", "Unknown command 'sot'")
        self.fails(registry, "set 29", "Invalid value '29': out of the range 30 to 3600 (after 'set')")
        self.fails(registry, "set up", "Unknown keyword 'up' after 'set': <30-3600>, in, out")
        self.fails(registry, "set 30", "Incomplete command: next is on")
        self.fails(registry, "set in it", "Unexpected 'it': nothing follows 'set in'")
        registry = registry_of("set <n:NUMBER 30-3600>")
        self.fails(registry, "set 29", "Invalid value '29': out of the range 30 to 3600 (after 'set')")
        self.fails(registry, "set x", "Invalid value 'x': a number 30 to 3600 is wanted (after 'set')")

    def test_rights(self) -> None:
        """A command asks for a privilege; without it the line is refused and not offered."""
        registry = Registry()
        command("m", "stop", help=_Help(), rights="administrator", registry=registry)(lambda *_: None)
        command("m", "state", help=_Help(), registry=registry)(lambda *_: None)
        error = self.assertRaises(CommandError, ask, registry, "stop", "operator")
        self.assertEqual(str(error), "'stop' needs the privilege administrator; this user is operator")
        self.assertEqual(match.complete("m", "st", "operator", registry), ["state"])
        self.assertEqual(match.complete("m", "st", "administrator", registry), ["state", "stop"])


class CandidateTests(SynchronousTestCase):
    """What ``?`` lists and Tab completes."""

    def texts(self, line: str) -> list[str]:
        """The candidates' texts."""
        registry = registry_of("show { all | name <name:NAME> } [ full ]", "set <n:NUMBER 1-9>")
        return [each.text for each in match.candidates("m", line, "inspector", registry)]

    def test_positions(self) -> None:
        """After a space the next word, without one the word itself."""
        self.assertEqual(self.texts(""), ["set", "show"])
        self.assertEqual(self.texts("sh"), ["show"])
        self.assertEqual(self.texts("sh "), ["all", "name"])
        self.assertEqual(self.texts("show all "), ["full", "<cr>"])
        self.assertEqual(self.texts("set "), ["<1-9>"])
        self.assertEqual(self.texts("set 5"), ["<1-9>"])
        self.assertEqual(self.texts("set 55"), [])
        self.assertEqual(self.texts("nonsense "), [])
        self.assertEqual(self.texts("show all | g"), ["grep"])
        self.assertEqual(self.texts("show all |"), ["grep", "json", "more"])
        self.assertEqual(self.texts('show name "'), [])


class DeclarationTests(SynchronousTestCase):
    """Mistakes that are found at import."""

    def test_two_commands_for_one_line(self) -> None:
        """A line that two commands accept is refused, also through options and overlapping types."""
        for one, other in (
            ("show all", "show { all | none }"),
            ("get <a:NAME>", "get <b:STRING> [ x ]"),
            ("get <a:NUMBER 1-5>", "get <a:NUMBER 5-9>"),
            ("get <a:IPV6>", "get <a:ADDRESS>"),
            ("set [ a ] [ b ]", "set b a"),
            ("set <a:in|out>", "set out"),
        ):
            error = self.assertRaises(GrammarError, registry_of, one, other)
            self.assertIn(one, str(error))
        registry_of("get <a:NUMBER 1-5>", "get <a:NUMBER 6-9>", "get <a:IPV6>", "get <a:IPV4>", "get x")

    def test_bad_syntax(self) -> None:
        """Brackets, types, empty parts and unknown privileges are checked."""
        for syntax in (
            "show [ all",
            "show all ]",
            "show { }",
            "show <a:NONE>",
            "show <a:NUMBER>",
            "show [ [ a ] ]",
            "S",
        ):
            self.assertRaises(GrammarError, registry_of, syntax)
        wrong = command("m", "show", help=_Help(), rights="nobody", registry=Registry())
        self.assertRaises(GrammarError, wrong, lambda *_: None)

    def test_help_is_needed(self) -> None:
        """A token without help is refused."""
        error = self.assertRaises(GrammarError, command, "m", "frob <n:NUMBER 1-2>", help={"frob": "x"})
        self.assertIn("'n' has no help text", str(error))

    def test_setting_keys_and_paths(self) -> None:
        """A key is a placeholder, and each path belongs to one command."""
        self.assertRaises(
            GrammarError, setting, "m", "a", "a <b:NAME>", keys=("c",), help=_Help(), registry=Registry()
        )
        registry = Registry()
        setting("m", "a", "a <b:NAME>", help=_Help(), registry=registry)
        self.assertRaises(GrammarError, setting, "m", "a", "c <b:NAME>", help=_Help(), registry=registry)

    def test_every_token_has_help(self) -> None:
        """No command of the appliance has a token without help, and each mode has commands."""
        self.assertLessEqual(
            {"config", "context", "interface", "subscriber", "lma-service", "mag-service"},
            set(COMMANDS.modes),
        )
        self.assertTrue(shell.COMMAND_MODULES)
        for mode in COMMANDS.modes:
            for each in COMMANDS.commands(mode):
                for edges in each.graph.edges:
                    self.assertTrue(all(edge.label.help for edge in edges), each.syntax)


class ValueTests(SynchronousTestCase):
    """Readers refuse what their writer would not give back."""

    def test_refused(self) -> None:
        """Near misses of each type."""
        for kind, texts in {
            "IPV6": ("1.2.3.4", "fe80::1%eth0", "::1/64", "::g", ""),
            "IPV4": ("1.2.3", "1.2.3.256", "::1", "1.2.3.4/8", "01.2.3.4"),
            "IPV6/LEN": ("2001:db8::1/64", "2001:db8::/129", "2001:db8::", "2001:db8::/-1", "2001:db8::/"),
            "IPV4/LEN": ("203.0.113.1/24", "203.0.113.0/33", "203.0.113.0"),
            "MAC": ("02:00:5e:10:00", "02:00:5e:10:00:0g", "02-00:5e:10:00:01", "02005e100001"),
            "NAI": ("a b", "a@", "a@b@c", "a\x00", "x" * 254),
            "NAME": ("a b", "-x", "", "x" * 64, "a\n"),
            "STRING 1-3": ("abcd", "", "a\t"),
            "PATH": ("run/x", "/" + "x" * 107),
            "HEX": ("123456789", "xyz", ""),
            "NUMBER 0-9": ("10", "-1", "1.0", "\u0661", "9" * 30, ""),
        }.items():
            value = make_value("v", kind, {}, "help")
            for text in texts:
                self.assertRaises(CommandError, value.parse, text)

    def test_canonical(self) -> None:
        """What a writer gives is the one spelling."""
        for kind, text, wanted in (
            ("IPV6", "2001:DB8:0::1", "2001:db8::1"),
            ("IP/ANY", "2001:db8::1/128", "2001:db8::1"),
            ("IPV6/HOST", "2001:db8::1/64", "2001:db8::1/64"),
            ("MAC", "02-00-5E-10-00-01", "02:00:5e:10:00:01"),
            ("HEX", "0xBEEF", "0000beef"),
            ("STRING", 'a "b" \\', '"a \\"b\\" \\\\"'),
        ):
            value: Value = make_value("v", kind, {}, "help")
            self.assertEqual(value.format(value.parse(text)), wanted)

    def test_quote_survives_split(self) -> None:
        """A quoted text comes back as one word."""
        for text in ("plain", "a b", 'a"b', "a\\b", "'", "#x", "a|b", ""):
            self.assertEqual([token.text for token in match.split(quote(text))], [text])
