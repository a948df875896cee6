"""What an operator can set in an LMA or MAG service, as the cores see it.

One declaration per fact: default and range of a number stand here, next to each
other, and the command grammar, its help text and its range errors read them from
the field's metadata. Addresses are packed octets (16 or 4), names are text.

Sources: RFC 5213 section 9 (protocol variables), RFC 5844, RFC 5845, RFC 6543; ranges
of the commands as the StarOS command reference prints them.
"""

from typing import TYPE_CHECKING, ClassVar

from attrs import define, field

from appliance.protocols.pmipv6.congestion_settings import Congestion
from appliance.protocols.pmipv6.host_settings import Association, HostSettings
from appliance.protocols.pmipv6.option_settings import (
    AccessNetwork,
    Delegation,
    DelegationPool,
    RedirectTarget,
    ServiceProfile,
    VendorOption,
)
from appliance.protocols.setting_fields import number

if TYPE_CHECKING:
    from appliance.protocols.diameter.settings import GroupSettings

#: RFC 6543 section 4: the addresses that every MAG may use on every access link.
FIXED_LINK_LOCAL = bytes.fromhex("fe80000000000000 02005efffe005213")
FIXED_LINK_LAYER = bytes.fromhex("00005e005213")

# What implementations of about 2008 to 2015 send, and closed boxes still do. Off unless a line says so.
PREFIX_128, WHOLE_PAYLOAD, SWAPPED_TIMESTAMP = "prefix-length-128", "whole-payload", "swapped-timestamp"
TECHNOLOGY_0, QUIET_DENIALS = "access-technology-0", "quiet-denials"
PLAIN_ANSWER = "plain-acknowledgement"
_128 = "A home network prefix of length 128 means one of length 64"
#: Words of a ``mag-peer`` line, and what they say.
GATEWAY_WORDS = {
    PREFIX_128: _128,
    WHOLE_PAYLOAD: "Its packets are longer than Header Len says: options go on to the end of the packet",
    SWAPPED_TIMESTAMP: "The octets of each 32-bit word of its Timestamp option are in reverse order",
    TECHNOLOGY_0: "Its Access Technology Type 0 (reserved) means 1 (virtual)",
    QUIET_DENIALS: "It repeats what is denied for ever: a mobile node gets one denial in ten seconds",
}
#: Words of an ``lma-peer`` line, and what they say.
ANCHOR_WORDS = {
    PREFIX_128: _128,
    PLAIN_ANSWER: "Its acknowledgements have no P flag",
}
#: Sessions (interfaces) of one mobile; a gateway that makes up link-layer addresses gets no further.
SESSIONS_PER_MOBILE = 32


def shortened(prefix: bytes, length: int) -> tuple[bytes, int]:
    """What :data:`PREFIX_128` makes of a home network prefix."""
    return prefix, 64 if length == 128 and not any(prefix[8:]) else length


@define(slots=True, kw_only=True)
class PrefixPool:
    """``ipv6 pool NAME prefix P/L``: home network prefixes of one length out of a larger one."""

    name: str
    prefix: bytes
    prefix_length: int
    delegated_length: int = number(64, 1, 128, "bits")
    group: str = ""
    static: bool = False
    """True: only for addresses that a profile names, never handed out by itself."""


@define(slots=True, kw_only=True)
class AddressPool:
    """``ip pool NAME A/M`` or ``range FIRST LAST``: IPv4 home addresses."""

    name: str
    network: bytes
    prefix_length: int
    first: bytes
    last: bytes
    default_router: bytes
    """Given to the mobile as its router (RFC 5844 section 3.3.3); never handed out."""
    group: str = ""
    static: bool = False


@define(slots=True, kw_only=True)
class Profile:
    """``subscriber name NAI`` (or ``subscriber default``): what one mobile node may do."""

    name: str
    mn_id: bytes = b""
    """The identifier of the MN-ID option; empty in the default profile."""
    enabled: bool = True
    """False: no permission for any kind of mobility (status 129)."""
    pmipv6: bool = True
    """False: not entitled to network-based mobility (status 152)."""
    ipv6: bool = True
    ipv4: bool = False
    prefixes: tuple[tuple[bytes, int], ...] = ()
    """Static home network prefixes; they are assigned when the MAG asks for ``::``."""
    any_prefix: bool = False
    """True: a prefix that the MAG proposes is taken if it lies in a pool and is free."""
    ipv4_address: bytes | None = None
    prefix_pool: str = ""
    """Pool or group name to allocate from; empty: any pool of the context that is not static."""
    address_pool: str = ""
    mags: tuple[bytes, ...] = ()
    """MAG addresses that may register this mobile; empty: any known MAG."""
    services: tuple[bytes, ...] = ()
    """Service Selection identifiers allowed; empty: any."""
    prefix_count: int = number(1, 1, 8)
    """How many home network prefixes one session gets."""
    bandwidth_up: int = number(0, 0, 4_294_967_295, "bit/s")
    """Bit rate of each of its sessions from the mobile node; 0: as much as there is. AAA may say another."""
    bandwidth_down: int = number(0, 0, 4_294_967_295, "bit/s")
    qos_requests: bool = True
    """False: requests of gateways for quality of service are refused (status 179)."""
    mipv6: bool = True
    """False: no bindings of the host itself (RFC 6275): status 129."""
    home_addresses: tuple[bytes, ...] = ()
    """The only ones that a host may register, and nobody else may; empty: any free one of the service."""
    associations: tuple[Association, ...] = ()
    mobile_router: bool = True
    """False: no bindings of a mobile router (RFC 3963): status 140."""
    network_prefixes: tuple[tuple[bytes, int], ...] = ()
    """Mobile network prefixes that are always its own."""
    default_service: str = ""
    """Service of a session whose gateway names none; empty: none (RFC 5149)."""
    delegation: bool = False
    """True: it may have delegated prefixes (RFC 7148); else status 177."""
    delegated: tuple[tuple[bytes, int], ...] = ()
    """Delegated prefixes that are always its own, of either family."""
    delegation_pool: str = ""
    """Pool to delegate from; empty: any of the context."""
    service_lifetime: int = 0
    """Longest lifetime in seconds, by the profile of its service; 0: the anchor's."""
    qos_profile: str = ""
    """Quality-of-service profile of its service; empty: none."""


@define(slots=True, kw_only=True)
class Peer:
    """A MAG that the LMA knows (``mag-peer``): one address or all of a prefix."""

    address: bytes
    prefix_length: int
    allowed: bool = True
    """False: known but not allowed, answered with status 154."""
    heartbeat: bool = True
    """False: no heartbeats are sent to it, because they would stop it."""
    revocation: bool = True
    """False: no revocations are sent to it, because they would stop it."""
    interop: tuple[str, ...] = ()
    """Which of its mistakes are borne with: words of :data:`GATEWAY_WORDS`."""


@define(slots=True, kw_only=True)
class Anchor:
    """An LMA that is not as others are (``lma-peer`` of a MAG)."""

    address: bytes
    heartbeat: bool = True
    """False: no heartbeats are sent to it."""
    revocation: bool = True
    """False: no revocations are sent to it."""
    interop: tuple[str, ...] = ()
    """Which of its mistakes are borne with: words of :data:`ANCHOR_WORDS`."""


@define(slots=True, kw_only=True)
class GlobalPeer:
    """``revocation global-peer``: a MAG, or all of a prefix, with the right of global revocation."""

    address: bytes
    prefix_length: int
    identity: bytes = b""
    """What its MN-ID option has to be; empty: any."""


@define(slots=True, kw_only=True)
class LmaSettings(HostSettings):
    """``lma-service NAME``. Every duration names its unit."""

    kind: ClassVar[str] = "lma"
    proxies: ClassVar[bool] = True
    """False: gateways are not served, whatever they ask for (status 152)."""
    name: str
    context: str = ""
    address: bytes = b""
    """LMAA, 16 octets; empty: not bound to one."""
    ipv4_address: bytes | None = None
    """IPv4-LMAA for IPv4 transport; with neither the service is not started."""
    max_subscribers: int = number(3_000_000, 0, 3_000_000)
    reg_lifetime: int = number(600, 1, 262_140, "seconds")
    simul_bindings: int = number(0, 1, 3)
    """Sessions that one mobile may have at a time, those being de-registered not counted; 0 (not in the
    range, the factory state): one an interface, :data:`SESSIONS_PER_MOBILE` at most."""
    refresh_advice_option: bool = False
    refresh_interval_percent: int = number(75, 1, 99, "percent")
    alt_coa_allowed: bool = False
    sequence_number_validate: bool = True
    timestamp_option_validation: bool = True
    timestamp_validity_window: int = number(300, 1, 600_000, "milliseconds")
    mobile_node_generated_timestamp: bool = False
    min_delay_before_bce_delete: int = number(10_000, 0, 3_600_000, "milliseconds")
    max_delay_before_new_bce_assign: int = number(1_500, 0, 60_000, "milliseconds")
    h_bit_required: bool = False
    unknown_peer: str = "reject"
    """``reject`` (status 154) or ``discard`` (silence) for a MAG that no peer line covers."""
    unknown_subscriber: str = "default"
    """``default``: use the default profile; ``reject``: status 153."""
    forced_udp_encapsulation: bool = False
    """AcceptForcedIPv4UDPEncapsulationRequest (RFC 5844 section 4.4.1)."""
    gre: str = "optional"
    """``disabled`` (status 2), ``optional``, ``required`` (status 163 without the option)."""
    setup_timeout: int = number(60, 1, 300, "seconds")
    """How long a registration may wait for the AAA server; then it is refused."""
    aaa_group: str = ""
    """Name of the AAA group of the context; empty: nobody is asked, and nobody told."""
    aaa: "GroupSettings | None" = None
    """That group, as it is configured."""
    aaa_accounting: bool = True
    """False: the group only authorizes."""
    # ---- heartbeat (RFC 5847)
    heartbeat_interval: int = number(0, 30, 3_600, "seconds")
    """0 (not in the range, the factory state): no heartbeats."""
    heartbeat_max_retransmissions: int = number(3, 1, 15)
    heartbeat_timeout: int = number(3, 1, 20, "seconds")
    heartbeat_path_failure: str = "keep-sessions"
    """or ``end-sessions``: what becomes of the sessions of a gateway that does not answer any more."""
    heartbeat_peer_restart: str = "end-sessions"
    """or ``keep-sessions``: of one that has restarted and lost them (RFC 5847 section 3: invalid)."""
    # ---- update notification (RFC 7077), LMA-controlled MAG parameters (RFC 8127)
    update_notification_retransmissions: int = number(1, 0, 5)
    """MAX_UPDATE_NOTIFICATION_RETRANSMIT_COUNT"""
    update_notification_delay: int = number(1_000, 500, 5_000, "milliseconds")
    """MIN_DELAY_BETWEEN_UPDATE_NOTIFICATION_REPLAY"""
    update_notification_on_change: bool = False
    """Gateways are told when settings change that their sessions live by."""
    mag_reregistration_control: bool = False
    """EnableLCMPSubOptReregControl; the three values below are sent to gateways. A zero is an error."""
    mag_reregistration_start: int = number(10, 0, 65_535, "units of 4 seconds")
    mag_retransmission_initial: int = number(1, 0, 65_535, "seconds")
    mag_retransmission_maximum: int = number(32, 0, 65_535, "seconds")
    mag_heartbeat_control: bool = False
    """EnableLCMPSubOptHeartbeatControl, and its three values."""
    mag_heartbeat_interval: int = number(60, 0, 3_600, "seconds")
    mag_heartbeat_delay: int = number(5, 0, 65_535, "seconds")
    mag_heartbeat_retransmissions: int = number(3, 0, 65_535)
    # ---- revocation (RFC 5846), bulk bindings (RFC 6602)
    revocation: bool = False
    revocation_max_retransmissions: int = number(1, 0, 10)
    revocation_timeout: int = number(1, 1, 10, "seconds")
    revocation_pending: str = "discard"
    """``discard`` or ``accept``: updates of a session that is being revoked."""
    global_peers: tuple["GlobalPeer", ...] = ()
    """Gateways that may revoke all their sessions at once."""
    accept_bulk: bool = True
    """AcceptBulkBindingUpdateReqForMobilitySession (RFC 6602 section 6.1)."""
    dhcp_mode: str = "server"
    """What gateways are told to be for DHCP clients: ``server`` or ``relay`` (RFC 5844 section 3.3.4)."""
    # ---- redirection and load (RFC 6463), user-plane address (RFC 7389), delegated prefixes (RFC 7148)
    redirect_targets: tuple[RedirectTarget, ...] = ()
    """Anchors that new mobile nodes may be assigned to."""
    redirect_policy: str = "load"
    """``load``: only above the threshold; ``always``: this address serves nobody itself."""
    redirect_threshold: int = number(0, 0, 3_000_000, "sessions")
    """Sessions from which on new mobile nodes are assigned to others."""
    redirect_timeout: int = number(2_000, 100, 60_000, "milliseconds")
    """Silence of an anchor elsewhere after which the next one is asked."""
    redirect_accept: bool = False
    """EnableLMARedirectAcceptFunction (RFC 6463 section 7)."""
    load_information: bool = False
    """Acknowledgements tell the load (RFC 6463 section 4.3)."""
    load_priority: int = number(0, 0, 65_535)
    load_capacity: int = number(0, 0, 4_294_967_295, "kilobytes per second")
    """Maximum Capacity; 0: not known."""
    user_plane_address: bytes = b""
    """Where tunnels end, if not at ``address`` (RFC 7389); empty: there."""
    user_plane_ipv4: bytes | None = None
    user_plane_domain_wide: bool = False
    """Domain-wide-LMA-UPA-Support (RFC 7389 section 5)."""
    prefix_delegation: bool = False
    """False: options that ask for delegated prefixes are ignored (RFC 7148 section 5.2.2)."""
    delegation_pools: tuple[DelegationPool, ...] = ()
    # ---- services (RFC 5149), vendor options (RFC 5094)
    service_profiles: tuple[ServiceProfile, ...] = ()
    unknown_service: str = "accept"
    """``accept`` or ``reject`` (status 151) a service without a profile."""
    vendor_options: tuple[VendorOption, ...] = ()
    """For every acknowledgement."""
    # ---- transient bindings (RFC 6058), quality of service (RFC 7222)
    transient_binding: bool = True
    """False: the option is ignored, as by an anchor that does not know it."""
    transient_maximum: int = number(5_000, 100, 25_500, "milliseconds")
    """Longest time that the downlink stays with the former gateway."""
    transient_activation_delay: int = number(0, 0, 25_500, "milliseconds")
    """ACTIVATIONDELAY: how long the former gateway's uplink is accepted after that (RFC 6058)."""
    # ---- congestion control, new calls
    congestion: Congestion = field(factory=Congestion)
    shutdown: bool = False
    """True: no update is answered; the sessions that there are last until their lifetimes end."""
    newcall_policy: str = "none"
    """For new sessions: ``reject`` (status 129), ``busyout`` (130, no session manager), ``none``: welcome."""
    max_memory: int = number(0, 64, 1_048_576, "MiB")
    """Memory of the process above which there are no new sessions; 0 (not in the range): any."""
    max_pending: int = number(10_000, 1, 10_000)
    """Updates that may wait for AAA at one time, and for another gateway's de-registration."""
    # ---- tunnels
    tlv: bool = True
    """Whether the TLV header is accepted (RFC 5845 section 7.2; status 3 when it is not)."""
    nat_keepalive: int = number(110, 1, 86_400, "seconds")
    """Refresh time told to gateways behind a NAT (NATKATIMEOUT of RFC 5555 section 6)."""
    path_mtu: int = number(1500, 1280, 65_535, "octets")
    tunnel_traffic_class: int | None = None
    """Traffic class (0..255) of outer headers without its ECN bits; ``None``: copied from inside."""
    # ---- who and what is known
    peers: tuple[Peer, ...] = ()
    prefix_pools: tuple[PrefixPool, ...] = ()
    address_pools: tuple[AddressPool, ...] = ()
    profiles: tuple[Profile, ...] = ()
    default_profile: Profile | None = None

    @property
    def bound(self) -> bool:
        """Whether it has an address, so that it can be started."""
        return bool(self.address or self.ipv4_address)


@define(slots=True, kw_only=True)
class MobilePolicy:
    """One ``mobile-node`` line of a MAG: which link-layer address is which subscriber."""

    link_layer: bytes
    """Address of the mobile node's interface; empty: any mobile on ``interface``."""
    mn_id: bytes
    interface: str = ""
    """Access interface where it may attach; empty: any."""
    lma: bytes | None = None
    """LMA address, 16 octets or 4; ``None``: the service's default one."""
    ipv6: bool = True
    ipv4: bool = False
    ipv4_on_demand: bool = False
    """Ask for IPv4 only once the mobile node asks by DHCP."""
    service: bytes = b""
    """Service Selection identifier to send; empty: none."""
    prefixes: tuple[tuple[bytes, int], ...] = ()
    """Home network prefixes to ask for; empty: ask for any."""


@define(slots=True, kw_only=True)
class AccessInterface:
    """``access-interface NAME`` of a MAG: one access link; the device may come and go."""

    name: str
    technology: int = number(4, 1, 255)
    """Access Technology Type (RFC 5213 section 8.5): 3 IEEE 802.3, 4 IEEE 802.11."""


@define(slots=True, kw_only=True)
class QosWish:
    """One ``qos-request`` line of a MAG: what to ask of the anchor for which mobile nodes (RFC 7222)."""

    mn_id: bytes = b""
    """Empty: for every mobile node on ``interface``."""
    interface: str = ""
    """Empty: on every access interface."""
    bandwidth_up: int = number(0, 1, 4_294_967_295, "bit/s")
    bandwidth_down: int = number(0, 1, 4_294_967_295, "bit/s")
    dscp: int = number(0, 0, 63)
    priority: int = number(0, 1, 15)
    """Allocation and retention priority; 0: not said."""


@define(slots=True, kw_only=True)
class MagSettings:
    """``mag-service NAME``."""

    name: str
    context: str = ""
    address: bytes = b""
    """Proxy-CoA, 16 octets; empty: not bound to one."""
    ipv4_address: bytes | None = None
    """IPv4-Proxy-CoA for IPv4 transport; with neither the service is not started."""
    max_subscribers: int = number(1_500_000, 0, 3_000_000)
    lma: bytes = b""
    """Default LMA address; one of 4 octets is reached over IPv4 transport."""
    encapsulation: str = "gre"
    """``gre``: keys are negotiated (RFC 5845); ``ipip``: plain IP in IP."""
    max_retransmissions: int = number(4, 1, 4_294_967_295)
    reg_lifetime: int = number(600, 1, 262_140, "seconds")
    renew_percent_time: int = number(75, 1, 100, "percent")
    retransmission_policy: str = "exponential-backoff"
    """or ``normal``: always the same time-out."""
    retransmission_timeout: int = number(1_000, 100, 100_000, "milliseconds")
    retransmission_maximum: int = number(32_000, 100, 100_000, "milliseconds")
    timestamps: bool = True
    local_routing: bool = False
    """EnableMAGLocalRouting (RFC 5213 section 9.2)."""
    reachable_time: int = number(30, 1, 3_600, "seconds")
    """Silence of a mobile after which it is probed by Neighbor Solicitations."""
    probe_timeout: int = number(1_000, 100, 60_000, "milliseconds")
    probe_count: int = number(3, 1, 10)
    router_lifetime: int = number(1_800, 0, 9_000, "seconds")
    router_advertisement_interval: int = number(600, 4, 1_800, "seconds")
    # ---- IPv4 (RFC 5844), DHCP
    dhcp_lease_time: int = number(3_600, 60, 31_536_000, "seconds")
    """Of its own: it needs not be that of the binding (RFC 5844 section 3.4.3)."""
    dhcp_dns_servers: tuple[bytes, ...] = ()
    dhcp_domain_name: str = ""
    dhcp_relay_server: bytes | None = None
    """Where to relay DHCP for mobile nodes of anchors that do not want us to be the server."""
    # ---- redirection (RFC 6463), user-plane address (RFC 7389), delegated prefixes (RFC 7148)
    redirect: bool = False
    """EnableLMARedirectFunction (RFC 6463 section 7)."""
    redirect_unknown_handoff: bool = False
    """Also in updates with Handoff Indicator 4, which is what a gateway knows of a mobile node that comes."""
    redirect_allowed: tuple[tuple[bytes, int], ...] = ()
    """Anchors that may be taken; empty: any that the one asked names."""
    user_plane: bool = False
    """Ask for the anchor's user-plane address, and use it."""
    user_plane_domain_wide: bool = False
    """Domain-wide-LMA-UPA-Support: use it without asking."""
    delegations: tuple[Delegation, ...] = ()
    delegation_on_demand: bool = False
    """True: a prefix is asked for when a mobile node wants one by DHCPv6."""
    # ---- vendor options (RFC 5094), access network identifiers (RFC 6757)
    vendor_options: tuple[VendorOption, ...] = ()
    access_networks: tuple[AccessNetwork, ...] = ()
    # ---- transient bindings (RFC 6058), quality of service (RFC 7222)
    transient_lifetime: int = number(0, 100, 25_500, "milliseconds")
    """0 (not in the range, the factory state): no Transient Binding option is sent."""
    qos_requests: tuple[QosWish, ...] = ()
    # ---- revocation (RFC 5846), bulk bindings (RFC 6602)
    revocation: bool = False
    revocation_max_retransmissions: int = number(1, 0, 10)
    revocation_timeout: int = number(1, 1, 10, "seconds")
    revocation_global: bool = False
    """All sessions at an LMA are revoked by one message; the LMA has to be told that this MAG may."""
    revocation_identity: str = ""
    """Identity of this MAG in global revocations; empty: the name of the service."""
    request_bulk: bool = False
    """RequestBulkBindingUpdateSupportForMobilitySession (RFC 6602 section 6.2)."""
    # ---- update notification (RFC 7077), LMA-controlled MAG parameters (RFC 8127)
    # ---- heartbeat (RFC 5847)
    heartbeat_interval: int = number(0, 30, 3_600, "seconds")
    heartbeat_max_retransmissions: int = number(3, 1, 15)
    heartbeat_timeout: int = number(3, 1, 20, "seconds")
    heartbeat_path_failure: str = "keep-sessions"
    """or ``end-sessions``: what becomes of the sessions at an anchor that does not answer any more."""
    heartbeat_peer_restart: str = "keep-sessions"
    """or ``end-sessions``: at one that has restarted; they are registered again either way."""
    # ---- tunnels
    force_udp_encapsulation: bool = False
    """ForceIPv4UDPEncapsulationSupport (RFC 5844 section 5.2): tunnels over IPv4 in UDP."""
    tlv: bool = False
    """With GRE in UDP: ask for the TLV header that it needs (RFC 5845 section 7.2)."""
    nat_keepalive: int = number(110, 1, 86_400, "seconds")
    """Time between keep-alives when the anchor names none (NATKATIMEOUT of RFC 5555 section 6)."""
    path_mtu: int = number(1500, 1280, 65_535, "octets")
    tunnel_traffic_class: int | None = None
    # ---- access links
    anchors: tuple[Anchor, ...] = ()
    """LMAs that something has to be known of; others need no line."""
    link_local: bytes = FIXED_LINK_LOCAL
    link_layer: bytes = FIXED_LINK_LAYER
    access_interfaces: tuple[AccessInterface, ...] = ()
    policies: tuple[MobilePolicy, ...] = ()

    @property
    def bound(self) -> bool:
        """Whether it has an address, so that it can be started."""
        return bool(self.address or self.ipv4_address)
