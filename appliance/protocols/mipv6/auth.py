"""Whether a Binding Update is the host's that it says it is from (RFC 4285 sections 5 and 6).

::

    MN-HA option ─▶ key by SPI: of the subscriber, of the service, of AAA ─▶ right, or 146
    MN-AAA option ─▶ AAA server (MobileProof) ─▶ Grant with a key for the MN-HA option
    MESG-ID option ─▶ near our clock, newer than the last one accepted, or 144
"""

from collections import OrderedDict

from appliance.protocols.mipv6 import request as verdicts
from appliance.protocols.mipv6.binding import HostBinding, host_of
from appliance.protocols.mipv6.request import HostRequest
from appliance.protocols.mobility import rfc4285
from appliance.protocols.mobility.aaa import MobileProof
from appliance.protocols.mobility.codec import to_ntp
from appliance.protocols.mobility.messages import BU_H
from appliance.protocols.pmipv6.lma_aaa import NO_ANSWER, asks
from appliance.protocols.pmipv6.lma_request import Verdict
from appliance.protocols.pmipv6.settings import LmaSettings, Profile
from appliance.protocols.timers import Now

#: Hosts without a binding whose last MESG-ID is remembered; only authenticated ones get here.
REMEMBERED = 100_000
_NTP_SECOND, _ERA = 1 << 32, 1 << 64
#: What :meth:`Authenticator.check` says when the AAA server has to.
ASK = Verdict(-1, "binding-updates-discard-reasons/initial-auth-pending")


class Authenticator:
    """The keys and the rules of one service."""

    __slots__ = ("_asks", "_mode", "_service")

    def __init__(self, settings: LmaSettings) -> None:
        self._mode = settings.mipv6_authentication
        self._asks = asks(settings)
        self._service = {each.spi: each.key for each in settings.mipv6_associations}

    def check(self, request: HostRequest, now: Now) -> Verdict | None:
        """``None``: authentic; :data:`ASK`: AAA has to tell; else why it is refused.

        An update with H clear needs no proof here: whatever it says, it is refused later.
        """
        host = host_of(request.entry)
        mn_ha, mn_aaa = request.mn_ha, request.mn_aaa
        if mn_ha is None and mn_aaa is None and not request.flags & BU_H:
            return None
        first = host is None or request.entry is None or request.entry.deleting
        if mn_aaa is None:
            if self._mode == "mn-aaa-always" or (self._mode == "mn-aaa-initial" and first):
                return verdicts.NO_OPTION
        elif mn_aaa.spi != rfc4285.HMAC_SHA1_SPI:
            return verdicts.UNKNOWN_AAA_SPI
        if mn_ha is not None:
            return self._by_key(request, host, first, now)
        if mn_aaa is not None:
            return ASK if self._asks else NO_ANSWER
        return None if self._trusted(request) or _covered(request) else verdicts.NO_OPTION

    def _by_key(
        self, request: HostRequest, host: HostBinding | None, first: bool, now: Now
    ) -> Verdict | None:
        key = self._key(request.profile, host, request.mn_ha.spi, now)
        if not key:
            return ASK if request.mn_aaa is not None and self._asks else verdicts.UNKNOWN_HA_SPI
        request.key, request.spi = key, request.mn_ha.spi
        if not right(request, key):
            return verdicts.AUTH_FAILED
        if request.mn_aaa is None or not self._asks:
            return None
        always = self._mode == "mn-aaa-always" or host is None or host.asked_again
        return ASK if first or always else None

    def key_of(self, profile: Profile | None, host: HostBinding, now: Now) -> bytes:
        """The MN-HA key that a host uses; empty: none."""
        return b"" if host.spi is None else self._key(profile, host, host.spi, now)

    def _key(self, profile: Profile | None, host: HostBinding | None, spi: int, now: Now) -> bytes:
        """RFC 4285 section 5.1: the key of a security association; empty: there is none."""
        if host is not None and host.key and host.spi == spi and now.mono < host.key_ends:
            return host.key
        for each in profile.associations if profile is not None else ():
            if each.spi == spi:
                return each.key
        return self._service.get(spi, b"")

    def _trusted(self, request: HostRequest) -> bool:
        """A host that is known by its home address only, where the operator has said so.

        RFC 4285 section 5: who shares a key has to use it.
        """
        profile = request.profile
        return (
            self._mode == "optional"
            and profile is not None
            and not profile.associations
            and request.home in profile.home_addresses
        )


def _covered(request: HostRequest) -> bool:
    """RFC 6275 section 5.1: an association speaks for a home address; for a name only if that is its own."""
    profile = request.profile
    named = request.mn is not None
    return request.protected and (
        not named or (profile is not None and request.home in profile.home_addresses)
    )


def right(request: HostRequest, key: bytes) -> bool:
    """Whether the authenticator of the MN-HA option is right."""
    data = rfc4285.covered(request.mh, request.mn_ha_at)
    wanted = rfc4285.mn_ha_authenticator(key, request.covered, request.signed, data)
    return rfc4285.same(wanted, request.mn_ha.authenticator)


def proof(request: HostRequest) -> MobileProof:
    """What an AAA server needs to check the MN-AAA option (RFC 5778 section 5.2)."""
    data = rfc4285.covered(request.mh, request.mn_aaa_at)
    mesg_id = request.mesg_id
    return MobileProof(
        spi=request.mn_aaa.spi,
        authenticator=request.mn_aaa.authenticator,
        mac_mobility_data=rfc4285.mac_mobility_data(request.covered, request.signed, data),
        timestamp=b"" if mesg_id is None else mesg_id.timestamp.to_bytes(8, "big"),
        mn_ha_spi=None if request.mn_ha is None or request.key else request.mn_ha.spi,
    )


class Replays:
    """The MESG-IDs of hosts that have no binding any more: an old update must not bring one back."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last: OrderedDict[bytes, tuple[int, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._last)

    def remember(self, mn_id: bytes, timestamp: int, until: float) -> None:
        """Keep one; it is forgotten when it is too old to be accepted anyhow."""
        self._last.pop(mn_id, None)
        if len(self._last) >= REMEMBERED:
            self._last.popitem(last=False)
        self._last[mn_id] = timestamp, until

    def forget(self, now: Now) -> None:
        """Drop what nobody can make use of any more."""
        while self._last:
            mn_id, (_, until) = next(iter(self._last.items()))
            if until > now.mono:
                return
            del self._last[mn_id]

    def check(self, request: HostRequest, tolerance: int, required: bool, now: Now) -> Verdict | None:
        """RFC 4285 section 6: the option is there if it has to be, near our clock, and newer than before."""
        if request.mesg_id is None:
            return verdicts.NO_MESG_ID if required and request.flags & BU_H else None
        value: int = request.mesg_id.timestamp
        # Modulo 2^64, so that the NTP era of 2036 needs nothing.
        ahead = (value - to_ntp(now.wall) + _ERA // 2) % _ERA - _ERA // 2
        if abs(ahead) > tolerance * _NTP_SECOND:
            return verdicts.REPLAYED
        entry = request.entry
        # What another host has at this home address is not his.
        host = host_of(entry) if entry is not None and entry.mn_id == request.mn_id else None
        last = self._last.get(request.mn_id, (0, 0.0))[0]
        if host is not None and host.mesg_id:
            last = max(last, host.mesg_id)
        newer = not last or 0 < (value - last) % _ERA < _ERA // 2
        return None if newer else verdicts.REPLAYED


def echo(request: HostRequest, valid: bool, now: Now) -> int:
    """The MESG-ID of the answer: the same, or our own seconds above the fraction that came (section 6)."""
    value: int = request.mesg_id.timestamp
    if valid:
        return value
    return (to_ntp(now.wall) & ~(_NTP_SECOND - 1)) | (value & (_NTP_SECOND - 1))
