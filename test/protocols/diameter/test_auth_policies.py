"""Which server is asked, what happens when none answers, and how servers hear of ends."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.diameter.client import auth_leaving, authorization
from appliance.protocols.diameter.client.auth_requests import Origin
from appliance.protocols.diameter.events import FULL, MALFORMED, NO_PEER, STOPPED, TIMEOUT
from appliance.protocols.mobility import aaa
from appliance.protocols.mobility.aaa import Account
from appliance.protocols.pmipv6.events import Notify
from test.protocols.diameter.auth_fakes import ORIGIN, REALM, Client, avp, group, lifetime, subject, value

NAME = "lma1.home.example;3973075200;1"


class TestServers(SynchronousTestCase):
    def test_priority(self) -> None:
        """The configured servers by priority; the next one when one cannot be reached or is too busy."""
        client = Client(group(servers=["a.x", "b.x", "c.x"]))
        (ask,) = client.authorize()
        self.assertEqual((ask.submit.host, value(ask, "Destination-Host")), ("a.x", "a.x"))
        client.silence(ask, NO_PEER)
        (ask,) = client.asks()
        self.assertEqual((ask.submit.host, ask.submit.repeated), ("b.x", False))
        client.answer(ask, 3004)
        (ask,) = client.asks()
        self.assertEqual(ask.submit.host, "c.x")
        client.silence(ask, FULL)
        self.assertEqual(client.verdicts(), [(1, aaa.NO_ANSWER)])

    def test_time_out(self) -> None:
        """After a time-out it is the same request, which may have arrived: End-to-End Id and T flag."""
        client = Client(group(servers=["a.x", "b.x"]))
        (ask,) = client.authorize()
        hosts = [ask.submit.host]
        for _ in range(2):
            client.mono += 10
            client.silence(ask, TIMEOUT)
            (ask,) = client.asks()
            hosts.append(ask.submit.host)
            self.assertEqual((ask.submit.end_to_end, ask.submit.repeated), (77, True))
        self.assertEqual(hosts, ["a.x", "b.x", "a.x"])
        client.silence(ask, TIMEOUT)
        self.assertEqual(client.verdicts(), [(1, aaa.NO_ANSWER)])

    def test_uncertain(self) -> None:
        """A server that has not answered may have a session all the same: it is told that there is none."""
        for reason in (TIMEOUT, MALFORMED):
            client = Client(group(max_retries=0))
            (ask,) = client.authorize()
            client.silence(ask, reason)
            (end,) = client.asks()
            self.assertEqual(
                (end.submit.code, value(end, "Termination-Cause")), (275, aaa.SERVICE_NOT_PROVIDED)
            )
            self.assertEqual((end.submit.host, value(end, "Session-Id")), ("", NAME))
            client.answer(end, 5002)
            self.assertEqual((client.core.sessions.calls, client.core.sessions.ids), ({}, {}))
        client = Client(group(max_retries=0, failure_policy="local"))
        (ask,) = client.authorize()
        client.silence(ask, TIMEOUT)
        self.assertEqual((client.verdicts(), client.asks()), ([(1, aaa.ACCEPT)], []))
        self.assertEqual(len(client.stop()), 1)

    def test_patience(self) -> None:
        """No request is waited for longer than the mobility core waits."""
        client = Client()
        (ask,) = client.authorize(patience=25)
        client.mono += 20
        client.silence(ask, TIMEOUT)
        (ask,) = client.asks()
        self.assertEqual(ask.submit.timeout, 5)
        client.mono += 5
        client.silence(ask, TIMEOUT)
        self.assertEqual(client.verdicts(), [(1, aaa.NO_ANSWER)])

    def test_realm(self) -> None:
        """Destination-Realm: the group's, else that of the user, else our own."""
        for settings, user, realm in (
            (group(realm="aaa.net"), b"mn@home.example", "aaa.net"),
            (group(), b"mn@Other.Example", "other.example"),
            (group(), b"mn", REALM),
            (group(), b"mn@a b", REALM),
            (group(), b"\0\2\1\2", REALM),
        ):
            (ask,) = Client(settings).authorize(mn_id=user)
            self.assertEqual((ask.submit.realm, value(ask, "Destination-Realm")), (realm, realm))


class TestPolicies(SynchronousTestCase):
    def test_deny(self) -> None:
        """Nobody there: no, at once."""
        for reason in (NO_PEER, FULL, STOPPED):
            client = Client()
            (ask,) = client.authorize()
            client.silence(ask, reason)
            self.assertEqual((client.verdicts(), client.core.sessions.calls), ([(1, aaa.NO_ANSWER)], {}))
            self.assertEqual(client.core.statistics.denied, 1)

    def test_local(self) -> None:
        """The local profile is enough; the session is asked about again from time to time, and then known."""
        client = Client(group(failure_policy="local"))
        (ask,) = client.authorize()
        client.silence(ask)
        self.assertEqual(client.verdicts(), [(1, aaa.ACCEPT)])
        grant = client.grant()
        self.assertEqual((grant.local, grant.lifetime, grant.session_id), (True, None, NAME))
        client.pass_time(61)
        self.assertEqual(client.again(), [1])
        (ask,) = client.authorize()
        self.assertEqual((ask.submit.host, value(ask, "Session-Id")), ("", NAME))
        client.silence(ask)
        self.assertEqual(client.verdicts(), [(2, aaa.ACCEPT)])
        client.pass_time(61)
        (ask,) = client.authorize()
        client.answer(ask)
        self.assertEqual(client.grant().local, False)
        self.assertEqual(len(client.stop()), 1)

    def test_local_ends(self) -> None:
        """Of a session without a server nobody is told; a server's later no ends it."""
        client = Client(group(failure_policy="local"))
        (ask,) = client.authorize()
        client.silence(ask)
        self.assertEqual(client.stop(), [])
        (ask,) = client.authorize(2)
        client.silence(ask)
        (ask,) = client.authorize(2)
        client.answer(ask, 5003)
        self.assertEqual(client.ends(), [(2, aaa.ADMINISTRATIVE)])

    def test_local_keeps_open_ones(self) -> None:
        """An open session whose server is gone goes on beyond its authorization, but not its timeout."""
        client = Client(group(failure_policy="local"))
        client.opened(lifetime(100) + avp("Session-Timeout", 300))
        client.pass_time(91)
        (ask,) = client.authorize()
        client.silence(ask)
        self.assertEqual(client.verdicts(), [(2, aaa.ACCEPT)])
        self.assertEqual(client.grant().session_timeout, 209)
        client.pass_time(200)
        self.assertEqual(client.ends(), [])
        client.pass_time(10)
        self.assertEqual(client.ends(), [(1, aaa.SESSION_TIMEOUT)])

    def test_queue(self) -> None:
        """The question waits for a server: it is asked again now and then, and when a peer comes."""
        client = Client(group(failure_policy="queue", queue_time=10))
        (ask,) = client.authorize()
        self.assertEqual(client.silence(ask), [])
        client.pass_time(2)
        (ask,) = client.asks()
        client.silence(ask)
        client.mono += 0.5
        client.usable()
        (ask,) = [*client.asks(), *client.pass_time(0)]
        client.answer(ask)
        self.assertEqual(client.verdicts(), [(1, aaa.ACCEPT)])
        self.assertEqual(client.pass_time(40), [])
        self.assertIsNone(client.core.deadline)

    def test_queue_ends(self) -> None:
        """After queue-time, or when the mobility core has no more patience, the answer is no."""
        for settings, patience, seconds in ((10, 60, 10), (30, 5, 5)):
            client = Client(group(failure_policy="queue", queue_time=settings))
            (ask,) = client.authorize(patience=patience)
            waited = 0.0
            while not client.silence(ask):
                client.pass_time(1)
                while not client.asks() and not client.verdicts():
                    waited += 1
                    client.pass_time(1)
                waited += 1
                if client.verdicts():
                    break
                (ask,) = client.asks()
            self.assertEqual(client.verdicts(), [(1, aaa.NO_ANSWER)])
            self.assertEqual(waited, seconds)

    def test_queue_abandoned(self) -> None:
        """A question that waits and is not wanted any more is gone."""
        client = Client(group(failure_policy="queue"))
        (ask,) = client.authorize()
        client.silence(ask)
        client.abandon(1)
        self.assertEqual((client.core.sessions.calls, client.pass_time(40)), ({}, []))
        self.assertIsNone(client.core.deadline)

    def test_queue_in_slices(self) -> None:
        """When a peer comes, what waits is asked some at a time."""
        self.patch(authorization, "PER_TICK", 3)
        client = Client(group(failure_policy="queue"))
        for call_id in range(1, 9):
            (ask,) = client.authorize(call_id)
            client.silence(ask)
        client.mono += 0.5
        client.usable()
        counts = []
        while (deadline := client.core.deadline) is not None and deadline <= client.mono:
            client.core.tick(client.now)
            counts.append(len(client.core.take()))
        self.assertEqual(counts, [3, 3, 2])

    def test_no_node(self) -> None:
        """Without a node of our own the policy counts; later the session gets a name."""
        client = Client(group(failure_policy="local"), Origin())
        self.assertEqual(client.authorize(), [])
        self.assertEqual((client.verdicts(), client.grant().session_id), ([(1, aaa.ACCEPT)], ""))
        client.reconfigure(group(failure_policy="local"))
        client.pass_time(61)
        (ask,) = client.authorize()
        self.assertEqual(value(ask, "Session-Id"), NAME)

    def test_said_once(self) -> None:
        """The log hears of it once in ten seconds."""
        client = Client(group(failure_policy="local"))
        lines = 0
        for call_id in range(1, 30):
            (ask,) = client.authorize(call_id)
            client.silence(ask)
            lines += len(client.of(Notify))
            client.mono += 1
        self.assertEqual(lines, 3)


class TestSettings(SynchronousTestCase):
    def test_other_authority(self) -> None:
        """Sessions of another authority are ended there, some at a time; its answers are of no use."""
        self.patch(authorization, "PER_TICK", 2)
        client = Client()
        for call_id in range(1, 6):
            client.opened(call_id=call_id)
        (late,) = client.authorize(9)
        client.reconfigure(group(realm="other.net"))
        self.assertEqual(client.core.deadline, 0.0)
        client.pass_time(0)
        ends = client.asks()
        self.assertEqual(len(ends), 5)
        self.assertEqual({value(each, "Termination-Cause") for each in ends}, {aaa.ADMINISTRATIVE})
        self.assertEqual({each.submit.realm for each in ends}, {REALM})
        client.answer(late)
        (end,) = client.asks()
        client.answer(end)
        for each in ends:
            client.answer(each)
        self.assertEqual((client.core.sessions.calls, client.core.sessions.ids), ({}, {}))
        (ask,) = client.authorize(1)
        self.assertEqual(ask.submit.realm, "other.net")

    def test_no_group(self) -> None:
        """Without a group all sessions end with their server; what waits is dropped."""
        client = Client(group(failure_policy="queue"))
        client.opened()
        (ask,) = client.authorize(2)
        client.silence(ask)
        client.reconfigure(None)
        self.assertEqual(client.verdicts(), [(2, aaa.NO_ANSWER)])
        client.pass_time(0)
        self.assertEqual(len(client.asks()), 1)

    def test_same_authority(self) -> None:
        """Other time-outs and policies leave the sessions alone."""
        client = Client()
        client.opened()
        client.reconfigure(group(failure_policy="local", request_timeout=5))
        self.assertEqual(client.effects, [])
        (ask,) = client.authorize()
        self.assertEqual(ask.submit.timeout, 5)

    def test_node_comes_back(self) -> None:
        """Another origin is used at once."""
        client = Client()
        client.opened()
        client.reconfigure(group(), Origin())
        self.assertEqual(client.stop(), [])
        client.reconfigure(group(), ORIGIN)
        (end,) = client.asks()
        self.assertEqual(value(end, "Termination-Cause"), 1)


class TestLeaving(SynchronousTestCase):
    def end_many(self, count: int, **settings: Any) -> Client:
        """A client that has ended many sessions at once."""
        client = Client(group(**settings))
        for call_id in range(1, count + 1):
            client.opened(call_id=call_id)
        self.sent: list[Any] = []
        for call_id in range(1, count + 1):
            self.sent += client.stop(call_id)
        return client

    def test_window(self) -> None:
        """However many sessions end, a bounded number of STRs is under way."""
        client = self.end_many(200)
        self.assertEqual((len(self.sent), client.core.busy), (64, 200))
        while self.sent:
            client.answer(self.sent.pop(0))
            self.sent += client.asks()
        self.assertEqual((client.core.busy, client.core.sessions.ids), (0, {}))

    def test_nobody_there(self) -> None:
        """They wait for a peer, and are tried again half a minute later."""
        client = self.end_many(3)
        for ask in self.sent:
            client.silence(ask)
        self.assertEqual(client.core.busy, 3)
        self.assertEqual(client.pass_time(29), [])
        client.pass_time(1.1)
        again = client.asks()
        self.assertEqual(len(again), 3)
        for ask in again:
            client.silence(ask)
        self.assertEqual(len(client.usable()), 3)

    def test_other_realms_go_on(self) -> None:
        """A realm that cannot be reached does not hold up another one."""
        client = Client()
        client.opened(call_id=1)
        client.opened(call_id=2, mn_id=b"b@other.net")
        (ask,) = client.stop(1)
        client.silence(ask)
        client.feed(Account(what="stop", subject=subject(2, mn_id=b"b@other.net"), cause=1))
        (ask,) = client.asks()
        self.assertEqual(ask.submit.realm, "other.net")

    def test_time_outs(self) -> None:
        """After max-retries more tries a server is not told, which is counted."""
        client = self.end_many(1, max_retries=1)
        (ask,) = self.sent
        client.silence(ask, TIMEOUT)
        (ask,) = client.asks()
        client.silence(ask, TIMEOUT)
        self.assertEqual((client.asks(), client.core.sessions.ids), ([], {}))
        self.assertEqual(client.core.statistics.forgotten, 1)

    def test_failover(self) -> None:
        """RFC 6733 section 8.18: to any server, if the session's own is not to be reached."""
        for failover, again in ((1, True), (3, True), (2, False), (0, False)):
            client = Client()
            client.opened(avp("Session-Server-Failover", failover))
            (ask,) = client.stop()
            client.silence(ask)
            self.assertEqual([each.submit.host for each in client.asks()], [""] if again else [], failover)

    def test_busy(self) -> None:
        """A server that is too busy is asked later."""
        client = self.end_many(1)
        client.answer(self.sent[0], 3004)
        self.assertEqual(client.core.busy, 1)
        client.pass_time(31)
        self.assertEqual(len(client.asks()), 1)

    def test_not_worth_it(self) -> None:
        """What the server must have forgotten by itself is not tried again."""
        client = Client()
        client.opened(avp("Session-Timeout", 20))
        (ask,) = client.stop()
        client.silence(ask)
        client.pass_time(31)
        self.assertEqual((client.asks(), client.core.statistics.forgotten), ([], 1))
        self.assertIsNone(client.core.deadline)

    def test_limit(self) -> None:
        """What waits is bounded: the oldest are given up."""
        self.patch(auth_leaving, "LIMIT", 5)
        client = self.end_many(80)
        self.assertEqual((client.core.busy, client.core.statistics.forgotten), (69, 11))
