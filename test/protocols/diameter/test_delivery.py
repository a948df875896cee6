"""Delivery: order in a session, lanes, window, tries; by itself, with the disk as a list."""

from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.diameter.client import delivery as module
from appliance.protocols.diameter.client import unstored
from appliance.protocols.diameter.client.delivery import (
    ACKNOWLEDGED,
    BUSY,
    KEPT,
    LOST,
    NO_ROOM,
    REFUSED,
    SILENT,
    UNSENT,
    Delivery,
)
from appliance.protocols.diameter.client.spool_format import DELIVERED, INTERIM, START, Entry, route
from appliance.protocols.diameter.message.dictionary import standard

SESSION_ID = standard()["Session-Id"]
HOME = route(3, "home.example", "")
AWAY = route(3, "away.example", "")


class Disk:
    """A delivery with its disk; ``up`` are the routes with a server."""

    def __init__(self, boundary: int = 1, retries: int = 1, window: int = 8) -> None:
        self.up = {HOME, AWAY}
        self.records: dict[int, Entry] = {}
        self.now = 0.0
        self.serial = boundary - 1
        self.boundary = boundary
        self.delivery = Delivery(lambda where: where in self.up, boundary, 0, retries, lambda: 0.5, window)
        self.sent: list[tuple[int, bool]] = []

    def make(self, session: str, where: bytes = HOME, kind: int = START, call_id: int = 0) -> Entry:
        """A record with the next serial."""
        self.serial += 1
        body = SESSION_ID.encode(session)
        return Entry(kind, 1.0, self.serial, where, body, call_id or self.serial, serial=self.serial)

    def left(self, count: int, where: bytes = HOME) -> None:
        """Records that an earlier process has left, each of another session."""
        for serial in range(1, count + 1):
            self.records[serial] = Entry(START, 1.0, serial, where, SESSION_ID.encode(f"old{serial}"), 5)
            self.records[serial].serial = serial
        self.delivery.last = max(self.delivery.last, count)

    def store(self, *entries: Entry) -> None:
        """They are on the disk."""
        for entry in entries:
            self.records[entry.serial] = entry
        self.delivery.stored(list(entries))

    def read(self) -> bool:
        """Do one read, as the spool would: fresh entries, those that are not marked."""
        read = self.delivery.wanted()
        self.mark()
        if read is None:
            return False
        found: list[Entry] = []
        upto = read.until
        for serial in sorted(self.records):
            if not read.after < serial <= read.until:
                continue
            if len(found) == read.limit:
                upto = serial - 1
                break
            entry = self.records[serial]
            if read.only in (b"", entry.route) and entry.route not in read.skip:
                found.append(
                    Entry(
                        entry.kind, entry.made, entry.end_to_end, entry.route, entry.body, entry.call_id,
                        serial=serial,
                    )
                )  # fmt: skip
        self.delivery.loaded(found, upto)
        return True

    def mark(self) -> None:
        """Write the marks."""
        for mark in self.delivery.marks:
            if mark & DELIVERED:
                self.records.pop(mark >> 2, None)
        self.delivery.marks.clear()

    def pump(self, most: int = 100) -> list[int]:
        """Look at lanes that are due, and send; returns serials."""
        deadline = self.delivery.deadline
        if deadline is not None and deadline <= self.now:
            self.delivery.look(self.now)
        self.delivery.pump(self.now, most)
        sends, self.delivery.sends = self.delivery.sends, []
        self.sent += [(entry.serial, repeated) for entry, repeated in sends]
        return [entry.serial for entry, _ in sends]

    def answer(self, how: str, *serials: int) -> None:
        """End tries of records."""
        for serial in serials:
            self.delivery.answered(serial, how, self.now)

    def outcomes(self) -> list[tuple[int, str]]:
        """What sessions were told."""
        found = [(entry.serial, what) for entry, what in self.delivery.outcomes]
        self.delivery.outcomes.clear()
        return found


class OrderTests(SynchronousTestCase):
    def test_one_record_of_a_session_at_a_time(self) -> None:
        """The next one goes when the one before has its answer; other sessions do not wait."""
        disk = Disk()
        first, second, third, other = (disk.make(name) for name in ("a", "a", "a", "b"))
        disk.store(first, second, third, other)
        self.assertEqual(disk.pump(), [1])
        disk.answer(ACKNOWLEDGED, 1)
        self.assertEqual(disk.pump(), [2, 4])
        disk.answer(REFUSED, 2)
        self.assertEqual(disk.pump(), [3])
        disk.answer(ACKNOWLEDGED, 3, 4)
        self.assertEqual(
            disk.outcomes(), [(1, ACKNOWLEDGED), (2, REFUSED), (3, ACKNOWLEDGED), (4, ACKNOWLEDGED)]
        )
        disk.mark()
        self.assertEqual(disk.records, {})
        self.assertEqual((disk.delivery.memory, disk.delivery._behind), ({}, {}))

    def test_a_lane_begins_slowly(self) -> None:
        """One record, then twice as many after each success, up to the window."""
        disk = Disk(window=8)
        disk.store(*(disk.make(f"s{n}") for n in range(60)))
        counts = []
        for _ in range(5):
            sent = disk.pump()
            counts.append(len(sent))
            for serial in sent[:1]:
                disk.answer(ACKNOWLEDGED, serial)
            for serial in sent[1:]:
                disk.answer(ACKNOWLEDGED, serial)
        self.assertEqual(counts[:2], [1, 2])
        self.assertEqual(counts[-1], 8)

    def test_lanes_take_turns(self) -> None:
        """A long lane does not keep a short one waiting."""
        disk = Disk(window=64)
        disk.store(*(disk.make(f"s{n}") for n in range(200)))
        disk.store(*(disk.make(f"a{n}", AWAY) for n in range(5)))
        answered: list[int] = []
        for _ in range(8):
            sent = disk.pump(32)
            disk.answer(ACKNOWLEDGED, *sent)
            answered += sent
        self.assertEqual([serial for serial in answered if serial > 200], [201, 202, 203, 204, 205])


class LaneTests(SynchronousTestCase):
    def test_no_server(self) -> None:
        """Nothing is sent, sessions hear that their records are kept, and memory lets them go."""
        disk = Disk()
        disk.up = set()
        disk.store(disk.make("a"), disk.make("b"))
        self.assertEqual(disk.pump(), [])
        self.assertEqual(disk.outcomes(), [(1, KEPT), (2, KEPT)])
        self.assertEqual(disk.delivery.memory, {})
        disk.store(disk.make("c"))
        self.assertEqual(disk.outcomes(), [(3, KEPT)])
        self.assertFalse(disk.delivery.hungry)
        disk.up = {HOME}
        disk.delivery.wake(disk.now)
        disk.pump()
        self.assertTrue(disk.delivery.hungry)
        self.assertTrue(disk.read())
        sent = disk.pump()
        self.assertEqual(sent, [1])
        disk.answer(ACKNOWLEDGED, 1)
        self.assertEqual(disk.pump(), [2, 3])
        self.assertEqual(disk.sent, [(1, False), (2, False), (3, False)])

    def test_without_being_told(self) -> None:
        """A server that came back without a word is found after a while."""
        disk = Disk()
        disk.up = set()
        disk.store(disk.make("a"))
        disk.pump()
        disk.up = {HOME}
        self.assertEqual(disk.delivery.deadline, module.LOOK_AGAIN)
        disk.now = module.LOOK_AGAIN
        disk.pump()
        disk.read()
        self.assertEqual(disk.pump(), [1])

    def test_one_route_down(self) -> None:
        """The others go on, and reading goes past what cannot be sent."""
        disk = Disk(boundary=3_001)
        disk.left(2_000, AWAY)
        for serial in range(2_001, 3_001):
            disk.records[serial] = Entry(START, 1.0, serial, HOME, SESSION_ID.encode(f"h{serial}"))
            disk.records[serial].serial = serial
        disk.delivery.last = 3_000
        disk.up = {HOME}
        got: list[int] = []
        for _ in range(3_000):
            disk.read()
            sent = disk.pump()
            got += sent
            disk.answer(ACKNOWLEDGED, *sent)
            if len(got) == 1_000:
                break
        self.assertEqual(got, list(range(2_001, 3_001)))
        self.assertLess(len(disk.delivery.memory), 10)
        disk.up = {HOME, AWAY}
        disk.delivery.wake(disk.now)
        got = []
        for _ in range(3_000):
            sent = disk.pump()
            got += sent
            disk.answer(ACKNOWLEDGED, *sent)
            disk.read()
        self.assertEqual(got, list(range(1, 2_001)))

    def test_pauses_grow(self) -> None:
        """After each failure twice as long, at most a minute; the first success ends it."""
        disk = Disk(retries=0)
        disk.store(disk.make("a"), disk.make("b"))
        pauses = []
        for _ in range(9):
            self.assertEqual(disk.pump(), [1])
            disk.answer(BUSY, 1)
            deadline = disk.delivery.deadline
            assert deadline is not None
            pauses.append(deadline - disk.now)
            self.assertEqual(disk.pump(), [])
            disk.now = deadline
            disk.pump()
            disk.read()
        self.assertEqual(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60])
        self.assertEqual(disk.pump(), [1])
        disk.answer(ACKNOWLEDGED, 1)
        self.assertEqual(disk.pump(), [2])
        disk.answer(BUSY, 2)
        self.assertEqual(disk.delivery.deadline, disk.now + 1)

    def test_many_failures_at_once_are_one(self) -> None:
        """A window full of tries that fail together makes one pause."""
        disk = Disk(retries=0)
        disk.store(*(disk.make(f"s{n}") for n in range(20)))
        for _ in range(2):
            disk.answer(ACKNOWLEDGED, *disk.pump())
        flying = disk.pump()
        self.assertEqual(len(flying), 8)
        disk.answer(SILENT, *flying)
        self.assertEqual(disk.delivery.deadline, disk.now + 1)

    def test_too_many_routes(self) -> None:
        """Beyond the limit they share a lane, and nothing is forgotten."""
        disk = Disk(window=64)
        routes = [route(3, f"r{n}.example", "") for n in range(module.LANES + 40)]
        disk.up = set()
        disk.store(*(disk.make(f"s{n}", where) for n, where in enumerate(routes)))
        disk.pump()
        self.assertLessEqual(len(disk.delivery.lanes), module.LANES + 1)
        disk.up = set(routes)
        disk.delivery.wake(disk.now)
        for _ in range(2_000):
            disk.answer(ACKNOWLEDGED, *disk.pump())
            disk.read()
        self.assertEqual(disk.records, {})


class TryTests(SynchronousTestCase):
    def test_the_t_flag(self) -> None:
        """First never, after no answer always, after an error answer never (RFC 6733 section 3)."""
        disk = Disk(retries=0)
        disk.store(disk.make("a"))
        for how in (SILENT, BUSY, UNSENT, SILENT, UNSENT, ACKNOWLEDGED):
            disk.pump()
            disk.answer(how, 1)
            disk.now = disk.delivery.deadline or disk.now
            disk.pump()
            disk.read()
        self.assertEqual([repeated for _, repeated in disk.sent], [False, True, False, False, True, True])

    def test_records_of_an_earlier_process(self) -> None:
        """They may have been sent: T flag, unless an error answer has come since; no session hears."""
        disk = Disk(boundary=3, retries=0)
        disk.left(2)
        disk.read()
        disk.pump()
        disk.answer(BUSY, 1)
        disk.now = 1.0
        disk.pump()
        disk.read()
        disk.answer(ACKNOWLEDGED, *disk.pump())
        disk.answer(ACKNOWLEDGED, *disk.pump())
        self.assertEqual(disk.sent, [(1, True), (1, False), (2, True)])
        self.assertEqual(disk.outcomes(), [])

    def test_again_at_once(self) -> None:
        """Without an answer a record is sent again as often as configured, then its lane pauses."""
        disk = Disk(retries=2)
        disk.store(disk.make("a"), disk.make("a"))
        for _ in range(3):
            self.assertEqual(disk.pump(), [1])
            disk.answer(SILENT, 1)
        self.assertEqual(disk.pump(), [])
        self.assertEqual(disk.outcomes(), [(1, KEPT), (2, KEPT)])

    def test_a_record_that_never_gets_an_answer(self) -> None:
        """Its session is put off, the others go on; when it is answered its session goes on in order."""
        disk = Disk(retries=0)
        disk.store(disk.make("bad"), disk.make("bad"), disk.make("x"), disk.make("y"), disk.make("z"))
        good: list[int] = []
        for _ in range(60):
            sent = disk.pump()
            for serial in sent:
                disk.answer(SILENT if serial == 1 else ACKNOWLEDGED, serial)
            good += [serial for serial in sent if serial != 1]
            disk.read()
            if not sent:
                disk.now = disk.delivery.deadline or disk.now
        self.assertEqual(good, [3, 4, 5])
        self.assertEqual(list(disk.records), [1, 2])
        for _ in range(40):
            sent = disk.pump()
            disk.answer(ACKNOWLEDGED, *sent)
            good += sent
            if not sent:
                disk.now = disk.delivery.deadline or disk.now
        self.assertEqual(good, [3, 4, 5, 1, 2])
        self.assertEqual(disk.delivery.lanes[HOME].put_off, {})

    def test_a_dropped_record(self) -> None:
        """A record that a newer one replaces is not sent, wherever it is, unless it is under way."""
        disk = Disk()
        entries = [disk.make("a", kind=INTERIM) for _ in range(3)]
        disk.store(*entries)
        disk.pump()
        self.assertFalse(disk.delivery.withdraw(1))
        self.assertTrue(disk.delivery.withdraw(2))
        disk.answer(ACKNOWLEDGED, 1)
        self.assertEqual(disk.pump(), [3])
        disk.answer(ACKNOWLEDGED, 3)
        self.assertEqual(disk.delivery.marks, [1 << 2 | DELIVERED, 3 << 2 | DELIVERED])

    def test_a_newer_record_that_is_not_stored(self) -> None:
        """Then the older one is sent after all."""
        disk = Disk()
        disk.store(disk.make("a", kind=INTERIM))
        disk.delivery.withdraw(1)
        self.assertEqual(disk.pump(), [])
        disk.delivery.restore(HOME, 1)
        disk.read()
        self.assertEqual(disk.pump(), [1])

    def test_answered_while_it_is_read(self) -> None:
        """A record whose answer comes while the disk is read is not sent again."""
        disk = Disk(retries=0)
        disk.store(disk.make("a"), disk.make("b"), disk.make("c"))
        disk.answer(ACKNOWLEDGED, *disk.pump())
        self.assertEqual(disk.pump(), [2, 3])
        disk.answer(BUSY, 2)
        disk.delivery.wake(0.0)
        disk.pump()
        read = disk.delivery.wanted()
        assert read is not None
        disk.answer(ACKNOWLEDGED, 3)
        disk.delivery.loaded([disk.records[2], disk.records[3]], 3)
        self.assertEqual(disk.pump(), [2])


class MemoryTests(SynchronousTestCase):
    def test_what_the_disk_refuses(self) -> None:
        """It is sent from memory; without a server its session hears that there is no room."""
        disk = Disk()
        entry = disk.make("a")
        disk.delivery.refused([entry])
        self.assertEqual(disk.pump(), [1])
        disk.answer(ACKNOWLEDGED, 1)
        self.assertEqual(disk.delivery.marks, [])
        self.assertEqual(disk.delivery.unstored.entries, {})
        disk.up = set()
        disk.delivery.refused([disk.make("b")])
        disk.pump()
        self.assertEqual(disk.outcomes(), [(1, ACKNOWLEDGED), (2, NO_ROOM)])
        disk.up = {HOME}
        disk.delivery.wake(0.0)
        self.assertEqual(disk.pump(), [2])

    def test_memory_has_an_end(self) -> None:
        """Beyond it records are lost, and their sessions hear so."""
        disk = Disk()
        disk.up = set()
        lost = disk.delivery.refused([disk.make(f"s{n}") for n in range(unstored.MOST + 3)])
        self.assertEqual(len(lost), 3)
        self.assertEqual([what for _, what in disk.outcomes()].count(LOST), 3)

    def test_rescue(self) -> None:
        """When the disk takes records again those of memory go to it, whole sessions, in their order."""
        disk = Disk()
        disk.up = set()
        entries = [disk.make(name) for name in ("a", "b", "a", "c")]
        disk.delivery.refused(entries)
        disk.pump()
        self.assertTrue(disk.delivery.unstored.has(b"a"))
        saved = disk.delivery.rescue(2)
        self.assertEqual([each.key for each in saved], [b"a", b"b", b"a"])
        self.assertFalse(disk.delivery.unstored.has(b"a"))
        self.assertTrue(disk.delivery.unstored.has(b"c"))
        self.assertEqual(sorted(disk.delivery.unstored.entries), [4])
        for each in saved:
            disk.serial += 1
            each.serial = disk.serial
        disk.store(*saved)
        disk.up = {HOME}
        disk.delivery.wake(0.0)
        for _ in range(8):
            disk.answer(ACKNOWLEDGED, *disk.pump())
            disk.read()
        self.assertEqual(disk.delivery.unstored.entries, {})
        self.assertEqual([serial for serial, _ in disk.sent], [4, 5, 6, 7])

    def test_what_is_under_way_is_not_rescued(self) -> None:
        """Nor is what waits behind it."""
        disk = Disk()
        disk.delivery.refused([disk.make("a"), disk.make("a"), disk.make("b")])
        self.assertEqual(disk.pump(), [1])
        self.assertEqual([each.key for each in disk.delivery.rescue(9)], [b"b"])
        disk.answer(ACKNOWLEDGED, 1)
        self.assertEqual(disk.pump(), [2])

    def test_a_lane_that_comes_up_by_itself(self) -> None:
        """A record in memory that failed is not overtaken because another one got through after it."""
        disk = Disk()
        disk.store(disk.make("first"))
        disk.pump()
        disk.answer(ACKNOWLEDGED, 1)
        disk.delivery.refused([disk.make("a", call_id=1), disk.make("b", call_id=2)])
        self.assertEqual(disk.pump(), [2, 3])
        disk.answer(BUSY, 2)
        disk.answer(ACKNOWLEDGED, 3)
        disk.delivery.refused([disk.make("a", kind=INTERIM, call_id=1)])
        self.assertEqual(disk.pump(), [2])
        disk.answer(ACKNOWLEDGED, 2)
        self.assertEqual(disk.pump(), [4])

    def test_memory_does_not_grow_with_the_backlog(self) -> None:
        """Of many records that wait a bounded number is in memory, also when new ones come."""
        disk = Disk(boundary=20_001)
        disk.left(20_000)
        most = 0
        done = 0
        for turn in range(12_000):
            if turn < 500:
                disk.store(disk.make(f"new{turn}"))
            disk.read()
            sent = disk.pump()
            disk.answer(ACKNOWLEDGED, *sent)
            done += len(sent)
            most = max(most, len(disk.delivery.memory))
            if done == 20_500:
                break
        self.assertEqual(done, 20_500)
        self.assertLess(most, module.BUFFER + 600)
        self.assertEqual([serial for serial, _ in disk.sent], list(range(1, 20_501)))
