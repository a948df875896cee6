"""Quality of service (RFC 7222): what is agreed, refused, offered; and what the tunnel enforces."""

from typing import Any

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.counters import LMA, CounterSet
from appliance.protocols.mobility import status as codes
from appliance.protocols.mobility.aaa import Grant
from appliance.protocols.mobility.codec import decode, encode, seal
from appliance.protocols.mobility.messages import UPN_A, UpdateNotification, UpdateNotificationAcknowledgement
from appliance.protocols.mobility.options import MobileNodeIdentifier, QualityOfService
from appliance.protocols.pmipv6 import qos
from appliance.protocols.pmipv6.events import Install, MobileAttached, PacketReceived, Reconfigure, Send
from appliance.protocols.pmipv6.qos import ALLOCATE, DE_ALLOCATE, MODIFY, NEGOTIATE, QUERY, RESPONSE
from appliance.protocols.pmipv6.settings import Profile, QosWish
from appliance.tun.forwarding import Forwarding
from appliance.tun.session import Bucket
from test.protocols.pmipv6 import lma_fakes, mag_fakes
from test.protocols.pmipv6.lma_fakes import DUAL, LMA_ADDRESS, MAG1, MAG2, World
from test.protocols.pmipv6.mag_fakes import MN, NAI, MagTestCase, of
from test.protocols.pmipv6.test_mag_lma import ANCHOR, GATEWAYS, Network
from test.tun.test_forwarding import udp6

MBIT = 1_000_000
CN = lma_fakes.packed("2001:db8:eeee::80")


def rate(kind: int, bits: int, flags: int = 0) -> tuple[int, bytes]:
    """A bit rate attribute."""
    return kind, bytes((flags, 0)) + bits.to_bytes(4, "big")


def ask(*attributes: tuple[int, bytes], operation: int = ALLOCATE, sr_id: int = 0, dscp: int = 10) -> Any:
    """A QoS option."""
    return QualityOfService(sr_id, dscp << 2, operation, list(attributes))


def told(world: World) -> list[Any]:
    """The QoS options of the last answer."""
    return of(world.answer(), QualityOfService)


def rates(world: World) -> tuple[int, int, int | None]:
    """What the last Install lets through."""
    effect = world.of_kind(Install)[-1]
    return effect.rate_up, effect.rate_down, effect.traffic_class


RATE = bytes(4) + b"\1\0"
BOTH = (rate(3, 5 * MBIT), rate(4, MBIT))


class AnchorTests(SynchronousTestCase):
    """RFC 7222 section 5.1."""

    def limited(self, **fields: Any) -> World:
        """An anchor whose mobile nodes may have 2 Mbit/s down and 1 up."""
        profile = evolve(DUAL, bandwidth_down=2 * MBIT, bandwidth_up=MBIT)
        return World(default_profile=evolve(profile, **fields))

    def test_allocate(self) -> None:
        """What can be given whole is answered as it was asked for, with a number, and enforced."""
        world = World()
        answer = world.send(extra=[ask(*BOTH)])
        self.assertEqual(answer.status, 0)
        self.assertEqual(told(world), [ask(*BOTH, operation=RESPONSE, sr_id=1)])
        self.assertEqual(rates(world), (MBIT, 5 * MBIT, 40))
        details = dict(world.lma.details(next(world.lma.sessions())))
        self.assertEqual(details["QoS Request 1"], "DSCP 10, down 5000000 bit/s (3), up 1000000 bit/s (4)")
        self.assertEqual(details["QoS Enforced"], "up 1000000, down 5000000 (bit/s)")

    def test_limit_without_request(self) -> None:
        """The limits of a subscriber are shown, though the gateway has asked for nothing."""
        world = self.limited()
        world.send()
        details = dict(world.lma.details(next(world.lma.sessions())))
        self.assertEqual(details["QoS Enforced"], "up 1000000, down 2000000 (bit/s)")

    def test_octets(self) -> None:
        """The option of the answer, octet by octet, as RFC 7222 section 4.1 draws it."""
        world = World()
        world.send(extra=[ask(*BOTH)])
        data = next(effect for effect in world.effects if isinstance(effect, Send)).data
        option = bytes.fromhex("3a16 01 28 00 000000 0306 0000 004c4b40 0406 0000 000f4240")
        self.assertIn(option, data)
        self.assertEqual(data.index(option) % 4, 0)

    def test_negotiate(self) -> None:
        """Less than was asked for is offered, and nothing is kept until it is asked for."""
        world = self.limited()
        answer = world.send(extra=[ask(*BOTH, rate(8, MBIT))])
        self.assertEqual(answer.status, 0)
        offer = ask(rate(3, 2 * MBIT), rate(4, MBIT), operation=NEGOTIATE)
        self.assertEqual(told(world), [offer])
        self.assertEqual(rates(world), (MBIT, 2 * MBIT, None))
        world.send(hi=5, extra=[ask(*offer.attributes)])
        self.assertEqual([each.operation for each in told(world)], [RESPONSE])
        self.assertEqual(rates(world), (MBIT, 2 * MBIT, 40))

    def test_refuse(self) -> None:
        """Nothing that can be given is status 179 without the option; the session is made, and counted so."""
        for world, option in ((self.limited(qos_requests=False), ask(*BOTH)), (World(), ask(rate(8, MBIT)))):
            answer = world.send(extra=[option])
            self.assertEqual((answer.status, told(world)), (179, []))
            self.assertEqual((world.lma.session_count, answer.lifetime), (1, 900))
            self.assertEqual(world.value("initial-binding-update-requests/accepted"), 1)

    def test_parts(self) -> None:
        """Of several requests those that cannot be met are left out."""
        world = World()
        world.send(extra=[ask(*BOTH), ask(rate(9, 5), dscp=12)])
        self.assertEqual(told(world), [ask(*BOTH, operation=NEGOTIATE)])

    def test_modify(self) -> None:
        """A request is changed by its number; one that is not known is refused."""
        world = World()
        world.send(extra=[ask(*BOTH)])
        world.send(hi=5, extra=[ask(rate(3, MBIT), operation=MODIFY, sr_id=1, dscp=20)])
        self.assertEqual(told(world), [ask(rate(3, MBIT), operation=RESPONSE, sr_id=1, dscp=20)])
        self.assertEqual(rates(world), (0, MBIT, 80))
        self.assertEqual(world.send(hi=5, extra=[ask(*BOTH, operation=MODIFY, sr_id=9)]).status, 179)

    def test_deallocate_and_query(self) -> None:
        """A query lists what there is; what is given back is gone."""
        world = World()
        world.send(extra=[ask(*BOTH), ask(rate(3, MBIT), dscp=12)])
        world.send(hi=5, extra=[QualityOfService(0, 0, QUERY, [])])
        self.assertEqual([each.sr_id for each in told(world)], [1, 2])
        self.assertEqual(world.of_kind(Install), [])
        world.send(hi=5, extra=[ask(operation=DE_ALLOCATE, sr_id=2, dscp=12)])
        self.assertEqual([(each.sr_id, each.operation) for each in told(world)], [(2, RESPONSE)])
        self.assertEqual(rates(world), (MBIT, 5 * MBIT, 40))
        world.send(hi=5, extra=[ask(operation=DE_ALLOCATE, sr_id=1)])
        self.assertEqual(rates(world), (0, 0, None))

    def test_marking(self) -> None:
        """A request without attributes wants its traffic class marked, no more."""
        world = World()
        world.send(extra=[ask()])
        self.assertEqual(told(world), [ask(operation=RESPONSE, sr_id=1)])
        self.assertEqual(rates(world), (0, 0, 40))

    def test_repeated(self) -> None:
        """The same request again is the same one; there are at most eight."""
        world = World()
        for _ in range(3):
            world.send(hi=5, extra=[ask(*BOTH)])
            self.assertEqual([each.sr_id for each in told(world)], [1])
        for dscp in range(20, 30):
            answer = world.send(hi=5, extra=[ask(*BOTH, dscp=dscp)])
        self.assertEqual(answer.status, 179)
        self.assertEqual(len(next(world.lma.sessions()).extras.qos), qos.MOST)

    def test_handover(self) -> None:
        """A new gateway is told of what there is."""
        world = World()
        world.send(extra=[ask(*BOTH)])
        world.send(source=MAG2, hi=3)
        self.assertEqual([each.sr_id for each in told(world)], [1])
        self.assertEqual(rates(world), (MBIT, 5 * MBIT, 40))

    def test_limits(self) -> None:
        """Limits of profile and AAA hold without any request; a change of the profile does at once."""
        world = self.limited()
        world.send()
        self.assertEqual(rates(world), (MBIT, 2 * MBIT, None))
        entry = next(world.lma.sessions())
        changed = lma_fakes.settings(default_profile=evolve(DUAL, bandwidth_down=7))
        world.lma.receive(Reconfigure(changed), world.now)
        world.pass_time(0.1)
        self.assertEqual(rates(world), (0, 7, None))
        entry.grant = Grant(bandwidth_up=9)
        self.assertEqual(world.lma._sessions.rates(entry), qos.Rates(9, 7))
        plain = World()
        plain.send()
        self.assertIs(plain.lma._sessions.rates(next(plain.lma.sessions())), qos.NO_RATES)

    def test_own_profile(self) -> None:
        """A subscriber's own profile goes before the default one."""
        own = Profile(name="mn1", mn_id=lma_fakes.MN1, ipv4=True, bandwidth_down=3)
        world = World(profiles=(own,), default_profile=evolve(DUAL, bandwidth_up=5))
        world.send()
        self.assertEqual(rates(world), (0, 3, None))

    def lowered(self, answer):
        """Have the profile give less than what is agreed, and the gateway answer; give the session."""
        world = self.world = World()
        world.send(extra=[ask(*BOTH)])
        less = lma_fakes.settings(default_profile=evolve(DUAL, bandwidth_up=7, bandwidth_down=8))
        world.lma.receive(Reconfigure(less), world.now)
        world.pass_time(0.1)
        (sent,) = [decode(effect.data).message for effect in world.of_kind(Send)]
        self.assertEqual((sent.reason, sent.flags), (codes.UPN_QOS_SERVICE_REQUEST, UPN_A))
        option = lma_fakes.option(sent, QualityOfService)
        self.assertEqual((option.operation, option.attributes), (MODIFY, [rate(3, 8), rate(4, 7)]))
        self.assertEqual(rates(world), (7, 8, 40))
        if answer is None:
            for _ in range(4):
                world.pass_time(2)
        else:
            reply = UpdateNotificationAcknowledgement(
                sent.sequence, answer, [MobileNodeIdentifier(1, lma_fakes.MN1), option]
            )
            world.packet(seal(encode(reply), lma_fakes.MAG1, lma_fakes.LMA_ADDRESS))
        return next(world.lma.sessions())

    def test_lowered_here(self) -> None:
        """RFC 7222 section 5.2: a change on our side is told to the gateway; what it refuses is not kept."""
        self.assertEqual(len(self.lowered(0).extras.qos), 1)
        self.assertIsNone(self.lowered(codes.UPA_CANNOT_MEET_QOS).extras.qos)
        self.assertIsNone(self.lowered(None).extras.qos)

    def test_odd_attributes(self) -> None:
        """Wrong lengths, repetitions, selectors and the S flag are not agreed to."""
        selected = [(10, bytes(8)), rate(6, 5)]
        for attributes in ([(3, b"\0")], [(11, bytes(8))], selected, [(5, b"\0")], [rate(3, 0)]):
            self.assertEqual(qos.judge(attributes, qos.NO_RATES), ())
        self.assertEqual(qos.judge([rate(3, 5), rate(3, 6)], qos.NO_RATES), (rate(3, 5),))
        self.assertEqual(qos.judge([rate(3, 5, 0xC0)], qos.NO_RATES), (rate(3, 5, 0x40),))
        self.assertEqual(qos.judge([(5, b"\0\x50")], qos.NO_RATES), ((5, b"\0\x50"),))

    @given(
        st.lists(
            st.builds(
                QualityOfService, st.integers(0, 3), st.integers(0, 63).map(lambda dscp: dscp << 2),
                st.integers(0, 255) | st.integers(0, 5),
                st.lists(st.tuples(st.integers(0, 12), st.binary(max_size=8) | st.just(RATE)), max_size=4),
            ),
            max_size=6,
        )  # fmt: skip
    )
    @settings(max_examples=100, deadline=None)
    def test_anything(self, options: list[QualityOfService]) -> None:
        """Whatever is asked for: one answer that can be read, the session stays, and the book balances."""
        world = self.limited()
        for hi in (1, 5):
            answer = world.send(hi=hi, extra=options)
            self.assertIn(answer.status, (0, 179))
        self.assertEqual(world.lma.session_count, 1)
        self.assertEqual(world.value("binding-updates-received/total-accepted"), 2)
        found = world.lma._sessions.rates(next(world.lma.sessions()))
        up, down = found.up, found.down
        self.assertTrue(0 < up <= MBIT and 0 < down <= 2 * MBIT)


class GatewayTests(MagTestCase):
    """RFC 7222 section 5.2."""

    WISH = QosWish(bandwidth_down=5 * MBIT, bandwidth_up=MBIT, dscp=10, priority=3)

    def test_ask(self) -> None:
        """It asks once, forwards by what is agreed, and asks no more."""
        self.make(qos_requests=(self.WISH,))
        update = self.attach()
        (option,) = of(update, QualityOfService)
        self.assertEqual(option, ask(*BOTH, (5, b"\0\x30")))
        effects = self.answer(update, replace={QualityOfService: evolve(option, sr_id=4, operation=RESPONSE)})
        effect = next(each for each in effects if isinstance(each, Install))
        self.assertEqual((effect.rate_up, effect.rate_down, effect.traffic_class), (MBIT, 5 * MBIT, 40))
        details = dict(self.core.details(self.entry()))
        self.assertIn("DSCP 10", details["QoS Request 4"])
        self.assertEqual(details["QoS Enforced"], "up 1000000, down 5000000 (bit/s)")
        refresh = next(effect for _, effect in self.until(1_000) if isinstance(effect, Send))
        self.assertEqual(of(decode(refresh.data).message, QualityOfService), [])

    def test_offer(self) -> None:
        """An offer is asked for at once, and only once."""
        self.make(qos_requests=(self.WISH,))
        update = self.attach()
        offer = QualityOfService(0, 40, NEGOTIATE, [rate(3, MBIT)])
        self.answer(update, replace={QualityOfService: offer})
        again = self.request([effect for _, effect in self.until(self.mono + 0.1)])
        self.assertEqual(of(again, QualityOfService), [ask(rate(3, MBIT))])
        self.answer(again, replace={QualityOfService: offer})
        self.assertEqual(self.until(self.mono + 10), [])
        self.assertTrue(self.entry().qos_settled)

    def test_refused(self) -> None:
        """Status 179 leaves the session without."""
        self.make(qos_requests=(self.WISH,))
        update = self.attach()
        update.options = [each for each in update.options if not isinstance(each, QualityOfService)]
        self.answer(update, 179)
        self.assertEqual((self.entry().state, self.entry().qos_settled), ("active", True))

    def test_which(self) -> None:
        """The line of the mobile node goes before that of the link, and that before the general one."""
        lines = (
            QosWish(dscp=1), QosWish(interface="acc0", dscp=2), QosWish(mn_id=NAI, dscp=3),
            QosWish(interface="acc9", dscp=4),
        )  # fmt: skip
        for kept, dscp in ((lines, 3), (lines[:2], 2), (lines[:1], 1), (lines[3:], None)):
            self.make(qos_requests=kept)
            found = of(self.attach(), QualityOfService)
            self.assertEqual(found[0].traffic_class >> 2 if found else None, dscp)

    def test_update(self) -> None:
        """The anchor changes, takes back and asks; what is nothing is refused."""
        self.make(qos_requests=(self.WISH,))
        update = self.attach()
        self.answer(update, replace={QualityOfService: ask(*BOTH, operation=RESPONSE, sr_id=1)})
        self.assertEqual(
            self.notified(ask(rate(3, 9), operation=MODIFY, sr_id=1)),
            (0, [ask(rate(3, 9), operation=RESPONSE, sr_id=1)]),
        )
        (effect,) = [effect for effect in self.said if isinstance(effect, Install)]
        self.assertEqual(effect.rate_down, 9)
        self.assertEqual(
            self.notified(QualityOfService(0, 0, QUERY, [])),
            (0, [ask(rate(3, 9), operation=RESPONSE, sr_id=1)]),
        )
        self.assertEqual(self.notified(ask(operation=DE_ALLOCATE, sr_id=1))[0], 0)
        self.assertEqual(self.entry().qos, ())
        self.assertEqual(self.notified(), (130, []))

    def notified(self, *options):
        """Have the anchor notify with reason 5, twice; give status and options of the answer."""
        self.number = getattr(self, "number", 0) + 1
        message = UpdateNotification(
            self.number, codes.UPN_QOS_SERVICE_REQUEST, UPN_A, [MobileNodeIdentifier(1, NAI), *options]
        )
        packet = PacketReceived(
            seal(encode(message), mag_fakes.LMA_ADDRESS, mag_fakes.MAG_ADDRESS),
            mag_fakes.LMA_ADDRESS,
            mag_fakes.MAG_ADDRESS,
        )
        self.said = self.feed(packet)
        (first,) = [effect.data for effect in self.said if isinstance(effect, Send)]
        (again,) = [effect.data for effect in self.feed(packet) if isinstance(effect, Send)]
        self.assertEqual(again, first)
        answer = decode(first).message
        return answer.status, of(answer, QualityOfService)


class CouplingTests(SynchronousTestCase):
    """A gateway and an anchor."""

    def test_agreement(self) -> None:
        """An offer of the anchor is what both enforce in the end."""
        network = Network()
        values = evolve(
            network.cores[GATEWAYS[0]]._sessions.settings,
            qos_requests=(QosWish(bandwidth_down=5 * MBIT, dscp=10),),
        )
        network.feed(GATEWAYS[0], Reconfigure(values))
        anchor = network.anchor_settings("optional")
        anchor.default_profile = Profile(name="default", ipv4=True, bandwidth_down=MBIT)
        network.feed(ANCHOR, Reconfigure(anchor))
        network.feed(GATEWAYS[0], MobileAttached("acc0", MN))
        network.run(1)
        for node in (ANCHOR, GATEWAYS[0]):
            (effect,) = network.installed[node].values()
            self.assertEqual((effect.rate_down, effect.traffic_class), (MBIT, 40))


class TunnelTests(SynchronousTestCase):
    """The policers."""

    def test_bucket(self) -> None:
        """In the long run a rate is what passes, whatever the sizes; a burst may come at once."""
        for size in (100, 1_500, 60_000):
            bucket, passed = Bucket(8 * MBIT), 0
            for step in range(10_000):
                passed += size * bucket.allows(size, step * 0.001)
            # One second is a million octets; ten and the first burst, less or more one packet.
            offered = 10_000 * size
            self.assertLess(abs(passed - min(offered, 10_100_000)), 70_000)
            self.assertEqual(passed + size * bucket.dropped, offered)
        self.assertTrue(all(Bucket(0).allows(65_000, 0.0) for _ in range(10)))

    def test_both_ways(self) -> None:
        """Each way has its own rate, which goes on over a new entry; sessions without one have none."""
        world = World(default_profile=evolve(DUAL, bandwidth_down=80_000, bandwidth_up=8_000))
        world.send()
        table = Forwarding(CounterSet(LMA), "lma", LMA_ADDRESS)
        session = table.install(world.of_kind(Install)[-1])
        mobile = next(world.lma.sessions()).prefix[:8] + bytes(7) + b"\5"
        down = [table.outbound(udp6(CN, mobile), 100, 0.0) is not None for _ in range(20)]
        up = [table.inbound(6, 41, MAG1, udp6(mobile, CN), 0, 0.0) is not None for _ in range(20)]
        self.assertEqual((sum(down), sum(up)), (10, 1))
        self.assertEqual(table.drops["over-rate"], 29)
        table.install(evolve(world.of_kind(Install)[-1], peer=MAG2))
        self.assertIsNone(table.outbound(udp6(CN, mobile), 100, 0.0))
        self.assertIsNotNone(table.outbound(udp6(CN, mobile), 100, 1.0))
        self.assertEqual(table.sessions[session.call_id].policer.down.dropped, 11)
        plain = table.install(evolve(world.of_kind(Install)[-1], rate_up=0, rate_down=0))
        self.assertIsNone(plain.policer)
