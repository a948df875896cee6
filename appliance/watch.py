"""Whom to watch: the tap's subscriptions by subscriber, address, service or peer; the shell's TapPort.

::

    monitor subscriber ... ──TapFilter──▶ Watch.subscribe ──Selector──▶ Tap
                                              └─ sessions of the services: who has an address or call id

A selector looks first whether the octets it looks for are in the message at all, which costs
a hundredth of decoding it. Of Diameter messages :mod:`appliance.watch_diameter` knows whose they are.
"""

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from ipaddress import ip_address, ip_network
from typing import Any

from appliance.errors import ApplianceError
from appliance.ports import ServicePort, SessionFilter, SessionView, TapFilter
from appliance.protocols.diameter.message import describe as diameter
from appliance.protocols.mobility.codec import decode
from appliance.protocols.mobility.describe import describe, hexdump, identity
from appliance.protocols.mobility.messages import BindingUpdate, Message
from appliance.protocols.mobility.options import (
    HomeNetworkPrefix,
    IPv4AddressAcknowledgement,
    IPv4HomeAddress,
    IPv4HomeAddressReply,
    IPv4HomeAddressRequest,
)
from appliance.tap import (
    ENDED,
    MADE,
    NOTE,
    Subscription,
    Tap,
    Tapped,
    TappedDiameter,
    TappedEvent,
    TappedMessage,
    TooMany,
)
from appliance.watch_diameter import DiameterSelector
from appliance.wildcards import expression, is_wild

Services = Callable[..., Iterable[ServicePort]]

_IPV4_OPTIONS = (
    IPv4HomeAddress, IPv4AddressAcknowledgement, IPv4HomeAddressRequest, IPv4HomeAddressReply,
)  # fmt: skip

#: Where requests and their answers, which need not name the mobile node, have the sequence number:
#: MH type: (type of the request, octet).
_REQUESTS = {5: (5, 6), 16: (16, 8), 19: (19, 6)}
_ANSWERS = {6: (5, 8), 16: (16, 8), 20: (19, 6)}
#: Requests whose answers are waited for, and sessions that are followed, by one selector.
_PENDING, _CALLS = 16, 1000
#: Octets of an IPv6 address that its home network prefix has in common with it: /48 or longer.
_COMMON = 6
#: A binding that a mobile node of this state has is no new call.
_KNOWN = ("active", "deleting", "deregistering")
_WILD = frozenset(b"*$")


def filter_text(wanted: TapFilter) -> str:
    """A filter as it is typed; ``all`` for none."""
    words = []
    for word, value in (
        ("service", wanted.service),
        ("username", wanted.username),
        ("imsi", wanted.imsi),
        ("ip-address", wanted.ip_address),
        ("callid", f"{wanted.call_id:08x}" if wanted.call_id else ""),
        ("peer", wanted.peer),
    ):
        if value:
            words.append(f"{word} {value}")
    if wanted.next_call:
        words.append("next-call")
    return " ".join(words) or "all"


def _pattern(wanted: TapFilter) -> re.Pattern[bytes] | None:
    """What an identifier has to look like; ``None``: the filter names none."""
    if wanted.username:
        return re.compile(expression(wanted.username).encode(), re.DOTALL)
    if wanted.imsi:
        # TS 23.003 section 19.3.2: a digit before the IMSI tells the method of authentication.
        return re.compile(rb"[0-9]?" + wanted.imsi.encode() + rb"(@.*)?", re.DOTALL)
    return None


def _needles(wanted: TapFilter) -> list[bytes]:
    """Octets of which some are in every message that can fit."""
    if wanted.username:
        parts = re.split(r"[*$]", wanted.username) if is_wild(wanted.username) else [wanted.username]
        return [max(parts, key=len).encode()]
    if wanted.imsi:
        return [wanted.imsi.encode()]
    if wanted.ip_address:
        packed = ip_address(wanted.ip_address).packed
        return [packed[:_COMMON] if len(packed) == 16 else packed]
    return []


class Selector:
    """Decides for one subscription; see :class:`~appliance.tap.Wanted`."""

    def __init__(self, wanted: TapFilter, sessions: Callable[[SessionFilter], Iterator[SessionView]]) -> None:
        """``sessions`` finds sessions of all services. Raises ApplianceError for an unknown call id."""
        self._service = wanted.service
        self._peer = ip_address(wanted.peer).packed if wanted.peer else b""
        self._address = ip_address(wanted.ip_address) if wanted.ip_address else None
        self._next = wanted.next_call
        self._sessions = sessions
        self._pattern = _pattern(wanted)
        self._fixed = _needles(wanted)
        self._needles = list(self._fixed)
        self._identity = b""
        """Found out: who has the address or the call id, or is the next call."""
        self._calls: dict[int, bytes] = {}
        """Sessions that are followed, and whose they are."""
        self._followed: set[bytes] = set()
        self._pending: deque[tuple[int, bytes, bytes]] = deque(maxlen=_PENDING)
        self._diameter = DiameterSelector()
        self._waiting = wanted.next_call
        """For a next call."""
        self._any = not (self._pattern or self._address or wanted.call_id or wanted.next_call)
        if not self._any and not wanted.next_call:
            self._look_up(wanted)

    def _look_up(self, wanted: TapFilter) -> None:
        """Know the sessions that there are already, where they are found without a search."""
        if wanted.username:
            self._follow_all(wanted.username.encode())
        elif wanted.ip_address or wanted.call_id:
            keys = SessionFilter(ip_address=wanted.ip_address, call_id=wanted.call_id)
            for view in self._sessions(keys):
                self._follow(view.call_id, view.username.encode())
        if wanted.call_id and not self._calls:
            raise ApplianceError(f"No session has the call id {wanted.call_id:08x}")

    def _follow_all(self, who: bytes) -> None:
        """Follow the sessions of a mobile node, once."""
        if not who or who in self._followed or set(who) & _WILD:
            # No name or a wildcard would be a search through all sessions, for which a stranger may not ask.
            return
        for view in self._sessions(SessionFilter(username=who.decode("utf-8", "replace"))):
            self._follow(view.call_id, who)

    def _follow(self, call_id: int, who: bytes) -> None:
        if len(self._calls) >= _CALLS:
            self._forget(next(iter(self._calls)))
        self._calls[call_id] = who
        self._followed.add(who)
        if self._pattern is None:
            self._learn(who)

    def _forget(self, call_id: int) -> None:
        self._followed.discard(self._calls.pop(call_id, b""))

    def _learn(self, who: bytes) -> None:
        self._identity = who
        self._needles = [*self._fixed, who] if who else list(self._fixed)

    def _fits(self, who: bytes) -> bool:
        if self._pattern is not None:
            return bool(who) and self._pattern.fullmatch(who) is not None
        return bool(who) and who == self._identity

    # ---- the cheap look

    def maybe(self, item: Tapped) -> bool:
        """Whether it can be wanted, without decoding."""
        if self._service and item.service != self._service:
            return False
        if isinstance(item, TappedEvent):
            return not self._peer and (self._any or self._maybe_event(item))
        if self._peer and item.peer != self._peer:
            return False
        if self._any:
            return True
        if isinstance(item, TappedDiameter):
            return self._diameter.maybe(item, self._needles)
        data = item.data
        if any(needle in data for needle in self._needles):
            return True
        return (self._waiting and data[2:3] == b"\5") or self._answers(item)

    def _maybe_event(self, event: TappedEvent) -> bool:
        if event.what == NOTE:
            text = event.text.encode()
            return any(needle in text for needle in self._needles)
        return event.what == MADE or event.call_id in self._calls

    def _answers(self, item: TappedMessage) -> bool:
        """Whether it has the number of a request that was wanted."""
        if not self._pending:
            return False
        request, at = _ANSWERS.get(item.data[2] if len(item.data) > 2 else -1, (0, 0))
        return bool(request) and (request, item.data[at : at + 2], item.peer) in self._pending

    # ---- the thorough look

    def wants(self, item: Tapped) -> bool:
        """Whether it is wanted."""
        if self._any:
            return True
        if isinstance(item, TappedEvent):
            return self._wants_event(item)
        if isinstance(item, TappedDiameter):
            return self._diameter.wants(item, self._address, self._fits, self._learn)
        message = decode(item.data).message
        if message is None:
            # What cannot be decoded may still be what is looked for: its octets are in there.
            return not self._waiting and any(needle in item.data for needle in self._needles)
        who = identity(message)
        if self._waiting and self._begins(message, who):
            self._learn(who)
            self._waiting = False
        if not self._fits(who):
            if self._address is None or not self._has_address(message):
                return not who and self._answers(item)
            self._learn(who or self._identity)
        self._follow_all(who)
        request, at = _REQUESTS.get(item.data[2], (0, 0))
        if request:
            self._pending.append((request, item.data[at : at + 2], item.peer))
        return True

    def _begins(self, message: Message, who: bytes) -> bool:
        """Whether a message is the beginning of a call."""
        if not isinstance(message, BindingUpdate) or not message.lifetime or not who:
            return False
        if set(who) & _WILD:
            return False
        known = self._sessions(SessionFilter(username=who.decode("utf-8", "replace")))
        return not any(view.state in _KNOWN for view in known)

    def _has_address(self, message: Message) -> bool:
        address = self._address
        for option in message.options:
            if isinstance(option, HomeNetworkPrefix) and 0 < option.prefix_length <= 128:
                if address in ip_network((option.prefix, option.prefix_length), strict=False):
                    return True
            elif isinstance(option, _IPV4_OPTIONS) and ip_address(option.address) == address:
                return True
        return False

    def _wants_event(self, event: TappedEvent) -> bool:
        if event.what == NOTE:
            return True
        if event.what == ENDED:
            self._forget(event.call_id)
            self._waiting = self._next
            return True
        if event.call_id in self._calls:
            return True
        for view in self._sessions(SessionFilter(call_id=event.call_id)):
            if self._fits(view.username.encode()) or self._in_prefixes(view):
                self._follow(event.call_id, view.username.encode())
                return True
        return False

    def _in_prefixes(self, view: SessionView) -> bool:
        if self._address is None:
            return False
        return str(self._address) == view.ipv4_address or any(
            self._address in ip_network(prefix) for prefix in view.prefixes
        )


class Watch:
    """The shell's face of the tap."""

    def __init__(self, tap: Tap, services: Services, endpoints: Callable[[], Iterable[str]] = tuple) -> None:
        """``services`` is ``SystemPort.services``; ``endpoints`` gives the names of Diameter endpoints."""
        self._tap = tap
        self._services = services
        self._endpoints = endpoints

    def _sessions(self, wanted: SessionFilter) -> Iterator[SessionView]:
        for service in self._services():
            yield from (view for view in service.sessions(wanted) if view is not None)

    def subscribe(self, wanted: TapFilter, limit: int, wake: Callable[[], Any] | None = None) -> Subscription:
        """Begin to see what fits; ``wake`` as in :meth:`Tap.subscribe`. Raises ApplianceError."""
        names = {one.name for one in self._services()} | set(self._endpoints())
        if wanted.service and wanted.service not in names:
            raise ApplianceError(f"No service and no diameter endpoint is named {wanted.service}")
        selector = None if wanted == TapFilter() else Selector(wanted, self._sessions)
        try:
            return self._tap.subscribe(selector, limit, wake=wake)
        except TooMany as error:
            raise ApplianceError(str(error)) from error

    def describe(self, message: TappedMessage | TappedDiameter, level: int) -> list[str]:
        """The message in words."""
        if isinstance(message, TappedDiameter):
            return diameter.describe(message.data, level)
        return describe(message.data, level)

    def hexdump(self, message: TappedMessage | TappedDiameter, text: bool) -> list[str]:
        """Its octets."""
        return hexdump(message.data, text)
