"""From a typed line to a command and its arguments; and what could be typed next.

All graphs of a mode are walked at once, word by word. At each word the most specific
kind of match wins: the exact word, then an address or number, then an abbreviation of
a word, then a name or other free text. An abbreviation of two different words is an error that lists both.
"""

import difflib
from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile
from typing import Any

from attrs import field, frozen

from appliance.cli.grammar import COMMANDS, RIGHTS, Command, Edge, Registry, Word
from appliance.cli.values import ABBREVIATED, EXACT, FREE, CommandError, Value
from appliance.config_secrets import masked
from appliance.wildcards import Exact

#: What may follow ``|``.
PIPES = {
    "grep": "Shows the lines that match a regular expression",
    "json": "Shows the data as one JSON document",
    "more": "Shows a page at a time",
}

#: Keywords that an error lists even where one of them is close to what was typed.
LISTED = 5


@frozen
class Token:
    """One typed word. A quoted one is a value, never a keyword or a pipe."""

    text: str
    quoted: bool = False
    exact: bool = field(default=False, eq=False)
    """It stood in single quotes: there are no wildcards in it."""
    span: tuple[int, int] = field(default=(0, 0), eq=False)
    """Where it stands in the line: its first column and the one behind its last, from 0."""


@frozen
class Match:
    """A line that was understood."""

    command: Command
    args: dict[str, Any]


@frozen
class Candidate:
    """Something that may come next; ``word`` tells a keyword from the description of a value."""

    text: str
    help: str
    word: bool


@frozen
class _Walker:
    """How far one command has matched, with which arguments."""

    command: Command
    state: int
    args: dict[str, Any]
    used: frozenset[int]

    def edges(self) -> Iterator[Edge]:
        """The steps that are still open."""
        graph = self.command.graph
        for state in graph.reach(self.state):
            for edge in graph.edges[state]:
                known = edge.flag or (edge.label.name if isinstance(edge.label, Value) else "")
                if edge.once not in self.used and known not in self.args:
                    yield edge

    def step(self, edge: Edge, value: Any) -> "_Walker":
        """The same after one more word."""
        args = self.args
        if edge.flag:
            args = {**args, edge.flag: True}
        if isinstance(edge.label, Value):
            args = {**args, edge.label.name: value}
        used = self.used | {edge.once} if edge.once else self.used
        return _Walker(self.command, edge.target, args, used)

    @property
    def has_secret(self) -> bool:
        """Whether one of the words was a secret."""
        return any(value.kind == "SECRET" and value.name in self.args for value in self.command.values())

    @property
    def done(self) -> bool:
        """Whether the line may end here."""
        return self.command.graph.final in self.command.graph.reach(self.state)


def split(line: str) -> list[Token]:
    """Cut a line into words; ``#`` at the start of a word begins a remark.

    Double or single quotes hold a text together, ``\\`` in double quotes takes the next character as it
    is; in single quotes ``*`` and ``$`` are no wildcards. ``|`` outside quotes is a word of its own. Raises
    :class:`CommandError` for an open quote.
    """
    tokens: list[Token] = []
    text, start = "", -1
    quoted = False
    characters = enumerate(line)
    for column, character in characters:
        begun = start >= 0
        if character in " \t\r\n|" or (character == "#" and not begun):
            if begun:
                tokens.append(Token(text, quoted, line[start] == "'", (start, column)))
                text, start, quoted = "", -1, False
            if character == "#":
                break
            if character == "|":
                tokens.append(Token("|", span=(column, column + 1)))
            continue
        if not begun:
            start = column
        if character in "\"'":
            quoted = True
            text += _quoted(characters, character, (column, len(line)))
        else:
            text += character
    if start >= 0:
        tokens.append(Token(text, quoted, line[start] == "'", (start, len(line))))
    return tokens


def _quoted(characters: Iterator[tuple[int, str]], mark: str, span: tuple[int, int]) -> str:
    text = ""
    for _, character in characters:
        if character == mark:
            return text
        if character == "\\" and mark == '"':
            _, character = next(characters, (0, ""))
        text += character
    raise CommandError(f"A closing {mark} is missing", span)


def is_pipe(token: Token) -> bool:
    """Whether this word begins a pipe."""
    return token.text == "|" and not token.quoted


def is_literal(text: str) -> bool:
    """Whether ``?`` after this text is a character: inside quotes, and in the pattern of a pipe."""
    quote = ""
    pipe = False
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character == "|":
            pipe = True
    return bool(quote) or (pipe and len(text.rpartition("|")[2].split()) + text[-1].isspace() > 1)


def match(mode: str, tokens: Sequence[Token], rights: str, registry: Registry = COMMANDS) -> Match:
    """Find the command that these words mean and read its arguments.

    Raises :class:`CommandError`: unknown, ambiguous (with the candidates), incomplete (with what may
    follow), a bad value, or a user whose ``rights`` do not suffice.
    """
    commands = registry.commands(mode)
    allowed = [command for command in commands if permits(rights, command)]
    try:
        return _match(allowed, tokens)
    except CommandError as error:
        # A line that somebody else may type is worth another word than "unknown".
        try:
            needed = _match([command for command in commands if command not in allowed], tokens).command
        except CommandError:
            raise error from None
    words = takewhile(lambda word: word[0] not in "[{<", needed.syntax.split())
    text = f"'{' '.join(words)}' needs the privilege {needed.rights}; this user is {rights}"
    raise CommandError(text, (tokens[0].span[0], tokens[-1].span[1]))


def permits(rights: str, command: Command) -> bool:
    """Whether a user of a privilege level may use a command."""
    return RIGHTS.index(rights) >= RIGHTS.index(command.rights)


def _match(commands: list[Command], tokens: Sequence[Token]) -> Match:
    walkers = _start(commands)
    for index in range(len(tokens)):
        walkers = _take(walkers, tokens, index)
    for walker in walkers:
        if walker.done:
            return Match(walker.command, walker.args)
    following = sorted({candidate.text for candidate in _next(walkers, "")})
    end = tokens[-1].span[1] + 1
    raise CommandError(f"Incomplete command: next is {', '.join(following)}", (end, end + 1))


def _start(commands: Iterable[Command]) -> list[_Walker]:
    return [_Walker(command, 0, {}, frozenset()) for command in commands]


def _words(edge: Edge) -> Iterable[str]:
    if isinstance(edge.label, Word):
        return (edge.label.text,)
    return edge.label.choices


def _take(walkers: list[_Walker], tokens: Sequence[Token], index: int) -> list[_Walker]:
    """One word further: the walkers that go on with the most specific match of it."""
    token = tokens[index]
    best = FREE + 1
    found: list[tuple[str, _Walker]] = []
    faults: list[tuple[int, str]] = []
    typed = token.text.lower()
    for walker in walkers:
        for edge in walker.edges():
            for word in () if token.quoted or not typed else _words(edge):
                if word.startswith(typed):
                    rank = EXACT if word == typed else ABBREVIATED
                    if rank <= best:
                        found = found if rank == best else []
                        best = rank
                        found.append((word, walker.step(edge, word)))
            label = edge.label
            if isinstance(label, Value) and label.kind != "CHOICE" and label.rank <= best:
                try:
                    value = label.parse(Exact(token.text) if token.exact else token.text)
                except CommandError as error:
                    faults.append((label.rank, str(error)))
                    continue
                found = found if label.rank == best else []
                best = label.rank
                found.append(("", walker.step(edge, value)))
    choices = sorted({word for word, _ in found})
    if len(choices) > 1:
        raise CommandError(f"Ambiguous command '{token.text}': {', '.join(choices)}", token.span)
    if not found:
        raise CommandError(_explain(walkers, tokens, index, faults), token.span)
    return [walker for _, walker in found]


def _explain(
    walkers: list[_Walker], tokens: Sequence[Token], index: int, faults: list[tuple[int, str]]
) -> str:
    """Why no command takes this word."""
    text = tokens[index].text[:80]
    words = {candidate.text for candidate in _next(walkers, "") if candidate.word}
    near = difflib.get_close_matches(text.lower(), words, 3, 0.7)
    meant = f": did you mean {' or '.join(near)}?" if near else ""
    if index == 0:
        return f"Unknown command '{text}'{meant}"
    before = masked(" ".join(token.text for token in tokens[:index]))[:120]
    wanted = sorted({candidate.text for candidate in _next(walkers, "")})
    if wanted in ([], ["<cr>"]):
        if any(walker.has_secret for walker in walkers):
            # It may be the second half of a password.
            return "Nothing follows a password; quote one with spaces"
        return f"Unexpected '{text}': nothing follows '{before}'"
    # Where a keyword could stand too, only what looks like a value is judged as one.
    if faults and (not words or not text[:1].isalpha()):
        return f"{min(faults)[1]} (after '{before}')"
    # A short list says more; a long one hides what is meant.
    said = meant if meant and len(wanted) > LISTED else f": {', '.join(wanted)}"
    return f"Unknown keyword '{text}' after '{before}'{said}"


def _next(walkers: Iterable[_Walker], prefix: str) -> list[Candidate]:
    """What may follow, keywords first, each text once."""
    found: dict[str, Candidate] = {}
    for walker in walkers:
        if walker.done and not prefix:
            found.setdefault("<cr>", Candidate("<cr>", "Ends the command", False))
        for edge in walker.edges():
            for word in _words(edge):
                if word.startswith(prefix.lower()):
                    found.setdefault(word, Candidate(word, edge.label.help, True))
            label = edge.label
            if isinstance(label, Value) and label.kind != "CHOICE" and (not prefix or _reads(label, prefix)):
                found.setdefault(label.placeholder, Candidate(label.placeholder, label.help, False))
    return sorted(found.values(), key=lambda each: (each.text == "<cr>", not each.word, each.text))


def _reads(value: Value, text: str) -> bool:
    try:
        value.parse(text)
    except CommandError:
        return False
    return True


def candidates(mode: str, line: str, rights: str, registry: Registry = COMMANDS) -> list[Candidate]:
    """What could be typed at the end of ``line``: to go on its last word, or next after a space.

    This is what ``?`` lists and Tab completes from. Commands beyond the user's rights are left out;
    a line that is wrong already gives an empty list.
    """
    try:
        tokens = split(line)
        prefix = ""
        if tokens and not line[-1:].isspace():
            last = tokens.pop()
            if last.quoted:
                return []
            prefix = last.text if not is_pipe(last) else ""
            tokens = [*tokens, last] if is_pipe(last) else tokens
        if any(is_pipe(token) for token in tokens):
            if not is_pipe(tokens[-1]):
                return []
            return [Candidate(word, help, True) for word, help in PIPES.items() if word.startswith(prefix)]
        walkers = _start(each for each in registry.commands(mode) if permits(rights, each))
        for index in range(len(tokens)):
            walkers = _take(walkers, tokens, index)
    except CommandError:
        return []
    return _next(walkers, prefix)


def complete(mode: str, line: str, rights: str, registry: Registry = COMMANDS) -> list[str]:
    """The keywords that the last word of ``line`` could become."""
    return [each.text for each in candidates(mode, line, rights, registry) if each.word]
