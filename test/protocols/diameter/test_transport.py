"""One connection: its limits on a clock of our own; and how messages become those of SCTP."""

import socket
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.diameter.message.codec import Malformed, frame
from appliance.protocols.diameter.transport import link as transport
from appliance.protocols.diameter.transport.link import Connection, TransportCounters, packed, text_of
from appliance.protocols.diameter.transport.sctp_base import Association, parse_sockaddrs, sockaddr

MESSAGE = frame(280, 0, 0x80, 1, 1, bytes(80))


class Owner:
    """Notes what it is told."""

    keeper = None

    def __init__(self) -> None:
        self.reactor = Clock()
        self.counters = TransportCounters()
        self.told: list[tuple[Any, ...]] = []
        self.fails = False

    def established(self, connection: Connection) -> None:
        self.told.append(("established",))

    def received(self, connection: Connection, messages: list[bytes]) -> None:
        if self.fails:
            raise ValueError("on purpose")
        self.told.append(("received", *messages))

    def unreadable(self, connection: Connection, fault: Malformed, head: bytes) -> None:
        self.told.append(("unreadable", fault.code, head))

    def secured(self, connection: Connection) -> None:
        self.told.append(("secured",))

    def congested(self, connection: Connection, full: bool) -> None:
        self.told.append(("congested", full))

    def noticed(self, connection: Connection, text: str) -> None:
        self.told.append(("noticed", text))

    def lost(self, connection: Connection, text: str) -> None:
        self.told.append(("lost", text))


class Kind(Connection):
    """A kind of connection that notes what it has to do."""

    def __init__(self, owner: Owner, incoming: bool = True) -> None:
        super().__init__(owner, 2, "tcp", incoming)
        self.done: list[Any] = []

    def _send(self, data: bytes) -> None:
        self.done.append(len(data))

    def _finish(self) -> None:
        self.done.append("finish")

    def _reset(self) -> None:
        self.done.append("reset")
        self._gone("")

    def _listen(self, wanted: bool) -> None:
        self.done.append("listen" if wanted else "deaf")


class ConnectionTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.owner = Owner()
        self.one = Kind(self.owner)
        self.one._open()

    def after(self, seconds: float) -> str:
        """What is overdue then."""
        self.owner.reactor.advance(seconds)
        return self.one.overdue(self.owner.reactor.seconds())

    def test_first_message(self) -> None:
        """A peer that connected has so long for its first message; one that we connected to has not."""
        self.assertEqual(self.after(10.0), "")
        self.assertIn("no message", self.after(0.1))
        self.assertEqual(self.owner.counters.slow, 1)
        self.one._deliver([MESSAGE])
        self.assertEqual(self.after(100), "")
        ours = Kind(self.owner, incoming=False)
        self.owner.reactor.advance(100)
        self.assertEqual(ours.overdue(self.owner.reactor.seconds()), "")

    def test_rest_of_a_message(self) -> None:
        """What was begun has to end; more octets of it do not prolong that."""
        self.one._deliver([MESSAGE])
        self.one._partial(True)
        self.assertEqual(self.after(20), "")
        self.one._partial(True)
        self.assertIn("not whole", self.after(10.1))
        self.one._partial(False)
        self.assertEqual(self.after(100), "")

    def test_congestion(self) -> None:
        """Told, then deaf, then cut off; all is well again when the peer has taken everything."""
        self.one._deliver([MESSAGE])
        block = bytes(1 << 18)
        self.one.write(block)
        self.one._stuck()
        for _ in range(4):
            self.one.write(block)
        self.assertNotIn(("congested", True), self.owner.told)
        self.one.write(block)
        self.assertEqual(self.owner.told[-1], ("congested", True))
        self.assertNotIn("deaf", self.one.done)
        for _ in range(12):
            self.one.write(block)
        self.assertEqual(self.one.done.count("deaf"), 1)
        self.one._flowing()
        self.assertEqual(self.owner.told[-1], ("congested", False))
        self.assertEqual(self.one.done[-1], "listen")
        self.one._stuck()
        for _ in range(80):
            self.one.write(block)
        self.assertTrue(self.one.ending)
        self.assertLess(sum(each for each in self.one.done[-64:] if isinstance(each, int)), 17 << 20)
        self.owner.reactor.advance(0)
        self.assertEqual(self.owner.told[-1][0], "lost")
        self.assertIn("not taken", self.owner.told[-1][1])
        self.assertEqual(self.owner.counters.stalled, 1)

    def test_stall(self) -> None:
        """Little waits, but it is never taken."""
        self.one._deliver([MESSAGE])
        self.one._stuck()
        self.assertEqual(self.after(30), "")
        self.one._stuck()
        self.assertIn("30 seconds", self.after(0.1))

    def test_close(self) -> None:
        """Nothing is sent after it, it does not last for ever, and its reason is the one that is told."""
        self.one.close("enough")
        self.one.write(MESSAGE)
        self.one.close("again")
        self.assertEqual(self.one.done, ["finish"])
        self.assertEqual(self.after(5.0), "")
        text = self.after(0.1)
        self.assertIn("what was sent last", text)
        self.one.abort(text)
        self.one.abort("twice")
        self.assertEqual(self.one.done, ["finish", "reset"])
        self.assertEqual(self.owner.told[-1], ("lost", text))

    def test_an_owner_that_raises(self) -> None:
        """It is logged, and the connection goes on."""
        self.owner.fails = True
        self.one._deliver([MESSAGE])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.owner.fails = False
        self.one._deliver([MESSAGE])
        self.assertEqual(self.owner.told[-1], ("received", MESSAGE))

    def test_addresses(self) -> None:
        """Text and octets of addresses; what is mapped is IPv4."""
        for text in ("192.0.2.1", "2001:db8::1"):
            self.assertEqual(text_of(packed(text)), text)
        self.assertEqual(packed("::ffff:192.0.2.1"), packed("192.0.2.1"))
        self.assertEqual(packed("fe80::1%eth0"), packed("fe80::1"))


class Sctp(Association):
    """An association that takes ``room`` messages."""

    def __init__(self, owner: Owner, incoming: bool) -> None:
        super().__init__(owner, 2, incoming, 1 << 20)
        self.room = 100
        self.put: list[tuple[int, bool]] = []
        self.done: list[str] = []

    def _put(self, data: bytes, unordered: bool) -> bool:
        if not self.room:
            return False
        self.room -= 1
        self.put.append((len(data), unordered))
        return True

    def _hear(self, wanted: bool) -> None:
        self.done.append("hear" if wanted else "enough")

    def _shut(self) -> None:
        self.done.append("shut")

    def _listen(self, wanted: bool) -> None:
        self.done.append("listen" if wanted else "deaf")

    def _reset(self) -> None:
        self._gone("")


class AssociationTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.owner = Owner()

    def bring(self, one: Sctp, *pieces: tuple[bytes, bool]) -> None:
        """Let a turn bring these pieces."""
        try:
            for data, last in pieces:
                one._piece(data, last)
        except Malformed as fault:
            one._batch(fault, data)
        else:
            one._batch()

    def test_order(self) -> None:
        """Whoever was connected to keeps order until the second message, the other one until the first."""
        for incoming, ordered in ((True, 2), (False, 1)):
            one = Sctp(self.owner, incoming)
            for _ in range(3):
                one.write(MESSAGE)
                self.bring(one, (MESSAGE, True))
            self.assertEqual(
                [unordered for _, unordered in one.put], [False] * ordered + [True] * (3 - ordered)
            )

    def test_pieces(self) -> None:
        """A long message comes in pieces; what a turn has brought is given in one go."""
        one = Sctp(self.owner, False)
        self.bring(one, (MESSAGE, True), (MESSAGE[:50], False))
        self.assertEqual(self.owner.told, [("received", MESSAGE)])
        self.bring(one, (MESSAGE[50:70], False), (MESSAGE[70:], True), (MESSAGE, True))
        self.assertEqual(self.owner.told[-1], ("received", MESSAGE, MESSAGE))

    def test_no_message(self) -> None:
        """A wrong length, two messages in one, too short, too long: each is a fault."""
        for data in (MESSAGE[:-4], MESSAGE + MESSAGE, MESSAGE[:10], b"\2" + MESSAGE[1:]):
            self.owner.told.clear()
            self.bring(Sctp(self.owner, False), (MESSAGE, True), (data, True))
            self.assertEqual([each[0] for each in self.owner.told], ["received", "unreadable"])
        self.assertEqual(self.owner.counters.garbage, 4)
        stranger = Sctp(self.owner, True)
        long = frame(280, 0, 0x80, 1, 1, bytes(1 << 17))
        self.owner.told.clear()
        self.bring(stranger, (long[:1000], False))
        self.assertEqual(self.owner.told[0][:2], ("unreadable", 5015))
        known = Sctp(self.owner, True)
        known.trust()
        self.bring(known, (long[:70_000], False), (long[70_000:], True))
        self.assertEqual(self.owner.told[-1], ("received", long))

    def test_pieces_without_end(self) -> None:
        """Pieces that are together longer than the message says end before they fill memory."""
        one = Sctp(self.owner, True)
        head = frame(280, 0, 0x80, 1, 1, bytes(60_000))[:1000]
        self.bring(one, (head, False), *[(bytes(1000), False)] * 100)
        self.assertEqual(self.owner.told[-1][:2], ("unreadable", 5015))

    def test_no_room(self) -> None:
        """What has no room waits in order, and goes out when there is; the end comes behind it."""
        one = Sctp(self.owner, False)
        one.room = 1
        for size in (20, 24, 28):
            one.write(frame(280, 0, 0x80, 1, 1, bytes(size)))
        one.close()
        self.assertEqual((one.put, one.done), ([(40, False)], ["hear"]))
        one.room = 1
        one._drain()
        self.assertEqual(one.done, ["hear"])
        one.room = 5
        one._drain()
        self.assertEqual([size for size, _ in one.put], [40, 44, 48])
        self.assertEqual(one.done, ["hear", "enough", "shut"])

    def test_sockaddrs(self) -> None:
        """Addresses as the system calls have them, also cut off and of unknown families."""
        v4, v6 = packed("192.0.2.1"), packed("2001:db8::1")
        data = sockaddr(v4, 3868) + sockaddr(v6, 5868) + sockaddr(packed("::ffff:1.2.3.4")[-4:], 1)
        self.assertEqual(parse_sockaddrs(data, 3), [(v4, 3868), (v6, 5868), (packed("1.2.3.4"), 1)])
        mapped = sockaddr(bytes(10) + b"\xff\xff" + v4, 7)
        self.assertEqual(parse_sockaddrs(mapped, 1), [(v4, 7)])
        self.assertEqual(parse_sockaddrs(data[:40], 3), [(v4, 3868)])
        self.assertEqual(parse_sockaddrs(b"\x01\0" + bytes(30), 2), [])
        self.assertEqual(socket.inet_ntoa(v4), "192.0.2.1")

    def test_paths(self) -> None:
        """An address of the peer that is lost or back is told."""
        one = Sctp(self.owner, False)
        where = sockaddr(packed("192.0.2.1"), 3868).ljust(128, b"\0")
        for state in (2, 1, 6):
            one._path(bytes(8) + where + state.to_bytes(4, "little") + bytes(8), 2, 1)
        texts = [text for what, text in self.owner.told if what == "noticed"]
        self.assertEqual(texts, ["address 192.0.2.1 is lost", "address 192.0.2.1 is back"])


class ValueTests(SynchronousTestCase):
    def test_limits_fit_together(self) -> None:
        """Requests stop before reading stops, and that before the end."""
        self.assertLess(transport.CONGESTED_LIMIT, transport.DEAF_LIMIT)
        self.assertLess(transport.DEAF_LIMIT, transport.UNSENT_LIMIT)
