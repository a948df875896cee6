"""Exec commands of ``mn-client``: settings and state of mobile nodes, and what they are told to do."""

from collections.abc import Iterator
from typing import Any

from attrs import asdict, define

from appliance.cli.grammar import CommandError, command
from appliance.cli.render import Column, CounterScreen, FactsScreen, Screen, TableScreen, key_of, pair
from appliance.cli.values import quote
from appliance.ports_mn import BindingView, MnPort

HELP = {
    "all": "All of them",
    "bindings": "Binding update list: home agents and correspondent nodes",
    "deregister": "Takes the binding away; the node stays so until it is told to register",
    "full": "Everything about each binding",
    "mn-client": "Mobile nodes of this appliance",
    "name": "One mobile node by its name",
    "client": "Name of the mobile node",
    "refresh": "Extends the binding now",
    "register": "Registers, also anew",
    "session": "How each mobile node is doing",
    "verbose": "Tells below each counter what increments it",
}
NAMED = "[ name <client:NAME> ]"
NO_BINDINGS = "No bindings match the specified criteria"

COLUMNS = (
    Column("Client", "client"),
    Column("Peer", "peer"),
    Column("Kind", "kind"),
    Column("State", "state"),
    Column("Interface", "interface"),
    Column("Care-of Address", "care_of"),
    Column("BID", "bid", right=True),
    Column("Encapsulation", "encapsulation"),
    Column("Lifetime", "lifetime", right=True),
    Column("Remaining", "remaining", right=True),
)


def find(shell: Any, name: str = "") -> list[MnPort]:
    """The clients of a name, or all. Raises CommandError when there is none."""
    found: list[MnPort] = shell.system.mobile.clients(name)
    if found:
        return found
    known = sorted(each.name for each in shell.system.mobile.clients())
    if not known:
        raise CommandError("No mn-client is configured")
    raise CommandError(f"No mn-client is named {name}; there is {', '.join(known)}")


@define(slots=True)
class BindingsScreen:
    """Bindings one below the other, with all that is known of each."""

    bindings: list[BindingView]

    def lines(self, width: int) -> Iterator[str]:
        """Yield a block for each."""
        if not self.bindings:
            yield NO_BINDINGS
        for number, view in enumerate(self.bindings):
            if number:
                yield ""
            for label, value in (*self._plain(view), *view.details):
                yield pair(label, value)

    @staticmethod
    def _plain(view: BindingView) -> Iterator[tuple[str, object]]:
        for column in COLUMNS:
            yield column.heading, getattr(view, column.key)
        yield "Sequence Number", view.sequence
        yield "Last Status", "None" if view.status < 0 else view.status

    def data(self) -> list[dict[str, Any]]:
        """Return one dict a binding."""
        return [
            {**asdict(view), "details": {key_of(label): text for label, text in view.details}}
            for view in self.bindings
        ]


@command("exec", "show mn-client { all | name <client:NAME> }", help=HELP)
def _facts(shell: Any, args: dict[str, Any]) -> Screen:
    return FactsScreen([each.facts() for each in find(shell, args.get("client", ""))])


@command("exec", f"show mn-client session {NAMED}", help=HELP)
def _session(shell: Any, args: dict[str, Any]) -> Screen:
    return FactsScreen([each.overview() for each in find(shell, args.get("client", ""))])


@command("exec", f"show mn-client bindings {NAMED} [ full ]", help=HELP)
def _bindings(shell: Any, args: dict[str, Any]) -> Screen:
    found = [view for each in find(shell, args.get("client", "")) for view in each.bindings()]
    if "full" in args:
        return BindingsScreen(found)
    rows = [[getattr(view, column.key) for column in COLUMNS] for view in found]
    return TableScreen(COLUMNS, rows, empty=NO_BINDINGS)


@command("exec", f"show mn-client statistics {NAMED} [ verbose ]", help=HELP)
def _statistics(shell: Any, args: dict[str, Any]) -> Screen:
    found = find(shell, args.get("client", ""))
    sets = [each.counters.snapshot() for each in found]
    return CounterScreen(
        title="MN Client",
        services=[each.name for each in found],
        table=found[0].counters.table,
        values=[sum(values) for values in zip(*sets, strict=True)],
        verbose="verbose" in args,
    )


@command("exec", f"clear mn-client statistics {NAMED}", help=HELP, rights="operator")
def _clear(shell: Any, args: dict[str, Any]) -> None:
    for each in find(shell, args.get("client", "")):
        each.counters.clear()


@command(
    "exec",
    "mn-client <client:NAME> { register | refresh | deregister }",
    help=HELP,
    rights="administrator",
)
def _command(shell: Any, args: dict[str, Any]) -> Iterator[str]:
    what = next(word for word in ("register", "refresh", "deregister") if word in args)
    refusal = find(shell, args["client"])[0].command(what)
    if refusal:
        raise CommandError(refusal)
    noun = {"register": "Registration", "refresh": "Refresh", "deregister": "De-registration"}[what]
    yield f"{noun} of {quote(args['client'])} has begun"
