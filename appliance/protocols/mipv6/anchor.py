"""An anchor that serves hosts as well as gateways: the two cores share binding cache, pools and counters."""

from collections.abc import Callable
from typing import NamedTuple

from appliance.counters import CounterSet
from appliance.protocols.mipv6.agent_messages import HostSwitch, RefreshRequests, Voice
from appliance.protocols.mipv6.discovery import Discovery
from appliance.protocols.mipv6.dsmip import DualStack
from appliance.protocols.mipv6.events import AskRefresh, IcmpReceived, SwitchHosts
from appliance.protocols.mipv6.home_link import HomeLink
from appliance.protocols.mipv6.host_revocation import HostRevocation
from appliance.protocols.mipv6.hosts import Hosts
from appliance.protocols.mipv6.nemo_delegation import PrefixDelegation
from appliance.protocols.mipv6.prefixes import PrefixDiscovery
from appliance.protocols.mobility.discovery_messages import ICMPV6
from appliance.protocols.mobility.messages import BindingError
from appliance.protocols.pmipv6.lma import LocalMobilityAnchor
from appliance.protocols.pmipv6.lma_sessions import Sessions
from appliance.protocols.pmipv6.lma_updates import Updates
from appliance.protocols.pmipv6.reports import Reports
from appliance.protocols.pmipv6.revocation import REVOCATION
from appliance.protocols.pmipv6.settings import LmaSettings
from appliance.protocols.timers import Now


class Parts(NamedTuple):
    """Features of hosts that others ask."""

    discovery: Discovery
    switch: HostSwitch
    voice: Voice


def make_anchor(
    settings: LmaSettings, counters: CounterSet, random_bits: Callable[[int], int]
) -> LocalMobilityAnchor:
    """One LMA service with all that it can do; arguments as of :class:`LocalMobilityAnchor`."""
    anchor = LocalMobilityAnchor(settings, counters, random_bits)

    def make(
        settings: LmaSettings, counters: CounterSet, reports: Reports, sessions: Sessions, updates: Updates
    ) -> Hosts:
        hosts = Hosts(settings, counters, reports, sessions, updates, random_bits)
        # Before the home link, which has to know who is a mobile router.
        PrefixDelegation(settings, sessions, reports).join(hosts.features)
        # Behind the mobile routers: it adds to the prefixes that they forward.
        hosts.features.add(DualStack(settings, reports, sessions, hosts.keep, updates.drop))
        HomeLink(settings, sessions, reports).join(hosts.features)
        _discovery(hosts, settings, counters, reports, sessions, random_bits)
        return hosts

    anchor.join(make)
    _messages(anchor)
    return anchor


def _discovery(
    hosts: Hosts,
    settings: LmaSettings,
    counters: CounterSet,
    reports: Reports,
    sessions: Sessions,
    random_bits: Callable[[int], int],
) -> None:
    """What hosts are told of home agents and prefixes."""
    features = hosts.features
    discovery = Discovery(settings, counters, reports, sessions, random_bits)
    features.add(discovery)
    features.events[IcmpReceived] = discovery.receive
    prefixes = PrefixDiscovery(settings, counters, sessions, random_bits)
    features.add(prefixes)
    features.payloads[ICMPV6] = prefixes.payload
    voice = Voice(sessions, hosts.key_of)
    switch = HostSwitch(settings, counters, sessions, discovery.agents, voice)
    features.add(switch)
    features.events[SwitchHosts] = switch.ordered
    refresh = RefreshRequests(settings, counters, sessions, voice)
    features.add(refresh)
    features.events[AskRefresh] = refresh.ordered
    hosts.parts = Parts(discovery, switch, voice)


def _messages(anchor: LocalMobilityAnchor) -> None:
    """What hosts answer to messages that they were sent."""
    hosts = anchor.hosts
    revocation = HostRevocation(anchor.settings, anchor.revocation, hosts.parts.voice, hosts.parts.switch)
    hosts.features.add(revocation, REVOCATION, BindingError.TYPE)
    # Without a Home Address option the error is only known by the care-of address.
    anchor.errors.listeners.append(revocation.elsewhere)
    hosts.parts.discovery.begin(Now(0.0, 0.0))
