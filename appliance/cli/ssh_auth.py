"""The service ``ssh-userauth`` (RFC 4252): who is this client?

::

    none       ▶ banner, list of methods
    publickey  ▶ is the key one of the user's?  ▶ signature ▶ logged in
    password   ▶ locked out? ▶ scrypt in a thread ▶ logged in, or a second of silence and no

A client has one request answered before its next is read. A user that does not exist gets the same
answers, and waits as long for them, as one that does.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from twisted.conch.ssh import transport, userauth
from twisted.conch.ssh.common import NS, getNS
from twisted.conch.ssh.service import SSHService

from appliance.cli.logins import Logins
from appliance.cli.passwords import Busy, Hashers
from appliance.cli.ssh_keys import USER_ALGORITHMS, blob_of, is_signed
from appliance.cli.ssh_streams import banner_lines
from appliance.cli.ssh_transport import QUIET, Connection
from appliance.management import Management, User
from appliance.protocols.timers import Now

TRIES = 6
"""Failed requests of a connection after which it is ended; each key that is offered counts."""
DELAY = 1.0
"""Seconds before a wrong password is answered."""
NAME_LIMIT = 64
"""Octets of a user name; the grammar allows 16 characters."""
METHODS = b"publickey,password"


class Authority(Protocol):
    """What the log-in needs of the SSH service."""

    management: Management
    logins: Logins
    hashers: Hashers
    clock: Callable[[], Now]

    def complain(self, connection: Connection, text: str) -> None:
        """Log something about a connection, if nothing was logged about its source lately."""

    def refused(self, connection: Connection, user: str, reason: str) -> None:
        """A log-in failed: audit it."""

    def locked_out(self, connection: Connection, who: str) -> None:
        """Somebody is locked out from now on: log and audit it."""

    def welcome(self, connection: Connection, user: User) -> Any:
        """The service that a logged-in client gets, or ``None`` if there is no room."""


class UserAuth(SSHService):
    """One connection's log-in."""

    name = b"ssh-userauth"
    protocolMessages = {userauth.MSG_USERAUTH_REQUEST: "MSG_USERAUTH_REQUEST"}
    transport: Any
    _log = QUIET

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._task: asyncio.Task[None] | None = None
        self._failures = 0
        self._greeted = False

    def serviceStopped(self) -> None:
        """The connection is gone, or logged in."""
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()

    def ssh_USERAUTH_REQUEST(self, packet: bytes) -> None:
        """The client tries to log in."""
        user, service, method, rest = getNS(packet, 3)
        if self._task is not None:
            # Nothing is gained by asking twice at a time, but for somebody who guesses.
            self._cut(b"one request at a time")
        elif service != b"ssh-connection" or len(user) > NAME_LIMIT:
            self._cut(b"no such service or user")
        else:
            self._greet()
            # Names that are not UTF-8 are nobody's.
            name = user.decode("utf-8", "backslashreplace")
            if method == b"password" and rest[:1] == b"\0":
                self._later(self._password(name, getNS(rest[1:])[0]))
            elif method == b"publickey":
                self._public_key(name, user, rest)
            else:
                self._no(counts=method != b"none")

    # ---- methods

    def _public_key(self, name: str, user: bytes, rest: bytes) -> None:
        signed, (algorithm, blob, rest) = rest[:1] != b"\0", getNS(rest[1:], 2)
        # No lock-out here: nobody guesses a key, and a stranger could else shut operators out of the house.
        known = self._authority.management.user(name)
        line = next((each for each in known.keys if blob_of(each) == blob), "") if known else ""
        kind = USER_ALGORITHMS.get(algorithm)
        if known is None or not line or kind is None or line.split()[0].encode() != kind:
            # A key that is not the user's is a question and no attack: it locks nobody out.
            self._no()
        elif not signed:
            self.transport.sendPacket(userauth.MSG_USERAUTH_PK_OK, NS(algorithm) + NS(blob))
        else:
            signature = getNS(rest)[0]
            data = NS(self.transport.sessionID) + bytes((userauth.MSG_USERAUTH_REQUEST,)) + NS(user)
            data += NS(b"ssh-connection") + NS(b"publickey") + b"\1" + NS(algorithm) + NS(blob)
            if is_signed(line, algorithm, signature, data):
                self._yes(known)
            else:
                # Whoever knows a public key can do this as often as he likes; the audit log is not his.
                if not self._is_locked(name):
                    self._wrong(name, "bad signature")
                self._no()

    async def _password(self, name: str, secret: bytes) -> None:
        authority = self._authority
        if self._is_locked(name):
            await self._slow_no()
            return
        known = authority.management.user(name)
        try:
            text = secret.decode("utf-8", "surrogateescape")
            right = await authority.hashers.verify(text, known.password if known else "")
        except Busy as error:
            authority.complain(self.transport, str(error))
            await self._slow_no()
            return
        # The configuration may have changed meanwhile, and others may have failed as this user.
        locked = self._is_locked(name)
        if right and known == authority.management.user(name) and not locked and known:
            self._yes(known)
            return
        if not locked:
            self._wrong(name, "wrong password" if known else "no such user")
        await self._slow_no()

    # ---- answers

    def _greet(self) -> None:
        """Send the banner before the first answer (RFC 4252, section 5.4)."""
        lines = banner_lines(self._authority.management.banner_pre_login)
        if lines and not self._greeted:
            text = "".join(f"{line}\r\n" for line in lines).encode()
            self.transport.sendPacket(userauth.MSG_USERAUTH_BANNER, NS(text) + NS(b""))
        self._greeted = True

    def _yes(self, user: User) -> None:
        service = self._authority.welcome(self.transport, user)
        if service is None:
            self._cut(b"all sessions are in use")
            return
        self.transport.sendPacket(userauth.MSG_USERAUTH_SUCCESS, b"")
        self.transport.authenticated(user, service)

    def _no(self, counts: bool = True) -> None:
        self._failures += counts
        if self._failures >= TRIES:
            self.transport.sendDisconnect(
                transport.DISCONNECT_NO_MORE_AUTH_METHODS_AVAILABLE, b"too many failed log-ins"
            )
            return
        self.transport.sendPacket(userauth.MSG_USERAUTH_FAILURE, NS(METHODS) + b"\0")

    async def _slow_no(self) -> None:
        await asyncio.sleep(DELAY)
        self._no()

    def _wrong(self, name: str, reason: str) -> None:
        authority = self._authority
        authority.refused(self.transport, name, reason)
        now = authority.clock().mono
        for who in authority.logins.failed(name, self.transport.source, authority.management, now):
            authority.locked_out(self.transport, who)

    def _is_locked(self, name: str) -> bool:
        authority = self._authority
        now = authority.clock().mono
        locked = authority.logins.locked(name, self.transport.source, authority.management, now)
        if locked:
            authority.complain(self.transport, f"log-in as {name[:NAME_LIMIT]} while locked out")
        return locked

    def _cut(self, text: bytes) -> None:
        self.transport.sendDisconnect(transport.DISCONNECT_BY_APPLICATION, text)

    def _later(self, coroutine: Any) -> None:
        self._task = asyncio.ensure_future(coroutine)
        self._task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._task = None
        if not task.cancelled() and (error := task.exception()) is not None:
            self.transport.server.broken(self.transport, error)
            self.transport.abort()
