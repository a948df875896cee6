"""A Diameter node in a process of its own, for tests with namespaces.

``python -m test.real.diameter_child serve JSON`` listens until its standard input ends; ``ask JSON``
connects, sends ``count`` requests with ``window`` of them on the way, and prints one JSON line. The JSON
names ``identity``, ``peer`` (identity), ``addresses`` (our own), ``remote`` (of the peer), ``port``,
``transport``, ``udp_port``, and for ``ask`` also ``count``, ``window`` and ``pause`` (seconds between the two
halves).
"""

import asyncio
import json
import secrets
import sys
import time
from typing import Any

from twisted.internet import asyncioreactor

asyncioreactor.install()

from appliance.protocols.diameter.driver import DiameterNode  # noqa: E402
from appliance.protocols.diameter.events import Submit  # noqa: E402
from appliance.protocols.diameter.settings import (  # noqa: E402
    EndpointSettings,
    Listener,
    PeerSettings,
    RouteSettings,
)
from appliance.protocols.diameter.transport.link import packed  # noqa: E402
from test.real.diameter_case import ACCOUNTING, ACR, REALM, Accountant, D, acr, clock  # noqa: E402

WAIT = 20.0


def tell(level: str, text: str) -> None:
    """Log lines go to standard error."""
    print(f"{level}: {text}", file=sys.stderr, flush=True)


def make(wanted: dict[str, Any], listens: bool) -> DiameterNode:
    """The node."""
    from twisted.internet import reactor

    own = tuple(packed(each) for each in wanted["addresses"])
    port, transport = wanted["port"], wanted["transport"]
    listeners = tuple(Listener(address=each, port=port, transport=transport) for each in own)
    peer = PeerSettings(
        name=wanted["peer"],
        addresses=() if listens else tuple(packed(each) for each in wanted["remote"]),
        port=port,
        transport=transport,
    )
    settings = EndpointSettings(
        name=wanted["identity"].partition(".")[0],
        identity=wanted["identity"],
        realm=REALM,
        addresses=own,
        listeners=listeners if listens else (),
        peers=(peer,),
        routes=(RouteSettings(realm=REALM, peer=peer.name),),
        sctp_udp_port=wanted.get("udp_port", 0),
        retry_timeout=1,
        dpa_timeout=1,
    )
    return DiameterNode(settings, reactor=reactor, clock=clock, random_bits=secrets.randbits, tell=tell)


async def serve(wanted: dict[str, Any]) -> None:
    """Answer until nobody wants us any more."""
    node = make(wanted, True)
    accountant = Accountant(node.identity, REALM)
    node.serve(accountant)
    await node.start()
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await node.stop()
    print(json.dumps({"served": len(accountant.got)}), flush=True)


async def ask(wanted: dict[str, Any]) -> None:
    """Send the requests."""
    node = make(wanted, False)
    node.serve(Accountant(node.identity, REALM, frozenset({"nobody"})))
    came = asyncio.Event()
    node.on_usable(came.set)
    await node.start()
    if not node.usable(REALM, ACCOUNTING, True):
        await asyncio.wait_for(came.wait(), WAIT)
    submit = Submit(ACR, ACCOUNTING, acr(node.identity), REALM, accounting=True, timeout=60)
    [connection] = list(node.connections._all)
    began = time.monotonic()
    good = await burst(node, submit, wanted["count"] // 2, wanted["window"])
    if wanted.get("pause"):
        print("half", flush=True)
        await asyncio.sleep(wanted["pause"])
    good += await burst(node, submit, wanted["count"] - wanted["count"] // 2, wanted["window"])
    seconds = time.monotonic() - began
    said = {
        "good": good,
        "seconds": round(seconds, 3),
        "local": len(connection.local),
        "connected": node.connections.counters.connected,
    }
    await node.stop()
    print(json.dumps(said), flush=True)


async def burst(node: DiameterNode, submit: Submit, count: int, window: int) -> int:
    """So many requests; how many were answered with success."""
    places = asyncio.Semaphore(window)
    results: list[bool] = []
    done = asyncio.Event()

    def answered(got: Any) -> None:
        results.append(got.message is not None and got.message.first(D["Result-Code"]) == 2001)
        places.release()
        if len(results) == count:
            done.set()

    for _ in range(count):
        await places.acquire()
        node.send(submit, answered)
    if count:
        await asyncio.wait_for(done.wait(), 60)
    return sum(results)


def main() -> None:
    """Run what the command line says."""
    from twisted.internet import reactor

    role, text = sys.argv[1:]
    status = 1

    async def guarded() -> None:
        nonlocal status
        try:
            await {"serve": serve, "ask": ask}[role](json.loads(text))
            status = 0
        except Exception as error:  # noqa: BLE001 - told, and the status says so
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        reactor.stop()  # type: ignore[attr-defined]

    reactor.callWhenRunning(lambda: asyncio.ensure_future(guarded()))  # type: ignore[attr-defined]
    reactor.run()  # type: ignore[attr-defined]
    sys.exit(status)


if __name__ == "__main__":
    main()
