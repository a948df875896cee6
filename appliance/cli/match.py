"""From a typed line to a command and its arguments; and what could be typed next.

All graphs of a mode are walked at once, word by word. At each word the most specific
kind of match wins: the exact word, then an address or number, then an abbreviation of
a word, then a name or other free text. An abbreviation of two different words is an error that lists both.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from attrs import frozen

from appliance.cli.grammar import COMMANDS, RIGHTS, Command, Edge, Registry, Word
from appliance.cli.values import ABBREVIATED, EXACT, FREE, CommandError, Value

#: What may follow ``|``.
PIPES = {
    "grep": "Shows the lines that match a regular expression",
    "json": "Shows the data as one JSON document",
    "more": "Shows a page at a time",
}


@frozen
class Token:
    """One typed word. A quoted one is a value, never a keyword or a pipe."""

    text: str
    quoted: bool = False


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
    def done(self) -> bool:
        """Whether the line may end here."""
        return self.command.graph.final in self.command.graph.reach(self.state)


def split(line: str) -> list[Token]:
    """Cut a line into words; ``#`` at the start of a word begins a remark.

    Double or single quotes hold a text together, ``\\`` in double quotes takes the next character as it
    is, ``|`` outside quotes is a word of its own. Raises :class:`CommandError` for an open quote.
    """
    tokens: list[Token] = []
    text = ""
    begun = quoted = False
    characters = iter(line)
    for character in characters:
        if character in " \t\r\n|" or (character == "#" and not begun):
            if begun:
                tokens.append(Token(text, quoted))
                text, begun, quoted = "", False, False
            if character == "#":
                break
            if character == "|":
                tokens.append(Token("|"))
            continue
        begun = True
        if character in "\"'":
            quoted = True
            text += _quoted(characters, character)
        else:
            text += character
    if begun:
        tokens.append(Token(text, quoted))
    return tokens


def _quoted(characters: Iterator[str], mark: str) -> str:
    text = ""
    for character in characters:
        if character == mark:
            return text
        if character == "\\" and mark == '"':
            character = next(characters, "")
        text += character
    raise CommandError(f"A closing {mark} is missing")


def is_pipe(token: Token) -> bool:
    """Whether this word begins a pipe."""
    return token.text == "|" and not token.quoted


def match(mode: str, tokens: Sequence[Token], rights: str, registry: Registry = COMMANDS) -> Match:
    """Find the command that these words mean and read its arguments.

    Raises :class:`CommandError`: unknown, ambiguous (with the candidates), incomplete (with what may
    follow), a bad value, or a user whose ``rights`` do not suffice.
    """
    walkers = _start(mode, registry)
    for index in range(len(tokens)):
        walkers = _take(walkers, tokens, index)
    for walker in walkers:
        if walker.done:
            _allow(walker.command, rights)
            return Match(walker.command, walker.args)
    following = sorted({candidate.text for candidate in _next(walkers, "")})
    raise CommandError(f"Incomplete command: next is {', '.join(following)}")


def _start(mode: str, registry: Registry) -> list[_Walker]:
    return [_Walker(command, 0, {}, frozenset()) for command in registry.commands(mode)]


def _allow(command: Command, rights: str) -> None:
    if RIGHTS.index(rights) < RIGHTS.index(command.rights):
        raise CommandError(f"'{command.syntax}' needs the privilege {command.rights}; this user is {rights}")


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
                    value = label.parse(token.text)
                except CommandError as error:
                    faults.append((label.rank, str(error)))
                    continue
                found = found if label.rank == best else []
                best = label.rank
                found.append(("", walker.step(edge, value)))
    choices = sorted({word for word, _ in found})
    if len(choices) > 1:
        raise CommandError(f"Ambiguous command '{token.text}': {', '.join(choices)}")
    if not found:
        raise CommandError(_explain(walkers, tokens, index, faults))
    return [walker for _, walker in found]


def _explain(
    walkers: list[_Walker], tokens: Sequence[Token], index: int, faults: list[tuple[int, str]]
) -> str:
    """Why no command takes this word."""
    text = tokens[index].text[:80]
    if index == 0:
        return f"Unknown command '{text}'"
    before = " ".join(token.text for token in tokens[:index])[:120]
    wanted = sorted({candidate.text for candidate in _next(walkers, "")})
    if wanted in ([], ["<cr>"]):
        return f"Unexpected '{text}': nothing follows '{before}'"
    keywords = [candidate for candidate in _next(walkers, "") if candidate.word]
    # Where a keyword could stand too, only what looks like a value is judged as one.
    if faults and (not keywords or not text[:1].isalpha()):
        return f"{min(faults)[1]} (after '{before}')"
    return f"Unknown keyword '{text}' after '{before}': {', '.join(wanted)}"


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
        level = RIGHTS.index(rights)
        walkers = [each for each in _start(mode, registry) if RIGHTS.index(each.command.rights) <= level]
        for index in range(len(tokens)):
            walkers = _take(walkers, tokens, index)
    except CommandError:
        return []
    return _next(walkers, prefix)


def complete(mode: str, line: str, rights: str, registry: Registry = COMMANDS) -> list[str]:
    """The keywords that the last word of ``line`` could become."""
    return [each.text for each in candidates(mode, line, rights, registry) if each.word]
