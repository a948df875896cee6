"""Diameter nodes on a reactor of their own in a thread, so that a test may wait for them as a peer does."""

import asyncio
import secrets
import socket
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from attrs import evolve
from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.protocols import tls as twisted_tls
from twisted.python import threadable
from twisted.trial.unittest import SynchronousTestCase

from appliance.app import steady
from appliance.protocols.diameter.driver import DiameterNode
from appliance.protocols.diameter.events import Advertised, Answered, Incoming, Submit
from appliance.protocols.diameter.message.codec import frame
from appliance.protocols.diameter.message.dictionary import standard
from appliance.protocols.diameter.node import readouts
from appliance.protocols.diameter.settings import EndpointSettings, Listener, PeerSettings, RouteSettings
from appliance.protocols.diameter.transport.link import packed
from appliance.protocols.timers import Now

D = standard()
ACR, ACCOUNTING, EVENT = 271, 3, 1
SUCCESS = 2001
REALM = "example"


def clock() -> Now:
    """Both clocks."""
    return Now(time.monotonic(), time.time())


def free_port(address: str = "127.0.0.1") -> int:
    """A TCP port that nobody listens on."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        probe.bind((address, 0))
        port: int = probe.getsockname()[1]
        return port


def acr(
    host: str, session: str = "1", realm: str = REALM, destination: str = REALM, filling: int = 0
) -> bytes:
    """The AVPs of an accounting event."""
    return b"".join(
        (
            D["Session-Id"].encode(f"{host};{session}"),
            D["Origin-Host"].encode(host),
            D["Origin-Realm"].encode(realm),
            D["Destination-Realm"].encode(destination),
            D["Accounting-Record-Type"].encode(EVENT),
            D["Accounting-Record-Number"].encode(0),
            D["Acct-Application-Id"].encode(ACCOUNTING),
            *([D["Class"].encode(bytes(filling))] if filling else []),
        )
    )


def cer(host: str, inband: int | None = None) -> bytes:
    """A Capabilities-Exchange-Request."""
    avps = (
        D["Origin-Host"].encode(host),
        D["Origin-Realm"].encode(REALM),
        D["Host-IP-Address"].encode(socket.inet_aton("127.0.0.1")),
        D["Vendor-Id"].encode(0),
        D["Product-Name"].encode("test"),
        *([D["Inband-Security-Id"].encode(inband)] if inband is not None else []),
        D["Acct-Application-Id"].encode(ACCOUNTING),
    )
    return frame(257, 0, 0x80, 1, 1, b"".join(avps))


class Accountant:
    """Answers ACRs, and keeps them."""

    advertised = (Advertised(ACCOUNTING, acct=True),)

    def __init__(self, host: str, realm: str, realms: frozenset[str] = frozenset()) -> None:
        self.host = host
        self.realm = realm
        self.realms = realms
        self.got: list[Incoming] = []
        self.mute = False

    def request(self, incoming: Incoming) -> None:
        """Answer."""
        self.got.append(incoming)
        if not self.mute:
            incoming.reply(self.answer(incoming))

    def answer(self, incoming: Incoming) -> bytes:
        """A good answer."""
        message = incoming.message
        copied = (D["Accounting-Record-Type"], D["Accounting-Record-Number"])
        avps = [each.encode(message.first(each)) for each in copied]
        return message.answer(
            SUCCESS, self.host, self.realm, *avps, D["Acct-Application-Id"].encode(ACCOUNTING)
        )


class NodeCase(SynchronousTestCase):
    """Nodes are made, started, asked and stopped; what they log is in ``lines``."""

    def setUp(self) -> None:
        """A reactor in a thread."""
        io_thread = threadable.ioThread
        self.loop = asyncio.new_event_loop()
        self.reactor = AsyncioSelectorReactor(self.loop)
        steady(self.reactor)
        # What startTLS gathers it sends by the process's reactor, which here is another one.
        self.patch(twisted_tls, "_get_default_clock", lambda: self.reactor)
        self.lines: list[tuple[str, str]] = []
        thread = threading.Thread(target=self.reactor.run, kwargs={"installSignalHandlers": False})
        thread.start()

        def end() -> None:
            self.reactor.callFromThread(self.reactor.stop)
            thread.join()
            self.loop.close()
            threadable.ioThread = io_thread

        self.addCleanup(end)
        self.work = Path(self.mktemp())

    def do(self, work: Coroutine[Any, Any, Any], timeout: float = 20.0) -> Any:
        """Run a coroutine on the reactor's thread, and give what it gives or raises."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout)

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function on the reactor's thread."""

        async def call() -> Any:
            return function(*arguments)

        return self.do(call())

    def wait(self, wanted: Callable[[], Any], seconds: float = 10.0) -> Any:
        """Wait until something is so, and give it."""
        until = time.monotonic() + seconds
        while not (found := self.call(wanted)):
            if time.monotonic() > until:
                self.fail("\n".join(f"{level}: {text}" for level, text in self.lines) or "nothing was logged")
            time.sleep(0.005)
        return found

    def tell(self, level: str, text: str) -> None:
        """Take a log line."""
        self.lines.append((level, text))

    def said(self, *parts: str) -> bool:
        """Whether a log line has all these parts."""
        return any(all(part in text for part in parts) for _, text in self.lines)

    # ---- nodes

    def settings(self, name: str, **more: Any) -> EndpointSettings:
        """Settings of a node whose identity is ``NAME.example``."""
        wanted: dict[str, Any] = {
            "identity": f"{name}.{REALM}",
            "realm": REALM,
            "retry_timeout": 1,
            "dpa_timeout": 1,
        }
        return EndpointSettings(name=name, **{**wanted, **more})

    def node(self, settings: EndpointSettings, *applications: Any, start: bool = True) -> DiameterNode:
        """A node that serves ``applications``; it is stopped after the test."""
        made: DiameterNode = self.call(
            lambda: DiameterNode(
                settings, reactor=self.reactor, clock=clock, random_bits=secrets.randbits, tell=self.tell
            )
        )
        for each in applications:
            self.call(made.serve, each)
        self.addCleanup(lambda: self.do(made.stop()))
        if start:
            self.do(made.start())
        return made

    def pair(
        self,
        transport: str = "tcp",
        address: str = "127.0.0.1",
        *,
        server: dict[str, Any] | None = None,
        client: dict[str, Any] | None = None,
        peer: dict[str, Any] | None = None,
        start: bool = True,
    ) -> tuple[DiameterNode, DiameterNode, Accountant]:
        """A server that listens and a client that connects to it; both are open when this returns."""
        octets, port = packed(address), free_port(address)
        kind = "tcp" if transport == "tls-inband" else transport
        theirs = evolve(
            self.settings("server"),
            addresses=(octets,),
            listeners=(Listener(address=octets, port=port, transport=kind),),
            peers=(PeerSettings(name=f"client.{REALM}", transport=transport),),
        )
        target = PeerSettings(name=f"server.{REALM}", addresses=(octets,), port=port, transport=transport)
        ours = evolve(
            self.settings("client"),
            addresses=(octets,),
            peers=(evolve(target, **(peer or {})),),
            routes=(RouteSettings(realm=REALM, peer=target.name),),
        )
        theirs, ours = evolve(theirs, **(server or {})), evolve(ours, **(client or {}))
        accountant = Accountant(theirs.identity, REALM)
        serves = self.node(theirs, accountant)
        asks = self.node(ours, Accountant(ours.identity, REALM, frozenset({"nobody"})), start=start)
        if start:
            self.wait(lambda: asks.usable(REALM, ACCOUNTING, True))
        return serves, asks, accountant

    def ask(self, node: DiameterNode, submit: Submit | None = None, timeout: float = 20.0) -> Answered:
        """Send a request and wait for its end."""

        async def ask() -> Answered:
            future: asyncio.Future[Answered] = self.loop.create_future()
            node.send(
                submit or Submit(ACR, ACCOUNTING, acr(node.identity), REALM, accounting=True),
                future.set_result,
            )
            return await future

        answered: Answered = self.do(ask(), timeout)
        return answered

    def assert_success(self, answered: Answered) -> None:
        """The answer says success."""
        self.assertIsNotNone(answered.message, answered.reason)
        assert answered.message is not None
        self.assertEqual(answered.message.first(D["Result-Code"]), SUCCESS)

    def view(self, node: DiameterNode, peer: str) -> readouts.PeerView:
        """What a node shows of a peer."""
        found = [
            each for each in self.call(lambda: list(readouts.peers(node.core, clock()))) if each.name == peer
        ]
        self.assertEqual(len(found), 1)
        return found[0]
