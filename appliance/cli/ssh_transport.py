"""The SSH transport for strangers: what Conch does, with modern algorithms only and limits on all else.

::

    TCP ──▶ version line ──▶ key exchange ──▶ ssh-userauth (ssh_auth) ──▶ ssh-connection (ssh_session)

Conch trusts a peer to keep the order of the protocol and to read what it is sent. Here everything that
is out of order, too long or too slow ends the connection. Server and service see it as ``Connection``.
"""

import socket
import struct
from typing import Any, Protocol

from twisted.conch.ssh import transport
from twisted.conch.ssh.common import NS, getNS
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from appliance.cli.ssh_keys import USER_ALGORITHMS
from appliance.management import User
from appliance.strangers import source_of

VERSION_LIMIT = 255
"""Octets of the client's version line (RFC 4253, section 4.2)."""
PACKET_LIMIT = 65_536
"""Octets of a packet; RFC 4253, section 6.1, demands 35,000."""
TURN = 32
"""Packets of one client that are dealt with before others have a turn."""
GRACE = 30.0
"""Seconds for the log-in, and for the client's part of every later key exchange."""
KEEP_ALIVE = ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 15), (socket.TCP_KEEPCNT, 4))
"""A client that has vanished without a word is missed after two minutes."""
UNSENT_LIMIT = 8 << 20
"""Octets that may wait for a client which takes nothing before it is cut off."""
CLOSE_TIME = 5.0
"""Seconds in which a client has to take what was sent last."""

KEY_EXCHANGES = (
    b"mlkem768x25519-sha256",
    b"curve25519-sha256",
    b"curve25519-sha256@libssh.org",
    b"ecdh-sha2-nistp256",
    b"ecdh-sha2-nistp384",
    b"ecdh-sha2-nistp521",
)
CIPHERS = (b"aes256-ctr", b"aes192-ctr", b"aes128-ctr")
MACS = (b"hmac-sha2-512", b"hmac-sha2-256")
HOST_KEYS = (b"ssh-ed25519",)

#: Conch tells about every connection, and what a stranger sent, at levels that operators read.
QUIET = Logger(namespace="conch", observer=lambda _event: None)  # type: ignore[arg-type]


class Server(Protocol):
    """What a connection needs of the SSH service."""

    reactor: Any

    def new_service(self, connection: "Connection") -> Any:
        """The service ``ssh-userauth`` for this connection."""

    def complain(self, connection: "Connection", text: str) -> None:
        """Log something about a connection, if nothing was logged about its source lately."""

    def broken(self, connection: "Connection") -> None:
        """Log the exception that is being handled."""

    def settled(self, connection: "Connection") -> None:
        """The connection is logged in, or gone before it was."""

    def closed(self, connection: "Connection") -> None:
        """The connection is gone."""


class _Flow:
    """Told by the TCP transport whether the client takes what is sent (IPushProducer)."""

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection

    def pauseProducing(self) -> None:
        """The client does not keep up: answer nothing more until it has caught up."""
        self._connection.choke(True)

    def resumeProducing(self) -> None:
        """All that was sent is with the kernel."""
        self._connection.choke(False)

    def stopProducing(self) -> None:
        """The connection is gone; ``connectionLost`` tells it too."""


class Connection(transport.SSHServerTransport):
    """One client, from its version line on. ``factory`` has the host keys."""

    transport: Any
    _log = QUIET
    ourVersionString = b"SSH-2.0-appliance"
    supportedKeyExchanges = [
        each for each in KEY_EXCHANGES if each in transport.SSHTransportBase.supportedKeyExchanges
    ]
    supportedCiphers = list(CIPHERS)
    supportedMACs = list(MACS)
    supportedPublicKeys = list(HOST_KEYS)
    supportedCompressions = [b"none"]

    def __init__(self, server: Server, host: str, port: int) -> None:
        self.server = server
        self.user: User | None = None
        """Who logged in, as configured then."""
        # A listener on :: has clients of IPv4, too.
        host = host.removeprefix("::ffff:") if "." in host else host
        self.origin = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        """Address and port of the client, as operators read it."""
        self.source = source_of(host)
        """What the client's address is counted as."""
        self._agreed = False
        self._exchanging = False
        self._replied = False
        self._ended = False
        self._choked = False
        self._unsent = 0
        self._behind = False
        self._budget = TURN
        self._grace: Any = None
        self._killer: Any = None

    # ---- begin and end

    def connectionMade(self) -> None:
        """Send the version line and the algorithms; the time for the log-in begins."""
        self.transport.setTcpNoDelay(True)
        self.transport.setTcpKeepAlive(True)
        for option, value in KEEP_ALIVE:
            self.transport.getHandle().setsockopt(socket.IPPROTO_TCP, option, value)
        self.transport.registerProducer(_Flow(self), True)
        self._grace = self.server.reactor.callLater(GRACE, self._too_slow)
        super().connectionMade()

    def connectionLost(self, reason: Failure | None = connectionDone) -> None:
        """Stop what runs for this client."""
        self._ended = True
        self._cancel("_grace")
        self._cancel("_killer")
        if self.service is not None:
            service, self.service = self.service, None
            service.serviceStopped()
        if self.user is None:
            self.server.settled(self)
        self.server.closed(self)

    def authenticated(self, user: User, service: Any) -> None:
        """The client is logged in: go on with ``service``."""
        self.user = user
        self._cancel("_grace")
        self.server.settled(self)
        self.setService(service)

    def sendDisconnect(self, reason: int, desc: bytes | str) -> None:
        """Say why and end the connection. A second call does nothing."""
        if self._ended:
            return
        text = desc.encode() if isinstance(desc, str) else desc
        if self.user is None:
            self.server.complain(self, text.decode("ascii", "replace"))
        self.sendPacket(transport.MSG_DISCONNECT, struct.pack(">L", reason) + NS(text) + NS(b""))
        self.end()

    @property
    def ended(self) -> bool:
        """Whether its end has begun."""
        return self._ended

    def end(self) -> None:
        """End the connection when the client has taken what was sent, or soon in any case."""
        if self._ended:
            return
        self._ended = True
        self._cancel("_grace")
        # A paused producer would keep the connection open.
        self.transport.unregisterProducer()
        self.transport.loseConnection()
        self._killer = self.server.reactor.callLater(CLOSE_TIME, self.abort)

    def abort(self) -> None:
        """End the connection at once."""
        self._ended = True
        self.transport.abortConnection()

    def _too_slow(self) -> None:
        self._grace = None
        self.sendDisconnect(transport.DISCONNECT_BY_APPLICATION, b"too slow")

    def _cancel(self, name: str) -> None:
        timer = getattr(self, name)
        setattr(self, name, None)
        if timer is not None and timer.active():
            timer.cancel()

    # ---- flow

    @property
    def writable(self) -> bool:
        """Whether what is written now goes to the client instead of into memory."""
        return not self._choked and self._keyExchangeState == self._KEY_EXCHANGE_NONE

    def sendPacket(self, messageType: int, payload: bytes) -> None:
        """Send a message; one that has to wait is counted."""
        self._unsent = 0 if self.writable else self._unsent + len(payload)
        if self._unsent > UNSENT_LIMIT and not self._ended:
            self.server.complain(self, f"{self._unsent} octets were not taken; connection ended")
            self.abort()
        super().sendPacket(messageType, payload)

    def choke(self, choked: bool) -> None:
        """The client does not take, or takes again, what it is sent.

        As long as it does not, it is not listened to either: its requests could only add answers.
        """
        self._choked = choked
        self._listen()
        self._flow_changed()

    def _listen(self) -> None:
        if self._ended:
            return
        if self._choked or self._behind:
            self.transport.pauseProducing()
        else:
            self.transport.resumeProducing()

    def _flow_changed(self) -> None:
        changed = getattr(self.service, "flow_changed", None)
        if changed is not None:
            changed()

    # ---- what the client sends

    def dataReceived(self, data: bytes) -> None:
        """Take octets of the client."""
        if self._ended or not self._is_ssh(data):
            return
        self._budget = TURN
        try:
            super().dataReceived(data)
        except Exception:  # noqa: BLE001 - logged by the server
            # Conch parses without a net: a short field is a struct.error, an unknown channel a KeyError.
            self.server.broken(self)
            self.abort()
            return
        behind = self._budget <= 0 and not self._ended
        if behind:
            self.server.reactor.callLater(0, self._go_on)
        if behind is not self._behind:
            self._behind = behind
            self._listen()

    def _go_on(self) -> None:
        if not self._ended:
            self.dataReceived(b"")

    def _is_ssh(self, data: bytes) -> bool:
        """Whether the client's first line can still become a version line; if not, end the connection."""
        if self.gotVersion:
            return True
        line, end, _ = (self.buf + data[: VERSION_LIMIT + 1]).partition(b"\n")
        if (line + end)[:4] == b"SSH-"[: len(line + end)] and len(line) <= VERSION_LIMIT:
            return True
        self.sendDisconnect(transport.DISCONNECT_PROTOCOL_ERROR, b"this is an SSH server")
        return False

    def getPacket(self) -> bytes | None:
        """The next packet; ``None`` when it is not whole, or when it is the turn of others."""
        if self._ended or self._budget <= 0:
            return None
        self._budget -= 1
        packet: bytes | None = super().getPacket()
        first = getattr(self, "first", None)
        if packet is None and first is not None and struct.unpack(">L", first[:4])[0] > PACKET_LIMIT:
            self.sendDisconnect(transport.DISCONNECT_PROTOCOL_ERROR, b"packet too long")
        return packet

    def dispatchMessage(self, messageNum: int, payload: bytes) -> None:
        """Deal with a message, if it is its turn (RFC 4253, sections 7 and 9)."""
        if messageNum == transport.MSG_DISCONNECT:
            self.end()
        elif not self._is_in_order(messageNum):
            self.sendDisconnect(transport.DISCONNECT_PROTOCOL_ERROR, b"message %d out of order" % messageNum)
        elif messageNum >= 20 or messageNum == transport.MSG_SERVICE_REQUEST:
            super().dispatchMessage(messageNum, payload)

    def _is_in_order(self, number: int) -> bool:
        if number == transport.MSG_KEXINIT:
            # One exchange has to do before the log-in: they are what costs time.
            return not self._exchanging and (not self._agreed or self.user is not None)
        if number == transport.MSG_NEWKEYS:
            return self._replied
        if 30 <= number <= 49:
            return number == transport.MSG_KEX_DH_GEX_REQUEST_OLD and self._exchanging and not self._replied
        if number >= 50:
            return self._agreed and not self._exchanging and self.service is not None
        if number == transport.MSG_SERVICE_REQUEST:
            return self._agreed and not self._exchanging and self.service is None
        # IGNORE, UNIMPLEMENTED, DEBUG, EXT_INFO: not in the clear, where somebody else could have put them.
        return self._agreed and number in (2, 3, 4, 7)

    def ssh_KEXINIT(self, packet: bytes) -> None:
        """The client begins a key exchange, or answers our beginning of the first one."""
        self._exchanging = True
        if self._grace is None:
            self._grace = self.server.reactor.callLater(GRACE, self._too_slow)
        super().ssh_KEXINIT(packet)

    def _keySetup(self, sharedSecret: bytes, exchangeHash: bytes) -> None:
        super()._keySetup(sharedSecret, exchangeHash)
        self._replied = True

    def ssh_NEWKEYS(self, packet: bytes) -> None:
        """The client uses the new keys from now on; so do we."""
        self._agreed = True
        self._exchanging = self._replied = False
        if self.user is not None:
            self._cancel("_grace")
        super().ssh_NEWKEYS(packet)
        self._flow_changed()

    def sendExtInfo(self, extensions: Any) -> None:
        """Name the signatures that users may log in with (RFC 8308); Conch would name the host key's."""
        super().sendExtInfo([(b"server-sig-algs", b",".join(USER_ALGORITHMS))])

    def ssh_SERVICE_REQUEST(self, packet: bytes) -> None:
        """The client wants a service: the log-in, which leads to the only other one."""
        name, _ = getNS(packet)
        if name != b"ssh-userauth":
            self.sendDisconnect(transport.DISCONNECT_SERVICE_NOT_AVAILABLE, b"log in first")
            return
        self.sendPacket(transport.MSG_SERVICE_ACCEPT, NS(name))
        self.setService(self.server.new_service(self))
