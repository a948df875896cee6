"""The client session machine of RFC 6733 section 8.1, row by row."""

from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.diameter.client.auth_sessions import SessionIds
from appliance.protocols.diameter.events import NO_PEER, TIMEOUT
from appliance.protocols.mobility import aaa
from appliance.protocols.pmipv6.events import Notify
from test.protocols.diameter.auth_fakes import HOST, REALM, SERVER, Client, avp, group, lifetime, value

ASR, RAR = 274, 258
NAME = f"{HOST};3973075200;1"


class TestIds(SynchronousTestCase):
    def test_unique(self) -> None:
        """RFC 6733 section 8.8: begun with the NTP time of the start, then counted, over 32 bits too."""
        ids = SessionIds(3973075200 - 2_208_988_800)
        self.assertEqual([ids.make("a"), ids.make("b.c")], ["a;3973075200;1", "b.c;3973075200;2"])
        ids._next |= 0xFFFFFFFF
        self.assertEqual(ids.make("a"), "a;3973075201;0")
        self.assertEqual(SessionIds((1 << 32) - 2_208_988_800 + 5).make("a"), "a;5;1", "the era of 2036")


class TestMachine(SynchronousTestCase):
    def test_success(self) -> None:
        """Idle, Pending, Open: a question goes to the realm; yes is yes."""
        client = Client()
        (ask,) = client.authorize()
        submit = ask.submit
        self.assertEqual((submit.code, submit.application, submit.realm, submit.host), (265, 1, REALM, ""))
        self.assertEqual((submit.timeout, submit.repeated, submit.accounting), (20.0, False, False))
        client.answer(ask, 2001)
        self.assertEqual(client.verdicts(), [(1, aaa.ACCEPT)])
        grant = client.grant()
        self.assertEqual((grant.session_id, grant.host, grant.local), (NAME, SERVER, False))
        self.assertIsNone(client.core.deadline)
        self.assertEqual(client.core.statistics.accepted, 1)

    def test_refused(self) -> None:
        """Pending, Idle: nothing is kept, and nobody told."""
        client = Client()
        (ask,) = client.authorize()
        client.answer(ask, 5003)
        self.assertEqual(client.verdicts(), [(1, aaa.REJECT)])
        self.assertEqual(client.stop(), [])
        self.assertEqual((client.core.sessions.calls, client.core.sessions.ids), ({}, {}))

    def test_verdicts(self) -> None:
        """Every result that says something about the user."""
        for result, verdict in (
            (4001, aaa.BAD_CREDENTIALS), (5003, aaa.REJECT), (5006, aaa.RESOURCES), (5030, aaa.UNKNOWN_USER),
            (5032, aaa.UNKNOWN_USER), (5041, aaa.REJECT), (5012, aaa.NO_ANSWER), (5001, aaa.NO_ANSWER),
            (1001, aaa.NO_ANSWER), (6000, aaa.NO_ANSWER), (3002, aaa.NO_ANSWER), (4002, aaa.NO_ANSWER),
        ):  # fmt: skip
            client = Client()
            (ask,) = client.authorize()
            client.answer(ask, result)
            self.assertEqual(client.verdicts(), [(1, verdict)], result)
            self.assertEqual(client.core.sessions.ids, {})

    def test_service(self) -> None:
        """A refusal that points at Service-Selection is about the service."""
        client = Client()
        (ask,) = client.authorize()
        client.answer(ask, 5003, avp("Failed-AVP", [avp("Service-Selection", "internet")]))
        self.assertEqual(client.verdicts(), [(1, aaa.SERVICE)])

    def test_verdicts_3gpp(self) -> None:
        """The same of 3GPP, in Experimental-Result."""
        for result, verdict in (
            (5001, aaa.UNKNOWN_USER), (5004, aaa.ROAMING), (5420, aaa.SERVICE), (5450, aaa.REJECT),
            (5451, aaa.SERVICE), (5452, aaa.ROAMING), (5453, aaa.NEWER), (5999, aaa.NO_ANSWER),
            (4181, aaa.NO_ANSWER),
        ):  # fmt: skip
            client = Client(group(application="s6b"))
            (ask,) = client.authorize()
            self.assertEqual(ask.submit.application, 16_777_272)
            client.answer_3gpp(ask, result)
            self.assertEqual(client.verdicts(), [(1, verdict)], result)

    def test_newer_session(self) -> None:
        """Who has seen a newer session is the reporting host, else the server; the group says what it is."""
        hosts = (("PCRF1.example", "pcrf"), (SERVER, "pcs"))
        for settings, reporter, verdict in (
            (group(), "pcrf1.example", aaa.NEWER),
            (group(newer_sessions=hosts), "pcrf1.example", aaa.NEWER_PCRF),
            (group(newer_sessions=hosts), "", aaa.NEWER_PCS),
            (group(newer_sessions=hosts), "other.example", aaa.NEWER),
        ):
            client = Client(settings)
            (ask,) = client.authorize()
            client.answer_3gpp(ask, 5453, *([avp("Error-Reporting-Host", reporter)] if reporter else []))
            self.assertEqual(client.verdicts(), [(1, verdict)])

    def test_unusable(self) -> None:
        """Pending, Discon: a yes that cannot be processed gets an STR with DIAMETER_BAD_ANSWER."""
        wrong = avp("MIP6-Agent-Info", [avp("MIP6-Home-Link-Prefix", b"\x40" + b"\xff" * 16)])
        for why in (
            wrong,
            avp("Class", bytes(3000)) + avp("Class", bytes(2000)),
            b"\0\0\x27\x0f\x40\0\0\x08",
        ):
            client = Client()
            (ask,) = client.authorize()
            client.answer(ask, 2001, why)
            self.assertEqual(client.verdicts(), [(1, aaa.NO_ANSWER)])
            (end,) = client.asks()
            self.assertEqual((end.submit.code, value(end, "Termination-Cause")), (275, aaa.BAD_ANSWER))
            self.assertEqual((value(end, "Session-Id"), value(end, "Destination-Host")), (NAME, SERVER))
            self.assertIn(SERVER, client.of(Notify)[0].text)

    def test_other_session(self) -> None:
        """An answer that names another session or application is of no use either."""
        client = Client(first=1)
        (first,) = client.authorize(1)
        (second,) = client.authorize(2)
        second.number = first.number
        client.answer(second)
        self.assertEqual(client.verdicts(), [(1, aaa.NO_ANSWER)])

    def test_service_not_provided(self) -> None:
        """Pending, Discon: yes, but the mobile is not served after all."""
        for early in (True, False):
            client = Client()
            (ask,) = client.authorize()
            if early:
                self.assertEqual(client.abandon(1), [])
            client.answer(ask)
            (end,) = client.asks() if early else client.abandon(1)
            self.assertEqual(value(end, "Termination-Cause"), aaa.SERVICE_NOT_PROVIDED)
            client.answer(end)
            self.assertEqual((client.core.sessions.calls, client.core.sessions.ids), ({}, {}))

    def test_abandoned_and_refused(self) -> None:
        """A question that nobody waits for any more, answered by no, or not at all, leaves nothing."""
        for how in (lambda client, ask: client.answer(ask, 5003), lambda client, ask: client.silence(ask)):
            client = Client()
            (ask,) = client.authorize()
            client.abandon(1)
            how(client, ask)
            self.assertEqual(client.asks(), [])
            self.assertEqual(client.core.sessions.ids, {})

    def test_stop(self) -> None:
        """Open, Discon, Idle: the end of a session with its cause; the STA makes it forgotten."""
        for result in (2001, 5002, 5012):
            client = Client()
            client.opened()
            (end,) = client.stop(cause=aaa.LINK_BROKEN)
            self.assertEqual((end.submit.code, end.submit.application, end.submit.host), (275, 1, SERVER))
            self.assertEqual(
                (value(end, "Termination-Cause"), value(end, "User-Name")), (5, "mn1@home.example")
            )
            self.assertEqual(client.core.busy, 1)
            client.answer(end, result)
            self.assertEqual((client.core.sessions.ids, client.core.busy, client.effects), ({}, 0, []))

    def test_stateless(self) -> None:
        """A server that keeps no state hears of no end."""
        client = Client()
        client.opened(avp("Auth-Session-State", 1))
        self.assertEqual(client.stop(), [])
        self.assertEqual(client.core.sessions.ids, {})

    def test_unknown_stop(self) -> None:
        """The end of a session that was never authorized is nothing to tell."""
        self.assertEqual(Client().stop(7), [])

    def test_binding(self) -> None:
        """RFC 6733 section 8.17: bits of Session-Binding leave Destination-Host out."""
        for bits, again, end, accounting in (
            (0, 1, 1, 1),
            (1, 0, 1, 1),
            (2, 1, 0, 1),
            (4, 1, 1, 0),
            (7, 0, 0, 0),
        ):
            client = Client()
            (ask,) = client.authorize()
            client.answer(ask, 2001, avp("Session-Binding", bits))
            self.assertEqual(client.grant().host, SERVER if accounting else "")
            (ask,) = client.authorize()
            self.assertEqual(ask.submit.host, SERVER if again else "", bits)
            client.answer(ask, 2001, avp("Session-Binding", bits))
            (ask,) = client.stop()
            self.assertEqual(ask.submit.host, SERVER if end else "", bits)

    def test_class(self) -> None:
        """RFC 6733 section 8.20: in re-authorization and STR; a later answer's replace the first's."""
        client = Client()
        client.opened(avp("Class", b"one") + avp("Class", b"two"))
        self.assertEqual(client.grant().classes, (b"one", b"two"))
        (ask,) = client.authorize()
        self.assertEqual(value(ask, "Class"), b"one")
        client.answer(ask)
        self.assertEqual(client.grant().classes, (b"one", b"two"))
        (ask,) = client.authorize()
        client.answer(ask, 2001, avp("Class", b"three"))
        (end,) = client.stop()
        self.assertEqual(value(end, "Class"), b"three")


class TestTimes(SynchronousTestCase):
    def test_again(self) -> None:
        """Shortly before the Authorization-Lifetime is over the session is asked for and authorized again."""
        client = Client()
        first = client.opened(lifetime(100, 20))
        self.assertEqual(client.grant().lifetime, 100)
        self.assertEqual(client.pass_time(89.9), [])
        client.pass_time(0.3)
        self.assertEqual(client.again(), [1])
        (ask,) = client.authorize()
        self.assertEqual((value(ask, "Session-Id"), ask.submit.host), (value(first, "Session-Id"), SERVER))
        client.answer(ask, 2001, lifetime(100, 20))
        self.assertEqual((client.pass_time(89), client.ends()), ([], []))
        client.pass_time(2)
        self.assertEqual(client.again(), [1])

    def test_expired(self) -> None:
        """Open, Discon: lifetime and grace are over without another answer."""
        client = Client()
        client.opened(lifetime(100, 20))
        client.pass_time(119)
        self.assertEqual((client.again(), client.ends()), ([1], []))
        client.pass_time(1.2)
        self.assertEqual(client.ends(), [(1, aaa.AUTH_EXPIRED)])
        (end,) = client.stop(cause=aaa.AUTH_EXPIRED)
        self.assertEqual(value(end, "Termination-Cause"), aaa.AUTH_EXPIRED)
        self.assertEqual(client.pass_time(60), [])
        self.assertIsNone(client.core.deadline)

    def test_session_timeout(self) -> None:
        """Open, Discon: Session-Timeout; a later answer that does not say it leaves it as it is."""
        client = Client()
        client.opened(avp("Session-Timeout", 300) + lifetime(200))
        client.pass_time(181)
        self.assertEqual(client.again(), [1])
        (ask,) = client.authorize()
        client.answer(ask, 2001, lifetime(200))
        self.assertEqual(client.grant().session_timeout, 119)
        client.pass_time(118)
        self.assertEqual(client.ends(), [])
        client.pass_time(1.3)
        self.assertEqual(client.ends(), [(1, aaa.SESSION_TIMEOUT)])
        self.assertEqual(len(client.stop(cause=aaa.SESSION_TIMEOUT)), 1)

    def test_no_limits(self) -> None:
        """All ones, zero and absence: never again, no timeout."""
        for avps in (lifetime(0xFFFFFFFF), avp("Session-Timeout", 0), b""):
            client = Client()
            client.opened(avps)
            grant = client.grant()
            self.assertEqual((grant.lifetime, grant.session_timeout), (None, None))
            self.assertIsNone(client.core.deadline)

    def test_at_once(self) -> None:
        """A lifetime of zero wants another question at once, but not without a pause."""
        client = Client()
        client.opened(lifetime(0))
        self.assertEqual(client.grant().lifetime, 0)
        client.pass_time(1.2)
        self.assertEqual((client.again(), client.ends()), ([1], []))

    def test_contradiction(self) -> None:
        """A lifetime that is longer than the session is no longer than the session."""
        client = Client()
        client.opened(lifetime(500) + avp("Session-Timeout", 100))
        self.assertEqual(client.grant().lifetime, 100)

    def test_core_is_silent(self) -> None:
        """A mobility core that does not react is told again."""
        client = Client()
        client.opened(lifetime(100))
        client.pass_time(91)
        client.pass_time(40)
        self.assertEqual(client.ends(), [(1, aaa.AUTH_EXPIRED)])
        client.pass_time(31)
        self.assertEqual(client.ends(), [(1, aaa.SESSION_TIMEOUT)])


class TestAgain(SynchronousTestCase):
    def test_refused(self) -> None:
        """Open, Idle: no STR; the mobility core ends the session by the answer, or is told to."""
        client = Client()
        client.opened()
        (ask,) = client.authorize()
        client.answer(ask, 5003)
        self.assertEqual((client.verdicts(), client.ends()), ([(2, aaa.REJECT)], [(1, aaa.ADMINISTRATIVE)]))
        self.assertEqual(client.stop(), [])
        self.assertEqual(client.core.sessions.ids, {})

    def test_no_answer(self) -> None:
        """Without a word of its server a session goes on until its authorization is over."""
        client = Client(group(max_retries=0))
        client.opened(lifetime(100, 30))
        client.pass_time(91)
        (ask,) = client.authorize()
        client.silence(ask, TIMEOUT)
        self.assertEqual((client.verdicts(), client.ends()), ([(2, aaa.NO_ANSWER)], []))
        client.pass_time(31)
        self.assertEqual(client.again(), [1])
        (ask,) = client.authorize()
        client.answer(ask, 5012)
        self.assertEqual(client.verdicts(), [(3, aaa.NO_ANSWER)])
        client.pass_time(10)
        self.assertEqual(client.ends(), [(1, aaa.AUTH_EXPIRED)])

    def test_unusable(self) -> None:
        """A yes that cannot be processed ends a session that was open."""
        client = Client()
        client.opened()
        (ask,) = client.authorize()
        client.answer(ask, 2001, avp("Class", bytes(5000)))
        self.assertEqual(client.ends(), [(1, aaa.BAD_ANSWER)])
        (end,) = client.asks()
        self.assertEqual(value(end, "Termination-Cause"), aaa.BAD_ANSWER)
        self.assertEqual(client.stop(cause=aaa.BAD_ANSWER), [])

    def test_server_has_lost_it(self) -> None:
        """5002: the session begins anew with any server of the realm, under its old name."""
        client = Client()
        client.opened()
        (ask,) = client.authorize()
        client.answer(ask, 5002)
        (anew,) = client.asks()
        self.assertEqual((anew.submit.host, value(anew, "Session-Id")), ("", NAME))
        client.answer(anew, 2001, host="aaa2.home.example")
        self.assertEqual(client.verdicts(), [(2, aaa.ACCEPT)])
        (end,) = client.stop()
        self.assertEqual(end.submit.host, "aaa2.home.example")

    def test_ended_meanwhile(self) -> None:
        """The session ends while it is asked about: the server hears of it after its answer."""
        for result, told in ((2001, 1), (5003, 0)):
            client = Client()
            client.opened()
            (ask,) = client.authorize()
            self.assertEqual(client.stop(cause=aaa.LOGOUT), [])
            client.answer(ask, result)
            self.assertEqual(len(client.verdicts()), 1)
            self.assertEqual(
                [value(each, "Termination-Cause") for each in client.asks()], [aaa.LOGOUT] * told
            )
            self.assertEqual(client.ends(), [])
        client = Client()
        client.opened()
        (ask,) = client.authorize()
        client.stop(cause=aaa.LOGOUT)
        client.silence(ask, NO_PEER)
        (end,) = client.asks()
        self.assertEqual(value(end, "Termination-Cause"), aaa.LOGOUT)

    def test_failover(self) -> None:
        """RFC 6733 section 8.18: what to do when the server of a session is not to be reached."""
        for failover, anyone, verdict, ended in (
            (0, False, aaa.NO_ANSWER, True),
            (1, True, aaa.NO_ANSWER, False),
            (2, False, aaa.ACCEPT, False),
            (3, True, aaa.ACCEPT, False),
        ):
            client = Client()
            client.opened(avp("Session-Server-Failover", failover) + avp("Class", b"c"))
            (ask,) = client.authorize()
            self.assertEqual(ask.submit.host, SERVER)
            client.silence(ask)
            if anyone:
                (ask,) = client.asks()
                self.assertEqual(ask.submit.host, "")
                client.silence(ask)
            self.assertEqual(client.verdicts(), [(2, verdict)], failover)
            self.assertEqual(client.ends(), [(1, aaa.AUTH_EXPIRED)] if ended else [])
            if verdict == aaa.ACCEPT:
                self.assertEqual((client.grant().local, client.grant().classes), (True, (b"c",)))


class TestDemands(SynchronousTestCase):
    def test_unknown(self) -> None:
        """Idle: 5002 to both."""
        client = Client()
        self.assertEqual((client.demand(ASR, "x;1;2"), client.demand(RAR, "x;1;2")), (5002, 5002))

    def test_abort(self) -> None:
        """Open, Discon: ASA, the session ends, STR with DIAMETER_ADMINISTRATIVE; another ASR gets an ASA."""
        client = Client()
        client.opened()
        self.assertEqual(client.demand(ASR, NAME), 2001)
        self.assertEqual(client.ends(), [(1, aaa.ADMINISTRATIVE)])
        (end,) = client.stop(cause=aaa.ADMINISTRATIVE)
        self.assertEqual(value(end, "Termination-Cause"), 4)
        self.assertEqual((client.demand(ASR, NAME), client.ends()), (2001, []))
        self.assertEqual(client.demand(RAR, NAME), 5012)
        client.answer(end)
        self.assertEqual(client.demand(ASR, NAME), 5002)

    def test_abort_pending(self) -> None:
        """A session that is aborted before its answer does not begin."""
        client = Client()
        (ask,) = client.authorize()
        self.assertEqual((client.demand(ASR, NAME), client.ends()), (2001, []))
        client.answer(ask)
        self.assertEqual(client.verdicts(), [(1, aaa.REJECT)])
        (end,) = client.asks()
        self.assertEqual(value(end, "Termination-Cause"), aaa.ADMINISTRATIVE)

    def test_re_auth(self) -> None:
        """Open: RAA, then another question; only one at a time."""
        client = Client()
        client.opened()
        self.assertEqual((client.demand(RAR, NAME), client.again()), (2001, [1]))
        (ask,) = client.authorize()
        self.assertEqual((client.demand(RAR, NAME), client.again()), (2001, []))
        client.answer(ask)
        self.assertEqual(client.verdicts(), [(2, aaa.ACCEPT)])

    def test_re_auth_pending(self) -> None:
        """A session that is not open cannot be authorized again."""
        client = Client()
        client.authorize()
        self.assertEqual(client.demand(RAR, NAME), 5012)

    def test_strangers(self) -> None:
        """Somebody of another realm than the session's server does not end it."""
        client = Client()
        client.opened()
        for code in (ASR, RAR):
            self.assertEqual(client.demand(code, NAME, "elsewhere.example"), 5012)
            self.assertEqual((client.ends(), client.again()), ([], []))
        self.assertEqual(client.demand(ASR, NAME, REALM.upper()), 2001)
