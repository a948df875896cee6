"""What both SCTPs have in common: how Diameter messages become SCTP messages (RFC 6733 section 2.1.1).

::

    write ──▶ queue, while the association is full ──▶ _put(data, unordered)      stream 0, PPID 46
    pieces of an SCTP message ──_piece(octets, last)──▶ one Diameter message ──▶ owner

An unordered message can overtake others. Whoever was connected to must not send that way before it knows
that its CEA has arrived: before a second message has come. Whoever connects knows so from the CEA itself.
"""

import struct
from collections import deque
from socket import AF_INET, AF_INET6

from appliance.protocols.diameter.message.codec import HEADER_SIZE, Malformed, size_of
from appliance.protocols.diameter.transport.link import FIRST_LIMIT, Connection, Owner, text_of

#: Payload Protocol Identifier of Diameter in clear text (RFC 6733 section 11.5).
PPID = 46
IPPROTO_SCTP = 132
#: Streams that a peer may send on; we use the first only.
STREAMS = 64
#: Octets of messages that the association takes before it is full; more than the longest message.
SEND_BUFFER = 2 << 20
RECEIVE_BUFFER = 2 << 20
#: Octets of one read.
READ_SIZE = 1 << 16
#: Reads of one association before others have a turn.
READS = 64
BACKLOG = 100

# A path that is dead is left after some seconds, as signalling wants it; with the values of RFC 9260 section
# 16 it takes a minute. Milliseconds; those of an idle path are heartbeats.
RTO_INITIAL, RTO_MAX, RTO_MIN = 1_000, 4_000, 300
HEARTBEAT = 5_000
PATH_RETRANSMISSIONS, ASSOCIATION_RETRANSMISSIONS = 3, 8
#: Times that INIT is sent again, and the longest pause between two, in milliseconds.
INIT_ATTEMPTS, INIT_PAUSE = 8, 4_000

_IN = struct.Struct("=H2s4s8x")
_SHORT = struct.Struct("=H")
_PATH_CHANGE = struct.Struct("=136xII")
_IN6 = struct.Struct("=H2s4x16s4x")


def sockaddr(address: bytes, port: int) -> bytes:
    """The octets of a ``sockaddr_in`` or ``sockaddr_in6``."""
    number = port.to_bytes(2, "big")
    if len(address) == 4:
        return _IN.pack(AF_INET, number, address)
    return _IN6.pack(AF_INET6, number, address)


def parse_sockaddrs(data: bytes, count: int) -> list[tuple[bytes, int]]:
    """Address and port of so many ``sockaddr_in`` and ``sockaddr_in6`` in a row; mapped IPv4 is IPv4."""
    found: list[tuple[bytes, int]] = []
    place = 0
    for _ in range(count):
        if len(data) - place < _IN.size:
            break
        family = _SHORT.unpack_from(data, place)[0]
        form = _IN if family == AF_INET else _IN6
        if family not in (AF_INET, AF_INET6) or len(data) - place < form.size:
            break
        _, port, address = form.unpack_from(data, place)
        place += form.size
        if address[:12] == bytes(10) + b"\xff\xff":
            address = address[12:]
        found.append((address, int.from_bytes(port, "big")))
    return found


def short(data: bytes) -> int:
    """The first two octets as a number in the order of this host."""
    return int(_SHORT.unpack_from(data)[0])


class Association(Connection):
    """One SCTP association with a peer; the kinds fill in ``_put`` and what ``Connection`` wants."""

    def __init__(self, owner: Owner, number: int, incoming: bool, longest: int) -> None:
        super().__init__(owner, number, "sctp", incoming)
        self._longest = longest
        self._limit = min(longest, FIRST_LIMIT) if incoming else longest
        self._queue: deque[bytes] = deque()
        self._pieces: list[bytes] = []
        self._length = 0
        self._whole: list[bytes] = []
        self._over = False
        """Close as soon as nothing waits to be sent."""

    def trust(self) -> None:
        """The node has accepted the peer: its messages may be as long as any."""
        super().trust()
        self._limit = self._longest

    # ---- sending

    def _put(self, data: bytes, unordered: bool) -> bool:
        """Give a message to the SCTP; false when there is no room. Raises OSError."""
        raise AssertionError("each kind of association has its own")

    def _hear(self, wanted: bool) -> None:
        """Be told when there is room again, or no more."""
        raise AssertionError("each kind of association has its own")

    def _shut(self) -> None:
        """Begin the end: what was sent goes out first."""
        raise AssertionError("each kind of association has its own")

    @property
    def _unordered(self) -> bool:
        return self.received >= (2 if self.incoming else 1)

    def _send(self, data: bytes) -> None:
        if not self._queue and self._try(data):
            return
        if not self._queue:
            self._stuck()
            self._hear(True)
        self._queue.append(data)

    def _try(self, data: bytes) -> bool:
        """Send a message; true when it has not to be tried again."""
        try:
            return self._put(data, self._unordered)
        except OSError:
            # The association is at its end, which reading will tell with its reason.
            return True

    def _drain(self) -> None:
        """There may be room again."""
        queue = self._queue
        while queue and self._try(queue[0]):
            queue.popleft()
        if queue:
            return
        self._hear(False)
        self._flowing()
        if self._over:
            self._over = False
            self._shut()

    def _finish(self) -> None:
        if self._queue:
            self._over = True
        else:
            self._shut()

    # ---- receiving

    def _piece(self, data: bytes, last: bool) -> None:
        """Take what one read has brought of an SCTP message; raises Malformed."""
        if self._pieces:
            self._pieces.append(data)
            self._length += len(data)
            if self._length > self._limit:
                raise Malformed(5015, f"a message of more than {self._limit} octets")
            if not last:
                return
            data = b"".join(self._pieces)
            self._pieces = []
        elif not last:
            self._check(data, whole=False)
            self._pieces = [data]
            self._length = len(data)
            return
        self._check(data, whole=True)
        self._whole.append(data)

    def _check(self, data: bytes, whole: bool) -> None:
        if len(data) < HEADER_SIZE:
            raise Malformed(5015, f"a message of {len(data)} octets has no header")
        size = size_of(data, 0, self._limit)
        if whole and size != len(data):
            raise Malformed(5015, f"a message that says it has {size} octets has {len(data)}")

    def _path(self, data: bytes, lost: int, back: int) -> None:
        """Take the notification about an address of the peer (struct sctp_paddr_change)."""
        state, _error = _PATH_CHANGE.unpack_from(data)
        where = parse_sockaddrs(data[8:36], 1)
        if state not in (lost, back) or not where or self.owner is None:
            return
        text = text_of(where[0][0])
        self.owner.noticed(self, f"address {text} {'is lost' if state == lost else 'is back'}")

    def _batch(self, fault: Malformed | None = None, head: bytes = b"") -> None:
        """Give the owner what one turn has brought."""
        whole, self._whole = self._whole, []
        if whole:
            self._deliver(whole)
        if fault is not None:
            self._garbled(fault, head[:HEADER_SIZE])
        else:
            self._partial(bool(self._pieces))
