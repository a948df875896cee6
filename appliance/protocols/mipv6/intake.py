"""Packets with a Home Address option on their way to :class:`~appliance.protocols.mipv6.hosts.Hosts`.

::

    OptionsReceived ─▶ extension headers ─▶ Mobility Header: length, checksum, codec ─▶ update
    TunnelledReceived ─▶   │ anything else, without a binding        └─ discarded, Binding Error, ICMPv6
                           └─▶ Binding Error status 1 (RFC 6275 section 9.3.1)
"""

from collections.abc import Callable
from typing import Any

from appliance.counters import CounterSet
from appliance.protocols.bits import DecodeError
from appliance.protocols.mipv6.binding import host_of
from appliance.protocols.mipv6.checks import routable
from appliance.protocols.mipv6.events import (
    OptionsReceived,
    ProtectedReceived,
    SendTunnelled,
    TunnelledReceived,
)
from appliance.protocols.mipv6.features import HostFeatures
from appliance.protocols.mipv6.incoming import Carried, carried
from appliance.protocols.mipv6.request import UNSPECIFIED, Outer, ProtectedPacket
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
from appliance.protocols.pmipv6.events import PacketReceived, Send, SendIcmp
from appliance.protocols.pmipv6.features import CHECKSUM, LENGTH, reason
from appliance.protocols.pmipv6.lma_counts import (
    ERROR_SENT,
    OTHER_IGNORED,
    OTHER_RECEIVED,
    OTHER_UNKNOWN,
    PROBLEM_SENT,
)
from appliance.protocols.pmipv6.lma_request import Verdict
from appliance.protocols.pmipv6.lma_sessions import Sessions
from appliance.protocols.pmipv6.reports import Reports
from appliance.protocols.timers import Now

Update = Callable[[PacketReceived, BindingUpdate, tuple[Fault, ...], bytes | None, Now, Outer | None], None]
_IPV6_HEADER, _ICMPV6 = 40, 58
_NONE: set[str] = set()
#: Fragment (a part tells nothing of the whole), Encapsulating Security Payload, Authentication Header: the
#: kernel sees first what is behind them.
_HIDDEN = (44, 50, 51)


class HostIntake:
    """Reads the packets of one service."""

    __slots__ = ("_counters", "_features", "_reports", "_sessions", "ipsec")

    def __init__(
        self, counters: CounterSet, reports: Reports, sessions: Sessions, features: HostFeatures
    ) -> None:
        self._counters = counters
        self._features = features
        self._reports = reports
        self._sessions = sessions
        #: IPsec is required: nothing but an update is looked at that it has not covered.
        self.ipsec = False

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
        elif found.protocol not in _HIDDEN and not self.ipsec:
            entry = self._bound(event, found.home, now)
            take = self._features.payloads.get(found.protocol)
            if entry is not None and take is not None:
                take(event, found.offset, entry, now)

    def protected(self, event: ProtectedReceived, now: Now, update: Update) -> None:
        """Take a message that IPsec has covered."""
        source = event.care_of or event.source
        if not (routable(event.source) and routable(source)):
            return
        plain = OptionsReceived(event.data, source, event.destination)
        home = event.source if event.care_of else None
        if event.protocol == MOBILITY_HEADER:

            def covered(packet: PacketReceived, *rest: Any) -> None:
                update(ProtectedPacket(packet.data, packet.source, packet.destination), *rest)

            found = Carried(home, MOBILITY_HEADER, 0)
            self._message(plain, found, event.source, now, covered, protected=True)
        elif home is not None:
            entry, take = self._bound(plain, home, now), self._features.payloads.get(event.protocol)
            if entry is not None and take is not None:
                take(plain, 0, entry, now)

    def read_tunnelled(self, event: TunnelledReceived, now: Now, update: Update) -> None:
        """The same for a packet inside UDP; without a Home Address option its source is the home address.

        What it is answered with beside an acknowledgement goes back the same way.
        """
        if len(event.data) < _IPV6_HEADER:
            return
        source, destination = event.data[8:24], event.data[24:_IPV6_HEADER]
        first, body = event.data[6], event.data[_IPV6_HEADER:]
        try:
            found = carried(body, first)
        except DecodeError:
            return
        home = found.home or source
        if not (routable(home) and routable(source)):
            return
        if found.protocol == _ICMPV6 and found.home == source:
            self._control(OptionsReceived(body, source, destination), found, event, now)
        if found.protocol != MOBILITY_HEADER:
            return
        effects = self._sessions.effects
        mark = len(effects)
        outer = Outer(event.address, event.port, event.local)
        self._message(OptionsReceived(body, source, destination), found, home, now, update, outer, first)
        for place in range(mark, len(effects)):
            effects[place] = _inside(effects[place], source, outer)

    def _control(self, packet: OptionsReceived, found: Carried, event: TunnelledReceived, now: Now) -> None:
        """RFC 5555 section 2.2: what is no update has to come from where its host is bound."""
        entry = self._sessions.cache.prefixes.get(packet.source)
        host, take = host_of(entry), self._features.payloads.get(found.protocol)
        if entry is None or host is None or entry.deleting or take is None:
            return
        places = [(care.address, care.away) for care in (host.several or {}).values()]
        for address, away in (*places, (entry.care_of, host.away)):
            if away is not None and (address, away.port) == (event.address, event.port):
                take(packet, found.offset, entry, now)
                return

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

    def _placed(self, home: bytes, outer: Outer) -> bool:
        """Whether what is no update comes from where its host is bound: the inner source tells nothing."""
        entry = self._sessions.cache.prefixes.get(home)
        host = host_of(entry)
        if entry is None or host is None:
            return False
        places = [(care.address, care.away) for care in (host.several or {}).values()]
        return any(
            away is not None and (address, away.port) == (outer.address, outer.port)
            for address, away in (*places, (entry.care_of, host.away))
        )

    def _error(self, packet: PacketReceived, home: bytes, status: int, now: Now) -> None:
        if self._reports.binding_error(packet, now, self._sessions.effects, status, home):
            self._counters.values[ERROR_SENT] += 1

    def _message(
        self,
        event: OptionsReceived,
        found: Carried,
        home: bytes,
        now: Now,
        update: Update,
        outer: Outer | None = None,
        first: int = DESTINATION_OPTIONS,
        protected: bool = False,
    ) -> None:
        values = self._counters.values
        data = event.data[found.offset :]
        packet = PacketReceived(data, event.source, event.destination)
        size = len(data)
        if size < 8 or (data[1] + 1) * 8 > size:
            self._unusable(packet, verdicts.DROP_LENGTH, LENGTH, now)
            return
        # RFC 6275 section 6.1.1: the home address stands for the source.
        if not verify(data, home, event.destination):
            self._unusable(packet, verdicts.DROP_CHECKSUM, CHECKSUM, now)
            return
        message, faults = decode(data)
        if message.__class__ is BindingUpdate and not faults and not message.flags & BU_P:
            # What nearly all of them are.
            update(packet, message, faults, home if found.home is not None else None, now, outer)
            return
        kinds = {fault.kind for fault in faults} if faults else _NONE
        if UNKNOWN_TYPE in kinds:
            values[OTHER_RECEIVED] += 1
            values[OTHER_UNKNOWN] += 1
            self._error(packet, home, BE_UNKNOWN_MH_TYPE, now)
        elif kinds & {PAYLOAD_PROTO, TOO_SHORT}:
            short = TOO_SHORT in kinds and PAYLOAD_PROTO not in kinds
            verdict = verdicts.DROP_LENGTH if short else verdicts.DROP_MALFORMED
            self._unusable(packet, verdict, reason(kinds), now)
            self._problem(event.data[: found.offset], first, packet, faults, now)
        elif message is None or (faults and not isinstance(message, BindingUpdate)):
            self._unusable(packet, verdicts.DROP_MALFORMED, reason(kinds), now)
        elif not isinstance(message, BindingUpdate):
            values[OTHER_RECEIVED] += 1
            handler: Any = self._features.handlers.get(message.TYPE)
            believed = protected or not self.ipsec
            if outer is not None:
                believed = believed and self._placed(home, outer)
            if handler is None or not believed:
                values[OTHER_IGNORED] += 1
            else:
                handler.receive(packet, message, home, now)
        elif message.flags & BU_P:
            # RFC 5213 section 8.1: a gateway has no Home Address option.
            values[verdicts.DROP_OTHER.counter] += 1
        else:
            update(packet, message, faults, home if found.home is not None else None, now, outer)

    def _unusable(self, packet: PacketReceived, verdict: Verdict, why: str, now: Now) -> None:
        """Count one that cannot be used: an update by ``verdict``, another by ``why`` if it has a handler."""
        values, data = self._counters.values, packet.data
        if len(data) < 3 or data[2] == BindingUpdate.TYPE:
            values[verdict.counter] += 1
            return
        values[OTHER_RECEIVED] += 1
        handler: Any = self._features.handlers.get(data[2])
        if handler is None:
            values[OTHER_IGNORED] += 1
        else:
            handler.discarded(packet, why, now)

    def _problem(
        self,
        ahead: bytes,
        first: int,
        packet: PacketReceived,
        faults: tuple[Any, ...],
        now: Now,
    ) -> None:
        """RFC 6275 section 9.2: tell the sender by ICMPv6 which field is wrong."""
        for fault in faults:
            if fault.kind in (PAYLOAD_PROTO, TOO_SHORT):
                if fault.offset < 2 and self._reports.parameter_problem(
                    packet, fault.offset, now, self._sessions.effects, ahead, first
                ):
                    self._counters.values[PROBLEM_SENT] += 1
                return


def _inside(effect: Any, source: bytes, outer: Outer) -> Any:
    """An error message to the sender of a packet that came inside UDP, to go the same way."""
    if isinstance(effect, Send | SendIcmp) and effect.destination == source:
        protocol = MOBILITY_HEADER if isinstance(effect, Send) else _ICMPV6
        return SendTunnelled(effect.data, effect.source, source, outer.address, outer.port, protocol)
    return effect
