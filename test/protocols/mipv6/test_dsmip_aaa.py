"""Hosts in IPv4 networks whom the AAA server knows (RFC 5555 with RFC 5778)."""

import hashlib
from typing import Any

from appliance.protocols.mobility import aaa
from appliance.protocols.mobility.aaa import Abandon, Authorize, Authorized, Grant
from appliance.protocols.mobility.options import IPv4CareOfAddress
from appliance.protocols.pmipv6.events import Reach
from appliance.protocols.pmipv6.settings import Profile
from test.protocols.mipv6.fakes import ALICE, HOME, KEY, NAT, SPI
from test.protocols.mipv6.test_dsmip import DualStackCase, wish
from test.protocols.pmipv6.aaa_fakes import group
from test.protocols.pmipv6.lma_fakes import LMA_ADDRESS, packed

MAPPED = bytes(10) + b"\xff\xff" + packed("10.0.0.7")


class AaaTests(DualStackCase):
    """What it is asked, and what it may give."""

    def setUp(self) -> None:
        """A service with an AAA group, and a host without a configured key."""
        profile = Profile(name="alice", mn_id=ALICE, ipv4=True)
        self.with_settings(aaa=group(), aaa_group="g", profiles=(profile,))

    def ask(self, **what: Any) -> Authorize:
        """An update inside UDP that AAA is asked about."""
        self.assertIsNone(self.world.inside(**{"aaa": b"A" * 20, **what}))
        (question,) = self.world.of_kind(Authorize)
        assert isinstance(question, Authorize)
        return question

    def reply(self, question: Authorize, verdict: str = aaa.ACCEPT, **grant: Any) -> Any:
        """Answer it."""
        event = Authorized(token=question.token, verdict=verdict, grant=Grant(session_id="s", **grant))
        self.world.lma.receive(event, self.world.now)
        self.world.effects = self.world.lma.take()
        return self.world.reply()

    def test_question_and_answer(self) -> None:
        """Care-of address as seen, digest over what the host says; the answer goes back through the NAT."""
        question = self.ask(extra=[wish()])
        subject, proof = question.subject, question.proof
        assert proof is not None
        self.assertEqual((subject.care_of, subject.local), (packed(NAT), LMA_ADDRESS))
        self.assertEqual((question.ipv4, subject.ipv4_address), (True, None))
        mh = self.world.update(
            care_of=MAPPED, aaa=b"A" * 20, sequence=1, extra=[wish(), IPv4CareOfAddress(packed("10.0.0.7"))]
        )
        digest = hashlib.sha1(MAPPED + HOME + mh[:4] + b"\0\0" + mh[6:-20]).digest()
        self.assertEqual(proof.mac_mobility_data, digest)
        answer = self.reply(question, key=KEY, key_spi=SPI)
        self.assertEqual((answer.status, self.detection(answer)), (0, (0, 110)))
        self.assertEqual(self.acknowledged(answer), (0, 32, "203.0.113.10"))
        again = self.world.inside(extra=[wish()])
        self.assertEqual(self.acknowledged(again), (0, 32, "203.0.113.10"))

    def test_an_address_of_the_server(self) -> None:
        """One outside of all pools gets a route of its own; what is asked for is in the question."""
        question = self.ask(extra=[wish("198.18.0.9")])
        self.assertEqual(question.subject.ipv4_address, packed("198.18.0.9"))
        answer = self.reply(question, key=KEY, key_spi=SPI, ipv4_address=packed("198.18.0.9"))
        self.assertEqual(self.acknowledged(answer), (0, 32, "198.18.0.9"))
        self.assertIn(packed("198.18.0.9"), [each.prefix for each in self.world.of_kind(Reach)])

    def test_not_allowed(self) -> None:
        """129 in the option; the IPv6 address is bound."""
        answer = self.reply(self.ask(extra=[wish()]), key=KEY, key_spi=SPI, ipv4_allowed=False)
        self.assertEqual((answer.status, self.acknowledged(answer)), (0, (129, 0, "0.0.0.0")))

    def test_refused_after_the_answer(self) -> None:
        """An F flag that is not granted: the grant is given back."""
        self.with_settings(
            aaa=group(), aaa_group="g", mipv6_udp="nat-only", profiles=(Profile(name="alice", mn_id=ALICE),)
        )
        question = self.ask(own=NAT, flags=0xC100)
        answer = self.reply(question, key=KEY, key_spi=SPI)
        self.assertEqual(answer.status, 129)
        self.assertEqual(len(self.world.of_kind(Abandon)), 1)
        self.assertEqual(self.world.lma.session_count, 0)
