"""The one grammar: each command is declared once, by its syntax string.

From a declaration come matching with abbreviations, completion and ``?``, the ``no`` and
``default`` forms, the boot file, and ``show configuration``::

    "mag-peer <peer:IP/ANY> [ prohibited ]"
          │ compile
          ▼
    (0)─mag-peer─▶(1)─<peer>─▶(2)⇄ prohibited        one small graph for each command;
                                                     match.py walks all graphs of a mode at once

Syntax: words; ``<name:TYPE>`` placeholders (types: values.py); ``{ a | b }`` one of;
``[ a | b ]`` optional. Optional parts that follow each other may be typed in any order. A part
of a group that begins with a word and holds no placeholder of its own sets ``args[word] = True``.

A mistake in a declaration, a token without help, and two commands that a line could both
mean raise :class:`GrammarError` when the declaring module is imported.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from attrs import define, field, frozen

from appliance.cli.values import CommandError, GrammarError, Value, make_value
from appliance.management import RIGHTS

__all__ = [
    "COMMANDS", "RIGHTS", "Command", "CommandError", "Edge", "GrammarError", "Group", "Registry", "Value",
    "Word", "command", "setting",
]  # fmt: skip

#: Help of words that mean the same in every command.
VOCABULARY: dict[str, str] = {
    "all": "All of them",
    "clear": "Clears statistics or ends sessions",
    "default": "Returns a setting to its factory value",
    "lma-service": "Local mobility anchor service",
    "mag-service": "Mobile access gateway service",
    "mipv6ha-service": "Home agent of hosts (Mobile IPv6)",
    "mn-client": "Mobile node",
    "no": "Disables or removes a setting",
    "show": "Displays information",
    "statistics": "Counters",
}

Handler = Callable[[Any, dict[str, Any]], Any]


@frozen
class Word:
    """A fixed word of a syntax string."""

    text: str
    help: str = field(default="", eq=False)


Label = Word | Value


@frozen
class Group:
    """``{ a | b }`` or, if ``optional``, ``[ a | b ]``."""

    alternatives: tuple[tuple["Item", ...], ...]
    optional: bool


Item = Word | Value | Group


@frozen
class Edge:
    """One step in the graph of a command."""

    label: Label
    target: int
    flag: str = ""
    """Argument that becomes true by this step; empty: none."""
    once: int = 0
    """Number of the optional part that this step enters; 0: none. Each may be entered once."""


def flag_of(alternative: tuple[Item, ...]) -> str:
    """The argument that tells that this part of a group was typed; empty if its values tell."""
    first = alternative[0]
    if isinstance(first, Word) and not any(isinstance(item, Value) for item in alternative):
        return first.text
    return ""


class Graph:
    """The states of one command; state 0 is the start."""

    __slots__ = ("edges", "free", "final", "_parts")

    def __init__(self, items: tuple[Item, ...]) -> None:
        self.edges: list[list[Edge]] = [[]]
        self.free: list[list[int]] = [[]]
        self._parts = 0
        self.final = self._sequence(items, 0, "", 0)

    def reach(self, state: int) -> tuple[int, ...]:
        """All states that are reached from here without a word."""
        found = [state]
        for here in found:
            found.extend(there for there in self.free[here] if there not in found)
        return tuple(found)

    def _state(self) -> int:
        self.edges.append([])
        self.free.append([])
        return len(self.edges) - 1

    def _sequence(self, items: tuple[Item, ...], start: int, flag: str, once: int) -> int:
        state = start
        loop = -1
        for item in items:
            if isinstance(item, Group) and item.optional:
                if loop < 0:
                    loop = self._state()
                    self.free[state].append(loop)
                    state = loop
                self._parts += 1
                part = self._parts
                for alternative in item.alternatives:
                    end = self._sequence(alternative, state, flag_of(alternative), part)
                    self.free[end].append(state)
                continue
            loop = -1
            if isinstance(item, Group):
                join = self._state()
                for alternative in item.alternatives:
                    self.free[self._sequence(alternative, state, flag_of(alternative), 0)].append(join)
                state = join
            else:
                target = self._state()
                self.edges[state].append(Edge(item, target, flag, once))
                state = target
            flag, once = "", 0
        return state


@define(eq=False)
class Command:
    """One declared command, or a form of it that was generated."""

    mode: str
    syntax: str
    items: tuple[Item, ...]
    rights: str
    handler: Handler | None = None
    """Exec: called with the shell and the arguments."""
    path: str = ""
    """Configuration: name of the setting in its section."""
    keys: tuple[str, ...] = ()
    """Configuration: arguments that tell lines of the same path from each other."""
    toggle: bool = False
    """Configuration: ``no`` is a value of its own and is kept."""
    enters: str = ""
    """Configuration: mode that the line opens."""
    form: str = ""
    """Empty, ``no`` or ``default``."""
    off: str = ""
    """Of a toggle with values: its words behind a kept ``no``; empty: all of them."""
    graph: Graph = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Compile the graph."""
        self.graph = Graph(self.items)

    def key(self, args: Mapping[str, Any]) -> tuple[Any, ...]:
        """What tells this line from others of its path."""
        return tuple(args.get(name) for name in self.keys)

    def render(self, args: Mapping[str, Any]) -> str:
        """Fill the syntax string: the line that gives these arguments back when it is read."""
        return " ".join(_render(self.items, args))

    def line(self, args: Mapping[str, Any], negated: bool) -> str:
        """The line of an entry, which may be a kept ``no``."""
        if negated:
            return f"no {self.off or self.render(args)}"
        return self.render(args)

    def values(self) -> Iterator[Value]:
        """All placeholders."""
        for edges in self.graph.edges:
            for edge in edges:
                if isinstance(edge.label, Value):
                    yield edge.label


def _render(items: tuple[Item, ...], args: Mapping[str, Any]) -> Iterator[str]:
    for item in items:
        if isinstance(item, Word):
            yield item.text
        elif isinstance(item, Value):
            yield item.format(args[item.name])
        else:
            for alternative in item.alternatives:
                if _present(alternative, args):
                    yield from _render(alternative, args)
                    break
            else:
                if not item.optional:
                    raise GrammarError(f"nothing chosen of {item.alternatives}")


def _present(alternative: tuple[Item, ...], args: Mapping[str, Any]) -> bool:
    flag = flag_of(alternative)
    if flag:
        return flag in args
    return all(item.name in args for item in alternative if isinstance(item, Value))


_TOKEN = re.compile(r"\s*(<([a-z0-9_]+):([^>]+)>|[{}\[\]|]|[a-z0-9][a-z0-9.+-]*|-[a-z]+|\S)")


class _Reader:
    """Reads one syntax string."""

    def __init__(self, syntax: str, help: Mapping[str, str], ranges: dict[str, tuple[int, int, str]]) -> None:
        """Take the syntax, the help of its tokens, and (low, high, unit) of numbers without a range."""
        self.syntax = syntax
        self.help = help
        self.ranges = ranges
        self.tokens = list(_TOKEN.finditer(syntax))
        self.position = 0

    def fail(self, text: str) -> GrammarError:
        """The error to raise, with the syntax string in front."""
        return GrammarError(f"'{self.syntax}': {text}")

    def read(self) -> tuple[Item, ...]:
        """The whole syntax string as a tree."""
        items = self._sequence("")
        if self.position != len(self.tokens):
            raise self.fail("a bracket closes that was not opened")
        return items

    def _sequence(self, closing: str) -> tuple[Item, ...]:
        items: list[Item] = []
        while self.position < len(self.tokens):
            match = self.tokens[self.position]
            token = match[1]
            if token in ("|", "]", "}"):
                break
            self.position += 1
            if token in ("{", "["):
                items.append(self._group("]" if token == "[" else "}"))
            elif match[2]:
                items.append(make_value(match[2], match[3].strip(), self.ranges, self._help(match[2])))
            elif re.fullmatch(r"-?[a-z0-9][a-z0-9.+-]*", token):
                items.append(Word(token, self._help(token)))
            else:
                raise self.fail(f"'{token}' is no part of a syntax string")
        if not items or (closing and isinstance(items[0], Group)):
            raise self.fail("each part must begin with a word or a placeholder")
        return tuple(items)

    def _group(self, closing: str) -> Group:
        alternatives = [self._sequence(closing)]
        while self.position < len(self.tokens) and self.tokens[self.position][1] == "|":
            self.position += 1
            alternatives.append(self._sequence(closing))
        if self.position == len(self.tokens) or self.tokens[self.position][1] != closing:
            raise self.fail(f"'{closing}' is missing")
        self.position += 1
        return Group(tuple(alternatives), closing == "]")

    def _help(self, token: str) -> str:
        text = self.help.get(token) or VOCABULARY.get(token)
        if not text:
            raise self.fail(f"'{token}' has no help text")
        return text


class Registry:
    """All commands of all modes."""

    def __init__(self) -> None:
        self._modes: dict[str, list[Command]] = {}

    @property
    def modes(self) -> list[str]:
        """Names of the modes, in the order of their declaration."""
        return list(self._modes)

    def commands(self, mode: str) -> list[Command]:
        """The commands of a mode with their generated forms, in the order of their declaration."""
        return self._modes.get(mode, [])

    def settings(self, mode: str) -> list[Command]:
        """The configuration commands of a mode that have a line in ``show configuration``."""
        return [command for command in self.commands(mode) if command.path and not command.form]

    def add(self, command: Command) -> Command:
        """Add a command. Raises :class:`GrammarError` if some line could mean two commands."""
        if command.rights not in RIGHTS:
            raise GrammarError(f"'{command.syntax}': no such right: {command.rights}")
        for other in self.commands(command.mode):
            if command.path and not command.form and not other.form and other.path == command.path:
                raise GrammarError(f"'{command.syntax}' stores where '{other.syntax}' stores")
            if both := _meet(command.graph, other.graph):
                raise GrammarError(f"{command.mode}: '{both}' means '{command.syntax}' and '{other.syntax}'")
        self._modes.setdefault(command.mode, []).append(command)
        return command


def _same(one: Label, other: Label) -> bool:
    """Whether a word exists that is the best match of both labels."""
    if isinstance(one, Word):
        return one.text == other.text if isinstance(other, Word) else one.text in other.choices
    return other.text in one.choices if isinstance(other, Word) else one.overlaps(other)


def _meet(one: Graph, other: Graph) -> str:
    """A line that both graphs accept, or an empty text."""
    waiting: list[tuple[int, int, str]] = [(0, 0, "")]
    seen = {(0, 0)}
    for here, there, line in waiting:
        mine, theirs = one.reach(here), other.reach(there)
        if one.final in mine and other.final in theirs:
            return line.strip() or "an empty line"
        for edge in (edge for state in mine for edge in one.edges[state]):
            for second in (edge for state in theirs for edge in other.edges[state]):
                pair = (edge.target, second.target)
                if pair not in seen and _same(edge.label, second.label):
                    seen.add(pair)
                    label = edge.label
                    word = label.text if isinstance(label, Word) else label.placeholder
                    waiting.append((*pair, f"{line} {word}"))
    return ""


#: Every command of the appliance; the modules in ``cli/commands`` fill it when they are imported.
COMMANDS = Registry()


def command(
    mode: str,
    syntax: str,
    *,
    help: Mapping[str, str],
    rights: str = "inspector",
    ranges: Mapping[str, tuple[int, int, str]] | None = None,
    registry: Registry = COMMANDS,
) -> Callable[[Handler], Handler]:
    """Declare a command that a function carries out: ``handler(shell, args)``.

    ``help`` has a text for each word and each placeholder name of ``syntax``. The handler returns
    an iterable of lines, or an object with ``lines(width)`` and ``data()``, or ``None``; it
    raises :class:`CommandError` to fail. Raises :class:`GrammarError` for a bad declaration.
    """
    items = _Reader(syntax, help, dict(ranges or {})).read()

    def register(handler: Handler) -> Handler:
        registry.add(Command(mode, syntax, items, rights, handler=handler))
        return handler

    return register


def setting(
    mode: str,
    path: str,
    syntax: str,
    *,
    help: Mapping[str, str],
    no: str = "",
    default: str = "",
    keys: tuple[str, ...] = (),
    toggle: bool = False,
    enters: str = "",
    rights: str = "administrator",
    ranges: Mapping[str, tuple[int, int, str]] | None = None,
    registry: Registry = COMMANDS,
) -> Command:
    """Declare a configuration command that stores its arguments under ``path`` of its section.

    ``no`` and ``default`` are what follows these words in the forms that remove the line (for a
    ``toggle``, ``no`` is kept as the value "off" and both are the syntax itself if they are not given).
    Returns the command. Raises :class:`GrammarError` for a bad declaration.
    """
    limits = dict(ranges or {})
    off = no if toggle else ""
    if toggle:
        no, default = no or syntax, default or syntax
    items = _Reader(syntax, help, limits).read()
    made = Command(mode, syntax, items, rights, path=path, keys=keys, toggle=toggle, enters=enters, off=off)
    names = {value.name for value in made.values()}
    if missing := set(keys) - names:
        raise GrammarError(f"'{syntax}': no such placeholder: {', '.join(sorted(missing))}")
    registry.add(made)
    for form, rest in (("no", no), ("default", default)):
        if rest:
            line = f"{form} {rest}"
            registry.add(
                Command(
                    mode, line, _Reader(line, help, limits).read(), rights,
                    path=path, keys=keys, toggle=toggle, enters=enters, form=form,
                )
            )  # fmt: skip
    return made
