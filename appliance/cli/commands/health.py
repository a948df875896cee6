"""Exec commands about peers: heartbeats of both kinds of service, update notifications of an anchor."""

from collections.abc import Iterator, Sequence
from typing import Any, cast

from attrs import asdict, define

from appliance.cli.commands.pmipv6 import find
from appliance.cli.grammar import COMMANDS, CommandError, Registry, command
from appliance.cli.render import Column, Screen, TableScreen
from appliance.cli.render_diameter import moment
from appliance.cli.values import quote
from appliance.ports_health import UPDATE_REASONS, HealthPort, HeartbeatView, NotifyPort

HELP = {
    "all": "Every gateway that has sessions, about all of them",
    "ani-params-requested": "Gateways register anew and tell the access network identifier (reason 4)",
    "data": "What the vendor wants to say",
    "force-reregistration": "Gateways register anew (reason 1)",
    "heartbeat": "Peers, and whether they are alive (RFC 5847)",
    "lma-service": "Anchor that sends them",
    "name": "One service by its name",
    "octets": "Hexadecimal digits, two for each octet",
    "qos-service-request": "Quality of service (reason 5)",
    "reason": "What gateways shall do",
    "service": "Name of the service",
    "type": "Type of the vendor's",
    "update-notification": "Notifies gateways about their sessions (RFC 7077)",
    "update-session-parameters": "Gateways take over parameters of the sessions (reason 2)",
    "username": "About the sessions of one mobile node",
    "nai": "Network access identifier",
    "vendor": "Private enterprise number",
    "vendor-specific": "What a vendor says (reason 3)",
    "vendor_type": "0 to 255",
}

#: Octets of vendor data: the option's length has one octet and counts five more.
MOST_DATA = 250

COLUMNS = (
    Column("Peer", "peer"),
    Column("State", "state"),
    Column("Sessions", "sessions", right=True),
    Column("Last Seen", "last_seen"),
    Column("Restart Counter", "restart_counter", right=True),
    Column("Missed", "missed", right=True),
)


def _row(view: HeartbeatView) -> tuple[str | int, ...]:
    return (
        view.peer,
        view.state,
        view.sessions,
        "never" if view.last_seen is None else moment(view.last_seen),
        "unknown" if view.restart_counter is None else view.restart_counter,
        view.misses,
    )


@define(slots=True)
class HeartbeatScreen:
    """A table of peers for each service."""

    services: Sequence[HealthPort]

    def lines(self, width: int) -> Iterator[str]:
        """Yield name and Restart Counter of each service, and its peers."""
        for number, service in enumerate(self.services):
            if number:
                yield ""
            yield f"{service.kind.upper()} Service: {service.name}"
            yield f"Restart Counter: {service.restart_counter()}"
            yield ""
            rows = [_row(view) for view in service.heartbeats()]
            yield from TableScreen(COLUMNS, rows, "Total peers", "No peer has a session").lines(width)

    def data(self) -> list[dict[str, Any]]:
        """Return one object for each service."""
        return [
            {
                "service": service.name,
                "restart_counter": service.restart_counter(),
                "peers": [asdict(view) for view in service.heartbeats()],
            }
            for service in self.services
        ]


def declare(kind: str, registry: Registry = COMMANDS) -> None:
    """Declare the commands of one kind of service."""

    @command(
        "exec", f"show {kind}-service heartbeat [ name <service:NAME> ]", help=HELP, registry=registry
    )
    def show_heartbeat(shell: Any, args: dict[str, Any]) -> Screen:
        return HeartbeatScreen(cast(list[HealthPort], find(shell.system, kind, args.get("service", ""))))


for _kind in ("lma", "mag"):
    declare(_kind)


@command(
    "exec",
    "update-notification lma-service <service:NAME> { username <nai:NAI> | all } reason"
    " { force-reregistration | update-session-parameters | ani-params-requested | qos-service-request"
    " | vendor-specific vendor <vendor:NUMBER 1-4294967295> type <vendor_type:NUMBER 0-255>"
    " [ data <octets:STRING 2-500> ] }",
    help=HELP,
    rights="administrator",
)
def _notify(shell: Any, args: dict[str, Any]) -> Iterator[str]:
    (service,) = cast(list[NotifyPort], find(shell.system, "lma", args["service"]))
    # A word that values follow is not among the arguments: its values are.
    words = args if "vendor" not in args else ("vendor-specific",)
    reason = next(number for word, number in UPDATE_REASONS.items() if word in words)
    vendor = args.get("vendor", 0), args.get("vendor_type", 0), _octets(args.get("octets", ""))
    concerned, refusal = service.notify_update(args.get("nai", ""), reason, vendor)
    if refusal:
        raise CommandError(refusal)
    if "all" in args:
        yield f"Number of gateways notified: {concerned}"
    else:
        yield f"Number of sessions of {quote(args['nai'])} notified: {concerned}"


def _octets(text: str) -> bytes:
    try:
        found = bytes.fromhex(text)
    except ValueError:
        fault = f"Invalid value '{text}': hexadecimal digits are wanted, two for each octet"
        raise CommandError(fault) from None
    if len(found) > MOST_DATA:
        raise CommandError(f"Invalid value: at most {MOST_DATA} octets fit")
    return found
