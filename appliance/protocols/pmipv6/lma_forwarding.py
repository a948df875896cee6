"""How the packets of an anchor's session are forwarded, and what the gateway is told of that."""

from appliance.protocols.mobility import status as codes
from appliance.protocols.mobility.messages import BU_T
from appliance.protocols.pmipv6.bce import BindingCacheEntry
from appliance.protocols.pmipv6.events import Install
from appliance.protocols.pmipv6.lma_request import Request
from appliance.protocols.pmipv6.lma_transport import agreed
from appliance.protocols.pmipv6.qos import Rates
from appliance.protocols.pmipv6.settings import LmaSettings


def forwarding_of(entry: BindingCacheEntry, rates: Rates) -> Install:
    """How the packets of a session are forwarded by its serving gateway, ``rates`` enforced."""
    prefixes, local, extras = entry.prefixes, entry.local, entry.extras
    if extras is not None:
        prefixes += extras.delegated
        local = extras.user_plane or local
    effect = Install(
        entry.call_id,
        prefixes,
        entry.ipv4_address,
        local,
        entry.care_of,
        entry.gre,
        entry.send_key,
        entry.receive_key if entry.send_key is not None else None,
        entry.udp,
        rate_up=rates.up,
        rate_down=rates.down,
        traffic_class=rates.traffic_class,
    )
    if extras is not None and extras.host is not None:
        extras.host.tunnels(effect)
    gateway = None if extras is None else extras.gateway
    if extras is not None and gateway is not None:
        effect.tlv = extras.tlv
        if entry.udp:
            effect.gateway = gateway.tag
            # Its data port is known by RFC 5844 only where the address is its own.
            effect.nat = gateway.nat and bool(gateway.own_text)
    return effect


def accepted_as(request: Request, settings: LmaSettings) -> int:
    """Which kind of acceptance the answer tells (RFC 5845 sections 3.3.1 and 6.4)."""
    if request.gre is None or not request.lifetime:
        return codes.ACCEPTED
    if request.port:
        return agreed(request, settings)[3]
    if settings.gre == "disabled":
        return codes.GRE_KEY_OPTION_NOT_REQUIRED
    if request.flags & BU_T:
        return codes.GRE_TUNNELING_BUT_TLV_HEADER_NOT_SUPPORTED
    return codes.ACCEPTED
