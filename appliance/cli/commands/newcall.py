"""``newcall policy`` from the Exec mode, as StarOS has it: it types the configuration lines of services."""

from typing import Any

from appliance.cli.grammar import CommandError, command
from appliance.config_text import Editor

HELP = {
    "newcall": "Registrations that would begin a session",
    "policy": "What they get",
    "name": "One service by its name",
    "service": "Name of the service",
    "reject": "Status 129: no new sessions for good",
    "busyout": "Status 130: no new sessions for now, another anchor may have them",
}
_WHO = "newcall policy lma-service { all | name <service:NAME> }"


async def _set(shell: Any, args: dict[str, Any], line: str) -> None:
    """Type a line in the mode of each service that is meant, as one change."""
    while True:
        configuration = shell.system.configuration
        wanted = args.get("service", "")
        found = [each for each in configuration.lma_services if wanted in ("", each.name)]
        if not found:
            raise CommandError(f"No lma-service is {'named ' + wanted if wanted else 'configured'}")
        editor = Editor(configuration.tree, rights=shell.rights, position=())
        for each in found:
            for text in (f"context {each.context}", f"lma-service {each.name}", line, "exit", "exit"):
                editor.execute(text)
        if await shell.change(configuration.tree, editor.tree, args):
            return


@command("exec", f"{_WHO} {{ reject | busyout }}", help=HELP, rights="administrator")
async def _refuse(shell: Any, args: dict[str, Any]) -> None:
    await _set(shell, args, f"newcall policy {'reject' if 'reject' in args else 'busyout'}")


@command("exec", f"no {_WHO}", help=HELP, rights="administrator")
async def _welcome(shell: Any, args: dict[str, Any]) -> None:
    await _set(shell, args, "default newcall policy")
