"""Mobile routers (RFC 3963): which prefixes are behind each, and who else may have them.

::

    R flag ─▶ check: 140 not permitted, 139 not as before, 141 cannot be, 142 not the router's, 143 none known
           ─▶ accepted: in the binding cache entry and its tunnel, R in the answer
    explicit: the Mobile Network Prefix options      implicit: the profile's, AAA's, those leased by DHCPv6

What a router holds stands in ``extras.delegated``, where the tunnel, accounting and the screens look for it;
a leased prefix belongs to its lease, any other to the entry (``DelegatedPrefixes.owners``).
"""

from collections import deque
from ipaddress import ip_address
from typing import Any

from appliance.protocols.mipv6 import request as verdicts
from appliance.protocols.mipv6.binding import HostBinding, host_of
from appliance.protocols.mipv6.features import HostFeature
from appliance.protocols.mipv6.nemo_leases import Lease, Leases
from appliance.protocols.mipv6.request import HostRequest
from appliance.protocols.mobility import aaa
from appliance.protocols.mobility.messages import BA_R, BU_R
from appliance.protocols.mobility.options import MobileNetworkPrefix
from appliance.protocols.pmipv6.bce import BindingCacheEntry
from appliance.protocols.pmipv6.delegated_pools import Prefix, inside
from appliance.protocols.pmipv6.events import Reach, Unreach
from appliance.protocols.pmipv6.extras import extras_of
from appliance.protocols.pmipv6.lma_request import Verdict
from appliance.protocols.pmipv6.lma_sessions import Sessions
from appliance.protocols.pmipv6.reports import Reports
from appliance.protocols.pmipv6.settings import LmaSettings, Profile
from appliance.protocols.timers import Now

#: Prefixes of one mobile router; an update has room for fewer.
MOST = 16
#: Bindings that are looked at in one tick after a change of settings, and leases that end in one.
PER_TICK = 500
_NO_PROFILE = Profile(name="")


def held(entry: BindingCacheEntry) -> tuple[Prefix, ...]:
    """The mobile network prefixes of a binding."""
    found: tuple[Prefix, ...] = () if entry.extras is None else entry.extras.delegated
    return found


def proper(prefix: bytes, length: int) -> bool:
    """Whether packets to a prefix can be forwarded at all: global unicast, nothing behind its length."""
    if not 0 < length <= 128 or int.from_bytes(prefix, "big") & ((1 << (128 - length)) - 1):
        return False
    return 0 < prefix[0] < 0xFE


def swallowed(request: HostRequest) -> Verdict | None:
    """A care-of address in a network behind the router itself: its tunnel would end in itself.

    In another router's network it may be (nested mobility).
    """
    named = [request.care_of, *(each.care_of for each in request.identifiers)]
    ends = [(each, 8 * len(each)) for each in named]
    lost = any(inside(end, network) for end in ends for network in request.networks)
    return verdicts.BAD_CARE_OF if lost else None


class MobileRouters(HostFeature):
    """The mobile routers of one service."""

    def __init__(self, settings: LmaSettings, sessions: Sessions, reports: Reports) -> None:
        self._sessions = sessions
        self._reports = reports
        self._prefixes = sessions.delegated
        self.leases = Leases(self._prefixes)
        #: Bindings and leases that a change of settings may take prefixes of.
        self._suspects: deque[BindingCacheEntry | Lease] = deque()
        #: Prefixes with a route of their own.
        self._reached: set[Prefix] = set()
        self._take(settings)

    def _take(self, settings: LmaSettings) -> None:
        self._settings = settings
        self._profiles = {profile.mn_id: profile for profile in settings.profiles if profile.mn_id}
        self._fallback = settings.default_profile or _NO_PROFILE
        self._fixed = {each for profile in settings.profiles for each in profile.network_prefixes}

    def profile(self, mn_id: bytes) -> Profile:
        """What a router may do."""
        return self._profiles.get(mn_id, self._fallback)

    # ---- registrations

    def check(self, request: HostRequest, now: Now) -> Verdict | None:
        """RFC 3963 section 6.2; a de-registration is taken whatever its R flag says."""
        request.networks = ()
        if request.leaves:
            return None
        wants = bool(request.flags & BU_R)
        profile = request.profile
        allowed = profile is not None and profile.mobile_router and self._settings.mipv6_mobile_routers
        if wants and not allowed:
            return verdicts.NO_ROUTER
        request.answer_flags |= BA_R if wants else 0
        entry = request.entry
        host = host_of(entry)
        if host is not None and entry is not None and not entry.deleting and host.router != wants:
            return verdicts.TYPE_CHANGED
        if not wants or profile is None:
            return None
        named = [option for option in request.others if option.__class__ is MobileNetworkPrefix]
        if named:
            prefixes = tuple(dict.fromkeys((each.prefix, each.prefix_length) for each in named))
            verdict = self._explicit(request, profile, prefixes, now)
        else:
            verdict = self._implicit(request, profile, now)
        return verdict or swallowed(request)

    def _authorized(self, request: HostRequest, profile: Profile) -> tuple[Prefix, ...]:
        """The prefix table of RFC 3963 section 6.1.2, as far as it is about this router."""
        grant = request.grant or (None if request.entry is None else request.entry.grant)
        granted = () if grant is None else grant.delegated
        return (*profile.network_prefixes, *granted, *self.leases.of(request.mn_id))

    def _explicit(
        self, request: HostRequest, profile: Profile, named: tuple[Prefix, ...], now: Now
    ) -> Verdict | None:
        authorized = self._authorized(request, profile)
        if len(named) > MOST or not all(proper(*prefix) for prefix in named):
            return verdicts.BAD_NETWORK
        if any(prefix not in authorized for prefix in named):
            return verdicts.NOT_HIS_NETWORK
        # All of them, or none is forwarded.
        if _nested(named) or not all(self._free(request, prefix, now) for prefix in named):
            return verdicts.BAD_NETWORK
        request.networks = named
        return None

    def _implicit(self, request: HostRequest, profile: Profile, now: Now) -> Verdict | None:
        known = tuple(dict.fromkeys(self._authorized(request, profile)))[:MOST]
        if _nested(known) or not all(proper(*each) and self._free(request, each, now) for each in known):
            return verdicts.NO_NETWORK
        if not known and not (self._settings.mipv6_prefix_delegation and profile.delegation):
            # RFC 6276 section 3.1: who has none yet, and may lease some, registers for that first.
            return verdicts.NO_NETWORK
        request.networks = known
        return None

    def _free(self, request: HostRequest, prefix: Prefix, now: Now) -> bool:
        """Whether a prefix is nobody else's, neither as it is nor as part of another one."""
        entry = request.entry
        if entry is not None and prefix in held(entry):
            return True
        holder = self._sessions.cache.holder(prefix[0])
        free = prefix in self.leases.of(request.mn_id) or not self._prefixes.taken(prefix)
        if free and (holder is None or holder is entry):
            return True
        network = f"{ip_address(prefix[0])}/{prefix[1]}"
        self.complain(f"network {network} of a mobile router is, or overlaps, somebody else's", now)
        return False

    def complain(self, text: str, now: Now) -> None:
        """Tell the operator what only he can put right."""
        self._reports.notice("mobile-routers", text, now, self._sessions.effects)

    def accepted(
        self, request: HostRequest, entry: BindingCacheEntry, host: HostBinding, first: bool, now: Now
    ) -> Verdict | None:
        """Bring what is forwarded to what the update says (section 6.2)."""
        host.router = bool(request.flags & BU_R)
        if request.networks != held(entry):
            self._bring(entry, request.networks)
        return None

    def _bring(self, entry: BindingCacheEntry, wanted: tuple[Prefix, ...]) -> None:
        """Make these the prefixes of a binding; the caller sees to its tunnel."""
        had, owners = held(entry), self._prefixes.owners
        for prefix in had:
            if prefix not in wanted:
                self._leave(entry, prefix)
        for prefix in wanted:
            if prefix not in had:
                if prefix not in owners:
                    self._prefixes.own(entry, prefix, taken=False)
                self._reach(prefix)
        extras_of(entry).delegated = wanted

    def _leave(self, entry: BindingCacheEntry, prefix: Prefix) -> None:
        if prefix in self._reached:
            self._reached.discard(prefix)
            self._sessions.effects.append(Unreach(*prefix))
        if self._prefixes.owners.get(prefix) is entry:
            self._prefixes.release(prefix)

    def _reach(self, prefix: Prefix) -> None:
        """Pools and profiles have their routes by the configuration; what AAA gives may need its own."""
        if prefix in self._fixed or self._sessions.pools.routes(*prefix):
            return
        if not any(inside(prefix, pool.network) for pool in self._settings.delegation_pools):
            self._reached.add(prefix)
            self._sessions.effects.append(Reach(*prefix))

    def ended(self, entry: BindingCacheEntry, host: HostBinding, now: Now) -> None:
        """The prefixes go with the binding (section 6.7); leases are the router's."""
        for prefix in held(entry):
            self._leave(entry, prefix)

    def details(self, entry: BindingCacheEntry, host: HostBinding) -> list[tuple[str, str]]:
        """That it is a router; the prefixes are among those of all sessions that have some."""
        return [("Mobile Router", "Yes")] if host.router else []

    # ---- leases

    def binding(self, home: bytes) -> BindingCacheEntry | None:
        """The binding of a mobile router; ``None``: it has none."""
        entry = self._sessions.cache.prefixes.get(home)
        host = host_of(entry)
        return None if entry is None or host is None or entry.deleting or not host.router else entry

    def leased(self, entry: BindingCacheEntry, prefix: Prefix) -> None:
        """RFC 6276 section 4: what a router has leased is added to its binding."""
        if prefix not in held(entry):
            self._change(entry, (*held(entry), prefix))

    def unleased(self, mn_id: bytes, prefix: Prefix) -> None:
        """A lease is over: no packet to its prefix is forwarded any more."""
        for entry in self._sessions.cache.of(mn_id):
            if entry.of_host and prefix in held(entry):
                self._change(entry, tuple(each for each in held(entry) if each != prefix))

    def _change(self, entry: BindingCacheEntry, wanted: tuple[Prefix, ...]) -> None:
        self._bring(entry, wanted)
        self._sessions.install(entry)
        if not entry.deleting:
            self._sessions.tell(aaa.REFRESH, entry)

    # ---- time, and changes of the settings

    def reconfigure(self, settings: LmaSettings, now: Now) -> None:
        """Prefixes that nothing gives any more are taken away in slices."""
        old = self._settings
        self._take(settings)
        if _sources(old) != _sources(settings):
            self._suspects = deque(dict.fromkeys(self._prefixes.owners.values()))
            self.schedule(0.0)

    @property
    def deadline(self) -> float | None:
        """When a lease may be over; at once while there are bindings to look at."""
        return 0.0 if self._suspects else self.leases.deadline

    def tick(self, now: Now) -> None:
        """End leases that are over, and take away what nothing gives any more."""
        for lease in self.leases.due(now, PER_TICK):
            self.leases.end(lease)
            self.unleased(lease.mn_id, lease.prefix)
        for _ in range(min(PER_TICK, len(self._suspects))):
            self._judge(self._suspects.popleft())

    def _judge(self, owner: BindingCacheEntry | Lease) -> None:
        """Whether a lease, or what a binding has beside leases, could still be given."""
        settings, profile = self._settings, self.profile(owner.mn_id)
        serves = settings.mipv6_mobile_routers and profile.mobile_router
        if isinstance(owner, Lease):
            serves = serves and settings.mipv6_prefix_delegation and profile.delegation
            if not (serves and self._prefixes.keeps(owner.prefix, profile)):
                self.leases.end(owner)
                self.unleased(owner.mn_id, owner.prefix)
        elif owner.of_host and self._sessions.cache.calls.get(owner.call_id) is owner:
            granted = () if owner.grant is None else owner.grant.delegated
            mine = (*profile.network_prefixes, *granted, *self.leases.of(owner.mn_id)) if serves else ()
            kept = tuple(each for each in held(owner) if each in mine)
            if kept != held(owner):
                self._change(owner, kept)


def _sources(settings: LmaSettings) -> tuple[Any, ...]:
    """Everything that mobile network prefixes come from."""
    switches = settings.mipv6_mobile_routers, settings.mipv6_prefix_delegation
    return settings.delegation_pools, settings.profiles, settings.default_profile, *switches


def _nested(prefixes: tuple[Prefix, ...]) -> bool:
    """Whether one of them lies in another."""
    return any(inside(one, other) for one in prefixes for other in prefixes if one != other)
