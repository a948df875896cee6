"""Exec commands of the system itself: configuration, clock, version, services, terminal."""

import time
from collections.abc import Iterator
from typing import Any

from attrs import frozen

from appliance import __version__
from appliance.cli.grammar import CommandError, command
from appliance.cli.values import quote
from appliance.ports import MagPort

WORDS = {
    "attach": "Registers a mobile node as if it had just come",
    "clock": "Date and time",
    "context": "Contexts",
    "detach": "De-registers a mobile node as if it had just left",
    "handoff-indicator": "Why it attaches (RFC 5213 section 8.4)",
    "handoff": "1 new interface, 2 between interfaces, 3 between gateways, 4 unknown, 5 no change",
    "interface": "Access interface",
    "mac-address": "By its link-layer address",
    "mac": "Link-layer address",
    "nai": "Network access identifier",
    "name": "Name",
    "service": "Services of all contexts",
    "system": "The process: load, memory, queues",
    "uptime": "Time since the process started",
    "username": "By its network access identifier",
    "version": "Version of the software",
}


@frozen
class Table:
    """A table with fixed columns: a heading, dashes under it, and rows; also as data."""

    headings: tuple[str, ...]
    starts: tuple[int, ...]
    """Column where each heading starts."""
    underlines: tuple[int, ...]
    """Column where the dashes of each heading start."""
    dashes: tuple[int, ...]
    """How many dashes."""
    columns: tuple[int, ...]
    """Column where each value starts; a longer value before it pushes it to the right."""
    rows: tuple[tuple[str, ...], ...]

    def lines(self, width: int) -> list[str]:
        """The text; these tables do not depend on ``width``."""
        underline = ["-" * count for count in self.dashes]
        return [
            _place(self.starts, self.headings),
            _place(self.underlines, underline),
            *(_place(self.columns, row) for row in self.rows),
        ]

    def data(self) -> list[dict[str, str]]:
        """One object for each row."""
        return [dict(zip(self.headings, row, strict=False)) for row in self.rows]


def _place(columns: tuple[int, ...], texts: Any) -> str:
    line = ""
    for column, text in zip(columns, texts, strict=False):
        line = line.ljust(column)
        line += (" " if line and not line.endswith(" ") else "") + text
    return line.rstrip()


def date_line(wall: float) -> str:
    """Date and time of a wall clock reading, as StarOS writes it: ``Monday July 11 11:05:31 ART 2022``."""
    return time.strftime("%A %B %d %H:%M:%S %Z %Y", time.localtime(wall))


@command("exec", "show version", help=WORDS)
def _version(_shell: Any, _args: dict[str, Any]) -> list[str]:
    facts = (("Image Version", __version__), ("Image Description", "PMIPv6 mobility appliance"))
    return ["Active Software:", *(f"  {label + ':':<32}{value}" for label, value in facts)]


@command("exec", "show system uptime", help=WORDS)
def _uptime(shell: Any, _args: dict[str, Any]) -> list[str]:
    minutes = int(shell.system.uptime()) // 60
    return [f"System uptime: {minutes // 1440}D {minutes // 60 % 24}H {minutes % 60}M"]


@frozen
class Facts:
    """Label and value pairs, labels 31 columns wide; also as data."""

    pairs: tuple[tuple[str, str], ...]

    def lines(self, width: int) -> list[str]:
        """The text; it does not depend on ``width``."""
        return [f"{label + ':':<31}{value}" for label, value in self.pairs]

    def data(self) -> dict[str, str]:
        """One object."""
        return dict(self.pairs)


@command("exec", "show system", help=WORDS)
def _system(shell: Any, _args: dict[str, Any]) -> Facts:
    return Facts(tuple(shell.system.status()))


@command("exec", "show clock", help=WORDS)
def _clock(shell: Any, _args: dict[str, Any]) -> list[str]:
    return [date_line(shell.system.wall())]


@command("exec", "show context [ all ]", help=WORDS)
def _contexts(shell: Any, _args: dict[str, Any]) -> Table:
    return Table(
        ("Context Name", "ContextID", "State", "Description"),
        (0, 16, 29, 39),
        (0, 16, 26, 39),
        (15, 9, 10, 23),
        (0, 16, 29),
        tuple((name, str(number), "Active") for name, number in _context_numbers(shell).items()),
    )


def _context_numbers(shell: Any) -> dict[str, int]:
    """Contexts count from 1; ``local`` always exists and is the first."""
    names = [context.name for context in shell.system.configuration.contexts]
    return {name: number for number, name in enumerate(["local", *(n for n in names if n != "local")], 1)}


@command("exec", "show service all", help=WORDS)
def _services(shell: Any, _args: dict[str, Any]) -> Table:
    contexts = _context_numbers(shell)
    rows = (
        (
            str(contexts.get(service.context, 0)), str(number), service.context, service.name, service.state,
            str(service.session_count()), service.kind,
        )
        for number, service in enumerate(shell.system.services(), 1)
    )  # fmt: skip
    return Table(
        ("ContextID", "ServiceID", "ContextName", "ServiceName", "State", "Sessions", "Type"),
        (0, 12, 24, 38, 52, 66, 77),
        (0, 12, 24, 38, 52, 66, 77),
        (9, 9, 11, 11, 10, 11, 4),
        (0, 12, 24, 38, 52, 66, 80),
        tuple(rows),
    )


def _gateway(shell: Any, name: str) -> MagPort:
    found: list[MagPort] = shell.system.services("mag", name)
    if not found:
        raise CommandError(f"No mag-service is named {name}")
    return found[0]


def _mobile(args: dict[str, Any]) -> tuple[str, str, str]:
    mac = args["mac"].hex(":") if "mac" in args else ""
    return args.get("nai", ""), args.get("interface", ""), mac


@command(
    "exec",
    "mag-service <name:NAME> attach { username <nai:NAI> [ mac-address <mac:MAC> ] | mac-address <mac:MAC> }"
    " interface <interface:NAME 1-15> [ handoff-indicator <handoff:NUMBER 1-5> ]",
    help=WORDS,
    rights="administrator",
)
def _attach(shell: Any, args: dict[str, Any]) -> Iterator[str]:
    refusal = _gateway(shell, args["name"]).attach(*_mobile(args), args.get("handoff", 4))
    if refusal:
        raise CommandError(refusal)
    yield f"Attach of {quote(_title(args))} has begun"


@command(
    "exec",
    "mag-service <name:NAME> detach { username <nai:NAI> | mac-address <mac:MAC> }"
    " [ interface <interface:NAME 1-15> ]",
    help=WORDS,
    rights="administrator",
)
def _detach(shell: Any, args: dict[str, Any]) -> Iterator[str]:
    refusal = _gateway(shell, args["name"]).detach(*_mobile(args))
    if refusal:
        raise CommandError(refusal)
    yield f"Detach of {quote(_title(args))} has begun"


def _title(args: dict[str, Any]) -> str:
    return str(args.get("nai") or args["mac"].hex(":"))
