"""What a home agent says to hosts by itself: another home agent, refresh, revocation; and home addresses."""

from types import SimpleNamespace
from typing import Any

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.mipv6.events import AddressTested, AskRefresh, SendRouted, SwitchHosts, TestAddress
from appliance.protocols.mobility import aaa
from appliance.protocols.mobility import status as codes
from appliance.protocols.mobility.aaa import Authorize, Authorized, Grant, SessionEnds
from appliance.protocols.mobility.codec import decode, encode, seal, verify
from appliance.protocols.mobility.discovery_messages import reserved
from appliance.protocols.mobility.messages import (
    BindingError,
    BindingRefreshRequest,
    BindingRevocationAcknowledgement,
    BindingRevocationIndication,
    HomeAgentSwitch,
)
from appliance.protocols.mobility.options import Authentication, BindingRefreshAdvice
from appliance.protocols.mobility.packet import MobilityPacket, build_ipv6
from appliance.protocols.pmipv6.agent_settings import AgentEntry
from appliance.protocols.pmipv6.events import ClearSessions, Reconfigure, Send
from appliance.protocols.pmipv6.settings import Association, PrefixPool, Profile
from test.protocols.mipv6.fakes import (
    ALICE,
    BOB,
    CARE1,
    CARE2,
    HOME,
    HOME2,
    HOSTS,
    KEY,
    PROFILE,
    SPI,
    HostWorld,
    mn_ha,
)
from test.protocols.pmipv6.aaa_fakes import group
from test.protocols.pmipv6.lma_fakes import LMA_ADDRESS, POOL, option, packed

A, B = packed("2001:db8:100::a1"), packed("2001:db8:100::a2")
BOB_PROFILE = Profile(name=BOB.decode(), mn_id=BOB, associations=(Association(spi=SPI, key=KEY),))
NOWHERE = bytes(16)
_TOLD, _BR = "messages-to-hosts/", "binding-revocation/"


class MessageCase(SynchronousTestCase):
    """A home agent with hosts, and what it says to them."""

    CHANGES: dict[str, Any] = {}

    def setUp(self) -> None:
        """A fresh one."""
        self.world = HostWorld(profiles=(PROFILE, BOB_PROFILE), **self.CHANGES)

    def feed(self, event: Any) -> list[Any]:
        """Give it an event; returns what it does at once."""
        self.world._before = self.world.counters.snapshot()
        self.world.lma.receive(event, self.world.now)
        self.world.effects = self.world.lma.take()
        return self.world.effects + self.world.pass_time(0)

    def step(self, seconds: float, by: float = 0.5) -> list[tuple[float, Any]]:
        """Let time go by in small steps; returns messages to hosts with their times."""
        found: list[tuple[float, Any]] = []
        for _ in range(round(seconds / by)):
            found += [(self.world.mono, each) for each in self.told(self.world.pass_time(by))]
        return found

    def told(self, effects: list[Any]) -> list[Any]:
        """The messages to hosts among effects but acknowledgements; each is authentic."""
        found = []
        for each in effects:
            if isinstance(each, SendRouted) and each.data[2] != 6:
                self.assertTrue(verify(each.data, each.source, each.home))
                message, faults = decode(each.data)
                self.assertEqual(faults, ())
                assert message is not None
                last = message.options[-1]
                assert isinstance(last, Authentication)
                self.assertEqual(last.authenticator, mn_ha(each.data, each.destination, each.home, KEY))
                found.append(message)
        return found


class SwitchTests(MessageCase):
    """RFC 5142."""

    def test_list_and_retransmission(self) -> None:
        """The list by preference without us; again after 5, 10 and 20 s; 129 for who wants to stay."""
        agents = (AgentEntry(address=A, preference=1), AgentEntry(address=B, preference=2))
        self.world = HostWorld(mipv6_agents=agents)
        self.world.host(lifetime=150)
        (first,) = self.told(self.feed(SwitchHosts()))
        assert isinstance(first, HomeAgentSwitch)
        self.assertEqual(first.addresses, [B, A])
        start = self.world.mono
        times = [round(when - start) for when, _ in self.step(100)]
        self.assertEqual(times, [5, 15, 35])
        answer = self.world.host()
        assert answer is not None
        self.assertEqual(answer.status, 129)
        (entry,) = self.world.lma.sessions()
        self.assertIn(("Home Agent Switch", "Sent 4 times"), self.world.lma.details(entry))
        self.assertEqual(self.world.value(_TOLD + "home-agent-switch-retries"), 3)

    def test_done(self) -> None:
        """A de-registration acknowledges it; others are not touched."""
        self.world.host()
        self.world.host(mn=BOB, home=HOME2)
        (sent,) = self.told(self.feed(SwitchHosts(mn_id=ALICE, agents=(A,), grace=60)))
        self.assertEqual((sent.addresses, option(sent, BindingRefreshAdvice).interval), ([A], 15))
        answer = self.world.host(mn=BOB, home=HOME2)
        assert answer is not None
        self.assertEqual(answer.status, 0)
        answer = self.world.host(lifetime=0)
        assert answer is not None
        self.assertEqual(answer.status, 0)
        self.assertEqual(self.step(60), [])
        self.assertEqual(self.world.value(_TOLD + "home-agent-switch-done"), 1)

    def test_rate(self) -> None:
        """One host a second, or as many as the operator says (section 7)."""
        for rate in (1, 10):
            self.world = HostWorld(mipv6_switch_rate=rate)
            for number in range(20):
                home = packed(f"2001:db8:100::{number + 16:x}")
                self.world.host(home=home, care_of=packed(f"2001:db8:c::{number + 1:x}"))
            self.feed(SwitchHosts())
            self.step(4.9, 0.05)
            self.assertEqual(self.world.value(_TOLD + "home-agent-switch-sent"), 5 if rate == 1 else 20)

    def test_unknown(self) -> None:
        """A Binding Error ends the repetitions, with and without a Home Address option."""
        for by_option in (True, False):
            self.world = HostWorld()
            self.world.host()
            self.feed(SwitchHosts())
            if by_option:
                self.world.carry(encode(BindingError(2, NOWHERE, [])), HOME, CARE1)
            else:
                self.world.packet(seal(encode(BindingError(2, NOWHERE, [])), CARE1, LMA_ADDRESS), CARE1)
            self.assertEqual(self.world.value(_TOLD + "home-agent-switch-unknown"), 1)
            self.assertEqual(self.step(60), [])
            self.assertEqual(self.world.lma.session_count, 1)


class RefreshTests(MessageCase):
    """RFC 6275 sections 6.1.2 and 9.5.5."""

    CHANGES = {"mipv6_refresh_request": 40}

    def test_before_the_end(self) -> None:
        """40 s before, and 10 s before; not for one that was refreshed, nor for a shorter lifetime."""
        self.world.host(lifetime=50)
        start = self.world.mono
        found = self.step(199)
        self.assertEqual([round(when - start) for when, _ in found], [160, 190])
        self.assertTrue(all(isinstance(message, BindingRefreshRequest) for _, message in found))
        self.world.host(lifetime=50)
        self.step(100)
        self.world.host(lifetime=50)
        self.assertEqual(self.step(100), [])
        self.world.host(lifetime=10)
        self.assertEqual(self.step(39), [])

    def test_at_an_operators_word(self) -> None:
        """One host, or all; also without the setting."""
        self.world.host()
        self.world.host(mn=BOB, home=HOME2)
        self.assertEqual(len(self.told(self.feed(AskRefresh(mn_id=BOB)))), 1)
        self.assertEqual(len(self.told(self.feed(AskRefresh()))), 2)
        self.assertEqual(self.world.value(_TOLD + "binding-refresh-requests-sent"), 3)

    def test_changed(self) -> None:
        """Another time holds from the next update on."""
        self.world.host(lifetime=50)
        self.world.settings = evolve(self.world.settings, mipv6_refresh_request=0)
        self.feed(Reconfigure(self.world.settings))
        self.assertEqual(self.step(199), [])


class RevocationTests(MessageCase):
    """RFC 5846 sections 7 and 10."""

    CHANGES = {"revocation": True}

    def acknowledge(self, sequence: int, status: int = 0, flags: int = 0, **what: Any) -> None:
        """An acknowledgement of the host."""
        self.world._before = self.world.counters.snapshot()
        message = BindingRevocationAcknowledgement(status, sequence, flags, what.get("options", []))
        mh = encode(message)
        home, care_of, key = what.get("home", HOME), what.get("care_of", CARE1), what.get("key", KEY)
        if key is not None:
            message.options.append(Authentication(1, SPI, bytes(12)))
            mh = encode(message)
            mh = mh[:-12] + mn_ha(mh, care_of, home, key)
        self.world.carry(mh, home, care_of)

    def test_cleared(self) -> None:
        """P clear, no options but the authenticator; the binding ends with the answer."""
        self.world.host()
        (sent,) = self.told(self.feed(ClearSessions(mn_id=ALICE)))
        assert isinstance(sent, BindingRevocationIndication)
        self.assertEqual((sent.trigger, sent.flags, len(sent.options)), (codes.REVOKE_ADMINISTRATIVE, 0, 1))
        (entry,) = self.world.lma.sessions()
        self.assertIn("Revocation In Progress", dict(self.world.lma.details(entry)))
        self.assertIsNone(self.world.host())
        self.assertEqual(self.world.moved(), {"binding-updates-discard-reasons/revocation-pending": 1})
        self.acknowledge(sent.sequence, key=KEY)
        self.assertEqual(self.world.lma.session_count, 0)
        self.assertEqual(self.world.value(_BR + "ack-rcvd"), 1)
        self.assertEqual(self.world.value("total-disconnects/admin-drops"), 1)

    def test_every_trigger_and_status(self) -> None:
        """Whatever the host says, the binding ends (section 6.2.2: policy)."""
        for trigger in (0, 1, 5, 6, 250):
            for status in (0, 1, 128, 129, 133, 134, 135, 77):
                self.world.host()
                (sent,) = self.told(self.feed(ClearSessions(mn_id=ALICE, trigger=trigger)))
                self.assertEqual(sent.trigger, trigger)
                self.acknowledge(sent.sequence, status)
                self.assertEqual(self.world.lma.session_count, 0, (trigger, status))

    def test_aaa(self) -> None:
        """What AAA ends is revoked with its reason."""
        self.world.host()
        (entry,) = self.world.lma.sessions()
        (sent,) = self.told(self.feed(SessionEnds(call_id=entry.call_id, cause=aaa.ADMINISTRATIVE)))
        self.assertEqual(sent.trigger, codes.REVOKE_USER_TERMINATION)

    def test_pool_removed(self) -> None:
        """What no pool covers any more is revoked by policy."""
        self.world.host()
        self.world.settings = evolve(self.world.settings, prefix_pools=(POOL,), mipv6_pools=())
        (sent,) = self.told(self.feed(Reconfigure(self.world.settings)))
        self.assertEqual(sent.trigger, codes.REVOKE_ADMINISTRATIVE)

    def test_silence(self) -> None:
        """Again after 1 s, given up at 3 s."""
        self.world.host()
        (sent,) = self.told(self.feed(ClearSessions(mn_id=ALICE)))
        start = self.world.mono
        found = self.step(4, 0.1)
        self.assertEqual([round(when - start, 1) for when, _ in found], [1.0])
        self.assertEqual(found[0][1].sequence, sent.sequence)
        self.assertEqual(self.world.lma.session_count, 0)
        self.assertEqual(self.world.value(_BR + "not-acknowledged"), 1)

    def test_moved_left_and_forged(self) -> None:
        """The answer may come from elsewhere; another host's, or one with a wrong key, is none."""
        self.world.host()
        self.world.host(mn=BOB, home=HOME2)
        (sent,) = self.told(self.feed(ClearSessions(mn_id=ALICE)))
        self.acknowledge(sent.sequence, home=HOME2)
        self.acknowledge(sent.sequence + 1)
        self.assertEqual(self.world.value("binding-revocation-ack-discarded/matching-request-not-found"), 2)
        self.acknowledge(sent.sequence, key=b"x" * 16)
        # RFC 5846 section 6: protected as the updates are.
        self.acknowledge(sent.sequence, key=None)
        self.acknowledge(sent.sequence, flags=0x8000)
        self.assertEqual(self.world.value("binding-revocation-ack-discarded/badly-formed-request"), 3)
        self.assertEqual(self.world.lma.session_count, 2)
        self.acknowledge(sent.sequence, care_of=CARE2)
        self.assertEqual(self.world.lma.session_count, 1)
        (sent,) = self.told(self.feed(ClearSessions(mn_id=BOB)))
        self.assertIsNotNone(self.world.host(mn=BOB, home=HOME2, lifetime=0))
        self.assertEqual(self.step(5), [])

    def test_unusable(self) -> None:
        """What cannot be read counts by its reason, as of a gateway; with revocation off it is ignored."""
        self.world.host()
        good = encode(BindingRevocationAcknowledgement(0, 7, 0, []))
        cut = good[:1] + b"\5" + good[2:]
        spoilt = {
            "invalid-buffer-length": cut,
            "invalid-message-type": good[:6] + b"\3" + good[7:],
            "decode-error": good[:1] + b"\2" + good[2:] + b"\x08\x63\1abcde",
        }
        for reason, mh in spoilt.items():
            self.world.carry(mh, HOME, CARE1)
            self.assertEqual(self.world.value(f"binding-revocation-ack-discarded/{reason}"), 1, reason)
        self.assertEqual(self.world.value("other-mobility-messages/received"), 3)
        self.world.settings = evolve(self.world.settings, revocation=False)
        self.feed(Reconfigure(self.world.settings))
        self.world.carry(cut, HOME, CARE1)
        self.assertEqual(self.world.value("binding-revocation-ack-discarded/total"), 3)
        self.assertEqual(self.world.value("other-mobility-messages/ignored"), 1)

    def test_unknown_there(self) -> None:
        """A host that knows no revocation is not told again; its binding ends."""
        self.world.host()
        self.feed(ClearSessions(mn_id=ALICE))
        self.world.carry(encode(BindingError(2, NOWHERE, [])), HOME, CARE1)
        self.assertEqual(self.world.lma.session_count, 0)
        self.world.host()
        self.assertEqual(self.told(self.feed(ClearSessions(mn_id=ALICE))), [])
        self.assertEqual(self.world.lma.session_count, 0)

    def test_a_strangers_error(self) -> None:
        """RFC 6275 section 9.3.1: who is bound elsewhere, or not at all, speaks for no host."""
        self.world.host()
        (sent,) = self.told(self.feed(ClearSessions(mn_id=ALICE)))
        error = encode(BindingError(2, NOWHERE, []))
        self.world.carry(error, HOME, CARE2)
        self.world.tunnelled(build_ipv6(MobilityPacket(HOME, LMA_ADDRESS, error)))
        self.assertEqual(self.world.lma.session_count, 1)
        self.acknowledge(sent.sequence)
        self.world.host()
        self.assertEqual(len(self.told(self.feed(ClearSessions(mn_id=ALICE)))), 1)

    def test_without_keys(self) -> None:
        """There the answer comes from where the host is bound."""
        known = evolve(PROFILE, associations=(), home_addresses=(HOME,))
        self.world = HostWorld(mipv6_authentication="optional", profiles=(known,), **self.CHANGES)
        self.world.host(key=None)
        sent = [each for each in self.feed(ClearSessions(mn_id=ALICE)) if isinstance(each, SendRouted)]
        message, _ = decode(sent[0].data)
        assert isinstance(message, BindingRevocationIndication)
        self.acknowledge(message.sequence, key=None, care_of=CARE2)
        self.assertEqual(self.world.lma.session_count, 1)
        self.acknowledge(message.sequence, key=None)
        self.assertEqual(self.world.lma.session_count, 0)

    def test_accepted_meanwhile(self) -> None:
        """By the operator's policy an update keeps the binding."""
        self.world.settings = evolve(self.world.settings, revocation_pending="accept")
        self.feed(Reconfigure(self.world.settings))
        self.world.host()
        self.feed(ClearSessions(mn_id=ALICE))
        answer = self.world.host()
        assert answer is not None
        self.assertEqual(answer.status, 0)
        self.step(5)
        self.assertEqual(self.world.lma.session_count, 1)

    def test_realm(self) -> None:
        """Hosts of a realm are told one by one."""
        self.world.host()
        self.world.host(mn=BOB, home=HOME2)
        event = ClearSessions(mn_id=b"@example.org", trigger=codes.REVOKE_LOCAL_POLICY)
        found = self.told(self.feed(event))
        self.assertEqual([each.flags for each in found], [0, 0])

    def test_an_indication_of_a_host(self) -> None:
        """Only its home agent revokes a host's binding."""
        self.world.host()
        self.world.carry(encode(BindingRevocationIndication(1, 5, 0, [])), HOME, CARE1)
        self.assertEqual((self.world.lma.session_count, self.world.value(_BR + "discarded")), (1, 1))

    @settings(max_examples=100, deadline=None)
    @given(st.binary(min_size=2, max_size=60))
    def test_anything(self, data: bytes) -> None:
        """Nothing that a host sends raises."""
        data = data[: len(data) // 8 * 8 + 2]
        mh = b"\x3b" + bytes((max(0, (len(data) + 5) // 8 - 1),)) + b"\x10\0\0\0" + data
        mh += bytes(-len(mh) % 8)
        mh = mh[:1] + bytes((len(mh) // 8 - 1,)) + mh[2:]
        self.world.host()
        self.world.carry(mh, HOME, CARE1)


class AssignmentTests(MessageCase):
    """Home addresses for hosts without one."""

    CHANGES = {"mipv6_assign": True}

    def ask(self, **what: Any) -> Any:
        """An update from the unspecified address; checks the authenticator of the answer."""
        answer = self.world.host(home=NOWHERE, **what)
        sent = [
            each for each in self.world.effects if isinstance(each, Send | SendRouted) and each.data[2] == 6
        ]
        if sent and isinstance(answer.options[-1], Authentication):
            home = getattr(sent[0], "home", NOWHERE)
            wanted = mn_ha(sent[0].data, what.get("care_of", CARE1), home, KEY)
            self.assertEqual(answer.options[-1].authenticator, wanted)
        return answer

    def test_assigned(self) -> None:
        """The routing header tells the address, which is in a served pool and none of the reserved ones."""
        answer = self.ask()
        self.assertEqual(answer.status, 0)
        (sent,) = self.world.of_kind(SendRouted)
        self.assertEqual(sent.home[:8], HOSTS.prefix[:8])
        self.assertFalse(reserved(sent.home, 64))
        self.assertEqual(self.world.value(_TOLD + "home-addresses-assigned"), 1)
        # Its acknowledgement was lost: it asks again, and has the same.
        self.ask()
        self.assertEqual(self.world.of_kind(SendRouted)[0].home, sent.home)
        self.assertEqual(self.world.lma.session_count, 1)
        # Now it knows it.
        answer = self.world.host(home=sent.home, care_of=CARE2)
        self.assertEqual((answer.status, self.world.of_kind(SendRouted)[0].home), (0, sent.home))
        answer = self.world.host(home=sent.home, lifetime=0)
        self.assertEqual(answer.status, 0)
        self.world.pass_time(20)
        self.ask()
        self.assertEqual(self.world.of_kind(SendRouted)[0].home, sent.home)

    def test_its_own(self) -> None:
        """A host whose profile names a home address gets that one."""
        self.world = HostWorld(mipv6_assign=True, profiles=(evolve(PROFILE, home_addresses=(HOME2,)),))
        self.ask()
        self.assertEqual(self.world.of_kind(SendRouted)[0].home, HOME2)

    def test_not_assigned(self) -> None:
        """Off; without a name; to leave; with a wrong key; from a pool that is full."""
        self.assertEqual(self.ask(key=b"x" * 16).status, 146)
        self.assertIsInstance(self.world.effects[0], Send)
        self.assertIsNone(self.ask(mn=None))
        self.assertIsNone(self.ask(lifetime=0))
        self.world = HostWorld()
        self.assertIsNone(self.ask())
        tiny = PrefixPool(
            name="HOSTS",
            prefix=packed("2001:db8:100::8"),
            prefix_length=127,
            delegated_length=128,
            static=True,
        )
        self.world = HostWorld(mipv6_assign=True, prefix_pools=(POOL, tiny), profiles=(PROFILE, BOB_PROFILE))
        self.ask()
        self.ask(mn=BOB, care_of=CARE2)
        self.world.host(mn=ALICE, home=packed("2001:db8:100::9"))
        answer = self.world.host(mn=b"carol@example.org", home=NOWHERE)
        self.assertEqual(answer.status, 130)

    def test_searches(self) -> None:
        """A small pool is searched from end to end a few times a second only, whoever asks for it."""
        assigner = self.world.lma.hosts._assigner
        request = SimpleNamespace(mn_id=b"somebody", now=self.world.now)
        tried = [len(list(assigner._candidates(request, HOSTS.prefix, 120))) for _ in range(30)]
        self.assertEqual(tried, 20 * [64 + 256] + 10 * [64])
        self.world.mono += 1
        request.now = self.world.now
        self.assertEqual(len(list(assigner._candidates(request, HOSTS.prefix, 120))), 64 + 256)

    def test_reserved(self) -> None:
        """No host registers the anycast address of the home agents, or of the routers."""
        for text in ("2001:db8:100:0:fdff:ffff:ffff:fffe", "2001:db8:100::"):
            answer = self.world.host(home=packed(text))
            assert answer is not None
            self.assertEqual(answer.status, 129)

    def test_pool_of_the_subscriber(self) -> None:
        """A subscriber's pool line chooses among the served pools."""
        other = PrefixPool(
            name="MORE", prefix=packed("2001:db8:200::"), prefix_length=64, delegated_length=128, static=True
        )
        self.world = HostWorld(
            mipv6_assign=True,
            prefix_pools=(POOL, HOSTS, other),
            mipv6_pools=("HOSTS", "MORE"),
            profiles=(evolve(PROFILE, prefix_pool="MORE"),),
        )
        self.ask()
        self.assertEqual(self.world.of_kind(SendRouted)[0].home[:8], other.prefix[:8])

    def test_taken_on_the_link(self) -> None:
        """An address that another node has is not tried again."""
        self.world = HostWorld(mipv6_assign=True, mipv6_home_link="home0")
        self.ask()
        (test,) = self.world.of_kind(TestAddress)
        self.feed(AddressTested(test.token, "is in use"))
        self.world.pass_time(1)
        self.ask()
        (again,) = self.world.of_kind(TestAddress)
        self.assertNotEqual(again.addresses, test.addresses)

    def test_by_aaa(self) -> None:
        """AAA is asked about the unspecified address, and gives one, or a prefix."""
        for granted in (HOME2, HOME2[:8] + bytes(8), b""):
            self.world = HostWorld(
                mipv6_assign=True, aaa=group(), aaa_group="g", profiles=(Profile(name="x", mn_id=ALICE),)
            )
            self.world.host(home=NOWHERE, key=None, aaa=bytes(20))
            (question,) = self.world.of_kind(Authorize)
            self.assertEqual(question.subject.home_address, NOWHERE)
            grant = Grant(session_id="s", home_address=granted, key=KEY, key_spi=SPI, key_lifetime=600)
            found = self.feed(Authorized(token=question.token, verdict=aaa.ACCEPT, grant=grant))
            (sent,) = [each for each in found if isinstance(each, SendRouted)]
            self.assertEqual(sent.data[6], 0)
            self.assertEqual(sent.home[:8], HOME2[:8])
            self.assertEqual(sent.home == HOME2, granted == HOME2)
