"""Membership in the solicited-node groups of defended addresses (RFC 4861 section 7.2.8), by MLD version 2.

::

    binding made ─▶ report of its group
    General Query ─▶ reports of all groups, in slices within the time that the query gives
    query about one solicited-node group ─▶ report of it

The socket hears all groups anyway; this is for switches that look into MLD and send a group only to its
members. The kernel is not asked to join, for it would keep an object for each group.
"""

from collections import deque
from collections.abc import Callable, Iterable
from struct import Struct

from appliance.protocols.access import ndp
from appliance.protocols.bits import internet_checksum, pseudo_header
from appliance.protocols.mipv6.events import HomeLinkUp
from appliance.protocols.timers import Now

#: Records of one report: within 1,280 octets.
RECORDS = 60
#: Seconds between two slices, and the least time between two General Queries that are answered.
STEP, RARELY = 0.1, 5.0
IS_EXCLUDE, TO_EXCLUDE = 2, 4
_QUERY, _REPORT, _ICMPV6 = 130, 143, 58
_REPORTERS = bytes.fromhex("ff020000000000000000000000000016")
_REPORTERS_LINK = bytes.fromhex("333300000016")
_SOLICITED = bytes.fromhex("ff0200000000000000000001ff")
#: Hop-by-Hop Options with Router Alert for MLD (RFC 2711), and padding.
_ALERT = bytes.fromhex("3a00050200000100")
_ETHERNET, _HEADER = Struct(">6s6sH"), Struct(">IHBB16s16s")
_AT = 14 + 40 + 8


def report(link: HomeLinkUp, kind: int, groups: Iterable[bytes]) -> bytes:
    """The frame of a report with a record of one kind for each group (RFC 3810 section 5.2)."""
    records = [bytes((kind, 0, 0, 0)) + group for group in groups]
    body = b"".join((bytes((_REPORT, 0, 0, 0, 0, 0)), len(records).to_bytes(2, "big"), *records))
    check = internet_checksum(pseudo_header(link.address, _REPORTERS, len(body), _ICMPV6) + body)
    body = body[:2] + check.to_bytes(2, "big") + body[4:]
    return b"".join(
        (
            _ETHERNET.pack(_REPORTERS_LINK, link.link_layer, ndp.ETHERTYPE_IPV6),
            _HEADER.pack(6 << 28, 8 + len(body), 0, 1, link.address, _REPORTERS),
            _ALERT,
            body,
        )
    )


def queried(frame: bytes) -> tuple[bytes, float] | None:
    """The group that a query is about (all zero: all) and the seconds for an answer; ``None``: it is none.

    RFC 3810 section 6.2: from a link-local address, hop limit 1; both versions begin alike.
    """
    if len(frame) < _AT + 24 or frame[20] != 0 or frame[54] != _ICMPV6 or frame[55] != 0:
        return None
    if frame[_AT] != _QUERY or frame[21] != 1 or not ndp.is_link_local(frame[22:38]):
        return None
    end = 54 + (frame[18] << 8 | frame[19])
    body = frame[_AT:end]
    if end > len(frame) or len(body) < 24:
        return None
    if internet_checksum(pseudo_header(frame[22:38], frame[38:54], len(body), _ICMPV6) + body):
        return None
    code = body[4] << 8 | body[5]
    if code & 0x8000:
        # RFC 3810 section 5.1.3: mantissa and exponent.
        code = (code & 0xFFF | 0x1000) << ((code >> 12 & 7) + 3)
    return body[8:24], code / 1000


class Listening:
    """What is reported on one link."""

    __slots__ = ("_all", "_due", "_quiet_until", "_slice")

    def __init__(self) -> None:
        #: Call ids still to be reported since the last General Query, so many at a time.
        self._all: deque[int] = deque()
        self._slice = 1
        self._due = 0.0
        self._quiet_until = 0.0

    def forget(self) -> None:
        """The link is not there any more."""
        self._all.clear()

    @property
    def deadline(self) -> float | None:
        """When :meth:`tick` is wanted, in monotonic seconds."""
        return self._due if self._all else None

    def asked(self, frame: bytes, calls: Iterable[int], link: HomeLinkUp, now: Now) -> bytes:
        """A frame that may be a query; ``calls``: all bindings. Returns an answer to send at once, if any.

        About one group we always say that we listen: a group too much is better than one too few, and nobody
        can make us look for it.
        """
        found = queried(frame)
        if found is None:
            return b""
        group, seconds = found
        if any(group):
            return report(link, IS_EXCLUDE, (group,)) if group.startswith(_SOLICITED) else b""
        if now.mono >= self._quiet_until:
            self._quiet_until = now.mono + RARELY
            self._all = deque(calls)
            # Half of the time has to do, so that the last one is not late.
            self._slice = 1 + int(len(self._all) * 2 * STEP / max(seconds, 2 * STEP))
            self._due = now.mono
        return b""

    def tick(
        self, link: HomeLinkUp, addresses: Callable[[int], Iterable[bytes]], now: Now
    ) -> list[bytes]:
        """The frames of one slice; ``addresses(call_id)``: those that are defended for a binding."""
        if not self._all or self._due > now.mono:
            return []
        number = min(self._slice, len(self._all))
        found = [each for _ in range(number) for each in addresses(self._all.popleft())]
        groups = list(dict.fromkeys(map(ndp.solicited_node, found)))
        self._due = now.mono + STEP
        return [report(link, IS_EXCLUDE, groups[at : at + RECORDS]) for at in range(0, len(groups), RECORDS)]
