"""Configuration text: read into a tree, and printed from one, by the same grammar."""

import difflib
from collections.abc import Iterator

from appliance.cli import match
from appliance.cli.commands import configuration
from appliance.cli.grammar import COMMANDS, Command, CommandError, Registry
from appliance.config_tree import ConfigurationErrors, Entry, Section

ROOT = configuration.ROOT


class Editor:
    """Types configuration lines into a tree, mode by mode.

    It starts outside the configuration, where only ``configure`` leads on. Modes are entered and
    left by their commands alone: a line is never tried in another mode.
    """

    def __init__(self, tree: Section, registry: Registry = COMMANDS) -> None:
        self._registry = registry
        self._tree = tree
        self._stack: list[Section] = []

    @property
    def mode(self) -> str:
        """The mode the next line is read in."""
        return self._stack[-1].mode if self._stack else configuration.OUTSIDE

    def execute(self, text: str, line: int = 0) -> None:
        """Do one line. Raises :class:`CommandError`; then the tree has not changed."""
        tokens = match.split(text)
        if not tokens:
            return
        if any(match.is_pipe(token) for token in tokens):
            raise CommandError("a pipe has no place in a configuration")
        try:
            found = match.match(self.mode, tokens, "administrator", self._registry)
        except CommandError as error:
            self._stay_in_step(tokens)
            if self.mode == configuration.OUTSIDE:
                raise CommandError(f"{error} (outside 'config' ... 'end')") from error
            raise
        if found.command.handler:
            found.command.handler(self, found.args)
        else:
            self._apply(found.command, found.args, line)

    def begin(self) -> None:
        """Enter the configuration."""
        self._stack = [self._tree]

    def leave(self) -> None:
        """Go one mode up."""
        self._stack.pop()

    def end(self) -> None:
        """Leave the configuration."""
        self._stack = []

    def _apply(self, command: Command, args: dict[str, object], line: int) -> None:
        section, key = self._stack[-1], command.key(args)
        if command.enters and not command.form:
            self._stack.append(section.open(command.path, key, Section(command.enters, args, line=line)))
        elif command.form == "default" or (command.form == "no" and not command.toggle):
            section.remove(command.path, key)
        else:
            section.store(command.path, key, Entry(args, command.form == "no", line))

    def _stay_in_step(self, tokens: list[match.Token]) -> None:
        """After a wrong line that was to open a mode: read what follows in that mode, to no effect."""
        openers = {
            command.syntax.split()[0]: command.enters
            for command in self._registry.settings(self.mode)
            if command.enters
        }
        for word in difflib.get_close_matches(tokens[0].text.lower(), openers, 1, 0.8):
            self._stack.append(Section(openers[word]))


def parse(text: str, filename: str) -> Section:
    """Read a whole text. Raises :class:`ConfigurationErrors` with every wrong line."""
    tree = Section(ROOT)
    editor = Editor(tree)
    errors: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        try:
            editor.execute(line, number)
        except CommandError as error:
            errors.append(f"{filename}:{number}: Failure: {error}")
    if editor.mode != configuration.OUTSIDE and not errors:
        # A file that was cut off would else boot with half of its services.
        errors.append(f"{filename}:{number}: Failure: the text ends inside {editor.mode}: 'end' is missing")
    if errors:
        raise ConfigurationErrors(errors)
    return tree


def show(tree: Section, registry: Registry = COMMANDS) -> list[str]:
    """The lines that give this tree back when they are read."""
    return ["config", *_lines(tree, "  ", registry), "end"]


def _lines(section: Section, indent: str, registry: Registry) -> Iterator[str]:
    for command in registry.settings(section.mode):
        if command.enters:
            for inner in section.all(command.path):
                yield indent + command.render(inner.args)
                yield from _lines(inner, indent + "  ", registry)
                yield f"{indent}  exit"
        else:
            for entry in section.entries(command.path):
                yield indent + ("no " if entry.negated else "") + command.render(entry.args)
