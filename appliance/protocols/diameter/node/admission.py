"""Who may be a peer: what makes a CER or CEA acceptable, and how one that is not is refused."""

from appliance.protocols.diameter.message.codec import BadValue, Malformed, Message
from appliance.protocols.diameter.message.types import fold
from appliance.protocols.diameter.node import capabilities as cap
from appliance.protocols.diameter.node.capabilities import Capabilities, Refusal
from appliance.protocols.diameter.node.context import Context
from appliance.protocols.diameter.node.events import Transmit
from appliance.protocols.diameter.node.peer_states import Link
from appliance.protocols.diameter.settings import PeerSettings


def our_capabilities(context: Context, link: Link, inband: int | None, compat: bool) -> bytes:
    """What follows Origin-Host and Origin-Realm in our CER and CEA on a connection."""
    addresses = context.settings.addresses or link.local
    return context.us.capabilities(addresses, inband, compat)


def examine(
    context: Context, settings: PeerSettings, link: Link, message: Message
) -> tuple[Capabilities, int | None]:
    """What an acceptable CER says, and the in-band security that is chosen. Raises Refusal."""
    fault = context.fault(message, settings.compat)
    if fault is not None:
        raise Refusal(fault.result, fault.text, fault.failed)
    said = cap.read(message)
    _check_identity(context, settings, link, said)
    able = context.settings.tls is not None
    inband = cap.common_security(said, link.secure, settings.transport, able)
    _check_applications(context, settings, said)
    return said, inband


def accept(
    context: Context, settings: PeerSettings, link: Link, hop: int, message: Message
) -> tuple[Capabilities, int | None]:
    """The same of a CEA; ``hop`` is the Hop-by-Hop Id of our CER. Raises Refusal."""
    if message.code != cap.CAPABILITIES or message.is_request or message.hop_by_hop != hop:
        raise Refusal(0, f"command {message.code} came instead of the CEA")
    try:
        result = message.first(cap.RESULT)
        text = message.first(cap.ERROR_MESSAGE)
    except (Malformed, BadValue) as error:
        raise Refusal(0, str(error)) from None
    if result != cap.SUCCESS:
        raise Refusal(
            result or 0, f"it answers with Result-Code {result}" + (f": {cap.plain(text)}" if text else "")
        )
    said = cap.read(message)
    _check_identity(context, settings, link, said)
    inband = None
    if settings.transport == "tls-inband":
        if cap.INBAND_TLS not in said.inband:
            raise Refusal(cap.NO_COMMON_SECURITY, "it does not want TLS")
        inband = cap.INBAND_TLS
    _check_applications(context, settings, said)
    return said, inband


def _check_identity(context: Context, settings: PeerSettings, link: Link, said: Capabilities) -> None:
    if fold(said.host) != fold(settings.name):
        raise Refusal(cap.UNKNOWN_PEER, f"it says that it is {said.host}, not {settings.name}")
    if settings.realm and fold(said.realm) != fold(settings.realm):
        raise Refusal(
            cap.UNKNOWN_PEER, f"{settings.name} has to be of realm {settings.realm}, not {said.realm}"
        )
    check_names(context, settings.name, link)


def check_names(context: Context, name: str, link: Link) -> None:
    """The certificate of a secure connection has to be the peer's. Raises Refusal."""
    if link.names is not None and fold(name) not in map(fold, link.names):
        context.statistics.bad_certificates += 1
        names = ", ".join(map(cap.plain, link.names[:8])) or "nobody"
        raise Refusal(cap.UNKNOWN_PEER, f"the certificate is for {names}, not for {name}")


def _check_applications(context: Context, settings: PeerSettings, said: Capabilities) -> None:
    if not context.us.shares(said, settings.compat):
        raise Refusal(cap.NO_COMMON_APPLICATION, "there is no common application")


def refuse(context: Context, link: Link, message: Message, refusal: Refusal, compat: bool = False) -> None:
    """Answer a CER with an error and close its connection."""
    body: tuple[bytes, ...] = ()
    if refusal.code // 1000 != 3:
        # Not an error of the protocol: the grammar of CEA holds, and says what would have been possible.
        body = (our_capabilities(context, link, None, compat),)
    answer = context.us.answer(message, refusal.code, *body, *refusal.avps)
    context.effects.append(Transmit(link.number, answer))
    context.drop(link, f"CER refused: {refusal.text}")
