"""A Diameter client as plain as can be, that forgets no record until it is acknowledged.

It keeps a window of requests on one connection, answers watchdogs, and after a lost connection sends again
what was not answered, with the T flag, like a client with a spool does.
"""

import socket
import time
from collections import Counter
from collections.abc import Callable

from attrs import define

from appliance.protocols.diameter.message.codec import Message, frame, size_of
from appliance.protocols.diameter.message.dictionary import standard

D = standard()
IDENTITY, REALM = "lma1.home.example", "home.example"
ORIGIN = D["Origin-Host"].encode(IDENTITY) + D["Origin-Realm"].encode(REALM)
RECORD = {"START": 2, "INTERIM": 3, "STOP": 4}


def acr(session: str, number: int, kind: str, user: str = "mn1@home.example") -> bytes:
    """The AVPs of an accounting request."""
    return b"".join(
        (
            D["Session-Id"].encode(session),
            ORIGIN,
            D["Destination-Realm"].encode(REALM),
            D["Accounting-Record-Type"].encode(RECORD[kind]),
            D["Accounting-Record-Number"].encode(number),
            D["Acct-Application-Id"].encode(3),
            D["User-Name"].encode(user),
            D["Event-Timestamp"].encode(1_795_417_200),
            D["Acct-Session-Time"].encode(60 * number),
            D["Accounting-Input-Octets"].encode(1_000 * number),
            D["Accounting-Output-Octets"].encode(2_000 * number),
        )
    )


@define(slots=True)
class Record:
    """One that has to be delivered."""

    end_to_end: int
    avps: bytes
    repeated: bool = False


class Client:
    """Delivers records to one server."""

    def __init__(self, port: int, window: int = 64) -> None:
        self.port = port
        self.window = window
        self.results: Counter[int] = Counter()
        """Answers by Result-Code."""
        self._socket: socket.socket | None = None
        self._buffer = b""

    def connect(self, seconds: float = 20.0) -> None:
        """Connect and exchange capabilities; tries until it works."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                self.close()
                self._socket = socket.create_connection(("127.0.0.1", self.port), 5)
                self._socket.settimeout(20)
                body = ORIGIN + b"".join(
                    (
                        D["Host-IP-Address"].encode(bytes((127, 0, 0, 1))),
                        D["Vendor-Id"].encode(0),
                        D["Product-Name"].encode("test"),
                        D["Auth-Application-Id"].encode(1),
                        D["Acct-Application-Id"].encode(3),
                    )
                )
                self._socket.sendall(frame(257, 0, 0x80, 1, 1, body))
                answer = self.receive()
                assert answer.first(D["Result-Code"]) == 2001, answer.first(D["Error-Message"])
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def close(self) -> None:
        """Close the connection."""
        connection, self._socket = self._socket, None
        self._buffer = b""
        if connection is not None:
            connection.close()

    def receive(self) -> Message:
        """The next message; watchdogs are answered. Raises OSError when the connection is lost."""
        while True:
            message = self._next()
            if message.is_request and message.code == 280:
                self._send(message.answer(2001, IDENTITY, REALM))
                continue
            return message

    def _next(self) -> Message:
        assert self._socket is not None
        while len(self._buffer) < 4 or len(self._buffer) < size_of(self._buffer):
            data = self._socket.recv(65_536)
            if not data:
                raise ConnectionResetError("closed")
            self._buffer += data
        size = size_of(self._buffer)
        message, self._buffer = Message(self._buffer[:size]), self._buffer[size:]
        return message

    def _send(self, data: bytes) -> None:
        assert self._socket is not None
        self._socket.sendall(data)

    def deliver(self, records: list[Record], meanwhile: Callable[[int], None] = lambda _: None) -> None:
        """Send all, and send them again until each was answered with success.

        ``meanwhile`` is told how many are acknowledged, after each answer.
        """
        waiting = {record.end_to_end: record for record in records}
        total = len(waiting)
        while waiting:
            try:
                self._round(waiting, total, meanwhile)
            except OSError:
                for record in waiting.values():
                    record.repeated = True
                self.connect()

    def _round(self, waiting: dict[int, Record], total: int, meanwhile: Callable[[int], None]) -> None:
        if self._socket is None:
            self.connect()
        queue = list(waiting.values())
        place = outstanding = 0
        while outstanding or place < len(queue):
            while outstanding < self.window and place < len(queue):
                record = queue[place]
                flags = 0xD0 if record.repeated else 0xC0
                self._send(frame(271, 3, flags, place, record.end_to_end, record.avps))
                place += 1
                outstanding += 1
            answer = self.receive()
            outstanding -= 1
            result = answer.first(D["Result-Code"])
            self.results[result] += 1
            if result == 2001:
                waiting.pop(answer.end_to_end, None)
                meanwhile(total - len(waiting))
        if waiting:
            time.sleep(0.2)
