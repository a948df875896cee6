"""Users and servers for operators: read from a configuration tree, and checked across its lines."""

import base64
from collections.abc import Iterator
from typing import Any

from appliance.config_checks import Fault
from appliance.config_secrets import parse_hash
from appliance.config_tree import Section
from appliance.management import LEVELS, Management, SshServer, User

SSH_PORT = 22


def make_management(tree: Section) -> Management:
    """What a tree says about operators."""
    servers = [server for context in tree.all("context") for server in context.all("server sshd")]
    keys: dict[str, list[str]] = {}
    for entry in (entry for server in servers for entry in server.entries("authorized-key")):
        keys.setdefault(entry.args["username"], []).append(f"{entry.args['type']} {entry.args['key']}")
    values = {
        name: entry.args[name]
        for name in ("max_failed_logins", "lockout_time", "banner", "banner_pre_login")
        for entry in tree.entries(name)
    }
    users = tuple(
        _user(entry.args, tuple(keys.get(entry.args["username"], ()))) for entry in tree.entries("local-user")
    )
    return Management(users=users, ssh=_ssh(servers[0]) if servers else None, **values)


def _user(args: dict[str, Any], keys: tuple[str, ...]) -> User:
    limits = {name: args[name] for name in ("timeout_min_absolute", "timeout_min_idle") if name in args}
    return User(
        username=args["username"],
        rights=LEVELS[args.get("level", "operator")],
        # A password in clear is no hash: config_secrets.seal makes one of it before a system starts.
        password=args.get("encrypted_password", ""),
        lockout="no-lockout-login-failure" not in args,
        keys=keys,
        **limits,
    )


def _ssh(section: Section) -> SshServer:
    values: dict[str, Any] = {}
    for entry in section.entries("max_servers"):
        values["max_servers"] = entry.args["max_servers"]
    listeners = tuple(
        (entry.args["address"], entry.args.get("port", SSH_PORT)) for entry in section.entries("listen")
    )
    if listeners:
        values["listeners"] = listeners
    return SshServer(**values)


def management_faults(tree: Section) -> Iterator[Fault]:
    """What contradicts itself in the lines about users, their keys, and the SSH server."""
    users = {entry.args["username"] for entry in tree.entries("local-user")}
    for entry in tree.entries("local-user"):
        stored = entry.args.get("encrypted_password")
        if stored is not None and parse_hash(stored) is None:
            yield entry.line, f"local-user {entry.args['username']}: this is no encrypted password"
    for context in tree.all("context"):
        for server in context.all("server sshd"):
            if context.name != "local":
                yield server.line, "server sshd belongs into the context local"
            yield from _server_faults(server, users)


def _server_faults(server: Section, users: set[str]) -> Iterator[Fault]:
    places: set[tuple[str, int]] = set()
    for entry in server.entries("listen"):
        place = (entry.args["address"], entry.args.get("port", SSH_PORT))
        if place in places:
            yield entry.line, f"server sshd: {place[0]} port {place[1]} is listed already"
        places.add(place)
    for entry in server.entries("authorized-key"):
        user = entry.args["username"]
        if user not in users:
            text = "take the key away first, or add that user"
            yield entry.line, f"authorized-key: there is no local-user {user}; {text}"
        try:
            base64.b64decode(entry.args["key"], validate=True)
        except ValueError:
            yield entry.line, f"authorized-key of {user}: this is no base64"
