"""The documentation: it is current, its commands exist, and its links lead somewhere."""

import re
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen
from twisted.trial.unittest import SynchronousTestCase

from appliance.cli import match, shell
from appliance.cli.commands import configuration
from appliance.cli.grammar import COMMANDS, CommandError
from appliance.cli.pipes import cut, read
from scripts import reference

ROOT = Path(__file__).resolve().parent.parent
GUIDE = ROOT / "docs" / "operators-guide.md"
DOCUMENTS = (ROOT / "README.md", ROOT / "ARCHITECTURE.md", *sorted((ROOT / "docs").glob("*.md")))

PROMPT = re.compile(r"\[\S+\]\w+(?:\((?P<mode>[\w-]+)\))?(?P<mark>[#>]) (?P<line>.*)")
#: Commands in lines for the machine's own shell: by the local client, and by SSH.
LOCAL = re.compile(r"-e (?:'([^']*)'|\"([^\"]*)\")")
REMOTE = re.compile(r"\$ operate (?:\"([^\"]*)\"|([^;\"]*))")
#: Errors that the grammar finds, and no handler.
SYNTAX = ("Ambiguous", "Unknown", "Incomplete", "Invalid", "Unexpected", "'")
#: With these a command in a sentence begins.
VERBS = ("show", "clear", "monitor", "save", "logging", "terminal", "timestamps", "autoconfirm", "capture")
MODES = {word: mode for mode, word in configuration.PROMPTS.items()}


@frozen
class Typed:
    """A command of a transcript, and what the line below it says."""

    number: int
    mode: str
    rights: str
    line: str
    answer: str


def blocks(text: str) -> Iterator[tuple[int, list[str]]]:
    """The fenced blocks of a document: number of their first line, and their lines."""
    lines = text.split("\n")
    fences = [number for number, line in enumerate(lines) if line.startswith("```")]
    for begin, end in zip(fences[::2], fences[1::2], strict=True):
        yield begin + 2, lines[begin + 1 : end]


def typed(text: str) -> Iterator[Typed]:
    """All commands for the appliance in the transcripts of a document."""
    for first, lines in blocks(text):
        for number, (line, answer) in enumerate(zip(lines, [*lines[1:], ""], strict=True), first):
            if found := PROMPT.fullmatch(line):
                mode = MODES[found["mode"]] if found["mode"] else "exec"
                rights = "security-administrator" if found["mark"] == "#" else "inspector"
                yield Typed(number, mode, rights, found["line"], answer)
            elif line.startswith("$ "):
                for one in (*LOCAL.findall(line), *REMOTE.findall(line)):
                    yield Typed(number, "exec", "security-administrator", "".join(one), answer)


def fault(one: Typed) -> str:
    """Why the grammar does not take this line; empty if it does."""
    tokens = match.split(one.line)
    mode = one.mode
    if tokens[0].text == shell.DO:
        mode, tokens = "exec", tokens[1:]
    try:
        words, parts = cut(tokens)
        match.match(mode, words, one.rights)
        read(parts)
    except CommandError as error:
        return str(error)
    return ""


def syntaxes(mode: str) -> list[str]:
    """The syntax strings of a mode's settings."""
    return [command.syntax for command in COMMANDS.settings(mode)]


def nested(lines: list[str], mode: str) -> str:
    """The first line that its mode does not take; sections end where their indentation does."""
    modes = [(-1, mode)]
    for line in lines:
        indent, text = len(line) - len(line.lstrip()), line.split(" #")[0].strip()
        if not text or text in ("exit", "end"):
            continue
        if text == "config":
            modes.append((indent, configuration.ROOT))
            continue
        while len(modes) > 1 and modes[-1][0] >= indent:
            modes.pop()
        try:
            command = match.match(modes[-1][1], match.split(text), "security-administrator").command
        except CommandError as error:
            return f"{text}: {error}"
        if command.enters:
            modes.append((indent, command.enters))
    return ""


class DocumentTests(SynchronousTestCase):
    """Files of the documentation."""

    def test_reference_is_current(self) -> None:
        """The command reference is what the grammar gives now."""
        self.assertEqual(reference.main(["--check"]), 0, "run scripts/reference")

    def test_links(self) -> None:
        """Relative links lead to files, and their fragments to headings."""
        for document in DOCUMENTS:
            for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text()):
                if "://" in target:
                    continue
                name, _, fragment = target.partition("#")
                file = document.parent / name if name else document
                self.assertTrue(file.exists(), f"{document.name}: {target}")
                if fragment:
                    self.assertIn(fragment, anchors(file.read_text()), f"{document.name}: {target}")

    def test_paths_of_scripts_and_configurations(self) -> None:
        """What the documents name below scripts/ and etc/ is there."""
        for document in DOCUMENTS:
            for name in re.findall(r"(?<![\w/.-])((?:scripts|etc)/[\w/.-]*\w)", document.read_text()):
                self.assertTrue((ROOT / name).exists(), f"{document.name}: {name}")


class TranscriptTests(SynchronousTestCase):
    """The commands of the operator's guide."""

    def setUp(self) -> None:
        self.all = list(typed(GUIDE.read_text()))

    def test_commands(self) -> None:
        """Each is one of its mode, or fails as the guide says."""
        self.assertGreater(len(self.all), 60)
        for one in self.all:
            if not one.line or one.line.endswith("?"):
                continue
            said = one.answer.removeprefix("Failure: ") if one.answer.startswith("Failure: ") else ""
            expected = said if said.startswith(SYNTAX) else ""
            self.assertEqual(fault(one), expected, f"{GUIDE.name}:{one.number}: {one.line}")

    def test_configurations(self) -> None:
        """Blocks of configuration lines, without prompts, are lines of the mode that they begin in."""
        words = {syntax.split()[0] for mode in MODES.values() for syntax in syntaxes(mode)}
        seen = 0
        for first, lines in blocks(GUIDE.read_text()):
            if lines[0].split()[0] not in {"config", *words}:
                continue
            seen += 1
            faults = [nested(lines, mode) for mode in MODES.values()]
            self.assertIn("", faults, f"{GUIDE.name}:{first}: no mode takes all of it")
        self.assertGreater(seen, 10)

    def test_help(self) -> None:
        """What ``?`` lists in the guide is what it lists."""
        text = GUIDE.read_text().split("\n")
        asked = [one for one in self.all if one.line.endswith("?")]
        self.assertTrue(asked)
        for one in asked:
            found = match.candidates(one.mode, one.line[:-1], one.rights)
            lines = shell.help_lines(found)
            self.assertEqual(text[one.number : one.number + len(lines)], lines, f"{one.number}: {one.line}")

    def test_every_mode_is_in_use(self) -> None:
        """The transcripts show the modes that an anchor needs."""
        self.assertLessEqual({"exec", "config", "context", "subscriber", "lma-service"},
                             {one.mode for one in self.all})  # fmt: skip

    def test_commands_in_sentences(self) -> None:
        """A command that a sentence or a table names is one, as far as it goes."""
        found = re.findall(r"`([a-z][^`\n]*)`", re.sub(r"```.*?```", "", GUIDE.read_text(), flags=re.DOTALL))
        lines = [line.replace("\\|", "|") for line in found if line.split()[0] in VERBS]
        lines = [line for line in lines if line == line.lower()]
        self.assertGreater(len(lines), 30)
        for line in lines:
            reason = fault(Typed(0, "exec", "security-administrator", line, ""))
            self.assertTrue(reason == "" or reason.startswith("Incomplete"), f"{line}: {reason}")


def anchors(text: str) -> set[str]:
    """The fragments that lead to the headings of a document, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
