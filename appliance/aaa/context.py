"""What the parts of a Mobile AAA server share: who we are, whom we know, and how requests are answered."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from appliance.aaa.events import Effect, Notify, Reply, Request, Send, Told
from appliance.aaa.sessions import Session, Sessions
from appliance.aaa.settings import AaaServerSettings, User
from appliance.aaa.users import Users, fold_nai
from appliance.protocols.diameter.events import Answered, Submit
from appliance.protocols.diameter.message.codec import Group, Message, frame
from appliance.protocols.diameter.message.definitions import AvpDef
from appliance.protocols.diameter.message.dictionary import standard
from appliance.protocols.diameter.message.types import EPOCH
from appliance.protocols.timers import Now

_D = standard()
AUTH_APPLICATION_ID = _D["Auth-Application-Id"]
AUTH_REQUEST_TYPE = _D["Auth-Request-Type"]
DESTINATION_HOST = _D["Destination-Host"]
DESTINATION_REALM = _D["Destination-Realm"]
ERROR_MESSAGE = _D["Error-Message"]
EXPERIMENTAL_RESULT = _D["Experimental-Result"]
EXPERIMENTAL_RESULT_CODE = _D["Experimental-Result-Code"]
FAILED_AVP = _D["Failed-AVP"]
ORIGIN_HOST = _D["Origin-Host"]
ORIGIN_REALM = _D["Origin-Realm"]
ORIGIN_STATE_ID = _D["Origin-State-Id"]
PROXY_INFO = _D["Proxy-Info"]
RESULT_CODE = _D["Result-Code"]
SESSION_ID = _D["Session-Id"]
USER_NAME = _D["User-Name"]
VENDOR_ID = _D["Vendor-Id"]

# Result-Code (RFC 6733 section 7.1, RFC 4004 section 6, RFC 5778 section 7).
SUCCESS, RELOCATE_HA, MULTI_ROUND_AUTH = 2001, 2009, 1001
COMMAND_UNSUPPORTED, TOO_BUSY, APPLICATION_UNSUPPORTED = 3001, 3004, 3007
AUTHENTICATION_REJECTED, OUT_OF_SPACE = 4001, 4002
MIP_REPLY_FAILURE, HA_NOT_AVAILABLE = 4005, 4006
UNKNOWN_SESSION_ID, AUTHORIZATION_REJECTED, INVALID_AVP_VALUE, MISSING_AVP = 5002, 5003, 5004, 5005
RESOURCES_EXCEEDED, UNABLE_TO_COMPLY = 5006, 5012
NO_FOREIGN_HA_SERVICE, END_TO_END_MIP_KEY_ENCRYPTION, AUTH_MODE = 5024, 5025, 5041

#: 3GPP (TS 29.273): vendor, and its results.
VENDOR_3GPP = 10_415
USER_UNKNOWN, NO_NON_3GPP_SUBSCRIPTION, NO_APN_SUBSCRIPTION = 5001, 5450, 5451
LATE_OVERLAPPING_REQUEST = 5453

# Applications.
NASREQ, MOBILE_IPV4, ACCOUNTING, DRAFT_MOBILE_IP, EAP, MIP6I, MIP6A = 1, 2, 3, 4, 5, 7, 8
S6B = 16_777_272

# Commands.
RAR, AAR, AMR, HAR, DER, ACR, ASR, STR, MIR = 258, 265, 260, 262, 268, 271, 274, 275, 325
COMMANDS = {
    RAR: "RAR", AAR: "AAR", AMR: "AMR", HAR: "HAR", DER: "DER", ACR: "ACR", ASR: "ASR", STR: "STR",
    MIR: "MIR",
}  # fmt: skip

#: Auth-Request-Type.
AUTHENTICATE_ONLY, AUTHORIZE_ONLY, AUTHORIZE_AUTHENTICATE = 1, 2, 3


class Refused(Exception):
    """A request that is answered with an error."""

    def __init__(
        self, result: int, text: str, failed: bytes = b"", vendor: int = 0, more: bytes = b""
    ) -> None:
        """``failed``: members of a Failed-AVP; ``vendor``: the result is an Experimental-Result of it;
        ``more``: AVPs that go with it."""
        super().__init__(text)
        self.result = result
        self.text = text
        self.failed = failed
        self.vendor = vendor
        self.more = more


class Statistics:
    """What a server has done since it was started or cleared."""

    __slots__ = ("requests", "answers", "sent", "answered")

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        """Requests received, by command."""
        self.answers: Counter[tuple[str, int]] = Counter()
        """Answers given, by command and Result-Code."""
        self.sent: Counter[str] = Counter()
        """Requests of our own, by command."""
        self.answered: Counter[tuple[str, int]] = Counter()
        """Answers to them, by command and Result-Code; 0: there was none."""


class Context:
    """Shared by the parts of one server.

    ``random_bits(n)`` gives an n-bit random number that is good enough for keys.
    """

    def __init__(self, settings: AaaServerSettings, random_bits: Callable[[int], int]) -> None:
        self.settings = settings
        self.be("", "", 0)
        self.users = Users(settings)
        self.sessions = Sessions()
        self.statistics = Statistics()
        self.out: list[Effect] = []
        self._random_bits = random_bits
        self._pending: dict[int, tuple[str, Callable[[Answered, Now], None]]] = {}
        self._token = 0
        self._high = 0
        self._low = 0

    def be(self, identity: str, realm: str, state_id: int) -> None:
        """Speak as this Diameter node from now on; ``state_id`` is its Origin-State-Id, 0: it has none."""
        self.identity = identity
        self.realm = realm
        self.origin = ORIGIN_HOST.encode(identity) + ORIGIN_REALM.encode(realm)
        self.state = ORIGIN_STATE_ID.encode(state_id) if state_id else b""

    def random(self, octets: int) -> bytes:
        """Random octets, good enough for keys."""
        return self._random_bits(8 * octets).to_bytes(octets, "big")

    def spi(self) -> int:
        """A random SPI that is not one of the reserved ones (0 to 255)."""
        return 256 + self._random_bits(31)

    def session_id(self, now: Now) -> str:
        """A new Session-Id of ours (RFC 6733 section 8.8)."""
        if not self._high:
            self._high = int(now.wall) + EPOCH & 0xFFFFFFFF
        self._low += 1
        return f"{self.identity};{self._high};{self._low}"

    def tell(self, level: str, text: str) -> None:
        """Say something to the operator."""
        self.out.append(Notify(level, text))

    def told(self, token: int, text: str) -> None:
        """Say to whoever gave a command what has become of it; token 0: nobody waits."""
        if token:
            self.out.append(Told(token, text))
        else:
            self.tell("warning", text)

    # Answers.

    def reply(self, request: Request, result: int, *avps: bytes) -> None:
        """Answer a request; the E bit goes with the class of the result."""
        message = request.message
        answer = message.answer(result, self.identity, self.realm, *avps, self.state)
        self._answered(message, result)
        self.out.append(Reply(request.token, answer))

    def refuse(self, request: Request, why: Refused, *avps: bytes) -> None:
        """Answer a request with an error."""
        said = [why.more] if why.more else []
        if why.text:
            said.append(ERROR_MESSAGE.encode(why.text))
        if why.failed:
            said.append(FAILED_AVP.encode(why.failed))
        if not why.vendor:
            self.reply(request, why.result, *avps, *said)
            return
        message = request.message
        code = EXPERIMENTAL_RESULT_CODE.encode(why.result)
        result = EXPERIMENTAL_RESULT.encode(VENDOR_ID.encode(why.vendor) + code)
        body = b"".join(
            (
                *message.octets(SESSION_ID)[:1],
                result,
                self.origin,
                *avps,
                *said,
                self.state,
                *message.octets(PROXY_INFO),
            )
        )
        self._answered(message, why.result)
        self.out.append(Reply(request.token, answer_frame(message, body)))

    def _answered(self, message: Message, result: int) -> None:
        self.statistics.answers[COMMANDS.get(message.code, str(message.code)), result] += 1

    # Requests of our own.

    def send(self, command: int, submit: Submit, then: Callable[[Answered, Now], None]) -> None:
        """Send a request; ``then`` is called with its end."""
        self._token += 1
        name = COMMANDS[command]
        self.statistics.sent[name] += 1
        self._pending[self._token] = name, then
        self.out.append(Send(self._token, submit))

    def answered(self, token: int, answered: Answered, now: Now) -> None:
        """A request of ours has come to its end."""
        known = self._pending.pop(token, None)
        if known is not None:
            name, then = known
            self.statistics.answered[name, result_of(answered)] += 1
            then(answered, now)

    # Sessions and users.

    def end(self, session: Session, cause: int, now: Now) -> None:
        """End a session, with a Termination-Cause."""
        self.sessions.end(session, fold_nai(session.user), cause, now)

    def user(self, nai: str | None) -> User:
        """The user with this User-Name. Raises Refused: 5003 for one that is unknown or disabled."""
        if not nai:
            raise Refused(MISSING_AVP, "User-Name is missing", USER_NAME.encode(""))
        user = self.users.find(nai)
        if user is None:
            raise Refused(AUTHORIZATION_REJECTED, "user unknown")
        if not user.enabled:
            raise Refused(AUTHORIZATION_REJECTED, "user disabled")
        return user


def answer_frame(message: Message, body: bytes) -> bytes:
    """An answer to a request around its AVPs, without the E bit."""
    return frame(
        message.code,
        message.application,
        message.flags & 0x40,
        message.hop_by_hop,
        message.end_to_end,
        body,
    )


def result_of(answered: Answered) -> int:
    """Result-Code, or Experimental-Result-Code, of an answer to us; 0: there is none."""
    message = answered.message
    if message is None:
        return 0
    try:
        result: Any = message.first(RESULT_CODE)
        if result is None:
            group = message.first(EXPERIMENTAL_RESULT)
            result = group.first(EXPERIMENTAL_RESULT_CODE) if group is not None else None
    except ValueError:
        return 0
    return int(result or 0)


def echo(message: Group, avp: AvpDef) -> bytes:
    """All AVPs of that kind, to stand in an answer as they came in the request."""
    return b"".join(message.octets(avp))
