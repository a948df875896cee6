"""A Mobile AAA server in a process of its own: ``python -m test.real.aaa_child PORT STATE-DIRECTORY [JSON]``.

JSON: fields of its settings. It says ``ready`` on standard output, and then what operators are told.
"""

import asyncio
import json
import os
import secrets
import sys
import threading
import time
from typing import Any

from twisted.internet import asyncioreactor

asyncioreactor.install()

from twisted.internet import defer  # noqa: E402
from twisted.internet import reactor as installed  # noqa: E402

from appliance.aaa.settings import AaaServerSettings, Realm, TextLog, User  # noqa: E402
from appliance.aaa_service import AaaService  # noqa: E402
from appliance.protocols.diameter.driver import DiameterNode  # noqa: E402
from appliance.protocols.diameter.settings import (  # noqa: E402
    EndpointSettings,
    Listener,
    PeerSettings,
)
from appliance.protocols.timers import Now  # noqa: E402

reactor: Any = installed
REALM = "home.example"


def say(level: str, text: str) -> None:
    """Tell the test."""
    print(f"{level}: {text}", flush=True)


async def serve(port: int, state: str, fields: dict[str, Any]) -> None:
    """Serve until the process is ended."""
    tools: dict[str, Any] = {
        "reactor": reactor,
        "clock": lambda: Now(time.monotonic(), time.time()),
        "random_bits": secrets.randbits,
        "tell": say,
    }
    address = bytes((127, 0, 0, 1))
    node = DiameterNode(
        EndpointSettings(
            name="server",
            identity=f"aaa1.{REALM}",
            realm=REALM,
            addresses=(address,),
            listeners=(Listener(address=address, port=port),),
            peers=(PeerSettings(name=f"*.{REALM}"),),
        ),
        **tools,
    )
    log = fields.pop("text_log", None)
    settings = AaaServerSettings(
        name="mobile",
        endpoint="server",
        realms=(Realm(name=REALM),),
        users=(User(nai=f"*@{REALM}"),),
        text_log=None if log is None else TextLog(**log),
        **fields,
    )
    service = AaaService(settings, node, state_directory=state, **tools)
    await service.start()
    await node.start()
    print("ready", flush=True)


def main() -> None:
    """Run it."""
    port, state, *rest = sys.argv[1:]
    fields = json.loads(rest[0]) if rest else {}

    def begin() -> None:
        task = asyncio.get_running_loop().create_task(serve(int(port), state, fields))

        def failed(failure: Any) -> None:
            failure.printTraceback()
            reactor.stop()

        defer.Deferred.fromFuture(task).addErrback(failed)

    def orphaned() -> None:
        sys.stdin.read()
        os._exit(0)

    # It must not outlive a test that is killed.
    threading.Thread(target=orphaned, daemon=True).start()
    reactor.callWhenRunning(lambda: reactor.callLater(0, begin))
    reactor.run()


if __name__ == "__main__":
    main()
