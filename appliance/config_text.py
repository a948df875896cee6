"""Configuration text: read into a tree, and printed from one, by the same grammar."""

import difflib
from collections.abc import Iterator, Sequence
from typing import Any

from appliance.cli import match
from appliance.cli.commands import (
    configuration,
    configuration_aaa,
    configuration_agents,
    configuration_congestion,
    configuration_dhcp,
    configuration_diameter,
    configuration_dual_stack,
    configuration_health,
    configuration_home_link,
    configuration_hosts,
    configuration_mn,
    configuration_nemo,
    configuration_policy,
    configuration_quality,
    configuration_revocation,
    configuration_services,
    configuration_transport,
    configuration_updates,
    management,
)
from appliance.cli.commands.order import in_order
from appliance.cli.grammar import COMMANDS, Command, CommandError, Registry
from appliance.config_tree import ConfigurationErrors, Entry, Key, Section

#: Importing these modules registers the configuration's commands.
COMMAND_MODULES = (
    configuration,
    configuration_services,
    configuration_transport,
    configuration_revocation,
    configuration_health,
    configuration_hosts,
    configuration_agents,
    configuration_home_link,
    configuration_dual_stack,
    configuration_nemo,
    configuration_updates,
    configuration_dhcp,
    configuration_diameter,
    configuration_aaa,
    configuration_congestion,
    configuration_quality,
    configuration_policy,
    configuration_mn,
    management,
)
ROOT = configuration.ROOT
#: May follow any configuration command: it does not ask whether you are sure.
NO_CONFIRM = "-noconfirm"

Position = tuple[tuple[str, Key], ...]
"""(path, key) of the lines that opened the sections round a place in the tree, outermost first."""


class Editor:
    """Types configuration lines into a tree, mode by mode.

    It starts outside the configuration, where only ``configure`` leads on, or inside at ``position``.
    Modes are entered and left by their commands alone: a line is never tried in another mode.
    The tree that is given stays as it is: what changes is copied on the way, so that ``tree`` shares
    all the rest with it. Raises :class:`CommandError` if ``position`` is not in the tree.
    """

    def __init__(
        self,
        tree: Section,
        registry: Registry = COMMANDS,
        rights: str = "security-administrator",
        position: Position | None = None,
    ) -> None:
        self.tree = tree
        self._registry = registry
        self._rights = rights
        self._stack: list[Section] = []
        self._keys: list[tuple[str, Key]] = []
        self._owned: dict[int, object] = {}
        """Copies made here, by identity: these may be changed in place."""
        if position is not None:
            self._stack = [tree]
            for step in position:
                section = self._stack[-1].sections.get(step)
                if section is None:
                    raise CommandError(f"{' '.join(map(str, (step[0], *step[1])))} is not there any more")
                self._stack.append(section)
                self._keys.append(step)

    @property
    def mode(self) -> str:
        """The mode the next line is read in."""
        return self._stack[-1].mode if self._stack else configuration.OUTSIDE

    @property
    def position(self) -> Position | None:
        """Where the next line goes; ``None``: outside the configuration."""
        return tuple(self._keys) if self._stack else None

    def execute(self, text: str, line: int = 0) -> None:
        """Do one line. Raises :class:`CommandError`; then the tree has not changed."""
        self.enter(match.split(text), line)

    def enter(self, tokens: Sequence[match.Token], line: int = 0) -> None:
        """Do one line that is cut into words already; as :meth:`execute`."""
        if not tokens:
            return
        if any(match.is_pipe(token) for token in tokens):
            raise CommandError("a pipe has no place in a configuration")
        if len(tokens) > 1 and tokens[-1] == match.Token(NO_CONFIRM):
            tokens = tokens[:-1]
        try:
            found = match.match(self.mode, tokens, self._rights, self._registry)
        except CommandError as error:
            if self.mode == configuration.OUTSIDE:
                raise CommandError(f"{error} (outside 'config' ... 'end')") from error
            raise
        if found.command.handler:
            found.command.handler(self, found.args)
        else:
            self._apply(found.command, found.args, line)

    def begin(self) -> None:
        """Enter the configuration."""
        self._stack, self._keys = [self.tree], []

    def leave(self) -> None:
        """Go one mode up."""
        self._stack.pop()
        del self._keys[len(self._stack[1:]) :]

    def end(self) -> None:
        """Leave the configuration."""
        self._stack, self._keys = [], []

    def step_into(self, mode: str) -> None:
        """Read what follows in a section of ``mode`` that leads nowhere."""
        stray = Section(mode)
        self._owned[id(stray)] = stray
        self._stack.append(stray)
        self._keys.append(("", ()))

    def _apply(self, command: Command, args: dict[str, Any], line: int) -> None:
        path, key = command.path, command.key(args)
        if command.enters and not command.form:
            inner = self._stack[-1].sections.get((path, key))
            if inner is None:
                inner = Section(command.enters, args, line=line)
                self._owned[id(inner)] = inner
                self._own().sections[path, key] = inner
            self._stack.append(inner)
            self._keys.append((path, key))
        elif command.form == "default" or (command.form == "no" and not command.toggle):
            if self._stack[-1].has(path, key):
                section = self._own()
                self._own_lines(section, path)
                section.remove(path, key)
        else:
            section = self._own()
            self._own_lines(section, path)
            section.store(path, key, Entry(args, command.form == "no", line))

    def _own(self) -> Section:
        """The current section as one that may be changed, and all round it too."""
        for depth, section in enumerate(self._stack):
            if id(section) in self._owned:
                continue
            copy = section.copy()
            self._owned[id(copy)] = copy
            self._stack[depth] = copy
            if depth:
                self._stack[depth - 1].sections[self._keys[depth - 1]] = copy
            else:
                self.tree = copy
        return self._stack[-1]

    def _own_lines(self, section: Section, path: str) -> None:
        lines = section.settings.get(path)
        if lines is not None and id(lines) not in self._owned:
            lines = section.settings[path] = dict(lines)
            self._owned[id(lines)] = lines


class Parser:
    """Reads a configuration text line by line and collects what is wrong with it."""

    def __init__(self, filename: str, tree: Section, rights: str = "security-administrator") -> None:
        self._filename = filename
        self._editor = Editor(tree, rights=rights)
        self._errors: list[str] = []
        self._number = 0

    def feed(self, text: str) -> None:
        """Read the next line."""
        self._number += 1
        try:
            tokens = match.split(text)
            try:
                self._editor.enter(tokens, self._number)
            except CommandError:
                self._stay_in_step(tokens)
                raise
        except CommandError as error:
            self._fail(str(error))

    def finish(self) -> Section:
        """The tree. Raises :class:`ConfigurationErrors` with every wrong line."""
        mode = self._editor.mode
        if mode != configuration.OUTSIDE and not self._errors:
            # A file that was cut off would else boot with half of its services.
            self._fail(f"the text ends inside {mode}: 'end' is missing")
        if self._errors:
            raise ConfigurationErrors(self._errors)
        return self._editor.tree

    def _fail(self, text: str) -> None:
        self._errors.append(f"{self._filename}:{self._number}: Failure: {text}")

    def _stay_in_step(self, tokens: Sequence[match.Token]) -> None:
        """After a wrong line that was to open a mode: read what follows in that mode, to no effect."""
        openers = {
            command.syntax.split()[0]: command.enters
            for command in COMMANDS.settings(self._editor.mode)
            if command.enters
        }
        for word in difflib.get_close_matches(tokens[0].text.lower(), openers, 1, 0.8) if tokens else ():
            self._editor.step_into(openers[word])


def parse(text: str, filename: str) -> Section:
    """Read a whole text. Raises :class:`ConfigurationErrors` with every wrong line."""
    parser = Parser(filename, Section(ROOT))
    for line in text.split("\n"):
        parser.feed(line)
    return parser.finish()


def show(tree: Section, registry: Registry = COMMANDS) -> list[str]:
    """The lines that give this tree back when they are read."""
    return list(configuration_lines(tree, registry))


def configuration_lines(tree: Section, registry: Registry = COMMANDS) -> Iterator[str]:
    """The same lines one by one; the tree must not be changed in place meanwhile."""
    yield "config"
    yield from _lines(tree, "  ", registry)
    yield "end"


def reserved(tree: Section, rights: str, registry: Registry = COMMANDS) -> set[tuple[str, ...]]:
    """The lines of a tree that a user of a privilege level may not type, each behind those of its sections.

    A change by that user has to leave them as they are, also where it removes or replaces all round them.
    """
    modes = {
        mode
        for mode in registry.modes
        if any(not match.permits(rights, each) for each in registry.settings(mode))
    }
    for mode in reversed(registry.modes):
        if any(each.enters in modes for each in registry.settings(mode)):
            modes.add(mode)
    return set(_reserved(tree, rights, registry, modes, ()))


def _reserved(
    section: Section, rights: str, registry: Registry, modes: set[str], place: tuple[str, ...]
) -> Iterator[tuple[str, ...]]:
    for command in registry.settings(section.mode) if section.mode in modes else ():
        mine = match.permits(rights, command)
        for inner in section.all(command.path) if command.enters else ():
            here = (*place, command.render(inner.args))
            if not mine:
                yield here
            yield from _reserved(inner, rights, registry, modes, here)
        for entry in section.entries(command.path) if not (mine or command.enters) else ():
            yield (*place, command.line(entry.args, entry.negated))


def _lines(section: Section, indent: str, registry: Registry) -> Iterator[str]:
    commands = in_order(section.mode, registry.settings(section.mode))
    if section.mode == ROOT:
        # Users before the contexts whose lines name them: the text can also be typed line by line.
        commands = sorted(commands, key=lambda command: bool(command.enters))
    for command in commands:
        if command.enters:
            for inner in section.all(command.path):
                yield indent + command.render(inner.args)
                yield from _lines(inner, indent + "  ", registry)
                yield f"{indent}  exit"
        else:
            for entry in section.entries(command.path):
                yield indent + command.line(entry.args, entry.negated)
