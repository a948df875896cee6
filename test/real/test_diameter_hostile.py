"""What strangers and bad peers get: an end, a log line and a counter; others do not notice."""

import contextlib
import gc
import socket
import struct
import time
from typing import Any

from appliance.protocols.diameter.message.codec import Message, frame
from appliance.protocols.diameter.node.events import Command
from appliance.protocols.diameter.transport import connections, tcp
from appliance.protocols.diameter.transport import link as transport
from appliance.strangers import Limits
from test.real.diameter_case import ACCOUNTING, ACR, Accountant, D, NodeCase, acr, cer
from test.real.pki import authority

WATCHDOG = 280


class Stranger:
    """A TCP connection by hand."""

    def __init__(self, port: int, source: str = "127.0.0.1") -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 10, (source, 0))
        self.socket.settimeout(10)

    def send(self, data: bytes) -> None:
        """Send octets."""
        with contextlib.suppress(ConnectionError):
            self.socket.sendall(data)

    def message(self) -> Message | None:
        """The next message; ``None``: the connection has ended."""
        data = b""
        with contextlib.suppress(ConnectionError):
            while len(data) < 4 or len(data) < int.from_bytes(data[1:4], "big"):
                size = int.from_bytes(data[1:4], "big") if len(data) >= 4 else 4
                more = self.socket.recv(size - len(data))
                if not more:
                    return None
                data += more
        return Message(data) if len(data) >= 20 else None

    def end(self) -> str:
        """Read to the end, and say how it came: ``closed`` or ``reset``."""
        try:
            while self.socket.recv(65_536):
                pass
        except ConnectionError:
            return "reset"
        return "closed"

    def close(self) -> None:
        """Hang up."""
        self.socket.close()


class HostileTests(NodeCase):
    """A server with one good client, and whoever else comes."""

    def setUp(self) -> None:
        """Start both."""
        super().setUp()
        self.server, self.client, self.accountant = self.pair()
        self.port = self.server.settings.listeners[0].port
        self.counters = self.server.connections.counters

    def stranger(self, source: str = "127.0.0.1") -> Stranger:
        """Somebody who connects."""
        made = Stranger(self.port, source)
        self.addCleanup(made.close)
        return made

    def good(self) -> None:
        """The good client is served all the same."""
        self.assert_success(self.ask(self.client))

    def test_garbage(self) -> None:
        """What is no Diameter is reset at once, told once for a source, and counted."""
        for count, garbage in enumerate(
            (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00", b"\0" * 40, b"\x02\0\0\x14", b"X"), 1
        ):
            stranger = self.stranger()
            stranger.send(garbage)
            self.assertEqual(stranger.end(), "reset", garbage)
            self.wait(lambda count=count: self.counters.garbage == count)
        self.assertEqual(sum("127.0.0.1" in text and level == "warning" for level, text in self.lines), 1)
        self.good()

    def test_bad_lengths(self) -> None:
        """A length that cannot be ends the connection."""
        for size in (0, 19, 21, 0xFFFFFC):
            stranger = self.stranger()
            stranger.send(struct.pack("!5I", 1 << 24 | size, 0x80 << 24 | 257, 0, 7, 9))
            self.assertEqual(stranger.end(), "reset")
        self.wait(lambda: self.counters.garbage == 4)
        self.good()

    def test_a_long_first_message(self) -> None:
        """A stranger may not have us keep a mebibyte."""
        stranger = self.stranger()
        stranger.send(struct.pack("!5I", 1 << 24 | 100_000, 0x80 << 24 | 257, 0, 7, 9) + bytes(50_000))
        self.assertEqual(stranger.end(), "reset")
        self.wait(lambda: self.counters.garbage == 1)

    def test_unknown_peer(self) -> None:
        """Who is not configured gets 3010 and the end of the connection."""
        stranger = self.stranger()
        stranger.send(cer("nobody.example"))
        answer = stranger.message()
        assert answer is not None
        self.assertEqual(answer.first(D["Result-Code"]), 3010)
        self.assertIn(stranger.end(), ("reset", "closed"))
        self.wait(lambda: self.server.connections.count == 1)
        self.assertEqual(self.server.connections._strangers.waiting, 0)
        self.good()

    def test_slow_loris(self) -> None:
        """Nothing, an octet now and then, and half a message later: all end, whatever is dripped."""
        self.patch(transport, "FIRST_MESSAGE_TIME", 1.0)
        self.patch(transport, "MESSAGE_TIME", 1.0)
        self.do(self.client.stop())
        silent, dripping, later = (self.stranger() for _ in range(3))
        later.send(cer("client.example"))
        self.assertIsNotNone(later.message())
        later.send(frame(WATCHDOG, 0, 0x80, 2, 2, bytes(400))[:200])
        begin = time.monotonic()
        whole = cer("client.example")
        ended = {}
        while len(ended) < 3 and time.monotonic() - begin < 8:
            dripping.send(whole[:1])
            whole = whole[1:]
            later.send(b"\0")
            for name, each in (("silent", silent), ("dripping", dripping), ("later", later)):
                each.socket.settimeout(0.05)
                with contextlib.suppress(TimeoutError):
                    ended.setdefault(name, each.end())
        self.assertEqual(set(ended), {"silent", "dripping", "later"})
        self.assertEqual(self.counters.slow, 3)
        self.assertTrue(self.said("no message within 1 seconds"))

    def test_limits_of_strangers(self) -> None:
        """One source gets so many places, all together so many; a newcomer takes one of the busiest."""
        limits = Limits(6, 4, 100, 100.0, 100, 100.0, "have not been accepted as a peer yet")
        self.server.connections._strangers._limits = limits
        crowd = [self.stranger() for _ in range(6)]
        self.wait(lambda: self.counters.refused == 2)
        self.assertTrue(self.said("connection refused", "4 connections of it"))
        others = [self.stranger("127.0.0.2") for _ in range(2)]
        self.wait(lambda: self.server.connections._strangers.waiting == 6)
        third = self.stranger("127.0.0.3")
        self.wait(lambda: self.counters.accepted == 8)
        self.assertEqual(self.server.connections._strangers.waiting, 6)
        third.send(cer("client.example"))
        self.assertIsNotNone(third.message())
        self.good()
        for each in (*crowd, *others):
            each.close()
        self.wait(lambda: self.server.connections._strangers.waiting == 0)

    def test_rate_of_strangers(self) -> None:
        """Whoever comes too often is refused, and the log stays short."""
        self.server.connections._strangers._limits = Limits(100, 100, 10, 1.0, 100, 100.0, "wait")
        for _ in range(30):
            self.stranger().close()
        self.wait(lambda: self.counters.refused >= 19)
        self.assertEqual(sum("127.0.0.1" in text and level == "warning" for level, text in self.lines), 1)
        self.assertEqual(connections.LIMITS.places_each, 50)

    def test_all_connections_in_use(self) -> None:
        """The configured number of connections is the most that there are; strangers keep nobody out."""
        self.server.settings.connection_limit = 2
        first, second = self.stranger(), self.stranger("127.0.0.2")
        self.assertEqual(second.end(), "closed")
        self.assertTrue(self.said("all 2 connections are in use"))
        time.sleep(connections.IDLE_TIME)
        third = self.stranger("127.0.0.3")
        self.assertEqual(first.end(), "reset")
        third.send(cer("nobody.example"))
        answer = third.message()
        assert answer is not None
        self.assertEqual(answer.first(D["Result-Code"]), 3010)
        self.good()

    def test_a_peer_that_does_not_read(self) -> None:
        """It is not listened to any more, then cut off; what waits for it never grows beyond the limit."""
        self.patch(transport, "CONGESTED_LIMIT", 20_000)
        self.patch(transport, "DEAF_LIMIT", 100_000)
        self.patch(transport, "STALL_TIME", 2.0)
        self.do(self.client.stop())
        deaf = self.stranger()
        deaf.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.send(cer("client.example"))
        self.assertIsNotNone(deaf.message())
        [connection] = self.server.connections._all
        request = frame(ACR, ACCOUNTING, 0xC0, 3, 3, acr("client.example", "x" * 2000))
        deaf.socket.setblocking(False)
        sent = most = 0
        until = time.monotonic() + 8
        while self.server.connections.count and time.monotonic() < until:
            numbers = sent.to_bytes(4, "big")
            try:
                deaf.socket.send(request[:12] + numbers + numbers + request[20:])
                sent += 1
            except BlockingIOError:
                time.sleep(0.01)
            except ConnectionError:
                break
            most = max(most, connection._waiting)
        self.wait(lambda: not self.server.connections.count)
        self.assertEqual(self.counters.stalled, 1)
        self.assertGreater(most, 20_000)
        self.assertLess(most, 1 << 20)

    def test_what_is_sent_last_arrives_before_the_reset(self) -> None:
        """A peer gets the answer that explains why its connection is reset, not only the reset."""
        self.do(self.client.stop())
        peer = self.stranger()
        peer.send(cer("client.example"))
        self.assertIsNotNone(peer.message())
        peer.send(struct.pack("!5I", 1 << 24 | 22, 0xC0 << 24 | ACR, ACCOUNTING, 7, 9))
        while (answer := peer.message()) is not None and answer.is_request:
            pass
        assert answer is not None
        self.assertEqual((answer.hop_by_hop, answer.first(D["Result-Code"])), (7, 5015))
        self.assertEqual(peer.end(), "reset")


class LeftoverTests(NodeCase):
    """What comes and goes leaves no reference cycles: nobody collects them."""

    def count(self, work: Any) -> int:
        """How many objects of ours and Twisted's only a full collection would free after ``work``."""
        work()
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)
        try:
            work()
            gc.set_debug(gc.DEBUG_SAVEALL)
            gc.collect()
            left = [type(each).__module__ + "." + type(each).__name__ for each in gc.garbage]
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()
        found = [name for name in left if name.startswith(("appliance.", "twisted.", "OpenSSL."))]
        self.assertEqual(found, [])
        return len(found)

    def test_connections(self) -> None:
        """Clear text, TLS of both kinds, and connections that do not come about."""
        trusted = authority(self.work)
        tls = {name: trusted.issue(f"{name}.example") for name in ("server", "client")}
        for kind in ("tcp", "tls", "tls-inband"):
            server, client, _ = self.pair(kind, server={"tls": tls["server"]}, client={"tls": tls["client"]})

            def again(client: Any = client, server: Any = server) -> None:
                self.call(client.command, Command("disconnect", "server.example"))
                self.wait(lambda: not server.connections.count)
                self.wait(
                    lambda: server.connections.count == 1 and client.usable("example", ACCOUNTING, True)
                )

            self.count(again)
            self.do(client.stop())
            self.do(server.stop())

    def test_failures(self) -> None:
        """Nobody is there."""
        _, client, _ = self.pair(start=False)
        spare = self.node(self.settings("spare"), Accountant("spare.example", "example"))
        listening = spare.connections

        def again() -> None:
            done: list[str] = []

            class Told(connections.Connections):
                def lost(self, connection: Any, text: str) -> None:
                    super().lost(connection, text)
                    done.append(text)

            owner = Told(self.reactor, spare.settings, lambda _: None, lambda _: "", self.tell)
            self.call(
                lambda: tcp.connect(
                    owner, 1, "tcp", (socket.inet_aton("127.0.0.1"), 1), longest=1000, timeout=5
                )
            )
            self.wait(lambda: done)

        again()
        self.count(again)
        self.assertEqual(listening.count, 0)
