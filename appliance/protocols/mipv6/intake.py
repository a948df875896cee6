"""Packets with a Home Address option on their way to :class:`~appliance.protocols.mipv6.hosts.Hosts`.

::

    OptionsReceived ─▶ extension headers ─▶ Mobility Header: length, checksum, codec ─▶ update
                           │ anything else, without a binding        └─ discarded, Binding Error, ICMPv6
                           └─▶ Binding Error status 1 (RFC 6275 section 9.3.1)
"""

from collections.abc import Callable
from typing import Any

from appliance.counters import CounterSet
from appliance.protocols.bits import DecodeError
from appliance.protocols.mipv6.binding import host_of
from appliance.protocols.mipv6.checks import routable
from appliance.protocols.mipv6.discovery_messages import ICMPV6, PREFIX_SOLICITATION
from appliance.protocols.mipv6.events import OptionsReceived, ProtectedReceived
from appliance.protocols.mipv6.features import HostFeatures
from appliance.protocols.mipv6.incoming import Carried, carried
from appliance.protocols.mipv6.request import UNSPECIFIED, ProtectedPacket
from appliance.protocols.mobility.codec import (
    MOBILITY_HEADER,
    PAYLOAD_PROTO,
    TOO_SHORT,
    UNKNOWN_TYPE,
    Fault,
    decode,
    verify,
)
from appliance.protocols.mobility.messages import BU_P, BindingUpdate
from appliance.protocols.mobility.packet import DESTINATION_OPTIONS
from appliance.protocols.mobility.status import BE_UNKNOWN_BINDING, BE_UNKNOWN_MH_TYPE
from appliance.protocols.pmipv6 import lma_request as verdicts
from appliance.protocols.pmipv6.bce import BindingCacheEntry
from appliance.protocols.pmipv6.events import PacketReceived
from appliance.protocols.pmipv6.lma_counts import (
    ERROR_SENT,
    OTHER_IGNORED,
    OTHER_RECEIVED,
    OTHER_UNKNOWN,
    PROBLEM_SENT,
)
from appliance.protocols.pmipv6.lma_sessions import Sessions
from appliance.protocols.pmipv6.reports import Reports
from appliance.protocols.timers import Now

Update = Callable[[PacketReceived, BindingUpdate, tuple[Fault, ...], bytes | None, Now], None]
#: Fragment (a part tells nothing of the whole), Encapsulating Security Payload, Authentication Header: the
#: kernel sees first what is behind them.
_HIDDEN = (44, 50, 51)
_SOLICITATION = b"%c" % PREFIX_SOLICITATION


class HostIntake:
    """Reads the packets of one service."""

    __slots__ = ("_counters", "_features", "_reports", "_sessions")

    def __init__(
        self, counters: CounterSet, reports: Reports, sessions: Sessions, features: HostFeatures
    ) -> None:
        self._counters = counters
        self._features = features
        self._reports = reports
        self._sessions = sessions

    def read(self, event: OptionsReceived, now: Now, update: Update) -> None:
        """Take a packet apart, and give a Binding Update to ``update``.

        One without a Home Address option is the kernel's alone.
        """
        try:
            found = carried(event.data)
        except DecodeError:
            # The kernel, which sees the same packet, tells the sender by ICMPv6.
            return
        if found.home is None or not routable(event.source):
            return
        if not routable(found.home) and (found.home != UNSPECIFIED or found.protocol != MOBILITY_HEADER):
            return
        if found.protocol == MOBILITY_HEADER:
            self._message(event, found, found.home, now, update)
        elif found.protocol not in _HIDDEN:
            entry = self._bound(event, found.home, now)
            if entry is not None and event.data[found.offset : found.offset + 1] == _SOLICITATION:
                self._solicited(event, found, found.home, entry, now)

    def protected(self, event: ProtectedReceived, now: Now, update: Update) -> None:
        """Take a message that IPsec has covered."""
        source = event.care_of or event.source
        if not (routable(event.source) and routable(source)):
            return
        if event.protocol == MOBILITY_HEADER:

            def covered(
                packet: PacketReceived,
                message: BindingUpdate,
                faults: tuple[Fault, ...],
                home: bytes | None,
                now: Now,
            ) -> None:
                packet = ProtectedPacket(packet.data, packet.source, packet.destination)
                update(packet, message, faults, home if event.care_of else None, now)

            plain = OptionsReceived(event.data, source, event.destination)
            self._message(plain, Carried(event.source, MOBILITY_HEADER, 0), event.source, now, covered)
        elif event.care_of and event.data[:1] == _SOLICITATION:
            packet = OptionsReceived(event.data, source, event.destination)
            entry = self._bound(packet, event.source, now)
            if entry is not None:
                self._solicited(packet, Carried(event.source, ICMPV6, 0), event.source, entry, now)

    def _bound(self, event: OptionsReceived, home: bytes, now: Now) -> BindingCacheEntry | None:
        """RFC 6275 section 9.3.1, RFC 5648 section 6.5: only a host that is bound may send so."""
        entry = self._sessions.cache.prefixes.get(home)
        host = host_of(entry)
        if entry is not None and host is not None and not entry.deleting:
            several = host.several or {}
            if event.source == entry.care_of or any(
                care.address == event.source for care in several.values()
            ):
                return entry
        packet = PacketReceived(b"", event.source, event.destination)
        self._error(packet, home, BE_UNKNOWN_BINDING, now)
        return None

    def _solicited(
        self, event: OptionsReceived, found: Carried, home: bytes, entry: BindingCacheEntry, now: Now
    ) -> None:
        take = self._features.solicited
        if found.protocol == ICMPV6 and take is not None:
            packet = PacketReceived(event.data[found.offset :], event.source, event.destination)
            take(packet, entry, home, now)

    def _error(self, packet: PacketReceived, home: bytes, status: int, now: Now) -> None:
        if self._reports.binding_error(packet, now, self._sessions.effects, status, home):
            self._counters.values[ERROR_SENT] += 1

    def _message(self, event: OptionsReceived, found: Carried, home: bytes, now: Now, update: Update) -> None:
        values = self._counters.values
        data = event.data[found.offset :]
        packet = PacketReceived(data, event.source, event.destination)
        size = len(data)
        is_update = size < 3 or data[2] == BindingUpdate.TYPE
        if size < 8 or (data[1] + 1) * 8 > size:
            self._discard(verdicts.DROP_LENGTH.counter, is_update)
            return
        # RFC 6275 section 6.1.1: the home address stands for the source.
        if not verify(data[: (data[1] + 1) * 8], home, event.destination):
            self._discard(verdicts.DROP_CHECKSUM.counter, is_update)
            return
        message, faults = decode(data)
        kinds = {fault.kind for fault in faults}
        if UNKNOWN_TYPE in kinds:
            values[OTHER_RECEIVED] += 1
            values[OTHER_UNKNOWN] += 1
            self._error(packet, home, BE_UNKNOWN_MH_TYPE, now)
        elif kinds & {PAYLOAD_PROTO, TOO_SHORT}:
            short = TOO_SHORT in kinds and PAYLOAD_PROTO not in kinds
            self._discard((verdicts.DROP_LENGTH if short else verdicts.DROP_MALFORMED).counter, is_update)
            self._problem(event, found, packet, faults, now)
        elif message is None:
            self._discard(0, False)
        elif not isinstance(message, BindingUpdate):
            handler: Any = self._features.handlers.get(message.TYPE)
            if handler is None or faults:
                self._discard(0, False)
            else:
                values[OTHER_RECEIVED] += 1
                handler.receive(packet, message, home, now)
        elif message.flags & BU_P:
            # RFC 5213 section 8.1: a gateway has no Home Address option.
            self._discard(verdicts.DROP_OTHER.counter, True)
        else:
            update(packet, message, faults, home, now)

    def _discard(self, counter: int, is_update: bool) -> None:
        values = self._counters.values
        if is_update:
            values[counter] += 1
        else:
            values[OTHER_RECEIVED] += 1
            values[OTHER_IGNORED] += 1

    def _problem(
        self,
        event: OptionsReceived,
        found: Carried,
        packet: PacketReceived,
        faults: tuple[Any, ...],
        now: Now,
    ) -> None:
        """RFC 6275 section 9.2: tell the sender by ICMPv6 which field is wrong."""
        for fault in faults:
            if fault.kind in (PAYLOAD_PROTO, TOO_SHORT):
                ahead, out = event.data[: found.offset], self._sessions.effects
                if fault.offset < 2 and self._reports.parameter_problem(
                    packet, fault.offset, now, out, ahead, DESTINATION_OPTIONS
                ):
                    self._counters.values[PROBLEM_SENT] += 1
                return
