"""The show and clear commands that LMA and MAG services have in common.

``kind`` is ``lma`` or ``mag`` throughout. A handler gets the shell and what was typed
and finds the services through the shell's ``system`` port.
"""

from collections.abc import Iterator
from typing import Any

from appliance.cli.grammar import COMMANDS, Registry, command
from appliance.cli.render import (
    CounterScreen,
    FactsScreen,
    Screen,
    SessionFullScreen,
    SessionListScreen,
    SessionSummaryScreen,
)
from appliance.errors import ApplianceError
from appliance.ports import ServicePort, SessionFilter, SessionView, SystemPort

#: Which field of a session names the other tunnel end.
PEER = {"lma": "care_of", "mag": "anchor"}


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
        title=f"{kind.upper()} Service",
        services=[service.name for service in services],
        table=table,
        values=[sum(values) for values in zip(*sets, strict=True)],
        verbose=verbose,
    )


def facts(system: SystemPort, kind: str, name: str = "") -> Screen:
    """Return the settings and state of one service, or of all of a kind."""
    return FactsScreen([service.facts() for service in find(system, kind, name)])


def wanted(args: dict[str, Any]) -> SessionFilter:
    """Make the filter out of a command's ``username``, ``address`` and ``callid`` values.

    Raises ApplianceError for call id 0, which no session has and which would match all.
    """
    if args.get("callid") == 0:
        raise ApplianceError("00000000 is no call id; show sessions lists those that there are")
    return SessionFilter(
        username=args.get("username", ""), ip_address=args.get("address", ""), call_id=args.get("callid", 0)
    )


def sessions(system: SystemPort, kind: str, form: str, which: SessionFilter) -> Screen:
    """Return the sessions of all services of a kind that match; ``form``: ``""``, ``full`` or ``summary``."""
    services = find(system, kind)

    def views() -> Iterator[SessionView]:
        for service in services:
            yield from service.sessions(which)

    if form == "summary":
        return SessionSummaryScreen(views(), PEER[kind])
    if form == "full":
        return SessionFullScreen(list(views()))
    return SessionListScreen(list(views()), PEER[kind])


def clear_statistics(system: SystemPort, kind: str, name: str = "") -> list[str]:
    """Start the counters of one service, or of all of a kind, again from zero."""
    for service in find(system, kind, name):
        service.counters.clear()
    return []


def clear_sessions(system: SystemPort, kind: str, which: SessionFilter) -> list[str]:
    """End the sessions that match in all services of a kind and tell how many they were."""
    count = sum(service.clear_sessions(which) for service in find(system, kind))
    return [f"Number of {kind.upper()} sessions cleared: {count}"]


_FILTER = "username <username:NAI> | ip-address <address:ADDRESS> | callid <callid:HEX>"

HELP = {
    "all": "All of them",
    "name": "One service by its name",
    "service": "Name of the service",
    "verbose": "Tells below each counter what increments it",
    "session": "Sessions of mobile nodes",
    "full": "Everything about each session",
    "summary": "How many there are by state, address family and peer",
    "username": "Network access identifier; * and $ are wildcards",
    "ip-address": "Sessions with an IPv4 home address or a home network prefix",
    "address": "IPv4 home address, home network prefix or an address inside it",
    "callid": "One session by its call id",
    "-noconfirm": "Does not ask whether you are sure",
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
        "exec", f"show {service} session [ full | summary ] [ {_FILTER} ]", help=HELP, registry=registry
    )
    def show_sessions(shell: Any, args: dict[str, Any]) -> Screen:
        form = next((word for word in ("full", "summary") if word in args), "")
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

    @command(
        "exec",
        f"clear {service} session {{ all | {_FILTER} }} [ -noconfirm ]",
        help=HELP,
        rights="operator",
        registry=registry,
    )
    def drop_sessions(shell: Any, args: dict[str, Any]) -> list[str]:
        return clear_sessions(shell.system, kind, wanted(args))
