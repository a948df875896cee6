"""An authorization client with a hand-set clock; the test is the mobility core, the node and the server."""

from ipaddress import ip_address
from typing import Any

from appliance.protocols.diameter.client.auth_events import Ask, Got, Reconfigure, Reply, Requested, Usable
from appliance.protocols.diameter.client.auth_requests import Origin
from appliance.protocols.diameter.client.auth_sessions import SessionIds
from appliance.protocols.diameter.client.authorization import AuthorizationClient
from appliance.protocols.diameter.events import NO_PEER, Answered
from appliance.protocols.diameter.message.codec import PROXIABLE, REQUEST, Message, frame
from appliance.protocols.diameter.message.dictionary import current, standard
from appliance.protocols.diameter.message.faults import check
from appliance.protocols.diameter.settings import GroupSettings, Server, ServerGroup
from appliance.protocols.mobility.aaa import (
    Abandon,
    Account,
    Authorize,
    Authorized,
    MobileProof,
    Reauthorize,
    SessionEnds,
    Subject,
)
from appliance.protocols.timers import Now

D = standard()
HOST, REALM = "lma1.home.example", "home.example"
SERVER = "aaa1.home.example"
NAI = b"mn1@home.example"
WALL = 3973075200 - 2_208_988_800
ORIGIN = Origin(HOST, REALM, 1795417122)
LMA = ip_address("2001:db8:1::1").packed
PREFIX = ip_address("2001:db8:1:2::").packed, 64


def avp(name: str, value: Any) -> bytes:
    """One AVP by its name; a list makes a Grouped one."""
    return D[name].encode(b"".join(value) if isinstance(value, list) else value)


def lifetime(seconds: int, grace: int = 0) -> bytes:
    """AVPs of an authorization for some time."""
    return (
        avp("Authorization-Lifetime", seconds)
        + avp("Auth-Grace-Period", grace)
        + avp("Re-Auth-Request-Type", 0)
    )


def group(**changes: Any) -> GroupSettings:
    """A group that authenticates; ``servers`` are names in order of priority."""
    servers = tuple(Server(host=name, priority=n) for n, name in enumerate(changes.pop("servers", ()), 1))
    side = {"endpoint": "e", "servers": servers}
    for name in ("realm", "application", "request_timeout", "max_retries"):
        if name in changes:
            side[name] = changes.pop(name)
    return GroupSettings(name="g", authentication=ServerGroup(**side), **changes)


def subject(call_id: int = 1, **changes: Any) -> Subject:
    """A mobile node's session."""
    fields: dict[str, Any] = {
        "call_id": call_id,
        "mn_id": NAI,
        "local": LMA,
        "link_layer": bytes.fromhex("002332c97938"),
        "technology": 4,
        "service": b"internet",
        "prefixes": (PREFIX,),
        "ipv4_address": bytes((10, 20, 30, 40)),
    }
    return Subject(**{**fields, **changes})


class Client:
    """A client, its clock, and what it said last."""

    def __init__(
        self, settings: GroupSettings | None = None, origin: Origin = ORIGIN, first: int = 0
    ) -> None:
        ids = SessionIds(WALL)
        for _ in range(first):
            ids.make(HOST)
        self.core = AuthorizationClient(settings or group(), origin, ids)
        self.mono = 1000.0
        self.effects: list[Any] = []
        self.token = 0

    @property
    def now(self) -> Now:
        """Both clocks."""
        return Now(self.mono, WALL + self.mono)

    def feed(self, event: Any) -> list[Any]:
        """Give the core an event; returns the effects. Every request has to be good by the dictionary."""
        self.core.receive(event, self.now)
        return self._take()

    def _take(self) -> list[Any]:
        self.effects = self.core.take()
        for ask in self.of(Ask):
            fault = check(message_of(ask), current())
            assert fault is None, fault
        for reply in self.of(Reply):
            assert check(Message(reply.answer), current()) is None
        return self.effects

    def pass_time(self, seconds: float) -> list[Any]:
        """Let time go by; returns the effects of what was due."""
        self.mono += seconds
        found: list[Any] = []
        for _ in range(1000):
            deadline = self.core.deadline
            if deadline is None or deadline > self.mono:
                break
            self.core.tick(self.now)
            found += self._take()
        self.effects = found
        return found

    def of(self, kind: type) -> list[Any]:
        """The last effects of one class."""
        return [effect for effect in self.effects if isinstance(effect, kind)]

    # The mobility core.

    def authorize(self, call_id: int = 1, proof: MobileProof | None = None, **what: Any) -> list[Ask]:
        """Ask about a session; returns what is sent."""
        self.token += 1
        patience = what.pop("patience", 60.0)
        flags = {name: what.pop(name) for name in ("ipv6", "ipv4") if name in what}
        question = Authorize(
            token=self.token, subject=subject(call_id, **what), proof=proof, patience=patience, **flags
        )
        self.feed(question)
        return self.asks()

    def asks(self) -> list[Ask]:
        """The requests among the last effects."""
        return self.of(Ask)

    def stop(self, call_id: int = 1, cause: int = 1) -> list[Ask]:
        """The session has ended; returns what is sent."""
        self.feed(Account(what="stop", subject=subject(call_id), cause=cause))
        return self.asks()

    def abandon(self, call_id: int = 0, token: int = 0) -> list[Ask]:
        """A question is dropped; returns what is sent."""
        self.feed(Abandon(token or self.token, call_id))
        return self.asks()

    def verdicts(self) -> list[tuple[int, str]]:
        """The answers to questions among the last effects."""
        return [(each.token, each.verdict) for each in self.of(Authorized)]

    def grant(self) -> Any:
        """What the one answer among the last effects grants."""
        (answer,) = self.of(Authorized)
        return answer.grant

    def ends(self) -> list[tuple[int, int]]:
        """Sessions that are to end: call id and cause."""
        return [(each.call_id, each.cause) for each in self.of(SessionEnds)]

    def again(self) -> list[int]:
        """Sessions that are to be asked about again."""
        return [each.call_id for each in self.of(Reauthorize)]

    # The node and the server.

    def answer(self, ask: Ask, result: int = 2001, *avps: bytes, host: str = SERVER, **how: Any) -> list[Any]:
        """The server answers; returns the effects."""
        request = message_of(ask)
        more = [*avps]
        if request.code in (265, 325):
            more += [
                avp("Auth-Application-Id", request.application),
                avp("Auth-Request-Type", request.first(D["Auth-Request-Type"])),
            ]
        octets = request.answer(result, host, how.get("realm", REALM), *more, error=how.get("error"))
        return self.feed(Got(ask.number, Answered(Message(octets), "", "peer", 5)))

    def answer_3gpp(self, ask: Ask, code: int, *avps: bytes) -> list[Any]:
        """The server answers with an Experimental-Result of 3GPP instead of a Result-Code."""
        request = message_of(ask)
        body = b"".join(
            (
                avp("Session-Id", request.first(D["Session-Id"])),
                avp("Experimental-Result", [avp("Vendor-Id", 10415), avp("Experimental-Result-Code", code)]),
                avp("Origin-Host", SERVER),
                avp("Origin-Realm", REALM),
                *avps,
            )
        )
        octets = frame(request.code, request.application, PROXIABLE, 1, 1, body)
        return self.feed(Got(ask.number, Answered(Message(octets))))

    def silence(self, ask: Ask, reason: str = NO_PEER) -> list[Any]:
        """There is no answer; returns the effects."""
        return self.feed(Got(ask.number, Answered(None, reason, "", 77)))

    def opened(self, *avps: bytes, call_id: int = 1, **what: Any) -> Ask:
        """Have a session authorized; returns its request."""
        (ask,) = self.authorize(call_id, **what)
        self.answer(ask, 2001, *avps)
        assert self.verdicts() == [(self.token, "accept")], self.effects
        return ask

    def demand(self, code: int, session_id: str, realm: str = REALM, key: int = 9) -> int:
        """The server sends ASR (274) or RAR (258); returns the Result-Code of the answer."""
        body = [
            avp("Session-Id", session_id),
            avp("Origin-Host", SERVER),
            avp("Origin-Realm", realm),
            avp("Destination-Realm", REALM),
            avp("Destination-Host", HOST),
            avp("Auth-Application-Id", 1),
            *([avp("Re-Auth-Request-Type", 0)] if code == 258 else []),
        ]
        octets = frame(code, 1, REQUEST | PROXIABLE, 1, 1, b"".join(body))
        message = Message(octets)
        assert check(message, current()) is None
        self.feed(Requested(key, message))
        (reply,) = self.of(Reply)
        assert reply.key == key
        result: int = Message(reply.answer).first(D["Result-Code"])
        return result

    def usable(self) -> list[Ask]:
        """A peer comes; returns what is sent."""
        self.feed(Usable())
        return self.asks()

    def reconfigure(self, settings: GroupSettings | None, origin: Origin = ORIGIN) -> list[Any]:
        """Go on by other settings."""
        return self.feed(Reconfigure(settings, origin))


def message_of(ask: Ask) -> Message:
    """The request as the node would send it."""
    submit = ask.submit
    flags = REQUEST | PROXIABLE
    return Message(frame(submit.code, submit.application, flags, 1, submit.end_to_end or 1, submit.avps))


def value(ask: Ask, name: str) -> Any:
    """Value of an AVP of a request."""
    return message_of(ask).first(D[name])
