"""Frames of the router on an access link to one mobile node: what it is asked for, and what it asks."""

from appliance.protocols.access import arp, ndp
from appliance.protocols.access.mobiles import Mobile
from appliance.protocols.pmipv6.settings import MagSettings


def to_mobile(settings: MagSettings, mobile: Mobile, destination: bytes, message: ndp.Message) -> bytes:
    """A message in a unicast frame, also when its destination is a group (RFC 6085)."""
    return ndp.build(
        ndp.Received(settings.link_layer, mobile.link_layer, settings.link_local, destination, message)
    )


def advertisement(settings: MagSettings, received: ndp.Received) -> ndp.NeighborAdvertisement | None:
    """The answer to a Neighbor Solicitation for the router's own link-local address (RFC 4861 7.2.4).

    Duplicate tests (source ::) of a mobile node get no answer: RFC 6543 section 4 reserves the
    router's address, so that no other node may take it, and other addresses are not the router's.
    """
    message, ours = received.message, settings.link_local
    if not isinstance(message, ndp.NeighborSolicitation) or message.target != ours:
        return None
    if received.source == ndp.UNSPECIFIED:
        return None
    flags = ndp.NA_ROUTER | ndp.NA_SOLICITED | ndp.NA_OVERRIDE
    return ndp.NeighborAdvertisement(ours, flags, settings.link_layer)


def probe(settings: MagSettings, mobile: Mobile) -> bytes:
    """What asks a silent mobile node whether it is there; empty: nothing is known that could be asked for."""
    router = mobile.advertise.ipv4_router if mobile.advertise is not None else None
    if mobile.link_local is not None:
        solicitation = ndp.NeighborSolicitation(mobile.link_local, settings.link_layer)
        return to_mobile(settings, mobile, mobile.link_local, solicitation)
    if mobile.ipv4 is not None and router is not None:
        request = arp.Arp(arp.REQUEST, settings.link_layer, router, bytes(6), mobile.ipv4)
        return mobile.link_layer + arp.build(request)[6:]
    return b""
