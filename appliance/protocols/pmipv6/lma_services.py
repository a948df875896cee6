"""Service profiles at the anchor (RFC 5149 section 4.2): what a service means for a session.

::

    update ─▶ allowed-service (lma_checks) ─▶ Services.check: default service, profile, families, change
                                                     └─ 151, and the session of the update goes
"""

from attrs import evolve

from appliance.protocols.mobility.options import ServiceSelection
from appliance.protocols.pmipv6 import lma_request as verdicts
from appliance.protocols.pmipv6.bce import BindingCacheEntry, Found
from appliance.protocols.pmipv6.extras import extras_of
from appliance.protocols.pmipv6.features import Before, Feature
from appliance.protocols.pmipv6.lma_request import Request, Verdict
from appliance.protocols.pmipv6.option_settings import ServiceProfile
from appliance.protocols.pmipv6.settings import LmaSettings, Profile
from appliance.protocols.timers import Now

#: Profiles of subscribers with those of services put in, kept for the next update.
MERGED = 4096


class Services(Feature):
    """Puts the profile of a session's service over that of its subscriber."""

    def __init__(self, settings: LmaSettings) -> None:
        self._take(settings)

    def _take(self, settings: LmaSettings) -> None:
        self._profiles = {profile.name.encode(): profile for profile in settings.service_profiles}
        self._rejects = settings.unknown_service == "reject"
        subscribers = (*settings.profiles, settings.default_profile)
        self._merged: dict[tuple[int, bytes], tuple[Profile, Profile]] = {}
        self._pools = {
            name: [(pool.prefix, pool.prefix_length) for pool in settings.prefix_pools
                   if name in (pool.name, pool.group)]
            for name in {profile.prefix_pool for profile in settings.service_profiles if profile.prefix_pool}
        }  # fmt: skip
        self.watches = (
            bool(self._profiles)
            or self._rejects
            or any(each is not None and bool(each.default_service) for each in subscribers)
        )

    def reconfigure(self, settings: LmaSettings, now: Now) -> None:
        """Other profiles hold from the next update of a session on."""
        self._take(settings)

    def check(self, request: Request, found: Found, now: Now) -> Verdict | None:
        """RFC 5149 section 4.2: whether the service is to be had, and on which terms."""
        if not request.lifetime or not self.watches:
            return None
        entry, profile = request.entry, request.profile
        if request.service is None and entry is None and profile.default_service:
            request.service = ServiceSelection(profile.default_service.encode())
        service = request.service.identifier if request.service is not None else b""
        if not service and entry is not None:
            # Only the first update has to name it.
            service = entry.service
        if not service:
            return None
        terms = self._profiles.get(service)
        if terms is None:
            return verdicts.NO_SERVICE if self._rejects else None
        if entry is not None and entry.service != service and not self._suits(terms, entry):
            return verdicts.NO_SERVICE
        request.profile = self._merge(profile, service, terms)
        if request.prefix_options and not terms.ipv6:
            return verdicts.NO_IPV6
        if request.ipv4 is not None and not terms.ipv4:
            return verdicts.NO_IPV4
        if terms.service_lifetime:
            request.lifetime = min(request.lifetime, max(1, terms.service_lifetime // 4))
        return None

    def _suits(self, terms: ServiceProfile, entry: BindingCacheEntry) -> bool:
        """Whether a session may keep its prefixes with another service: they are of that one's pool."""
        pools = self._pools.get(terms.prefix_pool)
        return pools is None or all(
            any(
                length >= size and int.from_bytes(prefix, "big") >> (128 - size)
                == int.from_bytes(pool, "big") >> (128 - size)
                for pool, size in pools
            )
            for prefix, length in entry.prefixes
        )  # fmt: skip

    def _merge(self, profile: Profile, service: bytes, terms: ServiceProfile) -> Profile:
        known = self._merged.get((id(profile), service))
        # The profile is kept with it: as long as it lives, no other object has its identity.
        if known is not None and known[0] is profile:
            return known[1]
        if len(self._merged) >= MERGED:
            self._merged.clear()
        merged = evolve(
            profile,
            prefix_pool=terms.prefix_pool or profile.prefix_pool,
            address_pool=terms.address_pool or profile.address_pool,
            service_lifetime=terms.service_lifetime,
            qos_profile=terms.qos_profile,
            # A fixed assignment is the subscriber's, unless the service has pools of its own.
            prefixes=() if terms.prefix_pool else profile.prefixes,
            ipv4_address=None if terms.address_pool else profile.ipv4_address,
        )
        self._merged[id(profile), service] = (profile, merged)
        return merged

    def accepted(self, request: Request, entry: BindingCacheEntry, before: Before, now: Now) -> None:
        """Remember whose terms the session is on."""
        terms = self._profiles.get(entry.service)
        if terms is None and entry.extras is None:
            return
        extras = extras_of(entry)
        extras.service_profile = "" if terms is None else terms.name
        extras.qos_profile = "" if terms is None else terms.qos_profile

    def details(self, entry: BindingCacheEntry) -> list[tuple[str, str]]:
        """The profile, and its quality of service."""
        extras = entry.extras
        if extras is None or not extras.service_profile:
            return []
        shown = [("Service Profile", extras.service_profile)]
        return [*shown, ("QoS Profile", extras.qos_profile)] if extras.qos_profile else shown
