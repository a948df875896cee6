"""Making, moving and ending the bindings of hosts (RFC 6275 sections 10.3.1, 10.3.2, RFC 5648 section 6.2).

The entries are in the anchor's binding cache, on its wheel and under its call ids: so operators, accounting,
the tunnel engine and changes of the configuration treat them as they treat the sessions of gateways.
"""

from math import inf

from appliance.protocols.mipv6.binding import WHOLE, HostBinding, host_of, primary
from appliance.protocols.mipv6.features import HostFeatures
from appliance.protocols.mipv6.request import DUPLICATE, HostRequest
from appliance.protocols.mipv6.several import Plan, Several
from appliance.protocols.mobility import aaa
from appliance.protocols.pmipv6.bce import BindingCacheEntry
from appliance.protocols.pmipv6.events import Remove
from appliance.protocols.pmipv6.lma_request import Verdict
from appliance.protocols.pmipv6.lma_sessions import Sessions
from appliance.protocols.pmipv6.settings import LmaSettings, Profile
from appliance.protocols.timers import Now

#: RFC 6275 section 12 (MAX_DELETE_BCE_TIMEOUT): seconds that a de-registered binding is remembered.
DELETE_AFTER = 10.0
#: No request has this fingerprint, so a gateway's update is never taken for the repetition of a host's.
_NOBODYS = -1
_NO_PROFILE = Profile(name="")


class Registrations:
    """The bindings of one service's hosts."""

    __slots__ = ("_features", "_most", "_sessions", "_spread")

    def __init__(self, settings: LmaSettings, sessions: Sessions, features: HostFeatures) -> None:
        self._sessions = sessions
        self._features = features
        self.reconfigure(settings)

    def reconfigure(self, settings: LmaSettings) -> None:
        """Go on by other settings."""
        # RFC 6275 section 10.6.4: no binding outlives its prefix.
        self._most = max(1, min(settings.reg_lifetime, settings.mipv6_prefix_valid) // 4)
        # RFC 5648 leaves the choice open; it holds from the next registration of a host on.
        self._spread = settings.mipv6_flow_policy == "round-robin"

    def lifetime(self, request: HostRequest, now: Now) -> int:
        """What may be granted, in units of 4 s."""
        ends = inf
        if request.grant is not None:
            ends = now.mono + min(request.grant.lifetime or inf, request.grant.session_timeout or inf)
        elif request.entry is not None and request.entry.ends is not None:
            ends = request.entry.ends
        # Of two equal numbers ours: it is kept once for all bindings.
        granted = min(self._most, request.lifetime)
        return granted if ends - now.mono >= 4 * granted else max(1, int(ends - now.mono) // 4)

    def accept(self, request: HostRequest, plan: Plan, lifetime: int, now: Now) -> Verdict | None:
        """Make, extend or move a binding; or why there is none."""
        entry = request.entry
        first = entry is None
        if entry is None:
            verdict = self._create(request, now)
            if verdict is not None:
                return verdict
            entry = request.entry
            assert entry is not None
        host = host_of(entry)
        assert host is not None
        # What is in force now, as long as it is; a binding that is being deleted has no tunnel.
        before = None if first or entry.deleting else self._shape(entry, host)
        peer = b"" if first else entry.care_of
        self._authenticated(request, entry, host, now)
        host.several = plan.several
        host.spread = self._spread
        entry.care_of = request.care_of if plan.several is None else primary(plan.several)
        entry.local = request.destination if entry.local != request.destination else entry.local
        entry.deleting = False
        entry.lifetime = lifetime
        if request.service is not None:
            entry.service = request.service.identifier
        verdict = self._features.accepted(request, entry, host, first, now)
        if verdict is not None:
            if first:
                self._sessions.forget(entry)
            return verdict
        self._stamp(request, entry, host, now)
        self._schedule(entry, host, now.mono + 4 * lifetime)
        moved = not first and peer != entry.care_of
        entry.handoffs += moved
        if before is None or before != self._shape(entry, host):
            self._sessions.install(entry)
        self._sessions.tell(aaa.START if first else aaa.HANDOFF if moved else aaa.REFRESH, entry)
        return None

    def _shape(self, entry: BindingCacheEntry, host: HostBinding) -> tuple[object, ...]:
        """All that the Install of a binding is made from (``forwarding_of``), for less than one costs."""
        return (
            entry.care_of,
            entry.local,
            entry.udp,
            host.away,
            host.spread,
            host.several and [(care.address, care.away, care.at_home) for care in host.several.values()],
            entry.prefix,
            entry.more_prefixes,
            entry.ipv4_address,
            host.delegated,
            self._sessions.rates(entry),
        )

    def _create(self, request: HostRequest, now: Now) -> Verdict | None:
        sessions, profile = self._sessions, request.profile or _NO_PROFILE
        verdict = sessions.room(request.mn_id)
        if verdict is not None:
            return verdict
        named = request.home in profile.home_addresses
        if not named and not sessions.pools.admit_prefix(request.home, WHOLE):
            return DUPLICATE
        call_id = request.granted_call or sessions.reserve()
        sessions.unreserve(call_id)
        entry = request.entry = BindingCacheEntry(call_id, request.mn_id)
        entry.created = now.wall
        entry.prefixes = ((request.home, WHOLE),)
        entry.fingerprint = _NOBODYS
        entry.extras = HostBinding()
        sessions.cache.add(entry)
        return None

    def _authenticated(
        self, request: HostRequest, entry: BindingCacheEntry, host: HostBinding, now: Now
    ) -> None:
        """Keep what the host was authenticated by."""
        grant = request.grant
        if grant is not None:
            self._sessions.grant(entry, grant, now)
            host.asked_again = False
            # A key of the configuration goes on to count; one of AAA is replaced by the next one.
            if grant.key and (host.key or request.key == grant.key):
                host.key = grant.key
                host.key_ends = now.mono + (grant.key_lifetime or inf)
            if not entry.service and grant.services:
                entry.service = grant.services[0]
        host.spi = request.spi if request.key else None

    def _stamp(self, request: HostRequest, entry: BindingCacheEntry, host: HostBinding, now: Now) -> None:
        entry.sequence = request.sequence
        entry.updated = now.wall
        if request.mesg_id is not None:
            host.mesg_id = request.mesg_id.timestamp

    def _schedule(self, entry: BindingCacheEntry, host: HostBinding, due: float) -> None:
        entry.due = due if not host.several else min(care.due for care in host.several.values())
        self._sessions.wheel.put(entry)

    def deregister(self, request: HostRequest, several: Several | None, now: Now) -> None:
        """Take care-of addresses away; with the last of them the binding, which is remembered for a while."""
        entry = request.entry
        host = host_of(entry)
        assert entry is not None and host is not None
        self._stamp(request, entry, host, now)
        self._features.left(request, entry, host, now)
        if several:
            self.keep(entry, host, several)
            self._sessions.tell(aaa.REFRESH, entry)
            return
        host.several = None
        entry.deleting = True
        entry.due = now.mono + DELETE_AFTER
        self._sessions.wheel.put(entry)
        self._sessions.tell(aaa.PAUSE, entry)
        self._sessions.effects.append(Remove(entry.call_id))

    def keep(self, entry: BindingCacheEntry, host: HostBinding, several: Several) -> None:
        """Let a binding go on with these of its care-of addresses."""
        host.several = several
        host.settle(entry)
        self._schedule(entry, host, entry.due)
        self._sessions.install(entry)

    def outlives(self, entry: BindingCacheEntry, now: Now) -> bool:
        """Whether a binding that is due goes on by care-of addresses that were refreshed later."""
        host = host_of(entry)
        if host is None or not host.several or entry.deleting:
            return False
        left = {bid: care for bid, care in host.several.items() if care.due > now.mono}
        if not left or not primary(left):
            return False
        self.keep(entry, host, left)
        return True
