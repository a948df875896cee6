"""The appliance's own Diameter node as a client: how many requests it brings through (``acr client``)."""

import asyncio
import json
import secrets
import sys
import time
from ipaddress import ip_address
from typing import Any

from appliance.protocols.diameter.driver import DiameterNode
from appliance.protocols.diameter.events import Advertised, Answered, Incoming, Submit
from appliance.protocols.diameter.settings import EndpointSettings, PeerSettings
from appliance.protocols.timers import Now
from scripts.benches.acr import ACR, BASE_ACCOUNTING, CLIENT, REALM, SERVER, records


class Accounting:
    """Makes the node say that it speaks accounting; nobody asks it anything."""

    advertised = (Advertised(BASE_ACCOUNTING, acct=True),)
    realms: frozenset[str] = frozenset()

    def request(self, incoming: Incoming) -> None:
        """Refuse whatever comes all the same."""
        incoming.reply(incoming.message.answer(3007, CLIENT, REALM))


class Phase:
    """``count`` requests with ``window`` of them under way."""

    def __init__(self, node: DiameterNode, count: int, window: int) -> None:
        self._node, self._window = node, window
        self._bodies = list(records(count, time.time_ns() // 1_000_000 & 0xFFFFFFFF))
        self._sent = self._answered = self._failed = 0
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self) -> dict[str, Any]:
        """Returns rate, and how many got no answer."""
        begun, used = time.perf_counter(), time.process_time()
        for _ in range(min(self._window, len(self._bodies))):
            self._send()
        await self._over
        count = len(self._bodies)
        return {
            "rate": count / (time.perf_counter() - begun),
            "cpu_us": 1e6 * (time.process_time() - used) / count,
            "failed": self._failed,
        }

    def _send(self) -> None:
        body = self._bodies[self._sent]
        self._sent += 1
        self._node.send(Submit(ACR, BASE_ACCOUNTING, body, REALM, accounting=True), self._done)

    def _done(self, answered: Answered) -> None:
        self._answered += 1
        self._failed += answered.message is None
        if self._sent < len(self._bodies):
            self._send()
        elif self._answered == len(self._bodies):
            self._over.set_result(None)


def run(address: str, port: int) -> None:
    """Serve phases as standard input asks."""
    from twisted.internet import asyncioreactor

    asyncioreactor.install()
    from twisted.internet import reactor as installed

    reactor: Any = installed
    server = PeerSettings(name=SERVER, addresses=(ip_address(address).packed,), port=port)
    node = DiameterNode(
        EndpointSettings(name="bench", identity=CLIENT, realm=REALM, peers=(server,)),
        reactor=reactor,
        clock=lambda: Now(time.monotonic(), time.time()),
        random_bits=secrets.randbits,
        tell=lambda level, text: print(level, text, file=sys.stderr),
    )

    async def serve() -> None:
        node.serve(Accounting())
        await node.start()
        while not node.usable(REALM, BASE_ACCOUNTING, True):
            await asyncio.sleep(0.01)
        print("ready", flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            count, window = map(int, line.split())
            print(json.dumps(await Phase(node, count, window).run()), flush=True)
        await node.stop()
        reactor.stop()

    tasks: list[Any] = []
    reactor.callWhenRunning(lambda: tasks.append(asyncio.ensure_future(serve())))
    reactor.run()
    for task in tasks:
        task.result()
