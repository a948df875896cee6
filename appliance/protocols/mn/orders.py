"""What a home agent tells a mobile node by itself.

::

    Binding Revocation Indication ─▶ acknowledged, forgotten for a while (RFC 5846 section 10)
    Home Agent Switch             ─▶ de-registration, another home agent  (RFC 5142 section 6)
    Binding Refresh Request       ─▶ an update                            (RFC 6275 section 11.7.4)
    Binding Error                 ─▶ an update, or another home agent     (RFC 6275 section 11.3.6)

The first two are believed only with the authenticator that acknowledgements have, where there is a key; the
others make us no more than ask.
"""

from typing import Any

from appliance.protocols.mn.events import MessageReceived, SendMessage
from appliance.protocols.mn.registrar import Registrar
from appliance.protocols.mn.sending import packet
from appliance.protocols.mn.slots import Slot
from appliance.protocols.mn.state import Shared
from appliance.protocols.mn.updates import authentication, prove_mn_ha, proved
from appliance.protocols.mobility import messages as msg
from appliance.protocols.mobility import options as opt
from appliance.protocols.mobility import rfc4285
from appliance.protocols.mobility import status as codes
from appliance.protocols.mobility.codec import encode
from appliance.protocols.timers import Now

_IGNORED = "mobility-messages-ignored/"
#: Revocations that are remembered: who has recorded one must not take a newer binding away by it.
REMEMBERED = 32
#: Global triggers (RFC 5846 section 6.1); a mobile node has one binding to revoke.
_GLOBAL = 128


class Orders:
    """Takes the messages of the current home agent."""

    __slots__ = ("_last", "_registrar", "_shared")

    def __init__(self, shared: Shared, registrar: Registrar) -> None:
        self._shared = shared
        self._registrar = registrar
        #: The last revocations and their answers, which are repeated if they were lost.
        self._last: dict[bytes, SendMessage] = {}

    def _bound(self) -> list[Slot]:
        return [slot for slot in self._registrar.bindings.ordered() if slot.bound is not None]

    def _for_us(self, event: MessageReceived) -> bool:
        """Whether it is from our home agent, about our home address."""
        agent = self._registrar.exchanges.agent
        if agent is None or event.source != agent.address or event.tunnelled:
            return False
        return (event.home or event.destination) == self._shared.home

    def _authentic(self, event: MessageReceived, message: Any) -> bool:
        """RFC 4285 section 5.1, over the care-of address that the home agent sends to."""
        home = self._shared.home
        return any(
            proved(self._shared, event.data, message.options, care_of(slot, home), home)
            for slot in self._bound()
        )

    def refresh_requested(self, event: MessageReceived, now: Now) -> None:
        """RFC 6275 section 11.7.4; RFC 5648 section 5.8."""
        if not self._for_us(event) or not self._bound():
            self._shared.count(_IGNORED + "binding-refresh-request")
            return
        self._registrar.refresh(now)

    def error(self, event: MessageReceived, message: msg.BindingError, now: Now) -> None:
        """RFC 6275 section 11.3.6."""
        agent = self._registrar.exchanges.agent
        known = agent is not None and event.source == agent.address
        if not known or message.home_address not in (self._shared.home, bytes(16)):
            self._shared.count(_IGNORED + "binding-error")
        elif message.status == codes.BE_UNKNOWN_BINDING:
            self._registrar.refresh(now)
        elif message.status == codes.BE_UNKNOWN_MH_TYPE:
            self._registrar.unsupported(now)

    def switch(self, event: MessageReceived, message: msg.HomeAgentSwitch, now: Now) -> None:
        """RFC 5142 section 6.1: the de-registration is the answer."""
        if not self._for_us(event) or not self._authentic(event, message):
            self._shared.count(_IGNORED + "home-agent-switch")
            return
        self._shared.notice("switch", "the home agent sends us to another one", now)
        self._registrar.switch(list(message.addresses), now)

    def revoked(self, event: MessageReceived, message: msg.BindingRevocationIndication, now: Now) -> None:
        """RFC 5846 section 10."""
        shared = self._shared
        said = self._last.get(event.data)
        if said is not None:
            shared.count("binding-revocation/acknowledgement-sent")
            shared.out.append(said)
            return
        if not self._for_us(event) or not self._bound() or not self._authentic(event, message):
            shared.count(_IGNORED + "binding-revocation-indication")
            return
        bids = [each.bid for each in message.options if isinstance(each, opt.BindingIdentifier)]
        status = self._status(message, bids)
        shared.count("binding-revocation/acknowledgement-sent")
        if status >= codes.BINDING_DOES_NOT_EXIST:
            shared.count("binding-revocation/refused")
        answer = self._answer(event, message, status, bids)
        shared.out.append(answer)
        while len(self._last) >= REMEMBERED:
            del self._last[next(iter(self._last))]
        self._last[event.data] = answer
        if status >= codes.BINDING_DOES_NOT_EXIST:
            return
        name = codes.TRIGGER_NAMES.get(message.trigger, str(message.trigger))
        shared.notice("revoked", f"the home agent has revoked the binding: {name}", now)
        shared.count("registration/revoked")
        if message.flags & msg.BR_V:
            shared.home_ipv4 = b""
            shared.ipv4_revoked = True
        else:
            self._registrar.revoked(bids, now)

    def _status(self, message: msg.BindingRevocationIndication, bids: list[int]) -> int:
        if message.flags & msg.BR_P:
            return codes.PROXY_BINDING_REVOCATION_NOT_SUPPORTED
        if message.trigger not in codes.TRIGGER_NAMES:
            return codes.REVOCATION_TRIGGER_NOT_SUPPORTED
        if message.flags & msg.BR_G or message.trigger >= _GLOBAL:
            return codes.REVOCATION_FUNCTION_NOT_SUPPORTED
        if message.flags & msg.BR_V:
            named = [each.address for each in message.options if isinstance(each, opt.IPv4HomeAddress)]
            if not named:
                return codes.IPV4_HOME_ADDRESS_OPTION_REQUIRED
            ours = self._shared.home_ipv4
            return codes.REVOKED if ours and ours in named else codes.BINDING_DOES_NOT_EXIST
        known = {slot.bid for slot in self._bound()}
        if not bids or known.issuperset(bids):
            return codes.REVOKED
        return codes.REVOKED_PARTIALLY if known.intersection(bids) else codes.BINDING_DOES_NOT_EXIST

    def _answer(
        self, event: MessageReceived, message: msg.BindingRevocationIndication, status: int, bids: list[int]
    ) -> SendMessage:
        """RFC 5846 section 6.2: the options name what has failed."""
        shared, registrar = self._shared, self._registrar
        bound, agent = self._bound(), registrar.exchanges.agent
        assert agent is not None
        asked = [each for each in bound if each.bound and each.bound.address == event.destination]
        slot = (asked or bound)[0]
        assert slot.bound is not None
        known = {each.bid for each in bound}
        options: list[Any] = [opt.BindingIdentifier(bid, 0, 0) for bid in bids if bid not in known]
        association, _ = authentication(shared, False)
        if association is not None:
            empty = bytes(rfc4285.MN_HA_OCTETS)
            options.append(opt.Authentication(codes.AUTH_MN_HA, association.spi, empty))
        mh = encode(
            msg.BindingRevocationAcknowledgement(status, message.sequence, message.flags & 0xE000, options)
        )
        if association is not None:
            mh = prove_mn_ha(mh, association, care_of(slot, shared.home), shared.home)
        return packet(shared, agent, mh, slot.bound)


def care_of(slot: Slot, home: bytes) -> bytes:
    """The care-of address of a binding as authenticators cover it."""
    address = slot.bound.address if slot.bound is not None else b""
    return rfc4285.covered_care_of(address, home)
