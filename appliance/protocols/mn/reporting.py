"""What an operator is shown of a mobile node."""

from math import inf

from appliance.protocols.mn.agents import Agents
from appliance.protocols.mn.correspondents import OPTIMIZED, TUNNEL, Correspondent, Correspondents
from appliance.protocols.mn.events import Optimized, Registered, Report
from appliance.protocols.mn.prefixes import Prefixes
from appliance.protocols.mn.registrar import Registrar
from appliance.protocols.mn.slots import Slot
from appliance.protocols.mn.state import Shared
from appliance.protocols.timers import Now


def report(
    shared: Shared,
    registrar: Registrar,
    agents: Agents,
    prefixes: Prefixes,
    correspondents: Correspondents,
    networks: tuple[tuple[bytes, int], ...],
    now: Now,
) -> Report:
    """A picture of the whole node."""
    agent = registrar.exchanges.agent or agents.current
    slots = [slot for slot in registrar.bindings.ordered() if slot.link is not None or slot.bound is not None]
    return Report(
        state=registrar.state(),
        home_agent=agent.address if agent is not None else b"",
        home_address=shared.home if shared.named else b"",
        home_ipv4=shared.home_ipv4,
        home_ipv4_prefix_length=shared.home_ipv4_length,
        home_agents=agents.known,
        networks=networks,
        prefixes=tuple((each.prefix, each.length, each.valid) for each in prefixes.known),
        registrations=tuple(_registered(registrar, slot, now) for slot in slots),
        correspondents=tuple(_optimized(entry, now) for entry in correspondents.all.values()),
        handoffs=shared.handoffs,
    )


def _registered(registrar: Registrar, slot: Slot, now: Now) -> Registered:
    link = slot.link or slot.bound
    assert link is not None
    exchange = registrar.exchanges.about(slot)
    state = "registered" if slot.bound is not None else "registering"
    if slot.link is None:
        state = "leaving"
    elif slot.bound is None and (registrar.refused or slot.retry > now.mono):
        state = "refused"
    due = exchange.backoff.due if exchange is not None else max(slot.refresh, slot.retry)
    return Registered(
        interface=link.interface,
        care_of=link.address,
        bid=slot.bid,
        state=state,
        status=slot.status,
        sequence=slot.sequence,
        lifetime=slot.granted,
        expires=max(0.0, slot.expires - now.mono) if slot.bound is not None else 0.0,
        refresh=max(0.0, due - now.mono),
        retransmissions=max(0, exchange.backoff.tries - 1) if exchange is not None else 0,
        nat=slot.nat,
        keepalive=slot.keepalive,
    )


def _optimized(entry: Correspondent, now: Now) -> Optimized:
    expires = entry.expires if entry.state in (OPTIMIZED, TUNNEL) or entry.bound is not None else -inf
    return Optimized(
        address=entry.address,
        state=entry.state,
        care_of=entry.bound.address if entry.bound is not None else b"",
        lifetime=entry.lifetime,
        expires=max(0.0, expires - now.mono),
        sequence=entry.sequence,
        home_nonce=entry.home.index,
        care_of_nonce=entry.care.index,
    )
