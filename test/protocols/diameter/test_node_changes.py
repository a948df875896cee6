"""Other settings while a node runs, operators' commands, read-outs, and what is left in memory."""

import gc
from typing import Any

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.diameter.node import events as ev
from appliance.protocols.diameter.node import peer_states as st
from appliance.protocols.diameter.node import readouts
from appliance.protocols.diameter.node.stats import rows
from appliance.protocols.diameter.settings import PeerSettings, RouteSettings
from test.protocols.diameter.node_fakes import (
    REALM,
    D,
    Endpoint,
    Wire,
    acr,
    of,
    peer,
    result,
    sent,
    settings,
    submit,
)

US, A, B = "client.home.example", "a.home.example", "b.home.example"


class ReconfigureTests(SynchronousTestCase):
    def node(self, *peers: PeerSettings, **more: Any) -> Endpoint:
        more.setdefault("watchdog_timeout", 0)
        return Endpoint(settings(US, *peers, **more))

    def change(self, node: Endpoint, *peers: PeerSettings, **more: Any) -> list[Any]:
        return node.feed(ev.Reconfigure(evolve(node.core.settings, peers=peers, **more)))

    def test_added(self) -> None:
        """A peer that is added is connected to."""
        node = self.node()
        found = self.change(node, peer(A, "10.0.0.1"))
        self.assertEqual([each.peer for each in of(found, ev.Connect)], [A])

    def test_removed(self) -> None:
        """A peer that is removed hears good-bye first (cause 2), and is then forgotten."""
        node = self.node(peer(A))
        number = node.open_from(A)
        token = node.send(submit())
        found = self.change(node)
        (dpr,) = sent(found, number)
        self.assertEqual((dpr.code, dpr.first(D["Disconnect-Cause"])), (282, 2))
        message = next(each for each in sent(node.effects, number) if each.code == 271)
        node.said(number, message.answer(2001, A, REALM))
        self.assertEqual(result(node.answers[token][0].message), 2001)
        node.said(number, dpr.answer(2001, A, REALM))
        self.assertIsNone(node.core.table.get(A))

    def test_removed_without_connection(self) -> None:
        """One that is being connected to, or not at all, is simply gone."""
        node = self.node(peer(A, "10.0.0.1"), peer(B))
        found = self.change(node)
        self.assertEqual(len(of(found, ev.Close)), 1)
        self.assertEqual(node.core.table.peers, {})

    def test_removed_and_added_again(self) -> None:
        """Before its connection has ended: it stays, and is connected to anew."""
        node = self.node(peer(A, "10.0.0.1"))
        node.feed(ev.ConnectFailed(1, "refused"))
        number = node.open_from(A)
        found = node.core.table.get(A)
        self.change(node)
        self.change(node, peer(A, "10.0.0.1"))
        node.feed(ev.Disconnected(number))
        self.assertIs(node.core.table.get(A), found)
        self.assertEqual(len(of(node.tick(3), ev.Connect)), 1)

    def test_changed(self) -> None:
        """What matters for the connection makes it anew; what does not, does not."""
        node = self.node(peer(A))
        number = node.open_from(A)
        self.assertEqual(sent(self.change(node, peer(A, weight=3))), [])
        (dpr,) = sent(self.change(node, peer(A, "10.0.0.1", weight=3)), number)
        self.assertEqual(dpr.first(D["Disconnect-Cause"]), 0)
        node.said(number, dpr.answer(2001, A, REALM))
        (connect,) = of(node.tick(3), ev.Connect)
        self.assertEqual(connect.addresses, (b"\x0a\0\0\1",))

    def test_wildcards(self) -> None:
        """A wildcard that is removed takes its peers along; one that is named becomes a peer of its own."""
        node = self.node(peer("*.home.example"))
        first, second = node.open_from(A), node.open_from(B)
        found = self.change(node, peer(B))
        self.assertEqual([each.connection for each in of(found, ev.Transmit)], [first])
        self.assertEqual(node.core.table.get(B).kind, "static")
        node.feed(ev.Disconnected(first))
        node.feed(ev.Disconnected(second))
        self.assertEqual(list(node.core.table.peers), [B])

    def test_routes(self) -> None:
        """Other routes count for the next request."""
        node = self.node(peer(A), peer(B), routes=(RouteSettings(peer=A),))
        numbers = {A: node.open_from(A), B: node.open_from(B)}
        for name in (A, B):
            self.change(node, peer(A), peer(B), routes=(RouteSettings(peer=name),))
            node.send(submit())
            self.assertEqual(of(node.effects, ev.Transmit)[-1].connection, numbers[name])

    def test_window(self) -> None:
        """A wider window is used at once."""
        node = self.node(peer(A), window=1)
        number = node.open_from(A)
        for _ in range(3):
            node.send(submit())
        self.assertEqual(len(sent(self.change(node, peer(A), window=3), number)), 2)

    def test_watchdog(self) -> None:
        """Tw follows the settings."""
        node = self.node(peer(A))
        number = node.open_from(A)
        self.change(node, peer(A), watchdog_timeout=6)
        self.assertEqual([each.code for each in sent(node.tick(9), number)], [280])

    def test_agent(self) -> None:
        """What was not served is relayed when the node becomes an agent."""
        node = self.node(peer(A), peer(B), routes=(RouteSettings(realm="far.example", peer=B),))
        numbers = {A: node.open_from(A), B: node.open_from(B)}
        found = node.said(numbers[A], acr(origin_host=A, realm="far.example"))
        self.assertEqual(result(sent(found)[0]), 3003)
        self.change(node, peer(A), peer(B), agent="relay")
        found = node.said(numbers[A], acr(origin_host=A, realm="far.example", end=2))
        self.assertEqual([each.connection for each in of(found, ev.Transmit)], [numbers[B]])


class CommandTests(SynchronousTestCase):
    def test_disable_and_enable(self) -> None:
        """No connection either way while it is disabled."""
        node = Endpoint(settings(US, peer(A, "10.0.0.1"), watchdog_timeout=0))
        number = of(node.effects, ev.Connect)[0].connection
        found = node.feed(ev.Command("disable", A.upper()))
        self.assertEqual([each.connection for each in of(found, ev.Close)], [number])
        self.assertEqual(of(node.tick(100), ev.Connect), [])
        (view,) = readouts.peers(node.core, node.now)
        self.assertEqual((view.state, view.next_try), ("Disabled", None))
        found = node.feed(ev.Command("enable", A))
        self.assertEqual(len(of(found, ev.Connect)), 1)
        node.feed(ev.Command("enable", A))
        node.feed(ev.Command("nonsense", A))
        node.feed(ev.Command("disable", "nobody.example"))

    def test_connect(self) -> None:
        """Now, and not when the pause is over."""
        node = Endpoint(settings(US, peer(A, "10.0.0.1")))
        node.feed(ev.ConnectFailed(1, "refused"))
        self.assertEqual(len(of(node.feed(ev.Command("connect", A)), ev.Connect)), 1)

    def test_reasons(self) -> None:
        """Each reason why there is no connection is logged, and once a minute; after an open one again."""
        node = Endpoint(settings(US, peer(A, "10.0.0.1")))
        said, number = 0, 1
        for reason, more in (("refused", 1), ("refused", 0), ("expired", 1), ("refused", 0), ("expired", 0)):
            node.feed(ev.ConnectFailed(number, reason))
            lines = [each.text for each in of(node.effects, ev.Notify) if "no connection" in each.text]
            self.assertEqual(len(lines) - said, more, (reason, lines))
            said = len(lines)
            (connect,) = of(node.feed(ev.Command("connect", A)), ev.Connect)
            number = connect.connection
        node.feed(ev.ConnectFailed(number, "refused"))
        node.open_from(A)
        node.feed(ev.Disconnected(node.connection, "gone"))
        (connect,) = of(node.feed(ev.Command("connect", A)), ev.Connect)
        (line,) = of(node.feed(ev.ConnectFailed(connect.connection, "refused")), ev.Notify)
        self.assertIn("no connection: refused", line.text)

    def test_clear(self) -> None:
        """Figures of one peer, or of all and the node."""
        node = Endpoint(settings(US, peer(A), peer(B)))
        for end, name in enumerate((A, B)):
            node.said(node.open_from(name), acr(end=end, origin_host=name))
        node.feed(ev.Command("clear", A))
        self.assertEqual(node.core.table.get(A).statistics.opens, 0)
        self.assertEqual((node.core.table.get(B).statistics.opens, node.core.statistics.delivered), (1, 2))
        node.feed(ev.Command("clear"))
        self.assertEqual({figure for _, figure in rows(node.core.statistics)}, {0})
        self.assertEqual(node.core.table.get(B).statistics.opens, 0)

    def test_all(self) -> None:
        """Without a name a command is for all peers."""
        node = Endpoint(settings(US, peer(A), peer(B)))
        numbers = [node.open_from(name) for name in (A, B)]
        found = node.feed(ev.Command("disconnect", cause=1))
        self.assertEqual([each.connection for each in of(found, ev.Transmit)], numbers)
        self.assertEqual({each.first(D["Disconnect-Cause"]) for each in sent(found)}, {1})


class ReadoutTests(SynchronousTestCase):
    def test_peers(self) -> None:
        """Everything that a screen shows of a peer, before, while and after it is connected."""
        node = Endpoint(settings(US, peer(A, "10.0.0.1"), peer(B, realm=REALM), watchdog_timeout=30))
        number = node.open_from(B, auth=(1, 0xFFFFFFFF))
        first, second = readouts.peers(node.core, node.now)
        self.assertEqual((first.name, first.state, first.realm), (A, st.WAIT_CONN_ACK, ""))
        self.assertEqual(first.connection, "over tcp to 10.0.0.1 port 3868")
        self.assertEqual((second.state, second.watchdog, second.usable), (st.R_OPEN, "OKAY", True))
        self.assertEqual((second.auth, second.acct, second.relay), ((1, 0xFFFFFFFF), (3,), True))
        self.assertEqual((second.product, second.addresses), ("test", (b"\x0a\0\0\1",)))
        self.assertEqual(second.connection, "over tcp from 10.0.0.9 port 40000")
        self.assertEqual(second.since, node.now.wall)
        node.feed(ev.ConnectFailed(1, "refused"))
        node.feed(ev.Disconnected(number, "reset by peer"))
        first, second = readouts.peers(node.core, node.now)
        self.assertEqual((first.state, first.last_error), (st.CLOSED, "refused"))
        self.assertTrue(0.9 <= (first.next_try or 0) <= 1.1)
        self.assertEqual((second.state, second.next_try), (st.CLOSED, None))
        self.assertEqual(
            (second.watchdog, second.last_error, second.connection), ("DOWN", "reset by peer", "")
        )

    def test_queue(self) -> None:
        """Requests to peers, in the window and out of it, parked ones, and those that applications have."""
        node = Endpoint(settings(US, peer(A), peer(B, "10.0.0.2", realm="far.example"), window=1))
        node.application = lambda deliver: None
        number = node.open_from(A)
        node.send(submit(session="one"))
        node.send(submit(session="two", repeated=True))
        node.send(submit(session="three", realm="far.example"))
        node.said(number, acr(session="four", origin_host=A))
        found = list(readouts.queue(node.core, node.now))
        self.assertEqual(
            [(each.direction, each.state, each.peer, each.session, each.repeated) for each in found],
            [
                ("out", "parked", "", "three", False),
                ("out", "sent", A, "one", False),
                ("out", "queued", A, "two", True),
                ("in", "working", A, "four", False),
            ],
        )
        self.assertEqual({each.code for each in found}, {271})
        self.assertEqual(found[1].remaining, 20.0)

    def test_relayed(self) -> None:
        """A relayed request names the peer that it came from."""
        node = Endpoint(
            settings(US, peer(A), peer(B), agent="relay", routes=(RouteSettings(peer=B),)), serve=False
        )
        node.feed(ev.Start())
        number = node.open_from(A)
        node.open_from(B)
        node.said(number, acr(origin_host=A))
        (found,) = readouts.queue(node.core, node.now)
        self.assertEqual((found.peer, found.source, found.direction), (B, A, "out"))


class MemoryTests(SynchronousTestCase):
    def test_no_cycles(self) -> None:
        """Peers, connections and requests that come and go leave nothing for the garbage collector."""
        node = Endpoint(settings(US, peer("*"), peer(A, "10.0.0.1"), agent="relay", window=1))
        node.application = lambda deliver: None
        gc.collect()
        gc.disable()
        try:
            for number in range(50):
                link = node.open_from(f"p{number}.example")
                mine = f"p{number}.example"
                node.said(link, acr(origin_host=mine))
                node.said(link, acr(realm=f"r{number}.example", origin_host=mine))
                node.said(link, acr())
                for _ in range(3):
                    node.send(submit(prefer=((f"p{number}.example", 1),)))
                node.feed(ev.Disconnected(link))
                node.said(node.accept(), b"\1\0\0\x14" + bytes(16))
                node.tick(3)
            node.tick(400)
            node.effects.clear()
            node.delivered.clear()
            node.answers.clear()
            self.assertEqual(gc.collect(), 0)
        finally:
            gc.enable()
        self.assertEqual(len(node.core.table.peers), 1)

    def test_a_node_that_stops(self) -> None:
        """A node that has stopped has no cycles any more once it is dissolved."""
        wire = Wire()
        server = wire.add(settings(A, peer(US)), "10.0.0.1")
        client = wire.add(settings(US, peer(A, "10.0.0.1")))
        wire.start()
        client.send(submit())
        wire.run()
        client.feed(ev.Stop())
        wire.run()
        self.assertEqual(client.effects[-1], ev.Stopped())
        core = client.core
        gc.collect()
        gc.disable()
        try:
            core.dissolve()
            client.core = server.core
            client.effects.clear()
            wire.log.clear()
            del core
            self.assertEqual(gc.collect(), 0)
        finally:
            gc.enable()
