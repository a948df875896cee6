"""Exec commands that show the system itself: version, clock, load, contexts, services, operators."""

import time
from collections.abc import Iterator
from inspect import isawaitable
from typing import Any

from attrs import asdict, define

from appliance.cli import match, ours
from appliance.cli.commands.base import date_line
from appliance.cli.grammar import COMMANDS, RIGHTS, command
from appliance.cli.output import Lines
from appliance.cli.render import Column, FixedTable, PairsScreen, Screen, TableScreen, TextScreen, key_of
from appliance.config_secrets import masked
from appliance.errors import ApplianceError
from appliance.ports import Health, Operator

HELP = {
    "administrators": "Who is logged in",
    "clock": "Date and time",
    "context": "Contexts",
    "loop-lag": "Samples of how late the process was",
    "service": "Services of all contexts",
    "system": "The process: load, memory, queues",
    "tech-support": "What whoever helps you wants to see: many show commands in one",
    "uptime": "Time since the process started",
    "version": "Version of the software",
}


@command("exec", "show version", help=HELP)
def _version(shell: Any, _args: dict[str, Any]) -> Screen:
    build = shell.system.host.build()
    facts = {
        "Image Version": build.version,
        "Image Build Number": build.number,
        "Image Description": "PMIPv6 mobility appliance",
        "Image Date": build.date,
        "Boot Image": shell.system.boot_file or "standard input",
        "Source Commit ID": build.commit,
    }
    return TextScreen(
        ["Active Software:", *(f"  {label + ':':<32}{value}" for label, value in facts.items())],
        {key_of(label): value for label, value in facts.items()},
    )


@command("exec", "show system uptime", help=HELP)
def _uptime(shell: Any, _args: dict[str, Any]) -> Screen:
    seconds = int(shell.system.uptime())
    minutes = seconds // 60
    text = f"System uptime: {minutes // 1440}D {minutes // 60 % 24}H {minutes % 60}M"
    return TextScreen([text], {"seconds": seconds})


@command("exec", "show clock", help=HELP)
def _clock(shell: Any, _args: dict[str, Any]) -> Screen:
    wall = shell.system.wall()
    text = date_line(wall)
    return TextScreen([text], {"date": text, "seconds": round(wall, 3)})


@define(slots=True)
class SystemScreen:
    """How the process is doing: pairs, then the queues of the signalling sockets."""

    pairs: list[tuple[str, str]]
    queues: TableScreen
    values: dict[str, Any]

    def lines(self, width: int) -> Iterator[str]:
        """Yield the pairs and the table."""
        yield from PairsScreen(self.pairs).lines(width)
        yield ""
        yield from self.queues.lines(width)

    def data(self) -> dict[str, Any]:
        """Return the same numbers: durations in seconds, memory in octets."""
        return {**self.values, "queues": self.queues.data()}


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.1f} ms"


def _load(health: Health, sessions: int, operators: int, uptime: float) -> list[tuple[str, str]]:
    return [
        ("Process", str(health.pid)),
        ("Sessions", str(sessions)),
        ("Operators", str(operators)),
        ("Loop Lag Now", _milliseconds(health.lag)),
        ("Loop Lag 99% Last Minute", _milliseconds(health.lag_p99)),
        ("Loop Lag Worst Last Minute", _milliseconds(health.lag_worst)),
        ("Loop Lag Worst Since Start", _milliseconds(health.lag_record)),
        ("Processor Time", f"{health.cpu:.1f} s in {uptime:.0f} s"),
        ("Memory", f"{health.memory // 1024} KiB"),
        ("Open Files", f"{health.files} of {health.file_limit}"),
        ("Threads At Work", f"{health.threads_busy} of {health.threads}"),
    ]


@command("exec", "show system", help=HELP)
def _system(shell: Any, _args: dict[str, Any]) -> Screen:
    system = shell.system
    health = system.host.health()
    services = system.services()
    sessions, operators = sum(service.session_count() for service in services), len(system.operators())
    rows = [
        (
            each.service, each.address, each.send, each.send_limit, each.receive, each.receive_limit,
            each.dropped,
        )
        for service in services
        for each in service.queues()
    ]  # fmt: skip
    return SystemScreen(
        _load(health, sessions, operators, system.uptime()),
        TableScreen(
            (
                Column("Service", "service"), Column("Socket", "address"),
                Column("To Send", "send", right=True), Column("Limit", "send_limit", right=True),
                Column("Octets Received", "receive", right=True),
                Column("Limit", "receive_limit", right=True), Column("Dropped", "dropped", right=True),
            ),
            rows,
            empty="No signalling sockets",
        ),
        {**asdict(health), "sessions": sessions, "operators": operators, "uptime": int(system.uptime())},
    )  # fmt: skip


@command("exec", "clear system loop-lag", help=HELP, rights="operator")
def _clear_lag(shell: Any, _args: dict[str, Any]) -> None:
    shell.system.host.clear_lag()


@command("exec", "show context [ all ]", help=HELP)
def _contexts(shell: Any, _args: dict[str, Any]) -> Screen:
    return FixedTable(
        ("Context Name", "ContextID", "State", "Description"),
        (0, 16, 29, 39),
        (0, 16, 26, 39),
        (15, 9, 10, 23),
        (0, 16, 29),
        ("context_name", "context_id", "state", "description"),
        [(name, number, "Active") for name, number in context_numbers(shell).items()],
    )


def context_numbers(shell: Any) -> dict[str, int]:
    """Contexts count from 1; ``local`` always exists and is the first."""
    names = [context.name for context in shell.system.configuration.contexts]
    return {name: number for number, name in enumerate(["local", *(n for n in names if n != "local")], 1)}


@command("exec", "show service all", help=HELP)
def _services(shell: Any, _args: dict[str, Any]) -> Screen:
    contexts = context_numbers(shell)
    rows = [
        (
            contexts.get(service.context, 0), number, service.context, service.name, service.state,
            service.session_count(), service.kind,
        )
        for number, service in enumerate(shell.system.services(), 1)
    ]  # fmt: skip
    return FixedTable(
        ("ContextID", "ServiceID", "ContextName", "ServiceName", "State", "Sessions", "Type"),
        (0, 12, 24, 38, 52, 66, 77),
        (0, 12, 24, 38, 52, 66, 77),
        (9, 9, 11, 11, 10, 11, 4),
        (0, 12, 24, 38, 52, 66, 80),
        ("context_id", "service_id", "context_name", "service_name", "state", "sessions", "type"),
        rows,
    )


@command("exec", "show administrators", help=HELP)
def _administrators(shell: Any, _args: dict[str, Any]) -> Screen:
    now = shell.system.wall()
    return TableScreen(
        (
            Column("User", "user"), Column("Privilege", "privilege"), Column("Service", "service"),
            Column("From", "from"), Column("TTY", "tty"), Column("Logged In", "since"),
            Column("Idle", "idle"), Column("Session", "session", right=True),
        ),
        [_operator(each, now) for each in shell.system.operators()],
        total="Total Sessions",
    )  # fmt: skip


def _operator(operator: Operator, now: float) -> tuple[str | int, ...]:
    idle = max(0, int(now - max(operator.active, operator.since)))
    return (
        operator.user,
        operator.rights,
        operator.service,
        operator.origin,
        operator.tty or "-",
        time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(operator.since)),
        f"{idle // 3600:02}:{idle // 60 % 60:02}:{idle % 60:02}",
        operator.number,
    )


# ---- show tech-support


@define(slots=True)
class TechSupportScreen:
    """Several screens one after the other, each under a heading."""

    parts: list[tuple[str, Any]]
    """Command and what its handler gave."""

    def lines(self, width: int) -> Lines:
        """Yield the screens; passwords are masked, also those that are hashes already."""
        for number, (line, result) in enumerate(self.parts):
            if number:
                yield ""
            yield f"######## {line} ########"
            for text in _part(result, width):
                yield masked(text) if isinstance(text, str) else text
            yield None

    def data(self) -> Iterator[Any]:
        """Yield one object for each screen: the command and its lines."""
        for line, result in self.parts:
            texts: list[str] = []
            for text in _part(result, 0):
                if isinstance(text, str):
                    texts.append(masked(text))
                else:
                    yield text
            yield {"command": line, "lines": texts}
            yield None


def _part(result: Any, width: int) -> Lines:
    yield from result.lines(width) if hasattr(result, "lines") else result or ()


@command("exec", "show tech-support", help=HELP, rights="operator")
async def _tech_support(shell: Any, _args: dict[str, Any]) -> Screen:
    parts: list[tuple[str, Any]] = []
    for line in ours.TECH_SUPPORT:
        found = match.match("exec", match.split(line), RIGHTS[-1], COMMANDS)
        if RIGHTS.index(found.command.rights) > RIGHTS.index(shell.rights) or found.command.handler is None:
            continue
        try:
            result = found.command.handler(shell, found.args)
            if isawaitable(result):
                result = await result
        except ApplianceError as error:
            # A service that is not configured is no reason to keep the rest back.
            result = [f"Failure: {error}"]
        parts.append((line, result))
        await shell.face.write([])
    return TechSupportScreen(parts)
