"""Requests that peers send to a node: whose they are, faults, repetitions, limits."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.diameter.events import Advertised
from appliance.protocols.diameter.message.codec import (
    ERROR,
    PROXIABLE,
    REQUEST,
    RETRANSMITTED,
    Message,
    frame,
)
from appliance.protocols.diameter.node import events as ev
from appliance.protocols.diameter.settings import RouteSettings
from test.protocols.diameter.node_fakes import (
    REALM,
    D,
    Endpoint,
    acr,
    avp,
    of,
    origin,
    peer,
    request,
    result,
    sent,
    settings,
)

US, CLIENT, OTHER = "server.home.example", "client.home.example", "other.home.example"


class RequestTestCase(SynchronousTestCase):
    def node(self, *peers: Any, **more: Any) -> tuple[Endpoint, int]:
        node = Endpoint(settings(US, peer(CLIENT), *peers, **more))
        node.application = lambda deliver: None
        return node, node.open_from(CLIENT)

    def refused(self, node: Endpoint, number: int, data: bytes, code: int) -> Message:
        found = node.said(number, data)
        self.assertEqual(of(found, ev.Deliver), [])
        (answer,) = sent(found, number)
        self.assertEqual(result(answer), code)
        request = Message(data)
        self.assertEqual((answer.hop_by_hop, answer.end_to_end), (request.hop_by_hop, request.end_to_end))
        self.assertEqual(answer.flags & (REQUEST | PROXIABLE), request.flags & PROXIABLE)
        return answer


class WhoseTests(RequestTestCase):
    """RFC 6733 section 6.1."""

    def test_local(self) -> None:
        """Destination-Host is us; or none, and the realm and application are ours; or neither of the two."""
        node, number = self.node()
        asr = request(274, 1, avp("Session-Id", "s;1;1"), origin(CLIENT), avp("Destination-Realm", REALM),
                      avp("Destination-Host", US.upper()), avp("Auth-Application-Id", 1))  # fmt: skip
        for data in (
            acr(),
            acr(realm=REALM.upper(), end=2),
            acr(host=US, end=3),
            acr(host=US, realm="other.example", end=4),
            asr,
        ):
            (deliver,) = of(node.said(number, data), ev.Deliver)
            self.assertEqual((deliver.application, deliver.peer, deliver.secure), (1, CLIENT, False))

    def test_not_local(self) -> None:
        """Who is no agent says why: 3002 another host, 3003 another realm, 3007 another application."""
        node, number = self.node()
        for data, code in (
            (acr(host=OTHER), 3002),
            (acr(realm="other.example"), 3003),
            (_with_application(acr(), 2), 3007),
            (_with_application(acr(host=US), 2), 3007),
        ):
            answer = self.refused(node, number, data, code)
            self.assertTrue(answer.flags & ERROR)
            self.assertEqual(answer.first(D["Session-Id"]), "s;1;1")
        self.assertEqual(node.core.statistics.faults, 4)

    def test_host_without_realm(self) -> None:
        """A relay cannot route a Destination-Host without Destination-Realm: 3002."""
        node, number = self.node(agent="relay")
        body = avp("Session-Id", "s;1;1") + origin(CLIENT) + avp("Destination-Host", OTHER)
        self.refused(node, number, request(999, 5, body), 3002)

    def test_realms_of_applications(self) -> None:
        """An application may have realms of its own; the first that fits gets the request."""
        node, number = self.node()
        node.feed(ev.Serve(2, (Advertised(3, acct=True),), frozenset(("visited.example",))))
        (deliver,) = of(node.said(number, acr(realm="Visited.Example")), ev.Deliver)
        self.assertEqual(deliver.application, 2)
        (deliver,) = of(node.said(number, acr(end=2)), ev.Deliver)
        self.assertEqual(deliver.application, 1)

    def test_a_local_route(self) -> None:
        """A route with action local makes a realm ours."""
        node, number = self.node(routes=(RouteSettings(realm="*.example", action="local"),))
        self.assertEqual(len(of(node.said(number, acr(realm="any.example")), ev.Deliver)), 1)
        self.refused(node, number, acr(realm="any.org"), 3003)

    def test_actions(self) -> None:
        """An entry's action counts where it says more than the agent's own one."""
        for agent, action, expected in (
            ("relay", "relay", "relayed"),
            ("relay", "proxy", "proxied"),
            ("relay", "redirect", "redirects_sent"),
            ("proxy", "relay", "proxied"),
            ("redirect", "relay", "redirects_sent"),
            ("none", "relay", "faults"),
        ):
            node, number = self.node(
                peer(OTHER),
                agent=agent,
                routes=(RouteSettings(realm="far.example", peer=OTHER, action=action),),
            )
            node.open_from(OTHER)
            node.said(number, acr(realm="far.example"))
            self.assertEqual(getattr(node.core.statistics, expected), 1, (agent, action))

    def test_not_proxiable(self) -> None:
        """Without the P bit a request is for us or for nobody."""
        node, number = self.node(agent="relay")
        self.assertEqual(len(of(node.said(number, acr(flags=REQUEST)), ev.Deliver)), 1)
        self.refused(node, number, acr(host=OTHER, flags=REQUEST), 3002)

    def test_drafts(self) -> None:
        """Application 4 of a peer that speaks drafts is Mobile IPv4."""
        node = Endpoint(settings(US, peer(CLIENT, compat=True)), serve=False)
        node.application = lambda deliver: None
        node.feed(ev.Serve(7, (Advertised(2, auth=True, acct=True),)))
        node.feed(ev.Start())
        number = node.open_from(CLIENT, auth=(4,), acct=(4,))
        (deliver,) = of(node.said(number, _with_application(acr(), 4)), ev.Deliver)
        self.assertEqual((deliver.application, deliver.compat), (7, True))

    def test_withdraw(self) -> None:
        """Requests that an application still has get 3002, new ones 3007."""
        node, number = self.node()
        node.said(number, acr(hop=5))
        (answer,) = sent(node.feed(ev.Withdraw(1)), number)
        self.assertEqual((result(answer), answer.hop_by_hop), (3002, 5))
        self.refused(node, number, acr(end=2), 3007)


def _with_application(data: bytes, number: int) -> bytes:
    old, new = avp("Acct-Application-Id", 3), avp("Acct-Application-Id", number)
    return data[:8] + number.to_bytes(4, "big") + data[12:].replace(old, new)


class FaultTests(RequestTestCase):
    def test_faults(self) -> None:
        """What is wrong by the dictionary is answered by the node, with Failed-AVP."""
        node, number = self.node()
        missing = acr().replace(avp("Accounting-Record-Type", 2), b"")
        unknown = acr(more=bytes.fromhex("0000270f4000000c00000001"))
        for data, code in (
            (_sized(missing), 5005),
            (unknown, 5001),
            (request(16_000_000, 3, avp("Session-Id", "s")), 3001),
            (acr(flags=REQUEST | PROXIABLE | ERROR), 3008),
        ):
            answer = self.refused(node, number, data, code)
            if code in (5005, 5001):
                self.assertIsNotNone(answer.raw(D["Failed-AVP"]))
        self.assertEqual(node.core.statistics.faults, 4)

    def test_faults_at_an_agent(self) -> None:
        """What an agent passes on it does not check; what cannot be walked, and the E bit, it does."""
        node, number = self.node(
            peer(OTHER), agent="relay", routes=(RouteSettings(realm="far.example", peer=OTHER),)
        )
        there = node.open_from(OTHER)
        unknown = acr(realm="far.example", more=bytes.fromhex("0000270f4000000c00000001"))
        found = node.said(number, unknown)
        self.assertEqual(len(sent(found, there)), 1)
        cut = acr(realm="far.example", more=bytes.fromhex("0000270f400000ff00000001"))
        self.refused(node, number, cut, 5014)
        self.refused(node, number, acr(realm="far.example", flags=0xE0), 3008)

    def test_an_unreadable_stream(self) -> None:
        """A request whose length cannot be: answered where there is a header, then closed."""
        for head, told in ((acr(hop=9)[:20], True), (acr(flags=0x40)[:20], False), (b"\1\2", False)):
            node, number = self.node()
            found = node.feed(ev.Unreadable(number, 5015, "a message of 3 octets", head))
            self.assertEqual(len(sent(found)), int(told))
            (closed,) = of(found, ev.Close)
            self.assertEqual((closed.connection, closed.abort), (number, True))
            if told:
                answer = sent(found)[0]
                self.assertEqual((result(answer), answer.hop_by_hop), (5015, 9))
                self.assertTrue(answer.flags & ERROR)
            self.assertEqual(node.core.table.get(CLIENT).state, "Closed")
            self.assertEqual(node.core.statistics.malformed, 1)

    def test_another_version(self) -> None:
        """Version 2 is 5011, and nothing more can be read."""
        node, number = self.node()
        data = b"\2" + acr()[1:]
        found = node.said(number, data, acr())
        self.assertEqual(result(sent(found)[0]), 5011)
        self.assertEqual(len(of(found, ev.Close)), 1)
        self.assertEqual(of(found, ev.Deliver), [])

    def test_base_commands(self) -> None:
        """DWR and DPR that are wrong get their error and change nothing; CER again gets 5012."""
        node, number = self.node()
        for data, code in (
            (request(280, 0, avp("Origin-Host", CLIENT), flags=REQUEST), 5005),
            (request(282, 0, origin(CLIENT), flags=REQUEST), 5005),
            (request(280, 0, origin(CLIENT), flags=REQUEST | PROXIABLE), 3008),
        ):
            self.refused(node, number, data, code)
        from test.protocols.diameter.node_fakes import cer

        self.refused(node, number, cer(CLIENT), 5012)
        self.assertEqual(node.core.table.get(CLIENT).state, "R-Open")

    def test_answers_to_nothing(self) -> None:
        """No answer is ever sent to an answer; one with unknown ids is dropped and counted."""
        node, number = self.node()
        bodies = [avp("Result-Code", 2001) + origin(CLIENT), b""]
        for code, flags in ((271, 0x40), (271, 0x60), (280, 0), (282, 0), (257, 0), (999, 0x20)):
            for body in bodies:
                self.assertEqual(node.said(number, frame(code, 0, flags, 77, 78, body)), [])
        self.assertEqual(node.core.table.get(CLIENT).statistics.unknown_answers, 12)


def _sized(data: bytes) -> bytes:
    return data[:1] + len(data).to_bytes(3, "big") + data[4:]


class OriginTests(RequestTestCase):
    """Nobody speaks in another peer's name."""

    def test_names(self) -> None:
        """A peer may spell its own name as it likes; another one needs a Route-Record; its realm is fixed."""
        node, number = self.node()
        answer = self.refused(node, number, acr(origin_host=OTHER), 5004)
        self.assertEqual(answer.first(D["Failed-AVP"]).first(D["Origin-Host"]), OTHER)
        self.assertFalse(answer.flags & ERROR)
        foreign = acr().replace(avp("Origin-Realm", REALM), avp("Origin-Realm", "evil.examplE"))
        self.refused(node, number, foreign, 5004)
        self.assertEqual(node.core.statistics.foreign_origins, 2)
        warnings = [each for each in node.effects if isinstance(each, ev.Notify) and "refused" in each.text]
        self.assertEqual(len(warnings), 1)
        for end, name in enumerate((CLIENT.upper(), CLIENT + "."), 5):
            self.assertEqual(len(of(node.said(number, acr(origin_host=name, end=end)), ev.Deliver)), 1)

    def test_agents(self) -> None:
        """A relay is believed; a proxy too, but not about a peer that is connected itself."""
        node, number = self.node(peer(OTHER), peer("relay.example"))
        forwarded = acr(origin_host=OTHER, more=avp("Route-Record", OTHER))
        self.assertEqual(len(of(node.said(number, forwarded), ev.Deliver)), 1)
        node.open_from(OTHER)
        self.refused(node, number, acr(origin_host=OTHER, end=2, more=avp("Route-Record", OTHER)), 5004)
        relay = node.open_from("relay.example", auth=(0xFFFFFFFF,))
        self.assertEqual(len(of(node.said(relay, acr(origin_host=OTHER, end=3)), ev.Deliver)), 1)

    def test_answers_of_others(self) -> None:
        """Who guesses the numbers of another client's request does not get its answer."""
        node, number = self.node(peer(OTHER))
        (deliver,) = of(node.said(number, acr()), ev.Deliver)
        node.feed(ev.Reply(deliver.key, deliver.message.answer(2001, US, REALM)))
        self.refused(node, node.open_from(OTHER), acr(), 5004)

    def test_old_peers(self) -> None:
        """Those of the drafts may call themselves by a URI."""
        node = Endpoint(settings(US, peer(CLIENT, compat=True)))
        number = node.open_from(CLIENT)
        self.assertEqual(len(of(node.said(number, acr(origin_host=f"aaa://{CLIENT}")), ev.Deliver)), 1)


class ReplyTests(RequestTestCase):
    def test_reply(self) -> None:
        """An answer goes out once; another one for the same request is ignored."""
        node, number = self.node()
        (deliver,) = of(node.said(number, acr(hop=7)), ev.Deliver)
        answer = deliver.message.answer(2001, US, REALM)
        self.assertEqual(sent(node.feed(ev.Reply(deliver.key, answer)))[0].data, answer)
        self.assertEqual(node.feed(ev.Reply(deliver.key, answer)), [])
        self.assertEqual(node.feed(ev.Reply(999, answer)), [])
        statistics = node.core.statistics
        self.assertEqual((statistics.delivered, statistics.replied, statistics.late_replies), (1, 1, 2))

    def test_repetition(self) -> None:
        """The first answer again, with the new Hop-by-Hop Id; the application does not see it twice."""
        node, number = self.node(watchdog_timeout=0)
        (deliver,) = of(node.said(number, acr(hop=7)), ev.Deliver)
        answer = deliver.message.answer(2001, US, REALM, avp("Error-Message", "first"))
        node.feed(ev.Reply(deliver.key, answer))
        found = node.said(number, acr(hop=8, flags=REQUEST | PROXIABLE | RETRANSMITTED))
        self.assertEqual(of(found, ev.Deliver), [])
        again = sent(found)[0]
        self.assertEqual((again.hop_by_hop, again.data[20:]), (8, answer[20:]))
        self.assertEqual(node.core.statistics.duplicates, 1)
        node.tick(239)
        self.assertEqual(len(of(node.said(number, acr(hop=9, end=1)), ev.Deliver)), 0)
        node.tick(2)
        self.assertEqual(len(of(node.said(number, acr(hop=10)), ev.Deliver)), 1)

    def test_other_questions_with_the_same_number(self) -> None:
        """A client that always begins to count at 1 is not given answers to other questions."""
        node, number = self.node()
        (deliver,) = of(node.said(number, acr()), ev.Deliver)
        node.feed(ev.Reply(deliver.key, deliver.message.answer(2001, US, REALM)))
        forwarded = acr(origin_host=OTHER, more=avp("Route-Record", OTHER))
        for data in (acr(session="other;1;1"), forwarded, acr(end=2)):
            self.assertEqual(len(of(node.said(number, data), ev.Deliver)), 1)

    def test_repetition_on_the_way(self) -> None:
        """The same request before its answer is absorbed, and answered with it; also over another agent."""
        node, number = self.node(peer(OTHER))
        other = node.open_from(OTHER, auth=(1, 0xFFFFFFFF))
        (deliver,) = of(node.said(number, acr(hop=7)), ev.Deliver)
        self.assertEqual(node.said(number, acr(hop=8)), [])
        info = D["Proxy-Info"].encode(avp("Proxy-Host", OTHER) + avp("Proxy-State", b"state"))
        self.assertEqual(node.said(other, acr(hop=9, more=info)), [])
        found = node.feed(ev.Reply(deliver.key, deliver.message.answer(2001, US, REALM)))
        self.assertEqual(
            [(each.connection, Message(each.data).hop_by_hop) for each in of(found, ev.Transmit)],
            [(number, 7), (number, 8), (other, 9)],
        )
        self.assertEqual(sent(found)[2].octets(D["Proxy-Info"]), [info])
        self.assertEqual(sent(found)[0].octets(D["Proxy-Info"]), [])
        self.assertEqual(node.core.statistics.duplicates_absorbed, 2)

    def test_answer_after_the_connection(self) -> None:
        """The connection is gone: nothing is sent, but the client that asks again gets the answer."""
        node, number = self.node()
        (deliver,) = of(node.said(number, acr()), ev.Deliver)
        node.feed(ev.Disconnected(number))
        found = node.feed(ev.Reply(deliver.key, deliver.message.answer(2001, US, REALM)))
        self.assertEqual(found, [])
        self.assertEqual(node.core.statistics.late_replies, 1)
        number = node.open_from(CLIENT)
        for _ in range(3):
            dwr = sent(node.effects, number)[-1]
            node.said(number, dwr.answer(2001, CLIENT, REALM))
        found = node.said(number, acr(hop=3))
        self.assertEqual((of(found, ev.Deliver), sent(found)[0].hop_by_hop), ([], 3))

    def test_no_repetitions_kept(self) -> None:
        """With a duplicate time of 0 every request is new."""
        node, number = self.node(duplicate_time=0)
        for _ in range(2):
            (deliver,) = of(node.said(number, acr()), ev.Deliver)
            node.feed(ev.Reply(deliver.key, deliver.message.answer(2001, US, REALM)))
        self.assertEqual(node.core.statistics.duplicates, 0)

    def test_limit(self) -> None:
        """Too many requests at the applications: the newest is refused, 3004 only if it is for this host."""
        node, number = self.node(request_limit=2)
        for end in (1, 2):
            node.said(number, acr(end=end))
        self.refused(node, number, acr(end=3), 3002)
        self.refused(node, number, acr(end=4, host=US), 3004)
        self.assertEqual(node.core.statistics.too_busy, 2)

    def test_limit_of_octets(self) -> None:
        """Large requests fill the memory sooner than the count says; answered ones make room."""
        node, number = self.node(
            peer(OTHER), agent="relay", routes=(RouteSettings(realm="far.example", peer=OTHER),)
        )
        node.open_from(OTHER)
        filling = avp("Class", bytes(1 << 19))
        keys = []
        for end in range(127):
            data = acr(end=end, realm=REALM if end % 2 else "far.example", more=filling)
            keys += [each.key for each in of(node.said(number, data), ev.Deliver)]
        self.refused(node, number, acr(end=200, more=filling), 3002)
        self.refused(node, number, acr(end=201, realm="far.example", more=filling), 3002)
        self.assertEqual(node.said(number, acr(end=1, hop=5, more=filling)), [])
        answer = Message(acr()).answer(2001, US, REALM)
        self.assertEqual(len(sent(node.feed(ev.Reply(keys[0], answer)))), 1)
        self.assertEqual(len(of(node.said(number, acr(end=203, more=filling)), ev.Deliver)), 1)

    def test_long_destinations(self) -> None:
        """What is no name of the DNS is not remembered."""
        for agent in ("none", "relay"):
            node, number = self.node(agent=agent)
            self.refused(node, number, acr(realm="x" * 256), 5004)
            self.assertEqual(node.core.inbound._decisions, {})

    def test_an_application_that_does_not_answer(self) -> None:
        """After five minutes the node answers in its place, so that nothing stays for ever."""
        node, number = self.node(watchdog_timeout=0)
        node.said(number, acr(hop=5))
        found = node.tick(301)
        self.assertEqual([(result(each), each.hop_by_hop) for each in sent(found)], [(5012, 5)])
        self.assertEqual(node.core.statistics.unreplied, 1)
        self.assertEqual(node.core.inbound.open, {})

    def test_copies_are_limited(self) -> None:
        """A peer that repeats without end does not fill the memory."""
        node, number = self.node()
        (deliver,) = of(node.said(number, acr()), ev.Deliver)
        for hop in range(2, 100):
            node.said(number, acr(hop=hop))
        found = node.feed(ev.Reply(deliver.key, deliver.message.answer(2001, US, REALM)))
        self.assertEqual(len(sent(found)), 17)
