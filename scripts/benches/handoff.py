"""``scripts/bench handoff``: what a handover costs the packets that are on their way to the mobile node.

A correspondent sends numbered datagrams to one mobile node, 1,000 a second, while two scripted gateways take
it from each other. Both keep their tunnel sockets open and the kernel stamps the time of every packet there
and of every update in front of the anchor, so that nothing here has to be quick::

    PBU at the anchor ──▶ PBA at the new gateway      packets at the old one after this are lost
         └────────────▶ first packet at the new gateway      the switch

Then an anchor has many live sessions (:mod:`scripts.benches.live`).
"""

import argparse
import ctypes
import json
import select
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from scripts.benches import live
from scripts.counting import wire
from scripts.counting.gateway import Gateway, Mobile, inside
from scripts.counting.stages import anchor
from scripts.counting.world import MOBILE_PORT
from scripts.labnet import BACKHAUL, LMA_ADDRESS, Lab, LabError
from scripts.labrun import Appliance, environment, stop

SO_TIMESTAMPNS = 35
SO_ATTACH_FILTER, SO_RCVBUFFORCE = 26, 33
BUFFER = 32 << 20
CEILINGS = {"lost_after_ack": 0.0, "switch_p99_ms": 2.0}


def stamped(sock: socket.socket) -> None:
    """Have the kernel tell when each packet came, and keep many."""
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)


def take(sock: socket.socket) -> list[tuple[float, bytes]]:
    """All that has come: (seconds, octets)."""
    found = []
    while select.select([sock], [], [], 0)[0]:
        data, controls, _, _ = sock.recvmsg(2048, 64)
        for level, kind, value in controls:
            if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS):
                seconds, nanoseconds = struct.unpack("ll", value[:16])
                found.append((seconds + nanoseconds / 1e9, data))
    return found


def update_watcher(lab: Lab) -> socket.socket:
    """A packet socket on the anchor's cable that sees mobility messages only."""
    with inside(lab, "lma"):
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x86DD))
        # Next Header (14 + 6) is 135: whole packet, else nothing.
        program = b"".join(
            struct.pack("HBBI", *line)
            for line in ((0x30, 0, 0, 20), (0x15, 0, 1, 135), (6, 0, 0, 4096), (6, 0, 0, 0))
        )
        kept = ctypes.create_string_buffer(program)
        head = struct.pack("HxxxxxxP", 4, ctypes.addressof(kept))
        sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, head)
        stamped(sock)
        sock.bind(("backhaul", 0))
    return sock


def send(target: str, rate: float) -> None:
    """The correspondent: numbered datagrams at a steady rate until standard input ends."""
    sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    sock.connect((target, MOBILE_PORT))
    begun, number = time.monotonic(), 0
    while not (number % 64 == 0 and select.select([sys.stdin], [], [], 0)[0]):
        left = begun + number / rate - time.monotonic()
        if left > 0:
            time.sleep(left)
        sock.send(struct.pack(">Id", number, time.time()))
        number += 1
    print(number, flush=True)


class Seen:
    """What came out of one gateway's tunnel: numbers with the time."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.socket = gateway.data[6, wire.IPV6]
        self.packets: list[tuple[float, int]] = []
        stamped(self.socket)
        stamped(gateway.mh)

    def take(self) -> None:
        """Take in what has come."""
        for moment, data in take(self.socket):
            self.packets.append((moment, int.from_bytes(data[48:52], "big")))


def hand_over(seen: Seen, watcher: socket.socket, mobile: Mobile) -> tuple[float, float]:
    """Move the mobile to a gateway; when the update came to the anchor, and the answer to the gateway."""
    seen.gateway.drain_signalling()
    take(watcher)
    seen.gateway.update(mobile, 3)
    if not select.select([seen.gateway.mh], [], [], 3)[0]:
        raise LabError("no acknowledgement within 3 s")
    answered, data = take(seen.gateway.mh)[0]
    if data[2] != wire.ACKNOWLEDGEMENT or data[6]:
        raise LabError(f"the handover was answered with {data.hex()}")
    arrived = [moment for moment, frame in take(watcher) if frame[56] == wire.UPDATE]
    if len(arrived) != 1:
        raise LabError(f"{len(arrived)} updates were seen in front of the anchor")
    return arrived[0], answered


def measure(lab: Lab, work: Path, options: argparse.Namespace) -> dict[str, float]:
    """All handovers; returns the flat figures."""
    config = work / "lma.conf"
    config.write_text(anchor())
    node = Appliance(lab, "lma", config, work)
    ends = BACKHAUL["lma"]
    sides = [Seen(Gateway(lab, role, *BACKHAUL[role], *ends)) for role in ("mag1", "mag2")]
    watcher = update_watcher(lab)
    sender: subprocess.Popen[str] | None = None
    moves: list[tuple[float, float, int]] = []
    try:
        node.start()
        node.wait_ready()
        mobile = Mobile("walker@example.org", 1)
        sides[0].gateway.register(mobile)
        sender = lab.popen(
            "cn", sys.executable, "-m", "scripts.benches.handoff", "send",
            socket.inet_ntop(socket.AF_INET6, mobile.host), str(options.rate),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(),
        )  # fmt: skip
        assert sender.stdin is not None and sender.stdout is not None
        time.sleep(1.0)
        for number in range(options.handoffs):
            new = (number + 1) % 2
            moves.append((*hand_over(sides[new], watcher, mobile), new))
            time.sleep(options.pause)
            for side in sides:
                side.take()
        sender.stdin.close()
        sent = int(sender.stdout.readline())
        time.sleep(0.3)
        for side in sides:
            side.take()
    finally:
        if sender is not None:
            stop(sender)
        node.stop()
        watcher.close()
        for side in sides:
            side.gateway.close()
    return judge(sent, moves, sides, options)


def measure_echo(lab: Lab, options: argparse.Namespace) -> dict[str, float]:
    """The yardstick: when a message comes back that a bare Python process sends back unread."""
    gateway = Gateway(lab, "mag1", *BACKHAUL["mag1"], *BACKHAUL["lma"])
    watcher = update_watcher(lab)
    stamped(gateway.mh)
    process = lab.popen(
        "lma", sys.executable, "-m", "scripts.benches.pbu", "echo", LMA_ADDRESS,
        stdout=subprocess.PIPE, env=environment(),
    )  # fmt: skip
    took = []
    try:
        assert process.stdout is not None
        process.stdout.readline()
        for _ in range(options.handoffs):
            gateway.update(Mobile("echo@example.org", 1))
            if not select.select([gateway.mh], [], [], 3)[0]:
                raise LabError("no echo within 3 s")
            took.append((take(gateway.mh)[0][0] - take(watcher)[0][0]) * 1000)
            time.sleep(options.pause)
    finally:
        stop(process)
        watcher.close()
        gateway.close()
    return {"echo_p50_ms": percentile(took, 50), "echo_p99_ms": percentile(took, 99)}


def percentile(values: list[float], percent: int) -> float:
    """What that share of the values do not exceed (the nearest rank)."""
    ordered = sorted(values)
    return ordered[-(-len(ordered) * percent // 100) - 1]


def judge(
    sent: int, moves: list[tuple[float, float, int]], sides: list[Seen], options: argparse.Namespace
) -> dict[str, float]:
    """The figures out of what both gateways saw."""
    came = {number for side in sides for _, number in side.packets}
    switches, answers, late = [], [], 0
    for index, (arrived, answered, new) in enumerate(moves):
        until = moves[index + 1][0] if index + 1 < len(moves) else float("inf")
        at_new = [moment for moment, _ in sides[new].packets if arrived <= moment < until]
        if not at_new:
            raise LabError("no packet came to the new gateway")
        late += sum(answered < moment < until for moment, _ in sides[1 - new].packets)
        switches.append((min(at_new) - arrived) * 1000)
        answers.append((answered - arrived) * 1000)
    figures = {
        "handoffs": len(moves),
        "packets": sent,
        "packets_per_s": options.rate,
        "lost_after_ack": late + sent - len(came),
        "to_old_gateway_after_ack": late,
        "lost": sent - len(came),
        "twice": sum(len(side.packets) for side in sides) - len(came),
        "switch_p50_ms": percentile(switches, 50),
        "switch_p99_ms": percentile(switches, 99),
        "switch_max_ms": max(switches),
        "ack_p50_ms": percentile(answers, 50),
        "ack_p99_ms": percentile(answers, 99),
    }
    return rounded(figures)


def rounded(figures: dict[str, float]) -> dict[str, float]:
    """For printing."""
    return {name: round(value, 3) for name, value in figures.items()}


def report(figures: dict[str, float]) -> None:
    """Print the figures for a person."""
    rate = figures["packets_per_s"]
    print(f"{figures['handoffs']:.0f} handovers with {rate:.0f} packets a second to the mobile node")
    print(
        f"  {figures['packets']:.0f} packets: {figures['lost']:.0f} lost, {figures['twice']:.0f} twice, "
        f"{figures['to_old_gateway_after_ack']:.0f} at the old gateway after the acknowledgement"
    )
    for name, text in (
        ("switch", "update to first packet at the new gateway"),
        ("ack", "update to acknowledgement"),
        ("echo", "the same of a bare echo"),
    ):
        print(f"  {text}: p50 {figures[f'{name}_p50_ms']:.2f} ms, p99 {figures[f'{name}_p99_ms']:.2f} ms")
    for name, ceiling in CEILINGS.items():
        print(f"  {name} {'<=' if figures[name] <= ceiling else 'ABOVE'} the ceiling of {ceiling:g}")


def main(argv: Sequence[str]) -> int:
    """Returns 0, 1 above a ceiling (with ``--strict``), 2 if it cannot run."""
    parser = argparse.ArgumentParser(prog="scripts/bench handoff", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one flat object on the last line")
    parser.add_argument("--handoffs", type=int, default=100, help="how many (default 100)")
    parser.add_argument("--rate", type=float, default=1000.0, help="packets a second (default 1000)")
    parser.add_argument("--pause", type=float, default=0.05, help="seconds between two (default 0.05)")
    parser.add_argument("--sessions", type=int, default=100_000, help="live sessions (default 100000)")
    parser.add_argument("--gateways", type=int, default=100, help="gateways that have them (default 100)")
    parser.add_argument("--seconds", type=float, default=40.0, help="how long they are watched (default 40)")
    parser.add_argument("--prefix", default="handoff", help="in front of the namespaces' names")
    parser.add_argument("--strict", action="store_true", help="exit status 1 when a ceiling is broken")
    options = parser.parse_args(argv)
    lab = Lab(options.prefix)
    try:
        lab.up()
        with tempfile.TemporaryDirectory(prefix="appliance-handoff-") as work:
            figures = measure(lab, Path(work), options) | rounded(measure_echo(lab, options))
            if options.sessions:
                figures |= rounded(
                    live.measure(lab, Path(work), options.sessions, options.gateways, options.seconds)
                )
    except LabError as failure:
        print(f"scripts/bench handoff: {failure}", file=sys.stderr)
        return 2
    finally:
        lab.down()
    report(figures)
    if options.sessions:
        live.report(figures)
    if options.json:
        print(json.dumps(figures))
    broken = any(figures[name] > most for name, most in CEILINGS.items())
    late = figures.get("live_loop_lag_ms", 0.0) > live.CEILING
    return 1 if options.strict and (broken or late) else 0


if __name__ == "__main__":
    send(sys.argv[2], float(sys.argv[3]))
