"""Requests of local users: where they go, when they wait, and how each ends in exactly one answer."""

from typing import Any

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.diameter.events import (
    CANCELLED,
    FULL,
    INSECURE,
    MALFORMED,
    NO_PEER,
    STOPPED,
    TIMEOUT,
    Submit,
)
from appliance.protocols.diameter.message.codec import PROXIABLE, REQUEST, RETRANSMITTED, frame
from appliance.protocols.diameter.node import events as ev
from appliance.protocols.diameter.settings import RouteSettings, TlsSettings
from test.protocols.diameter.node_fakes import (
    REALM,
    WALL,
    D,
    Endpoint,
    acr_avps,
    cea,
    cer,
    of,
    origin,
    peer,
    result,
    sent,
    settings,
    submit,
)

US = "client.home.example"
A, B, C = "a.home.example", "b.home.example", "c.home.example"
TLS = TlsSettings(certificate="c", private_key="k", authorities="a")


class SendTestCase(SynchronousTestCase):
    def node(self, *names: str, **more: Any) -> tuple[Endpoint, dict[str, int]]:
        """A node whose peers have connected to it."""
        peers = more.pop("peers", tuple(peer(name) for name in names))
        more.setdefault("watchdog_timeout", 0)
        node = Endpoint(settings(US, *peers, **more))
        return node, {name: node.open_from(name) for name in names}

    def reason(self, node: Endpoint, token: int) -> str:
        (answered,) = node.answers[token]
        self.assertIsNone(answered.message)
        return str(answered.reason)

    def where(self, node: Endpoint, numbers: dict[str, int], made: Submit) -> str:
        """The peer that a request goes to at once; empty: to none."""
        before = len(node.effects)
        node.send(made)
        names = {number: name for name, number in numbers.items()}
        found = of(node.effects[before:], ev.Transmit)
        self.assertLessEqual(len(found), 1)
        return names[found[0].connection] if found else ""


class MessageTests(SendTestCase):
    def test_header(self) -> None:
        """R and P, T only for what may have been sent before; ids count up from a random start."""
        node, numbers = self.node(A)
        node.send(submit())
        node.send(submit(repeated=True))
        node.send(Submit(280, 0, origin(US), REALM, accounting=True))
        messages = sent(node.effects, numbers[A])[1:]
        self.assertEqual(messages[0].flags, REQUEST | PROXIABLE)
        self.assertEqual(messages[1].flags, REQUEST | PROXIABLE | RETRANSMITTED)
        self.assertEqual(messages[1].hop_by_hop, messages[0].hop_by_hop + 1 & 0xFFFFFFFF)
        self.assertEqual(messages[1].end_to_end, messages[0].end_to_end + 1 & 0xFFFFFFFF)
        # The high 12 bits are the time in seconds (RFC 6733 section 3).
        self.assertEqual(messages[0].end_to_end >> 20, int(WALL + 1000) & 0xFFF)

    def test_given_end_to_end(self) -> None:
        """A user may choose the End-to-End Id, to send the same request again after a restart."""
        node, numbers = self.node(A)
        node.send(submit(end_to_end=0xDEADBEEF))
        self.assertEqual(sent(node.effects, numbers[A])[-1].end_to_end, 0xDEADBEEF)

    def test_overload_support_is_said(self) -> None:
        """Every request says that overload reports are honoured (RFC 7683 section 5.1.1), once."""
        node, numbers = self.node(A)
        said = D["OC-Supported-Features"].encode(D["OC-Feature-Vector"].encode(1))
        for made in (submit(), submit(more=said)):
            node.send(made)
            message = sent(node.effects, numbers[A])[-1]
            self.assertEqual(message.octets(D["OC-Supported-Features"]), [said])
            self.assertTrue(message.body.startswith(acr_avps()))

    def test_hop_by_hop_is_unique(self) -> None:
        """The id wraps round, and leaves out those that still wait."""
        node, numbers = self.node(A)
        found = node.core.table.get(A)
        found.hop = 0xFFFFFFFE
        for _ in range(3):
            node.send(submit())
        found.hop = 0xFFFFFFFE
        node.send(submit())
        self.assertEqual(sorted(found.pending), [0, 1, 2, 0xFFFFFFFF])


class RouteTests(SendTestCase):
    def test_by_realm(self) -> None:
        """Without a table: a peer of the realm; a relay for the rest."""
        node = Endpoint(settings(US, peer(A), peer(B), watchdog_timeout=0))
        numbers = {A: node.open_from(A, realm="x.example"), B: node.open_from(B, auth=(0xFFFFFFFF,), acct=())}
        self.assertEqual(self.where(node, numbers, submit(realm="X.example")), A)
        self.assertEqual(self.where(node, numbers, submit(realm="y.example")), B)

    def test_by_table(self) -> None:
        """The most specific entry counts, and only that."""
        routes = (
            RouteSettings(realm="x.example", peer=A),
            RouteSettings(realm="*.example", peer=B),
            RouteSettings(peer=C),
        )
        node, numbers = self.node(A, B, C, routes=routes)
        for realm, name in (("x.example", A), ("y.example", B), ("z.y.example", B), ("x.org", C), (REALM, B)):
            self.assertEqual(self.where(node, numbers, submit(realm=realm)), name, realm)
        node.feed(ev.Disconnected(numbers[A]))
        self.assertEqual(self.where(node, numbers, submit(realm="x.example")), "")

    def test_destination_host(self) -> None:
        """A peer that is the Destination-Host gets it; if it is not there, a relay, but no other server."""
        node = Endpoint(settings(US, peer(A), peer(B), peer(C), watchdog_timeout=0))
        numbers = {A: node.open_from(A), B: node.open_from(B)}
        self.assertEqual(self.where(node, numbers, submit(host=B.upper())), B)
        token = node.send(submit(host=C))
        self.assertEqual(self.reason(node, token), NO_PEER)
        node.feed(ev.Disconnected(numbers[A]))
        node.tick(1)
        numbers[C] = node.open_from(C, auth=(0xFFFFFFFF,))
        node.feed(ev.Disconnected(numbers[B]))
        self.assertEqual(self.where(node, numbers, submit(host=B)), C)

    def test_preferred_peers(self) -> None:
        """What the user prefers comes first, by priority; then the routes."""
        node, numbers = self.node(A, B, C, routes=(RouteSettings(peer=A),))
        prefer = ((C, 2), (B, 1))
        for name in (B, C, A):
            self.assertEqual(self.where(node, numbers, submit(prefer=prefer)), name)
            node.feed(ev.Disconnected(numbers[name]))

    def test_applications(self) -> None:
        """Only peers that have said that they have the application, for accounting or not."""
        node = Endpoint(settings(US, peer(A), peer(B), watchdog_timeout=0))
        numbers = {A: node.open_from(A, auth=(1, 3), acct=()), B: node.open_from(B, auth=(), acct=(3,))}
        self.assertEqual(self.where(node, numbers, submit()), B)
        avps = acr_avps()
        self.assertEqual(self.where(node, numbers, Submit(271, 3, avps, REALM)), A)
        token = node.send(Submit(265, 5, avps, REALM))
        self.assertEqual(self.reason(node, token), NO_PEER)
        self.assertTrue(node.core.usable(REALM, 3, True))
        self.assertFalse(node.core.usable(REALM, 5, False))

    def test_weights(self) -> None:
        """Peers of one priority share the load by their weights."""
        routes = tuple(
            RouteSettings(realm=REALM, peer=name, weight=weight) for name, weight in ((A, 1), (B, 3))
        ) + (RouteSettings(realm=REALM, peer=C, priority=2),)
        node, numbers = self.node(A, B, C, routes=routes)
        got = [self.where(node, numbers, submit()) for _ in range(40)]
        self.assertEqual((got.count(A), got.count(B), got.count(C)), (10, 30, 0))

    def test_secure(self) -> None:
        """What carries keys goes over TLS only; if there is none, that is said."""
        node = Endpoint(settings(US, peer(A), peer(B), tls=TLS, watchdog_timeout=0))
        numbers = {A: node.open_from(A)}
        token = node.send(submit(secure=True))
        self.assertEqual(self.reason(node, token), INSECURE)
        number = node.accept(transport="tls", names=(B,))
        node.said(number, cer(B))
        numbers[B] = number
        self.assertEqual(self.where(node, numbers, submit(secure=True)), B)
        node.feed(ev.Disconnected(number))
        self.assertEqual(self.where(node, numbers, submit(secure=True)), "")


class WaitTests(SendTestCase):
    def test_window(self) -> None:
        """No more than a window full at one peer; the next goes when an answer comes, in order."""
        node, numbers = self.node(A, window=2)
        tokens = [node.send(submit(session=f"s;1;{each}")) for each in range(5)]
        found = node.core.table.get(A)
        self.assertEqual((len(found.pending), len(found.queue)), (2, 3))
        for each in range(5):
            message = sent(node.effects, numbers[A])[1 + each]
            self.assertEqual(message.first(D["Session-Id"]), f"s;1;{each}")
            node.said(numbers[A], message.answer(2001, A, REALM))
        self.assertEqual([len(node.answers[token]) for token in tokens], [1] * 5)
        self.assertEqual((found.pending, len(found.queue)), ({}, 0))

    def test_window_before_priority(self) -> None:
        """With one peer full its equal gets it; one of lower priority does not."""
        routes = (
            RouteSettings(peer=A),
            RouteSettings(peer=B),
            RouteSettings(peer=C, priority=2),
        )
        node, numbers = self.node(A, B, C, routes=routes, window=1)
        got = [self.where(node, numbers, submit()) for _ in range(5)]
        self.assertEqual(got, [A, B, "", "", ""])
        self.assertEqual([len(node.core.table.get(name).queue) for name in (A, B, C)], [2, 1, 0])

    def test_congestion(self) -> None:
        """A peer that does not read gets nothing more until it does."""
        node, numbers = self.node(A)
        node.feed(ev.Congested(numbers[A], True))
        self.assertEqual(self.where(node, numbers, submit()), "")
        found = node.feed(ev.Congested(numbers[A], False))
        self.assertEqual(len(sent(found, numbers[A])), 1)

    def test_queue_goes_with_its_peer(self) -> None:
        """What was never sent goes to another peer without T, what was sent with T."""
        node, numbers = self.node(
            A, B, routes=(RouteSettings(peer=A), RouteSettings(peer=B, priority=2)), window=1
        )
        tokens = [node.send(submit()) for _ in range(2)]
        node.feed(ev.Disconnected(numbers[A]))
        first = sent(node.effects, numbers[B])[1]
        node.said(numbers[B], first.answer(2001, B, REALM))
        second = sent(node.effects, numbers[B])[2]
        self.assertEqual(sorted(bool(each.flags & RETRANSMITTED) for each in (first, second)), [False, True])
        node.said(numbers[B], second.answer(2001, B, REALM))
        self.assertEqual([len(node.answers[token]) for token in tokens], [1, 1])

    def test_while_connecting(self) -> None:
        """A request waits for a peer that is being connected to, not for one that has failed."""
        node = Endpoint(settings(US, peer(A, "10.0.0.1")))
        number = of(node.effects, ev.Connect)[0].connection
        token = node.send(submit())
        found = node.feed(ev.Connected(number, b"\x0a\0\0\1", 3868))
        found = node.said(number, cea(A, sent(found)[0]))
        self.assertEqual([each.code for each in sent(found)], [271])
        node.said(number, sent(found)[0].answer(2001, A, REALM))
        self.assertEqual(result(node.answers[token][0].message), 2001)
        node.feed(ev.Disconnected(number))
        token = node.send(submit())
        self.assertEqual(self.reason(node, token), NO_PEER)

    def test_connecting_fails(self) -> None:
        """Several addresses are tried one after the other; when all have failed, nobody waits any longer."""
        two = (b"\x0a\0\0\1", b"\x0a\0\0\2")
        node = Endpoint(settings(US, evolve(peer(A), addresses=two)))
        token = node.send(submit())
        tried = []
        for _ in range(2):
            connect = of(node.effects, ev.Connect)[-1]
            tried.append(connect.addresses)
            self.assertNotIn(token, node.answers)
            node.feed(ev.ConnectFailed(connect.connection, "refused"))
            node.tick(0)
        self.assertEqual(tried, [(two[0],), (two[1],)])
        self.assertEqual(self.reason(node, token), NO_PEER)

    def test_many_that_wait(self) -> None:
        """Ten thousand requests that wait for one peer do not hold up what happens with another one."""
        node = Endpoint(settings(US, peer(A, "10.0.0.1"), peer(B), routes=(RouteSettings(peer=A),)))
        tokens = [node.send(submit()) for _ in range(10_000)]
        asked: list[int] = []
        hope = node.core.outbound._hope
        node.core.outbound._hope = lambda pending, now: asked.append(pending.number) or hope(pending, now)  # type: ignore[method-assign]
        node.feed(ev.Disconnected(node.open_from(B)))
        self.assertEqual(len(asked), 2)
        node.feed(ev.ConnectFailed(1, "refused"))
        self.assertEqual({self.reason(node, token) for token in tokens}, {NO_PEER})

    def test_request_limit(self) -> None:
        """The newest is refused, and counted."""
        node, numbers = self.node(A, request_limit=2)
        for _ in range(2):
            node.send(submit())
        token = node.send(submit())
        self.assertEqual(self.reason(node, token), FULL)
        self.assertEqual(node.core.statistics.queue_full, 1)

    def test_cancel(self) -> None:
        """CANCELLED, wherever it is; the answer that comes later is dropped."""
        node, numbers = self.node(A, window=1)
        first, second = node.send(submit()), node.send(submit())
        message = sent(node.effects, numbers[A])[-1]
        for token in (second, first):
            node.feed(ev.Cancel(token))
            self.assertEqual(self.reason(node, token), CANCELLED)
        node.feed(ev.Cancel(first))
        node.feed(ev.Cancel(99))
        node.said(numbers[A], message.answer(2001, A, REALM))
        self.assertEqual(node.core.table.get(A).statistics.unknown_answers, 1)
        self.assertEqual(node.core.outbound.count, 0)

    def test_time_out(self) -> None:
        """Sent, in the queue, or parked: each has its time; room in the window is used."""
        node, numbers = self.node(A, window=1)
        slow = node.send(submit(timeout=10))
        quick = node.send(submit(timeout=5))
        last = node.send(submit(timeout=60))
        node.tick(5.2)
        self.assertEqual(self.reason(node, quick), TIMEOUT)
        node.tick(5)
        self.assertEqual(self.reason(node, slow), TIMEOUT)
        self.assertEqual(len(node.core.table.get(A).pending), 1)
        self.assertNotIn(last, node.answers)
        self.assertEqual(node.core.table.get(A).statistics.timeouts, 1)
        self.assertEqual(node.core.statistics.timeouts, 2)

    def test_stop(self) -> None:
        """At the stop what was not sent ends at once, what was sent when its peer is gone."""
        node, numbers = self.node(A, window=1)
        first, second = node.send(submit()), node.send(submit())
        node.feed(ev.Stop())
        self.assertEqual(self.reason(node, second), STOPPED)
        self.assertNotIn(first, node.answers)
        node.feed(ev.Disconnected(numbers[A]))
        self.assertEqual(self.reason(node, first), STOPPED)
        self.assertEqual(node.effects[-1], ev.Stopped())


class AnswerTests(SendTestCase):
    def test_answers_that_do_not_fit(self) -> None:
        """Another End-to-End Id, command or application: no answer to this request."""
        node, numbers = self.node(A)
        token = node.send(submit())
        message = sent(node.effects, numbers[A])[-1]
        body = avp_result()
        for code, application, hop, end in (
            (271, 3, message.hop_by_hop, message.end_to_end ^ 1),
            (271, 3, message.hop_by_hop ^ 1, message.end_to_end),
            (272, 3, message.hop_by_hop, message.end_to_end),
            (271, 4, message.hop_by_hop, message.end_to_end),
        ):
            node.said(numbers[A], frame(code, application, 0x40, hop, end, body))
        self.assertNotIn(token, node.answers)
        node.said(numbers[A], frame(271, 3, 0x40, message.hop_by_hop, message.end_to_end, body))
        self.assertEqual(result(node.answers[token][0].message), 2001)

    def test_malformed(self) -> None:
        """An answer that cannot be cut into AVPs is no message for the user."""
        node, numbers = self.node(A)
        token = node.send(submit())
        message = sent(node.effects, numbers[A])[-1]
        bad = frame(271, 3, 0x40, message.hop_by_hop, message.end_to_end, b"\0\0\1\x0c\x40\0\0\xff")
        node.said(numbers[A], bad)
        self.assertEqual(self.reason(node, token), MALFORMED)
        self.assertIn("cannot be read", of(node.effects, ev.Notify)[-1].text)

    def test_round_trip(self) -> None:
        """The time to an answer is smoothed."""
        node, numbers = self.node(A)
        for _ in range(50):
            node.send(submit())
            node.tick(0.5)
            node.said(numbers[A], sent(node.effects, numbers[A])[-1].answer(2001, A, REALM))
        self.assertAlmostEqual(node.core.table.get(A).round_trip, 0.5, places=2)


def avp_result() -> bytes:
    return D["Result-Code"].encode(2001) + origin(A)
