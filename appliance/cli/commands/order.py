"""The order of the lines of a service in ``show configuration``; what is not named here comes last.

What a line needs stands before it, since the text can also be typed line by line: an anchor that assigns all
mobile nodes elsewhere may be bound beside another one, a user-plane address needs a bind address.
"""

from collections.abc import Iterable

from appliance.cli.commands.configuration import HOME_AGENT, LMA, MAG
from appliance.cli.grammar import Command

_ANCHOR = """
bind default_subscriber aaa_group aaa_accounting mag-peer unknown_peer unknown_subscriber unknown_service
reg_lifetime setup_timeout simul_bindings max_memory max_pending newcall_policy shutdown
sequence_number_validate timestamp_option_validation timestamp_validity_window mobile_node_generated_timestamp
min_delay_before_bce_delete max_delay_before_new_bce_assign refresh_advice_option refresh_interval_percent
h_bit_required alt_coa_allowed dhcp_mode
gre forced_udp_encapsulation tlv nat_keepalive path_mtu tunnel_traffic_class
"""

ORDER = {
    LMA: f"""
    redirect_policy {_ANCHOR}
    heartbeat_interval heartbeat_timeout heartbeat_max_retransmissions heartbeat_path_failure
    heartbeat_peer_restart
    revocation revocation_timeout revocation_max_retransmissions revocation_pending revocation+global-peer
    accept_bulk transient_binding transient_maximum transient_activation_delay
    redirect+target redirect_accept redirect_threshold redirect_timeout
    load_information load_priority load_capacity
    user_plane_address user_plane_domain_wide prefix_delegation vendor-option
    """,
    MAG: """
    bind lma lma-peer access-interface encapsulation reg_lifetime renew_percent_time
    retransmission_policy retransmission_timeout retransmission_maximum max_retransmissions timestamps
    force_udp_encapsulation tlv nat_keepalive path_mtu tunnel_traffic_class local_routing
    link_local link_layer router_lifetime router_advertisement_interval
    reachable_time probe_timeout probe_count
    dhcp_lease_time dhcp+relay-server dhcp+dns-server dhcp+domain-name
    heartbeat_interval heartbeat_timeout heartbeat_max_retransmissions heartbeat_path_failure
    heartbeat_peer_restart
    revocation revocation_timeout revocation_max_retransmissions revocation_global revocation_identity
    request_bulk transient_lifetime redirect redirect_unknown_handoff redirect+allow
    user_plane user_plane_domain_wide
    mobile-node access-network qos-request prefix-delegation vendor-option
    """,
    HOME_AGENT: f"{_ANCHOR} revocation revocation_timeout revocation_max_retransmissions revocation_pending",
}
"""By mode, the places where lines store (``+`` for a blank); ``show configuration`` sorts by them."""

_RANKS = {
    mode: {path.replace("+", " "): rank for rank, path in enumerate(text.split())}
    for mode, text in ORDER.items()
}


def in_order(mode: str, commands: Iterable[Command]) -> Iterable[Command]:
    """The commands of a mode as their lines are printed; those not named as they were declared."""
    ranks = _RANKS.get(mode)
    if ranks is None:
        return commands
    return sorted(commands, key=lambda command: ranks.get(command.path, len(ranks)))
