"""A gateway as delegating router on its access links (RFC 7148 section 5.1, RFC 8415): what the anchor has
delegated to a mobile router's session is what the router gets by DHCPv6, and nothing else.

::

    UDP 547 in a frame of a mobile ─▶ PrefixServer ⇄ its session's delegated prefixes ─▶ frame to UDP 546

All gateways have the same DUID, as they have the same link-layer address (RFC 6543 section 4), so that a
router which has moved goes on where it was.
"""

from struct import Struct
from typing import Any, NamedTuple

from appliance.counters import CounterSet
from appliance.protocols.access import dhcpv6 as dhcp
from appliance.protocols.access.dhcp6_server import PrefixServer
from appliance.protocols.access.dhcpv6 import Prefix
from appliance.protocols.access.events import SendFrame
from appliance.protocols.access.mobiles import Mobile
from appliance.protocols.access.ndp import HEADER, is_link_local
from appliance.protocols.bits import DecodeError, internet_checksum, pseudo_header
from appliance.protocols.pmipv6.events import PrefixesWanted
from appliance.protocols.pmipv6.settings import MagSettings

_ETHERNET, _IPV6, _UDP = Struct("!6s6sH"), Struct("!IHBB16s16s"), Struct("!HHHH")
_ETHERTYPE, _PROTOCOL = 0x86DD, 17
#: RFC 8415 section 11.4 (DUID-LL), hardware type 1 (Ethernet).
_DUID = bytes((0, 3, 0, 1))
_WISHES = (dhcp.SOLICIT, dhcp.REQUEST, dhcp.RENEW, dhcp.REBIND)
#: Seconds for which a client gets no answer while the anchor is asked, and until it is asked again.
PATIENCE, AGAIN = 3.0, 60.0


class Datagram(NamedTuple):
    """A client's message."""

    source: bytes
    data: bytes


def parse(frame: bytes) -> Datagram | None:
    """Read a whole Ethernet ``frame`` that carries IPv6; ``None``: it is no message of a DHCPv6 client.

    Raises DecodeError for lengths or a checksum that are wrong.
    """
    if len(frame) < HEADER + _IPV6.size + _UDP.size:
        return None
    _, length, following, _, source, destination = _IPV6.unpack_from(frame, HEADER)
    start = HEADER + _IPV6.size
    _, port, size, checksum = _UDP.unpack_from(frame, start)
    if following != _PROTOCOL or port != dhcp.SERVER_PORT or not is_link_local(source):
        return None
    body = frame[start : start + length]
    if len(body) != length or size != length or not checksum:
        raise DecodeError("DHCPv6 lengths do not fit")
    if internet_checksum(pseudo_header(source, destination, length, _PROTOCOL) + body):
        raise DecodeError("UDP checksum is wrong")
    return Datagram(source, body[_UDP.size :])


class LinkDelegator:
    """Answers the requesting routers of one MAG service; its effects go to those of the access core."""

    def __init__(self, settings: MagSettings, counters: CounterSet) -> None:
        self._values = counters.values
        self._sent, self._ignored = map(counters.table.index, ("dhcp/delegation-sent", "dhcp/ignored"))
        self.reconfigure(settings)

    def reconfigure(self, settings: MagSettings) -> None:
        """Answer from these addresses from now on."""
        self._on_demand = settings.delegation_on_demand
        self._link_layer, self._link_local = settings.link_layer, settings.link_local
        self._server = PrefixServer(_DUID + settings.link_layer)

    def receive(self, mobile: Mobile, asked: Datagram, mono: float, out: list[Any]) -> None:
        """Take a message of a mobile node with a session. Raises DecodeError."""
        kind = asked.data[0] if asked.data else 0
        if self._on_demand and kind in _WISHES and self._fetches(mobile, mono, out):
            return
        answer = self._server.answer(asked.data, _Source(mobile, mono))
        if answer is None:
            self._values[self._ignored] += 1
            return
        self._values[self._sent] += 1
        out.append(SendFrame(mobile.interface, self._frame(mobile, asked, answer)))
        if kind == dhcp.RELEASE and mobile.requesting is None and mobile.prefixes_asked is not None:
            mobile.prefixes_asked = None
            out.append(PrefixesWanted(mobile.interface, mobile.link_layer, False))

    @staticmethod
    def _fetches(mobile: Mobile, mono: float, out: list[Any]) -> bool:
        """Whether the anchor is being asked: the client's next message finds what it has answered."""
        if mobile.advertise is None or mobile.advertise.delegated:
            return False
        since = mobile.prefixes_asked
        if since is None or mono > since + AGAIN:
            mobile.prefixes_asked = mono
            out.append(PrefixesWanted(mobile.interface, mobile.link_layer))
            return True
        return mono < since + PATIENCE

    def _frame(self, mobile: Mobile, asked: Datagram, answer: bytes) -> bytes:
        port = dhcp.SERVER_PORT if answer[0] == dhcp.RELAY_REPLY else dhcp.CLIENT_PORT
        length = _UDP.size + len(answer)
        whole = _UDP.pack(dhcp.SERVER_PORT, port, length, 0) + answer
        pseudo = pseudo_header(self._link_local, asked.source, length, _PROTOCOL)
        checksum = internet_checksum(pseudo + whole) or 0xFFFF
        head = _ETHERNET.pack(mobile.link_layer, self._link_layer, _ETHERTYPE)
        head += _IPV6.pack(6 << 28, length, _PROTOCOL, 255, self._link_local, asked.source)
        return head + whole[:6] + checksum.to_bytes(2, "big") + whole[8:]


class _Source:
    """The prefixes of one session at one moment (``dhcp6_server.Source``); they are leased while it lasts.

    A router has one set of them; of a second association of the same client there is none.
    """

    __slots__ = ("_mobile", "_prefixes", "valid")

    def __init__(self, mobile: Mobile, mono: float) -> None:
        event = mobile.advertise
        self._mobile = mobile
        self.valid = 0 if event is None else max(0, int(mobile.valid_until - mono))
        self._prefixes = event.delegated if event is not None and self.valid else ()

    def held(self, client: bytes, iaid: int) -> tuple[Prefix, ...]:
        return self._prefixes if self._mobile.requesting == (client, iaid) else ()

    def offer(self, client: bytes, iaid: int, wanted: tuple[Prefix, ...]) -> tuple[Prefix, ...]:
        asks = self._mobile.requesting
        return () if asks is not None and asks[0] == client and asks[1] != iaid else self._prefixes

    def lease(
        self, client: bytes, iaid: int, wanted: tuple[Prefix, ...], exactly: bool
    ) -> tuple[Prefix, ...]:
        found = self.offer(client, iaid, wanted)
        if not found or (exactly and not set(wanted) <= set(found)):
            return ()
        self._mobile.requesting = (client, iaid)
        return found

    def release(self, client: bytes, iaid: int) -> bool:
        if self._mobile.requesting != (client, iaid):
            return False
        self._mobile.requesting = None
        return True
