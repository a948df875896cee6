"""The load generator: proxy binding updates over a raw socket, many at once.

Runs inside a namespace as its own process (``python -m scripts.benches.pbu ...``). It does not
use the appliance's codec: messages are one prebuilt run of octets (RFC 5213 section 8, laid
out by RFC 6275 section 6.1.7) into which sequence number, subscriber, prefix and time are
written. The kernel makes and checks the Mobility Header checksum of such a socket.
"""

import gc
import json
import socket
import struct
import sys
import time
from array import array
from collections.abc import Sequence

IPPROTO_MH = 135
BINDING_UPDATE, BINDING_ACKNOWLEDGEMENT = 5, 6
HOME_NETWORK_PREFIX = 22

#: Binding Update with A and P set; options MN-ID (15 octets), HNP, HI, ATT, MN-LL-ID, Timestamp.
TEMPLATE = bytes.fromhex(
    "3b0a050000000000 8200 0384"
    "081001 000000000000000000000000000000 010400000000"
    "16120000 00000000000000000000000000000000"
    "17020001 18020004"
    "19080000 020000000000 1b08 0000000000000000 01020000"
)
SEQUENCE = slice(6, 8)
LIFETIME = slice(10, 12)
NAI = slice(15, 30)
PREFIX_LENGTH = 39
PREFIX = slice(40, 56)
HANDOFF = 59
LINK_LAYER = slice(70, 74)
TIMESTAMP = slice(76, 84)

NEW_INTERFACE, UNCHANGED = 1, 5
TIMEOUT = 3.0


class Generator:
    """Sends and waits, with a window of messages that are not yet answered.

    :param source: our address, :param target: the anchor's address (texts).
    :param window: how many messages may be under way, at most 65536.
    """

    def __init__(self, source: str, target: str, window: int) -> None:
        self.socket = socket.socket(socket.AF_INET6, socket.SOCK_RAW, IPPROTO_MH)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.bind((source, 0))
        self.socket.connect((target, 0))
        # Not settimeout(): with it Python would wait in recv() even under MSG_DONTWAIT.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", int(TIMEOUT), 0))
        self.window = window
        self.message = bytearray(TEMPLATE)
        self.prefixes: list[bytes] = []
        self.prefix_at = 0
        self.status = 0

    def build(self, index: int, sequence: int, lifetime: int, handoff: int) -> bytearray:
        """Write one registration of subscriber ``index`` into the message."""
        message = self.message
        message[SEQUENCE] = sequence.to_bytes(2, "big")
        message[LIFETIME] = lifetime.to_bytes(2, "big")
        message[NAI] = b"m%07d@ex.org" % index
        message[HANDOFF] = handoff
        message[LINK_LAYER] = index.to_bytes(4, "big")
        if handoff == UNCHANGED:
            message[PREFIX_LENGTH] = 64
            message[PREFIX] = self.prefixes[index]
        now = time.time_ns()
        seconds, rest = divmod(now, 1_000_000_000)
        message[TIMESTAMP] = (seconds << 16 | rest * 65536 // 1_000_000_000).to_bytes(8, "big")
        return message

    def phase(self, count: int, lifetime: int, handoff: int, echo: bool = False) -> dict[str, float]:
        """Register ``count`` subscribers; returns rate, latencies, and what was lost or refused.

        With ``echo`` the answers are our own messages coming back.
        """
        send, window = self.socket.send, self.window
        sent_at = [0.0] * 65536
        owner = array("L", bytes(8 * 65536))
        latencies = array("d")
        clock = time.perf_counter
        begun = clock()
        sent = answered = refused = 0
        if handoff == NEW_INTERFACE and not echo:
            self.prefixes = [b""] * count
        while answered < count:
            while sent < count and sent - answered < window:
                sequence = sent & 0xFFFF
                message = self.build(sent, sequence, lifetime, handoff)
                owner[sequence] = sent
                sent_at[sequence] = clock()
                send(message)
                sent += 1
            for data in self._drain():
                if echo:
                    sequence = int.from_bytes(data[6:8], "big")
                elif data[2] == BINDING_ACKNOWLEDGEMENT:
                    sequence = int.from_bytes(data[8:10], "big")
                    if data[6] >= 128:
                        refused += 1
                        self.status = data[6]
                    elif handoff == NEW_INTERFACE:
                        self.prefixes[owner[sequence]] = self._prefix(data)
                else:
                    continue
                answered += 1
                latencies.append(clock() - sent_at[sequence])
        took = clock() - begun
        ordered = sorted(latencies)
        return {
            "rate": count / took,
            "p50_ms": ordered[len(ordered) // 2] * 1000,
            "p99_ms": ordered[len(ordered) * 99 // 100] * 1000,
            "max_ms": ordered[-1] * 1000,
            "refused": refused,
            "last_refusal": self.status,
        }

    def _drain(self) -> list[bytes]:
        """What has arrived; waits for the first. A silence of three seconds is an error."""
        receive = self.socket.recv
        try:
            found = [receive(2048)]
        except BlockingIOError:
            raise TimeoutError from None
        try:
            while True:
                found.append(receive(2048, socket.MSG_DONTWAIT))
        except BlockingIOError:
            return found

    def _prefix(self, data: bytes) -> bytes:
        """The assigned prefix; all answers have the same layout, so it is looked for once."""
        if not self.prefix_at:
            at = 12
            while at < len(data) and data[at] != HOME_NETWORK_PREFIX:
                at += 1 if data[at] == 0 else 2 + data[at + 1]
            self.prefix_at = at + 4
        return data[self.prefix_at : self.prefix_at + 16]


def load(arguments: Sequence[str]) -> None:
    """Run phases as standard input asks: ``KIND COUNT WINDOW`` per line, one JSON object per answer."""
    generator = Generator(arguments[0], arguments[1], 1)
    gc.disable()
    for line in sys.stdin:
        kind, count, window = line.split()
        generator.window = int(window)
        lifetime, handoff = {
            "echo": (900, NEW_INTERFACE),
            "attach": (900, NEW_INTERFACE),
            "refresh": (900, UNCHANGED),
            "deregister": (0, UNCHANGED),
        }[kind]
        try:
            result: dict[str, float | str] = {
                **generator.phase(int(count), lifetime, handoff, echo=kind == "echo"),
                "distinct": len(set(generator.prefixes)),
            }
        except TimeoutError:
            result = {"error": f"{kind}: no answer for {TIMEOUT:g} s"}
        except OSError as failure:
            result = {"error": f"{kind}: {failure}"}
        print(json.dumps(result), flush=True)


def echo(address: str) -> None:
    """Send every mobility message straight back: the least that any Python process must do."""
    sock = socket.socket(socket.AF_INET6, socket.SOCK_RAW, IPPROTO_MH)
    sock.bind((address, 0))
    print("listening", flush=True)
    while True:
        data, sender = sock.recvfrom(2048)
        sock.sendto(data, sender)


if __name__ == "__main__":
    if sys.argv[1] == "echo":
        echo(sys.argv[2])
    else:
        load(sys.argv[2:])
