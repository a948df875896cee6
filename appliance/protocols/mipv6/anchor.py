"""An anchor that serves hosts as well as gateways: the two cores share binding cache, pools and counters."""

from collections.abc import Callable

from appliance.counters import CounterSet
from appliance.protocols.mipv6.dsmip import DualStack
from appliance.protocols.mipv6.home_link import HomeLink
from appliance.protocols.mipv6.hosts import Hosts
from appliance.protocols.mipv6.nemo_delegation import PrefixDelegation
from appliance.protocols.pmipv6.lma import LocalMobilityAnchor
from appliance.protocols.pmipv6.lma_sessions import Sessions
from appliance.protocols.pmipv6.lma_updates import Updates
from appliance.protocols.pmipv6.reports import Reports
from appliance.protocols.pmipv6.settings import LmaSettings


def make_anchor(
    settings: LmaSettings, counters: CounterSet, random_bits: Callable[[int], int]
) -> LocalMobilityAnchor:
    """One LMA service with all that it can do; arguments as of :class:`LocalMobilityAnchor`."""
    anchor = LocalMobilityAnchor(settings, counters, random_bits)
    anchor.join(_hosts)
    return anchor


def _hosts(
    settings: LmaSettings, counters: CounterSet, reports: Reports, sessions: Sessions, updates: Updates
) -> Hosts:
    """The core of host bindings, with all that it does beside the plain home registration."""
    hosts = Hosts(settings, counters, reports, sessions, updates)
    # Before the home link, which has to know who is a mobile router.
    PrefixDelegation(settings, sessions, reports).join(hosts.features)
    # Behind the mobile routers: it adds to the prefixes that they forward.
    hosts.features.add(DualStack(settings, reports, sessions))
    HomeLink(settings, sessions, reports).join(hosts.features)
    return hosts
