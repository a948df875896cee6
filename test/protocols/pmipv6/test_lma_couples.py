"""Where two features of an anchor meet."""

from typing import Any

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.mobility import options as opt
from appliance.protocols.mobility.aaa import ACCEPT, Authorized, Grant
from appliance.protocols.mobility.codec import decode, encode, seal
from appliance.protocols.mobility.messages import (
    BR_G,
    BR_P,
    BU_A,
    BU_B,
    BU_P,
    HB_R,
    BindingError,
    BindingRevocationIndication,
    Heartbeat,
)
from appliance.protocols.pmipv6 import revocation as br
from appliance.protocols.pmipv6.events import ClearSessions, Install, Reconfigure, Send
from appliance.protocols.pmipv6.option_settings import DelegationPool, RedirectTarget
from appliance.protocols.pmipv6.qos import ALLOCATE, DE_ALLOCATE, MODIFY
from appliance.protocols.pmipv6.settings import GlobalPeer, Profile
from test.protocols.mipv6.fakes import ALICE, CARE1, CARE2, PROFILE, HostWorld
from test.protocols.pmipv6.aaa_fakes import AaaWorld
from test.protocols.pmipv6.lma_fakes import (
    DUAL,
    LL2,
    LMA_ADDRESS,
    LMA_IPV4,
    MAG1,
    MAG2,
    MAG_IPV4,
    World,
    packed,
)
from test.protocols.pmipv6.revocation_case import RevocationTestCase
from test.protocols.pmipv6.revocation_fakes import acknowledgement, indication, named

GROUP = opt.MobileNodeGroupIdentifier(1, 5)


class AaaTests(SynchronousTestCase):
    """What AAA says meets what others say."""

    def test_other_rates(self) -> None:
        """A session that is authorized again goes on with the bit rates of the new grant at once."""
        world = AaaWorld()
        entry = world.attach(grant={"bandwidth_up": 700})
        world.again(entry.call_id)
        world.reply(world.question(), bandwidth_up=900)
        self.assertEqual([each.rate_up for each in world.of_kind(Install)], [900])
        world.again(entry.call_id)
        world.reply(world.question(), bandwidth_up=900)
        self.assertEqual(world.of_kind(Install), [])

    def test_redirected_when_granted(self) -> None:
        """Too many sessions by the time AAA has answered: its grant is given back, another anchor asks."""
        target = RedirectTarget(address=packed("2001:db8:ffff::2"))
        world = AaaWorld(redirect_targets=(target,), redirect_threshold=1)
        question = world.ask(extra=[opt.RedirectCapability()])
        world.attach(mn=b"b@x", sequence=2)
        world.tell(Authorized(token=question.token, verdict=ACCEPT, grant=Grant(session_id="s")))
        self.assertEqual(world.abandoned(), [(question.token, question.subject.call_id)])
        self.assertEqual(world.lma._sessions._reserved, set())
        self.assertEqual(world.value("binding-updates-received/pending"), 1)


class HeartbeatTests(SynchronousTestCase):
    """Heartbeats of gateways that a NAT gives one address."""

    def build(self, own: bool) -> World:
        """Two of them with a session each; ``own``: they say their own addresses."""
        world = World(
            heartbeat_interval=60, forced_udp_encapsulation=True, heartbeat_path_failure="end-sessions"
        )
        for mn, port, last in ((b"a@x", 40000, 1), (b"b@x", 40001, 2)):
            extra = [opt.IPv4CareOfAddress(bytes([10, 0, 0, last]))] if own else []
            world.send(mn=mn, source=MAG_IPV4, port=port, lifetime=9000, extra=extra)
        return world

    def answer(self, world: World, port: int, counter: int) -> None:
        """The gateway at a port answers its last request."""
        (peer,) = [each for each in world.lma.peers() if each.port == port]
        world.packet(encode(Heartbeat(HB_R, peer.sequence, [opt.RestartCounter(counter)])), MAG_IPV4, port)
        world.pass_time(0)

    def left(self, world: World) -> list[bytes]:
        """Whose sessions there are."""
        return sorted(entry.mn_id for entry in world.lma.sessions())

    def test_restart(self) -> None:
        """Each has a Restart Counter of its own, and who restarts loses its own sessions only."""
        for own in (False, True):
            world = self.build(own)
            for _ in range(3):
                world.pass_time(61)
                self.answer(world, 40000, 7)
                self.answer(world, 40001, 3)
            self.assertEqual(self.left(world), [b"a@x", b"b@x"])
            world.pass_time(61)
            self.answer(world, 40000, 7)
            self.answer(world, 40001, 4)
            self.assertEqual(self.left(world), [b"a@x"])
            name = "192.0.2.1 (10.0.0.1)" if own else "192.0.2.1 port 40000"
            self.assertEqual(world.lma.peers()[0].text, name)

    def test_path_failure(self) -> None:
        """Who answers no more loses its sessions; its neighbour, which answers, keeps its own."""
        for own in (False, True):
            world = self.build(own)
            world.pass_time(61)
            self.answer(world, 40000, 7)
            for _ in range(8):
                world.pass_time(20)
                for peer in world.lma.peers():
                    if peer.port == 40001 and peer.asked:
                        self.answer(world, 40001, 3)
            self.assertEqual(self.left(world), [b"b@x"], own)

    def test_other_port(self) -> None:
        """A NAT gives a gateway another port: known by its address if it says it, else nobody can know it."""
        for own in (False, True):
            world = self.build(own)
            world.pass_time(61)
            self.answer(world, 40000, 7)
            self.answer(world, 40001, 3)
            extra = [opt.IPv4CareOfAddress(bytes([10, 0, 0, 1]))] if own else []
            world.send(mn=b"c@x", source=MAG_IPV4, port=40002, sequence=3, lifetime=9000, extra=extra)
            for _ in range(8):
                world.pass_time(20)
                for peer in world.lma.peers():
                    if peer.port != 40000 and peer.asked:
                        self.answer(world, peer.port, 3 if peer.port == 40001 else 7)
            self.assertEqual(self.left(world), [b"a@x", b"b@x", b"c@x"], own)
            self.assertEqual(len(world.lma.peers()), 2 if own else 3)

    def test_unsupported(self) -> None:
        """Only the gateway that does not know heartbeats gets none any more."""
        world = self.build(True)
        world.pass_time(2)
        world.packet(encode(BindingError(2, bytes(16), [])), MAG_IPV4, 40001)
        self.assertEqual([each.state for each in world.lma.peers()], ["unknown", "unsupported"])

    def test_told_apart_until_the_last_session_ends(self) -> None:
        """Nothing is left of gateways without sessions, whatever ports they came from."""
        world = self.build(True)
        for port in (40000, 40001, 40000, 40005):
            last = 1 if port == 40001 else 2
            extra = [opt.IPv4CareOfAddress(bytes([10, 0, 0, last]))]
            world.send(mn=b"a@x", source=MAG_IPV4, port=port, hi=3, extra=extra, prefixes=[("::", 0)])
        gateways = world.lma._sessions.gateways
        world.lma.receive(ClearSessions(), world.now)
        world.pass_time(100_000)
        for name in ("_counts", "_ports", "_at", "_neighbours"):
            self.assertEqual(getattr(gateways, name), {}, name)


class NatTests(SynchronousTestCase):
    """Gateways that a NAT gives one address."""

    def test_each_revokes_its_own(self) -> None:
        """An indication is about the sessions of the gateway whose port it comes from."""
        world = World(
            revocation=True,
            forced_udp_encapsulation=True,
            global_peers=(GlobalPeer(address=MAG_IPV4, prefix_length=32),),
        )
        for mn, port in ((b"a@x", 40000), (b"b@x", 40001)):
            world.send(mn=mn, source=MAG_IPV4, port=port)
        for flags, trigger in ((BR_P, 1), (BR_P | BR_G, 128)):
            options = [opt.MobileNodeIdentifier(1, b"b@x")]
            message = BindingRevocationIndication(trigger, trigger, flags, options)
            world.packet(encode(message), MAG_IPV4, 40000 if trigger == 1 else 40001)
            world.pass_time(0.1)
            self.assertEqual(world.lma.session_count, 2 if trigger == 1 else 1)
        self.assertEqual([entry.mn_id for entry in world.lma.sessions()], [b"a@x"])


    def test_groups(self) -> None:
        """Each has groups of its own: the same number is not the same group, and one extends its own only."""
        world = World(accept_bulk=True, forced_udp_encapsulation=True)
        for mn, port in ((b"a@x", 40000), (b"b@x", 40001)):
            flags = BU_A | BU_P | BU_B
            world.send(mn=mn, source=MAG_IPV4, port=port, flags=flags, extra=[GROUP], lifetime=100)
        world.pass_time(200)
        how: dict[str, Any] = {"mn": None, "prefixes": [], "ll": None, "extra": [GROUP], "lifetime": 100}
        world.send(source=MAG_IPV4, port=40001, sequence=2, **how)
        world.pass_time(250)
        self.assertEqual([entry.mn_id for entry in world.lma.sessions()], [b"b@x"])

    def test_cleared_with_one_message_each(self) -> None:
        """All sessions are revoked: those of each gateway end when that gateway has answered."""
        world = World(revocation=True, forced_udp_encapsulation=True, revocation_timeout=10)
        for mn, port in ((b"a@x", 40000), (b"b@x", 40001)):
            world.send(mn=mn, source=MAG_IPV4, port=port)
        world.lma.receive(ClearSessions(trigger=128), world.now)
        sent = {each.port: each.data for each in world.lma.take() if isinstance(each, Send)}
        self.assertEqual(sorted(sent), [40000, 40001])
        answer = acknowledgement(decode(sent[40001])[0], MAG_IPV4, LMA_IPV4)
        world.packet(answer, MAG_IPV4, 40001)
        world.pass_time(0.1)
        self.assertEqual([entry.mn_id for entry in world.lma.sessions()], [b"a@x"])


class HostTests(SynchronousTestCase):
    """Hosts in the binding cache."""

    def several(self) -> list[Any]:
        """Two care-of addresses."""
        return [opt.BindingIdentifier(n, 0, 0, care) for n, care in ((1, CARE1), (2, CARE2))]

    def test_rates(self) -> None:
        """The limits of a subscriber hold for its hosts; a change of them leaves all tunnel ends."""
        world = HostWorld(profiles=(evolve(PROFILE, bandwidth_up=700),), simul_bindings=3)
        answer = world.host(bids=self.several())
        assert answer is not None and answer.status == 0
        self.assertEqual(world.of_kind(Install)[0].rate_up, 700)
        changed = evolve(world.settings, profiles=(evolve(PROFILE, bandwidth_up=900),))
        world.lma.receive(Reconfigure(changed), world.now)
        world.pass_time(0.1)
        (made,) = world.of_kind(Install)
        self.assertEqual((made.rate_up, made.peer, made.others), (900, CARE1, (CARE2,)))

    def test_rates_changed_and_changed_back(self) -> None:
        """A session that was made between two changes of settings ends up with the last ones."""
        world = World()
        world.send()
        for rate in (300, 0):
            profile = evolve(DUAL, bandwidth_up=rate)
            world.lma.receive(Reconfigure(evolve(world.settings, default_profile=profile)), world.now)
            if rate:
                world.send(mn=b"new@x", sequence=2)
                self.assertEqual(world.of_kind(Install)[0].rate_up, 300)
        world.lma.take()
        world.pass_time(0.1)
        rates = {each.call_id: each.rate_up for each in world.of_kind(Install)}
        self.assertEqual(set(rates.values()), {0})
        self.assertEqual(len(rates), 2)

    def test_no_gateway_revokes_a_host(self) -> None:
        """A host whose care-of address is a gateway's is none of its sessions."""
        world = HostWorld(revocation=True)
        world.host(care_of=MAG1)
        options = [opt.MobileNodeIdentifier(1, ALICE)]
        world.packet(indication(1, options, MAG1, LMA_ADDRESS, BR_P))
        self.assertEqual(world.lma.session_count, 1)


class RevocationTests(RevocationTestCase):
    """Revocation meets handovers and other revocations."""

    def test_moved_while_asked(self) -> None:
        """The former gateway's answer to HI 4 does not touch a session that has moved meanwhile."""
        world = self.make()
        world.send()
        world.mono += 1
        world.packet(*world.build(source=packed("2001:db8:b::2"), hi=4, ll=LL2, sequence=5))
        message = self.sent()
        world.mono += 0.1
        world.packet(*world.build(source=MAG2, hi=3, sequence=6))
        self.reply(message, 0)
        (entry,) = world.lma.sessions()
        self.assertEqual((entry.care_of, entry.deleting), (MAG2, False))
        # What had asked waits as it does without revocation.
        world.pass_time(1.6)
        self.assertEqual(world.value("binding-updates-received/pending"), 0)

    def test_whole_session_after_address(self) -> None:
        """A session that is cleared while its IPv4 home address is revoked: its gateway hears of both."""
        world = self.make()
        world.send(ipv4=["0.0.0.0"])
        self.tell(ClearSessions(ipv4_only=True))
        first = self.sent()
        self.tell(ClearSessions())
        second = self.sent()
        self.assertEqual(len(named(second)[1]), 1)
        self.reply(first)
        self.assertEqual(world.lma.session_count, 1)
        self.reply(second)
        self.assertEqual(world.lma.session_count, 0)

    def test_cleared_twice(self) -> None:
        """A queue of revocations whose gateway turns out to know none: nothing ends twice."""
        self.patch(br, "OUTSTANDING", 2)
        self.patch(br, "PER_TICK", 2)
        world = self.make(revocation_pending="accept")
        world.send(mn=b"first@x", source=MAG2)
        for number in range(29):
            world.send(mn=b"%d@x" % number)
        self.tell(ClearSessions())
        world.mono += 0.1
        world.packet(*world.build(mn=b"first@x", source=MAG2, hi=5, sequence=2))
        world.packet(seal(encode(BindingError(2, bytes(16), [])), MAG1, LMA_ADDRESS))
        self.assertGreater(world.lma.session_count, 9)
        self.tell(ClearSessions())
        self.wait(8)
        self.assertEqual(world.lma.session_count, 0)
        self.assertEqual(world.value("total-disconnects/admin-drops"), 30)


class GroupTests(SynchronousTestCase):
    """Tables that a gateway could fill."""

    def test_flood_of_group_updates(self) -> None:
        """However many updates of a group come, one extension of it is carried out."""
        world = World()
        world.send(flags=BU_A | BU_P | BU_B, extra=[GROUP])
        for number in range(9):
            world.mono += 0.01
            world.send(
                mn=None, prefixes=[], ll=None, hi=5, sequence=2 + number, extra=[GROUP],
                time=world.now.wall,
            )  # fmt: skip
            self.assertEqual(len(world.lma._bulk._extensions), 1)

    def test_qos_classes(self) -> None:
        """RFC 7222 section 5.2: no request is changed to the class of another; eight are the most."""
        world = World()

        def ask(operation: int, sr_id: int, dscp: int) -> opt.QualityOfService:
            return opt.QualityOfService(sr_id, dscp << 2, operation, [])

        world.send(extra=[ask(ALLOCATE, 0, 10)])
        for number in range(300):
            answer: Any = world.send(hi=5, sequence=2 + 2 * number, extra=[ask(ALLOCATE, 0, 20)])
            sr_id = max(each.sr_id for each in answer.options if isinstance(each, opt.QualityOfService))
            answer = world.send(hi=5, sequence=3 + 2 * number, extra=[ask(MODIFY, sr_id, 10)])
            self.assertEqual(answer.status, 179)
        (entry,) = world.lma.sessions()
        self.assertLess(len(entry.extras.qos), 3)

    def test_answers_that_would_be_too_long(self) -> None:
        """An update as long as can be: its answer leaves options out rather than not to be sent."""
        target = RedirectTarget(address=packed("2001:db8:ffff::2"))
        for redirects in (False, True):
            world = World(load_information=True, redirect_targets=(target,) if redirects else ())
            long = [
                opt.QualityOfService(n, 0, DE_ALLOCATE, [(1, bytes(235 + 5 * (n < 6)))]) for n in range(7)
            ]
            answer = world.send(extra=[opt.RedirectCapability(), *long])
            assert answer is not None
            self.assertEqual((answer.status, world.lma.session_count), (0, 1))
            self.assertEqual(world.value("binding-acknowledgements-sent/accepted-reg"), 1)

    def test_delegated_prefixes_over_the_most(self) -> None:
        """What an update names beyond the most that a session may have is not taken."""
        pool = DelegationPool(name="D6", prefix=packed("2001:db8:d::"), prefix_length=54, delegated_length=60)
        four = DelegationPool(name="D4", prefix=packed("10.0.0.0"), prefix_length=26, delegated_length=28)
        own = tuple((packed(f"2001:db8:e:{number:x}00::"), 56) for number in range(16))
        profile = Profile(name="d", delegation=True, delegated=own)
        world = World(prefix_delegation=True, delegation_pools=(pool, four), default_profile=profile)
        any6 = opt.DelegatedMobileNetworkPrefix(0, bytes(16))
        world.send(extra=[any6])
        (entry,) = world.lma.sessions()
        self.assertEqual(len(entry.extras.delegated), 16)
        named4 = opt.DelegatedMobileNetworkPrefix(28, packed("10.0.0.16"))
        world.send(hi=5, sequence=2, extra=[any6, named4])
        (delegation,) = [each for each in world.lma._features.all if hasattr(each, "prefixes")]
        self.assertEqual(set(delegation.prefixes.owners), set(entry.extras.delegated))
