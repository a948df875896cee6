"""Records that the disk would not take: no session is forgotten by it, and none is ended twice."""

from pathlib import Path
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.diameter.client import delivery
from appliance.protocols.diameter.client.spool import Spool
from appliance.protocols.diameter.client.spool_format import INTERIM, START, STOP, Entry, route
from appliance.protocols.mobility import aaa
from test.protocols.diameter.accounting_fakes import EPOCH, Rig
from test.protocols.diameter.test_accounting import NO_SPACE


class RefusedTests(SynchronousTestCase):
    """A session whose START is on the disk, and whose later records are not."""

    def setUp(self) -> None:
        """Begin the session."""
        self.rig = Rig(Path(self.mktemp()), interim_on_handoff=True).start()
        self.addCleanup(self.rig.kill)
        self.rig.begin()
        self.rig.run(0.2)

    def full(self) -> None:
        """The disk takes nothing any more."""
        self.broken = mock.patch.object(self.rig.worker.spool, "append", side_effect=NO_SPACE)
        self.broken.start()

    def handoff(self) -> None:
        """Make an INTERIM record."""
        self.rig.account(aaa.HANDOFF)
        self.rig.run(0.2)

    def check(self, *kinds: int) -> None:
        """The server has these, the spool has nothing, and another process does not end the session again."""
        rig = self.rig
        rig.node.become("up")
        rig.wait(20)
        self.assertEqual([kind for _, _, kind in rig.server.stored()], list(kinds))
        self.assertEqual(sum(each.live for each in rig.worker.spool.segments), 0)
        rig.restart()
        rig.wait(5)
        self.assertEqual([kind for _, _, kind in rig.server.stored()], list(kinds))

    def test_rescued(self) -> None:
        """What only memory had is stored later: the START is released all the same."""
        self.rig.node.become("down")
        self.full()
        self.handoff()
        self.rig.end()
        self.rig.run(0.2)
        self.broken.stop()
        self.rig.wait(8)
        self.check(START, INTERIM, STOP)

    def test_rescued_and_alive(self) -> None:
        """The session is held by what was rescued; when the process dies, it is ended once."""
        self.rig.node.become("down")
        self.full()
        self.handoff()
        self.broken.stop()
        self.rig.wait(8)
        self.rig.restart()
        self.check(START, INTERIM, STOP)

    def test_sent_from_memory_and_killed(self) -> None:
        """Sessions that the full disk missed get an INTERIM when it is not, and end with their process."""
        self.full()
        self.rig.begin(2)
        self.handoff()
        self.assertEqual([kind for _, _, kind in self.rig.server.stored()], [START, START, INTERIM])
        self.broken.stop()
        self.rig.begin(3)
        self.rig.wait(15)
        self.assertEqual([kind for _, _, kind in self.rig.server.stored()][3:], [START, INTERIM, INTERIM])
        self.rig.wait(30)
        self.rig.restart()
        self.rig.wait(5)
        kinds = [kind for _, _, kind in self.rig.server.stored()]
        self.assertEqual((kinds.count(START), kinds.count(INTERIM), kinds.count(STOP)), (3, 3, 3))
        for session in {name for name, _, _ in self.rig.server.stored()}:
            numbers = [number for name, number, _ in self.rig.server.stored() if name == session]
            self.assertEqual(numbers, sorted(set(numbers)))

    def test_repeated(self) -> None:
        """What was sent in vain before it was rescued has the T flag afterwards."""
        self.rig.node.become("silent")
        self.full()
        self.handoff()
        self.rig.wait(45)
        self.rig.node.become("down")
        self.broken.stop()
        self.rig.wait(8)
        before = len(self.rig.node.submits)
        self.rig.node.become("up")
        self.rig.wait(40)
        later = self.rig.node.submits[before:]
        self.assertEqual([each.repeated for each in later], [True])
        self.assertEqual(self.rig.driver.store.delivery._tried, {})

    def test_lost(self) -> None:
        """Even memory has no room for an INTERIM: the STOP releases what that would have released."""
        self.full()
        with mock.patch.object(delivery, "MOST", 0):
            self.handoff()
        self.broken.stop()
        self.rig.wait(8)
        self.rig.end()
        self.check(START, STOP)

    def test_behind_the_disk(self) -> None:
        """What only memory has is sent behind older records that are on the disk."""
        self.rig.node.become("down")
        self.rig.begin(2)
        self.rig.run(0.2)
        self.full()
        self.rig.account(aaa.HANDOFF, 2)
        self.rig.run(0.2)
        self.rig.node.become("up")
        self.rig.wait(5)
        self.broken.stop()
        self.assertEqual([kind for _, _, kind in self.rig.server.stored()], [START, START, INTERIM])

    def test_behind_a_backlog(self) -> None:
        """The same when the older ones have not been read yet, because too many wait."""
        with mock.patch.object(delivery, "BUFFER", 4):
            self.rig.node.hold = True
            for number in range(2, 20):
                self.rig.begin(number)
            self.rig.run(0.2)
            self.full()
            self.rig.account(aaa.HANDOFF, 19)
            self.rig.run(0.2)
            self.rig.node.hold = False
            self.rig.node.let_go()
            self.rig.wait(5)
        self.broken.stop()
        of_it = {session: kind for session, _, kind in self.rig.server.stored()}
        self.assertEqual(len(of_it), 19)
        self.assertEqual([kind for _, _, kind in self.rig.server.stored()][-1], INTERIM)


class LimitTests(SynchronousTestCase):
    def test_order(self) -> None:
        """A STOP has more room than an INTERIM; it does not use it to get before one of its session."""
        spool = Spool(Path(self.mktemp()), 2_000)
        spool.open()
        self.addCleanup(spool.close)

        def make(serial: int, kind: int, session: bytes, size: int) -> Entry:
            body = b"\0\0\1\x07\x40" + (8 + len(session)).to_bytes(3, "big") + session + bytes(size)
            return Entry(kind, EPOCH, serial, route(3, "home.example", ""), body, serial=serial)

        one, two = b"lma1;1;1", b"lma1;1;2"
        self.assertEqual(spool.append([make(1, START, one, 500), make(2, START, two, 500)]), [])
        later = [make(3, INTERIM, one, 660), make(4, STOP, one, 660), make(5, STOP, two, 660)]
        self.assertEqual([each.serial for each in spool.append(later)], [3, 4])

    def test_the_log(self) -> None:
        """A limit that some records exceed and others do not makes two lines, not one for every record."""
        rig = Rig(Path(self.mktemp()), spool_limit=1 << 20, event_on_denial=True).start()
        self.addCleanup(rig.kill)
        rig.worker.spool.limit = 20_000
        rig.node.become("down")
        for number in range(1, 60):
            rig.begin(number)
            rig.run(0.05)
            if number % 2:
                rig.end(number)
            rig.run(0.05)
        lines = [each.text for each in rig.said]
        self.assertEqual(len(lines), 1, lines)
        self.assertIn("and the spool limit is 20000", lines[0])
        rig.node.become("up")
        rig.wait(20)
        self.assertEqual([each.text for each in rig.said][1:], ["accounting records are stored again"])

    def test_refused_registrations(self) -> None:
        """Their records have half the limit, then they are lost; there is no alarm, and memory stays free."""
        rig = Rig(Path(self.mktemp()), event_on_denial=True).start()
        self.addCleanup(rig.kill)
        rig.worker.spool.limit = 20_000
        rig.node.become("down")
        for number in range(1, 60):
            rig.account(aaa.DENIED, number, cause=153)
            rig.run(0.02)
        found = rig.driver.statistics()
        self.assertGreater(found.kinds["event"].lost, 10)
        self.assertEqual((found.in_memory_only, found.full, rig.said), (0, "", []))
        rig.begin(100)
        rig.run(0.2)
        self.assertEqual(rig.driver.statistics().waiting_kinds["start"], 1)
