"""Redirects, overload and the DNS, as a node deals with them."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.diameter.events import NO_PEER, OVERLOADED
from appliance.protocols.diameter.message.codec import ERROR, RETRANSMITTED, Message
from appliance.protocols.diameter.node import events as ev
from appliance.protocols.diameter.node import readouts
from appliance.protocols.diameter.settings import RouteSettings
from test.protocols.diameter.node_fakes import (
    REALM,
    D,
    Endpoint,
    Wire,
    acr,
    avp,
    cea,
    of,
    peer,
    request,
    result,
    sent,
    settings,
    submit,
)

US, AGENT = "client.home.example", "agent.home.example"
A, B = "a.home.example", "b.home.example"


def indication(message: Message, host: str, usage: int = 0, seconds: int = 0, realm: str = REALM) -> bytes:
    more = [avp("Redirect-Host", f"aaa://{host}:3868;transport=tcp")]
    if usage:
        more += [avp("Redirect-Host-Usage", usage), avp("Redirect-Max-Cache-Time", seconds)]
    return message.answer(3006, AGENT, realm, *more)


class RedirectTests(SynchronousTestCase):
    """RFC 6733 sections 6.1.8 and 6.12 to 6.14."""

    def node(self, **more: Any) -> tuple[Endpoint, dict[str, int]]:
        routes = (RouteSettings(peer=AGENT),)
        node = Endpoint(
            settings(US, peer(AGENT), peer(A), peer(B, "10.0.0.2"), routes=routes, watchdog_timeout=0, **more)
        )
        numbers = {AGENT: node.open_from(AGENT, auth=(0xFFFFFFFF,)), A: node.open_from(A)}
        return node, numbers

    def asked(self, node: Endpoint, numbers: dict[str, int], made: Any) -> tuple[str, Message]:
        before = len(node.effects)
        node.send(made)
        (found,) = of(node.effects[before:], ev.Transmit)
        names = {number: name for name, number in numbers.items()}
        return names[found.connection], Message(found.data)

    def test_followed(self) -> None:
        """The request goes to the host: same End-to-End Id, without T; the user sees one answer."""
        node, numbers = self.node()
        _, message = self.asked(node, numbers, submit(repeated=True))
        found = node.said(numbers[AGENT], indication(message, A))
        (again,) = sent(found, numbers[A])
        self.assertEqual((again.end_to_end, again.body), (message.end_to_end, message.body))
        self.assertFalse(again.flags & RETRANSMITTED)
        node.said(numbers[A], again.answer(2001, A, REALM))
        self.assertEqual(result(node.answers[1][0].message), 2001)
        self.assertEqual(self.asked(node, numbers, submit())[0], AGENT)

    def test_usages(self) -> None:
        """What is cached, for which requests, and for how long."""
        user = avp("User-Name", "mn@home.example")
        one = submit(session="s;1;1", more=user)
        other_session = submit(session="s;1;2", more=user)
        other_user = submit(session="s;1;2")
        other_realm = submit(session="s;1;2", realm="x.example")
        for usage, matching, others in (
            (0, (), (one,)),
            (1, (one,), (other_session, other_user)),
            (2, (one, other_user), (other_realm,)),
            (3, (one, other_user), (other_realm,)),
            (4, (one, other_user, other_realm), ()),
            (5, (one, other_user, other_realm), ()),
            (6, (one, other_session), (other_user,)),
        ):
            node, numbers = self.node()
            _, message = self.asked(node, numbers, one)
            node.said(numbers[AGENT], indication(message, A, usage, 60))
            for made in matching:
                self.assertEqual(self.asked(node, numbers, made)[0], A, usage)
            for made in others:
                self.assertEqual(self.asked(node, numbers, made)[0], AGENT, usage)
            self.assertEqual(len(node.core.redirects), int(usage > 0))
            node.tick(61)
            self.assertEqual(self.asked(node, numbers, one)[0], AGENT)

    def test_precedence(self) -> None:
        """All-session before all-user before realm and application (RFC 6733 section 6.13)."""
        node, numbers = self.node()
        third = "c.home.example"
        node.feed(ev.Reconfigure(_with(node, peer(third))))
        numbers[third] = node.open_from(third)
        user = avp("User-Name", "mn@home.example")
        for usage, host in ((2, A), (1, third)):
            made = submit(session="s;1;1", more=user)
            _, message = self.asked(node, numbers, made)
            where = AGENT if usage == 2 else A
            node.said(numbers[where], indication(message, host, usage, 60))
        self.assertEqual(self.asked(node, numbers, submit(session="s;1;1", more=user))[0], third)
        self.assertEqual(self.asked(node, numbers, submit(session="s;1;2", more=user))[0], A)

    def test_cache_ends_with_the_host(self) -> None:
        """Once a host is not reachable, what leads to it is deleted (RFC 6733 section 6.14)."""
        node, numbers = self.node()
        _, message = self.asked(node, numbers, submit())
        node.said(numbers[AGENT], indication(message, A, 2, 60))
        node.feed(ev.Disconnected(numbers.pop(A)))
        self.assertEqual(len(node.core.redirects), 0)
        self.assertEqual(self.asked(node, numbers, submit())[0], AGENT)

    def test_connected_when_needed(self) -> None:
        """A host that is a peer without connection is waited for while it is being connected to."""
        node, numbers = self.node()
        connect = of(node.effects, ev.Connect)[0]
        _, message = self.asked(node, numbers, submit())
        self.assertEqual(sent(node.said(numbers[AGENT], indication(message, B))), [])
        hello = sent(node.feed(ev.Connected(connect.connection, b"\x0a\0\0\2", 3868)))[0]
        found = node.said(connect.connection, cea(B, hello))
        self.assertEqual([each.end_to_end for each in sent(found) if each.code == 271], [message.end_to_end])

    def test_not_to_be_followed(self) -> None:
        """A host that nobody knows, rubbish, or the hop after the last: the 3006 is the answer."""
        for host in ("unknown.example", "", US):
            node, numbers = self.node()
            _, message = self.asked(node, numbers, submit())
            node.said(numbers[AGENT], indication(message, host))
            self.assertEqual(result(node.answers[1][0].message), 3006, host)
        node, numbers = self.node()
        _, message = self.asked(node, numbers, submit())
        for hop in range(6):
            at, to = (AGENT, A) if hop % 2 == 0 else (A, AGENT)
            found = sent(node.said(numbers[at], indication(message, to)))
            message = found[0] if found else message
        self.assertEqual(result(node.answers[1][0].message), 3006)
        self.assertEqual(node.core.statistics.redirects_followed, 5)

    def test_host_is_lost(self) -> None:
        """The host that was named goes away: the answer is what the agent had said."""
        node, numbers = self.node()
        _, message = self.asked(node, numbers, submit())
        node.said(numbers[AGENT], indication(message, A))
        node.feed(ev.Disconnected(numbers[A]))
        (again,) = [each for each in sent(node.effects, numbers[AGENT])[-1:] if each.code == 271]
        self.assertTrue(again.flags & RETRANSMITTED)

    def test_looked_up(self) -> None:
        """With discovery a host that is no peer is found in the DNS, connected to and used."""
        node, numbers = self.node(discovery=True)
        _, message = self.asked(node, numbers, submit())
        found = node.said(numbers[AGENT], indication(message, "new.example"))
        (lookup,) = of(found, ev.Lookup)
        self.assertEqual(lookup, ev.Lookup("new.example", None, 3868, "tcp"))
        self.assertNotIn(1, node.answers)
        found = node.feed(
            ev.Found("new.example", None, (ev.FoundPeer("new.example", (b"\x0a\0\0\7",), 3868, "tcp"),), 60)
        )
        (connect,) = of(found, ev.Connect)
        hello = sent(node.feed(ev.Connected(connect.connection, b"\x0a\0\0\7", 3868)))[0]
        found = node.said(connect.connection, cea("new.example", hello))
        (again,) = [each for each in sent(found) if each.code == 271]
        node.said(connect.connection, again.answer(2001, "new.example", REALM))
        self.assertEqual(result(node.answers[1][0].message), 2001)

    def test_looked_up_in_vain(self) -> None:
        """The DNS knows nothing: the 3006 is the answer."""
        for event in (ev.Found("new.example", None, (), text="no such name"), None):
            node, numbers = self.node(discovery=True)
            _, message = self.asked(node, numbers, submit(timeout=100))
            node.said(numbers[AGENT], indication(message, "new.example"))
            if event is None:
                node.tick(31)
            else:
                node.feed(event)
            self.assertEqual(result(node.answers[1][0].message), 3006)


def _with(node: Endpoint, *more: Any) -> Any:
    from attrs import evolve

    return evolve(node.core.settings, peers=(*node.core.settings.peers, *more))


class RedirectAgentTests(SynchronousTestCase):
    def test_indication(self) -> None:
        """3006 with E, the hosts of the routes, usage and time; the client goes there itself."""
        wire = Wire()
        server = wire.add(settings(A, peer(US)), "10.0.0.1")
        routes = (RouteSettings(realm=REALM, peer=A, action="redirect"),)
        agent = wire.add(
            settings(
                AGENT,
                peer(A, "10.0.0.1", connect=False),
                peer(US),
                routes=routes,
                agent="redirect",
                realm="agents.example",
                redirect_usage=2,
                redirect_cache_time=60,
            ),
            "10.0.0.2",
        )
        client = wire.add(
            settings(US, peer(AGENT, "10.0.0.2"), peer(A, "10.0.0.1"), routes=(RouteSettings(peer=AGENT),))
        )
        wire.start(server, client)
        wire.start(agent, serve=False)
        wire.wait(5)
        for _ in range(2):
            token = client.send(submit())
            wire.run()
            self.assertEqual(result(client.answers[token][0].message), 2001)
        self.assertEqual(agent.core.statistics.redirects_sent, 1)
        answer = next(each for each in sent(agent.effects) if each.code == 271)
        self.assertTrue(answer.flags & ERROR)
        self.assertEqual(answer.all(D["Redirect-Host"]), [f"aaa://{A}:3868;transport=tcp"])
        self.assertEqual(
            (answer.first(D["Redirect-Host-Usage"]), answer.first(D["Redirect-Max-Cache-Time"])), (2, 60)
        )
        (route,) = [each for each in readouts.routes(client.core, client.now) if each.origin == "redirect"]
        self.assertEqual((route.realm, route.action, route.peer), (REALM, "redirect all-realm", A))

    def test_nobody(self) -> None:
        """Without a host for the realm a redirect agent says 3002."""
        node = Endpoint(settings(AGENT, peer(US), agent="redirect", realm="agents.example"))
        number = node.open_from(US)
        self.assertEqual(result(sent(node.said(number, acr()))[0]), 3002)


class OverloadTests(SynchronousTestCase):
    """RFC 7683, reacting node."""

    def report(self, kind: int, percentage: int = 100) -> bytes:
        return D["OC-OLR"].encode(
            D["OC-Sequence-Number"].encode(1)
            + D["OC-Report-Type"].encode(kind)
            + D["OC-Reduction-Percentage"].encode(percentage)
        )

    def node(self, *names: str) -> tuple[Endpoint, dict[str, int]]:
        node = Endpoint(settings(US, *(peer(name) for name in names), watchdog_timeout=0))
        return node, {name: node.open_from(name) for name in names}

    def first(self, node: Endpoint, numbers: dict[str, int], kind: int) -> str:
        """A first request whose answer has a report; returns who was asked."""
        node.send(submit())
        transmit = of(node.effects, ev.Transmit)[-1]
        message = Message(transmit.data)
        name = next(name for name, number in numbers.items() if number == transmit.connection)
        node.said(transmit.connection, message.answer(2001, name, REALM, self.report(kind)))
        return name

    def test_realm(self) -> None:
        """A realm that has too much to do gets nothing; the user is told why."""
        node, numbers = self.node(A, B)
        self.first(node, numbers, 1)
        token = node.send(submit())
        self.assertEqual(node.answers[token][0].reason, OVERLOADED)
        node.tick(41)
        before = len(node.effects)
        node.send(submit())
        self.assertEqual(len(sent(node.effects[before:])), 1)

    def test_host(self) -> None:
        """A host that has too much to do: another one gets it; for the very host there is no other."""
        node, numbers = self.node(A, B)
        busy = self.first(node, numbers, 0)
        other = B if busy == A else A
        for _ in range(4):
            node.send(submit())
            self.assertEqual(of(node.effects, ev.Transmit)[-1].connection, numbers[other])
        token = node.send(submit(host=busy))
        self.assertEqual(node.answers[token][0].reason, OVERLOADED)
        self.assertEqual(node.core.statistics.throttled, 1)
        (view,) = readouts.overload(node.core, node.now)
        self.assertEqual((view.name, view.realm, view.percentage), (busy, False, 100))

    def test_only_host(self) -> None:
        """With one server alone its requests are kept back."""
        node, numbers = self.node(A)
        self.first(node, numbers, 0)
        token = node.send(submit())
        self.assertEqual(node.answers[token][0].reason, OVERLOADED)

    def test_others_are_not_affected(self) -> None:
        """Relayed requests are their senders' business."""
        node = Endpoint(
            settings(
                AGENT, peer(A), peer(US), agent="relay", routes=(RouteSettings(peer=A),), watchdog_timeout=0
            ),
            serve=False,
        )
        node.feed(ev.Start())
        numbers = {A: node.open_from(A), US: node.open_from(US)}
        node.core.overload.note(
            Message(Message(acr()).answer(2001, A, REALM, self.report(0), self.report(1))), node.mono
        )
        self.assertEqual(len(node.core.overload), 2)
        self.assertEqual(len(sent(node.said(numbers[US], acr()), numbers[A])), 1)


class DiscoveryTests(SynchronousTestCase):
    FAR = "far.example"

    def node(self, **more: Any) -> Endpoint:
        more.setdefault("discovery", True)
        return Endpoint(settings(US, watchdog_timeout=0, retry_timeout=1, **more))

    def found(self, *names: str, lifetime: float = 60.0, application: int = 3) -> ev.Found:
        peers = tuple(
            ev.FoundPeer(name, (bytes((10, 0, 0, place)),), 3868, "tcp", place)
            for place, name in enumerate(names, 1)
        )
        return ev.Found(self.FAR, application, peers, lifetime)

    def connect(self, node: Endpoint, found: list[Any]) -> list[int]:
        """All connections that are wanted come about; returns their numbers."""
        numbers = []
        for connect in of(found, ev.Connect):
            hello = sent(node.feed(ev.Connected(connect.connection, connect.addresses[0], 3868)))[0]
            node.said(connect.connection, cea(connect.peer, hello, realm=self.FAR))
            numbers.append(connect.connection)
        return numbers

    def test_found(self) -> None:
        """One lookup for all that wait; the peers are connected to and used by their priority."""
        node = self.node()
        tokens = [node.send(submit(realm=self.FAR)) for _ in range(3)]
        self.assertEqual(of(node.effects, ev.Lookup), [ev.Lookup(self.FAR, 3)])
        first, second = self.connect(node, node.feed(self.found("x.far.example", "y.far.example")))
        waiting = [each for each in sent(node.effects, first) if each.code == 271]
        self.assertEqual(len(waiting), 3)
        for message in waiting:
            node.said(first, message.answer(2001, "x.far.example", self.FAR))
        self.assertEqual([result(node.answers[token][0].message) for token in tokens], [2001] * 3)
        views = [each for each in readouts.routes(node.core, node.now) if each.origin == "discovered"]
        self.assertEqual(
            [(each.peer, each.priority, each.lifetime) for each in views],
            [("x.far.example", 1, 60), ("y.far.example", 2, 60)],
        )

    def test_nothing_found(self) -> None:
        """NO_PEER, and for a minute the same realm is not looked for again."""
        node = self.node()
        token = node.send(submit(realm=self.FAR))
        node.feed(ev.Found(self.FAR, 3, (), text="no such domain"))
        self.assertEqual(node.answers[token][0].reason, NO_PEER)
        token = node.send(submit(realm=self.FAR))
        self.assertEqual(node.answers[token][0].reason, NO_PEER)
        self.assertEqual(len(of(node.effects, ev.Lookup)), 1)
        node.tick(61)
        node.send(submit(realm=self.FAR))
        self.assertEqual(len(of(node.effects, ev.Lookup)), 2)

    def test_no_answer(self) -> None:
        """A resolver that says nothing is not waited for longer than half a minute."""
        node = self.node()
        token = node.send(submit(realm=self.FAR, timeout=100))
        node.tick(31)
        self.assertEqual(node.answers[token][0].reason, NO_PEER)
        node.feed(self.found("x.far.example"))
        self.assertEqual(of(node.effects, ev.Connect), [])

    def test_off(self) -> None:
        """Without discovery nothing is looked up."""
        node = self.node(discovery=False)
        token = node.send(submit(realm=self.FAR))
        self.assertEqual(node.answers[token][0].reason, NO_PEER)
        self.assertEqual(of(node.effects, ev.Lookup), [])

    def test_expiry(self) -> None:
        """What was not used in its time is forgotten, with a good-bye; what was used is looked up again."""
        for used in (False, True):
            node = self.node()
            node.send(submit(realm=self.FAR))
            (number,) = self.connect(node, node.feed(self.found("x.far.example")))
            if not used:
                node.core.table.get("x.far.example").last_used = 0.0
            else:
                node.tick(10)
                node.send(submit(realm=self.FAR))
            node.tick(55 - 10 * used)
            self.assertEqual(len(of(node.effects, ev.Lookup)), 1 + used)
            if used:
                node.feed(self.found("x.far.example"))
                node.tick(20)
                self.assertTrue(node.core.table.get("x.far.example").usable)
            else:
                found = node.tick(6)
                (dpr,) = sent(found, number)
                self.assertEqual((dpr.code, dpr.first(D["Disconnect-Cause"])), (282, 2))
                node.said(number, dpr.answer(2001, "x.far.example", self.FAR))
                self.assertIsNone(node.core.table.get("x.far.example"))
                self.assertEqual(list(readouts.routes(node.core, node.now)), [])

    def test_limits(self) -> None:
        """Strangers' realms do not make lookups without end."""
        node = self.node()
        for number in range(150):
            node.send(submit(realm=f"r{number}.example"))
        self.assertEqual(len(of(node.effects, ev.Lookup)), 100)

    def test_configured_peers_stay_as_they_are(self) -> None:
        """The DNS adds a route to a configured peer, and changes nothing of it; it never adds ourselves."""
        node = Endpoint(settings(US, peer(A, "10.0.0.1", realm=REALM), discovery=True, watchdog_timeout=0))
        self.connect(node, node.effects)
        node.send(submit(realm=self.FAR))
        node.feed(self.found(A, US))
        found = node.core.table.get(A)
        self.assertEqual((found.kind, found.settings.addresses), ("static", (b"\x0a\0\0\1",)))
        self.assertIsNone(node.core.table.get(US))

    def test_for_a_relay(self) -> None:
        """A relay looks for the realm of what it has to pass on, and answers 3002 if there is nobody."""
        node = Endpoint(settings(AGENT, peer(US), agent="relay", discovery=True, watchdog_timeout=0))
        number = node.open_from(US)
        self.assertEqual(sent(node.said(number, acr(realm=self.FAR))), [])
        found = node.feed(ev.Found(self.FAR, 3, ()))
        self.assertEqual(result(sent(found, number)[0]), 3002)
        self.assertEqual(len(sent(node.said(number, request(280, 0, flags=0x80)))), 1)
