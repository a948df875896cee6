"""A Mobile AAA server core with a fake clock, and requests to give to it."""

from typing import Any

from attrs import evolve

from appliance.aaa.events import (
    Answer,
    Keep,
    LoadedUsers,
    Notify,
    Origin,
    Reply,
    Request,
    Send,
    Stored,
)
from appliance.aaa.server import MobileAaaServer
from appliance.aaa.settings import AaaServerSettings, HomeAgent, Realm, User
from appliance.protocols.diameter.events import Answered
from appliance.protocols.diameter.message.codec import Message, frame
from appliance.protocols.diameter.message.dictionary import standard
from appliance.protocols.diameter.message.faults import check
from appliance.protocols.timers import Now

D = standard()
IDENTITY, REALM = "aaa1.home.example", "home.example"
STATE_ID = 1_795_417_000
KEY = b"mn1-aaa-secret-0"
PREFIX = (bytes.fromhex("20010db8000100020000000000000000"), 64)
HA_ADDRESS = bytes((198, 51, 100, 1))
HOME_ADDRESS = bytes((198, 51, 100, 77))
LMA_ADDRESS = bytes.fromhex("20010db8000100000000000000000001")

MN1 = User(
    nai="mn1@home.example",
    key=KEY,
    prefixes=(PREFIX,),
    services=("internet",),
    interim_interval=300,
)
HOME_AGENTS = (
    HomeAgent(host="ha1.home.example", realm="home.example", address=HA_ADDRESS),
    HomeAgent(host="ha2.home.example", realm="home.example", address=bytes((198, 51, 100, 2))),
)


def settings(*users: User, **more: Any) -> AaaServerSettings:
    """Settings of a server of ``home.example``."""
    return AaaServerSettings(
        name="aaa",
        endpoint="diameter",
        realms=(Realm(name="home.example"),),
        users=users or (MN1,),
        **more,
    )


class World:
    """One server, its clock, and what came out of it."""

    def __init__(self, *users: User, **more: Any) -> None:
        self.mono, self.wall = 1_000.0, 1_795_417_200.0
        self._chance = 0
        self._token = 0
        self.server = MobileAaaServer(settings(*users, **more), self._bits)
        self.effects: list[Any] = []
        self.feed(Origin(IDENTITY, REALM, STATE_ID))

    def _bits(self, count: int) -> int:
        """Chance that can be foreseen: 1, 2, 3 and so on."""
        self._chance += 1
        return self._chance % (1 << count)

    @property
    def now(self) -> Now:
        return Now(self.mono, self.wall)

    def pass_time(self, seconds: float) -> None:
        """Let time pass, and tick when it is due."""
        self.mono += seconds
        self.wall += seconds
        for _ in range(100):
            deadline = self.server.deadline
            if deadline is None or deadline > self.mono:
                return
            self.server.tick(self.now)
            self.effects.extend(self.server.take())

    def feed(self, event: Any) -> list[Any]:
        """Give an event, and return what comes of it."""
        self.server.receive(event, self.now)
        found = self.server.take()
        self.effects.extend(found)
        return found

    def give(self, message: Message, **how: Any) -> list[Any]:
        """Give a request."""
        self._token += 1
        return self.feed(Request(self._token, message, "peer.home.example", **how))

    def ask(self, message: Message, **how: Any) -> Message:
        """Give a request that has to be answered at once, and return its answer."""
        return self.answer_in(self.give(message, **how))

    def answer_in(self, effects: list[Any]) -> Message:
        """The one answer among effects, which has to be good."""
        (reply,) = [each for each in effects if isinstance(each, Reply)]
        answer = Message(reply.answer)
        fault = check(answer, D)
        assert fault is None, fault
        return answer

    def account(self, message: Message, outcome: str = "stored", **how: Any) -> Message:
        """Give an ACR, let the store have its record, and return the answer."""
        effects = self.give(message, **how)
        (keep,) = [each for each in effects if isinstance(each, Keep)]
        return self.answer_in(self.feed(Stored([keep.token], outcome)))

    def sent(self, effects: list[Any]) -> Send:
        """The one request of the server's own, which has to be good."""
        (send,) = [each for each in effects if isinstance(each, Send)]
        submit = send.submit
        fault = check(Message(frame(submit.code, submit.application, 0xC0, 7, 8, submit.avps)), D)
        assert fault is None, fault
        return send

    def answered(self, send: Send, *avps: bytes, reason: str = "") -> list[Any]:
        """Answer a request of the server's own."""
        submit = send.submit
        request = Message(frame(submit.code, submit.application, 0xC0, 7, 8, submit.avps))
        message = None
        if not reason:
            body = request.octets(D["Session-Id"])[0] + b"".join(avps)
            message = Message(frame(submit.code, submit.application, 0x40, 7, 8, body))
            fault = check(message, D)
            assert fault is None, fault
        return self.feed(Answer(send.token, Answered(message, reason)))

    def load(self, *users: User) -> None:
        """Users of a file."""
        self.feed(LoadedUsers("home.example", {user.nai: user for user in users}))

    def said(self) -> list[str]:
        """What the operator was told."""
        return [each.text for each in self.effects if isinstance(each, Notify)]


def with_user(**fields: Any) -> User:
    """The usual user with other fields."""
    return evolve(MN1, **fields)


def request(code: int, application: int, *avps: bytes, flags: int = 0xC0, number: int = 1) -> Message:
    """A request, checked against the grammar like a node does."""
    message = Message(frame(code, application, flags, number, number, b"".join(avps)))
    fault = check(message, D)
    assert fault is None, fault
    return message


def avp(name: str, value: Any) -> bytes:
    """An AVP by its name; groups are given the octets of their members."""
    return D[name].encode(value)


def changed(message: Message, *more: bytes, without: tuple[str, ...] = ()) -> Message:
    """A request with AVPs taken out and others added behind."""
    keys = {D[name].code for name in without}
    kept = b"".join(each.octets for each in message.avps if each.code not in keys)
    body = kept + b"".join(more)
    return Message(
        frame(message.code, message.application, message.flags, message.hop_by_hop, message.end_to_end, body)
    )


def result(message: Message) -> int:
    """Result-Code, or Experimental-Result-Code with a minus sign."""
    code = message.first(D["Result-Code"])
    if code is None:
        return -message.first(D["Experimental-Result"]).first(D["Experimental-Result-Code"])
    return code
