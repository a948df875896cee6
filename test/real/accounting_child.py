"""An accounting client in a process of its own, with its spool on a disk of its own.

``python -m test.real.accounting_child JSON`` obeys lines of its standard input, and answers each with a JSON
line. The JSON names ``folder`` (of the spool), ``port`` (of the server on loopback) and settings of the AAA
group. The lines: ``start``, ``refresh`` or ``stop`` with the first and the last of some mobile nodes;
``fill`` and ``free`` (the disk); ``state``; ``end``.
"""

import asyncio
import json
import os
import secrets
import sys
from pathlib import Path
from typing import Any

from twisted.internet import asyncioreactor

asyncioreactor.install()

from appliance.protocols.diameter.client.accounting_driver import AccountingDriver  # noqa: E402
from appliance.protocols.diameter.driver import DiameterNode  # noqa: E402
from appliance.protocols.diameter.settings import (  # noqa: E402
    EndpointSettings,
    GroupSettings,
    PeerSettings,
    RouteSettings,
    ServerGroup,
)
from appliance.protocols.mobility.aaa import Account, SessionEnds, Usage  # noqa: E402
from test.protocols.diameter.accounting_fakes import subject  # noqa: E402
from test.real.diameter_case import REALM, Accountant, clock  # noqa: E402

LOOPBACK = b"\x7f\0\0\1"
#: Octets of one write when the disk is filled.
CHUNK = 512


class Child:
    """The node, the client, and what is said to it."""

    def __init__(self, wanted: dict[str, Any]) -> None:
        from twisted.internet import reactor

        self.folder = Path(wanted.pop("folder"))
        peer = PeerSettings(name=f"server.{REALM}", addresses=(LOOPBACK,), port=wanted.pop("port"))
        self.node = DiameterNode(
            EndpointSettings(
                name="client",
                identity=f"client.{REALM}",
                realm=REALM,
                addresses=(LOOPBACK,),
                peers=(peer,),
                routes=(RouteSettings(realm=REALM, peer=peer.name),),
                retry_timeout=1,
            ),
            reactor=reactor,
            clock=clock,
            random_bits=secrets.randbits,
            tell=lambda level, text: None,
        )
        self.node.serve(Accountant(self.node.identity, REALM, frozenset({"nobody"})))
        self.said: list[str] = []
        self.ended: list[int] = []
        self.driver = AccountingDriver(
            reactor,
            clock,
            GroupSettings(
                name="g",
                accounting=ServerGroup(endpoint="client", realm=REALM, request_timeout=2, max_retries=0),
                interim_on_refresh=True,
                sub_sessions=False,
                **wanted,
            ),
            self.node,
            self.folder / "spool",
            lambda call_id: Usage(call_id, 1, 2, 3),
            self._ends,
            lambda effect: self.said.append(f"{effect.level}: {effect.text}"),
            secrets.randbits,
        )

    def _ends(self, effect: SessionEnds) -> None:
        self.ended.append(effect.call_id)

    async def obey(self, line: str) -> dict[str, Any]:
        """Do what a line says."""
        word, *numbers = line.split()
        if word in ("start", "refresh", "stop"):
            first, last = map(int, numbers)
            for number in range(first, last + 1):
                self.driver.account(Account(what=word, subject=subject(number), cause=1))
        elif word == "fill":
            descriptor = os.open(self.folder / "filling", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            try:
                while os.write(descriptor, bytes(CHUNK)) == CHUNK:
                    pass
            except OSError:
                os.close(descriptor)
        elif word == "free":
            (self.folder / "filling").unlink()
        statistics = self.driver.statistics()
        return {
            "waiting": statistics.waiting,
            "memory": statistics.in_memory_only,
            "flying": statistics.under_way,
            "settled": not self.driver.store.unsettled,
            "left": statistics.left_behind,
            "counted": statistics.counted,
            "said": self.said,
            "ended": self.ended,
            "corrupt": len(list((self.folder / "spool").glob("*.corrupt"))),
        }

    async def run(self) -> None:
        """Obey until the input ends."""
        loop = asyncio.get_running_loop()
        await self.node.start()
        await self.driver.start().asFuture(loop)
        while line := (await loop.run_in_executor(None, sys.stdin.readline)).strip():
            if line == "end":
                await self.driver.stop().asFuture(loop)
            print(json.dumps(await self.obey(line)), flush=True)


def main() -> None:
    """Run until the input ends or something goes wrong."""
    from twisted.internet import reactor

    status = 1

    async def guarded() -> None:
        nonlocal status
        try:
            await Child(json.loads(sys.argv[1])).run()
            status = 0
        except Exception as error:  # noqa: BLE001 - told, and the status says so
            print(f"error: {error!r}", file=sys.stderr, flush=True)
        finally:
            reactor.stop()  # type: ignore[attr-defined]

    reactor.callWhenRunning(lambda: asyncio.ensure_future(guarded()))  # type: ignore[attr-defined]
    reactor.run()  # type: ignore[attr-defined]
    sys.exit(status)


if __name__ == "__main__":
    main()
