"""Diameter node cores for tests: one alone with raw messages, or several wired to each other in memory.

::

    Wire ── address ──▶ Endpoint(DiameterNode) ── effects ──▶ Wire ── events ──▶ the other Endpoint
"""

import random
from collections import deque
from collections.abc import Callable
from typing import Any

from appliance.protocols.diameter.events import Advertised, Answered, Submit
from appliance.protocols.diameter.message.codec import PROXIABLE, REQUEST, Message, frame
from appliance.protocols.diameter.message.dictionary import standard
from appliance.protocols.diameter.node import events as ev
from appliance.protocols.diameter.node.core import DiameterNode
from appliance.protocols.diameter.settings import EndpointSettings, PeerSettings
from appliance.protocols.timers import Now

D = standard()
WALL = 1_795_417_200.0
REALM = "home.example"
ACCT, AUTH = 3, 1


def avp(name: str, value: Any) -> bytes:
    return D[name].encode(value)


def request(
    code: int,
    application: int = 0,
    *avps: bytes,
    hop: int = 1,
    end: int = 1,
    flags: int = REQUEST | PROXIABLE,
) -> bytes:
    """A whole request."""
    return frame(code, application, flags, hop, end, b"".join(avps))


def origin(identity: str, realm: str = REALM) -> bytes:
    return avp("Origin-Host", identity) + avp("Origin-Realm", realm)


def capabilities(
    identity: str,
    realm: str = REALM,
    auth: tuple[int, ...] = (AUTH,),
    acct: tuple[int, ...] = (ACCT,),
    more: bytes = b"",
) -> bytes:
    """The AVPs of a CER, or of a CEA behind Result-Code."""
    return b"".join(
        (
            origin(identity, realm),
            avp("Host-IP-Address", b"\x0a\0\0\1"),
            avp("Vendor-Id", 0),
            avp("Product-Name", "test"),
            *(avp("Auth-Application-Id", number) for number in auth),
            *(avp("Acct-Application-Id", number) for number in acct),
            more,
        )
    )


def cer(identity: str, hop: int = 1, **more: Any) -> bytes:
    return request(257, 0, capabilities(identity, **more), hop=hop, flags=REQUEST)


def cea(identity: str, to: Message, result: int = 2001, **more: Any) -> bytes:
    body = avp("Result-Code", result) + capabilities(identity, **more)
    return frame(257, 0, 0, to.hop_by_hop, to.end_to_end, body)


def dwa(identity: str, to: Message) -> bytes:
    return to.answer(2001, identity, REALM)


def acr_avps(
    session: str = "s;1;1",
    realm: str = REALM,
    host: str = "",
    origin_host: str = "client.home.example",
    number: int = 0,
    more: bytes = b"",
) -> bytes:
    """The AVPs of an Accounting-Request."""
    return b"".join(
        (
            avp("Session-Id", session),
            origin(origin_host),
            avp("Destination-Realm", realm),
            avp("Accounting-Record-Type", 2),
            avp("Accounting-Record-Number", number),
            avp("Acct-Application-Id", ACCT),
            avp("Destination-Host", host) if host else b"",
            more,
        )
    )


def acr(hop: int = 1, end: int = 1, flags: int = REQUEST | PROXIABLE, **more: Any) -> bytes:
    """An Accounting-Request."""
    return request(271, ACCT, acr_avps(**more), hop=hop, end=end, flags=flags)


def submit(session: str = "s;1;1", realm: str = REALM, host: str = "", **more: Any) -> Submit:
    """An Accounting-Request of a local user."""
    origin_host = more.pop("origin_host", "client.home.example")
    body = acr_avps(session, realm, host, origin_host, 0, more.pop("more", b""))
    return Submit(271, ACCT, body, realm, host, accounting=True, **more)


LOCAL = (b"\x0a\0\0\x62",)
SERVED = (Advertised(AUTH, auth=True), Advertised(ACCT, acct=True))


def peer(name: str, address: str | None = None, **more: Any) -> PeerSettings:
    addresses = () if address is None else (bytes(map(int, address.split("."))),)
    return PeerSettings(name=name, addresses=addresses, **more)


def settings(identity: str, *peers: PeerSettings, realm: str = REALM, **more: Any) -> EndpointSettings:
    return EndpointSettings(
        name=identity.partition(".")[0], identity=identity, realm=realm, peers=peers, **more
    )


class Endpoint:
    """One core with what it said; ``application`` answers what is delivered (``None``: later, by hand)."""

    def __init__(self, made: EndpointSettings, seed: int = 1, serve: bool = True, **more: Any) -> None:
        self.core = DiameterNode(made, random.Random(seed).getrandbits, **more)
        self.identity = made.identity
        self.mono = 1000.0
        self.effects: list[Any] = []
        self.delivered: list[ev.Deliver] = []
        self.answers: dict[int, list[Answered]] = {}
        self.token = 0
        self.application: Callable[[ev.Deliver], bytes | None] = lambda deliver: deliver.message.answer(
            2001, self.identity, made.realm
        )
        self.perform: Callable[[Endpoint, Any], None] = lambda endpoint, effect: None
        self.connection = 0
        if serve:
            self.feed(ev.Serve(1, SERVED))
            self.feed(ev.Start())

    @property
    def now(self) -> Now:
        return Now(self.mono, WALL + self.mono)

    def feed(self, event: Any) -> list[Any]:
        self.core.receive(event, self.now)
        return self.settle()

    def settle(self) -> list[Any]:
        """Carry out what the core wants; returns it."""
        found = self.core.take()
        self.effects += found
        for effect in found:
            if isinstance(effect, ev.Answer):
                self.answers.setdefault(effect.token, []).append(effect.answered)
            elif isinstance(effect, ev.Deliver):
                self.delivered.append(effect)
            self.perform(self, effect)
        for effect in found:
            if isinstance(effect, ev.Deliver):
                answer = self.application(effect)
                if answer is not None:
                    found += self.feed(ev.Reply(effect.key, answer))
        return found

    def tick(self, seconds: float = 0.0) -> list[Any]:
        """Let time pass, with every tick that the core wants on the way."""
        end = self.mono + seconds
        found: list[Any] = []
        for _ in range(10_000):
            deadline = self.core.deadline
            if deadline is None or deadline > end:
                break
            self.mono = max(self.mono, deadline)
            self.core.tick(self.now)
            found += self.settle()
        else:
            raise AssertionError("the core wants ticks without end")
        self.mono = end
        return found

    def send(self, made: Submit) -> int:
        self.token += 1
        self.feed(ev.Send(self.token, made))
        return self.token

    # With raw messages.

    def accept(self, **more: Any) -> int:
        """A connection from outside; returns its number."""
        self.connection += 2
        more.setdefault("transport", "tcp")
        self.feed(ev.Accepted(self.connection, b"\x0a\0\0\x09", 40_000, **more))
        return self.connection

    def said(self, connection: int, *data: bytes) -> list[Any]:
        return self.feed(ev.Received(connection, list(data)))

    def open_from(self, identity: str, **more: Any) -> int:
        """A peer connects and exchanges capabilities."""
        number = self.accept()
        found = self.said(number, cer(identity, **more))
        assert result(sent(found, number)[0]) == 2001, found
        return number


def sent(effects: list[Any], connection: int | None = None) -> list[Message]:
    """The messages among effects."""
    return [
        Message(each.data)
        for each in effects
        if isinstance(each, ev.Transmit) and connection in (None, each.connection)
    ]


def of(effects: list[Any], kind: type) -> list[Any]:
    return [each for each in effects if isinstance(each, kind)]


def result(message: Message) -> int:
    found: int = message.first(D["Result-Code"])
    return found


class Wire:
    """Several endpoints that reach each other by address."""

    def __init__(self) -> None:
        self.ends: dict[str, Endpoint] = {}
        self.listening: dict[bytes, str] = {}
        self.pairs: dict[tuple[str, int], tuple[str, int]] = {}
        self.securing: set[tuple[str, int]] = set()
        self.cut: set[frozenset[str]] = set()
        self.queue: deque[tuple[str, Any]] = deque()
        self.log: list[tuple[str, Any]] = []
        self._seed = 0

    def add(self, made: EndpointSettings, address: str | None = None, **more: Any) -> Endpoint:
        self._seed += 1
        end = Endpoint(made, self._seed, serve=False, **more)
        end.perform = self.perform
        if self.ends:
            end.mono = next(iter(self.ends.values())).mono
        self.ends[made.identity] = end
        if address is not None:
            self.listening[bytes(map(int, address.split(".")))] = made.identity
        return end

    def start(self, *ends: Endpoint, serve: bool = True) -> None:
        for end in ends or tuple(self.ends.values()):
            if serve:
                end.feed(ev.Serve(1, SERVED))
            end.feed(ev.Start())
        self.run()

    def kill(self, end: Endpoint, quietly: bool = False) -> None:
        """The process is gone; quietly: nobody notices."""
        del self.ends[end.identity]
        self.listening = {key: name for key, name in self.listening.items() if name != end.identity}
        for key in [key for key in self.pairs if key[0] == end.identity]:
            other = self.pairs.pop(key)
            self.pairs.pop(other, None)
            if not quietly:
                self.queue.append((other[0], ev.Disconnected(other[1], "reset")))
        if not quietly:
            self.run()

    def perform(self, end: Endpoint, effect: Any) -> None:
        here = end.identity
        self.log.append((here, effect))
        if isinstance(effect, ev.Connect):
            self._connect(end, effect)
        elif isinstance(effect, ev.Transmit):
            other = self.pairs.get((here, effect.connection))
            if other is not None and frozenset((here, other[0])) not in self.cut:
                self.queue.append((other[0], ev.Received(other[1], [effect.data])))
        elif isinstance(effect, ev.Close):
            other = self.pairs.pop((here, effect.connection), None)
            if other is not None:
                self.pairs.pop(other, None)
                self.queue.append((other[0], ev.Disconnected(other[1])))
        elif isinstance(effect, ev.Secure):
            self._secure(here, effect.connection)

    def _connect(self, end: Endpoint, effect: ev.Connect) -> None:
        name = self.listening.get(effect.addresses[0])
        target = self.ends.get(name) if name is not None else None
        if target is None:
            self.queue.append((end.identity, ev.ConnectFailed(effect.connection, "refused")))
            return
        target.connection += 2
        number = target.connection
        self.pairs[end.identity, effect.connection] = (target.identity, number)
        self.pairs[target.identity, number] = (end.identity, effect.connection)
        secure = effect.transport in ("tls", "dtls")
        remote = effect.addresses[0]
        self.queue.append(
            (
                end.identity,
                ev.Connected(effect.connection, remote, 3868, LOCAL, (target.identity,) if secure else None),
            )
        )
        transport = effect.transport if secure else "tcp"
        accepted = ev.Accepted(
            number, b"\x0a\0\0\x63", 40_000, transport, LOCAL, (end.identity,) if secure else None
        )
        self.queue.append((target.identity, accepted))

    def _secure(self, here: str, number: int) -> None:
        other = self.pairs.get((here, number))
        if other is None:
            return
        self.securing.add((here, number))
        if other in self.securing:
            self.queue.append((here, ev.Secured(number, (other[0],))))
            self.queue.append((other[0], ev.Secured(other[1], (here,))))

    def run(self, limit: int = 100_000) -> None:
        """Until nothing is on its way."""
        for _ in range(limit):
            if not self.queue:
                return
            name, event = self.queue.popleft()
            end = self.ends.get(name)
            if end is not None:
                end.feed(event)
        raise AssertionError("messages without end")

    def wait(self, seconds: float) -> None:
        """Let time pass for all, in small steps."""
        end = min(each.mono for each in self.ends.values()) + seconds
        while True:
            self.run()
            times = [each.core.deadline for each in self.ends.values()]
            due = min((when for when in times if when is not None), default=end)
            step = min(max(due, min(each.mono for each in self.ends.values())), end)
            for each in list(self.ends.values()):
                each.mono = max(each.mono, step)
                deadline = each.core.deadline
                if deadline is not None and deadline <= each.mono:
                    each.core.tick(each.now)
                    each.settle()
            self.run()
            if step >= end:
                return

    def state(self, end: Endpoint, name: str) -> str:
        found = end.core.table.get(name)
        return "gone" if found is None else found.state
