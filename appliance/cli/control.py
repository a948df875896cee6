"""The control socket: a shell for each local client that is root or in the group ``appliance``.

One JSON object a line each way::

    server: {"status": 0, "lines": [], "prompt": "[local]lma1# ", "length": 24}   greeting
    client: {"line": "show clock"}        or {"complete": "show cl"}
    server: {"lines": [... at most 500 ...]}                                 any number of these
    server: {"status": 0, "lines": [...], "prompt": "...", "length": 24}     the end of an answer

A client's next line is read when it has taken the answer to the last one, so that a
client that does not read holds one answer and not the process.
"""

import contextlib
import errno
import grp
import json
import os
import pwd
import socket
import stat
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IPullProducer
from twisted.internet.protocol import Factory, connectionDone
from twisted.logger import Logger
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from appliance.cli.shell import Result, Shell
from appliance.errors import ResourceError

GROUP = "appliance"
MODE = 0o660
LINE_LIMIT = 65_536
"""Octets of a request."""
CLIENT_LIMIT = 32
CHUNK = 500
"""Lines of output in one object."""
STALL = 60.0
"""Seconds in which a client has to take a part of its answer."""

MakeShell = Callable[[str], Shell]


def group_id() -> int | None:
    """Number of the group whose members may attach; ``None`` if this host has no such group."""
    try:
        return grp.getgrnam(GROUP).gr_gid
    except KeyError:
        return None


def may_attach(uid: int, gid: int) -> bool:
    """Whether a user may attach: root, whoever runs this process, and members of the group."""
    if uid in (0, os.geteuid()):
        return True
    wanted = group_id()
    if wanted is None:
        return False
    try:
        user = pwd.getpwuid(uid)
    except KeyError:
        return gid == wanted
    return wanted == gid or wanted in os.getgrouplist(user.pw_name, user.pw_gid)


def user_name(uid: int) -> str:
    """Name of a user of this host, or its number."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


@implementer(IPullProducer)
class _Answer:
    """Hands an answer to the transport a part at a time, as fast as the client takes it."""

    def __init__(self, session: "_Session", lines: list[str], end: dict[str, Any]) -> None:
        self._session = session
        self._lines = lines
        self._end = end
        self._sent = 0

    def resumeProducing(self) -> None:
        """The client has taken all that was written: write the next part, or end."""
        if self._sent and self._sent >= len(self._lines):
            self._session.answered()
            return
        part = self._lines[self._sent : self._sent + CHUNK]
        self._sent += CHUNK
        self._session.watch()
        self._session.tell({"lines": part} if self._sent < len(self._lines) else {**self._end, "lines": part})

    def stopProducing(self) -> None:
        """Forget the rest: the connection is gone."""
        self._lines = []


class _Session(LineReceiver):
    """One client."""

    transport: Any
    delimiter = b"\n"
    MAX_LENGTH = LINE_LIMIT

    def __init__(self, server: "ControlServer") -> None:
        self._server = server
        self._shell: Shell | None = None
        self._stalled: Any = None

    def connectionMade(self) -> None:
        """Look at who it is, then greet or refuse."""
        credentials = self.transport.socket.getsockopt(
            socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")
        )
        _pid, uid, gid = struct.unpack("3i", credentials)
        if not may_attach(uid, gid):
            self._refuse(f"user {user_name(uid)} may not attach: be root or a member of the group {GROUP}")
        elif not self._server.enter(self):
            self._refuse(f"all {CLIENT_LIMIT} sessions are in use; end one of them")
        else:
            self._shell = self._server.make_shell(user_name(uid))
            self.tell({"status": 0, "lines": [], "prompt": self._shell.prompt, "length": self._shell.length})

    def lineReceived(self, line: bytes) -> None:
        """Do one request."""
        if self._shell is None:
            return
        try:
            request = json.loads(line)
        except (ValueError, RecursionError):
            request = None
        if isinstance(request, dict) and isinstance(request.get("line"), str):
            self._answer(self._execute(self._shell, request["line"]), {})
        elif isinstance(request, dict) and isinstance(request.get("complete"), str):
            found = [
                [each.text, each.help, each.word] for each in self._shell.candidates(request["complete"])
            ]
            self._answer(Result([], 0), {"candidates": found})
        else:
            self._answer(Result(['Failure: {"line": TEXT} or {"complete": TEXT} is wanted'], 1), {})

    def lineLengthExceeded(self, line: bytes) -> None:
        """Refuse a line that would fill the memory."""
        self._refuse(f"a request is longer than {LINE_LIMIT} octets")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Free the place."""
        self._cancel()
        self._server.leave(self)

    def tell(self, message: dict[str, Any]) -> None:
        """Write one object."""
        self.transport.write(json.dumps(message).encode() + b"\n")

    def watch(self) -> None:
        """From now on the client has ``STALL`` seconds to take what is written."""
        self._cancel()
        self._stalled = self._server.reactor.callLater(STALL, self.drop)

    def answered(self) -> None:
        """The client has the whole answer: go on with its next request."""
        self._cancel()
        self.transport.unregisterProducer()
        if self._shell is not None and self._shell.closed:
            self.transport.loseConnection()
        else:
            self.resumeProducing()  # type: ignore[no-untyped-call]

    def drop(self) -> None:
        """End the connection now."""
        self.transport.abortConnection()

    def _execute(self, shell: Shell, line: str) -> Result:
        try:
            return shell.execute(line)
        except Exception:  # noqa: BLE001 - a mistake in one command must not end the session; it is logged
            self._server.logger.failure("command {line!r} failed", line=line)
            return Result(["Failure: internal error; the log tells more"], 1)

    def _answer(self, result: Result, extra: dict[str, Any]) -> None:
        assert self._shell is not None
        shell = self._shell
        end: dict[str, Any] = {"status": result.status, "prompt": shell.prompt, "length": shell.length}
        end |= {"closed": shell.closed, **extra}
        self.pauseProducing()  # type: ignore[no-untyped-call]
        self.transport.registerProducer(_Answer(self, result.lines, end), False)

    def _refuse(self, text: str) -> None:
        self.tell({"status": 1, "lines": [f"Failure: {text}"], "prompt": "", "closed": True})
        self.transport.loseConnection()

    def _cancel(self) -> None:
        if self._stalled is not None and self._stalled.active():
            self._stalled.cancel()
        self._stalled = None


class ControlServer:
    """Listens on ``path``; ``make_shell(user)`` gives each client its shell."""

    logger = Logger(namespace="control")

    def __init__(self, reactor: Any, path: str, make_shell: MakeShell) -> None:
        self.reactor = reactor
        self.path = path
        self.make_shell = make_shell
        self._port: Any = None
        self._sessions: set[_Session] = set()

    def start(self) -> None:
        """Listen. Raises :class:`ResourceError` when the path cannot be used or another process does."""
        make_room(self.path)
        factory = Factory.forProtocol(lambda: _Session(self))
        factory.noisy = False
        try:
            self._port = self.reactor.listenUNIX(self.path, factory, mode=MODE)
            if (group := group_id()) is not None:
                os.chown(self.path, -1, group)
        except (CannotListenError, OSError) as error:
            if self._port is not None:
                self._port.stopListening()
            reason = getattr(error, "socketError", error)
            raise ResourceError(
                f"control socket {self.path}: {getattr(reason, 'strerror', None) or reason}; "
                "choose another with --socket or 'system control-socket'"
            ) from error

    async def move(self, path: str) -> None:
        """Listen at another path; open sessions stay. Raises ResourceError, then nothing has changed."""
        before, port = self.path, self._port
        self.path, self._port = path, None
        try:
            self.start()
        except ResourceError:
            self.path, self._port = before, port
            raise
        if port is not None:
            await port.stopListening()

    async def stop(self) -> None:
        """End all sessions and take the socket away."""
        for session in list(self._sessions):
            session.drop()
        if self._port is not None:
            port, self._port = self._port, None
            await port.stopListening()

    def enter(self, session: _Session) -> bool:
        """Take a place for a session; false if there is none."""
        if len(self._sessions) >= CLIENT_LIMIT:
            return False
        self._sessions.add(session)
        return True

    def leave(self, session: _Session) -> None:
        """Give a place back."""
        self._sessions.discard(session)


def make_room(path: str) -> None:
    """Make the directory of a socket and remove the socket of a dead process.

    Raises :class:`ResourceError` when a living process listens there, when something
    else has that name, and when the directory cannot be made.
    """
    advice = "choose another with --socket or 'system control-socket'"
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise ResourceError(f"control socket {path}: a file of that name exists; {advice}")
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as probe:
            probe.settimeout(1.0)
            outcome = probe.connect_ex(path)
        if outcome != errno.ECONNREFUSED:
            raise ResourceError(
                f"control socket {path}: socket in use by another process; stop it or {advice}"
            )
        os.unlink(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise ResourceError(f"control socket {path}: {error.strerror}; {advice}") from error
