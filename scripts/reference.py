"""Write ``docs/command-reference.md`` out of the grammar; ``--check`` only says whether it is current.

::

    COMMANDS (modes, syntax, help, rights) ──▶ one section a mode ──▶ one entry a command

The same declarations drive the shell, so what the reference says is what the shell does.
"""

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from appliance.cli import shell
from appliance.cli.commands import configuration
from appliance.cli.grammar import COMMANDS, Command, Group, Item, Word
from appliance.cli.match import PIPES
from appliance.cli.values import Value

TARGET = Path(__file__).resolve().parent.parent / "docs" / "command-reference.md"

HEAD = """\
# Command reference

Written by `scripts/reference` out of the grammar that the shell itself uses: do not edit it.

A command may be abbreviated as long as it is unambiguous. In the syntax lines `{ a | b }` is a choice,
`[ x ]` is optional (optional parts in any order), and `<name>` stands for a value that the table below
explains. The *privilege* is the least level that may use a command: inspector, operator, administrator or
security-administrator; above one's level commands neither run nor appear in the help.
"""

EXEC = """\
The mode after log-in. Its prompt is `[context]host# `, with `>` in place of `#` for inspectors and operators.
In configuration modes `do` runs a command of this mode.
"""

TITLES = {
    "exec": "Exec mode",
    "outside": "Outside of the configuration (files)",
    configuration.ROOT: "Global configuration mode",
    configuration.CONTEXT: "Context configuration mode",
    configuration.INTERFACE: "Interface configuration mode",
    configuration.SUBSCRIBER: "Subscriber configuration mode",
    configuration.SERVICE_PROFILE: "Service profile configuration mode",
    configuration.LMA: "LMA service configuration mode",
    configuration.HOME_AGENT: "MIPv6 HA service configuration mode",
    configuration.MAG: "MAG service configuration mode",
    configuration.MN: "Mobile node configuration mode",
    configuration.ENDPOINT: "Diameter endpoint configuration mode",
    configuration.GROUP: "AAA group configuration mode",
    configuration.SERVER: "AAA server configuration mode",
    configuration.USER: "AAA user configuration mode",
    configuration.SSHD: "SSH server configuration mode",
}


def tokens(items: Iterable[Item]) -> Iterator[Word | Value]:
    """Every word and value of a syntax tree, in order."""
    for item in items:
        if isinstance(item, Group):
            for alternative in item.alternatives:
                yield from tokens(alternative)
        else:
            yield item


def syntax(items: Iterable[Item]) -> str:
    """A syntax tree as text, with values by their names."""
    return " ".join(_syntax(item) for item in items)


def _syntax(item: Item) -> str:
    if isinstance(item, Word):
        return item.text
    if isinstance(item, Value):
        return f"<{item.name}>"
    inside = " | ".join(syntax(alternative) for alternative in item.alternatives)
    return f"[ {inside} ]" if item.optional else f"{{ {inside} }}"


def kind(value: Value) -> str:
    """What a value can be."""
    if value.kind == "CHOICE":
        return "one of " + ", ".join(f"`{choice}`" for choice in value.choices)
    if value.kind == "NUMBER":
        return f"{value.low} to {value.high}" + (f" {value.unit}" if value.unit else "")
    names = {
        "HEX": "up to eight hexadecimal digits",
        "TIME": "date and time `YYYY-MM-DD/HH:MM:SS` or its beginning, UTC",
        "IPV6": "IPv6 address",
        "IPV4": "IPv4 address",
        "ADDRESS": "IPv4 or IPv6 address",
        "IP": "IPv4 or IPv6 address",
        "IPV6/LEN": "IPv6 prefix with its length",
        "IPV4/LEN": "IPv4 network with its length",
        "IPV6/HOST": "IPv6 address with the length of its link",
        "IPV4/HOST": "IPv4 address with the length of its link",
        "IP/ANY": "IPv6 address or prefix",
        "MAC": "link-layer address",
    }
    if value.kind in names:
        return names[value.kind]
    what = {
        "NAI": "network access identifier",
        "PATH": "absolute path",
        "SECRET": "secret",
        "IDENTITY": "DiameterIdentity or realm",
        "IDENTITY/ANY": "DiameterIdentity, `*.REALM` or `*`",
    }
    return f"{what.get(value.kind, value.kind.lower())}, {value.low} to {value.high} characters"


def cell(text: str) -> str:
    """A text that may stand in a table."""
    return text.replace("|", "\\|")


def entry(command: Command, forms: Sequence[Command]) -> Iterator[str]:
    """The lines about one command."""
    yield f"### `{syntax(command.items)}`"
    yield ""
    notes = [f"Privilege: {command.rights}."]
    if forms:
        notes.append("Also " + " and ".join(f"`{syntax(form.items)}`" for form in forms) + ".")
    if command.enters:
        notes.append(f"Enters the {TITLES[command.enters]}.")
    yield " ".join(notes)
    yield ""
    yield "| token | meaning | values |"
    yield "|---|---|---|"
    seen: set[str] = set()
    for token in tokens(command.items):
        name = token.text if isinstance(token, Word) else f"<{token.name}>"
        if name not in seen:
            seen.add(name)
            values = kind(token) if isinstance(token, Value) else ""
            yield f"| `{name}` | {cell(token.help)} | {cell(values)} |"
    yield ""


def mode_lines(mode: str) -> Iterator[str]:
    """The section of one mode."""
    yield f"## {TITLES[mode]}"
    yield ""
    if mode == "exec":
        yield EXEC
    elif mode in configuration.PROMPTS:
        yield f"Prompt: `[context]host({configuration.PROMPTS[mode]})# `."
        yield ""
    commands = COMMANDS.commands(mode)
    plain = [command for command in commands if not command.form]
    for command in sorted(plain, key=lambda each: each.syntax):
        forms = [each for each in commands if each.form and command.path and each.path == command.path]
        yield from entry(command, forms)


def text() -> str:
    """The whole document."""
    assert shell.COMMAND_MODULES, "importing the shell registers the commands"
    modes = ["exec", *(mode for mode in COMMANDS.modes if mode != "exec")]
    lines = [HEAD, "## Pipes", "", "| after the command | what it does |", "|---|---|"]
    lines += [f"| `\\| {word}` | {meaning} |" for word, meaning in PIPES.items()]
    lines.append("")
    for mode in modes:
        lines += mode_lines(mode)
    return "\n".join(lines).rstrip() + "\n"


def main(argv: Sequence[str]) -> int:
    """Write the file, or with ``--check`` compare it; returns the exit status."""
    current = TARGET.read_text() if TARGET.exists() else ""
    if list(argv) == ["--check"]:
        if current == text():
            return 0
        print(f"{TARGET.name} is not current: run scripts/reference", file=sys.stderr)
        return 1
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(text())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
