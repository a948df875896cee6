"""The Binding Acknowledgement of a host's update (RFC 6275 sections 6.1.8, 9.5.4, 10.3; RFC 4285; RFC 5648).

::

    update by Home Address option ─▶ IPv6, type 2 routing header, BA ─▶ source of the update
    update from home              ─▶ IPv6, BA                        ─▶ home address
"""

from typing import Any

from appliance.protocols.mipv6.auth import echo
from appliance.protocols.mipv6.events import SendRouted
from appliance.protocols.mipv6.request import MN_HA, HostRequest
from appliance.protocols.mobility import rfc4285
from appliance.protocols.mobility.codec import encode, seal
from appliance.protocols.mobility.messages import BindingAcknowledgement
from appliance.protocols.mobility.options import (
    Authentication,
    BindingIdentifier,
    BindingRefreshAdvice,
    MessageIdentification,
)
from appliance.protocols.pmipv6.events import Send
from appliance.protocols.timers import Now


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
) -> Send | SendRouted:
    """The effect that answers an update.

    ``sequence``: the last accepted one, for 135; ``lifetime`` and ``refresh`` (advice) in units of 4 s;
    ``statuses``: of the Binding Identifier options; ``fresh``: whether its MESG-ID was accepted. Options and
    flags that features want in it are in the request.

    The K flag stays clear: no key of ours moves with a host (RFC 6275 section 10.3.1).
    """
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
    number = request.sequence if sequence is None else sequence
    mh = encode(BindingAcknowledgement(status, request.answer_flags, number, lifetime, found))
    if request.key:
        mh = _protected(mh, request)
    source, destination, home = request.destination, request.source, request.home
    if not request.by_option and request.protected:
        # Without a routing header, by the socket that IPsec is required of.
        return SendRouted(seal(mh, source, destination), source, destination, destination)
    if not request.by_option:
        return Send(seal(mh, source, destination), source, destination)
    return SendRouted(seal(mh, source, home), source, destination, home)


def _protected(mh: bytes, request: HostRequest) -> bytes:
    """RFC 4285 section 5.1: the authenticator is over all that stands before it."""
    end = len(mh) - rfc4285.MN_HA_OCTETS
    care_of = request.care_of
    return mh[:end] + rfc4285.mn_ha_authenticator(request.key, care_of, request.home, mh[:end])
