"""Cuts a stream of octets into Diameter messages (RFC 6733 section 3)."""

from appliance.protocols.diameter.message.codec import HEADER_SIZE, Malformed, size_of

#: Octets that tell version and length of a message.
_FRONT = 4


class Framer:
    """What one connection has read and nobody has taken yet.

    ``longest`` is the longest message that is taken, in octets; it may be changed at any time. Once ``fault``
    is set, the stream cannot be read any further; ``head`` then is the begin of what is no message.
    """

    __slots__ = ("longest", "fault", "head", "_rest", "_need")

    def __init__(self, longest: int) -> None:
        self.longest = longest
        self.fault: Malformed | None = None
        self.head = b""
        self._rest = bytearray()
        self._need = _FRONT

    @property
    def waiting(self) -> int:
        """Octets that have been read and not been given out."""
        return len(self._rest)

    def feed(self, data: bytes, most: int) -> list[bytes]:
        """Take octets in and give at most ``most`` whole messages out; ``b""`` asks for those left over."""
        if self.fault is not None:
            return []
        if self._rest:
            self._rest += data
            if len(self._rest) < self._need:
                # A long message comes in many pieces: they are looked at when it is whole.
                return []
            data = bytes(self._rest)
        return self._cut(data, most)

    def _cut(self, data: bytes, most: int) -> list[bytes]:
        found: list[bytes] = []
        place, end, longest = 0, len(data), self.longest
        self._need = _FRONT
        try:
            while end - place >= _FRONT and len(found) < most:
                size = size_of(data, place, longest)
                if end - place < size:
                    self._need = size
                    break
                found.append(data[place : place + size])
                place += size
            else:
                if place < end and data[place] != 1:
                    # Fewer than four octets, and no message can begin so.
                    size_of(data[place : place + _FRONT] + bytes(_FRONT), 0, longest)
        except Malformed as fault:
            self.fault = fault
            self.head = data[place : place + HEADER_SIZE]
            place = end
        self._rest = bytearray(data[place:])
        return found
