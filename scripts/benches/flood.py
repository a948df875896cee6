"""Load for the overload bench: mobiles that refresh at their rate, and new ones thrown on top.

Runs inside a namespace as its own process (``python -m scripts.benches.flood SOURCE TARGET``) and does what
lines of standard input ask, one JSON object per answer. The known mobiles behave like a gateway: what is
not answered within a second is sent again, and a session that was not refreshed in time is lost.
"""

import gc
import json
import sys
import time
from array import array
from collections import deque
from ipaddress import ip_address
from typing import Any

from appliance.tun.native import Destination, SendBatch
from scripts.benches.pbu import (
    BINDING_ACKNOWLEDGEMENT,
    NEW_INTERFACE,
    PREFIX,
    PREFIX_LENGTH,
    UNCHANGED,
    Generator,
)

#: Seconds until a refresh without an answer is sent again.
AGAIN = 1.0
#: Messages of the flood that go out between two looks at the clock and the answers.
CHUNK = 64
#: Sequence numbers of the known mobiles are below this, those of new ones above.
BORDER = 32_768
TIMESTAMP_MISMATCH = 156
#: Seconds after which a new one in a window counts as given up.
GIVEN_UP = 0.3
TOTALS = ("refreshed", "repeated", "refused", "outdated", "admitted", "denied", "thrown")


class Flood(Generator):
    """Known mobiles are subscribers 0 to ``known`` - 1, new ones have numbers that come once only."""

    def __init__(self, source: str, target: str) -> None:
        super().__init__(source, target, 64)
        self.batch = SendBatch(self.socket.fileno(), 6)
        self.where = Destination(ip_address(target).packed)
        self.fresh = 1_000_000
        self.units = 2
        #: When each known mobile is to be refreshed next.
        self.due: deque[tuple[float, int]] = deque()
        #: ICMPv6 errors that came back.
        self.complaints = 0

    def known(self, count: int, units: int) -> dict[str, float]:
        """Attach the known mobiles with a lifetime of ``units`` of 4 s, a window of 64 at a time."""
        self.units = units
        self.due.clear()
        result = self.phase(count, units, NEW_INTERFACE)
        return {"rate": result["rate"], "refused": result["refused"]}

    def run(self, seconds: float, every: float, new: float, window: int) -> dict[str, float]:
        """Refresh each known mobile ``every`` seconds, and send ``new`` updates of new ones a second.

        With a ``window`` new ones are only sent while fewer than that are not answered yet.
        """
        count = len(self.prefixes)
        begun = clock = time.perf_counter()
        due = self.due
        if not due:
            due.extend((begun + every * index / count, index) for index in range(count))
        waiting: deque[tuple[float, int, int]] = deque()
        open_since = array("d", bytes(8 * count))
        owner = array("L", bytes(8 * BORDER))
        totals = dict.fromkeys(TOTALS, 0)
        sequence = 0
        #: New ones under way, with the time of sending; what is given up there is not waited for.
        flying: dict[int, float] = {}
        worst = 0.0

        def refresh(index: int) -> None:
            nonlocal sequence
            sequence = (sequence + 1) % BORDER
            owner[sequence] = index
            self.batch.add(bytes(self.build(index, sequence, self.units, UNCHANGED)), self.where, 0)
            waiting.append((clock + AGAIN, index, 0))

        while (clock := time.perf_counter()) < begun + seconds:
            for _ in range(CHUNK):
                if not due or due[0][0] > clock:
                    break
                moment, index = due.popleft()
                # What was due between two runs comes now, later than it should.
                moment = max(moment, begun)
                due.append((moment + every, index))
                open_since[index] = moment
                refresh(index)
            while waiting and waiting[0][0] <= clock:
                _, index, _ = waiting.popleft()
                if open_since[index]:
                    totals["repeated"] += 1
                    refresh(index)
            while flying and (first := next(iter(flying.items())))[1] < clock - GIVEN_UP:
                del flying[first[0]]
            wanted = int((clock - begun) * new) - totals["thrown"] if not window else window - len(flying)
            for _ in range(min(max(0, wanted), CHUNK)):
                number = BORDER + totals["thrown"] % BORDER
                self.fresh += 1
                self.message[PREFIX_LENGTH] = 0
                self.message[PREFIX] = bytes(16)
                self.batch.add(bytes(self.build(self.fresh, number, 900, NEW_INTERFACE)), self.where, 0)
                totals["thrown"] += 1
                if window:
                    flying[number] = clock
            self.batch.flush()
            for data in self._answers():
                status, number = data[6], int.from_bytes(data[8:10], "big")
                if number >= BORDER:
                    flying.pop(number, None)
                    totals["admitted" if status < 128 else "denied"] += 1
                    continue
                index = owner[number]
                if not open_since[index]:
                    continue
                if status == TIMESTAMP_MISMATCH:
                    # It came too late; as a gateway would, try again, with another time.
                    totals["outdated"] += 1
                    continue
                totals["refreshed" if status < 128 else "refused"] += 1
                worst = max(worst, clock - open_since[index])
                open_since[index] = 0.0
        took = time.perf_counter() - begun
        late = sum(1 for moment in open_since if moment and clock - moment > AGAIN)
        return {**totals, "late": late, "seconds": took, "worst_ms": 1000 * worst,
                "complaints": self.complaints,
                "unsent": sum(self.batch.failures.values())}  # fmt: skip

    def _answers(self) -> list[bytes]:
        found: list[bytes] = []
        try:
            for _ in range(4 * CHUNK):
                data = self.socket.recv(2048, 0x40)
                if data[2] == BINDING_ACKNOWLEDGEMENT:
                    found.append(data)
        except BlockingIOError:
            pass
        except OSError:
            # EPROTO: Linux answers for a raw socket whose buffer is full as if nobody knew the protocol.
            self.complaints += 1
        return found


def main() -> None:
    """Do what standard input asks: ``known COUNT UNITS`` or ``run SECONDS EVERY NEW WINDOW``."""
    flood = Flood(sys.argv[1], sys.argv[2])
    gc.disable()
    for line in sys.stdin:
        kind, *rest = line.split()
        result: dict[str, Any]
        try:
            if kind == "known":
                result = flood.known(int(rest[0]), int(rest[1]))
            else:
                result = flood.run(float(rest[0]), float(rest[1]), float(rest[2]), int(rest[3]))
        except TimeoutError:
            result = {"error": f"{kind}: no answer"}
        except OSError as failure:
            result = {"error": f"{kind}: {failure}"}
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
