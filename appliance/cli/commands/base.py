"""Exec commands of the shell itself: configuration, context, terminal; and moves of mobile nodes by hand."""

import time
from collections.abc import Iterator
from typing import Any

from appliance.cli.grammar import CommandError, command
from appliance.cli.values import quote
from appliance.config_text import show
from appliance.ports import MagPort

WORDS = {
    "attach": "Registers a mobile node as if it had just come",
    "configuration": "The configuration that the appliance runs with",
    "context": "Contexts",
    "detach": "De-registers a mobile node as if it had just left",
    "handoff-indicator": "Why it attaches (RFC 5213 section 8.4)",
    "handoff": "1 new interface, 2 between interfaces, 3 between gateways, 4 unknown, 5 no change",
    "interface": "Access interface",
    "length": "Lines of a page; 0: no paging",
    "mac-address": "By its link-layer address",
    "mac": "Link-layer address",
    "nai": "Network access identifier",
    "name": "Name",
    "no": "Turns something off",
    "terminal": "Settings of this terminal",
    "timestamps": "A line with the date before the output of each command",
    "username": "By its network access identifier",
    "width": "Columns of the terminal",
    "columns": "Number of columns",
    "rows": "Number of lines",
}


def date_line(wall: float) -> str:
    """Date and time of a wall clock reading, as StarOS writes it: ``Monday July 11 11:05:31 ART 2022``."""
    return time.strftime("%A %B %d %H:%M:%S %Z %Y", time.localtime(wall))


@command("exec", "show configuration [ context <name:NAME 1-79> ]", help=WORDS, rights="operator")
def _configuration(shell: Any, args: dict[str, Any]) -> list[str]:
    tree = shell.system.configuration.tree
    if "name" in args:
        _context_known(shell, args["name"])
        tree = tree.only("context", args["name"])
    return show(tree)


def _context_known(shell: Any, name: str) -> None:
    known = [context.name for context in shell.system.configuration.contexts]
    if name not in known:
        raise CommandError(f"No context is named {name}; there is {', '.join(known) or 'none'}")


@command("exec", "context <name:NAME 1-79>", help=WORDS)
def _context(shell: Any, args: dict[str, Any]) -> None:
    if args["name"] != "local":
        _context_known(shell, args["name"])
    shell.context = args["name"]


@command(
    "exec", "configure", help={"configure": "Changes of the running configuration"}, rights="administrator"
)
def _configure(_shell: Any, _args: dict[str, Any]) -> None:
    raise CommandError(
        "the configuration cannot be changed while the appliance runs: edit the configuration file, "
        "check it with 'appliance run --check -c FILE' and restart the appliance"
    )


@command("exec", "exit", help={"exit": "Ends this session"})
def _exit(shell: Any, _args: dict[str, Any]) -> None:
    shell.closed = True


@command("exec", "timestamps", help=WORDS)
def _timestamps(shell: Any, _args: dict[str, Any]) -> None:
    shell.timestamps = True


@command("exec", "no timestamps", help=WORDS)
def _no_timestamps(shell: Any, _args: dict[str, Any]) -> None:
    shell.timestamps = False


@command("exec", "terminal length <rows:NUMBER 0-4294967295>", help=WORDS)
def _length(shell: Any, args: dict[str, Any]) -> None:
    shell.length = args["rows"]


@command("exec", "terminal width <columns:NUMBER 0-512>", help=WORDS)
def _width(shell: Any, args: dict[str, Any]) -> None:
    shell.width = args["columns"]


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
