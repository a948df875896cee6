"""What a mobile node does about an update that its home agent has refused.

::

    status ─▶ something can be changed about the update ─▶ AGAIN, at once (a few times in a row)
           ─▶ another home agent may do it             ─▶ NEXT, or if there is none WAIT
           ─▶ it may pass                              ─▶ WAIT
           ─▶ only an operator can help                ─▶ STOP

RFC 6275 section 11.7.3 leaves the steps to the node; RFC 3963 section 5.4, RFC 4285, RFC 5555 section 4.4.2
and RFC 5648 section 5.7 say some of them.
"""

from collections.abc import Callable
from typing import NamedTuple

from appliance.protocols.mn.agents import Agent
from appliance.protocols.mn.slots import Exchange, Sent
from appliance.protocols.mn.state import Shared
from appliance.protocols.mn.updates import Answer, Clock
from appliance.protocols.mobility import status as codes
from appliance.protocols.mobility.messages import BU_F, BU_O, BU_R
from appliance.protocols.timers import Now

AGAIN, NEXT, WAIT, STOP = "again", "next", "wait", "stop"
#: The care-of address is to be left alone.
ELSEWHERE = "elsewhere"


class Denial(NamedTuple):
    """A refused transmission, and who has refused it."""

    shared: Shared
    agent: Agent
    exchange: Exchange
    sent: Sent
    answer: Answer
    clock: Clock
    now: Now


def _mesg_id(denial: Denial) -> bool:
    """RFC 4285 section 6 (144): take over the clock; RFC 5555 section 4.4.2: or leave out the F flag."""
    if denial.sent.mesg_id and denial.answer.mesg_id:
        denial.clock.follow(denial.answer.mesg_id, denial.now)
        return True
    if denial.sent.flags & BU_F and denial.agent.force:
        denial.agent.force = False
        return True
    return False


def _prohibited(denial: Denial) -> bool:
    """129 may be about the F flag, where 144 would mean the clock; or about an MN-AAA option that is missing,
    since the home agent has forgotten us."""
    agent = denial.agent
    if denial.sent.flags & BU_F and agent.force:
        agent.force = False
        return True
    again = denial.shared.settings.authentication == "mn-aaa-initial" and denial.exchange.name != "initial"
    changed = again and not agent.prove
    agent.prove = agent.prove or again
    return changed


def _mesg_id_required(denial: Denial) -> bool:
    """RFC 4285 section 6 (145)."""
    changed = not denial.sent.mesg_id
    denial.agent.mesg_id = True
    return changed


def _one_care_of(denial: Denial) -> bool:
    """RFC 5648 section 5.7 (166, and 164, which a change of form may help)."""
    changed = denial.agent.several
    denial.agent.several = False
    return changed


def _no_bulk(denial: Denial) -> bool:
    """RFC 5648 section 5.7 (168)."""
    changed = denial.agent.bulk
    denial.agent.bulk = False
    return changed


def _overwrite(denial: Denial) -> bool:
    """RFC 5648 section 5.7 (165): replace what is there."""
    denial.agent.overwrite = True
    return not denial.sent.flags & BU_O


def _unknown_care_of(denial: Denial) -> bool:
    """RFC 5648 section 5.7 (167): the address is always named by us, so it is new to the home agent."""
    for slot in denial.exchange.slots:
        slot.forget()
    return True


def _other_form(denial: Denial) -> bool:
    """RFC 3963 section 5.4.2 (141, 142): the home agent may know our networks itself."""
    settings = denial.shared.settings
    explicit = settings.router_mode == "explicit" and not denial.agent.implicit
    changed = bool(settings.networks) and explicit
    denial.agent.implicit = True
    return changed


def _no_router(denial: Denial) -> bool:
    """RFC 3963 section 5.4 (140, 143): go on without the R flag."""
    changed = bool(denial.sent.flags & BU_R)
    denial.agent.router = False
    return changed


def _other_home(denial: Denial) -> bool:
    """RFC 6275 section 11.7.1 (134): the same home address must not be tried again."""
    before = denial.shared.home
    denial.shared.make_home()
    return denial.shared.home != before


#: What may be changed of the update.
FIXES: dict[int, Callable[[Denial], bool]] = {
    codes.ADMINISTRATIVELY_PROHIBITED: _prohibited,
    codes.DUPLICATE_ADDRESS_DETECTION_FAILED: _other_home,
    codes.MIPV6_ID_MISMATCH: _mesg_id,
    codes.MIPV6_MESG_ID_REQD: _mesg_id_required,
    codes.MCOA_MALFORMED: _one_care_of,
    codes.MCOA_NON_MCOA_BINDING_EXISTS: _overwrite,
    codes.MCOA_PROHIBITED: _one_care_of,
    codes.MCOA_UNKNOWN_COA: _unknown_care_of,
    codes.MCOA_BULK_REGISTRATION_PROHIBITED: _no_bulk,
}
#: The same where there is no other home agent to ask first.
LAST_FIXES: dict[int, Callable[[Denial], bool]] = {
    codes.ADMINISTRATIVELY_PROHIBITED: _prohibited,
    codes.MOBILE_ROUTER_OPERATION_NOT_PERMITTED: _no_router,
    codes.INVALID_PREFIX: _other_form,
    codes.NOT_AUTHORIZED_FOR_PREFIX: _other_form,
    codes.FORWARDING_SETUP_FAILED: _no_router,
}
#: What to do when nothing can be changed; what is not here may pass.
ACTIONS: dict[int, str] = {
    codes.ADMINISTRATIVELY_PROHIBITED: NEXT,
    codes.INSUFFICIENT_RESOURCES: NEXT,
    codes.HOME_REGISTRATION_NOT_SUPPORTED: NEXT,
    codes.NOT_HOME_SUBNET: NEXT,
    codes.NOT_HOME_AGENT_FOR_THIS_MOBILE_NODE: NEXT,
    codes.DUPLICATE_ADDRESS_DETECTION_FAILED: STOP,
    codes.MOBILE_ROUTER_OPERATION_NOT_PERMITTED: NEXT,
    codes.INVALID_PREFIX: NEXT,
    codes.NOT_AUTHORIZED_FOR_PREFIX: NEXT,
    codes.FORWARDING_SETUP_FAILED: NEXT,
    # RFC 4285 section 5.3: no more updates.
    codes.MIPV6_AUTH_FAIL: STOP,
    codes.SERVICE_AUTHORIZATION_FAILED: STOP,
    codes.INVALID_CARE_OF_ADDRESS: ELSEWHERE,
}


def verdict(denial: Denial, status: int, others: bool) -> str:
    """What to do; ``others``: there is another home agent."""
    fix = FIXES.get(status)
    if fix is not None and fix(denial):
        return AGAIN
    action = ACTIONS.get(status, WAIT)
    if action == NEXT and not others:
        last = LAST_FIXES.get(status)
        return AGAIN if last is not None and last(denial) else WAIT
    return action


def name_of(status: int) -> str:
    """A status for the log."""
    return codes.NAMES.get(status, "unknown").replace("_", " ").lower() + f" ({status})"
