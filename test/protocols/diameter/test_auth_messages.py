"""The client's requests octet by octet against worked messages, and all that an answer can say."""

from ipaddress import ip_address
from typing import Any

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.diameter.client.auth_answers import BUSY, DELEGATED_PREFIX, FAILED, Read, read
from appliance.protocols.diameter.client.auth_requests import (
    MIP6A,
    NASREQ,
    S6B,
    Origin,
    request,
    termination,
    user_name,
)
from appliance.protocols.diameter.client.auth_sessions import AuthSession
from appliance.protocols.diameter.message.codec import PROXIABLE, Group, Message, frame
from appliance.protocols.mobility import aaa
from appliance.protocols.mobility.aaa import Authorize, MobileProof
from test.protocols.diameter.auth_fakes import (
    HOST,
    LMA,
    NAI,
    ORIGIN,
    PREFIX,
    REALM,
    SERVER,
    Client,
    D,
    avp,
    group,
    message_of,
    subject,
    value,
)
from test.protocols.diameter.golden import MESSAGES

PROOF = MobileProof(
    spi=3,
    authenticator=bytes.fromhex("8364e92ecd868017ccaf13080fbd121f7227a9bf"),
    mac_mobility_data=bytes.fromhex("5a9cbd55236d964dd66f7b8c3b4b28e489518435"),
    timestamp=bytes.fromhex("eeae62f080000000"),
)
MOBILE = subject(
    care_of=ip_address("2001:db8:99::10").packed, home_address=ip_address("2001:db8:1:2::100").packed
)


def session(session_id: str, application: int = NASREQ) -> AuthSession:
    """A session that has been begun."""
    made = AuthSession(1, NAI, REALM, application)
    made.session_id = session_id
    return made


def home_link(text: str, length: int) -> bytes:
    """MIP6-Home-Link-Prefix."""
    return avp("MIP6-Home-Link-Prefix", bytes([length]) + ip_address(text).packed)


class TestRequests(SynchronousTestCase):
    def test_aar(self) -> None:
        """An AAR of an LMA is the worked one, octet by octet (RFC 5779)."""
        (ask,) = Client(first=8).authorize(ipv4=True)
        golden = MESSAGES["aar"]
        self.assertEqual(ask.submit.avps.hex(), golden.body.hex())
        self.assertEqual((ask.submit.code, ask.submit.application), (265, 1))

    def test_mir(self) -> None:
        """A MIR of a home agent is the worked one (RFC 5778)."""
        question = Authorize(token=1, subject=MOBILE, proof=PROOF)
        made = request(session(f"{HOST};3973075200;1;mip6a", MIP6A), question, ORIGIN, "")
        self.assertEqual(made.hex(), MESSAGES["mir"].body.hex())

    def test_str(self) -> None:
        """An STR is the worked one."""
        ended = session(f"{HOST};3973075200;1;mip6a", MIP6A)
        ended.cause, ended.host = aaa.ADMINISTRATIVE, SERVER
        made = termination(ended, Origin(HOST, REALM), SERVER)
        self.assertEqual(made.hex(), MESSAGES["str"].body.hex())

    def test_mir_is_sent(self) -> None:
        """A question with a proof goes to application 8; without one there is nothing to ask with."""
        client = Client()
        (ask,) = client.authorize(proof=evolve(PROOF, mn_ha_spi=0x1234), home_address=MOBILE.home_address)
        self.assertEqual((ask.submit.code, ask.submit.application), (325, 8))
        self.assertEqual((value(ask, "MIP-MN-HA-SPI"), value(ask, "Auth-Request-Type")), (0x1234, 3))
        client.answer(ask, 2001, avp("MIP-Mobile-Node-Address", MOBILE.home_address))
        self.assertEqual(client.grant().home_address, MOBILE.home_address)
        self.assertEqual(client.authorize(home_address=MOBILE.home_address), [])
        self.assertEqual(client.verdicts(), [(2, aaa.NO_ANSWER)])
        (again,) = client.authorize(proof=PROOF, home_address=MOBILE.home_address)
        self.assertEqual((again.submit.code, again.submit.host), (325, SERVER))

    def test_assign(self) -> None:
        """What is asked for and not named is zero: the server may assign it (RFC 5779 section 4.2.3)."""
        client = Client()
        for ipv6, ipv4, prefix, address in (
            (True, False, bytes(17), None),
            (True, True, bytes(17), bytes(4)),
            (False, True, None, bytes(4)),
        ):
            (ask,) = client.authorize(ipv6=ipv6, ipv4=ipv4, prefixes=(), ipv4_address=None)
            info = value(ask, "MIP6-Agent-Info")
            self.assertEqual(info.first(D["MIP6-Home-Link-Prefix"]), prefix)
            self.assertEqual(info.first(D["PMIP6-IPv4-Home-Address"]), address)
        (ask,) = client.authorize(proof=PROOF, call_id=2, ipv4=True, ipv4_address=None)
        addresses = message_of(ask).all(D["MIP-Mobile-Node-Address"])
        self.assertEqual(addresses, [bytes(16), bytes(4)])

    def test_several_prefixes(self) -> None:
        """Each further prefix has a MIP6-Agent-Info of its own."""
        more = ip_address("2001:db8:1:3::").packed, 64
        (ask,) = Client().authorize(prefixes=(PREFIX, more))
        infos: list[Group] = message_of(ask).all(D["MIP6-Agent-Info"])
        found = [info.first(D["MIP6-Home-Link-Prefix"]) for info in infos]
        self.assertEqual(found, [b"\x40" + PREFIX[0], b"\x40" + more[0]])
        self.assertEqual(infos[0].first(D["MIP-Home-Agent-Address"]), LMA)
        self.assertIsNone(infos[1].raw(D["MIP-Home-Agent-Address"]))

    def test_bare(self) -> None:
        """What is not known is left out."""
        (ask,) = Client(origin=Origin(HOST, REALM)).authorize(link_layer=b"", service=b"")
        for name in ("Calling-Station-Id", "Service-Selection", "Origin-State-Id", "RAT-Type", "Class"):
            self.assertIsNone(value(ask, name), name)

    def test_s6b(self) -> None:
        """S6b: its application, and the radio access (3GPP TS 29.273)."""
        for technology, rat in ((4, 0), (8, 1004), (3, None)):
            (ask,) = Client(group(application="s6b")).authorize(technology=technology)
            self.assertEqual((ask.submit.application, value(ask, "RAT-Type")), (S6B, rat))
            self.assertEqual(value(ask, "Auth-Application-Id"), S6B)

    def test_user_name(self) -> None:
        """NAIs as they are; identifiers of other kinds, and octets that are no text, in a form that is."""
        for mn_id, name in (
            (b"a@x", "a@x"),
            (b"\0\x02\xff\x01", "mn-id-2-ff01"),
            (b"\0", ""),
            (b"a\xff@x", "a\\xff@x"),
        ):
            self.assertEqual(user_name(mn_id), name)


class TestAnswers(SynchronousTestCase):
    def read(self, *avps: bytes, application: int = NASREQ, result: int = 2001) -> Read:
        """What an answer says that has these AVPs besides the common ones."""
        code = 325 if application == MIP6A else 265
        body = [
            avp("Session-Id", "s"),
            avp("Auth-Application-Id", application),
            avp("Auth-Request-Type", 2),
            avp("Result-Code", result),
            avp("Origin-Host", SERVER),
            avp("Origin-Realm", REALM),
            *avps,
        ]
        return read(Message(frame(code, application, PROXIABLE, 1, 1, b"".join(body))), "s", application)

    def granted(self, *avps: bytes, **how: Any) -> Any:
        """The grant of such an answer."""
        found = self.read(*avps, **how)
        self.assertEqual((found.verdict, found.text), (aaa.ACCEPT, ""))
        return found.grant

    def unusable(self, *avps: bytes, **how: Any) -> str:
        """Why such an answer is of no use."""
        found = self.read(*avps, **how)
        self.assertEqual((found.verdict, found.granted), (FAILED, True))
        return found.text

    def test_mia(self) -> None:
        """The worked MIA: home address, key with its SPI and lifetimes."""
        golden = MESSAGES["mia"]
        found = read(Message(golden.octets), f"{HOST};3973075200;1;mip6a", MIP6A)
        grant = found.grant
        self.assertEqual((found.verdict, found.host, found.realm), (aaa.ACCEPT, SERVER, REALM))
        self.assertEqual(grant.home_address, MOBILE.home_address)
        self.assertEqual(grant.key.hex(), "101112131415161718191a1b1c1d1e1f")
        self.assertEqual((grant.key_spi, grant.key_lifetime, grant.replay_mode), (4660, 7200, 2))
        self.assertEqual(
            (grant.lifetime, grant.session_timeout, grant.services), (3600, 7200, (b"internet",))
        )
        self.assertIsNone(grant.ipv4_allowed)

    def test_refusals(self) -> None:
        """The worked refusals, with their texts."""
        for name, verdict, text in (
            ("mia rejected", aaa.BAD_CREDENTIALS, "MN-AAA authenticator mismatch"),
            ("aaa rejected", aaa.REJECT, "service not subscribed"),
        ):
            message = Message(MESSAGES[name].octets)
            found = read(message, "s", message.application)
            self.assertEqual((found.verdict, found.text, found.granted), (verdict, text, False))
        found = read(Message(MESSAGES["error 3002"].octets), "s", 1)
        self.assertEqual(found.verdict, BUSY)

    def test_assigned(self) -> None:
        """Prefixes, address and anchor that are assigned; zeroes say nothing."""
        info = avp(
            "MIP6-Agent-Info",
            [
                avp("MIP-Home-Agent-Address", bytes(16)),
                home_link("2001:db8:7:8::", 64),
                avp("PMIP6-IPv4-Home-Address", bytes((10, 0, 0, 9))),
            ],
        )
        more = avp("MIP6-Agent-Info", [home_link("2001:db8:9::", 56)])
        grant = self.granted(info, more)
        self.assertEqual(
            grant.prefixes,
            ((ip_address("2001:db8:7:8::").packed, 64), (ip_address("2001:db8:9::").packed, 56)),
        )
        self.assertEqual((grant.ipv4_address, grant.home_agent), (bytes((10, 0, 0, 9)), b""))
        zero = avp("MIP6-Agent-Info", [home_link("::", 0), avp("PMIP6-IPv4-Home-Address", bytes(4))])
        grant = self.granted(zero)
        self.assertEqual((grant.prefixes, grant.ipv4_address), ((), None))
        other = avp("MIP6-Agent-Info", [avp("MIP-Home-Agent-Address", LMA)])
        self.assertEqual(self.granted(other).home_agent, LMA)

    def test_not_to_be_assigned(self) -> None:
        """What can be no home network prefix and no home address."""
        for text, length in (("2001:db8::1", 64), ("2001:db8:7:8::", 65), ("2001:db8::", 16), ("ff02::", 64)):
            self.assertIn("prefix", self.unusable(avp("MIP6-Agent-Info", [home_link(text, length)])).lower())
        cut = avp("MIP6-Agent-Info", [avp("MIP6-Home-Link-Prefix", b"\x40\x20")])
        self.unusable(cut)
        for address in ((127, 0, 0, 1), (224, 0, 0, 1), (0, 1, 1, 1)):
            self.unusable(avp("MIP6-Agent-Info", [avp("PMIP6-IPv4-Home-Address", bytes(address))]))

    def test_features(self) -> None:
        """IP4_HOA_SUPPORTED that is not set forbids IPv4 (RFC 5779 section 5.5); no vector says nothing."""
        self.assertIsNone(self.granted().ipv4_allowed)
        self.assertIs(self.granted(avp("MIP6-Feature-Vector", 1 << 40)).ipv4_allowed, False)
        grant = self.granted(avp("MIP6-Feature-Vector", 3 << 40))
        self.assertEqual((grant.ipv4_allowed, grant.features), (True, 3 << 40))

    def test_rules(self) -> None:
        """State, grace, binding and failover; defaults of RFC 6733."""
        terms = self.read().terms
        self.assertEqual((terms.stateful, terms.grace, terms.binding, terms.failover), (True, 0, 0, None))
        terms = self.read(
            avp("Auth-Session-State", 1),
            avp("Auth-Grace-Period", 30),
            avp("Session-Binding", 6),
            avp("Session-Server-Failover", 3),
        ).terms
        self.assertEqual((terms.stateful, terms.grace, terms.binding, terms.failover), (False, 30, 6, 3))

    def test_accounting(self) -> None:
        """What the records of the session need."""
        grant = self.granted(
            avp("Class", b"a"),
            avp("Class", b"b"),
            avp("Chargeable-User-Identity", b"cui"),
            avp("Acct-Interim-Interval", 300),
            avp("Accounting-Realtime-Required", 1),
            avp("Acct-Multi-Session-Id", "m"),
        )
        self.assertEqual((grant.classes, grant.charge, grant.multi_session_id), ((b"a", b"b"), b"cui", "m"))
        self.assertEqual((grant.interim_interval, grant.realtime, grant.host), (300, 1, SERVER))

    def rule(self, direction: int | None, octets: float) -> bytes:
        """One rule of QoS-Resources."""
        told = [] if direction is None else [avp("Direction", direction)]
        classifier = avp("Classifier", [avp("Classifier-ID", b"x"), *told])
        return avp("Filter-Rule", [classifier, avp("QoS-Parameters", [avp("Bandwidth", octets)])])

    def test_bandwidth(self) -> None:
        """Octets a second in QoS-Resources, by direction (RFC 5777, RFC 5624)."""
        both = avp("QoS-Resources", [self.rule(0, 125_000.0), self.rule(1, 250_000.0)])
        grant = self.granted(both)
        self.assertEqual((grant.bandwidth_up, grant.bandwidth_down), (1_000_000, 2_000_000))
        grant = self.granted(avp("QoS-Resources", [self.rule(None, 1.0)]))
        self.assertEqual((grant.bandwidth_up, grant.bandwidth_down), (8, 8))
        grant = self.granted(avp("QoS-Resources", [self.rule(2, 2.0), self.rule(0, -1.0)]))
        self.assertEqual((grant.bandwidth_up, grant.bandwidth_down), (16, 16))

    def test_key(self) -> None:
        """A key for another algorithm cannot be used; a home address is required (RFC 5778)."""
        home = avp("MIP-Mobile-Node-Address", MOBILE.home_address)
        members = [avp("MIP-Session-Key", b"k" * 16), avp("MIP-MSA-Lifetime", 0xFFFFFFFF)]
        grant = self.granted(home, avp("MIP-MN-HA-MSA", members), application=MIP6A)
        self.assertEqual((grant.key, grant.key_lifetime, grant.replay_mode), (b"k" * 16, None, 1))
        self.assertIn("Mobile-Node-Address", self.unusable(application=MIP6A))
        both = avp("MIP-Mobile-Node-Address", bytes((10, 0, 0, 7))) + home
        self.assertEqual(self.granted(both, application=MIP6A).ipv4_address, bytes((10, 0, 0, 7)))

    def test_apn(self) -> None:
        """S6b: the profile of the APN, with families, addresses and bandwidths."""

        def apn(pdn_type: int, *more: bytes) -> bytes:
            members = [
                avp("Context-Identifier", 1),
                avp("PDN-Type", pdn_type),
                avp("Service-Selection", "ims"),
                *more,
            ]
            return avp("APN-Configuration", members)

        ambr = avp("AMBR", [avp("Max-Requested-Bandwidth-UL", 5), avp("Max-Requested-Bandwidth-DL", 6)])
        served = avp("Served-Party-IP-Address", bytes((10, 0, 0, 8)))
        served6 = avp("Served-Party-IP-Address", ip_address("2001:db8:5:6::1").packed)
        grant = self.granted(apn(2, ambr, served, served6), application=S6B)
        self.assertEqual((grant.services, grant.bandwidth_up, grant.bandwidth_down), ((b"ims",), 5, 6))
        self.assertEqual((grant.ipv6_allowed, grant.ipv4_allowed), (True, True))
        self.assertEqual(grant.ipv4_address, bytes((10, 0, 0, 8)))
        self.assertEqual(grant.prefixes, ((ip_address("2001:db8:5:6::").packed, 64),))
        for pdn_type, families in ((0, (False, True)), (1, (True, False)), (4, (None, None))):
            grant = self.granted(apn(pdn_type), application=S6B)
            self.assertEqual((grant.ipv6_allowed, grant.ipv4_allowed), families)
        self.assertEqual(self.granted(application=S6B).services, ())

    def test_grammar(self) -> None:
        """What the dictionary does not allow in a success, such as an unknown AVP that must be understood."""
        self.assertIn("9999", self.unusable(b"\0\0\x27\x0f\x40\0\0\x08"))
        found = self.read(b"\0\0\x27\x0f\x40\0\0\x09\1\0\0\0", result=5003)
        self.assertEqual(found.verdict, aaa.REJECT, "a refusal is a refusal")

    def test_mobile_networks(self) -> None:
        """Delegated-IPv6-Prefix (RFC 4818) of an MIA; one that is no prefix makes the answer useless."""
        golden = MESSAGES["mia"].octets

        def told(*prefixes: str) -> Any:
            more = b"".join(DELEGATED_PREFIX.encode(bytes.fromhex(each)) for each in prefixes)
            octets = golden[:1] + (len(golden) + len(more)).to_bytes(3, "big") + golden[4:] + more
            return read(Message(octets), f"{HOST};3973075200;1;mip6a", MIP6A)

        first, second = (bytes.fromhex(f"20010db800{each}") + bytes(10) for each in ("a0", "b1"))
        found = told("003020010db800a0", "004020010db800b1")
        self.assertEqual(found.grant.delegated, ((first, 48), (second, 64)))
        for wrong in ("", "00", "0000", "008120010db8", "001020010db8", "0040" + 17 * "20"):
            self.assertIn("no prefix", told(wrong).text)

    def test_any_octets(self) -> None:
        """An answer that cannot be read is no verdict, and raises nothing."""
        octets = MESSAGES["mia"].octets
        for place in range(20, len(octets)):
            for changed in (0, 0xFF, octets[place] ^ 1):
                message = Message(octets[:place] + bytes([changed]) + octets[place + 1 :])
                read(message, f"{HOST};3973075200;1;mip6a", MIP6A)
