"""Two Diameter endpoints over loopback, an AAA server with SQLite behind one of them, and a shell.

Everything is the real thing, but for the system around it.
"""

import asyncio
import concurrent.futures
import socket
import threading
from collections.abc import Callable, Coroutine
from typing import Any
from unittest import SkipTest

from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.python import threadable

from appliance.aaa_desk import AaaDesk
from appliance.aaa_port import AaaClient, AaaViews
from appliance.aaa_service import AaaService
from appliance.aaa_tester import AaaTester
from appliance.cli.shell import Shell
from appliance.config import Configuration, load
from appliance.diameter_service import DiameterService
from appliance.files import Export
from appliance.protocols.diameter.client.auth_sessions import SessionIds
from appliance.protocols.diameter.client.counted import CountedNode, Exchanges
from appliance.protocols.diameter.events import Advertised, Answered, Incoming, Submit
from appliance.protocols.diameter.message.codec import RESULT_CODE, Message
from appliance.protocols.diameter.message.dictionary import standard
from appliance.protocols.timers import Now
from appliance.record import chance
from appliance.tap import Tap
from test.cli.shells import MemorySystem, Recorder, make_shell

_D = standard()

TEXT = """\
config
  system hostname lma1
  context anchor
    diameter endpoint client
      origin realm visited.example
      origin host lma1.visited.example address 127.0.0.1
      peer aaa1.home.example realm home.example address 127.0.0.1 port {port}
      route-entry realm home.example peer aaa1.home.example
      exit
    diameter endpoint server
      origin realm home.example
      origin host aaa1.home.example address 127.0.0.1 port {port} accept-incoming-connections
      peer *.visited.example
      exit
    aaa group home
      diameter authentication endpoint client
      diameter authentication server aaa1.home.example priority 1
      diameter authentication request-timeout 2
      diameter authentication max-retries 0
      diameter accounting endpoint client
      diameter accounting server aaa1.home.example priority 1
      diameter accounting request-timeout 2
      exit
    aaa-server home
      diameter endpoint server
      realm home.example
      user name mn1@home.example
        mn-aaa secret 0x000102030405060708090a0b0c0d0e0f
        home-network-prefix 2001:db8:1:2::/64
        interim-interval 300
        exit
      user name mn2@home.example
        no permission pmipv6
        exit
      exit
    exit
end
"""


def free_port() -> int:
    """A TCP port that nobody has."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", 0))
        except OSError as error:
            raise SkipTest(f"no loopback: {error}") from error
        port: int = probe.getsockname()[1]
        return port


class ClientApplication:
    """What the AAA client of a service serves: the server may end a session."""

    advertised = (Advertised(1, auth=True), Advertised(8, auth=True), Advertised(3, acct=True))
    realms: frozenset[str] = frozenset()

    def request(self, incoming: Incoming) -> None:
        """ASR and RAR are obeyed."""
        incoming.reply(incoming.message.answer(2001, "lma1.visited.example", "visited.example"))


class AaaWorld:
    """Runs in a reactor of its own; the test waits for it from its own thread."""

    def __init__(self, directory: str, text: str = TEXT) -> None:
        self.port = free_port()
        self.configuration: Configuration = load(text.format(port=self.port), "x")
        self._io_thread = threadable.ioThread
        self.loop = asyncio.new_event_loop()
        self.reactor = AsyncioSelectorReactor(self.loop)
        self._thread = threading.Thread(target=self.reactor.run, kwargs={"installSignalHandlers": False})
        self._thread.start()
        self.log: list[str] = []
        self.tap = Tap()
        self.exchanges = Exchanges()
        self.clients: list[AaaClient] = []
        tools: dict[str, Any] = {
            "reactor": self.reactor, "clock": self.clock, "random_bits": chance(7, "aaa"), "tell": self._tell
        }  # fmt: skip
        self.desk = AaaDesk(
            lambda settings: DiameterService(settings, tap=self.tap, **tools),
            lambda settings, node: AaaService(settings, node, state_directory=directory, **tools),
            lambda function: self.reactor.callLater(0, function),
            self._tell,
        )
        self.ids = SessionIds(self.clock().wall)
        bits = tools["random_bits"]
        tester = AaaTester(self.desk.hub, lambda: self.configuration, self.clock, bits, self.ids)
        self.views = AaaViews(
            self.desk, lambda: self.configuration, lambda: self.clients, self.exchanges, tester
        )
        self.system = MemorySystem(text.format(port=self.port))
        self.system.aaa = self.views  # type: ignore[assignment]
        self.system.export_file = self._export  # type: ignore[attr-defined]
        self.shell: Shell = make_shell(self.system)

    def _tell(self, level: str, text: str) -> None:
        self.log.append(f"{level}: {text}")

    def clock(self) -> Now:
        """Both clocks."""
        import time

        return Now(time.monotonic(), time.time())

    async def _export(self, path: str, replace: tuple[str, ...] | None) -> Export:
        file = Export(path, replace)
        await file.begin()
        return file

    def run(self, coroutine: Coroutine[Any, Any, Any], timeout: float = 20.0) -> Any:
        """Run a coroutine in the reactor's loop, and wait for it."""
        try:
            return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(timeout)
        except concurrent.futures.TimeoutError:
            raise AssertionError(f"nothing within {timeout} seconds; log: {self.log}") from None

    def start(self, used: bool = True) -> None:
        """Have everything run; if the client's node is used, wait until the two endpoints are connected."""
        if used:
            # A node without applications has nothing to say to peers.
            self.node(accounting=False).serve(ClientApplication())
        self.run(self.desk.manage(Configuration(), self.configuration))
        if used:
            self.wait(lambda: self.views.endpoints()[0].peers_open == 1)

    def wait(self, ready: Callable[[], bool], timeout: float = 15.0) -> None:
        """Wait until something is so."""

        async def look() -> None:
            while not ready():
                await asyncio.sleep(0.02)

        self.run(look(), timeout)

    def do(self, line: str) -> tuple[int, list[str]]:
        """Type a line; returns its status and what it printed."""
        face = Recorder()
        status = self.run(self.shell.execute(line, face))
        return status, face.written

    def node(self, accounting: bool = True) -> CountedNode:
        """The client's node, as the AAA client of a service has it."""
        return CountedNode(
            self.desk.hub.node("anchor", "client"), self.exchanges, ("anchor", "home", accounting)
        )

    def ask(self, code: int, application: int, *avps: tuple[str, Any]) -> Message:
        """Send a request by the client's node; returns the answer."""
        node = self.node(accounting=code == 271)

        async def send() -> Message:
            ended: asyncio.Future[Answered] = self.loop.create_future()
            body = b"".join(_D[name].encode(value) for name, value in avps)
            submit = Submit(
                code, application, body, "home.example", "aaa1.home.example", 5.0, accounting=code == 271
            )
            node.send(submit, ended.set_result)
            answered = await ended
            assert answered.message is not None, answered.reason
            return answered.message

        answer: Message = self.run(send())
        return answer

    def _head(self, session: str, user: str) -> list[tuple[str, Any]]:
        return [
            ("Session-Id", session), ("Origin-Host", "lma1.visited.example"),
            ("Origin-Realm", "visited.example"), ("Destination-Realm", "home.example"),
            ("Destination-Host", "aaa1.home.example"), ("User-Name", user),
        ]  # fmt: skip

    def authorize(self, user: str) -> str:
        """Have the server open a session; returns its Session-Id."""
        session = self.ids.make("lma1.visited.example")
        rest = (("Auth-Application-Id", 1), ("Auth-Request-Type", 2), ("MIP6-Feature-Vector", 1 << 40))
        agent = _D["MIP-Home-Agent-Address"].encode(bytes(15) + b"\1")
        info = [("MIP6-Agent-Info", [agent, _D["MIP6-Home-Link-Prefix"].encode(bytes(17))])]
        answer = self.ask(265, 1, *self._head(session, user), *rest, *info)
        assert answer.first(RESULT_CODE) == 2001, answer.first(RESULT_CODE)
        return session

    def terminate(self, session: str, user: str) -> None:
        """Tell the server that a session has ended."""
        rest = (("Auth-Application-Id", 1), ("Termination-Cause", 4))
        assert self.ask(275, 1, *self._head(session, user), *rest).first(RESULT_CODE) == 2001

    def account(self, session: str, user: str, kind: int, number: int, seconds: int, octets: int) -> None:
        """Send an accounting record."""
        rest = (
            ("Accounting-Record-Type", kind), ("Accounting-Record-Number", number),
            ("Acct-Application-Id", 3), ("Acct-Session-Time", seconds),
            ("Accounting-Input-Octets", octets), ("Accounting-Output-Octets", 2 * octets),
        )  # fmt: skip
        assert self.ask(271, 3, *self._head(session, user), *rest).first(RESULT_CODE) == 2001

    def stop(self) -> None:
        """End everything."""
        self.run(self.desk.stop())
        self.reactor.callFromThread(self.reactor.stop)
        self._thread.join()
        self.loop.close()
        threadable.ioThread = self._io_thread
