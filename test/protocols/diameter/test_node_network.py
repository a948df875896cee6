"""A random network of clients, a relay and servers that die, hang and come back: every request ends once."""

import random
from typing import Any

import hypothesis
from hypothesis import given
from hypothesis import strategies as some
from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.diameter.node import events as ev
from appliance.protocols.diameter.settings import PeerSettings, RouteSettings
from test.fuzz import CASES
from test.protocols.diameter.node_fakes import REALM, Endpoint, Wire, peer, settings, submit

CLIENTS = ("a.clients.example", "b.clients.example")
RELAYS = ("r1.relays.example", "r2.relays.example")
SERVERS = ("s1.home.example", "s2.home.example")


class Network:
    """Clients connect to both relays, relays to both servers; the servers also connect to the first relay."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.wire = Wire()
        self.ends: dict[str, Endpoint] = {}
        for name in (*SERVERS, *RELAYS, *CLIENTS):
            self.begin(name)

    def made(self, name: str) -> Any:
        more: dict[str, Any] = {"watchdog_timeout": 6, "retry_timeout": 4, "window": 4}
        routes: tuple[RouteSettings, ...] = ()
        if name in CLIENTS:
            peers = [peer(each, f"10.0.0.{number}") for number, each in enumerate(RELAYS, 3)]
            routes = tuple(RouteSettings(peer=each, priority=number) for number, each in enumerate(RELAYS))
            realm = "clients.example"
        elif name in RELAYS:
            peers = [peer(each, f"10.0.0.{number}") for number, each in enumerate(SERVERS, 1)]
            peers += [peer("*.clients.example")]
            routes = tuple(RouteSettings(realm=REALM, peer=each) for each in SERVERS)
            realm, more["agent"] = "relays.example", self.chance.choice(("relay", "proxy"))
        else:
            peers: list[PeerSettings] = [peer(RELAYS[0], "10.0.0.3"), peer(RELAYS[1])]
            realm = REALM
        return settings(name, *peers, realm=realm, routes=routes, **more)

    def begin(self, name: str) -> None:
        place = (*SERVERS, *RELAYS, *CLIENTS).index(name) + 1
        end = self.ends[name] = self.wire.add(self.made(name), f"10.0.0.{place}")
        end.application = lambda deliver: self.serve(end, deliver)
        self.wire.start(end, serve=name not in RELAYS)

    def serve(self, end: Endpoint, deliver: ev.Deliver) -> bytes | None:
        draw = self.chance.random()
        if draw < 0.1:
            return None
        code = 3004 if draw < 0.2 else 2001
        return deliver.message.answer(code, end.identity, REALM)

    def step(self) -> None:
        chance = self.chance
        act = chance.choice(("send",) * 8 + ("wait", "wait", "long", "kill", "cut", "mend", "stop", "late"))
        if act == "send":
            name = chance.choice(CLIENTS)
            if name in self.wire.ends:
                host = chance.choice(("", "", SERVERS[0]))
                made = submit(realm=REALM, host=host, origin_host=name, timeout=chance.choice((3.0, 30.0)))
                self.ends[name].send(made)
                self.wire.run()
        elif act in ("wait", "long"):
            self.wire.wait(chance.choice((0.1, 1.0)) if act == "wait" else 20.0)
        elif act == "cut":
            self.wire.cut.add(frozenset((chance.choice(RELAYS), chance.choice((*SERVERS, *CLIENTS)))))
        elif act == "mend":
            self.wire.cut.clear()
        else:
            self.upset(act)

    def upset(self, act: str) -> None:
        name = self.chance.choice((*SERVERS, *RELAYS))
        end = self.ends[name]
        if act == "late":
            for deliver in end.delivered[-3:]:
                end.feed(ev.Reply(deliver.key, deliver.message.answer(2001, name, REALM)))
            self.wire.run()
            return
        if act == "stop":
            end.feed(ev.Stop())
            self.wire.wait(6)
            assert ev.Stopped() in end.effects
        self.wire.kill(end, quietly=self.chance.random() < 0.3)
        self.wire.wait(self.chance.choice((0.1, 10.0)))
        self.begin(name)

    def check(self) -> None:
        """All is well in the end: whatever was asked has one answer, and the network works again."""
        self.wire.cut.clear()
        self.wire.wait(80)
        for name in CLIENTS:
            end = self.ends[name]
            assert sorted(end.answers) == list(range(1, end.token + 1)), "a request without an answer"
            assert all(len(found) == 1 for found in end.answers.values()), "two answers"
            assert end.core.outbound.count == 0
            assert all(each.usable for each in end.core.table.peers.values())
        for name in RELAYS:
            assert self.ends[name].core.inbound.octets == 0
        for name in SERVERS:
            self.ends[name].application = lambda deliver: deliver.message.answer(2001, SERVERS[0], REALM)
        token = self.ends[CLIENTS[0]].send(submit(realm=REALM, origin_host=CLIENTS[0]))
        self.wire.run()
        (answered,) = self.ends[CLIENTS[0]].answers[token]
        assert answered.message is not None, answered.reason


class NetworkTests(SynchronousTestCase):
    @hypothesis.settings(max_examples=max(10, CASES // 10), deadline=None)
    @given(some.integers(0, 1 << 32), some.integers(1, 60))
    def test_random_network(self, seed: int, steps: int) -> None:
        """Whoever dies and comes back, requests end once, and afterwards all is as before."""
        network = Network(seed)
        network.wire.wait(5)
        for _ in range(steps):
            network.step()
        network.check()
