"""The control socket: a shell for each local client that is root or in the group ``appliance``.

One JSON object a line each way. For scripts::

    server: {"status": 0, "lines": [], "prompt": ""}                  greeting
    client: {"line": "show clock"}
    server: {"lines": [... at most 500 ...]}                          any number of these, as they come;
    server: {"lines": [...], "failed": true}                          they tell why the command failed
    server: {"status": 0, "lines": [], "prompt": "...", "closed": false}   the end of an answer

For a person the first request is a terminal, and octets go both ways as latin-1 text until the end::

    client: {"terminal": {"term": "xterm", "rows": 24, "columns": 80}}
    client: {"keys": TEXT} / {"resize": [ROWS, COLUMNS]} / {"end": true}   (nothing more is typed)
    server: {"screen": TEXT}, and at last {"exit": STATUS}

Who is refused gets ``{"status": 1, "lines": [...], "closed": true, "refused": true}``. Requests are
done one after the other. A client that reads slowly holds a chunk of an answer in memory and not the
process; one that reads nothing for a minute is dropped, and what ran for a client that has gone is cancelled.
"""

import asyncio
import contextlib
import errno
import json
import os
import select
import socket
import stat
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import Factory, connectionDone
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from appliance.cli import peer
from appliance.cli.face import ConnectionLost
from appliance.cli.script import LineSession
from appliance.cli.shell import Shell
from appliance.cli.terminal import TerminalSession
from appliance.cli.values import CommandError
from appliance.errors import ResourceError
from appliance.log import Facility

MODE = 0o660
LINE_LIMIT = 65_536
"""Octets of a request."""
CLIENT_LIMIT = 32
REQUEST_LIMIT = 16
"""Requests that may wait for the one that is done; who sends more is not read meanwhile."""
CHUNK, CHUNK_TEXT = 500, 65_536
"""Lines, and about as many characters, of output in one object."""
STALL = 60.0
"""Seconds in which a client has to take a part of its answer."""
PARTING = 1.0
"""Seconds that clients have to read that the process stops."""
ORIGIN, SERVICE = "control socket", "console"


class Session(Protocol):
    """What the registry of operators gives for a client (``operators.OperatorSession``)."""

    shell: Shell
    notify: Callable[[Sequence[str]], None] | None

    def touch(self) -> None:
        """The operator did something."""

    def leave(self) -> None:
        """The session is over."""


class Registry(Protocol):
    """Who is logged in (``operators.Operators``)."""

    def enter(
        self,
        user: str,
        rights: str,
        origin: str,
        service: str,
        tty: bool,
        end: Callable[[str], None],
        limits: None,
    ) -> Session:
        """Begin a session. Raises :class:`CommandError` when there are too many."""


@implementer(IPushProducer)
class _Flow:
    """Whether a client takes what is written; ``stalled()`` is called after ``STALL`` seconds without."""

    def __init__(self, reactor: Any, stalled: Callable[[], None]) -> None:
        self._reactor = reactor
        self._stalled = stalled
        self._open = asyncio.Event()
        self._open.set()
        self._lost = False
        self._timer: Any = None

    def pauseProducing(self) -> None:
        """The transport holds enough."""
        self._open.clear()
        self.watch()

    def resumeProducing(self) -> None:
        """The client has taken all of it."""
        self.rest()
        self._open.set()

    def stopProducing(self) -> None:
        """The client is gone."""
        self.rest()
        self._lost = True
        self._open.set()

    def watch(self) -> None:
        """From now on the client has ``STALL`` seconds."""
        self.rest()
        self._timer = self._reactor.callLater(STALL, self._stalled)

    def rest(self) -> None:
        """The client need not hurry."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None

    async def drained(self) -> None:
        """Wait until the client has taken what was written. Raises :class:`ConnectionLost`."""
        await self._open.wait()
        if self._lost:
            raise ConnectionLost


@implementer(IHalfCloseableProtocol)
class _Client(LineReceiver):
    """One client."""

    transport: Any
    delimiter = b"\n"
    MAX_LENGTH = LINE_LIMIT

    def __init__(self, server: "ControlServer") -> None:
        self.gone: Deferred[None] = Deferred()
        """Fires when the connection is closed."""
        self._server = server
        self._user = self._rights = ""
        self._flow = _Flow(server.reactor, self.drop)
        self._requests: deque[Any] = deque()
        self._arrived = asyncio.Event()
        self._ended = False
        self._refused = False
        self._reason = ""
        self._session: Session | None = None
        self._terminal: TerminalSession | None = None
        self._task: asyncio.Task[None] | None = None

    # What Twisted calls.

    def connectionMade(self) -> None:
        """Look at who it is, then greet or refuse."""
        self.transport.registerProducer(self._flow, True)
        uid, gid = peer.identity(self.transport.socket)
        self._user, self._rights = peer.user_name(uid), peer.rights_of(uid, gid)
        if not self._rights:
            self._refuse(f"user {self._user} may not attach: be root or a member of the group {peer.GROUP}")
        elif not self._server.enter(self):
            self._refuse(f"all {CLIENT_LIMIT} sessions are in use; end one of them")
        else:
            self.tell({"status": 0, "lines": [], "prompt": ""})
            self._task = asyncio.ensure_future(self._serve())

    def lineReceived(self, line: bytes) -> None:
        """Take one request."""
        if self._refused:
            return
        try:
            request = json.loads(line)
        except (ValueError, RecursionError):
            request = None
        if self._terminal is not None:
            self._steer(self._terminal, request)
            return
        self._requests.append(request)
        self._arrived.set()
        if len(self._requests) >= REQUEST_LIMIT:
            self.pauseProducing()  # type: ignore[no-untyped-call]

    def lineLengthExceeded(self, line: bytes) -> None:
        """Refuse a line that would fill the memory."""
        self._refuse(f"a request is longer than {LINE_LIMIT} octets")

    def readConnectionLost(self) -> None:
        """The client sends no more; it may still read, unless it is gone altogether."""
        poll = select.poll()
        poll.register(self.transport.fileno(), 0)
        if poll.poll(0):
            self.drop()
            return
        self._ended = True
        self._arrived.set()
        if self._terminal is not None:
            self._terminal.eof()

    def writeConnectionLost(self) -> None:
        """The client reads no more."""
        self.drop()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Free the place, and cancel what runs."""
        self._flow.stopProducing()
        if self._task is not None:
            self._task.cancel()
        self._server.leave(self)
        self.gone.callback(None)

    # What the server calls.

    def end(self, reason: str) -> None:
        """End the session and say why."""
        self._reason = self._reason or reason
        if self._terminal is not None:
            self._terminal.close(reason)
        elif self._task is not None:
            self._task.cancel()

    def drop(self) -> None:
        """End the connection now."""
        self.transport.abortConnection()

    def tell(self, message: dict[str, Any]) -> None:
        """Write one object."""
        self.transport.write(json.dumps(message).encode() + b"\n")

    # Inside: one task for each client.

    async def _serve(self) -> None:
        try:
            while not self._ended or self._requests:
                if not self._requests:
                    self._arrived.clear()
                    await self._arrived.wait()
                elif not await self._answer(self._take()):
                    break
        except ConnectionLost:
            pass
        except asyncio.CancelledError:
            if self._reason:
                self._say(f"session ended: {self._reason}")
        except CommandError as error:
            self._say(str(error), refused=True)
        except Exception:  # noqa: BLE001 - one client's session ends, with a line in the log
            self._server.logger.failure("session of {user} failed", user=self._user)
        finally:
            if self._session is not None:
                self._session.leave()
            self._disconnect()

    def _take(self) -> Any:
        request = self._requests.popleft()
        if len(self._requests) == REQUEST_LIMIT - 1 and not self._ended:
            self.resumeProducing()  # type: ignore[no-untyped-call]
        return request

    async def _answer(self, request: Any) -> bool:
        """Do a request; false if it was the last one."""
        if isinstance(request, dict) and isinstance(request.get("terminal"), dict) and not self._session:
            await self._run_terminal(request["terminal"])
            return False
        shell = self._enter(False).shell
        if isinstance(request, dict) and isinstance(request.get("line"), str):
            assert self._session is not None
            status = await LineSession(shell, self._send, self._session.touch).execute(request["line"])
        else:
            await self._send(['Failure: {"line": TEXT} or {"terminal": {...}} is wanted'], True)
            status = 1
        self.tell({"status": status, "lines": [], "prompt": shell.prompt, "closed": shell.closed})
        await self._flow.drained()
        return not shell.closed

    async def _send(self, lines: Sequence[str], failed: bool) -> None:
        at = 0
        while at < len(lines):
            size = 0
            end = at
            while end < len(lines) and end - at < CHUNK and size < CHUNK_TEXT:
                size += len(lines[end])
                end += 1
            part = {"lines": list(lines[at:end])}
            self.tell(part | {"failed": True} if failed else part)
            await self._flow.drained()
            at = end

    async def _run_terminal(self, wanted: dict[str, Any]) -> None:
        session = self._enter(True)
        rows, columns = _number(wanted.get("rows")), _number(wanted.get("columns"))
        term = str(wanted.get("term") or "")[:64]
        self._terminal = terminal = TerminalSession(
            session.shell, _Octets(self, self._flow), term, rows, columns, session.touch
        )
        session.notify = terminal.notice
        while self._requests:
            self._steer(terminal, self._take())
        if self._ended:
            terminal.eof()
        status = await terminal.run()
        self.tell({"exit": status})

    def _enter(self, tty: bool) -> Session:
        if self._session is None:
            self._session = self._server.operators.enter(
                self._user, self._rights, ORIGIN, SERVICE, tty, self.end, None
            )
        return self._session

    def _steer(self, terminal: TerminalSession, request: Any) -> None:
        """Do what the client of a terminal sends; anything else is nothing."""
        if not isinstance(request, dict):
            return
        if isinstance(keys := request.get("keys"), str):
            terminal.feed(keys.encode("latin-1", "replace"))
        size = request.get("resize")
        if isinstance(size, list) and len(size) == 2:
            terminal.resize(_number(size[0]), _number(size[1]))
        if request.get("end") is True:
            terminal.eof()

    def _say(self, text: str, refused: bool = False) -> None:
        end = {"status": 1, "lines": [f"Failure: {text}"], "prompt": "", "closed": True}
        self.tell(end | {"refused": True} if refused else end)

    def _refuse(self, text: str) -> None:
        if self._refused:
            return
        self._refused = True
        self._say(text, refused=True)
        if self._task is not None:
            self._task.cancel()
        else:
            self._disconnect()

    def _disconnect(self) -> None:
        """Close the connection when the client has what was written, or after ``STALL`` seconds."""
        if self.transport.connected:
            self.transport.unregisterProducer()
            self._flow.watch()
            self.transport.loseConnection()


class _Octets:
    """The ``Transport`` of a terminal."""

    def __init__(self, client: _Client, flow: _Flow) -> None:
        self._client = client
        self._flow = flow

    def write(self, data: bytes) -> None:
        """Send octets for the screen."""
        self._client.tell({"screen": data.decode("latin-1")})

    async def drain(self) -> None:
        """Wait for the client. Raises :class:`ConnectionLost`."""
        await self._flow.drained()


def _number(value: Any) -> int:
    return value if isinstance(value, int) and 0 <= value <= 0xFFFF else 0


class _Clients(Factory):
    noisy = False

    def logPrefix(self) -> str:
        """How Twisted names it when it listens."""
        return "Control socket"


class ControlServer:
    """Listens on ``path``; ``operators`` makes the session and the shell of each client."""

    logger = Facility("control")

    def __init__(self, reactor: Any, path: str, operators: Registry) -> None:
        self.reactor = reactor
        self.path = path
        self.operators = operators
        self._port: Any = None
        self._sessions: set[_Client] = set()

    def start(self) -> None:
        """Listen. Raises :class:`ResourceError` when the path cannot be used or another process does."""
        make_room(self.path)
        factory = _Clients.forProtocol(lambda: _Client(self))
        try:
            self._port = self.reactor.listenUNIX(self.path, factory, mode=MODE)
            if (group := peer.group_id()) is not None:
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
        """End all sessions and take the socket away. To be run by a Deferred, not by asyncio."""
        if self._port is not None:
            port, self._port = self._port, None
            await port.stopListening()
        leaving = [session.gone for session in self._sessions]
        for session in list(self._sessions):
            session.end("the appliance stops")
        timer = self.reactor.callLater(PARTING, self._drop_all)
        await DeferredList(leaving)
        if timer.active():
            timer.cancel()

    def _drop_all(self) -> None:
        for session in list(self._sessions):
            session.drop()

    def enter(self, session: _Client) -> bool:
        """Take a place for a session; false if there is none."""
        if len(self._sessions) >= CLIENT_LIMIT:
            return False
        self._sessions.add(session)
        return True

    def leave(self, session: _Client) -> None:
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
            # Where many wait to be let in, this says so instead of waiting with them.
            probe.setblocking(False)
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
