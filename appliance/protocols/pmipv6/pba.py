"""Building the Proxy Binding Acknowledgement (RFC 5213 section 5.3.6, RFC 5844 3.1.2.6, RFC 5845 3.3)."""

from typing import Any

from appliance.protocols.mobility import status as codes
from appliance.protocols.mobility.codec import encode, seal
from appliance.protocols.mobility.layout import EncodeError
from appliance.protocols.mobility.messages import BA_P, BU_P, BindingAcknowledgement
from appliance.protocols.mobility.options import (
    AccessTechnologyType,
    AlternateIPv4CareOfAddress,
    BindingRefreshAdvice,
    GreKey,
    HandoffIndicator,
    HomeNetworkPrefix,
    IPv4DefaultRouterAddress,
    IPv4DhcpSupportMode,
    IPv4HomeAddressReply,
    LinkLocalAddress,
    MobileNodeIdentifier,
)
from appliance.protocols.mobility.rows import Message
from appliance.protocols.pmipv6.bce import BindingCacheEntry
from appliance.protocols.pmipv6.interop import own_time
from appliance.protocols.pmipv6.lma_request import ZERO_16, Request, Verdict

_NO_MN_ID = MobileNodeIdentifier(1, b"")
_NO_INDICATOR = HandoffIndicator(0)
_NO_TECHNOLOGY = AccessTechnologyType(0)
_ANY_PREFIX = [HomeNetworkPrefix(0, ZERO_16)]
_DHCP_MODES = {"server": IPv4DhcpSupportMode(True), "relay": IPv4DhcpSupportMode(False)}
#: Home Network Prefix options that a refusal copies. A request may pack 100 of them without alignment,
#: our answer takes 24 octets for each: more than Header Len can say.
_COPIED = 32


def sealed(mh: bytes, source: bytes, destination: bytes, port: int) -> bytes:
    """The message ready to be sent: over UDP its checksum stays zero (RFC 5844 section 4.1.3.1)."""
    return mh if port else seal(mh, source, destination)


def fitting(message: Message) -> bytes:
    """The octets of an answer; without its last options if it were longer than Header Len can say.

    Features put theirs at the end; a request may have been as long as can be, and packed tighter.
    """
    while True:
        try:
            return encode(message)
        except EncodeError:
            if not message.options:
                raise
            del message.options[-1]


def denial(request: Request, verdict: Verdict) -> bytes:
    """The acknowledgement of a refused update: what was asked for is copied (RFC 5213 section 5.3.6)."""
    found: list[Any] = [request.mn or _NO_MN_ID]
    if request.prefix_options:
        found += request.prefix_options[:_COPIED]
    elif request.ipv4 is None:
        found += _ANY_PREFIX
    found.append(request.indicator or _NO_INDICATOR)
    found.append(request.technology or _NO_TECHNOLOGY)
    if request.link_layer is not None:
        found.append(request.link_layer)
    if request.link_local is not None:
        found.append(request.link_local)
    if request.timestamp is not None:
        # RFC 5213 section 5.3.6: on these two the gateway is told our time.
        if verdict.status in (codes.TIMESTAMP_MISMATCH, codes.TIMESTAMP_LOWER_THAN_PREV_ACCEPTED):
            found.append(own_time(request))
        else:
            found.append(request.timestamp)
    if request.ipv4 is not None:
        asked = request.ipv4
        found.append(IPv4HomeAddressReply(verdict.ipv4_status, asked.prefix_length, asked.address))
    if request.others:
        # RFC 6463 section 4.4: echoed in any reply.
        found += [item for item in request.others if item.__class__ is AlternateIPv4CareOfAddress]
    sequence = request.sequence
    if verdict.status == codes.SEQUENCE_NUMBER_OUT_OF_WINDOW and request.entry is not None:
        sequence = request.entry.sequence
    flags = BA_P if request.flags & BU_P else 0
    return fitting(BindingAcknowledgement(verdict.status, flags, sequence, 0, found))


def acceptance(
    request: Request,
    entry: BindingCacheEntry,
    status: int,
    subnet: tuple[int, bytes | None],
    refresh_interval: int,
    dhcp_mode: str,
) -> bytes:
    """The acknowledgement of an accepted update.

    ``entry`` is the session as it is now; ``subnet`` prefix length and router of its IPv4 home address;
    ``refresh_interval`` in units of 4 s, 0: no refresh advice; ``dhcp_mode``: ``server`` or ``relay``.
    """
    found: list[Any] = [request.mn]
    if request.prefixes:
        found += request.prefix_options
    elif request.prefix_options:
        if entry.prefix is None:
            found += request.prefix_options
        elif entry.more_prefixes:
            found += [HomeNetworkPrefix(length, prefix) for prefix, length in entry.prefixes]
        else:
            found.append(HomeNetworkPrefix(entry.prefix_length, entry.prefix))
    found.append(request.indicator)
    found.append(request.technology)
    if request.link_layer is not None:
        found.append(request.link_layer)
    if request.link_local is not None:
        if request.link_local.address == entry.link_local or not entry.link_local:
            found.append(request.link_local)
        else:
            found.append(LinkLocalAddress(entry.link_local))
    if request.timestamp is not None:
        found.append(request.timestamp)
    if request.ipv4 is not None:
        _ipv4(found, request, entry, subnet, dhcp_mode)
    if request.gre is not None and entry.gre and request.lifetime:
        found.append(GreKey(entry.receive_key if entry.send_key is not None else None))
    if refresh_interval:
        found.append(BindingRefreshAdvice(refresh_interval))
    if request.answer_options:
        found += request.answer_options
    lifetime = entry.lifetime if request.lifetime else 0
    flags = BA_P | request.answer_flags
    return fitting(BindingAcknowledgement(status, flags, request.sequence, lifetime, found))


def _ipv4(
    found: list[Any],
    request: Request,
    entry: BindingCacheEntry,
    subnet: tuple[int, bytes | None],
    dhcp_mode: str,
) -> None:
    """RFC 5844 section 3.1.2.6: reply, default router and DHCP mode."""
    asked = request.ipv4
    if entry.ipv4_address is None:
        found.append(IPv4HomeAddressReply(codes.IPV4_SUCCESS, asked.prefix_length, asked.address))
        return
    length, router = subnet
    found.append(IPv4HomeAddressReply(codes.IPV4_SUCCESS, length, entry.ipv4_address))
    if request.lifetime:
        if router is not None:
            found.append(IPv4DefaultRouterAddress(router))
        found.append(_DHCP_MODES[dhcp_mode])
