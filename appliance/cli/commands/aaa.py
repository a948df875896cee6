"""Exec commands of AAA: groups, the clients of services, AAA servers, their users, and tests of a group.

``show aaa group`` and ``show aaa statistics`` are StarOS words; the screens are ours, and so are the other
commands.
"""

from collections.abc import Iterator
from typing import Any

from attrs import asdict, define

from appliance.cli import ours
from appliance.cli.grammar import command
from appliance.cli.render import STEP, FactsScreen, Screen, pair, rows_or_blocks
from appliance.cli.render_diameter import counter_data, counter_lines
from appliance.config_diameter import half_hexadecimal, secret_octets
from appliance.errors import ApplianceError
from appliance.facts_aaa import group_facts
from appliance.facts_words import amount
from appliance.ports_aaa import ClientView, ServerView, UserView

HELP = {
    "aaa": "Authentication, authorization and accounting",
    "accounting": "Sends one EVENT record",
    "all": "All of them",
    "authenticate": "Asks the servers about a user, and ends the session again",
    "clients": "What asks AAA servers and reports to them: one for each service with an aaa group",
    "full": "Everything about each",
    "group": "AAA groups: whom services ask and report to",
    "key": "The key: text, or 0x and hexadecimal digits",
    "name": "Name",
    "nai": "Network access identifier",
    "reload": "Reads again",
    "secret": "MN-AAA key that the mobile node shares with the server",
    "server": "One AAA server of this appliance",
    "servers": "The AAA servers of this appliance",
    "service": "One service",
    "spi": "Authenticates as a mobile node would (RFC 4285), with the key of this SPI, hexadecimal",
    "number": "SPI of the MN-AAA key",
    "test": "Tries whether something works",
    "user": "By the network access identifier",
    "username": "Network access identifier; * and $ are wildcards",
    "users": "Users that AAA servers know",
    "statistics": "Counters of AAA clients and AAA servers",
}


# ---- groups


@command("exec", "show aaa group [ all | name <name:NAME> ]", help=HELP)
def _groups(shell: Any, args: dict[str, Any]) -> Screen:
    name = args.get("name", "")
    groups = [group for context in shell.system.configuration.contexts for group in context.groups]
    found = [group for group in groups if name in ("", group.name)]
    if not found:
        raise ApplianceError(_missing("aaa group", name, {group.name for group in groups}))
    return FactsScreen([group_facts(group) for group in found])


def _missing(kind: str, name: str, known: set[str]) -> str:
    if not known:
        return f"No {kind} is configured"
    return f"No {kind} is named {name}; there is {', '.join(sorted(known))}"


def the_group(shell: Any, name: str) -> tuple[str, str]:
    """Context and name of a group: of the current context, else the only one of that name.

    Raises ApplianceError.
    """
    contexts = shell.system.configuration.contexts
    groups = [group for context in contexts for group in context.groups]
    found = [group for group in groups if group.name == name]
    here = [group for group in found if group.context == shell.context]
    if not found:
        raise ApplianceError(_missing("aaa group", name, {group.name for group in groups}))
    if len(found) > 1 and not here:
        names = ", ".join(group.context for group in found)
        raise ApplianceError(f"aaa group {name} is in several contexts: {names}; go to one with 'context'")
    return (here or found)[0].context, name


# ---- clients and servers


@define(slots=True)
class ClientScreen:
    """The AAA client of each service."""

    clients: list[ClientView]

    def lines(self, width: int) -> Iterator[str]:
        """Yield a block for each."""
        for number, view in enumerate(self.clients):
            if number:
                yield ""
            yield f"Service: {view.service}"
            for label, value in client_facts(view):
                yield pair(label, value, STEP)
        if not self.clients:
            yield "No service has an aaa group"

    def data(self) -> list[dict[str, Any]]:
        """Return an object for each."""
        return [{**asdict(view), "counters": counter_data(view.counters)} for view in self.clients]


def client_facts(view: ClientView) -> list[tuple[str, str | int]]:
    """Label and value pairs of a client below its service."""
    return [
        ("AAA Group", view.group),
        ("Authentication Endpoint", view.authentication or "none"),
        ("Accounting Endpoint", view.accounting or "none"),
        ("Failure Policy", view.policy),
        ("Spool State", view.spool_state),
        ("Records In Spool", view.spool_records),
        ("Octets In Spool", view.spool_octets),
        ("Oldest Record", age(view.spool_oldest)),
    ]


def age(seconds: float | None) -> str:
    """How old something is; ``none`` if it is not there."""
    return "none" if seconds is None else amount(max(0, int(seconds)), "second")


@command("exec", "show aaa clients [ service <name:NAME> ]", help=HELP)
def _clients(shell: Any, args: dict[str, Any]) -> Screen:
    return ClientScreen(_some_clients(shell, args.get("name", "")))


def _some_clients(shell: Any, service: str) -> list[ClientView]:
    clients: list[ClientView] = shell.system.aaa.clients()
    found = [view for view in clients if service in ("", view.service, view.service.rpartition(" ")[2])]
    if service and not found:
        raise ApplianceError(
            _missing("service with an aaa group", service, {view.service for view in clients})
        )
    return found


def server_facts(view: ServerView) -> list[tuple[str, str]]:
    """Label and value pairs of a server."""
    return [
        ("AAA Server", view.name),
        ("Context", view.context),
        ("Diameter Endpoint", view.endpoint or "None"),
        ("Server Status", view.state),
        *[("Realm", each) for each in view.realms or ("None",)],
        ("Users", str(view.users)),
        ("Sessions", str(view.sessions)),
        ("Storage", view.storage),
        ("Storage State", view.storage_state),
        ("Records Stored", str(view.records)),
        ("Records Waiting", str(view.waiting)),
        ("Octets In Spool", str(view.spool)),
    ]


def some_servers(shell: Any, name: str) -> list[ServerView]:
    """The AAA server of a name, or all. Raises ApplianceError when there is none."""
    servers: list[ServerView] = shell.system.aaa.servers()
    found = [view for view in servers if name in ("", view.name)]
    if not found:
        raise ApplianceError(_missing("aaa-server", name, {view.name for view in servers}))
    return found


@command("exec", "show aaa servers [ all | name <name:NAME> ]", help=HELP)
def _servers(shell: Any, args: dict[str, Any]) -> Screen:
    return FactsScreen([server_facts(view) for view in some_servers(shell, args.get("name", ""))], ("Realm",))


@define(slots=True)
class AaaStatisticsScreen:
    """Counters of clients and of servers."""

    blocks: list[tuple[str, str, dict[str, int]]]
    """Heading, name, counters."""

    def lines(self, width: int) -> Iterator[str]:
        """Yield a block for each."""
        for number, (heading, name, counters) in enumerate(self.blocks):
            if number:
                yield ""
            yield f"{heading}: {name}"
            yield from counter_lines(counters, STEP, width)
        if not self.blocks:
            yield "No service has an aaa group, and there is no aaa-server"

    def data(self) -> list[dict[str, Any]]:
        """Return an object for each."""
        return [
            {"kind": heading.rpartition(" ")[2].lower(), "name": name, "counters": counter_data(counters)}
            for heading, name, counters in self.blocks
        ]


@command("exec", "show aaa statistics [ service <name:NAME> | server <server:NAME> ]", help=HELP)
def _statistics(shell: Any, args: dict[str, Any]) -> Screen:
    service, server = args.get("name", ""), args.get("server", "")
    clients = [] if server else _some_clients(shell, service)
    servers = [] if service else some_servers(shell, server) if server else shell.system.aaa.servers()
    return AaaStatisticsScreen(
        [
            *(("AAA Client", view.service, view.counters) for view in clients),
            *(("AAA Server", view.name, view.counters) for view in servers),
        ]
    )


# ---- users


@define(slots=True)
class UserScreen:
    """Users of AAA servers: a line each, or a block each if ``full``. Keys are never shown."""

    users: Iterator[UserView | None]
    full: bool = False

    def lines(self, width: int) -> Iterator[str | None]:
        """Yield the users, then how many there were."""
        head = (
            ours.USER_LINE(*ours.USER_HEADINGS),
            ours.USER_LINE(*("-" * dashes for dashes in ours.USER_DASHES)),
        )
        block = _user_block if self.full else None
        empty = "No users match the specified criteria"
        return rows_or_blocks(self.users, block, _user_row, head, empty, "Users")

    def data(self) -> Iterator[dict[str, Any] | None]:
        """Yield all fields of every user."""
        for view in self.users:
            yield None if view is None else {**asdict(view), "details": [list(pair) for pair in view.details]}


def _user_row(view: UserView) -> str:
    return ours.USER_LINE(
        view.user, view.server, "yes" if view.enabled else "no", ",".join(view.services) or "-",
        "yes" if view.key else "no", view.sessions, view.max_sessions or "-", view.source,
    )  # fmt: skip


def _user_block(view: UserView) -> Iterator[str]:
    yield f"User: {view.user}"
    facts: list[tuple[str, object]] = [
        ("AAA Server", view.server),
        ("Source", view.source),
        ("Enabled", "yes" if view.enabled else "no"),
        ("Permissions", ", ".join(view.services) or "none"),
        ("MN-AAA Key", "set" if view.key else "not set"),
        ("Sessions", view.sessions),
        ("Max Sessions", view.max_sessions or "no limit"),
    ]
    for label, value in (*facts, *view.details):
        yield pair(label, value, STEP)


@command(
    "exec",
    "show aaa users [ full ] [ server <server:NAME> ] [ user <username:NAI> ]",
    help=HELP,
    rights="operator",
)
def _users(shell: Any, args: dict[str, Any]) -> Screen:
    server = args.get("server", "")
    some_servers(shell, server)
    return UserScreen(shell.system.aaa.users(server, args.get("username", "")), "full" in args)


@command("exec", "aaa reload users [ server <server:NAME> ]", help=HELP, rights="administrator")
async def _reload(shell: Any, args: dict[str, Any]) -> list[str]:
    server = args.get("server", "")
    some_servers(shell, server)
    lines: list[str] = await shell.system.aaa.reload_users(server)
    return lines or ["No realm has a users file"]


# ---- tests


@command(
    "exec",
    "test aaa authenticate group <name:NAME> user <nai:NAI> [ spi <number:HEX> secret <key:SECRET> ]",
    help=HELP,
    rights="operator",
)
async def _authenticate(shell: Any, args: dict[str, Any]) -> list[str]:
    context, group = the_group(shell, args["name"])
    if half_hexadecimal(args.get("key", "")):
        raise ApplianceError("A key that begins with 0x has pairs of hexadecimal digits behind it")
    key = secret_octets(args["key"]) if "key" in args else b""
    lines: list[str] = await shell.system.aaa.authenticate(
        context, group, args["nai"], key, args.get("number", 0)
    )
    return lines


@command("exec", "test aaa accounting group <name:NAME> user <nai:NAI>", help=HELP, rights="administrator")
async def _account(shell: Any, args: dict[str, Any]) -> list[str]:
    context, group = the_group(shell, args["name"])
    lines: list[str] = await shell.system.aaa.account(context, group, args["nai"])
    return lines
