"""Hosts in IPv4 networks, and their IPv4 home addresses (RFC 5555).

::

    update inside UDP ─▶ source of the IPv4 header ≠ IPv4 Care-of Address option: a NAT ─▶ data in UDP too
    IPv4 Home Address option ─▶ the subscriber's, of a pool ─▶ IPv4 Address Acknowledgement option

A host has one binding cache entry for its home addresses of both families, which share care-of address and
lifetime. Where the text of the RFC leaves a choice:

* Every acknowledgement inside UDP has the NAT Detection option (section 4.2), though a host that sees it has
  to use UDP (section 4.4.2). Without a NAT it says F=0 and that no keep-alives are needed; data goes without
  UDP then, and is taken in both forms.
* An update inside UDP that does not say the host's own address is taken to have come through a NAT.
* UDP is for IPv4 only: the F flag of an update that came in IPv6 is refused.
* Status 144 for a refused F flag is also MIPV6-ID-MISMATCH of RFC 4285, after which a host would set its
  clock: who is authenticated by that protocol gets 129.
* The T flag (RFC 5845) is one of proxy updates: a host's is not looked at, data with a TLV header is dropped.
* IPv4 prefixes (P flag) are for mobile routers (``dsmip_prefixes``); who is none gets status 133.
"""

from collections import deque
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, NamedTuple

from appliance.protocols.mipv6 import dsmip_prefixes as networks
from appliance.protocols.mipv6.binding import Away, HostBinding, host_of
from appliance.protocols.mipv6.features import HostFeature
from appliance.protocols.mipv6.nemo import swallowed
from appliance.protocols.mipv6.request import DROP_OTHER, FORCE_REFUSED, FORCE_REFUSED_144, HostRequest
from appliance.protocols.mobility import aaa
from appliance.protocols.mobility import status as codes
from appliance.protocols.mobility.messages import BU_F, BU_R
from appliance.protocols.mobility.options import (
    IPv4AddressAcknowledgement,
    IPv4HomeAddress,
    NatDetection,
)
from appliance.protocols.pmipv6.bce import BindingCacheEntry
from appliance.protocols.pmipv6.coverage import in_ipv4, stranded
from appliance.protocols.pmipv6.lma_checks import is_unicast
from appliance.protocols.pmipv6.lma_request import POOL_EMPTY, Verdict
from appliance.protocols.pmipv6.lma_sessions import Sessions
from appliance.protocols.pmipv6.lma_transport import NO_KEEPALIVES
from appliance.protocols.pmipv6.reports import Reports
from appliance.protocols.pmipv6.settings import LmaSettings, Profile
from appliance.protocols.timers import Now

#: Status of an IPv4 Address Acknowledgement option (section 3.2.1).
SUCCESS, UNSPECIFIED, PROHIBITED, INCORRECT, INVALID, NOT_AVAILABLE, NO_PREFIX = (
    0, 128, 129, 130, 131, 132, 133
)  # fmt: skip
#: Bits of an IPv4 address.
WHOLE = 32
#: Bindings that are looked at in one tick.
LOOKED_AT = 500

#: ``Registrations.keep`` and ``Decisions.drop``.
Keep = Callable[[BindingCacheEntry, HostBinding, Any], None]
Drop = Callable[[BindingCacheEntry, int, int, Now, bool], None]


def _nat(request: HostRequest) -> bool:
    """Section 4.5: whether the address that the host says is another one than that in the IPv4 header."""
    return request.outer is not None and request.said != request.outer.address


def _forced(request: HostRequest, settings: LmaSettings) -> bool:
    """Whether UDP is used because one of both ends wants it so."""
    asked = bool(request.flags & BU_F) and settings.mipv6_udp == "on-request"
    return asked or settings.mipv6_udp == "always"


def away_of(request: HostRequest, settings: LmaSettings) -> Away | None:
    """How the place is reached that an update came from; ``None``: it came in IPv6."""
    outer = request.outer
    if outer is None:
        return None
    nat = _nat(request)
    return Away(outer.local, outer.port, nat or _forced(request, settings), nat, request.said or b"")


class _Wanted(NamedTuple):
    """What a choice of an IPv4 home address is about."""

    profile: Profile
    address: bytes | None


class DualStack(HostFeature):
    """What one service does for them."""

    def __init__(
        self, settings: LmaSettings, reports: Reports, sessions: Sessions, keep: Keep, drop: Drop
    ) -> None:
        self._settings = settings
        self._keep, self._drop = keep, drop
        #: Bindings that may have something of IPv4 when that is served no more.
        self._suspects: deque[BindingCacheEntry] = deque()
        self._reports = reports
        self._sessions = sessions

    def reconfigure(self, settings: LmaSettings, now: Now) -> None:
        """Go on by other settings; bindings take them over at their next update.

        Without the function what they have of IPv4 goes at once, and those that are nowhere else end
        (:mod:`pmipv6.coverage`).
        """
        before, self._settings = self._settings, settings
        if in_ipv4(before) and not in_ipv4(settings):
            self._suspects.extend(self._sessions.cache.calls.values())
            self.schedule(now.mono)

    @property
    def deadline(self) -> float | None:
        """At once while there are bindings to look at."""
        return 0.0 if self._suspects else None

    def tick(self, now: Now) -> None:
        """Take from some more bindings what they have of IPv4."""
        for _ in range(min(LOOKED_AT, len(self._suspects))):
            entry = self._suspects.popleft()
            host = host_of(entry)
            alive = self._sessions.cache.calls.get(entry.call_id) is entry
            if host is None or not alive or entry.deleting or stranded(entry):
                continue
            several = host.several or {}
            left = {bid: care for bid, care in several.items() if care.away is None}
            if len(left) < len(several):
                self._keep(entry, host, left)
                self._sessions.tell(aaa.REFRESH, entry)
            if entry.ipv4_address is not None:
                self._drop(entry, codes.REVOKE_ADMINISTRATIVE, aaa.ADMINISTRATIVE, now, True)

    # ---- where the host is

    def before(self, request: HostRequest, now: Now) -> Verdict | None:
        """Section 4.2: is there a NAT? Every answer tells, so this is found out first."""
        outer = request.outer
        if outer is None:
            return None
        if not is_unicast(outer.address) or outer.address == outer.local or not outer.port:
            return DROP_OTHER
        refresh = self._settings.mipv6_nat_keepalive if _nat(request) else NO_KEEPALIVES
        request.answer_options.append(NatDetection(_forced(request, self._settings), refresh))
        return None

    def check(self, request: HostRequest, now: Now) -> Verdict | None:
        """Section 4.5: an F flag that is not accepted. Where a NAT wants UDP anyhow, it changes nothing.

        And which IPv4 prefixes a router will have: it comes after the feature that forwards them.
        """
        if request.leaves or not self._settings.mipv6_dual_stack:
            return None
        if request.flags & BU_R:
            request.networks += networks.choose(request, self._sessions.delegated)
            lost = swallowed(request)
            if lost is not None:
                return lost
        if not request.flags & BU_F:
            return None
        if request.outer is not None and (_forced(request, self._settings) or _nat(request)):
            return None
        return FORCE_REFUSED if request.key else FORCE_REFUSED_144

    def accepted(
        self, request: HostRequest, entry: BindingCacheEntry, host: HostBinding, first: bool, now: Now
    ) -> Verdict | None:
        """Where packets go, and the IPv4 home address."""
        if host.several is not None:
            host.settle(entry)
        else:
            host.away = away_of(request, self._settings)
            entry.udp = host.away is not None and host.away.udp
        if self._settings.mipv6_dual_stack:
            self._home(request, entry, now)
        return None

    # ---- its IPv4 home address

    def _home(self, request: HostRequest, entry: BindingCacheEntry, now: Now) -> None:
        """Section 4.5; without an option the binding of the address goes (section 4.4.2.1)."""
        asked = [each for each in request.others if each.__class__ is IPv4HomeAddress]
        if not asked and entry.ipv4_address is None:
            return
        answers, given = [], False
        mine = networks.had(entry)
        for option in asked[: networks.MOST]:
            if option.prefix_length and networks.is_network(option):
                answers.append(_network(request, option, mine))
                continue
            answer = self._refused(option, given) or self._given(request, entry, option, now)
            given = given or answer.status == SUCCESS
            answers.append(answer)
        if not given:
            self._sessions.release_address(entry)
        # RFC 5648 section 8.2: in front of any Binding Identifier option; no option has been added before.
        request.answer_options[:0] = answers

    @staticmethod
    def _refused(option: IPv4HomeAddress, given: bool) -> IPv4AddressAcknowledgement | None:
        """What no setting would change."""
        status = SUCCESS
        if not option.prefix_length or option.prefix_length > WHOLE:
            # Section 3.1.1: a length of zero is an error.
            status = UNSPECIFIED
        elif given:
            # A host has one IPv4 home address.
            status = UNSPECIFIED
        elif any(option.address) and not is_unicast(option.address):
            status = INVALID
        return _denial(status, option) if status else None

    def _given(
        self, request: HostRequest, entry: BindingCacheEntry, option: IPv4HomeAddress, now: Now
    ) -> IPv4AddressAcknowledgement:
        """Its address, the one that it asks for, or any."""
        grant, profile = entry.grant, request.profile
        allowed = None if grant is None else grant.ipv4_allowed
        if profile is None or not (profile.ipv4 if allowed is None else allowed):
            return _denial(PROHIBITED, option)
        wanted = option.address if any(option.address) else None
        has = entry.ipv4_address
        if has is None or wanted not in (None, has):
            verdict = self._sessions.take_address(entry, _Wanted(profile, wanted))
            if verdict is POOL_EMPTY:
                text = "no IPv4 home address is left for a host"
                self._reports.notice("hosts-ipv4", text, now, self._sessions.effects)
                return _denial(NOT_AVAILABLE, option)
            if verdict is not None:
                return _denial(INCORRECT, option)
        return IPv4AddressAcknowledgement(SUCCESS, WHOLE, entry.ipv4_address or b"")

    def left(self, request: HostRequest, entry: BindingCacheEntry, host: HostBinding, now: Now) -> None:
        """Section 4.4.2.1: a lifetime of zero removes all bindings."""
        if self._settings.mipv6_dual_stack:
            request.answer_options[:0] = [
                IPv4AddressAcknowledgement(SUCCESS, WHOLE, entry.ipv4_address or each.address)
                for each in request.others
                if each.__class__ is IPv4HomeAddress
            ][: networks.MOST]

    def details(self, entry: BindingCacheEntry, host: HostBinding) -> list[tuple[str, str]]:
        """Where it is in the IPv4 network."""
        away = host.away
        if away is None:
            return []
        found = [
            ("Our End of the Tunnel", str(ip_address(away.local))),
            ("UDP Port of Host", str(away.port)),
            ("Data in UDP", "Yes" if away.udp else "No"),
        ]
        if away.nat:
            own = str(ip_address(away.own)) if away.own else "it does not say its own address"
            found.append(("NAT before Host", own))
        return found


def _network(
    request: HostRequest, option: IPv4HomeAddress, mine: list[tuple[bytes, int]]
) -> IPv4AddressAcknowledgement:
    """A prefix, or why there is none."""
    prefix = networks.granted(option, mine)
    if prefix is not None:
        return IPv4AddressAcknowledgement(SUCCESS, prefix[1], prefix[0])
    if not networks.entitled(request):
        return _denial(NO_PREFIX, option)
    return _denial(INCORRECT if any(option.address) else NOT_AVAILABLE, option)


def _denial(status: int, option: IPv4HomeAddress) -> IPv4AddressAcknowledgement:
    """Section 3.2.1: a length of zero, and the address that was asked for."""
    return IPv4AddressAcknowledgement(status, 0, option.address)
