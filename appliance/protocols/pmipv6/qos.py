"""Requests for quality of service (RFC 7222): what they ask for, how much of it can be given. No I/O.

Bit rates of a session are policed, its traffic class is marked on the tunnel. What cannot be given is left
out: guaranteed bit rates (8, 9), since nothing here reserves capacity, traffic selectors (10), vendors' own.
"""

from collections.abc import Sequence

from attrs import define

from appliance.protocols.mobility.options import Items, QualityOfService
from appliance.protocols.pmipv6.bce import BindingCacheEntry
from appliance.protocols.pmipv6.settings import LmaSettings

RESPONSE, ALLOCATE, DE_ALLOCATE, MODIFY, QUERY, NEGOTIATE = range(6)
#: Attributes with a bit rate to and from the mobile node: per mobile node, per session, of all flows.
DOWN, UP = (1, 3, 6), (2, 4, 7)
PRIORITY = 5
#: Flag of attributes 3 and 4: also other sessions of the same service; nothing here knows of those.
_SERVICE = 0x80
_RATE_LENGTH, _PRIORITY_LENGTH = 6, 2
#: Service requests of one session; they are numbered from 1.
MOST = 8


@define(slots=True)
class ServiceRequest:
    """One that was agreed."""

    sr_id: int
    traffic_class: int
    """The DSCP is the upper 6 bits."""
    attributes: tuple[tuple[int, bytes], ...]

    def option(self, operation: int = RESPONSE) -> QualityOfService:
        """As it is told to the other side."""
        return QualityOfService(self.sr_id, self.traffic_class, operation, list(self.attributes))


@define(slots=True, frozen=True)
class Rates:
    """What a session may use: bit/s, 0: as much as there is; the traffic class, ``None``: left alone."""

    up: int = 0
    down: int = 0
    traffic_class: int | None = None


NO_RATES = Rates()


class Limits:
    """The limits of all subscribers of an anchor."""

    __slots__ = ("_default", "_own", "some")

    def __init__(self, settings: LmaSettings) -> None:
        self._own = {
            profile.mn_id: Rates(profile.bandwidth_up, profile.bandwidth_down)
            for profile in settings.profiles
            if profile.mn_id
        }
        default = settings.default_profile
        self._default = Rates(default.bandwidth_up, default.bandwidth_down) if default else NO_RATES
        #: Whether there are any.
        self.some = any(limit != NO_RATES for limit in (*self._own.values(), self._default))

    def of(self, entry: BindingCacheEntry) -> Rates:
        """Those of a session: what AAA has granted goes before its profile."""
        limit = self._own.get(entry.mn_id, self._default) if self.some else NO_RATES
        grant = entry.grant
        if grant is None:
            return limit
        return Rates(grant.bandwidth_up or limit.up, grant.bandwidth_down or limit.down)


def least(*rates: int) -> int:
    """The lowest of the rates that are not 0; 0 if all are."""
    return min((rate for rate in rates if rate), default=0)


def rate_of(value: bytes) -> int:
    """Bit rate of an attribute's value."""
    return int.from_bytes(value[2:6], "big")


def rate_attributes(up: int, down: int) -> Items:
    """Attributes that ask for the bit rates of a session; 0: not asked for."""
    return [(kind, bytes(2) + rate.to_bytes(4, "big")) for kind, rate in ((3, down), (4, up)) if rate]


def judge(attributes: Sequence[tuple[int, bytes]], limits: Rates) -> tuple[tuple[int, bytes], ...]:
    """As much of what is asked for as can be given; equal to ``attributes``: all of it."""
    given: list[tuple[int, bytes]] = []
    seen: set[int] = set()
    # A selector says that the request is about some of the flows; per session and node it does not count.
    kinds = {kind for kind, _ in attributes}
    for kind, value in attributes:
        if kind in seen:
            continue
        seen.add(kind)
        if kind == PRIORITY and len(value) == _PRIORITY_LENGTH:
            given.append((kind, value))
        elif kind in DOWN or kind in UP:
            if len(value) != _RATE_LENGTH or (kind in (6, 7) and 10 in kinds):
                continue
            rate = least(rate_of(value), limits.down if kind in DOWN else limits.up)
            if rate:
                flags = value[0] & ~_SERVICE if kind in (3, 4) else value[0]
                given.append((kind, bytes((flags, value[1])) + rate.to_bytes(4, "big")))
    return tuple(given)


def rates(requests: list[ServiceRequest], limits: Rates) -> Rates:
    """What a session may use with these requests within its limits."""
    up, down, marking = limits.up, limits.down, limits.traffic_class
    for request in requests:
        for kind, value in request.attributes:
            if kind in DOWN:
                down = least(down, rate_of(value))
            elif kind in UP:
                up = least(up, rate_of(value))
        # The first that names a class counts: without selectors all flows have the same.
        if marking is None and request.traffic_class >> 2:
            marking = request.traffic_class & 0xFC
    return Rates(up, down, marking)


def texts(requests: list[ServiceRequest]) -> list[tuple[str, str]]:
    """What an operator is shown."""
    shown = []
    for request in requests:
        found = [f"DSCP {request.traffic_class >> 2}"]
        for kind, value in request.attributes:
            if kind == PRIORITY:
                found.append(f"priority {value[1] >> 4}")
            else:
                found.append(f"{'down' if kind in DOWN else 'up'} {rate_of(value)} bit/s ({kind})")
        shown.append((f"QoS Request {request.sr_id}", ", ".join(found)))
    return shown
