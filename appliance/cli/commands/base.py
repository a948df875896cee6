"""Exec commands that move mobile nodes by hand, and the date line of the shell."""

import time
from collections.abc import Iterator
from typing import Any

from appliance.cli.grammar import CommandError, command
from appliance.cli.values import quote
from appliance.ports import MagPort

WORDS = {
    "attach": "Registers a mobile node as if it had just come",
    "detach": "De-registers a mobile node as if it had just left",
    "handoff-indicator": "Why it attaches (RFC 5213 section 8.4)",
    "handoff": "1 new interface, 2 between interfaces, 3 between gateways, 4 unknown, 5 no change",
    "interface": "Access interface",
    "mac-address": "By its link-layer address",
    "mac": "Link-layer address",
    "nai": "Network access identifier",
    "name": "Name",
    "username": "By its network access identifier",
}


def date_line(wall: float) -> str:
    """Date and time of a wall clock reading, as StarOS writes it: ``Monday July 11 11:05:31 ART 2022``."""
    return time.strftime("%A %B %d %H:%M:%S %Z %Y", time.localtime(wall))


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
