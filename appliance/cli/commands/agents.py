"""Exec commands about what hosts are told: other home agents (RFC 5142), and to refresh their bindings."""

from collections.abc import Iterator
from typing import Any, cast

from appliance.cli.commands.pmipv6 import find
from appliance.cli.grammar import COMMANDS, CommandError, Registry, command
from appliance.cli.render import Column, Screen, TableScreen
from appliance.cli.values import quote
from appliance.ports_hosts import HostsPort

HELP = {
    "all": "Every host that has a binding",
    "agent": "Address of the home agent to take; without it those of the Home Agents List",
    "binding-refresh-request": "Has hosts refresh their bindings now (RFC 6275 section 6.1.2)",
    "grace": "Time until the bindings will be deleted (Binding Refresh Advice)",
    "home-agent-switch": "Sends hosts to other home agents (RFC 5142)",
    "home-agents": "Home Agents List: who is told to hosts that look for one",
    "lma-service": "Anchor that has the bindings",
    "mipv6ha-service": "Home agent that has the bindings",
    "nai": "Network access identifier",
    "name": "One service by its name",
    "seconds": "4 to 262140 seconds",
    "service": "Name of the service",
    "to": "One home agent in the place of the list",
    "username": "One host",
}

COLUMNS = (
    Column("Home Agent", "address"),
    Column("Preference", "preference", right=True),
    Column("From", "origin"),
    Column("Lifetime", "lifetime", right=True),
)


def declare(kind: str, registry: Registry = COMMANDS) -> None:
    """Declare the commands of one kind of service."""
    which = f"{kind}-service <service:NAME> {{ username <nai:NAI> | all }}"

    def service_of(shell: Any, args: dict[str, Any]) -> HostsPort:
        (service,) = cast(list[HostsPort], find(shell.system, kind, args["service"]))
        return service

    @command("exec", f"show {kind}-service home-agents [ name <service:NAME> ]", help=HELP, registry=registry)
    def show(shell: Any, args: dict[str, Any]) -> Screen:
        services = cast(list[HostsPort], find(shell.system, kind, args.get("service", "")))
        rows = [
            (view.address, view.preference, view.origin, view.lifetime or "for ever")
            for service in services
            for view in service.home_agents()
        ]
        return TableScreen(COLUMNS, rows, "Total home agents", "No home agents")

    @command(
        "exec",
        f"home-agent-switch {which} [ to <agent:IPV6> ] [ grace <seconds:NUMBER 4-262140> ]",
        help=HELP,
        rights="administrator",
        registry=registry,
    )
    def switch(shell: Any, args: dict[str, Any]) -> Iterator[str]:
        agents = (args["agent"],) if "agent" in args else ()
        found = service_of(shell, args).switch_hosts(args.get("nai", ""), agents, args.get("seconds", 0))
        yield from _said(args, found)

    @command(
        "exec",
        f"binding-refresh-request {which}",
        help=HELP,
        rights="administrator",
        registry=registry,
    )
    def refresh(shell: Any, args: dict[str, Any]) -> Iterator[str]:
        yield from _said(args, service_of(shell, args).ask_refresh(args.get("nai", "")))


def _said(args: dict[str, Any], found: tuple[int, str]) -> Iterator[str]:
    concerned, refusal = found
    if refusal:
        raise CommandError(refusal)
    whose = "" if "all" in args else f" of {quote(args['nai'])}"
    yield f"Number of bindings{whose} that are told: {concerned}"


for _kind in ("lma", "mipv6ha"):
    declare(_kind)
