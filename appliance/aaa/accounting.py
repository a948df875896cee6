"""Accounting: an ACR becomes a record, and is answered when the record is stored (RFC 6733 section 9).

The server is stateless here: it takes records in any order, also of sessions that it does not know. A
repeated record is answered like the first one; that it is stored only once is the work of the store.
"""

import struct
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

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
from appliance.aaa.record_layouts import Fields, RecordLayouts
from appliance.aaa.records import (
    LONGEST_TEXT,
    MICROSECONDS,
    MOST,
    NO_SUB_SESSION,
    START,
    Record,
    column_text,
    counter,
    signed,
)
from appliance.aaa.settings import AaaServerSettings
from appliance.protocols.diameter.message.codec import ERROR, HEADER_SIZE, PROXIABLE, Group, Message, frame
from appliance.protocols.diameter.message.dictionary import standard
from appliance.protocols.diameter.message.types import EPOCH, BadValue
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
    SESSION_ID,
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
_SUCCESS = RESULT_CODE.encode(SUCCESS)


_TEXTS_OF = tuple(avp.key for avp in (SESSION_ID, ORIGIN_HOST, ORIGIN_REALM, USER_NAME, MULTI_SESSION))
_WORDS_OF = tuple(
    avp.key for avp in (RECORD_TYPE, RECORD_NUMBER, SESSION_TIME, TERMINATION_CAUSE, EVENT_TIMESTAMP)
)
_COUNTERS_OF = tuple(
    avp.key for avp in (INPUT_OCTETS, OUTPUT_OCTETS, INPUT_PACKETS, OUTPUT_PACKETS, SUB_SESSION)
)
_ECHOED = tuple(avp.key for avp in ECHOED)
FIELDS = Fields(_TEXTS_OF, _WORDS_OF, _COUNTERS_OF, _ECHOED, PROXY_INFO.key)
_word = struct.Struct("!I").unpack_from
_long = struct.Struct("!Q").unpack_from


def record_of(group: Group, body: bytes, received: int, end_to_end: int, application: int) -> Record:
    """The record of an ACR's AVPs; ``body`` are their octets, ``received`` is in microseconds since 1970.

    Raises BadValue and Malformed, both ValueErrors, for AVPs that cannot be read.
    """
    # This is done for each record: it reads where the index of the message points, and asks nobody.
    index = group.walk()
    try:
        texts, words, counters = _columns(index.get, group.data)
    except TypeError:
        # One of them is there twice: the first one counts.
        firsts = {key: place[0] if isinstance(place, list) else place for key, place in index.items()}
        texts, words, counters = _columns(firsts.get, group.data)
    session, host, realm, user, multi = texts
    type_, number, duration, cause, event = words
    octets_in, octets_out, packets_in, packets_out, sub = counters
    if number is None or type_ is None or not session:
        raise BadValue("an ACR has to have Session-Id, Accounting-Record-Type and Accounting-Record-Number")
    for each in counters:
        if each is not None and each > MOST:
            octets_in, octets_out, packets_in, packets_out, _ = map(counter, counters)
            break
    return Record(
        None,
        received,
        end_to_end,
        host,
        realm,
        session,
        NO_SUB_SESSION if sub is None else signed(sub),
        number,
        type_,
        user,
        None if event is None else event - EPOCH + (0 if event >> 31 else 1 << 32),
        duration,
        octets_in,
        octets_out,
        packets_in,
        packets_out,
        cause,
        multi,
        application,
        body,
    )


def _columns(get: Callable[[int], Any], data: bytes) -> tuple[list[str], list[int | None], list[int | None]]:
    """Texts, 32-bit and 64-bit numbers, in the order of the keys above. Raises BadValue, and TypeError."""
    texts: list[str] = []
    words: list[int | None] = []
    counters: list[int | None] = []
    try:
        for key in _TEXTS_OF:
            place = get(key)
            texts.append("" if place is None else _text(data, place))
        for key in _WORDS_OF:
            place = get(key)
            words.append(None if place is None else _word(data, place + 8)[0])
        for key in _COUNTERS_OF:
            place = get(key)
            counters.append(None if place is None else _long(data, place + 8)[0])
    except struct.error:
        raise BadValue("an AVP of the record has the wrong length") from None
    return texts, words, counters


def _text(data: bytes, place: int) -> str:
    size = _word(data, place + 4)[0] & 0xFFFFFF
    try:
        text = data[place + 8 : place + size].decode()
    except UnicodeDecodeError:
        # What the grammar calls text was checked; an old peer's identity may be anything.
        text = data[place + 8 : place + size].decode("utf-8", "replace")
    return text if len(text) <= LONGEST_TEXT else column_text(text)


def parse(raw: bytes, received: int, end_to_end: int, application: int) -> Record:
    """The record of AVPs that were spooled. Raises ValueError."""
    return record_of(Group(raw), raw, received, end_to_end, application)


class Waiting(NamedTuple):
    """What the answer to an ACR needs, while its record is on the way to the disk."""

    application: int
    flags: int
    hop_by_hop: int
    end_to_end: int
    echoed: Sequence[bytes]
    """Session-Id, and what else the answer says again."""
    policies: bytes
    """What the server wants of the client; only with success."""
    proxies: bytes


class Accounting:
    """The accounting part of a server."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._waiting: dict[int, Waiting] = {}
        self._layouts = RecordLayouts(FIELDS)
        self.configure(context.settings)

    def configure(self, settings: AaaServerSettings) -> None:
        """Go on by other settings."""
        self._realtime = REALTIME_REQUIRED.encode(REALTIME[settings.realtime])
        self._failure = _FAILURES[settings.storage_failure]

    def request(self, request: Request, now: Now) -> None:
        """Take an ACR. Raises Refused."""
        message = request.message
        self._check(request, message)
        received, end_to_end = int(now.wall * MICROSECONDS), message.end_to_end
        application, body = message.application, message.body
        plan = self._layouts.find(message)
        record = plan and plan.record(message.data, body, received, end_to_end, application)
        if plan is None or record is None:
            record = record_of(message, body, received, end_to_end, application)
            echoed = self._echoed(message)
        else:
            echoed = plan.echo(message.data, HEADER_SIZE)
        token = request.token
        self._waiting[token] = Waiting(
            application,
            message.flags & PROXIABLE,
            message.hop_by_hop,
            end_to_end,
            echoed,
            self._policies(record.user) if record.type == START else b"",
            b"" if plan is not None else echo(message, PROXY_INFO),
        )
        self._context.out.append(Keep(token, record))

    def _check(self, request: Request, message: Message) -> None:
        application = message.application
        if application not in APPLICATIONS and not (application == DRAFT_MOBILE_IP and request.compat):
            raise Refused(APPLICATION_UNSUPPORTED, f"no accounting for application {application}")
        if message.raw(SESSION_ID) == b"":
            raise Refused(INVALID_AVP_VALUE, "Session-Id is empty", SESSION_ID.encode(""))
        if application == MOBILE_IPV4 and not request.compat:
            for avp in MOBILE_IPV4_REQUIRED:
                if message.raw(avp) is None:
                    example = avp.wrap(b"\0" * avp.type.minimum)
                    raise Refused(MISSING_AVP, f"{avp.name} missing", example)

    def _echoed(self, message: Message) -> list[bytes]:
        index, data = message.walk(), message.data
        echoed: list[bytes] = []
        for key in _ECHOED:
            place: Any = index.get(key)
            if place is None:
                continue
            if place.__class__ is list:
                place = place[0]
            echoed.append(data[place : place + (_word(data, place + 4)[0] + 3 & 0xFFFFFC)])
        return echoed

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
        context, flags = self._context, waiting.flags
        if result == SUCCESS:
            said, policies = _SUCCESS, waiting.policies
        else:
            said, policies = RESULT_CODE.encode(result), ERROR_MESSAGE.encode(_TEXTS[result])
            flags |= ERROR if result // 1000 == 3 else 0
        session, *echoed = waiting.echoed
        body = b"".join((session, said, context.origin, *echoed, policies, context.state, waiting.proxies))
        context.statistics.answers[COMMANDS[ACR], result] += 1
        answer = frame(ACR, waiting.application, flags, waiting.hop_by_hop, waiting.end_to_end, body)
        context.out.append(Reply(token, answer))
