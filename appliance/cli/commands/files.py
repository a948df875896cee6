"""Exec commands about the configuration as a whole: enter it, show it, audit it, save it, load a file.

``configure FILE`` changes the running configuration by all lines of a file or by none. ``replace``,
which makes it exactly what the file says, is ours; so is ``save configuration`` without a file.
"""

import hashlib
from collections.abc import Iterable
from typing import Any

from appliance.cli.commands.session import known_context
from appliance.cli.grammar import RIGHTS, CommandError, command
from appliance.config_audit import audit, screen
from appliance.config_secrets import masked
from appliance.config_text import ROOT, Parser, configuration_lines
from appliance.config_tree import ConfigurationErrors, Section

WORDS = {
    "checksum": "A checksum that changes when the configuration does",
    "configuration": "The configuration that the appliance runs with",
    "configure": "Changes of the running configuration",
    "context": "Only one context",
    "errors": "What is set but cannot work or looks forgotten",
    "file": "Absolute path of a file",
    "name": "Name of the context",
    "-noconfirm": "Does not ask whether you are sure",
    "replace": "Removes what the file does not hold",
    "save": "Writes the running configuration to a file",
    "verbose": "Each finding, not only how many",
}
#: Lines that are read or made before others have a turn.
SLICE = 16


@command("exec", "show configuration [ context <name:NAME 1-79> ]", help=WORDS, rights="operator")
def _show(shell: Any, args: dict[str, Any]) -> Iterable[str]:
    tree = shell.system.configuration.tree
    if "name" in args:
        known_context(shell, args["name"])
        tree = tree.only("context", args["name"])
    lines = configuration_lines(tree)
    # A hash is a riddle for whoever has time; only those who may type it get to see it.
    return lines if shell.rights == RIGHTS[-1] else map(masked, lines)


@command("exec", "show configuration checksum", help=WORDS, rights="operator")
async def _checksum(shell: Any, _args: dict[str, Any]) -> list[str]:
    return [hashlib.sha256((await _text(shell)).encode()).hexdigest()]


@command("exec", "show configuration errors [ verbose ]", help=WORDS, rights="operator")
def _errors(shell: Any, args: dict[str, Any]) -> list[str]:
    return screen(audit(shell.system.configuration), "verbose" in args)


@command("exec", "configure", help=WORDS, rights="administrator")
def _configure(shell: Any, _args: dict[str, Any]) -> None:
    shell.begin()


@command(
    "exec", "configure <file:PATH 2-4000> [ replace ] [ -noconfirm ]", help=WORDS, rights="administrator"
)
async def _load(shell: Any, args: dict[str, Any]) -> list[str]:
    path = args["file"]
    text = await shell.system.read_file(path)
    # Its wrong lines are repeated: nobody is to read the host's other files in this way.
    if not _is_configuration(text):
        raise CommandError(f"{path} is no configuration file: it does not begin with 'config'")
    lines = text.split("\n")
    while True:
        base = shell.system.configuration.tree
        parser = Parser(path, Section(ROOT) if "replace" in args else base, shell.rights)
        for number, line in enumerate(lines):
            parser.feed(line)
            if number % SLICE == SLICE - 1:
                await shell.face.write([])
        try:
            tree = parser.finish()
        except ConfigurationErrors as error:
            texts = [text.replace(": Failure: ", ": ", 1) for text in error.lines]
            raise CommandError("\n".join([*texts, "nothing of the file was applied"])) from None
        if await shell.change(base, tree, args):
            count = len(lines) - (not lines[-1])
            return [f"Info: {count} {'line' if count == 1 else 'lines'} of {path} applied"]


@command(
    "exec", "save configuration [ <file:PATH 2-4000> ] [ -noconfirm ]", help=WORDS, rights="administrator"
)
async def _save(shell: Any, args: dict[str, Any]) -> list[str]:
    path = args.get("file") or shell.system.boot_file
    if not path:
        raise CommandError("the appliance was booted from standard input; name a file to save to")
    if await shell.system.file_exists(path):
        # A mistyped path must not cost the host a file that is something else.
        if not _is_configuration(await shell.system.read_file(path)):
            raise CommandError(f"{path} is no configuration file and is not replaced; name another file")
        await shell.confirm(args, [f"{path} exists and is replaced"])
    await shell.system.write_file(path, await _text(shell) + "\n")
    return [f"Info: the configuration was saved to {path}"]


async def _text(shell: Any) -> str:
    """The running configuration; others have their turn while it is put together."""
    lines: list[str] = []
    for line in configuration_lines(shell.system.configuration.tree):
        lines.append(line)
        if len(lines) % SLICE == 0:
            await shell.face.write([])
    return "\n".join(lines)


def _is_configuration(text: str) -> bool:
    """Whether a text is empty or begins as a configuration does, with ``config``."""
    words = (line.split() for line in text.split("\n"))
    first = next((found[0].lower() for found in words if found and not found[0].startswith("#")), "config")
    return "configure".startswith(first) and len(first) >= len("conf")
