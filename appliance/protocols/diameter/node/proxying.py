"""What agents add to requests and take from answers (RFC 6733 sections 6.1.9, 6.2.2 and 6.7).

A proxy's Proxy-State is the Hop-by-Hop Id that the request had and a keyed digest of it, the End-to-End Id
and the peer that it came from: an answer whose state is not ours is noted. The proxy keeps the state of each
request itself too, so that nobody can direct an answer by what he writes there.
"""

import hmac

from appliance.protocols.diameter.message.codec import HEADER_SIZE, PROXY_INFO, Message, frame
from appliance.protocols.diameter.message.dictionary import standard
from appliance.protocols.diameter.message.types import fold

_D = standard()
ROUTE_RECORD, PROXY_HOST, PROXY_STATE = _D["Route-Record"], _D["Proxy-Host"], _D["Proxy-State"]

#: Octets of the key, and of the digest.
KEY_SIZE, DIGEST_SIZE = 32, 16


class Proxy:
    """Makes and checks the Proxy-Info of one node."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        """``key``: random octets that nobody else knows."""
        self._key = key

    def _state(self, hop: int, end_to_end: int, peer: str) -> bytes:
        front = hop.to_bytes(4, "big")
        text = front + end_to_end.to_bytes(4, "big") + peer.encode()
        return front + hmac.digest(self._key, text, "sha256")[:DIGEST_SIZE]

    def info(self, identity: str, request: Message, peer: str) -> bytes:
        """The Proxy-Info AVP for a request that came from ``peer`` (folded identity)."""
        state = self._state(request.hop_by_hop, request.end_to_end, peer)
        return PROXY_INFO.encode(PROXY_HOST.encode(identity) + PROXY_STATE.encode(state))

    def strip(self, answer: Message, identity: str, request: Message, peer: str) -> tuple[bytes, bool]:
        """The answer for ``peer`` without our Proxy-Info, and whether that was there and right.

        Only the last Proxy-Info can be ours. Raises Malformed and BadValue.
        """
        avps = answer.avps
        place = max(
            (i for i, avp in enumerate(avps) if avp.code == PROXY_INFO.code and not avp.vendor), default=-1
        )
        good = False
        body = answer.body
        if place >= 0:
            group = answer.all(PROXY_INFO)[-1]
            if fold(group.first(PROXY_HOST) or "") == fold(identity):
                expected = self._state(request.hop_by_hop, request.end_to_end, peer)
                good = hmac.compare_digest(group.raw(PROXY_STATE) or b"", expected)
                start = HEADER_SIZE + sum(len(avp.octets) for avp in avps[:place])
                end = start + len(avps[place].octets)
                body = answer.data[HEADER_SIZE:start] + answer.data[end:]
        front = (answer.code, answer.application, answer.flags, request.hop_by_hop, answer.end_to_end)
        return frame(*front, body), good


def records(request: Message) -> frozenset[str]:
    """Folded identities of the Route-Records. Raises Malformed and BadValue."""
    return frozenset(fold(identity) for identity in request.all(ROUTE_RECORD))
