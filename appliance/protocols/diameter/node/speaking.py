"""Whether a peer may send a request in the name that stands in it.

::

    Origin-Host is the peer itself ─────────────────────────────▶ yes, if the realm is the peer's too
                is somebody else ─ peer is a relay ─────────────▶ yes
                                 └ Route-Record, as of a proxy ─▶ yes, unless that one is connected to us
                                 └ none ────────────────────────▶ no

Sessions, records and repeated requests are told apart by Origin-Host: a client that could write another name
there would end the sessions of others, or have the answers that were given to them. RFC 6733 section 6.1.9
has agents add a Route-Record to what they forward, so a peer that does not is the origin itself. Who has been
accepted as an agent is believed: that trust is the operator's (section 13.1).
"""

from collections.abc import Mapping

from appliance.protocols.diameter.message.codec import Message
from appliance.protocols.diameter.message.types import fold
from appliance.protocols.diameter.node import capabilities as cap
from appliance.protocols.diameter.node.peer import Peer
from appliance.protocols.diameter.node.proxying import ROUTE_RECORD


def objection(peer: Peer, message: Message, peers: Mapping[str, Peer]) -> str:
    """Why a request of ``peer`` cannot be from whom it says; empty: it can.

    ``peers``: all of the node, by folded identity. A missing name is told elsewhere. Raises Malformed.
    """
    said = peer.capabilities
    origin, realm = message.raw(cap.ORIGIN_HOST), message.raw(cap.ORIGIN_REALM)
    if origin is None or said is None or peer.settings.compat:
        return ""
    if origin == said.host.encode() and realm == said.realm.encode():
        # Nearly all: spelled as in its CER.
        return ""
    name = fold(origin.decode(errors="replace"))
    if name == peer.folded:
        if realm is None or fold(realm.decode(errors="replace")) == fold(said.realm):
            return ""
        return f"{peer.name} is of realm {said.realm}, not {cap.plain(realm.decode(errors='replace'))}"
    if said.relay:
        return ""
    shown = cap.plain(name)
    if message.raw(ROUTE_RECORD) is None:
        return f"{peer.name} is not {shown}, and no Route-Record says that it forwards"
    other = peers.get(name)
    if other is not None and other.is_open:
        return f"{peer.name} is no relay and cannot speak for {shown}, which is connected itself"
    return ""
