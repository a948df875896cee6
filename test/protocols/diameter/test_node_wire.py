"""Two and more nodes wired to each other: election, watchdog, good-byes, failover, relays."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.diameter.events import NO_PEER, TIMEOUT
from appliance.protocols.diameter.message.codec import ERROR, RETRANSMITTED, Message
from appliance.protocols.diameter.node import events as ev
from appliance.protocols.diameter.node import peer_states as st
from appliance.protocols.diameter.node import watchdog as dog
from appliance.protocols.diameter.settings import RouteSettings
from test.protocols.diameter.node_fakes import (
    REALM,
    D,
    Endpoint,
    Wire,
    acr,
    avp,
    origin,
    peer,
    request,
    result,
    sent,
    settings,
    submit,
)

CLIENT, SERVER, OTHER = "client.home.example", "server.home.example", "other.home.example"


class PairTests(SynchronousTestCase):
    def pair(self, **more: Any) -> tuple[Wire, Endpoint, Endpoint]:
        wire = Wire()
        server = wire.add(settings(SERVER, peer(CLIENT), **more), "10.0.0.1")
        client = wire.add(settings(CLIENT, peer(SERVER, "10.0.0.1"), **more), "10.0.0.2")
        wire.start()
        return wire, client, server

    def test_request_and_answer(self) -> None:
        """A request gets its answer, with what the user needs to know of it."""
        wire, client, server = self.pair()
        token = client.send(submit())
        wire.run()
        (answered,) = client.answers[token]
        self.assertEqual(result(answered.message), 2001)
        self.assertEqual((answered.peer, answered.reason), (SERVER, ""))
        self.assertEqual(answered.end_to_end, server.delivered[0].message.end_to_end)
        self.assertEqual((server.delivered[0].peer, server.delivered[0].compat), (CLIENT, False))

    def test_both_connect(self) -> None:
        """Both sides connect at the same time: one connection is left, the same for both."""
        for first, second in (("a.home.example", "b.home.example"), ("b.home.example", "a.home.example")):
            wire = Wire()
            one = wire.add(settings(first, peer(second, "10.0.0.2")), "10.0.0.1")
            two = wire.add(settings(second, peer(first, "10.0.0.1")), "10.0.0.2")
            wire.start()
            states = {each.identity: wire.state(each, other) for each, other in ((one, second), (two, first))}
            # The greater identity keeps the connection that the other one opened.
            self.assertEqual(states, {"a.home.example": st.I_OPEN, "b.home.example": st.R_OPEN})
            self.assertEqual(len(wire.pairs), 2)
            token = one.send(submit(origin_host=first))
            wire.run()
            self.assertEqual(result(one.answers[token][0].message), 2001)

    def test_watchdog_keeps_it_open(self) -> None:
        """An idle connection lives on DWR and DWA."""
        wire, client, server = self.pair()
        wire.wait(300)
        self.assertEqual((wire.state(client, SERVER), wire.state(server, CLIENT)), (st.I_OPEN, st.R_OPEN))
        found = client.core.table.get(SERVER).statistics
        self.assertGreater(found.watchdogs_sent, 5)
        self.assertEqual(found.losses, 0)

    def test_a_silent_server(self) -> None:
        """Without any answer: suspect after two Tw, closed after three; then three DWA to be trusted."""
        wire, client, server = self.pair()
        wire.cut.add(frozenset((CLIENT, SERVER)))
        wire.wait(66)
        self.assertEqual(client.core.table.get(SERVER).watchdog.status, dog.SUSPECT)
        token = client.send(submit(timeout=100))
        self.assertNotIn(token, client.answers)
        wire.wait(33)
        self.assertEqual(client.core.table.get(SERVER).watchdog.status, dog.DOWN)
        self.assertEqual(client.answers[token][0].reason, NO_PEER)
        wire.cut.clear()
        wire.wait(40)
        found = client.core.table.get(SERVER)
        self.assertEqual((found.state, found.watchdog.status, found.usable), (st.I_OPEN, dog.OKAY, True))
        self.assertEqual(found.statistics.failbacks, 1)

    def test_suspect_and_back(self) -> None:
        """What waited while the peer was suspect goes when it answers again."""
        wire, client, server = self.pair()
        wire.cut.add(frozenset((CLIENT, SERVER)))
        wire.wait(66)
        token = client.send(submit(timeout=60))
        self.assertEqual(len(client.core.outbound.parked), 1)
        wire.cut.clear()
        number = client.core.table.get(SERVER).link.number
        client.said(number, request(280, 0, origin(SERVER), flags=0x80))
        wire.run()
        self.assertEqual(result(client.answers[token][0].message), 2001)

    def test_requests_in_reopen(self) -> None:
        """A client that came back asks at once: it is served when it has proved that it is there."""
        wire, client, server = self.pair()
        server.effects.clear()
        link = server.core.table.get(CLIENT).link
        server.feed(ev.Disconnected(link.number))
        client.feed(ev.Disconnected(client.core.table.get(SERVER).link.number))
        wire.pairs.clear()
        client.core.table.get(SERVER).watchdog.status = dog.INITIAL
        client.feed(ev.Command("connect", SERVER))
        wire.run()
        token = client.send(submit())
        wire.run()
        self.assertEqual(result(client.answers[token][0].message), 2001)
        dwrs = [each for each in sent(server.effects) if each.code == 280 and each.is_request]
        self.assertEqual(len(dwrs), 3)

    def test_what_is_held_in_reopen(self) -> None:
        """So many messages are kept, and octets of them; the rest is thrown away."""
        for filling, kept in ((0, 256), (1 << 19, 2)):
            node = Endpoint(settings(SERVER, peer(CLIENT)))
            node.feed(ev.Disconnected(node.open_from(CLIENT)))
            number = node.open_from(CLIENT)
            for end in range(300):
                node.said(number, acr(end=end, more=avp("Class", bytes(filling))))
            for _ in range(3):
                dwr = [each for each in sent(node.effects, number) if each.code == 280][-1]
                node.said(number, dwr.answer(2001, CLIENT, REALM))
            self.assertEqual(len(node.delivered), kept)
            self.assertEqual(node.core.table.get(CLIENT).statistics.thrown_away, 300 - kept)

    def test_stop(self) -> None:
        """DPR, DPA, closed by the one that said good-bye; ``Stopped`` when all is over."""
        wire, client, server = self.pair()
        server.feed(ev.Stop())
        wire.run()
        self.assertEqual(wire.state(client, SERVER), st.CLOSED)
        self.assertEqual(server.effects[-1], ev.Stopped())
        closing = [(name, effect) for name, effect in wire.log if isinstance(effect, ev.Close)]
        self.assertEqual([name for name, _ in closing], [SERVER])

    def test_stop_with_requests_under_way(self) -> None:
        """An answer that comes before DPA counts; a request after the stop does not go out."""
        wire, client, server = self.pair()
        server.application = lambda deliver: None
        token = client.send(submit())
        wire.run()
        deliver = server.delivered[0]
        client.feed(ev.Stop())
        self.assertEqual(client.answers, {})
        late = client.send(submit())
        self.assertEqual(client.answers[late][0].reason, "stopped")
        server.feed(ev.Reply(deliver.key, deliver.message.answer(2001, SERVER, REALM)))
        wire.run()
        self.assertEqual(result(client.answers[token][0].message), 2001)
        self.assertEqual(client.effects[-1], ev.Stopped())

    def test_do_not_want_to_talk(self) -> None:
        """After DPR with cause 1 or 2 nobody connects until there is something to send."""
        for cause in (1, 2):
            wire, client, server = self.pair()
            server.feed(ev.Command("disconnect", CLIENT, cause))
            wire.run()
            wire.wait(600)
            self.assertEqual(wire.state(client, SERVER), st.CLOSED)
            token = client.send(submit())
            wire.run()
            self.assertEqual(result(client.answers[token][0].message), 2001, cause)

    def test_rebooting(self) -> None:
        """After cause 0 the client comes back by itself, and is trusted at once."""
        wire, client, server = self.pair()
        server.feed(ev.Command("disconnect", CLIENT))
        wire.run()
        self.assertEqual(wire.state(client, SERVER), st.CLOSED)
        wire.wait(3)
        found = client.core.table.get(SERVER)
        self.assertEqual((found.state, found.watchdog.status), (st.I_OPEN, dog.OKAY))
        self.assertEqual(found.statistics.losses, 0)

    def test_reconnection_slows_down(self) -> None:
        """1, 2, 4, ... seconds up to Tc, with jitter."""
        wire, client, server = self.pair()
        wire.kill(server)
        wire.log.clear()
        times: list[float] = []
        for _ in range(900):
            wire.wait(0.1)
            if any(isinstance(each, ev.Connect) for _, each in wire.log):
                times.append(client.mono)
                wire.log.clear()
        gaps = [round(b - a, 1) for a, b in zip(times, times[1:], strict=False)]
        for gap, expected in zip(gaps, (2, 4, 8, 16, 30), strict=False):
            self.assertTrue(expected * 0.85 <= gap <= expected * 1.15, gaps)
        self.assertGreaterEqual(len(gaps), 5)

    def test_an_application_comes_later(self) -> None:
        """A node without applications does not connect; when it has more, those it connects to are told."""
        wire = Wire()
        server = wire.add(settings(SERVER, peer(CLIENT)), "10.0.0.1")
        client = wire.add(settings(CLIENT, peer(SERVER, "10.0.0.1")))
        wire.start(server)
        wire.start(client, serve=False)
        wire.wait(60)
        self.assertEqual(wire.state(client, SERVER), st.CLOSED)
        client.feed(ev.Serve(1, (ev.Advertised(1, auth=True),)))
        wire.wait(1)
        self.assertEqual(wire.state(client, SERVER), st.I_OPEN)
        self.assertEqual(server.core.table.get(CLIENT).capabilities.acct, frozenset())
        client.feed(ev.Serve(2, (ev.Advertised(3, acct=True),)))
        wire.wait(3)
        self.assertEqual(server.core.table.get(CLIENT).capabilities.acct, {3})


class FailoverTests(SynchronousTestCase):
    def three(self, **more: Any) -> tuple[Wire, Endpoint, Endpoint, Endpoint]:
        """A client that prefers the first of two servers."""
        wire = Wire()
        first = wire.add(settings(SERVER, peer(CLIENT)), "10.0.0.1")
        second = wire.add(settings(OTHER, peer(CLIENT)), "10.0.0.2")
        routes = (
            RouteSettings(realm=REALM, peer=SERVER, priority=1),
            RouteSettings(realm=REALM, peer=OTHER, priority=2),
        )
        client = wire.add(
            settings(CLIENT, peer(SERVER, "10.0.0.1"), peer(OTHER, "10.0.0.2"), routes=routes, **more)
        )
        wire.start()
        return wire, client, first, second

    def test_lost_connection(self) -> None:
        """The same End-to-End Id with T to the other server; new requests too, until the first is back."""
        wire, client, first, second = self.three()
        first.application = lambda deliver: None
        token = client.send(submit())
        wire.run()
        original = first.delivered[0].message
        self.assertFalse(original.flags & RETRANSMITTED)
        wire.kill(first)
        repeated = second.delivered[0].message
        self.assertTrue(repeated.flags & RETRANSMITTED)
        self.assertEqual(repeated.end_to_end, original.end_to_end)
        self.assertEqual(repeated.body, original.body)
        answered = client.answers[token][0]
        self.assertEqual((result(answered.message), answered.peer), (2001, OTHER))
        statistics = client.core.table.get(SERVER).statistics
        self.assertEqual((statistics.failovers, statistics.failed_over), (1, 1))
        self.assertEqual(client.core.statistics.repeats_sent, 1)

    def test_watchdog_failover_and_failback(self) -> None:
        """A server that only hangs: its requests go to the other one, its late answer is dropped."""
        wire, client, first, second = self.three(watchdog_timeout=6)
        first.application = lambda deliver: None
        token = client.send(submit(timeout=100))
        wire.run()
        wire.cut.add(frozenset((CLIENT, SERVER)))
        wire.wait(17)
        self.assertEqual(result(client.answers[token][0].message), 2001)
        deliver = first.delivered[0]
        wire.cut.clear()
        first.feed(ev.Reply(deliver.key, deliver.message.answer(2001, SERVER, REALM)))
        wire.run()
        self.assertEqual(len(client.answers[token]), 1)
        found = client.core.table.get(SERVER)
        self.assertEqual(found.statistics.unknown_answers, 1)
        self.assertEqual((found.usable, found.statistics.failbacks), (True, 1))
        first.delivered.clear()
        client.send(submit())
        wire.run()
        self.assertEqual(len(first.delivered), 1)

    def test_fixed_destination(self) -> None:
        """A request for the very host that is gone is not sent to another one (RFC 6733 section 5.5.4)."""
        wire, client, first, second = self.three()
        first.application = lambda deliver: None
        token = client.send(submit(host=SERVER))
        wire.run()
        wire.kill(first)
        self.assertEqual(client.answers[token][0].reason, NO_PEER)
        self.assertEqual(second.delivered, [])

    def test_nobody_else(self) -> None:
        """Without another server the user is told at once, and may decide."""
        wire, client, first, second = self.three()
        wire.kill(second)
        first.application = lambda deliver: None
        token = client.send(submit())
        wire.run()
        wire.kill(first)
        self.assertEqual(client.answers[token][0].reason, NO_PEER)

    def test_no_answer(self) -> None:
        """A server that takes too long: TIMEOUT, and a late answer is dropped."""
        wire, client, first, second = self.three()
        first.application = lambda deliver: None
        token = client.send(submit(timeout=5))
        wire.wait(5.2)
        self.assertEqual(client.answers[token][0].reason, TIMEOUT)
        deliver = first.delivered[0]
        first.feed(ev.Reply(deliver.key, deliver.message.answer(2001, SERVER, REALM)))
        wire.run()
        self.assertEqual(len(client.answers[token]), 1)
        self.assertEqual(client.core.outbound.count, 0)

    def test_errors_of_the_protocol(self) -> None:
        """After 3002, 3004 and 3005 another server is asked, without T; if none can, that is the answer."""
        for code in (3002, 3004, 3005):
            wire, client, first, second = self.three()
            first.application = lambda deliver, code=code: deliver.message.answer(code, SERVER, REALM)
            token = client.send(submit())
            wire.run()
            self.assertEqual(result(client.answers[token][0].message), 2001)
            self.assertFalse(second.delivered[0].message.flags & RETRANSMITTED)
            self.assertEqual(client.core.statistics.retried_elsewhere, 1)
            second.application = lambda deliver, code=code: deliver.message.answer(3002, OTHER, REALM)
            token = client.send(submit())
            wire.run()
            answered = client.answers[token][0]
            self.assertEqual((result(answered.message), answered.reason), (3002, ""))

    def test_other_errors_are_answers(self) -> None:
        """4xxx and 5xxx are the server's word, and 3007 too."""
        for code in (3007, 4002, 5012):
            wire, client, first, second = self.three()
            first.application = lambda deliver, code=code: deliver.message.answer(code, SERVER, REALM)
            token = client.send(submit())
            wire.run()
            self.assertEqual(result(client.answers[token][0].message), code)
            self.assertEqual(second.delivered, [])


class RelayTests(SynchronousTestCase):
    R1, R2, R3 = "r1.home.example", "r2.home.example", "r3.home.example"

    def chain(self, agent: str = "relay", **more: Any) -> tuple[Wire, Endpoint, list[Endpoint], Endpoint]:
        """Client, three agents, server; each connects to the next one."""
        wire = Wire()
        names = [CLIENT, self.R1, self.R2, self.R3, SERVER]
        ends = []
        for place, name in enumerate(names):
            peers = []
            if place:
                peers.append(peer(names[place - 1]))
            if place < 4:
                peers.append(peer(names[place + 1], f"10.0.0.{place + 2}"))
            routes = (
                (RouteSettings(realm="far.example", peer=names[place + 1], action=agent),)
                if place < 4
                else ()
            )
            role = agent if 0 < place < 4 else "none"
            realm = "far.example" if name == SERVER else REALM
            ends.append(
                wire.add(
                    settings(name, *peers, routes=routes, agent=role, realm=realm, **more),
                    f"10.0.0.{place + 1}",
                )
            )
        wire.start(*ends[::-1])
        wire.wait(5)
        return wire, ends[0], ends[1:4], ends[4]

    def test_relays(self) -> None:
        """AVPs stay as they are, octet by octet; each relay appends whom it had it from."""
        wire, client, relays, server = self.chain()
        token = client.send(submit(realm="far.example"))
        wire.run()
        received = server.delivered[0].message
        self.assertEqual(received.all(D["Route-Record"]), [CLIENT, self.R1, self.R2])
        original = next(each for each in sent(client.effects) if each.code == 271)
        self.assertTrue(received.body.startswith(original.body))
        self.assertEqual(received.end_to_end, original.end_to_end)
        answered = client.answers[token][0]
        self.assertEqual(result(answered.message), 2001)
        self.assertEqual(answered.message.hop_by_hop, original.hop_by_hop)
        self.assertEqual([each.core.statistics.relayed for each in relays], [1, 1, 1])

    def test_proxies(self) -> None:
        """Each proxy adds its Proxy-Info and takes it out of the answer again, the last first."""
        wire, client, proxies, server = self.chain("proxy")
        token = client.send(submit(realm="far.example"))
        wire.run()
        received = server.delivered[0].message
        hosts = [each.first(D["Proxy-Host"]) for each in received.all(D["Proxy-Info"])]
        self.assertEqual(hosts, [self.R1, self.R2, self.R3])
        answer = client.answers[token][0].message
        self.assertEqual(answer.all(D["Proxy-Info"]), [])
        self.assertEqual([each.core.statistics.bad_proxy_state for each in proxies], [0, 0, 0])

    def test_proxy_state_is_protected(self) -> None:
        """An answer whose Proxy-State is changed is noted; it still goes where the request came from."""
        wire, client, proxies, server = self.chain("proxy")
        state = D["Proxy-State"].code.to_bytes(4, "big")

        def forge(deliver: ev.Deliver) -> bytes:
            answer = bytearray(deliver.message.answer(2001, SERVER, "far.example"))
            place = answer.rindex(state) + 10
            answer[place] ^= 1
            return bytes(answer)

        server.application = forge
        token = client.send(submit(realm="far.example"))
        wire.run()
        self.assertEqual(result(client.answers[token][0].message), 2001)
        self.assertEqual([each.core.statistics.bad_proxy_state for each in proxies], [0, 0, 1])

    def test_error_answers_travel(self) -> None:
        """Without a server the last relay says 3002 with E; the client gets it as an answer."""
        wire, client, relays, server = self.chain()
        wire.kill(server)
        token = client.send(submit(realm="far.example"))
        wire.run()
        answered = client.answers[token][0]
        self.assertEqual(result(answered.message), 3002)
        self.assertTrue(answered.message.flags & ERROR)
        self.assertEqual(answered.message.first(D["Origin-Host"]), self.R3)

    def test_unknown_realm(self) -> None:
        """A realm that nobody is known for: 3003."""
        wire, client, relays, server = self.chain()
        client.core.routes.take(settings(CLIENT, routes=(RouteSettings(peer=self.R1),)))
        token = client.send(submit(realm="nowhere.example"))
        wire.run()
        self.assertEqual(result(client.answers[token][0].message), 3003)

    def test_a_loop(self) -> None:
        """Relays that send to each other in a circle end it with 3005."""
        wire = Wire()
        names = ["a.home.example", "b.home.example", "c.home.example"]
        for place, name in enumerate(names):
            after = (place + 1) % 3
            route = RouteSettings(realm="far.example", peer=names[after])
            others = [peer(each) for each in (CLIENT, *names) if each not in (name, names[after])]
            wire.add(
                settings(
                    name, peer(names[after], f"10.0.0.{after + 1}"), *others, routes=(route,), agent="relay"
                ),
                f"10.0.0.{place + 1}",
            )
        client = wire.add(
            settings(CLIENT, peer(names[0], "10.0.0.1"), routes=(RouteSettings(peer=names[0]),))
        )
        wire.start()
        wire.wait(3)
        token = client.send(submit(realm="far.example"))
        wire.run()
        # The third one sees the first in the path and looks no further (RFC 6733 section 6.1.7).
        self.assertEqual(result(client.answers[token][0].message), 3002)
        loops = [
            end.feed(ev.Received(number, [_looped(names[0])]))
            for end in (wire.ends[names[0]],)
            for number in [end.core.table.get(CLIENT).link.number]
        ]
        self.assertEqual(result(sent(loops[0])[0]), 3005)

    def test_failover_at_a_relay(self) -> None:
        """A relay sends what a lost server had to the other one, with T; a T that came stays."""
        wire = Wire()
        first = wire.add(settings(SERVER, peer(self.R1)), "10.0.0.1")
        second = wire.add(settings(OTHER, peer(self.R1)), "10.0.0.2")
        routes = (
            RouteSettings(realm=REALM, peer=SERVER, priority=1),
            RouteSettings(realm=REALM, peer=OTHER, priority=2),
        )
        relay = wire.add(
            settings(
                self.R1,
                peer(SERVER, "10.0.0.1"),
                peer(OTHER, "10.0.0.2"),
                peer(CLIENT),
                routes=routes,
                agent="relay",
            ),
            "10.0.0.3",
        )
        client = wire.add(settings(CLIENT, peer(self.R1, "10.0.0.3"), routes=(RouteSettings(peer=self.R1),)))
        wire.start(first, second, client)
        wire.start(relay, serve=False)
        wire.wait(3)
        first.application = lambda deliver: None
        token = client.send(submit())
        wire.run()
        wire.kill(first)
        self.assertEqual(result(client.answers[token][0].message), 2001)
        self.assertTrue(second.delivered[0].message.flags & RETRANSMITTED)
        client.send(submit(repeated=True))
        wire.run()
        self.assertTrue(second.delivered[1].message.flags & RETRANSMITTED)


def _looped(name: str) -> bytes:
    data = acr(realm="far.example", more=avp("Route-Record", name))
    return Message(data).data
