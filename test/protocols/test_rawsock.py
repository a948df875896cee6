"""The mobility socket: a message that its reader stumbles over ends nothing."""

import errno
import socket
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.pmipv6.events import PacketReceived
from appliance.protocols.rawsock import MobilitySocket, claim, explain
from appliance.protocols.socket_reader import SILENCE

ADDRESS = "127.53.12.7"


class FakeReactor(Clock):
    """A clock that takes descriptors and does nothing with them."""

    def addReader(self, reader: Any) -> None:
        """Take a reader."""

    def removeReader(self, reader: Any) -> None:
        """Let a reader go."""

    addWriter = addReader
    removeWriter = removeReader


class StumblingTests(SynchronousTestCase):
    def test_exception(self) -> None:
        """The reader's exception stays inside, is logged seldom, and the next message is read."""
        got: list[PacketReceived] = []

        def reader(event: PacketReceived) -> None:
            if event.data.startswith(b"bad"):
                raise ValueError(event.data)
            got.append(event)

        reactor = FakeReactor()
        sock = MobilitySocket(reactor, socket.inet_aton(ADDRESS), reader)
        self.addCleanup(sock.stop)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for seconds, messages, logged in ((1.0, 3, 1), (SILENCE, 1, 1), (1.0, 1, 0)):
                reactor.advance(seconds)
                for _ in range(messages):
                    sender.sendto(b"bad", (ADDRESS, 5436))
                sender.sendto(b"good", (ADDRESS, 5436))
                sock.doRead()
                self.assertEqual(len(self.flushLoggedErrors(ValueError)), logged)
        self.assertEqual([event.data for event in got], [b"good"] * 3)


class FullSocket:
    """Takes nothing at first; then refuses what is marked bad."""

    def __init__(self) -> None:
        self.full = True
        self.sent: list[bytes] = []

    def sendto(self, data: bytes, _where: object) -> None:
        """Take one message."""
        if self.full:
            raise BlockingIOError
        if data == b"bad":
            raise OSError(errno.EHOSTUNREACH, "no route")
        self.sent.append(data)

    def close(self) -> None:
        """Close."""


class QueueTests(SynchronousTestCase):
    def test_lost(self) -> None:
        """What had to wait goes out in order; what the host refuses then is told, and holds up nothing."""
        lost: list[bool] = []
        sock = MobilitySocket(
            FakeReactor(), socket.inet_aton(ADDRESS), lambda _: None, lambda: lost.append(True)
        )
        sock._socket.close()
        full = sock._socket = FullSocket()
        self.addCleanup(sock.stop)
        for data in (b"one", b"bad", b"two"):
            self.assertTrue(sock.send(data, socket.inet_aton("127.0.0.1"), 5436))
        full.full = False
        sock.doWrite()
        self.assertEqual((full.sent, lost), ([b"one", b"two"], [True]))


class ClaimTests(SynchronousTestCase):
    def test_once(self) -> None:
        """An address has one owner at a time, who gives it back by closing."""
        holder = claim("2001:db8::77")
        error = self.assertRaises(OSError, claim, "2001:db8::77")
        self.assertEqual(error.errno, errno.EADDRINUSE)
        self.assertIn("in use by another process", explain(error, "socket"))
        claim("2001:db8::78").close()
        holder.close()
        claim("2001:db8::77").close()
