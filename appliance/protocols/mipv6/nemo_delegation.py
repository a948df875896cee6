"""Prefix delegation to mobile routers by DHCPv6 (RFC 6276): the home agent is the delegating router.

::

    UDP 547 with a Home Address option ─▶ OptionsReceived ──┐
    UDP 547 through the tunnel ─▶ DatagramReceived ─────────┴▶ PrefixServer ⇄ leases ─▶ SendDatagram
                                                                               └──▶ binding, tunnel

Only a router with a binding is answered, and only from where it is bound.
"""

from struct import Struct

from appliance.protocols.access import dhcpv6 as dhcp
from appliance.protocols.access.dhcp6_server import PrefixServer
from appliance.protocols.bits import DecodeError, internet_checksum, pseudo_header
from appliance.protocols.mipv6.events import DatagramReceived, ListenDatagrams, OptionsReceived, SendDatagram
from appliance.protocols.mipv6.features import HostFeature, HostFeatures
from appliance.protocols.mipv6.nemo import MobileRouters
from appliance.protocols.mipv6.nemo_leases import Lease
from appliance.protocols.pmipv6.bce import BindingCacheEntry
from appliance.protocols.pmipv6.delegated_pools import Prefix
from appliance.protocols.pmipv6.lma_sessions import Sessions
from appliance.protocols.pmipv6.reports import Reports
from appliance.protocols.pmipv6.settings import LmaSettings
from appliance.protocols.timers import Now

UDP = 17
#: RFC 8415 section 11.4 (DUID-LL), hardware type 27 (EUI-64): our interface identifier follows.
_DUID = bytes((0, 3, 0, 27))
_HEADER = Struct("!HHHH")


class PrefixDelegation(HostFeature):
    """The DHCPv6 server of one service."""

    def __init__(self, settings: LmaSettings, sessions: Sessions, reports: Reports) -> None:
        self._settings = settings
        self._sessions = sessions
        self._routers = MobileRouters(settings, sessions, reports)
        self._server = PrefixServer(_DUID + settings.address[8:])
        #: Whether datagrams are heard that come through tunnels.
        self._heard = False

    def join(self, features: HostFeatures) -> None:
        """Become a feature of a home agent, together with the mobile routers."""
        features.add(self._routers)
        features.add(self)
        features.payloads[UDP] = self.carried
        features.events[DatagramReceived] = self.tunnelled
        if self._serves:
            self.schedule(0.0)

    def reconfigure(self, settings: LmaSettings, now: Now) -> None:
        """Go on by other settings; its leases are judged by :class:`MobileRouters`."""
        self._settings = settings
        self.schedule(0.0)

    @property
    def _serves(self) -> bool:
        """Not without an IPv6 address: a service that is bound to IPv4 alone serves no hosts."""
        settings = self._settings
        wanted = settings.mipv6 and settings.mipv6_mobile_routers and settings.mipv6_prefix_delegation
        return wanted and bool(settings.address)

    @property
    def deadline(self) -> float | None:
        """At once when it has to begin or to stop."""
        return 0.0 if self._heard != self._serves else None

    def tick(self, now: Now) -> None:
        """Hear what comes through tunnels, or do so no more."""
        if self._heard != self._serves:
            self._heard = self._serves
            ports = (dhcp.SERVER_PORT,) if self._heard else ()
            self._sessions.effects.append(ListenDatagrams(ports))

    def carried(self, event: OptionsReceived, at: int, entry: BindingCacheEntry, now: Now) -> None:
        """RFC 6276 section 3.1: by Home Address option, which stands for the source in the checksum."""
        home, data = entry.prefix or b"", event.data[at:]
        if len(data) < _HEADER.size:
            return
        _, port, length, checksum = _HEADER.unpack_from(data)
        if not _HEADER.size <= length <= len(data) or not checksum:
            return
        data = data[:length]
        if internet_checksum(pseudo_header(home, event.destination, length, UDP) + data):
            return
        if port == dhcp.SERVER_PORT:
            self._answer(entry, data[_HEADER.size :], event.destination, event.source, now)

    def tunnelled(self, event: DatagramReceived, now: Now) -> None:
        """Take a datagram that came through the tunnel of a router, from its home address."""
        entry = self._routers.binding(event.source)
        if entry is not None and event.port == dhcp.SERVER_PORT:
            self._answer(entry, event.data, event.destination, b"", now)

    def _answer(
        self, entry: BindingCacheEntry, data: bytes, ours: bytes, care_of: bytes, now: Now
    ) -> None:
        home = entry.prefix or b""
        if not self._serves or self._routers.binding(home) is not entry:
            return
        try:
            answer = self._server.answer(data, _Source(self._routers, entry, self._settings, now))
        except DecodeError:
            return
        if answer is None:
            return
        # RFC 8415 section 7.2.
        port = dhcp.SERVER_PORT if answer[0] == dhcp.RELAY_REPLY else dhcp.CLIENT_PORT
        length = _HEADER.size + len(answer)
        whole = _HEADER.pack(dhcp.SERVER_PORT, port, length, 0) + answer
        checksum = internet_checksum(pseudo_header(ours, home, length, UDP) + whole) or 0xFFFF
        whole = whole[:6] + checksum.to_bytes(2, "big") + whole[8:]
        self._sessions.effects.append(SendDatagram(whole, ours, home, care_of))


class _Source:
    """The prefixes of one router at one moment (``dhcp6_server.Source``)."""

    __slots__ = ("_entry", "_now", "_routers", "valid")

    def __init__(
        self, routers: MobileRouters, entry: BindingCacheEntry, settings: LmaSettings, now: Now
    ) -> None:
        self.valid = settings.mipv6_delegation_lifetime
        self._routers = routers
        self._entry = entry
        self._now = now

    def _find(self, client: bytes, iaid: int) -> Lease | None:
        return self._routers.leases.find(self._entry.mn_id, client, iaid)

    def held(self, client: bytes, iaid: int) -> tuple[Prefix, ...]:
        lease = self._find(client, iaid)
        return () if lease is None else (lease.prefix,)

    def _candidate(self, wanted: tuple[Prefix, ...], exactly: bool) -> Prefix | None:
        mn_id = self._entry.mn_id
        return self._routers.leases.candidate(mn_id, self._routers.profile(mn_id), wanted, exactly)

    def offer(self, client: bytes, iaid: int, wanted: tuple[Prefix, ...]) -> tuple[Prefix, ...]:
        found = self._candidate(wanted, exactly=False)
        return self.held(client, iaid) or (() if found is None else (found,))

    def lease(
        self, client: bytes, iaid: int, wanted: tuple[Prefix, ...], exactly: bool
    ) -> tuple[Prefix, ...]:
        leases, ends = self._routers.leases, self._now.mono + self.valid
        lease = self._find(client, iaid)
        if lease is None:
            prefix = self._candidate(wanted, exactly)
            if prefix is None:
                if not exactly:
                    self._routers.complain("no prefix is left, or allowed, for a mobile router", self._now)
                return ()
            lease = leases.begin(self._entry.mn_id, client, iaid, prefix, ends)
            self._routers.schedule(ends)
        else:
            leases.extend(lease, ends)
        self._routers.leased(self._entry, lease.prefix)
        return (lease.prefix,)

    def release(self, client: bytes, iaid: int) -> bool:
        lease = self._find(client, iaid)
        if lease is None:
            return False
        self._routers.leases.end(lease)
        self._routers.unleased(lease.mn_id, lease.prefix)
        return True
