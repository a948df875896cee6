"""What an operator has a Mobile AAA server ask of its clients: to end a session (ASR), to renew it (RAR).

::

    Abort ──ASR──▶ client ──ASA 2001──▶ Disconnected ──STR──▶ ended
                          ──ASA 5002──▶ ended
                          ──ASA 5012──▶ stays open
           no answer, three times ────▶ ended without it
"""

from functools import partial

from appliance.aaa.context import (
    ASR,
    AUTH_APPLICATION_ID,
    DESTINATION_HOST,
    DESTINATION_REALM,
    RAR,
    SESSION_ID,
    UNKNOWN_SESSION_ID,
    USER_NAME,
    Context,
    result_of,
)
from appliance.aaa.events import Abort, Reauthorize
from appliance.aaa.sessions import DISCONNECT_SECONDS, DISCONNECTED, MIP4, OPEN, End, Session
from appliance.protocols.diameter.events import Answered, Submit
from appliance.protocols.diameter.message.dictionary import standard
from appliance.protocols.mobility.aaa import ADMINISTRATIVE
from appliance.protocols.timers import Now

RE_AUTH_REQUEST_TYPE = standard()["Re-Auth-Request-Type"]

#: Tries to deliver an ASR, and seconds that its client may take to answer one.
ASR_TRIES, ASR_TIMEOUT = 3, 10.0


class Orders:
    """ASR and RAR of one server."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def abort(self, event: Abort, now: Now) -> None:
        """Ask the client to end a session."""
        session = self._context.sessions.find(event.session)
        if session is None:
            self._context.told(event.token, f"no session {event.session}")
        elif session.state != OPEN:
            self._context.told(event.token, f"session {event.session} is being ended already")
        else:
            session.state = DISCONNECTED
            self._send_abort(session, event.token, 1, now)

    def reauthorize(self, event: Reauthorize) -> None:
        """Ask the client to have a session authorized again."""
        session = self._context.sessions.find(event.session)
        end = next(iter(session.ends), None) if session is not None else None
        if session is None or end is None:
            self._context.told(event.token, f"no session {event.session}")
        elif session.kind == MIP4:
            # RFC 4004 section 4: only the mobile node can begin it.
            self._context.told(event.token, "Mobile IPv4 knows no re-authorization by the server")
        else:
            avps = [*self._to_client(session, end), RE_AUTH_REQUEST_TYPE.encode(0)]
            submit = self._submit(RAR, session, end, avps)
            self._context.send(RAR, submit, partial(self._reauthorized, session, event.token))

    def _to_client(self, session: Session, end: End) -> list[bytes]:
        """The AVPs that ASR and RAR have in common."""
        return [
            SESSION_ID.encode(end.session),
            self._context.origin,
            DESTINATION_REALM.encode(end.realm),
            DESTINATION_HOST.encode(end.host),
            AUTH_APPLICATION_ID.encode(session.application),
            USER_NAME.encode(session.user),
            self._context.state,
        ]

    def _submit(self, code: int, session: Session, end: End, avps: list[bytes]) -> Submit:
        return Submit(
            code=code,
            application=session.application,
            avps=b"".join(avps),
            realm=end.realm,
            host=end.host,
            timeout=ASR_TIMEOUT,
        )

    def _send_abort(self, session: Session, token: int, number: int, now: Now) -> None:
        end = next(iter(session.ends), None)
        if end is None:
            self._context.end(session, ADMINISTRATIVE, now)
            self._context.told(token, "ended; no client has it")
            return
        submit = self._submit(ASR, session, end, self._to_client(session, end))
        self._context.send(ASR, submit, partial(self._aborted, session, token, number))

    def _aborted(self, session: Session, token: int, number: int, answered: Answered, now: Now) -> None:
        context, result = self._context, result_of(answered)
        why = f"result {result}" if result else answered.reason
        if session.state != DISCONNECTED:
            context.told(token, f"session {session.id} has ended meanwhile")
        elif result // 1000 == 2:
            # Its STR is to come.
            session.disconnect_by = now.mono + DISCONNECT_SECONDS
            context.sessions.arm(session)
            context.told(token, f"session {session.id} is ended by its client: {why}")
        elif result == UNKNOWN_SESSION_ID:
            context.end(session, ADMINISTRATIVE, now)
            context.told(token, f"session {session.id} was unknown to its client, and is ended: {why}")
        elif result in (0, 3002, 3004) and number < ASR_TRIES:
            self._send_abort(session, token, number + 1, now)
        elif result // 1000 == 5:
            session.state = OPEN
            context.told(token, f"session {session.id} stays: its client refuses: {why}")
        else:
            # Nobody there to end it: it is over for us.
            context.end(session, ADMINISTRATIVE, now)
            context.told(token, f"session {session.id} is ended without its client: {why}")

    def _reauthorized(self, session: Session, token: int, answered: Answered, now: Now) -> None:
        result = result_of(answered)
        why = f"result {result}" if result else answered.reason
        if result == UNKNOWN_SESSION_ID:
            self._context.end(session, ADMINISTRATIVE, now)
            self._context.told(token, f"session {session.id} was unknown to its client, and is ended: {why}")
        elif result // 1000 != 2:
            self._context.told(token, f"session {session.id} is not authorized again: {why}")
        elif token:
            self._context.told(token, f"session {session.id} will be authorized again: {why}")
