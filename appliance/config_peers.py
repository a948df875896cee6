"""Lines about the other ends of signalling: ``mag-peer`` of an anchor, ``lma-peer`` of a gateway.

Their words are the flags of the settings: whether heartbeats and revocations go there, and which mistakes of
an old implementation are borne with.
"""

from collections.abc import Iterable

from appliance.config_tree import Entry
from appliance.protocols.pmipv6 import settings
from appliance.protocols.pmipv6.settings import Anchor, Peer

GATEWAY_WORDS, ANCHOR_WORDS = settings.GATEWAY_WORDS, settings.ANCHOR_WORDS
SWITCHES = "[ no-heartbeat ] [ no-revocation ]"
PEER_HELP = {
    "no-heartbeat": "No heartbeats are sent to it",
    "no-revocation": "No revocations are sent to it",
}


def optional(words: Iterable[str]) -> str:
    """Syntax in which each of the words may stand, in any order."""
    return " ".join(f"[ {word} ]" for word in words)


def make_peer(entry: Entry) -> Peer:
    """The settings of a ``mag-peer`` line."""
    args = entry.args
    address, length = args["peer"]
    return Peer(
        address=address,
        prefix_length=length,
        allowed="prohibited" not in args,
        heartbeat="no-heartbeat" not in args,
        revocation="no-revocation" not in args,
        interop=tuple(word for word in GATEWAY_WORDS if word in args),
    )


def make_anchor(entry: Entry) -> Anchor:
    """The settings of an ``lma-peer`` line."""
    args = entry.args
    return Anchor(
        address=args["address"],
        heartbeat="no-heartbeat" not in args,
        revocation="no-revocation" not in args,
        interop=tuple(word for word in ANCHOR_WORDS if word in args),
    )


def words(peer: Peer | Anchor) -> list[str]:
    """The words behind the address of a line, in the order in which they are shown."""
    found = [] if getattr(peer, "allowed", True) else ["prohibited"]
    found += [] if peer.heartbeat else ["no-heartbeat"]
    found += [] if peer.revocation else ["no-revocation"]
    known = GATEWAY_WORDS if isinstance(peer, Peer) else ANCHOR_WORDS
    return found + [word for word in known if word in peer.interop]
