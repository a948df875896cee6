"""Mobile IPv4: registrations through foreign agents, home agents, keys, and what is refused (RFC 4004)."""

import hashlib
import hmac
import struct
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from appliance.aaa import rrq
from appliance.aaa.events import Answer
from appliance.protocols.diameter.events import INSECURE, NO_PEER, Answered
from appliance.protocols.diameter.message.codec import Message, frame
from appliance.protocols.diameter.message.types import BadValue
from test.aaa.fakes import (
    HA_ADDRESS,
    HOME_ADDRESS,
    HOME_AGENTS,
    KEY,
    D,
    World,
    avp,
    changed,
    request,
    result,
    with_user,
)
from test.aaa.vectors import message

NAI = "mn1@home.example"
UNSET, ONES = bytes(4), b"\xff" * 4
REPLY = b"\3\0\7\x08" + HOME_ADDRESS + HA_ADDRESS + bytes(8)
HOME_ADDRESS_REQUESTED, ONLY_HOME, WANTED, FOREIGN, MN_HA, MN_FA, FA_HA, IN_FOREIGN, CO_LOCATED = (
    1 << bit for bit in range(9)
)


def rrq_of(
    home: bytes = UNSET,
    agent: bytes = UNSET,
    lifetime: int = 1_800,
    nai: str | None = NAI,
    spi: int = 0x1001,
    key: bytes = KEY,
    challenge: bytes | None = None,
    more: bytes = b"",
) -> tuple[bytes, int, int]:
    """A Registration Request; also the octets that are covered, and the length of the authenticator."""
    data = struct.pack("!BBH4s4s4s8s", 1, 0x22, lifetime, home, agent, bytes((203, 0, 113, 7)), b"\1" * 8)
    if challenge is not None:
        data += bytes((132, len(challenge))) + challenge
    if nai is not None:
        data += bytes((131, len(nai))) + nai.encode()
    data += more + struct.pack("!BBHI", 36, 1, 4 + 16, spi)
    if spi == 2:
        used = b"\0" if challenge is None else challenge
        inner = hashlib.md5(data).digest()
        code = hashlib.md5(used[:1] + key + inner + used[-237:]).digest()
    else:
        code = hmac.new(key, data, hashlib.md5).digest()
    return data + code, len(data), len(code)


def amr(features: int = 0, session: str = "fa1;1;1", *more: bytes, user: str = NAI, **how: Any) -> Message:
    """What a foreign agent sends."""
    data, covered, size = rrq_of(**how)
    proof = avp("MIP-MN-AAA-SPI", how.get("spi", 0x1001)) + avp("MIP-Auth-Input-Data-Length", covered)
    proof += avp("MIP-Authenticator-Length", size) + avp("MIP-Authenticator-Offset", covered)
    return request(
        260,
        2,
        avp("Session-Id", session),
        avp("Auth-Application-Id", 2),
        avp("User-Name", user),
        avp("Destination-Realm", "home.example"),
        avp("Origin-Host", f"{session.partition(';')[0]}.visited.example"),
        avp("Origin-Realm", "visited.example"),
        avp("MIP-Reg-Request", data),
        avp("MIP-MN-AAA-Auth", proof),
        avp("MIP-Feature-Vector", features),
        *more,
    )


def haa(*more: bytes, code: int = 2001, host: str = "ha1.home.example") -> tuple[bytes, ...]:
    """What a home agent answers, behind the Session-Id."""
    return (
        avp("Auth-Application-Id", 2),
        avp("Result-Code", code),
        avp("Origin-Host", host),
        avp("Origin-Realm", "home.example"),
        *more,
    )


GOOD = haa(
    avp("Acct-Multi-Session-Id", "ha1;m"),
    avp("MIP-Reg-Reply", REPLY),
    avp("MIP-Home-Agent-Address", HA_ADDRESS),
    avp("MIP-Mobile-Node-Address", HOME_ADDRESS),
)


class Mip4Case(SynchronousTestCase):
    """A server with two home agents."""

    def setUp(self) -> None:
        self.world = World(with_user(services=()), home_agents=HOME_AGENTS)

    def refused(self, code: int, text: str, asked: Message, world: World | None = None, **how: Any) -> None:
        """A request that gets this answer, and leaves no session."""
        world = world or self.world
        before = len(world.server.sessions)
        answer = world.ask(asked, **how)
        self.assertEqual(result(answer), code)
        self.assertRegex(answer.first(D["Error-Message"]), text)
        self.assertEqual(answer.first(D["Auth-Application-Id"]), 2)
        self.assertEqual(len(world.server.sessions), before)


class ForeignAgentTests(Mip4Case):
    """AMR, HAR, HAA, AMA."""

    def test_registration(self) -> None:
        """The request goes to the home agent in another session, its reply comes back."""
        world = self.world
        asked = amr(MN_HA)
        send = world.sent(world.give(asked, secure=True))
        submit = send.submit
        self.assertEqual((submit.code, submit.application), (262, 2))
        self.assertEqual(
            (submit.realm, submit.host, submit.secure), ("home.example", "ha1.home.example", True)
        )
        har = request(262, 2, submit.avps)
        self.assertRegex(har.first(D["Session-Id"]), r"^aaa1\.home\.example;\d+;1$")
        self.assertEqual(har.first(D["MIP-Reg-Request"]), asked.first(D["MIP-Reg-Request"]))
        self.assertEqual(har.first(D["Authorization-Lifetime"]), 1_800)
        self.assertEqual(har.first(D["User-Name"]), NAI)
        self.assertEqual(har.first(D["MIP-Home-Agent-Address"]), HA_ADDRESS)
        self.assertIsNone(har.first(D["MIP-Mobile-Node-Address"]), "the home agent assigns it")
        self.assertEqual(har.first(D["MIP-MSA-Lifetime"]), 3_600)
        answer = world.answer_in(world.answered(send, *GOOD))
        self.assertEqual(result(answer), 2001)
        self.assertEqual(answer.first(D["MIP-Reg-Reply"]), REPLY)
        self.assertEqual(answer.first(D["MIP-Mobile-Node-Address"]), HOME_ADDRESS)
        self.assertEqual(answer.first(D["MIP-Home-Agent-Address"]), HA_ADDRESS)
        self.assertEqual(answer.first(D["Acct-Multi-Session-Id"]), "ha1;m")
        self.assertIsNone(answer.first(D["MIP-HA-to-MN-MSA"]), "that was the home agent's")
        (session,) = list(world.server.find())
        self.assertEqual((session.multi, session.ipv4_address), ("ha1;m", HOME_ADDRESS))
        assert session.foreign is not None and session.home is not None
        self.assertEqual(session.foreign.session, "fa1;1;1")
        self.assertEqual(session.home.host, "ha1.home.example")

    def test_keys(self) -> None:
        """RFC 3957: the mobile node makes the agents' keys of its nonces; all SPIs where they belong."""
        requests = b"".join(struct.pack("!BBHI", kind, 1, 4, spi) for kind, spi in ((40, 0x501), (42, 0x502)))
        asked = amr(MN_HA | MN_FA | FA_HA, "fa1;1;1", avp("MIP-HA-to-FA-SPI", 0x503), more=requests)
        world = self.world
        send = world.sent(world.give(asked, secure=True))
        har = request(262, 2, send.submit.avps)
        spis = (avp("MIP-FA-to-HA-SPI", 0x504), avp("MIP-FA-to-MN-SPI", 0x505))
        ama = world.answer_in(world.answered(send, *GOOD, *spis))

        def key(nonce: bytes) -> bytes:
            return hmac.new(KEY, nonce + NAI.encode(), hashlib.sha1).digest()

        home = har.first(D["MIP-HA-to-MN-MSA"])
        self.assertEqual(home.first(D["MIP-MN-HA-SPI"]), 0x502)
        nonce = har.first(D["MIP-MN-to-HA-MSA"]).first(D["MIP-Nonce"])
        self.assertEqual(home.first(D["MIP-Session-Key"]), key(nonce))
        foreign = ama.first(D["MIP-FA-to-MN-MSA"])
        nonce = har.first(D["MIP-MN-to-FA-MSA"]).first(D["MIP-Nonce"])
        self.assertEqual(foreign.first(D["MIP-Session-Key"]), key(nonce))
        self.assertEqual(foreign.first(D["MIP-FA-to-MN-SPI"]), 0x505)
        one, other = har.first(D["MIP-HA-to-FA-MSA"]), ama.first(D["MIP-FA-to-HA-MSA"])
        self.assertEqual(one.first(D["MIP-Session-Key"]), other.first(D["MIP-Session-Key"]))
        self.assertEqual(one.first(D["MIP-HA-to-FA-SPI"]), 0x503)
        self.assertEqual(other.first(D["MIP-FA-to-HA-SPI"]), 0x504)
        self.assertEqual(len(one.first(D["MIP-Session-Key"])), 16)
        self.assertEqual(ama.first(D["MIP-MSA-Lifetime"]), 3_600)

    def test_keys_only_over_secure_connections(self) -> None:
        """5025: for a foreign agent, a co-located one, and when no secure peer leads to the home agent."""
        for features in (MN_FA, FA_HA, MN_HA | CO_LOCATED):
            asked = amr(features, "fa1;1;1", avp("MIP-Home-Agent-Address", HA_ADDRESS), home=HOME_ADDRESS)
            self.refused(5025, "TLS", asked)
        send = self.world.sent(self.world.give(amr(MN_HA)))
        answer = self.world.answer_in(self.world.answered(send, reason=INSECURE))
        self.assertEqual(result(answer), 5025)

    def test_without_keys(self) -> None:
        """Nothing secret is in it: clear text will do."""
        world = self.world
        send = world.sent(world.give(amr()))
        self.assertFalse(send.submit.secure)
        answer = world.answer_in(world.answered(send, *GOOD))
        self.assertEqual(result(answer), 2001)
        self.assertIsNone(answer.first(D["MIP-MSA-Lifetime"]))

    def test_handoff(self) -> None:
        """Another foreign agent: the same HAR session; the old agent's STR leaves the rest alone."""
        world = self.world
        first = world.sent(world.give(amr()))
        world.answered(first, *GOOD)
        world.pass_time(10)
        second = world.sent(world.give(amr(0, "fa2;7;7", home=HOME_ADDRESS)))
        ids = [request(262, 2, each.submit.avps).first(D["Session-Id"]) for each in (first, second)]
        self.assertEqual(ids[0], ids[1])
        world.answered(second, *GOOD)
        (session,) = list(world.server.find())
        self.assertEqual(session.handoff_at, world.wall)
        self.assertEqual(
            result(world.ask(self.terminate("fa1;1;1"))), 5002, "it is not that agent's any more"
        )
        self.assertEqual(result(world.ask(self.terminate("fa2;7;7"))), 5002, "another agent's")
        host = session.foreign.host
        self.assertEqual(result(world.ask(self.terminate("fa2;7;7", host=host))), 2001)
        self.assertEqual(len(world.server.sessions), 1)
        self.assertIsNone(session.foreign)
        self.assertEqual(result(world.ask(self.terminate(ids[0], application=0))), 5002)
        host = session.home.host
        self.assertEqual(result(world.ask(self.terminate(ids[0], 0, host))), 2001)
        self.assertEqual(len(world.server.sessions), 0)

    def terminate(self, session: str, application: int = 2, host: str = "fa.visited.example") -> Message:
        return request(
            275,
            application,
            avp("Session-Id", session),
            avp("Origin-Host", host),
            avp("Origin-Realm", "visited.example"),
            avp("Destination-Realm", "home.example"),
            avp("Auth-Application-Id", 2),
            avp("Termination-Cause", 1),
        )

    def test_answers_that_lack_something(self) -> None:
        """A home agent that does not even say who it is: the foreign agent gets its answer all the same."""
        world = self.world
        send = world.sent(world.give(amr()))
        asked = Message(frame(262, 2, 0xC0, 7, 8, send.submit.avps))
        said = b"".join(each for each in GOOD if not each.startswith(D["Origin-Host"].encode("")[:4]))
        bare = Message(frame(262, 2, 0x40, 7, 8, asked.octets(D["Session-Id"])[0] + said))
        self.assertIsNone(bare.raw(D["Origin-Host"]))
        answer = world.answer_in(world.feed(Answer(send.token, Answered(bare))))
        self.assertEqual(result(answer), 5012)
        self.assertEqual(len(world.server.sessions), 0)

    def test_session_ids_of_others(self) -> None:
        """An agent cannot take over the Session-Id of another client's session."""
        world = self.world
        world.answered(world.sent(world.give(amr())), *GOOD)
        (session,) = list(world.server.find())
        other = changed(
            amr(0, session.foreign.session), avp("Origin-Host", "evil.example"), without=("Origin-Host",)
        )
        self.assertEqual(result(world.ask(other)), 5012)
        self.assertIs(world.server.sessions.find(session.foreign.session), session)

    def test_two_requests_at_one_time(self) -> None:
        """Both are answered, and there is one session in the end."""
        world = self.world
        first, second = (world.sent(world.give(amr(0, f"fa1;1;{number}"))) for number in (1, 2))
        for send in (second, first):
            self.assertEqual(result(world.answer_in(world.answered(send, *GOOD))), 2001)
        self.assertEqual(len(world.server.sessions), 1)

    def test_deregistration(self) -> None:
        """A lifetime of zero ends the session when the home agent has agreed."""
        world = self.world
        world.answered(world.sent(world.give(amr())), *GOOD)
        send = world.sent(world.give(amr(lifetime=0)))
        self.assertEqual(len(world.server.sessions), 1)
        answer = world.answer_in(world.answered(send, *GOOD))
        self.assertEqual((result(answer), answer.first(D["Authorization-Lifetime"])), (2001, 0))
        self.assertEqual(len(world.server.sessions), 0)

    def test_home_agent_that_refuses(self) -> None:
        """Codes of RFC 4004 are handed on with the reply; others say that it did not work."""
        for code, told in ((4005, 4005), (4007, 4007), (5012, 5012), (5001, 5012), (3002, 4006)):
            send = self.world.sent(self.world.give(amr()))
            said = haa(avp("MIP-Reg-Reply", REPLY), code=code)
            answer = self.world.answer_in(self.world.answered(send, *said))
            self.assertEqual(result(answer), told)
            self.assertEqual(answer.first(D["MIP-Reg-Reply"]), REPLY)
        self.assertEqual(len(self.world.server.sessions), 0)

    def test_home_agent_that_is_not_there(self) -> None:
        """4006; and an answer that lacks the reply is no success."""
        send = self.world.sent(self.world.give(amr()))
        self.assertEqual(result(self.world.answer_in(self.world.answered(send, reason=NO_PEER))), 4006)
        send = self.world.sent(self.world.give(amr()))
        self.assertEqual(result(self.world.answer_in(self.world.answered(send, *haa()))), 4005)

    def test_times(self) -> None:
        """The shortest of request, hint and user; the session ends with it and its grace period."""
        world = World(with_user(authorization_lifetime=600, grace_period=20), home_agents=HOME_AGENTS)
        hint = avp("Authorization-Lifetime", 300)
        answer = world.answer_in(world.answered(world.sent(world.give(amr(0, "fa1;1;1", hint))), *GOOD))
        self.assertEqual(answer.first(D["Authorization-Lifetime"]), 300)
        world.pass_time(319)
        self.assertEqual(len(world.server.sessions), 1)
        world.pass_time(2)
        self.assertEqual(len(world.server.sessions), 0)
        self.assertEqual(world.server.sessions.history[-1].cause, 6)


class HomeAgentChoiceTests(Mip4Case):
    """Which home agent gets the HAR."""

    def chosen(self, world: World, asked: Message) -> str:
        return world.sent(world.give(asked)).submit.host

    def test_fewest_sessions(self) -> None:
        """Mobile nodes are spread over the home agents."""
        users = tuple(with_user(nai=f"mn{number}@home.example", services=()) for number in range(4))
        world = World(*users, home_agents=HOME_AGENTS)
        hosts = []
        for number in range(4):
            nai = f"mn{number}@home.example"
            send = world.sent(world.give(amr(WANTED, f"fa1;1;{number}", user=nai, nai=nai)))
            hosts.append(send.submit.host)
            address = avp("MIP-Mobile-Node-Address", bytes((10, 0, 0, number)))
            world.answered(send, *haa(avp("MIP-Reg-Reply", REPLY), address, host=send.submit.host))
        self.assertEqual(sorted(hosts), ["ha1.home.example"] * 2 + ["ha2.home.example"] * 2)

    def test_requested(self) -> None:
        """By address, by name; one that is not ours is 4006."""
        second = avp("MIP-Home-Agent-Address", HOME_AGENTS[1].address)
        self.assertEqual(self.chosen(self.world, amr(0, "fa1;1;1", second)), "ha2.home.example")
        named = avp("Destination-Realm", "home.example") + avp("Destination-Host", "ha2.home.example")
        asked = amr(0, "fa1;1;2", avp("MIP-Home-Agent-Host", named))
        self.assertEqual(self.chosen(self.world, asked), "ha2.home.example")
        stranger = avp("MIP-Home-Agent-Address", bytes((9, 9, 9, 9)))
        self.refused(4006, "not one of ours", amr(0, "fa1;1;3", stranger))
        named = avp("Destination-Realm", "x.example") + avp("Destination-Host", "ha.x.example")
        self.refused(4006, "not one of ours", amr(0, "fa1;1;4", avp("MIP-Home-Agent-Host", named)))

    def test_the_users_own(self) -> None:
        """A user with a home agent of its own gets that one, or none."""
        world = World(with_user(home_agent=HOME_AGENTS[1].address), home_agents=HOME_AGENTS)
        self.assertEqual(self.chosen(world, amr(WANTED)), "ha2.home.example")
        first = avp("MIP-Home-Agent-Address", HA_ADDRESS)
        self.refused(4006, "another home agent serves", amr(0, "fa1;1;1", first), world)
        nowhere = World(with_user(home_agent=bytes((9, 9, 9, 9))), home_agents=HOME_AGENTS)
        self.refused(4006, "no home agent can be assigned", amr(WANTED), nowhere)

    def test_foreign(self) -> None:
        """One that the foreign realm offers: by way of its AAA server, unless the home realm is asked for."""
        origin = avp("Origin-Realm", "visited.example") + avp("Origin-Host", "aaaf.visited.example")
        offer = (
            avp("MIP-Originating-Foreign-AAA", origin),
            avp("MIP-Candidate-Home-Agent-Host", "ha9.visited.example"),
        )
        send = self.world.sent(self.world.give(amr(WANTED | FOREIGN, "fa1;1;1", *offer)))
        self.assertEqual((send.submit.host, send.submit.realm), ("aaaf.visited.example", "visited.example"))
        har = request(262, 2, send.submit.avps)
        self.assertEqual(har.first(D["MIP-Candidate-Home-Agent-Host"]), "ha9.visited.example")
        self.assertEqual(har.octets(D["MIP-Originating-Foreign-AAA"]), [offer[0]])
        asked = amr(WANTED | FOREIGN | ONLY_HOME, "fa1;1;2", *offer)
        self.assertEqual(self.chosen(self.world, asked), "ha1.home.example")
        kept = avp("MIP-Home-Agent-Address", bytes((192, 0, 2, 9)))
        send = self.world.sent(self.world.give(amr(IN_FOREIGN, "fa1;1;3", kept, offer[0])))
        self.assertEqual(send.submit.host, "aaaf.visited.example")
        own = World(with_user(home_agent=HA_ADDRESS), home_agents=HOME_AGENTS)
        self.refused(5024, "foreign network", amr(IN_FOREIGN, "fa1;1;4", kept, offer[0]), own)
        self.refused(5024, "foreign network", amr(IN_FOREIGN, "fa1;1;5", kept))


class AuthenticationTests(Mip4Case):
    """RFC 4721, and who may be whom."""

    def test_wrong_key(self) -> None:
        """4001."""
        self.refused(4001, "mismatch", amr(key=b"wrong"))

    def test_chap(self) -> None:
        """CHAP_SPI with the foreign agent's challenge; short and long ones."""
        for challenge in (b"ab", b"x" * 250):
            send = self.world.sent(self.world.give(amr(0, "fa1;1;1", spi=2, challenge=challenge)))
            self.world.answered(send, *GOOD)
            said = avp("MIP-FA-Challenge", challenge)
            self.world.sent(self.world.give(amr(0, "fa1;1;1", said, spi=2, challenge=challenge)))
            other = avp("MIP-FA-Challenge", b"another")
            self.refused(4001, "challenges", amr(0, "fa1;1;1", other, spi=2, challenge=challenge))
        self.refused(4001, "without a challenge", amr(spi=2))

    def test_chap_co_located(self) -> None:
        """Without a foreign agent the challenge is zero."""
        world = World(with_user(ipv4_address=HOME_ADDRESS), home_agents=HOME_AGENTS)
        asked = amr(CO_LOCATED, "ha1;1;1", avp("MIP-Home-Agent-Address", HA_ADDRESS), spi=2)
        self.assertEqual(result(world.ask(asked)), 2001)

    def test_spi_of_the_user(self) -> None:
        """Another SPI than the user's is not accepted."""
        world = World(with_user(spi=0x2002), home_agents=HOME_AGENTS)
        self.refused(4001, "SPI 4097", amr(), world)
        world.sent(world.give(amr(spi=0x2002)))

    def test_names_that_differ(self) -> None:
        """A mobile node with a good key cannot register in another's name."""
        users = (with_user(), with_user(nai="mn2@home.example"))
        world = World(*users, home_agents=HOME_AGENTS)
        self.refused(4001, "differ", amr(user="mn2@home.example"), world)

    def test_without_a_name(self) -> None:
        """A request without NAI speaks for its home address only."""
        self.refused(4001, "neither", amr(nai=None))
        world = World(with_user(ipv4_address=HOME_ADDRESS), home_agents=HOME_AGENTS)
        world.sent(world.give(amr(nai=None, home=HOME_ADDRESS)))
        self.refused(5003, "not the user's", amr(home=bytes((9, 9, 9, 9))), world)

    def test_users_that_may_not(self) -> None:
        """Unknown, disabled, no key, no Mobile IPv4."""
        self.refused(5003, "unknown", amr(user="x@home.example", nai="x@home.example"))
        for fields, code in (({"enabled": False}, 5003), ({"mip4": False}, 5003), ({"key": b""}, 4001)):
            self.refused(code, "user", amr(), World(with_user(**fields), home_agents=HOME_AGENTS))

    def test_limits(self) -> None:
        """5006 for the user's, 3004 for the server's; a session that is there already goes on."""
        world = World(with_user(max_sessions=1), home_agents=HOME_AGENTS, session_limit=2)
        world.answered(world.sent(world.give(amr())), *GOOD)
        self.refused(5006, "1 sessions", amr(0, "fa2;2;2", home=bytes((10, 0, 0, 5))), world)
        world.answered(world.sent(world.give(amr())), *GOOD)
        small = World(with_user(), home_agents=HOME_AGENTS, session_limit=1)
        small.answered(small.sent(small.give(amr())), *GOOD)
        answer = small.ask(amr(0, "fa2;2;2", home=bytes((10, 0, 0, 5))))
        self.assertEqual((result(answer), answer.flags & 0x20), (3004, 0x20))


class RequestTests(Mip4Case):
    """Registration Requests that are none."""

    def test_garbage(self) -> None:
        """Every cut of a good request, and every octet changed: an answer, never an exception."""
        good = message("AMR")
        data = good.first(D["MIP-Reg-Request"])
        pieces = [data[:cut] for cut in range(len(data))]
        pieces += [data[:at] + bytes((data[at] ^ 0xFF,)) + data[at + 1 :] for at in range(len(data))]
        pieces += [data + b"\x84\xff", data[:24] + b"\x84\1x" * 100, data[:24] + b"\x83\2\xff\xfe"]
        world = World(with_user(ipv4_address=HOME_ADDRESS), home_agents=HOME_AGENTS)
        for piece in pieces:
            answer = world.ask(changed(good, avp("MIP-Reg-Request", piece), without=("MIP-Reg-Request",)))
            self.assertIn(result(answer), (4001, 5003, 5004, 5025))

    def test_failed_avp(self) -> None:
        """5004 says which AVP it was."""
        bad = avp("MIP-Reg-Request", b"\3" * 24)
        answer = self.world.ask(changed(message("AMR"), bad, without=("MIP-Reg-Request",)))
        self.assertEqual(result(answer), 5004)
        self.assertEqual(answer.first(D["Failed-AVP"]).octets(D["MIP-Reg-Request"]), [bad])
        proof = b"".join(
            avp(name, 50)
            for name in (
                "MIP-MN-AAA-SPI",
                "MIP-Auth-Input-Data-Length",
                "MIP-Authenticator-Length",
                "MIP-Authenticator-Offset",
            )
        )
        wrong = avp("MIP-MN-AAA-Auth", proof)
        answer = self.world.ask(changed(message("AMR"), wrong, without=("MIP-MN-AAA-Auth",)))
        self.assertEqual(result(answer), 5004)
        self.assertEqual(answer.first(D["Failed-AVP"]).octets(D["MIP-MN-AAA-Auth"]), [wrong])

    def test_reading(self) -> None:
        """Fields and extensions, also ones that are not known here and padding."""
        more = b"\x80\3abc" + b"\0" + struct.pack("!BBHI", 42, 1, 4, 0x777)
        data, covered, _ = rrq_of(home=HOME_ADDRESS, agent=HA_ADDRESS, challenge=b"ch", more=more)
        found = rrq.parse(data)
        self.assertEqual((found.home_address, found.home_agent), (HOME_ADDRESS, HA_ADDRESS))
        self.assertEqual((found.nai, found.challenge, found.lifetime), (NAI, b"ch", 1_800))
        self.assertEqual((found.spi, found.covered, found.mn_ha_spi), (0x1001, covered, 0x777))
        with self.assertRaisesRegex(BadValue, "more than 64"):
            rrq.parse(data + b"\0" * 70)
