"""RFC 4285: the two authentication options, the MESG-ID, and the AAA server's part."""

import hashlib
import hmac
import subprocess
from typing import Any

from appliance.protocols.mipv6.events import SendRouted
from appliance.protocols.mobility import aaa
from appliance.protocols.mobility.aaa import Abandon, Account, Authorize, Authorized, Grant, Reauthorize
from appliance.protocols.mobility.codec import to_ntp
from appliance.protocols.mobility.options import (
    Authentication,
    BindingRefreshAdvice,
    MessageIdentification,
    MobileNodeIdentifier,
)
from appliance.protocols.pmipv6.host_settings import Association
from appliance.protocols.pmipv6.settings import Profile
from test.protocols.mipv6.fakes import (
    AAA_KEY,
    ALICE,
    BOB,
    CARE1,
    CARE2,
    CARE3,
    HOME,
    HOME2,
    KEY,
    SPI,
    HostWorld,
)
from test.protocols.mipv6.test_hosts import ADMIN, DENY, REFRESH, HostCase
from test.protocols.pmipv6.aaa_fakes import AUTH, group
from test.protocols.pmipv6.lma_fakes import option, packed

PLAIN = Profile(name="alice", mn_id=ALICE)
OTHER_KEY = bytes(reversed(KEY))


def acknowledged(world: HostWorld, key: bytes, care_of: bytes = CARE1) -> bool:
    """Whether the acknowledgement that was just sent is authentic (hashlib only)."""
    (routed,) = world.of_kind(SendRouted)
    mh = routed.data
    data = care_of + routed.home + mh[:4] + b"\0\0" + mh[6:-12]
    return bool(mh[-12:] == hmac.new(key, data, "sha1").digest()[:12])


class KeyTests(HostCase):
    """The MN-HA option with keys of the configuration."""

    def test_the_acknowledgement_is_authentic(self) -> None:
        """Also of refusals that know a key, over the care-of address that was registered."""
        self.world.host()
        self.assertTrue(acknowledged(self.world, KEY))
        self.world.host(sequence=1)
        self.assertTrue(acknowledged(self.world, KEY))
        self.world.host(sequence=9, alternate=CARE2)
        self.assertTrue(acknowledged(self.world, KEY, CARE2))

    def test_openssl_says_the_same(self) -> None:
        """The authenticator of an acknowledgement by another implementation of HMAC."""
        self.world.host()
        mh = self.world.of_kind(SendRouted)[0].data
        data = CARE1 + HOME + mh[:4] + b"\0\0" + mh[6:-12]
        command = ["openssl", "dgst", "-sha1", "-mac", "HMAC", "-macopt", f"hexkey:{KEY.hex()}", "-binary"]
        done = subprocess.run(command, input=data, capture_output=True, check=True)
        self.assertEqual(done.stdout[:12], mh[-12:])

    def test_keys_of_subscriber_and_service(self) -> None:
        """The subscriber's key goes before the service's; another subscriber's is of no use."""
        service = (Association(spi=SPI, key=OTHER_KEY), Association(spi=777, key=OTHER_KEY))
        self.with_settings(mipv6_associations=service)
        self.denied(146, f"{DENY}/mn-auth-failure", key=OTHER_KEY)
        self.assertEqual(self.world.host(spi=777, key=OTHER_KEY).status, 0)
        self.assertEqual(self.world.host(mn=BOB, home=HOME2, key=OTHER_KEY).status, 0)

    def test_each_octet_is_covered(self) -> None:
        """Whatever octet before the authenticator is another, the update is not the host's."""
        good = self.world.update()
        for at in (*range(7, 12), 20, len(good) - 14, len(good) - 1):
            bad = bytearray(good)
            bad[at] ^= 0x80
            answer = self.world.carry(bytes(bad), HOME, CARE1)
            self.assertTrue(answer is None or answer.status >= 128, at)
        self.assertEqual(self.world.carry(good, HOME2, CARE1).status, 146)
        self.assertEqual(self.world.carry(good, HOME, CARE2).status, 146)
        self.assertEqual(self.world.carry(good, HOME, CARE1).status, 0)

    def test_no_option_or_unknown_spi(self) -> None:
        """129 with its reason, or silence, as the operator wants."""
        self.denied(129, f"{ADMIN}/mn-aaa-auth-option-missing", key=None)
        self.denied(129, f"{ADMIN}/invalid-mn-ha-option-spi", spi=999)
        self.denied(129, f"{ADMIN}/invalid-mn-aaa-option-spi", aaa=bytes(20), aaa_spi=5)
        self.with_settings(mipv6_unauthenticated="discard")
        self.discarded("other", key=None)
        self.discarded("other", spi=999)
        self.discarded("other", aaa=bytes(20), aaa_spi=5)

    def test_mn_aaa_is_demanded(self) -> None:
        """In the first update, or in all, by the setting."""
        self.with_settings(mipv6_authentication="mn-aaa-initial")
        self.denied(129, f"{ADMIN}/mn-aaa-auth-option-missing")
        # No AAA server is configured: the key alone counts.
        self.assertEqual(self.world.host(aaa=bytes(20)).status, 0)
        self.assertEqual(self.world.host().status, 0)
        self.with_settings(mipv6_authentication="mn-aaa-always")
        self.world.host(aaa=bytes(20))
        self.denied(129, f"{ADMIN}/mn-aaa-auth-option-missing", REFRESH)

    def test_known_by_address_only(self) -> None:
        """``optional``: a subscriber with a home address and no key needs none."""
        named = Profile(name="alice", mn_id=ALICE, home_addresses=(HOME,))
        self.with_settings(mipv6_authentication="optional", profiles=(named,))
        answer = self.world.host(mn=None, key=None)
        self.assertEqual((answer.status, answer.options), (0, []))
        (entry,) = self.world.lma.sessions()
        self.assertEqual(entry.mn_id, ALICE)
        self.denied(129, f"{ADMIN}/mn-aaa-auth-option-missing", key=None, mn=None, home=HOME2)

    def test_order_of_the_options(self) -> None:
        """RFC 4285 section 5: MN-HA first, nothing behind, one of each; RFC 4283: the identifier before."""
        self.discarded("decode-failure", tail=[BindingRefreshAdvice(5)])
        self.discarded("decode-failure", mn=None, tail=[MobileNodeIdentifier(1, ALICE)])
        two = [Authentication(2, 3, bytes(20)), Authentication(1, SPI, bytes(12))]
        self.discarded("decode-failure", key=None, extra=two)
        self.discarded("decode-failure", extra=[Authentication(1, SPI, bytes(12))])


class MesgIdTests(HostCase):
    """Replay protection (section 6)."""

    def test_echo_and_order(self) -> None:
        """The timestamp comes back; the same or an older one gets 144 with our seconds."""
        wall = self.world.now.wall
        answer = self.world.host(time=wall + 3)
        self.assertEqual(option(answer, MessageIdentification).timestamp, to_ntp(wall + 3))
        for time in (wall + 3, wall + 2.5):
            answer = self.denied(144, f"{DENY}/mismatched-id", REFRESH, time=time)
            stamp = option(answer, MessageIdentification).timestamp
            self.assertEqual(stamp & 0xFFFFFFFF, to_ntp(time) & 0xFFFFFFFF)
            self.assertEqual(stamp >> 32, to_ntp(self.world.now.wall) >> 32)
            self.assertTrue(acknowledged(self.world, KEY))
        self.assertEqual(self.world.host(time=wall + 3.5, sequence=0).status, 0)

    def test_tolerance(self) -> None:
        """Seven seconds by default, both ways; no binding is made."""
        for off in (-7.5, 7.5):
            self.denied(144, f"{DENY}/mismatched-id", time=self.world.now.wall + off)
        self.assertEqual(self.world.lma.session_count, 0)
        self.assertEqual(self.world.host(time=self.world.now.wall - 6.5).status, 0)
        self.with_settings(mipv6_tolerance=60)
        self.assertEqual(self.world.host(time=self.world.now.wall - 50).status, 0)

    def test_required(self) -> None:
        """145 without the option when it is required."""
        self.with_settings(mipv6_mesg_id=True)
        self.denied(145, f"{DENY}/msg-id-required")
        self.assertEqual(self.world.host(time=self.world.now.wall).status, 0)

    def test_an_old_update_does_not_bring_a_binding_back(self) -> None:
        """The last timestamp outlives the binding for as long as it could be replayed."""
        self.with_settings(mipv6_tolerance=30)
        time = self.world.now.wall + 25
        old = self.world.update(time=time)
        self.assertEqual(self.world.carry(old, HOME, CARE1).status, 0)
        self.world.host(time=time + 1, lifetime=0)
        self.world.pass_time(11)
        self.assertEqual(self.world.lma.session_count, 0)
        self.assertEqual(self.world.carry(old, HOME, CARE1).status, 144)
        self.world.pass_time(60)
        self.assertEqual(self.world.carry(old, HOME, CARE1).status, 144)

    def test_the_era_of_2036(self) -> None:
        """NTP seconds begin again; before and after are a second apart."""
        end = (1 << 32) - 2_208_988_800
        self.world.mono += end - self.world.now.wall - 1
        self.assertEqual(self.world.host(time=end - 0.5).status, 0)
        self.world.mono += 1
        self.assertEqual(self.world.host(time=end + 0.5).status, 0)
        self.assertEqual(self.world.host(time=end - 0.2).status, 144)


class AaaTests(HostCase):
    """The AAA server checks the MN-AAA option and gives the key for the other one (RFC 5778)."""

    def setUp(self) -> None:
        """A service with an AAA group, and a host without a configured key."""
        self.with_settings(aaa=group(), aaa_group="g", profiles=(PLAIN,))

    def ask(self, **what: Any) -> Authorize:
        """An update that AAA is asked about."""
        self.assertIsNone(self.world.host(**{"aaa": b"A" * 20, **what}))
        (question,) = self.world.of_kind(Authorize)
        assert isinstance(question, Authorize)
        return question

    def reply(self, question: Authorize, verdict: str = aaa.ACCEPT, **grant: Any) -> Any:
        """Answer it."""
        self.world._before = self.world.counters.snapshot()
        event = Authorized(token=question.token, verdict=verdict, grant=Grant(session_id="s", **grant))
        self.world.lma.receive(event, self.world.now)
        self.world.effects = self.world.lma.take()
        return self.world.reply()

    def test_the_proof_and_the_key(self) -> None:
        """The digest is SHA1 over addresses and message; the granted key is for the next updates, too."""
        self.assertIsNone(self.world.host(aaa=b"A" * 20, time=self.world.now.wall))
        (question,) = self.world.of_kind(Authorize)
        proof, subject = question.proof, question.subject
        assert proof is not None
        self.assertEqual((proof.spi, proof.authenticator, proof.mn_ha_spi), (3, b"A" * 20, SPI))
        self.assertEqual((subject.mn_id, subject.care_of, subject.home_address), (ALICE, CARE1, HOME))
        self.assertEqual(len(proof.timestamp), 8)
        answer = self.reply(question, key=KEY, key_spi=SPI)
        self.assertEqual(answer.status, 0)
        self.assertTrue(acknowledged(self.world, KEY))
        self.assertEqual(self.world.moved()[f"{AUTH}success"], 1)
        self.assertEqual(self.world.value(f"{AUTH}attempts"), 1)
        (started,) = self.world.of_kind(Account)
        self.assertEqual((started.what, started.subject.home_address), (aaa.START, HOME))
        self.assertEqual(self.world.host(care_of=CARE2).status, 0)
        self.assertEqual(self.world.value("binding-updates-received/pending"), 0)

    def test_max_pending(self) -> None:
        """As many wait as the operator allows; one more gets 130, and there is room again later."""
        self.with_settings(aaa=group(), aaa_group="g", profiles=(PLAIN,), max_pending=1)
        question = self.ask()
        other = packed("2001:db8:100::77")
        self.assertEqual(self.world.host(aaa=b"A" * 20, home=other).status, 130)
        row = "update-denied-insufficient-resource-reasons/input-q-exceeded"
        self.assertEqual(self.world.moved()[row], 1)
        self.assertEqual(self.reply(question, key=KEY, key_spi=SPI).status, 0)
        self.ask(home=other)

    def test_the_digest(self) -> None:
        """MAC_Mobility_Data by hashlib."""
        mh = self.world.update(aaa=b"A" * 20)
        self.world.carry(mh, HOME, CARE1)
        (question,) = self.world.of_kind(Authorize)
        wanted = hashlib.sha1(CARE1 + HOME + mh[:-20]).digest()
        assert question.proof is not None
        self.assertEqual(question.proof.mac_mobility_data, wanted)
        self.assertNotEqual(hmac.new(AAA_KEY, wanted, "sha1").digest(), question.proof.authenticator)

    def test_refusals(self) -> None:
        """Every word of the server has its status and its counter; what it granted in vain is given back."""
        reason = "update-denied-unspecified-reason"
        for verdict, status, row, failed in (
            (aaa.BAD_CREDENTIALS, 146, f"{DENY}/mn-auth-failure", "actual"),
            (aaa.REJECT, 129, f"{ADMIN}/no-permission", "actual"),
            (aaa.UNKNOWN_USER, 133, f"{DENY}/other", "actual"),
            (aaa.NEWER, 128, f"{reason}/newer-session-detected-by-aaa", "actual"),
            (aaa.NO_ANSWER, 128, f"{reason}/other", "misc"),
        ):
            answer = self.reply(self.ask(), verdict)
            self.assertEqual(answer.status, status, verdict)
            moved = self.world.moved()
            self.assertEqual((moved[row], moved[f"{AUTH}{failed}-auth-failures"]), (1, 1))
        answer = self.reply(self.ask(), key=OTHER_KEY, key_spi=SPI)
        self.assertEqual((answer.status, len(self.world.of_kind(Abandon))), (146, 1))
        answer = self.reply(self.ask(), key=KEY, key_spi=SPI + 1)
        self.assertEqual(answer.status, 129)
        answer = self.reply(self.ask(), key=KEY, key_spi=SPI, home_address=HOME2)
        self.assertEqual((answer.status, self.world.moved()[f"{ADMIN}/hoa-not-authorized"]), (129, 1))
        self.assertEqual(self.world.lma.session_count, 0)
        self.assertTrue(self.world.balanced())

    def test_without_mn_ha(self) -> None:
        """MN-AAA alone is enough; the answer is protected by the key of the grant and its SPI."""
        answer = self.reply(self.ask(key=None), key=KEY, key_spi=4000)
        self.assertEqual((answer.status, option(answer, Authentication).spi), (0, 4000))

    def test_while_it_is_asked(self) -> None:
        """Repetitions are absorbed, and time-outs end it."""
        question = self.ask()
        self.discarded("initial-auth-pending", aaa=b"A" * 20)
        self.world.pass_time(70)
        self.assertEqual(self.world.reply().status, 128)
        self.assertEqual([each.token for each in self.world.of_kind(Abandon)], [question.token])
        self.assertIsNone(self.reply(question, key=KEY))
        self.assertEqual(self.world.value("binding-updates-received/pending"), 0)

    def test_what_no_server_can_change(self) -> None:
        """Made-up home addresses and names cost the server nothing."""
        far = packed("2001:db8:7::1")
        self.assertEqual(self.world.host(home=far, aaa=b"A" * 20).status, 132)
        self.with_settings(aaa=group(), aaa_group="g", profiles=(PLAIN,), unknown_subscriber="reject")
        self.assertEqual(self.world.host(mn=BOB, aaa=b"A" * 20).status, 133)
        self.assertEqual(self.world.value(f"{AUTH}attempts"), 0)
        self.assertEqual(self.ask().subject.mn_id, ALICE)

    def test_a_stranger_asks(self) -> None:
        """He keeps nobody out meanwhile, and nothing that AAA says to him is about another's binding."""
        own = Profile(name="alice", mn_id=ALICE, associations=(Association(spi=SPI, key=KEY),))
        bob = Profile(name="bob", mn_id=BOB)
        self.with_settings(aaa=group(), aaa_group="g", profiles=(own, bob))
        stranger = {"mn": BOB, "care_of": CARE2, "key": None}
        question = self.ask(**stranger)
        self.assertEqual(self.world.host().status, 0)
        self.assertEqual(self.reply(question, key=OTHER_KEY, key_spi=SPI).status, 134)
        (entry,) = self.world.lma.sessions()
        question = self.ask(**stranger)
        self.assertNotEqual(question.subject.call_id, entry.call_id)
        self.assertEqual(self.world.host(care_of=CARE3).status, 0)
        self.assertEqual(self.reply(question, key=OTHER_KEY, key_spi=SPI).status, 134)
        self.assertEqual([each.call_id for each in self.world.of_kind(Abandon)], [question.subject.call_id])
        self.assertEqual((entry.mn_id, entry.care_of, self.world.lma.session_count), (ALICE, CARE3, 1))
        self.assertTrue(self.world.balanced())

    def test_a_stranger_asks_while_an_address_is_tested(self) -> None:
        """An address is not tested on the home link while AAA is asked about it."""
        own = Profile(name="alice", mn_id=ALICE, associations=(Association(spi=SPI, key=KEY),))
        bob = Profile(name="bob", mn_id=BOB)
        self.with_settings(aaa=group(), aaa_group="g", profiles=(own, bob), mipv6_home_link="lan0")
        question = self.ask(mn=BOB, key=None)
        self.discarded("initial-auth-pending")
        self.assertEqual(self.reply(question, aaa.BAD_CREDENTIALS).status, 146)
        self.assertIsNone(self.world.host())
        self.world.pass_time(2)
        self.assertEqual(self.world.lma.session_count, 1)

    def test_replay_is_checked_after_the_server(self) -> None:
        """Section 6: first the proof, then the timestamp."""
        question = self.ask(time=self.world.now.wall - 100)
        answer = self.reply(question, key=KEY, key_spi=SPI)
        self.assertEqual((answer.status, len(self.world.of_kind(Abandon))), (144, 1))

    def test_asked_again(self) -> None:
        """The server wants to see the host again: its next update with the option is asked about."""
        self.reply(self.ask(), key=KEY, key_spi=SPI)
        (entry,) = self.world.lma.sessions()
        self.assertEqual(self.world.host(aaa=b"A" * 20).status, 0)
        self.world.lma.receive(Reauthorize(entry.call_id), self.world.now)
        question = self.ask()
        self.assertEqual(question.subject.call_id, entry.call_id)
        self.assertEqual(self.reply(question, key=KEY, key_spi=SPI).status, 0)

    def test_a_configured_key_goes_before(self) -> None:
        """What AAA grants besides is not used for a host whose key is here."""
        own = Profile(name="alice", mn_id=ALICE, associations=(Association(spi=SPI, key=KEY),))
        self.with_settings(aaa=group(), aaa_group="g", profiles=(own,))
        question = self.ask()
        assert question.proof is not None
        self.assertIsNone(question.proof.mn_ha_spi)
        self.assertEqual(self.reply(question, key=OTHER_KEY, key_spi=SPI).status, 0)
        self.assertTrue(acknowledged(self.world, KEY))
        self.assertEqual(self.world.host().status, 0)

    def test_a_new_key_of_the_server(self) -> None:
        """It takes the place of the old one after the update that it was granted for."""
        self.reply(self.ask(), key=KEY, key_spi=SPI)
        (entry,) = self.world.lma.sessions()
        self.world.lma.receive(Reauthorize(entry.call_id), self.world.now)
        self.assertEqual(self.reply(self.ask(), key=OTHER_KEY, key_spi=SPI).status, 0)
        self.assertEqual(self.world.host(key=OTHER_KEY).status, 0)
        self.assertEqual(self.world.host(key=KEY).status, 146)

    def test_a_key_has_a_lifetime(self) -> None:
        """After it only another MN-AAA option helps."""
        self.reply(self.ask(), key=KEY, key_spi=SPI, key_lifetime=100)
        self.assertEqual(self.world.host().status, 0)
        self.world.mono += 101
        self.denied(129, f"{ADMIN}/invalid-mn-ha-option-spi", REFRESH)

    def test_granted_lifetime(self) -> None:
        """The binding does not last longer than the authorization."""
        answer = self.reply(self.ask(), key=KEY, key_spi=SPI, lifetime=100)
        self.assertEqual(answer.lifetime, 25)

    def test_without_home_flag_nobody_is_asked(self) -> None:
        """What is refused anyway costs the server nothing."""
        self.assertEqual(self.world.host(flags=0, key=None).status, 129)
        self.assertEqual(self.world.value(f"{AUTH}attempts"), 0)
