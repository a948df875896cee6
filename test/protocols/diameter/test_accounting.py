"""The accounting client: every row of its state table, and what its records tell of a session.

The table is that of RFC 6733 section 8.2. Each test goes all the way: core, spool, delivery, node.
"""

from pathlib import Path
from typing import Any
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.diameter.client.accounting import IDLE, OPEN, PENDING_I, PENDING_S
from appliance.protocols.diameter.client.accounting_events import SERVICE_UNAVAILABLE
from appliance.protocols.diameter.client.spool_format import EVENT, INTERIM, START, STOP
from appliance.protocols.diameter.message.dictionary import standard
from appliance.protocols.mobility import aaa
from appliance.protocols.mobility.aaa import SessionEnds, Usage
from test.protocols.diameter.accounting_fakes import Rig

_D = standard()
DELIVER, STORE, LOSE = "deliver-and-grant", "grant-and-store", "grant-and-lose"
#: What makes a record unsendable: the node's mode, or a Result-Code.
CANNOT_SEND: tuple[Any, ...] = ("down", "silent", 4002, 3004, 3005, 3002)
NO_SPACE = OSError(28, "No space left on device")


class Case(SynchronousTestCase):
    """Makes rigs."""

    def rig(self, **settings: Any) -> Rig:
        rig = Rig(Path(self.mktemp()), **settings).start()
        self.addCleanup(rig.kill)
        return rig

    def state(self, rig: Rig, number: int = 1) -> str:
        """State of a session; Idle when there is none."""
        session = rig.driver.core.sessions.get(number)
        return IDLE if session is None else session.state

    def kinds(self, rig: Rig) -> list[int]:
        """Types of the records that the server has kept, in their order."""
        return [kind for _, _, kind in rig.server.stored()]

    def waiting(self, rig: Rig) -> list[int]:
        """Types of the records that wait, one for each."""
        return [kind for kind, count in enumerate(rig.driver.store.waiting()) for _ in range(count)]

    def obstruct(self, rig: Rig, how: Any) -> None:
        """Make the next records unsendable."""
        if isinstance(how, str):
            rig.node.become(how)
        else:
            rig.server.results = [how] * 50

    def full(self, rig: Rig) -> None:
        """The disk takes nothing any more."""
        broken = mock.patch.object(rig.worker.spool, "append", side_effect=NO_SPACE)
        broken.start()
        self.addCleanup(broken.stop)

    def settle(self, rig: Rig) -> None:
        """Let everything happen that does so within a minute."""
        rig.run(0.2)
        rig.wait(50)


class PendingStartTests(Case):
    def test_access_requested(self) -> None:
        """Idle → a START is sent → PendingS."""
        rig = self.rig()
        rig.node.hold = True
        rig.begin()
        rig.run(0.1)
        self.assertEqual([submit.code for submit in rig.node.submits], [271])
        self.assertEqual(self.state(rig), PENDING_S)

    def test_success(self) -> None:
        """PendingS → Open; nothing waits any more."""
        rig = self.rig()
        rig.begin()
        rig.run(0.3)
        self.assertEqual((self.state(rig), self.kinds(rig), self.waiting(rig)), (OPEN, [START], []))

    def test_cannot_send_but_store(self) -> None:
        """There is room: the START waits, the session goes on."""
        for how in CANNOT_SEND:
            for realtime in (STORE, LOSE):
                rig = self.rig(realtime=realtime)
                self.obstruct(rig, how)
                rig.begin()
                self.settle(rig)
                found = self.state(rig), self.waiting(rig), rig.ended
                self.assertEqual(found, (OPEN, [START], []), f"{how} {realtime}")

    def test_cannot_send_and_must_deliver(self) -> None:
        """DELIVER_AND_GRANT: the user is disconnected; what was used is told all the same."""
        for how in CANNOT_SEND:
            rig = self.rig(realtime=DELIVER)
            self.obstruct(rig, how)
            rig.begin()
            self.settle(rig)
            self.assertEqual(rig.ended, [SessionEnds(call_id=1, cause=SERVICE_UNAVAILABLE)], how)
            self.assertEqual(self.state(rig), IDLE)
            rig.end(1, SERVICE_UNAVAILABLE)
            self.settle(rig)
            self.assertEqual(self.waiting(rig), [START, STOP])
            self.assertEqual(rig.driver.statistics().ended_by_policy, 1)

    def test_cannot_send_nor_store(self) -> None:
        """No room: GRANT_AND_LOSE lets the session go on, the others do not."""
        for realtime, state in ((LOSE, OPEN), (STORE, IDLE), (DELIVER, IDLE)):
            for how in ("down", 4002):
                rig = self.rig(realtime=realtime)
                self.full(rig)
                self.obstruct(rig, how)
                rig.begin()
                self.settle(rig)
                self.assertEqual(self.state(rig), state, f"{how} {realtime}")
                self.assertEqual(len(rig.ended), state == IDLE)
                self.assertIn("cannot be stored: No space left on device", rig.said[0].text)
                self.assertEqual(len(rig.said), 1)

    def test_no_room_but_a_server(self) -> None:
        """A full disk does no harm while the server answers."""
        for realtime in (LOSE, STORE, DELIVER):
            rig = self.rig(realtime=realtime)
            self.full(rig)
            rig.begin()
            rig.run(0.3)
            self.assertEqual((self.state(rig), self.kinds(rig), rig.ended), (OPEN, [START], []))

    def test_refused(self) -> None:
        """A lasting failure: the record is deleted; the user goes on with GRANT_AND_LOSE only."""
        for realtime, state in ((LOSE, OPEN), (STORE, IDLE), (DELIVER, IDLE)):
            rig = self.rig(realtime=realtime)
            rig.server.results = [5003]
            rig.begin()
            rig.run(0.3)
            self.assertEqual((self.state(rig), self.waiting(rig)), (state, []), realtime)
            self.assertEqual(len(rig.ended), state == IDLE)
            rig.end()
            rig.run(0.3)
            # A server that did not want the START does not want the STOP.
            self.assertEqual(self.kinds(rig), [STOP] if realtime == LOSE else [])
            self.assertIn("start record of session lma1", rig.said[0].text)
            rig.stop()
            self.assertEqual(list(rig.folder.glob("*.records")), [])

    def test_user_ends(self) -> None:
        """PendingS → the STOP is stored, and sent when the START has its answer."""
        rig = self.rig()
        rig.node.hold = True
        rig.begin()
        rig.run(0.1)
        rig.end()
        rig.run(0.1)
        self.assertEqual(len(rig.node.submits), 1)
        self.assertEqual(self.waiting(rig), [START, STOP])
        rig.node.hold = False
        rig.node.let_go()
        rig.run(0.3)
        self.assertEqual((self.kinds(rig), self.waiting(rig)), ([START, STOP], []))


class OpenTests(Case):
    def test_interim_timer(self) -> None:
        """Open → an INTERIM is sent → PendingI → success → Open."""
        rig = self.rig(interim_interval=60)
        rig.begin()
        rig.run(0.2)
        rig.node.hold = True
        rig.wait(70)
        self.assertEqual(self.state(rig), PENDING_I)
        rig.node.let_go()
        rig.run(0.2)
        self.assertEqual((self.state(rig), self.kinds(rig)), (OPEN, [START, INTERIM]))

    def test_user_ends(self) -> None:
        """Open → a STOP is sent; the session is forgotten, success or failure or neither."""
        for how, waiting in (("up", []), (5003, []), ("down", [STOP]), (4002, [STOP]), ("silent", [STOP])):
            rig = self.rig()
            rig.begin()
            rig.run(0.3)
            self.obstruct(rig, how)
            rig.end()
            self.assertEqual(rig.driver.core.sessions, {})
            self.settle(rig)
            self.assertEqual((self.waiting(rig), rig.ended), (waiting, []), str(how))

    def test_stop_that_nobody_takes(self) -> None:
        """No server and no room: it waits in memory, and is sent when there is a server."""
        rig = self.rig()
        rig.begin()
        rig.run(0.3)
        self.full(rig)
        rig.node.become("down")
        rig.end()
        self.settle(rig)
        self.assertEqual(rig.driver.statistics().in_memory_only, 1)
        rig.node.become("up")
        rig.run(0.3)
        self.assertEqual((self.kinds(rig), self.waiting(rig)), ([START, STOP], []))


class PendingInterimTests(Case):
    def pending(self, realtime: str, how: Any, no_room: bool = False) -> Rig:
        """A session whose first INTERIM meets an obstacle."""
        rig = self.rig(realtime=realtime, interim_interval=60)
        rig.begin()
        rig.run(0.3)
        if no_room:
            self.full(rig)
        self.obstruct(rig, how)
        rig.wait(70)
        rig.wait(30)
        return rig

    def test_cannot_send_but_store(self) -> None:
        """There is room: it waits, the session goes on; but not with DELIVER_AND_GRANT."""
        for how in CANNOT_SEND:
            for realtime, state in ((STORE, OPEN), (LOSE, OPEN), (DELIVER, IDLE)):
                rig = self.pending(realtime, how)
                self.assertEqual(self.waiting(rig), [INTERIM], f"{how} {realtime}")
                self.assertEqual(
                    (self.state(rig), len(rig.ended)), (state, state == IDLE), f"{how} {realtime}"
                )

    def test_cannot_send_nor_store(self) -> None:
        """No room: only GRANT_AND_LOSE goes on."""
        for realtime, state in ((LOSE, OPEN), (STORE, IDLE), (DELIVER, IDLE)):
            rig = self.pending(realtime, "down", no_room=True)
            self.assertEqual((self.state(rig), len(rig.ended)), (state, state == IDLE), realtime)

    def test_refused(self) -> None:
        """A lasting failure: only GRANT_AND_LOSE goes on; the STOP of the others is still sent."""
        for realtime, state in ((LOSE, OPEN), (STORE, IDLE), (DELIVER, IDLE)):
            rig = self.pending(realtime, 5012)
            self.assertEqual((self.state(rig), self.waiting(rig)), (state, []), realtime)
            rig.server.results = []
            rig.end()
            rig.run(0.3)
            self.assertEqual(self.kinds(rig), [START, STOP])

    def test_user_ends(self) -> None:
        """PendingI → the STOP is stored, and sent after the INTERIM."""
        rig = self.rig(interim_interval=60)
        rig.begin()
        rig.run(0.3)
        rig.node.hold = True
        rig.wait(70)
        rig.end()
        rig.run(0.2)
        self.assertEqual(self.waiting(rig), [INTERIM, STOP])
        rig.node.hold = False
        rig.node.let_go()
        rig.run(0.3)
        self.assertEqual(self.kinds(rig), [START, INTERIM, STOP])

    def test_a_newer_one_replaces_it(self) -> None:
        """One INTERIM of a session waits at most; START and STOP are never replaced."""
        rig = self.rig(interim_interval=60)
        rig.node.become("down")
        rig.begin()
        for counted in range(1, 4):
            rig.usages[1] = Usage(octets_in=counted)
            rig.wait(60)
        rig.wait(20)
        self.assertEqual(self.waiting(rig), [START, INTERIM])
        rig.end()
        rig.run(0.2)
        rig.node.become("up")
        rig.run(0.5)
        self.assertEqual(self.kinds(rig), [START, INTERIM, STOP])
        self.assertEqual(rig.server.records[1].first(_D["Accounting-Input-Octets"]), 3)
        self.assertEqual(rig.driver.statistics().kinds["interim"].replaced, 2)


class OneTimeTests(Case):
    def denied(self, **settings: Any) -> Rig:
        return self.rig(event_on_denial=True, **settings)

    def test_event(self) -> None:
        """A refused registration: EVENT, success."""
        rig = self.denied()
        rig.account(aaa.DENIED, 5, cause=153)
        rig.run(0.3)
        self.assertEqual((self.kinds(rig), self.waiting(rig)), ([EVENT], []))
        record = rig.server.records[0]
        self.assertEqual(record.first(_D["Error-Message"]), "registration refused with status 153")
        self.assertEqual(record.first(_D["Termination-Cause"]), aaa.ADMINISTRATIVE)
        self.assertEqual(record.first(_D["Accounting-Record-Number"]), 0)
        self.assertEqual(rig.driver.core.sessions, {})

    def test_failed_or_not_sent(self) -> None:
        """PendingE: refused, it is deleted; not sent, it waits; nobody is disconnected."""
        for how, waiting in ((5003, []), ("down", [EVENT]), (4002, [EVENT]), ("silent", [EVENT])):
            rig = self.denied(realtime=DELIVER)
            self.obstruct(rig, how)
            rig.account(aaa.DENIED, 5, cause=153)
            self.settle(rig)
            self.assertEqual((self.waiting(rig), rig.ended), (waiting, []), str(how))

    def test_only_if_wanted(self) -> None:
        """Without the option there is no record of it."""
        rig = self.rig()
        rig.account(aaa.DENIED, 5, cause=153)
        rig.run(0.3)
        self.assertEqual(rig.node.submits, [])

    def test_a_stranger_chooses_no_realm(self) -> None:
        """The record goes to our own realm, whatever realm the refused user name has."""
        rig = self.denied()
        rig.account(aaa.DENIED, 5, mn_id=b"x@far.example")
        rig.run(0.3)
        self.assertEqual(rig.node.submits[0].realm, "home.example")


class StoredTests(Case):
    def stored(self) -> Rig:
        """A process that has died with START and STOP in its store, and started again without a server."""
        rig = self.rig()
        rig.node.become("down")
        rig.begin()
        rig.run(0.1)
        rig.end()
        rig.run(0.2)
        rig.kill()
        rig.boot()
        rig.node.become("down")
        rig.start()
        self.assertEqual(self.waiting(rig), [START, STOP])
        return rig

    def test_stored_records_are_sent(self) -> None:
        """Idle with records in the store: they are sent, with the T flag; success deletes them."""
        rig = self.stored()
        rig.node.become("up")
        rig.run(0.5)
        self.assertEqual((self.kinds(rig), self.waiting(rig)), ([START, STOP], []))
        self.assertEqual([submit.repeated for submit in rig.node.submits], [True, True])

    def test_refused(self) -> None:
        """PendingB: a lasting failure deletes the record."""
        rig = self.stored()
        rig.server.results = [5003]
        rig.node.become("up")
        rig.run(0.5)
        self.assertEqual((self.kinds(rig), self.waiting(rig)), ([STOP], []))

    def test_cannot_send(self) -> None:
        """PendingB: it is kept, and the others behind it."""
        for how in ("down", "silent", 4002, 3004, 3005, 3002):
            rig = self.stored()
            self.obstruct(rig, how)
            if not isinstance(how, str):
                rig.node.become("up")
            self.settle(rig)
            self.assertEqual(self.waiting(rig), [START, STOP], str(how))
            rig.server.results = []
            rig.node.become("up")
            rig.wait(70)
            self.assertEqual(self.kinds(rig), [START, STOP], str(how))
