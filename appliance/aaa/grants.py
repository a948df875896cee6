"""What the applications of MIPv6 and PMIPv6 have in common: who may do what, for how long, in which session.

One rule for all: what the user's entry names is given; what it does not name, the client may decide.
"""

from attrs import define

from appliance.aaa.context import (
    AUTH_APPLICATION_ID,
    AUTH_REQUEST_TYPE,
    AUTHORIZATION_REJECTED,
    LATE_OVERLAPPING_REQUEST,
    MISSING_AVP,
    ORIGIN_HOST,
    ORIGIN_REALM,
    ORIGIN_STATE_ID,
    RESOURCES_EXCEEDED,
    SESSION_ID,
    TOO_BUSY,
    UNABLE_TO_COMPLY,
    USER_NAME,
    VENDOR_3GPP,
    Context,
    Refused,
    echo,
)
from appliance.aaa.sessions import ACCESS, ANCHOR, End, Session
from appliance.aaa.settings import User
from appliance.aaa.users import fold_nai
from appliance.protocols.diameter.message.codec import Message
from appliance.protocols.diameter.message.dictionary import standard
from appliance.protocols.diameter.message.types import fold
from appliance.protocols.timers import Now

_D = standard()
ACCT_INTERIM_INTERVAL = _D["Acct-Interim-Interval"]
AUTHORIZATION_LIFETIME = _D["Authorization-Lifetime"]
AUTH_GRACE_PERIOD = _D["Auth-Grace-Period"]
AUTH_SESSION_STATE = _D["Auth-Session-State"]
BANDWIDTH = _D["Bandwidth"]
CHARGEABLE_USER_IDENTITY = _D["Chargeable-User-Identity"]
CLASS = _D["Class"]
CLASSIFIER = _D["Classifier"]
CLASSIFIER_ID = _D["Classifier-ID"]
ERROR_REPORTING_HOST = _D["Error-Reporting-Host"]
DIRECTION = _D["Direction"]
FILTER_RULE = _D["Filter-Rule"]
QOS_PARAMETERS = _D["QoS-Parameters"]
QOS_RESOURCES = _D["QoS-Resources"]
RE_AUTH_REQUEST_TYPE = _D["Re-Auth-Request-Type"]
SERVICE_SELECTION = _D["Service-Selection"]
SESSION_BINDING = _D["Session-Binding"]
SESSION_TIMEOUT = _D["Session-Timeout"]

NO_STATE_MAINTAINED = 1
# Direction (RFC 5777 section 4.1.7.4): from the managed terminal, to it.
IN, OUT = 0, 1
NEVER = 0xFFFFFFFF


@define(slots=True, eq=False, kw_only=True)
class Grant:
    """What is said to a client, beside what its application adds."""

    user: User
    nai: str
    """User-Name, as it was sent."""
    service: str = ""
    """Service that is authorized; empty: none was named."""
    lifetime: int = 0
    """Authorization-Lifetime, seconds; 0: not limited."""
    session_timeout: int = 0
    """Seconds that are left of the session; 0: not limited."""
    stateless: bool = False
    """The client wants the server to keep no session."""


def service(message: Message, user: User) -> str:
    """The service that is asked for, or the user's first. Raises Refused: 5003, not subscribed."""
    asked: str = message.first(SERVICE_SELECTION) or ""
    if not user.services:
        return asked
    if not asked:
        return user.services[0]
    if asked not in user.services:
        raise Refused(AUTHORIZATION_REJECTED, "service not subscribed")
    return asked


def own(context: Context, message: Message, session_id: str, nai: str) -> Session | None:
    """The session of a Session-Id, which has to be the user's and of this client. Raises Refused."""
    found = context.sessions.find(session_id)
    if found is None:
        return None
    if not found.belongs(session_id, fold(message.first(ORIGIN_HOST))):
        raise Refused(UNABLE_TO_COMPLY, "the Session-Id is another client's")
    if fold_nai(found.user) != fold_nai(nai):
        raise Refused(UNABLE_TO_COMPLY, "the session is another user's")
    return found


def _refuse_older(context: Context, host: str) -> None:
    """3GPP TS 29.273: a newer session of the user is elsewhere; RFC 6733 section 7.4: who says so."""
    said = b"" if fold(host) == fold(context.identity) else ERROR_REPORTING_HOST.encode(host)
    text = "a newer session of the user is elsewhere"
    raise Refused(LATE_OVERLAPPING_REQUEST, text, vendor=VENDOR_3GPP, more=said)


def session_of(context: Context, message: Message, nai: str, user: User, kind: str) -> Session | None:
    """The session that a request is of; ``None``: it begins one. Raises Refused.

    ``max_sessions`` holds for anchors and for access networks separately: one mobility session may have a
    session of either (RFC 5779 section 6).
    """
    if user.newer_session:
        _refuse_older(context, user.newer_session)
    session_id = message.first(SESSION_ID)
    if not session_id:
        raise Refused(MISSING_AVP, "Session-Id is missing", SESSION_ID.encode(""))
    found = own(context, message, session_id, nai)
    if found is not None:
        return found
    mine = [each for each in context.sessions.of_user(fold_nai(nai)) if each.kind == kind]
    if user.max_sessions and len(mine) >= user.max_sessions:
        raise Refused(RESOURCES_EXCEEDED, f"the user has {len(mine)} sessions already")
    if len(context.sessions) >= context.settings.session_limit:
        raise Refused(TOO_BUSY, "no room for another session")
    return None


def grant(message: Message, nai: str, user: User, session: Session | None, now: Now) -> Grant:
    """The times of a session: what the user may have, and not more than the client asks for."""
    hint = message.first(AUTHORIZATION_LIFETIME)
    lifetime = user.authorization_lifetime
    if hint is not None and hint != NEVER:
        # 0 asks for "at once" (RFC 6733 section 8.9), which no client can want of a session that begins.
        lifetime = min(lifetime or NEVER, hint) or lifetime
    timeout = user.session_timeout
    if session is not None and session.session_end is not None:
        timeout = max(1, round(session.session_end - now.mono))
    if timeout and (not lifetime or lifetime > timeout):
        # Never longer than the session (RFC 6733 section 8.13).
        lifetime = timeout
    return Grant(
        user=user,
        nai=nai,
        lifetime=lifetime,
        session_timeout=timeout,
        stateless=message.first(AUTH_SESSION_STATE) == NO_STATE_MAINTAINED,
    )


def accept(
    context: Context, message: Message, given: Grant, session: Session | None, kind: str, now: Now
) -> Session:
    """Begin the session, or bring it up to date; a stateless client's is not kept."""
    if session is None:
        session = Session(user=given.nai, kind=kind, application=message.application)
        session.begin(given.user.session_timeout, now)
        if not given.stateless:
            context.sessions.add(session, fold_nai(given.nai))
    session.service = given.service
    session.authorize(given.lifetime, given.user.grace_period, now)
    if not given.stateless:
        end = End(
            message.first(ORIGIN_REALM),
            fold(message.first(ORIGIN_HOST)),
            message.first(SESSION_ID),
            message.first(ORIGIN_STATE_ID) or 0,
        )
        old = session.home if kind == ANCHOR else session.foreign
        if old is not None and old.host != end.host:
            session.handoff_at = now.wall
        context.sessions.attach(session, end, kind != ACCESS)
        context.sessions.arm(session)
    return session


def head(message: Message) -> list[bytes]:
    """What every answer of these applications says."""
    return [echo(message, AUTH_APPLICATION_ID), echo(message, AUTH_REQUEST_TYPE)]


def common(context: Context, message: Message, given: Grant) -> list[bytes]:
    """The AVPs of a successful answer that do not depend on the application."""
    user, settings = given.user, context.settings
    again = message.first(AUTH_REQUEST_TYPE)
    return [
        *head(message),
        USER_NAME.encode(given.nai),
        CLASS.encode(user.class_) if user.class_ else b"",
        ACCT_INTERIM_INTERVAL.encode(user.interim_interval) if user.interim_interval else b"",
        AUTHORIZATION_LIFETIME.encode(given.lifetime) if given.lifetime else b"",
        AUTH_GRACE_PERIOD.encode(user.grace_period) if given.lifetime else b"",
        AUTH_SESSION_STATE.encode(int(given.stateless)),
        # AUTHORIZE_ONLY 0, AUTHORIZE_AUTHENTICATE 1: as it was asked for.
        RE_AUTH_REQUEST_TYPE.encode(0 if again == 2 else 1) if given.lifetime else b"",
        SESSION_TIMEOUT.encode(given.session_timeout) if given.session_timeout else b"",
        SERVICE_SELECTION.encode(given.service) if given.service else b"",
        CHARGEABLE_USER_IDENTITY.encode(user.charge) if user.charge else b"",
        SESSION_BINDING.encode(settings.session_binding) if settings.session_binding else b"",
    ]


def qos(user: User) -> bytes:
    """QoS-Resources (RFC 5777) with the user's bandwidths, a rule for each direction; empty: none."""
    rules = b"".join(
        FILTER_RULE.encode(
            CLASSIFIER.encode(CLASSIFIER_ID.encode(name) + DIRECTION.encode(direction))
            # RFC 5624 section 3.3: octets a second.
            + QOS_PARAMETERS.encode(BANDWIDTH.encode(bits / 8))
        )
        for name, direction, bits in ((b"up", IN, user.bandwidth_up), (b"down", OUT, user.bandwidth_down))
        if bits
    )
    return QOS_RESOURCES.encode(rules) if rules else b""
