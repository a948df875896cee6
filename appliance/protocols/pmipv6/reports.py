"""What a mobility node says about messages that it cannot use, never more often than is healthy.

Binding Error status 2 and ICMPv6 Parameter Problem (RFC 6275 section 9.2) share one budget
(RFC 4443 section 2.4 f); lines for the log have one budget per kind. A stranger who sends
rubbish as fast as he can gets a few answers a second and the operator a few lines.
"""

from ipaddress import ip_address
from typing import Any

from appliance.protocols.bits import internet_checksum, pseudo_header
from appliance.protocols.mobility.codec import encode
from appliance.protocols.mobility.messages import BindingError
from appliance.protocols.mobility.status import BE_UNKNOWN_MH_TYPE
from appliance.protocols.pmipv6.events import Notify, PacketReceived, Send, SendIcmp
from appliance.protocols.pmipv6.pba import sealed
from appliance.protocols.timers import Now

#: Error messages per second, and how many may come at once.
ERRORS_PER_SECOND, ERRORS_AT_ONCE = 10.0, 10.0
#: Seconds between two log lines of one kind.
NOTICE_INTERVAL = 10.0

_MINIMUM_MTU = 1280
_IPV6_HEADER = 40
_ICMP_HEADER = 8
_MOBILITY, _ICMPV6 = 135, 58


class Budget:
    """A token bucket: ``rate`` per second, at most ``most`` at once."""

    __slots__ = ("_left", "_most", "_rate", "_when")

    def __init__(self, rate: float, most: float) -> None:
        self._rate = rate
        self._most = most
        self._left = most
        self._when = 0.0

    def spend(self, mono: float) -> bool:
        """Take one if there is one."""
        self._left = min(self._most, self._left + max(0.0, mono - self._when) * self._rate)
        self._when = mono
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Reports:
    """The error messages and log lines of one service."""

    __slots__ = ("_budget", "_again", "_silent")

    def __init__(self) -> None:
        self._budget = Budget(ERRORS_PER_SECOND, ERRORS_AT_ONCE)
        self._again: dict[str, float] = {}
        self._silent: dict[str, int] = {}

    def notice(self, kind: str, text: str, now: Now, out: list[Any]) -> None:
        """A warning for the log unless one of this ``kind`` (a fixed word) came a moment ago."""
        if now.mono < self._again.get(kind, now.mono):
            self._silent[kind] = self._silent.get(kind, 0) + 1
            return
        self._again[kind] = now.mono + NOTICE_INTERVAL
        hidden = self._silent.pop(kind, 0)
        out.append(Notify("warning", f"{text} ({hidden} more like this)" if hidden else text))

    def stranger(self, what: str, event: PacketReceived, now: Now, out: list[Any]) -> None:
        """The same about ``what`` (a fixed word) of a node that is no peer."""
        text = f"{what} of {ip_address(event.source)}, which is no mag-peer, are dropped"
        self.notice(f"{what} of strangers", text, now, out)

    def binding_error(
        self,
        event: PacketReceived,
        now: Now,
        out: list[Any],
        status: int = BE_UNKNOWN_MH_TYPE,
        home: bytes = bytes(16),
    ) -> bool:
        """Binding Error, ``home``: that of the Home Address option; returns whether it was sent."""
        if not self._budget.spend(now.mono):
            return False
        mh = encode(BindingError(status, home))
        data = sealed(mh, event.destination, event.source, event.port)
        out.append(Send(data, event.destination, event.source, event.port))
        return True

    def parameter_problem(
        self,
        event: PacketReceived,
        offset: int,
        now: Now,
        out: list[Any],
        ahead: bytes = b"",
        first: int = _MOBILITY,
    ) -> bool:
        """ICMPv6 type 4 code 0 whose pointer is at ``offset`` of the Mobility Header; whether it was sent.

        ``ahead``: the extension headers before it, of which ``first`` is the first one's number.
        Over UDP there is no IPv6 packet to point into. The IPv6 header of the packet is made again from
        what the socket tells: flow label, traffic class and hop limit are not known any more.
        """
        if event.port or not self._budget.spend(now.mono):
            return False
        head = b"\x60\0\0\0%b%c\x40%b%b" % (
            (len(ahead) + len(event.data)).to_bytes(2, "big"),
            first,
            event.source,
            event.destination,
        )
        quoted = (head + ahead + event.data)[: _MINIMUM_MTU - _IPV6_HEADER - _ICMP_HEADER]
        pointer = (_IPV6_HEADER + len(ahead) + offset).to_bytes(4, "big")
        body = b"\x04\0\0\0" + pointer + quoted
        pseudo = pseudo_header(event.destination, event.source, len(body), _ICMPV6)
        data = body[:2] + internet_checksum(pseudo + body).to_bytes(2, "big") + body[4:]
        out.append(SendIcmp(data, event.destination, event.source))
        return True
