"""Answers that were given, for requests that come again (RFC 6733 sections 3 and 5.5.4).

A request is known by Origin-Host and End-to-End Id. Command and Session-Id are compared too: a client that
counts from the same number after each start must not get answers to other questions.
"""

from collections import deque

from appliance.protocols.diameter.message.codec import (
    ERROR,
    HEADER_SIZE,
    PROXY_INFO,
    Malformed,
    Message,
    cut,
    frame,
)

#: Answers, and octets of them, that are kept at one time.
MOST, MOST_OCTETS = 200_000, 64 << 20

#: A Result-Code AVP up to its value.
_RESULT = bytes.fromhex("0000010c4000000c")

Key = tuple[bytes, int, int, bytes | None]


def passing(answer: bytes) -> bool:
    """Whether an answer says that it may be another one later: of class 3xxx or 4xxx.

    Nothing was done for such a request. Who sends it again, from a spool perhaps, wants it done.
    """
    if len(answer) > 4 and answer[4] & ERROR:
        return True
    place = answer.find(_RESULT, HEADER_SIZE)
    return place >= 0 and int.from_bytes(answer[place + 8 : place + 12], "big") // 1_000 == 4


class Duplicates:
    """The answers of the last ``seconds``; 0: none are kept."""

    __slots__ = ("seconds", "_answers", "_order", "_octets")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._answers: dict[Key, bytes] = {}
        self._order: deque[tuple[float, Key]] = deque()
        self._octets = 0

    def __len__(self) -> int:
        return len(self._answers)

    def get(self, key: Key, mono: float) -> bytes | None:
        """The answer that was given, if it is not too old."""
        if self._order and self._order[0][0] <= mono:
            self._trim(mono)
        return self._answers.get(key)

    def put(self, key: Key, answer: bytes, mono: float) -> None:
        """Note an answer that stays true, and forget those that are too old, or too many."""
        size = _size(key, answer)
        if not self.seconds or size > MOST_OCTETS // 64 or passing(answer):
            return
        answers, order = self._answers, self._order
        old = answers.get(key)
        if old is None:
            order.append((mono + self.seconds, key))
        else:
            self._octets -= _size(key, old)
        answers[key] = answer
        self._octets += size
        if order[0][0] <= mono or len(answers) > MOST or self._octets > MOST_OCTETS:
            self._trim(mono)

    def _trim(self, mono: float) -> None:
        answers, order = self._answers, self._order
        while order and (order[0][0] <= mono or len(answers) > MOST or self._octets > MOST_OCTETS):
            key = order.popleft()[1]
            self._octets -= _size(key, answers.pop(key))

    def clear(self) -> None:
        """Forget all."""
        self._answers.clear()
        self._order.clear()
        self._octets = 0


def _size(key: Key, answer: bytes) -> int:
    return len(answer) + len(key[0]) + len(key[3] or b"")


def again(answer: bytes, request: Message) -> bytes:
    """The same answer to the same request that came another way: other Hop-by-Hop Id, other Proxy-Info."""
    first = Message(answer)
    try:
        proxies = request.having(PROXY_INFO)
        if not proxies and not first.having(PROXY_INFO):
            return first.with_hop_by_hop(request.hop_by_hop)
        of_proxies = (PROXY_INFO.code, PROXY_INFO.vendor)
        body = [avp.octets for avp in cut(answer, HEADER_SIZE) if (avp.code, avp.vendor) != of_proxies]
    except Malformed:
        return first.with_hop_by_hop(request.hop_by_hop)
    body += [avp.octets for avp in proxies]
    return frame(
        first.code, first.application, first.flags, request.hop_by_hop, first.end_to_end, b"".join(body)
    )
