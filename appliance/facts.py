"""What ``show lma-service`` and ``show mag-service`` say about a service's settings; names of numbers.

Labels and their order up to ``Newcall Policy`` follow the show commands of the vendor's
mobile IPv6 services; what comes after is ours. Pure functions of the settings.
"""

from appliance.config_peers import words
from appliance.facts_hosts import host_facts
from appliance.facts_options import lma_options, mag_options
from appliance.facts_quality import lma_quality, mag_quality
from appliance.facts_words import (
    Facts,
    address,
    amount,
    endpoint,
    listing,
    network,
    revocation_facts,
    revoker_facts,
    status,
    switch,
    traffic_class,
)
from appliance.protocols.mobility.names import VALUES
from appliance.protocols.pmipv6.settings import (
    SESSIONS_PER_MOBILE,
    GlobalPeer,
    LmaSettings,
    MagSettings,
    MobilePolicy,
    Peer,
)


def technology_name(number: int) -> str:
    """Name of an Access Technology Type (RFC 5213 section 8.5), or ``unknown``."""
    return VALUES["o24.value"].get(number, "unknown")


def _link_layer(packed: bytes) -> str:
    return packed.hex(":") or "any"


def _heartbeat(interval: int, timeout: int, retransmissions: int) -> Facts:
    """The four lines of the heartbeat feature, or the one that says that it is off."""
    if not interval:
        return [("Heartbeat support", "Disabled")]
    return [
        ("Heartbeat support", "Enabled"),
        ("Heartbeat Interval", str(interval)),
        ("Heartbeat Retransmission Timeout", str(timeout)),
        ("Heartbeat Max Retransmissions", str(retransmissions)),
    ]


def _global_peer(peer: GlobalPeer) -> str:
    text = network(peer.address, peer.prefix_length)
    return f"{text} identity {peer.identity.decode()}" if peer.identity else text


def _losses(settings: LmaSettings | MagSettings) -> Facts:
    """What becomes of sessions with a peer that heartbeats find lost."""
    if not settings.heartbeat_interval:
        return []
    words = {"keep-sessions": "Keep Sessions", "end-sessions": "End Sessions"}
    return [
        ("Path Failure", words[settings.heartbeat_path_failure]),
        ("Peer Restart", words[settings.heartbeat_peer_restart]),
    ]


def _controlled(settings: LmaSettings) -> Facts:
    """Update notifications, and the timers that gateways are given."""
    facts = [
        ("Update Notification Max Retransmissions", str(settings.update_notification_retransmissions)),
        ("Update Notification Delay", amount(settings.update_notification_delay, "millisecond")),
        ("Update Notification On Change", switch(settings.update_notification_on_change)),
        ("MAG Re-registration Control", switch(settings.mag_reregistration_control)),
    ]
    if settings.mag_reregistration_control:
        facts += [
            ("MAG Re-registration Start Time", amount(4 * settings.mag_reregistration_start, "second")),
            ("MAG Initial Retransmission", amount(settings.mag_retransmission_initial, "second")),
            ("MAG Maximum Retransmission", amount(settings.mag_retransmission_maximum, "second")),
        ]
    facts.append(("MAG Heartbeat Control", switch(settings.mag_heartbeat_control)))
    if settings.mag_heartbeat_control:
        facts += [
            ("MAG Heartbeat Interval", amount(settings.mag_heartbeat_interval, "second")),
            ("MAG Heartbeat Retransmission Delay", amount(settings.mag_heartbeat_delay, "second")),
            ("MAG Heartbeat Max Retransmissions", str(settings.mag_heartbeat_retransmissions)),
        ]
    return facts


def _peer(peer: Peer) -> str:
    return " ".join([network(peer.address, peer.prefix_length), *words(peer)])


def lma_facts(settings: LmaSettings, state: str) -> Facts:
    """Label and value pairs of an LMA service in screen order; ``state`` as in ``ServicePort.state``."""
    facts = [
        ("Service Name", settings.name),
        ("Context", settings.context),
        ("Bind", "Done" if settings.bound else "Not Done"),
        ("Max Subscribers", str(settings.max_subscribers)),
        ("Local IPv6 Address", address(settings.address)),
        ("Local IPv4 Address", address(settings.ipv4_address)),
        ("Lifetime", amount(settings.reg_lifetime, "second")),
        ("Simul Bindings", str(settings.simul_bindings or SESSIONS_PER_MOBILE)),
        ("Setup Timeout", amount(settings.setup_timeout, "second")),
        ("Sequence Number Validation", switch(settings.sequence_number_validate)),
        ("Refresh Advice Option", switch(settings.refresh_advice_option)),
        ("Refresh Interval Percent", str(settings.refresh_interval_percent)),
        ("Timestamp Replay Protection", switch(settings.timestamp_option_validation)),
        ("Timestamp Tolerance", amount(settings.timestamp_validity_window, "millisecond")),
        ("Default Subscriber", settings.default_profile.name if settings.default_profile else "None"),
        ("AAA accounting", switch(settings.aaa_accounting)),
        ("Service Status", status(settings, state)),
        ("Newcall Policy", settings.newcall_policy.upper()),
        ("Alternate Care-of Address", "Allowed" if settings.alt_coa_allowed else "Not Allowed"),
        ("Mobile Node Generated Timestamp", switch(settings.mobile_node_generated_timestamp)),
        ("Min Delay Before BCE Delete", amount(settings.min_delay_before_bce_delete, "millisecond")),
        ("Max Delay Before New BCE Assign", amount(settings.max_delay_before_new_bce_assign, "millisecond")),
        ("H-bit", "Required" if settings.h_bit_required else "Not Required"),
        ("GRE", settings.gre.capitalize()),
        ("Forced UDP Encapsulation", "Accepted" if settings.forced_udp_encapsulation else "Refused"),
        ("TLV Header", "Accepted" if settings.tlv else "Refused"),
        ("NAT Keepalive", amount(settings.nat_keepalive, "second")),
        ("Max Memory", f"{settings.max_memory} MiB" if settings.max_memory else "None"),
        ("Max Pending Registrations", str(settings.max_pending)),
        ("DHCP Support Mode", settings.dhcp_mode.capitalize()),
        ("Path MTU", str(settings.path_mtu)),
        ("Tunnel Traffic Class", traffic_class(settings.tunnel_traffic_class)),
        ("Unknown Peer Policy", settings.unknown_peer.capitalize()),
        ("Unknown Subscriber Policy", settings.unknown_subscriber.capitalize()),
        ("AAA Group", settings.aaa_group or "None"),
        ("AAA Authentication Endpoint", endpoint(settings, accounting=False)),
        ("AAA Accounting Endpoint", endpoint(settings, accounting=True)),
        ("Bulk Binding Update", "Accepted" if settings.accept_bulk else "Refused"),
        *revoker_facts(settings),
    ]
    if settings.revocation:
        peers = [_global_peer(peer) for peer in settings.global_peers]
        facts += listing("Revocation Global Peer", peers)
    facts += _heartbeat(
        settings.heartbeat_interval, settings.heartbeat_timeout, settings.heartbeat_max_retransmissions
    )
    facts += _losses(settings) + _controlled(settings)
    facts += lma_quality(settings)
    facts += host_facts(settings)
    facts += listing("MAG Peer", [_peer(peer) for peer in settings.peers])
    facts += listing(
        "IPv6 Pool",
        [f"{pool.name} {network(pool.prefix, pool.prefix_length)}" for pool in settings.prefix_pools],
    )
    facts += listing(
        "IP Pool",
        [f"{pool.name} {address(pool.first)} - {address(pool.last)}" for pool in settings.address_pools],
    )
    facts += lma_options(settings)
    facts.append(("Subscribers Configured", str(len(settings.profiles))))
    return facts


def _mobile(policy: MobilePolicy) -> str:
    """One mobile node of a MAG: who, where, and what it asks for, as on its configuration line."""
    families = [name for name, on in (("ipv6", policy.ipv6), ("ipv4", policy.ipv4)) if on]
    if policy.ipv4_on_demand:
        families[-1] += "-on-demand"
    words = [_link_layer(policy.link_layer), policy.mn_id.decode("utf-8", "backslashreplace"), *families]
    if policy.interface:
        words.append(f"interface {policy.interface}")
    if policy.lma:
        words.append(f"lma {address(policy.lma)}")
    if policy.service:
        words.append(f"service {policy.service.decode('utf-8', 'backslashreplace')}")
    words += [f"prefix {network(prefix, length)}" for prefix, length in policy.prefixes]
    return " ".join(words)


def mag_facts(settings: MagSettings, state: str) -> Facts:
    """Label and value pairs of a MAG service in screen order; ``state`` as in ``ServicePort.state``."""
    facts = [
        ("Service Name", settings.name),
        ("Context", settings.context),
        ("Bind", "Done" if settings.bound else "Not Done"),
        ("Max Subscribers", str(settings.max_subscribers)),
        ("Local IPv6 Address", address(settings.address)),
        ("Local IPv4 Address", address(settings.ipv4_address)),
        ("LMA Address", address(settings.lma)),
        ("Lifetime", amount(settings.reg_lifetime, "second")),
        ("Renew Percent Time", str(settings.renew_percent_time)),
        ("Encapsulation", settings.encapsulation.upper()),
        ("Max Retransmissions", str(settings.max_retransmissions)),
        ("Retransmission Policy", settings.retransmission_policy),
        ("Retransmission Timeout", amount(settings.retransmission_timeout, "millisecond")),
        ("Retransmission Timeout Maximum", amount(settings.retransmission_maximum, "millisecond")),
        ("Timestamps", switch(settings.timestamps)),
        ("Service Status", state),
        ("Newcall Policy", "NONE"),
        ("Local Routing", switch(settings.local_routing)),
        ("Reachable Time", amount(settings.reachable_time, "second")),
        ("Probe Timeout", amount(settings.probe_timeout, "millisecond")),
        ("Probe Count", str(settings.probe_count)),
        ("Router Lifetime", amount(settings.router_lifetime, "second")),
        ("Router Advertisement Interval", amount(settings.router_advertisement_interval, "second")),
        ("Access Link-Local Address", address(settings.link_local)),
        ("Access Link-Layer Address", _link_layer(settings.link_layer)),
        ("Force UDP Encapsulation", switch(settings.force_udp_encapsulation)),
        ("TLV Header", switch(settings.tlv)),
        ("NAT Keepalive", amount(settings.nat_keepalive, "second")),
        ("DHCP Lease Time", amount(settings.dhcp_lease_time, "second")),
        ("DHCP DNS Servers", ", ".join(address(each) for each in settings.dhcp_dns_servers) or "None"),
        ("DHCP Domain Name", settings.dhcp_domain_name or "None"),
        ("DHCP Relay Server", address(settings.dhcp_relay_server)),
        ("Path MTU", str(settings.path_mtu)),
        ("Tunnel Traffic Class", traffic_class(settings.tunnel_traffic_class)),
        ("Bulk Binding Update", "Requested" if settings.request_bulk else "Not Requested"),
        *revocation_facts(settings),
    ]
    if settings.revocation:
        facts += [
            ("Revocation Of All At Once", switch(settings.revocation_global)),
            ("Revocation Identity", settings.revocation_identity or settings.name),
        ]
    facts += _heartbeat(
        settings.heartbeat_interval, settings.heartbeat_timeout, settings.heartbeat_max_retransmissions
    )
    facts += _losses(settings)
    facts += mag_quality(settings)
    facts += [
        ("LMA Peer", " ".join([address(each.address), *words(each)])) for each in settings.anchors
    ]
    facts += listing(
        "Access Interface",
        [f"{link.name} technology {link.technology}" for link in settings.access_interfaces],
    )
    facts += mag_options(settings)
    facts += listing("Mobile Node", [_mobile(policy) for policy in settings.policies])
    return facts
