"""The MAG's side of the two messages: building a PBU, reading a PBA (RFC 5213 sections 6.9.1.2, 6.9.1.5)."""

from typing import Any

from attrs import define

from appliance.protocols.mobility import options as opt
from appliance.protocols.mobility.messages import (
    BA_P,
    BU_A,
    BU_H,
    BU_P,
    BindingAcknowledgement,
    BindingUpdate,
)
from appliance.protocols.pmipv6.mag_entry import DEREG, DROP_IPV4, RENEW, BindingUpdateListEntry
from appliance.protocols.pmipv6.settings import PLAIN_ANSWER, PREFIX_128, shortened

NAI = 1
"""Subtype of the MN-ID option (RFC 4283)."""
STATE_UNKNOWN, NOT_CHANGED = 4, 5
"""Handoff Indicators (RFC 5213 section 8.4)."""
#: Prefixes taken out of one PBA: all of them have to fit our next PBU, 24 octets each.
MOST_PREFIXES = 32
LIFETIME_UNIT = 4
"""Seconds (RFC 6275 section 6.1.7)."""
_ZERO = bytes(16)
_ZERO_IPV4 = bytes(4)


@define(slots=True, kw_only=True)
class Wishes:
    """What to ask for in a PBU: families that are not refused, and the lifetime in seconds."""

    ipv6: bool
    ipv4: bool
    lifetime: int


def proxy_binding_update(
    entry: BindingUpdateListEntry, wishes: Wishes, timestamp: int | None
) -> BindingUpdate:
    """Build the PBU of the entry's exchange; ``timestamp`` is the raw option value or ``None``.

    RFC 5213 section 6.9.1.5. A refresh and a de-registration carry the options of the initial
    registration with the assigned prefixes in place (6.9.1.3, 6.9.1.4). Link-local Address is left
    out because the fixed one is in use (6.9.1.1, RFC 6543). H is set besides A and P for anchors
    that insist on it.
    """
    leaving = entry.exchange in (DEREG, DROP_IPV4)
    options: list[Any] = [opt.MobileNodeIdentifier(NAI, entry.mn_id)]
    if entry.exchange == DROP_IPV4:
        # RFC 5844 section 3.2.3.3: without prefixes, they stay.
        wishes.ipv6 = wishes.ipv4 = False
    if wishes.ipv6 and not (leaving and entry.bound and not entry.prefixes):
        for prefix, length in _prefixes(entry):
            options.append(opt.HomeNetworkPrefix(length, prefix))
    options.append(opt.HandoffIndicator(entry.handoff))
    options.append(opt.AccessTechnologyType(entry.technology))
    if any(entry.link_layer):
        options.append(opt.MobileNodeLinkLayerIdentifier(entry.link_layer))
    if timestamp is not None:
        options.append(opt.Timestamp(timestamp))
    if wishes.ipv4:
        if entry.ipv4_address is None:
            options.append(opt.IPv4HomeAddressRequest(0, _ZERO_IPV4))
        else:
            options.append(opt.IPv4HomeAddressRequest(entry.ipv4_prefix_length, entry.ipv4_address))
    elif entry.exchange == DROP_IPV4 and entry.ipv4_returned is not None:
        options.append(opt.IPv4HomeAddressRequest(entry.ipv4_prefix_length, entry.ipv4_returned))
    if entry.policy.service:
        options.append(opt.ServiceSelection(entry.policy.service))
    if entry.gre_wanted and not leaving:
        # RFC 5845 section 3.3.1: not in de-registrations. Our downlink key is the call id, unique here.
        options.append(opt.GreKey(entry.call_id))
    units = 0 if leaving else min(65_535, -(-wishes.lifetime // LIFETIME_UNIT))
    return BindingUpdate(entry.sequence, BU_A | BU_H | BU_P, units, options)


def _prefixes(entry: BindingUpdateListEntry) -> tuple[tuple[bytes, int], ...]:
    """Give the prefixes to name: the assigned ones, else the configured ones, else one zero (any)."""
    if entry.prefixes:
        return entry.prefixes
    if entry.policy.prefixes and not entry.any_prefix:
        return entry.policy.prefixes
    return ((_ZERO, 0),)


def asks_any_prefix(entry: BindingUpdateListEntry) -> bool:
    """Tell whether the PBU of this entry asks for a prefix without naming one."""
    return _prefixes(entry) == ((_ZERO, 0),)


@define(slots=True, kw_only=True)
class Answer:
    """What a PBA says, with addresses packed; absent options are ``None`` or empty."""

    status: int
    sequence: int
    lifetime: int
    """Seconds."""
    mn_id: bytes = b""
    prefixes: tuple[tuple[bytes, int], ...] = ()
    """Without zero ones."""
    handoff: int | None = None
    technology: int | None = None
    link_layer: bytes | None = None
    timestamp: int | None = None
    ipv4_status: int | None = None
    ipv4_address: bytes = _ZERO_IPV4
    ipv4_prefix_length: int = 0
    ipv4_router: bytes | None = None
    dhcp_server: bool = False
    gre: bool = False
    send_key: int | None = None
    refresh: int = 0
    """Binding Refresh Advice, seconds; 0: none."""

    def fits(self, entry: BindingUpdateListEntry) -> bool:
        """Tell whether the echoed options are those of the request (RFC 5213 section 6.9.1.2 item 6)."""
        return (
            (self.handoff is None or self.handoff == entry.handoff)
            and (self.technology is None or self.technology == entry.technology)
            and (self.link_layer is None or self.link_layer == entry.link_layer)
        )


def read_answer(message: BindingAcknowledgement, words: tuple[str, ...] = ()) -> Answer | None:
    """Read a PBA; ``None`` for an acknowledgement without the P flag, which is none.

    ``words`` of the LMA's ``lma-peer`` line say what it means otherwise than it is written.
    """
    if not message.flags & BA_P and PLAIN_ANSWER not in words:
        return None
    answer = Answer(
        status=message.status, sequence=message.sequence, lifetime=message.lifetime * LIFETIME_UNIT
    )
    prefixes: list[tuple[bytes, int]] = []
    for option in message.options:
        match option:
            case opt.MobileNodeIdentifier():
                answer.mn_id = option.identifier
            case opt.HomeNetworkPrefix():
                if len(prefixes) < MOST_PREFIXES and _is_home_prefix(option.prefix, option.prefix_length):
                    prefixes.append((option.prefix, option.prefix_length))
            case opt.HandoffIndicator():
                answer.handoff = option.value
            case opt.AccessTechnologyType():
                answer.technology = option.value
            case opt.MobileNodeLinkLayerIdentifier():
                answer.link_layer = option.identifier
            case opt.Timestamp():
                answer.timestamp = option.value
            case opt.IPv4HomeAddressReply():
                answer.ipv4_status = option.status
                answer.ipv4_address, answer.ipv4_prefix_length = option.address, option.prefix_length
            case opt.IPv4DefaultRouterAddress():
                answer.ipv4_router = option.address
            case opt.IPv4DhcpSupportMode():
                answer.dhcp_server = bool(option.server)
            case opt.GreKey():
                answer.gre, answer.send_key = True, option.key
            case opt.BindingRefreshAdvice():
                answer.refresh = option.interval * LIFETIME_UNIT
    if PREFIX_128 in words:
        prefixes = [shortened(prefix, length) for prefix, length in prefixes]
    answer.prefixes = tuple(prefixes)
    return answer


def _is_home_prefix(prefix: bytes, length: int) -> bool:
    """Tell whether this can be a mobile node's: not zero, not multicast, not link-local (RFC 4291)."""
    link_local = prefix[0] == 0xFE and prefix[1] & 0xC0 == 0x80
    return 1 <= length <= 128 and any(prefix) and prefix[0] != 0xFF and not link_local


def exchange_rows(kind: str) -> tuple[str, str, str]:
    """Give the counter keys of an exchange: first sending, sending again, reply."""
    name = {RENEW: "renew", DEREG: "dereg", DROP_IPV4: "dereg"}.get(kind, "init")
    sent = "binding-update-sent/"
    return (
        f"{sent}{name}-request-xmit",
        f"{sent}{name}-request-re-xmit",
        f"binding-acknowledgement-rcvd/{name}-reply-rcvd",
    )
