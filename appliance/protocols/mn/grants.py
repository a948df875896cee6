"""What an accepted update gives a mobile node: a lifetime, a kind of tunnel, an IPv4 home address."""

from appliance.protocols.mn.agents import Agent
from appliance.protocols.mn.slots import Sent, Slot
from appliance.protocols.mn.state import Shared
from appliance.protocols.mn.updates import Answer
from appliance.protocols.mobility import status as codes
from appliance.protocols.mobility.messages import BA_T, BindingAcknowledgement
from appliance.protocols.timers import Now

#: RFC 5555 section 3.2.2: no keep-alives are needed.
NEVER = 0xFFFFFFFF


def bind(
    shared: Shared,
    agent: Agent,
    slot: Slot,
    sent: Sent,
    message: BindingAcknowledgement,
    answer: Answer,
    now: Now,
) -> bool:
    """Take a care-of address as bound; False: for no time at all."""
    settings = shared.settings
    # RFC 6275 section 11.7.3: counted from when the update was sent, never more than was asked for.
    granted = 4 * min(message.lifetime, sent.lifetime)
    if not granted:
        slot.forget()
        slot.retry = now.mono + settings.retry_interval
        return False
    if slot.bound is None:
        shared.count("registration/registered")
    elif slot.bound != slot.link:
        shared.count("registration/moved")
        shared.handoffs += 1
    slot.bound, slot.granted, slot.expires = slot.link, granted, sent.mono + granted
    refresh = granted * settings.refresh_percent / 100
    if 0 < answer.refresh < granted:
        shared.count("registration/refresh-advised")
        refresh = answer.refresh
    _take_nat(shared, agent, slot, message, answer)
    if slot.keepalive:
        refresh = min(refresh, slot.keepalive)
    # However late the answer is: not a storm.
    slot.refresh = max(sent.mono + refresh, now.mono + 1.0)
    slot.retry = 0.0
    return True


def _take_nat(
    shared: Shared, agent: Agent, slot: Slot, message: BindingAcknowledgement, answer: Answer
) -> None:
    """RFC 5555 sections 3.2.2, 4.2 and 4.3: how data is to be sent, and what keeps a NAT open."""
    settings = shared.settings
    before, slot.nat = slot.nat, False
    slot.udp = slot.tlv = False
    slot.keepalive = 0
    if slot.link is None or len(slot.link.address) == 16:
        return
    force, refresh = answer.nat if answer.nat is not None else (False, NEVER)
    slot.nat = refresh != NEVER
    slot.udp = slot.nat or force or (settings.force_udp and agent.force)
    slot.tlv = slot.udp and bool(message.flags & BA_T)
    if slot.nat:
        slot.keepalive = refresh or settings.nat_keepalive
        if not before:
            shared.count("registration/nat-found")


def take_ipv4(shared: Shared, answer: Answer, now: Now) -> None:
    """RFC 5555 section 4.4.2: the IPv4 home address, or that there is none."""
    if not shared.settings.ipv4_home or shared.ipv4_revoked:
        shared.home_ipv4 = b""
        return
    if answer.ipv4 is None or answer.ipv4[0] >= codes.IPV4_FAILURE_UNSPECIFIED:
        why = f"status {answer.ipv4[0]}" if answer.ipv4 is not None else "it did not answer the request"
        shared.notice("ipv4", f"the home agent gives no IPv4 home address: {why}", now)
        shared.home_ipv4 = b""
        return
    _, address, length = answer.ipv4
    if any(address) and 0 < length <= 32:
        shared.home_ipv4, shared.home_ipv4_length = address, length
