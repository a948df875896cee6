"""The binding update list of a MAG (RFC 5213 section 6.1)."""

from collections.abc import Iterator
from typing import ClassVar

from attrs import define, field

from appliance.protocols.mobility.options import QualityOfService
from appliance.protocols.pmipv6.events import Install
from appliance.protocols.pmipv6.qos import ServiceRequest
from appliance.protocols.pmipv6.settings import MobilePolicy

REGISTERING = "registering"
ACTIVE = "active"
DEREGISTERING = "deregistering"
WAITING = "waiting"
"""Attached, without a binding, until a later attempt."""

INIT, RENEW, DEREG = "init", "renew", "dereg"
"""Kinds of exchange, as the counters call them."""
DROP_IPV4 = "drop-ipv4"
"""The IPv4 home address alone is given back (RFC 5844 section 3.2.3.3); the session goes on."""


@define(slots=True, eq=False, kw_only=True)
class BindingUpdateListEntry:
    """One mobile node on one access link: its session and the exchange about it.

    Times are monotonic seconds, except ``created`` and ``updated`` (seconds since 1970).
    """

    of_host: ClassVar[bool] = False
    """Hosts that register themselves are not a gateway's."""

    call_id: int
    mn_id: bytes
    interface: str
    link_layer: bytes
    technology: int
    policy: MobilePolicy
    lma: bytes
    created: float
    updated: float
    state: str = REGISTERING
    # ---- what the LMA granted
    prefixes: tuple[tuple[bytes, int], ...] = ()
    ipv4_address: bytes | None = None
    ipv4_prefix_length: int = 0
    ipv4_router: bytes | None = None
    dhcp_server: bool = False
    """The anchor wants us to be the mobile's DHCP server (RFC 5844 section 3.3.4)."""
    gre: bool = False
    send_key: int | None = None
    """Uplink key, chosen by the LMA; the downlink key that we choose is ``call_id``."""
    lifetime: int = 0
    """Granted, seconds; 0: there is no binding."""
    expires: float | None = None
    installed: Install | None = None
    """The forwarding entry as the tunnel engine has it."""
    # ---- what is not to be asked (RFC 5213 section 6.9.1.2, RFC 5844, RFC 5845)
    any_prefix: bool = False
    """Do not ask for the configured prefixes again (statuses 155, 159)."""
    gre_wanted: bool = False
    """Send a GRE Key option."""
    # ---- the exchange
    exchange: str = ""
    """``init``, ``renew``, ``dereg``, ``drop-ipv4``; empty: nothing is outstanding."""
    handoff: int = 4
    """Handoff Indicator of the exchange."""
    sequence: int = 0
    sent: tuple[int, ...] = ()
    """Latest sequence numbers of this exchange, newest last."""
    own_sequence: bool = False
    """Sequence numbers count for this entry alone, not for the whole MAG."""
    timestamp: int = 0
    """Last Timestamp sent, so that the next one is later."""
    sent_at: float = 0.0
    attempts: int = 0
    timeout: float = 0.0
    next_at: float | None = None
    """When to retransmit, refresh or try again; ``None``: not before something happens."""
    corrections: int = 0
    """Requests changed and sent again at once since the last success."""
    failures: int = 0
    """Denials since the last success; they space out new attempts."""
    maybe_bound: bool = False
    """The LMA may have a binding for us, so leaving needs a de-registration."""
    handoffs: int = 0
    """Moves between access links of this MAG."""
    gateway_group: int = 0
    """Bulk binding update group of ours that it is in (RFC 6602 section 5.1.1); 0: none."""
    anchor_group: int = 0
    """The LMA's."""
    # ---- LMA-controlled MAG parameters (RFC 8127)
    timers: tuple[int, int, int] | None = None
    """Start of the renewal before the end (in 4 s), first and longest time-out (s), as the LMA wants them."""
    qos: tuple[ServiceRequest, ...] = ()
    """What the anchor has agreed to (RFC 7222)."""
    qos_offer: tuple[QualityOfService, ...] = ()
    """What it has offered instead of what was asked for."""
    qos_settled: bool = False
    """Nothing more is to be asked for."""
    transient: int = 0
    """Milliseconds that the anchor gave the former gateway when this was registered (RFC 6058); 0: none."""
    # ---- redirection (RFC 6463)
    asked: bytes = b""
    """Anchor that has sent it to ``lma``; empty: none."""
    redirectable: bool = False
    """The latest request told that it may be sent elsewhere."""
    redirects: int = 0
    """Assignments since the last refresh that was accepted."""
    # ---- user-plane address (RFC 7389), delegated prefixes (RFC 7148), vendor options (RFC 5094)
    user_plane: bytes = b""
    """Where the tunnel goes; empty: to ``lma``."""
    delegated: tuple[tuple[bytes, int], ...] = ()
    delegation_wanted: bool = False
    """Its mobile router has asked for a prefix by DHCPv6."""
    delegation_refused: int = 0
    """Status 177 or 178 that an anchor has answered; 0: none."""
    vendor: tuple[tuple[int, int, bytes], ...] = ()
    ipv4_wanted: bool = True
    """Whether to ask for an IPv4 home address, if its line allows one at all."""
    ipv4_asked: bool = False
    """Whether the latest request did."""
    ipv4_returned: bytes | None = None
    """The address that ``drop-ipv4`` gives back."""
    renew_at: float = 0.0
    """When the refresh is due, whatever else happens meanwhile."""
    # ---- transport
    udp: bool = False
    """The tunnel is in UDP (RFC 5844 section 4.2.2)."""
    tlv: bool = False
    """With the TLV header (RFC 5845 section 7.3)."""
    nat_refresh: int = 0
    """Seconds after which a NAT on the way has to be reminded of us; 0: never."""

    @property
    def due(self) -> float | None:
        """When something is to be done about this entry."""
        if self.next_at is None or self.expires is None:
            return self.next_at if self.expires is None else self.expires
        return min(self.next_at, self.expires)

    @property
    def bound(self) -> bool:
        """Whether the LMA has granted a binding that has not ended."""
        return self.lifetime > 0

    def holds(self, address: bytes) -> bool:
        """Tell whether a packed address is the IPv4 home address or lies in a home network prefix."""
        if len(address) == 4:
            return address == self.ipv4_address
        number = int.from_bytes(address, "big")
        return len(address) == 16 and any(
            (number ^ int.from_bytes(prefix, "big")) >> (128 - length) == 0
            for prefix, length in self.prefixes
        )


@define(slots=True, eq=False)
class BindingUpdateList:
    """All entries, found by session, by mobile node and by link-layer address."""

    by_call_id: dict[int, BindingUpdateListEntry] = field(factory=dict)
    _by_mn_id: dict[bytes, list[BindingUpdateListEntry]] = field(factory=dict)
    _by_link_layer: dict[bytes, list[BindingUpdateListEntry]] = field(factory=dict)

    def __len__(self) -> int:
        return len(self.by_call_id)

    def add(self, entry: BindingUpdateListEntry) -> None:
        """Put a new entry in; its identifiers do not change afterwards."""
        self.by_call_id[entry.call_id] = entry
        self._by_mn_id.setdefault(entry.mn_id, []).append(entry)
        self._by_link_layer.setdefault(entry.link_layer, []).append(entry)

    def remove(self, entry: BindingUpdateListEntry) -> None:
        """Take an entry out."""
        del self.by_call_id[entry.call_id]
        for table, key in ((self._by_mn_id, entry.mn_id), (self._by_link_layer, entry.link_layer)):
            found = table[key]
            found.remove(entry)
            if not found:
                del table[key]

    def of_mobile(self, mn_id: bytes) -> list[BindingUpdateListEntry]:
        """Give the entries of a mobile node: one for each of its interfaces."""
        return self._by_mn_id.get(mn_id, [])

    def get(self, mn_id: bytes, link_layer: bytes) -> BindingUpdateListEntry | None:
        """Give the entry of one interface of a mobile node."""
        for entry in self._by_mn_id.get(mn_id, ()):
            if entry.link_layer == link_layer:
                return entry
        return None

    def at(self, interface: str, link_layer: bytes, mn_id: bytes) -> list[BindingUpdateListEntry]:
        """Give the entries that match every field that is not empty; none if all are empty."""
        candidates: Iterator[BindingUpdateListEntry] | list[BindingUpdateListEntry]
        if mn_id:
            candidates = self._by_mn_id.get(mn_id, [])
        elif link_layer:
            candidates = self._by_link_layer.get(link_layer, [])
        elif interface:
            candidates = iter(self.by_call_id.values())
        else:
            return []
        return [
            entry
            for entry in candidates
            if (not interface or entry.interface == interface)
            and (not link_layer or entry.link_layer == link_layer)
        ]

    def find(
        self, mn_id: bytes = b"", address: bytes = b"", call_id: int = 0
    ) -> Iterator[BindingUpdateListEntry]:
        """Give the entries that match every argument that is not empty; all if none is given."""
        if call_id:
            found = self.by_call_id.get(call_id)
            candidates = [] if found is None else [found]
        elif mn_id:
            candidates = list(self._by_mn_id.get(mn_id, ()))
        else:
            candidates = list(self.by_call_id.values())
        for entry in candidates:
            if (not mn_id or entry.mn_id == mn_id) and (not address or entry.holds(address)):
                yield entry
