"""Accounting: an ACR becomes a record, and is answered when the record is stored (RFC 6733 section 9).

The server is stateless here: it takes records in any order, also of sessions that it does not know. A
repeated record is answered like the first one; that it is stored only once is the work of the store.
"""

from typing import NamedTuple

from appliance.aaa.context import (
    ACCOUNTING,
    ACR,
    APPLICATION_UNSUPPORTED,
    COMMANDS,
    DRAFT_MOBILE_IP,
    INVALID_AVP_VALUE,
    MIP6A,
    MIP6I,
    MISSING_AVP,
    MOBILE_IPV4,
    NASREQ,
    OUT_OF_SPACE,
    PROXY_INFO,
    SUCCESS,
    TOO_BUSY,
    UNABLE_TO_COMPLY,
    Context,
    Refused,
    echo,
)
from appliance.aaa.events import Keep, Reply, Request
from appliance.aaa.records import (
    MICROSECONDS,
    NO_SUB_SESSION,
    START,
    Record,
    column_text,
    counter,
    signed,
)
from appliance.aaa.settings import AaaServerSettings
from appliance.protocols.diameter.codec import ERROR, PROXIABLE, Group, Message, frame
from appliance.protocols.diameter.dictionary import standard
from appliance.protocols.diameter.types import BadValue
from appliance.protocols.timers import Now

_D = standard()
SESSION_ID = _D["Session-Id"]
ORIGIN_HOST = _D["Origin-Host"]
ORIGIN_REALM = _D["Origin-Realm"]
RECORD_TYPE = _D["Accounting-Record-Type"]
RECORD_NUMBER = _D["Accounting-Record-Number"]
SUB_SESSION = _D["Accounting-Sub-Session-Id"]
MULTI_SESSION = _D["Acct-Multi-Session-Id"]
ACCT_SESSION_ID = _D["Acct-Session-Id"]
ACCT_APPLICATION_ID = _D["Acct-Application-Id"]
USER_NAME = _D["User-Name"]
EVENT_TIMESTAMP = _D["Event-Timestamp"]
SESSION_TIME = _D["Acct-Session-Time"]
INPUT_OCTETS = _D["Accounting-Input-Octets"]
OUTPUT_OCTETS = _D["Accounting-Output-Octets"]
INPUT_PACKETS = _D["Accounting-Input-Packets"]
OUTPUT_PACKETS = _D["Accounting-Output-Packets"]
TERMINATION_CAUSE = _D["Termination-Cause"]
INTERIM_INTERVAL = _D["Acct-Interim-Interval"]
REALTIME_REQUIRED = _D["Accounting-Realtime-Required"]
RESULT_CODE = _D["Result-Code"]
ERROR_MESSAGE = _D["Error-Message"]

#: Applications whose ACRs are taken.
APPLICATIONS = frozenset({NASREQ, MOBILE_IPV4, ACCOUNTING, MIP6I, MIP6A})
#: What an ACR of Mobile IPv4 has to have (RFC 4004 section 11.2).
MOBILE_IPV4_REQUIRED = tuple(
    _D[name]
    for name in (
        "Accounting-Input-Octets",
        "Accounting-Input-Packets",
        "Accounting-Output-Octets",
        "Accounting-Output-Packets",
        "Acct-Multi-Session-Id",
        "Acct-Session-Time",
        "MIP-Feature-Vector",
        "MIP-Home-Agent-Address",
        "MIP-Mobile-Node-Address",
    )
)
#: What the answer says again (RFC 6733 section 9.7.2).
ECHOED = (
    RECORD_TYPE,
    RECORD_NUMBER,
    ACCT_APPLICATION_ID,
    _D["Vendor-Specific-Application-Id"],
    USER_NAME,
    SUB_SESSION,
    ACCT_SESSION_ID,
    MULTI_SESSION,
)
REALTIME = {"deliver-and-grant": 1, "grant-and-store": 2, "grant-and-lose": 3}
_FAILURES = {"out-of-space": OUT_OF_SPACE, "too-busy": TOO_BUSY, "spool": OUT_OF_SPACE}
_TEXTS = {
    OUT_OF_SPACE: "the record could not be stored",
    TOO_BUSY: "too many records wait to be stored",
    UNABLE_TO_COMPLY: "the database refuses the record",
}
_from = int.from_bytes


def _number(group: Group, avp: object) -> int | None:
    data = group.raw(avp)  # type: ignore[arg-type]
    return None if data is None else counter(_from(data, "big"))


def record_of(group: Group, body: bytes, received: int, end_to_end: int, application: int) -> Record:
    """The record of an ACR's AVPs; ``body`` are their octets, ``received`` is in microseconds since 1970.

    Raises BadValue and Malformed, both ValueErrors, for AVPs that cannot be read.
    """
    raw = group.raw
    sub = raw(SUB_SESSION)
    number, type_ = raw(RECORD_NUMBER), raw(RECORD_TYPE)
    if number is None or type_ is None:
        raise BadValue("an ACR has to have Accounting-Record-Type and Accounting-Record-Number")
    event = raw(EVENT_TIMESTAMP)
    return Record(
        None,
        received,
        end_to_end,
        _text(raw(ORIGIN_HOST)),
        _text(raw(ORIGIN_REALM)),
        _text(raw(SESSION_ID)),
        NO_SUB_SESSION if sub is None else signed(_from(sub, "big")),
        _from(number, "big"),
        _from(type_, "big"),
        _text(raw(USER_NAME)),
        None if event is None else EVENT_TIMESTAMP.type.decode(event),
        _number(group, SESSION_TIME),
        _number(group, INPUT_OCTETS),
        _number(group, OUTPUT_OCTETS),
        _number(group, INPUT_PACKETS),
        _number(group, OUTPUT_PACKETS),
        _number(group, TERMINATION_CAUSE),
        _text(raw(MULTI_SESSION)),
        application,
        body,
    )


def parse(raw: bytes, received: int, end_to_end: int, application: int) -> Record:
    """The record of AVPs that were spooled. Raises ValueError."""
    return record_of(Group(raw), raw, received, end_to_end, application)


def _text(data: bytes | None) -> str:
    if data is None:
        return ""
    # What the grammar calls text was checked; an old peer's identity may be anything.
    return column_text(data.decode("utf-8", "replace"))


class Waiting(NamedTuple):
    """What the answer to an ACR needs, while its record is on the way to the disk."""

    header: tuple[int, int, int, int]
    """Application, flags, Hop-by-Hop and End-to-End Id."""
    front: bytes
    """Session-Id."""
    echoed: bytes
    policies: bytes
    """What the server wants of the client; only with success."""
    proxies: bytes


class Accounting:
    """The accounting part of a server."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._waiting: dict[int, Waiting] = {}
        self.configure(context.settings)
        self._success = RESULT_CODE.encode(SUCCESS) + context.origin

    def configure(self, settings: AaaServerSettings) -> None:
        """Go on by other settings."""
        self._realtime = REALTIME_REQUIRED.encode(REALTIME[settings.realtime])
        self._failure = _FAILURES[settings.storage_failure]

    def request(self, request: Request, now: Now) -> None:
        """Take an ACR. Raises Refused."""
        message = request.message
        self._check(request, message)
        record = record_of(
            message, message.body, int(now.wall * MICROSECONDS), message.end_to_end, message.application
        )
        self._waiting[request.token] = self._prepare(message, record)
        self._context.out.append(Keep(request.token, record))

    def _check(self, request: Request, message: Message) -> None:
        application = message.application
        if application not in APPLICATIONS and not (application == DRAFT_MOBILE_IP and request.compat):
            raise Refused(APPLICATION_UNSUPPORTED, f"no accounting for application {application}")
        if request.compat:
            return
        said = message.raw(ACCT_APPLICATION_ID)
        if said is not None and _from(said, "big") != application:
            raise Refused(
                INVALID_AVP_VALUE,
                f"Acct-Application-Id {_from(said, 'big')} in a message of application {application}",
                echo(message.having(ACCT_APPLICATION_ID)),
            )
        if application == MOBILE_IPV4:
            for avp in MOBILE_IPV4_REQUIRED:
                if message.raw(avp) is None:
                    example = avp.wrap(b"\0" * avp.type.minimum)
                    raise Refused(MISSING_AVP, f"{avp.name} missing", example)

    def _prepare(self, message: Message, record: Record) -> Waiting:
        having = message.having
        echoed = b"".join([each.octets for avp in ECHOED for each in having(avp)])
        policies = self._policies(record.user) if record.type == START else b""
        return Waiting(
            (message.application, message.flags & PROXIABLE, message.hop_by_hop, message.end_to_end),
            echo(having(SESSION_ID)[:1]),
            echoed,
            policies,
            echo(having(PROXY_INFO)),
        )

    def _policies(self, nai: str) -> bytes:
        user = self._context.users.find(nai)
        interval = 0 if user is None else user.interim_interval
        return (INTERIM_INTERVAL.encode(interval) if interval else b"") + self._realtime

    def stored(self, tokens: list[int], outcome: str) -> None:
        """Answer the ACRs whose records are stored, or cannot be."""
        result = {"stored": SUCCESS, "refused": UNABLE_TO_COMPLY}.get(outcome, self._failure)
        for token in tokens:
            self._answer(token, result)

    def full(self, token: int) -> None:
        """There is no room to store the record of an ACR."""
        self._answer(token, TOO_BUSY)

    def _answer(self, token: int, result: int) -> None:
        waiting = self._waiting.pop(token, None)
        if waiting is None:
            return
        context = self._context
        application, flags, hop_by_hop, end_to_end = waiting.header
        if result == SUCCESS:
            said, policies = self._success, waiting.policies
        else:
            said, policies = RESULT_CODE.encode(result) + context.origin, ERROR_MESSAGE.encode(_TEXTS[result])
            flags |= ERROR if result // 1000 == 3 else 0
        body = b"".join(
            (waiting.front, said, waiting.echoed, policies, context.state, waiting.proxies),
        )
        context.statistics.answers[COMMANDS[ACR], result] += 1
        answer = frame(ACR, application, flags, hop_by_hop, end_to_end, body)
        context.out.append(Reply(token, answer))
