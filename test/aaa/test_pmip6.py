"""PMIPv6: what LMAs and MAGs ask and get (RFC 5779), S6b, and EAP at a MAG's door (RFC 4072)."""

import hashlib
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from appliance.aaa import eap
from appliance.aaa.eap import packet
from appliance.protocols.diameter.message.codec import Group, Message
from test.aaa.fakes import (
    HOME_AGENTS,
    IDENTITY,
    KEY,
    LMA_ADDRESS,
    PREFIX,
    D,
    World,
    avp,
    changed,
    request,
    result,
    with_user,
)

ANY_PREFIX, ANY_IPV4 = bytes(17), bytes(4)
OTHER_PREFIX = bytes((64,)) + bytes.fromhex("20010db8ffff00000000000000000000")
IPV4 = bytes((10, 20, 30, 40))
S6B = 16_777_272


def info(prefix: bytes | None = None, ipv4: bytes | None = None, lma: bytes | None = LMA_ADDRESS) -> bytes:
    members = avp("MIP-Home-Agent-Address", lma) if lma else b""
    members += b"" if prefix is None else avp("MIP6-Home-Link-Prefix", prefix)
    members += b"" if ipv4 is None else avp("PMIP6-IPv4-Home-Address", ipv4)
    return avp("MIP6-Agent-Info", members)


def aar(*more: bytes, session: str = "lma1;1;1", user: str = "mn1@home.example", **how: Any) -> Message:
    application = how.get("application", 1)
    return request(
        how.get("code", 265),
        application,
        avp("Session-Id", session),
        avp("Auth-Application-Id", application),
        avp("Origin-Host", f"{session.partition(';')[0]}.home.example"),
        avp("Origin-Realm", "home.example"),
        avp("Destination-Realm", "home.example"),
        avp("Auth-Request-Type", how.get("kind", 2)),
        avp("User-Name", user),
        *more,
    )


class PmipCase(SynchronousTestCase):
    """What both sides need."""

    def refused(self, code: int, text: str, asked: Message, **user: Any) -> Message:
        world = World(with_user(**user))
        answer = world.ask(asked)
        self.assertEqual(result(answer), code)
        self.assertRegex(answer.first(D["Error-Message"]), text)
        self.assertEqual(len(world.server.sessions), 0)
        return answer

    def infos(self, answer: Message) -> list[Group]:
        return list(answer.all(D["MIP6-Agent-Info"]))


class AnchorTests(PmipCase):
    """An LMA asks."""

    def test_assigned(self) -> None:
        """What is left to the server comes from the user's entry; the LMA stays where it is."""
        answer = World(with_user(ipv4_address=IPV4)).ask(aar(info(ANY_PREFIX, ANY_IPV4)))
        (found,) = self.infos(answer)
        self.assertEqual(found.first(D["MIP6-Home-Link-Prefix"]), bytes((64,)) + PREFIX[0])
        self.assertEqual(found.first(D["PMIP6-IPv4-Home-Address"]), IPV4)
        self.assertEqual(found.first(D["MIP-Home-Agent-Address"]), bytes(16))
        self.assertIsNone(found.first(D["MIP-Home-Agent-Host"]))
        self.assertEqual(answer.first(D["Service-Selection"]), "internet", "the default one")

    def test_newer_session(self) -> None:
        """A user whose newer session is elsewhere gets 3GPP 5453, and the name of who has seen it."""
        for host, said in (("pcrf.example", "pcrf.example"), (IDENTITY, None)):
            asked = aar(info(ANY_PREFIX))
            answer = self.refused(-5453, "newer session", asked, newer_session=host)
            self.assertEqual(answer.first(D["Experimental-Result"]).first(D["Vendor-Id"]), 10_415)
            self.assertEqual(answer.first(D["Error-Reporting-Host"]), said)

    def test_only_what_is_asked_for(self) -> None:
        """No prefix for an LMA that asks for an IPv4 address only, and the other way round."""
        user = with_user(ipv4_address=IPV4)
        (found,) = self.infos(World(user).ask(aar(info(None, ANY_IPV4))))
        self.assertIsNone(found.first(D["MIP6-Home-Link-Prefix"]))
        (found,) = self.infos(World(user).ask(aar(info(ANY_PREFIX))))
        self.assertIsNone(found.first(D["PMIP6-IPv4-Home-Address"]))

    def test_several_prefixes(self) -> None:
        """One MIP6-Agent-Info for each."""
        second = (OTHER_PREFIX[1:], 64)
        answer = World(with_user(prefixes=(PREFIX, second))).ask(aar(info(ANY_PREFIX)))
        found = [each.first(D["MIP6-Home-Link-Prefix"]) for each in self.infos(answer)]
        self.assertEqual(found, [bytes((64,)) + PREFIX[0], OTHER_PREFIX])

    def test_nothing_to_assign(self) -> None:
        """A user without addresses: the LMA's pools serve."""
        answer = World(with_user(prefixes=())).ask(aar(info(ANY_PREFIX, ANY_IPV4)))
        self.assertEqual((result(answer), self.infos(answer)), (2001, []))

    def test_reported(self) -> None:
        """Addresses that the LMA reports have to be the user's, if it has some."""
        self.assertEqual(result(World().ask(aar(info(bytes((64,)) + PREFIX[0])))), 2001)
        self.assertEqual(result(World(with_user(prefixes=())).ask(aar(info(OTHER_PREFIX, IPV4)))), 2001)
        self.refused(5003, "prefix is not the user's", aar(info(OTHER_PREFIX)))
        other = bytes((9, 9, 9, 9))
        self.refused(5003, "IPv4 home address", aar(info(None, IPV4)), ipv4_address=other)
        self.refused(5003, "another LMA", aar(info(ANY_PREFIX)), home_agent=bytes(15) + b"\1")

    def test_bad_prefix(self) -> None:
        """5004 with the group that it is in."""
        for data in (b"\x40" + bytes(15), b"\x81" + bytes(16), b""):
            answer = self.refused(5004, "length and 16 octets", aar(info(data)))
            self.assertEqual(answer.first(D["Failed-AVP"]).octets(D["MIP6-Agent-Info"]), [info(data)])

    def test_features(self) -> None:
        """What both have; only if it was said."""
        vector = avp("MIP6-Feature-Vector", 0xFFFF0000000003)
        answer = World().ask(aar(info(ANY_PREFIX), vector))
        self.assertEqual(answer.first(D["MIP6-Feature-Vector"]), 0x70000000000)
        self.assertIsNone(World().ask(aar(info(ANY_PREFIX))).first(D["MIP6-Feature-Vector"]))

    def test_only_authorization(self) -> None:
        """RFC 5779 section 4.2.1; there are no passwords to authenticate by."""
        self.refused(5012, "only AUTHORIZE_ONLY", aar(info(ANY_PREFIX), kind=3))

    def test_users_that_may_not(self) -> None:
        """Unknown, disabled, no PMIPv6."""
        self.refused(5003, "unknown", aar(info(), user="x@home.example"))
        self.refused(5003, "unknown", aar(info(), user="x@other.example"))
        self.refused(5003, "disabled", aar(info()), enabled=False)
        self.refused(5003, "Proxy Mobile IPv6", aar(info()), pmipv6=False)

    def test_default_user(self) -> None:
        """The realm's default stands for everybody."""
        world = World(with_user(nai="*@home.example", prefixes=()))
        answer = world.ask(aar(info(ANY_PREFIX), user="Someone@HOME.example"))
        self.assertEqual(answer.first(D["User-Name"]), "Someone@HOME.example")
        self.assertEqual(len(world.server.sessions.of_user("Someone@home.example")), 1)

    def test_sessions(self) -> None:
        """A renewed one is the same; another user's Session-Id is not to be had; limits hold."""
        world = World(with_user(max_sessions=1), with_user(nai="mn2@home.example"), session_limit=2)
        for _ in range(3):
            self.assertEqual(result(world.ask(aar(info(ANY_PREFIX)))), 2001)
        self.assertEqual(len(world.server.sessions), 1)
        stolen = world.ask(aar(info(ANY_PREFIX), user="mn2@home.example"))
        self.assertEqual(result(stolen), 5012)
        second = world.ask(aar(info(ANY_PREFIX), session="lma1;1;2"))
        self.assertEqual(result(second), 5006)
        self.assertEqual(result(world.ask(aar(session="mag1;1;2"))), 2001, "a MAG's is counted apart")
        full = world.ask(aar(info(), session="lma1;1;3", user="mn2@home.example"))
        self.assertEqual((result(full), full.flags & 0x20), (3004, 0x20))

    def test_restarted_client(self) -> None:
        """A higher Origin-State-Id ends the older sessions of that client, and no others."""
        world = World(with_user(), with_user(nai="mn2@home.example"))
        world.ask(aar(info(), avp("Origin-State-Id", 5), session="lma1;1;1"))
        world.ask(aar(info(), avp("Origin-State-Id", 5), session="lma2;1;1"))
        world.ask(aar(info(), session="lma1;1;2"))
        world.ask(aar(info(), avp("Origin-State-Id", 6), session="lma1;2;1", user="mn2@home.example"))
        world.pass_time(0)
        self.assertIsNone(world.server.sessions.find("lma1;1;1"))
        for session in ("lma1;1;2", "lma2;1;1", "lma1;2;1"):
            self.assertIsNotNone(world.server.sessions.find(session), session)
        self.assertEqual(world.server.sessions.history[-1].cause, 5)


class AccessTests(PmipCase):
    """A MAG asks."""

    def test_profile(self) -> None:
        """LMA, prefix, address, identifier, services."""
        user = with_user(ipv4_address=IPV4, home_agent=LMA_ADDRESS, services=("internet", "corp"))
        answer = World(user).ask(aar(avp("MIP6-Feature-Vector", 1 << 40), session="mag1;1;1"))
        (found,) = self.infos(answer)
        self.assertEqual(found.first(D["MIP-Home-Agent-Address"]), LMA_ADDRESS)
        self.assertEqual(found.first(D["MIP6-Home-Link-Prefix"]), bytes((64,)) + PREFIX[0])
        self.assertEqual(found.first(D["PMIP6-IPv4-Home-Address"]), IPV4)
        self.assertEqual(answer.first(D["Mobile-Node-Identifier"]), "mn1@home.example")
        self.assertEqual(answer.first(D["MIP6-Feature-Vector"]), 1 << 40)
        pairs = answer.all(D["Service-Configuration"])
        self.assertEqual([each.first(D["Service-Selection"]) for each in pairs], ["internet", "corp"])

    def test_little_known(self) -> None:
        """A default user without anything: no identifier, no addresses."""
        answer = World(with_user(nai="*@home.example", prefixes=(), services=())).ask(aar(session="m;1;1"))
        self.assertEqual(result(answer), 2001)
        for name in ("MIP6-Agent-Info", "Mobile-Node-Identifier", "Service-Configuration"):
            self.assertIsNone(answer.first(D[name]))


class S6bTests(PmipCase):
    """3GPP TS 29.273."""

    def ask(self, *more: bytes, user: str = "mn1@home.example", **fields: Any) -> Message:
        world = World(with_user(**fields))
        asked = aar(*more, user=user, application=S6B)
        return world.ask(asked, secure=fields.get("mn_ha_key") is not None)

    def test_granted(self) -> None:
        """The profile of the access point name; a session of an anchor without any MIP6-Agent-Info."""
        answer = self.ask(
            avp("Service-Selection", "internet"), bandwidth_up=1_000_000, bandwidth_down=2_000_000
        )
        self.assertEqual(result(answer), 2001)
        profile = answer.first(D["APN-Configuration"])
        self.assertEqual(profile.first(D["Service-Selection"]), "internet")
        rates = profile.first(D["AMBR"])
        self.assertEqual(rates.first(D["Max-Requested-Bandwidth-UL"]), 1_000_000)
        self.assertEqual(rates.first(D["Max-Requested-Bandwidth-DL"]), 2_000_000)

    def test_experimental_results(self) -> None:
        """Verdicts about users are the vendor's own, without a Result-Code."""
        for answer, code in (
            (self.ask(user="x@home.example"), 5001),
            (self.ask(enabled=False), 5001),
            (self.ask(pmipv6=False), 5450),
            (self.ask(avp("Service-Selection", "other")), 5451),
        ):
            self.assertEqual(result(answer), -code)
            self.assertEqual(answer.first(D["Experimental-Result"]).first(D["Vendor-Id"]), 10_415)
            self.assertEqual(answer.flags & 0x20, 0)
        self.assertEqual(result(self.ask(max_sessions=1)), 2001)

    def test_mobile_ipv4(self) -> None:
        """The key that the SPI names, over TLS."""
        spi = avp("MIP-MN-HA-SPI", 0x100)
        self.assertEqual(self.ask(spi, mn_ha_key=b"k" * 16).first(D["MIP-Session-Key"]), b"k" * 16)
        self.assertEqual(result(self.ask(spi)), 5003)
        world = World(with_user(mn_ha_key=b"k" * 16))
        self.assertEqual(result(world.ask(aar(spi, application=S6B))), 5025)
        self.assertEqual(len(world.server.sessions), 0)


class EapTests(PmipCase):
    """EAP MD5-Challenge."""

    def setUp(self) -> None:
        self.world = World(with_user(home_agent=LMA_ADDRESS), home_agents=HOME_AGENTS)

    def der(self, payload: bytes, *more: bytes, session: str = "mag1;1;1", **how: Any) -> Message:
        how = {"kind": 3, "application": 5, "code": 268, **how}
        return aar(avp("EAP-Payload", payload), *more, session=session, **how)

    def identity(self, number: int = 1) -> bytes:
        return packet(2, number, b"\1mn1@home.example")

    def challenge(self, answer: Message) -> tuple[int, bytes]:
        """Identifier and challenge of a DEA that asks for more."""
        self.assertEqual(result(answer), 1001)
        payload = answer.first(D["EAP-Payload"])
        self.assertEqual((payload[0], payload[4], payload[5]), (1, 4, 16))
        self.assertEqual(int.from_bytes(payload[2:4], "big"), len(payload))
        return payload[1], payload[6:22]

    def response(self, number: int, challenge: bytes, key: bytes = KEY) -> bytes:
        return packet(2, number, b"\4\x10" + hashlib.md5(bytes((number,)) + key + challenge).digest())

    def test_authenticated(self) -> None:
        """Two round trips; the profile is in the last answer."""
        first = self.world.ask(self.der(self.identity(), avp("MIP6-Feature-Vector", 1 << 40)))
        self.assertEqual(self.infos(first), [])
        last = self.world.ask(self.der(self.response(*self.challenge(first))))
        self.assertEqual(result(last), 2001)
        self.assertEqual(last.first(D["EAP-Payload"])[:1], b"\3")
        (found,) = self.infos(last)
        self.assertEqual(found.first(D["MIP-Home-Agent-Address"]), LMA_ADDRESS)
        self.assertEqual(last.first(D["MIP6-Feature-Vector"]), 1 << 40)
        self.assertIsNone(last.first(D["EAP-Master-Session-Key"]), "MD5-Challenge makes none")
        self.assertEqual(len(self.world.server.sessions), 1)

    def test_exchanges_of_others(self) -> None:
        """Another client with the same Session-Id neither answers for a mobile node nor ends its exchange."""
        first = self.world.ask(self.der(self.identity()))
        evil = avp("Origin-Host", "evil.visited.example")
        good = self.der(self.response(*self.challenge(first)))
        self.failed(changed(good, evil, without=("Origin-Host",)))
        self.world.ask(changed(self.der(self.identity()), evil, without=("Origin-Host",)))
        self.assertEqual(result(self.world.ask(good)), 2001)

    def test_octets_of_exchanges(self) -> None:
        """Requests are kept up to so many octets together; time gives them back."""
        self.patch(eap, "MOST_OCTETS", 3_000)
        padding = avp("Class", bytes(2_000))
        self.assertEqual(result(self.world.ask(self.der(self.identity(), padding))), 1001)
        other = self.der(self.identity(), padding, session="mag1;1;2")
        self.assertEqual(result(self.world.ask(other)), 3004)
        self.assertEqual(result(self.world.ask(self.der(self.identity(), padding))), 1001, "in its place")
        self.world.pass_time(31)
        self.assertEqual(result(self.world.ask(other)), 1001)

    def test_only_authenticated(self) -> None:
        """AUTHENTICATE_ONLY: no profile and no session."""
        first = self.world.ask(self.der(self.identity(), kind=1))
        last = self.world.ask(self.der(self.response(*self.challenge(first)), kind=1))
        self.assertEqual((result(last), self.infos(last)), (2001, []))
        self.assertEqual(len(self.world.server.sessions), 0)

    def test_start(self) -> None:
        """An empty payload asks the server to begin."""
        answer = self.world.ask(self.der(b""))
        self.assertEqual((result(answer), answer.first(D["EAP-Payload"])), (1001, b"\1\0\0\5\1"))

    def failed(self, asked: Message, code: int = 4001) -> str:
        answer = self.world.ask(asked)
        self.assertEqual(result(answer), code)
        self.assertEqual(answer.first(D["EAP-Payload"])[:1], b"\4", "EAP-Failure")
        return str(answer.first(D["Error-Message"]))

    def test_refused(self) -> None:
        """Wrong key, wrong identifier, other methods, nothing asked, second use of a challenge."""
        number, challenge = self.challenge(self.world.ask(self.der(self.identity())))
        self.assertIn("wrong", self.failed(self.der(self.response(number, challenge, b"x"))))
        self.assertIn("nothing", self.failed(self.der(self.response(number, challenge))))
        number, challenge = self.challenge(self.world.ask(self.der(self.identity())))
        self.assertIn("wrong", self.failed(self.der(self.response(number + 1, challenge))))
        self.world.ask(self.der(self.identity()))
        self.assertIn("only EAP MD5", self.failed(self.der(packet(2, 2, b"\3\x0d"))))
        number, challenge = self.challenge(self.world.ask(self.der(self.identity())))
        other = self.der(self.response(number, challenge), session="mag1;1;2")
        self.assertIn("nothing", self.failed(other))
        self.assertIn("unknown", self.failed(self.der(self.identity(), user="x@home.example"), 5003))
        self.assertEqual(len(self.world.server.sessions), 0)

    def test_refused_after_authentication(self) -> None:
        """Who it is is true, but it may not."""
        self.world = World(with_user(pmipv6=False))
        first = self.world.ask(self.der(self.identity()))
        self.failed(self.der(self.response(*self.challenge(first))), 5003)

    def test_garbage(self) -> None:
        """No EAP: 5004, whatever it is."""
        for payload in (b"x", b"\2\1\0\5", b"\1\1\0\5\1", b"\2\1\0\x09\1abc", b"\2\1\0\4\1"):
            self.assertEqual(result(self.world.ask(self.der(payload))), 5004, payload)
        self.assertEqual(result(self.world.ask(self.der(self.identity(), kind=2))), 5012)

    def test_forgotten(self) -> None:
        """Who does not respond is forgotten after half a minute."""
        number, challenge = self.challenge(self.world.ask(self.der(self.identity())))
        self.world.pass_time(31)
        self.assertIsNone(self.world.server.deadline)
        self.assertIn("nothing", self.failed(self.der(self.response(number, challenge))))
