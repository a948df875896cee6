"""One operator's session: a line goes in, lines and a status come out.

::

    line ─▶ pipes ─▶ match ─▶ handler ─▶ lines / Screen ─▶ grep, json ─▶ date line ─▶ Result

The shell knows neither sockets nor terminals: control.py and whatever comes later feed it.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from attrs import frozen

from appliance.cli import match
from appliance.cli.commands import base, lma, mag, views
from appliance.cli.grammar import COMMANDS, RIGHTS, CommandError, Registry
from appliance.cli.match import Candidate, Token
from appliance.cli.values import visible
from appliance.config import Configuration
from appliance.errors import ApplianceError
from appliance.ports import SystemPort

#: Bounds of ``grep``, so that no expression keeps the process busy: length of the expression, how many
#: repetitions it may hold, and how much of each line it is tried on.
PATTERN_LIMIT, REPEAT_LIMIT, SUBJECT_LIMIT = 128, 3, 512

#: Importing these modules registers their commands.
COMMAND_MODULES = (base, lma, mag, views)

SHOW_CONFIGURATION = "show configuration"

@frozen
class Result:
    """What a line gave: text without line ends, and 0 (it worked) or 1 (it failed)."""

    lines: list[str]
    status: int


class Shell:
    """One session. ``system`` and ``configuration`` are what the commands show and act on."""

    def __init__(
        self,
        system: SystemPort,
        configuration: Configuration,
        user: str = "root",
        rights: str = "administrator",
        registry: Registry = COMMANDS,
    ) -> None:
        if rights not in RIGHTS:
            raise ApplianceError(f"no such privilege: {rights}; one of {', '.join(RIGHTS)}")
        self.system = system
        self.configuration = configuration
        self.user = user
        self.rights = rights
        self.context = "local"
        self.timestamps = True
        self.length = 24
        """Lines of a page; 0: no paging."""
        self.width = 80
        """Columns; 0: no limit."""
        self.closed = False
        """True after ``exit``."""
        self._registry = registry

    @property
    def prompt(self) -> str:
        """``[context]host# ``, or ``>`` for a user who may not configure."""
        mark = "#" if RIGHTS.index(self.rights) >= RIGHTS.index("administrator") else ">"
        return f"[{self.context}]{self.configuration.hostname}{mark} "

    def execute(self, line: str) -> Result:
        """Do one line. It never raises for anything that was typed."""
        try:
            tokens = match.split(line)
            if not tokens:
                return Result([], 0)
            commands, pipes = _cut(tokens)
            if not commands:
                raise CommandError("Incomplete command: a command is wanted before |")
            filters = [_filter(pipe) for pipe in pipes]
            found = match.match("exec", _without_do(commands), self.rights, self._registry)
            handler = found.command.handler
            if handler is None:
                raise CommandError("this is a configuration command")
            lines, plain = _print(handler(self, found.args), "json" in filters, self.width)
        except ApplianceError as error:
            return Result([f"Failure: {visible(part)}" for part in str(error).split("\n")], 1)
        for keep in filters:
            if not isinstance(keep, str):
                lines = [text for text in lines if keep(text)]
        # A date line would only be in the way of who reads a JSON document, or boots what was shown.
        dated = self.timestamps and not found.command.syntax.startswith(SHOW_CONFIGURATION)
        if lines and plain and dated:
            lines.insert(0, base.date_line(self.system.wall()))
        # Identifiers come from the network and the configuration; a terminal must not obey them.
        return Result([visible(text) for text in lines], 0)

    def candidates(self, text: str) -> list[Candidate]:
        """What could come next on the line ``text``, with help: the list that ``?`` prints."""
        prefix = "do "
        if text.startswith(prefix):
            text = text[len(prefix) :]
        return match.candidates("exec", text, self.rights, self._registry)

    def complete(self, text: str) -> list[str]:
        """The keywords that the last word of ``text`` could become."""
        return [candidate.text for candidate in self.candidates(text) if candidate.word]


def _without_do(tokens: Sequence[Token]) -> Sequence[Token]:
    """``do show ...`` is understood in every mode, so in this one too."""
    return tokens[1:] if len(tokens) > 1 and tokens[0] == Token("do") else tokens


def _cut(tokens: list[Token]) -> tuple[list[Token], list[list[Token]]]:
    parts: list[list[Token]] = [[]]
    for token in tokens:
        if match.is_pipe(token):
            parts.append([])
        else:
            parts[-1].append(token)
    return parts[0], parts[1:]


def _filter(pipe: list[Token]) -> "str | Callable[[str], bool]":
    """What a pipe does: ``more``, ``json``, or a function that tells which lines stay."""
    name = pipe[0].text if pipe else ""
    if name in ("more", "json"):
        if len(pipe) > 1:
            raise CommandError(f"Unexpected '{pipe[1].text}': nothing follows '| {name}'")
        return name
    if name != "grep":
        raise CommandError(f"Unknown pipe '{name}': {', '.join(match.PIPES)}")
    options = {"-v": False, "-i": False, "-E": False}
    words = pipe[1:]
    while words and not words[0].quoted and words[0].text.startswith("-"):
        if words[0].text not in options:
            raise CommandError(f"Unknown option '{words[0].text}' of grep: {', '.join(options)}")
        options[words[0].text] = True
        words = words[1:]
    if len(words) != 1 or not 0 < len(words[0].text) <= PATTERN_LIMIT:
        raise CommandError(
            f"grep needs one pattern of 1 to {PATTERN_LIMIT} characters; quote one with spaces"
        )
    pattern = words[0].text if options["-E"] else _basic(words[0].text)
    if not _is_quick(pattern):
        raise CommandError(f"grep: at most {REPEAT_LIMIT} repetitions, none of a group, and no (? or \\1")
    try:
        expression = re.compile(pattern, re.IGNORECASE if options["-i"] else 0)
    except (re.error, RecursionError, OverflowError) as error:
        raise CommandError(f"grep: '{words[0].text}' is no regular expression: {error}") from None
    wanted = not options["-v"]
    return lambda text: (expression.search(text[:SUBJECT_LIMIT]) is not None) is wanted


def _basic(pattern: str) -> str:
    """A basic regular expression: ``+ ? | ( ) { }`` stand for themselves."""
    return re.sub(r"(?<!\\)([+?|(){}])", r"\\\1", pattern)


def _print(result: Any, as_json: bool, width: int) -> tuple[list[str], bool]:
    """The lines of what a handler returned, and whether they are plain text."""
    if result is None:
        return [], True
    screen = hasattr(result, "lines")
    if as_json:
        data = result.data() if screen else list(result)
        if isinstance(data, Iterator):
            data = [each for each in data if each is not None]
        return json.dumps(data, indent=2, ensure_ascii=False).split("\n"), False
    found = result.lines(width) if screen else result
    return [line for line in found if line is not None], True


def _is_quick(pattern: str) -> bool:
    """Whether a regular expression takes polynomial time with a small exponent on every text."""
    plain = re.sub(r"\[\^?\]?[^\]]*\]", "c", re.sub(r"\\[^1-9]", "c", pattern))
    if "\\" in plain or "(?" in plain:
        return False
    return len(re.findall(r"[*+?{]", plain)) <= REPEAT_LIMIT and not re.search(r"\)[*+?{]", plain)
