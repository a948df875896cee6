"""The accounting client: every row of its state table, and what its records tell of a session.

The table is that of RFC 6733 section 8.2. Each test goes all the way: core, spool, delivery, node.
"""

from pathlib import Path
from typing import Any
from unittest import mock

import attrs
from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.diameter.accounting import IDLE, OPEN, PENDING_I, PENDING_S
from appliance.protocols.diameter.accounting_events import ADMIN_REBOOT, SERVICE_UNAVAILABLE
from appliance.protocols.diameter.codec import Message
from appliance.protocols.diameter.dictionary import standard
from appliance.protocols.diameter.settings import ServerGroup
from appliance.protocols.diameter.spool_format import EVENT, INTERIM, START, STOP
from appliance.protocols.mobility import aaa
from appliance.protocols.mobility.aaa import Grant, SessionEnds, Usage
from test.protocols.diameter.accounting_fakes import EPOCH, Rig

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


class SessionTests(Case):
    """What records say, beyond the table."""

    def test_the_records_of_a_session(self) -> None:
        """Numbers, counters and times of START, INTERIM and STOP; one Session-Id."""
        rig = self.rig(interim_interval=300)
        rig.begin()
        rig.run(0.2)
        rig.usages[1] = Usage(1 << 33, 2, 1 << 34, 4)
        rig.wait(335)
        rig.usages[1] = Usage(1 << 35, 20, 1 << 36, 40)
        rig.end(1, aaa.SESSION_TIMEOUT)
        rig.run(0.3)
        start, interim, stop = rig.server.records
        number, seconds, cause = (
            _D["Accounting-Record-Number"], _D["Acct-Session-Time"], _D["Termination-Cause"],
        )  # fmt: skip
        self.assertEqual([each.first(number) for each in rig.server.records], [0, 1, 2])
        self.assertIsNone(start.first(seconds))
        self.assertEqual(interim.first(_D["Accounting-Input-Octets"]), 1 << 33)
        self.assertEqual(stop.first(_D["Accounting-Output-Octets"]), 1 << 36)
        self.assertEqual(stop.first(_D["Accounting-Input-Packets"]), 20)
        self.assertEqual(stop.first(seconds), 335)
        self.assertEqual(stop.first(cause), aaa.SESSION_TIMEOUT)
        self.assertEqual(stop.first(_D["Event-Timestamp"]), int(EPOCH) + 335)
        self.assertEqual(len({each.first(_D["Session-Id"]) for each in rig.server.records}), 1)

    def test_interim_times_are_spread(self) -> None:
        """Sessions that begin together report at different times, once in each interval."""
        rig = self.rig(interim_interval=100)
        for number in range(1, 41):
            rig.begin(number)
        rig.run(0.3)
        times: dict[int, list[float]] = {}
        for _ in range(330):
            before = len(rig.server.records)
            rig.wait(1)
            for record in rig.server.records[before:]:
                user = int(record.first(_D["User-Name"])[2:].partition("@")[0])
                times.setdefault(user, []).append(rig.clock.seconds())
        firsts = [found[0] for found in times.values()]
        self.assertEqual(len(firsts), 40)
        self.assertGreater(max(firsts) - min(firsts), 10)
        self.assertTrue(all(88 <= first <= 113 for first in firsts), firsts)
        for found in times.values():
            self.assertEqual(len(found), 3)
            self.assertTrue(all(abs(b - a - 100) < 3 for a, b in zip(found, found[1:], strict=False)), found)

    def test_the_answer_may_change_it(self) -> None:
        """Acct-Interim-Interval and Accounting-Realtime-Required of an ACA count for that session."""
        rig = self.rig(realtime=LOSE)
        rig.server.extra = _D["Acct-Interim-Interval"].encode(50) + _D["Accounting-Realtime-Required"].encode(
            1
        )
        rig.begin()
        rig.run(0.3)
        rig.server.extra = _D["Acct-Interim-Interval"].encode(0)
        rig.wait(60)
        self.assertEqual(self.kinds(rig), [START, INTERIM])
        rig.wait(120)
        self.assertEqual(self.kinds(rig), [START, INTERIM])
        self.assertEqual(rig.driver.core.sessions[1].realtime, 1)

    def test_the_authorization_may_say_it_first(self) -> None:
        """Session-Id, Acct-Multi-Session-Id, server, interval and policy of the grant are used."""
        rig = self.rig(interim_interval=0)
        grant = Grant(
            session_id="lma1.home.example;9;9;auth",
            multi_session_id="aaa1.home.example;1;1",
            host="aaa7.home.example",
            interim_interval=40,
            realtime=3,
            classes=(b"c",),
        )
        rig.begin(grant=grant)
        rig.run(0.3)
        rig.wait(46)
        start, interim = rig.server.records
        self.assertEqual(start.first(_D["Session-Id"]), "lma1.home.example;9;9;auth")
        self.assertEqual(interim.first(_D["Acct-Multi-Session-Id"]), "aaa1.home.example;1;1")
        self.assertEqual(start.first(_D["Destination-Host"]), "aaa7.home.example")
        self.assertEqual(rig.node.submits[0].host, "aaa7.home.example")
        self.assertEqual(interim.first(_D["Class"]), b"c")
        self.assertEqual(rig.driver.core.sessions[1].realtime, 3)

    def test_handoff_and_refresh(self) -> None:
        """An INTERIM on handoff or refresh only by option; the records tell where the mobile node is."""
        for options, kinds in (
            ({}, [START, STOP]),
            ({"interim_on_handoff": True}, [START, INTERIM, STOP]),
            ({"interim_on_refresh": True}, [START, INTERIM, STOP]),
            ({"interim_on_handoff": True, "interim_on_refresh": True}, [START, INTERIM, INTERIM, STOP]),
        ):
            rig = self.rig(**options)
            rig.begin()
            rig.run(0.2)
            care_of = bytes(15) + b"\7"
            rig.account(aaa.HANDOFF, care_of=care_of)
            rig.run(0.2)
            rig.account(aaa.REFRESH, care_of=care_of)
            rig.run(0.2)
            rig.account(aaa.STOP, care_of=care_of, cause=1)
            rig.run(0.2)
            self.assertEqual(self.kinds(rig), kinds, options)
            self.assertEqual(rig.server.records[-1].first(_D["MIP-Careof-Address"]), care_of)
            multi = {each.first(_D["Acct-Multi-Session-Id"]) for each in rig.server.records}
            self.assertEqual(len(multi), 1)

    def test_sub_sessions(self) -> None:
        """Each binding of a mobile node is a sub-session of one session; numbers do not meet."""
        rig = self.rig()
        rig.begin(1, mn_id=b"mn@home.example")
        rig.begin(2, mn_id=b"mn@home.example")
        rig.run(0.3)
        rig.account(aaa.STOP, 1, cause=1, mn_id=b"mn@home.example")
        rig.begin(3, mn_id=b"mn@home.example")
        rig.run(0.3)
        for number in (2, 3):
            rig.account(aaa.STOP, number, cause=1, mn_id=b"mn@home.example")
        rig.run(0.3)
        rig.begin(4, mn_id=b"mn@home.example")
        rig.run(0.3)
        records = rig.server.records
        ids = [each.first(_D["Session-Id"]) for each in records]
        self.assertEqual((len(set(ids[:6])), len(set(ids))), (1, 2))
        subs = [each.first(_D["Accounting-Sub-Session-Id"]) for each in records]
        self.assertEqual(sorted(subs[:6]), [1, 1, 2, 2, 3, 3])
        self.assertEqual(subs[6], 1)
        pairs = [
            (each, record.first(_D["Accounting-Record-Number"]))
            for each, record in zip(ids, records, strict=True)
        ]
        self.assertEqual(len(set(pairs)), 7)

    def test_no_sub_sessions(self) -> None:
        """Without the option each binding has a session of its own; the multi-session says whose."""
        rig = self.rig(sub_sessions=False)
        rig.begin(1, mn_id=b"mn@home.example")
        rig.begin(2, mn_id=b"mn@home.example")
        rig.run(0.3)
        first, second = rig.server.records
        self.assertNotEqual(first.first(_D["Session-Id"]), second.first(_D["Session-Id"]))
        self.assertEqual(first.first(_D["Acct-Multi-Session-Id"]), second.first(_D["Acct-Multi-Session-Id"]))
        self.assertIsNone(first.first(_D["Accounting-Sub-Session-Id"]))

    def test_a_pause(self) -> None:
        """De-registered but kept: no INTERIM meanwhile, and the STOP tells of when the pause began."""
        rig = self.rig(interim_interval=20)
        rig.begin()
        rig.run(0.3)
        rig.wait(10)
        rig.account(aaa.PAUSE)
        rig.wait(60)
        self.assertEqual(self.kinds(rig), [START])
        rig.end()
        rig.run(0.3)
        stop = rig.server.records[-1]
        self.assertEqual(stop.first(_D["Acct-Session-Time"]), 10)
        self.assertEqual(stop.first(_D["Event-Timestamp"]), int(EPOCH) + 10)

    def test_after_a_pause(self) -> None:
        """It goes on: INTERIM records come again, and the time runs through."""
        rig = self.rig(interim_interval=20)
        rig.begin()
        rig.account(aaa.PAUSE)
        rig.wait(50)
        rig.account(aaa.REFRESH)
        rig.wait(31)
        rig.end()
        rig.run(0.3)
        self.assertIn(INTERIM, self.kinds(rig))
        self.assertIn(rig.server.records[-1].first(_D["Acct-Session-Time"]), (80, 81))

    def test_a_handover_by_way_of_a_pause(self) -> None:
        """The former gateway has de-registered first: the handover is one all the same."""
        rig = self.rig(interim_on_handoff=True)
        rig.begin()
        rig.account(aaa.PAUSE)
        rig.account(aaa.HANDOFF)
        rig.run(0.3)
        self.assertEqual(self.kinds(rig), [START, INTERIM])

    def test_older_than_its_accounting(self) -> None:
        """A session that is there when accounting begins gets its START at the next refresh."""
        rig = self.rig()
        rig.account(aaa.STOP, 7)
        rig.account(aaa.REFRESH)
        rig.run(0.3)
        self.assertEqual((self.kinds(rig), self.state(rig)), ([START], OPEN))

    def test_the_realm(self) -> None:
        """Destination-Realm: that of the user, ours if that is none, or the configured one."""
        for mn_id, realm in (
            (b"a@b.example", "b.example"),
            (b"a", "home.example"),
            (b"a@b c", "home.example"),
        ):
            rig = self.rig()
            rig.begin(mn_id=mn_id)
            rig.run(0.2)
            self.assertEqual(rig.node.submits[0].realm, realm)
        rig = self.rig(accounting=ServerGroup(endpoint="e", realm="acct.example"))
        rig.begin(mn_id=b"a@b.example")
        rig.run(0.2)
        self.assertEqual(rig.node.submits[0].realm, "acct.example")
        self.assertEqual(rig.server.records[0].first(_D["Destination-Realm"]), "acct.example")

    def test_stopping(self) -> None:
        """An orderly end: open sessions get their STOP, which is delivered before it is over."""
        rig = self.rig()
        for number in range(1, 700):
            rig.begin(number)
        rig.run(1)
        rig.stop()
        self.assertEqual(self.kinds(rig).count(STOP), 699)
        causes = {each.first(_D["Termination-Cause"]) for each in rig.server.records[699:]}
        self.assertEqual(causes, {ADMIN_REBOOT})
        self.assertEqual(list(rig.folder.glob("*.records")), [])

    def test_stopping_without_a_server(self) -> None:
        """Then the STOPs wait on the disk, and the next process sends them, in order."""
        rig = self.rig()
        rig.node.become("down")
        for number in range(1, 20):
            rig.begin(number)
        rig.run(0.5)
        rig.stop()
        rig.boot()
        rig.start()
        rig.run(2)
        self.assertEqual(sorted(self.kinds(rig)), [START] * 19 + [STOP] * 19)
        self.assertEqual(rig.driver.statistics().left_behind, 0)

    def test_reconfiguration(self) -> None:
        """Another interval for sessions whose server has said none; another application for new records."""
        rig = self.rig()
        rig.begin(1)
        rig.begin(2, grant=Grant(interim_interval=1_000))
        rig.run(0.3)
        settings = rig.settings
        changed = attrs.evolve(
            settings,
            interim_interval=30,
            accounting=attrs.evolve(settings.accounting, application="nasreq"),
        )
        rig.driver.reconfigure(changed)
        rig.wait(40)
        self.assertEqual(self.kinds(rig), [START, START, INTERIM])
        last: Message = rig.server.records[-1]
        self.assertEqual((last.application, last.first(_D["Acct-Application-Id"])), (1, 1))
