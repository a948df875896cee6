"""Many mobile nodes at once behind two scripted gateways, and a count of all that happens to them."""

import argparse
import random
import select
import socket
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

from scripts.counting import wire
from scripts.counting.gateway import Gateway, Mobile
from scripts.counting.world import MOBILE_PORT, PORT, World
from scripts.labnet import LabError

SO_RCVBUFFORCE = 33
BUFFER = 16 << 20
#: Updates under way, seconds until one is sent again, and how often.
WINDOW, TIMEOUT, TRIES = 256, 2.0, 3
#: Silence after which everything that was under way has arrived.
QUIET = 0.5
PAYLOAD = 64


@dataclass
class Open:
    """An update that is not answered yet."""

    mobile: Mobile
    kind: str
    side: int
    since: float
    tries: int = 1


class Crowd:
    """What every crowd has: counts of its own, a correspondent, traffic."""

    def __init__(self, world: World, options: argparse.Namespace) -> None:
        self.world, self.options = world, options
        #: By (class or direction, what).
        self.seen: Counter[tuple[str, str]] = Counter()
        self.rates: dict[str, float] = {"attach": 0.0}
        self.latencies: list[float] = []
        self.random = random.Random(options.mobiles)
        self.mobiles = [Mobile(f"load{number}@example.org", number) for number in range(options.mobiles)]
        #: Those that have a session, by number.
        self.here: dict[int, Mobile] = {}

    @property
    def attached(self) -> int:
        """How many mobile nodes have a session."""
        return len(self.here)

    def latency(self, percent: int) -> float:
        """Milliseconds until that share of answers had come."""
        ordered = sorted(self.latencies)
        return round(1000 * ordered[len(ordered) * percent // 100 - (percent == 100)], 2) if ordered else 0.0

    def prepare(self) -> None:
        """Be ready to begin."""

    def attach(self) -> None:
        """Have all mobile nodes attach."""
        raise AssertionError("each kind of crowd has its own")

    def live(self) -> None:
        """Have them refreshed, handed over, and sent packets, for the time that is asked for."""
        raise AssertionError("each kind of crowd has its own")

    def leave(self) -> None:
        """Have all of them leave."""
        raise AssertionError("each kind of crowd has its own")

    def close(self) -> None:
        """End what :meth:`prepare` has begun."""

    def downward(self, mobile: Mobile) -> None:
        """One datagram of the correspondent to a mobile node."""
        self.world.cn.send(mobile.host, bytes(PAYLOAD))
        self.seen["down", "sent"] += 1

    def datagram(self, mobile: Mobile) -> bytes:
        """One datagram of a mobile node to the correspondent."""
        return wire.udp_packet(mobile.host, self.world.cn.address, (MOBILE_PORT, PORT), bytes(PAYLOAD))

    def listen(self) -> None:
        """Count what has come to the correspondent."""
        sock = self.world.cn.socket(16)
        while select.select([sock], [], [], 0)[0]:
            sock.recv(2048)
            self.seen["up", "heard"] += 1


class Scripted(Crowd):
    """Mobile nodes of two scripted gateways."""

    def __init__(self, world: World, options: argparse.Namespace) -> None:
        super().__init__(world, options)
        self.sides = (world.mag1, world.mag2)
        self.side: dict[int, int] = {}
        self.open: dict[tuple[int, int], Open] = {}
        self._sequence = [0, 0]
        self._by_fd: dict[socket.socket, tuple[int, Gateway]] = {}
        for index, gateway in enumerate(self.sides):
            for sock in (gateway.mh, gateway.data[6, wire.IPV6]):
                sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
                self._by_fd[sock] = index, gateway
        world.cn.socket(16).setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)

    # ---- one update

    def update(self, mobile: Mobile, kind: str, side: int) -> None:
        """Send an update, and remember it until it is answered."""
        self._send(Open(mobile, kind, side, time.monotonic()))

    def _send(self, sent: Open) -> None:
        side, mobile, kind = sent.side, sent.mobile, sent.kind
        while True:
            sequence = self._sequence[side] = (self._sequence[side] + 1) & 0xFFFF
            if (side, sequence) not in self.open:
                break
        mobile.sequence = sequence - 1
        indicator, seconds = {
            "initial": (1, 3600),
            "refresh": (5, 3600),
            "handoff": (3, 3600),
            "dereg": (4, 0),
        }[kind]
        sent.since = time.monotonic()
        self.open[side, sequence] = sent
        self.sides[side].update(mobile, indicator, seconds)
        self.seen[kind, "sent"] += 1

    def _answered(self, side: int, gateway: Gateway, data: bytes) -> None:
        answer = gateway.read_answer(data)
        sent = self.open.pop((side, answer.sequence), None)
        if sent is None:
            self.seen["", "strange"] += 1
            return
        self.latencies.append(time.monotonic() - sent.since)
        if answer.status >= 128:
            self.seen[sent.kind, "refused"] += 1
            return
        self.seen[sent.kind, "accepted"] += 1
        mobile = sent.mobile
        if sent.kind == "dereg":
            self.here.pop(mobile.number, None)
            return
        gateway.keep(mobile, answer)
        self.here[mobile.number] = mobile
        self.side[mobile.number] = side

    # ---- the loop

    def pump(self, until: float) -> None:
        """Read what comes until a moment."""
        while True:
            left = until - time.monotonic()
            ready, _, _ = select.select([*self._by_fd, self.world.cn.socket(16)], [], [], max(0.0, left))
            for sock in ready:
                known = self._by_fd.get(sock)
                if known is None:
                    self.listen()
                    continue
                for _ in range(64):
                    try:
                        data = sock.recv(4096, socket.MSG_DONTWAIT)
                    except BlockingIOError:
                        break
                    if sock is known[1].mh:
                        if len(data) > 12 and data[2] == wire.ACKNOWLEDGEMENT:
                            self._answered(*known, data)
                    else:
                        self.seen["down", "packets"] += 1
                        self.seen["down", "octets"] += 40 + len(data)
            if left <= 0:
                break
        self._repeat()

    def _repeat(self) -> None:
        """Send again what was not answered in time."""
        now = time.monotonic()
        late = [key for key, sent in self.open.items() if now - sent.since > TIMEOUT]
        for key in late:
            sent = self.open.pop(key)
            self.seen["", "unanswered"] += 1
            if sent.tries < TRIES:
                sent.tries += 1
                self._send(sent)

    def paced(self, work: list[tuple[Mobile, str, int]], rate: float) -> float:
        """Send updates at a rate, with a bounded number under way; returns the rate that came out."""
        begun = time.monotonic()
        for number, (mobile, kind, side) in enumerate(work):
            self.pump(begun + number / rate)
            while len(self.open) >= WINDOW:
                self.pump(time.monotonic() + 0.002)
            self.update(mobile, kind, side)
        self.finish()
        return len(work) / max(time.monotonic() - begun - QUIET, 1e-9)

    def finish(self) -> None:
        """Wait until all is answered, and what is still on its way has come."""
        until = time.monotonic() + TIMEOUT * (TRIES + 1)
        while self.open and time.monotonic() < until:
            self.pump(time.monotonic() + 0.02)
        before: Any = None
        while before != (before := dict(self.seen)):
            self.pump(time.monotonic() + QUIET)

    # ---- the phases

    def attach(self) -> None:
        """Attach everybody, one half at each gateway."""
        work = [(mobile, "initial", mobile.number % 2) for mobile in self.mobiles]
        self.rates["attach"] = self.paced(work, self.options.rate)
        if not self.here:
            raise LabError("no mobile node could attach")

    def live(self) -> None:
        """Refreshes at the rate, handovers evenly among them, traffic beside."""
        options = self.options
        everybody = list(self.here.values())
        begun = time.monotonic()
        updates = max(int(options.seconds * options.rate), options.handoffs)
        packets = int(options.seconds * options.traffic)
        step = max(updates, packets)
        done = handed = number = 0
        # What could not be sent in its turn, because too much was under way, is made up for afterwards.
        while number < step or handed < options.handoffs:
            number += 1
            self.pump(begun + number * options.seconds / step)
            if done < _share(number, updates, step) or number > step:
                handoff = handed < _share(done + 1, options.handoffs, updates)
                if self._change(self.random.choice(everybody), handoff):
                    done += 1
                    handed += handoff
            if number <= step and _share(number, packets, step) > _share(number - 1, packets, step):
                self._traffic(everybody)
        self.finish()

    def _change(self, mobile: Mobile, handoff: bool) -> bool:
        """Refresh or hand over a mobile node, if nothing of it is under way."""
        if len(self.open) >= WINDOW or any(sent.mobile is mobile for sent in self.open.values()):
            return False
        side = self.side[mobile.number]
        self.update(mobile, "handoff" if handoff else "refresh", 1 - side if handoff else side)
        return True

    def _traffic(self, everybody: list[Mobile]) -> None:
        """One datagram each way, of mobile nodes that are not on the move."""
        moving = {sent.mobile.number for sent in self.open.values() if sent.kind == "handoff"}
        mobile = self.random.choice(everybody)
        if mobile.number not in moving:
            packet = self.datagram(mobile)
            self.sides[self.side[mobile.number]].tunnel(6, wire.IPV6, packet)
            self.seen["up", "packets"] += 1
            self.seen["up", "octets"] += 40 + len(packet)
        self.downward(self.random.choice(everybody))

    def leave(self) -> None:
        """De-register everybody where he is."""
        self.paced([(m, "dereg", self.side[n]) for n, m in self.here.items()], self.options.rate)


def _share(number: int, wanted: int, of: int) -> int:
    """How many of ``wanted`` are done before step ``number`` of ``of``."""
    return number * wanted // of
