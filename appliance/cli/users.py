"""``appliance user``: who may log in, written into the boot file without a running appliance.

::

    appliance user add NAME [--level LEVEL] [--password-stdin | --no-password] [--key FILE]... [-c FILE]
    appliance user list [-c FILE]
    appliance user remove NAME [-c FILE]

The file keeps its remarks and its layout; lines are put in or taken out. What comes out is read as the
appliance would read it at its start before it takes the old file's place, whole or not at all.

Exit status: 0 it worked, 1 it cannot be done as asked, 2 the file cannot be read or written.
"""

import argparse
import contextlib
import getpass
import os
import re
import stat
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from appliance.cli import match
from appliance.cli.passwords import fault, hash_password
from appliance.cli.values import CommandError, visible
from appliance.config import load
from appliance.errors import ApplianceError
from appliance.management import LEVELS, Management, User

DEFAULT_FILE = "/etc/appliance/appliance.conf"
KEY_FILE_LIMIT = 65_536
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{2,15}\Z", re.ASCII)

Read = Callable[[str, str], Management]
"""Reads a configuration text of a file name. Raises ApplianceError."""


class FileError(ApplianceError):
    """The boot file cannot be read or written."""


def read_management(text: str, filename: str) -> Management:
    """The management part of a configuration. Raises ConfigurationErrors."""
    configuration: Any = load(text, filename)
    management: Management = configuration.management
    return management


# ---- text in, text out


@frozen
class Change:
    """What is asked for: a user to add."""

    name: str
    level: str
    password: str
    """Hash; empty: no log-in by password."""
    keys: tuple[str, ...]
    """``TYPE BASE64`` each."""


def added(text: str, change: Change) -> str:
    """The text of a boot file with one more user. Raises ApplianceError when it has no ``config`` line."""
    lines = text.split("\n")
    place = _config_line(lines) + 1
    secret = f"encrypted password {change.password}" if change.password else "nopassword"
    new = [f"  local-user username {change.name} authorization-level {change.level} {secret}"]
    end = "\r" if lines[place - 1].endswith("\r") else ""
    keys = [f"      authorized-key username {change.name} {_typed(key)}" for key in change.keys]
    if keys and (server := _sshd_line(lines)):
        lines[server + 1 : server + 1] = [line + end for line in keys]
    elif keys:
        new += ["  context local", "    server sshd", *keys, "      exit", "    exit"]
    lines[place:place] = [line + end for line in new]
    return "\n".join(lines)


def _typed(key: str) -> str:
    kind, octets = key.split()
    return f"type {kind} key {octets}"


def removed(text: str, name: str) -> str:
    """The text of a boot file without the lines of a user."""
    return "\n".join(line for line in text.split("\n") if not _is_of(line, name))


def _config_line(lines: Sequence[str]) -> int:
    for index, line in enumerate(lines):
        words = _words(line)
        if words and "configure".startswith(words[0].lower()):
            return index
    raise ApplianceError("there is no 'config' line; the file has to begin with one and end with 'end'")


def _sshd_line(lines: Sequence[str]) -> int:
    """Where ``server sshd`` of ``context local`` begins; 0: nowhere."""
    local = False
    for index, line in enumerate(lines):
        words = [word.lower() for word in _words(line)]
        if len(words) == 2 and len(words[0]) >= 4 and "context".startswith(words[0]):
            local = words[1] == "local"
        elif local and len(words) == 2 and all(map(str.startswith, ("server", "sshd"), words)):
            return index
    return 0


def _is_of(line: str, name: str) -> bool:
    """Whether a line is a ``local-user`` or an ``authorized-key`` line of that user."""
    words = _words(line)
    if len(words) < 3 or words[2] != name or not "username".startswith(words[1].lower()):
        return False
    first = words[0].lower()
    return any(len(first) >= 4 and full.startswith(first) for full in ("local-user", "authorized-key"))


def _words(line: str) -> list[str]:
    try:
        return [token.text for token in match.split(line.removeprefix("\ufeff"))]
    except CommandError:
        # An open quote: the check of the whole file says so.
        return []


# ---- the file


class BootFile:
    """A configuration file that is edited as a whole. Errors are :class:`FileError`."""

    def __init__(self, path: str, read: Read) -> None:
        # A link stays a link: what it leads to is replaced.
        self._path = Path(os.path.realpath(path))
        self._name = path
        self._read = read

    def text(self) -> str:
        """What is in it."""
        try:
            data = self._path.read_bytes()
        except OSError as error:
            raise FileError(f"{self._name}: {error.strerror}; name the boot file with -c FILE") from error
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            raise FileError(f"{self._name}: not UTF-8 text at octet {error.start}") from error

    def management(self, text: str) -> Management:
        """What a text of this file configures."""
        return self._read(text.removeprefix("\ufeff"), self._name)

    def replace(self, old: str, new: str) -> None:
        """Put a text in the place of the old one, with the same owner and mode."""
        temporary = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            status = self._path.stat()
            file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                with os.fdopen(file, "wb") as stream:
                    stream.write(new.encode())
                    stream.flush()
                    if (status.st_uid, status.st_gid) != (os.geteuid(), os.getegid()):
                        os.fchown(file, status.st_uid, status.st_gid)
                    os.fchmod(file, stat.S_IMODE(status.st_mode))
                    os.fsync(file)
                if self._path.read_bytes() != old.encode():
                    raise FileError(f"{self._name}: somebody else changed it just now; try again")
                os.rename(temporary, self._path)
            finally:
                with contextlib.suppress(FileNotFoundError):
                    temporary.unlink()
        except OSError as error:
            raise FileError(f"{self._name}: {error.strerror}; nothing was changed") from error


def _exists(name: str) -> ApplianceError:
    return ApplianceError(f"user {name} exists; remove it first: appliance user remove {name}")


def add(file: BootFile, change: Change) -> Management:
    """Add a user to a boot file. Returns what it configures then. Raises ApplianceError, nothing changed."""
    old = file.text()
    before = file.management(old)
    if before.user(change.name) is not None:
        raise _exists(change.name)
    new = added(old, change)
    after = file.management(new)
    made = after.user(change.name)
    wanted = LEVELS[change.level], change.password, set(change.keys)
    if made is None or (made.rights, made.password, set(made.keys)) != wanted:
        raise ApplianceError(f"a later line of the file changes user {change.name} again; edit it by hand")
    file.replace(old, new)
    return after


def remove(file: BootFile, name: str) -> User:
    """Remove a user from a boot file and return it. Raises ApplianceError, nothing changed."""
    old = file.text()
    before = file.management(old)
    user = before.user(name)
    if user is None:
        raise ApplianceError(f"there is no user {visible(name)}; 'appliance user list' names all")
    new = removed(old, name)
    after = file.management(new)
    others = [each for each in before.users if each.username != name]
    if list(after.users) != others:
        raise ApplianceError(f"the lines of user {name} are not found; edit the file by hand")
    file.replace(old, new)
    return user


def table(users: Sequence[User]) -> list[str]:
    """Lines that name users, with their level and how they can log in."""
    names = {rights: level for level, rights in LEVELS.items()}
    lines = [f"{'Username':<17} {'Level':<15} {'Password':<9} Keys"]
    for user in users:
        has = "yes" if user.password else "no"
        lines.append(f"{user.username:<17} {names[user.rights]:<15} {has:<9} {len(user.keys)}")
    return lines if users else ["No user is configured; add one with: appliance user add NAME"]


# ---- the command


def read_key(path: str) -> str:
    """``TYPE BASE64`` of a public key file. Raises ApplianceError."""
    # Its parts take a while to load, and are wanted for keys only.
    from appliance.cli.ssh_keys import public_key

    try:
        with open(path, "rb") as stream:
            lines = stream.read(KEY_FILE_LIMIT).decode("utf-8", "replace").splitlines()
    except OSError as error:
        raise ApplianceError(f"key file {path}: {error.strerror}") from error
    wanted = [line for line in lines if line.strip() and not line.startswith("#")]
    if len(wanted) != 1 or "PRIVATE KEY" in wanted[0]:
        raise ApplianceError(f"key file {path}: one public key is wanted, in a line as ssh-keygen writes it")
    try:
        return " ".join(public_key(wanted[0]))
    except ApplianceError as error:
        raise ApplianceError(f"key file {path}: {error}") from error


def ask_password(from_stdin: bool) -> str:
    """A new password: the first line of standard input, or typed twice. Raises ApplianceError."""
    if from_stdin:
        password = sys.stdin.readline().rstrip("\r\n") if sys.stdin else ""
    else:
        try:
            password = getpass.getpass("New password: ")
            if not fault(password) and getpass.getpass("Once more: ") != password:
                raise ApplianceError("the two passwords differ; nothing was changed")
        except (EOFError, OSError) as error:
            advice = "use --password-stdin, or --no-password with --key FILE"
            raise ApplianceError(f"no password was typed; {advice}") from error
    if reason := fault(password):
        raise ApplianceError(reason)
    return password


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="appliance user", description="Users in a boot file.")
    actions = parser.add_subparsers(dest="action", required=True, metavar="{add,list,remove}")
    adding = actions.add_parser("add", help="add a user")
    adding.add_argument("name", metavar="NAME", help="3 to 16 characters")
    adding.add_argument("--level", choices=tuple(LEVELS), default="operator", help="default: operator")
    secret = adding.add_mutually_exclusive_group()
    secret.add_argument("--password-stdin", action="store_true", help="read the password from standard input")
    secret.add_argument("--no-password", action="store_true", help="log in by key only")
    adding.add_argument(
        "--key", action="append", default=[], metavar="FILE", help="public key; may be repeated"
    )
    removing = actions.add_parser("remove", help="remove a user")
    removing.add_argument("name", metavar="NAME")
    listing = actions.add_parser("list", help="name all users")
    for each in (adding, listing, removing):
        each.add_argument("-c", "--config", default=DEFAULT_FILE, metavar="FILE", help="boot file")
    return parser


def main(argv: Sequence[str], read: Read = read_management) -> int:
    """Run ``appliance user`` with these arguments; returns the exit status."""
    arguments = _parser().parse_args(list(argv))
    file = BootFile(arguments.config, read)
    try:
        for line in _do(arguments, file):
            print(line)
    except FileError as error:
        print(f"Failure: {visible(str(error))}", file=sys.stderr)
        return 2
    except ApplianceError as error:
        print("\n".join(f"Failure: {visible(line)}" for line in str(error).split("\n")), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Failure: interrupted; nothing was changed", file=sys.stderr)
        return 1
    return 0


def _do(arguments: argparse.Namespace, file: BootFile) -> list[str]:
    if arguments.action == "list":
        return table(file.management(file.text()).users)
    if arguments.action == "remove":
        user = remove(file, arguments.name)
        keys = [f"      no authorized-key username {user.username} key {key.split()[1]}" for key in user.keys]
        return [
            f"User {user.username} is removed from {arguments.config}.",
            "A running appliance still knows it: restart it, or type there in the configuration mode",
            *(["  context local", "    server sshd", *keys, "      exit", "    exit"] if keys else []),
            f"  no local-user username {user.username}",
        ]
    return _add(arguments, file)


def _add(arguments: argparse.Namespace, file: BootFile) -> list[str]:
    if not _NAME.match(arguments.name):
        raise ApplianceError(f"{arguments.name}: a name has 3 to 16 letters, digits, or any of _ . -")
    if arguments.no_password and not arguments.key:
        raise ApplianceError("without a password and without a key nobody can log in; give --key FILE")
    # What can be wrong without a password is found before one is asked for.
    if file.management(file.text()).user(arguments.name) is not None:
        raise _exists(arguments.name)
    keys = tuple(dict.fromkeys(read_key(path) for path in arguments.key))
    hashed = "" if arguments.no_password else hash_password(ask_password(arguments.password_stdin))
    change = Change(arguments.name, arguments.level, hashed, keys)
    had_server = file.management(file.text()).ssh is not None
    management = add(file, change)
    lines = [
        f"User {change.name} is added to {arguments.config}.",
        "A running appliance does not know it yet: restart it, or type there in the configuration mode",
        *added("config\nend", change).split("\n")[1:-1],
    ]
    if management.ssh is None:
        lines.append("There is no SSH server yet: add 'server sshd' in 'context local'.")
    elif not had_server:
        where = ", ".join(f"{address} port {port}" for address, port in management.ssh.listeners)
        lines.append(f"'server sshd' was added for the key: the SSH server will listen on {where}.")
    return lines
