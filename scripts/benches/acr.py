"""Ends of a Diameter connection for ``scripts/bench diameter``, each a process of its own.

* ``load ADDRESS PORT``: a client that keeps a window of ACRs under way, START and STOP in turns with 14 AVPs
  each. Phases come as lines ``COUNT WINDOW`` on stdin, a JSON object a phase goes out on stdout.
* ``sink ADDRESS PORT``: a server that answers every ACR at once and stores nothing; a line on stdin makes it
  print what it has counted.
* ``rival ADDRESS PORT``: python-diameter's ``SimpleThreadingApplication``, which answers and stores nothing.
* ``client ADDRESS PORT``: our own node as a client, to be told like ``load``.

The first two make and read messages by hand, so that they are not what is measured.
"""

import json
import select
import socket
import struct
import sys
import time
from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from typing import Any

from appliance.protocols.diameter.message.codec import HEADER, Message, frame
from appliance.protocols.diameter.message.dictionary import standard

D = standard()
CER, DWR, DPR, ACR = 257, 280, 282, 271
REALM, SERVER, CLIENT = "bench.example", "server.bench.example", "client.bench.example"
BASE_ACCOUNTING = 3
START, STOP = 2, 4


def avps(*pairs: tuple[str, Any]) -> bytes:
    """Encoded AVPs by name and value."""
    return b"".join(D[name].encode(value) for name, value in pairs)


def capabilities(identity: str, address: str, result: int | None = None) -> bytes:
    """AVPs of a CER, or of a CEA with a result."""
    head = () if result is None else (("Result-Code", result),)
    return avps(
        *head,
        ("Origin-Host", identity),
        ("Origin-Realm", REALM),
        ("Host-IP-Address", ip_address(address).packed),
        ("Vendor-Id", 0),
        ("Product-Name", "bench"),
        ("Acct-Application-Id", BASE_ACCOUNTING),
    )


def records(count: int, run: int) -> Iterator[bytes]:
    """Bodies of ``count`` ACRs, START and STOP of one session after the other, 14 AVPs each."""
    front = avps(("Origin-Host", CLIENT), ("Origin-Realm", REALM), ("Destination-Realm", REALM))
    kinds = tuple(
        avps(
            ("Accounting-Record-Type", kind),
            ("Accounting-Record-Number", number),
            ("Acct-Application-Id", BASE_ACCOUNTING),
        )
        for kind, number in ((START, 0), (STOP, 1))
    )
    tail = avps(
        ("Accounting-Input-Octets", 123_456_789),
        ("Accounting-Output-Octets", 987_654_321),
        ("Accounting-Input-Packets", 12_345),
        ("Accounting-Output-Packets", 98_765),
        ("Event-Timestamp", int(time.time())),
    )
    for number in range(count):
        session = number >> 1
        own = avps(("Session-Id", f"{CLIENT};{run};{session}"))
        user = avps(("User-Name", f"mn{session % 10_000}@{REALM}"))
        yield own + front + kinds[number & 1] + user + tail


class Reader:
    """Cuts a stream of octets into messages."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._buffer = b""

    def messages(self) -> list[bytes]:
        """What has arrived; waits for at least some octets. Raises ConnectionError at the end."""
        data = self._link.recv(1 << 18)
        if not data:
            raise ConnectionError("the other side has closed the connection")
        buffer, place, found = self._buffer + data, 0, []
        while len(buffer) - place >= 4:
            size = struct.unpack_from("!I", buffer, place)[0] & 0xFFFFFF
            if len(buffer) - place < size:
                break
            found.append(buffer[place : place + size])
            place += size
        self._buffer = buffer[place:]
        return found


class Load:
    """The client."""

    def __init__(self, address: str, port: int) -> None:
        self._link = socket.create_connection((address, port), 10)
        self._link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = Reader(self._link)
        self._run = int(time.time())
        local = self._link.getsockname()[0]
        self._link.sendall(frame(CER, 0, 0x80, 1, 1, capabilities(CLIENT, local)))
        answer = Message(self._reader.messages()[0])
        result = answer.first(D["Result-Code"])
        if answer.code != CER or result != 2001:
            raise ConnectionError(f"the server refused the connection with {result}")

    def phase(self, count: int, window: int) -> dict[str, Any]:
        """Send ``count`` requests with at most ``window`` unanswered ones."""
        self._run += 1
        bodies = list(records(count, self._run))
        sent_at = [0.0] * count
        waits: list[float] = []
        refused, sent = 0, 0
        begin = time.perf_counter()
        while len(waits) < count:
            batch = []
            now = time.perf_counter()
            while sent < count and sent - len(waits) < window:
                sent_at[sent] = now
                # The ids begin at 16, out of the way of the one for the CER.
                end = (self._run << 20 | sent) & 0xFFFFFFFF
                batch.append(frame(ACR, BASE_ACCOUNTING, 0xC0, sent + 16, end, bodies[sent]))
                sent += 1
            if batch:
                self._link.sendall(b"".join(batch))
            for message in self._reader.messages():
                code, application, hop = self._seen(message)
                if code != ACR or not application:
                    continue
                waits.append(time.perf_counter() - sent_at[hop - 16])
                refused += b"\x00\x00\x01\x0c@\x00\x00\x0c\x00\x00\x07\xd1" not in message
        seconds = time.perf_counter() - begin
        waits.sort()
        return {
            "rate": count / seconds,
            "p50_ms": 1000 * waits[count // 2],
            "p99_ms": 1000 * waits[count * 99 // 100],
            "refused": refused,
        }

    def _seen(self, message: bytes) -> tuple[int, int, int]:
        """Command, application and Hop-by-Hop Id; a watchdog is answered here."""
        _, second, application, hop, end = HEADER.unpack_from(message)
        if second >> 31 and second & 0xFFFFFF == DWR:
            body = avps(("Result-Code", 2001), ("Origin-Host", CLIENT), ("Origin-Realm", REALM))
            self._link.sendall(frame(DWR, 0, 0, hop, end, body))
        return second & 0xFFFFFF, application, hop


class Sink:
    """The server: answers at once, and counts."""

    def __init__(self, address: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._listener = socket.create_server((address, port), family=family)
        self._address = address
        self._tail = avps(("Origin-Host", SERVER), ("Origin-Realm", REALM))
        self._success = avps(("Result-Code", 2001))
        self.records = self.disordered = self.repeated = 0
        self._first = self._last = 0.0
        self._numbers: dict[bytes, int] = {}

    def run(self) -> None:
        """Serve one connection after the other until stdin ends."""
        links: dict[socket.socket, Reader] = {}
        while True:
            ready, _, _ = select.select([self._listener, sys.stdin, *links], [], [])
            for each in ready:
                if each is sys.stdin:
                    if not sys.stdin.readline():
                        return
                    self._tell()
                elif each is self._listener:
                    link, _ = self._listener.accept()
                    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    links[link] = Reader(link)
                else:
                    try:
                        each.sendall(b"".join(map(self._answer, links[each].messages())))
                    except ConnectionError:
                        del links[each]
                        each.close()

    def _tell(self) -> None:
        seconds = self._last - self._first
        counts = {"records": self.records, "disordered": self.disordered, "repeated": self.repeated}
        print(json.dumps({**counts, "seconds": seconds}), flush=True)

    def _answer(self, data: bytes) -> bytes:
        _, second, application, hop, end = HEADER.unpack_from(data)
        code = second & 0xFFFFFF
        if not second >> 31:
            return b""
        if code == CER:
            return frame(CER, 0, 0, hop, end, capabilities(SERVER, self._address, 2001))
        if code != ACR:
            return frame(code, application, 0, hop, end, self._success + self._tail)
        message = Message(data)
        session = message.raw(D["Session-Id"]) or b""
        number = message.first(D["Accounting-Record-Number"])
        self._count(session, number)
        kind = message.first(D["Accounting-Record-Type"])
        body = D["Session-Id"].encode(session.decode()) + self._success + self._tail + avps(
            ("Accounting-Record-Type", kind), ("Accounting-Record-Number", number), ("Acct-Application-Id", 3)
        )  # fmt: skip
        return frame(ACR, application, 0x40, hop, end, body)

    def _count(self, session: bytes, number: int) -> None:
        self._last = time.perf_counter()
        self._first = self._first or self._last
        before = self._numbers.get(session, -1)
        self.repeated += number == before
        self.disordered += number not in (before, before + 1)
        self._numbers[session] = number
        self.records += number != before


def rival(address: str, port: int) -> None:
    """python-diameter as a server that answers and stores nothing."""
    from diameter.message.commands import AccountingRequest
    from diameter.node import Node
    from diameter.node.application import SimpleThreadingApplication

    def answer(application: Any, message: AccountingRequest) -> Any:
        made = application.generate_answer(message)
        made.result_code = 2001
        made.accounting_record_type = message.accounting_record_type
        made.accounting_record_number = message.accounting_record_number
        made.acct_application_id = message.acct_application_id
        return made

    node = Node(SERVER, REALM, ip_addresses=[address], tcp_port=port)
    peer = node.add_peer(f"aaa://{CLIENT}", REALM)
    application = SimpleThreadingApplication(
        BASE_ACCOUNTING, is_acct_application=True, request_handler=answer
    )
    node.add_application(application, [peer])
    node.start()
    print("ready", flush=True)
    sys.stdin.read()
    node.stop()


def main(argv: Sequence[str]) -> int:
    """``python -m scripts.benches.acr ROLE ADDRESS PORT``."""
    role, address, port = argv[0], argv[1], int(argv[2])
    if role == "load":
        load = Load(address, port)
        print("ready", flush=True)
        for line in sys.stdin:
            count, window = map(int, line.split())
            print(json.dumps(load.phase(count, window)), flush=True)
    elif role == "sink":
        sink = Sink(address, port)
        print("ready", flush=True)
        sink.run()
    elif role == "rival":
        rival(address, port)
    else:
        from scripts.benches import acr_client

        acr_client.run(address, port)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
