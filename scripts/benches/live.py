"""Many live sessions behind many gateways: refreshes when they are due, heartbeats both ways.

The second half of ``scripts/bench handoff``. All gateways are one process with a range of addresses
(``python -m scripts.benches.live ...`` in the namespace of one); measured is how late the anchor's loop gets.
"""

import gc
import json
import select
import socket
import struct
import subprocess
import sys
import time
from array import array
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from appliance.lag import INTERVAL, LagMeter
from scripts.benches.cli import lag
from scripts.benches.operator import Script
from scripts.benches.pbu import BINDING_ACKNOWLEDGEMENT, IPPROTO_MH, LINK_LAYER, UNCHANGED, Generator
from scripts.counting import wire
from scripts.counting.stages import FEATURES, FEATURES_CONTEXT, anchor
from scripts.labnet import LMA_ADDRESS, MAG_ADDRESSES, Lab, LabError
from scripts.labrun import Appliance, environment

#: Addresses of the gateways: one network, on the cable of the first gateway.
GATEWAYS = "2001:db8:fffe::"
#: Lifetime of a session, the part of it after which gateways refresh, and seconds between heartbeats.
LIFETIME, REFRESHED, HEARTBEAT = 600, 0.75, 30.0
RESPONSE = 1
#: Absent from the socket module; value of <linux/in6.h>.
IPV6_FREEBIND = 78
RECEIVED_FROM = struct.Struct("=16si")
CEILING = 20.0


class Spread:
    """A raw socket that sends each message from the gateway whose mobile node it is about."""

    def __init__(self, target: str, gateways: int) -> None:
        self.socket = socket.socket(socket.AF_INET6, socket.SOCK_RAW, IPPROTO_MH)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        # The addresses are those of a local route, and of no device.
        self.socket.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
        # Not connected: that would choose one address, also to be heard at.
        self.target = (target, 0)
        # Not settimeout(): with it Python would wait in recv() even under MSG_DONTWAIT.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 3, 0))
        head = ip_address(GATEWAYS).packed
        self.sources = [
            [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, head[:14] + number.to_bytes(2, "big") + bytes(4))]
            for number in range(1, gateways + 1)
        ]
        self.recv = self.socket.recv

    def send(self, message: bytearray) -> None:
        """Send an update from its gateway."""
        number = int.from_bytes(message[LINK_LAYER], "big")
        self.socket.sendmsg([message], self.sources[number % len(self.sources)], 0, self.target)


class Crowd(Generator):
    """The load generator of ``pbu`` with many gateways."""

    def __init__(self, target: str, gateways: int, window: int) -> None:
        super().__init__("::", target, window)
        self.socket.close()
        self.spread = Spread(target, gateways)
        self.socket: Any = self.spread

    def live(self, seconds: float) -> dict[str, float]:
        """Refresh everybody when it is time, send heartbeats and answer them; what came back."""
        sessions, gateways = len(self.prefixes), len(self.spread.sources)
        every, beats = LIFETIME * REFRESHED / sessions, HEARTBEAT / gateways
        sent_at = array("d", bytes(8 * 65536))
        latencies = array("d")
        seen = dict.fromkeys(("refreshes", "refused", "heartbeats_sent", "heartbeats_answered", "asked"), 0)
        begun = time.perf_counter()
        number = beat = 0
        while (now := time.perf_counter() - begun) < seconds:
            while number * every <= now:
                sequence = number & 0xFFFF
                sent_at[sequence] = time.perf_counter()
                self.spread.send(self.build(number % sessions, sequence, LIFETIME // 4, UNCHANGED))
                number += 1
            while beat * beats <= now:
                self._heartbeat(beat % gateways, 0, beat)
                seen["heartbeats_sent"] += 1
                beat += 1
            time.sleep(0.001)
            self._hear(seen, sent_at, latencies)
        time.sleep(0.3)
        self._hear(seen, sent_at, latencies)
        ordered = sorted(latencies)
        return {
            **seen,
            "refreshes_sent": number,
            "p50_ms": ordered[len(ordered) // 2] * 1000,
            "p99_ms": ordered[len(ordered) * 99 // 100] * 1000,
        }

    def _heartbeat(self, gateway: int, flags: int, sequence: int) -> None:
        options = [(28, b"\0\0\0\1")] if flags else []
        mh = wire.message(wire.HEARTBEAT, struct.pack(">HI", flags, sequence), options)
        self.spread.socket.sendmsg([mh], self.spread.sources[gateway], 0, self.spread.target)

    def _hear(self, seen: dict[str, int], sent_at: "array[float]", latencies: "array[float]") -> None:
        while True:
            try:
                data, controls, _, _ = self.spread.socket.recvmsg(2048, 64, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            if data[2] == BINDING_ACKNOWLEDGEMENT:
                seen["refused" if data[6] >= 128 else "refreshes"] += 1
                latencies.append(time.perf_counter() - sent_at[int.from_bytes(data[8:10], "big")])
            elif data[2] == wire.HEARTBEAT:
                flags, sequence = struct.unpack_from(">HI", data, 6)
                if flags & RESPONSE:
                    seen["heartbeats_answered"] += 1
                    continue
                seen["asked"] += 1
                ours, _ = RECEIVED_FROM.unpack(controls[0][2])
                self._heartbeat(int.from_bytes(ours[14:], "big") - 1, RESPONSE, sequence)


def serve(arguments: Sequence[str]) -> None:
    """Attach and be live as standard input asks: ``KIND NUMBER``, one JSON object per answer."""
    crowd = Crowd(arguments[0], int(arguments[1]), 64)
    gc.disable()
    for line in sys.stdin:
        kind, number = line.split()
        found: dict[str, Any]
        try:
            found = (
                crowd.phase(int(number), LIFETIME // 4, 1) if kind == "attach" else crowd.live(float(number))
            )
        except (TimeoutError, OSError) as failure:
            found = {"error": f"{kind}: {failure or 'no answer'}"}
        print(json.dumps(found), flush=True)


def idle() -> None:
    """The yardstick: how late a process is that only beats as the anchor's loop does, until it is asked."""
    meter = LagMeter(time.monotonic())
    while not select.select([sys.stdin], [], [], INTERVAL)[0]:
        meter.beat(time.monotonic())
    print(1000 * meter.record, flush=True)


def measure(lab: Lab, work: Path, sessions: int, gateways: int, seconds: float) -> dict[str, float]:
    """The figures of an anchor with many live sessions; the laboratory is up."""
    config = work / "live.conf"
    service = ("reg-lifetime 3600", f"mag-peer {GATEWAYS}/64", *FEATURES)
    context = ("ipv6 pool MORE prefix 2001:db8:8000::/40", *FEATURES_CONTEXT)
    config.write_text(anchor(service, context))
    node = Appliance(lab, "lma", config, work, name="live")
    lab.ip("lma", f"route replace {GATEWAYS}/64 via {MAG_ADDRESSES['mag1']}")
    lab.ip("mag1", f"route replace local {GATEWAYS}/64 dev lo")
    crowd = lab.popen(
        "mag1", sys.executable, "-m", "scripts.benches.live", LMA_ADDRESS, str(gateways),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(),
    )  # fmt: skip

    def ask(line: str) -> dict[str, Any]:
        assert crowd.stdin is not None and crowd.stdout is not None
        crowd.stdin.write(line + "\n")
        crowd.stdin.flush()
        found: dict[str, Any] = json.loads(crowd.stdout.readline() or '{"error": "the gateways died"}')
        if "error" in found or found.get("refused"):
            raise LabError(str(found))
        return found

    beating: subprocess.Popen[str] | None = None
    try:
        node.start()
        node.wait_ready()
        attached = ask(f"attach {sessions}")
        script = Script(str(node.socket))
        beating = lab.popen(
            "lma", sys.executable, "-m", "scripts.benches.live", "idle",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(),
        )  # fmt: skip
        time.sleep(1.0)
        lag(script)
        live = ask(f"live {seconds}")
        worst = lag(script)
        idle_lag = float(beating.communicate("now\n")[0])
    finally:
        if beating is not None:
            beating.kill()
            beating.wait()
        crowd.kill()
        crowd.wait()
        node.stop()
    return {
        "live_sessions": sessions,
        "live_gateways": gateways,
        "live_loop_lag_ms": worst,
        "live_idle_lag_ms": idle_lag,
        "live_attach_per_s": attached["rate"],
        "live_refreshes_per_s": live["refreshes"] / seconds,
        "live_refreshes_lost": live["refreshes_sent"] - live["refreshes"],
        "live_refresh_p50_ms": live["p50_ms"],
        "live_refresh_p99_ms": live["p99_ms"],
        "live_heartbeats_sent": live["heartbeats_sent"],
        "live_heartbeats_answered": live["heartbeats_answered"],
        "live_heartbeats_from_anchor": live["asked"],
    }


def report(found: dict[str, float]) -> None:
    """Print the figures for a person."""
    figures = {name.removeprefix("live_"): value for name, value in found.items()}
    print(
        f"{figures['sessions']:.0f} live sessions at {figures['gateways']:.0f} gateways, "
        f"{figures['refreshes_per_s']:.0f} refreshes a second"
    )
    print(
        f"  refresh: p50 {figures['refresh_p50_ms']:.2f} ms, p99 {figures['refresh_p99_ms']:.2f} ms, "
        f"{figures['refreshes_lost']:.0f} without an answer"
    )
    print(
        f"  heartbeats: {figures['heartbeats_answered']:.0f} of "
        f"{figures['heartbeats_sent']:.0f} answered, "
        f"{figures['heartbeats_from_anchor']:.0f} from the anchor"
    )
    worst = figures["loop_lag_ms"]
    verdict = "<=" if worst <= CEILING else "ABOVE"
    print(
        f"  worst loop lag {worst:.1f} ms {verdict} the ceiling of {CEILING:g} ms; "
        f"an idle process beside: {figures['idle_lag_ms']:.1f} ms"
    )


if __name__ == "__main__":
    if sys.argv[1] == "idle":
        idle()
    else:
        serve(sys.argv[1:])
