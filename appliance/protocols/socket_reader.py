"""What all sockets share that read packets for a core as descriptors of the reactor."""

import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from zope.interface import implementer

_log = Logger()

#: Seconds between two log lines about packets that raised an exception.
SILENCE = 10.0


@implementer(IReadDescriptor)
class SocketReader:
    """Base of them: owns the socket; a subclass reads in :meth:`doRead`, and hands over by :meth:`hand`.

    ``name`` is for the log. Nothing is read before :meth:`start`.
    """

    def __init__(self, reactor: Any, sock: socket.socket, name: str) -> None:
        self._reactor = reactor
        self._socket = sock
        self._name = name
        self._silent_until = 0.0

    @property
    def socket(self) -> socket.socket:
        """The socket, to set options or to ask the kernel how it is doing."""
        return self._socket

    def start(self) -> None:
        """Begin to read."""
        self._reactor.addReader(self)

    def stop(self) -> None:
        """Stop reading and close the socket."""
        self._reactor.removeReader(self)
        self._socket.close()

    def fileno(self) -> int:
        """The file descriptor."""
        return self._socket.fileno()

    def logPrefix(self) -> str:
        """The name used by the reactor when something goes wrong here."""
        return self._name

    def connectionLost(self, reason: Any) -> None:
        """Close on the reactor's word."""
        self.stop()

    def doRead(self) -> None:
        """Read a bounded number of packets."""
        raise AssertionError("each kind of socket reads in its own way")

    def hand(self, take: Callable[[Any], object], event: Any) -> None:
        """Give a packet to who takes it."""
        try:
            take(event)
        except Exception:  # noqa: BLE001
            # An exception that leaves doRead makes the reactor close the socket: one packet must not end the
            # service for everybody.
            self.stumbled()

    def stumbled(self) -> None:
        """Log the exception being handled, seldom enough that packets cannot flood the log."""
        now = self._reactor.seconds()
        if now >= self._silent_until:
            self._silent_until = now + SILENCE
            _log.failure("{name}: a message could not be dealt with", name=self._name)
