"""The show and clear commands that LMA, home agent and MAG services have in common.

``kind`` is ``lma``, ``mipv6ha`` or ``mag`` throughout. A handler gets the shell and what was typed
and finds the services through the shell's ``system`` port.
"""

from typing import Any

from appliance.cli import ours
from appliance.cli.commands.sessions import (
    CHOICES,
    FILTERS,
    GROUP_CHOICE,
    HOST_REVOCATION,
    REVOCATION,
    clear,
    views,
    wanted,
)
from appliance.cli.commands.sessions import HELP as SESSION_HELP
from appliance.cli.grammar import COMMANDS, Registry, command
from appliance.cli.render import CounterScreen, FactsScreen, Screen
from appliance.cli.render_sessions import SessionCountersScreen, SessionFullScreen, SessionListScreen
from appliance.errors import ApplianceError
from appliance.ports import ServicePort, SessionFilter, SystemPort

#: Which field of a session names the other tunnel end.
PEER = {"lma": "care_of", "mipv6ha": "care_of", "mag": "anchor"}


def find(system: SystemPort, kind: str, name: str = "") -> list[ServicePort]:
    """Return the services of a kind, or the one of that name.

    Raises ApplianceError when there is none; the text names those that there are.
    """
    found = system.services(kind, name)
    if found:
        return found
    known = sorted(service.name for service in system.services(kind))
    if not known:
        raise ApplianceError(f"No {kind}-service is configured")
    raise ApplianceError(f"No {kind}-service is named {name}; there is {', '.join(known)}")


def statistics(system: SystemPort, kind: str, name: str = "", verbose: bool = False) -> Screen:
    """Return the counters of one service, or of all of a kind added up."""
    services = find(system, kind, name)
    table = services[0].counters.table
    sets = [service.counters.snapshot() for service in services]
    return CounterScreen(
        title=f"{ours.TITLES[kind]} Service",
        services=[service.name for service in services],
        table=table,
        values=[sum(values) for values in zip(*sets, strict=True)],
        verbose=verbose,
    )


def facts(system: SystemPort, kind: str, name: str = "") -> Screen:
    """Return the settings and state of one service, or of all of a kind."""
    return FactsScreen([service.facts() for service in find(system, kind, name)])


def sessions(system: SystemPort, kind: str, form: str, which: SessionFilter) -> Screen:
    """Return the sessions of all services of a kind that match.

    ``form``: ``""`` (a list), ``full``, ``summary`` (the list and totals) or ``counters``.
    """
    found = views(find(system, kind), which)
    if form == "full":
        return SessionFullScreen(found)
    if form == "counters":
        return SessionCountersScreen(found)
    heading = "Care-of Address" if kind == "mipv6ha" else ""
    return SessionListScreen(found, PEER[kind], form == "summary", heading)


def clear_statistics(system: SystemPort, kind: str, name: str = "") -> list[str]:
    """Start the counters of one service, or of all of a kind, again from zero."""
    for service in find(system, kind, name):
        service.counters.clear()
    return []


HELP = {
    **SESSION_HELP,
    "name": "One service by its name",
    "service": "Name of the service",
    "verbose": "Tells below each counter what increments it",
    "session": "Sessions of mobile nodes",
    "summary": "A line for each session, and how many there are by state, address family and peer",
}


def declare(kind: str, registry: Registry = COMMANDS) -> None:
    """Declare the commands of one kind of service. Raises GrammarError if they are declared already."""
    service = f"{kind}-service"

    @command(
        "exec",
        f"show {service} statistics [ {service} <service:NAME> | name <service:NAME> ] [ verbose ]",
        help=HELP,
        registry=registry,
    )
    def show_statistics(shell: Any, args: dict[str, Any]) -> Screen:
        return statistics(shell.system, kind, args.get("service", ""), "verbose" in args)

    @command("exec", f"show {service} {{ all | name <service:NAME> }}", help=HELP, registry=registry)
    def show_facts(shell: Any, args: dict[str, Any]) -> Screen:
        return facts(shell.system, kind, args.get("service", ""))

    @command(
        "exec",
        f"show {service} session [ all ] [ full | summary | counters ] {FILTERS}",
        help=HELP,
        registry=registry,
    )
    def show_sessions(shell: Any, args: dict[str, Any]) -> Screen:
        form = next((word for word in ("full", "summary", "counters") if word in args), "")
        return sessions(shell.system, kind, form, wanted(args))

    @command(
        "exec",
        f"clear {service} statistics [ name <service:NAME> ]",
        help=HELP,
        rights="operator",
        registry=registry,
    )
    def drop_statistics(shell: Any, args: dict[str, Any]) -> list[str]:
        return clear_statistics(shell.system, kind, args.get("service", ""))

    told = GROUP_CHOICE if kind == "lma" else ""
    how = {"lma": REVOCATION, "mipv6ha": HOST_REVOCATION}.get(kind, "")

    @command(
        "exec",
        f"clear {service} session {{ all | {CHOICES}{told} }}{how} [ -noconfirm ]",
        help=HELP,
        rights="administrator",
        registry=registry,
    )
    async def drop_sessions(shell: Any, args: dict[str, Any]) -> list[str]:
        return await clear(shell, args, find(shell.system, kind), f"{ours.TITLES[kind]} sessions")
