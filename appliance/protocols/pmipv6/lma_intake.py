"""From what arrives at an anchor to the updates it has to decide about; the rest is counted, and answered
where RFC 6275 section 9.2 says so.

::

    PacketReceived ─▶ length, checksum, type ─▶ codec ─▶ Request
                        └─ discarded, ignored     └─ Binding Error, ICMPv6 Parameter Problem
"""

from typing import Any, Protocol

from appliance.counters import CounterSet
from appliance.protocols.mobility.codec import decode, verify
from appliance.protocols.mobility.messages import BU_P, BindingUpdate, Message
from appliance.protocols.pmipv6 import lma_checks as checks
from appliance.protocols.pmipv6 import lma_request as verdicts
from appliance.protocols.pmipv6.events import PacketReceived
from appliance.protocols.pmipv6.features import CHECKSUM, LENGTH, Features, reason
from appliance.protocols.pmipv6.interop import reread, whole
from appliance.protocols.pmipv6.lma_checks import Peers
from appliance.protocols.pmipv6.lma_counts import (
    ERROR_SENT,
    OTHER_IGNORED,
    OTHER_RECEIVED,
    OTHER_UNKNOWN,
    PROBLEM_SENT,
)
from appliance.protocols.pmipv6.lma_request import Request, Verdict
from appliance.protocols.pmipv6.lma_sessions import Sessions
from appliance.protocols.pmipv6.reports import Reports
from appliance.protocols.timers import Now

_BINDING_UPDATE = BindingUpdate.TYPE


class HostsPort(Protocol):
    """The core of host bindings as the intake sees it (``mipv6/hosts.py``)."""

    enabled: bool

    def update(
        self,
        event: PacketReceived,
        message: BindingUpdate,
        faults: tuple[Any, ...],
        home: bytes | None,
        now: Now,
    ) -> None:
        """Decide about an update with the P flag clear."""


class Intake:
    """Reads the messages of one service; its effects go to those of ``sessions``."""

    __slots__ = ("_counters", "_features", "_reports", "_sessions", "hosts", "odd_peers")

    def __init__(
        self, counters: CounterSet, reports: Reports, sessions: Sessions, features: Features
    ) -> None:
        self._counters = counters
        self._reports = reports
        self._sessions = sessions
        self._features = features
        #: Takes the updates of hosts themselves (P flag clear); ``None``: there are none.
        self.hosts: HostsPort | None = None
        #: The gateways, if some of them are not as others are; ``None``: all of them are as they should be.
        self.odd_peers: Peers | None = None

    def read(self, event: PacketReceived, now: Now) -> Request | None:
        """The update that a message is; ``None``: it is none that can be used, and all is done about it."""
        words: tuple[str, ...] = ()
        if self.odd_peers is not None:
            peer = self.odd_peers.find(event.source)
            if peer is not None and peer.interop:
                words = peer.interop
                event = whole(event, words)
        data = event.data
        size = len(data)
        is_update = size < 3 or data[2] == _BINDING_UPDATE
        # What of the payload lies behind Header Len is no part of the message.
        if size < 8 or (data[1] + 1) * 8 > size:
            self._drop(verdicts.DROP_LENGTH) if is_update else self._unusable(event, LENGTH, now)
            return None
        if len(event.source) == 4 and not event.port:
            # RFC 768: source port 0 wants no answer, and it is not to be taken for a message in IPv6.
            self._drop(verdicts.DROP_OTHER) if is_update else self._ignore()
            return None
        # RFC 5844 section 4.1.3.1: over UDP the host has verified the UDP checksum; ours is zero.
        if not event.port and not verify(data[: (data[1] + 1) * 8], event.source, event.destination):
            self._drop(verdicts.DROP_CHECKSUM) if is_update else self._unusable(event, CHECKSUM, now)
            return None
        message, faults = decode(data)
        if not is_update:
            self._other(event, message, faults, now)
        elif isinstance(message, BindingUpdate) and not message.flags & BU_P and self._takes(event):
            self._of_host(event, message, faults, now)
        elif faults or not isinstance(message, BindingUpdate):
            self._faulty(event, faults, now)
        else:
            request = Request(event, message, now)
            if words:
                reread(request, words)
            return request
        return None

    def _takes(self, event: PacketReceived) -> bool:
        """Whether an update with the P flag clear is for the hosts' core."""
        return self.hosts is not None and self.hosts.enabled and not event.port

    def _of_host(
        self, event: PacketReceived, message: BindingUpdate, faults: tuple[Any, ...], now: Now
    ) -> None:
        """RFC 6275 section 9.2 comes first: what cannot be read is no update."""
        if any(fault.kind in ("payload-proto", "too-short") for fault in faults) or self.hosts is None:
            self._faulty(event, faults, now)
        else:
            self.hosts.update(event, message, faults, None, now)

    def _drop(self, verdict: Verdict) -> None:
        self._counters.values[verdict.counter] += 1

    def _ignore(self) -> None:
        values = self._counters.values
        values[OTHER_RECEIVED] += 1
        values[OTHER_IGNORED] += 1

    def ignored(self) -> None:
        """Count a message, received already, that nobody has a use for."""
        self._counters.values[OTHER_IGNORED] += 1

    def _unusable(self, event: PacketReceived, why: str, now: Now) -> None:
        """A message of another type that cannot be used: its handler counts it, if it has one."""
        handler = self._features.handlers.get(event.data[2])
        if handler is None:
            self._ignore()
            return
        self._counters.values[OTHER_RECEIVED] += 1
        handler.discarded(event, why, now)

    def _faulty(self, event: PacketReceived, faults: tuple[Any, ...], now: Now) -> None:
        """RFC 6275 section 9.2: a binding update that cannot be read."""
        kinds = {fault.kind for fault in faults}
        short = "too-short" in kinds and "payload-proto" not in kinds
        self._drop(verdicts.DROP_LENGTH if short else verdicts.DROP_MALFORMED)
        self._problem(event, faults, now)

    def _problem(self, event: PacketReceived, faults: tuple[Any, ...], now: Now) -> None:
        """Tell the sender by ICMPv6 about a wrong Payload Proto or too small a Header Len."""
        if not checks.is_unicast(event.source):
            return
        for fault in faults:
            if fault.kind in ("payload-proto", "too-short"):
                if fault.offset < 2 and self._reports.parameter_problem(
                    event, fault.offset, now, self._sessions.effects
                ):
                    self._counters.values[PROBLEM_SENT] += 1
                return

    def _other(
        self, event: PacketReceived, message: Message | None, faults: tuple[Any, ...], now: Now
    ) -> None:
        """A mobility message that is no binding update."""
        values = self._counters.values
        values[OTHER_RECEIVED] += 1
        handler = self._features.handlers.get(event.data[2])
        if handler is not None:
            if message is not None and not faults:
                handler.receive(event, message, now)
            else:
                kinds = {fault.kind for fault in faults}
                handler.discarded(event, reason(kinds), now)
                self._problem(event, faults, now)
            return
        if not any(fault.kind == "unknown-type" for fault in faults):
            values[OTHER_IGNORED] += 1
            self._problem(event, faults, now)
            return
        values[OTHER_UNKNOWN] += 1
        out = self._sessions.effects
        if checks.is_unicast(event.source) and self._reports.binding_error(event, now, out):
            values[ERROR_SENT] += 1
