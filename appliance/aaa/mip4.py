"""Mobile IPv4 (RFC 4004): AMR, HAR and what comes of them.

::

    FA ──AMR (Session-Id a)──▶ server ──HAR (Session-Id b)──▶ HA
       ◀─AMA (a; reply, keys)─        ◀─HAA (b; reply)───────
    HA ──AMR, co-located──▶ server: no HAR, the AMA has the keys

A mobile node's session keeps its ``b`` over all its foreign agents; ``a`` is that of the present one.
"""

from functools import partial

from appliance.aaa import mip4_keys as keys
from appliance.aaa import rrq
from appliance.aaa.context import (
    AUTH_APPLICATION_ID,
    AUTHORIZATION_REJECTED,
    DESTINATION_HOST,
    DESTINATION_REALM,
    HA_NOT_AVAILABLE,
    HAR,
    MIP_REPLY_FAILURE,
    MOBILE_IPV4,
    ORIGIN_HOST,
    ORIGIN_REALM,
    ORIGIN_STATE_ID,
    RESOURCES_EXCEEDED,
    SESSION_ID,
    SUCCESS,
    TOO_BUSY,
    UNABLE_TO_COMPLY,
    USER_NAME,
    Context,
    Refused,
    echo,
    result_of,
)
from appliance.aaa.events import Request
from appliance.aaa.grants import own
from appliance.aaa.mip4_agent import choose, configured_address
from appliance.aaa.mip4_request import CO_LOCATED, Registration, read
from appliance.aaa.sessions import MIP4, End, Session
from appliance.aaa.users import fold_nai
from appliance.protocols.diameter.events import INSECURE, Answered, Submit
from appliance.protocols.diameter.message.codec import Message
from appliance.protocols.diameter.message.dictionary import current, standard
from appliance.protocols.diameter.message.faults import check
from appliance.protocols.diameter.message.types import fold
from appliance.protocols.mobility.aaa import LOGOUT
from appliance.protocols.timers import Now

_D = standard()
AUTHORIZATION_LIFETIME = _D["Authorization-Lifetime"]
AUTH_SESSION_STATE = _D["Auth-Session-State"]
FEATURE_VECTOR = _D["MIP-Feature-Vector"]
HOME_AGENT_ADDRESS = _D["MIP-Home-Agent-Address"]
HOME_AGENT_HOST = _D["MIP-Home-Agent-Host"]
MOBILE_NODE_ADDRESS = _D["MIP-Mobile-Node-Address"]
MSA_LIFETIME = _D["MIP-MSA-Lifetime"]
MULTI_SESSION = _D["Acct-Multi-Session-Id"]
ORIGINATING_FOREIGN_AAA = _D["MIP-Originating-Foreign-AAA"]
REG_REPLY = _D["MIP-Reg-Reply"]
REG_REQUEST = _D["MIP-Reg-Request"]
RE_AUTH_REQUEST_TYPE = _D["Re-Auth-Request-Type"]

#: Seconds that the home agent may take to answer.
HAR_TIMEOUT = 10.0
#: Results of a home agent that are for the foreign agent too (RFC 4004 section 6).
PASSED_ON = frozenset({4005, 4006, 4007, 4008, 5024, 5025})


def head(message: Message) -> list[bytes]:
    """What every AMA says."""
    return [echo(message, AUTH_APPLICATION_ID)]


class MobileIpv4:
    """The Mobile IPv4 part of a server."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def request(self, request: Request, now: Now) -> None:
        """Take an AMR. Raises Refused, and ValueErrors of the codec."""
        registration = read(self._context, request)
        own(self._context, request.message, request.message.first(SESSION_ID), registration.nai)
        registration.home_address = self._home_address(registration)
        registration.session = self._match(registration)
        self._limits(registration)
        if registration.features & CO_LOCATED:
            self._co_located(registration, now)
        else:
            self._ask_home_agent(registration, now)

    # Whose session it is.

    def _home_address(self, registration: Registration) -> bytes | None:
        """Home address that is given, or asked for and allowed; ``None``: the home agent shall choose."""
        asked = registration.rrq.home_address
        given = registration.user.ipv4_address
        if asked in (rrq.UNSET, rrq.ALL_ONES):
            return given
        if given is not None and asked != given:
            raise Refused(AUTHORIZATION_REJECTED, "the home address is not the user's")
        return asked

    def _mine(self, registration: Registration) -> list[Session]:
        of_user = self._context.sessions.of_user(fold_nai(registration.nai))
        return [each for each in of_user if each.kind == MIP4]

    def _match(self, registration: Registration) -> Session | None:
        """The session that the mobile node has already: by Session-Id of the AMR, or by home address."""
        wanted, home = registration.message.first(SESSION_ID), registration.home_address
        for each in self._mine(registration):
            if any(end.session in (wanted, registration.session_id) for end in each.ends):
                return each
            if home is not None and each.ipv4_address == home:
                return each
        return None

    def _limits(self, registration: Registration) -> None:
        if registration.session is not None:
            return
        context, most = self._context, registration.user.max_sessions
        if most and len(self._mine(registration)) >= most:
            raise Refused(RESOURCES_EXCEEDED, f"the user has {most} sessions already")
        if len(context.sessions) >= context.settings.session_limit:
            raise Refused(TOO_BUSY, "no room for another session")

    # The home agent itself asks.

    def _co_located(self, registration: Registration, now: Now) -> None:
        """It gets the keys at once (RFC 4004 section 3.3)."""
        message = registration.message
        host = message.first(ORIGIN_HOST)
        agent = message.first(HOME_AGENT_ADDRESS) or configured_address(self._context, host)
        if agent is None or registration.home_address is None:
            lacking = "no home agent address" if agent is None else "no home address for the mobile node"
            raise Refused(HA_NOT_AVAILABLE, lacking)
        if registration.user.home_agent not in (None, agent):
            raise Refused(HA_NOT_AVAILABLE, "another home agent serves the user")
        registration.agent_address = agent
        if registration.features & keys.MN_HA_KEY:
            keys.check_secure(registration.request.secure)
        made = keys.mobile_home(self._context, registration)
        session = self._accept(registration, message.first(MULTI_SESSION), bool(made), now)
        if session is not None:
            self._context.sessions.attach(session, _end(message, message.first(SESSION_ID)), True)
            self._context.sessions.arm(session)
        self._context.reply(registration.request, SUCCESS, *self._answer(registration, made))

    # A foreign agent asks.

    def _ask_home_agent(self, registration: Registration, now: Now) -> None:
        context = self._context
        choose(context, registration)
        home = registration.session.home if registration.session is not None else None
        same = home is not None and home.host == fold(registration.agent_host)
        registration.session_id = home.session if same and home is not None else context.session_id(now)
        made = keys.for_home_agent(context, registration)
        submit = Submit(
            code=HAR,
            application=MOBILE_IPV4,
            avps=b"".join(self._har(registration, made)),
            realm=registration.agent_realm,
            host=registration.agent_host,
            timeout=HAR_TIMEOUT,
            secure=bool(made),
        )
        context.send(HAR, submit, partial(self._answered, registration))

    def _har(self, registration: Registration, made: list[bytes]) -> list[bytes]:
        message, address = registration.message, registration.home_address
        agent = registration.agent_address
        return [
            SESSION_ID.encode(registration.session_id),
            AUTH_APPLICATION_ID.encode(MOBILE_IPV4),
            AUTHORIZATION_LIFETIME.encode(registration.lifetime),
            AUTH_SESSION_STATE.encode(0),
            echo(message, REG_REQUEST),
            self._context.origin,
            USER_NAME.encode(registration.nai),
            DESTINATION_REALM.encode(registration.agent_realm),
            FEATURE_VECTOR.encode(registration.features),
            DESTINATION_HOST.encode(registration.agent_host),
            *made,
            MSA_LIFETIME.encode(keys.lifetime(registration)) if made else b"",
            echo(message, ORIGINATING_FOREIGN_AAA),
            echo(message, HOME_AGENT_HOST) or registration.named,
            b"" if address is None else MOBILE_NODE_ADDRESS.encode(address),
            b"" if agent is None else HOME_AGENT_ADDRESS.encode(agent),
            self._context.state,
        ]

    def _answered(self, registration: Registration, answered: Answered, now: Now) -> None:
        # The exceptions are not kept in a name of ours: they would be a cycle with this frame.
        try:
            self._home_agent_said(registration, answered, now)
        except Refused as why:
            self._context.refuse(registration.request, why, *head(registration.message))
        except ValueError as error:
            self._context.refuse(
                registration.request,
                Refused(UNABLE_TO_COMPLY, f"unusable answer of the home agent: {error}"),
                *head(registration.message),
            )

    def _home_agent_said(self, registration: Registration, answered: Answered, now: Now) -> None:
        message = answered.message
        if message is None:
            keys.check_secure(answered.reason != INSECURE)
            raise Refused(HA_NOT_AVAILABLE, f"home agent {registration.agent_host}: {answered.reason}")
        fault = check(message, current())
        if fault is not None:
            raise Refused(UNABLE_TO_COMPLY, f"unusable answer of the home agent: {fault.text}")
        reply = message.first(REG_REPLY)
        said = b"" if reply is None else REG_REPLY.encode(reply)
        result = result_of(answered)
        if result // 1000 != 2:
            told = result if result in PASSED_ON else UNABLE_TO_COMPLY
            told = HA_NOT_AVAILABLE if result // 1000 == 3 else told
            text = f"home agent {registration.agent_host} answered {result}"
            raise Refused(told, text, more=said)
        registration.home_address = message.first(MOBILE_NODE_ADDRESS) or registration.home_address
        registration.agent_address = message.first(HOME_AGENT_ADDRESS) or registration.agent_address
        if not said or registration.home_address is None or registration.agent_address is None:
            raise Refused(MIP_REPLY_FAILURE, "the home agent's answer lacks reply or addresses", more=said)
        self._registered(registration, message, now)
        made = keys.for_foreign_agent(self._context, registration, message)
        self._context.reply(
            registration.request, SUCCESS, *self._answer(registration, [said, *made], bool(made))
        )

    def _registered(self, registration: Registration, answer: Message, now: Now) -> None:
        # Another request of the mobile node may have come to its end meanwhile.
        registration.session = self._match(registration)
        with_key = bool(registration.features & keys.MN_HA_KEY)
        session = self._accept(registration, answer.first(MULTI_SESSION), with_key, now)
        if session is None:
            return
        sessions, amr = self._context.sessions, registration.message
        foreign = _end(amr, amr.first(SESSION_ID))
        if session.foreign is not None and session.foreign.host != foreign.host:
            session.handoff_at = now.wall
        sessions.attach(session, _end(answer, registration.session_id), True)
        sessions.attach(session, foreign, False)
        sessions.arm(session)

    # What has come of it.

    def _accept(
        self, registration: Registration, multi: str | None, with_key: bool, now: Now
    ) -> Session | None:
        """Bring the session up to date, or end it if the mobile node de-registers."""
        session, user, sessions = registration.session, registration.user, self._context.sessions
        name = fold_nai(registration.nai)
        if registration.rrq.lifetime == 0:
            if session is not None:
                registration.multi = session.multi
                sessions.end(session, name, LOGOUT, now)
            return None
        if session is None:
            session = Session(user=registration.nai, kind=MIP4, application=MOBILE_IPV4)
            session.begin(user.session_timeout, now)
            sessions.add(session, name)
        session.multi = registration.multi = multi or session.multi
        session.features = registration.features
        session.home_agent = registration.agent_address or b""
        session.ipv4_address = registration.home_address
        session.authorize(registration.lifetime, user.grace_period, now)
        session.key_until_at = now.wall + keys.lifetime(registration) if with_key else 0.0
        return session

    def _answer(
        self, registration: Registration, more: list[bytes], with_keys: bool | None = None
    ) -> list[bytes]:
        """The AVPs of a successful AMA."""
        with_keys = bool(more) if with_keys is None else with_keys
        return [
            *head(registration.message),
            MULTI_SESSION.encode(registration.multi) if registration.multi else b"",
            USER_NAME.encode(registration.nai),
            AUTHORIZATION_LIFETIME.encode(registration.lifetime),
            AUTH_SESSION_STATE.encode(0),
            RE_AUTH_REQUEST_TYPE.encode(1),
            FEATURE_VECTOR.encode(registration.features),
            *more,
            MSA_LIFETIME.encode(keys.lifetime(registration)) if with_keys else b"",
            HOME_AGENT_ADDRESS.encode(registration.agent_address),
            MOBILE_NODE_ADDRESS.encode(registration.home_address),
        ]


def _end(message: Message, session_id: str) -> End:
    """The end of a session that a message comes from."""
    return End(
        message.first(ORIGIN_REALM),
        fold(message.first(ORIGIN_HOST)),
        session_id,
        message.first(ORIGIN_STATE_ID) or 0,
    )
