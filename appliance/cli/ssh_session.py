"""The service ``ssh-connection`` (RFC 4254): channels with an operator's session in each.

::

    pty + shell     ▶ TerminalSession          keys, prompt, pages, resize
    shell           ▶ LineSession              lines of standard input, numbered
    exec            ▶ LineSession              the lines of the command

Everything else a client may ask for (environment, agent, X11, forwarding, subsystems) is refused.
A session ends with exit-status, EOF and close, in this order and when all output has been taken.
"""

import asyncio
import contextlib
import struct
from collections.abc import Callable
from typing import Any, Protocol

from attrs import define
from twisted.conch.error import ConchError
from twisted.conch.ssh import connection, session
from twisted.conch.ssh.channel import SSHChannel
from twisted.conch.ssh.common import getNS
from twisted.python.failure import Failure

from appliance.cli.face import ConnectionLost
from appliance.cli.operators import Operators, OperatorSession
from appliance.cli.ssh_streams import Lines, Link, banner_lines, decode, each
from appliance.cli.ssh_transport import QUIET, UNSENT_LIMIT, Connection
from appliance.cli.values import CommandError
from appliance.log import Facility
from appliance.management import Management, User

CHANNEL_LIMIT = 10
"""Sessions in one connection, as OpenSSH's MaxSessions."""
WINDOW, MAX_PACKET = 65_536, 32_768
SIZE_LIMIT = 1000
"""Rows and columns of a terminal that are believed."""
LINGER = 60.0
"""Seconds that a connection without a session is kept, and that a client may take for the last output,
and to close its side of a session that is over."""
ASK_INTERVAL = 0.05
"""Seconds between two looks at what was typed ahead, while that is much."""
END_TIME = 5.0
"""Seconds that a terminal has to say why its session ends."""


class Host(Protocol):
    """What sessions need of the SSH service."""

    reactor: Any
    management: Management
    operators: Operators
    make_terminal: Callable[..., Any]
    make_script: Callable[..., Any]

    def complain(self, connection: Connection, text: str) -> None:
        """Log something about a connection, if nothing was logged about its source lately."""


class Channels(connection.SSHConnection):
    """All channels of one connection."""

    transport: Any
    _log = QUIET

    def __init__(self, host: Host) -> None:
        super().__init__()
        self._host = host
        self._lingering: Any = None

    def serviceStarted(self) -> None:
        """The client is logged in; now it wants a channel."""
        self._linger()

    def serviceStopped(self) -> None:
        """The connection is gone."""
        if self._lingering is not None:
            self._lingering.cancel()
            self._lingering = None
        super().serviceStopped()

    def sessions(self) -> "list[SessionChannel]":
        """The open channels."""
        return list(self.channels.values())

    def flow_changed(self) -> None:
        """The transport takes more, or no more."""
        for channel in self.sessions():
            channel.wake()

    def getChannel(self, channelType: bytes, windowSize: int, maxPacket: int, data: bytes) -> Any:
        """A channel that the client opens. Raises ConchError: anything but a session, or too many."""
        if channelType != b"session":
            raise ConchError(connection.OPEN_ADMINISTRATIVELY_PROHIBITED, "only sessions are served")
        if len(self.channels) >= CHANNEL_LIMIT or maxPacket < 1:
            raise ConchError(connection.OPEN_RESOURCE_SHORTAGE, "too many sessions in this connection")
        channel = SessionChannel(self._host, self.transport, windowSize, min(maxPacket, MAX_PACKET))
        channel.conn = self
        if self._lingering is not None:
            self._lingering.cancel()
            self._lingering = None
        return channel

    def channelClosed(self, channel: Any) -> None:
        """A channel is closed on both sides."""
        super().channelClosed(channel)
        if not self.channels and self.transport.service is self:
            self._linger()

    def gotGlobalRequest(self, requestType: bytes, data: bytes) -> int:
        """Refuse: no forwarding. A keep-alive request takes a refusal for an answer, too."""
        return 0

    def adjustWindow(self, channel: Any, bytesToAdd: int) -> None:
        """Let the client send more, unless the channel still has enough to read."""
        if channel.full:
            channel.hold()
        else:
            super().adjustWindow(channel, bytesToAdd)

    def _linger(self) -> None:
        if self._lingering is None:
            self._lingering = self._host.reactor.callLater(LINGER, self._leave)

    def _leave(self) -> None:
        self._lingering = None
        self.transport.end()


@define
class Pty:
    """The client's terminal; 0 rows or columns: unknown."""

    term: str
    rows: int
    columns: int


class SessionChannel(SSHChannel):
    """One operator's session."""

    conn: Any
    name = b"session"
    _log = QUIET
    _errors = Facility("ssh")

    def __init__(self, host: Host, link: Connection, window: int, max_packet: int) -> None:
        super().__init__(WINDOW, MAX_PACKET, window, max_packet)
        self._host = host
        self._connection = link
        self._pty: Pty | None = None
        self._task: asyncio.Task[None] | None = None
        self._session: OperatorSession | None = None
        self._terminal: Any = None
        self._lines: Lines | None = None
        self._early = b""
        self._ended_early = False
        self._gone = False
        self._reason = ""
        self._open = asyncio.Event()
        self._ending: Any = None
        self._asking: Any = None

    # ---- requests

    def requestReceived(self, requestType: bytes, data: bytes) -> bool:
        """Do what the client asks for; false refuses it."""
        # Made anew each time: an object that knows its own methods stays after its end.
        requests: dict[bytes, Callable[[bytes], bool]] = {
            b"pty-req": self._want_pty,
            b"window-change": self._resize,
            b"shell": lambda _: self._start(None),
            b"exec": lambda data: self._start(getNS(data)[0]),
            b"signal": self._signal,
        }
        request = requests.get(requestType)
        if request is None:
            return False
        try:
            return request(data)
        except (struct.error, ValueError, IndexError):
            # Conch takes the fields of a request apart without a look at its length.
            return False
        except Exception:  # noqa: BLE001 - logged; the client only learns of a refusal
            self._errors.failure("ssh {origin}: request", origin=self._connection.origin)
            return False

    def _want_pty(self, data: bytes) -> bool:
        term, (rows, columns, _, _), _ = session.parseRequest_pty_req(data)
        if self._task is not None or self._pty is not None:
            return False
        self._pty = Pty(term[:64].decode("ascii", "replace"), _size(rows), _size(columns))
        return True

    def _resize(self, data: bytes) -> bool:
        rows, columns, _, _ = session.parseRequest_window_change(data)
        if self._pty is None:
            return False
        self._pty.rows, self._pty.columns = _size(rows), _size(columns)
        if self._terminal is not None:
            self._terminal.resize(self._pty.rows, self._pty.columns)
        return True

    def _signal(self, data: bytes) -> bool:
        if getNS(data)[0] not in (b"INT", b"TERM", b"HUP") or self._task is None:
            return False
        self._interrupt()
        return True

    def _start(self, command: bytes | None) -> bool:
        if self._task is not None:
            return False
        self._task = asyncio.ensure_future(self._serve(command))
        self._task.add_done_callback(self._served)
        return True

    # ---- what the client types

    @property
    def full(self) -> bool:
        """Whether what the client sent has to be read before it may send more."""
        if self._terminal is not None:
            waiting: int = self._terminal.pending
        elif self._lines is not None:
            waiting = self._lines.waiting
        else:
            waiting = len(self._early)
        return waiting > WINDOW // 2

    def hold(self) -> None:
        """The client has to wait until something was read. Terminals do not tell; they are asked."""
        if self._terminal is not None and self._asking is None:
            self._asking = self._host.reactor.callLater(ASK_INTERVAL, self._ask)

    def _ask(self) -> None:
        self._asking = None
        if self.full:
            self.hold()
        else:
            self.refill()

    def refill(self) -> None:
        """Something was read: let the client send more."""
        if not self.full and self.localWindowLeft < WINDOW // 2 and not self._gone:
            self.conn.adjustWindow(self, WINDOW - self.localWindowLeft)

    def dataReceived(self, data: bytes) -> None:
        """The client typed something."""
        if self._terminal is not None:
            self._terminal.feed(data)
            return
        if self._session is not None:
            self._session.touch()
        if self._lines is not None:
            self._lines.feed(data)
        elif self._session is None:
            # Between the request and its start: as much as the window allows.
            self._early += data
        elif self._pty is not None and b"\x03" in data:
            # A command in a terminal: the client is in raw mode and sends ^C as a character.
            self._interrupt()

    def extReceived(self, dataType: int, data: bytes) -> None:
        """Nothing is read from a client's standard error."""

    def eofReceived(self) -> None:
        """The client will type no more."""
        self._ended_early = True
        if self._terminal is not None:
            self._terminal.eof()
        elif self._lines is not None:
            self._lines.eof()

    def closeReceived(self) -> None:
        """The client closes: what it has not taken is nobody's now."""
        self.buf, self.extBuf = b"", []
        self._stop()
        self.conn.sendClose(self)

    def closed(self) -> None:
        """The channel, or the connection, is gone."""
        self._stop()

    def openFailed(self, reason: object) -> None:
        """The connection went while the channel was opened."""
        self._stop()

    def _stop(self) -> None:
        self._gone = True
        for timer in (self._asking, self._ending):
            if timer is not None and timer.active():
                timer.cancel()
        self.wake()
        self._interrupt()

    def _interrupt(self) -> None:
        if self._task is not None:
            self._task.cancel()

    # ---- what the client is shown

    def send(self, data: bytes, stderr: bool) -> None:
        """Send octets; more than ``UNSENT_LIMIT`` of them that the client does not take cut it off."""
        if self._gone or self.localClosed or self.closing:
            return
        waiting = len(self.buf) + sum(len(each[1]) for each in self.extBuf)
        if waiting + len(data) > UNSENT_LIMIT:
            self._host.complain(self._connection, f"{waiting} octets were not taken; connection ended")
            self._connection.abort()
        elif stderr:
            self.writeExtended(connection.EXTENDED_DATA_STDERR, data)
        else:
            self.write(data)

    @property
    def _writable(self) -> bool:
        return self.remoteWindowLeft > 0 and not self.buf and not self.extBuf and self._connection.writable

    def addWindowBytes(self, data: int) -> None:
        """The client takes more."""
        super().addWindowBytes(data)
        self.wake()

    def wake(self) -> None:
        """Something changed for who waits in :meth:`drain`."""
        self._open.set()

    async def drain(self) -> None:
        """Wait until output goes to the client instead of into memory. Raises :class:`ConnectionLost`."""
        await asyncio.sleep(0)
        while not self._gone and not self._writable:
            self._open.clear()
            await self._open.wait()
        if self._gone:
            raise ConnectionLost

    # ---- the session

    def end(self, reason: str) -> None:
        """The registry wants the session to end."""
        self._reason = self._reason or reason
        if self._terminal is None:
            self._interrupt()
            return
        self._terminal.close(reason)
        # A client that takes nothing would not let the terminal say it.
        self._ending = self._host.reactor.callLater(END_TIME, self._interrupt)

    async def _serve(self, command: bytes | None) -> None:
        """Run the session from its log-in to its exit status."""
        status = 1
        try:
            status = await self._run(command)
        except CommandError as error:
            self._complain(str(error))
        except ConnectionLost:
            return
        except asyncio.CancelledError:
            if self._gone:
                raise
            if self._reason:
                self._complain(f"session ended: {self._reason}")
            else:
                status = 130
        except Exception:  # noqa: BLE001 - logged; one broken session must not end the others
            self._errors.failure("ssh {origin}: session", origin=self._connection.origin)
            self._complain("internal error; the log tells more")
        finally:
            self._terminal = self._lines = None
            if self._session is not None:
                self._session.leave()
            if self._ending is not None and self._ending.active():
                self._ending.cancel()
        await self._finish(status)

    async def _run(self, command: bytes | None) -> int:
        user = self._user()
        interactive = self._pty is not None and command is None
        self._session = self._host.operators.enter(
            user.username, user.rights, self._connection.origin, "ssh", interactive, self.end, user
        )
        early, self._early = self._early, b""
        if interactive:
            return await self._run_terminal(self._session, early)
        script: Any = self._host.make_script(
            self._session.shell, self._link(False), self._link(True), self._session.touch
        )
        status: int
        if command is not None:
            lines = decode(command, "command: ").split("\n")
            status = await script.run(each(lines), keep_going=False, numbered=len(lines) > 1)
            return status
        self._lines = Lines(self)
        self._lines.feed(early)
        if self._ended_early:
            self._lines.eof()
        self.refill()
        status = await script.run(aiter(self._lines), keep_going=False, numbered=True)
        return status

    async def _run_terminal(self, entered: OperatorSession, early: bytes) -> int:
        assert self._pty is not None
        pty, link = self._pty, Link(self, False, True)
        terminal = self._host.make_terminal(
            entered.shell, link, pty.term, pty.rows, pty.columns, entered.touch
        )
        self._terminal = terminal
        entered.notify = terminal.notice
        if early:
            terminal.feed(early)
        self.refill()
        if self._ended_early:
            terminal.eof()
        status: int = await terminal.run(banner_lines(self._host.management.banner))
        return status

    def _user(self) -> User:
        """The user as configured now: changed rights apply to new sessions."""
        name = self._connection.user.username if self._connection.user else ""
        user = self._host.management.user(name)
        if user is None:
            raise CommandError(f"user {name} was removed")
        return user

    def _link(self, stderr: bool) -> Link:
        # In a terminal, standard error has no place of its own.
        plain = self._pty is None
        return Link(self, stderr and plain, plain)

    def _complain(self, text: str) -> None:
        self._link(True).write(f"Failure: {text}\n".encode())

    async def _finish(self, status: int) -> None:
        """Tell the exit status when the client has taken everything, and close."""
        with contextlib.suppress(TimeoutError, ConnectionLost):
            await asyncio.wait_for(self.drain(), LINGER)
        if self._gone or self.localClosed:
            return
        self.buf, self.extBuf = b"", []
        self.conn.sendRequest(self, b"exit-status", struct.pack(">L", status & 0xFF))
        self.conn.sendEOF(self)
        self.loseConnection()
        # A client that does not close its side would keep the connection for ever.
        self._ending = self._host.reactor.callLater(LINGER, self._connection.abort)

    def _served(self, task: "asyncio.Task[None]") -> None:
        if task.cancelled():
            if not self._gone:
                # It was cancelled a second time, while it told its exit status.
                self.loseConnection()
            return
        if (error := task.exception()) is not None:
            self._errors.failure(
                "ssh {origin}: end of a session", Failure(error), origin=self._connection.origin
            )
            self._connection.abort()


def _size(number: int) -> int:
    return number if number <= SIZE_LIMIT else 0
