"""A TCP connection that proves its own continuity: numbered lines there and back.

``python -m scripts.tcplines server ADDRESS PORT`` answers every line with the same
line. ``... client ADDRESS PORT SOURCE`` sends ``0``, ``1``, ``2`` ... every 20 ms over ONE
connection and checks that the answers come back complete and in order; on SIGTERM it
closes in an orderly way, waits for the last answer and prints one JSON object. Any gap,
repetition, reset or time-out is an error in that object. Standard library only.
"""

import contextlib
import json
import signal
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path

INTERVAL = 0.02
#: How long the last answers may take, seconds; TCP's own back-off after a gap included.
DRAIN = 15.0


def serve(address: str, port: int) -> None:
    """Echo the lines of one connection after the other, for ever."""
    with socket.create_server((address, port), family=socket.AF_INET6) as listener:
        print("listening", flush=True)
        while True:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(ConnectionError):
                while data := connection.recv(65536):
                    connection.sendall(data)


class Client:
    """One connection of numbered lines."""

    def __init__(self, address: str, port: int, source: str, progress: Path | None) -> None:
        self.connection = socket.create_connection((address, port), timeout=10, source_address=(source, 0))
        self.local = self.connection.getsockname()[:2]
        self.progress = progress
        self.sent = self.answered = 0
        self.longest = 0.0
        self.last = time.monotonic()
        self.pending = b""
        self.error = ""
        self.stopping = False

    def run(self) -> dict[str, object]:
        """Exchange lines until SIGTERM or an error; returns what happened."""
        signal.signal(signal.SIGTERM, self._stop)
        self.connection.settimeout(INTERVAL)
        try:
            while not self.stopping and not self.error:
                self.connection.sendall(b"%d\n" % self.sent)
                self.sent += 1
                self._listen(time.monotonic() + INTERVAL)
            self.connection.shutdown(socket.SHUT_WR)
            until = time.monotonic() + DRAIN
            while self.answered < self.sent and not self.error and time.monotonic() < until:
                self._listen(time.monotonic() + INTERVAL)
        except OSError as failure:
            self.error = f"{type(failure).__name__}: {failure}"
        if not self.error and self.answered != self.sent:
            self.error = f"{self.sent - self.answered} lines were never answered"
        return {
            "local": list(self.local),
            "sent": self.sent,
            "answered": self.answered,
            "longest_silence_s": round(self.longest, 3),
            "error": self.error,
        }

    def _stop(self, *_: object) -> None:
        self.stopping = True

    def _listen(self, until: float) -> None:
        """Take answers until a moment has come; each must be the next number."""
        while (rest := until - time.monotonic()) > 0 and not self.error:
            self.connection.settimeout(rest)
            try:
                data = self.connection.recv(65536)
            except TimeoutError:
                return
            if not data:
                if self.answered < self.sent:
                    self.error = f"closed by the peer after {self.answered} of {self.sent} lines"
                return
            now = time.monotonic()
            self.longest, self.last = max(self.longest, now - self.last), now
            *lines, self.pending = (self.pending + data).split(b"\n")
            for line in lines:
                if line != b"%d" % self.answered:
                    self.error = f"line {self.answered} expected, {line.decode(errors='replace')!r} came"
                    return
                self.answered += 1
            if self.progress:
                self.progress.write_text(str(self.answered))


def main(argv: Sequence[str]) -> int:
    """Run as server or client; returns the exit status."""
    if argv[0] == "server":
        serve(argv[1], int(argv[2]))
        return 0
    progress = Path(argv[4]) if len(argv) > 4 else None
    result = Client(argv[1], int(argv[2]), argv[3], progress).run()
    print(json.dumps(result))
    return 1 if result["error"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
