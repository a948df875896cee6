"""Prefixes for the network behind a mobile router, at the anchor (RFC 7148 section 5.2).

::

    DMNP options ─▶ check: 177 not entitled, 178 not free, 130 pool empty
                 ─▶ accepted: taken, installed, one option for each in the acknowledgement
    an update without one, the end of the session, a pool that goes ─▶ given back
"""

from collections import deque
from ipaddress import ip_address
from typing import Any

from appliance.protocols.mobility.options import DelegatedMobileNetworkPrefix
from appliance.protocols.pmipv6 import lma_request as verdicts
from appliance.protocols.pmipv6.bce import BindingCacheEntry, Found
from appliance.protocols.pmipv6.delegated_pools import Prefix
from appliance.protocols.pmipv6.extras import extras_of
from appliance.protocols.pmipv6.features import Before, Feature
from appliance.protocols.pmipv6.lma_request import Request, Verdict
from appliance.protocols.pmipv6.lma_sessions import Sessions
from appliance.protocols.pmipv6.settings import LmaSettings
from appliance.protocols.timers import Now

#: Delegated prefixes of one session: an acknowledgement has 24 octets for each, and room for others.
MOST = 16
#: Prefixes that are looked at in one tick after a change of the pools.
PER_TICK = 500


def _split(asked: list[Any]) -> tuple[set[int], list[Prefix]]:
    """What options ask for: families (octets) of which any prefix is wanted, and the prefixes named."""
    families, named = set(), []
    for option in asked:
        if any(option.prefix):
            named.append((option.prefix, option.prefix_length))
        else:
            families.add(len(option.prefix))
    return families, named


def _options(request: Request) -> list[Any]:
    return [option for option in request.others if option.__class__ is DelegatedMobileNetworkPrefix]


def _held(entry: BindingCacheEntry | None) -> tuple[Prefix, ...]:
    return () if entry is None or entry.extras is None else entry.extras.delegated


def _malformed(option: Any) -> bool:
    """Whether a prefix is named that cannot be one: too long, or with bits behind its length."""
    bits = 8 * len(option.prefix) - option.prefix_length
    return bool(bits < 0 or int.from_bytes(option.prefix, "big") & ((1 << bits) - 1))


class Delegation(Feature):
    """Gives prefixes to the sessions whose gateways ask for them."""

    def __init__(self, settings: LmaSettings, sessions: Sessions) -> None:
        self._sessions = sessions
        self.prefixes = sessions.delegated
        #: What a change of settings may have taken away, still to be looked at.
        self._suspects: deque[Prefix] = deque()
        self._take(settings)

    def _take(self, settings: LmaSettings) -> None:
        self._settings = settings
        self._profiles = {profile.mn_id: profile for profile in settings.profiles if profile.delegated}

    def reconfigure(self, settings: LmaSettings, now: Now) -> None:
        """Go on with other pools; prefixes that nothing gives any more are taken away in slices."""
        old = self._settings
        self._take(settings)
        if (old.delegation_pools, old.profiles, old.default_profile, old.prefix_delegation) != (
            settings.delegation_pools, settings.profiles, settings.default_profile, settings.prefix_delegation
        ):  # fmt: skip
            self.prefixes.adopt(settings)
            self._suspects = deque(self.prefixes.owners)

    @property
    def deadline(self) -> float | None:
        """At once while there are prefixes to look at."""
        return 0.0 if self._suspects else None

    def tick(self, now: Now) -> None:
        """Take away what no pool and no profile gives any more."""
        for _ in range(min(PER_TICK, len(self._suspects))):
            prefix = self._suspects.popleft()
            entry = self.prefixes.owners.get(prefix)
            if not isinstance(entry, BindingCacheEntry) or entry.of_host:
                # Gone, or a mobile router's, which is not ours to judge.
                continue
            if self._settings.prefix_delegation and self.prefixes.keeps(
                prefix, self._profiles.get(entry.mn_id)
            ):
                continue
            self._leave_with(entry, tuple(each for each in extras_of(entry).delegated if each != prefix))

    def check(self, request: Request, found: Found, now: Now) -> Verdict | None:
        """Section 5.2.2; nothing is taken before the session itself is sure of its place."""
        if not request.lifetime or not self._settings.prefix_delegation:
            return None
        asked = _options(request)
        if not asked:
            return None
        profile = request.profile
        if not profile.delegation:
            return verdicts.DELEGATION_DENIED
        if len(asked) > MOST or any(_malformed(option) for option in asked):
            return verdicts.BAD_REQUEST
        families, named = _split(asked)
        if len(set(named)) != len(named):
            return verdicts.BAD_REQUEST
        has = _held(request.entry)
        if not all(prefix in has or self.prefixes.free_for(profile, prefix) for prefix in named):
            return verdicts.DELEGATED_IN_USE
        for family in families:
            if not any(len(prefix) == family for prefix, _ in has) and not self._can_give(request, family):
                return verdicts.POOL_EMPTY
        return None

    def _can_give(self, request: Request, family: int) -> bool:
        return bool(self.prefixes.own_of(request.profile, family)) or self.prefixes.has_room(
            request.profile, family
        )

    def accepted(self, request: Request, entry: BindingCacheEntry, before: Before, now: Now) -> None:
        """Bring the list of the session to what the update asks for (section 5.2.2)."""
        if not request.lifetime:
            # Section 5.2.2: the list goes with the session.
            return
        asked = _options(request) if self._settings.prefix_delegation else []
        has = _held(entry)
        if not asked:
            if has:
                self._leave_with(entry, ())
            return
        families, named = _split(asked)
        wanted = [prefix for prefix in has if prefix in named or len(prefix[0]) in families]
        for prefix in named:
            if prefix not in has:
                self.prefixes.own(entry, prefix, taken=False)
                wanted.append(prefix)
        for family in sorted(families):
            if not any(len(prefix) == family for prefix, _ in wanted):
                wanted += self._give(request, entry, family)
        kept = tuple(wanted[:MOST])
        for prefix in wanted[MOST:]:
            if prefix not in has:
                self.prefixes.release(prefix)
        if kept != has:
            self._leave_with(entry, kept)
        request.answer_options += [DelegatedMobileNetworkPrefix(length, prefix) for prefix, length in kept]

    def _give(self, request: Request, entry: BindingCacheEntry, family: int) -> list[Prefix]:
        """Prefixes of a family: those that are the mobile node's own, else one of a pool."""
        fixed = self.prefixes.own_of(request.profile, family)[:MOST]
        for prefix in fixed:
            self.prefixes.own(entry, prefix, taken=False)
        if fixed:
            return list(fixed)
        pair = self.prefixes.take(request.profile, family)
        if pair is None:
            return []
        self.prefixes.own(entry, pair, taken=True)
        return [pair]

    def _leave_with(self, entry: BindingCacheEntry, kept: tuple[Prefix, ...]) -> None:
        """Make ``kept``, which the session owns by now, all that it has; forwarding follows."""
        extras = extras_of(entry)
        for prefix in extras.delegated:
            if prefix not in kept:
                self.prefixes.release(prefix)
        extras.delegated = kept
        self._sessions.install(entry)

    def ended(self, entry: BindingCacheEntry, now: Now) -> None:
        """Give back what the session had."""
        for prefix in _held(entry) if not entry.of_host else ():
            self.prefixes.release(prefix)

    def details(self, entry: BindingCacheEntry) -> list[tuple[str, str]]:
        """A prefix a line."""
        label = "Mobile Network Prefix" if entry.of_host else "Delegated Prefix"
        return [(label, f"{ip_address(prefix)}/{length}") for prefix, length in _held(entry)]
