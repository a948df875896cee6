"""What strangers do to a port: ``python -m test.real.strangers PORT SECONDS`` in their victim's namespace.

Two hundred connects a second: one half says nothing, the other half something that is no SSH. Prints how many
connects there were.
"""

import contextlib
import os
import socket
import sys
import time

PER_SECOND = 200
KEPT = 100


def main(port: int, seconds: float) -> None:
    """Connect until the time is over."""
    held: list[socket.socket] = []
    begun = time.monotonic()
    count = 0
    while (passed := time.monotonic() - begun) < seconds:
        if count > passed * PER_SECOND:
            time.sleep(0.002)
            continue
        stranger = socket.socket(socket.AF_INET6)
        stranger.settimeout(1.0)
        # Refused or cut off: that is the victim's right.
        with contextlib.suppress(OSError):
            stranger.connect(("::1", port))
            if count % 2:
                stranger.sendall(os.urandom(2000))
        held.append(stranger)
        count += 1
        if len(held) > KEPT:
            held.pop(0).close()
    print(count)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
