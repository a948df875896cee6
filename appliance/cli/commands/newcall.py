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

async def _set(shell: Any, args: dict[str, Any], kind: str, line: str) -> None:
    """Type a line in the mode of each service that is meant, as one change."""
    while True:
        configuration = shell.system.configuration
        wanted = args.get("service", "")
        anchors = [each for each in configuration.anchors if each.kind == kind]
        found = [each for each in anchors if wanted in ("", each.name)]
        if not found:
            raise CommandError(f"No {kind}-service is {'named ' + wanted if wanted else 'configured'}")
        editor = Editor(configuration.tree, rights=shell.rights, position=())
        for each in found:
            for text in (f"context {each.context}", f"{kind}-service {each.name}", line, "exit", "exit"):
                editor.execute(text)
        if await shell.change(configuration.tree, editor.tree, args):
            return


def declare(kind: str) -> None:
    """Declare the commands of one kind of service."""
    who = f"newcall policy {kind}-service {{ all | name <service:NAME> }}"

    @command("exec", f"{who} {{ reject | busyout }}", help=HELP, rights="administrator")
    async def refuse(shell: Any, args: dict[str, Any]) -> None:
        await _set(shell, args, kind, f"newcall policy {'reject' if 'reject' in args else 'busyout'}")

    @command("exec", f"no {who}", help=HELP, rights="administrator")
    async def welcome(shell: Any, args: dict[str, Any]) -> None:
        await _set(shell, args, kind, "default newcall policy")


for _kind in ("lma", "mipv6ha"):
    declare(_kind)
