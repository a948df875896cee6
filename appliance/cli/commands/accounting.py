"""Exec commands of accounting: records, open sessions, totals, the spool, and export to a file. All ours.

Filters are those of the tool that read the records of the old Mobile AAA server: times, and any attribute by
value or regular expression. Records are read from the database a page at a time, as fast as they are shown.
"""

from contextlib import aclosing
from typing import Any, cast

from appliance.cli.commands.aaa import age, some_servers
from appliance.cli.grammar import CommandError, command
from appliance.cli.pipes import expression
from appliance.cli.render import Column, Screen, TableScreen
from appliance.cli.render_accounting import (
    CSV_HEAD,
    JSON_HEAD,
    RecordScreen,
    UsageScreen,
    csv_lines,
    json_line,
)
from appliance.cli.waiting import items
from appliance.ports import FilePort
from appliance.ports_aaa import RecordFilter

HELP = {
    "accounting": "Records of what sessions used, in the AAA servers of this appliance",
    "after": "Only what was received at this time or later",
    "begin": "Date and time YYYY-MM-DD/HH:MM:SS, UTC; what is missing at its end is the smallest",
    "attribute": "Only records in which an attribute has a value; any attribute that records show",
    "avp": "Name of the attribute, as in User-Name",
    "before": "Only what was received before this time",
    "end": "Date and time YYYY-MM-DD/HH:MM:SS, UTC; what is missing at its end is the smallest",
    "compares": "= the whole value, ~ a regular expression for a part of it",
    "value": "Value as records show it, or regular expression; quote one with blanks",
    "count": "Number of records",
    "csv": "A table for spreadsheets; with full one more column, all attributes as JSON",
    "export": "Writes something to a file",
    "file": "Absolute path of the file",
    "full": "All attributes of each record",
    "json": "A JSON object a line, with all attributes",
    "newest": "Only the newest ones, the newest first",
    "-noconfirm": "Does not ask whether you are sure",
    "records": "Each record",
    "server": "Of one AAA server",
    "name": "Name of the AAA server",
    "session": "Of one session",
    "session_id": "Session-Id",
    "sessions": "The latest record of each session that has not ended",
    "short": "A line for each record",
    "spool": "Records that wait on the disk until a server takes them",
    "summary": "Sessions, time and octets by day and user",
    "user": "Of one user",
    "username": "User-Name; * and $ are wildcards",
}
WHOSE = "[ server <name:NAME> ] [ user <username:NAI> ]"
SPAN = "[ after <begin:TIME> ] [ before <end:TIME> ]"
FILTERS = (
    f"{WHOSE} [ session <session_id:STRING 1-512> ] {SPAN}"
    " [ attribute <avp:NAME 1-127> <compares:=|~> <value:STRING 1-253> ] [ newest <count:NUMBER 1-1000000> ]"
)
#: Records that are written before others have a turn.
SLICE = 32


def wanted(shell: Any, args: dict[str, Any]) -> RecordFilter:
    """Make the filter out of what was typed. Raises ApplianceError for what cannot be."""
    server = args.get("name", "")
    some_servers(shell, server)
    matches = args.get("compares") == "~"
    if matches:
        expression(args["value"], "attribute")
    begin, end = args.get("begin", 0), args.get("end", 0)
    if begin and end and end <= begin:
        raise CommandError("nothing can be received after the one time and before the other")
    return RecordFilter(
        server=server,
        user=args.get("username", ""),
        session=args.get("session_id", ""),
        after=begin,
        before=end,
        attribute=args.get("avp", ""),
        value=args.get("value", ""),
        matches=matches,
        newest=args.get("count", 0),
    )


@command("exec", f"show accounting records {FILTERS} [ full | short ]", help=HELP, rights="operator")
def _records(shell: Any, args: dict[str, Any]) -> Screen:
    full = "full" in args
    return RecordScreen(items(shell.system.aaa.records(wanted(shell, args), full)), full)


@command("exec", f"show accounting sessions {WHOSE} [ full ]", help=HELP, rights="operator")
def _sessions(shell: Any, args: dict[str, Any]) -> Screen:
    pages = shell.system.aaa.open_accounting(wanted(shell, args))
    return RecordScreen(items(pages), "full" in args, "Sessions")


@command("exec", f"show accounting summary {WHOSE} {SPAN}", help=HELP, rights="operator")
def _summary(shell: Any, args: dict[str, Any]) -> Screen:
    return UsageScreen(items(shell.system.aaa.usage(wanted(shell, args))))


@command("exec", "show accounting spool", help=HELP)
def _spool(shell: Any, _args: dict[str, Any]) -> Screen:
    return TableScreen(
        (
            Column("Service", "service"), Column("AAA Group", "group"), Column("Endpoint", "endpoint"),
            Column("Records", "records", right=True), Column("Octets", "octets", right=True),
            Column("Oldest", "oldest", right=True), Column("State", "state"),
        ),
        [
            (
                view.service, view.group, view.accounting, view.spool_records, view.spool_octets,
                age(view.spool_oldest), view.spool_state,
            )
            for view in shell.system.aaa.clients()
            if view.accounting
        ],
        empty="No service has an aaa group with accounting",
    )  # fmt: skip


# ---- export


@command(
    "exec",
    f"export accounting records <file:PATH 2-4000> {{ csv | json }} {FILTERS} [ full ] [ -noconfirm ]",
    help=HELP,
    rights="administrator",
)
async def _export(shell: Any, args: dict[str, Any]) -> list[str]:
    path, which = args["file"], wanted(shell, args)
    replace: tuple[str, ...] | None = None
    if await shell.system.file_exists(path):
        await shell.confirm(args, [f"{path} exists and is replaced"])
        # A mistyped path must not cost the host a file that is something else.
        replace = (CSV_HEAD, JSON_HEAD)
    file = await shell.system.export_file(path, replace)
    try:
        count = await _write(shell, file, which, "csv" in args, "full" in args)
        await file.finish()
    finally:
        # After a fault, or when the operator wants no more: nothing is left.
        await file.discard()
    return [f"Info: {count} record{'' if count == 1 else 's'} written to {path}"]


async def _write(shell: Any, file: FilePort, which: RecordFilter, table: bool, full: bool) -> int:
    """Write the records as they come; returns how many."""
    head, row = csv_lines(full) if table else ("", json_line)
    count = 0
    lines = [head] if head else []
    pages = cast("Any", shell.system.aaa.records(which, full or not table))
    async with aclosing(pages) as read:
        async for page in read:
            for view in page:
                lines.append(row(view))
                count += 1
                if len(lines) >= SLICE:
                    await file.write(lines)
                    lines = []
                    await shell.face.write([])
    await file.write(lines)
    return count
