"""Which home agent serves a mobile node (RFC 4004 sections 3.1 and 3.2).

In this order: the one that is asked for, if it may be; one that the foreign realm offers; the one that serves
the mobile node already; the user's own; of those configured, the one with the fewest sessions.
"""

from appliance.aaa.context import (
    DESTINATION_HOST,
    DESTINATION_REALM,
    HA_NOT_AVAILABLE,
    NO_FOREIGN_HA_SERVICE,
    ORIGIN_HOST,
    ORIGIN_REALM,
    Context,
    Refused,
    echo,
)
from appliance.aaa.mip4_request import Registration
from appliance.protocols.diameter.message.dictionary import standard
from appliance.protocols.diameter.message.types import fold

_D = standard()
CANDIDATE_HOME_AGENT_HOST = _D["MIP-Candidate-Home-Agent-Host"]
HOME_AGENT_ADDRESS = _D["MIP-Home-Agent-Address"]
HOME_AGENT_HOST = _D["MIP-Home-Agent-Host"]
ORIGINATING_FOREIGN_AAA = _D["MIP-Originating-Foreign-AAA"]

# MIP-Feature-Vector (RFC 4004 section 7.5).
ONLY_IN_HOME_REALM, FOREIGN_AVAILABLE, IN_FOREIGN_NETWORK = 2, 8, 128


def configured_address(context: Context, host: str) -> bytes | None:
    """Address of a home agent of the configuration."""
    for agent in context.settings.home_agents:
        if fold(agent.host) == fold(host):
            return agent.address
    return None


def choose(context: Context, registration: Registration) -> None:
    """Fill in the home agent of a registration. Raises Refused: 4006 or 5024."""
    message, features = registration.message, registration.features
    address, session = message.first(HOME_AGENT_ADDRESS), registration.session
    group = message.first(HOME_AGENT_HOST)
    if features & IN_FOREIGN_NETWORK:
        _foreign(registration, address)
    elif group is not None:
        _take(registration, group.first(DESTINATION_HOST), group.first(DESTINATION_REALM), address)
        _known(context, registration)
    elif address is not None:
        _by_address(context, registration, address)
    elif features & FOREIGN_AVAILABLE and not features & ONLY_IN_HOME_REALM and _may_leave(registration):
        _foreign(registration, None)
    elif session is not None and session.home is not None:
        _take(registration, session.home.host, session.home.realm, session.home_agent or None)
    else:
        _allocate(context, registration)
    wanted, chosen = registration.user.home_agent, registration.agent_address
    if wanted is not None and chosen is not None and chosen != wanted:
        raise Refused(HA_NOT_AVAILABLE, "another home agent serves the user")


def _take(registration: Registration, host: str, realm: str, address: bytes | None) -> None:
    registration.agent_host, registration.agent_realm = host, realm
    registration.agent_address = address


def _may_leave(registration: Registration) -> bool:
    """Whether the user may have a home agent of another realm: not, if it has one of its own."""
    return registration.user.home_agent is None


def _foreign(registration: Registration, address: bytes | None) -> None:
    """The AAA server of the foreign realm hands the HAR on to the home agent there."""
    message = registration.message
    origin = message.first(ORIGINATING_FOREIGN_AAA)
    if origin is None or not _may_leave(registration):
        raise Refused(NO_FOREIGN_HA_SERVICE, "no home agent in the foreign network for this user")
    _take(registration, origin.first(ORIGIN_HOST), origin.first(ORIGIN_REALM), address)
    registration.named = echo(message, CANDIDATE_HOME_AGENT_HOST)


def _known(context: Context, registration: Registration) -> None:
    """A home agent by name: one of ours, in a realm of ours."""
    agents = context.settings.home_agents
    host = fold(registration.agent_host)
    if agents and not any(fold(agent.host) == host for agent in agents):
        raise Refused(HA_NOT_AVAILABLE, f"home agent {registration.agent_host} is not one of ours")
    if registration.agent_address is None:
        registration.agent_address = configured_address(context, host)


def _by_address(context: Context, registration: Registration, address: bytes) -> None:
    for agent in context.settings.home_agents:
        if agent.address == address:
            _take(registration, agent.host, agent.realm, address)
            return
    session = registration.session
    if session is not None and session.home is not None and session.home_agent == address:
        _take(registration, session.home.host, session.home.realm, address)
        return
    raise Refused(HA_NOT_AVAILABLE, "the requested home agent is not one of ours")


def _allocate(context: Context, registration: Registration) -> None:
    wanted = registration.user.home_agent
    agents = [agent for agent in context.settings.home_agents if wanted is None or agent.address == wanted]
    if not agents:
        raise Refused(HA_NOT_AVAILABLE, "no home agent can be assigned")
    sessions = context.sessions
    chosen = min(agents, key=lambda agent: sessions.host_count(fold(agent.host)))
    _take(registration, chosen.host, chosen.realm, chosen.address)
