"""Which Diameter messages are about a mobile node: by User-Name, by an address, and by the sessions so found.

An answer, an STR or an ASR need not name the user; its Session-Id stands right behind the header and is
looked up without decoding anything.
"""

from collections.abc import Callable, Container, Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from appliance.protocols.diameter.message.codec import HEADER_SIZE, Message
from appliance.protocols.diameter.message.dictionary import standard
from appliance.tap import TappedDiameter

#: Sessions that are followed by one selector.
SESSIONS = 1_000

_D = standard()
USER_NAME = _D["User-Name"]
_SESSION_ID = _D["Session-Id"].code
_AGENT = _D["MIP6-Agent-Info"]
_ADDRESSES = (_D["MIP-Mobile-Node-Address"], _D["PMIP6-IPv4-Home-Address"])
_PREFIX = _D["MIP6-Home-Link-Prefix"]

Address = IPv4Address | IPv6Address


def session_id(data: bytes) -> bytes:
    """Session-Id of a message; empty if it does not begin with one."""
    begin = HEADER_SIZE + 8
    if int.from_bytes(data[HEADER_SIZE : HEADER_SIZE + 4], "big") != _SESSION_ID:
        return b""
    return data[begin : HEADER_SIZE + int.from_bytes(data[begin - 3 : begin], "big")]


class DiameterSelector:
    """The part of a selector that looks at Diameter messages."""

    def __init__(self) -> None:
        self._sessions: dict[bytes, None] = {}
        """Those that are followed, the oldest first."""

    def maybe(self, item: TappedDiameter, needles: Sequence[bytes]) -> bool:
        """Whether it can be wanted, found out without decoding."""
        data = item.data
        return session_id(data) in self._sessions or any(needle in data for needle in needles)

    def wants(
        self,
        item: TappedDiameter,
        address: Address | None,
        fits: Callable[[bytes], bool],
        learn: Callable[[bytes], None],
    ) -> bool:
        """Whether it is wanted; asked only after :meth:`maybe`.

        ``fits`` tells whether a user is meant; ``learn`` is told who turned out to have ``address``.
        """
        session = session_id(item.data)
        if session in self._sessions:
            return True
        if len(item.data) < HEADER_SIZE:
            return True
        try:
            message = Message(item.data)
            user = message.raw(USER_NAME) or b""
            if not fits(user):
                if address is None or not any(address in each for each in _networks(message)):
                    return False
                if user:
                    learn(user)
        except ValueError:
            # It cannot be decoded; the octets that are looked for are in there.
            return True
        self._follow(session)
        return True

    def _follow(self, session: bytes) -> None:
        if session:
            if len(self._sessions) >= SESSIONS:
                del self._sessions[next(iter(self._sessions))]
            self._sessions[session] = None


def _networks(message: Message) -> Iterator[Container[Address]]:
    """Home addresses and home network prefixes of a message, also those in a MIP6-Agent-Info."""
    for group in (message, *message.all(_AGENT)):
        for avp in _ADDRESSES:
            for value in group.all(avp):
                if len(value) in (4, 16):
                    yield (ip_address(value),)
        for prefix in group.having(_PREFIX):
            data = prefix.data
            if len(data) == 17 and 0 < data[0] <= 128:
                yield ip_network((data[1:], data[0]), strict=False)
