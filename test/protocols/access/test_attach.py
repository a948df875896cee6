"""The access core: who attaches, what is said to them, when they are let go."""

from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet6 import (
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6NDOptMTU,
    ICMPv6NDOptPrefixInfo,
    IPv6,
)
from scapy.layers.l2 import ARP, Ether
from twisted.trial.unittest import SynchronousTestCase

from appliance.counters import MAG, CounterSet
from appliance.protocols.access import arp, ndp
from appliance.protocols.access.attach import AccessLink
from appliance.protocols.access.events import Activity, FrameReceived, LinkDown, LinkUp, SendFrame
from appliance.protocols.pmipv6.events import Advertise, MobileAttached, MobileDetached, Notify, Withdraw
from appliance.protocols.pmipv6.settings import AccessInterface, MagSettings, MobilePolicy
from appliance.protocols.timers import Now
from test.protocols.access.test_ndp import (
    FUZZ,
    MN,
    MN_LL,
    PREFIX,
    ROUTER_LL,
    solicitation,
)

STRANGER = bytes.fromhex("02005e999999")
GROUP = bytes.fromhex("333300000002")
ROUTER_V4, MN_V4 = bytes((203, 0, 113, 1)), bytes((203, 0, 113, 10))
HNP = ((PREFIX, 64),)


def frame(message, source=MN_LL, destination=ROUTER_LL, link_layer=MN):
    """Give a frame of the mobile node."""
    return ndp.build(ndp.Received(link_layer, GROUP, source, destination, message))


class Base(SynchronousTestCase):
    def setUp(self):
        """Make a core with two links and one known mobile."""
        self.counters = CounterSet(MAG)
        self.settings = MagSettings(
            name="mag1",
            access_interfaces=(AccessInterface(name="acc0"), AccessInterface(name="acc1")),
            policies=(MobilePolicy(link_layer=MN, mn_id=b"mn1@example.org"),),
        )
        self.core = AccessLink(self.settings, self.counters)
        self.mono = 1000.0

    def feed(self, event):
        """Give the core an event now; give its effects."""
        self.core.receive(event, Now(self.mono, 1.7e9 + self.mono))
        return self.core.take()

    def frame(self, octets, interface="acc0"):
        """Give the core a frame now; give its effects."""
        return self.feed(FrameReceived(interface, octets))

    def until(self, mono):
        """Let time pass, tick by tick; give what came out as (time, effect)."""
        found = []
        while self.core.deadline is not None and self.core.deadline <= mono:
            self.mono = max(self.mono, self.core.deadline)
            self.core.tick(Now(self.mono, 1.7e9 + self.mono))
            found += [(self.mono, effect) for effect in self.core.take()]
        self.mono = mono
        return found

    def advertise(self, lifetime=600, router=None, prefixes=HNP):
        """Have the mobile advertised to; give the effects."""
        return self.feed(Advertise("acc0", MN, prefixes, lifetime, 1460, router))

    def attach(self):
        """Bring the mobile up to its first Router Advertisement."""
        self.assertEqual(self.frame(solicitation()), [MobileAttached("acc0", MN)])
        return self.advertise()


class AttachTests(Base):
    def test_solicitation_attaches(self):
        """A Router Solicitation of a known mobile is an attachment (RFC 5213 section 6.9.1.1)."""
        self.assertEqual(self.frame(solicitation()), [MobileAttached("acc0", MN)])
        self.assertEqual(self.counters.value("access-links/router-solicitations"), 1)
        self.assertEqual(self.counters.value("access-links/attach"), 1)

    def test_report_and_neighbor_messages_attach(self):
        """MLD reports, NS and NA from a link-local address attach; from :: they do not."""
        for message in (
            ndp.ListenerReport(),
            ndp.NeighborSolicitation(PREFIX),
            ndp.NeighborAdvertisement(MN_LL, 0),
        ):
            self.setUp()
            self.assertEqual(self.frame(frame(message)), [MobileAttached("acc0", MN)])
        self.setUp()
        self.assertEqual(self.frame(frame(ndp.ListenerReport(), ndp.UNSPECIFIED)), [])
        test = ndp.NeighborSolicitation(MN_LL)
        self.assertEqual(self.frame(frame(test, ndp.UNSPECIFIED, ndp.solicited_node(MN_LL))), [])

    def test_unknown_mobile(self):
        """A stranger is counted each time and named in the log once."""
        first = self.frame(frame(ndp.RouterSolicitation(), link_layer=STRANGER))
        self.assertEqual([type(effect) for effect in first], [Notify])
        self.assertIn("02:00:5e:99:99:99", first[0].text)
        self.mono += 5
        self.assertEqual(self.frame(frame(ndp.RouterSolicitation(), link_layer=STRANGER)), [])
        self.assertEqual(self.counters.value("access-links/unknown-mobile"), 2)
        self.assertEqual(self.core.mobile_count, 0)

    def test_line_for_any_mobile(self):
        """A policy line for an interface takes one mobile at a time, whatever its address."""
        policy = MobilePolicy(link_layer=b"", mn_id=b"x@example.org", interface="acc1")
        self.settings.policies = (policy,)
        self.core = AccessLink(self.settings, self.counters)
        self.assertEqual(self.frame(solicitation(), "acc1"), [MobileAttached("acc1", MN)])
        other = frame(ndp.RouterSolicitation(), link_layer=STRANGER)
        self.assertIn("another one", self.frame(other, "acc1")[0].text)
        self.feed(LinkDown("acc1"))
        self.feed(LinkUp("acc1"))
        self.assertEqual(self.frame(other, "acc1"), [MobileAttached("acc1", STRANGER)])

    def test_full(self):
        """More mobiles than max-subscribers are refused with a clear line."""
        self.settings.max_subscribers = 0
        (notice,) = self.frame(solicitation())
        self.assertIn("max-subscribers 0", notice.text)

    def test_trigger_repeats_until_advertised(self):
        """While the MAG has not answered, a repeated trigger is passed on once a second at most."""
        self.frame(solicitation())
        self.mono += 0.5
        self.assertEqual(self.frame(solicitation()), [])
        self.mono += 0.6
        self.assertEqual(self.frame(solicitation()), [MobileAttached("acc0", MN)])

    def test_move_to_another_link(self):
        """A mobile seen on another link of ours is reported there and leaves silently here."""
        self.attach()
        self.assertEqual(self.frame(solicitation(), "acc1"), [MobileAttached("acc1", MN)])
        self.assertEqual(self.core.mobile_count, 1)

    def test_foreign_interface_and_down_link(self):
        """Frames of links that are not ours, or are down, do nothing; after LinkUp they do."""
        self.assertEqual(self.frame(solicitation(), "eth0"), [])
        self.feed(LinkDown("acc0"))
        self.assertEqual(self.frame(solicitation()), [])
        self.feed(LinkUp("acc0"))
        self.assertEqual(self.frame(solicitation()), [MobileAttached("acc0", MN)])


class AdvertisementTests(Base):
    def test_contents(self):
        """The advertisement is a unicast frame with fixed addresses, prefix and MTU (RFC 5213 6.9.2)."""
        (effect,) = self.attach()
        self.assertEqual(effect.interface, "acc0")
        packet = Ether(effect.frame)
        self.assertEqual((packet.src, packet.dst), ("00:00:5e:00:52:13", "02:00:5e:10:00:01"))
        self.assertEqual(
            (packet[IPv6].src, packet[IPv6].dst), ("fe80::200:5eff:fe00:5213", "fe80::5eff:fe10:1")
        )
        self.assertEqual(packet[ICMPv6ND_RA].routerlifetime, 1800)
        option = packet[ICMPv6NDOptPrefixInfo]
        self.assertEqual(
            (option.prefix, option.L, option.A, option.validlifetime), ("2001:db8:1:1::", 1, 1, 600)
        )
        self.assertEqual(packet[ICMPv6NDOptMTU].mtu, 1460)

    def test_all_nodes_in_unicast_frame(self):
        """Without a known link-local address all-nodes is addressed, in a unicast frame (RFC 6085)."""
        self.frame(solicitation(ndp.UNSPECIFIED, b""))
        packet = Ether(self.advertise()[0].frame)
        self.assertEqual((packet.dst, packet[IPv6].dst), ("02:00:5e:10:00:01", "ff02::1"))

    def test_duplicate_test_tells_link_local(self):
        """The address that a mobile tests for duplicates becomes its known link-local address."""
        self.frame(solicitation(ndp.UNSPECIFIED, b""))
        self.assertEqual(
            self.frame(frame(ndp.NeighborSolicitation(MN_LL), ndp.UNSPECIFIED, ndp.solicited_node(MN_LL))), []
        )
        self.assertEqual(Ether(self.advertise()[0].frame)[IPv6].dst, "fe80::5eff:fe10:1")

    def test_periodic(self):
        """Three advertisements come fast, the rest at the interval; lifetimes end with the binding."""
        self.settings.reachable_time = 3600
        self.attach()
        later = self.until(1000 + 1300)
        self.assertEqual([when - 1000 for when, _ in later], [16.0, 32.0, 632.0, 1232.0])
        valid = [Ether(effect.frame)[ICMPv6NDOptPrefixInfo].validlifetime for _, effect in later]
        self.assertEqual(valid, [584, 568, 0, 0])
        self.assertEqual(Ether(later[-1][1].frame)[ICMPv6ND_RA].routerlifetime, 0)

    def test_solicitation_rate(self):
        """Solicitations of an attached mobile are answered, but not faster than twice a second."""
        self.attach()
        self.mono += 1
        self.assertIsInstance(self.frame(solicitation())[0], SendFrame)
        self.mono += 0.1
        self.assertEqual(self.frame(solicitation()), [])
        self.assertEqual(len(self.until(self.mono + 0.45)), 1)
        self.assertEqual(self.counters.value("access-links/router-advertisements"), 3)

    def test_withdraw(self):
        """Withdrawal says lifetime 0 for prefix and router, and stops the periodic ones."""
        self.attach()
        (effect,) = self.feed(Withdraw("acc0", MN, HNP))
        packet = Ether(effect.frame)
        option = packet[ICMPv6NDOptPrefixInfo]
        self.assertEqual((option.validlifetime, option.preferredlifetime), (0, 0))
        self.assertEqual(packet[ICMPv6ND_RA].routerlifetime, 0)
        self.assertEqual([e for _, e in self.until(1025) if isinstance(e, SendFrame)], [])

    def test_attached_by_operator(self):
        """A mobile that never spoke is advertised to, and is not probed to death."""
        self.assertEqual(len(self.advertise()), 1)
        later = self.until(1000 + 200)
        self.assertEqual([effect for _, effect in later if not isinstance(effect, SendFrame)], [])
        self.assertEqual(self.core.mobile_count, 1)


class AnswerTests(Base):
    def test_neighbor_solicitation_for_router(self):
        """The fixed link-local address is answered for with R, S and O set (RFC 4861 section 7.2.4)."""
        self.attach()
        (effect,) = self.frame(frame(ndp.NeighborSolicitation(ROUTER_LL, MN)))
        packet = Ether(effect.frame)
        answer = packet[ICMPv6ND_NA]
        self.assertEqual((answer.R, answer.S, answer.O, answer.tgt), (1, 1, 1, "fe80::200:5eff:fe00:5213"))
        self.assertEqual((packet[IPv6].dst, packet[IPv6].hlim), ("fe80::5eff:fe10:1", 255))
        self.assertEqual(answer.payload.lladdr, "00:00:5e:00:52:13")

    def test_other_targets_and_duplicate_tests(self):
        """Nothing else is answered for, nor a duplicate test of the fixed address (RFC 6543 section 4)."""
        self.attach()
        self.assertEqual(self.frame(frame(ndp.NeighborSolicitation(PREFIX[:15] + b"\1", MN))), [])
        test = frame(ndp.NeighborSolicitation(ROUTER_LL), ndp.UNSPECIFIED, ndp.solicited_node(ROUTER_LL))
        self.assertEqual(self.frame(test), [])

    def test_arp(self):
        """ARP is answered for the default router of an attached mobile, for nothing and nobody else."""
        request = arp.build(arp.Arp(arp.REQUEST, MN, MN_V4, bytes(6), ROUTER_V4))
        self.assertEqual(self.frame(request), [])
        self.attach()
        self.assertEqual(self.frame(request), [])
        self.advertise(router=ROUTER_V4)
        (effect,) = self.frame(request)
        packet = Ether(effect.frame)
        self.assertEqual(
            (packet[ARP].op, packet[ARP].psrc, packet[ARP].hwdst), (2, "203.0.113.1", "02:00:5e:10:00:01")
        )
        other = arp.build(arp.Arp(arp.REQUEST, MN, MN_V4, bytes(6), bytes((203, 0, 113, 77))))
        self.assertEqual(self.frame(other), [])
        stranger = arp.build(arp.Arp(arp.REQUEST, STRANGER, MN_V4, bytes(6), ROUTER_V4))
        self.assertEqual(self.frame(stranger), [])


class ReachabilityTests(Base):
    def probes(self, found):
        """Pick the Neighbor Solicitations out of effects, by time."""
        return [
            when - 1000
            for when, effect in found
            if isinstance(effect, SendFrame) and ICMPv6ND_NS in Ether(effect.frame)
        ]

    def test_silent_mobile_is_probed_and_detached(self):
        """After the reachable time there are three probes a second apart, then detachment (RFC 4861 7.3)."""
        self.attach()
        found = self.until(1040)
        self.assertEqual(self.probes(found), [30.0, 31.0, 32.0])
        self.assertEqual(found[-1], (1033.0, MobileDetached("acc0", MN)))
        self.assertEqual((self.core.mobile_count, self.core.deadline is None), (0, True))
        self.assertEqual(self.counters.value("access-links/detach"), 1)

    def test_answer_and_activity_keep_it(self):
        """A Neighbor Advertisement ends the probing, data seen puts it off."""
        self.attach()
        self.assertEqual(self.probes(self.until(1030.5)), [30.0])
        self.frame(frame(ndp.NeighborAdvertisement(MN_LL, ndp.NA_SOLICITED, MN)))
        self.assertEqual(self.probes(self.until(1060)), [])
        self.feed(Activity("acc0", MN))
        self.assertEqual(self.probes(self.until(1089)), [])
        self.assertEqual(self.probes(self.until(1090.5)), [90.0])

    def test_ipv4_mobile_is_probed_by_arp(self):
        """A mobile whose only known address is IPv4 is asked by ARP."""
        self.advertise(router=ROUTER_V4, prefixes=())
        self.frame(arp.build(arp.Arp(arp.REQUEST, MN, MN_V4, bytes(6), ROUTER_V4)))
        ((_, effect),) = self.until(1030)
        packet = Ether(effect.frame)
        self.assertEqual(
            (packet.dst, packet[ARP].op, packet[ARP].pdst), ("02:00:5e:10:00:01", 1, "203.0.113.10")
        )

    def test_link_down(self):
        """Carrier loss detaches all mobiles of the link at once."""
        self.attach()
        self.assertEqual(self.feed(LinkDown("acc0")), [MobileDetached("acc0")])
        self.assertEqual(self.core.mobile_count, 0)
        self.assertEqual(self.until(1100), [])


class FuzzTests(Base):
    def test_malformed(self):
        """Octets that break a rule are counted."""
        for octets in (b"", solicitation()[:-1], MN + GROUP + b"\x86\xdd" + bytes(60)):
            self.assertEqual(self.frame(octets), [])
        self.assertEqual(self.counters.value("access-links/malformed"), 3)

    @settings(deadline=None, max_examples=FUZZ)
    @given(
        st.binary(max_size=100),
        st.sampled_from((b"", MN + MN + b"\x08\x06", solicitation()[:54], solicitation()[:14])),
    )
    def test_any_octets(self, tail, head):
        """No octets in a frame make the core fail or remember a stranger."""
        self.setUp()
        self.attach()
        self.frame(head + tail)
        self.until(self.mono + 1)
        self.assertEqual(self.core.mobile_count, 1)

    def test_many_strangers(self):
        """Thousands of unknown link-layer addresses leave nothing behind."""
        for number in range(3000):
            self.frame(frame(ndp.RouterSolicitation(), link_layer=b"\x02\x01" + number.to_bytes(4, "big")))
        self.assertEqual((self.core.mobile_count, self.core.deadline), (0, None))
        self.assertEqual(self.counters.value("access-links/unknown-mobile"), 3000)
