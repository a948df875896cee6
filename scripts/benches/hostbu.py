"""The load generator of hosts: Binding Updates with a Home Address option and an MN-HA option, many at once.

Runs inside a namespace as its own process (``python -m scripts.benches.hostbu CARE-OF AGENT KEY``). All
messages of a phase are made before its clock starts, with their HMACs; nothing of the appliance's codec is in
it (RFC 6275 sections 6.1.7 and 6.3, RFC 4285 section 5.1). The answers are read by a raw socket for routing
headers and looked at; the authenticators of some of them are checked when the phase is over.
"""

import gc
import hmac
import json
import socket
import struct
import sys
import time
from array import array
from collections.abc import Sequence

IPPROTO_ROUTING, IPPROTO_OPTIONS, IPPROTO_MH = 43, 60, 135
BINDING_ACKNOWLEDGEMENT = 6
#: Destination Options with a Home Address option, up to the address.
OPTIONS = bytes.fromhex("87020102 0000 c910")
#: Binding Update with A and H; MN-ID (15 octets); padding; MN-HA with SPI 256; lifetime 3600 s, or none.
UPDATE = bytes.fromhex("3b06050000000000c0000384") + bytes.fromhex("081001") + bytes(15)
MN_HA = bytes.fromhex("09110100000100")
SEQUENCE, LIFETIME, NAI = slice(6, 8), slice(10, 12), slice(15, 30)
HOME_PREFIX = bytes.fromhex("20010db800010100")
#: Octets of a routing header of type 2, in front of an acknowledgement.
ROUTING = 24
TIMEOUT = 3.0
#: Authenticators that are checked.
CHECKED = 500


def home_address(index: int) -> bytes:
    """Home address of host ``index``."""
    return HOME_PREFIX + (index + 1).to_bytes(8, "big")


class Generator:
    """Sends and waits, with a window of updates that are not yet answered."""

    def __init__(self, care_of: str, agent: str, key: bytes) -> None:
        self.care_of = socket.inet_pton(socket.AF_INET6, care_of)
        self.agent = socket.inet_pton(socket.AF_INET6, agent)
        self.key = key
        self.out = socket.socket(socket.AF_INET6, socket.SOCK_RAW, IPPROTO_OPTIONS)
        self.answers = socket.socket(socket.AF_INET6, socket.SOCK_RAW, IPPROTO_ROUTING)
        for sock in (self.out, self.answers):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            sock.bind((care_of, 0))
            sock.connect((agent, 0))
        # Not settimeout(): with it Python would wait in recv() even under MSG_DONTWAIT.
        wait = struct.pack("ll", int(TIMEOUT), 0)
        self.answers.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, wait)
        self.sequence = 0

    def authenticator(self, home: bytes, covered: bytes) -> bytes:
        """RFC 4285 section 5.1, over what has a zero checksum."""
        return hmac.digest(self.key, self.care_of + home + covered, "sha1")[:12]

    def build(self, index: int, sequence: int, lifetime: int) -> bytes:
        """One update, from the Destination Options header on."""
        home = home_address(index)
        message = bytearray(UPDATE)
        message[SEQUENCE] = sequence.to_bytes(2, "big")
        message[LIFETIME] = lifetime.to_bytes(2, "big")
        message[NAI] = b"m%07d@ex.org" % index
        # The authentication option ends the message on a boundary of 8 octets.
        space = -(len(message) + 19) % 8
        message += bytes(space) if space < 2 else bytes((1, space - 2)) + bytes(space - 2)
        message += MN_HA
        message[1] = (len(message) + 12) // 8 - 1
        message += self.authenticator(home, bytes(message))
        total = int.from_bytes(home + self.agent + message, "big") + len(message) + IPPROTO_MH
        message[4:6] = ((0xFFFF - total % 0xFFFF) % 0xFFFF).to_bytes(2, "big")
        return OPTIONS + home + bytes(message)

    def phase(self, count: int, window: int, lifetime: int) -> dict[str, float]:
        """Register, refresh or de-register ``count`` hosts; rate, latencies, and what was refused."""
        # Another number for each host, and for each of them a higher one than in the phase before.
        self.sequence += 1000
        first = self.sequence
        updates = [self.build(index, (first + index) & 0xFFFF, lifetime) for index in range(count)]
        waiting = [0.0] * 65536
        send, receive = self.out.send, self.answers.recv
        latencies, clock = array("d"), time.perf_counter
        sample: list[bytes] = []
        sent = answered = refused = status = 0
        begun = clock()
        while answered < count:
            while sent < count and sent - answered < window:
                waiting[(first + sent) & 0xFFFF] = clock()
                send(updates[sent])
                sent += 1
            try:
                data = receive(2048)
            except BlockingIOError:
                raise TimeoutError from None
            while True:
                if data[0] == IPPROTO_MH and data[ROUTING + 2] == BINDING_ACKNOWLEDGEMENT:
                    answered += 1
                    latencies.append(clock() - waiting[data[ROUTING + 8] << 8 | data[ROUTING + 9]])
                    if data[ROUTING + 6] >= 128:
                        refused, status = refused + 1, data[ROUTING + 6]
                    elif len(sample) < CHECKED:
                        sample.append(data)
                try:
                    data = receive(2048, socket.MSG_DONTWAIT)
                except BlockingIOError:
                    break
        took = clock() - begun
        ordered = sorted(latencies)
        return {
            "rate": count / took,
            "p50_ms": ordered[len(ordered) // 2] * 1000,
            "p99_ms": ordered[len(ordered) * 99 // 100] * 1000,
            "refused": refused,
            "last_refusal": status,
            "forged": sum(not self.authentic(each) for each in sample),
        }

    def authentic(self, data: bytes) -> bool:
        """Whether an answer ends with the authenticator of its home address and our key."""
        home, mh = data[8:ROUTING], data[ROUTING:]
        covered = mh[:4] + b"\0\0" + mh[6:-12]
        return covered[-7:] == MN_HA and mh[-12:] == self.authenticator(home, covered)


def main(arguments: Sequence[str]) -> None:
    """Run phases as standard input asks: ``LIFETIME COUNT WINDOW`` per line, one JSON object per answer."""
    generator = Generator(arguments[0], arguments[1], bytes.fromhex(arguments[2]))
    gc.disable()
    for line in sys.stdin:
        lifetime, count, window = map(int, line.split())
        try:
            result: dict[str, float | str] = {**generator.phase(count, window, lifetime)}
        except TimeoutError:
            result = {"error": f"no answer for {TIMEOUT:g} s"}
        except OSError as failure:
            result = {"error": str(failure)}
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
