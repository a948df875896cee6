"""The Mobile AAA server, without any I/O: decides about each request, and keeps the sessions.

::

                       ┌─ AMR ─▶ MobileIpv4 ──HAR──▶ home agent
    Request ─ command ─┼─ MIR ─▶ MobileIpv6
                       ├─ AAR ─▶ ProxyMobileIpv6      ──▶ Sessions ◀── STR, ASR, RAR, times
                       ├─ DER ─▶ Eap
                       ├─ STR ─▶ here
                       └─ ACR ─▶ Accounting ──Keep──▶ store ──Stored──▶ answered

A request that cannot be granted ends in :class:`Refused`, which one place turns into the answer. What is in a
request was checked against the grammar by the node; a value that is wrong all the same gets 5004.
"""

from collections.abc import Callable, Iterator

from appliance.aaa.accounting import ACCT_APPLICATION_ID, RECORD_NUMBER, RECORD_TYPE, Accounting
from appliance.aaa.accounting import APPLICATIONS as ACCOUNTED
from appliance.aaa.context import (
    AAR,
    ACR,
    AMR,
    APPLICATION_UNSUPPORTED,
    COMMAND_UNSUPPORTED,
    COMMANDS,
    DER,
    DRAFT_MOBILE_IP,
    EAP,
    INVALID_AVP_VALUE,
    MIP6A,
    MIP6I,
    MIR,
    MOBILE_IPV4,
    NASREQ,
    ORIGIN_HOST,
    ORIGIN_STATE_ID,
    S6B,
    SESSION_ID,
    STR,
    SUCCESS,
    UNKNOWN_SESSION_ID,
    Context,
    Refused,
    Statistics,
    echo,
)
from appliance.aaa.eap import Eap
from appliance.aaa.events import (
    Abort,
    Answer,
    Effect,
    Event,
    Full,
    LoadedUsers,
    Origin,
    Reauthorize,
    Reconfigure,
    Request,
    Stored,
)
from appliance.aaa.grants import head as authorization_head
from appliance.aaa.mip4 import MobileIpv4
from appliance.aaa.mip4 import head as mobile_ip_head
from appliance.aaa.mip6 import MobileIpv6
from appliance.aaa.orders import Orders
from appliance.aaa.pmip6 import ProxyMobileIpv6
from appliance.aaa.sessions import MIP4, Session, Sessions
from appliance.aaa.settings import AaaServerSettings
from appliance.aaa.users import Users, fold_nai
from appliance.protocols.diameter.events import Advertised
from appliance.protocols.diameter.message.codec import Malformed, Message
from appliance.protocols.diameter.message.dictionary import standard
from appliance.protocols.diameter.message.types import fold
from appliance.protocols.mobility.aaa import (
    ADMINISTRATIVE,
    AUTH_EXPIRED,
    LINK_BROKEN,
    LOGOUT,
    SESSION_TIMEOUT,
)
from appliance.protocols.timers import Now

_D = standard()
RE_AUTH_REQUEST_TYPE = _D["Re-Auth-Request-Type"]
TERMINATION_CAUSE = _D["Termination-Cause"]

#: Whose applications each command may be of; STR of Mobile IPv4 may say 0 (RFC 4004 section 4).
APPLICATIONS: dict[int, frozenset[int]] = {
    AMR: frozenset({MOBILE_IPV4}),
    MIR: frozenset({MIP6A}),
    AAR: frozenset({NASREQ, S6B}),
    DER: frozenset({EAP}),
    STR: frozenset({0, NASREQ, MOBILE_IPV4, EAP, MIP6A, S6B}),
    ACR: ACCOUNTED,
}
#: What a server says in CER and CEA that it has.
ADVERTISED = (
    Advertised(NASREQ, auth=True, acct=True),
    Advertised(MOBILE_IPV4, auth=True, acct=True),
    Advertised(EAP, auth=True),
    Advertised(MIP6I, acct=True),
    Advertised(MIP6A, auth=True, acct=True),
    Advertised(3, acct=True),
    Advertised(S6B, auth=True, vendor=10_415),
)
#: What peers that speak the drafts may use beside: application 4 was Mobile IP.
COMPAT_ADVERTISED = Advertised(DRAFT_MOBILE_IP, acct=True)
#: Tries to deliver an ASR, and seconds that its client may take to answer one.
ASR_TRIES, ASR_TIMEOUT = 3, 10.0


class MobileAaaServer:
    """One ``aaa-server``.

    ``random_bits(n)`` gives an n-bit random number that is good enough for keys. It has to be told who it is
    (:class:`Origin`) before it is given requests.
    """

    def __init__(self, settings: AaaServerSettings, random_bits: Callable[[int], int]) -> None:
        context = self._context = Context(settings, random_bits)
        self._accounting = Accounting(context)
        proxy = ProxyMobileIpv6(context)
        self._eap = Eap(context, proxy)
        self._orders = Orders(context)
        self._commands: dict[int, Callable[[Request, Now], None]] = {
            ACR: self._accounting.request,
            AAR: proxy.request,
            AMR: MobileIpv4(context).request,
            DER: self._eap.request,
            MIR: MobileIpv6(context).request,
            STR: self._terminate,
        }

    # What the service asks.

    @property
    def settings(self) -> AaaServerSettings:
        """The settings as they are now."""
        return self._context.settings

    @property
    def sessions(self) -> Sessions:
        """The sessions; to be read only."""
        return self._context.sessions

    @property
    def users(self) -> Users:
        """The users; to be read only."""
        return self._context.users

    @property
    def statistics(self) -> Statistics:
        """Requests and answers so far."""
        return self._context.statistics

    def clear_statistics(self) -> None:
        """Begin to count anew."""
        self._context.statistics = Statistics()

    # The shape of a core.

    def receive(self, event: Event, now: Now) -> None:
        """Take one event in; never raises for anything that came off the wire."""
        if isinstance(event, Request):
            self._request(event, now)
        elif isinstance(event, Stored):
            self._accounting.stored(event.tokens, event.outcome)
        elif isinstance(event, Full):
            self._accounting.full(event.token)
        elif isinstance(event, Answer):
            self._context.answered(event.token, event.answered, now)
        elif isinstance(event, Abort):
            self._orders.abort(event, now)
        elif isinstance(event, Reauthorize):
            self._orders.reauthorize(event)
        elif isinstance(event, Origin):
            self._context.be(event.identity, event.realm, event.state_id)
        elif isinstance(event, LoadedUsers):
            self._context.users.load(event.realm, event.users)
        elif isinstance(event, Reconfigure):
            self._context.settings = event.settings
            self._context.users.configure(event.settings)
            self._accounting.configure(event.settings)

    def take(self) -> list[Effect]:
        """Give the effects since the last call."""
        out, self._context.out = self._context.out, []
        return out

    @property
    def deadline(self) -> float | None:
        """When :meth:`tick` is wanted next, in monotonic seconds."""
        first, second = self._context.sessions.deadline, self._eap.deadline
        if first is None or second is None:
            return first if second is None else second
        return min(first, second)

    def tick(self, now: Now) -> None:
        """End the sessions whose time is over, and those whose client has started anew."""
        for session in self.sessions.due(now.mono):
            self._expired(session, now)
        for session in self.sessions.stale():
            self._context.end(session, LINK_BROKEN, now)
        self._eap.tick(now)

    # Requests.

    def _request(self, request: Request, now: Now) -> None:
        message = request.message
        name = COMMANDS.get(message.code, str(message.code))
        self._context.statistics.requests[name] += 1
        try:
            command = self._commands.get(message.code)
            if command is None:
                raise Refused(COMMAND_UNSUPPORTED, f"{name} is not served here")
            applications = APPLICATIONS[message.code]
            if message.application not in applications and not request.compat:
                raise Refused(
                    APPLICATION_UNSUPPORTED, f"{name} of application {message.application} is not served"
                )
            if message.code != ACR:
                self._heard(message)
            command(request, now)
        except Refused as why:
            self._context.refuse(request, why, *self._head(message))
        except Malformed as error:
            self._context.refuse(request, Refused(error.code, str(error), error.failed))
        except ValueError as error:
            self._context.refuse(request, Refused(INVALID_AVP_VALUE, str(error)), *self._head(message))

    def _head(self, message: Message) -> list[bytes]:
        """What an answer has to say beside its result, whatever the result is."""
        if message.code == ACR:
            return [echo(message, avp) for avp in (RECORD_TYPE, RECORD_NUMBER, ACCT_APPLICATION_ID)]
        if message.code == AMR:
            return mobile_ip_head(message)
        return authorization_head(message) if message.code in (AAR, DER, MIR) else []

    def _heard(self, message: Message) -> None:
        state_id = message.first(ORIGIN_STATE_ID)
        if state_id:
            self.sessions.heard(fold(message.first(ORIGIN_HOST)), state_id)

    # Ends of sessions.

    def _terminate(self, request: Request, now: Now) -> None:
        """STR: a client's end of a session is over (RFC 6733 section 8.4)."""
        message = request.message
        session_id, cause = message.first(SESSION_ID), message.first(TERMINATION_CAUSE)
        session = self.sessions.find(session_id) if session_id else None
        if session is None or not session.belongs(session_id, fold(message.first(ORIGIN_HOST))):
            # Another client's session is none that this one can know of.
            raise Refused(UNKNOWN_SESSION_ID, "")
        foreign, home = session.foreign, session.home
        if (
            session.kind == MIP4
            and home is not None
            and foreign is not None
            and foreign.session == session_id
        ):
            # The mobile node may be at another foreign agent by now (RFC 4004 section 4.1.3).
            self.sessions.detach(session, home=False)
        else:
            self._context.end(session, cause or LOGOUT, now)
        self._context.reply(request, SUCCESS)

    def _expired(self, session: Session, now: Now) -> None:
        if session.disconnect_by is not None and session.disconnect_by <= now.mono:
            cause = ADMINISTRATIVE
        elif session.session_end is not None and session.session_end <= now.mono:
            cause = SESSION_TIMEOUT
        else:
            cause = AUTH_EXPIRED
        self._context.end(session, cause, now)

    def find(self, user: str = "") -> Iterator[Session]:
        """The live sessions of a user, or all."""
        return iter(self.sessions.of_user(fold_nai(user))) if user else iter(self.sessions)
