"""Exec commands about the session itself: context, terminal, questions, other operators' sessions.

``terminal caret`` and ``clear administrator session`` are ours.
"""

from typing import Any

from appliance.cli.grammar import CommandError, command

WORDS = {
    "administrator": "Operators that are logged in",
    "autoconfirm": "Answers yes to every question of this session",
    "caret": "A line of ^ under the word that a failure is about",
    "columns": "Number of columns; 0: no limit",
    "context": "Makes another context the current one",
    "exit": "Ends this session",
    "id": "Number of the session, as 'show administrators' lists it",
    "length": "Lines of a page; 0: no paging",
    "name": "Name of the context",
    "no": "Turns something off",
    "-noconfirm": "Does not ask whether you are sure",
    "number": "Number of the session",
    "rows": "Number of lines; 0: no paging",
    "session": "One session of an operator",
    "terminal": "Settings of this terminal",
    "timestamps": "A line with the date before the output of each command",
    "width": "Columns of the terminal",
}


def known_context(shell: Any, name: str) -> None:
    """Raise :class:`CommandError` unless there is a context of that name; ``local`` always is."""
    known = [context.name for context in shell.system.configuration.contexts]
    if name != "local" and name not in known:
        raise CommandError(f"No context is named {name}; there is {', '.join(known) or 'none'}")


@command("exec", "context <name:NAME 1-79>", help=WORDS)
def _context(shell: Any, args: dict[str, Any]) -> None:
    known_context(shell, args["name"])
    shell.context = args["name"]


@command("exec", "exit", help=WORDS)
def _exit(shell: Any, _args: dict[str, Any]) -> None:
    shell.closed = True


def _switch(syntax: str, name: str, value: bool) -> None:
    @command("exec", syntax, help=WORDS)
    def set_switch(shell: Any, _args: dict[str, Any]) -> None:
        setattr(shell, name, value)


for _syntax, _name in (
    ("timestamps", "timestamps"),
    ("autoconfirm", "autoconfirm"),
    ("terminal caret", "carets"),
):
    _switch(_syntax, _name, True)
    _switch(f"no {_syntax}", _name, False)


@command("exec", "terminal length <rows:NUMBER 0-4294967295>", help=WORDS)
def _length(shell: Any, args: dict[str, Any]) -> None:
    shell.length = args["rows"]
    shell.fixed.add("length")


@command("exec", "terminal width <columns:NUMBER 0-512>", help=WORDS)
def _width(shell: Any, args: dict[str, Any]) -> None:
    shell.width = args["columns"]
    shell.fixed.add("width")


@command(
    "exec",
    "clear administrator session id <number:NUMBER 1-4294967295> [ -noconfirm ]",
    help={**WORDS, "clear": "Clears statistics or ends sessions"},
    rights="security-administrator",
)
async def _end(shell: Any, args: dict[str, Any]) -> None:
    found = [each for each in shell.system.operators() if each.number == args["number"]]
    if not found:
        raise CommandError(f"There is no session {args['number']}; 'show administrators' lists them")
    await shell.confirm(args, [f"the session of {found[0].user} from {found[0].origin} ends"])
    shell.system.end_operator(args["number"], f"ended by {shell.operator.user}")
