"""The accounting driver: what it sends and how, what it says, what it survives."""

import gc
import tracemalloc
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from appliance.errors import ResourceError
from appliance.protocols.diameter.client.accounting_driver import Tried
from appliance.protocols.diameter.client.accounting_events import ADMIN_REBOOT, NAS_REBOOT
from appliance.protocols.diameter.client.spool_format import EVENT, INTERIM, START, STOP
from appliance.protocols.diameter.message.dictionary import standard
from appliance.protocols.diameter.settings import Server, ServerGroup
from appliance.protocols.mobility import aaa
from appliance.protocols.mobility.aaa import Usage
from test.protocols.diameter.accounting_fakes import EPOCH, LMA, Rig

_D = standard()
#: Octets of memory for a session that is open, with its :class:`Subject`; and what may stay: room in tables.
CEILING, REMAINDER = 1_150, 400


class Case(SynchronousTestCase):
    """Makes rigs."""

    def rig(self, **settings: Any) -> Rig:
        rig = Rig(Path(self.mktemp()), **settings).start()
        self.addCleanup(rig.kill)
        return rig

    def group(self, *servers: str) -> ServerGroup:
        """Accounting with servers, first one first."""
        made = tuple(Server(host=host, priority=number) for number, host in enumerate(servers, 1))
        return ServerGroup(endpoint="e", servers=made, request_timeout=5, max_retries=1)


class SendTests(Case):
    def test_one_server(self) -> None:
        """It is the Destination-Host, until it has had its chances."""
        rig = self.rig(accounting=self.group("aaa1.home.example"))
        rig.node.become("silent")
        rig.begin()
        rig.wait(11)
        rig.node.become("up")
        rig.run(0.5)
        self.assertEqual([submit.host for submit in rig.node.submits], ["aaa1.home.example"] * 2 + [""])
        self.assertEqual(rig.node.submits[0].prefer, (("aaa1.home.example", 1),))
        self.assertIsNone(rig.server.records[0].first(_D["Destination-Host"]))

    def test_several_servers(self) -> None:
        """They are preferred in their order, and none is named: the node chooses by what works."""
        rig = self.rig(accounting=self.group("aaa1.home.example", "aaa2.home.example"))
        rig.begin()
        rig.run(0.2)
        submit = rig.node.submits[0]
        self.assertEqual(submit.host, "")
        self.assertEqual(submit.prefer, (("aaa1.home.example", 1), ("aaa2.home.example", 2)))
        self.assertTrue(submit.accounting)

    def test_what_has_waited_says_so(self) -> None:
        """Acct-Delay-Time is how long; a record that is sent at once has none."""
        rig = self.rig()
        rig.node.become("down")
        rig.begin(1)
        rig.wait(90)
        rig.node.become("up")
        rig.begin(2)
        rig.run(0.5)
        delays = {
            each.first(_D["User-Name"])[:3]: each.first(_D["Acct-Delay-Time"]) for each in rig.server.records
        }
        self.assertEqual(delays, {"mn1": 90, "mn2": None})

    def test_one_end_to_end_id(self) -> None:
        """The same for all tries of a record, also in another process; no two records have one."""
        rig = self.rig()
        rig.node.become("silent")
        rig.begin(1)
        rig.begin(2)
        rig.wait(40)
        first = [(submit.avps[:60], submit.end_to_end) for submit in rig.node.submits]
        rig.kill()
        rig.boot()
        rig.start()
        rig.run(0.5)
        again = [(submit.avps[:60], submit.end_to_end) for submit in rig.node.submits]
        self.assertGreater(len(first), 2)
        self.assertEqual(len(set(first)), 1)
        self.assertLessEqual(set(first), set(again))
        self.assertEqual(len({number for _, number in again}), 4)


class SayTests(Case):
    def test_figures_of_a_life(self) -> None:
        """Counters by kind, and what waits, from the first record to the last."""
        rig = self.rig(interim_on_handoff=True)
        rig.node.become("silent")
        rig.begin()
        while rig.driver.statistics().unanswered < 2:
            rig.run(0.1)
        rig.node.become("down")
        rig.account(aaa.HANDOFF)
        rig.account(aaa.HANDOFF)
        rig.run(0.2)
        found = rig.driver.statistics()
        start, interim = found.kinds["start"], found.kinds["interim"]
        self.assertEqual((start.made, start.stored, start.sent, start.repeated), (1, 1, 2, 1))
        self.assertEqual((interim.made, interim.stored, interim.sent, interim.replaced), (2, 2, 0, 1))
        self.assertEqual(
            (found.waiting, found.waiting_kinds["start"], found.waiting_kinds["interim"]), (2, 1, 1)
        )
        self.assertEqual((found.sessions, found.unanswered, found.counted, found.full), (1, 2, True, ""))
        self.assertEqual(found.routes[0][:2], ("home.example", ""))
        self.assertIn("down, next try in", found.routes[0][2])
        rig.run(1.5)
        self.assertAlmostEqual(rig.driver.statistics().oldest, EPOCH + 0.1, 1)
        rig.node.become("up")
        rig.end()
        rig.wait(3)
        found = rig.driver.statistics()
        self.assertEqual((found.waiting, found.sessions, found.oldest, found.under_way), (0, 0, 0.0, 0))
        self.assertEqual([found.kinds[name].acknowledged for name in ("start", "interim", "stop")], [1, 1, 1])
        self.assertEqual(found.routes, [("home.example", "", "up")])

    def test_a_fault_of_the_thread(self) -> None:
        """It is reported with its place, records go from memory, and everything goes on after it."""
        rig = self.rig()
        rig.worker.broken = RuntimeError("no such thing")
        rig.begin(1)
        rig.run(0.3)
        self.assertEqual([kind for _, _, kind in rig.server.stored()], [START])
        self.assertTrue(any("RuntimeError: no such thing" in each.text for each in rig.said))
        rig.worker.broken = None
        rig.begin(2)
        rig.end(1)
        rig.end(2)
        rig.wait(10)
        self.assertEqual(sorted(kind for _, _, kind in rig.server.stored()), [START, START, STOP, STOP])
        self.assertEqual(rig.driver.statistics().full, "")

    def test_a_spool_that_is_taken(self) -> None:
        """Two services with one directory: the second does not start."""
        rig = self.rig()
        other = Rig(rig.folder)
        self.assertRaisesRegex(ResourceError, "another process uses it", other.start)

    def test_trying_it(self) -> None:
        """One EVENT, at once and not stored; what came of it."""
        rig = self.rig()
        got: list[Tried] = []
        rig.driver.test(b"mn9@home.example", LMA).addCallback(got.append)
        rig.run(0.1)
        self.assertEqual((got[0].code, got[0].reason, got[0].peer), (2001, "", "aaa1.home.example"))
        record = rig.server.records[0]
        self.assertEqual(record.first(_D["Accounting-Record-Type"]), EVENT)
        self.assertEqual(record.first(_D["User-Name"]), "mn9@home.example")
        rig.server.results = [5030]
        rig.driver.test(b"mn9@home.example", LMA).addCallback(got.append)
        rig.run(0.1)
        rig.node.become("down")
        rig.driver.test(b"mn9@home.example", LMA).addCallback(got.append)
        rig.run(0.1)
        self.assertEqual([(each.code, each.reason) for each in got[1:]], [(5030, ""), (0, "no peer")])
        self.assertEqual(rig.driver.statistics().kinds["event"].made, 0)


class DeathTests(Case):
    def test_many_sessions(self) -> None:
        """All that were open get their STOP, with the counters last told and the time that it last lived."""
        rig = self.rig(interim_interval=100)
        for number in range(1, 301):
            rig.usages[number] = Usage(octets_in=number)
            rig.begin(number)
        rig.run(0.5)
        rig.wait(150)
        rig.restart()
        rig.wait(5)
        kinds = [kind for _, _, kind in rig.server.stored()]
        self.assertEqual([kinds.count(kind) for kind in (START, INTERIM, STOP)], [300, 300, 300])
        self.assertEqual(rig.driver.statistics().left_behind, 300)
        for stop in rig.server.records[-300:]:
            number = int(stop.first(_D["User-Name"])[2:].partition("@")[0])
            self.assertEqual(stop.first(_D["Accounting-Input-Octets"]), number)
            self.assertEqual(stop.first(_D["Termination-Cause"]), NAS_REBOOT)
            self.assertGreater(stop.first(_D["Acct-Session-Time"]), 143)
            self.assertLessEqual(stop.first(_D["Acct-Session-Time"]), 151)
        rig.restart()
        rig.wait(5)
        self.assertEqual(len(rig.server.records), 900)

    def test_twice(self) -> None:
        """Death while the STOPs are made: each session still gets one."""
        rig = self.rig()
        for number in range(1, 201):
            rig.begin(number)
        rig.run(0.5)
        for _ in range(6):
            rig.kill()
            rig.boot()
            rig.start()
        rig.wait(5)
        self.assertEqual([kind for _, _, kind in rig.server.stored()].count(STOP), 200)
        self.assertEqual(set(rig.server.keys), {key for key in rig.server.keys if rig.server.keys[key] >= 1})

    def test_an_orderly_end_leaves_nothing(self) -> None:
        """After it no session is thought to have died."""
        rig = self.rig()
        rig.begin()
        rig.run(0.3)
        rig.stop()
        causes = [each.first(_D["Termination-Cause"]) for each in rig.server.records]
        self.assertEqual(causes, [None, ADMIN_REBOOT])
        rig.boot()
        rig.start()
        rig.wait(3)
        self.assertEqual(len(rig.server.records), 2)


class MemoryTests(Case):
    def test_a_session_is_small(self) -> None:
        """What an open session takes, and that it gives all of it back without a full collection."""
        rig = self.rig()
        rig.begin(1)
        rig.run(0.2)
        count = 2_000
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        before = tracemalloc.get_traced_memory()[0]
        for number in range(2, count + 2):
            rig.begin(number)
        rig.run(1.5)
        rig.server.records.clear()
        rig.server.seen.clear()
        rig.server.keys.clear()
        rig.node.submits.clear()
        rig.worker.jobs.clear()
        each = (tracemalloc.get_traced_memory()[0] - before) / count
        self.assertLess(each, CEILING)
        for number in range(2, count + 2):
            rig.end(number)
        rig.run(1.5)
        rig.server.records.clear()
        rig.server.seen.clear()
        rig.server.keys.clear()
        rig.node.submits.clear()
        rig.worker.jobs.clear()
        self.assertLess((tracemalloc.get_traced_memory()[0] - before) / count, REMAINDER)
