"""What stands behind ``|``: ``grep``, ``more`` and ``json``.

An expression of ``grep`` comes from an operator and is tried on lines that come from the network, in the
process that serves mobiles: so RE2 matches it, in time that grows with the length of the line only.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

import re2
from attrs import frozen

from appliance.cli import match
from appliance.cli.match import Token
from appliance.cli.values import CommandError

PATTERN_LIMIT = 128
"""Characters of an expression."""
MEMORY_LIMIT = 1 << 20
"""Octets that a compiled expression and its matching may take."""

Keep = Callable[[str], bool]


@frozen
class Pipes:
    """All pipes of a line."""

    filters: tuple[Keep, ...] = ()
    """Each tells whether a line stays."""
    json: bool = False
    more: bool = False

    def keeps(self, text: str) -> bool:
        """Whether a line passes all filters."""
        return all(keep(text) for keep in self.filters)


def cut(tokens: Sequence[Token]) -> tuple[list[Token], list[list[Token]]]:
    """The words of the command, and those of each pipe."""
    parts: list[list[Token]] = [[]]
    for token in tokens:
        if match.is_pipe(token):
            parts.append([])
        else:
            parts[-1].append(token)
    return parts[0], parts[1:]


def read(parts: Sequence[Sequence[Token]]) -> Pipes:
    """Understand the pipes of a line. Raises :class:`CommandError`."""
    filters: list[Keep] = []
    plain: set[str] = set()
    for words in parts:
        typed = words[0].text if words else ""
        # Abbreviated like any other word; no two of them begin alike.
        name = next((pipe for pipe in match.PIPES if typed and pipe.startswith(typed.lower())), "")
        if name in ("more", "json"):
            if len(words) > 1:
                text = f"Unexpected '{words[1].text}': nothing follows '| {name}'"
                raise CommandError(text, words[1].span)
            plain.add(name)
        elif name == "grep":
            filters.append(_grep(words[1:]))
        else:
            span = words[0].span if words else None
            raise CommandError(f"Unknown pipe '{typed}': {', '.join(match.PIPES)}", span)
    return Pipes(tuple(filters), "json" in plain, "more" in plain)


def _grep(words: Sequence[Token]) -> Keep:
    options = {"-v": False, "-i": False, "-E": False}
    while words and not words[0].quoted and words[0].text.startswith("-"):
        letters = [f"-{letter}" for letter in words[0].text[1:]]
        if not letters or not set(letters) <= set(options):
            text = f"Unknown option '{words[0].text}' of grep: {', '.join(options)}"
            raise CommandError(text, words[0].span)
        options.update(dict.fromkeys(letters, True))
        words = words[1:]
    if len(words) != 1 or not 0 < len(words[0].text) <= PATTERN_LIMIT:
        text = f"grep needs one pattern of 1 to {PATTERN_LIMIT} characters; quote one with spaces"
        raise CommandError(text, words[1].span if len(words) > 1 else None)
    pattern = words[0].text if options["-E"] else _basic(words[0].text)
    try:
        compiled = expression(pattern, "grep", words[0].text, options["-i"])
    except CommandError as error:
        raise CommandError(str(error), words[0].span) from None
    wanted = not options["-v"]
    return lambda text: (compiled.search(text) is not None) is wanted


def expression(pattern: str, what: str, typed: str = "", ignore_case: bool = False) -> Any:
    """Compile an operator's expression. Raises :class:`CommandError` that begins with ``what``."""
    settings = re2.Options()
    settings.case_sensitive = not ignore_case
    settings.max_mem = MEMORY_LIMIT
    settings.log_errors = False
    try:
        return re2.compile(pattern, settings)
    except re2.error as error:
        reason = error.args[0].decode("utf-8", "replace")
        raise CommandError(f"{what}: '{typed or pattern}' is no regular expression: {reason}") from None


def _basic(pattern: str) -> str:
    """A basic regular expression: ``+ ? | ( ) { }`` stand for themselves."""
    return re.sub(r"(?<!\\)([+?|(){}])", r"\\\1", pattern)
