"""Random events and a random network: nothing raises, nothing is answered twice, nothing is lost.

A world of one node under test with four peers, which answer, lie, repeat, close, and are silent; and a local
user and a local application that do as they like. After each step the node's own figures have to agree.
"""

import random
from typing import Any

import hypothesis
from hypothesis import given
from hypothesis import strategies as some
from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.diameter.message.codec import HEADER_SIZE, Malformed, Message
from appliance.protocols.diameter.node import events as ev
from appliance.protocols.diameter.node import peer_states as st
from appliance.protocols.diameter.settings import RouteSettings, TlsSettings
from test.fuzz import CASES
from test.protocols.diameter.node_fakes import (
    REALM,
    D,
    Endpoint,
    acr,
    avp,
    cea,
    cer,
    of,
    origin,
    peer,
    request,
    settings,
    submit,
)

US = "m.home.example"
NAMES = ("a.home.example", "z.home.example", "relay.home.example", "any.wild.example")
FAR = "far.example"


def configured(agent: str, **more: Any) -> Any:
    routes = (
        RouteSettings(realm=FAR, peer=NAMES[0], action="proxy" if agent == "proxy" else "relay"),
        RouteSettings(realm=FAR, peer=NAMES[1], priority=2),
        RouteSettings(realm="redirected.example", peer=NAMES[1], action="redirect"),
    )
    peers = (
        peer(NAMES[0], "10.0.0.1"),
        peer(NAMES[1]),
        peer(NAMES[2], "10.0.0.3", transport="tls-inband"),
        peer("*.wild.example"),
    )
    tls = TlsSettings(certificate="c", private_key="k", authorities="a")
    return settings(
        US, *peers, routes=routes, agent=agent, tls=tls, discovery=True, window=3, request_limit=12, **more
    )


class World:
    """The node and all that happens to it, from one source of chance."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        agent = self.chance.choice(("none", "relay", "proxy", "redirect"))
        self.node = Endpoint(
            configured(agent, watchdog_timeout=self.chance.choice((0, 6))), seed, serve=False
        )
        self.node.application = lambda deliver: None
        self.node.perform = self.perform
        self.open: dict[int, str] = {}
        self.connecting: list[int] = []
        self.closed: set[int] = set()
        self.asked: dict[int, list[bytes]] = {}
        """Requests that the node has sent on a connection."""
        self.sent: dict[tuple[int, int], int] = {}
        """Answers of the node, by connection and Hop-by-Hop Id, still owed to peers."""
        self.lookups: list[ev.Lookup] = []
        self.tokens: set[int] = set()
        self.hop = 0
        self.feed(ev.Serve(1, (ev.Advertised(1, auth=True), ev.Advertised(3, acct=True))))
        self.feed(ev.Start())

    # What the node does.

    def feed(self, event: Any) -> None:
        self.node.feed(event)
        self.check()

    def perform(self, node: Endpoint, effect: Any) -> None:
        if isinstance(effect, ev.Connect):
            assert effect.connection % 2 == 1
            self.connecting.append(effect.connection)
            self.open[effect.connection] = effect.peer
        elif isinstance(effect, ev.Transmit):
            assert effect.connection in self.open, "a message on a closed connection"
            message = Message(effect.data)
            assert len(effect.data) == int.from_bytes(effect.data[1:4], "big")
            if message.is_request or node.core.settings.agent == "none":
                # A relay gives an answer back as it came.
                message.walk()
            if message.is_request:
                self.asked.setdefault(effect.connection, []).append(effect.data)
            else:
                key = (effect.connection, message.hop_by_hop)
                self.sent[key] = self.sent.get(key, 0) - 1
                assert self.sent[key] >= 0, "an answer to nothing"
        elif isinstance(effect, ev.Close):
            assert effect.connection in self.open or effect.connection in self.closed
            self.gone(effect.connection)
        elif isinstance(effect, ev.Lookup):
            self.lookups.append(effect)

    def gone(self, number: int) -> None:
        self.open.pop(number, None)
        if number in self.connecting:
            self.connecting.remove(number)
        self.closed.add(number)
        self.asked.pop(number, None)

    def check(self) -> None:
        """What has to be true at any time."""
        core = self.node.core
        assert set(core.context.links) <= set(self.open), "a connection that is closed"
        waiting = [token for token in self.tokens if token not in self.node.answers]
        assert all(len(found) == 1 for found in self.node.answers.values()), "two answers"
        assert len(waiting) == len(core.outbound._tokens)
        counted = sum(len(each.pending) + len(each.queue) for each in core.table.peers.values())
        assert counted + len(core.outbound.parked) == core.outbound.count, "a request is lost"
        relayed = [each.source for each in self.pending() if each.source is not None]
        assert core.inbound.octets == sum(
            len(each.message.data) + sum(len(copy[2].data) for copy in each.copies or ())
            for each in (*relayed, *core.inbound.open.values())
        )
        for each in core.table.peers.values():
            assert len(each.pending) <= 3
            assert each.usable <= (each.state in st.OPEN)
            assert (each.link is not None) == (each.state in (st.I_OPEN, st.R_OPEN, st.CLOSING))
            assert each.usable or not each.queue
        assert core.context.incoming == sum(not link.initiator for link in core.context.links.values())

    def pending(self) -> list[Any]:
        core = self.node.core
        found = list(core.outbound.parked.values())
        for each in core.table.peers.values():
            found += [*each.pending.values(), *each.queue.values()]
        return found

    # What the world does.

    def step(self) -> None:
        act = self.chance.choice(ACTS)
        getattr(self, act)()

    def a_connection(self) -> int | None:
        return self.chance.choice(sorted(self.open)) if self.open else None

    def accept(self) -> None:
        number = self.node.connection = self.node.connection + 2
        self.open[number] = ""
        names = self.chance.choice((None, None, None, (NAMES[0],), NAMES))
        transport = "tcp" if names is None else "tls"
        self.feed(ev.Accepted(number, b"\x0a\0\0\5", 5, transport, (b"\x0a\0\0\6",), names))

    def connected(self) -> None:
        if self.connecting:
            number = self.connecting.pop(self.chance.randrange(len(self.connecting)))
            if self.chance.random() < 0.2:
                self.gone(number)
                self.feed(ev.ConnectFailed(number, "refused"))
            else:
                self.feed(ev.Connected(number, b"\x0a\0\0\1", 3868, (b"\x0a\0\0\6",)))

    def say(self, number: int, data: bytes) -> None:
        try:
            message = Message(data)
        except Malformed:
            message = None
        if message is not None and message.is_request:
            key = (number, message.hop_by_hop)
            self.sent[key] = self.sent.get(key, 0) + 1
        self.feed(ev.Received(number, [data]))

    def number(self) -> int:
        self.hop += 1
        return self.hop

    def meet(self) -> None:
        """A peer connects and is polite."""
        self.accept()
        number = self.node.connection
        if number not in self.open:
            return
        self.open[number] = name = self.chance.choice(NAMES)
        more = avp("Inband-Security-Id", 1) if name == NAMES[2] else b""
        auth = (1,) if name != NAMES[2] else (0xFFFFFFFF,)
        self.say(number, cer(name, hop=self.number(), auth=auth, more=more))
        if number in self.open and name == NAMES[2]:
            self.feed(ev.Secured(number, NAMES))

    def proof(self) -> None:
        """Peers answer all DWRs that there are, as after a connection was lost."""
        for number in sorted(self.asked):
            for data in list(self.asked.get(number, ())):
                message = Message(data)
                if message.code == 280 and number in self.open:
                    self.asked[number].remove(data)
                    self.say(number, message.answer(2001, self.open[number], REALM))

    def greet(self) -> None:
        number = self.a_connection()
        if number is not None:
            name = self.open[number] or self.chance.choice(NAMES)
            self.open[number] = name
            more = self.chance.choice((b"", avp("Inband-Security-Id", 1)))
            auth = self.chance.choice(((1,), (0xFFFFFFFF,), (99,)))
            self.say(number, cer(name, hop=self.number(), auth=auth, more=more))

    def reply(self) -> None:
        """The peer answers something, well or badly."""
        number = self.chance.choice(sorted(self.asked)) if self.asked else None
        if number is None or not self.asked[number]:
            return
        kept = self.asked[number]
        place = self.chance.randrange(len(kept))
        data = kept[place] if self.chance.random() < 0.1 else kept.pop(place)
        message = Message(data)
        name = self.open[number]
        if message.code == 257:
            code = self.chance.choice((2001, 2001, 2001, 4003, 5010))
            more = self.chance.choice((b"", avp("Inband-Security-Id", 1)))
            self.say(number, cea(name, message, code, more=more))
            return
        result = self.chance.choice((2001, 2001, 2001, 3002, 3004, 3006, 5012))
        extra = []
        if result == 3006:
            host = self.chance.choice((*NAMES, "new.example", US))
            extra = [
                avp("Redirect-Host", f"aaa://{host}:3868"),
                avp("Redirect-Host-Usage", self.chance.randrange(7)),
                avp("Redirect-Max-Cache-Time", 20),
            ]
        if self.chance.random() < 0.2:
            extra.append(_report(self.chance))
        self.say(number, message.answer(result, name or "x.example", REALM, *extra))

    def ask(self) -> None:
        """The peer asks something."""
        number = self.a_connection()
        if number is None:
            return
        name = self.open[number] or NAMES[0]
        chance = self.chance
        flags = chance.choice((0xC0, 0xC0, 0xD0, 0x80, 0xE0))
        if chance.random() < 0.6:
            more = b"".join(
                chance.sample((avp("Route-Record", "x.example"), avp("Route-Record", US), b""), 1)
            )
            data = acr(
                hop=self.number(),
                end=chance.randrange(20),
                flags=flags,
                realm=chance.choice((REALM, FAR, "redirected.example", "unknown.example")),
                host=chance.choice(("", "", US, *NAMES)),
                session=f"s;1;{chance.randrange(3)}",
                origin_host=name,
                more=more,
            )
        else:
            code = chance.choice((280, 282, 257, 274, 9999))
            body = origin(name) + (avp("Disconnect-Cause", chance.randrange(3)) if code == 282 else b"")
            data = request(code, 0, body, hop=self.number(), flags=flags & 0x80)
        self.say(number, data)

    def noise(self) -> None:
        """Octets that are changed at random; the length stays right."""
        number = self.a_connection()
        if number is None:
            return
        kept = self.asked.get(number) or [acr(hop=self.number())]
        data = bytearray(self.chance.choice(kept))
        for _ in range(self.chance.randrange(1, 8)):
            place = self.chance.randrange(4, len(data))
            data[place] = self.chance.randrange(256)
        if self.chance.random() < 0.5:
            data[4] ^= 0x80
        self.say(number, bytes(data))

    def unreadable(self) -> None:
        number = self.a_connection()
        if number is not None:
            head = acr(hop=self.number())[: self.chance.choice((3, HEADER_SIZE))]
            if len(head) == HEADER_SIZE:
                key = (number, self.hop)
                self.sent[key] = self.sent.get(key, 0) + 1
            self.feed(ev.Unreadable(number, 5015, "bad", head))

    def disconnected(self) -> None:
        number = self.a_connection()
        if number is not None and number not in self.connecting:
            self.gone(number)
            self.feed(ev.Disconnected(number, self.chance.choice(("", "reset"))))

    def secured(self) -> None:
        number = self.a_connection()
        if number is not None:
            self.feed(ev.Secured(number, self.chance.choice((NAMES, (), (NAMES[2],)))))

    def congested(self) -> None:
        number = self.a_connection()
        if number is not None:
            self.feed(ev.Congested(number, self.chance.random() < 0.4))

    def stale(self) -> None:
        """Something about a connection that is closed already, or never was."""
        number = self.chance.choice([*sorted(self.closed), 999_998, 999_999])
        event = self.chance.choice((
            ev.Disconnected(number), ev.ConnectFailed(number, "x"), ev.Received(number, [acr()]),
            ev.Secured(number, ()), ev.Connected(number, b"\0\0\0\0", 1), ev.Congested(number, True),
            ev.Unreadable(number, 5015, "x"),
        ))  # fmt: skip
        self.feed(event)

    def send(self) -> None:
        chance = self.chance
        self.node.token += 1
        self.tokens.add(self.node.token)
        made = submit(
            session=f"s;1;{chance.randrange(3)}",
            realm=chance.choice((REALM, FAR, "unknown.example", "")),
            host=chance.choice(("", "", *NAMES)),
            timeout=chance.choice((1.0, 20.0)),
            secure=chance.random() < 0.1,
            repeated=chance.random() < 0.1,
            prefer=chance.choice(((), ((NAMES[1], 1), (NAMES[0], 1)))),
        )
        self.feed(ev.Send(self.node.token, made))

    def cancel(self) -> None:
        if self.tokens:
            self.feed(ev.Cancel(self.chance.choice(sorted(self.tokens))))

    def serve(self) -> None:
        """The application answers one of its requests, perhaps again."""
        if self.node.delivered:
            deliver = self.chance.choice(self.node.delivered)
            if self.chance.random() < 0.8:
                self.node.delivered.remove(deliver)
            self.feed(ev.Reply(deliver.key, deliver.message.answer(2001, US, REALM)))

    def applications(self) -> None:
        if self.chance.random() < 0.5:
            self.feed(ev.Withdraw(self.chance.choice((1, 2))))
        self.feed(
            ev.Serve(self.chance.choice((1, 2)), (ev.Advertised(1, auth=True), ev.Advertised(3, acct=True)))
        )

    def found(self) -> None:
        if not self.lookups:
            return
        lookup = self.lookups.pop(0)
        hosts = self.chance.choice(
            ((), (ev.FoundPeer("new.example", (b"\x0a\0\0\7",), 3868, "tcp"),),
             (ev.FoundPeer(NAMES[0], (), 3868, "tcp"), ev.FoundPeer(US, (b"\1\2\3\4",), 1, "tcp")))
        )  # fmt: skip
        if lookup.application is None and hosts:
            hosts = (ev.FoundPeer(lookup.name, (b"\x0a\0\0\x08",), 3868, "tcp"),)
        self.feed(ev.Found(lookup.name, lookup.application, hosts, self.chance.choice((5.0, 300.0))))

    def command(self) -> None:
        action = self.chance.choice(("disable", "enable", "enable", "disconnect", "connect", "clear"))
        self.feed(ev.Command(action, self.chance.choice((*NAMES, "")), self.chance.randrange(3)))

    def reconfigure(self) -> None:
        made = configured(self.chance.choice(("none", "relay", "proxy", "redirect")))
        if self.chance.random() < 0.5:
            made.peers = made.peers[self.chance.randrange(3) :]
        if self.chance.random() < 0.3:
            made.routes = ()
        made.window = self.chance.choice((1, 3))
        self.feed(ev.Reconfigure(made))

    def wait(self) -> None:
        self.node.tick(self.chance.choice((0.1, 1, 7, 40)))
        self.check()

    def end(self) -> None:
        """The node stops: everybody gets an answer, and it says that it is done."""
        self.feed(ev.Stop())
        self.node.tick(60)
        self.check()
        assert len(of(self.node.effects, ev.Stopped)) == 1
        assert self.tokens == set(self.node.answers), "a request without an answer"
        assert self.node.core.outbound.count == 0


def _report(chance: random.Random) -> bytes:
    inner = (
        D["OC-Sequence-Number"].encode(chance.randrange(50))
        + D["OC-Report-Type"].encode(chance.randrange(3))
        + D["OC-Reduction-Percentage"].encode(chance.choice((0, 50, 100, 101)))
        + D["OC-Validity-Duration"].encode(chance.choice((0, 5, 90_000)))
    )
    return D["OC-OLR"].encode(inner)


ACTS = (
    *("accept", "connected", "connected", "greet", "greet"),
    *("meet", "proof") * 3,
    *("reply",) * 8,
    *("ask",) * 6,
    *("send",) * 6,
    *("serve",) * 4,
    *("noise", "unreadable", "disconnected", "secured", "secured", "congested", "stale", "cancel"),
    *("applications", "found", "found", "command", "reconfigure", "wait", "wait", "wait"),
)


class RandomTests(SynchronousTestCase):
    @hypothesis.settings(max_examples=CASES, deadline=None)
    @given(some.integers(0, 1 << 32), some.integers(1, 400))
    def test_random_world(self, seed: int, steps: int) -> None:
        """Whatever happens in whatever order, each request of a user ends once, and the node can stop."""
        world = World(seed)
        for _ in range(steps):
            world.step()
        world.end()

    @hypothesis.settings(max_examples=CASES, deadline=None)
    @given(some.lists(some.binary(min_size=0, max_size=200), max_size=5), some.booleans())
    def test_garbage(self, bodies: list[bytes], is_open: bool) -> None:
        """Octets of no meaning, behind a header, on a new or an open connection: closed or answered."""
        node = Endpoint(settings(US, peer(NAMES[0])))
        number = node.open_from(NAMES[0]) if is_open else node.accept()
        for body in bodies:
            size = 20 + len(body) + (-len(body) & 3)
            data = (b"\1" + size.to_bytes(3, "big") + body.ljust(size - 4, b"\0"))[:size]
            node.said(number, data.ljust(size, b"\0"))
        node.tick(1)
