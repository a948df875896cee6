"""The Binding Acknowledgement of a host's update (RFC 6275 sections 6.1.8, 9.5.4, 10.3; RFC 4285; RFC 5648).

::

    update by Home Address option ─▶ IPv6, type 2 routing header, BA ─▶ source of the update
    update from home              ─▶ IPv6, BA                        ─▶ home address
    update inside UDP             ─▶ IPv4, UDP, IPv6, BA             ─▶ where the update came from
    from the home link itself     ─▶ the same in a frame             ─▶ link-layer address of the update
"""

from typing import Any

from appliance.protocols.mipv6.auth import echo
from appliance.protocols.mipv6.events import SendAtHome, SendRouted, SendTunnelled
from appliance.protocols.mipv6.request import MN_HA, HostRequest
from appliance.protocols.mobility import rfc4285
from appliance.protocols.mobility.codec import encode, seal
from appliance.protocols.mobility.layout import padding
from appliance.protocols.mobility.messages import BindingAcknowledgement
from appliance.protocols.mobility.options import (
    Authentication,
    BindingIdentifier,
    BindingRefreshAdvice,
    MessageIdentification,
)
from appliance.protocols.pmipv6.events import Send
from appliance.protocols.timers import Now

#: Octets of an MN-HA option in front of its authenticator (RFC 4285 section 5).
MN_HA_HEAD = 7
#: Padding up to a boundary of 8 octets, by the number of octets modulo 8.
_PADS = tuple(padding(-size % 8) for size in range(8))


def acknowledgement(
    request: HostRequest,
    now: Now,
    status: int,
    *,
    sequence: int | None = None,
    lifetime: int = 0,
    refresh: int = 0,
    statuses: tuple[tuple[int, int], ...] = (),
    fresh: bool = True,
) -> Send | SendRouted | SendTunnelled:
    """The effect that answers an update.

    ``sequence``: the last accepted one, for 135; ``lifetime`` and ``refresh`` (advice) in units of 4 s;
    ``statuses``: of the Binding Identifier options; ``fresh``: whether its MESG-ID was accepted. Options and
    flags that features want in it are in the request.

    The K flag stays clear: no key of ours moves with a host (RFC 6275 section 10.3.1).
    """
    number = request.sequence if sequence is None else sequence
    if request.mn_ha_at and request.mn_at and request.key and not (
        refresh or statuses or request.answer_options or request.mesg_id is not None
    ):
        return _addressed(_plain(request, status, number, lifetime), request)
    found: list[Any] = [] if request.mn is None else [request.mn]
    if refresh:
        found.append(BindingRefreshAdvice(refresh))
    # RFC 5648 section 4.3: outside of an update the option has no care-of address.
    found += [BindingIdentifier(bid, code, 0) for bid, code in statuses]
    found += request.answer_options
    if request.mesg_id is not None:
        found.append(MessageIdentification(echo(request, fresh, now)))
    if request.key:
        found.append(Authentication(MN_HA, request.spi, bytes(rfc4285.MN_HA_OCTETS)))
    mh = encode(BindingAcknowledgement(status, request.answer_flags, number, lifetime, found))
    if request.key:
        mh = _protected(mh[: -rfc4285.MN_HA_OCTETS], request)
    return _addressed(mh, request)


def _plain(request: HostRequest, status: int, number: int, lifetime: int) -> bytes:
    """The usual answer: the MN-ID option and the beginning of the MN-HA option are those of the update."""
    out = BindingAcknowledgement(status, request.answer_flags, number, lifetime, []).start()
    mh, name, end = request.mh, request.mn_at, request.mn_ha_at
    out += mh[name : name + 2 + mh[name + 1]]
    # RFC 4285 section 5: the option is the last one, behind all padding.
    out += _PADS[len(out) + MN_HA_HEAD + rfc4285.MN_HA_OCTETS & 7]
    out += mh[end : end + MN_HA_HEAD]
    out[1] = (len(out) + rfc4285.MN_HA_OCTETS >> 3) - 1
    return _protected(bytes(out), request)


def _addressed(mh: bytes, request: HostRequest) -> Send | SendRouted | SendTunnelled:
    """The message on its way, with its checksum."""
    source, destination, home = request.destination, request.source, request.home
    if not request.by_option and request.protected:
        # Without a routing header, by the socket that IPsec is required of.
        return SendRouted(seal(mh, source, destination), source, destination, destination)
    outer = request.outer
    if outer is not None:
        # RFC 5555 section 4.5: the home address is the destination, without a routing header.
        return SendTunnelled(seal(mh, source, home), source, home, outer.address, outer.port)
    if not request.by_option:
        return Send(seal(mh, source, destination), source, destination)
    return SendRouted(seal(mh, source, home), source, destination, home)


def _protected(mh: bytes, request: HostRequest) -> bytes:
    """RFC 4285 section 5.1: a message that lacks only the authenticator, which is over all of it."""
    return mh + rfc4285.mn_ha_authenticator(request.key, request.covered, request.home, mh)


def to_link(answer: Send | SendRouted | SendTunnelled, interface: str) -> SendAtHome | SendTunnelled:
    """The same answer to a host on the home link (RFC 6275 section 10.3.2); inside UDP nobody is at home."""
    if isinstance(answer, SendTunnelled):
        return answer
    home = answer.home if isinstance(answer, SendRouted) else b""
    return SendAtHome(answer.data, answer.source, answer.destination, home, interface)
