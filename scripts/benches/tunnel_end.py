"""One end of a tunnel alone in a process: the engine with hand-made sessions, no signalling.

``python tunnel_end.py '{"role": "lma", "local": ..., ...}'``: prints ``ready``, then answers each line on
stdin with one line of JSON (counters, drops, usage of the first session); ends when stdin does.
"""

import asyncio
import json
import sys
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from twisted.internet import asyncioreactor

_LOOP = asyncio.new_event_loop()
asyncio.set_event_loop(_LOOP)
asyncioreactor.install(_LOOP)

from twisted.internet import reactor, stdio  # noqa: E402
from twisted.protocols.basic import LineReceiver  # noqa: E402

from appliance.counters import LMA, MAG, CounterSet  # noqa: E402
from appliance.errors import ApplianceError  # noqa: E402
from appliance.protocols.pmipv6.events import Install  # noqa: E402
from appliance.tun.device import System  # noqa: E402
from appliance.tun.engine import Engine  # noqa: E402
from appliance.tun.kernel import Kernel  # noqa: E402


def packed(text: str | None) -> bytes | None:
    """An address as octets; nothing stays nothing."""
    return ip_address(text).packed if text else None


def install_of(entry: dict[str, Any]) -> Install:
    """The effect that a session's description stands for."""
    prefixes = tuple(
        (network.network_address.packed, network.prefixlen)
        for network in map(ip_network, entry.get("prefixes", ()))
    )
    return Install(
        entry["call_id"],
        prefixes,
        packed(entry.get("ipv4")),
        packed(entry["local"]) or b"",
        packed(entry["peer"]) or b"",
        entry.get("gre", False),
        entry.get("send_key"),
        entry.get("receive_key"),
        entry.get("udp", False),
        entry.get("interface", ""),
        bytes.fromhex(entry.get("link_layer", "")),
        packed(entry.get("ipv4_router")),
        entry.get("tlv", False),
    )


class Control(LineReceiver):
    """Answers every line with the state of the engine."""

    delimiter = b"\n"

    def __init__(self, engine: Engine, counters: CounterSet) -> None:
        self.engine = engine
        self.counters = counters

    def lineReceived(self, line: bytes) -> None:
        """Any line asks for the state."""
        rows = self.counters.table.rows
        values = {row.key: self.counters.value(i) for i, row in enumerate(rows) if self.counters.value(i)}
        usage = {call_id: self.engine.usage(call_id) for call_id in self.engine.forwarding.sessions}
        mtu = [path.mtu for path in self.engine.forwarding.paths.values()]
        answer = {"counters": values, "drops": self.engine.drops(), "usage": usage, "path_mtu": mtu}
        self.sendLine(json.dumps(answer).encode())

    def connectionLost(self, reason: object = None) -> None:
        """Standard input ended: so do we."""
        reactor.stop()


async def run(settings: dict[str, Any]) -> None:
    """Start the engine and, for an anchor, lead the pools to its TUN device."""
    counters = CounterSet(LMA if settings["role"] == "lma" else MAG)
    engine = Engine(
        reactor,
        System(),
        counters,
        packed(settings["local"]) or b"",
        packed(settings.get("local_ipv4")),
        settings.get("path_mtu", 1500),
        settings.get("traffic_class"),
        settings.get("tun"),
        settings["role"],
        lambda interface, frame: None,
        lambda interface, link_layer: None,
        settings.get("local_routing", False),
    )
    engine.start()
    reactor.addSystemEventTrigger("before", "shutdown", engine.stop)
    if settings.get("state"):
        kernel = Kernel(settings["state"])
        await kernel.start()
        await kernel.recover()
        for address, length, device in settings.get("addresses", ()):
            await kernel.add_address(device, packed(address) or b"", length)
        for pool in map(ip_network, settings.get("pools", ())):
            await kernel.add_route(pool.network_address.packed, pool.prefixlen, settings["tun"])
    for interface in settings.get("links", ()):
        engine.add_link(interface)
    for entry in settings.get("sessions", ()):
        engine.install(install_of(entry))
    stdio.StandardIO(Control(engine, counters))
    print("ready", flush=True)


def main() -> None:
    """Run until standard input ends."""
    settings = json.loads(sys.argv[1])

    def done(task: "asyncio.Task[None]") -> None:
        error = task.exception()
        if error is not None:
            print(error if isinstance(error, ApplianceError) else repr(error), file=sys.stderr, flush=True)
            reactor.stop()

    reactor.callWhenRunning(lambda: _LOOP.create_task(run(settings)).add_done_callback(done))
    if len(sys.argv) > 2:
        import cProfile

        profile = cProfile.Profile()
        profile.runcall(reactor.run)
        profile.dump_stats(sys.argv[2])
    else:
        reactor.run()


if __name__ == "__main__":
    main()
