"""What the records of the accounting client tell of a session, from its beginning to its end."""

import attrs

from appliance.protocols.diameter.client.accounting import OPEN
from appliance.protocols.diameter.client.accounting_driver import LEAST, TURN
from appliance.protocols.diameter.client.accounting_events import ADMIN_REBOOT
from appliance.protocols.diameter.client.spool_format import INTERIM, START, STOP
from appliance.protocols.diameter.events import Answered
from appliance.protocols.diameter.message.codec import Message
from appliance.protocols.diameter.settings import ServerGroup
from appliance.protocols.mobility import aaa
from appliance.protocols.mobility.aaa import Grant, Usage
from test.protocols.diameter.accounting_fakes import EPOCH
from test.protocols.diameter.test_accounting import _D, LOSE, Case


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


class PaceTests(Case):
    """Records that have waited go slower while the loop has other work."""

    def test_allowance(self) -> None:
        """A quiet loop and one that slept give a whole turn; a busy one gives a share of its time."""
        driver = self.rig().driver
        driver._turn_end, driver._cost = 10.0, 50e-6
        for later, answers, expected in (
            (0.0001, 0, TURN),
            (5.0, 0, TURN),
            # 1.5 percent of that time, at 50 us a record.
            (0.005, 0, 1),
            (0.050, 0, 15),
            (0.500, 0, TURN),
            (0.0010, 0, LEAST),
            # The time went by receiving our own answers.
            (0.0024, 48, TURN),
        ):
            driver._answers.extend([(0, Answered(None, "timeout"))] * answers)
            self.assertEqual(driver._allowance(10.0 + later), expected, later)
            driver._answers.clear()
