"""Exec commands of Diameter nodes: peers, routes, statistics, requests that wait, sessions.

``show diameter`` with ``peers``, ``route``, ``statistics``, ``message-queue``, ``endpoint`` and
``aaa-statistics`` are StarOS words; beyond the first and the last their screens are ours, and so are ``show
diameter sessions``, ``clear diameter session`` and ``diameter disable``.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

from appliance.cli.grammar import CommandError, command
from appliance.cli.render import Column, FactsScreen, Screen, TableScreen
from appliance.cli.render_diameter import (
    OPEN,
    DiameterSessionScreen,
    MessagesScreen,
    PeerFullScreen,
    PeerListScreen,
    QueueScreen,
    StatisticsScreen,
    endpoint_facts,
)
from appliance.cli.waiting import items
from appliance.errors import ApplianceError
from appliance.ports_aaa import AaaPort, DiameterRouteView, DiameterSessionView, PeerView

#: Sessions that are aborted at a time: each waits for its client's answer.
ABORTED_AT_ONCE = 16

HELP = {
    "aaa-statistics": "What became of the requests to AAA servers, by type of message",
    "diameter": "Diameter, the protocol of AAA servers (RFC 6733)",
    "disable": "Says good-bye to a peer, and has no connection with it until it is enabled",
    "enable": "Has connections with a peer again",
    "endpoint": "Of one endpoint",
    "full": "Everything about each",
    "group": "Of one AAA group",
    "host": "DiameterIdentity",
    "id": "By its Session-Id",
    "message-queue": "Requests that wait for an answer or for a peer",
    "name": "Name",
    "-noconfirm": "Does not ask whether you are sure",
    "peer": "One peer, by its DiameterIdentity",
    "peers": "The nodes that we have connections with",
    "routes": "Where requests go, by realm, host and application",
    "server": "Of one server, by its DiameterIdentity",
    "session": "One session, by its Session-Id",
    "session_id": "Session-Id",
    "sessions": "Authorization sessions of AAA clients and AAA servers",
    "user": "By the User-Name; * and $ are wildcards",
    "username": "User-Name",
    "verbose": "As full, and what StarOS has no line for: watchdog, applications, certificate, counters",
}
ENDPOINT = "endpoint <name:NAME>"
PEER = "peer <host:IDENTITY>"


def known_endpoint(port: AaaPort, name: str) -> str:
    """The name of an endpoint, empty for all. Raises ApplianceError when there is none of that name."""
    names = [view.name for view in port.endpoints()]
    if name and name not in names:
        there = f"there is {', '.join(sorted(names))}" if names else "none is configured"
        raise ApplianceError(f"No diameter endpoint is named {name}; {there}")
    return name


def _chosen(shell: Any, args: dict[str, Any]) -> tuple[AaaPort, str, str]:
    port: AaaPort = shell.system.aaa
    return port, known_endpoint(port, args.get("name", "")), args.get("host", "")


# ---- peers


@command("exec", f"show diameter peers [ full | verbose ] [ all ] [ {ENDPOINT} ] [ {PEER} ]", help=HELP)
def _peers(shell: Any, args: dict[str, Any]) -> Screen:
    port, endpoint, peer = _chosen(shell, args)
    found = port.peers(endpoint, peer)
    if "full" in args or "verbose" in args:
        return PeerFullScreen(found, shell.system.wall(), "verbose" in args)
    return PeerListScreen(found)


async def _one_peer(shell: Any, args: dict[str, Any]) -> PeerView:
    """The peer that is meant. Raises ApplianceError when there is none, or one in several endpoints."""
    port, endpoint, name = _chosen(shell, args)
    found: list[PeerView] = []
    for view in port.peers(endpoint, name):
        if view is None:
            await shell.face.write([])
        else:
            found.append(view)
    if not found:
        where = f" of diameter endpoint {endpoint}" if endpoint else ""
        raise ApplianceError(f"No peer{where} is named {name}; 'show diameter peers' lists those there are")
    if len(found) > 1:
        names = ", ".join(sorted(view.endpoint for view in found))
        raise ApplianceError(f"{name} is a peer of several endpoints: {names}; add 'endpoint NAME'")
    return found[0]


@command("exec", f"diameter disable {PEER} [ {ENDPOINT} ] [ -noconfirm ]", help=HELP, rights="administrator")
async def _disable(shell: Any, args: dict[str, Any]) -> list[str]:
    view = await _one_peer(shell, args)
    if view.state == OPEN:
        waiting = f"; {view.pending + view.queued} requests wait there" if view.pending + view.queued else ""
        await shell.confirm(args, [f"This closes the connection to {view.name}{waiting}"])
    shell.system.aaa.set_peer(view.endpoint, view.name, False)
    return [f"Peer {view.name} of diameter endpoint {view.endpoint} is disabled"]


@command("exec", f"diameter enable {PEER} [ {ENDPOINT} ]", help=HELP, rights="administrator")
async def _enable(shell: Any, args: dict[str, Any]) -> list[str]:
    view = await _one_peer(shell, args)
    shell.system.aaa.set_peer(view.endpoint, view.name, True)
    return [f"Peer {view.name} of diameter endpoint {view.endpoint} is enabled"]


# ---- endpoints


@command("exec", "show diameter endpoint [ all | <name:NAME> ]", help=HELP)
def _endpoints(shell: Any, args: dict[str, Any]) -> Screen:
    port, name, _ = _chosen(shell, args)
    found = [view for view in port.endpoints() if name in ("", view.name)]
    if not found:
        raise ApplianceError("No diameter endpoint is configured")
    return FactsScreen([endpoint_facts(view) for view in found], ("Listening At", "Application"))


@command("exec", f"show diameter routes [ {ENDPOINT} ]", help=HELP)
def _routes(shell: Any, args: dict[str, Any]) -> Screen:
    port, endpoint, _ = _chosen(shell, args)
    return TableScreen(
        (
            Column("Endpoint", "endpoint"), Column("Realm", "realm"), Column("Host", "host"),
            Column("Application", "application"), Column("Action", "action"), Column("Peer", "peer"),
            Column("Priority", "priority", right=True), Column("Weight", "weight", right=True),
            Column("Origin", "origin"), Column("Expires", "expires", right=True), Column("State", "state"),
        ),
        [_route(view) for view in port.routes(endpoint)],
        total="Total Routes",
        empty="No routes",
    )  # fmt: skip


def _route(view: DiameterRouteView) -> tuple[str | int, ...]:
    expires = "-" if view.expires is None else max(0, int(view.expires))
    return (
        view.endpoint, view.realm, view.host or "*", view.application, view.action, view.peer or "-",
        view.priority, view.weight, view.origin, expires, "up" if view.usable else "down",
    )  # fmt: skip


@command("exec", f"show diameter statistics [ {ENDPOINT} ] [ {PEER} ]", help=HELP)
def _statistics(shell: Any, args: dict[str, Any]) -> Screen:
    port, endpoint, peer = _chosen(shell, args)
    counters = {} if peer else port.statistics(endpoint)
    return StatisticsScreen(counters, port.peers(endpoint, peer) if endpoint or peer else ())


@command("exec", f"clear diameter statistics [ {ENDPOINT} ] [ {PEER} ]", help=HELP, rights="operator")
async def _clear_statistics(shell: Any, args: dict[str, Any]) -> None:
    port, endpoint, peer = _chosen(shell, args)
    if peer:
        view = await _one_peer(shell, args)
        endpoint, peer = view.endpoint, view.name
    port.clear_statistics(endpoint, peer)


@command(
    "exec",
    "show diameter aaa-statistics [ all | group <name:NAME> | server <host:IDENTITY> ]",
    help=HELP,
)
def _messages(shell: Any, args: dict[str, Any]) -> Screen:
    return MessagesScreen(shell.system.aaa.messages(args.get("name", ""), args.get("host", "")))


@command("exec", f"show diameter message-queue [ {ENDPOINT} ] [ {PEER} ]", help=HELP)
def _queue(shell: Any, args: dict[str, Any]) -> Screen:
    port, endpoint, peer = _chosen(shell, args)
    return QueueScreen(port.queue(endpoint, peer))


# ---- sessions


@command(
    "exec",
    "show diameter sessions [ full ] [ user <username:NAI> ] [ session <session_id:STRING 1-512> ]",
    help=HELP,
)
def _sessions(shell: Any, args: dict[str, Any]) -> Screen:
    found = shell.system.aaa.sessions(args.get("username", ""), args.get("session_id", ""))
    return DiameterSessionScreen(found, "full" in args)


@command(
    "exec",
    "clear diameter session { id <session_id:STRING 1-512> | user <username:NAI> } [ -noconfirm ]",
    help=HELP,
    rights="administrator",
)
async def _clear_session(shell: Any, args: dict[str, Any]) -> Iterator[Any]:
    found = [session_id async for session_id in _server_sessions(shell, args)]
    if not found:
        raise CommandError("No AAA server of this appliance has such a session; see 'show diameter sessions'")
    number = f"{len(found)} session{'' if len(found) == 1 else 's'}"
    await shell.confirm(args, [f"This asks clients to end {number}"])
    return items(_aborting(shell.system.aaa, found))


async def _aborting(port: AaaPort, found: list[str]) -> AsyncIterator[list[str]]:
    """Abort some sessions after the other, a line each; who wants no more leaves the rest alone."""
    ended = 0
    for begin in range(0, len(found), ABORTED_AT_ONCE):
        part = found[begin : begin + ABORTED_AT_ONCE]
        answers = await asyncio.gather(*(_abort(port, session_id) for session_id in part))
        ended += sum(done for done, _ in answers)
        yield [text for _, text in answers]
    yield [f"Number of Diameter sessions aborted: {ended}"]


async def _server_sessions(shell: Any, args: dict[str, Any]) -> AsyncIterator[str]:
    """Session-Ids of what a server of ours can abort."""
    sessions: Iterator[DiameterSessionView | None] = shell.system.aaa.sessions(
        args.get("username", ""), args.get("session_id", "")
    )
    for view in sessions:
        if view is None:
            await shell.face.write([])
        elif view.role == "server" and view.state != "Idle":
            yield view.session_id


async def _abort(port: AaaPort, session_id: str) -> tuple[bool, str]:
    """Abort one session; a client that does not answer is no reason to keep the others."""
    try:
        done, text = True, await port.abort(session_id)
    except ApplianceError as error:
        done, text = False, str(error)
    return done, text if session_id in text else f"{session_id}: {text}"
