"""Exec commands of the log and of the audit log: the last lines, and new ones on the operator's terminal.

``logging filter active`` chooses what ``logging active`` shows, as on StarOS; a filter is the operator's
own and ends with his session. ``show audit log`` is ours.
"""

from typing import Any

from appliance.cli.grammar import command
from appliance.cli.render import Screen
from appliance.cli.render_log import AuditScreen, LogScreen
from appliance.cli.values import CommandError
from appliance.ports import LOG_LEVELS

HELP = {
    "active": "Log lines as they come, on this terminal",
    "audit": "What operators did",
    "log": "The audit log",
    "all": "All facilities; replaces what was chosen before",
    "count": "Number of lines",
    "facility": "Part of the program that writes the lines",
    "name": "Name of the facility; those below it are meant too",
    "filter": "Chooses which log lines are shown",
    "last": "Only the newest lines",
    "level": "The least important level that is shown",
    "logging": "Log lines on this terminal",
    "logs": "The last log lines",
    "critical": "Only what stops the appliance",
    "error": "Errors, and what is worse",
    "warning": "Warnings, and what is worse",
    "info": "What happens, and what is worse",
    "debug": "Everything",
    "no": "Turns something off",
}
AUDIT_COUNT = 100
"""Events that are shown without a number."""
LEVEL = "level { critical | error | warning | info | debug }"
FACILITY = "facility { all | <name:NAME 1-127> }"


def _level(args: dict[str, Any]) -> str:
    return next((level for level in LOG_LEVELS if level in args), "debug")


@command(
    "exec",
    f"show logs [ {LEVEL} ] [ {FACILITY} ] [ last <count:NUMBER 1-2000> ]",
    help=HELP,
    rights="operator",
)
def _show_logs(shell: Any, args: dict[str, Any]) -> Screen:
    least, facility = LOG_LEVELS.index(_level(args)), args.get("name", "")
    found = [
        line
        for line in shell.system.log.lines()
        if LOG_LEVELS.index(line.level) >= least
        and (not facility or line.facility == facility or line.facility.startswith(f"{facility}."))
    ]
    return LogScreen(found[-args.get("count", len(found) + 1) :])


@command("exec", f"logging filter active {FACILITY} {LEVEL}", help=HELP, rights="operator")
def _filter(shell: Any, args: dict[str, Any]) -> None:
    shell.system.log.filter(shell.operator.number, args.get("name", "all"), _level(args))


@command("exec", "logging active", help=HELP, rights="operator")
def _active(shell: Any, _args: dict[str, Any]) -> None:
    # Only a terminal has a place for lines that nobody has asked for at this moment.
    notice = getattr(shell.face, "notice", None)
    if notice is None:
        raise CommandError("log lines come only to a terminal; use 'show logs' here")
    operator, system = shell.operator, shell.system

    def present() -> bool:
        return not shell.closed and any(each is operator for each in system.operators())

    system.log.follow(operator.number, notice, present)


@command("exec", "no logging active", help=HELP, rights="operator")
def _inactive(shell: Any, _args: dict[str, Any]) -> None:
    if not shell.system.log.unfollow(shell.operator.number):
        raise CommandError("log lines are not shown on this terminal")


@command("exec", "show logging active", help=HELP, rights="operator")
def _show_filter(shell: Any, _args: dict[str, Any]) -> list[str]:
    filters = shell.system.log.filters(shell.operator.number)
    return [f"facility {name} level {level}" for name, level in filters.items()]


@command(
    "exec",
    "show audit log [ last <count:NUMBER 1-2000> ]",
    help=HELP,
    rights="security-administrator",
)
async def _show_audit(shell: Any, args: dict[str, Any]) -> Screen:
    return AuditScreen(await shell.system.audited(args.get("count", AUDIT_COUNT)))
